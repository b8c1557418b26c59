/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * percpu.h - one block per CPU: struct cpu, then its stack. Found from the
 * stack pointer, because FS, GS and TR belong to whichever guest ran last.
 */
#ifndef PERCPU_H
#define PERCPU_H

#include "types.h"
#include "layout.h"
#include "abi/ring.h"
#include "abi/ops.h"

#define MAX_CPUS 64u

struct vcpu;
struct vmcb;

/* General registers of a guest in the order that svm/entry.S and vmx/entry.S know. */
struct gprs {
	u64 rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
	u64 r8, r9, r10, r11, r12, r13, r14, r15;
};

/* Life of a CPU of the service VM. */
enum cpu_state {
	CPU_ABSENT,	/* not started yet */
	CPU_WAITING,	/* until the service VM starts it: SVM polls the wakeup mailbox, VMX waits for a start-up IPI */
	CPU_SERVICE,	/* runs the service VM (or a user VM that it entered) */
};

struct cpu {
	u32 attention;			/* first: vmx/entry.S. An NMI came in the hypervisor (VMX) */
	u32 index;
	u32 apic_id;
	u32 state;			/* enum cpu_state */

	/* Service VM on this CPU. */
	struct gprs regs;
	struct vmcb *vmcb;
	u64 vmcb_pa;
	u32 in_service;			/* 1 while the service VM may use its TLB entries */
	u32 kicked;			/* an NMI of ours is on its way */
	u64 service_seen;		/* generation of the service VM's tables that the TLB knows */
	void *fpu;			/* its XSAVE area while a user VM runs */
	u64 xcr0;			/* its XCR0 meanwhile */
	u64 xss;			/* what it wrote to MSR_XSS: 0 while a user VM runs */
	u64 tsc_aux;			/* what it wrote to MSR_TSC_AUX */
	u64 dr[4];			/* its DR0 to DR3 while a user VM has its own loaded */
	u64 exits[STAT_COUNT];

	/* Ring. */
	struct ring *ring;
	u64 ring_pa;
	u32 ring_complete;		/* our own count: the shared one is never read */
	u8 *scratch;			/* RING_OP_BYTES: the copy that an operation works on */
	u64 bound;			/* handle of the vCPU that is this CPU's (vcpu_bind), or 0 */
	struct vcpu *vcpu;		/* that vCPU */

	/* Backend. */
	u64 hsave_pa;			/* SVM: host save area; VMX: VMXON region */
	u32 asid_next;
	u32 asid_max;
	u64 asid_generation;
	const struct vcpu *last_vcpu;	/* whose predictions the branch predictor holds */
	u32 launched;			/* VMX: the service VM's VMCS */
	u64 syscall_msr[4];		/* VMX: its STAR, LSTAR, CSTAR, SFMASK */
	u64 kernel_gs_base, cr2, dr6;	/* VMX: its own while a user VM runs */
};

_Static_assert(__builtin_offsetof(struct cpu, attention) == 0, "vmx/entry.S");
_Static_assert(sizeof(struct cpu) < 2048, "leave room for the stack");

static inline struct cpu *cpu_this(void)
{
	u64 sp;

	asm("mov %%rsp, %0" : "=r"(sp));
	return (struct cpu *)(sp & ~(u64)(CPU_BLOCK_BYTES - 1));
}

extern struct cpu *cpus[MAX_CPUS];
extern u32 cpu_count;

#endif
