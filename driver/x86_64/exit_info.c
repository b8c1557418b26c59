// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * exit_info.c - an exit as the processor told it, for trace events: the exit
 * page has reasons of its own, one for both vendors.
 *
 * Invariant: what the exit page has not kept is 0. It names every exit that has
 * only to be looked after outside an interrupt, so NMIs and SMIs of the machine
 * and the guest's own #DB and #AC, which the hypervisor gives back, are shown as
 * interrupts.
 * Called by: trace events that are switched on, and nothing else.
 * Concurrency: v->lock; interrupts may be off.
 * See: abi/x86_64/exit.h; APM volume 2, appendix C; SDM volume 3, 28.2.1 and appendix C.
 */
#include <linux/uaccess.h>
#include <asm/msr-index.h>
#include <asm/svm.h>
#include <asm/vmx.h>

#include "exit_info.h"
#include "models/code.h"

#define VECTOR_BP 3u
#define VECTOR_UD 6u
#define NPF_FINAL (1ull << 32)
#define NPF_TABLE (1ull << 33)
#define IOQ_IN 8u
#define IO_PORT_SHIFT 16	/* both vendors' */
#define EPTQ_READ 1u
#define EPTQ_WRITE 2u
#define EPTQ_FETCH 4u
#define EPTQ_LINEAR 0x80u
#define EVENT_VALID (1u << 31)
#define EVENT_HARDWARE (3u << 8)
#define EVENT_SOFTWARE (6u << 8)

/* By enum exit_reason; 0: see reason_of(). Intel's number 0 is the exceptions'. */
static const struct { u16 svm, vmx; } numbers[] = {
	[EXIT_INTR] = { SVM_EXIT_INTR, EXIT_REASON_EXTERNAL_INTERRUPT },
	[EXIT_IO] = { SVM_EXIT_IOIO, EXIT_REASON_IO_INSTRUCTION },
	[EXIT_HLT] = { SVM_EXIT_HLT, EXIT_REASON_HLT },
	[EXIT_FAULT] = { SVM_EXIT_NPF, EXIT_REASON_EPT_VIOLATION },
	[EXIT_IRQ_WINDOW] = { SVM_EXIT_VINTR, EXIT_REASON_INTERRUPT_WINDOW },
	[EXIT_SHUTDOWN] = { SVM_EXIT_SHUTDOWN, EXIT_REASON_TRIPLE_FAULT },
	[EXIT_TASK] = { SVM_EXIT_TASK_SWITCH, EXIT_REASON_TASK_SWITCH },
	[EXIT_MSR] = { SVM_EXIT_MSR, EXIT_REASON_MSR_READ },
	[EXIT_CPUID] = { SVM_EXIT_CPUID, EXIT_REASON_CPUID },
	[EXIT_EOI] = { SVM_EXIT_MSR, EXIT_REASON_EOI_INDUCED },
};

/* ---- EXIT_EMULATE stands for several exits: which one, the instruction says ---- */

static bool is_prefix(u8 byte, bool mode64)
{
	switch (byte) {
	case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64 ... 0x67: case 0xf0: case 0xf2: case 0xf3:
		return true;
	}
	return mode64 && (byte & 0xf0) == 0x40;
}

/* MOV to a control register, MOV from and to a debug register (0F 22, 0F 21, 0F 23). */
static u32 special_number(u8 opcode, u32 reg, bool amd)
{
	switch (opcode) {
	case 0x21:
		return amd ? SVM_EXIT_READ_DR0 + reg : EXIT_REASON_DR_ACCESS;
	case 0x22:
		return amd ? SVM_EXIT_WRITE_CR0 + reg : EXIT_REASON_CR_ACCESS;
	case 0x23:
		return amd ? SVM_EXIT_WRITE_DR0 + reg : EXIT_REASON_DR_ACCESS;
	default:
		return 0;
	}
}

/* 0: its bytes are not at hand, or lie at a page's end. */
static u32 instruction_number(struct vcpu *v, bool amd)
{
	const struct exit_state *out = &v->exit->out;
	bool mode64 = out->efer & EFER_LMA && out->seg[SEG_CS].attr & 0x200;
	u8 byte[CODE_BYTES], high = 0, *p = byte;
	int idx = srcu_read_lock(&v->vm->srcu);
	bool known;

	/* In a trace event: nothing may sleep. */
	pagefault_disable();
	known = emulate_peek(v, (u64 *)byte);
	pagefault_enable();
	srcu_read_unlock(&v->vm->srcu, idx);
	if (!known)
		return 0;
	for (; p < byte + CODE_BYTES - 3 && is_prefix(*p, mode64); p++) {
		/* REX.R; on AMD's processors LOCK makes CR0 CR8 as well. */
		if (*p == 0xf0 || (mode64 && (*p & 0xf4) == 0x44))
			high = 8;
	}
	if (*p >= 0x6c && *p <= 0x6f)
		return amd ? SVM_EXIT_IOIO : EXIT_REASON_IO_INSTRUCTION;
	return *p == 0x0f ? special_number(p[1], (p[2] >> 3 & 7) | high, amd) : 0;
}

