// SPDX-License-Identifier: BSD-2-Clause
/*
 * irqchip.c - the program `irqchip`: interrupt controllers in the kernel, their
 * ioctls one by one. What a guest sees of them is in irqchip_guest.c.
 *
 * Owns: main, and the helpers of irqchip.h.
 * See: Documentation/virt/kvm/api.rst in Linux.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "irqchip.h"

/* ---- helpers */

struct vm *irqchip_vm(void)
{
	struct vm *vm = vm_create(GUEST_MEMORY);

	NEED(vm->fd, KVM_CAP_IRQCHIP);
	IOCTL(vm->fd, KVM_CREATE_IRQCHIP, 0);
	return vm;
}

struct scene irqchip_scene(void)
{
	struct scene scene = { irqchip_vm(), NULL };

	scene.vcpu = vcpu_create(scene.vm, 0);
	cpuid_set(scene.vcpu, cpuid_supported(scene.vm->sys));
	return scene;
}

int line_status(struct vm *vm, uint32_t gsi, int level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	IOCTL(vm->fd, KVM_IRQ_LINE_STATUS, &line);
	return line.status;
}

void line_set(struct vm *vm, uint32_t gsi, int level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	IOCTL(vm->fd, KVM_IRQ_LINE, &line);
}

struct kvm_irqchip chip_get(struct vm *vm, uint32_t id)
{
	struct kvm_irqchip chip = { .chip_id = id };

	IOCTL(vm->fd, KVM_GET_IRQCHIP, &chip);
	return chip;
}

void chip_set(struct vm *vm, const struct kvm_irqchip *chip)
{
	IOCTL(vm->fd, KVM_SET_IRQCHIP, chip);
}

void route_msi(struct vm *vm, uint32_t gsi, uint8_t vector)
{
	struct kvm_irq_routing *table = calloc(1, sizeof(*table) + 25 * sizeof(table->entries[0]));

	for (uint32_t i = 0; i < 24; i++)
		table->entries[table->nr++] = (struct kvm_irq_routing_entry) {
			.gsi = i, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { KVM_IRQCHIP_IOAPIC, i } };
	table->entries[table->nr++] = (struct kvm_irq_routing_entry) {
		.gsi = gsi, .type = KVM_IRQ_ROUTING_MSI, .u.msi = { .address_lo = 0xfee00000, .data = vector } };
	IOCTL(vm->fd, KVM_SET_GSI_ROUTING, table);
	free(table);
}

/* ---- creation */

#define ENABLE(want, what, ...) CALL(ON_VM, KVM_ENABLE_CAP, want, what, struct kvm_enable_cap, __VA_ARGS__)
#define SPLIT(want, what, ...) ENABLE(want, what, .cap = KVM_CAP_SPLIT_IRQCHIP, __VA_ARGS__)

TEST(create_once)
{
	const struct call rows[] = {
		NUMBER(ON_VM, KVM_CREATE_IRQCHIP, -EEXIST, "a second time", 0),
		SPLIT(-EEXIST, "split after it", .args = { 24 }),
		SPLIT(-EINVAL, "split with too many pins, looked at first", .args = { 4097 }),
	};
	struct scene scene = { irqchip_vm(), NULL };

	PLAY(&scene, rows);
}

TEST(create_after_vcpu)
{
	const struct call rows[] = {
		NUMBER(ON_VM, KVM_CREATE_IRQCHIP, -EINVAL, "after a vCPU", 0),
		SPLIT(-EEXIST, "split after a vCPU", .args = { 24 }),
		SPLIT(-EINVAL, "split after a vCPU, too many pins", .args = { 4097 }),
	};
	struct scene scene = scene_create();

	NEED(scene.vm->fd, KVM_CAP_IRQCHIP);
	PLAY(&scene, rows);
}

