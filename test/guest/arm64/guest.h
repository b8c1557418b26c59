/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest.h - what arm64's micro guests share: output, probes, hypercalls and the
 * ring, the machine's few facts. The machine is QEMU's virt with RAM_BYTES.
 */
#ifndef ARM64_GUEST_H
#define ARM64_GUEST_H

#include <stddef.h>
#include <string.h>
#include "abi/types.h"
#include "abi/hypercall.h"
#include "abi/arm64/hypercall.h"
#include "abi/ops.h"
#include "abi/ring.h"
#include "abi/arm64/exit.h"
#include "kernel/errno.h"

#define PAGE_SIZE 4096ull
#define BLOCK_SIZE (2ull << 20)
#define RAM_BASE 0x40000000ull
#define RAM_BYTES (256ull << 20)
#define RAM_END (RAM_BASE + RAM_BYTES)
#define GICD 0x08000000ull
#define ITS 0x08080000ull
#define GICR 0x080a0000ull
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define read_sysreg(reg) ({ u64 v_; asm volatile("mrs %0, " #reg : "=r"(v_)); v_; })
#define write_sysreg(reg, value) asm volatile("msr " #reg ", %x0\nisb" : : "rZ"((u64)(value)))
static inline volatile u32 *reg32(u64 at) { return (volatile u32 *)at; }
static inline volatile u64 *reg64(u64 at) { return (volatile u64 *)at; }

void print(const char *format, ...) __attribute__((format(printf, 1, 2)));	/* %s %u %d %x %lx */
extern u32 failures;
#define EXPECT(condition, ...) do { if (!(condition)) { failures++; print("FAIL "); print(__VA_ARGS__); print("\n"); } } while (0)

u64 probe_read(u64 at);
u64 probe_write(u64 at);
u64 probe_pair(u64 at);
u64 probe_byte(u64 at);
u64 probe_exclusive(u64 at);
u64 probe_zero(u64 at);
u64 probe_walk(u64 at);
u64 probe_vector(u64 at);
u64 probe_execute(u64 at);
u64 probe_el2(u64 unused);
u64 probe_el2_write(u64 value);
#define EXTERNAL_ABORT(esr) (((esr) >> 26 == 0x25 || (esr) >> 26 == 0x21) && ((esr) & 0x3f) == 0x10)

s64 hypercall(u64 number, u64 arg);
s64 psci(u64 fn, u64 a, u64 b, u64 c);
/* One operation on this CPU's ring. */
s64 ring_op(u32 cpu, u32 op, u32 handle, u64 arg, const void *in, u32 length);
s64 ring_setup(u32 cpu);
extern struct ring rings[2];
extern struct mem_stats stats;		/* by stats_read() */
void stats_read(void);

#define X(kind, number, name, in, out) N_##name = number,
enum { ABI_OPS(X) N_END };
#undef X

/* Is this page kept from us? */
int hidden(u64 pa);
/* A block that is ours and holds nothing; the n-th from RAM's end. */
u64 block_at(u32 n);
/* This CPU gets the physical timer's interrupt (masked, so it only ends guests and waits) after so many ticks. */
void timer_on(u32 cpu, u32 ticks);
void timer_off(void);
void second_start(void);
extern volatile u32 second_up;

void attack(void);
void ring_random(u32 cpu, u32 seconds);

#endif
