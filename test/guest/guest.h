/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest.h - what every micro guest is linked with: tests that register
 * themselves, exceptions that are caught, page tables to point anywhere, a
 * second CPU that runs what it is given.
 *
 * Interrupts stay off, except in irq_window(). All memory has its physical
 * address; ring 3 may use it too.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stddef.h>
#include <string.h>
#include "abi/types.h"
#include "layout.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))
#define PAGE_SIZE 4096ull
#define BLOCK_SIZE (2ull << 20)

/* ---- tests (main.c) ---- */

struct test {
	const char *name;
	void (*run)(void);
};

#define TEST(id)								\
	static void test_##id(void);						\
	static const struct test entry_##id = { #id, test_##id };		\
	static const struct test *const pointer_##id				\
		__attribute__((used, section("tests"))) = &entry_##id;		\
	static void test_##id(void)

/* Marks the test as failed and goes on; only the first few are printed. */
void test_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void test_skip(const char *why);
u32 test_failures(void);

#define EXPECT(condition, ...) do { if (!(condition)) test_fail(__VA_ARGS__); } while (0)
#define REQUIRE(condition, ...) do { if (!(condition)) { test_fail(__VA_ARGS__); return; } } while (0)

/* A number from the command line (`name=0x12`), or the default. */
u64 option(const char *name, u64 otherwise);

/* xorshift64*: a seed gives the same numbers everywhere. */
struct random { u64 state; };
u64 random_next(struct random *r);
static inline u64 random_below(struct random *r, u64 n) { return (random_next(r) >> 16) % n; }
void random_fill(struct random *r, void *to, u32 bytes);

/* ---- output (console.c): %s %c %d %u %x %llu %llx, width and 0 ---- */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_list(const char *format, __builtin_va_list args);

/* ---- the processor (cpu.c) ---- */

struct cpu {
	struct cpu *self;
	u64 recover;		/* CPU_RECOVER: where try_call() comes back to; 0: nobody expects an exception */
	u32 index;
	u32 apic_id;
	u32 nmis;		/* seen since the start */
	u32 ticks;		/* timer interrupts */
	u64 error, cr2, rip;	/* of the last exception */
	void (*volatile job)(u64);
	u64 job_arg;
	u64 gdt[10];
	u8 tss[104] __attribute__((aligned(16)));
	u8 ist[3][4096] __attribute__((aligned(16)));
};

extern struct cpu cpu[2];
static inline struct cpu *cpu_this(void)
{
	struct cpu *c;

	asm volatile("mov %%gs:0, %0" : "=r"(c));
	return c;
}

/* The two vendors' hypercalls, hidden registers and slow emulators differ. */
extern u32 vendor_intel;

enum { UD = 6, DF = 8, GP = 13, PF = 14, NO_TRAP = -1 };
int try_call(void (*fn)(u64), u64 arg);		/* the vector that ended fn(arg), or NO_TRAP */
void user_call(u64 rip) __attribute__((noreturn));

void cpu_init(u32 index);
void irq_window(void);				/* takes what interrupts wait */
void timer_start(u32 count);			/* periodic, bus clocks; 0 stops */

/* Points the window's page or 2 MiB at pa and returns its address: no cache entry of an older use stays. */
u64 window_4k(u64 pa);
u64 window_2m(u64 pa);
void window_top(u64 pa);		/* at 0xfffff000; for good */
/* An address whose walk finds its page table (level 0), directory (1) or the one above (2) at pa. */
u64 window_walk(u64 pa, int level);
extern u64 *page_root;

/* MSR accesses: the vector, or NO_TRAP. */
int msr_try_read(u32 msr, u64 *value);
int msr_try_write(u32 msr, u64 value);

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (u64)hi << 32 | lo;
}

struct cpuid { u32 eax, ebx, ecx, edx; };
static inline struct cpuid cpuid(u32 leaf, u32 sub)
{
	struct cpuid c;

	asm volatile("cpuid" : "=a"(c.eax), "=b"(c.ebx), "=c"(c.ecx), "=d"(c.edx) : "a"(leaf), "c"(sub));
	return c;
}

extern u64 tsc_per_ms;

static inline void outb(u16 port, u8 v) { asm volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static inline void outw(u16 port, u16 v) { asm volatile("outw %0, %1" : : "a"(v), "Nd"(port)); }
static inline void outl(u16 port, u32 v) { asm volatile("outl %0, %1" : : "a"(v), "Nd"(port)); }
static inline u8 inb(u16 port) { u8 v; asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline void relax(void) { asm volatile("pause" : : : "memory"); }

/* ---- the machine (machine.c) ---- */

#define E820_RAM 1
#define E820_RESERVED 2
struct e820_entry { u64 base, size; u32 type; } __attribute__((packed));
extern const struct e820_entry *e820;
extern u32 e820_count;

void machine_init(const u8 *boot_params);
const char *machine_cmdline(void);
u64 ram_top(void);				/* end of RAM below 4 GiB */
u64 block_take(void);				/* a free 2 MiB block of RAM, 0: none left */
void block_give(u64 pa);

/* The second CPU. 0, or 1: there is none or it does not come. */
int second_start(void);
int second_mailbox(void);			/* it starts by the mailbox: INIT is dropped; 0: by start-up IPIs */
void second_run(void (*fn)(u64), u64 arg);	/* there, while this CPU goes on */
int second_wait(u64 ms);			/* 0, or 1: it is not done after that long */
void second_lost(void);				/* it left its loop: second_start() may bring it back */
int second_gone(u64 ms);			/* 0, or 1: it has not left its loop after that long */
#define SECOND_MS 20000

void delay_ms(u64 ms);
#define IPI_INIT 0x500u
#define IPI_STARTUP 0x600u
#define IPI_ASSERT 0x4000u
#define IPI_LEVEL 0x8000u
void ipi_send(u32 apic_id, u32 command);	/* the low half of the command register */
void nmi_send(u32 apic_id);
void power_off(u32 code) __attribute__((noreturn));

#endif
