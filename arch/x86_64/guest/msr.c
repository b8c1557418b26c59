/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * msr.c - model-specific registers of a user VM: one row per register (or
 * range) serves the guest's RDMSR and WRMSR, KVM_GET_MSRS, KVM_SET_MSRS, reset
 * and the index list. What has no row is #GP to the guest.
 *
 * A value is only the guest's own affair unless a row's check says otherwise.
 * See: APM vol. 2, appendix A; SDM vol. 4.
 */
#include "vcpu_arch.h"
#include "vm.h"
#include "call.h"

#define MSR_HWCR 0xc0010015

typedef int (*msr_check_fn)(u32 msr, u64 value);

enum kind {
	SWITCHED,	/* lives in the backend's state block */
	STORED,		/* a slot of v->arch.msr[] */
	CONSTANT,	/* reads `reset`; a write is #GP, but the VMM may write the same value */
	QUIET,		/* reads 0; writes are dropped */
	ZERO,		/* reads 0; a write is #GP, but 0 from the VMM */
	TSC, TSC_ADJUST, APIC_BASE, EFER, TSC_AUX,
};

static int canonical(u32 msr, u64 value)
{
	(void)msr;
	return (u64)((s64)(value << 16) >> 16) == value;
}

static int memory_type(u64 t)
{
	return t == 0 || t == 1 || t == 4 || t == 5 || t == 6;
}

static int pat_check(u32 msr, u64 value)
{
	u32 i;

	(void)msr;
	for (i = 0; i < 64; i += 8)
		if (!memory_type(value >> i & 0xff) && (value >> i & 0xff) != 7)
			return 0;
	return 1;
}

static int mtrr_fixed_check(u32 msr, u64 value)
{
	u32 i;

	(void)msr;
	for (i = 0; i < 64; i += 8)
		if (!memory_type(value >> i & 0xff))
			return 0;
	return 1;
}

static int mtrr_def_check(u32 msr, u64 value)
{
	(void)msr;
	return memory_type(value & 0xff) && !(value & ~0xcffull);
}

static int mtrr_var_check(u32 msr, u64 value)
{
	if (value >> 52)
		return 0;
	return msr & 1 ? !(value & 0x7ff) : memory_type(value & 0xff) && !(value & 0xf00);
}

static int mcg_ctl_check(u32 msr, u64 value)
{
	(void)msr;
	return value == 0 || value == ~0ull;
}

/* Nothing but McStatusWrEn can be on; three bits are dropped (as KVM). */
static int hwcr_check(u32 msr, u64 value)
{
	(void)msr;
	return !(value & ~(0x40000ull | 0x40 | 0x100 | 0x8));
}

