/* SPDX-License-Identifier: BSD-2-Clause */
/* symbols.c - see symbols.h. Weak: the first link is without the table. */
#include "symbols.h"

extern const char image_start[];

#pragma weak symbol_table
#pragma weak symbol_count
#pragma weak symbol_names

const char *symbol_find(u64 address, u64 *offset)
{
	u64 at = address - (u64)image_start;
	u32 i, n = &symbol_count ? symbol_count : 0;

	for (i = 0; i < n && symbol_table[i].offset <= at; i++)
		;
	if (i == 0 || at >> 31)
		return "?";
	*offset = at - symbol_table[i - 1].offset;
	return &symbol_names[symbol_table[i - 1].name];
}
