// SPDX-License-Identifier: BSD-2-Clause
/*
 * decode_table.c - unit tests of driver/models/decode.c that need no
 * processor: each addressing form in each mode, segment checks, prefixes, the
 * instruction fetch, and what is refused. A row is one instruction over 1 MiB
 * of flat memory with the code at CS:8000.
 */
#include <stdio.h>
#include <stdlib.h>
#include "decode_test.h"

#define CODE 0x8000u
#define MEM_BYTES 0x100000u

enum reg { RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP, R8, R9, R10, R11, R12, R13, R14, R15, RIP, RFLAGS };

struct value {
	enum reg reg;
	u64 v;
};

struct row {
	const char *name;
	enum mode mode;
	const char *code;
	struct value in[5];
	u64 at, mem;		/* eight bytes of memory before */
	struct value out[4];
	u64 mem_out;
	int rc;
	u32 vector;
	void (*prepare)(struct decode_state *s);
};

static u8 mem[MEM_BYTES];

static int table_read(void *ctx, u64 linear, void *buf, unsigned int len, unsigned int access,
		      struct decode_fault *fault)
{
	(void)ctx, (void)access, (void)fault;
	if (linear + len > MEM_BYTES || linear + len < linear)
		return DECODE_UNKNOWN;
	if (buf)
		memcpy(buf, mem + linear, len);
	return 0;
}

static int table_write(void *ctx, u64 linear, const void *buf, unsigned int len, struct decode_fault *fault)
{
	(void)ctx, (void)fault;
	if (linear + len > MEM_BYTES || linear + len < linear)
		return DECODE_UNKNOWN;
	memcpy(mem + linear, buf, len);
	return 0;
}

static u64 special[25];	/* by DECODE_CR() and DECODE_DR() */
static u64 vector[16][2];

static int table_get_special(void *ctx, unsigned int which, u64 *v, struct decode_fault *fault)
{
	(void)ctx, (void)fault;
	*v = special[which];
	return 0;
}

/* A bit that no register has is refused. */
static int table_set_special(void *ctx, unsigned int which, u64 v, struct decode_fault *fault)
{
	(void)ctx;
	if (v >> 63) {
		*fault = (struct decode_fault){ .vector = 13, .has_error = 1 };
		return DECODE_FAULT;
	}
	special[which] = v;
	return 0;
}

static int table_xmm(void *ctx, unsigned int n, u64 v[2], unsigned int write)
{
	(void)ctx;
	if (write)
		memcpy(vector[n], v, sizeof(vector[n]));
	else
		memcpy(v, vector[n], sizeof(vector[n]));
	return 0;
}

static const struct decode_ops table_ops = {
	.read_mem = table_read, .write_mem = table_write,
	.get_special = table_get_special, .set_special = table_set_special, .xmm = table_xmm,
};
static struct decode_state state, before;

static unsigned int hex(const char *text, u8 *out)
{
	unsigned int n = 0, byte;

	for (; sscanf(text, "%2x", &byte) == 1; text += 2) {
		while (text[2] == ' ')
			text++;
		out[n++] = byte;
	}
	return n;
}

static void put(u64 at, u64 v)
{
	memcpy(mem + at, &v, 8);
}

static u64 get(u64 at)
{
	u64 v;

	memcpy(&v, mem + at, 8);
	return v;
}

/* Bases that tell the segments apart. */
static void bases(struct decode_state *s)
{
	unsigned int i;

	for (i = 0; i < 6; i++)
		if (i != SEG_CS)
			s->seg[i].base = 0x10000 * (i + 1);
}

static void bases_real(struct decode_state *s)
{
	bases(s);
	s->seg[SEG_CS].base = 0x90000;
	memcpy(mem + 0x90000 + CODE, mem + CODE, 16);
}

static void small_data(struct decode_state *s)
{
	s->seg[SEG_DS].limit = s->seg[SEG_SS].limit = s->seg[SEG_ES].limit = 0xfff;
}

static void read_only(struct decode_state *s)
{
	s->seg[SEG_DS].attr = 0x91;
}

static void execute_only(struct decode_state *s)
{
	s->seg[SEG_DS].attr = 0x99;
}

static void readable_code(struct decode_state *s)
{
	s->seg[SEG_DS].attr = 0x9b;
}

static void small_code(struct decode_state *s)
{
	s->seg[SEG_CS].limit = 0xffff;
}

static void null_data(struct decode_state *s)
{
	s->seg[SEG_DS].attr = 0;
}

static void expand_down(struct decode_state *s)
{
	s->seg[SEG_DS].attr = 0x97;
	s->seg[SEG_DS].limit = 0xfff;
}

static void expand_down_big(struct decode_state *s)
{
	expand_down(s);
	s->seg[SEG_DS].attr |= ATTR_BIG;
}

static void big_stack(struct decode_state *s)
{
	s->seg[SEG_SS].attr |= ATTR_BIG;
	s->seg[SEG_SS].limit = 0xffffffff;
}

static void unreal(struct decode_state *s)
{
	s->seg[SEG_DS].limit = 0xffffffff;
}

static void la57(struct decode_state *s)
{
	s->cr4 |= 1ull << 12;
}

static void resume_flag(struct decode_state *s)
{
	s->regs.rflags |= FLAG_RESUME;
}

static void selectors(struct decode_state *s)
{
	unsigned int i;

	for (i = 0; i < 6; i++)
		s->seg[i].selector = 0x1111 * (i + 1);
}

#define D 0x1122334455667788ull
#define DE { {0} }, 0, DECODE_FAULT, 0
#define GP { {0} }, 0, DECODE_FAULT, 13
#define SS { {0} }, 0, DECODE_FAULT, 12
#define UD { {0} }, 0, DECODE_FAULT, 6

