// SPDX-License-Identifier: BSD-2-Clause
/*
 * fuzz_guest.c - usage: fuzz_guest [GUESTS [SEED]]: guests made of random bytes,
 * in every mode, each until it dies, has made 10,000 exits or used up its time.
 *
 * Invariant under test: a guest's nonsense ends in an exit to its VMM, in an
 * exception of its own or in its end; KVM_RUN gives no errno but EINTR and EFAULT.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "guest.h"

#define EXITS_PER_GUEST 10000u
#define SLICE_US 20000		/* a loop without exits is cut after this */
#define SLICES_PER_GUEST 10u

static uint64_t guests, seed;
static unsigned long ends[64];

/* Instructions that a guest must not harm anyone with, to be mixed into the noise. */
static const char *const spices[] = {
	"\x0f\x01\xd8", "\x0f\x01\xda", "\x0f\x01\xdb", "\x0f\x01\xdc", "\x0f\x01\xdd", "\x0f\x01\xde", "\x0f\x01\xdf",	/* SVM's */
	"\x0f\x01\xd9", "\x0f\x01\xc1",				/* VMMCALL, VMCALL */
	"\x0f\x22\xc0", "\x0f\x22\xd8", "\x0f\x22\xe0", "\x44\x0f\x22\xc0",	/* MOV to CR0, CR3, CR4, CR8 */
	"\x0f\x20\xe0", "\x0f\x23\xf8", "\x0f\x21\xf8",		/* MOV from CR4, to and from DR7 */
	"\x0f\x30", "\x0f\x32", "\x0f\xa2", "\x0f\x31", "\x0f\x01\xd1", "\x0f\x01\xd0", "\x0f\x01\xf9",
	"\x0f\x08", "\x0f\x09", "\xf4", "\xfa", "\xfb", "\xcc", "\xcd\x80", "\x9c", "\x9d", "\xcf", "\x48\xcf", "\x0f\xaa",
	"\xec", "\xed", "\xee", "\xef", "\x6c", "\x6e", "\xf3\x6d", "\xf3\x6f", "\xe6\x10", "\xe4\x10",
	"\x89\x03", "\x8b\x03", "\xf0\x01\x03", "\x48\x87\x03", "\xa4", "\xf3\xa4", "\xf3\xab", "\x0f\x11\x03",	/* at *RBX: MMIO */
	"\xb9\x80\x00\x00\xc0", "\xb9\x77\x02\x00\x00", "\xb9\x1b\x00\x00\x00", "\xb9\x17\x01\x01\xc0",	/* ECX: MSRs */
	"\x0f\x00\xd8", "\x0f\x00\xd0", "\x0f\x01\x13", "\x0f\x01\x1b", "\x0f\x01\xf0", "\x0f\x05", "\x0f\x34", "\x0f\x0b",
};

static void write_code(struct vm *vm, struct random *random)
{
	uint8_t *code = vm->memory + GUEST_CODE;

	for (unsigned int at = 0; at < 0x1000; at++)
		code[at] = random_next(random);
	for (unsigned int at = 0; at < 0xff0; at += 1 + random_below(random, 12)) {
		const char *spice = spices[random_below(random, sizeof(spices) / sizeof(spices[0]))];

		memcpy(code + at, spice, strlen(spice));
		at += strlen(spice);
	}
}

static struct vcpu *random_guest(struct random *random)
{
	static const int modes[] = { 16, 32, 64, 64 };
	struct vm *vm = vm_create(GUEST_MEMORY);
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct kvm_regs regs;
	uint64_t *r = (uint64_t *)&regs;

	cpuid_set(vcpu, cpuid_supported(vm->sys));
	vcpu_mode(vcpu, modes[random_below(random, 4)]);
	write_code(vm, random);
	regs_get(vcpu, &regs);
	for (unsigned int i = 0; i < 16; i++)
		if (i != 6)	/* the stack stays */
			r[i] = random_below(random, 2) ? random_next(random) : random_next(random) >> random_below(random, 64);
	regs.rbx = MMIO_BASE + random_below(random, 0x2000);
	regs_set(vcpu, &regs);
	return vcpu;
}

