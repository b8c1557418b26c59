// SPDX-License-Identifier: BSD-2-Clause
/*
 * run_mmio.c - memory accesses outside any slot: every size and the
 * instruction forms that drivers and firmware use on device memory.
 *
 * Each script names the accesses in order: an instruction that reads and
 * writes gives a read, then a write. See: AMD APM volume 3.
 */
#include <string.h>

#include "guest.h"

#define BASE "mov $0x10000000, %ebx\n"
#define AT(offset) (MMIO_BASE + (offset))

SCRIPT(mmio_mov_write, 64,
	BASE "mov $0x1122334455667788, %rax\n"
	"mov %al, (%rbx)\n mov %ah, 1(%rbx)\n mov %ax, 2(%rbx)\n mov %eax, 4(%rbx)\n mov %rax, 8(%rbx)\n"
	"movb $0x5a, 16(%rbx)\n movw $0x5a5b, 18(%rbx)\n movl $0x5a5b5c5d, 20(%rbx)\n movq $-2, 24(%rbx)\n"
	"mov %eax, %r9d\n mov %r9b, 32(%rbx)\n mov %sil, 33(%rbx)\n mov %r9, (%rbx,%rsi,8)\n hlt\n",
	WRITE(AT(0), 1, 0x88), WRITE(AT(1), 1, 0x77), WRITE(AT(2), 2, 0x7788), WRITE(AT(4), 4, 0x55667788),
	WRITE(AT(8), 8, 0x1122334455667788), WRITE(AT(16), 1, 0x5a), WRITE(AT(18), 2, 0x5a5b),
	WRITE(AT(20), 4, 0x5a5b5c5d), WRITE(AT(24), 8, 0xfffffffffffffffeull),
	WRITE(AT(32), 1, 0x88), WRITE(AT(33), 1, 0), WRITE(AT(0), 8, 0x55667788), HLT)

SCRIPT(mmio_mov_read, 64,
	BASE "mov $-1, %rax\n mov (%rbx), %al\n out %eax, $0xe0\n mov 1(%rbx), %ah\n out %eax, $0xe0\n"
	"mov 2(%rbx), %ax\n out %eax, $0xe0\n mov 4(%rbx), %eax\n out %eax, $0xe0\n"
	"mov 8(%rbx), %rax\n out %eax, $0xe0\n shr $32, %rax\n out %eax, $0xe0\n"
	"mov $-1, %rcx\n mov (%rbx), %ecx\n shr $32, %rcx\n mov %ecx, %eax\n out %eax, $0xe0\n",
	READ(AT(0), 1, 0x12), REPORT(0xffffff12), READ(AT(1), 1, 0x34), REPORT(0xffff3412),
	READ(AT(2), 2, 0x5678), REPORT(0xffff5678), READ(AT(4), 4, 0x9abcdef0), REPORT(0x9abcdef0),
	READ(AT(8), 8, 0x0102030405060708), REPORT(0x05060708), REPORT(0x01020304),
	READ(AT(0), 4, 0xffffffff), REPORT(0))

SCRIPT(mmio_moffs, 64,
	"movabs %al, 0x10000010\n movabs %eax, 0x10000020\n movabs 0x10000030, %eax\n out %eax, $0xe0\n",
	WRITE(AT(0x10), 1, 0), WRITE(AT(0x20), 4, 0), READ(AT(0x30), 4, 0x31), REPORT(0x31))

SCRIPT(mmio_extend, 64,
	BASE "movzbl (%rbx), %eax\n out %eax, $0xe0\n movzwl (%rbx), %eax\n out %eax, $0xe0\n"
	"movsbl (%rbx), %eax\n out %eax, $0xe0\n movswl (%rbx), %eax\n out %eax, $0xe0\n"
	"movslq (%rbx), %rax\n shr $32, %rax\n out %eax, $0xe0\n movzbw (%rbx), %ax\n out %ax, $0xe4\n"
	"movsbq (%rbx), %rax\n shr $32, %rax\n out %eax, $0xe0\n",
	READ(AT(0), 1, 0x81), REPORT(0x81), READ(AT(0), 2, 0x8182), REPORT(0x8182),
	READ(AT(0), 1, 0x81), REPORT(0xffffff81), READ(AT(0), 2, 0x8182), REPORT(0xffff8182),
	READ(AT(0), 4, 0x80000000), REPORT(0xffffffff), READ(AT(0), 1, 0x7f), OUT(0xe4, 2, 0x7f),
	READ(AT(0), 1, 0x80), REPORT(0xffffffff))

