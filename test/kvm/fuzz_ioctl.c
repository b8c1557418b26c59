// SPDX-License-Identifier: BSD-2-Clause
/*
 * fuzz_ioctl.c - usage: fuzz_ioctl [CALLS [SEED]]: random and nearly valid
 * ioctls from two threads on two CPUs, on a VM and vCPUs that both share.
 *
 * Owns: the table of numbers. Invariant under test: an errno or success, and
 * the machine goes on; whatever happens to the VM is its own affair.
 * Slots point into AREA only: the guest may scribble there, not over this program.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"

#define AREA 0x200000000000ul
#define AREA_BYTES 0x400000ul
#define ARGUMENT_BYTES 0x4000u
#define THREADS 2
#define VCPUS 3

enum { KIND_SYSTEM, KIND_VM, KIND_VCPU };
/* What an ioctl's result may be that must be closed. */
enum { PLAIN, GIVES_FD };

struct number {
	uint8_t kind, gives;
	uint32_t bytes;		/* of its struct */
	unsigned long number;
	unsigned long get;	/* fills the struct with something valid, or 0 */
};

#define N(kind, number, bytes) { kind, PLAIN, bytes, number, 0 }
static const struct number numbers[] = {
	N(KIND_SYSTEM, KVM_GET_API_VERSION, 0),
	{ KIND_SYSTEM, GIVES_FD, 0, KVM_CREATE_VM, 0 },
	N(KIND_SYSTEM, KVM_CHECK_EXTENSION, 0),
	N(KIND_SYSTEM, KVM_GET_VCPU_MMAP_SIZE, 0),
	N(KIND_SYSTEM, KVM_GET_MSR_INDEX_LIST, 4096),
	N(KIND_SYSTEM, KVM_GET_MSR_FEATURE_INDEX_LIST, 4096),
	N(KIND_SYSTEM, KVM_GET_SUPPORTED_CPUID, 4096),
	N(KIND_SYSTEM, KVM_GET_MSRS, 4096),
	{ KIND_VM, GIVES_FD, 0, KVM_CREATE_VCPU, 0 },
	N(KIND_VM, KVM_CHECK_EXTENSION, 0),
	N(KIND_VM, KVM_SET_USER_MEMORY_REGION, sizeof(struct kvm_userspace_memory_region)),
	N(KIND_VM, KVM_GET_DIRTY_LOG, sizeof(struct kvm_dirty_log)),
	N(KIND_VM, KVM_CLEAR_DIRTY_LOG, sizeof(struct kvm_clear_dirty_log)),
	N(KIND_VM, KVM_SET_TSS_ADDR, 0),
	N(KIND_VM, KVM_SET_IDENTITY_MAP_ADDR, 8),
	N(KIND_VM, KVM_IOEVENTFD, sizeof(struct kvm_ioeventfd)),
	N(KIND_VM, KVM_IRQFD, sizeof(struct kvm_irqfd)),
	N(KIND_VM, KVM_REGISTER_COALESCED_MMIO, sizeof(struct kvm_coalesced_mmio_zone)),
	N(KIND_VM, KVM_UNREGISTER_COALESCED_MMIO, sizeof(struct kvm_coalesced_mmio_zone)),
	N(KIND_VM, KVM_ENABLE_CAP, sizeof(struct kvm_enable_cap)),
	{ KIND_VM, GIVES_FD, sizeof(struct kvm_create_device), KVM_CREATE_DEVICE, 0 },
	N(KIND_VM, KVM_GET_CLOCK, sizeof(struct kvm_clock_data)),
	N(KIND_VM, KVM_SIGNAL_MSI, sizeof(struct kvm_msi)),
	N(KIND_VM, KVM_IRQ_LINE, sizeof(struct kvm_irq_level)),
	N(KIND_VM, KVM_SET_GSI_ROUTING, 4096),
	N(KIND_VM, KVM_SET_CLOCK, sizeof(struct kvm_clock_data)),
	N(KIND_VM, KVM_CREATE_IRQCHIP, 0),
	N(KIND_VM, KVM_CREATE_PIT2, sizeof(struct kvm_pit_config)),
	N(KIND_VM, KVM_IRQ_LINE_STATUS, sizeof(struct kvm_irq_level)),
	{ KIND_VM, PLAIN, sizeof(struct kvm_irqchip), KVM_SET_IRQCHIP, KVM_GET_IRQCHIP },
	{ KIND_VM, PLAIN, sizeof(struct kvm_pit_state2), KVM_SET_PIT2, KVM_GET_PIT2 },
	{ KIND_VM, PLAIN, sizeof(struct kvm_pit_state), KVM_SET_PIT, KVM_GET_PIT },
	N(KIND_VM, KVM_REINJECT_CONTROL, sizeof(struct kvm_reinject_control)),
	{ KIND_VM, GIVES_FD, 0, KVM_GET_STATS_FD, 0 },
	N(KIND_VCPU, KVM_RUN, 0),
	N(KIND_VCPU, KVM_RUN, 0),
	N(KIND_VCPU, KVM_RUN, 0),
	N(KIND_VCPU, KVM_GET_REGS, sizeof(struct kvm_regs)),
	{ KIND_VCPU, PLAIN, sizeof(struct kvm_regs), KVM_SET_REGS, KVM_GET_REGS },
	N(KIND_VCPU, KVM_GET_SREGS, sizeof(struct kvm_sregs)),
	{ KIND_VCPU, PLAIN, sizeof(struct kvm_sregs), KVM_SET_SREGS, KVM_GET_SREGS },
	N(KIND_VCPU, KVM_GET_MSRS, 4096),
	N(KIND_VCPU, KVM_SET_MSRS, 4096),
	N(KIND_VCPU, KVM_GET_FPU, sizeof(struct kvm_fpu)),
	{ KIND_VCPU, PLAIN, sizeof(struct kvm_fpu), KVM_SET_FPU, KVM_GET_FPU },
	N(KIND_VCPU, KVM_SET_CPUID2, 4096),
	N(KIND_VCPU, KVM_GET_CPUID2, 4096),
	N(KIND_VCPU, KVM_INTERRUPT, sizeof(struct kvm_interrupt)),
	N(KIND_VCPU, KVM_NMI, 0),
	{ KIND_VCPU, PLAIN, sizeof(struct kvm_mp_state), KVM_SET_MP_STATE, KVM_GET_MP_STATE },
	{ KIND_VCPU, PLAIN, sizeof(struct kvm_vcpu_events), KVM_SET_VCPU_EVENTS, KVM_GET_VCPU_EVENTS },
	{ KIND_VCPU, PLAIN, sizeof(struct kvm_debugregs), KVM_SET_DEBUGREGS, KVM_GET_DEBUGREGS },
	{ KIND_VCPU, PLAIN, sizeof(struct kvm_xsave), KVM_SET_XSAVE, KVM_GET_XSAVE },
	{ KIND_VCPU, PLAIN, sizeof(struct kvm_xcrs), KVM_SET_XCRS, KVM_GET_XCRS },
	N(KIND_VCPU, KVM_SET_GUEST_DEBUG, sizeof(struct kvm_guest_debug)),
	N(KIND_VCPU, KVM_ENABLE_CAP, sizeof(struct kvm_enable_cap)),
	N(KIND_VCPU, KVM_GET_TSC_KHZ, 0),
	N(KIND_VCPU, KVM_TRANSLATE, sizeof(struct kvm_translation)),
	N(KIND_VCPU, KVM_TPR_ACCESS_REPORTING, sizeof(struct kvm_tpr_access_ctl)),
	N(KIND_VCPU, KVM_KVMCLOCK_CTRL, 0),
	{ KIND_VCPU, PLAIN, sizeof(struct kvm_lapic_state), KVM_SET_LAPIC, KVM_GET_LAPIC },
	{ KIND_VCPU, PLAIN, sizeof(struct kvm_sregs2), KVM_SET_SREGS2, KVM_GET_SREGS2 },
	N(KIND_VCPU, KVM_GET_XSAVE2, sizeof(struct kvm_xsave)),
	N(KIND_VCPU, KVM_X86_SETUP_MCE, 8),
	N(KIND_VCPU, KVM_X86_SET_MCE, sizeof(struct kvm_x86_mce)),
	{ KIND_VCPU, GIVES_FD, 0, KVM_GET_STATS_FD, 0 },
};

