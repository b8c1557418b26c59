// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * state.c - KVM's structs of a vCPU's state, made from the hypervisor's fields
 * and back, with KVM's checks in KVM's order; KVM_GET_FPU and KVM_SET_FPU are
 * views of the XSAVE image.
 *
 * Owns: the guest's own debug registers while the VMM's are in place. The
 * hypervisor checks only what could hurt itself; what a wrong state would do to
 * its own guest is refused here.
 * Called by: vcpu.c, ioctl.c. Concurrency: v->lock.
 * See: Documentation/virt/kvm/api.rst; docs/abi.md.
 */
#include <linux/slab.h>
#include <asm/debugreg.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "tenon.h"
#include "models/special.h"

#define VECTOR_DB 1u
#define VECTOR_NMI 2u
#define VECTOR_BP 3u
#define VECTOR_OF 4u
#define VECTOR_PF 14u
#define VECTOR_MAX 31u
#define CR4_ALWAYS 0x7ffull	/* VME .. OSXMMEXCPT */
#define EFER_KNOWN (EFER_SCE | EFER_LME | EFER_LMA | EFER_NX | EFER_FFXSR)
#define DR7_FIXED 0x400ull
#define DR7_MASK 0xffff23ffull
#define XSAVE_BYTES sizeof(struct abi_xsave)
#define XSAVE_HEADER 512
#define XSTATE_LEGACY 3ull	/* x87 and SSE */

/* CR4 bits and the CPUID bit that allows each. */
static const struct { u32 bit, leaf, reg, cpuid_bit; } cr4_features[] = {
	{ 11, 7, 2, 2 },	/* UMIP */
	{ 12, 7, 2, 16 },	/* LA57 */
	{ 16, 7, 1, 0 },	/* FSGSBASE */
	{ 17, 1, 2, 17 },	/* PCIDE */
	{ 18, 1, 2, 26 },	/* OSXSAVE */
	{ 20, 7, 1, 7 },	/* SMEP */
	{ 21, 7, 1, 20 },	/* SMAP */
	{ 22, 7, 2, 3 },	/* PKE */
};

/* What a guest of this machine can have at all. */
static u64 cr4_offered = CR4_ALWAYS;

void state_offers(void)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(cr4_features); i++) {
		if (cpuid_offers(cr4_features[i].leaf, cr4_features[i].reg, cr4_features[i].cpuid_bit))
			cr4_offered |= 1ull << cr4_features[i].bit;
	}
}

/* Until the VMM has set a CPUID table, all that the machine offers is allowed, as in KVM. */
bool state_cr4_valid(const struct vcpu *v, u64 cr4)
{
	u64 allowed = v->arch.cpuid_set ? CR4_ALWAYS : cr4_offered;
	u32 i;

	for (i = 0; v->arch.cpuid_set && i < ARRAY_SIZE(cr4_features); i++) {
		if (cpuid_has(v, cr4_features[i].leaf, cr4_features[i].reg, cr4_features[i].cpuid_bit))
			allowed |= 1ull << cr4_features[i].bit;
	}
	return !(cr4 & ~(allowed & cr4_offered));
}

bool state_cr0_valid(u64 cr0)
{
	if (cr0 >> 32 || (cr0 & X86_CR0_NW && !(cr0 & X86_CR0_CD)))
		return false;
	return !(cr0 & X86_CR0_PG) || cr0 & X86_CR0_PE;
}

/* ---- the hypervisor's fields ---- */

int state_read(struct vcpu *v, struct state_fields *s)
{
	return vcpu_call(v, OPX_OP_STATE_GET, NULL, 0, s);
}

int state_write(struct vcpu *v, const struct state_fields *s)
{
	int rc = vcpu_call(v, OPX_OP_STATE_SET, s, sizeof(*s), NULL);

	v->arch.ready = 0;	/* it may have closed the window for interrupts */
	if (!rc && s->fields & BIT_ULL(STATE_CR4))
		cpuid_follow_cr4(v, s->value[STATE_CR4]);
	return rc;
}

