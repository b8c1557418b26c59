/* SPDX-License-Identifier: BSD-2-Clause */
/* font.S - glyphs of ASCII 32 to 126 for the boot screen, 16 bytes each (scripts/font). */
	.section .rodata.font, "a"
	.globl	font_glyphs
font_glyphs:
	.incbin	"build/font.bin"