struct fuzzer {
	struct random random;
	pthread_t thread;
	uint8_t *argument;	/* ARGUMENT_BYTES, then nothing */
	volatile int done;
	unsigned long succeeded, refused;
	int cpu;
};

static uint64_t calls, seed;
static struct vm *shared;
static struct vcpu *vcpus[VCPUS];
static struct fuzzer fuzzers[THREADS];

/* A guest for the rare KVM_RUN that finds its registers whole. */
GUEST(any, 64, "1: out %eax, $0x10\n mov 0x10000000, %ebx\n incl 0x9000\n jmp 1b\n");

/* Numbers that are near something: sizes, pages, limits, addresses that exist. */
static uint64_t odd_value(struct random *random)
{
	static const uint64_t values[] = {
		0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 255, 256, 257, 0x1000, 0x2000, 0x4000, 0x10000, 0x200000, 0x1001,
		AREA, AREA + 0x1000, AREA + AREA_BYTES - 0x1000, AREA + 0x123, 0x10000000, 0xfee00000, 0xfffff000, 0xffffffff,
		0x100000000, 1ull << 40, 1ull << 47, 1ull << 52, 1ull << 63, -1ull, -0x1000ull, 0xc0000080, 0x277, 0x10, 0x4711,
	};
	uint64_t value = values[random_below(random, sizeof(values) / sizeof(values[0]))];

	return random_below(random, 4) ? value : value ^ 1ull << random_below(random, 64);
}

