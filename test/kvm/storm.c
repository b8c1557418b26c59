// SPDX-License-Identifier: BSD-2-Clause
/*
 * storm.c - usage: storm [ROUNDS]: vCPUs in a ring, each of which wakes the next
 * by an IPI and waits for the one before, in HLT or spinning, with timers and
 * times of closed interrupts in between. A vector or a wake-up that gets lost
 * stops the ring for good.
 *
 * Invariant under test: what a guest waits for in "CLI; look; STI; HLT" ends the HLT.
 * See: SDM volume 2, STI (its shadow); volume 3, 11.8.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lapic.h"

#define PLACES 0x100000ull	/* a struct place for each vCPU */
#define STACKS 0x180000ull
#define IPI_HANDLER (GUEST_FREE + 0x2000)
#define TIMER_HANDLER (GUEST_FREE + 0x2800)
#define IPI_VECTOR 0x40u
#define TIMER_VECTOR 0x50u
#define MOST_VCPUS 4u
#define PATIENCE 20u		/* seconds without a round */

/* Guest memory. The code below knows the offsets. */
struct place {
	uint64_t tokens;	/* from the vCPU before */
	uint64_t seen;		/* tokens at the last IPI */
	uint64_t timers;	/* interrupts of the timer */
	uint64_t rounds;
	uint64_t random;
	uint64_t pad[3];
};

struct ring {
	struct vcpu *vcpu[MOST_VCPUS];
	volatile struct place *place;
	unsigned int vcpus;
};

static uint64_t rounds_wanted;

/*
 * RDI: this vCPU's place, RSI: the next one's, RBP: the next one's ID, R14: 1 = x2APIC,
 * RBX: the xAPIC's page.
 */
#define TO_LAPIC(x2, x1) "test $1, %r14\n jz 1f\n" x2 "\n wrmsr\n jmp 2f\n 1: " x1 "\n 2:\n"
/* Until `compare` with R9 gives `done`: in HLT, or spinning when `bit` of R8 is set. */
#define AWAIT(compare, done, bit)						\
	"test $" #bit ", %r8\n jz 4f\n"						\
	"3: " compare ", %r9\n " done " 6f\n pause\n jmp 3b\n"			\
	"4: cli\n " compare ", %r9\n " done " 5f\n sti\n hlt\n jmp 4b\n"	\
	"5: sti\n 6:\n"
GUEST(ring, 64,
	"test $1, %r14\n jz 1f\n mov $0x1b, %ecx\n rdmsr\n or $0xc00, %eax\n wrmsr\n 1:\n"
	TO_LAPIC("mov $0x80f, %ecx\n mov $0x1ff, %eax\n xor %edx, %edx", "movl $0x1ff, 0xf0(%rbx)")
	TO_LAPIC("mov $0x832, %ecx\n mov $0x50, %eax\n xor %edx, %edx", "movl $0x50, 0x320(%rbx)")
	TO_LAPIC("mov $0x83e, %ecx\n mov $0xb, %eax\n xor %edx, %edx", "movl $0xb, 0x3e0(%rbx)")
	"sti\n"
	"7: mov 32(%rdi), %r8\n"
	"mov %r8, %rax\n shl $13, %rax\n xor %rax, %r8\n mov %r8, %rax\n shr $7, %rax\n xor %rax, %r8\n"
	"mov %r8, %rax\n shl $17, %rax\n xor %rax, %r8\n mov %r8, 32(%rdi)\n"
	/* one time in four: interrupts closed for a while */
	"test $0x30, %r8\n jnz 2f\n cli\n mov %r8, %rcx\n shr $20, %rcx\n and $0xfff, %ecx\n inc %ecx\n"
	"1: dec %ecx\n jnz 1b\n sti\n 2:\n"
	/* one time in four: a timer of up to a quarter of a millisecond */
	"test $0x300, %r8\n jnz 8f\n mov 16(%rdi), %r9\n"
	"mov %r8, %rax\n shr $32, %rax\n and $0x3ffff, %eax\n inc %eax\n"
	TO_LAPIC("mov $0x838, %ecx\n xor %edx, %edx", "mov %eax, 0x380(%rbx)")
	AWAIT("cmp 16(%rdi)", "jne", 0x800)
	"8: lock incq (%rsi)\n"
	TO_LAPIC("mov $0x830, %ecx\n mov $0x4040, %eax\n mov %ebp, %edx",
		 "mov %ebp, %eax\n shl $24, %eax\n mov %eax, 0x310(%rbx)\n movl $0x4040, 0x300(%rbx)")
	"incq 24(%rdi)\n mov 24(%rdi), %r9\n"
	AWAIT("cmp 8(%rdi)", "jle", 0x1000)
	"jmp 7b\n");
