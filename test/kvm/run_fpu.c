// SPDX-License-Identifier: BSD-2-Clause
/*
 * run_fpu.c - floating point and vector state: kept over exits, apart between
 * vCPUs and from the VMM's own, and the same through KVM_GET/SET_FPU, XSAVE.
 *
 * Invariant under test: no register of one trust domain is seen in another.
 * See: AMD APM volume 1, chapter 4; volume 2, 11.5 (XSAVE).
 */
#include <string.h>

#include "guest.h"

/* Fills XMM0-15 and the x87 stack from RSI, then compares after every exit. */
GUEST(fpu, 64,
	"fninit\n movl $0x1f80, -16(%rsp)\n ldmxcsr -16(%rsp)\n"
	"movq %rsi, %xmm0\n punpcklqdq %xmm0, %xmm0\n"
	"movaps %xmm0, %xmm1\n paddq %xmm0, %xmm1\n movaps %xmm1, %xmm2\n paddq %xmm0, %xmm2\n"
	"movaps %xmm2, %xmm7\n movaps %xmm1, %xmm8\n movaps %xmm2, %xmm15\n"
	"push %rsi\n fildll (%rsp)\n fldpi\n pop %rax\n"
	"1: mov $0, %eax\n out %eax, $0xe0\n"
	"movq %xmm0, %rax\n cmp %rsi, %rax\n jne 2f\n"
	"lea (%rsi,%rsi), %rdi\n movq %xmm1, %rax\n cmp %rdi, %rax\n jne 2f\n movq %xmm8, %rax\n cmp %rdi, %rax\n jne 2f\n"
	"psrldq $0, %xmm7\n movhlps %xmm15, %xmm3\n movq %xmm3, %rax\n add %rsi, %rdi\n cmp %rdi, %rax\n jne 2f\n"
	"fld %st(1)\n push $0\n fistpll (%rsp)\n pop %rax\n cmp %rsi, %rax\n jne 2f\n"
	"stmxcsr -16(%rsp)\n cmpl $0x1f80, -16(%rsp)\n jne 2f\n jmp 1b\n"
	"2: mov $0xbad, %eax\n out %eax, $0xe0\n hlt\n");

/* The VMM's own vector registers change between two runs, as any program's do. */
static void disturb(void)
{
	asm volatile("pcmpeqd %%xmm0, %%xmm0\n movaps %%xmm0, %%xmm1\n movaps %%xmm0, %%xmm7\n movaps %%xmm0, %%xmm8\n"
		     "movaps %%xmm0, %%xmm15\n fninit\n fld1\n fldz\n fninit\n"
		     ::: "xmm0", "xmm1", "xmm7", "xmm8", "xmm15", "st", "st(1)");
}

static void set_rsi(struct vcpu *vcpu, uint64_t value)
{
	struct kvm_regs regs;

	regs_get(vcpu, &regs);
	regs.rsi = value;
	regs_set(vcpu, &regs);
}

TEST(fpu_over_exits)
{
	struct vcpu *vcpu = GUEST_CREATE(fpu, 64);

	set_rsi(vcpu, 0x123456789abcd);
	for (unsigned int i = 0; i < 200; i++) {
		guest_expect(vcpu, 0, "vector state after an exit");
		disturb();
	}
}

TEST(fpu_two_vcpus)
{
	struct vcpu *one = GUEST_CREATE(fpu, 64), *two = vcpu_create(one->vm, 1);
	struct kvm_regs regs;

	cpuid_set(two, cpuid_supported(one->vm->sys));
	vcpu_mode(two, 64);
	regs_get(two, &regs);
	regs.rsp -= 0x800;
	regs_set(two, &regs);
	set_rsi(one, 0x1111111111111);
	set_rsi(two, 0x2222222222222);
	for (unsigned int i = 0; i < 200; i++)
		guest_expect(i & 1 ? two : one, 0, "vector state of one vCPU after the other");
}

/* The host's registers are its own, too. */
TEST(fpu_of_the_vmm)
{
	struct vcpu *vcpu = GUEST_CREATE(fpu, 64);
	uint64_t before = 0x5aa55aa5deadbeef, after;

	set_rsi(vcpu, 77);
	for (unsigned int i = 0; i < 50; i++) {
		long result;

		asm volatile("movq %[in], %%xmm9\n movq %[in], %%xmm1\n syscall\n movq %%xmm9, %[out]\n"
			     : "=a"(result), [out] "=r"(after)
			     : "0"(16L), "D"((long)vcpu->fd), "S"((long)KVM_RUN), "d"(0L), [in] "r"(before)
			     : "rcx", "r11", "memory", "xmm9", "xmm1");
		REQUIRE(!result && after == before, "XMM9 is %#lx after KVM_RUN (%ld)", after, result);
	}
}

