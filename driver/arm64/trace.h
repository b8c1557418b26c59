/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * arm64/trace.h - the trace events of Linux's own KVM, which is part of the
 * kernel there and not used: what this driver does is told by them, so that
 * tools see a guest's run as on KVM. A module's own events of the same names
 * would have no place in tracefs.
 *
 * Invariant: an event says what the driver has seen or done. Exits that the
 * hypervisor answers itself are none.
 * Included by: what meets the events. See: docs/abi.md, trace events.
 */
#ifndef DRIVER_ARM64_TRACE_H
#define DRIVER_ARM64_TRACE_H

#include <linux/tracepoint-defs.h>

#include "tenon.h"

/* KVM's name, and an index of trace_points. */
#define TRACE_POINTS(X) \
	X(kvm_ack_irq) X(kvm_entry) X(kvm_exit) X(kvm_guest_fault) X(kvm_irq_line) \
	X(kvm_mmio) X(kvm_set_irq) X(kvm_userspace_exit) X(kvm_vcpu_wakeup)

enum trace_point {
#define TRACE_POINT(name) TRACE_##name,
	TRACE_POINTS(TRACE_POINT)
#undef TRACE_POINT
	TRACE_POINT_COUNT
};

/* The kernel's, or one that is never on. */
extern struct tracepoint *trace_points[TRACE_POINT_COUNT];

static __always_inline bool trace_on(enum trace_point point)
{
	return unlikely(atomic_read(&trace_points[point]->key.enabled));
}

/* The end of a KVM_RUN tells of an access that goes to the VMM, too, so that its own way has no look at that. */
static __always_inline bool trace_kvm_userspace_exit_enabled(void)
{
	return trace_on(TRACE_kvm_userspace_exit) || trace_on(TRACE_kvm_mmio);
}

/* Values of kvm_mmio's type: a read that goes to the VMM; its answer, or the GIC's; a write. */
enum { TRACE_MMIO_ASK, TRACE_MMIO_READ, TRACE_MMIO_WRITE };

/* For events that are on. */
void trace_tell_ack(u32 chip, u32 pin);
void trace_tell_entry(struct vcpu *v);
void trace_tell_exit(const struct vcpu *v);
void trace_tell_fault(const struct vcpu *v);
void trace_tell_line(u32 type, int vcpu, int irq, int level);
void trace_tell_mmio(int type, int len, u64 gpa, u64 value);
void trace_tell_set(u32 gsi, int level, int source);
void trace_tell_return(const struct vcpu *v, int rc);
void trace_tell_wakeup(u64 ns);

#define TRACE_CALL(name, parameters, call) \
static __always_inline void trace_##name parameters \
{ \
	if (trace_on(TRACE_##name)) \
		call; \
}
TRACE_CALL(kvm_ack_irq, (u32 chip, u32 pin), trace_tell_ack(chip, pin))
TRACE_CALL(kvm_entry, (struct vcpu *v), trace_tell_entry(v))
TRACE_CALL(kvm_exit, (const struct vcpu *v), trace_tell_exit(v))
TRACE_CALL(kvm_guest_fault, (const struct vcpu *v), trace_tell_fault(v))
TRACE_CALL(kvm_irq_line, (u32 type, int vcpu, int irq, int level), trace_tell_line(type, vcpu, irq, level))
TRACE_CALL(kvm_mmio, (int type, int len, u64 gpa, u64 value), trace_tell_mmio(type, len, gpa, value))
TRACE_CALL(kvm_set_irq, (u32 gsi, int level, int source), trace_tell_set(gsi, level, source))
TRACE_CALL(kvm_vcpu_wakeup, (u64 ns), trace_tell_wakeup(ns))
#undef TRACE_CALL

static inline void trace_kvm_userspace_exit(const struct vcpu *v, int rc)
{
	trace_tell_return(v, rc);
}

/* At load: find them. */
void trace_init(void);

#endif
