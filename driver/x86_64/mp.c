// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * mp.c - a vCPU's run state with an in-kernel LAPIC: halted, waiting for INIT
 * and SIPI, running; and all that waits for it to come by before an entry.
 *
 * Owns: vcpu.arch.mp_state, and takes vcpu.arch.requests. Invariant: a vCPU that
 * is not runnable has REQUEST_STATE set, so that it never enters the guest; one
 * that is runnable and has it waits for a page.
 * Called by: run.c through arch_run_begin() and arch_run_work(). Calls: apic.c, the ring.
 * Concurrency: v->lock; sleeps.
 * See: SDM volume 3, 8.4 (INIT and SIPI); Documentation/virt/kvm/api.rst 4.38.
 */
#include <linux/rcuwait.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <asm/processor-flags.h>

#include "tenon.h"
#include "irqchip.h"
#include "trace.h"

#define DR6_RESET 0xffff0ff0ull
#define DR7_RESET 0x400ull
#define RESET_RIP 0xfff0ull
#define RESET_CS 0xf000u
#define RESET_CS_BASE 0xffff0000ull
#define CR0_KEPT (X86_CR0_CD | X86_CR0_NW)

static void set_state(struct vcpu *v, u32 state)
{
	v->arch.mp_state = state;
	if (state == KVM_MP_STATE_RUNNABLE)
		clear_bit(REQUEST_STATE, &v->arch.requests);
	else
		set_bit(REQUEST_STATE, &v->arch.requests);
}

/* ---- INIT and SIPI ---- */

#define BITS(first, last) ((BIT_ULL((last) - (first) + 1) - 1) << (first))
/* What INIT sets; MSRs, extended state and the VMM's debugging stay (table 10-1). */
#define INIT_FIELDS (BITS(0, STATE_DR7) | BIT_ULL(STATE_SHADOW) | BITS(STATE_EXCEPTION, STATE_NMI))

static int set_rip(struct vcpu *v, struct abi_regs *regs, u64 rip)
{
	regs->rip = rip;
	v->arch.if_flag = 0;
	/* What KVM_RUN reports is no longer what the exit page says; that it has run is. */
	if (v->entered) {
		v->arch.ran = true;
		v->arch.pdptes_kept = false;
	}
	v->entered = false;
	return vcpu_call(v, OPX_KVM_SET_REGS, regs, sizeof(*regs), NULL);
}

/* The state after power-up, but for CD and NW. */
static int reset_fields(struct vcpu *v)
{
	struct abi_debugregs debug = { .dr6 = DR6_RESET, .dr7 = DR7_RESET };
	struct state_fields s = *v->arch.reset;
	u64 cr0;
	int rc = state_read_one(v, STATE_CR0, &cr0);

	s.fields = INIT_FIELDS;
	s.value[STATE_CR0] = (s.value[STATE_CR0] & ~(u64)CR0_KEPT) | (cr0 & CR0_KEPT);
	v->arch.cs_base = s.value[2 * SEG_CS + 1];
	return rc ?: state_write(v, &s) ?: state_set_debugregs(v, &debug);
}

/* What the guest shares with us is no longer its own, as in KVM. */
void mp_reset_paravirtual(struct vcpu *v)
{
	apf_reset(v);
	v->arch.steal.msr = 0;
	WRITE_ONCE(v->arch.clock.msr, 0);
}

static int take_init(struct vcpu *v)
{
	struct abi_regs regs = { .rflags = X86_EFLAGS_FIXED, .rdx = cpuid_signature(v) };

	v->complete = NULL;
	v->exit->in.flags = 0;
	atomic_set(&v->arch.nmi_queued, 0);
	apic_reset(v, true);
	mp_reset_paravirtual(v);
	set_state(v, v->arch.lapic.bsp ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_INIT_RECEIVED);
	return reset_fields(v) ?: set_rip(v, &regs, RESET_RIP);
}

static int take_sipi(struct vcpu *v)
{
	struct state_fields s = {};
	struct abi_regs regs;
	u64 vector;
	int rc;

	if (v->arch.mp_state != KVM_MP_STATE_INIT_RECEIVED)
		return 0;
	smp_rmb();
	vector = READ_ONCE(v->arch.sipi_vector);
	state_put(&s, 2 * SEG_CS, (v->arch.reset->value[2 * SEG_CS] & ~0xffffull) | vector << 8);
	state_put(&s, 2 * SEG_CS + 1, vector << 12);
	v->arch.cs_base = vector << 12;
	set_state(v, KVM_MP_STATE_RUNNABLE);
	rc = state_write(v, &s) ?: vcpu_call(v, OPX_KVM_GET_REGS, NULL, 0, &regs);
	return rc ?: set_rip(v, &regs, 0);
}

int mp_accept(struct vcpu *v)
{
	int rc = 0;

	if (test_and_clear_bit(REQUEST_INIT, &v->arch.requests))
		rc = take_init(v);
	if (!rc && test_and_clear_bit(REQUEST_SIPI, &v->arch.requests))
		rc = take_sipi(v);
	return rc;
}