int state_read_one(struct vcpu *v, u32 field, u64 *value)
{
	struct state_fields s;
	int rc = state_read(v, &s);

	*value = rc ? 0 : s.value[field];
	return rc;
}

int state_write_one(struct vcpu *v, u32 field, u64 value)
{
	struct state_fields s = {};

	state_put(&s, field, value);
	return state_write(v, &s);
}

int state_set_tsc_offset(struct vcpu *v, u64 offset)
{
	WRITE_ONCE(v->arch.tsc_offset, offset);
	pvclock_tsc_changed(v);
	return state_write_one(v, STATE_TSC_OFFSET, offset);
}

int state_set_tsc_ratio(struct vcpu *v, u64 ratio)
{
	WRITE_ONCE(v->arch.tsc_ratio, ratio);
	pvclock_tsc_changed(v);
	return state_write_one(v, STATE_TSC_RATIO, ratio);
}

/* ---- reset ---- */

#define DR6_RESET 0xffff0ff0ull
#define PAT_RESET 0x0007040600070406ull

/* Real mode at 0xfffffff0 (APM volume 2, table 14-1). MSRs but PAT and EFER, and extended state, stay. */
int state_reset(struct vcpu *v)
{
	static const u16 attr[SEG_COUNT] = { 0x93, 0x9b, 0x93, 0x93, 0x93, 0x93, [SEG_LDTR] = 0x82, [SEG_TR] = 0x8b };
	struct abi_regs regs = { .rip = 0xfff0, .rflags = X86_EFLAGS_FIXED, .rdx = 0x600 };
	struct state_fields s = { .fields = (1ull << (STATE_EFER + 1)) - 1 };
	int rc = vcpu_call(v, OPX_KVM_SET_REGS, &regs, sizeof(regs), NULL);
	u32 i;

	if (rc)
		return rc;
	for (i = 0; i < SEG_COUNT; i++)
		s.value[2 * i] = (u64)attr[i] << 16 | 0xffffull << 32;
	s.value[2 * SEG_CS] |= 0xf000;
	s.value[2 * SEG_CS + 1] = 0xffff0000;
	s.value[STATE_CR0] = X86_CR0_ET | X86_CR0_CD | X86_CR0_NW;
	state_put(&s, STATE_DR6, DR6_RESET);
	state_put(&s, STATE_DR7, DR7_FIXED);
	state_put(&s, STATE_PAT, PAT_RESET);
	state_put(&s, STATE_SHADOW, 0);
	state_put(&s, STATE_EXCEPTION, 0);
	state_put(&s, STATE_INTERRUPT, 0);
	state_put(&s, STATE_NMI, 0);
	return state_write(v, &s);
}

/* A new vCPU: what the hypervisor made is all 0. */
int state_init(struct vcpu *v)
{
	int rc = state_reset(v) ?: tsc_vcpu_init(v);
	u8 *x = kzalloc(XSAVE_BYTES, GFP_KERNEL_ACCOUNT);

	if (!x)
		return -ENOMEM;
	*(u16 *)x = 0x37f;		/* FCW */
	*(u32 *)(x + 24) = 0x1f80;	/* MXCSR */
	*(u64 *)(x + XSAVE_HEADER) = XSTATE_LEGACY;
	if (!rc)
		rc = vcpu_call(v, OPX_KVM_SET_XSAVE, x, XSAVE_BYTES, NULL);
	kfree(x);
	return rc;
}

/* ---- KVM_GET_SREGS, KVM_SET_SREGS ---- */

static const struct { u8 seg; u16 offset; } segments[] = {
	{ SEG_ES, offsetof(struct abi_sregs, es) }, { SEG_CS, offsetof(struct abi_sregs, cs) },
	{ SEG_SS, offsetof(struct abi_sregs, ss) }, { SEG_DS, offsetof(struct abi_sregs, ds) },
	{ SEG_FS, offsetof(struct abi_sregs, fs) }, { SEG_GS, offsetof(struct abi_sregs, gs) },
	{ SEG_LDTR, offsetof(struct abi_sregs, ldt) }, { SEG_TR, offsetof(struct abi_sregs, tr) },
};

