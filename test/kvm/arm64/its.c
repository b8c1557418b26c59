/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * its.c - guests with an in-kernel ITS on arm64: LPIs by messages, by commands, by
 * irqfds and routes; their configuration, priorities, targets; commands that make
 * no sense; the device's attributes with their errors; tables saved and restored.
 * The guest's tables and commands are written from here, through the device's
 * attributes, where the guest's own accesses are not what is tested.
 * Called by: hand or the test table, in a Linux with /dev/kvm.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "vmm.h"

#define GICD 0x08000000ull
#define GICR 0x080a0000ull
#define ITS 0x08080000ull
#define DOORBELL (ITS + 0x10040)
#define SPIS 32
#define LPI 8192u

/* Guest memory. */
#define QUEUE 0x10000ull
#define QUEUE_BYTES 0x10000u
#define DEVICES 0x20000ull
#define COLLECTIONS 0x30000ull
#define PROPERTIES 0x40000ull
#define PENDING 0x50000ull		/* 64 KiB for each of two vCPUs */
#define ITT 0x70000ull

#define VALID (1ull << 63)
#define GITS_CTLR 0x0
#define GITS_IIDR 0x4
#define GITS_TYPER 0x8
#define GITS_CBASER 0x80
#define GITS_CWRITER 0x88
#define GITS_CREADR 0x90
#define GITS_BASER 0x100
enum { MOVI = 1, INT = 3, CLEAR = 4, SYNC = 5, MAPD = 8, MAPC, MAPTI, MAPI, INV, INVALL, MOVALL, DISCARD };

#define BASE "mov x19, #0x10000000\n"
/* As in gic.c, with a stack pointer that nobody needs: x10, x11, interrupts on. */
#define GIC_ON										\
	"mov x10, #0x08000000\nmov w1, #2\nstr w1, [x10]\n"				\
	"mov x11, #0x080b0000\nadd x11, x11, x0, lsl #17\nmov w1, #-1\n"		\
	"str w1, [x11, #0x80]\nstr w1, [x11, #0x100]\nstr w1, [x10, #0x84]\nstr w1, [x10, #0x104]\n"	\
	"mov x1, #0xf0\nmsr icc_pmr_el1, x1\nmov x1, #1\nmsr icc_igrpen1_el1, x1\n"	\
	"mov x1, #0x2000\nmsr vbar_el1, x1\nisb\n"

/* Reports each interrupt at 0x10 before its end. */
GUEST(report, ".org code_report + 0x280\nmrs x28, icc_iar1_el1\nstr x28, [x19, #0x10]\nmsr icc_eoir1_el1, x28\nisb\neret\n");
/* Masked while they are raised, then opened; SPIs 32 to 47 are levels. */
GUEST(wait, BASE "mov x0, #0\n" GIC_ON "str wzr, [x10, #0xc08]\nstr x1, [x19]\nmsr daifclr, #2\nisb\n1: str x1, [x19, #8]\nb 1b\n");
GUEST(second, BASE "mov x0, #1\n" GIC_ON "str x1, [x19]\nmsr daifclr, #2\n1: wfi\nb 1b\n");

struct machine {
	struct vm *vm;
	struct vcpu *vcpu[2];
	int its;
	uint32_t cwriter;
};

static int device(struct vm *vm, uint32_t type)
{
	struct kvm_create_device d = { .type = type };
	int rc = ioctl_try(vm->fd, KVM_CREATE_DEVICE, &d);

	if (rc == -ENODEV)
		test_skip("no such GIC here");
	return rc < 0 ? rc : (int)d.fd;
}

static void gic_start(struct vm *vm)
{
	uint64_t dist = GICD, redist = GICR;
	uint32_t count = 32 + SPIS;

	vm->gic = device(vm, KVM_DEV_TYPE_ARM_VGIC_V3);
	REQUIRE(vm->gic >= 0, "KVM_CREATE_DEVICE");
	REQUIRE(!SET(vm->gic, NR_IRQS, 0, &count), "NR_IRQS");
	REQUIRE(!SET(vm->gic, ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &dist), "the distributor's address");
	REQUIRE(!SET(vm->gic, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &redist), "the redistributors' address");
}

static void its_set(struct machine *m, uint32_t reg, uint64_t value)
{
	int rc = SET(m->its, ITS_REGS, reg, &value);

	REQUIRE(!rc, "register %x of the ITS: %s", reg, strerror(-rc));
}

static uint64_t its_get(struct machine *m, uint32_t reg)
{
	uint64_t value = 0;
	int rc = GET(m->its, ITS_REGS, reg, &value);

	REQUIRE(!rc, "register %x of the ITS: %s", reg, strerror(-rc));
	return value;
}

/* 32 bits of a redistributor. */
static void redist_set(struct machine *m, uint32_t vcpu, uint32_t reg, uint32_t value)
{
	int rc = SET(m->vm->gic, REDIST_REGS, (uint64_t)vcpu << 32 | reg, &value);

	REQUIRE(!rc, "register %x of redistributor %u: %s", reg, vcpu, strerror(-rc));
}

static void lpis_on(struct machine *m, uint32_t vcpu)
{
	redist_set(m, vcpu, 0x70, PROPERTIES | 15);
	redist_set(m, vcpu, 0x74, 0);
	redist_set(m, vcpu, 0x78, (uint32_t)(PENDING + vcpu * 0x10000));
	redist_set(m, vcpu, 0x7c, 0);
	redist_set(m, vcpu, 0x0, 1);
}

static void its_on(struct machine *m, uint32_t vcpus)
{
	uint32_t i;

	for (i = 0; i < vcpus; i++)
		lpis_on(m, i);
	its_set(m, GITS_CBASER, VALID | QUEUE | (QUEUE_BYTES / 4096 - 1));
	its_set(m, GITS_BASER, VALID | DEVICES);
	its_set(m, GITS_BASER + 8, VALID | COLLECTIONS);
	its_set(m, GITS_CTLR, 1);
	m->cwriter = 0;
}

/* Nothing of the ITS is set up, nothing runs. */
static struct machine *machine_bare(uint32_t vcpus)
{
	struct machine *m = calloc(1, sizeof(*m));
	uint64_t base = ITS;
	uint32_t i;

