// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * task.c - the task switch, see task.h.
 *
 * All that can fail in the old task is looked at first: the tables are read and
 * the places to be written are probed. Then the old task is saved, the new one
 * loaded, and its segments; a fault from there on is the new task's own. The
 * processor has checked gate and TSS before the exit; guest memory may have
 * changed since, so what is used is checked again.
 * Invariant: whatever a TSS holds, *s is a state that the processor can enter.
 */
#include "task.h"

#define VECTOR_DF 8u
#define VECTOR_TS 10u
#define VECTOR_NP 11u
#define VECTOR_SS 12u
#define VECTOR_GP 13u
#define VECTOR_PF 14u
#define CONTRIBUTORY (1u << 0 | 1u << VECTOR_TS | 1u << VECTOR_NP | 1u << VECTOR_SS | 1u << VECTOR_GP)

#define CR0_TS 8ull
#define DR7_LOCAL 0x155ull
#define FLAGS_FIXED 2u
#define FLAGS_KNOWN 0x3f7fd7u
#define FLAGS_NT 0x4000u
#define FLAGS_VM 0x20000u
#define ERROR_EXT 1u

/* A segment's attributes, as struct state_segment has them. */
#define ATTR_TYPE 0xfu
#define ATTR_ACCESSED 1u
#define ATTR_BUSY 2u
#define ATTR_TSS32 8u
#define ATTR_S 0x10u
#define ATTR_DPL(attr) ((attr) >> 5 & 3)
#define ATTR_P 0x80u
#define ATTR_BIG 0x400u
#define ATTR_VM86 0xf3u
#define ATTR_CODE 0x9bu
#define DESC_BUSY (2ull << 40)
#define DESC_ACCESSED (1ull << 40)

/* A TSS is a row of words; from `first` on: IP, flags, eight registers, selectors (ES, CS, SS, DS, FS, GS), LDT. */
struct tss_format {
	u8 width, first, selectors, bytes;
};
static const struct tss_format tss_formats[] = { { 2, 7, 4, 44 }, { 4, 8, 6, 104 } };
#define TSS_MAX 104u
#define TSS32_CR3 7u
enum { TSS_IP, TSS_FLAGS, TSS_GPR, TSS_SELECTOR = TSS_GPR + 8 };

/* Its registers, by their place in struct abi_regs. */
static const u8 gpr_order[8] = { 0, 2, 3, 1, 6, 7, 4, 5 };

static const struct tss_format *tss_format(u32 attr)
{
	return &tss_formats[!!(attr & ATTR_TSS32)];
}

/* ---- faults ---- */

/* An event that the guest did not ask for: the fault's error code says so. */
static bool is_external(const struct task_switch *t)
{
	return t->source == TASK_GATE && t->event & TASK_EVENT_VALID && TASK_EVENT_TYPE(t->event) <= TASK_EVENT_EXCEPTION;
}

static int task_fault(struct task_switch *t, u32 vector, u32 selector)
{
	t->fault = (struct decode_fault){
		.vector = vector, .has_error = 1, .error = (selector & 0xfffc) | (is_external(t) ? ERROR_EXT : 0),
	};
	return DECODE_FAULT;
}

/* Two exceptions that make a double fault (SDM volume 3, table 6-5); one more, and the guest shuts down. */
static void merge_faults(struct task_switch *t)
{
	u32 first = (u8)t->event, second = 1u << (t->fault.vector & 31);

	if (!is_external(t) || TASK_EVENT_TYPE(t->event) != TASK_EVENT_EXCEPTION || first > 31)
		return;
	if (!(second & (CONTRIBUTORY | (1u << first & CONTRIBUTORY ? 0 : 1u << VECTOR_PF))))
		return;
	t->shutdown = first == VECTOR_DF;
	if (first == VECTOR_PF || 1u << first & CONTRIBUTORY)
		t->fault = (struct decode_fault){ .vector = VECTOR_DF, .has_error = 1 };
}

/* ---- memory ---- */

static int task_access(struct task_switch *t, u64 linear, void *buf, u32 len, unsigned int access)
{
	return t->ops->access(t->ctx, (u32)linear, buf, len, access, &t->fault);
}

static int task_read(struct task_switch *t, u64 linear, void *buf, u32 len)
{
	return task_access(t, linear, buf, len, DECODE_READ);
}

static int task_write(struct task_switch *t, u64 linear, const void *buf, u32 len)
{
	return task_access(t, linear, (void *)buf, len, DECODE_WRITE);
}

