// SPDX-License-Identifier: BSD-2-Clause
/*
 * lapic_guest.c - the guest of lapic.h, and what it sees of one local APIC:
 * IPIs to itself, priorities, timers, modes.
 *
 * See: SDM volume 3, chapter 11.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lapic.h"

#define HANDLERS GUEST_FREE
#define HANDLER_BYTES 16u
#define MSR_TSC 0x10u
#define REPORT_DONE 1u

GUEST(handlers, 64, ".set v, 0\n .rept 256\n .balign 16\n push %rax\n mov $0x100 + v, %eax\n out %eax, $0xe0\n"
	"pop %rax\n iretq\n .set v, v + 1\n .endr\n .balign 16\n");
/* Each request: 32 bytes, ends with a report of EAX. */
GUEST(requests, 64,
	".balign 32\n wrmsr\n mov $1, %eax\n out %eax, $0xe0\n"
	".balign 32\n rdmsr\n mov %rdx, %r8\n out %eax, $0xe0\n"
	".balign 32\n mov %eax, (%rbx)\n mov $1, %eax\n out %eax, $0xe0\n"
	".balign 32\n mov (%rbx), %eax\n out %eax, $0xe0\n"
	".balign 32\n mov %rax, %cr8\n mov $1, %eax\n out %eax, $0xe0\n"
	".balign 32\n mov %cr8, %rax\n out %eax, $0xe0\n"
	".balign 32\n sti\n nop\n nop\n cli\n mov $1, %eax\n out %eax, $0xe0\n"
	".balign 32\n sti\n hlt\n cli\n mov $1, %eax\n out %eax, $0xe0\n"
	".balign 32\n mov $1, %eax\n cpuid\n mov %edx, %eax\n shr $9, %eax\n and $1, %eax\n out %eax, $0xe0\n"
	".balign 32\n 1: loop 1b\n mov $1, %eax\n out %eax, $0xe0\n");
enum { REQUEST_WRMSR, REQUEST_RDMSR, REQUEST_STORE, REQUEST_LOAD, REQUEST_CR8, REQUEST_READ_CR8, REQUEST_OPEN,
	REQUEST_HALT, REQUEST_CPUID, REQUEST_CLOSED };

struct vm *lapic_vm(int split)
{
	struct vm *vm = vm_create(GUEST_MEMORY);
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };

	NEED(vm->fd, KVM_CAP_IRQCHIP);
	/*
	 * Tables and stacks are there before the first interrupt: Bochs 2.7 forgets to note a virtual interrupt as
	 * IDT-vectoring information, and where its delivery meets an EPT violation says what it delivered before that.
	 */
	memset(vm->memory, 0, GUEST_STACK);
	if (split)
		IOCTL(vm->fd, KVM_ENABLE_CAP, &cap);
	else
		IOCTL(vm->fd, KVM_CREATE_IRQCHIP, 0);
	return vm;
}

static void gates(struct vm *vm)
{
	LOAD(vm, HANDLERS, handlers);
	for (uint64_t vector = 0; vector < 256; vector++) {
		uint64_t at = HANDLERS + vector * HANDLER_BYTES;
		uint64_t gate = (at & 0xffff) | (at & 0xffff0000) << 32 | (uint64_t)CS_SELECTOR << 16 | 0x8e00ull << 32;

		memcpy(vm->memory + GUEST_IDT + vector * 16, &gate, 8);
	}
}

struct vcpu *lapic_vcpu(struct vm *vm, int id)
{
	struct vcpu *vcpu = vcpu_create(vm, id);
	struct kvm_cpuid2 *cpuid = cpuid_supported(vm->sys);
	struct kvm_cpuid_entry2 *one = cpuid_find(cpuid, 1, 0);

	if (kvm_capability(vm->fd, KVM_CAP_TSC_DEADLINE_TIMER))
		one->ecx |= 1u << 24;
	cpuid_set(vcpu, cpuid);
	vcpu_mode(vcpu, 64);
	LOAD(vm, GUEST_CODE, requests);
	gates(vm);
	return vcpu;
}

/* ---- acts */

