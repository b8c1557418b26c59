/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.c - page ownership, see memory.h.
 *
 * Owns: the table of page records. Invariant: shares != 0 only where the owner
 * is the service VM.
 * Called by: vm.c, ring.c, the service VM's set-up. Lock-free.
 */
#include "memory.h"
#include "errno.h"

#define RECORD(owner, shares) ((u32)(owner) | (u32)(shares) << 16)
#define RECORD_OWNER(r) ((r) & 0xffffu)
#define RECORD_SHARES(r) ((r) >> 16)
#define SHARES_MAX 0xffffu
#define PAIR(owner) (RECORD(owner, 0) * 0x100000001ull)	/* the records of two pages */

static u32 *records;
static u64 record_count;
static u64 share_count;

void memory_init(u32 *table, u64 pages)
{
	records = table;
	record_count = pages;
}

void memory_assign(u64 pa, u64 pages, u32 owner)
{
	u64 first = min_u64(pa >> PAGE_SHIFT, record_count);
	u32 *at = records + first, *end = at + min_u64(pages, record_count - first);

	while (at < end)
		*at++ = RECORD(owner, 0);
}

u32 memory_owner(u64 pa)
{
	u64 i = pa >> PAGE_SHIFT;

	return i < record_count ? RECORD_OWNER(READ_ONCE(records[i])) : OWNER_NONE;
}

u64 memory_run(u64 pa, u64 end)
{
	const u32 *at = records + (pa >> PAGE_SHIFT), *last = records + min_u64(end >> PAGE_SHIFT, record_count);
	u32 owner = memory_owner(pa);

	while (last - at >= 4 && !RECORD_OWNER((at[0] ^ owner) | (at[1] ^ owner) | (at[2] ^ owner) | (at[3] ^ owner)))
		at += 4;
	while (at < last && RECORD_OWNER(*at) == owner)
		at++;
	/* Past the records there is no RAM. */
	return at < records + record_count || owner != OWNER_NONE ? (u64)(at - records) << PAGE_SHIFT : end;
}

static int in_table(u64 pa, u64 pages)
{
	u64 first = pa >> PAGE_SHIFT;

	return !(pa & (PAGE_SIZE - 1)) && pages && first < record_count && pages <= record_count - first;
}

int memory_move(u64 pa, u64 pages, u32 from, u32 to)
{
	u64 *first = (u64 *)(records + (pa >> PAGE_SHIFT)), *at = first, old;

	if (!in_table(pa, pages) || (((pa >> PAGE_SHIFT) | pages) & 1))
		return -EPERM;
	for (; at < first + pages / 2; at++) {
		old = PAIR(from);
		if (!__atomic_compare_exchange_n(at, &old, PAIR(to), 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			goto undo;
	}
	return 0;
undo:
	while (at-- > first)
		__atomic_store_n(at, PAIR(from), __ATOMIC_RELEASE);
	return -EPERM;
}

static void unshare(u64 first, u64 end)
{
	for (; first < end; first++)
		__atomic_fetch_sub(&records[first], RECORD(0, 1), __ATOMIC_RELEASE);
}

int memory_share(u64 pa, u64 pages)
{
	u64 first = pa >> PAGE_SHIFT, i;
	u32 old;

	if (!in_table(pa, pages))
		return -EPERM;
	for (i = first; i < first + pages; i++) {
		old = READ_ONCE(records[i]);
		do {
			if (RECORD_OWNER(old) != OWNER_SERVICE || RECORD_SHARES(old) == SHARES_MAX)
				goto undo;
		} while (!__atomic_compare_exchange_n(&records[i], &old, old + RECORD(0, 1), 0,
						      __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	}
	__atomic_fetch_add(&share_count, pages, __ATOMIC_RELAXED);
	return 0;
undo:
	unshare(first, i);
	return -EPERM;
}

void memory_unshare(u64 pa, u64 pages)
{
	u64 first = pa >> PAGE_SHIFT;

	unshare(first, first + pages);
	__atomic_fetch_sub(&share_count, pages, __ATOMIC_RELAXED);
}

u64 memory_shares(void)
{
	return READ_ONCE(share_count);
}
