/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * exit_info.h - what a trace event says of an exit: the processor's number for
 * it, and what else of its report the exit page has kept.
 * Included by: trace.h.
 */
#ifndef DRIVER_X86_64_EXIT_INFO_H
#define DRIVER_X86_64_EXIT_INFO_H

#include "tenon.h"

/* kvm_exit's isa. */
#define EXIT_INFO_VMX 1
#define EXIT_INFO_SVM 2

struct exit_info {
	u32 reason;		/* EXITCODE on AMD's processors, the basic exit reason on Intel's */
	u64 info1;		/* EXITINFO1; the exit qualification */
	u64 info2;		/* EXITINFO2; 0 */
	u32 intr_info;		/* 0; the VM-exit interruption information */
};

struct exit_info exit_info(struct vcpu *v);
/* Where the guest goes on at the entry that comes now. May ask the hypervisor. */
u64 exit_info_entry_rip(struct vcpu *v);

#endif
