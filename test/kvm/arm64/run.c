/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run.c - guests of a few instructions on arm64: hypercalls, MMIO, FP, the
 * timer, SError, PSCI, registers.
 * Called by: hand or the test table, in a Linux with /dev/kvm.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>
#include "vmm.h"

#define VERSION_1_0 0x10000ull
#define MINUS_1 0xffffffffffffffffull

/* x19 = MMIO_BASE in all guests. */
#define BASE "mov x19, #0x10000000\n"
#define POWER_OFF "movz w0, #8\nmovk w0, #0x8400, lsl #16\nhvc #0\n"

static struct vcpu *guest(const uint8_t *code, const uint8_t *end)
{
	struct vm *vm = vm_create();

	vm_load(vm, GUEST_CODE, code, (size_t)(end - code));
	return vcpu_create(vm, 0, 0);
}
#define START(id) guest(code_##id, code_##id##_end)

GUEST(hypercall, BASE
      "movz w0, #0x8400, lsl #16\nhvc #0\nstr x0, [x19]\n"		/* PSCI_VERSION */
      "movz w0, #0xbeef\nmovk w0, #0x8400, lsl #16\nhvc #0\nstr x0, [x19]\n"
      "movz w0, #0x8000, lsl #16\nhvc #0\nstr x0, [x19]\n"		/* SMCCC_VERSION */
      "mov x0, #5\nsmc #0\nstr x0, [x19]\n");
TEST(hypercall)
{
	struct vcpu *vcpu = START(hypercall);

	EXPECT(expect_store(vcpu, MMIO_BASE, 8) >= VERSION_1_0, "PSCI_VERSION");
	EXPECT(expect_store(vcpu, MMIO_BASE, 8) == MINUS_1, "an unknown function");
	EXPECT(expect_store(vcpu, MMIO_BASE, 8) >= VERSION_1_0, "SMCCC_VERSION");
	EXPECT(expect_store(vcpu, MMIO_BASE, 8) == MINUS_1, "SMC");
}

GUEST(store, BASE
      "ldr x1, =0x8877665544332211\n"
      "strb w1, [x19]\nstrh w1, [x19, #2]\nstr w1, [x19, #4]\nstr x1, [x19, #8]\nstr xzr, [x19]\n.ltorg");
TEST(mmio_store)
{
	struct vcpu *vcpu = START(store);

	EXPECT(expect_store(vcpu, MMIO_BASE, 1) == 0x11, "strb");
	EXPECT(expect_store(vcpu, MMIO_BASE + 2, 2) == 0x2211, "strh");
	EXPECT(expect_store(vcpu, MMIO_BASE + 4, 4) == 0x44332211, "str w");
	EXPECT(expect_store(vcpu, MMIO_BASE + 8, 8) == 0x8877665544332211, "str x");
	EXPECT(expect_store(vcpu, MMIO_BASE, 8) == 0, "str xzr");
}

/* X1 and V5 count; the thread changes CPU before each run, and before registers are read. */
GUEST(counter, BASE "mov x1, #0x300000\nmsr cpacr_el1, x1\nisb\nmov x1, #0\n1: add x1, x1, #1\nfmov d5, x1\nstr x1, [x19]\nfmov x2, d5\ncmp x2, x1\nb.eq 1b\n" POWER_OFF);
TEST(moved_between_runs)
{
	struct vcpu *vcpu = START(counter);

	for (unsigned int i = 1; i < 400; i++) {
		cpu_go(i);
		EXPECT(expect_store(vcpu, MMIO_BASE, 8) == i, "round %u", i);
		if (i % 3)
			cpu_go(i + 1);
		EXPECT(reg_get(vcpu, CORE(regs.regs[1])) == i, "X1 in round %u", i);
	}
}

GUEST(load, BASE
      "ldrb w1, [x19]\nldrh w2, [x19]\nldr w3, [x19]\nldr x4, [x19]\n"
      "ldrsb x5, [x19]\nldrsb w6, [x19]\nldrsh x7, [x19]\nldrsh w8, [x19]\nldrsw x9, [x19]\nldr xzr, [x19]\n"
      "str x1, [x19, #8]\n");
