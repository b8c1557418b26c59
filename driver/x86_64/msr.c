// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * msr.c - the guest's model-specific registers: MTRRs, machine-check banks and
 * what an operating system probes live here; those that the processor acts on
 * are fields of the hypervisor's, and the guest reaches most of them without an
 * exit.
 *
 * Owns: vcpu.arch.msr, the TSC's offsets. One row serves RDMSR and WRMSR (EXIT_MSR), KVM_GET_MSRS,
 * KVM_SET_MSRS, reset and the index list. What has no row anywhere is #GP to the
 * guest, and ends KVM_SET_MSRS.
 * Called by: exits.c, ioctl.c. Concurrency: v->lock.
 * See: APM volume 2, appendix A; SDM volume 4.
 */
#include <linux/kvm_para.h>
#include <linux/slab.h>
#include <asm/msr.h>
#include <asm/processor-flags.h>

#include "tenon.h"
#include "models/decode.h"
#include "trace.h"

#define MSR_SLOTS 168u
#define HWCR_STORED 0x40000ull
#define VECTOR_GP 13u

enum msr_kind {
	STORED,		/* a slot of vcpu.arch.msr */
	HOST,		/* such a slot; a guest's write is #GP */
	MISC_ENABLE, STORED_LAST = MISC_ENABLE,
	CONSTANT,	/* reads `reset`; a write is #GP, but the VMM may write the same value */
	QUIET,		/* reads 0; writes are dropped */
	ZERO,		/* reads 0; a write is #GP, but 0 from the VMM */
	FIELD,		/* a field of the hypervisor's, in `slot` */
	TSC, TSC_ADJUST, EFER, TSC_AUX,
	APIC,		/* apic.c's */
	CLOCK,		/* pvclock.c's */
	STEAL,		/* steal.c's */
	ASYNC_PF,	/* apf.c's */
	MCE,		/* mcheck.c's */
};

static bool memory_type(u64 t)
{
	return t == 0 || t == 1 || t == 4 || t == 5 || t == 6;
}

static bool mtrr_fixed_check(u32 msr, u64 value)
{
	u32 i;

	for (i = 0; i < 64; i += 8)
		if (!memory_type(value >> i & 0xff))
			return false;
	return true;
}

static bool mtrr_def_check(u32 msr, u64 value)
{
	return memory_type(value & 0xff) && !(value & ~0xcffull);
}

static bool mtrr_var_check(u32 msr, u64 value)
{
	if (value >> 52)
		return false;
	return msr & 1 ? !(value & 0x7ff) : memory_type(value & 0xff) && !(value & 0xf00);
}

/* Nothing but McStatusWrEn can be on; three bits are dropped (as KVM). */
static bool hwcr_check(u32 msr, u64 value)
{
	return !(value & ~(0x40000ull | 0x40 | 0x100 | 0x8));
}

static bool canonical(u32 msr, u64 value)
{
	return (u64)((s64)(value << 16) >> 16) == value;
}

static bool pat_check(u32 msr, u64 value)
{
	u32 i;

	for (i = 0; i < 64; i += 8)
		if ((value >> i & 0xff) > 7 || (value >> i & 0xff) == 2 || (value >> i & 0xff) == 3)
			return false;
	return true;
}

