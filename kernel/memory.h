/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.h - who owns each physical page.
 *
 * A page's record is one 32-bit word: the owner and, for a page of the service
 * VM, how often it is shared (mapped into user VMs, or used by the hypervisor
 * as a ring or an exit page). Legal states:
 *
 *   owner        shares   meaning
 *   NONE         0        no RAM: device or hole; the service VM's to touch
 *   HYPERVISOR   0        image, pool, this table: nobody else's
 *   SERVICE      0        the service VM's alone
 *   SERVICE      n > 0    the service VM's, shared n times: cannot be donated
 *   VM(i)        0        donated: tables and vCPUs of VM i; hidden from the service VM
 *
 * Every change is one compare-and-swap, so that no two CPUs can both succeed;
 * a change of many pages that fails part way is taken back.
 */
#ifndef MEMORY_H
#define MEMORY_H

#include "types.h"

#define OWNER_NONE 0u
#define OWNER_HYPERVISOR 1u
#define OWNER_SERVICE 2u
#define OWNER_VM(slot) (3u + (slot))

/* Boot: the table covers [0, pages) and lies at table (cleared: all NONE). */
void memory_init(u32 *table, u64 pages);

/* Boot: sets the owner of pages without a check. */
void memory_assign(u64 pa, u64 pages, u32 owner);

/* Pages [pa, ..) from owner `from`, unshared, to `to`. 0, or -EPERM and nothing changed. In pairs: pa and pages are even. */
int memory_move(u64 pa, u64 pages, u32 from, u32 to);

/* One more share of each page, all of which the service VM must own. 0, -EPERM, nothing changed. */
int memory_share(u64 pa, u64 pages);
void memory_unshare(u64 pa, u64 pages);

/* Owner of the page, OWNER_NONE for what is no RAM. */
u32 memory_owner(u64 pa);

/* Where the run of pages with pa's owner ends, at most at `end`. */
u64 memory_run(u64 pa, u64 end);

u64 memory_shares(void);	/* sum of all share counts */

#endif
