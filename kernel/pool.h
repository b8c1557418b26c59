/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pool.h - pages for tables and objects: one pool for the hypervisor itself,
 * one for each VM, made of the blocks that were donated to it. A page comes
 * cleared. Freed pages keep a link in their first word.
 */
#ifndef POOL_H
#define POOL_H

#include "types.h"

struct pool {
	u64 free;	/* physical address of the first freed page, 0: none */
	u64 next;	/* never used pages: [next, end) */
	u64 end;
	u64 pages_free;
	u64 pages_total;
};

/* Adds [pa, pa + bytes), page aligned. Any part never used of an older range is linked in first. */
void pool_add(struct pool *p, u64 pa, u64 bytes);

/* A cleared page's physical address, or 0 when there is none. */
u64 pool_alloc(struct pool *p);

/* n cleared pages in one piece, from the never used ones; 0 when there are none. */
u64 pool_alloc_pages(struct pool *p, u64 n);

void pool_free(struct pool *p, u64 pa);

#endif
