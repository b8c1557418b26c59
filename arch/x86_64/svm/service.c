/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * service.c - the service VM on SVM: its run loop and its few exits.
 *
 * Invariant: an exit that returns to the service VM touches no FS, GS, TR or
 * SYSCALL state, so it needs no VMLOAD or VMSAVE. Interrupts are not
 * intercepted: they reach the service VM without us.
 * Called by: boot (once per CPU, never returns). Calls: ring.c, guest/.
 * See: APM vol. 2, 15.6 (#VMEXIT), 15.13 (interrupts), 15.17 (GIF).
 */
#include "svm.h"
#include "cpu.h"

/* ---- what service_exits.h asks for ---- */

static inline u64 *service_rax(struct cpu *cpu) { return &cpu->vmcb->rax; }
static inline u64 service_cr4(struct cpu *cpu) { return cpu->vmcb->cr4; }
static inline u64 service_rflags(struct cpu *cpu) { return cpu->vmcb->rflags; }
static inline u32 service_cpl(struct cpu *cpu) { return cpu->vmcb->cpl; }
static inline void service_skip(struct cpu *cpu, u32 length) { svm_skip(cpu->vmcb, length); }
static inline void service_sleep(struct cpu *cpu, int exits) { svm_intercept(cpu->vmcb, VMEXIT_HLT, exits); }
static inline void service_gp(struct cpu *cpu) { service_inject(cpu, VECTOR_GP, EVENT_EXCEPTION, 1); }

#include "service_exits.h"

/* What of the MSRs exits. */
const struct service_msr svm_service_msrs[] = {
	{ 0x1b, 0x1b, SMSR_WRITE, SMSR_APIC_BASE },
	{ 0x200, 0x20f, SMSR_WRITE, SMSR_MTRR },
	{ 0x2ff, 0x2ff, SMSR_WRITE, SMSR_MTRR },
	{ 0xda0, 0xda0, SMSR_WRITE, SMSR_XSS },
	{ 0xc0000080, 0xc0000080, SMSR_READ | SMSR_WRITE, SMSR_EFER },
	{ 0xc0000103, 0xc0000103, SMSR_WRITE, SMSR_TSC_AUX },
	{ 0xc0010010, 0xc0010010, SMSR_WRITE, SMSR_FIXED },			/* SYSCFG */
	{ 0xc0010016, 0xc001001a, SMSR_WRITE, SMSR_FIXED },			/* IORRs, TOP_MEM */
	{ 0xc001001d, 0xc001001d, SMSR_WRITE, SMSR_FIXED },			/* TOP_MEM2 */
	{ 0xc0010020, 0xc0010020, SMSR_WRITE, SMSR_IGNORED },			/* patch loader */
	{ 0xc0010058, 0xc0010058, SMSR_WRITE, SMSR_FIXED },			/* MMIO configuration base */
	{ 0xc0010111, 0xc0010113, SMSR_WRITE, SMSR_FIXED },			/* SMM_BASE, SMM_ADDR, SMM_MASK */
	{ 0xc0010116, 0xc0010116, SMSR_WRITE, SMSR_DENIED },			/* SMM_CTL */
	{ 0xc0010114, 0xc0010114, SMSR_READ | SMSR_WRITE, SMSR_HIDDEN },	/* VM_CR */
	{ 0xc0010117, 0xc0010117, SMSR_READ | SMSR_WRITE, SMSR_HIDDEN },	/* VM_HSAVE_PA */
	{ 0xc0010130, 0xc0010131, SMSR_READ | SMSR_WRITE, SMSR_HIDDEN },	/* GHCB, SEV status */
	{ 0 }
};

static void service_msr(struct cpu *cpu)
{
	struct vmcb *b = cpu->vmcb;
	u64 value = (u32)b->rax | cpu->regs.rdx << 32;
	u32 msr = (u32)cpu->regs.rcx;
	int fault;

	/* LME changes while paging is off only (APM vol. 2, 14.7): VMRUN would refuse it. */
	if (b->exit_info1)
		fault = (msr == MSR_EFER && ((value ^ b->efer) & EFER_LME) && (b->cr0 & CR0_PG)) ||
			service_msr_write(cpu, msr, value, &b->efer);
	else
		fault = service_msr_read(cpu, msr, &value, b->efer);
	if (fault) {
		service_gp(cpu);
		return;
	}
	if (!b->exit_info1) {
		b->rax = (u32)value;
		cpu->regs.rdx = value >> 32;
	}
	svm_skip(b, 2);
}

/* One of ours is consumed here; any other goes on to Linux. */
static void service_nmi(struct cpu *cpu)
{
	svm_nmi_window();
	if (!__atomic_exchange_n(&cpu->kicked, 0, __ATOMIC_ACQ_REL))
		service_inject(cpu, VECTOR_NMI, EVENT_NMI, 0);
}

/* Held while GIF = 0; with VM_CR.R_INIT the window turns it into #SX, which the IDT drops. The boot CPU's: as in vmx/. */
static void service_init_signal(struct cpu *cpu)
{
	svm_nmi_window();
	if (rdmsr(MSR_APIC_BASE) & APIC_BASE_BOOT)
		service_reset(cpu);
	log_print("tenon: CPU %u: an INIT was dropped\n", cpu->index);
}

static const struct service_row service_exits[VMEXIT_TABLE] = {
	[VMEXIT_NMI] = { service_nmi, EXIT_NMI },
	[VMEXIT_INIT] = { service_init_signal, EXIT_OTHER },
	[VMEXIT_CPUID] = { service_cpuid, EXIT_CPUID },
	[VMEXIT_INVD] = { service_invd, EXIT_OTHER },
	[VMEXIT_WBINVD] = { service_wbinvd, EXIT_OTHER },
	[VMEXIT_HLT] = { service_hlt, EXIT_HLT },
	[VMEXIT_MSR] = { service_msr, EXIT_MSR },
	[VMEXIT_VMMCALL] = { service_hypercall, EXIT_HYPERCALL },
	[VMEXIT_INVLPGA] = { service_undefined, EXIT_OTHER },
	[VMEXIT_VMRUN] = { service_undefined, EXIT_OTHER },
	[VMEXIT_VMLOAD ... VMEXIT_SKINIT] = { service_undefined, EXIT_OTHER },
};

/* What has a row is intercepted; HLT only after service_wbinvd(). */
void svm_service_intercepts(struct vmcb *b)
{
	u32 code;

	for (code = 0; code < VMEXIT_TABLE; code++)
		svm_intercept(b, code, !!service_exits[code].fn);
	svm_intercept(b, VMEXIT_HLT, 0);
}

/*
 * An event whose delivery the exit interrupted is delivered again (15.7.2).
 * Software interrupts and INT3/INTO are not: RIP is still on the instruction.
 */
static void redeliver(struct vmcb *b)
{
	u64 event = b->exit_int_info, vector = EVENT_VECTOR(event);

	b->event_inj = 0;
	if (likely(!(event & EVENT_VALID)))
		return;
	if (EVENT_TYPE(event) == EVENT_SOFT)
		return;
	if (EVENT_TYPE(event) == EVENT_EXCEPTION && (vector == 3 || vector == 4))
		return;
	b->event_inj = event;
}

static void service_exit(struct cpu *cpu, struct vmcb *b)
{
	u64 code = b->exit_code;

	if (code == VMEXIT_NPF) {
		cpu->exits[EXIT_FAULT]++;
		service_touch(cpu, b->exit_info2, b->exit_int_info);
		return;
	}
	if (code >= VMEXIT_TABLE || !service_exits[code].fn)
		panic("service VM: exit %lx info %lx %lx at rip %lx\n", (unsigned long)code,
		      (unsigned long)b->exit_info1, (unsigned long)b->exit_info2, (unsigned long)b->rip);
	cpu->exits[service_exits[code].stat]++;
	service_exits[code].fn(cpu);
}

static void service_enter(struct cpu *cpu, struct vmcb *b)
{
	if (unlikely(service_begin(cpu)))
		b->tlb_control = svm_features & SVM_FLUSH_ASID ? TLB_FLUSH_ASID : TLB_FLUSH_ALL;
	svm_enter(&cpu->regs, cpu->vmcb_pa);
	WRITE_ONCE(cpu->in_service, 0);
	b->tlb_control = 0;
}

void svm_service_loop(struct cpu *cpu)
{
	struct vmcb *b = cpu->vmcb;

	for (;;) {
		service_enter(cpu, b);
		redeliver(b);
		service_exit(cpu, b);
	}
}
