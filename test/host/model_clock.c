// SPDX-License-Identifier: BSD-2-Clause
/*
 * model_clock.c - unit tests of driver/models/clock.c: factors for every
 * frequency are normal and exact to 31 bits.
 */
#include "check.h"
#include "../../driver/models/clock.h"

static void check_rate(u32 khz)
{
	struct clock_scale s = clock_scale(khz);
	unsigned __int128 want = (unsigned __int128)3600 * 1000000000;
	u64 got = clock_ns(s, (u64)khz * 1000 * 3600);

	CHECK(s.mul >> 31);
	/* An hour to a few microseconds, and never ahead. */
	CHECK(got <= want && want - got < 4000);
	CHECK_EQ(clock_ns(s, 0), 0);
}

TEST(clock_rates)
{
	static const u32 rates[] = { 1, 20, 999, 1000, 1001, 20000, 32768, 999999, 1000000, 1000001, 2600018, 4000000, 5123456 };
	unsigned int i;

	for (i = 5; i < COUNT(rates); i++)
		check_rate(rates[i]);
	for (i = 0; i < 5; i++)
		CHECK(clock_scale(rates[i]).mul >> 31);
	for (i = 0; i < 2000; i++)
		check_rate(20000 + test_below(8000000));
	CHECK(clock_scale(0xffffffff).mul >> 31);
}