TEST(mmio_load)
{
	static const struct { unsigned int size; uint64_t value, reg; } rows[] = {
		{ 1, 0x81, 0x81 }, { 2, 0x8182, 0x8182 }, { 4, 0x81828384, 0x81828384 },
		{ 8, 0x8182838485868788, 0x8182838485868788 }, { 1, 0x81, 0xffffffffffffff81 }, { 1, 0x81, 0xffffff81 },
		{ 2, 0x8182, 0xffffffffffff8182 }, { 2, 0x8182, 0xffff8182 }, { 4, 0x81828384, 0xffffffff81828384 },
	};
	struct vcpu *vcpu = START(load);
	uint64_t value;
	int i;

	for (i = 0; i < 9; i++)
		expect_load(vcpu, MMIO_BASE, rows[i].size, rows[i].value);
	expect_load(vcpu, MMIO_BASE, 8, 1);
	expect_store(vcpu, MMIO_BASE + 8, 8);
	for (i = 0; i < 9; i++) {
		value = reg_get(vcpu, CORE(regs.regs[0]) + 2 * (1 + (uint64_t)i));
		/* KVM of Linux 6.1 loses the sign of a load: there the value as the VMM gave it. */
		EXPECT(value == rows[i].reg || value == rows[i].value, "row %d: %llx", i, (unsigned long long)value);
	}
}

/* The load's register is there for a VMM that looks before it runs on; immediate_exit completes the access. */
TEST(mmio_complete)
{
	struct vcpu *vcpu = START(load);
	uint64_t pc;

	expect_load(vcpu, MMIO_BASE, 1, 0x42);
	pc = reg_get(vcpu, CORE(regs.pc));
	vcpu->run->immediate_exit = 1;
	REQUIRE(run_try(vcpu) == -EINTR, "KVM_RUN with immediate_exit");
	EXPECT(reg_get(vcpu, CORE(regs.regs[1])) == 0x42, "the loaded register");
	EXPECT(reg_get(vcpu, CORE(regs.pc)) == pc + 4, "the next instruction");
}

/* All of memory is touched, so pages come by faults; then read back. */
GUEST(memory, BASE
      "mov x1, #0x10000\n1: str x1, [x1]\nadd x1, x1, #4096\ncmp x1, #0x100000\nb.lo 1b\n"
      "mov x1, #0x10000\n2: ldr x2, [x1]\ncmp x2, x1\nb.ne 3f\nadd x1, x1, #4096\ncmp x1, #0x100000\nb.lo 2b\n"
      "3: str x1, [x19]\n");
TEST(memory)
{
	struct vcpu *vcpu = START(memory);

	EXPECT(expect_store(vcpu, MMIO_BASE, 8) == 0x100000, "memory");
	EXPECT(*(uint64_t *)(vcpu->vm->memory + 0xff000) == 0xff000, "what the VMM sees");
}

/* FP and SIMD: the guest's survive exits, and the VMM's own are its own. */
GUEST(fp, BASE
      "mov x1, #3 << 20\nmsr cpacr_el1, x1\nisb\n"
      "movi v0.16b, #0x5a\nmovi v31.16b, #0x7e\nstr w1, [x19]\n"
      "str w1, [x19]\nmov x2, v0.d[1]\nmov x3, v31.d[0]\nstr x2, [x19]\nstr x3, [x19]\n");
TEST(fp)
{
	struct vcpu *vcpu = START(fp);
	uint64_t mine;

	asm volatile("movi v31.16b, #0x11" : : : "v31");
	expect_store(vcpu, MMIO_BASE, 4);
	asm volatile("movi v0.16b, #0x22\nmovi v31.16b, #0x33" : : : "v0", "v31");
	ioctl_try(vcpu->fd, KVM_RUN, NULL);
	asm volatile("mov %0, v31.d[1]" : "=r"(mine));
	EXPECT(mine == 0x3333333333333333, "the VMM's v31: %llx", (unsigned long long)mine);
	EXPECT(expect_store(vcpu, MMIO_BASE, 8) == 0x5a5a5a5a5a5a5a5a, "the guest's v0");
	EXPECT(expect_store(vcpu, MMIO_BASE, 8) == 0x7e7e7e7e7e7e7e7e, "the guest's v31");
}

