/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * psci.c - SMCCC calls of a guest. What says only what there is, is answered
 * here; what concerns other vCPUs or ends the VM goes to the driver; the rest is
 * NOT_SUPPORTED.
 * See: Arm DEN 0022 (PSCI 1.1), DEN 0028 (SMCCC 1.1); Linux Documentation/virt/kvm/arm/.
 */
#include "vcpu_arch.h"
#include "vm.h"

#define NOT_SUPPORTED (~0ull)
#define VERSION_1_1 0x10001ull
#define NO_TRUSTED_OS 2ull
#define LAST_FUNCTION 0x12u	/* the highest number of the rows but for this one */
#define VENDOR_UID_NUMBER 0xff01u

/* KVM's own vendor UID: a guest knows a KVM by it. */
static const u64 kvm_uid[4] = { 0xb66fb428, 0xe911c52e, 0x564bcaa9, 0x743a004d };

enum call { TO_DRIVER, CONSTANT, PSCI_FEATURES, ARCH_FEATURES, VENDOR_UID };

static const struct row {
	u32 fn;
	u8 is64;	/* has a 64-bit form too */
	u8 call;
	u64 value;
} rows[] = {
	{ 0x84000000, 0, CONSTANT, VERSION_1_1 },
	{ 0x84000001, 1, TO_DRIVER, 0 },		/* CPU_SUSPEND */
	{ 0x84000002, 0, TO_DRIVER, 0 },		/* CPU_OFF */
	{ 0x84000003, 1, TO_DRIVER, 0 },		/* CPU_ON */
	{ 0x84000004, 1, TO_DRIVER, 0 },		/* AFFINITY_INFO */
	{ 0x84000006, 0, CONSTANT, NO_TRUSTED_OS },	/* MIGRATE_INFO_TYPE */
	{ 0x84000008, 0, TO_DRIVER, 0 },		/* SYSTEM_OFF */
	{ 0x84000009, 0, TO_DRIVER, 0 },		/* SYSTEM_RESET */
	{ 0x8400000a, 0, PSCI_FEATURES, 0 },
	{ 0x84000012, 1, TO_DRIVER, 0 },		/* SYSTEM_RESET2 */
	{ 0x80000000, 0, CONSTANT, VERSION_1_1 },	/* SMCCC_VERSION */
	{ 0x80000001, 0, ARCH_FEATURES, 0 },
	{ SMCCC_WORKAROUND_1, 0, CONSTANT, 0 },		/* every exit does it, on CPUs that need it */
	{ 0x86000000, 0, CONSTANT, 1 },			/* KVM's features: this function */
	{ 0x8600ff01, 0, VENDOR_UID, 0 },
};

static const struct row *find(u32 fn)
{
	u32 i;

	if ((fn & 0xffff) > LAST_FUNCTION && (fn & 0xffff) != VENDOR_UID_NUMBER && fn != SMCCC_WORKAROUND_1)
		return NULL;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].fn == fn || (rows[i].is64 && (rows[i].fn | 0x40000000) == fn))
			return &rows[i];
	return NULL;
}

static void answer_uid(u64 *x)
{
	u32 i;

	for (i = 0; i < 4; i++)
		x[i] = kvm_uid[i];
}

int guest_smccc(struct vcpu *v)
{
	u64 *x = v->arch.regs.x;
	const struct row *row = find((u32)x[0]);
	u32 i;

	switch (row ? (int)row->call : -1) {
	case TO_DRIVER:
		for (i = 0; i < ARRAY_SIZE(v->page->out.x); i++)
			v->page->out.x[i] = x[i];
		return 1;
	case CONSTANT:
		x[0] = row->value;
		return 0;
	case PSCI_FEATURES:
		x[0] = find((u32)x[1]) && ((u32)x[1] >> 24 & 0xbf) == 0x84 ? 0 : (u32)x[1] == 0x80000000 ? 0 : NOT_SUPPORTED;
		return 0;
	case ARCH_FEATURES:
		x[0] = (u32)x[1] >> 1 == 0x80000000 >> 1 || ((u32)x[1] == SMCCC_WORKAROUND_1 && cpu_this()->fix_branch) ? 0 : NOT_SUPPORTED;
		return 0;
	case VENDOR_UID:
		answer_uid(x);
		return 0;
	default:
		x[0] = NOT_SUPPORTED;
		return 0;
	}
}
