/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest.ld.S - lays a micro guest out: the header's two sectors right below the
 * address that the image is linked for, then what the file holds, then memory
 * that only init_size tells of.
 */
#include "layout.h"
ENTRY(image)
SECTIONS
{
	. = GUEST_BASE - 0x400;
	.header : { *(.header) }
	. = GUEST_BASE;
	image = .;
	.text : { *(.head) *(.text .text.*) }
	.rodata : { *(.rodata .rodata.*) }
	/* Each test leaves a pointer here by being written. */
	.tests : { tests_start = .; KEEP(*(tests)) tests_end = .; }
	.data : { *(.data .data.*) . = ALIGN(4096); }
	data_end = .;
	.bss : { *(.bss .bss.* COMMON) . = ALIGN(4096); }
	image_end = .;
	/DISCARD/ : { *(.comment) *(.note*) *(.eh_frame*) }
}
image_paragraphs = (data_end - GUEST_BASE) / 16;
image_memory = image_end - GUEST_BASE;
