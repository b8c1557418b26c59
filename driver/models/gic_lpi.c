// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * gic_lpi.c - a guest's LPIs: their tables in guest memory, the registers of the
 * redistributors that name these, and whose work an LPI is.
 *
 * Owns: gic.lpis, gic_cpu.lpi. Invariant: an LPI is queued by its priority exactly
 * while it is work (see gic.c); it is freed when it is none and no event names it.
 * Guest memory is read without the lock, 512 LPIs' share at a time, so that
 * interrupts are never off for more than these.
 * Called by: gic.c, gic_regs.c, arm64/its.c. Calls: guest_read(), guest_write().
 * Concurrency: gic.lock, interrupts off; what may sleep: a vCPU's or an ITS's thread.
 * See: GIC specification (IHI 0069) 5.1, 5.2 and 12.11.
 */
#include <linux/slab.h>

#include "gic_state.h"
#include "its.h"

#define GICR_CTLR 0x0u
#define GICR_PROPBASER 0x70u
#define GICR_PENDBASER 0x78u
#define GICR_INVLPIR 0xa0u
#define GICR_INVALLR 0xb0u
#define GICR_SYNCR 0xc0u

#define CTLR_ENABLE_LPIS 0x1u
#define CTLR_INV_IS_THERE 0x6u		/* CES, IR: of revision 3 */
#define PROPBASER_KEPT 0x070fffffffffff9full
#define PENDBASER_KEPT 0x470fffffffff0f80ull
#define PENDBASER_ZERO BIT_ULL(62)	/* the pending table is all zero */
#define PROPBASE(reg) ((reg) & GENMASK_ULL(51, 12))
#define PENDBASE(reg) ((reg) & GENMASK_ULL(51, 16))
#define PROP_ENABLED 0x1u
#define PROP_PRIORITY 0xfcu

#define CHUNK 512u			/* LPIs whose state is read at once */

void gic_lock(struct gic *gic, unsigned long *flags)
{
	spin_lock_irqsave(&gic->lock, *flags);
}

void gic_unlock(struct gic *gic, unsigned long flags)
{
	spin_unlock_irqrestore(&gic->lock, flags);
}

static struct gic_lpi *lpi_find(const struct gic *gic, u32 id)
{
	return idtree_entry(idtree_find(&gic->lpis, id), struct gic_lpi, node);
}

static struct gic_lpi *lpi_next(const struct gic *gic, u32 id)
{
	return idtree_entry(idtree_next(&gic->lpis, id), struct gic_lpi, node);
}

/* ---- whose work ---- */

static void unqueue(struct gic_cpu *c, struct gic_lpi *lpi)
{
	list_del_init(&lpi->link);
	if (list_empty(&c->lpi[lpi->queue]))
		c->lpi_queues &= ~BIT_ULL(lpi->queue);
}

static void enqueue(struct gic_cpu *c, struct gic_lpi *lpi)
{
	lpi->queue = lpi->irq.priority >> 2;
	lpi->first = lpi->irq.active;
	if (lpi->first)
		list_add(&lpi->link, &c->lpi[lpi->queue]);
	else
		list_add_tail(&lpi->link, &c->lpi[lpi->queue]);
	c->lpi_queues |= BIT_ULL(lpi->queue);
}

void gic_lpi_work(struct gic_irq *irq, bool set)
{
	struct gic_cpu *c = irq->owner->arch.gic;
	struct gic_lpi *lpi = gic_lpi(irq);
	bool was = !list_empty(&lpi->link);

	if (set == was && (!set || (lpi->queue == irq->priority >> 2 && lpi->first == irq->active)))
		return;
	if (was)
		unqueue(c, lpi);
	if (set)
		enqueue(c, lpi);
	if (set == was)
		return;
	c->lpi_count += set ? 1 : -1;
	WRITE_ONCE(c->count, set ? c->count + 1 : c->count - 1);
	if (set)
		vcpu_kick(irq->owner);
}

