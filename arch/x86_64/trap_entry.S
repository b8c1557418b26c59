/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trap_entry.S - the hypervisor's own exceptions. Three are expected: an NMI
 * (on SVM in svm_nmi_window() only; VMX has a handler of its own, vmx/entry.S), #SX, and #GP of an MSR access that the service
 * VM asked for, all of which end right here. All other exceptions are a broken invariant: trap() prints and stops.
 * See: APM vol. 2, 8.9 (64-bit interrupt stack frame).
 */
#include "layout.h"

	.text
	.globl	trap_stubs, trap_nmi, trap_sx, trap_gp, trap_stray, msr_try_read, msr_try_write
/* int msr_try_read(u32 msr, u64 *value), msr_try_write(u32 msr, u64 value): 0, or 1 after a #GP. */
msr_try_read:
	movl	%edi, %ecx
	rdmsr
	shlq	$32, %rdx
	orq	%rdx, %rax
	movq	%rax, (%rsi)
	xorl	%eax, %eax
	ret
msr_try_write:
	movl	%edi, %ecx
	movq	%rsi, %rax
	movq	%rsi, %rdx
	shrq	$32, %rdx
	wrmsr
	xorl	%eax, %eax
	ret
msr_try_end:
	movl	$1, %eax
	ret

/* In those two: what was asked for is refused. Else: as any other exception. */
trap_gp:
	cmpq	$msr_try_read, 8(%rsp)
	jb	trap_stubs + 16 * 13
	cmpq	$msr_try_end, 8(%rsp)
	jae	trap_stubs + 16 * 13
	movq	$msr_try_end, 8(%rsp)
	addq	$8, %rsp
	iretq

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
