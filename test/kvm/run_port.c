// SPDX-License-Identifier: BSD-2-Clause
/*
 * run_port.c - port I/O in every size, mode and string form; HLT.
 *
 * Owns: the program's main. A string instruction may exit once per element or
 * once for many: guest.c accepts both. See: AMD APM volume 3, IN, OUT, INS, OUTS.
 */
#include <string.h>

#include "guest.h"

#define PORT_CODE							\
	"mov $0x11223344, %eax\n"					\
	"out %al, $0x10\n out %ax, $0x20\n out %eax, $0x30\n"		\
	"mov $0x3f8, %dx\n"						\
	"out %al, %dx\n out %ax, %dx\n out %eax, %dx\n"			\
	"in $0x10, %al\n out %eax, $0xe0\n"				\
	"in $0x20, %ax\n out %eax, $0xe0\n"				\
	"in %dx, %eax\n out %eax, $0xe0\n"				\
	"hlt\n"
#define PORT_STEPS							\
	OUT(0x10, 1, 0x44), OUT(0x20, 2, 0x3344), OUT(0x30, 4, 0x11223344),	\
	OUT(0x3f8, 1, 0x44), OUT(0x3f8, 2, 0x3344), OUT(0x3f8, 4, 0x11223344),	\
	IN(0x10, 1, 0xaa), REPORT(0x112233aa),				\
	IN(0x20, 2, 0xbbcc), REPORT(0x1122bbcc),			\
	IN(0x3f8, 4, 0xdeadbeef), REPORT(0xdeadbeef), HLT

SCRIPT(port_real, 16, PORT_CODE, PORT_STEPS)
SCRIPT(port_protected, 32, PORT_CODE, PORT_STEPS)
SCRIPT(port_long, 64, PORT_CODE, PORT_STEPS)

/* A 32-bit IN clears the upper half of RAX, the smaller ones keep it. */
SCRIPT(port_in_upper_half, 64,
	"mov $-1, %rax\n in $0x10, %al\n mov %rax, %rbx\n in $0x10, %eax\n"
	"xchg %rax, %rbx\n shr $32, %rax\n out %eax, $0xe0\n"
	"mov %rbx, %rax\n shr $32, %rax\n out %eax, $0xe0\n",
	IN(0x10, 1, 0x5a), IN(0x10, 4, 0x12345678), REPORT(0xffffffff), REPORT(0))

#define DATA_AT_SI "mov $0x8000, %esi\n movl $0x04030201, (%esi)\n movl $0x08070605, 4(%esi)\n"
#define OUTS_STEPS							\
	OUT(0x60, 1, 1), OUT(0x60, 1, 2), OUT(0x60, 1, 3), REPORT(0x8003),	\
	OUT(0x60, 2, 0x0504), OUT(0x60, 2, 0x0706), REPORT(0x8007),	\
	OUT(0x60, 4, 0x08070605), REPORT(0x8008), REPORT(0)
#define OUTS_CODE							\
	"mov $0x60, %dx\n cld\n"					\
	"mov $3, %ecx\n rep outsb\n mov %esi, %eax\n out %eax, $0xe0\n"	\
	"mov $2, %ecx\n rep outsw\n mov %esi, %eax\n out %eax, $0xe0\n"	\
	"mov $0x8004, %esi\n outsl\n mov %esi, %eax\n out %eax, $0xe0\n"	\
	"xor %ecx, %ecx\n rep outsb\n mov %ecx, %eax\n out %eax, $0xe0\n"

SCRIPT(outs_protected, 32, DATA_AT_SI OUTS_CODE, OUTS_STEPS)
SCRIPT(outs_long, 64, DATA_AT_SI OUTS_CODE, OUTS_STEPS)
SCRIPT(outs_real, 16, "mov $0x8000, %esi\n movl $0x04030201, (%si)\n movl $0x08070605, 4(%si)\n" OUTS_CODE, OUTS_STEPS)

SCRIPT(outs_backwards, 64,
	DATA_AT_SI "mov $0x60, %dx\n std\n mov $0x8003, %esi\n mov $4, %ecx\n rep outsb\n"
	"mov %esi, %eax\n out %eax, $0xe0\n",
	OUT(0x60, 1, 4), OUT(0x60, 1, 3), OUT(0x60, 1, 2), OUT(0x60, 1, 1), REPORT(0x7fff))

