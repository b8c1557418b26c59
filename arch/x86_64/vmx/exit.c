/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exit.c - one stay of a user vCPU in its guest on VMX: what goes in (events,
 * VPID), a table of what to do with each exit, and the switch between the service
 * VM's state and the guest's around it.
 *
 * What both backends handle alike is in exits.h.
 * Called by: guest/run.c. Calls: guest/ (events, CPUID).
 * See: SDM vol. 3, 27.6 (event injection), 28.2 (exit information), 29.4 (TLB), appendix C (exit reasons).
 */
#include <string.h>
#include "vmx.h"
#include "switch.h"
#include "log.h"

/* ---- what exits.h asks for ---- */

static inline u64 *guest_rax(struct vcpu *v) { return &v->arch.regs.rax; }
static inline u64 guest_rip(struct vcpu *v) { return vmread(VMCS_GUEST_RIP); }
static inline u64 guest_rflags(struct vcpu *v) { return vmread(VMCS_GUEST_RFLAGS); }
static inline u64 guest_cs_base(struct vcpu *v) { return vmread(VMCS_GUEST_BASE + 2 * VSEG_CS); }
static inline u64 guest_cr8(struct vcpu *v) { return v->arch.vmx->apic[APIC_TPR] >> 4; }
static inline u32 guest_cpl(struct vcpu *v) { return vmx_cpl(); }
static inline u64 guest_shadow(struct vcpu *v) { return !!(vmread(VMCS_GUEST_INTERRUPTIBILITY) & BLOCKED_SHADOW); }

static inline void guest_set_rip(struct vcpu *v, u64 rip) { vmwrite(VMCS_GUEST_RIP, rip); }
static inline void guest_set_cr8(struct vcpu *v, u64 cr8) { v->arch.vmx->apic[APIC_TPR] = (u8)(cr8 << 4); }

static inline void guest_set_shadow(struct vcpu *v, u32 on)
{
	if (unlikely(on || guest_shadow(v)))
		vmx_shadow_set(v, on);
}

static inline int guest_wide(struct vcpu *v)
{
	return (vmread(VMCS_GUEST_EFER) & EFER_LMA) && (vmread(VMCS_GUEST_RIGHTS + 2 * VSEG_CS) & RIGHTS_LONG);
}

static inline u64 guest_next_rip(struct vcpu *v, u32 length)
{
	return vmx_next_rip();
}

static inline void guest_skip(struct vcpu *v, u32 length)
{
	vmx_skip();
}

/* VMX gives no instruction bytes. */
static inline void guest_full(struct vcpu *v, struct exit_state *x)
{
	u32 i;

	vmx_get_regs(v, &x->regs);
	x->cr0 = vmread(VMCS_GUEST_CR0);
	asm volatile("mov %%cr2, %0" : "=r"(x->cr2));
	x->cr3 = vmread(VMCS_GUEST_CR3);
	x->cr4 = vmx_cr4();
	x->efer = vmread(VMCS_GUEST_EFER);
	for (i = 0; i < ARRAY_SIZE(x->seg); i++)
		x->seg[i] = vmx_segment(i);
}

/*
 * Guest-physical translations are tagged by the tables' root alone (29.4.1): they
 * outlive a VPID, and a VM whose root page another VM had before.
 */
static inline void guest_tag(struct vcpu *v, u32 tag, int all)
{
	invept(INVALIDATE_SINGLE, vmx_eptp(v->vm->pt.root));
	if (all)
		invvpid_all();
	vmwrite(VMCS_VPID, tag);
}

#include "exits.h"

/* ---- events: order and re-injection are guest/event.c's ---- */

