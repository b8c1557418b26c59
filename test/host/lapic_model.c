// SPDX-License-Identifier: BSD-2-Clause
/*
 * lapic_model.c - unit tests of driver/models/lapic.c: destinations, priorities,
 * EOI, LVT rules, IA32_APIC_BASE, the timer's arithmetic, the VMM's view.
 */
#include <string.h>
#include "check.h"
#include "../../driver/models/lapic.h"

static struct lapic_page page;
static struct lapic l;

static void start(u32 id)
{
	memset(&page, 0, sizeof(page));
	l = (struct lapic){ .page = &page, .id = id, .bsp = !id };
	lapic_set_features(&l, true, true);
	lapic_reset(&l, false);
}

/* Switched on by software, so that it takes interrupts. */
static void start_on(u32 id)
{
	start(id);
	lapic_write(&l, LAPIC_SVR, 0x1ff, 0);
}

static void to_x2(void)
{
	CHECK(!(lapic_set_base(&l, l.base | LAPIC_BASE_X2, 0, false) & LAPIC_FX_BAD));
}

/* What the hypervisor does with the vector that is next. */
static int take(void)
{
	int vector = lapic_pending(&l);

	lapic_take_posted(&l);
	if (vector < 0)
		return -1;
	LAPIC_REG(&page, LAPIC_IRR + vector / 32 * 16) &= ~(1u << vector % 32);
	LAPIC_REG(&page, LAPIC_ISR + vector / 32 * 16) |= 1u << vector % 32;
	return vector;
}

static u32 reg(u32 offset)
{
	u32 value = 0xdead;

	CHECK(lapic_read(&l, offset, 0, &value));
	return value;
}

TEST(lapic_at_reset)
{
	start(3);
	CHECK_EQ(l.base, 0xfee00800);
	CHECK_EQ(page.mode, LAPIC_MODE_ON);
	CHECK_EQ(reg(LAPIC_ID), 3u << 24);
	CHECK_EQ(reg(LAPIC_VERSION), 0x50014);
	CHECK_EQ(reg(LAPIC_SVR), 0xff);
	CHECK_EQ(reg(LAPIC_DFR), 0xffffffff);
	CHECK_EQ(reg(LAPIC_LVT_LINT0), 0x10000);
	CHECK(!lapic_enabled(&l));
	start(0);
	CHECK_EQ(l.base, 0xfee00900);
	CHECK_EQ(reg(LAPIC_LVT_LINT0), 0x700);
}

TEST(lapic_init_keeps_mode_and_id)
{
	start_on(5);
	to_x2();
	lapic_write(&l, LAPIC_TPR, 0x30, 0);
	lapic_post(&l, 0x80, false);
	lapic_reset(&l, true);
	CHECK(lapic_x2(&l));
	CHECK_EQ(reg(LAPIC_ID), 5);
	CHECK_EQ(reg(LAPIC_LDR), 1u << 5);
	CHECK_EQ(reg(LAPIC_TPR), 0);
	CHECK_EQ(reg(LAPIC_SVR), 0xff);
	CHECK_EQ(lapic_pending(&l), (unsigned long long)-1);
}

/* ---- destinations ---- */

