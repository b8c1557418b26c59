// SPDX-License-Identifier: BSD-2-Clause
/*
 * test.c - runs tests, each in a child process, and counts.
 *
 * Owns: the tally. Invariant: every test started ends in exactly one of
 * passed, failed, skipped, whatever its process did. The child says "failed"
 * and "skipped" by its exit status and has printed the reason; the parent
 * prints for a child that could not.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#define DEFAULT_SECONDS 120
enum { STATUS_PASSED = 0, STATUS_FAILED = 1, STATUS_SKIPPED = 77 };

extern const struct test *const __start_tests[] __attribute__((weak));
extern const struct test *const __stop_tests[] __attribute__((weak));

static struct { unsigned int passed, failed, skipped; } tally;
static const char *current = "?";
static int notes;
int test_step = -1;

static void say(const char *word, const char *format, va_list list)
{
	char reason[512];
	int used = 0;

	if (test_step >= 0)
		used = snprintf(reason, sizeof(reason), "step %d: ", test_step);
	vsnprintf(reason + used, sizeof(reason) - used, format, list);
	printf("%s %s: %s\n", word, current, reason);
	fflush(stdout);
}

void test_fail(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	say("FAIL", format, list);
	_exit(STATUS_FAILED);
}

void test_skip(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	say("skip", format, list);
	_exit(STATUS_SKIPPED);
}

void test_note(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	say("FAIL", format, list);
	va_end(list);
	__atomic_add_fetch(&notes, 1, __ATOMIC_RELAXED);
}

int test_notes(void)
{
	return notes;
}

static __attribute__((noreturn)) void child(const struct test *test)
{
	alarm(test->seconds ? test->seconds : DEFAULT_SECONDS);
	test->function();
	fflush(stdout);
	_exit(notes ? STATUS_FAILED : STATUS_PASSED);
}

/* Counts one ended test; prints what its process did not print itself. */
static void count(const struct test *test, int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_SKIPPED) {
		tally.skipped++;
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_PASSED) {
		tally.passed++;
		printf("ok %s\n", test->name);
	} else {
		tally.failed++;
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
			printf("FAIL %s: no end in time\n", test->name);
		else if (WIFSIGNALED(status))
			printf("FAIL %s: killed by signal %d\n", test->name, WTERMSIG(status));
	}
	fflush(stdout);
}

static void run(const struct test *test)
{
	int status = 0;
	pid_t pid;

	current = test->name;
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		child(test);
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("fork");
		exit(1);
	}
	count(test, status);
}

/* The named ones, or all; -NAME leaves one out, and the tally says so. */
static int wanted(const char *name, int argc, char **argv)
{
	int all = 1;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], name))
			return 1;
		if (argv[i][0] != '-') {
			all = 0;
		} else if (!strcmp(argv[i] + 1, name)) {
			printf("skip %s: left out by the command\n", name);
			tally.skipped++;
			return 0;
		}
	}
	return all;
}

int test_main(const char *program, int argc, char **argv)
{
	for (const struct test *const *test = __start_tests; test < __stop_tests; test++)
		if (wanted((*test)->name, argc, argv))
			run(*test);
	printf("%s: %u passed, %u failed, %u skipped\n", program, tally.passed, tally.failed, tally.skipped);
	return tally.failed || !tally.passed;
}

static void cpu_set(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	REQUIRE(!sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity: %s", strerror(errno));
}

void cpu_keep(void)
{
	int cpu = sched_getcpu();

	REQUIRE(cpu >= 0, "sched_getcpu: %s", strerror(errno));
	cpu_set((unsigned int)cpu);
}

void cpu_go(unsigned int n)
{
	static cpu_set_t all;
	unsigned int cpu = 0;

	if (!CPU_COUNT(&all))
		REQUIRE(!sched_getaffinity(0, sizeof(all), &all), "sched_getaffinity: %s", strerror(errno));
	for (n %= (unsigned int)CPU_COUNT(&all); !CPU_ISSET(cpu, &all) || n; cpu++)
		n -= CPU_ISSET(cpu, &all) != 0;
	cpu_set(cpu);
}

uint64_t random_next(struct random *r)
{
	if (!r->state)
		r->state = 0x9e3779b97f4a7c15ull;
	r->state ^= r->state << 13;
	r->state ^= r->state >> 7;
	r->state ^= r->state << 17;
	return r->state;
}

uint64_t test_argument(int argc, char **argv, int index, uint64_t otherwise)
{
	return index < argc ? strtoull(argv[index], NULL, 0) : otherwise;
}

uint64_t test_fresh_seed(void)
{
	uint32_t seed = 1;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = (uint32_t)getpid();
	return seed | 1;
}
