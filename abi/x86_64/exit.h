/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/exit.h - the exit page: one page per vCPU, service VM memory that no
 * VMM maps, given at KVM_CREATE_VCPU. The hypervisor writes why KVM_RUN came
 * back; the driver writes what the next KVM_RUN is to take over.
 *
 * The hypervisor never touches struct kvm_run: VMM memory stays out of the
 * trusted code. The driver turns an exit into KVM's exit.
 *
 * Each half is written by one side alone. The hypervisor reads each field of
 * the driver's half once per KVM_RUN.
 */
#ifndef ABI_X86_64_EXIT_H
#define ABI_X86_64_EXIT_H

#include "../ops.h"
#include "state.h"
#include "lapic.h"

/* exit_page.reason, and index of struct exit_stats. */
enum exit_reason {
	EXIT_NONE = 0,
	EXIT_INTR = 1,		/* a physical interrupt, NMI or SMI: enable interrupts, look, run again */
	EXIT_IO = 2,		/* IN or OUT, not string: port, size, write, data; state: RAX in data */
	EXIT_HLT = 3,		/* RIP is past the HLT */
	EXIT_FAULT = 4,		/* nested page fault at gpa: memory to map, or MMIO to decode. state full */
	EXIT_EMULATE = 5,	/* an instruction for the driver's decoder: string I/O, MOV to CR4 or CR8, MOV DR; data = 6:
				 * it raised #UD: a hypercall of the other vendor, or inject that. state full */
	EXIT_IRQ_WINDOW = 6,	/* request_window was set and the guest can take an interrupt now */
	EXIT_SHUTDOWN = 7,	/* triple fault */
	EXIT_FAIL_ENTRY = 8,	/* the processor refused the state: data = hardware's reason */
	EXIT_DEBUG = 9,		/* KVM_EXIT_DEBUG: exception in data, dr6 in qual[0], dr7 in qual[1], pc in rip */
	EXIT_TASK = 10,		/* VMX: a task switch to do: its qualification in data, in qual[0] the event whose delivery
				 * it is (which waits again) with its error << 32, or 0; next_rip; state full */
	EXIT_INTERNAL = 11,	/* KVM_EXIT_INTERNAL_ERROR: suberror in data, qual[] = its data, qual_count of them */
	EXIT_MSR = 12,		/* RDMSR or WRMSR that does not pass without an exit: the register's number in port,
				 * write, data = the value written; next_rip */
	EXIT_CPUID = 13,	/* CPUID that exit_resume.cpuid does not answer: state full, next_rip; the others it only counts */
	/* Answered in the hypervisor; they only count. */
	EXIT_CR = 14,
	EXIT_DR = 15,
	EXIT_HYPERCALL = 16,
	EXIT_EXCEPTION = 17,
	EXIT_NMI = 18,
	EXIT_OTHER = 19,
	/* Come to the driver. */
	EXIT_LOG = 20,		/* the log of writes is full; the access that found it so will be done again */
	EXIT_EOI = 21,		/* an EOI of a vector (data) that lapic_page.eoi_exit names; RIP is past it */
};

/* Nested-page-fault error code bits (x86 #PF bits as the hardware reports them). */
#define FAULT_PRESENT 0x1ull	/* unreliable on some machines */
#define FAULT_WRITE 0x2ull
#define FAULT_USER 0x4ull
#define FAULT_FETCH 0x10ull
#define FAULT_TABLE 0x100000000000ull	/* the guest's page-table walk, not its final access */

#define EXIT_INSN_BYTES 16

