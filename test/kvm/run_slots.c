// SPDX-License-Identifier: BSD-2-Clause
/*
 * run_slots.c - memory slots under a guest: read-only ones, deleting and moving
 * while vCPUs run, the dirty log, memory shared by two running vCPUs.
 *
 * Invariant under test: a slot change is atomic for a running vCPU (the old
 * memory, then MMIO, then the new), and when the call returns nobody uses the old.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"
#include "lazy.h"

#define PAGE 4096ul
#define WINDOW 0x10000000ull

/* Reads are direct, writes are the VMM's. */
GUEST(read_only, 64,
	"mov $0x10000000, %ebx\n mov (%rbx), %eax\n out %eax, $0xe0\n movl $7, (%rbx)\n orl $0x80, 4(%rbx)\n"
	"mov (%rbx), %eax\n out %eax, $0xe0\n");
TEST(slot_read_only)
{
	static const struct step steps[] = {
		REPORT(0x66666666), WRITE(WINDOW, 4, 7), WRITE(WINDOW + 4, 4, 0x666666e6), REPORT(0x66666666), {}
	};
	struct vcpu *vcpu = GUEST_CREATE(read_only, 64);
	uint8_t *rom = map_pages(PAGE);

	NEED(vcpu->vm->fd, KVM_CAP_READONLY_MEM);
	memset(rom, 0x66, PAGE);
	slot_set(vcpu->vm, 1, WINDOW, PAGE, rom, KVM_MEM_READONLY);
	guest_steps(vcpu, steps);
	REQUIRE(rom[0] == 0x66, "the write reached the memory");
}

/* Between delete and the new slot an access is MMIO. */
GUEST(store_loop, 64, "mov $0x10000000, %ebx\n 1: movl $7, (%rbx)\n mov $1, %eax\n out %eax, $0xe0\n jmp 1b\n");
TEST(slot_delete)
{
	struct vcpu *vcpu = GUEST_CREATE(store_loop, 64);
	uint8_t *one = map_pages(PAGE), *two = map_pages(PAGE);

	for (unsigned int i = 0; i < 20; i++) {
		uint8_t *memory = i & 1 ? two : one;

		memory[0] = 0;
		slot_set(vcpu->vm, 1, WINDOW, PAGE, memory, 0);
		guest_expect(vcpu, 1, "store");
		REQUIRE(memory[0] == 7, "round %u: the store went elsewhere", i);
		memory[0] = 0;
		slot_set(vcpu->vm, 1, WINDOW, 0, memory, 0);
		run_until(vcpu, KVM_EXIT_MMIO);
		REQUIRE(vcpu->run->mmio.phys_addr == WINDOW && memory[0] == 0, "round %u: not MMIO", i);
		guest_expect(vcpu, 1, "after MMIO");
	}
}

/* Move: the same slot at another address; the old one is MMIO from then on. */
TEST(slot_move)
{
	struct vcpu *vcpu = GUEST_CREATE(store_loop, 64);
	uint8_t *memory = map_pages(PAGE);

	slot_set(vcpu->vm, 1, WINDOW, PAGE, memory, 0);
	guest_expect(vcpu, 1, "store");
	slot_set(vcpu->vm, 1, WINDOW + 0x100000, PAGE, memory, 0);
	run_until(vcpu, KVM_EXIT_MMIO);
	guest_expect(vcpu, 1, "after MMIO");
	slot_set(vcpu->vm, 1, WINDOW, PAGE, memory, 0);
	memory[0] = 0;
	guest_expect(vcpu, 1, "store after moving back");
	REQUIRE(memory[0] == 7, "the store went elsewhere");
}

/* ---- a vCPU in a thread of its own */

static int grows(volatile uint32_t *counter)
{
	uint32_t before = *counter;

	for (unsigned int i = 0; i < 2000; i++) {
		usleep(1000);
		if (*counter != before)
			return 1;
	}
	return 0;
}

