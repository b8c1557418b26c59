// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * pit.c - the 8254's counters, see pit.h.
 *
 * Owns: nothing beyond its argument. Invariant: after pit_reset() no count is
 * 0, so that it can divide; all other fields may hold anything, because a VMM
 * sets them. Simplified as KVM's is: counters 0 and 1 have their gate open, a
 * gate only restarts and never stops, BCD counts in binary.
 */
#include "pit.h"

#define NANOSECONDS 1000000000ull
#define COUNT_MAX 0x10000u
#define CONTROL 3u

/* How a count is read and written; also the control word's access field. */
enum { LATCH = 0, LOW = 1, HIGH = 2, BOTH = 3, BOTH_HIGH = 4 };

/* Ticks of the counter in a time. In two parts: the product has more than 64 bits. */
static u64 ticks(s64 ns)
{
	u64 t = ns > 0 ? ns : 0;

	return t / NANOSECONDS * PIT_HZ + t % NANOSECONDS * PIT_HZ / NANOSECONDS;
}

static u64 passed(const struct pit *p, unsigned int channel, const struct pit_time *t)
{
	return ticks(channel ? t->now - p->s.channels[channel].count_load_time : t->elapsed);
}

static u32 count_now(const struct pit *p, unsigned int channel, const struct pit_time *t)
{
	const struct kvm_pit_channel_state *c = &p->s.channels[channel];
	u64 d = passed(p, channel, t);

	switch (c->mode) {
	case 0:
	case 1:
	case 4:
	case 5:
		return (c->count - d) & 0xffff;
	case 3:	/* a square wave counts by two */
		return c->count - 2 * d % c->count;
	default:
		return c->count - d % c->count;
	}
}

static bool out_now(const struct kvm_pit_channel_state *c, u64 d)
{
	switch (c->mode) {
	case 1:
		return d < c->count;
	case 2:
		return d && d % c->count == 0;
	case 3:
		return d % c->count < (c->count + 1ull) / 2;
	case 4:
	case 5:
		return d == c->count;
	default:
		return d >= c->count;
	}
}

/* ---- loading ---- */

static void load(struct pit *p, unsigned int channel, u32 count, s64 now)
{
	struct kvm_pit_channel_state *c = &p->s.channels[channel];

	c->count = count ? count : COUNT_MAX;
	if (channel)
		c->count_load_time = now;
	else
		p->loaded = true;
}

void pit_restart(struct pit *p, s64 now)
{
	unsigned int i;

	for (i = 0; i < PIT_CHANNELS; i++)
		load(p, i, p->s.channels[i].count, now);
}

void pit_reset(struct pit *p, s64 now)
{
	unsigned int i;

	memset(p, 0, sizeof(*p));
	for (i = 0; i < PIT_CHANNELS; i++) {
		p->s.channels[i].mode = PIT_MODE_NONE;
		p->s.channels[i].gate = i != 2;
	}
	pit_restart(p, now);
}

s64 pit_period(const struct pit *p)
{
	return p->s.channels[0].count * NANOSECONDS / PIT_HZ;
}

bool pit_periodic(const struct pit *p)
{
	u8 mode = p->s.channels[0].mode;

	return mode == 2 || mode == 3;
}

bool pit_runs(const struct pit *p)
{
	return p->s.channels[0].mode <= 4;
}

/* ---- ports ---- */

static void latch_count(struct pit *p, unsigned int channel, const struct pit_time *t)
{
	struct kvm_pit_channel_state *c = &p->s.channels[channel];

	if (c->count_latched)
		return;
	c->latched_count = count_now(p, channel, t);
	c->count_latched = c->rw_mode;
}

static void latch_status(struct pit *p, unsigned int channel, const struct pit_time *t)
{
	struct kvm_pit_channel_state *c = &p->s.channels[channel];

	if (c->status_latched)
		return;
	c->status = out_now(c, passed(p, channel, t)) << 7 | c->rw_mode << 4 | c->mode << 1 | c->bcd;
	c->status_latched = 1;
}

