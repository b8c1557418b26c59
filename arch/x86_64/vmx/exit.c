/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exit.c - one stay of a user vCPU in its guest on VMX: what goes in (events,
 * VPID), and a table of what to do with each exit.
 *
 * An exit handler returns 0: the guest goes on, or 1: the exit page says what
 * the driver has to do.
 * Called by: guest/run.c. Calls: guest/ (CPUID, MSRs).
 * See: SDM vol. 3, 27.6 (event injection), 28.2 (exit information), 29.4 (TLB), appendix C (exit reasons).
 */
#include <string.h>
#include "vmx.h"
#include "log.h"

typedef int (*exit_fn)(struct cpu *cpu, struct vcpu *v);

/* ---- events: order and re-injection are guest/event.c's ---- */

/* The entry sets NMI blocking, and wants it clear before (27.3.1.5). */
static void nmi_unmask(struct vcpu *v)
{
	v->arch.events.nmi_masked = 0;
	vmx_slot(v, SLOT_SHADOW);
	vmx_slots_out(v);
	v->arch.events.nmi_masked = 1;
}

/* An exception has no error code in real mode (27.2.1.3). */
void vmx_event_inject(struct vcpu *v, u64 event)
{
	u32 info = (u32)event;

	if (EVENT_TYPE(info) == EVENT_NMI)
		nmi_unmask(v);
	if ((info & EVENT_ERROR) && !(vmread(VMCS_GUEST_CR0) & CR0_PE))
		info &= ~EVENT_ERROR;
	if (info & EVENT_ERROR)
		vmwrite(VMCS_ENTRY_ERROR, event >> 32);
	vmwrite(VMCS_ENTRY_EVENT, info);
}

/* The processor refuses what the guest could not take (27.3.1.4). */
u32 vmx_event_blocked(struct vcpu *v)
{
	return (vmx_slot_read(v, SLOT_SHADOW) ? BLOCKED_BY_SHADOW : 0) |
		(vmx_slot_read(v, SLOT_RFLAGS) & RFLAGS_IF ? 0 : BLOCKED_BY_IF) |
		v->arch.vmx->apic[APIC_TPR] / 16u << BLOCKED_CR8;
}

/* A vector that CR8 stops: the threshold is its class, so not above CR8, as the entry wants (27.2.1.1). */
void vmx_event_windows(struct vcpu *v, u32 windows)
{
	u32 threshold = windows >> 4;

	if (threshold != v->arch.vmx->threshold) {
		v->arch.vmx->threshold = threshold;
		vmwrite(VMCS_TPR_THRESHOLD, threshold);
	}
	vmx_proc_set(v, (v->arch.vmx->proc & ~(PROC_INTR_WINDOW | PROC_NMI_WINDOW)) |
		     (windows & WINDOW_INTERRUPT ? PROC_INTR_WINDOW : 0) | (windows & WINDOW_NMI ? PROC_NMI_WINDOW : 0));
}

/*
 * The trap flag for the VMM's single step; under an interrupt shadow it must be
 * noted there too. A step begins here: none is pending (Bochs leaves one when a
 * fetch met an EPT violation).
 */
void vmx_event_step(struct vcpu *v, int on)
{
	u64 *rflags = vmx_slot(v, SLOT_RFLAGS);

	vmwrite(VMCS_GUEST_PENDING_DEBUG, vmread(VMCS_GUEST_PENDING_DEBUG) & ~(u64)PENDING_STEP);
	*rflags = on ? *rflags | RFLAGS_TF : *rflags & ~RFLAGS_TF;
	vmx_slot(v, SLOT_SHADOW);
}

/* The guest was not entered: what was to be injected waits again. */
static void events_cancel(struct vcpu *v)
{
	event_requeue(v, (u32)vmread(VMCS_ENTRY_EVENT) | vmread(VMCS_ENTRY_ERROR) << 32);
	vmwrite(VMCS_ENTRY_EVENT, 0);
}