	m->vm = vm_create();
	LOAD(m->vm, GUEST_CODE, wait);
	LOAD(m->vm, GUEST_VECTORS, report);
	LOAD(m->vm, 0x3000, second);
	for (i = 0; i < vcpus; i++)
		m->vcpu[i] = vcpu_create(m->vm, (int)i, 0);
	if (vcpus > 1)
		REQUIRE(!reg_try(m->vcpu[1], CORE(regs.pc), 0x3000), "PC");
	gic_start(m->vm);
	m->its = device(m->vm, KVM_DEV_TYPE_ARM_VGIC_ITS);
	REQUIRE(m->its >= 0, "KVM_CREATE_DEVICE of an ITS: %s", strerror(-m->its));
	REQUIRE(!SET(m->vm->gic, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL), "CTRL_INIT");
	REQUIRE(!SET(m->its, ADDR, KVM_VGIC_ITS_ADDR_TYPE, &base), "the ITS's address");
	REQUIRE(!SET(m->its, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL), "CTRL_INIT of the ITS");
	return m;
}

static void put(struct machine *m, uint64_t w0, uint64_t w1, uint64_t w2, uint64_t w3)
{
	uint64_t word[4] = { w0, w1, w2, w3 };

	memcpy(m->vm->memory + QUEUE + m->cwriter, word, sizeof(word));
	m->cwriter = (m->cwriter + 32) % QUEUE_BYTES;
}

static void command(struct machine *m, uint64_t w0, uint64_t w1, uint64_t w2, uint64_t w3)
{
	put(m, w0, w1, w2, w3);
	its_set(m, GITS_CWRITER, m->cwriter);
}

static void mapc(struct machine *m, uint32_t collection, uint32_t target)
{
	command(m, MAPC, 0, VALID | (uint64_t)target << 16 | collection, 0);
}

static void mapti(struct machine *m, uint32_t dev, uint32_t event, uint32_t lpi, uint32_t collection)
{
	command(m, MAPTI | (uint64_t)dev << 32, event | (uint64_t)lpi << 32, collection, 0);
}

static void on_event(struct machine *m, uint32_t what, uint32_t dev, uint32_t event, uint32_t collection)
{
	command(m, what | (uint64_t)dev << 32, event, collection, 0);
}

static void property(struct machine *m, uint32_t lpi, uint8_t value)
{
	m->vm->memory[PROPERTIES + lpi - LPI] = value;
}

/* Device 1: events 0 to 31 are LPIs 8192 to 8223, enabled, at vCPU 0; collection n is vCPU n. */
static struct machine *machine(uint32_t vcpus)
{
	struct machine *m = machine_bare(vcpus);
	uint32_t i;

	memset(m->vm->memory + PROPERTIES, 0xa1, 1024);
	its_on(m, vcpus);
	for (i = 0; i < vcpus; i++)
		mapc(m, i, i);
	command(m, MAPD | 1ull << 32, 4, VALID | ITT, 0);
	for (i = 0; i < 32; i++)
		mapti(m, 1, i, LPI + i, 0);
	return m;
}

static struct machine *machine_waiting(void)
{
	struct machine *m = machine(1);

	expect_store(m->vcpu[0], MMIO_BASE, 8);
	return m;
}

static int msi(struct machine *m, uint32_t dev, uint32_t event)
{
	struct kvm_msi msi = { .address_lo = (uint32_t)DOORBELL, .data = event, .flags = KVM_MSI_VALID_DEVID, .devid = dev };

	return ioctl_try(m->vm->fd, KVM_SIGNAL_MSI, &msi);
}

/* The next one that is reported; 0: the guest goes on without. */
static uint32_t next(struct machine *m)
{
	uint32_t id = 0, i;

	/* A few instructions may pass before it comes. */
	for (i = 0; i < 3; i++) {
		run_until(m->vcpu[0], KVM_EXIT_MMIO);
		if (m->vcpu[0]->run->mmio.phys_addr == MMIO_BASE + 0x10) {
			memcpy(&id, m->vcpu[0]->run->mmio.data, sizeof(id));
			return id;
		}
		REQUIRE(m->vcpu[0]->run->mmio.phys_addr == MMIO_BASE + 8, "exit at %llx",
			(unsigned long long)m->vcpu[0]->run->mmio.phys_addr);
	}
	return 0;
}

/* ---- delivery ---- */

TEST(signal_msi)
{
	struct machine *m = machine_waiting();

	EXPECT(msi(m, 1, 0) == 1, "a message");
	EXPECT(next(m) == LPI, "its LPI");
	EXPECT(!next(m), "once");
	EXPECT(msi(m, 1, 31) == 1 && next(m) == LPI + 31, "another");
	EXPECT(msi(m, 1, 0) == 1 && msi(m, 1, 0) == 1, "two of one");
	EXPECT(next(m) == LPI, "are one");
	EXPECT(!next(m), "once");
	EXPECT(msi(m, 1, 32) == 0, "an event that is not mapped");
	EXPECT(msi(m, 2, 0) == 0, "a device that is not");
}

TEST(int_and_clear)
{
	struct machine *m = machine_waiting();

	on_event(m, INT, 1, 3, 0);
	EXPECT(next(m) == LPI + 3, "INT");
	on_event(m, INT, 1, 4, 0);
	on_event(m, CLEAR, 1, 4, 0);
	EXPECT(!next(m), "CLEAR");
	on_event(m, INT, 1, 99, 0);
	on_event(m, INT, 99, 0, 0);
	EXPECT(!next(m), "what is not mapped");
	EXPECT(its_get(m, GITS_CREADR) == m->cwriter, "CREADR");
}

TEST(configuration)
{
	struct machine *m = machine_waiting();

	property(m, LPI, 0xa0);
	EXPECT(msi(m, 1, 0) == 1 && next(m) == LPI, "without INV it is as it was");
	EXPECT(!next(m), "and ended");
	on_event(m, INV, 1, 0, 0);
	EXPECT(msi(m, 1, 0) == 1 && !next(m), "disabled");
	property(m, LPI, 0xa1);
	EXPECT(!next(m), "still");
	on_event(m, INV, 1, 0, 0);
	EXPECT(next(m) == LPI, "it was pending all the time");
	EXPECT(!next(m), "and ended");
	property(m, LPI + 1, 0xa0);
	property(m, LPI + 2, 0xa0);
	command(m, INVALL, 0, 0, 0);
	EXPECT(msi(m, 1, 1) == 1 && msi(m, 1, 2) == 1 && !next(m), "INVALL disables");
	property(m, LPI + 1, 0xa1);
	property(m, LPI + 2, 0x81);
	command(m, INVALL, 0, 0, 0);
	EXPECT(next(m) == LPI + 2 && next(m) == LPI + 1, "and enables, with another priority");
}

