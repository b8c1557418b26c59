// SPDX-License-Identifier: BSD-2-Clause
/*
 * run_memory.c - guest memory is the VMM's memory: aliases, large amounts, and
 * what the VMM does to its mappings (madvise, mremap, mprotect, munmap, fork)
 * while the guest has them.
 *
 * Invariant under test: the guest never sees a page that the VMM's mapping no
 * longer has, and never misses one that it has.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define PAGE 4096ul
#define WINDOW 0x10000000ull	/* where these tests put a second slot */

/* Reports *RSI, for ever. */
GUEST(peek, 64, "1: mov (%rsi), %eax\n out %eax, $0xe0\n jmp 1b\n");
/* Writes RDI to *RSI and reports it, for ever. */
GUEST(poke, 64, "1: mov %edi, (%rsi)\n mov %edi, %eax\n out %eax, $0xe0\n jmp 1b\n");

static void point(struct vcpu *vcpu, uint64_t gpa, uint64_t value)
{
	struct kvm_regs regs;

	regs_get(vcpu, &regs);
	regs.rsi = gpa;
	regs.rdi = value;
	regs.rip = GUEST_CODE;
	regs_set(vcpu, &regs);
}

static uint32_t peek(struct vcpu *vcpu, uint64_t gpa)
{
	point(vcpu, gpa, 0);
	return guest_report(vcpu);
}

static void poke(struct vcpu *vcpu, uint64_t gpa, uint32_t value)
{
	point(vcpu, gpa, value);
	guest_expect(vcpu, value, "store");
}

#define POKER() GUEST_CREATE(poke, 64)
#define PEEKER() GUEST_CREATE(peek, 64)

/* Two addresses, one page: what one writes the other reads. */
TEST(memory_alias)
{
	struct vcpu *vcpu = POKER();
	uint8_t *page = map_pages(2 * PAGE);

	slot_set(vcpu->vm, 1, WINDOW, 2 * PAGE, page, 0);
	slot_set(vcpu->vm, 2, WINDOW + 0x100000, 2 * PAGE, page, 0);
	poke(vcpu, WINDOW, 0x1111);
	poke(vcpu, WINDOW + 0x100004, 0x2222);
	REQUIRE(bytes_get(page, 8) == 0x222200001111, "the page has %#lx", bytes_get(page, 8));
	LOAD(vcpu->vm, GUEST_CODE, peek);
	REQUIRE(peek(vcpu, WINDOW + 0x100000) == 0x1111 && peek(vcpu, WINDOW + 4) == 0x2222, "an alias reads another value");
}

/* One shared page in two VMs. */
TEST(memory_two_vms)
{
	struct vcpu *one = POKER(), *two = PEEKER();
	uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	slot_set(one->vm, 1, WINDOW, PAGE, page, 0);
	slot_set(two->vm, 1, WINDOW + PAGE, PAGE, page, 0);
	for (uint32_t i = 1; i < 20; i++) {
		poke(one, WINDOW + 8, i);
		REQUIRE(peek(two, WINDOW + PAGE + 8) == i, "round %u: the other VM reads another value", i);
	}
}

/* Every page of 64 MiB, written by the guest, seen by the VMM. */
GUEST(touch, 64,
	"1: mov %rsi, (%rsi)\n add $4096, %rsi\n cmp %rdi, %rsi\n jb 1b\n mov $1, %eax\n out %eax, $0xe0\n");
TEST(memory_64_megabytes)
{
	struct vcpu *vcpu = GUEST_CREATE(touch, 64);
	size_t bytes = 64ul << 20;
	uint8_t *memory = map_pages(bytes);

	slot_set(vcpu->vm, 1, WINDOW, bytes, memory, 0);
	point(vcpu, WINDOW, WINDOW + bytes);
	guest_expect(vcpu, 1, "all touched");
	for (size_t at = 0; at < bytes; at += PAGE)
		REQUIRE(bytes_get(memory + at, 8) == WINDOW + at, "page %#zx has %#lx", at, bytes_get(memory + at, 8));
}