void gic_lpi_settle(struct gic *gic, struct gic_irq *irq)
{
	struct gic_lpi *lpi = gic_lpi(irq);

	if (lpi->events || !list_empty(&lpi->link))
		return;
	idtree_remove(&gic->lpis, &lpi->node);
	kfree(lpi);
}

void gic_lpi_free(struct gic *gic)
{
	struct gic_lpi *lpi;

	while ((lpi = lpi_next(gic, 0)) != NULL) {
		idtree_remove(&gic->lpis, &lpi->node);
		kfree(lpi);
	}
}

/* ---- by 512 ---- */

/* Guest memory of the LPIs from `id` on, which begin a chunk. */
struct chunk {
	u32 id;
	struct vcpu *target;
	u8 data[CHUNK];
};

/* For each chunk that has LPIs of a vCPU's: read (without the lock; not 0: leave it be), then call for each with it. The LPIs. */
static u32 each_chunk(struct gic *gic, struct chunk *c, int (*read)(struct gic *gic, struct chunk *c),
		      void (*call)(struct gic *gic, struct chunk *c, struct gic_lpi *lpi))
{
	unsigned long flags;
	struct gic_lpi *lpi;
	u32 n = 0, end;
	int rc;

	for (end = GIC_LPI_FIRST; end < ITS_LPIS_END;) {
		spin_lock_irqsave(&gic->lock, flags);
		lpi = lpi_next(gic, end);
		c->id = lpi ? round_down(lpi->node.id, CHUNK) : ITS_LPIS_END;
		spin_unlock_irqrestore(&gic->lock, flags);
		end = c->id + CHUNK;
		n++;
		cond_resched();
		rc = lpi && read ? read(gic, c) : 0;
		if (!lpi || rc)
			continue;
		spin_lock_irqsave(&gic->lock, flags);
		for (lpi = lpi_next(gic, c->id); lpi && lpi->node.id < end; lpi = lpi_next(gic, c->id)) {
			c->id = lpi->node.id + 1;
			n++;
			if (lpi->irq.target == c->target)
				call(gic, c, lpi);
		}
		spin_unlock_irqrestore(&gic->lock, flags);
	}
	return n;
}

/* ---- the tables ---- */

static void configure(struct gic *gic, struct gic_lpi *lpi, u8 byte)
{
	lpi->irq.priority = byte & PROP_PRIORITY;
	lpi->irq.enabled = byte & PROP_ENABLED;
	gic_update(gic, &lpi->irq);
}

int gic_lpi_reload(struct gic *gic, u32 id)
{
	unsigned long flags;
	struct gic_lpi *lpi;
	u8 byte;

	if (guest_read(gic->vm, PROPBASE(READ_ONCE(gic->propbaser)) + id - GIC_LPI_FIRST, &byte, sizeof(byte)))
		return -EFAULT;
	spin_lock_irqsave(&gic->lock, flags);
	lpi = lpi_find(gic, id);
	if (lpi)
		configure(gic, lpi, byte);
	spin_unlock_irqrestore(&gic->lock, flags);
	return 0;
}

static int chunk_config(struct gic *gic, struct chunk *c)
{
	return guest_read(gic->vm, PROPBASE(READ_ONCE(gic->propbaser)) + c->id - GIC_LPI_FIRST, c->data, CHUNK);
}

static void call_config(struct gic *gic, struct chunk *c, struct gic_lpi *lpi)
{
	configure(gic, lpi, c->data[lpi->node.id % CHUNK]);
}

/* With a chunk of its own, or nothing is done. */
static u32 with_chunk(struct gic *gic, struct vcpu *target, int (*read)(struct gic *gic, struct chunk *c),
		      void (*call)(struct gic *gic, struct chunk *c, struct gic_lpi *lpi))
{
	struct chunk *c = kmalloc(sizeof(*c), GFP_KERNEL_ACCOUNT);
	u32 n = 0;

	if (c) {
		c->target = target;
		n = each_chunk(gic, c, read, call);
	}
	kfree(c);
	return n;
}