TEST(split_once)
{
	const struct call rows[] = {
		SPLIT(-EINVAL, "too many pins", .args = { 4097 }),
		SPLIT(-EINVAL, "flags", .flags = 1, .args = { 24 }),
		SPLIT(0, "split", .args = { 24 }),
		SPLIT(-EEXIST, "split twice", .args = { 24 }),
		NUMBER(ON_VM, KVM_CREATE_IRQCHIP, -EEXIST, "the whole one after it", 0),
		CALL(ON_VM, KVM_GET_IRQCHIP, -ENXIO, "KVM_GET_IRQCHIP", struct kvm_irqchip, .chip_id = 0),
		CALL(ON_VM, KVM_SET_IRQCHIP, -ENXIO, "KVM_SET_IRQCHIP", struct kvm_irqchip, .chip_id = 0),
		CALL(ON_VM, KVM_IRQ_LINE, 0, "KVM_IRQ_LINE without a route", struct kvm_irq_level, .irq = 4, .level = 1),
		CALL(ON_VM, KVM_SIGNAL_MSI, -EINVAL, "KVM_SIGNAL_MSI, flags", struct kvm_msi, .flags = 2),
	};
	struct scene scene = { vm_create(GUEST_MEMORY), NULL };

	NEED(scene.vm->fd, KVM_CAP_SPLIT_IRQCHIP);
	PLAY(&scene, rows);
}

/* ---- KVM_GET_IRQCHIP, KVM_SET_IRQCHIP */

TEST(irqchip_refusals)
{
	const struct call rows[] = {
		CALL(ON_VM, KVM_GET_IRQCHIP, 0, "the IOAPIC", struct kvm_irqchip, .chip_id = 2),
		CALL(ON_VM, KVM_GET_IRQCHIP, -EINVAL, "get chip 3", struct kvm_irqchip, .chip_id = 3),
		CALL(ON_VM, KVM_SET_IRQCHIP, -EINVAL, "set chip 3", struct kvm_irqchip, .chip_id = 3),
		CALL(ON_VM, KVM_SET_IRQCHIP, -EINVAL, "set chip ~0", struct kvm_irqchip, .chip_id = ~0u),
		BAD_POINTER(ON_VM, KVM_GET_IRQCHIP),
		BAD_POINTER(ON_VM, KVM_SET_IRQCHIP),
		BAD_POINTER(ON_VM, KVM_SET_GSI_ROUTING),
		BAD_POINTER(ON_VM, KVM_SIGNAL_MSI),
		BAD_POINTER(ON_VM, KVM_IRQ_LINE),
		BAD_POINTER(ON_VM, KVM_IRQ_LINE_STATUS),
		BAD_POINTER(ON_VM, KVM_IRQFD),
	};
	struct scene scene = irqchip_scene();

	PLAY(&scene, rows);
}

