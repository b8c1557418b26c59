/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log.c - the log and its formatter.
 *
 * Owns: the ring of the last LOG_BYTES bytes; log_end counts all bytes ever
 * written, so that a reader knows what it missed.
 * Called by: everybody. Calls: console_write() of the architecture.
 * Concurrency: one lock; a panic ignores it.
 */
#include <stdarg.h>
#include <string.h>
#include "log.h"
#include "lock.h"

#define LOG_BYTES 32768u
#define LINE_BYTES 256u

static char log_ring[LOG_BYTES];
static u64 log_end;
static struct lock log_lock;
static int panicking;

struct line {
	char text[LINE_BYTES];
	u32 length;
};

static void put_char(struct line *l, char c)
{
	if (l->length < LINE_BYTES)
		l->text[l->length++] = c;
}

static void put_number(struct line *l, u64 value, u32 base, int width, char fill)
{
	char digits[24];
	int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	for (; width > n; width--)
		put_char(l, fill);
	while (n)
		put_char(l, digits[--n]);
}

static void put_string(struct line *l, const char *s, int width)
{
	for (; *s; s++, width--)
		put_char(l, *s);
	for (; width > 0; width--)
		put_char(l, ' ');
}

/* One conversion; fmt is behind the '%'. Returns behind the conversion. */
static const char *put_conversion(struct line *l, const char *fmt, va_list *args)
{
	char fill = ' ';
	int width = 0, longs = 0;
	u64 value;

	if (*fmt == '0')
		fill = '0';
	for (; *fmt >= '0' && *fmt <= '9'; fmt++)
		width = width * 10 + (*fmt - '0');
	for (; *fmt == 'l'; fmt++)
		longs++;
	switch (*fmt) {
	case 's':
		put_string(l, va_arg(*args, const char *), width);
		break;
	case 'p':
		put_number(l, (u64)va_arg(*args, void *), 16, 16, '0');
		break;
	case 'u':
	case 'x':
		value = longs ? va_arg(*args, unsigned long) : va_arg(*args, unsigned int);
		put_number(l, value, *fmt == 'u' ? 10 : 16, width, fill);
		break;
	default:
		put_char(l, *fmt);
	}
	return fmt + 1;
}

static void format(struct line *l, const char *fmt, va_list *args)
{
	l->length = 0;
	while (*fmt) {
		if (*fmt++ != '%')
			put_char(l, fmt[-1]);
		else
			fmt = put_conversion(l, fmt, args);
	}
}

static void keep(const struct line *l)
{
	u32 i;

	for (i = 0; i < l->length; i++)
		log_ring[log_end++ % LOG_BYTES] = l->text[i];
}

static void print(const char *fmt, va_list *args)
{
	struct line l;

	format(&l, fmt, args);
	if (!panicking)
		lock_acquire(&log_lock);
	keep(&l);
	console_write(l.text, l.length);
	if (!panicking)
		lock_release(&log_lock);
}

void log_print(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print(fmt, &args);
	va_end(args);
}

void log_read(u64 first, struct log_chunk *chunk)
{
	u64 i, end, oldest;

	lock_acquire(&log_lock);
	end = log_end;
	oldest = end > LOG_BYTES ? end - LOG_BYTES : 0;
	if (first > end)
		first = end;
	if (first < oldest)
		first = oldest;
	chunk->first = first;
	chunk->length = min_u64(end - first, LOG_CHUNK_BYTES);
	for (i = 0; i < chunk->length; i++)
		chunk->text[i] = log_ring[(first + i) % LOG_BYTES];
	lock_release(&log_lock);
}

void log_tail(void)
{
	u64 i = log_end > 2048 ? log_end - 2048 : 0;

	for (; i < log_end; i++)
		console_write(&log_ring[i % LOG_BYTES], 1);
}

void panic(const char *fmt, ...)
{
	va_list args;

	panicking = 1;
	log_print("tenon: PANIC: ");
	va_start(args, fmt);
	print(fmt, &args);
	va_end(args);
	machine_stop();
}