static uint32_t request(struct vcpu *vcpu, uint32_t which, const struct act *a)
{
	struct kvm_regs regs = { .rip = GUEST_CODE + 32 * which, .rflags = 2, .rsp = GUEST_STACK };

	regs.rax = a->kind == ACT_WRMSR || a->kind == ACT_WRMSR_GP ? (uint32_t)a->value : a->value;
	regs.rdx = a->value >> 32;
	regs.rcx = regs.rbx = a->where;
	regs_set(vcpu, &regs);
	return guest_report(vcpu);
}

static void act_access(struct vcpu *vcpu, const struct act *a)
{
	static const struct { uint32_t request, want; } how[] = {
		[ACT_WRMSR] = { REQUEST_WRMSR, REPORT_DONE }, [ACT_WRMSR_GP] = { REQUEST_WRMSR, TOOK(13) },
		[ACT_RDMSR] = { REQUEST_RDMSR, 0 }, [ACT_RDMSR_GP] = { REQUEST_RDMSR, TOOK(13) },
		[ACT_STORE] = { REQUEST_STORE, REPORT_DONE }, [ACT_LOAD] = { REQUEST_LOAD, 0 },
		[ACT_CR8] = { REQUEST_CR8, REPORT_DONE }, [ACT_READ_CR8] = { REQUEST_READ_CR8, 0 },
		[ACT_CPUID] = { REQUEST_CPUID, 0 }, [ACT_CLOSED] = { REQUEST_CLOSED, REPORT_DONE },
	};
	uint32_t got = request(vcpu, how[a->kind].request, a), want = how[a->kind].want;
	struct kvm_regs regs;
	uint64_t value = got;

	regs_get(vcpu, &regs);
	if (a->kind == ACT_RDMSR && got != TOOK(13))
		value |= regs.r8 << 32;
	if (!want)
		EXPECT(value == a->value, "%#x reads %#lx, wanted %#lx", a->where, value, a->value);
	else
		EXPECT(got == want, "%#x with %#lx: %#x, wanted %#x", a->where, a->value, got, want);
}

/* Vectors until the request is done. */
static void act_take(struct vcpu *vcpu, const struct act *a)
{
	uint32_t got = request(vcpu, a->kind == ACT_HALT ? REQUEST_HALT : REQUEST_OPEN, a);
	uint64_t all = 0;
	unsigned int n;

	for (n = 0; got != REPORT_DONE && n < 8; n++) {
		all |= (uint64_t)(got - 0x100) << 8 * n;
		got = guest_report(vcpu);
	}
	EXPECT(got == REPORT_DONE, "more than 8 interrupts");
	EXPECT(all == a->value, "vectors %#lx, wanted %#lx", all, a->value);
}

void acts_play(struct vcpu *vcpu, const struct act *acts)
{
	for (const struct act *a = acts; a->kind != ACT_END; a++) {
		test_step = a - acts;
		if (a->kind == ACT_TAKE || a->kind == ACT_HALT)
			act_take(vcpu, a);
		else
			act_access(vcpu, a);
	}
	test_step = -1;
}

/* ---- a vCPU in a thread */

struct runner {
	struct vcpu *vcpu;
	pthread_t thread;
	int pipe[2];
};

static void *runner_thread(void *argument)
{
	struct runner *r = argument;
	uint32_t value;
	int result;

	for (;;) {
		result = run_try(r->vcpu);
		if (result == -EAGAIN || result == -EINTR)
			continue;
		value = r->vcpu->run->exit_reason == KVM_EXIT_IO ? bytes_get(io_data(r->vcpu->run), 4) :
			0xdead0000 | r->vcpu->run->exit_reason;
		if (result || write(r->pipe[1], &value, sizeof(value)) != sizeof(value))
			return NULL;
	}
}

struct runner *runner_start(struct vcpu *vcpu)
{
	struct runner *r = calloc(1, sizeof(*r));

	r->vcpu = vcpu;
	REQUIRE(!pipe(r->pipe) && !pthread_create(&r->thread, NULL, runner_thread, r), "no thread");
	return r;
}

uint32_t runner_report(struct runner *r)
{
	uint32_t value;

	REQUIRE(read(r->pipe[0], &value, sizeof(value)) == sizeof(value), "the pipe is closed");
	return value;
}

/* ---- interrupts to itself */

