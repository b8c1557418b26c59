/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest.c - a user vCPU's state on VMX: reset, switching in and out, and
 * KVM's register structs to and from the VMCS.
 *
 * Invariant: a user vCPU's VMCS is active on a CPU only while that CPU works on
 * the vCPU: vmx_unload() and close_vmcs() clear it, so that any CPU may take it
 * next, and its memory may go back to the service VM (SDM 25.11.1). Meanwhile
 * the processor holds the service VM's MSRs, CR2, FPU state and debug registers.
 * See: SDM vol. 3, 10.1 (reset state), 25.4 (guest state), 27.3 (what an entry checks).
 */
#include <string.h>
#include "vmx.h"
#include "phys.h"
#include "errno.h"
#include "switch.h"

/* CR0 bits that are ours in a guest: caching is the machine's, NE is VMX's. What a guest writes is in the shadow. */
#define CR0_OURS (CR0_CD | CR0_NW | CR0_NE)
/* CR4 bits that a guest may change: what guest/state.c can allow. The others stay 0 in it (CET, PKS, SMX: not switched). */
#define CR4_GUESTS 0x771fffull

/* #DB and #AC: their delivery can loop in microcode for ever (CVE-2015-5307, CVE-2015-8104). #MC is the machine's. */
#define EXCEPTIONS (1u << VECTOR_MC | 1u << VECTOR_AC | 1u << VECTOR_DB)

#define MSR_FLUSH_CMD 0x10b

static const u16 slot_fields[SLOT_EFER] = {
	[SLOT_FS_BASE] = VMCS_GUEST_BASE + 2 * VSEG_FS, [SLOT_GS_BASE] = VMCS_GUEST_BASE + 2 * VSEG_GS,
	[SLOT_SYSENTER_CS] = VMCS_GUEST_SYSENTER_CS, [SLOT_SYSENTER_ESP] = VMCS_GUEST_SYSENTER_ESP,
	[SLOT_SYSENTER_EIP] = VMCS_GUEST_SYSENTER_EIP, [SLOT_PAT] = VMCS_GUEST_PAT, [SLOT_DR7] = VMCS_GUEST_DR7,
	[SLOT_RIP] = VMCS_GUEST_RIP, [SLOT_RSP] = VMCS_GUEST_RSP, [SLOT_RFLAGS] = VMCS_GUEST_RFLAGS,
};

/* ---- the VMCS, and copies of some of its fields ---- */

static void open_vmcs(struct vcpu *v)
{
	if (!v->arch.vmx->loaded)
		vmptrld(v->arch.vmcb_pa);
}

static void close_vmcs(struct vcpu *v)
{
	if (v->arch.vmx->loaded)
		return;
	vmclear(v->arch.vmcb_pa);
	vmptrld(cpu_this()->vmcb_pa);
}

/* The VMCS is open. */
u64 vmx_slot_read(struct vcpu *v, u32 i)
{
	struct vmx_vcpu *x = v->arch.vmx;

	if (x->known >> i & 1)
		return x->slot[i];
	x->known |= 1u << i;
	if (i == SLOT_SHADOW)
		x->slot[i] = !!(vmread(VMCS_GUEST_INTERRUPTIBILITY) & BLOCKED_SHADOW);
	else
		x->slot[i] = vmread(i == SLOT_EFER ? VMCS_GUEST_EFER : slot_fields[i]);
	return x->slot[i];
}

/* The caller changes it. */
u64 *vmx_slot(struct vcpu *v, u32 i)
{
	struct vmx_vcpu *x = v->arch.vmx;

	if (i < SLOT_FIELDS && !(x->known >> i & 1)) {
		open_vmcs(v);
		vmx_slot_read(v, i);
		close_vmcs(v);
	}
	x->dirty |= 1u << i;
	return &x->slot[i];
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
		if (i < SLOT_EFER)
			vmwrite(slot_fields[i], x->slot[i]);
		else if (i == SLOT_EFER)
			efer_out(x->slot[i]);
		else if (i == SLOT_SHADOW)
			shadow_out(v);
		else if (i <= SLOT_SFMASK && x->loaded)
			wrmsr(MSR_STAR + i - SLOT_STAR, x->slot[i]);
	}
}

/* ---- reset ---- */

static void segment_out(enum vmcs_segment s, u32 selector, u64 base, u32 limit, u32 rights)
{
	vmwrite(VMCS_GUEST_SELECTOR + 2 * s, selector);
	vmwrite(VMCS_GUEST_BASE + 2 * s, base);
	vmwrite(VMCS_GUEST_LIMIT + 2 * s, limit);
	vmwrite(VMCS_GUEST_RIGHTS + 2 * s, rights);
}

