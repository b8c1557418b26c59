// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * lapic.c - the local APIC's registers, see lapic.h.
 *
 * Invariant: a bit of IRR, ISR or TMR below vector 16 may be set (a guest can do
 * it through its ICR, as with KVM) but is never delivered: its class is 0.
 * `armed` is true exactly when the caller's timer has to run until `expires`.
 * See: SDM volume 3, 11.4 to 11.8, 11.12 (x2APIC).
 */
#include "lapic.h"
#ifdef __KERNEL__
#include <linux/math64.h>
#include <linux/string.h>
#else
#include <string.h>
#endif

#define VERSION 0x14u			/* integrated, as KVM's */
#define VERSION_LVTS (5u << 16)		/* six entries: no CMCI */
#define VERSION_DIRECTED_EOI 0x1000000u
#define SVR_MASK 0x3ffu
#define SVR_DIRECTED_EOI 0x1000u
#define SVR_RESET 0xffu
#define DFR_FLAT 0xffffffffu
#define DFR_CLUSTER 0x0fffffffu
#define LVT_BITS 0x110ffu		/* mask, delivery status, vector */
#define LVT_MODE 0x700u
#define LVT_LINT (LVT_BITS | LVT_MODE | 0xe000u)	/* polarity, remote IRR, trigger mode */
#define LVT_EXTINT 0x700u
#define ICR_BUSY 0x1000u
#define ICR_X2_RESERVED 0xfff32000ull
#define CLASS 0xf0u

#define VECTOR_REG(bank, vector) ((bank) + 16 * ((vector) / 32u))
#define VECTOR_BIT(vector) (1u << ((vector) % 32u))

static u32 get(const struct lapic *l, u32 offset)
{
	return __atomic_load_n(&LAPIC_REG(l->page, offset), __ATOMIC_RELAXED);
}

static void set(struct lapic *l, u32 offset, u32 value)
{
	__atomic_store_n(&LAPIC_REG(l->page, offset), value, __ATOMIC_RELAXED);
}

/* a * b / c, c not 0. */
static u64 scale(u64 a, u32 b, u32 c)
{
#ifdef __KERNEL__
	return mul_u64_u32_div(a, b, c);
#else
	return (u64)((unsigned __int128)a * b / c);
#endif
}

/* ---- vectors ---- */

/* The highest vector of a bank, or -1. */
static int highest(const struct lapic *l, u32 bank)
{
	int i;

	for (i = 7; i >= 0; i--) {
		u32 bits = get(l, bank + 16 * i);

		if (bits)
			return 32 * i + 31 - __builtin_clz(bits);
	}
	return -1;
}

static int highest_posted(const struct lapic *l)
{
	int i;

	for (i = 7; i >= 0; i--) {
		u32 bits = __atomic_load_n(&l->page->pir[i], __ATOMIC_RELAXED);

		if (bits)
			return 32 * i + 31 - __builtin_clz(bits);
	}
	return -1;
}

static u32 priority(const struct lapic *l)
{
	u32 tpr = get(l, LAPIC_TPR) & 0xff;
	int isr = highest(l, LAPIC_ISR);

	return isr >= 0 && ((u32)isr & CLASS) > (tpr & CLASS) ? (u32)isr & CLASS : tpr;
}

int lapic_pending(const struct lapic *l)
{
	int irr, posted;

	if (!lapic_on(l))
		return -1;
	irr = highest(l, LAPIC_IRR);
	posted = highest_posted(l);
	if (posted > irr)
		irr = posted;
	return irr >= 0 && ((u32)irr & CLASS) > (priority(l) & CLASS) ? irr : -1;
}

void lapic_take_posted(struct lapic *l)
{
	u32 i;

	for (i = 0; i < 8; i++) {
		u32 bits = __atomic_exchange_n(&l->page->pir[i], 0, __ATOMIC_RELAXED);

		if (bits)
			set(l, LAPIC_IRR + 16 * i, get(l, LAPIC_IRR + 16 * i) | bits);
	}
}

