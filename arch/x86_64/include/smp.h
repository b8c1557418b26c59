/* SPDX-License-Identifier: BSD-2-Clause */
/* smp.h - starting the other CPUs. */
#ifndef SMP_H
#define SMP_H

#include "types.h"

/* Starts cpus[1 ..]; page: one below 1 MiB, its contents are put back. entry runs on the CPU's own stack. */
u32 smp_start(u64 page, void (*entry)(void));

u32 smp_apic_id(void);

#endif
