// SPDX-License-Identifier: BSD-2-Clause
/*
 * clock.c - the clock beside the TSC over some seconds, and threads that pass
 * readings round and look for a step back. Static; runs in the guest and in the
 * service VM, whose figures test/vm/machine compares.
 *
 * usage: clock SECONDS THREADS [REST]
 * With REST a thread sleeps so many microseconds after each 1,000 readings. SIGTERM ends it before its time.
 * Prints "nanoseconds ticks"; status 1 after a step back.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

static volatile uint64_t newest;
static volatile int stop, back;
static unsigned int rest_us;

static uint64_t now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* What any thread has read before this thread's reading must not be later than it. */
static void *watch(void *unused)
{
	unsigned int n = 0;

	while (!stop) {
		uint64_t seen = __atomic_load_n(&newest, __ATOMIC_SEQ_CST);
		uint64_t mine = now(CLOCK_MONOTONIC);

		if (mine < seen) {
			back = 1;
			fprintf(stderr, "back by %llu ns\n", (unsigned long long)(seen - mine));
		}
		while (mine > seen && !__atomic_compare_exchange_n(&newest, &seen, mine, 0, __ATOMIC_SEQ_CST,
								   __ATOMIC_SEQ_CST))
			;
		if (rest_us && ++n % 1000 == 0)
			usleep(rest_us);
	}
	return unused;
}

/* sample: clock and TSC at one moment: of many tries, the one with the least between. */
static void sample(uint64_t *clock, uint64_t *tsc)
{
	uint64_t best = UINT64_MAX;
	int i;

	for (i = 0; i < 1000; i++) {
		uint64_t a = __rdtsc(), t = now(CLOCK_MONOTONIC_RAW), b = __rdtsc();

		if (b - a < best) {
			best = b - a;
			*clock = t;
			*tsc = a + (b - a) / 2;
		}
	}
}

static void on_term(int unused) { (void)unused; }

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? atoi(argv[1]) : 10, threads = argc > 2 ? atoi(argv[2]) : 4, i;
	struct timespec rest = { .tv_sec = seconds };
	uint64_t clock[2], tsc[2];
	pthread_t id[16];

	rest_us = argc > 3 ? atoi(argv[3]) : 0;
	signal(SIGTERM, on_term);
	sample(&clock[0], &tsc[0]);
	for (i = 0; i < threads && i < 16; i++)
		pthread_create(&id[i], NULL, watch, NULL);
	nanosleep(&rest, NULL);
	stop = 1;
	for (i = 0; i < threads && i < 16; i++)
		pthread_join(id[i], NULL);
	sample(&clock[1], &tsc[1]);
	printf("%llu %llu\n", (unsigned long long)(clock[1] - clock[0]), (unsigned long long)(tsc[1] - tsc[0]));
	return back;
}
