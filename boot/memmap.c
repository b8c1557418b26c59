/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memmap.c - the list of memory regions, and free places in it.
 *
 * Invariant: regions are sorted by address, not empty, free of overlap, end
 * below 2^64, and no two that touch have the same type. So one RAM range is
 * one region.
 * Called by the loader front end and the start code, on the boot CPU only.
 * See: ACPI specification 6.5, chapter 15 (E820 types).
 */
#include <stddef.h>

#include "boot/boot.h"
#include "errno.h"
#include "types.h"

#define LOW_MEMORY_END 0x100000ull	/* BIOS data, AP trampolines: never handed out */
#define NONE (~0ull)

static u64 max_u64(u64 a, u64 b)
{
	return a > b ? a : b;
}

static u64 region_end(const struct boot_region *r)
{
	return r->base + r->size;
}

/* A list under construction; count runs on past the end, to tell that it did. */
static struct boot_region draft[BOOT_MAX_REGIONS];
static u32 draft_count;

static void draft_append(u64 base, u64 end, u32 type)
{
	struct boot_region *last = draft_count ? &draft[draft_count - 1] : NULL;

	if (base >= end || draft_count > BOOT_MAX_REGIONS)
		return;
	if (last && last->type == type && region_end(last) == base)
		last->size += end - base;
	else if (draft_count++ < BOOT_MAX_REGIONS)
		draft[draft_count - 1] = (struct boot_region){ base, end - base, type };
}

int memmap_reserve(struct boot_info *info, u64 base, u64 size, u32 type)
{
	u64 end = base + size;
	int placed = 0;
	u32 i;

	if (end <= base)
		return -EINVAL;
	draft_count = 0;
	for (i = 0; i < info->region_count; i++) {
		const struct boot_region *r = &info->regions[i];

		draft_append(r->base, min_u64(region_end(r), base), r->type);
		if (!placed && region_end(r) > base) {
			draft_append(base, end, type);
			placed = 1;
		}
		draft_append(max_u64(r->base, end), region_end(r), r->type);
	}
	if (!placed)
		draft_append(base, end, type);
	if (draft_count > BOOT_MAX_REGIONS)
		return -ENOSPC;
	for (i = 0; i < draft_count; i++)
		info->regions[i] = draft[i];
	info->region_count = draft_count;
	return 0;
}

u32 memmap_type(const struct boot_info *info, u64 pa, u64 *end)
{
	u32 i;

	*end = NONE;
	for (i = 0; i < info->region_count; i++) {
		const struct boot_region *r = &info->regions[i];

		if (pa < r->base) {
			*end = r->base;
			return 0;
		}
		if (pa < region_end(r)) {
			*end = region_end(r);
			return r->type;
		}
	}
	return 0;
}

/* The base of something in [base, end) that the region list does not show. */
static u64 find_blocker(const struct boot_info *info, u64 base, u64 end)
{
	u32 i;

	for (i = 0; i < info->module_count; i++) {
		const struct boot_module *m = &info->modules[i];

		if (m->pa < end && m->pa + m->size > base)
			return m->pa;
	}
	for (i = 0; i < efi_desc_count(info); i++) {
		const struct efi_desc *d = efi_desc_at(info, i);

		if ((d->type == EFI_BOOT_SERVICES_CODE || d->type == EFI_BOOT_SERVICES_DATA) &&
		    d->pa < end && efi_desc_end(d) > base)
			return d->pa;
	}
	return NONE;
}

int memmap_free(const struct boot_info *info, u64 base, u64 size)
{
	u64 end;

	if (base < LOW_MEMORY_END || memmap_type(info, base, &end) != REGION_RAM || end - base < size)
		return 0;
	return find_blocker(info, base, base + size) == NONE;
}

/* Downwards from `high`, each time to below what was in the way. */
static u64 find_in(const struct boot_info *info, u64 size, u64 align, u64 low, u64 high)
{
	while (high >= size) {
		u64 base = (high - size) & ~(align - 1), blocker;

		if (base < low)
			break;
		blocker = find_blocker(info, base, base + size);
		if (blocker == NONE)
			return base;
		high = blocker;
	}
	return 0;
}

u64 memmap_find(const struct boot_info *info, u64 size, u64 align, u64 min, u64 max)
{
	u64 base = 0;
	u32 i;

	min = max_u64(min, LOW_MEMORY_END);
	for (i = info->region_count; i-- && size && !base;) {
		const struct boot_region *r = &info->regions[i];

		if (r->type == REGION_RAM)
			base = find_in(info, size, align, max_u64(r->base, min), min_u64(region_end(r), max));
	}
	return base;
}

u64 memmap_ram_pages(const struct boot_info *info)
{
	u64 bytes = 0;
	u32 i;

	for (i = 0; i < info->region_count; i++)
		if (info->regions[i].type == REGION_RAM)
			bytes += info->regions[i].size;
	return bytes / PAGE_SIZE;
}

u64 memmap_ram_top(const struct boot_info *info)
{
	u32 i;

	for (i = info->region_count; i--;) {
		if (info->regions[i].type == REGION_RAM)
			return region_end(&info->regions[i]);
	}
	return 0;
}