static void fill(struct fuzzer *f, uint8_t *argument, uint32_t bytes)
{
	unsigned int words = bytes / 4, changes = random_below(&f->random, 6);

	for (unsigned int i = 0; words && i < changes; i++)
		bytes_put(argument + random_below(&f->random, words) * 4, 4, odd_value(&f->random));
	if (words >= 2 && random_below(&f->random, 2))
		bytes_put(argument + random_below(&f->random, words / 2) * 8, 8, odd_value(&f->random));
	if (!random_below(&f->random, 16))
		for (uint32_t i = 0; i < bytes; i++)
			argument[i] = random_next(&f->random);
}

/*
 * The guest must stay out of this program's memory; and QEMU 7.2 takes the paging
 * of a host away whose guest exits with EFER.LME = 1, CR0.PG = 0 and CR4.PAE = 0.
 */
static void tame(const struct number *n, uint8_t *argument)
{
	struct kvm_userspace_memory_region *region = (void *)argument;
	struct kvm_dirty_log *log = (void *)argument;
	struct kvm_sregs *sregs = (void *)argument;	/* and those of KVM_SET_SREGS2, so far */

	if ((n->number == KVM_SET_SREGS || n->number == KVM_SET_SREGS2) && sregs->efer & 0x100)
		sregs->cr4 |= 0x20;

	if (n->number == KVM_SET_USER_MEMORY_REGION)
		region->userspace_addr = AREA + region->userspace_addr % AREA_BYTES;
	if (n->number == KVM_SET_USER_MEMORY_REGION && region->memory_size < 1ull << 40)
		region->memory_size %= AREA_BYTES;
	if (n->number == KVM_GET_DIRTY_LOG || n->number == KVM_CLEAR_DIRTY_LOG)
		log->dirty_bitmap = (void *)(AREA + (uintptr_t)log->dirty_bitmap % AREA_BYTES);
}

static int descriptor(struct fuzzer *f, unsigned int kind)
{
	if (!random_below(&f->random, 20))
		kind = random_below(&f->random, 3);
	if (kind == KIND_VCPU)
		return vcpus[random_below(&f->random, VCPUS)]->fd;
	return kind == KIND_VM ? shared->fd : shared->sys;
}

