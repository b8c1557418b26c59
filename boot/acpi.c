/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * acpi.c - the CPUs that ACPI's MADT names, and a copy of the tables in which
 * the service VM finds a wakeup mailbox instead of INIT and SIPI, where those cannot be intercepted.
 *
 * Owns: nothing; firmware's tables are read, never written.
 * Invariant: a table is used only after its length was found to lie within
 * the memory map and its checksum to be right.
 * Called by the start code once the memory map is known.
 * See: ACPI specification 6.5, 5.2.5 (RSDP), 5.2.7-8 (root tables), 5.2.12 (MADT).
 */
#include <stddef.h>
#include <string.h>

#include "boot/boot.h"
#include "errno.h"
#include "log.h"
#include "phys.h"
#include "types.h"

#define TABLE_MAX_BYTES 0x10000u
#define LOW_MEMORY_END 0x100000ull	/* firmware's area there need not be in the map */
#define RSDP_V1_BYTES 20u
#define MADT_LAPIC 0
#define MADT_X2APIC 9
#define MADT_WAKEUP 16
#define LAPIC_ENABLED 1u

#define PACKED __attribute__((packed))

struct rsdp {
	char signature[8];
	u8 checksum;		/* over the first 20 bytes */
	char oem[6];
	u8 revision;		/* 0: ACPI 1, the rest is absent */
	u32 rsdt;
	u32 length;
	u64 xsdt;
	u8 full_checksum;
	u8 pad[3];
} PACKED;

struct table {
	char signature[4];
	u32 length;
	u8 revision;
	u8 checksum;
	u8 pad[26];
} PACKED;

struct madt {
	struct table table;
	u32 lapic_pa;
	u32 flags;
} PACKED;

/* What every MADT entry starts with; the rest by its type. */
struct madt_entry {
	u8 type;
	u8 length;
} PACKED;

/* Those of CPUs (ACPI 5.2.12.2, 5.2.12.12): where the id and the flags are. */
static const struct {
	u8 type, bytes, id_at, id_bytes, flags_at;
} cpu_entries[] = {
	{ MADT_LAPIC, 8, 3, 1, 4 },
	{ MADT_X2APIC, 16, 4, 4, 8 },
};

struct madt_wakeup {
	struct madt_entry entry;
	u16 mailbox_version;	/* 0 */
	u32 pad;
	u64 mailbox_pa;
} PACKED;

_Static_assert(sizeof(struct rsdp) == 36 && sizeof(struct table) == 36 && sizeof(struct madt) == 44, "ACPI 5.2");
_Static_assert(sizeof(struct madt_wakeup) == 16, "ACPI 5.2.12");

/* The tables that matter, checked. */
struct tables {
	struct rsdp rsdp;
	const struct table *root;
	const struct madt *madt;
	u32 madt_at;		/* offset in root of the pointer to it */
	u32 width;		/* bytes of a pointer in root: 4 in the RSDT, 8 in the XSDT */
};

static int bad_acpi(const char *what)
{
	log_print("boot: ACPI: %s: turn ACPI on in the firmware's setup, or update the firmware\n", what);
	return -EINVAL;
}

/* What must be added to make all bytes sum up to 0. */
static u8 checksum(const void *bytes, u32 size)
{
	const u8 *p = bytes;
	u8 sum = 0;

	while (size--)
		sum -= *p++;
	return sum;
}

static int in_map(const struct boot_info *info, u64 pa, u64 size)
{
	u64 end = 0, last = pa + size;

	if (!pa || last < pa)
		return 0;
	for (; pa < last && pa >= LOW_MEMORY_END; pa = end) {
		if (!memmap_type(info, pa, &end))
			return 0;
	}
	return pa >= last || last <= LOW_MEMORY_END;
}

/* The header at pa if it is of that kind, not yet the whole table. */
static const struct table *peek_table(const struct boot_info *info, u64 pa, const char *signature)
{
	const struct table *t = in_map(info, pa, sizeof(*t)) ? phys_to_virt(pa) : NULL;

	return t && !memcmp(t->signature, signature, sizeof(t->signature)) ? t : NULL;
}

static const struct table *get_table(const struct boot_info *info, u64 pa, const char *signature, u32 min_bytes)
{
	const struct table *t = peek_table(info, pa, signature);

	if (!t || t->length < min_bytes || t->length > TABLE_MAX_BYTES || !in_map(info, pa, t->length))
		return NULL;
	return checksum(t, t->length) ? NULL : t;
}

static int read_rsdp(const struct boot_info *info, struct rsdp *rsdp)
{
	memset(rsdp, 0, sizeof(*rsdp));
	memcpy(rsdp, info->rsdp, min_u64(info->rsdp_size, sizeof(*rsdp)));
	if (info->rsdp_size < RSDP_V1_BYTES || memcmp(rsdp->signature, "RSD PTR ", sizeof(rsdp->signature)) ||
	    checksum(rsdp, RSDP_V1_BYTES))
		return bad_acpi("no valid RSDP from the loader");
	if (info->rsdp_size < sizeof(*rsdp) || rsdp->revision < 2 || checksum(rsdp, sizeof(*rsdp)))
		rsdp->xsdt = 0;
	return 0;
}