void lapic_highest(struct lapic *l, u32 *irr, u32 *isr)
{
	int vector;

	lapic_take_posted(l);
	vector = highest(l, LAPIC_IRR);
	*irr = vector < 0 ? 0 : vector;
	vector = highest(l, LAPIC_ISR);
	*isr = vector < 0 ? 0 : vector;
}

/* TMR first: who sees the vector sees how it was triggered. */
bool lapic_post(struct lapic *l, u8 vector, bool level)
{
	u32 *tmr = &LAPIC_REG(l->page, VECTOR_REG(LAPIC_TMR, vector)), bit = VECTOR_BIT(vector);

	if (!lapic_enabled(l))
		return false;
	if (level && !(__atomic_load_n(tmr, __ATOMIC_RELAXED) & bit))
		__atomic_fetch_or(tmr, bit, __ATOMIC_RELAXED);
	else if (!level && __atomic_load_n(tmr, __ATOMIC_RELAXED) & bit)
		__atomic_fetch_and(tmr, ~bit, __ATOMIC_RELAXED);
	__atomic_fetch_or(&l->page->pir[vector / 32], bit, __ATOMIC_SEQ_CST);
	__atomic_store_n(&l->page->pir_on, 1, __ATOMIC_SEQ_CST);
	return true;
}

/* The highest one in service is done. */
static unsigned int end_of_interrupt(struct lapic *l)
{
	int vector = highest(l, LAPIC_ISR);
	u32 reg;

	if (vector < 0)
		return 0;
	reg = VECTOR_REG(LAPIC_ISR, vector);
	set(l, reg, get(l, reg) & ~VECTOR_BIT(vector));
	if (!(l->page->eoi_exit[vector / 32] & VECTOR_BIT(vector)))
		return LAPIC_FX_LOOK;
	l->eoi_vector = vector;
	return LAPIC_FX_LOOK | LAPIC_FX_EOI;
}

void lapic_set_cr8(struct lapic *l, u64 cr8)
{
	if ((get(l, LAPIC_TPR) >> 4 & 15) != cr8)
		set(l, LAPIC_TPR, (cr8 & 15) << 4);
}

/* ---- destinations ---- */

static bool logical_match(const struct lapic *l, u32 dest)
{
	u32 ldr = get(l, LAPIC_LDR);

	if (lapic_x2(l))
		return ldr >> 16 == dest >> 16 && ldr & dest & 0xffff;
	ldr >>= 24;
	switch (get(l, LAPIC_DFR)) {
	case DFR_FLAT:
		return ldr & dest;
	case DFR_CLUSTER:
		return ldr >> 4 == dest >> 4 && ldr & dest & 15;
	default:
		return false;
	}
}

/* An xAPIC whose ID does not fit into 8 bits is reached by its whole one, as in KVM. */
static bool physical_match(const struct lapic *l, u32 dest)
{
	if (lapic_x2(l) || dest > LAPIC_BROADCAST)
		return dest == l->id;
	return dest == get(l, LAPIC_ID) >> 24;
}

bool lapic_accepts(const struct lapic *l, u32 dest, bool logical, bool ipi, bool quirk)
{
	if (!lapic_on(l))
		return false;
	if (quirk && !ipi && dest == LAPIC_BROADCAST)
		return true;
	if (dest == (lapic_x2(l) ? LAPIC_BROADCAST_X2 : LAPIC_BROADCAST))
		return true;
	return logical ? logical_match(l, dest) : physical_match(l, dest);
}

/* ---- timer ---- */

bool lapic_offset_timer(u32 offset)
{
	return offset == LAPIC_LVT_TIMER || offset == LAPIC_TIMER_INIT || offset == LAPIC_TIMER_DIVIDE ||
	       offset == LAPIC_SVR;
}

