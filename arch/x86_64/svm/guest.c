/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest.c - a user vCPU's state on SVM: reset, switching in and out, and
 * KVM's register structs to and from the VMCB.
 *
 * Invariant: while the hypervisor runs for the service VM, the processor holds
 * the service VM's VMLOAD state, FPU state and DR0 to DR3; svm_load() and
 * svm_unload() are the only change.
 * See: APM vol. 2, 15.5 (VMRUN), 15.23 (reset state is that of INIT: table 14-1).
 */
#include <string.h>
#include "svm.h"
#include "phys.h"
#include "errno.h"
#include "switch.h"

static void segment_reset(struct vmcb_seg *s, u16 attr)
{
	*s = (struct vmcb_seg) { .attr = attr, .limit = 0xffff };
}

/* As after RESET: real mode at 0xfffffff0. */
void svm_guest_reset(struct vcpu *v)
{
	struct vmcb *b = v->arch.vmcb;

	memset(&b->es, 0, sizeof(*b) - 0x400);
	segment_reset(&b->es, 0x93);
	segment_reset(&b->ss, 0x93);
	segment_reset(&b->ds, 0x93);
	segment_reset(&b->fs, 0x93);
	segment_reset(&b->gs, 0x93);
	segment_reset(&b->gdtr, 0);
	segment_reset(&b->idtr, 0);
	segment_reset(&b->ldtr, 0x82);
	segment_reset(&b->tr, 0x8b);
	b->cs = (struct vmcb_seg) { 0xf000, 0x9b, 0xffff, 0xffff0000 };
	b->rip = 0xfff0;
	b->rflags = RFLAGS_FIXED;
	b->cr0 = CR0_ET | CR0_CD | CR0_NW;
	b->dr6 = 0xffff0ff0;
	b->dr7 = 0x400;
	b->efer = EFER_SVME;
	b->g_pat = 0x0007040600070406ull;
	memset(&v->arch.regs, 0, sizeof(v->arch.regs));
	memset(&v->arch.events, 0, sizeof(v->arch.events));
	b->event_inj = 0;
	b->int_shadow = 0;
	b->int_control = V_INTR_MASKING;
	b->intercept1 &= ~(INTERCEPT_VINTR | INTERCEPT_IRET);
}

int svm_vcpu_init(struct vcpu *v)
{
	u64 pa = pool_alloc_pages(&v->vm->pool, 1);
	struct vmcb *b = phys_to_virt(pa);

	if (!pa)
		return -ENOMEM;
	v->arch.vmcb = b;
	v->arch.vmcb_pa = pa;
	b->intercept_cr = INTERCEPT_CR4_WRITE | INTERCEPT_CR8_WRITE;
	b->intercept_dr = INTERCEPT_DR_ALL;
	/*
	 * #DB and #AC: their delivery can loop in microcode for ever (CVE-2015-5307, CVE-2015-8104). #MC is the
	 * machine's. #UD: the other vendor's hypercall instruction is answered too, as KVM does. CR4: a guest gets
	 * the features that its CPUID has.
	 */
	b->intercept_exception = 1u << VECTOR_MC | 1u << VECTOR_AC | 1u << VECTOR_UD | 1u << VECTOR_DB;
	b->intercept1 = INTERCEPT_INTR | INTERCEPT_NMI | INTERCEPT_SMI | INTERCEPT_INIT | INTERCEPT_RDPMC |
			INTERCEPT_CPUID | INTERCEPT_INVD | INTERCEPT_HLT | INTERCEPT_INVLPGA | INTERCEPT_IOIO |
			INTERCEPT_MSR | INTERCEPT_SHUTDOWN;
	b->intercept2 = INTERCEPT_SVM | INTERCEPT_VMMCALL | INTERCEPT_WBINVD | INTERCEPT_MONITOR |
			INTERCEPT_MWAIT | INTERCEPT_XSETBV | INTERCEPT_RDPRU;
	b->iopm_pa = svm_iopm_pa;
	b->msrpm_pa = svm_guest_msrpm_pa;
	b->np_enable = 1;
	b->ncr3 = v->vm->pt.root;
	b->tsc_offset = v->vm->arch.tsc_offset;
	svm_guest_reset(v);
	return 0;
}