TEST(self_ipi_x2)
{
	struct vcpu *vcpu = lapic_vcpu(lapic_vm(0), 0);

	ACTS(vcpu, WR_GP(0x83f, 0x51), TO_X2,
		WR(0x83f, 0x51), TAKE(0x51), NOTHING, EOI_X2,
		WR(0x83f, 0x51), WR(0x83f, 0x62), WR(0x83f, 0x51), TAKE(0x62), EOI_X2, TAKE(0x51), EOI_X2, NOTHING,
		WR(0x83f, 0x70), TAKE(0x70), WR(0x83f, 0x7f), NOTHING, WR(0x83f, 0x80), TAKE(0x80), EOI_X2, NOTHING,
		EOI_X2, TAKE(0x7f), EOI_X2, EOI_X2, NOTHING,
		WR(0x83f, 0x51), HALT(0x51), EOI_X2,
		WR_GP(0x83f, 0x151), WR_GP(0x83f, 1ull << 32), RD_GP(0x83f), NOTHING);
}

TEST(icr_x2)
{
	struct vcpu *vcpu = lapic_vcpu(lapic_vm(0), 0);

	ACTS(vcpu, TO_X2,
		WR(0x830, 0x44051), TAKE(0x51), EOI_X2,			/* self */
		WR(0x830, 0x84052), TAKE(0x52), EOI_X2,			/* all */
		WR(0x830, 0xc4053), NOTHING,				/* others */
		WR(0x830, 0x4054), TAKE(0x54), EOI_X2,			/* physical, 0 */
		WR(0x830, 1ull << 32 | 0x4055), NOTHING,
		WR(0x830, 0xffffffffull << 32 | 0x4056), TAKE(0x56), EOI_X2,
		WR(0x830, 0xffull << 32 | 0x4057), NOTHING,
		WR(0x830, 1ull << 32 | 0x4858), TAKE(0x58), EOI_X2,	/* logical */
		WR(0x830, 2ull << 32 | 0x4859), NOTHING,
		WR(0x830, 0x44100 | 0x5a), TAKE(0x5a), EOI_X2,		/* lowest priority */
		WR(0x830, 0x44051), WR(0x830, 0x44051), TAKE(0x51), EOI_X2, NOTHING,
		RD(0x830, 0x44051), WR_GP(0x830, 1 << 13), WR_GP(0x830, 1 << 20), WR_GP(0x830, 1 << 16));
}

TEST(icr_xapic)
{
	struct vcpu *vcpu = lapic_vcpu(lapic_vm(0), 0);

	ACTS(vcpu, ST(0x300, 0x44051), NOTHING, ON,
		ST(0x300, 0x44051), TAKE(0x51), EOI,
		ST(0x310, 0), ST(0x300, 0x4052), TAKE(0x52), EOI,
		ST(0x310, 1 << 24), ST(0x300, 0x4053), NOTHING,
		ST(0x310, 0xff000000), ST(0x300, 0x4054), TAKE(0x54), EOI,
		ST(0xd0, 0x04000000), ST(0x310, 0x06000000), ST(0x300, 0x4855), TAKE(0x55), EOI,
		ST(0xe0, 0x0fffffff), ST(0xd0, 0x14000000), ST(0x310, 0x24000000), ST(0x300, 0x4856), NOTHING,
		ST(0x310, 0x1f000000), ST(0x300, 0x4857), TAKE(0x57), EOI,
		LD(0x310, 0x1f000000), LD(0x300, 0x4857), ST(0x300, 0x1044051), LD(0x300, 0x1044051), TAKE(0x51), EOI);
}

TEST(nmi_to_itself)
{
	struct vcpu *vcpu = lapic_vcpu(lapic_vm(0), 0);
	struct act nmi = { ACT_STORE, 0xfee00300, 0x44400 };

	ACTS(vcpu, ON);
	REQUIRE(request(vcpu, REQUEST_STORE, &nmi) == TOOK(2), "no NMI");
	guest_expect(vcpu, REPORT_DONE, "back from it");
	IOCTL(vcpu->fd, KVM_NMI, 0);
	ACTS(vcpu, TAKE(2));
}

