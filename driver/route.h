/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * route.h - GSI routing of a VM, and the irqfds that feed it.
 *
 * Invariant: vm.arch.routing is there from the moment that irqchip_mode leaves
 * IRQCHIP_NONE to the VM's end.
 * Included by: what raises interrupt lines, or hears of their acknowledgement.
 */
#ifndef DRIVER_ROUTE_H
#define DRIVER_ROUTE_H

#include "tenon.h"
#include "models/routes.h"

/* Who holds a line up: a line is the OR of its sources. */
enum irq_source { IRQ_SOURCE_VMM, IRQ_SOURCE_RESAMPLE, IRQ_SOURCE_PIT };

struct routing {
	struct srcu_struct srcu;	/* readers of `routes` and of resamplers */
	struct mutex lock;		/* to change routes */
	struct routes __rcu *routes;
	/* irqfd.c */
	spinlock_t irqfd_lock;
	struct list_head irqfds;
	struct mutex resampler_lock;
	struct list_head resamplers;
};

/* ---- route.c ---- */

/* For a VM whose mode is about to change: the default routes, or none at all. 0 or -ENOMEM. vm->lock held. */
int route_init(struct vm *vm, bool chips);
void route_free(struct vm *vm);

/*
 * A source moves a GSI's line. More than 0: interrupts that went out (one at
 * least, if a line down); 0: all merged with pending ones; -1: masked, or no
 * route. `watched`: the VMM asked (KVM_IRQ_LINE_STATUS). Any context.
 */
int route_set(struct vm *vm, enum irq_source source, u32 gsi, bool level, bool watched);

/* A chip's pin was acknowledged: tells PIT and resamplers of its GSI. No chip's lock held. Any context. */
void route_acked(struct vm *vm, u32 chip, u32 pin);
/* Would anybody be told? */
bool route_wants_ack(struct vm *vm, u32 chip, u32 pin);
/* A pin's mask went away. */
void route_unmasked(struct vm *vm, u32 chip, u32 pin);
/* Split irqchip: call for each MSI route of the GSIs that stand for the VMM's IOAPIC pins. */
void route_each_msi(struct vm *vm, u32 gsis, void (*call)(void *ctx, const struct route *r), void *ctx);

long route_set_table(void *object, unsigned long arg);
long route_signal_msi(void *object, unsigned long arg);
long route_line(void *object, unsigned long arg);
long route_line_status(void *object, unsigned long arg);

/* ---- irqfd.c ---- */

int irqfd_init(void);
void irqfd_exit(void);
long irqfd_ioctl(void *object, unsigned long arg);
/* Detach all: nothing of them is signalled any more. May sleep. */
void irqfd_release(struct vm *vm);
/* GSI's line was acknowledged. Inside routing.srcu. */
void irqfd_acked(struct vm *vm, u32 gsi);
bool irqfd_resamples(struct vm *vm, u32 gsi);

#endif
