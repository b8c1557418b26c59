/* SPDX-License-Identifier: BSD-2-Clause */
/* percpu.h - stands in for the architecture's: the limit that boot code needs. */
#ifndef BOOT_FAKE_PERCPU_H
#define BOOT_FAKE_PERCPU_H

#define MAX_CPUS 64u

#endif
