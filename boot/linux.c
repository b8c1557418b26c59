/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * linux.c - puts a Linux bzImage where it can run and writes the boot_params
 * ("zero page") that it starts with: what a boot loader would do.
 *
 * Owns: nothing after it returns; all that Linux reads lies in the caller's
 * scratch area, which Linux must find mapped and reserved.
 * Invariant: the image is hostile; its header is copied, checked, then used.
 * Called by the start code when the memory map is final.
 * See: Linux's x86 boot protocol (2.12 and later, 64-bit entry) and zero page.
 */
#include <string.h>

#include "boot/boot.h"
#include "errno.h"
#include "log.h"
#include "phys.h"
#include "types.h"

#define BOOT_FLAG 0xaa55
#define HEADER_MAGIC 0x53726448u	/* "HdrS" */
#define PROTOCOL_MIN 0x020c
#define XLF_KERNEL_64 (1u << 0)
#define ENTRY_64_OFFSET 0x200
#define LOADER_UNKNOWN 0xff
#define HEADER_OFFSET 0x1f1u
#define SECTOR 512u
#define SMALLEST_IMAGE 0x1000u
#define FOUR_GIB 0x100000000ull
#define E820_ENTRIES 128u
#define SETUP_E820_EXT 1
#define EFI_SIGNATURE_64 0x34364c45u	/* "EL64" */

#define VIDEO_VGA_TEXT 1
#define VIDEO_VESA 0x23
#define VIDEO_EFI 0x70
#define VIDEO_64BIT_BASE 2u

#define PACKED __attribute__((packed))

struct screen_info {
	u8 x, y;
	u16 extended_memory, page;
	u8 mode, columns;
	u8 pad0[6];
	u8 lines, type;
	u16 points, width, height, depth;
	u32 base, size;
	u8 pad1[4];
	u16 pitch;
	u8 red_size, red_position, green_size, green_position, blue_size, blue_position, rest_size, rest_position;
	u8 pad2[8];
	u32 capabilities, base_high;
	u8 pad3[2];
} PACKED;

struct efi_info {
	u32 signature, systab, desc_size, desc_version, map, map_size, systab_high, map_high;
} PACKED;

struct setup_header {
	u8 setup_sects;
	u16 root_flags;
	u32 syssize;		/* of the protected-mode part, in 16 bytes */
	u8 pad0[6];
	u16 boot_flag;
	u8 jump, length;	/* the header ends `length` bytes after this byte */
	u32 magic;
	u16 version;
	u8 pad1[8];
	u8 loader;
	u8 loadflags;
	u16 setup_move_size;
	u32 code32_start;
	u32 ramdisk, ramdisk_size;
	u8 pad2[8];
	u32 cmdline;
	u32 initrd_max;
	u32 alignment;
	u8 relocatable, min_alignment;
	u16 xloadflags;
	u32 cmdline_max;
	u8 pad3[20];
	u64 setup_data;
	u64 pref_address;
	u32 init_size;
	u32 handover_offset, kernel_info;
} PACKED;

struct boot_params {
	struct screen_info screen;
	u8 pad0[0x30];
	u64 rsdp;
	u8 pad1[0x48];
	u32 ramdisk_high, ramdisk_size_high, cmdline_high;
	u8 pad2[0xf4];
	struct efi_info efi;
	u8 pad3[8];
	u8 e820_count;
	u8 pad4[8];
	struct setup_header header;
	u8 pad5[0x290 - HEADER_OFFSET - sizeof(struct setup_header)];
	u8 pad6[0x40];
	struct boot_region e820[E820_ENTRIES];
	u8 pad7[0x330];
} PACKED;

/* The offsets are held against Linux's own headers by test/host/boot_linux.c. */
_Static_assert(sizeof(struct boot_params) == 4096, "boot_params is a page");

/* The regions that do not fit into boot_params. */
struct e820_rest {
	u64 next;
	u32 type;
	u32 length;
	struct boot_region entries[BOOT_MAX_REGIONS - E820_ENTRIES];
} PACKED;

struct scratch {
	struct boot_params params;
	char cmdline[PAGE_SIZE];
	struct e820_rest rest __attribute__((aligned(PAGE_SIZE)));
	u8 efi_map[] __attribute__((aligned(PAGE_SIZE)));
};

_Static_assert(BOOT_CMDLINE_BYTES <= PAGE_SIZE, "a command line fits its page");

/* The parts of the image, in bytes. */
static u64 setup_bytes(const struct setup_header *h)
{
	return ((h->setup_sects ? h->setup_sects : 4) + 1) * SECTOR;
}

static u64 payload_bytes(const struct setup_header *h)
{
	return h->syssize * 16ull;
}

