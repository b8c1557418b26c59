// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * move.c - plain moves, see move.h: MOV with register, constant or absolute
 * address, MOVZX and MOVSX, in 32-bit and 64-bit code.
 *
 * Invariant: what move_decode() accepts has the effect that decode_emulate() gives
 * the same bytes; a unit test compares the two.
 * See: AMD APM volume 3, MOV, MOVZX, MOVSX.
 */
#include "move.h"
#ifdef __KERNEL__
#include <linux/string.h>
#else
#include <string.h>
#endif

#define EFER_LMA (1ull << 10)
#define ATTR_L (1u << 9)
#define ATTR_DB (1u << 10)

#define REX_W 8
#define REX_R 4
#define REX_X 2
#define REX_B 1

#define RSP 4
#define RBP 5

/* What an opcode is. */
#define MOVE 1u
#define WRITE 2u
#define CONSTANT 4u	/* and ModRM.reg must be 0 */
#define ABSOLUTE 8u	/* the address follows the opcode; the register is RAX */
#define BYTE 16u

static const u8 kinds[256] = {
	[0x88] = MOVE | WRITE | BYTE, [0x89] = MOVE | WRITE, [0x8a] = MOVE | BYTE, [0x8b] = MOVE,
	[0xa0] = MOVE | ABSOLUTE | BYTE, [0xa1] = MOVE | ABSOLUTE,
	[0xa2] = MOVE | ABSOLUTE | WRITE | BYTE, [0xa3] = MOVE | ABSOLUTE | WRITE,
	[0xc6] = MOVE | WRITE | CONSTANT | BYTE, [0xc7] = MOVE | WRITE | CONSTANT,
};

/* The encoding's register numbers in struct abi_regs. */
static const u8 places[16] = { 0, 2, 3, 1, 6, 7, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15 };

static u64 reg_value(const struct exit_state *x, unsigned int n)
{
	return ((const u64 *)&x->regs)[places[n]];
}

static s32 signed32(const u8 *p)
{
	s32 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static u64 unsigned64(const u8 *p)
{
	u64 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static u64 size_mask(unsigned int size)
{
	return ~0ull >> (64 - 8 * size);
}

/* ModRM's memory operand; returns what follows it, or NULL for a form that is not for here. */
static const u8 *address(const struct exit_state *x, const u8 *p, u8 rex, int mode64, u64 *linear)
{
	unsigned int mod = *p >> 6, base = *p & 7, index;
	u64 ea = 0;

	if (mod == 3)
		return NULL;
	p++;
	if (base == RSP) {
		index = (*p >> 3 & 7) | (rex & REX_X) << 2;
		if (index != RSP)
			ea = reg_value(x, index) << (*p >> 6);
		base = *p++ & 7;
	} else if (base == RBP && mod == 0 && mode64) {
		return NULL;	/* relative to RIP */
	}
	if (base == RBP && mod == 0) {
		base = 0;	/* none; no stack segment */
		mod = 2;
	} else {
		ea += reg_value(x, base | (rex & REX_B) << 3);
	}
	if (mod == 1) {
		ea += (s8)*p;
		p += 1;
	} else if (mod == 2) {
		ea += signed32(p);
		p += 4;
	}
	*linear = mode64 ? ea : (u32)(ea + x->seg[(base & 6) == RSP ? SEG_SS : SEG_DS].base);
	return p;
}

static const u8 *absolute(const struct exit_state *x, const u8 *p, int mode64, u64 *linear)
{
	if (mode64) {
		*linear = unsigned64(p);
		return p + 8;
	}
	*linear = (u32)((u32)signed32(p) + x->seg[SEG_DS].base);
	return p + 4;
}

/* AH, CH, DH, BH: byte registers 4 to 7 of an instruction without REX. */
static void name_register(struct move *m, unsigned int n, u8 rex)
{
	m->shift = m->reg_size == 1 && !rex && n >= 4 ? 8 : 0;
	m->reg = places[m->shift ? n - 4 : n];
}

/* Behind the operand: the constant, or nothing. */
static const u8 *source(const struct exit_state *x, const u8 *p, u8 kind, struct move *m)
{
	if (!(kind & CONSTANT)) {
		m->value = (((const u64 *)&x->regs)[m->reg] >> m->shift) & size_mask(m->size);
		return p;
	}
	m->value = (u64)signed32(p) & size_mask(m->size);
	return p + (m->size > 4 ? 4 : m->size);
}

int move_decode(const struct exit_state *x, const u8 *byte, struct move *m)
{
	int mode64 = x->efer & EFER_LMA && x->seg[SEG_CS].attr & ATTR_L;
	u8 size = 4, rex = 0, reg = 0, opcode, kind;
	const u8 *p = byte;

	if (!mode64 && !(x->seg[SEG_CS].attr & ATTR_DB))
		return 0;
	if (*p == 0x66) {
		size = 2;
		p++;
	}
	if (mode64 && (*p & 0xf0) == 0x40) {
		rex = *p++;
		if (rex & REX_W)
			size = 8;
	}
	opcode = *p++;
	kind = kinds[opcode];
	m->sign = 0;
	m->size = m->reg_size = kind & BYTE ? 1 : size;
	if (opcode == 0x0f) {	/* MOVZX, MOVSX: B6, B7, BE, BF */
		opcode = *p++;
		if ((opcode & 0xf6) != 0xb6)
			return 0;
		kind = MOVE;
		m->size = opcode & 1 ? 2 : 1;
		m->sign = opcode & 8;
	}
	if (!kind)
		return 0;
	if (!(kind & ABSOLUTE))
		reg = (*p >> 3 & 7) | (rex & REX_R) << 1;
	if (kind & CONSTANT && reg & 7)
		return 0;
	p = kind & ABSOLUTE ? absolute(x, p, mode64, &m->linear) : address(x, p, rex, mode64, &m->linear);
	if (!p)
		return 0;
	name_register(m, reg, rex);
	m->mode64 = mode64;
	m->write = kind & WRITE;
	if (m->write)
		p = source(x, p, kind, m);
	m->length = (u8)(p - byte);
	return 1;
}

u64 move_merge(const struct move *m, u64 old, u64 data)
{
	u64 mask = size_mask(m->reg_size);
	unsigned int unused = 64 - 8 * m->size;

	data <<= unused;
	data = m->sign ? (u64)((s64)data >> unused) : data >> unused;
	if (m->reg_size >= 4)
		return data & mask;	/* 32-bit results clear the upper half */
	return (old & ~(mask << m->shift)) | (data & mask) << m->shift;
}
