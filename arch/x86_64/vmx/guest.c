/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest.c - a user vCPU's state on VMX: switching in and out, and what the
 * driver reads and sets. The state after reset is the driver's to set.
 *
 * Invariant: a user vCPU's VMCS is active only on the CPU that the vCPU is bound to: vmx_hold() clears it, so that any
 * CPU may take it next, and its memory may go back to the service VM (SDM 25.11.1). It is current while that CPU works on
 * the vCPU. Between runs the processor holds the service VM's MSRs, CR2, FPU state and debug registers.
 * See: SDM vol. 3, 25.4 (guest state), 27.3 (what an entry checks).
 */
#include "vmx.h"
#include "phys.h"
#include "errno.h"
#include "abi/hypercall.h"

/* CR0 bits that are ours in a guest: caching is the machine's, NE is VMX's. What a guest writes is in the shadow. */
#define CR0_OURS (CR0_CD | CR0_NW | CR0_NE)

/*
 * #DB and #AC: exit_reflect(). #UD: the driver
 * answers the other vendor's hypercall. #MC is the machine's.
 */
#define EXCEPTIONS (1u << VECTOR_MC | 1u << VECTOR_AC | 1u << VECTOR_UD | 1u << VECTOR_DB)

/* ---- the VMCS ---- */

void vmx_hold(struct vcpu *v, enum vcpu_hold hold)
{
	if (hold == VCPU_FREE) {
		vmclear(v->arch.vmcb_pa);
		v->arch.vmx->launched = 0;
	} else {
		vmptrld(hold == VCPU_OPEN ? v->arch.vmcb_pa : cpu_this()->vmcb_pa);
	}
}

void vmx_proc_set(struct vcpu *v, u32 proc)
{
	if (proc == v->arch.vmx->proc)
		return;
	v->arch.vmx->proc = proc;
	vmwrite(VMCS_PROC, proc);
}

void vmx_proc2_set(struct vcpu *v, u32 bits, u32 on)
{
	v->arch.vmx->proc2 = (v->arch.vmx->proc2 & ~bits) | on;
	vmwrite(VMCS_PROC2, v->arch.vmx->proc2);
}

/* "IA-32e mode guest" must equal EFER.LMA (27.3.1.1). SVME is the other backend's bit. */
static void efer_out(u64 efer)
{
	u64 entry = vmread(VMCS_ENTRY) & ~(u64)ENTRY_IA32E;

	vmwrite(VMCS_GUEST_EFER, efer & ~EFER_SVME);
	vmwrite(VMCS_ENTRY, entry | (efer & EFER_LMA ? ENTRY_IA32E : 0));
}

/* Of the kinds of blocking the one that an entry takes is vmx_shadow_fit()'s choice. */
void vmx_shadow_set(struct vcpu *v, u64 on)
{
	u64 blocked = vmread(VMCS_GUEST_INTERRUPTIBILITY);

	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, (blocked & ~(u64)BLOCKED_SHADOW) | (on ? BLOCKED_MOV_SS : 0));
	v->arch.vmx->unfit |= UNFIT_SHADOW;
}

/*
 * STI blocks only with IF = 1, MOV SS always; a single-step trap must be noted
 * as pending under either (27.3.1.5).
 */
void vmx_shadow_fit(struct vcpu *v)
{
	u64 blocked = vmread(VMCS_GUEST_INTERRUPTIBILITY), rflags = vmread(VMCS_GUEST_RFLAGS);

	if (!(blocked & BLOCKED_SHADOW))
		return;
	blocked &= ~(u64)BLOCKED_SHADOW;
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, blocked | (rflags & RFLAGS_IF ? BLOCKED_STI : BLOCKED_MOV_SS));
	vmwrite(VMCS_GUEST_PENDING_DEBUG, rflags & RFLAGS_TF ? PENDING_STEP : 0);
}

void vmx_nmi_block(struct vcpu *v, u32 on)
{
	u64 blocked = vmread(VMCS_GUEST_INTERRUPTIBILITY) & ~(u64)BLOCKED_NMI;

	v->arch.events.nmi_masked = (u8)on;
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, blocked | (on ? BLOCKED_NMI : 0));
}

static void cr0_out(u64 cr0)
{
	vmwrite(VMCS_GUEST_CR0, (cr0 & ~CR0_OURS) | CR0_NE | CR0_ET);
	vmwrite(VMCS_CR0_SHADOW, cr0 | CR0_ET);
}

static void cr4_out(u64 cr4)
{
	vmwrite(VMCS_GUEST_CR4, cr4 | CR4_VMXE | CR4_MCE);
	vmwrite(VMCS_CR4_SHADOW, cr4);
}