/*
 * The VMM's neighbour on its CPU computes with SVE while the guest computes with FP; neither thread makes a system call, so that the
 * neighbour's registers are never read back from memory in between.
 */
GUEST(fp_loop, "mov x1, #3 << 20\nmsr cpacr_el1, x1\nisb\n1: fmov d0, x1\nfmov d31, x1\nb 1b\n");
static int sve_kept(void)
{
	uint64_t differ = 0, start = 0, now = 0, rate;

	asm volatile("mrs %0, cntfrq_el0" : "=r"(rate));
	asm volatile("mrs %0, cntvct_el0" : "=r"(start));
	while (!differ && now < start + rate)
		asm volatile(".arch armv8.2-a+sve\nptrue p0.b\ndup z0.b, #0x5a\ndup z31.b, #0x5a\nmov x9, #0x20000\n"
			     "1: subs x9, x9, #1\nb.ne 1b\n"
			     "cmpne p1.b, p0/z, z0.b, #0x5a - 0x60\ndup z1.b, #0x5a\ncmpne p1.b, p0/z, z0.b, z1.b\ncntp %0, p0, p1.b\n"
			     "cmpne p1.b, p0/z, z31.b, z1.b\ncntp x9, p0, p1.b\nadd %0, %0, x9\nmrs %1, cntvct_el0\n"
			     : "=r"(differ), "=r"(now) : : "x9", "cc", "v0", "v1", "v31");
	return !differ;
}

static void nothing(int signal)
{
	(void)signal;
}

TEST(sve_of_a_neighbour)
{
	struct vcpu *vcpu = START(fp_loop);
	struct sigaction action = { .sa_handler = nothing };
	int status;
	pid_t child;

	if (!(getauxval(AT_HWCAP) & HWCAP_SVE))
		test_skip("this processor has no SVE");
	cpu_go(0);
	child = fork();
	if (!child)
		_exit(!sve_kept());
	sigaction(SIGALRM, &action, NULL);
	alarm(2);
	EXPECT(run_try(vcpu) == -EINTR, "KVM_RUN");
	REQUIRE(waitpid(child, &status, 0) == child, "waitpid");
	EXPECT(WIFEXITED(status) && !WEXITSTATUS(status), "the neighbour's Z registers");
}

/* An IRQ at the same level: vector 0x280. SError: 0x380. The handler of each reports. */
GUEST(vectors, ".org code_vectors + 0x200\n"
      "mrs x1, esr_el1\nstr x1, [x19, #0x10]\n1: b 1b\n"
      ".org code_vectors + 0x280\n"
      "mrs x1, cntv_ctl_el0\nmsr cntv_ctl_el0, xzr\nisb\nstr x1, [x19, #0x18]\nadd x20, x20, #1\neret\n"
      ".org code_vectors + 0x380\n"
      "mrs x1, esr_el1\nstr x1, [x19, #0x20]\neret\n");
/* Interrupts stay masked up to the WFI, which wakes all the same: none can slip in before it. */
GUEST(timer, BASE
      "mov x1, #0x2000\nmsr vbar_el1, x1\nisb\nmov x20, #0\nmov x21, #0\n"
      "1: mov x1, #1000\nmsr cntv_tval_el0, x1\nmov x1, #1\nmsr cntv_ctl_el0, x1\nisb\n"
      "2: wfi\nmsr daifclr, #2\nisb\nmsr daifset, #2\ncmp x20, x21\nb.eq 2b\nmov x21, x20\ncmp x20, #5\nb.ne 1b\nstr x20, [x19]\n");

