// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * apic.c - the local APIC among the others: messages and their destinations,
 * the timer's clock, guest accesses, KVM's ioctls. What a register does is
 * models/lapic.c's.
 *
 * Owns: vm.arch.lapics, vcpu.arch.lapic and its timer. Invariant: a vector is
 * in the page before the vCPU is kicked, and the vCPU says that it is in the
 * guest before the hypervisor's last look at the page, so none is lost.
 * Called by: exits.c, msr.c, ioctl.c, the irqchip files. Calls: models/lapic.c.
 * Concurrency: v->lock for the vCPU's own registers; delivery any context.
 * See: irqchip.h; SDM volume 3, chapter 11; Documentation/virt/kvm/api.rst.
 */
#include <linux/hrtimer.h>
#include <linux/math64.h>
#include <linux/slab.h>
#include <asm/smp.h>
#include <asm/tsc.h>

#include "tenon.h"
#include "irqchip.h"
#include "trace.h"

#define MSR_APIC_BASE 0x1bu
#define MSR_TSC_DEADLINE 0x6e0u
#define LVT_MODE(lvt) ((lvt) >> 8 & 7)
#define FAR_NS (1ull << 60)		/* a deadline beyond this is never */

/* ---- waking a vCPU ---- */

/*
 * The other half of run_enter(): it publishes in_guest, then looks; we wrote
 * what it looks for, then read in_guest.
 */
void vcpu_kick(struct vcpu *v)
{
	u32 cpu;

	smp_mb();
	if (rcuwait_wake_up(&v->arch.wait))
		return;
	cpu = get_cpu();
	if (READ_ONCE(v->in_guest) && READ_ONCE(v->cpu) != cpu)
		smp_send_reschedule(READ_ONCE(v->cpu));
	put_cpu();
}

void vcpu_request(struct vcpu *v, enum vcpu_request request)
{
	set_bit(request, &v->arch.requests);
	vcpu_kick(v);
}

/* ---- messages ---- */

static u32 lapic_count(const struct vm *vm)
{
	return smp_load_acquire(&vm->arch.lapic_count);
}

static struct vcpu *lapic_vcpu(const struct vm *vm, u32 i)
{
	return smp_load_acquire(&vm->arch.lapics[i]);
}

static int accept_init(struct vcpu *v, const struct lapic_msg *msg)
{
	if (msg->level && !msg->assert)
		return 0;
	/* It takes a SIPI that waits along. */
	clear_bit(REQUEST_SIPI, &v->arch.requests);
	vcpu_request(v, REQUEST_INIT);
	return 1;
}

static int accept_startup(struct vcpu *v, const struct lapic_msg *msg)
{
	WRITE_ONCE(v->arch.sipi_vector, msg->vector);
	smp_wmb();
	vcpu_request(v, REQUEST_SIPI);
	return 1;
}

static int accept_nmi(struct vcpu *v)
{
	atomic_inc(&v->arch.nmi_queued);
	vcpu_request(v, REQUEST_NMI);
	return 1;
}

/* SMI is dropped: there is no SMM. */
static int take(struct vcpu *v, const struct lapic_msg *msg)
{
	switch (msg->mode) {
	case LAPIC_FIXED: case LAPIC_LOWEST:
		if ((msg->level && !msg->assert) || !lapic_post(&v->arch.lapic, msg->vector, msg->level))
			return 0;
		vcpu_kick(v);
		return 1;
	case LAPIC_REMOTE_READ:		/* KVM's guests wake a vCPU by it */
		vcpu_request(v, REQUEST_UNHALT);
		return 1;
	case LAPIC_NMI:
		return accept_nmi(v);
	case LAPIC_INIT:
		return accept_init(v, msg);
	case LAPIC_STARTUP:
		return accept_startup(v, msg);
	default:
		return 0;
	}
}

static noinline int take_traced(struct vcpu *v, const struct lapic_msg *msg)
{
	int taken = take(v, msg);

	if (taken)
		trace_kvm_apic_accept_irq(v->id, msg->mode << 8, msg->level, msg->vector);
	return taken;
}

