/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * gic_state.h - what gic.c, gic_regs.c, gic_lpi.c and the path of KVM_RUN share. All of it is
 * under gic.lock, but for what KVM_RUN looks at to see that there is nothing to do.
 */
#ifndef DRIVER_GIC_STATE_H
#define DRIVER_GIC_STATE_H

#include "gic.h"
#include "models/idtree.h"

#define GIC_LPI_PRIORITIES 64u		/* of 6 bits */
#define GIC_REVISION 3u			/* KVM's: 2, groups can be written; 3, GICR_INVLPIR and GICR_INVALLR */
#define GIC_PROPBASER_RESET (3ull << 7 | 1ull << 10)	/* write-back, inner shareable */

struct gic_irq {
	u16 id;
	u8 priority;
	bool group1, enabled, edge, timer;
	bool latch;		/* pending of itself: an edge, an SGI, GICD_ISPENDR */
	bool line;
	bool active;
	bool in_lr;		/* its state is in its owner's list registers */
	struct vcpu *owner;	/* whose work it is; NULL before it first was any */
	struct vcpu *target;	/* by GICD_IROUTER; NULL: no such vCPU */
	u64 route;		/* GICD_IROUTER */
};

/* An LPI: there while an ITS's event names it, or a vCPU has work with it. */
struct gic_lpi {
	struct gic_irq irq;
	struct idtree_node node;	/* of gic.lpis */
	struct list_head link;		/* of its owner's work */
	u32 events;			/* that name it */
	u8 queue;			/* which of the owner's */
	bool first;			/* it was active when it was put there */
};

struct gic_cpu {
	unsigned long work[BITS_TO_LONGS(GIC_IRQS_MAX)];
	u32 count;		/* bits in it, and LPIs */
	u32 lpi_count;
	u64 lpi_queues;		/* the ones with LPIs */
	struct list_head lpi[GIC_LPI_PRIORITIES];	/* its work, active ones first */
	bool lpis_on;		/* GICR_CTLR.EnableLPIs */
	u64 pendbaser;
	u32 loaded_count;
	struct gic_irq *loaded[GIC_LRS];
	struct gic_irq irq[GIC_PRIVATE];
};

struct gic {
	spinlock_t lock;
	struct vm *vm;
	bool initialized;
	bool enabled;		/* GICD_CTLR.EnableGrp1 */
	u32 revision;		/* GICD_IIDR's */
	struct idtree lpis;
	u64 propbaser;		/* all redistributors' */
	u32 wanted;		/* KVM_DEV_ARM_VGIC_GRP_NR_IRQS */
	u32 count;		/* interrupts in all, SPIs end there */
	u64 dist_base, redist_base;
	struct gic_irq *spi;
};

/* NULL while the vCPU is being made. */
static inline struct gic_cpu *gic_cpu(const struct vcpu *v)
{
	return smp_load_acquire(&v->arch.gic);
}

/* NULL: there is none. A private one needs v. */
struct gic_irq *gic_irq(struct gic *gic, struct vcpu *v, u32 irq);
bool gic_irq_pending(const struct gic_irq *irq);
/* An LPI that nothing names any more is gone behind it. */
void gic_update(struct gic *gic, struct gic_irq *irq);
void gic_update_all(struct gic *gic);
/* The n-th redistributor is the vCPU with the n-th lowest id; NULL: so many there are not. */
struct vcpu *gic_redist(const struct gic *gic, u32 n);

/* ---- gic_lpi.c; gic.lock held, but for the accesses ---- */

static inline struct gic_lpi *gic_lpi(struct gic_irq *irq)
{
	return container_of(irq, struct gic_lpi, irq);
}

static inline bool gic_is_lpi(const struct gic_irq *irq)
{
	return irq->id >= GIC_LPI_FIRST;
}

void gic_lpi_work(struct gic_irq *irq, bool set);
/* Behind a change: it goes if nothing needs it. */
void gic_lpi_settle(struct gic *gic, struct gic_irq *irq);
/* Registers of a redistributor that belong to LPIs, guest memory behind them: false: it is none of them. May sleep. */
bool gic_lpi_access(struct gic *gic, struct vcpu *v, u32 offset, u32 size, bool write, u64 *data);
void gic_lpi_free(struct gic *gic);

/* Around a stay in the guest: before it with interrupts off, and after it. */
static __always_inline void gic_enter(struct vcpu *v)
{
	struct exit_gic *in = &v->exit->in.gic;

	in->lr_count = 0;
	in->hcr = 0;
	if (unlikely(READ_ONCE(v->arch.gic->count)))
		gic_fill(v);
}

static __always_inline void gic_exit(struct vcpu *v)
{
	const struct exit_gic *out = &v->exit->out.gic;
	struct exit_gic *in = &v->exit->in.gic;
	struct gic_cpu *c = v->arch.gic;

	in->vmcr = out->vmcr;
	memcpy(in->ap0r, out->ap0r, sizeof(in->ap0r));
	memcpy(in->ap1r, out->ap1r, sizeof(in->ap1r));
	if (unlikely(c->loaded_count || !v->exit->out.timer_level != !c->irq[GIC_TIMER_IRQ].line))
		gic_fold(v);
}

/* Could a register of the GIC or of an ITS be at gpa? The span only grows, so that one bound may be older than the other. */
static inline bool gic_covers(const struct vm *vm, u64 gpa)
{
	return gpa >= READ_ONCE(vm->arch.gic_low) && gpa < READ_ONCE(vm->arch.gic_high);
}

#endif
