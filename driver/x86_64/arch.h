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

#include "x86_64/check.h"
#include "x86_64/exit.h"
#include "x86_64/kvm.h"
#include "x86_64/apic.h"

static inline bool arch_is_amd(void)
{
	return boot_cpu_data.x86_vendor == X86_VENDOR_AMD || boot_cpu_data.x86_vendor == X86_VENDOR_HYGON;
}

/* Keeps every register but RAX (abi/hypercall.h). One instruction for AMD's processors, one for Intel's. */
static inline s64 arch_hypercall(u64 number, u64 arg)
{
	s64 result;

	asm volatile(ALTERNATIVE("vmcall", "vmmcall", X86_FEATURE_VMMCALL)
		     : "=a" (result) : "a" (number), "D" (arg) : "memory");
	return result;
}

#define ARCH_MMAP_PAGES 3	/* kvm_run, port data, coalesced ring */
#define ARCH_PIO_PAGE KVM_PIO_PAGE_OFFSET
#define ARCH_COALESCED_PAGE KVM_COALESCED_MMIO_PAGE_OFFSET

/* Flags of KVM_GET_CLOCK that KVM_SET_CLOCK accepts back. */
#define CLOCK_FLAGS (KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)

/* Index of struct exit_stats: what statistics call it. */
#define ARCH_EXIT_NAMES \
	[EXIT_INTR] = "intr", [EXIT_IO] = "io", [EXIT_HLT] = "hlt", [EXIT_FAULT] = "fault", \
	[EXIT_EMULATE] = "emulate", [EXIT_IRQ_WINDOW] = "irq_window", [EXIT_SHUTDOWN] = "shutdown", \
	[EXIT_FAIL_ENTRY] = "fail_entry", [EXIT_DEBUG] = "debug", [EXIT_TASK] = "task_switch", \
	[EXIT_INTERNAL] = "internal", [EXIT_CPUID] = "cpuid", [EXIT_MSR] = "msr", [EXIT_CR] = "cr", \
	[EXIT_DR] = "dr", [EXIT_HYPERCALL] = "hypercall", [EXIT_EXCEPTION] = "exception", \
	[EXIT_NMI] = "nmi", [EXIT_OTHER] = "other", [EXIT_EOI] = "eoi", [EXIT_LOG] = "log_full",

/* tsc.c: the guest's TSC, which may run at another rate than the machine's. */
u64 tsc_guest(const struct vcpu *v, u64 machine);
u32 tsc_guest_khz(const struct vcpu *v);	/* measured as the hardware scales it */
/* The VM's vCPUs are to count from `machine`'s instant. */
void tsc_start(struct vm *vm, u32 khz, u64 machine);
int tsc_vcpu_init(struct vcpu *v);
int tsc_set(struct vcpu *v, u64 value, bool host);
void tsc_offers(void);
bool tsc_control(void);
long tsc_get_khz(void *object, unsigned long arg);
long tsc_set_khz(void *object, unsigned long arg);
long tsc_vm_get_khz(void *object, unsigned long arg);
long tsc_vm_set_khz(void *object, unsigned long arg);

/* caps.c. Values of KVM_CHECK_EXTENSION; 0 for every other number. */
struct walk;

struct cap_row {
	u32 cap;
	u32 value;
};

/* The processor can log a guest's writes. */
bool arch_has_log(void);
/* The next stay is to be as vm.log says. */
static inline void arch_log_ask(struct vcpu *v)
{
	vcpu_request(v, REQUEST_LOG);
}
/* The stay has the log on. */
static inline bool arch_log_on(const struct vcpu *v)
{
	return READ_ONCE(v->exit->in.log);
}
/* Its entries: how many. */
static inline u32 arch_log(const struct vcpu *v, const u64 **entry)
{
	const u64 *page = (void *)v->exit + (vcpu_has_lapic(v) ? 2 : 1) * PAGE_SIZE;
	u32 count = min(v->exit->out.logged, LOG_ENTRIES);

	*entry = page + LOG_ENTRIES - count;
	return count;
}

