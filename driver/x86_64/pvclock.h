/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * x86_64/pvclock.h - KVM's paravirtual clock, of a VM and of its vCPUs.
 * Included by: objects.h, and whoever meets its MSRs and ioctls.
 */
#ifndef DRIVER_X86_64_PVCLOCK_H
#define DRIVER_X86_64_PVCLOCK_H

#include <linux/spinlock.h>
#include <linux/types.h>

struct vcpu;
struct vm;

struct vm_clock {
	spinlock_t lock;
	s64 offset;		/* the VM's time minus Linux's */
	bool master;		/* one pair for all vCPUs, good for ever */
	u64 master_tsc;		/* the pair: the machine's TSC, and Linux's time then */
	s64 master_ns;
	bool old_msr;		/* the boot CPU uses the old registers: no master clock, as in KVM */
	u64 wall;		/* MSR_KVM_WALL_CLOCK as written */
};

struct vcpu_clock {
	u64 msr;		/* MSR_KVM_SYSTEM_TIME as written */
	unsigned long jiffies;	/* when the guest's copy was made */
	u32 cpu;		/* and where */
	u32 host_serial;
	bool stopped;		/* tell the guest that it was */
};

int pvclock_init(void);
void pvclock_exit(void);
void pvclock_init_vm(struct vm *vm);

/* The registers: 0 or MSR_BAD. */
int pvclock_read(struct vcpu *v, u32 msr, u64 *value);
int pvclock_write(struct vcpu *v, u32 msr, u64 value, bool host);
/* REQUEST_CLOCK: bring the guest's copy up to date. May sleep. */
void pvclock_work(struct vcpu *v);
/* Now and then, after an exit: is the copy stale? */
void pvclock_check(struct vcpu *v);
/* This vCPU's TSC is another one now. */
void pvclock_tsc_changed(struct vcpu *v);

long pvclock_get(void *object, unsigned long arg);
long pvclock_set(void *object, unsigned long arg);
long pvclock_stopped(void *object, unsigned long arg);

#endif
