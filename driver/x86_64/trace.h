/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * x86_64/trace.h - trace events under KVM's names and with KVM's fields, so that
 * `perf kvm stat` and trace-cmd read a guest's run as they do on KVM.
 *
 * Invariant: an event says what the driver has seen or done. Exits that the
 * hypervisor answers itself, and what it injects by itself, are none.
 * Included by: what meets the events; twice by trace.c, which defines them.
 * See: exit_info.c, which knows an exit's number; Documentation/trace/events.rst;
 * docs/abi.md, trace events.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm

#if !defined(DRIVER_X86_64_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define DRIVER_X86_64_TRACE_H

#include <linux/tracepoint.h>
#include <asm/svm.h>
#include <asm/vmx.h>

#include "exit_info.h"

/* ---- the guest comes and goes ---- */

#define TRACE_VMM_EXIT(name) { KVM_EXIT_##name, "KVM_EXIT_" #name }
#define TRACE_VMM_EXITS \
	TRACE_VMM_EXIT(UNKNOWN), TRACE_VMM_EXIT(IO), TRACE_VMM_EXIT(DEBUG), TRACE_VMM_EXIT(HLT), \
	TRACE_VMM_EXIT(MMIO), TRACE_VMM_EXIT(IRQ_WINDOW_OPEN), TRACE_VMM_EXIT(SHUTDOWN), \
	TRACE_VMM_EXIT(FAIL_ENTRY), TRACE_VMM_EXIT(INTR), TRACE_VMM_EXIT(SET_TPR), \
	TRACE_VMM_EXIT(TPR_ACCESS), TRACE_VMM_EXIT(INTERNAL_ERROR), \
	TRACE_VMM_EXIT(IOAPIC_EOI), TRACE_VMM_EXIT(X86_RDMSR), TRACE_VMM_EXIT(X86_WRMSR)

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

TRACE_EVENT(kvm_entry,
	TP_PROTO(struct vcpu *v),
	TP_ARGS(v),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(unsigned long, rip)
		__field(bool, immediate_exit)
	),
	TP_fast_assign(
		__entry->vcpu_id = v->id;
		__entry->rip = exit_info_entry_rip(v);
		__entry->immediate_exit = false;
	),
	TP_printk("vcpu %u, rip 0x%lx%s", __entry->vcpu_id, __entry->rip,
		  __entry->immediate_exit ? "[immediate exit]" : "")
);

TRACE_EVENT(kvm_exit,
	TP_PROTO(struct vcpu *v),
	TP_ARGS(v),
	TP_STRUCT__entry(
		__field(unsigned int, exit_reason)
		__field(unsigned long, guest_rip)
		__field(u32, isa)
		__field(u64, info1)
		__field(u64, info2)
		__field(u32, intr_info)
		__field(u32, error_code)
		__field(unsigned int, vcpu_id)
	),
	TP_fast_assign(
		struct exit_info info = exit_info(v);

		__entry->exit_reason = info.reason;
		__entry->guest_rip = v->exit->out.rip;
		__entry->isa = arch_is_amd() ? EXIT_INFO_SVM : EXIT_INFO_VMX;
		__entry->info1 = info.info1;
		__entry->info2 = info.info2;
		__entry->intr_info = info.intr_info;
		__entry->error_code = 0;
		__entry->vcpu_id = v->id;
	),
	TP_printk("vcpu %u reason %s%s rip 0x%lx info1 0x%016llx info2 0x%016llx intr_info 0x%08x error_code 0x%08x",
		  __entry->vcpu_id,
		  __entry->isa == EXIT_INFO_VMX ? __print_symbolic(__entry->exit_reason & 0xffff, VMX_EXIT_REASONS) :
						  __print_symbolic(__entry->exit_reason, SVM_EXIT_REASONS),
		  __entry->isa == EXIT_INFO_VMX && __entry->exit_reason >> 16 ? " FAILED_VMENTRY" : "",
		  __entry->guest_rip, __entry->info1, __entry->info2, __entry->intr_info, __entry->error_code)
);

TRACE_EVENT(kvm_page_fault,
	TP_PROTO(struct vcpu *v),
	TP_ARGS(v),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(unsigned long, guest_rip)
		__field(u64, fault_address)
		__field(u64, error_code)
	),
	TP_fast_assign(
		__entry->vcpu_id = v->id;
		__entry->guest_rip = v->exit->out.rip;
		__entry->fault_address = v->exit->out.gpa;
		__entry->error_code = exit_info(v).info1;
	),
	TP_printk("vcpu %u rip 0x%lx address 0x%016llx error_code 0x%llx", __entry->vcpu_id, __entry->guest_rip,
		  __entry->fault_address, __entry->error_code)
);

/* ---- accesses ---- */

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

