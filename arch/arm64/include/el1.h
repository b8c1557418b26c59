/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * el1.h - the EL1 and EL0 registers that the service VM and a guest both own,
 * so that a world switch saves one column and loads the other. One list makes
 * the indices, the save and the load; none can be forgotten in one of them.
 */
#ifndef EL1_H
#define EL1_H

/* In pairs: two neighbours are loaded and stored by one instruction. */
#define EL1_REGS(X) \
	X(SP_EL0, SP_EL1) X(ELR_EL1, SPSR_EL1) X(SCTLR_EL1, CPACR_EL1) X(TTBR0_EL1, TTBR1_EL1) \
	X(TCR_EL1, MAIR_EL1) X(AMAIR_EL1, VBAR_EL1) X(CONTEXTIDR_EL1, ESR_EL1) X(FAR_EL1, PAR_EL1) \
	X(AFSR0_EL1, AFSR1_EL1) X(TPIDR_EL0, TPIDRRO_EL0) X(TPIDR_EL1, CNTKCTL_EL1) X(CSSELR_EL1, MDSCR_EL1)

enum el1_index {
#define X(a, b) EL1_##a, EL1_##b,
	EL1_REGS(X)
#undef X
	EL1_COUNT
};

#endif
