/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * inject.c - exceptions to EL1, as the processor would take them.
 * Called by: the exit handlers (el2/), KVM_RUN for what the driver asks.
 * See: Arm ARM D1.3.1 (vectors), D1.3.2 (PSTATE on entry).
 */
#include "vcpu_arch.h"
#include "vm.h"

#define VECTOR_SAME_SP0 0x000ull
#define VECTOR_SAME_SPX 0x200ull
#define VECTOR_LOWER_64 0x400ull
#define VECTOR_LOWER_32 0x600ull

u64 inject_vector(u64 pstate)
{
	if (pstate & PSTATE_NRW)
		return VECTOR_LOWER_32;
	switch (pstate & PSTATE_MODE) {
	case PSTATE_EL1T:
		return VECTOR_SAME_SP0;
	case PSTATE_EL1H:
		return VECTOR_SAME_SPX;
	default:
		return VECTOR_LOWER_64;
	}
}

/* PAN and DIT stay (AArch32 has DIT elsewhere); PAN is set where SCTLR_EL1.SPAN does not forbid it. */
u64 inject_pstate(u64 pstate, u64 sctlr)
{
	u64 keep = pstate & (pstate & PSTATE_NRW ? PSTATE_PAN : PSTATE_PAN | PSTATE_DIT);
	int pan = id_field(read_sysreg(id_aa64mmfr1_el1), 20) != 0;

	return PSTATE_EL1H | PSTATE_DAIF | keep | (pan && !(sctlr & SCTLR_SPAN) ? PSTATE_PAN : 0);
}

void inject_exception(struct vcpu *v, u64 esr)
{
	struct gprs *r = &v->arch.regs;
	u64 *el1 = v->arch.el1;

	el1[EL1_ESR_EL1] = esr;
	el1[EL1_ELR_EL1] = r->pc;
	el1[EL1_SPSR_EL1] = r->pstate;
	r->pc = el1[EL1_VBAR_EL1] + inject_vector(r->pstate);
	r->pstate = inject_pstate(r->pstate, el1[EL1_SCTLR_EL1]);
}

/* A synchronous external abort; the class says whether it comes from EL0. */
void inject_abort(struct vcpu *v, int fetch, u64 far)
{
	u64 from_el0 = !(v->arch.regs.pstate & 0xc) || v->arch.regs.pstate & PSTATE_NRW;
	u64 ec = (fetch ? EC_IABT_SAME : EC_DABT_SAME) - from_el0;

	v->arch.el1[EL1_FAR_EL1] = far;
	inject_exception(v, ec << 26 | ESR_IL | FSC_EXTERNAL);
}