static u32 emulate_number(struct vcpu *v, bool amd)
{
	if (v->exit->out.data == VECTOR_UD)
		return amd ? SVM_EXIT_EXCP_BASE + VECTOR_UD : EXIT_REASON_EXCEPTION_NMI;
	return instruction_number(v, amd);
}

static u32 reason_of(struct vcpu *v, bool amd)
{
	const struct exit_state *out = &v->exit->out;
	u32 reason = out->reason;

	switch (reason) {
	case EXIT_EMULATE:
		return emulate_number(v, amd);
	case EXIT_INTERNAL:	/* one that it does not know */
		return out->qual[0];
	case EXIT_DEBUG:
		return amd ? SVM_EXIT_EXCP_BASE + out->data : EXIT_REASON_EXCEPTION_NMI;
	case EXIT_FAIL_ENTRY:
		return out->data;
	case EXIT_MSR:
		if (!amd && out->write)
			return EXIT_REASON_MSR_WRITE;
		break;
	case EXIT_EOI:
		/* Counted as such where the processor ends interrupts itself; else it was a WRMSR. */
		if (!amd && !v->exit->exits[EXIT_EOI])
			return EXIT_REASON_MSR_WRITE;
	}
	if (reason >= ARRAY_SIZE(numbers))
		return 0;
	return amd ? numbers[reason].svm : numbers[reason].vmx;
}

/* ---- EXITINFO1 and 2 ---- */

static void info_svm(const struct exit_state *out, struct exit_info *info)
{
	switch (out->reason) {
	case EXIT_IO:	/* without the address size, which needs a segment too */
		info->info1 = (u64)out->port << IO_PORT_SHIFT | out->size << SVM_IOIO_SIZE_SHIFT | !out->write;
		info->info2 = out->next_rip;
		break;
	case EXIT_FAULT:
		info->info1 = (out->error & ~FAULT_TABLE) | (out->error & FAULT_TABLE ? NPF_TABLE : NPF_FINAL);
		info->info2 = out->gpa;
		break;
	case EXIT_MSR:
		info->info1 = out->write;
		break;
	}
}

/* ---- the qualification ---- */

static u64 ept_qualification(u64 error)
{
	u64 access = (error & FAULT_WRITE ? EPTQ_WRITE : 0) | (error & FAULT_FETCH ? EPTQ_FETCH : 0);

	return (access ?: EPTQ_READ) | (error & FAULT_TABLE ? EPTQ_LINEAR : 0);
}

static u32 exception(u32 vector)
{
	return EVENT_VALID | (vector == VECTOR_BP ? EVENT_SOFTWARE : EVENT_HARDWARE) | vector;
}

static void info_vmx(const struct exit_state *out, struct exit_info *info)
{
	switch (out->reason) {
	case EXIT_IO:
		info->info1 = (u64)out->port << IO_PORT_SHIFT | (out->write ? 0 : IOQ_IN) | (out->size - 1);
		break;
	case EXIT_FAULT:
		info->info1 = ept_qualification(out->error);
		break;
	case EXIT_TASK:
	case EXIT_EOI:
		info->info1 = out->data;
		break;
	case EXIT_EMULATE:
		info->intr_info = out->data == VECTOR_UD ? exception(VECTOR_UD) : 0;
		break;
	case EXIT_DEBUG:
		info->intr_info = exception(out->data);
		break;
	}
}

struct exit_info exit_info(struct vcpu *v)
{
	const struct exit_state *out = &v->exit->out;
	bool amd = arch_is_amd();
	struct exit_info info = { .reason = reason_of(v, amd) };

	if (amd)
		info_svm(out, &info);
	else
		info_vmx(out, &info);
	return info;
}

/* ---- entries ---- */

/* In a KVM_RUN's first entry the VMM may have set RIP since the last exit: the hypervisor has it. */
u64 exit_info_entry_rip(struct vcpu *v)
{
	const struct exit_page *page = v->exit;
	struct abi_regs regs;

	if (page->in.flags & RESUME_REGS)
		return page->in.regs.rip;
	if (page->in.flags & RESUME_RIP)
		return page->in.rip;
	if (v->entered)
		return page->out.rip;
	return vcpu_call(v, OPX_KVM_GET_REGS, NULL, 0, &regs) < 0 ? 0 : regs.rip;
}