int vmx_vcpu_init(struct vcpu *v)
{
	struct pool *pool = &v->vm->pool;
	u64 pa = pool_alloc_pages(pool, 1), state = pool_alloc_pages(pool, 1);
	u64 apic = v->arch.lapic ? v->page_pa + PAGE_SIZE : pool_alloc_pages(pool, 1);
	struct vmx_vcpu *x = phys_to_virt(state);

	if (!pa || !state || !apic)
		return -ENOMEM;
	v->arch.vmcb_pa = pa;
	v->arch.vmx = x;
	x->apic = phys_to_virt(apic);
	x->proc = vmx_guest_controls.proc;
	x->proc2 = vmx_guest_controls.proc2;
	vmx_vmcs_init(pa, &vmx_guest_controls);
	if (v->arch.lapic)
		vmx_proc_set(v, x->proc & ~PROC_CR8_LOAD);
	vmwrite(VMCS_EXCEPTIONS, EXCEPTIONS);
	vmwrite(VMCS_MSR_BITMAP, vmx_guest_msr_bitmap_pa);
	vmwrite(VMCS_VIRTUAL_APIC, apic);
	vmwrite(VMCS_TPR_THRESHOLD, 0);
	vmwrite(VMCS_TSC_OFFSET, 0);
	vmwrite(VMCS_EPTP, vmx_eptp(v->vm->pt.root));
	x->extra = (abi_features & ABI_FEATURE_LOG) && (v->flags & VCPU_LOG) ? EXTRA_LOG : 0;
	if (x->extra)
		vmwrite(VMCS_PML_ADDRESS, v->page_pa + (v->arch.lapic ? 2 : 1) * PAGE_SIZE);
	vmwrite(VMCS_CR0_MASK, CR0_OURS);
	vmwrite(VMCS_CR4_MASK, ~CR4_GUESTS);
	if (vmx_guest_controls.pin & PIN_TIMER)
		vmwrite(VMCS_PREEMPTION_TIMER, vmx_timer_ticks);
	vmx_hold(v, VCPU_CLOSED);
	vmx_hold(v, VCPU_FREE);
	return 0;
}

/* ---- KVM's structs ---- */

void vmx_get_regs(struct vcpu *v, struct abi_regs *r)
{
	*(struct gprs *)r = v->arch.regs;	/* the same order */
	r->rsp = vmread(VMCS_GUEST_RSP);
	r->rip = vmread(VMCS_GUEST_RIP);
	r->rflags = vmread(VMCS_GUEST_RFLAGS);
}

void vmx_set_regs(struct vcpu *v, const struct abi_regs *r)
{
	v->arch.regs = *(const struct gprs *)r;
	vmwrite(VMCS_GUEST_RSP, r->rsp);
	vmwrite(VMCS_GUEST_RIP, r->rip);
	vmwrite(VMCS_GUEST_RFLAGS, r->rflags | RFLAGS_FIXED);
	v->arch.vmx->unfit |= UNFIT_SHADOW;
}

/* ---- fields of struct state_fields ---- */

static const u16 fields[STATE_COUNT] = {
	[STATE_CR3] = VMCS_GUEST_CR3, [STATE_EFER] = VMCS_GUEST_EFER, [STATE_DR7] = VMCS_GUEST_DR7,
	[STATE_SYSENTER_CS] = VMCS_GUEST_SYSENTER_CS, [STATE_SYSENTER_ESP] = VMCS_GUEST_SYSENTER_ESP,
	[STATE_SYSENTER_EIP] = VMCS_GUEST_SYSENTER_EIP, [STATE_PAT] = VMCS_GUEST_PAT,
	[STATE_TSC_OFFSET] = VMCS_TSC_OFFSET, [STATE_PDPTE0] = VMCS_GUEST_PDPTE, [STATE_PDPTE1] = VMCS_GUEST_PDPTE + 2,
	[STATE_PDPTE2] = VMCS_GUEST_PDPTE + 4, [STATE_PDPTE3] = VMCS_GUEST_PDPTE + 6,
};

/* Of the tables; the other segments have VSEG_* in the VMCS. */
static const u8 vmcs_segment[SEG_COUNT] = {
	VSEG_ES, VSEG_CS, VSEG_SS, VSEG_DS, VSEG_FS, VSEG_GS, [SEG_LDTR] = VSEG_LDTR, [SEG_TR] = VSEG_TR,
};

static struct state_segment segment_get(u32 i)
{
	if (i == SEG_GDTR)
		return (struct state_segment) { 0, 0, (u32)vmread(VMCS_GUEST_GDTR_LIMIT), vmread(VMCS_GUEST_GDTR_BASE) };
	if (i == SEG_IDTR)
		return (struct state_segment) { 0, 0, (u32)vmread(VMCS_GUEST_IDTR_LIMIT), vmread(VMCS_GUEST_IDTR_BASE) };
	return vmx_segment(vmcs_segment[i]);
}

