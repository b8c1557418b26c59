// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * decode.c - the instruction decoder, see decode.h.
 *
 * In the order of the file: registers and flags, arithmetic, memory through
 * the segments, one handler per instruction kind, the opcode tables, and the
 * decoder proper. A row of a table says how the bytes after the opcode are
 * taken and who executes; an empty row is DECODE_UNKNOWN.
 * Invariant: a handler reads first, then writes memory, then registers and
 * flags, so that an answer other than 0 leaves no trace of the instruction.
 */
#include "decode.h"
#ifdef __KERNEL__
#include <linux/kernel.h>
#include <linux/string.h>
#else
#include <string.h>
#endif

#define CR0_PE (1ull << 0)
#define CR0_EM (1ull << 2)
#define CR0_TS (1ull << 3)
#define CR0_MSW 0xfull		/* PE, MP, EM, TS: what LMSW loads */
#define CR4_DE (1ull << 3)
#define CR4_OSFXSR (1ull << 9)
#define CR4_UMIP (1ull << 11)
#define CR4_LA57 (1ull << 12)
#define EFER_LMA (1ull << 10)

#define FLAG_CF (1ull << 0)
#define FLAG_PF (1ull << 2)
#define FLAG_AF (1ull << 4)
#define FLAG_ZF (1ull << 6)
#define FLAG_SF (1ull << 7)
#define FLAG_DF (1ull << 10)
#define FLAG_OF (1ull << 11)
#define FLAG_RF (1ull << 16)
#define FLAG_VM (1ull << 17)
#define FLAGS_RESULT (FLAG_PF | FLAG_ZF | FLAG_SF)
#define FLAGS_ARITH (FLAGS_RESULT | FLAG_CF | FLAG_AF | FLAG_OF)

#define DR6_FIXED 0xffff0ff0ull	/* bits that read 1 */
#define DR6_BITS 0xe00full
#define DR6_TRAPS 0xfull
#define DR6_BD (1ull << 13)
#define DR7_FIXED 0x400ull
#define DR7_BITS 0xffff2bffull
#define DR7_GD (1ull << 13)

#define VECTOR_DE 0
#define VECTOR_DB 1
#define VECTOR_UD 6
#define VECTOR_NM 7
#define VECTOR_SS 12
#define VECTOR_GP 13

#define ATTR_CODE (1u << 3)
#define ATTR_DOWN (1u << 2)	/* data: expands down */
#define ATTR_RW (1u << 1)	/* data: writable; code: readable */
#define ATTR_P (1u << 7)
#define ATTR_L (1u << 9)
#define ATTR_DB (1u << 10)

#define REX_W 8
#define REX_R 4
#define REX_X 2
#define REX_B 1

#define READ_MODIFY (DECODE_READ | DECODE_WRITE)

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };

/* The order of opcodes 00-3F and of the immediate groups. */
enum alu_kind { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };
enum shift_kind { SHIFT_ROL, SHIFT_ROR, SHIFT_RCL, SHIFT_RCR, SHIFT_SHL, SHIFT_SHR, SHIFT_SAL, SHIFT_SAR };

/* ---- registers ---- */

/* KVM's order of the first eight is not the encoding's. */
static const u8 reg_place[16] = { 0, 2, 3, 1, 6, 7, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15 };

static u64 *reg_at(struct decode_state *s, unsigned int n)
{
	return (u64 *)&s->regs + reg_place[n & 15];
}

static u64 size_mask(unsigned int size)
{
	return ~0ull >> (64 - 8 * size);
}

static u64 size_sign(unsigned int size)
{
	return 1ull << (8 * size - 1);
}

static u64 sign_extend(u64 v, unsigned int size)
{
	unsigned int unused = 64 - 8 * size;

	return (u64)((s64)(v << unused) >> unused);
}

/* AH, CH, DH, BH: byte registers 4 to 7 of an instruction without REX. */
static int is_high_byte(const struct decode_state *s, unsigned int n, unsigned int size)
{
	return size == 1 && !s->d.rex && n >= 4;
}

static u64 reg_get(struct decode_state *s, unsigned int n, unsigned int size)
{
	if (is_high_byte(s, n, size))
		return *reg_at(s, n - 4) >> 8 & 0xff;
	return *reg_at(s, n) & size_mask(size);
}

static void reg_set(struct decode_state *s, unsigned int n, unsigned int size, u64 v)
{
	unsigned int shift = is_high_byte(s, n, size) ? 8 : 0;
	u64 *r = reg_at(s, shift ? n - 4 : n);
	u64 mask = size_mask(size);

	if (size >= 4)
		*r = v & mask;	/* 32-bit results clear the upper half */
	else
		*r = (*r & ~(mask << shift)) | (v & mask) << shift;
}

static void flags_set(struct decode_state *s, u64 mask, u64 flags)
{
	s->regs.rflags = (s->regs.rflags & ~mask) | (flags & mask);
}

static int condition(const struct decode_state *s, unsigned int code)
{
	u64 f = s->regs.rflags;
	int less = !(f & FLAG_SF) != !(f & FLAG_OF);
	const int truth[8] = {
		!!(f & FLAG_OF), !!(f & FLAG_CF), !!(f & FLAG_ZF), !!(f & (FLAG_CF | FLAG_ZF)),
		!!(f & FLAG_SF), !!(f & FLAG_PF), less, less || (f & FLAG_ZF),
	};

	return truth[code >> 1 & 7] ^ (code & 1);
}

/* ---- arithmetic; results are masked to size, flags are all the six ---- */

static u64 result_flags(u64 r, unsigned int size)
{
	u64 f = r & size_mask(size) ? 0 : FLAG_ZF;

	if (r & size_sign(size))
		f |= FLAG_SF;
	if (!(0x6996 >> ((r ^ r >> 4) & 15) & 1))	/* even parity of the low byte */
		f |= FLAG_PF;
	return f;
}

/* carry: each bit's carry or borrow out. overflow: in the sign bit. */
static u64 arith_flags(u64 carry, u64 overflow, u64 half, unsigned int size)
{
	return (carry & size_sign(size) ? FLAG_CF : 0) |
	       (overflow & size_sign(size) ? FLAG_OF : 0) | (half & FLAG_AF);
}

static u64 add(u64 a, u64 b, u64 carry_in, unsigned int size, u64 *flags)
{
	u64 r = a + b + carry_in;

	*flags = result_flags(r, size) |
		 arith_flags((a & b) | ((a | b) & ~r), (a ^ r) & (b ^ r), a ^ b ^ r, size);
	return r & size_mask(size);
}

static u64 sub(u64 a, u64 b, u64 borrow_in, unsigned int size, u64 *flags)
{
	u64 r = a - b - borrow_in;

	*flags = result_flags(r, size) |
		 arith_flags((~a & b) | ((~a | b) & r), (a ^ b) & (a ^ r), a ^ b ^ r, size);
	return r & size_mask(size);
}

/* flags: in the old ones, out the new ones. */
static u64 alu(enum alu_kind kind, u64 a, u64 b, unsigned int size, u64 *flags)
{
	u64 carry = *flags & FLAG_CF, r;

	switch (kind) {
	case ALU_ADD:
		return add(a, b, 0, size, flags);
	case ALU_ADC:
		return add(a, b, carry, size, flags);
	case ALU_SBB:
		return sub(a, b, carry, size, flags);
	case ALU_SUB:
	case ALU_CMP:
		return sub(a, b, 0, size, flags);
	case ALU_OR:
		r = a | b;
		break;
	case ALU_AND:
		r = a & b;
		break;
	default:
		r = a ^ b;
		break;
	}
	r &= size_mask(size);
	*flags = result_flags(r, size);
	return r;
}

static u64 shift_flags(u64 carry, u64 overflow)
{
	return (carry & 1 ? FLAG_CF : 0) | (overflow & 1 ? FLAG_OF : 0);
}

/* SHL, SHR, SAR; n is 1 to 63. */
static u64 shift_plain(enum shift_kind kind, u64 a, unsigned int n, unsigned int size, u64 *flags)
{
	unsigned int bits = 8 * size;
	u64 wide = sign_extend(a, size), r;

	switch (kind) {
	case SHIFT_SHR:
		r = a >> n;
		*flags = shift_flags(a >> (n - 1), a >> (bits - 1));
		break;
	case SHIFT_SAR:
		r = (u64)((s64)wide >> n) & size_mask(size);
		*flags = shift_flags((u64)((s64)wide >> (n - 1)), 0);
		break;
	default:
		r = n < bits ? a << n & size_mask(size) : 0;
		*flags = shift_flags(n <= bits ? a >> (bits - n) : 0, 0);
		if (!(r & size_sign(size)) != !(*flags & FLAG_CF))
			*flags |= FLAG_OF;
		break;
	}
	*flags |= result_flags(r, size);
	return r;
}

