// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * caps.c - is this Tenon, and what does KVM_CHECK_EXTENSION say on arm64.
 *
 * Owns: the table of capabilities. Invariant: a number is in it only if all
 * that it promises works; every other number reads 0.
 * Called by: main.c. Concurrency: read only.
 * See: docs/abi.md; Documentation/virt/kvm/api.rst 4.4.
 */
#include <linux/arm-smccc.h>
#include <linux/cpumask.h>
#include <asm/cpufeature.h>
#include <asm/cputype.h>

#include "route.h"

#define GUEST_BITS 40u		/* of an intermediate physical address */

static const struct cap_row caps[] = {
	{ KVM_CAP_IRQCHIP, 1 },
	{ KVM_CAP_DEVICE_CTRL, 1 },
	{ KVM_CAP_USER_MEMORY, 1 },
	{ KVM_CAP_NR_MEMSLOTS, 32764 },
	{ KVM_CAP_COALESCED_MMIO, KVM_COALESCED_MMIO_PAGE_OFFSET },
	{ KVM_CAP_SYNC_MMU, 1 },
	{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1 },
	{ KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1 },
	{ KVM_CAP_MP_STATE, 1 },
	{ KVM_CAP_IRQ_ROUTING, ROUTES_MAX },
	{ KVM_CAP_IRQFD, 1 },
	{ KVM_CAP_IOEVENTFD, 1 },
	{ KVM_CAP_VCPU_EVENTS, 1 },
	{ KVM_CAP_MAX_VCPUS, ABI_MAX_VCPUS },
	{ KVM_CAP_ONE_REG, 1 },
	{ KVM_CAP_SIGNAL_MSI, 1 },
	{ KVM_CAP_READONLY_MEM, 1 },
	{ KVM_CAP_IRQFD_RESAMPLE, 1 },
	{ KVM_CAP_ARM_PSCI, 1 },
	{ KVM_CAP_ARM_PSCI_0_2, 1 },
	{ KVM_CAP_ENABLE_CAP_VM, 1 },
	{ KVM_CAP_IOEVENTFD_NO_LENGTH, 1 },
	{ KVM_CAP_CHECK_EXTENSION_VM, 1 },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH, 1 },
	{ KVM_CAP_MAX_VCPU_ID, ABI_MAX_VCPUS },
	{ KVM_CAP_IMMEDIATE_EXIT, 1 },
	{ KVM_CAP_ARM_USER_IRQ, 1 },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, DIRTY_MANUAL_CAPS },
	{ KVM_CAP_ARM_INJECT_EXT_DABT, 1 },
};

long arch_cap(const struct vm *vm, u32 cap)
{
	u32 i;

	/* The two that depend on the machine, and one on the VM. */
	if (cap == KVM_CAP_NR_VCPUS)
		return min_t(u32, num_online_cpus(), ABI_MAX_VCPUS);
	if (cap == KVM_CAP_ARM_INJECT_SERROR_ESR)
		return cpus_have_const_cap(ARM64_HAS_RAS_EXTN);
	if (cap == KVM_CAP_MSI_DEVID)
		return vm ? !!READ_ONCE(vm->arch.its_count) : -EINVAL;
	for (i = 0; i < ARRAY_SIZE(caps); i++) {
		if (caps[i].cap == cap)
			return caps[i].value;
	}
	return 0;
}

bool arch_detect(void)
{
	struct arm_smccc_res res;

	if (arm_smccc_1_1_get_conduit() == SMCCC_CONDUIT_NONE)
		return false;
	arm_smccc_1_1_invoke(ABI_SMCCC_UID, &res);
	return (u32)res.a0 == ABI_UID_0 && (u32)res.a1 == ABI_UID_1 && (u32)res.a2 == ABI_UID_2 &&
	       (u32)res.a3 == ABI_UID_3;
}

u64 arch_max_gfn(void)
{
	u64 range = read_sanitised_ftr_reg(SYS_ID_AA64MMFR0_EL1) & 0xf;

	/* As the hypervisor: what all CPUs can address, and no more than its own tables do. */
	return (1ull << (min_t(u32, id_aa64mmfr0_parange_to_phys_shift(range), GUEST_BITS) - PAGE_SHIFT)) - 1;
}

/* KVM names two cores of old; all others are generic. */
u32 arch_target(void)
{
	if (read_cpuid_implementor() != ARM_CPU_IMP_ARM)
		return KVM_ARM_TARGET_GENERIC_V8;
	switch (read_cpuid_part_number()) {
	case ARM_CPU_PART_CORTEX_A53:
		return KVM_ARM_TARGET_CORTEX_A53;
	case ARM_CPU_PART_CORTEX_A57:
		return KVM_ARM_TARGET_CORTEX_A57;
	default:
		return KVM_ARM_TARGET_GENERIC_V8;
	}
}
