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

#define OP_IRQ_LINE 0x5410u	/* vCPU. arg = line (0 IRQ, 1 FIQ) | level << 1: the interrupt inputs of a vCPU without a GIC */

#define ABI_OPS_ARCH(X)

#endif
