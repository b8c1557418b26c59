/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpu.h - system registers, barriers, cache and TLB maintenance, and the bits
 * that more than one file uses. Names and section numbers are the Arm ARM's
 * (DDI 0487). E2H is 0: EL1 registers have their own names.
 */
#ifndef CPU_H
#define CPU_H

#include "types.h"

#define read_sysreg(reg) ({ u64 v_; asm volatile("mrs %0, " #reg : "=r"(v_)); v_; })
#define write_sysreg(reg, value) asm volatile("msr " #reg ", %x0" : : "rZ"((u64)(value)))
#define isb() asm volatile("isb" : : : "memory")
#define dsb(domain) asm volatile("dsb " #domain : : : "memory")
#define tlbi(op) asm volatile("tlbi " #op : : : "memory")
/* Broadcast, and done. Twice, as on many CPUs a store of another one outlasts the first (CVE-2025-10263; Cortex-A55 2441007, A510 2441009). */
#define tlbi_done(op) do { tlbi(op); dsb(ish); tlbi(op); dsb(ish); } while (0)

/* As read_sysreg(), for names below: those that the assembler knows only with extensions. */
#define read_named(reg) read_sysreg_(reg)
#define read_sysreg_(reg) read_sysreg(reg)
#define write_named(reg, value) write_sysreg_(reg, value)
#define write_sysreg_(reg, value) write_sysreg(reg, value)
#define ICC_PMR_EL1 S3_0_C4_C6_0
#define ICC_SRE_EL2 S3_4_C12_C9_5
#define ICH_HCR_EL2 S3_4_C12_C11_0
#define ICH_VTR_EL2 S3_4_C12_C11_1
#define ICH_VMCR_EL2 S3_4_C12_C11_7
#define ID_AA64ISAR2_EL1 S3_0_C0_C6_2
#define ID_AA64SMFR0_EL1 S3_0_C0_C4_5
#define SMCR_EL2 S3_4_C1_C2_6
#define VDISR_EL2 S3_4_C12_C1_1
#define VSESR_EL2 S3_4_C5_C2_3
#define ZCR_EL2 S3_4_C1_C2_0

/* HCR_EL2 */
#define HCR_VM (1ull << 0)
#define HCR_SWIO (1ull << 1)
#define HCR_PTW (1ull << 2)
#define HCR_FMO (1ull << 3)
#define HCR_IMO (1ull << 4)
#define HCR_AMO (1ull << 5)
#define HCR_VF (1ull << 6)
#define HCR_VI (1ull << 7)
#define HCR_VSE (1ull << 8)
#define HCR_FB (1ull << 9)
#define HCR_BSU_IS (1ull << 10)
#define HCR_TWI (1ull << 13)
#define HCR_TID3 (1ull << 18)
#define HCR_TSC (1ull << 19)
#define HCR_TIDCP (1ull << 20)
#define HCR_TACR (1ull << 21)
#define HCR_RW (1ull << 31)
#define HCR_TLOR (1ull << 35)
#define HCR_TERR (1ull << 36)
#define HCR_TEA (1ull << 37)
#define HCR_APK (1ull << 40)
#define HCR_API (1ull << 41)
#define HCR_ATA (1ull << 56)

/* CPTR_EL2 with E2H = 0: RES1, and traps. */
#define CPTR_RES1 0x33ffull
#define CPTR_TZ (1ull << 8)
#define CPTR_TFP (1ull << 10)
#define CPTR_TSM (1ull << 12)
#define CPTR_TTA (1ull << 20)
#define CPTR_TAM (1ull << 30)

/* MDCR_EL2 */
#define MDCR_HPMN 0x1full
#define MDCR_TPMCR (1ull << 5)
#define MDCR_TPM (1ull << 6)
#define MDCR_TDA (1ull << 9)
#define MDCR_TDOSA (1ull << 10)
#define MDCR_TDRA (1ull << 11)
#define MDCR_TPMS (1ull << 14)
#define MDCR_TTRF (1ull << 19)

/* CNTHCTL_EL2 */
#define CNTHCTL_PCTEN 1ull
#define CNTHCTL_PCEN 2ull

#define CNTV_ENABLE 1ull
#define CNTV_IMASK 2ull
#define CNTV_ISTATUS 4ull

/* ESR_EL2 */
#define ESR_EC(esr) ((u32)((esr) >> 26) & 0x3f)
#define ESR_IL (1ull << 25)
#define ESR_ISS 0x1ffffffull
#define EC_WFX 0x01
#define EC_FP 0x07
#define EC_HVC64 0x16
#define EC_SMC64 0x17
#define EC_SYS64 0x18
#define EC_IABT_LOW 0x20
#define EC_DABT_LOW 0x24
#define SERROR_IMPDEF (1ull << 24)
#define EC_IABT_SAME 0x21ull
#define EC_DABT_SAME 0x25ull
#define FSC_EXTERNAL 0x10ull

/* Data and instruction aborts (D17.2.37, ISS of a data abort). */
#define ISS_FSC(esr) ((u32)(esr) & 0x3f)
#define ISS_WNR (1ull << 6)
#define ISS_S1PTW (1ull << 7)
#define ISS_ISV (1ull << 24)
#define FSC_TRANSLATION(fsc) (((fsc) & 0x3c) == 0x04)
#define FSC_ACCESS(fsc) (((fsc) & 0x3c) == 0x08)
#define FSC_PERMISSION(fsc) (((fsc) & 0x3c) == 0x0c)
#define FSC_ERROR(fsc) ((fsc) & 0x10)		/* external abort, parity or ECC, of the access or of a walk, and rarer ones: not stage 2's */

/* SCTLR_EL1, TCR_EL1 */
#define SCTLR_M 1ull
#define SCTLR_SPAN (1ull << 23)
#define SCTLR_E0E (1ull << 24)
#define SCTLR_EE (1ull << 25)
#define TCR_EPD (1ull << 7 | 1ull << 23)

/* ICC_SRE_EL2: system registers, no bypass; EL1 may reach its own ICC_SRE_EL1 */
#define SRE_ON 0x7ull
#define SRE_EL1 0x8ull
/* ICH_HCR_EL2: a guest without a GIC finds no ICC register */
#define ICH_TRAP_ALL (7ull << 10)

/* PSTATE */
#define PSTATE_PAN (1ull << 22)
#define PSTATE_DIT (1ull << 24)
#define PSTATE_EL1H 0x5ull
#define PSTATE_EL1T 0x4ull
#define PSTATE_DAIF 0x3c0ull
#define PSTATE_NRW (1ull << 4)
#define PSTATE_MODE 0xfull

#define MPIDR_AFFINITY 0xff00ffffffull

static inline u64 id_field(u64 reg, u32 shift)
{
	return reg >> shift & 0xf;
}

/* Lines of [va, + bytes) to the point of coherency: for readers whose caches are off (D7.5). */
static inline void cache_clean(const void *va, u64 bytes)
{
	u64 line = 4ull << (read_sysreg(ctr_el0) >> 16 & 0xf), at = (u64)va & ~(line - 1);

	for (; at < (u64)va + bytes; at += line)
		asm volatile("dc civac, %0" : : "r"(at) : "memory");
	dsb(sy);
}

#endif