GUEST(count_up, 64, "mov $0x10000000, %ebx\n 1: incl (%rbx)\n pause\n jmp 1b\n");

/* Deleted and set again with other memory under a running guest. */
TEST(slot_delete_while_running)
{
	struct vcpu *vcpu = GUEST_CREATE(count_up, 64);
	uint8_t *one = map_pages(PAGE), *two = map_pages(PAGE);
	struct endless endless;
	uint32_t value;

	NEED(vcpu->vm->sys, KVM_CAP_IMMEDIATE_EXIT);
	slot_set(vcpu->vm, 1, WINDOW, PAGE, one, 0);
	endless_start(&endless, vcpu);
	for (unsigned int i = 0; i < 30; i++) {
		uint8_t *now = i & 1 ? two : one, *next = i & 1 ? one : two;

		REQUIRE(grows((volatile uint32_t *)now), "round %u: the guest does not run on its memory", i);
		slot_set(vcpu->vm, 1, WINDOW, 0, now, 0);
		value = bytes_get(now, 4);
		usleep(500);
		REQUIRE(bytes_get(now, 4) == value, "round %u: the guest writes to memory that was taken away", i);
		slot_set(vcpu->vm, 1, WINDOW, PAGE, next, 0);
	}
	endless_stop(&endless);
}

/* The same by the VMM's mapping, which KVM learns of from the kernel's notifier. */
TEST(slot_unmap_while_running)
{
	struct vcpu *vcpu = GUEST_CREATE(count_up, 64);
	volatile uint32_t *counter = map_pages(PAGE);
	struct endless endless;

	NEED(vcpu->vm->sys, KVM_CAP_IMMEDIATE_EXIT);
	slot_set(vcpu->vm, 1, WINDOW, PAGE, (void *)counter, 0);
	endless_start(&endless, vcpu);
	for (unsigned int i = 0; i < 50; i++) {
		REQUIRE(grows(counter), "round %u: the guest does not run on its memory", i);
		REQUIRE(!madvise((void *)counter, PAGE, MADV_DONTNEED), "madvise");
	}
	endless_stop(&endless);
}

/* ---- two vCPUs at once */

GUEST(locked_add, 64,
	"mov $0x10000000, %ebx\n mov $100000, %ecx\n 1: lock incl (%rbx)\n dec %ecx\n jnz 1b\n mov $1, %eax\n out %eax, $0xe0\n");

static void *run_to_report(void *vcpu)
{
	int result = run_try(vcpu);

	return (void *)(intptr_t)(result ? result : (int)((struct vcpu *)vcpu)->run->exit_reason);
}

/* A page that Linux has given up as bad is a SIGBUS of the vCPU's thread, with its address; the guest waits at its access. */
static volatile int bus_code;
static void *volatile bus_address;

static void on_bus(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	bus_code = info->si_code;
	bus_address = info->si_addr;
}

TEST(slot_page_is_bad)
{
	struct vcpu *vcpu = GUEST_CREATE(store_loop, 64);
	struct sigaction action = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };
	uint8_t *page = map_pages(PAGE);

	page[0] = 1;
	slot_set(vcpu->vm, 1, WINDOW, PAGE, page, 0);
	if (madvise(page, PAGE, MADV_HWPOISON))
		test_skip("MADV_HWPOISON: this kernel has no memory-failure, or this is not root");
	sigaction(SIGBUS, &action, NULL);
	REQUIRE(run_try(vcpu) == -EINTR, "KVM_RUN does not end by a signal");
	REQUIRE(bus_code == BUS_MCEERR_AR && bus_address == page, "SIGBUS of code %d at %p", bus_code, bus_address);
	slot_set(vcpu->vm, 1, WINDOW, 0, page, 0);
	slot_set(vcpu->vm, 1, WINDOW, PAGE, map_pages(PAGE), 0);
	guest_expect(vcpu, 1, "the store");
}

