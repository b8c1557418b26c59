/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * entry.S - the world switch: general registers in, VMLAUNCH or VMRESUME,
 * general registers out. RSP travels in the VMCS. All else is C's.
 *
 * vmx_enter: RDI = struct gprs *, RSI = the address of launched, RDX = of attention;
 * EAX = ENTER_*, or 0. Every register but RBX, RBP and RSP is lost: called by the inline
 * function of vmx.h only, which says so to the compiler.
 *
 * An NMI may come in VMX root, between the caller's look at what it is sent
 * for and the entry. From vmx_window to vmx_window_end vmx_trap_nmi
 * therefore returns to vmx_aborted instead: nothing is saved there but what the
 * C caller wants back, and *attention is set.
 * See: SDM vol. 3, 27.2 (VM entry), 28.5 (host state at exit: RSP and RIP only).
 */
#include "layout.h"

#define VMCS_HOST_RSP 0x6c14
	.text
	.globl	vmx_enter, vmx_exit, vmx_trap_nmi
vmx_enter:
	pushq	%rbp
	pushq	%rbx
	pushq	%rdi
	movl	$VMCS_HOST_RSP, %eax
	vmwrite	%rsp, %rax
vmx_window:
	cmpl	$0, (%rdx)
	jne	vmx_aborted
	cmpl	$0, (%rsi)
	/* in: two mirror columns; MOV keeps the flags */
	movq	0x00(%rdi), %rax
	movq	0x08(%rdi), %rbx
	movq	0x10(%rdi), %rcx
	movq	0x18(%rdi), %rdx
	movq	0x20(%rdi), %rsi
	movq	0x38(%rdi), %rbp
	movq	0x40(%rdi), %r8
	movq	0x48(%rdi), %r9
	movq	0x50(%rdi), %r10
	movq	0x58(%rdi), %r11
	movq	0x60(%rdi), %r12
	movq	0x68(%rdi), %r13
	movq	0x70(%rdi), %r14
	movq	0x78(%rdi), %r15
	movq	0x28(%rdi), %rdi
	jz	1f
	vmresume
	jmp	vmx_window_end
1:	vmlaunch
vmx_window_end:
	movl	$1, %eax		/* ENTER_REFUSED */
	jmp	2f
vmx_aborted:
	movl	$2, %eax		/* ENTER_ATTENTION */
	jmp	2f
vmx_exit:
	pushq	%rax
	movq	8(%rsp), %rax
	/* out */
	popq	0x00(%rax)
	movq	%rbx, 0x08(%rax)
	movq	%rcx, 0x10(%rax)
	movq	%rdx, 0x18(%rax)
	movq	%rsi, 0x20(%rax)
	movq	%rdi, 0x28(%rax)
	movq	%rbp, 0x38(%rax)
	movq	%r8,  0x40(%rax)
	movq	%r9,  0x48(%rax)
	movq	%r10, 0x50(%rax)
	movq	%r11, 0x58(%rax)
	movq	%r12, 0x60(%rax)
	movq	%r13, 0x68(%rax)
	movq	%r14, 0x70(%rax)
	movq	%r15, 0x78(%rax)
	xorl	%eax, %eax
2:	popq	%rdi
	popq	%rbx
	popq	%rbp
	ret

/*
 * Noted in cpu->attention (percpu.h; the stack tells the block). One that comes
 * when a guest is about to be entered must keep it out.
 */
vmx_trap_nmi:
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
