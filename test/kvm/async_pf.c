// SPDX-License-Identifier: BSD-2-Clause
/*
 * async_pf.c - the program `async_pf`: asynchronous page faults, as a guest sees
 * them whose memory comes late. Their registers are in async_pf_msr.c.
 *
 * Invariant under test: a guest that can be told hears a token by #PF, goes on,
 * and hears the same token again, once, by its interrupt; every other guest
 * reads the right data without a #PF, and takes interrupts meanwhile where it
 * has them open. See: Documentation/virt/kvm/x86/msr.rst in Linux.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "async_pf.h"
#include "lazy.h"

#define LATE 0x40000000ull	/* where the late memory is */
#define DELAY_US 200000
#define NEVER LAZY_PAGES
#define MSI_VECTOR 0x50u
#define USER_TSS (GUEST_DATA + 0x400)

/* ---- the guest's handlers */

/* #PF: say token, flags and error code; then work until the token comes again. */
GUEST(pf_works, 64,
	"push %rax\n push %rcx\n mov %cr2, %rcx\n mov %ecx, %eax\n out %eax, $0xe1\n"
	"mov 16(%rsp), %eax\n shl $16, %eax\n or 0x8000, %eax\n out %eax, $0xe2\n movl $0, 0x8000\n"
	"sti\n 1: incl 0x8108\n cmp %ecx, 0x8100\n jne 1b\n cli\n"
	"pop %rcx\n pop %rax\n add $8, %rsp\n iretq\n");
/* #PF: say them; then go on behind the access, an instruction of two bytes. */
GUEST(pf_skips, 64,
	"push %rax\n push %rcx\n mov %cr2, %rcx\n mov %ecx, %eax\n out %eax, $0xe1\n"
	"mov 16(%rsp), %eax\n shl $16, %eax\n or 0x8000, %eax\n out %eax, $0xe2\n movl $0, 0x8000\n"
	"addq $2, 24(%rsp)\n"
	"pop %rcx\n pop %rax\n add $8, %rsp\n iretq\n");
/* "Page ready": take the token, say it, ask for the next one. */
GUEST(ready, 64,
	"push %rax\n push %rcx\n push %rdx\n"
	"mov 0x8004, %eax\n mov %eax, 0x8100\n incl 0x8104\n out %eax, $0xe3\n movl $0, 0x8004\n"
	"mov $0x4b564d07, %ecx\n mov $1, %eax\n xor %edx, %edx\n wrmsr\n"
	"mov $0xfee000b0, %edx\n movl $0, (%rdx)\n"
	"pop %rdx\n pop %rcx\n pop %rax\n iretq\n");
/* The same without taking it. */
GUEST(ready_keeps, 64,
	"push %rax\n push %rdx\n mov 0x8004, %eax\n out %eax, $0xe3\n"
	"mov $0xfee000b0, %edx\n movl $0, (%rdx)\n pop %rdx\n pop %rax\n iretq\n");
GUEST(message, 64,
	"push %rax\n push %rdx\n mov $0x50, %eax\n out %eax, $0xe4\n"
	"mov $0xfee000b0, %edx\n movl $0, (%rdx)\n pop %rdx\n pop %rax\n iretq\n");
GUEST(gp, 64, "push %rax\n mov 8(%rsp), %eax\n out %eax, $0xe5\n pop %rax\n add $8, %rsp\n addq $2, (%rsp)\n iretq\n");

static void gate(struct vm *vm, unsigned int vector, unsigned int place, const void *code, size_t bytes)
{
	uint64_t at = GUEST_FREE + place * 0x100;
	uint64_t word = (at & 0xffff) | (at & 0xffff0000) << 32 | (uint64_t)CS_SELECTOR << 16 | 0x8e00ull << 32;

	vm_load(vm, at, code, bytes);
	memcpy(vm->memory + GUEST_IDT + vector * 16, &word, 8);
}
#define GATE(vm, vector, place, id) gate(vm, vector, place, code_##id, (size_t)(code_##id##_end - code_##id))

