// SPDX-License-Identifier: BSD-2-Clause
/*
 * machine.c - 8259s, 8254 and 16450 as far as Linux looks at them; ports 0x64
 * and 0x61, and a clock chip that says nothing.
 *
 * See: Intel's data sheets of 8259A and 8254, National's of the 16450.
 */
#include <string.h>

#include "machine.h"

void (*serial_line)(const char *line);
void (*serial_interrupt)(unsigned int line, int level);
int reset_wanted;

/* ---- the interrupt controllers: 0 is the first, 1 hangs at its line 2 and gets nothing to do */

static struct pic { uint8_t request, service, mask, base, step, read_service; } pics[2] = { { .mask = 0xff }, { .mask = 0xff } };

static void line_set(unsigned int line, int level)
{
	pics[0].request = level ? pics[0].request | 1u << line : pics[0].request & ~(1u << line);
}

int interrupt_pending(void)
{
	uint8_t ready = pics[0].request & ~pics[0].mask;

	/* Only what is more urgent than what is being served. */
	return ready && (!pics[0].service || (ready & -ready) < (pics[0].service & -pics[0].service));
}

uint32_t interrupt_take(void)
{
	uint8_t ready = pics[0].request & ~pics[0].mask, line = (uint8_t)__builtin_ctz(ready);

	pics[0].service |= 1u << line;
	if (line == 0)
		line_set(0, 0);		/* an edge; the serial port's line stays up as long as it has a reason */
	return pics[0].base + line;
}

static void pic_command(struct pic *p, uint8_t value)
{
	if (value & 0x10) {		/* ICW1: three more follow at the other port */
		*p = (struct pic) { .step = 1 };
	} else if (value & 8) {		/* OCW3 */
		if (value & 2)
			p->read_service = value & 1;
	} else if (value & 0x20) {	/* OCW2: an end of interrupt */
		p->service &= value & 0x40 ? ~(1u << (value & 7)) : p->service - 1u;
	}
}

static void pic_data(struct pic *p, uint8_t value)
{
	if (p->step == 0)
		p->mask = value;
	else if (p->step++ == 1)
		p->base = value;
	if (p->step > 3)
		p->step = 0;
}

/* ---- the timer: channel 0, periodic */

#define TIMER_HZ 1193182ull

static struct { uint16_t latch; uint8_t high; uint64_t period, next; } timer;

void timer_advance(uint64_t now)
{
	if (!timer.period || now < timer.next)
		return;
	timer.next = now > timer.next + 8 * timer.period ? now + timer.period : timer.next + timer.period;
	line_set(0, 1);
}

static void timer_count(uint8_t value)
{
	timer.latch = timer.high ? (uint16_t)((timer.latch & 0xff) | value << 8) : value;
	if (timer.high)
		timer.period = (timer.latch ? timer.latch : 0x10000) * 1000000000ull / TIMER_HZ;
	timer.high ^= 1;
}

/* ---- the serial port: what is sent is gone at once */

#define SERIAL_IRQ 4
enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCRATCH };

static struct { uint8_t reg[8], divisor[2], empty_reason; char line[256]; unsigned int length; } serial;

static void serial_update(void)
{
	int level = serial.empty_reason && (serial.reg[IER] & 2);

	if (serial_interrupt && level != !!(pics[0].request & 1u << SERIAL_IRQ))
		serial_interrupt(SERIAL_IRQ, level);
	line_set(SERIAL_IRQ, level);
}

static void serial_send(char c)
{
	if (c == '\n' || serial.length == sizeof(serial.line) - 1) {
		serial.line[serial.length] = 0;
		serial_line(serial.line);
		serial.length = 0;
	} else if (c != '\r') {
		serial.line[serial.length++] = c;
	}
	serial.empty_reason = 1;
}

static void serial_write(unsigned int reg, uint8_t value)
{
	if (reg < 2 && (serial.reg[LCR] & 0x80)) {
		serial.divisor[reg] = value;
		return;
	}
	if (reg == DATA && !(serial.reg[MCR] & 0x10))
		serial_send((char)value);
	if (reg == IER && (value & 2) && !(serial.reg[IER] & 2))
		serial.empty_reason = 1;
	if (reg != IIR && reg != LSR && reg != MSR)
		serial.reg[reg] = reg == IER ? value & 15 : value;
	serial_update();
}

static uint8_t interrupt_reason(void)
{
	uint8_t reason = serial.empty_reason && (serial.reg[IER] & 2) ? 2 : 1;

	if (reason == 2)
		serial.empty_reason = 0;
	serial_update();
	return reason;
}

/* In its loop-back test the outputs come back as inputs. */
static uint8_t modem_status(void)
{
	uint8_t out = serial.reg[MCR];

	return out & 0x10 ? (out & 2) << 3 | (out & 1) << 5 | (out & 0xc) << 4 : 0xb0;
}

static uint8_t serial_read(unsigned int reg)
{
	if (reg < 2 && (serial.reg[LCR] & 0x80))
		return serial.divisor[reg];
	switch (reg) {
	case DATA: return 0;
	case IIR: return interrupt_reason();
	case LSR: return 0x60;
	case MSR: return modem_status();
	default: return serial.reg[reg];
	}
}

/* ---- ports */

uint32_t port_read(uint16_t port)
{
	switch (port) {
	case 0x20: return pics[0].read_service ? pics[0].service : pics[0].request;
	case 0xa0: return 0;
	case 0x21: case 0xa1: return pics[port >> 7].mask;
	case 0x61: case 0x71: return 0;
	case 0x3f8 ... 0x3ff: return serial_read(port - 0x3f8);
	default: return ~0u;
	}
}

void port_write(uint16_t port, uint32_t value)
{
	switch (port) {
	case 0x20: case 0xa0: pic_command(&pics[port >> 7], (uint8_t)value); break;
	case 0x21: case 0xa1: pic_data(&pics[port >> 7], (uint8_t)value); break;
	case 0x40: timer_count((uint8_t)value); break;
	case 0x43: timer.high = 0; break;
	case 0x64: reset_wanted |= value == 0xfe; break;
	case 0x3f8 ... 0x3ff: serial_write(port - 0x3f8, (uint8_t)value); break;
	}
}
