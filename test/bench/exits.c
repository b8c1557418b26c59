// SPDX-License-Identifier: BSD-2-Clause
/*
 * exits.c - what an exit costs, read with RDTSC. Under QEMU's `-icount shift=0`
 * and in Bochs a tick is an instruction, and the figures repeat.
 *
 * usage: exits         all of them, a line "name value" each
 *        exits clock   the TSC now, for scripts that time whole boots
 * Invariant: several vCPUs exist, each figure is the median of ROUNDS after
 * WARM_UP rounds, less the cost of reading the clock. A bench reports: it fails
 * only when something could not be run at all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

#define RESULTS 0x20000ull	/* where guests leave their figures */

static uint64_t samples[ROUNDS];

static inline uint64_t clock_now(void)
{
	uint32_t low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high) :: "memory");
	return low | (uint64_t)high << 32;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t median(void)
{
	qsort(samples, ROUNDS, sizeof(samples[0]), compare);
	return samples[ROUNDS / 2];
}

/* Two readings with nothing between. */
static uint64_t clock_cost(void)
{
	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t begin = clock_now();

		samples[i] = clock_now() - begin;
	}
	return median();
}

void report(const char *name, uint64_t value)
{
	printf("%s %lu\n", name, value);
	fflush(stdout);
}

/* An interrupt that waits behind IF = 0, as most exits of a busy guest find it. */
static void masked_interrupt(struct vcpu *vcpu)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = 0x31 };
	struct kvm_lapic_state state;

	memset(&state, 0, sizeof(state));
	IOCTL(vcpu->fd, KVM_GET_LAPIC, &state);
	bytes_put(state.regs + 0xf0, 4, 0x1ff);
	IOCTL(vcpu->fd, KVM_SET_LAPIC, &state);
	IOCTL(vcpu->vm->fd, KVM_SIGNAL_MSI, &msi);
}

struct vcpu *bench_guest(const void *code, size_t bytes, enum chips chips)
{
	struct vm *vm = vm_create(GUEST_MEMORY);
	struct kvm_cpuid2 *cpuid = cpuid_supported(vm->sys);
	struct vcpu *first = NULL;

	memset(vm->memory, 0, GUEST_STACK);	/* as in test/kvm/lapic_guest.c, for Bochs */
	if (!kvm_capability(vm->fd, KVM_CAP_IRQCHIP))
		chips = NO_CHIPS;
	if (chips)
		IOCTL(vm->fd, KVM_CREATE_IRQCHIP, 0);
	if (kvm_capability(vm->fd, KVM_CAP_TSC_DEADLINE_TIMER))
		cpuid_find(cpuid, 1, 0)->ecx |= 1u << 24;
	for (int id = 0; id < VCPUS; id++) {
		struct vcpu *vcpu = vcpu_create(vm, id);

		cpuid_set(vcpu, cpuid);
		vcpu_mode(vcpu, 64);
		first = first ? first : vcpu;
	}
	vm_load(vm, GUEST_CODE, code, bytes);
	if (chips == CHIPS)
		masked_interrupt(first);
	return first;
}

/* ---- round trips, seen by the VMM */

GUEST(port_out, 64, "1: out %eax, $0x10\n jmp 1b\n");
GUEST(port_in, 64, "1: in $0x10, %eax\n jmp 1b\n");
GUEST(mmio_write, 64, "mov $0x10000000, %ebx\n 1: mov %eax, (%rbx)\n jmp 1b\n");
GUEST(mmio_read, 64, "mov $0x10000000, %ebx\n 1: mov (%rbx), %eax\n jmp 1b\n");
GUEST(hlt, 64, "1: hlt\n jmp 1b\n");

static void round_trip(const char *name, struct vcpu *vcpu, uint32_t reason)
{
	uint64_t cost = clock_cost();

	for (unsigned int i = 0; i < WARM_UP; i++)
		run_until(vcpu, reason);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t begin = clock_now();

		syscall(SYS_ioctl, vcpu->fd, KVM_RUN, 0);
		samples[i] = clock_now() - begin;
		REQUIRE(vcpu->run->exit_reason == reason, "%s: exit %s", name, exit_name(vcpu->run->exit_reason));
	}
	report(name, median() - cost);
	vm_destroy(vcpu);
}

