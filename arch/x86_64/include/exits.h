/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exits.h - exits of a user vCPU that both backends handle alike. Each one's
 * exit.c defines the accessors guest_*() and includes this file, so that the
 * shared handlers cost no call.
 *
 * A handler returns 0: the guest goes on, or 1: the exit page says what the
 * driver has to do. The accessors:
 *   guest_rax, guest_rip, guest_rflags, guest_cs_base, guest_cr8,
 *   guest_cpl, guest_shadow    what their names say; guest_rax a pointer
 *   guest_wide                 64-bit code
 *   guest_set_*                another value of it
 *   guest_next_rip, guest_skip the end of an instruction of that length; RIP goes there
 *   guest_full                 the rest of what a decoder needs, into the exit page
 *   guest_tag                  another ASID or VPID; all: every tag's translations go
 */
#ifndef EXITS_H
#define EXITS_H

#include "vm.h"
#include "vcpu_arch.h"

typedef int (*exit_fn)(struct cpu *cpu, struct vcpu *v);

struct exit_row {
	exit_fn fn;
	u32 stat;
};

/* ---- TLB tags ---- */

/* A fresh one has no old translations; when they run out, all go at once (APM vol. 2, 15.16.1; SDM vol. 3, 29.4.3.3). */
static NOINLINE void tag_new(struct cpu *cpu, struct vcpu *v)
{
	int all = cpu->asid_next > cpu->asid_max;

	if (all) {
		cpu->asid_next = ASID_SERVICE + 1;
		cpu->asid_generation++;
	}
	guest_tag(v, cpu->asid_next++, all);
	v->arch.asid_cpu = cpu;
	v->arch.asid_generation = cpu->asid_generation;
}

/* Pairs with vm_flush(): in_guest is set before the generation is read. */
static inline void tlb_in(struct cpu *cpu, struct vcpu *v)
{
	u64 generation;

	v->cpu = cpu->index;
	__atomic_exchange_n(&v->in_guest, 1, __ATOMIC_SEQ_CST);
	generation = __atomic_load_n(&v->vm->generation, __ATOMIC_SEQ_CST);
	if (unlikely(v->seen != generation || v->arch.asid_cpu != cpu ||
		     v->arch.asid_generation != cpu->asid_generation)) {
		tag_new(cpu, v);
		WRITE_ONCE(v->seen, generation);
	}
}

/* ---- from the driver ---- */

static inline void resume_fields(struct vcpu *v, u32 flags, const struct exit_resume *in)
{
	u64 cr8;

	if (flags & RESUME_RAX)
		*guest_rax(v) = READ_ONCE(in->rax);
	if (flags & RESUME_RDX)
		v->arch.regs.rdx = READ_ONCE(in->rdx);
	if (flags & RESUME_RIP)
		guest_set_rip(v, READ_ONCE(in->rip));
	if (flags & (RESUME_RIP | RESUME_REGS))
		guest_set_shadow(v, flags & RESUME_SHADOW_STI);
	if (!(flags & RESUME_CR8))
		return;
	cr8 = READ_ONCE(in->cr8) & 15;
	/* Another one may let an interrupt in, or stop it. */
	if (cr8 != guest_cr8(v)) {
		guest_set_cr8(v, cr8);
		v->arch.work = 1;
	}
}

/* The driver's half of the exit page, each field read once; its flags. */
static inline u32 resume(struct vcpu *v)
{
	const struct exit_resume *in = &v->page->in;
	u32 flags = READ_ONCE(in->flags), window = READ_ONCE(in->request_window);

	if (unlikely(window != v->arch.window)) {
		v->arch.window = window;
		v->arch.work = 1;
	}
	if (v->arch.lapic && READ_ONCE(v->arch.lapic->pir_on))
		v->arch.work = 1;
	if (flags & RESUME_REGS)
		resume_regs(v, &in->regs);
	resume_fields(v, flags, in);
	if (unlikely(flags & (RESUME_INJECT | RESUME_INTERRUPT)))
		resume_events(v, flags, in);
	return flags;
}

/* ---- for the driver ---- */

/* What every exit tells. ready: an interrupt given now would be taken at the next entry. */
static inline int exit_common(struct vcpu *v, u32 reason)
{
	const struct events *e = &v->arch.events;
	struct exit_state *x = &v->page->out;
	u64 rflags = guest_rflags(v);

	x->reason = reason;
	x->rip = guest_rip(v);
	x->rflags = rflags;
	x->cs_base = guest_cs_base(v);
	x->cr8 = guest_cr8(v);
	x->if_flag = rflags >> 9 & 1;
	x->ready = x->if_flag && !guest_shadow(v) && !(v->arch.work && (e->exception || e->nmi_injected || e->interrupt));
	return 1;
}

static int exit_full(struct vcpu *v, u32 reason, u64 data)
{
	struct exit_state *x = &v->page->out;

	exit_common(v, reason);
	x->data = data;
	x->insn_len = 0;
	x->cpl = guest_cpl(v);
	x->shadow = (u32)guest_shadow(v);
	guest_full(v, x);
	return 1;
}

static int exit_interrupt(struct cpu *cpu, struct vcpu *v)
{
	return exit_common(v, EXIT_INTR);
}

/*
 * #DB and #AC: their delivery can meet the next one, which comes before any interrupt, for ever. So the service VM
 * has its turn in between, where processors without the intercept hung (CVE-2015-5307, CVE-2015-8104).
 */
static int exit_reflect(struct cpu *cpu, struct vcpu *v, u32 vector, int has_error)
{
	queue_exception(v, vector, has_error, 0);
	return exit_interrupt(cpu, v);
}

