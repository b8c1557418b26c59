// SPDX-License-Identifier: BSD-2-Clause
/*
 * boot_mbi.c - boot/multiboot2.c with well-formed information as GRUB gives it
 * on BIOS and on UEFI, with one defect at a time, and with 10^5 random
 * mutations. The parser's copy is poisoned past its end meanwhile.
 */
#include <sanitizer/asan_interface.h>

#include "boot_test.h"

#include "../../boot/multiboot2.c"

/* Tags that Tenon has no use for. */
#define MB2_TAG_CMDLINE 1
#define MB2_TAG_LOADER 2

#define MBI_PA 0x4000ull
#define ROUNDS 100000

static struct boot_info info;
static u32 at;		/* end of what was built, from MBI_PA */
static int poison_calls;

/* The second look at memory is that of the copy: nothing past it may be read. */
static void poison_copy(void)
{
	u32 total;

	if (poison_calls++ != 1)
		return;
	memcpy(&total, phys + MBI_PA, sizeof(total));
	ASAN_POISON_MEMORY_REGION(mbi + ((total + 7) & ~7u), sizeof(mbi) - ((total + 7) & ~7u));
}

static int parse(void)
{
	int err;

	ASAN_UNPOISON_MEMORY_REGION(mbi, sizeof(mbi));
	poison_calls = 0;
	phys_hook = poison_copy;
	err = TOLD(multiboot2_parse(MB2_LOADER_MAGIC, MBI_PA, &info));
	ASAN_UNPOISON_MEMORY_REGION(mbi, sizeof(mbi));
	return err;
}

static void put(const void *bytes, u32 size)
{
	memcpy(phys + MBI_PA + at, bytes, size);
	at += size;
}

static void put32(u32 v)
{
	put(&v, 4);
}

static void put64(u64 v)
{
	put(&v, 8);
}

static void tag_begin(u32 type, u32 body)
{
	at = (at + 7) & ~7u;
	put32(type);
	put32(8 + body);
}

static void tag_string(u32 type, const char *text)
{
	tag_begin(type, strlen(text) + 1);
	put(text, strlen(text) + 1);
}

static void tag_module(u32 start, u32 end, const char *text)
{
	tag_begin(MB2_TAG_MODULE, 8 + strlen(text) + 1);
	put32(start);
	put32(end);
	put(text, strlen(text) + 1);
}

static void put_region(u64 base, u64 size, u32 type)
{
	put64(base);
	put64(size);
	put32(type);
	put32(0);
}

static void tag_mmap(void)
{
	tag_begin(MB2_TAG_MMAP, 8 + 7 * 24);
	put32(24);
	put32(0);
	put_region(0, 0x9fc00, 1);
	put_region(0x9fc00, 0x400, 2);
	put_region(0xf0000, 0x10000, 2);
	put_region(0x7fe0000, 0x20000, 3);	/* lies in the RAM below: must win */
	put_region(0x100000, 0x7f00000, 1);
	put_region(0xfffc0000, 0x40000, 2);
	put_region(0x100000000, 0x40000000, 9);	/* a type nobody knows */
}

static void tag_fb(u8 type)
{
	static const u8 rgb[] = { 16, 8, 8, 8, 0, 8 };

	tag_begin(MB2_TAG_FRAMEBUFFER, 24 + (type == FB_RGB ? 6 : 0));
	put64(type == FB_TEXT ? 0xb8000 : 0x180000000);
	put32(type == FB_TEXT ? 160 : 4096);
	put32(type == FB_TEXT ? 80 : 1024);
	put32(type == FB_TEXT ? 25 : 768);
	put((u8[]){ type == FB_TEXT ? 16 : 32, type, 0, 0 }, 4);
	if (type == FB_RGB)
		put(rgb, sizeof(rgb));
}

static void tag_bytes(u32 type, u8 fill, u32 bytes)
{
	u8 block[256];

	memset(block, fill, sizeof(block));
	tag_begin(type, bytes);
	put(block, bytes);
}

