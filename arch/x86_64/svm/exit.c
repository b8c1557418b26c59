/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exit.c - one stay of a user vCPU in its guest on SVM: what goes in (events,
 * ASID), a table of what to do with each exit, and the switch between the service
 * VM's state and the guest's around it.
 *
 * What both backends handle alike is in exits.h.
 * Called by: guest/run.c. Calls: guest/ (events, CPUID).
 * See: APM vol. 2, 15.16 (TLB), 15.20 (event injection), 15.21 (interrupts), appendix C (exit codes).
 */
#include <string.h>
#include "svm.h"
#include "switch.h"
#include "log.h"

/* ---- what exits.h asks for ---- */

static inline u64 *guest_rax(struct vcpu *v) { return &v->arch.vmcb->rax; }
static inline u64 guest_rip(struct vcpu *v) { return v->arch.vmcb->rip; }
static inline u64 guest_rflags(struct vcpu *v) { return v->arch.vmcb->rflags; }
static inline u64 guest_cs_base(struct vcpu *v) { return v->arch.vmcb->seg[SEG_CS].base; }
static inline u64 guest_cr8(struct vcpu *v) { return v->arch.vmcb->int_control & 15; }
static inline u32 guest_cpl(struct vcpu *v) { return v->arch.vmcb->cpl; }
static inline u64 guest_shadow(struct vcpu *v) { return v->arch.vmcb->int_shadow & 1; }

static inline void guest_set_rip(struct vcpu *v, u64 rip) { v->arch.vmcb->rip = rip; }
static inline void guest_set_shadow(struct vcpu *v, u32 on) { v->arch.vmcb->int_shadow = !!on; }

static inline void guest_set_cr8(struct vcpu *v, u64 cr8)
{
	v->arch.vmcb->int_control = (v->arch.vmcb->int_control & ~V_TPR_MASK) | cr8;
}

static inline int guest_wide(struct vcpu *v)
{
	return (v->arch.vmcb->efer & EFER_LMA) && (v->arch.vmcb->seg[SEG_CS].attr & 0x200);
}

static inline u64 guest_next_rip(struct vcpu *v, u32 length)
{
	return svm_next_rip(v->arch.vmcb, length);
}

static inline void guest_skip(struct vcpu *v, u32 length)
{
	svm_skip(v->arch.vmcb, length);
}

static inline void guest_full(struct vcpu *v, struct exit_state *x)
{
	const struct vmcb *b = v->arch.vmcb;
	u32 i;

	svm_get_regs(v, &x->regs);
	x->cr0 = b->cr0 | v->arch.cr0_shown;
	x->cr2 = b->cr2;
	x->cr3 = b->cr3;
	x->cr4 = b->cr4;
	x->efer = b->efer & ~EFER_SVME;
	/* VMLOAD state (FS, GS) is in the processor, not yet in the VMCB. */
	vmsave(v->arch.vmcb_pa);
	for (i = 0; i < ARRAY_SIZE(x->seg); i++)
		x->seg[i] = b->seg[i];
}

static inline void guest_tag(struct vcpu *v, u32 tag, int all)
{
	v->arch.vmcb->asid = tag;
	if (all)
		v->arch.vmcb->tlb_control = TLB_FLUSH_ALL;
}

#include "exits.h"

/* ---- events: order and re-injection are guest/event.c's ---- */

/* The IRET that ends NMI blocking has run when RIP is no longer on it. */
static void nmi_update(struct events *e, const struct vmcb *b)
{
	if (e->nmi_iret && b->rip != e->nmi_iret_rip)
		e->nmi_iret = e->nmi_masked = 0;
}

/* One instruction, then a trap lets us in. */
static void step_on(struct events *e, struct vmcb *b, u8 what)
{
	e->step = what;
	e->step_rip = b->rip;
	e->step_tf = !!(b->rflags & RFLAGS_TF);
	b->rflags |= RFLAGS_TF;
	b->dr6 &= ~DR6_BS;
}

/*
 * QEMU 7.2 does not load the interrupt shadow at VMRUN: an interrupt would go in between STI and HLT, and the guest
 * sleep through what it was woken for. There, what waits lets one instruction pass first. The answer marks the RIP.
 */
static u64 shadow_in(struct events *e, struct vmcb *b, u32 work)
{
	if (!b->event_inj && (work || (b->int_control & V_IRQ))) {
		b->int_control &= ~V_IRQ;
		if (!e->step || e->step_rip != b->rip)
			step_on(e, b, STEP_SHADOW);
	}
	return ~b->rip;
}

