/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * head.S - a micro guest's start in place of the service VM's kernel: Image
 * header, MMU on (identity; the lowest GiB is devices), exceptions that come
 * back to the probe that expects them, the second CPU's entry.
 */
	.section .head, "ax"
	.globl image
image:
	b	start
	.long	0
	.quad	0
	.quad	image_bytes
	.quad	0xa
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0

start:
	adrp	x1, bss_start
	adrp	x2, image_end
1:	stp	xzr, xzr, [x1], #16
	cmp	x1, x2
	b.lo	1b
	adrp	x1, stack_end
	mov	sp, x1
	adrp	x2, table		/* level 1: 1 GiB each */
	movz	x3, #0x0401		/* AF, block, attribute 0: device */
	movk	x3, #0x60, lsl #48	/* not executable */
	str	x3, [x2]
	mov	x4, #1
	movz	x3, #0x0705		/* AF, inner shareable, attribute 1 */
2:	lsl	x5, x4, #30
	orr	x5, x5, x3
	str	x5, [x2, x4, lsl #3]
	add	x4, x4, #1
	cmp	x4, #4
	b.ne	2b
	bl	mmu_on
	mov	x0, #0
	bl	guest_main
	b	.

mmu_on:
	mov	x3, #3 << 20		/* FP and SIMD */
	msr	cpacr_el1, x3
	adrp	x2, table
	movz	x3, #0xff00		/* attribute 1: normal, write-back; 0: device */
	msr	mair_el1, x3
	movz	x3, #0x3519		/* 39 bits, inner shareable, write-back; no TTBR1 */
	movk	x3, #0x0080, lsl #16
	movk	x3, #0x2, lsl #32
	msr	tcr_el1, x3
	msr	ttbr0_el1, x2
	ldr	x3, =vectors
	msr	vbar_el1, x3
	dsb	sy
	tlbi	vmalle1
	dsb	sy
	isb
	movz	x3, #0x1805		/* RES1 bits, I, C, M */
	movk	x3, #0x30d0, lsl #16
	msr	sctlr_el1, x3
	isb
	ret

/* The second CPU, by PSCI: x0 = its stack's end. */
	.globl	second_entry
second_entry:
	mov	sp, x0
	bl	mmu_on
	mov	x0, #1
	bl	second_main
	b	.

/*
 * u64 probe_NAME(u64 address): 0, or the ESR of the exception that it ends in.
 * x18 is where the exception handler goes to; nothing else uses it (-ffixed-x18).
 */
	.macro	probe name, first, second, third
	.globl	probe_\name
probe_\name:
	adr	x18, 9f
	\first
	\second
	\third
	dsb	sy
	isb
	mov	x0, #0
9:	mov	x18, #0
	ret
	.endm

	.arch	armv8-a+fp+simd
	probe	read, "ldr x1, [x0]"
	probe	write, "str x0, [x0]"
	probe	pair, "ldp x1, x2, [x0]"
	probe	byte, "ldrb w1, [x0]"
	probe	exclusive, "ldxr x1, [x0]"
	probe	zero, "dc zva, x0"
	probe	walk, "prfm pldl1keep, [x0]", "at s1e1w, x0", "dc cvac, x0"
	probe	vector, "movi v0.16b, #1", "st1 {v0.16b}, [x0]"
	probe	el2, "mrs x1, hcr_el2"
	probe	el2_write, "msr vbar_el2, x0"

	.globl	probe_execute
probe_execute:
	adr	x18, 9f
	mov	x17, x30
	blr	x0
	mov	x0, #0
9:	mov	x30, x17
	mov	x18, #0
	ret

/* Back to the probe, with the syndrome; nobody expects it: say so. */
	.macro	vector
	.balign	128
	b	exception
	.endm
	.balign	2048
vectors:
	.rept	16
	vector
	.endr
exception:
	cbz	x18, 1f
	mrs	x0, far_el1
	adrp	x1, probe_far
	str	x0, [x1, #:lo12:probe_far]
	mrs	x0, esr_el1
	msr	elr_el1, x18
	eret
1:	mrs	x0, esr_el1
	mrs	x1, elr_el1
	mrs	x2, far_el1
	b	unexpected
	.ltorg
	.section .note.GNU-stack, ""