static void cr0_out(u64 cr0)
{
	vmwrite(VMCS_GUEST_CR0, (cr0 & ~CR0_OURS) | CR0_NE | CR0_ET);
	vmwrite(VMCS_CR0_SHADOW, cr0 | CR0_ET);
}

/* As after RESET: real mode at 0xfffffff0. */
void vmx_guest_reset(struct vcpu *v)
{
	struct vmx_vcpu *x = v->arch.vmx;
	u32 i;

	open_vmcs(v);
	for (i = VSEG_ES; i <= VSEG_GS; i++)
		segment_out(i, 0, 0, 0xffff, 0x93);
	segment_out(VSEG_CS, 0xf000, 0xffff0000, 0xffff, 0x9b);
	segment_out(VSEG_LDTR, 0, 0, 0xffff, 0x82);
	segment_out(VSEG_TR, 0, 0, 0xffff, 0x8b);
	vmwrite(VMCS_GUEST_GDTR_BASE, 0);
	vmwrite(VMCS_GUEST_GDTR_LIMIT, 0xffff);
	vmwrite(VMCS_GUEST_IDTR_BASE, 0);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, 0xffff);
	vmwrite(VMCS_GUEST_CR3, 0);
	vmwrite(VMCS_GUEST_CR4, CR4_VMXE);
	cr0_out(CR0_ET | CR0_CD | CR0_NW);
	close_vmcs(v);
	memset(x->slot, 0, sizeof(x->slot));
	x->known = x->dirty = (1u << SLOT_FIELDS) - 1;
	x->slot[SLOT_RIP] = 0xfff0;
	x->slot[SLOT_RFLAGS] = RFLAGS_FIXED;
	x->slot[SLOT_DR7] = 0x400;
	x->slot[SLOT_DR6] = DR6_RESET;
	x->slot[SLOT_PAT] = PAT_RESET;
	x->apic[APIC_TPR] = 0;
	memset(&v->arch.regs, 0, sizeof(v->arch.regs));
	memset(&v->arch.events, 0, sizeof(v->arch.events));
	v->arch.work = 1;
}

