/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sysreg.c - system registers of guests: one row serves the trap, the reset and
 * KVM_GET/SET_ONE_REG. A register without a row does not exist.
 *
 * Owns: the ID registers' values that guests see: this CPU's, without what is
 * not offered.
 * See: Arm ARM C5.3 and D17 (encodings); Linux Documentation/virt/kvm/api.rst, 4.68.
 */
#include "vcpu_arch.h"
#include "vm.h"
#include "errno.h"

enum kind {
	K_ID,		/* trap: read; index: row of the ID space (CRm, Op2) */
	K_EL1,		/* switched, not trapped; index: EL1_* */
	K_STORED,	/* trap: read and write a value that only the guest sees; index: ST_* */
	K_CONST,	/* trap: reads as zero, writes ignored */
	K_OSLAR,	/* trap: write sets OSLSR_EL1's lock bit */
	K_MPIDR,	/* KVM's only */
	K_TIMER_CTL, K_TIMER_CVAL, K_TIMER_CNT,
	K_SGI, K_SRE,	/* undefined without a GIC; the first is the driver's */
};

#define READ 1
#define WRITE 2
#define USER 4		/* for KVM_GET/SET_ONE_REG */

#define ENC(op0, op1, crn, crm, op2) ((op0) << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))

struct row {
	u16 enc;
	u8 kind;
	u8 access;
	u16 index;
	u64 value;	/* K_ID: mask of what a guest sees; K_EL1, K_STORED: after reset */
};

/* ID registers by (CRm, Op2) of (3, 0, 0, CRm, Op2), CRm 1 to 7. */
#define ID(crm, op2, mask) { ENC(3, 0, 0, crm, op2), K_ID, READ | USER, (crm) * 8 + (op2), mask }
#define EL1(op0, op1, crn, crm, op2, reg, reset) { ENC(op0, op1, crn, crm, op2), K_EL1, USER, EL1_##reg, reset }
#define F(shift) (0xfull << (shift))

