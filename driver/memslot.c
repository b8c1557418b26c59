// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * memslot.c - memory slots, the dirty log, and the driver's own access to
 * guest memory.
 *
 * Owns: vm.slots, an array sorted by guest address that is replaced whole.
 * Invariant: once a change has returned, no CPU uses a mapping of the old slot. One that leaves is first `gone`: no fault finds
 * it any more. When the readers from before are done (a fault maps while it reads), it is unmapped, and only then does Linux,
 * which takes pages away meanwhile, lose it.
 * Called by: VM ioctls, map.c, the instruction emulation.
 * Concurrency: vm.slots_lock to change, vm.srcu to read.
 * See: Documentation/virt/kvm/api.rst 4.8, 4.35, 4.117.
 */
#include <linux/slab.h>

#include "tenon.h"

#define SLOT_IDS 32764u			/* as KVM on x86 advertises; ids are 16 bits wide */
#define SLOT_MAX_PAGES ((1ull << 31) - 1)
#define SLOT_FLAGS (KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY)

/* ---- reading ---- */

struct slot *slot_find_any(struct vm *vm, u64 gfn)
{
	struct slots *slots = srcu_dereference(vm->slots, &vm->srcu);
	u32 low = 0, high = slots->count;

	/* The last slot that begins at or below gfn. */
	while (low < high) {
		u32 mid = (low + high) / 2;

		if (slots->slot[mid]->gfn <= gfn)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low || gfn - slots->slot[low - 1]->gfn >= slots->slot[low - 1]->pages)
		return NULL;
	return slots->slot[low - 1];
}

struct slot *slot_find(struct vm *vm, u64 gfn)
{
	struct slot *slot = slot_find_any(vm, gfn);

	return slot && likely(!READ_ONCE(slot->gone)) ? slot : NULL;
}

void slot_mark_dirty(struct slot *slot, u64 gfn)
{
	if (slot->dirty)
		set_bit(gfn - slot->gfn, slot->dirty);
}

/*
 * Small copies in one or two accesses of the operand's own size: a guest's other
 * CPUs see an aligned write whole. The slot's range passed access_ok() when it
 * was set, so the quick accessors do.
 */
static int read_small(void *buf, unsigned long hva, unsigned int len)
{
	u64 low, high;

	if (len >= 8) {
		/* Two words that may overlap serve 8 to 16 bytes. */
		if (__get_user(low, (u64 __user *)hva) || __get_user(high, (u64 __user *)(hva + len - 8)))
			return -EFAULT;
		memcpy(buf, &low, 8);
		memcpy(buf + len - 8, &high, 8);
		return 0;
	}
	if (len == 4)
		return __get_user(*(u32 *)buf, (u32 __user *)hva);
	return __copy_from_user(buf, (void __user *)hva, len) ? -EFAULT : 0;
}

static int write_small(unsigned long hva, const void *buf, unsigned int len)
{
	switch (len) {
	case 1: return __put_user(*(u8 *)buf, (u8 __user *)hva);
	case 2: return __put_user(*(u16 *)buf, (u16 __user *)hva);
	case 4: return __put_user(*(u32 *)buf, (u32 __user *)hva);
	case 8: return __put_user(*(u64 *)buf, (u64 __user *)hva);
	}
	return __copy_to_user((void __user *)hva, buf, len) ? -EFAULT : 0;
}

int slot_read(const struct slot *slot, u64 gpa, void *buf, unsigned int len)
{
	unsigned long hva = slot_hva(slot, gpa >> PAGE_SHIFT) + offset_in_page(gpa);

	if (len <= 16)
		return read_small(buf, hva, len);
	return __copy_from_user(buf, (void __user *)hva, len) ? -EFAULT : 0;
}

int slot_write(struct slot *slot, u64 gpa, const void *buf, unsigned int len)
{
	unsigned long hva = slot_hva(slot, gpa >> PAGE_SHIFT) + offset_in_page(gpa);
	int rc = write_small(hva, buf, len);

	if (!rc)
		slot_mark_dirty(slot, gpa >> PAGE_SHIFT);
	return rc;
}

/* ---- changing ---- */

static struct slots *slots_current(struct vm *vm)
{
	return rcu_dereference_protected(vm->slots, lockdep_is_held(&vm->slots_lock));
}

static struct slots *slots_alloc(u32 count)
{
	struct slots *slots = kvmalloc(struct_size(slots, slot, count), GFP_KERNEL_ACCOUNT);

	if (slots)
		slots->count = count;
	return slots;
}

