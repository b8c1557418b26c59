/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * decode_test.h - what the decoder's tests share: a decode_state for each
 * mode of the processor.
 */
#ifndef TEST_HOST_DECODE_TEST_H
#define TEST_HOST_DECODE_TEST_H

#include <string.h>
#include "check.h"
#include "../../driver/models/decode.h"

enum mode { MODE_64, MODE_32, MODE_16, MODE_REAL, MODE_VM86, MODE_COUNT };

#define FLAG_C 0x1ull
#define FLAG_P 0x4ull
#define FLAG_A 0x10ull
#define FLAG_Z 0x40ull
#define FLAG_S 0x80ull
#define FLAG_D 0x400ull
#define FLAG_O 0x800ull
#define FLAG_RESUME 0x10000ull
#define FLAG_V86 0x20000ull
#define FLAGS_SIX (FLAG_C | FLAG_P | FLAG_A | FLAG_Z | FLAG_S | FLAG_O)

#define ATTR_DATA 0x93		/* writable data, accessed, present */
#define ATTR_TEXT 0x9b		/* readable code, accessed, present */
#define ATTR_BIG 0x400
#define ATTR_LONG 0x200

/* Flat segments, ring 0, paging as the mode has it; base and limit of real mode: 0, 64 KiB. */
static inline void state_init(struct decode_state *s, enum mode mode)
{
	int is16 = mode >= MODE_16;
	unsigned int i;

	memset(s, 0, sizeof(*s));
	for (i = 0; i < 6; i++) {
		s->seg[i].attr = i == SEG_CS ? ATTR_TEXT : ATTR_DATA;
		s->seg[i].limit = is16 ? 0xffff : 0xffffffff;
		if (mode == MODE_32)
			s->seg[i].attr |= ATTR_BIG;
	}
	s->cr0 = mode == MODE_REAL ? 0 : 1;
	s->regs.rflags = 2 | (mode == MODE_VM86 ? FLAG_V86 : 0);
	s->cpl = mode == MODE_VM86 ? 3 : 0;
	if (mode == MODE_64) {
		s->cr0 |= 1ull << 31;
		s->efer = 0x500;
		s->seg[SEG_CS].attr |= ATTR_LONG;
	}
}

#endif
