/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - a micro guest's course: bring the CPU up, run the tests that are
 * linked in, print a line for each and the counts, switch the machine off.
 *
 * Invariant: the closing line comes only if every test has returned; the
 * machine's exit code tells the runner the same.
 * The command line: names of tests to run (none: all but those that reset the machine, reset_*), and `option=number`s.
 */
#include <stdarg.h>
#include "guest.h"

#define MAX_REPORTS 12
#define EXIT_GOOD 0x10
#define EXIT_BAD 0x11

extern const struct test *const tests_start[], *const tests_end[];
void guest_main(const u8 *at, const u8 *boot_params);

static u32 failures;
static const char *skipped, *running;

void test_fail(const char *format, ...)
{
	va_list args;

	if (__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED) >= MAX_REPORTS)
		return;
	print("FAIL %s: ", running);
	va_start(args, format);
	print_list(format, args);
	va_end(args);
	print("\n");
}

void test_skip(const char *why)
{
	skipped = why;
}

u32 test_failures(void)
{
	return READ_ONCE(failures);
}

/* ---- random numbers ---- */

u64 random_next(struct random *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * 0x2545f4914f6cdd1dull;
}

void random_fill(struct random *r, void *to, u32 bytes)
{
	u8 *p = to;
	u64 v = 0;
	u32 i;

	for (i = 0; i < bytes; i++, v >>= 8) {
		if (i % 8 == 0)
			v = random_next(r);
		p[i] = (u8)v;
	}
}

/* ---- the command line ---- */

static u64 number(const char *s)
{
	u64 value = 0, base = 10, digit;

	if (s[0] == '0' && s[1] == 'x') {
		base = 16;
		s += 2;
	}
	for (; *s && *s != ' '; s++, value = value * base + digit)
		digit = (u64)(*s <= '9' ? *s - '0' : (*s | 32) - 'a' + 10);
	return value;
}

/* The word of that name: what follows it, or NULL. */
static const char *word_find(const char *name, char end)
{
	const char *s = machine_cmdline();
	size_t n = strlen(name);

	for (; *s; s++) {
		if (!strncmp(s, name, n) && (s[n] == end || (!end && s[n] == ' ')))
			return s + n;
		while (s[1] && *s != ' ')
			s++;
	}
	return NULL;
}

u64 option(const char *name, u64 otherwise)
{
	const char *s = word_find(name, '=');

	return s ? number(s + 1) : otherwise;
}

static int any_named(void)
{
	const struct test *const *t;

	for (t = tests_start; t < tests_end; t++)
		if (word_find((*t)->name, 0))
			return 1;
	return 0;
}

/* ---- the run ---- */

static void run_all(u32 *passed, u32 *failed, u32 *skips)
{
	const struct test *const *t;
	int all = !any_named();

	for (t = tests_start; t < tests_end; t++) {
		if (all ? !strncmp((*t)->name, "reset_", 6) : !word_find((*t)->name, 0))
			continue;
		failures = 0;
		skipped = NULL;
		running = (*t)->name;
		(*t)->run();
		if (failures) {
			print("FAIL %s: %u checks\n", running, failures);
			++*failed;
		} else if (skipped) {
			print("skip %s: %s\n", running, skipped);
			++*skips;
		} else {
			print("ok %s\n", running);
			++*passed;
		}
	}
}

void guest_main(const u8 *at, const u8 *boot_params)
{
	u32 passed = 0, failed = 0, skips = 0;

	if ((u64)at != GUEST_BASE) {
		print("FAIL: loaded at %llx, linked for %x\n", (u64)at, GUEST_BASE);
		power_off(EXIT_BAD);
	}
	machine_init(boot_params);
	cpu_init(0);
	print("guest: `%s`\n", machine_cmdline());
	run_all(&passed, &failed, &skips);
	print("guest: %u passed, %u failed, %u skipped\n", passed, failed, skips);
	power_off(passed && !failed ? EXIT_GOOD : EXIT_BAD);
}
