/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pool.c - see pool.h.
 * Concurrency: the caller's lock (a VM's, or the boot CPU alone).
 */
#include <string.h>
#include "pool.h"
#include "phys.h"

void pool_free(struct pool *p, u64 pa)
{
	*(u64 *)phys_to_virt(pa) = p->free;
	p->free = pa;
	p->pages_free++;
}

void pool_add(struct pool *p, u64 pa, u64 bytes)
{
	for (; p->next < p->end; p->next += PAGE_SIZE) {
		pool_free(p, p->next);
		p->pages_free--;
	}
	p->next = pa;
	p->end = pa + bytes;
	p->pages_free += bytes / PAGE_SIZE;
	p->pages_total += bytes / PAGE_SIZE;
}

u64 pool_alloc_pages(struct pool *p, u64 n)
{
	u64 pa = p->next;

	if (p->end - pa < n * PAGE_SIZE)
		return 0;
	p->next += n * PAGE_SIZE;
	p->pages_free -= n;
	memset(phys_to_virt(pa), 0, n * PAGE_SIZE);
	return pa;
}

u64 pool_alloc(struct pool *p)
{
	u64 pa = p->free;

	if (!pa)
		return pool_alloc_pages(p, 1);
	p->free = *(u64 *)phys_to_virt(pa);
	p->pages_free--;
	memset(phys_to_virt(pa), 0, PAGE_SIZE);
	return pa;
}
