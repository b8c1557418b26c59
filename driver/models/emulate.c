// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * emulate.c - the decoder's surroundings: its state per vCPU, its view of guest
 * memory and ports, and the MMIO exits that it causes.
 *
 * Owns: struct emulation. Invariant: the VMM sees a write only after the
 * instruction's registers are committed, and a read before anything is; a read
 * that it answered is kept until the instruction, run again, has taken it.
 * Called by: exits.c. Calls: code.c, move.c, decode.c, walk.c, special.c.
 * Concurrency: v->lock; vm.srcu while the decoder runs; may sleep.
 * See: models/decode.h; Documentation/virt/kvm/api.rst, KVM_EXIT_MMIO.
 */
#include <linux/slab.h>
#include <asm/processor-flags.h>

#include "irqchip.h"
#include "trace.h"
#include "models/code.h"
#include "models/decode.h"
#include "models/move.h"
#include "models/special.h"
#include "models/walk.h"

#define MMIO_BYTES 8u		/* the most that one KVM_EXIT_MMIO carries */
#define ANSWERS_MAX 8u		/* reads of one instruction: two operands, each may cross a page */
#define WRITES_MAX 4u
#define DR6_BS (1ull << 14)
#define DR6_TRAPS 0xfull
#define DR6_FIXED 0xffff0ff0ull
#define VECTOR_DB 1u
#define VECTOR_UD 6u
#define VECTOR_GP 13u

struct mmio_answer {
	u64 gpa;
	u32 len;
	u8 data[MMIO_BYTES];
};

/* A write that the VMM gets piece by piece; longer ones lie in the decoder's buffer. */
struct mmio_write {
	u64 gpa;
	u32 len;
	const u8 *data;
	u8 own[MMIO_BYTES];
};

struct emulation {
	struct decode_state d;
	struct walk walk;
	struct code_page code[CODE_PAGES];
	bool gpa_known;		/* out.gpa is where the instruction's one operand lies */
	u32 answers, taken;
	struct mmio_answer answer[ANSWERS_MAX];
	u32 writes, written;
	struct mmio_write write[WRITES_MAX];
	bool io_answered;	/* INS: the port page holds the VMM's data */
	bool io_out;		/* OUTS: the VMM is to be told after the commit */
	bool tpr_lowered;	/* MOV to CR8: so is this */
	struct move move;	/* a plain load that waits for the VMM */
	bool regs_set;		/* meanwhile the VMM has set the registers: d.regs */
};

static int emulate(struct vcpu *v);

/* ---- guest memory for the page walk ---- */

static int walk_read(void *ctx, u64 gpa, void *buf, unsigned int len)
{
	struct vcpu *v = ctx;
	struct slot *slot = slot_find(v->vm, gpa >> PAGE_SHIFT);

	return slot ? slot_read(slot, gpa, buf, len) : -EFAULT;
}

/* 0 replaced, 1 it is another value, -EFAULT. The macro defines its label itself. */
static int cmpxchg_user64(u64 __user *entry, u64 old, u64 new)
{
	return __try_cmpxchg_user(entry, &old, new, fault);
}

static int cmpxchg_user32(u32 __user *entry, u32 old, u32 new)
{
	return __try_cmpxchg_user(entry, &old, new, fault);
}

static int walk_cmpxchg(void *ctx, u64 gpa, u64 old, u64 new, unsigned int len)
{
	struct vcpu *v = ctx;
	struct slot *slot = slot_find(v->vm, gpa >> PAGE_SHIFT);
	unsigned long hva;
	int rc;

	if (!slot || slot->flags & KVM_MEM_READONLY)
		return -EFAULT;
	hva = slot_hva(slot, gpa >> PAGE_SHIFT) + offset_in_page(gpa);
	if (len == 8)
		rc = cmpxchg_user64((u64 __user *)hva, old, new);
	else
		rc = cmpxchg_user32((u32 __user *)hva, old, new);
	if (!rc)
		slot_mark_dirty(slot, gpa >> PAGE_SHIFT);
	return rc;
}

/* ---- operands ---- */

/*
 * Instructions with two memory operands, or one that the fault's address need
 * not belong to: there each operand is walked.
 */