TEST(priorities)
{
	struct vcpu *vcpu = lapic_vcpu(lapic_vm(0), 0);

	ACTS(vcpu, ON, CR8(5), LD(0x80, 0x50), LD(0xa0, 0x50),
		ST(0x300, 0x44051), ST(0x300, 0x4404f), NOTHING, ST(0x300, 0x44061), TAKE(0x61), LD(0xa0, 0x60),
		NOTHING, EOI, NOTHING, CR8(4), TAKE(0x51), LD(0xa0, 0x50), EOI, NOTHING, ST(0x80, 0x30), CR8_IS(3),
		LD(0x80, 0x30), TAKE(0x4f), EOI, ST(0x80, 0xf0), CR8_IS(15), ST(0x300, 0x440ff), NOTHING, CR8(0),
		TAKE(0xff), EOI, LD(0x80, 0));
}

TEST(priorities_x2)
{
	struct vcpu *vcpu = lapic_vcpu(lapic_vm(0), 0);

	ACTS(vcpu, TO_X2, WR(0x808, 0x50), CR8_IS(5), RD(0x80a, 0x50), WR(0x83f, 0x5f), NOTHING, WR(0x808, 0x40),
		TAKE(0x5f), RD(0x80a, 0x50), EOI_X2, RD(0x80a, 0x40), WR_GP(0x808, 1ull << 32), WR_GP(0x80a, 0));
}

/* Physical interrupts that come meanwhile let nothing in. */
TEST(closed_for_a_while)
{
	struct vcpu *vcpu = lapic_vcpu(lapic_vm(0), 0);

	ACTS(vcpu, TO_X2, WR(0x83f, 0x51), CLOSED, TAKE(0x51), WR(0x83f, 0x62), CLOSED, TAKE(0x62), WR(0x83f, 0x52), EOI_X2,
		CLOSED, EOI_X2, CLOSED, TAKE(0x52), EOI_X2, NOTHING);
}

/* What is in service and requested can be read. */
TEST(isr_and_irr)
{
	struct vcpu *vcpu = lapic_vcpu(lapic_vm(0), 0);

	ACTS(vcpu, TO_X2, WR(0x83f, 0x41), WR(0x83f, 0x63), RD(0x822, 2), RD(0x823, 8), RD(0x812, 0), TAKE(0x63),
		RD(0x823, 0), RD(0x813, 8), RD(0x822, 2), EOI_X2, RD(0x813, 0), TAKE(0x41), RD(0x812, 2), EOI_X2, RD(0x812, 0));
}

/* ---- modes */

TEST(base_transitions)
{
	struct vcpu *vcpu = lapic_vcpu(lapic_vm(0), 0);

	ACTS(vcpu, RD(0x1b, 0xfee00900), APIC_BIT(1), RD_GP(0x802), WR_GP(0x80f, 0),
		WR_GP(0x1b, 0xfee00500), WR_GP(0x1b, 0xfee00900 | 1 << 9), WR_GP(0x1b, 0xfee00900 | 1ull << 60),
		WR(0x1b, 0xfee00d00), RD(0x802, 0), RD(0x80d, 1), LD(0x20, 0xffffffff), ST(0xf0, 0x1ff), RD(0x80f, 0xff),
		WR_GP(0x1b, 0xfee00900), WR(0x1b, 0xfee00100), APIC_BIT(0), RD_GP(0x802), LD(0x20, 0xffffffff),
		WR_GP(0x1b, 0xfee00d00), WR(0x1b, 0xfee00900), APIC_BIT(1), LD(0x20, 0), LD(0x30, 0x50014));
}

TEST(x2_registers)
{
	struct vcpu *vcpu = lapic_vcpu(lapic_vm(0), 0);

	ACTS(vcpu, TO_X2, WR_GP(0x802, 0), WR_GP(0x803, 0), WR_GP(0x80d, 0), RD_GP(0x80e), WR_GP(0x80e, 0), RD_GP(0x809),
		RD_GP(0x831), WR_GP(0x831, 0), RD_GP(0x80b), RD_GP(0x82f), RD_GP(0x83f), RD_GP(0x840), WR_GP(0x828, 1),
		WR(0x828, 0), RD(0x828, 0), RD(0x803, 0x50014), WR(0x835, 0x10700), RD(0x835, 0x10700),
		WR_GP(0x80f, 1ull << 32), WR_GP(0x839, 0), RD_GP(0x801), WR_GP(0x8ff, 0), RD_GP(0x8ff));
}

