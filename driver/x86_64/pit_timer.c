// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * pit_timer.c - the PIT's counter 0 as a timer of Linux, its ticks on GSI 0,
 * its ports and ioctls.
 *
 * Owns: vm.arch.pit. Ticks are reinjected, as in KVM: one that the guest has not
 * acknowledged is owed, and follows the acknowledgement of the one before.
 * Invariant: with reinjection, `acked` is taken by whoever raises the line, so
 * that no two ticks are on their way. A tick raises the line from the timer's
 * own interrupt.
 * Called by: iodev.c (ports), irqchip.c (acknowledgements), the VM's ioctls.
 * Concurrency: pit.lock for counters and the timer's start; atomics for ticks.
 * See: Documentation/virt/kvm/api.rst, KVM_CREATE_PIT2 to KVM_REINJECT_CONTROL.
 */
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/slab.h>

#include "irqchip.h"
#include "route.h"
#include "models/pit.h"
#include "x86_64/pit_timer.h"

#define PIT_GSI 0

/* A guest's shortest period, KVM's default: hrtimers have no other brake. */
#define PERIOD_MIN (200 * NSEC_PER_USEC)

struct vm_pit {
	struct vm *vm;
	struct mutex lock;
	struct pit pit;
	struct hrtimer timer;
	s64 period;		/* of the timer as it runs; 0: it never did */
	bool periodic;
	bool speaker;		/* port 0x61 is ours too */
	atomic_t reinject;
	atomic_t owed;		/* ticks the guest has not acknowledged */
	atomic_t acked;		/* the next one may be raised */
};

static struct vm_pit *vm_pit(const struct vm *vm)
{
	return smp_load_acquire(&vm->arch.pit);
}

/* ---- ticks ---- */

static void tick_raise(struct vm_pit *t)
{
	if (atomic_read(&t->reinject) && !atomic_xchg(&t->acked, 0))
		return;
	route_set(t->vm, IRQ_SOURCE_PIT, PIT_GSI, true, false);
	route_set(t->vm, IRQ_SOURCE_PIT, PIT_GSI, false, false);
	lapic_pit_tick(t->vm);
}

static enum hrtimer_restart tick(struct hrtimer *timer)
{
	struct vm_pit *t = container_of(timer, struct vm_pit, timer);

	if (atomic_read(&t->reinject))
		atomic_inc(&t->owed);
	tick_raise(t);
	if (!t->periodic)
		return HRTIMER_NORESTART;
	hrtimer_add_expires_ns(timer, t->period);
	return HRTIMER_RESTART;
}

void pit_acked(struct vm *vm)
{
	struct vm_pit *t = vm_pit(vm);

	if (!t || !atomic_read(&t->reinject))
		return;
	atomic_set(&t->acked, 1);
	/* Pairs with tick(): it counts before it takes `acked`. */
	smp_mb();
	if (atomic_dec_if_positive(&t->owed) > 0)
		tick_raise(t);
}

static void forget_ticks(struct vm_pit *t)
{
	atomic_set(&t->owed, 0);
	atomic_set(&t->acked, 1);
}

/* What came while the pin was masked is no tick that the guest could miss. */
void pit_unmasked(struct vm *vm)
{
	struct vm_pit *t = vm_pit(vm);

	if (t && atomic_read(&t->reinject))
		forget_ticks(t);
}

bool pit_wants_ack(const struct vm *vm)
{
	struct vm_pit *t = vm_pit(vm);

	return t && atomic_read(&t->reinject);
}

/* ---- the timer; t->lock held ---- */

static struct pit_time time_now(struct vm_pit *t)
{
	struct pit_time now = { .now = ktime_get_ns() };

	if (t->period)
		now.elapsed = t->period - ktime_to_ns(hrtimer_get_remaining(&t->timer));
	return now;
}

static void timer_start(struct vm_pit *t)
{
	s64 interval = pit_period(&t->pit);

	hrtimer_cancel(&t->timer);
	t->period = interval;
	t->periodic = pit_periodic(&t->pit);
	forget_ticks(t);
	if (t->periodic && t->period < PERIOD_MIN) {
		pr_info_ratelimited("VM %u: a PIT period of %lld ns is too short, %ld ns it is\n",
				    t->vm->handle, t->period, PERIOD_MIN);
		t->period = PERIOD_MIN;
	}
	hrtimer_start(&t->timer, ktime_add_ns(ktime_get(), interval), HRTIMER_MODE_ABS);
}

/* Counter 0 was loaded: start or stop. The HPET's legacy mode keeps what runs. */
static void timer_update(struct vm_pit *t)
{
	if (!t->pit.loaded)
		return;
	t->pit.loaded = false;
	if (!pit_runs(&t->pit))
		hrtimer_cancel(&t->timer);
	else if (READ_ONCE(t->vm->arch.irqchip_mode) == IRQCHIP_KERNEL &&
		 !(t->pit.s.flags & KVM_PIT_FLAGS_HPET_LEGACY))
		timer_start(t);
}

/* ---- ports ---- */

static u32 port_value(struct vm_pit *t, u16 port, bool write, u32 value)
{
	struct pit_time now = time_now(t);

	if (port == PIT_SPEAKER_PORT && write)
		pit_speaker_write(&t->pit, value, now.now);
	else if (port == PIT_SPEAKER_PORT)
		return pit_speaker_read(&t->pit, now.now);
	else if (write)
		pit_write(&t->pit, port, value, &now);
	else
		return pit_read(&t->pit, port, &now);
	timer_update(t);
	return 0;
}

