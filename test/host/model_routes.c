// SPDX-License-Identifier: BSD-2-Clause
/*
 * model_routes.c - unit tests of driver/models/routes.c: the default table, what
 * is refused, look-ups both ways.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "check.h"
#include "../../driver/models/routes.h"

#define CHIP(g, c, p) { .gsi = g, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { c, p } }
#define MSI(g, lo, hi, d) { .gsi = g, .type = KVM_IRQ_ROUTING_MSI, .u.msi = { lo, hi, d, { 0 } } }

static const struct routes_rules all = { .chips = true };

/* A table, or NULL with the reason in *rc. */
static struct routes *build(const struct kvm_irq_routing_entry *e, u32 count, const struct routes_rules *rules, int *rc)
{
	size_t bytes = routes_bytes(e, count, rules);
	struct routes *r;

	*rc = -EINVAL;
	if (!bytes)
		return NULL;
	r = malloc(bytes);
	*rc = routes_build(r, e, count, rules);
	if (!*rc)
		return r;
	free(r);
	return NULL;
}

TEST(routes_default_table)
{
	struct kvm_irq_routing_entry e[ROUTES_DEFAULT];
	struct route found[ROUTES_PER_GSI];
	u32 gsi, n = routes_default(e);
	struct routes *r;
	int rc;

	CHECK_EQ(n, ROUTES_DEFAULT);
	r = build(e, n, &all, &rc);
	CHECK_EQ(rc, 0);
	if (!r)
		return;
	for (gsi = 0; gsi < 24; gsi++) {
		CHECK_EQ(routes_find(r, gsi, found), gsi < 16 ? 2 : 1);
		CHECK_EQ(found[0].chip, KVM_IRQCHIP_IOAPIC);
		CHECK_EQ(found[0].pin, gsi);
		CHECK_EQ(routes_gsi(r, KVM_IRQCHIP_IOAPIC, gsi), gsi);
		if (gsi < 16) {
			CHECK_EQ(found[1].chip, gsi / 8);
			CHECK_EQ(found[1].pin, gsi);
			CHECK_EQ(routes_gsi(r, gsi / 8, gsi), gsi);
		}
	}
	CHECK_EQ(routes_find(r, 24, found), 0);
	CHECK_EQ(routes_find(r, 0xffffffff, found), 0);
	CHECK_EQ(routes_gsi(r, 0, 8), -1);
	free(r);
}

TEST(routes_refused)
{
	static const struct routes_rules wide = { .chips = true, .wide_ids = true }, split = { .chips = false };
	static const struct {
		const char *what;
		u32 count;
		const struct routes_rules *rules;
		struct kvm_irq_routing_entry e[3];
		int want;
	} rows[] = {
		{ "nothing", 0, &all, { MSI(0, 0, 0, 0) }, 0 },
		{ "an MSI", 1, &all, { MSI(4095, 1, 2, 3) }, 0 },
		{ "GSI 4096", 1, &all, { MSI(4096, 1, 2, 3) }, -EINVAL },
		{ "all chips", 3, &all, { CHIP(5, 0, 5), CHIP(5, 1, 5), CHIP(5, 2, 5) }, 0 },
		{ "a chip twice", 3, &all, { CHIP(5, 0, 5), CHIP(5, 1, 5), CHIP(5, 0, 6) }, -EINVAL },
		{ "pin and MSI", 2, &all, { CHIP(5, 0, 5), MSI(5, 0, 0, 0) }, -EINVAL },
		{ "MSI and pin", 2, &all, { MSI(5, 0, 0, 0), CHIP(5, 0, 5) }, -EINVAL },
		{ "two MSIs", 2, &all, { MSI(5, 0, 0, 0), MSI(5, 0, 0, 0) }, -EINVAL },
		{ "PIC pin 8", 1, &all, { CHIP(5, 0, 8) }, -EINVAL },
		{ "slave pin 7", 1, &all, { CHIP(5, 1, 7) }, 0 },
		{ "IOAPIC pin 24", 1, &all, { CHIP(5, 2, 24) }, -EINVAL },
		{ "chip 3", 1, &all, { CHIP(5, 3, 0) }, -EINVAL },
		{ "a pin, chips not here", 1, &split, { CHIP(5, 2, 0) }, -EINVAL },
		{ "wide", 1, &wide, { MSI(5, 0, 0x100, 0) }, 0 },
		{ "wide, low byte", 1, &wide, { MSI(5, 0, 1, 0) }, -EINVAL },
		{ "narrow, low byte", 1, &all, { MSI(5, 0, 1, 0) }, 0 },
		{ "MSI flags", 1, &all, { { .type = KVM_IRQ_ROUTING_MSI, .flags = 2 } }, -EINVAL },
		{ "device ID", 1, &all, { { .type = KVM_IRQ_ROUTING_MSI, .flags = 1 } }, 0 },
		{ "pin flags", 1, &all, { { .type = KVM_IRQ_ROUTING_IRQCHIP, .flags = 1 } }, -EINVAL },
		{ "type 0", 1, &all, { { .type = 0 } }, -EINVAL },
		{ "type 99", 1, &all, { { .type = 99 } }, -EINVAL },
	};
	struct routes *r;
	unsigned int i;
	int rc;

	for (i = 0; i < COUNT(rows); i++) {
		r = build(rows[i].e, rows[i].count, rows[i].rules, &rc);
		if (rc != rows[i].want)
			test_fail(__FILE__, __LINE__, "%s: %d", rows[i].what, rc);
		free(r);
	}
}