#define HANDLER(work) "push %rax\n push %rcx\n push %rdx\n" work "\n"		\
	TO_LAPIC("mov $0x80b, %ecx\n xor %eax, %eax\n xor %edx, %edx", "movl $0, 0xb0(%rbx)")	\
	"pop %rdx\n pop %rcx\n pop %rax\n iretq\n"
GUEST(ipi, 64, HANDLER("mov (%rdi), %rax\n mov %rax, 8(%rdi)"));
GUEST(timer, 64, HANDLER("incq 16(%rdi)"));

static void gate(struct vm *vm, unsigned int vector, uint64_t at)
{
	uint64_t gate = (at & 0xffff) | (at & 0xffff0000) << 32 | (uint64_t)CS_SELECTOR << 16 | 0x8e00ull << 32;

	memcpy(vm->memory + GUEST_IDT + vector * 16, &gate, sizeof(gate));
}

static void *run(void *argument)
{
	struct vcpu *vcpu = argument;
	int rc;

	do
		rc = run_try(vcpu);
	while (rc == -EAGAIN || rc == -EINTR);
	fprintf(stderr, "KVM_RUN: %d, %s\n", rc, exit_name(vcpu->run->exit_reason));
	return NULL;
}

static void ring_start(struct ring *r, unsigned int vcpus, int x2apic)
{
	struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };
	struct vm *vm = lapic_vm(0);
	pthread_t thread;

	r->vcpus = vcpus;
	r->place = (struct place *)(vm->memory + PLACES);
	/* Stacks and places are there before the first interrupt, too: see lapic_vm(). */
	memset(vm->memory + PLACES, 0, GUEST_MEMORY - PLACES);
	for (unsigned int i = 0; i < vcpus; i++)
		r->vcpu[i] = lapic_vcpu(vm, i);
	LOAD(vm, GUEST_CODE, ring);
	LOAD(vm, IPI_HANDLER, ipi);
	LOAD(vm, TIMER_HANDLER, timer);
	gate(vm, IPI_VECTOR, IPI_HANDLER);
	gate(vm, TIMER_VECTOR, TIMER_HANDLER);
	for (unsigned int i = 0; i < vcpus; i++) {
		unsigned int next = (i + 1) % vcpus;
		struct kvm_regs regs = {
			.rip = GUEST_CODE, .rflags = 2, .rsp = STACKS + 0x1000 * (i + 1), .rbp = next, .rbx = 0xfee00000,
			.rdi = PLACES + i * sizeof(struct place), .rsi = PLACES + next * sizeof(struct place), .r14 = x2apic,
		};

		r->place[i].random = test_fresh_seed() | 1;
		regs_set(r->vcpu[i], &regs);
		IOCTL(r->vcpu[i]->fd, KVM_SET_MP_STATE, &runnable);
	}
	for (unsigned int i = 0; i < vcpus; i++)
		REQUIRE(!pthread_create(&thread, NULL, run, r->vcpu[i]), "no thread");
}

static uint64_t ring_rounds(const struct ring *r)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < r->vcpus; i++)
		sum += r->place[i].rounds;
	return sum;
}

static void ring_turn(unsigned int vcpus, int x2apic)
{
	uint64_t last = 0, now;
	struct ring r;

	ring_start(&r, vcpus, x2apic);
	for (unsigned int quiet = 0; (now = ring_rounds(&r)) < rounds_wanted; last = now) {
		usleep(100000);
		quiet = now == last ? quiet + 1 : 0;
		if (quiet < 10 * PATIENCE)
			continue;
		for (unsigned int i = 0; i < vcpus; i++)
			fprintf(stderr, "vCPU %u: %lu rounds, %lu tokens, %lu seen, %lu timers\n", i, r.place[i].rounds,
				r.place[i].tokens, r.place[i].seen, r.place[i].timers);
		test_fail("stopped after %lu rounds", now);
	}
}

TEST_LIMIT(two_x2apic, 600) { ring_turn(2, 1); }
TEST_LIMIT(two_xapic, 600) { ring_turn(2, 0); }
TEST_LIMIT(four_x2apic, 600) { ring_turn(4, 1); }

int main(int argc, char **argv)
{
	/* By name: lapic_guest.c has tests of its own. */
	char *names[] = { argv[0], "two_x2apic", "two_xapic", "four_x2apic" };

	rounds_wanted = test_argument(argc, argv, 1, 10000);
	return test_main("storm", 4, names);
}