/* On AMD's processors limits are in bytes, and the G bit that is kept says nothing. */
static struct abi_segment segment_get(const struct state_segment *s)
{
	return (struct abi_segment){
		.base = s->base, .limit = s->limit, .selector = s->selector,
		.type = s->attr & 15, .s = s->attr >> 4 & 1, .dpl = s->attr >> 5 & 3, .present = s->attr >> 7 & 1,
		.avl = s->attr >> 8 & 1, .l = s->attr >> 9 & 1, .db = s->attr >> 10 & 1,
		.g = arch_is_amd() ? s->limit > 0xfffff : s->attr >> 11 & 1,
		.unusable = !(s->attr >> 7 & 1),
	};
}

static void segment_put(struct state_fields *to, u32 seg, const struct abi_segment *a)
{
	u32 attr = (a->type & 15) | (a->s & 1) << 4 | (a->dpl & 3) << 5 | ((a->present & 1) && !a->unusable) << 7 |
		(a->avl & 1) << 8 | (a->l & 1) << 9 | (a->db & 1) << 10 | (a->g & 1) << 11;

	state_put(to, 2 * seg, a->selector | (u64)attr << 16 | (u64)a->limit << 32);
	state_put(to, 2 * seg + 1, a->base);
}

/* What VMX would insist on, for the sake of saved states (as KVM). */
static void segments_tidy(struct abi_sregs *s)
{
	s->ds.type |= !s->ds.unusable;
	s->es.type |= !s->es.unusable;
	s->fs.type |= !s->fs.unusable;
	s->gs.type |= !s->gs.unusable;
	s->tr.type |= 2;
	if (s->ss.unusable)
		s->ss.db = 0;
}

static struct abi_dtable table_get(const struct state_fields *s, u32 seg)
{
	return (struct abi_dtable){ .base = s->value[2 * seg + 1], .limit = s->value[2 * seg] >> 32 };
}

static void table_put(struct state_fields *s, u32 seg, const struct abi_dtable *table)
{
	state_put(s, 2 * seg, (u64)table->limit << 32);
	state_put(s, 2 * seg + 1, table->base);
}

int state_get_sregs(struct vcpu *v, struct abi_sregs *s)
{
	struct state_fields f;
	int rc = state_read(v, &f);
	u64 irq = f.value[STATE_INTERRUPT];
	u32 i;

	memset(s, 0, sizeof(*s));
	if (rc)
		return rc;
	for (i = 0; i < ARRAY_SIZE(segments); i++)
		*(struct abi_segment *)((u8 *)s + segments[i].offset) =
			segment_get((struct state_segment *)&f.value[2 * segments[i].seg]);
	if (arch_is_amd())
		segments_tidy(s);
	s->gdt = table_get(&f, SEG_GDTR);
	s->idt = table_get(&f, SEG_IDTR);
	s->cr0 = f.value[STATE_CR0];
	s->cr2 = f.value[STATE_CR2];
	s->cr3 = f.value[STATE_CR3];
	s->cr4 = f.value[STATE_CR4];
	s->cr8 = vcpu_has_lapic(v) ? apic_cr8(v) : f.value[STATE_CR8];
	s->efer = f.value[STATE_EFER];
	s->apic_base = v->arch.lapic.base;
	if (irq & STATE_EVENT)
		s->interrupt_bitmap[(irq & 0xff) / 64] = 1ull << (irq % 64);
	return 0;
}

static void interrupt_put(struct state_fields *f, const u64 *bitmap)
{
	u32 i;

	for (i = 0; i < 4; i++)
		if (bitmap[i]) {
			state_put(f, STATE_INTERRUPT, STATE_EVENT | (i * 64 + __ffs64(bitmap[i])));
			return;
		}
}