static void read_back(struct pit *p, u8 value, const struct pit_time *t)
{
	unsigned int i;

	for (i = 0; i < PIT_CHANNELS; i++) {
		if (!(value & 2 << i))
			continue;
		if (!(value & 0x20))
			latch_count(p, i, t);
		if (!(value & 0x10))
			latch_status(p, i, t);
	}
}

static void write_control(struct pit *p, u8 value, const struct pit_time *t)
{
	unsigned int channel = value >> 6, access = value >> 4 & 3, mode = value >> 1 & 7;
	struct kvm_pit_channel_state *c = &p->s.channels[channel];

	if (channel == PIT_CHANNELS) {
		read_back(p, value, t);
	} else if (access == LATCH) {
		latch_count(p, channel, t);
	} else {
		c->rw_mode = access;
		c->read_state = access;
		c->write_state = access;
		c->mode = mode > 5 ? mode - 4 : mode;
		c->bcd = value & 1;
	}
}

static void write_count(struct pit *p, unsigned int channel, u8 value, s64 now)
{
	struct kvm_pit_channel_state *c = &p->s.channels[channel];

	switch (c->write_state) {
	case HIGH:
		load(p, channel, value << 8, now);
		break;
	case BOTH:
		c->write_latch = value;
		c->write_state = BOTH_HIGH;
		break;
	case BOTH_HIGH:
		load(p, channel, c->write_latch | value << 8, now);
		c->write_state = BOTH;
		break;
	default:
		load(p, channel, value, now);
	}
}

void pit_write(struct pit *p, u16 port, u8 value, const struct pit_time *t)
{
	unsigned int channel = port & 3;

	if (channel == CONTROL)
		write_control(p, value, t);
	else
		write_count(p, channel, value, t->now);
}

static u8 read_latched(struct kvm_pit_channel_state *c)
{
	u8 how = c->count_latched;

	c->count_latched = how == BOTH ? HIGH : 0;
	return how == HIGH ? c->latched_count >> 8 : c->latched_count;
}

static u8 read_count(struct pit *p, unsigned int channel, const struct pit_time *t)
{
	struct kvm_pit_channel_state *c = &p->s.channels[channel];
	u32 count = count_now(p, channel, t);

	switch (c->read_state) {
	case HIGH:
		return count >> 8;
	case BOTH:
		c->read_state = BOTH_HIGH;
		return count;
	case BOTH_HIGH:
		c->read_state = BOTH;
		return count >> 8;
	default:
		return count;
	}
}

u8 pit_read(struct pit *p, u16 port, const struct pit_time *t)
{
	unsigned int channel = port & 3;
	struct kvm_pit_channel_state *c = &p->s.channels[channel];

	if (channel == CONTROL)
		return 0;
	if (c->status_latched) {
		c->status_latched = 0;
		return c->status;
	}
	return c->count_latched ? read_latched(c) : read_count(p, channel, t);
}

/* ---- port 0x61 ---- */

void pit_speaker_write(struct pit *p, u8 value, s64 now)
{
	struct kvm_pit_channel_state *c = &p->s.channels[2];
	u8 gate = value & 1;

	p->s.flags &= ~KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	if (value & 2)
		p->s.flags |= KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	/* A rising gate starts the count over, in the modes that look at it. */
	if (gate > c->gate && c->mode != 0 && c->mode != 4 && c->mode <= 5)
		c->count_load_time = now;
	c->gate = gate;
}

u8 pit_speaker_read(const struct pit *p, s64 now)
{
	const struct kvm_pit_channel_state *c = &p->s.channels[2];
	bool out = out_now(c, ticks(now - c->count_load_time));
	bool refresh = now >> 14 & 1;	/* toggles about every 15 us */
	bool data = p->s.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON;

	return out << 5 | refresh << 4 | data << 1 | (c->gate & 1);
}