struct vcpu *async_guest(const void *code, size_t bytes)
{
	struct vm *vm = vm_create(GUEST_MEMORY);
	struct vcpu *vcpu;

	NEED(vm->fd, KVM_CAP_IRQCHIP);
	NEED(vm->fd, KVM_CAP_ASYNC_PF);
	NEED(vm->fd, KVM_CAP_ASYNC_PF_INT);
	IOCTL(vm->fd, KVM_CREATE_IRQCHIP, 0);
	vcpu = vcpu_create(vm, 0);
	cpuid_set(vcpu, cpuid_supported(vm->sys));
	vcpu_mode(vcpu, 64);
	vm_load(vm, GUEST_CODE, code, bytes);
	GATE(vm, 13, 0, gp);
	GATE(vm, 14, 1, pf_works);
	GATE(vm, ASYNC_VECTOR, 2, ready);
	GATE(vm, MSI_VECTOR, 3, message);
	return vcpu;
}

uint32_t said(struct vcpu *vcpu, unsigned int port)
{
	uint32_t value;

	run_until(vcpu, KVM_EXIT_IO);
	memcpy(&value, io_data(vcpu->run), sizeof(value));
	REQUIRE(vcpu->run->io.port == port, "port %#x says %#x, wanted port %#x", vcpu->run->io.port, value, port);
	return value;
}

void say_must(struct vcpu *vcpu, unsigned int port, uint32_t wanted, const char *what)
{
	uint32_t value = said(vcpu, port);

	REQUIRE(value == wanted, "%s: %#x, wanted %#x", what, value, wanted);
}

/* The guest is told of a missing page: its token. */
static uint32_t told(struct vcpu *vcpu)
{
	uint32_t token = said(vcpu, SAYS_FAULT);

	EXPECT(token && token != ~0u && !(token & 0xfff), "token %#x", token);
	say_must(vcpu, SAYS_FLAGS, 1, "flags, and the error code above them");
	return token;
}

/* ---- one page */

GUEST(one, 64, ASYNC_ENABLE(0xb) "mov $0x40000000, %ebx\n mov (%rbx), %eax\n out %eax, $0xe0\n mov 0x8108, %eax\n out %eax, $0xe0\n");
TEST(told_and_ready)
{
	struct vcpu *vcpu = ASYNC_GUEST(one);
	struct lazy *l = lazy_create(vcpu->vm, 1, LATE, 0, DELAY_US);
	uint32_t token;

	say_must(vcpu, SAYS_READY, ~0u, "the broadcast");
	token = told(vcpu);
	EXPECT(!lazy_given(l, 0), "told too late");
	say_must(vcpu, SAYS_READY, token, "the same token");
	EXPECT(lazy_given(l, 0), "ready too early");
	guest_expect(vcpu, LAZY_WORD(0), "the data");
	EXPECT(guest_report(vcpu) > 0, "no work done meanwhile");
	EXPECT(!lazy_missed(l, 1), "a page was asked for that nobody wants");
}

/* A store finds the page writable, and stays. */
GUEST(store, 64, ASYNC_ENABLE(0xb) "mov $0x40003000, %ebx\n movl $7, 4(%rbx)\n mov (%rbx), %eax\n out %eax, $0xe0\n mov 4(%rbx), %eax\n out %eax, $0xe0\n");
TEST(told_of_a_store)
{
	struct vcpu *vcpu = ASYNC_GUEST(store);
	uint32_t token;

	lazy_create(vcpu->vm, 1, LATE, 0, DELAY_US);
	say_must(vcpu, SAYS_READY, ~0u, "the broadcast");
	token = told(vcpu);
	say_must(vcpu, SAYS_READY, token, "the same token");
	guest_expect(vcpu, LAZY_WORD(3), "the page");
	guest_expect(vcpu, 7, "the store");
}