/* The IRET that met the fault has ended NMI blocking already: it will run again (28.2.3). */
static void nmi_block_again(struct vcpu *v)
{
	if (vmread(VMCS_VECTORING) & EVENT_VALID)
		return;
	v->arch.events.nmi_masked = 1;
	vmx_slot(v, SLOT_SHADOW);
}

/* ---- VPIDs ---- */

/* A fresh one has no old translations; when they run out, all go at once (29.4.3.3). */
static void vpid_new(struct cpu *cpu, struct vcpu *v)
{
	if (cpu->asid_next > cpu->asid_max) {
		cpu->asid_next = VPID_SERVICE + 1;
		cpu->asid_generation++;
		invvpid_all();
	}
	vmwrite(VMCS_VPID, cpu->asid_next++);
	v->arch.asid_cpu = cpu;
	v->arch.asid_generation = cpu->asid_generation;
}

/*
 * Pairs with vm_flush(): in_guest is set before the generation is read.
 * Guest-physical translations are tagged by the tables' root alone (29.4.1): they
 * outlive a VPID, and a VM whose root page another VM had before.
 */
static void tlb_in(struct cpu *cpu, struct vcpu *v)
{
	u64 generation;

	v->cpu = cpu->index;
	__atomic_exchange_n(&v->in_guest, 1, __ATOMIC_SEQ_CST);
	generation = __atomic_load_n(&v->vm->generation, __ATOMIC_SEQ_CST);
	if (unlikely(v->seen != generation || v->arch.asid_cpu != cpu)) {
		invept(INVALIDATE_SINGLE, vmx_eptp(v->vm->pt.root));
		WRITE_ONCE(v->seen, generation);
	}
	if (unlikely(v->arch.asid_cpu != cpu || v->arch.asid_generation != cpu->asid_generation))
		vpid_new(cpu, v);
}

/* ---- exits that the hypervisor answers ---- */

static int fault_gp(struct vcpu *v)
{
	queue_exception(v, VECTOR_GP, 1, 0);
	return 0;
}

static int exit_undefined(struct cpu *cpu, struct vcpu *v)
{
	(void)cpu;
	queue_exception(v, VECTOR_UD, 0, 0);
	return 0;
}

static int exit_cpuid(struct cpu *cpu, struct vcpu *v)
{
	(void)cpu;
	cpuid_guest(v, vmread(VMCS_GUEST_CR4));
	vmx_skip();
	return 0;
}

/* KVM's answers (Documentation/virt/kvm/x86/hypercalls): we offer none of its calls but the one that needs no state. */
#define KVM_HC_VAPIC_POLL_IRQ 1
#define KVM_ENOSYS 1000
#define KVM_EPERM 1

static int exit_vmcall(struct cpu *cpu, struct vcpu *v)
{
	int wide = (vmread(VMCS_GUEST_EFER) & EFER_LMA) && (vmread(VMCS_GUEST_RIGHTS + 2 * VSEG_CS) & 0x2000);
	u64 number = wide ? v->arch.regs.rax : (u32)v->arch.regs.rax;
	s64 result = vmx_cpl() ? -KVM_EPERM : number == KVM_HC_VAPIC_POLL_IRQ ? 0 : -KVM_ENOSYS;

	(void)cpu;
	v->arch.regs.rax = wide ? (u64)result : (u32)result;
	vmx_skip();
	return 0;
}

/* WBINVD, INVD: our guests' memory is coherent. */
static int exit_skip(struct cpu *cpu, struct vcpu *v)
{
	(void)cpu, (void)v;
	vmx_skip();
	return 0;
}

/* MONITOR, MWAIT: no more than a NOP, as KVM without KVM_X86_DISABLE_EXITS_MWAIT. */
static int exit_monitor(struct cpu *cpu, struct vcpu *v)
{
	if (v->arch.debug & STATE_DEBUG_MWAIT)
		return exit_undefined(cpu, v);
	return exit_skip(cpu, v);
}

static int exit_xsetbv(struct cpu *cpu, struct vcpu *v)
{
	u64 value = (u32)v->arch.regs.rax | v->arch.regs.rdx << 32;

	(void)cpu;
	if (vmx_cpl() || (u32)v->arch.regs.rcx || !fpu_xcr0_valid(value))
		return fault_gp(v);
	xsetbv(value);
	vmx_skip();
	return 0;
}

