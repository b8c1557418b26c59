/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/lapic.h - the LAPIC page: one page per vCPU, service VM memory that no
 * VMM maps, given at KVM_CREATE_VCPU (0: this vCPU has no in-kernel LAPIC).
 *
 * Its first KiB are the APIC's registers where the architecture has them. The
 * hypervisor moves vectors from `pir` to IRR to ISR, injects them, and answers
 * the accesses that must be fast; all else, with every side effect, is the
 * driver's. Wrong contents hurt this vCPU's guest alone.
 *
 * Who writes: `pir` and `pir_on` everybody, by atomic operations; TMR the
 * driver, by atomic operations; the rest the hypervisor during HC_RUN, and the
 * driver when the vCPU does not run.
 */
#ifndef ABI_X86_64_LAPIC_H
#define ABI_X86_64_LAPIC_H

#include "../types.h"

#define LAPIC_REG_BYTES 0x400u

struct lapic_page {
	u32 reg[LAPIC_REG_BYTES / 4];	/* LAPIC_REG(page, offset) */
	u8 pad0[0x400];
	u32 pir[8];		/* +0x800: vectors on their way into IRR */
	u32 pir_on;		/* +0x820: 1 = look again at pir, IRR and TPR; the hypervisor takes it at HC_RUN */
	u32 mode;		/* +0x824: LAPIC_MODE_* */
	u32 pad1[6];
	u32 eoi_exit[8];	/* +0x840: vectors whose EOI the driver must hear of (EXIT_EOI) */
	u8 pad2[4096 - 0x860];
};

#define LAPIC_MODE_ON 1u	/* enabled in IA32_APIC_BASE: it delivers */
#define LAPIC_MODE_X2 2u	/* x2APIC: its MSRs exist */

#define LAPIC_REG(page, offset) ((page)->reg[(offset) / 4])

/* Offsets that the hypervisor knows (SDM vol. 3, table 11-1). An x2APIC MSR is 0x800 + offset / 16. */
#define LAPIC_PPR 0xa0u
#define LAPIC_EOI 0xb0u
#define LAPIC_SVR 0xf0u
#define LAPIC_ISR 0x100u
#define LAPIC_TMR 0x180u
#define LAPIC_IRR 0x200u
#define LAPIC_SELF_IPI 0x3f0u
#define LAPIC_MSR 0x800u	/* first x2APIC MSR */

#define LAPIC_SVR_ON 0x100u

#endif