TEST(irqchip_reset_state)
{
	struct vm *vm = irqchip_vm();
	struct kvm_irqchip master = chip_get(vm, 0), slave = chip_get(vm, 1), ioapic = chip_get(vm, 2);

	EXPECT(master.chip.pic.elcr_mask == 0xf8 && slave.chip.pic.elcr_mask == 0xde, "ELCR masks %#x %#x",
	       master.chip.pic.elcr_mask, slave.chip.pic.elcr_mask);
	EXPECT(!master.chip.pic.imr && !master.chip.pic.irr && !master.chip.pic.irq_base, "the PIC");
	EXPECT(ioapic.chip.ioapic.base_address == 0xfec00000, "base %#llx", ioapic.chip.ioapic.base_address);
	EXPECT(!ioapic.chip.ioapic.id && !ioapic.chip.ioapic.irr && !ioapic.chip.ioapic.ioregsel, "the IOAPIC");
	for (unsigned int i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
		EXPECT(ioapic.chip.ioapic.redirtbl[i].bits == 0x10000, "entry %u: %#llx", i, ioapic.chip.ioapic.redirtbl[i].bits);
}

TEST(pic_round_trip)
{
	struct scene scene = irqchip_scene();

	for (uint32_t id = 0; id < 2; id++) {
		struct kvm_irqchip chip = chip_get(scene.vm, id), again;

		chip.chip.pic = (struct kvm_pic_state) {
			.last_irr = 0x11, .irr = id ? 0 : 0x12, .imr = 0x34, .isr = 0x08, .priority_add = 3,
			.irq_base = 0x40, .read_reg_select = 1, .special_mask = 1, .init_state = 2, .auto_eoi = 1,
			.rotate_on_auto_eoi = 1, .special_fully_nested_mode = 1, .init4 = 1, .elcr = 0x20, .elcr_mask = 0xf8,
		};
		chip_set(scene.vm, &chip);
		again = chip_get(scene.vm, id);
		EXPECT(!memcmp(&chip.chip.pic, &again.chip.pic, sizeof(chip.chip.pic)), "chip %u differs", id);
	}
}

TEST(ioapic_round_trip)
{
	struct scene scene = irqchip_scene();
	struct kvm_irqchip chip = chip_get(scene.vm, 2), again;

	chip.chip.ioapic.id = 5;
	chip.chip.ioapic.ioregsel = 0x31;
	for (unsigned int i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
		chip.chip.ioapic.redirtbl[i].bits = 0x0300000000018040ull + i + (i & 1 ? 0x4000 : 0);
	chip.chip.ioapic.irr = 0x00a050;
	chip_set(scene.vm, &chip);
	again = chip_get(scene.vm, 2);
	EXPECT(!memcmp(&chip.chip.ioapic, &again.chip.ioapic, sizeof(chip.chip.ioapic)), "it differs");
}

/* ---- lines */

TEST(line_answers)
{
	struct scene scene = irqchip_scene();
	struct kvm_irqchip pic;

	/* The IOAPIC's pins are masked, the PICs' are not. */
	EXPECT(line_status(scene.vm, 5, 1) == 1, "5 up");
	EXPECT(line_status(scene.vm, 5, 1) == 1, "5 up again: no edge");
	EXPECT(line_status(scene.vm, 5, 0) == 2, "5 down");
	EXPECT(line_status(scene.vm, 5, 1) == 0, "5 up before its acknowledgement");
	EXPECT(line_status(scene.vm, 20, 1) == -1, "20 is masked");
	EXPECT(line_status(scene.vm, 20, 0) == 1, "20 down");
	EXPECT(line_status(scene.vm, 24, 1) == -1, "24 has no route");
	EXPECT(line_status(scene.vm, 0xffffffff, 1) == -1, "the last number has none");
	pic = chip_get(scene.vm, 0);
	EXPECT(pic.chip.pic.irr == 0x20, "IRR %#x", pic.chip.pic.irr);
	pic.chip.pic.imr = 0xff;
	chip_set(scene.vm, &pic);
	EXPECT(line_status(scene.vm, 6, 1) == -1, "6 is masked in both");
	EXPECT(line_status(scene.vm, 6, 0) == 1, "6 down, masked in the PIC");
}

/* A level line: 0 while the request stands. */
TEST(line_level)
{
	struct scene scene = irqchip_scene();
	struct kvm_irqchip pic = chip_get(scene.vm, 1);

	pic.chip.pic.elcr = 0x08;
	chip_set(scene.vm, &pic);
	EXPECT(line_status(scene.vm, 11, 1) == 1, "11 up");
	EXPECT(line_status(scene.vm, 11, 1) == 0, "11 up again");
	pic = chip_get(scene.vm, 0);
	EXPECT(pic.chip.pic.irr == 0x04, "the cascade: IRR %#x", pic.chip.pic.irr);
	EXPECT(line_status(scene.vm, 11, 0) == 2, "11 down");
	EXPECT(chip_get(scene.vm, 1).chip.pic.irr == 0, "the slave's IRR");
}

TEST(msi_answers)
{
	const struct call rows[] = {
		CALL(ON_VM, KVM_SIGNAL_MSI, -EINVAL, "flags", struct kvm_msi, .address_lo = 0xfee00000, .flags = 2),
		CALL(ON_VM, KVM_SIGNAL_MSI, 0, "a device ID", struct kvm_msi, .address_lo = 0xfee00000, .data = 0x41, .flags = 1),
	};
	struct scene scene = irqchip_scene();

	NEED(scene.vm->fd, KVM_CAP_SIGNAL_MSI);
	PLAY(&scene, rows);
}

/* ---- routing */

struct table {
	struct kvm_irq_routing head;
	struct kvm_irq_routing_entry entries[3];
};
#define ROUTING(want, what, count, ...) CALL(ON_VM, KVM_SET_GSI_ROUTING, want, what, struct table, \
	.head = { .nr = count }, .entries = { __VA_ARGS__ })
#define PIN(g, c, p) { .gsi = g, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { c, p } }
#define MSI(g, hi) { .gsi = g, .type = KVM_IRQ_ROUTING_MSI, .u.msi = { 0xfee00000, hi, 0x41 } }

TEST(routing_refusals)
{
	const struct call rows[] = {
		ROUTING(0, "an empty table", 0),
		ROUTING(0, "a GSI on all chips", 3, PIN(5, 0, 5), PIN(5, 1, 5), PIN(5, 2, 5)),
		ROUTING(0, "MSIs", 2, MSI(4095, 0), MSI(0, 0x100)),
		ROUTING(-EINVAL, "GSI 4096", 1, MSI(4096, 0)),
		ROUTING(-EINVAL, "a chip twice", 2, PIN(5, 2, 5), PIN(5, 2, 6)),
		ROUTING(-EINVAL, "a pin and an MSI", 2, PIN(5, 2, 5), MSI(5, 0)),
		ROUTING(-EINVAL, "an MSI and a pin", 2, MSI(5, 0), PIN(5, 2, 5)),
		ROUTING(-EINVAL, "two MSIs", 2, MSI(5, 0), MSI(5, 0)),
		ROUTING(-EINVAL, "master pin 8", 1, PIN(5, 0, 8)),
		ROUTING(-EINVAL, "slave pin 8", 1, PIN(5, 1, 8)),
		ROUTING(-EINVAL, "IOAPIC pin 24", 1, PIN(5, 2, 24)),
		ROUTING(-EINVAL, "chip 3", 1, PIN(5, 3, 0)),
		ROUTING(-EINVAL, "type 0", 1, { .gsi = 1 }),
		ROUTING(-EINVAL, "an s390 adapter", 1, { .gsi = 1, .type = KVM_IRQ_ROUTING_S390_ADAPTER }),
		ROUTING(-EINVAL, "flags of a pin", 1, { .gsi = 1, .type = KVM_IRQ_ROUTING_IRQCHIP, .flags = 1 }),
		ROUTING(-EINVAL, "flags of an MSI", 1, { .gsi = 1, .type = KVM_IRQ_ROUTING_MSI, .flags = 2 }),
		ROUTING(0, "an MSI's device ID", 1, { .gsi = 1, .type = KVM_IRQ_ROUTING_MSI, .flags = 1 }),
		CALL(ON_VM, KVM_SET_GSI_ROUTING, -EINVAL, "too many", struct kvm_irq_routing, .nr = 4097),
		CALL(ON_VM, KVM_SET_GSI_ROUTING, -EINVAL, "flags of the table", struct kvm_irq_routing, .flags = 1),
		CALL(ON_VM, KVM_SET_GSI_ROUTING, -EFAULT, "entries out of reach", struct kvm_irq_routing, .nr = 1),
	};
	struct scene scene = irqchip_scene();

	PLAY(&scene, rows);
	/* The last table that was taken is in force. */
	EXPECT(line_status(scene.vm, 5, 1) == -1, "GSI 5 is gone");
}

TEST(routing_split)
{
	const struct call rows[] = {
		SPLIT(0, "split", .args = { 24 }),
		ROUTING(-EINVAL, "a pin", 1, PIN(5, 2, 5)),
		ROUTING(0, "an MSI", 1, MSI(5, 0)),
	};
	struct scene scene = { vm_create(GUEST_MEMORY), NULL };

	NEED(scene.vm->fd, KVM_CAP_SPLIT_IRQCHIP);
	PLAY(&scene, rows);
}

TEST(routing_wide_ids)
{
	const struct call rows[] = {
		ROUTING(0, "low byte", 1, MSI(5, 1)),
		ENABLE(-EINVAL, "unknown bit", .cap = KVM_CAP_X2APIC_API, .args = { 4 }),
		ENABLE(0, "32-bit IDs", .cap = KVM_CAP_X2APIC_API, .args = { 1 }),
		ROUTING(-EINVAL, "low byte, 32-bit IDs", 1, MSI(5, 1)),
		ROUTING(0, "an ID, 32-bit IDs", 1, MSI(5, 0x100)),
		CALL(ON_VM, KVM_SIGNAL_MSI, -EINVAL, "KVM_SIGNAL_MSI, low byte", struct kvm_msi, .address_hi = 1),
	};
	struct scene scene = irqchip_scene();

	NEED(scene.vm->fd, KVM_CAP_X2APIC_API);
	PLAY(&scene, rows);
}

/* ---- irqfd */

#define IRQFD(want, what, ...) CALL(ON_VM, KVM_IRQFD, want, what, struct kvm_irqfd, __VA_ARGS__)
#define GONE KVM_IRQFD_FLAG_DEASSIGN
#define RESAMPLE KVM_IRQFD_FLAG_RESAMPLE
#define SECOND_FD 102

TEST(irqfd_refusals)
{
	const struct call rows[] = {
		IRQFD(-EINVAL, "unknown flag", .fd = EVENT_FD, .gsi = 5, .flags = 4),
		IRQFD(-EBADF, "a closed descriptor", .fd = CLOSED_FD, .gsi = 5),
		IRQFD(-EINVAL, "no eventfd", .fd = OTHER_FD, .gsi = 5),
		IRQFD(-EBADF, "resample: a closed descriptor", .fd = EVENT_FD, .gsi = 5, .flags = RESAMPLE, .resamplefd = CLOSED_FD),
		IRQFD(-EINVAL, "resample: no eventfd", .fd = EVENT_FD, .gsi = 5, .flags = RESAMPLE, .resamplefd = OTHER_FD),
		IRQFD(0, "deassign what is not there", .fd = EVENT_FD, .gsi = 5, .flags = GONE),
		IRQFD(-EBADF, "deassign a closed descriptor", .fd = CLOSED_FD, .gsi = 5, .flags = GONE),
		IRQFD(-EINVAL, "deassign no eventfd", .fd = OTHER_FD, .gsi = 5, .flags = GONE),
		IRQFD(0, "assign", .fd = EVENT_FD, .gsi = 5),
		IRQFD(-EBUSY, "twice", .fd = EVENT_FD, .gsi = 5),
		IRQFD(-EBUSY, "for another GSI", .fd = EVENT_FD, .gsi = 6),
		IRQFD(0, "deassign another GSI", .fd = EVENT_FD, .gsi = 6, .flags = GONE),
		IRQFD(-EBUSY, "it is still there", .fd = EVENT_FD, .gsi = 6),
		IRQFD(0, "deassign", .fd = EVENT_FD, .gsi = 5, .flags = GONE),
		IRQFD(0, "with resample", .fd = EVENT_FD, .gsi = 6, .flags = RESAMPLE, .resamplefd = SECOND_FD),
		IRQFD(-EBUSY, "resample twice", .fd = EVENT_FD, .gsi = 6, .flags = RESAMPLE, .resamplefd = SECOND_FD),
		IRQFD(0, "a GSI without a route", .fd = SECOND_FD, .gsi = 4000),
	};
	struct scene scene = irqchip_scene();

	NEED(scene.vm->fd, KVM_CAP_IRQFD);
	area_create();
	REQUIRE(dup2(eventfd(0, EFD_NONBLOCK), SECOND_FD) == SECOND_FD, "eventfd");
	PLAY(&scene, rows);
}

TEST(irqfd_without_chips)
{
	const struct call none[] = { IRQFD(-EINVAL, "no irqchip", .fd = EVENT_FD, .gsi = 5) };
	const struct call split[] = {
		SPLIT(0, "split", .args = { 24 }),
		IRQFD(-EINVAL, "resample needs the chips", .fd = EVENT_FD, .gsi = 5, .flags = RESAMPLE, .resamplefd = EVENT_FD),
		IRQFD(0, "a plain one", .fd = EVENT_FD, .gsi = 5),
	};
	struct scene scene = { vm_create(GUEST_MEMORY), NULL };

	NEED(scene.vm->fd, KVM_CAP_SPLIT_IRQCHIP);
	area_create();
	PLAY(&scene, none);
	PLAY(&scene, split);
}

/* An event raises PIC and IOAPIC; one that came before the assignment counts. */
TEST(irqfd_raises)
{
	struct scene scene = irqchip_scene();
	struct kvm_irqfd irqfd = { .gsi = 5, .fd = eventfd(0, EFD_NONBLOCK) };
	uint64_t one = 1;

	REQUIRE(write(irqfd.fd, &one, 8) == 8, "eventfd");
	IOCTL(scene.vm->fd, KVM_IRQFD, &irqfd);
	for (int i = 0; i < 1000 && !chip_get(scene.vm, 0).chip.pic.irr; i++)
		usleep(1000);
	EXPECT(chip_get(scene.vm, 0).chip.pic.irr == 0x20, "the early event is lost");
	irqfd.flags = GONE;
	IOCTL(scene.vm->fd, KVM_IRQFD, &irqfd);
	irqfd = (struct kvm_irqfd) { .gsi = 6, .fd = eventfd(0, EFD_NONBLOCK) };
	IOCTL(scene.vm->fd, KVM_IRQFD, &irqfd);
	REQUIRE(write(irqfd.fd, &one, 8) == 8, "eventfd");
	for (int i = 0; i < 1000 && chip_get(scene.vm, 0).chip.pic.irr == 0x20; i++)
		usleep(1000);
	EXPECT(chip_get(scene.vm, 0).chip.pic.irr == 0x60, "an event is lost");
}

struct changing {
	struct vm *vm;
	struct kvm_irqfd irqfd;
	_Atomic int stop;
};

static void *change_irqfd(void *arg)
{
	struct changing *c = arg;

	while (!c->stop) {
		c->irqfd.flags = GONE;
		IOCTL(c->vm->fd, KVM_IRQFD, &c->irqfd);
		c->irqfd.flags = 0;
		IOCTL(c->vm->fd, KVM_IRQFD, &c->irqfd);
	}
	return NULL;
}

/* A thread takes the irqfd away and back all the time: each event is seen by one of them, or waits for the next. */
TEST(irqfd_loses_no_event)
{
	struct scene scene = irqchip_scene();
	struct changing c = { .vm = scene.vm, .irqfd = { .gsi = 5, .fd = eventfd(0, EFD_NONBLOCK) } };
	struct kvm_irqchip pic;
	uint64_t one = 1;
	pthread_t thread;

	IOCTL(scene.vm->fd, KVM_IRQFD, &c.irqfd);
	REQUIRE(!pthread_create(&thread, NULL, change_irqfd, &c), "thread");
	for (int round = 0; round < 200; round++) {
		usleep(round * 37 % 1000);
		REQUIRE(write(c.irqfd.fd, &one, 8) == 8, "eventfd");
		for (int i = 0; i < 2000 && !(chip_get(scene.vm, 0).chip.pic.irr & 0x20); i++)
			usleep(1000);
		pic = chip_get(scene.vm, 0);
		REQUIRE(pic.chip.pic.irr & 0x20, "the event of round %d is lost", round);
		pic.chip.pic.irr = 0;
		chip_set(scene.vm, &pic);
	}
	c.stop = 1;
	pthread_join(thread, NULL);
}

/* ---- PIT */

TEST(pit_refusals)
{
	const struct call before[] = {
		CALL(ON_VM, KVM_GET_PIT, -ENXIO, "KVM_GET_PIT", struct kvm_pit_state, .channels = { { 0 } }),
		CALL(ON_VM, KVM_SET_PIT, -ENXIO, "KVM_SET_PIT", struct kvm_pit_state, .channels = { { 0 } }),
		NUMBER(ON_VM, KVM_GET_PIT2, -ENXIO, "KVM_GET_PIT2, also with a bad pointer", 16),
		CALL(ON_VM, KVM_SET_PIT2, -ENXIO, "KVM_SET_PIT2", struct kvm_pit_state2, .flags = 0),
		CALL(ON_VM, KVM_REINJECT_CONTROL, -ENXIO, "KVM_REINJECT_CONTROL", struct kvm_reinject_control, .pit_reinject = 1),
		BAD_POINTER(ON_VM, KVM_CREATE_PIT2),
		BAD_POINTER(ON_VM, KVM_GET_PIT),
		BAD_POINTER(ON_VM, KVM_SET_PIT2),
		BAD_POINTER(ON_VM, KVM_REINJECT_CONTROL),
		CALL(ON_VM, KVM_CREATE_PIT2, 0, "KVM_CREATE_PIT2", struct kvm_pit_config, .flags = KVM_PIT_SPEAKER_DUMMY),
		CALL(ON_VM, KVM_CREATE_PIT2, -EEXIST, "twice", struct kvm_pit_config, .flags = 0),
		NUMBER(ON_VM, KVM_CREATE_PIT, -EEXIST, "KVM_CREATE_PIT after it", 0),
		CALL(ON_VM, KVM_REINJECT_CONTROL, 0, "KVM_REINJECT_CONTROL off", struct kvm_reinject_control, .pit_reinject = 0),
		CALL(ON_VM, KVM_REINJECT_CONTROL, 0, "KVM_REINJECT_CONTROL on", struct kvm_reinject_control, .pit_reinject = 1),
		BAD_POINTER(ON_VM, KVM_GET_PIT2),
		BAD_POINTER(ON_VM, KVM_SET_PIT),
	};
	struct scene scene = irqchip_scene();

	NEED(scene.vm->fd, KVM_CAP_PIT2);
	PLAY(&scene, before);
}

TEST(pit_round_trip)
{
	struct scene scene = irqchip_scene();
	struct kvm_pit_config config = { .flags = 0 };
	struct kvm_pit_state2 state, again;
	struct kvm_pit_state old;

	NEED(scene.vm->fd, KVM_CAP_PIT_STATE2);
	IOCTL(scene.vm->fd, KVM_CREATE_PIT2, &config);
	memset(&state, 0xff, sizeof(state));
	IOCTL(scene.vm->fd, KVM_GET_PIT2, &state);
	for (unsigned int i = 0; i < 3; i++)
		EXPECT(state.channels[i].count == 0x10000 && state.channels[i].mode == 0xff && state.channels[i].gate == (i != 2),
		       "counter %u after its creation: count %#x mode %#x gate %u", i, state.channels[i].count,
		       state.channels[i].mode, state.channels[i].gate);
	EXPECT(!state.flags && !state.reserved[0] && !state.reserved[8], "flags or reserved words");
	for (unsigned int i = 0; i < 3; i++)
		state.channels[i] = (struct kvm_pit_channel_state) {
			.count = 0x1000 + i, .latched_count = 0x1234, .count_latched = 3, .status_latched = 1, .status = 0x30,
			.read_state = 3, .write_state = 4, .write_latch = 0x77, .rw_mode = 3, .mode = 5, .bcd = 1, .gate = 1,
		};
	state.channels[1].count = 0;
	state.flags = KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	IOCTL(scene.vm->fd, KVM_SET_PIT2, &state);
	IOCTL(scene.vm->fd, KVM_GET_PIT2, &again);
	EXPECT(again.channels[1].count == 0x10000, "count 0 reads %#x", again.channels[1].count);
	state.channels[1].count = 0x10000;
	for (unsigned int i = 0; i < 3; i++)
		again.channels[i].count_load_time = state.channels[i].count_load_time = 0;
	EXPECT(!memcmp(&state.channels, &again.channels, sizeof(state.channels)), "KVM_SET_PIT2: counters differ");
	EXPECT(again.flags == KVM_PIT_FLAGS_SPEAKER_DATA_ON, "flags %#x", again.flags);
	IOCTL(scene.vm->fd, KVM_GET_PIT, &old);
	old.channels[2].count = 0x4321;
	IOCTL(scene.vm->fd, KVM_SET_PIT, &old);
	IOCTL(scene.vm->fd, KVM_GET_PIT2, &again);
	EXPECT(again.channels[2].count == 0x4321 && again.flags == KVM_PIT_FLAGS_SPEAKER_DATA_ON, "KVM_SET_PIT");
}

int main(int argc, char **argv)
{
	return test_main("irqchip", argc, argv);
}