static const struct msr_row {
	u32 first, last;
	u8 kind;
	u8 slot;
	u8 listed;
	msr_check_fn check;
	u64 reset;
} rows[] = {
	{ 0x00, 0x01, ZERO, 0, 0, NULL, 0 },			/* P5 machine check */
	{ 0x10, 0x10, TSC, 0, 1, NULL, 0 },
	{ 0x11, 0x12, CONSTANT, 0, 0, NULL, 0 },		/* kvmclock, old numbers: off, and stays off */
	{ 0x17, 0x17, ZERO, 0, 0, NULL, 0 },			/* PLATFORM_ID */
	{ 0x1b, 0x1b, APIC_BASE, 0, 0, NULL, 0 },
	{ 0x2a, 0x2a, ZERO, 0, 0, NULL, 0 },			/* EBL_CR_POWERON */
	{ 0x3b, 0x3b, TSC_ADJUST, 0, 1, NULL, 0 },
	{ 0x79, 0x79, QUIET, 0, 0, NULL, 0 },			/* microcode update */
	{ 0x8b, 0x8b, STORED, 0, 0, NULL, 0x01000065 },		/* microcode revision, as KVM's for AMD */
	{ 0xfe, 0xfe, CONSTANT, 0, 0, NULL, 0x508 },		/* MTRRcap: 8 ranges, fixed ranges, WC */
	{ 0x174, 0x174, SWITCHED, 0, 1, NULL, 0 },
	{ 0x175, 0x176, SWITCHED, 0, 1, canonical, 0 },
	{ 0x179, 0x179, CONSTANT, 0, 0, NULL, 0x120 },		/* MCG_CAP: 32 banks, MCG_CTL */
	{ 0x17a, 0x17a, STORED, 1, 1, NULL, 0 },		/* MCG_STATUS */
	{ 0x17b, 0x17b, STORED, 2, 1, mcg_ctl_check, 0 },
	{ 0x199, 0x199, ZERO, 0, 0, NULL, 0 },			/* PERF_CTL */
	{ 0x1a0, 0x1a0, STORED, 3, 1, NULL, 0x1 },		/* MISC_ENABLE: fast strings */
	{ 0x1d9, 0x1d9, QUIET, 0, 0, NULL, 0 },			/* DEBUGCTL */
	{ 0x1db, 0x1de, ZERO, 0, 0, NULL, 0 },			/* last branch records */
	{ 0x200, 0x20f, STORED, 4, 0, mtrr_var_check, 0 },
	{ 0x250, 0x250, STORED, 20, 0, mtrr_fixed_check, 0 },
	{ 0x258, 0x259, STORED, 21, 0, mtrr_fixed_check, 0 },
	{ 0x268, 0x26f, STORED, 23, 0, mtrr_fixed_check, 0 },
	{ 0x277, 0x277, SWITCHED, 0, 1, pat_check, 0x0007040600070406ull },
	{ 0x2ff, 0x2ff, STORED, 31, 0, mtrr_def_check, 0 },
	{ 0x400, 0x47f, STORED, 40, 0, NULL, 0 },		/* machine-check banks: never an error in them */
	{ 0x606, 0x606, ZERO, 0, 0, NULL, 0 },			/* energy: units, counters */
	{ 0x611, 0x611, ZERO, 0, 0, NULL, 0 },
	{ 0x619, 0x619, ZERO, 0, 0, NULL, 0 },
	{ 0x639, 0x639, ZERO, 0, 0, NULL, 0 },
	{ 0x641, 0x641, ZERO, 0, 0, NULL, 0 },
	{ 0xc0000080, 0xc0000080, EFER, 0, 0, NULL, 0 },
	{ 0xc0000081, 0xc0000081, SWITCHED, 0, 1, NULL, 0 },
	{ 0xc0000082, 0xc0000083, SWITCHED, 0, 1, canonical, 0 },
	{ 0xc0000084, 0xc0000084, SWITCHED, 0, 1, NULL, 0 },
	{ 0xc0000100, 0xc0000102, SWITCHED, 0, 1, canonical, 0 },
	{ 0xc0000103, 0xc0000103, TSC_AUX, 0, 1, NULL, 0 },
	{ 0xc0010000, 0xc0010007, QUIET, 0, 0, NULL, 0 },	/* K7 performance counters */
	{ 0xc0010010, 0xc0010010, ZERO, 0, 0, NULL, 0 },	/* SYSCFG */
	{ 0xc0010015, 0xc0010015, STORED, 32, 0, hwcr_check, 0 },	/* HWCR */
	{ 0xc001001b, 0xc001001b, QUIET, 0, 0, NULL, 0 },	/* CLK_CTL */
	{ 0xc001001f, 0xc001001f, QUIET, 0, 0, NULL, 0 },	/* NB_CFG */
	{ 0xc0010020, 0xc0010020, QUIET, 0, 0, NULL, 0 },	/* patch loader */
	{ 0xc0010055, 0xc0010055, ZERO, 0, 0, NULL, 0 },	/* interrupt pending message */
	{ 0xc0010058, 0xc0010058, ZERO, 0, 0, NULL, 0 },	/* MMIO configuration base */
	{ 0xc0010112, 0xc0010113, ZERO, 0, 0, NULL, 0 },	/* TSEG base and mask */
	{ 0xc0010117, 0xc0010117, QUIET, 0, 0, NULL, 0 },	/* VM_HSAVE_PA */
	{ 0xc0010140, 0xc0010141, STORED, 33, 0, NULL, 0 },	/* OS visible workarounds */
	{ 0xc0011022, 0xc0011023, QUIET, 0, 0, NULL, 0 },	/* DC_CFG, BU_CFG */
	{ 0xc0011029, 0xc0011029, STORED, 35, 1, NULL, 0 },	/* DE_CFG */
	{ 0xc001102a, 0xc001102a, QUIET, 0, 0, NULL, 0 },	/* BU_CFG2 */
	{ 0xc001102c, 0xc001102c, QUIET, 0, 0, NULL, 0 },	/* EX_CFG */
};