static const struct msr_row {
	u32 first, last;
	u8 kind;
	u8 slot;
	u8 listed;
	bool (*check)(u32 msr, u64 value);
	u64 reset;
} rows[] = {
	{ 0x00, 0x01, ZERO, 0, 0, NULL, 0 },			/* P5 machine check */
	{ 0x10, 0x10, TSC, 0, 1, NULL, 0 },
	{ 0x11, 0x12, CLOCK, 0, 1, NULL, 0 },			/* kvmclock, old numbers */
	{ 0x17, 0x17, ZERO, 0, 0, NULL, 0 },			/* PLATFORM_ID */
	{ 0x1b, 0x1b, APIC, 0, 0, NULL, 0 },			/* IA32_APIC_BASE */
	{ 0x2a, 0x2a, ZERO, 0, 0, NULL, 0 },			/* EBL_CR_POWERON */
	{ 0x3b, 0x3b, TSC_ADJUST, 0, 1, NULL, 0 },
	{ 0x79, 0x79, QUIET, 0, 0, NULL, 0 },			/* microcode update */
	{ 0x8b, 0x8b, STORED, 0, 0, NULL, 0x01000065 },		/* microcode revision, as KVM's for AMD */
	{ 0xce, 0xce, HOST, 36, 1, NULL, 0 },			/* PLATFORM_INFO: nothing to fault CPUID with */
	{ 0xfe, 0xfe, CONSTANT, 0, 0, NULL, 0x508 },		/* MTRRcap: 8 ranges, fixed ranges, WC */
	{ 0x140, 0x140, ZERO, 0, 1, NULL, 0 },			/* MISC_FEATURES_ENABLES */
	{ 0x174, 0x174, FIELD, STATE_SYSENTER_CS, 1, NULL, 0 },
	{ 0x175, 0x176, FIELD, STATE_SYSENTER_ESP, 1, canonical, 0 },
	{ 0x179, 0x179, MCE, 0, 0, NULL, 0 },			/* MCG_CAP */
	{ 0x17a, 0x17b, MCE, 0, 1, NULL, 0 },			/* MCG_STATUS, MCG_CTL */
	{ 0x199, 0x199, ZERO, 0, 0, NULL, 0 },			/* PERF_CTL */
	{ 0x1a0, 0x1a0, MISC_ENABLE, 3, 1, NULL, 0x1 },		/* MISC_ENABLE: fast strings */
	{ 0x1d9, 0x1d9, QUIET, 0, 0, NULL, 0 },			/* DEBUGCTL */
	{ 0x1db, 0x1de, ZERO, 0, 0, NULL, 0 },			/* last branch records */
	{ 0x1fc, 0x1fc, STORED, 37, 0, NULL, 0 },		/* POWER_CTL */
	{ 0x200, 0x20f, STORED, 4, 0, mtrr_var_check, 0 },
	{ 0x250, 0x250, STORED, 20, 0, mtrr_fixed_check, 0 },
	{ 0x258, 0x259, STORED, 21, 0, mtrr_fixed_check, 0 },
	{ 0x268, 0x26f, STORED, 23, 0, mtrr_fixed_check, 0 },
	{ 0x277, 0x277, FIELD, STATE_PAT, 1, pat_check, 0 },
	{ 0x280, 0x29f, MCE, 0, 0, NULL, 0 },			/* the banks' CTL2 */
	{ 0x2ff, 0x2ff, STORED, 31, 0, mtrr_def_check, 0 },
	{ 0x400, 0x47f, MCE, 0, 0, NULL, 0 },			/* machine-check banks */
	{ 0x606, 0x606, ZERO, 0, 0, NULL, 0 },			/* energy: units, counters */
	{ 0x611, 0x611, ZERO, 0, 0, NULL, 0 },
	{ 0x619, 0x619, ZERO, 0, 0, NULL, 0 },
	{ 0x639, 0x639, ZERO, 0, 0, NULL, 0 },
	{ 0x641, 0x641, ZERO, 0, 0, NULL, 0 },
	{ 0x6e0, 0x6e0, APIC, 0, 1, NULL, 0 },			/* IA32_TSC_DEADLINE */
	{ 0x800, 0x8ff, APIC, 0, 0, NULL, 0 },			/* x2APIC */
	{ 0x4b564d00, 0x4b564d01, CLOCK, 0, 1, NULL, 0 },	/* kvmclock */
	{ 0x4b564d02, 0x4b564d02, ASYNC_PF, 0, 1, NULL, 0 },
	{ 0x4b564d03, 0x4b564d03, STEAL, 0, 1, NULL, 0 },
	{ 0x4b564d06, 0x4b564d07, ASYNC_PF, 0, 1, NULL, 0 },
	{ 0xc0000080, 0xc0000080, EFER, 0, 0, NULL, 0 },
	{ 0xc0000081, 0xc0000081, FIELD, STATE_STAR, 1, NULL, 0 },
	{ 0xc0000082, 0xc0000083, FIELD, STATE_LSTAR, 1, canonical, 0 },
	{ 0xc0000084, 0xc0000084, FIELD, STATE_SFMASK, 1, NULL, 0 },
	{ 0xc0000100, 0xc0000100, FIELD, 2 * SEG_FS + 1, 1, canonical, 0 },
	{ 0xc0000101, 0xc0000101, FIELD, 2 * SEG_GS + 1, 1, canonical, 0 },
	{ 0xc0000102, 0xc0000102, FIELD, STATE_KERNEL_GS_BASE, 1, canonical, 0 },
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

static int tsc_adjust_write(struct vcpu *v, u64 value, bool host)
{
	u64 delta = value - v->arch.tsc_adjust;

	v->arch.tsc_adjust = value;
	return host ? 0 : state_set_tsc_offset(v, v->arch.tsc_offset + delta);
}

/* ---- EFER, TSC_AUX ---- */

/* What the guest's CPUID does not have; the VMM may set it all the same (as KVM). */
static u64 efer_absent(const struct vcpu *v)
{
	return (cpuid_has(v, 0x80000001, 3, 20) ? 0 : EFER_NX) | (cpuid_has(v, 0x80000001, 3, 29) ? 0 : EFER_LME | EFER_LMA) |
		(cpuid_has(v, 0x80000001, 3, 25) ? 0 : EFER_FFXSR);
}

static int efer_write(struct vcpu *v, u64 value, bool host)
{
	struct state_fields s;
	u64 old;

	if (value & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX | EFER_FFXSR) || (!host && value & efer_absent(v)))
		return MSR_BAD;
	if (state_read(v, &s))
		return MSR_BAD;
	old = s.value[STATE_EFER];
	if (s.value[STATE_CR0] & X86_CR0_PG && (old ^ value) & EFER_LME)
		return MSR_BAD;
	return state_write_one(v, STATE_EFER, (value & ~EFER_LMA) | (old & EFER_LMA));
}