void svm_load(struct cpu *cpu, struct vcpu *v)
{
	vmsave(cpu->vmcb_pa);
	fpu_load(cpu, v);
	if (unlikely(v->arch.dr_live))
		dr_swap(cpu->dr, v->arch.debug_control & ABI_DEBUG_USE_HW_BP ? v->arch.debug_dr : v->arch.dr);
	if (v->arch.tsc_aux != cpu->tsc_aux)
		wrmsr(MSR_TSC_AUX, v->arch.tsc_aux);
	predictor_switch(cpu, v);
	vmload(v->arch.vmcb_pa);
}

void svm_unload(struct cpu *cpu, struct vcpu *v)
{
	vmsave(v->arch.vmcb_pa);
	if (v->arch.tsc_aux != cpu->tsc_aux)
		wrmsr(MSR_TSC_AUX, cpu->tsc_aux);
	if (unlikely(v->arch.dr_live))
		dr_swap(v->arch.debug_control & ABI_DEBUG_USE_HW_BP ? v->arch.debug_dr : v->arch.dr, cpu->dr);
	fpu_unload(cpu, v);
	vmload(cpu->vmcb_pa);
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

static void seg_get(const struct vmcb_seg *s, struct abi_segment *a)
{
	*a = (struct abi_segment) {
		.base = s->base, .limit = s->limit, .selector = s->selector,
		.type = s->attr & 15, .s = s->attr >> 4 & 1, .dpl = s->attr >> 5 & 3, .present = s->attr >> 7 & 1,
		.avl = s->attr >> 8 & 1, .l = s->attr >> 9 & 1, .db = s->attr >> 10 & 1,
		.g = s->limit > 0xfffff,	/* the VMCB's own G bit means nothing: limits are in bytes */
	};
	a->unusable = !a->present;
}

static void seg_set(struct vmcb_seg *s, const struct abi_segment *a)
{
	s->base = a->base;
	s->limit = a->limit;
	s->selector = a->selector;
	s->attr = (u16)((a->type & 15) | (a->s & 1) << 4 | (a->dpl & 3) << 5 |
			((a->present & 1) && !a->unusable) << 7 | (a->avl & 1) << 8 | (a->l & 1) << 9 |
			(a->db & 1) << 10 | (a->g & 1) << 11);
}

void svm_get_sregs(struct vcpu *v, struct abi_sregs *s)
{
	struct vmcb *b = v->arch.vmcb;
	struct abi_segment *data[] = { &s->ds, &s->es, &s->fs, &s->gs };
	u32 i;

	seg_get(&b->cs, &s->cs);
	seg_get(&b->ds, &s->ds);
	seg_get(&b->es, &s->es);
	seg_get(&b->fs, &s->fs);
	seg_get(&b->gs, &s->gs);
	seg_get(&b->ss, &s->ss);
	seg_get(&b->tr, &s->tr);
	seg_get(&b->ldtr, &s->ldt);
	/* What VMX would insist on, for the sake of saved states (as KVM). */
	for (i = 0; i < ARRAY_SIZE(data); i++)
		data[i]->type |= !data[i]->unusable;
	s->tr.type |= 2;
	s->ss.dpl = b->cpl;
	if (s->ss.unusable)
		s->ss.db = 0;
	s->gdt.base = b->gdtr.base;
	s->gdt.limit = (u16)b->gdtr.limit;
	s->idt.base = b->idtr.base;
	s->idt.limit = (u16)b->idtr.limit;
	s->cr0 = b->cr0;
	s->cr2 = b->cr2;
	s->cr3 = b->cr3;
	s->cr4 = b->cr4;
	s->cr8 = b->int_control & 15;
	s->efer = b->efer & ~EFER_SVME;
}

void svm_set_sregs(struct vcpu *v, const struct abi_sregs *s)
{
	struct vmcb *b = v->arch.vmcb;

	seg_set(&b->cs, &s->cs);
	seg_set(&b->ds, &s->ds);
	seg_set(&b->es, &s->es);
	seg_set(&b->fs, &s->fs);
	seg_set(&b->gs, &s->gs);
	seg_set(&b->ss, &s->ss);
	seg_set(&b->tr, &s->tr);
	seg_set(&b->ldtr, &s->ldt);
	b->cpl = s->ss.dpl & 3;
	b->gdtr.base = s->gdt.base;
	b->gdtr.limit = s->gdt.limit;
	b->idtr.base = s->idt.base;
	b->idtr.limit = s->idt.limit;
	b->cr0 = s->cr0 | CR0_ET;
	b->cr2 = s->cr2;
	b->cr3 = s->cr3;
	b->cr4 = s->cr4;
	b->int_control = (b->int_control & ~V_TPR_MASK) | (s->cr8 & 15);
	b->efer = s->efer | EFER_SVME;
	v->arch.asid_generation = 0;	/* the guest's own translations go: CR0, CR3, CR4 or EFER may differ */
}

u64 *svm_msr_slot(struct vcpu *v, u32 msr)
{
	struct vmcb *b = v->arch.vmcb;

	switch (msr) {
	case MSR_FS_BASE: return &b->fs.base;
	case MSR_GS_BASE: return &b->gs.base;
	case MSR_KERNEL_GS_BASE: return &b->kernel_gs_base;
	case MSR_STAR: return &b->star;
	case MSR_LSTAR: return &b->lstar;
	case MSR_CSTAR: return &b->cstar;
	case MSR_SFMASK: return &b->sfmask;
	case MSR_SYSENTER_CS: return &b->sysenter_cs;
	case MSR_SYSENTER_ESP: return &b->sysenter_esp;
	case MSR_SYSENTER_EIP: return &b->sysenter_eip;
	case MSR_PAT: return &b->g_pat;
	case MSR_EFER: return &b->efer;
	default: return NULL;
	}
}

void svm_set_tsc_offset(struct vcpu *v, u64 offset)
{
	v->arch.vmcb->tsc_offset = offset;
}

u64 *svm_special(struct vcpu *v, int which)
{
	struct vmcb *b = v->arch.vmcb;

	switch (which) {
	case SPECIAL_DR6: return &b->dr6;
	case SPECIAL_DR7: return v->arch.debug_control & ABI_DEBUG_USE_HW_BP ? &v->arch.guest_dr7 : &b->dr7;
	case SPECIAL_CR2: return &b->cr2;
	default: return &b->int_shadow;
	}
}

void svm_set_fields(struct vcpu *v, u32 flags, const struct exit_resume *in)
{
	struct vmcb *b = v->arch.vmcb;

	if (flags & RESUME_RAX)
		b->rax = READ_ONCE(in->rax);
	if (flags & RESUME_RDX)
		v->arch.regs.rdx = READ_ONCE(in->rdx);
	if (flags & RESUME_RIP)
		b->rip = READ_ONCE(in->rip);
	if (flags & (RESUME_RIP | RESUME_REGS))
		b->int_shadow = !!(flags & RESUME_SHADOW_STI);
	if (flags & RESUME_CR8)
		b->int_control = (b->int_control & ~V_TPR_MASK) | (READ_ONCE(in->cr8) & 15);
}

void svm_nmi_mask(struct vcpu *v)
{
	if (v->arch.events.nmi_masked)
		v->arch.vmcb->intercept1 |= INTERCEPT_IRET;
	else
		v->arch.vmcb->intercept1 &= ~INTERCEPT_IRET;
}

/*
 * The VMM's breakpoints stand in DR0 to DR3 and DR7 instead of the guest's;
 * then the guest's own accesses are intercepted, and the driver does them.
 */
void svm_debug(struct vcpu *v)
{
	struct vmcb *b = v->arch.vmcb;
	int hardware = !!(v->arch.debug_control & ABI_DEBUG_USE_HW_BP);

	v->arch.work = 1;
	b->intercept_exception &= ~(1u << VECTOR_BP);
	if (v->arch.debug_control & ABI_DEBUG_USE_SW_BP)
		b->intercept_exception |= 1u << VECTOR_BP;
	if (hardware && !v->arch.debug_on)
		v->arch.guest_dr7 = b->dr7;
	else if (!hardware && v->arch.debug_on)
		b->dr7 = v->arch.guest_dr7;
	v->arch.debug_on = (u8)hardware;
	if (!hardware)
		return;
	b->dr7 = v->arch.debug_dr7;
	b->intercept_dr = INTERCEPT_DR_ALL;
	v->arch.dr_live = 1;
}