int slots_init(struct vm *vm)
{
	struct slots *slots = slots_alloc(0);

	if (slots)
		slots->serial = SLOTS_FIRST;
	vm->slots_serial = SLOTS_FIRST;
	RCU_INIT_POINTER(vm->slots, slots);
	return slots ? 0 : -ENOMEM;
}

static void slot_free(struct slot *slot)
{
	if (!slot)
		return;
	kvfree(slot->dirty);
	kvfree(slot->mapped);
	kvfree(slot->large);
	kvfree(slot->idle);
	kfree(slot);
}

void slots_free(struct vm *vm)
{
	struct slots *slots = rcu_dereference_protected(vm->slots, true);
	u32 i;

	for (i = 0; i < slots->count; i++)
		slot_free(slots->slot[i]);
	kvfree(slots);
}

/*
 * Publish `to`, which has the room: the set without `old` and with `new` (either may be NULL). Returns when no reader uses the
 * former set.
 */
static void slots_publish(struct vm *vm, struct slots *to, struct slot *old, struct slot *new)
{
	struct slots *from = slots_current(vm);
	u32 i, n = 0;

	to->serial = from->serial + 1;
	for (i = 0; i < from->count; i++) {
		struct slot *slot = from->slot[i];

		if (slot == old)
			continue;
		if (new && slot->gfn > new->gfn) {
			to->slot[n++] = new;
			new = NULL;
		}
		to->slot[n++] = slot;
	}
	if (new)
		to->slot[n++] = new;
	rcu_assign_pointer(vm->slots, to);
	WRITE_ONCE(vm->slots_serial, to->serial);
	synchronize_srcu_expedited(&vm->srcu);
	kvfree(from);
}

static struct slot *slot_by_id(struct slots *slots, u32 id)
{
	u32 i;

	for (i = 0; i < slots->count; i++) {
		if (slots->slot[i]->id == id)
			return slots->slot[i];
	}
	return NULL;
}

static bool slot_overlaps(struct slots *slots, const struct slot *old, u64 gfn, u64 pages)
{
	u32 i;

	for (i = 0; i < slots->count; i++) {
		const struct slot *slot = slots->slot[i];

		if (slot != old && slot->gfn < gfn + pages && gfn < slot->gfn + slot->pages)
			return true;
	}
	return false;
}

static unsigned long bitmap_bytes(const struct slot *slot)
{
	return ALIGN(slot->pages, BITS_PER_LONG) / 8;
}

/* The bitmaps that `new` needs; for the log the old slot's, a fresh one, or none. */
static int slot_bitmaps(struct vm *vm, struct slot *new, struct slot *old)
{
	new->mapped = kvzalloc(bitmap_bytes(new), GFP_KERNEL_ACCOUNT);
	new->large = kvzalloc(BITS_TO_LONGS(slot_windows(new)) * sizeof(long), GFP_KERNEL_ACCOUNT);
	new->idle = kvzalloc(bitmap_bytes(new), GFP_KERNEL_ACCOUNT);
	if (!new->mapped || !new->large || !new->idle)
		return -ENOMEM;
	if (!(new->flags & KVM_MEM_LOG_DIRTY_PAGES))
		return 0;
	if (old && old->dirty) {
		new->dirty = old->dirty;
		return 0;
	}
	new->dirty = kvzalloc(bitmap_bytes(new), GFP_KERNEL_ACCOUNT);
	if (!new->dirty)
		return -ENOMEM;
	if (vm->dirty_manual & KVM_DIRTY_LOG_INITIALLY_SET)
		bitmap_set(new->dirty, 0, new->pages);
	return 0;
}

static int slot_add(struct vm *vm, struct slot *new)
{
	struct slots *to = slots_alloc(slots_current(vm)->count + 1);

	if (!to)
		return -ENOMEM;
	slots_publish(vm, to, NULL, new);
	return 0;
}

/* `old` leaves; then `new`, the same at another place, or NULL, is there. For a moment it is nowhere, as in KVM. */
static int slot_leave(struct vm *vm, struct slot *old, struct slot *new)
{
	u32 count = slots_current(vm)->count;
	struct slots *same = slots_alloc(count), *to = slots_alloc(count - !new);

	if (!same || !to) {
		kvfree(same);
		kvfree(to);
		return -ENOMEM;
	}
	WRITE_ONCE(old->gone, true);
	slots_publish(vm, same, NULL, NULL);
	map_remove(vm, old, old->gfn, old->pages);
	/* What was written until now is in the bitmap before another slot takes it over. */
	if (old->dirty)
		log_sync(vm);
	slots_publish(vm, to, old, new);
	return 0;
}

