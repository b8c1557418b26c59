/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * service.c - the service VM on VMX: its run loop, how its CPUs wait and start, and its few exits.
 *
 * Invariant: its VMCS is current whenever the hypervisor works for it; a user
 * vCPU's is so only in vmx_run(), or during one operation on it.
 * Interrupts do not exit: they reach the service VM without us.
 * Called by: boot (once per CPU, never returns). Calls: ring.c, guest/.
 * See: SDM vol. 3, 26.1 (instructions that exit), 26.3 (changes in VMX non-root), 28.2 (exit information).
 */
#include "vmx.h"

/* ---- what service_exits.h asks for ---- */

static inline u64 *service_rax(struct cpu *cpu) { return &cpu->regs.rax; }
static inline u64 service_cr4(struct cpu *cpu) { return vmread(VMCS_GUEST_CR4); }
static inline u64 service_rflags(struct cpu *cpu) { return vmread(VMCS_GUEST_RFLAGS); }
static inline u32 service_cpl(struct cpu *cpu) { return vmx_cpl(); }
static inline void service_skip(struct cpu *cpu, u32 length) { vmx_skip(); }

/* In real mode an exception pushes no error code, and the entry would be refused (27.2.1.3). */
static void service_inject(struct cpu *cpu, u32 vector, u32 type, int has_error)
{
	u64 error = has_error && (vmread(VMCS_GUEST_CR0) & CR0_PE) ? EVENT_ERROR : 0;

	vmwrite(VMCS_ENTRY_EVENT, EVENT_VALID | type << 8 | vector | error);
	vmwrite(VMCS_ENTRY_ERROR, 0);
}

static void service_gp(struct cpu *cpu) { service_inject(cpu, VECTOR_GP, EVENT_EXCEPTION, 1); }

/* MWAIT as HLT. */
static void service_sleep(struct cpu *cpu, int exits)
{
	u64 proc = vmread(VMCS_PROC);

	vmwrite(VMCS_PROC, exits ? proc | PROC_HLT | PROC_MWAIT : proc & ~(u64)(PROC_HLT | PROC_MWAIT));
}

#include "service_exits.h"

/* What of the MSRs exits, but for those of SYSCALL; EFER does not: there is no bit of ours in it. */
const struct service_msr vmx_service_msrs[] = {
	{ 0x1b, 0x1b, SMSR_WRITE, SMSR_APIC_BASE },
	{ 0x33, 0x33, SMSR_WRITE, SMSR_DENIED },			/* TEST_CTRL: a guest's split lock would be its #AC */
	{ 0x3a, 0x3a, SMSR_READ | SMSR_WRITE, SMSR_HIDDEN },		/* FEATURE_CONTROL */
	{ 0x79, 0x79, SMSR_WRITE, SMSR_IGNORED },			/* microcode update */
	{ 0x1a0, 0x1a0, SMSR_WRITE, SMSR_XD },
	{ 0x200, 0x21f, SMSR_WRITE, SMSR_MTRR },
	{ 0x2ff, 0x2ff, SMSR_WRITE, SMSR_MTRR },
	{ 0x3f1, 0x3f1, SMSR_WRITE, SMSR_DENIED },			/* PEBS writes through the tables of who runs when it is due, ... */
	{ 0x480, 0x493, SMSR_READ | SMSR_WRITE, SMSR_DENIED },		/* VMX capabilities */
	{ 0x560, 0x561, SMSR_READ | SMSR_WRITE, SMSR_DENIED },		/* Processor Trace writes to physical addresses */
	{ 0x570, 0x571, SMSR_READ | SMSR_WRITE, SMSR_DENIED },
	{ 0x600, 0x600, SMSR_WRITE, SMSR_DENIED },			/* ... to the debug store area: the hypervisor's own, too */
	{ 0xda0, 0xda0, SMSR_WRITE, SMSR_XSS },
	{ 0x17d0, 0x17d1, SMSR_WRITE, SMSR_DENIED },			/* the hardware feedback table: any physical address */
	{ 0xc0000103, 0xc0000103, SMSR_WRITE, SMSR_TSC_AUX },
	{ 0 }
};

static void service_rdmsr(struct cpu *cpu)
{
	u64 value;

	if (service_msr_read(cpu, (u32)cpu->regs.rcx, &value, 0)) {
		service_gp(cpu);
		return;
	}
	cpu->regs.rax = (u32)value;
	cpu->regs.rdx = value >> 32;
	vmx_skip();
}

/* Noted, so that switching to a user VM needs no RDMSR. */
static int syscall_write(struct cpu *cpu, u32 msr, u64 value)
{
	if (msr_try_write(msr, value))
		return 1;
	cpu->syscall_msr[msr - MSR_STAR] = value;
	return 0;
}

static void service_wrmsr(struct cpu *cpu)
{
	u64 value = (u32)cpu->regs.rax | cpu->regs.rdx << 32;
	u32 msr = (u32)cpu->regs.rcx;

	if (msr - MSR_STAR < 4 ? syscall_write(cpu, msr, value) : service_msr_write(cpu, msr, value, NULL))
		service_gp(cpu);
	else
		vmx_skip();
}

