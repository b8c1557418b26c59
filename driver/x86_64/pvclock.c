// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * pvclock.c - KVM's paravirtual clock: a page of the guest says what time it was
 * at some value of its TSC, and how fast that runs.
 *
 * Owns: vm.arch.clock, vcpu.arch.clock. Time is Linux's raw boot time, which no
 * NTP slews, plus the VM's offset. While Linux's own clock is the TSC and all
 * vCPUs have the same TSC, all copies are made from one pair (the master clock):
 * then they agree to the nanosecond, and the guest is told so. The pair is kept
 * as long as that lasts, because another one may be a rounding error earlier.
 * Invariant: a copy's version is odd while it changes.
 * Called by: msr.c, mp.c, exits.c, the ioctls. Concurrency: vm.clock.lock;
 * vcpu.arch.clock under v->lock.
 * See: Documentation/virt/kvm/x86/msr.rst; models/clock.h.
 */
#include <linux/pvclock_gtod.h>
#include <linux/timekeeper_internal.h>
#include <linux/timekeeping.h>
#include <asm/msr.h>
#include <asm/pvclock-abi.h>
#include <asm/tsc.h>

#include "tenon.h"
#include "models/clock.h"
#include "x86_64/pvclock.h"

#define MSR_WALL_OLD 0x11u
#define MSR_SYSTEM_OLD 0x12u
#define MSR_WALL 0x4b564d00u
#define SYSTEM_ON 1ull
#define STALE_AFTER HZ		/* without a master clock */

/* Is Linux's clock the TSC, and how often did that change? */
static bool host_tsc;
static u32 host_serial;

/* Timekeeping's lock is held. */
static int host_changed(struct notifier_block *block, unsigned long unused, void *data)
{
	const struct timekeeper *tk = data;
	bool tsc = tk->tkr_mono.clock->vdso_clock_mode == VDSO_CLOCKMODE_TSC;

	if (tsc != host_tsc) {
		WRITE_ONCE(host_tsc, tsc);
		WRITE_ONCE(host_serial, host_serial + 1);
	}
	return 0;
}

static struct notifier_block host_block = {
	.notifier_call = host_changed,
};

int pvclock_init(void)
{
	return pvclock_gtod_register_notifier(&host_block);
}

void pvclock_exit(void)
{
	pvclock_gtod_unregister_notifier(&host_block);
}

/* ---- Linux's time ---- */

static s64 since_boot(ktime_t raw)
{
	/* The time slept counts as well. */
	return ktime_to_ns(raw) + ktime_to_ns(ktime_mono_to_any(0, TK_OFFS_BOOT));
}

static s64 base_now(void)
{
	return since_boot(ktime_get_raw());
}

/* One instant: TSC, base, wall clock. False when Linux's clock is another one. */
static bool instant(u64 *tsc, s64 *base, u64 *real)
{
	struct system_time_snapshot now;
	u32 serial = READ_ONCE(host_serial);
	bool ok = READ_ONCE(host_tsc);

	ktime_get_snapshot(&now);
	*tsc = now.cycles;
	*base = since_boot(now.raw);
	*real = ktime_to_ns(now.real);
	return ok && serial == READ_ONCE(host_serial);
}

#define PAIR_TRIES 16

/*
 * TSC and base where Linux's clock is another one: of some readings that with the least between. What comes in between (an
 * SMI, a neighbour's turn on the machine below) would put the guest's clock ahead by as much. Interrupts are off.
 */
static s64 pair(u64 *tsc)
{
	static u64 usual;	/* the least of all so far */
	u64 least = U64_MAX, before, after;
	s64 base = 0, now;
	int i;

	for (i = 0; i < PAIR_TRIES && least > 2 * READ_ONCE(usual); i++) {
		before = rdtsc_ordered();
		now = base_now();
		after = rdtsc_ordered();
		if (after - before >= least)
			continue;
		least = after - before;
		*tsc = before + least / 2;
		base = now;
	}
	if (least < usual || !usual)
		WRITE_ONCE(usual, least);
	return base;
}

/* ---- the VM's clock ---- */

static bool same_tsc(const struct vm *vm)
{
	const struct vcpu *first = NULL;
	u32 i;

	for (i = 0; i < ABI_MAX_VCPUS; i++) {
		const struct vcpu *v = READ_ONCE(vm->vcpu[i]);

		if (!v)
			continue;
		if (!first)
			first = v;
		else if (READ_ONCE(v->arch.tsc_offset) != READ_ONCE(first->arch.tsc_offset) ||
			 READ_ONCE(v->arch.tsc_ratio) != READ_ONCE(first->arch.tsc_ratio))
			return false;
	}
	return first;
}

/* All vCPUs make their copies anew. */
static void request_all(struct vm *vm)
{
	u32 i;

	for (i = 0; i < ABI_MAX_VCPUS; i++) {
		struct vcpu *v = READ_ONCE(vm->vcpu[i]);

		if (v && READ_ONCE(v->arch.clock.msr) & SYSTEM_ON)
			vcpu_request(v, REQUEST_CLOCK);
	}
}