/* The accesses of KVM's devices: 0x40 to 0x43, and 0x61 in a range that is four ports long. */
static bool port_ours(const struct vm_pit *t, u16 port, u32 len)
{
	if (port == PIT_SPEAKER_PORT)
		return t->speaker && len <= 4;
	return port - PIT_PORT + len <= PIT_PORTS;
}

int pit_access(struct vm *vm, u16 port, u32 len, void *data, bool write)
{
	struct vm_pit *t = vm_pit(vm);
	u32 value = 0;

	if (!t || !port_ours(t, port, len))
		return -EOPNOTSUPP;
	/* Nothing is there to be read: the guest's register stays. */
	if (port == PIT_CONTROL_PORT && !write)
		return 0;
	len = min_t(u32, len, sizeof(value));
	if (write)
		memcpy(&value, data, len);
	mutex_lock(&t->lock);
	value = port_value(t, port, write, value);
	mutex_unlock(&t->lock);
	if (!write)
		memcpy(data, &value, len);
	return 0;
}

/* ---- ioctls ---- */

static struct vm_pit *pit_new(struct vm *vm, u32 flags)
{
	struct vm_pit *t = kzalloc(sizeof(*t), GFP_KERNEL_ACCOUNT);

	if (!t)
		return NULL;
	t->vm = vm;
	t->speaker = flags & KVM_PIT_SPEAKER_DUMMY;
	mutex_init(&t->lock);
	compat_hrtimer_setup(&t->timer, tick, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	pit_reset(&t->pit, ktime_get_ns());
	t->pit.loaded = false;
	atomic_set(&t->reinject, 1);
	forget_ticks(t);
	return t;
}

static long create(struct vm *vm, u32 flags)
{
	struct vm_pit *t;
	long rc = -EEXIST;

	mutex_lock(&vm->lock);
	if (vm->arch.pit)
		goto out;
	rc = -ENOMEM;
	t = pit_new(vm, flags);
	if (!t)
		goto out;
	smp_store_release(&vm->arch.pit, t);
	rc = 0;
out:
	mutex_unlock(&vm->lock);
	if (!rc)
		irqchip_request_scan(vm);
	return rc;
}

long pit_create(void *object, unsigned long arg)
{
	return create(object, KVM_PIT_SPEAKER_DUMMY);
}

long pit_create2(void *object, unsigned long arg)
{
	struct kvm_pit_config config;

	if (copy_from_user(&config, (void __user *)arg, sizeof(config)))
		return -EFAULT;
	return create(object, config.flags);
}

static void snapshot(struct vm_pit *t, struct kvm_pit_state2 *s)
{
	mutex_lock(&t->lock);
	*s = t->pit.s;
	mutex_unlock(&t->lock);
	memset(s->reserved, 0, sizeof(s->reserved));
}

static void restore(struct vm_pit *t, const struct kvm_pit_channel_state *channels, u32 flags)
{
	bool stop = flags & ~t->pit.s.flags & KVM_PIT_FLAGS_HPET_LEGACY;

	memcpy(t->pit.s.channels, channels, sizeof(t->pit.s.channels));
	t->pit.s.flags = flags;
	pit_restart(&t->pit, ktime_get_ns());
	/* The HPET takes over: the timer ends, the mode stays for its return. */
	if (stop) {
		t->pit.loaded = false;
		hrtimer_cancel(&t->timer);
	}
	timer_update(t);
}

/* KVM copies its argument in first, though it is all output. */
long pit_get(void *object, unsigned long arg)
{
	struct vm_pit *t = vm_pit(object);
	struct kvm_pit_state state;
	struct kvm_pit_state2 all;

	if (copy_from_user(&state, (void __user *)arg, sizeof(state)))
		return -EFAULT;
	if (!t)
		return -ENXIO;
	snapshot(t, &all);
	return copy_to_user((void __user *)arg, all.channels, sizeof(state)) ? -EFAULT : 0;
}

long pit_set(void *object, unsigned long arg)
{
	struct vm_pit *t = vm_pit(object);
	struct kvm_pit_state state;

	if (copy_from_user(&state, (void __user *)arg, sizeof(state)))
		return -EFAULT;
	if (!t)
		return -ENXIO;
	mutex_lock(&t->lock);
	restore(t, state.channels, t->pit.s.flags);
	mutex_unlock(&t->lock);
	return 0;
}

long pit_get2(void *object, unsigned long arg)
{
	struct vm_pit *t = vm_pit(object);
	struct kvm_pit_state2 state;

	if (!t)
		return -ENXIO;
	snapshot(t, &state);
	return copy_to_user((void __user *)arg, &state, sizeof(state)) ? -EFAULT : 0;
}

long pit_set2(void *object, unsigned long arg)
{
	struct vm_pit *t = vm_pit(object);
	struct kvm_pit_state2 state;

	if (copy_from_user(&state, (void __user *)arg, sizeof(state)))
		return -EFAULT;
	if (!t)
		return -ENXIO;
	mutex_lock(&t->lock);
	restore(t, state.channels, state.flags);
	mutex_unlock(&t->lock);
	return 0;
}

long pit_reinject(void *object, unsigned long arg)
{
	struct vm_pit *t = vm_pit(object);
	struct kvm_reinject_control control;

	if (copy_from_user(&control, (void __user *)arg, sizeof(control)))
		return -EFAULT;
	if (!t)
		return -ENXIO;
	mutex_lock(&t->lock);
	if (control.pit_reinject && !atomic_read(&t->reinject))
		forget_ticks(t);
	atomic_set(&t->reinject, control.pit_reinject ? 1 : 0);
	mutex_unlock(&t->lock);
	irqchip_request_scan(object);
	return 0;
}

void pit_free(struct vm *vm)
{
	struct vm_pit *t = vm->arch.pit;

	if (t)
		hrtimer_cancel(&t->timer);
	kfree(t);
}
