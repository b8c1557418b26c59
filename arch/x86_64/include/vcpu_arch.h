/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vcpu_arch.h - the x86 part of struct vcpu and struct vm, and the table of
 * operations that each backend (svm/, vmx/) fills.
 */
#ifndef VCPU_ARCH_H
#define VCPU_ARCH_H

#include "types.h"
#include "machine.h"
#include "percpu.h"
#include "cpu.h"
#include "abi/x86_64/exit.h"

struct vm;
struct vcpu;
struct pool;

/* What waits to be injected; its first three words are the fields STATE_EXCEPTION to STATE_NMI. */
struct events {
	u64 exception;		/* encoded (EVENT_*), with its error << 32; 0: none */
	u64 interrupt;		/* encoded; 0: none */
	u8 nmi_pending;
	u8 nmi_injected;
	u8 nmi_masked;
	u8 nmi_iret;		/* an IRET that ends the mask is under way, at nmi_iret_rip */
	u8 step;		/* STEP_*: this entry steps over the instruction at step_rip */
	u8 step_tf;		/* the guest's own trap flag meanwhile */
	u64 step_rip;
	u64 nmi_iret_rip;
};

/* Over an IRET that ends the NMI mask, for the NMI behind it; over the one instruction in an interrupt shadow. */
enum { STEP_IRET = 1, STEP_SHADOW = 2 };

#define MACHINE_VCPU_FLAGS (VCPU_LAPIC | VCPU_LOG)
#define ASID_SERVICE 1u		/* ASID or VPID of the service VM */

struct vcpu_arch {
	struct gprs regs;	/* RAX and RSP live in the backend's state block while it runs */
	union {
		struct vmcb *vmcb;
		struct vmx_vcpu *vmx;
	};
	u64 vmcb_pa;		/* of the VMCB or VMCS */
	void *fpu;		/* XSAVE area */
	union {			/* in the order of enum state_field */
		u64 kept[STATE_COUNT - STATE_DR0];
		struct {
			u64 dr[4];
			u64 xcr0;
			u64 tsc_aux;
			u64 tsc_ratio;	/* 0: not scaled */
			u64 debug;	/* STATE_DEBUG_*: the VMM debugs; 0: the guest's own debugging only */
			struct events events;
		};
	};
	u32 dr_live;		/* the guest uses DR0 to DR3: switch them */
	u32 cr0_shown;		/* SVM: CR0.CD and NW, which the guest sees and the processor does not */
	u32 work;		/* 0: nothing special at the next entry (no event, window, debugging) */
	u32 window;		/* this run's request_window */
	u32 vector_waits;	/* the LAPIC has an interrupt that waits for its window */
	u32 apicv;		/* the processor itself delivers the LAPIC's */
	struct lapic_page *lapic;	/* the service VM's memory; NULL: none */
	u32 asid;
	u64 asid_generation;
	struct cpu *asid_cpu;
};

struct vm_arch {
};

/* The service VM's first state on a CPU: 64-bit mode, flat, interrupts off. */
struct service_entry {
	u64 rip, rsi, cr3;
};

/*
 * One backend. All called with interrupts held off (GIF = 0, or IF = 0 in VMX
 * root), on the CPU they speak of.
 */
struct backend {
	const char *name;
	const struct service_msr *msrs;			/* of the service VM that exit; the last is empty */
	const struct pt_format *format;			/* second-stage tables */
	u64 leaf, leaf_write, leaf_written;		/* bits of a leaf: always; writable; machine_guest's */
	u64 (*leaf_type)(u64 pa, u64 *end);		/* the service VM's leaf: its memory type; NULL: MTRRs count by themselves */
	u64 leaf_guest;					/* more bits of a user VM's leaf */
	int (*leaf_max)(void);				/* highest leaf level */
	int (*present)(void);				/* the CPU knows these instructions */
	const char *(*missing)(void);			/* what it lacks then, in words for the user; NULL: nothing */
	void (*maps_init)(struct pool *pool);		/* boot: what all CPUs share */
	void (*cpu_enable)(struct cpu *cpu);
	void (*service_init)(struct cpu *cpu, const struct service_entry *e);
	void (*service_wait)(struct cpu *cpu);		/* a CPU that is not started: until the service VM starts it */
	void (*service_loop)(struct cpu *cpu) NORETURN;
	int (*vcpu_init)(struct vcpu *v);		/* 0 or -ENOMEM */
	int (*run)(struct cpu *cpu, struct vcpu *v);	/* KVM_RUN, 0: takes over the exit page, stays in the guest until there is an exit for the driver */
	void (*hold)(struct vcpu *v, enum vcpu_hold hold);	/* machine_vcpu_hold(): what follows wants VCPU_OPEN */
	int (*state_get)(struct vcpu *v, u32 field, u64 *value);	/* STATE_*; 0: not in the state block */
	int (*state_set)(struct vcpu *v, u32 field, u64 value);
	void (*get_regs)(struct vcpu *v, struct abi_regs *r);
	void (*set_regs)(struct vcpu *v, const struct abi_regs *r);
	void (*refresh)(struct vcpu *v);		/* arch.debug, dr_live and events.nmi_masked were set from outside */
	void (*apic_status)(u32 status);		/* with apicv: highest vector of IRR; of ISR << 8 */
	void (*event_inject)(struct vcpu *v, u64 event);	/* goes in with the next entry */
	u32 (*event_blocked)(struct vcpu *v);		/* BLOCKED_BY_* now */
	void (*event_windows)(struct vcpu *v, u32 windows);	/* the exits of these WINDOW_*, and of no others */
	void (*event_step)(struct vcpu *v, int on);	/* the trap flag for the VMM's single step */
};