static void update_divide(struct lapic *l)
{
	u32 bits = get(l, LAPIC_TIMER_DIVIDE);

	/* 0: by 2 ... 6: by 128, 7: by 1; bit 3 of the register is bit 2 of that. */
	l->divide = 1u << ((((bits & 3) | (bits & 8) >> 1) + 1) & 7);
}

static u64 count_ns(const struct lapic *l, u32 count)
{
	return (u64)count * LAPIC_BUS_NS * l->divide;
}

static void limit_period(struct lapic *l)
{
	if (l->timer_mode == LAPIC_TIMER_PERIODIC && l->period && l->period < LAPIC_PERIOD_MIN)
		l->period = LAPIC_PERIOD_MIN;
}

/* LVT_TIMER is new. Into and out of TSC-deadline mode the timer stops. */
static void update_mode(struct lapic *l)
{
	u32 mode = get(l, LAPIC_LVT_TIMER) & LAPIC_TIMER_MODES;

	if (mode == l->timer_mode)
		return;
	if (mode == LAPIC_TIMER_DEADLINE || l->timer_mode == LAPIC_TIMER_DEADLINE) {
		set(l, LAPIC_TIMER_INIT, 0);
		l->period = 0;
		l->deadline = 0;
		l->armed = false;
	}
	l->timer_mode = mode;
	limit_period(l);
}

static bool counts(const struct lapic *l)
{
	return !(l->timer_mode & LAPIC_TIMER_DEADLINE);
}

/* Start from the initial count, or (a restored state) from `now_count`. */
static void timer_start(struct lapic *l, u64 now, u32 now_count)
{
	u64 delay;

	l->period = count_ns(l, get(l, LAPIC_TIMER_INIT));
	l->armed = l->period && counts(l);
	if (!l->armed)
		return;
	limit_period(l);
	delay = count_ns(l, now_count);
	if (!delay && l->timer_mode != LAPIC_TIMER_PERIODIC) {
		l->expires = now;
		return;
	}
	l->expires = now + (delay && delay < l->period ? delay : l->period);
}

static u64 remaining(const struct lapic *l, u64 now)
{
	return l->armed && l->expires > now ? l->expires - now : 0;
}

static u32 current_count(const struct lapic *l, u64 now)
{
	u64 ns = remaining(l, now);

	if (!counts(l) || !l->period || !get(l, LAPIC_TIMER_INIT))
		return 0;
	if (ns >= l->period)
		ns = l->period - 1;
	return scale(ns, 1, LAPIC_BUS_NS * l->divide);
}

/* The count goes on from where it is, at another speed. */
static void set_divide(struct lapic *l, u32 value, u64 now)
{
	u32 old = l->divide;

	set(l, LAPIC_TIMER_DIVIDE, value & 0xb);
	update_divide(l);
	if (l->divide == old || !l->period)
		return;
	l->period = count_ns(l, get(l, LAPIC_TIMER_INIT));
	limit_period(l);
	if (l->armed)
		l->expires = now + scale(remaining(l, now), l->divide, old);
}

void lapic_set_deadline(struct lapic *l, u64 tsc, u64 delay, u64 now)
{
	l->deadline = tsc;
	l->armed = tsc;
	l->expires = now + delay;
}

bool lapic_timer_fired(struct lapic *l, u64 now)
{
	u32 lvt = get(l, LAPIC_LVT_TIMER);

	if (!(lvt & LAPIC_LVT_MASKED))
		lapic_post(l, lvt, false);
	if (l->timer_mode != LAPIC_TIMER_PERIODIC || !l->period) {
		l->armed = false;
		l->deadline = 0;
		return false;
	}
	/* Beats that were missed are gone. */
	l->expires += l->period;
	if (l->expires < now)
		l->expires = now;
	return true;
}

/* ---- registers ---- */

