// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * routing.c - what stands behind a GSI on arm64: an SPI of the GIC, or a message
 * to an ITS; and KVM_SIGNAL_MSI.
 *
 * Owns: nothing. Called by: route.c, irqfd.c, gic.c, the VM's ioctls.
 * Concurrency: any context, but for the ioctls and vgic_routes().
 * See: route.h; Documentation/virt/kvm/api.rst 4.52, 4.70, 4.75.
 */
#include <linux/slab.h>

#include "gic.h"
#include "route.h"

/* A line of the GIC has no sources: who moved it last decides, as with KVM, whose irqfds never let an SPI down. */
int route_send(struct vm *vm, const struct route *r, enum irq_source source, bool level, bool watched)
{
	if (r->type == KVM_IRQ_ROUTING_IRQCHIP) {
		if (source == IRQ_SOURCE_VMM && !level)
			return -1;
		return gic_initialized(vm) ? gic_line(vm, NULL, GIC_PRIVATE + r->pin, level) : -EINVAL;
	}
	return level ? its_msi(vm, &(struct kvm_msi){ r->address_lo, r->address_hi, r->data, r->flags, r->devid }) : -1;
}

struct routes_rules route_rules(const struct vm *vm)
{
	return (struct routes_rules){ .gic = true };
}

/* KVM takes a table at any time. */
int route_may_set(struct vm *vm)
{
	struct routes_rules rules = route_rules(vm);
	int rc = 0;

	if (smp_load_acquire(&vm->arch.routing))
		return 0;
	mutex_lock(&vm->lock);
	if (!vm->arch.routing)
		rc = route_init(vm, &rules, NULL, 0);
	mutex_unlock(&vm->lock);
	return rc;
}

int vgic_routes(struct vm *vm, u32 spis)
{
	struct kvm_irq_routing_entry *entries;
	struct routes_rules rules = route_rules(vm);
	int rc;

	spis = min(spis, ROUTES_GIC_PINS);
	entries = kvcalloc(spis, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	if (!entries)
		return -ENOMEM;
	routes_gic_default(entries, spis);
	rc = route_init(vm, &rules, entries, spis);
	kvfree(entries);
	return rc;
}

/* Only at the end of a level's service is anything looked up. */
void route_changed(struct vm *vm)
{
}

int route_may_irqfd(const struct vm *vm, u32 flags)
{
	return gic_initialized(vm) ? 0 : -EAGAIN;
}

void route_told(struct vm *vm, u32 gsi)
{
}

bool route_waits(struct vm *vm, u32 gsi)
{
	return false;
}

void vgic_acked(struct vm *vm, u32 irq)
{
	if (irq >= GIC_PRIVATE && irq - GIC_PRIVATE < ROUTES_GIC_PINS)
		route_acked(vm, 0, irq - GIC_PRIVATE);
}

long route_signal_msi(void *object, unsigned long arg)
{
	struct vm *vm = object;
	struct kvm_msi msi;

	if (copy_from_user(&msi, (void __user *)arg, sizeof(msi)))
		return -EFAULT;
	if (!smp_load_acquire(&vm->arch.gic) || msi.flags & ~KVM_MSI_VALID_DEVID)
		return -EINVAL;
	return its_msi(vm, &msi);
}