/* An exception has no error code in real mode (27.2.1.3). */
void vmx_event_inject(struct vcpu *v, u64 event)
{
	u32 info = (u32)event;

	/* A monitor trap, which only the driver can have put there, is no event of a guest's (25.8.3); Bochs 2.7 ends itself. */
	if (unlikely(EVENT_TYPE(info) == EVENT_OTHER))
		return;
	if (EVENT_TYPE(info) == EVENT_NMI) {
		vmx_nmi_block(v, 0);	/* the entry sets it, and wants it clear before (27.3.1.5) */
		v->arch.events.nmi_masked = 1;
	}
	if ((info & EVENT_ERROR) && !(vmread(VMCS_GUEST_CR0) & CR0_PE))
		info &= ~EVENT_ERROR;
	if (info & EVENT_ERROR)
		vmwrite(VMCS_ENTRY_ERROR, event >> 32);
	vmwrite(VMCS_ENTRY_EVENT, info);
}

/* The processor refuses what the guest could not take (27.3.1.4). */
u32 vmx_event_blocked(struct vcpu *v)
{
	return (guest_shadow(v) ? BLOCKED_BY_SHADOW : 0) | (guest_rflags(v) & RFLAGS_IF ? 0 : BLOCKED_BY_IF) |
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
	u64 rflags = vmread(VMCS_GUEST_RFLAGS);

	vmwrite(VMCS_GUEST_PENDING_DEBUG, vmread(VMCS_GUEST_PENDING_DEBUG) & ~(u64)PENDING_STEP);
	vmwrite(VMCS_GUEST_RFLAGS, on ? rflags | RFLAGS_TF : rflags & ~RFLAGS_TF);
	v->arch.vmx->unfit |= UNFIT_SHADOW;
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
	if (!(vmread(VMCS_VECTORING) & EVENT_VALID))
		vmx_nmi_block(v, 1);
}

/* ---- exits ---- */

/* Instructions number the registers otherwise than struct gprs. */
static u64 gpr(const struct vcpu *v, u32 number)
{
	static const u8 order[8] = { 0, 2, 3, 1, 6, 7, 4, 5 };

	return (&v->arch.regs.rax)[number < 8 ? order[number] : number];
}

/* MOV to CR0 that changes a bit of ours: shown as written, then the instruction runs again, without an exit. */
static int exit_cr0(struct vcpu *v, u64 q)
{
	u64 value = CR_REGISTER(q) == 4 ? vmread(VMCS_GUEST_RSP) : gpr(v, CR_REGISTER(q));

	if ((value & CR0_NW) && !(value & CR0_CD))
		return exit_gp(NULL, v);
	vmwrite(VMCS_CR0_SHADOW, value);
	return 0;
}

/* Unlike an interrupt, an NMI, a machine check and an INIT are gone from the processor with the exit. */
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

/* INIT is the service VM's: a CPU of it is taken away. */
static int exit_init(struct cpu *cpu, struct vcpu *v)
{
	return exit_attention(cpu, v, ATTENTION_INIT);
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
	return event_window_open(v) ? exit_common(v, EXIT_IRQ_WINDOW) : 0;
}

/* NMIs, or CR8 below the threshold. */
static int exit_nmi_window(struct cpu *cpu, struct vcpu *v)
{
	v->arch.work = 1;
	return 0;
}

/* The guest has ended an interrupt whose end the driver is to know; RIP is behind it (30.1.4). */
static int exit_eoi(struct cpu *cpu, struct vcpu *v)
{
	v->page->out.data = (u8)vmread(VMCS_QUALIFICATION);
	return exit_common(v, EXIT_EOI);
}

/* The processor delivers no virtual interrupt at a HLT that exits: one that it would take ends the HLT. */
static int exit_halt(struct cpu *cpu, struct vcpu *v)
{
	if (v->arch.apicv)
		v->arch.vector_waits = (vmread(VMCS_INTERRUPT_STATUS) & 0xf0) > (LAPIC_REG(v->arch.lapic, LAPIC_PPR) & 0xf0);
	return exit_hlt(cpu, v);
}

/* CR8: the driver's. CR4: what CPUID decides, too. */
static int exit_cr(struct cpu *cpu, struct vcpu *v)
{
	u64 q = vmread(VMCS_QUALIFICATION);

	return CR_NUMBER(q) ? exit_emulate(cpu, v) : exit_cr0(v, q);
}

