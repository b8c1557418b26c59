/* SPDX-License-Identifier: BSD-2-Clause */
/* vcpu_arch.h - the arm64 part of struct vcpu and struct vm. */
#ifndef VCPU_ARCH_H
#define VCPU_ARCH_H

#include "types.h"
#include "percpu.h"
#include "cpu.h"
#include "abi/arm64/exit.h"

struct vm;
struct vcpu;

struct fp_state {
	__uint128_t v[32];
	u32 fpsr, fpcr;
};

/* Registers that trap and are only stored (guest/sysreg.c). */
enum stored_index { ST_ACTLR, ST_MDCCINT, ST_OSLSR, ST_DISR, ST_COUNT };

struct vcpu_arch {
	struct gprs regs;		/* first: el2/entry.S */
	u64 el1[EL1_COUNT];
	u64 hcr;			/* with what is pending: VI, VF, VSE */
	u64 vmpidr;
	u64 vsesr;
	u64 cntv_ctl, cntv_cval;
	u64 stored[ST_COUNT];
	u64 lr;				/* the list register of the timer's interrupt; 0: none */
	u64 vmcr, ap1r0;
	u32 features;			/* of KVM_ARM_VCPU_INIT */
	u32 target;
	u32 ready;			/* KVM_ARM_VCPU_INIT was done */
	u32 fp_live;			/* the guest's FP is in the registers */
	u32 timer_told;			/* the level of the timer's line that the driver knows */
	struct fp_state fp;
	u64 abi_spsr[4];		/* AArch32's banked SPSRs: kept for KVM_SET_ONE_REG */
};

struct vm_arch {
	u64 vttbr;
	u64 cntvoff;			/* all vCPUs count from the VM's creation */
};

/* Runs what regs describes until an exception from a lower EL. Which: EXIT_KIND_*. */
u64 el2_enter(struct gprs *regs);
enum { EXIT_KIND_SYNC, EXIT_KIND_IRQ, EXIT_KIND_FIQ, EXIT_KIND_SERROR };

/* el2/setup.c */
extern int cpu_has_ras, cpu_has_pauth;
const char *el2_missing(void);			/* what this CPU lacks, in words; NULL: nothing */
void el2_enable(struct cpu *cpu);		/* each CPU: all but what a world switch sets */
u64 el2_service_hcr(void);

/* el2/switch.c */
void el1_save(u64 *to);
void el1_load(const u64 *from);
void guest_load(struct cpu *cpu, struct vcpu *v);
void guest_unload(struct cpu *cpu, struct vcpu *v);
void fp_save(struct fp_state *to);		/* el2/fp.S */
void fp_load(const struct fp_state *from);

/* el2/service.c */
void service_loop(struct cpu *cpu) NORETURN;

/* guest/ */
void sysreg_reset(struct vcpu *v);
/* A trapped MSR or MRS: 0 done, 1 the register does not exist for this guest. */
int sysreg_trap(struct vcpu *v, u64 esr);
/* Queues an exception for EL1 (Arm ARM D1.3): the next entry begins in its vector. */
void inject_exception(struct vcpu *v, u64 esr, u64 far, int has_far);
void inject_undefined(struct vcpu *v);
void inject_abort(struct vcpu *v, int instruction, u64 far);

/* vgic/timer.c */
void timer_load(struct cpu *cpu, struct vcpu *v);
void timer_unload(struct cpu *cpu, struct vcpu *v);
int timer_irq(struct cpu *cpu, struct vcpu *v);	/* 1: the interrupt was the guest's own timer's */

/* psci.c */
void psci_call(struct cpu *cpu);
u64 smc(u64 fn, u64 a, u64 b, u64 c);
void secondary_start(void);			/* physical entry of a started CPU, header.S */

#endif
