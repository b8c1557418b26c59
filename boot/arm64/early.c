/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * early.c - the first translation tables, from 2 MiB blocks, until the final
 * ones are built: the image at its address and one-to-one, the device tree, and
 * what early_map() adds.
 *
 * early_tables() runs before the MMU is on, at physical addresses: only code and
 * data found relative to the PC, and no atomics. Device memory is what nobody
 * said is RAM.
 */
#include "boot/arm64/boot.h"
#include "layout.h"
#include "types.h"

#define TABLES 24u
#define TABLE 0x3ull
#define BLOCK 0x701ull		/* valid, AF, inner shareable, attribute 0 */
#define XN (1ull << 54)
#define ADDRESS 0xfffffffff000ull

static u64 tables[TABLES][512] __attribute__((aligned(4096)));
static u32 used;
static u64 tables_pa;
static u64 el2_bits;		/* AP[1] is RES1 at EL2; at EL1 it would mean EL0 may write, so EL1 not execute */

static u64 *next_table(u64 *entry)
{
	if (!*entry) {
		if (used == TABLES)
			return NULL;
		*entry = (tables_pa + (u64)used++ * PAGE_SIZE) | TABLE;
	}
	return tables[((*entry & ADDRESS) - tables_pa) / PAGE_SIZE];
}

static int map_block(u64 va, u64 pa, u64 attr)
{
	u64 *l1 = next_table(&tables[0][va >> 39 & 511]), *l2;

	l2 = l1 ? next_table(&l1[va >> 30 & 511]) : NULL;
	if (!l2)
		return -1;
	l2[va >> 21 & 511] = pa | attr | el2_bits;
	return 0;
}

static int map(u64 va, u64 pa, u64 bytes, u64 attr)
{
	u64 end = pa + bytes;

	va = align_down(va, BLOCK_SIZE);
	for (pa = align_down(pa, BLOCK_SIZE); pa < end; pa += BLOCK_SIZE, va += BLOCK_SIZE)
		if (map_block(va, pa, attr))
			return -1;
	return 0;
}

u64 early_tables(u64 image, u64 dtb)
{
	extern u8 image_start[], image_end[];
	u64 bytes = (u64)(image_end - image_start), el;

	asm("mrs %0, CurrentEL" : "=r"(el));
	el2_bits = el == 8 ? 1 << 6 : 0;
	used = 1;
	tables_pa = (u64)tables;	/* relative to the PC: physical */
	map(image, image, bytes, BLOCK);
	map(IMAGE_VMA, image, bytes, BLOCK);
	map(PHYS_BASE + dtb, dtb, DTB_BYTES_MAX, BLOCK | XN);
	return tables_pa;
}

int early_map(u64 pa, u64 bytes, int device)
{
	int err = map(PHYS_BASE + pa, pa, bytes, BLOCK | XN | (device ? 1 << 2 : 0));

	asm volatile("dsb ishst; isb" : : : "memory");
	return err;
}