/* MXCSR is not compared: KVM_GET_FPU of 6.1 leaves it out. */
TEST(fpu_get_set)
{
	struct vcpu *vcpu = GUEST_CREATE(fpu, 64);
	struct kvm_fpu fpu;
	uint64_t want = 0x123456, value;

	set_rsi(vcpu, want);
	guest_expect(vcpu, 0, "first round");
	IOCTL(vcpu->fd, KVM_GET_FPU, &fpu);
	memcpy(&value, fpu.xmm[0], 8);
	EXPECT(value == want, "XMM0 %#lx", value);
	memcpy(&value, fpu.xmm[15] + 8, 8);
	EXPECT(value == 3 * want, "XMM15 %#lx", value);
	EXPECT(fpu.fcw == 0x37f, "FCW %#x", fpu.fcw);
	EXPECT(fpu.ftwx == 0xc0, "tag word %#x", fpu.ftwx);
	memcpy(fpu.xmm[0], "\xff\xff", 2);
	IOCTL(vcpu->fd, KVM_SET_FPU, &fpu);
	guest_expect(vcpu, 0xbad, "XMM0 changed by the VMM");
}

/* XSAVE's legacy part is FXSAVE: XMM0 is at byte 160, the header's XSTATE_BV at 512. */
TEST(fpu_xsave)
{
	struct vcpu *vcpu = GUEST_CREATE(fpu, 64);
	struct kvm_xsave *xsave = map_pages(sizeof(*xsave));
	uint64_t want = 0x4711, value;

	NEED(vcpu->vm->fd, KVM_CAP_XSAVE);
	set_rsi(vcpu, want);
	guest_expect(vcpu, 0, "first round");
	IOCTL(vcpu->fd, KVM_GET_XSAVE, xsave);
	memcpy(&value, (uint8_t *)xsave + 160, 8);
	EXPECT(value == want, "XMM0 %#lx", value);
	memcpy(&value, (uint8_t *)xsave + 512, 8);
	EXPECT((value & 3) == 3, "XSTATE_BV %#lx", value);
	IOCTL(vcpu->fd, KVM_SET_XSAVE, xsave);
	guest_expect(vcpu, 0, "after putting the same back");
	value = 1;
	memcpy((uint8_t *)xsave + 160, &value, 8);
	IOCTL(vcpu->fd, KVM_SET_XSAVE, xsave);
	guest_expect(vcpu, 0xbad, "XMM0 changed by the VMM");
}

/*
 * The upper halves of YMM, where the CPU has AVX. The VMM sets XCR0: QEMU 7.2
 * has no XSETBV intercept, so KVM there does not notice the guest doing it.
 */
GUEST(avx, 64,
	"mov %cr4, %rax\n or $0x40000, %eax\n mov %rax, %cr4\n xor %ecx, %ecx\n xgetbv\n out %eax, $0xe0\n"
	"movq %rsi, %xmm0\n vinsertf128 $1, %xmm0, %ymm0, %ymm5\n"
	"1: mov $0, %eax\n out %eax, $0xe0\n vextractf128 $1, %ymm5, %xmm1\n movq %xmm1, %rax\n cmp %rsi, %rax\n je 1b\n"
	"mov $0xbad, %eax\n out %eax, $0xe0\n hlt\n");
static void enable_avx(struct vcpu *vcpu)
{
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0] = { .xcr = 0, .value = 7 } };

	IOCTL(vcpu->fd, KVM_SET_XCRS, &xcrs);
}

TEST(avx_over_exits)
{
	struct vcpu *one = GUEST_CREATE(avx, 64), *two;
	struct kvm_cpuid2 *table = cpuid_supported(one->vm->sys);
	struct kvm_cpuid_entry2 *e = cpuid_find(table, 1, 0);

	NEED(one->vm->fd, KVM_CAP_XCRS);
	if (!(e->ecx & 1u << 28))
		test_skip("no AVX in KVM_GET_SUPPORTED_CPUID");
	two = vcpu_create(one->vm, 1);
	cpuid_set(two, table);
	vcpu_mode(two, 64);
	enable_avx(one);
	enable_avx(two);
	set_rsi(one, 0x1111);
	set_rsi(two, 0x2222);
	guest_expect(one, 7, "XCR0");
	guest_expect(two, 7, "XCR0");
	for (unsigned int i = 0; i < 200; i++)
		guest_expect(i & 1 ? two : one, 0, "YMM5's upper half");
}

/* XCR0 without x87 is no value. */
GUEST(xsetbv, 64,
	"mov %cr4, %rax\n or $0x40000, %eax\n mov %rax, %cr4\n xor %ecx, %ecx\n xor %edx, %edx\n xor %eax, %eax\n xsetbv\n"
	"mov $1, %eax\n out %eax, $0xe0\n");
TEST(xsetbv_refused)
{
	struct vcpu *vcpu = GUEST_CREATE(xsetbv, 64);

	NEED(vcpu->vm->fd, KVM_CAP_XCRS);
	guest_steps(vcpu, (const struct step[]) { TRAP(13, 3), REPORT(1), {} });
}
