/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run_move.c - vCPUs whose thread changes CPU: between two runs, before an
 * ioctl, beside another vCPU that keeps a CPU busy, and before the VM ends.
 *
 * Part of: run. On one CPU all of it is the same without a move.
 */
#include "test.h"
#include "vmm.h"
#include "guest.h"

#define ROUNDS 400u

/* RBX counts; XMM5 and a word of memory must come back as they were. */
GUEST(counter, 64,
      "xor %ebx, %ebx\n"
      "1: inc %rbx\n movq %rbx, %xmm5\n mov %rbx, 0x8100\n mov %ebx, %eax\n out %eax, $0xe0\n"
      "movq %xmm5, %rcx\n cmp %rbx, %rcx\n jne 2f\n cmp %rbx, 0x8100\n je 1b\n 2: hlt\n");

static struct vcpu *second(struct vcpu *one)
{
	struct vcpu *two = vcpu_create(one->vm, 1);

	cpuid_set(two, cpuid_supported(one->vm->sys));
	vcpu_mode(two, 64);
	return two;
}

static void expect_rbx(struct vcpu *vcpu, uint64_t rbx)
{
	struct kvm_regs regs;

	regs_get(vcpu, &regs);
	REQUIRE(regs.rbx == rbx, "RBX %#llx, wanted %#lx", regs.rbx, rbx);
}

TEST(moved_between_runs)
{
	struct vcpu *vcpu = GUEST_CREATE(counter, 64);

	for (unsigned int i = 0; i < ROUNDS; i++) {
		cpu_go(i);
		guest_expect(vcpu, i + 1, "the count");
		if (i % 3)
			cpu_go(i + 1);
		expect_rbx(vcpu, i + 1);
	}
}

/* Two vCPUs by one thread: each CPU works on one, then on the other. */
GUEST(reporter, 64, "1: inc %ebx\n mov %ebx, %eax\n out %eax, $0xe0\n jmp 1b\n");
TEST(moved_in_turn)
{
	struct vcpu *vcpu[2] = { GUEST_CREATE(reporter, 64) };
	uint32_t count[2] = { 0 };

	vcpu[1] = second(vcpu[0]);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		unsigned int which = i / 3 & 1;

		cpu_go(i / 4);
		guest_expect(vcpu[which], ++count[which], "the count");
		expect_rbx(vcpu[!which], count[!which]);
	}
}

/* The other vCPU leaves its guest for a moment, whenever this one comes from its CPU. */
TEST(moved_beside_a_busy_one)
{
	struct vcpu *vcpu = GUEST_CREATE(counter, 64), *other = GUEST_CREATE(reporter, 64);
	struct endless busy;

	endless_start(&busy, other);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		cpu_go(i);
		guest_expect(vcpu, i + 1, "the count");
	}
	endless_stop(&busy);
}

TEST(moved_before_the_end)
{
	for (unsigned int i = 0; i < 40; i++) {
		struct vcpu *vcpu = GUEST_CREATE(counter, 64);

		cpu_go(i);
		guest_expect(vcpu, 1, "the count");
		cpu_go(i / 2);
		expect_rbx(vcpu, 1);
		cpu_go(i + 1);
		vm_destroy(vcpu);
	}
}
