/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * trace.h - trace events under KVM's names and with KVM's fields, so that `perf
 * kvm stat` and trace-cmd read a guest's run as they do on KVM. Those that only
 * one architecture has are in its trace_arch.h.
 *
 * Invariant: an event says what the driver has seen or done. Exits that the
 * hypervisor answers itself, and what it injects by itself, are none.
 * Included by: what meets the events; twice by trace.c, which defines them.
 * See: Documentation/trace/events.rst; docs/abi.md, trace events.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm

#if !defined(DRIVER_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define DRIVER_TRACE_H

#include <linux/tracepoint.h>

#include "tenon.h"

#define TRACE_VMM_EXIT(name) { KVM_EXIT_##name, "KVM_EXIT_" #name }
#define TRACE_VMM_EXITS \
	TRACE_VMM_EXIT(UNKNOWN), TRACE_VMM_EXIT(IO), TRACE_VMM_EXIT(DEBUG), TRACE_VMM_EXIT(HLT), \
	TRACE_VMM_EXIT(MMIO), TRACE_VMM_EXIT(IRQ_WINDOW_OPEN), TRACE_VMM_EXIT(SHUTDOWN), \
	TRACE_VMM_EXIT(FAIL_ENTRY), TRACE_VMM_EXIT(INTR), TRACE_VMM_EXIT(SET_TPR), \
	TRACE_VMM_EXIT(TPR_ACCESS), TRACE_VMM_EXIT(INTERNAL_ERROR), TRACE_VMM_EXIT(SYSTEM_EVENT), \
	TRACE_VMM_EXIT(IOAPIC_EOI), TRACE_VMM_EXIT(ARM_NISV), TRACE_VMM_EXIT(X86_RDMSR), TRACE_VMM_EXIT(X86_WRMSR)

/* KVM_RUN returns: why, or -errno. */
TRACE_EVENT(kvm_userspace_exit,
	TP_PROTO(const struct vcpu *v, int errno),
	TP_ARGS(v, errno),
	TP_STRUCT__entry(
		__field(u32, reason)
		__field(int, errno)
	),
	TP_fast_assign(
		__entry->reason = v->run->exit_reason;
		__entry->errno = errno;
	),
	TP_printk("reason %s (%d)", __entry->errno == -EINTR ? "restart" : __entry->errno < 0 ? "error" :
		  __print_symbolic(__entry->reason, TRACE_VMM_EXITS),
		  __entry->errno < 0 ? -__entry->errno : __entry->reason)
);

/* A vCPU's thread has slept. KVM's event tells polling too, which there is none of. */
TRACE_EVENT(kvm_vcpu_wakeup,
	TP_PROTO(u64 ns, bool waited, bool valid),
	TP_ARGS(ns, waited, valid),
	TP_STRUCT__entry(
		__field(u64, ns)
		__field(bool, waited)
		__field(bool, valid)
	),
	TP_fast_assign(
		__entry->ns = ns;
		__entry->waited = waited;
		__entry->valid = valid;
	),
	TP_printk("%s time %lld ns, polling %s", __entry->waited ? "wait" : "poll", __entry->ns,
		  __entry->valid ? "valid" : "invalid")
);

/* Values of kvm_mmio's type. */
#define TRACE_MMIO_ASK 0		/* a read that goes to the VMM */
#define TRACE_MMIO_READ 1		/* and its answer, or that of a device of the driver's */
#define TRACE_MMIO_WRITE 2

TRACE_EVENT(kvm_mmio,
	TP_PROTO(u32 type, u32 len, u64 gpa, const void *val),
	TP_ARGS(type, len, gpa, val),
	TP_STRUCT__entry(
		__field(u32, type)
		__field(u32, len)
		__field(u64, gpa)
		__field(u64, val)
	),
	TP_fast_assign(
		__entry->type = type;
		__entry->len = len;
		__entry->gpa = gpa;
		__entry->val = 0;
		if (val)
			memcpy(&__entry->val, val, min_t(u32, len, sizeof(__entry->val)));
	),
	TP_printk("mmio %s len %u gpa 0x%llx val 0x%llx",
		  __print_symbolic(__entry->type, { TRACE_MMIO_ASK, "unsatisfied-read" },
				   { TRACE_MMIO_READ, "read" }, { TRACE_MMIO_WRITE, "write" }),
		  __entry->len, __entry->gpa, __entry->val)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