static bool operand_unique(const struct decode_insn *d)
{
	switch (d->opcode) {
	case 0x6c ... 0x6f:	/* INS, OUTS */
	case 0xa4 ... 0xa7:	/* MOVS, CMPS */
	case 0x8f: case 0xff:	/* POP, CALL, JMP, PUSH */
		return false;
	}
	return !d->rep;
}

/* Where an operand lies, by the fault's own address if that is it, else by a walk. */
static int operand_gpa(struct vcpu *v, u64 linear, unsigned int access, u64 *gpa,
		       struct decode_fault *fault)
{
	struct emulation *e = v->arch.emulation;
	u64 known = v->exit->out.gpa;

	if (e->gpa_known && !(access & DECODE_FETCH) && offset_in_page(linear) == offset_in_page(known) &&
	    !(access & DECODE_WRITE && !(v->exit->out.error & FAULT_WRITE)) && operand_unique(&e->d.d)) {
		*gpa = known;
		return 0;
	}
	return walk_translate(&e->walk, linear, access, gpa, fault);
}

/* The bytes of [linear, linear + len) within linear's page. */
static u32 first_part(u64 linear, u32 len)
{
	return min_t(u64, len, PAGE_SIZE - offset_in_page(linear));
}

static u64 next_linear(const struct emulation *e, u64 linear, u32 len)
{
	return e->d.d.mode64 ? linear + len : (u32)(linear + len);
}

/* ---- reads ---- */

static void exit_mmio(struct vcpu *v, u64 gpa, u32 len, const u8 *data)
{
	struct kvm_run *run = v->run;

	v->counters.mmio_exits++;
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = gpa;
	run->mmio.len = len;
	run->mmio.is_write = !!data;
	if (data)
		memcpy(run->mmio.data, data, len);
}

/* Once more, with the VMM's answer. */
static int emulate_again(struct vcpu *v)
{
	int idx = srcu_read_lock(&v->vm->srcu);
	int rc = emulate(v);

	srcu_read_unlock(&v->vm->srcu, idx);
	return rc;
}

/* The VMM's answer to the read that was asked last; run the instruction again. */
static int mmio_read_complete(struct vcpu *v)
{
	struct emulation *e = v->arch.emulation;
	struct mmio_answer *a = &e->answer[e->answers - 1];

	memcpy(a->data, v->run->mmio.data, MMIO_BYTES);
	trace_kvm_mmio(TRACE_MMIO_READ, a->len, a->gpa, a->data);
	return emulate_again(v);
}

/* A read of at most 8 bytes from no RAM: an answer kept, or a question to the VMM. */
static int mmio_read(struct vcpu *v, u64 gpa, void *buf, u32 len)
{
	struct emulation *e = v->arch.emulation;
	struct mmio_answer *a = &e->answer[e->taken];

	if (len > MMIO_BYTES || e->taken >= ANSWERS_MAX)
		return DECODE_UNKNOWN;
	if (!iodev_access(v, IO_MMIO, gpa, len, buf, false)) {
		trace_kvm_mmio(TRACE_MMIO_READ, len, gpa, buf);
		return 0;
	}
	if (e->taken < e->answers && a->gpa == gpa && a->len == len) {
		memcpy(buf, a->data, len);
		e->taken++;
		e->d.stop = 1;
		return 0;
	}
	a->gpa = gpa;
	a->len = len;
	e->answers = e->taken + 1;
	trace_kvm_mmio(TRACE_MMIO_ASK, len, gpa, NULL);
	exit_mmio(v, gpa, len, NULL);
	v->complete = mmio_read_complete;
	return DECODE_MMIO_WAIT;
}

/* One page's part of an operand. */
static int read_part(struct vcpu *v, u64 linear, void *buf, u32 len, unsigned int access,
		     struct decode_fault *fault)
{
	struct slot *slot;
	u64 gpa;
	int rc = operand_gpa(v, linear, access, &gpa, fault);

	if (rc || !buf)
		return rc;
	slot = slot_find(v->vm, gpa >> PAGE_SHIFT);
	if (slot)
		return slot_read(slot, gpa, buf, len) ? DECODE_UNKNOWN : 0;
	return access & DECODE_FETCH ? DECODE_UNKNOWN : mmio_read(v, gpa, buf, len);
}

