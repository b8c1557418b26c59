/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * msr.c - the model-specific registers of a user VM that the processor or the
 * hypervisor acts on: one row serves the guest's RDMSR and WRMSR, KVM_GET_MSRS,
 * KVM_SET_MSRS and the index list. All others are only the guest's own affair:
 * they are the driver's (EXIT_MSR).
 * See: APM vol. 2, appendix A; SDM vol. 4.
 */
#include "vcpu_arch.h"
#include "vm.h"
#include "call.h"

typedef int (*msr_check_fn)(u32 msr, u64 value);

enum kind {
	SWITCHED,	/* lives in the backend's state block */
	TSC, TSC_ADJUST, APIC_BASE, EFER, TSC_AUX,
};

static int canonical(u32 msr, u64 value)
{
	(void)msr;
	return (u64)((s64)(value << 16) >> 16) == value;
}

static int pat_check(u32 msr, u64 value)
{
	u32 i;

	(void)msr;
	for (i = 0; i < 64; i += 8)
		if ((value >> i & 0xff) > 7 || (value >> i & 0xff) == 2 || (value >> i & 0xff) == 3)
			return 0;
	return 1;
}

static const struct msr_row {
	u32 first, last;
	u8 kind;
	u8 listed;
	msr_check_fn check;
} rows[] = {
	{ 0x10, 0x10, TSC, 1, NULL },
	{ 0x1b, 0x1b, APIC_BASE, 0, NULL },
	{ 0x3b, 0x3b, TSC_ADJUST, 1, NULL },
	{ 0x174, 0x174, SWITCHED, 1, NULL },
	{ 0x175, 0x176, SWITCHED, 1, canonical },
	{ 0x277, 0x277, SWITCHED, 1, pat_check },
	{ 0xc0000080, 0xc0000080, EFER, 0, NULL },
	{ 0xc0000081, 0xc0000081, SWITCHED, 1, NULL },
	{ 0xc0000082, 0xc0000083, SWITCHED, 1, canonical },
	{ 0xc0000084, 0xc0000084, SWITCHED, 1, NULL },
	{ 0xc0000100, 0xc0000102, SWITCHED, 1, canonical },
	{ 0xc0000103, 0xc0000103, TSC_AUX, 1, NULL },
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
static int apic_base_valid(const struct vcpu *v, u64 value)
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

int msr_read(struct vcpu *v, u32 msr, u64 *value)
{
	const struct msr_row *r = find(msr);

	if (!r)
		return MSR_UNKNOWN;
	switch (r->kind) {
	case SWITCHED: *value = *backend->msr_slot(v, msr); break;
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

	if (!r)
		return MSR_UNKNOWN;
	if (r->check && !r->check(msr, value))
		return 1;
	switch (r->kind) {
	case SWITCHED: *backend->msr_slot(v, msr) = value; return 0;
	case TSC: tsc_write(v, value, host); return 0;
	case TSC_ADJUST: return tsc_adjust_write(v, value, host);
	case APIC_BASE: return apic_base_write(v, value);
	case EFER: return efer_write(v, value, host);
	default: return tsc_aux_write(v, value, host);
	}
}

void msr_reset(struct vcpu *v)
{
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
		if (write ? msr_write(c->vcpu, e->index, e->data, 1) : msr_read(c->vcpu, e->index, &e->data))
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
