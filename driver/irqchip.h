/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * irqchip.h - between the local APICs (x86_64/apic.c) and what stands before
 * them: PIC, IOAPIC, PIT, GSI routing, MSIs, the bus of in-kernel devices.
 *
 * Invariant: vm.arch.irqchip_mode changes once, from IRQCHIP_NONE, with
 * vm.lock held and no vCPU created; a vCPU made after that has a LAPIC.
 * Included by: the files of both sides; never by the core.
 * See: docs/flow.md, an interrupt's way into the guest.
 */
#ifndef DRIVER_IRQCHIP_H
#define DRIVER_IRQCHIP_H

#include "tenon.h"

static inline bool irqchip_in_kernel(const struct vm *vm)
{
	return READ_ONCE(vm->arch.irqchip_mode) != IRQCHIP_NONE;
}

/* ---- x86_64/apic.c offers ---- */

/* Delivery modes, as in ICR, LVT, MSI data and redirection table. */
enum lapic_mode {
	LAPIC_FIXED, LAPIC_LOWEST, LAPIC_SMI, LAPIC_REMOTE_READ, LAPIC_NMI, LAPIC_INIT, LAPIC_STARTUP,
	LAPIC_EXTINT,
};

enum lapic_shorthand { LAPIC_NO_SHORTHAND, LAPIC_SELF, LAPIC_ALL, LAPIC_OTHERS };

struct lapic_msg {
	u32 dest;
	u8 vector;
	u8 mode;		/* enum lapic_mode */
	u8 shorthand;		/* enum lapic_shorthand; from an ICR alone */
	bool logical;
	bool level;		/* trigger mode */
	bool assert;
	bool redir_hint;	/* MSI: as lowest priority */
};

/*
 * Send a message to the LAPICs that it names. `source`: the vCPU whose ICR it
 * was, or NULL. Any context, hard interrupts included; never sleeps.
 * More than 0: so many took it; 0: it was lost in one that waits already, or the
 * LAPIC is off; -1: no destination. As KVM's status of KVM_IRQ_LINE_STATUS.
 */
int lapic_deliver(struct vm *vm, struct vcpu *source, const struct lapic_msg *msg);
/* The same for an MSI's address and data, in KVM's form (address_hi with KVM_CAP_X2APIC_API). */
int lapic_deliver_msi(struct vm *vm, u32 address_lo, u32 address_hi, u32 data);
/* What lapic_deliver_msi() sends. */
struct lapic_msg lapic_msi_decode(const struct vm *vm, u32 address_lo, u32 address_hi, u32 data);
/* KVM_CAP_X2APIC_API is on, and address_hi has bits that must be 0: such a route is -EINVAL. */
bool lapic_msi_valid(const struct vm *vm, u32 address_hi);
/* Does this vCPU's LAPIC take a message to `dest`? For EOI bitmaps. */
bool lapic_matches(const struct vcpu *v, u32 dest, bool logical);
/* The PIC's output changed to 1 (or may have): the vCPUs that listen at LINT0 look. Any context. */
void lapic_extint(struct vm *vm);
/* Does a vCPU listen to the PIC (LINT0 ExtINT, or its LAPIC switched off by APIC_BASE)? */
bool lapic_accepts_extint(const struct vcpu *v);
/* The PIT ticked: the vCPUs whose LINT0 is in NMI mode get an NMI (Linux's nmi_watchdog). Any context. */
void lapic_pit_tick(struct vm *vm);
/* The redirection table, routes, or what decides on destinations changed: ask for EOI bitmaps anew. Any context. */
void irqchip_request_scan(struct vm *vm);
/*
 * The LAPIC's register page as a device: 0 when this access was in it, else
 * -EOPNOTSUPP. iodev_access() asks it first on IO_MMIO. v->lock held.
 */
int lapic_mmio(struct vcpu *v, u64 gpa, u32 len, void *data, bool write);

/* ---- the irqchip files offer ---- */

/* A level vector's EOI, from the vCPU's thread; only for vectors in its bitmap. Not with IRQCHIP_SPLIT. */
void ioapic_eoi(struct vm *vm, struct vcpu *v, u8 vector);
/* Set the bits of the vectors whose EOI `v` must report, split irqchip's routes included. bitmap: 256 bits, cleared. */
void ioapic_fill_eoi_bitmap(struct vcpu *v, unsigned long *bitmap);
/* The PIC's output line, and its acknowledge cycle (vector, or -1). Any context. */
bool pic_output(struct vm *vm);
int pic_ack(struct vm *vm);
/*
 * An access of the guest to an in-kernel device, ioeventfds and coalescing zones
 * included: 0 when one took it, -EOPNOTSUPP when the VMM has to. v->lock held,
 * may sleep.
 */
int iodev_access(struct vcpu *v, enum io_bus bus, u64 addr, u32 len, void *data, bool write);

#endif
