/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * routes.h - a GSI routing table: which interrupt chips' pins, or which MSI, a
 * global interrupt number stands for.
 *
 * Owns: struct routes, one allocation, never changed once built. A GSI's routes
 * are chained by index in the order given.
 * Called by: route.c; the host unit tests.
 * See: Documentation/virt/kvm/api.rst, KVM_SET_GSI_ROUTING.
 */
#ifndef DRIVER_MODELS_ROUTES_H
#define DRIVER_MODELS_ROUTES_H

#include "model.h"

#define ROUTES_MAX 4096u	/* KVM_CAP_IRQ_ROUTING: GSIs, and entries of a table */
#define ROUTES_CHIPS 3u		/* PIC master, PIC slave, IOAPIC */
#define ROUTES_PINS 24u
#define ROUTES_GIC_PINS 988u	/* of a GIC, which is chip 0: SPIs, from 32 on */
#define ROUTES_PER_GSI 3u	/* one on each chip */
#define ROUTES_END 0xffffu

struct route {
	u8 type;		/* KVM_IRQ_ROUTING_IRQCHIP, KVM_IRQ_ROUTING_MSI */
	u8 flags;		/* KVM_MSI_VALID_DEVID */
	u16 next;		/* of the same GSI, ROUTES_END: none */
	union {
		struct { u32 chip, pin; };	/* PIC slave: pins 8 to 15 */
		struct { u32 address_lo, address_hi, data, devid; };
	};
};

struct routes {
	u32 gsis;				/* numbers below this have a head */
	u32 count;
	u32 pins;				/* of each chip in gsi_of */
	u16 *head;				/* [gsis], behind the routes */
	s16 *gsi_of;				/* behind them: the GSI of a chip's pin, -1: none */
	struct route route[];
};

/* What the VM allows beside KVM's general rules. */
struct routes_rules {
	bool chips;		/* PIC and IOAPIC are in the kernel */
	bool gic;		/* or a GIC */
	bool wide_ids;		/* KVM_X2APIC_API_USE_32BIT_IDS: an MSI's address_hi carries an ID */
};

/* Bytes that a table of these entries needs, 0 when a GSI is out of range. */
size_t routes_bytes(const struct kvm_irq_routing_entry *e, u32 count, const struct routes_rules *rules);
/* Fill `r`, of routes_bytes(). 0 or -EINVAL. */
int routes_build(struct routes *r, const struct kvm_irq_routing_entry *e, u32 count,
		 const struct routes_rules *rules);
/* The GSI of a chip's pin that is there, or -1. */
static inline int routes_gsi(const struct routes *r, u32 chip, u32 pin)
{
	return r->gsi_of[chip * r->pins + pin];
}

/* A GSI's routes into `out`; their number. */
u32 routes_find(const struct routes *r, u32 gsi, struct route out[ROUTES_PER_GSI]);
/* What KVM_CREATE_IRQCHIP routes by itself: returns the number of entries written, at most 40. */
#define ROUTES_DEFAULT 40u
u32 routes_default(struct kvm_irq_routing_entry *e);
/* A GSI for each of a GIC's first pins. */
void routes_gic_default(struct kvm_irq_routing_entry *e, u32 pins);

#endif
