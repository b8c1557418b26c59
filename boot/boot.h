/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * boot.h - what the loader found, in no loader's own format.
 *
 * Owns: struct boot_info and the boot steps' prototypes. A loader front end
 * (multiboot2.c) fills it, memmap.c keeps its region list sorted and free of
 * overlaps, acpi.c and linux.c read it. Everything here runs once, on the
 * boot CPU, before any guest; all of it may be given back afterwards.
 * Functions return 0 or -errno after one log line that says what is wrong.
 * See: docs/boot.md.
 */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include "abi/types.h"

#define BOOT_MAX_REGIONS 256u
#define BOOT_MAX_MODULES 16u
#define BOOT_CMDLINE_BYTES 2048u	/* what Linux accepts at most, with its end */

/* Region types, numbered as in E820. */
enum boot_region_type {
	REGION_RAM = 1,
	REGION_RESERVED = 2,
	REGION_ACPI = 3,
	REGION_NVS = 4,
	REGION_BAD = 5,
};

/* As E820, boot_params and a Multiboot2 memory map have it. */
struct boot_region {
	u64 base;
	u64 size;
	u32 type;
} __attribute__((packed));

struct boot_module {
	u64 pa;
	u64 size;
	char cmdline[BOOT_CMDLINE_BYTES];
};

enum boot_fb_type {
	FB_INDEXED,
	FB_RGB,
	FB_TEXT,
};

/* One colour of a pixel: its lowest bit and its width. */
struct boot_fb_field {
	u8 position;
	u8 size;
};

/* As a Multiboot2 tag has it. */
struct boot_framebuffer {
	u64 pa;
	u32 pitch;	/* bytes per line; 0: there is no screen */
	u32 width;	/* pixels, or characters of text */
	u32 height;
	u8 bpp;
	u8 type;	/* enum boot_fb_type */
	u16 pad;
	struct boot_fb_field red, green, blue;	/* of FB_RGB only */
};

struct boot_info {
	u32 region_count;	/* sorted, without overlap, neighbours of one type merged */
	u32 module_count;
	struct boot_region regions[BOOT_MAX_REGIONS];
	struct boot_module modules[BOOT_MAX_MODULES];
	struct boot_framebuffer fb;
	u8 rsdp[36];
	u32 rsdp_size;		/* 0: none, 20: ACPI 1, 36: ACPI 2 */
	u64 efi_systab;		/* physical address, 0: no UEFI */
	const u8 *efi_map;	/* the loader's copy, in boot-only memory; NULL: none */
	u32 efi_map_size;
	u32 efi_desc_size;
	u32 efi_desc_version;
};

/* A descriptor of UEFI's memory map (UEFI 2.10, 7.2.3); the firmware's may be longer. */
struct efi_desc {
	u32 type;
	u32 pad;
	u64 pa;
	u64 va;
	u64 pages;	/* of 4 KiB */
	u64 attributes;
};

enum efi_memory_type {
	EFI_RESERVED = 0,
	EFI_LOADER_CODE = 1,
	EFI_LOADER_DATA = 2,
	EFI_BOOT_SERVICES_CODE = 3,
	EFI_BOOT_SERVICES_DATA = 4,
	EFI_CONVENTIONAL = 7,
};

static inline u32 efi_desc_count(const struct boot_info *info)
{
	return info->efi_map ? info->efi_map_size / info->efi_desc_size : 0;
}

static inline const struct efi_desc *efi_desc_at(const struct boot_info *info, u32 i)
{
	return (const struct efi_desc *)(info->efi_map + i * info->efi_desc_size);
}

/* The end, or 2^64 - 1 for one that claims more than there is. */
static inline u64 efi_desc_end(const struct efi_desc *d)
{
	return d->pages <= (~d->pa >> 12) ? d->pa + (d->pages << 12) : ~0ull;
}

/* multiboot2.c: magic and mbi_pa are EAX and EBX at entry. */
int multiboot2_parse(u32 magic, u64 mbi_pa, struct boot_info *info);

/*
 * memmap.c: gives [base, base + size) the type, whatever it was; other bytes
 * keep theirs. -EINVAL on an empty or wrapping range, -ENOSPC when the list
 * would overflow (then nothing changed).
 */
int memmap_reserve(struct boot_info *info, u64 base, u64 size, u32 type);

/* memmap.c: the type at pa (0: none given) and where that answer ends. */
u32 memmap_type(const struct boot_info *info, u64 pa, u64 *end);

/*
 * memmap.c: 1 if [base, base + size) is all RAM above 1 MiB, and touches no
 * module and no UEFI boot services memory (Linux may still need that).
 */
int memmap_free(const struct boot_info *info, u64 base, u64 size);

/*
 * memmap.c: the highest aligned free range (as memmap_free) in [min, max), so
 * that low memory stays whole for Linux. align is a power of two. 0: none.
 */
u64 memmap_find(const struct boot_info *info, u64 size, u64 align, u64 min, u64 max);

u64 memmap_ram_pages(const struct boot_info *info);	/* all RAM, in pages of 4 KiB */
u64 memmap_ram_top(const struct boot_info *info);	/* end of the highest RAM */

/*
 * acpi.c: local APIC ids of the enabled CPUs, in the MADT's order (the boot
 * CPU first on sane firmware). Returns their number, 1 or more, or -errno;
 * -E2BIG when there are more than max.
 */
int acpi_cpus(const struct boot_info *info, u32 *apic_ids, unsigned int max);

/*
 * acpi.c: writes RSDP, root table and MADT copies to [dest_pa, + dest_size),
 * below 4 GiB, page aligned, reserved by the caller; the MADT copy has a multiprocessor
 * wakeup structure for mailbox_pa, unless that is 0. The RSDP copy is at dest_pa itself: give
 * that to linux_load. Firmware's tables stay as they are.
 */
int acpi_build_wakeup(const struct boot_info *info, u64 dest_pa, u64 dest_size, u64 mailbox_pa);

/*
 * linux.c: puts the first module, a bzImage, into free RAM, and writes
 * boot_params to scratch_pa: page aligned, below 4 GiB, LINUX_SCRATCH_BYTES,
 * which Linux finds reserved. The second module is its initrd, and stays where
 * it lies. *entry: the 64-bit entry (RIP; RSI = scratch_pa). Call it when
 * the region list is final: it becomes Linux's E820, and what it does not call
 * RAM is made reserved in Linux's copy of the UEFI map too.
 */
int linux_load(const struct boot_info *info, u64 rsdp_pa, u64 scratch_pa, u64 *entry);
#define LINUX_SCRATCH_BYTES 0x20000ull

#endif
