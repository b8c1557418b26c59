// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * tsc.c - a guest's TSC: its rate, where the processor can scale it, and what
 * it counts from.
 *
 * Owns: vcpu.arch.tsc_khz; the VM's default of it. Invariant: the guest's TSC is
 * the machine's times the ratio, plus the offset, both as the hypervisor has them.
 * Called by: msr.c, pvclock.c, apic.c, the ioctls. Concurrency: v->lock; what the
 * VM keeps is words, written whole.
 * See: SDM volume 3, 25.6.5; APM volume 2, 15.30.5; Documentation/virt/kvm/api.rst 4.55.
 */
#include <linux/math64.h>
#include <asm/msr.h>
#include <asm/tsc.h>

#include "tenon.h"
#include "hypercall.h"

#define TOLERANCE_PPM 250u	/* as KVM: within it a rate is the machine's own */
#define KHZ_MAX 0x7fffffffull

static bool has_control;

void tsc_offers(void)
{
	has_control = cpuid_ebx(ABI_CPUID_BASE + 1) & ABI_FEATURE_TSC_RATIO;
}

bool tsc_control(void)
{
	return has_control;
}

/* ---- the ratio, in the hardware's form; 0 is 1 ---- */

static u32 ratio_bits(void)
{
	return arch_is_amd() ? 32 : 48;
}

static u64 ratio_max(void)
{
	return arch_is_amd() ? 0xffffffffffull : ~0ull;
}

static u64 scale(u64 ratio, u64 ticks)
{
	return ratio ? mul_u64_u64_shr(ticks, ratio, ratio_bits()) : ticks;
}

static bool is_own_rate(u32 khz)
{
	u32 slack = mul_u64_u64_div_u64(tsc_khz, TOLERANCE_PPM, 1000000);

	return khz >= tsc_khz - slack && khz <= tsc_khz + slack;
}

static u64 ratio_of(u32 khz)
{
	return is_own_rate(khz) ? 0 : mul_u64_u64_div_u64(1ull << ratio_bits(), khz, tsc_khz);
}

u64 tsc_guest(const struct vcpu *v, u64 machine)
{
	return scale(v->arch.tsc_ratio, machine) + v->arch.tsc_offset;
}

u32 tsc_guest_khz(const struct vcpu *v)
{
	return max_t(u64, scale(v->arch.tsc_ratio, tsc_khz), 1);
}

/* ---- what it counts from ---- */

void tsc_start(struct vm *vm, u32 khz, u64 machine)
{
	WRITE_ONCE(vm->arch.tsc_khz, khz);
	WRITE_ONCE(vm->arch.tsc_offset_khz, khz);
	WRITE_ONCE(vm->arch.tsc_offset, -scale(ratio_of(khz), machine));
}

/*
 * A VMM that sets all vCPUs to nearly the same count (reset, migration) means
 * one count: within about a second the VM's offset is kept, so that the vCPUs
 * of one rate agree exactly. A guest's own write moves that vCPU alone.
 */
#define TSC_SAME (1ull << 32)

int tsc_set(struct vcpu *v, u64 value, bool host)
{
	struct arch_vm *vm = &v->vm->arch;
	u64 offset = value - scale(v->arch.tsc_ratio, rdtsc());

	if (!host) {
		v->arch.tsc_adjust += offset - v->arch.tsc_offset;
		return state_set_tsc_offset(v, offset);
	}
	if (READ_ONCE(vm->tsc_offset_khz) != v->arch.tsc_khz ||
	    offset - READ_ONCE(vm->tsc_offset) + TSC_SAME >= 2 * TSC_SAME) {
		WRITE_ONCE(vm->tsc_offset, offset);
		WRITE_ONCE(vm->tsc_offset_khz, v->arch.tsc_khz);
	}
	return state_set_tsc_offset(v, READ_ONCE(vm->tsc_offset));
}

/* A new vCPU counts as the VM's others do. */
int tsc_vcpu_init(struct vcpu *v)
{
	u64 ratio;

	v->arch.tsc_khz = READ_ONCE(v->vm->arch.tsc_khz);
	ratio = ratio_of(v->arch.tsc_khz);
	if (ratio && state_set_tsc_ratio(v, ratio))
		return -EIO;
	if (READ_ONCE(v->vm->arch.tsc_offset_khz) != v->arch.tsc_khz)
		return tsc_set(v, 0, true);
	return state_set_tsc_offset(v, READ_ONCE(v->vm->arch.tsc_offset));
}

/* ---- KVM_SET_TSC_KHZ, KVM_GET_TSC_KHZ ---- */

/* 0 means the machine's rate. The rate, or 0 for one that cannot be had. */
static u32 wanted_khz(u32 khz)
{
	u64 limit = min(KHZ_MAX, mul_u64_u64_shr(ratio_max(), tsc_khz, ratio_bits()));

	if (!khz)
		return tsc_khz;
	return has_control ? (khz < limit ? khz : 0) : is_own_rate(khz) ? khz : 0;
}

/* The offset stays, as in KVM: who changes the rate sets the count next. */
long tsc_set_khz(void *object, unsigned long arg)
{
	u32 khz = wanted_khz(arg);
	struct vcpu *v = object;
	u64 ratio = ratio_of(khz);

	if (!khz)
		return -EINVAL;
	v->arch.tsc_khz = khz;
	return ratio == v->arch.tsc_ratio ? 0 : state_set_tsc_ratio(v, ratio);
}

long tsc_get_khz(void *object, unsigned long arg)
{
	struct vcpu *v = object;

	return v->arch.tsc_khz;
}

/* For vCPUs to come, which count from now. */
long tsc_vm_set_khz(void *object, unsigned long arg)
{
	u32 khz = wanted_khz(arg);

	if (!khz)
		return -EINVAL;
	tsc_start(object, khz, rdtsc());
	return 0;
}

long tsc_vm_get_khz(void *object, unsigned long arg)
{
	struct vm *vm = object;

	return READ_ONCE(vm->arch.tsc_khz);
}