/* One LAPIC takes a message: 1, or 0. */
static int accept(struct vcpu *v, const struct lapic_msg *msg)
{
	return trace_kvm_apic_accept_irq_enabled() ? take_traced(v, msg) : take(v, msg);
}

static bool matches(const struct vcpu *v, const struct vcpu *source, const struct lapic_msg *msg)
{
	bool quirk = !READ_ONCE(v->vm->arch.broadcast_quirk_off);

	switch (msg->shorthand) {
	case LAPIC_NO_SHORTHAND:
		return lapic_accepts(&v->arch.lapic, msg->dest, msg->logical, source, quirk);
	case LAPIC_ALL:
		return lapic_on(&v->arch.lapic);
	case LAPIC_OTHERS:
		return v != source && lapic_on(&v->arch.lapic);
	default:
		return false;
	}
}

bool lapic_matches(const struct vcpu *v, u32 dest, bool logical)
{
	return vcpu_has_lapic(v) &&
	       lapic_accepts(&v->arch.lapic, dest, logical, false, !READ_ONCE(v->vm->arch.broadcast_quirk_off));
}

/* The lowest priority: by the vector among those that can, as KVM spreads them. */
static int deliver_lowest(struct vm *vm, struct vcpu *source, const struct lapic_msg *msg)
{
	u64 able = 0;
	u32 i, skip;

	for (i = 0; i < lapic_count(vm); i++) {
		struct vcpu *v = lapic_vcpu(vm, i);

		if (v && matches(v, source, msg) && lapic_enabled(&v->arch.lapic))
			able |= 1ull << i;
	}
	if (!able)
		return -1;
	for (skip = msg->vector % hweight64(able); skip; skip--)
		able &= able - 1;
	return accept(lapic_vcpu(vm, __ffs64(able)), msg);
}

/* The one whose x2APIC ID it is, if that takes it: no search then. */
static struct vcpu *direct(struct vm *vm, struct vcpu *source, const struct lapic_msg *msg)
{
	struct vcpu *v;

	if (msg->shorthand || msg->logical || msg->dest >= ABI_MAX_VCPUS)
		return NULL;
	v = lapic_vcpu(vm, msg->dest);
	return v && matches(v, source, msg) ? v : NULL;
}

int lapic_deliver(struct vm *vm, struct vcpu *source, const struct lapic_msg *msg)
{
	bool lowest = msg->mode == LAPIC_LOWEST || msg->redir_hint;
	struct vcpu *v;
	int taken = -1;
	u32 i;

	if (msg->shorthand == LAPIC_SELF)
		return source ? accept(source, msg) : 0;
	v = direct(vm, source, msg);
	if (v)
		return accept(v, msg);
	if (lowest && !(msg->dest == LAPIC_BROADCAST && !msg->logical))
		return deliver_lowest(vm, source, msg);
	for (i = 0; i < lapic_count(vm); i++) {
		v = lapic_vcpu(vm, i);
		if (v && matches(v, source, msg))
			taken = max(taken, 0) + accept(v, msg);
	}
	/* KVM's map answers 0 for a number that nobody has. */
	return taken < 0 && !msg->logical && msg->dest != LAPIC_BROADCAST ? 0 : taken;
}

/* ---- MSIs ---- */

struct lapic_msg lapic_msi_decode(const struct vm *vm, u32 address_lo, u32 address_hi, u32 data)
{
	u32 dest = address_lo >> 12 & 0xff;

	if (READ_ONCE(vm->arch.x2apic_ids))
		dest |= address_hi & 0xffffff00;
	return (struct lapic_msg){
		.dest = dest,
		.vector = data & 0xff,
		.mode = data >> 8 & 7,
		.logical = address_lo & 4,
		.level = data & 0x8000,
		.assert = true,
		.redir_hint = address_lo & 8,
	};
}

bool lapic_msi_valid(const struct vm *vm, u32 address_hi)
{
	return !READ_ONCE(vm->arch.x2apic_ids) || !(address_hi & 0xff);
}

