/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/kvm.h - KVM's structs of x86-64 in KVM's layout, under names of our
 * own so that the driver and the unit test can include <linux/kvm.h> beside
 * them and assert that sizes and offsets are equal (check.h). The hypervisor
 * knows those of state.h alone; the driver makes the others from its fields.
 */
#ifndef ABI_X86_64_KVM_H
#define ABI_X86_64_KVM_H

#include "state.h"

struct abi_segment {
	u64 base;
	u32 limit;
	u16 selector;
	u8 type;
	u8 present, dpl, db, s, l, g, avl;
	u8 unusable;
	u8 padding;
};

struct abi_dtable {
	u64 base;
	u16 limit;
	u16 padding[3];
};

struct abi_sregs {
	struct abi_segment cs, ds, es, fs, gs, ss;
	struct abi_segment tr, ldt;
	struct abi_dtable gdt, idt;
	u64 cr0, cr2, cr3, cr4, cr8;
	u64 efer;
	u64 apic_base;
	u64 interrupt_bitmap[4];	/* one bit per vector; the lowest set one is injected */
};

struct abi_interrupt {
	u32 irq;
};

struct abi_msr_entry {
	u32 index;
	u32 reserved;
	u64 data;
};

struct abi_msrs {
	u32 nmsrs;
	u32 pad;
	struct abi_msr_entry entries[];
};

struct abi_msr_list {
	u32 nmsrs;
	u32 indices[];
};

struct abi_fpu {
	u8 fpr[8][16];
	u16 fcw;
	u16 fsw;
	u8 ftwx;	/* abridged tag word, as in FXSAVE */
	u8 pad1;
	u16 last_opcode;
	u64 last_ip;
	u64 last_dp;
	u8 xmm[16][16];
	u32 mxcsr;
	u32 pad2;
};

struct abi_cpuid_entry2 {
	u32 function;
	u32 index;
	u32 flags;	/* bit 0: index is significant */
	u32 eax, ebx, ecx, edx;
	u32 padding[3];
};
#define ABI_CPUID_SIGNIFICANT_INDEX 1u

struct abi_cpuid2 {
	u32 nent;
	u32 padding;
	struct abi_cpuid_entry2 entries[];
};

#define ABI_MAX_CPUID_ENTRIES 256u
#define ABI_CPUID_BYTES (sizeof(struct abi_cpuid2) + ABI_MAX_CPUID_ENTRIES * sizeof(struct abi_cpuid_entry2))

struct abi_vcpu_events {
	struct {
		u8 injected;
		u8 nr;
		u8 has_error_code;
		u8 pending;
		u32 error_code;
	} exception;
	struct {
		u8 injected;
		u8 nr;
		u8 soft;
		u8 shadow;
	} interrupt;
	struct {
		u8 injected;
		u8 pending;
		u8 masked;
		u8 pad;
	} nmi;
	u32 sipi_vector;
	u32 flags;
	struct {
		u8 smm;
		u8 pending;
		u8 smm_inside_nmi;
		u8 latched_init;
	} smi;
	u8 triple_fault_pending;
	u8 reserved[26];
	u8 exception_has_payload;
	u64 exception_payload;
};
#define ABI_EVENT_NMI_PENDING 0x1u
#define ABI_EVENT_SIPI_VECTOR 0x2u
#define ABI_EVENT_SHADOW 0x4u
#define ABI_EVENT_SMM 0x8u
#define ABI_EVENT_PAYLOAD 0x10u
#define ABI_EVENT_TRIPLE_FAULT 0x20u
/* interrupt.shadow */
#define ABI_SHADOW_MOV_SS 0x1u
#define ABI_SHADOW_STI 0x2u

struct abi_debugregs {
	u64 db[4];
	u64 dr6;
	u64 dr7;
	u64 flags;
	u64 reserved[9];
};

struct abi_guest_debug {
	u32 control;
	u32 pad;
	u64 debugreg[8];
};
#define ABI_DEBUG_ENABLE 0x1u
#define ABI_DEBUG_SINGLESTEP 0x2u
#define ABI_DEBUG_USE_SW_BP 0x10000u
#define ABI_DEBUG_USE_HW_BP 0x20000u
#define ABI_DEBUG_INJECT_DB 0x40000u
#define ABI_DEBUG_INJECT_BP 0x80000u
#define ABI_DEBUG_BLOCKIRQ 0x100000u

struct abi_xcr {
	u32 xcr;
	u32 reserved;
	u64 value;
};

struct abi_xcrs {
	u32 nr_xcrs;
	u32 flags;
	struct abi_xcr xcrs[16];
	u64 padding[16];
};

#endif
