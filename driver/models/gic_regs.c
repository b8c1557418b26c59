// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * gic_regs.c - the memory-mapped registers of a guest's GICv3. Registers that
 * have a field per interrupt are rows of one table, for distributor and
 * redistributors alike; the few others are in two switches. What is in neither
 * reads as zero and ignores writes. Those of LPIs are in gic_lpi.c.
 *
 * Called by: gic_access() from an MMIO exit, gic_user_access() for the VMM.
 * Concurrency: gic.lock. See: GIC specification (IHI 0069) 12.8 to 12.11.
 */
#include "gic_state.h"

#define GICD_CTLR 0x0u
#define GICD_TYPER 0x4u
#define GICD_IIDR 0x8u
#define GICD_IROUTER 0x6000u
#define GICR_IIDR 0x4u
#define GICR_TYPER 0x8u
#define GIC_PIDR2 0xffe8u
#define GICR_SGI_FRAME 0x10000u

#define CTLR_GROUP1 0x2u
#define CTLR_ARE_DS 0x50u		/* affinity routing, one security state: always */
#define TYPER_IDBITS (9u << 19)		/* 10 bits of INTID */
#define TYPER_LPIS (15u << 19 | 1u << 17)	/* 16 bits; LPIs are there */
#define GICR_TYPER_LAST 0x10u
#define GICR_TYPER_PLPIS 0x1u
#define IIDR_KVM 0x4b00043bu
#define IIDR_REVISION_SHIFT 12
#define PIDR2_GICV3 0x3bu
#define ROUTE_KEPT 0xff00ffffffull

/* ---- registers with a field per interrupt ---- */

static u32 group_read(const struct gic_irq *irq) { return irq->group1; }
static u32 enable_read(const struct gic_irq *irq) { return irq->enabled; }
static u32 pending_read(const struct gic_irq *irq) { return gic_irq_pending(irq); }
static u32 active_read(const struct gic_irq *irq) { return irq->active; }
static u32 priority_read(const struct gic_irq *irq) { return irq->priority; }
static u32 config_read(const struct gic_irq *irq) { return irq->edge ? 2 : 0; }
static void group_write(struct gic_irq *irq, u32 v) { irq->group1 = v; }
static void priority_write(struct gic_irq *irq, u32 v) { irq->priority = v & 0xf8; }

static void enable_set(struct gic_irq *irq, u32 v) { irq->enabled |= v; }
static void enable_clear(struct gic_irq *irq, u32 v) { irq->enabled &= !v; }
static void pending_set(struct gic_irq *irq, u32 v) { irq->latch |= v; }
static void pending_clear(struct gic_irq *irq, u32 v) { irq->latch &= !v; }
static void active_set(struct gic_irq *irq, u32 v) { irq->active |= v; }
static void active_clear(struct gic_irq *irq, u32 v) { irq->active &= !v; }

/* SGIs are edges, and so may the private ones stay as they are. */
static void config_write(struct gic_irq *irq, u32 v)
{
	if (irq->id >= GIC_PRIVATE)
		irq->edge = v & 2;
}

static const struct field {
	u16 offset;
	u16 bits;
	u32 (*read)(const struct gic_irq *irq);
	void (*write)(struct gic_irq *irq, u32 value);
} fields[] = {
	{ 0x080, 1, group_read, group_write },
	{ 0x100, 1, enable_read, enable_set },
	{ 0x180, 1, enable_read, enable_clear },
	{ 0x200, 1, pending_read, pending_set },
	{ 0x280, 1, pending_read, pending_clear },
	{ 0x300, 1, active_read, active_set },
	{ 0x380, 1, active_read, active_clear },
	{ 0x400, 8, priority_read, priority_write },
	{ 0xc00, 2, config_read, config_write },
};
#define FIELD_IRQS 1024u
#define ISPENDR 0x200u
#define ICPENDR 0x280u

static const struct field *field_find(u32 offset)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		if (offset >= fields[i].offset && offset - fields[i].offset < FIELD_IRQS * fields[i].bits / 8)
			return &fields[i];
	}
	return NULL;
}

/* Private interrupts are in the redistributors, the others in the distributor. */
static struct gic_irq *field_irq(struct gic *gic, struct vcpu *v, u32 id)
{
	return !v == (id < GIC_PRIVATE) ? NULL : gic_irq(gic, v, id);
}

