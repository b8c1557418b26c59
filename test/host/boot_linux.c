// SPDX-License-Identifier: BSD-2-Clause
/*
 * boot_linux.c - boot/linux.c: offsets against the installed
 * <asm/bootparam.h>, a synthetic bzImage (and a real one: BZIMAGE=file, or what make built), what
 * Linux would read afterwards, wrong images, random headers and maps.
 */
#include <asm/bootparam.h>
#undef SETUP_E820_EXT
#undef XLF_KERNEL_64

#include "boot_test.h"

/* Linux's names and ours meet in this file alone. */
#define boot_params our_params
#define setup_header our_header
#define screen_info our_screen
#define efi_info our_efi
#include "../../boot/linux.c"
#undef boot_params
#undef setup_header
#undef screen_info
#undef efi_info

#define SAME(ours, theirs) \
	_Static_assert(__builtin_offsetof(struct our_params, ours) == __builtin_offsetof(struct boot_params, theirs), #theirs)
SAME(screen.type, screen_info.orig_video_isVGA);
SAME(screen.points, screen_info.orig_video_points);
SAME(screen.base, screen_info.lfb_base);
SAME(screen.pitch, screen_info.lfb_linelength);
SAME(screen.blue_position, screen_info.blue_pos);
SAME(screen.rest_position, screen_info.rsvd_pos);
SAME(screen.capabilities, screen_info.capabilities);
SAME(screen.base_high, screen_info.ext_lfb_base);
SAME(rsdp, acpi_rsdp_addr);
SAME(ramdisk_high, ext_ramdisk_image);
SAME(ramdisk_size_high, ext_ramdisk_size);
SAME(cmdline_high, ext_cmd_line_ptr);
SAME(efi.map, efi_info.efi_memmap);
SAME(efi.map_high, efi_info.efi_memmap_hi);
SAME(efi.desc_size, efi_info.efi_memdesc_size);
SAME(e820_count, e820_entries);
SAME(e820, e820_table);
SAME(header, hdr);
SAME(header.syssize, hdr.syssize);
SAME(header.boot_flag, hdr.boot_flag);
SAME(header.magic, hdr.header);
SAME(header.version, hdr.version);
SAME(header.loader, hdr.type_of_loader);
SAME(header.code32_start, hdr.code32_start);
SAME(header.ramdisk_size, hdr.ramdisk_size);
SAME(header.cmdline, hdr.cmd_line_ptr);
SAME(header.alignment, hdr.kernel_alignment);
SAME(header.relocatable, hdr.relocatable_kernel);
SAME(header.xloadflags, hdr.xloadflags);
SAME(header.cmdline_max, hdr.cmdline_size);
SAME(header.setup_data, hdr.setup_data);
SAME(header.pref_address, hdr.pref_address);
SAME(header.init_size, hdr.init_size);

#define SCRATCH_PA 0x7000000ull
#define KERNEL_PA 0x400000ull
#define INITRD_PA 0x800000ull
#define INITRD_BYTES 0x123457ull
#define ROUNDS 20000

static struct boot_info info;
/* What is asked for, and where it then was put. */
static struct { u64 rsdp_pa, scratch_pa; } req;
static struct { u64 entry_pa, kernel_pa, kernel_size; } entry;
static u8 efi_map[2600 * 48] __attribute__((aligned(8)));

static struct our_header *header(void)
{
	return (struct our_header *)(phys + KERNEL_PA + HEADER_OFFSET);
}

static void build_image(void)
{
	struct our_header *h = header();
	u32 i;

	memset(phys + KERNEL_PA, 0, 0x3000);
	for (i = 0; i < 0x6010; i++)
		phys[KERNEL_PA + 0x1000 + i] = i * 7 + (i >> 8);
	h->setup_sects = 7;
	h->syssize = 0x601;
	h->boot_flag = BOOT_FLAG;
	h->length = 0x6a;
	h->magic = HEADER_MAGIC;
	h->version = 0x20f;
	h->loadflags = 1;
	h->alignment = 0x200000;
	h->relocatable = 1;
	h->xloadflags = 0x7f;
	h->cmdline_max = 0x7ff;
	h->pref_address = 0x1000000;
	h->init_size = 0x400000;
	phys[KERNEL_PA + 0x1ef] = 0xff;	/* the sentinel must not be copied */
	info.modules[0].size = 0x1000 + 0x6010;
}

static void build(void)
{
	memset(&info, 0, sizeof(info));
	memset(&entry, 0, sizeof(entry));
	CHECK(!memmap_reserve(&info, 0, 0x9fc00, REGION_RAM) && !memmap_reserve(&info, 0x9fc00, 0x400, REGION_RESERVED));
	CHECK(!memmap_reserve(&info, 0x100000, 0x7f00000, REGION_RAM));
	CHECK(!memmap_reserve(&info, 0x100000000, 0x40000000, REGION_RAM));
	CHECK(!memmap_reserve(&info, SCRATCH_PA, LINUX_SCRATCH_BYTES, REGION_RESERVED));
	req.rsdp_pa = 0x7fe0014;
	req.scratch_pa = SCRATCH_PA;
	info.module_count = 2;
	info.modules[0].pa = KERNEL_PA;
	strcpy(info.modules[0].cmdline, "console=ttyS0 quiet");
	info.modules[1].pa = INITRD_PA;
	info.modules[1].size = INITRD_BYTES;
	build_image();
}

static void build_efi(void)
{
	static const struct efi_desc map[] = {
		{ .type = 7, .pa = 0, .pages = 0xa0 },
		{ .type = 4, .pa = 0x100000, .pages = 0x700 },
		{ .type = 2, .pa = 0x800000, .pages = 0x800 },
		{ .type = 7, .pa = 0x1000000, .pages = 0x6800, .attributes = 0xf },
		{ .type = 6, .pa = 0x7800000, .pages = 0x100, .attributes = 1ull << 63 },
		{ .type = 7, .pa = 0x7900000, .pages = 0x700 },
		{ .type = 11, .pa = 0xffc00000, .pages = 0x400 },
		{ .type = 7, .pa = 0x100000000, .pages = 0x400 },
	};
	u32 i;

	CHECK(!memmap_reserve(&info, 0x7800000, 0x100000, REGION_RESERVED));
	for (i = 0; i < COUNT(map); i++)
		memcpy(efi_map + i * 48, &map[i], sizeof(map[i]));
	info.efi_map = efi_map;
	info.efi_map_size = i * 48;
	info.efi_desc_size = 48;
	info.efi_desc_version = 1;
	info.efi_systab = 0x1234567890;
	info.fb = (struct boot_framebuffer){ 0x380000000, 4096, 1024, 768, 32, FB_RGB, 0, { 16, 8 }, { 8, 8 }, { 0, 8 } };
}

static int load(void)
{
	int err = TOLD(linux_load(&info, req.rsdp_pa, req.scratch_pa, &entry.entry_pa));

	entry.kernel_pa = entry.entry_pa - 0x200;
	entry.kernel_size = header()->init_size;
	return err;
}

static const struct boot_params *params(void)
{
	return (const struct boot_params *)(phys + req.scratch_pa);
}

static int overlaps(u64 a, u64 a_bytes, u64 b, u64 b_bytes)
{
	return a < b + b_bytes && b < a + a_bytes;
}

/* All that must hold after any success. */
static void check_place(void)
{
	const struct our_header *h = header();
	u64 end;
	u32 i;

	CHECK(params()->hdr.code32_start == entry.kernel_pa);
	CHECK(entry.kernel_size >= h->syssize * 16ull && entry.kernel_pa % h->alignment == 0);
	CHECK(memmap_type(&info, entry.kernel_pa, &end) == REGION_RAM && end >= entry.kernel_pa + entry.kernel_size);
	CHECK(entry.kernel_pa >= 0x100000 && entry.kernel_pa + entry.kernel_size <= 0x100000000);
	for (i = 0; i < info.module_count; i++)
		CHECK(!overlaps(entry.kernel_pa, entry.kernel_size, info.modules[i].pa, info.modules[i].size));
	CHECK(!memcmp(phys + entry.kernel_pa, phys + info.modules[0].pa + ((h->setup_sects ? h->setup_sects : 4) + 1) * 512, h->syssize * 16));
}

static void check_params(void)
{
	const struct boot_params *p = params();
	u32 i, n = info.region_count < 128 ? info.region_count : 128;

	CHECK(!p->sentinel && p->hdr.type_of_loader == 0xff && p->hdr.header == HEADER_MAGIC && p->hdr.version == 0x20f);
	CHECK(!strcmp((char *)phys + p->hdr.cmd_line_ptr, info.modules[0].cmdline) && !p->ext_cmd_line_ptr);
	CHECK(p->hdr.ramdisk_image == INITRD_PA && p->hdr.ramdisk_size == INITRD_BYTES && !p->ext_ramdisk_image);
	CHECK(p->acpi_rsdp_addr == 0x7fe0014);
	CHECK(p->e820_entries == n);
	for (i = 0; i < n; i++)
		CHECK(p->e820_table[i].addr == info.regions[i].base && p->e820_table[i].size == info.regions[i].size &&
		      p->e820_table[i].type == info.regions[i].type);
	if (info.region_count > 128) {
		const struct setup_data *d = (const struct setup_data *)(phys + p->hdr.setup_data);
		const struct boot_e820_entry *e = (const struct boot_e820_entry *)d->data;

		CHECK(d->type == 1 && !d->next && d->len == (info.region_count - 128) * 20);
		for (i = 128; i < info.region_count; i++, e++)
			CHECK(e->addr == info.regions[i].base && e->type == info.regions[i].type);
	} else {
		CHECK(!p->hdr.setup_data);
	}
}

/* Every page of the firmware's map is in Linux's: as it was, or reserved where it is not RAM any more. */
static void check_efi(void)
{
	const struct boot_params *p = params();
	const u8 *map = phys + (p->efi_info.efi_memmap | (u64)p->efi_info.efi_memmap_hi << 32);
	u32 i, at = 0;

	CHECK(p->efi_info.efi_loader_signature == 0x34364c45 && p->efi_info.efi_memdesc_size == 48 && p->efi_info.efi_memdesc_version == 1);
	CHECK((p->efi_info.efi_systab | (u64)p->efi_info.efi_systab_hi << 32) == info.efi_systab);
	CHECK(map >= phys + req.scratch_pa && map + p->efi_info.efi_memmap_size <= phys + req.scratch_pa + LINUX_SCRATCH_BYTES);
	for (i = 0; i < efi_desc_count(&info); i++) {
		const struct efi_desc *from = efi_desc_at(&info, i);
		u64 pa = from->pa, end = efi_desc_end(from), stop;

		while (pa < end) {
			const struct efi_desc *d = (const struct efi_desc *)(map + at);
			u64 q;

			CHECK(at < p->efi_info.efi_memmap_size && d->pa == pa && d->pages && d->attributes == from->attributes);
			for (q = pa; q < efi_desc_end(d); q += PAGE_SIZE) {
				int ram = memmap_type(&info, q, &stop) == REGION_RAM && stop - q >= PAGE_SIZE;

				CHECK(d->type == (efi_usable(from->type) && !ram ? EFI_RESERVED : from->type));
			}
			pa = efi_desc_end(d);
			at += 48;
		}
		CHECK(pa == end);
	}
	CHECK(at == p->efi_info.efi_memmap_size);
}

TEST(boot_linux_well_formed)
{
	int i;

	phys_start();
	build();
	CHECK(load() == 0 && entry.kernel_pa == 0x1000000);
	check_place();
	check_params();
	CHECK(params()->screen_info.orig_video_isVGA == 1 && params()->screen_info.orig_video_cols == 80);
	CHECK(!params()->efi_info.efi_loader_signature);

	build();
	build_efi();
	CHECK(load() == 0 && entry.kernel_pa == 0x1000000);
	check_place();
	check_params();
	check_efi();
	CHECK(params()->screen_info.orig_video_isVGA == 0x70 && params()->screen_info.lfb_size == 4096 * 768);
	CHECK(params()->screen_info.ext_lfb_base == 3 && params()->screen_info.capabilities == 2 && params()->screen_info.lfb_base == 0x80000000);
	CHECK(params()->screen_info.rsvd_pos == 24 && params()->screen_info.rsvd_size == 8 && params()->screen_info.red_pos == 16);

	/* Boot services memory, a module or a reservation at the preferred address: elsewhere, and never below it. */
	for (i = 0; i < 3; i++) {
		build();
		build_efi();
		if (i == 0)
			((struct efi_desc *)(efi_map + 3 * 48))->type = EFI_BOOT_SERVICES_DATA;
		else if (i == 1)
			info.modules[1].pa = 0x1100000;
		else
			CHECK(!memmap_reserve(&info, 0x1000000, 0x1000, REGION_RESERVED));
		CHECK(load() == 0);
		CHECK(entry.kernel_pa == 0x7c00000);
		check_place();
		check_efi();
	}
	build();
	for (i = 0; i < 100; i++)
		CHECK(!memmap_reserve(&info, 0x110000000 + i * 0x4000, 0x1000, REGION_RESERVED));
	CHECK(info.region_count > 200 && load() == 0);
	check_params();
}

TEST(boot_linux_wrong_images)
{
	int i;

	phys_start();
	for (i = 0; i < 15; i++) {
		build();
		switch (i) {
		case 0: header()->boot_flag = 0; break;
		case 1: header()->magic = 0; break;
		case 2: header()->version = 0x20b; break;
		case 3: header()->xloadflags = 0x7e; break;
		case 4: header()->relocatable = 0; break;
		case 5: header()->syssize = 0; break;
		case 6: header()->syssize++; break;
		case 7: header()->syssize = 0xffffffff; break;
		case 8: header()->alignment = 0; break;
		case 9: header()->alignment = 0x300000; break;
		case 10: header()->init_size = 0x1000; break;
		case 11: header()->init_size = 0xfffff000; break;
		case 12: info.modules[0].size = 0; break;
		case 13: info.modules[0].size = 0x5000; break;
		case 14: header()->cmdline_max = 18; break;
		}
		CHECK(load() < 0);
		CHECK(!entry.entry_pa);
	}
	build();
	build_efi();
	info.efi_map_size = sizeof(efi_map);	/* more pieces than there is room for */
	memset(phys + SCRATCH_PA + LINUX_SCRATCH_BYTES, 0xcc, 48);
	CHECK(load() < 0 && phys[SCRATCH_PA + LINUX_SCRATCH_BYTES] == 0xcc);
}

TEST(boot_linux_random)
{
	int i, good = 0;

	phys_start();
	for (i = 0; i < ROUNDS; i++) {
		u64 v = random_odd(), n;

		build();
		if (random_below(2))
			build_efi();
		for (n = random_below(20); n; n--)
			CHECK(!memmap_reserve(&info, 0x2000000 + random_below(0x5000) * 0x800, 0x800 * (1 + random_below(64)), 1 + random_below(5)));
		CHECK(!memmap_reserve(&info, SCRATCH_PA, LINUX_SCRATCH_BYTES, REGION_RESERVED));
		if (random_below(2))
			memcpy((u8 *)header() + random_below(sizeof(struct our_header) - 8), &v, 1 + random_below(8));
		if (load())
			continue;
		good++;
		check_place();
		if (params()->efi_info.efi_loader_signature)
			check_efi();
	}
	CHECK(good && good < ROUNDS);
}

/* A real kernel, where there is one; as it is and cut at random. */
TEST(boot_linux_real_image)
{
	const char *path = getenv("BZIMAGE") ? getenv("BZIMAGE") : REAL_IMAGE;
	FILE *f = fopen(path, "rb");
	u64 bytes;
	int i;

	phys_start();
	if (!f)
		return test_skip("no kernel at BZIMAGE");
	build();
	bytes = fread(phys + 0x100000000, 1, 0x4000000, f);
	fclose(f);
	CHECK(bytes > 0x100000);
	info.modules[0].pa = 0x100000000;
	info.modules[0].size = bytes;
	CHECK(load() == 0);
	CHECK(entry.kernel_pa == 0x1000000 && params()->hdr.init_size > bytes);
	CHECK(!memcmp(phys + entry.kernel_pa, phys + 0x100000000 + (phys[0x1000001f1] + 1) * 512, bytes / 2));
	CHECK(!memcmp(phys + req.scratch_pa + 0x202, "HdrS", 4));
	for (i = 0; i < 100; i++) {
		info.modules[0].size = random_below(bytes - 0x10000);
		CHECK(load() < 0);
	}
}
