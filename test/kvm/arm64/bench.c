/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench.c - what an exit costs, for a machine under -icount shift=0, where a
 * nanosecond of the clock is one instruction. Reports; judges nothing: lines
 * "name value", of which test/bench/arm64/run makes the table.
 * Called by: JOB=/tests/bench in Tenon and on stock KVM.
 */
#include <stdio.h>
#include <time.h>
#include "vmm.h"

#define ROUNDS 2000

/* x20 rounds of a call, the counter before and after. */
#define LOOP(id, body)								\
	GUEST(id, "mov x19, #0x10000000\nmov x20, #2000\nisb\nmrs x21, cntvct_el0\n"	\
	      "1: " body "subs x20, x20, #1\nb.ne 1b\n"				\
	      "isb\nmrs x22, cntvct_el0\nsub x22, x22, x21\nstr x22, [x19, #0x100]\n")

LOOP(nothing, "nop\n");
LOOP(version, "movz w0, #0x8400, lsl #16\nhvc #0\n");
LOOP(unknown, "movz w0, #0x8400, lsl #16\nmovk w0, #0xbeef\nhvc #0\n");
LOOP(idreg, "mrs x0, id_aa64pfr0_el1\n");
LOOP(store, "str x1, [x19]\n");
LOOP(load, "ldr x1, [x19]\n");

/* One timer interrupt: armed, taken through the GIC, ended; 200 of them, the loop that waits included. */
GUEST(timer, "mov x19, #0x10000000\nmov x10, #0x08000000\nmov w1, #2\nstr w1, [x10]\nmov x11, #0x080b0000\nmov w1, #-1\n"
      "str w1, [x11, #0x80]\nmov w1, #0x08000000\nstr w1, [x11, #0x100]\nmov x1, #0xf0\nmsr icc_pmr_el1, x1\nmov x1, #1\n"
      "msr icc_igrpen1_el1, x1\nmov x1, #0x2000\nmsr vbar_el1, x1\nisb\nmov x20, #2000\nmov x24, #1\nmsr daifclr, #2\n"
      "isb\nmrs x21, cntvct_el0\n"
      "1: mov x23, #0\nmsr cntv_tval_el0, xzr\nmsr cntv_ctl_el0, x24\nisb\n2: cbz x23, 2b\nsubs x20, x20, #1\nb.ne 1b\n"
      "isb\nmrs x22, cntvct_el0\nsub x22, x22, x21\nstr x22, [x19, #0x100]\n");
GUEST(handler, ".org code_handler + 0x280\nmrs x1, icc_iar1_el1\nmsr cntv_ctl_el0, xzr\nisb\nmov x23, #1\nmsr icc_eoir1_el1, x1\neret\n");

static uint64_t nanoseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* As people run guests: a GIC, several vCPUs, an interrupt that pends and is masked. */
static struct vcpu *guest(const uint8_t *code, const uint8_t *end)
{
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
	struct kvm_irq_level line = { .irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | 40, .level = 1 };
	uint64_t dist = 0x08000000, redist = 0x080a0000;
	struct kvm_device_attr attrs[] = {
		{ 0, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, (uintptr_t)&dist },
		{ 0, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, (uintptr_t)&redist },
		{ 0, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0 },
	};
	struct vm *vm = vm_create();
	struct vcpu *first;
	int i;

	REQUIRE(!ioctl_try(vm->fd, KVM_CREATE_DEVICE, &device), "KVM_CREATE_DEVICE");
	vm_load(vm, GUEST_CODE, code, (size_t)(end - code));
	LOAD(vm, GUEST_VECTORS, handler);
	first = vcpu_create(vm, 0, 0);
	for (i = 1; i < 4; i++)
		vcpu_create(vm, i, 0);
	for (i = 0; i < 3; i++)
		REQUIRE(!ioctl_try((int)device.fd, KVM_SET_DEVICE_ATTR, &attrs[i]), "KVM_SET_DEVICE_ATTR");
	REQUIRE(!ioctl_try(vm->fd, KVM_IRQ_LINE, &line), "KVM_IRQ_LINE");
	return first;
}

/* Answered without the VMM: by the guest's own counter. */
static void inside(const char *name, const uint8_t *code, const uint8_t *end)
{
	struct vcpu *vcpu = guest(code, end);
	uint64_t ticks = expect_store(vcpu, MMIO_BASE + 0x100, 8), frequency;

	asm("mrs %0, cntfrq_el0" : "=r"(frequency));
	printf("%s %.0f\n", name, (double)ticks * 1e9 / (double)frequency / ROUNDS);
}

/* To the VMM and back: by its clock. */
static void outside(const char *name, const uint8_t *code, const uint8_t *end)
{
	struct vcpu *vcpu = guest(code, end);
	uint64_t start = 0;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		if (i == ROUNDS / 2)
			start = nanoseconds();
		REQUIRE(!run_try(vcpu), "KVM_RUN");
	}
	printf("%s %.0f\n", name, (double)(nanoseconds() - start) / (ROUNDS - ROUNDS / 2));
}

#define ROW(how, name, id) how(name, code_##id, code_##id##_end)

TEST_LIMIT(bench, 120)
{
	ROW(inside, "empty", nothing);
	ROW(inside, "hypercall", version);
	ROW(inside, "hypercall_unknown", unknown);
	ROW(inside, "id_register", idreg);
	ROW(inside, "timer", timer);
	ROW(outside, "mmio_store", store);
	ROW(outside, "mmio_load", load);
}

int main(int argc, char **argv)
{
	return test_main("arm64-bench", argc, argv);
}
