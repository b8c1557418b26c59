/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * psci.c - the service VM's calls of firmware: PSCI and SMCCC by one table. What
 * has no row is answered NOT_SUPPORTED and never reaches firmware.
 *
 * Invariant: a CPU comes out of firmware only at secondary_start, in EL2.
 * Concurrency: a CPU's state changes by compare-and-swap.
 * See: Arm DEN 0022 (PSCI 1.1), DEN 0028 (SMCCC).
 */
#include "cpu.h"
#include "log.h"
#include "phys.h"
#include "service.h"
#include "vcpu_arch.h"
#include "abi/hypercall.h"
#include "abi/arm64/hypercall.h"

#define PSCI_SUCCESS 0
#define PSCI_NOT_SUPPORTED (-1)
#define PSCI_INVALID_PARAMETERS (-2)
#define PSCI_ALREADY_ON (-4)
#define PSCI_ON_PENDING (-5)
#define PSCI_INVALID_ADDRESS (-9)

#define FN_CPU_ON 0xc4000003u
#define FN_CPU_SUSPEND 0xc4000001u
#define FN_CPU_OFF 0x84000002u
#define FN_SMCCC_VERSION 0x80000000u
#define SMCCC_1_1 0x10001
#define POWER_DOWN (1u << 16)		/* of CPU_SUSPEND's power state, original format */

u64 smc(u64 fn, u64 a, u64 b, u64 c)
{
	register u64 x0 asm("x0") = fn;
	register u64 x1 asm("x1") = a;
	register u64 x2 asm("x2") = b;
	register u64 x3 asm("x3") = c;

	asm volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : :
		     "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "memory");
	return x0;
}

static struct cpu *find_cpu(u64 mpidr)
{
	u32 i;

	for (i = 0; i < cpu_count; i++)
		if (cpus[i]->mpidr == mpidr)
			return cpus[i];
	return NULL;
}

static s64 cpu_on(struct cpu *cpu, const u64 *x)
{
	struct cpu *target = find_cpu(x[1]);
	u32 state = CPU_OFF;
	s64 result;

	(void)cpu;
	if (!target)
		return PSCI_INVALID_PARAMETERS;
	if (!service_owns(x[2]))
		return PSCI_INVALID_ADDRESS;
	if (!__atomic_compare_exchange_n(&target->state, &state, CPU_STARTING, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return state == CPU_STARTING ? PSCI_ON_PENDING : PSCI_ALREADY_ON;
	target->entry = x[2];
	target->context = x[3];
	dsb(sy);
	result = (s64)smc(FN_CPU_ON, target->mpidr, virt_to_phys((void *)secondary_start), (u64)target);
	if (result)
		__atomic_store_n(&target->state, CPU_OFF, __ATOMIC_RELEASE);
	return result;
}

/* Firmware refuses a CPU_ON until the CPU is really off, so the state may go first. */
static s64 cpu_off(struct cpu *cpu, const u64 *x)
{
	s64 result;

	(void)x;
	__atomic_store_n(&cpu->state, CPU_OFF, __ATOMIC_RELEASE);
	result = (s64)smc(FN_CPU_OFF, 0, 0, 0);
	__atomic_store_n(&cpu->state, CPU_SERVICE, __ATOMIC_RELEASE);
	return result;
}

/* A standby state returns here; from power-down the CPU comes back through secondary_start. */
static s64 cpu_suspend(struct cpu *cpu, const u64 *x)
{
	if ((x[1] & POWER_DOWN) && !service_owns(x[2]))
		return PSCI_INVALID_ADDRESS;
	cpu->entry = x[2];
	cpu->context = x[3];
	return (s64)smc(FN_CPU_SUSPEND, x[1], virt_to_phys((void *)secondary_start), (u64)cpu);
}

static s64 relay(struct cpu *cpu, const u64 *x)
{
	(void)cpu;
	return (s64)smc(x[0], x[1], x[2], x[3]);
}

static s64 end(struct cpu *cpu, const u64 *x)
{
	log_print("tenon: the service VM ends the machine\n");
	return relay(cpu, x);
}

/* Old firmware has no SMCCC 1.1; its registers are kept here, and its answers have the rows below. */
static s64 smccc_version(struct cpu *cpu, const u64 *x)
{
	s64 version = (s32)relay(cpu, x);

	return version < SMCCC_1_1 ? SMCCC_1_1 : version;
}

static s64 features(struct cpu *cpu, const u64 *x);

/* 64 and 32 bit forms share a row but for the bit that tells them apart. */
static const struct {
	u32 fn;
	u32 is64;	/* has a 64-bit form too */
	s64 (*call)(struct cpu *cpu, const u64 *x);
} rows[] = {
	{ 0x84000000, 0, relay },		/* PSCI_VERSION */
	{ 0x84000001, 1, cpu_suspend },
	{ 0x84000002, 0, cpu_off },
	{ 0x84000003, 1, cpu_on },
	{ 0x84000004, 1, relay },		/* AFFINITY_INFO */
	{ 0x84000006, 0, relay },		/* MIGRATE_INFO_TYPE */
	{ 0x84000008, 0, end },			/* SYSTEM_OFF */
	{ 0x84000009, 0, end },			/* SYSTEM_RESET */
	{ 0x8400000a, 0, features },		/* PSCI_FEATURES */
	{ 0x84000012, 1, end },			/* SYSTEM_RESET2 */
	{ FN_SMCCC_VERSION, 0, smccc_version },
	{ SMCCC_ARCH_FEATURES, 0, relay },
	{ 0x80000002, 1, relay },		/* SMCCC_ARCH_SOC_ID */
	{ 0x80003fff, 0, relay },		/* SMCCC_ARCH_WORKAROUND_3 */
	{ 0x80007fff, 0, relay },		/* SMCCC_ARCH_WORKAROUND_2 */
	{ SMCCC_WORKAROUND_1, 0, relay },
};

static int find(u32 fn)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].fn == fn || (rows[i].is64 && (rows[i].fn | 0x40000000) == fn))
			return (int)i;
	return -1;
}

static s64 features(struct cpu *cpu, const u64 *x)
{
	if ((u32)x[1] == FN_SMCCC_VERSION)
		return PSCI_SUCCESS;
	return find((u32)x[1]) < 0 ? PSCI_NOT_SUPPORTED : relay(cpu, x);
}

void psci_call(struct cpu *cpu)
{
	u64 *x = cpu->regs.x;
	int row = find((u32)x[0]);

	if ((u32)x[0] == ABI_SMCCC_UID) {
		x[0] = ABI_UID_0;
		x[1] = ABI_UID_1;
		x[2] = ABI_UID_2;
		x[3] = ABI_UID_3;
		return;
	}
	/* Results of 32-bit functions are sign-extended by firmware; Linux looks at the low half. */
	x[0] = row < 0 ? (u64)PSCI_NOT_SUPPORTED : (u64)rows[row].call(cpu, x);
}
