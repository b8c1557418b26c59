// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * route.c - from a GSI to the pins and MSIs that it stands for, and back from an
 * acknowledged pin to those who wait for that.
 *
 * Owns: vm.arch.routing. Invariant: a table is replaced whole; when the ioctl
 * returns, nobody begins a delivery by the old one.
 * Called by: VM ioctls, irqfd.c, pit_timer.c, irqchip.c.
 * Concurrency: routing.lock to change, routing.srcu to read, which is allowed in
 * hard interrupts.
 * See: Documentation/virt/kvm/api.rst 4.25, 4.52, 4.70; models/routes.h.
 */
#include <linux/slab.h>

#include "irqchip.h"
#include "route.h"
#include "x86_64/chips.h"
#include "x86_64/pit_timer.h"
#include "trace.h"

#define GSI_PIT 0

/* ---- delivery ---- */

static int send(struct vm *vm, const struct route *r, enum irq_source source, bool level, bool watched)
{
	if (r->type == KVM_IRQ_ROUTING_MSI) {
		/* The VMM may have asked for wide IDs after it set the route. */
		if (!level || !lapic_msi_valid(vm, r->address_hi))
			return -1;
		return lapic_deliver_msi(vm, r->address_lo, r->address_hi, r->data);
	}
	if (r->chip == KVM_IRQCHIP_IOAPIC)
		return ioapic_line(vm, r->pin, source, level, watched);
	return pic_line(vm, r->pin, source, level);
}

/* The routes are copied, so that a slow delivery holds up no change of the table. */
static u32 lookup(struct routing *routing, u32 gsi, struct route out[ROUTES_PER_GSI])
{
	int idx = srcu_read_lock(&routing->srcu);
	u32 n = routes_find(srcu_dereference(routing->routes, &routing->srcu), gsi, out);

	srcu_read_unlock(&routing->srcu, idx);
	return n;
}

int route_set(struct vm *vm, enum irq_source source, u32 gsi, bool level, bool watched)
{
	struct route found[ROUTES_PER_GSI];
	struct routing *routing = smp_load_acquire(&vm->arch.routing);
	u32 n = routing ? lookup(routing, gsi, found) : 0, i;
	int sum = -1, rc;

	trace_kvm_set_irq(gsi, level, source);
	for (i = 0; i < n; i++) {
		rc = send(vm, &found[i], source, level, watched);
		if (rc >= 0)
			sum = rc + max(sum, 0);
	}
	return sum;
}

/* ---- acknowledgements ---- */

/* The GSI of a chip's pin, or -1. routing.srcu held. */
static int gsi_of(struct routing *routing, u32 chip, u32 pin)
{
	return srcu_dereference(routing->routes, &routing->srcu)->gsi_of[chip][pin];
}

void route_acked(struct vm *vm, u32 chip, u32 pin)
{
	struct routing *routing = vm->arch.routing;
	int idx = srcu_read_lock(&routing->srcu);
	int gsi = gsi_of(routing, chip, pin);

	trace_kvm_ack_irq(chip, pin);
	if (gsi == GSI_PIT)
		pit_acked(vm);
	if (gsi >= 0)
		irqfd_acked(vm, gsi);
	srcu_read_unlock(&routing->srcu, idx);
}

bool route_wants_ack(struct vm *vm, u32 chip, u32 pin)
{
	struct routing *routing = vm->arch.routing;
	int idx = srcu_read_lock(&routing->srcu);
	int gsi = gsi_of(routing, chip, pin);
	bool wants = (gsi == GSI_PIT && pit_wants_ack(vm)) || (gsi >= 0 && irqfd_resamples(vm, gsi));

	srcu_read_unlock(&routing->srcu, idx);
	return wants;
}

void route_unmasked(struct vm *vm, u32 chip, u32 pin)
{
	struct routing *routing = vm->arch.routing;
	int idx = srcu_read_lock(&routing->srcu);

	if (gsi_of(routing, chip, pin) == GSI_PIT)
		pit_unmasked(vm);
	srcu_read_unlock(&routing->srcu, idx);
}

void route_each_msi(struct vm *vm, u32 gsis, void (*call)(void *ctx, const struct route *r), void *ctx)
{
	struct routing *routing = vm->arch.routing;
	int idx = srcu_read_lock(&routing->srcu);
	const struct routes *table = srcu_dereference(routing->routes, &routing->srcu);
	struct route found[ROUTES_PER_GSI];
	u32 gsi, n, i;

	for (gsi = 0; gsi < min(gsis, table->gsis); gsi++) {
		n = routes_find(table, gsi, found);
		for (i = 0; i < n; i++) {
			if (found[i].type == KVM_IRQ_ROUTING_MSI)
				call(ctx, &found[i]);
		}
	}
	srcu_read_unlock(&routing->srcu, idx);
}

/* ---- tables ---- */