static int op_read(void *ctx, u64 linear, void *buf, unsigned int len, unsigned int access,
		   struct decode_fault *fault)
{
	struct vcpu *v = ctx;
	u32 part = first_part(linear, len);
	int rc = read_part(v, linear, buf, part, access, fault);

	if (rc || part == len)
		return rc;
	linear = next_linear(v->arch.emulation, linear, part);
	return read_part(v, linear, buf ? buf + part : NULL, len - part, access, fault);
}

/* ---- writes ---- */

static int mmio_write_complete(struct vcpu *v);

/* Show the VMM the next piece: 0, or 1 when there is none. */
static int mmio_write_next(struct vcpu *v)
{
	struct emulation *e = v->arch.emulation;
	struct mmio_write *w = &e->write[e->written];

	if (e->written >= e->writes)
		return 1;
	exit_mmio(v, w->gpa, min(w->len, MMIO_BYTES), w->data);
	v->complete = mmio_write_complete;
	return 0;
}

static int mmio_write_complete(struct vcpu *v)
{
	struct emulation *e = v->arch.emulation;
	struct mmio_write *w = &e->write[e->written];
	u32 len = min(w->len, MMIO_BYTES);

	w->gpa += len;
	w->data += len;
	w->len -= len;
	if (!w->len)
		e->written++;
	return mmio_write_next(v);
}

/* A write to no RAM: what the kernel's devices, ioeventfds and zones take is done, the rest waits for the commit. */
static int mmio_write(struct vcpu *v, u64 gpa, const u8 *data, u32 len)
{
	struct emulation *e = v->arch.emulation;
	struct mmio_write *w = &e->write[e->writes];
	u8 part[MMIO_BYTES];
	u32 n;

	trace_kvm_mmio(TRACE_MMIO_WRITE, len, gpa, data);
	while (len) {
		n = min(len, MMIO_BYTES);
		memcpy(part, data, n);
		if (iodev_access(v, IO_MMIO, gpa, n, part, true))
			break;
		gpa += n;
		data += n;
		len -= n;
	}
	if (!len)
		return 0;
	if (e->writes == WRITES_MAX)
		return DECODE_UNKNOWN;
	w->gpa = gpa;
	w->len = len;
	w->data = len <= MMIO_BYTES ? memcpy(w->own, data, len) : data;
	e->writes++;
	e->d.stop = 1;
	return 0;
}

static int write_part(struct vcpu *v, u64 gpa, const void *buf, u32 len)
{
	struct slot *slot = slot_find(v->vm, gpa >> PAGE_SHIFT);

	if (slot && !(slot->flags & KVM_MEM_READONLY))
		return slot_write(slot, gpa, buf, len) ? DECODE_UNKNOWN : 0;
	return mmio_write(v, gpa, buf, len);
}

/* Both pages are translated before either is written. */
static int op_write(void *ctx, u64 linear, const void *buf, unsigned int len,
		    struct decode_fault *fault)
{
	struct vcpu *v = ctx;
	u32 part = first_part(linear, len);
	u64 gpa, gpa2 = 0;
	int rc = operand_gpa(v, linear, DECODE_WRITE, &gpa, fault);

	if (!rc && part < len)
		rc = operand_gpa(v, next_linear(v->arch.emulation, linear, part), DECODE_WRITE, &gpa2, fault);
	if (!rc)
		rc = write_part(v, gpa, buf, part);
	if (!rc && part < len)
		rc = write_part(v, gpa2, buf + part, len - part);
	return rc;
}

/* ---- string I/O ---- */

static int ins_complete(struct vcpu *v)
{
	v->arch.emulation->io_answered = true;
	return emulate_again(v);
}

/* Offer each element to what the kernel has at the port; the number that is left for the VMM. */
static u32 io_devices(struct vcpu *v, u16 port, u32 size, u8 *data, u32 count, bool write)
{
	while (count && !iodev_access(v, IO_PIO, port, size, data, write)) {
		data += size;
		count--;
	}
	return count;
}

