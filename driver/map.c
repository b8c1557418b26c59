// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * map.c - guest memory on demand: the pages that Linux has behind a slot, given
 * to the guest at its faults and taken back when Linux wants them.
 *
 * Owns: the invalidation count and sequence of a VM. Invariant: a page is
 * mapped only while Linux's own table maps it: it is found first, then mapped
 * under mmu_lock if no invalidation began or ended meanwhile. No page is
 * pinned; the reference taken to look at it is dropped after mapping.
 * Called by: the exit table (faults), Linux (notifiers), memslot.c.
 * Concurrency: mmu_lock around the check and OP_MAP; see tenon.h.
 * See: abi/ops.h OP_MAP, OP_UNMAP; Documentation/mm/mmu_notifier.rst.
 */
#include <linux/pagemap.h>

#include "tenon.h"

#define GROUP_PAGES 16u		/* brought in together, so that small pages don't cost a fault each */
#define TAG_WRITE 1ul		/* in a pointer of v->pages: the guest may write */

/* One fault's work: pages[i] is guest frame first + i, NULL where Linux has none at hand. */
struct window {
	struct vm *vm;
	struct slot *slot;
	u64 gfn;
	u64 first;
	u32 count;
	bool write;
	struct page **pages;
};

static struct page *page_of(struct page *tagged)
{
	return (struct page *)((unsigned long)tagged & ~TAG_WRITE);
}

static bool page_writable(struct page *tagged)
{
	return (unsigned long)tagged & TAG_WRITE;
}

static unsigned long window_hva(const struct window *w, u32 i)
{
	return slot_hva(w->slot, w->first + i);
}

/* The part of the slot that shares the fault's aligned 2 MiB. */
static void window_init(struct window *w, struct vcpu *v, struct slot *slot, u64 gfn, bool write)
{
	u64 end = min(slot->gfn + slot->pages, ALIGN_DOWN(gfn, WINDOW_PAGES) + WINDOW_PAGES);

	w->vm = v->vm;
	w->slot = slot;
	w->gfn = gfn;
	w->first = max_t(u64, slot->gfn, ALIGN_DOWN(gfn, WINDOW_PAGES));
	w->count = end - w->first;
	w->write = write;
	w->pages = v->pages;
}

/* Pages that Linux has mapped already, from i on: how many, without a gap. */
static u32 window_look(struct window *w, u32 i, u32 count, bool writable)
{
	int n = get_user_pages_fast_only(window_hva(w, i), count, writable ? FOLL_WRITE : 0, w->pages + i);
	int k;

	if (n <= 0)
		return 0;
	for (k = 0; writable && k < n; k++)
		w->pages[i + k] = (struct page *)((unsigned long)w->pages[i + k] | TAG_WRITE);
	return n;
}

/*
 * Pages from i on that the guest may lack: it has a neighbour whose bit is set
 * already, and one that Linux found idle would count as used if it was mapped.
 */
static u32 window_missing(const struct window *w, u32 i)
{
	u64 base = w->first - w->slot->gfn;
	u64 at = base + i + (w->first + i == w->gfn);
	u64 mapped = find_next_bit(w->slot->mapped, base + w->count, at);

	return find_next_bit(w->slot->idle, mapped, min(at, mapped)) - base - i;
}

/*
 * Linux's zero page, at which memory never written reads, is no page to give:
 * thousands of guest pages would share it, and each would fault again.
 */
static bool page_is_blank(struct page *page)
{
	return !READ_ONCE(compound_head(page)->mapping);
}

/* Of `n` read-only neighbours keep what is worth mapping. */
static void window_drop_blank(struct window *w, u32 i, u32 n)
{
	for (; n; i++, n--) {
		if (w->first + i == w->gfn || !page_is_blank(w->pages[i]))
			continue;
		put_page(w->pages[i]);
		w->pages[i] = NULL;
	}
}

/* One group's part of the collection, up to `end`: the first run of present pages. */
static u32 window_collect_readable(struct window *w, u32 i, u32 end)
{
	/* A neighbour that a write would have to copy first is no gain after a write. */
	u32 n = w->write ? 0 : window_look(w, i, end - i, false);

	window_drop_blank(w, i, n);
	return i + n;
}

