/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * console.c - a PL011 as boot console, polled; and how this CPU stops.
 * See: PL011 TRM (DDI 0183), 3.3.
 */
#include "console.h"
#include "log.h"
#include "types.h"

#define UART_DR 0x00
#define UART_FR 0x18
#define FR_TXFF 0x20u
#define POLLS 100000u

static volatile u8 *uart;
static int released;

static void put(char c)
{
	u32 n = 0;

	while ((*(volatile u32 *)(uart + UART_FR) & FR_TXFF) && n++ < POLLS)
		;
	*(volatile u32 *)(uart + UART_DR) = (u8)c;
}

void console_init(volatile void *base)
{
	uart = base;
}

void console_write(const char *text, u64 length)
{
	if (!uart || released)
		return;
	for (; length; length--, text++) {
		if (*text == '\n')
			put('\r');
		put(*text);
	}
}

void console_release(void)
{
	released = 1;
}

void machine_stop(void)
{
	released = 0;
	log_tail();
	for (;;)
		asm volatile("wfi");
}