extern const struct backend svm_backend, vmx_backend;
extern const struct backend *backend;

/* ---- guest/ ---- */
extern int cpu_has_ibpb, cpu_has_tsc_aux;
/* 0: the CPU cannot scale a guest's TSC; ABI_FEATURE_*, but for that. */
extern u64 tsc_ratio_max, abi_features;
void fpu_init(void);				/* boot: which components there are */
#define FPU_XCR0_RESET 0x1ull
extern u64 fpu_mask;				/* XCR0 bits that a guest may set; 0: no XSAVE */
extern u32 fpu_pointers_stay;			/* 1: an AMD processor whose FP restore leaves the last instruction's addresses */
extern u32 fpu_bytes;				/* of the area for all of them */
int fpu_xcr0_valid(u64 xcr0, u64 allowed);	/* XSETBV would take it */
int fpu_set(struct vcpu *v, const u8 *image);	/* 4096 bytes of KVM_SET_XSAVE; 1: not valid */

/* CPUID for the guest's current EAX, ECX. 0: the driver's to answer. */
int cpuid_guest(struct vcpu *v);
/* CPUID as the service VM sees it. cr4 decides OSXSAVE and OSPKE. */
struct cpuid cpuid_service(u32 leaf, u32 subleaf, u64 cr4);


/* ---- guest/run.c: parts of exits.h's resume(); the state block is open ---- */
void resume_regs(struct vcpu *v, const struct abi_regs *from);
void resume_events(struct vcpu *v, u32 flags, const struct exit_resume *in);

/* ---- guest/event.c ---- */

/* An event as both manuals encode it. */
#define EVENT_VALID (1u << 31)
#define EVENT_ERROR (1u << 11)
#define EVENT_VECTOR(e) ((e) & 0xff)
#define EVENT_TYPE(e) ((e) >> 8 & 7)
enum event_type { EVENT_INTR = 0, EVENT_NMI = 2, EVENT_EXCEPTION = 3, EVENT_SOFT = 4, EVENT_OTHER = 7 };

/* Why no interrupt can be taken now: the shadow of STI or MOV SS (no NMI either), or IF = 0. CR8 lies above. */
enum { BLOCKED_BY_SHADOW = 1, BLOCKED_BY_IF = 2, BLOCKED_CR8 = 4 /* shift */ };
/* An exit as soon as one can be taken; WINDOW_TPR(n): as soon as CR8 is below n. */
enum { WINDOW_INTERRUPT = 1, WINDOW_NMI = 2 };
#define WINDOW_TPR(n) ((n) << 4)

void queue_exception(struct vcpu *v, u32 vector, int has_error, u32 error);
/* An interrupt that was acknowledged already: KVM_INTERRUPT's, the PIC's. */
void queue_interrupt(struct vcpu *v, u32 vector);
/* Before an entry with work set. */
void event_in(struct vcpu *v);
/* After an exit that something special led to: `event` is the one whose delivery it interrupted. */
void event_out(struct vcpu *v, u64 event);
void event_requeue(struct vcpu *v, u64 event);
/* The interrupt window's exit. 1: it was the driver's wish, 0: it was an event's. */
int event_window_open(struct vcpu *v);
/* Behind a HLT with this IF: 1: an interrupt of the LAPIC goes in at once. */
int event_ends_hlt(struct vcpu *v, u64 rflags);

/* ---- guest/lapic.c ---- */

/* The vector that beats all in service and CR8, or 0; one that CR8 alone stops is a window. */
u32 lapic_next(struct vcpu *v, u32 cr8, u32 *windows);
/* It goes in: from IRR to ISR. */
void lapic_accept(struct vcpu *v, u32 vector);
/* A guest's WRMSR: EXIT_NONE: done; EXIT_EOI: done, and the driver is to know of the vector in out.data; EXIT_MSR: not ours. */
u32 lapic_wrmsr(struct vcpu *v, u32 msr, u64 value);

#endif
