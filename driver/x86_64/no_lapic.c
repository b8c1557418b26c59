// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * no_lapic.c - a driver without local APICs: no VM can have an in-kernel
 * irqchip, so nobody calls these. They go when models/lapic.c is there.
 */
#include "irqchip.h"

int __weak lapic_deliver(struct vm *vm, struct vcpu *source, const struct lapic_msg *msg)
{
	return -1;
}

int __weak lapic_deliver_msi(struct vm *vm, u32 address_lo, u32 address_hi, u32 data)
{
	return -1;
}

struct lapic_msg __weak lapic_msi_decode(const struct vm *vm, u32 address_lo, u32 address_hi, u32 data)
{
	return (struct lapic_msg){ 0 };
}

bool __weak lapic_msi_valid(const struct vm *vm, u32 address_hi)
{
	return true;
}

bool __weak lapic_matches(const struct vcpu *v, u32 dest, bool logical)
{
	return false;
}

void __weak lapic_extint(struct vm *vm) { }

bool __weak lapic_accepts_extint(const struct vcpu *v)
{
	return false;
}

void __weak lapic_pit_tick(struct vm *vm) { }

void __weak irqchip_request_scan(struct vm *vm) { }

int __weak lapic_mmio(struct vcpu *v, u64 gpa, u32 len, void *data, bool write)
{
	return -EOPNOTSUPP;
}
