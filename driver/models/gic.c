// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * gic.c - the state of a guest's interrupts, and how it gets into list registers
 * and back; see gic.h. The registers are in gic_regs.c, LPIs in gic_lpi.c.
 *
 * Owns: struct gic, struct gic_cpu. Invariant: an interrupt's bit is in
 * gic_cpu.work of exactly one vCPU, its `owner`, while it is active, or pending
 * and enabled; while it sits in a list register its owner does not change. For an
 * LPI that is a place in one of gic_cpu.lpi.
 * Called by: exits.c, vgic.c, routing.c. Concurrency: gic.lock, interrupts off.
 * See: GIC specification (IHI 0069) chapters 4 and 6.
 */
#include <linux/slab.h>

#include "gic_state.h"

struct gic_irq *gic_irq(struct gic *gic, struct vcpu *v, u32 irq)
{
	if (irq < GIC_PRIVATE)
		return v && gic_cpu(v) ? &gic_cpu(v)->irq[irq] : NULL;
	/* Pairs with gic_init(). */
	return irq < smp_load_acquire(&gic->count) ? &gic->spi[irq - GIC_PRIVATE] : NULL;
}

static bool pending(const struct gic_irq *irq)
{
	return irq->latch || (!irq->edge && irq->line);
}

bool gic_irq_pending(const struct gic_irq *irq)
{
	return pending(irq);
}

/* So many LPIs may wait that none is looked at when the GIC goes on or off: choose() knows. */
static bool wanted(const struct gic *gic, const struct gic_irq *irq)
{
	return irq->active || irq->in_lr || (pending(irq) && irq->enabled && (gic->enabled || gic_is_lpi(irq)));
}

static void work_set(struct gic_irq *irq, bool set)
{
	struct gic_cpu *c = irq->owner->arch.gic;

	if (gic_is_lpi(irq)) {
		gic_lpi_work(irq, set);
		return;
	}
	if (test_bit(irq->id, c->work) == set)
		return;
	__change_bit(irq->id, c->work);
	WRITE_ONCE(c->count, set ? c->count + 1 : c->count - 1);
	if (set)
		vcpu_kick(irq->owner);
}

/* After any change of an interrupt: whose work it is now. gic.lock held. */
void gic_update(struct gic *gic, struct gic_irq *irq)
{
	bool want = wanted(gic, irq);

	if (irq->owner && irq->owner != irq->target && !irq->active && !irq->in_lr) {
		work_set(irq, false);
		irq->owner = NULL;
	}
	if (!irq->owner)
		irq->owner = irq->target;
	if (irq->owner)
		work_set(irq, want);
	if (gic_is_lpi(irq))
		gic_lpi_settle(gic, irq);
}

void gic_update_all(struct gic *gic)
{
	struct vm *vm = gic->vm;
	u32 i, n;

	for (i = 0; i < ABI_MAX_VCPUS; i++) {
		struct vcpu *v = READ_ONCE(vm->vcpu[i]);

		for (n = 0; v && gic_cpu(v) && n < GIC_PRIVATE; n++)
			gic_update(gic, &gic_cpu(v)->irq[n]);
		if (v && gic_cpu(v) && gic_cpu(v)->lpi_count)
			vcpu_kick(v);
	}
	for (n = GIC_PRIVATE; n < gic->count; n++)
		gic_update(gic, &gic->spi[n - GIC_PRIVATE]);
}

/* As KVM: each report of a high level is an edge, and only a level is kept. */
static void line_set(struct gic *gic, struct gic_irq *irq, bool level)
{
	if (irq->edge ? !level : irq->line == level)
		return;
	if (irq->edge)
		irq->latch = true;
	else
		irq->line = level;
	gic_update(gic, irq);
}

int gic_line(struct vm *vm, struct vcpu *v, u32 id, bool level)
{
	struct gic *gic = vm->arch.gic;
	unsigned long flags;
	struct gic_irq *irq = gic_irq(gic, v, id);

	if (!irq)
		return -EINVAL;
	spin_lock_irqsave(&gic->lock, flags);
	line_set(gic, irq, level);
	spin_unlock_irqrestore(&gic->lock, flags);
	return 0;
}

/* ---- SGIs (ICC_SGI1R_EL1: 12.2.14) ---- */

static bool sgi_targets(const struct vcpu *v, const struct vcpu *sender, u64 value)
{
	u64 affinity = vcpu_affinity(v), cluster;

	if (value & BIT_ULL(40))
		return v != sender;
	cluster = (value >> 48 & 0xff) << 32 | (value >> 32 & 0xff) << 16 | (value >> 16 & 0xff) << 8;
	if ((affinity & ~0xffull) != cluster || (affinity >> 4 & 0xf) != (value >> 44 & 0xf))
		return false;
	return value >> (affinity & 0xf) & 1;
}