static int slot_delete(struct vm *vm, struct slot *old)
{
	int rc = slot_leave(vm, old, NULL);

	if (!rc)
		slot_free(old);
	return rc;
}

/* `new` in the place of old, with other flags. */
static int slot_turn(struct vm *vm, struct slot *new, struct slot *old)
{
	struct slots *to = slots_alloc(slots_current(vm)->count);

	if (!to)
		return -ENOMEM;
	slots_publish(vm, to, old, new);
	/* Writable mappings must go before a log can be true. */
	if (new->dirty && !old->dirty)
		map_remove(vm, new, new->gfn, new->pages);
	return 0;
}

/* Put `new` in the place of old: moved, or with other flags. */
static int slot_replace(struct vm *vm, struct slot *new, struct slot *old)
{
	int rc = new->gfn != old->gfn ? slot_leave(vm, old, new) : slot_turn(vm, new, old);

	if (rc)
		return rc;
	if (old->dirty == new->dirty)
		old->dirty = NULL;
	slot_free(old);
	return 0;
}

static int slot_change(struct vm *vm, const struct slot *want, struct slot *old)
{
	struct slot *new = kmemdup(want, sizeof(*want), GFP_KERNEL_ACCOUNT);
	bool borrowed;
	int rc;

	if (!new)
		return -ENOMEM;
	rc = slot_bitmaps(vm, new, old);
	borrowed = old && old->dirty && new->dirty == old->dirty;
	if (!rc && new->dirty)
		log_begin(vm);
	if (!rc)
		rc = old ? slot_replace(vm, new, old) : slot_add(vm, new);
	if (rc) {
		if (borrowed)
			new->dirty = NULL;
		slot_free(new);
	}
	return rc;
}

/* KVM's checks of one request by itself. */
static int slot_check(const struct kvm_userspace_memory_region *r)
{
	if (r->flags & ~SLOT_FLAGS)
		return -EINVAL;
	if ((r->memory_size | r->guest_phys_addr | r->userspace_addr) & ~PAGE_MASK)
		return -EINVAL;
	if (!access_ok((void __user *)(unsigned long)r->userspace_addr, r->memory_size))
		return -EINVAL;
	/* The upper half names an address space; there is one. */
	if (r->slot >= SLOT_IDS)
		return -EINVAL;
	if (r->guest_phys_addr + r->memory_size < r->guest_phys_addr)
		return -EINVAL;
	return (r->memory_size >> PAGE_SHIFT) > SLOT_MAX_PAGES ? -EINVAL : 0;
}

/* The request against what there is. */
static int slot_apply(struct vm *vm, const struct kvm_userspace_memory_region *r)
{
	struct slots *slots = slots_current(vm);
	struct slot *old = slot_by_id(slots, r->slot);
	struct slot want = {
		.gfn = r->guest_phys_addr >> PAGE_SHIFT,
		.pages = r->memory_size >> PAGE_SHIFT,
		.hva = r->userspace_addr,
		.id = r->slot,
		.flags = r->flags,
	};

	if (!want.pages)
		return old ? slot_delete(vm, old) : -EINVAL;
	if (old) {
		if (want.hva != old->hva || want.pages != old->pages ||
		    ((want.flags ^ old->flags) & KVM_MEM_READONLY))
			return -EINVAL;
		if (want.gfn == old->gfn && want.flags == old->flags)
			return 0;
	}
	if ((!old || want.gfn != old->gfn) && slot_overlaps(slots, old, want.gfn, want.pages))
		return -EEXIST;
	if (want.gfn + want.pages - 1 > arch_max_gfn())
		return -EINVAL;
	return slot_change(vm, &want, old);
}

static bool slots_logged(struct vm *vm)
{
	struct slots *slots = slots_current(vm);
	u32 i;

	for (i = 0; i < slots->count; i++) {
		if (slots->slot[i]->dirty)
			return true;
	}
	return false;
}

long slots_set(void *object, unsigned long arg)
{
	struct kvm_userspace_memory_region region;
	struct vm *vm = object;
	int rc;

	if (copy_from_user(&region, (void __user *)arg, sizeof(region)))
		return -EFAULT;
	rc = slot_check(&region);
	if (rc)
		return rc;
	mutex_lock(&vm->slots_lock);
	rc = slot_apply(vm, &region);
	if (!slots_logged(vm))
		log_end(vm);
	mutex_unlock(&vm->slots_lock);
	return rc;
}

/* ---- dirty log ---- */

