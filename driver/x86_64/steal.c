// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * steal.c - how long a vCPU's thread was ready to run and did not, written to
 * the place in guest memory that MSR_KVM_STEAL_TIME names.
 *
 * Owns: vcpu.arch.steal. Invariant: the record's version is odd while it
 * changes. "Preempted" is never said: the guest is told at the next entry only.
 * Called by: msr.c, exits.c. Concurrency: v->lock, in the vCPU's thread.
 * See: Documentation/virt/kvm/x86/msr.rst.
 */
#include <linux/kvm_para.h>
#include <linux/sched.h>

#include "tenon.h"
#include "x86_64/steal.h"

int steal_write(struct vcpu *v, u64 value)
{
	if (value & KVM_STEAL_RESERVED_MASK)
		return MSR_BAD;
	v->arch.steal.msr = value;
	return 0;
}

/* One part of the record, in the order that a reader on another CPU must see. */
static int put(struct slot *slot, u64 gpa, const void *data, u32 bytes)
{
	int rc = slot_write(slot, gpa, data, bytes);

	smp_wmb();
	return rc;
}

/* The version may be anything before the first time. vm.srcu held. */
static void record(struct slot *slot, u64 gpa, u64 delay)
{
	struct kvm_steal_time st;

	if (slot_read(slot, gpa, &st, sizeof(st)))
		return;
	st.version = round_up(st.version, 2) + 1;
	if (put(slot, gpa + offsetof(struct kvm_steal_time, version), &st.version, sizeof(st.version)))
		return;
	st.steal += delay;
	st.preempted = 0;
	put(slot, gpa + offsetof(struct kvm_steal_time, steal), &st.steal, sizeof(st.steal));
	put(slot, gpa + offsetof(struct kvm_steal_time, preempted), &st.preempted, sizeof(st.preempted));
	st.version++;
	put(slot, gpa + offsetof(struct kvm_steal_time, version), &st.version, sizeof(st.version));
}

void steal_update(struct vcpu *v)
{
	u64 gpa = v->arch.steal.msr & KVM_STEAL_VALID_BITS, delay = current->sched_info.run_delay;
	struct slot *slot;
	int idx;

	if (likely(!(v->arch.steal.msr & KVM_MSR_ENABLED)))
		return;
	idx = srcu_read_lock(&v->vm->srcu);
	slot = slot_find(v->vm, gpa >> PAGE_SHIFT);
	if (slot && !(slot->flags & KVM_MEM_READONLY))
		record(slot, gpa, delay - v->arch.steal.seen);
	srcu_read_unlock(&v->vm->srcu, idx);
	v->arch.steal.seen = delay;
}

void steal_check(struct vcpu *v)
{
	if (unlikely(v->arch.steal.msr & KVM_MSR_ENABLED) && current->sched_info.run_delay != v->arch.steal.seen)
		steal_update(v);
}