/* ICC_SGI0R_EL1 and ICC_ASGI1R_EL1 reach group 0 alone, since there is one security state. */
void gic_sgi(struct vcpu *v, u32 op2, u64 value)
{
	struct gic *gic = v->vm->arch.gic;
	unsigned long flags;
	u32 i;

	spin_lock_irqsave(&gic->lock, flags);
	for (i = 0; i < ABI_MAX_VCPUS; i++) {
		struct vcpu *other = READ_ONCE(v->vm->vcpu[i]);
		struct gic_irq *irq;

		if (!other || !sgi_targets(other, v, value))
			continue;
		irq = gic_irq(gic, other, value >> 24 & 0xf);
		if (!irq || (op2 != 5 && irq->group1))
			continue;
		irq->latch = true;
		gic_update(gic, irq);
	}
	spin_unlock_irqrestore(&gic->lock, flags);
}

/* ---- list registers ---- */

/* By priority; of equals the active one, since it ends first. What ends unlisted counts (ICH_HCR_EL2.EOIcount). */
static u32 sort_key(const struct gic_irq *irq)
{
	return irq->priority * 2 + !irq->active;
}

/* Into c->loaded by its urgency; false: all that are there are as urgent. */
static __always_inline bool choose_one(struct gic_cpu *c, u32 room, struct gic_irq *irq)
{
	u32 n = c->loaded_count, i;

	if (n == room && sort_key(c->loaded[n - 1]) <= sort_key(irq))
		return false;
	for (i = min(n, room - 1); i && sort_key(c->loaded[i - 1]) > sort_key(irq); i--)
		c->loaded[i] = c->loaded[i - 1];
	c->loaded[i] = irq;
	c->loaded_count = min(n + 1, room);
	return true;
}

/* The LPIs among them. They are queued by urgency: one that finds no room is the last to be looked at. */
static noinline u32 choose_lpis(struct gic *gic, struct gic_cpu *c, u32 room)
{
	unsigned long queues = c->lpi_queues;
	struct gic_lpi *lpi;
	u32 queue, active = 0;

	for_each_set_bit(queue, &queues, GIC_LPI_PRIORITIES) {
		list_for_each_entry(lpi, &c->lpi[queue], link) {
			if (!gic->enabled && !lpi->irq.active)
				break;
			if (!choose_one(c, room, &lpi->irq))
				return c->lpi_count;
			active++;
		}
	}
	return gic->enabled ? c->lpi_count : active;
}

/* The most urgent ones into c->loaded; how many there are in all. */
static u32 choose(struct gic *gic, struct vcpu *v, u32 room)
{
	struct gic_cpu *c = v->arch.gic;
	u32 id, all = c->count - c->lpi_count;

	c->loaded_count = 0;
	if (all) {
		for_each_set_bit(id, c->work, GIC_IRQS_MAX)
			choose_one(c, room, gic_irq(gic, v, id));
	}
	return unlikely(c->lpi_count) ? all + choose_lpis(gic, c, room) : all;
}

/*
 * An edge moves into the list register. A level stays with the line, and asks to
 * hear of its end; what hardware ends, and what a line holds, is never pending
 * and active at once.
 */
static u64 lr_value(struct gic_irq *irq)
{
	u64 lr = irq->id | (u64)irq->priority << GIC_LR_PRIORITY_SHIFT;

	if (irq->group1)
		lr |= GIC_LR_GROUP1;
	if (irq->active)
		lr |= GIC_LR_ACTIVE;
	if (irq->timer)
		lr |= GIC_LR_HW;
	else if (!irq->edge)
		lr |= GIC_LR_EOI;
	if (pending(irq) && irq->enabled && !(!irq->edge && irq->active)) {
		lr |= GIC_LR_PENDING;
		if (irq->edge)
			irq->latch = false;
	}
	return lr;
}

void gic_fill(struct vcpu *v)
{
	struct exit_gic *in = &v->exit->in.gic;
	struct gic *gic = v->vm->arch.gic;
	struct gic_cpu *c = v->arch.gic;
	u32 i, room = clamp(v->arch.lrs, 1u, GIC_LRS);

	spin_lock(&gic->lock);
	if (choose(gic, v, room) > room)
		in->hcr = GIC_HCR_UNDERFLOW | GIC_HCR_NO_ENTRY;
	for (i = 0; i < c->loaded_count; i++) {
		in->lr[i] = lr_value(c->loaded[i]);
		c->loaded[i]->in_lr = true;
	}
	in->lr_count = c->loaded_count;
	spin_unlock(&gic->lock);
}

