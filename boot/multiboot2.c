/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * multiboot2.c - reads the boot information that a Multiboot2 loader (GRUB 2)
 * leaves in memory, into struct boot_info.
 *
 * Owns: the only copy of that information that is ever looked at; the
 * loader's may lie anywhere (GRUB on UEFI: at 0x4000) and is read once.
 * Invariant: a handler is called with a tag that lies within the copy and has
 * the size that its table row asks for.
 * Called by the start code, before the memory map is used for anything.
 * See: Multiboot2 specification 2.0, section 3.6; docs/boot.md.
 */
#include <string.h>

#include "boot/boot.h"
#include "boot/multiboot2.h"
#include "errno.h"
#include "log.h"
#include "phys.h"

#define MBI_MAX_BYTES 0x10000u
#define MBI_FIRST_TAG 8u
#define PA_LIMIT (1ull << 52)

struct tag {
	u32 type;
	u32 size;	/* this header included, padding to 8 not */
};

struct tag_module {
	struct tag tag;
	u32 start;
	u32 end;
	char cmdline[];
};

struct tag_mmap {
	struct tag tag;
	u32 entry_size;
	u32 entry_version;
};

struct tag_efi_mmap {
	struct tag tag;
	u32 desc_size;
	u32 desc_version;
	u8 map[];
};

static u8 mbi[MBI_MAX_BYTES] __attribute__((aligned(8)));

static int bad_info(const char *what)
{
	log_print("boot: the loader's information is damaged (%s): use GRUB 2's multiboot2 command\n", what);
	return -EINVAL;
}

/* A string of a tag ends within it, and fits whole. */
static int copy_string(char *to, u32 room, const char *from, u32 bytes)
{
	size_t length = strnlen(from, bytes);

	if (length == bytes)
		return bad_info("a string without end");
	if (length >= room) {
		log_print("boot: a command line is longer than %u characters: shorten it in the menu entry\n", room - 1);
		return -E2BIG;
	}
	memcpy(to, from, length + 1);
	return 0;
}

static int read_module(const struct tag *tag, struct boot_info *info)
{
	const struct tag_module *from = (const struct tag_module *)tag;
	struct boot_module *to = &info->modules[info->module_count];

	if (info->module_count == BOOT_MAX_MODULES) {
		log_print("boot: more than %u modules: remove module2 lines from the menu entry\n", BOOT_MAX_MODULES);
		return -E2BIG;
	}
	if (from->end < from->start)
		return bad_info("a module ends before it starts");
	info->module_count++;
	to->pa = from->start;
	to->size = from->end - from->start;
	return copy_string(to->cmdline, sizeof(to->cmdline), from->cmdline, tag->size - sizeof(*from));
}

static u32 region_type(u32 type)
{
	return type >= REGION_RAM && type <= REGION_BAD ? type : REGION_RESERVED;
}

static int read_region(const struct boot_region *entry, struct boot_info *info)
{
	u64 size = entry->size;
	int err;

	if (entry->base >= PA_LIMIT || !size)
		return 0;
	if (size > PA_LIMIT - entry->base)
		size = PA_LIMIT - entry->base;
	err = memmap_reserve(info, entry->base, size, region_type(entry->type));
	if (err)
		log_print("boot: the memory map has more than %u regions: this machine needs a larger BOOT_MAX_REGIONS\n", BOOT_MAX_REGIONS);
	return err;
}

/* Firmware's entries may overlap: RAM goes first, so that all else wins over it. */
static int read_mmap(const struct tag *tag, struct boot_info *info)
{
	const struct tag_mmap *map = (const struct tag_mmap *)tag;
	u32 bytes = tag->size - sizeof(*map), step = map->entry_size, at;
	int pass, err = 0;

	if (step < sizeof(struct boot_region) || step % 8 || step > MBI_MAX_BYTES || info->region_count)
		return bad_info("memory map");
	for (pass = 0; pass < 2; pass++) {
		for (at = 0; at + step <= bytes && !err; at += step) {
			const struct boot_region *entry = (const void *)((const u8 *)(map + 1) + at);

			if ((entry->type == REGION_RAM) == (pass == 0))
				err = read_region(entry, info);
		}
	}
	return err;
}

#define FB_BYTES __builtin_offsetof(struct boot_framebuffer, red)
#define FB_RGB_BYTES (FB_BYTES + 3 * sizeof(struct boot_fb_field))

/* Linux describes a screen with 16-bit fields: what does not fit is no screen. */
static int read_framebuffer(const struct tag *tag, struct boot_info *info)
{
	const struct boot_framebuffer *from = (const struct boot_framebuffer *)(tag + 1);
	u32 bytes = from->type == FB_RGB ? FB_RGB_BYTES : FB_BYTES;

	if (from->type > FB_TEXT || (from->pitch | from->width | from->height) > 0xffff || from->pa >= PA_LIMIT)
		return 0;
	if (tag->size - sizeof(*tag) < bytes)
		return bad_info("framebuffer");
	memcpy(&info->fb, from, bytes);
	return 0;
}