/*
 * What KVM_GET_SREGS says of TR is not what the processor keeps: the busy bit is
 * ours. Handed back unchanged, it leaves the processor's own alone: QEMU's
 * translator dies of a busy TR at a 32-bit guest's next change of rings.
 */
static void tr_keep(struct vcpu *v, struct state_fields *f)
{
	u64 now;

	if (arch_is_amd() && !state_read_one(v, 2 * SEG_TR, &now) && (now | 2ull << 16) == f->value[2 * SEG_TR])
		f->fields &= ~(1ull << 2 * SEG_TR);
}

int state_set_sregs(struct vcpu *v, const struct abi_sregs *s)
{
	struct state_fields f = {};
	u32 i;

	apic_base_set(v, s->apic_base);
	for (i = 0; i < ARRAY_SIZE(segments); i++)
		segment_put(&f, segments[i].seg, (const struct abi_segment *)((const u8 *)s + segments[i].offset));
	tr_keep(v, &f);
	table_put(&f, SEG_GDTR, &s->gdt);
	table_put(&f, SEG_IDTR, &s->idt);
	state_put(&f, STATE_CR0, s->cr0);
	state_put(&f, STATE_CR2, s->cr2);
	state_put(&f, STATE_CR3, s->cr3);
	state_put(&f, STATE_CR4, s->cr4);
	state_put(&f, STATE_CR8, s->cr8);
	state_put(&f, STATE_EFER, s->efer & EFER_KNOWN);
	interrupt_put(&f, s->interrupt_bitmap);
	special_put_pdptes(v, s, &f);
	v->arch.pdptes_kept = false;
	v->arch.cs_base = s->cs.base;
	v->arch.cr8 = s->cr8;
	if (vcpu_has_lapic(v))
		apic_set_cr8(v, s->cr8);
	return state_write(v, &f);
}

static int check_sregs(struct vcpu *v, const struct abi_sregs *s)
{
	if (s->efer & EFER_LME && s->cr0 & X86_CR0_PG) {
		if (!(s->cr4 & X86_CR4_PAE) || !(s->efer & EFER_LMA) || s->cr3 >> v->arch.maxphyaddr)
			return -EINVAL;
	} else if (s->efer & EFER_LMA || s->cs.l) {
		return -EINVAL;
	}
	return state_cr4_valid(v, s->cr4) && state_cr0_valid(s->cr0) && apic_base_valid(v, s->apic_base) ? 0 : -EINVAL;
}

static bool events_flags_valid(const struct vm_options *o, u32 flags)
{
	u32 known = ABI_EVENT_NMI_PENDING | ABI_EVENT_SIPI_VECTOR | ABI_EVENT_SHADOW | ABI_EVENT_SMM |
		    (o->exception_payload ? ABI_EVENT_PAYLOAD : 0) | (o->triple_fault_event ? ABI_EVENT_TRIPLE_FAULT : 0);

	return !(flags & ~known);
}

/* Pending counts only with ABI_EVENT_PAYLOAD, and then more than injected. */
static bool event_pending(const struct abi_vcpu_events *e)
{
	return e->flags & ABI_EVENT_PAYLOAD && e->exception.pending;
}

static int check_events(const struct vm_options *o, const struct abi_vcpu_events *e)
{
	if (!events_flags_valid(o, e->flags))
		return -EINVAL;
	if ((e->exception.injected || event_pending(e)) && (e->exception.nr > VECTOR_MAX || e->exception.nr == VECTOR_NMI))
		return -EINVAL;
	return 0;
}

long ioctl_get_sregs(void *object, unsigned long arg)
{
	struct abi_sregs s;
	long rc = state_get_sregs(object, &s);

	return rc ? rc : copy_to_user((void __user *)arg, &s, sizeof(s)) ? -EFAULT : 0;
}

