/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * compat.h - what differs between the kernels that the driver builds against.
 *
 * Owns: nothing. One inline function per difference, named after the newest
 * kernel's form, so that the rest of the driver holds no version test.
 * Called by: any file of the driver.
 */
#ifndef DRIVER_COMPAT_H
#define DRIVER_COMPAT_H

#include <linux/eventfd.h>
#include <linux/version.h>

/* eventfd_signal() lost its count in 6.8. */
static inline void compat_eventfd_signal(struct eventfd_ctx *ctx)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	eventfd_signal(ctx);
#else
	eventfd_signal(ctx, 1);
#endif
}

#endif