/* The logged slot that a request names. slots_lock held. */
static struct slot *dirty_slot(struct vm *vm, u32 id)
{
	struct slot *slot;

	if (id >= SLOT_IDS)
		return ERR_PTR(-EINVAL);
	slot = slot_by_id(slots_current(vm), id);
	return slot && slot->dirty ? slot : ERR_PTR(-ENOENT);
}

/*
 * Take those of the wanted bits that are set, of `words` words from one on, and
 * protect their pages, in one step against map_fault(), which sets a bit and maps
 * under the same lock. `bits`: the wanted ones, then those taken.
 */
static void dirty_take(struct vm *vm, struct slot *slot, unsigned long word, u32 words, unsigned long *bits)
{
	unsigned long any = 0;
	u32 i;

	for (i = 0; i < words; i++)
		any |= bits[i] &= READ_ONCE(slot->dirty[word + i]);
	if (!any)
		return;
	spin_lock(&vm->mmu_lock);
	for (i = 0; i < words; i++)
		atomic_long_andnot(bits[i], (atomic_long_t *)&slot->dirty[word + i]);
	map_protect(vm, slot, slot->gfn + word * BITS_PER_LONG, bits, words);
	spin_unlock(&vm->mmu_lock);
	cond_resched();
}

static void dirty_copy(struct vm *vm, struct slot *slot, unsigned long *copy, unsigned long words)
{
	bool manual = READ_ONCE(vm->dirty_manual);
	unsigned long i;

	for (i = 0; manual && i < words; i++)
		copy[i] = READ_ONCE(slot->dirty[i]);
	if (manual)
		return;
	memset(copy, 0xff, words * sizeof(long));
	for (i = 0; i < words; i += DIRTY_WORDS)
		dirty_take(vm, slot, i, min_t(unsigned long, words - i, DIRTY_WORDS), copy + i);
}

static int dirty_get(struct vm *vm, const struct kvm_dirty_log *log)
{
	struct slot *slot = dirty_slot(vm, log->slot);
	unsigned long words, *copy;
	int rc = 0;

	if (IS_ERR(slot))
		return PTR_ERR(slot);
	words = bitmap_bytes(slot) / sizeof(long);
	copy = kvmalloc_array(words, sizeof(long), GFP_KERNEL_ACCOUNT);
	if (!copy)
		return -ENOMEM;
	log_sync(vm);
	dirty_copy(vm, slot, copy, words);
	if (copy_to_user(log->dirty_bitmap, copy, words * sizeof(long)))
		rc = -EFAULT;
	kvfree(copy);
	return rc;
}

long slots_get_dirty_log(void *object, unsigned long arg)
{
	struct kvm_dirty_log log;
	struct vm *vm = object;
	int rc;

	if (copy_from_user(&log, (void __user *)arg, sizeof(log)))
		return -EFAULT;
	mutex_lock(&vm->slots_lock);
	rc = dirty_get(vm, &log);
	mutex_unlock(&vm->slots_lock);
	return rc;
}

static int dirty_clear(struct vm *vm, const struct kvm_clear_dirty_log *log)
{
	const unsigned long __user *user = log->dirty_bitmap;
	struct slot *slot = dirty_slot(vm, log->slot);
	unsigned long bits[DIRTY_WORDS];
	u32 words;
	u64 page;

	if (log->first_page % BITS_PER_LONG)
		return -EINVAL;
	if (IS_ERR(slot))
		return PTR_ERR(slot);
	if (log->first_page > slot->pages || log->num_pages > slot->pages - log->first_page)
		return -EINVAL;
	if (log->num_pages % BITS_PER_LONG && log->first_page + log->num_pages != slot->pages)
		return -EINVAL;
	for (page = 0; page < log->num_pages; page += DIRTY_WORDS * BITS_PER_LONG, user += words) {
		words = min_t(u64, DIV_ROUND_UP_ULL(log->num_pages - page, BITS_PER_LONG), DIRTY_WORDS);
		if (copy_from_user(bits, user, words * sizeof(long)))
			return -EFAULT;
		dirty_take(vm, slot, (log->first_page + page) / BITS_PER_LONG, words, bits);
	}
	return 0;
}

long slots_clear_dirty_log(void *object, unsigned long arg)
{
	struct kvm_clear_dirty_log log;
	struct vm *vm = object;
	int rc;

	if (copy_from_user(&log, (void __user *)arg, sizeof(log)))
		return -EFAULT;
	mutex_lock(&vm->slots_lock);
	rc = dirty_clear(vm, &log);
	mutex_unlock(&vm->slots_lock);
	return rc;
}
