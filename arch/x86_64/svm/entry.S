/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * entry.S - the world switch: general registers in, VMRUN, general registers
 * out. RAX and RSP travel in the VMCB. All else is C's.
 *
 * svm_enter: RDI = struct gprs *, RSI = the VMCB's physical address. Every
 * register but RBP and RSP is lost: called by the inline function of svm.h only,
 * which says so to the compiler.
 *
 * Runs with GIF = 0; VMRUN itself sets it for the guest and #VMEXIT clears it
 * (APM vol. 2, 15.5 and 15.17). RFLAGS.IF is 1 at VMRUN: with V_INTR_MASKING
 * it decides whether a physical interrupt ends the guest (15.21.1).
 */
	.text
	.globl	svm_enter
svm_enter:
	pushq	%rbp
	pushq	%rdi
	movq	%rsi, %rax
	/* in: two mirror columns */
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
	vmrun	%rax
	movq	(%rsp), %rax
	/* out */
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
	popq	%rdi
	popq	%rbp
	ret
