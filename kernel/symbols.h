/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * symbols.h - names for a back-trace: sorted by address, made from the linked
 * image by scripts/symbols and linked in by a second pass.
 */
#ifndef SYMBOLS_H
#define SYMBOLS_H

#include "types.h"

struct symbol {
	u32 offset;	/* from image_start */
	u32 name;	/* into symbol_names */
};

extern const struct symbol symbol_table[];
extern const u32 symbol_count;
extern const char symbol_names[];

/* The function that address lies in, "?" for none; *offset is the distance from its start. */
const char *symbol_find(u64 address, u64 *offset);

#endif