/* The same with small pages only, in an order that no read-ahead guesses. */
TEST(memory_scattered)
{
	struct vcpu *vcpu = POKER();
	uint8_t *memory = map_pages(16ul << 20);
	struct random random = { 12345 };

	madvise(memory, 16ul << 20, MADV_NOHUGEPAGE);
	slot_set(vcpu->vm, 1, WINDOW, 16ul << 20, memory, 0);
	for (unsigned int i = 1; i < 500; i++) {
		uint64_t at = random_below(&random, 4096) * PAGE;

		poke(vcpu, WINDOW + at, i);
		REQUIRE(bytes_get(memory + at, 4) == i, "page %#lx", at);
	}
}

/* Reading memory that nobody wrote gives zeros; a slot's first touch may be a read. */
TEST(memory_zero)
{
	struct vcpu *vcpu = PEEKER();
	uint8_t *memory = map_pages(4 * PAGE);

	slot_set(vcpu->vm, 1, WINDOW, 4 * PAGE, memory, 0);
	REQUIRE(peek(vcpu, WINDOW + PAGE) == 0, "not zero");
	/* That mapped the zero page: a write by the VMM must replace it for the guest, too. */
	memory[PAGE] = 0x33;
	REQUIRE(peek(vcpu, WINDOW + PAGE) == 0x33, "the guest still sees the zero page");
}

TEST(memory_dontneed)
{
	struct vcpu *vcpu = PEEKER();
	uint8_t *memory = map_pages(4 * PAGE);

	slot_set(vcpu->vm, 1, WINDOW, 4 * PAGE, memory, 0);
	for (unsigned int i = 0; i < 20; i++) {
		memset(memory, 0x55, 4 * PAGE);
		REQUIRE(peek(vcpu, WINDOW + 2 * PAGE) == 0x55555555, "round %u: the guest misses a write", i);
		madvise(memory + 2 * PAGE, PAGE, MADV_DONTNEED);
		REQUIRE(peek(vcpu, WINDOW + 2 * PAGE) == 0, "round %u: the guest sees a page given back", i);
		REQUIRE(peek(vcpu, WINDOW + PAGE) == 0x55555555, "round %u: a neighbour changed", i);
	}
}

TEST(memory_mremap)
{
	struct vcpu *vcpu = PEEKER();
	uint8_t *memory = map_pages(2 * PAGE), *other = map_pages(PAGE);

	slot_set(vcpu->vm, 1, WINDOW, 2 * PAGE, memory, 0);
	memset(memory, 0x11, 2 * PAGE);
	memset(other, 0x22, PAGE);
	REQUIRE(peek(vcpu, WINDOW) == 0x11111111, "before");
	REQUIRE(mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, memory) == memory, "mremap: %s", strerror(errno));
	REQUIRE(peek(vcpu, WINDOW) == 0x22222222, "the guest sees the page that was replaced");
	REQUIRE(peek(vcpu, WINDOW + PAGE) == 0x11111111, "a neighbour changed");
}