static int task_probe(struct task_switch *t, u64 linear, u32 len)
{
	return task_access(t, linear, NULL, len, DECODE_WRITE);
}

/* ---- descriptors ---- */

struct descriptor {
	u64 linear;
	u64 word;
};

static struct state_segment segment_of(u16 selector, u64 d)
{
	u32 attr = (d >> 40 & 0xff) | (d >> 44 & 0xf00), limit = (d & 0xffff) | (d >> 32 & 0xf0000);

	return (struct state_segment){
		.selector = selector, .attr = attr,
		.limit = attr & 0x800 ? limit << 12 | 0xfff : limit,
		.base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000),
	};
}

/* A selector outside its table is #TS, as everything about a segment of a task switch. */
static int descriptor_read(struct task_switch *t, u16 selector, struct descriptor *d)
{
	const struct state_segment *table = &t->s->seg[selector & 4 ? SEG_LDTR : SEG_GDTR];
	u32 offset = selector & 0xfff8;

	if ((selector & 4 && !(table->attr & ATTR_P)) || offset + 7 > table->limit)
		return task_fault(t, VECTOR_TS, selector);
	d->linear = table->base + offset;
	return task_read(t, d->linear, &d->word, sizeof(d->word));
}

/* Only its type's byte. */
static int descriptor_type(struct task_switch *t, struct descriptor *d, u64 bits, bool set)
{
	u8 byte;

	d->word = set ? d->word | bits : d->word & ~bits;
	byte = (u8)(d->word >> 40);
	return task_write(t, d->linear + 5, &byte, 1);
}

/* ---- segments of the new task ---- */

/* Above ring 0 that is the wrong ring, too. */
static bool data_allowed(u32 attr, u32 rpl, u32 cpl)
{
	bool conforming = (attr & 0xc) == 0xc;

	return (attr & 0xa) != 8 && (conforming || (rpl <= ATTR_DPL(attr) && cpl <= ATTR_DPL(attr)));
}

static bool segment_allowed(u32 seg, u32 attr, u32 rpl, u32 cpl)
{
	if (seg == SEG_LDTR)
		return (attr & (ATTR_S | ATTR_TYPE)) == 2;
	if (!(attr & ATTR_S))
		return false;
	if (seg == SEG_SS)
		return rpl == cpl && (attr & 0xa) == 2 && ATTR_DPL(attr) == cpl;
	if (seg == SEG_CS)
		return attr & 8 && (attr & 4 ? ATTR_DPL(attr) <= rpl : ATTR_DPL(attr) == rpl);
	return data_allowed(attr, rpl, cpl);
}

static u32 absent_vector(u32 seg)
{
	return seg == SEG_SS ? VECTOR_SS : seg == SEG_LDTR ? VECTOR_TS : VECTOR_NP;
}

static int segment_load(struct task_switch *t, u32 seg, u32 cpl)
{
	struct state_segment *to = &t->s->seg[seg];
	u16 selector = to->selector;
	struct state_segment s;
	struct descriptor d;
	int rc;

	if (!(selector & 0xfffc))
		return seg == SEG_CS || seg == SEG_SS ? task_fault(t, VECTOR_TS, selector) : 0;
	if (seg == SEG_LDTR && selector & 4)
		return task_fault(t, VECTOR_TS, selector);
	rc = descriptor_read(t, selector, &d);
	if (rc)
		return rc;
	s = segment_of(selector, d.word);
	if (!segment_allowed(seg, s.attr, selector & 3, cpl))
		return task_fault(t, VECTOR_TS, selector);
	if (!(s.attr & ATTR_P))
		return task_fault(t, absent_vector(seg), selector);
	if (s.attr & ATTR_S && !(s.attr & ATTR_ACCESSED))
		rc = descriptor_type(t, &d, DESC_ACCESSED, true);
	if (rc)
		return rc;
	if (s.attr & ATTR_S)
		s.attr |= ATTR_ACCESSED;
	*to = s;
	return 0;
}

/*
 * Not loaded yet: nothing but the selector counts. CS must be code, and SS says
 * the ring, whatever fault comes before they are.
 */