static const u32 lvt_mask[6] = {
	LVT_BITS, LVT_BITS | LVT_MODE, LVT_BITS | LVT_MODE, LVT_LINT, LVT_LINT, LVT_BITS,
};

static bool readable(const struct lapic *l, u32 offset)
{
	switch (offset) {
	case LAPIC_ID: case LAPIC_VERSION: case LAPIC_TPR: case LAPIC_PPR: case LAPIC_LDR:
	case LAPIC_DFR: case LAPIC_SVR: case LAPIC_ISR ... LAPIC_ESR:
	case LAPIC_ICR: case LAPIC_LVT_TIMER ... LAPIC_TIMER_NOW: case LAPIC_TIMER_DIVIDE:
		return true;
	case LAPIC_APR: case LAPIC_ICR2:
		return !lapic_x2(l);
	default:
		return false;
	}
}

bool lapic_read(struct lapic *l, u32 offset, u64 now, u32 *value)
{
	if (!readable(l, offset))
		return false;
	lapic_take_posted(l);
	if (offset == LAPIC_APR)
		*value = 0;
	else if (offset == LAPIC_PPR)
		*value = priority(l);
	else if (offset == LAPIC_TIMER_NOW)
		*value = current_count(l, now);
	else
		*value = get(l, offset);
	return true;
}

/* Off by software: every LVT entry is masked. */
static unsigned int set_svr(struct lapic *l, u32 value)
{
	u32 mask = SVR_MASK, old = get(l, LAPIC_SVR), i;

	if (get(l, LAPIC_VERSION) & VERSION_DIRECTED_EOI)
		mask |= SVR_DIRECTED_EOI;
	set(l, LAPIC_SVR, value & mask);
	for (i = 0; i < 6 && !(value & LAPIC_SVR_ON); i++)
		set(l, LAPIC_LVT_TIMER + 16 * i, get(l, LAPIC_LVT_TIMER + 16 * i) | LAPIC_LVT_MASKED);
	return ((old ^ value) & LAPIC_SVR_ON ? LAPIC_FX_SCAN : 0) | LAPIC_FX_EXTINT;
}

static unsigned int set_lvt(struct lapic *l, u32 offset, u32 value)
{
	u32 index = (offset - LAPIC_LVT_TIMER) / 16, mask = lvt_mask[index];

	if (offset == LAPIC_LVT_TIMER)
		mask |= l->deadline_known ? LAPIC_TIMER_MODES : LAPIC_TIMER_PERIODIC;
	if (!(get(l, LAPIC_SVR) & LAPIC_SVR_ON))
		value |= LAPIC_LVT_MASKED;
	set(l, offset, value & mask);
	if (offset == LAPIC_LVT_TIMER)
		update_mode(l);
	return offset == LAPIC_LVT_LINT0 ? LAPIC_FX_EXTINT : 0;
}

/* Registers that x2APIC mode cannot write. */
static unsigned int set_xapic(struct lapic *l, u32 offset, u32 value, unsigned int fx)
{
	if (lapic_x2(l))
		return LAPIC_FX_BAD;
	set(l, offset, value);
	return fx;
}

static unsigned int self_ipi(struct lapic *l, u32 value)
{
	if (!lapic_x2(l) || value > 0xff)
		return LAPIC_FX_BAD;
	lapic_post(l, value, false);
	return LAPIC_FX_SELF;
}

