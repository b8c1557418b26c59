// SPDX-License-Identifier: BSD-2-Clause
/*
 * model_pic.c - unit tests of driver/models/pic.c: initialisation, priorities,
 * edges and levels, the cascade, each way to end a service, poll, and states
 * that only a hostile VMM would set.
 */
#include "check.h"
#include "../../driver/models/pic.h"

#define MASTER 0x20
#define SLAVE 0xa0

static struct pic pic;

static void init_chip(u16 port, u8 base, u8 icw4)
{
	pic_write(&pic, port, 0x11);
	pic_write(&pic, port + 1, base);
	pic_write(&pic, port + 1, port == MASTER ? 4 : 2);
	pic_write(&pic, port + 1, icw4);
	pic_write(&pic, port + 1, 0);
}

/* Vectors 0x20 and 0x28, nothing masked. */
static void init(u8 icw4)
{
	pic_reset(&pic);
	init_chip(MASTER, 0x20, icw4);
	init_chip(SLAVE, 0x28, icw4);
	pic_update(&pic);
}

static int take(void)
{
	int vector;

	if (!pic.output)
		return -1;
	vector = pic_take(&pic);
	pic_update(&pic);
	return vector;
}

static void eoi(unsigned int pin)
{
	if (pin >= 8)
		pic_write(&pic, SLAVE, 0x20);
	pic_write(&pic, MASTER, 0x20);
	pic_update(&pic);
}

static void pulse(unsigned int pin)
{
	pic_set(&pic, pin, 0, true);
	pic_set(&pic, pin, 0, false);
}

TEST(pic_every_edge)
{
	unsigned int pin;

	init(1);
	for (pin = 0; pin < PIC_PINS; pin++) {
		if (pin == 2)
			continue;
		pulse(pin);
		CHECK_EQ(take(), 0x20 + pin);
		CHECK_EQ(take(), -1);
		eoi(pin);
		CHECK_EQ(pic.acked & 1u << pin, 1u << pin);
		pic.acked = 0;
		CHECK_EQ(take(), -1);
	}
}

TEST(pic_priority)
{
	init(1);
	pulse(5);
	pulse(3);
	pulse(12);
	CHECK_EQ(take(), 0x2c);	/* behind the cascade, pin 2 */
	CHECK_EQ(take(), -1);
	pulse(1);
	CHECK_EQ(take(), 0x21);
	eoi(1);
	eoi(12);
	CHECK_EQ(take(), 0x23);
	eoi(3);
	CHECK_EQ(take(), 0x25);
	eoi(5);
	CHECK_EQ(take(), -1);
}

/* A second edge in service waits; a third is merged with it. */
TEST(pic_merge)
{
	init(1);
	CHECK_EQ(pic_set(&pic, 4, 0, true), 1);
	CHECK_EQ(pic_set(&pic, 4, 0, true), 1);	/* no edge: nothing was merged */
	pic_set(&pic, 4, 0, false);
	CHECK_EQ(pic_set(&pic, 4, 0, true), 0);
	pic_set(&pic, 4, 0, false);
	CHECK_EQ(take(), 0x24);
	pulse(4);
	CHECK_EQ(take(), -1);
	eoi(4);
	CHECK_EQ(take(), 0x24);
	eoi(4);
	pic_write(&pic, MASTER + 1, 0x10);
	CHECK_EQ(pic_set(&pic, 4, 0, true), -1);
}

/* Two sources hold a level; it asks until both let go. */
TEST(pic_level)
{
	init(1);
	pic_write(&pic, 0x4d1, 0xff);
	CHECK_EQ(pic_read(&pic, 0x4d1), 0xde);
	pic_write(&pic, 0x4d0, 0xff);
	CHECK_EQ(pic_read(&pic, 0x4d0), 0xf8);
	pic_set(&pic, 11, 0, true);
	pic_set(&pic, 11, 1, true);
	CHECK_EQ(take(), 0x2b);
	eoi(11);
	CHECK_EQ(take(), 0x2b);
	pic_set(&pic, 11, 0, false);
	eoi(11);
	CHECK_EQ(take(), 0x2b);
	pic_set(&pic, 11, 1, false);
	eoi(11);
	CHECK_EQ(take(), -1);
}

TEST(pic_mask)
{
	init(1);
	pic_write(&pic, MASTER + 1, 0x01);
	pic.unmasked = 0;
	pulse(0);
	CHECK_EQ(take(), -1);
	CHECK_EQ(pic_read(&pic, MASTER + 1), 1);
	CHECK_EQ(pic_read(&pic, MASTER), 1);	/* IRR */
	pic_write(&pic, MASTER + 1, 0);
	pic_update(&pic);
	CHECK_EQ(pic.unmasked, 1);
	CHECK_EQ(take(), 0x20);
	pic_write(&pic, MASTER, 0x0b);
	CHECK_EQ(pic_read(&pic, MASTER), 1);	/* ISR */
	pic_write(&pic, MASTER, 0x0a);
	CHECK_EQ(pic_read(&pic, MASTER), 0);
}

