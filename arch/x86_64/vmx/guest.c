/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest.c - a user vCPU's state on VMX: switching in and out, and what the
 * driver reads and sets. The state after reset is the driver's to set.
 *
 * Invariant: a user vCPU's VMCS is active on a CPU only while that CPU works on
 * the vCPU: vmx_close() clears it, so that any CPU may take it
 * next, and its memory may go back to the service VM (SDM 25.11.1). Meanwhile
 * the processor holds the service VM's MSRs, CR2, FPU state and debug registers.
 * See: SDM vol. 3, 25.4 (guest state), 27.3 (what an entry checks).
 */
#include <string.h>
#include "vmx.h"
#include "phys.h"
#include "errno.h"
#include "switch.h"

/* CR0 bits that are ours in a guest: caching is the machine's, NE is VMX's. What a guest writes is in the shadow. */
#define CR0_OURS (CR0_CD | CR0_NW | CR0_NE)
/* CR4 bits that a guest changes without an exit. Of the others its CPUID decides, which is the driver's to say. */
#define CR4_GUESTS 0x7ffull

/*
 * #DB and #AC: exit_reflect(). #UD: the driver
 * answers the other vendor's hypercall. #MC is the machine's.
 */
#define EXCEPTIONS (1u << VECTOR_MC | 1u << VECTOR_AC | 1u << VECTOR_UD | 1u << VECTOR_DB)

#define MSR_FLUSH_CMD 0x10b

static const u16 slot_fields[SLOT_SHADOW] = {
	[SLOT_RIP] = VMCS_GUEST_RIP, [SLOT_RSP] = VMCS_GUEST_RSP, [SLOT_RFLAGS] = VMCS_GUEST_RFLAGS,
};

/* ---- the VMCS, and copies of some of its fields ---- */

void vmx_open(struct vcpu *v)
{
	vmptrld(v->arch.vmcb_pa);
}

void vmx_close(struct vcpu *v)
{
	vmclear(v->arch.vmcb_pa);
	vmptrld(cpu_this()->vmcb_pa);
}

u64 vmx_slot_read(struct vcpu *v, u32 i)
{
	struct vmx_vcpu *x = v->arch.vmx;

	if (x->known >> i & 1)
		return x->slot[i];
	x->known |= 1u << i;
	if (i == SLOT_SHADOW)
		x->slot[i] = !!(vmread(VMCS_GUEST_INTERRUPTIBILITY) & BLOCKED_SHADOW);
	else
		x->slot[i] = vmread(slot_fields[i]);
	return x->slot[i];
}

/* The caller changes it. */
u64 *vmx_slot(struct vcpu *v, u32 i)
{
	vmx_slot_read(v, i);
	v->arch.vmx->dirty |= 1u << i;
	return &v->arch.vmx->slot[i];
}

void vmx_proc_set(struct vcpu *v, u32 proc)
{
	if (proc == v->arch.vmx->proc)
		return;
	v->arch.vmx->proc = proc;
	vmwrite(VMCS_PROC, proc);
}

static void slot_set(struct vcpu *v, u32 i, u64 value)
{
	struct vmx_vcpu *x = v->arch.vmx;

	if ((x->known >> i & 1) && x->slot[i] == value)
		return;
	x->slot[i] = value;
	x->known |= 1u << i;
	x->dirty |= 1u << i;
}

/* "IA-32e mode guest" must equal EFER.LMA (27.3.1.1). SVME is the other backend's bit. */
static void efer_out(u64 efer)
{
	u64 entry = vmread(VMCS_ENTRY) & ~(u64)ENTRY_IA32E;

	vmwrite(VMCS_GUEST_EFER, efer & ~EFER_SVME);
	vmwrite(VMCS_ENTRY, entry | (efer & EFER_LMA ? ENTRY_IA32E : 0));
}

/*
 * STI blocks only with IF = 1, MOV SS always; a single-step trap must be noted
 * as pending under either (27.3.1.5).
 */