/*
 * The bits that VMX wants set differ from what the guest wrote: it is shown its
 * value, and the instruction runs again, now without an exit (26.3: a masked bit
 * that equals its shadow). VMX itself is not there: CR4.VMXE is #GP.
 */
static void service_cr(struct cpu *cpu)
{
	if (CR_NUMBER(vmread(VMCS_QUALIFICATION)) == 0)
		vmwrite(VMCS_CR0_SHADOW, vmread(VMCS_CR0_SHADOW) ^ CR0_NE);
	else
		service_gp(cpu);
}

static void service_ept(struct cpu *cpu)
{
	u64 q = vmread(VMCS_QUALIFICATION), event = vmread(VMCS_VECTORING);

	/* The IRET that faulted has ended NMI blocking already: it will run again (28.2.3). */
	if ((q & EPTQ_NMI_UNBLOCKED) && !(event & EVENT_VALID))
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY, vmread(VMCS_GUEST_INTERRUPTIBILITY) | BLOCKED_NMI);
	service_touch(cpu, vmread(VMCS_GUEST_PHYSICAL), event);
}

static void nmi_window(int on)
{
	u64 proc = vmread(VMCS_PROC);

	vmwrite(VMCS_PROC, on ? proc | PROC_NMI_WINDOW : proc & ~(u64)PROC_NMI_WINDOW);
}

/*
 * A CPU that was not started yet, is off line, or got an INIT: until a start-up IPI exits, with its vector (26.2).
 * All else is held off in that state, our kicks too: in_service stays 0.
 */
void vmx_service_wait(struct cpu *cpu)
{
	int result;

	vcpu_take(cpu, 0);
	if (cpu->state == CPU_ABSENT)
		vmx_service_init(cpu, NULL);
	else
		vmx_service_init_state(cpu);
	WRITE_ONCE(cpu->state, CPU_WAITING);
	do {
		result = vmx_enter(&cpu->regs, &cpu->launched, &cpu->attention);
		if (result == ENTER_REFUSED)
			vmx_failed("the entry of a CPU that waits for its start", cpu->vmcb_pa);
		if (!result) {
			cpu->launched = 1;
		} else {	/* an NMI: to a bare CPU in this state it would not come either */
			__atomic_store_n(&cpu->attention, 0, __ATOMIC_RELAXED);
			vmx_kick_taken(cpu);
		}
	} while (result || vmread(VMCS_EXIT_REASON) != REASON_SIPI);
	vmwrite(VMCS_GUEST_ACTIVITY, 0);
	vmwrite(VMCS_GUEST_SELECTOR + 2 * VSEG_CS, (vmread(VMCS_QUALIFICATION) & 0xff) << 8);
	vmwrite(VMCS_GUEST_BASE + 2 * VSEG_CS, (vmread(VMCS_QUALIFICATION) & 0xff) << 12);
	WRITE_ONCE(cpu->state, CPU_SERVICE);
}

/*
 * INIT exits, changes nothing (26.2), and is held off in VMX root. The boot CPU's is a reset of the machine: so
 * some chipsets answer the keyboard controller's. One that was held off behind the SIPI finds the CPU at its
 * start still.
 */
static void service_init_signal(struct cpu *cpu)
{
	if (rdmsr(MSR_APIC_BASE) & APIC_BASE_BOOT)
		service_reset(cpu);
	if (vmread(VMCS_GUEST_RIP) || vmread(VMCS_GUEST_CR0) & CR0_PE)
		vmx_service_wait(cpu);
}

/* What came for the service VM while it did not run. One kick of ours is consumed; any other NMI goes on to Linux. */
static void service_attention(struct cpu *cpu)
{
	u32 what = __atomic_exchange_n(&cpu->attention, 0, __ATOMIC_ACQ_REL);

	if ((what & ATTENTION_NMI) && vmx_kick_taken(cpu))
		what &= ~ATTENTION_NMI;
	if (what & ATTENTION_INIT)
		service_init_signal(cpu);
	else if (what & ATTENTION_MC)
		service_inject(cpu, VECTOR_MC, EVENT_EXCEPTION, 0);
	else if (!what)
		return;
	else if ((vmread(VMCS_ENTRY_EVENT) & EVENT_VALID) ||
		 (vmread(VMCS_GUEST_INTERRUPTIBILITY) & (BLOCKED_NMI | BLOCKED_SHADOW)))
		nmi_window(1);
	else
		service_inject(cpu, VECTOR_NMI, EVENT_NMI, 0);
}

static void service_nmi(struct cpu *cpu)
{
	__atomic_fetch_or(&cpu->attention, ATTENTION_NMI, __ATOMIC_RELAXED);
	vmx_nmi_unblock();
	service_attention(cpu);
}

static void service_nmi_window(struct cpu *cpu)
{
	nmi_window(0);
	service_inject(cpu, VECTOR_NMI, EVENT_NMI, 0);
}