int lapic_deliver_msi(struct vm *vm, u32 address_lo, u32 address_hi, u32 data)
{
	struct lapic_msg msg = lapic_msi_decode(vm, address_lo, address_hi, data);

	trace_kvm_msi_set_irq(address_lo | (READ_ONCE(vm->arch.x2apic_ids) ? (u64)address_hi << 32 : 0), data);
	return lapic_deliver(vm, NULL, &msg);
}

/* ---- the PIC, the PIT, the IOAPIC ---- */

bool lapic_accepts_extint(const struct vcpu *v)
{
	u32 lvt;

	if (!lapic_on(&v->arch.lapic))
		return true;
	lvt = LAPIC_REG(v->arch.lapic.page, LAPIC_LVT_LINT0);
	return !(lvt & LAPIC_LVT_MASKED) && LVT_MODE(lvt) == LAPIC_EXTINT;
}

void lapic_extint(struct vm *vm)
{
	u32 i;

	for (i = 0; i < lapic_count(vm); i++) {
		struct vcpu *v = lapic_vcpu(vm, i);

		if (v && lapic_accepts_extint(v))
			vcpu_request(v, REQUEST_EXTINT);
	}
}

bool apic_has_extint(struct vcpu *v)
{
	if (!vcpu_has_lapic(v) || !lapic_accepts_extint(v))
		return false;
	return v->vm->arch.irqchip_mode == IRQCHIP_SPLIT ? v->arch.extint_vector >= 0 : pic_output(v->vm);
}

int apic_take_extint(struct vcpu *v)
{
	int vector = v->arch.extint_vector;

	if (v->vm->arch.irqchip_mode != IRQCHIP_SPLIT)
		return pic_ack(v->vm);
	v->arch.extint_vector = -1;
	return vector;
}

bool apic_takes_interrupt(struct vcpu *v)
{
	return v->vm->arch.irqchip_mode == IRQCHIP_SPLIT && lapic_accepts_extint(v) && v->arch.extint_vector < 0;
}

/* LINT0 in any mode but ExtINT, driven by the PIT: the NMI watchdog of old. */
void lapic_pit_tick(struct vm *vm)
{
	u32 i;

	for (i = 0; i < lapic_count(vm); i++) {
		struct vcpu *v = lapic_vcpu(vm, i);
		u32 lvt = v ? LAPIC_REG(v->arch.lapic.page, LAPIC_LVT_LINT0) : LAPIC_LVT_MASKED;

		if (!(lvt & LAPIC_LVT_MASKED) && LVT_MODE(lvt) == LAPIC_NMI && lapic_on(&v->arch.lapic))
			accept_nmi(v);
	}
}

void irqchip_request_scan(struct vm *vm)
{
	u32 i;

	for (i = 0; i < lapic_count(vm); i++) {
		struct vcpu *v = lapic_vcpu(vm, i);

		if (v)
			vcpu_request(v, REQUEST_SCAN);
	}
}

void apic_scan(struct vcpu *v)
{
	unsigned long bitmap[256 / BITS_PER_LONG] = { };

	ioapic_fill_eoi_bitmap(v, bitmap);
	/* An IOAPIC's pin at rest names vector 0, as does an EOI with nothing in service to VMX (SDM vol. 3, 30.1.4). */
	bitmap[0] &= ~0xfffful;
	static_assert(sizeof(bitmap) == sizeof(v->arch.lapic.page->eoi_exit));
	memcpy(v->arch.lapic.page->eoi_exit, bitmap, sizeof(bitmap));
}

/* A vector of the EOI bitmap is done. */
static void report_eoi(struct vcpu *v, u8 vector)
{
	if (v->vm->arch.irqchip_mode == IRQCHIP_KERNEL) {
		ioapic_eoi(v->vm, v, vector);
		return;
	}
	v->arch.eoi_vector = vector;
	set_bit(REQUEST_EOI_EXIT, &v->arch.requests);
}

int apic_exit_eoi(struct vcpu *v)
{
	trace_kvm_eoi(v->id, v->exit->out.data);
	report_eoi(v, v->exit->out.data);
	return 1;
}

/* ---- timer ---- */

