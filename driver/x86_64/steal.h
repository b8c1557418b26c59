/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * x86_64/steal.h - time that the host took from a vCPU: see steal.c.
 * Included by: objects.h, msr.c, exits.c.
 */
#ifndef DRIVER_X86_64_STEAL_H
#define DRIVER_X86_64_STEAL_H

#include <linux/types.h>

struct vcpu;

struct vcpu_steal {
	u64 msr;	/* MSR_KVM_STEAL_TIME as written */
	u64 seen;	/* the thread's delay when last told of */
};

/* The register: 0 or MSR_BAD. */
int steal_write(struct vcpu *v, u64 value);
/* Tell the guest; at the start of each KVM_RUN, as KVM does. In the vCPU's thread, may sleep. */
void steal_update(struct vcpu *v);
/* The same between two entries, if there is news. */
void steal_check(struct vcpu *v);

#endif
