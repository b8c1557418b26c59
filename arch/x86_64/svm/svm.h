/* SPDX-License-Identifier: BSD-2-Clause */
/* svm.h - what the SVM backend's files share. */
#ifndef SVM_H
#define SVM_H

#include "vmcb.h"
#include "vm.h"
#include "percpu.h"
#include "service.h"
#include "vcpu_arch.h"


/* CPUID 0x8000000a:EDX of this machine (APM vol. 3, E.4.9). */
#define SVM_NP 0x1u
#define SVM_TSC_RATIO 0x10u
#define SVM_NRIPS 0x8u
#define SVM_FLUSH_ASID 0x40u
#define MSR_TSC_RATIO 0xc0000104
#define TSC_RATIO_ONE (1ull << 32)	/* the service VM's */
extern u32 svm_features, svm_shadow_lost;	/* 1: QEMU's emulator, see shadow_in() */

extern u64 svm_iopm_pa, svm_guest_msrpm_pa;

/* The world switch (entry.S): the caller keeps only what it needs, and nothing is saved twice. */
static inline void svm_enter(struct gprs *regs, u64 vmcb_pa)
{
	asm volatile("call svm_enter" : "+D"(regs), "+S"(vmcb_pa) : :
		     "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc", "memory");
}

static inline void vmload(u64 pa) { asm volatile("vmload %%rax" : : "a"(pa) : "memory"); }
static inline void vmsave(u64 pa) { asm volatile("vmsave %%rax" : : "a"(pa) : "memory"); }

/* Takes a pending NMI (and whatever else GIF held back, but interrupts) through our IDT. */
static inline void svm_nmi_window(void)
{
	asm volatile("cli; stgi; nop; clgi; sti" : : : "memory");
}

/* The instruction's end: from the CPU when it tells, otherwise by the known length. */
static inline u64 svm_next_rip(const struct vmcb *b, u32 length)
{
	return (svm_features & SVM_NRIPS) && b->next_rip ? b->next_rip : b->rip + length;
}

/* An event for the service VM, at its next entry. */
static inline void service_inject(struct cpu *cpu, u32 vector, u64 type, int has_error)
{
	cpu->vmcb->event_inj = EVENT_VALID | type << 8 | vector | (has_error ? EVENT_ERROR : 0);
}

static inline void svm_skip(struct vmcb *b, u32 length)
{
	b->rip = svm_next_rip(b, length);
	b->int_shadow = 0;
}

/* Exits of this code, or not: the intercept bits are numbered as the exit codes. */
static inline void svm_intercept(struct vmcb *b, u32 code, int on)
{
	u32 bit = 1u << code % 32;

	b->intercept[code / 32] = on ? b->intercept[code / 32] | bit : b->intercept[code / 32] & ~bit;
}

void svm_guest_intercepts(struct vmcb *b);
void svm_service_intercepts(struct vmcb *b);
extern const struct service_msr svm_service_msrs[];
void svm_service_init(struct cpu *cpu, const struct service_entry *e);
void svm_service_loop(struct cpu *cpu) NORETURN;

void svm_maps_init(struct pool *pool);

/* The backend operations of guest.c; contracts in vcpu_arch.h. */
int svm_vcpu_init(struct vcpu *v);
int svm_run(struct cpu *cpu, struct vcpu *v);
void svm_cr0_set(struct vcpu *v, u64 cr0);
void svm_hold(struct vcpu *v, enum vcpu_hold hold);
int svm_state_get(struct vcpu *v, u32 field, u64 *value);
int svm_state_set(struct vcpu *v, u32 field, u64 value);
void svm_get_regs(struct vcpu *v, struct abi_regs *r);
void svm_set_regs(struct vcpu *v, const struct abi_regs *r);
void svm_refresh(struct vcpu *v);
void svm_event_inject(struct vcpu *v, u64 event);
u32 svm_event_blocked(struct vcpu *v);
void svm_event_windows(struct vcpu *v, u32 windows);
void svm_event_step(struct vcpu *v, int on);

#endif