/*
 * Before the instruction has run, its shadow and its flags are what they were; an IRET loads its flags itself. What an
 * exception of that instruction has delayed still comes to exit_db().
 */
static void step_off(struct vcpu *v, struct events *e, struct vmcb *b, u64 shadow)
{
	int done = e->step && b->exit_code == VMEXIT_EXCEPTION + VECTOR_DB && (b->dr6 & DR6_BS);

	if (~b->rip == shadow && !done)
		b->int_shadow = 1;
	if (!e->step || (!done && b->rip != e->step_rip))
		return;
	if (!e->step_tf && (!done || e->step == STEP_SHADOW))
		b->rflags &= ~RFLAGS_TF;
	e->step = (u8)done;
	v->arch.work = 1;
}

void svm_event_inject(struct vcpu *v, u64 event)
{
	struct vmcb *b = v->arch.vmcb;

	if (EVENT_TYPE(event) == EVENT_NMI)
		svm_intercept(b, VMEXIT_IRET, 1);
	b->event_inj = event;
}

u32 svm_event_blocked(struct vcpu *v)
{
	const struct vmcb *b = v->arch.vmcb;

	return (b->int_shadow & 1 ? BLOCKED_BY_SHADOW : 0) | (b->rflags & RFLAGS_IF ? 0 : BLOCKED_BY_IF) |
		(u32)(b->int_control & 15) << BLOCKED_CR8;
}

/*
 * A virtual interrupt that is intercepted; for NMIs the IRET is intercepted while
 * they are masked. With a LAPIC, MOV to CR8 exits only while a vector waits for it, or while V_IRQ is set: QEMU 7.2
 * ends itself there, for want of a lock.
 */
void svm_event_windows(struct vcpu *v, u32 windows)
{
	struct vmcb *b = v->arch.vmcb;

	b->int_control &= ~(V_IRQ | V_INTR_PRIO | V_IGN_TPR);
	if (windows & WINDOW_INTERRUPT)
		b->int_control |= V_IRQ | V_INTR_PRIO | V_IGN_TPR;
	svm_intercept(b, VMEXIT_VINTR, windows & WINDOW_INTERRUPT);
	if ((windows & WINDOW_NMI) && v->arch.events.nmi_iret)
		step_on(&v->arch.events, b, STEP_IRET);
	if (v->arch.lapic)
		svm_intercept(b, VMEXIT_CR_WRITE8, !!windows);
}

void svm_event_step(struct vcpu *v, int on)
{
	struct vmcb *b = v->arch.vmcb;

	b->rflags = on ? b->rflags | RFLAGS_TF : b->rflags & ~RFLAGS_TF;
}

/* ---- exits ---- */

/* NMI blocking ends with this IRET: let it run, see nmi_update(). */
static int exit_iret(struct cpu *cpu, struct vcpu *v)
{
	svm_intercept(v->arch.vmcb, VMEXIT_IRET, 0);
	v->arch.events.nmi_iret = 1;
	v->arch.work = 1;
	v->arch.events.nmi_iret_rip = v->arch.vmcb->rip;
	return 0;
}

static int exit_nmi(struct cpu *cpu, struct vcpu *v)
{
	if (!READ_ONCE(cpu->kicked))
		return exit_interrupt(cpu, v);	/* pending still: the service VM exits for it at once */
	svm_nmi_window();
	WRITE_ONCE(cpu->kicked, 0);
	return 0;
}

static int exit_vintr(struct cpu *cpu, struct vcpu *v)
{
	return event_window_open(v) ? exit_common(v, EXIT_IRQ_WINDOW) : 0;
}

static int exit_io(struct cpu *cpu, struct vcpu *v)
{
	const struct vmcb *b = v->arch.vmcb;
	u32 info = (u32)b->exit_info1;

	if (info & IOIO_STRING)
		return exit_emulate(cpu, v);
	return exit_port(v, IOIO_PORT(info), IOIO_SIZE(info), !(info & IOIO_IN), b->exit_info2);
}

static int exit_msr(struct cpu *cpu, struct vcpu *v)
{
	return exit_register(v, (u32)v->arch.vmcb->exit_info1);
}

/* Instruction bytes are given for page faults only (15.8.4). */
static int exit_npf(struct vcpu *v)
{
	const struct vmcb *b = v->arch.vmcb;
	struct exit_state *x = &v->page->out;

	exit_full(v, EXIT_FAULT, 0);
	x->gpa = b->exit_info2;
	/* Bit 33: the fault was in the walk of the guest's own tables (15.25.6). */
	x->error = (b->exit_info1 & 0x1f) | (b->exit_info1 >> 33 & 1 ? FAULT_TABLE : 0);
	x->insn_len = b->insn_len <= 15 ? b->insn_len : 15;
	if (b->insn_len)
		memcpy(x->insn, b->insn, 15);
	return 1;
}

