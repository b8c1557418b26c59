/* SPDX-License-Identifier: BSD-2-Clause */
/* switch.h - parts of the change between service VM and user VM that both backends have. */
#ifndef SWITCH_H
#define SWITCH_H

#include "vcpu_arch.h"

/*
 * IBPB when the branch predictor holds another vCPU's training (APM vol. 2, 3.2.9; SDM vol. 4, IA32_PRED_CMD). A new vCPU may
 * have the address of one that is gone: asid_cpu tells that it has not run here yet.
 */
static inline void predictor_switch(struct cpu *cpu, const struct vcpu *v)
{
	if (likely(cpu->last_vcpu == v && v->arch.asid_cpu == cpu))
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

static inline void fpu_save(void *area, u64 mask)
{
	if (likely(mask))
		asm volatile("xsave64 (%0)" : : "r"(area), "a"(-1), "d"(-1) : "memory");
	else
		asm volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

/* fpu_pointers_stay: XRSTOR and FXRSTOR leave the last x87 instruction's addresses (APM vol. 2, 11.4.4.3): ours replace them. */
static inline void fpu_restore(const void *area, u64 mask)
{
	if (fpu_pointers_stay)
		asm volatile("fnclex; emms; fildl %0" : : "m"(fpu_pointers_stay));
	if (likely(mask))
		asm volatile("xrstor64 (%0)" : : "r"(area), "a"(-1), "d"(-1) : "memory");
	else
		asm volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

static inline void xcr0_change(u64 from, u64 to)
{
	if (from != to)
		xsetbv(to);
}

/*
 * The service VM's XCR0 is its own affair: XSETBV does not exit there, so it
 * is read here each time. CR4.OSXSAVE is set in the hypervisor; CR0.TS and EM
 * are the hypervisor's, clear.
 */
static inline void fpu_load(struct cpu *cpu, struct vcpu *v)
{
	u64 mask = fpu_mask;

	if (likely(mask)) {
		cpu->xcr0 = xgetbv();
		xcr0_change(cpu->xcr0, mask);
	}
	if (unlikely(cpu->xss))
		wrmsr(MSR_XSS, 0);
	fpu_save(cpu->fpu, mask);
	fpu_restore(v->arch.fpu, mask);
	if (likely(mask))
		xcr0_change(mask, v->arch.xcr0);
}

static inline void fpu_unload(struct cpu *cpu, struct vcpu *v)
{
	u64 mask = fpu_mask;

	if (likely(mask))
		xcr0_change(v->arch.xcr0, mask);
	fpu_save(v->arch.fpu, mask);
	fpu_restore(cpu->fpu, mask);
	if (unlikely(cpu->xss))
		wrmsr(MSR_XSS, cpu->xss);
	if (likely(mask))
		xcr0_change(mask, cpu->xcr0);
}

#endif
