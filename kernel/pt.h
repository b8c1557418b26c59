/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pt.h - one page-table walker for tables of every format.
 *
 *   level 3 (512 GiB an entry) -> 2 (1 GiB) -> 1 (2 MiB) -> 0 (4 KiB)
 *
 * A table is one page of 512 64-bit entries; a leaf may stand at level 0 up to
 * the format's highest leaf level. What the bits mean is in the format, a few
 * words of data. The walker never flushes a TLB: it tells what it took away,
 * and the caller flushes before the memory is used for anything else.
 */
#ifndef PT_H
#define PT_H

#include "types.h"
#include "pool.h"

#define PT_TOP 3
#define PT_ENTRIES 512u

struct pt_format {
	u64 present;		/* an entry with none of these bits is empty */
	u64 large;		/* marks a leaf above level 0 */
	u64 page;		/* bits that a leaf of level 0 alone has */
	u64 table;		/* the bits of an entry that points to a table */
	u64 address;		/* mask of the address bits */
	/* Where a live entry may not be replaced in one step: flushes every TLB between the two. NULL: it may. */
	void (*flush)(void);
};

struct pt {
	const struct pt_format *format;
	struct pool *pool;	/* where tables come from and go to */
	u64 root;		/* physical address of the top table */
	int leaf_max;		/* highest level that may hold a leaf: 0, 1 or 2 */
};

/* Called for each leaf taken away: physical address, pages. May be NULL. */
typedef void (*pt_gone_fn)(void *ctx, u64 pa, u64 pages);

/*
 * Maps [va, + pages) to [pa, ..) with the bits attr, in the largest leaves that
 * fit. A leaf in the way is replaced (gone is told); a table in the way of a
 * large leaf stays, and is filled. Returns the pages mapped: fewer than asked
 * when the pool is empty.
 */
u64 pt_map(struct pt *pt, u64 va, u64 pa, u64 pages, u64 attr, pt_gone_fn gone, void *ctx);

/*
 * Clears bits of every leaf that touches [va, + pages) and has one of them; gone
 * is told. Returns the number of those leaves. What the processor itself sets in
 * a leaf meanwhile may be lost.
 */
u64 pt_clear(struct pt *pt, u64 va, u64 pages, u64 bits, pt_gone_fn gone, void *ctx);

/*
 * Takes away every leaf that touches [va, + pages): a larger leaf goes as a
 * whole. Returns the number of leaves taken. Tables stay.
 */
#define pt_unmap(pt, va, pages, gone, ctx) pt_clear(pt, va, pages, ~0ull, gone, ctx)

/* Splits leaves so that [va, + pages) has no leaf in common with its outside. 0 or -ENOMEM. */
int pt_split(struct pt *pt, u64 va, u64 pages);

/* The leaf that maps va (0: none); *level is where the walk ended. */
u64 pt_lookup(const struct pt *pt, u64 va, int *level);

#endif