/* Ring 3, with a stack for the handlers, ports open; vector and place are the VMM's to set there. */
static void user_mode(struct vcpu *vcpu)
{
	const uint64_t segments[] = { 0x00affb000000ffffull, 0x00cff3000000ffffull }, stack = 0xf000;
	struct kvm_regs regs = { .rip = GUEST_CODE, .rsp = GUEST_STACK, .rflags = 0x3202 };
	struct kvm_lapic_state lapic;
	struct kvm_sregs sregs;
	uint32_t svr = 0x1ff;

	memcpy(vcpu->vm->memory + GUEST_GDT + 24, segments, sizeof(segments));
	memcpy(vcpu->vm->memory + USER_TSS + 4, &stack, sizeof(stack));
	IOCTL(vcpu->fd, KVM_GET_SREGS, &sregs);
	sregs.gdt.limit = 39;
	sregs.cs.selector = 0x1b;
	sregs.ds.selector = sregs.es.selector = sregs.ss.selector = 0x23;
	sregs.cs.dpl = sregs.ds.dpl = sregs.es.dpl = sregs.ss.dpl = 3;
	sregs.tr = (struct kvm_segment){ .base = USER_TSS, .limit = 103, .selector = 0x28, .type = 11, .present = 1 };
	IOCTL(vcpu->fd, KVM_SET_SREGS, &sregs);
	regs_set(vcpu, &regs);
	IOCTL(vcpu->fd, KVM_GET_LAPIC, &lapic);
	memcpy(lapic.regs + 0xf0, &svr, sizeof(svr));
	IOCTL(vcpu->fd, KVM_SET_LAPIC, &lapic);
}

/* What halts_in_kernel_mode's guest is not told there it is told here. */
GUEST(user, 64, "mov $0x40000000, %ebx\n mov (%rbx), %eax\n out %eax, $0xe0\n" SAY(1));
TEST(told_in_user_mode)
{
	struct vcpu *vcpu = ASYNC_GUEST(user);
	uint32_t token;

	lazy_create(vcpu->vm, 1, LATE, 0, DELAY_US);
	user_mode(vcpu);
	REQUIRE(msr_set(vcpu, MSR_ASYNC_INT, ASYNC_VECTOR) == 1 && msr_set(vcpu, MSR_ASYNC_EN, 0x8009) == 1, "the registers");
	say_must(vcpu, SAYS_READY, ~0u, "the broadcast");
	token = told(vcpu);
	say_must(vcpu, SAYS_READY, token, "the same token");
	guest_expect(vcpu, LAZY_WORD(0), "the data");
	guest_expect(vcpu, 1, "and on");
}

GUEST(closed, 64, ASYNC_ENABLE(0xb) "nop\n cli\n mov $0x40000000, %ebx\n mov (%rbx), %eax\n out %eax, $0xe0\n sti\n nop\n" SAY(1));
TEST(interrupts_closed)
{
	struct vcpu *vcpu = ASYNC_GUEST(closed);

	lazy_create(vcpu->vm, 1, LATE, 0, DELAY_US);
	say_must(vcpu, SAYS_READY, ~0u, "the broadcast");
	guest_expect(vcpu, LAZY_WORD(0), "the data");
	guest_expect(vcpu, 1, "nothing comes afterwards");
}

/* In the shadow of STI nothing can be told either. */
GUEST(shadow, 64, ASYNC_ENABLE(0xb) "nop\n cli\n mov $0x40000000, %ebx\n sti\n mov (%rbx), %eax\n out %eax, $0xe0\n" SAY(1));
TEST(interrupt_shadow)
{
	struct vcpu *vcpu = ASYNC_GUEST(shadow);

	need_silicon();
	lazy_create(vcpu->vm, 1, LATE, 0, DELAY_US);
	say_must(vcpu, SAYS_READY, ~0u, "the broadcast");
	guest_expect(vcpu, LAZY_WORD(0), "the data");
	guest_expect(vcpu, 1, "nothing comes afterwards");
}

/* ---- the halt */

