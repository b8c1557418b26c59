/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench.c - what an exit costs, for a machine under -icount shift=0, where a
 * nanosecond of the clock is one instruction. Reports; judges nothing.
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

static uint64_t nanoseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static struct vcpu *guest(const uint8_t *code, const uint8_t *end)
{
	struct vm *vm = vm_create();

	vm_load(vm, GUEST_CODE, code, (size_t)(end - code));
	return vcpu_create(vm, 0, 0);
}

/* Answered without the VMM: by the guest's own counter. */
static void inside(const char *name, const uint8_t *code, const uint8_t *end)
{
	struct vcpu *vcpu = guest(code, end);
	uint64_t ticks = expect_store(vcpu, MMIO_BASE + 0x100, 8), frequency;

	asm("mrs %0, cntfrq_el0" : "=r"(frequency));
	printf("%-24s %6.0f instructions\n", name, (double)ticks * 1e9 / (double)frequency / ROUNDS);
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
	printf("%-24s %6.0f instructions\n", name, (double)(nanoseconds() - start) / (ROUNDS - ROUNDS / 2));
}

#define ROW(how, name, id) how(name, code_##id, code_##id##_end)

TEST_LIMIT(bench, 120)
{
	ROW(inside, "empty loop", nothing);
	ROW(inside, "hypercall, answered", version);
	ROW(inside, "hypercall, unknown", unknown);
	ROW(inside, "ID register", idreg);
	ROW(outside, "MMIO store", store);
	ROW(outside, "MMIO load", load);
}

int main(int argc, char **argv)
{
	return test_main("arm64-bench", argc, argv);
}
