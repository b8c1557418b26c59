/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gic.c - guests with an in-kernel GICv3 on arm64: the timer's interrupt, SGIs,
 * PPIs and SPIs, edges and levels, more interrupts than list registers, priorities,
 * and the device's attributes with their errors.
 * Called by: hand or the test table, in a Linux with /dev/kvm.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include "vmm.h"

#define GICD 0x08000000ull
#define GICR 0x080a0000ull
#define SPIS 32

#define BASE "mov x19, #0x10000000\n"
/* x10: distributor; x11: this vCPU's SGI frame, whose number is in x0. All interrupts on, group 1. */
#define GIC_ON										\
	"mov x10, #0x08000000\nmov w1, #2\nstr w1, [x10]\n"				\
	"mov x11, #0x080b0000\nadd x11, x11, x0, lsl #17\nmov w1, #-1\n"		\
	"str w1, [x11, #0x80]\nstr w1, [x11, #0x100]\nstr w1, [x10, #0x84]\nstr w1, [x10, #0x104]\n"	\
	"mov x1, #0xf0\nmsr icc_pmr_el1, x1\nmov x1, #1\nmsr icc_igrpen1_el1, x1\n"	\
	"mov x1, #0x2000\nmsr vbar_el1, x1\nisb\n"
/* Handlers use x27 and x28. */
#define ACK "mrs x28, icc_iar1_el1\n"
#define EOI "msr icc_eoir1_el1, x28\nisb\n"

static int gic_create(struct vm *vm)
{
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
	int rc = ioctl_try(vm->fd, KVM_CREATE_DEVICE, &device);

	if (rc == -ENODEV)
		test_skip("no VGICv3 here");
	REQUIRE(!rc, "KVM_CREATE_DEVICE: %s", strerror(-rc));
	vm->gic = (int)device.fd;
	return vm->gic;
}

static int gic_start(struct vm *vm)
{
	uint64_t dist = GICD, redist = GICR;
	uint32_t count = 32 + SPIS;
	int fd = gic_create(vm);

	REQUIRE(!SET(fd, NR_IRQS, 0, &count), "NR_IRQS");
	REQUIRE(!SET(fd, ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &dist), "the distributor's address");
	REQUIRE(!SET(fd, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &redist), "the redistributors' address");
	REQUIRE(!SET(fd, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL), "CTRL_INIT");
	return fd;
}

static struct vcpu *guest(const uint8_t *code, const uint8_t *end, const uint8_t *vectors, const uint8_t *vectors_end)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu;

	vm_load(vm, GUEST_CODE, code, (size_t)(end - code));
	vm_load(vm, GUEST_VECTORS, vectors, (size_t)(vectors_end - vectors));
	vcpu = vcpu_create(vm, 0, 0);
	gic_start(vm);
	return vcpu;
}
#define START(id, vectors) guest(code_##id, code_##id##_end, code_##vectors, code_##vectors##_end)

static void irq(struct vm *vm, uint32_t type, uint32_t number, int level)
{
	struct kvm_irq_level line = { .level = (uint32_t)level };

	line.irq = type << KVM_ARM_IRQ_TYPE_SHIFT | number;
	REQUIRE(!ioctl_try(vm->fd, KVM_IRQ_LINE, &line), "KVM_IRQ_LINE of %u", number);
}
#define SPI KVM_ARM_IRQ_TYPE_SPI
#define PPI KVM_ARM_IRQ_TYPE_PPI

/*
 * The timer, in three manners of its handler: it switches the timer off, sets it
 * anew, or leaves it be until the last one. x20 counts; five, then x21 = 1.
 */
#define HANDLER(id, action)									\
	GUEST(id, ".org code_" #id " + 0x280\n" ACK "cmp x28, #27\nb.ne 9f\nadd x20, x20, #1\n" action	\
	      "cmp x20, #5\nb.ne 1f\nmsr cntv_ctl_el0, xzr\nisb\nmov x21, #1\n1: " EOI "eret\n"	\
	      "9: str x28, [x19, #0xff0]\neret\n")
HANDLER(timer_off, "msr cntv_ctl_el0, xzr\nisb\n");
HANDLER(timer_next, "mov x27, #2000\nmsr cntv_tval_el0, x27\nisb\n");
HANDLER(timer_level, "");

