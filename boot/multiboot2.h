/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * multiboot2.h - numbers of the Multiboot2 specification (2.0) that Tenon
 * uses: the header in the image and the tags of the boot information.
 * Also read by the assembler, so it holds defines only.
 */
#ifndef BOOT_MULTIBOOT2_H
#define BOOT_MULTIBOOT2_H

/* Section 3.1: the header in the image's first 32 KiB. */
#define MB2_HEADER_MAGIC 0xe85250d6
#define MB2_ARCH_I386 0
#define MB2_HEADER_INFO_REQUEST 1
#define MB2_HEADER_MODULE_ALIGN 6
#define MB2_HEADER_RELOCATABLE 10
#define MB2_HEADER_OPTIONAL 1
#define MB2_PREFER_LOWEST 1

/* Section 3.3 and 3.6: EAX at entry, and the tags behind EBX. */
#define MB2_LOADER_MAGIC 0x36d76289
#define MB2_TAG_END 0
#define MB2_TAG_MODULE 3
#define MB2_TAG_MMAP 6
#define MB2_TAG_FRAMEBUFFER 8
#define MB2_TAG_EFI64 12
#define MB2_TAG_RSDP_OLD 14
#define MB2_TAG_RSDP_NEW 15
#define MB2_TAG_EFI_MMAP 17
#define MB2_TAG_EFI_BS 18

#endif