/*
 * A slot that is being deleted is Linux's still: the deletion waits, for a vCPU that misses a page of another slot, and meanwhile
 * the process gives the slot's memory back. From then on the guest may not use it any more: it waits too (KVM), or has MMIO.
 */
struct deletion {
	struct vm *vm;
	void *memory;
	volatile int done;
};

static void *delete_slot(void *argument)
{
	struct deletion *d = argument;

	slot_set(d->vm, 1, WINDOW, 0, d->memory, 0);
	d->done = 1;
	return NULL;
}

static void *run_once(void *argument)
{
	run_try(argument);
	return NULL;
}

GUEST(two_counts, 64, "mov $0x10000000, %ebx\n 1: incl (%rbx)\n incl 0x8100\n jmp 1b\n");
GUEST(one_load, 64, "cli\n mov 0x20000000, %eax\n out %eax, $0xe0\n");
TEST(slot_memory_given_back_while_deleted)
{
	struct vcpu *vcpu = GUEST_CREATE(two_counts, 64), *waiter = vcpu_create(vcpu->vm, 1);
	struct lazy *lazy = lazy_create(vcpu->vm, 2, 0x20000000, 1, 0);
	volatile uint32_t *count = (void *)(vcpu->vm->memory + 0x8100);
	struct deletion deletion = { .vm = vcpu->vm, .memory = map_pages(PAGE) };
	pthread_t deleter, waits;
	struct endless busy;
	struct kvm_regs regs;
	uint32_t before;

	cpuid_set(waiter, cpuid_supported(vcpu->vm->sys));
	vcpu_mode(waiter, 64);
	regs_get(waiter, &regs);
	regs.rip = GUEST_CODE + 0x800;
	regs_set(waiter, &regs);
	vm_load(vcpu->vm, GUEST_CODE + 0x800, code_one_load, (size_t)(code_one_load_end - code_one_load));
	slot_set(vcpu->vm, 1, WINDOW, PAGE, deletion.memory, 0);
	endless_start(&busy, vcpu);
	pthread_create(&waits, NULL, run_once, waiter);
	lazy_await(lazy, 1);
	pthread_create(&deleter, NULL, delete_slot, &deletion);
	usleep(100000);
	REQUIRE(!deletion.done, "the deletion has not waited");
	madvise(deletion.memory, PAGE, MADV_DONTNEED);
	busy.devices = 0;
	before = *count;
	usleep(100000);
	REQUIRE(*count - before <= 1 || busy.devices, "the guest goes on: %u rounds", *count - before);
	lazy_give(lazy, 0);
	pthread_join(waits, NULL);
	pthread_join(deleter, NULL);
	endless_stop(&busy);
}

TEST(two_vcpus_share_memory)
{
	struct vcpu *one = GUEST_CREATE(locked_add, 64), *two = vcpu_create(one->vm, 1);
	uint8_t *memory = map_pages(PAGE);
	void *results[2];
	pthread_t thread;

	slot_set(one->vm, 1, WINDOW, PAGE, memory, 0);
	cpuid_set(two, cpuid_supported(one->vm->sys));
	vcpu_mode(two, 64);
	REQUIRE(!pthread_create(&thread, NULL, run_to_report, two), "pthread_create");
	results[0] = run_to_report(one);
	pthread_join(thread, &results[1]);
	REQUIRE(results[0] == (void *)KVM_EXIT_IO && results[1] == (void *)KVM_EXIT_IO, "results %ld %ld",
		(long)results[0], (long)results[1]);
	REQUIRE(bytes_get(memory, 4) == 200000, "the counter is %lu", bytes_get(memory, 4));
}

/* ---- the dirty log */

#define LOG_PAGES 128u
GUEST(dirty, 64, "1: movl $1, (%rsi)\n mov $1, %eax\n out %eax, $0xe0\n jmp 1b\n");

static void write_page(struct vcpu *vcpu, unsigned int page)
{
	struct kvm_regs regs;

	regs_get(vcpu, &regs);
	regs.rsi = WINDOW + page * PAGE;
	regs.rip = GUEST_CODE;
	regs_set(vcpu, &regs);
	guest_expect(vcpu, 1, "store");
}

