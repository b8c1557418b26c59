// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * pic.c - the 8259 pair, see pic.h.
 *
 * Owns: nothing beyond its argument. Invariant: every field may hold any value,
 * because a VMM sets them; shifts and indices are masked where they are used.
 * What KVM leaves out is left out here as well, so that a guest sees the same:
 * special mask mode is stored and changes nothing, ICW1's single mode and level
 * bits are ignored.
 */
#include "pic.h"

#define CASCADE 2u
#define NONE 8u
#define ELCR_MASTER 0xf8	/* 0, 1 and the cascade are edges for ever */
#define ELCR_SLAVE 0xde		/* 8 and 13 as well */

/* ICW1, OCW2, OCW3 */
#define ICW1_INIT 0x10
#define ICW1_ICW4 0x01
#define OCW3 0x08
#define OCW3_POLL 0x04
#define OCW3_READ 0x02
#define OCW3_SPECIAL 0x40
#define OCW2_ROTATE 4u		/* of the command in bits 7:5 */

enum { INIT_DONE, INIT_ICW2, INIT_ICW3, INIT_ICW4 };

void pic_reset(struct pic *p)
{
	memset(p, 0, sizeof(*p));
	p->chip[0].elcr_mask = ELCR_MASTER;
	p->chip[1].elcr_mask = ELCR_SLAVE;
}

/* How far a set of pins is from the top of the priority order: 0 is best, NONE is empty. */
static unsigned int distance(const struct kvm_pic_state *s, u8 pins)
{
	unsigned int top = s->priority_add & 7;
	u8 turned = pins >> top | pins << (8 - top);

	return turned ? (unsigned int)__builtin_ctz(turned) : NONE;
}

static unsigned int pin_at(const struct kvm_pic_state *s, unsigned int distance)
{
	return (distance + s->priority_add) & 7;
}

/* The pin that this chip asks service for, or NONE. */
static unsigned int wanted(const struct pic *p, unsigned int chip)
{
	const struct kvm_pic_state *s = &p->chip[chip];
	unsigned int best = distance(s, s->irr & ~s->imr);
	u8 busy = s->isr;

	/* Special fully nested: a slave in service does not stop its better pins. */
	if (!chip && s->special_fully_nested_mode)
		busy &= ~(1u << CASCADE);
	return best < distance(s, busy) ? pin_at(s, best) : NONE;
}

/* One chip's pin goes up or down; result as pic_set()'s. */
static int drive(struct kvm_pic_state *s, unsigned int pin, bool level)
{
	u8 bit = 1u << pin;
	bool asked = s->irr & bit;
	bool edge = level && !(s->last_irr & bit);

	s->last_irr = level ? s->last_irr | bit : s->last_irr & ~bit;
	if (s->elcr & bit)
		s->irr = level ? s->irr | bit : s->irr & ~bit;
	else if (edge)
		s->irr |= bit;
	else
		asked = false;
	if (s->imr & bit)
		return -1;
	return !(level && asked);
}

void pic_update(struct pic *p)
{
	if (wanted(p, 1) != NONE) {
		drive(&p->chip[0], CASCADE, true);
		drive(&p->chip[0], CASCADE, false);
	}
	p->output = wanted(p, 0) != NONE;
}

int pic_set(struct pic *p, unsigned int pin, unsigned int source, bool level)
{
	u64 bit = 1ull << source;
	int rc;

	p->lines[pin] = level ? p->lines[pin] | bit : p->lines[pin] & ~bit;
	rc = drive(&p->chip[pin / PIC_CHIP_PINS], pin % PIC_CHIP_PINS, p->lines[pin]);
	pic_update(p);
	return rc;
}

static void end_service(struct pic *p, unsigned int chip, unsigned int pin)
{
	p->chip[chip].isr &= ~(1u << pin);
	p->acked |= 1u << (chip * PIC_CHIP_PINS + pin);
}

/* ---- INTA ---- */

static void begin_service(struct pic *p, unsigned int chip, unsigned int pin)
{
	struct kvm_pic_state *s = &p->chip[chip];

	s->isr |= 1u << pin;
	/* A level stays requested until its line goes down. */
	if (!(s->elcr & 1u << pin))
		s->irr &= ~(1u << pin);
	if (!s->auto_eoi)
		return;
	if (s->rotate_on_auto_eoi)
		s->priority_add = (pin + 1) & 7;
	end_service(p, chip, pin);
}

/* The pin taken into service, PIC_SPURIOUS when none asks. */
static unsigned int take_chip(struct pic *p, unsigned int chip)
{
	unsigned int pin = wanted(p, chip);

	if (pin == NONE)
		return PIC_SPURIOUS;
	begin_service(p, chip, pin);
	return pin;
}