/* Runs to the next MMIO exit, carrying the timer's line to the vCPU's IRQ input. */
static void run_timer(struct vcpu *vcpu)
{
	int level = 0, rc, now;

	do {
		rc = run_try(vcpu);
		REQUIRE(!rc || rc == -EINTR, "KVM_RUN: %s", strerror(-rc));
		now = !!(vcpu->run->s.regs.device_irq_level & KVM_ARM_DEV_EL1_VTIMER);
		if (now != level)
			irq_line(vcpu->vm, 0, now);
		level = now;
	} while (rc);
	irq_line(vcpu->vm, 0, 0);
}

TEST(timer)
{
	struct vcpu *vcpu = START(timer);
	int i;

	LOAD(vcpu->vm, GUEST_VECTORS, vectors);
	for (i = 0; i < 5; i++) {
		run_timer(vcpu);
		REQUIRE(vcpu->run->exit_reason == KVM_EXIT_MMIO && vcpu->run->mmio.phys_addr == MMIO_BASE + 0x18,
			"interrupt %d: exit %u at %llx", i, vcpu->run->exit_reason, (unsigned long long)vcpu->run->mmio.phys_addr);
	}
	run_timer(vcpu);
	EXPECT(vcpu->run->mmio.phys_addr == MMIO_BASE && vcpu->run->mmio.data[0] == 5, "five interrupts");
}

/* The same without WFI: the interrupt ends a guest that only computes. */
GUEST(spin, BASE
      "mov x1, #0x2000\nmsr vbar_el1, x1\nisb\nmov x20, #0\n"
      "mov x1, #20000\nmsr cntv_tval_el0, x1\nmov x1, #1\nmsr cntv_ctl_el0, x1\nisb\nmsr daifclr, #2\n"
      "2: cbz x20, 2b\nstr x20, [x19]\n");
TEST(timer_spin)
{
	struct vcpu *vcpu = START(spin);

	LOAD(vcpu->vm, GUEST_VECTORS, vectors);
	run_timer(vcpu);
	EXPECT(vcpu->run->mmio.phys_addr == MMIO_BASE + 0x18, "the handler");
	run_timer(vcpu);
	EXPECT(vcpu->run->mmio.phys_addr == MMIO_BASE, "back");
}

/* KVM_SET_VCPU_EVENTS: an SError, taken when the guest opens them; with a syndrome where there is RAS. */
GUEST(serror, BASE
      "mov x1, #0x2000\nmsr vbar_el1, x1\nisb\nstr x1, [x19]\nmsr daifclr, #4\nstr x1, [x19, #8]\n");
static void serror(int has_esr)
{
	struct vcpu *vcpu = START(serror);
	struct kvm_vcpu_events events = { .exception = { .serror_pending = 1, .serror_has_esr = (uint8_t)has_esr } }, got;
	uint64_t esr;

	LOAD(vcpu->vm, GUEST_VECTORS, vectors);
	events.exception.serror_esr = has_esr ? 0x1234 : 0;
	expect_store(vcpu, MMIO_BASE, 8);
	REQUIRE(!ioctl_try(vcpu->fd, KVM_SET_VCPU_EVENTS, &events), "KVM_SET_VCPU_EVENTS");
	REQUIRE(!ioctl_try(vcpu->fd, KVM_GET_VCPU_EVENTS, &got), "KVM_GET_VCPU_EVENTS");
	EXPECT(got.exception.serror_pending == 1, "pending");
	EXPECT(!has_esr || got.exception.serror_esr == 0x1234, "its syndrome");
	esr = expect_store(vcpu, MMIO_BASE + 0x20, 8);
	EXPECT(esr >> 26 == 0x2f, "the class: %llx", (unsigned long long)esr);
	EXPECT(!has_esr || (esr & 0x1ffffff) == 0x1234, "the guest's syndrome: %llx", (unsigned long long)esr);
	expect_store(vcpu, MMIO_BASE + 8, 8);
	REQUIRE(!ioctl_try(vcpu->fd, KVM_GET_VCPU_EVENTS, &got), "KVM_GET_VCPU_EVENTS");
	EXPECT(!got.exception.serror_pending, "taken once");
}

TEST(serror)
{
	serror(0);
}

