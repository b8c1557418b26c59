/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * x86_64/options.h - what a VMM asks to be different, by KVM_ENABLE_CAP and
 * KVM_X86_SET_MSR_FILTER: see options.c. Included by: objects.h, msr.c, ioctl.c.
 */
#ifndef DRIVER_X86_64_OPTIONS_H
#define DRIVER_X86_64_OPTIONS_H

#include <linux/types.h>

struct kvm_enable_cap;
struct msr_filter;
struct vcpu;
struct vm;

struct vm_options {
	u64 quirks_off;			/* KVM_X86_QUIRK_* that this VMM does without */
	u32 user_msr;			/* KVM_MSR_EXIT_REASON_* that end in the VMM */
	u32 max_vcpu_id;		/* 0: as many as there can be */
	u32 serial;			/* counts what vCPUs must notice before they run again */
	bool platform_info_off;		/* the guest's RDMSR of MSR_PLATFORM_INFO is #GP */
	bool exception_payload;		/* KVM_CAP_EXCEPTION_PAYLOAD */
	bool triple_fault_event;	/* KVM_CAP_X86_TRIPLE_FAULT_EVENT */
	struct msr_filter *filter;	/* under vm.srcu; NULL: all registers are allowed */
};

struct vcpu_options {
	u32 serial;			/* of the VM's when last looked at */
	u32 watch;			/* STATE_DEBUG_MSRS, STATE_DEBUG_MWAIT */
	bool pv_enforced;		/* paravirtual registers need their CPUID bit */
	u64 msr_next_rip;		/* behind the access that the VMM finishes */
};

/* Quirks that KVM_CAP_DISABLE_QUIRKS2 can switch off here. */
#define OPTIONS_QUIRKS (KVM_X86_QUIRK_OUT_7E_INC_RIP | KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT | \
			KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS)
#define OPTIONS_MSR_REASONS (KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER)

/* The rows of arch_vm_enable_cap() and of the vCPU's that are here; -EINVAL for others. */
int options_vm_enable(struct vm *vm, const struct kvm_enable_cap *cap);
int options_vcpu_enable(struct vcpu *v, const struct kvm_enable_cap *cap);
long options_set_msr_filter(void *object, unsigned long arg);
void options_free(struct vm *vm);

/* Does the VM have this quirk of KVM's? */
bool options_quirk(const struct vm *vm, u64 quirk);
/* May the guest itself use the register? */
bool options_msr_allowed(struct vm *vm, u32 msr, bool write);
/* The guest's access has failed for that reason: true when the VMM is to say what happens. */
bool options_msr_exit(struct vcpu *v, u32 reason);
/* Is the paravirtual feature, a bit of leaf 0x40000001's EAX, not to be used? */
bool options_pv_denied(const struct vcpu *v, u32 bit);

/* Bring what the hypervisor watches up to date: the VM's options or the vCPU's CPUID have changed. */
int options_apply(struct vcpu *v);
int options_noticed(struct vcpu *v);

/* KVM_HAS and GET_DEVICE_ATTR of /dev/kvm: what XCR0 a guest can have. */
long options_system_has_attr(void *object, unsigned long arg);
long options_system_get_attr(void *object, unsigned long arg);
/* KVM_HAS, GET and SET_DEVICE_ATTR of a vCPU: its TSC's offset. */
long options_has_attr(void *object, unsigned long arg);
long options_get_attr(void *object, unsigned long arg);
long options_set_attr(void *object, unsigned long arg);

#endif