static int exit_io(struct cpu *cpu, struct vcpu *v)
{
	u64 q = vmread(VMCS_QUALIFICATION);

	if (q & IO_STRING)
		return exit_emulate(cpu, v);
	return exit_port(v, IO_PORT(q), IO_SIZE(q), !(q & IO_IN), guest_next_rip(v, 0));
}

static int exit_rdmsr(struct cpu *cpu, struct vcpu *v)
{
	return exit_register(v, 0);
}

static int exit_wrmsr(struct cpu *cpu, struct vcpu *v)
{
	return exit_register(v, 1);
}

static int exit_ept(struct cpu *cpu, struct vcpu *v)
{
	u64 q = vmread(VMCS_QUALIFICATION);

	exit_full(v, EXIT_FAULT, 0);
	v->page->out.gpa = vmread(VMCS_GUEST_PHYSICAL);
	v->page->out.error = FAULT_USER | (q & EPTQ_PRESENT ? FAULT_PRESENT : 0) | (q & EPTQ_WRITE ? FAULT_WRITE : 0) |
		(q & EPTQ_FETCH ? FAULT_FETCH : 0) | ((q & (EPTQ_LINEAR | EPTQ_FINAL)) == EPTQ_LINEAR ? FAULT_TABLE : 0);
	if (unlikely(q & EPTQ_NMI_UNBLOCKED))
		nmi_block_again(v);
	return 1;
}

/* No room to log a write: it has not happened, nor has the delivery or the IRET that it is part of (28.2.3, 28.2.4). */
static int exit_log_full(struct cpu *cpu, struct vcpu *v)
{
	if (unlikely(vmread(VMCS_QUALIFICATION) & EPTQ_NMI_UNBLOCKED))
		nmi_block_again(v);
	return exit_common(v, EXIT_LOG);
}

/*
 * The exit leaves DR6 and DR7 as they were, its qualification says what a
 * delivery would set in DR6 (28.2.1): B0 to B3, BD, BS. DR7.GD would go.
 */
static int exit_db(struct cpu *cpu, struct vcpu *v)
{
	u64 *dr6 = &v->arch.vmx->slot[SLOT_DR6], why = vmread(VMCS_QUALIFICATION) & 0x600f;

	if (v->arch.debug & (STATE_DEBUG_STEP | STATE_DEBUG_DR))
		return exit_debug(v, VECTOR_DB, DR6_RESET | why, vmread(VMCS_GUEST_DR7));
	if (v->arch.dr_live)
		asm volatile("mov %%db6, %0" : "=r"(*dr6));
	*dr6 = (*dr6 & ~0xfull) | why;
	if (v->arch.dr_live)
		asm volatile("mov %0, %%db6" : : "r"(*dr6));
	vmwrite(VMCS_GUEST_DR7, vmread(VMCS_GUEST_DR7) & ~(1ull << 13));
	return exit_reflect(cpu, v, VECTOR_DB, 0);
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
	case VECTOR_BP: return exit_debug(v, VECTOR_BP, DR6_RESET, vmread(VMCS_GUEST_DR7));	/* the VMM's own breakpoint */
	case VECTOR_UD: return exit_ud(cpu, v);
	case VECTOR_MC: return exit_attention(cpu, v, ATTENTION_MC);	/* the machine's, not the guest's */
	default: return exit_reflect(cpu, v, vector, vector == VECTOR_AC);
	}
}

/* Exits always, before the switch: what the processor has not checked is the driver's (26.4.2). */
static int exit_task_switch(struct cpu *cpu, struct vcpu *v)
{
	struct exit_state *x = &v->page->out;

	x->qual[0] = vmread(VMCS_VECTORING) | vmread(VMCS_VECTORING_ERROR) << 32;
	x->next_rip = guest_next_rip(v, 0);
	return exit_full(v, EXIT_TASK, vmread(VMCS_QUALIFICATION));
}

