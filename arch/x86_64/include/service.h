/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * service.h - the service VM: its memory, what its MSR accesses may do, how
 * its CPUs start. Shared by the backends.
 */
#ifndef SERVICE_H
#define SERVICE_H

#include "types.h"
#include "percpu.h"
#include "vcpu_arch.h"

struct boot_info;
struct pool;

/* One row: MSRs that exit in the service VM, and what happens then. */
enum service_msr_kind {
	SMSR_EFER,	/* SVME is ours: reads 0, kept 1 */
	SMSR_HIDDEN,	/* reads as if firmware had switched virtualisation off; writes #GP */
	SMSR_APIC_BASE,	/* may switch modes, may not move */
	SMSR_FIXED,	/* a write that changes it is #GP */
	SMSR_IGNORED,	/* a write does nothing (microcode) */
	SMSR_MTRR,	/* may not retype the hypervisor's memory */
	SMSR_DENIED,	/* #GP */
	SMSR_XD,	/* MISC_ENABLE: NX, which the hypervisor's own tables use, stays */
	SMSR_XSS,	/* noted: XSAVES of a user VM must not reach its components */
	SMSR_TSC_AUX,	/* noted, so that it can be put back after a user VM */
};

struct service_msr {
	u32 first, last;
	u32 intercept;	/* SMSR_READ, SMSR_WRITE */
	u32 kind;
};

/* trap_entry.S: 0, or 1 where the processor refuses with #GP. */
int msr_try_read(u32 msr, u64 *value);
int msr_try_write(u32 msr, u64 value);

#define SMSR_READ 1u
#define SMSR_WRITE 2u

/* An access that exited. efer: the guest's EFER field. 0, or 1 = #GP. */
int service_msr_read(struct cpu *cpu, u32 msr, u64 *value, u64 efer);
int service_msr_write(struct cpu *cpu, u32 msr, u64 value, u64 *efer);

/* Boot: one-to-one tables of all memory; the hypervisor's parts are hidden then, as any other (service_hide()). */
void service_memory_init(const struct boot_info *info, struct pool *pool);
u64 service_pt_root(void);
extern u64 service_generation;

/* A nested page fault: maps what is the service VM's to touch. 0, or 1 = not its memory. */
int service_fault(u64 gpa);

/*
 * For a backend that cannot intercept start-up IPIs: ACPI's multiprocessor wakeup mailbox (ACPI 6.4, 5.2.12.19). Waits until
 * Linux wants this CPU, and makes it ready to enter there.
 */
void mailbox_wait(struct cpu *cpu);

/* 1 if a variable range of this base and mask touches the hypervisor's memory. */
int service_covers_hypervisor(u64 base, u64 mask);

/* The page of low memory with mailbox and identity tables that Linux keeps reserved. */
void service_handoff_init(u64 pa);
extern u64 service_identity_cr3;
extern u64 service_mailbox_pa;		/* 0: the backend takes start-up IPIs */

#define HANDOFF_MAILBOX 0u
#define HANDOFF_TABLES 4096u		/* six pages */
#define HANDOFF_ACPI (7u * 4096u)
#define HANDOFF_ACPI_BYTES 0x10000u
#define HANDOFF_SCRATCH (HANDOFF_ACPI + HANDOFF_ACPI_BYTES)

#endif