static int io_in(struct vcpu *v, u16 port, u32 size, void *data, u32 count)
{
	struct emulation *e = v->arch.emulation;

	if (e->io_answered) {
		memcpy(data, v->pio, size * count);
		trace_kvm_pio(KVM_EXIT_IO_IN, port, size, count, data);
		e->io_answered = false;
		e->d.stop = 1;
		return 0;
	}
	if (!io_devices(v, port, size, data, count, false)) {
		trace_kvm_pio(KVM_EXIT_IO_IN, port, size, count, data);
		return 0;
	}
	memset(v->pio, 0, size * count);
	run_exit_io(v, false, port, size, count);
	v->complete = ins_complete;
	return DECODE_MMIO_WAIT;
}

static int op_io(void *ctx, u16 port, unsigned int size, unsigned int write, void *data,
		 unsigned int count)
{
	struct vcpu *v = ctx;
	u32 left;

	if (size * count > PAGE_SIZE)
		return DECODE_UNKNOWN;
	if (!write)
		return io_in(v, port, size, data, count);
	trace_kvm_pio(KVM_EXIT_IO_OUT, port, size, count, data);
	left = io_devices(v, port, size, data, count, true);
	if (!left)
		return 0;
	memcpy(v->pio, data + (count - left) * size, left * size);
	run_exit_io(v, true, port, size, left);
	v->arch.emulation->io_out = true;
	return 0;
}

/* ---- control, debug and XMM registers ---- */

static int op_get_special(void *ctx, unsigned int which, u64 *value, struct decode_fault *fault)
{
	return special_get(ctx, which, value);
}

/* Without an in-kernel LAPIC a lowered CR8 may let an interrupt in: the VMM must know. */
static int set_cr8(struct vcpu *v, u64 value, struct decode_fault *fault)
{
	struct exit_resume *in = &v->exit->in;
	bool lapic = vcpu_has_lapic(v);

	if (value > CR8_MAX) {
		*fault = (struct decode_fault){ .vector = VECTOR_GP, .has_error = 1 };
		return DECODE_FAULT;
	}
	in->cr8 = value;
	in->flags |= RESUME_CR8;
	v->arch.emulation->tpr_lowered = !lapic && value < v->exit->out.cr8;
	if (lapic)
		apic_set_cr8(v, value);
	return DECODE_DONE;
}

static int op_set_special(void *ctx, unsigned int which, u64 value, struct decode_fault *fault)
{
	return which == DECODE_CR(8) ? set_cr8(ctx, value, fault) : special_set(ctx, which, value, fault);
}

static int op_xmm(void *ctx, unsigned int n, u64 value[2], unsigned int write)
{
	return special_xmm(ctx, n, value, write);
}

static const struct decode_ops emulate_ops = {
	.read_mem = op_read,
	.write_mem = op_write,
	.io = op_io,
	.get_special = op_get_special,
	.set_special = op_set_special,
	.xmm = op_xmm,
};

/* ---- results ---- */

static void commit_regs(struct vcpu *v)
{
	struct exit_resume *in = &v->exit->in;

	in->regs = v->arch.emulation->d.regs;
	in->flags |= RESUME_REGS;
	if (v->arch.emulation->d.shadow_sti)
		in->flags |= RESUME_SHADOW_STI;
}

static int run_again_complete(struct vcpu *v)
{
	return 1;
}

/*
 * A trap after the instruction, for the VMM or for the guest. As in KVM, an
 * instruction that ends in an exit to the VMM gives none.
 */
static int step_done(struct vcpu *v)
{
	const struct exit_state *out = &v->exit->out;
	struct kvm_run *run = v->run;
	u64 dr6 = 0, dr7 = 0;

	if (v->arch.stepped) {
		special_get(v, DECODE_DR(7), &dr7);
		run->exit_reason = KVM_EXIT_DEBUG;
		run->debug.arch.exception = VECTOR_DB;
		run->debug.arch.pc = out->cs_base + v->exit->in.regs.rip;
		run->debug.arch.dr6 = DR6_BS | DR6_FIXED;
		run->debug.arch.dr7 = dr7;
		return 0;
	}
	if (special_get(v, DECODE_DR(6), &dr6))
		return 1;
	special_set(v, DECODE_DR(6), (dr6 & ~DR6_TRAPS) | DR6_BS | DR6_FIXED, NULL);
	return exit_raise(v, &(struct decode_fault){ .vector = VECTOR_DB });
}

