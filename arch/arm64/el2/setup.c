/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * setup.c - EL2 on one CPU: what must be there, and the registers that no world
 * switch changes. Every control register is written whole: its reset value is
 * unknown (Arm ARM D17.2), and the loader or firmware may have left anything.
 * Called by: main.c, on each CPU that starts or wakes.
 */
#include "cpu.h"
#include "percpu.h"
#include "service.h"
#include "vcpu_arch.h"

#define VECTOR_LENGTH_MAX 0xfull
#define SMCR_FA64 (1ull << 31)

extern u8 el2_vectors[];
int cpu_has_ras, cpu_has_pauth;
u64 service_hcr, service_cptr, service_mdcr;
static int has_sve, has_sme;

static void features(void)
{
	u64 pfr0 = read_sysreg(id_aa64pfr0_el1), pfr1 = read_sysreg(id_aa64pfr1_el1);
	u64 isar1 = read_sysreg(id_aa64isar1_el1), dfr0 = read_sysreg(id_aa64dfr0_el1);

	cpu_has_ras = id_field(pfr0, 28) != 0;
	has_sve = id_field(pfr0, 32) != 0;
	has_sme = id_field(pfr1, 24) != 0;
	/* All counters are EL1's, where there is a PMU (D17.3.18). */
	if (id_field(dfr0, 8) && id_field(dfr0, 8) != 0xf)
		service_mdcr = read_sysreg(pmcr_el0) >> 11 & MDCR_HPMN;
	cpu_has_pauth = (isar1 & 0xff000ff0) != 0 || (read_named(ID_AA64ISAR2_EL1) & 0xff00) != 0;
	service_hcr = HCR_RW | HCR_VM | HCR_PTW | HCR_TSC | (cpu_has_pauth ? HCR_API | HCR_APK : 0);
	service_cptr = CPTR_RES1 & ~((has_sve ? CPTR_TZ : 0) | (has_sme ? CPTR_TSM : 0));
}

const char *el2_missing(void)
{
	u64 mmfr0 = read_sysreg(id_aa64mmfr0_el1), pfr0 = read_sysreg(id_aa64pfr0_el1);

	features();
	if (id_field(mmfr0, 28) == 0xf)
		return "this CPU has no 4 KiB pages";
	if (id_field(mmfr0, 40) == 1)
		return "this CPU has no 4 KiB pages in stage 2";
	if (!id_field(pfr0, 24))
		return "this CPU has no system registers for a GICv3";
	if (read_sysreg(hcr_el2) >> 34 & 1)
		return "this CPU cannot switch VHE off (HCR_EL2.E2H stays 1)";
	return NULL;
}

/* What this CPU does by speculation, and has to be kept from. */
static void errata(struct cpu *cpu)
{
	u64 midr = read_sysreg(midr_el1), part = midr >> 4 & 0xfff;

	/* Speculative AT: Cortex-A55 1530923, A57 1319537, A72 1319367, A76 1165522. */
	cpu->special = midr >> 24 == 0x41 && (part == 0xd05 || part == 0xd07 || part == 0xd08 || part == 0xd0b);
	/* Without FEAT_CSV2 branches of one VM steer another's; firmware knows whether and how it can help (Arm DEN 0070). */
	cpu->fix_branch = !id_field(read_sysreg(id_aa64pfr0_el1), 56) && !(u32)smc(SMCCC_ARCH_FEATURES, SMCCC_WORKAROUND_1, 0, 0);
}

static void vectors_enable(void)
{
	write_sysreg(cptr_el2, service_cptr);
	isb();
	if (has_sve)
		write_named(ZCR_EL2, VECTOR_LENGTH_MAX);
	if (has_sme)
		write_named(SMCR_EL2, VECTOR_LENGTH_MAX | (read_named(ID_AA64SMFR0_EL1) >> 63 ? SMCR_FA64 : 0));
}

void el2_enable(struct cpu *cpu)
{
	write_sysreg(tpidr_el2, (u64)cpu);
	write_sysreg(vbar_el2, (u64)el2_vectors);
	cpu->serror = 0;
	write_sysreg(hcr_el2, el2_service_hcr(cpu));
	write_sysreg(hstr_el2, 0);
	write_sysreg(vttbr_el2, service_vttbr);
	write_sysreg(vtcr_el2, stage2_vtcr);
	write_sysreg(vpidr_el2, read_sysreg(midr_el1));
	cpu->mpidr_full = read_sysreg(mpidr_el1);
	write_sysreg(vmpidr_el2, cpu->mpidr_full);
	write_sysreg(cnthctl_el2, CNTHCTL_PCTEN | CNTHCTL_PCEN);
	write_sysreg(cntvoff_el2, 0);
	write_sysreg(cntv_ctl_el0, 0);
	write_sysreg(cnthp_ctl_el2, 0);
	write_sysreg(mdcr_el2, service_mdcr);
	write_named(ICC_SRE_EL2, SRE_ON | SRE_EL1);
	isb();
	write_named(ICH_HCR_EL2, 0);
	vectors_enable();
	errata(cpu);
	/* EL1 as after reset: MMU and caches off (RES1 bits of SCTLR_EL1). */
	write_sysreg(sctlr_el1, 0x30d00800);
	write_sysreg(cpacr_el1, 0);
	write_sysreg(cntkctl_el1, 0);
	isb();
	tlbi(alle1);
	dsb(nsh);
	isb();
}
