/* SPDX-License-Identifier: BSD-2-Clause */
/* trap.h - the hypervisor's descriptor tables. */
#ifndef TRAP_H
#define TRAP_H

#include "types.h"

void trap_init(void);	/* boot: builds the IDT */
void trap_gate(u32 vector, const void *handler);	/* boot: another handler */
void trap_load(void);	/* each CPU: GDT and IDT */

#endif