static u64 header_bytes(const struct setup_header *h)
{
	u64 end = __builtin_offsetof(struct setup_header, length) + 1 + h->length;

	return end < sizeof(*h) ? end : sizeof(*h);
}

static int bad_alignment(const struct setup_header *h)
{
	return h->alignment < PAGE_SIZE || (h->alignment & (h->alignment - 1));
}

/* What is wrong with the image, or NULL. The first test makes the others safe. */
static const char *find_fault(const struct boot_module *kernel, const struct setup_header *h)
{
	if (h->boot_flag != BOOT_FLAG || h->magic != HEADER_MAGIC)
		return "is not a bzImage: give a Linux kernel as the first module";
	if (h->version < PROTOCOL_MIN || !(h->xloadflags & XLF_KERNEL_64) || !h->relocatable)
		return "has no relocatable 64-bit entry: give an x86-64 kernel of Linux 3.8 or later";
	if (payload_bytes(h) < SMALLEST_IMAGE || h->init_size < payload_bytes(h) || bad_alignment(h))
		return "has a damaged header: copy the file again";
	if (payload_bytes(h) > kernel->size || setup_bytes(h) > kernel->size - payload_bytes(h))
		return "is cut short: copy the file again";
	if (strlen(kernel->cmdline) > h->cmdline_max)
		return "takes no command line of that length: shorten it in the menu entry";
	return NULL;
}

static int read_header(const struct boot_module *kernel, struct setup_header *h)
{
	const char *fault = "is missing or empty: add a module2 line with a Linux kernel to the menu entry";

	if (kernel->size >= SMALLEST_IMAGE) {
		memcpy(h, (const u8 *)phys_to_virt(kernel->pa) + HEADER_OFFSET, sizeof(*h));
		fault = find_fault(kernel, h);
	}
	if (fault) {
		log_print("boot: the service VM's kernel %s\n", fault);
		return -EINVAL;
	}
	return 0;
}

/*
 * The address that the kernel is linked for, or the highest free place; never
 * below the former, because a kernel loaded lower unpacks itself to there.
 */
static u64 find_place(const struct boot_info *info, const struct setup_header *h)
{
	u64 pref = h->pref_address;

	if (pref <= FOUR_GIB - h->init_size && !(pref & (h->alignment - 1)) && memmap_free(info, pref, h->init_size))
		return pref;
	return memmap_find(info, h->init_size, h->alignment, pref, FOUR_GIB);
}

/* In words: an emulator counts each step of a string move as an instruction. */
static void copy_words(void *to, const void *from, u64 bytes)
{
	u64 words = bytes / 8;

	asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
	memcpy(to, from, bytes % 8);
}

/* What no colour uses of a pixel is its top: Linux knows a format by all four parts. */
static void fill_graphics(struct screen_info *s, const struct boot_framebuffer *fb, int efi)
{
	u32 bytes = fb->pitch * fb->height, colours = fb->red.size + fb->green.size + fb->blue.size;

	*s = (struct screen_info){
		.type = efi ? VIDEO_EFI : VIDEO_VESA, .size = efi ? bytes : (bytes + 0xffff) >> 16,
		.width = fb->width, .height = fb->height, .depth = fb->bpp, .pitch = fb->pitch,
		.base = fb->pa, .base_high = fb->pa >> 32, .capabilities = fb->pa >> 32 ? VIDEO_64BIT_BASE : 0,
		.red_size = fb->red.size, .red_position = fb->red.position,
		.green_size = fb->green.size, .green_position = fb->green.position,
		.blue_size = fb->blue.size, .blue_position = fb->blue.position,
		.rest_size = colours < fb->bpp ? fb->bpp - colours : 0, .rest_position = colours,
	};
}

/* Text mode exists on BIOS machines only, and is there when nobody says else. */
static void fill_screen(struct screen_info *s, const struct boot_info *info)
{
	if (info->fb.pitch && info->fb.type != FB_TEXT)
		fill_graphics(s, &info->fb, info->efi_map != NULL);
	else if (!info->efi_map)
		*s = (struct screen_info){ .type = VIDEO_VGA_TEXT, .mode = 3, .columns = 80, .lines = 25, .y = 24, .points = 16 };
}

static void fill_e820(struct scratch *s, const struct boot_info *info)
{
	u32 count = (u32)min_u64(info->region_count, E820_ENTRIES), rest = info->region_count - count;

	s->params.e820_count = count;
	memcpy(s->params.e820, info->regions, count * sizeof(struct boot_region));
	memcpy(s->rest.entries, info->regions + count, rest * sizeof(struct boot_region));
	if (rest) {
		s->rest.type = SETUP_E820_EXT;
		s->rest.length = rest * sizeof(struct boot_region);
		s->params.header.setup_data = virt_to_phys(&s->rest);
	}
}

/* Linux's UEFI map under construction. */
struct efi_copy {
	u8 *map;
	u64 room;
	u64 size;
	u32 desc_size;
};