static void tag_efi(void)
{
	u32 i;

	tag_begin(MB2_TAG_EFI64, 8);
	put64(0x7f9e018);
	tag_begin(MB2_TAG_EFI_MMAP, 8 + 3 * 48);
	put32(48);
	put32(1);
	for (i = 0; i < 3; i++) {
		struct efi_desc d = { .type = 7, .pa = 0x100000 + i * 0x100000, .pages = 0x100, .attributes = 0xf };

		put(&d, sizeof(d));
		put64(0);
	}
}

static void begin(void)
{
	memset(phys + MBI_PA, 0, MBI_MAX_BYTES + 64);
	at = 8;
}

static void finish(void)
{
	u32 total;

	tag_begin(MB2_TAG_END, 0);
	total = at;
	at = 0;
	put32(total);
	at = total;
}

static void build(int efi)
{
	begin();
	tag_string(MB2_TAG_CMDLINE, "log=all");
	tag_string(MB2_TAG_LOADER, "GRUB 2.06");
	tag_module(0x700000, 0x700000 + 0x7f0000, "kernel console=ttyS0");
	tag_module(0x1000000, 0x1000000 + 0x123457, "");
	tag_bytes(4, 1, 8);
	tag_mmap();
	tag_fb(efi ? FB_RGB : FB_TEXT);
	if (efi) {
		tag_efi();
		tag_bytes(MB2_TAG_RSDP_NEW, 0x55, 36);
	}
	tag_bytes(MB2_TAG_RSDP_OLD, 0x44, 20);
	finish();
}

static void check_common(void)
{
	u64 end;

	CHECK(info.module_count == 2 && info.modules[0].pa == 0x700000 && info.modules[0].size == 0x7f0000);
	CHECK(!strcmp(info.modules[0].cmdline, "kernel console=ttyS0") && !info.modules[1].cmdline[0]);
	CHECK(info.modules[1].size == 0x123457);
	CHECK(memmap_type(&info, 0x100000, &end) == REGION_RAM && end == 0x7fe0000);
	CHECK(memmap_type(&info, 0x7fe0000, &end) == REGION_ACPI && end == 0x8000000);
	CHECK(memmap_type(&info, 0x100000000, &end) == REGION_RESERVED);
	CHECK(memmap_type(&info, 0xa0000, &end) == 0 && end == 0xf0000);
	CHECK(info.region_count == 6);
}

TEST(boot_mbi_well_formed)
{
	phys_start();
	build(0);
	CHECK(parse() == 0);
	check_common();
	CHECK(info.fb.type == FB_TEXT && info.fb.width == 80 && info.fb.pa == 0xb8000);
	CHECK(info.rsdp_size == 20 && info.rsdp[19] == 0x44 && !info.efi_systab && !info.efi_map);
	build(1);
	CHECK(parse() == 0);
	check_common();
	CHECK(info.fb.type == FB_RGB && info.fb.pa == 0x180000000 && info.fb.red.position == 16 && info.fb.blue.size == 8);
	CHECK(info.rsdp_size == 36 && info.rsdp[35] == 0x55);
	CHECK(info.efi_systab == 0x7f9e018 && efi_desc_count(&info) == 3 && efi_desc_at(&info, 2)->pa == 0x300000);
}

static void refused(void (*change)(void))
{
	build(1);
	at -= 8;	/* over the end tag */
	change();
	finish();
	CHECK(parse() < 0);
}