TEST(priorities)
{
	struct machine *m = machine(1);
	uint32_t i;

	for (i = 0; i < 12; i++)
		property(m, LPI + i, (uint8_t)(0xd1 - 16 * i));
	command(m, INVALL, 0, 0, 0);
	expect_store(m->vcpu[0], MMIO_BASE, 8);
	for (i = 0; i < 12; i++)
		EXPECT(msi(m, 1, i) == 1, "message %u", i);
	for (i = 12; i-- > 0;)
		EXPECT(next(m) == LPI + i, "LPI %u in its turn", i);
	EXPECT(!next(m), "no more");
	/* The mask of priorities is 0xf0. */
	property(m, LPI + 20, 0xf1);
	on_event(m, INV, 1, 20, 0);
	EXPECT(msi(m, 1, 20) == 1 && !next(m), "a priority that is masked");
}

TEST(many)
{
	struct machine *m = machine_waiting();
	uint32_t i, got = 0;

	for (i = 0; i < 32; i++)
		EXPECT(msi(m, 1, i) == 1, "message %u", i);
	for (i = 0; i < 32; i++)
		got |= 1u << ((next(m) - LPI) & 31);
	EXPECT(got == ~0u, "each once: %x", got);
	EXPECT(!next(m), "no more");
}

TEST(discard)
{
	struct machine *m = machine_waiting();

	on_event(m, DISCARD, 1, 0, 0);
	EXPECT(msi(m, 1, 0) == 0 && !next(m), "DISCARD");
	mapti(m, 1, 0, LPI + 50, 0);
	EXPECT(msi(m, 1, 0) == 1 && next(m) == LPI + 50, "mapped to another");
	mapti(m, 1, 0, LPI + 51, 0);
	EXPECT(msi(m, 1, 0) == 1 && next(m) == LPI + 50, "one that is mapped stays");
	command(m, MAPD | 1ull << 32, 4, 0, 0);
	EXPECT(msi(m, 1, 1) == 0 && !next(m), "MAPD without V");
	command(m, MAPD | 1ull << 32, 4, VALID | ITT, 0);
	command(m, MAPC, 0, 7, 0);
	mapti(m, 1, 0, LPI, 7);
	EXPECT(msi(m, 1, 0) == 0, "a collection that is nowhere");
	mapc(m, 7, 0);
	EXPECT(msi(m, 1, 0) == 1, "and now is somewhere");
	command(m, MAPC, 0, 7, 0);
	EXPECT(msi(m, 1, 0) == 0, "and is no more");
	command(m, MAPD | 3ull << 32, 13, VALID | ITT, 0);
	command(m, MAPI | 3ull << 32, LPI + 60, 0, 0);
	EXPECT(msi(m, 3, LPI + 60) == 1, "MAPI");
}

TEST(lpis_off)
{
	struct machine *m = machine_waiting();
	uint32_t value;

	redist_set(m, 0, 0x0, 0);
	EXPECT(msi(m, 1, 0) == -EBUSY, "GICR_CTLR.EnableLPIs is 0");
	redist_set(m, 0, 0x0, 1);
	EXPECT(msi(m, 1, 0) == 1 && next(m) == LPI, "and 1");
	redist_set(m, 0, 0x70, 0x1000);
	EXPECT(!GET(m->vm->gic, REDIST_REGS, 0x70, &value) && (value & 0xfffff000) == PROPERTIES, "PROPBASER stays while they are on");
	its_set(m, GITS_CTLR, 0);
	EXPECT(msi(m, 1, 0) == -EBUSY && msi(m, 9, 9) == -EBUSY, "GITS_CTLR.Enabled is 0");
	its_set(m, GITS_CTLR, 1);
	EXPECT(msi(m, 1, 0) == 1 && next(m) == LPI, "and 1");
	/* Pending in memory when they go on. */
	redist_set(m, 0, 0x0, 0);
	m->vm->memory[PENDING + (LPI + 5) / 8] |= 1u << (LPI + 5) % 8;
	redist_set(m, 0, 0x0, 1);
	EXPECT(next(m) == LPI + 5, "the pending table is read");
	m->vm->memory[PENDING + (LPI + 5) / 8] = 0;
}

/* ---- two vCPUs ---- */

static uint32_t second_got;
static void *second_thread(void *arg)
{
	run_until(arg, KVM_EXIT_MMIO);
	memcpy(&second_got, ((struct vcpu *)arg)->run->mmio.data, sizeof(second_got));
	return NULL;
}

/* One message, for the second vCPU. */
static void second_gets(struct machine *m, uint32_t event, const char *what)
{
	pthread_t thread;

	second_got = 0;
	REQUIRE(!pthread_create(&thread, NULL, second_thread, m->vcpu[1]), "pthread_create");
	EXPECT(msi(m, 1, event) == 1, "a message");
	pthread_join(thread, NULL);
	EXPECT(second_got == LPI + event, "%s: %u", what, second_got);
}

TEST(moves)
{
	struct machine *m = machine(2);

	expect_store(m->vcpu[0], MMIO_BASE, 8);
	expect_store(m->vcpu[1], MMIO_BASE, 8);
	on_event(m, MOVI, 1, 3, 1);
	second_gets(m, 3, "MOVI");
	EXPECT(msi(m, 1, 4) == 1 && next(m) == LPI + 4, "the others are where they were");
	on_event(m, MOVI, 1, 4, 9);
	EXPECT(msi(m, 1, 4) == 1 && next(m) == LPI + 4, "MOVI to nowhere");
	EXPECT(!next(m), "and ended");
	mapc(m, 0, 1);
	second_gets(m, 4, "MAPC to the second");
	mapc(m, 0, 0);
	command(m, MOVALL, 0, 0, 1 << 16);
	second_gets(m, 5, "MOVALL");
	on_event(m, MOVI, 1, 3, 0);
	EXPECT(msi(m, 1, 3) == 1 && next(m) == LPI + 3, "and back");
	EXPECT(!next(m), "and ended");
	/* Pending, and moved. */
	EXPECT(msi(m, 1, 3) == 1, "a message");
	on_event(m, MOVI, 1, 3, 1);
	EXPECT(!next(m), "it is not where it was");
	second_got = 0;
	second_thread(m->vcpu[1]);
	EXPECT(second_got == LPI + 3, "but at the other: %u", second_got);
}

/* ---- irqfd and routes ---- */

static int irqfd(struct machine *m, int fd, uint32_t gsi, uint32_t flags, int resample)
{
	struct kvm_irqfd args = { .fd = (uint32_t)fd, .gsi = gsi, .flags = flags, .resamplefd = (uint32_t)resample };

	return ioctl_try(m->vm->fd, KVM_IRQFD, &args);
}