static const struct row rows[] = {
	/* 16-bit addressing: base and index, default segment (DS base 40000, SS base 30000) */
	{ "[bx+si]", MODE_REAL, "8a00", { {RBX, 0x100}, {RSI, 0x23} }, 0x40123, D, { {RAX, 0x88} }, D, .prepare = bases_real },
	{ "[bx+di]", MODE_REAL, "8a01", { {RBX, 0x100}, {RDI, 0x23} }, 0x40123, D, { {RAX, 0x88} }, D, .prepare = bases_real },
	{ "[bp+si]", MODE_REAL, "8a02", { {RBP, 0x100}, {RSI, 0x23} }, 0x30123, D, { {RAX, 0x88} }, D, .prepare = bases_real },
	{ "[bp+di]", MODE_REAL, "8a03", { {RBP, 0x100}, {RDI, 0x23} }, 0x30123, D, { {RAX, 0x88} }, D, .prepare = bases_real },
	{ "[si]", MODE_REAL, "8a04", { {RSI, 0x123} }, 0x40123, D, { {RAX, 0x88} }, D, .prepare = bases_real },
	{ "[di]", MODE_REAL, "8a05", { {RDI, 0x123} }, 0x40123, D, { {RAX, 0x88} }, D, .prepare = bases_real },
	{ "[disp16]", MODE_REAL, "8a062301", { {0} }, 0x40123, D, { {RAX, 0x88} }, D, .prepare = bases_real },
	{ "[bx]", MODE_REAL, "8a07", { {RBX, 0x123} }, 0x40123, D, { {RAX, 0x88} }, D, .prepare = bases_real },
	{ "[bp+disp8]", MODE_REAL, "8a46f0", { {RBP, 0x133} }, 0x30123, D, { {RAX, 0x88} }, D, .prepare = bases_real },
	{ "[bx+disp16]", MODE_REAL, "8a8700f0", { {RBX, 0x1123} }, 0x40123, D, { {RAX, 0x88} }, D, .prepare = bases_real },
	{ "[bx+si] wraps at 64K", MODE_REAL, "8a00", { {RBX, 0xff00}, {RSI, 0x223} }, 0x40123, D, { {RAX, 0x88} }, D, .prepare = bases_real },
	{ "upper halves ignored", MODE_REAL, "8a00", { {RBX, 0xabcd0100}, {RSI, 0x12340023} }, 0x40123, D, { {RAX, 0x88} }, D, .prepare = bases_real },
	{ "es:[bx]", MODE_REAL, "268a07", { {RBX, 0x123} }, 0x10123, D, { {RAX, 0x88} }, D, .prepare = bases_real },
	{ "cs:[bx]", MODE_REAL, "2e8a07", { {RBX, 0x123} }, 0x90123, D, { {RAX, 0x88} }, D, .prepare = bases_real },
	{ "ss:[bx]", MODE_REAL, "368a07", { {RBX, 0x123} }, 0x30123, D, { {RAX, 0x88} }, D, .prepare = bases_real },
	{ "ds:[bp]", MODE_REAL, "3e8a4600", { {RBP, 0x123} }, 0x40123, D, { {RAX, 0x88} }, D, .prepare = bases_real },
	{ "fs:[bx]", MODE_VM86, "648a07", { {RBX, 0x123} }, 0x50123, D, { {RAX, 0x88} }, D, .prepare = bases_real },
	{ "gs:[bx]", MODE_VM86, "658a07", { {RBX, 0x123} }, 0x60123, D, { {RAX, 0x88} }, D, .prepare = bases_real },
	{ "the last override counts", MODE_16, "6426658a07", { {RBX, 0x123} }, 0x60123, D, { {RAX, 0x88} }, D, .prepare = bases },
	/* operand sizes by mode */
	{ "16-bit load keeps the upper half", MODE_REAL, "8b07", { {RBX, 0x123}, {RAX, 0xaaaabbbbccccdddd} }, 0x123, D, { {RAX, 0xaaaabbbbcccc7788} }, D },
	{ "66 in real mode: 32 bits", MODE_REAL, "668b07", { {RBX, 0x123}, {RAX, ~0ull} }, 0x123, D, { {RAX, 0x55667788} }, D },
	{ "67 in real mode: 32-bit address", MODE_REAL, "678b440b10", { {RBX, 0x100}, {RCX, 0x13} }, 0x123, D, { {RAX, 0x7788} }, D },
	{ "67 in 16-bit mode: SIB with scale", MODE_16, "67668b04b5 10000000", { {RSI, 0x44} }, 0x120, D, { {RAX, 0x55667788} }, D },
	{ "32-bit load", MODE_32, "8b03", { {RBX, 0x123}, {RAX, ~0ull} }, 0x123, D, { {RAX, 0x55667788} }, D },
	{ "66 in 32-bit mode: 16 bits", MODE_32, "668b03", { {RBX, 0x123}, {RAX, ~0ull} }, 0x123, D, { {RAX, 0xffffffffffff7788} }, D },
	{ "67 in 32-bit mode: 16-bit address", MODE_32, "678b07", { {RBX, 0x90123} }, 0x123, D, { {RAX, 0x55667788} }, D },
	{ "32-bit [ebp+disp8] uses SS", MODE_32, "8b4510", { {RBP, 0x113} }, 0x30123, D, { {RAX, 0x55667788} }, D, .prepare = bases },
	{ "32-bit [esp] uses SS", MODE_32, "8b0424", { {RSP, 0x123} }, 0x30123, D, { {RAX, 0x55667788} }, D, .prepare = bases },
	{ "32-bit [ebp*2+disp32] uses DS", MODE_32, "8b046d 03010000", { {RBP, 0x10} }, 0x40123, D, { {RAX, 0x55667788} }, D, .prepare = bases },
	{ "32-bit [disp32] is absolute", MODE_32, "8b05 23010000", { {0} }, 0x40123, D, { {RAX, 0x55667788} }, D, .prepare = bases },
	{ "32-bit address wraps at 4G", MODE_32, "8b4310", { {RBX, 0xfffffff8} }, 8, D, { {RAX, 0x55667788} }, D },
	{ "64-bit load", MODE_64, "488b03", { {RBX, 0x123} }, 0x123, D, { {RAX, D} }, D },
	{ "32-bit load in 64-bit mode clears", MODE_64, "8b03", { {RBX, 0x123}, {RAX, ~0ull} }, 0x123, D, { {RAX, 0x55667788} }, D },
	{ "REX.W wins over 66", MODE_64, "66488b03", { {RBX, 0x123} }, 0x123, D, { {RAX, D} }, D },
	{ "REX before 66 is void", MODE_64, "48668b03", { {RBX, 0x123} }, 0x123, D, { {RAX, 0x7788} }, D },
	{ "67 in 64-bit mode: 32-bit address", MODE_64, "678b03", { {RBX, 0xffffffff00000123} }, 0x123, D, { {RAX, 0x55667788} }, D },
	{ "DS base counts not in 64-bit mode", MODE_64, "3e8b03", { {RBX, 0x123} }, 0x123, D, { {RAX, 0x55667788} }, D, .prepare = bases },
	{ "FS base does", MODE_64, "648b03", { {RBX, 0x123} }, 0x50123, D, { {RAX, 0x55667788} }, D, .prepare = bases },
	{ "GS base with disp32", MODE_64, "658b0425 23010000", { {0} }, 0x60123, D, { {RAX, 0x55667788} }, D, .prepare = bases },
	{ "an ES prefix after FS changes nothing", MODE_64, "64268b03", { {RBX, 0x123} }, 0x50123, D, { {RAX, 0x55667788} }, D, .prepare = bases },
	{ "RIP-relative", MODE_64, "8b05 10000000", { {0} }, CODE + 0x16, D, { {RAX, 0x55667788} }, D },
	{ "RIP-relative with immediate", MODE_64, "c705 10000000 01000000", { {0} }, CODE + 0x1a, D, { {0} }, 0x1122334400000001 },
	{ "RIP-relative with r13 encoding", MODE_64, "418b05 10000000", { {R13, 0x100} }, CODE + 0x17, D, { {RAX, 0x55667788} }, D },
	{ "r12 as base", MODE_64, "418b0424", { {R12, 0x123} }, 0x123, D, { {RAX, 0x55667788} }, D },
	{ "r13 as base", MODE_64, "418b4500", { {R13, 0x123} }, 0x123, D, { {RAX, 0x55667788} }, D },
	{ "r12 as index", MODE_64, "428b0423", { {RBX, 0x100}, {R12, 0x23} }, 0x123, D, { {RAX, 0x55667788} }, D },
	/* moffs */
	{ "A0 16-bit", MODE_REAL, "a02301", { {0} }, 0x40123, D, { {RAX, 0x88} }, D, .prepare = bases_real },
	{ "A1 32-bit", MODE_32, "a123010000", { {0} }, 0x40123, D, { {RAX, 0x55667788} }, D, .prepare = bases },
	{ "A2 32-bit with es", MODE_32, "26a223010000", { {RAX, 0x99} }, 0x10123, D, { {0} }, 0x1122334455667799, .prepare = bases },
	{ "A3 64-bit", MODE_64, "48a3 2301000000000000", { {RAX, 7} }, 0x123, D, { {0} }, 7 },
	{ "A1 64-bit with 67", MODE_64, "67a1 23010000", { {0} }, 0x123, D, { {RAX, 0x55667788} }, D },
	/* byte registers */
	{ "mov ch, [rbx]", MODE_64, "8a2b", { {RBX, 0x123}, {RCX, 0x1111} }, 0x123, D, { {RCX, 0x8811} }, D },
	{ "mov bpl, [rbx]", MODE_64, "408a2b", { {RBX, 0x123}, {RBP, 0x1111} }, 0x123, D, { {RBP, 0x1188} }, D },
	{ "mov [rbx], bh", MODE_64, "883b", { {RBX, 0x123} }, 0x123, D, { {0} }, 0x1122334455667701 },
	{ "mov [bx], dh", MODE_REAL, "8837", { {RBX, 0x123}, {RDX, 0xab00} }, 0x123, D, { {0} }, 0x11223344556677ab },
	/* instructions beyond those that the processor test covers, and other modes */
	{ "mov [bx], imm16", MODE_REAL, "c707 3412", { {RBX, 0x123} }, 0x123, D, { {0} }, 0x1122334455661234 },
	{ "add dword [eax], imm8", MODE_32, "8300ff", { {RAX, 0x123} }, 0x123, D, { {RFLAGS, 0x17} }, 0x1122334455667787 },
	{ "inc word [bx]", MODE_16, "ff07", { {RBX, 0x123} }, 0x123, 0x1ffff, { {RFLAGS, 0x56} }, 0x10000 },
	{ "bts [di], ax with a negative offset", MODE_REAL, "0fab05", { {RDI, 0x125}, {RAX, 0xffff} }, 0x123, 0, { {0} }, 0x8000 },
	{ "bt dword [edi], eax far away", MODE_32, "0fa307", { {RDI, 0x1123}, {RAX, 0xffff8000 | 3} }, 0x123, 8, { {RFLAGS, 3} }, 8 },
	{ "lock cmpxchg8b", MODE_32, "f00fc70b", { {RBX, 0x123}, {RAX, 0x55667788}, {RDX, 0x11223344}, {RCX, 9} }, 0x123, D, { {RFLAGS, 0x42} }, 0x900000123 },
	{ "mov [bx], es selector", MODE_REAL, "8c07", { {RBX, 0x123} }, 0x123, D, { {0} }, 0x1122334455661111, .prepare = selectors },
	{ "mov rax, gs", MODE_64, "488ce8", { {RAX, ~0ull} }, 0x123, D, { {RAX, 0x6666} }, D, .prepare = selectors },
	{ "mov from segment 6", MODE_64, "8c33", { {RBX, 0x123} }, 0x123, D, UD },
	{ "RF ends with the instruction", MODE_32, "8b03", { {RBX, 0x123} }, 0x123, D, { {RAX, 0x55667788}, {RFLAGS, 2} }, D, .prepare = resume_flag },
	/* stack */
	{ "push word [bx]", MODE_REAL, "ff37", { {RBX, 0x900}, {RSP, 0xabcd0125} }, 0x123, D, { {RSP, 0xabcd0123} }, 0x1122334455660000 },
	{ "push wraps at 64K", MODE_REAL, "ff37", { {RBX, 0x900}, {RSP, 0} }, 0xfff8, D, { {RSP, 0xfffe} }, 0x0000334455667788 },
	{ "push dword in real mode", MODE_REAL, "66ff37", { {RBX, 0x900}, {RSP, 0x127} }, 0x123, D, { {RSP, 0x123} }, 0x1122334400000000 },
	{ "push on a 32-bit stack from 16-bit code", MODE_16, "ff37", { {RBX, 0x900}, {RSP, 0x20002} }, 0x20000, D, { {RSP, 0x20000} }, 0x1122334455660000, .prepare = big_stack },
	{ "push dword [eax]", MODE_32, "ff30", { {RAX, 0x900}, {RSP, 0x127} }, 0x123, D, { {RSP, 0x123} }, 0x1122334400000000 },
	{ "push word in 64-bit mode", MODE_64, "66ff30", { {RAX, 0x900}, {RSP, 0x125} }, 0x123, D, { {RSP, 0x123} }, 0x1122334455660000 },
	{ "pop dword [esp+4]", MODE_32, "8f442404", { {RSP, 0x11b} }, 0x11b, D, { {RSP, 0x11f} }, D },
	{ "pop word [bx]", MODE_REAL, "8f07", { {RBX, 0x123}, {RSP, 0x900} }, 0x123, D, { {RSP, 0x902} }, 0x1122334455660000 },
	/* near branches through memory */
	{ "jmp [rbx]", MODE_64, "ff23", { {RBX, 0x123} }, 0x123, 0x1234, { {RIP, 0x1234} }, 0x1234 },
	{ "jmp [bx]", MODE_REAL, "ff27", { {RBX, 0x123} }, 0x123, D, { {RIP, 0x7788} }, D },
	{ "jmp dword [ebx], not within the limit", MODE_32, "ff23", { {RBX, 0x123} }, 0x123, 0x100000000ull | 0x10000, GP, .prepare = small_code },
	{ "jmp [rbx], not canonical", MODE_64, "ff23", { {RBX, 0x123} }, 0x123, 1ull << 47, GP },
	{ "call [rbx]", MODE_64, "ff13", { {RBX, 0x200}, {RSP, 0x12b} }, 0x123, D, { {RIP, 0}, {RSP, 0x123} }, CODE + 2 },
	{ "call [ebx]", MODE_32, "ff13", { {RBX, 0x200}, {RSP, 0x127} }, 0x123, D, { {RIP, 0}, {RSP, 0x123} }, 0x1122334400000000 | (CODE + 2) },
	{ "call [bx]", MODE_REAL, "ff17", { {RBX, 0x200}, {RSP, 0x125} }, 0x123, D, { {RIP, 0}, {RSP, 0x123} }, 0x1122334455660000 | (CODE + 2) },
	/* division: quotients and rests that the processor test leaves out, and #DE */
	{ "div byte", MODE_32, "f633", { {RBX, 0x123}, {RAX, 0x1234abcd0405} }, 0x123, 0x10, { {RAX, 0x1234abcd0540} }, 0x10 },
	{ "div word", MODE_REAL, "f737", { {RBX, 0x123}, {RAX, 0x0007}, {RDX, 0xa} }, 0x123, 0x10, { {RAX, 0xa000}, {RDX, 7} }, 0x10 },
	{ "div dword", MODE_64, "f733", { {RBX, 0x123}, {RAX, 7}, {RDX, 0xa} }, 0x123, 0x10, { {RAX, 0xa0000000}, {RDX, 7} }, 0x10 },
	{ "div qword", MODE_64, "48f733", { {RBX, 0x123}, {RAX, 7}, {RDX, 0xa} }, 0x123, 0x10, { {RAX, 0xa000000000000000}, {RDX, 7} }, 0x10 },
	{ "div by zero", MODE_64, "f733", { {RBX, 0x123}, {RAX, 7} }, 0x123, 0, DE },
	{ "div overflows", MODE_64, "48f733", { {RBX, 0x123}, {RDX, 0x10} }, 0x123, 0x10, DE },
	{ "idiv byte", MODE_32, "f63b", { {RBX, 0x123}, {RAX, 0xfff9} }, 0x123, 2, { {RAX, 0xfffd} }, 2 },
	{ "idiv dword", MODE_32, "f73b", { {RBX, 0x123}, {RAX, 7}, {RDX, 0} }, 0x123, 0xfffffffe, { {RAX, 0xfffffffd}, {RDX, 1} }, 0xfffffffe },
	{ "idiv qword", MODE_64, "48f73b", { {RBX, 0x123}, {RAX, -7}, {RDX, -1} }, 0x123, -2, { {RAX, 3}, {RDX, -1} }, -2 },
	{ "idiv, the least quotient", MODE_32, "f73b", { {RBX, 0x123}, {RAX, 0x80000000}, {RDX, 0} }, 0x123, 0xffffffff, { {RAX, 0x80000000}, {RDX, 0} }, 0xffffffff },
	{ "idiv overflows", MODE_32, "f73b", { {RBX, 0x123}, {RAX, 0x80000000}, {RDX, -1} }, 0x123, 0xffffffff, DE },
	{ "idiv by zero", MODE_32, "f73b", { {RBX, 0x123}, {RAX, 1} }, 0x123, 0, DE },
	/* nothing to do */
	{ "clflush", MODE_64, "0fae3b", { {RBX, 0x123} }, 0x123, D, { {0} }, D },
	{ "clflushopt", MODE_64, "660fae3b", { {RBX, 0x123} }, 0x123, D, { {0} }, D },
	{ "prefetchw", MODE_64, "0f0d0b", { {RBX, 0x123} }, 0x123, D, { {0} }, D },
	{ "prefetcht0", MODE_64, "0f180b", { {RBX, 0x123} }, 0x123, D, { {0} }, D },
	/* limits and types */
	{ "the limit's last byte", MODE_32, "8b03", { {RBX, 0xffc} }, 0xffc, D, { {RAX, 0x55667788} }, D, .prepare = small_data },
	{ "beyond the limit", MODE_32, "8b03", { {RBX, 0xffd} }, 0xffd, D, GP, .prepare = small_data },
	{ "far beyond the limit", MODE_32, "8b03", { {RBX, 0x80000000} }, 0, D, GP, .prepare = small_data },
	{ "beyond the stack's limit", MODE_32, "8b4500", { {RBP, 0x1000} }, 0, D, SS, .prepare = small_data },
	{ "beyond an override's limit", MODE_32, "263e368b03", { {RBX, 0x1000} }, 0, D, SS, .prepare = small_data },
	{ "real mode: word at ffff", MODE_REAL, "8b07", { {RBX, 0xffff} }, 0, D, GP },
	{ "real mode: 32-bit address above 64K", MODE_REAL, "678b03", { {RBX, 0x10000} }, 0, D, GP },
	{ "real mode: unreal limit", MODE_REAL, "678b03", { {RBX, 0x10123} }, 0x10123, D, { {RAX, 0x7788} }, D, .prepare = unreal },
	{ "vm86: stack at ffff", MODE_VM86, "8b4600", { {RBP, 0xffff} }, 0, D, SS },
	{ "write to read-only data", MODE_32, "8903", { {RBX, 0x123} }, 0x123, D, GP, .prepare = read_only },
	{ "read-modify-write of read-only data", MODE_32, "0103", { {RBX, 0x123} }, 0x123, D, GP, .prepare = read_only },
	{ "read of read-only data", MODE_32, "8b03", { {RBX, 0x123} }, 0x123, D, { {RAX, 0x55667788} }, D, .prepare = read_only },
	{ "read of execute-only code", MODE_32, "8b03", { {RBX, 0x123} }, 0x123, D, GP, .prepare = execute_only },
	{ "read of readable code", MODE_32, "8b03", { {RBX, 0x123} }, 0x123, D, { {RAX, 0x55667788} }, D, .prepare = readable_code },
	{ "write to code", MODE_32, "8903", { {RBX, 0x123} }, 0x123, D, GP, .prepare = readable_code },
	{ "null segment", MODE_32, "8b03", { {RBX, 0x123} }, 0x123, D, GP, .prepare = null_data },
	{ "null segment in 64-bit mode", MODE_64, "8b03", { {RBX, 0x123} }, 0x123, D, { {RAX, 0x55667788} }, D, .prepare = null_data },
	{ "null segment in real mode", MODE_REAL, "8b07", { {RBX, 0x123} }, 0x123, D, { {RAX, 0x7788} }, D, .prepare = null_data },
	{ "expand-down, below", MODE_32, "8b03", { {RBX, 0xfff} }, 0, D, GP, .prepare = expand_down },
	{ "expand-down, above", MODE_32, "8b03", { {RBX, 0x1000} }, 0x1000, D, { {RAX, 0x55667788} }, D, .prepare = expand_down },
	{ "expand-down, beyond 64K", MODE_32, "8b03", { {RBX, 0x10000} }, 0, D, GP, .prepare = expand_down },
	{ "expand-down, across 64K", MODE_32, "8b03", { {RBX, 0xfffd} }, 0, D, GP, .prepare = expand_down },
	{ "expand-down big, beyond 64K", MODE_32, "8b03", { {RBX, 0x10000} }, 0x10000, D, { {RAX, 0x55667788} }, D, .prepare = expand_down_big },
	{ "not canonical", MODE_64, "8b03", { {RBX, 0x800000000000} }, 0, D, GP },
	{ "not canonical in its last byte", MODE_64, "8b03", { {RBX, 0x7ffffffffffd} }, 0, D, GP },
	{ "not canonical, stack", MODE_64, "8b4500", { {RBP, 0x1234567800000000} }, 0, D, SS },
	{ "not canonical by GS base", MODE_64, "658b03", { {RBX, 0x7fffffffffff} }, 0, D, GP, .prepare = bases },
	{ "canonical with five levels", MODE_64, "8b03", { {RBX, 0x800000000000} }, 0, D, { {0} }, D, DECODE_UNKNOWN, .prepare = la57 },
	/* LOCK */
	{ "lock mov", MODE_32, "f08903", { {RBX, 0x123} }, 0x123, D, UD },
	{ "lock add to a register", MODE_32, "f001c3", { {RBX, 0x123} }, 0x123, D, UD },
	{ "lock add from memory", MODE_32, "f00303", { {RBX, 0x123} }, 0x123, D, UD },
	{ "lock cmp", MODE_32, "f03903", { {RBX, 0x123} }, 0x123, D, UD },
	{ "lock cmp imm", MODE_32, "f0833b01", { {RBX, 0x123} }, 0x123, D, UD },
	{ "lock test", MODE_32, "f0f60301", { {RBX, 0x123} }, 0x123, D, UD },
	{ "lock bt", MODE_32, "f00fba2301", { {RBX, 0x123} }, 0x123, D, UD },
	{ "lock push", MODE_32, "f0ff33", { {RBX, 0x123}, {RSP, 0x900} }, 0x123, D, UD },
	{ "lock movs", MODE_32, "f0a4", { {RSI, 0x123} }, 0x123, D, UD },
	{ "lock neg", MODE_32, "f0f71b", { {RBX, 0x123} }, 0x123, 1, { {RFLAGS, 0x97} }, 0xffffffff },
	/* single string steps in other modes */
	{ "movsw in real mode", MODE_REAL, "a5", { {RSI, 0x123}, {RDI, 0x200} }, 0x40123, D, { {RSI, 0x125}, {RDI, 0x202} }, D, .prepare = bases_real },
	{ "lodsb wraps SI", MODE_REAL, "ac", { {RSI, 0xffff} }, 0xffff, D, { {RSI, 0}, {RAX, 0x88} }, D },
	{ "lodsd with fs", MODE_32, "64ad", { {RSI, 0x123} }, 0x50123, D, { {RSI, 0x127}, {RAX, 0x55667788} }, D, .prepare = bases },
	{ "stosd goes to ES", MODE_32, "64ab", { {RDI, 0x123}, {RAX, 5} }, 0x10123, D, { {RDI, 0x127} }, 0x1122334400000005, .prepare = bases },
	{ "stosb with 67 clears RDI's upper half", MODE_64, "67aa", { {RDI, 0xffffffff00000123}, {RAX, 5} }, 0x123, D, { {RDI, 0x124} }, 0x1122334455667705 },
	{ "rep stosw, CX counts in real mode", MODE_REAL, "f3ab", { {RDI, 0x123}, {RAX, 0x4142}, {RCX, 0x10003} }, 0x123, D, { {RDI, 0x129}, {RCX, 0x10000} }, 0x1122414241424142 },
	{ "rep stosb down", MODE_32, "f3aa", { {RDI, 0x125}, {RAX, 0x41}, {RCX, 3}, {RFLAGS, 0x402} }, 0x123, D, { {RDI, 0x122}, {RCX, 0} }, 0x1122334455414141 },
	{ "rep with count 0", MODE_32, "f3aa", { {RDI, 0x123}, {RAX, 0x41} }, 0x123, D, { {0} }, D },
	{ "repne scasb finds", MODE_32, "f2ae", { {RDI, 0x123}, {RAX, 0x66}, {RCX, 8} }, 0x123, D, { {RDI, 0x126}, {RCX, 5}, {RFLAGS, 0x46} }, D },
	{ "repe cmpsb ends", MODE_32, "f3a6", { {RSI, 0x123}, {RDI, 0x124}, {RCX, 8} }, 0x123, 0x22222222, { {RSI, 0x127}, {RDI, 0x128}, {RCX, 4}, {RFLAGS, 0x6} }, 0x22222222 },
	/* refused */
	{ "movaps without CR4.OSFXSR", MODE_64, "0f2803", { {RBX, 0x120} }, 0x120, D, UD },
	{ "addps", MODE_64, "0f5803", { {RBX, 0x120} }, 0x120, D, { {0} }, D, DECODE_UNKNOWN },
	{ "movq mm", MODE_64, "0f6f03", { {RBX, 0x120} }, 0x120, D, { {0} }, D, DECODE_UNKNOWN },
	{ "vmovdqu", MODE_64, "c5fa6f03", { {RBX, 0x120} }, 0x120, D, { {0} }, D, DECODE_UNKNOWN },
	{ "crc32", MODE_64, "f20f38f003", { {RBX, 0x120} }, 0x120, D, { {0} }, D, DECODE_UNKNOWN },
	{ "arpl", MODE_32, "6303", { {RBX, 0x120} }, 0x120, D, { {0} }, D, DECODE_UNKNOWN },
	{ "call far [ebx]", MODE_32, "ff1b", { {RBX, 0x120} }, 0x120, D, { {0} }, D, DECODE_UNKNOWN },
	{ "jmp far [ebx]", MODE_32, "ff2b", { {RBX, 0x120} }, 0x120, D, { {0} }, D, DECODE_UNKNOWN },
	{ "ldmxcsr", MODE_64, "0fae13", { {RBX, 0x120} }, 0x120, D, { {0} }, D, DECODE_UNKNOWN },
	{ "invlpg", MODE_64, "0f013b", { {RBX, 0x120} }, 0x120, D, { {0} }, D, DECODE_UNKNOWN },
	{ "8f /1 (XOP)", MODE_32, "8f0b", { {RBX, 0x120}, {RSP, 0x900} }, 0x120, D, { {0} }, D, DECODE_UNKNOWN },
	{ "cmpxchg16b", MODE_64, "480fc70b", { {RBX, 0x120} }, 0x120, D, { {0} }, D, DECODE_UNKNOWN },
	{ "movnti of 16 bits", MODE_64, "660fc303", { {RBX, 0x120} }, 0x120, D, { {0} }, D, DECODE_UNKNOWN },
	{ "mov imm /1", MODE_32, "c70b00000000", { {RBX, 0x120} }, 0x120, D, { {0} }, D, DECODE_UNKNOWN },
	{ "hlt", MODE_32, "f4", { {0} }, 0x120, D, { {0} }, D, DECODE_UNKNOWN },
	{ "15 prefixes", MODE_32, "262626262626262626262626262626", { {0} }, 0, D, GP },
	{ "16 bytes", MODE_64, "26262626262626c70425 2301000001000000", { {0} }, 0, D, GP },
};