static int exit_gp(struct cpu *cpu, struct vcpu *v)
{
	(void)cpu;
	return fault_gp(v);
}

/* Instructions number the registers otherwise than struct gprs. */
static u64 gpr(const struct vcpu *v, u32 number)
{
	static const u8 order[8] = { 0, 2, 3, 1, 6, 7, 4, 5 };

	return (&v->arch.regs.rax)[number < 8 ? order[number] : number];
}

/* MOV to CR0 that changes a bit of ours: shown as written, then the instruction runs again, without an exit. */
static int exit_cr0(struct vcpu *v, u64 q)
{
	u64 value = CR_REGISTER(q) == 4 ? vmx_slot_read(v, SLOT_RSP) : gpr(v, CR_REGISTER(q));

	if ((value & CR0_NW) && !(value & CR0_CD))
		return fault_gp(v);
	vmwrite(VMCS_CR0_SHADOW, value);
	return 0;
}

/* ---- exits for the driver ---- */

/* What every exit tells. ready: an interrupt given now would be taken at the next entry. */
static inline void exit_common(struct vcpu *v, u32 reason)
{
	const struct events *e = &v->arch.events;
	struct exit_state *x = &v->page->out;

	x->reason = reason;
	x->rip = vmx_slot_read(v, SLOT_RIP);
	x->rflags = vmx_slot_read(v, SLOT_RFLAGS);
	x->cs_base = vmread(VMCS_GUEST_BASE + 2 * VSEG_CS);
	x->cr8 = v->arch.vmx->apic[APIC_TPR] >> 4;
	x->if_flag = x->rflags >> 9 & 1;
	x->ready = x->if_flag && !vmx_slot_read(v, SLOT_SHADOW) && !(v->arch.work && (e->exception | e->nmi_injected | e->interrupt));
}

static int exit_interrupt(struct cpu *cpu, struct vcpu *v)
{
	(void)cpu;
	exit_common(v, EXIT_INTR);
	return 1;
}

/* Unlike an interrupt, an NMI and a machine check are gone from the processor with the exit. */
static int exit_attention(struct cpu *cpu, struct vcpu *v, u32 what)
{
	__atomic_fetch_or(&cpu->attention, what, __ATOMIC_RELAXED);
	return exit_interrupt(cpu, v);
}

static int exit_nmi(struct cpu *cpu, struct vcpu *v)
{
	vmx_nmi_unblock();
	return vmx_kick_taken(cpu) ? 0 : exit_attention(cpu, v, ATTENTION_NMI);
}

/* An NMI came just before the entry. */
static int exit_aborted(struct cpu *cpu, struct vcpu *v)
{
	u32 what = __atomic_exchange_n(&cpu->attention, 0, __ATOMIC_ACQ_REL);

	events_cancel(v);
	if (what == ATTENTION_NMI && vmx_kick_taken(cpu))
		return 0;
	return exit_attention(cpu, v, what);
}

static int exit_intr_window(struct cpu *cpu, struct vcpu *v)
{
	(void)cpu;
	if (!event_window_open(v))
		return 0;
	exit_common(v, EXIT_IRQ_WINDOW);
	return 1;
}

/* NMIs, or CR8 below the threshold. */
static int exit_nmi_window(struct cpu *cpu, struct vcpu *v)
{
	(void)cpu;
	v->arch.work = 1;
	return 0;
}

static int exit_hlt(struct cpu *cpu, struct vcpu *v)
{
	(void)cpu;
	vmx_skip();
	if (event_ends_hlt(v, vmx_slot_read(v, SLOT_RFLAGS)))
		return 0;
	exit_common(v, EXIT_HLT);
	return 1;
}