int state_apply_sregs(struct vcpu *v, const struct abi_sregs *s)
{
	int rc = check_sregs(v, s);

	if (rc)
		return rc;
	emulate_set_sregs(v);
	rc = state_set_sregs(v, s);
	if (!rc)
		mp_sregs_changed(v, s);
	return rc;
}

long ioctl_set_sregs(void *object, unsigned long arg)
{
	struct abi_sregs s;

	if (copy_from_user(&s, (void __user *)arg, sizeof(s)))
		return -EFAULT;
	return state_apply_sregs(object, &s);
}

/* ---- events ---- */

long ioctl_interrupt(void *object, unsigned long arg)
{
	struct abi_interrupt irq;
	struct vcpu *v = object;

	if (copy_from_user(&irq, (void __user *)arg, sizeof(irq)))
		return -EFAULT;
	if (irq.irq > 255)
		return -EINVAL;
	return vcpu_has_lapic(v) ? apic_interrupt(v, irq.irq) : state_write_one(v, STATE_INTERRUPT, STATE_EVENT | irq.irq);
}

/* Two at most, one when NMIs are blocked: as a processor latches them. */
int state_add_nmi(struct vcpu *v)
{
	u64 nmi;
	int rc = state_read_one(v, STATE_NMI, &nmi);

	if (rc || (nmi & 0xff) >= (nmi & (NMI_INJECTED | NMI_MASKED) ? 1 : 2))
		return rc;
	return state_write_one(v, STATE_NMI, nmi + 1);
}

/* ---- KVM_CAP_EXCEPTION_PAYLOAD: an exception that is pending changes DR6 or CR2 only when it is delivered ---- */

static void payload_get(struct vcpu *v, struct abi_vcpu_events *e)
{
	e->flags |= ABI_EVENT_PAYLOAD;
	if (!e->exception.injected || !test_bit(REQUEST_PAYLOAD, &v->arch.requests))
		return;
	e->exception.injected = 0;
	e->exception.pending = 1;
	e->exception_has_payload = v->arch.has_payload;
	e->exception_payload = v->arch.payload;
}

static void payload_set(struct vcpu *v, const struct abi_vcpu_events *e)
{
	clear_bit(REQUEST_PAYLOAD, &v->arch.requests);
	if (!event_pending(e))
		return;
	v->arch.has_payload = e->exception_has_payload;
	v->arch.payload = e->exception_payload;
	set_bit(REQUEST_PAYLOAD, &v->arch.requests);
}

/* The bits of DR6 that are 1 at rest are 0 in it when they are set in the payload. */
static u64 payload_dr6(u64 dr6, u64 payload)
{
	dr6 = (dr6 & ~(u64)DR_TRAP_BITS) | DR6_RESERVED | payload;
	return (dr6 ^ (payload & DR6_RESERVED)) & ~BIT_ULL(12);
}

int state_deliver_payload(struct vcpu *v)
{
	u64 exception, dr6;
	int rc = v->arch.has_payload ? state_read_one(v, STATE_EXCEPTION, &exception) : 0;

	if (rc || !v->arch.has_payload || !(exception & STATE_EVENT))
		return rc;
	if ((exception & 31) == VECTOR_PF)
		return state_write_one(v, STATE_CR2, v->arch.payload);
	if ((exception & 31) != VECTOR_DB)
		return 0;
	rc = state_read_one(v, STATE_DR6, &dr6);
	return rc ? rc : state_write_one(v, STATE_DR6, payload_dr6(dr6, v->arch.payload));
}

/* KVM_CAP_X86_TRIPLE_FAULT_EVENT: the shutdown that the next KVM_RUN is to end in. */
static void triple_fault_get(struct vcpu *v, struct abi_vcpu_events *e)
{
	e->flags |= ABI_EVENT_TRIPLE_FAULT;
	e->triple_fault_pending = test_bit(REQUEST_SHUTDOWN, &v->arch.requests);
}