static void shadow_out(struct vcpu *v)
{
	u64 rflags = vmx_slot_read(v, SLOT_RFLAGS), blocked = 0;

	if (v->arch.vmx->slot[SLOT_SHADOW] & 1)
		blocked = rflags & RFLAGS_IF ? BLOCKED_STI : BLOCKED_MOV_SS;
	if (blocked)
		vmwrite(VMCS_GUEST_PENDING_DEBUG, rflags & RFLAGS_TF ? PENDING_STEP : 0);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, blocked | (v->arch.events.nmi_masked ? BLOCKED_NMI : 0));
}

void vmx_slots_out(struct vcpu *v)
{
	struct vmx_vcpu *x = v->arch.vmx;
	u32 dirty = x->dirty, i;

	x->dirty = 0;
	for (; dirty; dirty &= dirty - 1) {
		i = (u32)__builtin_ctz(dirty);
		if (i < SLOT_SHADOW)
			vmwrite(slot_fields[i], x->slot[i]);
		else
			shadow_out(v);
	}
}

static void cr0_out(u64 cr0)
{
	vmwrite(VMCS_GUEST_CR0, (cr0 & ~CR0_OURS) | CR0_NE | CR0_ET);
	vmwrite(VMCS_CR0_SHADOW, cr0 | CR0_ET);
}

static void cr4_out(u64 cr4)
{
	vmwrite(VMCS_GUEST_CR4, cr4 | CR4_VMXE);
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
	vmx_vmcs_init(pa, &vmx_guest_controls);
	if (v->arch.lapic)
		vmx_proc_set(v, x->proc & ~PROC_CR8_LOAD);
	vmwrite(VMCS_EXCEPTIONS, EXCEPTIONS);
	vmwrite(VMCS_MSR_BITMAP, vmx_guest_msr_bitmap_pa);
	vmwrite(VMCS_VIRTUAL_APIC, apic);
	vmwrite(VMCS_TPR_THRESHOLD, 0);
	vmwrite(VMCS_TSC_OFFSET, 0);
	vmwrite(VMCS_EPTP, vmx_eptp(v->vm->pt.root));
	vmwrite(VMCS_CR0_MASK, CR0_OURS);
	vmwrite(VMCS_CR4_MASK, ~CR4_GUESTS);
	if (vmx_guest_controls.pin & PIN_TIMER)
		vmwrite(VMCS_PREEMPTION_TIMER, vmx_timer_ticks);
	x->known = x->dirty = (1u << SLOT_FIELDS) - 1;	/* all 0 */
	vmx_close(v);
	return 0;
}

/* ---- in and out ---- */

/* Written only where they differ: two Linux kernels of one build have most of them in common. */
static void syscall_msrs(const u64 *from, const u64 *to)
{
	u32 i;

	for (i = 0; i < 4; i++)
		if (from[i] != to[i])
			wrmsr(MSR_STAR + i, to[i]);
}

static void dr6_swap(u64 *save, const u64 *load)
{
	asm volatile("mov %%db6, %0" : "=r"(*save));
	asm volatile("mov %0, %%db6" : : "r"(*load));
}

static void cr2_swap(u64 *save, const u64 *load)
{
	asm volatile("mov %%cr2, %0" : "=r"(*save));
	asm volatile("mov %0, %%cr2" : : "r"(*load));
}

/* What the service VM and its programs left in caches and buffers; VERW takes any selector, from memory. */
static void domain_flush(void)
{
	static const u16 selector = 0x10;

	if (vmx_flushes & FLUSH_L1D)
		wrmsr(MSR_FLUSH_CMD, 1);
	if (vmx_flushes & FLUSH_BUFFERS)
		asm volatile("verw %0" : : "m"(selector) : "cc");
}

void vmx_apic_status(u32 status)
{
	vmwrite(VMCS_INTERRUPT_STATUS, status);
}

