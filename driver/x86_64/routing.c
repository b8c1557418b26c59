// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * routing.c - what stands behind a GSI on x86: the IOAPIC's and the PIC's pins,
 * messages to LAPICs; and the ioctls that move GSIs and send messages.
 *
 * Owns: nothing. Called by: route.c, irqfd.c, chips.c, the VM's ioctls.
 * Concurrency: any context, but for the ioctls.
 * See: route.h; Documentation/virt/kvm/api.rst 4.25, 4.70.
 */
#include "x86_64/chips.h"
#include "x86_64/pit_timer.h"

#define GSI_PIT 0

int route_send(struct vm *vm, const struct route *r, enum irq_source source, bool level, bool watched)
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

struct routes_rules route_rules(const struct vm *vm)
{
	return (struct routes_rules){ .chips = vm->arch.irqchip_mode == IRQCHIP_KERNEL, .wide_ids = !lapic_msi_valid(vm, 0xff) };
}

int route_may_set(struct vm *vm)
{
	return irqchip_in_kernel(vm) ? 0 : -EINVAL;
}

void route_changed(struct vm *vm)
{
	irqchip_request_scan(vm);
}

int route_may_irqfd(const struct vm *vm, u32 flags)
{
	u8 mode = READ_ONCE(vm->arch.irqchip_mode);

	return mode == IRQCHIP_NONE || (flags & KVM_IRQFD_FLAG_RESAMPLE && mode != IRQCHIP_KERNEL) ? -EINVAL : 0;
}

void route_told(struct vm *vm, u32 gsi)
{
	if (gsi == GSI_PIT)
		pit_acked(vm);
}

bool route_waits(struct vm *vm, u32 gsi)
{
	return gsi == GSI_PIT && pit_wants_ack(vm);
}

void route_unmasked(struct vm *vm, u32 chip, u32 pin)
{
	struct routing *routing = vm->arch.routing;
	int idx = srcu_read_lock(&routing->srcu);

	if (route_gsi(routing, chip, pin) == GSI_PIT)
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

/* ---- ioctls ---- */

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
