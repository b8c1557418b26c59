// SPDX-License-Identifier: BSD-2-Clause
/*
 * scribble.c - usage: scribble [ROUNDS [SEED]]: a thread writes random bytes over
 * the run page, the port page and the ring while another runs the guest.
 *
 * Invariant under test: the pages are input that nobody trusts: any errno, any
 * exit, and only this VM suffers.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "guest.h"

static uint64_t rounds, seed;
static volatile int stop;

GUEST(exits, 64,
	"1: mov $0x10000000, %ebx\n out %eax, $0x10\n in $0x10, %eax\n mov %eax, (%rbx)\n mov (%rbx), %eax\n orl $1, (%rbx)\n"
	"mov $0x60, %dx\n mov $0x9000, %edi\n mov $8, %ecx\n rep insb\n mov $0x9000, %esi\n mov $4, %ecx\n rep outsw\n hlt\n jmp 1b\n");

/* Without these KVM_RUN refuses at once, and nothing more is tried. */
static void let_run(struct kvm_run *run)
{
	run->immediate_exit = 0;
	run->cr8 &= 15;
	run->kvm_valid_regs = 0;
	run->kvm_dirty_regs = 0;
}

static void *scribbler(void *argument)
{
	struct vcpu *vcpu = argument;
	uint8_t *pages = (uint8_t *)vcpu->run;
	struct random random = { seed };

	while (!stop) {
		uint64_t at = random_below(&random, 4) ? random_below(&random, 256) : random_below(&random, vcpu->vm->run_bytes - 8);

		bytes_put(pages + at, 1ull << random_below(&random, 4), random_next(&random));
		if (!random_below(&random, 4))
			let_run(vcpu->run);
	}
	return NULL;
}

static void nothing(int signal)
{
	(void)signal;
}

/* Signals end a run that the scribbler has sent into the woods. */
static void *shooter(void *argument)
{
	pthread_t target = *(pthread_t *)argument;

	while (!stop) {
		usleep(3000);
		pthread_kill(target, SIGUSR1);
	}
	return NULL;
}

static void clean(struct vcpu *vcpu)
{
	memset(vcpu->run, 0, 256);
	vcpu_mode(vcpu, 64);
}

TEST_LIMIT(scribble, 3600)
{
	struct vcpu *vcpu = GUEST_CREATE(exits, 64);
	struct sigaction action = { .sa_handler = nothing };
	pthread_t self = pthread_self(), threads[2];
	unsigned long completed = 0;

	sigaction(SIGUSR1, &action, NULL);
	pthread_create(&threads[0], NULL, scribbler, vcpu);
	pthread_create(&threads[1], NULL, shooter, &self);
	for (uint64_t i = 0; i < rounds; i++) {
		completed += !run_try(vcpu);
		if (i % 16 == 0)
			vcpu_mode(vcpu, 64);
	}
	stop = 1;
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	printf("scribble: %lu runs, %lu of them with an exit\n", rounds, completed);
	clean(vcpu);
	LOAD(vcpu->vm, GUEST_CODE, exits);
	REQUIRE(run_try(vcpu) <= 0, "the VM itself");
}

GUEST(after, 64, "mov $1, %eax\n out %eax, $0xe0\n");
TEST(after_the_scribbling)
{
	guest_expect(GUEST_CREATE(after, 64), 1, "guest");
}

int main(int argc, char **argv)
{
	rounds = test_argument(argc, argv, 1, 20000);
	seed = test_argument(argc, argv, 2, test_fresh_seed());
	printf("scribble: %lu runs, seed %lu\n", rounds, seed);
	return test_main("scribble", 1, argv);
}
