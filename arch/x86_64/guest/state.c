/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.c - the calls that read and write a vCPU's state. Checked here is what
 * the hypervisor itself would load (MSRs, XCR0, the XSAVE image); for the rest
 * the processor's own checks at entry stand, and KVM's are the driver's.
 *
 * Called by: dispatch.c. Calls: the backend for what lives in its state block.
 */
#include <string.h>
#include "vcpu_arch.h"
#include "vm.h"
#include "call.h"
#include "machine.h"
#include "phys.h"
#include "errno.h"

int machine_vcpu_init(struct vcpu *v)
{
	struct pool *pool = &v->vm->pool;
	u64 fpu = pool_alloc_pages(pool, (fpu_bytes + PAGE_SIZE - 1) / PAGE_SIZE);

	v->arch.lapic = v->flags & VCPU_LAPIC ? (struct lapic_page *)((u8 *)v->page + PAGE_SIZE) : NULL;
	if (!fpu || backend->vcpu_init(v))
		return -ENOMEM;
	v->arch.fpu = phys_to_virt(fpu);
	v->arch.xcr0 = FPU_XCR0_RESET;
	return 0;
}

/* ---- registers ---- */

s64 op_KVM_GET_REGS(struct call *c)
{
	backend->get_regs(c->vcpu, (struct abi_regs *)c->buf);
	c->out = sizeof(struct abi_regs);
	return 0;
}

s64 op_KVM_SET_REGS(struct call *c)
{
	backend->set_regs(c->vcpu, (const struct abi_regs *)c->buf);
	return 0;
}

/* ---- fields ---- */

static int canonical(u64 address)
{
	return (u64)((s64)(address << 16) >> 16) == address;
}

/* What the hypervisor loads itself must not fault in its hands; the rest the processor checks at the entry. */
static int value_ok(u32 field, u64 value)
{
	switch (field) {
	case STATE_LSTAR:
	case STATE_CSTAR:
	case STATE_KERNEL_GS_BASE:
		return canonical(value);
	case STATE_DR6:
	case STATE_DR7:
	case STATE_SFMASK:
		return !(value >> 32);
	case STATE_TSC_AUX:
		return !(value >> 32) && (cpu_has_tsc_aux || !value);
	case STATE_TSC_RATIO:
		return value <= tsc_ratio_max;
	case STATE_XCR0:
		return fpu_mask ? fpu_xcr0_valid(value, fpu_mask) : value == FPU_XCR0_RESET;
	default:
		return 1;
	}
}

/* What no state block has is in arch.kept, and nobody but the guest feels it. */
_Static_assert(__builtin_offsetof(struct vcpu_arch, kept[STATE_NMI - STATE_DR0]) ==
	       __builtin_offsetof(struct vcpu_arch, events.nmi_pending), "the order of enum state_field");

static u64 field_get(struct vcpu *v, u32 field)
{
	u64 value = 0;

	if (!backend->state_get(v, field, &value) && field >= STATE_DR0)
		value = v->arch.kept[field - STATE_DR0];
	return value;
}

static void field_set(struct vcpu *v, u32 field, u64 value)
{
	if (!backend->state_set(v, field, value) && field >= STATE_DR0)
		v->arch.kept[field - STATE_DR0] = value;
}

s64 op_OP_STATE_GET(struct call *c)
{
	struct state_fields *s = (struct state_fields *)c->buf;
	u32 i;

	s->fields = (1ull << STATE_COUNT) - 1;
	for (i = 0; i < STATE_COUNT; i++)
		s->value[i] = field_get(c->vcpu, i);
	c->out = sizeof(*s);
	return 0;
}

#define BIT(field) (1ull << (field))
#define TRANSLATION_FIELDS (BIT(STATE_CR0) | BIT(STATE_CR3) | BIT(STATE_CR4) | BIT(STATE_EFER))
#define DEBUG_FIELDS (BIT(STATE_DR0) | BIT(STATE_DR1) | BIT(STATE_DR2) | BIT(STATE_DR3))

s64 op_OP_STATE_SET(struct call *c)
{
	const struct state_fields *s = (const struct state_fields *)c->buf;
	struct vcpu *v = c->vcpu;
	u32 i;

	for (i = 0; i < STATE_COUNT; i++)
		if ((s->fields & BIT(i)) && !value_ok(i, s->value[i]))
			return -EINVAL;
	for (i = 0; i < STATE_COUNT; i++)
		if (s->fields & BIT(i))
			field_set(v, i, s->value[i]);
	if (s->fields & DEBUG_FIELDS)
		v->arch.dr_live = 1;
	backend->refresh(v);
	if (s->fields & TRANSLATION_FIELDS)
		v->arch.asid_generation = 0;	/* the guest's own translations go */
	v->arch.work = 1;
	return 0;
}

/* ---- extended state, in XSAVE's standard layout ---- */

s64 op_KVM_GET_XSAVE(struct call *c)
{
	memset(c->buf, 0, sizeof(struct abi_xsave));
	memcpy(c->buf, c->vcpu->arch.fpu, min_u64(fpu_bytes, sizeof(struct abi_xsave)));
	c->out = sizeof(struct abi_xsave);
	return 0;
}

s64 op_KVM_SET_XSAVE(struct call *c)
{
	return fpu_set(c->vcpu, c->buf) ? -EINVAL : 0;
}
