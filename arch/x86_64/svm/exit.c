/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exit.c - one stay of a user vCPU in its guest on SVM: what goes in (events,
 * ASID), and a table of what to do with each exit.
 *
 * An exit handler returns 0: the guest goes on, or 1: the exit page says what
 * the driver has to do.
 * Called by: guest/run.c. Calls: guest/ (CPUID, MSRs).
 * See: APM vol. 2, 15.16 (TLB), 15.20 (event injection), 15.21 (interrupts), appendix C (exit codes).
 */
#include <string.h>
#include "svm.h"
#include "log.h"

typedef int (*exit_fn)(struct cpu *cpu, struct vcpu *v, struct vmcb *b);

/* ---- events: order and re-injection are guest/event.c's ---- */

/* The IRET that ends NMI blocking has run when RIP is no longer on it. */
static void nmi_update(struct events *e, const struct vmcb *b)
{
	if (e->nmi_iret && b->rip != e->nmi_iret_rip)
		e->nmi_iret = e->nmi_masked = 0;
}

/* Behind that IRET waits an NMI: a trap right after it lets us in. */
static void step_on(struct events *e, struct vmcb *b)
{
	e->step = 1;
	e->step_tf = !!(b->rflags & RFLAGS_TF);
	b->rflags |= RFLAGS_TF;
}

/* The exit came before the IRET had run: its flags are the guest's own again. */
static void step_off(struct events *e, struct vmcb *b)
{
	if (!e->step || b->rip != e->nmi_iret_rip)
		return;
	if (!e->step_tf)
		b->rflags &= ~RFLAGS_TF;
	e->step = 0;
}