u8 pic_take(struct pic *p)
{
	unsigned int pin;

	p->output = 0;
	pin = take_chip(p, 0);
	if (pin == CASCADE)
		return p->chip[1].irq_base + take_chip(p, 1);
	return p->chip[0].irq_base + pin;
}

/* ---- commands ---- */

static void write_icw1(struct pic *p, unsigned int chip, u8 value)
{
	struct kvm_pic_state *s = &p->chip[chip];

	p->dropped |= (u8)(s->irr & ~s->elcr) << (chip * PIC_CHIP_PINS);
	s->init4 = value & ICW1_ICW4;
	s->last_irr = 0;
	s->irr &= s->elcr;
	s->imr = 0;
	s->priority_add = 0;
	s->special_mask = 0;
	s->read_reg_select = 0;
	if (!s->init4) {
		s->special_fully_nested_mode = 0;
		s->auto_eoi = 0;
	}
	s->init_state = INIT_ICW2;
}

static void write_ocw3(struct kvm_pic_state *s, u8 value)
{
	if (value & OCW3_POLL)
		s->poll = 1;
	if (value & OCW3_READ)
		s->read_reg_select = value & 1;
	if (value & OCW3_SPECIAL)
		s->special_mask = value >> 5 & 1;
}

/* End the service of the best pin, or of the one that is named. */
static void write_eoi(struct pic *p, unsigned int chip, u8 value)
{
	struct kvm_pic_state *s = &p->chip[chip];
	bool named = value & 0x40;
	unsigned int best = distance(s, s->isr);
	unsigned int pin = named ? value & 7 : pin_at(s, best);

	if (!named && best == NONE)
		return;
	if (value >> 5 & OCW2_ROTATE)
		s->priority_add = (pin + 1) & 7;
	end_service(p, chip, pin);
}

static void write_ocw2(struct pic *p, unsigned int chip, u8 value)
{
	struct kvm_pic_state *s = &p->chip[chip];

	if (value & 0x20)
		write_eoi(p, chip, value);
	else if (!(value & 0x40))
		s->rotate_on_auto_eoi = value >> 7;
	else if (value & 0x80)
		s->priority_add = (value + 1) & 7;
}

static void write_command(struct pic *p, unsigned int chip, u8 value)
{
	if (value & ICW1_INIT)
		write_icw1(p, chip, value);
	else if (value & OCW3)
		write_ocw3(&p->chip[chip], value);
	else
		write_ocw2(p, chip, value);
}

static void write_data(struct pic *p, unsigned int chip, u8 value)
{
	struct kvm_pic_state *s = &p->chip[chip];

	switch (s->init_state) {
	case INIT_DONE:
		if (!chip)
			p->unmasked |= s->imr & ~value;
		s->imr = value;
		break;
	case INIT_ICW2:
		s->irq_base = value & 0xf8;
		s->init_state = INIT_ICW3;
		break;
	case INIT_ICW3:
		s->init_state = s->init4 ? INIT_ICW4 : INIT_DONE;
		break;
	case INIT_ICW4:
		s->special_fully_nested_mode = value >> 4 & 1;
		s->auto_eoi = value >> 1 & 1;
		s->init_state = INIT_DONE;
		break;
	}
}

/* A read in poll mode acknowledges and ends the best pin at once. */
static u8 read_poll(struct pic *p, unsigned int chip)
{
	unsigned int pin = wanted(p, chip);

	p->chip[chip].poll = 0;
	if (pin == NONE)
		return PIC_SPURIOUS;
	if (chip) {
		p->chip[0].isr &= ~(1u << CASCADE);
		p->chip[0].irr &= ~(1u << CASCADE);
	}
	p->chip[chip].irr &= ~(1u << pin);
	end_service(p, chip, pin);
	return pin;
}

/* ---- ports ---- */

bool pic_port(u16 port)
{
	return (port & ~0x81) == 0x20 || (port & ~1) == 0x4d0;
}

void pic_write(struct pic *p, u16 port, u8 value)
{
	if (port & 0x400)
		p->chip[port & 1].elcr = value & p->chip[port & 1].elcr_mask;
	else if (port & 1)
		write_data(p, port >> 7, value);
	else
		write_command(p, port >> 7, value);
}

u8 pic_read(struct pic *p, u16 port)
{
	const struct kvm_pic_state *s = &p->chip[port >> 7 & 1];

	if (port & 0x400)
		return p->chip[port & 1].elcr;
	if (s->poll)
		return read_poll(p, port >> 7);
	if (port & 1)
		return s->imr;
	return s->read_reg_select ? s->isr : s->irr;
}
