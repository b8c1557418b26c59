// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * chips.c - the VM's PIC and IOAPIC: the lock around the models, and who must
 * hear of what they did.
 *
 * Owns: vm.arch.irqchip. Invariant: nobody outside is told anything of an
 * acknowledgement with the lock held, because who hears of it moves lines again;
 * messages to LAPICs go out under it, so that they keep the lines' order.
 * Called by: route.c (lines), iodev.c (the guest's accesses), LAPICs (EOI, INTA),
 * the VM's ioctls.
 * Concurrency: irqchip.lock, in any context, interrupts off.
 * See: models/pic.h, models/ioapic.h.
 */
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "chips.h"
#include "models/ioapic.h"
#include "models/pic.h"
#include "trace.h"

#define STORM_PAUSE (HZ / 100)

struct irqchip {
	struct vm *vm;
	spinlock_t lock;
	struct pic pic;
	struct ioapic ioapic;
	struct delayed_work retry;
};

/* ---- PIC ---- */

static bool anybody_listens(struct vm *vm)
{
	u32 i;

	for (i = 0; i < ABI_MAX_VCPUS; i++) {
		struct vcpu *v = smp_load_acquire(&vm->arch.lapics[i]);

		if (v && lapic_accepts_extint(v))
			return true;
	}
	return false;
}

static void notify_pins(struct vm *vm, u16 pins)
{
	u32 pin;

	for (pin = 0; pin < PIC_PINS; pin++) {
		if (pins & 1u << pin)
			route_acked(vm, pin / PIC_CHIP_PINS, pin);
	}
}

/*
 * After an access or an INTA: tell who waits for the end of a service, and only
 * then let the pins ask anew. Lock held, dropped for that and at the end.
 */
static void pic_settle(struct irqchip *c, unsigned long *flags)
{
	u16 acked = c->pic.acked, dropped = c->pic.dropped;
	bool unmasked = c->pic.unmasked & 1, rose;

	c->pic.acked = 0;
	c->pic.dropped = 0;
	c->pic.unmasked = 0;
	if (unlikely(acked | dropped | unmasked)) {
		spin_unlock_irqrestore(&c->lock, *flags);
		if (dropped && anybody_listens(c->vm))
			acked |= dropped;
		notify_pins(c->vm, acked);
		if (unmasked)
			route_unmasked(c->vm, KVM_IRQCHIP_PIC_MASTER, 0);
		spin_lock_irqsave(&c->lock, *flags);
	}
	rose = !c->pic.output;
	pic_update(&c->pic);
	rose &= c->pic.output;
	spin_unlock_irqrestore(&c->lock, *flags);
	if (rose)
		lapic_extint(c->vm);
}

int pic_line(struct vm *vm, u32 pin, enum irq_source source, bool level)
{
	struct irqchip *c = vm->arch.irqchip;
	unsigned long flags;
	bool rose;
	int rc;

	spin_lock_irqsave(&c->lock, flags);
	rose = !c->pic.output;
	rc = pic_set(&c->pic, pin, source, level);
	rose &= c->pic.output;
	trace_kvm_pic_set_irq(pin / PIC_CHIP_PINS, pin % PIC_CHIP_PINS, c->pic.chip[pin / PIC_CHIP_PINS].elcr,
			      c->pic.chip[pin / PIC_CHIP_PINS].imr, !rc);
	spin_unlock_irqrestore(&c->lock, flags);
	if (rose)
		lapic_extint(vm);
	return rc;
}

bool pic_output(struct vm *vm)
{
	struct irqchip *c = vm->arch.irqchip;

	return c && READ_ONCE(c->pic.output);
}

int pic_ack(struct vm *vm)
{
	struct irqchip *c = vm->arch.irqchip;
	unsigned long flags;
	int vector = -1;

	if (!c)
		return -1;
	spin_lock_irqsave(&c->lock, flags);
	if (c->pic.output)
		vector = pic_take(&c->pic);
	pic_settle(c, &flags);
	return vector;
}

/* Anything but a byte is taken and does nothing, as in KVM. */
int pic_access(struct vm *vm, u16 port, u32 len, void *data, bool write)
{
	struct irqchip *c = smp_load_acquire(&vm->arch.irqchip);
	unsigned long flags;

	if (!c || (port & 1) + len > 2)
		return -EOPNOTSUPP;
	if (len != 1) {
		if (!write)
			memset(data, 0, len);
		return 0;
	}
	spin_lock_irqsave(&c->lock, flags);
	if (write)
		pic_write(&c->pic, port, *(u8 *)data);
	else
		*(u8 *)data = pic_read(&c->pic, port);
	pic_settle(c, &flags);
	return 0;
}

/* ---- IOAPIC ---- */

static struct lapic_msg entry_msg(u64 entry)
{
	return (struct lapic_msg){
		.dest = RTE_DEST(entry), .vector = RTE_VECTOR(entry), .mode = RTE_MODE(entry),
		.logical = entry & RTE_LOGICAL, .level = entry & RTE_LEVEL, .assert = true,
	};
}

/* The vCPUs that a message names; a bit for each ID. */
static u64 matching(struct vm *vm, const struct lapic_msg *msg)
{
	u64 mask = 0;
	u32 i;

	for (i = 0; i < ABI_MAX_VCPUS; i++) {
		struct vcpu *v = smp_load_acquire(&vm->arch.lapics[i]);

		if (v && lapic_matches(v, msg->dest, msg->logical))
			mask |= 1ull << i;
	}
	return mask;
}

static int deliver(void *ctx, u64 entry, u64 *took)
{
	struct irqchip *c = ctx;
	struct lapic_msg msg = entry_msg(entry);
	int rc = lapic_deliver(c->vm, NULL, &msg);

	/* Where it is not certain who took it (lowest priority), nobody owes an EOI. */
	if (took && rc > 0) {
		*took = matching(c->vm, &msg);
		if (hweight64(*took) != rc)
			*took = 0;
	}
	return rc;
}

static const struct ioapic_ops ioapic_ops = {
	.deliver = deliver,
};

static void retry(struct work_struct *work)
{
	struct irqchip *c = container_of(work, struct irqchip, retry.work);
	unsigned long flags;

	spin_lock_irqsave(&c->lock, flags);
	ioapic_retry(&c->ioapic);
	spin_unlock_irqrestore(&c->lock, flags);
}

int ioapic_line(struct vm *vm, u32 pin, enum irq_source source, bool level, bool watched)
{
	struct irqchip *c = vm->arch.irqchip;
	unsigned long flags;
	int rc;

	spin_lock_irqsave(&c->lock, flags);
	rc = ioapic_set(&c->ioapic, pin, source, level, watched);
	trace_kvm_ioapic_set_irq(c->ioapic.s.redirtbl[pin].bits, pin, !rc);
	spin_unlock_irqrestore(&c->lock, flags);
	return rc;
}

static bool pin_level(const struct irqchip *c, u32 pin)
{
	return c->ioapic.s.redirtbl[pin].bits & RTE_LEVEL;
}

static void eoi_pin(struct irqchip *c, u32 pin)
{
	unsigned long flags;
	bool storm = false;

	/* Remote IRR is still set: what this raises waits for the next lines. */
	route_acked(c->vm, KVM_IRQCHIP_IOAPIC, pin);
	spin_lock_irqsave(&c->lock, flags);
	if (pin_level(c, pin))
		storm = ioapic_end(&c->ioapic, pin);
	spin_unlock_irqrestore(&c->lock, flags);
	if (storm)
		schedule_delayed_work(&c->retry, STORM_PAUSE);
}

void ioapic_eoi(struct vm *vm, struct vcpu *v, u8 vector)
{
	struct irqchip *c = vm->arch.irqchip;
	unsigned long flags;
	u32 pins, pin;

	if (!c)
		return;
	spin_lock_irqsave(&c->lock, flags);
	pins = ioapic_eoi_pins(&c->ioapic, v->id, vector);
	spin_unlock_irqrestore(&c->lock, flags);
	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		if (pins & 1u << pin)
			eoi_pin(c, pin);
	}
}