static int tsc_aux_write(struct vcpu *v, u64 value, bool host)
{
	if (value >> 32 || !boot_cpu_has(X86_FEATURE_RDTSCP))
		return MSR_BAD;
	if (!host && !cpuid_has(v, 0x80000001, 3, 27) && !cpuid_has(v, 7, 2, 22))
		return MSR_BAD;
	return state_write_one(v, STATE_TSC_AUX, value);
}

/* ---- MISC_ENABLE ---- */

#define MISC_ENABLE_READ_ONLY (MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL | MSR_IA32_MISC_ENABLE_BTS_UNAVAIL)

/* Whether there is MWAIT shows in CPUID only for a VMM that does without KVM's quirk. */
static int misc_enable_write(struct vcpu *v, u64 *reg, u64 value, bool host)
{
	u64 old = *reg;

	if (!host && (old ^ value) & MISC_ENABLE_READ_ONLY)
		return MSR_BAD;
	if (!host)
		value = (value & ~MSR_IA32_MISC_ENABLE_EMON) | (old & MSR_IA32_MISC_ENABLE_EMON);
	if (options_quirk(v->vm, KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT) || !((old ^ value) & MSR_IA32_MISC_ENABLE_MWAIT)) {
		*reg = value;
		return 0;
	}
	if (!cpuid_has(v, 1, 2, 0))	/* SSE3 */
		return MSR_BAD;
	*reg = value;
	return cpuid_set_mwait(v, value & MSR_IA32_MISC_ENABLE_MWAIT);
}

/* kvmclock's old registers and its new ones have a feature bit each. */
static bool clock_denied(const struct vcpu *v, u32 msr)
{
	return options_pv_denied(v, msr < MSR_KVM_WALL_CLOCK_NEW ? KVM_FEATURE_CLOCKSOURCE : KVM_FEATURE_CLOCKSOURCE2);
}

/* ---- the one read and the one write ---- */

int msr_read(struct vcpu *v, u32 msr, u64 *value, bool host)
{
	const struct msr_row *r = find(msr);

	if (!r)
		return MSR_UNKNOWN;
	*value = 0;
	switch (r->kind) {
	case HOST:
	case MISC_ENABLE:
	case STORED: *value = *stored(v, r, msr); return 0;
	case CONSTANT: *value = r->reset; return 0;
	case FIELD: return state_read_one(v, r->slot + (msr - r->first), value);
	case TSC: *value = tsc_guest(v, rdtsc()); return 0;
	case TSC_ADJUST: *value = v->arch.tsc_adjust; return 0;
	case APIC: return apic_msr_read(v, msr, value);
	case CLOCK: return clock_denied(v, msr) ? MSR_UNKNOWN : pvclock_read(v, msr, value);
	case STEAL: *value = v->arch.steal.msr; return options_pv_denied(v, KVM_FEATURE_STEAL_TIME) ? MSR_UNKNOWN : 0;
	case ASYNC_PF: return apf_read(v, msr, value);
	case MCE: return mcheck_read(v, msr, value, host);
	case EFER: return state_read_one(v, STATE_EFER, value);
	case TSC_AUX: return state_read_one(v, STATE_TSC_AUX, value);
	default: return 0;
	}
}

/* Every other failure counts as a bad value. */
int msr_write(struct vcpu *v, u32 msr, u64 value, bool host)
{
	const struct msr_row *r = find(msr);

	if (!r)
		return MSR_UNKNOWN;
	if (r->check && !r->check(msr, value))
		return MSR_BAD;
	switch (r->kind) {
	case STORED:
		*stored(v, r, msr) = msr == 0xc0010015 ? value & HWCR_STORED : value;
		return 0;
	case HOST:
		if (!host)
			return MSR_BAD;
		*stored(v, r, msr) = value;
		return 0;
	case MISC_ENABLE: return misc_enable_write(v, stored(v, r, msr), value, host);
	case CONSTANT: return host && value == r->reset ? 0 : MSR_BAD;
	case ZERO: return host && !value ? 0 : MSR_BAD;
	case FIELD: return state_write_one(v, r->slot + (msr - r->first), value) ? MSR_BAD : 0;
	case TSC: return tsc_set(v, value, host);
	case TSC_ADJUST: return tsc_adjust_write(v, value, host);
	case APIC: return apic_msr_write(v, msr, value, host);
	case CLOCK: return clock_denied(v, msr) ? MSR_UNKNOWN : pvclock_write(v, msr, value, host);
	case STEAL: return options_pv_denied(v, KVM_FEATURE_STEAL_TIME) ? MSR_UNKNOWN : steal_write(v, value);
	case ASYNC_PF: return apf_write(v, msr, value);
	case MCE: return mcheck_write(v, msr, value, host);
	case EFER: return efer_write(v, value, host);
	case TSC_AUX: return tsc_aux_write(v, value, host);
	default: return 0;
	}
}