u32 gic_lpi_reload_all(struct gic *gic, struct vcpu *v)
{
	return with_chunk(gic, v, chunk_config, call_config);
}

static int chunk_pending(struct gic *gic, struct chunk *c)
{
	return guest_read(gic->vm, PENDBASE(READ_ONCE(c->target->arch.gic->pendbaser)) + c->id / 8, c->data, CHUNK / 8);
}

static void call_pending(struct gic *gic, struct chunk *c, struct gic_lpi *lpi)
{
	u32 n = lpi->node.id % CHUNK;

	lpi->irq.latch = c->data[n / 8] >> n % 8 & 1;
	gic_update(gic, &lpi->irq);
}

static void call_forget(struct gic *gic, struct chunk *c, struct gic_lpi *lpi)
{
	lpi->irq.latch = false;
	gic_update(gic, &lpi->irq);
}

/* A new LPI may be pending in memory: it is taken from there. */
static int pending_take(struct gic *gic, u32 id, struct vcpu *target)
{
	unsigned long flags;
	struct gic_lpi *lpi;
	u64 gpa;
	u8 byte;

	if (!target)
		return 0;
	gpa = PENDBASE(READ_ONCE(target->arch.gic->pendbaser)) + id / 8;
	if (guest_read(gic->vm, gpa, &byte, sizeof(byte)))
		return -EFAULT;
	spin_lock_irqsave(&gic->lock, flags);
	lpi = lpi_find(gic, id);
	if (lpi) {
		lpi->irq.latch = byte >> id % 8 & 1;
		gic_update(gic, &lpi->irq);
	}
	spin_unlock_irqrestore(&gic->lock, flags);
	if (!(byte >> id % 8 & 1))
		return 0;
	byte &= ~(1u << id % 8);
	return guest_write(gic->vm, gpa, &byte, sizeof(byte));
}

/* ---- for an ITS ---- */

void gic_lpis_offer(struct vm *vm)
{
	struct gic *gic = vm->arch.gic;

	if (gic)
		WRITE_ONCE(gic->propbaser, GIC_PROPBASER_RESET);
}

u32 gic_targets(const struct gic *gic)
{
	u32 n = 0;

	while (gic_redist(gic, n))
		n++;
	return n;
}

u32 gic_lpi_limit(const struct gic *gic)
{
	return 1u << min_t(u32, (READ_ONCE(gic->propbaser) & 0x1f) + 1, 16);
}

bool gic_lpis_on(const struct gic *gic, u32 target)
{
	struct vcpu *v = gic_redist(gic, target);

	return v && READ_ONCE(v->arch.gic->lpis_on);
}

/* One that is there already, or the new one, with an event more. */
static struct gic_lpi *lpi_join(struct gic *gic, u32 id, struct gic_lpi *new)
{
	struct gic_lpi *lpi;
	unsigned long flags;

	spin_lock_irqsave(&gic->lock, flags);
	lpi = lpi_find(gic, id);
	if (!lpi && new) {
		idtree_add(&gic->lpis, &new->node);
		lpi = new;
	}
	if (lpi)
		lpi->events++;
	spin_unlock_irqrestore(&gic->lock, flags);
	return lpi;
}

static struct gic_lpi *lpi_new(u32 id, struct vcpu *target)
{
	struct gic_lpi *lpi = kzalloc(sizeof(*lpi), GFP_KERNEL_ACCOUNT);

	if (!lpi)
		return NULL;
	lpi->irq = (struct gic_irq){ .id = id, .edge = true, .group1 = true, .target = target };
	lpi->node.id = id;
	INIT_LIST_HEAD(&lpi->link);
	return lpi;
}

