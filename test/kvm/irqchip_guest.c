// SPDX-License-Identifier: BSD-2-Clause
/*
 * irqchip_guest.c - what a guest sees of PIC, IOAPIC, PIT, MSIs and irqfds in the
 * kernel: it programs them itself and reports each interrupt that it takes.
 *
 * Invariant under test: each interrupt arrives once; a level comes again after
 * its EOI until its line goes down.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "irqchip.h"

/* 256 times: report the vector, end the interrupt. */
#define HANDLERS(end)							\
	".set v, 0\n .rept 256\n .balign 32\n push %rax\n push %rdx\n"	\
	"mov $0x100 + v, %eax\n out %eax, $0xe0\n" end			\
	"pop %rdx\n pop %rax\n iretq\n .set v, v + 1\n .endr\n .balign 32\n"
GUEST(handlers_lapic, 64, HANDLERS("mov $0xfee000b0, %edx\n movl $0, (%rdx)\n"));
GUEST(handlers_pic, 64, HANDLERS("mov $0x20, %al\n out %al, $0xa0\n out %al, $0x20\n"));

void irqchip_handlers(struct vm *vm, uint64_t handlers)
{
	LOAD(vm, HANDLERS_LAPIC, handlers_lapic);
	LOAD(vm, HANDLERS_PIC, handlers_pic);
	for (uint64_t vector = 0; vector < 256; vector++) {
		uint64_t at = handlers + vector * HANDLER_BYTES;
		uint64_t gate = (at & 0xffff) | (at & 0xffff0000) << 32 | (uint64_t)CS_SELECTOR << 16 | 0x8e00ull << 32;

		memcpy(vm->memory + GUEST_IDT + vector * 16, &gate, 8);
	}
}

struct vcpu *irqchip_guest(const void *code, size_t bytes, uint64_t handlers)
{
	struct scene scene = irqchip_scene();

	vcpu_mode(scene.vcpu, 64);
	irqchip_handlers(scene.vm, handlers);
	vm_load(scene.vm, GUEST_CODE, code, bytes);
	return scene.vcpu;
}

/* The guest must do this many rounds of nothing, and report no interrupt. */
#define QUIET_ROUNDS 3
static void expect_quiet(struct vcpu *vcpu, uint32_t tick)
{
	for (unsigned int i = 0; i < QUIET_ROUNDS; i++)
		guest_expect(vcpu, tick, "quiet");
}

/* Says 1, then 2 for ever with interrupts on. */
#define TICK SAY(1) "sti\n 1: " SAY(2) "jmp 1b\n"

/* ---- IOAPIC */

GUEST(edge, 64, CHIPS_BEGIN IOAPIC_SET(0x1a, 0x35) IOAPIC_SET(0x1b, 0) TICK);
TEST(ioapic_edge)
{
	struct vcpu *vcpu = IRQCHIP_GUEST(edge, HANDLERS_LAPIC);

	guest_expect(vcpu, 1, "ready");
	for (unsigned int i = 0; i < 20; i++) {
		EXPECT(line_status(vcpu->vm, 5, 1) == 1, "round %u: up", i);
		guest_expect(vcpu, TOOK(0x35), "the edge");
		line_set(vcpu->vm, 5, 0);
		expect_quiet(vcpu, 2);
	}
	/* A second edge before the first is taken is merged in the LAPIC, which does not say so. */
	line_set(vcpu->vm, 5, 1);
	EXPECT(line_status(vcpu->vm, 5, 1) == 0, "still up");
	line_set(vcpu->vm, 5, 0);
	EXPECT(line_status(vcpu->vm, 5, 1) == 1, "merged");
	guest_expect(vcpu, TOOK(0x35), "once");
	expect_quiet(vcpu, 2);
}

