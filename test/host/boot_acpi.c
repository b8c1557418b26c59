// SPDX-License-Identifier: BSD-2-Clause
/*
 * boot_acpi.c - boot/acpi.c with table sets as SeaBIOS (RSDT only) and OVMF
 * (XSDT) leave them, the built copy parsed again, single defects, and random
 * mutations with repaired checksums so that they reach the inner checks.
 */
#include "boot_test.h"

#include "../../boot/acpi.c"

/* The entries of CPUs (ACPI 5.2.12.2, 5.2.12.12). */
struct madt_lapic {
	struct madt_entry entry;
	u8 processor;
	u8 apic_id;
	u32 flags;
} PACKED;

struct madt_x2apic {
	struct madt_entry entry;
	u16 pad;
	u32 apic_id;
	u32 flags;
	u32 processor;
} PACKED;

#define TABLES_PA 0x7fe0000ull
#define DEST_PA 0x400000ull
#define DEST_BYTES 0x4000ull
#define MAILBOX_PA 0x500000ull
#define ROUNDS 100000
#define MAX_CPUS 8u

static struct boot_info info;
static u64 root_pa, madt_pa;

static void seal_table(struct table *t)
{
	seal(t, t->length, &t->checksum);
}

static void seal_rsdp(struct rsdp *r)
{
	seal(r, RSDP_V1_BYTES, &r->checksum);
	seal(r, sizeof(*r), &r->full_checksum);
}

static struct table *begin_table(u64 pa, const char *signature)
{
	struct table *t = (struct table *)(phys + pa);

	memset(t, 0, sizeof(*t));
	memcpy(t->signature, signature, 4);
	t->length = sizeof(*t);
	t->revision = 1;
	return t;
}

static void append(struct table *t, const void *bytes, u32 size)
{
	memcpy((u8 *)t + t->length, bytes, size);
	t->length += size;
}

static void append_lapic(struct table *t, u8 id, u32 flags)
{
	append(t, &(struct madt_lapic){ { MADT_LAPIC, 8 }, id, id, flags }, 8);
}

static void build_madt(u64 pa)
{
	struct table *t = begin_table(pa, "APIC");

	append(t, (u32[]){ 0xfee00000, 1 }, 8);
	append_lapic(t, 0, 1);
	append_lapic(t, 1, 0);		/* an empty socket */
	append_lapic(t, 2, 3);
	append(t, (u8[]){ 1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0 }, 12);	/* an IOAPIC */
	append_lapic(t, 4, 2);		/* online capable, not enabled */
	append(t, &(struct madt_x2apic){ { MADT_X2APIC, 16 }, 0, 2, 1, 2 }, 16);	/* CPU 2 again */
	append(t, &(struct madt_x2apic){ { MADT_X2APIC, 16 }, 0, 0x100, 1, 9 }, 16);
	seal_table(t);
}

static void build(int xsdt)
{
	struct rsdp *r = (struct rsdp *)info.rsdp;
	struct table *t;

	memset(&info, 0, sizeof(info));
	memset(phys + TABLES_PA, 0, 0x20000);
	CHECK(!memmap_reserve(&info, 0, 0x9fc00, REGION_RAM) && !memmap_reserve(&info, 0x100000, 0x7ee0000, REGION_RAM));
	CHECK(!memmap_reserve(&info, TABLES_PA, 0x20000, xsdt ? REGION_ACPI : REGION_RESERVED));
	madt_pa = TABLES_PA + 0x1014;
	root_pa = TABLES_PA + 0x2004;
	build_madt(madt_pa);
	seal_table(begin_table(TABLES_PA + 0x100, "FACP"));
	t = begin_table(root_pa, xsdt ? "XSDT" : "RSDT");
	if (xsdt)
		append(t, (u64[]){ TABLES_PA + 0x100, madt_pa, TABLES_PA + 0x200 }, 24);
	else
		append(t, (u32[]){ TABLES_PA + 0x100, madt_pa, TABLES_PA + 0x200 }, 12);
	seal_table(t);
	memcpy(r->signature, "RSD PTR ", 8);
	r->revision = xsdt ? 2 : 0;
	r->length = 36;
	if (xsdt)
		r->xsdt = root_pa;
	else
		r->rsdt = root_pa;
	seal_rsdp(r);
	info.rsdp_size = xsdt ? 36 : 20;
}

static void check_ids(void)
{
	u32 ids[MAX_CPUS];

	CHECK(TOLD(acpi_cpus(&info, ids, MAX_CPUS)) == 3);
	CHECK(ids[0] == 0 && ids[1] == 2 && ids[2] == 0x100);
	CHECK(TOLD(acpi_cpus(&info, ids, 3)) == 3);
	CHECK(TOLD(acpi_cpus(&info, ids, 2)) == -E2BIG);
}