static void field_access(struct gic *gic, struct vcpu *v, const struct field *f, u32 offset, u32 size, bool write, u64 *data)
{
	u32 first = (offset - f->offset) * 8 / f->bits, n = size * 8 / f->bits, i;
	u64 mask = (1ull << f->bits) - 1, value = 0;

	for (i = 0; i < n; i++) {
		struct gic_irq *irq = field_irq(gic, v, first + i);

		if (!irq)
			continue;
		if (write) {
			f->write(irq, *data >> (i * f->bits) & mask);
			gic_update(gic, irq);
		} else {
			value |= (u64)f->read(irq) << (i * f->bits);
		}
	}
	if (!write)
		*data = value;
}

/* ---- the others ---- */

static void route_set(struct gic *gic, struct gic_irq *irq, u64 route)
{
	struct vcpu *v;
	u32 i;

	irq->route = route & ROUTE_KEPT;
	irq->target = NULL;
	for (i = 0; i < ABI_MAX_VCPUS; i++) {
		v = READ_ONCE(gic->vm->vcpu[i]);
		if (v && gic_cpu(v) && vcpu_affinity(v) == irq->route)
			irq->target = v;
	}
	gic_update(gic, irq);
}

static struct gic_irq *route_irq(struct gic *gic, u32 offset)
{
	u32 id = (offset - GICD_IROUTER) / 8;

	return offset >= GICD_IROUTER && id >= GIC_PRIVATE ? gic_irq(gic, NULL, id) : NULL;
}

static u32 dist_read(struct gic *gic, u32 offset)
{
	struct gic_irq *irq = route_irq(gic, offset);

	switch (offset) {
	case GICD_CTLR:
		return CTLR_ARE_DS | (gic->enabled ? CTLR_GROUP1 : 0);
	case GICD_TYPER:
		return (DIV_ROUND_UP(gic->count, 32) - 1) | (gic->vm->arch.its_count ? TYPER_LPIS : TYPER_IDBITS);
	case GICD_IIDR:
		return IIDR_KVM | gic->revision << IIDR_REVISION_SHIFT;
	case GIC_PIDR2:
		return PIDR2_GICV3;
	default:
		return irq ? irq->route >> (offset & 4 ? 32 : 0) : 0;
	}
}

static void dist_write(struct gic *gic, u32 offset, u32 value)
{
	struct gic_irq *irq = route_irq(gic, offset);

	if (offset == GICD_CTLR) {
		gic->enabled = value & CTLR_GROUP1;
		gic_update_all(gic);
	} else if (irq) {
		route_set(gic, irq, offset & 4 ? (u32)irq->route | (u64)value << 32 : (irq->route & ~0xffffffffull) | value);
	}
}

struct vcpu *gic_redist(const struct gic *gic, u32 n)
{
	u32 i;

	for (i = 0; i < ABI_MAX_VCPUS; i++) {
		struct vcpu *v = READ_ONCE(gic->vm->vcpu[i]);

		if (v && gic_cpu(v) && !n--)
			return v;
	}
	return NULL;
}

static u32 redist_read(struct gic *gic, struct vcpu *v, u32 offset)
{
	u32 n = 0;

	switch (offset) {
	case GICR_IIDR:
		return IIDR_KVM;
	case GICR_TYPER:
		while (gic_redist(gic, n) != v)
			n++;
		return (n & 0xffff) << 8 | (gic_redist(gic, n + 1) ? 0 : GICR_TYPER_LAST) |
		       (gic->vm->arch.its_count ? GICR_TYPER_PLPIS : 0);
	case GICR_TYPER + 4:
		return vcpu_affinity(v) & 0xffffff;
	case GIC_PIDR2:
		return PIDR2_GICV3;
	default:
		return 0;
	}
}

/* A register of 32 bits, or half of one of 64. */
static u32 word_read(struct gic *gic, struct vcpu *v, u32 offset)
{
	return v ? redist_read(gic, v, offset) : dist_read(gic, offset);
}

static void word_access(struct gic *gic, struct vcpu *v, u32 offset, u32 size, bool write, u64 *data)
{
	u32 word = offset & ~3u, shift = (offset & 3) * 8;

	if (!write) {
		*data = word_read(gic, v, word) >> shift;
		if (size == 8)
			*data |= (u64)word_read(gic, v, word + 4) << 32;
	} else if (!v && size >= 4) {
		dist_write(gic, word, *data);
		if (size == 8)
			dist_write(gic, word + 4, *data >> 32);
	}
}