static void set(struct abi_regs *regs, const struct value *v, unsigned int n)
{
	while (n--)
		if (v[n].reg || v[n].v)
			((u64 *)regs)[v[n].reg] = v[n].v;
}

static void check_row(const struct row *r)
{
	unsigned int len, failures = test_failures();
	struct abi_regs want;
	int rc;

	memset(mem, 0, sizeof(mem));
	len = hex(r->code, mem + CODE);
	put(r->at, r->mem);
	state_init(&state, r->mode);
	state.regs.rip = CODE;
	set(&state.regs, r->in, COUNT(r->in));
	if (r->prepare)
		r->prepare(&state);
	before = state;
	want = state.regs;
	if (!r->rc) {
		want.rip = CODE + len;
		set(&want, r->out, COUNT(r->out));
	}
	rc = decode_emulate(&state, &table_ops, NULL);
	CHECK_EQ(rc, r->rc);
	CHECK_EQ(state.regs.rax, want.rax);
	CHECK_EQ(state.regs.rcx, want.rcx);
	CHECK_EQ(state.regs.rsi, want.rsi);
	CHECK_EQ(state.regs.rdi, want.rdi);
	CHECK_EQ(state.regs.rsp, want.rsp);
	CHECK_EQ(state.regs.rip, want.rip);
	if (r->out[0].reg == RFLAGS || r->out[1].reg == RFLAGS || r->rc)
		CHECK_EQ(state.regs.rflags, want.rflags);
	else
		want.rflags = state.regs.rflags;
	CHECK(!memcmp(&state.regs, &want, sizeof(want)));
	CHECK_EQ(get(r->at), r->rc ? r->mem : r->mem_out);
	if (rc == DECODE_FAULT) {
		CHECK_EQ(state.fault.vector, r->vector);
		CHECK_EQ(state.fault.error, 0);
		CHECK_EQ(state.fault.has_error, r->vector >= 12 && r->mode != MODE_REAL);
	}
	CHECK(!memcmp(state.seg, before.seg, sizeof(state.seg)));
	CHECK_EQ(state.shadow_sti, 0);
	if (test_failures() != failures)
		test_fail(__FILE__, __LINE__, "row: %s (%s)", r->name, r->code);
}

