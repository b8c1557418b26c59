/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * x86_64/apic.h - a vCPU's local APIC in its surroundings (apic.c), and its run
 * state: halted, waiting for INIT and SIPI, running (mp.c).
 * Included by: tenon.h through arch.h.
 */
#ifndef DRIVER_X86_64_APIC_H
#define DRIVER_X86_64_APIC_H

/* vcpu.arch.requests: set from any context, taken by the vCPU's thread before an entry. */
enum vcpu_request {
	REQUEST_INIT, REQUEST_SIPI, REQUEST_NMI, REQUEST_UNHALT,
	REQUEST_SCAN,		/* EOI bitmap */
	REQUEST_EXTINT,		/* look at the PIC */
	REQUEST_EOI_EXIT,	/* KVM_EXIT_IOAPIC_EOI, split irqchip */
	REQUEST_TPR_EXIT,	/* KVM_EXIT_TPR_ACCESS */
	REQUEST_VAPIC,		/* KVM_SET_VAPIC_ADDR: before each entry */
	REQUEST_SHUTDOWN,	/* KVM_EXIT_SHUTDOWN */
	REQUEST_CLOCK,		/* kvmclock */
	REQUEST_PAGE_READY,	/* asynchronous page faults: tell the guest */
	REQUEST_PAYLOAD,	/* of the VMM's pending exception: DR6 or CR2 before the entry */
	REQUEST_LOG,		/* vm.log may be another */
	REQUEST_STATE,		/* mp_state is not runnable, or a page is missing: wait */
};

/* vcpu.arch.watch */
#define WATCH_EXTINT 1u		/* the PIC's interrupt waits for the guest */
#define WATCH_VAPIC 2u		/* vapic_addr is set */

/* Out of the guest, or of its wait, so that it sees what was written before. Any context. */
void vcpu_kick(struct vcpu *v);
void vcpu_request(struct vcpu *v, enum vcpu_request request);

/* apic.c */
static inline bool vcpu_has_lapic(const struct vcpu *v)
{
	return v->arch.lapic.page;
}

static inline u64 apic_cr8(const struct vcpu *v)
{
	return LAPIC_REG(v->arch.lapic.page, LAPIC_TPR) >> 4 & 15;
}

int apic_init(struct vcpu *v);
/* The vCPU is the VM's now: messages reach it. */
void apic_publish(struct vcpu *v);
void apic_free(struct vcpu *v);
void apic_reset(struct vcpu *v, bool init);
/* IA32_APIC_BASE from the VMM: may it be, and make it so. */
bool apic_base_valid(const struct vcpu *v, u64 base);
void apic_base_set(struct vcpu *v, u64 base);
void apic_set_cr8(struct vcpu *v, u64 cr8);
/* IA32_APIC_BASE, IA32_TSC_DEADLINE, x2APIC: 0 or MSR_BAD. */
int apic_msr_read(struct vcpu *v, u32 msr, u64 *value);
int apic_msr_write(struct vcpu *v, u32 msr, u64 value, bool host);
/* CPUID was set. */
void apic_cpuid(struct vcpu *v);
/* An EOI that the hypervisor reports. */
int apic_exit_eoi(struct vcpu *v);
/* A vector for RESUME_INTERRUPT, or -1. */
int apic_take_extint(struct vcpu *v);
bool apic_has_extint(struct vcpu *v);
/* Would KVM_INTERRUPT's vector be kept for the guest? */
bool apic_takes_interrupt(struct vcpu *v);
/* What KVM_RUN reports with every exit: 1 when the kernel has the PIC. */
static inline bool apic_ready(struct vcpu *v)
{
	return v->vm->arch.irqchip_mode == IRQCHIP_KERNEL || (v->arch.ready && apic_takes_interrupt(v));
}
void apic_scan(struct vcpu *v);
long apic_get_state(void *object, unsigned long arg);
long apic_set_state(void *object, unsigned long arg);
/* KVM_INTERRUPT: 0 or -errno. */
int apic_interrupt(struct vcpu *v, u8 vector);
long apic_nmi(void *object, unsigned long arg);
long apic_vapic_addr(void *object, unsigned long arg);
void apic_sync_vapic(struct vcpu *v);
/* After an exit with something to be watched. */
void apic_watch(struct vcpu *v);
/* Can the hypervisor end a stay at the timer's time? Module load. */
void apic_offers(void);
/* The stay has ended: was it at the timer's time? */
void apic_timer_look(struct vcpu *v);
/* Linux's clock has the timer while the vCPU waits, and gives it back. */
void apic_timer_wait(struct vcpu *v);
void apic_timer_go(struct vcpu *v);
long apic_tpr_reporting(void *object, unsigned long arg);
/* KVM_CAP_X2APIC_API. */
int apic_enable_x2apic_api(struct vm *vm, u64 flags);
long apic_set_boot_cpu(void *object, unsigned long id);

/* mp.c */
int mp_init(struct vcpu *v);
void mp_free(struct vcpu *v);
/* The first step of KVM_RUN of a vCPU that was never started: what it returns. */
int mp_begin(struct vcpu *v, bool immediate);
/* Everything that vcpu.arch.requests asks for: 1 = enter, 0 = to the VMM, -errno. */
int mp_work(struct vcpu *v);
/* HLT with an in-kernel LAPIC. */
int mp_halt(struct vcpu *v);
/* The fault just met needs a page that is on its way: no entry until that or an interrupt comes. */
void mp_wait_for_page(struct vcpu *v);
/* What the guest shares with the driver is no longer its own: INIT, and a shutdown that resets. */
void mp_reset_paravirtual(struct vcpu *v);
/* A pending INIT or SIPI is taken, an NMI handed over. 0 or -errno. */
int mp_accept(struct vcpu *v);
int mp_deliver_nmi(struct vcpu *v);
/* The VMM set all of the state to what follows a reset. */
void mp_sregs_changed(struct vcpu *v, const struct abi_sregs *s);
long mp_get_state(void *object, unsigned long arg);
long mp_set_state(void *object, unsigned long arg);

#endif