/* The line goes away between INTR and INTA. */
TEST(pic_spurious)
{
	init(1);
	pic_write(&pic, 0x4d0, 0x20);
	pic_set(&pic, 5, 0, true);
	CHECK(pic.output);
	pic_set(&pic, 5, 0, false);
	CHECK_EQ(pic_take(&pic), 0x27);
	CHECK_EQ(pic.chip[0].isr, 0);
	/* The slave's: the master's pin 2 is in service, the slave's none. */
	init(1);
	pic_write(&pic, 0x4d1, 0x02);
	pic_set(&pic, 9, 0, true);
	pic_set(&pic, 9, 0, false);
	pic_write(&pic, SLAVE + 1, 0xff);
	pic_update(&pic);
	CHECK_EQ(pic_take(&pic), 0x2f);
	CHECK_EQ(pic.chip[0].isr, 4);
	CHECK_EQ(pic.chip[1].isr, 0);
}

TEST(pic_auto_eoi_rotates)
{
	init(3);
	pic_write(&pic, MASTER, 0x80);	/* rotate in automatic EOI */
	pulse(3);
	CHECK_EQ(take(), 0x23);
	CHECK_EQ(pic.chip[0].isr, 0);
	CHECK_EQ(pic.acked, 8);
	CHECK_EQ(pic.chip[0].priority_add, 4);
	pulse(0);
	pulse(4);
	CHECK_EQ(take(), 0x24);
	CHECK_EQ(take(), 0x20);
	pic_write(&pic, MASTER, 0x00);
	pulse(6);
	take();
	CHECK_EQ(pic.chip[0].priority_add, 1);
}

TEST(pic_eoi_commands)
{
	init(1);
	pulse(6);
	take();
	pulse(1);
	take();
	CHECK_EQ(pic.chip[0].isr, 0x42);
	pic_write(&pic, MASTER, 0x66);	/* specific: 6 */
	CHECK_EQ(pic.chip[0].isr, 0x02);
	pic_write(&pic, MASTER, 0xa0);	/* rotate on the best one's EOI */
	CHECK_EQ(pic.chip[0].isr, 0);
	CHECK_EQ(pic.chip[0].priority_add, 2);
	pic_write(&pic, MASTER, 0xc4);	/* 4 is the lowest */
	CHECK_EQ(pic.chip[0].priority_add, 5);
	pulse(7);
	take();
	pic_write(&pic, MASTER, 0xe7);	/* specific, and rotate */
	CHECK_EQ(pic.chip[0].isr, 0);
	CHECK_EQ(pic.chip[0].priority_add, 0);
	pic.acked = 0;
	pic_write(&pic, MASTER, 0x20);	/* nothing in service */
	CHECK_EQ(pic.acked, 0);
}

TEST(pic_poll)
{
	init(1);
	pulse(10);
	pulse(5);
	pic_write(&pic, SLAVE, 0x0c);
	CHECK_EQ(pic_read(&pic, SLAVE), 2);
	pic_update(&pic);
	CHECK_EQ(pic_read(&pic, SLAVE + 1), 0);	/* one read only */
	pic_write(&pic, MASTER, 0x0c);
	CHECK_EQ(pic_read(&pic, MASTER), 5);
	pic_write(&pic, MASTER, 0x0c);
	CHECK_EQ(pic_read(&pic, MASTER), 7);
	pic_update(&pic);
	CHECK_EQ(take(), -1);
}

/* Special fully nested: a better pin of the same slave breaks in. */
TEST(pic_nested)
{
	init(0x11);
	pulse(14);
	CHECK_EQ(take(), 0x2e);
	pulse(9);
	CHECK_EQ(take(), 0x29);
	init(1);
	pulse(14);
	take();
	pulse(9);
	CHECK_EQ(take(), -1);
}

/* ICW1 forgets edges, and says so; levels stay. */
TEST(pic_init_again)
{
	init(1);
	pic_write(&pic, 0x4d0, 0x20);
	pulse(3);
	pic_set(&pic, 5, 0, true);
	pic_write(&pic, MASTER, 0x11);
	CHECK_EQ(pic.dropped, 8);
	CHECK_EQ(pic.chip[0].irr, 0x20);
	/* Without ICW4 the third word ends it. */
	pic_write(&pic, MASTER, 0x10);
	pic_write(&pic, MASTER + 1, 0x47);
	pic_write(&pic, MASTER + 1, 4);
	pic_write(&pic, MASTER + 1, 0xa5);
	CHECK_EQ(pic.chip[0].irq_base, 0x40);
	CHECK_EQ(pic.chip[0].imr, 0xa5);
}

/* Any state and any access: the sanitizers watch. */
TEST(pic_hostile)
{
	static const u16 ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1 };
	unsigned int round, i;

	for (round = 0; round < 2000; round++) {
		for (i = 0; i < sizeof(pic.chip); i++)
			((u8 *)pic.chip)[i] = test_random();
		for (i = 0; i < 20; i++) {
			u16 port = ports[test_below(COUNT(ports))];

			CHECK(pic_port(port));
			pic_write(&pic, port, test_random());
			pic_read(&pic, port);
			pic_update(&pic);
			pic_set(&pic, test_below(PIC_PINS), test_below(3), test_below(2));
			pic_take(&pic);
		}
	}
	CHECK(!pic_port(0x22) && !pic_port(0x4d2) && !pic_port(0x1f) && !pic_port(0x120) && !pic_port(0xa2));
}