static const struct row rows[] = {
	{ ENC(2, 0, 0, 2, 0), K_STORED, READ | WRITE | USER, ST_MDCCINT, 0 },
	{ ENC(2, 0, 0, 2, 2), K_STORED, READ | WRITE | USER, ST_MDSCR, 0 },
	{ ENC(2, 0, 1, 0, 4), K_OSLAR, WRITE, 0, 0 },
	{ ENC(2, 0, 1, 1, 4), K_STORED, READ | USER, ST_OSLSR, 0x8 },
	{ ENC(2, 0, 1, 3, 4), K_CONST, READ | WRITE, 0, 0 },		/* OSDLR_EL1 */
	{ ENC(2, 0, 1, 4, 4), K_CONST, READ | WRITE, 0, 0 },		/* DBGPRCR_EL1 */
	{ ENC(3, 0, 0, 0, 5), K_MPIDR, USER, 0, 0 },
	/* The AArch32 ones; ID_DFR0 and ID_DFR1 without PMU and trace. */
	ID(1, 0, ~0ull), ID(1, 1, ~0ull), ID(1, 2, F(0) | F(4) | F(8)), ID(1, 3, 0), ID(1, 4, ~0ull), ID(1, 5, ~0ull),
	ID(1, 6, ~0ull), ID(1, 7, ~0ull), ID(2, 0, ~0ull), ID(2, 1, ~0ull), ID(2, 2, ~0ull), ID(2, 3, ~0ull),
	ID(2, 4, ~0ull), ID(2, 5, ~0ull), ID(2, 6, ~0ull), ID(2, 7, ~0ull), ID(3, 0, ~0ull), ID(3, 1, ~0ull),
	ID(3, 2, ~0ull), ID(3, 3, 0), ID(3, 4, ~0ull), ID(3, 5, 0), ID(3, 6, ~0ull), ID(3, 7, 0),
	/* PFR0 without GICv4, SVE, MPAM, AMU, RME; PFR1 without MTE, SME and the like */
	ID(4, 0, ~(0xeull << 24 | F(32) | F(40) | F(44) | F(52))), ID(4, 1, F(0) | F(4)),
	ID(4, 2, 0), ID(4, 3, 0), ID(4, 4, 0), ID(4, 5, 0), ID(4, 6, 0), ID(4, 7, 0),
	/* DFR0: breakpoints, watchpoints and their contexts; no PMU, trace, profiling */
	ID(5, 0, F(0) | F(12) | F(20) | F(28)), ID(5, 1, 0), ID(5, 2, 0), ID(5, 3, 0),
	ID(5, 4, 0), ID(5, 5, 0), ID(5, 6, 0), ID(5, 7, 0),
	/* ISAR0 without TME; ISAR1 without pointer authentication, LS64; of ISAR2 what has no state or control: RPRES, BC, CLRBHB */
	ID(6, 0, ~F(24)), ID(6, 1, ~(F(4) | F(8) | F(24) | F(28) | F(60))), ID(6, 2, F(4) | F(20) | F(28)),
	ID(6, 3, 0), ID(6, 4, 0), ID(6, 5, 0), ID(6, 6, 0), ID(6, 7, 0),
	/* MMFR0 without ECV and FGT; MMFR1 without VHE, LORegions, HCX; MMFR2 without NV */
	ID(7, 0, ~(F(56) | F(60))), ID(7, 1, ~(F(8) | F(16) | F(40))), ID(7, 2, ~F(24)),
	ID(7, 3, 0), ID(7, 4, 0), ID(7, 5, 0), ID(7, 6, 0), ID(7, 7, 0),
	/* SCTLR_EL1 as the architecture resets it: RES1 bits alone. */
	EL1(3, 0, 1, 0, 0, SCTLR_EL1, 0x00c50078),
	{ ENC(3, 0, 1, 0, 1), K_STORED, READ | USER, ST_ACTLR, 0 },
	EL1(3, 0, 1, 0, 2, CPACR_EL1, 0), EL1(3, 0, 2, 0, 0, TTBR0_EL1, 0), EL1(3, 0, 2, 0, 1, TTBR1_EL1, 0),
	EL1(3, 0, 2, 0, 2, TCR_EL1, 0), EL1(3, 0, 5, 1, 0, AFSR0_EL1, 0), EL1(3, 0, 5, 1, 1, AFSR1_EL1, 0),
	EL1(3, 0, 5, 2, 0, ESR_EL1, 0), EL1(3, 0, 6, 0, 0, FAR_EL1, 0), EL1(3, 0, 7, 4, 0, PAR_EL1, 0),
	EL1(3, 0, 10, 2, 0, MAIR_EL1, 0), EL1(3, 0, 10, 3, 0, AMAIR_EL1, 0), EL1(3, 0, 12, 0, 0, VBAR_EL1, 0),
	EL1(3, 0, 13, 0, 1, CONTEXTIDR_EL1, 0), EL1(3, 0, 13, 0, 4, TPIDR_EL1, 0), EL1(3, 0, 14, 1, 0, CNTKCTL_EL1, 0),
	EL1(3, 2, 0, 0, 0, CSSELR_EL1, 0), EL1(3, 3, 13, 0, 2, TPIDR_EL0, 0), EL1(3, 3, 13, 0, 3, TPIDRRO_EL0, 0),
	/* KVM's ids of CNTV_CVAL_EL0 and CNTVCT_EL0 are each other's encodings. */
	{ ENC(3, 3, 14, 3, 1), K_TIMER_CTL, USER, 0, 0 },
	{ ENC(3, 3, 14, 3, 2), K_TIMER_CNT, USER, 0, 0 },
	{ ENC(3, 3, 14, 0, 2), K_TIMER_CVAL, USER, 0, 0 },
	{ ENC(3, 0, 12, 11, 5), K_SGI, WRITE, 0, 0 },
	{ ENC(3, 0, 12, 11, 6), K_SGI, WRITE, 0, 0 },
	{ ENC(3, 0, 12, 11, 7), K_SGI, WRITE, 0, 0 },
	{ ENC(3, 0, 12, 1, 1), K_STORED, USER, ST_DISR, 0 },
	{ ENC(3, 0, 12, 12, 5), K_SRE, READ | WRITE, 0, SRE_ON },	/* ICC_SRE_EL1 */
};

static u64 id_regs[64];

/* 1 + the row of the last register with this hash; the others are searched for. */
static u8 lookup[256];
_Static_assert(ARRAY_SIZE(rows) < 255, "lookup");

static u8 *slot(u32 enc)
{
	return &lookup[(enc * 1127 >> 8) & 0xff];	/* as found by trial, all rows differ */
}

INIT void sysreg_init(void)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		*slot(rows[i].enc) = (u8)(i + 1);
#define ONE(m, n) id_regs[m * 8 + n] = read_sysreg(S3_0_C0_C##m##_##n);
#define EIGHT(m) ONE(m, 0) ONE(m, 1) ONE(m, 2) ONE(m, 3) ONE(m, 4) ONE(m, 5) ONE(m, 6) ONE(m, 7)
	EIGHT(1) EIGHT(2) EIGHT(3) EIGHT(4) EIGHT(5) EIGHT(6) EIGHT(7)
#undef EIGHT
#undef ONE
	if (id_field(id_regs[4 * 8], 56) > 1)	/* PFR0.CSV2: without SCXTNUM_ELx, which HCR_EL2.EnSCXT keeps away */
		id_regs[4 * 8] = (id_regs[4 * 8] & ~F(56)) | 1ull << 56;
}

static const struct row *find(u32 enc)
{
	u32 i = *slot(enc);

	if (i && rows[i - 1].enc == enc)
		return &rows[i - 1];
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].enc == enc)
			return &rows[i];
	return NULL;
}