static u64 root_entry(const struct tables *t, u32 at)
{
	u64 pa = 0;

	memcpy(&pa, (const u8 *)t->root + at, t->width);
	return pa;
}

static int find_madt(const struct boot_info *info, struct tables *t)
{
	u32 at;

	for (at = sizeof(*t->root); at + t->width <= t->root->length; at += t->width) {
		if (!peek_table(info, root_entry(t, at), "APIC"))
			continue;
		t->madt = (const struct madt *)get_table(info, root_entry(t, at), "APIC", sizeof(struct madt));
		t->madt_at = at;
		return t->madt ? 0 : bad_acpi("the MADT is damaged");
	}
	return bad_acpi("no MADT, which names the CPUs");
}

static int find_tables(const struct boot_info *info, struct tables *t)
{
	int err = read_rsdp(info, &t->rsdp);

	if (err)
		return err;
	t->width = t->rsdp.xsdt ? 8 : 4;
	if (t->rsdp.xsdt)
		t->root = get_table(info, t->rsdp.xsdt, "XSDT", sizeof(*t->root));
	else
		t->root = get_table(info, t->rsdp.rsdt, "RSDT", sizeof(*t->root));
	return t->root ? find_madt(info, t) : bad_acpi("the root table is damaged");
}

/* The entry at an offset, or NULL at the end and where lengths stop making sense. */
static const struct madt_entry *entry_at(const struct madt *madt, u32 at)
{
	const struct madt_entry *e = (const struct madt_entry *)((const u8 *)madt + at);
	u32 left = madt->table.length - at;

	return left >= sizeof(*e) && e->length >= sizeof(*e) && e->length <= left ? e : NULL;
}

/* 1 and the id, if the entry is that of a CPU that may be started. */
static int enabled_cpu(const struct madt_entry *e, u32 *apic_id)
{
	const u8 *bytes = (const u8 *)e;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(cpu_entries); i++) {
		if (e->type != cpu_entries[i].type || e->length < cpu_entries[i].bytes)
			continue;
		*apic_id = 0;
		memcpy(apic_id, bytes + cpu_entries[i].id_at, cpu_entries[i].id_bytes);
		return bytes[cpu_entries[i].flags_at] & LAPIC_ENABLED;
	}
	return 0;
}

static int is_listed(const u32 *ids, unsigned int count, u32 id)
{
	while (count--) {
		if (ids[count] == id)
			return 1;
	}
	return 0;
}

int acpi_cpus(const struct boot_info *info, u32 *apic_ids, unsigned int max)
{
	const struct madt_entry *e;
	struct tables t;
	unsigned int count = 0;
	u32 at, id;
	int err = find_tables(info, &t);

	if (err)
		return err;
	for (at = sizeof(*t.madt); (e = entry_at(t.madt, at)); at += e->length) {
		/* Firmware may name a CPU in both forms. */
		if (!enabled_cpu(e, &id) || is_listed(apic_ids, count, id))
			continue;
		if (count == max) {
			log_print("boot: more than %u CPUs: turn some off in the firmware's setup\n", max);
			return -E2BIG;
		}
		apic_ids[count++] = id;
	}
	return count ? (int)count : bad_acpi("the MADT names no CPU");
}

static void seal(void *bytes, u32 size, u8 *sum)
{
	*sum = 0;
	*sum = checksum(bytes, size);
}

int acpi_build_wakeup(const struct boot_info *info, u64 dest_pa, u64 dest_size, u64 mailbox_pa)
{
	struct madt_wakeup wakeup = { { MADT_WAKEUP, sizeof(wakeup) }, 0, 0, mailbox_pa };
	u32 wakeup_bytes = mailbox_pa ? sizeof(wakeup) : 0;
	u8 *dest = phys_to_virt(dest_pa);
	struct tables t;
	struct rsdp *rsdp = (struct rsdp *)dest;
	struct table *root, *madt;
	u64 root_at = align_up(sizeof(*rsdp), 16), madt_at, madt_pa;
	int err = find_tables(info, &t);

	if (err)
		return err;
	madt_at = align_up(root_at + t.root->length, 16);
	if (madt_at + t.madt->table.length + wakeup_bytes > dest_size)
		return bad_acpi("the tables are too large to copy");
	root = (struct table *)(dest + root_at);
	madt = (struct table *)(dest + madt_at);
	madt_pa = dest_pa + madt_at;

	memcpy(madt, t.madt, t.madt->table.length);
	memcpy((u8 *)madt + madt->length, &wakeup, wakeup_bytes);
	madt->length += wakeup_bytes;
	seal(madt, madt->length, &madt->checksum);

	memcpy(root, t.root, t.root->length);
	memcpy((u8 *)root + t.madt_at, &madt_pa, t.width);
	seal(root, root->length, &root->checksum);

	*rsdp = t.rsdp;
	if (t.width == 8)
		rsdp->xsdt = dest_pa + root_at;
	else
		rsdp->rsdt = dest_pa + root_at;
	seal(rsdp, RSDP_V1_BYTES, &rsdp->checksum);
	seal(rsdp, sizeof(*rsdp), &rsdp->full_checksum);
	return 0;
}
