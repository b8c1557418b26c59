/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tenon.h - Tenon's interface as the tests use it: hypercalls, this CPU's ring,
 * and small user VMs.
 */
#ifndef GUEST_TENON_H
#define GUEST_TENON_H

#include "guest.h"
#include "kernel/errno.h"
#include "abi/hypercall.h"
#include "abi/ops.h"
#include "abi/ring.h"
#include "abi/x86_64/exit.h"

/* ---- tenon.c ---- */
s64 hypercall(u64 number, u64 arg);
extern struct ring rings[2];
static inline struct ring *ring_mine(void) { return &rings[cpu_this()->index]; }

/* Registers this CPU's ring, empty. */
s64 ring_setup(void);
/* Fills the next entry; ring_ring() then has all of them served. */
struct ring_entry *ring_add(u32 op, u32 handle, u64 arg, u32 offset, u32 length);
s64 ring_ring(void);
/* One operation with its payload at offset 0. The result, or the doorbell's. */
s64 ring_op(u32 op, u32 handle, u64 arg, const void *in, u32 length);
static inline void *ring_payload(void) { return ring_mine()->payload; }

s64 mem_stats(struct mem_stats *m);
/* Fails the test where the counts differ: nothing was lost, nothing left. */
void mem_stats_same(const struct mem_stats *before, const char *after_what);

/* Numbers by the list's names, where <linux/kvm.h> would have macros. */
#define X(kind, number, name, in, out) N_##name = number,
enum { ABI_OPS(X) N_END };
#undef X

/* ---- vm.c ---- */

/* A user VM of one vCPU: code at CODE_GPA, real mode, CS base 0. */
struct vm {
	u32 handle, vcpu;
	u64 block;
	u8 *code;		/* the page at CODE_GPA */
	struct exit_page *page;
};
#define CODE_GPA 0x1000ull

/* The exit page of a vCPU with a local APIC (VCPU_LAPIC), and that one's page behind it. */
union apic_pages {
	struct exit_page exit;
	u8 bytes[2 * PAGE_SIZE];
	struct { u8 first[PAGE_SIZE]; struct lapic_page lapic; };
} __attribute__((aligned(4096)));

/* 0, or the step's -errno. The pages are the caller's. */
s64 vm_open(struct vm *vm, void *code_page, struct exit_page *page);
s64 vm_open_with(struct vm *vm, void *code_page, struct exit_page *page, u32 flags);	/* VCPU_* */
s64 vm_close(struct vm *vm);
s64 vm_map(u32 vm, u64 gpa, u64 pa, u64 pages, u64 flags);
s64 vm_unmap(u32 vm, u64 gpa, u64 pages);
/* Flat real-mode state, all registers 0, RIP = rip. */
s64 vcpu_reset(u32 vcpu, u64 rip);
/*
 * 64-bit state: the guest's first 2 MiB one to one, RSP = LONG_STACK. The LONG_PAGES pages at LONG_GPA hold the tables;
 * exceptions begin at LONG_TRAP with LONG_STACK anew (IST), interrupts at LONG_INTERRUPT on the stack as it is.
 */
#define LONG_GPA 0x10000ull
#define LONG_PAGES 6u
#define LONG_IDT (LONG_GPA + 3 * PAGE_SIZE)
#define LONG_GDT (LONG_GPA + 4 * PAGE_SIZE)
#define LONG_TSS (LONG_GDT + 0x100)
#define LONG_TRAP (LONG_GDT + 0x400)
#define LONG_INTERRUPT (LONG_GDT + 0x800)
#define LONG_STACK (LONG_GPA + LONG_PAGES * PAGE_SIZE)
void long_tables(u8 *pages);
s64 long_reset(u32 vcpu, u64 rip);
/* Runs until the exit page says something else than EXIT_INTR; -errno, or the reason. */
s64 vcpu_run(const struct vm *vm);
/* Puts the code in and runs it from its start. */
s64 vm_code(const struct vm *vm, const void *code, u32 bytes);

#endif