static int route(struct machine *m, uint32_t count, const struct kvm_irq_routing_entry *entries)
{
	struct kvm_irq_routing *table = calloc(1, sizeof(*table) + count * sizeof(*entries));
	int rc;

	table->nr = count;
	memcpy(table->entries, entries, count * sizeof(*entries));
	rc = ioctl_try(m->vm->fd, KVM_SET_GSI_ROUTING, table);
	free(table);
	return rc;
}

#define ROUTE_MSI(g, event, f) { .gsi = g, .type = KVM_IRQ_ROUTING_MSI, .flags = f, \
	.u.msi = { .address_lo = (uint32_t)DOORBELL, .data = event, .devid = 1 } }
#define ROUTE_PIN(g, c, p) { .gsi = g, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { c, p } }

static void ring(int fd)
{
	uint64_t one = 1;

	REQUIRE(write(fd, &one, sizeof(one)) == sizeof(one), "write to an eventfd");
}

/* Stock KVM leaves an eventfd's message to a worker, unless it has its translation at hand. */
static uint32_t next_soon(struct machine *m)
{
	uint32_t id = 0;
	int i;

	for (i = 0; i < 1000 && !id; i++) {
		id = next(m);
		if (!id)
			usleep(1000);
	}
	return id;
}

TEST(irqfd_message)
{
	struct kvm_irq_routing_entry e[] = { ROUTE_MSI(100, 6, KVM_MSI_VALID_DEVID), ROUTE_MSI(101, 7, KVM_MSI_VALID_DEVID) };
	struct machine *m = machine_waiting();
	int fd = eventfd(0, EFD_CLOEXEC), other = eventfd(0, EFD_CLOEXEC);

	EXPECT(!route(m, 2, e), "a table");
	EXPECT(!irqfd(m, fd, 100, 0, 0) && !irqfd(m, other, 101, 0, 0), "irqfds");
	EXPECT(irqfd(m, fd, 101, 0, 0) == -EBUSY, "an eventfd that has one");
	ring(fd);
	EXPECT(next_soon(m) == LPI + 6, "the first's LPI");
	ring(other);
	EXPECT(next_soon(m) == LPI + 7, "the second's");
	ring(fd);
	EXPECT(next_soon(m) == LPI + 6, "once more");
	EXPECT(!next(m), "no more");
	e[0].u.msi.data = 8;
	EXPECT(!route(m, 2, e), "another table");
	ring(fd);
	EXPECT(next_soon(m) == LPI + 8, "by the new one");
	on_event(m, DISCARD, 1, 8, 0);
	ring(fd);
	usleep(20000);
	EXPECT(!next(m), "an event that is gone");
	EXPECT(!irqfd(m, other, 101, KVM_IRQFD_FLAG_DEASSIGN, 0), "deassigned");
	ring(other);
	usleep(20000);
	EXPECT(!next(m), "nobody listens");
	EXPECT(irqfd(m, -1, 101, 0, 0) == -EBADF, "no descriptor");
	EXPECT(irqfd(m, fd, 101, 8, 0) == -EINVAL, "flag 8");
}

TEST(irqfd_spi)
{
	struct machine *m = machine_waiting();
	int fd = eventfd(0, EFD_CLOEXEC), early = eventfd(1, EFD_CLOEXEC);

	EXPECT(!irqfd(m, fd, 20, 0, 0), "GSI 20 is SPI 52, an edge");
	ring(fd);
	EXPECT(next_soon(m) == 52, "an SPI");
	EXPECT(!next(m), "once");
	ring(fd);
	EXPECT(next_soon(m) == 52, "the next");
	EXPECT(!irqfd(m, early, 21, 0, 0), "one that was rung before");
	usleep(20000);
	EXPECT(next(m) == 53, "counts");
}

static int rung(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t count;

	return poll(&p, 1, 0) == 1 && read(fd, &count, sizeof(count)) == sizeof(count);
}

TEST(irqfd_resample)
{
	struct machine *m = machine_waiting();
	int fd = eventfd(0, EFD_CLOEXEC), resample = eventfd(0, EFD_CLOEXEC);

	EXPECT(!irqfd(m, fd, 8, KVM_IRQFD_FLAG_RESAMPLE, resample), "SPI 40, a level");
	ring(fd);
	EXPECT(next_soon(m) == 40, "a level");
	EXPECT(!rung(resample), "it is not ended");
	EXPECT(!next(m), "once: its end takes it down");
	EXPECT(rung(resample), "and is told");
	ring(fd);
	EXPECT(next_soon(m) == 40 && !next(m) && rung(resample), "the next");
}

TEST(routing_errors)
{
	static const struct {
		const char *what;
		uint32_t count;
		struct kvm_irq_routing_entry e[2];
		int want;
	} rows[] = {
		{ "nothing", 0, { { 0 } }, 0 },
		{ "the last pin", 1, { ROUTE_PIN(5, 0, 987) }, 0 },
		{ "pin 988", 1, { ROUTE_PIN(5, 0, 988) }, -EINVAL },
		{ "chip 1", 1, { ROUTE_PIN(5, 1, 0) }, -EINVAL },
		{ "a pin twice", 2, { ROUTE_PIN(5, 0, 1), ROUTE_PIN(6, 0, 1) }, 0 },
		{ "a GSI with two pins", 2, { ROUTE_PIN(5, 0, 1), ROUTE_PIN(5, 0, 2) }, -EINVAL },
		{ "a pin and a message", 2, { ROUTE_PIN(5, 0, 1), ROUTE_MSI(5, 0, 0) }, -EINVAL },
		{ "GSI 4095", 1, { ROUTE_MSI(4095, 0, 0) }, 0 },
		{ "GSI 4096", 1, { ROUTE_MSI(4096, 0, 0) }, -EINVAL },
		{ "flag 2", 1, { ROUTE_MSI(5, 0, 2) }, -EINVAL },
		{ "type 99", 1, { { .gsi = 5, .type = 99 } }, -EINVAL },
	};
	struct kvm_irq_routing many = { .nr = 4097 }, flags = { .flags = 1 };
	struct machine *m = machine(1), no_gic = { .vm = vm_create() };
	int fd = eventfd(0, EFD_CLOEXEC);
	unsigned int i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		EXPECT(route(m, rows[i].count, rows[i].e) == rows[i].want, "%s", rows[i].what);
	EXPECT(ioctl_try(m->vm->fd, KVM_SET_GSI_ROUTING, &many) == -EINVAL, "4,097 entries");
	EXPECT(ioctl_try(m->vm->fd, KVM_SET_GSI_ROUTING, &flags) == -EINVAL, "flags");
	EXPECT(!route(&no_gic, 1, rows[1].e), "a table without a GIC");
	EXPECT(irqfd(&no_gic, fd, 5, 0, 0) == -EAGAIN, "an irqfd without one");
	gic_start(no_gic.vm);
	EXPECT(irqfd(&no_gic, fd, 5, 0, 0) == -EAGAIN, "and with one that is not set up");
}