GUEST(level, 64, CHIPS_BEGIN IOAPIC_SET(0x24, 0x8041) IOAPIC_SET(0x25, 0) TICK);
TEST(ioapic_level)
{
	struct vcpu *vcpu = IRQCHIP_GUEST(level, HANDLERS_LAPIC);

	guest_expect(vcpu, 1, "ready");
	line_set(vcpu->vm, 10, 1);
	for (unsigned int i = 0; i < 10; i++) {
		guest_expect(vcpu, TOOK(0x41), "the level");
		EXPECT(chip_get(vcpu->vm, 2).chip.ioapic.redirtbl[10].fields.remote_irr, "no remote IRR");
	}
	line_set(vcpu->vm, 10, 0);
	expect_quiet(vcpu, 2);
	EXPECT(!chip_get(vcpu->vm, 2).chip.ioapic.redirtbl[10].fields.remote_irr, "remote IRR stays");
}

/* Registers by MMIO, in each size that KVM's device takes. */
GUEST(ioapic_regs, 64,
	"mov $0xfec00000, %esi\n xor %eax, %eax\n"
	"movl $1, (%rsi)\n mov 0x10(%rsi), %eax\n out %eax, $0xe0\n"
	"movl $0, (%rsi)\n movl $0x0a000000, 0x10(%rsi)\n mov 0x10(%rsi), %eax\n out %eax, $0xe0\n"
	"movb $0x12, (%rsi)\n movl $0x18765, 0x10(%rsi)\n movzwl 0x10(%rsi), %eax\n out %eax, $0xe0\n"
	"mov 0x10(%rsi), %rax\n out %eax, $0xe0\n shr $32, %rax\n out %eax, $0xe0\n"
	"movl $0x40, (%rsi)\n mov 0x10(%rsi), %eax\n out %eax, $0xe0\n"
	"mov 0x20(%rsi), %eax\n out %eax, $0xe0\n"
	"movl $0x12, (%rsi)\n orl $0x80, 0x10(%rsi)\n mov 0x10(%rsi), %eax\n out %eax, $0xe0\n"
	"mov 0x100(%rsi), %eax\n");
TEST(ioapic_registers)
{
	struct vcpu *vcpu = IRQCHIP_GUEST(ioapic_regs, HANDLERS_LAPIC);

	guest_steps(vcpu, (const struct step[]) {
		REPORT(0x170011), REPORT(0x0a000000), REPORT(0x8765), REPORT(0x18765), REPORT(0),
		REPORT(0xffffffff), REPORT(0), REPORT(0x187e5), READ(0xfec00100, 4, 0), {} });
}

/* ---- PIC */

GUEST(pic, 64, PIC_BEGIN(0xdb, 0xf7) TICK);
TEST(pic_edges)
{
	struct vcpu *vcpu = IRQCHIP_GUEST(pic, HANDLERS_PIC);

	guest_expect(vcpu, 1, "ready");
	for (unsigned int i = 0; i < 10; i++) {
		line_set(vcpu->vm, 5, 1);
		line_set(vcpu->vm, 5, 0);
		guest_expect(vcpu, TOOK(0x25), "master");
		expect_quiet(vcpu, 2);
		line_set(vcpu->vm, 11, 1);
		line_set(vcpu->vm, 11, 0);
		guest_expect(vcpu, TOOK(0x2b), "slave");
		expect_quiet(vcpu, 2);
	}
	/* Both at once: the slave's are better. */
	line_set(vcpu->vm, 5, 1);
	line_set(vcpu->vm, 11, 1);
	guest_expect(vcpu, TOOK(0x2b), "slave first");
	guest_expect(vcpu, TOOK(0x25), "then master");
	expect_quiet(vcpu, 2);
}

/* The guest halts, and the interrupt of another thread's line wakes it. */
GUEST(pic_halt, 64, PIC_BEGIN(0xdf, 0xff) SAY(1) WAIT_FOR_EVER);
TEST(pic_wakes)
{
	struct vcpu *vcpu = IRQCHIP_GUEST(pic_halt, HANDLERS_PIC);
	struct kvm_irqfd irqfd = { .gsi = 5, .fd = eventfd(0, 0) };
	pid_t child;

	guest_expect(vcpu, 1, "ready");
	IOCTL(vcpu->vm->fd, KVM_IRQFD, &irqfd);
	child = fork();
	if (!child) {
		uint64_t one = 1;

		for (unsigned int i = 0; i < 5; i++) {
			usleep(50000);
			if (write(irqfd.fd, &one, 8) != 8)
				break;
		}
		_exit(0);
	}
	for (unsigned int i = 0; i < 5; i++)
		guest_expect(vcpu, TOOK(0x25), "woken");
}

/* Ports in the kernel make no exit; words at them are the devices' as well. */
GUEST(pic_ports, 64,
	PIC_BEGIN(0xa5, 0x5a)
	"xor %eax, %eax\n in $0x21, %al\n out %eax, $0xe0\n in $0xa1, %al\n out %eax, $0xe0\n"
	"mov $0x4d0, %edx\n mov $0xff, %al\n out %al, %dx\n inc %edx\n out %al, %dx\n"
	"in %dx, %al\n out %eax, $0xe0\n dec %edx\n in %dx, %al\n out %eax, $0xe0\n"
	"mov $0x1234, %eax\n in $0x20, %ax\n out %eax, $0xe0\n"
	"mov $0x2222, %eax\n out %ax, $0x20\n out %ax, $0x21\n");
TEST(pic_port_access)
{
	struct vcpu *vcpu = IRQCHIP_GUEST(pic_ports, HANDLERS_PIC);

	guest_steps(vcpu, (const struct step[]) {
		REPORT(0xa5), REPORT(0x5a), REPORT(0xde), REPORT(0xf8), REPORT(0), OUT(0x21, 2, 0x2222), {} });
}

/* ---- MSIs */

GUEST(msi, 64, CHIPS_BEGIN TICK);
TEST(msi_arrives)
{
	struct vcpu *vcpu = IRQCHIP_GUEST(msi, HANDLERS_LAPIC);
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = 0x61 };

	guest_expect(vcpu, 1, "ready");
	for (unsigned int i = 0; i < 10; i++) {
		EXPECT(ioctl_try(vcpu->vm->fd, KVM_SIGNAL_MSI, &msi) == 1, "not taken by one");
		EXPECT(ioctl_try(vcpu->vm->fd, KVM_SIGNAL_MSI, &msi) == 1, "merged, but taken");
		guest_expect(vcpu, TOOK(0x61), "the MSI");
		expect_quiet(vcpu, 2);
	}
	/* The extended destination (bits 5 to 11) is no part of KVM's, wide IDs or not. */
	msi.address_lo |= 0x20;
	EXPECT(ioctl_try(vcpu->vm->fd, KVM_SIGNAL_MSI, &msi) == 1, "extended destination");
	guest_expect(vcpu, TOOK(0x61), "the MSI with an extended destination");
}

TEST(msi_irqfd)
{
	struct vcpu *vcpu = IRQCHIP_GUEST(msi, HANDLERS_LAPIC);
	struct kvm_irqfd irqfd = { .gsi = 100, .fd = eventfd(0, EFD_NONBLOCK) };
	uint64_t count = 1;

	guest_expect(vcpu, 1, "ready");
	route_msi(vcpu->vm, 100, 0x71);
	IOCTL(vcpu->vm->fd, KVM_IRQFD, &irqfd);
	for (unsigned int i = 0; i < 10; i++) {
		REQUIRE(write(irqfd.fd, &count, 8) == 8, "eventfd");
		guest_expect(vcpu, TOOK(0x71), "the event");
		expect_quiet(vcpu, 2);
	}
	REQUIRE(read(irqfd.fd, &count, 8) < 0 && errno == EAGAIN, "the event was not consumed");
	/* Another route, the same irqfd. */
	route_msi(vcpu->vm, 100, 0x72);
	count = 1;
	REQUIRE(write(irqfd.fd, &count, 8) == 8, "eventfd");
	guest_expect(vcpu, TOOK(0x72), "by the new route");
	irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
	IOCTL(vcpu->vm->fd, KVM_IRQFD, &irqfd);
	REQUIRE(write(irqfd.fd, &count, 8) == 8, "eventfd");
	expect_quiet(vcpu, 2);
}

/* ---- resample */

static uint64_t drained(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, 8) == 8 ? count : 0;
}

/* The run that follows shows the next interrupt, or a tick: the one before has had its EOI. */
TEST(irqfd_resample)
{
	struct vcpu *vcpu = IRQCHIP_GUEST(level, HANDLERS_LAPIC);
	struct kvm_irqfd irqfd = {
		.gsi = 10, .fd = eventfd(0, EFD_NONBLOCK), .flags = KVM_IRQFD_FLAG_RESAMPLE, .resamplefd = eventfd(0, EFD_NONBLOCK),
	};
	uint64_t one = 1;

	NEED(vcpu->vm->fd, KVM_CAP_IRQFD_RESAMPLE);
	IOCTL(vcpu->vm->fd, KVM_IRQFD, &irqfd);
	guest_expect(vcpu, 1, "ready");
	for (unsigned int i = 0; i < 10; i++) {
		REQUIRE(write(irqfd.fd, &one, 8) == 8, "eventfd");
		usleep(2000);
		guest_expect(vcpu, TOOK(0x41), "the level");
		EXPECT(!drained(irqfd.resamplefd), "resampled before the EOI");
		expect_quiet(vcpu, 2);
		EXPECT(drained(irqfd.resamplefd) == 1, "round %u: not resampled once", i);
	}
	/* The device still wants it: up again at each resampling. */
	REQUIRE(write(irqfd.fd, &one, 8) == 8, "eventfd");
	usleep(2000);
	guest_expect(vcpu, TOOK(0x41), "the level");
	guest_expect(vcpu, 2, "ended");
	EXPECT(drained(irqfd.resamplefd) == 1, "not resampled");
	irqfd.flags |= KVM_IRQFD_FLAG_DEASSIGN;
	IOCTL(vcpu->vm->fd, KVM_IRQFD, &irqfd);
	expect_quiet(vcpu, 2);
}

/* By the PIC: its EOI resamples as well. */
GUEST(pic_level, 64, "mov $0x4d1, %edx\n mov $4, %al\n out %al, %dx\n" PIC_BEGIN(0xfb, 0xfb) TICK);
TEST(irqfd_resample_pic)
{
	struct vcpu *vcpu = IRQCHIP_GUEST(pic_level, HANDLERS_PIC);
	struct kvm_irqfd irqfd = {
		.gsi = 10, .fd = eventfd(0, EFD_NONBLOCK), .flags = KVM_IRQFD_FLAG_RESAMPLE, .resamplefd = eventfd(0, EFD_NONBLOCK),
	};
	uint64_t one = 1;

	NEED(vcpu->vm->fd, KVM_CAP_IRQFD_RESAMPLE);
	IOCTL(vcpu->vm->fd, KVM_IRQFD, &irqfd);
	guest_expect(vcpu, 1, "ready");
	for (unsigned int i = 0; i < 5; i++) {
		REQUIRE(write(irqfd.fd, &one, 8) == 8, "eventfd");
		usleep(2000);
		guest_expect(vcpu, TOOK(0x2a), "the level");
		EXPECT(!drained(irqfd.resamplefd), "resampled before the EOI");
		expect_quiet(vcpu, 2);
		EXPECT(drained(irqfd.resamplefd) == 1, "round %u: not resampled once", i);
	}
}

/* ---- PIT */

static void pit_new(struct vcpu *vcpu, uint32_t flags)
{
	struct kvm_pit_config config = { .flags = flags };

	IOCTL(vcpu->vm->fd, KVM_CREATE_PIT2, &config);
}

/* Counter 0 at 100 Hz through the PIC: the guest sleeps between the ticks. */
#define PIT_100HZ "mov $0x34, %al\n out %al, $0x43\n mov $0x9c, %al\n out %al, $0x40\n mov $0x2e, %al\n out %al, $0x40\n"
GUEST(pit_pic, 64, PIC_BEGIN(0xfe, 0xff) PIT_100HZ SAY(1) WAIT_FOR_EVER);
TEST(pit_ticks_by_pic)
{
	struct vcpu *vcpu = IRQCHIP_GUEST(pit_pic, HANDLERS_PIC);

	pit_new(vcpu, 0);
	guest_expect(vcpu, 1, "ready");
	for (unsigned int i = 0; i < 20; i++)
		guest_expect(vcpu, TOOK(0x20), "a tick");
}

GUEST(pit_ioapic, 64, CHIPS_BEGIN IOAPIC_SET(0x10, 0x30) PIT_100HZ SAY(1) WAIT_FOR_EVER);
TEST(pit_ticks_by_ioapic)
{
	struct vcpu *vcpu = IRQCHIP_GUEST(pit_ioapic, HANDLERS_LAPIC);

	pit_new(vcpu, 0);
	guest_expect(vcpu, 1, "ready");
	for (unsigned int i = 0; i < 20; i++)
		guest_expect(vcpu, TOOK(0x30), "a tick");
}

/* Ticks that the guest could not take come later, one after the other's end. */
static unsigned int ticks_owed(uint32_t reinject)
{
	struct vcpu *vcpu = IRQCHIP_GUEST(pit_pic, HANDLERS_PIC);
	struct kvm_reinject_control control = { .pit_reinject = reinject };
	struct kvm_pit_state2 pit;
	unsigned int ticks;

	pit_new(vcpu, 0);
	IOCTL(vcpu->vm->fd, KVM_REINJECT_CONTROL, &control);
	guest_expect(vcpu, 1, "ready");
	usleep(300000);
	/* No more of them: what comes now was owed. */
	IOCTL(vcpu->vm->fd, KVM_GET_PIT2, &pit);
	pit.flags = KVM_PIT_FLAGS_HPET_LEGACY;
	IOCTL(vcpu->vm->fd, KVM_SET_PIT2, &pit);
	for (ticks = 0; ticks < 10; ticks++) {
		alarm(3);
		if (run_try(vcpu) || vcpu->run->exit_reason != KVM_EXIT_IO)
			break;
	}
	alarm(0);
	return ticks;
}

static void wake(int signal)
{
	(void)signal;
}

TEST_LIMIT(pit_reinjects, 60)
{
	struct sigaction action = { .sa_handler = wake };
	unsigned int with, without;

	sigaction(SIGALRM, &action, NULL);
	with = ticks_owed(1);
	without = ticks_owed(0);
	EXPECT(with >= 10, "only %u ticks were owed", with);
	EXPECT(without == 1, "%u ticks without reinjection", without);
}

/* Counter 2 by the speaker's port, as calibration loops of old use it. */
GUEST(pit_speaker, 64,
	"mov $1, %al\n out %al, $0x61\n mov $0xb0, %al\n out %al, $0x43\n mov $0xff, %al\n out %al, $0x42\n mov $0x0f, %al\n out %al, $0x42\n"
	"1: in $0x61, %al\n test $0x20, %al\n jz 1b\n and $0x2f, %eax\n out %eax, $0xe0\n"
	"mov $0xe8, %al\n out %al, $0x43\n in $0x42, %al\n movzbl %al, %eax\n out %eax, $0xe0\n"
	"mov $0xaaaa, %eax\n in $0x43, %al\n out %eax, $0xe0\n"
	"mov $0x1111, %eax\n out %ax, $0x43\n out %al, $0x62\n");
TEST(pit_speaker)
{
	struct vcpu *vcpu = IRQCHIP_GUEST(pit_speaker, HANDLERS_PIC);

	pit_new(vcpu, KVM_PIT_SPEAKER_DUMMY);
	guest_steps(vcpu, (const struct step[]) {
		REPORT(0x21), REPORT(0xb0), REPORT(0xaaaa), OUT(0x43, 2, 0x1111), OUT(0x62, 1, 0x11), {} });
}

GUEST(no_speaker, 64, "in $0x61, %al\n");
TEST(pit_without_speaker)
{
	struct vcpu *vcpu = IRQCHIP_GUEST(no_speaker, HANDLERS_PIC);

	pit_new(vcpu, 0);
	guest_steps(vcpu, (const struct step[]) { IN(0x61, 1, 0), {} });
}
