/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * service.c - the service VM on one CPU: runs it until it traps, and answers.
 * Interrupts, exceptions and timers are its own and never come here; what does
 * is in one table by exception class.
 * See: Arm ARM D17.2.37 (ESR_EL2), D1.3 (exception entry).
 */
#include "vcpu_arch.h"
#include "gic.h"
#include "service.h"
#include "log.h"
#include "ring.h"
#include "errno.h"
#include "abi/hypercall.h"
#include "abi/arm64/hypercall.h"

typedef void (*service_fn)(struct cpu *cpu, u64 esr);

/* The service VM's EL1 takes an exception: its registers are the hardware's. */
static void service_inject(struct cpu *cpu, u64 esr)
{
	write_sysreg(esr_el1, esr);
	write_sysreg(elr_el1, cpu->regs.pc);
	write_sysreg(spsr_el1, cpu->regs.pstate);
	cpu->regs.pc = read_sysreg(vbar_el1) + inject_vector(cpu->regs.pstate);
	cpu->regs.pstate = inject_pstate(cpu->regs.pstate, read_sysreg(sctlr_el1));
}

static int from_el0(const struct cpu *cpu)
{
	return !(cpu->regs.pstate & 0xc);
}

static void service_undefined(struct cpu *cpu, u64 esr)
{
	service_inject(cpu, esr & ESR_IL);
}

/* A doorbell (HVC #ABI_HVC), or SMCCC by HVC or SMC. HVC and SMC are undefined at EL0. */
static void service_hvc(struct cpu *cpu, u64 esr)
{
	if (likely((esr & 0xffff) == ABI_HVC))
		cpu->regs.x[0] = (u64)hypercall(cpu, cpu->regs.x[0], cpu->regs.x[1]);
	else if ((esr & 0xffff) == 0)
		psci_call(cpu);
	else
		cpu->regs.x[0] = (u64)-1;
}

static void service_smc(struct cpu *cpu, u64 esr)
{
	(void)esr;
	cpu->regs.pc += 4;	/* a trapped SMC's ELR is on it */
	psci_call(cpu);
}

/* Memory that is not the service VM's: an external abort, as of a bus without a device. */
static void service_abort(struct cpu *cpu, u64 esr)
{
	u64 far = read_sysreg(far_el2), ipa = (read_sysreg(hpfar_el2) & ~0xfull) << 8, ec = ESR_EC(esr) == EC_DABT_LOW ? EC_DABT_SAME : EC_IABT_SAME;

	if (FSC_TRANSLATION(ISS_FSC(esr)) || FSC_ACCESS(ISS_FSC(esr)))
		if (!service_fault(ipa) || !gic_access(cpu, esr, ipa | (far & (PAGE_SIZE - 1))))
			return;
	write_sysreg(far_el1, far);
	service_inject(cpu, (ec - from_el0(cpu)) << 26 | (esr & ESR_IL) | FSC_EXTERNAL | (esr & ISS_WNR));
}

static const struct {
	service_fn fn;
	u32 stat;
} rows[64] = {
	[EC_HVC64] = { service_hvc, EXIT_HYPERCALL },
	[EC_SMC64] = { service_smc, EXIT_SMC },
	[EC_IABT_LOW] = { service_abort, EXIT_FAULT },
	[EC_DABT_LOW] = { service_abort, EXIT_FAULT },
};

static void service_sync(struct cpu *cpu)
{
	u64 esr = read_sysreg(esr_el2);
	u32 ec = ESR_EC(esr);

	if (unlikely(!rows[ec].fn)) {
		cpu->exits[EXIT_OTHER]++;
		service_undefined(cpu, esr);
		return;
	}
	cpu->exits[rows[ec].stat]++;
	rows[ec].fn(cpu, esr);
}

void service_serror(struct cpu *cpu, u64 esr)
{
	cpu->serror = HCR_VSE;
	cpu->vsesr = esr & ESR_ISS;
}

/* A second SError, after one was handed on: AMO is still 1. */
static void service_serror_again(struct cpu *cpu)
{
	service_serror(cpu, read_sysreg(esr_el2));
	cpu->exits[EXIT_SERROR]++;
	write_sysreg(hcr_el2, el2_service_hcr(cpu));
	if (cpu_has_ras)
		write_named(VSESR_EL2, cpu->vsesr);
}

void service_loop(struct cpu *cpu)
{
	u64 kind;

	for (;;) {
		kind = el2_enter(&cpu->regs);
		if (likely(kind == EXIT_KIND_SYNC))
			service_sync(cpu);
		else if (kind == EXIT_KIND_SERROR)
			service_serror_again(cpu);
		else
			panic("an interrupt of the service VM came to EL2\n");
	}
}

void el2_defect(u64 kind, u64 elr, u64 esr, u64 far, u64 lr, u64 fp);
void el2_defect(u64 kind, u64 elr, u64 esr, u64 far, u64 lr, u64 fp)
{
	panic("exception %lu in EL2: elr %lx esr %lx far %lx lr %lx fp %lx\n", (unsigned long)kind,
	      (unsigned long)elr, (unsigned long)esr, (unsigned long)far, (unsigned long)lr, (unsigned long)fp);
}