/* ---- events ---- */

int mp_deliver_nmi(struct vcpu *v)
{
	int count, rc = 0;

	if (!test_and_clear_bit(REQUEST_NMI, &v->arch.requests))
		return 0;
	/* The hypervisor keeps two at most. */
	for (count = min(atomic_xchg(&v->arch.nmi_queued, 0), 2); count && !rc; count--)
		rc = state_add_nmi(v);
	v->arch.events_unknown = true;
	return rc;
}

/* Does an NMI or exception that the hypervisor holds end a HLT? Asked when one may have come. */
static bool event_waits(struct vcpu *v)
{
	struct state_fields s;
	u64 nmi;

	if (!v->arch.events_unknown)
		return false;
	v->arch.events_unknown = false;
	if (state_read(v, &s))
		return true;
	nmi = s.value[STATE_NMI];
	return s.value[STATE_EXCEPTION] || nmi & NMI_INJECTED || (nmi & NMI_PENDING && !(nmi & NMI_MASKED));
}

/* The PIC's interrupt: now, if the guest can take it, else when it can. */
static void look_at_pic(struct vcpu *v)
{
	struct exit_resume *in = &v->exit->in;
	int vector;

	v->arch.watch &= ~WATCH_EXTINT;
	if (!apic_has_extint(v))
		return;
	if (!v->entered || !v->exit->out.ready || in->flags & (RESUME_INJECT | RESUME_SHADOW_STI | RESUME_INTERRUPT)) {
		v->arch.watch |= WATCH_EXTINT;
		return;
	}
	vector = apic_take_extint(v);
	if (vector >= 0) {
		trace_kvm_inj_virq(vector, false, false);
		in->interrupt = vector;
		in->flags |= RESUME_INTERRUPT;
	}
	/* The next one, if there is one, waits for the window after this. */
	if (apic_has_extint(v))
		v->arch.watch |= WATCH_EXTINT;
}

/* ---- waiting ---- */

/* What ends the wait of a vCPU that is not runnable. Any state of the task: it may not sleep. */
static bool wakes(struct vcpu *v)
{
	unsigned long events = BIT(REQUEST_INIT) | BIT(REQUEST_SIPI) | BIT(REQUEST_NMI) | BIT(REQUEST_UNHALT);

	if (READ_ONCE(v->arch.requests) & events || apf_pending(&v->arch.apf))
		return true;
	return v->arch.if_flag && (lapic_pending(&v->arch.lapic) >= 0 || apic_has_extint(v));
}

/* Sleep until it wakes: 0, or -EINTR. */
static int block(struct vcpu *v)
{
	u64 from = ktime_get_ns(), ns;
	int rc;

	apic_timer_wait(v);
	WRITE_ONCE(v->counters.blocking, 1);
	rc = rcuwait_wait_event(&v->arch.wait, wakes(v), TASK_INTERRUPTIBLE);
	WRITE_ONCE(v->counters.blocking, 0);
	apic_timer_go(v);
	ns = ktime_get_ns() - from;
	v->counters.halt_wait_ns += ns;
	trace_kvm_vcpu_wakeup(ns, true, true);
	return rc;
}

/* 1: look again. */
static int wait(struct vcpu *v)
{
	bool woken = wakes(v) || event_waits(v);
	int rc;

	if (!woken)
		woken = !block(v);
	if (!woken)
		return 1;
	v->counters.halt_wakeup++;
	rc = mp_accept(v);
	if (!rc)
		rc = mp_deliver_nmi(v);
	clear_bit(REQUEST_UNHALT, &v->arch.requests);
	switch (v->arch.mp_state) {
	case KVM_MP_STATE_RUNNABLE: case KVM_MP_STATE_HALTED: case KVM_MP_STATE_AP_RESET_HOLD:
		set_state(v, KVM_MP_STATE_RUNNABLE);
	}
	return rc ? rc : 1;
}

int mp_begin(struct vcpu *v, bool immediate)
{
	int rc;

	if (immediate)
		return -EINTR;
	if (!wakes(v) && !event_waits(v))
		rcuwait_wait_event(&v->arch.wait, wakes(v), TASK_INTERRUPTIBLE);
	rc = mp_accept(v);
	if (!rc)
		rc = mp_deliver_nmi(v);
	if (rc)
		return rc;
	if (!signal_pending(current))
		return -EAGAIN;
	v->run->exit_reason = KVM_EXIT_INTR;
	return -EINTR;
}

int mp_halt(struct vcpu *v)
{
	v->arch.if_flag = v->exit->out.if_flag;
	if (!wakes(v))
		set_state(v, KVM_MP_STATE_HALTED);
	return 1;
}

/* The VMM sees a running vCPU: whatever ends the wait, the access comes again. */
void mp_wait_for_page(struct vcpu *v)
{
	v->arch.if_flag = v->exit->out.if_flag;
	set_bit(REQUEST_STATE, &v->arch.requests);
}