static bool is_stepped(const struct vcpu *v)
{
	bool step = v->arch.stepped || v->exit->out.regs.rflags & X86_EFLAGS_TF;

	return unlikely(step) && v->exit->in.regs.rip != v->exit->out.regs.rip;
}

static int emulate_done(struct vcpu *v)
{
	struct emulation *e = v->arch.emulation;

	commit_regs(v);
	e->answers = 0;
	if (e->writes)
		return mmio_write_next(v);
	if (e->tpr_lowered)
		v->run->exit_reason = KVM_EXIT_SET_TPR;
	else if (!e->io_out)
		return is_stepped(v) ? step_done(v) : 1;
	v->complete = run_again_complete;
	return 0;
}

/*
 * The exit is filled already. A REP instruction's finished iterations are for
 * good. The bytes are kept: the instruction that runs again is this one.
 */
static int emulate_wait(struct vcpu *v)
{
	struct decode_state *d = &v->arch.emulation->d;

	static_assert(sizeof(d->insn) >= DECODE_INSN_MAX && sizeof(d->d.byte) >= sizeof(d->insn));
	memcpy(d->insn, d->d.byte, sizeof(d->insn));
	d->insn_len = min_t(u8, d->d.have, DECODE_INSN_MAX);
	if (d->d.rep)
		commit_regs(v);
	return 0;
}

static int inject(struct vcpu *v, const struct decode_fault *fault)
{
	commit_regs(v);
	return exit_raise(v, fault);
}

static int emulate_fault(struct vcpu *v)
{
	return inject(v, &v->arch.emulation->d.fault);
}

/* ---- an instruction that is not known ---- */

/* Above ring 0 the guest gets #UD, as from KVM; in ring 0 the VMM is told. */
static int emulate_unknown(struct vcpu *v)
{
	const struct emulation *e = v->arch.emulation;
	struct kvm_run *run = v->run;
	u32 have = min_t(u32, e->d.d.have, sizeof(run->emulation_failure.insn_bytes));

	v->counters.insn_emulation_fail++;
	pr_info_ratelimited("VM %u vCPU %u: instruction not known: %*ph at rip 0x%llx cs 0x%llx, cr0 0x%llx efer 0x%llx cpl %u, gpa 0x%llx\n",
			    v->vm->handle, v->id, have, e->d.d.byte, e->d.regs.rip,
			    e->d.seg[SEG_CS].base, e->d.cr0, e->d.efer, e->d.cpl, v->exit->out.gpa);
	if (e->d.cpl)
		return inject(v, &(struct decode_fault){ .vector = VECTOR_UD });
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run->emulation_failure.ndata = have ? 3 : 1;
	run->emulation_failure.flags = have ? KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES : 0;
	run->emulation_failure.insn_size = have;
	memset(run->emulation_failure.insn_bytes, 0x90, sizeof(run->emulation_failure.insn_bytes));
	memcpy(run->emulation_failure.insn_bytes, e->d.d.byte, have);
	return 0;
}

static int (*const emulate_results[])(struct vcpu *v) = {
	[DECODE_DONE] = emulate_done,
	[DECODE_MMIO_WAIT] = emulate_wait,
	[DECODE_FAULT] = emulate_fault,
	[DECODE_UNKNOWN] = emulate_unknown,
};

/* Run the instruction in e->d, from the start. vm.srcu held. */
static int emulate(struct vcpu *v)
{
	struct emulation *e = v->arch.emulation;
	int rc;

	e->taken = 0;
	e->writes = 0;
	e->written = 0;
	e->io_out = false;
	e->tpr_lowered = false;
	e->d.stop = 0;
	v->complete = NULL;
	v->counters.insn_emulation++;
	if (v->exit->out.reason == EXIT_EMULATE && v->exit->out.data == VECTOR_UD)
		rc = decode_undefined(&e->d, &emulate_ops, v, arch_is_amd() ? DECODE_VMMCALL : DECODE_VMCALL);
	else
		rc = decode_emulate(&e->d, &emulate_ops, v);
	if (rc < 0 || rc >= (int)ARRAY_SIZE(emulate_results))
		rc = DECODE_UNKNOWN;
	if (rc != DECODE_MMIO_WAIT) {
		e->answers = 0;
		e->io_answered = false;
		v->complete = NULL;
	}
	return emulate_results[rc](v);
}