TEST(round_trips)
{
	round_trip("port_out", BENCH_GUEST(port_out, CHIPS), KVM_EXIT_IO);
	round_trip("port_in", BENCH_GUEST(port_in, CHIPS), KVM_EXIT_IO);
	round_trip("mmio_write", BENCH_GUEST(mmio_write, CHIPS), KVM_EXIT_MMIO);
	round_trip("mmio_read", BENCH_GUEST(mmio_read, CHIPS), KVM_EXIT_MMIO);
	round_trip("hlt", BENCH_GUEST(hlt, NO_CHIPS), KVM_EXIT_HLT);
}

/* ---- answered on the way, seen by the guest */

GUEST_LOOP(nothing, "");
GUEST_LOOP(cpuid, "mov %r11d, %eax\n xor %ecx, %ecx\n mov %rbx, %r9\n cpuid\n mov %r9, %rbx\n");
GUEST_LOOP(vmmcall, "mov $0x7777, %eax\n vmmcall\n");
GUEST_LOOP(vmcall, "mov $0x7777, %eax\n vmcall\n");
GUEST_LOOP(port_write, "out %al, $0x48\n");
GUEST_LOOP(mmio_store, "mov %eax, (%rbx)\n");

uint64_t guest_loop(struct vcpu *vcpu, uint32_t r11)
{
	struct kvm_regs regs;

	regs_get(vcpu, &regs);
	regs.r10 = WARM_UP + ROUNDS;
	regs.r11 = r11;
	regs_set(vcpu, &regs);
	guest_report(vcpu);
	for (unsigned int i = 0; i < ROUNDS; i++)
		samples[i] = bytes_get(vcpu->vm->memory + RESULTS + (WARM_UP + i) * 4, 4);
	vm_destroy(vcpu);
	return median();
}

uint64_t guest_loop_cost(void)
{
	return guest_loop(BENCH_GUEST(nothing, CHIPS), 0);
}

static void doorbell(struct vcpu *vcpu, uint64_t address, uint32_t length, uint32_t flags)
{
	struct kvm_ioeventfd io = { .fd = eventfd(0, 0), .addr = address, .len = length, .flags = flags };

	IOCTL(vcpu->vm->fd, KVM_IOEVENTFD, &io);
}

static uint32_t last_leaf(void)
{
	struct kvm_cpuid2 *table = cpuid_supported(kvm_open());

	return table->entries[table->nent - 1].function;
}

static int intel(void)
{
	return cpuid_find(cpuid_supported(kvm_open()), 0, 0)->ebx == 0x756e6547;	/* "Genu" */
}

TEST(answered_on_the_way)
{
	uint64_t nothing = guest_loop_cost();

	report("cpuid_first", guest_loop(BENCH_GUEST(cpuid, CHIPS), 0) - nothing);
	report("cpuid_last", guest_loop(BENCH_GUEST(cpuid, CHIPS), last_leaf()) - nothing);
	report("hypercall", guest_loop(intel() ? BENCH_GUEST(vmcall, CHIPS) : BENCH_GUEST(vmmcall, CHIPS), 0) - nothing);
}

TEST(ioeventfds)
{
	uint64_t nothing = guest_loop_cost();
	struct vcpu *vcpu = BENCH_GUEST(port_write, CHIPS);

	NEED(vcpu->vm->fd, KVM_CAP_IOEVENTFD);
	doorbell(vcpu, 0x48, 1, KVM_IOEVENTFD_FLAG_PIO);
	report("ioeventfd_port", guest_loop(vcpu, 0) - nothing);
	vcpu = BENCH_GUEST(mmio_store, CHIPS);
	doorbell(vcpu, MMIO_BASE, 4, 0);
	report("ioeventfd_mmio", guest_loop(vcpu, 0) - nothing);
}

/* ---- calls */

static void call(const char *name, long number, long fd, long request, int result_is_fd)
{
	uint64_t cost = clock_cost();

	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t begin = clock_now();
		long result = syscall(number, fd, request, 0);

		samples[i] = clock_now() - begin;
		REQUIRE(result >= 0, "%s fails", name);
		if (result_is_fd)
			close(result);
	}
	report(name, median() - cost);
}

TEST(calls)
{
	int sys = kvm_open();

	call("getppid", SYS_getppid, 0, 0, 0);
	call("ioctl_version", SYS_ioctl, sys, KVM_GET_API_VERSION, 0);
	call("create_vm", SYS_ioctl, sys, KVM_CREATE_VM, 1);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "clock"))
		return printf("%lu\n", clock_now()) < 0;
	return test_main("exits", argc, argv);
}