/* One that wakes for interrupts in spite of IF = 0 (ECX bit 0) is idle, not dead. */
static void service_mwait(struct cpu *cpu)
{
	if (cpu->regs.rcx & 1)
		service_sleep(cpu, 0);
	else
		service_hlt(cpu);
}

/* Exits always. Checked, so that it cannot fault here: CPUID 0xd says what the machine has. */
static void service_xsetbv(struct cpu *cpu)
{
	u64 value = (u32)cpu->regs.rax | cpu->regs.rdx << 32;
	struct cpuid c = cpuid(0xd, 0);

	if (vmx_cpl() || (u32)cpu->regs.rcx || !fpu_mask || !fpu_xcr0_valid(value, c.eax | (u64)c.edx << 32)) {
		service_gp(cpu);
		return;
	}
	xsetbv(value);
	vmx_skip();
}

static const struct service_row service_exits[REASON_COUNT] = {
	[REASON_EXCEPTION_NMI] = { service_nmi, EXIT_NMI },
	[REASON_TRIPLE_FAULT] = { service_reset, EXIT_SHUTDOWN },
	[REASON_INIT] = { service_init_signal, EXIT_OTHER },
	[REASON_NMI_WINDOW] = { service_nmi_window, EXIT_NMI },
	[REASON_TASK_SWITCH] = { service_gp, EXIT_OTHER },	/* a task gate, in modes that Linux has left for ever */
	[REASON_CPUID] = { service_cpuid, EXIT_CPUID },
	[REASON_GETSEC] = { service_undefined, EXIT_OTHER },
	[REASON_HLT] = { service_hlt, EXIT_HLT },
	[REASON_INVD] = { service_invd, EXIT_OTHER },
	[REASON_VMCALL] = { service_hypercall, EXIT_HYPERCALL },
	[REASON_VMCLEAR ... REASON_VMXON] = { service_undefined, EXIT_OTHER },
	[REASON_CR] = { service_cr, EXIT_CR },
	[REASON_RDMSR] = { service_rdmsr, EXIT_MSR },
	[REASON_WRMSR] = { service_wrmsr, EXIT_MSR },
	[REASON_MWAIT] = { service_mwait, EXIT_HLT },
	[REASON_EPT_VIOLATION] = { service_ept, EXIT_FAULT },
	[REASON_INVEPT] = { service_undefined, EXIT_OTHER },
	[REASON_INVVPID] = { service_undefined, EXIT_OTHER },
	[REASON_WBINVD] = { service_wbinvd, EXIT_OTHER },
	[REASON_XSETBV] = { service_xsetbv, EXIT_OTHER },
};

/*
 * An event whose delivery the exit interrupted is delivered again (28.2.4).
 * Software interrupts and INT3/INTO are not: RIP is still on the instruction.
 */
static void redeliver(void)
{
	u64 event = vmread(VMCS_VECTORING);

	if (likely(!(event & EVENT_VALID)) || EVENT_TYPE(event) > EVENT_EXCEPTION)
		return;
	if (event & EVENT_ERROR)
		vmwrite(VMCS_ENTRY_ERROR, vmread(VMCS_VECTORING_ERROR));
	if (EVENT_TYPE(event) == EVENT_NMI)	/* the entry sets it again (27.3.1.5) */
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY, vmread(VMCS_GUEST_INTERRUPTIBILITY) & ~(u64)BLOCKED_NMI);
	vmwrite(VMCS_ENTRY_EVENT, event & (EVENT_VALID | 0xfff));
}

static void service_exit(struct cpu *cpu)
{
	u32 reason = (u32)vmread(VMCS_EXIT_REASON);

	/* An instruction of processors after this list, which nobody asked to exit. */
	if (reason >= REASON_COUNT && !(reason & REASON_FAILED))
		reason = REASON_VMXON;
	if (reason >= REASON_COUNT || !service_exits[reason].fn)
		panic("service VM: exit %x qualification %lx at rip %lx\n", reason,
		      (unsigned long)vmread(VMCS_QUALIFICATION), (unsigned long)vmread(VMCS_GUEST_RIP));
	cpu->exits[service_exits[reason].stat]++;
	service_exits[reason].fn(cpu);
}

static int service_enter(struct cpu *cpu)
{
	int result;

	if (unlikely(service_begin(cpu)))
		invept(INVALIDATE_SINGLE, vmx_eptp(service_pt_root()));
	result = vmx_enter(&cpu->regs, &cpu->launched, &cpu->attention);
	WRITE_ONCE(cpu->in_service, 0);
	return result;
}

void vmx_service_loop(struct cpu *cpu)
{
	int result;

	for (;;) {
		result = service_enter(cpu);
		if (unlikely(result)) {
			if (result == ENTER_REFUSED)
				vmx_failed("the service VM's entry", cpu->vmcb_pa);
			service_attention(cpu);
			continue;
		}
		cpu->launched = 1;
		redeliver();
		service_exit(cpu);
	}
}