static const struct match {
	bool x2;
	u32 id, ldr, dfr, dest;
	bool logical, ipi, quirk, want;
} matches[] = {
	/* physical xAPIC */
	{ 0, 2, 0, ~0u, 2, 0, 1, 1, 1 },
	{ 0, 2, 0, ~0u, 3, 0, 1, 1, 0 },
	{ 0, 2, 0, ~0u, 0xff, 0, 1, 1, 1 },
	{ 0, 2, 0, ~0u, 0x102, 0, 1, 1, 0 },
	{ 0, 2, 0, ~0u, 0xffffffff, 0, 1, 1, 0 },
	/* flat: any common bit */
	{ 0, 1, 0x02000000, ~0u, 0x03, 1, 1, 1, 1 },
	{ 0, 1, 0x02000000, ~0u, 0x05, 1, 1, 1, 0 },
	{ 0, 1, 0, ~0u, 0x01, 1, 1, 1, 0 },
	{ 0, 1, 0, ~0u, 0xff, 1, 1, 1, 1 },
	/* cluster: equal upper half, common lower bit */
	{ 0, 1, 0x12000000, 0x0fffffff, 0x13, 1, 1, 1, 1 },
	{ 0, 1, 0x12000000, 0x0fffffff, 0x23, 1, 1, 1, 0 },
	{ 0, 1, 0x12000000, 0x0fffffff, 0x11, 1, 1, 1, 0 },
	/* neither model */
	{ 0, 1, 0xff000000, 0x5fffffff, 0x01, 1, 1, 1, 0 },
	/* x2APIC: physical, logical (cluster of 16), broadcasts */
	{ 1, 0x12, 0, 0, 0x12, 0, 1, 1, 1 },
	{ 1, 0x12, 0, 0, 0x112, 0, 1, 1, 0 },
	{ 1, 0x12, 0, 0, 0x00010004, 1, 1, 1, 1 },
	{ 1, 0x12, 0, 0, 0x00010003, 1, 1, 1, 0 },
	{ 1, 0x12, 0, 0, 0x00020004, 1, 1, 1, 0 },
	{ 1, 0x12, 0, 0, 0xffffffff, 0, 1, 1, 1 },
	{ 1, 0x12, 0, 0, 0xff, 0, 1, 1, 0 },
	/* KVM's quirk: 0xff from an MSI is everybody, unless the VMM switched that off */
	{ 1, 0x12, 0, 0, 0xff, 0, 0, 1, 1 },
	{ 1, 0x12, 0, 0, 0xff, 0, 0, 0, 0 },
};

TEST(lapic_destinations)
{
	const struct match *m;

	for (m = matches; m < matches + COUNT(matches); m++) {
		start_on(m->id);
		if (m->x2) {
			to_x2();
		} else {
			lapic_write(&l, LAPIC_LDR, m->ldr, 0);
			page.reg[LAPIC_DFR / 4] = m->dfr;
		}
		if (lapic_accepts(&l, m->dest, m->logical, m->ipi, m->quirk) != m->want)
			test_fail(__FILE__, __LINE__, "row %d", (int)(m - matches));
	}
	start_on(1);
	lapic_set_base(&l, 0xfee00000, 0, true);
	CHECK(!lapic_accepts(&l, 0xff, false, true, true));
}

/* ---- vectors ---- */

TEST(lapic_priorities)
{
	start_on(0);
	CHECK(lapic_post(&l, 0x51, false));
	CHECK(lapic_post(&l, 0x62, false));
	CHECK_EQ(page.pir_on, 1);
	CHECK_EQ(take(), 0x62);
	CHECK_EQ(take(), (unsigned long long)-1);		/* class 5 waits behind class 6 */
	CHECK(lapic_post(&l, 0x6f, false));
	CHECK_EQ(lapic_pending(&l), (unsigned long long)-1);	/* the same class waits too */
	CHECK(lapic_post(&l, 0x70, false));
	CHECK_EQ(take(), 0x70);
	CHECK_EQ(reg(LAPIC_PPR), 0x70);
	CHECK_EQ(lapic_write(&l, LAPIC_EOI, 0, 0), LAPIC_FX_LOOK);
	CHECK_EQ(reg(LAPIC_PPR), 0x60);
	lapic_write(&l, LAPIC_EOI, 0, 0);
	CHECK_EQ(take(), 0x6f);
	lapic_write(&l, LAPIC_EOI, 0, 0);
	CHECK_EQ(take(), 0x51);
	lapic_write(&l, LAPIC_EOI, 0, 0);
	CHECK_EQ(lapic_write(&l, LAPIC_EOI, 0, 0), 0);		/* nothing in service */
}

TEST(lapic_tpr)
{
	start_on(0);
	lapic_write(&l, LAPIC_TPR, 0x57, 0);
	CHECK_EQ(reg(LAPIC_PPR), 0x57);
	lapic_post(&l, 0x5f, false);
	CHECK_EQ(lapic_pending(&l), (unsigned long long)-1);
	lapic_set_cr8(&l, 5);
	CHECK_EQ(reg(LAPIC_TPR), 0x57);		/* the same class: the lower half stays */
	lapic_set_cr8(&l, 4);
	CHECK_EQ(reg(LAPIC_TPR), 0x40);
	CHECK_EQ(lapic_pending(&l), 0x5f);
}