static const struct msr_row *find(u32 msr)
{
	u32 low = 0, high = ARRAY_SIZE(rows);

	while (low < high) {
		u32 mid = (low + high) / 2;

		if (msr > rows[mid].last)
			low = mid + 1;
		else if (msr < rows[mid].first)
			high = mid;
		else
			return &rows[mid];
	}
	return NULL;
}

static u64 *stored(struct vcpu *v, const struct msr_row *r, u32 msr)
{
	return &v->arch.msr[r->slot + (msr - r->first)];
}

/* ---- TSC ---- */

static u64 tsc_read(const struct vcpu *v)
{
	return rdtsc() + v->arch.tsc_offset;
}

static void tsc_set_offset(struct vcpu *v, u64 offset)
{
	v->arch.tsc_offset = offset;
	backend->set_tsc_offset(v, offset);
}

/*
 * A VMM that sets all vCPUs to nearly the same count (reset, migration) means
 * one count: within about a second the VM's offset is kept, so that the vCPUs
 * agree exactly. A guest's own write moves that vCPU alone.
 */
#define TSC_SAME (1ull << 32)

static void tsc_write(struct vcpu *v, u64 value, int host)
{
	u64 offset = value - rdtsc(), delta = offset - v->vm->arch.tsc_offset;

	if (!host) {
		v->arch.tsc_adjust += offset - v->arch.tsc_offset;
		tsc_set_offset(v, offset);
		return;
	}
	if (delta + TSC_SAME >= 2 * TSC_SAME)
		v->vm->arch.tsc_offset = offset;
	tsc_set_offset(v, v->vm->arch.tsc_offset);
}

static int tsc_adjust_write(struct vcpu *v, u64 value, int host)
{
	if (!host)
		tsc_set_offset(v, v->arch.tsc_offset + value - v->arch.tsc_adjust);
	v->arch.tsc_adjust = value;
	return 0;
}

/* ---- APIC_BASE, EFER ---- */

/* KVM's rule: reserved bits; x2APIC only if CPUID has it; not x2APIC without enable. */
int apic_base_valid(const struct vcpu *v, u64 value)
{
	u64 reserved = 0x2ffull | ~((1ull << 52) - 1);

	if (!cpuid_has(v, 1, 2, 21))
		reserved |= APIC_BASE_X2APIC;
	return !(value & reserved) && ((value & APIC_BASE_ENABLE) || !(value & APIC_BASE_X2APIC));
}

static int apic_base_write(struct vcpu *v, u64 value)
{
	if (!apic_base_valid(v, value))
		return 1;
	v->arch.apic_base = value;
	return 0;
}

int efer_valid(u64 efer)
{
	return !(efer & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_FFXSR));
}

static int efer_write(struct vcpu *v, u64 value, int host)
{
	u64 *efer = backend->msr_slot(v, MSR_EFER);
	struct abi_sregs s;

	if (!efer_valid(value))
		return 1;
	if (!host) {
		if (((value & EFER_NXE) && !cpuid_has(v, 0x80000001, 3, 20)) ||
		    ((value & (EFER_LME | EFER_LMA)) && !cpuid_has(v, 0x80000001, 3, 29)) ||
		    ((value & EFER_FFXSR) && !cpuid_has(v, 0x80000001, 3, 25)))
			return 1;
	}
	backend->get_sregs(v, &s);
	if ((s.cr0 & CR0_PG) && ((*efer ^ value) & EFER_LME))
		return 1;
	*efer = (value & ~EFER_LMA) | (*efer & EFER_LMA) | EFER_SVME;
	return 0;
}

int cpu_has_tsc_aux;

/* ---- the one read and the one write ---- */

