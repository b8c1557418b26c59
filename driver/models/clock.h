/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * clock.h - the arithmetic of KVM's paravirtual clock: nanoseconds from a
 * difference of the TSC, as the guest computes them.
 *
 * Owns: nothing. Called by: x86_64/pvclock.c; the host unit tests.
 * See: Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW.
 */
#ifndef DRIVER_MODELS_CLOCK_H
#define DRIVER_MODELS_CLOCK_H

#include "model.h"

/* ns = (ticks shifted left by `shift`, right if below 0) * mul / 2^32 */
struct clock_scale {
	u32 mul;
	s8 shift;
};

/* For a TSC of `khz`, not 0. mul keeps its highest bit: 31 bits of precision at least. */
struct clock_scale clock_scale(u32 khz);
u64 clock_ns(struct clock_scale s, u64 ticks);

#endif