static void add_boot_services(void) { tag_begin(MB2_TAG_EFI_BS, 0); }
static void add_backward_module(void) { tag_module(0x800000, 0x7fffff, "x"); }
static void add_module_in_hole(void) { tag_module(0x80000000, 0x80001000, "x"); }
static void add_module_past_ram(void) { tag_module(0x7fd0000, 0x7ff0000, "x"); }
static void add_module_wrong_size(void) { tag_begin(MB2_TAG_MODULE, 4); put32(0); }
static void add_open_string(void) { tag_begin(MB2_TAG_MODULE, 11); put32(0x200000); put32(0x200001); put("abc", 3); }
static void add_empty_string(void) { tag_begin(MB2_TAG_MODULE, 8); put32(0x200000); put32(0x200001); }
static void add_second_mmap(void) { tag_mmap(); }
static void add_short_rsdp(void) { tag_bytes(MB2_TAG_RSDP_NEW, 1, 35); }
static void add_cut_rgb(void) { tag_fb(FB_RGB); at -= 6; *(u32 *)(phys + MBI_PA + at - 28) = 32; }
static void add_zero_size(void) { tag_begin(99, 0); *(u32 *)(phys + MBI_PA + at - 4) = 0; }
static void add_huge_size(void) { tag_begin(99, 0); *(u32 *)(phys + MBI_PA + at - 4) = 0xfffffff9; }
static void add_efi_step(void) { tag_begin(MB2_TAG_EFI_MMAP, 8); put32(0); put32(1); }

static void add_many_modules(void)
{
	int i;

	for (i = 0; i < 20; i++)
		tag_module(0x200000, 0x200001, "m");
}

static void add_long_string(void)
{
	char text[BOOT_CMDLINE_BYTES + 1];

	memset(text, 'a', BOOT_CMDLINE_BYTES);
	text[BOOT_CMDLINE_BYTES] = 0;
	tag_module(0x200000, 0x200001, text);
}

TEST(boot_mbi_hostile)
{
	static void (*const changes[])(void) = {
		add_boot_services, add_backward_module, add_module_in_hole, add_module_past_ram, add_module_wrong_size,
		add_open_string, add_empty_string, add_second_mmap, add_short_rsdp, add_cut_rgb, add_zero_size,
		add_huge_size, add_efi_step, add_many_modules, add_long_string,
	};
	static const u32 totals[] = { 0, 4, 7, 8, 12, 16, 24, 0x10001, 0xffffffff };
	u32 i;

	phys_start();
	for (i = 0; i < COUNT(changes); i++)
		refused(changes[i]);
	for (i = 0; i < COUNT(totals); i++) {
		build(0);
		memcpy(phys + MBI_PA, &totals[i], 4);
		CHECK(parse() < 0);
	}
	build(0);
	CHECK(TOLD(multiboot2_parse(0x2badb002, MBI_PA, &info)) < 0);
	CHECK(TOLD(multiboot2_parse(MB2_LOADER_MAGIC, 0, &info)) < 0);
	begin();
	tag_string(MB2_TAG_LOADER, "no map");
	finish();
	CHECK(parse() < 0);
}

static void mutate_once(u32 total)
{
	u32 where = random_below(total);
	u64 v = random_odd();

	switch (random_below(3)) {
	case 0:
		phys[MBI_PA + where] ^= 1u << random_below(8);
		break;
	case 1:
		memcpy(phys + MBI_PA + (where & ~3u), &v, 4);
		break;
	default:
		memcpy(phys + MBI_PA + (where & ~7u), &v, 8);
	}
}

/* What is accepted must be usable. */
static void check_usable(void)
{
	u32 i;

	CHECK(info.region_count && info.region_count <= BOOT_MAX_REGIONS && info.module_count <= BOOT_MAX_MODULES);
	for (i = 0; i < efi_desc_count(&info); i++)
		CHECK(efi_desc_end(efi_desc_at(&info, i)) >= efi_desc_at(&info, i)->pa);
	(void)memmap_find(&info, 0x200000, 0x200000, 0, ~0ull);
}

TEST(boot_mbi_mutations)
{
	int i, accepted = 0;

	phys_start();
	for (i = 0; i < ROUNDS; i++) {
		u32 n = 1 + random_below(4), total;

		build(random_below(2));
		total = at;
		while (n--)
			mutate_once(total);
		if (parse() == 0) {
			accepted++;
			check_usable();
		}
	}
	CHECK(accepted && accepted < ROUNDS);
}