/* ---- what is refused ---- */

TEST(signal_errors)
{
	struct kvm_msi good = { .address_lo = (uint32_t)DOORBELL, .flags = KVM_MSI_VALID_DEVID, .devid = 1 }, bad;
	struct vm *vm = vm_create();
	struct machine *m;

	EXPECT(ioctl_try(vm->sys, KVM_CHECK_EXTENSION, (void *)KVM_CAP_SIGNAL_MSI) == 1, "KVM_CAP_SIGNAL_MSI");
	EXPECT(ioctl_try(vm->sys, KVM_CHECK_EXTENSION, (void *)KVM_CAP_MSI_DEVID) == -EINVAL, "KVM_CAP_MSI_DEVID of /dev/kvm");
	EXPECT(ioctl_try(vm->fd, KVM_CHECK_EXTENSION, (void *)KVM_CAP_MSI_DEVID) == 0, "of a VM without an ITS");
	EXPECT(ioctl_try(vm->sys, KVM_CHECK_EXTENSION, (void *)KVM_CAP_IRQ_ROUTING) == 4096, "KVM_CAP_IRQ_ROUTING");
	EXPECT(ioctl_try(vm->sys, KVM_CHECK_EXTENSION, (void *)KVM_CAP_IRQFD) == 1, "KVM_CAP_IRQFD");
	EXPECT(ioctl_try(vm->sys, KVM_CHECK_EXTENSION, (void *)KVM_CAP_IRQFD_RESAMPLE) == 1, "KVM_CAP_IRQFD_RESAMPLE");
	EXPECT(ioctl_try(vm->fd, KVM_SIGNAL_MSI, &good) == -EINVAL, "no GIC");
	vcpu_create(vm, 0, 0);
	gic_start(vm);
	EXPECT(ioctl_try(vm->fd, KVM_SIGNAL_MSI, &good) == -ENODEV, "no ITS");
	EXPECT(ioctl_try(vm->fd, KVM_SIGNAL_MSI, NULL) == -EFAULT, "no pointer");
	m = machine(1);
	EXPECT(ioctl_try(m->vm->fd, KVM_CHECK_EXTENSION, (void *)KVM_CAP_MSI_DEVID) == 1, "KVM_CAP_MSI_DEVID of one with it");
	bad = good, bad.flags = 0;
	EXPECT(ioctl_try(m->vm->fd, KVM_SIGNAL_MSI, &bad) == -EINVAL, "no device");
	bad = good, bad.flags = 3;
	EXPECT(ioctl_try(m->vm->fd, KVM_SIGNAL_MSI, &bad) == -EINVAL, "flag 2");
	bad = good, bad.address_lo = (uint32_t)GICD;
	EXPECT(ioctl_try(m->vm->fd, KVM_SIGNAL_MSI, &bad) == -EINVAL, "the distributor's address");
	bad = good, bad.address_hi = 1;
	EXPECT(ioctl_try(m->vm->fd, KVM_SIGNAL_MSI, &bad) == -EINVAL, "nobody's address");
	bad = good, bad.address_lo = (uint32_t)ITS;
	EXPECT(ioctl_try(m->vm->fd, KVM_SIGNAL_MSI, &bad) == 1, "any address of the ITS");
}

TEST(attributes)
{
	uint64_t base = ITS + 0x1000, value = 0;
	struct vm *vm = vm_create();
	int its;

	vcpu_create(vm, 0, 0);
	gic_start(vm);
	its = device(vm, KVM_DEV_TYPE_ARM_VGIC_ITS);
	REQUIRE(its >= 0, "an ITS");
	REQUIRE(!SET(vm->gic, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL), "CTRL_INIT");
	EXPECT(GET(its, ITS_REGS, GITS_CTLR, &value) == -ENXIO, "registers without an address");
	EXPECT(GET(its, ADDR, KVM_VGIC_ITS_ADDR_TYPE, &value) == 0 && value == ~0ull, "no address");
	EXPECT(SET(its, ADDR, 0, &base) == -ENODEV, "another address");
	EXPECT(SET(its, ADDR, KVM_VGIC_ITS_ADDR_TYPE, NULL) == -EFAULT, "no pointer");
	EXPECT(SET(its, ADDR, KVM_VGIC_ITS_ADDR_TYPE, &base) == -EINVAL, "a crooked one");
	base = 1ull << 50;
	EXPECT(SET(its, ADDR, KVM_VGIC_ITS_ADDR_TYPE, &base) == -E2BIG, "a high one");
	base = ITS;
	EXPECT(SET(its, ADDR, KVM_VGIC_ITS_ADDR_TYPE, &base) == 0, "a good one");
	EXPECT(SET(its, ADDR, KVM_VGIC_ITS_ADDR_TYPE, &base) == -EEXIST, "twice");
	EXPECT(GET(its, ADDR, KVM_VGIC_ITS_ADDR_TYPE, &value) == 0 && value == ITS, "read back");
	EXPECT(HAS(its, ADDR, KVM_VGIC_ITS_ADDR_TYPE) == 0 && HAS(its, ADDR, 0) == -ENXIO, "addresses that are there");
	EXPECT(HAS(its, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT) == 0 && HAS(its, CTRL, KVM_DEV_ARM_ITS_CTRL_RESET) == 0 &&
	       HAS(its, CTRL, KVM_DEV_ARM_ITS_SAVE_TABLES) == 0 && HAS(its, CTRL, KVM_DEV_ARM_ITS_RESTORE_TABLES) == 0, "controls");
	EXPECT(HAS(its, CTRL, 77) == -ENXIO, "control 77");
	EXPECT(HAS(vm->gic, CTRL, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES) == 0, "pending tables");
	EXPECT(GET(its, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, &value) == -ENXIO, "a control is not read");
	EXPECT(device_attr(its, KVM_SET_DEVICE_ATTR, 99, 0, &value) == -ENXIO, "group 99");
	EXPECT(HAS(its, ITS_REGS, GITS_BASER + 4) == -EINVAL && HAS(its, ITS_REGS, 2) == -EINVAL, "halves");
	EXPECT(HAS(its, ITS_REGS, 0x200) == -ENXIO && HAS(its, ITS_REGS, GITS_BASER + 56) == 0, "registers");
	EXPECT(GET(its, ITS_REGS, 0x200, &value) == -ENXIO && GET(its, ITS_REGS, GITS_BASER + 4, &value) == -EINVAL, "likewise read");
	EXPECT(SET(its, ITS_REGS, GITS_CTLR, NULL) == -EFAULT, "no pointer");
	EXPECT(!GET(its, ITS_REGS, GITS_TYPER, &value) && (value & 0x3fff1) == (1 | 0xf << 13 | 0xf << 8 | 7 << 4), "GITS_TYPER: %llx",
	       (unsigned long long)value);
	EXPECT(!GET(its, ITS_REGS, GITS_IIDR, &value) && value == 0x4b00043b, "GITS_IIDR: %llx", (unsigned long long)value);
	value = 1 << 12;
	EXPECT(SET(its, ITS_REGS, GITS_IIDR, &value) == -EINVAL, "another table format");
	value = 0x4b00043b;
	EXPECT(SET(its, ITS_REGS, GITS_IIDR, &value) == 0, "this one");
	EXPECT(!GET(its, ITS_REGS, GITS_BASER, &value) && value == 0x1907000000000600, "GITS_BASER0: %llx", (unsigned long long)value);
	EXPECT(!GET(its, ITS_REGS, GITS_BASER + 8, &value) && value == 0x1c07000000000600, "GITS_BASER1: %llx", (unsigned long long)value);
	value = ~0ull;
	EXPECT(!SET(its, ITS_REGS, GITS_BASER + 16, &value) && !GET(its, ITS_REGS, GITS_BASER + 16, &value) && !value, "GITS_BASER2");
	value = 1;
	EXPECT(!SET(its, ITS_REGS, GITS_CTLR, &value) && !GET(its, ITS_REGS, GITS_CTLR, &value) && value == 0x80000000, "GITS_CTLR: %llx",
	       (unsigned long long)value);
	value = ~0ull;
	EXPECT(!SET(its, ITS_REGS, GITS_CBASER, &value) && !GET(its, ITS_REGS, GITS_CBASER, &value) && value == 0xff1fffffffff0fffull,
	       "GITS_CBASER: %llx", (unsigned long long)value);
	value = VALID | QUEUE;
	EXPECT(!SET(its, ITS_REGS, GITS_CBASER, &value), "GITS_CBASER");
	value = 0x1000;
	EXPECT(SET(its, ITS_REGS, GITS_CREADR, &value) == -EINVAL, "GITS_CREADR behind the queue");
	value = 0x20;
	EXPECT(SET(its, ITS_REGS, GITS_CREADR, &value) == 0, "in it");
	EXPECT(!GET(its, ITS_REGS, GITS_CTLR, &value) && !value, "not quiescent");
	EXPECT(SET(its, CTRL, 77, NULL) == 0, "a control that is none does nothing");
	EXPECT(SET(its, CTRL, KVM_DEV_ARM_ITS_CTRL_RESET, NULL) == 0, "reset");
	EXPECT(!GET(its, ITS_REGS, GITS_CREADR, &value) && !value, "GITS_CREADR: %llx", (unsigned long long)value);
}

