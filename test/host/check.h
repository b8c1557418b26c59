/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check.h - what a host unit test needs: a test registers itself by being
 * written, and says what it expects.
 *
 * A failed check ends nothing; it is printed and the test counts as failed.
 * Called by: every *_*.c here. The lists live in runner.c.
 */
#ifndef TEST_HOST_CHECK_H
#define TEST_HOST_CHECK_H

struct test {
	const char *name;
	void (*run)(void);
	struct test *next;
};

void test_register(struct test *t);
void test_skip(const char *why);
void test_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Failed checks of the test that runs now. */
unsigned int test_failures(void);

/* The seed of this run: SEED of the environment, or a new one. */
unsigned long long test_seed(void);
unsigned long long test_random(void);
/* 0 to n - 1 */
unsigned int test_below(unsigned int n);

#define TEST(fn) \
	static void fn(void); \
	static struct test fn##_test = { #fn, fn, 0 }; \
	__attribute__((constructor)) static void fn##_register(void) { test_register(&fn##_test); } \
	static void fn(void)

#define CHECK(condition) \
	do { \
		if (!(condition)) \
			test_fail(__FILE__, __LINE__, "%s", #condition); \
	} while (0)

#define CHECK_EQ(got, want) \
	do { \
		unsigned long long got_ = (unsigned long long)(got), want_ = (unsigned long long)(want); \
		if (got_ != want_) \
			test_fail(__FILE__, __LINE__, "%s is %#llx, not %#llx", #got, got_, want_); \
	} while (0)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
