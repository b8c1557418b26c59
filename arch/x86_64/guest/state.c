/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.c - KVM's calls that read and write a vCPU's state, with KVM's checks
 * in KVM's order. Wrong state gives -EINVAL and changes nothing, but where
 * docs/abi.md says that KVM does otherwise.
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

/* CR4 bits and the CPUID bit that allows each (as kvm_cr4_reserved_bits). */
static const struct { u32 bit, leaf, reg, cpuid_bit; } cr4_features[] = {
	{ 11, 7, 2, 2 },	/* UMIP */
	{ 12, 7, 2, 16 },	/* LA57 */
	{ 16, 7, 1, 0 },	/* FSGSBASE */
	{ 17, 1, 2, 17 },	/* PCIDE */
	{ 18, 1, 2, 26 },	/* OSXSAVE */
	{ 20, 7, 1, 7 },	/* SMEP */
	{ 21, 7, 1, 20 },	/* SMAP */
	{ 22, 7, 2, 3 },	/* PKE */
};

static int cr4_valid(const struct vcpu *v, u64 cr4)
{
	u64 allowed = 0x7ff;	/* VME .. OSXMMEXCPT */
	u32 i;

	for (i = 0; i < ARRAY_SIZE(cr4_features); i++)
		if (cpuid_has(v, cr4_features[i].leaf, (int)cr4_features[i].reg, cr4_features[i].cpuid_bit))
			allowed |= 1ull << cr4_features[i].bit;
	return !(cr4 & ~allowed);
}

static int cr0_valid(u64 cr0)
{
	return !(cr0 >> 32) && !((cr0 & CR0_NW) && !(cr0 & CR0_CD)) && !((cr0 & CR0_PG) && !(cr0 & CR0_PE));
}

static int sregs_valid(const struct vcpu *v, const struct abi_sregs *s)
{
	if ((s->efer & EFER_LME) && (s->cr0 & CR0_PG)) {
		if (!(s->cr4 & CR4_PAE) || !(s->efer & EFER_LMA) || s->cr3 >> 52)
			return 0;
	} else if ((s->efer & EFER_LMA) || s->cs.l) {
		return 0;
	}
	return cr4_valid(v, s->cr4) && cr0_valid(s->cr0) && apic_base_valid(v, s->apic_base);
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

	if (!sregs_valid(c->vcpu, s))
		return -EINVAL;
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

	if (x->flags & ~(ABI_EVENT_NMI_PENDING | ABI_EVENT_SIPI_VECTOR | ABI_EVENT_SHADOW | ABI_EVENT_SMM |
			 ABI_EVENT_PAYLOAD | ABI_EVENT_TRIPLE_FAULT))
		return -EINVAL;
	if (x->flags & ABI_EVENT_PAYLOAD)	/* KVM_CAP_EXCEPTION_PAYLOAD is not offered */
		return -EINVAL;
	if (x->exception.injected && (x->exception.nr > 31 || x->exception.nr == VECTOR_NMI))
		return -EINVAL;
	c->vcpu->arch.work = 1;
	e->exception = !!x->exception.injected;
	e->exception_vector = x->exception.nr;
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
	/* As KVM: the rest is done by then. KVM_CAP_X86_TRIPLE_FAULT_EVENT is not offered. */
	return x->flags & ABI_EVENT_TRIPLE_FAULT ? -EINVAL : 0;
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

	if (d->flags || d->dr6 >> 32 || d->dr7 >> 32)
		return -EINVAL;
	memcpy(c->vcpu->arch.dr, d->db, sizeof(d->db));
	*backend->special(c->vcpu, SPECIAL_DR6) = d->dr6;
	*backend->special(c->vcpu, SPECIAL_DR7) = d->dr7;
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

/* ---- FP and extended state: the area is in FXSAVE's and XSAVE's layout ---- */

s64 op_KVM_GET_FPU(struct call *c)
{
	struct abi_fpu *f = (struct abi_fpu *)c->buf;
	const u8 *x = c->vcpu->arch.fpu;

	memset(f, 0, sizeof(*f));
	memcpy(&f->fcw, x, 2);
	memcpy(&f->fsw, x + 2, 2);
	f->ftwx = x[4];
	memcpy(&f->last_opcode, x + 6, 2);
	memcpy(&f->last_ip, x + 8, 8);
	memcpy(&f->last_dp, x + 16, 8);
	memcpy(f->fpr, x + 32, sizeof(f->fpr));
	memcpy(f->xmm, x + 160, sizeof(f->xmm));
	c->out = sizeof(*f);
	return 0;
}

s64 op_KVM_SET_FPU(struct call *c)
{
	const struct abi_fpu *f = (const struct abi_fpu *)c->buf;
	u8 *x = c->vcpu->arch.fpu;

	memcpy(x, &f->fcw, 2);
	memcpy(x + 2, &f->fsw, 2);
	x[4] = f->ftwx;
	memcpy(x + 6, &f->last_opcode, 2);
	memcpy(x + 8, &f->last_ip, 8);
	memcpy(x + 16, &f->last_dp, 8);
	memcpy(x + 32, f->fpr, sizeof(f->fpr));
	memcpy(x + 160, f->xmm, sizeof(f->xmm));
	fpu_changed(c->vcpu);
	return 0;
}

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