TEST(decode_table_rows)
{
	unsigned int i;

	for (i = 0; i < COUNT(rows); i++)
		check_row(&rows[i]);
	printf("  %u rows\n", (unsigned int)COUNT(rows));
}

/* ---- control and debug registers ---- */

#define CR(n) DECODE_CR(n)
#define DR(n) DECODE_DR(n)
#define NOTHING 24	/* no register's place */
#define GUARD 0x2400ull	/* DR7: GD */

static const struct special_row {
	const char *name;
	enum mode mode;
	const char *code;
	u64 rax;
	u32 cpl;
	u64 cr4, dr7;
	u32 which;		/* the register to look at; before: D */
	u64 after, rax_after;
	int rc;
	u32 vector;
} special_rows[] = {
	{ "mov cr0, rax", MODE_64, "0f22c0", 0x80000011, 0, 0, 0, CR(0), 0x80000011, 0x80000011 },
	{ "mov rax, cr0", MODE_64, "0f20c0", 0, 0, 0, 0, CR(0), D, D },
	{ "mov eax, cr3", MODE_32, "0f20d8", ~0ull, 0, 0, 0, CR(3), D, (u32)D },
	{ "mov cr4, eax ignores the upper half", MODE_32, "0f22e0", 0xffff000000000020, 0, 0, 0, CR(4), 0x20, 0xffff000000000020 },
	{ "ModRM.mod is ignored", MODE_64, "0f2220", 0x20, 0, 0, 0, CR(4), 0x20, 0x20 },
	{ "mov cr8, rax", MODE_64, "440f22c0", 5, 0, 0, 0, CR(8), 5, 5 },
	{ "lock mov cr0 is cr8", MODE_32, "f00f22c0", 5, 0, 0, 0, CR(8), 5, 5 },
	{ "lock mov cr3", MODE_32, "f00f22d8", 5, 0, 0, 0, CR(8), D, 5, DECODE_FAULT, 6 },
	{ "mov cr1", MODE_64, "0f22c8", 5, 0, 0, 0, NOTHING, D, 5, DECODE_FAULT, 6 },
	{ "mov cr9", MODE_64, "440f22c8", 5, 0, 0, 0, NOTHING, D, 5, DECODE_FAULT, 6 },
	{ "mov cr4 in ring 3", MODE_64, "0f22e0", 5, 3, 0, 0, CR(4), D, 5, DECODE_FAULT, 13 },
	{ "a value that is refused", MODE_64, "0f22e0", 1ull << 63, 0, 0, 0, CR(4), D, 1ull << 63, DECODE_FAULT, 13 },
	{ "clts", MODE_32, "0f06", 0, 0, 0, 0, CR(0), 1, 0 },
	{ "clts in ring 1", MODE_32, "0f06", 0, 1, 0, 0, CR(0), D, 0, DECODE_FAULT, 13 },
	{ "lmsw keeps PE", MODE_32, "0f01f0", 0xfff8, 0, 0, 0, CR(0), 9, 0xfff8 },
	{ "lmsw in ring 3", MODE_32, "0f01f0", 0, 3, 0, 0, CR(0), D, 0, DECODE_FAULT, 13 },
	{ "smsw eax", MODE_64, "0f01e0", ~0ull, 3, 0, 0, NOTHING, D, 0x80000001 },
	{ "smsw with UMIP", MODE_64, "0f01e0", 7, 3, 0x800, 0, NOTHING, D, 7, DECODE_FAULT, 13 },
	{ "mov dr0, rax", MODE_64, "0f23c0", 0x1234, 0, 0, 0, DR(0), 0x1234, 0x1234 },
	{ "mov rax, dr3", MODE_64, "0f21d8", 0, 0, 0, 0, DR(3), D, D },
	{ "mov dr4 is dr6", MODE_64, "0f23e0", 0xffffffff, 0, 0, 0, DR(6), 0xffffefff, 0xffffffff },
	{ "mov dr5 is dr7", MODE_64, "0f23e8", 0xffff2bff & ~0x2000u, 0, 0, 0, DR(7), 0xffff0fff, 0xffff0bff },
	{ "mov dr4 with DE", MODE_64, "0f23e0", 0, 0, 8, 0, DR(6), D, 0, DECODE_FAULT, 6 },
	{ "mov dr8", MODE_64, "440f23c0", 0, 0, 0, 0, NOTHING, D, 0, DECODE_FAULT, 6 },
	{ "mov dr7 with upper bits", MODE_64, "0f23f8", 1ull << 32, 0, 0, 0, NOTHING, D, 1ull << 32, DECODE_FAULT, 13 },
	{ "mov dr0 in ring 3", MODE_64, "0f23c0", 0, 3, 0, 0, DR(0), D, 0, DECODE_FAULT, 13 },
	{ "mov dr0 under guard: DR6.BD", MODE_64, "0f23c0", 0, 0, 0, GUARD, DR(6), (D & ~15ull) | 0xffff2ff0, 0, DECODE_FAULT, 1 },
	{ "mov dr0 under guard: GD goes", MODE_64, "0f23c0", 0, 0, 0, GUARD, DR(7), 0x400, 0, DECODE_FAULT, 1 },
};

