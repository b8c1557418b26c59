// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * log.c - the processor's own log of a guest's writes, where there is one
 * (ABI_FEATURE_LOG): when it is on, and from a vCPU's log page into the slots'
 * dirty bitmaps.
 *
 * Owns: vm.log, vm.log_refused, vcpu.stays. Invariant: while a page is mapped for
 * it (MAP_LOG), every stay has the log on; a page that was written has its bit
 * set, or stands in the log page of a vCPU that has not come back yet.
 * Called by: memslot.c, run.c, the exit table. Calls: map.c.
 * Concurrency: slots_lock, but for log_drain(): the vCPU's own, interrupts off.
 * See: docs/abi.md, "The log of writes"; SDM volume 3, 29.3.6.
 */
#include "tenon.h"

DEFINE_STATIC_KEY_FALSE(log_key);

/* Out of its guest, if it is there now. Pairs with run_enter(). */
static void wait_for(struct vcpu *v)
{
	u32 stays = READ_ONCE(v->stays);

	smp_mb();
	if (!READ_ONCE(v->in_guest))
		return;
	vcpu_kick(v);
	while (smp_load_acquire(&v->in_guest) && smp_load_acquire(&v->stays) == stays)
		cpu_relax();
}

void log_sync(struct vm *vm)
{
	u32 i;

	for (i = 0; vm->log && i < ABI_MAX_VCPUS; i++) {
		struct vcpu *v = READ_ONCE(vm->vcpu[i]);

		if (v)
			wait_for(v);
	}
}

/* When it returns no vCPU is in its guest otherwise, nor has one a log that is not taken. */
static void log_switch(struct vm *vm, bool on)
{
	u32 i;

	if (on)
		static_branch_inc(&log_key);
	WRITE_ONCE(vm->log, on);
	for (i = 0; i < ABI_MAX_VCPUS; i++) {
		struct vcpu *v = READ_ONCE(vm->vcpu[i]);

		if (v)
			arch_log_ask(v);
		while (v && smp_load_acquire(&v->in_guest) && arch_log_on(v) != on)
			cpu_relax();
	}
	if (!on)
		static_branch_dec(&log_key);
}

void log_begin(struct vm *vm)
{
	if (arch_has_log() && !vm->log && !vm->log_refused)
		log_switch(vm, true);
}

void log_end(struct vm *vm)
{
	if (vm->log)
		log_switch(vm, false);
}

void log_free(struct vm *vm)
{
	if (vm->log)
		static_branch_dec(&log_key);
}

/* A guest whose page tables it may not write: with a log, walks of them count as writes. */
void log_refuse(struct vm *vm)
{
	struct slots *slots;
	u32 i;

	mutex_lock(&vm->slots_lock);
	spin_lock(&vm->mmu_lock);
	WRITE_ONCE(vm->log_refused, true);
	spin_unlock(&vm->mmu_lock);
	slots = rcu_dereference_protected(vm->slots, lockdep_is_held(&vm->slots_lock));
	for (i = 0; vm->log && i < slots->count; i++) {
		struct slot *slot = slots->slot[i];

		if (slot->dirty)
			map_remove(vm, slot, slot->gfn, slot->pages);
	}
	/* Not before: until here a write may be heard of by the log alone. */
	log_end(vm);
	mutex_unlock(&vm->slots_lock);
}

void log_drain(struct vcpu *v)
{
	int idx = srcu_read_lock(&v->vm->srcu);
	const u64 *entry;
	u32 count = arch_log(v, &entry), i;

	for (i = 0; i < count; i++) {
		u64 gfn = entry[i] >> PAGE_SHIFT;
		struct slot *slot = slot_find_any(v->vm, gfn);

		if (slot)
			slot_mark_dirty(slot, gfn);
	}
	srcu_read_unlock(&v->vm->srcu, idx);
	v->logged += count;
	/* Who waits for the stay's end finds the bits set. */
	smp_store_release(&v->stays, v->stays + 1);
}
