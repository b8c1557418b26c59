/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/ops.h - ring operations of x86-64 (see ../ops.h for the columns).
 *
 * KVM_GET_MSRS: payload struct abi_msrs with its entries, written back with
 * the values; result = entries done, as KVM: it ends at the first register that
 * the hypervisor does not keep. KVM_SET_MSRS the same without the write-back.
 * KVM_GET_MSR_INDEX_LIST: the registers that the hypervisor keeps.
 * KVM_SET_CPUID2: struct abi_cpuid2 with its entries, stored as they are.
 * The state that a SET gives is checked for what could hurt the hypervisor;
 * KVM's own checks are the driver's. State that the processor does not take
 * ends the next KVM_RUN with EXIT_FAIL_ENTRY.
 */
#ifndef ABI_X86_64_OPS_H
#define ABI_X86_64_OPS_H

#include "kvm.h"

#define ABI_MAX_CPUID_ENTRIES 256u
#define ABI_MAX_MSR_ENTRIES 256u
#define ABI_CPUID_BYTES (sizeof(struct abi_cpuid2) + ABI_MAX_CPUID_ENTRIES * sizeof(struct abi_cpuid_entry2))
#define ABI_MSRS_BYTES (sizeof(struct abi_msrs) + ABI_MAX_MSR_ENTRIES * sizeof(struct abi_msr_entry))

#define ABI_OPS_ARCH(X) \
	X(SYSTEM, 0xc004ae02, KVM_GET_MSR_INDEX_LIST,	0, sizeof(struct abi_msr_list) + 4 * 256) \
	X(VCPU, 0x8090ae81, KVM_GET_REGS,		0, sizeof(struct abi_regs)) \
	X(VCPU, 0x4090ae82, KVM_SET_REGS,		sizeof(struct abi_regs), 0) \
	X(VCPU, 0x8138ae83, KVM_GET_SREGS,		0, sizeof(struct abi_sregs)) \
	X(VCPU, 0x4138ae84, KVM_SET_SREGS,		sizeof(struct abi_sregs), 0) \
	X(VCPU, 0x4004ae86, KVM_INTERRUPT,		sizeof(struct abi_interrupt), 0) \
	X(VCPU, 0xc008ae88, KVM_GET_MSRS,		sizeof(struct abi_msrs), ABI_MSRS_BYTES) \
	X(VCPU, 0x4008ae89, KVM_SET_MSRS,		sizeof(struct abi_msrs), 0) \
	X(VCPU, 0x4008ae90, KVM_SET_CPUID2,		sizeof(struct abi_cpuid2), 0) \
	X(VCPU, 0xae9a, KVM_NMI,			0, 0) \
	X(VCPU, 0x4048ae9b, KVM_SET_GUEST_DEBUG,	sizeof(struct abi_guest_debug), 0) \
	X(VCPU, 0x8040ae9f, KVM_GET_VCPU_EVENTS,	0, sizeof(struct abi_vcpu_events)) \
	X(VCPU, 0x4040aea0, KVM_SET_VCPU_EVENTS,	sizeof(struct abi_vcpu_events), 0) \
	X(VCPU, 0x8080aea1, KVM_GET_DEBUGREGS,		0, sizeof(struct abi_debugregs)) \
	X(VCPU, 0x4080aea2, KVM_SET_DEBUGREGS,		sizeof(struct abi_debugregs), 0) \
	X(VCPU, 0x9000aea4, KVM_GET_XSAVE,		0, sizeof(struct abi_xsave)) \
	X(VCPU, 0x5000aea5, KVM_SET_XSAVE,		sizeof(struct abi_xsave), 0) \
	X(VCPU, 0x8188aea6, KVM_GET_XCRS,		0, sizeof(struct abi_xcrs)) \
	X(VCPU, 0x4188aea7, KVM_SET_XCRS,		sizeof(struct abi_xcrs), 0)

#endif