/* Collect what is present: writable where the slot and Linux allow it. */
static void window_collect(struct window *w)
{
	bool may_write = !(w->slot->flags & KVM_MEM_READONLY);
	u32 i = 0, run, end;

	while (i < w->count) {
		run = i + window_missing(w, i);
		if (may_write && i < run)
			i += window_look(w, i, run - i, true);
		if (i < run) {
			end = min_t(u32, run, ALIGN(w->first + i + 1, GROUP_PAGES) - w->first);
			i = window_collect_readable(w, i, end);
			while (i < end)
				w->pages[i++] = NULL;
		} else if (i < w->count) {
			w->pages[i++] = NULL;
		}
	}
}

/* Is the fault's page at hand, fit to be mapped? */
static bool window_ready(struct window *w, unsigned int flags)
{
	struct page *page;
	bool ready;

	if (get_user_pages_fast_only(window_hva(w, w->gfn - w->first), 1, flags, &page) != 1)
		return false;
	ready = flags || w->slot->flags & KVM_MEM_READONLY || !page_is_blank(page);
	put_page(page);
	return ready;
}

/* `count` pages from i on, brought in and let go: how many, or -errno. */
static long window_touch(struct window *w, u32 i, u32 count, unsigned int flags)
{
	long n = get_user_pages_unlocked(window_hva(w, i), count, w->pages, flags), k;

	for (k = 0; k < n; k++)
		put_page(w->pages[k]);
	return n;
}

/* The fault's page, waited for. A page of its own even for a read, where that works: see page_is_blank(). */
static long window_wait(struct window *w, u32 at, unsigned int flags, bool may_write)
{
	long n = may_write ? window_touch(w, at, 1, FOLL_WRITE) : 0;

	return n > 0 ? n : window_touch(w, at, 1, flags | FOLL_HWPOISON);
}

/*
 * Have Linux bring in the fault's page, and its group if that works; no page is
 * waited for but the fault's own. 0, 1 when the guest goes on without it, or -errno.
 */
static int window_fault_in(struct window *w, struct vcpu *v)
{
	unsigned int flags = w->write ? FOLL_WRITE : 0;
	bool may_write = !(w->slot->flags & KVM_MEM_READONLY);
	u32 at = w->gfn - w->first;
	u32 from = max_t(u64, w->first, ALIGN_DOWN(w->gfn, GROUP_PAGES)) - w->first;
	u32 count = min(w->count - from, GROUP_PAGES);
	long n;

	if (window_ready(w, flags))
		return 0;
	if (may_write && window_touch(w, from, count, FOLL_WRITE | FOLL_NOWAIT) > (long)(at - from))
		return 0;
	/* A page before it stopped the group. Still one of its own: see page_is_blank(). */
	if (may_write && at > from && window_touch(w, at, 1, FOLL_WRITE | FOLL_NOWAIT) == 1)
		return 0;
	n = window_touch(w, at, 1, flags | FOLL_NOWAIT | FOLL_HWPOISON);
	if (!n) {
		if (arch_fault_begin(v, w->gfn, window_hva(w, at), may_write))
			return 1;
		n = window_wait(w, at, flags, may_write);
	}
	return n == 1 ? 0 : n < 0 ? n : -EFAULT;
}

/*
 * The fault's own page, held from where Linux brought it in: for what the quick
 * look never finds, or lost again. 0 or -errno.
 */
static int window_take(struct window *w)
{
	u32 at = w->gfn - w->first;
	long n;

	if (w->pages[at])
		return 0;
	n = get_user_pages_unlocked(window_hva(w, at), 1, w->pages + at, w->write ? FOLL_WRITE : 0);
	if (n != 1) {
		w->pages[at] = NULL;
		return n < 0 ? n : -EFAULT;
	}
	if (w->write)
		w->pages[at] = (struct page *)((unsigned long)w->pages[at] | TAG_WRITE);
	return 0;
}

/* Pages of a logged slot are mapped one by one where the processor logs: it logs a large page once. */
static bool window_logs(const struct window *w)
{
	return w->slot->dirty && w->vm->log && !w->vm->log_refused;
}

/*
 * How is page i to be mapped? With a dirty log writable only if its bit is set,
 * or if the processor will log a write: the fault's own page gets it here.
 * mmu_lock held.
 */
static u64 window_flags(struct window *w, u32 i)
{
	struct slot *slot = w->slot;
	u64 bit = w->first + i - slot->gfn;

	if (!page_writable(w->pages[i]))
		return 0;
	if (!slot->dirty)
		return MAP_WRITE;
	if (w->write && w->first + i == w->gfn)
		set_bit(bit, slot->dirty);
	if (test_bit(bit, slot->dirty))
		return MAP_WRITE;
	return window_logs(w) ? MAP_WRITE | MAP_LOG : 0;
}

