/* SPDX-License-Identifier: BSD-2-Clause */
/* vmx.h - what the VMX backend's files share. */
#ifndef VMX_H
#define VMX_H

#include "vmcs.h"
#include "vm.h"
#include "percpu.h"
#include "service.h"
#include "vcpu_arch.h"

#define CR4_VMXE (1ull << 13)
#define DR6_RESET 0xffff0ff0ull
#define PAT_RESET 0x0007040600070406ull

/* Values of the controls that this machine allows (setup.c). */
struct vmx_controls {
	u32 pin, proc, proc2, exit, entry;
};
extern struct vmx_controls vmx_service_controls, vmx_guest_controls;
extern u32 vmx_timer_ticks, vmx_timer_shift;	/* the backstop of a stay; a tick is 1 << shift of the TSC's */
extern u32 vmx_flushes;		/* FLUSH_*: what this CPU would leak from one guest to the next */
#define FLUSH_L1D 1u
#define FLUSH_BUFFERS 2u
extern u64 vmx_guest_msr_bitmap_pa;
extern u32 vmx_apicv;			/* bits of PROC2 with which the processor has an x2APIC for a guest; 0: it cannot */
extern u64 vmx_apicv_msr_bitmap_pa;	/* for a guest with it */

/* State beside the VMCS, in the processor while the guest is loaded; the first five as STATE_STAR and so on. */
enum vmx_slot {
	SLOT_STAR, SLOT_LSTAR, SLOT_CSTAR, SLOT_SFMASK, SLOT_KERNEL_GS_BASE,
	SLOT_DR6, SLOT_CR2,
	SLOT_COUNT,
};

/* RFLAGS or the shadow was set: vmx_shadow_fit(). There is a deadline, or was one: the timer field is not right. */
enum { UNFIT_SHADOW = 1, UNFIT_DEADLINE = 2 };

struct vmx_vcpu {
	u64 slot[SLOT_COUNT];
	u32 unfit;		/* UNFIT_*: what the next entry needs first */
	u32 launched;
	u32 proc, proc2;	/* VMCS_PROC, VMCS_PROC2 as they are */
	u32 threshold;		/* VMCS_TPR_THRESHOLD as it is */
	u32 extra;		/* EXTRA_*: what few vCPUs need at each stay, behind one test */
	u64 deadline;		/* of stays; 0: none */
	u8 *apic;		/* virtual-APIC page: the LAPIC page; without one only a TPR */
};

#define EXTRA_DR 1u		/* as arch.dr_live */
#define EXTRA_LOG 2u		/* it has a log page, and the processor can write it */

#define APIC_TPR 0x80

static inline u64 read_cr0(void) { u64 v; asm volatile("mov %%cr0, %0" : "=r"(v)); return v; }
static inline u64 read_cr3(void) { u64 v; asm volatile("mov %%cr3, %0" : "=r"(v)); return v; }

/* VM instructions' failure is a broken invariant: all operands are our own. */
void vmx_failed(const char *what, u64 operand) NORETURN;

#define TSC_RATIO_ONE (1ull << 48)	/* 25.6.5 */

static inline u64 vmread(u64 field)
{
	u64 value;

	asm volatile("vmread %1, %0" : "=rm"(value) : "r"(field) : "cc");
	return value;
}

static inline void vmwrite(u64 field, u64 value)
{
	asm goto("vmwrite %1, %0; jna %l2" : : "r"(field), "rm"(value) : "cc", "memory" : failed);
	return;
failed:
	vmx_failed("VMWRITE", field);
}

static inline void vmclear(u64 pa)
{
	asm goto("vmclear %0; jna %l1" : : "m"(pa) : "cc", "memory" : failed);
	return;
failed:
	vmx_failed("VMCLEAR", pa);
}

static inline void vmptrld(u64 pa)
{
	asm goto("vmptrld %0; jna %l1" : : "m"(pa) : "cc", "memory" : failed);
	return;
failed:
	vmx_failed("VMPTRLD", pa);
}

#define INVALIDATE_SINGLE 1u	/* INVEPT: one EPTP */
#define INVALIDATE_ALL 2u

static inline void invept(u64 type, u64 eptp)
{
	struct { u64 eptp, zero; } d = { eptp, 0 };

	asm volatile("invept %0, %1" : : "m"(d), "r"(type) : "cc", "memory");
}

static inline void invvpid_all(void)
{
	struct { u64 vpid, address; } d = { 0, 0 };

	asm volatile("invvpid %0, %1" : : "m"(d), "r"((u64)INVALIDATE_ALL) : "cc", "memory");
}

#define EPTP_FLAGS (1u << 6)	/* accessed and dirty flags */

/* Write-back tables, four levels (25.6.11). */
static inline u64 vmx_eptp(u64 root)
{
	return root | 3 << 3 | 6;
}

/*
 * Enters the current VMCS's guest. 0: it ran and left; ENTER_REFUSED: by the
 * instruction; ENTER_ATTENTION: not entered, *attention is not 0.
 */
enum { ENTER_REFUSED = 1, ENTER_ATTENTION = 2 };
static inline int vmx_enter(struct gprs *regs, const u32 *launched, const u32 *attention)
{
	int result;

	asm volatile("call vmx_enter" : "=a"(result), "+D"(regs), "+S"(launched), "+d"(attention) : :
		     "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc", "memory");
	return result;
}
extern u8 vmx_exit[], vmx_trap_nmi[];