static void check_special(const struct special_row *r)
{
	unsigned int i, len, failures = test_failures();

	for (i = 0; i < COUNT(special); i++)
		special[i] = D;
	special[DR(7)] = r->dr7;
	memset(mem, 0, sizeof(mem));
	len = hex(r->code, mem + CODE);
	state_init(&state, r->mode);
	state.regs.rip = CODE;
	state.regs.rax = r->rax;
	state.cpl = r->cpl;
	state.cr4 = r->cr4;
	CHECK_EQ(decode_emulate(&state, &table_ops, NULL), r->rc);
	CHECK_EQ(special[r->which], r->after);
	CHECK_EQ(state.regs.rax, r->rax_after);
	CHECK_EQ(state.regs.rip, CODE + (r->rc ? 0 : len));
	if (r->rc)
		CHECK_EQ(state.fault.vector, r->vector);
	if (test_failures() != failures)
		test_fail(__FILE__, __LINE__, "row: %s (%s)", r->name, r->code);
}

TEST(decode_table_special_registers)
{
	unsigned int i;

	for (i = 0; i < COUNT(special_rows); i++)
		check_special(&special_rows[i]);
}

/* ---- XMM registers ---- */

#define E 0x99aabbccddeeff00ull
#define V 0x0123456789abcdefull

