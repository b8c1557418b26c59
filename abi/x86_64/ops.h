/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/ops.h - ring operations of x86-64 (see ../ops.h for the columns).
 *
 * OP_STATE_SET: fields that the hypervisor would load itself are checked (-EINVAL,
 * nothing changed); KVM's own checks are the driver's.
 * A state that the processor does not take ends the next KVM_RUN with EXIT_FAIL_ENTRY.
 */
#ifndef ABI_X86_64_OPS_H
#define ABI_X86_64_OPS_H

#include "state.h"

#define OP_STATE_GET 0x5409u	/* VCPU. payload out: struct state_fields */
#define OP_STATE_SET 0x540au	/* VCPU. payload: struct state_fields */

#define ABI_OPS_ARCH(X) \
	X(VCPU, 0x5409, OP_STATE_GET,			0, sizeof(struct state_fields)) \
	X(VCPU, 0x540a, OP_STATE_SET,			sizeof(struct state_fields), 0) \
	X(VCPU, 0x8090ae81, KVM_GET_REGS,		0, sizeof(struct abi_regs)) \
	X(VCPU, 0x4090ae82, KVM_SET_REGS,		sizeof(struct abi_regs), 0) \
	X(VCPU, 0x9000aea4, KVM_GET_XSAVE,		0, sizeof(struct abi_xsave)) \
	X(VCPU, 0x5000aea5, KVM_SET_XSAVE,		sizeof(struct abi_xsave), 0)

#endif
