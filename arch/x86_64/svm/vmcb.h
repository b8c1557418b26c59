/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmcb.h - the virtual machine control block and the intercept bits
 * (AMD64 APM vol. 2, appendix B and 15.9).
 */
#ifndef VMCB_H
#define VMCB_H

#include "types.h"
#include "abi/x86_64/state.h"

struct vmcb {
	u32 intercept[5];		/* one bit to an exit code, from 0 */
	u32 intercept_more;
	u8 reserved1[0x40 - 0x18];
	u64 iopm_pa;
	u64 msrpm_pa;
	u64 tsc_offset;
	u32 asid;
	u8 tlb_control;
	u8 reserved2[3];
	u64 int_control;
	u64 int_shadow;
	u64 exit_code;
	u64 exit_info1;
	u64 exit_info2;
	u64 exit_int_info;
	u64 np_enable;
	u64 avic_apic_bar;
	u64 ghcb_pa;
	u64 event_inj;
	u64 ncr3;
	u64 lbr_enable;
	u32 clean;
	u32 reserved3;
	u64 next_rip;
	u8 insn_len;
	u8 insn[15];
	u8 reserved4[0x400 - 0xe0];

	/* State save area. */
	struct state_segment seg[SEG_COUNT];
	u8 reserved5[0x4cb - 0x4a0];
	u8 cpl;
	u32 reserved6;
	u64 efer;
	u8 reserved7[0x548 - 0x4d8];
	u64 cr4, cr3, cr0, dr7, dr6, rflags, rip;
	u8 reserved8[0x5d8 - 0x580];
	u64 rsp;
	u64 s_cet, ssp, isst;
	u64 rax;
	u64 star, lstar, cstar, sfmask, kernel_gs_base;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 cr2;
	u8 reserved9[0x668 - 0x648];
	u64 g_pat, dbgctl, br_from, br_to, last_excp_from, last_excp_to;
	u8 reserved10[0x1000 - 0x698];
};

/* A wrong size anywhere before would move these. */
_Static_assert(__builtin_offsetof(struct vmcb, seg) == 0x400, "VMCB");
_Static_assert(__builtin_offsetof(struct vmcb, g_pat) == 0x668, "VMCB");
_Static_assert(sizeof(struct vmcb) == 4096, "VMCB");

#define INTERCEPT_DR 1		/* the word of the debug registers */

/* int_control */
#define V_TPR_MASK 0xffull
#define V_IRQ (1ull << 8)
#define V_INTR_PRIO (0xfull << 16)
#define V_IGN_TPR (1ull << 20)
#define V_INTR_MASKING (1ull << 24)

/* exit_code */
enum vmexit {
	VMEXIT_CR_READ0 = 0x00, VMEXIT_CR_WRITE0 = 0x10, VMEXIT_CR_WRITE4 = 0x14, VMEXIT_CR_WRITE8 = 0x18,
	VMEXIT_DR_FIRST = 0x20, VMEXIT_DR_LAST = 0x3f,
	VMEXIT_EXCEPTION = 0x40,
	VMEXIT_INTR = 0x60, VMEXIT_NMI = 0x61, VMEXIT_SMI = 0x62, VMEXIT_INIT = 0x63, VMEXIT_VINTR = 0x64,
	VMEXIT_RDPMC = 0x6f, VMEXIT_CPUID = 0x72, VMEXIT_IRET = 0x74, VMEXIT_INVD = 0x76,
	VMEXIT_HLT = 0x78, VMEXIT_INVLPGA = 0x7a, VMEXIT_IOIO = 0x7b, VMEXIT_MSR = 0x7c,
	VMEXIT_SHUTDOWN = 0x7f, VMEXIT_VMRUN = 0x80, VMEXIT_VMMCALL = 0x81, VMEXIT_VMLOAD = 0x82,
	VMEXIT_VMSAVE = 0x83, VMEXIT_STGI = 0x84, VMEXIT_CLGI = 0x85, VMEXIT_SKINIT = 0x86,
	VMEXIT_WBINVD = 0x89, VMEXIT_MONITOR = 0x8a, VMEXIT_MWAIT = 0x8b, VMEXIT_MWAIT_ARMED = 0x8c,
	VMEXIT_XSETBV = 0x8d, VMEXIT_RDPRU = 0x8e, VMEXIT_TABLE = 0x90,
	VMEXIT_NPF = 0x400,
};

/* IOIO exit_info1 (15.10.2) */
#define IOIO_IN 1u
#define IOIO_STRING 4u
#define IOIO_SIZE(i) ((i) >> 4 & 7)
#define IOIO_PORT(i) ((u16)((i) >> 16))

#define TLB_FLUSH_ALL 1
#define TLB_FLUSH_ASID 3

#endif
