/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arm64/kvm.h - KVM's structs for arm64, in KVM's layout, as ring payloads.
 * The driver asserts that each has the size and offsets of <linux/kvm.h>'s.
 */
#ifndef ABI_ARM64_KVM_H
#define ABI_ARM64_KVM_H

#include "../types.h"

struct abi_vcpu_init {
	u32 target;
	u32 features[7];
};

#define ABI_TARGET_GENERIC_V8 5u
#define ABI_FEATURE_POWER_OFF (1u << 0)
#define ABI_FEATURE_PSCI_0_2 (1u << 2)

struct abi_vcpu_events {
	struct {
		u8 serror_pending;
		u8 serror_has_esr;
		u8 ext_dabt_pending;
		u8 pad[5];
		u64 serror_esr;
	} exception;
	u32 reserved[12];
};

/* KVM_GET_REG_LIST: n, then the ids. */
struct abi_reg_list {
	u64 n;
	u64 reg[];
};

/* KVM_GET_ONE_REG and KVM_SET_ONE_REG: the value in place of KVM's pointer to it. */
struct abi_one_reg {
	u64 id;
	u64 value[2];
};

/* The parts of a register's id (Documentation/virt/kvm/api.rst, 4.68). */
#define ABI_REG_ARM64 0x6000000000000000ull
#define ABI_REG_ARCH_MASK 0xff00000000000000ull
#define ABI_REG_SIZE_MASK 0x00f0000000000000ull
#define ABI_REG_SIZE_SHIFT 52
#define ABI_REG_U32 0x0020000000000000ull
#define ABI_REG_U64 0x0030000000000000ull
#define ABI_REG_U128 0x0040000000000000ull
#define ABI_REG_CLASS_MASK 0x000000000fff0000ull
#define ABI_REG_CORE 0x0000000000100000ull
#define ABI_REG_SYSREG 0x0000000000130000ull

#define ABI_STRUCTS(X) X(abi_vcpu_init, kvm_vcpu_init) X(abi_vcpu_events, kvm_vcpu_events) X(abi_reg_list, kvm_reg_list)

#define ABI_FIELDS(X) \
	X(abi_vcpu_init, kvm_vcpu_init, features, features) \
	X(abi_vcpu_events, kvm_vcpu_events, exception, exception) \
	X(abi_vcpu_events, kvm_vcpu_events, exception.serror_esr, exception.serror_esr) \
	X(abi_vcpu_events, kvm_vcpu_events, reserved, reserved) X(abi_reg_list, kvm_reg_list, n, n)

#endif