TEST(serror_esr)
{
	struct vm *vm = vm_create();

	if (ioctl_try(vm->sys, KVM_CHECK_EXTENSION, (void *)KVM_CAP_ARM_INJECT_SERROR_ESR) != 1)
		test_skip("this processor has no RAS");
	serror(1);
}

/* Where an instruction is undefined X0 becomes ESR_EL1 and the next one runs. */
GUEST(skip, ".org code_skip + 0x200\n"
      "mrs x0, elr_el1\nadd x0, x0, #4\nmsr elr_el1, x0\nmrs x0, esr_el1\neret\n"
      ".org code_skip + 0x380\n"
      "mrs x0, esr_el1\nstr x0, [x19, #0x20]\neret\n");
#define READ(reg) "mov x0, #0\nmrs x0, " reg "\nstr x0, [x19]\n"
#define WRITE(reg) "mov x0, #0\nmsr " reg ", x0\nstr x0, [x19]\n"

/*
 * Registers of the machine that a guest does not have: trace, activity monitors, memory partitioning, branch records, profiling, memory tags,
 * SCXTNUM, TRBE, TCR2, PMU.
 */
GUEST(hidden, BASE "mov x1, #0x2000\nmsr vbar_el1, x1\nisb\n"
      READ("s2_1_c0_c8_7") WRITE("s2_1_c0_c1_0") READ("s3_3_c13_c2_0") READ("s3_3_c13_c4_0") WRITE("s3_3_c13_c2_5")
      READ("s3_0_c10_c5_0") WRITE("s3_0_c10_c5_1") READ("s2_1_c9_c0_0") WRITE("s2_1_c9_c0_0") READ("s2_1_c8_c0_0")
      READ("s3_0_c9_c9_0") WRITE("s3_0_c9_c10_0") READ("s3_0_c1_c2_1") READ("s3_0_c1_c0_6") WRITE("s3_0_c1_c0_5")
      READ("s3_0_c13_c0_7") WRITE("s3_3_c13_c0_7") WRITE("s3_0_c9_c11_0") READ("s3_0_c2_c0_3") READ("pmccntr_el0") WRITE("pmcr_el0"));
TEST(hidden_registers)
{
	struct vcpu *vcpu = START(hidden);
	uint64_t esr;
	int i;

	LOAD(vcpu->vm, GUEST_VECTORS, skip);
	for (i = 0; i < 21; i++) {
		esr = expect_store(vcpu, MMIO_BASE, 8);
		EXPECT(esr == 1ull << 25, "access %d: %llx", i, (unsigned long long)esr);
	}
}

static int has_ras(struct vm *vm)
{
	return ioctl_try(vm->sys, KVM_CHECK_EXTENSION, (void *)KVM_CAP_ARM_INJECT_SERROR_ESR) == 1;
}

/* A guest sees no error records, whatever the processor has: ERRIDR_EL1 is 0, and the records read 0 where they exist at all. */
GUEST(records, BASE "mov x1, #0x2000\nmsr vbar_el1, x1\nisb\n"
      READ("s3_0_c5_c3_0") READ("s3_0_c5_c3_1") READ("s3_0_c5_c4_0") READ("s3_0_c5_c4_1") READ("s3_0_c5_c4_2") READ("s3_0_c5_c5_0")
      WRITE("s3_0_c5_c3_1") WRITE("s3_0_c5_c4_1") WRITE("s3_0_c5_c4_2"));
TEST(error_records)
{
	struct vcpu *vcpu = START(records);
	uint64_t value;
	int i;

	if (!has_ras(vcpu->vm))
		test_skip("this processor has no RAS");
	LOAD(vcpu->vm, GUEST_VECTORS, skip);
	for (i = 0; i < 9; i++) {
		value = expect_store(vcpu, MMIO_BASE, 8);
		EXPECT(!value || (i && value == 1ull << 25), "access %d: %llx", i, (unsigned long long)value);
	}
}

