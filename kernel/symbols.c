/* SPDX-License-Identifier: BSD-2-Clause */
/* symbols.c - see symbols.h. The first link has an empty table (the weak one here). */
#include "symbols.h"

extern const char image_start[];

const struct symbol symbol_table[1] __attribute__((weak)) = { { 0, 0 } };
const u32 symbol_count __attribute__((weak)) = 0;
const char symbol_names[1] __attribute__((weak)) = "";

const char *symbol_find(u64 address, u64 *offset)
{
	u64 at = address - (u64)image_start;
	const volatile u32 *count = &symbol_count;	/* the weak one must not be folded */
	u32 i, n = *count;

	for (i = 0; i < n && symbol_table[i].offset <= at; i++)
		;
	if (i == 0 || at >> 31)
		return "?";
	*offset = at - symbol_table[i - 1].offset;
	return &symbol_names[symbol_table[i - 1].name];
}