int arch_init(void);
void arch_exit(void);
bool arch_detect(void);
long arch_cap(const struct vm *vm, u32 cap);	/* vm NULL: of /dev/kvm */
u64 arch_max_gfn(void);

/* ioctl.c: tables that a zero row ends; the errno for a number in none. */
extern const struct ioctl_row arch_system_ioctls[];
extern const struct ioctl_row arch_vm_ioctls[];
extern const struct ioctl_row arch_vcpu_ioctls[];
#define ARCH_VM_NO_IOCTL (-ENOTTY)

void arch_vm_init(struct vm *vm);
/* Before a vCPU of that number is made: 0 or -errno. */
int arch_vcpu_precreate(struct vm *vm, u32 id);
/* KVM_ENABLE_CAP of a vCPU. */
int arch_vcpu_enable_cap(struct vcpu *v, const struct kvm_enable_cap *cap);
/* KVM_ENABLE_CAP of a capability that is the architecture's; flags are 0. */
int arch_vm_enable_cap(struct vm *vm, const struct kvm_enable_cap *cap);
/* The VM's descriptor is closed; vCPUs may still run. May sleep. */
void arch_vm_close(struct vm *vm);
/* Nothing runs any more: end what would act by itself, before the hypervisor's VM ends. */
void arch_vm_stop(struct vm *vm);
/* And its memory. */
void arch_vm_free(struct vm *vm);
/* VCPU_* of a new vCPU. */
u32 arch_vcpu_flags(const struct vm *vm);
/* It is the VM's for good: others may find it. */
void arch_vcpu_publish(struct vcpu *v);
static inline int arch_vcpu_alloc(struct vcpu *v) { return 0; }
int arch_vcpu_init(struct vcpu *v);
void arch_vcpu_free(struct vcpu *v);
/* After a forwarded operation succeeded: keep the driver's copies true. */
void arch_vcpu_forwarded(struct vcpu *v, enum op_index op, const void *payload);
/* Before one: hand over what a KVM_RUN without an entry left pending. */
int arch_vcpu_flush(struct vcpu *v);

/* state.c. 0 or -errno; a value that would fault in the hypervisor's hands is -EINVAL. */
int state_read(struct vcpu *v, struct state_fields *s);
int state_write(struct vcpu *v, const struct state_fields *s);
int state_read_one(struct vcpu *v, u32 field, u64 *value);
int state_write_one(struct vcpu *v, u32 field, u64 value);
static inline void state_put(struct state_fields *s, u32 field, u64 value)
{
	s->fields |= 1ull << field;
	s->value[field] = value;
}
#define NMI_PENDING 0xffull	/* of STATE_NMI */
#define NMI_INJECTED 0x100ull
#define NMI_MASKED 0x10000ull
#define NMI_IRET 0xff000000ull	/* not 0: the hypervisor sees an IRET that ends the mask */
void state_put_exception(struct state_fields *s, u32 vector, bool has_error, u32 error);
int state_init(struct vcpu *v);		/* once, with the vCPU */
int state_reset(struct vcpu *v);	/* as after INIT or RESET */
int state_get_sregs(struct vcpu *v, struct abi_sregs *s);
int state_set_sregs(struct vcpu *v, const struct abi_sregs *s);	/* no check */
int state_get_debugregs(struct vcpu *v, struct abi_debugregs *d);
int state_set_debugregs(struct vcpu *v, const struct abi_debugregs *d);
int state_get_events(struct vcpu *v, struct abi_vcpu_events *e);
/* With KVM's checks: 0, -EINVAL, or the hypervisor's error. */
int state_apply_sregs(struct vcpu *v, const struct abi_sregs *s);
int state_apply_events(struct vcpu *v, const struct abi_vcpu_events *e);
int state_set_tsc_offset(struct vcpu *v, u64 offset);
int state_set_tsc_ratio(struct vcpu *v, u64 ratio);
int state_add_nmi(struct vcpu *v);	/* as KVM_NMI */
int state_deliver_payload(struct vcpu *v);	/* DR6 or CR2 of the VMM's pending exception */
void state_offers(void);
/* MOV to CR4, CR0: what KVM lets this guest set. */
bool state_cr4_valid(const struct vcpu *v, u64 cr4);
bool state_cr0_valid(u64 cr0);
/* Its rows of arch_vcpu_ioctls. */
long ioctl_get_sregs(void *object, unsigned long arg);
long ioctl_set_sregs(void *object, unsigned long arg);
long ioctl_interrupt(void *object, unsigned long arg);
long ioctl_get_events(void *object, unsigned long arg);
long ioctl_set_events(void *object, unsigned long arg);
long ioctl_get_debugregs(void *object, unsigned long arg);
long ioctl_set_debugregs(void *object, unsigned long arg);
long ioctl_set_guest_debug(void *object, unsigned long arg);
long ioctl_get_xcrs(void *object, unsigned long arg);
long ioctl_set_xcrs(void *object, unsigned long arg);
long ioctl_get_fpu(void *object, unsigned long arg);
long ioctl_set_fpu(void *object, unsigned long arg);

