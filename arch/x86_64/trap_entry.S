/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trap_entry.S - the hypervisor's own exceptions. Two are expected: an NMI
 * (on SVM in svm_nmi_window() only; VMX has a handler of its own, vmx/entry.S) and #SX, both of which end
 * right here. All other exceptions are a broken invariant: trap() prints and stops.
 * See: APM vol. 2, 8.9 (64-bit interrupt stack frame).
 */
#include "layout.h"

	.text
	.globl	trap_stubs, trap_nmi, trap_sx, trap_stray
/*
 * An interrupt, which GIF = 0 (or IF = 0 in VMX root) keeps away from us. QEMU
 * 7.2 delivers one right behind #VMEXIT all the same, seldom, on the first of
 * several CPUs: another CPU's XRSTOR changes the word that holds its GIF without
 * a lock (docs/status.md). It is dropped.
 */
trap_stray:
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
	.irp	register, r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax
	pushq	%\register
	.endr
	movq	%rsp, %rdi
	call	trap