/* A guest's x2APIC is the processor's affair where it can be; an xAPIC's page is the driver's (30.1 to 30.5). */
static void apicv_load(struct vcpu *v, const struct lapic_page *p)
{
	u32 on = (READ_ONCE(p->mode) & (LAPIC_MODE_ON | LAPIC_MODE_X2)) == (LAPIC_MODE_ON | LAPIC_MODE_X2), i;

	if (unlikely(on != v->arch.apicv)) {
		v->arch.apicv = on;
		v->arch.work = 1;
		vmwrite(VMCS_PROC2, vmx_guest_controls.proc2 | (on ? vmx_apicv : 0));
		vmwrite(VMCS_MSR_BITMAP, on ? vmx_apicv_msr_bitmap_pa : vmx_guest_msr_bitmap_pa);
	}
	for (i = 0; on && i < 4; i++)
		vmwrite(VMCS_EOI_EXIT + 2 * i, READ_ONCE(p->eoi_exit[2 * i]) | (u64)READ_ONCE(p->eoi_exit[2 * i + 1]) << 32);
}

void vmx_load(struct cpu *cpu, struct vcpu *v)
{
	struct vmx_vcpu *x = v->arch.vmx;

	vmx_open(v);
	if (vmx_apicv && v->arch.lapic)
		apicv_load(v, v->arch.lapic);
	x->launched = 0;
	fpu_load(cpu, v);
	if (unlikely(v->arch.dr_live)) {
		dr_swap(cpu->dr, v->arch.dr);
		dr6_swap(&cpu->dr6, &x->slot[SLOT_DR6]);
	}
	if (v->arch.tsc_aux != cpu->tsc_aux)
		wrmsr(MSR_TSC_AUX, v->arch.tsc_aux);
	cpu->kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE);
	wrmsr(MSR_KERNEL_GS_BASE, x->slot[SLOT_KERNEL_GS_BASE]);
	syscall_msrs(cpu->syscall_msr, &x->slot[SLOT_STAR]);
	cr2_swap(&cpu->cr2, &x->slot[SLOT_CR2]);
	predictor_switch(cpu, v);
	if (vmx_flushes)
		domain_flush();
}

void vmx_unload(struct cpu *cpu, struct vcpu *v)
{
	struct vmx_vcpu *x = v->arch.vmx;

	cr2_swap(&x->slot[SLOT_CR2], &cpu->cr2);
	syscall_msrs(&x->slot[SLOT_STAR], cpu->syscall_msr);
	x->slot[SLOT_KERNEL_GS_BASE] = rdmsr(MSR_KERNEL_GS_BASE);
	wrmsr(MSR_KERNEL_GS_BASE, cpu->kernel_gs_base);
	if (v->arch.tsc_aux != cpu->tsc_aux)
		wrmsr(MSR_TSC_AUX, cpu->tsc_aux);
	if (unlikely(v->arch.dr_live)) {
		dr6_swap(&x->slot[SLOT_DR6], &cpu->dr6);
		dr_swap(v->arch.dr, cpu->dr);
	}
	fpu_unload(cpu, v);
	vmx_close(v);
}

/* ---- KVM's structs ---- */

void vmx_get_regs(struct vcpu *v, struct abi_regs *r)
{
	memcpy(r, &v->arch.regs, sizeof(v->arch.regs));
	r->rsp = vmx_slot_read(v, SLOT_RSP);
	r->rip = vmx_slot_read(v, SLOT_RIP);
	r->rflags = vmx_slot_read(v, SLOT_RFLAGS);
}