static noinline void trace_timer(struct vcpu *v)
{
	u32 lvt = LAPIC_REG(v->arch.lapic.page, LAPIC_LVT_TIMER);

	if (!(lvt & LAPIC_LVT_MASKED) && lapic_enabled(&v->arch.lapic))
		trace_kvm_apic_accept_irq(v->id, LAPIC_FIXED << 8, 0, lvt);
}

/* Posts its vector. True: it is armed anew. */
static bool timer_fired(struct vcpu *v)
{
	if (trace_kvm_apic_accept_irq_enabled())
		trace_timer(v);
	return lapic_timer_fired(&v->arch.lapic, ktime_get_ns());
}

static enum hrtimer_restart timer_expired(struct hrtimer *timer)
{
	struct vcpu *v = container_of(timer, struct vcpu, arch.timer);
	bool again = timer_fired(v);

	vcpu_kick(v);
	if (!again)
		return HRTIMER_NORESTART;
	hrtimer_set_expires(timer, ns_to_ktime(v->arch.lapic.expires));
	return HRTIMER_RESTART;
}

/*
 * Where the processor can end a stay in the guest at a time of ours, that is the timer of a vCPU that runs:
 * Linux's clock has it only while the vCPU waits.
 */
static bool stay_ends;

void apic_offers(void)
{
	stay_ends = cpuid_ebx(ABI_CPUID_BASE + 1) & ABI_FEATURE_DEADLINE && !check_tsc_unstable();
}

static void set_deadline(struct vcpu *v, u64 tsc)
{
	v->exit->in.deadline = tsc;
	v->exit->in.flags |= RESUME_DEADLINE;
}

/* Armed, and not due yet. */
static void timer_set(struct vcpu *v, u64 now)
{
	struct lapic *l = &v->arch.lapic;

	if (stay_ends && !check_tsc_unstable())
		set_deadline(v, rdtsc() + 1 + mul_u64_u64_div_u64(l->expires - now, tsc_khz, USEC_PER_SEC));
	else
		hrtimer_start(&v->arch.timer, ns_to_ktime(l->expires), HRTIMER_MODE_ABS_HARD);
}

/* What is past already fires here, without a detour through the clock. */
static void timer_start(struct vcpu *v)
{
	struct lapic *l = &v->arch.lapic;
	u64 now;

	if (!l->armed)
		return;
	now = ktime_get_ns();
	if (l->expires > now || timer_fired(v))
		timer_set(v, min(now, l->expires));
}

static void timer_stop(struct vcpu *v)
{
	if (v->exit->in.deadline)
		set_deadline(v, 0);
	hrtimer_cancel(&v->arch.timer);
}

void apic_timer_look(struct vcpu *v)
{
	if (rdtsc() < v->exit->in.deadline) {
		set_deadline(v, v->exit->in.deadline);
		return;
	}
	set_deadline(v, 0);
	if (timer_fired(v))
		timer_start(v);
}

void apic_timer_wait(struct vcpu *v)
{
	if (!v->exit->in.deadline)
		return;
	set_deadline(v, 0);
	hrtimer_start(&v->arch.timer, ns_to_ktime(v->arch.lapic.expires), HRTIMER_MODE_ABS_HARD);
}

void apic_timer_go(struct vcpu *v)
{
	if (!stay_ends || !vcpu_has_lapic(v))
		return;
	hrtimer_cancel(&v->arch.timer);
	timer_start(v);
}

static u64 guest_tsc(const struct vcpu *v)
{
	return tsc_guest(v, rdtsc_ordered());
}

static u64 cycles_to_ns(const struct vcpu *v, u64 cycles)
{
	/* The quotient has to fit into 64 bits, or the division faults; and it has to be a time of Linux's. */
	if (cycles / v->arch.tsc_khz >= FAR_NS / USEC_PER_SEC)
		return FAR_NS;
	return mul_u64_u64_div_u64(cycles, USEC_PER_SEC, v->arch.tsc_khz);
}

