// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * eventfd.c - guest writes that end without the VMM's thread: ioeventfds and
 * coalescing zones, for ports and MMIO.
 *
 * Owns: vm.io[], one table per bus, replaced whole at each change. Invariant:
 * rows are sorted by address, eventfds before zones; each row holds a reference
 * on its eventfd.
 * Called by: VM ioctls; the exit handlers for every write that no RAM takes.
 * Concurrency: vm.slots_lock to change, RCU to read, coalesced_lock for the ring.
 * See: Documentation/virt/kvm/api.rst 4.59, 4.116.
 */
#include <linux/slab.h>

#include "tenon.h"

#define ZONES_MAX 1000u		/* KVM's limit on a bus */
#define COALESCED_BYTES 8u

struct io_row {
	u64 addr;
	u64 match;
	struct eventfd_ctx *ctx;	/* NULL: a zone */
	u32 len;			/* eventfd: 0 = any. zone: its size */
	u32 wildcard;			/* any value */
};

struct io_table {
	struct rcu_head rcu;
	u32 events;
	u32 zones;
	struct io_row row[];		/* the events, then the zones */
};

/* ---- a guest's write ---- */

static bool event_matches(const struct io_row *row, u32 len, const void *data)
{
	u64 value = 0;

	if (!row->len)
		return true;
	if (row->len != len)
		return false;
	if (row->wildcard)
		return true;
	memcpy(&value, data, len);
	return value == row->match;
}

static bool event_write(const struct io_table *t, u64 addr, u32 len, const void *data)
{
	u32 low = 0, high = t->events;

	while (low < high) {
		u32 mid = (low + high) / 2;

		if (t->row[mid].addr < addr)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < t->events && t->row[low].addr == addr; low++) {
		if (event_matches(&t->row[low], len, data)) {
			compat_eventfd_signal(t->row[low].ctx);
			return true;
		}
	}
	return false;
}

/* Append to the ring that the VMM drains; false when it is full. */
static bool zone_append(struct vm *vm, enum io_bus bus, u64 addr, u32 len, const void *data)
{
	struct kvm_coalesced_mmio_ring *ring = vm->coalesced;
	struct kvm_coalesced_mmio *entry;
	u32 last, first, next;
	bool room;

	spin_lock(&vm->coalesced_lock);
	/* Both indices are in memory that the VMM can scribble over. */
	last = READ_ONCE(ring->last);
	first = READ_ONCE(ring->first);
	next = (last + 1) % KVM_COALESCED_MMIO_MAX;
	room = last < KVM_COALESCED_MMIO_MAX && next != first;
	if (room) {
		entry = &ring->coalesced_mmio[last];
		entry->phys_addr = addr;
		entry->len = len;
		entry->pio = bus == IO_PIO;
		memcpy(entry->data, data, len);
		/* The entry before the index that publishes it. */
		smp_store_release(&ring->last, next);
	}
	spin_unlock(&vm->coalesced_lock);
	return room;
}

static bool zone_covers(const struct io_row *zone, u64 addr, u64 len)
{
	return addr >= zone->addr && addr + len >= addr && addr + len <= zone->addr + zone->len;
}

static bool zone_write(struct vm *vm, const struct io_table *t, enum io_bus bus, u64 addr, u32 len,
		       const void *data)
{
	u32 i;

	if (len > COALESCED_BYTES)
		return false;
	for (i = t->events; i < t->events + t->zones; i++) {
		if (zone_covers(&t->row[i], addr, len))
			return zone_append(vm, bus, addr, len, data);
	}
	return false;
}

/* Apart, so that a VM without a table pays for no frame of it at each port write. */
static noinline bool table_write(struct vm *vm, enum io_bus bus, u64 addr, u32 len, const void *data)
{
	const struct io_table *t;
	bool taken = false;

	rcu_read_lock();
	t = rcu_dereference(vm->io[bus]);
	if (t)
		taken = event_write(t, addr, len, data) || zone_write(vm, t, bus, addr, len, data);
	rcu_read_unlock();
	return taken;
}

