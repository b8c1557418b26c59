// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * routes.c - GSI routing tables, see routes.h.
 *
 * Owns: nothing. Invariant: every route that is in a table can be used as it
 * is: chip and pin exist, an MSI's address is valid for the VM.
 */
#include "routes.h"
#ifdef __KERNEL__
#include <linux/errno.h>
#else
#include <errno.h>
#endif

#define PIC_CHIP_PINS 8u

/* KVM's numbers of the PC's chips, which other architectures' headers lack. */
enum { CHIP_PIC_MASTER, CHIP_PIC_SLAVE, CHIP_IOAPIC };

/* Chips and pins, as gsi_of has them. */
static u32 all_chips(const struct routes_rules *rules)
{
	return rules->gic ? 1 : ROUTES_CHIPS;
}

static u32 all_pins(const struct routes_rules *rules)
{
	return rules->gic ? ROUTES_GIC_PINS : ROUTES_PINS;
}

size_t routes_bytes(const struct kvm_irq_routing_entry *e, u32 count, const struct routes_rules *rules)
{
	u32 top = 0, i;

	for (i = 0; i < count; i++) {
		if (e[i].gsi >= ROUTES_MAX)
			return 0;
		if (e[i].gsi > top)
			top = e[i].gsi;
	}
	return sizeof(struct routes) + count * sizeof(struct route) + (top + 1) * sizeof(u16) +
	       all_chips(rules) * all_pins(rules) * sizeof(s16);
}

/* Pins of one chip in an entry's numbering, 0: no such chip. */
static u32 chip_pins(u32 chip, const struct routes_rules *rules)
{
	if (rules->gic)
		return chip ? 0 : ROUTES_GIC_PINS;
	if (chip == CHIP_IOAPIC)
		return ROUTES_PINS;
	return chip < CHIP_IOAPIC ? PIC_CHIP_PINS : 0;
}

static int fill_chip(struct routes *r, struct route *to, const struct kvm_irq_routing_entry *e, const struct routes_rules *rules)
{
	u32 chip = e->u.irqchip.irqchip, pin = e->u.irqchip.pin;

	if (pin >= chip_pins(chip, rules))
		return -EINVAL;
	to->chip = chip;
	to->pin = chip == CHIP_PIC_SLAVE ? pin + PIC_CHIP_PINS : pin;
	r->gsi_of[to->chip * r->pins + to->pin] = e->gsi;
	return 0;
}

static int fill_msi(struct route *to, const struct kvm_irq_routing_entry *e, const struct routes_rules *rules)
{
	if (rules->wide_ids && e->u.msi.address_hi & 0xff)
		return -EINVAL;
	to->address_lo = e->u.msi.address_lo;
	to->address_hi = e->u.msi.address_hi;
	to->data = e->u.msi.data;
	to->devid = e->u.msi.devid;
	to->flags = e->flags;
	return 0;
}

static int fill(struct routes *r, struct route *to, const struct kvm_irq_routing_entry *e,
		const struct routes_rules *rules)
{
	u32 flags = e->type == KVM_IRQ_ROUTING_MSI ? KVM_MSI_VALID_DEVID : 0;

	if (e->flags & ~flags)
		return -EINVAL;
	to->type = e->type;
	to->flags = 0;
	if (e->type == KVM_IRQ_ROUTING_IRQCHIP && (rules->chips || rules->gic))
		return fill_chip(r, to, e, rules);
	return e->type == KVM_IRQ_ROUTING_MSI ? fill_msi(to, e, rules) : -EINVAL;
}

/* May both stand for one GSI? Only pins of different chips. */
static bool agree(const struct route *a, const struct kvm_irq_routing_entry *b)
{
	return a->type == KVM_IRQ_ROUTING_IRQCHIP && b->type == KVM_IRQ_ROUTING_IRQCHIP &&
	       a->chip != b->u.irqchip.irqchip;
}

static int add(struct routes *r, const struct kvm_irq_routing_entry *e, const struct routes_rules *rules)
{
	u16 *link = &r->head[e->gsi];
	int rc;

	for (; *link != ROUTES_END; link = &r->route[*link].next) {
		if (!agree(&r->route[*link], e))
			return -EINVAL;
	}
	rc = fill(r, &r->route[r->count], e, rules);
	if (rc)
		return rc;
	r->route[r->count].next = ROUTES_END;
	*link = r->count++;
	return 0;
}

int routes_build(struct routes *r, const struct kvm_irq_routing_entry *e, u32 count,
		 const struct routes_rules *rules)
{
	u32 i;
	int rc = 0;

	r->head = (u16 *)&r->route[count];
	r->count = 0;
	r->gsis = 1;
	for (i = 0; i < count; i++) {
		if (e[i].gsi >= r->gsis)
			r->gsis = e[i].gsi + 1;
	}
	r->pins = all_pins(rules);
	r->gsi_of = (s16 *)&r->head[r->gsis];
	memset(r->head, 0xff, r->gsis * sizeof(u16));
	memset(r->gsi_of, 0xff, all_chips(rules) * r->pins * sizeof(s16));
	for (i = 0; i < count && !rc; i++)
		rc = add(r, &e[i], rules);
	return rc;
}

u32 routes_find(const struct routes *r, u32 gsi, struct route out[ROUTES_PER_GSI])
{
	u32 n = 0;
	u16 i;

	if (gsi >= r->gsis)
		return 0;
	for (i = r->head[model_index(gsi, r->gsis)]; i != ROUTES_END && n < ROUTES_PER_GSI; i = r->route[i].next)
		out[n++] = r->route[i];
	return n;
}

static void put(struct kvm_irq_routing_entry *e, u32 gsi, u32 chip, u32 pin)
{
	memset(e, 0, sizeof(*e));
	e->gsi = gsi;
	e->type = KVM_IRQ_ROUTING_IRQCHIP;
	e->u.irqchip.irqchip = chip;
	e->u.irqchip.pin = pin;
}

/* Each GSI is the IOAPIC's pin of that number; the first 16 are the PICs' as well. */
u32 routes_default(struct kvm_irq_routing_entry *e)
{
	u32 gsi, n = 0;

	for (gsi = 0; gsi < ROUTES_PINS; gsi++) {
		put(&e[n++], gsi, CHIP_IOAPIC, gsi);
		if (gsi < 2 * PIC_CHIP_PINS)
			put(&e[n++], gsi, gsi / PIC_CHIP_PINS, gsi % PIC_CHIP_PINS);
	}
	return n;
}

void routes_gic_default(struct kvm_irq_routing_entry *e, u32 pins)
{
	u32 pin;

	for (pin = 0; pin < pins; pin++)
		put(&e[pin], pin, 0, pin);
}
