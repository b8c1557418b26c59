/* SPDX-License-Identifier: BSD-2-Clause */
/* vcpu_arch.h - the arm64 part of struct vcpu and struct vm. */
#ifndef VCPU_ARCH_H
#define VCPU_ARCH_H

#define MACHINE_VCPU_FLAGS 0u

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

/* Registers that trap and are only stored (guest/sysreg.c); DISR_EL1 is VDISR_EL2 during a stay. */
enum stored_index { ST_ACTLR, ST_MDCCINT, ST_MDSCR, ST_OSLSR, ST_DISR, ST_COUNT };

struct vcpu_arch {
	struct gprs regs;		/* first: el2/entry.S */
	u64 el1[EL1_COUNT];
	u64 hcr;			/* with what is pending: VI, VF, VSE */
	u64 vmpidr;
	u64 vsesr;
	u64 cntv_ctl, cntv_cval;
	u64 stored[ST_COUNT];
	u32 ready;			/* KVM_ARM_VCPU_INIT was done */
	u32 fp_live;			/* the guest's FP is in the registers */
	u32 timer_told;			/* the level of the timer's line that the VMM knows */
	u32 timer_held;			/* PPI 27 is active in the redistributor, so that it does not fire */
	u32 gic;			/* it has a GIC's CPU interface */
	u32 lr_count;			/* list registers that this stay uses */
	u32 lr_timer;			/* one of them is tied to PPI 27 */
	u64 far;			/* of the last fault that left KVM_RUN */
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
extern int cpu_has_ras, cpu_has_sve;
const char *el2_missing(void);			/* what this CPU lacks, in words; NULL: nothing */
void el2_enable(struct cpu *cpu);		/* each CPU: all but what a world switch sets */
extern u64 service_hcr, service_cptr, guest_hcr;	/* what the service VM and guests run with */
void fine_traps(int service);			/* HFG*_EL2, HCRX_EL2, MPAM2_EL2: open, or closed for a guest */

/* AMO is 0: a physical SError is the service VM's own. Only for a virtual one it must be 1 (D1.3.6.4). */
static inline u64 el2_service_hcr(const struct cpu *cpu)
{
	return unlikely(cpu->serror) ? service_hcr | HCR_VSE | HCR_AMO : service_hcr;
}

/* el2/switch.c */
void guest_load(struct cpu *cpu, struct vcpu *v);	/* the service VM's state out, the guest's in */
void guest_unload(struct cpu *cpu, struct vcpu *v);
void guest_el1_get(struct vcpu *v);		/* a loaded guest's EL1 registers into v, to be changed */
void guest_el1_put(struct vcpu *v);
void guest_fp(struct cpu *cpu, struct vcpu *v);	/* the guest's first touch of FP in this stay */

/* el2/service.c */
void service_loop(struct cpu *cpu) NORETURN;
void service_serror(struct cpu *cpu, u64 esr);	/* a physical SError was consumed by EL2: it is the service VM's */

/* el2/guest.c: one stay in the guest. 0: enter again, 1: the exit page says why not */
int guest_enter(struct cpu *cpu, struct vcpu *v);

/* guest/inject.c: exceptions that EL1 takes (Arm ARM D1.3) */
u64 inject_vector(u64 pstate);			/* offset from VBAR_EL1 */
u64 inject_pstate(u64 pstate, u64 sctlr);	/* in the handler */
void inject_exception(struct vcpu *v, u64 esr);	/* into v's stored registers */
void inject_abort(struct vcpu *v, int fetch, u64 far);

/* guest/sysreg.c */
void sysreg_init(void);				/* boot: the ID registers that guests see */
void sysreg_reset(struct vcpu *v);
int sysreg_trap(struct vcpu *v, u64 esr);	/* a trapped MSR or MRS: SYSREG_* */
enum { SYSREG_DONE, SYSREG_UNDEFINED, SYSREG_SGI };
int sysreg_get(struct vcpu *v, u64 id, u64 *value);	/* KVM's id: 0 or -ENOENT */
int sysreg_set(struct vcpu *v, u64 id, u64 value);	/* and -EINVAL */
u32 sysreg_list(u64 *ids);			/* how many; ids may be NULL */

/* guest/psci.c: an SMCCC call of a guest. 0: answered, 1: the exit page has it for the driver */
int guest_smccc(struct vcpu *v);

/* vgic/lr.c: the guest's GIC CPU interface */
void lr_init(void);				/* boot: how much of it this machine has */
extern u32 lr_count;				/* list registers */
void lr_load(struct vcpu *v);
void lr_unload(struct vcpu *v);

/* vgic/timer.c: the guest's virtual timer */
void timer_load(struct cpu *cpu, struct vcpu *v);
void timer_unload(struct cpu *cpu, struct vcpu *v);
int timer_asserted(const struct vcpu *v);	/* of a guest that is not loaded */

/* psci.c */
void psci_call(struct cpu *cpu);
u64 smc(u64 fn, u64 a, u64 b, u64 c);
#define SMCCC_ARCH_FEATURES 0x80000001u
#define SMCCC_WORKAROUND_1 0x80008000u
void secondary_start(void);			/* physical entry of a started CPU, header.S */

#endif
