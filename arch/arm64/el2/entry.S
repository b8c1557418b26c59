/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * entry.S - into a guest (the service VM or a user VM) and out again, and the
 * vectors of EL2. Interrupts stay masked in EL2 at all times.
 *
 * On the stack while a guest runs: the callee-saved registers, then the address
 * of its struct gprs on top.
 */
#include "layout.h"

	.text

/* u64 el2_enter(struct gprs *regs): returns EXIT_KIND_*. */
	.globl	el2_enter
	.type	el2_enter, %function
el2_enter:
	stp	x29, x30, [sp, #-96]!
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	stp	x27, x28, [sp, #80]
	str	x0, [sp, #-16]!
	ldp	x1, x2, [x0, #GPRS_PC]
	msr	elr_el2, x1
	msr	spsr_el2, x2
	ldr	x30, [x0, #240]
	ldp	x28, x29, [x0, #224]
	ldp	x26, x27, [x0, #208]
	ldp	x24, x25, [x0, #192]
	ldp	x22, x23, [x0, #176]
	ldp	x20, x21, [x0, #160]
	ldp	x18, x19, [x0, #144]
	ldp	x16, x17, [x0, #128]
	ldp	x14, x15, [x0, #112]
	ldp	x12, x13, [x0, #96]
	ldp	x10, x11, [x0, #80]
	ldp	x8, x9, [x0, #64]
	ldp	x6, x7, [x0, #48]
	ldp	x4, x5, [x0, #32]
	ldp	x2, x3, [x0, #16]
	ldp	x0, x1, [x0]
	eret
	dsb	nsh			/* nothing is executed by speculation past the ERET */
	isb

/* From a vector: x0, x1 on the stack, x1 = kind. */
el2_exit:
	ldr	x0, [sp, #16]
	stp	x2, x3, [x0, #16]
	stp	x4, x5, [x0, #32]
	stp	x6, x7, [x0, #48]
	stp	x8, x9, [x0, #64]
	stp	x10, x11, [x0, #80]
	stp	x12, x13, [x0, #96]
	stp	x14, x15, [x0, #112]
	stp	x16, x17, [x0, #128]
	stp	x18, x19, [x0, #144]
	stp	x20, x21, [x0, #160]
	stp	x22, x23, [x0, #176]
	stp	x24, x25, [x0, #192]
	stp	x26, x27, [x0, #208]
	stp	x28, x29, [x0, #224]
	str	x30, [x0, #240]
	ldp	x2, x3, [sp], #32
	stp	x2, x3, [x0]
	mrs	x2, elr_el2
	mrs	x3, spsr_el2
	stp	x2, x3, [x0, #GPRS_PC]
	mov	x0, x1
	ldp	x27, x28, [sp, #80]
	ldp	x25, x26, [sp, #64]
	ldp	x23, x24, [sp, #48]
	ldp	x21, x22, [sp, #32]
	ldp	x19, x20, [sp, #16]
	ldp	x29, x30, [sp], #96
	ret

	.macro	from_guest kind
	.balign	128
	stp	x0, x1, [sp, #-16]!
	mov	x1, #\kind
	b	el2_exit
	.endm

/* An exception in EL2 itself is a defect: say where. */
	.macro	from_el2 kind
	.balign	128
	mov	x0, #\kind
	mrs	x1, elr_el2
	mrs	x2, esr_el2
	mrs	x3, far_el2
	mov	x4, x30
	mov	x5, x29
	b	el2_defect
	.endm

	.balign	2048
	.globl	el2_vectors
el2_vectors:
	from_el2 0
	from_el2 1
	from_el2 2
	from_el2 3
	from_el2 0
	from_el2 1
	from_el2 2
	from_el2 3
	from_guest 0
	from_guest 1
	from_guest 2
	from_guest 3
	from_guest 0		/* AArch32 in a guest's EL0 */
	from_guest 1
	from_guest 2
	from_guest 3

/* void fp_save(struct fp_state *) and fp_load(): FP and SIMD registers, CPTR_EL2 open. */
	.arch	armv8-a+fp+simd
	.macro	fp_columns op
	\op	q0, q1, [x0]
	\op	q2, q3, [x0, #32]
	\op	q4, q5, [x0, #64]
	\op	q6, q7, [x0, #96]
	\op	q8, q9, [x0, #128]
	\op	q10, q11, [x0, #160]
	\op	q12, q13, [x0, #192]
	\op	q14, q15, [x0, #224]
	\op	q16, q17, [x0, #256]
	\op	q18, q19, [x0, #288]
	\op	q20, q21, [x0, #320]
	\op	q22, q23, [x0, #352]
	\op	q24, q25, [x0, #384]
	\op	q26, q27, [x0, #416]
	\op	q28, q29, [x0, #448]
	\op	q30, q31, [x0, #480]
	.endm

	.globl	fp_save
fp_save:
	fp_columns stp
	mrs	x1, fpsr
	mrs	x2, fpcr
	add	x0, x0, #512
	stp	w1, w2, [x0]
	ret

	.globl	fp_load
fp_load:
	fp_columns ldp
	add	x0, x0, #512
	ldp	w1, w2, [x0]
	msr	fpsr, x1
	msr	fpcr, x2
	ret

/* void sve_save(void *) and sve_load(): all of the Z registers, 8 KiB at most. The guest cannot touch P and FFR. */
	.arch	armv8.2-a+sve
	.macro	z_rows op
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	\op	z\n, [x0, #\n, mul vl]
	.endr
	.endm

	.globl	sve_save
sve_save:
	z_rows	str
	ret

	.globl	sve_load
sve_load:
	z_rows	ldr
	ret

	.section .note.GNU-stack, ""