/*
 * May the vCPUs share a pair? A pair that is there is kept, unless the VM's
 * time is to change. clock.lock held. True when the copies are out of date.
 */
static bool decide(struct vm *vm, bool anew)
{
	struct vm_clock *c = &vm->arch.clock;
	bool was = c->master, can = READ_ONCE(host_tsc) && same_tsc(vm) && !c->old_msr;
	u64 real;

	if (can && (!was || anew))
		can = instant(&c->master_tsc, &c->master_ns, &real);
	c->master = can;
	return anew || was != can;
}

static void update(struct vm *vm)
{
	struct vm_clock *c = &vm->arch.clock;
	bool changed;

	spin_lock(&c->lock);
	changed = decide(vm, false);
	spin_unlock(&c->lock);
	if (changed)
		request_all(vm);
}

/* KVM_GET_CLOCK's answer. clock.lock held. */
static void read_clock(const struct vm_clock *c, struct kvm_clock_data *data)
{
	u64 tsc, real;
	s64 base;

	memset(data, 0, sizeof(*data));
	if (!c->master || !instant(&tsc, &base, &real)) {
		data->clock = base_now() + c->offset;
		return;
	}
	data->flags = KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
	data->host_tsc = tsc;
	data->realtime = real;
	/* As the guests compute it, so that both agree. */
	data->clock = c->master_ns + c->offset + clock_ns(clock_scale(tsc_khz), tsc - c->master_tsc);
}

long pvclock_get(void *object, unsigned long arg)
{
	struct kvm_clock_data data;
	struct vm *vm = object;

	spin_lock(&vm->arch.clock.lock);
	read_clock(&vm->arch.clock, &data);
	spin_unlock(&vm->arch.clock.lock);
	return copy_to_user((void __user *)arg, &data, sizeof(data)) ? -EFAULT : 0;
}

long pvclock_set(void *object, unsigned long arg)
{
	struct kvm_clock_data data;
	struct vm *vm = object;
	struct vm_clock *c = &vm->arch.clock;
	u64 now;

	if (copy_from_user(&data, (void __user *)arg, sizeof(data)))
		return -EFAULT;
	if (data.flags & ~CLOCK_FLAGS)
		return -EINVAL;
	spin_lock(&c->lock);
	decide(vm, true);
	/* Time that passed since the other host read its clock; never backwards. */
	now = ktime_get_real_ns();
	if (data.flags & KVM_CLOCK_REALTIME && now > data.realtime)
		data.clock += now - data.realtime;
	c->offset = data.clock - (c->master ? c->master_ns : base_now());
	spin_unlock(&c->lock);
	request_all(vm);
	return 0;
}

void pvclock_init_vm(struct vm *vm)
{
	spin_lock_init(&vm->arch.clock.lock);
	vm->arch.clock.offset = -base_now();
}

/* ---- the guest's copies; v->lock held, in the VMM's mm ---- */

/* A write to guest memory; what is not there, or may not be written, is left alone. */
static void guest_write(struct vm *vm, u64 gpa, const void *data, u32 bytes)
{
	struct slot *slot = slot_find(vm, gpa >> PAGE_SHIFT);

	if (slot && !(slot->flags & KVM_MEM_READONLY))
		slot_write(slot, gpa, data, bytes);
}

static u32 guest_version(struct vm *vm, u64 gpa)
{
	struct slot *slot = slot_find(vm, gpa >> PAGE_SHIFT);
	u32 version = 0;

	return slot && !slot_read(slot, gpa, &version, sizeof(version)) ? version : 0;
}

/* `data` begins with its version. Another vCPU may be reading. vm.srcu held. */
static void publish(struct vm *vm, u64 gpa, u32 *data, u32 bytes)
{
	u32 version = (guest_version(vm, gpa) + 1) | 1;

	*data = version;
	guest_write(vm, gpa, data, sizeof(*data));
	smp_wmb();
	guest_write(vm, gpa, data, bytes);
	smp_wmb();
	*data = version + 1;
	guest_write(vm, gpa, data, sizeof(*data));
}

/* Flags that the guest has not taken yet stay. */
static u8 flags_left(struct vm *vm, u64 gpa)
{
	struct slot *slot = slot_find(vm, gpa >> PAGE_SHIFT);
	u8 flags = 0;

	if (slot)
		slot_read(slot, gpa + offsetof(struct pvclock_vcpu_time_info, flags), &flags, sizeof(flags));
	return flags & PVCLOCK_GUEST_STOPPED;
}

static struct pvclock_vcpu_time_info time_info(struct vcpu *v)
{
	struct clock_scale scale = clock_scale(tsc_guest_khz(v));
	struct vm_clock *c = &v->vm->arch.clock;
	struct pvclock_vcpu_time_info t = { .tsc_to_system_mul = scale.mul, .tsc_shift = scale.shift };
	unsigned long flags;

