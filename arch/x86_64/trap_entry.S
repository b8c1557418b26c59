/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trap_entry.S - the hypervisor's own exceptions. Two are expected: an NMI
 * (on SVM in svm_nmi_window() only, on VMX anywhere) and #SX, both of which end
 * right here. All other exceptions are a broken invariant: trap() prints and stops.
 * See: APM vol. 2, 8.9 (64-bit interrupt stack frame).
 */
#include "layout.h"

	.text
	.globl	trap_stubs, trap_nmi, trap_sx, trap_stray
/*
 * An interrupt, which GIF = 0 (or IF = 0 in VMX root) keeps away from us. QEMU
 * 7.2 was once seen to deliver one right behind #VMEXIT all the same (why is not
 * known: docs/status.md). It is dropped, and counted for a debugger.
 */
trap_stray:
	lock incl	trap_strays(%rip)
	iretq
/*
 * Noted in cpu->attention (percpu.h; the stack tells the block). One that comes
 * when VMX is about to enter a guest must keep it out: see vmx/entry.S.
 */
trap_nmi:
	pushq	%rax
	movq	%rsp, %rax
	andq	$-CPU_BLOCK_BYTES, %rax
	orl	$1, (%rax)
	movq	8(%rsp), %rax
	cmpq	$vmx_window, %rax
	jb	1f
	cmpq	$vmx_window_end, %rax
	jae	1f
	movq	$vmx_aborted, 8(%rsp)
1:	popq	%rax
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

	.bss
	.balign 4
	.globl	trap_strays
trap_strays:
	.skip	4