static void round_trip(int xsdt)
{
	static u8 before[0x20000];
	const struct madt *madt;
	const struct madt_entry *e, *last = NULL;
	struct tables t;
	u32 at;

	build(xsdt);
	check_ids();
	memcpy(before, phys + TABLES_PA, sizeof(before));
	memset(phys + DEST_PA, 0xcc, DEST_BYTES + 16);
	CHECK(TOLD(acpi_build_wakeup(&info, DEST_PA, DEST_BYTES, MAILBOX_PA)) == 0);
	CHECK(!memcmp(before, phys + TABLES_PA, sizeof(before)));
	CHECK(phys[DEST_PA + DEST_BYTES] == 0xcc);

	/* The copy is a complete set of its own. */
	memcpy(info.rsdp, phys + DEST_PA, 36);
	CHECK(find_tables(&info, &t) == 0);
	CHECK(t.width == (xsdt ? 8u : 4u));
	CHECK((u8 *)t.root > phys + DEST_PA && (u8 *)t.root < phys + DEST_PA + DEST_BYTES);
	CHECK((u8 *)t.madt > phys + DEST_PA && (u8 *)t.madt < phys + DEST_PA + DEST_BYTES);
	CHECK(root_entry(&t, 36) == TABLES_PA + 0x100 && root_entry(&t, 36 + 2 * t.width) == TABLES_PA + 0x200);
	check_ids();
	madt = t.madt;
	for (at = sizeof(*madt); (e = entry_at(madt, at)); at += e->length)
		last = e;
	CHECK(at == madt->table.length && last && last->type == MADT_WAKEUP && last->length == 16);
	CHECK(((const struct madt_wakeup *)last)->mailbox_pa == MAILBOX_PA);
	build(xsdt);
	CHECK(TOLD(acpi_build_wakeup(&info, DEST_PA, 100, MAILBOX_PA)) < 0);

	/* Without a mailbox the copy says what firmware says. */
	CHECK(TOLD(acpi_build_wakeup(&info, DEST_PA, DEST_BYTES, 0)) == 0);
	memcpy(info.rsdp, phys + DEST_PA, 36);
	CHECK(find_tables(&info, &t) == 0 && !memcmp(t.madt, phys + madt_pa, t.madt->table.length));
	build(xsdt);
}

TEST(boot_acpi_defects)
{
	u32 ids[MAX_CPUS], i;

	phys_start();
	for (i = 0; i < 8; i++) {
		struct table *root, *madt;

		build(i & 1);
		root = (struct table *)(phys + root_pa);
		madt = (struct table *)(phys + madt_pa);
		switch (i / 2) {
		case 0:
			info.rsdp[3] ^= 1;
			break;
		case 1:
			root->checksum ^= 1;
			break;
		case 2:
			madt->checksum ^= 1;
			break;
		case 3:
			memcpy(madt->signature, "CIPA", 4);
			break;
		}
		CHECK(TOLD(acpi_cpus(&info, ids, MAX_CPUS)) < 0);
		CHECK(TOLD(acpi_build_wakeup(&info, DEST_PA, DEST_BYTES, MAILBOX_PA)) < 0);
	}
	/* An entry that reaches past its table is none; a table that reaches past the map neither. */
	build(0);
	((struct table *)(phys + madt_pa))->length -= 2;
	seal_table((struct table *)(phys + madt_pa));
	CHECK(TOLD(acpi_cpus(&info, ids, MAX_CPUS)) == 2);
	build(1);
	CHECK(!memmap_reserve(&info, madt_pa + 44, 0x1000, REGION_RAM) && !memmap_reserve(&info, 0x8000000, 0x1000, REGION_RAM));
	CHECK(TOLD(acpi_cpus(&info, ids, MAX_CPUS)) == 3);
	memmove(phys + TABLES_PA + 0x1ffd0, phys + madt_pa, ((struct table *)(phys + madt_pa))->length);
	info.regions[info.region_count - 1].size = 8;	/* ends within the MADT */
	((u64 *)(phys + root_pa + 36))[1] = TABLES_PA + 0x1ffd0;
	seal_table((struct table *)(phys + root_pa));
	CHECK(TOLD(acpi_cpus(&info, ids, MAX_CPUS)) < 0);
	build(0);
	info.rsdp_size = 0;
	CHECK(TOLD(acpi_cpus(&info, ids, MAX_CPUS)) < 0);
}

static void mutate(void)
{
	u64 v = random_odd(), pa = random_below(2) ? root_pa : madt_pa;
	u32 where = random_below(((struct table *)(phys + pa))->length);
	struct table *t = (struct table *)(phys + pa);

	if (random_below(4) == 0)
		memcpy(&info.rsdp[random_below(28)], &v, 1 + random_below(8));
	else
		memcpy(phys + pa + where, &v, 1 + random_below(8));
	if (t->length >= sizeof(*t) && t->length <= 0x10000)
		seal_table(t);
	seal_rsdp((struct rsdp *)info.rsdp);
}

TEST(boot_acpi_mutations)
{
	u32 ids[MAX_CPUS];
	int i, good = 0;

	phys_start();
	for (i = 0; i < ROUNDS; i++) {
		int n;

		build(random_below(2));
		for (n = random_below(3); n >= 0; n--) {
			if (((struct table *)(phys + root_pa))->length <= 0x1000 && ((struct table *)(phys + madt_pa))->length <= 0x1000 &&
			    ((struct table *)(phys + root_pa))->length && ((struct table *)(phys + madt_pa))->length)
				mutate();
		}
		n = TOLD(acpi_cpus(&info, ids, MAX_CPUS));
		CHECK(n && n <= (int)MAX_CPUS);
		phys[DEST_PA + DEST_BYTES] = 0xcc;
		good += TOLD(acpi_build_wakeup(&info, DEST_PA, DEST_BYTES, MAILBOX_PA)) == 0;
		CHECK(phys[DEST_PA + DEST_BYTES] == 0xcc);
	}
	CHECK(good && good < ROUNDS);
}

TEST(boot_acpi_round_trip)
{
	phys_start();
	round_trip(0);
	round_trip(1);
}