static int exit_db(struct cpu *cpu, struct vcpu *v)
{
	struct events *e = &v->arch.events;
	struct vmcb *b = v->arch.vmcb;

	if (e->step && (b->dr6 & DR6_BS)) {
		e->step = 0;
		if (!e->step_tf && !(v->arch.debug & STATE_DEBUG_STEP)) {
			b->dr6 &= ~DR6_BS;
			if (!(b->dr6 & 15) || !(b->dr7 & 0xff))
				return 0;
		}
	}
	if (v->arch.debug & (STATE_DEBUG_STEP | STATE_DEBUG_DR))
		return exit_debug(v, VECTOR_DB, b->dr6, b->dr7);
	return exit_reflect(cpu, v, VECTOR_DB, 0);
}

/* Intercepted only for the VMM's own breakpoints. */
static int exit_bp(struct cpu *cpu, struct vcpu *v)
{
	return exit_debug(v, VECTOR_BP, v->arch.vmcb->dr6, v->arch.vmcb->dr7);
}

static int exit_ac(struct cpu *cpu, struct vcpu *v)
{
	return exit_reflect(cpu, v, VECTOR_AC, 1);
}

/* The machine's, not the guest's. */
static int exit_mc(struct cpu *cpu, struct vcpu *v)
{
	service_inject(cpu, VECTOR_MC, EVENT_EXCEPTION, 0);
	return exit_interrupt(cpu, v);
}

/*
 * #DB and #AC: exit_reflect(). #MC is the machine's.
 * #UD: the other vendor's hypercall instruction is answered too, as KVM does. CR4: a guest gets the features that
 * its CPUID has.
 */
static const struct exit_row exits[VMEXIT_TABLE] = {
	[VMEXIT_CR_READ0] = { exit_emulate, EXIT_CR },
	[VMEXIT_CR_WRITE0] = { exit_emulate, EXIT_CR },
	[VMEXIT_CR_WRITE4] = { exit_emulate, EXIT_CR },
	[VMEXIT_CR_WRITE8] = { exit_emulate, EXIT_CR },
	[VMEXIT_DR_FIRST ... VMEXIT_DR_LAST] = { exit_emulate, EXIT_DR },
	[VMEXIT_EXCEPTION + VECTOR_DB] = { exit_db, EXIT_EXCEPTION },
	[VMEXIT_EXCEPTION + VECTOR_BP] = { exit_bp, EXIT_EXCEPTION },
	[VMEXIT_EXCEPTION + VECTOR_UD] = { exit_ud, EXIT_EXCEPTION },
	[VMEXIT_EXCEPTION + VECTOR_AC] = { exit_ac, EXIT_EXCEPTION },
	[VMEXIT_EXCEPTION + VECTOR_MC] = { exit_mc, EXIT_EXCEPTION },
	[VMEXIT_INTR] = { exit_interrupt, EXIT_INTR },
	[VMEXIT_NMI] = { exit_nmi, EXIT_NMI },
	[VMEXIT_SMI] = { exit_interrupt, EXIT_INTR },
	[VMEXIT_INIT] = { exit_interrupt, EXIT_INTR },
	[VMEXIT_VINTR] = { exit_vintr, EXIT_IRQ_WINDOW },
	[VMEXIT_RDPMC] = { exit_gp, EXIT_OTHER },
	[VMEXIT_CPUID] = { exit_cpuid, EXIT_CPUID },
	[VMEXIT_IRET] = { exit_iret, EXIT_OTHER },
	[VMEXIT_INVD] = { exit_skip2, EXIT_OTHER },
	[VMEXIT_HLT] = { exit_hlt, EXIT_HLT },
	[VMEXIT_INVLPGA] = { exit_undefined, EXIT_OTHER },
	[VMEXIT_IOIO] = { exit_io, EXIT_IO },
	[VMEXIT_MSR] = { exit_msr, EXIT_MSR },
	[VMEXIT_SHUTDOWN] = { exit_shutdown, EXIT_SHUTDOWN },
	[VMEXIT_VMRUN] = { exit_undefined, EXIT_OTHER },
	[VMEXIT_VMMCALL] = { exit_hypercall, EXIT_HYPERCALL },
	[VMEXIT_VMLOAD ... VMEXIT_SKINIT] = { exit_undefined, EXIT_OTHER },
	[VMEXIT_WBINVD] = { exit_skip2, EXIT_OTHER },
	[VMEXIT_MONITOR ... VMEXIT_MWAIT_ARMED] = { exit_monitor, EXIT_OTHER },
	[VMEXIT_XSETBV] = { exit_xsetbv, EXIT_OTHER },
	[VMEXIT_RDPRU] = { exit_undefined, EXIT_OTHER },
};