/* A table of its own for these entries, or an error. */
static struct routes *table_new(struct vm *vm, const struct kvm_irq_routing_entry *entries, u32 count, bool chips)
{
	struct routes_rules rules = { .chips = chips, .wide_ids = !lapic_msi_valid(vm, 0xff) };
	size_t bytes = routes_bytes(entries, count);
	struct routes *table;
	int rc;

	if (!bytes)
		return ERR_PTR(-EINVAL);
	table = kvmalloc(bytes, GFP_KERNEL_ACCOUNT);
	if (!table)
		return ERR_PTR(-ENOMEM);
	rc = routes_build(table, entries, count, &rules);
	if (!rc)
		return table;
	kvfree(table);
	return ERR_PTR(rc);
}

static struct routes *table_first(struct vm *vm, bool chips)
{
	struct kvm_irq_routing_entry *entries = kcalloc(ROUTES_DEFAULT, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	struct routes *table;

	if (!entries)
		return ERR_PTR(-ENOMEM);
	table = table_new(vm, entries, chips ? routes_default(entries) : 0, chips);
	kfree(entries);
	return table;
}

int route_init(struct vm *vm, bool chips)
{
	struct routing *routing = kzalloc(sizeof(*routing), GFP_KERNEL_ACCOUNT);
	struct routes *table;

	if (!routing)
		return -ENOMEM;
	table = table_first(vm, chips);
	if (IS_ERR(table))
		goto no_table;
	if (init_srcu_struct(&routing->srcu))
		goto no_srcu;
	mutex_init(&routing->lock);
	spin_lock_init(&routing->irqfd_lock);
	INIT_LIST_HEAD(&routing->irqfds);
	mutex_init(&routing->resampler_lock);
	INIT_LIST_HEAD(&routing->resamplers);
	rcu_assign_pointer(routing->routes, table);
	smp_store_release(&vm->arch.routing, routing);
	return 0;

no_srcu:
	kvfree(table);
no_table:
	kfree(routing);
	return -ENOMEM;
}

void route_free(struct vm *vm)
{
	struct routing *routing = vm->arch.routing;

	if (!routing)
		return;
	kvfree(rcu_dereference_protected(routing->routes, true));
	cleanup_srcu_struct(&routing->srcu);
	kfree(routing);
}

static int table_replace(struct vm *vm, const struct kvm_irq_routing_entry *entries, u32 count)
{
	struct routing *routing = vm->arch.routing;
	bool chips = vm->arch.irqchip_mode == IRQCHIP_KERNEL;
	struct routes *table = table_new(vm, entries, count, chips), *old;

	if (IS_ERR(table))
		return PTR_ERR(table);
	mutex_lock(&routing->lock);
	old = rcu_dereference_protected(routing->routes, lockdep_is_held(&routing->lock));
	rcu_assign_pointer(routing->routes, table);
	mutex_unlock(&routing->lock);
	synchronize_srcu_expedited(&routing->srcu);
	kvfree(old);
	/* A level's route, or who hears of a pin's EOI, may be another now. */
	irqchip_request_scan(vm);
	return 0;
}

/* ---- ioctls ---- */

long route_set_table(void *object, unsigned long arg)
{
	struct kvm_irq_routing __user *user = (void __user *)arg;
	struct kvm_irq_routing_entry *entries = NULL;
	struct kvm_irq_routing head;
	struct vm *vm = object;
	long rc;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (!irqchip_in_kernel(vm) || head.nr > ROUTES_MAX || head.flags)
		return -EINVAL;
	if (head.nr) {
		entries = vmemdup_user(user->entries, array_size(head.nr, sizeof(*entries)));
		if (IS_ERR(entries))
			return PTR_ERR(entries);
	}
	rc = table_replace(vm, entries, head.nr);
	kvfree(entries);
	return rc;
}

/* KVM's answer is the delivery's own, -1 (which user space reads as EPERM) when nobody is there. */
long route_signal_msi(void *object, unsigned long arg)
{
	struct vm *vm = object;
	struct kvm_msi msi;

	if (copy_from_user(&msi, (void __user *)arg, sizeof(msi)))
		return -EFAULT;
	if (!irqchip_in_kernel(vm) || msi.flags & ~KVM_MSI_VALID_DEVID || !lapic_msi_valid(vm, msi.address_hi))
		return -EINVAL;
	return lapic_deliver_msi(vm, msi.address_lo, msi.address_hi, msi.data);
}

static long line(struct vm *vm, struct kvm_irq_level __user *user, bool watched)
{
	struct kvm_irq_level level;

	if (copy_from_user(&level, user, sizeof(level)))
		return -EFAULT;
	if (!irqchip_in_kernel(vm))
		return -ENXIO;
	level.status = route_set(vm, IRQ_SOURCE_VMM, level.irq, level.level, watched);
	return watched && copy_to_user(user, &level, sizeof(level)) ? -EFAULT : 0;
}

long route_line(void *object, unsigned long arg)
{
	return line(object, (void __user *)arg, false);
}

long route_line_status(void *object, unsigned long arg)
{
	return line(object, (void __user *)arg, true);
}
