/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lr.c - a guest's GIC CPU interface: list registers, ICH_VMCR_EL2 and the active
 * priorities. The driver has the rest of the GIC and says in the exit page what
 * is loaded; only hardware state passes through here.
 *
 * Invariant: while no guest is loaded all list registers are empty and the virtual
 * interface is off. A list register can be tied to one physical interrupt only:
 * the virtual timer's, which is the user VMs'.
 * Called by: el2/switch.c. See: GIC specification (IHI 0069) 12.4, 6.3.
 */
#include "vcpu_arch.h"
#include "vm.h"

#define ICH_EN 1u
#define ICH_EOICOUNT (0x1fu << GIC_HCR_EOICOUNT_SHIFT)
#define PINTID_SHIFT 32
#define PINTID_TIMER (27ull << PINTID_SHIFT)
#define LR_KEPT (GIC_LR_PENDING | GIC_LR_ACTIVE | GIC_LR_HW | GIC_LR_GROUP1 | 0xffull << GIC_LR_PRIORITY_SHIFT | GIC_LR_INTID)
#define VMCR_KEPT 0xfffc0213u	/* VPMR, VBPR0, VBPR1, VEOIM, VCBPR, VENG1, VENG0 (12.4.9) */
#define VMCR_FIQEN 0x8u		/* RES1 with system registers */

u32 lr_count;
static u32 apr_count;

INIT void lr_init(void)
{
	u64 vtr = read_named(ICH_VTR_EL2);

	lr_count = (u32)(vtr & 0x1f) + 1;
	/* 32 preemption levels to a register: 5 to 7 bits of them. */
	apr_count = 1u << ((vtr >> 26 & 7) - 4);
}

#define EACH_LR(X) \
	X(0, C12_0) X(1, C12_1) X(2, C12_2) X(3, C12_3) X(4, C12_4) X(5, C12_5) X(6, C12_6) X(7, C12_7) \
	X(8, C13_0) X(9, C13_1) X(10, C13_2) X(11, C13_3) X(12, C13_4) X(13, C13_5) X(14, C13_6) X(15, C13_7)

static void lr_write(u32 i, u64 value)
{
	switch (i) {
#define X(n, name) case n: write_named(S3_4_C12_##name, value); break;
	EACH_LR(X)
#undef X
	}
}

static u64 lr_read(u32 i)
{
	switch (i) {
#define X(n, name) case n: return read_named(S3_4_C12_##name);
	EACH_LR(X)
#undef X
	}
	return 0;
}

/* Active priorities: ICH_AP0R<n>_EL2 and ICH_AP1R<n>_EL2, as many as there are. */
#define EACH_APR(X) X(0, 0) if (apr_count > 1) { X(1, 1) } if (apr_count > 2) { X(2, 2) X(3, 3) }

static void apr_load(const struct exit_gic *in)
{
#define X(i, n) write_named(S3_4_C12_C8_##n, READ_ONCE(in->ap0r[i])); write_named(S3_4_C12_C9_##n, READ_ONCE(in->ap1r[i]));
	EACH_APR(X)
#undef X
}

static void apr_save(struct exit_gic *out)
{
#define X(i, n) out->ap0r[i] = (u32)read_named(S3_4_C12_C8_##n); out->ap1r[i] = (u32)read_named(S3_4_C12_C9_##n);
	EACH_APR(X)
#undef X
}

/* Reserved bits cleared; the interrupt that hardware ends is not the driver's to choose. */
static u64 lr_checked(u64 lr)
{
	return lr & GIC_LR_HW ? (lr & LR_KEPT) | PINTID_TIMER : lr & (LR_KEPT | GIC_LR_EOI);
}

void lr_load(struct vcpu *v)
{
	const struct exit_gic *in = &v->page->in.gic;
	u32 count = READ_ONCE(in->lr_count), i;

	v->arch.lr_timer = 0;
	v->arch.lr_count = 0;
	if (!v->arch.gic) {
		write_named(ICH_HCR_EL2, ICH_TRAP_ALL);
		return;
	}
	v->arch.lr_count = count < lr_count ? count : lr_count;
	for (i = 0; i < v->arch.lr_count; i++) {
		u64 lr = lr_checked(READ_ONCE(in->lr[i]));

		v->arch.lr_timer |= (lr & GIC_LR_HW) && (lr & (GIC_LR_PENDING | GIC_LR_ACTIVE));
		lr_write(i, lr);
	}
	write_named(ICH_VMCR_EL2, (READ_ONCE(in->vmcr) & VMCR_KEPT) | VMCR_FIQEN);
	apr_load(in);
	write_named(ICH_HCR_EL2, ICH_EN | (READ_ONCE(in->hcr) & GIC_HCR_KEPT));
}

void lr_unload(struct vcpu *v)
{
	struct exit_gic *out = &v->page->out.gic;
	u32 i;

	if (v->arch.gic) {
		out->hcr = (u32)read_named(ICH_HCR_EL2) & ICH_EOICOUNT;
		out->vmcr = (u32)read_named(ICH_VMCR_EL2);
		apr_save(out);
		for (i = 0; i < v->arch.lr_count; i++) {
			out->lr[i] = lr_read(i);
			lr_write(i, 0);
		}
	}
	write_named(ICH_HCR_EL2, 0);
}
