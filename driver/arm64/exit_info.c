// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * exit_info.c - an exit as the processor told it, for trace events: the exit
 * page names reasons of its own, and keeps the syndrome of some.
 *
 * Called by: trace events that are switched on, and nothing else.
 * Concurrency: v->lock; interrupts may be off.
 * See: abi/arm64/exit.h; Arm ARM, ESR_EL2.
 */
#include <asm/esr.h>

#include "exit_info.h"

#define REG_PC (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(regs.pc))
#define INSTRUCTION_BYTES 4u	/* of a 64-bit guest, and there are no others */

struct exit_info exit_info(const struct vcpu *v)
{
	const struct exit_state *out = &v->exit->out;
	struct exit_info info = { .ret = EXIT_INFO_TRAP };

	switch (out->reason) {
	case EXIT_WFI:
		info.class = ESR_ELx_EC_WFx;
		break;
	case EXIT_FAULT:
	case EXIT_SGI:
		info.class = ESR_ELx_EC(out->esr);
		break;
	case EXIT_SMCCC:
		info.class = ESR_ELx_EC_HVC64;
		break;
	case EXIT_SERROR:
		info.ret = EXIT_INFO_SERROR;
		break;
	case EXIT_FAIL_ENTRY:
		info.ret = EXIT_INFO_ILLEGAL;
		break;
	default:
		info.ret = EXIT_INFO_IRQ;
	}
	return info;
}

/* Of an abort that the guest is to take, the PC that it comes from. */
u64 exit_info_entry_pc(struct vcpu *v)
{
	u64 pc = v->exit->out.pc;

	/* In a KVM_RUN's first entry the VMM may have set it since the last exit. */
	if (!v->entered && vcpu_get_reg(v, REG_PC, &pc) < 0)
		return 0;
	return v->exit->in.flags & RESUME_SKIP ? pc + INSTRUCTION_BYTES : pc;
}
