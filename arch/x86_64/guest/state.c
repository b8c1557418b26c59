/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.c - KVM's calls that read and write a vCPU's state. Checked here is
 * what the hypervisor itself would load (XCR0, the XSAVE image); for the rest the
 * processor's own checks at entry stand, and KVM's are the driver's.
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

#define KVM_NR_INTERRUPTS 256

int machine_vcpu_init(struct vcpu *v)
{
	struct pool *pool = &v->vm->pool;
	u64 fpu = pool_alloc_pages(pool, (fpu_bytes + PAGE_SIZE - 1) / PAGE_SIZE);
	u64 cpuid_pa = pool_alloc_pages(pool, (ABI_CPUID_BYTES + PAGE_SIZE - 1) / PAGE_SIZE);

	if (!fpu || !cpuid_pa || backend->vcpu_init(v))
		return -ENOMEM;
	v->arch.fpu = phys_to_virt(fpu);
	v->arch.cpuid = phys_to_virt(cpuid_pa);
	fpu_reset(v);
	msr_reset(v);
	v->arch.regs.rdx = 0x600;	/* KVM's value at reset without CPUID */
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
	c->vcpu->arch.events.exception = 0;
	return 0;
}

s64 op_KVM_GET_SREGS(struct call *c)
{
	struct abi_sregs *s = (struct abi_sregs *)c->buf;
	const struct events *e = &c->vcpu->arch.events;

	memset(s, 0, sizeof(*s));
	backend->get_sregs(c->vcpu, s);
	s->apic_base = c->vcpu->arch.apic_base;
	if (e->interrupt)
		s->interrupt_bitmap[e->interrupt_vector / 64] |= 1ull << (e->interrupt_vector % 64);
	c->out = sizeof(*s);
	return 0;
}

static void queue_first(struct events *e, const u64 *bitmap)
{
	u32 i;

	for (i = 0; i < KVM_NR_INTERRUPTS / 64; i++)
		if (bitmap[i]) {
			e->interrupt = 1;
			e->interrupt_vector = (u8)(i * 64 + (u32)__builtin_ctzll(bitmap[i]));
			return;
		}
}

s64 op_KVM_SET_SREGS(struct call *c)
{
	struct abi_sregs *s = (struct abi_sregs *)c->buf;

	s->efer &= EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_FFXSR;
	c->vcpu->arch.apic_base = s->apic_base;
	backend->set_sregs(c->vcpu, s);
	queue_first(&c->vcpu->arch.events, s->interrupt_bitmap);
	c->vcpu->arch.work = 1;
	return 0;
}

/* ---- events ---- */

s64 op_KVM_INTERRUPT(struct call *c)
{
	u32 irq = ((const struct abi_interrupt *)c->buf)->irq;
	struct events *e = &c->vcpu->arch.events;

	if (irq >= KVM_NR_INTERRUPTS)
		return -EINVAL;
	c->vcpu->arch.work = 1;
	e->interrupt = 1;
	e->interrupt_vector = (u8)irq;
	return 0;
}

/* Two at most, one when NMIs are blocked: as a processor latches them. */
s64 op_KVM_NMI(struct call *c)
{
	struct events *e = &c->vcpu->arch.events;
	u32 limit = e->nmi_masked || e->nmi_injected ? 1 : 2;

	c->vcpu->arch.work = 1;
	if (e->nmi_pending < limit)
		e->nmi_pending++;
	return 0;
}

s64 op_KVM_GET_VCPU_EVENTS(struct call *c)
{
	struct abi_vcpu_events *x = (struct abi_vcpu_events *)c->buf;
	const struct events *e = &c->vcpu->arch.events;

	memset(x, 0, sizeof(*x));
	if (e->exception_vector != VECTOR_BP && e->exception_vector != 4)
		x->exception.injected = e->exception;
	x->exception.nr = e->exception_vector;
	x->exception.has_error_code = e->exception_has_error;
	x->exception.error_code = e->exception_error;
	x->interrupt.injected = e->interrupt;
	x->interrupt.nr = e->interrupt_vector;
	x->interrupt.shadow = *backend->special(c->vcpu, SPECIAL_SHADOW) & 1 ? ABI_SHADOW_STI | ABI_SHADOW_MOV_SS : 0;
	x->nmi.injected = e->nmi_injected;
	x->nmi.pending = e->nmi_pending != 0;
	x->nmi.masked = e->nmi_masked;
	x->flags = ABI_EVENT_NMI_PENDING | ABI_EVENT_SHADOW | ABI_EVENT_SMM;
	c->out = sizeof(*x);
	return 0;
}

