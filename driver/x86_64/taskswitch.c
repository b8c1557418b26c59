// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * taskswitch.c - EXIT_TASK: a guest's hardware task switch, which VMX leaves to
 * software. The switch itself is models/task.c; here are the vCPU's state and
 * the guest's memory.
 *
 * Invariant: an event that the switch delivered waits no longer; a fault of the
 * switch waits instead, for the task that it left behind.
 * Called by: exits.c. Calls: task.c, walk.c, state.c.
 * Concurrency: v->lock; may sleep. A slow path: three ring calls.
 * See: SDM volume 3, 26.4.2 and table 28-4.
 */
#include <asm/processor-flags.h>

#include "irqchip.h"
#include "models/special.h"
#include "models/task.h"
#include "models/walk.h"

struct switching {
	struct vcpu *v;
	struct walk *walk;
};

/* ---- memory ---- */

static int access_page(struct vcpu *v, u64 gpa, void *buf, u32 len, bool write)
{
	struct slot *slot = slot_find(v->vm, gpa >> PAGE_SHIFT);

	if (!slot || (write && slot->flags & KVM_MEM_READONLY))
		return DECODE_UNKNOWN;
	if (!buf)
		return DECODE_DONE;
	return (write ? slot_write(slot, gpa, buf, len) : slot_read(slot, gpa, buf, len)) ? DECODE_UNKNOWN : DECODE_DONE;
}

/* Two pages at most: nothing of a task is longer than a page. */
static int access(void *ctx, u64 linear, void *buf, u32 len, unsigned int access, struct decode_fault *fault)
{
	struct switching *s = ctx;
	bool write = access & DECODE_WRITE;
	u32 part = min_t(u64, len, PAGE_SIZE - offset_in_page(linear));
	u64 gpa[2];
	int rc;

	s->walk->cpl = access & TASK_USER ? 3 : 0;
	rc = walk_translate(s->walk, linear, access & ~TASK_USER, &gpa[0], fault);
	if (!rc && part < len)
		rc = walk_translate(s->walk, (u32)(linear + part), access & ~TASK_USER, &gpa[1], fault);
	if (!rc)
		rc = access_page(s->v, gpa[0], buf, part, write);
	if (!rc && part < len)
		rc = access_page(s->v, gpa[1], buf ? buf + part : NULL, len - part, write);
	return rc;
}

/* ---- registers ---- */

static struct abi_sregs paging(const struct vcpu *v, u64 cr3)
{
	const struct exit_state *out = &v->exit->out;

	return (struct abi_sregs){ .cr0 = out->cr0, .cr3 = cr3, .cr4 = out->cr4, .efer = out->efer };
}

static bool cr3_valid(void *ctx, u64 cr3)
{
	struct switching *s = ctx;
	struct abi_sregs sregs = paging(s->v, cr3);

	return special_cr3_allowed(s->v, &sregs, cr3);
}

static void cr3_set(void *ctx, u64 cr3)
{
	struct switching *s = ctx;

	s->walk->cr3 = cr3;
}

static const struct task_ops ops = { .access = access, .cr3_valid = cr3_valid, .cr3_set = cr3_set };

static void state_load(struct vcpu *v, const struct state_fields *f, struct task_state *s)
{
	s->regs = v->exit->out.regs;
	memcpy(s->seg, f->value, sizeof(s->seg));
	s->cr0 = f->value[STATE_CR0];
	s->cr3 = f->value[STATE_CR3];
	s->dr7 = v->arch.debug_hw ? v->arch.guest_dr7 : f->value[STATE_DR7];
}

static void state_put_task(struct vcpu *v, const struct task_state *s, struct state_fields *f)
{
	struct abi_sregs sregs = paging(v, s->cr3);
	const u64 *words = (const u64 *)s->seg;
	u32 i;

	for (i = 0; i < 2 * SEG_COUNT; i++)
		if (i / 2 != SEG_GDTR && i / 2 != SEG_IDTR)
			state_put(f, i, words[i]);
	state_put(f, STATE_CR0, s->cr0);
	state_put(f, STATE_CR3, s->cr3);
	special_put_pdptes(v, &sregs, f);
	if (v->arch.debug_hw)
		v->arch.guest_dr7 = s->dr7;
	else
		state_put(f, STATE_DR7, s->dr7);
}

/* The event is delivered; NMIs are blocked until the handler's IRET, which may be a task switch itself. */
static void state_put_events(const struct task_switch *t, u64 nmi, struct state_fields *f)
{
	u32 type = t->event & TASK_EVENT_VALID ? TASK_EVENT_TYPE(t->event) : ~0u;

	if (t->source == TASK_IRET)
		state_put(f, STATE_NMI, nmi & 0xff);
	if (t->source != TASK_GATE)
		return;
	if (type == TASK_EVENT_EXCEPTION)
		state_put(f, STATE_EXCEPTION, 0);
	else if (type == TASK_EVENT_INTR)
		state_put(f, STATE_INTERRUPT, 0);
	else if (type == TASK_EVENT_NMI)
		state_put(f, STATE_NMI, (nmi & 0xff) | 1 << 16);
}

/* ---- the exit ---- */

/* What KVM_RUN reports is no longer what the exit page says. */
static void report(struct vcpu *v, const struct task_state *s)
{
	v->entered = false;
	v->arch.ran = true;
	v->arch.cr8 = v->exit->out.cr8;
	v->arch.if_flag = !!(s->regs.rflags & X86_EFLAGS_IF);
}

static int finish(struct vcpu *v, const struct task_switch *t, int rc, const struct state_fields *now)
{
	struct state_fields f = {};

	state_put_events(t, now->value[STATE_NMI], &f);
	if (t->committed)
		state_put_task(v, t->s, &f);
	if (state_write(v, &f))
		return -EIO;
	v->exit->in.regs = t->s->regs;
	v->exit->in.flags |= RESUME_REGS;
	report(v, t->s);
	if (rc != DECODE_FAULT)
		return 1;
	if (t->shutdown) {
		v->run->exit_reason = KVM_EXIT_SHUTDOWN;
		return 0;
	}
	return exit_raise(v, &t->fault);
}

/* As KVM says it: an emulation failure without data. */
static int fail(struct vcpu *v)
{
	v->run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	v->run->internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
	v->run->internal.ndata = 0;
	return 0;
}

int taskswitch_exit(struct vcpu *v)
{
	const struct exit_state *out = &v->exit->out;
	struct switching s = { .v = v, .walk = emulate_walk(v) };
	struct task_state state;
	struct task_switch t = {
		.selector = out->data, .source = out->data >> 30 & 3, .event = out->qual[0],
		.next_rip = out->next_rip, .s = &state, .ops = &ops, .ctx = &s,
	};
	struct state_fields now;
	int rc = state_read(v, &now), idx;

	if (rc)
		return rc;
	state_load(v, &now, &state);
	idx = srcu_read_lock(&v->vm->srcu);
	rc = task_switch(&t);
	srcu_read_unlock(&v->vm->srcu, idx);
	return rc == DECODE_DONE || rc == DECODE_FAULT ? finish(v, &t, rc, &now) : fail(v);
}
