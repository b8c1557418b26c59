// SPDX-License-Identifier: BSD-2-Clause
/*
 * fill.c - fills memory with a pattern, gives parts of it back and fills them
 * anew, and reads all of it. Static; runs in the guest.
 *
 * usage: fill MEGABYTES ROUNDS [SECONDS]
 * SECONDS are between the writing and the reading of a round (5, if there are
 * several). ROUNDS 0: until SIGTERM; each round is one line on standard error.
 * Every other 4 KiB page is all of one value, so that KSM finds equal pages.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define WORDS	(4096 / sizeof(uint64_t))

static volatile sig_atomic_t stop;

static void on_term(int unused)
{
	(void)unused;
	stop = 1;
}

/* value: what the page's word i holds in a round. */
static uint64_t value(size_t page, size_t i, unsigned int round)
{
	return page & 1 ? 0x5a5a5a5a5a5a5a5aull + round : (page * 0x9e3779b97f4a7c15ull) ^ (i * 3 + round);
}

static void fill(uint64_t *base, size_t page, unsigned int round)
{
	size_t i;

	for (i = 0; i < WORDS; i++)
		base[page * WORDS + i] = value(page, i, round);
}

static int check(const uint64_t *base, size_t page, unsigned int round)
{
	size_t i;

	for (i = 0; i < WORDS; i++) {
		if (base[page * WORDS + i] != value(page, i, round)) {
			printf("page %zu word %zu round %u: %llx\n", page, i, round,
			       (unsigned long long)base[page * WORDS + i]);
			return 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	size_t pages = (size_t)atoi(argc > 1 ? argv[1] : "64") * 256, page;
	unsigned int rounds = atoi(argc > 2 ? argv[2] : "1"), round;
	unsigned int seconds = argc > 3 ? atoi(argv[3]) : rounds > 1 ? 5 : 0;
	uint64_t *base = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED) {
		puts("no memory");
		return 1;
	}
	signal(SIGTERM, on_term);
	for (round = 0; rounds ? round < rounds : !stop; round++) {
		for (page = 0; page < pages; page++)
			fill(base, page, round);
		sleep(seconds);
		for (page = 0; page < pages; page++) {
			if (check(base, page, round))
				return 1;
		}
		if (!rounds)
			fprintf(stderr, "%u\n", round + 1);
	}
	if (rounds)
		printf("%zu MB\n", pages / 256);
	else
		printf("%zu MB, %u rounds\n", pages / 256, round);
	return 0;
}