TRACE_EVENT(kvm_pio,
	TP_PROTO(unsigned int rw, unsigned int port, unsigned int size, unsigned int count, const void *data),
	TP_ARGS(rw, port, size, count, data),
	TP_STRUCT__entry(
		__field(unsigned int, rw)
		__field(unsigned int, port)
		__field(unsigned int, size)
		__field(unsigned int, count)
		__field(unsigned int, val)
	),
	TP_fast_assign(
		__entry->rw = rw;
		__entry->port = port;
		__entry->size = size;
		__entry->count = count;
		__entry->val = 0;
		memcpy(&__entry->val, data, min_t(u32, size, sizeof(__entry->val)));
	),
	TP_printk("pio_%s at 0x%x size %d count %d val 0x%x %s", __entry->rw ? "write" : "read", __entry->port,
		  __entry->size, __entry->count, __entry->val, __entry->count > 1 ? "(...)" : "")
);

TRACE_EVENT(kvm_msr,
	TP_PROTO(unsigned int write, u32 ecx, u64 data, bool exception),
	TP_ARGS(write, ecx, data, exception),
	TP_STRUCT__entry(
		__field(unsigned int, write)
		__field(u32, ecx)
		__field(u64, data)
		__field(u8, exception)
	),
	TP_fast_assign(
		__entry->write = write;
		__entry->ecx = ecx;
		__entry->data = data;
		__entry->exception = exception;
	),
	TP_printk("msr_%s %x = 0x%llx%s", __entry->write ? "write" : "read", __entry->ecx, __entry->data,
		  __entry->exception ? " (#GP)" : "")
);

/* ---- events that the driver gives the guest ---- */

TRACE_EVENT(kvm_inj_virq,
	TP_PROTO(unsigned int vector, bool soft, bool reinjected),
	TP_ARGS(vector, soft, reinjected),
	TP_STRUCT__entry(
		__field(unsigned int, vector)
		__field(bool, soft)
		__field(bool, reinjected)
	),
	TP_fast_assign(
		__entry->vector = vector;
		__entry->soft = soft;
		__entry->reinjected = reinjected;
	),
	TP_printk("%s 0x%x%s", __entry->soft ? "Soft/INTn" : "IRQ", __entry->vector,
		  __entry->reinjected ? " [reinjected]" : "")
);

TRACE_EVENT(kvm_inj_exception,
	TP_PROTO(u8 exception, u8 has_error, u32 error_code),
	TP_ARGS(exception, has_error, error_code),
	TP_STRUCT__entry(
		__field(u8, exception)
		__field(u8, has_error)
		__field(u32, error_code)
		__field(bool, reinjected)
	),
	TP_fast_assign(
		__entry->exception = exception;
		__entry->has_error = has_error;
		__entry->error_code = error_code;
		__entry->reinjected = false;
	),
	TP_printk("%s (0x%x)%s",
		  __print_symbolic(__entry->exception, { 0, "#DE" }, { 1, "#DB" }, { 6, "#UD" }, { 10, "#TS" }, { 11, "#NP" },
				   { 12, "#SS" }, { 13, "#GP" }, { 14, "#PF" }, { 16, "#MF" }, { 17, "#AC" }, { 19, "#XM" }),
		  __entry->error_code, __entry->reinjected ? " [reinjected]" : "")
);

/* ---- interrupts on their way ---- */

#define TRACE_DELIVERY_MODES \
	{ 0, "Fixed" }, { 1, "LowPrio" }, { 2, "SMI" }, { 3, "Res3" }, { 4, "NMI" }, { 5, "INIT" }, { 6, "SIPI" }, { 7, "ExtINT" }

TRACE_EVENT(kvm_set_irq,
	TP_PROTO(unsigned int gsi, int level, int irq_source_id),
	TP_ARGS(gsi, level, irq_source_id),
	TP_STRUCT__entry(
		__field(unsigned int, gsi)
		__field(int, level)
		__field(int, irq_source_id)
	),
	TP_fast_assign(
		__entry->gsi = gsi;
		__entry->level = level;
		__entry->irq_source_id = irq_source_id;
	),
	TP_printk("gsi %u level %d source %d", __entry->gsi, __entry->level, __entry->irq_source_id)
);

TRACE_EVENT(kvm_ack_irq,
	TP_PROTO(unsigned int irqchip, unsigned int pin),
	TP_ARGS(irqchip, pin),
	TP_STRUCT__entry(
		__field(unsigned int, irqchip)
		__field(unsigned int, pin)
	),
	TP_fast_assign(
		__entry->irqchip = irqchip;
		__entry->pin = pin;
	),
	TP_printk("irqchip %s pin %u",
		  __print_symbolic(__entry->irqchip, { KVM_IRQCHIP_PIC_MASTER, "PIC master" },
				   { KVM_IRQCHIP_PIC_SLAVE, "PIC slave" }, { KVM_IRQCHIP_IOAPIC, "IOAPIC" }),
		  __entry->pin)
);

