/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run.c - KVM_RUN on this CPU: takes over what the driver left in the exit
 * page, and has the backend stay in the guest until something is the driver's or
 * the VMM's.
 *
 * Called by: dispatch.c (op_KVM_RUN). Calls: the backend.
 * Concurrency: the vCPU is this CPU's alone (vcpu_bind).
 */
#include "vcpu_arch.h"
#include "vm.h"
#include "machine.h"

#define RFLAGS_SETTABLE 0x3f7fd7ull	/* all but the reserved ones (APM vol. 1, 3.1.4) */

void resume_regs(struct vcpu *v, const struct abi_regs *from)
{
	struct abi_regs r = *from;

	r.rflags &= RFLAGS_SETTABLE;
	backend->set_regs(v, &r);
}

static void resume_inject(struct vcpu *v, const struct exit_resume *in)
{
	u32 vector = READ_ONCE(in->inject_vector) & 31;

	queue_exception(v, vector, !!READ_ONCE(in->inject_has_error), (u32)READ_ONCE(in->inject_error));
	if (vector == VECTOR_PF)
		backend->state_set(v, STATE_CR2, READ_ONCE(in->inject_cr2));
}

void resume_events(struct vcpu *v, u32 flags, const struct exit_resume *in)
{
	if (flags & RESUME_INJECT)
		resume_inject(v, in);
	if (flags & RESUME_INTERRUPT)
		queue_interrupt(v, READ_ONCE(in->interrupt) & 0xff);
}

/* The ring's way to run a vCPU; HC_RUN is the short one. */
int machine_vcpu_run(struct cpu *cpu, struct vcpu *v)
{
	return backend->run(cpu, v);
}

void machine_vcpu_hold(struct vcpu *v, enum vcpu_hold hold)
{
	backend->hold(v, hold);
}

void machine_vm_init(struct vm *vm) { }
/* Caches are coherent for every access, and each CPU flushes at its next entry. */
void machine_guest_mapped(u64 pa, u64 pages) { }
void machine_vm_flush(struct vm *vm) { }
