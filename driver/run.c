// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * run.c - KVM_RUN: the loop between the guest and its VMM.
 *
 * Owns: the order of KVM_RUN's steps, which VMMs rely on: the checks, then the
 * completion of the last exit, then immediate_exit, then entries.
 * Invariant: an entry follows a look at signals, rescheduling and requests with
 * interrupts off all the while, so that no kick is lost.
 * Called by: vcpu.c. Calls: the ring, and the architecture's exit table.
 * Concurrency: v->lock; may sleep between entries.
 * See: abi/x86_64/exit.h, docs/flow.md.
 */
#include <linux/sched/signal.h>

#include "tenon.h"
#include "trace.h"

/* need_resched() and signal_pending() in one look. */
#define RUN_STOPPERS (_TIF_NEED_RESCHED | _TIF_SIGPENDING | _TIF_NOTIFY_SIGNAL)

/* As KVM does: the mask counts while a signal is looked for, and no longer. */
static void run_mask_signals(struct vcpu *v)
{
	if (v->sigset_active)
		sigprocmask(SIG_SETMASK, &v->sigset, &current->real_blocked);
}

static void run_unmask_signals(struct vcpu *v)
{
	if (!v->sigset_active)
		return;
	sigprocmask(SIG_SETMASK, &current->real_blocked, NULL);
	sigemptyset(&current->real_blocked);
}

/* What keeps the guest from being entered: 1 when it is done with, -EINTR for a signal. */
static int run_work(struct vcpu *v)
{
	if (signal_pending(current)) {
		v->run->exit_reason = KVM_EXIT_INTR;
		v->counters.signal_exits++;
		return -EINTR;
	}
	cond_resched();
	return arch_run_work(v);
}

/* The thread has changed CPU: 1 to look again, or -errno. */
static noinline int run_move(struct vcpu *v)
{
	int rc;

	preempt_disable();
	local_irq_enable();
	rc = vcpu_bind(v);
	preempt_enable();
	return rc ? rc : 1;
}

/*
 * One entry. A physical interrupt that ends the guest is taken where
 * interrupts are opened; PF_VCPU covers that, so the tick counts guest time.
 */
static int run_enter(struct vcpu *v)
{
	s64 rc;

	local_irq_disable();
	if (unlikely(v->cpu != smp_processor_id()))
		return run_move(v);
	/* Who wants something of this vCPU writes it, then looks at in_guest. */
	smp_store_mb(v->in_guest, 1);
	if (unlikely(READ_ONCE(current_thread_info()->flags) & RUN_STOPPERS || arch_run_pending(v))) {
		WRITE_ONCE(v->in_guest, 0);
		local_irq_enable();
		return run_work(v);
	}
	arch_run_enter(v);
	trace_kvm_entry(v);
	current->flags |= PF_VCPU;
	__this_cpu_inc(ring_counts[OPX_KVM_RUN]);
	rc = arch_hypercall(HC_RUN, v->handle);
	if (static_branch_unlikely(&log_key) && arch_log_on(v) && rc >= 0)
		log_drain(v);
	/* Who sees this sees what the stay has left. */
	smp_store_release(&v->in_guest, 0);
	local_irq_enable();
	current->flags &= ~PF_VCPU;
	if (unlikely(rc < 0))
		return rc;
	v->entered = true;
	v->counters.exits++;
	trace_kvm_exit(v);
	return arch_run_exit(v);
}

static int run_loop(struct vcpu *v)
{
	int rc;

	do {
		rc = run_enter(v);
		if (rc > 0)
			rc = arch_run_again(v);
	} while (rc > 0);
	return rc;
}

/* Everything before the first entry: 1 to go on. */
static int run_begin(struct vcpu *v)
{
	int (*complete)(struct vcpu *v);
	bool immediate = compat_immediate_exit(v->run);
	int rc = arch_run_start(v, immediate);

	if (rc <= 0)
		return rc;
	rc = arch_run_take_regs(v);
	if (!rc)
		rc = arch_run_begin(v);
	if (rc)
		return rc;
	complete = v->complete;	/* registers from the VMM may have ended it */
	if (complete) {
		v->complete = NULL;
		rc = complete(v);
		if (rc <= 0)
			return rc;
	}
	return immediate ? -EINTR : arch_run_ready(v);
}

/* Apart, so that run_vcpu() has nothing to keep for it. */
static noinline int run_trace_end(struct vcpu *v, int rc)
{
	trace_kvm_userspace_exit(v, rc);
	return rc;
}

long run_vcpu(struct vcpu *v)
{
	int rc;

	run_mask_signals(v);
	v->run->flags = 0;
	v->entered = false;
	rc = run_begin(v);
	if (rc > 0)
		rc = run_loop(v);
	arch_run_end(v);
	if (unlikely(READ_ONCE(v->run->kvm_valid_regs)))
		arch_run_give_regs(v);
	run_unmask_signals(v);
	return trace_kvm_userspace_exit_enabled() ? run_trace_end(v, rc) : rc;
}