TRACE_EVENT(kvm_pic_set_irq,
	TP_PROTO(u8 chip, u8 pin, u8 elcr, u8 imr, bool coalesced),
	TP_ARGS(chip, pin, elcr, imr, coalesced),
	TP_STRUCT__entry(
		__field(u8, chip)
		__field(u8, pin)
		__field(u8, elcr)
		__field(u8, imr)
		__field(bool, coalesced)
	),
	TP_fast_assign(
		__entry->chip = chip;
		__entry->pin = pin;
		__entry->elcr = elcr;
		__entry->imr = imr;
		__entry->coalesced = coalesced;
	),
	TP_printk("chip %u pin %u (%s%s)%s", __entry->chip, __entry->pin,
		  __entry->elcr >> __entry->pin & 1 ? "level" : "edge",
		  __entry->imr >> __entry->pin & 1 ? "|masked" : "", __entry->coalesced ? " (coalesced)" : "")
);

/* e: the redirection entry. */
TRACE_EVENT(kvm_ioapic_set_irq,
	TP_PROTO(u64 e, int pin, bool coalesced),
	TP_ARGS(e, pin, coalesced),
	TP_STRUCT__entry(
		__field(u64, e)
		__field(int, pin)
		__field(bool, coalesced)
	),
	TP_fast_assign(
		__entry->e = e;
		__entry->pin = pin;
		__entry->coalesced = coalesced;
	),
	TP_printk("pin %u dst %x vec %u (%s|%s|%s%s)%s", __entry->pin, (u8)(__entry->e >> 56), (u8)__entry->e,
		  __print_symbolic((__entry->e >> 8) & 7, TRACE_DELIVERY_MODES),
		  __entry->e & 0x800 ? "logical" : "physical", __entry->e & 0x8000 ? "level" : "edge",
		  __entry->e & 0x10000 ? "|masked" : "", __entry->coalesced ? " (coalesced)" : "")
);

TRACE_EVENT(kvm_msi_set_irq,
	TP_PROTO(u64 address, u64 data),
	TP_ARGS(address, data),
	TP_STRUCT__entry(
		__field(u64, address)
		__field(u64, data)
	),
	TP_fast_assign(
		__entry->address = address;
		__entry->data = data;
	),
	TP_printk("dst %llx vec %u (%s|%s|%s%s)",
		  (u8)(__entry->address >> 12) | ((__entry->address >> 32) & 0xffffff00), (u8)__entry->data,
		  __print_symbolic((__entry->data >> 8) & 7, TRACE_DELIVERY_MODES),
		  __entry->address & 4 ? "logical" : "physical", __entry->data & 0x8000 ? "level" : "edge",
		  __entry->address & 8 ? "|rh" : "")
);

TRACE_EVENT(kvm_apic_ipi,
	TP_PROTO(u32 icr_low, u32 dest_id),
	TP_ARGS(icr_low, dest_id),
	TP_STRUCT__entry(
		__field(u32, icr_low)
		__field(u32, dest_id)
	),
	TP_fast_assign(
		__entry->icr_low = icr_low;
		__entry->dest_id = dest_id;
	),
	TP_printk("dst %x vec %u (%s|%s|%s|%s|%s)", __entry->dest_id, (u8)__entry->icr_low,
		  __print_symbolic((__entry->icr_low >> 8) & 7, TRACE_DELIVERY_MODES),
		  __entry->icr_low & 0x800 ? "logical" : "physical", __entry->icr_low & 0x4000 ? "assert" : "de-assert",
		  __entry->icr_low & 0x8000 ? "level" : "edge",
		  __print_symbolic((__entry->icr_low >> 18) & 3, { 0, "dst" }, { 1, "self" }, { 2, "all" }, { 3, "all-but-self" }))
);

/* dm: the delivery mode where ICR has it, from bit 8 on. */
TRACE_EVENT(kvm_apic_accept_irq,
	TP_PROTO(u32 apicid, u16 dm, u16 tm, u8 vec),
	TP_ARGS(apicid, dm, tm, vec),
	TP_STRUCT__entry(
		__field(u32, apicid)
		__field(u16, dm)
		__field(u16, tm)
		__field(u8, vec)
	),
	TP_fast_assign(
		__entry->apicid = apicid;
		__entry->dm = dm;
		__entry->tm = tm;
		__entry->vec = vec;
	),
	TP_printk("apicid %x vec %u (%s|%s)", __entry->apicid, __entry->vec,
		  __print_symbolic((__entry->dm >> 8) & 7, TRACE_DELIVERY_MODES), __entry->tm ? "level" : "edge")
);

TRACE_EVENT(kvm_eoi,
	TP_PROTO(u32 apicid, int vector),
	TP_ARGS(apicid, vector),
	TP_STRUCT__entry(
		__field(u32, apicid)
		__field(int, vector)
	),
	TP_fast_assign(
		__entry->apicid = apicid;
		__entry->vector = vector;
	),
	TP_printk("apicid %x vector %d", __entry->apicid, __entry->vector)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