TEST(enabled)
{
	struct machine *m = machine(1);
	uint64_t value = 0x20;

	EXPECT(SET(m->its, ITS_REGS, GITS_CREADR, &value) == -EBUSY, "GITS_CREADR");
	its_set(m, GITS_CBASER, 0);
	its_set(m, GITS_BASER, 0);
	EXPECT(its_get(m, GITS_CBASER) & its_get(m, GITS_BASER) & VALID, "queue and tables stay");
	its_set(m, GITS_CWRITER, QUEUE_BYTES);
	EXPECT(its_get(m, GITS_CWRITER) == m->cwriter, "GITS_CWRITER behind the queue");
	its_set(m, GITS_CTLR, 0);
	its_set(m, GITS_BASER, DEVICES);
	its_set(m, GITS_BASER, VALID | DEVICES);
	its_set(m, GITS_CTLR, 1);
	EXPECT(msi(m, 1, 0) == 0, "the devices went with their table");
}

TEST(map_errors)
{
	struct machine *m = machine_waiting();
	uint32_t i;

	command(m, MAPD | 0x2000ull << 32, 4, VALID | ITT, 0);
	command(m, MAPD | 2ull << 32, 16, VALID | ITT, 0);
	command(m, MAPD | 4ull << 32, 4, VALID | 0x10000000, 0);
	command(m, MAPD | 5ull << 32, 4, VALID | (ITT + 0x1000), 0);
	mapti(m, 0x2000, 0, LPI + 100, 0);
	mapti(m, 2, 0, LPI + 100, 0);
	mapti(m, 4, 0, LPI + 100, 0);
	mapti(m, 5, 32, LPI + 100, 0);
	mapti(m, 5, 0, LPI - 1, 0);
	mapti(m, 5, 1, 0x10000, 0);
	mapti(m, 5, 2, LPI + 100, 0x2000);
	mapc(m, 9, 1);
	mapti(m, 5, 3, LPI + 100, 9);
	for (i = 0; i < 33; i++)
		EXPECT(msi(m, 5, i) == 0, "event %u", i);
	EXPECT(msi(m, 0x2000, 0) == 0 && msi(m, 2, 0) == 0 && msi(m, 4, 0) == 0, "devices");
	mapti(m, 5, 0, LPI + 101, 0);
	EXPECT(msi(m, 5, 0) == 1 && next(m) == LPI + 101, "a good one");
}

/* ---- the guest's own accesses ---- */

GUEST(registers, BASE "mov x0, #0\n" GIC_ON "ldr w1, [x10, #4]\nstr x1, [x19]\n"
      "mov x2, #0x080a0000\nldr x1, [x2, #8]\nstr x1, [x19]\nldr w1, [x2]\nstr x1, [x19]\n"
      "mov x1, #-1\nstr x1, [x2, #0x70]\nldr x1, [x2, #0x70]\nstr x1, [x19]\nldr w1, [x2, #0x74]\nstr x1, [x19]\n"
      "mov x1, #-1\nstr x1, [x2, #0x78]\nldr x1, [x2, #0x78]\nstr x1, [x19]\nldr w1, [x2, #0xc0]\nstr x1, [x19]\n"
      "mov x3, #0x08080000\nldr x1, [x3, #8]\nstr x1, [x19]\nldr w1, [x3, #8]\nstr x1, [x19]\nldrb w1, [x3, #8]\nstr x1, [x19]\n"
      "add x4, x3, #0x10000\nldr w1, [x4, #0x40]\nstr x1, [x19]\n");
