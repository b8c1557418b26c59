// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * code.c - instruction bytes by RIP, see code.h.
 *
 * A translation is kept with the table entries that it came from, and each use
 * reads those again: so it is as good as a walk, and much cheaper.
 * Invariant: a page that is kept lies, as its tables do, in slots of the serial
 * number noted, so that the addresses in the VMM are those of the guest's memory.
 */
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "tenon.h"
#include "models/code.h"

#define SEG_ATTR_L 0x200u

void code_init(struct code_page *pages)
{
	u32 i;

	for (i = 0; i < CODE_PAGES; i++)
		pages[i].linear = ~0ull;
}

/* Read the entries of a page's walk again, and the instruction. The slots are those of then. */
static bool code_reread(const struct code_page *c, unsigned int offset, u64 *bytes)
{
	const u64 __user *at = (const u64 __user *)(c->hva + offset);
	u64 entry;
	u32 i;

	if (!user_read_access_begin(at, CODE_BYTES))
		return false;
	for (i = 0; i < c->levels; i++) {
		unsafe_get_user(entry, c->at[i], refused);
		if (entry != c->entry[i])
			goto refused;
	}
	unsafe_get_user(bytes[0], at, refused);
	unsafe_get_user(bytes[1], at + 1, refused);
	user_read_access_end();
	return true;
refused:
	user_read_access_end();
	return false;
}

static bool code_matches(const struct code_page *c, const struct exit_state *out, u64 linear, u64 serial)
{
	return c->linear == linear && c->cr3 == out->cr3 && c->cr0 == out->cr0 && c->cr4 == out->cr4 &&
	       c->efer == out->efer && c->cpl == out->cpl && c->serial == serial;
}

static u64 slots_serial(struct vm *vm)
{
	return srcu_dereference(vm->slots, &vm->srcu)->serial;
}

/* Keep the walk that has just been made. */
static void code_keep(struct vcpu *v, const struct walk *w, struct code_page *c, u64 linear, unsigned long hva)
{
	struct slot *slot;
	u32 i;

	c->linear = ~0ull;
	for (i = 0; i <= w->path.depth; i++) {
		slot = slot_find(v->vm, w->path.gpa[i] >> PAGE_SHIFT);
		if (!slot)
			return;
		c->at[i] = (const u64 __user *)(slot_hva(slot, w->path.gpa[i] >> PAGE_SHIFT) +
						offset_in_page(w->path.gpa[i]));
		c->entry[i] = w->path.entry[i];
	}
	c->levels = i;
	c->cr0 = w->cr0;
	c->cr3 = w->cr3;
	c->cr4 = w->cr4;
	c->efer = w->efer;
	c->cpl = w->cpl;
	c->serial = slots_serial(v->vm);
	c->hva = hva;
	c->linear = linear;
}

/* With paging: by a walk, or by one of before. */
static bool fetch_paged(struct vcpu *v, struct walk *w, struct code_page *pages, u64 linear, u64 *bytes)
{
	struct code_page *c = &pages[(linear >> PAGE_SHIFT) % CODE_PAGES];
	const struct exit_state *out = &v->exit->out;
	unsigned int offset = offset_in_page(linear);
	struct decode_fault fault;
	struct slot *slot;
	u64 gpa;

	linear -= offset;
	if (likely(code_matches(c, out, linear, slots_serial(v->vm))) && code_reread(c, offset, bytes))
		return true;
	walk_load(w, out);
	if (walk_translate(w, linear, DECODE_FETCH, &gpa, &fault))
		return false;
	slot = slot_find(v->vm, gpa >> PAGE_SHIFT);
	if (!slot || slot_read(slot, gpa + offset, bytes, CODE_BYTES))
		return false;
	if (out->efer & EFER_LMA)
		code_keep(v, w, c, linear, slot_hva(slot, gpa >> PAGE_SHIFT));
	return true;
}

bool code_fetch(struct vcpu *v, struct walk *w, struct code_page *pages, u64 *bytes)
{
	const struct exit_state *out = &v->exit->out;
	const struct state_segment *cs = &out->seg[SEG_CS];
	bool mode64 = out->efer & EFER_LMA && cs->attr & SEG_ATTR_L;
	u64 linear = mode64 ? out->regs.rip : (u32)(cs->base + out->regs.rip);
	struct slot *slot;

	if (offset_in_page(linear) > PAGE_SIZE - CODE_BYTES)
		return false;
	if (!mode64 && out->regs.rip + CODE_BYTES > cs->limit)
		return false;
	if (likely(out->cr0 & X86_CR0_PG))
		return fetch_paged(v, w, pages, linear, bytes);
	slot = slot_find(v->vm, linear >> PAGE_SHIFT);
	return slot && !slot_read(slot, linear, bytes, CODE_BYTES);
}