static const struct vector_row {
	const char *name, *code;
	u64 at;		/* RBX; memory there is D, E */
	u64 cr0, cr4;
	u64 xmm[2], mem[2];	/* after; XMM9 before: V, ~V */
	int rc;
	u32 vector;
} vector_rows[] = {
	{ "movups load", "440f100b", 0x123, 0, 0x200, { D, E }, { D, E } },
	{ "movaps load", "440f280b", 0x120, 0, 0x200, { D, E }, { D, E } },
	{ "movaps load, not aligned", "440f280b", 0x128, 0, 0x200, { V, ~V }, { D, E }, DECODE_FAULT, 13 },
	{ "movdqa load", "66440f6f0b", 0x120, 0, 0x200, { D, E }, { D, E } },
	{ "movdqu store", "f3440f7f0b", 0x123, 0, 0x200, { V, ~V }, { V, ~V } },
	{ "movaps store", "440f290b", 0x120, 0, 0x200, { V, ~V }, { V, ~V } },
	{ "movntdq store, not aligned", "66440fe70b", 0x121, 0, 0x200, { V, ~V }, { D, E }, DECODE_FAULT, 13 },
	{ "movss load", "f3440f100b", 0x123, 0, 0x200, { (u32)D, 0 }, { D, E } },
	{ "movsd store", "f2440f110b", 0x123, 0, 0x200, { V, ~V }, { V, E } },
	{ "movd load", "66440f6e0b", 0x123, 0, 0x200, { (u32)D, 0 }, { D, E } },
	{ "movq load by REX.W", "664c0f6e0b", 0x123, 0, 0x200, { D, 0 }, { D, E } },
	{ "movd store", "66440f7e0b", 0x123, 0, 0x200, { V, ~V }, { (D >> 32 << 32) | (u32)V, E } },
	{ "movq load", "f3440f7e0b", 0x123, 0, 0x200, { D, 0 }, { D, E } },
	{ "movq store", "66440fd60b", 0x123, 0, 0x200, { V, ~V }, { V, E } },
	{ "CR0.TS", "440f100b", 0x123, 8, 0x200, { V, ~V }, { D, E }, DECODE_FAULT, 7 },
	{ "CR0.EM", "440f100b", 0x123, 4, 0x200, { V, ~V }, { D, E }, DECODE_FAULT, 6 },
	{ "no CR4.OSFXSR", "440f100b", 0x123, 0, 0, { V, ~V }, { D, E }, DECODE_FAULT, 6 },
};

