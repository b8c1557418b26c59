// SPDX-License-Identifier: BSD-2-Clause
/*
 * run_debug.c - debugging a guest from the VMM, and a guest debugging itself.
 *
 * Invariant under test: the two do not see each other's breakpoints.
 * See: AMD APM volume 2, chapter 13.
 */
#include <string.h>

#include "guest.h"

#define DB 1
#define BP 3
#define DR6_B0 0x1ull
#define DR6_STEP 0x4000ull
#define DR7_EXECUTE_0 0x402ull
#define DR7_WRITE4_0 0xd0402ull

static void debug(struct vcpu *vcpu, uint32_t control, uint64_t dr0, uint64_t dr7)
{
	struct kvm_guest_debug debug = { .control = control, .arch.debugreg = { [0] = dr0, [7] = dr7 } };

	NEED(vcpu->vm->fd, KVM_CAP_SET_GUEST_DEBUG);
	IOCTL(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug);
}

static void debug_expect(struct vcpu *vcpu, uint32_t exception, uint64_t pc, uint64_t dr6)
{
	struct kvm_debug_exit_arch *arch = &vcpu->run->debug.arch;

	run_until(vcpu, KVM_EXIT_DEBUG);
	REQUIRE(arch->exception == exception && arch->pc == pc, "exception %u at %#llx, wanted %u at %#lx", arch->exception,
		arch->pc, exception, pc);
	REQUIRE((arch->dr6 & dr6) == dr6, "DR6 %#llx, wanted %#lx in it", arch->dr6, dr6);
}

GUEST(steps, 64, "nop\n nop\n mov $1, %eax\n nop\n out %eax, $0xe0\n nop\n hlt\n");

/*
 * Bochs 2.7 leaves a step pending when the first fetch meets an EPT violation,
 * and stock KVM reports it: a page that was used before meets none.
 */
static struct vcpu *page_used(struct vcpu *vcpu)
{
	struct kvm_regs regs;

	regs_get(vcpu, &regs);
	regs.rip = GUEST_CODE + 0xfff;
	vcpu->vm->memory[regs.rip] = 0xf4;
	regs_set(vcpu, &regs);
	run_until(vcpu, KVM_EXIT_HLT);
	regs.rip = GUEST_CODE;
	regs_set(vcpu, &regs);
	return vcpu;
}

TEST(debug_single_step)
{
	struct vcpu *vcpu = page_used(GUEST_CREATE(steps, 64));

	debug(vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, 0, 0);
	debug_expect(vcpu, DB, GUEST_CODE + 1, DR6_STEP);
	debug_expect(vcpu, DB, GUEST_CODE + 2, DR6_STEP);
	debug_expect(vcpu, DB, GUEST_CODE + 7, DR6_STEP);
	debug(vcpu, 0, 0, 0);
	guest_expect(vcpu, 1, "stepping off");
	run_until(vcpu, KVM_EXIT_HLT);
}

/* An instruction that the VMM finishes is one step, too. */
GUEST(steps_device, 64, "mov $0x10000000, %ebx\n mov (%rbx), %eax\n rolb $1, 4(%rbx)\n nop\n hlt\n");

TEST(debug_single_step_device)
{
	struct vcpu *vcpu = page_used(GUEST_CREATE(steps_device, 64));

	debug(vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, 0, 0);
	debug_expect(vcpu, DB, GUEST_CODE + 5, DR6_STEP);
	run_until(vcpu, KVM_EXIT_MMIO);
	memset(vcpu->run->mmio.data, 0x5a, 8);
	debug_expect(vcpu, DB, GUEST_CODE + 7, DR6_STEP);
	debug(vcpu, 0, 0, 0);
	run_until(vcpu, KVM_EXIT_MMIO);
}

/* RFLAGS.TF after a read of a device. */
SCRIPT(debug_trap_flag_device, 64,
	"mov $0x10000000, %ebx\n pushf\n orl $0x100, (%rsp)\n popf\n mov (%rbx), %eax\n nop\n",
	READ(MMIO_BASE, 4, 0x5a), TRAP(1, 0))

/* The guest's RFLAGS.TF stays its own while the VMM steps. */
TEST(debug_step_hides_trap_flag)
{
	struct vcpu *vcpu = page_used(GUEST_CREATE(steps, 64));
	struct kvm_regs regs;

	debug(vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, 0, 0);
	debug_expect(vcpu, DB, GUEST_CODE + 1, DR6_STEP);
	regs_get(vcpu, &regs);
	REQUIRE(!(regs.rflags & 0x100), "rflags %#llx", regs.rflags);
}

