// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * memory.c - guest memory as the models of arm64 read and write it: within one
 * page, by the VM's slots.
 *
 * Owns: nothing. Called by: gic_lpi.c, its.c. Concurrency: vm.srcu, taken here.
 */
#include "tenon.h"

/* The slot that an access of these bytes lies in, or NULL. vm.srcu held. */
static struct slot *slot_for(struct vm *vm, u64 gpa, u32 bytes, bool write)
{
	struct slot *slot = offset_in_page(gpa) + bytes <= PAGE_SIZE ? slot_find(vm, gpa >> PAGE_SHIFT) : NULL;

	return slot && write && slot->flags & KVM_MEM_READONLY ? NULL : slot;
}

int guest_read(struct vm *vm, u64 gpa, void *data, u32 bytes)
{
	int idx = srcu_read_lock(&vm->srcu), rc = -EFAULT;
	struct slot *slot = slot_for(vm, gpa, bytes, false);

	if (slot)
		rc = slot_read(slot, gpa, data, bytes);
	srcu_read_unlock(&vm->srcu, idx);
	return rc;
}

int guest_write(struct vm *vm, u64 gpa, const void *data, u32 bytes)
{
	int idx = srcu_read_lock(&vm->srcu), rc = -EFAULT;
	struct slot *slot = slot_for(vm, gpa, bytes, true);

	if (slot)
		rc = slot_write(slot, gpa, data, bytes);
	srcu_read_unlock(&vm->srcu, idx);
	return rc;
}

bool guest_visible(struct vm *vm, u64 gpa)
{
	int idx = srcu_read_lock(&vm->srcu);
	bool visible = slot_find(vm, gpa >> PAGE_SHIFT);

	srcu_read_unlock(&vm->srcu, idx);
	return visible;
}