static u32 read_register(struct irqchip *c, u32 offset)
{
	unsigned long flags;
	u32 value;

	spin_lock_irqsave(&c->lock, flags);
	value = ioapic_read(&c->ioapic, offset);
	spin_unlock_irqrestore(&c->lock, flags);
	return value;
}

static void write_register(struct irqchip *c, u32 offset, u32 value)
{
	unsigned long flags;
	bool changed;
	u32 unmasked, pin;

	spin_lock_irqsave(&c->lock, flags);
	changed = ioapic_write(&c->ioapic, offset, value);
	unmasked = c->ioapic.unmasked;
	c->ioapic.unmasked = 0;
	spin_unlock_irqrestore(&c->lock, flags);
	for (pin = 0; unmasked && pin < IOAPIC_PINS; pin++) {
		if (unmasked & 1u << pin)
			route_unmasked(c->vm, KVM_IRQCHIP_IOAPIC, pin);
	}
	if (changed)
		irqchip_request_scan(c->vm);
}

int ioapic_access(struct vm *vm, u64 gpa, u32 len, void *data, bool write)
{
	struct irqchip *c = smp_load_acquire(&vm->arch.irqchip);
	u32 offset = gpa - IOAPIC_DEFAULT_BASE, size = min_t(u32, len, sizeof(u32));
	u64 value = 0;

	if (!c || !ioapic_covers(&c->ioapic, gpa) || offset + len > IOAPIC_BYTES)
		return -EOPNOTSUPP;
	/* Sizes that no instruction has alone (a piece at a page's end) do nothing. */
	if (len & (len - 1))
		return 0;
	if (write) {
		memcpy(&value, data, size);
		write_register(c, offset, value);
	} else {
		value = read_register(c, offset);
		memcpy(data, &value, len);
	}
	return 0;
}