/* The hypervisor's half. */
struct exit_state {
	u32 reason;		/* enum exit_reason */
	u32 port;		/* EXIT_IO; EXIT_MSR: the register */
	u32 size;		/* EXIT_IO: 1, 2, 4 */
	u32 write;		/* EXIT_IO: 1 = OUT; EXIT_MSR: 1 = WRMSR */
	u64 data;		/* see reason; EXIT_IO: RAX */
	u64 gpa;		/* EXIT_FAULT */
	u64 error;		/* EXIT_FAULT: FAULT_* */
	u64 rip;		/* always: the instruction (EXIT_HLT: after it) */
	u64 next_rip;		/* EXIT_IO, EXIT_MSR: the instruction after */
	u64 rflags;		/* always */
	u64 cs_base;		/* always */
	u64 cr8;		/* always */
	u8 if_flag;		/* always: RFLAGS.IF */
	u8 ready;		/* always: KVM_INTERRUPT would be taken at the next entry */
	u8 insn_len;		/* bytes in insn[], 0 where the CPU gives none */
	u8 qual_count;
	u32 logged;		/* with exit_resume.log, always: entries of the log page, the last LOG_ENTRIES downwards */
	u8 insn[EXIT_INSN_BYTES];
	u64 qual[6];
	/* "state full": EXIT_FAULT, EXIT_EMULATE */
	struct abi_regs regs;
	u64 cr0, cr2, cr3, cr4, efer;
	u32 cpl;
	u32 shadow;		/* 1: an interrupt shadow was open */
	struct state_segment seg[6];	/* ES to GS */
};

/*
 * What CPUID answers without the driver: a leaf is looked for at CPUID_SLOT(leaf, 0); unless that place is one of CPUID_ANY, at
 * CPUID_SLOT(leaf, ECX). A leaf that is not where it is looked for is EXIT_CPUID.
 */
struct cpuid_slot {
	u32 leaf;
	u32 index;		/* ECX, or CPUID_ANY where it does not count */
	u32 eax, ebx, ecx, edx;
};
#define CPUID_ANY 0xffffffffu
#define CPUID_SLOTS 72u
#define CPUID_SLOT(leaf, index) ((((leaf) & 63) + ((leaf) >> 26) + (index) * 39) % CPUID_SLOTS)

/* The driver's half: set anew before each KVM_RUN, the CPUID answers when they change. */
struct exit_resume {
	u32 flags;		/* RESUME_* */
	u32 request_window;	/* kvm_run.request_interrupt_window */
	u64 cr8;		/* with RESUME_CR8 */
	u64 rax;		/* with RESUME_RAX: the whole register, an IN's bytes merged by the driver */
	u64 rdx;		/* with RESUME_RDX: the whole register */
	u64 rip;		/* with RESUME_RIP: also ends an interrupt shadow */
	struct abi_regs regs;	/* with RESUME_REGS: all GPRs, RIP and RFLAGS; also ends a shadow */
	u32 inject_vector;	/* with RESUME_INJECT: the exception that the decoder met */
	u32 inject_has_error;
	u64 inject_error;
	u64 inject_cr2;		/* for vector 14 */
	u32 interrupt;		/* with RESUME_INTERRUPT: a vector that the PIC gave; only after `ready` */
	u32 log;		/* always read: 1 = log the first write to each page that is mapped with MAP_LOG */
	u64 deadline;		/* with RESUME_DEADLINE: the machine's TSC at which stays end from now on (EXIT_INTR); 0: none */
	struct cpuid_slot cpuid[CPUID_SLOTS];
};

#define EXIT_RESUME_OFFSET 2048
#define EXIT_PAGES 3u		/* struct exit_page; with VCPU_LAPIC struct lapic_page; with VCPU_LOG the log */
#define LOG_ENTRIES 512u	/* of 8 bytes: the guest-physical address of a page */

struct exit_page {
	struct exit_state out;
	u8 pad[EXIT_RESUME_OFFSET - sizeof(struct exit_state) - STAT_COUNT * sizeof(u64)];
	u64 exits[STAT_COUNT];	/* by enum exit_reason: the hypervisor counts here, and believes nothing of it */
	struct exit_resume in;
};

#define RESUME_RAX 0x1u
#define RESUME_RIP 0x2u
#define RESUME_REGS 0x4u
#define RESUME_INJECT 0x8u
#define RESUME_CR8 0x10u
#define RESUME_RDX 0x40u
#define RESUME_INTERRUPT 0x80u
#define RESUME_DEADLINE 0x100u		/* with ABI_FEATURE_DEADLINE */
#define RESUME_SHADOW_STI 0x20u		/* with RESUME_REGS: the emulated instruction opened a shadow */

#endif
