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
	struct events *e = &v->arch.events;

	v->arch.work = 1;
	e->exception = 1;
	e->exception_vector = (u8)vector;
	e->exception_has_error = (u8)has_error;
	e->exception_error = error;
}

static int waiting(const struct events *e)
{
	return e->exception | e->nmi_pending | e->nmi_injected | e->interrupt;
}

static void inject(struct vcpu *v, u32 type, u32 vector)
{
	backend->event_inject(v, EVENT_VALID | type << 8 | vector, 0);
}

static void inject_exception(struct vcpu *v, struct events *e)
{
	u32 error = e->exception_has_error ? EVENT_ERROR : 0;

	e->exception = 0;
	backend->event_inject(v, EVENT_VALID | error | EVENT_EXCEPTION << 8 | e->exception_vector, e->exception_error);
}

static void inject_nmi(struct vcpu *v, struct events *e)
{
	if (!e->nmi_injected)
		e->nmi_pending--;
	e->nmi_injected = 0;
	e->nmi_masked = 1;
	inject(v, EVENT_NMI, VECTOR_NMI);
}

/* The first in KVM's order. What the guest cannot take now waits for its window: the answer. */
static u32 next_event(struct vcpu *v, struct events *e)
{
	u32 blocked = backend->event_blocked(v);

	if (e->exception) {
		inject_exception(v, e);
	} else if (e->nmi_injected || (e->nmi_pending && !e->nmi_masked && !(blocked & BLOCKED_BY_SHADOW))) {
		inject_nmi(v, e);
	} else if (e->interrupt && !blocked) {
		e->interrupt = 0;
		inject(v, EVENT_INTR, e->interrupt_vector);
	}
	return (e->nmi_pending ? WINDOW_NMI : 0) | (e->interrupt ? WINDOW_INTERRUPT : 0);
}

void event_in(struct vcpu *v)
{
	struct events *e = &v->arch.events;
	u32 step = v->arch.debug_control & ABI_DEBUG_SINGLESTEP;
	u32 windows = v->arch.window ? WINDOW_INTERRUPT : 0;

	if (waiting(e))
		windows |= next_event(v, e);
	backend->event_windows(v, windows);
	if (step)
		backend->event_step(v, 1);
	v->arch.work = step || e->nmi_iret || waiting(e);
}

void event_requeue(struct vcpu *v, u32 info, u32 error)
{
	struct events *e = &v->arch.events;
	u32 vector = info & 0xff;

	if (!(info & EVENT_VALID))
		return;
	v->arch.work = 1;
	switch (EVENT_TYPE(info)) {
	case EVENT_INTR:
		e->interrupt = 1;
		e->interrupt_vector = (u8)vector;
		break;
	case EVENT_NMI:
		e->nmi_injected = 1;
		break;
	case EVENT_EXCEPTION:
		/* INT3 and INTO, as software interrupts: RIP is still on them, they run again. */
		if (vector != VECTOR_BP && vector != VECTOR_OF)
			queue_exception(v, vector, !!(info & EVENT_ERROR), error);
		break;
	}
}

void event_out(struct vcpu *v, u32 info, u32 error)
{
	if (v->arch.debug_control & ABI_DEBUG_SINGLESTEP)
		backend->event_step(v, 0);
	event_requeue(v, info, error);
}

int event_window_open(struct vcpu *v)
{
	v->arch.work = 1;
	if (v->arch.events.interrupt)
		return 0;
	v->arch.window = 0;
	return 1;
}