SCRIPT(mmio_stos, 64,
	"mov $0x10000000, %edi\n mov $0x8877665544332211, %rax\n cld\n stosb\n stosw\n stosl\n stosq\n"
	"mov $3, %ecx\n rep stosl\n mov %edi, %eax\n out %eax, $0xe0\n mov %ecx, %eax\n out %eax, $0xe0\n",
	WRITE(AT(0), 1, 0x11), WRITE(AT(1), 2, 0x2211), WRITE(AT(3), 4, 0x44332211), WRITE(AT(7), 8, 0x8877665544332211),
	WRITE(AT(15), 4, 0x44332211), WRITE(AT(19), 4, 0x44332211), WRITE(AT(23), 4, 0x44332211),
	REPORT(0x1000001b), REPORT(0))

SCRIPT(mmio_movs_write, 64,
	"mov $0x8000, %esi\n movl $0x04030201, (%rsi)\n movl $0x08070605, 4(%rsi)\n mov $0x10000000, %edi\n cld\n"
	"movsb\n mov $0x8000, %esi\n mov $2, %ecx\n rep movsl\n mov %esi, %eax\n out %eax, $0xe0\n"
	"mov %edi, %eax\n out %eax, $0xe0\n",
	WRITE(AT(0), 1, 1), WRITE(AT(1), 4, 0x04030201), WRITE(AT(5), 4, 0x08070605), REPORT(0x8008), REPORT(0x10000009))

SCRIPT(mmio_movs_read, 64,
	"mov $0x10000000, %esi\n mov $0x8000, %edi\n cld\n mov $2, %ecx\n rep movsl\n"
	"mov 0x8000, %eax\n out %eax, $0xe0\n mov 0x8004, %eax\n out %eax, $0xe0\n",
	READ(AT(0), 4, 0x11111111), READ(AT(4), 4, 0x22222222), REPORT(0x11111111), REPORT(0x22222222))

SCRIPT(mmio_movs_both, 64,
	"mov $0x10000000, %esi\n mov $0x10000100, %edi\n cld\n mov $2, %ecx\n rep movsw\n mov %ecx, %eax\n out %eax, $0xe0\n",
	READ(AT(0), 2, 0xaabb), WRITE(AT(0x100), 2, 0xaabb), READ(AT(2), 2, 0xccdd), WRITE(AT(0x102), 2, 0xccdd), REPORT(0))

SCRIPT(mmio_lods_scas_cmps, 64,
	"mov $0x10000000, %esi\n cld\n lodsl\n out %eax, $0xe0\n mov %esi, %eax\n out %eax, $0xe0\n"
	"mov $0x10000000, %edi\n mov $0x33, %eax\n mov $4, %ecx\n repne scasb\n mov %ecx, %eax\n out %eax, $0xe0\n"
	"mov $0x10000000, %esi\n mov $0x8000, %edi\n movb $7, (%rdi)\n cmpsb\n sete %al\n out %al, $0xe4\n",
	READ(AT(0), 4, 0x01020304), REPORT(0x01020304), REPORT(0x10000004),
	READ(AT(0), 1, 0x11), READ(AT(1), 1, 0x33), REPORT(2), READ(AT(0), 1, 7), OUT(0xe4, 1, 1))

SCRIPT(mmio_alu_to_memory, 64,
	BASE "mov $0x0f, %eax\n"
	"or %eax, (%rbx)\n and %eax, (%rbx)\n xor %eax, (%rbx)\n add %eax, (%rbx)\n sub %eax, (%rbx)\n"
	"orb $0x80, (%rbx)\n andw $0xff, (%rbx)\n addl $0x1000, (%rbx)\n addq $-1, (%rbx)\n"
	"stc\n adc %eax, (%rbx)\n stc\n sbb %eax, (%rbx)\n hlt\n",
	READ(AT(0), 4, 0xf0), WRITE(AT(0), 4, 0xff), READ(AT(0), 4, 0xff), WRITE(AT(0), 4, 0x0f),
	READ(AT(0), 4, 0xff), WRITE(AT(0), 4, 0xf0), READ(AT(0), 4, 1), WRITE(AT(0), 4, 0x10),
	READ(AT(0), 4, 0x10), WRITE(AT(0), 4, 1), READ(AT(0), 1, 1), WRITE(AT(0), 1, 0x81),
	READ(AT(0), 2, 0x1234), WRITE(AT(0), 2, 0x34), READ(AT(0), 4, 1), WRITE(AT(0), 4, 0x1001),
	READ(AT(0), 8, 0), WRITE(AT(0), 8, 0xffffffffffffffffull),
	READ(AT(0), 4, 1), WRITE(AT(0), 4, 0x11), READ(AT(0), 4, 0x20), WRITE(AT(0), 4, 0x10), HLT)