static void one_call(struct fuzzer *f)
{
	const struct number *n = &numbers[random_below(&f->random, sizeof(numbers) / sizeof(numbers[0]))];
	uint8_t *argument = f->argument + ARGUMENT_BYTES - ((n->bytes + 7) & ~7u);
	int fd = descriptor(f, n->kind), result;
	unsigned long number = n->number;
	uint64_t value = (uintptr_t)argument;

	memset(f->argument, 0, ARGUMENT_BYTES);
	if (n->get)
		ioctl_try(fd, n->get, argument);
	fill(f, argument, n->bytes);
	tame(n, argument);
	if (!n->bytes)
		value = random_below(&f->random, 2) ? 0 : odd_value(&f->random);
	else if (!random_below(&f->random, 30))
		value = odd_value(&f->random);
	if (!random_below(&f->random, 30) && number != KVM_SET_USER_MEMORY_REGION)
		number = random_next(&f->random) & 0xff00ffff;
	if ((number & 0xffff) == 0xae8b)	/* a signal mask might never let a run end */
		return;
	result = ioctl_try(fd, number, (void *)value);
	if (result >= 0 && n->gives == GIVES_FD && number == n->number)
		close(result);
	f->succeeded += result >= 0;
	f->refused += result < 0;
}

static void nothing(int signal)
{
	(void)signal;
}

static void *fuzz(void *argument)
{
	struct fuzzer *f = argument;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(f->cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);	/* with one CPU both stay there */
	for (uint64_t i = 0; i < calls; i++)
		one_call(f);
	f->done = 1;
	return NULL;
}

static void start(struct fuzzer *f, unsigned int index)
{
	f->random.state = seed * THREADS + index + 1;
	f->cpu = index;
	f->argument = map_pages(ARGUMENT_BYTES + 4096);
	mprotect(f->argument + ARGUMENT_BYTES, 4096, PROT_NONE);
	REQUIRE(!pthread_create(&f->thread, NULL, fuzz, f), "pthread_create");
}

/* Guests that never exit are ended by signals. */
static void watch(void)
{
	int running = THREADS;

	while (running) {
		usleep(2000);
		running = 0;
		for (unsigned int i = 0; i < THREADS; i++)
			if (!fuzzers[i].done) {
				pthread_kill(fuzzers[i].thread, SIGUSR1);
				running++;
			}
	}
}

TEST_LIMIT(fuzz_ioctl, 3600)
{
	struct sigaction action = { .sa_handler = nothing };

	sigaction(SIGUSR1, &action, NULL);
	REQUIRE(mmap((void *)AREA, AREA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
		(void *)AREA, "no memory at %#lx", AREA);
	shared = vm_create(GUEST_MEMORY);
	if (seed & 1 && kvm_capability(shared->fd, KVM_CAP_IRQCHIP)) {
		struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

		IOCTL(shared->fd, KVM_CREATE_IRQCHIP, 0);
		IOCTL(shared->fd, KVM_CREATE_PIT2, &pit);
	}
	for (unsigned int i = 0; i < VCPUS; i++) {
		vcpus[i] = vcpu_create(shared, i);
		cpuid_set(vcpus[i], cpuid_supported(shared->sys));
		vcpu_mode(vcpus[i], 64);
	}
	LOAD(shared, GUEST_CODE, any);
	for (unsigned int i = 0; i < THREADS; i++)
		start(&fuzzers[i], i);
	watch();
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(fuzzers[i].thread, NULL);
		printf("fuzz_ioctl: thread %u: %lu succeeded, %lu refused\n", i, fuzzers[i].succeeded, fuzzers[i].refused);
	}
}

GUEST(after, 64, "mov $1, %eax\n out %eax, $0xe0\n");
TEST(after_the_fuzz)
{
	guest_expect(GUEST_CREATE(after, 64), 1, "guest");
}

int main(int argc, char **argv)
{
	calls = test_argument(argc, argv, 1, 10000) / THREADS;
	seed = test_argument(argc, argv, 2, test_fresh_seed());
	printf("fuzz_ioctl: %lu calls in each of %d threads, seed %lu%s\n", calls, THREADS, seed,
	       seed & 1 ? ", interrupt controllers in the kernel" : "");
	return test_main("fuzz_ioctl", 1, argv);
}
