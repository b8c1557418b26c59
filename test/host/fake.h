/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fake.h - a machine for kernel/ on the host: physical memory, CPUs, and an
 * architecture that does nothing but keep its side of machine.h's contracts.
 *
 * Memory: [0, FAKE_HV_BYTES) is the hypervisor's, the rest the service VM's.
 * phys_to_virt() fails the test when the hypervisor reaches for a page of the
 * service VM that is not shared with it.
 */
#ifndef TEST_HOST_FAKE_H
#define TEST_HOST_FAKE_H

#include "types.h"
#include "percpu.h"
#include "pool.h"

#define FAKE_BYTES (256ull << 20)
#define FAKE_HV_BYTES (16ull << 20)
#define FAKE_PAGES (FAKE_BYTES / PAGE_SIZE)
#define FAKE_CPUS 2u

/* The machine as after boot: ownership set, handles free, FAKE_CPUS CPUs. Once per program; later calls only clear memory. */
void fake_boot(void);

/* The service VM's own view of memory, no questions asked. */
void *fake_memory(u64 pa);

/* 1 while the page is hidden from the service VM. */
int fake_hidden(u64 pa);

/* One in n calls of service_hide() has no memory; 0: none. */
extern unsigned int fake_hide_fails;
/* Handlers of the architecture that ran, and what went wrong in them. */
extern unsigned long fake_ops_done;
/* Whether phys_to_virt() looks at owners. */
extern int fake_strict;

struct pool *fake_pool(void);

#endif
