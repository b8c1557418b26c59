// SPDX-License-Identifier: BSD-2-Clause
/*
 * run_dirty.c - the dirty log page by page: what was written is in it once, what
 * was only read is not, and nothing is lost while vCPUs write and the log is read.
 * Then guests whose page tables they may not write, with and without a log.
 *
 * Invariant under test: who copies the pages that each pass names ends with a
 * true copy. With a page-modification log the processor names them; the same
 * must come out on machines without.
 */
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "guest.h"

#define PAGE 4096ul
#define WINDOW 0x10000000ull
#define PAGES 2048u		/* four times what a page-modification log holds */
#define WORDS (PAGES / 64)

/* For each page from RSI to RDX, each RDI bytes: a byte read or written, then a report. */
GUEST(write_pages, 64, "1: movb $1, 24(%rsi)\n add %rdi, %rsi\n cmp %rdx, %rsi\n jb 1b\n mov $1, %eax\n out %eax, $0xe0\n");
GUEST(read_pages, 64, "1: mov 24(%rsi), %al\n add %rdi, %rsi\n cmp %rdx, %rsi\n jb 1b\n mov $1, %eax\n out %eax, $0xe0\n");
#define READER (GUEST_CODE + 0x100)

/* IF = 1, though nothing ever comes: with IF = 0 Bochs lets an interrupt of the machine wait. */
static void walk(struct vcpu *vcpu, uint64_t code, unsigned int first, unsigned int step, unsigned int end)
{
	struct kvm_regs regs = { .rip = code, .rflags = 0x202, .rsi = WINDOW + first * PAGE, .rdi = step * PAGE, .rdx = WINDOW + end * PAGE };

	regs_set(vcpu, &regs);
	guest_expect(vcpu, 1, "the end of the pages");
}

static struct vcpu *walker(void)
{
	struct vcpu *vcpu = GUEST_CREATE(write_pages, 64);

	LOAD(vcpu->vm, READER, read_pages);
	return vcpu;
}

/* ---- the log */

static void log_get(struct vm *vm, uint64_t *bits)
{
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bits };

	memset(bits, 0xff, WORDS * 8);
	IOCTL(vm->fd, KVM_GET_DIRTY_LOG, &log);
}

static int has(const uint64_t *bits, unsigned int page)
{
	return bits[page / 64] >> page % 64 & 1;
}

/* Exactly each `step`th page from `first` to `end`. */
static void log_expect(struct vm *vm, unsigned int first, unsigned int step, unsigned int end, const char *when)
{
	uint64_t bits[WORDS];

	log_get(vm, bits);
	for (unsigned int page = 0; page < PAGES; page++) {
		int want = page >= first && page < end && (page - first) % step == 0;

		REQUIRE(has(bits, page) == want, "%s: page %u is %s", when, page, want ? "missing" : "there");
	}
}

static void log_expect_nothing(struct vm *vm, const char *when)
{
	log_expect(vm, 0, 1, 0, when);
}

/* A counter of this VM under /sys/kernel/debug/tenon, where that is; else -1. */
static long counter(const char *name)
{
	char line[64], key[32];
	long value, found = -1;
	glob_t files;
	FILE *f;

	mount("none", "/sys/kernel/debug", "debugfs", 0, NULL);
	if (glob("/sys/kernel/debug/tenon/vm-*", 0, NULL, &files))
		return -1;
	f = fopen(files.gl_pathv[files.gl_pathc - 1], "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%31s %ld", key, &value) == 2 && !strcmp(key, name))
			found = value;
	if (f)
		fclose(f);
	globfree(&files);
	return found;
}

/* What a pass of the guest over all pages costs: for people, not for the test. */
static void pass(struct vcpu *vcpu, uint64_t code, unsigned int step, const char *what)
{
	long entries = counter("entries"), faults = counter("fault"), full = counter("log_full"), logged = counter("logged");

	walk(vcpu, code, 0, step, PAGES);
	if (entries >= 0)
		printf("  %s: %ld entries, %ld faults, %ld times a full log, %ld logged\n", what, counter("entries") - entries,
			counter("fault") - faults, counter("log_full") - full, counter("logged") - logged);
}

/* More pages than a page-modification log holds, in one KVM_RUN; each is named once, and only if it was written. */
TEST(dirty_exact)
{
	struct vcpu *vcpu = walker();
	uint8_t *memory = map_pages(PAGES * PAGE);
	uint64_t bits[WORDS];

	memset(memory, 1, PAGES * PAGE);
	slot_set(vcpu->vm, 1, WINDOW, PAGES * PAGE, memory, KVM_MEM_LOG_DIRTY_PAGES);
	log_expect_nothing(vcpu->vm, "before any write");
	pass(vcpu, READER, 1, "all pages are read");
	log_get(vcpu->vm, bits);	/* KVM names a page that a first read let it map writable */
	pass(vcpu, READER, 1, "read again");
	log_expect_nothing(vcpu->vm, "after reading");
	pass(vcpu, GUEST_CODE, 1, "and written");
	log_expect(vcpu->vm, 0, 1, PAGES, "after writing all");
	log_expect_nothing(vcpu->vm, "a second look");
	pass(vcpu, GUEST_CODE, 1, "written again");
	log_expect(vcpu->vm, 0, 1, PAGES, "after writing all again");
	pass(vcpu, GUEST_CODE, 3, "each third is written");
	walk(vcpu, READER, 0, 1, PAGES);
	log_expect(vcpu->vm, 0, 3, PAGES, "after writing each third");
	pass(vcpu, GUEST_CODE, 64, "each 64th is written");
	log_expect(vcpu->vm, 0, 64, PAGES, "after writing each 64th");
	log_expect_nothing(vcpu->vm, "at the end");
}

/* What was mapped before the log began, in pages as large as they come. */
TEST(dirty_large_pages)
{
	struct vcpu *vcpu = walker();
	uint8_t *memory = map_pages(2 * PAGES * PAGE);

	memory = (uint8_t *)(((uintptr_t)memory + 0x1fffff) & ~0x1ffffful);
	madvise(memory, PAGES * PAGE, MADV_HUGEPAGE);
	memset(memory, 1, PAGES * PAGE);
	slot_set(vcpu->vm, 1, WINDOW, PAGES * PAGE, memory, 0);
	walk(vcpu, GUEST_CODE, 0, 1, PAGES);
	slot_set(vcpu->vm, 1, WINDOW, PAGES * PAGE, memory, KVM_MEM_LOG_DIRTY_PAGES);
	log_expect_nothing(vcpu->vm, "a new log");
	for (unsigned int round = 0; round < 3; round++) {
		walk(vcpu, GUEST_CODE, 5, 1, 6);
		walk(vcpu, GUEST_CODE, 5, 1, 6);
		walk(vcpu, GUEST_CODE, 600, 1, 601);
		walk(vcpu, READER, 0, 1, PAGES);
		log_expect(vcpu->vm, 5, 595, 601, "pages 5 and 600");
	}
}

/* All bits set at first; each is cleared by its own call, and then the log is exact. */
TEST(dirty_initially_set)
{
	struct vcpu *vcpu = walker();
	uint8_t *memory = map_pages(PAGES * PAGE);
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args[0] = 3 };
	uint64_t bits[WORDS];
	struct kvm_clear_dirty_log clear = { .slot = 1, .num_pages = PAGES, .dirty_bitmap = bits };

	if (kvm_capability(vcpu->vm->fd, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) != 3)
		test_skip("KVM_DIRTY_LOG_INITIALLY_SET is not there");
	IOCTL(vcpu->vm->fd, KVM_ENABLE_CAP, &cap);
	memset(memory, 1, PAGES * PAGE);
	slot_set(vcpu->vm, 1, WINDOW, PAGES * PAGE, memory, KVM_MEM_LOG_DIRTY_PAGES);
	walk(vcpu, GUEST_CODE, 0, 1, PAGES);
	log_expect(vcpu->vm, 0, 1, PAGES, "at first");
	memset(bits, 0x55, sizeof(bits));
	IOCTL(vcpu->vm->fd, KVM_CLEAR_DIRTY_LOG, &clear);
	log_expect(vcpu->vm, 1, 2, PAGES, "half of them cleared");
	memset(bits, 0xff, sizeof(bits));
	IOCTL(vcpu->vm->fd, KVM_CLEAR_DIRTY_LOG, &clear);
	log_expect_nothing(vcpu->vm, "all cleared");
	walk(vcpu, GUEST_CODE, 7, 50, PAGES);
	log_expect(vcpu->vm, 7, 50, PAGES, "written");
	log_expect(vcpu->vm, 7, 50, PAGES, "not cleared");
	/* 64 pages of them, from the third word on. */
	clear = (struct kvm_clear_dirty_log) { .slot = 1, .first_page = 128, .num_pages = 64, .dirty_bitmap = bits };
	IOCTL(vcpu->vm->fd, KVM_CLEAR_DIRTY_LOG, &clear);
	log_get(vcpu->vm, bits);
	REQUIRE(bits[2] == 0 && has(bits, 107) && has(bits, 207), "the wrong pages were cleared");
}

/* ---- vCPUs that write while the log is read */

/* Adds 1 to a word of a page in [RSI, + RDX), another page each time (a generator in R8), for ever. */
GUEST(scatter, 64,
	"1: imul $1103515245, %r8, %r8\n add $12345, %r8\n mov %r8, %rax\n shr $16, %rax\n and %rdx, %rax\n and $-4096, %rax\n"
	"incl (%rsi,%rax)\n jmp 1b\n");

static void writer_start(struct endless *r, struct vcpu *vcpu, unsigned int first, unsigned int pages)
{
	struct kvm_regs regs = { .rip = GUEST_CODE, .rflags = 0x202, .rsi = WINDOW + first * PAGE, .rdx = pages * PAGE - 1, .r8 = 77 + first };

	regs_set(vcpu, &regs);
	endless_start(r, vcpu);
}

static void writer_stop(struct endless *r)
{
	endless_stop(r);
	REQUIRE(!r->devices, "%lu writes were a device's", r->devices);
}

static unsigned int copy_dirty(struct vm *vm, const uint8_t *memory, uint8_t *copy)
{
	unsigned int n = 0;
	uint64_t bits[WORDS];

	log_get(vm, bits);
	for (unsigned int page = 0; page < PAGES; page++)
		if (has(bits, page)) {
			memcpy(copy + page * PAGE, memory + page * PAGE, PAGE);
			n++;
		}
	return n;
}

static void compare(const uint8_t *memory, const uint8_t *copy, const char *when)
{
	for (unsigned int page = 0; page < PAGES; page++)
		REQUIRE(!memcmp(memory + page * PAGE, copy + page * PAGE, PAGE), "%s: the write to page %u was never named", when, page);
}

/* As a migration does it; the vCPUs stop for the last pass only. */
TEST_LIMIT(dirty_copy_of_running, 240)
{
	struct vcpu *one = GUEST_CREATE(scatter, 64), *two = vcpu_create(one->vm, 1);
	uint8_t *memory = map_pages(PAGES * PAGE), *copy = map_pages(PAGES * PAGE);
	struct endless writers[2];
	unsigned int named = 0;

	NEED(one->vm->sys, KVM_CAP_IMMEDIATE_EXIT);
	memset(memory, 1, PAGES * PAGE);
	memset(copy, 1, PAGES * PAGE);
	cpuid_set(two, cpuid_supported(one->vm->sys));
	vcpu_mode(two, 64);
	slot_set(one->vm, 1, WINDOW, PAGES * PAGE, memory, KVM_MEM_LOG_DIRTY_PAGES);
	for (unsigned int round = 0; round < 3; round++) {
		one->run->immediate_exit = two->run->immediate_exit = 0;
		writer_start(&writers[0], one, 0, PAGES);
		writer_start(&writers[1], two, PAGES / 2, PAGES / 4);
		for (unsigned int i = 0; i < 12; i++) {
			usleep(3000);
			named += copy_dirty(one->vm, memory, copy);
		}
		writer_stop(&writers[0]);
		writer_stop(&writers[1]);
		named += copy_dirty(one->vm, memory, copy);
		compare(memory, copy, "after the last pass");
	}
	REQUIRE(named > 8, "no vCPU has run");
	printf("  %u pages named, %ld times a full log, %ld faults\n", named, counter("log_full"), counter("fault"));
}

/* Two vCPUs, each with its own pages: both are heard of. */
TEST(dirty_two_vcpus)
{
	struct vcpu *one = walker(), *two = vcpu_create(one->vm, 1);
	uint8_t *memory = map_pages(PAGES * PAGE);

	memset(memory, 1, PAGES * PAGE);
	cpuid_set(two, cpuid_supported(one->vm->sys));
	vcpu_mode(two, 64);
	slot_set(one->vm, 1, WINDOW, PAGES * PAGE, memory, KVM_MEM_LOG_DIRTY_PAGES);
	for (unsigned int round = 0; round < 3; round++) {
		walk(one, GUEST_CODE, 0, 4, PAGES);
		walk(two, GUEST_CODE, 2, 4, PAGES);
		log_expect(one->vm, 0, 2, PAGES, "after both");
		walk(two, GUEST_CODE, 0, 4, PAGES);
		log_expect(one->vm, 0, 4, PAGES, "the second vCPU on the first one's pages");
	}
}

/* ---- page tables that the guest may not write */

#define TABLES 0x20000000ull	/* read-only, beyond the window's pages */
#define ACCESSED 0x20ull
#define DIRTY 0x40ull

/*
 * AMD's processors make each walk a write at the nested tables (APM volume 2, 15.25.6): every instruction of such a guest
 * is for the hypervisor's emulator there, log or none. What that knows is not under test.
 */
static void need_walks(void)
{
	if (!__builtin_cpu_is("intel"))
		test_skip("this processor's walks are always writes");
}

/* As the guest's own, in a read-only slot; `bits` are set in all entries, but not in that of the window's first 2 MiB. */
static void read_only_tables(struct vcpu *vcpu, uint64_t bits, uint64_t window_bits)
{
	uint64_t *top = map_pages(6 * PAGE);
	struct kvm_sregs sregs;

	NEED(vcpu->vm->fd, KVM_CAP_READONLY_MEM);
	memcpy(top, vcpu->vm->memory + GUEST_TABLES, 6 * PAGE);
	for (unsigned int i = 0; i < 6 * 512; i++)
		top[i] |= top[i] ? bits : 0;
	top[0] += TABLES - GUEST_TABLES;
	for (unsigned int i = 0; i < 4; i++)
		top[512 + i] += TABLES - GUEST_TABLES;
	top[1024 + (WINDOW >> 21)] = WINDOW | 0x83 | window_bits;
	slot_set(vcpu->vm, 2, TABLES, 6 * PAGE, top, KVM_MEM_READONLY);
	IOCTL(vcpu->fd, KVM_GET_SREGS, &sregs);
	sregs.cr3 = TABLES;
	IOCTL(vcpu->fd, KVM_SET_SREGS, &sregs);
}

/*
 * Instructions on one page of the window, plain ones: KVM's emulator does them where a walk faults. (Linux 6.1's takes the
 * entry's address for the operand's, if both lie at one place of their pages: no operand does here.)
 */
GUEST(moves, 64,
	"mov $0x10000000, %ebx\n mov 24(%rbx), %eax\n out %eax, $0xe0\n movl $0x1234, 40(%rbx)\n mov 40(%rbx), %eax\n out %eax, $0xe0\n"
	"add %eax, 40(%rbx)\n push %rbx\n pop %rcx\n mov 40(%rcx), %eax\n out %eax, $0xe0\n");
static const struct step moves_steps[] = { REPORT(0x01010101), REPORT(0x1234), REPORT(0x2468), {} };

static void tables_test(uint32_t flags, uint64_t window_bits)
{
	struct vcpu *vcpu = GUEST_CREATE(moves, 64);
	uint8_t *memory = map_pages(PAGES * PAGE);

	need_walks();
	memset(memory, 1, PAGES * PAGE);
	slot_set(vcpu->vm, 1, WINDOW, PAGES * PAGE, memory, flags);
	read_only_tables(vcpu, ACCESSED | DIRTY, window_bits);
	guest_steps(vcpu, moves_steps);
	REQUIRE(bytes_get(memory + 40, 4) == 0x2468, "the guest's store is lost");
	if (flags)
		log_expect(vcpu->vm, 0, 1, 1, "one page written");
}

TEST(tables_read_only) { tables_test(0, ACCESSED | DIRTY); }
TEST(tables_read_only_logged) { tables_test(KVM_MEM_LOG_DIRTY_PAGES, ACCESSED | DIRTY); }
TEST(tables_read_only_unmarked) { tables_test(0, 0); }
TEST(tables_read_only_unmarked_logged) { tables_test(KVM_MEM_LOG_DIRTY_PAGES, 0); }

/* A log that is under way when such tables come: no write is lost by what follows from them. */
TEST(tables_read_only_later)
{
	struct vcpu *vcpu = walker();
	uint8_t *memory = map_pages(PAGES * PAGE);
	unsigned int mapped = 512;

	need_walks();
	memset(memory, 1, PAGES * PAGE);
	slot_set(vcpu->vm, 1, WINDOW, PAGES * PAGE, memory, KVM_MEM_LOG_DIRTY_PAGES);
	walk(vcpu, GUEST_CODE, 0, 2, mapped);
	log_expect(vcpu->vm, 0, 2, mapped, "the first pass");
	walk(vcpu, GUEST_CODE, 1, 4, mapped);
	read_only_tables(vcpu, ACCESSED | DIRTY, ACCESSED | DIRTY);
	walk(vcpu, READER, 0, 1, mapped);
	walk(vcpu, GUEST_CODE, 3, 4, mapped);
	log_expect(vcpu->vm, 1, 2, mapped, "before and after the new tables");
	walk(vcpu, GUEST_CODE, 0, 8, PAGES);
	log_expect(vcpu->vm, 0, 8, PAGES, "later");
	log_expect_nothing(vcpu->vm, "at the end");
	/* The log ends and begins again, with the same tables. */
	slot_set(vcpu->vm, 1, WINDOW, PAGES * PAGE, memory, 0);
	walk(vcpu, GUEST_CODE, 0, 1, PAGES);
	slot_set(vcpu->vm, 1, WINDOW, PAGES * PAGE, memory, KVM_MEM_LOG_DIRTY_PAGES);
	walk(vcpu, GUEST_CODE, 9, 100, PAGES);
	log_expect(vcpu->vm, 9, 100, PAGES, "a second log");
}