/* msr.c: 0, or #GP to the guest, and a VMM's list ends. host: the VMM's own access. */
#define MSR_BAD 1
#define MSR_UNKNOWN 2
#define MSR_FILTERED 3
#define ABI_MAX_MSR_ENTRIES 256u
int msr_read(struct vcpu *v, u32 msr, u64 *value, bool host);
int msr_write(struct vcpu *v, u32 msr, u64 value, bool host);
int msr_exit(struct vcpu *v);
int msr_fault(struct vcpu *v);
int msr_done(struct vcpu *v, u64 next_rip, u64 value);
int msr_init(struct vcpu *v);
/* Fills in those that KVM_GET_MSR_INDEX_LIST names; returns their number. */
u32 msr_list_all(u32 *indices);
/* Those whose value says what a guest of this machine can have; and that value, or MSR_UNKNOWN. */
u32 msr_list_features(u32 *indices);
int msr_feature(u32 msr, u64 *value);

/* mcheck.c: results as msr.c's. */
int mcheck_create(struct vcpu *v);
void mcheck_free(struct vcpu *v);
int mcheck_read(struct vcpu *v, u32 msr, u64 *value, bool host);
int mcheck_write(struct vcpu *v, u32 msr, u64 value, bool host);
long mcheck_supported(void *object, unsigned long arg);
long mcheck_setup(void *object, unsigned long arg);
long mcheck_set(void *object, unsigned long arg);

/* sync.c */
/* What the VMM has set in kvm_run: 0 or -errno. */
int sync_take(struct vcpu *v);
/* What it wants to see there. */
void sync_give(struct vcpu *v);
long sync_get_sregs2(void *object, unsigned long arg);
long sync_set_sregs2(void *object, unsigned long arg);
long sync_get_xsave2(void *object, unsigned long arg);

static inline int arch_run_take_regs(struct vcpu *v)
{
	return unlikely(READ_ONCE(v->run->kvm_valid_regs) | READ_ONCE(v->run->kvm_dirty_regs)) ? sync_take(v) : 0;
}

static inline void arch_run_give_regs(struct vcpu *v)
{
	sync_give(v);
}

/* flag.c */
void flag_init(void);
void flag_exit(void);

