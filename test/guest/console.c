/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * console.c - text to the first serial port, polled.
 * Called by: everything. Concurrency: the boot CPU alone prints.
 */
#include <stdarg.h>
#include "guest.h"

#define COM1 0x3f8
#define LSR_EMPTY 0x20

static void put(char c)
{
	u32 i;

	if (c == '\n')
		put('\r');
	for (i = 0; i < 100000 && !(inb(COM1 + 5) & LSR_EMPTY); i++)
		relax();
	outb(COM1, (u8)c);
}

static void put_number(u64 value, u32 base, u32 width, char pad, int negative)
{
	char digits[24];
	u32 n = 0;

	do
		digits[n++] = "0123456789abcdef"[value % base];
	while (value /= base);
	if (negative)
		digits[n++] = '-';
	while (width > n) {
		put(pad);
		width--;
	}
	while (n)
		put(digits[--n]);
}

static void put_string(const char *s)
{
	while (*s)
		put(*s++);
}

void print_list(const char *f, va_list args)
{
	u64 value;
	u32 width, longs;
	char pad;

	for (; *f; f++) {
		if (*f != '%') {
			put(*f);
			continue;
		}
		pad = f[1] == '0' ? '0' : ' ';
		for (width = 0, f++; *f >= '0' && *f <= '9'; f++)
			width = width * 10 + (u32)(*f - '0');
		for (longs = 0; *f == 'l'; f++)
			longs++;
		if (*f == 's') {
			put_string(va_arg(args, const char *));
			continue;
		}
		value = longs ? va_arg(args, u64) : va_arg(args, u32);
		if (*f == 'd' && !longs)
			value = (u64)(s64)(s32)value;
		if (*f == 'c')
			put((char)value);
		else if (*f == 'd' && (s64)value < 0)
			put_number(-value, 10, width, pad, 1);
		else
			put_number(value, *f == 'x' ? 16 : 10, width, pad, 0);
	}
}

void print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_list(format, args);
	va_end(args);
}
