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

#define HCRX_OPEN 0x807ull		/* LS64, MOPS; TCR2_EL1 and the like stay closed and 0, as their reset value is unknown */
#define MPAM2_TRAPS (0x0403ull << 48)	/* MPAMIDR_EL1, MPAM0_EL1, MPAM1_EL1 */

extern u8 el2_vectors[];
int cpu_has_ras, cpu_has_sve;
u64 service_hcr, service_cptr, guest_hcr;
static int has_sme, has_pmu, has_fgt, has_hcx, has_mpam;

static void features(void)
{
	u64 pfr0 = read_sysreg(id_aa64pfr0_el1), pfr1 = read_sysreg(id_aa64pfr1_el1);
	u64 isar1 = read_sysreg(id_aa64isar1_el1), dfr0 = read_sysreg(id_aa64dfr0_el1);
	int pauth = (isar1 & 0xff000ff0) != 0 || (read_named(ID_AA64ISAR2_EL1) & 0xff00) != 0;

	cpu_has_ras = id_field(pfr0, 28) != 0;
	cpu_has_sve = id_field(pfr0, 32) != 0;
	has_sme = id_field(pfr1, 24) != 0;
	has_pmu = id_field(dfr0, 8) && id_field(dfr0, 8) != 0xf;
	has_fgt = id_field(read_sysreg(id_aa64mmfr0_el1), 56) != 0;
	has_hcx = id_field(read_sysreg(id_aa64mmfr1_el1), 40) != 0;
	has_mpam = id_field(pfr0, 40) || id_field(pfr1, 16);
	service_hcr = HCR_RW | HCR_VM | HCR_PTW | HCR_TSC | (pauth ? HCR_API | HCR_APK : 0) | (id_field(pfr1, 8) > 1 ? HCR_ATA : 0);
	guest_hcr = HCR_RW | HCR_VM | HCR_PTW | HCR_SWIO | HCR_FMO | HCR_IMO | HCR_AMO | HCR_FB | HCR_BSU_IS | HCR_TWI |
		HCR_TSC | HCR_TIDCP | HCR_TACR | HCR_TID3 | HCR_TLOR | (cpu_has_ras ? HCR_TEA | HCR_TERR : 0);
	service_cptr = CPTR_RES1 & ~((cpu_has_sve ? CPTR_TZ : 0) | (has_sme ? CPTR_TSM : 0));
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

/*
 * State of later features is the service VM's and no world switch knows it: closed to a guest it is out of reach and without effect
 * there. The bits open in FEAT_FGT's registers are those that trap at 0, as all of later features do (D17.2: HFGRTR_EL2 and its like, HCRX_EL2; D17.7: MPAM).
 */
void fine_traps(int service)
{
	u64 open = service ? ~0ull : 0;

	if (has_fgt) {
		write_sysreg(S3_4_C1_C1_4, open & 0xfff4ull << 48);	/* HFGRTR_EL2: PIE, POE, SME's TPIDR2_EL0, GCS, ... */
		write_sysreg(S3_4_C1_C1_5, open & 0xfff4ull << 48);	/* HFGWTR_EL2 */
		write_sysreg(S3_4_C1_C1_6, open & 0x1full << 55);	/* HFGITR_EL2: BRBE, GCS */
		write_sysreg(S3_4_C3_C1_4, open & 0xfull << 59);	/* HDFGRTR_EL2: BRBE, PMSNEVFR_EL1 */
		write_sysreg(S3_4_C3_C1_5, open & 0x7ull << 60);	/* HDFGWTR_EL2 */
	}
	if (has_hcx)
		write_sysreg(S3_4_C1_C2_2, open & HCRX_OPEN);		/* HCRX_EL2 */
	if (has_mpam)
		write_sysreg(S3_4_C10_C5_0, ~open & MPAM2_TRAPS);	/* MPAM2_EL2 */
}

/* What no world switch changes, where it exists, as it might trap the service VM. */
static void features_enable(void)
{
	fine_traps(1);
	if (has_fgt && id_field(read_sysreg(id_aa64pfr0_el1), 44))
		write_sysreg(S3_4_C3_C1_6, 0);		/* HAFGRTR_EL2: activity monitors */
	if (has_mpam && read_sysreg(S3_0_C10_C4_4) >> 17 & 1)	/* MPAMIDR_EL1.HAS_HCR */
		write_sysreg(S3_4_C10_C4_0, 0);		/* MPAMHCR_EL2 */
}

/* What this CPU does by speculation, and has to be kept from. */
static void errata(struct cpu *cpu)
{
	u64 midr = read_sysreg(midr_el1), part = midr >> 4 & 0xfff;

	/* Speculative AT: Cortex-A55 1530923, A57 1319537, A72 1319367, A76 1165522. */
	cpu->special = has_fgt || has_hcx || has_mpam || (midr >> 24 == 0x41 && (part == 0xd05 || part == 0xd07 || part == 0xd08 || part == 0xd0b));
	/* Without FEAT_CSV2 branches of one VM steer another's; firmware knows whether and how it can help (Arm DEN 0070). */
	cpu->fix_branch = !id_field(read_sysreg(id_aa64pfr0_el1), 56) && !(u32)smc(SMCCC_ARCH_FEATURES, SMCCC_WORKAROUND_1, 0, 0);
}

static void vectors_enable(void)
{
	write_sysreg(cptr_el2, service_cptr);
	isb();
	if (cpu_has_sve)
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
	write_sysreg(hstr_el2, 1 << 15);	/* T15: implementation-defined registers of a 32-bit EL0 */
	write_sysreg(vttbr_el2, service_vttbr);
	write_sysreg(vtcr_el2, stage2_vtcr);
	write_sysreg(vpidr_el2, read_sysreg(midr_el1));
	cpu->mpidr_full = read_sysreg(mpidr_el1);
	write_sysreg(vmpidr_el2, cpu->mpidr_full);
	write_sysreg(cnthctl_el2, CNTHCTL_PCTEN | CNTHCTL_PCEN);
	write_sysreg(cntvoff_el2, 0);
	write_sysreg(cntv_ctl_el0, 0);
	write_sysreg(cnthp_ctl_el2, 0);
	cpu->mdcr = has_pmu ? read_sysreg(pmcr_el0) >> 11 & MDCR_HPMN : 0;	/* all counters are EL1's (D17.3.18) */
	cpu->guest_mdcr = cpu->mdcr | MDCR_TPM | MDCR_TPMCR | MDCR_TDA | MDCR_TDOSA | MDCR_TDRA | MDCR_TPMS | MDCR_TTRF;
	write_sysreg(mdcr_el2, cpu->mdcr);
	write_named(ICC_SRE_EL2, SRE_ON | SRE_EL1);
	isb();
	write_named(ICH_HCR_EL2, 0);
	vectors_enable();
	features_enable();
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