/* cpuid.c */
long cpuid_supported(void *object, unsigned long arg);
long cpuid_set2(void *object, unsigned long arg);
long cpuid_set_old(void *object, unsigned long arg);
long cpuid_get2(void *object, unsigned long arg);
int cpuid_init(struct vcpu *v);
/* The exit for a leaf that the hypervisor has not: as arch_run_exit(). */
int cpuid_exit(struct vcpu *v);
/* Hands the table to the hypervisor, as APIC_BASE makes it. */
void cpuid_push(struct vcpu *v);
/* The guest has a new CR4. */
void cpuid_follow_cr4(struct vcpu *v, u64 cr4);
/* EAX of leaf 1, or KVM's value without one. */
u32 cpuid_signature(const struct vcpu *v);
/* A bit that a VMM may offer. */
bool cpuid_offers(u32 leaf, u32 reg, u32 bit);
/* The extended states that a guest can have. */
u64 cpuid_xcr0_offered(void);
/* CPUID's bit of MONITOR and MWAIT. */
int cpuid_set_mwait(struct vcpu *v, bool on);
/* A bit of the guest's table; reg: 0 EAX .. 3 EDX. */
bool cpuid_has(const struct vcpu *v, u32 leaf, u32 reg, u32 bit);

/* Is there something to do before an entry? Interrupts off, in_guest published. */
static inline bool arch_run_pending(const struct vcpu *v)
{
	return READ_ONCE(v->arch.requests);
}

/* Do it: 1 = enter, 0 = KVM_RUN returns 0, -errno. May sleep. */
static inline int arch_run_work(struct vcpu *v)
{
	return v->arch.requests ? mp_work(v) : 1;
}

/* KVM_RUN's first step: 1, or what it returns. */
static inline int arch_run_start(struct vcpu *v, bool immediate)
{
	return likely(v->arch.mp_state != KVM_MP_STATE_UNINITIALIZED) ? 1 : mp_begin(v, immediate);
}

/* A fault's page would have to be waited for: true when the guest is dealt with, else wait. vm.srcu held. */
static inline bool arch_fault_begin(struct vcpu *v, u64 gfn, unsigned long hva, bool may_write)
{
	return apf_begin(v, gfn, hva, may_write);
}

/* exits.c */
/* KVM_RUN's own checks before the completion: 0 or -errno. */
int arch_run_begin(struct vcpu *v);
/* The VMM has set request_interrupt_window: does it count? */
bool arch_wants_window(struct vcpu *v);

/* Before the first entry: nothing is left to wait for, arch_run_start() has done it. */
static inline int arch_run_ready(struct vcpu *v) { return 1; }

/* Fill the driver's half for one entry. Interrupts off. */
static inline void arch_run_enter(struct vcpu *v)
{
	v->exit->in.request_window = v->arch.watch & WATCH_EXTINT ||
		(unlikely(READ_ONCE(v->run->request_interrupt_window)) && arch_wants_window(v));
}

/* The guest came back: 1 = enter again, 0 = KVM_RUN returns 0, or -errno. */
int arch_run_exit(struct vcpu *v);
/* Before another entry: 0 when the VMM waits for an interrupt window that is open, else 1. */
int arch_run_again(struct vcpu *v);
/* Fill what KVM_RUN reports with every exit. */
void arch_run_end(struct vcpu *v);

#define CR8_MAX 15u

/* emulate.c: the same three results as arch_run_exit(). vm.srcu held. */
int emulate_exit(struct vcpu *v);
/* The instruction's bytes, for trace events: as code_fetch(). */
bool emulate_peek(struct vcpu *v, u64 *bytes);
int emulate_init(struct vcpu *v);
void emulate_free(struct vcpu *v);
/* The VMM set registers while an instruction waits for it. */
void emulate_set_regs(struct vcpu *v, const struct abi_regs *regs);
void emulate_set_sregs(struct vcpu *v);
long emulate_translate(struct vcpu *v, struct kvm_translation *t, const struct abi_sregs *s);
/* Its page walk, with the registers of the exit. */
struct walk *emulate_walk(struct vcpu *v);
/* taskswitch.c: as arch_run_exit() */
int taskswitch_exit(struct vcpu *v);
void run_exit_io(struct vcpu *v, bool out, u16 port, u32 size, u32 count);
/* The guest meets an exception at its next entry. Returns 1: run again. */
struct decode_fault;
int exit_raise(struct vcpu *v, const struct decode_fault *fault);

#endif