/* ROL, ROR, RCL, RCR one bit at a time: at most 63 steps, and rare on MMIO. */
static u64 shift_rotate(enum shift_kind kind, u64 a, unsigned int n, unsigned int size, u64 *flags)
{
	unsigned int top = 8 * size - 1;
	u64 carry = *flags & FLAG_CF, in, r = a;

	while (n--) {
		if (kind == SHIFT_ROL || kind == SHIFT_RCL) {
			in = kind == SHIFT_RCL ? carry : r >> top;
			carry = r >> top;
			r = (r << 1 | in) & size_mask(size);
		} else {
			in = kind == SHIFT_RCR ? carry : r & 1;
			carry = r & 1;
			r = r >> 1 | in << top;
		}
	}
	if (kind == SHIFT_ROL || kind == SHIFT_RCL)
		in = r >> top ^ carry;
	else
		in = r >> top ^ r >> (top - 1);
	*flags = (*flags & FLAGS_ARITH & ~(FLAG_CF | FLAG_OF)) | shift_flags(carry, in);
	return r;
}

/* A count of zero changes no flag. */
static u64 shift(enum shift_kind kind, u64 a, unsigned int n, unsigned int size, u64 *flags)
{
	n &= size == 8 ? 63 : 31;
	if (!n)
		return a;
	return kind < SHIFT_SHL ? shift_rotate(kind, a, n, size, flags) :
				  shift_plain(kind, a, n, size, flags);
}

/* ---- memory ---- */

static int raise(struct decode_state *s, unsigned int vector)
{
	s->fault.vector = vector;
	s->fault.has_error = vector >= VECTOR_SS && (s->cr0 & CR0_PE);
	s->fault.error = 0;
	s->fault.cr2 = 0;
	return DECODE_FAULT;
}

static int is_canonical(const struct decode_state *s, u64 linear)
{
	unsigned int unused = s->cr4 & CR4_LA57 ? 7 : 16;

	return (u64)((s64)(linear << unused) >> unused) == linear;
}

/* Rights by descriptor type; real and virtual-8086 mode have none. */
static int segment_allows(const struct decode_state *s, const struct state_segment *g,
			  unsigned int access)
{
	if (!(s->cr0 & CR0_PE) || (s->regs.rflags & FLAG_VM))
		return 1;
	if (!(g->attr & ATTR_P))
		return 0;
	if (access & DECODE_FETCH)
		return 1;
	if (g->attr & ATTR_CODE)
		return !(access & DECODE_WRITE) && (g->attr & ATTR_RW);
	return !(access & DECODE_WRITE) || (g->attr & ATTR_RW);
}

static int segment_holds(const struct state_segment *g, u64 offset, unsigned int len)
{
	u64 limit = g->limit;

	if ((g->attr & (ATTR_CODE | ATTR_DOWN)) == ATTR_DOWN) {
		if (offset <= limit)
			return 0;
		limit = g->attr & ATTR_DB ? 0xffffffffu : 0xffffu;
	}
	return offset <= limit && (limit == 0xffffffffu || offset + len - 1 <= limit);
}

static int segment_linear(struct decode_state *s, unsigned int seg, u64 offset, unsigned int len,
			  unsigned int access, u64 *linear)
{
	const struct state_segment *g = &s->seg[seg];
	int ok;

	if (s->d.mode64) {
		*linear = offset + (seg >= SEG_FS ? g->base : 0);
		ok = is_canonical(s, *linear) && is_canonical(s, *linear + len - 1);
	} else {
		*linear = (u32)(g->base + offset);
		ok = segment_allows(s, g, access) && segment_holds(g, offset, len);
	}
	return ok ? 0 : raise(s, seg == SEG_SS ? VECTOR_SS : VECTOR_GP);
}

static int known_answer(int answer)
{
	return answer >= DECODE_DONE && answer <= DECODE_FAULT ? answer : DECODE_UNKNOWN;
}

/* buf NULL with access DECODE_WRITE: only check. */
static int mem_read(struct decode_state *s, unsigned int seg, u64 offset, void *buf,
		    unsigned int len, unsigned int access)
{
	u64 linear;

	if (segment_linear(s, seg, offset, len, access, &linear))
		return DECODE_FAULT;
	return known_answer(s->d.ops->read_mem(s->d.ctx, linear, buf, len, access, &s->fault));
}

static int mem_write(struct decode_state *s, unsigned int seg, u64 offset, const void *buf,
		     unsigned int len)
{
	u64 linear;

	if (segment_linear(s, seg, offset, len, DECODE_WRITE, &linear))
		return DECODE_FAULT;
	return known_answer(s->d.ops->write_mem(s->d.ctx, linear, buf, len, &s->fault));
}

/* The ModRM operand, register or memory. */
static int rm_get(struct decode_state *s, unsigned int size, unsigned int access, u64 *v)
{
	*v = 0;
	if (s->d.mod != 3)
		return mem_read(s, s->d.seg, s->d.ea, v, size, access);
	*v = reg_get(s, s->d.rm, size);
	return 0;
}

static int rm_put(struct decode_state *s, unsigned int size, u64 v)
{
	if (s->d.mod != 3)
		return mem_write(s, s->d.seg, s->d.ea, &v, size);
	reg_set(s, s->d.rm, size, v);
	return 0;
}

/* The end of a read-modify-write: the result, then the flags. */
static int rm_finish(struct decode_state *s, u64 v, u64 mask, u64 flags)
{
	int rc = rm_put(s, s->d.opsize, v);

	if (!rc)
		flags_set(s, mask, flags);
	return rc;
}

/* ---- moves ---- */

static int op_nop(struct decode_state *s)
{
	(void)s;
	return 0;
}

static int op_mov_store(struct decode_state *s)
{
	return rm_put(s, s->d.opsize, reg_get(s, s->d.reg, s->d.opsize));
}

static int op_mov_load(struct decode_state *s)
{
	u64 v;
	int rc = rm_get(s, s->d.opsize, DECODE_READ, &v);

	if (!rc)
		reg_set(s, s->d.reg, s->d.opsize, v);
	return rc;
}

static int op_mov_imm(struct decode_state *s)
{
	return s->d.reg & 7 ? DECODE_UNKNOWN : rm_put(s, s->d.opsize, s->d.imm);
}

static int op_mov_from_seg(struct decode_state *s)
{
	unsigned int seg = s->d.reg & 7;

	if (seg > SEG_GS)
		return raise(s, VECTOR_UD);
	return rm_put(s, s->d.mod == 3 ? s->d.opsize : 2, s->seg[seg].selector);
}

/* A0 to A3: the decoder has made them a memory operand and reg 0. */
static int op_mov_moffs(struct decode_state *s)
{
	return s->d.opcode & 2 ? op_mov_store(s) : op_mov_load(s);
}

static int op_movnti(struct decode_state *s)
{
	return s->d.opsize == 2 ? DECODE_UNKNOWN : op_mov_store(s);
}

/* MOVZX, MOVSX: B6, B7, BE, BF; MOVSXD: 63. */
static int op_mov_extend(struct decode_state *s)
{
	unsigned int size = s->d.opcode == 0x63 ? 4 : s->d.opcode & 1 ? 2 : 1;
	u64 v;
	int rc;

	if (size > s->d.opsize)
		size = s->d.opsize;
	rc = rm_get(s, size, DECODE_READ, &v);
	if (rc)
		return rc;
	if (s->d.opcode & 8 || s->d.opcode == 0x63)
		v = sign_extend(v, size);
	reg_set(s, s->d.reg, s->d.opsize, v);
	return 0;
}

static int op_movsxd(struct decode_state *s)
{
	return s->d.mode64 ? op_mov_extend(s) : DECODE_UNKNOWN;
}