/* All that an instruction decoder needs. */
static void exit_full(struct vcpu *v, u32 reason)
{
	struct exit_state *x = &v->page->out;
	u32 i;

	exit_common(v, reason);
	vmx_get_regs(v, &x->regs);
	x->cr0 = vmread(VMCS_GUEST_CR0);
	asm volatile("mov %%cr2, %0" : "=r"(x->cr2));
	x->cr3 = vmread(VMCS_GUEST_CR3);
	x->cr4 = vmread(VMCS_GUEST_CR4) & ~CR4_VMXE;
	x->efer = vmread(VMCS_GUEST_EFER);
	x->cpl = vmx_cpl();
	x->shadow = (u32)vmx_slot_read(v, SLOT_SHADOW);
	for (i = 0; i < ARRAY_SIZE(x->seg); i++)
		x->seg[i] = vmx_segment(i);
	x->insn_len = 0;	/* VMX gives no instruction bytes */
}

static int exit_emulate(struct cpu *cpu, struct vcpu *v)
{
	(void)cpu;
	exit_full(v, EXIT_EMULATE);
	v->page->out.data = 0;
	return 1;
}

/* The first touch of a debug register: from here on they are switched with the vCPU. */
static int exit_dr(struct cpu *cpu, struct vcpu *v)
{
	if (v->arch.debug & STATE_DEBUG_DR)
		return exit_emulate(cpu, v);
	vmx_proc_set(v, v->arch.vmx->proc & ~PROC_MOV_DR);
	vmx_debug_live(cpu, v);
	return 0;
}

/* CR8: the driver's. CR4: what CPUID decides, too. */
static int exit_cr(struct cpu *cpu, struct vcpu *v)
{
	u64 q = vmread(VMCS_QUALIFICATION);

	return CR_NUMBER(q) ? exit_emulate(cpu, v) : exit_cr0(v, q);
}

static int exit_io(struct cpu *cpu, struct vcpu *v)
{
	struct exit_state *x = &v->page->out;
	u64 q = vmread(VMCS_QUALIFICATION);

	if (q & IO_STRING)
		return exit_emulate(cpu, v);
	exit_common(v, EXIT_IO);
	x->port = IO_PORT(q);
	x->size = IO_SIZE(q);
	x->write = !(q & IO_IN);
	x->data = v->arch.regs.rax;
	x->next_rip = x->rip + vmread(VMCS_EXIT_LENGTH);
	return 1;
}

/* What passes without an exit is in the bitmap; all else is the driver's. */
static int exit_msr(struct vcpu *v, u32 write)
{
	struct exit_state *x = &v->page->out;

	exit_common(v, EXIT_MSR);
	x->port = (u32)v->arch.regs.rcx;
	x->write = write;
	x->data = (u32)v->arch.regs.rax | v->arch.regs.rdx << 32;
	x->next_rip = x->rip + vmread(VMCS_EXIT_LENGTH);
	return 1;
}

static int exit_rdmsr(struct cpu *cpu, struct vcpu *v)
{
	(void)cpu;
	return exit_msr(v, 0);
}

static int exit_wrmsr(struct cpu *cpu, struct vcpu *v)
{
	const struct gprs *r = &v->arch.regs;
	u32 reason = lapic_wrmsr(v, (u32)r->rcx, (u32)r->rax | r->rdx << 32);

	(void)cpu;
	if (reason == EXIT_MSR)
		return exit_msr(v, 1);
	vmx_skip();
	if (reason == EXIT_NONE)
		return 0;
	exit_common(v, reason);
	return 1;
}

static int exit_ept(struct cpu *cpu, struct vcpu *v)
{
	u64 q = vmread(VMCS_QUALIFICATION);

	(void)cpu;
	exit_full(v, EXIT_FAULT);
	v->page->out.gpa = vmread(VMCS_GUEST_PHYSICAL);
	v->page->out.error = FAULT_USER | (q & EPTQ_PRESENT ? FAULT_PRESENT : 0) | (q & EPTQ_WRITE ? FAULT_WRITE : 0) |
		(q & EPTQ_FETCH ? FAULT_FETCH : 0) | ((q & (EPTQ_LINEAR | EPTQ_FINAL)) == EPTQ_LINEAR ? FAULT_TABLE : 0);
	if (unlikely(q & EPTQ_NMI_UNBLOCKED))
		nmi_block_again(v);
	return 1;
}

