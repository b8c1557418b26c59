// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * caps.c - is this Tenon, and what does KVM_CHECK_EXTENSION say on x86-64.
 *
 * Owns: the table of capabilities. Invariant: a number is in it only if all
 * that it promises works; every other number reads 0. VMMs make an advertised
 * capability a required one.
 * Called by: main.c. Concurrency: read only.
 * See: docs/abi.md; Documentation/virt/kvm/api.rst 4.4.
 */
#include <linux/cpumask.h>
#include <asm/cpufeature.h>
#include <asm/processor.h>

#include "tenon.h"

#define IRQ_ROUTES 4096u
#define DEBUG_CONTROLS (ABI_DEBUG_ENABLE | ABI_DEBUG_SINGLESTEP | ABI_DEBUG_USE_SW_BP | ABI_DEBUG_USE_HW_BP | \
			ABI_DEBUG_INJECT_DB | ABI_DEBUG_INJECT_BP | ABI_DEBUG_BLOCKIRQ)

static const struct cap_row caps[] = {
	{ KVM_CAP_IRQCHIP, 1 },
	{ KVM_CAP_HLT, 1 },
	{ KVM_CAP_MMU_SHADOW_CACHE_CONTROL, 1 },
	{ KVM_CAP_VAPIC, 1 },
	{ KVM_CAP_USER_MEMORY, 1 },
	{ KVM_CAP_SET_TSS_ADDR, 1 },
	{ KVM_CAP_EXT_CPUID, 1 },
	{ KVM_CAP_CLOCKSOURCE, 1 },
	{ KVM_CAP_NR_MEMSLOTS, 32764 },
	{ KVM_CAP_MP_STATE, 1 },
	{ KVM_CAP_COALESCED_MMIO, KVM_COALESCED_MMIO_PAGE_OFFSET },
	{ KVM_CAP_SYNC_MMU, 1 },
	{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1 },
	{ KVM_CAP_USER_NMI, 1 },
	{ KVM_CAP_SET_BOOT_CPU_ID, 1 },
	{ KVM_CAP_SET_GUEST_DEBUG, 1 },
	{ KVM_CAP_REINJECT_CONTROL, 1 },
	/* QEMU requires it; KVM too refuses the ioctl while no in-kernel irqchip exists. */
	{ KVM_CAP_IRQ_ROUTING, IRQ_ROUTES },
	{ KVM_CAP_IRQ_INJECT_STATUS, 1 },
	{ KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1 },
	{ KVM_CAP_IRQFD, 1 },
	{ KVM_CAP_PIT, 1 },
	{ KVM_CAP_NOP_IO_DELAY, 1 },
	{ KVM_CAP_PIT2, 1 },
	{ KVM_CAP_PIT_STATE2, 1 },
	{ KVM_CAP_IRQFD_RESAMPLE, 1 },
	{ KVM_CAP_IOEVENTFD, 1 },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, 1 },
	{ KVM_CAP_ADJUST_CLOCK, CLOCK_FLAGS },
	{ KVM_CAP_INTERNAL_ERROR_DATA, 1 },
	{ KVM_CAP_VCPU_EVENTS, 1 },
	{ KVM_CAP_DEBUGREGS, 1 },
	{ KVM_CAP_X86_ROBUST_SINGLESTEP, 1 },
	{ KVM_CAP_ENABLE_CAP, 1 },
	{ KVM_CAP_XSAVE, 1 },
	{ KVM_CAP_GET_TSC_KHZ, 1 },
	{ KVM_CAP_TSC_DEADLINE_TIMER, 1 },
	{ KVM_CAP_SIGNAL_MSI, 1 },
	{ KVM_CAP_SPLIT_IRQCHIP, 1 },
	{ KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK },
	{ KVM_CAP_MAX_VCPUS, ABI_MAX_VCPUS },
	{ KVM_CAP_KVMCLOCK_CTRL, 1 },
	{ KVM_CAP_READONLY_MEM, 1 },
	{ KVM_CAP_ENABLE_CAP_VM, 1 },
	{ KVM_CAP_IOEVENTFD_NO_LENGTH, 1 },
	{ KVM_CAP_CHECK_EXTENSION_VM, 1 },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH, 1 },
	{ KVM_CAP_MAX_VCPU_ID, ABI_MAX_VCPUS },
	{ KVM_CAP_IMMEDIATE_EXIT, 1 },
	{ KVM_CAP_COALESCED_PIO, 1 },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, DIRTY_MANUAL_CAPS },
	{ KVM_CAP_SET_GUEST_DEBUG2, DEBUG_CONTROLS },
	{ KVM_CAP_BINARY_STATS_FD, 1 },
	{ KVM_CAP_ASYNC_PF, 1 },
	{ KVM_CAP_ASYNC_PF_INT, 1 },
	{ KVM_CAP_STEAL_TIME, 1 },
	{ KVM_CAP_GET_MSR_FEATURES, 1 },
	{ KVM_CAP_MSR_PLATFORM_INFO, 1 },
	{ KVM_CAP_VCPU_ATTRIBUTES, 1 },
	{ KVM_CAP_X86_USER_SPACE_MSR, 1 },
	{ KVM_CAP_X86_MSR_FILTER, 1 },
	{ KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1 },
	{ KVM_CAP_DISABLE_QUIRKS2, OPTIONS_QUIRKS },
	{ KVM_CAP_IOAPIC_POLARITY_IGNORED, 1 },
	{ KVM_CAP_EXCEPTION_PAYLOAD, 1 },
	{ KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1 },
	{ KVM_CAP_SYS_ATTRIBUTES, 1 },
	{ KVM_CAP_MCE, 32 },
	{ KVM_CAP_SYNC_REGS, KVM_SYNC_X86_VALID_FIELDS },
	{ KVM_CAP_SREGS2, 1 },
	{ KVM_CAP_XSAVE2, sizeof(struct abi_xsave) },
};

long arch_cap(const struct vm *vm, u32 cap)
{
	u32 i;

	/* Those that depend on the machine. */
	if (cap == KVM_CAP_NR_VCPUS)
		return min_t(u32, num_online_cpus(), ABI_MAX_VCPUS);
	if (cap == KVM_CAP_XCRS)
		return boot_cpu_has(X86_FEATURE_XSAVE);
	if (cap == KVM_CAP_TSC_CONTROL || cap == KVM_CAP_VM_TSC_CONTROL)
		return tsc_control();
	for (i = 0; i < ARRAY_SIZE(caps); i++) {
		if (caps[i].cap == cap)
			return caps[i].value;
	}
	return 0;
}

/* The leaf is asked whatever the hypervisor bit says: Tenon does not set it. */
bool arch_detect(void)
{
	u32 eax, name[3];

	cpuid(ABI_CPUID_BASE, &eax, &name[0], &name[1], &name[2]);
	return eax > ABI_CPUID_BASE && !memcmp(name, ABI_SIGNATURE, sizeof(name));
}

u64 arch_max_gfn(void)
{
	/* The hypervisor's tables have four levels. */
	return (1ull << (min_t(u32, boot_cpu_data.x86_phys_bits, 48) - PAGE_SHIFT)) - 1;
}