/* Describe the window as runs of adjoining frames of equal rights. Returns how many. */
static u32 window_ranges(struct window *w, struct map_range *range)
{
	u32 most = window_logs(w) ? WINDOW_PAGES / 2 : WINDOW_PAGES;
	struct map_range *last = NULL;
	u32 i, n = 0;

	for (i = 0; i < w->count; i++) {
		u64 pa, flags;

		if (!w->pages[i]) {
			last = NULL;
			continue;
		}
		pa = page_to_phys(page_of(w->pages[i]));
		flags = window_flags(w, i);
		if (last && last->flags == flags && last->pages < most && last->pa + last->pages * PAGE_SIZE == pa) {
			last->pages++;
			continue;
		}
		last = &range[n++];
		*last = (struct map_range){ (w->first + i) << PAGE_SHIFT, pa, 1, flags };
	}
	return n;
}

static_assert(WINDOW_PAGES * sizeof(struct map_range) <= RING_OP_BYTES);

/* One range that the hypervisor maps in one piece? */
static bool is_large(const struct map_range *range, u32 n)
{
	const u64 bytes = WINDOW_PAGES * PAGE_SIZE;

	return n == 1 && range->pages == WINDOW_PAGES && IS_ALIGNED(range->gpa | range->pa, bytes);
}

/* The guest has these now. Bits are hints: a lost one costs a mapping made twice. */
static void window_mapped(struct window *w, bool large)
{
	u64 place = w->first / WINDOW_PAGES - w->slot->gfn / WINDOW_PAGES;
	u32 i;

	if (large)
		set_bit(place, w->slot->large);
	else
		clear_bit(place, w->slot->large);

	for (i = 0; i < w->count; i++) {
		if (w->pages[i])
			set_bit(w->first + i - w->slot->gfn, w->slot->mapped);
	}
}

/* One OP_MAP for the window. mmu_lock held. 0, -ENOMEM (donate, again) or -EFAULT. */
static int window_map(struct window *w)
{
	struct map_range *range = ring_begin();
	u32 n = window_ranges(w, range);
	bool large = is_large(range, n);
	s64 done = 0;

	while (n) {
		done = ring_submit(OPX_OP_MAP, w->vm->handle, 0, n * sizeof(*range), NULL);
		if (done <= 0 || done > n)
			break;
		/* Fewer than asked: the next attempt says why. */
		n -= done;
		memmove(range, range + done, n * sizeof(*range));
	}
	ring_end();
	if (n)
		return done == -ENOMEM ? -ENOMEM : -EFAULT;
	window_mapped(w, large);
	return 0;
}

/* Did Linux change something under this window since `seq`? mmu_lock held. */
static bool window_stale(struct window *w, unsigned long seq)
{
	struct vm *vm = w->vm;

	if (vm->invalidate_seq != seq)
		return true;
	return vm->invalidate_count && vm->invalidate_start < window_hva(w, w->count) &&
	       window_hva(w, 0) < vm->invalidate_end;
}

/* Map what was collected unless it is stale: then the guest just faults again. */
static int window_commit(struct window *w, unsigned long seq)
{
	int rc;

	do {
		spin_lock(&w->vm->mmu_lock);
		rc = window_stale(w, seq) ? 0 : window_map(w);
		spin_unlock(&w->vm->mmu_lock);
	} while (rc == -ENOMEM && !vm_donate(w->vm));
	return rc;
}

/* Drop the references; what the guest may write counts as written. */
static void window_release(struct window *w)
{
	struct page *head = NULL;
	u32 i;

	for (i = 0; i < w->count; i++) {
		struct page *page = page_of(w->pages[i]);

		if (!page)
			continue;
		if (page_writable(w->pages[i]) && compound_head(page) != head) {
			head = compound_head(page);
			if (!PageDirty(head))
				set_page_dirty_lock(page);
		}
		put_page(page);
	}
}

/* A signal ends the wait for a page: KVM_RUN's loop deals with it. Bad memory is one, SIGBUS, as with KVM. Else KVM's errno. */
static int fault_result(const struct window *w, int rc)
{
	if (rc == -EHWPOISON) {
		send_sig_mceerr(BUS_MCEERR_AR, (void __user *)window_hva(w, w->gfn - w->first), PAGE_SHIFT, current);
		return 0;
	}
	return rc == -EINTR || rc == -EAGAIN || rc == -ERESTARTSYS ? 0 : -EFAULT;
}