/* An SError that an ESB defers is this vCPU's DISR_EL1, on whatever CPU, and nobody else's. */
GUEST(deferred, BASE "str x0, [x19]\nhint #16\nstr x0, [x19]\nmrs x0, s3_0_c12_c1_1\nstr x0, [x19]\n");
GUEST(disr, BASE "1: mrs x0, s3_0_c12_c1_1\nstr x0, [x19]\nb 1b\n");
TEST(serror_deferred)
{
	struct vcpu *vcpu = START(deferred), *other = START(disr);
	struct kvm_vcpu_events events = { .exception = { .serror_pending = 1, .serror_has_esr = 1, .serror_esr = 0x1234 } };
	uint64_t disr;

	if (!has_ras(vcpu->vm))
		test_skip("this processor has no RAS");
	cpu_go(0);
	expect_store(vcpu, MMIO_BASE, 8);
	REQUIRE(!ioctl_try(vcpu->fd, KVM_SET_VCPU_EVENTS, &events), "KVM_SET_VCPU_EVENTS");
	expect_store(vcpu, MMIO_BASE, 8);
	REQUIRE(!ioctl_try(vcpu->fd, KVM_GET_VCPU_EVENTS, &events), "KVM_GET_VCPU_EVENTS");
	EXPECT(!events.exception.serror_pending, "deferred");
	disr = expect_store(other, MMIO_BASE, 8);
	EXPECT(!disr, "another VM's DISR_EL1: %llx", (unsigned long long)disr);
	EXPECT(reg_get(vcpu, ARM64_SYS_REG(3, 0, 12, 1, 1)) == (1ull << 31 | 0x1234), "KVM_GET_ONE_REG");
	cpu_go(1);
	disr = expect_store(vcpu, MMIO_BASE, 8);
	EXPECT(disr == (1ull << 31 | 0x1234), "DISR_EL1: %llx", (unsigned long long)disr);
	disr = expect_store(other, MMIO_BASE, 8);
	EXPECT(!disr, "another VM's DISR_EL1, on the same CPU: %llx", (unsigned long long)disr);
}

/* The errors of KVM_SET_VCPU_EVENTS. */
TEST(events_errors)
{
	struct vcpu *vcpu = START(serror);
	int ras = ioctl_try(vcpu->vm->sys, KVM_CHECK_EXTENSION, (void *)KVM_CAP_ARM_INJECT_SERROR_ESR);
	struct kvm_vcpu_events good = { .exception = { .serror_pending = 0 } }, bad;

	bad = good;
	bad.reserved[5] = 1;
	EXPECT(ioctl_try(vcpu->fd, KVM_SET_VCPU_EVENTS, &bad) == -EINVAL, "reserved");
	bad = good;
	bad.exception.pad[2] = 1;
	EXPECT(ioctl_try(vcpu->fd, KVM_SET_VCPU_EVENTS, &bad) == -EINVAL, "pad");
	bad = good;
	bad.exception.serror_pending = bad.exception.serror_has_esr = 1;
	bad.exception.serror_esr = 1ull << 25;
	EXPECT(ioctl_try(vcpu->fd, KVM_SET_VCPU_EVENTS, &bad) == -EINVAL, "more than an ISS");
	bad.exception.serror_esr = 1;
	EXPECT(ioctl_try(vcpu->fd, KVM_SET_VCPU_EVENTS, &bad) == (ras ? 0 : -EINVAL), "a syndrome needs RAS");
	EXPECT(ioctl_try(vcpu->fd, KVM_SET_VCPU_EVENTS, &good) == 0, "nothing");
	EXPECT(ioctl_try(vcpu->fd, KVM_GET_VCPU_EVENTS, &bad) == 0 && bad.exception.serror_pending == ras, "no cancelling");
}