TEST(registers)
{
	struct machine *m = machine_bare(1);
	struct vcpu *v = m->vcpu[0];

	LOAD(m->vm, GUEST_CODE, registers);
	EXPECT((expect_store(v, MMIO_BASE, 8) & 0xfa0000) == (15 << 19 | 1 << 17), "GICD_TYPER: 16 bits, LPIs");
	EXPECT((expect_store(v, MMIO_BASE, 8) & 0x11) == 0x11, "GICR_TYPER: PLPIS, Last");
	EXPECT(expect_store(v, MMIO_BASE, 8) == 6, "GICR_CTLR: CES, IR");
	EXPECT(expect_store(v, MMIO_BASE, 8) == 0x000fffffffffff9full, "GICR_PROPBASER");
	EXPECT(expect_store(v, MMIO_BASE, 8) == 0x000fffff, "its upper half");
	EXPECT(expect_store(v, MMIO_BASE, 8) == 0x000fffffffff0f80ull, "GICR_PENDBASER");
	EXPECT(expect_store(v, MMIO_BASE, 8) == 0, "GICR_SYNCR");
	EXPECT(expect_store(v, MMIO_BASE, 8) == (1 | 7 << 4 | 15 << 8 | 15 << 13), "GITS_TYPER");
	EXPECT(expect_store(v, MMIO_BASE, 8) == (1 | 7 << 4 | 15 << 8 | 15 << 13), "its lower half");
	EXPECT(expect_store(v, MMIO_BASE, 8) == 0, "a byte of it");
	EXPECT(expect_store(v, MMIO_BASE, 8) == 0, "GITS_TRANSLATER");
}

/* Sets up everything by itself, and takes what the queue's last command raises. x9: where the queue ends. */
GUEST(sets_up, BASE "mov x0, #0\n" GIC_ON
      "mov x2, #0x080a0000\nmov x1, #0x40000\norr x1, x1, #15\nstr x1, [x2, #0x70]\nmov x1, #0x50000\nstr x1, [x2, #0x78]\nmov w1, #1\nstr w1, [x2]\n"
      "mov x3, #0x08080000\nmov x4, #0x8000000000000000\n"
      "orr x1, x4, #0x10000\norr x1, x1, #15\nstr x1, [x3, #0x80]\norr x1, x4, #0x20000\nstr x1, [x3, #0x100]\n"
      "mov x1, #0x30000\norr x1, x1, x4\nstr x1, [x3, #0x108]\nmov w1, #1\nstr w1, [x3]\n"
      "ldr x9, [x19, #0x40]\nmsr daifclr, #2\nisb\nstr x9, [x3, #0x88]\n2: ldr x1, [x3, #0x90]\ncmp x1, x9\nb.ne 2b\n"
      "1: str x1, [x19, #8]\nb 1b\n");
static struct machine *machine_sets_up(void)
{
	struct machine *m = machine_bare(1);

	LOAD(m->vm, GUEST_CODE, sets_up);
	memset(m->vm->memory + PROPERTIES, 0xa1, 0xe000);
	put(m, MAPC, 0, VALID, 0);
	put(m, MAPD | 1ull << 32, 12, VALID | ITT, 0);
	return m;
}

TEST(guest_sets_up)
{
	struct machine *m = machine_sets_up();

	put(m, MAPTI | 1ull << 32, 5 | (uint64_t)(LPI + 9) << 32, 0, 0);
	put(m, SYNC, 0, 0, 0);
	put(m, INT | 1ull << 32, 5, 0, 0);
	expect_load(m->vcpu[0], MMIO_BASE + 0x40, 8, m->cwriter);
	EXPECT(next(m) == LPI + 9, "INT");
	EXPECT(msi(m, 1, 5) == 1 && next(m) == LPI + 9, "a message");
}

/* GICR_INVLPIR and GICR_INVALLR take configurations without an ITS's help. */
TEST(redistributor_invalidates)
{
	struct machine *m = machine_waiting();

	property(m, LPI, 0xa0);
	redist_set(m, 0, 0xa0, LPI);
	EXPECT(msi(m, 1, 0) == 1 && !next(m), "GICR_INVLPIR");
	property(m, LPI, 0xa1);
	redist_set(m, 0, 0xb0, 0);
	EXPECT(next(m) == LPI, "GICR_INVALLR");
}

/* ---- hostile queues ---- */