bool io_write(struct vm *vm, enum io_bus bus, u64 addr, u32 len, const void *data)
{
	return rcu_access_pointer(vm->io[bus]) && table_write(vm, bus, addr, len, data);
}

/* ---- changes; vm.slots_lock held ---- */

static struct io_table *table_current(struct vm *vm, enum io_bus bus)
{
	return rcu_dereference_protected(vm->io[bus], lockdep_is_held(&vm->slots_lock));
}

/* Where a new row belongs, by address within its kind. */
static u32 table_place(const struct io_table *t, const struct io_row *row)
{
	u32 i = row->ctx ? 0 : t->events;
	u32 end = row->ctx ? t->events : t->events + t->zones;

	while (i < end && t->row[i].addr <= row->addr)
		i++;
	return i;
}

static int table_add(struct vm *vm, enum io_bus bus, const struct io_row *row)
{
	static const struct io_table empty;
	struct io_table *old = table_current(vm, bus);
	const struct io_table *from = old ? old : &empty;
	u32 rows = from->events + from->zones, at = table_place(from, row);
	struct io_table *to;

	if (from->zones >= ZONES_MAX)
		return -ENOSPC;
	to = kvmalloc(struct_size(to, row, rows + 1), GFP_KERNEL_ACCOUNT);
	if (!to)
		return -ENOMEM;
	to->events = from->events + !!row->ctx;
	to->zones = from->zones + !row->ctx;
	memcpy(to->row, from->row, at * sizeof(*row));
	to->row[at] = *row;
	memcpy(to->row + at + 1, from->row + at, (rows - at) * sizeof(*row));
	rcu_assign_pointer(vm->io[bus], to);
	if (old)
		kvfree_rcu(old, rcu);
	return 0;
}

/*
 * Remove one row. When it returns, no CPU signals the row's eventfd any more.
 * The copy must not fail: the caller has promised the VMM that the row goes.
 */