/* ---- EOI bitmaps ---- */

/*
 * The vectors of pins whose EOI somebody waits for: levels, pins with a
 * listener, the RTC. What may be on its way counts for every vCPU, because its
 * entry may name another one by now: levels that wait for their EOI, and all
 * edges, of which nothing tells it.
 */
static void fill_from_ioapic(struct irqchip *c, struct vcpu *v, unsigned long *bitmap)
{
	bool wanted;
	u64 entry;
	u32 pin;

	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		entry = READ_ONCE(c->ioapic.s.redirtbl[pin].bits);
		if (entry & RTE_LEVEL)
			wanted = entry & RTE_REMOTE_IRR || lapic_matches(v, RTE_DEST(entry), entry & RTE_LOGICAL);
		else
			wanted = pin == IOAPIC_RTC_PIN || route_wants_ack(c->vm, KVM_IRQCHIP_IOAPIC, pin);
		if (wanted)
			__set_bit(RTE_VECTOR(entry), bitmap);
	}
}

struct fill {
	struct vcpu *v;
	unsigned long *bitmap;
};

static void fill_from_route(void *ctx, const struct route *r)
{
	struct fill *f = ctx;
	struct lapic_msg msg = lapic_msi_decode(f->v->vm, r->address_lo, r->address_hi, r->data);

	if (msg.level && lapic_matches(f->v, msg.dest, msg.logical))
		__set_bit(msg.vector, f->bitmap);
}

void ioapic_fill_eoi_bitmap(struct vcpu *v, unsigned long *bitmap)
{
	struct vm *vm = v->vm;
	struct fill fill = { v, bitmap };

	if (vm->arch.irqchip)
		fill_from_ioapic(vm->arch.irqchip, v, bitmap);
	else if (vm->arch.routing)
		route_each_msi(vm, vm->arch.ioapic_pins, fill_from_route, &fill);
}

/* ---- ioctls ---- */

/* vm->lock held. */
static bool vcpus_exist(const struct vm *vm)
{
	return !bitmap_empty(vm->vcpu_ids, ABI_MAX_VCPUS);
}

static struct irqchip *chips_new(struct vm *vm)
{
	struct irqchip *c = kzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT);

	if (!c)
		return NULL;
	c->vm = vm;
	spin_lock_init(&c->lock);
	INIT_DELAYED_WORK(&c->retry, retry);
	pic_reset(&c->pic);
	c->ioapic.ops = &ioapic_ops;
	c->ioapic.ctx = c;
	ioapic_reset(&c->ioapic);
	return c;
}

