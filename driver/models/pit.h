/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * pit.h - the 8254 timer's three counters, and the part of port 0x61 that
 * belongs to it.
 *
 * Owns: struct pit, whose counters have KVM_GET_PIT2's own form. Time is an
 * argument: the file knows no clock and starts no timer.
 * Called by: x86_64/pit_timer.c under its lock; the host unit tests.
 * See: Intel 8254 data sheet.
 */
#ifndef DRIVER_MODELS_PIT_H
#define DRIVER_MODELS_PIT_H

#include "model.h"

#define PIT_HZ 1193181u		/* KVM's figure */
#define PIT_PORT 0x40u
#define PIT_PORTS 4u
#define PIT_CONTROL_PORT 0x43u
#define PIT_SPEAKER_PORT 0x61u
#define PIT_CHANNELS 3u
#define PIT_MODE_NONE 0xffu	/* never programmed, or stopped for the HPET */

struct pit {
	struct kvm_pit_state2 s;
	bool loaded;		/* counter 0 has a new count: the caller sets its timer and clears */
};

/* What time it is, in nanoseconds. */
struct pit_time {
	s64 now;
	s64 elapsed;		/* since counter 0's period began; 0 before the first */
};

void pit_reset(struct pit *p, s64 now);
void pit_write(struct pit *p, u16 port, u8 value, const struct pit_time *t);
/* The control port is for writing: it reads 0. */
u8 pit_read(struct pit *p, u16 port, const struct pit_time *t);
void pit_speaker_write(struct pit *p, u8 value, s64 now);
u8 pit_speaker_read(const struct pit *p, s64 now);
/* Load the counts that a VMM has set: counter 0 asks for its timer. */
void pit_restart(struct pit *p, s64 now);

/* How long counter 0 counts down, and whether it starts over by itself. */
s64 pit_period(const struct pit *p);
bool pit_periodic(const struct pit *p);
/* Modes that count once the count is there; the others stop the timer. */
bool pit_runs(const struct pit *p);

#endif
