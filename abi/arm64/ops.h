/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arm64/ops.h - ring operations of arm64 (see ../ops.h for the columns).
 *
 * KVM_GET_ONE_REG and KVM_SET_ONE_REG carry struct abi_one_reg; the driver
 * follows KVM's pointer. KVM_GET_REG_LIST is always written whole: n, then the
 * ids; the driver cuts it to the VMM's room.
 */
#ifndef ABI_ARM64_OPS_H
#define ABI_ARM64_OPS_H

#include "kvm.h"

#define ABI_MAX_REGS 512u

#define ABI_OPS_ARCH(X) \
	X(VCPU, 0x4020aeae, KVM_ARM_VCPU_INIT,	sizeof(struct abi_vcpu_init), 0) \
	X(VCPU, 0x4010aeab, KVM_GET_ONE_REG,	8, sizeof(struct abi_one_reg)) \
	X(VCPU, 0x4010aeac, KVM_SET_ONE_REG,	sizeof(struct abi_one_reg), 0) \
	X(VCPU, 0xc008aeb0, KVM_GET_REG_LIST,	0, sizeof(struct abi_reg_list) + 8 * ABI_MAX_REGS) \
	X(VCPU, 0x8040ae9f, KVM_GET_VCPU_EVENTS, 0, sizeof(struct abi_vcpu_events)) \
	X(VCPU, 0x4040aea0, KVM_SET_VCPU_EVENTS, sizeof(struct abi_vcpu_events), 0)

#endif
