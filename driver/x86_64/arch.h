/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * x86_64/arch.h - what the driver's core asks of the x86-64 part.
 *
 * Owns: the doorbell instruction, and the declarations of caps.c, ioctl.c,
 * exits.c and emulate.c.
 * Included by: tenon.h, at its end.
 */
#ifndef DRIVER_X86_64_ARCH_H
#define DRIVER_X86_64_ARCH_H

#include "x86_64/exit.h"

/* Keeps every register but RAX (abi/hypercall.h). One instruction for AMD's processors, one for Intel's. */
static inline s64 arch_hypercall(u64 number, u64 arg)
{
	s64 result;

	if (boot_cpu_data.x86_vendor == X86_VENDOR_AMD || boot_cpu_data.x86_vendor == X86_VENDOR_HYGON)
		asm volatile("vmmcall" : "=a" (result) : "a" (number), "D" (arg) : "memory");
	else
		asm volatile("vmcall" : "=a" (result) : "a" (number), "D" (arg) : "memory");
	return result;
}

#define ARCH_MMAP_PAGES 3	/* kvm_run, port data, coalesced ring */
#define ARCH_COALESCED_PAGE KVM_COALESCED_MMIO_PAGE_OFFSET

/* Flags of KVM_GET_CLOCK that KVM_SET_CLOCK accepts back. */
#define CLOCK_FLAGS (KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)

/* caps.c. Values of KVM_CHECK_EXTENSION; 0 for every other number. */
struct cap_row {
	u32 cap;
	u32 value;
};

bool arch_detect(void);
long arch_cap(u32 cap);
u64 arch_max_gfn(void);

/* ioctl.c: tables that a zero row ends; the errno for a number in none. */
extern const struct ioctl_row arch_system_ioctls[];
extern const struct ioctl_row arch_vm_ioctls[];
extern const struct ioctl_row arch_vcpu_ioctls[];
#define ARCH_VM_NO_IOCTL (-ENOTTY)

void arch_vm_init(struct vm *vm);
int arch_vcpu_init(struct vcpu *v);
void arch_vcpu_free(struct vcpu *v);
/* After a forwarded operation succeeded: keep the driver's copies true. */
void arch_vcpu_forwarded(struct vcpu *v, enum op_index op, const void *payload);
/* Before one: hand over what a KVM_RUN without an entry left pending. */
int arch_vcpu_flush(struct vcpu *v);

/* exits.c */
/* KVM_RUN's own checks before the completion: 0 or -errno. */
int arch_run_begin(struct vcpu *v);
/* Fill the driver's half for one entry. Interrupts off. */
void arch_run_enter(struct vcpu *v);
/* The guest came back: 1 = enter again, 0 = KVM_RUN returns 0, or -errno. */
int arch_run_exit(struct vcpu *v);
/* Before another entry: 0 when the VMM waits for an interrupt window that is open, else 1. */
int arch_run_again(struct vcpu *v);
/* Fill what KVM_RUN reports with every exit. */
void arch_run_end(struct vcpu *v);

#define CR8_MAX 15u

/* emulate.c: the same three results as arch_run_exit(). vm.srcu held. */
int emulate_exit(struct vcpu *v);
int emulate_init(struct vcpu *v);
void emulate_free(struct vcpu *v);
/* The VMM set registers while an instruction waits for it. */
void emulate_set_regs(struct vcpu *v, const struct abi_regs *regs);
void emulate_set_sregs(struct vcpu *v);
long emulate_translate(struct vcpu *v, struct kvm_translation *t, const struct abi_sregs *s);
void run_exit_io(struct vcpu *v, bool out, u16 port, u32 size, u32 count);

#endif
