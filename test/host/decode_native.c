// SPDX-License-Identifier: BSD-2-Clause
/*
 * decode_native.c - the decoder against the processor that runs the test.
 *
 * Random encodings of each supported 64-bit form, with a memory operand in a
 * small arena, are executed twice from the same registers and memory: by the
 * processor, in a thunk that loads and stores all registers, and by
 * decode_emulate(). Registers, defined flags and memory must come out equal.
 * Before that the decoder runs with callbacks that refuse: nothing may change.
 */
#include <stdio.h>
#include <stddef.h>
#include <sys/mman.h>
#include "decode_test.h"

#if defined(__x86_64__)

/* The arena's pages: thunk, its state, then the memory operands' pages. */
#define PAGE 4096
#define DATA_PAGES 6
#define DATA_BYTES (DATA_PAGES * PAGE)

struct thunk_state {
	struct abi_regs regs;
	u64 host_rsp;
};

/* KVM's register order: rax rbx rcx rdx rsi rdi rsp rbp r8.. r15 rip rflags. */
#define SLOT(n) "thunk_start + 4096 + 8 * " #n "(%rip)"
asm(".pushsection .rodata\n"
"thunk_start:\n"
"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
"	mov %rsp, " SLOT(18) "\n"
"	push " SLOT(17) "; popf\n"
"	mov " SLOT(0) ", %rax; mov " SLOT(1) ", %rbx; mov " SLOT(2) ", %rcx; mov " SLOT(3) ", %rdx\n"
"	mov " SLOT(4) ", %rsi; mov " SLOT(5) ", %rdi; mov " SLOT(6) ", %rsp; mov " SLOT(7) ", %rbp\n"
"	mov " SLOT(8) ", %r8; mov " SLOT(9) ", %r9; mov " SLOT(10) ", %r10; mov " SLOT(11) ", %r11\n"
"	mov " SLOT(12) ", %r12; mov " SLOT(13) ", %r13; mov " SLOT(14) ", %r14; mov " SLOT(15) ", %r15\n"
"thunk_insn:\n"
"	.fill 16, 1, 0x90\n"
"	mov %rax, " SLOT(0) "; mov %rbx, " SLOT(1) "; mov %rcx, " SLOT(2) "; mov %rdx, " SLOT(3) "\n"
"	mov %rsi, " SLOT(4) "; mov %rdi, " SLOT(5) "; mov %rsp, " SLOT(6) "; mov %rbp, " SLOT(7) "\n"
"	mov %r8, " SLOT(8) "; mov %r9, " SLOT(9) "; mov %r10, " SLOT(10) "; mov %r11, " SLOT(11) "\n"
"	mov %r12, " SLOT(12) "; mov %r13, " SLOT(13) "; mov %r14, " SLOT(14) "; mov %r15, " SLOT(15) "\n"
"	mov " SLOT(18) ", %rsp\n"
"	pushf; pop " SLOT(17) "\n"
"	cld\n"
"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
"	ret\n"
"thunk_end:\n"
".popsection\n");
extern const u8 thunk_start[], thunk_insn[], thunk_end[];

static u8 *arena, *insn_at, *data;
static struct thunk_state *native;
static u8 saved[DATA_BYTES], after[DATA_BYTES];