static void segments_unload(struct task_state *s, bool vm86, u32 cpl)
{
	u32 i, big = s->seg[SEG_CS].attr & ATTR_BIG;

	for (i = 0; i < SEG_GDTR; i++) {
		struct state_segment *seg = &s->seg[i];

		if (vm86)
			*seg = (struct state_segment){ seg->selector, ATTR_VM86, 0xffff, (u64)seg->selector << 4 };
		else if (i == SEG_CS)
			seg->attr = ATTR_CODE | cpl << 5 | big | (seg->limit > 0xfffff ? 0x800 : 0);
		else
			*seg = (struct state_segment){ .selector = seg->selector, .attr = i == SEG_SS ? cpl << 5 : 0 };
	}
	s->seg[SEG_LDTR] = (struct state_segment){ .selector = s->seg[SEG_LDTR].selector };
}

/* A 16-bit TSS has no FS and GS: they stay, as in KVM. */
static int segments_load(struct task_switch *t, const struct tss_format *f, bool vm86)
{
	static const u8 order[] = { SEG_LDTR, SEG_CS, SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS };
	u32 i, cpl = vm86 ? 3 : t->s->seg[SEG_CS].selector & 3;
	struct state_segment fs = t->s->seg[SEG_FS], gs = t->s->seg[SEG_GS];
	int rc = 0;

	segments_unload(t->s, vm86, cpl);
	if (f->selectors < 6) {
		t->s->seg[SEG_FS] = fs;
		t->s->seg[SEG_GS] = gs;
	}
	for (i = 0; !rc && i < (vm86 ? 1 : f->selectors + 1u); i++)
		rc = segment_load(t, order[i], cpl);
	return rc;
}

/* ---- the TSSs ---- */

static u32 tss_get(const struct tss_format *f, const u8 *tss, u32 word)
{
	u32 value = 0;

	memcpy(&value, tss + word * f->width, f->width);
	return value;
}

static void tss_put(const struct tss_format *f, u8 *tss, u32 word, u32 value)
{
	memcpy(tss + word * f->width, &value, f->width);
}

/* IP to the last selector; LDT and CR3 are never saved. */
static u32 old_bytes(const struct tss_format *f)
{
	return (TSS_SELECTOR + f->selectors) * f->width;
}

static u64 old_place(const struct task_switch *t, const struct tss_format *f)
{
	return t->s->seg[SEG_TR].base + f->first * f->width;
}

static int old_save(struct task_switch *t, const struct tss_format *f)
{
	bool restart = is_external(t);
	const struct task_state *s = t->s;
	u8 tss[TSS_MAX];
	u32 i;

	tss_put(f, tss, TSS_IP, (u32)(restart ? s->regs.rip : t->next_rip));
	tss_put(f, tss, TSS_FLAGS, (u32)s->regs.rflags & ~(t->source == TASK_IRET ? FLAGS_NT : 0));
	for (i = 0; i < 8; i++)
		tss_put(f, tss, TSS_GPR + i, (u32)(&s->regs.rax)[gpr_order[i]]);
	for (i = 0; i < f->selectors; i++)
		tss_put(f, tss, TSS_SELECTOR + i, s->seg[i].selector);
	return task_write(t, old_place(t, f), tss, old_bytes(f));
}

static void new_load(struct task_switch *t, const struct tss_format *f, const u8 *tss)
{
	const u8 *at = tss + f->first * f->width;
	struct task_state *s = t->s;
	u32 i;

	if (f->width == 4) {
		s->cr3 = tss_get(f, tss, TSS32_CR3);
		t->ops->cr3_set(t->ctx, s->cr3);
	}
	s->regs.rip = tss_get(f, at, TSS_IP);
	s->regs.rflags = (tss_get(f, at, TSS_FLAGS) & FLAGS_KNOWN) | FLAGS_FIXED;
	for (i = 0; i < 8; i++)
		(&s->regs.rax)[gpr_order[i]] = tss_get(f, at, TSS_GPR + i);
	for (i = 0; i < f->selectors; i++)
		s->seg[i].selector = (u16)tss_get(f, at, TSS_SELECTOR + i);
	s->seg[SEG_LDTR].selector = (u16)tss_get(f, at, TSS_SELECTOR + f->selectors);
	s->cr0 |= CR0_TS;
	s->dr7 &= ~DR7_LOCAL;
}

/* ---- the new task's first push ---- */

static bool stack_fits(const struct state_segment *ss, u32 offset, u32 len)
{
	u32 last = offset + len - 1, top = ss->attr & ATTR_BIG ? ~0u : 0xffff;

	if (last < offset)
		return false;
	return (ss->attr & 0xc) == 4 ? offset > ss->limit && last <= top : last <= ss->limit;
}