static void load_state(struct emulation *e, const struct exit_state *out)
{
	struct decode_state *d = &e->d;

	d->regs = out->regs;
	memcpy(d->seg, out->seg, sizeof(d->seg));
	d->cr0 = out->cr0;
	d->cr3 = out->cr3;
	d->cr4 = out->cr4;
	d->efer = out->efer;
	d->cpl = out->cpl;
	d->no_io = out->reason == EXIT_FAULT;
	d->shadow_sti = 0;
	d->insn_len = min_t(u8, out->insn_len, EXIT_INSN_BYTES);
	memcpy(d->insn, out->insn, sizeof(d->insn));
	walk_load(&e->walk, out);
}

struct walk *emulate_walk(struct vcpu *v)
{
	struct walk *w = &v->arch.emulation->walk;

	walk_load(w, &v->exit->out);
	w->maxphyaddr = v->arch.maxphyaddr;
	return w;
}

/* ---- the short way ---- */

#define MOVE_NOT 2	/* beside emulate_exit()'s results: the decoder's business */

static u64 move_end(const struct exit_state *out, const struct move *m)
{
	u64 end = out->regs.rip + m->length;

	return m->mode64 ? end : (u32)end;
}

/*
 * RIP behind the instruction, and a load's register. Only what has changed goes
 * back, but where RF must be cleared (Intel's processors set it at these exits).
 */
static void move_commit(struct vcpu *v, const struct abi_regs *regs, const struct move *m, u64 value)
{
	const struct exit_state *out = &v->exit->out;
	struct exit_resume *in = &v->exit->in;

	if (unlikely(regs->rflags & X86_EFLAGS_RF) || (!m->write && m->reg)) {
		in->regs = *regs;
		in->regs.rip = move_end(out, m);
		in->regs.rflags &= ~X86_EFLAGS_RF;
		if (!m->write)
			((u64 *)&in->regs)[m->reg] = value;
		in->flags |= RESUME_REGS;
		return;
	}
	in->rip = move_end(out, m);
	in->rax = value;
	in->flags |= m->write ? RESUME_RIP : RESUME_RIP | RESUME_RAX;
}

static int move_read_complete(struct vcpu *v)
{
	struct emulation *e = v->arch.emulation;
	const struct abi_regs *regs = e->regs_set ? &e->d.regs : &v->exit->out.regs;
	const struct move *m = &e->move;

	trace_kvm_mmio(TRACE_MMIO_READ, m->size, v->exit->out.gpa, v->run->mmio.data);
	move_commit(v, regs, m, move_merge(m, ((const u64 *)regs)[m->reg], *(u64 *)v->run->mmio.data));
	return 1;
}

static int move_write(struct vcpu *v, u64 gpa, struct move *m)
{
	struct kvm_run *run = v->run;

	trace_kvm_mmio(TRACE_MMIO_WRITE, m->size, gpa, &m->value);
	move_commit(v, &v->exit->out.regs, m, 0);
	if (!iodev_access(v, IO_MMIO, gpa, m->size, &m->value, true))
		return 1;
	v->counters.mmio_exits++;
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = gpa;
	run->mmio.len = m->size;
	run->mmio.is_write = 1;
	*(u64 *)run->mmio.data = m->value;
	return 0;
}

static int move_read(struct vcpu *v, u64 gpa, const struct move *m)
{
	const struct abi_regs *regs = &v->exit->out.regs;
	u64 value = 0;

	if (!iodev_access(v, IO_MMIO, gpa, m->size, &value, false)) {
		trace_kvm_mmio(TRACE_MMIO_READ, m->size, gpa, &value);
		move_commit(v, regs, m, move_merge(m, ((const u64 *)regs)[m->reg], value));
		return 1;
	}
	v->arch.emulation->regs_set = false;
	trace_kvm_mmio(TRACE_MMIO_ASK, m->size, gpa, NULL);
	exit_mmio(v, gpa, m->size, NULL);
	v->complete = move_read_complete;
	return 0;
}

/*
 * A fault's final access by a plain move: the fault says where its operand
 * lies. Doubt about anything leaves it to the decoder.
 */