/* Memory that is no longer there: the VMM hears it from KVM_RUN. */
TEST(memory_unmapped)
{
	struct vcpu *vcpu = PEEKER();
	uint8_t *memory = map_pages(2 * PAGE);
	int result;

	slot_set(vcpu->vm, 1, WINDOW, 2 * PAGE, memory, 0);
	memset(memory, 0x11, 2 * PAGE);
	REQUIRE(peek(vcpu, WINDOW) == 0x11111111, "before");
	munmap(memory, PAGE);
	result = run_try(vcpu);
	REQUIRE(result == -EFAULT, "KVM_RUN gives %d", result);
	REQUIRE(mmap(memory, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == memory, "mmap");
	REQUIRE(peek(vcpu, WINDOW) == 0, "the new page is not the guest's");
}

/* A slot may be set before its memory is there. */
TEST(memory_mapped_late)
{
	struct vcpu *vcpu = PEEKER();
	uint8_t *memory = map_pages(PAGE);

	munmap(memory, PAGE);
	slot_set(vcpu->vm, 1, WINDOW, PAGE, memory, 0);
	REQUIRE(mmap(memory, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == memory, "mmap");
	memory[0] = 9;
	REQUIRE(peek(vcpu, WINDOW) == 9, "the guest reads another value");
}

TEST(memory_mprotect)
{
	struct vcpu *vcpu = POKER();
	uint8_t *memory = map_pages(PAGE);
	int result;

	slot_set(vcpu->vm, 1, WINDOW, PAGE, memory, 0);
	poke(vcpu, WINDOW, 1);
	mprotect(memory, PAGE, PROT_READ);
	point(vcpu, WINDOW, 2);
	result = run_try(vcpu);
	REQUIRE(result == -EFAULT && bytes_get(memory, 4) == 1, "KVM_RUN gives %d, the page has %lu", result, bytes_get(memory, 4));
	mprotect(memory, PAGE, PROT_READ | PROT_WRITE);
	poke(vcpu, WINDOW, 2);
}

/* After fork the pages are shared for reading: the guest's write must reach the parent's own copy. */
TEST(memory_fork)
{
	struct vcpu *vcpu = POKER();
	uint8_t *memory = map_pages(4 * PAGE);
	int pipes[2], status;
	pid_t pid;

	slot_set(vcpu->vm, 1, WINDOW, 4 * PAGE, memory, 0);
	poke(vcpu, WINDOW, 1);
	REQUIRE(!pipe(pipes), "pipe");
	pid = fork();
	if (!pid) {
		char go;

		_exit(read(pipes[0], &go, 1) == 1 && bytes_get(memory, 4) == 1 ? 0 : 1);
	}
	poke(vcpu, WINDOW, 2);
	REQUIRE(write(pipes[1], "x", 1) == 1, "pipe");
	waitpid(pid, &status, 0);
	REQUIRE(bytes_get(memory, 4) == 2, "the VMM reads %lu", bytes_get(memory, 4));
	REQUIRE(!status, "the child sees the guest's write");
}

/* A private file mapping and a shared one; the guest's writes to the second are the file's. */
TEST(memory_file)
{
	struct vcpu *vcpu = POKER();
	int fd = memfd_create("memory", 0);
	uint32_t value = 0;
	uint8_t *shared;

	REQUIRE(fd >= 0 && !ftruncate(fd, 2 * PAGE), "memfd: %s", strerror(errno));
	shared = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	slot_set(vcpu->vm, 1, WINDOW, 2 * PAGE, shared, 0);
	poke(vcpu, WINDOW + PAGE, 0x600d);
	REQUIRE(pread(fd, &value, 4, PAGE) == 4 && value == 0x600d, "the file has %#x", value);
	REQUIRE(!ftruncate(fd, 0), "ftruncate");
	REQUIRE(run_try(vcpu) == -EFAULT, "the guest still has a page that the file lost");
}

/* 2 MiB pages, where the kernel gives them: found, split by madvise, still right. */
TEST(memory_huge)
{
	size_t huge = 2ul << 20;
	struct vcpu *vcpu = POKER();
	uint8_t *memory = map_pages(4 * huge);

	memory = (uint8_t *)(((uintptr_t)memory + huge - 1) & ~(huge - 1));
	madvise(memory, 2 * huge, MADV_HUGEPAGE);
	memset(memory, 0, 2 * huge);
	slot_set(vcpu->vm, 1, WINDOW, 2 * huge, memory, 0);
	for (unsigned int i = 0; i < 512; i += 37)
		poke(vcpu, WINDOW + i * PAGE, i + 1);
	madvise(memory + 37 * PAGE, PAGE, MADV_DONTNEED);
	REQUIRE(bytes_get(memory + 37 * PAGE, 4) == 0 && bytes_get(memory + 74 * PAGE, 4) == 75, "the VMM's view");
	LOAD(vcpu->vm, GUEST_CODE, peek);
	REQUIRE(peek(vcpu, WINDOW + 37 * PAGE) == 0, "the guest sees a page given back");
	REQUIRE(peek(vcpu, WINDOW + 74 * PAGE) == 75, "a neighbour is lost");
}
