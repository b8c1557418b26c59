/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * route.h - GSI routing of a VM, and the irqfds that feed it.
 *
 * Invariant: vm.arch.routing is there from the moment that the VM's interrupt
 * controllers are in use (on x86: that irqchip_mode leaves IRQCHIP_NONE) to its end.
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

/* The table that the VM has by itself, in place of any. 0 or -errno. vm->lock held. */
int route_init(struct vm *vm, const struct routes_rules *rules, const struct kvm_irq_routing_entry *entries, u32 count);
void route_free(struct vm *vm);

/*
 * A source moves a GSI's line. More than 0: interrupts that went out (one at
 * least, if a line down); 0: all merged with pending ones; -1: masked, or no
 * route. `watched`: the VMM asked (KVM_IRQ_LINE_STATUS). Any context.
 */
int route_set(struct vm *vm, enum irq_source source, u32 gsi, bool level, bool watched);

/* A chip's pin was acknowledged: tells resamplers of its GSI, and who else waits. No chip's lock held. Any context. */
void route_acked(struct vm *vm, u32 chip, u32 pin);
/* Would anybody be told? */
bool route_wants_ack(struct vm *vm, u32 chip, u32 pin);
/* The GSI of a chip's pin, or -1. routing.srcu held. */
int route_gsi(struct routing *routing, u32 chip, u32 pin);

long route_set_table(void *object, unsigned long arg);

/* ---- routing.c of each architecture ---- */

/* One route of a GSI whose line moves, as route_set(). */
int route_send(struct vm *vm, const struct route *r, enum irq_source source, bool level, bool watched);
/* What a table may hold. */
struct routes_rules route_rules(const struct vm *vm);
/* KVM_SET_GSI_ROUTING of this VM: 0 (and vm.arch.routing is there) or -errno. */
int route_may_set(struct vm *vm);
/* Routes, or who hears of an acknowledgement, are others now. */
void route_changed(struct vm *vm);
/* An irqfd with these flags: 0 or -errno. */
int route_may_irqfd(const struct vm *vm, u32 flags);
/* A GSI's pin was acknowledged; does anybody wait for that? routing.srcu held. Beside resamplers. */
void route_told(struct vm *vm, u32 gsi);
bool route_waits(struct vm *vm, u32 gsi);

long route_signal_msi(void *object, unsigned long arg);

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