int map_fault(struct vcpu *v, struct slot *slot, u64 gfn, bool write)
{
	struct vm *vm = v->vm;
	struct window w;
	unsigned long seq;
	int rc;

	window_init(&w, v, slot, gfn, write);
	seq = READ_ONCE(vm->invalidate_seq);
	/* The sequence is read before any page is looked up; pairs with invalidate_end. */
	smp_rmb();
	rc = window_fault_in(&w, v);
	if (rc)
		return rc < 0 ? fault_result(&w, rc) : 0;
	clear_bit(gfn - slot->gfn, slot->idle);
	window_collect(&w);
	rc = window_take(&w);
	rc = rc ? fault_result(&w, rc) : window_commit(&w, seq);
	window_release(&w);
	return rc;
}

/*
 * Forget that the guest has these, and all in their 2 MiB: the hypervisor takes
 * a large mapping away whole. Whole words, by plain stores: see window_mapped().
 */
static void forget_mapped(struct slot *slot, u64 gfn, u64 pages)
{
	u64 first = max_t(u64, ALIGN_DOWN(gfn, WINDOW_PAGES), slot->gfn) - slot->gfn;
	u64 end = min(ALIGN(gfn + pages, WINDOW_PAGES), slot->gfn + slot->pages) - slot->gfn;
	u64 window = gfn / WINDOW_PAGES - slot->gfn / WINDOW_PAGES;
	u64 word;

	for (; window * WINDOW_PAGES + ALIGN_DOWN(slot->gfn, WINDOW_PAGES) < gfn + pages; window++)
		clear_bit(window, slot->large);
	for (word = first / BITS_PER_LONG; word * BITS_PER_LONG < end; word++)
		WRITE_ONCE(slot->mapped[word], 0);
}

/* OP_UNMAP of the ranges that ring_begin() gave room for: how many leaves that was. Ends it. */
static u64 unmap_submit(struct vm *vm, u32 ranges)
{
	s64 rc = ring_submit(OPX_OP_UNMAP, vm->handle, 0, ranges * sizeof(struct map_range), NULL);

	ring_end();
	vm->counters.remote_tlb_flush += !!rc;
	vm->counters.remote_tlb_flush_requests++;
	return WARN_ONCE(rc < 0, "tenon: unmap failed (%lld)\n", rc) ? 0 : rc;
}

/* Unmap them: how many leaves that was. */
static u64 unmap(struct vm *vm, u64 gfn, u64 pages)
{
	u64 at, n, leaves = 0;

	for (at = 0; at < pages; at += n) {
		struct map_range *range = ring_begin();

		n = min_t(u64, pages - at, MAP_MAX_PAGES);
		*range = (struct map_range){ .gpa = (gfn + at) << PAGE_SHIFT, .pages = n };
		leaves += unmap_submit(vm, 1);
	}
	return leaves;
}

void map_remove(struct vm *vm, struct slot *slot, u64 gfn, u64 pages)
{
	unmap(vm, gfn, pages);
	/* After the unmapping: a mapping made meanwhile may lose its bit, never keep a false one. */
	forget_mapped(slot, gfn, pages);
}

static_assert(DIRTY_WORDS * BITS_PER_LONG / 2 * sizeof(struct map_range) <= RING_OP_BYTES);

void map_protect(struct vm *vm, struct slot *slot, u64 gfn, const unsigned long *bits, u32 words)
{
	bool logs = vm->log && !vm->log_refused;
	struct map_range *range = ring_begin();
	unsigned long first, end;
	u32 n = 0;

	for_each_set_bitrange(first, end, bits, words * BITS_PER_LONG) {
		range[n++] = (struct map_range){
			.gpa = (gfn + first) << PAGE_SHIFT, .pages = end - first, .flags = logs ? MAP_LOG : 0,
		};
	}
	unmap_submit(vm, n);
	if (logs)
		return;
	for_each_set_bitrange(first, end, bits, words * BITS_PER_LONG)
		forget_mapped(slot, gfn + first, end - first);
}