int gic_lpi_get(struct gic *gic, u32 id, struct vcpu *target, struct gic_lpi **lpi)
{
	struct gic_lpi *new;
	unsigned long flags;
	int rc;

	*lpi = lpi_join(gic, id, NULL);
	if (*lpi)
		return 0;
	new = lpi_new(id, target);
	if (!new)
		return -ENOMEM;
	*lpi = lpi_join(gic, id, new);
	if (*lpi != new) {
		kfree(new);
		return 0;
	}
	rc = gic_lpi_reload(gic, id) ? : pending_take(gic, id, target);
	if (!rc)
		return 0;
	spin_lock_irqsave(&gic->lock, flags);
	gic_lpi_put(gic, new);
	spin_unlock_irqrestore(&gic->lock, flags);
	return rc;
}

void gic_lpi_put(struct gic *gic, struct gic_lpi *lpi)
{
	lpi->events--;
	gic_lpi_settle(gic, &lpi->irq);
}

void gic_lpi_move(struct gic *gic, struct gic_lpi *lpi, struct vcpu *target)
{
	lpi->irq.target = target;
	gic_update(gic, &lpi->irq);
}

void gic_lpi_pend(struct gic *gic, struct gic_lpi *lpi, bool pending)
{
	lpi->irq.latch = pending;
	gic_update(gic, &lpi->irq);
}

/* `data` is where they go. */
static void call_move(struct gic *gic, struct chunk *c, struct gic_lpi *lpi)
{
	struct vcpu *to;

	memcpy(&to, c->data, sizeof(to));
	gic_lpi_move(gic, lpi, to);
}

u32 gic_lpi_move_all(struct gic *gic, struct vcpu *from, struct vcpu *to)
{
	struct chunk *c = kmalloc(sizeof(*c), GFP_KERNEL_ACCOUNT);
	u32 n = 0;

	if (c) {
		c->target = from;
		memcpy(c->data, &to, sizeof(to));
		n = each_chunk(gic, c, NULL, call_move);
	}
	kfree(c);
	return n;
}

/* ---- save ---- */

/* The next LPI: where its bit is, and what it is to be; 0: it has no target. */
static bool next_bit(struct gic *gic, u32 *id, u64 *gpa, bool *pending)
{
	struct gic_lpi *lpi;
	unsigned long flags;

	spin_lock_irqsave(&gic->lock, flags);
	lpi = lpi_next(gic, *id);
	if (lpi) {
		*id = lpi->node.id;
		*gpa = lpi->irq.target ? PENDBASE(lpi->irq.target->arch.gic->pendbaser) + lpi->node.id / 8 : 0;
		*pending = lpi->irq.latch;
	}
	spin_unlock_irqrestore(&gic->lock, flags);
	return lpi;
}

int gic_lpi_save(struct gic *gic)
{
	bool pending;
	u32 id = 0;
	u64 gpa;
	u8 byte;

	if (!gic_initialized(gic->vm))
		return -ENXIO;
	for (; next_bit(gic, &id, &gpa, &pending); id++) {
		cond_resched();
		if (!gpa)
			continue;
		if (guest_read(gic->vm, gpa, &byte, sizeof(byte)))
			return -EFAULT;
		if ((byte >> id % 8 & 1) == pending)
			continue;
		byte ^= 1u << id % 8;
		if (guest_write(gic->vm, gpa, &byte, sizeof(byte)))
			return -EFAULT;
	}
	return 0;
}

/* ---- registers ---- */

static bool lpis_switch(struct gic *gic, struct gic_cpu *c, bool on)
{
	unsigned long flags;
	bool changed;

	spin_lock_irqsave(&gic->lock, flags);
	changed = c->lpis_on != on;
	WRITE_ONCE(c->lpis_on, on);
	spin_unlock_irqrestore(&gic->lock, flags);
	return changed;
}

static void ctlr_write(struct gic *gic, struct vcpu *v, u64 value)
{
	struct gic_cpu *c = v->arch.gic;

	if (!READ_ONCE(gic->vm->arch.its_count) || !lpis_switch(gic, c, value & CTLR_ENABLE_LPIS))
		return;
	if (!(value & CTLR_ENABLE_LPIS))
		with_chunk(gic, v, NULL, call_forget);
	else if (!(c->pendbaser & PENDBASER_ZERO))
		with_chunk(gic, v, chunk_pending, call_pending);
}

