/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * gic_state.h - what gic.c, gic_regs.c and the path of KVM_RUN share. All of it is
 * under gic.lock, but for what KVM_RUN looks at to see that there is nothing to do.
 */
#ifndef DRIVER_GIC_STATE_H
#define DRIVER_GIC_STATE_H

#include "gic.h"

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

struct gic_cpu {
	unsigned long work[BITS_TO_LONGS(GIC_IRQS_MAX)];
	u32 count;		/* bits in it */
	u32 loaded_count;
	struct gic_irq *loaded[GIC_LRS];
	struct gic_irq irq[GIC_PRIVATE];
};

struct gic {
	spinlock_t lock;
	struct vm *vm;
	bool initialized;
	bool enabled;		/* GICD_CTLR.EnableGrp1 */
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
void gic_update(struct gic *gic, struct gic_irq *irq);
void gic_update_all(struct gic *gic);

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

/* Could a register of the GIC be at gpa? Its bases are fixed once a vCPU runs. */
static inline bool gic_covers(const struct gic *gic, u64 gpa)
{
	return gpa - gic->dist_base < GIC_DIST_BYTES || gpa - gic->redist_base < ABI_MAX_VCPUS * GIC_REDIST_BYTES;
}

#endif