static void triple_fault_set(struct vcpu *v, const struct abi_vcpu_events *e)
{
	if (e->triple_fault_pending)
		set_bit(REQUEST_SHUTDOWN, &v->arch.requests);
	else
		clear_bit(REQUEST_SHUTDOWN, &v->arch.requests);
}

int state_get_events(struct vcpu *v, struct abi_vcpu_events *e)
{
	const struct vm_options *o = &v->vm->arch.options;
	struct state_fields s;
	int rc = state_read(v, &s);
	u64 x = s.value[STATE_EXCEPTION], irq = s.value[STATE_INTERRUPT], nmi = s.value[STATE_NMI];

	if (rc)
		return rc;
	*e = (struct abi_vcpu_events){ .flags = ABI_EVENT_NMI_PENDING | ABI_EVENT_SHADOW | ABI_EVENT_SMM };
	e->exception.nr = x & 31;
	e->exception.injected = x & STATE_EVENT && e->exception.nr != VECTOR_BP && e->exception.nr != VECTOR_OF;
	e->exception.has_error_code = !!(x & STATE_EVENT_ERROR);
	e->exception.error_code = x >> 32;
	e->interrupt.injected = !!(irq & STATE_EVENT);
	e->interrupt.nr = irq;
	e->interrupt.shadow = s.value[STATE_SHADOW] ? ABI_SHADOW_STI | ABI_SHADOW_MOV_SS : 0;
	e->nmi.pending = !!(nmi & NMI_PENDING);
	e->nmi.injected = !!(nmi & NMI_INJECTED);
	e->nmi.masked = !!(nmi & NMI_MASKED);
	if (o->exception_payload)
		payload_get(v, e);
	if (o->triple_fault_event)
		triple_fault_get(v, e);
	return 0;
}

long ioctl_get_events(void *object, unsigned long arg)
{
	struct abi_vcpu_events e;
	long rc = state_get_events(object, &e);

	return rc ? rc : copy_to_user((void __user *)arg, &e, sizeof(e)) ? -EFAULT : 0;
}

void state_put_exception(struct state_fields *s, u32 vector, bool has_error, u32 error)
{
	state_put(s, STATE_EXCEPTION, STATE_EVENT | STATE_EVENT_EXCEPTION | vector | (has_error ? STATE_EVENT_ERROR | (u64)error << 32 : 0));
}

static int events_set(struct vcpu *v, const struct abi_vcpu_events *e)
{
	struct state_fields s = {};
	u64 nmi;
	int rc = state_read_one(v, STATE_NMI, &nmi);

	if (rc)
		return rc;
	state_put(&s, STATE_EXCEPTION, 0);
	if (e->exception.injected || event_pending(e))
		state_put_exception(&s, e->exception.nr, e->exception.has_error_code, e->exception.error_code);
	state_put(&s, STATE_INTERRUPT, e->interrupt.injected ? STATE_EVENT | e->interrupt.nr : 0);
	if (e->flags & ABI_EVENT_SHADOW)
		state_put(&s, STATE_SHADOW, !!e->interrupt.shadow);
	if (e->flags & ABI_EVENT_NMI_PENDING)
		nmi = (nmi & ~NMI_PENDING) | !!e->nmi.pending;
	nmi = (nmi & ~(NMI_INJECTED | NMI_MASKED | NMI_IRET)) | (e->nmi.injected ? NMI_INJECTED : 0) | (e->nmi.masked ? NMI_MASKED : 0);
	state_put(&s, STATE_NMI, nmi);
	return state_write(v, &s);
}

int state_apply_events(struct vcpu *v, const struct abi_vcpu_events *e)
{
	int rc = check_events(&v->vm->arch.options, e);

	v->arch.events_unknown = true;
	if (!rc)
		rc = events_set(v, e);
	if (rc)
		return rc;
	payload_set(v, e);
	if (e->flags & ABI_EVENT_TRIPLE_FAULT)
		triple_fault_set(v, e);
	return 0;
}