struct sender {
	struct vm *vm;
	struct lazy *l;
};

/* An interrupt for a guest that waits for page 0. */
static void *send_message(void *argument)
{
	struct sender *s = argument;
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = MSI_VECTOR };

	lazy_await(s->l, 1);
	IOCTL(s->vm->fd, KVM_SIGNAL_MSI, &msi);
	return NULL;
}

/* The interrupt comes at once, the page afterwards, and no #PF. */
static void must_halt(struct vcpu *vcpu, struct lazy *l)
{
	struct sender s = { vcpu->vm, l };
	pthread_t thread;

	REQUIRE(!pthread_create(&thread, NULL, send_message, &s), "a thread");
	say_must(vcpu, SAYS_MESSAGE, MSI_VECTOR, "an interrupt");
	EXPECT(!lazy_given(l, 0), "the interrupt had to wait for the page");
	guest_expect(vcpu, LAZY_WORD(0), "the data");
	guest_expect(vcpu, 1, "nothing comes afterwards");
	pthread_join(thread, NULL);
}

/* Kernel mode, and the guest wants to be told in user mode only. */
GUEST(kernel, 64, ASYNC_ENABLE(0x9) "mov $0x40000000, %ebx\n mov (%rbx), %eax\n out %eax, $0xe0\n" SAY(1));
TEST(halts_in_kernel_mode)
{
	struct vcpu *vcpu = ASYNC_GUEST(kernel);
	struct lazy *l = lazy_create(vcpu->vm, 1, LATE, 0, 5 * DELAY_US);

	say_must(vcpu, SAYS_READY, ~0u, "the broadcast");
	must_halt(vcpu, l);
}

GUEST(off, 64, "mov $0xfee000f0, %edx\n movl $0x1ff, (%rdx)\n sti\n mov $0x40000000, %ebx\n mov (%rbx), %eax\n out %eax, $0xe0\n" SAY(1));
TEST(halts_when_off)
{
	struct vcpu *vcpu = ASYNC_GUEST(off);

	must_halt(vcpu, lazy_create(vcpu->vm, 1, LATE, 0, 5 * DELAY_US));
}

/* A signal ends the halt's KVM_RUN; the VMM sees a running vCPU, and the wait goes on. */
static void on_alarm(int signal) { (void)signal; }
TEST(halt_and_signal)
{
	struct vcpu *vcpu = ASYNC_GUEST(off);
	struct lazy *l = lazy_create(vcpu->vm, 1, LATE, NEVER, 0);
	struct sigaction action = { .sa_handler = on_alarm };
	struct kvm_mp_state state;

	sigaction(SIGALRM, &action, NULL);
	for (unsigned int i = 0; i < 3; i++) {
		ualarm(DELAY_US, 0);
		EXPECT(run_try(vcpu) == -EINTR, "round %u", i);
		EXPECT(lazy_missed(l, 0), "round %u: nobody asked", i);
		IOCTL(vcpu->fd, KVM_GET_MP_STATE, &state);
		EXPECT(state.mp_state == KVM_MP_STATE_RUNNABLE, "state %u", state.mp_state);
	}
	lazy_give(l, 0);
	guest_expect(vcpu, LAZY_WORD(0), "the data");
	guest_expect(vcpu, 1, "nothing comes afterwards");
}

/* ---- many pages */

/* Touch %ecx pages, say 1; wait until as many tokens and the broadcast have come; say what the pages hold. */
#define TOUCH(count)									\
	ASYNC_ENABLE(0xb)								\
	"mov $0x40000000, %ebx\n mov $" #count ", %ecx\n"				\
	"1: mov (%rbx), %eax\n add $0x1000, %ebx\n loop 1b\n" SAY(1)			\
	"2: cli\n cmpl %esi, 0x8104\n jae 3f\n sti\n hlt\n jmp 2b\n"			\
	"3: sti\n mov $0x40000000, %ebx\n mov $" #count ", %ecx\n"			\
	"4: mov (%rbx), %eax\n out %eax, $0xe0\n add $0x1000, %ebx\n loop 4b\n"

