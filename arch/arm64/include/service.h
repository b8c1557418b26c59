/* SPDX-License-Identifier: BSD-2-Clause */
/* service.h - the service VM's memory: one-to-one second-stage tables. */
#ifndef SERVICE_H
#define SERVICE_H

#include "types.h"
#include "pt.h"

struct pool;

/* Boot: tables of [0, top), without what the service VM does not own. */
void service_memory_init(u64 top, struct pool *pool);

/* A stage-2 fault: maps what is the service VM's to touch. 0, or 1 = not its memory. */
int service_fault(u64 ipa);

/* Is pa nobody's, or the service VM's? */
int service_owns(u64 pa);

extern u64 service_vttbr;
extern u64 stage2_vtcr;

/* Geometry of second-stage tables, from the CPU's physical address size. */
void stage2_init(void);
/* A fresh top table's VTTBR base, or 0: no memory. */
u64 stage2_base(struct pt *pt);
u64 stage2_top(void);

#endif
