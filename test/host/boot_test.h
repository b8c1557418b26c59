/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * boot_test.h - what the host tests of boot/ share: a physical memory that is
 * a buffer, a log that counts lines, checks, and random numbers with a seed.
 * Each test is one program that includes this once.
 */
#ifndef BOOT_TEST_H
#define BOOT_TEST_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "boot/boot.h"
#include "log.h"
#include "phys.h"

#define PHYS_BYTES 0x200000000ull	/* 8 GiB of address space, touched sparsely */

static u8 *phys;
static char log_text[4096];
static unsigned int log_lines;
static u64 seed;
static unsigned long checks;

#define CHECK(what) do { \
	checks++; \
	if (!(what)) { \
		fprintf(stderr, "%s:%d: not true: %s (seed %llu; log: %s)\n", __FILE__, __LINE__, #what, seed, log_text); \
		exit(1); \
	} \
} while (0)

void log_print(const char *fmt, ...)
{
	va_list args;
	size_t length;

	va_start(args, fmt);
	vsnprintf(log_text, sizeof(log_text), fmt, args);
	va_end(args);
	length = strlen(log_text);
	CHECK(length > 20 && log_text[length - 1] == '\n' && strchr(log_text, '\n') == log_text + length - 1);
	log_lines++;
}

/* A test that wants to see the calls defines this first. */
#ifndef PHYS_HOOK
#define PHYS_HOOK(pa) ((void)0)
#endif

void *phys_to_virt(u64 pa)
{
	CHECK(pa < PHYS_BYTES);
	PHYS_HOOK(pa);
	return phys + pa;
}

/* 0 must come with no line, an error with exactly one. */
static inline int told(int result, unsigned int lines_before)
{
	CHECK(log_lines - lines_before == (result < 0));
	return result;
}
#define TOLD(call) __extension__ ({ unsigned int told_before = log_lines; told(call, told_before); })

static inline u64 random_u64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}

static inline u64 random_below(u64 n)
{
	return (random_u64() >> 11) % n;
}

/* Numbers that break things more often than even chances would. */
static inline u64 random_odd(void)
{
	static const u64 edges[] = { 0, 1, 2, 7, 8, 9, 15, 16, 0x7f, 0xff, 0xfff, 0x1000, 0xffff, 0x10000, 0x7fffffff,
				     0xfffffff8, 0xffffffff, 0x100000000, ~0ull >> 1, ~0ull - 7, ~0ull };

	return random_below(2) ? edges[random_below(sizeof(edges) / sizeof(edges[0]))] : random_u64() >> random_below(64);
}

static void test_start(int argc, char **argv)
{
	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (u64)time(NULL) * 2654435761u;
	seed |= 1;
	printf("%s: seed %llu\n", argv[0], seed);
	phys = mmap(NULL, PHYS_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(phys != MAP_FAILED);
}

static int test_end(const char *name)
{
	printf("%s: ok, %lu checks\n", name, checks);
	return 0;
}

#endif
