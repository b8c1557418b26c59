// SPDX-License-Identifier: BSD-2-Clause
/*
 * interrupts.c - what interrupts cost: a vCPU's own LAPIC, IPIs between two,
 * from the VMM to the guest's handler. Needs in-kernel controllers, x2APIC.
 *
 * The handler of vector 0x40 ends the interrupt and returns; its instructions
 * count.
 */
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

#define HANDLER 0x40000ull
#define VECTOR 0x40u
#define MSR_APIC_BASE 0x1b
#define MSR_SVR 0x80f
#define MSR_LVT_TIMER 0x832
#define DEADLINE_MODE 0x40000u

GUEST(handler, 64,
	"push %rax\n push %rcx\n push %rdx\n mov $0x80b, %ecx\n xor %eax, %eax\n xor %edx, %edx\n wrmsr\n"
	"pop %rdx\n pop %rcx\n pop %rax\n iretq\n");

/* The gate, and the LAPIC in x2APIC mode. */
static struct vcpu *with_lapic(struct vcpu *vcpu)
{
	uint64_t gate = (HANDLER & 0xffff) | (HANDLER & 0xffff0000) << 32 | (uint64_t)CS_SELECTOR << 16 | 0x8e00ull << 32;
	uint64_t base = 0;

	LOAD(vcpu->vm, HANDLER, handler);
	memcpy(vcpu->vm->memory + GUEST_IDT + VECTOR * 16, &gate, 8);
	msr_get(vcpu, MSR_APIC_BASE, &base);
	REQUIRE(msr_set(vcpu, MSR_APIC_BASE, base | 0xc00) && msr_set(vcpu, MSR_SVR, 0x1ff), "no x2APIC");
	return vcpu;
}

#define WRMSR(msr, value) "mov $" #msr ", %ecx\n mov $" #value ", %eax\n xor %edx, %edx\n wrmsr\n"
#define NOP_WINDOW "sti\n nop\n cli\n"
#define HLT_WINDOW "sti\n hlt\n cli\n"

GUEST_LOOP(eoi, WRMSR(0x80b, 0));
GUEST_LOOP(self_nop, WRMSR(0x83f, 0x40) NOP_WINDOW);
GUEST_LOOP(self_hlt, WRMSR(0x83f, 0x40) HLT_WINDOW);
GUEST_LOOP(icr_nop, WRMSR(0x830, 0x44040) NOP_WINDOW);
GUEST_LOOP(icr_hlt, WRMSR(0x830, 0x44040) HLT_WINDOW);
GUEST_LOOP(deadline, WRMSR(0x6e0, 1) NOP_WINDOW);

/* A deadline ahead of a guest that is busy: how late its handler is. The handler counts. */
#define AHEAD 20000
#define HANDLED "0x3f000"
GUEST(handler_counts, 64, "incl " HANDLED "\n push %rax\n push %rcx\n push %rdx\n mov $0x80b, %ecx\n xor %eax, %eax\n xor %edx, %edx\n wrmsr\n"
	"pop %rdx\n pop %rcx\n pop %rax\n iretq\n");
GUEST_LOOP(ahead, "mov " HANDLED ", %esi\n rdtsc\n add $20000, %eax\n adc $0, %edx\n mov $0x6e0, %ecx\n wrmsr\n sti\n"
	"2: cmp " HANDLED ", %esi\n je 2b\n cli\n");

static int no_chips(void)
{
	return !kvm_capability(kvm_open(), KVM_CAP_IRQCHIP);
}

#define LOOP(id) guest_loop(with_lapic(BENCH_GUEST(id, CHIPS_QUIET)), 0)

TEST(own_interrupts)
{
	uint64_t nothing = guest_loop_cost();
	struct vcpu *vcpu;

	if (no_chips())
		test_skip("no interrupt controllers in the kernel");
	report("eoi", LOOP(eoi) - nothing);
	report("self_ipi_nop", LOOP(self_nop) - nothing);
	report("self_ipi_hlt", LOOP(self_hlt) - nothing);
	report("icr_self_nop", LOOP(icr_nop) - nothing);
	report("icr_self_hlt", LOOP(icr_hlt) - nothing);
	vcpu = with_lapic(BENCH_GUEST(deadline, CHIPS_QUIET));
	REQUIRE(msr_set(vcpu, MSR_LVT_TIMER, DEADLINE_MODE | VECTOR), "no deadline mode");
	report("deadline_due", guest_loop(vcpu, 0) - nothing);
	vcpu = with_lapic(BENCH_GUEST(ahead, CHIPS_QUIET));
	LOAD(vcpu->vm, HANDLER, handler_counts);
	REQUIRE(msr_set(vcpu, MSR_LVT_TIMER, DEADLINE_MODE | VECTOR), "no deadline mode");
	report("deadline_late", guest_loop(vcpu, 0) - nothing - AHEAD);
}

