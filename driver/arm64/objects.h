/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * arm64/objects.h - what arm64 keeps in struct vm and struct vcpu.
 * Included by: tenon.h, before those.
 */
#ifndef DRIVER_ARM64_OBJECTS_H
#define DRIVER_ARM64_OBJECTS_H

#include <linux/wait.h>

struct gic;
struct gic_cpu;
struct routing;
struct vits;

#define ITS_MAX 16u		/* in a VM */

struct arch_vm {
	struct gic *gic;	/* models/gic.c; NULL: the VMM has it */
	u64 gic_low, gic_high;	/* where its registers and those of ITSs are: gic_covers() */
	struct routing *routing;	/* route.c; NULL: there is none yet */
	u32 its_count;
	struct vits *its[ITS_MAX];	/* arm64/its.c */
};

struct arch_vcpu {
	bool initialized;	/* KVM_ARM_VCPU_INIT was done, with these: */
	u32 target;
	u32 features;
	bool power_off;		/* PSCI: KVM_RUN waits */
	bool on_pending;	/* PSCI CPU_ON: begin at on_entry with X0 = on_context */
	u64 on_entry, on_context;
	unsigned long lines;	/* LINE_*: KVM_IRQ_LINE without an irqchip */
	wait_queue_head_t wait;	/* of WFI and power_off */
	struct task_struct *task;	/* in KVM_RUN; under RCU */
	u64 mmio_esr;		/* of the access that the VMM finishes */
	u64 its_pc, its_gpa;	/* the store that has left commands (its_access()); gpa 0: none */
	u64 hole_gfn, hole_serial;	/* no slot was there, by the slots of this serial */
	struct gic_cpu *gic;
	u32 lrs;		/* list registers of the machine */
	bool ran;
};

#endif