static void write_deadline(struct vcpu *v, u64 value)
{
	struct lapic *l = &v->arch.lapic;
	u64 now, delay;

	if (l->timer_mode != LAPIC_TIMER_DEADLINE || !lapic_on(l))
		return;
	timer_stop(v);
	now = guest_tsc(v);
	delay = value > now ? cycles_to_ns(v, value - now) : 0;
	lapic_set_deadline(l, value, delay, ktime_get_ns());
	timer_start(v);
}

/* ---- registers ---- */

static void send_icr(struct vcpu *v)
{
	struct lapic *l = &v->arch.lapic;
	u64 icr = lapic_icr(l);
	struct lapic_msg msg = {
		.dest = lapic_x2(l) ? icr >> 32 : icr >> 56,
		.vector = icr & 0xff,
		.mode = icr >> 8 & 7,
		.logical = icr & 0x800,
		.assert = icr & 0x4000,
		.level = icr & 0x8000,
		.shorthand = icr >> 18 & 3,
	};

	trace_kvm_apic_ipi(icr, msg.dest);
	lapic_deliver(v->vm, v, &msg);
}

static void look_again(struct vcpu *v)
{
	WRITE_ONCE(v->arch.lapic.page->pir_on, 1);
}

static void push_cr8(struct vcpu *v)
{
	v->exit->in.cr8 = apic_cr8(v);
	v->exit->in.flags |= RESUME_CR8;
}

/* What a write left to be done. */
static void effects(struct vcpu *v, unsigned int fx)
{
	if (fx & LAPIC_FX_SEND)
		send_icr(v);
	if (fx & LAPIC_FX_EOI)
		report_eoi(v, v->arch.lapic.eoi_vector);
	if (fx & LAPIC_FX_TPR)
		push_cr8(v);
	if (fx & LAPIC_FX_LOOK)
		look_again(v);
	if (fx & LAPIC_FX_SCAN) {
		irqchip_request_scan(v->vm);
		apf_lapic_changed(v);
	}
	if (fx & LAPIC_FX_EXTINT)
		set_bit(REQUEST_EXTINT, &v->arch.requests);
	if (fx & LAPIC_FX_BASE)
		cpuid_push(v);
}

/* What the EOI that comes will end. */
static noinline void trace_eoi(struct vcpu *v)
{
	u32 isr;
	int i;

	for (i = 7; i >= 0; i--) {
		isr = LAPIC_REG(v->arch.lapic.page, LAPIC_ISR + 16 * i);
		if (isr) {
			trace_kvm_eoi(v->id, 32 * i + __fls(isr));
			return;
		}
	}
}

static unsigned int write_reg(struct vcpu *v, u32 offset, u32 value)
{
	struct lapic *l = &v->arch.lapic;
	bool timer = lapic_offset_timer(offset);
	unsigned int fx;

	if (trace_kvm_eoi_enabled() && offset == LAPIC_EOI)
		trace_eoi(v);
	if (timer)
		timer_stop(v);
	fx = lapic_write(l, offset, value, ktime_get_ns());
	if (timer)
		timer_start(v);
	effects(v, fx);
	return fx;
}

/* ---- MMIO ---- */

/* KVM_TPR_ACCESS_REPORTING: the VMM patches the instruction. */
static void report_tpr(struct vcpu *v, bool write)
{
	if (!v->arch.tpr_reporting)
		return;
	v->run->tpr_access.rip = v->exit->out.rip;
	v->run->tpr_access.is_write = write;
	set_bit(REQUEST_TPR_EXIT, &v->arch.requests);
}

static void mmio_read(struct vcpu *v, u32 offset, u32 len, void *data)
{
	u32 value;

	memset(data, 0, len);
	if ((offset & 15) + len > 4 || !lapic_read(&v->arch.lapic, offset & ~15u, ktime_get_ns(), &value))
		return;
	memcpy(data, (u8 *)&value + (offset & 15), len);
	if ((offset & ~15u) == LAPIC_TPR)
		report_tpr(v, false);
}

