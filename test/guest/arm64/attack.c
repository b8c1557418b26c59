/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * attack.c - EL1 of the service VM against the hypervisor: every page of RAM is
 * tried, those that are kept from us in every manner; then firmware calls and
 * the GIC's table registers with the hypervisor's addresses.
 */
#include "guest.h"

#define FN_CPU_ON 0xc4000003u
#define FN_CPU_SUSPEND 0xc4000001u
#define SUSPEND_STANDBY 0u
#define SUSPEND_POWER_DOWN (1u << 16)
#define PSCI_NOT_SUPPORTED (-1)
#define PSCI_INVALID_PARAMETERS (-2)
#define PSCI_ALREADY_ON (-4)
#define PSCI_INVALID_ADDRESS (-9)

static const struct { const char *name; u64 (*probe)(u64 at); } manners[] = {
	{ "a read", probe_read }, { "a write", probe_write }, { "a pair", probe_pair }, { "a byte", probe_byte },
	{ "an exclusive", probe_exclusive }, { "DC ZVA", probe_zero }, { "a vector", probe_vector }, { "a jump", probe_execute },
};
static u64 secret;		/* a page of the hypervisor */

static void every_page(void)
{
	u64 pa, esr, count = 0;
	u32 i;

	for (pa = RAM_BASE; pa < RAM_END; pa += PAGE_SIZE) {
		if (!hidden(pa))
			continue;
		count++;
		secret = pa;
		for (i = 0; i < ARRAY_SIZE(manners); i++) {
			esr = manners[i].probe(pa + (pa >> 12) * 64 % PAGE_SIZE);
			EXPECT(EXTERNAL_ABORT(esr), "%s of %llx: ESR %llx", manners[i].name, pa, esr);
		}
		probe_walk(pa);
	}
	stats_read();
	EXPECT(count == stats.total_pages, "%llu pages are hidden, the hypervisor has %llu", count, stats.total_pages);
	/* One access from a page of ours into the hypervisor's. */
	for (pa = RAM_BASE; !hidden(pa + PAGE_SIZE); pa += PAGE_SIZE)
		;
	EXPECT(EXTERNAL_ABORT(probe_read(pa + PAGE_SIZE - 4)), "a read across the border");
	print("ok every_page: %llu pages in %u manners\n", count, (u32)ARRAY_SIZE(manners));
}

static void registers(void)
{
	EXPECT(probe_el2(0) >> 26 == 0, "HCR_EL2 can be read");
	EXPECT(probe_el2_write(0) >> 26 == 0, "VBAR_EL2 can be written");
	print("ok registers\n");
}

/* Firmware starts no CPU in the hypervisor's memory, nor wakes one there. */
static void firmware(void)
{
	EXPECT(psci(FN_CPU_ON, 1, secret, 0) == PSCI_INVALID_ADDRESS, "CPU_ON in the hypervisor");
	EXPECT(psci(FN_CPU_ON, 0, (u64)firmware, 0) == PSCI_ALREADY_ON, "CPU_ON of this CPU");
	EXPECT(psci(FN_CPU_ON, 77, (u64)firmware, 0) == PSCI_INVALID_PARAMETERS, "CPU_ON of no CPU");
	EXPECT(psci(FN_CPU_SUSPEND, SUSPEND_POWER_DOWN, secret, 0) == PSCI_INVALID_ADDRESS, "CPU_SUSPEND to the hypervisor");
	EXPECT(psci(0x8400ffff, 0, 0, 0) == PSCI_NOT_SUPPORTED, "an unknown function");
	EXPECT(psci(0xc3000000, secret, secret, secret) == PSCI_NOT_SUPPORTED, "a call of the machine's maker");
	EXPECT(hypercall(77, 0) == -ENOSYS, "hypercall 77");
	timer_on(0, 200000);
	/* It may end early, but not come late or not at all. */
	EXPECT(psci(FN_CPU_SUSPEND, SUSPEND_STANDBY, 0, 0) == 0, "CPU_SUSPEND, standby");
	timer_off();
	print("ok firmware\n");
}

/* Tables of the GIC in memory that is not ours: the register stays as it was. */
static void table_register(const char *name, u64 at, u64 bits, u64 good)
{
	u64 before = *reg64(at);

	*reg64(at) = bits | (secret & ~0xffffull);
	EXPECT(*reg64(at) == before, "%s takes the hypervisor's memory", name);
	*reg64(at) = bits | GICR;
	EXPECT(*reg64(at) == before, "%s takes a device's memory", name);
	*reg64(at) = bits | 0x0000f00000000000ull;
	EXPECT(*reg64(at) == before, "%s takes no memory", name);
	/* In halves; one that is not valid yet may name anything. */
	*reg32(at) = (u32)(secret & ~0xffffull) | (u32)bits;
	*reg32(at + 4) = (u32)(bits >> 32);
	EXPECT((*reg64(at) & 0xffff0000) != (secret & 0xffff0000) || (bits & ~*reg64(at)) >> 63, "%s takes it in halves", name);
	*reg64(at) = bits | good;
	EXPECT((*reg64(at) & 0x0000ffffffff0000ull) == good, "%s does not take our own memory: %llx", name, *reg64(at));
}

static void gic_tables(void)
{
	u64 good = block_at(0), indirect = 1ull << 62, valid = 1ull << 63, baser;

	table_register("GICR_PROPBASER", GICR + 0x70, 0x78f, good);
	table_register("GICR_PENDBASER", GICR + 0x78, 0x700, good + 0x100000);
	table_register("GITS_CBASER", ITS + 0x80, valid | 0x7, good + 0x110000);
	table_register("GITS_BASER0", ITS + 0x100, valid | 0x200, good + 0x120000);
	*reg64(ITS + 0x100) = valid | indirect | 0x200 | (good + 0x120000);
	baser = *reg64(ITS + 0x100);
	EXPECT(!(baser & indirect), "GITS_BASER0 is indirect");
	/* Size 256 pages of 64 KiB from there would reach into the hypervisor. */
	*reg64(ITS + 0x100) = valid | 0x2ff | (secret & ~0xffffffull);
	EXPECT(*reg64(ITS + 0x100) == baser, "a table that begins before the hypervisor");
	EXPECT(ring_op(0, N_KVM_CREATE_VM, 0, good, NULL, 0) == -EPERM, "a block with the GIC's tables can be donated");
	EXPECT(probe_byte(GICR) && probe_pair(GICR), "odd accesses to the redistributor");
	/* Let go: PENDBASER and PROPBASER elsewhere, no table valid. */
	*reg64(ITS + 0x100) = 0;
	*reg64(ITS + 0x80) = 0;
	*reg64(GICR + 0x70) = 0x78f | (good - BLOCK_SIZE);
	*reg64(GICR + 0x78) = 0x700 | (good - BLOCK_SIZE + 0x10000);
	EXPECT(ring_op(0, N_KVM_CREATE_VM, 0, good, NULL, 0) == 1, "the block cannot be donated afterwards");
	EXPECT(ring_op(0, N_OP_VM_DESTROY, 1, 0, NULL, 0) == 0, "OP_VM_DESTROY");
	/* In use: LPIs on. */
	*reg32(GICR) = 1;
	baser = *reg64(GICR + 0x78);
	*reg64(GICR + 0x78) = 0x700 | good;
	EXPECT(*reg64(GICR + 0x78) == baser, "a pending table changes while LPIs are on");
	*reg32(GICR) = 0;
	print("ok gic_tables\n");
}

void attack(void)
{
	every_page();
	registers();
	firmware();
	gic_tables();
}