/* An external abort in place of an access that the VMM will not answer. */
GUEST(abort, BASE "mov x1, #0x2000\nmsr vbar_el1, x1\nisb\nldr x1, [x19, #0x100]\n");
TEST(external_abort)
{
	struct vcpu *vcpu = START(abort);
	struct kvm_vcpu_events events = { .exception = { .ext_dabt_pending = 1 } };
	uint64_t esr;

	LOAD(vcpu->vm, GUEST_VECTORS, vectors);
	expect_load(vcpu, MMIO_BASE + 0x100, 8, 0);
	REQUIRE(!ioctl_try(vcpu->fd, KVM_SET_VCPU_EVENTS, &events), "KVM_SET_VCPU_EVENTS");
	esr = expect_store(vcpu, MMIO_BASE + 0x10, 8);
	EXPECT((uint32_t)esr >> 26 == 0x25 && (esr & 0x3f) == 0x10, "ESR_EL1 %llx", (unsigned long long)esr);
	EXPECT(reg_get(vcpu, ARM64_SYS_REG(3, 0, 6, 0, 0)) == MMIO_BASE + 0x100, "FAR_EL1");
}

GUEST(undefined, BASE "mov x1, #0x2000\nmsr vbar_el1, x1\nisb\nmrs x1, s3_4_c1_c1_0\n");
TEST(undefined)
{
	struct vcpu *vcpu = START(undefined);
	uint64_t esr;

	LOAD(vcpu->vm, GUEST_VECTORS, vectors);
	esr = expect_store(vcpu, MMIO_BASE + 0x10, 8);
	EXPECT(esr == 1ull << 25, "ESR_EL1 %llx", (unsigned long long)esr);
}

GUEST(off, POWER_OFF "b .\n");
TEST(system_off)
{
	struct vcpu *vcpu = START(off);
	struct kvm_mp_state state;

	run_until(vcpu, KVM_EXIT_SYSTEM_EVENT);
	EXPECT(vcpu->run->system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN, "its type: %u", vcpu->run->system_event.type);
	REQUIRE(!ioctl_try(vcpu->fd, KVM_GET_MP_STATE, &state), "KVM_GET_MP_STATE");
	EXPECT(state.mp_state == KVM_MP_STATE_STOPPED, "stopped");
}

/* The first turns the second on, which reports its X0 and MPIDR and turns itself off. */
GUEST(first, BASE
      "1: movz w0, #3\nmovk w0, #0xc400, lsl #16\nmov x1, #1\nmov x2, #0x3000\nmov x3, #0x77\nhvc #0\nstr x0, [x19]\n"
      "2: movz w0, #4\nmovk w0, #0xc400, lsl #16\nmov x1, #1\nmov x2, #0\nhvc #0\ncmp x0, #1\nb.ne 2b\n"
      POWER_OFF);
GUEST(second, BASE "str x0, [x19, #8]\nmrs x1, mpidr_el1\nstr x1, [x19, #16]\nmovz w0, #2\nmovk w0, #0x8400, lsl #16\nhvc #0\n");

static uint64_t second_saw[2];

static void *second_thread(void *arg)
{
	struct vcpu *vcpu = arg;

	second_saw[0] = expect_store(vcpu, MMIO_BASE + 8, 8);
	second_saw[1] = expect_store(vcpu, MMIO_BASE + 16, 8);
	run_try(vcpu);	/* off, until the process ends */
	return NULL;
}

TEST(cpu_on)
{
	struct vcpu *first = START(first), *second = vcpu_create(first->vm, 1, 1u << KVM_ARM_VCPU_POWER_OFF);
	pthread_t thread;
	uint64_t result;

	LOAD(first->vm, 0x3000, second);
	REQUIRE(!pthread_create(&thread, NULL, second_thread, second), "pthread_create");
	/* It waits in KVM_RUN, and does not run the first's code, which it would begin with. */
	usleep(20000);
	result = expect_store(first, MMIO_BASE, 8);
	EXPECT(result == 0, "CPU_ON: %lld", (long long)result);
	run_until(first, KVM_EXIT_SYSTEM_EVENT);
	EXPECT(second_saw[0] == 0x77, "X0 %llx", (unsigned long long)second_saw[0]);
	EXPECT((second_saw[1] & 0xffffff) == 1, "MPIDR_EL1 %llx", (unsigned long long)second_saw[1]);
}

