/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - arm64's micro guest: the EL1 attack, then random ring entries from
 * two CPUs, a closing line, power off. See: test/guest/arm64/run.
 */
#include <stdarg.h>
#include "guest.h"

#define UART 0x09000000ull
#define UART_FR 0x18u
#define UART_FULL 0x20u
#define PPI_CNTP 30u
#define FN_CPU_ON 0xc4000003u
#define FN_SYSTEM_OFF 0x84000008u
#ifndef SECONDS
#define SECONDS 15u
#endif

u64 table[512] __attribute__((aligned(4096)));
struct ring rings[2] __attribute__((aligned(RING_BYTES)));
struct mem_stats stats;
u32 failures;
volatile u32 second_up;
u64 probe_far;
static volatile u32 second_done;
static u8 second_stack[65536] __attribute__((aligned(16)));

void guest_main(u32 cpu);
void second_main(u32 cpu);
void second_entry(void);
void unexpected(u64 esr, u64 elr, u64 far);

/* ---- output ---- */

static void put(char c)
{
	while (*reg32(UART + UART_FR) & UART_FULL)
		;
	*reg32(UART) = (u8)c;
}

static void put_number(u64 v, u32 base)
{
	char digits[24];
	u32 n = 0;

	do
		digits[n++] = "0123456789abcdef"[v % base];
	while (v /= base);
	while (n)
		put(digits[--n]);
}

static void put_argument(char kind, int longs, va_list *args)
{
	const char *s;
	u64 v;

	if (kind == 's') {
		for (s = va_arg(*args, const char *); *s; s++)
			put(*s);
		return;
	}
	v = longs ? va_arg(*args, u64) : kind == 'd' ? (u64)va_arg(*args, s32) : va_arg(*args, u32);
	if (kind == 'd' && (s64)v < 0) {
		put('-');
		v = -v;
	}
	put_number(v, kind == 'x' ? 16 : 10);
}

void print(const char *format, ...)
{
	va_list args;
	int longs;

	va_start(args, format);
	for (; *format; format++) {
		if (*format != '%') {
			put(*format);
			continue;
		}
		for (longs = 0; *++format == 'l'; longs++)
			;
		put_argument(*format, longs, &args);
	}
	va_end(args);
}

/* ---- calls ---- */

s64 hypercall(u64 number, u64 arg)
{
	register u64 x0 asm("x0") = number;
	register u64 x1 asm("x1") = arg;

	asm volatile("hvc #0x544e" : "+r"(x0) : "r"(x1) : "memory");
	return (s64)x0;
}

s64 psci(u64 fn, u64 a, u64 b, u64 c)
{
	register u64 x0 asm("x0") = fn;
	register u64 x1 asm("x1") = a;
	register u64 x2 asm("x2") = b;
	register u64 x3 asm("x3") = c;

	asm volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : :
		     "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "memory");
	return (s32)x0;
}

s64 ring_setup(u32 cpu)
{
	memset(&rings[cpu], 0, RING_BYTES);
	return hypercall(HC_RING_REGISTER, (u64)&rings[cpu]);
}

s64 ring_op(u32 cpu, u32 op, u32 handle, u64 arg, const void *in, u32 length)
{
	struct ring *r = &rings[cpu];
	struct ring_entry *e = &r->entry[r->submit % RING_ENTRIES];
	s64 err;

	if (in && length <= RING_OP_BYTES)
		memcpy(r->payload, in, length);
	*e = (struct ring_entry) { op, handle, 0, length, arg, 0x5a5a5a5a };
	r->submit++;
	err = hypercall(HC_DOORBELL, 0);
	return err ? err : e->result;
}

void stats_read(void)
{
	EXPECT(!ring_op(0, N_OP_MEM_STATS, 0, 0, NULL, 0), "OP_MEM_STATS");
	memcpy(&stats, rings[0].payload, sizeof(stats));
}

/* ---- the machine ---- */

int hidden(u64 pa)
{
	return probe_read(pa) != 0;
}

u64 block_at(u32 n)
{
	u64 pa = RAM_END;

	for (n++; n; n -= !hidden(pa) && !hidden(pa + BLOCK_SIZE - PAGE_SIZE))
		pa -= BLOCK_SIZE;
	return pa;
}

/* Signalled to the CPU though masked there: that ends a guest, and a WFI. */
void timer_on(u32 cpu, u32 ticks)
{
	u64 sgi = GICR + cpu * 0x20000ull + 0x10000;

	*reg32(GICD) = 2;
	*reg32(sgi + 0x80) = 0xffffffff;
	*reg32(sgi + 0x100) = 1u << PPI_CNTP;
	asm volatile("msr icc_sre_el1, %0\nisb\nmsr icc_pmr_el1, %1\nmsr icc_igrpen1_el1, %2\nisb" : : "r"(7ull), "r"(0xffull), "r"(1ull));
	write_sysreg(cntp_tval_el0, ticks);
	write_sysreg(cntp_ctl_el0, 1);
}

void timer_off(void)
{
	write_sysreg(cntp_ctl_el0, 0);
}

void unexpected(u64 esr, u64 elr, u64 far)
{
	print("FAIL: exception %llx at %llx, address %llx\n", esr, elr, far);
	psci(FN_SYSTEM_OFF, 0, 0, 0);
}

/* Waits in the guest's own loop until it is called. */
void second_start(void)
{
	s64 rc = psci(FN_CPU_ON, 1, (u64)second_entry, (u64)second_stack + sizeof(second_stack));

	EXPECT(!rc, "CPU_ON: %d", (int)rc);
}

void second_main(u32 cpu)
{
	second_up = 1;
	ring_random(cpu, SECONDS);
	second_done = 1;
	for (;;)
		asm volatile("wfi");
}

void guest_main(u32 cpu)
{
	print("guest: EL1 attack\n");
	EXPECT(!ring_setup(cpu), "HC_RING_REGISTER");
	attack();
	print("guest: random ring entries, 2 CPUs, %u s\n", SECONDS);
	second_start();
	ring_random(cpu, SECONDS);
	while (!second_done)
		;
	print("guest: %u failures\n", failures);
	psci(FN_SYSTEM_OFF, 0, 0, 0);
	for (;;)
		;
}
