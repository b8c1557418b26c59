/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock.h - a ticket lock. Never held across a guest entry. A waiter serves
 * requests of other CPUs (cpu_poll), so that a holder that waits for all CPUs
 * (shootdown) cannot dead-lock with it.
 */
#ifndef LOCK_H
#define LOCK_H

#include "types.h"

struct lock {
	u32 next;
	u32 owner;
};

void cpu_poll(void);

static inline void lock_acquire(struct lock *l)
{
	u32 ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);

	while (__atomic_load_n(&l->owner, __ATOMIC_ACQUIRE) != ticket)
		cpu_poll();
}

static inline void lock_release(struct lock *l)
{
	__atomic_store_n(&l->owner, l->owner + 1, __ATOMIC_RELEASE);
}

#endif