static void log_expect(struct vcpu *vcpu, uint64_t low, uint64_t high, const char *when)
{
	uint64_t bits[LOG_PAGES / 64] = { ~0ull, ~0ull };
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bits };

	IOCTL(vcpu->vm->fd, KVM_GET_DIRTY_LOG, &log);
	REQUIRE(bits[0] == low && bits[1] == high, "%s: %#lx %#lx, wanted %#lx %#lx", when, bits[1], bits[0], high, low);
}

TEST(dirty_log)
{
	struct vcpu *vcpu = GUEST_CREATE(dirty, 64);
	uint8_t *memory = map_pages(LOG_PAGES * PAGE);

	slot_set(vcpu->vm, 1, WINDOW, LOG_PAGES * PAGE, memory, 0);
	for (unsigned int page = 0; page < LOG_PAGES; page++)
		write_page(vcpu, page);
	slot_set(vcpu->vm, 1, WINDOW, LOG_PAGES * PAGE, memory, KVM_MEM_LOG_DIRTY_PAGES);
	log_expect(vcpu, 0, 0, "before any write");
	write_page(vcpu, 1);
	write_page(vcpu, 3);
	write_page(vcpu, 64);
	write_page(vcpu, 127);
	log_expect(vcpu, 0xa, 0x8000000000000001, "after four writes");
	log_expect(vcpu, 0, 0, "after reading the log");
	write_page(vcpu, 3);
	write_page(vcpu, 3);
	log_expect(vcpu, 0x8, 0, "written again");
	slot_set(vcpu->vm, 1, WINDOW, LOG_PAGES * PAGE, memory, 0);
	write_page(vcpu, 5);
	slot_set(vcpu->vm, 1, WINDOW, LOG_PAGES * PAGE, memory, KVM_MEM_LOG_DIRTY_PAGES);
	log_expect(vcpu, 0, 0, "a new log");
}

/* A page first touched under the log, by read then write. */
TEST(dirty_log_fresh_pages)
{
	struct vcpu *vcpu = GUEST_CREATE(dirty, 64);
	uint8_t *memory = map_pages(LOG_PAGES * PAGE);

	slot_set(vcpu->vm, 1, WINDOW, LOG_PAGES * PAGE, memory, KVM_MEM_LOG_DIRTY_PAGES);
	write_page(vcpu, 7);
	log_expect(vcpu, 0x80, 0, "the first write of all");
	write_page(vcpu, 7);
	write_page(vcpu, 100);
	log_expect(vcpu, 0x80, 1ull << 36, "old and new");
}

/* With manual clearing, reading leaves the bits, and KVM_CLEAR_DIRTY_LOG takes the ones it names. */
TEST(dirty_log_manual)
{
	struct vcpu *vcpu = GUEST_CREATE(dirty, 64);
	uint8_t *memory = map_pages(LOG_PAGES * PAGE);
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args[0] = 1 };
	uint64_t bits[2] = { 0x8, 0 };
	struct kvm_clear_dirty_log clear = { .slot = 1, .num_pages = 64, .first_page = 0, .dirty_bitmap = bits };

	NEED(vcpu->vm->fd, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
	IOCTL(vcpu->vm->fd, KVM_ENABLE_CAP, &cap);
	slot_set(vcpu->vm, 1, WINDOW, LOG_PAGES * PAGE, memory, KVM_MEM_LOG_DIRTY_PAGES);
	write_page(vcpu, 3);
	write_page(vcpu, 4);
	log_expect(vcpu, 0x18, 0, "first");
	log_expect(vcpu, 0x18, 0, "again");
	IOCTL(vcpu->vm->fd, KVM_CLEAR_DIRTY_LOG, &clear);
	log_expect(vcpu, 0x10, 0, "one cleared");
	write_page(vcpu, 3);
	log_expect(vcpu, 0x18, 0, "written again");
}