int vmx_vcpu_init(struct vcpu *v)
{
	struct pool *pool = &v->vm->pool;
	u64 pa = pool_alloc_pages(pool, 1), state = pool_alloc_pages(pool, 1), apic = pool_alloc_pages(pool, 1);
	struct vmx_vcpu *x = phys_to_virt(state);

	if (!pa || !state || !apic)
		return -ENOMEM;
	v->arch.vmcb_pa = pa;
	v->arch.vmx = x;
	x->apic = phys_to_virt(apic);
	x->proc = vmx_guest_controls.proc;
	vmx_vmcs_init(pa, &vmx_guest_controls);
	vmwrite(VMCS_EXCEPTIONS, EXCEPTIONS);
	vmwrite(VMCS_MSR_BITMAP, vmx_guest_msr_bitmap_pa);
	vmwrite(VMCS_VIRTUAL_APIC, apic);
	vmwrite(VMCS_TPR_THRESHOLD, 0);
	vmwrite(VMCS_TSC_OFFSET, v->vm->arch.tsc_offset);
	vmwrite(VMCS_EPTP, vmx_eptp(v->vm->pt.root));
	vmwrite(VMCS_CR0_MASK, CR0_OURS);
	vmwrite(VMCS_CR4_MASK, ~CR4_GUESTS);
	if (vmx_guest_controls.pin & PIN_TIMER)
		vmwrite(VMCS_PREEMPTION_TIMER, vmx_timer_ticks);
	vmx_guest_reset(v);
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

/* What stands in DR0 to DR3 while the vCPU is loaded. */
static u64 *dr_loaded(struct vcpu *v)
{
	return v->arch.debug_control & ABI_DEBUG_USE_HW_BP ? v->arch.debug_dr : v->arch.dr;
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

void vmx_load(struct cpu *cpu, struct vcpu *v)
{
	struct vmx_vcpu *x = v->arch.vmx;

	vmptrld(v->arch.vmcb_pa);
	x->loaded = 1;
	x->launched = 0;
	fpu_load(cpu, v);
	if (unlikely(v->arch.dr_live)) {
		dr_swap(cpu->dr, dr_loaded(v));
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
		dr_swap(dr_loaded(v), cpu->dr);
	}
	fpu_unload(cpu, v);
	x->loaded = 0;
	close_vmcs(v);
}

/* From here on the vCPU's debug registers are in the processor while it is loaded. */
void vmx_debug_live(struct cpu *cpu, struct vcpu *v)
{
	if (v->arch.dr_live)
		return;
	v->arch.dr_live = 1;
	memset(v->arch.dr, 0, sizeof(v->arch.dr));
	dr_swap(cpu->dr, v->arch.dr);
	dr6_swap(&cpu->dr6, &v->arch.vmx->slot[SLOT_DR6]);
}

/* ---- KVM's structs ---- */

void vmx_get_regs(struct vcpu *v, struct abi_regs *r)
{
	memcpy(r, &v->arch.regs, sizeof(v->arch.regs));
	open_vmcs(v);
	r->rsp = vmx_slot_read(v, SLOT_RSP);
	r->rip = vmx_slot_read(v, SLOT_RIP);
	r->rflags = vmx_slot_read(v, SLOT_RFLAGS);
	close_vmcs(v);
}

void vmx_set_regs(struct vcpu *v, const struct abi_regs *r)
{
	memcpy(&v->arch.regs, r, sizeof(v->arch.regs));
	slot_set(v, SLOT_RSP, r->rsp);
	slot_set(v, SLOT_RIP, r->rip);
	slot_set(v, SLOT_RFLAGS, r->rflags | RFLAGS_FIXED);
}

static void seg_get(enum vmcs_segment s, struct abi_segment *a)
{
	u32 r = (u32)vmread(VMCS_GUEST_RIGHTS + 2 * s);

	*a = (struct abi_segment) {
		.base = vmread(VMCS_GUEST_BASE + 2 * s), .limit = (u32)vmread(VMCS_GUEST_LIMIT + 2 * s),
		.selector = (u16)vmread(VMCS_GUEST_SELECTOR + 2 * s),
		.type = r & 15, .s = r >> 4 & 1, .dpl = r >> 5 & 3, .avl = r >> 12 & 1, .l = r >> 13 & 1,
		.db = r >> 14 & 1, .g = r >> 15 & 1, .unusable = !!(r & RIGHTS_UNUSABLE),
	};
	a->present = !a->unusable;	/* as KVM: an unusable segment's bits are not defined */
}

/* The accessed bit is set in all but LDTR, as KVM does for VMMs that leave it out. */
static void seg_set(enum vmcs_segment s, const struct abi_segment *a)
{
	u32 unusable = a->unusable || !a->present;

	segment_out(s, a->selector, a->base, a->limit,
		    (a->type & 15u) | (s != VSEG_LDTR) | (a->s & 1u) << 4 | (a->dpl & 3u) << 5 | (a->present & 1u) << 7 |
		    (a->avl & 1u) << 12 | (a->l & 1u) << 13 | (a->db & 1u) << 14 | (a->g & 1u) << 15 | unusable << 16);
}

/* Where each of KVM's segments lies in struct abi_sregs. */
static const u16 seg_offset[VSEG_COUNT] = {
	[VSEG_ES] = __builtin_offsetof(struct abi_sregs, es), [VSEG_CS] = __builtin_offsetof(struct abi_sregs, cs),
	[VSEG_SS] = __builtin_offsetof(struct abi_sregs, ss), [VSEG_DS] = __builtin_offsetof(struct abi_sregs, ds),
	[VSEG_FS] = __builtin_offsetof(struct abi_sregs, fs), [VSEG_GS] = __builtin_offsetof(struct abi_sregs, gs),
	[VSEG_LDTR] = __builtin_offsetof(struct abi_sregs, ldt), [VSEG_TR] = __builtin_offsetof(struct abi_sregs, tr),
};

static u64 cr0_get(void)
{
	return (vmread(VMCS_GUEST_CR0) & ~CR0_OURS) | (vmread(VMCS_CR0_SHADOW) & CR0_OURS);
}

void vmx_get_sregs(struct vcpu *v, struct abi_sregs *s)
{
	struct vmx_vcpu *x = v->arch.vmx;
	u32 i;

	open_vmcs(v);
	for (i = 0; i < VSEG_COUNT; i++)
		seg_get(i, (struct abi_segment *)((u8 *)s + seg_offset[i]));
	s->fs.base = vmx_slot_read(v, SLOT_FS_BASE);
	s->gs.base = vmx_slot_read(v, SLOT_GS_BASE);
	s->gdt.base = vmread(VMCS_GUEST_GDTR_BASE);
	s->gdt.limit = (u16)vmread(VMCS_GUEST_GDTR_LIMIT);
	s->idt.base = vmread(VMCS_GUEST_IDTR_BASE);
	s->idt.limit = (u16)vmread(VMCS_GUEST_IDTR_LIMIT);
	s->cr0 = cr0_get();
	s->cr2 = x->slot[SLOT_CR2];
	s->cr3 = vmread(VMCS_GUEST_CR3);
	s->cr4 = vmread(VMCS_GUEST_CR4) & CR4_GUESTS;
	s->cr8 = x->apic[APIC_TPR] >> 4;
	s->efer = vmx_slot_read(v, SLOT_EFER) & ~EFER_SVME;
	close_vmcs(v);
}

void vmx_set_sregs(struct vcpu *v, const struct abi_sregs *s)
{
	struct vmx_vcpu *x = v->arch.vmx;
	u32 i;

	open_vmcs(v);
	vmx_slots_out(v);
	for (i = 0; i < VSEG_COUNT; i++)
		seg_set(i, (const struct abi_segment *)((const u8 *)s + seg_offset[i]));
	vmwrite(VMCS_GUEST_GDTR_BASE, s->gdt.base);
	vmwrite(VMCS_GUEST_GDTR_LIMIT, s->gdt.limit);
	vmwrite(VMCS_GUEST_IDTR_BASE, s->idt.base);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, s->idt.limit);
	vmwrite(VMCS_GUEST_CR3, s->cr3);
	vmwrite(VMCS_GUEST_CR4, s->cr4 | CR4_VMXE);
	cr0_out(s->cr0);
	close_vmcs(v);
	x->known &= ~(1u << SLOT_FS_BASE | 1u << SLOT_GS_BASE);
	x->slot[SLOT_CR2] = s->cr2;
	x->apic[APIC_TPR] = (u8)((s->cr8 & 15) << 4);
	slot_set(v, SLOT_EFER, s->efer);
	v->arch.asid_generation = 0;	/* the guest's own translations go: CR0, CR3, CR4 or EFER may differ */
}

u64 *vmx_msr_slot(struct vcpu *v, u32 msr)
{
	switch (msr) {
	case MSR_FS_BASE: return vmx_slot(v, SLOT_FS_BASE);
	case MSR_GS_BASE: return vmx_slot(v, SLOT_GS_BASE);
	case MSR_KERNEL_GS_BASE: return vmx_slot(v, SLOT_KERNEL_GS_BASE);
	case MSR_STAR ... MSR_SFMASK: return vmx_slot(v, SLOT_STAR + msr - MSR_STAR);
	case MSR_SYSENTER_CS: return vmx_slot(v, SLOT_SYSENTER_CS);
	case MSR_SYSENTER_ESP: return vmx_slot(v, SLOT_SYSENTER_ESP);
	case MSR_SYSENTER_EIP: return vmx_slot(v, SLOT_SYSENTER_EIP);
	case MSR_PAT: return vmx_slot(v, SLOT_PAT);
	case MSR_EFER: return vmx_slot(v, SLOT_EFER);
	default: return NULL;
	}
}

void vmx_set_tsc_offset(struct vcpu *v, u64 offset)
{
	open_vmcs(v);
	vmwrite(VMCS_TSC_OFFSET, offset);
	close_vmcs(v);
}

u64 *vmx_special(struct vcpu *v, int which)
{
	static const u8 slots[] = {
		[SPECIAL_DR6] = SLOT_DR6, [SPECIAL_DR7] = SLOT_DR7, [SPECIAL_SHADOW] = SLOT_SHADOW,
		[SPECIAL_CR2] = SLOT_CR2,
	};

	if (which == SPECIAL_DR7 && v->arch.debug_on)
		return &v->arch.guest_dr7;
	return vmx_slot(v, slots[which]);
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
		v->arch.vmx->apic[APIC_TPR] = (u8)((READ_ONCE(in->cr8) & 15) << 4);
}

/* The blocking is in the same field as the shadow. */
void vmx_nmi_mask(struct vcpu *v)
{
	vmx_slot(v, SLOT_SHADOW);
}

/*
 * The VMM's breakpoints stand in DR0 to DR3 and DR7 instead of the guest's;
 * then the guest's own accesses exit, and the driver does them.
 */
void vmx_debug(struct vcpu *v)
{
	int hardware = !!(v->arch.debug_control & ABI_DEBUG_USE_HW_BP);
	u64 *dr7 = vmx_slot(v, SLOT_DR7);

	v->arch.work = 1;
	if (hardware && !v->arch.debug_on)
		v->arch.guest_dr7 = *dr7;
	else if (!hardware && v->arch.debug_on)
		*dr7 = v->arch.guest_dr7;
	v->arch.debug_on = (u8)hardware;
	open_vmcs(v);
	vmwrite(VMCS_EXCEPTIONS, EXCEPTIONS | (v->arch.debug_control & ABI_DEBUG_USE_SW_BP ? 1u << VECTOR_BP : 0));
	if (hardware) {
		*dr7 = v->arch.debug_dr7;
		v->arch.dr_live = 1;
		vmx_proc_set(v, v->arch.vmx->proc | PROC_MOV_DR);
	}
	close_vmcs(v);
}