static void check_vector(const struct vector_row *r)
{
	unsigned int len, failures = test_failures();

	vector[9][0] = V;
	vector[9][1] = ~V;
	memset(mem, 0, sizeof(mem));
	len = hex(r->code, mem + CODE);
	put(r->at, D);
	put(r->at + 8, E);
	state_init(&state, MODE_64);
	state.regs.rip = CODE;
	state.regs.rbx = r->at;
	state.cr0 |= r->cr0;
	state.cr4 = r->cr4;
	CHECK_EQ(decode_emulate(&state, &table_ops, NULL), r->rc);
	CHECK(!memcmp(vector[9], r->xmm, sizeof(r->xmm)));
	CHECK_EQ(get(r->at), r->mem[0]);
	CHECK_EQ(get(r->at + 8), r->mem[1]);
	CHECK_EQ(state.regs.rip, CODE + (r->rc ? 0 : len));
	if (r->rc)
		CHECK_EQ(state.fault.vector, r->vector);
	if (test_failures() != failures)
		test_fail(__FILE__, __LINE__, "row: %s (%s)", r->name, r->code);
}

TEST(decode_table_vector_moves)
{
	unsigned int i;

	for (i = 0; i < COUNT(vector_rows); i++)
		check_vector(&vector_rows[i]);
}