/* Every register that KVM lists can be read, and its value written back. */
TEST(reg_list)
{
	struct vcpu *vcpu = START(off);
	struct { uint64_t n, reg[600]; } list = { .n = 1 };
	uint64_t value[4], i;

	EXPECT(ioctl_try(vcpu->fd, KVM_GET_REG_LIST, &list) == -E2BIG && list.n > 100, "room for one: n %llu", (unsigned long long)list.n);
	REQUIRE(ioctl_try(vcpu->fd, KVM_GET_REG_LIST, &list) == 0, "KVM_GET_REG_LIST");
	for (i = 0; i < list.n; i++) {
		struct kvm_one_reg reg = { list.reg[i], (uintptr_t)value };

		EXPECT(!ioctl_try(vcpu->fd, KVM_GET_ONE_REG, &reg), "get %llx", (unsigned long long)reg.id);
		EXPECT(!ioctl_try(vcpu->fd, KVM_SET_ONE_REG, &reg), "set %llx", (unsigned long long)reg.id);
	}
}

TEST(reg_errors)
{
	struct vcpu *vcpu = START(off);
	struct kvm_vcpu_init init = { .target = 77 };

	EXPECT(reg_try(vcpu, CORE(regs.pstate), 0x3c9) == -EINVAL, "PSTATE of EL2");
	EXPECT(reg_try(vcpu, CORE(regs.pstate), 0x3cd) == -EINVAL, "PSTATE of EL3");
	EXPECT(reg_try(vcpu, CORE(regs.regs[0]) + 1, 0) == -EINVAL, "half a register");
	EXPECT(reg_try(vcpu, CORE(regs.pc) - KVM_REG_SIZE_U64 + KVM_REG_SIZE_U32, 0) == -EINVAL, "PC in 32 bits");
	EXPECT(reg_try(vcpu, ARM64_SYS_REG(3, 4, 1, 1, 0), 0) == -ENOENT, "HCR_EL2");
	EXPECT(ioctl_try(vcpu->fd, KVM_ARM_VCPU_INIT, &init) == -EINVAL, "a target that is none");
	REQUIRE(!ioctl_try(vcpu->vm->fd, KVM_ARM_PREFERRED_TARGET, &init), "KVM_ARM_PREFERRED_TARGET");
	init.features[0] = 1u << KVM_ARM_VCPU_PSCI_0_2;
	init.features[1] = 1;
	EXPECT(ioctl_try(vcpu->fd, KVM_ARM_VCPU_INIT, &init) == -ENOENT, "a feature that is none");
}

/* A page that was nobody's becomes memory, and nobody's again. */
GUEST(hole, "mov x19, #0x10000000\nmov x2, #0x400000\n1: ldr x1, [x2]\nstr x1, [x19]\nb 1b\n");
TEST(hole_becomes_memory)
{
	struct kvm_userspace_memory_region region = { .slot = 7, .guest_phys_addr = 0x400000, .memory_size = 0x10000 };
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0, 0);
	int i;

	LOAD(vm, GUEST_CODE, hole);
	region.userspace_addr = (uintptr_t)vm->memory + 0x10000;
	vm->memory[0x10000] = 77;
	for (i = 0; i < 3; i++) {
		expect_load(vcpu, 0x400000, 8, 5);
		EXPECT(expect_store(vcpu, MMIO_BASE, 8) == 5, "the VMM's answer");
		expect_load(vcpu, 0x400000, 8, 6);
		EXPECT(expect_store(vcpu, MMIO_BASE, 8) == 6, "the VMM's answer");
		region.memory_size = 0x10000;
		REQUIRE(!ioctl_try(vm->fd, KVM_SET_USER_MEMORY_REGION, &region), "a slot there");
		EXPECT(expect_store(vcpu, MMIO_BASE, 8) == 77, "memory");
		region.memory_size = 0;
		REQUIRE(!ioctl_try(vm->fd, KVM_SET_USER_MEMORY_REGION, &region), "no slot");
	}
}

int main(int argc, char **argv)
{
	return test_main("arm64-run", argc, argv);
}