void sysreg_reset(struct vcpu *v)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].kind == K_EL1)
			v->arch.el1[rows[i].index] = rows[i].value;
		else if (rows[i].kind == K_STORED)
			v->arch.stored[rows[i].index] = rows[i].value;
	}
	v->arch.cntv_ctl = 0;
	v->arch.cntv_cval = 0;
	/* KVM's MPIDR: four bits of the id, then eight, then the rest; bit 31 is RES1. */
	v->arch.vmpidr = 1ull << 31 | (v->id & 0xf) | (u64)(v->id >> 4 & 0xff) << 8 | (u64)(v->id >> 12 & 0xff) << 16;
}

/* A value of those kinds that exist outside the processor. */
static u64 row_read(struct vcpu *v, const struct row *r)
{
	switch (r->kind) {
	case K_ID:
		return id_regs[r->index] & r->value;
	case K_EL1:
		return v->arch.el1[r->index];
	case K_STORED:
		return v->arch.stored[r->index];
	case K_MPIDR:
		return v->arch.vmpidr;
	case K_TIMER_CTL:
		return v->arch.cntv_ctl | (timer_asserted(v) ? CNTV_ISTATUS : 0);
	case K_TIMER_CVAL:
		return v->arch.cntv_cval;
	case K_TIMER_CNT:
		return read_sysreg(cntpct_el0) - v->vm->arch.cntvoff;
	case K_SRE:
		return r->value;
	default:
		return 0;
	}
}

/* 0 or -EINVAL: what cannot change may be written with its own value. */
static int row_write(struct vcpu *v, const struct row *r, u64 value)
{
	switch (r->kind) {
	case K_EL1:
		v->arch.el1[r->index] = value;
		return 0;
	case K_STORED:
		v->arch.stored[r->index] = value;
		return 0;
	case K_OSLAR:
		v->arch.stored[ST_OSLSR] = 0x8 | (value & 1) << 1;
		return 0;
	case K_MPIDR:
		v->arch.vmpidr = value;
		return 0;
	case K_TIMER_CTL:
		v->arch.cntv_ctl = value & (CNTV_ENABLE | CNTV_IMASK);
		return 0;
	case K_TIMER_CVAL:
		v->arch.cntv_cval = value;
		return 0;
	case K_TIMER_CNT:
		v->vm->arch.cntvoff = read_sysreg(cntpct_el0) - value;
		return 0;
	case K_ID:
		return value == row_read(v, r) ? 0 : -EINVAL;
	default:
		return 0;
	}
}

/* Breakpoint and watchpoint registers, (2, 0, 0, n, 4 to 7), and RAS error records, (3, 0, 5, 3 to 5, n): zero, and stay so. */
static const struct row zero_row = { 0, K_CONST, READ | WRITE, 0, 0 };

int sysreg_trap(struct vcpu *v, u64 esr)
{
	u32 enc = ENC((esr >> 20 & 3), (esr >> 14 & 7), (esr >> 10 & 15), (esr >> 1 & 15), (esr >> 17 & 7));
	u32 reg = (u32)(esr >> 5) & 31, is_read = esr & 1;
	const struct row *r = find(enc);

	if (!r && ((enc & ~ENC(0, 0, 0, 15, 3)) == ENC(2, 0, 0, 0, 4) || (enc >= ENC(3, 0, 5, 3, 0) && enc <= ENC(3, 0, 5, 5, 1) && !(enc & 4))))
		r = &zero_row;
	if (!r || !(r->access & (is_read ? READ : WRITE)))
		return r && r->kind == K_STORED ? SYSREG_DONE : SYSREG_UNDEFINED;	/* ACTLR_EL1: writes are ignored */
	if (r->kind >= K_SGI && !v->arch.gic)
		return SYSREG_UNDEFINED;
	if (r->kind == K_SGI) {
		v->page->out.esr = esr;
		v->page->out.data = reg < 31 ? v->arch.regs.x[reg] : 0;
		return SYSREG_SGI;
	}
	if (!is_read)
		row_write(v, r, reg < 31 ? v->arch.regs.x[reg] : 0);
	else if (reg < 31)
		v->arch.regs.x[reg] = row_read(v, r);
	return SYSREG_DONE;
}

int sysreg_get(struct vcpu *v, u64 id, u64 *value)
{
	const struct row *r = find((u32)id & 0xffff);

	if (!r || !(r->access & USER))
		return -ENOENT;
	*value = row_read(v, r);
	return 0;
}

int sysreg_set(struct vcpu *v, u64 id, u64 value)
{
	const struct row *r = find((u32)id & 0xffff);

	return r && (r->access & USER) ? row_write(v, r, value) : -ENOENT;
}

u32 sysreg_list(u64 *ids)
{
	u32 i, n = 0;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!(rows[i].access & USER))
			continue;
		if (ids)
			ids[n] = ABI_REG_ARM64 | ABI_REG_U64 | ABI_REG_SYSREG | rows[i].enc;
		n++;
	}
	return n;
}
