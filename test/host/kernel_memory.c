// SPDX-License-Identifier: BSD-2-Clause
/*
 * kernel_memory.c - unit tests of kernel/memory.c and kernel/pool.c: each
 * transition of memory.h's table, all or nothing over many pages, two CPUs at
 * the same page; pages that come cleared, and come back.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include "check.h"
#include "fake.h"
#include "kernel/errno.h"
#include "kernel/memory.h"
#include "phys.h"

#define SERVICE_PA FAKE_HV_BYTES

TEST(kernel_memory_transitions)
{
	u64 pa = SERVICE_PA;

	fake_boot();
	CHECK_EQ(memory_owner(0), OWNER_HYPERVISOR);
	CHECK_EQ(memory_owner(pa), OWNER_SERVICE);
	CHECK_EQ(memory_owner(FAKE_BYTES), OWNER_NONE);
	/* the hypervisor's pages can be neither shared nor donated */
	CHECK_EQ(memory_share(0, 1), -EPERM);
	CHECK_EQ(memory_move(0, 1, OWNER_SERVICE, OWNER_VM(1)), -EPERM);
	/* shared: not donated */
	CHECK_EQ(memory_share(pa, 1), 0);
	CHECK_EQ(memory_share(pa, 1), 0);
	CHECK_EQ(memory_shares(), 2);
	CHECK_EQ(memory_owner(pa), OWNER_SERVICE);
	CHECK_EQ(memory_move(pa, 2, OWNER_SERVICE, OWNER_VM(1)), -EPERM);
	memory_unshare(pa, 1);
	CHECK_EQ(memory_move(pa, 2, OWNER_SERVICE, OWNER_VM(1)), -EPERM);
	memory_unshare(pa, 1);
	CHECK_EQ(memory_shares(), 0);
	/* donated: not shared, not donated again, back only from its owner */
	CHECK_EQ(memory_move(pa, 2, OWNER_SERVICE, OWNER_VM(1)), 0);
	CHECK_EQ(memory_owner(pa), OWNER_VM(1));
	CHECK_EQ(memory_share(pa, 1), -EPERM);
	CHECK_EQ(memory_move(pa, 2, OWNER_SERVICE, OWNER_VM(2)), -EPERM);
	CHECK_EQ(memory_move(pa, 2, OWNER_VM(2), OWNER_SERVICE), -EPERM);
	CHECK_EQ(memory_move(pa, 2, OWNER_VM(1), OWNER_SERVICE), 0);
	/* holes */
	memory_assign(pa, 1, OWNER_NONE);
	CHECK_EQ(memory_share(pa, 1), -EPERM);
	CHECK_EQ(memory_move(pa, 2, OWNER_SERVICE, OWNER_VM(1)), -EPERM);
}

TEST(kernel_memory_ranges)
{
	static const struct { u64 pa, pages; } bad[] = {
		{ SERVICE_PA + 1, 1 }, { SERVICE_PA, 0 }, { FAKE_BYTES, 1 }, { FAKE_BYTES - PAGE_SIZE, 2 },
		{ SERVICE_PA, ~0ull }, { ~0ull << 12, 1 }, { SERVICE_PA, 1ull << 52 }, { FAKE_HV_BYTES - PAGE_SIZE, 2 },
		{ 1ull << 63, 1 }, { SERVICE_PA, FAKE_PAGES },
		{ FAKE_BYTES, 2 }, { FAKE_BYTES - 2 * PAGE_SIZE, 4 }, { 1ull << 63, 2 }, { FAKE_HV_BYTES - 2 * PAGE_SIZE, 4 },
	};
	unsigned int i;

	fake_boot();
	for (i = 0; i < COUNT(bad); i++) {
		CHECK_EQ(memory_share(bad[i].pa, bad[i].pages), -EPERM);
		CHECK_EQ(memory_move(bad[i].pa, bad[i].pages, OWNER_SERVICE, OWNER_VM(1)), -EPERM);
	}
	CHECK_EQ(memory_shares(), 0);
	for (i = 0; i < FAKE_PAGES; i++)
		CHECK_EQ(memory_owner(i * PAGE_SIZE), i < FAKE_HV_BYTES / PAGE_SIZE ? OWNER_HYPERVISOR : OWNER_SERVICE);
}

