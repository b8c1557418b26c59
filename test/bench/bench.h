/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench.h - what the parts of the bench share: exits.c has the clock and the
 * guests' loop, interrupts.c the benches of local APICs.
 */
#ifndef BENCH_H
#define BENCH_H

#include "guest.h"

#define ROUNDS 501u
#define WARM_UP 100u
#define VCPUS 4

/* What a bench's VM has in the kernel. */
enum chips {
	NO_CHIPS,	/* no interrupt controller */
	CHIPS,		/* all of them, and an interrupt that waits, masked, in the first vCPU's LAPIC */
	CHIPS_QUIET,	/* all of them */
};

/* A VM as benches want it: several vCPUs, of which the first runs this code. */
struct vcpu *bench_guest(const void *code, size_t bytes, enum chips chips);
#define BENCH_GUEST(id, chips) bench_guest(code_##id, (size_t)(code_##id##_end - code_##id), chips)

/* An operation timed in the guest: R10 rounds, R11 the caller's, results at RDI; RAX, RCX, RDX and R9 are free. */
#define GUEST_LOOP(id, operation)								\
	GUEST(id, 64,										\
		"mov $0x20000, %edi\n mov $0x10000000, %ebx\n"					\
		"1: rdtsc\n mov %eax, %r8d\n" operation "rdtsc\n sub %r8d, %eax\n mov %eax, (%rdi)\n"	\
		"add $4, %rdi\n dec %r10\n jnz 1b\n out %eax, $0xe0\n")
/* The median of its rounds; ends the VM. */
uint64_t guest_loop(struct vcpu *vcpu, uint32_t r11);
/* The same of a loop around nothing. */
uint64_t guest_loop_cost(void);
void report(const char *name, uint64_t value);

#endif
