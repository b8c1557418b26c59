// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * clock.c - see clock.h. No division of 128 bits: Linux links none.
 */
#include "clock.h"

#define MILLISECOND 1000000ull	/* in nanoseconds: per tick of `khz` */

struct clock_scale clock_scale(u32 khz)
{
	u64 ns = MILLISECOND, ticks = khz;
	struct clock_scale s = { 0, 0 };

	/* The ratio ns / ticks, brought into [1/2, 1). */
	while (ns >= ticks) {
		ticks <<= 1;
		s.shift++;
	}
	while (2 * ns < ticks) {
		ns <<= 1;
		s.shift--;
	}
	s.mul = (ns << 32) / ticks;
	return s;
}

u64 clock_ns(struct clock_scale s, u64 ticks)
{
	ticks = s.shift < 0 ? ticks >> -s.shift : ticks << s.shift;
	return (unsigned __int128)ticks * s.mul >> 32;
}