/* The deadline, or the backstop. A deadline ends one stay: if it was early, the driver says so again. */
static int exit_timer(struct cpu *cpu, struct vcpu *v)
{
	v->arch.vmx->deadline = 0;
	v->arch.vmx->unfit |= UNFIT_DEADLINE;
	return exit_interrupt(cpu, v);
}

static const struct exit_row exits[REASON_COUNT] = {
	[REASON_EXCEPTION_NMI] = { exit_exception, EXIT_EXCEPTION },
	[REASON_INTR] = { exit_interrupt, EXIT_INTR },
	[REASON_TRIPLE_FAULT] = { exit_shutdown, EXIT_SHUTDOWN },
	[REASON_INIT] = { exit_init, EXIT_INTR },
	[REASON_TASK_SWITCH] = { exit_task_switch, EXIT_TASK },
	[REASON_INTR_WINDOW] = { exit_intr_window, EXIT_IRQ_WINDOW },
	[REASON_NMI_WINDOW] = { exit_nmi_window, EXIT_OTHER },
	[REASON_TPR_BELOW] = { exit_nmi_window, EXIT_CR },
	[REASON_CPUID] = { exit_cpuid, EXIT_CPUID },
	[REASON_GETSEC] = { exit_undefined, EXIT_OTHER },
	[REASON_HLT] = { exit_halt, EXIT_HLT },
	[REASON_INVD] = { exit_skip2, EXIT_OTHER },
	[REASON_RDPMC] = { exit_gp, EXIT_OTHER },
	[REASON_VMCALL] = { exit_hypercall, EXIT_HYPERCALL },
	[REASON_VMCLEAR ... REASON_VMXON] = { exit_undefined, EXIT_OTHER },
	[REASON_CR] = { exit_cr, EXIT_CR },
	[REASON_DR] = { exit_emulate, EXIT_DR },
	[REASON_IO] = { exit_io, EXIT_IO },
	[REASON_RDMSR] = { exit_rdmsr, EXIT_MSR },
	[REASON_WRMSR] = { exit_wrmsr, EXIT_MSR },
	[REASON_MWAIT] = { exit_monitor, EXIT_OTHER },
	[REASON_MONITOR] = { exit_monitor, EXIT_OTHER },
	[REASON_EOI] = { exit_eoi, EXIT_EOI },
	[REASON_EPT_VIOLATION] = { exit_ept, EXIT_FAULT },
	[REASON_INVEPT] = { exit_undefined, EXIT_OTHER },
	[REASON_TIMER] = { exit_timer, EXIT_INTR },
	[REASON_INVVPID] = { exit_undefined, EXIT_OTHER },
	[REASON_WBINVD] = { exit_skip2, EXIT_OTHER },
	[REASON_XSETBV] = { exit_xsetbv, EXIT_OTHER },
	[REASON_LOG_FULL] = { exit_log_full, EXIT_LOG },
};

/* 0: enter again, 1: for the driver. */
static int dispatch_exit(struct cpu *cpu, struct vcpu *v, u64 reason)
{
	if (likely(reason < REASON_COUNT && exits[reason].fn)) {
		v->page->exits[exits[reason].stat]++;
		return exits[reason].fn(cpu, v);
	}
	v->page->exits[EXIT_OTHER]++;
	return exit_unknown(v, reason);
}

/* The guest was not entered: an NMI just before, or the state is not what an entry takes (31.4, 27.8). */
static NOINLINE int exit_not_entered(struct cpu *cpu, struct vcpu *v, int result)
{
	if (result == ENTER_ATTENTION)
		return exit_aborted(cpu, v);
	events_cancel(v);
	return exit_refused(v, vmread(result ? VMCS_INSTRUCTION_ERROR : VMCS_EXIT_REASON));
}

