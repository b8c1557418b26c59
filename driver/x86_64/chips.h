/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * x86_64/chips.h - PIC and IOAPIC as devices of a VM.
 * Called by: route.c, iodev.c, ioctl.c, vm.c by arch.h.
 */
#ifndef DRIVER_X86_64_CHIPS_H
#define DRIVER_X86_64_CHIPS_H

#include "irqchip.h"
#include "route.h"

/* A line of a chip; answers as route_set(). IRQCHIP_KERNEL only. Any context. */
int pic_line(struct vm *vm, u32 pin, enum irq_source source, bool level);
int ioapic_line(struct vm *vm, u32 pin, enum irq_source source, bool level, bool watched);

/* The guest's access: 0, or -EOPNOTSUPP where KVM's device lets it pass. */
int pic_access(struct vm *vm, u16 port, u32 len, void *data, bool write);
int ioapic_access(struct vm *vm, u64 gpa, u32 len, void *data, bool write);

long chips_create(void *object, unsigned long arg);
long chips_get(void *object, unsigned long arg);
long chips_set(void *object, unsigned long arg);
/* KVM_CAP_SPLIT_IRQCHIP with this many pins of the VMM's IOAPIC: GSIs below are its. */
int chips_split(struct vm *vm, u64 pins);
/* Nothing of the chips runs by itself after this. May sleep. */
void chips_stop(struct vm *vm);
void chips_free(struct vm *vm);

/* ---- routing.c, beside what route.h asks of it ---- */

/* A pin's mask went away. */
void route_unmasked(struct vm *vm, u32 chip, u32 pin);
/* Split irqchip: call for each MSI route of the GSIs that stand for the VMM's IOAPIC pins. */
void route_each_msi(struct vm *vm, u32 gsis, void (*call)(void *ctx, const struct route *r), void *ctx);
long route_line(void *object, unsigned long arg);
long route_line_status(void *object, unsigned long arg);

#endif
