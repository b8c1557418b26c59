/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run.c - KVM_RUN on this CPU: takes over what the driver left in the exit
 * page, stays in the guest until something is the driver's or the VMM's, and
 * says what.
 * Called by: dispatch.c (op_KVM_RUN). Concurrency: the vCPU is this CPU's alone.
 */
#include "vcpu_arch.h"
#include "vm.h"
#include "machine.h"
#include "errno.h"

/* The driver's half of the exit page, each field read once. */
static void resume(struct vcpu *v, const struct exit_resume *in)
{
	u32 flags = READ_ONCE(in->flags), reg = READ_ONCE(in->reg), lines = READ_ONCE(in->lines);

	v->arch.hcr = (v->arch.hcr & HCR_VSE) | (lines & LINE_IRQ ? HCR_VI : 0) | (lines & LINE_FIQ ? HCR_VF : 0);
	v->arch.timer_told = !!READ_ONCE(in->timer_level);
	v->arch.gic = READ_ONCE(in->gic.on) && lr_count;
	if (likely(!flags))
		return;
	if ((flags & RESUME_REG) && reg < 31)
		v->arch.regs.x[reg] = READ_ONCE(in->value);
	if (flags & RESUME_SKIP)
		v->arch.regs.pc += 4;
	if (flags & (RESUME_ABORT | RESUME_FETCH_ABORT))
		inject_abort(v, !!(flags & RESUME_FETCH_ABORT), READ_ONCE(in->far));
}

int machine_vcpu_run(struct cpu *cpu, struct vcpu *v)
{
	if (unlikely(!v->arch.ready))
		return -EINVAL;
	/* An ERET to a 32-bit EL0 that this CPU of several kinds lacks would stay in EL2 (D1.3.4). */
	if (unlikely(v->arch.regs.pstate & PSTATE_NRW) && id_field(read_sysreg(id_aa64pfr0_el1), 0) != 2)
		return -EINVAL;
	resume(v, &v->page->in);
	guest_load(cpu, v);
	while (!guest_enter(cpu, v))
		;
	guest_unload(cpu, v);
	v->page->out.pc = v->arch.regs.pc;
	v->page->out.timer_level = (u32)timer_asserted(v);
	return 0;
}

void machine_vcpu_hold(struct vcpu *v, enum vcpu_hold hold) { }

int machine_vcpu_init(struct vcpu *v)
{
	sysreg_reset(v);
	v->page->out.gic.lr_count = lr_count;
	return 0;
}
