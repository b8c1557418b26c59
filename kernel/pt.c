/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pt.c - the page-table walker, see pt.h.
 *
 * Invariant: each entry is written once, whole; a table is filled before it is
 * linked, so that a CPU that walks meanwhile sees the old or the new.
 * Called by: the host's tables at boot, the service VM's and the user VMs'.
 * Concurrency: one writer per struct pt (the caller's lock).
 */
#include "pt.h"
#include "phys.h"
#include "errno.h"

static u64 level_size(int level)
{
	return PAGE_SIZE << (9 * level);
}

static u64 *entry_at(u64 table, u64 va, int level)
{
	u64 index = (va >> (PAGE_SHIFT + 9 * level)) & (PT_ENTRIES - 1);

	return (u64 *)phys_to_virt(table) + index;
}

static int is_table(const struct pt_format *f, u64 entry, int level)
{
	return (entry & f->present) && level > 0 && !(entry & f->large);
}

/* Break before make, where the processor asks for it (Arm ARM D8.14.1): who faults meanwhile tries again. */
static void set_entry(const struct pt_format *f, u64 *entry, u64 value)
{
	if (f->flush && (*entry & f->present)) {
		WRITE_ONCE(*entry, 0);
		f->flush();
	}
	WRITE_ONCE(*entry, value);
}

/* The entry of va at *level, or the first on the way to it that is no table; *level says which. */
static u64 *walk(const struct pt *pt, u64 va, int *level)
{
	u64 *entry, table = pt->root;
	int at;

	for (at = PT_TOP;; at--) {
		entry = entry_at(table, va, at);
		if (at == *level || !is_table(pt->format, *entry, at))
			break;
		table = *entry & pt->format->address;
	}
	*level = at;
	return entry;
}

/* Puts a table in the place of an entry: with the leaf's parts, if it is one. */
static int make_table(struct pt *pt, u64 *entry, int level)
{
	const struct pt_format *f = pt->format;
	u64 table = pool_alloc(pt->pool), *child, leaf = *entry, i;

	if (!table)
		return -ENOMEM;
	child = phys_to_virt(table);
	for (i = 0; (leaf & f->present) && i < PT_ENTRIES; i++)
		child[i] = (level == 1 ? (leaf & ~f->large) | f->page : leaf) + i * level_size(level - 1);
	set_entry(f, entry, table | f->table);
	return 0;
}

/* The entry of va at `level`; tables that are missing are made, leaves in the way split. NULL: no memory. */
static u64 *descend(struct pt *pt, u64 va, int level)
{
	u64 *entry;
	int at;

	for (;;) {
		at = level;
		entry = walk(pt, va, &at);
		if (at == level)
			return entry;
		if (make_table(pt, entry, at))
			return NULL;
	}
}

static int leaf_level(const struct pt *pt, u64 va, u64 pa, u64 bytes)
{
	int level = pt->leaf_max;

	while (level && (((va | pa) & (level_size(level) - 1)) || bytes < level_size(level)))
		level--;
	return level;
}

u64 pt_map(struct pt *pt, u64 va, u64 pa, u64 pages, u64 attr, pt_gone_fn gone, void *ctx)
{
	const struct pt_format *f = pt->format;
	u64 *entry, done, size, old;
	int level;

	for (done = 0; done < pages; done += size >> PAGE_SHIFT, va += size, pa += size) {
		level = leaf_level(pt, va, pa, (pages - done) * PAGE_SIZE);
		while ((entry = descend(pt, va, level)) && is_table(f, *entry, level))
			level--;
		if (!entry)
			break;
		size = level_size(level);
		old = *entry;
		set_entry(f, entry, pa | attr | (level ? f->large : f->page));
		if ((old & f->present) && gone)
			gone(ctx, old & f->address, size >> PAGE_SHIFT);
	}
	return done;
}

u64 pt_clear(struct pt *pt, u64 va, u64 pages, u64 bits, pt_gone_fn gone, void *ctx)
{
	const struct pt_format *f = pt->format;
	u64 end = va + pages * PAGE_SIZE, *entry, old, count = 0;
	int level;

	while (va < end) {
		level = 0;
		entry = walk(pt, va, &level);
		old = *entry;
		if ((old & f->present) && (old & bits)) {
			WRITE_ONCE(*entry, old & ~bits);
			count++;
			if (gone)
				gone(ctx, old & f->address, level_size(level) >> PAGE_SHIFT);
		}
		va = align_down(va, level_size(level)) + level_size(level);
	}
	return count;
}

static int split_at(struct pt *pt, u64 va)
{
	u64 *entry;
	int level;

	for (;;) {
		level = 0;
		entry = walk(pt, va, &level);
		if (!(*entry & pt->format->present) || !(va & (level_size(level) - 1)))
			return 0;
		if (make_table(pt, entry, level))
			return -ENOMEM;
	}
}

int pt_split(struct pt *pt, u64 va, u64 pages)
{
	int err = split_at(pt, va);

	return err ? err : split_at(pt, va + pages * PAGE_SIZE);
}

u64 pt_lookup(const struct pt *pt, u64 va, int *level)
{
	u64 entry;

	*level = 0;
	entry = *walk(pt, va, level);
	return entry & pt->format->present ? entry : 0;
}