/* ---- #UD ---- */

static int undefined(const char *code, u8 native)
{
	memset(mem, 0, sizeof(mem));
	hex(code, mem + CODE);
	state_init(&state, MODE_64);
	state.regs.rip = CODE;
	return decode_undefined(&state, &table_ops, NULL, native);
}

/* The other vendor's hypercall becomes this one's; whatever else raised #UD gets it. */
TEST(decode_table_undefined)
{
	static const u8 vmcall[] = { 0x0f, 1, 0xc1 }, vmmcall[] = { 0x0f, 1, 0xd9 };
	static const char *const others[] = { "0f0b", "f00f01c1", "0f01c2", "f08903", "0f22c0" };
	unsigned int i;

	CHECK_EQ(undefined("0f01c1", DECODE_VMMCALL), DECODE_DONE);
	CHECK(!memcmp(mem + CODE, vmmcall, 3));
	CHECK_EQ(undefined("0f01d9", DECODE_VMCALL), DECODE_DONE);
	CHECK(!memcmp(mem + CODE, vmcall, 3));
	CHECK_EQ(undefined("0f01c1", DECODE_VMCALL), DECODE_DONE);
	CHECK_EQ(state.regs.rip, CODE);
	for (i = 0; i < COUNT(others); i++) {
		CHECK_EQ(undefined(others[i], DECODE_VMMCALL), DECODE_FAULT);
		CHECK_EQ(state.fault.vector, 6);
		CHECK_EQ(state.fault.has_error, 0);
		CHECK_EQ(state.regs.rip, CODE);
	}
}