/* v: whose redistributor, NULL: the distributor. */
static void access(struct gic *gic, struct vcpu *v, u32 offset, u32 size, bool write, u64 *data)
{
	u32 in_frame = v && offset >= GICR_SGI_FRAME ? offset - GICR_SGI_FRAME : offset;
	const struct field *f = !v || offset >= GICR_SGI_FRAME ? field_find(in_frame) : NULL;

	if (f)
		field_access(gic, v, f, in_frame, size, write, data);
	else if (!v || offset < GICR_SGI_FRAME)
		word_access(gic, v, offset, size, write, data);
	else if (!write)
		*data = in_frame == GIC_PIDR2 ? PIDR2_GICV3 : 0;
}

bool gic_access(struct vcpu *v, u64 gpa, u32 size, bool write, u64 *data)
{
	struct gic *gic = v->vm->arch.gic;
	struct vcpu *redist = NULL;
	unsigned long flags;
	u32 offset;

	if (!gic)
		return false;
	if (gpa - gic->dist_base < GIC_DIST_BYTES) {
		offset = gpa - gic->dist_base;
	} else {
		u64 n = (gpa - gic->redist_base) / GIC_REDIST_BYTES;

		redist = gpa >= gic->redist_base && n < ABI_MAX_VCPUS ? gic_redist(gic, n) : NULL;
		if (!redist)
			return false;
		offset = (gpa - gic->redist_base) % GIC_REDIST_BYTES;
	}
	if (offset & (size - 1)) {
		*data = 0;
		return true;
	}
	if (redist && gic_lpi_access(gic, redist, offset, size, write, data))
		return true;
	spin_lock_irqsave(&gic->lock, flags);
	access(gic, redist, offset, size, write, data);
	spin_unlock_irqrestore(&gic->lock, flags);
	return true;
}

/* ---- the VMM's view: ISPENDR is the latch alone, and written whole; ICPENDR is not there ---- */

static void latches(struct gic *gic, struct vcpu *v, u32 first, bool write, u32 *value)
{
	u32 i, got = 0;

	for (i = 0; i < 32; i++) {
		struct gic_irq *irq = field_irq(gic, v, first + i);

		if (irq && write) {
			irq->latch = *value >> i & 1;
			gic_update(gic, irq);
		} else if (irq) {
			got |= (u32)irq->latch << i;
		}
	}
	if (!write)
		*value = got;
}

/* GICD_IIDR: what a revision later than 2 adds can be had or not. */
static int iidr_set(struct gic *gic, u32 value)
{
	u32 revision = value >> IIDR_REVISION_SHIFT & 0xf;

	if ((value & ~(0xfu << IIDR_REVISION_SHIFT)) != IIDR_KVM || revision < 2 || revision > GIC_REVISION)
		return -EINVAL;
	gic->revision = revision;
	return 0;
}

int gic_user_access(struct vm *vm, struct vcpu *v, u32 offset, bool write, u32 *value)
{
	u32 in_frame = v && offset >= GICR_SGI_FRAME ? offset - GICR_SGI_FRAME : offset;
	struct gic *gic = vm->arch.gic;
	unsigned long flags;
	u64 data = *value;

	if (offset & 3 || offset >= (v ? GIC_REDIST_BYTES : GIC_DIST_BYTES))
		return -ENXIO;
	if (!v && write && offset == GICD_IIDR)
		return iidr_set(gic, *value);
	if (v && gic_lpi_access(gic, v, offset, 4, write, &data)) {
		*value = data;
		return 0;
	}
	spin_lock_irqsave(&gic->lock, flags);
	if ((!v || offset >= GICR_SGI_FRAME) && in_frame >= ISPENDR && in_frame < ICPENDR)
		latches(gic, v, (in_frame - ISPENDR) * 8, write, value);
	else if ((!v || offset >= GICR_SGI_FRAME) && in_frame >= ICPENDR && in_frame < ICPENDR + 0x80)
		*value = write ? *value : 0;
	else {
		access(gic, v, offset, 4, write, &data);
		*value = data;
	}
	spin_unlock_irqrestore(&gic->lock, flags);
	return 0;
}

void gic_user_levels(struct vm *vm, struct vcpu *v, u32 first, bool write, u32 *value)
{
	struct gic *gic = vm->arch.gic;
	unsigned long flags;
	u32 i, got = 0;

	spin_lock_irqsave(&gic->lock, flags);
	for (i = 0; i < 32; i++) {
		struct gic_irq *irq = first + i >= 16 ? gic_irq(gic, v, first + i) : NULL;

		if (irq && write) {
			/* Restored, not raised: an edge is in the latch. */
			irq->line = *value >> i & 1;
			gic_update(gic, irq);
		} else if (irq) {
			got |= (u32)irq->line << i;
		}
	}
	spin_unlock_irqrestore(&gic->lock, flags);
	if (!write)
		*value = got;
}