int msr_read(struct vcpu *v, u32 msr, u64 *value, int host)
{
	const struct msr_row *r = find(msr);

	(void)host;
	if (!r)
		return 1;
	switch (r->kind) {
	case SWITCHED: *value = *backend->msr_slot(v, msr); break;
	case STORED: *value = *stored(v, r, msr); break;
	case CONSTANT: *value = r->reset; break;
	case QUIET: case ZERO: *value = 0; break;
	case TSC: *value = tsc_read(v); break;
	case TSC_ADJUST: *value = v->arch.tsc_adjust; break;
	case APIC_BASE: *value = v->arch.apic_base; break;
	case EFER: *value = *backend->msr_slot(v, msr) & ~EFER_SVME; break;
	case TSC_AUX: *value = v->arch.tsc_aux; break;
	}
	return 0;
}

static int tsc_aux_write(struct vcpu *v, u64 value, int host)
{
	if (value >> 32 || !cpu_has_tsc_aux)
		return 1;
	if (!host && !cpuid_has(v, 0x80000001, 3, 27) && !cpuid_has(v, 7, 2, 22))
		return 1;
	if (!host)
		wrmsr(MSR_TSC_AUX, value);	/* the guest is loaded: its value is in the processor */
	v->arch.tsc_aux = value;
	return 0;
}

int msr_write(struct vcpu *v, u32 msr, u64 value, int host)
{
	const struct msr_row *r = find(msr);

	if (!r || (r->check && !r->check(msr, value)))
		return 1;
	switch (r->kind) {
	case SWITCHED: *backend->msr_slot(v, msr) = value; return 0;
	case STORED: *stored(v, r, msr) = msr == MSR_HWCR ? value & 0x40000 : value; return 0;
	case CONSTANT: return !(host && value == r->reset);
	case QUIET: return 0;
	case ZERO: return !(host && !value);
	case TSC: tsc_write(v, value, host); return 0;
	case TSC_ADJUST: return tsc_adjust_write(v, value, host);
	case APIC_BASE: return apic_base_write(v, value);
	case EFER: return efer_write(v, value, host);
	default: return tsc_aux_write(v, value, host);
	}
}

void msr_reset(struct vcpu *v)
{
	u32 i, k;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		for (k = rows[i].first; rows[i].kind == STORED && k <= rows[i].last; k++)
			*stored(v, &rows[i], k) = rows[i].reset;
	v->arch.apic_base = APIC_BASE_RESET | APIC_BASE_ENABLE | (v->id ? 0 : APIC_BASE_BSP);
	tsc_set_offset(v, v->vm->arch.tsc_offset);
}

/* ---- KVM's calls ---- */

static s64 msrs_do(struct call *c, int write)
{
	struct abi_msrs *m = (struct abi_msrs *)c->buf;
	struct abi_msr_entry *e = m->entries;
	u32 n = m->nmsrs, i;

	if (n > ABI_MAX_MSR_ENTRIES || c->length < sizeof(*m) + n * sizeof(*e))
		n = 0;
	for (i = 0; i < n; i++, e++)
		if (write ? msr_write(c->vcpu, e->index, e->data, 1) : msr_read(c->vcpu, e->index, &e->data, 1))
			break;
	c->out = write ? 0 : sizeof(*m) + n * sizeof(*e);
	return i;
}

s64 op_KVM_GET_MSRS(struct call *c)
{
	return msrs_do(c, 0);
}

s64 op_KVM_SET_MSRS(struct call *c)
{
	return msrs_do(c, 1);
}

s64 op_KVM_GET_MSR_INDEX_LIST(struct call *c)
{
	struct abi_msr_list *list = (struct abi_msr_list *)c->buf;
	u32 i, k;

	list->nmsrs = 0;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		for (k = rows[i].first; rows[i].listed && k <= rows[i].last; k++)
			list->indices[list->nmsrs++] = k;
	c->out = sizeof(*list) + 4 * list->nmsrs;
	return 0;
}

/* Features that a VMM could ask about on /dev/kvm: none is offered. */
s64 op_KVM_GET_MSR_FEATURE_INDEX_LIST(struct call *c)
{
	((struct abi_msr_list *)c->buf)->nmsrs = 0;
	c->out = sizeof(struct abi_msr_list);
	return 0;
}
