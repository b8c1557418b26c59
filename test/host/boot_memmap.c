// SPDX-License-Identifier: BSD-2-Clause
/*
 * boot_memmap.c - boot/memmap.c against a model: an array with one type for
 * each page. Random reservations, then every answer is compared.
 */
#include "boot_test.h"

#include "../../boot/memmap.c"

#define MODEL_PAGES 1024u
#define MODEL_BASE 0xe0000ull	/* from below 1 MiB on, to see that limit kept */
#define PAGE 4096ull

static u8 model[MODEL_PAGES];
static u8 blocked[MODEL_PAGES];
static struct boot_info info;
static u8 efi_map[4 * 48] __attribute__((aligned(8)));

static u64 page_pa(u64 page)
{
	return MODEL_BASE + page * PAGE;
}

static void check_list(void)
{
	u64 ram = 0, top = 0, end;
	u32 i;

	for (i = 0; i < info.region_count; i++) {
		const struct boot_region *r = &info.regions[i];

		CHECK(r->size && r->base + r->size > r->base);
		if (i) {
			const struct boot_region *l = r - 1;

			CHECK(l->base + l->size <= r->base);
			CHECK(l->base + l->size < r->base || l->type != r->type);
		}
	}
	for (i = 0; i < MODEL_PAGES; i++) {
		CHECK(memmap_type(&info, page_pa(i), &end) == model[i]);
		CHECK(end > page_pa(i));
		ram += model[i] == REGION_RAM;
		if (model[i] == REGION_RAM)
			top = page_pa(i + 1);
	}
	CHECK(memmap_ram_pages(&info) == ram);
	CHECK(memmap_ram_top(&info) == top);
}

static int model_free(u64 page, u64 pages)
{
	for (; pages; page++, pages--) {
		if (page >= MODEL_PAGES || page_pa(page) < 0x100000 || model[page] != REGION_RAM || blocked[page])
			return 0;
	}
	return 1;
}

static u64 model_find(u64 pages, u64 align, u64 min, u64 max)
{
	u64 page;

	for (page = MODEL_PAGES; page--;) {
		u64 pa = page_pa(page);

		if (pa % align == 0 && pa >= min && pa + pages * PAGE <= max && model_free(page, pages))
			return pa;
	}
	return 0;
}

static void block(u64 page, u64 pages)
{
	while (pages-- && page < MODEL_PAGES)
		blocked[page++] = 1;
}

static void random_blockers(void)
{
	u32 i;

	memset(blocked, 0, sizeof(blocked));
	info.module_count = random_below(4);
	for (i = 0; i < info.module_count; i++) {
		u64 page = random_below(MODEL_PAGES - 64), bytes = 1 + random_below(40 * PAGE);

		info.modules[i].pa = page_pa(page);
		info.modules[i].size = bytes;
		block(page, (bytes + PAGE - 1) / PAGE);
	}
	info.efi_map = random_below(2) ? efi_map : NULL;
	info.efi_desc_size = 48;
	info.efi_map_size = sizeof(efi_map);
	for (i = 0; i < 4; i++) {
		struct efi_desc *d = (struct efi_desc *)(efi_map + i * 48);
		u64 page = random_below(MODEL_PAGES - 64);

		*d = (struct efi_desc){ .type = random_below(8), .pa = page_pa(page), .pages = 1 + random_below(30) };
		if (info.efi_map && (d->type == EFI_BOOT_SERVICES_CODE || d->type == EFI_BOOT_SERVICES_DATA))
			block(page, d->pages);
	}
}

static void check_find(void)
{
	u64 page = random_below(MODEL_PAGES), pages = 1 + random_below(60);
	u64 align = PAGE << random_below(6), min = page_pa(random_below(MODEL_PAGES)), max = min + random_below(MODEL_PAGES) * PAGE;

	CHECK(memmap_free(&info, page_pa(page), pages * PAGE) == model_free(page, pages));
	CHECK(memmap_find(&info, pages * PAGE, align, min, max) == model_find(pages, align, min, max));
	CHECK(memmap_find(&info, pages * PAGE, align, 0, ~0ull) == model_find(pages, align, 0, ~0ull));
}

static void random_round(void)
{
	int i;

	memset(&info, 0, sizeof(info));
	memset(model, 0, sizeof(model));
	for (i = 0; i < 40; i++) {
		u64 page = random_below(MODEL_PAGES), pages = 1 + random_below(i < 3 ? 600 : 50);
		u32 type = i < 3 ? REGION_RAM : 1 + random_below(5);

		if (page + pages > MODEL_PAGES)
			pages = MODEL_PAGES - page;
		CHECK(memmap_reserve(&info, page_pa(page), pages * PAGE, type) == 0);
		memset(model + page, type, pages);
		check_list();
	}
	for (i = 0; i < 20; i++) {
		random_blockers();
		check_find();
	}
}

TEST(boot_memmap_edges)
{
	static struct boot_info before;
	u64 i, end;

	memset(&info, 0, sizeof(info));
	CHECK(memmap_type(&info, 0, &end) == 0 && end == ~0ull);
	CHECK(memmap_find(&info, PAGE, PAGE, 0, ~0ull) == 0);
	CHECK(memmap_ram_top(&info) == 0 && memmap_ram_pages(&info) == 0);
	CHECK(memmap_reserve(&info, 0x1000, 0, 1) == -EINVAL);
	CHECK(memmap_reserve(&info, ~0ull - 5, 100, 1) == -EINVAL);
	CHECK(memmap_reserve(&info, 0x100c00, 0x9f400, REGION_RAM) == 0);
	CHECK(memmap_ram_pages(&info) == 0x9f);
	CHECK(memmap_find(&info, 0, PAGE, 0, ~0ull) == 0);
	/* A full list refuses and stays as it was. */
	memset(&info, 0, sizeof(info));
	for (i = 0; i < BOOT_MAX_REGIONS; i++)
		CHECK(memmap_reserve(&info, 0x100000 + i * 0x4000, 0x2000, 1 + i % 2) == 0);
	before = info;
	CHECK(memmap_reserve(&info, 0x80000000, 0x1000, 1) == -ENOSPC);
	CHECK(memmap_reserve(&info, 0x100800, 0x800, 5) == -ENOSPC);
	CHECK(!memcmp(&before, &info, sizeof(info)));
	CHECK(memmap_reserve(&info, 0x100000, 0x80000000, 1) == 0 && info.region_count == 1);
}

TEST(boot_memmap_model)
{
	int i;

	for (i = 0; i < 400; i++)
		random_round();
}