long ioctl_set_events(void *object, unsigned long arg)
{
	struct abi_vcpu_events e;

	if (copy_from_user(&e, (void __user *)arg, sizeof(e)))
		return -EFAULT;
	return state_apply_events(object, &e);
}

/* ---- debug registers: the guest's own, wherever they are ---- */

int state_get_debugregs(struct vcpu *v, struct abi_debugregs *d)
{
	struct state_fields s;
	int rc = state_read(v, &s);
	const u64 *dr = v->arch.debug_hw ? v->arch.guest_dr : &s.value[STATE_DR0];

	*d = (struct abi_debugregs){};
	if (rc)
		return rc;
	memcpy(d->db, dr, sizeof(d->db));
	d->dr6 = s.value[STATE_DR6];
	d->dr7 = v->arch.debug_hw ? v->arch.guest_dr7 : s.value[STATE_DR7];
	return 0;
}

static void debug_put(struct state_fields *s, const u64 *dr, u64 dr7)
{
	u32 i;

	for (i = 0; i < 4; i++)
		state_put(s, STATE_DR0 + i, dr[i]);
	state_put(s, STATE_DR7, dr7);
}

int state_set_debugregs(struct vcpu *v, const struct abi_debugregs *d)
{
	struct state_fields s = {};

	state_put(&s, STATE_DR6, (u32)d->dr6);
	if (!v->arch.debug_hw)
		debug_put(&s, d->db, (u32)d->dr7);
	memcpy(v->arch.guest_dr, d->db, sizeof(v->arch.guest_dr));
	v->arch.guest_dr7 = (u32)d->dr7;
	return state_write(v, &s);
}

long ioctl_get_debugregs(void *object, unsigned long arg)
{
	struct abi_debugregs d;
	long rc = state_get_debugregs(object, &d);

	return rc ? rc : copy_to_user((void __user *)arg, &d, sizeof(d)) ? -EFAULT : 0;
}

long ioctl_set_debugregs(void *object, unsigned long arg)
{
	struct abi_debugregs d;

	if (copy_from_user(&d, (void __user *)arg, sizeof(d)))
		return -EFAULT;
	return d.flags || d.dr6 >> 32 || d.dr7 >> 32 ? -EINVAL : state_set_debugregs(object, &d);
}

/* The VMM's breakpoints stand in DR0 to DR3 and DR7 instead of the guest's. */
static int debug_set(struct vcpu *v, const struct abi_guest_debug *d, struct state_fields *s)
{
	u32 control = d->control & ABI_DEBUG_ENABLE ? d->control : 0;
	bool hardware = control & ABI_DEBUG_USE_HW_BP;
	struct abi_debugregs own;
	int rc = state_get_debugregs(v, &own);

	if (rc)
		return rc;
	memcpy(v->arch.guest_dr, own.db, sizeof(own.db));
	v->arch.guest_dr7 = own.dr7;
	if (hardware)
		debug_put(s, d->debugreg, (d->debugreg[7] & DR7_MASK) | DR7_FIXED);
	else if (v->arch.debug_hw)
		debug_put(s, own.db, own.dr7);
	v->arch.debug_control = control & (STATE_DEBUG_STEP | STATE_DEBUG_BP | STATE_DEBUG_DR);
	state_put(s, STATE_DEBUG, v->arch.debug_control | v->arch.options.watch);
	v->arch.debug_hw = hardware;
	v->arch.stepped = control & ABI_DEBUG_SINGLESTEP;
	return state_write(v, s);
}

/* A waiting exception makes injecting one more -EBUSY. */
long ioctl_set_guest_debug(void *object, unsigned long arg)
{
	struct state_fields s = {};
	struct abi_guest_debug d;
	u64 waiting;

	if (copy_from_user(&d, (void __user *)arg, sizeof(d)))
		return -EFAULT;
	if (d.control & (ABI_DEBUG_INJECT_DB | ABI_DEBUG_INJECT_BP)) {
		if (state_read_one(object, STATE_EXCEPTION, &waiting) || waiting)
			return -EBUSY;
		state_put_exception(&s, d.control & ABI_DEBUG_INJECT_DB ? VECTOR_DB : VECTOR_BP, false, 0);
	}
	return debug_set(object, &d, &s);
}

