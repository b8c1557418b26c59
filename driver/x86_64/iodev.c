// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * iodev.c - the bus: which in-kernel device, ioeventfd or coalescing zone takes
 * a guest's access.
 *
 * Owns: the map of ports. The devices lie at fixed places, so no list is
 * searched; whether a VM has them, they say themselves.
 * Called by: exits.c, emulate.c. Concurrency: v->lock; may sleep.
 */
#include "chips.h"
#include "models/ioapic.h"
#include "iodev.h"
#include "pit_timer.h"

const u8 iodev_low_ports[256] = {
	[0x20 ... 0x21] = IODEV_PIC,
	[0x40 ... 0x43] = IODEV_PIT,
	[0x61] = IODEV_PIT,
	[0xa0 ... 0xa1] = IODEV_PIC,
};

static int port_access(struct vm *vm, u64 port, u32 len, void *data, bool write)
{
	switch (iodev_port(port)) {
	case IODEV_PIC:
		return pic_access(vm, port, len, data, write);
	case IODEV_PIT:
		return pit_access(vm, port, len, data, write);
	default:
		return -EOPNOTSUPP;
	}
}

static int mmio_access(struct vcpu *v, u64 gpa, u32 len, void *data, bool write)
{
	int rc;

	/* Neither of the two pages. */
	if (likely((gpa ^ v->arch.lapic.base) >> PAGE_SHIFT && gpa - IOAPIC_DEFAULT_BASE >= IOAPIC_BYTES))
		return -EOPNOTSUPP;
	if (!irqchip_in_kernel(v->vm))
		return -EOPNOTSUPP;
	rc = lapic_mmio(v, gpa, len, data, write);
	return rc ? ioapic_access(v->vm, gpa, len, data, write) : 0;
}

int iodev_access(struct vcpu *v, enum io_bus bus, u64 addr, u32 len, void *data, bool write)
{
	int rc = bus == IO_PIO ? port_access(v->vm, addr, len, data, write) :
		mmio_access(v, addr, len, data, write);

	if (rc && write && io_write(v->vm, bus, addr, len, data))
		rc = 0;
	return rc;
}
