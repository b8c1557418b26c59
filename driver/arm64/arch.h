/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * arm64/arch.h - what the driver's core asks of the arm64 part.
 *
 * Owns: the doorbell instruction, and the declarations of caps.c, ioctl.c,
 * exits.c, its.c, memory.c, psci.c, routing.c and timer.c.
 * Included by: tenon.h, at its end.
 */
#ifndef DRIVER_ARM64_ARCH_H
#define DRIVER_ARM64_ARCH_H

#include <linux/stringify.h>

#include "arm64/exit.h"
#include "arm64/hypercall.h"

/* HVC keeps every register but X0 (abi/arm64/hypercall.h). */
static inline s64 arch_hypercall(u64 number, u64 arg)
{
	register u64 x0 asm("x0") = number;
	register u64 x1 asm("x1") = arg;

	asm volatile("hvc #" __stringify(ABI_HVC) : "+r" (x0) : "r" (x1) : "memory");
	return x0;
}

#define ARCH_MMAP_PAGES 2	/* kvm_run, coalesced ring */
#define ARCH_PIO_PAGE (~0ul)	/* none */
#define ARCH_COALESCED_PAGE KVM_COALESCED_MMIO_PAGE_OFFSET

/* Index of struct exit_stats: what statistics call it. */
#define ARCH_EXIT_NAMES \
	[EXIT_INTR] = "intr", [EXIT_WFI] = "wfi", [EXIT_FAULT] = "fault", [EXIT_SMCCC] = "smccc", \
	[EXIT_SGI] = "sgi", [EXIT_SERROR] = "serror", [EXIT_SYSREG] = "sysreg", [EXIT_FP] = "fp", [EXIT_SMC] = "smc", \
	[EXIT_HYPERCALL] = "hypercall", [EXIT_OWN_TIMER] = "own_timer", [EXIT_OTHER] = "other",

/* caps.c. Values of KVM_CHECK_EXTENSION; 0 for every other number. */
struct cap_row {
	u32 cap;
	u32 value;
};

bool arch_detect(void);
long arch_cap(const struct vm *vm, u32 cap);	/* vm NULL: of /dev/kvm */
u64 arch_max_gfn(void);
u32 arch_target(void);		/* of KVM_ARM_PREFERRED_TARGET */
/* There is no log of a guest's writes. */
static inline bool arch_has_log(void) { return false; }
static inline void arch_log_ask(struct vcpu *v) { }
static inline bool arch_log_on(const struct vcpu *v) { return false; }
static inline u32 arch_log(const struct vcpu *v, const u64 **entry) { return 0; }

/* timer.c: the virtual timer's interrupt on every CPU. */
int arch_init(void);
void arch_exit(void);
ktime_t timer_delay(u64 deadline);	/* from now until the counter reaches it */

/* ioctl.c: tables that a zero row ends; the errno for a number in none. */
extern const struct ioctl_row arch_system_ioctls[];
extern const struct ioctl_row arch_vm_ioctls[];
extern const struct ioctl_row arch_vcpu_ioctls[];
#define ARCH_VM_NO_IOCTL (-EINVAL)

void arch_vm_init(struct vm *vm);
void arch_vm_free(struct vm *vm);
/* Before KVM_CREATE_VCPU: 0 or -errno. */
int arch_vcpu_precreate(struct vm *vm, u32 id);
static inline int arch_vm_enable_cap(struct vm *vm, const struct kvm_enable_cap *cap) { return -EINVAL; }
static inline int arch_vcpu_enable_cap(struct vcpu *v, const struct kvm_enable_cap *cap) { return -EINVAL; }
void arch_vm_close(struct vm *vm);
static inline void arch_vm_stop(struct vm *vm) { }
/* VCPU_* of a new vCPU. */
static inline u32 arch_vcpu_flags(const struct vm *vm) { return 0; }
/* It is the VM's for good. */
static inline void arch_vcpu_publish(struct vcpu *v) { }
/* What others may touch as soon as the vCPU is in the VM's table. */
int arch_vcpu_alloc(struct vcpu *v);
int arch_vcpu_init(struct vcpu *v);
void arch_vcpu_free(struct vcpu *v);
/* Before an operation is forwarded: 0, or -errno that the hypervisor would not know of. */
/* After a forwarded operation succeeded: keep the driver's copies true. */
void arch_vcpu_forwarded(struct vcpu *v, enum op_index op, const void *payload);
/* Before one: hand over what a KVM_RUN without an entry left pending. */
int arch_vcpu_flush(struct vcpu *v);
int vcpu_set_reg(struct vcpu *v, u64 id, u64 value);	/* one 64-bit register */
int vcpu_get_reg(struct vcpu *v, u64 id, u64 *value);
int vcpu_reset(struct vcpu *v);
void vcpu_kick(struct vcpu *v);				/* out of the guest, or of its wait */
#define REG_CORE(name) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(name))

