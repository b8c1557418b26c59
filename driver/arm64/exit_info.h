/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * exit_info.h - what a trace event says of an exit, in KVM's numbers.
 * Included by: trace_arch.h.
 */
#ifndef DRIVER_ARM64_EXIT_INFO_H
#define DRIVER_ARM64_EXIT_INFO_H

#include "tenon.h"

/* kvm_exit's ret. */
enum { EXIT_INFO_IRQ = 0, EXIT_INFO_SERROR = 1, EXIT_INFO_TRAP = 2, EXIT_INFO_ILLEGAL = 3 };

struct exit_info {
	int ret;
	u32 class;		/* of a trap: ESR_EL2.EC, else 0 */
};

struct exit_info exit_info(const struct vcpu *v);
/* Where the guest goes on at the entry that comes now. May ask the hypervisor. */
u64 exit_info_entry_pc(struct vcpu *v);

#endif