static void lr_back(struct gic *gic, struct gic_irq *irq, u64 was, u64 is)
{
	irq->in_lr = false;
	irq->active = is & GIC_LR_ACTIVE;
	if (irq->edge)
		irq->latch |= !!(is & GIC_LR_PENDING);
	else if (was & ~is & GIC_LR_PENDING)
		irq->latch = false;
	gic_update(gic, irq);
}

static struct gic_irq *first_active(struct gic *gic, struct vcpu *v)
{
	struct gic_cpu *c = v->arch.gic;
	unsigned long queues = c->lpi_queues;
	struct gic_irq *best = NULL;
	u32 id;

	for_each_set_bit(id, c->work, GIC_IRQS_MAX) {
		struct gic_irq *irq = gic_irq(gic, v, id);

		if (irq->active && (!best || irq->priority < best->priority))
			best = irq;
	}
	/* An LPI has no active state, but where the emulator's list registers give it one. */
	for_each_set_bit(id, &queues, GIC_LPI_PRIORITIES) {
		struct gic_irq *irq = &list_first_entry(&c->lpi[id], struct gic_lpi, link)->irq;

		if (irq->active && (!best || irq->priority < best->priority))
			best = irq;
	}
	return best;
}

/* Ends of interrupts that were in no list register: the most urgent active ones. */
static void eoi_unlisted(struct gic *gic, struct vcpu *v, u32 count)
{
	struct gic_irq *irq;

	for (; count; count--) {
		irq = first_active(gic, v);
		if (!irq)
			return;
		irq->active = false;
		gic_update(gic, irq);
	}
}

/* A level from a line that the guest has ended: who holds the line may want to know. */
static bool ended(u64 was, u64 is)
{
	return was & GIC_LR_EOI && !(is & (GIC_LR_PENDING | GIC_LR_ACTIVE));
}

static noinline void tell(struct vcpu *v, u32 acked)
{
	u32 i;

	for (i = 0; i < GIC_LRS; i++) {
		if (acked >> i & 1)
			vgic_acked(v->vm, v->exit->in.gic.lr[i] & GIC_LR_INTID);
	}
}

void gic_fold(struct vcpu *v)
{
	const struct exit_gic *out = &v->exit->out.gic;
	struct exit_gic *in = &v->exit->in.gic;
	struct gic *gic = v->vm->arch.gic;
	struct gic_cpu *c = v->arch.gic;
	unsigned long flags;
	u32 i, unlisted = out->hcr >> GIC_HCR_EOICOUNT_SHIFT, acked = 0;

	spin_lock_irqsave(&gic->lock, flags);
	/* The line first: whether a level is still there decides on the state. */
	c->irq[GIC_TIMER_IRQ].line = v->exit->out.timer_level;
	for (i = 0; i < c->loaded_count; i++) {
		acked |= (u32)ended(in->lr[i], out->lr[i]) << i;
		lr_back(gic, c->loaded[i], in->lr[i], out->lr[i]);
	}
	if (unlikely(unlisted && c->count > c->loaded_count))
		eoi_unlisted(gic, v, unlisted);
	c->loaded_count = 0;
	gic_update(gic, &c->irq[GIC_TIMER_IRQ]);
	spin_unlock_irqrestore(&gic->lock, flags);
	if (unlikely(acked))
		tell(v, acked);
}

static bool takes(const struct gic_irq *irq, u32 mask)
{
	return pending(irq) && irq->enabled && !irq->active && irq->priority < mask;
}

/* Active ones stand first, and are few. */
static bool lpi_wakes(const struct gic_cpu *c, u32 mask)
{
	unsigned long queues = c->lpi_queues;
	struct gic_lpi *lpi;
	u32 queue;

	for_each_set_bit(queue, &queues, GIC_LPI_PRIORITIES) {
		list_for_each_entry(lpi, &c->lpi[queue], link) {
			if (takes(&lpi->irq, mask))
				return true;
			if (!lpi->irq.active)
				return false;
		}
	}
	return false;
}

bool gic_wakes(struct vcpu *v)
{
	struct gic *gic = v->vm->arch.gic;
	u32 mask = v->exit->in.gic.vmcr >> 24, id;
	unsigned long flags;
	bool wakes = false;

	if (!READ_ONCE(v->arch.gic->count))
		return false;
	spin_lock_irqsave(&gic->lock, flags);
	for_each_set_bit(id, v->arch.gic->work, GIC_IRQS_MAX)
		wakes |= takes(gic_irq(gic, v, id), mask);
	if (v->arch.gic->lpi_count && gic->enabled)
		wakes |= lpi_wakes(v->arch.gic, mask);
	spin_unlock_irqrestore(&gic->lock, flags);
	return wakes;
}

/* ---- life ---- */

