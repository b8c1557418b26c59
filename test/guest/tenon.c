/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tenon.c - the doorbell and the rings, see abi/ring.h.
 * Concurrency: each CPU uses its own ring.
 */
#include "tenon.h"

struct ring rings[2] __attribute__((aligned(RING_BYTES)));

_Static_assert(sizeof(struct ring) == RING_BYTES, "a ring is as long as its alignment");

s64 hypercall(u64 number, u64 arg)
{
	s64 result;

	if (vendor_intel)
		asm volatile("vmcall" : "=a"(result) : "a"(number), "D"(arg) : "memory");
	else
		asm volatile("vmmcall" : "=a"(result) : "a"(number), "D"(arg) : "memory");
	return result;
}

s64 ring_setup(void)
{
	memset(ring_mine(), 0, RING_BYTES);
	return hypercall(HC_RING_REGISTER, (u64)ring_mine());
}

struct ring_entry *ring_add(u32 op, u32 handle, u64 arg, u32 offset, u32 length)
{
	struct ring *r = ring_mine();
	struct ring_entry *e = &r->entry[r->submit % RING_ENTRIES];

	*e = (struct ring_entry) { op, handle, offset, length, arg, 0x5a5a5a5a };
	WRITE_ONCE(r->submit, r->submit + 1);
	return e;
}

s64 ring_ring(void)
{
	return hypercall(HC_DOORBELL, 0);
}

s64 ring_op(u32 op, u32 handle, u64 arg, const void *in, u32 length)
{
	struct ring_entry *e;
	s64 err;

	if (in && length <= RING_OP_BYTES)
		memcpy(ring_payload(), in, length);
	e = ring_add(op, handle, arg, 0, length);
	err = ring_ring();
	return err ? err : e->result;
}

s64 mem_stats(struct mem_stats *m)
{
	s64 err = ring_op(N_OP_MEM_STATS, 0, 0, NULL, 0);

	memcpy(m, ring_payload(), sizeof(*m));
	return err;
}

void mem_stats_same(const struct mem_stats *before, const char *after_what)
{
	static const char *const names[] = {
		"pool_pages", "pool_free", "vms", "vcpus", "donated_pages", "shared_pages", "cpus", "total_pages",
	};
	struct mem_stats now;
	u32 i;

	EXPECT(!mem_stats(&now), "OP_MEM_STATS refused");
	for (i = 0; i < ARRAY_SIZE(names); i++)
		EXPECT(((u64 *)&now)[i] == ((const u64 *)before)[i], "%s: %s was %llu, is %llu", after_what, names[i],
		       ((const u64 *)before)[i], ((u64 *)&now)[i]);
}