u32 msr_list_all(u32 *indices)
{
	u32 i, msr, n = 0;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		for (msr = rows[i].first; rows[i].listed && msr <= rows[i].last; msr++)
			indices[n++] = msr;
	}
	return n;
}

/* ---- features ---- */

static const struct { u32 msr; bool amd_only; } features[] = {
	{ MSR_AMD64_DE_CFG, true },
	{ MSR_IA32_UCODE_REV, false },
};

int msr_feature(u32 msr, u64 *value)
{
	*value = 0;
	if (msr == MSR_AMD64_DE_CFG && arch_is_amd())
		*value = boot_cpu_has(X86_FEATURE_LFENCE_RDTSC) ? MSR_AMD64_DE_CFG_LFENCE_SERIALIZE : 0;
	else if (msr == MSR_IA32_UCODE_REV)
		rdmsrl_safe(msr, value);
	else
		return MSR_UNKNOWN;
	return 0;
}

u32 msr_list_features(u32 *indices)
{
	u32 i, n = 0;

	for (i = 0; i < ARRAY_SIZE(features); i++) {
		if (!features[i].amd_only || arch_is_amd())
			indices[n++] = features[i].msr;
	}
	return n;
}

/* ---- the guest's accesses ---- */

/* What the VMM may want to hear of. */
static const u32 reasons[] = {
	[MSR_BAD] = KVM_MSR_EXIT_REASON_INVAL,
	[MSR_UNKNOWN] = KVM_MSR_EXIT_REASON_UNKNOWN,
	[MSR_FILTERED] = KVM_MSR_EXIT_REASON_FILTER,
};

/* A VMM can hold MSR_PLATFORM_INFO back from its guest. */
static int msr_guest_read(struct vcpu *v, u32 msr, u64 *value)
{
	if (msr == MSR_PLATFORM_INFO && v->vm->arch.options.platform_info_off)
		return MSR_BAD;
	return msr_read(v, msr, value, false);
}

static int msr_access(struct vcpu *v, u32 msr, u64 *value, bool write)
{
	if (!options_msr_allowed(v->vm, msr, write))
		return MSR_FILTERED;
	return write ? msr_write(v, msr, *value, false) : msr_guest_read(v, msr, value);
}

/* The instruction ends with #GP(0). Returns 1: run again. */
int msr_fault(struct vcpu *v)
{
	return exit_raise(v, &(struct decode_fault){ .vector = VECTOR_GP, .has_error = 1 });
}

/* The instruction is done: value in EDX:EAX after RDMSR, RIP behind it. Returns 1: run again. */
int msr_done(struct vcpu *v, u64 next_rip, u64 value)
{
	struct exit_resume *in = &v->exit->in;

	if (!v->exit->out.write) {
		in->rax = (u32)value;
		in->rdx = value >> 32;
		in->flags |= RESUME_RAX | RESUME_RDX;
	}
	in->rip = next_rip;
	in->flags |= RESUME_RIP;
	return 1;
}

/* The guest's own RDMSR or WRMSR that does not pass. */
int msr_exit(struct vcpu *v)
{
	const struct exit_state *out = &v->exit->out;
	u64 value = out->data;
	int rc = msr_access(v, out->port, &value, out->write);

	if (rc < 0)
		rc = MSR_BAD;
	if (rc && options_msr_exit(v, reasons[rc]))
		return 0;
	trace_kvm_msr(out->write, out->port, value, rc);
	return rc ? msr_fault(v) : msr_done(v, out->next_rip, value);
}

int msr_init(struct vcpu *v)
{
	u32 i, msr;

	v->arch.msr = kcalloc(MSR_SLOTS, sizeof(u64), GFP_KERNEL_ACCOUNT);
	if (!v->arch.msr)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		for (msr = rows[i].first; rows[i].kind <= STORED_LAST && msr <= rows[i].last; msr++)
			*stored(v, &rows[i], msr) = rows[i].reset;
	}
	return 0;
}