TEST(lapic_off_takes_nothing)
{
	start(0);
	CHECK(!lapic_post(&l, 0x40, false));
	start_on(0);
	lapic_post(&l, 0x40, false);
	lapic_set_base(&l, 0xfee00000, 0, true);
	CHECK_EQ(page.mode, 0);
	CHECK_EQ(lapic_pending(&l), (unsigned long long)-1);
}

TEST(lapic_vectors_below_16)
{
	start_on(0);
	CHECK(lapic_post(&l, 15, false));
	CHECK_EQ(lapic_pending(&l), (unsigned long long)-1);
}

TEST(lapic_eoi_of_level)
{
	start_on(0);
	page.eoi_exit[0x41 / 32] |= 1u << 0x41 % 32;
	lapic_post(&l, 0x41, true);
	CHECK(reg(LAPIC_TMR + 0x20) & 2);
	CHECK_EQ(take(), 0x41);
	CHECK_EQ(lapic_write(&l, LAPIC_EOI, 0, 0), LAPIC_FX_LOOK | LAPIC_FX_EOI);
	CHECK_EQ(l.eoi_vector, 0x41);
	lapic_post(&l, 0x41, false);
	CHECK(!(reg(LAPIC_TMR + 0x20) & 2));
}

/* ---- registers ---- */

TEST(lapic_lvt_rules)
{
	start(0);
	lapic_write(&l, LAPIC_LVT_LINT1, 0x400, 0);
	CHECK_EQ(reg(LAPIC_LVT_LINT1), 0x10400);	/* off by software: masked */
	lapic_write(&l, LAPIC_SVR, 0x1ff, 0);
	lapic_write(&l, LAPIC_LVT_LINT1, 0xffffffff, 0);
	CHECK_EQ(reg(LAPIC_LVT_LINT1), 0x1f7ff);
	lapic_write(&l, LAPIC_LVT_ERROR, 0xffffffff, 0);
	CHECK_EQ(reg(LAPIC_LVT_ERROR), 0x110ff);
	lapic_write(&l, LAPIC_LVT_TIMER, 0xffffffff, 0);
	CHECK_EQ(reg(LAPIC_LVT_TIMER), 0x710ff);
	lapic_set_features(&l, true, false);
	lapic_write(&l, LAPIC_LVT_TIMER, 0xffffffff, 0);
	CHECK_EQ(reg(LAPIC_LVT_TIMER), 0x310ff);
	CHECK_EQ(lapic_write(&l, LAPIC_LVT_LINT0, 0x31, 0), LAPIC_FX_EXTINT);
	lapic_write(&l, LAPIC_SVR, 0xff, 0);
	CHECK_EQ(reg(LAPIC_LVT_LINT0), 0x10031);
}

TEST(lapic_x2_registers)
{
	static const u32 gone[] = { LAPIC_ID, LAPIC_LDR, LAPIC_DFR, LAPIC_ICR2, LAPIC_APR, LAPIC_VERSION, 0x10, 0x2f0, 0x3a0 };
	u32 i, value;

	start_on(0x25);
	CHECK_EQ(lapic_write(&l, LAPIC_SELF_IPI, 0x40, 0), LAPIC_FX_BAD);
	to_x2();
	CHECK_EQ(reg(LAPIC_ID), 0x25);
	CHECK_EQ(reg(LAPIC_LDR), 0x00020020);
	for (i = 0; i < COUNT(gone); i++)
		CHECK_EQ(lapic_write(&l, gone[i], 0, 0), LAPIC_FX_BAD);
	CHECK(!lapic_read(&l, LAPIC_ICR2, 0, &value));
	CHECK(!lapic_read(&l, LAPIC_APR, 0, &value));
	CHECK_EQ(lapic_write(&l, LAPIC_ESR, 1, 0), LAPIC_FX_BAD);
	CHECK_EQ(lapic_write(&l, LAPIC_ESR, 0, 0), 0);
	CHECK_EQ(lapic_write(&l, LAPIC_SELF_IPI, 0x140, 0), LAPIC_FX_BAD);
	CHECK_EQ(lapic_write(&l, LAPIC_SELF_IPI, 0x40, 0), LAPIC_FX_SELF);
	CHECK_EQ(take(), 0x40);
	CHECK_EQ(lapic_set_icr(&l, 1ull << 13), LAPIC_FX_BAD);
	CHECK_EQ(lapic_set_icr(&l, 0x500000000ull | 0x1041), LAPIC_FX_SEND);
	CHECK_EQ(lapic_icr(&l), 0x500000041ull);
}

