// SPDX-License-Identifier: BSD-2-Clause
/*
 * model_pit.c - unit tests of driver/models/pit.c: counting in each mode, how
 * counts are written, read and latched, status, the speaker's port.
 */
#include <string.h>
#include "check.h"
#include "../../driver/models/pit.h"

#define TICK_NS(n) (((n) * 1000000000ll + PIT_HZ - 1) / PIT_HZ)

static struct pit pit;
static struct pit_time at;

static void fresh(void)
{
	at = (struct pit_time){ .now = 1000 };
	pit_reset(&pit, at.now);
	CHECK(pit.loaded);
	pit.loaded = false;
}

static void write(u16 port, u8 value)
{
	pit_write(&pit, port, value, &at);
}

static u8 read(u16 port)
{
	return pit_read(&pit, port, &at);
}

/* Low byte, then high. */
static u32 read_word(u16 port)
{
	u32 low = read(port);

	return low | (u32)read(port) << 8;
}

/* A counter in a mode, with both bytes of a count. */
static void program(unsigned int channel, unsigned int mode, u16 count)
{
	write(0x43, channel << 6 | 0x30 | mode << 1);
	write(0x40 + channel, count);
	write(0x40 + channel, count >> 8);
}

TEST(pit_counts_down)
{
	static const struct { unsigned int mode; u32 ticks, want; } rows[] = {
		{ 0, 0, 1000 }, { 0, 10, 990 }, { 0, 1000, 0 }, { 0, 1001, 0xffff },
		{ 1, 10, 990 }, { 4, 10, 990 }, { 5, 1003, 0xfffd },
		{ 2, 0, 1000 }, { 2, 999, 1 }, { 2, 1000, 1000 }, { 2, 1010, 990 },
		{ 3, 0, 1000 }, { 3, 10, 980 }, { 3, 500, 1000 }, { 3, 510, 980 },
		{ 6, 999, 1 }, { 7, 10, 980 },
	};
	unsigned int i, channel;

	for (i = 0; i < COUNT(rows); i++) {
		for (channel = 0; channel < 3; channel++) {
			fresh();
			program(channel, rows[i].mode, 1000);
			at.now += TICK_NS(rows[i].ticks);
			at.elapsed = TICK_NS(rows[i].ticks);
			CHECK_EQ(read_word(0x40 + channel), rows[i].want);
		}
	}
}

TEST(pit_counter_0_asks)
{
	fresh();
	program(0, 2, 11932);
	CHECK(pit.loaded && pit_runs(&pit) && pit_periodic(&pit));
	CHECK_EQ(pit_period(&pit), 11932ull * 1000000000 / PIT_HZ);
	pit.loaded = false;
	program(1, 2, 5);
	program(2, 2, 5);
	CHECK(!pit.loaded);
	program(0, 0, 0);
	CHECK(pit.loaded && pit_runs(&pit) && !pit_periodic(&pit));
	CHECK_EQ(pit.s.channels[0].count, 0x10000);
	CHECK_EQ(pit_period(&pit), 0x10000ull * 1000000000 / PIT_HZ);
	program(0, 5, 100);
	CHECK(!pit_runs(&pit));
	fresh();
	CHECK(!pit_runs(&pit));
}

TEST(pit_byte_access)
{
	fresh();
	write(0x43, 0x94);	/* counter 2, low byte, mode 2 */
	write(0x42, 0x80);
	CHECK_EQ(pit.s.channels[2].count, 0x80);
	CHECK_EQ(read(0x42), 0x80);
	write(0x43, 0xa4);	/* high byte */
	write(0x42, 0x12);
	CHECK_EQ(pit.s.channels[2].count, 0x1200);
	CHECK_EQ(read(0x42), 0x12);
	CHECK_EQ(read(0x43), 0);
}

TEST(pit_latch)
{
	fresh();
	program(2, 0, 0x1234);
	write(0x43, 0x80);
	at.now += TICK_NS(0x200);
	write(0x43, 0x80);	/* the first latch stays */
	CHECK_EQ(read_word(0x42), 0x1234);
	CHECK_EQ(read_word(0x42), 0x1034);
	/* Read back: count and status of 2 and 0; the status comes first. */
	write(0x43, 0xc0 | 0x0a);
	CHECK_EQ(read(0x42), 0x30);
	CHECK_EQ(read_word(0x42), 0x1034);
	CHECK(pit.s.channels[0].status_latched);
	CHECK(!pit.s.channels[1].status_latched);
	at.now += TICK_NS(0x1034);
	write(0x43, 0xe8);	/* status alone: OUT is up */
	CHECK_EQ(read(0x42), 0xb0);
	CHECK_EQ(read_word(0x42), 0);
}

TEST(pit_speaker)
{
	u8 v;

	fresh();
	program(2, 0, 100);
	v = pit_speaker_read(&pit, at.now);
	CHECK_EQ(v & 0x23, 0);
	pit_speaker_write(&pit, 3, at.now);
	v = pit_speaker_read(&pit, at.now + TICK_NS(99));
	CHECK_EQ(v & 0x23, 3);
	v = pit_speaker_read(&pit, at.now + TICK_NS(100));
	CHECK_EQ(v & 0x23, 0x23);
	CHECK(pit.s.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON);
	CHECK((pit_speaker_read(&pit, 0x4000) & 0x10) && !(pit_speaker_read(&pit, 0x8000) & 0x10));
	/* The gate restarts mode 2 when it rises, and mode 0 never. */
	program(2, 2, 100);
	pit_speaker_write(&pit, 0, at.now);
	at.now += TICK_NS(50);
	CHECK_EQ(read_word(0x42), 50);
	pit_speaker_write(&pit, 1, at.now);
	CHECK_EQ(read_word(0x42), 100);
	pit_speaker_write(&pit, 1, at.now + 5000000);
	CHECK_EQ(read_word(0x42), 100);
}

TEST(pit_long_time)
{
	fresh();
	program(2, 2, 0);
	at.now += 1000ll * 24 * 3600 * 1000000000;
	CHECK_EQ(read_word(0x42), 0x10000 - 1000ull * 24 * 3600 * PIT_HZ % 0x10000);
	at.elapsed = -5;
	program(0, 2, 7);
	CHECK_EQ(read_word(0x40), 7);
}

TEST(pit_hostile)
{
	unsigned int round, i;

	for (round = 0; round < 2000; round++) {
		for (i = 0; i < sizeof(pit.s); i++)
			((u8 *)&pit.s)[i] = test_random();
		at.now = test_random() >> 2;
		at.elapsed = test_random() >> 2;
		pit_restart(&pit, at.now);
		for (i = 0; i < 20; i++) {
			write(0x40 + test_below(4), test_random());
			read(0x40 + test_below(4));
			pit_speaker_write(&pit, test_random(), at.now);
			pit_speaker_read(&pit, at.now);
			CHECK(pit_period(&pit) >= 0);
		}
	}
}
