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
#include <asm/svm.h>
#include <asm/vmx.h>

#include "exit_info.h"

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

static u32 reason_of(const struct exit_state *out, bool amd)
{
	u32 reason = out->reason;

	switch (reason) {
	case EXIT_EMULATE:
	case EXIT_EOI:
	case EXIT_INTERNAL:	/* one that it does not know */
		return out->qual[0];
	case EXIT_DEBUG:
		return amd ? SVM_EXIT_EXCP_BASE + out->data : EXIT_REASON_EXCEPTION_NMI;
	case EXIT_FAIL_ENTRY:
		return out->data;
	case EXIT_MSR:
		if (!amd && out->write)
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

struct exit_info exit_info(const struct vcpu *v)
{
	const struct exit_state *out = &v->exit->out;
	bool amd = arch_is_amd();
	struct exit_info info = { .reason = reason_of(out, amd) };

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
	return ring_call(OPX_KVM_GET_REGS, v->handle, 0, NULL, 0, &regs) < 0 ? 0 : regs.rip;
}
