/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * lapic.h - the local APIC's registers: what a read gives, what a write does.
 * No clock, no locks, no other vCPU: a write answers with what the caller has to
 * do (LAPIC_FX_*), so that it can be tested as an ordinary program.
 *
 * Owns: struct lapic. Called by: x86_64/lapic.c; by the host unit tests.
 * Concurrency: the vCPU's thread; lapic_post(), lapic_lvt() and
 * lapic_accepts() any context.
 * See: SDM volume 3, chapter 11 (APIC); KVM's choices where the manual leaves some.
 */
#ifndef DRIVER_MODELS_LAPIC_H
#define DRIVER_MODELS_LAPIC_H

#include "../../abi/x86_64/lapic.h"

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#endif

/* The other registers' offsets (SDM volume 3, table 11-1). */
#define LAPIC_ID 0x20u
#define LAPIC_VERSION 0x30u
#define LAPIC_TPR 0x80u
#define LAPIC_APR 0x90u
#define LAPIC_LDR 0xd0u
#define LAPIC_DFR 0xe0u
#define LAPIC_ESR 0x280u
#define LAPIC_LVT_CMCI 0x2f0u
#define LAPIC_ICR 0x300u
#define LAPIC_ICR2 0x310u
#define LAPIC_LVT_TIMER 0x320u
#define LAPIC_LVT_THERMAL 0x330u
#define LAPIC_LVT_PMC 0x340u
#define LAPIC_LVT_LINT0 0x350u
#define LAPIC_LVT_LINT1 0x360u
#define LAPIC_LVT_ERROR 0x370u
#define LAPIC_TIMER_INIT 0x380u
#define LAPIC_TIMER_NOW 0x390u
#define LAPIC_TIMER_DIVIDE 0x3e0u

/* IA32_APIC_BASE */
#define LAPIC_BASE_BSP 0x100ull
#define LAPIC_BASE_X2 0x400ull
#define LAPIC_BASE_ON 0x800ull
#define LAPIC_BASE_ADDRESS 0xffffff000ull
#define LAPIC_BASE_DEFAULT 0xfee00000ull

#define LAPIC_LVT_MASKED 0x10000u
#define LAPIC_TIMER_PERIODIC 0x20000u
#define LAPIC_TIMER_DEADLINE 0x40000u
#define LAPIC_TIMER_MODES (LAPIC_TIMER_PERIODIC | LAPIC_TIMER_DEADLINE)
#define LAPIC_BUS_NS 1u			/* one tick of the timer before the divider, as KVM's */
#define LAPIC_PERIOD_MIN 200000u	/* ns; KVM's own floor for periodic timers */
#define LAPIC_BROADCAST 0xffu
#define LAPIC_BROADCAST_X2 0xffffffffu

struct lapic {
	struct lapic_page *page;
	u64 base;		/* IA32_APIC_BASE */
	u32 id;			/* x2APIC ID, and the xAPIC's at reset */
	bool bsp;
	bool x2_known;		/* CPUID offers x2APIC */
	bool deadline_known;	/* CPUID offers the TSC-deadline timer */
	bool split;		/* IOAPIC in the VMM: the version register offers EOI-broadcast suppression */
	bool ids32;		/* KVM_CAP_X2APIC_API: 32-bit IDs in KVM_GET_LAPIC and KVM_SET_LAPIC */
	u8 eoi_vector;		/* with LAPIC_FX_EOI */
	/* The timer. Times are the caller's monotonic clock, in ns. */
	u32 timer_mode;		/* bits of LVT_TIMER that are in force */
	u32 divide;
	bool armed;		/* expires means something */
	u64 period;
	u64 expires;
	u64 deadline;		/* IA32_TSC_DEADLINE */
};

/* What the caller of a write has to do. */
enum lapic_fx {
	LAPIC_FX_BAD = 1,	/* #GP by MSR, nothing by MMIO; nothing else was done */
	LAPIC_FX_SEND = 2,	/* send what ICR says */
	LAPIC_FX_SELF = 4,	/* a vector was posted to itself */
	LAPIC_FX_EOI = 8,	/* eoi_vector is to be reported */
	LAPIC_FX_TPR = 16,	/* TPR is new */
	LAPIC_FX_LOOK = 32,	/* the guest may be able to take an interrupt now */
	LAPIC_FX_SCAN = 64,	/* destinations changed: EOI bitmaps anew */
	LAPIC_FX_EXTINT = 128,	/* LINT0 changed */
	LAPIC_FX_BASE = 256,	/* enabled or disabled in IA32_APIC_BASE */
};

static inline bool lapic_on(const struct lapic *l)
{
	return l->base & LAPIC_BASE_ON;
}

static inline bool lapic_x2(const struct lapic *l)
{
	return (l->base & (LAPIC_BASE_ON | LAPIC_BASE_X2)) == (LAPIC_BASE_ON | LAPIC_BASE_X2);
}

/* Software-enabled (SVR) as well. */
static inline bool lapic_enabled(const struct lapic *l)
{
	return lapic_on(l) && LAPIC_REG(l->page, LAPIC_SVR) & LAPIC_SVR_ON;
}

/* Reset (init false: power-up, base included) or INIT. The caller has stopped the timer. */
void lapic_reset(struct lapic *l, bool init);
/* A new IA32_APIC_BASE. host: set by the VMM, which may make any transition. LAPIC_FX_*. */
unsigned int lapic_set_base(struct lapic *l, u64 base, u64 reserved, bool host);
/* CPUID or the VM's mode changed. */
void lapic_set_features(struct lapic *l, bool x2, bool deadline);

/* A register at `offset` (a multiple of 16): false when there is none. now: ns. */
bool lapic_read(struct lapic *l, u32 offset, u64 now, u32 *value);
/* LAPIC_FX_*. For registers of the timer the caller has stopped it, and starts it if l->armed. */
unsigned int lapic_write(struct lapic *l, u32 offset, u32 value, u64 now);
/* x2APIC's 64-bit ICR. */
u64 lapic_icr(const struct lapic *l);
unsigned int lapic_set_icr(struct lapic *l, u64 value);

/* Does the timer lie with this register? */
bool lapic_offset_timer(u32 offset);
/* IA32_TSC_DEADLINE; delay: ns until then, 0 when it is past. Arms. */
void lapic_set_deadline(struct lapic *l, u64 tsc, u64 delay, u64 now);
/* It expired: true when a periodic one is to be started again, at l->expires. Any context. */
bool lapic_timer_fired(struct lapic *l, u64 now);

/* Is a message for this LAPIC? ipi: from an ICR; quirk: KVM's broadcast rule for other sources is on. */
bool lapic_accepts(const struct lapic *l, u32 dest, bool logical, bool ipi, bool quirk);
/* A fixed interrupt: false when the LAPIC is off. Any context. */
bool lapic_post(struct lapic *l, u8 vector, bool level);
/* Vectors that were posted into IRR. */
void lapic_take_posted(struct lapic *l);
/* The vector that the guest would get if it could take one, or -1. */
int lapic_pending(const struct lapic *l);
/* Highest vectors in IRR and ISR, 0 for none. */
void lapic_highest(struct lapic *l, u32 *irr, u32 *isr);
/* TPR from the processor's CR8. */
void lapic_set_cr8(struct lapic *l, u64 cr8);

/* KVM_GET_LAPIC, KVM_SET_LAPIC: 1 KiB. set: 0 or -1 (not this vCPU's ID); starts the timer as lapic_write(). */
void lapic_get_state(struct lapic *l, u32 *regs, u64 now);
int lapic_set_state(struct lapic *l, const u32 *regs, u64 now);

#endif
