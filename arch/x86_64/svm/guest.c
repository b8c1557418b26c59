/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest.c - a user vCPU's state on SVM: switching in and out, and what the
 * driver reads and sets. The state after reset is the driver's to set.
 *
 * Invariant: while the hypervisor runs for the service VM, the processor holds
 * the service VM's VMLOAD state, FPU state and DR0 to DR3; svm_run() is the
 * only change.
 * See: APM vol. 2, 15.5 (VMRUN).
 */
#include <string.h>
#include "svm.h"
#include "phys.h"
#include "errno.h"

int svm_vcpu_init(struct vcpu *v)
{
	u64 pa = pool_alloc_pages(&v->vm->pool, 1);
	struct vmcb *b = phys_to_virt(pa);

	if (!pa)
		return -ENOMEM;
	v->arch.vmcb = b;
	v->arch.vmcb_pa = pa;
	svm_guest_intercepts(b);
	svm_intercept(b, VMEXIT_CR_WRITE8, !v->arch.lapic);
	b->iopm_pa = svm_iopm_pa;
	b->msrpm_pa = svm_guest_msrpm_pa;
	b->np_enable = 1;
	b->ncr3 = v->vm->pt.root;
	b->int_control = V_INTR_MASKING;
	return 0;
}

/* ---- KVM's structs ---- */

void svm_get_regs(struct vcpu *v, struct abi_regs *r)
{
	const struct vmcb *b = v->arch.vmcb;

	*(struct gprs *)r = v->arch.regs;	/* the same order */
	r->rax = b->rax;
	r->rsp = b->rsp;
	r->rip = b->rip;
	r->rflags = b->rflags;
}

void svm_set_regs(struct vcpu *v, const struct abi_regs *r)
{
	struct vmcb *b = v->arch.vmcb;

	v->arch.regs = *(const struct gprs *)r;
	b->rax = r->rax;
	b->rsp = r->rsp;
	b->rip = r->rip;
	b->rflags = r->rflags | RFLAGS_FIXED;
}

/* ---- fields of struct state_fields ---- */

/* The VMCB is memory: to be had at any time. */
void svm_hold(struct vcpu *v, enum vcpu_hold hold)
{
}

/*
 * CD and NW of a guest would switch off the processor's caches, for firmware's whole life and its neighbour's thread (APM vol. 2,
 * 7.6.2). It is shown them, and CR0 is the driver's meanwhile; one that it sets itself goes at the next way out (unload()).
 */
void svm_cr0_set(struct vcpu *v, u64 cr0)
{
	struct vmcb *b = v->arch.vmcb;

	v->arch.cr0_shown = (u32)cr0 & (CR0_CD | CR0_NW);
	b->cr0 = (cr0 & ~(CR0_CD | CR0_NW)) | CR0_ET;
	svm_intercept(b, VMEXIT_CR_READ0, !!v->arch.cr0_shown);
	svm_intercept(b, VMEXIT_CR_WRITE0, !!v->arch.cr0_shown);
}

#define AT(member) __builtin_offsetof(struct vmcb, member)

/* Segments come first, in the VMCB's own order. */
static const u16 places[STATE_COUNT] = {
	[STATE_CR0] = AT(cr0), [STATE_CR2] = AT(cr2), [STATE_CR3] = AT(cr3), [STATE_CR4] = AT(cr4),
	[STATE_CR8] = AT(int_control), [STATE_EFER] = AT(efer), [STATE_DR6] = AT(dr6), [STATE_DR7] = AT(dr7),
	[STATE_STAR] = AT(star), [STATE_LSTAR] = AT(lstar), [STATE_CSTAR] = AT(cstar), [STATE_SFMASK] = AT(sfmask),
	[STATE_KERNEL_GS_BASE] = AT(kernel_gs_base), [STATE_SYSENTER_CS] = AT(sysenter_cs),
	[STATE_SYSENTER_ESP] = AT(sysenter_esp), [STATE_SYSENTER_EIP] = AT(sysenter_eip), [STATE_PAT] = AT(g_pat),
	[STATE_TSC_OFFSET] = AT(tsc_offset), [STATE_SHADOW] = AT(int_shadow),
};

#define FIELD_SS (2 * SEG_SS)
#define FIELD_SS_DPL (3ull << 21)

static u64 *place(struct vmcb *b, u32 field)
{
	if (field < STATE_CR0)
		return (u64 *)b->seg + field;
	return places[field] ? (u64 *)((u8 *)b + places[field]) : NULL;
}

int svm_state_get(struct vcpu *v, u32 field, u64 *value)
{
	struct vmcb *b = v->arch.vmcb;
	const u64 *at = place(b, field);

	if (!at)
		return 0;
	switch (field) {
	case FIELD_SS: *value = (*at & ~FIELD_SS_DPL) | (u64)b->cpl << 21; break;
	case STATE_CR0: *value = *at | v->arch.cr0_shown; break;
	case STATE_CR8: *value = *at & 15; break;
	case STATE_EFER: *value = *at & ~EFER_SVME; break;
	case STATE_SHADOW: *value = *at & 1; break;
	default: *value = *at;
	}
	return 1;
}

int svm_state_set(struct vcpu *v, u32 field, u64 value)
{
	struct vmcb *b = v->arch.vmcb;
	u64 *at = place(b, field);

	if (!at)
		return 0;
	switch (field) {
	case FIELD_SS: b->cpl = value >> 21 & 3; *at = value; break;
	case STATE_CR0: svm_cr0_set(v, value); break;
	case STATE_CR8: *at = (*at & ~V_TPR_MASK) | (value & 15); break;
	case STATE_EFER: *at = value | EFER_SVME; break;
	case STATE_SHADOW: *at = value & 1; break;
	default: *at = value;
	}
	return 1;
}

/* Debug registers pass without an exit once they are switched with the vCPU. */
void svm_refresh(struct vcpu *v)
{
	const struct events *e = &v->arch.events;
	struct vmcb *b = v->arch.vmcb;

	svm_intercept(b, VMEXIT_IRET, e->nmi_masked && !e->nmi_iret);
	svm_intercept(b, VMEXIT_EXCEPTION + VECTOR_BP, !!(v->arch.debug & STATE_DEBUG_BP));
	b->intercept[INTERCEPT_DR] = v->arch.dr_live && !(v->arch.debug & STATE_DEBUG_DR) ? 0 : 0xffffffffu;
	/* The ports' map has all bits set, and is larger. */
	b->msrpm_pa = v->arch.debug & STATE_DEBUG_MSRS ? svm_iopm_pa : svm_guest_msrpm_pa;
}
