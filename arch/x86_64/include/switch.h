/* SPDX-License-Identifier: BSD-2-Clause */
/* switch.h - parts of the change between service VM and user VM that both backends have. */
#ifndef SWITCH_H
#define SWITCH_H

#include "vcpu_arch.h"

/* IBPB when the branch predictor holds another vCPU's training (APM vol. 2, 3.2.9; SDM vol. 4, IA32_PRED_CMD). */
static inline void predictor_switch(struct cpu *cpu, const struct vcpu *v)
{
	if (likely(cpu->last_vcpu == v))
		return;
	cpu->last_vcpu = v;
	if (cpu_has_ibpb)
		wrmsr(MSR_PRED_CMD, 1);
}

/* DR0 to DR3. */
static inline void dr_swap(u64 *save, const u64 *load)
{
	asm volatile("mov %%db0, %0" : "=r"(save[0]));
	asm volatile("mov %%db1, %0" : "=r"(save[1]));
	asm volatile("mov %%db2, %0" : "=r"(save[2]));
	asm volatile("mov %%db3, %0" : "=r"(save[3]));
	asm volatile("mov %0, %%db0" : : "r"(load[0]));
	asm volatile("mov %0, %%db1" : : "r"(load[1]));
	asm volatile("mov %0, %%db2" : : "r"(load[2]));
	asm volatile("mov %0, %%db3" : : "r"(load[3]));
}

#endif