/* Masked, so that the last interrupt is not overlooked. */
#define TIMER_AGAIN "msr daifset, #2\ncbnz x21, 3f\n" TIMER_ON "msr daifclr, #2\n"
#define TIMER_ON "mov x1, #2000\nmsr cntv_tval_el0, x1\nmov x1, #1\nmsr cntv_ctl_el0, x1\nisb\n"
/* Sleeps between interrupts; they are masked up to the WFI, which wakes all the same. */
GUEST(timer_wfi, BASE "mov x0, #0\n" GIC_ON "mov x20, #0\nmov x21, #0\n"
      "1: " TIMER_ON "2: wfi\nmsr daifclr, #2\nisb\nmsr daifset, #2\ncbnz x21, 3f\n"
      "mrs x1, cntv_ctl_el0\ncbnz x1, 2b\nb 1b\n3: str x20, [x19]\n");
/* Never leaves by itself. */
GUEST(timer_spin, BASE "mov x0, #0\n" GIC_ON "mov x20, #0\nmov x21, #0\n"
      "1: " TIMER_AGAIN "2: cbnz x21, 3f\nmrs x1, cntv_ctl_el0\ncbnz x1, 2b\nb 1b\n3: str x20, [x19]\n");
/* Touches the VMM all the time, so that list registers go back and forth. */
GUEST(timer_busy, BASE "mov x0, #0\n" GIC_ON "mov x20, #0\nmov x21, #0\n"
      "1: " TIMER_AGAIN "2: cbnz x21, 3f\nstr x20, [x19, #8]\nmrs x1, cntv_ctl_el0\ncbnz x1, 2b\nb 1b\n3: str x20, [x19]\n");

