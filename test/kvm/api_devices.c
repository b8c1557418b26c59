// SPDX-License-Identifier: BSD-2-Clause
/*
 * api_devices.c - what hangs on a VM beside memory and vCPUs: event
 * descriptors, coalesced zones, capabilities to enable, interrupt chips that
 * are not there.
 */
#include <errno.h>
#include <string.h>

#include "calls.h"

#define IOEVENT(want, what, ...) CALL(ON_VM, KVM_IOEVENTFD, want, what, struct kvm_ioeventfd, __VA_ARGS__)
#define PIO KVM_IOEVENTFD_FLAG_PIO
#define MATCH KVM_IOEVENTFD_FLAG_DATAMATCH
#define DEASSIGN KVM_IOEVENTFD_FLAG_DEASSIGN

TEST(ioeventfd_refusals)
{
	const struct call rows[] = {
		IOEVENT(0, "plain", .fd = EVENT_FD, .addr = 0x1000, .len = 4),
		IOEVENT(-EEXIST, "the same again", .fd = EVENT_FD, .addr = 0x1000, .len = 4),
		IOEVENT(-EEXIST, "with a value, beside one for all values", .fd = EVENT_FD, .addr = 0x1000, .len = 4, .flags = MATCH, .datamatch = 5),
		IOEVENT(0, "another length", .fd = EVENT_FD, .addr = 0x1000, .len = 2),
		IOEVENT(0, "a port", .fd = EVENT_FD, .addr = 0x1000, .len = 4, .flags = PIO),
		IOEVENT(0, "a value", .fd = EVENT_FD, .addr = 0x2000, .len = 2, .flags = PIO | MATCH, .datamatch = 1),
		IOEVENT(0, "another value", .fd = EVENT_FD, .addr = 0x2000, .len = 2, .flags = PIO | MATCH, .datamatch = 2),
		IOEVENT(-EEXIST, "a value twice", .fd = EVENT_FD, .addr = 0x2000, .len = 2, .flags = PIO | MATCH, .datamatch = 1),
		IOEVENT(-EINVAL, "3 bytes", .fd = EVENT_FD, .addr = 0x3000, .len = 3),
		IOEVENT(-EINVAL, "16 bytes", .fd = EVENT_FD, .addr = 0x3000, .len = 16),
		IOEVENT(-EINVAL, "wraps", .fd = EVENT_FD, .addr = 0xfffffffffffffffcull, .len = 8),
		IOEVENT(-EINVAL, "unknown flag", .fd = EVENT_FD, .addr = 0x3000, .len = 4, .flags = 0x100),
		IOEVENT(-EINVAL, "length 0 with a value", .fd = EVENT_FD, .addr = 0x3000, .len = 0, .flags = MATCH),
		IOEVENT(-EBADF, "a closed descriptor", .fd = CLOSED_FD, .addr = 0x3000, .len = 4),
		IOEVENT(-EINVAL, "no eventfd", .fd = OTHER_FD, .addr = 0x3000, .len = 4),
		IOEVENT(-ENOENT, "deassign what is not there", .fd = EVENT_FD, .addr = 0x4000, .len = 4, .flags = DEASSIGN),
		IOEVENT(-ENOENT, "deassign with another length", .fd = EVENT_FD, .addr = 0x1000, .len = 8, .flags = DEASSIGN),
		IOEVENT(0, "deassign", .fd = EVENT_FD, .addr = 0x1000, .len = 4, .flags = DEASSIGN),
		IOEVENT(-ENOENT, "deassign twice", .fd = EVENT_FD, .addr = 0x1000, .len = 4, .flags = DEASSIGN),
	};
	struct scene scene = scene_create();

	NEED(scene.vm->fd, KVM_CAP_IOEVENTFD);
	area_create();
	PLAY(&scene, rows);
}

#define ZONE(number, want, what, ...) CALL(ON_VM, number, want, what, struct kvm_coalesced_mmio_zone, __VA_ARGS__)