/* The stay ends at the driver's deadline, or at the backstop. Rounded up, so as not to be early; 0 ends it at once (26.5.1). */
static NOINLINE void deadline_in(u64 deadline)
{
	u64 now = rdtsc(), ticks = deadline > now ? ((deadline - now) >> vmx_timer_shift) + 1 : 0;

	vmwrite(VMCS_PREEMPTION_TIMER, deadline ? min_u64(ticks, vmx_timer_ticks) : vmx_timer_ticks);
}

static NOINLINE void deadline_take(struct vcpu *v)
{
	struct vmx_vcpu *x = v->arch.vmx;

	if (!(vmx_guest_controls.pin & PIN_TIMER))
		return;
	x->deadline = READ_ONCE(v->page->in.deadline);
	x->unfit |= UNFIT_DEADLINE;
}

/* Before an entry: what vmx_shadow_fit() is for, and the time to the deadline, anew each time. */
static NOINLINE void entry_fit(struct vcpu *v)
{
	struct vmx_vcpu *x = v->arch.vmx;

	if (x->unfit & UNFIT_SHADOW)
		vmx_shadow_fit(v);
	if (x->unfit & UNFIT_DEADLINE)
		deadline_in(x->deadline);
	x->unfit = x->deadline ? UNFIT_DEADLINE : 0;
}

static inline int guest_enter(struct cpu *cpu, struct vcpu *v)
{
	struct vmx_vcpu *x = v->arch.vmx;
	u64 reason;
	int result;
	u32 info;

	/* No address in it is worth a stack slot over the switch, which keeps only this register. */
	asm("" : "+b"(v));
	if (unlikely(v->arch.work))
		event_in(v);
	if (unlikely(x->unfit))
		entry_fit(v);
	tlb_in(cpu, v);
	result = vmx_enter(&v->arch.regs, &x->launched, &cpu->attention);
	WRITE_ONCE(v->in_guest, 0);
	if (unlikely(result))
		return exit_not_entered(cpu, v, result);
	reason = vmread(VMCS_EXIT_REASON);
	if (unlikely(reason & REASON_FAILED))
		return exit_not_entered(cpu, v, 0);
	v->arch.vmx->launched = 1;
	info = (u32)vmread(VMCS_VECTORING);
	/* Both as they were before the entry. */
	if (unlikely((info & EVENT_VALID) || v->arch.work || v->arch.events.nmi_masked)) {
		if (v->arch.events.nmi_masked)
			v->arch.events.nmi_masked = vmread(VMCS_GUEST_INTERRUPTIBILITY) >> 3 & 1;
		event_out(v, info | (info & EVENT_ERROR ? vmread(VMCS_VECTORING_ERROR) << 32 : 0));
	}
	return dispatch_exit(cpu, v, reason);
}

/* ---- in and out ---- */

#define MSR_FLUSH_CMD 0x10b