#define TIMER_TEST(name)								\
	TEST(name##_off) { EXPECT(expect_store(START(name, timer_off), MMIO_BASE, 8) == 5, "five"); }	\
	TEST(name##_next) { EXPECT(expect_store(START(name, timer_next), MMIO_BASE, 8) == 5, "five"); }	\
	TEST(name##_level) { EXPECT(expect_store(START(name, timer_level), MMIO_BASE, 8) == 5, "five"); }
TIMER_TEST(timer_wfi)
TIMER_TEST(timer_spin)

static void timer_busy(struct vcpu *vcpu)
{
	unsigned int i;

	for (i = 0; i < 2000000; i++) {
		run_until(vcpu, KVM_EXIT_MMIO);
		if (vcpu->run->mmio.phys_addr == MMIO_BASE)
			break;
		REQUIRE(vcpu->run->mmio.phys_addr == MMIO_BASE + 8, "exit at %llx", (unsigned long long)vcpu->run->mmio.phys_addr);
	}
	EXPECT(vcpu->run->mmio.data[0] == 5, "five: %u", vcpu->run->mmio.data[0]);
}
TEST(timer_busy_off) { timer_busy(START(timer_busy, timer_off)); }
TEST(timer_busy_next) { timer_busy(START(timer_busy, timer_next)); }
TEST(timer_busy_level) { timer_busy(START(timer_busy, timer_level)); }

/* Two vCPUs with timers at once, each on its own thread. */
GUEST(timer_two, BASE "mrs x0, mpidr_el1\nand x0, x0, #0xf\n" GIC_ON "mov x20, #0\nmov x21, #0\n"
      "1: " TIMER_AGAIN "2: cbnz x21, 3f\nmrs x1, cntv_ctl_el0\ncbnz x1, 2b\nb 1b\n3: str x20, [x19]\n");
static void *timer_thread(void *arg)
{
	EXPECT(expect_store(arg, MMIO_BASE, 8) == 5, "five");
	return NULL;
}
TEST(timer_two)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu[2] = { vcpu_create(vm, 0, 0), vcpu_create(vm, 1, 0) };
	pthread_t thread;

	gic_start(vm);
	LOAD(vm, GUEST_CODE, timer_two);
	LOAD(vm, GUEST_VECTORS, timer_next);
	REQUIRE(!pthread_create(&thread, NULL, timer_thread, vcpu[1]), "pthread_create");
	timer_thread(vcpu[0]);
	pthread_join(thread, NULL);
}

/* Reports each interrupt at 0x10 before its end. */
GUEST(report, ".org code_report + 0x280\n" ACK "str x28, [x19, #0x10]\n" EOI "eret\n");
/* Masked while they are raised, then opened. SPIs are edges at reset, with KVM. */
GUEST(wait, BASE "mov x0, #0\n" GIC_ON "str wzr, [x10, #0xc08]\nstr x1, [x19]\nmsr daifclr, #2\nisb\n1: str x1, [x19, #8]\nb 1b\n");

/* The next one that is reported; the guest may get a few instructions in before a level comes again. */
static uint32_t interrupt(struct vcpu *vcpu)
{
	uint32_t id, i;

	for (i = 0; i < 1000; i++) {
		run_until(vcpu, KVM_EXIT_MMIO);
		if (vcpu->run->mmio.phys_addr != MMIO_BASE + 8)
			break;
	}
	REQUIRE(vcpu->run->mmio.phys_addr == MMIO_BASE + 0x10, "exit at %llx", (unsigned long long)vcpu->run->mmio.phys_addr);
	memcpy(&id, vcpu->run->mmio.data, sizeof(id));
	return id;
}

TEST(spi_level)
{
	struct vcpu *vcpu = START(wait, report);
	int i;

	expect_store(vcpu, MMIO_BASE, 8);
	irq(vcpu->vm, SPI, 40, 1);
	for (i = 0; i < 3; i++)
		EXPECT(interrupt(vcpu) == 40, "a level that stays: %d", i);
	irq(vcpu->vm, SPI, 40, 0);
	expect_store(vcpu, MMIO_BASE + 8, 8);
	expect_store(vcpu, MMIO_BASE + 8, 8);
}

TEST(ppi)
{
	struct vcpu *vcpu = START(wait, report);

	expect_store(vcpu, MMIO_BASE, 8);
	irq(vcpu->vm, PPI, 20, 1);
	EXPECT(interrupt(vcpu) == 20, "a PPI");
	irq(vcpu->vm, PPI, 20, 0);
	expect_store(vcpu, MMIO_BASE + 8, 8);
}

/* SPI 41 as an edge: one interrupt for each, none for a level that stays. */
GUEST(edge, BASE "mov x0, #0\n" GIC_ON "mov w1, #0x80000\nstr w1, [x10, #0xc08]\nldr w1, [x10, #0xc08]\nstr x1, [x19]\n"
      "msr daifclr, #2\nisb\n1: str x1, [x19, #8]\nb 1b\n");
TEST(spi_edge)
{
	struct vcpu *vcpu = START(edge, report);

	EXPECT(expect_store(vcpu, MMIO_BASE, 8) == 0x80000, "GICD_ICFGR2");
	irq(vcpu->vm, SPI, 41, 1);
	EXPECT(interrupt(vcpu) == 41, "an edge");
	expect_store(vcpu, MMIO_BASE + 8, 8);
	irq(vcpu->vm, SPI, 41, 0);
	irq(vcpu->vm, SPI, 41, 1);
	EXPECT(interrupt(vcpu) == 41, "the next");
	expect_store(vcpu, MMIO_BASE + 8, 8);
	irq(vcpu->vm, SPI, 41, 1);
	EXPECT(interrupt(vcpu) == 41, "each report of a high level is an edge");
	expect_store(vcpu, MMIO_BASE + 8, 8);
}

/* Twelve edges at once, more than list registers; 44 has the best priority, then 43, and so on down. */
GUEST(many, BASE "mov x0, #0\n" GIC_ON "mov w1, #0xaaaaaaaa\nstr w1, [x10, #0xc08]\n"
      "mov w2, #0x10\nadd x3, x10, #0x42c\n1: strb w2, [x3]\nsub x3, x3, #1\nadd w2, w2, #8\ncmp w2, #0x70\nb.ne 1b\n"
      "str x1, [x19]\nmsr daifclr, #2\nisb\n1: str x1, [x19, #8]\nb 1b\n");
TEST(many)
{
	struct vcpu *vcpu = START(many, report);
	uint32_t i;

	expect_store(vcpu, MMIO_BASE, 8);
	for (i = 33; i <= 44; i++) {
		irq(vcpu->vm, SPI, i, 1);
		irq(vcpu->vm, SPI, i, 0);
	}
	for (i = 44; i >= 33; i--)
		EXPECT(interrupt(vcpu) == i, "priority order at %u", i);
	expect_store(vcpu, MMIO_BASE + 8, 8);
}

/* Handlers that do not end theirs nest: four levels, then four ends. */
GUEST(nest_vectors, ".org code_nest_vectors + 0x280\n"
      "mrs x28, elr_el1\nmrs x27, spsr_el1\nstp x28, x27, [sp, #-32]!\n" ACK "str x28, [sp, #16]\nstr x28, [x19, #0x10]\n"
      "msr daifclr, #2\nisb\nmsr daifset, #2\nldr x28, [sp, #16]\nstr x28, [x19, #0x18]\n" EOI
      "ldp x28, x27, [sp], #32\nmsr elr_el1, x28\nmsr spsr_el1, x27\neret\n");
TEST(nest)
{
	struct vcpu *vcpu = START(many, nest_vectors);
	uint32_t i;

	expect_store(vcpu, MMIO_BASE, 8);
	for (i = 35; i <= 38; i++) {
		irq(vcpu->vm, SPI, i, 1);
		irq(vcpu->vm, SPI, i, 0);
		EXPECT(interrupt(vcpu) == i, "%u comes into the handler of the one before", i);
	}
	for (i = 38; i >= 35; i--)
		EXPECT(expect_store(vcpu, MMIO_BASE + 0x18, 8) == i, "the end of %u", i);
	expect_store(vcpu, MMIO_BASE + 8, 8);
}

/* SGI 5 to itself, then to all others, of which there is one. */
GUEST(sgi, BASE "mov x0, #0\n" GIC_ON "movz x1, #0x0500, lsl #16\nmovk x1, #1\nmsr icc_sgi1r_el1, x1\nisb\n"
      "msr daifclr, #2\nisb\nmov x2, #1\nlsl x2, x2, #40\nmovz x1, #0x0600, lsl #16\norr x1, x1, x2\nmsr icc_sgi1r_el1, x1\nisb\n"
      "1: str x1, [x19, #8]\nb 1b\n");
GUEST(sgi_second, BASE "mov x0, #1\n" GIC_ON "str x1, [x19]\nmsr daifclr, #2\n1: wfi\nb 1b\n");
static uint32_t second_got;
static void *sgi_thread(void *arg)
{
	second_got = interrupt(arg);
	return NULL;
}
TEST(sgi)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu[2] = { vcpu_create(vm, 0, 0), vcpu_create(vm, 1, 0) };
	pthread_t thread;

	gic_start(vm);
	LOAD(vm, GUEST_CODE, sgi);
	LOAD(vm, GUEST_VECTORS, report);
	LOAD(vm, 0x3000, sgi_second);
	REQUIRE(!reg_try(vcpu[1], CORE(regs.pc), 0x3000), "PC");
	expect_store(vcpu[1], MMIO_BASE, 8);
	REQUIRE(!pthread_create(&thread, NULL, sgi_thread, vcpu[1]), "pthread_create");
	EXPECT(interrupt(vcpu[0]) == 5, "SGI 5 to itself");
	expect_store(vcpu[0], MMIO_BASE + 8, 8);
	pthread_join(thread, NULL);
	EXPECT(second_got == 6, "SGI 6 to the other: %u", second_got);
}

/* A route: SPI 50 goes to the second vCPU. */
GUEST(route, BASE "mov x0, #0\n" GIC_ON "mov x1, #1\nmov x2, #0x6190\nstr x1, [x10, x2]\nldr x1, [x10, x2]\nstr x1, [x19]\n1: str x1, [x19, #8]\nb 1b\n");
TEST(route)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu[2] = { vcpu_create(vm, 0, 0), vcpu_create(vm, 1, 0) };
	pthread_t thread;

	gic_start(vm);
	LOAD(vm, GUEST_CODE, route);
	LOAD(vm, GUEST_VECTORS, report);
	LOAD(vm, 0x3000, sgi_second);
	REQUIRE(!reg_try(vcpu[1], CORE(regs.pc), 0x3000), "PC");
	expect_store(vcpu[1], MMIO_BASE, 8);
	EXPECT(expect_store(vcpu[0], MMIO_BASE, 8) == 1, "GICD_IROUTER50");
	second_got = 0;
	REQUIRE(!pthread_create(&thread, NULL, sgi_thread, vcpu[1]), "pthread_create");
	irq(vm, SPI, 50, 1);
	pthread_join(thread, NULL);
	EXPECT(second_got == 50, "SPI 50 at the other: %u", second_got);
}

