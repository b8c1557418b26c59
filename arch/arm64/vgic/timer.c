/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timer.c - the guest's virtual timer. CNTV belongs to the user VMs (the service
 * VM's Linux runs on CNTP), so the guest programs it itself, without an exit; its
 * interrupt, PPI 27, ends the guest as any other.
 *
 * A vCPU whose VMM or GIC model knows that the line is high must not be ended by
 * it again: PPI 27 is made active in this CPU's redistributor for the stay. A list
 * register tied to PPI 27 makes the guest's own end of interrupt deactivate it, so
 * that each expiry costs one exit. These set and clear registers need no lock with
 * the service VM's Linux.
 * See: Arm ARM D11.2; GIC specification 12.11 (GICR_ISACTIVER0).
 */
#include "vcpu_arch.h"
#include "vm.h"

#define GICR_ISACTIVER0 0x300u
#define GICR_ICACTIVER0 0x380u
#define PPI_CNTV (1u << 27)

static void gicr_write(const struct cpu *cpu, u32 offset, u32 value)
{
	if (cpu->gicr)
		*(volatile u32 *)(cpu->gicr + offset) = value;
	dsb(sy);
}

int timer_asserted(const struct vcpu *v)
{
	u64 now = read_sysreg(cntpct_el0) - v->vm->arch.cntvoff;

	return (v->arch.cntv_ctl & (CNTV_ENABLE | CNTV_IMASK)) == CNTV_ENABLE && v->arch.cntv_cval <= now;
}

void timer_load(struct cpu *cpu, struct vcpu *v)
{
	v->arch.timer_held = v->arch.lr_timer || (v->arch.timer_told && timer_asserted(v));
	if (v->arch.timer_held)
		gicr_write(cpu, GICR_ISACTIVER0, PPI_CNTV);
	write_sysreg(cnthctl_el2, CNTHCTL_PCTEN);
	write_sysreg(cntvoff_el2, v->vm->arch.cntvoff);
	write_sysreg(cntv_cval_el0, v->arch.cntv_cval);
	write_sysreg(cntv_ctl_el0, v->arch.cntv_ctl);
}

void timer_unload(struct cpu *cpu, struct vcpu *v)
{
	v->arch.cntv_ctl = read_sysreg(cntv_ctl_el0) & (CNTV_ENABLE | CNTV_IMASK);
	write_sysreg(cntv_ctl_el0, 0);
	v->arch.cntv_cval = read_sysreg(cntv_cval_el0);
	write_sysreg(cntvoff_el2, 0);
	write_sysreg(cnthctl_el2, CNTHCTL_PCTEN | CNTHCTL_PCEN);
	if (v->arch.timer_held)
		gicr_write(cpu, GICR_ICACTIVER0, PPI_CNTV);
	v->arch.timer_held = 0;
}