static int exit_to_vmm(struct vcpu *v, u32 reason)
{
	if (reason == KVM_EXIT_IOAPIC_EOI)
		v->run->eoi.vector = v->arch.eoi_vector;
	v->run->exit_reason = reason;
	return 0;
}

int mp_work(struct vcpu *v)
{
	unsigned long *requests = &v->arch.requests;
	int rc = mp_accept(v);

	if (!rc)
		rc = mp_deliver_nmi(v);
	if (rc)
		return rc;
	if (test_and_clear_bit(REQUEST_SCAN, requests))
		apic_scan(v);
	if (test_and_clear_bit(REQUEST_EOI_EXIT, requests))
		return exit_to_vmm(v, KVM_EXIT_IOAPIC_EOI);
	if (test_and_clear_bit(REQUEST_TPR_EXIT, requests))
		return exit_to_vmm(v, KVM_EXIT_TPR_ACCESS);
	if (test_and_clear_bit(REQUEST_SHUTDOWN, requests))
		return exit_to_vmm(v, KVM_EXIT_SHUTDOWN);
	if (test_bit(REQUEST_STATE, requests))
		return wait(v);
	if (test_and_clear_bit(REQUEST_PAYLOAD, requests))
		rc = state_deliver_payload(v);
	if (rc)
		return rc;
	clear_bit(REQUEST_UNHALT, requests);
	if (test_and_clear_bit(REQUEST_LOG, requests))
		WRITE_ONCE(v->exit->in.log, READ_ONCE(v->vm->log));
	if (test_and_clear_bit(REQUEST_CLOCK, requests))
		pvclock_work(v);
	if (test_and_clear_bit(REQUEST_PAGE_READY, requests))
		apf_tell_ready(v);
	if (test_and_clear_bit(REQUEST_VAPIC, requests) && v->arch.vapic_addr)
		apic_sync_vapic(v);
	if (test_and_clear_bit(REQUEST_EXTINT, requests))
		look_at_pic(v);
	return 1;
}

/* ---- the VMM ---- */

/* A VMM of old resets the boot CPU by its registers alone. */
void mp_sregs_changed(struct vcpu *v, const struct abi_sregs *s)
{
	struct abi_regs regs;

	if (!v->arch.lapic.bsp || s->cs.selector != RESET_CS || s->cs.base != RESET_CS_BASE || s->cr0 & X86_CR0_PE)
		return;
	if (!vcpu_call(v, OPX_KVM_GET_REGS, NULL, 0, &regs) && regs.rip == RESET_RIP)
		set_state(v, KVM_MP_STATE_RUNNABLE);
}

long mp_get_state(void *object, unsigned long arg)
{
	struct kvm_mp_state state;
	struct vcpu *v = object;
	int rc = mp_accept(v);

	if (rc)
		return rc;
	state.mp_state = v->arch.mp_state;
	if (state.mp_state == KVM_MP_STATE_HALTED && test_bit(REQUEST_UNHALT, &v->arch.requests))
		state.mp_state = KVM_MP_STATE_RUNNABLE;
	return copy_to_user((void __user *)arg, &state, sizeof(state)) ? -EFAULT : 0;
}

/* SIPI received: INIT received, and a SIPI (of the vector sent last) that waits. */
long mp_set_state(void *object, unsigned long arg)
{
	struct kvm_mp_state state;
	struct vcpu *v = object;

	if (copy_from_user(&state, (void __user *)arg, sizeof(state)))
		return -EFAULT;
	switch (state.mp_state) {
	case KVM_MP_STATE_RUNNABLE:
		break;
	case KVM_MP_STATE_UNINITIALIZED: case KVM_MP_STATE_HALTED: case KVM_MP_STATE_AP_RESET_HOLD:
	case KVM_MP_STATE_INIT_RECEIVED: case KVM_MP_STATE_SIPI_RECEIVED:
		if (vcpu_has_lapic(v))
			break;
		return -EINVAL;
	default:
		return -EINVAL;
	}
	if (state.mp_state == KVM_MP_STATE_SIPI_RECEIVED) {
		state.mp_state = KVM_MP_STATE_INIT_RECEIVED;
		set_bit(REQUEST_SIPI, &v->arch.requests);
	}
	set_state(v, state.mp_state);
	v->arch.events_unknown = true;
	return 0;
}

/* The state after power-up, for INITs to come. */
int mp_init(struct vcpu *v)
{
	v->arch.reset = kmalloc(sizeof(*v->arch.reset), GFP_KERNEL_ACCOUNT);
	if (!v->arch.reset)
		return -ENOMEM;
	set_bit(REQUEST_LOG, &v->arch.requests);
	set_state(v, vcpu_has_lapic(v) && !v->arch.lapic.bsp ? KVM_MP_STATE_UNINITIALIZED : KVM_MP_STATE_RUNNABLE);
	return state_read(v, v->arch.reset);
}

void mp_free(struct vcpu *v)
{
	kfree(v->arch.reset);
}
