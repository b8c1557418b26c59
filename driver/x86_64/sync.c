// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * sync.c - registers in kvm_run (KVM_CAP_SYNC_REGS), and the newer forms of two
 * structs: KVM_GET_SREGS2, KVM_SET_SREGS2, KVM_GET_XSAVE2.
 *
 * Owns: nothing. kvm_run belongs to the VMM too: what comes from it is copied
 * first. Called by: run.c, ioctl.c. Concurrency: v->lock.
 * See: Documentation/virt/kvm/api.rst, 5 at its end, 4.118 ff.
 */
#include <linux/slab.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "tenon.h"

#define SYNC_FIELDS KVM_SYNC_X86_VALID_FIELDS

/* ---- kvm_run ---- */

static int get_regs(struct vcpu *v, struct abi_regs *regs)
{
	return vcpu_call(v, OPX_KVM_GET_REGS, NULL, 0, regs);
}

static int set_regs(struct vcpu *v, const struct abi_regs *regs)
{
	int rc = vcpu_call(v, OPX_KVM_SET_REGS, regs, sizeof(*regs), NULL);

	if (!rc)
		arch_vcpu_forwarded(v, OPX_KVM_SET_REGS, regs);
	return rc;
}

/* One kind of registers from the VMM; its bit stays when they are refused. */
static int take(struct vcpu *v, u64 field, int (*set)(struct vcpu *v))
{
	int rc;

	if (!(READ_ONCE(v->run->kvm_dirty_regs) & field))
		return 0;
	rc = set(v);
	if (!rc)
		v->run->kvm_dirty_regs &= ~field;
	return rc ? -EINVAL : 0;
}

static int take_regs(struct vcpu *v)
{
	struct abi_regs regs;

	memcpy(&regs, &v->run->s.regs.regs, sizeof(regs));
	return set_regs(v, &regs);
}

static int take_sregs(struct vcpu *v)
{
	struct abi_sregs sregs;

	memcpy(&sregs, &v->run->s.regs.sregs, sizeof(sregs));
	return state_apply_sregs(v, &sregs);
}

static int take_events(struct vcpu *v)
{
	struct abi_vcpu_events events;

	memcpy(&events, &v->run->s.regs.events, sizeof(events));
	return state_apply_events(v, &events);
}

int sync_take(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	int rc;

	if ((READ_ONCE(run->kvm_valid_regs) | READ_ONCE(run->kvm_dirty_regs)) & ~SYNC_FIELDS)
		return -EINVAL;
	if (likely(!READ_ONCE(run->kvm_dirty_regs)))
		return 0;
	rc = arch_vcpu_flush(v);
	return rc ?: take(v, KVM_SYNC_X86_REGS, take_regs) ?: take(v, KVM_SYNC_X86_SREGS, take_sregs) ?:
		take(v, KVM_SYNC_X86_EVENTS, take_events);
}

void sync_give(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	u64 fields = READ_ONCE(run->kvm_valid_regs);
	struct abi_vcpu_events events;
	struct abi_sregs sregs;
	struct abi_regs regs;

	/* What waits for the next entry belongs to what is shown. */
	if (arch_vcpu_flush(v))
		return;
	if (fields & KVM_SYNC_X86_REGS && !get_regs(v, &regs))
		memcpy(&run->s.regs.regs, &regs, sizeof(regs));
	if (fields & KVM_SYNC_X86_SREGS && !state_get_sregs(v, &sregs))
		memcpy(&run->s.regs.sregs, &sregs, sizeof(sregs));
	if (fields & KVM_SYNC_X86_EVENTS && !state_get_events(v, &events))
		memcpy(&run->s.regs.events, &events, sizeof(events));
}

/* ---- KVM_GET_SREGS2, KVM_SET_SREGS2 ---- */

/* Both structs are one but for their ends. */
#define SREGS_COMMON offsetof(struct kvm_sregs2, flags)
static_assert(SREGS_COMMON == offsetof(struct kvm_sregs, interrupt_bitmap));