TEST(routes_of_a_gic)
{
	static const struct routes_rules gic = { .gic = true };
	static const struct {
		struct kvm_irq_routing_entry e;
		int want;
	} rows[] = {
		{ CHIP(0, 0, ROUTES_GIC_PINS - 1), 0 },
		{ CHIP(0, 0, ROUTES_GIC_PINS), -EINVAL },
		{ CHIP(0, 1, 0), -EINVAL },
		{ CHIP(0, 2, 0), -EINVAL },
	};
	struct kvm_irq_routing_entry *e = calloc(ROUTES_GIC_PINS + 1, sizeof(*e));
	struct route found[ROUTES_PER_GSI];
	struct routes *r;
	unsigned int i;
	int rc;

	for (i = 0; i < COUNT(rows); i++) {
		r = build(&rows[i].e, 1, &gic, &rc);
		CHECK_EQ(rc, rows[i].want);
		free(r);
	}
	routes_gic_default(e, ROUTES_GIC_PINS);
	e[ROUTES_GIC_PINS] = (struct kvm_irq_routing_entry)MSI(2000, 1, 2, 3);
	e[ROUTES_GIC_PINS].flags = KVM_MSI_VALID_DEVID;
	e[ROUTES_GIC_PINS].u.msi.devid = 77;
	r = build(e, ROUTES_GIC_PINS + 1, &gic, &rc);
	CHECK_EQ(rc, 0);
	for (i = 0; r && i < ROUTES_GIC_PINS; i++) {
		CHECK_EQ(routes_find(r, i, found), 1);
		CHECK_EQ(found[0].pin, i);
		CHECK_EQ(routes_gsi(r, 0, i), i);
	}
	CHECK_EQ(r ? routes_find(r, 2000, found) : 0, 1);
	CHECK_EQ(found[0].type, KVM_IRQ_ROUTING_MSI);
	CHECK_EQ(found[0].flags, KVM_MSI_VALID_DEVID);
	CHECK_EQ(found[0].devid, 77);
	free(r);
	free(e);
}

TEST(routes_full)
{
	struct kvm_irq_routing_entry *e = calloc(ROUTES_MAX, sizeof(*e));
	struct route found[ROUTES_PER_GSI];
	struct routes *r;
	u32 i;
	int rc;

	for (i = 0; i < ROUTES_MAX; i++)
		e[i] = (struct kvm_irq_routing_entry)MSI(ROUTES_MAX - 1 - i, i, 0, i);
	r = build(e, ROUTES_MAX, &all, &rc);
	CHECK_EQ(rc, 0);
	for (i = 0; r && i < ROUTES_MAX; i++) {
		CHECK_EQ(routes_find(r, i, found), 1);
		CHECK_EQ(found[0].data, ROUTES_MAX - 1 - i);
	}
	free(r);
	free(e);
}