/* Outer shareable is inner; what is not cached is; the outer attribute is the inner one. */
static u64 attributes(u64 reg)
{
	if ((reg >> 10 & 3) == 2)
		reg ^= 3ull << 10;
	if ((reg >> 7 & 7) < 2)
		reg = (reg & ~(7ull << 7)) | 3ull << 7;
	return (reg >> 56 & 7) < 2 ? reg : reg & ~(7ull << 56);
}

/* They stay as they are while LPIs are on. */
static void base_write(struct gic *gic, struct vcpu *v, u64 *reg, u64 kept, u32 offset, u32 size, u64 data)
{
	u32 shift = offset & 4 ? 32 : 0;
	unsigned long flags;
	u64 value = data;

	spin_lock_irqsave(&gic->lock, flags);
	if (size == 4)
		value = (*reg & ~(0xffffffffull << shift)) | (data & 0xffffffff) << shift;
	if (!v->arch.gic->lpis_on)
		WRITE_ONCE(*reg, attributes(value) & kept);
	spin_unlock_irqrestore(&gic->lock, flags);
}

static void invalidate(struct gic *gic, struct vcpu *v, u32 offset, u64 data)
{
	u32 id = (u32)data;

	if (offset & 4 || !READ_ONCE(v->arch.gic->lpis_on))
		return;
	if (offset == GICR_INVALLR)
		gic_lpi_reload_all(gic, v);
	else if (id >= GIC_LPI_FIRST && id < ITS_LPIS_END)
		gic_lpi_reload(gic, id);
}

static void lpi_write(struct gic *gic, struct vcpu *v, u32 offset, u32 size, u64 data)
{
	switch (offset & ~7u) {
	case GICR_CTLR:
		ctlr_write(gic, v, data);
		return;
	case GICR_PROPBASER:
		base_write(gic, v, &gic->propbaser, PROPBASER_KEPT, offset, size, data);
		return;
	case GICR_PENDBASER:
		base_write(gic, v, &v->arch.gic->pendbaser, PENDBASER_KEPT, offset, size, data);
		return;
	case GICR_INVLPIR:
	case GICR_INVALLR:
		invalidate(gic, v, offset, data);
	}
}

static u64 lpi_read(const struct gic *gic, const struct vcpu *v, u32 offset)
{
	switch (offset & ~7u) {
	case GICR_CTLR:
		return (v->arch.gic->lpis_on ? CTLR_ENABLE_LPIS : 0) | (gic->revision >= GIC_REVISION ? CTLR_INV_IS_THERE : 0);
	case GICR_PROPBASER:
		return READ_ONCE(gic->propbaser);
	case GICR_PENDBASER:
		return READ_ONCE(v->arch.gic->pendbaser) & ~PENDBASER_ZERO;
	default:
		return 0;
	}
}

static bool ours(u32 offset)
{
	u32 reg = offset & ~7u;

	return offset < 4 || reg == GICR_PROPBASER || reg == GICR_PENDBASER || reg == GICR_INVLPIR || reg == GICR_INVALLR ||
	       reg == GICR_SYNCR;
}

bool gic_lpi_access(struct gic *gic, struct vcpu *v, u32 offset, u32 size, bool write, u64 *data)
{
	if (!ours(offset))
		return false;
	/* 32 bits of GICR_CTLR and GICR_SYNCR, which is never busy; of the others 64, too. */
	if (size < 4 || (size == 8 && (offset == GICR_CTLR || offset == GICR_SYNCR)))
		*data = write ? *data : 0;
	else if (write)
		lpi_write(gic, v, offset, size, *data);
	else
		*data = size == 4 ? (u32)(lpi_read(gic, v, offset) >> (offset & 4 ? 32 : 0)) : lpi_read(gic, v, offset);
	return true;
}
