/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * event.c - exceptions, NMIs and interrupts on their way into a user vCPU: what
 * goes in at an entry, what an exit threw back, which window has to open.
 *
 * Invariant: work is set while an event waits, so that an entry without any
 * costs one test. One event goes in at a time; the others keep waiting.
 * Called by: the backends around each entry, run.c, state.c. Calls: the
 * backend's event_*, which know the hardware's fields and nothing of order.
 * See: APM vol. 2, 15.20; SDM vol. 3, 27.6; the encoding of an event is the same in both.
 */
#include "vcpu_arch.h"
#include "vm.h"

void queue_exception(struct vcpu *v, u32 vector, int has_error, u32 error)
{
	v->arch.work = 1;
	v->arch.events.exception = EVENT_VALID | EVENT_EXCEPTION << 8 | vector |
		(has_error ? EVENT_ERROR | (u64)error << 32 : 0);
}

void queue_interrupt(struct vcpu *v, u32 vector)
{
	v->arch.work = 1;
	v->arch.events.interrupt = EVENT_VALID | vector;
}

static int waiting(const struct events *e)
{
	return e->exception || e->nmi_pending || e->nmi_injected || e->interrupt;
}

static void inject_nmi(struct vcpu *v, struct events *e)
{
	if (!e->nmi_injected)
		e->nmi_pending--;
	e->nmi_injected = 0;
	e->nmi_masked = 1;
	backend->event_inject(v, EVENT_VALID | EVENT_NMI << 8 | VECTOR_NMI);
}

/* One that was acknowledged comes before the LAPIC's. */
static void inject_interrupt(struct vcpu *v, struct events *e, u32 *vector)
{
	if (e->interrupt) {
		backend->event_inject(v, e->interrupt);
		e->interrupt = 0;
		return;
	}
	lapic_accept(v, *vector);
	backend->event_inject(v, EVENT_VALID | EVENT_INTR << 8 | *vector);
	*vector = 0;
}

/* The first in KVM's order. What the guest cannot take now waits for its window: the answer. */
static u32 next_event(struct vcpu *v, struct events *e)
{
	u32 blocked = backend->event_blocked(v), windows = 0;
	u32 vector = lapic_next(v, blocked >> BLOCKED_CR8, &windows);

	blocked &= BLOCKED_BY_SHADOW | BLOCKED_BY_IF;
	if (e->exception) {
		backend->event_inject(v, e->exception);
		e->exception = 0;
	} else if (e->nmi_injected || (e->nmi_pending && !e->nmi_masked && !(blocked & BLOCKED_BY_SHADOW))) {
		inject_nmi(v, e);
	} else if ((e->interrupt || vector) && !blocked) {
		inject_interrupt(v, e, &vector);
	}
	v->arch.vector_waits = vector;
	return windows | (e->nmi_pending ? WINDOW_NMI : 0) | (e->interrupt || vector ? WINDOW_INTERRUPT : 0);
}

void event_in(struct vcpu *v)
{
	struct events *e = &v->arch.events;
	u32 step = v->arch.debug & STATE_DEBUG_STEP;
	u32 windows = next_event(v, e) | (v->arch.window ? WINDOW_INTERRUPT : 0);

	backend->event_windows(v, windows);
	if (step)
		backend->event_step(v, 1);
	v->arch.work = step || e->nmi_iret || waiting(e);
}

void event_requeue(struct vcpu *v, u64 event)
{
	struct events *e = &v->arch.events;

	if (!(event & EVENT_VALID))
		return;
	v->arch.work = 1;
	switch (EVENT_TYPE(event)) {
	case EVENT_INTR:
		e->interrupt = (u32)event;
		break;
	case EVENT_NMI:
		e->nmi_injected = 1;
		break;
	case EVENT_EXCEPTION:
		/* INT3 and INTO, as software interrupts: RIP is still on them, they run again. */
		if (EVENT_VECTOR(event) != VECTOR_BP && EVENT_VECTOR(event) != VECTOR_OF)
			e->exception = event;
		break;
	}
}

void event_out(struct vcpu *v, u64 event)
{
	if (v->arch.debug & STATE_DEBUG_STEP)
		backend->event_step(v, 0);
	event_requeue(v, event);
}

int event_window_open(struct vcpu *v)
{
	v->arch.work = 1;
	if (v->arch.events.interrupt || !v->arch.window)
		return 0;
	v->arch.window = 0;
	return 1;
}

int event_ends_hlt(struct vcpu *v, u64 rflags)
{
	if (!v->arch.vector_waits || !(rflags & RFLAGS_IF))
		return 0;
	v->arch.work = 1;
	return 1;
}
