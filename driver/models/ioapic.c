// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * ioapic.c - the I/O APIC, see ioapic.h.
 *
 * Owns: nothing beyond its argument. Invariant: remote IRR is set in an entry
 * only between a level's delivery and its EOI, and never in an edge's entry that
 * the guest has written; `s.irr` of a level follows its line.
 * The RTC's pin is watched beside that: Windows keeps time by counting its
 * interrupts, so a VMM wants to know which of them the guest has not finished.
 */
#include "ioapic.h"

#define VERSION 0x11u
#define STORM_EOIS 10000u	/* KVM's limit */

enum { REG_SELECT = 0x00, REG_WINDOW = 0x10 };
enum { REG_ID = 0, REG_VERSION = 1, REG_ARBITRATION = 2, REG_ENTRIES = 0x10 };

static u64 *entry(struct ioapic *io, unsigned int pin)
{
	return (u64 *)&io->s.redirtbl[pin].bits;
}

void ioapic_reset(struct ioapic *io)
{
	const struct ioapic_ops *ops = io->ops;
	void *ctx = io->ctx;
	unsigned int pin;

	memset(io, 0, sizeof(*io));
	io->ops = ops;
	io->ctx = ctx;
	io->s.base_address = IOAPIC_DEFAULT_BASE;
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		*entry(io, pin) = RTE_MASKED;
}

/* ---- interrupts ---- */

static int service(struct ioapic *io, unsigned int pin, bool watched)
{
	bool rtc = watched && pin == IOAPIC_RTC_PIN;
	u64 *e = entry(io, pin), took = 0;
	int rc;

	if (*e & RTE_MASKED || (*e & RTE_LEVEL && *e & RTE_REMOTE_IRR))
		return -1;
	if (!(*e & RTE_LEVEL))
		io->delivered |= 1u << pin;
	rc = io->ops->deliver(io->ctx, *e, rtc ? &took : NULL);
	if (rtc) {
		io->rtc_owes = took;
		io->rtc_vector = RTE_VECTOR(*e);
	}
	/* Nobody there counts as delivered too: the guest has to EOI or rewrite the entry. */
	if (rc && *e & RTE_LEVEL)
		*e |= RTE_REMOTE_IRR;
	return rc;
}

static int raise(struct ioapic *io, unsigned int pin, bool watched)
{
	bool edge = !(*entry(io, pin) & RTE_LEVEL);
	u32 bit = 1u << pin;
	bool asked = io->s.irr & bit;

	if (pin == IOAPIC_RTC_PIN && watched && io->rtc_owes)
		return 0;
	io->s.irr |= bit;
	if (edge) {
		io->delivered &= ~bit;
		if (asked)
			return 0;
	}
	return service(io, pin, watched);
}

int ioapic_set(struct ioapic *io, unsigned int pin, unsigned int source, bool level, bool watched)
{
	u64 bit = 1ull << source;

	io->lines[pin] = level ? io->lines[pin] | bit : io->lines[pin] & ~bit;
	if (io->lines[pin])
		return raise(io, pin, watched);
	io->s.irr &= ~(1u << pin);
	return 1;
}

/* ---- EOI ---- */

u32 ioapic_eoi_pins(struct ioapic *io, unsigned int vcpu, u8 vector)
{
	unsigned int pin;
	u32 pins = 0;

	if (vector == io->rtc_vector)
		io->rtc_owes &= ~(1ull << vcpu);
	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		if (RTE_VECTOR(*entry(io, pin)) == vector)
			pins |= 1u << pin;
	}
	return pins;
}

bool ioapic_end(struct ioapic *io, unsigned int pin)
{
	u64 *e = entry(io, pin);

	*e &= ~RTE_REMOTE_IRR;
	if (*e & RTE_MASKED || !(io->s.irr & 1u << pin)) {
		io->eois[pin] = 0;
		return false;
	}
	/* A guest that never quiets its device would do nothing else any more. */
	if (++io->eois[pin] >= STORM_EOIS) {
		io->eois[pin] = 0;
		return true;
	}
	service(io, pin, false);
	return false;
}

void ioapic_retry(struct ioapic *io)
{
	unsigned int pin;

	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		if (io->s.irr & 1u << pin && *entry(io, pin) & RTE_LEVEL)
			service(io, pin, false);
	}
}

/* ---- registers ---- */

bool ioapic_covers(const struct ioapic *io, u64 gpa)
{
	/* KVM's device sits at the default address, and answers while its base is there too. */
	return gpa - IOAPIC_DEFAULT_BASE < IOAPIC_BYTES && gpa - io->s.base_address < IOAPIC_BYTES;
}

static u32 read_entry(struct ioapic *io, u32 index)
{
	unsigned int pin = index / 2;
	u64 e = pin < IOAPIC_PINS ? *entry(io, model_index(pin, IOAPIC_PINS)) : ~0ull;

	return index & 1 ? e >> 32 : e;
}

static u32 read_window(struct ioapic *io)
{
	u32 reg = io->s.ioregsel;

	switch (reg) {
	case REG_VERSION:
		return (IOAPIC_PINS - 1) << 16 | VERSION;
	case REG_ID:
	case REG_ARBITRATION:
		return (io->s.id & 0xf) << 24;
	default:
		return read_entry(io, reg - REG_ENTRIES);
	}
}

u32 ioapic_read(struct ioapic *io, u32 offset)
{
	if (offset == REG_SELECT)
		return io->s.ioregsel;
	return offset == REG_WINDOW ? read_window(io) : 0;
}

static bool write_entry(struct ioapic *io, u32 index, u32 value)
{
	const u64 kept = RTE_BUSY | RTE_REMOTE_IRR;
	unsigned int pin = index / 2;
	u64 old, new, *e;

	if (pin >= IOAPIC_PINS)
		return false;
	pin = model_index(pin, IOAPIC_PINS);
	e = entry(io, pin);
	old = *e;
	new = index & 1 ? (u32)old | (u64)value << 32 : (old >> 32) << 32 | value;
	new = (new & ~kept) | (old & kept);
	/* Guests without an EOI register make the entry an edge for a moment to clear it. */
	if (!(new & RTE_LEVEL))
		new &= ~RTE_REMOTE_IRR;
	*e = new;
	if (old & ~new & RTE_MASKED)
		io->unmasked |= 1u << pin;
	if (new & RTE_LEVEL && io->s.irr & 1u << pin)
		service(io, pin, false);
	return true;
}

static bool write_window(struct ioapic *io, u32 value)
{
	u32 reg = io->s.ioregsel;

	if (reg == REG_ID)
		io->s.id = value >> 24 & 0xf;
	return reg >= REG_ENTRIES && write_entry(io, reg - REG_ENTRIES, value);
}

bool ioapic_write(struct ioapic *io, u32 offset, u32 value)
{
	if (offset == REG_SELECT)
		io->s.ioregsel = value & 0xff;
	return offset == REG_WINDOW && write_window(io, value);
}

/* ---- the VMM's ---- */

void ioapic_get(const struct ioapic *io, struct kvm_ioapic_state *s)
{
	*s = io->s;
	s->irr &= ~io->delivered;
}

void ioapic_put(struct ioapic *io, const struct kvm_ioapic_state *s)
{
	unsigned int pin;

	io->s = *s;
	io->s.irr = 0;
	io->delivered = 0;
	io->rtc_owes = 0;
	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		if (s->irr & 1u << pin)
			raise(io, pin, true);
	}
}