TEST(debug_hardware_breakpoint)
{
	struct vcpu *vcpu = GUEST_CREATE(steps, 64);

	need_silicon();
	debug(vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, GUEST_CODE + 7, DR7_EXECUTE_0);
	debug_expect(vcpu, DB, GUEST_CODE + 7, DR6_B0);
	debug(vcpu, 0, 0, 0);
	guest_expect(vcpu, 1, "breakpoint off");
}

GUEST(stores, 64, "mov $0x8100, %ebx\n movl $1, 4(%rbx)\n movl $2, (%rbx)\n nop\n mov $1, %eax\n out %eax, $0xe0\n");
TEST(debug_watchpoint)
{
	struct vcpu *vcpu = GUEST_CREATE(stores, 64);

	need_silicon();
	debug(vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, 0x8100, DR7_WRITE4_0);
	debug_expect(vcpu, DB, GUEST_CODE + 18, DR6_B0);
	guest_expect(vcpu, 1, "going on");
}

/* INT3 is the VMM's with software breakpoints on, the guest's else. */
GUEST(breakpoint, 64, "nop\n int3\n mov $1, %eax\n out %eax, $0xe0\n");
TEST(debug_software_breakpoint)
{
	struct vcpu *vcpu = GUEST_CREATE(breakpoint, 64);
	struct kvm_regs regs;

	need_silicon();
	debug(vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP, 0, 0);
	debug_expect(vcpu, BP, GUEST_CODE + 1, 0);
	regs_get(vcpu, &regs);
	regs.rip = GUEST_CODE + 2;
	regs_set(vcpu, &regs);
	guest_expect(vcpu, 1, "past the breakpoint");
}
TEST(debug_guests_breakpoint)
{
	struct vcpu *vcpu = GUEST_CREATE(breakpoint, 64);

	guest_steps(vcpu, (const struct step[]) { TRAP(BP, 0), REPORT(1), {} });
}

/* The guest's own breakpoint: #DB in the guest, DR6 says which. */
GUEST(own_breakpoint, 64,
	"mov $0x8100, %eax\n mov %rax, %dr0\n mov $0xd0402, %eax\n mov %rax, %dr7\n movl $2, 0x8100\n nop\n"
	"mov %dr6, %rax\n and $0xf, %eax\n out %eax, $0xe0\n xor %eax, %eax\n mov %rax, %dr7\n movl $2, 0x8100\n"
	"mov %dr0, %rax\n out %eax, $0xe0\n");
TEST(debug_guests_watchpoint)
{
	struct vcpu *vcpu = GUEST_CREATE(own_breakpoint, 64);
	struct kvm_debugregs regs;

	cpu_keep();
	guest_steps(vcpu, (const struct step[]) { TRAP(DB, 0), REPORT(1), REPORT(0x8100), {} });
	NEED(vcpu->vm->fd, KVM_CAP_DEBUGREGS);
	IOCTL(vcpu->fd, KVM_GET_DEBUGREGS, &regs);
	REQUIRE(regs.db[0] == 0x8100, "DR0 %#llx", regs.db[0]);
}

/* The guest's own single step. */
GUEST(own_step, 64, "pushf\n orl $0x100, (%rsp)\n popf\n nop\n nop\n mov $1, %eax\n out %eax, $0xe0\n");
TEST(debug_guests_single_step)
{
	struct vcpu *vcpu = GUEST_CREATE(own_step, 64);
	struct kvm_regs regs;
	uint8_t *frame;

	for (unsigned int i = 0; i < 2; i++) {
		unsigned int vector = guest_trap(vcpu);

		REQUIRE(vector == DB, "vector %u", vector);
	}
	regs_get(vcpu, &regs);
	frame = vcpu->vm->memory + regs.rsp;
	bytes_put(frame + 16, 8, bytes_get(frame + 16, 8) & ~0x100ull);
	guest_expect(vcpu, 1, "stepping off");
}

/* What the VMM sets the guest reads. */
GUEST(read_dr, 64, "mov %dr1, %rax\n out %eax, $0xe0\n mov %dr7, %rax\n out %eax, $0xe0\n");
TEST(debug_registers_from_vmm)
{
	struct vcpu *vcpu = GUEST_CREATE(read_dr, 64);
	struct kvm_debugregs regs;

	NEED(vcpu->vm->fd, KVM_CAP_DEBUGREGS);
	IOCTL(vcpu->fd, KVM_GET_DEBUGREGS, &regs);
	regs.db[1] = 0x1234;
	IOCTL(vcpu->fd, KVM_SET_DEBUGREGS, &regs);
	guest_steps(vcpu, (const struct step[]) { REPORT(0x1234), REPORT(0x400), {} });
}