SCRIPT(mmio_alu_from_memory, 64,
	BASE "mov $0x0f, %eax\n or (%rbx), %eax\n out %eax, $0xe0\n add (%rbx), %eax\n out %eax, $0xe0\n"
	"cmp (%rbx), %eax\n sete %al\n out %al, $0xe4\n cmpl $5, (%rbx)\n setb %al\n out %al, $0xe4\n"
	"testl $0x10, (%rbx)\n setz %al\n out %al, $0xe4\n mov $0x10, %ecx\n test %ecx, (%rbx)\n setz %al\n out %al, $0xe4\n"
	"cmpb $0x80, (%rbx)\n seto %al\n out %al, $0xe4\n",
	READ(AT(0), 4, 0xf0), REPORT(0xff), READ(AT(0), 4, 1), REPORT(0x100), READ(AT(0), 4, 0x100), OUT(0xe4, 1, 1),
	READ(AT(0), 4, 4), OUT(0xe4, 1, 1), READ(AT(0), 4, 0x10), OUT(0xe4, 1, 0), READ(AT(0), 4, 0xef), OUT(0xe4, 1, 1),
	READ(AT(0), 1, 0x7f), OUT(0xe4, 1, 1))

SCRIPT(mmio_unary, 64,
	BASE "incl (%rbx)\n decb (%rbx)\n notl (%rbx)\n negw (%rbx)\n shll $4, (%rbx)\n hlt\n",
	READ(AT(0), 4, 9), WRITE(AT(0), 4, 10), READ(AT(0), 1, 0), WRITE(AT(0), 1, 0xff),
	READ(AT(0), 4, 0x0f0f0f0f), WRITE(AT(0), 4, 0xf0f0f0f0), READ(AT(0), 2, 1), WRITE(AT(0), 2, 0xffff),
	READ(AT(0), 4, 0x12), WRITE(AT(0), 4, 0x120), HLT)

SCRIPT(mmio_exchange, 64,
	BASE "mov $0x55, %eax\n xchg %eax, (%rbx)\n out %eax, $0xe0\n"
	"mov $3, %ecx\n lock xadd %ecx, (%rbx)\n mov %ecx, %eax\n out %eax, $0xe0\n"
	"mov $7, %eax\n mov $8, %ecx\n lock cmpxchg %ecx, (%rbx)\n sete %al\n out %al, $0xe4\n"
	"lock orl $2, (%rbx)\n lock incl (%rbx)\n hlt\n",
	READ(AT(0), 4, 0xaa), WRITE(AT(0), 4, 0x55), REPORT(0xaa),
	READ(AT(0), 4, 4), WRITE(AT(0), 4, 7), REPORT(4),
	READ(AT(0), 4, 7), WRITE(AT(0), 4, 8), OUT(0xe4, 1, 1),
	READ(AT(0), 4, 1), WRITE(AT(0), 4, 3), READ(AT(0), 4, 1), WRITE(AT(0), 4, 2), HLT)

SCRIPT(mmio_bits, 64,
	BASE "btl $3, (%rbx)\n setc %al\n out %al, $0xe4\n btsl $4, (%rbx)\n setc %al\n out %al, $0xe4\n"
	"btrl $0, (%rbx)\n btcl $1, (%rbx)\n hlt\n",
	READ(AT(0), 4, 8), OUT(0xe4, 1, 1), READ(AT(0), 4, 0), WRITE(AT(0), 4, 0x10), OUT(0xe4, 1, 0),
	READ(AT(0), 4, 3), WRITE(AT(0), 4, 2), READ(AT(0), 4, 0), WRITE(AT(0), 4, 2), HLT)

SCRIPT(mmio_conditional, 64,
	BASE "xor %eax, %eax\n sete (%rbx)\n setne (%rbx)\n mov $0x11, %eax\n cmp %eax, %eax\n cmove (%rbx), %eax\n out %eax, $0xe0\n",
	WRITE(AT(0), 1, 1), WRITE(AT(0), 1, 0), READ(AT(0), 4, 0x99), REPORT(0x99))

SCRIPT(mmio_push_pop, 64,
	BASE "pushq (%rbx)\n pop %rax\n out %eax, $0xe0\n push $0x66\n popq 8(%rbx)\n mov %esp, %eax\n out %eax, $0xe0\n",
	READ(AT(0), 8, 0x1234), REPORT(0x1234), WRITE(AT(8), 8, 0x66), REPORT(0x8000))

SCRIPT(mmio_call_jump, 64,
	BASE "call *(%rbx)\n out %eax, $0xe0\n jmp *8(%rbx)\n hlt\n"
	".org code_mmio_call_jump + 0x80\n mov $1, %eax\n ret\n"
	".org code_mmio_call_jump + 0x90\n mov $2, %eax\n out %eax, $0xe0\n",
	READ(AT(0), 8, GUEST_CODE + 0x80), REPORT(1), READ(AT(8), 8, GUEST_CODE + 0x90), REPORT(2))

