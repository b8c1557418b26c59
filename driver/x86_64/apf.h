/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * x86_64/apf.h - asynchronous page faults of a vCPU: see apf.c.
 * Included by: objects.h, and whoever meets its registers and requests.
 */
#ifndef DRIVER_X86_64_APF_H
#define DRIVER_X86_64_APF_H

#include <linux/list.h>
#include <linux/types.h>

struct vcpu;

struct vcpu_apf {
	u64 control;		/* MSR_KVM_ASYNC_PF_EN as written */
	u64 vector;		/* MSR_KVM_ASYNC_PF_INT as written */
	u32 serial;		/* of the next token */
	u32 count;		/* faults in `waiting` */
	bool broadcast;		/* "all pages are ready" is to be said */
	struct list_head waiting;	/* faults that the guest goes on without; v->lock */
	struct list_head ready;		/* those of them whose page has come; apf.c's lock */
};

int apf_init(void);
void apf_exit(void);
void apf_init_vcpu(struct vcpu *v);

/* The registers: 0, MSR_BAD or MSR_UNKNOWN. */
int apf_read(struct vcpu *v, u32 msr, u64 *value);
int apf_write(struct vcpu *v, u32 msr, u64 value);

/*
 * The page of the guest's fault, at `hva`, would have to be waited for: true
 * when the guest goes on without it, or halts until it comes. In the vCPU's
 * thread, after EXIT_FAULT; vm.srcu held.
 */
bool apf_begin(struct vcpu *v, u64 gfn, unsigned long hva, bool may_write);
/* REQUEST_PAGE_READY: tell the guest what has come, as far as it can take it. May sleep. */
void apf_tell_ready(struct vcpu *v);
/* The LAPIC may be able to take what could not be told before. */
void apf_lapic_changed(struct vcpu *v);
/* As after INIT. Never waits: a fault under way ends by itself, and nobody hears of it. */
void apf_reset(struct vcpu *v);

/* Is there something to be told? Ends a halt, as in KVM. Any state of the task. */
static inline bool apf_pending(const struct vcpu_apf *a)
{
	return READ_ONCE(a->broadcast) || !list_empty_careful(&a->ready);
}

#endif
