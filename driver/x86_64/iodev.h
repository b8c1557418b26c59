/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * x86_64/iodev.h - may a port be an in-kernel device's? Asked at every port
 * exit, so it is a table look-up and no call.
 * Included by: exits.c, iodev.c.
 */
#ifndef DRIVER_X86_64_IODEV_H
#define DRIVER_X86_64_IODEV_H

#include "irqchip.h"

enum iodev_port { IODEV_NONE, IODEV_PIC, IODEV_PIT };

/* The devices of the first 256 ports, by the access's first port. */
extern const u8 iodev_low_ports[256];

static inline enum iodev_port iodev_port(u16 port)
{
	if (port < ARRAY_SIZE(iodev_low_ports))
		return iodev_low_ports[port];
	return (port & ~1) == 0x4d0 ? IODEV_PIC : IODEV_NONE;
}

#endif
