// SPDX-License-Identifier: BSD-2-Clause
/*
 * run_event.c - what comes from outside: interrupts and NMIs from the VMM,
 * exceptions put in by KVM_SET_VCPU_EVENTS, signals and immediate_exit.
 *
 * The VM has no in-kernel interrupt controller: the VMM gives vectors with
 * KVM_INTERRUPT when run->ready_for_interrupt_injection says so.
 * See: AMD APM volume 2, chapter 8.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "guest.h"

static int interrupt_try(struct vcpu *vcpu, uint32_t vector)
{
	struct kvm_interrupt interrupt = { .irq = vector };

	return ioctl_try(vcpu->fd, KVM_INTERRUPT, &interrupt);
}

static void interrupt(struct vcpu *vcpu, uint32_t vector)
{
	int result = interrupt_try(vcpu, vector);

	REQUIRE(!result, "KVM_INTERRUPT: %s", strerror(-result));
}

static void trap_expect(struct vcpu *vcpu, unsigned int wanted, const char *what)
{
	unsigned int vector = guest_trap(vcpu);

	REQUIRE(vector == wanted, "%s: vector %u, wanted %u", what, vector, wanted);
}

/* Interrupts on: delivered at the next entry, at the instruction after the exit. */
GUEST(interrupts_on, 64, "sti\n nop\n 1: mov $1, %eax\n out %eax, $0xe0\n jmp 1b\n");
TEST(interrupt)
{
	struct vcpu *vcpu = GUEST_CREATE(interrupts_on, 64);

	guest_expect(vcpu, 1, "first");
	for (unsigned int i = 0; i < 50; i++) {
		unsigned int vector = 0x20 + i * 3;

		REQUIRE(vcpu->run->if_flag && vcpu->run->ready_for_interrupt_injection, "round %u: not ready", i);
		interrupt(vcpu, vector);
		trap_expect(vcpu, vector, "interrupt");
		guest_expect(vcpu, 1, "back from the handler");
	}
}

GUEST(interrupts_on_real, 16, "sti\n nop\n 1: mov $1, %eax\n out %eax, $0xe0\n jmp 1b\n");
TEST(interrupt_real)
{
	struct vcpu *vcpu = GUEST_CREATE(interrupts_on_real, 16);

	guest_expect(vcpu, 1, "first");
	interrupt(vcpu, 8);
	trap_expect(vcpu, 8, "interrupt");
	guest_expect(vcpu, 1, "back from the handler");
}

/* Interrupts off: not ready; asked for, the window is an exit of its own. */
GUEST(window, 64,
	"mov $1, %eax\n out %eax, $0xe0\n nop\n sti\n nop\n nop\n mov $2, %eax\n out %eax, $0xe0\n cli\n mov $3, %eax\n out %eax, $0xe0\n");
TEST(interrupt_window)
{
	struct vcpu *vcpu = GUEST_CREATE(window, 64);

	guest_expect(vcpu, 1, "before STI");
	REQUIRE(!vcpu->run->if_flag && !vcpu->run->ready_for_interrupt_injection, "ready with interrupts off");
	vcpu->run->request_interrupt_window = 1;
	run_until(vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	REQUIRE(vcpu->run->if_flag && vcpu->run->ready_for_interrupt_injection, "an open window, not ready");
	vcpu->run->request_interrupt_window = 0;
	interrupt(vcpu, 0x55);
	trap_expect(vcpu, 0x55, "interrupt");
	guest_expect(vcpu, 2, "back from the handler");
	guest_expect(vcpu, 3, "interrupts off again");
	REQUIRE(!vcpu->run->ready_for_interrupt_injection, "ready with interrupts off");
}

/* Without a request there is no exit. */
TEST(interrupt_window_not_asked)
{
	struct vcpu *vcpu = GUEST_CREATE(window, 64);

	guest_expect(vcpu, 1, "before STI");
	guest_expect(vcpu, 2, "after STI");
	guest_expect(vcpu, 3, "after CLI");
}

/* A window while the guest only halts: STI and HLT, the usual idle loop. */
GUEST(idle, 64, "1: sti\n hlt\n mov $1, %eax\n out %eax, $0xe0\n jmp 1b\n");
TEST(interrupt_from_halt)
{
	struct vcpu *vcpu = GUEST_CREATE(idle, 64);

	for (unsigned int i = 0; i < 10; i++) {
		struct kvm_regs regs;

		run_until(vcpu, KVM_EXIT_HLT);
		regs_get(vcpu, &regs);
		REQUIRE(regs.rip == GUEST_CODE + 2, "rip %#llx", regs.rip);
		interrupt(vcpu, 0x30);
		trap_expect(vcpu, 0x30, "interrupt");
		guest_expect(vcpu, 1, "woken");
	}
}

/* An interrupt that was given and not yet taken is part of the saved state. */
TEST(interrupt_saved)
{
	struct vcpu *vcpu = GUEST_CREATE(interrupts_on, 64);
	struct kvm_sregs sregs;

	guest_expect(vcpu, 1, "first");
	interrupt(vcpu, 0x61);
	IOCTL(vcpu->fd, KVM_GET_SREGS, &sregs);
	REQUIRE(sregs.interrupt_bitmap[1] == 1ull << (0x61 - 64), "bitmap %#llx", sregs.interrupt_bitmap[1]);
	IOCTL(vcpu->fd, KVM_SET_SREGS, &sregs);
	trap_expect(vcpu, 0x61, "interrupt");
	IOCTL(vcpu->fd, KVM_GET_SREGS, &sregs);
	REQUIRE(!sregs.interrupt_bitmap[1], "still there after delivery");
}

/* The handler's stack is not mapped yet by anyone: delivery itself faults nested, and must not be lost. */
GUEST(fresh_stack, 64, "sti\n nop\n 1: mov $1, %eax\n out %eax, $0xe0\n jmp 1b\n");
TEST(interrupt_onto_fresh_page)
{
	struct vcpu *vcpu = GUEST_CREATE(fresh_stack, 64);
	uint8_t *stack = map_pages(0x2000);
	struct kvm_regs regs;

	guest_expect(vcpu, 1, "first");
	slot_set(vcpu->vm, 1, 0x10000000, 0x2000, stack, 0);
	for (unsigned int i = 0; i < 2; i++) {
		regs_get(vcpu, &regs);
		regs.rsp = 0x10000000 + 0x1000 * (i + 1);
		regs_set(vcpu, &regs);
		interrupt(vcpu, 0x70 + i);
		trap_expect(vcpu, 0x70 + i, "interrupt");
		guest_expect(vcpu, 1, "back");
	}
}

TEST(nmi)
{
	struct vcpu *vcpu = GUEST_CREATE(window, 64);

	NEED(vcpu->vm->fd, KVM_CAP_USER_NMI);
	guest_expect(vcpu, 1, "first");
	IOCTL(vcpu->fd, KVM_NMI, 0);
	trap_expect(vcpu, 2, "an NMI with interrupts off");
	/* In the handler another one waits for the IRET. */
	IOCTL(vcpu->fd, KVM_NMI, 0);
	trap_expect(vcpu, 2, "the second NMI");
	guest_expect(vcpu, 2, "back from both");
}

/* KVM_SET_VCPU_EVENTS puts an exception into the guest, error code and all. */
TEST(exception_put_in)
{
	struct vcpu *vcpu = GUEST_CREATE(window, 64);
	struct kvm_vcpu_events events;
	struct kvm_regs regs;

	NEED(vcpu->vm->fd, KVM_CAP_VCPU_EVENTS);
	guest_expect(vcpu, 1, "first");
	IOCTL(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	events.flags = 0;
	events.exception.injected = 1;
	events.exception.nr = 13;
	events.exception.has_error_code = 1;
	events.exception.error_code = 0x18;
	IOCTL(vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
	trap_expect(vcpu, 13, "exception");
	regs_get(vcpu, &regs);
	REQUIRE(bytes_get(vcpu->vm->memory + regs.rsp, 8) == 0x18, "error code %#lx", bytes_get(vcpu->vm->memory + regs.rsp, 8));
	guest_trap_skip(vcpu, 13, 0);
	guest_expect(vcpu, 2, "back from the handler");
}

/* ---- immediate_exit and signals */

GUEST(spin, 64, "1: pause\n jmp 1b\n");
GUEST(reports, 64, "1: in $0x10, %eax\n out %eax, $0xe0\n jmp 1b\n");

/* The rest of the last instruction is done first, the guest does not run. */
TEST(immediate_exit)
{
	struct vcpu *vcpu = GUEST_CREATE(reports, 64);
	struct kvm_regs regs;
	int result;

	NEED(vcpu->vm->sys, KVM_CAP_IMMEDIATE_EXIT);
	run_until(vcpu, KVM_EXIT_IO);
	bytes_put(io_data(vcpu->run), 4, 0x4321);
	vcpu->run->immediate_exit = 1;
	result = run_try(vcpu);
	REQUIRE(result == -EINTR, "KVM_RUN gives %d", result);
	regs_get(vcpu, &regs);
	REQUIRE(regs.rax == 0x4321 && regs.rip == GUEST_CODE + 2, "rax %#llx rip %#llx", regs.rax, regs.rip);
	result = run_try(vcpu);
	REQUIRE(result == -EINTR, "KVM_RUN gives %d the second time", result);
	vcpu->run->immediate_exit = 0;
	guest_expect(vcpu, 0x4321, "going on");
}

static volatile sig_atomic_t handled;

static void count_signal(int signal)
{
	(void)signal;
	handled++;
}

static void catch(int signal)
{
	struct sigaction action = { .sa_handler = count_signal };

	sigaction(signal, &action, NULL);
}

/* A signal ends KVM_RUN of a guest that never exits by itself. */
TEST(signal_ends_run)
{
	struct vcpu *vcpu = GUEST_CREATE(spin, 64);
	struct itimerval timer = { .it_value.tv_usec = 20000 };

	catch(SIGVTALRM);
	catch(SIGUSR1);
	for (int i = 1; i <= 5; i++) {
		int result;

		handled = 0;
		setitimer(ITIMER_VIRTUAL, &timer, NULL);
		timer.it_value.tv_usec = 20000;
		/* Guest time counts as the process's own time, or not at all: use a real clock, too. */
		if (fork() == 0) {
			usleep(50000);
			kill(getppid(), SIGUSR1);
			_exit(0);
		}
		result = run_try(vcpu);
		REQUIRE(result == -EINTR && vcpu->run->exit_reason == KVM_EXIT_INTR, "round %d: KVM_RUN gives %d, exit %s",
			i, result, exit_name(vcpu->run->exit_reason));
		REQUIRE(handled, "round %d: no handler ran", i);
		while (handled < 2 && usleep(1000) == 0)
			;
	}
}

/* KVM_SET_SIGNAL_MASK holds inside KVM_RUN only: a signal blocked outside ends it and stays pending. */
TEST(signal_mask)
{
	struct { struct kvm_signal_mask head; uint64_t set; } __attribute__((packed)) mask = { .head.len = 8, .set = 0 };
	struct vcpu *vcpu = GUEST_CREATE(spin, 64);
	struct timespec no_wait = { 0, 0 };
	siginfo_t info;
	sigset_t usr1;
	int result;

	catch(SIGUSR1);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	IOCTL(vcpu->fd, KVM_SET_SIGNAL_MASK, &mask);
	raise(SIGUSR1);
	result = run_try(vcpu);
	REQUIRE(result == -EINTR && vcpu->run->exit_reason == KVM_EXIT_INTR, "KVM_RUN gives %d", result);
	REQUIRE(!handled, "the handler ran, though the thread blocks the signal");
	REQUIRE(sigtimedwait(&usr1, &info, &no_wait) == SIGUSR1, "the signal is not pending any more");
}

/* A signal that KVM_RUN blocks too does not end it. */
TEST(signal_blocked)
{
	struct { struct kvm_signal_mask head; uint64_t set; } __attribute__((packed)) mask = { .head.len = 8 };
	struct vcpu *vcpu = GUEST_CREATE(reports, 64);

	catch(SIGUSR1);
	mask.set = 1ull << (SIGUSR1 - 1);
	IOCTL(vcpu->fd, KVM_SET_SIGNAL_MASK, &mask);
	sigprocmask(SIG_BLOCK, &(sigset_t) { .__val = { mask.set } }, NULL);
	raise(SIGUSR1);
	for (unsigned int i = 0; i < 10; i++)
		run_until(vcpu, KVM_EXIT_IO);
}

/* Many signals while exits go on: none is lost, and no exit is lost. */
struct shooter {
	pthread_t target;
	volatile int stop;
};

static void *shoot(void *argument)
{
	struct shooter *s = argument;

	while (!s->stop) {
		pthread_kill(s->target, SIGUSR1);
		usleep(200);
	}
	return NULL;
}

TEST(signals_and_exits)
{
	struct vcpu *vcpu = GUEST_CREATE(reports, 64);
	struct shooter shooter = { pthread_self(), 0 };
	unsigned int interrupted = 0, next = 0;
	pthread_t thread;

	catch(SIGUSR1);
	pthread_create(&thread, NULL, shoot, &shooter);
	while (next < 2000) {
		int result = run_try(vcpu);

		if (result == -EINTR) {
			interrupted++;
			continue;
		}
		REQUIRE(!result && vcpu->run->exit_reason == KVM_EXIT_IO, "KVM_RUN gives %d, exit %s", result,
			exit_name(vcpu->run->exit_reason));
		if (!vcpu->run->io.direction)
			bytes_put(io_data(vcpu->run), 4, ++next);
		else
			REQUIRE(bytes_get(io_data(vcpu->run), 4) == next, "a value was lost at %u", next);
	}
	shooter.stop = 1;
	pthread_join(thread, NULL);
	REQUIRE(interrupted, "no KVM_RUN was interrupted");
}

/* ---- an interrupt that waits for the end of a shadow, at an instruction that leaves RIP where it is */

static void shadow_opens(struct vcpu *vcpu, unsigned int vector)
{
	struct kvm_vcpu_events events;
	struct kvm_regs regs;

	guest_expect(vcpu, 1, "the guest begins");
	/* The OUT is done, and no more. */
	vcpu->run->immediate_exit = 1;
	run_try(vcpu);
	vcpu->run->immediate_exit = 0;
	regs_get(vcpu, &regs);
	regs.rflags |= 0x200;
	regs_set(vcpu, &regs);
	IOCTL(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	events.flags = KVM_VCPUEVENT_VALID_SHADOW;
	events.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	IOCTL(vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
	interrupt(vcpu, vector);
}

GUEST(shadow_loop, 64, "mov $1, %eax\n out %eax, $0xe0\n 1: jmp 1b\n");
TEST(shadow_at_a_loop)
{
	struct vcpu *vcpu = GUEST_CREATE(shadow_loop, 64);

	shadow_opens(vcpu, 0x30);
	trap_expect(vcpu, 0x30, "at JMP to itself");
}

GUEST(shadow_rep, 64, "mov $64, %ecx\n mov $0x9000, %edi\n mov $1, %eax\n out %eax, $0xe0\n rep stosb\n mov $2, %eax\n"
	"out %eax, $0xe0\n");
TEST(shadow_at_a_string)
{
	struct vcpu *vcpu = GUEST_CREATE(shadow_rep, 64);

	shadow_opens(vcpu, 0x30);
	trap_expect(vcpu, 0x30, "at REP STOSB");
	guest_expect(vcpu, 2, "behind it");
}