static int op_movbe(struct decode_state *s)
{
	unsigned int unused = 64 - 8 * s->d.opsize;
	u64 v;
	int rc;

	if (s->d.opcode & 1) {
		v = reg_get(s, s->d.reg, s->d.opsize);
		return rm_put(s, s->d.opsize, __builtin_bswap64(v) >> unused);
	}
	rc = rm_get(s, s->d.opsize, DECODE_READ, &v);
	if (!rc)
		reg_set(s, s->d.reg, s->d.opsize, __builtin_bswap64(v) >> unused);
	return rc;
}

static int op_setcc(struct decode_state *s)
{
	return rm_put(s, 1, condition(s, s->d.opcode));
}

/* The source is read, and the upper half cleared, whatever the condition. */
static int op_cmovcc(struct decode_state *s)
{
	u64 v;
	int rc = rm_get(s, s->d.opsize, DECODE_READ, &v);

	if (rc)
		return rc;
	if (!condition(s, s->d.opcode))
		v = reg_get(s, s->d.reg, s->d.opsize);
	reg_set(s, s->d.reg, s->d.opsize, v);
	return 0;
}

/* ---- arithmetic and logic ---- */

static int alu_to_rm(struct decode_state *s, enum alu_kind kind, u64 src)
{
	u64 flags = s->regs.rflags, v;
	int rc = rm_get(s, s->d.opsize, kind == ALU_CMP ? DECODE_READ : READ_MODIFY, &v);

	if (rc)
		return rc;
	v = alu(kind, v, src, s->d.opsize, &flags);
	if (kind != ALU_CMP)
		return rm_finish(s, v, FLAGS_ARITH, flags);
	flags_set(s, FLAGS_ARITH, flags);
	return 0;
}

static int op_alu_store(struct decode_state *s)
{
	return alu_to_rm(s, s->d.opcode >> 3 & 7, reg_get(s, s->d.reg, s->d.opsize));
}

static int op_alu_imm(struct decode_state *s)
{
	return alu_to_rm(s, s->d.reg & 7, s->d.imm & size_mask(s->d.opsize));
}

static int op_alu_load(struct decode_state *s)
{
	enum alu_kind kind = s->d.opcode >> 3 & 7;
	u64 flags = s->regs.rflags, v;
	int rc = rm_get(s, s->d.opsize, DECODE_READ, &v);

	if (rc)
		return rc;
	v = alu(kind, reg_get(s, s->d.reg, s->d.opsize), v, s->d.opsize, &flags);
	if (kind != ALU_CMP)
		reg_set(s, s->d.reg, s->d.opsize, v);
	flags_set(s, FLAGS_ARITH, flags);
	return 0;
}

static int test(struct decode_state *s, u64 src)
{
	u64 flags, v;
	int rc = rm_get(s, s->d.opsize, DECODE_READ, &v);

	if (rc)
		return rc;
	flags = result_flags(v & src, s->d.opsize);
	flags_set(s, FLAGS_ARITH, flags);
	return 0;
}

static int op_test(struct decode_state *s)
{
	return test(s, reg_get(s, s->d.reg, s->d.opsize));
}

/* ---- multiplication and division ---- */

/* The low half, and the high one; true: the low half alone is not the product. */
static int multiply(u64 a, u64 b, unsigned int size, int with_sign, u64 *low, u64 *high)
{
	unsigned __int128 product;

	if (with_sign)
		product = (__int128)(s64)sign_extend(a, size) * (s64)sign_extend(b, size);
	else
		product = (unsigned __int128)a * b;
	*low = (u64)product & size_mask(size);
	*high = (u64)(product >> (8 * size)) & size_mask(size);
	if (with_sign)
		return (__int128)product != (s64)sign_extend(*low, size);
	return *high != 0;
}

static void multiply_flags(struct decode_state *s, int overflow)
{
	flags_set(s, FLAG_CF | FLAG_OF, overflow ? FLAG_CF | FLAG_OF : 0);
}

/* A double-width value in AX, or in RDX:RAX. */
static void wide_set(struct decode_state *s, u64 low, u64 high)
{
	unsigned int size = s->d.opsize;

	if (size == 1) {
		reg_set(s, RAX, 2, high << 8 | low);
		return;
	}
	reg_set(s, RAX, size, low);
	reg_set(s, RDX, size, high);
}

static int multiply_wide(struct decode_state *s, u64 v, int with_sign)
{
	u64 low, high;
	int overflow = multiply(*reg_at(s, RAX) & size_mask(s->d.opsize), v, s->d.opsize, with_sign, &low, &high);

	wide_set(s, low, high);
	multiply_flags(s, overflow);
	return 0;
}

/* 69, 6B: times an immediate; 0F AF: times the register itself. */
static int op_imul(struct decode_state *s)
{
	u64 v, low, high;
	int overflow, rc = rm_get(s, s->d.opsize, DECODE_READ, &v);

	if (rc)
		return rc;
	overflow = multiply(v, s->d.opcode == 0xaf ? *reg_at(s, s->d.reg) : s->d.imm, s->d.opsize, 1, &low, &high);
	reg_set(s, s->d.reg, s->d.opsize, low);
	multiply_flags(s, overflow);
	return 0;
}

/* 128 bits by 64, bit by bit: rare on MMIO. high < divisor; returns the quotient. */
static u64 divide_long(u64 high, u64 low, u64 divisor, u64 *rest)
{
	unsigned int i;
	u64 top;

	for (i = 0; i < 64; i++) {
		top = high >> 63;
		high = high << 1 | low >> 63;
		low <<= 1;
		if (top || high >= divisor) {
			high -= divisor;
			low |= 1;
		}
	}
	*rest = high;
	return low;
}

/* *low, *high: the dividend, then quotient and rest. False: #DE. */
static int divide(u64 *low, u64 *high, u64 divisor, unsigned int size)
{
	u64 n = *high << (8 * size & 63) | *low;

	if (*high >= divisor)	/* zero too */
		return 0;
	if (size == 8) {
		*low = divide_long(*high, *low, divisor, high);
		return 1;
	}
	*low = n / divisor;
	*high = n % divisor;
	return 1;
}

/* The two's complement of a double-width value. */
static void wide_negate(u64 *low, u64 *high, unsigned int size)
{
	*low = -*low & size_mask(size);
	*high = (~*high + !*low) & size_mask(size);
}

/* By magnitudes; the rest has the dividend's sign. */
static int divide_signed(u64 *low, u64 *high, u64 divisor, unsigned int size)
{
	u64 sign = size_sign(size);
	int negative = !!(*high & sign), opposite = negative != !!(divisor & sign);

	if (negative)
		wide_negate(low, high, size);
	if (divisor & sign)
		divisor = -divisor & size_mask(size);
	if (!divide(low, high, divisor, size) || *low > sign - !opposite)
		return 0;
	if (opposite)
		*low = -*low & size_mask(size);
	if (negative)
		*high = -*high & size_mask(size);
	return 1;
}

/* The flags are undefined. */
static int divide_wide(struct decode_state *s, u64 v, int with_sign)
{
	unsigned int size = s->d.opsize;
	u64 low = *reg_at(s, RAX) & size_mask(size);
	u64 high = size == 1 ? *reg_at(s, RAX) >> 8 & 0xff : *reg_at(s, RDX) & size_mask(size);

	if (!(with_sign ? divide_signed : divide)(&low, &high, v, size))
		return raise(s, VECTOR_DE);
	wide_set(s, low, high);
	return 0;
}

/* F6, F7: TEST, NOT, NEG, MUL, IMUL, DIV, IDIV */
static int op_group3(struct decode_state *s)
{
	unsigned int kind = s->d.reg & 7;
	u64 flags = 0, v;
	int rc;

	if (kind < 2)
		return test(s, s->d.imm);
	if (kind > 3) {
		rc = rm_get(s, s->d.opsize, DECODE_READ, &v);
		if (rc)
			return rc;
		return kind < 6 ? multiply_wide(s, v, kind & 1) : divide_wide(s, v, kind & 1);
	}
	rc = rm_get(s, s->d.opsize, READ_MODIFY, &v);
	if (rc)
		return rc;
	if (kind == 2)
		return rm_finish(s, ~v, 0, 0);
	v = sub(0, v, 0, s->d.opsize, &flags);
	return rm_finish(s, v, FLAGS_ARITH, flags);
}

