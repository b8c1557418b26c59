// SPDX-License-Identifier: BSD-2-Clause
/*
 * kill_rounds.c - usage: kill_rounds [ROUNDS [SEED]]: small VMMs that have run a
 * vCPU and touched 64 pages, killed by SIGKILL at a random point of their life.
 *
 * Invariant under test: whatever a VMM held is back when it is gone. This
 * program sees the memory that Linux has; what a hypervisor has beside it is
 * compared by whoever runs this.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define LONGEST_LIFE_US 30000
#define LEAK_KB (48 * 1024)

static uint64_t rounds, seed;

/* Touches 64 pages, then makes exits of several kinds for ever. */
GUEST(busy, 64,
	"mov $0x20000, %esi\n mov $64, %ecx\n 1: movl %ecx, (%rsi)\n add $0x1000, %esi\n loop 1b\n"
	"mov $0x10000000, %ebx\n 2: out %eax, $0x10\n mov %eax, (%rbx)\n mov (%rbx), %eax\n xor %eax, %eax\n cpuid\n"
	"movl $1, 0x30000\n mov $0x10000000, %ebx\n pause\n jmp 2b\n");

static __attribute__((noreturn)) void victim(void)
{
	struct vcpu *vcpu = GUEST_CREATE(busy, 64);

	for (;;)
		run_try(vcpu);
}

static void kill_one(struct random *random)
{
	int status;
	pid_t pid = fork();

	REQUIRE(pid >= 0, "fork");
	if (!pid)
		victim();
	usleep(random_below(random, LONGEST_LIFE_US));
	kill(pid, SIGKILL);
	REQUIRE(waitpid(pid, &status, 0) == pid, "waitpid");
	REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "a VMM ended by itself: status %#x", status);
}

static long available_kb(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	char line[128];
	long kb = -1;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %ld", &kb) == 1)
			break;
	if (file)
		fclose(file);
	return kb;
}

TEST_LIMIT(kill_rounds, 3600)
{
	struct random random = { seed };
	long before, after;

	for (unsigned int i = 0; i < 5; i++)	/* what the first VMs make once is no leak */
		kill_one(&random);
	before = available_kb();
	for (uint64_t i = 0; i < rounds; i++) {
		test_step = i;
		kill_one(&random);
	}
	test_step = -1;
	usleep(500000);		/* the last VM's end is not waitpid's business */
	after = available_kb();
	printf("kill_rounds: MemAvailable %ld kB before, %ld kB after\n", before, after);
	REQUIRE(after > before - LEAK_KB, "%ld kB are gone", before - after);
}

/* And a VMM still finds everything it needs. */
GUEST(after, 64, "mov $1, %eax\n out %eax, $0xe0\n");
TEST(after_the_kills)
{
	guest_expect(GUEST_CREATE(after, 64), 1, "guest");
}

int main(int argc, char **argv)
{
	rounds = test_argument(argc, argv, 1, 100);
	seed = test_argument(argc, argv, 2, test_fresh_seed());
	printf("kill_rounds: %lu rounds, seed %lu\n", rounds, seed);
	return test_main("kill_rounds", 1, argv);
}
