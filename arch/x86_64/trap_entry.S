/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trap_entry.S - the hypervisor's own exceptions. Two are expected: an NMI and #SX
 * in svm_nmi_window(), both of which end right here. All others are a broken
 * invariant: trap() prints and stops.
 * See: APM vol. 2, 8.9 (64-bit interrupt stack frame).
 */
	.text
	.globl	trap_stubs, trap_nmi, trap_sx
trap_nmi:
	iretq
trap_sx:
	addq	$8, %rsp
	iretq

	.altmacro
	.macro	stub vector
	.balign 16
	.if !(\vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17 || \vector == 21 || \vector == 29 || \vector == 30)
	pushq	$0
	.endif
	pushq	$\vector
	jmp	trap_common
	.endm

	.balign 16
trap_stubs:
	.set	i, 0
	.rept	32
	stub	%i
	.set	i, i + 1
	.endr

trap_common:
	pushq	%r15
	pushq	%r14
	pushq	%r13
	pushq	%r12
	pushq	%r11
	pushq	%r10
	pushq	%r9
	pushq	%r8
	pushq	%rbp
	pushq	%rdi
	pushq	%rsi
	pushq	%rdx
	pushq	%rcx
	pushq	%rbx
	pushq	%rax
	movq	%rsp, %rdi
	call	trap
