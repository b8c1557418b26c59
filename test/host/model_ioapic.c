// SPDX-License-Identifier: BSD-2-Clause
/*
 * model_ioapic.c - unit tests of driver/models/ioapic.c: registers, edges,
 * levels with remote IRR and EOI, several sources, the watched RTC, the storm
 * brake, save and restore.
 */
#include <string.h>
#include "check.h"
#include "../../driver/models/ioapic.h"

static struct ioapic io;
static u64 sent[16];
static unsigned int sends;
static int answer;

static int deliver(void *ctx, u64 entry, u64 *took)
{
	CHECK(ctx == &sends);
	if (sends < COUNT(sent))
		sent[sends] = entry;
	sends++;
	if (took)
		*took = answer > 0 ? (1ull << answer) - 1 : 0;
	return answer;
}

static const struct ioapic_ops ops = { .deliver = deliver };

static u32 get(u32 reg)
{
	ioapic_write(&io, 0, reg);
	return ioapic_read(&io, 0x10);
}

static bool put(u32 reg, u32 value)
{
	ioapic_write(&io, 0, reg);
	return ioapic_write(&io, 0x10, value);
}

static void entry_put(unsigned int pin, u64 e)
{
	put(0x11 + 2 * pin, e >> 32);
	put(0x10 + 2 * pin, e);
}

static u64 entry_get(unsigned int pin)
{
	return get(0x10 + 2 * pin) | (u64)get(0x11 + 2 * pin) << 32;
}

static void fresh(void)
{
	io.ops = &ops;
	io.ctx = &sends;
	ioapic_reset(&io);
	sends = 0;
	answer = 1;
}

static u32 eoi(unsigned int vcpu, u8 vector)
{
	u32 pins = ioapic_eoi_pins(&io, vcpu, vector);
	unsigned int pin, storms = 0;

	for (pin = 0; pin < IOAPIC_PINS; pin++)
		if (pins & 1u << pin && entry_get(pin) & RTE_LEVEL)
			storms += ioapic_end(&io, pin);
	return storms;
}

TEST(ioapic_registers)
{
	unsigned int pin;

	fresh();
	CHECK_EQ(get(1), 0x170011);
	put(1, ~0u);
	CHECK_EQ(get(1), 0x170011);
	put(0, 0xffffffff);
	CHECK_EQ(get(0), 0x0f000000);
	CHECK_EQ(get(2), 0x0f000000);
	put(2, 0);
	CHECK_EQ(get(2), 0x0f000000);
	CHECK_EQ(get(3), ~0u);
	CHECK_EQ(get(0x40), ~0u);
	CHECK(!put(0x40, 0) && !put(0xff, 0) && !put(3, 0));
	CHECK_EQ(ioapic_read(&io, 0x40), 0);
	CHECK(!ioapic_write(&io, 0x40, 1));
	ioapic_write(&io, 0, 0x1234);
	CHECK_EQ(ioapic_read(&io, 0), 0x34);
	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		CHECK_EQ(entry_get(pin), RTE_MASKED);
		entry_put(pin, 0x1200000000010000ull + pin);
		CHECK_EQ(entry_get(pin), 0x1200000000010000ull + pin);
	}
	/* Read-only bits stay as they were. */
	entry_put(3, RTE_MASKED | RTE_LEVEL | RTE_BUSY | RTE_REMOTE_IRR);
	CHECK_EQ(entry_get(3), RTE_MASKED | RTE_LEVEL);
	CHECK(put(0x10, 0));
}

TEST(ioapic_covers_both)
{
	struct kvm_ioapic_state s;

	fresh();
	CHECK(ioapic_covers(&io, 0xfec00000) && ioapic_covers(&io, 0xfec000ff));
	CHECK(!ioapic_covers(&io, 0xfec00100) && !ioapic_covers(&io, 0xfebfffff));
	ioapic_get(&io, &s);
	s.base_address = 0xfec01000;
	ioapic_put(&io, &s);
	CHECK(!ioapic_covers(&io, 0xfec00000) && !ioapic_covers(&io, 0xfec01000));
}

TEST(ioapic_edge)
{
	fresh();
	CHECK_EQ(ioapic_set(&io, 4, 0, true, false), -1);
	CHECK_EQ(ioapic_set(&io, 4, 0, false, false), 1);
	entry_put(4, 0x0100000000000031ull);
	CHECK_EQ(io.unmasked, 1u << 4);
	CHECK_EQ(sends, 0);
	answer = 2;
	CHECK_EQ(ioapic_set(&io, 4, 0, true, false), 2);
	CHECK_EQ(sent[0], 0x0100000000000031ull);
	CHECK_EQ(ioapic_set(&io, 4, 0, true, false), 0);
	CHECK_EQ(sends, 1);
	CHECK_EQ(ioapic_set(&io, 4, 0, false, false), 1);
	answer = 0;
	CHECK_EQ(ioapic_set(&io, 4, 0, true, false), 0);
	CHECK_EQ(sends, 2);
	CHECK_EQ(eoi(0, 0x31), 0);
	CHECK_EQ(sends, 2);
	CHECK_EQ(entry_get(4) & RTE_REMOTE_IRR, 0);
}