static int emulate_move(struct vcpu *v)
{
	const struct exit_state *out = &v->exit->out;
	struct emulation *e = v->arch.emulation;
	struct move *m = &e->move;
	u64 bytes[CODE_BYTES / 8];

	static_assert(CODE_BYTES >= MOVE_BYTES);

	if (out->error & (FAULT_TABLE | FAULT_FETCH) || out->regs.rflags & X86_EFLAGS_TF || v->arch.stepped)
		return MOVE_NOT;
	if (out->insn_len >= DECODE_INSN_MAX) {
		if (!move_decode(out, out->insn, m))
			return MOVE_NOT;
	} else if (!code_fetch(v, &e->walk, e->code, bytes) || !move_decode(out, (u8 *)bytes, m)) {
		return MOVE_NOT;
	}
	if (offset_in_page(m->linear) != offset_in_page(out->gpa) || !m->write != !(out->error & FAULT_WRITE) ||
	    offset_in_page(out->gpa) + m->size > PAGE_SIZE)
		return MOVE_NOT;
	return m->write ? move_write(v, out->gpa, m) : move_read(v, out->gpa, m);
}

int emulate_exit(struct vcpu *v)
{
	struct emulation *e = v->arch.emulation;
	const struct exit_state *out = &v->exit->out;
	int rc;

	v->counters.pf_emulate += out->reason == EXIT_FAULT;
	e->walk.maxphyaddr = v->arch.maxphyaddr;
	if (likely(out->reason == EXIT_FAULT)) {
		rc = emulate_move(v);
		if (likely(rc != MOVE_NOT))
			return rc;
	}
	load_state(e, out);
	e->answers = 0;
	e->io_answered = false;
	e->gpa_known = out->reason == EXIT_FAULT && !(out->error & (FAULT_TABLE | FAULT_FETCH));
	return emulate(v);
}

/* Is the instruction to run again when the VMM has answered? */
static bool emulate_waits(struct vcpu *v)
{
	return v->complete == mmio_read_complete || v->complete == ins_complete ||
	       v->complete == move_read_complete;
}

/* Another RIP (a reset, say) means that the instruction never was. */
void emulate_set_regs(struct vcpu *v, const struct abi_regs *regs)
{
	struct decode_state *d = &v->arch.emulation->d;

	if (!emulate_waits(v))
		return;
	if (v->exit->out.regs.rip != regs->rip)
		v->complete = NULL;
	else
		d->regs = *regs;
	v->arch.emulation->regs_set = true;
}

void emulate_set_sregs(struct vcpu *v)
{
	if (emulate_waits(v))
		v->complete = NULL;
}

long emulate_translate(struct vcpu *v, struct kvm_translation *t, const struct abi_sregs *s)
{
	struct walk walk = {
		.cr0 = s->cr0, .cr3 = s->cr3, .cr4 = s->cr4, .efer = s->efer,
		.maxphyaddr = v->arch.maxphyaddr, .read_gpa = walk_read, .ctx = v,
	};
	struct decode_fault fault;
	int rc, idx = srcu_read_lock(&v->vm->srcu);
	u64 gpa;

	rc = walk_translate(&walk, t->linear_address, 0, &gpa, &fault);
	srcu_read_unlock(&v->vm->srcu, idx);
	/* KVM's own answers: an address of all ones means none. */
	t->physical_address = rc ? ~0ull : gpa;
	t->valid = !rc;
	t->writeable = 1;
	t->usermode = 0;
	return 0;
}

bool emulate_peek(struct vcpu *v, u64 *bytes)
{
	struct emulation *e = v->arch.emulation;

	return code_fetch(v, &e->walk, e->code, bytes);
}

int emulate_init(struct vcpu *v)
{
	struct emulation *e = kzalloc(sizeof(*e), GFP_KERNEL_ACCOUNT);

	if (!e)
		return -ENOMEM;
	code_init(e->code);
	e->walk.read_gpa = walk_read;
	e->walk.cmpxchg_gpa = walk_cmpxchg;
	e->walk.ctx = v;
	v->arch.emulation = e;
	return 0;
}

void emulate_free(struct vcpu *v)
{
	kfree(v->arch.emulation);
}