static bool pae_paging(u64 cr0, u64 cr4, u64 efer)
{
	return cr0 & X86_CR0_PG && cr4 & X86_CR4_PAE && !(efer & EFER_LMA);
}

/* SVM with nested paging reads them where the guest has them (APM vol. 2, 15.25.10). */
static void pdptes_from_memory(struct vcpu *v, struct kvm_sregs2 *s)
{
	u64 gpa = (u32)s->cr3 & ~0x1full;
	int idx = srcu_read_lock(&v->vm->srcu);
	struct slot *slot = slot_find(v->vm, gpa >> PAGE_SHIFT);

	if (slot)
		slot_read(slot, gpa, s->pdptrs, sizeof(s->pdptrs));
	srcu_read_unlock(&v->vm->srcu, idx);
}

/* With EPT they are registers, loaded by MOV to CR3 and the like (SDM vol. 3, 4.4.1). */
static int pdptes_from_processor(struct vcpu *v, struct kvm_sregs2 *s)
{
	struct state_fields f;
	int rc = state_read(v, &f);

	if (!rc)
		memcpy(s->pdptrs, &f.value[STATE_PDPTE0], sizeof(s->pdptrs));
	return rc;
}

static int pdptes_get(struct vcpu *v, struct kvm_sregs2 *s)
{
	s->flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	if (v->arch.pdptes_kept)
		memcpy(s->pdptrs, v->arch.pdptes, sizeof(s->pdptrs));
	else if (arch_is_amd())
		pdptes_from_memory(v, s);
	else
		return pdptes_from_processor(v, s);
	return 0;
}

/* In place of those that CR3 points to. On SVM, as with KVM, they can be read back, and the guest never uses them. */
static int pdptes_set(struct vcpu *v, const struct kvm_sregs2 *s)
{
	struct state_fields f = {};
	u32 i;

	static_assert(sizeof(v->arch.pdptes) == sizeof(s->pdptrs));
	for (i = 0; i < ARRAY_SIZE(s->pdptrs); i++)
		state_put(&f, STATE_PDPTE0 + i, s->pdptrs[i]);
	memcpy(v->arch.pdptes, s->pdptrs, sizeof(s->pdptrs));
	v->arch.pdptes_kept = true;
	return state_write(v, &f);
}

long sync_get_sregs2(void *object, unsigned long arg)
{
	struct kvm_sregs2 s = {};
	struct abi_sregs common;
	int rc = state_get_sregs(object, &common);

	if (rc)
		return rc;
	memcpy(&s, &common, SREGS_COMMON);
	if (pae_paging(s.cr0, s.cr4, s.efer))
		rc = pdptes_get(object, &s);
	if (rc)
		return rc;
	return copy_to_user((void __user *)arg, &s, sizeof(s)) ? -EFAULT : 0;
}

long sync_set_sregs2(void *object, unsigned long arg)
{
	struct abi_sregs common = {};
	struct kvm_sregs2 s;
	int rc;

	if (copy_from_user(&s, (void __user *)arg, sizeof(s)))
		return -EFAULT;
	if (s.flags & ~(u64)KVM_SREGS2_FLAGS_PDPTRS_VALID || (s.flags && !pae_paging(s.cr0, s.cr4, s.efer)))
		return -EINVAL;
	memcpy(&common, &s, SREGS_COMMON);
	rc = state_apply_sregs(object, &common);
	return rc || !s.flags ? rc : pdptes_set(object, &s);
}

/* No state that is offered needs more than the old form's 4 KiB. */
long sync_get_xsave2(void *object, unsigned long arg)
{
	struct abi_xsave *x = kzalloc(sizeof(*x), GFP_KERNEL_ACCOUNT);
	struct vcpu *v = object;
	long rc;

	if (!x)
		return -ENOMEM;
	rc = vcpu_call(v, OPX_KVM_GET_XSAVE, NULL, 0, x);
	if (!rc && copy_to_user((void __user *)arg, x, sizeof(*x)))
		rc = -EFAULT;
	kfree(x);
	return rc;
}
