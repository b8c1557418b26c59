// SPDX-License-Identifier: BSD-2-Clause
/*
 * boot_phys.c - the machine under the host tests of boot/: 8 GiB of physical
 * memory, and a log that wants every message to be one whole line.
 */
#include <stdarg.h>
#include <sys/mman.h>

#include "boot_test.h"

u8 *phys;
void (*phys_hook)(void);
unsigned int log_lines;

void phys_start(void)
{
	phys_hook = NULL;
	if (phys)
		return;
	phys = mmap(NULL, PHYS_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (phys == MAP_FAILED)
		abort();
}

void *phys_to_virt(u64 pa)
{
	if (pa >= PHYS_BYTES) {
		printf("physical address %llx is not in the memory map\n", pa);
		abort();
	}
	if (phys_hook)
		phys_hook();
	return phys + pa;
}

u64 virt_to_phys(const void *va)
{
	return (u64)((const u8 *)va - phys);
}

void log_print(const char *fmt, ...)
{
	char text[1024];
	va_list args;
	size_t length;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	length = strlen(text);
	CHECK(length > 20 && text[length - 1] == '\n' && strchr(text, '\n') == text + length - 1);
	log_lines++;
}

/* Numbers that break things more often than even chances would. */
u64 random_odd(void)
{
	static const u64 edges[] = { 0, 1, 2, 7, 8, 9, 15, 16, 0x7f, 0xff, 0xfff, 0x1000, 0xffff, 0x10000, 0x7fffffff,
				     0xfffffff8, 0xffffffff, 0x100000000, ~0ull >> 1, ~0ull - 7, ~0ull };

	return random_below(2) ? edges[random_below(COUNT(edges))] : test_random() >> random_below(64);
}