/* 16 bytes come as two accesses of 8, the page's end splits, too. */
SCRIPT(mmio_sse, 64,
	BASE "mov $0x1122334455667788, %rax\n movq %rax, %xmm0\n punpcklqdq %xmm0, %xmm0\n movups %xmm0, (%rbx)\n"
	"movaps (%rbx), %xmm1\n movq %xmm1, %rax\n out %eax, $0xe0\n psrldq $8, %xmm1\n movq %xmm1, %rax\n out %eax, $0xe0\n",
	WRITE(AT(0), 8, 0x1122334455667788), WRITE(AT(8), 8, 0x1122334455667788),
	READ(AT(0), 8, 0xaaaa5555), READ(AT(8), 8, 0x5555aaaa), REPORT(0xaaaa5555), REPORT(0x5555aaaa))

SCRIPT(mmio_page_crossing, 64,
	BASE "movl $0x44332211, 0xffe(%rbx)\n mov 0xfff(%rbx), %ax\n out %ax, $0xe4\n",
	WRITE(AT(0xffe), 2, 0x2211), WRITE(AT(0x1000), 2, 0x4433),
	READ(AT(0xfff), 1, 0x5a), READ(AT(0x1000), 1, 0xa5), OUT(0xe4, 2, 0xa55a))

SCRIPT(mmio_protected, 32,
	BASE "mov $0x11223344, %eax\n mov %al, (%ebx)\n mov %ax, (%ebx)\n mov %eax, (%ebx)\n mov %eax, %es:4(%ebx)\n"
	"mov (%ebx), %ecx\n mov %ecx, %eax\n out %eax, $0xe0\n mov %eax, 0x10000010\n addr16 mov 0x8000, %eax\n out %eax, $0xe0\n",
	WRITE(AT(0), 1, 0x44), WRITE(AT(0), 2, 0x3344), WRITE(AT(0), 4, 0x11223344), WRITE(AT(4), 4, 0x11223344),
	READ(AT(0), 4, 0x778899aa), REPORT(0x778899aa), WRITE(AT(0x10), 4, 0x778899aa), REPORT(0))

/* Real mode with a data segment whose base lies outside the memory. */
GUEST(mmio_real, 16,
	"mov $0x1234, %ax\n mov %al, 0x10\n mov %ax, (%bx,%si)\n mov %eax, %ds:0x20(%bp)\n mov 0x30, %eax\n out %eax, $0xe0\n"
	"mov $0x40, %di\n cld\n stosb\n rep stosw\n");
TEST(mmio_real)
{
	static const struct step steps[] = {
		WRITE(AT(0x10), 1, 0x34), WRITE(AT(3), 2, 0x1234), WRITE(AT(0x20), 4, 0x1234), READ(AT(0x30), 4, 0x13141516),
		REPORT(0x13141516), WRITE(AT(0x40), 1, 0x16), WRITE(AT(0x41), 2, 0x1516), WRITE(AT(0x43), 2, 0x1516), {}
	};
	struct vcpu *vcpu = GUEST_CREATE(mmio_real, 16);
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	IOCTL(vcpu->fd, KVM_GET_SREGS, &sregs);
	sregs.ds.base = sregs.es.base = MMIO_BASE;
	IOCTL(vcpu->fd, KVM_SET_SREGS, &sregs);
	regs_get(vcpu, &regs);
	regs.rbx = 1;
	regs.rsi = 2;
	regs.rcx = 2;
	regs_set(vcpu, &regs);
	guest_steps(vcpu, steps);
}

/* A write's registers are committed at the exit; a read's are not until the next entry. */
GUEST(mmio_commit, 64, BASE "mov %eax, (%rbx)\n mov (%rbx), %eax\n out %eax, $0xe0\n");
TEST(mmio_commit)
{
	struct vcpu *vcpu = GUEST_CREATE(mmio_commit, 64);
	struct kvm_regs regs;

	run_until(vcpu, KVM_EXIT_MMIO);
	regs_get(vcpu, &regs);
	REQUIRE(regs.rip == GUEST_CODE + 7, "rip %#llx after a write", regs.rip);
	run_until(vcpu, KVM_EXIT_MMIO);
	regs_get(vcpu, &regs);
	REQUIRE(regs.rax == 0, "rax %#llx before the data was given", regs.rax);
	bytes_put(vcpu->run->mmio.data, 4, 42);
	guest_expect(vcpu, 42, "MMIO read");
}

/* Code cannot be fetched from where there is no memory. */
GUEST(mmio_fetch, 64, "mov $0x10000000, %eax\n jmp *%rax\n");
TEST(mmio_fetch)
{
	struct vcpu *vcpu = GUEST_CREATE(mmio_fetch, 64);

	run_until(vcpu, KVM_EXIT_INTERNAL_ERROR);
	REQUIRE(vcpu->run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION, "suberror %u", vcpu->run->internal.suberror);
}
