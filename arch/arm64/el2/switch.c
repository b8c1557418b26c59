/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * switch.c - from the service VM to a user VM and back, on this CPU.
 *
 * guest_load() and guest_unload() are mirror images; EL1's registers come from
 * one list (el1.h). FP is switched when the guest first touches it (CPTR_EL2.TFP):
 * nothing leaks, since the trap comes before the access.
 * The ERET that follows synchronises all of it (Arm ARM D1.4), so barriers stand
 * only where a later instruction here depends on an earlier one.
 */
#include "vcpu_arch.h"
#include "service.h"
#include "vm.h"

#define HCR_PENDING (HCR_VI | HCR_VF | HCR_VSE)
#define CPTR_GUEST (CPTR_RES1 | CPTR_TFP | CPTR_TTA | CPTR_TAM)
#define PMR_ALL 0xff

void fp_save(struct fp_state *to);	/* entry.S */
void fp_load(const struct fp_state *from);
void sve_save(void *to);
void sve_load(const void *from);

static inline void save_pair(u64 *to, u64 a, u64 b)
{
	to[0] = a;
	to[1] = b;
}

static void el1_save(u64 *to)
{
#define X(a, b) save_pair(&to[EL1_##a], read_sysreg(a), read_sysreg(b));
	EL1_REGS(X)
#undef X
}

/* The compiler makes a pair of two stores above, but not of two loads here. */
static void el1_load(const u64 *from)
{
	u64 x, y;

#define X(a, b) \
	asm volatile("ldp %0, %1, [%2, %3]" : "=r"(x), "=r"(y) : "r"(from), "i"(8 * EL1_##a), "m"(*(const u64 (*)[EL1_COUNT])from)); \
	write_sysreg(a, x); \
	write_sysreg(b, y);
	EL1_REGS(X)
#undef X
}

/*
 * Out of line, as few CPUs need it. On some a speculated AT walks EL1's tables from here: while they are one world's and VTTBR_EL2
 * the other's no walk may begin, so stage 1 is on and its walks are off (notices of the errata in el2/setup.c).
 */
static void __attribute__((noinline)) world_set_special(const struct cpu *cpu, u64 *el1, u64 hcr, u64 vttbr)
{
	u64 tcr = el1[EL1_TCR_EL1];

	fine_traps(el1 == cpu->el1);
	write_sysreg(tcr_el1, read_sysreg(tcr_el1) | TCR_EPD);
	isb();
	write_sysreg(sctlr_el1, read_sysreg(sctlr_el1) | SCTLR_M);
	isb();
	write_sysreg(hcr_el2, hcr);
	write_sysreg(vttbr_el2, vttbr);
	isb();
	el1[EL1_TCR_EL1] = tcr | TCR_EPD;
	el1_load(el1);
	el1[EL1_TCR_EL1] = tcr;
	isb();
	write_sysreg(tcr_el1, tcr);
}

/* To the other world's EL1 and stage 2. */
static inline void world_set(const struct cpu *cpu, u64 *el1, u64 hcr, u64 vttbr)
{
	if (unlikely(cpu->special)) {
		world_set_special(cpu, el1, hcr, vttbr);
		return;
	}
	write_sysreg(hcr_el2, hcr);
	write_sysreg(vttbr_el2, vttbr);
	el1_load(el1);
}

void guest_el1_get(struct vcpu *v)
{
	el1_save(v->arch.el1);
}

void guest_el1_put(struct vcpu *v)
{
	el1_load(v->arch.el1);
}

/* A load of a SIMD register may clear the rest of a Z register (SVEZEROUPPER), and Linux believes its own to be there. */
void guest_fp(struct cpu *cpu, struct vcpu *v)
{
	write_sysreg(cptr_el2, service_cptr);
	isb();
	fp_save(cpu->fp);
	if (unlikely(cpu_has_sve))
		sve_save(cpu->sve);
	fp_load(&v->arch.fp);
	write_sysreg(cptr_el2, CPTR_GUEST & ~CPTR_TFP);
	v->arch.fp_live = 1;
}

/* CPTR_EL2 lets FP pass here since guest_fp(). */
static void fp_back(struct cpu *cpu, struct vcpu *v)
{
	fp_save(&v->arch.fp);
	fp_load(cpu->fp);
	if (unlikely(cpu_has_sve)) {
		write_sysreg(cptr_el2, service_cptr);
		isb();
		sve_load(cpu->sve);
	}
	v->arch.fp_live = 0;
}

/* vCPUs of a VM share its VMID, but not their address spaces: what another one left in this CPU's TLB goes. */
static void tlb_claim(struct cpu *cpu, const struct vcpu *v)
{
	u8 *last = &cpu->last_vcpu[v->vm->slot], id = (u8)(v->id + 1);

	if (likely(*last == id))
		return;
	*last = id;
	isb();
	tlbi(vmalle1);
	asm volatile("ic iallu" : : : "memory");
	dsb(nsh);
}

/*
 * ICC_PMR_EL1 is one register for both: with the service VM's mask a guest might
 * never be interrupted. Its own is what the list registers' side keeps.
 */
void guest_load(struct cpu *cpu, struct vcpu *v)
{
	if (unlikely(cpu->serror))	/* taken meanwhile? */
		cpu->serror = read_sysreg(hcr_el2) & HCR_VSE;
	el1_save(cpu->el1);
	cpu->pmr = read_named(ICC_PMR_EL1);
	world_set(cpu, v->arch.el1, guest_hcr | v->arch.hcr, v->vm->arch.vttbr);
	tlb_claim(cpu, v);
	write_sysreg(vmpidr_el2, v->arch.vmpidr);
	write_sysreg(cptr_el2, CPTR_GUEST);
	write_sysreg(mdcr_el2, cpu->guest_mdcr);
	write_named(ICC_SRE_EL2, SRE_ON);
	lr_load(v);
	if (cpu_has_ras) {
		write_named(VSESR_EL2, v->arch.vsesr);
		write_named(VDISR_EL2, v->arch.stored[ST_DISR]);
	}
	timer_load(cpu, v);
	write_named(ICC_PMR_EL1, PMR_ALL);
}

void guest_unload(struct cpu *cpu, struct vcpu *v)
{
	if (v->arch.fp_live)
		fp_back(cpu, v);
	el1_save(v->arch.el1);
	write_named(ICC_PMR_EL1, cpu->pmr);
	/* The processor clears VSE when the guest takes the SError. */
	v->arch.hcr = read_sysreg(hcr_el2) & HCR_PENDING;
	world_set(cpu, cpu->el1, el2_service_hcr(cpu), service_vttbr);
	if (cpu_has_ras)
		v->arch.stored[ST_DISR] = read_named(VDISR_EL2);
	if (unlikely(cpu->serror) && cpu_has_ras) {
		write_named(VSESR_EL2, cpu->vsesr);
		write_named(VDISR_EL2, 0);
	}
	write_sysreg(vmpidr_el2, cpu->mpidr_full);
	write_sysreg(cptr_el2, service_cptr);
	write_sysreg(mdcr_el2, cpu->mdcr);
	write_named(ICC_SRE_EL2, SRE_ON | SRE_EL1);
	lr_unload(v);
	timer_unload(cpu, v);
}