static void table_remove(struct vm *vm, enum io_bus bus, u32 at)
{
	struct io_table *from = table_current(vm, bus);
	u32 rows = from->events + from->zones;
	struct eventfd_ctx *ctx = from->row[at].ctx;
	struct io_table *to;

	to = kvmalloc(struct_size(to, row, rows - 1), GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
	to->events = from->events - !!ctx;
	to->zones = from->zones - !ctx;
	memcpy(to->row, from->row, at * sizeof(to->row[0]));
	memcpy(to->row + at, from->row + at + 1, (rows - at - 1) * sizeof(to->row[0]));
	rcu_assign_pointer(vm->io[bus], to);
	synchronize_rcu_expedited();
	kvfree(from);
	if (ctx)
		eventfd_ctx_put(ctx);
}

void io_free(struct vm *vm)
{
	enum io_bus bus;
	u32 i;

	for (bus = 0; bus < IO_BUSES; bus++) {
		struct io_table *t = rcu_dereference_protected(vm->io[bus], true);

		for (i = 0; t && i < t->events; i++)
			eventfd_ctx_put(t->row[i].ctx);
		kvfree(t);
	}
}

/* ---- ioctls ---- */

/* Would both rows answer the same write? */
static bool event_collides(const struct io_row *a, const struct io_row *b)
{
	if (a->addr != b->addr)
		return false;
	if (!a->len || !b->len)
		return true;
	return a->len == b->len && (a->wildcard || b->wildcard || a->match == b->match);
}

static int event_add(struct vm *vm, enum io_bus bus, const struct io_row *row)
{
	struct io_table *t = table_current(vm, bus);
	u32 i;

	for (i = 0; t && i < t->events; i++) {
		if (event_collides(&t->row[i], row))
			return -EEXIST;
	}
	return table_add(vm, bus, row);
}

static bool event_equal(const struct io_row *a, const struct io_row *b)
{
	return a->ctx == b->ctx && a->addr == b->addr && a->len == b->len &&
	       a->wildcard == b->wildcard && (a->wildcard || a->match == b->match);
}

static int event_remove(struct vm *vm, enum io_bus bus, const struct io_row *row)
{
	struct io_table *t = table_current(vm, bus);
	u32 i;

	for (i = 0; t && i < t->events; i++) {
		if (event_equal(&t->row[i], row)) {
			table_remove(vm, bus, i);
			return 0;
		}
	}
	return -ENOENT;
}

static int event_check(const struct kvm_ioeventfd *e)
{
	if (e->len > 8 || (e->len & (e->len - 1)))
		return -EINVAL;
	if (e->addr + e->len < e->addr)
		return -EINVAL;
	if (e->flags & ~KVM_IOEVENTFD_VALID_FLAG_MASK)
		return -EINVAL;
	return !e->len && (e->flags & KVM_IOEVENTFD_FLAG_DATAMATCH) ? -EINVAL : 0;
}

static enum io_bus event_bus(u32 flags)
{
	if (flags & KVM_IOEVENTFD_FLAG_PIO)
		return IO_PIO;
	return flags & KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY ? IO_CCW : IO_MMIO;
}

/* With DEASSIGN, KVM looks only for what was assigned and checks nothing else. */
long io_set_eventfd(void *object, unsigned long arg)
{
	struct kvm_ioeventfd e;
	struct vm *vm = object;
	struct io_row row;
	enum io_bus bus;
	bool remove;
	int rc;

	if (copy_from_user(&e, (void __user *)arg, sizeof(e)))
		return -EFAULT;
	remove = e.flags & KVM_IOEVENTFD_FLAG_DEASSIGN;
	rc = remove ? 0 : event_check(&e);
	if (rc)
		return rc;
	bus = event_bus(e.flags);
	row = (struct io_row){ e.addr, e.datamatch, eventfd_ctx_fdget(e.fd), e.len,
			       !(e.flags & KVM_IOEVENTFD_FLAG_DATAMATCH) };
	if (IS_ERR(row.ctx))
		return PTR_ERR(row.ctx);
	mutex_lock(&vm->slots_lock);
	rc = remove ? event_remove(vm, bus, &row) : event_add(vm, bus, &row);
	mutex_unlock(&vm->slots_lock);
	/* An added row keeps the reference. */
	if (remove || rc)
		eventfd_ctx_put(row.ctx);
	return rc;
}

static int zone_read(struct kvm_coalesced_mmio_zone *zone, unsigned long arg)
{
	if (copy_from_user(zone, (void __user *)arg, sizeof(*zone)))
		return -EFAULT;
	return zone->pio > 1 ? -EINVAL : 0;
}

long io_add_zone(void *object, unsigned long arg)
{
	struct kvm_coalesced_mmio_zone zone;
	struct vm *vm = object;
	int rc = zone_read(&zone, arg);

	if (rc)
		return rc;
	mutex_lock(&vm->slots_lock);
	rc = table_add(vm, zone.pio ? IO_PIO : IO_MMIO,
		       &(struct io_row){ .addr = zone.addr, .len = zone.size });
	mutex_unlock(&vm->slots_lock);
	return rc;
}

/* Removes every zone that holds the whole range, as KVM does. */
long io_remove_zones(void *object, unsigned long arg)
{
	struct kvm_coalesced_mmio_zone zone;
	struct vm *vm = object;
	int rc = zone_read(&zone, arg);
	enum io_bus bus;
	u32 i;

	if (rc)
		return rc;
	bus = zone.pio ? IO_PIO : IO_MMIO;
	mutex_lock(&vm->slots_lock);
	for (i = 0; table_current(vm, bus); i++) {
		struct io_table *t = table_current(vm, bus);

		if (i >= t->zones)
			break;
		if (zone_covers(&t->row[t->events + i], zone.addr, zone.size))
			table_remove(vm, bus, t->events + i--);
	}
	mutex_unlock(&vm->slots_lock);
	return 0;
}