static int push_error(struct task_switch *t, const struct tss_format *f)
{
	const struct state_segment *ss = &t->s->seg[SEG_SS];
	u64 mask = ss->attr & ATTR_BIG ? 0xffffffff : 0xffff, sp = (t->s->regs.rsp - f->width) & mask;
	u32 error = (u32)(t->event >> 32);
	int rc;

	if (!stack_fits(ss, (u32)sp, f->width))
		return task_fault(t, VECTOR_SS, 0);
	rc = task_access(t, ss->base + sp, &error, f->width, DECODE_WRITE | (ATTR_DPL(ss->attr) == 3 ? TASK_USER : 0));
	if (!rc)
		t->s->regs.rsp = (t->s->regs.rsp & ~mask) | sp;
	return rc;
}

/* ---- the switch ---- */

struct plan {
	struct descriptor old, new;
	const struct tss_format *old_format, *new_format;
	struct state_segment tr;
	u8 tss[TSS_MAX];
};

static bool nests(const struct task_switch *t)
{
	return t->source == TASK_CALL || t->source == TASK_GATE;
}

static bool clears_busy(const struct task_switch *t)
{
	return t->source == TASK_IRET || t->source == TASK_JMP;
}

static int check_tss(struct task_switch *t, struct plan *p)
{
	int rc = t->selector & 4 ? task_fault(t, VECTOR_TS, t->selector) : descriptor_read(t, t->selector, &p->new);

	if (rc)
		return rc;
	p->tr = segment_of(t->selector, p->new.word);
	p->new_format = tss_format(p->tr.attr);
	if ((p->tr.attr & (ATTR_S | 5)) != 1 || !(p->tr.attr & ATTR_P) || p->tr.limit < p->new_format->bytes - 1u)
		return task_fault(t, VECTOR_TS, t->selector);
	rc = task_read(t, p->tr.base, p->tss, p->new_format->bytes);
	if (!rc && p->new_format->width == 4 && !t->ops->cr3_valid(t->ctx, tss_get(p->new_format, p->tss, TSS32_CR3)))
		return task_fault(t, VECTOR_GP, 0);
	return rc;
}

static int check_places(struct task_switch *t, struct plan *p)
{
	const struct state_segment *tr = &t->s->seg[SEG_TR];
	int rc = 0;

	p->old_format = tss_format(tr->attr);
	if (clears_busy(t))
		rc = descriptor_read(t, tr->selector, &p->old) ?: task_probe(t, p->old.linear + 5, 1);
	if (!rc && t->source != TASK_IRET)
		rc = task_probe(t, p->new.linear + 5, 1);
	if (!rc && nests(t))
		rc = task_probe(t, p->tr.base, 2);
	return rc ?: task_probe(t, old_place(t, p->old_format), old_bytes(p->old_format));
}

/* In the old task's address space. A write fails only where the guest changes its tables meanwhile. */
static int leave_old(struct task_switch *t, struct plan *p)
{
	u16 link = t->s->seg[SEG_TR].selector;
	int rc = clears_busy(t) ? descriptor_type(t, &p->old, DESC_BUSY, false) : 0;

	if (!rc && t->source != TASK_IRET)
		rc = descriptor_type(t, &p->new, DESC_BUSY, true);
	if (!rc)
		rc = old_save(t, p->old_format);
	if (!rc && nests(t))
		rc = task_write(t, p->tr.base, &link, sizeof(link));
	return rc;
}

static int enter_new(struct task_switch *t, struct plan *p)
{
	bool vm86;
	int rc;

	t->committed = true;
	new_load(t, p->new_format, p->tss);
	if (nests(t))
		t->s->regs.rflags |= FLAGS_NT;
	vm86 = t->s->regs.rflags & FLAGS_VM;
	t->s->seg[SEG_TR] = p->tr;
	t->s->seg[SEG_TR].attr |= ATTR_BUSY;
	rc = segments_load(t, p->new_format, vm86);
	if (!rc && is_external(t) && t->event & TASK_EVENT_ERROR)
		rc = push_error(t, p->new_format);
	return rc;
}

int task_switch(struct task_switch *t)
{
	struct plan p;
	int rc = check_tss(t, &p);

	t->committed = t->shutdown = false;
	if (!rc)
		rc = check_places(t, &p);
	if (!rc)
		rc = leave_old(t, &p);
	if (!rc)
		rc = enter_new(t, &p);
	if (rc == DECODE_FAULT)
		merge_faults(t);
	return rc;
}