/* The guest's state is whole here, unlike on SVM. */
static int exit_shutdown(struct cpu *cpu, struct vcpu *v)
{
	(void)cpu;
	exit_common(v, EXIT_SHUTDOWN);
	return 1;
}

static int exit_debug(struct vcpu *v, u32 vector, u64 dr6)
{
	struct exit_state *x = &v->page->out;

	exit_common(v, EXIT_DEBUG);
	x->data = vector;
	x->qual[0] = dr6;
	x->qual[1] = vmread(VMCS_GUEST_DR7);
	return 1;
}

/*
 * The exit leaves DR6 and DR7 as they were, its qualification says what a
 * delivery would set in DR6 (28.2.1): B0 to B3, BD, BS. DR7.GD would go.
 */
static int exit_db(struct cpu *cpu, struct vcpu *v)
{
	u64 dr6, why = vmread(VMCS_QUALIFICATION) & 0x600f;

	if (v->arch.debug & (STATE_DEBUG_STEP | STATE_DEBUG_DR))
		return exit_debug(v, VECTOR_DB, DR6_RESET | why);
	vmx_debug_live(cpu, v);
	asm volatile("mov %%db6, %0" : "=r"(dr6));
	dr6 = (dr6 & ~0xfull) | why;
	asm volatile("mov %0, %%db6" : : "r"(dr6));
	vmwrite(VMCS_GUEST_DR7, vmread(VMCS_GUEST_DR7) & ~(1ull << 13));
	queue_exception(v, VECTOR_DB, 0, 0);
	return 0;
}

static int exit_ud(struct vcpu *v)
{
	exit_full(v, EXIT_EMULATE);
	v->page->out.data = VECTOR_UD;
	return 1;
}

static int exit_exception(struct cpu *cpu, struct vcpu *v)
{
	u32 info = (u32)vmread(VMCS_EXIT_EVENT), vector = EVENT_VECTOR(info);

	if (EVENT_TYPE(info) == EVENT_NMI)
		return exit_nmi(cpu, v);
	if (unlikely(info & EVENT_NMI_UNBLOCKED))
		nmi_block_again(v);
	switch (vector) {
	case VECTOR_DB: return exit_db(cpu, v);
	case VECTOR_BP: return exit_debug(v, VECTOR_BP, DR6_RESET);	/* the VMM's own breakpoint */
	case VECTOR_UD: return exit_ud(v);
	case VECTOR_MC: return exit_attention(cpu, v, ATTENTION_MC);	/* the machine's, not the guest's */
	default: queue_exception(v, vector, vector == VECTOR_AC, 0); return 0;
	}
}

/* KVM's suberrors: KVM_INTERNAL_ERROR_EMULATION, and for an exit that it cannot name KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON. */
#define INTERNAL_EMULATION 1
#define INTERNAL_UNEXPECTED 4

/* Exits always; nobody does it, and the answer is that of KVM's emulator when it fails. */
static int exit_task_switch(struct cpu *cpu, struct vcpu *v)
{
	(void)cpu;
	exit_common(v, EXIT_INTERNAL);
	v->page->out.data = INTERNAL_EMULATION;
	v->page->out.qual_count = 0;
	return 1;
}