unsigned int lapic_write(struct lapic *l, u32 offset, u32 value, u64 now)
{
	switch (offset) {
	case LAPIC_ID:
		return set_xapic(l, offset, value & 0xff000000, LAPIC_FX_SCAN);
	case LAPIC_TPR:
		set(l, offset, value & 0xff);
		return LAPIC_FX_TPR | LAPIC_FX_LOOK;
	case LAPIC_EOI:
		return end_of_interrupt(l);
	case LAPIC_LDR:
		return set_xapic(l, offset, value & 0xff000000, LAPIC_FX_SCAN);
	case LAPIC_DFR:
		return set_xapic(l, offset, value | 0x0fffffff, LAPIC_FX_SCAN);
	case LAPIC_SVR:
		value = set_svr(l, value);
		update_mode(l);
		return value;
	case LAPIC_ESR:
		return lapic_x2(l) && value ? LAPIC_FX_BAD : 0;
	case LAPIC_ICR:
		set(l, offset, value & ~ICR_BUSY);
		return LAPIC_FX_SEND;
	case LAPIC_ICR2:
		return set_xapic(l, offset, value & 0xff000000, 0);
	case LAPIC_LVT_TIMER: case LAPIC_LVT_THERMAL: case LAPIC_LVT_PMC:
	case LAPIC_LVT_LINT0: case LAPIC_LVT_LINT1: case LAPIC_LVT_ERROR:
		return set_lvt(l, offset, value);
	case LAPIC_TIMER_INIT:
		if (counts(l)) {
			set(l, offset, value);
			timer_start(l, now, value);
		}
		return 0;
	case LAPIC_TIMER_DIVIDE:
		set_divide(l, value, now);
		return 0;
	case LAPIC_SELF_IPI:
		return self_ipi(l, value);
	default:
		return LAPIC_FX_BAD;
	}
}

u64 lapic_icr(const struct lapic *l)
{
	return get(l, LAPIC_ICR) | (u64)get(l, LAPIC_ICR2) << 32;
}

unsigned int lapic_set_icr(struct lapic *l, u64 value)
{
	if (value & ICR_X2_RESERVED)
		return LAPIC_FX_BAD;
	set(l, LAPIC_ICR, (u32)value & ~ICR_BUSY);
	set(l, LAPIC_ICR2, value >> 32);
	return LAPIC_FX_SEND;
}

/* ---- IA32_APIC_BASE, reset ---- */

static void set_mode(struct lapic *l)
{
	l->page->mode = (lapic_on(l) ? LAPIC_MODE_ON : 0) | (lapic_x2(l) ? LAPIC_MODE_X2 : 0);
}

static void set_x2_ids(struct lapic *l)
{
	set(l, LAPIC_ID, l->id);
	set(l, LAPIC_LDR, l->id >> 4 << 16 | 1u << (l->id & 15));
}

/* 1 when this change of mode is not the guest's to make. */
static int bad_transition(const struct lapic *l, u64 base)
{
	if (lapic_x2(l))
		return (base & (LAPIC_BASE_ON | LAPIC_BASE_X2)) == LAPIC_BASE_ON;
	return !lapic_on(l) && base & LAPIC_BASE_X2;
}

unsigned int lapic_set_base(struct lapic *l, u64 base, u64 reserved, bool host)
{
	u64 changed = l->base ^ base;

	if (base & (reserved | 0x2ff | (l->x2_known ? 0 : LAPIC_BASE_X2)))
		return LAPIC_FX_BAD;
	if (base & LAPIC_BASE_X2 && !(base & LAPIC_BASE_ON))
		return LAPIC_FX_BAD;
	if (!host && bad_transition(l, base))
		return LAPIC_FX_BAD;
	l->base = base;
	if (!l->page)
		return changed & LAPIC_BASE_ON ? LAPIC_FX_BASE : 0;
	if (changed & base & LAPIC_BASE_ON)
		set(l, LAPIC_ID, l->id << 24);
	if (changed & base & LAPIC_BASE_X2)
		set_x2_ids(l);
	set_mode(l);
	if (!(changed & (LAPIC_BASE_ON | LAPIC_BASE_X2)))
		return 0;
	return LAPIC_FX_SCAN | LAPIC_FX_EXTINT | LAPIC_FX_LOOK | (changed & LAPIC_BASE_ON ? LAPIC_FX_BASE : 0);
}

static void set_version(struct lapic *l)
{
	set(l, LAPIC_VERSION, VERSION | VERSION_LVTS | (l->x2_known && l->split ? VERSION_DIRECTED_EOI : 0));
}