SCRIPT(ins_long, 64,
	"mov $0x8000, %edi\n mov $0x60, %dx\n cld\n mov $4, %ecx\n rep insb\n"
	"mov 0x8000, %eax\n out %eax, $0xe0\n mov %edi, %eax\n out %eax, $0xe0\n mov %ecx, %eax\n out %eax, $0xe0\n"
	"insw\n insl\n mov 0x8004, %ax\n out %ax, $0xe4\n mov 0x8006, %eax\n out %eax, $0xe0\n",
	IN(0x60, 1, 0x11), IN(0x60, 1, 0x22), IN(0x60, 1, 0x33), IN(0x60, 1, 0x44),
	REPORT(0x44332211), REPORT(0x8004), REPORT(0),
	IN(0x60, 2, 0x6655), IN(0x60, 4, 0xaa998877), OUT(0xe4, 2, 0x6655), REPORT(0xaa998877))

SCRIPT(ins_real, 16,
	"mov $0x8000, %di\n mov $0x60, %dx\n cld\n mov $2, %cx\n rep insw\n"
	"mov 0x8000, %eax\n out %eax, $0xe0\n mov %di, %ax\n out %ax, $0xe4\n",
	IN(0x60, 2, 0x2211), IN(0x60, 2, 0x4433), REPORT(0x44332211), OUT(0xe4, 2, 0x8004))

/* 600 elements cross a page: more than one exit for any implementation. */
GUEST(ins_many, 64,
	"mov $0x8f00, %edi\n mov $0x60, %dx\n cld\n mov $600, %ecx\n rep insb\n mov $0xe0, %eax\n out %eax, $0xe0\n");
TEST(ins_many)
{
	struct vcpu *vcpu = GUEST_CREATE(ins_many, 64);
	unsigned int done = 0;

	while (done < 600) {
		uint8_t *data;

		run_until(vcpu, KVM_EXIT_IO);
		REQUIRE(!vcpu->run->io.direction && vcpu->run->io.size == 1, "not an INSB after %u", done);
		data = io_data(vcpu->run);
		for (uint32_t i = 0; i < vcpu->run->io.count; i++)
			data[i] = done++ * 7;
	}
	REQUIRE(done == 600, "%u elements", done);
	guest_expect(vcpu, 0xe0, "end");
	for (unsigned int i = 0; i < 600; i++)
		REQUIRE(vcpu->vm->memory[0x8f00 + i] == (uint8_t)(i * 7), "byte %u is wrong", i);
}

/* HLT leaves RIP past itself, and running again goes on. */
GUEST(hlt, 64, "hlt\n hlt\n mov $1, %eax\n out %eax, $0xe0\n");
TEST(hlt)
{
	struct vcpu *vcpu = GUEST_CREATE(hlt, 64);
	struct kvm_regs regs;

	for (unsigned int i = 1; i <= 2; i++) {
		run_until(vcpu, KVM_EXIT_HLT);
		regs_get(vcpu, &regs);
		REQUIRE(regs.rip == GUEST_CODE + i, "rip %#llx", regs.rip);
	}
	guest_expect(vcpu, 1, "after HLT");
}

/* KVM completes an IN on the next entry: until then RAX is the old one; an OUT's RIP may be either. */
GUEST(in_completion, 64, "mov $5, %eax\n in $0x10, %eax\n out %eax, $0xe0\n");
TEST(in_completion)
{
	struct vcpu *vcpu = GUEST_CREATE(in_completion, 64);
	struct kvm_regs regs;

	run_until(vcpu, KVM_EXIT_IO);
	regs_get(vcpu, &regs);
	REQUIRE(regs.rax == 5, "rax %#llx before the data was given", regs.rax);
	bytes_put(io_data(vcpu->run), 4, 0x77);
	guest_expect(vcpu, 0x77, "IN");
}

/* SET_REGS with another RIP between the exit and the entry cancels the rest of the instruction. */
GUEST(in_cancelled, 64, "mov $5, %eax\n in $0x10, %eax\n nop\n out %eax, $0xe0\n");
TEST(in_cancelled)
{
	struct vcpu *vcpu = GUEST_CREATE(in_cancelled, 64);
	struct kvm_regs regs;

	run_until(vcpu, KVM_EXIT_IO);
	bytes_put(io_data(vcpu->run), 4, 0x77);
	regs_get(vcpu, &regs);
	regs.rip = GUEST_CODE + 8;
	regs.rax = 0x99;
	regs_set(vcpu, &regs);
	guest_expect(vcpu, 0x99, "RAX after a cancelled IN");
}

int main(int argc, char **argv)
{
	return test_main("run", argc, argv);
}
