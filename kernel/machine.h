/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.h - what the architecture does for the generic code. The contract
 * of each function is here; arch/<arch>/ implements it.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include "types.h"
#include "percpu.h"

struct vm;
struct vcpu;
struct call;

/* ---- CPUs ---- */
/* Serves what other CPUs ask of this one (flushes); called by everything that waits. */
void cpu_poll(void);
/* Makes a CPU that is in a guest leave it, soon. polls: how often the caller has looked since it first asked. */
void cpu_kick(struct cpu *cpu, u32 polls);

/* ---- the service VM ---- */
/*
 * Hides pages from the service VM, or gives them back. Hiding returns when no
 * CPU can reach them through an old TLB entry. 0 or -ENOMEM (nothing changed).
 */
int service_hide(u64 pa, u64 pages);
void service_show(u64 pa, u64 pages);

/* ---- user VMs ---- */
/* Their second-stage tables; filled at boot. */
struct machine_guest {
	const struct pt_format *format;
	u64 leaf, leaf_write;	/* bits of a leaf: always; writable */
	u64 top;		/* end of guest-physical addresses */
	u64 leaf_written;	/* written to; set when it is mapped, a write is not logged. 0: there is no log */
};
extern struct machine_guest machine_guest;

void machine_vm_init(struct vm *vm);
/* Before a page is mapped: a guest may read it past the caches. */
void machine_guest_mapped(u64 pa, u64 pages);
/* After entries were taken away: flushes them on all CPUs, where the hardware can do that by itself. */
void machine_vm_flush(struct vm *vm);
int machine_vcpu_init(struct vcpu *v);		/* 0 or -ENOMEM */
int machine_vcpu_run(struct cpu *cpu, struct vcpu *v);	/* 0 (the exit page says why), or -errno */
/* For this CPU's vCPU: its state is about to be read and written; no longer so; nothing of it stays in the processor. */
enum vcpu_hold { VCPU_OPEN, VCPU_CLOSED, VCPU_FREE };
void machine_vcpu_hold(struct vcpu *v, enum vcpu_hold hold);

/* Fills the fields that the machine knows: pool_pages, pool_free, total_pages, donated_pages. */
void machine_counts(struct mem_stats *out);

#endif