TEST(lapic_base_transitions)
{
	u64 off = 0xfee00000, on = off | LAPIC_BASE_ON, x2 = on | LAPIC_BASE_X2;

	start(1);
	CHECK(lapic_set_base(&l, off | LAPIC_BASE_X2, 0, true) & LAPIC_FX_BAD);
	CHECK(lapic_set_base(&l, on | 0x200, 0, true) & LAPIC_FX_BAD);
	CHECK(lapic_set_base(&l, on | 1ull << 40, ~0ull << 40, true) & LAPIC_FX_BAD);
	CHECK_EQ(l.base, on);
	CHECK(!(lapic_set_base(&l, x2, 0, false) & LAPIC_FX_BAD));
	CHECK(lapic_set_base(&l, on, 0, false) & LAPIC_FX_BAD);		/* only through off */
	CHECK(lapic_set_base(&l, off, 0, false) & LAPIC_FX_BASE);
	CHECK(lapic_set_base(&l, x2, 0, false) & LAPIC_FX_BAD);		/* only through on */
	CHECK(lapic_set_base(&l, on, 0, false) & LAPIC_FX_BASE);
	CHECK_EQ(reg(LAPIC_ID), 1u << 24);
	CHECK(!(lapic_set_base(&l, off, 0, true) & LAPIC_FX_BAD));
	CHECK(!(lapic_set_base(&l, x2, 0, true) & LAPIC_FX_BAD));	/* the VMM may */
	CHECK(!(lapic_set_base(&l, on, 0, true) & LAPIC_FX_BAD));
	lapic_set_features(&l, false, true);
	CHECK(lapic_set_base(&l, x2, 0, true) & LAPIC_FX_BAD);
}

/* ---- timer ---- */

static void timer(u32 mode, u32 divide, u32 count, u64 now)
{
	lapic_write(&l, LAPIC_LVT_TIMER, mode | 0x60, now);
	lapic_write(&l, LAPIC_TIMER_DIVIDE, divide, now);
	lapic_write(&l, LAPIC_TIMER_INIT, count, now);
}

static u32 count_at(u64 now)
{
	u32 value = 0xdead;

	CHECK(lapic_read(&l, LAPIC_TIMER_NOW, now, &value));
	return value;
}

TEST(lapic_timer_one_shot)
{
	start_on(0);
	timer(0, 3, 1000, 5000);			/* by 16 */
	CHECK(l.armed);
	CHECK_EQ(l.expires, 5000 + 16000);
	CHECK_EQ(count_at(5000 + 1600), 900);
	CHECK_EQ(count_at(1000000), 0);
	CHECK(!lapic_timer_fired(&l, 21000));
	CHECK(!l.armed);
	CHECK_EQ(take(), 0x60);
	lapic_write(&l, LAPIC_TIMER_INIT, 0, 30000);
	CHECK(!l.armed);
}

TEST(lapic_timer_divisors)
{
	static const u32 by[16] = { 2, 4, 8, 16, 2, 4, 8, 16, 32, 64, 128, 1, 32, 64, 128, 1 };
	u32 i;

	for (i = 0; i < 16; i++) {
		start_on(0);
		timer(0, i, 0xffffffff, 0);
		CHECK_EQ(l.expires, 0xffffffffull * by[i]);
	}
}

TEST(lapic_timer_periodic)
{
	start_on(0);
	timer(LAPIC_TIMER_PERIODIC, 0xb, 1000000, 0);
	CHECK_EQ(l.expires, 1000000);
	CHECK(lapic_timer_fired(&l, 1000010));
	CHECK_EQ(l.expires, 2000000);
	CHECK(lapic_timer_fired(&l, 9000000));		/* late: what was missed is gone */
	CHECK_EQ(l.expires, 9000000);
	timer(LAPIC_TIMER_PERIODIC, 0xb, 10, 0);
	CHECK_EQ(l.period, LAPIC_PERIOD_MIN);
	lapic_write(&l, LAPIC_LVT_TIMER, LAPIC_TIMER_PERIODIC | LAPIC_LVT_MASKED | 0x60, 0);
	take();
	CHECK(lapic_timer_fired(&l, 0));		/* masked: it goes on, and says nothing */
	lapic_write(&l, LAPIC_EOI, 0, 0);
	CHECK_EQ(take(), (unsigned long long)-1);
}