int gic_cpu_create(struct vcpu *v)
{
	struct gic_cpu *c = kzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT);
	u32 i;

	if (!c)
		return -ENOMEM;
	for (i = 0; i < GIC_PRIVATE; i++)
		c->irq[i] = (struct gic_irq){ .id = i, .edge = i < 16, .enabled = i < 16, .group1 = true,
					      .timer = i == GIC_TIMER_IRQ, .target = v };
	for (i = 0; i < GIC_LPI_PRIORITIES; i++)
		INIT_LIST_HEAD(&c->lpi[i]);
	/* Pairs with gic_cpu(). */
	smp_store_release(&v->arch.gic, c);
	return 0;
}

void gic_cpu_free(struct vcpu *v)
{
	kfree(v->arch.gic);
}

int gic_create(struct vm *vm)
{
	struct gic *gic;

	if (vm->arch.gic)
		return -EEXIST;
	gic = kzalloc(sizeof(*gic), GFP_KERNEL_ACCOUNT);
	if (!gic)
		return -ENOMEM;
	spin_lock_init(&gic->lock);
	gic->vm = vm;
	gic->dist_base = gic->redist_base = GIC_UNSET;
	gic->revision = GIC_REVISION;
	gic->propbaser = vm->arch.its_count ? GIC_PROPBASER_RESET : 0;
	/* Pairs with the look of those that hold no lock. */
	smp_store_release(&vm->arch.gic, gic);
	return 0;
}

void gic_free(struct vm *vm)
{
	if (vm->arch.gic) {
		gic_lpi_free(vm->arch.gic);
		kvfree(vm->arch.gic->spi);
	}
	kfree(vm->arch.gic);
}

void gic_span(struct vm *vm, u64 base, u64 bytes)
{
	if (!vm->arch.gic_high || base < vm->arch.gic_low)
		WRITE_ONCE(vm->arch.gic_low, base);
	if (base + bytes > vm->arch.gic_high)
		WRITE_ONCE(vm->arch.gic_high, base + bytes);
}

int gic_set_count(struct vm *vm, u32 irqs)
{
	struct gic *gic = vm->arch.gic;

	if (irqs < 64 || irqs > 1023 || irqs % 32)
		return -EINVAL;
	if (gic->initialized || gic->wanted)
		return -EBUSY;
	gic->wanted = irqs;
	return 0;
}

u32 gic_get_count(const struct vm *vm)
{
	return vm->arch.gic->wanted;
}

static u64 *base_of(struct gic *gic, bool redist)
{
	return redist ? &gic->redist_base : &gic->dist_base;
}

int gic_set_base(struct vm *vm, bool redist, u64 base)
{
	u64 *at = base_of(vm->arch.gic, redist), bytes = redist ? GIC_REDIST_BYTES : GIC_DIST_BYTES;
	u64 top = (arch_max_gfn() + 1) << PAGE_SHIFT;

	if (*at != GIC_UNSET)
		return -EEXIST;
	if (base & (GIC_DIST_BYTES - 1))
		return -EINVAL;
	if (base >= top || bytes > top - base)
		return -E2BIG;
	*at = base;
	gic_span(vm, base, redist ? ABI_MAX_VCPUS * bytes : bytes);
	return 0;
}

u64 gic_get_base(const struct vm *vm, bool redist)
{
	return *base_of(vm->arch.gic, redist);
}

/* As KVM: without a number 256 interrupts; all vCPUs must be there. */
int gic_init(struct vm *vm)
{
	struct gic *gic = vm->arch.gic;
	u32 count, i;
	int rc;

	if (gic->initialized)
		return 0;
	count = min(gic->wanted ? : 256u, GIC_IRQS_MAX);
	gic->spi = kvcalloc(count - GIC_PRIVATE, sizeof(*gic->spi), GFP_KERNEL_ACCOUNT);
	if (!gic->spi)
		return -ENOMEM;
	gic->wanted = gic->wanted ? : 256u;
	for (i = 0; i < count - GIC_PRIVATE; i++)
		gic->spi[i] = (struct gic_irq){ .id = GIC_PRIVATE + i, .edge = true, .group1 = true, .target = READ_ONCE(vm->vcpu[0]) };
	rc = vgic_routes(vm, count - GIC_PRIVATE);
	if (rc) {
		kvfree(gic->spi);
		gic->spi = NULL;
		return rc;
	}
	smp_store_release(&gic->count, count);
	/* Pairs with gic_initialized(): whoever sees it sees the table. */
	smp_store_release(&gic->initialized, true);
	return 0;
}

bool gic_initialized(const struct vm *vm)
{
	return vm->arch.gic && smp_load_acquire(&vm->arch.gic->initialized);
}

int gic_ready(const struct vm *vm)
{
	const struct gic *gic = vm->arch.gic;

	if (gic->dist_base == GIC_UNSET || gic->redist_base == GIC_UNSET)
		return -ENXIO;
	return gic_initialized(vm) ? 0 : -EBUSY;
}