static void collect(struct vcpu *vcpu, uint32_t *tokens, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		test_step = i;
		tokens[i] = told(vcpu);
		for (unsigned int k = 0; k < i; k++)
			EXPECT(tokens[k] != tokens[i], "token %#x twice", tokens[i]);
	}
}

/* Each of them comes again, once, in any order. */
static void come_again(struct vcpu *vcpu, uint32_t *tokens, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		uint32_t token = said(vcpu, SAYS_READY);
		unsigned int k = 0;

		test_step = i;
		while (k < count && tokens[k] != token)
			k++;
		REQUIRE(k < count, "token %#x was never told, or came twice", token);
		tokens[k] = 0;
	}
	test_step = -1;
}

static struct vcpu *touching_guest(const void *code, size_t bytes, unsigned int tokens)
{
	struct vcpu *vcpu = async_guest(code, bytes);
	struct kvm_regs regs;

	GATE(vcpu->vm, 14, 1, pf_skips);
	regs_get(vcpu, &regs);
	regs.rsi = tokens + 1;
	regs_set(vcpu, &regs);
	return vcpu;
}
#define TOUCHING_GUEST(id, tokens) touching_guest(code_##id, (size_t)(code_##id##_end - code_##id), tokens)

GUEST(eight, 64, TOUCH(8));
TEST(eight_at_once)
{
	struct vcpu *vcpu = TOUCHING_GUEST(eight, 8);
	struct lazy *l = lazy_create(vcpu->vm, 1, LATE, NEVER, 0);
	uint32_t tokens[8];

	say_must(vcpu, SAYS_READY, ~0u, "the broadcast");
	collect(vcpu, tokens, 8);
	guest_expect(vcpu, 1, "all touched");
	lazy_await(l, 8);
	for (int i = 7; i >= 0; i--)
		lazy_give(l, i);
	come_again(vcpu, tokens, 8);
	for (unsigned int i = 0; i < 8; i++)
		guest_expect(vcpu, LAZY_WORD(i), "the data");
}

/* KVM's limit is 64: the ones above are waited for. */
GUEST(seventy, 64, TOUCH(70));
TEST(limit)
{
	struct vcpu *vcpu = TOUCHING_GUEST(seventy, 64);
	struct lazy *l = lazy_create(vcpu->vm, 1, LATE, 64, 1000);
	uint32_t tokens[64];

	say_must(vcpu, SAYS_READY, ~0u, "the broadcast");
	collect(vcpu, tokens, 64);
	guest_expect(vcpu, 1, "the other six without a word");
	for (unsigned int i = 0; i < 64; i++)
		lazy_give(l, i);
	come_again(vcpu, tokens, 64);
	for (unsigned int i = 0; i < 70; i++)
		guest_expect(vcpu, LAZY_WORD(i), "the data");
}

/* The next token waits until the guest has taken the last one and says so: 0x8110 makes it do that. */
GUEST(keeps, 64, ASYNC_ENABLE(0xb)
	"mov $0x40000000, %ebx\n mov (%rbx), %eax\n add $0x1000, %ebx\n mov (%rbx), %eax\n"
	"1: " SAY(2) "cmpl $0, 0x8110\n je 1b\n movl $0, 0x8110\n movl $0, 0x8004\n"
	"mov $0x4b564d07, %ecx\n mov $1, %eax\n xor %edx, %edx\n wrmsr\n jmp 1b\n");
TEST(one_token_at_a_time)
{
	struct vcpu *vcpu = ASYNC_GUEST(keeps);
	struct lazy *l = lazy_create(vcpu->vm, 1, LATE, NEVER, 0);
	uint32_t tokens[2], got[2];

	GATE(vcpu->vm, 14, 1, pf_skips);
	GATE(vcpu->vm, ASYNC_VECTOR, 2, ready_keeps);
	say_must(vcpu, SAYS_READY, ~0u, "the broadcast");
	collect(vcpu, tokens, 2);
	lazy_await(l, 2);
	lazy_give(l, 0);
	lazy_give(l, 1);
	for (unsigned int i = 0; i < 2; i++) {
		for (unsigned int k = 0; k < 5; k++) {
			guest_expect(vcpu, 2, "quiet");
			usleep(DELAY_US / 10);
		}
		*(volatile uint32_t *)(vcpu->vm->memory + 0x8110) = 1;
		got[i] = said(vcpu, SAYS_READY);
	}
	EXPECT((got[0] == tokens[0] && got[1] == tokens[1]) || (got[0] == tokens[1] && got[1] == tokens[0]),
	       "%#x and %#x, wanted %#x and %#x", got[0], got[1], tokens[0], tokens[1]);
	*(volatile uint32_t *)(vcpu->vm->memory + 0x8110) = 1;
	for (unsigned int k = 0; k < 5; k++)
		guest_expect(vcpu, 2, "no more");
}

/* ---- ends */

/* Switched off with a fault under way: its token does not come. */
GUEST(disable, 64, ASYNC_ENABLE(0xb) "mov $0x40000000, %ebx\n mov (%rbx), %eax\n"
	"mov $0x4b564d02, %ecx\n xor %eax, %eax\n xor %edx, %edx\n wrmsr\n" SAY(1)
	"mov (%rbx), %eax\n out %eax, $0xe0\n 1: " SAY(2) "jmp 1b\n");
TEST(disabled_meanwhile)
{
	struct vcpu *vcpu = ASYNC_GUEST(disable);

	lazy_create(vcpu->vm, 1, LATE, 0, DELAY_US);
	GATE(vcpu->vm, 14, 1, pf_skips);
	say_must(vcpu, SAYS_READY, ~0u, "the broadcast");
	told(vcpu);
	guest_expect(vcpu, 1, "off");
	guest_expect(vcpu, LAZY_WORD(0), "the data");
	for (unsigned int k = 0; k < 5; k++) {
		guest_expect(vcpu, 2, "quiet");
		usleep(DELAY_US / 10);
	}
}

/* A VM of a guest that waits for eight pages. */
static struct lazy *under_way(struct vcpu *vcpu, unsigned int first, unsigned int delay_us)
{
	struct lazy *l = lazy_create(vcpu->vm, 1, LATE, first, delay_us);
	uint32_t tokens[8];

	say_must(vcpu, SAYS_READY, ~0u, "the broadcast");
	collect(vcpu, tokens, 8);
	return l;
}

TEST(closed_meanwhile)
{
	for (unsigned int i = 0; i < 3; i++) {
		struct vcpu *vcpu = TOUCHING_GUEST(eight, 8);

		under_way(vcpu, 0, DELAY_US);
		vm_destroy(vcpu);
	}
	usleep(4 * DELAY_US);	/* what was under way ends without a VM */
}

static __attribute__((noreturn)) void victim(int ready_fd)
{
	struct vcpu *vcpu = TOUCHING_GUEST(eight, 8);

	under_way(vcpu, NEVER, 0);
	REQUIRE(write(ready_fd, "", 1) == 1, "the pipe");
	for (;;)
		run_try(vcpu);
}

/* The VMM is killed with faults under way that nobody will ever serve. */
TEST_LIMIT(killed_meanwhile, 300)
{
	for (unsigned int i = 0; i < 20; i++) {
		int status, ends[2];
		pid_t pid;
		char byte;

		REQUIRE(!pipe(ends), "pipe");
		pid = fork();
		if (!pid)
			victim(ends[1]);
		close(ends[1]);
		REQUIRE(read(ends[0], &byte, 1) == 1, "round %u: the VMM did not come that far", i);
		close(ends[0]);
		kill(pid, SIGKILL);
		REQUIRE(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status), "round %u: status %#x", i, status);
	}
}

int main(int argc, char **argv)
{
	return test_main("async_pf", argc, argv);
}