TEST(xapic_registers)
{
	struct vcpu *vcpu = lapic_vcpu(lapic_vm(0), 0);

	ACTS(vcpu, LD(0x20, 0), LD(0x30, 0x50014), LD(0xe0, 0xffffffff), LD(0xf0, 0xff), LD(0x350, 0x700), LD(0x360, 0x10000),
		ST(0x20, 0x05ffffff), LD(0x20, 0x05000000), ST(0x360, 0x400), LD(0x360, 0x10400), ON, ST(0x360, 0x400),
		LD(0x360, 0x400), ST(0xf0, 0xff), LD(0x360, 0x10400), ST(0x370, 0xffffffff), LD(0x370, 0x110ff),
		ST(0xd0, 0xffffffff), LD(0xd0, 0xff000000), ST(0xe0, 0), LD(0xe0, 0x0fffffff), ST(0x3e0, 0xffffffff),
		LD(0x3e0, 0xb), LD(0x90, 0), ST(0x280, 5), LD(0x280, 0));
}

/* ---- timers */

TEST(timer_one_shot)
{
	struct vcpu *vcpu = lapic_vcpu(lapic_vm(0), 0);

	ACTS(vcpu, ON, ST(0x3e0, 0xb), ST(0x320, 0x60), ST(0x380, 3000000), HALT(0x60), LD(0x390, 0), LD(0x380, 3000000),
		EOI, NOTHING, ST(0x380, 1000000000), ST(0x380, 0), LD(0x390, 0), ST(0x320, 0x10060), ST(0x380, 1000), NOTHING,
		ST(0x320, 0x61), ST(0x380, 1000000), HALT(0x61), EOI);
}

TEST(timer_periodic)
{
	struct vcpu *vcpu = lapic_vcpu(lapic_vm(0), 0);

	ACTS(vcpu, TO_X2, WR(0x83e, 0xb), WR(0x832, 0x20070), WR(0x838, 20000000), HALT(0x70), EOI_X2, HALT(0x70), EOI_X2,
		HALT(0x70), EOI_X2, WR(0x838, 0));
}

/* 5 ms ahead: the interrupt does not come before. */
static void deadline_passes(struct vcpu *vcpu)
{
	int khz = IOCTL(vcpu->fd, KVM_GET_TSC_KHZ, 0);
	uint64_t tsc = 0, deadline;

	msr_get(vcpu, MSR_TSC, &tsc);
	deadline = tsc + 5ull * khz;
	ACTS(vcpu, WR(0x6e0, deadline), HALT(0x66), EOI_X2);
	msr_get(vcpu, MSR_TSC, &tsc);
	EXPECT(tsc >= deadline, "at %d kHz %lu ticks too early", khz, deadline - tsc);
}

TEST(timer_deadline)
{
	struct vm *vm = lapic_vm(0);
	struct vcpu *vcpu;

	NEED(vm->fd, KVM_CAP_TSC_DEADLINE_TIMER);
	vcpu = lapic_vcpu(vm, 0);
	ACTS(vcpu, TO_X2, WR(0x6e0, 1), NOTHING, RD(0x6e0, 0), WR(0x832, 0x40066), WR(0x838, 5), RD(0x838, 0), RD(0x839, 0),
		WR(0x6e0, 1), HALT(0x66), EOI_X2, RD(0x6e0, 0));
	deadline_passes(vcpu);
	ACTS(vcpu, WR(0x6e0, ~0ull >> 1), NOTHING, RD(0x6e0, ~0ull >> 1),
		WR(0x6e0, 0), RD(0x6e0, 0));
	if (kvm_capability(vm->fd, KVM_CAP_TSC_CONTROL)) {
		IOCTL(vcpu->fd, KVM_SET_TSC_KHZ, IOCTL(vcpu->fd, KVM_GET_TSC_KHZ, 0) / 4);
		deadline_passes(vcpu);
	}
	ACTS(vcpu, WR(0x6e0, ~0ull >> 1), WR(0x832, 0x66), RD(0x6e0, 0));
	/* A slow guest's far deadline: milliseconds that no 64 bits of nanoseconds hold. */
	if (kvm_capability(vm->fd, KVM_CAP_TSC_CONTROL)) {
		IOCTL(vcpu->fd, KVM_SET_TSC_KHZ, 1000);
		ACTS(vcpu, WR(0x832, 0x40066), WR(0x6e0, 1ull << 62), WR(0x6e0, 0));
	}
}