/* INC and DEC keep the carry. */
static int inc_dec(struct decode_state *s)
{
	u64 flags, v;
	int rc = rm_get(s, s->d.opsize, READ_MODIFY, &v);

	if (rc)
		return rc;
	v = s->d.reg & 1 ? sub(v, 1, 0, s->d.opsize, &flags) : add(v, 1, 0, s->d.opsize, &flags);
	return rm_finish(s, v, FLAGS_ARITH & ~FLAG_CF, flags);
}

/* C0, C1: by an immediate; D0, D1: by one; D2, D3: by CL. */
static int op_shift(struct decode_state *s)
{
	unsigned int n = s->d.opcode < 0xd0 ? s->d.imm & 0xff :
			 s->d.opcode & 2 ? reg_get(s, RCX, 8) & 0xff : 1;
	u64 flags = s->regs.rflags, v;
	int rc = rm_get(s, s->d.opsize, READ_MODIFY, &v);

	if (rc)
		return rc;
	v = shift(s->d.reg & 7, v, n, s->d.opsize, &flags);
	return rm_finish(s, v, FLAGS_ARITH, flags);
}

enum { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

static int bit_op(struct decode_state *s, unsigned int kind, unsigned int n)
{
	u64 bit = 1ull << n, v, r;
	int rc = rm_get(s, s->d.opsize, kind == BIT_TEST ? DECODE_READ : READ_MODIFY, &v);

	if (rc)
		return rc;
	r = kind == BIT_SET ? v | bit : kind == BIT_RESET ? v & ~bit : v ^ bit;
	if (kind != BIT_TEST)
		return rm_finish(s, r, FLAG_CF, v & bit ? FLAG_CF : 0);
	flags_set(s, FLAG_CF, v & bit ? FLAG_CF : 0);
	return 0;
}

/* A3, AB, B3, BB: a register's signed bit offset reaches beyond the operand. */
static int op_bit_reg(struct decode_state *s)
{
	unsigned int size = s->d.opsize;
	s64 offset = (s64)sign_extend(reg_get(s, s->d.reg, size), size);
	unsigned int log = size == 8 ? 6 : size == 4 ? 5 : 4;

	s->d.ea = (s->d.ea + (u64)(offset >> log) * size) & size_mask(s->d.adsize);
	return bit_op(s, s->d.opcode >> 3 & 3, offset & (8 * size - 1));
}

static int op_bit_imm(struct decode_state *s)
{
	if ((s->d.reg & 7) < 4)
		return DECODE_UNKNOWN;
	return bit_op(s, s->d.reg & 3, s->d.imm & (8 * s->d.opsize - 1));
}

/* ---- exchanges ---- */

static int op_xchg(struct decode_state *s)
{
	u64 mine = reg_get(s, s->d.reg, s->d.opsize), v;
	int rc = rm_get(s, s->d.opsize, READ_MODIFY, &v);

	if (!rc)
		rc = rm_put(s, s->d.opsize, mine);
	if (!rc)
		reg_set(s, s->d.reg, s->d.opsize, v);
	return rc;
}

static int op_xadd(struct decode_state *s)
{
	u64 mine = reg_get(s, s->d.reg, s->d.opsize), sum, flags, v;
	int rc = rm_get(s, s->d.opsize, READ_MODIFY, &v);

	if (rc)
		return rc;
	sum = add(v, mine, 0, s->d.opsize, &flags);
	rc = rm_finish(s, sum, FLAGS_ARITH, flags);
	if (!rc && (s->d.mod != 3 || s->d.reg != s->d.rm))
		reg_set(s, s->d.reg, s->d.opsize, v);
	return rc;
}

/* A failed one writes the old value back, as the processor's bus cycle does. */
static int op_cmpxchg(struct decode_state *s)
{
	u64 acc = reg_get(s, RAX, s->d.opsize), flags, v;
	int rc = rm_get(s, s->d.opsize, READ_MODIFY, &v);

	if (rc)
		return rc;
	sub(acc, v, 0, s->d.opsize, &flags);
	rc = rm_put(s, s->d.opsize, acc == v ? reg_get(s, s->d.reg, s->d.opsize) : v);
	if (rc)
		return rc;
	if (acc != v)
		reg_set(s, RAX, s->d.opsize, v);
	flags_set(s, FLAGS_ARITH, flags);
	return 0;
}

static int op_cmpxchg8b(struct decode_state *s)
{
	u64 acc = reg_get(s, RDX, 4) << 32 | reg_get(s, RAX, 4);
	u64 new = reg_get(s, RCX, 4) << 32 | reg_get(s, RBX, 4), v;
	int rc;

	if ((s->d.reg & 7) != 1 || s->d.opsize == 8)
		return DECODE_UNKNOWN;
	rc = rm_get(s, 8, READ_MODIFY, &v);
	if (!rc)
		rc = rm_put(s, 8, acc == v ? new : v);
	if (rc)
		return rc;
	if (acc != v) {
		reg_set(s, RAX, 4, v);
		reg_set(s, RDX, 4, v >> 32);
	}
	flags_set(s, FLAG_ZF, acc == v ? FLAG_ZF : 0);
	return 0;
}

/* ---- stack ---- */

static unsigned int stack_bytes(const struct decode_state *s)
{
	return s->d.mode64 ? 8 : s->seg[SEG_SS].attr & ATTR_DB ? 4 : 2;
}

/* The stack pointer's low part alone changes: RSP keeps what lies above. */
static void stack_move(struct decode_state *s, u64 delta)
{
	u64 mask = size_mask(stack_bytes(s));

	s->regs.rsp = (s->regs.rsp & ~mask) | ((s->regs.rsp + delta) & mask);
}

static int push(struct decode_state *s, u64 v)
{
	u64 mask = size_mask(stack_bytes(s));
	int rc = mem_write(s, SEG_SS, (s->regs.rsp - s->d.opsize) & mask, &v, s->d.opsize);

	if (!rc)
		stack_move(s, 0 - (u64)s->d.opsize);
	return rc;
}

static int push_rm(struct decode_state *s)
{
	u64 v;
	int rc = rm_get(s, s->d.opsize, DECODE_READ, &v);

	return rc ? rc : push(s, v);
}

/* Near CALL and JMP. The end of the instruction adds its length to RIP. */
static int branch_rm(struct decode_state *s, int call)
{
	u64 target;
	int rc = rm_get(s, s->d.opsize, DECODE_READ, &target);

	if (rc)
		return rc;
	if (s->d.mode64 ? !is_canonical(s, target) : target > s->seg[SEG_CS].limit)
		return raise(s, VECTOR_GP);
	if (call)
		rc = push(s, s->regs.rip + s->d.pos);
	if (!rc)
		s->regs.rip = target - s->d.pos;
	return rc;
}

/* The address of the operand counts from the incremented RSP (decode_sib). */
static int op_pop(struct decode_state *s)
{
	u64 v = 0;
	int rc;

	if (s->d.reg & 7)
		return DECODE_UNKNOWN;
	rc = mem_read(s, SEG_SS, s->regs.rsp & size_mask(stack_bytes(s)), &v, s->d.opsize, DECODE_READ);
	if (!rc)
		rc = rm_put(s, s->d.opsize, v);
	if (!rc)
		stack_move(s, s->d.opsize);
	return rc;
}

/* FE, FF */
static int op_group5(struct decode_state *s)
{
	unsigned int kind = s->d.reg & 7;

	if (kind < 2)
		return inc_dec(s);
	if (kind & 1 || s->d.opsize == 1)	/* far forms are not known */
		return DECODE_UNKNOWN;
	if (s->d.mode64)
		s->d.opsize = s->d.prefix66 && kind == 6 ? 2 : 8;
	return kind == 6 ? push_rm(s) : branch_rm(s, kind == 2);
}

/* ---- control and debug registers ---- */

static int special_get(struct decode_state *s, unsigned int which, u64 *v)
{
	if (!s->d.ops->get_special)
		return DECODE_UNKNOWN;
	return known_answer(s->d.ops->get_special(s->d.ctx, which, v, &s->fault));
}

static int special_set(struct decode_state *s, unsigned int which, u64 v)
{
	if (!s->d.ops->set_special)
		return DECODE_UNKNOWN;
	return known_answer(s->d.ops->set_special(s->d.ctx, which, v, &s->fault));
}

/* 0F 20: from, 0F 22: to. AMD's LOCK MOV CR0 is MOV CR8, for code without REX. */
static int op_mov_cr(struct decode_state *s)
{
	unsigned int cr = s->d.lock ? 8 : s->d.reg;
	u64 v;
	int rc;

	if (s->cpl)
		return raise(s, VECTOR_GP);
	if (!(0x11d >> cr & 1) || (s->d.lock && s->d.reg))
		return raise(s, VECTOR_UD);
	if (s->d.opcode & 2)
		return special_set(s, DECODE_CR(cr), reg_get(s, s->d.rm, s->d.opsize));
	rc = special_get(s, DECODE_CR(cr), &v);
	if (!rc)
		reg_set(s, s->d.rm, s->d.opsize, v);
	return rc;
}

/* DR7.GD: the access itself is a debug exception, and what is left of GD is off. */
static int dr_guarded(struct decode_state *s, u64 dr7)
{
	u64 dr6;
	int rc = special_get(s, DECODE_DR(6), &dr6);

	if (!rc)
		rc = special_set(s, DECODE_DR(6), (dr6 & ~DR6_TRAPS) | DR6_BD | DR6_FIXED);
	if (!rc)
		rc = special_set(s, DECODE_DR(7), dr7 & ~DR7_GD);
	return rc ? rc : raise(s, VECTOR_DB);
}

static u64 dr_writable(unsigned int dr, u64 v)
{
	return dr == 6 ? (v & DR6_BITS) | DR6_FIXED : dr == 7 ? (v & DR7_BITS) | DR7_FIXED : v;
}

/* 0F 21: from, 0F 23: to. DR4 and DR5 are DR6 and DR7 unless CR4.DE is set. */
static int op_mov_dr(struct decode_state *s)
{
	unsigned int dr = s->d.reg, write = s->d.opcode & 2;
	u64 dr7, v = reg_get(s, s->d.rm, s->d.opsize);
	int rc;

	if (s->cpl)
		return raise(s, VECTOR_GP);
	if (dr > 7 || s->d.lock || ((dr & 6) == 4 && (s->cr4 & CR4_DE)))
		return raise(s, VECTOR_UD);
	dr |= (dr & 4) >> 1;
	if (write && dr > 3 && v >> 32)
		return raise(s, VECTOR_GP);
	rc = special_get(s, DECODE_DR(7), &dr7);
	if (rc)
		return rc;
	if (dr7 & DR7_GD)
		return dr_guarded(s, dr7);
	if (write)
		return special_set(s, DECODE_DR(dr), dr_writable(dr, v));
	rc = special_get(s, DECODE_DR(dr), &v);
	if (!rc)
		reg_set(s, s->d.rm, s->d.opsize, v);
	return rc;
}

static int op_clts(struct decode_state *s)
{
	return s->cpl ? raise(s, VECTOR_GP) : special_set(s, DECODE_CR(0), s->cr0 & ~CR0_TS);
}

/* LMSW sets PE and never clears it. */
static int lmsw(struct decode_state *s)
{
	u64 v;
	int rc;

	if (s->cpl)
		return raise(s, VECTOR_GP);
	rc = rm_get(s, 2, DECODE_READ, &v);
	if (rc)
		return rc;
	return special_set(s, DECODE_CR(0), (s->cr0 & ~(CR0_MSW & ~CR0_PE)) | (v & CR0_MSW));
}

/* 0F 01: of the group, SMSW and LMSW */
static int op_group7(struct decode_state *s)
{
	if ((s->d.reg & 7) == 6)
		return lmsw(s);
	if ((s->d.reg & 7) != 4)
		return DECODE_UNKNOWN;
	if (s->cpl && (s->cr4 & CR4_UMIP))
		return raise(s, VECTOR_GP);
	return rm_put(s, s->d.mod == 3 ? s->d.opsize : 2, s->cr0);
}

/* ---- XMM registers: loads and stores ---- */

#define SSE_STORE 1u
#define SSE_ALIGNED 2u

static const struct sse {
	u8 opcode;
	u8 prefix;	/* 0, 0x66, 0xf2, 0xf3 */
	u8 bytes;	/* 0: 4, or 8 with REX.W */
	u8 flags;
} sse_rows[] = {
	{ 0x10, 0, 16, 0 }, { 0x11, 0, 16, SSE_STORE },		/* MOVUPS */
	{ 0x10, 0x66, 16, 0 }, { 0x11, 0x66, 16, SSE_STORE },	/* MOVUPD */
	{ 0x10, 0xf3, 4, 0 }, { 0x11, 0xf3, 4, SSE_STORE },	/* MOVSS */
	{ 0x10, 0xf2, 8, 0 }, { 0x11, 0xf2, 8, SSE_STORE },	/* MOVSD */
	{ 0x28, 0, 16, SSE_ALIGNED }, { 0x29, 0, 16, SSE_STORE | SSE_ALIGNED },		/* MOVAPS */
	{ 0x28, 0x66, 16, SSE_ALIGNED }, { 0x29, 0x66, 16, SSE_STORE | SSE_ALIGNED },	/* MOVAPD */
	{ 0x2b, 0, 16, SSE_STORE | SSE_ALIGNED }, { 0x2b, 0x66, 16, SSE_STORE | SSE_ALIGNED },	/* MOVNTPS, MOVNTPD */
	{ 0x6e, 0x66, 0, 0 }, { 0x7e, 0x66, 0, SSE_STORE },	/* MOVD, MOVQ with REX.W */
	{ 0x6f, 0x66, 16, SSE_ALIGNED }, { 0x7f, 0x66, 16, SSE_STORE | SSE_ALIGNED },	/* MOVDQA */
	{ 0x6f, 0xf3, 16, 0 }, { 0x7f, 0xf3, 16, SSE_STORE },	/* MOVDQU */
	{ 0x7e, 0xf3, 8, 0 }, { 0xd6, 0x66, 8, SSE_STORE },	/* MOVQ */
	{ 0xe7, 0x66, 16, SSE_STORE | SSE_ALIGNED },		/* MOVNTDQ */
	{ 0xf0, 0xf2, 16, 0 },					/* LDDQU */
};

static const struct sse *sse_find(const struct decode_insn *d)
{
	u8 prefix = d->rep ? d->rep : d->prefix66 ? 0x66 : 0;
	unsigned int i;

	for (i = 0; i < sizeof(sse_rows) / sizeof(sse_rows[0]); i++)
		if (sse_rows[i].opcode == d->opcode && sse_rows[i].prefix == prefix)
			return &sse_rows[i];
	return NULL;
}

static int sse_check(struct decode_state *s, const struct sse *r, unsigned int size)
{
	u64 linear;

	if ((s->cr0 & CR0_EM) || !(s->cr4 & CR4_OSFXSR))
		return raise(s, VECTOR_UD);
	if (s->cr0 & CR0_TS)
		return raise(s, VECTOR_NM);
	if (!(r->flags & SSE_ALIGNED))
		return 0;
	if (segment_linear(s, s->d.seg, s->d.ea, size, r->flags & SSE_STORE ? DECODE_WRITE : DECODE_READ, &linear))
		return DECODE_FAULT;
	return linear & 15 ? raise(s, VECTOR_GP) : 0;
}

/* A load clears what it does not fill. */
static int sse_load(struct decode_state *s, unsigned int size)
{
	u64 v[2] = { 0, 0 };
	int rc = mem_read(s, s->d.seg, s->d.ea, &v[0], size < 8 ? size : 8, DECODE_READ);

	if (!rc && size == 16)
		rc = mem_read(s, s->d.seg, s->d.ea + 8, &v[1], 8, DECODE_READ);
	return rc ? rc : known_answer(s->d.ops->xmm(s->d.ctx, s->d.reg, v, 1));
}

static int op_sse(struct decode_state *s)
{
	const struct sse *r = sse_find(&s->d);
	unsigned int size;
	u64 v[2];
	int rc;

	if (!r || !s->d.ops->xmm)
		return DECODE_UNKNOWN;
	size = r->bytes ? r->bytes : s->d.rex & REX_W ? 8 : 4;
	rc = sse_check(s, r, size);
	if (rc)
		return rc;
	if (!(r->flags & SSE_STORE))
		return sse_load(s, size);
	rc = known_answer(s->d.ops->xmm(s->d.ctx, s->d.reg, v, 0));
	if (rc)
		return rc;
	memcpy(s->io_data, v, sizeof(v));
	return mem_write(s, s->d.seg, s->d.ea, s->io_data, size);
}

/* 0F AE: CLFLUSH, CLFLUSHOPT and CLWB; a device's memory is in no cache of ours. */
static int op_group15(struct decode_state *s)
{
	unsigned int kind = s->d.reg & 7;

	return kind == 7 || (kind == 6 && s->d.prefix66) ? 0 : DECODE_UNKNOWN;
}

/* ---- strings ---- */

static u64 string_offset(struct decode_state *s, unsigned int reg)
{
	return reg_get(s, reg, s->d.adsize);
}

static void string_advance(struct decode_state *s, unsigned int reg, u64 bytes)
{
	if (s->regs.rflags & FLAG_DF)
		bytes = 0 - bytes;
	reg_set(s, reg, s->d.adsize, string_offset(s, reg) + bytes);
}

static int string_load(struct decode_state *s, u64 *v)
{
	*v = 0;
	return mem_read(s, s->d.seg, string_offset(s, RSI), v, s->d.opsize, DECODE_READ);
}

static int string_store(struct decode_state *s, u64 v)
{
	int rc = mem_write(s, SEG_ES, string_offset(s, RDI), &v, s->d.opsize);

	if (!rc)
		string_advance(s, RDI, s->d.opsize);
	return rc;
}

static int string_movs(struct decode_state *s)
{
	u64 v;
	int rc = string_load(s, &v);

	if (!rc)
		rc = string_store(s, v);
	if (!rc)
		string_advance(s, RSI, s->d.opsize);
	return rc;
}

static int string_stos(struct decode_state *s)
{
	return string_store(s, reg_get(s, RAX, s->d.opsize));
}

static int string_lods(struct decode_state *s)
{
	u64 v;
	int rc = string_load(s, &v);

	if (rc)
		return rc;
	reg_set(s, RAX, s->d.opsize, v);
	string_advance(s, RSI, s->d.opsize);
	return 0;
}

static int string_compare(struct decode_state *s, u64 left)
{
	u64 right = 0, flags;
	int rc = mem_read(s, SEG_ES, string_offset(s, RDI), &right, s->d.opsize, DECODE_READ);

	if (rc)
		return rc;
	sub(left, right, 0, s->d.opsize, &flags);
	flags_set(s, FLAGS_ARITH, flags);
	string_advance(s, RDI, s->d.opsize);
	return 0;
}

static int string_cmps(struct decode_state *s)
{
	u64 left;
	int rc = string_load(s, &left);

	if (!rc)
		rc = string_compare(s, left);
	if (!rc)
		string_advance(s, RSI, s->d.opsize);
	return rc;
}

static int string_scas(struct decode_state *s)
{
	return string_compare(s, reg_get(s, RAX, s->d.opsize));
}

/* By opcode bits 3:1: A4, A6, AA, AC, AE. */
static int (*const string_step[8])(struct decode_state *s) = {
	[2] = string_movs, [3] = string_cmps, [5] = string_stos, [6] = string_lods, [7] = string_scas,
};

static u64 string_count(struct decode_state *s)
{
	return reg_get(s, RCX, s->d.adsize);
}

/* CMPS and SCAS go on while ZF is as the prefix wants. */
static int string_ends(const struct decode_state *s)
{
	int compares = (s->d.opcode & 6) == 6;

	return compares && !(s->regs.rflags & FLAG_ZF) != (s->d.rep == 0xf2);
}

static int op_string(struct decode_state *s)
{
	int (*step)(struct decode_state *s) = string_step[s->d.opcode >> 1 & 7];
	unsigned int done;
	int rc;

	if (!s->d.rep)
		return step(s);
	for (done = 0; string_count(s); done++) {
		if (done && (s->stop || done == DECODE_BATCH)) {
			s->d.again = 1;
			return 0;
		}
		rc = step(s);
		if (rc)
			return rc;
		reg_set(s, RCX, s->d.adsize, string_count(s) - 1);
		if (string_ends(s))
			break;
	}
	return 0;
}

/*
 * Elements of the next piece of an INS or OUTS: within the page and the
 * segment, upwards. What doesn't fit is done one by one, and faults there.
 */
static unsigned int io_count(struct decode_state *s, unsigned int seg, unsigned int reg,
			     unsigned int size, unsigned int access)
{
	u64 offset = string_offset(s, reg), linear, n = string_count(s);
	u64 room = size_mask(s->d.adsize) - offset;

	if (s->regs.rflags & FLAG_DF || segment_linear(s, seg, offset, size, access, &linear))
		return 1;
	if (room > 0xfff - (linear & 0xfff))
		room = 0xfff - (linear & 0xfff);
	if (n > (room + 1) / size)
		n = (room + 1) / size;
	if (n > DECODE_IO_COUNT)
		n = DECODE_IO_COUNT;
	if (n < 2 || segment_linear(s, seg, offset, n * size, access, &linear))
		return 1;
	return n;
}

/* The destination is checked before the device gives up its data. */
static int io_in(struct decode_state *s, unsigned int size, unsigned int n)
{
	u64 offset = string_offset(s, RDI);
	int rc = mem_read(s, SEG_ES, offset, NULL, n * size, DECODE_WRITE);

	if (!rc)
		rc = known_answer(s->d.ops->io(s->d.ctx, s->regs.rdx, size, 0, s->io_data, n));
	if (!rc)
		rc = mem_write(s, SEG_ES, offset, s->io_data, n * size);
	if (!rc)
		string_advance(s, RDI, n * size);
	return rc;
}

static int io_out(struct decode_state *s, unsigned int size, unsigned int n)
{
	int rc = mem_read(s, s->d.seg, string_offset(s, RSI), s->io_data, n * size, DECODE_READ);

	if (!rc)
		rc = known_answer(s->d.ops->io(s->d.ctx, s->regs.rdx, size, 1, s->io_data, n));
	if (!rc)
		string_advance(s, RSI, n * size);
	return rc;
}

/* 6C to 6F: one piece in a call, because the VMM must see it. */
static int op_string_io(struct decode_state *s)
{
	unsigned int size = s->d.opsize == 8 ? 4 : s->d.opsize, out = s->d.opcode & 2, n = 1;
	int rc;

	if (s->no_io)
		return DECODE_UNKNOWN;
	if (s->d.rep) {
		if (!string_count(s))
			return 0;
		n = out ? io_count(s, s->d.seg, RSI, size, DECODE_READ) :
			  io_count(s, SEG_ES, RDI, size, DECODE_WRITE);
	}
	rc = out ? io_out(s, size, n) : io_in(s, size, n);
	if (rc || !s->d.rep)
		return rc;
	reg_set(s, RCX, s->d.adsize, string_count(s) - n);
	s->d.again = string_count(s) != 0;
	return 0;
}

/* ---- the tables ---- */

#define F_MODRM 0x1u
#define F_BYTE 0x2u	/* a byte operand where bit 0 of the opcode is 0 */
#define F_IMM 0x4u	/* immediate of the operand's size, 4 bytes at most */
#define F_IMM8 0x8u	/* immediate byte, sign-extended */
#define F_IMM_TEST 0x10u	/* immediate in the forms reg 0 and 1 only */
#define F_MOFFS 0x20u	/* the address itself follows the opcode */
#define F_STACK 0x40u	/* 64-bit operand by default in 64-bit mode */
#define F_MEM 0x80u	/* memory operand only */
#define F_PLAIN 0x100u	/* F2 or F3 would make it another instruction */
#define F_SET8 0x200u	/* byte operand whatever the opcode */
#define F_PREFIX 0x400u
#define F_SYSTEM 0x800u	/* CR and DR moves: ModRM names two registers, whatever its mod; the mode sets the size */

#define LOCK_ALL 0xff	/* row.lock: ModRM.reg values that accept LOCK */
#define LOCK_REGS(first, last) ((2 << (last)) - (1 << (first)))

struct row {
	u16 flags;
	u8 lock;
	int (*run)(struct decode_state *s);
};

#define M F_MODRM
#define MB (F_MODRM | F_BYTE)
#define ALU_ROWS(first, lock) \
	[first] = { MB, lock, op_alu_store }, [first + 1] = { MB, lock, op_alu_store }, \
	[first + 2] = { MB, 0, op_alu_load }, [first + 3] = { MB, 0, op_alu_load }

static const struct row one_byte[256] = {
	ALU_ROWS(0x00, LOCK_ALL), ALU_ROWS(0x08, LOCK_ALL), ALU_ROWS(0x10, LOCK_ALL), ALU_ROWS(0x18, LOCK_ALL),
	ALU_ROWS(0x20, LOCK_ALL), ALU_ROWS(0x28, LOCK_ALL), ALU_ROWS(0x30, LOCK_ALL), ALU_ROWS(0x38, 0),
	[0x26] = { F_PREFIX, 0, NULL }, [0x2e] = { F_PREFIX, 0, NULL },
	[0x36] = { F_PREFIX, 0, NULL }, [0x3e] = { F_PREFIX, 0, NULL },
	[0x63] = { M, 0, op_movsxd },
	[0x64 ... 0x67] = { F_PREFIX, 0, NULL },
	[0x69] = { M | F_IMM, 0, op_imul },
	[0x6b] = { M | F_IMM8, 0, op_imul },
	[0x6c ... 0x6f] = { F_BYTE, 0, op_string_io },
	[0x80] = { MB | F_IMM, LOCK_REGS(0, 6), op_alu_imm },
	[0x81] = { MB | F_IMM, LOCK_REGS(0, 6), op_alu_imm },
	[0x83] = { M | F_IMM8, LOCK_REGS(0, 6), op_alu_imm },
	[0x84 ... 0x85] = { MB, 0, op_test },
	[0x86 ... 0x87] = { MB, LOCK_ALL, op_xchg },
	[0x88 ... 0x89] = { MB, 0, op_mov_store },
	[0x8a ... 0x8b] = { MB, 0, op_mov_load },
	[0x8c] = { M, 0, op_mov_from_seg },
	[0x8f] = { M | F_STACK, 0, op_pop },
	[0xa0 ... 0xa3] = { F_BYTE | F_MOFFS, 0, op_mov_moffs },
	[0xa4 ... 0xa7] = { F_BYTE, 0, op_string },
	[0xaa ... 0xaf] = { F_BYTE, 0, op_string },
	[0xc0 ... 0xc1] = { MB | F_IMM8, 0, op_shift },
	[0xc6 ... 0xc7] = { MB | F_IMM, 0, op_mov_imm },
	[0xd0 ... 0xd3] = { MB, 0, op_shift },
	[0xf0] = { F_PREFIX, 0, NULL },
	[0xf2 ... 0xf3] = { F_PREFIX, 0, NULL },
	[0xf6 ... 0xf7] = { MB | F_IMM_TEST, LOCK_REGS(2, 3), op_group3 },
	[0xfe ... 0xff] = { MB, LOCK_REGS(0, 1), op_group5 },
};

#define SSE { M | F_MEM, 0, op_sse }

static const struct row two_byte[256] = {
	[0x01] = { M, 0, op_group7 },
	[0x06] = { 0, 0, op_clts },
	[0x0d] = { M | F_MEM, 0, op_nop },	/* PREFETCH */
	[0x10 ... 0x11] = SSE,
	[0x18] = { M | F_MEM, 0, op_nop },
	[0x1f] = { M, 0, op_nop },
	[0x20] = { M | F_SYSTEM, 0, op_mov_cr }, [0x22] = { M | F_SYSTEM, 0, op_mov_cr },
	[0x21] = { M | F_SYSTEM, 0, op_mov_dr }, [0x23] = { M | F_SYSTEM, 0, op_mov_dr },
	[0x28 ... 0x29] = SSE, [0x2b] = SSE,
	[0x40 ... 0x4f] = { M, 0, op_cmovcc },
	[0x6e ... 0x6f] = SSE, [0x7e ... 0x7f] = SSE,
	[0x90 ... 0x9f] = { M | F_SET8, 0, op_setcc },
	[0xa3] = { M, 0, op_bit_reg },
	[0xab] = { M, LOCK_ALL, op_bit_reg },
	[0xae] = { M | F_MEM | F_PLAIN, 0, op_group15 },
	[0xaf] = { M, 0, op_imul },
	[0xb0 ... 0xb1] = { MB, LOCK_ALL, op_cmpxchg },
	[0xb3] = { M, LOCK_ALL, op_bit_reg },
	[0xb6 ... 0xb7] = { M, 0, op_mov_extend },
	[0xba] = { M | F_IMM8, LOCK_REGS(5, 7), op_bit_imm },
	[0xbb] = { M, LOCK_ALL, op_bit_reg },
	[0xbe ... 0xbf] = { M, 0, op_mov_extend },
	[0xc0 ... 0xc1] = { MB, LOCK_ALL, op_xadd },
	[0xc3] = { M | F_MEM | F_PLAIN, 0, op_movnti },
	[0xc7] = { M | F_MEM, LOCK_REGS(1, 1), op_cmpxchg8b },
	[0xd6] = SSE, [0xe7] = SSE, [0xf0] = SSE,
};

/* 0F 38 F0 and F1 */
static const struct row movbe_row = { M | F_MEM | F_PLAIN, 0, op_movbe };
static const struct row empty_row;

/* ---- the decoder ---- */

/* The next bytes of the instruction, up to the end of their page. */
static int fetch_more(struct decode_state *s)
{
	struct decode_insn *d = &s->d;
	unsigned int len = DECODE_INSN_MAX - d->have, room;
	u64 offset = s->regs.rip + d->have, linear;
	int rc;

	if (!len)
		return raise(s, VECTOR_GP);
	if (!d->mode64)
		offset = (u32)offset;
	if (segment_linear(s, SEG_CS, offset, 1, DECODE_FETCH, &linear))
		return DECODE_FAULT;
	room = 0x1000 - (linear & 0xfff);
	if (len > room)
		len = room;
	if (!d->mode64 && len - 1 > s->seg[SEG_CS].limit - offset)
		len = s->seg[SEG_CS].limit - offset + 1;
	rc = s->d.ops->read_mem(d->ctx, linear, d->byte + d->have, len, DECODE_FETCH, &s->fault);
	if (rc)
		return rc == DECODE_FAULT ? rc : DECODE_UNKNOWN;
	d->have += len;
	return 0;
}

/* See to it that n more bytes are there. */
static int need(struct decode_state *s, unsigned int n)
{
	int rc = 0;

	if (s->d.pos + n > DECODE_INSN_MAX)
		return raise(s, VECTOR_GP);
	while (!rc && s->d.have < s->d.pos + n)
		rc = fetch_more(s);
	return rc;
}

static inline int take_byte(struct decode_state *s, u8 *v)
{
	int rc = s->d.pos < s->d.have ? 0 : need(s, 1);

	if (!rc)
		*v = s->d.byte[s->d.pos++];
	return rc;
}

/* Take n bytes, 1 to 8, little-endian. */
static int take(struct decode_state *s, unsigned int n, u64 *v)
{
	struct decode_insn *d = &s->d;
	int rc = d->pos + n <= d->have ? 0 : need(s, n);
	unsigned int i;

	if (rc)
		return rc;
	*v = 0;
	for (i = 0; i < n; i++)
		*v |= (u64)d->byte[d->pos++] << (8 * i);
	return 0;
}

static int take_signed(struct decode_state *s, unsigned int n, u64 *v)
{
	int rc = take(s, n, v);

	if (!rc)
		*v = sign_extend(*v, n);
	return rc;
}

/* In 64-bit mode ES, CS, SS and DS are no override. */
static void note_prefix(struct decode_insn *d, u8 byte)
{
	switch (byte) {
	case 0x64:
	case 0x65:
		d->seg_override = 1 + SEG_FS + (byte & 1);
		break;
	case 0x66:
		d->prefix66 = 1;
		break;
	case 0x67:
		d->prefix67 = 1;
		break;
	case 0xf0:
		d->lock = 1;
		break;
	case 0xf2:
	case 0xf3:
		d->rep = byte;
		break;
	default:
		if (!d->mode64)
			d->seg_override = 1 + (byte >> 3 & 3);
		break;
	}
}

/* Prefixes and the first opcode byte. A REX that is not the last prefix is void. */
static int decode_prefixes(struct decode_state *s)
{
	struct decode_insn *d = &s->d;
	u8 byte;
	int rc;

	for (;;) {
		rc = take_byte(s, &byte);
		if (rc)
			return rc;
		if (one_byte[byte].flags & F_PREFIX) {
			note_prefix(d, byte);
			d->rex = 0;
		} else if (d->mode64 && (byte & 0xf0) == 0x40) {
			d->rex = byte;
		} else {
			break;
		}
	}
	d->opcode = byte;
	return 0;
}

static void default_sizes(struct decode_state *s)
{
	struct decode_insn *d = &s->d;
	int code32 = !d->mode64 && (s->seg[SEG_CS].attr & ATTR_DB);

	if (d->mode64)
		d->adsize = d->prefix67 ? 4 : 8;
	else
		d->adsize = code32 == d->prefix67 ? 2 : 4;
	d->opsize = (d->mode64 || code32) == d->prefix66 ? 2 : 4;
	if (d->rex & REX_W)
		d->opsize = 8;
}

static int decode_opcode(struct decode_state *s, const struct row **row)
{
	u8 byte;
	int rc;

	*row = &one_byte[s->d.opcode];
	if (s->d.opcode != 0x0f)
		return 0;
	rc = take_byte(s, &byte);
	if (rc)
		return rc;
	*row = &two_byte[byte];
	if (byte == 0x38) {
		rc = take_byte(s, &byte);
		if (rc)
			return rc;
		*row = byte == 0xf0 || byte == 0xf1 ? &movbe_row : &empty_row;
	}
	s->d.opcode = byte;
	return 0;
}

static void operand_size(struct decode_insn *d, unsigned int flags)
{
	if (flags & F_SYSTEM)
		d->opsize = d->mode64 ? 8 : 4;
	else if ((flags & F_SET8) || ((flags & F_BYTE) && !(d->opcode & 1)))
		d->opsize = 1;
	else if ((flags & F_STACK) && d->mode64)
		d->opsize = d->prefix66 ? 2 : 8;
}

static void use_base(struct decode_state *s, unsigned int reg)
{
	s->d.ea += *reg_at(s, reg);
	if (reg == RSP || reg == RBP)
		s->d.seg = SEG_SS;
}

static int decode_sib(struct decode_state *s, unsigned int flags, unsigned int *disp)
{
	struct decode_insn *d = &s->d;
	unsigned int base, index;
	u8 sib;
	int rc = take_byte(s, &sib);

	if (rc)
		return rc;
	base = (sib & 7) | (d->rex & REX_B) << 3;
	index = (sib >> 3 & 7) | (d->rex & REX_X) << 2;
	if (index != RSP)
		d->ea += *reg_at(s, index) << (sib >> 6);
	if ((sib & 7) == 5 && d->mod == 0) {
		*disp = 4;
		return 0;
	}
	use_base(s, base);
	/* POP computes its operand's address after it has moved RSP. */
	if ((flags & F_STACK) && base == RSP)
		d->ea += d->opsize;
	return 0;
}

/* ModRM's memory forms with 32-bit and 64-bit addresses; disp: bytes that follow. */
static int decode_address32(struct decode_state *s, unsigned int flags, unsigned int *disp)
{
	struct decode_insn *d = &s->d;

	*disp = d->mod == 1 ? 1 : d->mod == 2 ? 4 : 0;
	if ((d->rm & 7) == 4)
		return decode_sib(s, flags, disp);
	if ((d->rm & 7) != 5 || d->mod) {
		use_base(s, d->rm);
		return 0;
	}
	*disp = 4;
	if (d->mode64)
		d->ea = s->regs.rip;	/* the length is added in the end */
	return 0;
}

static void decode_address16(struct decode_state *s, unsigned int *disp)
{
	static const u8 base[8] = { RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX };
	struct decode_insn *d = &s->d;

	*disp = d->mod;
	if (d->mod == 0 && d->rm == 6) {
		*disp = 2;
		return;
	}
	use_base(s, base[d->rm]);
	if (d->rm < 4)
		d->ea += *reg_at(s, d->rm & 1 ? RDI : RSI);
}

static int decode_modrm(struct decode_state *s, unsigned int flags)
{
	struct decode_insn *d = &s->d;
	unsigned int disp;
	u64 v;
	u8 modrm;
	int rc = take_byte(s, &modrm);

	if (rc)
		return rc;
	d->mod = modrm >> 6;
	d->reg = (modrm >> 3 & 7) | (d->rex & REX_R) << 1;
	d->rm = (modrm & 7) | (d->rex & REX_B) << 3;
	if (flags & F_SYSTEM)
		d->mod = 3;
	if (d->mod == 3)
		return 0;
	if (d->adsize == 2)
		decode_address16(s, &disp);
	else
		rc = decode_address32(s, flags, &disp);
	if (rc || !disp)
		return rc;
	rc = take_signed(s, disp, &v);
	if (!rc)
		d->ea += v;
	return rc;
}

static int decode_immediate(struct decode_state *s, unsigned int flags)
{
	struct decode_insn *d = &s->d;

	if (flags & F_MOFFS)
		return take(s, d->adsize, &d->ea);
	if (flags & F_IMM8)
		return take_signed(s, 1, &d->imm);
	if ((flags & F_IMM) || ((flags & F_IMM_TEST) && (d->reg & 7) < 2))
		return take_signed(s, d->opsize == 8 ? 4 : d->opsize, &d->imm);
	return 0;
}

/* RIP-relative: only the form without base, in 64-bit mode. */
static int is_rip_relative(const struct decode_insn *d, unsigned int flags)
{
	return d->mode64 && (flags & F_MODRM) && d->mod == 0 && (d->rm & 7) == 5;
}

static int decode(struct decode_state *s, const struct row **row)
{
	struct decode_insn *d = &s->d;
	unsigned int flags;
	int rc = decode_prefixes(s);

	if (!rc)
		rc = decode_opcode(s, row);
	if (rc)
		return rc;
	flags = (*row)->flags;
	if (!(*row)->run || ((flags & F_PLAIN) && d->rep))
		return DECODE_UNKNOWN;
	default_sizes(s);
	operand_size(d, flags);
	d->seg = SEG_DS;
	if (flags & F_MODRM)
		rc = decode_modrm(s, flags);
	if (!rc)
		rc = decode_immediate(s, flags);
	if (rc)
		return rc;
	if (is_rip_relative(d, flags))
		d->ea += d->pos;
	d->ea &= size_mask(d->adsize);
	if (d->seg_override)
		d->seg = d->seg_override - 1;
	if ((flags & F_MEM) && d->mod == 3)
		return DECODE_UNKNOWN;
	if (d->lock && !(flags & F_SYSTEM) && (d->mod == 3 || !((*row)->lock >> (d->reg & 7) & 1)))
		return raise(s, VECTOR_UD);
	return 0;
}

static void start(struct decode_state *s, const struct decode_ops *ops, void *ctx)
{
	struct decode_insn *d = &s->d;

	memset(d, 0, sizeof(*d));
	d->ops = ops;
	d->ctx = ctx;
	d->mode64 = (s->efer & EFER_LMA) && (s->seg[SEG_CS].attr & ATTR_L);
	d->have = s->insn_len < DECODE_INSN_MAX ? s->insn_len : DECODE_INSN_MAX;
	memcpy(d->byte, s->insn, sizeof(s->insn));
	s->stop = 0;
	s->shadow_sti = 0;
}

int decode_emulate(struct decode_state *s, const struct decode_ops *ops, void *ctx)
{
	const struct row *row = &empty_row;
	int rc;

	start(s, ops, ctx);
	rc = decode(s, &row);
	if (!rc)
		rc = row->run(s);
	if (rc || s->d.again)
		return rc;
	s->regs.rip += s->d.pos;
	if (!s->d.mode64)
		s->regs.rip = (u32)s->regs.rip;
	s->regs.rflags &= ~FLAG_RF;
	return 0;
}

static int is_hypercall(const u8 *insn)
{
	return insn[0] == 0x0f && insn[1] == 0x01 && (insn[2] == DECODE_VMCALL || insn[2] == DECODE_VMMCALL);
}

int decode_undefined(struct decode_state *s, const struct decode_ops *ops, void *ctx, u8 native)
{
	const u8 call[3] = { 0x0f, 0x01, native };
	u64 linear;

	start(s, ops, ctx);
	if (need(s, sizeof(call)) || !is_hypercall(s->d.byte))
		return raise(s, VECTOR_UD);
	if (s->d.byte[2] == native)	/* another CPU was faster */
		return 0;
	if (segment_linear(s, SEG_CS, s->regs.rip, sizeof(call), DECODE_FETCH, &linear))
		return DECODE_FAULT;
	return known_answer(ops->write_mem(ctx, linear, call, sizeof(call), &s->fault));
}