	spin_lock(&c->lock);
	if (c->master) {
		t.tsc_timestamp = c->master_tsc;
		t.system_time = c->master_ns + c->offset;
		t.flags = PVCLOCK_TSC_STABLE_BIT;
	} else {
		local_irq_save(flags);
		t.system_time = pair(&t.tsc_timestamp) + c->offset;
		local_irq_restore(flags);
	}
	spin_unlock(&c->lock);
	t.tsc_timestamp = tsc_guest(v, t.tsc_timestamp);
	return t;
}

static void write_time(struct vcpu *v)
{
	u64 gpa = v->arch.clock.msr & ~SYSTEM_ON;
	struct pvclock_vcpu_time_info t = time_info(v);
	int idx = srcu_read_lock(&v->vm->srcu);

	/* One that crosses a page is never written, as KVM's. */
	if (offset_in_page(gpa) + sizeof(t) <= PAGE_SIZE) {
		t.flags |= flags_left(v->vm, gpa);
		if (v->arch.clock.stopped)
			t.flags |= PVCLOCK_GUEST_STOPPED;
		v->arch.clock.stopped = false;
		publish(v->vm, gpa, &t.version, sizeof(t));
	}
	srcu_read_unlock(&v->vm->srcu, idx);
}

void pvclock_work(struct vcpu *v)
{
	struct vcpu_clock *c = &v->arch.clock;

	if (!(c->msr & SYSTEM_ON))
		return;
	c->cpu = raw_smp_processor_id();
	c->jiffies = jiffies;
	c->host_serial = READ_ONCE(host_serial);
	update(v->vm);
	write_time(v);
}

/* With a master clock only Linux's own counts; else also another CPU, and the time that went by. */
void pvclock_check(struct vcpu *v)
{
	struct vcpu_clock *c = &v->arch.clock;
	bool stale = c->host_serial != READ_ONCE(host_serial);

	if (!(c->msr & SYSTEM_ON))
		return;
	if (!READ_ONCE(v->vm->arch.clock.master))
		stale |= c->cpu != v->cpu || time_after(jiffies, c->jiffies + STALE_AFTER);
	if (stale)
		set_bit(REQUEST_CLOCK, &v->arch.requests);
}

void pvclock_tsc_changed(struct vcpu *v)
{
	if (v->arch.clock.msr & SYSTEM_ON)
		set_bit(REQUEST_CLOCK, &v->arch.requests);
}

/* ---- registers ---- */

static void write_wall(struct vm *vm, u64 gpa)
{
	struct pvclock_wall_clock wall = { };
	struct kvm_clock_data data;
	u32 nanoseconds;
	int idx;

	if (!gpa || offset_in_page(gpa) + sizeof(wall) > PAGE_SIZE)
		return;
	spin_lock(&vm->arch.clock.lock);
	read_clock(&vm->arch.clock, &data);
	spin_unlock(&vm->arch.clock.lock);
	/* What the guest adds its clock to. */
	wall.sec = div_u64_rem(ktime_get_real_ns() - data.clock, NSEC_PER_SEC, &nanoseconds);
	wall.nsec = nanoseconds;
	idx = srcu_read_lock(&vm->srcu);
	publish(vm, gpa, &wall.version, sizeof(wall));
	srcu_read_unlock(&vm->srcu, idx);
}

static bool is_old(u32 msr)
{
	return msr == MSR_WALL_OLD || msr == MSR_SYSTEM_OLD;
}

static bool is_wall(u32 msr)
{
	return msr == MSR_WALL_OLD || msr == MSR_WALL;
}

int pvclock_read(struct vcpu *v, u32 msr, u64 *value)
{
	*value = is_wall(msr) ? v->vm->arch.clock.wall : v->arch.clock.msr;
	return 0;
}

static void write_system(struct vcpu *v, u32 msr, u64 value, bool host)
{
	struct vm_clock *c = &v->vm->arch.clock;

	if (!v->id && !host) {
		spin_lock(&c->lock);
		c->old_msr = is_old(msr);
		spin_unlock(&c->lock);
	}
	WRITE_ONCE(v->arch.clock.msr, value);
	if (value & SYSTEM_ON)
		set_bit(REQUEST_CLOCK, &v->arch.requests);
}

int pvclock_write(struct vcpu *v, u32 msr, u64 value, bool host)
{
	if (!is_wall(msr)) {
		write_system(v, msr, value, host);
		return 0;
	}
	v->vm->arch.clock.wall = value;
	write_wall(v->vm, value);
	return 0;
}

/* KVM_KVMCLOCK_CTRL: the guest is not to take the pause for a lock-up. */
long pvclock_stopped(void *object, unsigned long arg)
{
	struct vcpu *v = object;

	if (!(v->arch.clock.msr & SYSTEM_ON))
		return -EINVAL;
	v->arch.clock.stopped = true;
	set_bit(REQUEST_CLOCK, &v->arch.requests);
	return 0;
}
