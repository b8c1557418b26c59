/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * counters.h - KVM's statistics, by KVM's names: one list for VMs, one for
 * vCPUs, of what is really counted here.
 *
 * A row: name, type (KVM_STATS_TYPE_* without its prefix), unit likewise,
 * exponent of ten. Counted by the vCPU's own thread, or under the lock of what is
 * counted; read without any.
 * Included by: tenon.h.
 */
#ifndef DRIVER_COUNTERS_H
#define DRIVER_COUNTERS_H

#define VM_COUNTERS(X) \
	X(remote_tlb_flush, CUMULATIVE, NONE, 0) \
	X(remote_tlb_flush_requests, CUMULATIVE, NONE, 0) \
	X(pages_4k, INSTANT, NONE, 0) \
	X(pages_2m, INSTANT, NONE, 0) \
	X(pages_1g, INSTANT, NONE, 0)

#define VCPU_COUNTERS(X) \
	X(halt_wakeup, CUMULATIVE, NONE, 0) \
	X(halt_wait_ns, CUMULATIVE, SECONDS, -9) \
	X(blocking, INSTANT, BOOLEAN, 0) \
	X(pf_taken, CUMULATIVE, NONE, 0) \
	X(pf_fixed, CUMULATIVE, NONE, 0) \
	X(pf_emulate, CUMULATIVE, NONE, 0) \
	X(exits, CUMULATIVE, NONE, 0) \
	X(io_exits, CUMULATIVE, NONE, 0) \
	X(mmio_exits, CUMULATIVE, NONE, 0) \
	X(signal_exits, CUMULATIVE, NONE, 0) \
	X(irq_window_exits, CUMULATIVE, NONE, 0) \
	X(halt_exits, CUMULATIVE, NONE, 0) \
	X(request_irq_exits, CUMULATIVE, NONE, 0) \
	X(irq_exits, CUMULATIVE, NONE, 0) \
	X(insn_emulation, CUMULATIVE, NONE, 0) \
	X(insn_emulation_fail, CUMULATIVE, NONE, 0)

#define COUNTER_FIELD(name, type, unit, exponent) u64 name;
struct vm_counters {
	VM_COUNTERS(COUNTER_FIELD)
};

struct vcpu_counters {
	VCPU_COUNTERS(COUNTER_FIELD)
};
#undef COUNTER_FIELD

struct vcpu;
struct vm;

/* The directory of all VMs, and a VM's own below it; fd: the VM's, for its name. */
void counters_init(void);
void counters_exit(void);
void counters_add_vm(struct vm *vm, int fd);
void counters_remove_vm(struct vm *vm);
/* All VMs that have a descriptor; none is freed meanwhile. */
void counters_each_vm(void (*fn)(struct vm *vm));
/* KVM_GET_STATS_FD */
long counters_vm_fd(void *object, unsigned long arg);
long counters_vcpu_fd(void *object, unsigned long arg);

#endif
