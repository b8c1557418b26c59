/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * arm64/trace_arch.h - the trace events that only arm64 has, under KVM's names
 * and with KVM's fields: entries, exits, stage-2 faults, interrupt lines.
 *
 * Invariant: as trace.h's.
 * Included by: what meets the events; twice by trace.c, which defines them.
 * See: exit_info.c; docs/abi.md, trace events.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm
#undef TRACE_SYSTEM_VAR
#define TRACE_SYSTEM_VAR kvm_arch	/* the name of a variable: trace.h's has the system's */

#if !defined(DRIVER_ARM64_TRACE_ARCH_H) || defined(TRACE_HEADER_MULTI_READ)
#define DRIVER_ARM64_TRACE_ARCH_H

#include <linux/tracepoint.h>

#include "exit_info.h"

TRACE_EVENT(kvm_entry,
	TP_PROTO(struct vcpu *v),
	TP_ARGS(v),
	TP_STRUCT__entry(
		__field(unsigned long, vcpu_pc)
	),
	TP_fast_assign(
		__entry->vcpu_pc = exit_info_entry_pc(v);
	),
	TP_printk("PC: 0x%016lx", __entry->vcpu_pc)
);

TRACE_EVENT(kvm_exit,
	TP_PROTO(const struct vcpu *v),
	TP_ARGS(v),
	TP_STRUCT__entry(
		__field(int, ret)
		__field(unsigned int, esr_ec)
		__field(unsigned long, vcpu_pc)
	),
	TP_fast_assign(
		struct exit_info info = exit_info(v);

		__entry->ret = info.ret;
		__entry->esr_ec = info.class;
		__entry->vcpu_pc = v->exit->out.pc;
	),
	TP_printk("%s: HSR_EC: 0x%04x (%s), PC: 0x%016lx",
		  __print_symbolic(__entry->ret, { 0, "IRQ" }, { 1, "SERROR" }, { 2, "TRAP" }, { 3, "IL" }), __entry->esr_ec,
		  __print_symbolic(__entry->esr_ec, { 0x01, "WFx" }, { 0x16, "HVC64" }, { 0x18, "SYS64" },
				   { 0x20, "IABT_LOW" }, { 0x24, "DABT_LOW" }),
		  __entry->vcpu_pc)
);

TRACE_EVENT(kvm_guest_fault,
	TP_PROTO(const struct vcpu *v),
	TP_ARGS(v),
	TP_STRUCT__entry(
		__field(unsigned long, vcpu_pc)
		__field(unsigned long, hsr)
		__field(unsigned long, hxfar)
		__field(unsigned long long, ipa)
	),
	TP_fast_assign(
		__entry->vcpu_pc = v->exit->out.pc;
		__entry->hsr = v->exit->out.esr;
		__entry->hxfar = v->exit->out.far;
		__entry->ipa = v->exit->out.gpa;
	),
	TP_printk("ipa %#llx, hsr %#08lx, hxfar %#08lx, pc %#016lx", __entry->ipa, __entry->hsr, __entry->hxfar,
		  __entry->vcpu_pc)
);

TRACE_EVENT(kvm_irq_line,
	TP_PROTO(unsigned int type, int vcpu_idx, int irq_num, int level),
	TP_ARGS(type, vcpu_idx, irq_num, level),
	TP_STRUCT__entry(
		__field(unsigned int, type)
		__field(int, vcpu_idx)
		__field(int, irq_num)
		__field(int, level)
	),
	TP_fast_assign(
		__entry->type = type;
		__entry->vcpu_idx = vcpu_idx;
		__entry->irq_num = irq_num;
		__entry->level = level;
	),
	TP_printk("Inject %s interrupt (%d), vcpu->idx: %d, num: %d, level: %d",
		  __print_symbolic(__entry->type, { KVM_ARM_IRQ_TYPE_CPU, "CPU" }, { KVM_ARM_IRQ_TYPE_PPI, "VGIC PPI" },
				   { KVM_ARM_IRQ_TYPE_SPI, "VGIC SPI" }),
		  __entry->type, __entry->vcpu_idx, __entry->irq_num, __entry->level)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace_arch
#include <trace/define_trace.h>