static int read_efi64(const struct tag *tag, struct boot_info *info)
{
	memcpy(&info->efi_systab, tag + 1, sizeof(info->efi_systab));
	return 0;
}

static int read_efi_mmap(const struct tag *tag, struct boot_info *info)
{
	const struct tag_efi_mmap *map = (const struct tag_efi_mmap *)tag;
	u32 bytes = tag->size - sizeof(*map);

	if (map->desc_size < sizeof(struct efi_desc) || map->desc_size % 8 || bytes < map->desc_size)
		return bad_info("UEFI memory map");
	info->efi_map = map->map;
	info->efi_map_size = bytes - bytes % map->desc_size;
	info->efi_desc_size = map->desc_size;
	info->efi_desc_version = map->desc_version;
	return 0;
}

static int refuse_boot_services(const struct tag *tag, struct boot_info *info)
{
	log_print("boot: UEFI boot services are still running: load Tenon with GRUB 2's multiboot2 command\n");
	return -EINVAL;
}

/* The RSDP of ACPI 2 wins over that of ACPI 1, in whatever order they come. */
static int read_rsdp(const struct tag *tag, struct boot_info *info)
{
	u32 size = tag->type == MB2_TAG_RSDP_NEW ? 36 : 20;

	if (size < info->rsdp_size)
		return 0;
	memcpy(info->rsdp, tag + 1, size);
	info->rsdp_size = size;
	return 0;
}

struct tag_row {
	u32 min_size;
	int (*read)(const struct tag *tag, struct boot_info *info);
};

/* Tags without a row tell us nothing that we want. */
static const struct tag_row rows[] = {
	[MB2_TAG_MODULE] = { sizeof(struct tag_module), read_module },
	[MB2_TAG_MMAP] = { sizeof(struct tag_mmap), read_mmap },
	[MB2_TAG_FRAMEBUFFER] = { sizeof(struct tag) + FB_BYTES, read_framebuffer },
	[MB2_TAG_EFI64] = { sizeof(struct tag) + sizeof(u64), read_efi64 },
	[MB2_TAG_RSDP_OLD] = { sizeof(struct tag) + 20, read_rsdp },
	[MB2_TAG_RSDP_NEW] = { sizeof(struct tag) + 36, read_rsdp },
	[MB2_TAG_EFI_MMAP] = { sizeof(struct tag_efi_mmap), read_efi_mmap },
	[MB2_TAG_EFI_BS] = { sizeof(struct tag), refuse_boot_services },
};

static int read_tags(u32 total, struct boot_info *info)
{
	u32 at = MBI_FIRST_TAG;

	while (at + sizeof(struct tag) <= total) {
		const struct tag *tag = (const struct tag *)&mbi[at];
		const struct tag_row *row = tag->type < sizeof(rows) / sizeof(rows[0]) ? &rows[tag->type] : &rows[0];
		int err;

		if (tag->type == MB2_TAG_END)
			return 0;
		if (tag->size < sizeof(*tag) || tag->size > total - at || tag->size < row->min_size)
			return bad_info("a tag's size");
		err = row->read ? row->read(tag, info) : 0;
		if (err)
			return err;
		at += (tag->size + 7) & ~7u;
	}
	return bad_info("no end tag");
}

/* A module outside RAM cannot be one: nothing may be read or reserved there. */
static int check_modules(const struct boot_info *info)
{
	u32 i;

	for (i = 0; i < info->module_count; i++) {
		const struct boot_module *module = &info->modules[i];
		u64 end;

		if (module->size && (memmap_type(info, module->pa, &end) != REGION_RAM || end - module->pa < module->size))
			return bad_info("a module outside RAM");
	}
	return 0;
}

int multiboot2_parse(u32 magic, u64 mbi_pa, struct boot_info *info)
{
	u32 total;
	int err;

	memset(info, 0, sizeof(*info));
	if (magic != MB2_LOADER_MAGIC || !mbi_pa || mbi_pa % 8) {
		log_print("boot: not started by a Multiboot2 loader (EAX %x): use GRUB 2's multiboot2 command\n", magic);
		return -EINVAL;
	}
	memcpy(&total, phys_to_virt(mbi_pa), sizeof(total));
	if (total < MBI_FIRST_TAG || total > MBI_MAX_BYTES)
		return bad_info("total size");
	memcpy(mbi, phys_to_virt(mbi_pa), total);
	err = read_tags(total, info);
	if (err)
		return err;
	if (!info->region_count)
		return bad_info("no memory map");
	return check_modules(info);
}