static int arena_open(void)
{
	if (arena)
		return 1;
	arena = mmap(NULL, (2 + DATA_PAGES) * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (arena == MAP_FAILED) {
		arena = NULL;
		return 0;
	}
	memcpy(arena, thunk_start, thunk_end - thunk_start);
	insn_at = arena + (thunk_insn - thunk_start);
	native = (struct thunk_state *)(arena + PAGE);
	data = arena + 2 * PAGE;
	return 1;
}

static void run_native(void)
{
	((void (*)(void))(unsigned long)arena)();
}

/* What about an encoding is special. */
#define G_BYTE 0x1	/* bit 0 of the opcode clear: a byte form */
#define G_IMM8 0x2
#define G_IMM 0x4	/* immediate of the operand's size */
#define G_LOCK 0x8	/* LOCK may stand before the memory form */
#define G_MEM 0x10	/* no register form */
#define G_BITS 0x20	/* the register operand is a bit offset */
#define G_SHIFT 0x40	/* flags defined by the count */
#define G_LOGIC 0x80	/* AF undefined */
#define G_BITFLAGS 0x100	/* only CF (and ZF, kept) defined */
#define G_NO16 0x200
#define G_STACK 0x400	/* RSP points into the data */
#define G_STRING 0x800
#define G_NOW 0x1000	/* no REX.W */
#define G_MUL 0x4000	/* CF and OF alone defined */
#define G_ACC 0x2000	/* RAX equals the operand half of the time */

struct form {
	unsigned int map;	/* 0: one byte, 1: 0F, 2: 0F 38 */
	u8 first, last;	/* opcodes */
	s8 reg;		/* ModRM.reg of a group, -1: any register */
	unsigned int flags;
};

static const struct form forms[] = {
	{ 0, 0x00, 0x01, -1, G_BYTE | G_LOCK }, { 0, 0x02, 0x03, -1, G_BYTE },
	{ 0, 0x08, 0x09, -1, G_BYTE | G_LOCK | G_LOGIC }, { 0, 0x0a, 0x0b, -1, G_BYTE | G_LOGIC },
	{ 0, 0x10, 0x11, -1, G_BYTE | G_LOCK }, { 0, 0x12, 0x13, -1, G_BYTE },
	{ 0, 0x18, 0x19, -1, G_BYTE | G_LOCK }, { 0, 0x1a, 0x1b, -1, G_BYTE },
	{ 0, 0x20, 0x21, -1, G_BYTE | G_LOCK | G_LOGIC }, { 0, 0x22, 0x23, -1, G_BYTE | G_LOGIC },
	{ 0, 0x28, 0x29, -1, G_BYTE | G_LOCK }, { 0, 0x2a, 0x2b, -1, G_BYTE },
	{ 0, 0x30, 0x31, -1, G_BYTE | G_LOCK | G_LOGIC }, { 0, 0x32, 0x33, -1, G_BYTE | G_LOGIC },
	{ 0, 0x38, 0x3b, -1, G_BYTE },
	{ 0, 0x63, 0x63, -1, 0 }, { 0, 0x69, 0x69, -1, G_IMM | G_MUL }, { 0, 0x6b, 0x6b, -1, G_IMM8 | G_MUL },
	{ 0, 0x80, 0x81, 0, G_BYTE | G_IMM | G_LOCK }, { 0, 0x80, 0x81, 1, G_BYTE | G_IMM | G_LOCK | G_LOGIC },
	{ 0, 0x80, 0x81, 2, G_BYTE | G_IMM | G_LOCK }, { 0, 0x80, 0x81, 3, G_BYTE | G_IMM | G_LOCK },
	{ 0, 0x80, 0x81, 4, G_BYTE | G_IMM | G_LOCK | G_LOGIC }, { 0, 0x80, 0x81, 5, G_BYTE | G_IMM | G_LOCK },
	{ 0, 0x80, 0x81, 6, G_BYTE | G_IMM | G_LOCK | G_LOGIC }, { 0, 0x80, 0x81, 7, G_BYTE | G_IMM },
	{ 0, 0x83, 0x83, 0, G_IMM8 | G_LOCK }, { 0, 0x83, 0x83, 1, G_IMM8 | G_LOCK | G_LOGIC },
	{ 0, 0x83, 0x83, 2, G_IMM8 | G_LOCK }, { 0, 0x83, 0x83, 3, G_IMM8 | G_LOCK },
	{ 0, 0x83, 0x83, 4, G_IMM8 | G_LOCK | G_LOGIC }, { 0, 0x83, 0x83, 5, G_IMM8 | G_LOCK },
	{ 0, 0x83, 0x83, 6, G_IMM8 | G_LOCK | G_LOGIC }, { 0, 0x83, 0x83, 7, G_IMM8 },
	{ 0, 0x84, 0x85, -1, G_BYTE | G_LOGIC }, { 0, 0x86, 0x87, -1, G_BYTE | G_LOCK },
	{ 0, 0x88, 0x8b, -1, G_BYTE }, { 0, 0x8f, 0x8f, 0, G_STACK },
	{ 0, 0xa0, 0xa3, -2, G_BYTE | G_MEM },
	{ 0, 0xa4, 0xa7, -2, G_BYTE | G_STRING }, { 0, 0xaa, 0xaf, -2, G_BYTE | G_STRING },
	{ 0, 0xc0, 0xc1, 0, G_BYTE | G_IMM8 | G_SHIFT }, { 0, 0xc0, 0xc1, 1, G_BYTE | G_IMM8 | G_SHIFT },
	{ 0, 0xc0, 0xc1, 2, G_BYTE | G_IMM8 | G_SHIFT }, { 0, 0xc0, 0xc1, 3, G_BYTE | G_IMM8 | G_SHIFT },
	{ 0, 0xc0, 0xc1, 4, G_BYTE | G_IMM8 | G_SHIFT }, { 0, 0xc0, 0xc1, 5, G_BYTE | G_IMM8 | G_SHIFT },
	{ 0, 0xc0, 0xc1, 6, G_BYTE | G_IMM8 | G_SHIFT }, { 0, 0xc0, 0xc1, 7, G_BYTE | G_IMM8 | G_SHIFT },
	{ 0, 0xd0, 0xd3, 0, G_BYTE | G_SHIFT }, { 0, 0xd0, 0xd3, 1, G_BYTE | G_SHIFT },
	{ 0, 0xd0, 0xd3, 2, G_BYTE | G_SHIFT }, { 0, 0xd0, 0xd3, 3, G_BYTE | G_SHIFT },
	{ 0, 0xd0, 0xd3, 4, G_BYTE | G_SHIFT }, { 0, 0xd0, 0xd3, 5, G_BYTE | G_SHIFT },
	{ 0, 0xd0, 0xd3, 7, G_BYTE | G_SHIFT },
	{ 0, 0xc6, 0xc7, 0, G_BYTE | G_IMM },
	{ 0, 0xf6, 0xf7, 0, G_BYTE | G_IMM | G_LOGIC }, { 0, 0xf6, 0xf7, 1, G_BYTE | G_IMM | G_LOGIC },
	{ 0, 0xf6, 0xf7, 2, G_BYTE | G_LOCK }, { 0, 0xf6, 0xf7, 3, G_BYTE | G_LOCK },
	{ 0, 0xf6, 0xf7, 4, G_BYTE | G_MUL }, { 0, 0xf6, 0xf7, 5, G_BYTE | G_MUL },
	{ 0, 0xfe, 0xff, 0, G_BYTE | G_LOCK }, { 0, 0xfe, 0xff, 1, G_BYTE | G_LOCK },
	{ 0, 0xff, 0xff, 6, G_STACK },
	{ 1, 0x0d, 0x0d, 1, G_MEM }, { 1, 0x18, 0x18, 1, G_MEM }, { 1, 0x1f, 0x1f, 0, 0 },
	{ 1, 0x40, 0x4f, -1, 0 }, { 1, 0x90, 0x9f, 0, 0 },
	{ 1, 0xa3, 0xa3, -1, G_BITS | G_BITFLAGS },
	{ 1, 0xab, 0xab, -1, G_BITS | G_BITFLAGS | G_LOCK }, { 1, 0xb3, 0xb3, -1, G_BITS | G_BITFLAGS | G_LOCK },
	{ 1, 0xbb, 0xbb, -1, G_BITS | G_BITFLAGS | G_LOCK },
	{ 1, 0xba, 0xba, 4, G_IMM8 | G_BITFLAGS }, { 1, 0xba, 0xba, 5, G_IMM8 | G_BITFLAGS | G_LOCK },
	{ 1, 0xba, 0xba, 6, G_IMM8 | G_BITFLAGS | G_LOCK }, { 1, 0xba, 0xba, 7, G_IMM8 | G_BITFLAGS | G_LOCK },
	{ 1, 0xaf, 0xaf, -1, G_MUL },
	{ 1, 0xb0, 0xb1, -1, G_BYTE | G_LOCK | G_ACC | G_MEM }, { 1, 0xc0, 0xc1, -1, G_BYTE | G_LOCK },
	{ 1, 0xb6, 0xb7, -1, 0 }, { 1, 0xbe, 0xbf, -1, 0 },
	{ 1, 0xc3, 0xc3, -1, G_MEM | G_NO16 },
	{ 1, 0xc7, 0xc7, 1, G_MEM | G_LOCK | G_ACC | G_NOW },
	{ 2, 0xf0, 0xf1, -1, G_MEM },
};

/* One case under construction. */
struct trial {
	const struct form *form;
	u8 byte[16];
	unsigned int len;
	u8 opcode;
	unsigned int size;
	unsigned int mod;
	u64 imm;
	struct abi_regs regs;
};

static const u8 places[16] = { 0, 2, 3, 1, 6, 7, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15 };

static u64 *reg_of(struct abi_regs *regs, unsigned int n)
{
	return (u64 *)regs + places[n];
}

static void emit(struct trial *t, u64 v, unsigned int n)
{
	while (n--) {
		t->byte[t->len++] = v;
		v >>= 8;
	}
}

/* Somewhere in the middle pages, now and then across a page boundary. */
static u64 data_address(void)
{
	u64 at = 2 * PAGE + test_below(2 * PAGE - 16);

	if (!test_below(8))
		at = 3 * PAGE - 1 - test_below(8);
	return (u64)(unsigned long)data + at;
}

/* Interesting values are more telling than random ones. */
static u64 random_value(void)
{
	static const u64 edges[] = {
		0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
		0x7fffffffffffffff, 0x8000000000000000, ~0ull,
	};

	return test_below(3) ? test_random() : edges[test_below(COUNT(edges))];
}

static void emit_prefixes(struct trial *t, u8 rex)
{
	unsigned int flags = t->form->flags;

	if (t->mod != 3 && (flags & G_LOCK) && !test_below(4))
		emit(t, 0xf0, 1);
	if (t->size == 2)
		emit(t, 0x66, 1);
	if (rex || test_below(2))
		emit(t, 0x40 | rex, 1);
	if (t->form->map)
		emit(t, 0x0f, 1);
	if (t->form->map == 2)
		emit(t, 0x38, 1);
	emit(t, t->opcode, 1);
}

/* Operand size and REX.W; returns the REX bits so far. */
static u8 choose_size(struct trial *t)
{
	unsigned int flags = t->form->flags;
	u8 rex = test_below(2) && !(flags & G_NOW) ? 8 : 0;

	t->size = rex ? 8 : test_below(3) || (flags & G_NO16) ? 4 : 2;
	return rex;
}

static unsigned int immediate_bytes(const struct trial *t)
{
	if (t->form->flags & G_IMM8)
		return 1;
	if (!(t->form->flags & G_IMM))
		return 0;
	if ((t->form->flags & G_BYTE) && !(t->opcode & 1))
		return 1;
	return t->size == 8 ? 4 : t->size;
}

/* RIP-relative: the displacement counts from the instruction's end. */
static void emit_rip_relative(struct trial *t, unsigned int reg)
{
	unsigned int end = t->len + 5 + immediate_bytes(t);

	emit(t, (reg & 7) << 3 | 5, 1);
	emit(t, data_address() - ((u64)(unsigned long)insn_at + end), 4);
}

/* A memory operand by registers: base, or base and index; their values are made to fit. */
static void emit_memory(struct trial *t, unsigned int reg, unsigned int base, unsigned int index)
{
	unsigned int scale = test_below(4), mod = t->mod;
	u64 target = data_address();
	s64 disp = mod == 1 ? (s8)test_random() : mod == 2 ? (s32)test_random() : 0;
	int sib = (base & 7) == 4 || index != 4;

	emit(t, mod << 6 | (reg & 7) << 3 | (sib ? 4 : base & 7), 1);
	if (sib)
		emit(t, scale << 6 | (index & 7) << 3 | (base & 7), 1);
	emit(t, disp, mod == 1 ? 1 : mod == 2 ? 4 : 0);
	*reg_of(&t->regs, base) = target - disp;
	if (index != 4)
		*reg_of(&t->regs, base) -= *reg_of(&t->regs, index) << scale;
}

static unsigned int choose_register(struct trial *t, unsigned int base, unsigned int index)
{
	unsigned int reg;

	if (t->form->reg >= 0)
		return t->form->reg;
	do
		reg = test_below(16);
	while (reg == 4 || (t->form->flags & G_BITS && (reg == base || reg == index)));
	if (t->form->flags & G_BITS)
		*reg_of(&t->regs, reg) = (u64)(s64)((s32)test_below(32000) - 16000) ^
					 (t->size == 2 ? test_random() << 16 : 0);
	return reg;
}

static void build_modrm(struct trial *t)
{
	unsigned int base = test_below(16), index = test_below(2) ? test_below(16) : 4, reg;
	unsigned int stack = t->form->flags & G_STACK;
	u8 rex = choose_size(t);

	do
		t->mod = test_below(4);
	while (t->mod == 3 && (t->form->flags & G_MEM));
	if (stack && base == 4)	/* RSP must stay a pointer into the data */
		t->mod &= 1, index = 4;
	if (index == base)
		index = 4;
	if (t->mod == 0 && (base & 7) == 5)	/* becomes RIP-relative */
		index = 4, base = 5;
	if (base == 4 && t->mod == 3)
		base = 6;
	if (t->form->flags & G_ACC && (base == 0 || index == 0 || base == 2 || index == 2))
		base = 6, index = 4, t->mod = t->mod == 0 ? 1 : t->mod;
	reg = choose_register(t, t->mod == 3 ? 16 : base, t->mod == 3 ? 16 : index);
	rex |= (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3;
	emit_prefixes(t, t->mod == 3 ? rex & ~2 : rex);
	if (t->mod == 3)
		emit(t, 0xc0 | (reg & 7) << 3 | (base & 7), 1);
	else if (t->mod == 0 && (base & 7) == 5)
		emit_rip_relative(t, reg);
	else
		emit_memory(t, reg, base, index);
	t->imm = test_random();
	emit(t, t->imm, immediate_bytes(t));
}

static void build_moffs(struct trial *t)
{
	u8 rex = choose_size(t);

	emit_prefixes(t, rex);
	emit(t, data_address(), 8);
}

static void build_string(struct trial *t)
{
	u8 rex = choose_size(t);
	unsigned int rep = test_below(3);

	if (rep)
		emit(t, rep == 1 ? 0xf2 : 0xf3, 1);
	/* MOVS, STOS and LODS know F3 only. */
	if (rep == 1 && (t->opcode & 6) != 6)
		t->byte[t->len - 1] = 0xf3;
	emit_prefixes(t, rex);
	t->regs.rsi = data_address();
	t->regs.rdi = data_address();
	t->regs.rcx = rep ? test_below(200) : test_random();
	if (test_below(2))
		t->regs.rflags |= FLAG_D;
}

static void build(struct trial *t, const struct form *f)
{
	unsigned int i;

	memset(t, 0, sizeof(*t));
	t->form = f;
	t->opcode = f->first + test_below(f->last - f->first + 1);
	for (i = 0; i < 16; i++)
		((u64 *)&t->regs)[i] = random_value();
	t->regs.rsp = (u64)(unsigned long)data + 2 * PAGE + 512;
	t->regs.rflags = 0x202 | (test_random() & FLAGS_SIX);
	if (f->flags & G_STRING)
		build_string(t);
	else if (f->reg == -2)
		build_moffs(t);
	else
		build_modrm(t);
	t->regs.rip = (u64)(unsigned long)insn_at;
}

/* The flags that the manual leaves open for this encoding. */
static u64 undefined_flags(const struct trial *t)
{
	unsigned int flags = t->form->flags, bits = 8 * t->size, n;

	if (flags & G_LOGIC)
		return FLAG_A;
	if (flags & G_MUL)
		return FLAGS_SIX & ~(FLAG_C | FLAG_O);
	if (flags & G_BITFLAGS)
		return FLAGS_SIX & ~(FLAG_C | FLAG_Z);
	if (!(flags & G_SHIFT))
		return 0;
	if (!(t->opcode & 1))
		bits = 8;
	n = t->opcode < 0xd0 ? t->imm : t->opcode & 2 ? t->regs.rcx : 1;
	n &= bits == 64 ? 63 : 31;
	if (t->form->reg < 4)
		return n == 1 || !n ? 0 : FLAG_O;
	return (n ? FLAG_A : 0) | (n > 1 ? FLAG_O : 0) | (n >= bits && t->form->reg != 7 ? FLAG_C : 0);
}

/* ---- the decoder's side ---- */

struct refusal {
	int at;		/* the access that is refused, -1: none */
	int answer;
	unsigned int writes;
};

static int inside(u64 linear, unsigned int len)
{
	u64 from = (u64)(unsigned long)data;

	return linear >= from && linear + len <= from + DATA_BYTES;
}

static int flat_read(void *ctx, u64 linear, void *buf, unsigned int len, unsigned int access,
		     struct decode_fault *fault)
{
	struct refusal *r = ctx;

	if (access == DECODE_FETCH) {
		CHECK(linear >= (u64)(unsigned long)arena && linear + len <= (u64)(unsigned long)arena + PAGE);
		memcpy(buf, (void *)(unsigned long)linear, len);
		return 0;
	}
	if (!r->at--) {
		fault->vector = 14;
		return r->answer;
	}
	if (!inside(linear, len))
		return DECODE_UNKNOWN;
	memcpy(buf, (void *)(unsigned long)linear, len);
	return 0;
}

static int flat_write(void *ctx, u64 linear, const void *buf, unsigned int len, struct decode_fault *fault)
{
	struct refusal *r = ctx;

	if (!r->at--) {
		fault->vector = 14;
		return r->answer == DECODE_MMIO_WAIT ? DECODE_FAULT : r->answer;
	}
	if (!inside(linear, len))
		return DECODE_UNKNOWN;
	r->writes++;
	memcpy((void *)(unsigned long)linear, buf, len);
	return 0;
}

static const struct decode_ops flat_ops = { .read_mem = flat_read, .write_mem = flat_write };
static struct decode_state state;

static void state_load(const struct trial *t)
{
	unsigned int known = test_below(4) ? 0 : test_below(17);

	state_init(&state, MODE_64);
	state.regs = t->regs;
	memcpy(state.insn, insn_at, 16);
	state.insn_len = known;
}

/* Each access refused in turn: registers and memory stay as they were. */
static void check_refusals(const struct trial *t)
{
	int n, rc = DECODE_FAULT;

	for (n = 0; n < 4 && rc != DECODE_DONE; n++) {
		struct refusal r = { n, test_below(2) ? DECODE_FAULT : DECODE_MMIO_WAIT, 0 };

		state_load(t);
		rc = decode_emulate(&state, &flat_ops, &r);
		if (rc == DECODE_DONE)
			break;
		CHECK(rc == DECODE_FAULT || rc == DECODE_MMIO_WAIT);
		CHECK(!memcmp(&state.regs, &t->regs, sizeof(t->regs)));
		CHECK(!r.writes);
	}
	memcpy(data, saved, sizeof(saved));
}

static void print_trial(const struct trial *t, const struct abi_regs *want)
{
	const u64 *in = (const u64 *)&t->regs, *w = (const u64 *)want, *got = (const u64 *)&state.regs;
	static const char *const names[18] = {
		"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp", "r8", "r9", "r10", "r11",
		"r12", "r13", "r14", "r15", "rip", "rflags",
	};
	unsigned int i;

	printf("  bytes:");
	for (i = 0; i < t->len; i++)
		printf(" %02x", t->byte[i]);
	printf("\n");
	for (i = 0; i < 18; i++)
		if (w[i] != got[i])
			printf("  %s: in %llx, processor %llx, decoder %llx\n", names[i], in[i], w[i], got[i]);
	for (i = 0; i < DATA_BYTES; i++)
		if (data[i] != after[i]) {
			printf("  data+%x: in %02x, processor %02x, decoder %02x\n", i, saved[i], after[i], data[i]);
			break;
		}
}

static void run_trial(const struct trial *t)
{
	struct refusal r = { -1, 0, 0 };
	unsigned int calls = 0;
	struct abi_regs want;
	u64 open = undefined_flags(t);
	int rc, equal;

	memset(insn_at, 0x90, 16);
	memcpy(insn_at, t->byte, t->len);
	if (!(t->form->flags & G_STRING))
		check_refusals(t);
	native->regs = t->regs;
	run_native();
	want = native->regs;
	want.rip = t->regs.rip + t->len;
	want.rflags &= ~FLAG_RESUME;
	memcpy(after, data, sizeof(after));
	memcpy(data, saved, sizeof(saved));
	state_load(t);
	do
		rc = decode_emulate(&state, &flat_ops, &r);
	while (rc == DECODE_DONE && state.regs.rip == t->regs.rip && calls++ < 10);
	state.regs.rflags = (state.regs.rflags & ~open) | (want.rflags & open);
	CHECK_EQ(rc, DECODE_DONE);
	equal = !memcmp(&state.regs, &want, sizeof(want)) && !memcmp(data, after, sizeof(after));
	CHECK(equal);
	if ((!equal || rc) && test_failures() < 20)
		print_trial(t, &want);
	memcpy(data, saved, sizeof(saved));
}

#define TRIALS_PER_FORM 1500

TEST(decode_native_equals_processor)
{
	struct trial t;
	unsigned int i, n, acc = 0;

	if (!arena_open()) {
		test_skip("no memory that is writable and executable");
		return;
	}
	for (i = 0; i < DATA_BYTES; i++)
		data[i] = saved[i] = test_random();
	for (i = 0; i < COUNT(forms); i++)
		for (n = 0; n < TRIALS_PER_FORM && test_failures() < 20; n++) {
			build(&t, &forms[i]);
			/* an accumulator that matches a memory full of zeroes */
			if (forms[i].flags & G_ACC) {
				acc = test_below(2);
				memset(data, acc ? 0 : 0x5a, DATA_BYTES);
				memset(saved, acc ? 0 : 0x5a, DATA_BYTES);
				if (test_below(2))
					t.regs.rax = t.regs.rdx = 0;
			}
			run_trial(&t);
			if (forms[i].flags & G_ACC && n == TRIALS_PER_FORM - 1)
				for (unsigned int k = 0; k < DATA_BYTES; k++)
					data[k] = saved[k] = test_random();
		}
	printf("  %u encodings compared\n", (unsigned int)COUNT(forms) * TRIALS_PER_FORM);
}

#endif