TEST(coalesced_refusals)
{
	const struct call rows[] = {
		ZONE(KVM_REGISTER_COALESCED_MMIO, 0, "memory", .addr = 0x10000000, .size = 16),
		ZONE(KVM_REGISTER_COALESCED_MMIO, 0, "ports", .addr = 0x70, .size = 2, .pio = 1),
		ZONE(KVM_REGISTER_COALESCED_MMIO, -EINVAL, "pio 2", .addr = 0x70, .size = 2, .pio = 2),
		ZONE(KVM_UNREGISTER_COALESCED_MMIO, -EINVAL, "unregister pio 2", .addr = 0x70, .size = 2, .pio = 2),
		ZONE(KVM_UNREGISTER_COALESCED_MMIO, 0, "unregister memory", .addr = 0x10000000, .size = 16),
		ZONE(KVM_UNREGISTER_COALESCED_MMIO, 0, "unregister what is not there", .addr = 0x20000000, .size = 16),
	};
	struct scene scene = scene_create();

	NEED(scene.vm->fd, KVM_CAP_COALESCED_MMIO);
	NEED(scene.vm->fd, KVM_CAP_COALESCED_PIO);
	PLAY(&scene, rows);
}

#define ENABLE(on, want, what, ...) CALL(on, KVM_ENABLE_CAP, want, what, struct kvm_enable_cap, __VA_ARGS__)

TEST(enable_cap_refusals)
{
	const struct call rows[] = {
		ENABLE(ON_VM, -EINVAL, "unknown", .cap = 9999),
		ENABLE(ON_VM, -EINVAL, "KVM_CAP_USER_MEMORY cannot be enabled", .cap = KVM_CAP_USER_MEMORY),
		ENABLE(ON_VM, -EINVAL, "flags", .cap = KVM_CAP_EXCEPTION_PAYLOAD, .flags = 1),
		ENABLE(ON_VCPU, -EINVAL, "vCPU: unknown", .cap = 9999),
		ENABLE(ON_VCPU, -EINVAL, "vCPU: flags", .cap = KVM_CAP_HYPERV_SYNIC, .flags = 1),
	};
	struct scene scene = scene_create();

	NEED(scene.vm->fd, KVM_CAP_ENABLE_CAP_VM);
	PLAY(&scene, rows);
}

TEST(manual_dirty_log_refusals)
{
	const struct call rows[] = {
		ENABLE(ON_VM, -EINVAL, "flags", .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .flags = 1, .args = { 1 }),
		ENABLE(ON_VM, -EINVAL, "initially set without enable", .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { 2 }),
		ENABLE(ON_VM, -EINVAL, "unknown bit", .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { 4 }),
		ENABLE(ON_VM, 0, "enable", .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { 1 }),
	};
	struct scene scene = scene_create();

	NEED(scene.vm->fd, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
	PLAY(&scene, rows);
}

/* A VM that was made without an interrupt chip. */
TEST(no_irqchip)
{
	const struct call rows[] = {
		CALL(ON_VM, KVM_IRQ_LINE, -ENXIO, "KVM_IRQ_LINE", struct kvm_irq_level, .irq = 4, .level = 1),
		CALL(ON_VM, KVM_GET_IRQCHIP, -ENXIO, "KVM_GET_IRQCHIP", struct kvm_irqchip, .chip_id = 0),
		CALL(ON_VM, KVM_SET_IRQCHIP, -ENXIO, "KVM_SET_IRQCHIP", struct kvm_irqchip, .chip_id = 0),
		CALL(ON_VM, KVM_GET_PIT2, -ENXIO, "KVM_GET_PIT2", struct kvm_pit_state2, .flags = 0),
		CALL(ON_VM, KVM_SET_GSI_ROUTING, -EINVAL, "KVM_SET_GSI_ROUTING", struct kvm_irq_routing, .nr = 0),
		CALL(ON_VM, KVM_SIGNAL_MSI, -EINVAL, "KVM_SIGNAL_MSI", struct kvm_msi, .address_lo = 0xfee00000),
		CALL(ON_VCPU, KVM_GET_LAPIC, -EINVAL, "KVM_GET_LAPIC", struct kvm_lapic_state, .regs = { 0 }),
		NUMBER(ON_VM, KVM_CREATE_IRQCHIP, -EINVAL, "KVM_CREATE_IRQCHIP after a vCPU", 0),
	};
	struct scene scene = scene_create();

	NEED(scene.vm->fd, KVM_CAP_IRQCHIP);
	PLAY(&scene, rows);
}

TEST(create_device_refusals)
{
	const struct call rows[] = {
		CALL(ON_VM, KVM_CREATE_DEVICE, -ENODEV, "unknown type", struct kvm_create_device, .type = 999),
		CALL(ON_VM, KVM_CREATE_DEVICE, -ENODEV, "arm64's", struct kvm_create_device, .type = KVM_DEV_TYPE_ARM_VGIC_V3),
	};
	struct scene scene = scene_create();

	NEED(scene.vm->fd, KVM_CAP_DEVICE_CTRL);
	PLAY(&scene, rows);
}