s64 op_KVM_SET_VCPU_EVENTS(struct call *c)
{
	const struct abi_vcpu_events *x = (const struct abi_vcpu_events *)c->buf;
	struct events *e = &c->vcpu->arch.events;

	c->vcpu->arch.work = 1;
	e->exception = !!x->exception.injected;
	e->exception_vector = x->exception.nr & 31;
	e->exception_has_error = !!x->exception.has_error_code;
	e->exception_error = x->exception.error_code;
	e->interrupt = !!x->interrupt.injected;
	e->interrupt_vector = x->interrupt.nr;
	if (x->flags & ABI_EVENT_SHADOW)
		*backend->special(c->vcpu, SPECIAL_SHADOW) = !!x->interrupt.shadow;
	e->nmi_injected = !!x->nmi.injected;
	if (x->flags & ABI_EVENT_NMI_PENDING)
		e->nmi_pending = !!x->nmi.pending;
	e->nmi_masked = !!x->nmi.masked;
	e->nmi_iret = 0;
	backend->nmi_mask(c->vcpu);
	return 0;
}

/* ---- debug registers ---- */

s64 op_KVM_GET_DEBUGREGS(struct call *c)
{
	struct abi_debugregs *d = (struct abi_debugregs *)c->buf;

	memset(d, 0, sizeof(*d));
	memcpy(d->db, c->vcpu->arch.dr, sizeof(d->db));
	d->dr6 = *backend->special(c->vcpu, SPECIAL_DR6);
	d->dr7 = *backend->special(c->vcpu, SPECIAL_DR7);
	c->out = sizeof(*d);
	return 0;
}

s64 op_KVM_SET_DEBUGREGS(struct call *c)
{
	const struct abi_debugregs *d = (const struct abi_debugregs *)c->buf;

	memcpy(c->vcpu->arch.dr, d->db, sizeof(d->db));
	*backend->special(c->vcpu, SPECIAL_DR6) = (u32)d->dr6;
	*backend->special(c->vcpu, SPECIAL_DR7) = (u32)d->dr7;
	c->vcpu->arch.dr_live = 1;
	return 0;
}

/* The VMM debugs its guest. A waiting exception makes injecting one more -EBUSY. */
s64 op_KVM_SET_GUEST_DEBUG(struct call *c)
{
	const struct abi_guest_debug *d = (const struct abi_guest_debug *)c->buf;
	struct vcpu *v = c->vcpu;

	if (d->control & (ABI_DEBUG_INJECT_DB | ABI_DEBUG_INJECT_BP)) {
		if (v->arch.events.exception)
			return -EBUSY;
		queue_exception(v, d->control & ABI_DEBUG_INJECT_DB ? VECTOR_DB : VECTOR_BP, 0, 0);
	}
	v->arch.debug_control = d->control & ABI_DEBUG_ENABLE ? d->control : 0;
	memcpy(v->arch.debug_dr, d->debugreg, sizeof(v->arch.debug_dr));
	v->arch.debug_dr7 = (d->debugreg[7] & 0xffff23ffull) | 0x400;
	backend->debug(v);
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

s64 op_KVM_GET_XCRS(struct call *c)
{
	struct abi_xcrs *x = (struct abi_xcrs *)c->buf;

	if (!fpu_mask)
		return -EINVAL;
	memset(x, 0, sizeof(*x));
	x->nr_xcrs = 1;
	x->xcrs[0].value = c->vcpu->arch.xcr0;
	c->out = sizeof(*x);
	return 0;
}

s64 op_KVM_SET_XCRS(struct call *c)
{
	const struct abi_xcrs *x = (const struct abi_xcrs *)c->buf;
	u32 i;

	if (!fpu_mask || x->nr_xcrs > ARRAY_SIZE(x->xcrs) || x->flags)
		return -EINVAL;
	for (i = 0; i < x->nr_xcrs; i++) {
		if (x->xcrs[i].xcr)
			continue;
		if (!fpu_xcr0_valid(x->xcrs[i].value))
			return -EINVAL;
		c->vcpu->arch.xcr0 = x->xcrs[i].value;
		break;
	}
	return 0;
}