static int exit_emulate(struct cpu *cpu, struct vcpu *v)
{
	return exit_full(v, EXIT_EMULATE, 0);
}

/* #UD: perhaps the other vendor's hypercall instruction, which KVM answers too. */
static inline int exit_ud(struct cpu *cpu, struct vcpu *v)
{
	return exit_full(v, EXIT_EMULATE, VECTOR_UD);
}

static int exit_hlt(struct cpu *cpu, struct vcpu *v)
{
	guest_skip(v, 1);
	return event_ends_hlt(v, guest_rflags(v)) ? 0 : exit_common(v, EXIT_HLT);
}

static inline int exit_port(struct vcpu *v, u32 port, u32 size, u32 write, u64 next_rip)
{
	struct exit_state *x = &v->page->out;

	exit_common(v, EXIT_IO);
	x->port = port;
	x->size = size;
	x->write = write;
	x->data = *guest_rax(v);
	x->next_rip = next_rip;
	return 1;
}

/* What passes without an exit is in the backend's bitmap; all else is the driver's. */
static int exit_register(struct vcpu *v, u32 write)
{
	struct exit_state *x = &v->page->out;
	u64 value = (u32)*guest_rax(v) | v->arch.regs.rdx << 32;
	u32 reason = write ? lapic_wrmsr(v, (u32)v->arch.regs.rcx, value) : EXIT_MSR;

	if (reason != EXIT_MSR) {
		guest_skip(v, 2);
		return reason == EXIT_NONE ? 0 : exit_common(v, reason);
	}
	exit_common(v, EXIT_MSR);
	x->port = (u32)v->arch.regs.rcx;
	x->write = write;
	x->data = value;
	x->next_rip = guest_next_rip(v, 2);
	return 1;
}

/* On SVM the state is undefined after it; the driver resets it there, as KVM does. */
static int exit_shutdown(struct cpu *cpu, struct vcpu *v)
{
	return exit_common(v, EXIT_SHUTDOWN);
}

static int exit_debug(struct vcpu *v, u32 vector, u64 dr6, u64 dr7)
{
	struct exit_state *x = &v->page->out;

	exit_common(v, EXIT_DEBUG);
	x->data = vector;
	x->qual[0] = dr6;
	x->qual[1] = dr7;
	return 1;
}

static int exit_refused(struct vcpu *v, u64 reason)
{
	v->page->out.data = reason;
	return exit_common(v, EXIT_FAIL_ENTRY);
}

/* KVM's suberror for an exit that it cannot name: KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON. */
#define INTERNAL_UNEXPECTED 4

static int exit_unknown(struct vcpu *v, u64 code)
{
	struct exit_state *x = &v->page->out;

	exit_common(v, EXIT_INTERNAL);
	x->data = INTERNAL_UNEXPECTED;
	x->qual[0] = code;
	x->qual[1] = v->cpu;
	x->qual_count = 2;
	return 1;
}

/* ---- answered here ---- */

static int exit_gp(struct cpu *cpu, struct vcpu *v)
{
	queue_exception(v, VECTOR_GP, 1, 0);
	return 0;
}

static int exit_undefined(struct cpu *cpu, struct vcpu *v)
{
	queue_exception(v, VECTOR_UD, 0, 0);
	return 0;
}

/* WBINVD, INVD: our guests' memory is coherent. */
static int exit_skip2(struct cpu *cpu, struct vcpu *v)
{
	guest_skip(v, 2);
	return 0;
}

/* MONITOR, MWAIT: no more than a NOP, as KVM without KVM_X86_DISABLE_EXITS_MWAIT. */
static int exit_monitor(struct cpu *cpu, struct vcpu *v)
{
	if (v->arch.debug & STATE_DEBUG_MWAIT)
		return exit_undefined(cpu, v);
	guest_skip(v, 3);
	return 0;
}

static int exit_cpuid(struct cpu *cpu, struct vcpu *v)
{
	v->arch.regs.rax = *guest_rax(v);
	if (unlikely(!cpuid_guest(v))) {
		v->page->out.next_rip = guest_next_rip(v, 2);
		return exit_full(v, EXIT_CPUID, 0);
	}
	*guest_rax(v) = v->arch.regs.rax;
	guest_skip(v, 2);
	return 0;
}

/* KVM's answers (Documentation/virt/kvm/x86/hypercalls): we offer none of its calls but the one that needs no state. */
#define KVM_HC_VAPIC_POLL_IRQ 1
#define KVM_ENOSYS 1000
#define KVM_EPERM 1

static int exit_hypercall(struct cpu *cpu, struct vcpu *v)
{
	int wide = guest_wide(v);
	u64 *rax = guest_rax(v), number = wide ? *rax : (u32)*rax;
	s64 result = guest_cpl(v) ? -KVM_EPERM : number == KVM_HC_VAPIC_POLL_IRQ ? 0 : -KVM_ENOSYS;

	*rax = wide ? (u64)result : (u32)result;
	guest_skip(v, 3);
	return 0;
}

static int exit_xsetbv(struct cpu *cpu, struct vcpu *v)
{
	u64 value = (u32)*guest_rax(v) | v->arch.regs.rdx << 32;

	if (guest_cpl(v) || (u32)v->arch.regs.rcx || !fpu_xcr0_valid(value, fpu_mask))
		return exit_gp(cpu, v);
	xsetbv(value);
	v->arch.xcr0 = value;
	guest_skip(v, 3);
	return 0;
}

#endif