/* ---- there and back */

GUEST(pong, 64, "1:" HLT_WINDOW "mov $0x830, %ecx\n mov $0x4040, %eax\n xor %edx, %edx\n wrmsr\n jmp 1b\n");
#define PONG_CODE 0x50000ull
#define PONG_STACK 0x60000ull

static void *pong_thread(void *argument)
{
	struct vcpu *vcpu = argument;

	for (;;)
		syscall(SYS_ioctl, vcpu->fd, KVM_RUN, 0);
	return NULL;
}

/* The second of the bench's vCPUs is another one here: it needs a descriptor of ours. */
static struct vcpu *second(struct vm *vm)
{
	struct kvm_regs regs = { .rip = PONG_CODE, .rsp = PONG_STACK, .rflags = 2 };
	struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };
	struct vcpu *vcpu = vcpu_create(vm, VCPUS);

	cpuid_set(vcpu, cpuid_supported(vm->sys));
	vcpu_mode(vcpu, 64);
	memset(vm->memory + PONG_CODE, 0, PONG_STACK - PONG_CODE);	/* see bench_guest() */
	LOAD(vm, PONG_CODE, pong);
	IOCTL(vcpu->fd, KVM_SET_MP_STATE, &runnable);
	regs_set(vcpu, &regs);
	return with_lapic(vcpu);
}

GUEST_LOOP(ping4, "mov $0x830, %ecx\n mov $0x4040, %eax\n mov $4, %edx\n wrmsr\n" HLT_WINDOW);

TEST(both_ways)
{
	struct vcpu *vcpu;
	pthread_t thread;

	if (no_chips())
		test_skip("no interrupt controllers in the kernel");
	vcpu = with_lapic(BENCH_GUEST(ping4, CHIPS_QUIET));
	REQUIRE(!pthread_create(&thread, NULL, pong_thread, second(vcpu->vm)), "no thread");
	report("ipi_both", guest_loop(vcpu, 0) - guest_loop_cost());
}

/* ---- from the VMM */

GUEST(waits, 64, "1: sti\n hlt\n cli\n out %eax, $0xe0\n jmp 1b\n");

#define GSI 24u

static void signal_msi(struct vcpu *vcpu, int fd __attribute__((unused)))
{
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = VECTOR };

	IOCTL(vcpu->vm->fd, KVM_SIGNAL_MSI, &msi);
}

static void signal_eventfd(struct vcpu *vcpu __attribute__((unused)), int fd)
{
	uint64_t one = 1;

	REQUIRE(write(fd, &one, sizeof(one)) == sizeof(one), "eventfd");
}

/* An eventfd whose events are that MSI. */
static int irqfd(struct vm *vm)
{
	struct { struct kvm_irq_routing head; struct kvm_irq_routing_entry entry; } table = {
		{ .nr = 1 }, { .gsi = GSI, .type = KVM_IRQ_ROUTING_MSI, .u.msi = { .address_lo = 0xfee00000, .data = VECTOR } },
	};
	struct kvm_irqfd irqfd = { .gsi = GSI, .fd = eventfd(0, 0) };

	IOCTL(vm->fd, KVM_SET_GSI_ROUTING, &table);
	IOCTL(vm->fd, KVM_IRQFD, &irqfd);
	return irqfd.fd;
}

static uint64_t tsc(void)
{
	uint32_t low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high) :: "memory");
	return low | (uint64_t)high << 32;
}

static uint64_t to_handler(struct vcpu *vcpu, void (*raise)(struct vcpu *vcpu, int fd), int fd)
{
	uint64_t best = ~0ull, begin, took;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		begin = tsc();
		raise(vcpu, fd);
		guest_report(vcpu);
		took = tsc() - begin;
		best = i >= WARM_UP && took < best ? took : best;
	}
	return best;
}

TEST(from_the_vmm)
{
	struct vcpu *vcpu;

	if (no_chips())
		test_skip("no interrupt controllers in the kernel");
	vcpu = with_lapic(BENCH_GUEST(waits, CHIPS_QUIET));
	report("msi_to_handler", to_handler(vcpu, signal_msi, 0));
	report("irqfd_to_handler", to_handler(vcpu, signal_eventfd, irqfd(vcpu->vm)));
}
