/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * x86_64/pit_timer.h - the PIT as a device of a VM.
 * Called by: irqchip.c, iodev.c, ioctl.c.
 */
#ifndef DRIVER_X86_64_PIT_TIMER_H
#define DRIVER_X86_64_PIT_TIMER_H

#include "tenon.h"

struct vm_pit;

/* KVM_CREATE_PIT and the others, as rows of the VM's table. */
long pit_create(void *object, unsigned long arg);
long pit_create2(void *object, unsigned long arg);
long pit_get(void *object, unsigned long arg);
long pit_set(void *object, unsigned long arg);
long pit_get2(void *object, unsigned long arg);
long pit_set2(void *object, unsigned long arg);
long pit_reinject(void *object, unsigned long arg);

/* A port access within the PIT's ports; with -EOPNOTSUPP it is the VMM's. May sleep. */
int pit_access(struct vm *vm, u16 port, u32 len, void *data, bool write);
/* The guest has acknowledged GSI 0, or unmasked it. Any context. */
void pit_acked(struct vm *vm);
void pit_unmasked(struct vm *vm);
/* Does somebody have to hear of GSI 0's EOI? */
bool pit_wants_ack(const struct vm *vm);
/* No tick comes after this. May sleep. */
void pit_free(struct vm *vm);

#endif