void vmx_set_regs(struct vcpu *v, const struct abi_regs *r)
{
	memcpy(&v->arch.regs, r, sizeof(v->arch.regs));
	slot_set(v, SLOT_RSP, r->rsp);
	slot_set(v, SLOT_RIP, r->rip);
	slot_set(v, SLOT_RFLAGS, r->rflags | RFLAGS_FIXED);
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

struct state_segment vmx_segment(u32 i)
{
	u32 s = vmcs_segment[i], rights;

	if (i == SEG_GDTR)
		return (struct state_segment) { 0, 0, (u32)vmread(VMCS_GUEST_GDTR_LIMIT), vmread(VMCS_GUEST_GDTR_BASE) };
	if (i == SEG_IDTR)
		return (struct state_segment) { 0, 0, (u32)vmread(VMCS_GUEST_IDTR_LIMIT), vmread(VMCS_GUEST_IDTR_BASE) };
	rights = (u32)vmread(VMCS_GUEST_RIGHTS + 2 * s);
	return (struct state_segment) {
		.selector = (u16)vmread(VMCS_GUEST_SELECTOR + 2 * s),
		/* AVL, L, D/B and G follow P there, and P = 0 says "unusable". */
		.attr = (u16)((rights & (rights & RIGHTS_UNUSABLE ? 0x7f : 0xff)) | (rights >> 4 & 0xf00)),
		.limit = (u32)vmread(VMCS_GUEST_LIMIT + 2 * s),
		.base = vmread(VMCS_GUEST_BASE + 2 * s),
	};
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
		s = vmx_segment(field / 2);
		*value = ((u64 *)&s)[field & 1];
		return 1;
	}
	switch (field) {
	case STATE_CR0: *value = cr0_get(); return 1;
	case STATE_CR2: *value = x->slot[SLOT_CR2]; return 1;
	case STATE_CR4: *value = vmread(VMCS_GUEST_CR4) & ~CR4_VMXE; return 1;
	case STATE_CR8: *value = x->apic[APIC_TPR] >> 4; return 1;
	case STATE_DR6: *value = x->slot[SLOT_DR6]; return 1;
	case STATE_SHADOW: *value = vmx_slot_read(v, SLOT_SHADOW); return 1;
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
	case STATE_SHADOW: slot_set(v, SLOT_SHADOW, value & 1); return 1;
	case STATE_STAR ... STATE_KERNEL_GS_BASE: x->slot[SLOT_STAR + field - STATE_STAR] = value; return 1;
	}
	if (fields[field])
		vmwrite(fields[field], value);
	return !!fields[field];
}

/* Another one may let an interrupt in, or stop it. */
static void set_cr8(struct vcpu *v, u64 cr8)
{
	u8 *tpr = &v->arch.vmx->apic[APIC_TPR];

	if (*tpr >> 4 == cr8)
		return;
	*tpr = (u8)(cr8 << 4);
	v->arch.work = 1;
}

void vmx_set_fields(struct vcpu *v, u32 flags, const struct exit_resume *in)
{
	if (flags & RESUME_RAX)
		v->arch.regs.rax = READ_ONCE(in->rax);
	if (flags & RESUME_RDX)
		v->arch.regs.rdx = READ_ONCE(in->rdx);
	if (flags & RESUME_RIP)
		slot_set(v, SLOT_RIP, READ_ONCE(in->rip));
	if (flags & (RESUME_RIP | RESUME_REGS))
		slot_set(v, SLOT_SHADOW, !!(flags & RESUME_SHADOW_STI));
	if (flags & RESUME_CR8)
		set_cr8(v, READ_ONCE(in->cr8) & 15);
}

/* Debug registers pass without an exit once they are switched with the vCPU. */
void vmx_refresh(struct vcpu *v)
{
	u32 proc = v->arch.vmx->proc & ~(PROC_MOV_DR | PROC_MSR_BITMAP);

	vmwrite(VMCS_EXCEPTIONS, EXCEPTIONS | (v->arch.debug & STATE_DEBUG_BP ? 1u << VECTOR_BP : 0));
	if (!v->arch.dr_live || (v->arch.debug & STATE_DEBUG_DR))
		proc |= PROC_MOV_DR;
	/* Without a bitmap each access exits (SDM volume 3, 25.1.3). */
	if (!(v->arch.debug & STATE_DEBUG_MSRS))
		proc |= PROC_MSR_BITMAP;
	vmx_proc_set(v, proc);
	vmx_slot(v, SLOT_SHADOW);	/* the blocking of NMIs is in the same field */
}
