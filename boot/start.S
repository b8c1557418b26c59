/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * start.S - from the loader to C, for the boot CPU (32-bit, paging off, from
 * multiboot2) and for the others (real mode, from a SIPI).
 *
 * Owns: the early page tables: identity of the first 4 GiB (also at
 * PHYS_BASE) and the image at its linked address, in 2 MiB pages. They serve
 * until the final tables are loaded. The image may lie at any 2 MiB aligned
 * address below 4 GiB: every address here is relative to %ebp, its base.
 * See: multiboot2 specification 3.2 (machine state), AMD64 APM vol. 2, 14.6
 * (entering long mode).
 */
#include "layout.h"

#define PA(symbol) (symbol - IMAGE_VMA)
#define CR0_ON 0x80010021	/* PG WP NE PE */
#define CR4_ON 0x000000a0	/* PGE PAE */
#define EFER_ON 0x00000901	/* NXE LME SCE */
#define TABLE 3
#define LARGE 0x83

	.section .init.text, "ax"
	.code32
	.globl start
start:
	cli
	cld
	/* The only stack there is: the reserved word of the information structure. */
	leal	8(%ebx), %esp
	movl	%eax, %esi
	call	1f
1:	popl	%ebp
	subl	$PA(1b), %ebp
	movl	%ebp, PA(image_pa)(%ebp)

	/* The tables below the directories' own are linked as if the image lay at 0. */
	leal	PA(early_pml4)(%ebp), %edi
	movl	$(4 * 512), %ecx
2:	testl	$1, (%edi)
	jz	3f
	addl	%ebp, (%edi)
3:	addl	$8, %edi
	decl	%ecx
	jnz	2b

	leal	PA(early_gdt)(%ebp), %eax
	movl	%eax, PA(early_gdtr) + 2(%ebp)
	lgdt	PA(early_gdtr)(%ebp)
	movl	$CR4_ON, %eax
	movl	%eax, %cr4
	leal	PA(early_pml4)(%ebp), %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx
	xorl	%edx, %edx
	movl	$EFER_ON, %eax
	wrmsr
	/* The far pointer is relative to the load address, like all else. */
	leal	PA(trampoline_64)(%ebp), %eax
	movl	%eax, PA(to_64)(%ebp)
	movl	$CR0_ON, %eax
	movl	%eax, %cr0
	movl	%esi, %edi		/* magic */
	movl	%ebx, %esi		/* multiboot information */
	ljmp	*PA(to_64)(%ebp)

/*
 * The trampoline: copied to a page below 1 MiB, where a SIPI starts a CPU in
 * real mode. smp_start() fills the words at its end (struct trampoline_words);
 * as they are, they are the boot CPU's, which comes to trampoline_64 itself.
 */
	.section .init.rodata, "a"
	.globl	trampoline, trampoline_words, trampoline_end
	.code16
trampoline:
	cli
	movw	%cs, %ax
	movw	%ax, %ds
	lgdtl	trampoline_gdtr - trampoline
	movl	$CR4_ON, %eax
	movl	%eax, %cr4
	movl	trampoline_words - trampoline, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx
	xorl	%edx, %edx
	movl	$EFER_ON, %eax
	wrmsr
	movl	$CR0_ON, %eax
	movl	%eax, %cr0
	ljmpl	*(trampoline_to_64 - trampoline)
	.code64
trampoline_64:
	xorl	%eax, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	%eax, %fs
	movl	%eax, %gs
	movq	trampoline_stack(%rip), %rsp
	xorl	%ebp, %ebp
	jmp	*trampoline_entry(%rip)
	.balign 8
trampoline_words:
	.long	0			/* CR3 */
trampoline_to_64:
	.long	trampoline_64 - trampoline	/* += page */
	.word	0x10
trampoline_gdtr:
	.word	23
	.long	0			/* early_gdt */
	.balign 8
trampoline_stack:
	.quad	boot_block + CPU_BLOCK_BYTES
trampoline_entry:
	.quad	boot_main
trampoline_end:

	.section .init.data, "aw"
	.balign 16
early_gdt:
	.quad	0
	.quad	0x00cf9b000000ffff	/* 0x08: 32-bit code */
	.quad	0x00af9b000000ffff	/* 0x10: 64-bit code */
early_gdtr:
	.word	23
	.quad	0
to_64:
	.long	0
	.word	0x10

	.balign 4096
	.globl	early_pml4, early_gdt
early_pml4:
	.quad	PA(early_pdpt_low) + TABLE
	.skip	255 * 8
	.quad	PA(early_pdpt_low) + TABLE	/* PHYS_BASE */
	.skip	254 * 8
	.quad	PA(early_pdpt_high) + TABLE
early_pdpt_low:
	.quad	PA(early_pd) + TABLE, PA(early_pd) + 0x1000 + TABLE
	.quad	PA(early_pd) + 0x2000 + TABLE, PA(early_pd) + 0x3000 + TABLE
	.skip	508 * 8
early_pdpt_high:
	.skip	510 * 8
	.quad	PA(early_pd_image) + TABLE, 0
early_pd_image:				/* 16 MiB are more than any image */
	.quad	0x000000 + LARGE, 0x200000 + LARGE, 0x400000 + LARGE, 0x600000 + LARGE
	.quad	0x800000 + LARGE, 0xa00000 + LARGE, 0xc00000 + LARGE, 0xe00000 + LARGE
	.skip	504 * 8
early_pd:				/* identity: as it is */
	.set	i, 0
	.rept	4 * 512
	.quad	i * 0x200000 + LARGE
	.set	i, i + 1
	.endr