/* A register is written as 32 bits at its place; all else has no effect (SDM 11.4.1). */
static void mmio_write(struct vcpu *v, u32 offset, u32 len, const void *data)
{
	if (len != 4 || offset & 15 || offset == LAPIC_SELF_IPI)
		return;
	write_reg(v, offset, *(const u32 *)data);
	if (offset == LAPIC_TPR)
		report_tpr(v, true);
}

int lapic_mmio(struct vcpu *v, u64 gpa, u32 len, void *data, bool write)
{
	const struct lapic *l = &v->arch.lapic;
	u64 offset = gpa - (l->base & LAPIC_BASE_ADDRESS);

	if (!vcpu_has_lapic(v) || offset >= PAGE_SIZE)
		return -EOPNOTSUPP;
	if (!lapic_on(l) || lapic_x2(l)) {
		/* KVM's hole: reads all ones. */
		if (!write)
			memset(data, 0xff, len);
	} else if (write) {
		mmio_write(v, offset, len, data);
	} else {
		mmio_read(v, offset, len, data);
	}
	return 0;
}

/* ---- MSRs ---- */

static u32 msr_offset(u32 msr)
{
	return (msr - LAPIC_MSR) << 4;
}

static int x2apic_read(struct vcpu *v, u32 msr, u64 *value)
{
	struct lapic *l = &v->arch.lapic;
	u32 offset = msr_offset(msr), low;

	if (!vcpu_has_lapic(v) || !lapic_x2(l) || offset == LAPIC_DFR)
		return MSR_BAD;
	if (offset == LAPIC_ICR) {
		*value = lapic_icr(l);
		return 0;
	}
	if (!lapic_read(l, offset, ktime_get_ns(), &low))
		return MSR_BAD;
	*value = low;
	return 0;
}

static int x2apic_write(struct vcpu *v, u32 msr, u64 value)
{
	u32 offset = msr_offset(msr);
	unsigned int fx;

	if (!vcpu_has_lapic(v) || !lapic_x2(&v->arch.lapic))
		return MSR_BAD;
	if (offset == LAPIC_ICR) {
		fx = lapic_set_icr(&v->arch.lapic, value);
		effects(v, fx);
	} else {
		fx = value >> 32 ? LAPIC_FX_BAD : write_reg(v, offset, value);
	}
	return fx & LAPIC_FX_BAD ? MSR_BAD : 0;
}

int apic_msr_read(struct vcpu *v, u32 msr, u64 *value)
{
	const struct lapic *l = &v->arch.lapic;

	if (msr >= LAPIC_MSR)
		return x2apic_read(v, msr, value);
	if (msr == MSR_APIC_BASE)
		*value = l->base;
	else
		*value = vcpu_has_lapic(v) && lapic_on(l) && l->timer_mode == LAPIC_TIMER_DEADLINE ? l->deadline : 0;
	return 0;
}

static u64 base_reserved(const struct vcpu *v)
{
	return ~((1ull << v->arch.maxphyaddr) - 1);
}

int apic_msr_write(struct vcpu *v, u32 msr, u64 value, bool host)
{
	unsigned int fx;

	if (msr >= LAPIC_MSR)
		return x2apic_write(v, msr, value);
	if (msr == MSR_TSC_DEADLINE) {
		if (vcpu_has_lapic(v))
			write_deadline(v, value);
		return 0;
	}
	fx = lapic_set_base(&v->arch.lapic, value, base_reserved(v), host);
	if (fx & LAPIC_FX_BAD)
		return MSR_BAD;
	effects(v, fx);
	return 0;
}

/* A copy takes the change first: nothing is changed by the question. */
bool apic_base_valid(const struct vcpu *v, u64 base)
{
	struct lapic l = v->arch.lapic;

	l.page = NULL;
	return !(lapic_set_base(&l, base, base_reserved(v), true) & LAPIC_FX_BAD);
}

void apic_base_set(struct vcpu *v, u64 base)
{
	effects(v, lapic_set_base(&v->arch.lapic, base, base_reserved(v), true));
}

void apic_set_cr8(struct vcpu *v, u64 cr8)
{
	lapic_set_cr8(&v->arch.lapic, cr8);
	push_cr8(v);
	look_again(v);
}