/* Written only where they differ: two Linux kernels of one build have most of them in common. */
static inline void syscall_msrs(const u64 *from, const u64 *to)
{
	u32 i;

#pragma GCC unroll 4
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

/* A guest's x2APIC is the processor's affair where it can be; an xAPIC's page is the driver's (30.1 to 30.5). */
static void apicv_load(struct vcpu *v, const struct lapic_page *p)
{
	u32 mode = READ_ONCE(p->mode), on, i;

	if (likely(!(mode & LAPIC_MODE_X2) && !v->arch.apicv))
		return;
	on = (mode & (LAPIC_MODE_ON | LAPIC_MODE_X2)) == (LAPIC_MODE_ON | LAPIC_MODE_X2);
	if (unlikely(on != v->arch.apicv)) {
		v->arch.apicv = on;
		v->arch.work = 1;
		vmx_proc2_set(v, vmx_apicv, on ? vmx_apicv : 0);
		vmwrite(VMCS_MSR_BITMAP, on ? vmx_apicv_msr_bitmap_pa : vmx_guest_msr_bitmap_pa);
	}
	for (i = 0; on && i < 4; i++)
		vmwrite(VMCS_EOI_EXIT + 2 * i, READ_ONCE(p->eoi_exit[2 * i]) | (u64)READ_ONCE(p->eoi_exit[2 * i + 1]) << 32);
}

/*
 * The log of writes, where the driver asks for it. The dirty flags are on as long as it is, and not before: with them the
 * processor's walks of the guest's tables count as writes (29.3.3.2). Translations made without them go.
 */
static void log_load(struct vcpu *v)
{
	u32 on = READ_ONCE(v->page->in.log) ? PROC2_PML : 0;

	if (unlikely(on != (v->arch.vmx->proc2 & PROC2_PML))) {
		vmx_proc2_set(v, PROC2_PML, on);
		vmwrite(VMCS_EPTP, vmx_eptp(v->vm->pt.root) | (on ? EPTP_FLAGS : 0));
		v->arch.asid_generation = 0;
	}
	if (on)
		vmwrite(VMCS_PML_INDEX, LOG_ENTRIES - 1);
}

/* The index counts down, to -1 (29.3.6). */
static void log_unload(struct vcpu *v)
{
	v->page->out.logged = LOG_ENTRIES - 1 - (u32)(s16)vmread(VMCS_PML_INDEX);
}

static NOINLINE void extra_load(struct cpu *cpu, struct vcpu *v)
{
	struct vmx_vcpu *x = v->arch.vmx;

	if (x->extra & EXTRA_LOG)
		log_load(v);
	if (x->extra & EXTRA_DR) {
		dr_swap(cpu->dr, v->arch.dr);
		dr6_swap(&cpu->dr6, &x->slot[SLOT_DR6]);
	}
}

static NOINLINE void extra_unload(struct cpu *cpu, struct vcpu *v)
{
	struct vmx_vcpu *x = v->arch.vmx;

	if (x->extra & EXTRA_DR) {
		dr6_swap(&x->slot[SLOT_DR6], &cpu->dr6);
		dr_swap(v->arch.dr, cpu->dr);
	}
	if (x->proc2 & PROC2_PML)
		log_unload(v);
}

static inline void load(struct cpu *cpu, struct vcpu *v)
{
	struct vmx_vcpu *x = v->arch.vmx;

	if (vmx_apicv && v->arch.lapic)
		apicv_load(v, v->arch.lapic);
	fpu_load(cpu, v);
	if (unlikely(x->extra))
		extra_load(cpu, v);
	if (v->arch.tsc_aux != cpu->tsc_aux)
		wrmsr(MSR_TSC_AUX, v->arch.tsc_aux);
	msr_swap(MSR_KERNEL_GS_BASE, &cpu->kernel_gs_base, &x->slot[SLOT_KERNEL_GS_BASE]);
	syscall_msrs(cpu->syscall_msr, &x->slot[SLOT_STAR]);
	cr2_swap(&cpu->cr2, &x->slot[SLOT_CR2]);
	predictor_switch(cpu, v);
	if (vmx_flushes)
		domain_flush();
}

static inline void unload(struct cpu *cpu, struct vcpu *v)
{
	struct vmx_vcpu *x = v->arch.vmx;

	cr2_swap(&x->slot[SLOT_CR2], &cpu->cr2);
	syscall_msrs(&x->slot[SLOT_STAR], cpu->syscall_msr);
	msr_swap(MSR_KERNEL_GS_BASE, &x->slot[SLOT_KERNEL_GS_BASE], &cpu->kernel_gs_base);
	if (v->arch.tsc_aux != cpu->tsc_aux)
		wrmsr(MSR_TSC_AUX, cpu->tsc_aux);
	if (unlikely(x->extra))
		extra_unload(cpu, v);
	fpu_unload(cpu, v);
}

int vmx_run(struct cpu *cpu, struct vcpu *v)
{
	vmptrld(v->arch.vmcb_pa);
	if (unlikely(resume(v) & RESUME_DEADLINE))
		deadline_take(v);
	load(cpu, v);
	while (!guest_enter(cpu, v))
		;
	unload(cpu, v);
	vmptrld(cpu->vmcb_pa);
	return 0;
}
