/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * header.S - what GRUB reads in the image: the Multiboot2 header. The linker
 * script keeps it in the first 32 KiB of the file. Without a boot services
 * tag, GRUB leaves UEFI's boot services and jumps to the ELF entry in 32-bit
 * protected mode, exactly as it does on a BIOS machine. Without a framebuffer
 * tag it leaves a BIOS machine in text mode, and gives a UEFI machine's
 * framebuffer (if the menu entry loaded a video driver) all the same.
 */
#include "boot/multiboot2.h"

/*
 * The image is linked for one address but runs at any 2 MiB step. The lowest
 * is asked for, because the top of memory is where UEFI's own data lie, part
 * of which Linux still wants to read.
 */
#define RELOC_MIN 0x200000
#define RELOC_MAX 0xffffffff
#define RELOC_ALIGN 0x200000

	.section .multiboot2, "a"
	.balign 8
header:
	.long MB2_HEADER_MAGIC
	.long MB2_ARCH_I386
	.long header_end - header
	.long -(MB2_HEADER_MAGIC + MB2_ARCH_I386 + (header_end - header))

	.balign 8
required:
	.short MB2_HEADER_INFO_REQUEST, 0
	.long required_end - required
	.long MB2_TAG_MODULE, MB2_TAG_MMAP
required_end:

	.balign 8
wanted:
	.short MB2_HEADER_INFO_REQUEST, MB2_HEADER_OPTIONAL
	.long wanted_end - wanted
	.long MB2_TAG_FRAMEBUFFER, MB2_TAG_EFI64
	.long MB2_TAG_RSDP_OLD, MB2_TAG_RSDP_NEW, MB2_TAG_EFI_MMAP
wanted_end:

	.balign 8
	.short MB2_HEADER_MODULE_ALIGN, 0
	.long 8

	.balign 8
	.short MB2_HEADER_RELOCATABLE, 0
	.long 24
	.long RELOC_MIN, RELOC_MAX, RELOC_ALIGN, MB2_PREFER_LOWEST

	.balign 8
	.short 0, 0		/* end */
	.long 8
header_end:
