// SPDX-License-Identifier: BSD-2-Clause
/*
 * run_bus.c - accesses that the kernel takes for the VMM: ioeventfd on ports
 * and memory, coalesced writes.
 *
 * Invariant under test: an access that matches makes no exit, any other does.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "guest.h"

#define DOORBELL MMIO_BASE

static int eventfd_new(void)
{
	int fd = eventfd(0, EFD_NONBLOCK);

	REQUIRE(fd >= 0, "eventfd: %s", strerror(errno));
	return fd;
}

static uint64_t eventfd_count(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, 8) == 8 ? count : 0;
}

static void assign(struct vcpu *vcpu, int fd, uint64_t address, uint32_t length, uint32_t flags, uint64_t match)
{
	struct kvm_ioeventfd io = { .fd = fd, .addr = address, .len = length, .flags = flags, .datamatch = match };

	IOCTL(vcpu->vm->fd, KVM_IOEVENTFD, &io);
}

GUEST(port_doorbell, 64,
	"mov $7, %eax\n 1: mov $5, %ecx\n 2: out %al, $0x40\n dec %ecx\n jnz 2b\n out %ax, $0x40\n mov $1, %eax\n out %eax, $0xe0\n"
	"out %al, $0x40\n out %eax, $0xe0\n");
TEST(ioeventfd_port)
{
	struct vcpu *vcpu = GUEST_CREATE(port_doorbell, 64);
	int fd = eventfd_new();

	NEED(vcpu->vm->fd, KVM_CAP_IOEVENTFD);
	assign(vcpu, fd, 0x40, 1, KVM_IOEVENTFD_FLAG_PIO, 0);
	guest_steps(vcpu, (const struct step[]) { OUT(0x40, 2, 7), REPORT(1), {} });
	REQUIRE(eventfd_count(fd) == 5, "not five events");
	assign(vcpu, fd, 0x40, 1, KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DEASSIGN, 0);
	guest_steps(vcpu, (const struct step[]) { OUT(0x40, 1, 1), REPORT(1), {} });
	REQUIRE(eventfd_count(fd) == 0, "an event after deassign");
}

/* Two values, two descriptors, and a third value that is an exit. */
GUEST(port_match, 64, "mov $1, %eax\n out %ax, $0x40\n inc %eax\n out %ax, $0x40\n out %ax, $0x40\n inc %eax\n out %ax, $0x40\n hlt\n");
TEST(ioeventfd_datamatch)
{
	struct vcpu *vcpu = GUEST_CREATE(port_match, 64);
	int one = eventfd_new(), two = eventfd_new();

	NEED(vcpu->vm->fd, KVM_CAP_IOEVENTFD);
	assign(vcpu, one, 0x40, 2, KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DATAMATCH, 1);
	assign(vcpu, two, 0x40, 2, KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DATAMATCH, 2);
	guest_steps(vcpu, (const struct step[]) { OUT(0x40, 2, 3), HLT, {} });
	REQUIRE(eventfd_count(one) == 1 && eventfd_count(two) == 2, "wrong counts");
}

#define DOORBELL_WRITES								\
	"mov $0x10000000, %ebx\n mov $0x1122, %eax\n movw %ax, (%rbx)\n movl %eax, (%rbx)\n movl %eax, (%rbx)\n movw %ax, 2(%rbx)\n"
GUEST(mmio_doorbell, 64, DOORBELL_WRITES "mov (%rbx), %ecx\n hlt\n");
GUEST(mmio_doorbell_writes, 64, DOORBELL_WRITES "hlt\n");
TEST(ioeventfd_mmio)
{
	struct vcpu *vcpu = GUEST_CREATE(mmio_doorbell, 64);
	int fd = eventfd_new();

	NEED(vcpu->vm->fd, KVM_CAP_IOEVENTFD);
	assign(vcpu, fd, DOORBELL, 4, 0, 0);
	guest_steps(vcpu, (const struct step[]) {
		WRITE(DOORBELL, 2, 0x1122), WRITE(DOORBELL + 2, 2, 0x1122), READ(DOORBELL, 4, 0), HLT, {} });
	REQUIRE(eventfd_count(fd) == 2, "not two events");
}

/* Length 0: any size at this address. (On Intel KVM takes a read for a write there: none is made.) */
TEST(ioeventfd_any_length)
{
	struct vcpu *vcpu = GUEST_CREATE(mmio_doorbell_writes, 64);
	int fd = eventfd_new();

	NEED(vcpu->vm->fd, KVM_CAP_IOEVENTFD_ANY_LENGTH);
	assign(vcpu, fd, DOORBELL, 0, 0, 0);
	guest_steps(vcpu, (const struct step[]) { WRITE(DOORBELL + 2, 2, 0x1122), HLT, {} });
	REQUIRE(eventfd_count(fd) == 3, "not three events");
}

/* ---- coalesced */

static struct kvm_coalesced_mmio_ring *ring_of(struct vcpu *vcpu)
{
	int page = kvm_capability(vcpu->vm->fd, KVM_CAP_COALESCED_MMIO);

	if (!page)
		test_skip("KVM_CAP_COALESCED_MMIO reads 0");
	return (void *)((uint8_t *)vcpu->run + page * 4096);
}

static void coalesce(struct vcpu *vcpu, uint64_t address, uint32_t size, uint32_t pio)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = address, .size = size, .pio = pio };

	IOCTL(vcpu->vm->fd, KVM_REGISTER_COALESCED_MMIO, &zone);
}

GUEST(coalesced, 64,
	"mov $0x10000000, %ebx\n mov $3, %ecx\n 1: mov %ecx, 8(%rbx)\n dec %ecx\n jnz 1b\n movb $9, 15(%rbx)\n"
	"movl $5, 16(%rbx)\n mov 8(%rbx), %eax\n hlt\n");
TEST(coalesced_mmio)
{
	struct vcpu *vcpu = GUEST_CREATE(coalesced, 64);
	struct kvm_coalesced_mmio_ring *ring = ring_of(vcpu);

	coalesce(vcpu, MMIO_BASE + 8, 8, 0);
	guest_steps(vcpu, (const struct step[]) { WRITE(MMIO_BASE + 16, 4, 5), READ(MMIO_BASE + 8, 4, 0), HLT, {} });
	REQUIRE(ring->first == 0 && ring->last == 4, "ring %u..%u", ring->first, ring->last);
	for (uint32_t i = 0; i < 3; i++) {
		struct kvm_coalesced_mmio *e = &ring->coalesced_mmio[i];

		REQUIRE(e->phys_addr == MMIO_BASE + 8 && e->len == 4 && bytes_get(e->data, 4) == 3 - i && !e->pio,
			"entry %u: %#llx size %u", i, e->phys_addr, e->len);
	}
	REQUIRE(ring->coalesced_mmio[3].phys_addr == MMIO_BASE + 15 && ring->coalesced_mmio[3].len == 1, "the byte's entry");
}

GUEST(coalesced_port, 64, "mov $0x42, %eax\n out %al, $0x70\n out %ax, $0x71\n out %al, $0x72\n hlt\n");
TEST(coalesced_pio)
{
	struct vcpu *vcpu = GUEST_CREATE(coalesced_port, 64);
	struct kvm_coalesced_mmio_ring *ring = ring_of(vcpu);

	NEED(vcpu->vm->fd, KVM_CAP_COALESCED_PIO);
	coalesce(vcpu, 0x70, 2, 1);
	guest_steps(vcpu, (const struct step[]) { OUT(0x71, 2, 0x42), OUT(0x72, 1, 0x42), HLT, {} });
	REQUIRE(ring->last == 1 && ring->coalesced_mmio[0].pio == 1 && ring->coalesced_mmio[0].phys_addr == 0x70, "ring's last %u",
		ring->last);
}

/*
 * A full ring is no loss: the next write is an exit. (KVM may call a ring full
 * before its last entry is taken; what counts is that no value is missing.)
 */
GUEST(coalesced_many, 64, "mov $0x10000000, %ebx\n 1: inc %eax\n mov %eax, (%rbx)\n jmp 1b\n");
TEST(coalesced_full)
{
	struct vcpu *vcpu = GUEST_CREATE(coalesced_many, 64);
	struct kvm_coalesced_mmio_ring *ring = ring_of(vcpu);
	uint32_t room = (4096 - sizeof(*ring)) / sizeof(ring->coalesced_mmio[0]), next = 1;

	coalesce(vcpu, MMIO_BASE, 4, 0);
	for (unsigned int round = 0; round < 6; round++) {
		uint32_t before = next;

		run_until(vcpu, KVM_EXIT_MMIO);
		for (; ring->first != ring->last; ring->first = (ring->first + 1) % room, next++)
			REQUIRE(bytes_get(ring->coalesced_mmio[ring->first].data, 4) == next, "round %u: entry %u is not %u",
				round, ring->first, next);
		REQUIRE(bytes_get(vcpu->run->mmio.data, 4) == next, "round %u: the exit has %lu, not %u", round,
			bytes_get(vcpu->run->mmio.data, 4), next);
		REQUIRE(next - before >= 16, "round %u: only %u entries used", round, next - before);
		next++;
	}
}

/* Unregistering gives the exits back. */
TEST(coalesced_unregister)
{
	struct vcpu *vcpu = GUEST_CREATE(coalesced, 64);
	struct kvm_coalesced_mmio_zone zone = { .addr = MMIO_BASE + 8, .size = 8 };

	ring_of(vcpu);
	coalesce(vcpu, zone.addr, zone.size, 0);
	IOCTL(vcpu->vm->fd, KVM_UNREGISTER_COALESCED_MMIO, &zone);
	run_until(vcpu, KVM_EXIT_MMIO);
	REQUIRE(vcpu->run->mmio.phys_addr == MMIO_BASE + 8, "at %#llx", vcpu->run->mmio.phys_addr);
}
