/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * ioapic.h - the I/O APIC: 24 pins, each with a redirection entry.
 *
 * Owns: struct ioapic, whose registers have KVM_GET_IRQCHIP's own form. Local
 * APICs are reached by callbacks, so that the file needs neither KVM nor Linux.
 * Called by: x86_64/irqchip.c under the chips' lock; the host unit tests.
 * See: Intel 82093AA data sheet.
 */
#ifndef DRIVER_MODELS_IOAPIC_H
#define DRIVER_MODELS_IOAPIC_H

#include "model.h"

#define IOAPIC_PINS 24u
#define IOAPIC_BYTES 0x100u
#define IOAPIC_DEFAULT_BASE 0xfec00000ull
#define IOAPIC_RTC_PIN 8u

/* A redirection entry's fields. */
#define RTE_VECTOR(e) ((u8)(e))
#define RTE_MODE(e) ((u32)((e) >> 8) & 7)
#define RTE_LOGICAL (1ull << 11)
#define RTE_BUSY (1ull << 12)		/* delivery status: read only */
#define RTE_REMOTE_IRR (1ull << 14)	/* the same */
#define RTE_LEVEL (1ull << 15)
#define RTE_MASKED (1ull << 16)
#define RTE_DEST(e) ((u8)((e) >> 56))

struct ioapic;

struct ioapic_ops {
	/*
	 * Send an entry's message. Number of local APICs that took it, 0: the
	 * vector was pending everywhere, -1: nobody is there. `took`: a bit for
	 * each vCPU that did, or NULL.
	 */
	int (*deliver)(void *ctx, u64 entry, u64 *took);
};

struct ioapic {
	struct kvm_ioapic_state s;
	u32 delivered;			/* edges in s.irr that went out already */
	u32 unmasked;			/* pins whose mask went away: the caller looks and clears */
	u64 lines[IOAPIC_PINS];		/* who holds each line up, a bit per source */
	u32 eois[IOAPIC_PINS];		/* EOIs in a row with the line still up */
	u64 rtc_owes;			/* vCPUs that have not sent the RTC's EOI, while it is watched */
	u8 rtc_vector;
	const struct ioapic_ops *ops;
	void *ctx;
};

/* All masked, at the default address. Keeps ops and ctx. */
void ioapic_reset(struct ioapic *io);

/*
 * A source moves its line; `watched` when the VMM asked for the answer
 * (KVM_IRQ_LINE_STATUS). Answer: deliver()'s, 0 when the interrupt merged with
 * one before it, -1 when it is masked or waits for its EOI, 1 for a line down.
 */
int ioapic_set(struct ioapic *io, unsigned int pin, unsigned int source, bool level, bool watched);

/* Does the guest address an existing register block at `gpa`? */
bool ioapic_covers(const struct ioapic *io, u64 gpa);
/* An access at an offset within IOAPIC_BYTES. True from a write when an entry has changed. */
u32 ioapic_read(struct ioapic *io, u32 offset);
bool ioapic_write(struct ioapic *io, u32 offset, u32 value);

/*
 * A local APIC's EOI. First the vCPU and the vector, which gives the pins that
 * carry it: the caller notifies each; then, for a level interrupt of a local
 * APIC that broadcasts, each pin. True: an interrupt storm, call ioapic_retry()
 * a little later instead of at once.
 */
u32 ioapic_eoi_pins(struct ioapic *io, unsigned int vcpu, u8 vector);
bool ioapic_end(struct ioapic *io, unsigned int pin);
/* Send every level that is up and waits for no EOI. */
void ioapic_retry(struct ioapic *io);

/* KVM_GET_IRQCHIP, KVM_SET_IRQCHIP. Any bits may come; what was pending is sent anew. */
void ioapic_get(const struct ioapic *io, struct kvm_ioapic_state *s);
void ioapic_put(struct ioapic *io, const struct kvm_ioapic_state *s);

#endif