/* What the guest reads of its own GIC. */
GUEST(registers, BASE "mov x0, #0\n" GIC_ON "ldr w1, [x10, #4]\nstr x1, [x19]\nldr w1, [x10]\nstr x1, [x19]\n"
      "mov x2, #0x080a0000\nldr x1, [x2, #8]\nstr x1, [x19]\nadd x2, x2, #0x20000\nldr x1, [x2, #8]\nstr x1, [x19]\n"
      "mov x2, #0xffe8\nldr w1, [x10, x2]\nstr x1, [x19]\nmrs x1, icc_sre_el1\nstr x1, [x19]\nmrs x1, icc_pmr_el1\nstr x1, [x19]\n");
TEST(registers)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0, 0);

	vcpu_create(vm, 1, 0);
	gic_start(vm);
	LOAD(vm, GUEST_CODE, registers);
	EXPECT((expect_store(vcpu, MMIO_BASE, 8) & 0x1f) == 1, "GICD_TYPER.ITLinesNumber");
	EXPECT((expect_store(vcpu, MMIO_BASE, 8) & 0x52) == 0x52, "GICD_CTLR");
	EXPECT((expect_store(vcpu, MMIO_BASE, 8) & ~0x1ull) == 0, "GICR_TYPER of the first");
	EXPECT((expect_store(vcpu, MMIO_BASE, 8) & ~0x1ull) == 0x100000110, "GICR_TYPER of the last");
	EXPECT((expect_store(vcpu, MMIO_BASE, 8) & 0xf0) == 0x30, "GICD_PIDR2");
	EXPECT((expect_store(vcpu, MMIO_BASE, 8) & 1) == 1, "ICC_SRE_EL1");
	EXPECT(expect_store(vcpu, MMIO_BASE, 8) == 0xf0, "ICC_PMR_EL1");
}