TEST(lapic_timer_new_divisor_keeps_the_count)
{
	start_on(0);
	timer(0, 0xb, 1000, 0);
	lapic_write(&l, LAPIC_TIMER_DIVIDE, 3, 400);	/* by 1, then by 16 */
	CHECK_EQ(count_at(400), 600);
	CHECK_EQ(l.expires, 400 + 600 * 16);
}

TEST(lapic_timer_deadline)
{
	start_on(0);
	timer(0, 0xb, 1000, 0);
	lapic_write(&l, LAPIC_LVT_TIMER, LAPIC_TIMER_DEADLINE | 0x60, 10);
	CHECK(!l.armed);				/* the other mode's count is gone */
	CHECK_EQ(reg(LAPIC_TIMER_INIT), 0);
	lapic_write(&l, LAPIC_TIMER_INIT, 55, 10);	/* ignored */
	CHECK(!l.armed);
	CHECK_EQ(reg(LAPIC_TIMER_INIT), 0);
	lapic_set_deadline(&l, 123456, 700, 10);
	CHECK(l.armed);
	CHECK_EQ(l.expires, 710);
	CHECK(!lapic_timer_fired(&l, 710));
	CHECK_EQ(l.deadline, 0);
	CHECK_EQ(take(), 0x60);
	lapic_set_deadline(&l, 0, 0, 10);
	CHECK(!l.armed);
}

/* ---- the VMM's view ---- */

TEST(lapic_state_round_trip)
{
	static u32 regs[256], again[256];

	start_on(0x12);
	to_x2();
	timer(LAPIC_TIMER_PERIODIC, 3, 1000000, 0);
	lapic_set_icr(&l, 0x700000041ull);
	lapic_post(&l, 0x77, true);
	lapic_get_state(&l, regs, 1600000);
	CHECK_EQ(regs[LAPIC_ID / 4], 0x12000000);
	CHECK_EQ(regs[LAPIC_ICR2 / 4], 7);
	CHECK_EQ(regs[LAPIC_TIMER_NOW / 4], 900000);
	CHECK_EQ(regs[(LAPIC_IRR + 0x30) / 4], 1u << 0x17);
	l.base = 0xfee00c00;
	CHECK_EQ(lapic_set_state(&l, regs, 50000000), 0);
	CHECK_EQ(l.expires, 50000000 + 900000ull * 16);
	lapic_get_state(&l, again, 50000000);
	CHECK(!memcmp(regs, again, sizeof(regs)));
	l.ids32 = true;
	CHECK_EQ(lapic_set_state(&l, regs, 0), (unsigned long long)-1);
	regs[LAPIC_ID / 4] = 0x12;
	CHECK_EQ(lapic_set_state(&l, regs, 0), 0);
	CHECK_EQ(reg(LAPIC_LDR), 0x00010004);
}

/* Any page, any writes: nothing runs away (the sanitizers watch). */
TEST(lapic_random)
{
	u32 i, value, *words = (u32 *)&page;
	static u32 regs[256];

	for (i = 0; i < 20000; i++) {
		if (i % 100 == 0) {
			start_on(test_below(300));
			if (test_below(2))
				to_x2();
		}
		words[test_below(sizeof(page) / 4)] = (u32)test_random();
		lapic_write(&l, test_below(64) * 16, (u32)test_random(), test_random() >> 8);
		lapic_read(&l, test_below(64) * 16, test_random() >> 8, &value);
		lapic_set_base(&l, test_below(0x1000) | 0xfee00000, 0, test_below(2));
		lapic_accepts(&l, (u32)test_random(), test_below(2), test_below(2), test_below(2));
		lapic_post(&l, test_below(256), test_below(2));
		lapic_timer_fired(&l, test_random() >> 8);
		take();
		lapic_get_state(&l, regs, test_random() >> 8);
		lapic_set_state(&l, regs, test_random() >> 8);
	}
}