/* What has a row is intercepted; five only at times. */
void svm_guest_intercepts(struct vmcb *b)
{
	u32 code;

	for (code = 0; code < VMEXIT_TABLE; code++)
		svm_intercept(b, code, !!exits[code].fn);
	svm_intercept(b, VMEXIT_CR_READ0, 0);
	svm_intercept(b, VMEXIT_CR_WRITE0, 0);
	svm_intercept(b, VMEXIT_VINTR, 0);
	svm_intercept(b, VMEXIT_IRET, 0);
	svm_intercept(b, VMEXIT_EXCEPTION + VECTOR_BP, 0);
}

/*
 * VMEXIT_INVALID: VMRUN refused the state. QEMU 7.2 stores int_control then, which it has not loaded yet: zero.
 * Without masking the guest's own IF would keep our interrupts out (15.21.1); work sets the windows anew.
 */
static int exit_invalid(struct vcpu *v, u64 code)
{
	v->arch.vmcb->int_control |= V_INTR_MASKING;
	v->arch.work = 1;
	return exit_refused(v, code);
}

/* 0: enter again, 1: for the driver. */
static int dispatch_exit(struct cpu *cpu, struct vcpu *v, u64 code)
{
	if (code == VMEXIT_NPF) {
		v->page->exits[EXIT_FAULT]++;
		return exit_npf(v);
	}
	if (code < VMEXIT_TABLE && exits[code].fn) {
		v->page->exits[exits[code].stat]++;
		return exits[code].fn(cpu, v);
	}
	v->page->exits[EXIT_OTHER]++;
	/* QEMU 7.2 gives the low half of VMEXIT_INVALID only. */
	return (u32)code == 0xffffffffu ? exit_invalid(v, code) : exit_unknown(v, code);
}

/* ---- in and out ---- */

static inline void load(struct cpu *cpu, struct vcpu *v)
{
	vmsave(cpu->vmcb_pa);
	fpu_load(cpu, v);
	if (unlikely(v->arch.dr_live))
		dr_swap(cpu->dr, v->arch.dr);
	if (v->arch.tsc_aux != cpu->tsc_aux)
		wrmsr(MSR_TSC_AUX, v->arch.tsc_aux);
	if (unlikely(v->arch.tsc_ratio))
		wrmsr(MSR_TSC_RATIO, v->arch.tsc_ratio);
	predictor_switch(cpu, v);
	vmload(v->arch.vmcb_pa);
}

static inline void unload(struct cpu *cpu, struct vcpu *v)
{
	vmsave(v->arch.vmcb_pa);
	if (unlikely(v->arch.vmcb->cr0 & CR0_CD))
		svm_cr0_set(v, v->arch.vmcb->cr0 | v->arch.cr0_shown);
	if (unlikely(v->arch.tsc_ratio))
		wrmsr(MSR_TSC_RATIO, TSC_RATIO_ONE);
	if (v->arch.tsc_aux != cpu->tsc_aux)
		wrmsr(MSR_TSC_AUX, cpu->tsc_aux);
	if (unlikely(v->arch.dr_live))
		dr_swap(v->arch.dr, cpu->dr);
	if (likely(fpu_mask))
		v->arch.xcr0 = xgetbv();	/* QEMU 7.2 does not intercept XSETBV */
	fpu_unload(cpu, v);
	vmload(cpu->vmcb_pa);
}

int svm_run(struct cpu *cpu, struct vcpu *v)
{
	struct vmcb *b = v->arch.vmcb;
	u64 special;

	resume(v);
	load(cpu, v);
	do {
		if (unlikely(v->arch.work))
			event_in(v);
		special = unlikely(b->int_shadow & svm_shadow_lost) ? shadow_in(&v->arch.events, b, v->arch.work) : v->arch.work;
		tlb_in(cpu, v);
		svm_enter(&v->arch.regs, v->arch.vmcb_pa);
		WRITE_ONCE(v->in_guest, 0);
		b->tlb_control = 0;
		b->event_inj = 0;
		if (unlikely((b->exit_int_info & EVENT_VALID) || special || v->arch.events.step)) {
			nmi_update(&v->arch.events, b);
			step_off(v, &v->arch.events, b, special);
			event_out(v, b->exit_int_info);
		}
	} while (!dispatch_exit(cpu, v, b->exit_code));
	unload(cpu, v);
	return 0;
}