/* By the hints, which are right but for what a race has lost. */
void map_count_pages(struct vm *vm)
{
	int idx = srcu_read_lock(&vm->srcu);
	const struct slots *slots = srcu_dereference(vm->slots, &vm->srcu);
	u64 mapped = 0, large = 0;
	u32 i;

	for (i = 0; i < slots->count; i++) {
		mapped += bitmap_weight(slots->slot[i]->mapped, slots->slot[i]->pages);
		large += bitmap_weight(slots->slot[i]->large, slot_windows(slots->slot[i]));
	}
	srcu_read_unlock(&vm->srcu, idx);
	vm->counters.pages_2m = large;
	vm->counters.pages_4k = mapped - min(mapped, large * WINDOW_PAGES);
}

/* ---- what Linux wants ---- */

/* `fn` for what each slot has in [start, end) of the process; its answers, or-ed. */
static bool for_hva(struct vm *vm, unsigned long start, unsigned long end,
		    bool (*fn)(struct vm *vm, struct slot *slot, u64 gfn, u64 pages))
{
	int idx = srcu_read_lock(&vm->srcu);
	struct slots *slots = srcu_dereference(vm->slots, &vm->srcu);
	bool any = false;
	u32 i;

	for (i = 0; i < slots->count; i++) {
		struct slot *slot = slots->slot[i];
		unsigned long first = max(start, slot->hva);
		unsigned long last = min(end, slot->hva + (slot->pages << PAGE_SHIFT));

		if (first < last)
			any |= fn(vm, slot, slot->gfn + ((first - slot->hva) >> PAGE_SHIFT),
				  ((last - 1) >> PAGE_SHIFT) - (first >> PAGE_SHIFT) + 1);
	}
	srcu_read_unlock(&vm->srcu, idx);
	return any;
}

/* What comes there next is not known to be idle. */
static bool slot_unmap(struct vm *vm, struct slot *slot, u64 gfn, u64 pages)
{
	map_remove(vm, slot, gfn, pages);
	bitmap_clear(slot->idle, gfn - slot->gfn, pages);
	return true;
}

static void unmap_hva(struct vm *vm, unsigned long start, unsigned long end)
{
	for_hva(vm, start, end, slot_unmap);
}

/*
 * Has the guest used these since Linux asked last? What is mapped counts as
 * used, and is unmapped; an access faults, and maps that page alone. A large
 * page is used as a whole. Linux holds a spinlock.
 */
static bool slot_age(struct vm *vm, struct slot *slot, u64 gfn, u64 pages)
{
	u64 first = gfn - slot->gfn, window = gfn / WINDOW_PAGES - slot->gfn / WINDOW_PAGES, i;
	bool used = unmap(vm, gfn, pages);

	if (pages >= WINDOW_PAGES || test_bit(window, slot->large)) {
		forget_mapped(slot, gfn, pages);
		return used;
	}
	for (i = first; i < first + pages; i++) {
		clear_bit(i, slot->mapped);
		set_bit(i, slot->idle);
	}
	return used;
}

static bool slot_used(struct vm *vm, struct slot *slot, u64 gfn, u64 pages)
{
	return test_bit(gfn - slot->gfn, slot->mapped);
}

static int notifier_age(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start, unsigned long end)
{
	return for_hva(container_of(mn, struct vm, notifier), start, end, slot_age);
}

static int notifier_used(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address)
{
	return for_hva(container_of(mn, struct vm, notifier), address, address + 1, slot_used);
}

static int notifier_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct vm *vm = container_of(mn, struct vm, notifier);

	spin_lock(&vm->mmu_lock);
	if (!vm->invalidate_count++) {
		vm->invalidate_start = range->start;
		vm->invalidate_end = range->end;
	} else {
		vm->invalidate_start = min(vm->invalidate_start, range->start);
		vm->invalidate_end = max(vm->invalidate_end, range->end);
	}
	spin_unlock(&vm->mmu_lock);
	/* From here on nothing in the range is mapped anew until the end. */
	unmap_hva(vm, range->start, range->end);
	return 0;
}

static void notifier_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct vm *vm = container_of(mn, struct vm, notifier);

	spin_lock(&vm->mmu_lock);
	WRITE_ONCE(vm->invalidate_seq, vm->invalidate_seq + 1);
	vm->invalidate_count--;
	spin_unlock(&vm->mmu_lock);
}

/* The process's memory ends, before or with the VM. */
static void notifier_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	unmap_hva(container_of(mn, struct vm, notifier), 0, ULONG_MAX);
}

const struct mmu_notifier_ops map_notifier_ops = {
	.invalidate_range_start = notifier_start,
	.invalidate_range_end = notifier_end,
	.clear_flush_young = notifier_age,
	.clear_young = notifier_age,
	.test_young = notifier_used,
	.release = notifier_release,
};