void svm_event_inject(struct vcpu *v, u64 event)
{
	struct vmcb *b = v->arch.vmcb;

	if (EVENT_TYPE(event) == EVENT_NMI)
		b->intercept1 |= INTERCEPT_IRET;
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
 * they are masked. With a LAPIC, MOV to CR8 exits only while a vector waits for it.
 */
void svm_event_windows(struct vcpu *v, u32 windows)
{
	struct vmcb *b = v->arch.vmcb;

	b->int_control &= ~(V_IRQ | V_INTR_PRIO | V_IGN_TPR);
	b->intercept1 &= ~INTERCEPT_VINTR;
	if (windows & WINDOW_INTERRUPT) {
		b->int_control |= V_IRQ | V_INTR_PRIO | V_IGN_TPR;
		b->intercept1 |= INTERCEPT_VINTR;
	}
	if ((windows & WINDOW_NMI) && v->arch.events.nmi_iret)
		step_on(&v->arch.events, b);
	if (v->arch.lapic)
		b->intercept_cr = INTERCEPT_CR4_WRITE | (windows >= WINDOW_TPR(1) ? INTERCEPT_CR8_WRITE : 0);
}

void svm_event_step(struct vcpu *v, int on)
{
	struct vmcb *b = v->arch.vmcb;

	b->rflags = on ? b->rflags | RFLAGS_TF : b->rflags & ~RFLAGS_TF;
}

/* ---- ASIDs ---- */

/* A fresh one has no old translations; when they run out, all go at once (15.16.1). */
static void asid_new(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	if (cpu->asid_next > cpu->asid_max) {
		cpu->asid_next = ASID_SERVICE + 1;
		cpu->asid_generation++;
		b->tlb_control = TLB_FLUSH_ALL;
	}
	b->asid = cpu->asid_next++;
	v->arch.asid_cpu = cpu;
	v->arch.asid_generation = cpu->asid_generation;
}

/* Pairs with vm_flush(): in_guest is set before the generation is read. */
static void tlb_in(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	u64 generation;

	v->cpu = cpu->index;
	__atomic_exchange_n(&v->in_guest, 1, __ATOMIC_SEQ_CST);
	generation = __atomic_load_n(&v->vm->generation, __ATOMIC_SEQ_CST);
	if (unlikely(v->seen != generation || v->arch.asid_cpu != cpu ||
		     v->arch.asid_generation != cpu->asid_generation)) {
		asid_new(cpu, v, b);
		WRITE_ONCE(v->seen, generation);
	}
}

/* ---- exits that the hypervisor answers ---- */

static int fault_gp(struct vcpu *v)
{
	queue_exception(v, VECTOR_GP, 1, 0);
	return 0;
}

static int exit_undefined(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	(void)cpu, (void)b;
	queue_exception(v, VECTOR_UD, 0, 0);
	return 0;
}

static int exit_cpuid(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	(void)cpu;
	v->arch.regs.rax = b->rax;
	cpuid_guest(v, b->cr4);
	b->rax = v->arch.regs.rax;
	svm_skip(b, 2);
	return 0;
}

/* KVM's answers (Documentation/virt/kvm/x86/hypercalls): we offer none of its calls but the one that needs no state. */
#define KVM_HC_VAPIC_POLL_IRQ 1
#define KVM_ENOSYS 1000
#define KVM_EPERM 1

static int exit_vmmcall(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	int wide = (b->efer & EFER_LMA) && (b->seg[SEG_CS].attr & 0x200);
	u64 number = wide ? b->rax : (u32)b->rax;
	s64 result = b->cpl ? -KVM_EPERM : number == KVM_HC_VAPIC_POLL_IRQ ? 0 : -KVM_ENOSYS;

	(void)cpu, (void)v;
	b->rax = wide ? (u64)result : (u32)result;
	svm_skip(b, 3);
	return 0;
}

/* WBINVD, INVD: our guests' memory is coherent. */
static int exit_skip2(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	(void)cpu, (void)v;
	svm_skip(b, 2);
	return 0;
}

/* MONITOR, MWAIT: no more than a NOP, as KVM without KVM_X86_DISABLE_EXITS_MWAIT. */
static int exit_monitor(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	if (v->arch.debug & STATE_DEBUG_MWAIT)
		return exit_undefined(cpu, v, b);
	svm_skip(b, 3);
	return 0;
}

static int exit_xsetbv(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	u64 value = (u32)b->rax | v->arch.regs.rdx << 32;

	(void)cpu;
	if (b->cpl || (u32)v->arch.regs.rcx || !fpu_xcr0_valid(value))
		return fault_gp(v);
	xsetbv(value);
	svm_skip(b, 3);
	return 0;
}

static int exit_gp(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	(void)cpu, (void)b;
	return fault_gp(v);
}

/* NMI blocking ends with this IRET: let it run, see nmi_update(). */
static int exit_iret(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	(void)cpu;
	b->intercept1 &= ~INTERCEPT_IRET;
	v->arch.events.nmi_iret = 1;
	v->arch.work = 1;
	v->arch.events.nmi_iret_rip = b->rip;
	return 0;
}

/* ---- exits for the driver ---- */

/* What every exit tells. ready: an interrupt given now would be taken at the next entry. */
static inline void exit_common(struct vcpu *v, u32 reason)
{
	const struct vmcb *b = v->arch.vmcb;
	const struct events *e = &v->arch.events;
	struct exit_state *x = &v->page->out;

	x->reason = reason;
	x->rip = b->rip;
	x->rflags = b->rflags;
	x->cs_base = b->seg[SEG_CS].base;
	x->cr8 = b->int_control & 15;
	x->if_flag = b->rflags >> 9 & 1;
	x->ready = x->if_flag && !b->int_shadow && !(v->arch.work && (e->exception | e->nmi_injected | e->interrupt));
}

static int exit_interrupt(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	(void)cpu, (void)b;
	exit_common(v, EXIT_INTR);
	return 1;
}

static int exit_nmi(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	if (!READ_ONCE(cpu->kicked))
		return exit_interrupt(cpu, v, b);	/* pending still: the service VM exits for it at once */
	svm_nmi_window();
	WRITE_ONCE(cpu->kicked, 0);
	return 0;
}

static int exit_vintr(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	(void)cpu, (void)b;
	if (!event_window_open(v))
		return 0;
	exit_common(v, EXIT_IRQ_WINDOW);
	return 1;
}

static int exit_hlt(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	(void)cpu;
	svm_skip(b, 1);
	if (event_ends_hlt(v, b->rflags))
		return 0;
	exit_common(v, EXIT_HLT);
	return 1;
}

/* All that an instruction decoder needs. */
static void exit_full(struct vcpu *v, struct vmcb *b, u32 reason)
{
	struct exit_state *x = &v->page->out;

	exit_common(v, reason);
	svm_get_regs(v, &x->regs);
	x->cr0 = b->cr0;
	x->cr2 = b->cr2;
	x->cr3 = b->cr3;
	x->cr4 = b->cr4;
	x->efer = b->efer & ~EFER_SVME;
	x->cpl = b->cpl;
	x->shadow = b->int_shadow & 1;
	/* VMLOAD state (FS, GS) is in the processor, not yet in the VMCB. */
	vmsave(v->arch.vmcb_pa);
	memcpy(x->seg, b->seg, sizeof(x->seg));
	x->insn_len = b->insn_len <= 15 ? b->insn_len : 15;
	if (x->insn_len)
		memcpy(x->insn, b->insn, 15);
}

static int exit_emulate(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	(void)cpu;
	exit_full(v, b, EXIT_EMULATE);
	v->page->out.data = 0;
	v->page->out.insn_len = 0;	/* given for page faults only (15.8.4) */
	return 1;
}

/* The first touch of a debug register: from here on they are switched with the vCPU. */
static int exit_dr(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	u32 i;

	if (v->arch.debug & STATE_DEBUG_DR)
		return exit_emulate(cpu, v, b);
	b->intercept_dr = 0;
	if (v->arch.dr_live)
		return 0;
	v->arch.dr_live = 1;
	for (i = 0; i < 4; i++)
		v->arch.dr[i] = 0;
	asm volatile("mov %%db0, %0" : "=r"(cpu->dr[0]));
	asm volatile("mov %%db1, %0" : "=r"(cpu->dr[1]));
	asm volatile("mov %%db2, %0" : "=r"(cpu->dr[2]));
	asm volatile("mov %%db3, %0" : "=r"(cpu->dr[3]));
	asm volatile("mov %0, %%db0; mov %0, %%db1; mov %0, %%db2; mov %0, %%db3" : : "r"(0ull));
	return 0;
}

static int exit_io(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	struct exit_state *x = &v->page->out;
	u32 info = (u32)b->exit_info1;

	if (info & IOIO_STRING)
		return exit_emulate(cpu, v, b);
	exit_common(v, EXIT_IO);
	x->port = IOIO_PORT(info);
	x->size = IOIO_SIZE(info);
	x->write = !(info & IOIO_IN);
	x->data = b->rax;
	x->next_rip = b->exit_info2;
	return 1;
}

/* What passes without an exit is in the permission map; all else is the driver's. */
static int exit_msr(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	u64 value = (u32)b->rax | v->arch.regs.rdx << 32;
	u32 write = (u32)b->exit_info1, reason = write ? lapic_wrmsr(v, (u32)v->arch.regs.rcx, value) : EXIT_MSR;
	struct exit_state *x = &v->page->out;

	(void)cpu;
	if (reason != EXIT_MSR)
		svm_skip(b, 2);
	if (reason == EXIT_NONE)
		return 0;
	exit_common(v, reason);
	if (reason == EXIT_EOI)
		return 1;
	x->port = (u32)v->arch.regs.rcx;
	x->write = write;
	x->data = value;
	x->next_rip = svm_next_rip(b, 2);
	return 1;
}

static int exit_npf(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	(void)cpu;
	exit_full(v, b, EXIT_FAULT);
	v->page->out.gpa = b->exit_info2;
	/* Bit 33: the fault was in the walk of the guest's own tables (15.25.6). */
	v->page->out.error = (b->exit_info1 & 0x1f) | (b->exit_info1 >> 33 & 1 ? FAULT_TABLE : 0);
	return 1;
}

/* The VMCB's state is undefined after a shutdown: KVM resets the vCPU before the VMM sees the exit. */
static int exit_shutdown(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	(void)cpu, (void)b;
	svm_guest_reset(v);
	exit_common(v, EXIT_SHUTDOWN);
	return 1;
}

static int exit_debug(struct vcpu *v, struct vmcb *b, u32 vector)
{
	struct exit_state *x = &v->page->out;

	exit_common(v, EXIT_DEBUG);
	x->data = vector;
	x->qual[0] = b->dr6;
	x->qual[1] = b->dr7;
	return 1;
}

static int exit_db(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	struct events *e = &v->arch.events;

	(void)cpu;
	if (e->step) {
		e->step = 0;
		b->dr6 &= ~DR6_BS;
		if (!e->step_tf)
			return 0;
	}
	if (v->arch.debug & (STATE_DEBUG_STEP | STATE_DEBUG_DR))
		return exit_debug(v, b, VECTOR_DB);
	queue_exception(v, VECTOR_DB, 0, 0);
	return 0;
}

/* Intercepted only for the VMM's own breakpoints. */
static int exit_bp(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	(void)cpu;
	return exit_debug(v, b, VECTOR_BP);
}

static int exit_ud(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	(void)cpu;
	exit_full(v, b, EXIT_EMULATE);
	v->page->out.insn_len = 0;
	v->page->out.data = VECTOR_UD;
	return 1;
}

static int exit_ac(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	(void)cpu, (void)b;
	queue_exception(v, VECTOR_AC, 1, 0);
	return 0;
}

/* The machine's, not the guest's. */
static int exit_mc(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	svm_service_inject(cpu, VECTOR_MC, EVENT_EXCEPTION, 0);
	return exit_interrupt(cpu, v, b);
}

static const struct {
	exit_fn fn;
	u32 stat;
} exits[VMEXIT_TABLE] = {
	[VMEXIT_CR_WRITE4] = { exit_emulate, EXIT_CR },
	[VMEXIT_CR_WRITE8] = { exit_emulate, EXIT_CR },
	[VMEXIT_DR_FIRST ... VMEXIT_DR_LAST] = { exit_dr, EXIT_DR },
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
	[VMEXIT_VMMCALL] = { exit_vmmcall, EXIT_HYPERCALL },
	[VMEXIT_VMLOAD ... VMEXIT_SKINIT] = { exit_undefined, EXIT_OTHER },
	[VMEXIT_WBINVD] = { exit_skip2, EXIT_OTHER },
	[VMEXIT_MONITOR ... VMEXIT_MWAIT_ARMED] = { exit_monitor, EXIT_OTHER },
	[VMEXIT_XSETBV] = { exit_xsetbv, EXIT_OTHER },
	[VMEXIT_RDPRU] = { exit_undefined, EXIT_OTHER },
};

/* KVM's suberror for an exit that it cannot name: KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON. */
#define INTERNAL_UNEXPECTED 4

static int exit_unknown(struct vcpu *v, struct vmcb *b)
{
	struct exit_state *x = &v->page->out;

	/* VMEXIT_INVALID; QEMU 7.2 gives its low half only. */
	if ((u32)b->exit_code == 0xffffffffu) {
		exit_common(v, EXIT_FAIL_ENTRY);
		x->data = b->exit_code;
		return 1;
	}
	exit_common(v, EXIT_INTERNAL);
	x->data = INTERNAL_UNEXPECTED;
	x->qual[0] = b->exit_code;
	x->qual[1] = v->cpu;
	x->qual_count = 2;
	return 1;
}

/* 0: enter again, 1: for the driver. */
static int dispatch_exit(struct cpu *cpu, struct vcpu *v, struct vmcb *b)
{
	u64 code = b->exit_code;

	if (code == VMEXIT_NPF) {
		v->exits[EXIT_FAULT]++;
		return exit_npf(cpu, v, b);
	}
	if (code < VMEXIT_TABLE && exits[code].fn) {
		v->exits[exits[code].stat]++;
		return exits[code].fn(cpu, v, b);
	}
	v->exits[EXIT_OTHER]++;
	return exit_unknown(v, b);
}

void svm_guest_run(struct cpu *cpu, struct vcpu *v)
{
	struct vmcb *b = v->arch.vmcb;
	u32 special;

	do {
		if (unlikely(v->arch.work))
			event_in(v);
		special = v->arch.work;
		tlb_in(cpu, v, b);
		svm_enter(&v->arch.regs, v->arch.vmcb_pa);
		WRITE_ONCE(v->in_guest, 0);
		b->tlb_control = 0;
		b->event_inj = 0;
		if (unlikely((b->exit_int_info & EVENT_VALID) || special || v->arch.events.step)) {
			nmi_update(&v->arch.events, b);
			step_off(&v->arch.events, b);
			event_out(v, b->exit_int_info);
		}
	} while (!dispatch_exit(cpu, v, b));
}
