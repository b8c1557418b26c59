/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * boot_test.h - what the host tests of boot/ share: a physical memory that is
 * a buffer (boot_phys.c), a log that counts lines, and random numbers that
 * like edges.
 */
#ifndef BOOT_TEST_H
#define BOOT_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot/boot.h"
#include "check.h"
#include "log.h"
#include "phys.h"

#define PHYS_BYTES 0x200000000ull	/* 8 GiB of address space, touched sparsely */

extern u8 *phys;
extern void (*phys_hook)(void);	/* called at each phys_to_virt, where set */
extern unsigned int log_lines;

/* 0 or more must come with no line in the log, an error with exactly one. */
#define TOLD(call) __extension__ ({ \
	unsigned int told_before = log_lines; \
	int told_result = (call); \
	CHECK(log_lines - told_before == (told_result < 0)); \
	told_result; \
})

void phys_start(void);
u64 random_odd(void);

static inline u64 random_below(u64 n)
{
	return (test_random() >> 11) % n;
}

#endif
