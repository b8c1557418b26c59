/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/state.h - a vCPU's state between driver and hypervisor: general
 * registers and extended state in KVM's own structs, and all
 * else as numbered fields of 64 bits. What KVM's other structs (kvm.h) make of
 * the fields is the driver's affair.
 */
#ifndef ABI_X86_64_STATE_H
#define ABI_X86_64_STATE_H

#include "../types.h"

struct abi_regs {
	u64 rax, rbx, rcx, rdx;
	u64 rsi, rdi, rsp, rbp;
	u64 r8, r9, r10, r11, r12, r13, r14, r15;
	u64 rip, rflags;
};

struct abi_xsave {
	u32 region[1024];	/* the XSAVE area in the standard, not compacted, format */
};

/* Segments and tables in the VMCB's order and form (APM vol. 2, appendix B). */
enum state_seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_GDTR, SEG_LDTR, SEG_IDTR, SEG_TR, SEG_COUNT };

struct state_segment {
	u16 selector;
	u16 attr;	/* type 3:0, S 4, DPL 6:5, P 7 (0: unusable), AVL 8, L 9, D/B 10, G 11 */
	u32 limit;
	u64 base;
};

enum state_field {	/* from 0: struct state_segment, two fields each */
	STATE_CR0 = 2 * SEG_COUNT, STATE_CR2, STATE_CR3, STATE_CR4, STATE_CR8, STATE_EFER, STATE_DR6, STATE_DR7,
	STATE_STAR, STATE_LSTAR, STATE_CSTAR, STATE_SFMASK, STATE_KERNEL_GS_BASE,
	STATE_SYSENTER_CS, STATE_SYSENTER_ESP, STATE_SYSENTER_EIP, STATE_PAT,
	STATE_TSC_OFFSET,
	STATE_PDPTE0, STATE_PDPTE1, STATE_PDPTE2, STATE_PDPTE3,	/* of PAE paging, where an entry does not read them from memory (VMX) */
	STATE_SHADOW,		/* 1: an interrupt shadow is open */
	STATE_DR0, STATE_DR1, STATE_DR2, STATE_DR3,
	STATE_XCR0, STATE_TSC_AUX,
	STATE_TSC_RATIO,	/* guest's ticks to the machine's: as the hardware has it (VMX 16.48, SVM 8.32 bits); 0: the same */
	STATE_DEBUG,		/* STATE_DEBUG_*: what the VMM debugs with */
	STATE_EXCEPTION,	/* waits: STATE_EVENT | STATE_EVENT_EXCEPTION | STATE_EVENT_ERROR | vector | error << 32; 0: none */
	STATE_INTERRUPT,	/* waits: STATE_EVENT | vector */
	STATE_NMI,		/* waiting 7:0, injected 8, masked 16; above 23 the hypervisor's: 0, or as read */
	STATE_COUNT
};

/* What waits goes to the processor as it is (APM vol. 2, 15.20; SDM vol. 3, 25.8.3): a form that it does not know ends in EXIT_FAIL_ENTRY. */
#define STATE_EVENT 0x80000000ull
#define STATE_EVENT_EXCEPTION 0x300ull
#define STATE_EVENT_ERROR 0x800ull
/* Values as KVM_GUESTDBG_*. */
#define STATE_DEBUG_STEP 0x2u		/* each instruction ends in EXIT_DEBUG */
#define STATE_DEBUG_BP 0x10000u		/* so does INT3 */
#define STATE_DEBUG_DR 0x20000u		/* and #DB; MOV to and from debug registers is EXIT_EMULATE: they hold the VMM's */
/* And what it watches otherwise. */
#define STATE_DEBUG_MSRS 0x40000u	/* each RDMSR and WRMSR of the guest is EXIT_MSR */
#define STATE_DEBUG_MWAIT 0x80000u	/* MONITOR and MWAIT are #UD, not NOPs */

/* OP_STATE_GET fills all values; OP_STATE_SET takes those whose bit is set in `fields`. */
struct state_fields {
	u64 fields;
	u64 value[STATE_COUNT];
};

#endif
