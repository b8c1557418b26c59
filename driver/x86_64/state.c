// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * state.c - KVM's checks of the state that a VMM sets, in KVM's order, and
 * KVM_GET_FPU and KVM_SET_FPU, which are views of the XSAVE image.
 *
 * The hypervisor checks only what could hurt itself; what a wrong state would do
 * to its own guest is refused here.
 * Called by: vcpu.c, ioctl.c. Concurrency: v->lock.
 * See: Documentation/virt/kvm/api.rst; docs/abi.md.
 */
#include <linux/slab.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "tenon.h"

#define VECTOR_NMI 2u
#define VECTOR_MAX 31u
#define CR4_ALWAYS 0x7ffull	/* VME .. OSXMMEXCPT */
#define APIC_BASE_RESERVED 0x2ffull
#define XSAVE_BYTES sizeof(struct abi_xsave)
#define XSAVE_HEADER 512
#define XSTATE_LEGACY 3ull	/* x87 and SSE */

/* CR4 bits and the CPUID bit that allows each. */
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

bool state_cr4_valid(const struct vcpu *v, u64 cr4)
{
	u64 allowed = CR4_ALWAYS;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(cr4_features); i++) {
		if (cpuid_has(v, cr4_features[i].leaf, cr4_features[i].reg, cr4_features[i].cpuid_bit))
			allowed |= 1ull << cr4_features[i].bit;
	}
	return !(cr4 & ~allowed);
}

bool state_cr0_valid(u64 cr0)
{
	if (cr0 >> 32 || (cr0 & X86_CR0_NW && !(cr0 & X86_CR0_CD)))
		return false;
	return !(cr0 & X86_CR0_PG) || cr0 & X86_CR0_PE;
}

static bool apic_base_valid(const struct vcpu *v, u64 base)
{
	u64 reserved = APIC_BASE_RESERVED | ~((1ull << v->arch.maxphyaddr) - 1);

	if (!cpuid_has(v, 1, 2, 21))
		reserved |= X2APIC_ENABLE;
	if (base & reserved)
		return false;
	return base & MSR_IA32_APICBASE_ENABLE || !(base & X2APIC_ENABLE);
}

static int check_sregs(struct vcpu *v, const struct abi_sregs *s)
{
	if (s->efer & EFER_LME && s->cr0 & X86_CR0_PG) {
		if (!(s->cr4 & X86_CR4_PAE) || !(s->efer & EFER_LMA) || s->cr3 >> v->arch.maxphyaddr)
			return -EINVAL;
	} else if (s->efer & EFER_LMA || s->cs.l) {
		return -EINVAL;
	}
	return state_cr4_valid(v, s->cr4) && state_cr0_valid(s->cr0) && apic_base_valid(v, s->apic_base) ? 0 : -EINVAL;
}

/* KVM_CAP_EXCEPTION_PAYLOAD and KVM_CAP_X86_TRIPLE_FAULT_EVENT are not offered. */
static int check_events(const struct abi_vcpu_events *e)
{
	u32 known = ABI_EVENT_NMI_PENDING | ABI_EVENT_SIPI_VECTOR | ABI_EVENT_SHADOW | ABI_EVENT_SMM;

	if (e->flags & ~known)
		return -EINVAL;
	if (e->exception.injected && (e->exception.nr > VECTOR_MAX || e->exception.nr == VECTOR_NMI))
		return -EINVAL;
	return 0;
}

static int check_debugregs(const struct abi_debugregs *d)
{
	return d->flags || d->dr6 >> 32 || d->dr7 >> 32 ? -EINVAL : 0;
}

int arch_vcpu_check(struct vcpu *v, enum op_index op, const void *payload)
{
	switch (op) {
	case OPX_KVM_SET_SREGS:
		return check_sregs(v, payload);
	case OPX_KVM_SET_VCPU_EVENTS:
		return check_events(payload);
	case OPX_KVM_SET_DEBUGREGS:
		return check_debugregs(payload);
	default:
		return 0;
	}
}

/* ---- KVM_GET_FPU, KVM_SET_FPU ---- */

static void fpu_from_xsave(struct abi_fpu *f, const u8 *x)
{
	memcpy(&f->fcw, x, 2);
	memcpy(&f->fsw, x + 2, 2);
	f->ftwx = x[4];
	memcpy(&f->last_opcode, x + 6, 2);
	memcpy(&f->last_ip, x + 8, 8);
	memcpy(&f->last_dp, x + 16, 8);
	memcpy(f->fpr, x + 32, sizeof(f->fpr));
	memcpy(f->xmm, x + 160, sizeof(f->xmm));
}

static void fpu_to_xsave(u8 *x, const struct abi_fpu *f)
{
	memcpy(x, &f->fcw, 2);
	memcpy(x + 2, &f->fsw, 2);
	x[4] = f->ftwx;
	memcpy(x + 6, &f->last_opcode, 2);
	memcpy(x + 8, &f->last_ip, 8);
	memcpy(x + 16, &f->last_dp, 8);
	memcpy(x + 32, f->fpr, sizeof(f->fpr));
	memcpy(x + 160, f->xmm, sizeof(f->xmm));
	*(u64 *)(x + XSAVE_HEADER) |= XSTATE_LEGACY;
}

long state_get_fpu(void *object, unsigned long arg)
{
	struct abi_fpu fpu = {};
	struct vcpu *v = object;
	u8 *x = kzalloc(XSAVE_BYTES, GFP_KERNEL_ACCOUNT);
	long rc;

	if (!x)
		return -ENOMEM;
	rc = ring_call(OPX_KVM_GET_XSAVE, v->handle, 0, NULL, 0, x);
	fpu_from_xsave(&fpu, x);
	kfree(x);
	if (!rc && copy_to_user((void __user *)arg, &fpu, sizeof(fpu)))
		rc = -EFAULT;
	return rc;
}

long state_set_fpu(void *object, unsigned long arg)
{
	struct vcpu *v = object;
	struct abi_fpu fpu;
	long rc;
	u8 *x;

	if (copy_from_user(&fpu, (void __user *)arg, sizeof(fpu)))
		return -EFAULT;
	x = kzalloc(XSAVE_BYTES, GFP_KERNEL_ACCOUNT);
	if (!x)
		return -ENOMEM;
	rc = ring_call(OPX_KVM_GET_XSAVE, v->handle, 0, NULL, 0, x);
	fpu_to_xsave(x, &fpu);
	if (!rc)
		rc = ring_call(OPX_KVM_SET_XSAVE, v->handle, 0, x, XSAVE_BYTES, NULL);
	kfree(x);
	return rc;
}