void apic_cpuid(struct vcpu *v)
{
	lapic_set_features(&v->arch.lapic, cpuid_has(v, 1, 2, 21), cpuid_has(v, 1, 2, 24));
}

/* ---- a vCPU's LAPIC comes and goes ---- */

int apic_init(struct vcpu *v)
{
	struct lapic *l = &v->arch.lapic;

	rcuwait_init(&v->arch.wait);
	hrtimer_init(&v->arch.timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
	v->arch.timer.function = timer_expired;
	v->arch.extint_vector = -1;
	l->id = v->id;
	l->bsp = v->id == v->vm->arch.boot_cpu;
	l->split = v->vm->arch.irqchip_mode == IRQCHIP_SPLIT;
	l->ids32 = v->vm->arch.x2apic_ids;
	if (irqchip_in_kernel(v->vm))
		l->page = (void *)v->exit + PAGE_SIZE;
	lapic_reset(l, false);
	return 0;
}

void apic_publish(struct vcpu *v)
{
	struct vm *vm = v->vm;

	if (!vcpu_has_lapic(v))
		return;
	mutex_lock(&vm->lock);
	smp_store_release(&vm->arch.lapics[v->id], v);
	if (v->id >= vm->arch.lapic_count)
		smp_store_release(&vm->arch.lapic_count, v->id + 1);
	mutex_unlock(&vm->lock);
	irqchip_request_scan(vm);
}

void apic_free(struct vcpu *v)
{
	/* Zero for a vCPU that was never made. */
	if (v->arch.timer.function)
		hrtimer_cancel(&v->arch.timer);
}

void apic_reset(struct vcpu *v, bool init)
{
	timer_stop(v);
	lapic_reset(&v->arch.lapic, init);
	effects(v, LAPIC_FX_TPR | LAPIC_FX_LOOK | LAPIC_FX_SCAN | LAPIC_FX_EXTINT);
}

/* ---- ioctls ---- */

long apic_get_state(void *object, unsigned long arg)
{
	struct vcpu *v = object;
	struct kvm_lapic_state *state;
	long rc;

	if (!vcpu_has_lapic(v))
		return -EINVAL;
	state = kzalloc(sizeof(*state), GFP_KERNEL_ACCOUNT);
	if (!state)
		return -ENOMEM;
	v->arch.lapic.ids32 = v->vm->arch.x2apic_ids;
	lapic_get_state(&v->arch.lapic, (u32 *)state->regs, ktime_get_ns());
	rc = copy_to_user((void __user *)arg, state, sizeof(*state)) ? -EFAULT : 0;
	kfree(state);
	return rc;
}

long apic_set_state(void *object, unsigned long arg)
{
	struct vcpu *v = object;
	struct kvm_lapic_state *state;
	int rc;

	static_assert(sizeof(state->regs) == LAPIC_REG_BYTES);
	if (!vcpu_has_lapic(v))
		return -EINVAL;
	state = memdup_user((void __user *)arg, sizeof(*state));
	if (IS_ERR(state))
		return PTR_ERR(state);
	timer_stop(v);
	v->arch.lapic.ids32 = v->vm->arch.x2apic_ids;
	rc = lapic_set_state(&v->arch.lapic, (u32 *)state->regs, ktime_get_ns());
	kfree(state);
	timer_start(v);
	effects(v, LAPIC_FX_TPR | LAPIC_FX_LOOK | LAPIC_FX_SCAN | LAPIC_FX_EXTINT);
	return rc ? -EINVAL : 0;
}

/* With a LAPIC it is the VMM's PIC that interrupts: once at a time. */
int apic_interrupt(struct vcpu *v, u8 vector)
{
	if (v->vm->arch.irqchip_mode == IRQCHIP_KERNEL)
		return -ENXIO;
	if (v->arch.extint_vector >= 0)
		return -EEXIST;
	v->arch.extint_vector = vector;
	set_bit(REQUEST_EXTINT, &v->arch.requests);
	return 0;
}

long apic_nmi(void *object, unsigned long arg)
{
	accept_nmi(object);
	return 0;
}

/* Where that word may be, as in KVM: in one page, and writable. vm.srcu held. */
static struct slot *vapic_slot(struct vcpu *v, u64 gpa)
{
	struct slot *slot = offset_in_page(gpa) <= PAGE_SIZE - sizeof(u32) ? slot_find(v->vm, gpa >> PAGE_SHIFT) : NULL;

	return slot && !(slot->flags & KVM_MEM_READONLY) ? slot : NULL;
}

/* The word in guest memory that mirrors TPR, for a guest that the VMM patched. */
long apic_vapic_addr(void *object, unsigned long arg)
{
	struct kvm_vapic_addr va;
	struct vcpu *v = object;
	long rc = 0;
	int idx;

	if (!vcpu_has_lapic(v))
		return -EINVAL;
	if (copy_from_user(&va, (void __user *)arg, sizeof(va)))
		return -EFAULT;
	idx = srcu_read_lock(&v->vm->srcu);
	if (va.vapic_addr && !vapic_slot(v, va.vapic_addr))
		rc = -EINVAL;
	else
		v->arch.vapic_addr = va.vapic_addr;
	v->arch.watch = (v->arch.watch & ~WATCH_VAPIC) | (v->arch.vapic_addr ? WATCH_VAPIC : 0);
	if (v->arch.vapic_addr)
		set_bit(REQUEST_VAPIC, &v->arch.requests);
	srcu_read_unlock(&v->vm->srcu, idx);
	return rc;
}

void apic_watch(struct vcpu *v)
{
	if (v->arch.watch & WATCH_EXTINT && v->exit->out.ready)
		set_bit(REQUEST_EXTINT, &v->arch.requests);
	if (v->arch.watch & WATCH_VAPIC)
		set_bit(REQUEST_VAPIC, &v->arch.requests);
}

/* Before an entry: TPR as the guest's patched code left it, and what that code must know of IRR and ISR. */
void apic_sync_vapic(struct vcpu *v)
{
	struct lapic *l = &v->arch.lapic;
	u32 word, isr, irr;
	struct slot *slot;
	int idx;

	idx = srcu_read_lock(&v->vm->srcu);
	slot = vapic_slot(v, v->arch.vapic_addr);
	if (slot && !slot_read(slot, v->arch.vapic_addr, &word, sizeof(word))) {
		if ((word & 0xff) != LAPIC_REG(l->page, LAPIC_TPR))
			effects(v, lapic_write(l, LAPIC_TPR, word & 0xff, 0));
		lapic_highest(l, &irr, &isr);
		word = LAPIC_REG(l->page, LAPIC_TPR) | (isr & 0xf0) << 8 | irr << 24;
		slot_write(slot, v->arch.vapic_addr, &word, sizeof(word));
	}
	srcu_read_unlock(&v->vm->srcu, idx);
}

long apic_tpr_reporting(void *object, unsigned long arg)
{
	struct kvm_tpr_access_ctl ctl;
	struct vcpu *v = object;

	if (copy_from_user(&ctl, (void __user *)arg, sizeof(ctl)))
		return -EFAULT;
	if (ctl.flags)
		return -EINVAL;
	v->arch.tpr_reporting = ctl.enabled;
	return copy_to_user((void __user *)arg, &ctl, sizeof(ctl)) ? -EFAULT : 0;
}

int apic_enable_x2apic_api(struct vm *vm, u64 flags)
{
	if (flags & ~(u64)(KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK))
		return -EINVAL;
	if (flags & KVM_X2APIC_API_USE_32BIT_IDS)
		WRITE_ONCE(vm->arch.x2apic_ids, true);
	if (flags & KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)
		WRITE_ONCE(vm->arch.broadcast_quirk_off, true);
	return 0;
}

long apic_set_boot_cpu(void *object, unsigned long id)
{
	struct vm *vm = object;
	int rc = 0;

	mutex_lock(&vm->lock);
	if (vm->vcpu_count)
		rc = -EBUSY;
	else
		vm->arch.boot_cpu = id;
	mutex_unlock(&vm->lock);
	return rc;
}