void lapic_set_features(struct lapic *l, bool x2, bool deadline)
{
	l->x2_known = x2;
	l->deadline_known = deadline;
	if (l->page)
		set_version(l);
}

static void reset_vectors(struct lapic *l)
{
	u32 i;

	for (i = 0; i < 8; i++) {
		__atomic_exchange_n(&l->page->pir[i], 0, __ATOMIC_RELAXED);
		set(l, LAPIC_IRR + 16 * i, 0);
		set(l, LAPIC_ISR + 16 * i, 0);
		__atomic_exchange_n(&LAPIC_REG(l->page, LAPIC_TMR + 16 * i), 0, __ATOMIC_RELAXED);
	}
}

static void reset_timer(struct lapic *l)
{
	set(l, LAPIC_TIMER_INIT, 0);
	set(l, LAPIC_TIMER_DIVIDE, 0);
	update_divide(l);
	update_mode(l);
	l->period = 0;
	l->armed = false;
}

/* LINT0 of the boot CPU listens to the PIC from the start: KVM's way, which firmware relies on. */
void lapic_reset(struct lapic *l, bool init)
{
	u32 i;

	if (!init) {
		l->base = LAPIC_BASE_DEFAULT | LAPIC_BASE_ON | (l->bsp ? LAPIC_BASE_BSP : 0);
		if (l->page)
			set(l, LAPIC_ID, l->id << 24);
	}
	if (!l->page)
		return;
	set_mode(l);
	set_version(l);
	for (i = 0; i < 6; i++)
		set(l, LAPIC_LVT_TIMER + 16 * i, LAPIC_LVT_MASKED);
	if (l->bsp)
		set(l, LAPIC_LVT_LINT0, LVT_EXTINT);
	set(l, LAPIC_DFR, DFR_FLAT);
	set(l, LAPIC_SVR, SVR_RESET);
	set(l, LAPIC_TPR, 0);
	if (!lapic_x2(l))
		set(l, LAPIC_LDR, 0);
	set(l, LAPIC_ESR, 0);
	set(l, LAPIC_ICR, 0);
	set(l, LAPIC_ICR2, 0);
	reset_vectors(l);
	reset_timer(l);
}

/* ---- the VMM's view ---- */

void lapic_get_state(struct lapic *l, u32 *regs, u64 now)
{
	lapic_take_posted(l);
	memcpy(regs, l->page->reg, LAPIC_REG_BYTES);
	regs[LAPIC_PPR / 4] = priority(l);
	regs[LAPIC_TIMER_NOW / 4] = current_count(l, now);
	if (lapic_x2(l) && !l->ids32)
		regs[LAPIC_ID / 4] <<= 24;
}

int lapic_set_state(struct lapic *l, const u32 *regs, u64 now)
{
	u32 id = regs[LAPIC_ID / 4], count = regs[LAPIC_TIMER_NOW / 4], i;

	/* The software-enable bit is taken even from a state that is refused, as by KVM. */
	set(l, LAPIC_SVR, regs[LAPIC_SVR / 4]);
	if (lapic_x2(l)) {
		if (l->ids32 && id != l->id)
			return -1;
		id = l->ids32 ? id : id >> 24;
	}
	for (i = 0; i < 8; i++)
		__atomic_exchange_n(&l->page->pir[i], 0, __ATOMIC_RELAXED);
	memcpy(l->page->reg, regs, LAPIC_REG_BYTES);
	set(l, LAPIC_ID, id);
	if (lapic_x2(l))
		set(l, LAPIC_LDR, id >> 4 << 16 | 1u << (id & 15));
	set_version(l);
	l->armed = false;
	update_mode(l);
	update_divide(l);
	timer_start(l, now, count);
	set(l, LAPIC_TIMER_NOW, 0);
	return 0;
}