/* Without a GIC the ICC registers do not exist (KVM of Linux 6.1 answers: nothing pending). */
GUEST(none, BASE "mov x1, #0x2000\nmsr vbar_el1, x1\nisb\nmrs x1, icc_iar1_el1\nsub x1, x1, #1023\nstr x1, [x19, #0x20]\n");
GUEST(undefined, ".org code_undefined + 0x200\nmrs x1, esr_el1\nlsr x1, x1, #26\nstr x1, [x19, #0x20]\n");
TEST(none)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0, 0);

	LOAD(vm, GUEST_CODE, none);
	LOAD(vm, GUEST_VECTORS, undefined);
	EXPECT(expect_store(vcpu, MMIO_BASE + 0x20, 8) == 0, "an undefined instruction");
}

/* ---- the device ---- */

TEST(set_up_errors)
{
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
	struct kvm_irq_level line = { .irq = SPI << KVM_ARM_IRQ_TYPE_SHIFT | 40, .level = 1 };
	uint64_t bad = GICD + 0x1000, high = 1ull << 50, dist = GICD, redist = GICR, got = 0;
	uint32_t count = 48;
	struct vm *vm = vm_create();
	int fd;

	EXPECT(ioctl_try(vm->fd, KVM_IRQ_LINE, &line) == -ENXIO, "an SPI without a GIC");
	fd = gic_create(vm);
	EXPECT(ioctl_try(vm->fd, KVM_CREATE_DEVICE, &device) == -EEXIST, "a second GIC");
	vcpu_create(vm, 0, 0);
	EXPECT(SET(fd, NR_IRQS, 0, &count) == -EINVAL, "48 interrupts");
	count = 1024;
	EXPECT(SET(fd, NR_IRQS, 0, &count) == -EINVAL, "1,024");
	count = 64;
	EXPECT(SET(fd, NR_IRQS, 0, &count) == 0, "64");
	EXPECT(SET(fd, NR_IRQS, 0, &count) == -EBUSY, "again");
	EXPECT(SET(fd, ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &bad) == -EINVAL, "a crooked address");
	EXPECT(SET(fd, ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &high) == -E2BIG, "a high one");
	EXPECT(SET(fd, ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &dist) == 0, "a good one");
	EXPECT(SET(fd, ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &dist) == -EEXIST, "twice");
	EXPECT(SET(fd, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &redist) == 0, "the redistributors");
	EXPECT(GET(fd, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &got) == 0 && got == redist, "read back");
	EXPECT(SET(fd, ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, NULL) == -EFAULT, "no pointer");
	EXPECT(HAS(fd, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT) == 0, "CTRL_INIT is there");
	EXPECT(HAS(fd, CTRL, 77) == -ENXIO, "77 is not");
	EXPECT(device_attr(fd, KVM_SET_DEVICE_ATTR, 99, 0, NULL) == -ENXIO, "group 99");
	EXPECT(SET(fd, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL) == 0, "CTRL_INIT");
	EXPECT(SET(fd, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL) == 0, "a second one");
	EXPECT(ioctl_try(vm->fd, KVM_CREATE_VCPU, (void *)1l) == -EBUSY, "a vCPU after it");
	EXPECT(ioctl_try(vm->fd, KVM_IRQ_LINE, &line) == 0, "an SPI");
	line.irq = SPI << KVM_ARM_IRQ_TYPE_SHIFT | 64;
	EXPECT(ioctl_try(vm->fd, KVM_IRQ_LINE, &line) == -EINVAL, "one too high");
	line.irq = SPI << KVM_ARM_IRQ_TYPE_SHIFT | 31;
	EXPECT(ioctl_try(vm->fd, KVM_IRQ_LINE, &line) == -EINVAL, "one too low");
	line.irq = PPI << KVM_ARM_IRQ_TYPE_SHIFT | 15;
	EXPECT(ioctl_try(vm->fd, KVM_IRQ_LINE, &line) == -EINVAL, "an SGI as a PPI");
	line.irq = KVM_ARM_IRQ_TYPE_CPU << KVM_ARM_IRQ_TYPE_SHIFT;
	EXPECT(ioctl_try(vm->fd, KVM_IRQ_LINE, &line) == -ENXIO, "the IRQ input");
}