/* The accessed bit is set in all but LDTR, as KVM does for VMMs that leave it out. */
static void segment_word(u32 i, u64 word)
{
	u32 s = vmcs_segment[i], attr = word >> 16 & 0xffff, limit = (u32)(word >> 32);

	if (i == SEG_GDTR || i == SEG_IDTR) {
		vmwrite(i == SEG_GDTR ? VMCS_GUEST_GDTR_LIMIT : VMCS_GUEST_IDTR_LIMIT, limit);
		return;
	}
	vmwrite(VMCS_GUEST_SELECTOR + 2 * s, word & 0xffff);
	vmwrite(VMCS_GUEST_LIMIT + 2 * s, limit);
	vmwrite(VMCS_GUEST_RIGHTS + 2 * s, (attr & 0xff) | (attr & 0xf00) << 4 | (i != SEG_LDTR) |
		(attr & 0x80 ? 0 : RIGHTS_UNUSABLE));
}

static void segment_set(u32 field, u64 value)
{
	u32 i = field / 2;

	if (!(field & 1))
		segment_word(i, value);
	else if (i == SEG_GDTR || i == SEG_IDTR)
		vmwrite(i == SEG_GDTR ? VMCS_GUEST_GDTR_BASE : VMCS_GUEST_IDTR_BASE, value);
	else
		vmwrite(VMCS_GUEST_BASE + 2 * vmcs_segment[i], value);
}

static u64 cr0_get(void)
{
	return (vmread(VMCS_GUEST_CR0) & ~CR0_OURS) | (vmread(VMCS_CR0_SHADOW) & CR0_OURS);
}

int vmx_state_get(struct vcpu *v, u32 field, u64 *value)
{
	struct vmx_vcpu *x = v->arch.vmx;
	struct state_segment s;

	if (field < STATE_CR0) {
		s = segment_get(field / 2);
		*value = ((u64 *)&s)[field & 1];
		return 1;
	}
	switch (field) {
	case STATE_CR0: *value = cr0_get(); return 1;
	case STATE_CR2: *value = x->slot[SLOT_CR2]; return 1;
	case STATE_CR4: *value = vmx_cr4(); return 1;
	case STATE_CR8: *value = x->apic[APIC_TPR] >> 4; return 1;
	case STATE_DR6: *value = x->slot[SLOT_DR6]; return 1;
	case STATE_SHADOW: *value = !!(vmread(VMCS_GUEST_INTERRUPTIBILITY) & BLOCKED_SHADOW); return 1;
	case STATE_STAR ... STATE_KERNEL_GS_BASE: *value = x->slot[SLOT_STAR + field - STATE_STAR]; return 1;
	}
	*value = fields[field] ? vmread(fields[field]) : 0;
	return !!fields[field];
}

int vmx_state_set(struct vcpu *v, u32 field, u64 value)
{
	struct vmx_vcpu *x = v->arch.vmx;

	if (field < STATE_CR0) {
		segment_set(field, value);
		return 1;
	}
	switch (field) {
	case STATE_CR0: cr0_out(value); return 1;
	case STATE_CR2: x->slot[SLOT_CR2] = value; return 1;
	case STATE_CR4: cr4_out(value); return 1;
	case STATE_CR8: x->apic[APIC_TPR] = (u8)((value & 15) << 4); return 1;
	case STATE_EFER: efer_out(value); return 1;
	case STATE_DR6: x->slot[SLOT_DR6] = value; return 1;
	case STATE_SHADOW: vmx_shadow_set(v, value & 1); return 1;
	case STATE_STAR ... STATE_KERNEL_GS_BASE: x->slot[SLOT_STAR + field - STATE_STAR] = value; return 1;
	}
	if (fields[field])
		vmwrite(fields[field], value);
	return !!fields[field];
}

void vmx_apic_status(u32 status)
{
	vmwrite(VMCS_INTERRUPT_STATUS, status);
}

/* Debug registers pass without an exit once they are switched with the vCPU. */
void vmx_refresh(struct vcpu *v)
{
	u32 proc = v->arch.vmx->proc & ~(PROC_MOV_DR | PROC_MSR_BITMAP);

	v->arch.vmx->extra = (v->arch.vmx->extra & EXTRA_LOG) | (v->arch.dr_live ? EXTRA_DR : 0);
	vmwrite(VMCS_EXCEPTIONS, EXCEPTIONS | (v->arch.debug & STATE_DEBUG_BP ? 1u << VECTOR_BP : 0));
	if (!v->arch.dr_live || (v->arch.debug & STATE_DEBUG_DR))
		proc |= PROC_MOV_DR;
	/* Without a bitmap each access exits (SDM volume 3, 25.1.3). */
	if (!(v->arch.debug & STATE_DEBUG_MSRS))
		proc |= PROC_MSR_BITMAP;
	vmx_proc_set(v, proc);
	if (tsc_ratio_max)
		vmwrite(VMCS_TSC_MULTIPLIER, v->arch.tsc_ratio ? v->arch.tsc_ratio : TSC_RATIO_ONE);
	vmx_nmi_block(v, v->arch.events.nmi_masked);
}
