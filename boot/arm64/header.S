/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * header.S - the Linux Image header, and the way from the loader's entry (MMU
 * off, x0 = device tree) to C; the same for CPUs that PSCI starts.
 *
 * A CPU runs one-to-one until its MMU is on, then jumps to the image's own
 * addresses. Nothing is parsed here.
 * See: Linux Documentation/arm64/booting.rst; Arm ARM D8 (translation).
 */
#include "layout.h"

	/* A constant of up to 48 bits. */
	.macro	mov_q reg, value
	movz	\reg, #(\value) & 0xffff
	movk	\reg, #((\value) >> 16) & 0xffff, lsl #16
	movk	\reg, #((\value) >> 32) & 0xffff, lsl #32
	.endm

	.section .head, "ax"
	.globl head
head:
	add	x13, x18, #0x16		/* "MZ" as an instruction, for a PE header to come */
	b	start
	.quad	0			/* text_offset */
	.quad	image_bytes		/* what the loader keeps free; the packer writes the bundle's */
	.quad	0xa			/* little endian, 4 KiB pages, anywhere */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0

start:
	msr	daifset, #0xf
	mov	x20, x0
	mrs	x21, CurrentEL
	adrp	x22, head		/* where the image is: its VMA ends in as many zeros */
	adrp	x0, boot_block
	add	x0, x0, #CPU_BLOCK_BYTES
	mov	sp, x0
	cmp	x21, #8
	b.ne	1f
	msr	hcr_el2, xzr		/* E2H off, nothing trapped (some loaders leave VHE on) */
	mov_q	x0, 0x30c50830
	msr	sctlr_el2, x0
	isb

	/* .bss is clear only in a bundle; then the first tables, written past the caches. */
1:	adrp	x0, bss_start
	adrp	x1, image_end
2:	stp	xzr, xzr, [x0], #16
	cmp	x0, x1
	b.lo	2b
	mov	x0, x22
	mov	x1, x20
	bl	early_tables
	mov	x19, x0
	adrp	x0, image_start
	adrp	x1, image_end
3:	dc	ivac, x0		/* lines that were fetched by speculation before */
	add	x0, x0, #16
	cmp	x0, x1
	b.lo	3b
	dsb	sy
	cmp	x21, #8
	b.ne	4f
	mov	x0, x19
	bl	mmu_on
	b	5f
4:	mov_q	x1, MAIR_VALUE		/* EL1: only to say that this is the wrong place */
	msr	mair_el1, x1
	mov_q	x1, 0x200803510		/* TCR_EL1: 40 bits, TTBR1 not used */
	msr	tcr_el1, x1
	msr	ttbr0_el1, x19
	tlbi	vmalle1
	dsb	nsh
	isb
	mov_q	x1, SCTLR_EL2_VALUE
	msr	sctlr_el1, x1
	isb
5:	ldr	x9, =boot_block
	add	x9, x9, #CPU_BLOCK_BYTES
	mov	sp, x9
	mov	x29, xzr
	mov	x0, x20
	mov	x1, x22
	lsr	x2, x21, #2
	ldr	x9, =boot_main
	blr	x9
	b	.

/*
 * mmu_on: x0 = top table. Every CPU's translation registers; continues at the
 * same (physical) place with the MMU on.
 */
mmu_on:
	mov_q	x1, MAIR_VALUE
	msr	mair_el2, x1
	mrs	x2, id_aa64mmfr0_el1	/* PS: the CPU's own, 48 bits at most without LPA2 */
	and	x2, x2, #0xf
	mov	x3, #5
	cmp	x2, x3
	csel	x2, x2, x3, lo
	mov_q	x1, TCR_EL2_VALUE
	orr	x1, x1, x2, lsl #TCR_EL2_PS_SHIFT
	msr	tcr_el2, x1
	msr	ttbr0_el2, x0
	isb
	tlbi	alle2
	dsb	nsh
	isb
	mov_q	x1, SCTLR_EL2_VALUE
	msr	sctlr_el2, x1
	isb
	ret

/*
 * void mmu_switch(u64 root, u64 pa): other tables. Old and new map the image in
 * leaves of different sizes, so no walk may see both (D8.14.1): the MMU is off in
 * between, which needs this code's physical address.
 */
	.globl	mmu_switch
mmu_switch:
	br	x1
	.globl	mmu_switch_off
mmu_switch_off:
	mov	x9, x30
	mov_q	x1, 0x30c50830
	orr	x1, x1, #1 << 12
	msr	sctlr_el2, x1
	isb
	bl	mmu_on
	mov	x30, x9
	ret

/* A CPU that PSCI started: x0 = its struct cpu's virtual address. */
	.globl	secondary_start
secondary_start:
	msr	daifset, #0xf
	mov	x20, x0
	msr	hcr_el2, xzr
	mov_q	x0, 0x30c50830
	msr	sctlr_el2, x0
	isb
	adrp	x0, host_root
	ldr	x0, [x0, #:lo12:host_root]
	bl	mmu_on
	add	x9, x20, #CPU_BLOCK_BYTES
	mov	sp, x9
	mov	x29, xzr
	mov	x0, x20
	ldr	x9, =secondary_main
	blr	x9
	b	.

	.ltorg
	.section .note.GNU-stack, ""