static uint64_t state;
static uint64_t random64(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void random_commands(struct machine *m, uint64_t seed)
{
	uint64_t word[4];
	uint32_t n;

	state = seed;
	while (m->cwriter != QUEUE_BYTES - 32) {
		for (n = 0; n < 4; n++)
			word[n] = random64();
		if (random64() % 8) {
			word[0] = random64() % 18 | random64() % 6 << 32;
			word[1] = random64() % 40 | (8192 + random64() % 60) << 32;
			word[2] = (random64() & VALID) | random64() % 5 | random64() % 3 << 16;
			if ((word[0] & 0xff) == MAPD)
				word[2] = (word[2] & VALID) | (random64() % 0x240000 & ~0xffull);
			word[3] = random64() % 3 << 16;
		}
		put(m, word[0], word[1], word[2], word[3]);
	}
}

/* The guest comes out of it, and has an ITS that works. */
TEST(random_queues)
{
	struct machine *m;
	uint32_t i, n;

	for (i = 1; i <= 4; i++) {
		m = machine_sets_up();
		random_commands(m, 0x9e3779b97f4a7c15ull * i);
		expect_load(m->vcpu[0], MMIO_BASE + 0x40, 8, m->cwriter);
		for (n = 0; n < 300 && next(m); n++)
			;
		EXPECT(n < 300, "the guest goes on");
		memset(m->vm->memory + PROPERTIES, 0xa1, 0xe000);
		mapc(m, 3, 0);
		command(m, MAPD | 2ull << 32, 4, VALID | ITT, 0);
		mapti(m, 2, 0, LPI + 200, 3);
		EXPECT(msi(m, 2, 0) == 1 && next(m) == LPI + 200, "a message");
	}
}

/* A queue of commands that each look at all LPIs; one that lies nowhere. */
TEST(long_queues)
{
	struct machine *m = machine_sets_up();
	uint32_t i;

	for (i = 0; i < 100; i++)
		put(m, MAPTI | 1ull << 32, i | (uint64_t)(LPI + i) << 32, 0, 0);
	while (m->cwriter != QUEUE_BYTES - 32)
		put(m, INVALL, 0, 0, 0);
	expect_load(m->vcpu[0], MMIO_BASE + 0x40, 8, m->cwriter);
	EXPECT(!next(m), "the guest goes on");
	EXPECT(msi(m, 1, 99) == 1 && next(m) == LPI + 99, "a message");
	its_set(m, GITS_CTLR, 0);
	its_set(m, GITS_CBASER, VALID | 0x10000000 | 0xff);
	its_set(m, GITS_CTLR, 1);
	its_set(m, GITS_CWRITER, 0xfffe0);
	EXPECT(its_get(m, GITS_CREADR) == 0xfffe0, "no memory, no commands");
	EXPECT(msi(m, 1, 99) == 1 && next(m) == LPI + 99, "a message");
}

/* ---- save and restore ---- */

/* Into a machine of its own, with the memory and the registers of this one. */
static struct machine *moved(struct machine *m)
{
	static const uint32_t regs[] = { GITS_CBASER, GITS_CREADR, GITS_CWRITER, GITS_BASER, GITS_BASER + 8 };
	struct machine *to = machine_bare(1);
	uint32_t i, on = 2;

	EXPECT(!SET(m->its, CTRL, KVM_DEV_ARM_ITS_SAVE_TABLES, NULL), "SAVE_TABLES");
	EXPECT(!SET(m->vm->gic, CTRL, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, NULL), "SAVE_PENDING_TABLES");
	memcpy(to->vm->memory, m->vm->memory, GUEST_MEMORY);
	LOAD(to->vm, GUEST_CODE, wait);
	EXPECT(!SET(to->vm->gic, DIST_REGS, 0x0, &on), "GICD_CTLR");
	lpis_on(to, 0);
	for (i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
		its_set(to, regs[i], its_get(m, regs[i]));
	EXPECT(!SET(to->its, CTRL, KVM_DEV_ARM_ITS_RESTORE_TABLES, NULL), "RESTORE_TABLES");
	its_set(to, GITS_CTLR, its_get(m, GITS_CTLR));
	to->cwriter = m->cwriter;
	return to;
}

TEST(save_and_restore)
{
	struct machine *m = machine_waiting(), *to;
	uint64_t word;

	command(m, MAPD | 700ull << 32, 3, VALID | (ITT + 0x1000), 0);
	mapti(m, 700, 15, LPI + 333, 0);
	property(m, LPI + 3, 0xa0);
	on_event(m, INV, 1, 3, 0);
	EXPECT(msi(m, 1, 3) == 1 && !next(m), "pending, and disabled");
	property(m, LPI + 3, 0xa1);
	to = moved(m);
	memcpy(&word, to->vm->memory + DEVICES + 8, sizeof(word));
	EXPECT(word == (VALID | 699ull << 49 | ITT >> 8 << 5 | 4), "the table's entry: %llx", (unsigned long long)word);
	memcpy(&word, to->vm->memory + ITT + 0x1000 + 15 * 8, sizeof(word));
	EXPECT(word == (uint64_t)(LPI + 333) << 16, "an event's: %llx", (unsigned long long)word);
	EXPECT(m->vm->memory[PENDING + (LPI + 3) / 8] == 1u << 3, "the pending table");
	expect_store(to->vcpu[0], MMIO_BASE, 8);
	EXPECT(next(to) == LPI + 3, "what was pending");
	EXPECT(!next(to), "once");
	EXPECT(msi(to, 1, 31) == 1 && next(to) == LPI + 31, "a message");
	EXPECT(msi(to, 700, 15) == 1 && next(to) == LPI + 333, "another device's");
	EXPECT(msi(to, 700, 14) == 0, "one that is not mapped");
	mapti(to, 700, 14, LPI + 40, 0);
	EXPECT(msi(to, 700, 14) == 1 && next(to) == LPI + 40, "commands go on");
	EXPECT(SET(to->its, CTRL, KVM_DEV_ARM_ITS_RESTORE_TABLES, NULL) == -EEXIST, "a second time");
}

TEST(restore_errors)
{
	struct machine *m = machine(1);
	uint64_t word = VALID | 9 << 16;

	EXPECT(!SET(m->its, CTRL, KVM_DEV_ARM_ITS_SAVE_TABLES, NULL), "SAVE_TABLES");
	EXPECT(!SET(m->its, CTRL, KVM_DEV_ARM_ITS_CTRL_RESET, NULL), "RESET");
	EXPECT(msi(m, 1, 0) == -EBUSY, "off");
	EXPECT(!SET(m->its, CTRL, KVM_DEV_ARM_ITS_RESTORE_TABLES, NULL), "tables that are not valid");
	its_on(m, 1);
	EXPECT(msi(m, 1, 0) == 0, "hold nothing");
	memcpy(m->vm->memory + COLLECTIONS, &word, sizeof(word));
	EXPECT(SET(m->its, CTRL, KVM_DEV_ARM_ITS_RESTORE_TABLES, NULL) == -EINVAL, "a collection of no vCPU");
	word = VALID | 4;
	memcpy(m->vm->memory + COLLECTIONS, &word, sizeof(word));
	EXPECT(SET(m->its, CTRL, KVM_DEV_ARM_ITS_RESTORE_TABLES, NULL) == -EINVAL, "events of no collection");
	word = VALID;
	memcpy(m->vm->memory + COLLECTIONS, &word, sizeof(word));
	EXPECT(!SET(m->its, CTRL, KVM_DEV_ARM_ITS_RESTORE_TABLES, NULL), "good ones");
	EXPECT(msi(m, 1, 0) == 1, "a message");
}

/* A second ITS has its own devices, and the same LPIs. */
TEST(two)
{
	struct machine *m = machine_waiting(), b = { .vm = m->vm };
	struct kvm_msi msi = { .address_lo = 0x09000040, .data = 3, .flags = KVM_MSI_VALID_DEVID, .devid = 1 };
	uint64_t base = 0x09000000;

	b.its = device(m->vm, KVM_DEV_TYPE_ARM_VGIC_ITS);
	REQUIRE(b.its >= 0, "a second ITS");
	EXPECT(!SET(b.its, ADDR, KVM_VGIC_ITS_ADDR_TYPE, &base), "its address");
	memset(m->vm->memory + QUEUE, 0, QUEUE_BYTES);
	redist_set(m, 0, 0x0, 0);
	its_on(&b, 1);
	mapc(&b, 0, 0);
	command(&b, MAPD | 1ull << 32, 4, VALID | (ITT + 0x2000), 0);
	mapti(&b, 1, 3, LPI + 70, 0);
	EXPECT(ioctl_try(m->vm->fd, KVM_SIGNAL_MSI, &msi) == 1 && next(m) == LPI + 70, "a message to it");
}

int main(int argc, char **argv)
{
	return test_main("arm64-its", argc, argv);
}