/* [pa, end) of `from`, as `type`; size runs on past room, to tell that it did. */
static void efi_emit(struct efi_copy *to, const struct efi_desc *from, u64 pa, u64 end, u32 type)
{
	struct efi_desc *d;

	to->size += to->desc_size;
	if (to->size > to->room)
		return;
	d = (struct efi_desc *)(to->map + to->size - to->desc_size);
	memcpy(d, from, to->desc_size);
	d->type = type;
	d->pa = pa;
	d->pages = (end - pa) >> PAGE_SHIFT;
}

static int efi_usable(u32 type)
{
	return type == EFI_CONVENTIONAL || (type >= EFI_LOADER_CODE && type <= EFI_BOOT_SERVICES_DATA);
}

/* Of a descriptor that Linux would use, what E820 does not call RAM becomes reserved. */
static void efi_split(struct efi_copy *to, const struct efi_desc *d, const struct boot_info *info)
{
	u64 pa = d->pa, end = efi_desc_end(d), stop;
	int usable = efi_usable(d->type);

	while (usable && pa < end && to->size <= to->room) {
		int ram = memmap_type(info, pa, &stop) == REGION_RAM && stop - pa >= PAGE_SIZE;

		if (stop < end)
			stop = ram ? align_down(stop, PAGE_SIZE) : align_up(stop, PAGE_SIZE);
		stop = min_u64(stop, end);
		efi_emit(to, d, pa, stop, ram ? d->type : EFI_RESERVED);
		pa = stop;
	}
	if (!usable)
		efi_emit(to, d, pa, end, d->type);
}

static int fill_efi(struct scratch *s, const struct boot_info *info)
{
	u64 map_pa = virt_to_phys(s->efi_map);
	struct efi_copy copy = { s->efi_map, LINUX_SCRATCH_BYTES - sizeof(*s), 0, info->efi_desc_size };
	u32 i;

	if (!info->efi_systab || !info->efi_map)
		return 0;
	for (i = 0; i < efi_desc_count(info); i++)
		efi_split(&copy, efi_desc_at(info, i), info);
	if (copy.size > copy.room) {
		log_print("boot: the UEFI memory map has too many pieces (%llu bytes): update the firmware\n", copy.size);
		return -ENOSPC;
	}
	s->params.efi = (struct efi_info){
		.signature = EFI_SIGNATURE_64, .systab = info->efi_systab, .systab_high = info->efi_systab >> 32,
		.desc_size = info->efi_desc_size, .desc_version = info->efi_desc_version,
		.map = map_pa, .map_high = map_pa >> 32, .map_size = copy.size,
	};
	return 0;
}

static void fill_params(struct scratch *s, const struct boot_info *info, const struct setup_header *h, u64 kernel_pa)
{
	const struct boot_module *kernel = &info->modules[0], *initrd = &info->modules[1];
	u64 cmdline_pa = virt_to_phys(s->cmdline);
	struct boot_params *p = &s->params;

	memcpy(&p->header, h, header_bytes(h));
	memcpy(s->cmdline, kernel->cmdline, strlen(kernel->cmdline) + 1);
	p->header.loader = LOADER_UNKNOWN;
	p->header.setup_data = 0;
	p->header.code32_start = kernel_pa;
	p->header.cmdline = cmdline_pa;
	p->cmdline_high = cmdline_pa >> 32;
	if (info->module_count > 1) {
		p->header.ramdisk = initrd->pa;
		p->ramdisk_high = initrd->pa >> 32;
		p->header.ramdisk_size = initrd->size;
		p->ramdisk_size_high = initrd->size >> 32;
	}
}

int linux_load(const struct boot_info *info, u64 rsdp_pa, u64 scratch_pa, u64 *entry)
{
	const struct boot_module *kernel = &info->modules[0];
	struct scratch *s = phys_to_virt(scratch_pa);
	struct setup_header h;
	u64 pa;
	int err;

	err = read_header(kernel, &h);
	if (err)
		return err;
	pa = find_place(info, &h);
	if (!pa) {
		log_print("boot: no %u MiB of free memory below 4 GiB for the service VM's kernel: this machine has too little memory\n",
			  (h.init_size >> 20) + 1);
		return -ENOMEM;
	}
	memset(s, 0, sizeof(*s));
	s->params.rsdp = rsdp_pa;
	fill_params(s, info, &h, pa);
	fill_screen(&s->params.screen, info);
	fill_e820(s, info);
	err = fill_efi(s, info);
	if (err)
		return err;
	copy_words(phys_to_virt(pa), (const u8 *)phys_to_virt(kernel->pa) + setup_bytes(&h), payload_bytes(&h));
	*entry = pa + ENTRY_64_OFFSET;
	return 0;
}
