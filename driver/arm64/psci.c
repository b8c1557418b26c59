// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * psci.c - PSCI of guests, as far as it concerns other vCPUs or the whole VM;
 * the hypervisor answers the rest itself.
 *
 * Owns: vcpu.arch.power_off and on_*. Invariant: a vCPU is reset only by its own
 * thread, in KVM_RUN: CPU_ON leaves a note.
 * Called by: exits.c. Concurrency: vm.lock for changes of power state.
 * See: Arm DEN 0022; Documentation/virt/kvm/api.rst, KVM_EXIT_SYSTEM_EVENT.
 */
#include <uapi/linux/psci.h>
#include <asm/cputype.h>

#include "tenon.h"

#define FN32(fn) ((fn) & ~0x40000000u)	/* both forms of a function are handled alike */
#define RESET2_FN 0x84000012u
#define AFFINITY_LEVELS 3u

/* KVM's MPIDR of a vCPU: four bits of its id, then eight, then the rest. */
u64 vcpu_affinity(const struct vcpu *v)
{
	return (v->id & 0xf) | (u64)(v->id >> 4 & 0xff) << 8 | (u64)(v->id >> 12 & 0xff) << 16;
}

struct vcpu *vcpu_by_affinity(struct vm *vm, u64 mpidr)
{
	u32 i;

	for (i = 0; i < ABI_MAX_VCPUS; i++) {
		if (vm->vcpu[i] && vcpu_affinity(vm->vcpu[i]) == (mpidr & MPIDR_HWID_BITMASK))
			return vm->vcpu[i];
	}
	return NULL;
}

static s64 cpu_on(struct vcpu *v, const u64 *x)
{
	struct vcpu *target;
	s64 rc = PSCI_RET_SUCCESS;

	mutex_lock(&v->vm->lock);
	target = vcpu_by_affinity(v->vm, x[1]);
	if (!target || !target->arch.initialized) {
		rc = PSCI_RET_INVALID_PARAMS;
	} else if (!target->arch.power_off) {
		rc = PSCI_RET_ALREADY_ON;
	} else {
		target->arch.on_entry = x[2];
		target->arch.on_context = x[3];
		target->arch.on_pending = true;
		/* The note before the state; pairs with psci_begin(). */
		smp_store_release(&target->arch.power_off, false);
		wake_up(&target->arch.wait);
	}
	mutex_unlock(&v->vm->lock);
	return rc;
}

static s64 affinity_info(struct vcpu *v, const u64 *x)
{
	u64 mask = MPIDR_HWID_BITMASK;
	s64 rc = PSCI_RET_INVALID_PARAMS;
	u32 i;

	if (x[2] > AFFINITY_LEVELS)
		return rc;
	mask &= ~((1ull << (8 * min_t(u64, x[2], 3))) - 1);
	for (i = 0; i < ABI_MAX_VCPUS; i++) {
		struct vcpu *other = v->vm->vcpu[i];

		if (!other || (vcpu_affinity(other) & mask) != (x[1] & mask))
			continue;
		if (!READ_ONCE(other->arch.power_off))
			return PSCI_0_2_AFFINITY_LEVEL_ON;
		rc = PSCI_0_2_AFFINITY_LEVEL_OFF;
	}
	return rc;
}

/* All vCPUs stop before the VMM hears of it. */
static int system_event(struct vcpu *v, u32 type, u64 flags)
{
	struct kvm_run *run = v->run;
	u32 i;

	for (i = 0; i < ABI_MAX_VCPUS; i++) {
		struct vcpu *other = v->vm->vcpu[i];

		if (!other)
			continue;
		WRITE_ONCE(other->arch.power_off, true);
		if (other != v)
			vcpu_kick(other);
	}
	memset(&run->system_event, 0, sizeof(run->system_event));
	run->system_event.type = type;
	run->system_event.ndata = 1;
	run->system_event.data[0] = flags;
	run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	return 0;
}

static void answer(struct vcpu *v, s64 value)
{
	v->exit->in.reg = 0;
	v->exit->in.value = value;
	v->exit->in.flags |= RESUME_REG;
}

int psci_exit(struct vcpu *v)
{
	const u64 *x = v->exit->out.x;

	switch (FN32((u32)x[0])) {
	case PSCI_0_2_FN_CPU_SUSPEND:
		answer(v, PSCI_RET_SUCCESS);
		return wait_for_interrupt(v, 0);
	case PSCI_0_2_FN_CPU_OFF:
		WRITE_ONCE(v->arch.power_off, true);
		return 1;
	case FN32(PSCI_0_2_FN64_CPU_ON):
		answer(v, cpu_on(v, x));
		return 1;
	case FN32(PSCI_0_2_FN64_AFFINITY_INFO):
		answer(v, affinity_info(v, x));
		return 1;
	case PSCI_0_2_FN_SYSTEM_OFF:
		/* What the guest sees if the VMM lets it go on. */
		answer(v, PSCI_RET_INTERNAL_FAILURE);
		return system_event(v, KVM_SYSTEM_EVENT_SHUTDOWN, 0);
	case PSCI_0_2_FN_SYSTEM_RESET:
		answer(v, PSCI_RET_INTERNAL_FAILURE);
		return system_event(v, KVM_SYSTEM_EVENT_RESET, 0);
	case RESET2_FN:
		/* Vendor-specific resets aside, the one architectural type there is. */
		if (x[1] && !(x[1] & PSCI_1_1_RESET_TYPE_VENDOR_START)) {
			answer(v, PSCI_RET_INVALID_PARAMS);
			return 1;
		}
		answer(v, PSCI_RET_INTERNAL_FAILURE);
		return system_event(v, KVM_SYSTEM_EVENT_RESET, KVM_SYSTEM_EVENT_RESET_FLAG_PSCI_RESET2);
	default:
		answer(v, PSCI_RET_NOT_SUPPORTED);
		return 1;
	}
}

int psci_begin(struct vcpu *v)
{
	int rc;

	if (likely(!READ_ONCE(v->arch.on_pending)))
		return 0;
	v->arch.on_pending = false;
	v->exit->in.flags = 0;
	rc = vcpu_reset(v);
	if (!rc)
		rc = vcpu_set_reg(v, REG_CORE(regs.pc), v->arch.on_entry);
	return rc ? rc : vcpu_set_reg(v, REG_CORE(regs.regs[0]), v->arch.on_context);
}
