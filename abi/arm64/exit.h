/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arm64/exit.h - the exit page: one page per vCPU, service VM memory that no
 * VMM maps, given at KVM_CREATE_VCPU. The hypervisor writes why KVM_RUN came
 * back; the driver writes what the next KVM_RUN is to take over. Each half is
 * written by one side alone; the hypervisor reads each field of the driver's
 * half once per KVM_RUN.
 */
#ifndef ABI_ARM64_EXIT_H
#define ABI_ARM64_EXIT_H

#include "../ops.h"
#include "kvm.h"

/* exit_state.reason, and index of struct exit_stats. */
enum exit_reason {
	EXIT_NONE = 0,
	EXIT_INTR = 1,		/* a physical interrupt: enable interrupts, look, run again */
	EXIT_WFI = 3,		/* nothing pending; PC is past the WFI. data: CNTV_CVAL in counter ticks of the machine if the guest's timer is armed, else 0 */
	EXIT_FAULT = 4,		/* stage-2 fault at gpa: memory to map, or MMIO: esr, data */
	EXIT_SMCCC = 5,		/* a PSCI function that concerns more than this vCPU: x[]; PC is past it */
	EXIT_SGI = 6,		/* a vCPU with a GIC wrote ICC_SGI1R_EL1, ICC_ASGI1R_EL1 or ICC_SGI0R_EL1: data; esr tells which */
	EXIT_SERROR = 7,	/* a physical SError ended the guest: it is pending for the service VM; or an access met bad memory: one is pending for the guest */
	EXIT_FAIL_ENTRY = 8,	/* KVM_ARM_VCPU_INIT was not done, or PSTATE is not a 64-bit guest's */
	/* Answered in the hypervisor; they only count. */
	EXIT_SYSREG = 12,
	EXIT_FP = 13,
	EXIT_SMC = 14,
	EXIT_HYPERCALL = 16,
	EXIT_OWN_TIMER = 17,
	EXIT_OTHER = 19,
};

/*
 * The GICv3 CPU interface of a vCPU, for a driver that models the rest of the
 * GIC: what ICH_* registers hold during a stay, and held at its end.
 */
#define GIC_LRS 16u

struct exit_gic {
	u32 on;			/* in: this vCPU has a GIC; all ICC_* registers are undefined without */
	u32 hcr;		/* in: ICH_HCR_EL2's GIC_HCR_KEPT; out: its EOIcount, in place */
	u32 lr_count;		/* in: list registers in use, from 0; out, also before any stay: how many there are */
	u32 vmcr;
	u32 ap0r[4], ap1r[4];
	u64 lr[GIC_LRS];	/* a GIC_LR_HW one always means the virtual timer's interrupt */
};

#define GIC_HCR_UNDERFLOW 0x2u		/* at most one list register is left in use: end the stay */
#define GIC_HCR_NO_ENTRY 0x4u		/* EOIcount is not 0 */
#define GIC_HCR_KEPT (GIC_HCR_UNDERFLOW | GIC_HCR_NO_ENTRY)
#define GIC_HCR_EOICOUNT_SHIFT 27

#define GIC_LR_PENDING (1ull << 62)
#define GIC_LR_ACTIVE (1ull << 63)
#define GIC_LR_HW (1ull << 61)
#define GIC_LR_GROUP1 (1ull << 60)
#define GIC_LR_PRIORITY_SHIFT 48
#define GIC_LR_EOI (1ull << 41)		/* without HW: its end ends the stay */
#define GIC_LR_INTID 0xffffffull

/* The hypervisor's half. */
struct exit_state {
	u32 reason;		/* enum exit_reason */
	u32 timer_level;	/* always: the virtual timer's line */
	u64 gpa;		/* EXIT_FAULT, to the byte */
	u64 esr;		/* EXIT_FAULT, EXIT_SGI: ESR_EL2 */
	u64 far;		/* EXIT_FAULT: guest virtual address */
	u64 data;		/* EXIT_FAULT with a valid syndrome, EXIT_SGI: the register to store */
	u64 pc;			/* always */
	u32 big_endian;		/* EXIT_FAULT: data accesses of this guest are */
	u32 pad;
	u64 x[4];		/* EXIT_SMCCC */
	struct exit_gic gic;	/* of a vCPU that has one */
};

/* The driver's half: set anew before each KVM_RUN. */
struct exit_resume {
	u32 flags;		/* RESUME_* */
	u32 reg;		/* with RESUME_REG: 0 to 30 (31: none) */
	u64 value;
	u64 far;		/* with RESUME_ABORT, RESUME_FETCH_ABORT */
	u32 timer_level;	/* always: the timer's line as the VMM or the GIC's model knows it; while it stays so it does not end the guest */
	u32 lines;		/* always: LINE_*, the interrupt inputs of a vCPU without a GIC */
	struct exit_gic gic;	/* always */
};

#define LINE_IRQ 0x1u
#define LINE_FIQ 0x2u

#define RESUME_REG 0x1u		/* set a register */
#define RESUME_SKIP 0x2u	/* step over the faulting instruction */
#define RESUME_ABORT 0x4u	/* the guest takes an external data abort at far */
#define RESUME_FETCH_ABORT 0x8u	/* likewise for an instruction */

#define EXIT_RESUME_OFFSET 2048
#define EXIT_PAGES 1u

struct exit_page {
	struct exit_state out;
	u8 pad[EXIT_RESUME_OFFSET - sizeof(struct exit_state) - STAT_COUNT * sizeof(u64)];
	u64 exits[STAT_COUNT];	/* by enum exit_reason: the hypervisor counts here, and believes nothing of it */
	struct exit_resume in;
};

#endif