/* cpu->attention: what the service VM gets at its next entry. */
#define ATTENTION_NMI 1u	/* an NMI that came in VMX root, or left a user VM */
#define ATTENTION_MC 2u		/* a machine check that left a user VM */
#define ATTENTION_INIT 4u	/* an INIT that left a user VM */

/*
 * CR4 bits that a guest changes without an exit. Of the others its CPUID decides, which is the driver's to say; MCE is the
 * machine's: without it a machine check would be the guest's shutdown.
 */
#define CR4_GUESTS 0x7bfull

static inline u64 vmx_cr4(void)
{
	return (vmread(VMCS_GUEST_CR4) & CR4_GUESTS) | (vmread(VMCS_CR4_SHADOW) & ~CR4_GUESTS);
}

#define RIGHTS_LONG 0x2000u

/* Behind the instruction that exited. Outside 64-bit code it wraps at 4 GiB: the entry wants that (27.3.1.4). */
static inline u64 vmx_next_rip(void)
{
	u64 rip = vmread(VMCS_GUEST_RIP), next = rip + vmread(VMCS_EXIT_LENGTH);

	return unlikely((rip ^ next) >> 32) && !(vmread(VMCS_GUEST_RIGHTS + 2 * VSEG_CS) & RIGHTS_LONG) ? (u32)next : next;
}

/* RIP goes there; the interrupt shadow ends. */
static inline void vmx_skip(void)
{
	u64 blocked = vmread(VMCS_GUEST_INTERRUPTIBILITY);

	vmwrite(VMCS_GUEST_RIP, vmx_next_rip());
	if (unlikely(blocked & BLOCKED_SHADOW))
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY, blocked & ~(u64)BLOCKED_SHADOW);
}

static inline u32 vmx_cpl(void)
{
	return vmread(VMCS_GUEST_RIGHTS + 2 * VSEG_SS) >> 5 & 3;
}

/* One with a selector: of enum vmcs_segment, whose first six are numbered as SEG_*. */
static inline struct state_segment vmx_segment(u32 s)
{
	u32 rights = (u32)vmread(VMCS_GUEST_RIGHTS + 2 * s);

	return (struct state_segment) {
		.selector = (u16)vmread(VMCS_GUEST_SELECTOR + 2 * s),
		/* AVL, L, D/B and G follow P there, and P = 0 says "unusable". */
		.attr = (u16)((rights & 0xff & ~(rights / RIGHTS_UNUSABLE << 7)) | (rights >> 4 & 0xf00)),
		.limit = (u32)vmread(VMCS_GUEST_LIMIT + 2 * s),
		.base = vmread(VMCS_GUEST_BASE + 2 * s),
	};
}

/* An NMI's exit blocks further ones as its delivery would (28.3.3): until an IRET. */
static inline void vmx_nmi_unblock(void)
{
	asm volatile("movq %%rsp, %%rax; pushq $0; pushq %%rax; pushfq; pushq $0x10; pushq $1f; iretq; 1:"
		     : : : "rax", "cc", "memory");
}

/* An NMI of ours is consumed: 1; a real one: 0. */
static inline int vmx_kick_taken(struct cpu *cpu)
{
	return (int)__atomic_exchange_n(&cpu->kicked, 0, __ATOMIC_ACQ_REL);
}

void vmx_vmcs_init(u64 pa, const struct vmx_controls *c);

void vmx_service_init(struct cpu *cpu, const struct service_entry *e);
void vmx_service_init_state(struct cpu *cpu);
void vmx_service_wait(struct cpu *cpu);
void vmx_service_loop(struct cpu *cpu) NORETURN;
extern const struct service_msr vmx_service_msrs[];

void vmx_maps_init(struct pool *pool);
void vmx_memtype_init(void);
u64 vmx_leaf_type(u64 pa, u64 *end);

void vmx_shadow_set(struct vcpu *v, u64 on);
void vmx_shadow_fit(struct vcpu *v);
void vmx_nmi_block(struct vcpu *v, u32 on);	/* and events.nmi_masked with it */
void vmx_proc_set(struct vcpu *v, u32 proc);
void vmx_proc2_set(struct vcpu *v, u32 bits, u32 on);	/* one of these, or 0 */

/* The backend operations of guest.c; contracts in vcpu_arch.h. */
int vmx_vcpu_init(struct vcpu *v);
void vmx_hold(struct vcpu *v, enum vcpu_hold hold);
int vmx_state_get(struct vcpu *v, u32 field, u64 *value);
int vmx_state_set(struct vcpu *v, u32 field, u64 value);
void vmx_get_regs(struct vcpu *v, struct abi_regs *r);
void vmx_set_regs(struct vcpu *v, const struct abi_regs *r);
void vmx_refresh(struct vcpu *v);
void vmx_apic_status(u32 status);
void vmx_event_inject(struct vcpu *v, u64 event);
u32 vmx_event_blocked(struct vcpu *v);
void vmx_event_windows(struct vcpu *v, u32 windows);
void vmx_event_step(struct vcpu *v, int on);
int vmx_run(struct cpu *cpu, struct vcpu *v);

#endif
