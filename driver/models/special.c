// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * special.c - control, debug and XMM registers for the decoder, see special.h.
 *
 * A new CR0, CR3 or CR4 passes the checks that KVM makes of a guest's MOV, in
 * KVM's order; what the processor would answer with #GP is #GP here. Then the
 * whole KVM_SET_SREGS is done, which also drops the guest's translations.
 * Invariant: a value that is refused has changed nothing.
 * Concurrency: v->lock, vm.srcu (a PAE guest's page-directory pointers are read).
 * See: APM volume 2, 3.1 (control registers) and 5.5.1 (PCID).
 */
#include <linux/slab.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "tenon.h"
#include "models/special.h"

#define VECTOR_GP 13u
#define CR0_KNOWN 0xe005003full	/* the others are written in vain */
#define CR3_KEEP (1ull << 63)	/* with PCIDE: keep the translations; no part of the register */
#define CR3_PCID 0xfffull
#define CR0_PDPTR (X86_CR0_CD | X86_CR0_NW | X86_CR0_PG)
#define CR4_PDPTR (X86_CR4_PGE | X86_CR4_PSE | X86_CR4_PAE | X86_CR4_SMEP)
#define PDPTE_PRESENT 1ull
#define PDPTE_RESERVED 0x1c6ull		/* bit 5: see walk.c */
#define XSAVE_XMM 160
#define XSAVE_XMM_BYTES 256
#define XSAVE_HEADER 512
#define XSTATE_SSE 2ull

static u64 beyond_maxphyaddr(const struct vcpu *v)
{
	return ~0ull << v->arch.maxphyaddr;
}

/* PAE paging loads four pointers with CR3, and faults on a bad one at once. */
static bool pdptes_read(struct vcpu *v, u64 cr3, u64 entry[4])
{
	u64 gpa = cr3 & 0xffffffe0ull, reserved = PDPTE_RESERVED | beyond_maxphyaddr(v);
	struct slot *slot = slot_find(v->vm, gpa >> PAGE_SHIFT);
	unsigned int i;

	if (!slot)
		return false;
	for (i = 0; i < 4; i++) {
		if (slot_read(slot, gpa + i * 8, &entry[i], 8))
			return false;
		if (entry[i] & PDPTE_PRESENT && entry[i] & reserved)
			return false;
	}
	return true;
}

static bool pdptes_valid(struct vcpu *v, u64 cr3)
{
	u64 entry[4];

	return pdptes_read(v, cr3, entry);
}

/* Bad ones leave the processor's as they are, as with KVM. */
void special_put_pdptes(struct vcpu *v, const struct abi_sregs *s, struct state_fields *f)
{
	unsigned int i;
	u64 entry[4];
	bool good;
	int idx;

	if (s->efer & EFER_LMA || !(s->cr0 & X86_CR0_PG) || !(s->cr4 & X86_CR4_PAE))
		return;
	idx = srcu_read_lock(&v->vm->srcu);
	good = pdptes_read(v, s->cr3, entry);
	srcu_read_unlock(&v->vm->srcu, idx);
	for (i = 0; good && i < ARRAY_SIZE(entry); i++)
		state_put(f, STATE_PDPTE0 + i, entry[i]);
}

/* ---- control registers: may the guest have this value? ---- */

/* Into long mode: needs PAE, and code that is not 64-bit yet. */
static bool cr0_enters_long(const struct abi_sregs *s, u64 cr0)
{
	return s->efer & EFER_LME && cr0 & X86_CR0_PG && !(s->cr0 & X86_CR0_PG);
}

static bool cr0_allowed(struct vcpu *v, const struct abi_sregs *s, u64 cr0)
{
	if (!state_cr0_valid(cr0))
		return false;
	if (cr0_enters_long(s, cr0) && (!(s->cr4 & X86_CR4_PAE) || s->cs.l))
		return false;
	if (!(s->efer & EFER_LME) && cr0 & X86_CR0_PG && s->cr4 & X86_CR4_PAE &&
	    (cr0 ^ s->cr0) & CR0_PDPTR && !pdptes_valid(v, s->cr3))
		return false;
	return cr0 & X86_CR0_PG || !((s->efer & EFER_LMA && s->cs.l) || s->cr4 & X86_CR4_PCIDE);
}

bool special_cr3_allowed(struct vcpu *v, const struct abi_sregs *s, u64 cr3)
{
	if (s->efer & EFER_LMA)
		return !(cr3 & beyond_maxphyaddr(v));
	if (s->cr0 & X86_CR0_PG && s->cr4 & X86_CR4_PAE)
		return pdptes_valid(v, cr3);
	return true;
}

static bool cr4_allowed(struct vcpu *v, const struct abi_sregs *s, u64 cr4)
{
	u64 changed = cr4 ^ s->cr4;

	if (!state_cr4_valid(v, cr4))
		return false;
	if (s->efer & EFER_LMA) {
		if (!(cr4 & X86_CR4_PAE) || changed & X86_CR4_LA57)
			return false;
	} else if (s->cr0 & X86_CR0_PG && cr4 & X86_CR4_PAE && changed & CR4_PDPTR &&
		   !pdptes_valid(v, s->cr3)) {
		return false;
	}
	if (!(cr4 & changed & X86_CR4_PCIDE))
		return true;
	return s->efer & EFER_LMA && !(s->cr3 & CR3_PCID);
}

/* ---- and set it ---- */

static bool cr0_set(struct vcpu *v, struct abi_sregs *s, u64 value)
{
	if (!cr0_allowed(v, s, value))
		return false;
	if (cr0_enters_long(s, value))
		s->efer |= EFER_LMA;
	else if (!(value & X86_CR0_PG))
		s->efer &= ~EFER_LMA;
	s->cr0 = (value & CR0_KNOWN) | X86_CR0_ET;
	return true;
}

static bool cr2_set(struct vcpu *v, struct abi_sregs *s, u64 value)
{
	s->cr2 = value;
	return true;
}

static bool cr3_set(struct vcpu *v, struct abi_sregs *s, u64 value)
{
	if (s->cr4 & X86_CR4_PCIDE)
		value &= ~CR3_KEEP;
	if (!special_cr3_allowed(v, s, value))
		return false;
	s->cr3 = value;
	return true;
}

static bool cr4_set(struct vcpu *v, struct abi_sregs *s, u64 value)
{
	if (!cr4_allowed(v, s, value))
		return false;
	s->cr4 = value;
	return true;
}

static bool (*const cr_set[])(struct vcpu *v, struct abi_sregs *s, u64 value) = {
	[0] = cr0_set, [2] = cr2_set, [3] = cr3_set, [4] = cr4_set,
};

static int control_set(struct vcpu *v, unsigned int cr, u64 value, struct decode_fault *fault)
{
	struct abi_sregs s;

	if (state_get_sregs(v, &s))
		return DECODE_UNKNOWN;
	if (!cr_set[cr](v, &s, value)) {
		*fault = (struct decode_fault){ .vector = VECTOR_GP, .has_error = 1 };
		return DECODE_FAULT;
	}
	if (state_set_sregs(v, &s))
		return DECODE_UNKNOWN;
	return DECODE_DONE;
}

/* ---- debug registers: DR0 to DR3, DR6, DR7 ---- */

static u64 *debug_place(struct abi_debugregs *d, unsigned int dr)
{
	return dr == 7 ? &d->dr7 : dr == 6 ? &d->dr6 : &d->db[dr & 3];
}

static int debug_access(struct vcpu *v, unsigned int dr, u64 *value, bool write)
{
	struct abi_debugregs d;

	if (state_get_debugregs(v, &d))
		return DECODE_UNKNOWN;
	if (!write) {
		*value = *debug_place(&d, dr);
		return DECODE_DONE;
	}
	*debug_place(&d, dr) = *value;
	if (state_set_debugregs(v, &d))
		return DECODE_UNKNOWN;
	return DECODE_DONE;
}

/* ---- by number ---- */

int special_get(struct vcpu *v, unsigned int which, u64 *value)
{
	const struct exit_state *out = &v->exit->out;

	if (which >= DECODE_DR(0))
		return debug_access(v, which - DECODE_DR(0), value, false);
	switch (which) {
	case DECODE_CR(0): *value = out->cr0; return DECODE_DONE;
	case DECODE_CR(2): *value = out->cr2; return DECODE_DONE;
	case DECODE_CR(3): *value = out->cr3; return DECODE_DONE;
	case DECODE_CR(4): *value = out->cr4; return DECODE_DONE;
	case DECODE_CR(8): *value = out->cr8; return DECODE_DONE;
	default: return DECODE_UNKNOWN;
	}
}

int special_set(struct vcpu *v, unsigned int which, u64 value, struct decode_fault *fault)
{
	if (which >= DECODE_DR(0))
		return debug_access(v, which - DECODE_DR(0), &value, true);
	if (which >= ARRAY_SIZE(cr_set) || !cr_set[which])
		return DECODE_UNKNOWN;
	return control_set(v, which, value, fault);
}

/* ---- XMM registers, in the XSAVE image ---- */

static int xmm_access(struct vcpu *v, u8 *image, unsigned int n, u64 value[2], bool write)
{
	u64 *present = (u64 *)(image + XSAVE_HEADER);
	u8 *xmm = image + XSAVE_XMM;

	if (vcpu_call(v, OPX_KVM_GET_XSAVE, NULL, 0, image))
		return DECODE_UNKNOWN;
	if (boot_cpu_has(X86_FEATURE_XSAVE) && !(*present & XSTATE_SSE))
		memset(xmm, 0, XSAVE_XMM_BYTES);	/* in its initial state */
	if (!write) {
		memcpy(value, xmm + 16 * n, 16);
		return DECODE_DONE;
	}
	memcpy(xmm + 16 * n, value, 16);
	*present |= XSTATE_SSE;
	if (vcpu_call(v, OPX_KVM_SET_XSAVE, image, sizeof(struct abi_xsave), NULL))
		return DECODE_UNKNOWN;
	return DECODE_DONE;
}

int special_xmm(struct vcpu *v, unsigned int n, u64 value[2], unsigned int write)
{
	u8 *image = kmalloc(sizeof(struct abi_xsave), GFP_KERNEL_ACCOUNT);
	int rc = DECODE_UNKNOWN;

	if (image)
		rc = xmm_access(v, image, n & 15, value, write);
	kfree(image);
	return rc;
}
