/* SPDX-License-Identifier: BSD-2-Clause */
/* trap.h - the hypervisor's descriptor tables. */
#ifndef TRAP_H
#define TRAP_H

void trap_init(void);	/* boot: builds the IDT */
void trap_load(void);	/* each CPU: GDT and IDT */

#endif
