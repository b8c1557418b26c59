/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * x86_64/objects.h - what x86-64 keeps in struct vm and struct vcpu.
 * Included by: tenon.h, before those.
 */
#ifndef DRIVER_X86_64_OBJECTS_H
#define DRIVER_X86_64_OBJECTS_H

#include <linux/hrtimer.h>
#include <linux/rcuwait.h>

#include "models/lapic.h"
#include "x86_64/pvclock.h"
#include "x86_64/steal.h"
#include "x86_64/apf.h"
#include "x86_64/options.h"

struct emulation;
struct irqchip;
struct mcheck;
struct routing;
struct vm_pit;

enum irqchip_mode {
	IRQCHIP_NONE,		/* the VMM has it all; KVM_INTERRUPT */
	IRQCHIP_SPLIT,		/* LAPICs here, PIC and IOAPIC in the VMM */
	IRQCHIP_KERNEL,		/* KVM_CREATE_IRQCHIP: all here */
};

struct arch_vm {
	struct vm_clock clock;
	u64 identity_map;
	unsigned long mmu_pages;	/* KVM_SET_NR_MMU_PAGES, or 0 */
	u32 tsc_khz;		/* of new vCPUs */
	u64 tsc_offset;		/* guests' TSC from the machine's, where no guest has moved its own */
	u32 tsc_offset_khz;	/* and the rate that it is of */
	struct vm_options options;
	u8 irqchip_mode;		/* enum irqchip_mode */
	struct irqchip *irqchip;	/* PIC and IOAPIC: chips.c */
	struct vm_pit *pit;		/* pit_timer.c */
	struct routing *routing;	/* route.c; with any in-kernel irqchip */
	u32 ioapic_pins;		/* split irqchip: routes below this are the VMM's IOAPIC's */
	u32 boot_cpu;			/* KVM_SET_BOOT_CPU_ID */
	bool x2apic_ids;		/* KVM_CAP_X2APIC_API */
	bool broadcast_quirk_off;
	u32 lapic_count;		/* places of lapics[] that were ever used */
	struct vcpu *lapics[ABI_MAX_VCPUS];	/* by vCPU id; a vCPU stays as long as its VM */
};

struct arch_vcpu {
	u64 tsc_offset, tsc_ratio;	/* as the hypervisor has them */
	u32 tsc_khz;		/* what the guest's TSC counts */
	/* What KVM_RUN reports when the guest did not run; kept by ioctls. */
	u64 cr8;
	u8 if_flag, ready;
	/* A port access that the VMM finishes. */
	u64 io_linear, rip, cs_base, rax;
	u32 maxphyaddr;
	struct vcpu_options options;
	struct vcpu_steal steal;
	struct vcpu_apf apf;
	u32 debug_control;	/* STATE_DEBUG_* of KVM_SET_GUEST_DEBUG */
	bool stepped;		/* KVM_GUESTDBG_SINGLESTEP */
	bool cpuid_set;		/* the VMM has said what CPUID is */
	bool ran;		/* entered once: CPUID is settled */
	bool pdptes_kept;	/* no entry yet since KVM_SET_SREGS2 gave PAE's pointers: */
	u64 pdptes[4];
	bool debug_hw;		/* the VMM's breakpoints are in the debug registers; the guest's own: */
	u64 guest_dr[4], guest_dr7;
	u64 tsc_adjust;
	u64 *msr;		/* msr.c */
	u64 mcg_cap;
	struct mcheck *mcheck;	/* mcheck.c */
	struct abi_cpuid2 *cpuid;
	u64 cpuid_cr4;		/* CR4 that the hypervisor's answers follow */
	struct emulation *emulation;
	struct vcpu_clock clock;
	/* apic.c, mp.c */
	struct lapic lapic;	/* page NULL: only IA32_APIC_BASE */
	struct hrtimer timer;
	struct rcuwait wait;
	unsigned long requests;	/* enum vcpu_request; any context */
	bool has_payload;	/* with REQUEST_PAYLOAD: payload is DR6's news or CR2 */
	u64 payload;
	u32 mp_state;
	atomic_t nmi_queued;
	u8 sipi_vector;
	u8 eoi_vector;		/* for KVM_EXIT_IOAPIC_EOI */
	int extint_vector;	/* split irqchip: KVM_INTERRUPT's, or -1 */
	u8 watch;		/* WATCH_*: what each exit has to look after */
	bool events_unknown;	/* the hypervisor may hold an NMI */
	bool tpr_reporting;
	u64 vapic_addr;		/* KVM_SET_VAPIC_ADDR, 0: none */
	struct state_fields *reset;	/* after power-up */
};

#endif