TEST(ioapic_level)
{
	fresh();
	entry_put(9, RTE_LEVEL | 0x41);
	CHECK_EQ(ioapic_set(&io, 9, 0, true, false), 1);
	CHECK(entry_get(9) & RTE_REMOTE_IRR);
	CHECK_EQ(ioapic_set(&io, 9, 1, true, false), -1);
	CHECK_EQ(sends, 1);
	eoi(0, 0x42);
	CHECK_EQ(sends, 1);
	eoi(0, 0x41);
	CHECK_EQ(sends, 2);
	CHECK_EQ(ioapic_set(&io, 9, 0, false, false), -1);	/* source 1 still holds it */
	CHECK_EQ(ioapic_set(&io, 9, 1, false, false), 1);
	eoi(0, 0x41);
	CHECK_EQ(sends, 2);
	CHECK(!(entry_get(9) & RTE_REMOTE_IRR));
	/* Lost everywhere: no EOI will come, so none is waited for. */
	answer = 0;
	ioapic_set(&io, 9, 0, true, false);
	CHECK(!(entry_get(9) & RTE_REMOTE_IRR));
}

/* A level that is up when its entry is unmasked goes out; an edge does not. */
TEST(ioapic_unmask)
{
	fresh();
	entry_put(9, RTE_LEVEL | RTE_MASKED | 0x41);
	CHECK_EQ(ioapic_set(&io, 9, 0, true, false), -1);
	entry_put(9, RTE_LEVEL | 0x41);
	CHECK_EQ(sends, 1);
	entry_put(10, RTE_MASKED | 0x42);
	ioapic_set(&io, 10, 0, true, false);
	entry_put(10, 0x42);
	CHECK_EQ(sends, 1);
	/* Becoming an edge clears remote IRR: the way of guests without an EOI register. */
	CHECK(entry_get(9) & RTE_REMOTE_IRR);
	put(0x10 + 18, RTE_MASKED | 0x41);
	CHECK(!(entry_get(9) & RTE_REMOTE_IRR));
}

TEST(ioapic_rtc)
{
	fresh();
	entry_put(IOAPIC_RTC_PIN, 0x51);
	answer = 2;
	CHECK_EQ(ioapic_set(&io, 8, 0, true, true), 2);
	ioapic_set(&io, 8, 0, false, true);
	CHECK_EQ(ioapic_set(&io, 8, 0, true, true), 0);
	ioapic_set(&io, 8, 0, false, true);
	CHECK_EQ(sends, 1);
	eoi(0, 0x51);
	CHECK_EQ(ioapic_set(&io, 8, 0, true, true), 0);
	eoi(1, 0x50);
	CHECK_EQ(ioapic_set(&io, 8, 0, true, true), 0);
	eoi(1, 0x51);
	CHECK_EQ(ioapic_set(&io, 8, 0, true, true), 2);
	/* Not watched: as any other edge. */
	ioapic_set(&io, 8, 0, false, false);
	CHECK_EQ(ioapic_set(&io, 8, 0, true, false), 2);
}

TEST(ioapic_storm)
{
	unsigned int i, storms = 0;

	fresh();
	entry_put(5, RTE_LEVEL | 0x61);
	ioapic_set(&io, 5, 0, true, false);
	for (i = 0; i < 9999; i++)
		storms += eoi(0, 0x61);
	CHECK_EQ(storms, 0);
	CHECK_EQ(sends, 10000);
	CHECK_EQ(eoi(0, 0x61), 1);
	CHECK_EQ(sends, 10000);
	ioapic_retry(&io);
	CHECK_EQ(sends, 10001);
	ioapic_retry(&io);
	CHECK_EQ(sends, 10001);
	CHECK_EQ(eoi(0, 0x61), 0);
	CHECK_EQ(sends, 10002);
}

TEST(ioapic_save)
{
	struct kvm_ioapic_state s, t;

	fresh();
	entry_put(4, 0x31);
	entry_put(9, RTE_LEVEL | 0x41);
	ioapic_set(&io, 4, 0, true, false);
	ioapic_set(&io, 9, 0, true, false);
	put(0, 7 << 24);
	ioapic_get(&io, &s);
	CHECK_EQ(s.irr, 1u << 9);	/* the edge went out */
	CHECK(s.redirtbl[9].fields.remote_irr);
	CHECK_EQ(s.id, 7);
	fresh();
	ioapic_put(&io, &s);
	CHECK_EQ(sends, 0);		/* remote IRR: its EOI is still to come */
	ioapic_get(&io, &t);
	CHECK(!memcmp(&s, &t, sizeof(s)));
	s.redirtbl[9].bits &= ~RTE_REMOTE_IRR;
	s.irr |= 1u << 4;
	ioapic_put(&io, &s);
	CHECK_EQ(sends, 2);
}

TEST(ioapic_hostile)
{
	struct kvm_ioapic_state s;
	unsigned int round, i;

	fresh();
	for (round = 0; round < 2000; round++) {
		for (i = 0; i < sizeof(s); i++)
			((u8 *)&s)[i] = test_random();
		ioapic_put(&io, &s);
		for (i = 0; i < 20; i++) {
			answer = (int)test_below(5) - 1;
			ioapic_write(&io, test_below(2) * 16, test_random());
			ioapic_read(&io, test_below(IOAPIC_BYTES));
			ioapic_set(&io, test_below(IOAPIC_PINS), test_below(3), test_below(2), test_below(2));
			eoi(test_below(64), test_random());
			ioapic_retry(&io);
		}
	}
}
