/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * percpu.h - one block per CPU: struct cpu, then its stack. Found from
 * TPIDR_EL2, which no guest can touch.
 */
#ifndef PERCPU_H
#define PERCPU_H

#include "types.h"
#include "layout.h"
#include "el1.h"
#include "abi/ring.h"
#include "abi/ops.h"

#define MAX_CPUS 64u

struct vcpu;

/* What an exit saves, in the order that el2/entry.S knows. */
struct gprs {
	u64 x[31];
	u64 pc;
	u64 pstate;
};
_Static_assert(offsetof(struct gprs, pc) == GPRS_PC, "el2/entry.S");

/* Life of a CPU of the service VM. */
enum cpu_state {
	CPU_OFF,
	CPU_STARTING,	/* PSCI CPU_ON was asked for */
	CPU_SERVICE,	/* runs the service VM (or a user VM that it entered) */
};

struct cpu {
	struct gprs regs;		/* of the service VM on this CPU */
	u32 index;
	u32 state;			/* enum cpu_state */
	u64 mpidr;
	u64 entry, context;		/* where the service VM begins on it, and its x0 there */
	u64 el1[EL1_COUNT];		/* the service VM's while a user VM runs */
	struct fp_state *fp;		/* likewise, once the guest has touched FP */
	void *sve;			/* and its Z registers */
	u64 pmr;
	u64 mpidr_full;			/* with its flag bits: VMPIDR_EL2 of the service VM */
	u64 mdcr, guest_mdcr;		/* MDCR_EL2 of the service VM, whose are all of this CPU's counters, and of guests */
	u8 special, fix_branch;		/* what few CPUs need around a stay (el2/setup.c) */
	u64 serror, vsesr;		/* HCR_EL2.VSE while an SError waits for the service VM, and its syndrome */
	u64 gicr;			/* this CPU's redistributor, SGI frame; 0: not found */
	u8 last_vcpu[ABI_MAX_VMS + 1];	/* by VM: 1 + id of its vCPU that ran here last */
	u64 exits[STAT_COUNT];

	/* Ring. */
	struct ring *ring;
	u64 ring_pa;
	u32 ring_complete;		/* our own count: the shared one is never read */
	u8 *scratch;			/* RING_OP_BYTES: the copy that an operation works on */
	u64 bound;			/* handle of the vCPU that is this CPU's (vcpu_bind), or 0 */
	struct vcpu *vcpu;		/* that vCPU */
};

_Static_assert(sizeof(struct cpu) < 4096, "leave room for the stack");

static inline struct cpu *cpu_this(void)
{
	u64 p;

	asm("mrs %0, tpidr_el2" : "=r"(p));
	return (struct cpu *)p;
}

extern struct cpu *cpus[MAX_CPUS];
extern u32 cpu_count;

#endif
