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
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
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

/* ---- does Linux see what the guest uses? ---- */

#define CGROUP "/tmp/cgroup"
#define AGED "api"		/* a file beside this program, on a disk: pages that reclaim may drop */
#define AGED_PAGES 256ul
#define RECLAIMS 12

static void cgroup_write(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		test_skip("%s: %s", file, strerror(errno));
	close(fd);
}

/* What this process brings into memory from here on is in a group of its own, to be reclaimed from. */
static void cgroup_enter(void)
{
	mkdir(CGROUP, 0700);
	if (mount("none", CGROUP, "cgroup2", 0, NULL) && errno != EBUSY)
		test_skip("cgroup2: %s", strerror(errno));
	cgroup_write(CGROUP "/cgroup.subtree_control", "+memory");
	mkdir(CGROUP "/guest", 0700);
	cgroup_write(CGROUP "/guest/cgroup.procs", "0");
	if (access(CGROUP "/guest/memory.reclaim", W_OK))
		test_skip("memory.reclaim: %s", strerror(errno));
}

/* Linux may well find less to take. */
static void cgroup_reclaim(const char *bytes)
{
	int fd = open(CGROUP "/guest/memory.reclaim", O_WRONLY);

	if (write(fd, bytes, strlen(bytes)) < 0 && errno != EAGAIN)
		test_fail("memory.reclaim: %s", strerror(errno));
	close(fd);
}

/* Pages of a file of which nothing is in memory. */
static uint8_t *file_pages(void)
{
	char name[256] = "";
	ssize_t n = readlink("/proc/self/exe", name, sizeof(name) - sizeof(AGED) - 1);
	uint8_t *at;
	int fd;

	strcpy(n > 0 && strrchr(name, '/') ? strrchr(name, '/') + 1 : name, AGED);
	fd = open(name, O_RDONLY);
	if (fd < 0 || lseek(fd, 0, SEEK_END) < (off_t)(AGED_PAGES * PAGE))
		test_skip("no file of %lu pages at %s", AGED_PAGES, name);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	at = mmap(NULL, AGED_PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	REQUIRE(at != MAP_FAILED, "mmap of %s: %s", name, strerror(errno));
	madvise(at, AGED_PAGES * PAGE, MADV_RANDOM);
	close(fd);
	return at;
}

/* Reads a byte each RDI bytes from RSI to RDX, and reports. */
GUEST(stroll, 64, "1: mov (%rsi), %al\n add %rdi, %rsi\n cmp %rdx, %rsi\n jb 1b\n mov $1, %eax\n out %eax, $0xe0\n");

static void stroll(struct vcpu *vcpu, unsigned int step)
{
	struct kvm_regs regs = { .rip = GUEST_CODE, .rflags = 2, .rsi = WINDOW, .rdi = step * PAGE, .rdx = WINDOW + AGED_PAGES * PAGE };

	regs_set(vcpu, &regs);
	guest_expect(vcpu, 1, "the end of the stroll");
}

/* Of each `step`th page from the first, or of all others: how many are in memory no longer. */
static unsigned int missing(uint8_t *pages, unsigned int step, int used)
{
	unsigned char there[AGED_PAGES];
	unsigned int n = 0;

	REQUIRE(!mincore(pages, sizeof(there) * PAGE, there), "mincore: %s", strerror(errno));
	for (unsigned int i = 0; i < AGED_PAGES; i++)
		n += (i % step == 0) == used && !(there[i] & 1);
	return n;
}

/* The guest uses each eighth page again and again, the others once: those are what reclaim takes. */
TEST(memory_aging)
{
	struct vcpu *vcpu = GUEST_CREATE(stroll, 64);
	unsigned int used = 0, unused = 0;
	uint8_t *pages;

	NEED(vcpu->vm->sys, KVM_CAP_READONLY_MEM);
	cgroup_enter();
	pages = file_pages();
	slot_set(vcpu->vm, 1, WINDOW, AGED_PAGES * PAGE, pages, KVM_MEM_READONLY);
	stroll(vcpu, 1);
	for (unsigned int round = 0; round < RECLAIMS && unused < AGED_PAGES / 2; round++) {
		stroll(vcpu, 8);
		cgroup_reclaim("65536");
		used += missing(pages, 8, 1);
		unused = missing(pages, 8, 0);
	}
	printf("memory_aging: missing, of used %u, of unused %u\n", used, unused);
	REQUIRE(unused >= AGED_PAGES / 2, "not reclaimed: %u", unused);
	REQUIRE(used <= AGED_PAGES / 8 / 4, "used pages were reclaimed as others: %u", used);
}