/* ---- XCR0 ---- */

long ioctl_get_xcrs(void *object, unsigned long arg)
{
	struct abi_xcrs x = { .nr_xcrs = boot_cpu_has(X86_FEATURE_XSAVE) };
	int rc = x.nr_xcrs ? state_read_one(object, STATE_XCR0, &x.xcrs[0].value) : 0;

	if (rc)
		return rc;
	return copy_to_user((void __user *)arg, &x, sizeof(x)) ? -EFAULT : 0;
}

long ioctl_set_xcrs(void *object, unsigned long arg)
{
	struct abi_xcrs x;
	u32 i;

	if (copy_from_user(&x, (void __user *)arg, sizeof(x)))
		return -EFAULT;
	if (!boot_cpu_has(X86_FEATURE_XSAVE) || x.nr_xcrs > ARRAY_SIZE(x.xcrs) || x.flags)
		return -EINVAL;
	for (i = 0; i < x.nr_xcrs; i++) {
		if (!x.xcrs[i].xcr)
			return state_write_one(object, STATE_XCR0, x.xcrs[i].value);
	}
	return 0;
}

/* ---- KVM_GET_FPU, KVM_SET_FPU ---- */

static void fpu_from_xsave(struct abi_fpu *f, const u8 *x)
{
	memcpy(&f->fcw, x, 2);
	memcpy(&f->fsw, x + 2, 2);
	f->ftwx = x[4];
	memcpy(&f->last_opcode, x + 6, 2);
	memcpy(&f->last_ip, x + 8, 8);
	memcpy(&f->last_dp, x + 16, 8);
	memcpy(f->fpr, x + 32, sizeof(f->fpr));
	memcpy(f->xmm, x + 160, sizeof(f->xmm));
}

static void fpu_to_xsave(u8 *x, const struct abi_fpu *f)
{
	memcpy(x, &f->fcw, 2);
	memcpy(x + 2, &f->fsw, 2);
	x[4] = f->ftwx;
	memcpy(x + 6, &f->last_opcode, 2);
	memcpy(x + 8, &f->last_ip, 8);
	memcpy(x + 16, &f->last_dp, 8);
	memcpy(x + 32, f->fpr, sizeof(f->fpr));
	memcpy(x + 160, f->xmm, sizeof(f->xmm));
	*(u64 *)(x + XSAVE_HEADER) |= XSTATE_LEGACY;
}

long ioctl_get_fpu(void *object, unsigned long arg)
{
	struct abi_fpu fpu = {};
	struct vcpu *v = object;
	u8 *x = kzalloc(XSAVE_BYTES, GFP_KERNEL_ACCOUNT);
	long rc;

	if (!x)
		return -ENOMEM;
	rc = vcpu_call(v, OPX_KVM_GET_XSAVE, NULL, 0, x);
	fpu_from_xsave(&fpu, x);
	kfree(x);
	if (!rc && copy_to_user((void __user *)arg, &fpu, sizeof(fpu)))
		rc = -EFAULT;
	return rc;
}

long ioctl_set_fpu(void *object, unsigned long arg)
{
	struct vcpu *v = object;
	struct abi_fpu fpu;
	long rc;
	u8 *x;

	if (copy_from_user(&fpu, (void __user *)arg, sizeof(fpu)))
		return -EFAULT;
	x = kzalloc(XSAVE_BYTES, GFP_KERNEL_ACCOUNT);
	if (!x)
		return -ENOMEM;
	rc = vcpu_call(v, OPX_KVM_GET_XSAVE, NULL, 0, x);
	fpu_to_xsave(x, &fpu);
	if (!rc)
		rc = vcpu_call(v, OPX_KVM_SET_XSAVE, x, XSAVE_BYTES, NULL);
	kfree(x);
	return rc;
}