static const struct {
	exit_fn fn;
	u32 stat;
} exits[REASON_COUNT] = {
	[REASON_EXCEPTION_NMI] = { exit_exception, EXIT_EXCEPTION },
	[REASON_INTR] = { exit_interrupt, EXIT_INTR },
	[REASON_TRIPLE_FAULT] = { exit_shutdown, EXIT_SHUTDOWN },
	[REASON_INIT] = { exit_interrupt, EXIT_INTR },
	[REASON_TASK_SWITCH] = { exit_task_switch, EXIT_OTHER },
	[REASON_INTR_WINDOW] = { exit_intr_window, EXIT_IRQ_WINDOW },
	[REASON_NMI_WINDOW] = { exit_nmi_window, EXIT_OTHER },
	[REASON_TPR_BELOW] = { exit_nmi_window, EXIT_CR },
	[REASON_CPUID] = { exit_cpuid, EXIT_CPUID },
	[REASON_GETSEC] = { exit_undefined, EXIT_OTHER },
	[REASON_HLT] = { exit_hlt, EXIT_HLT },
	[REASON_INVD] = { exit_skip, EXIT_OTHER },
	[REASON_RDPMC] = { exit_gp, EXIT_OTHER },
	[REASON_VMCALL] = { exit_vmcall, EXIT_HYPERCALL },
	[REASON_VMCLEAR ... REASON_VMXON] = { exit_undefined, EXIT_OTHER },
	[REASON_CR] = { exit_cr, EXIT_CR },
	[REASON_DR] = { exit_dr, EXIT_DR },
	[REASON_IO] = { exit_io, EXIT_IO },
	[REASON_RDMSR] = { exit_rdmsr, EXIT_MSR },
	[REASON_WRMSR] = { exit_wrmsr, EXIT_MSR },
	[REASON_MWAIT] = { exit_monitor, EXIT_OTHER },
	[REASON_MONITOR] = { exit_monitor, EXIT_OTHER },
	[REASON_EPT_VIOLATION] = { exit_ept, EXIT_FAULT },
	[REASON_INVEPT] = { exit_undefined, EXIT_OTHER },
	[REASON_TIMER] = { exit_interrupt, EXIT_INTR },
	[REASON_INVVPID] = { exit_undefined, EXIT_OTHER },
	[REASON_WBINVD] = { exit_skip, EXIT_OTHER },
	[REASON_XSETBV] = { exit_xsetbv, EXIT_OTHER },
};

static int exit_unknown(struct vcpu *v, u32 reason)
{
	struct exit_state *x = &v->page->out;

	exit_common(v, EXIT_INTERNAL);
	x->data = INTERNAL_UNEXPECTED;
	x->qual[0] = reason;
	x->qual[1] = v->cpu;
	x->qual_count = 2;
	return 1;
}

/* reason: of the exit, or the instruction's error number (31.4). */
static int exit_refused(struct vcpu *v, u32 reason)
{
	events_cancel(v);
	exit_common(v, EXIT_FAIL_ENTRY);
	v->page->out.data = reason;
	return 1;
}

/* 0: enter again, 1: for the driver. */
static int dispatch_exit(struct cpu *cpu, struct vcpu *v, u32 reason)
{
	if (likely(reason < REASON_COUNT && exits[reason].fn)) {
		v->exits[exits[reason].stat]++;
		return exits[reason].fn(cpu, v);
	}
	v->exits[EXIT_OTHER]++;
	return exit_unknown(v, reason);
}

static int guest_enter(struct cpu *cpu, struct vcpu *v)
{
	struct vmx_vcpu *x = v->arch.vmx;
	u32 special, reason, info;
	int result;

	if (unlikely(v->arch.work))
		event_in(v);
	if (x->dirty)
		vmx_slots_out(v);
	special = v->arch.work | v->arch.events.nmi_masked;
	tlb_in(cpu, v);
	result = vmx_enter(&v->arch.regs, x->launched, &cpu->attention);
	WRITE_ONCE(v->in_guest, 0);
	if (unlikely(result == ENTER_ATTENTION))
		return exit_aborted(cpu, v);
	reason = (u32)vmread(result ? VMCS_INSTRUCTION_ERROR : VMCS_EXIT_REASON);
	if (unlikely(result || (reason & REASON_FAILED)))
		return exit_refused(v, reason);
	x->launched = 1;
	x->known = 0;
	info = (u32)vmread(VMCS_VECTORING);
	if (unlikely((info & EVENT_VALID) || special)) {
		if (v->arch.events.nmi_masked)
			v->arch.events.nmi_masked = vmread(VMCS_GUEST_INTERRUPTIBILITY) >> 3 & 1;
		event_out(v, info | (info & EVENT_ERROR ? vmread(VMCS_VECTORING_ERROR) << 32 : 0));
	}
	return dispatch_exit(cpu, v, reason);
}

void vmx_guest_run(struct cpu *cpu, struct vcpu *v)
{
	while (!guest_enter(cpu, v))
		;
}