/* memory.c: guest memory within one page: 0 or -EFAULT; is there any? In the VMM's mm, may sleep. */
int guest_read(struct vm *vm, u64 gpa, void *data, u32 bytes);
int guest_write(struct vm *vm, u64 gpa, const void *data, u32 bytes);
bool guest_visible(struct vm *vm, u64 gpa);

/* routing.c */
/* The GIC's own routes: a GSI for each SPI. vm.lock held. 0 or -errno. */
int vgic_routes(struct vm *vm, u32 spis);
/* The guest has ended this SPI, a level. */
void vgic_acked(struct vm *vm, u32 irq);

/* its.c */
/* A device of type KVM_DEV_TYPE_ARM_VGIC_ITS: its descriptor, or -errno. */
int its_install(struct vm *vm);
/* True: there is an ITS at gpa, and it took the access; *done false: it wants it once more. */
bool its_access(struct vcpu *v, u64 gpa, u32 size, bool write, u64 *data, bool *done);
/* KVM_SIGNAL_MSI's answer. Any context. */
int its_msi(struct vm *vm, const struct kvm_msi *msi);
void its_free_all(struct vm *vm);

/* vgic.c */
long vgic_create(void *object, unsigned long arg);	/* KVM_CREATE_DEVICE */
/* KVM_IRQ_LINE of a VM with a GIC. */
int vgic_irq_line(struct vm *vm, struct vcpu *v, u32 type, u32 irq, bool level);
/* Keep all vCPUs out of their ioctls; vm.lock held. 0 or -EBUSY. */
int vcpus_lock(struct vm *vm, u64 *locked);
void vcpus_unlock(struct vm *vm, u64 locked);

/* psci.c */
u64 vcpu_affinity(const struct vcpu *v);		/* of its MPIDR */
struct vcpu *vcpu_by_affinity(struct vm *vm, u64 mpidr);	/* or NULL */
int psci_exit(struct vcpu *v);
/* A vCPU that was turned on begins: 0 or -errno. */
int psci_begin(struct vcpu *v);

/* What an entry waits for besides signals: nothing here. */
static inline bool arch_run_pending(const struct vcpu *v) { return false; }
static inline int arch_run_work(struct vcpu *v) { return 1; }
/* A fault's page would have to be waited for: so be it. */
static inline bool arch_fault_begin(struct vcpu *v, u64 gfn, unsigned long hva, bool may_write) { return false; }
/* Registers in kvm_run: KVM_CAP_SYNC_REGS is not there. */
static inline int arch_run_take_regs(struct vcpu *v) { return v->run->kvm_valid_regs || v->run->kvm_dirty_regs ? -EINVAL : 0; }
static inline void arch_run_give_regs(struct vcpu *v) { }
static inline int arch_run_start(struct vcpu *v, bool immediate) { return 1; }

/* exits.c */
/* A vCPU's first KVM_RUN: 0, or why its VM is not ready. */
int arch_run_first(struct vcpu *v);

/* KVM_RUN's own checks before the completion: 0 or -errno. */
static inline int arch_run_begin(struct vcpu *v)
{
	if (!v->arch.initialized)
		return -ENOEXEC;
	if (unlikely(!v->arch.ran)) {
		int rc = arch_run_first(v);

		if (rc)
			return rc;
	}
	WRITE_ONCE(v->arch.task, current);
	return 0;
}

/* Before the first entry: 1 when the vCPU is on, in the state that PSCI gave it; or what KVM_RUN returns. */
int arch_run_ready(struct vcpu *v);
/* Fill the driver's half for one entry. Interrupts off. */
void arch_run_enter(struct vcpu *v);
/* The guest came back: 1 = enter again, 0 = KVM_RUN returns 0, or -errno. */
int arch_run_exit(struct vcpu *v);
/* Before another entry: 1, or what KVM_RUN returns. */
int arch_run_again(struct vcpu *v);

/* Fill what KVM_RUN reports with every exit. */
static inline void arch_run_end(struct vcpu *v)
{
	WRITE_ONCE(v->arch.task, NULL);
	if (v->entered && !v->exit->in.gic.on)
		v->run->s.regs.device_irq_level = v->exit->out.timer_level ? KVM_ARM_DEV_EL1_VTIMER : 0;
}

/* Waits while the vCPU is off: 1, or -EINTR. */
int wait_for_power(struct vcpu *v);
/* WFI: until an interrupt input, the deadline (0: none) or a signal. 1. */
int wait_for_interrupt(struct vcpu *v, u64 deadline);

#endif
