/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * head.S - a micro guest's file form and its first instructions.
 *
 * The file is a bzImage as far as a loader looks: two sectors that hold the
 * header, then the image itself, entered in 64-bit mode at its byte 0x200 with
 * RSI = boot_params (Linux's x86 boot protocol 2.15). It is linked for the
 * preferred address and cannot run elsewhere: guest_main() checks that.
 * The second CPU comes through the wakeup mailbox, also in 64-bit mode; or by a
 * start-up IPI, in real mode: startup_code is copied to STARTUP_PAGE then.
 */
#include "layout.h"

	.section .header, "a"
header:
	.org 0x1f1
	.byte 1				/* setup_sects */
	.word 0
	.long image_paragraphs		/* syssize */
	.org 0x1fe
	.word 0xaa55
	.byte 0xeb, header_end - header - 0x202
	.ascii "HdrS"
	.word 0x020f
	.org 0x211
	.byte 1				/* loadflags: loaded high */
	.org 0x22c
	.long 0x7fffffff		/* initrd_addr_max */
	.long 0x200000			/* kernel_alignment */
	.byte 1, 21			/* relocatable, min_alignment */
	.word 1				/* XLF_KERNEL_64 */
	.long 2047			/* cmdline_size */
	.org 0x258
	.quad GUEST_BASE		/* pref_address */
	.long image_memory		/* init_size */
	.org 0x26c
header_end:
	.org 0x400

	.section .head, "ax"
image:
	.org 0x200
	leaq	image(%rip), %rdi
	leaq	stack0_top(%rip), %rsp
	cld
	call	guest_main
1:	hlt
	jmp	1b

	.globl	second_entry
second_entry:
	leaq	stack1_top(%rip), %rsp
	cld
	call	second_main
1:	hlt
	jmp	1b

	.section .rodata, "a"
	.globl	startup_code, startup_cr3, startup_end
	.code16
startup_code:
	cli
	movw	%cs, %ax
	movw	%ax, %ds
	lgdtl	startup_gdtr - startup_code
	movl	$0x20, %eax		/* PAE */
	movl	%eax, %cr4
	movl	startup_cr3 - startup_code, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx
	xorl	%edx, %edx
	movl	$0x900, %eax		/* LME, NXE */
	wrmsr
	movl	$0x80010031, %eax	/* PG, WP, NE, ET, PE: straight to long mode */
	movl	%eax, %cr0
	ljmpl	$SEL_CODE, $startup_long
	.code64
	.balign	8
startup_gdtr:
	.word	23
	.long	startup_gdt
	.balign	8
startup_cr3:
	.long	0
startup_end:
	.balign	8
startup_gdt:
	.quad	0, 0x00af9b000000ffff, 0x00cf93000000ffff

	.text
startup_long:
	movl	$SEL_DATA, %eax
	movl	%eax, %ss
	movl	%eax, %ds
	movl	%eax, %es
	jmp	second_entry
/*
 * int try_call(void (*fn)(u64), u64 arg): the vector of the exception that
 * ended fn, or -1. Kept on the stack: what a C caller expects to find again.
 */
	.globl	try_call
try_call:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	pushfq
	movq	%rsp, %gs:CPU_RECOVER
	movq	%rdi, %rax
	movq	%rsi, %rdi
	call	*%rax
	movl	$-1, %eax
	.globl	try_resume
try_resume:
	movq	$0, %gs:CPU_RECOVER
	popfq
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

/* void user_call(u64 rip): goes to ring 3 there; only an exception comes back. */
	.globl	user_call
user_call:
	pushq	$SEL_USER_DATA | 3
	leaq	user_stack_top(%rip), %rax
	pushq	%rax
	pushq	$2
	pushq	$SEL_USER_CODE | 3
	pushq	%rdi
	iretq

/* One stub of 16 bytes per vector; with_error says which push an error code themselves. */
	.balign	16
	.globl	trap_stubs
trap_stubs:
	.set	vector, 0
	.rept	80
	.balign	16
	.if	vector >= 32 || !((0x60227d00 >> (vector & 31)) & 1)
	pushq	$0
	.endif
	pushq	$vector
	jmp	trap_common
	.set	vector, vector + 1
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
	cld
	call	trap
	popq	%rax
	popq	%rbx
	popq	%rcx
	popq	%rdx
	popq	%rsi
	popq	%rdi
	popq	%rbp
	popq	%r8
	popq	%r9
	popq	%r10
	popq	%r11
	popq	%r12
	popq	%r13
	popq	%r14
	popq	%r15
	addq	$16, %rsp
	iretq

/* s64 hypercall_all(u64 number, u64 arg, u64 *others): others[12] go in as all other registers, and what is there after comes out. */
	.globl	hypercall_all
hypercall_all:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	pushq	%rdx
	movq	%rdi, %rax
	movq	%rsi, %rdi
	movq	%rdx, %rsi
	movq	0(%rsi), %rbx
	movq	8(%rsi), %rcx
	movq	16(%rsi), %rdx
	movq	24(%rsi), %rbp
	movq	32(%rsi), %r8
	movq	40(%rsi), %r9
	movq	48(%rsi), %r10
	movq	56(%rsi), %r11
	movq	64(%rsi), %r12
	movq	72(%rsi), %r13
	movq	80(%rsi), %r14
	movq	88(%rsi), %r15
	cmpl	$0, vendor_intel
	jne	1f
	vmmcall
	jmp	2f
1:	vmcall
2:	movq	(%rsp), %rsi
	movq	%rbx, 0(%rsi)
	movq	%rcx, 8(%rsi)
	movq	%rdx, 16(%rsi)
	movq	%rbp, 24(%rsi)
	movq	%r8, 32(%rsi)
	movq	%r9, 40(%rsi)
	movq	%r10, 48(%rsi)
	movq	%r11, 56(%rsi)
	movq	%r12, 64(%rsi)
	movq	%r13, 72(%rsi)
	movq	%r14, 80(%rsi)
	movq	%r15, 88(%rsi)
	popq	%rdx
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

	.bss
	.balign	16
	.skip	32768
stack0_top:
	.skip	32768
stack1_top:
	.skip	4096
user_stack_top:
