/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test.h - the runner that every program against /dev/kvm is linked with.
 *
 * Owns: the list of tests (a linker section: a test registers itself by being
 * written), the tally, the closing line and the exit status.
 * Invariant: each test runs in a process of its own, so that a hang, a crash or
 * a leaked descriptor ends with it; a run that executed no test fails.
 * Called by: the programs in this directory.
 */
#ifndef TEST_H
#define TEST_H

#include <stdint.h>

struct test {
	const char *name;
	void (*function)(void);
	unsigned int seconds;	/* 0: the default limit */
};

#define TEST_LIMIT(id, limit)							\
	static void test_##id(void);						\
	static const struct test entry_##id = { #id, test_##id, limit };	\
	static const struct test *const pointer_##id				\
		__attribute__((used, section("tests"))) = &entry_##id;		\
	static void test_##id(void)
#define TEST(id) TEST_LIMIT(id, 0)

/* Ends the test as failed, with the reason. */
void test_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* Ends the test as skipped, with the reason. */
void test_skip(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* Marks the test as failed and goes on: for tables, where every bad row should be seen. */
void test_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How often test_note was called in this process. */
int test_notes(void);
/* The part of a test that runs now, printed with a failure; 0 or more, -1 none. */
extern int test_step;

#define REQUIRE(condition, ...) do { if (!(condition)) test_fail(__VA_ARGS__); } while (0)
#define EXPECT(condition, ...) do { if (!(condition)) test_note(__VA_ARGS__); } while (0)

/*
 * Runs the tests named on the command line (all when none is), prints a line
 * for each and the closing line. Returns the program's exit status.
 */
int test_main(const char *program, int argc, char **argv);

/*
 * Keeps the calling thread on the CPU where it is. Beside its own use, for guests that set breakpoints in QEMU 7.2: its VMRUN
 * loads DR7 without arming what it says, so a vCPU that changes CPU leaves the breakpoint behind. Seen then: no #DB in
 * 2 of 7 runs, and QEMU itself ended by a segmentation fault in one; 24 of 24 passed on one CPU.
 */
void cpu_keep(void);
/* Moves the calling thread to the n-th CPU, modulo their number, of those that it had when this was first called. */
void cpu_go(unsigned int n);

/* A small generator (xorshift), so that a seed gives the same run everywhere. */
struct random {
	uint64_t state;
};
uint64_t random_next(struct random *r);
static inline uint64_t random_below(struct random *r, uint64_t n) { return random_next(r) % n; }

/* argv[index] as a number, or the default when it is not given. */
uint64_t test_argument(int argc, char **argv, int index, uint64_t otherwise);
/* A seed nobody chose. */
uint64_t test_fresh_seed(void);

#endif