/* A change of many pages that meets a bad one in the middle is taken back. */
TEST(kernel_memory_all_or_nothing)
{
	u64 pa = SERVICE_PA, i;

	fake_boot();
	CHECK_EQ(memory_share(pa + 100 * PAGE_SIZE, 1), 0);
	CHECK_EQ(memory_move(pa, 512, OWNER_SERVICE, OWNER_VM(5)), -EPERM);
	CHECK_EQ(memory_share(pa, 512), 0);
	memory_unshare(pa, 512);
	memory_unshare(pa + 100 * PAGE_SIZE, 1);
	CHECK_EQ(memory_move(pa + 510 * PAGE_SIZE, 2, OWNER_SERVICE, OWNER_VM(6)), 0);
	CHECK_EQ(memory_share(pa, 512), -EPERM);
	CHECK_EQ(memory_shares(), 0);
	CHECK_EQ(memory_move(pa, 509, OWNER_SERVICE, OWNER_VM(5)), -EPERM);
	CHECK_EQ(memory_move(pa + PAGE_SIZE, 2, OWNER_SERVICE, OWNER_VM(5)), -EPERM);
	CHECK_EQ(memory_move(pa, 510, OWNER_SERVICE, OWNER_VM(5)), 0);
	for (i = 0; i < 510; i++)
		CHECK_EQ(memory_owner(pa + i * PAGE_SIZE), OWNER_VM(5));
}

TEST(kernel_memory_share_count_is_bounded)
{
	unsigned int i;

	fake_boot();
	for (i = 0; i < 0xffff; i++)
		CHECK_EQ(memory_share(SERVICE_PA, 1), 0);
	CHECK_EQ(memory_share(SERVICE_PA, 1), -EPERM);
	CHECK_EQ(memory_share(SERVICE_PA, 2), -EPERM);
	CHECK_EQ(memory_owner(SERVICE_PA), OWNER_SERVICE);
	for (i = 0; i < 0xffff; i++)
		memory_unshare(SERVICE_PA, 1);
	CHECK_EQ(memory_move(SERVICE_PA, 2, OWNER_SERVICE, OWNER_VM(1)), 0);
	CHECK_EQ(memory_shares(), 0);
}

#define RACE_ROUNDS 100000
static unsigned int inside, moved, shared;

/* While one CPU owns the pages by a move, nobody may hold a share. */
static void *mover(void *unused)
{
	while (moved < RACE_ROUNDS) {
		if (memory_move(SERVICE_PA, 4, OWNER_SERVICE, OWNER_VM(1))) {
			sched_yield();
			continue;
		}
		CHECK_EQ(__atomic_load_n(&inside, __ATOMIC_SEQ_CST), 0);
		moved++;
		memory_move(SERVICE_PA, 4, OWNER_VM(1), OWNER_SERVICE);
	}
	return unused;
}

static void *sharer(void *unused)
{
	while (shared < RACE_ROUNDS) {
		if (memory_share(SERVICE_PA + PAGE_SIZE, 3)) {
			sched_yield();
			continue;
		}
		__atomic_fetch_add(&inside, 1, __ATOMIC_SEQ_CST);
		CHECK_EQ(memory_owner(SERVICE_PA + PAGE_SIZE), OWNER_SERVICE);
		shared++;
		__atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);
		memory_unshare(SERVICE_PA + PAGE_SIZE, 3);
	}
	return unused;
}

TEST(kernel_memory_two_cpus)
{
	pthread_t a, b;

	fake_boot();
	pthread_create(&a, NULL, mover, NULL);
	pthread_create(&b, NULL, sharer, NULL);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	CHECK_EQ(memory_shares(), 0);
	CHECK_EQ(memory_move(SERVICE_PA, 4, OWNER_SERVICE, OWNER_VM(1)), 0);
}

static int is_clear(u64 pa)
{
	u64 *p = fake_memory(pa), i;

	for (i = 0; i < PAGE_SIZE / 8; i++)
		if (p[i])
			return 0;
	return 1;
}

TEST(kernel_pool_pages)
{
	struct pool p = { 0 };
	u64 pa[16], i, total = 0;

	fake_boot();
	memset(fake_memory(0x100000), 0xff, 16 * PAGE_SIZE);
	CHECK_EQ(pool_alloc(&p), 0);
	pool_add(&p, 0x100000, 4 * PAGE_SIZE);
	CHECK_EQ(pool_alloc_pages(&p, 5), 0);
	CHECK_EQ(pool_alloc_pages(&p, 3), 0x100000);
	CHECK_EQ(p.pages_free, 1);
	/* a second range: the rest of the first is not lost */
	pool_add(&p, 0x108000, 8 * PAGE_SIZE);
	CHECK_EQ(p.pages_free, 9);
	CHECK_EQ(p.pages_total, 12);
	while ((pa[total] = pool_alloc(&p)) != 0) {
		CHECK(is_clear(pa[total]));
		memset(fake_memory(pa[total]), 0xee, PAGE_SIZE);
		total++;
	}
	CHECK_EQ(total, 9);
	CHECK_EQ(p.pages_free, 0);
	for (i = 0; i < total; i++)
		pool_free(&p, pa[i]);
	CHECK_EQ(p.pages_free, 9);
	for (i = 0; i < total; i++)
		CHECK(is_clear(pool_alloc(&p)));
	CHECK_EQ(pool_alloc(&p), 0);
}
