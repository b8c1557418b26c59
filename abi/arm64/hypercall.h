/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arm64/hypercall.h - how arm64 finds and calls the hypervisor (numbers: ../hypercall.h).
 *
 * The SMCCC function ABI_SMCCC_UID (vendor hypervisor UID), by the
 * machine's own conduit, answers ABI_UID_* in W0 to W3.
 * HVC #ABI_HVC with X0 = number, X1 = first argument; X0 = result. All other
 * registers are kept.
 */
#ifndef ABI_ARM64_HYPERCALL_H
#define ABI_ARM64_HYPERCALL_H

#define ABI_SMCCC_UID 0x8600ff01u
#define ABI_UID_0 0x6f6e6554u	/* "TenonMicroHV v3 " */
#define ABI_UID_1 0x7263694du
#define ABI_UID_2 0x5648436fu
#define ABI_UID_3 0x20337620u
#define ABI_HVC 0x544e

#endif
