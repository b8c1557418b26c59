// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * route.c - from a GSI to the pins and MSIs that it stands for, and back from an
 * acknowledged pin to those who wait for that.
 *
 * Owns: vm.arch.routing. Invariant: a table is replaced whole; when the ioctl
 * returns, nobody begins a delivery by the old one.
 * Called by: VM ioctls, irqfd.c, the interrupt controllers. Calls: routing.c of the
 * architecture.
 * Concurrency: routing.lock to change, routing.srcu to read, which is allowed in
 * hard interrupts.
 * See: Documentation/virt/kvm/api.rst 4.25, 4.52, 4.70; models/routes.h.
 */
#include <linux/slab.h>

#include "route.h"
#include "trace.h"

/* ---- delivery ---- */

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
		rc = route_send(vm, &found[i], source, level, watched);
		if (rc >= 0)
			sum = rc + max(sum, 0);
	}
	return sum;
}

/* ---- acknowledgements ---- */

int route_gsi(struct routing *routing, u32 chip, u32 pin)
{
	return routes_gsi(srcu_dereference(routing->routes, &routing->srcu), chip, pin);
}

void route_acked(struct vm *vm, u32 chip, u32 pin)
{
	struct routing *routing = vm->arch.routing;
	int idx = srcu_read_lock(&routing->srcu);
	int gsi = route_gsi(routing, chip, pin);

	trace_kvm_ack_irq(chip, pin);
	if (gsi >= 0) {
		route_told(vm, gsi);
		irqfd_acked(vm, gsi);
	}
	srcu_read_unlock(&routing->srcu, idx);
}

bool route_wants_ack(struct vm *vm, u32 chip, u32 pin)
{
	struct routing *routing = vm->arch.routing;
	int idx = srcu_read_lock(&routing->srcu);
	int gsi = route_gsi(routing, chip, pin);
	bool wants = gsi >= 0 && (route_waits(vm, gsi) || irqfd_resamples(vm, gsi));

	srcu_read_unlock(&routing->srcu, idx);
	return wants;
}

/* ---- tables ---- */

/* A table of its own for these entries, or an error. */
static struct routes *table_new(const struct routes_rules *rules, const struct kvm_irq_routing_entry *entries, u32 count)
{
	size_t bytes = routes_bytes(entries, count, rules);
	struct routes *table;
	int rc;

	if (!bytes)
		return ERR_PTR(-EINVAL);
	table = kvmalloc(bytes, GFP_KERNEL_ACCOUNT);
	if (!table)
		return ERR_PTR(-ENOMEM);
	rc = routes_build(table, entries, count, rules);
	if (!rc)
		return table;
	kvfree(table);
	return ERR_PTR(rc);
}

static struct routing *routing_new(struct routes *table)
{
	struct routing *routing = kzalloc(sizeof(*routing), GFP_KERNEL_ACCOUNT);

	if (!routing || init_srcu_struct(&routing->srcu)) {
		kfree(routing);
		return NULL;
	}
	mutex_init(&routing->lock);
	spin_lock_init(&routing->irqfd_lock);
	INIT_LIST_HEAD(&routing->irqfds);
	mutex_init(&routing->resampler_lock);
	INIT_LIST_HEAD(&routing->resamplers);
	rcu_assign_pointer(routing->routes, table);
	return routing;
}

static void table_put(struct vm *vm, struct routes *table)
{
	struct routing *routing = vm->arch.routing;
	struct routes *old;

	mutex_lock(&routing->lock);
	old = rcu_dereference_protected(routing->routes, lockdep_is_held(&routing->lock));
	rcu_assign_pointer(routing->routes, table);
	mutex_unlock(&routing->lock);
	synchronize_srcu_expedited(&routing->srcu);
	kvfree(old);
	/* A level's route, or who hears of a pin's EOI, may be another now. */
	route_changed(vm);
}

int route_init(struct vm *vm, const struct routes_rules *rules, const struct kvm_irq_routing_entry *entries, u32 count)
{
	struct routes *table = table_new(rules, entries, count);
	struct routing *routing;

	if (IS_ERR(table))
		return PTR_ERR(table);
	if (vm->arch.routing) {
		table_put(vm, table);
		return 0;
	}
	routing = routing_new(table);
	if (!routing) {
		kvfree(table);
		return -ENOMEM;
	}
	smp_store_release(&vm->arch.routing, routing);
	return 0;
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
	struct routes_rules rules = route_rules(vm);
	struct routes *table = table_new(&rules, entries, count);

	if (IS_ERR(table))
		return PTR_ERR(table);
	table_put(vm, table);
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
	rc = route_may_set(vm);
	if (rc)
		return rc;
	if (head.nr > ROUTES_MAX || head.flags)
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
