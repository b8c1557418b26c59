/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.h - the devices of the smallest machine that Linux boots on without
 * ACPI and PCI: two interrupt controllers, a timer, a serial port.
 *
 * Owns: their state, one of each. Called by: linux.c, one thread.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include <stdint.h>

/* A port access of 1 to 4 bytes; what nobody owns reads as ones, writes to it are dropped. */
uint32_t port_read(uint16_t port);
void port_write(uint16_t port, uint32_t value);

/* The time now, in ns: raises the timer's interrupt when a period is over. */
void timer_advance(uint64_t now);

/* An interrupt waits; its vector, which counts as acknowledged. */
int interrupt_pending(void);
uint32_t interrupt_take(void);

/* Called with each line that the serial port has sent. */
extern void (*serial_line)(const char *line);
/* Called when the serial port's interrupt line changes, beside the interrupt controllers here. */
extern void (*serial_interrupt)(unsigned int line, int level);
/* The guest has asked for a reset. */
extern int reset_wanted;

#endif