/* What a VMM saves and restores. */
TEST(state)
{
	struct vcpu *vcpu = START(wait, report);
	struct vm *vm = vcpu->vm;
	uint32_t word;
	uint64_t value;
	int fd = vm->gic;

	expect_store(vcpu, MMIO_BASE, 8);
	EXPECT(!GET(fd, DIST_REGS, 0x0, &word) && (word & 2), "GICD_CTLR: %x", word);
	EXPECT(!GET(fd, DIST_REGS, 0x104, &word) && word == 0xffffffff, "GICD_ISENABLER1: %x", word);
	EXPECT(!GET(fd, REDIST_REGS, 0x10100, &word) && word == 0xffffffff, "GICR_ISENABLER0: %x", word);
	EXPECT(!GET(fd, CPU_SYSREGS, 0xc230, &value) && value == 0xf0, "ICC_PMR_EL1: %llx", (unsigned long long)value);
	EXPECT(!GET(fd, CPU_SYSREGS, 0xc667, &value) && value == 1, "ICC_IGRPEN1_EL1: %llx", (unsigned long long)value);
	word = 1 << 8;
	EXPECT(!SET(fd, LEVEL_INFO, 32, &word), "the lines from 32 on");
	EXPECT(interrupt(vcpu) == 40, "a restored line");
	word = 0;
	EXPECT(!SET(fd, LEVEL_INFO, 32, &word), "and down");
	word = 1 << 10;
	EXPECT(!SET(fd, DIST_REGS, 0x204, &word), "a latch");
	EXPECT(interrupt(vcpu) == 42, "a restored latch");
	expect_store(vcpu, MMIO_BASE + 8, 8);
	EXPECT(GET(fd, CPU_SYSREGS, 0xc23f, &value) < 0, "no such register");
	EXPECT(GET(fd, REDIST_REGS, 7ull << 32, &word) == -EINVAL, "no such vCPU");
}

int main(int argc, char **argv)
{
	return test_main("arm64-gic", argc, argv);
}
