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
#include <linux/hrtimer.h>
#include <linux/kvm.h>
#include <linux/version.h>

/* smp_send_reschedule() traces since 6.4, and wants this from those who call it. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#include <trace/events/ipi.h>
#endif

/* eventfd_signal() lost its count in 6.8. */
static inline void compat_eventfd_signal(struct eventfd_ctx *ctx)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	eventfd_signal(ctx);
#else
	eventfd_signal(ctx, 1);
#endif
}

/* One call for both steps since 6.13. */
static inline void compat_hrtimer_setup(struct hrtimer *timer, enum hrtimer_restart (*function)(struct hrtimer *),
					clockid_t clock, enum hrtimer_mode mode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	hrtimer_setup(timer, function, clock, mode);
#else
	hrtimer_init(timer, clock, mode);
	timer->function = function;
#endif
}

/* Kernels since 6.10 give the field another name, to say that the VMM can change it. */
static inline bool compat_immediate_exit(const struct kvm_run *run)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
	return READ_ONCE(run->immediate_exit__unsafe);
#else
	return READ_ONCE(run->immediate_exit);
#endif
}

/* Dead numbers that KVM answered by name until they left the header. */
#ifndef KVM_TRACE_ENABLE
#define KVM_TRACE_ENABLE 0x4008ae06
#define KVM_TRACE_PAUSE 0xae07
#define KVM_TRACE_DISABLE 0xae08
#endif

#endif