/* Each GSI stands for pins, or for nothing. */
static int routes_first(struct vm *vm, bool chips)
{
	struct kvm_irq_routing_entry *entries = kcalloc(ROUTES_DEFAULT, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	struct routes_rules rules = { .chips = chips };
	int rc;

	if (!entries)
		return -ENOMEM;
	rc = route_init(vm, &rules, entries, chips ? routes_default(entries) : 0);
	kfree(entries);
	return rc;
}

/* vm->lock held. */
static int create(struct vm *vm)
{
	struct irqchip *c;
	int rc;

	if (vm->arch.irqchip_mode != IRQCHIP_NONE)
		return -EEXIST;
	if (vcpus_exist(vm))
		return -EINVAL;
	c = chips_new(vm);
	if (!c)
		return -ENOMEM;
	rc = routes_first(vm, true);
	if (rc) {
		kfree(c);
		return rc;
	}
	smp_store_release(&vm->arch.irqchip, c);
	smp_store_release(&vm->arch.irqchip_mode, IRQCHIP_KERNEL);
	return 0;
}

long chips_create(void *object, unsigned long arg)
{
	struct vm *vm = object;
	int rc;

	mutex_lock(&vm->lock);
	rc = create(vm);
	mutex_unlock(&vm->lock);
	return rc;
}

/* vm->lock held. */
static int split(struct vm *vm, u64 pins)
{
	int rc;

	if (pins > ROUTES_MAX)
		return -EINVAL;
	if (vm->arch.irqchip_mode != IRQCHIP_NONE || vcpus_exist(vm))
		return -EEXIST;
	rc = routes_first(vm, false);
	if (rc)
		return rc;
	vm->arch.ioapic_pins = pins;
	smp_store_release(&vm->arch.irqchip_mode, IRQCHIP_SPLIT);
	return 0;
}

int chips_split(struct vm *vm, u64 pins)
{
	int rc;

	mutex_lock(&vm->lock);
	rc = split(vm, pins);
	mutex_unlock(&vm->lock);
	return rc;
}

/* A copy of the VMM's struct, or an error; KVM copies it before it looks for the chips. */
static struct kvm_irqchip *chip_read(struct vm *vm, unsigned long arg)
{
	struct kvm_irqchip *chip = memdup_user((void __user *)arg, sizeof(*chip));

	if (IS_ERR(chip) || vm->arch.irqchip)
		return chip;
	kfree(chip);
	return ERR_PTR(-ENXIO);
}

static int get(struct irqchip *c, struct kvm_irqchip *chip)
{
	unsigned long flags;
	int rc = 0;

	spin_lock_irqsave(&c->lock, flags);
	if (chip->chip_id <= KVM_IRQCHIP_PIC_SLAVE)
		chip->chip.pic = c->pic.chip[chip->chip_id];
	else if (chip->chip_id == KVM_IRQCHIP_IOAPIC)
		ioapic_get(&c->ioapic, &chip->chip.ioapic);
	else
		rc = -EINVAL;
	spin_unlock_irqrestore(&c->lock, flags);
	return rc;
}

static int set(struct irqchip *c, const struct kvm_irqchip *chip)
{
	unsigned long flags;
	int rc = 0;

	spin_lock_irqsave(&c->lock, flags);
	if (chip->chip_id <= KVM_IRQCHIP_PIC_SLAVE)
		c->pic.chip[chip->chip_id] = chip->chip.pic;
	else if (chip->chip_id == KVM_IRQCHIP_IOAPIC)
		ioapic_put(&c->ioapic, &chip->chip.ioapic);
	else
		rc = -EINVAL;
	pic_settle(c, &flags);
	irqchip_request_scan(c->vm);
	return rc;
}

long chips_get(void *object, unsigned long arg)
{
	struct vm *vm = object;
	struct kvm_irqchip *chip = chip_read(vm, arg);
	long rc;

	if (IS_ERR(chip))
		return PTR_ERR(chip);
	rc = get(vm->arch.irqchip, chip);
	if (!rc && copy_to_user((void __user *)arg, chip, sizeof(*chip)))
		rc = -EFAULT;
	kfree(chip);
	return rc;
}

long chips_set(void *object, unsigned long arg)
{
	struct vm *vm = object;
	struct kvm_irqchip *chip = chip_read(vm, arg);
	long rc;

	if (IS_ERR(chip))
		return PTR_ERR(chip);
	rc = set(vm->arch.irqchip, chip);
	kfree(chip);
	return rc;
}

void chips_stop(struct vm *vm)
{
	if (vm->arch.irqchip)
		cancel_delayed_work_sync(&vm->arch.irqchip->retry);
}

void chips_free(struct vm *vm)
{
	kfree(vm->arch.irqchip);
}