/* Answers an exit with noise; 0 when the guest has ended. */
static int answer(struct vcpu *vcpu, struct random *random)
{
	struct kvm_run *run = vcpu->run;

	if (run->exit_reason == KVM_EXIT_IO && !run->io.direction)
		for (uint32_t i = 0; i < run->io.count * run->io.size; i++)
			((uint8_t *)io_data(run))[i] = random_next(random);
	if (run->exit_reason == KVM_EXIT_MMIO && !run->mmio.is_write)
		bytes_put(run->mmio.data, 8, random_next(random));
	if (run->ready_for_interrupt_injection && !random_below(random, 8)) {
		struct kvm_interrupt interrupt = { .irq = random_below(random, 256) };

		ioctl_try(vcpu->fd, KVM_INTERRUPT, &interrupt);
	}
	return run->exit_reason == KVM_EXIT_IO || run->exit_reason == KVM_EXIT_MMIO || run->exit_reason == KVM_EXIT_HLT ||
	       run->exit_reason == KVM_EXIT_SET_TPR || run->exit_reason == KVM_EXIT_DEBUG;
}

static void run_guest(struct vcpu *vcpu, struct random *random)
{
	unsigned int exits, slices = 0;

	for (exits = 0; exits < EXITS_PER_GUEST && slices < SLICES_PER_GUEST; exits++) {
		int result = run_try(vcpu);

		if (result == -EINTR) {
			slices++;
			continue;
		}
		if (result == -EFAULT) {
			ends[63]++;
			return;
		}
		REQUIRE(!result, "KVM_RUN: %s", strerror(-result));
		if (!answer(vcpu, random)) {
			ends[vcpu->run->exit_reason % 62]++;
			return;
		}
	}
	ends[62]++;
}

/* SIGALRM is the runner's: the slices come from a timer of their own. */
static timer_t slices;

static void tick(int signal)
{
	(void)signal;
}

static void slices_start(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec every = { { 0, SLICE_US * 1000 }, { 0, SLICE_US * 1000 } };

	REQUIRE(!timer_create(CLOCK_MONOTONIC, &event, &slices) && !timer_settime(slices, 0, &every, NULL), "timer");
}

static void slices_stop(void)
{
	timer_delete(slices);
}

static void one_guest(uint64_t number)
{
	struct sigaction action = { .sa_handler = tick };
	struct random random = { seed * 1000003 + number };
	struct vcpu *vcpu = random_guest(&random);

	sigaction(SIGUSR1, &action, NULL);
	slices_start();
	run_guest(vcpu, &random);
	slices_stop();
	vm_destroy(vcpu);
}

TEST_LIMIT(fuzz_guest, 3600)
{
	for (uint64_t i = 0; i < guests; i++) {
		test_step = i;
		one_guest(i);
	}
	test_step = -1;
	for (unsigned int i = 0; i < 62; i++)
		if (ends[i])
			printf("fuzz_guest: %lu ended with exit %s\n", ends[i], exit_name(i));
	printf("fuzz_guest: %lu were stopped, %lu touched what is not there\n", ends[62], ends[63]);
}

GUEST(after, 64, "mov $1, %eax\n out %eax, $0xe0\n");
TEST(after_the_fuzz)
{
	guest_expect(GUEST_CREATE(after, 64), 1, "guest");
}

int main(int argc, char **argv)
{
	guests = test_argument(argc, argv, 1, 100);
	seed = test_argument(argc, argv, 2, test_fresh_seed());
	printf("fuzz_guest: %lu guests, seed %lu\n", guests, seed);
	return test_main("fuzz_guest", 1, argv);
}
