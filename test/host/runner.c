// SPDX-License-Identifier: BSD-2-Clause
/*
 * runner.c - runs the tests that one binary holds, in the order of their
 * names, and closes with one line of counts. Arguments: names to run, none =
 * all. Exit status 1 when a test failed or none ran.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "check.h"

#define MAX_REPORTS 20	/* of one test */

static struct test *tests;
static unsigned int failures;
static const char *skipped;
static unsigned long long seed, random_state;

void test_register(struct test *t)
{
	struct test **at = &tests;

	while (*at && strcmp((*at)->name, t->name) < 0)
		at = &(*at)->next;
	t->next = *at;
	*at = t;
}

void test_skip(const char *why)
{
	skipped = why;
}

void test_fail(const char *file, int line, const char *format, ...)
{
	va_list args;

	if (failures++ >= MAX_REPORTS)
		return;
	printf("  %s:%d: ", file, line);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

unsigned int test_failures(void)
{
	return failures;
}

unsigned long long test_seed(void)
{
	return seed;
}

/* xorshift64* */
unsigned long long test_random(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dull;
}

unsigned int test_below(unsigned int n)
{
	return (test_random() >> 32) % n;
}

static void seed_choose(void)
{
	const char *given = getenv("SEED");

	if (given)
		seed = strtoull(given, NULL, 0);
	else if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = 1;
	if (!seed)
		seed = 1;
	printf("SEED=%#llx\n", seed);
}

static int wanted(const char *name, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (strstr(name, argv[i]))
			return 1;
	return argc < 2;
}

int main(int argc, char **argv)
{
	unsigned int passed = 0, failed = 0, skips = 0;
	struct test *t;

	setvbuf(stdout, NULL, _IOLBF, 0);
	seed_choose();
	for (t = tests; t; t = t->next) {
		if (!wanted(t->name, argc, argv))
			continue;
		failures = 0;
		skipped = NULL;
		random_state = seed;	/* so that one test alone repeats */
		t->run();
		if (failures)
			printf("FAIL %s (%u checks)\n", t->name, failures), failed++;
		else if (skipped)
			printf("skip %s: %s\n", t->name, skipped), skips++;
		else
			printf("ok %s\n", t->name), passed++;
	}
	printf("%u passed, %u failed, %u skipped\n", passed, failed, skips);
	return failed || !passed;
}
