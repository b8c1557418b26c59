// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * options.c - what a VMM asks to be different from KVM's default: quirks that
 * are off, registers that it wants to answer itself, features held back.
 *
 * Owns: vm.arch.options, vcpu.arch.options. Invariant: a register that the
 * filter denies reaches the hypervisor's copy in no way: while there is a filter
 * or a reason to ask the VMM, every RDMSR and WRMSR of the guest comes here.
 * Called by: ioctl.c, msr.c, exits.c. Concurrency: vm.lock to write the VM's
 * part, v->lock for a vCPU's; the filter is read under vm.srcu.
 * See: Documentation/virt/kvm/api.rst 4.97, 7.20, 7.21, 7.30.
 */
#include <linux/kvm_para.h>
#include <linux/slab.h>

#include "tenon.h"
#include "x86_64/options.h"

#define X2APIC_FIRST 0x800u
#define X2APIC_LAST 0x8ffu
#define VECTOR_GP 13u

/* ---- KVM_X86_SET_MSR_FILTER ---- */

struct msr_range {
	u32 flags, base, count;
	unsigned long *bitmap;
};

struct msr_filter {
	bool allow;
	u32 count;
	struct msr_range range[KVM_MSR_FILTER_MAX_RANGES];
};

static void filter_free(struct msr_filter *filter)
{
	u32 i;

	for (i = 0; filter && i < filter->count; i++)
		kfree(filter->range[i].bitmap);
	kfree(filter);
}

/* KVM's checks in KVM's order; an empty range is left out. */
static int range_add(struct msr_filter *filter, const struct kvm_msr_filter_range *from)
{
	size_t bytes = BITS_TO_LONGS((size_t)from->nmsrs) * sizeof(long);
	unsigned long *bitmap;

	if (!from->nmsrs)
		return 0;
	if (from->flags & ~(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE) || !from->flags)
		return -EINVAL;
	if (bytes > KVM_MSR_FILTER_MAX_BITMAP_SIZE)
		return -EINVAL;
	bitmap = memdup_user((void __user *)from->bitmap, bytes);
	if (IS_ERR(bitmap))
		return PTR_ERR(bitmap);
	filter->range[filter->count++] = (struct msr_range){ from->flags, from->base, from->nmsrs, bitmap };
	return 0;
}

static struct msr_filter *filter_make(const struct kvm_msr_filter *from)
{
	struct msr_filter *filter = kzalloc(sizeof(*filter), GFP_KERNEL_ACCOUNT);
	int rc = 0;
	u32 i;

	if (!filter)
		return ERR_PTR(-ENOMEM);
	filter->allow = !(from->flags & KVM_MSR_FILTER_DEFAULT_DENY);
	for (i = 0; i < ARRAY_SIZE(from->ranges) && !rc; i++)
		rc = range_add(filter, &from->ranges[i]);
	if (!rc)
		return filter;
	filter_free(filter);
	return ERR_PTR(rc);
}

static bool filter_empty(const struct kvm_msr_filter *from)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(from->ranges); i++) {
		if (from->ranges[i].nmsrs)
			return false;
	}
	return true;
}

/* The VM's vCPUs look at the options again before they run on. vm.lock held. */
static void changed(struct vm *vm)
{
	WRITE_ONCE(vm->arch.options.serial, vm->arch.options.serial + 1);
}

long options_set_msr_filter(void *object, unsigned long arg)
{
	struct kvm_msr_filter from;
	struct msr_filter *filter, *old;
	struct vm *vm = object;

	if (copy_from_user(&from, (void __user *)arg, sizeof(from)))
		return -EFAULT;
	if (from.flags & ~KVM_MSR_FILTER_DEFAULT_DENY)
		return -EINVAL;
	if (filter_empty(&from) && from.flags & KVM_MSR_FILTER_DEFAULT_DENY)
		return -EINVAL;
	filter = filter_make(&from);
	if (IS_ERR(filter))
		return PTR_ERR(filter);
	mutex_lock(&vm->lock);
	old = vm->arch.options.filter;
	rcu_assign_pointer(vm->arch.options.filter, filter);
	changed(vm);
	mutex_unlock(&vm->lock);
	synchronize_srcu(&vm->srcu);
	filter_free(old);
	return 0;
}

void options_free(struct vm *vm)
{
	filter_free(vm->arch.options.filter);
}

/* The first range that covers the register decides. */
static bool filter_allows(const struct msr_filter *filter, u32 msr, u32 access)
{
	const struct msr_range *r;

	for (r = filter->range; r < filter->range + filter->count; r++) {
		if (msr - r->base < r->count && r->flags & access)
			return test_bit(msr - r->base, r->bitmap);
	}
	return filter->allow;
}

/* The x2APIC's registers are never filtered, as in KVM. */
bool options_msr_allowed(struct vm *vm, u32 msr, bool write)
{
	const struct msr_filter *filter;
	bool allowed;
	int idx;

	if (msr >= X2APIC_FIRST && msr <= X2APIC_LAST)
		return true;
	idx = srcu_read_lock(&vm->srcu);
	filter = srcu_dereference(vm->arch.options.filter, &vm->srcu);
	allowed = !filter || filter_allows(filter, msr, write ? KVM_MSR_FILTER_WRITE : KVM_MSR_FILTER_READ);
	srcu_read_unlock(&vm->srcu, idx);
	return allowed;
}

/* ---- KVM_EXIT_X86_RDMSR, KVM_EXIT_X86_WRMSR ---- */

/* The VMM has answered. If it moved RIP meanwhile, the instruction counts as never executed. */
static int msr_complete(struct vcpu *v)
{
	if (v->arch.rip + v->arch.cs_base != v->arch.io_linear)
		return 1;
	if (READ_ONCE(v->run->msr.error))
		return msr_fault(v);
	return msr_done(v, v->arch.options.msr_next_rip, READ_ONCE(v->run->msr.data));
}

bool options_msr_exit(struct vcpu *v, u32 reason)
{
	const struct exit_state *out = &v->exit->out;
	struct kvm_run *run = v->run;

	if (!(READ_ONCE(v->vm->arch.options.user_msr) & reason))
		return false;
	run->exit_reason = out->write ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR;
	run->msr.error = 0;
	memset(run->msr.pad, 0, sizeof(run->msr.pad));
	run->msr.reason = reason;
	run->msr.index = out->port;
	run->msr.data = out->write ? out->data : 0;
	v->arch.rip = out->rip;
	v->arch.cs_base = out->cs_base;
	v->arch.io_linear = out->rip + out->cs_base;
	v->arch.options.msr_next_rip = out->next_rip;
	v->complete = msr_complete;
	return true;
}

/* ---- KVM_ENABLE_CAP ---- */

bool options_quirk(const struct vm *vm, u64 quirk)
{
	return !(READ_ONCE(vm->arch.options.quirks_off) & quirk);
}

bool options_pv_denied(const struct vcpu *v, u32 bit)
{
	return v->arch.options.pv_enforced && !cpuid_has(v, KVM_CPUID_FEATURES, 0, bit);
}

/* Once, and not above what CHECK_EXTENSION says. vm.lock held. */
static int set_max_vcpu_id(struct vm_options *o, u64 id)
{
	if (id > ABI_MAX_VCPUS || (o->max_vcpu_id && o->max_vcpu_id != id))
		return -EINVAL;
	o->max_vcpu_id = id;
	return 0;
}

static int vm_enable_locked(struct vm *vm, const struct kvm_enable_cap *cap)
{
	struct vm_options *o = &vm->arch.options;
	u64 value = cap->args[0];

	switch (cap->cap) {
	case KVM_CAP_DISABLE_QUIRKS2:
		if (value & ~(u64)OPTIONS_QUIRKS)
			return -EINVAL;
		o->quirks_off = value;
		break;
	case KVM_CAP_X86_USER_SPACE_MSR:
		if (value & ~(u64)OPTIONS_MSR_REASONS)
			return -EINVAL;
		o->user_msr = value;
		break;
	case KVM_CAP_MSR_PLATFORM_INFO:
		o->platform_info_off = !value;
		break;
	case KVM_CAP_EXCEPTION_PAYLOAD:
		o->exception_payload = value;
		break;
	case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
		o->triple_fault_event = value;
		break;
	case KVM_CAP_MAX_VCPU_ID:
		return set_max_vcpu_id(o, value);
	default:
		return -EINVAL;
	}
	changed(vm);
	return 0;
}

int options_vm_enable(struct vm *vm, const struct kvm_enable_cap *cap)
{
	int rc;

	mutex_lock(&vm->lock);
	rc = vm_enable_locked(vm, cap);
	mutex_unlock(&vm->lock);
	return rc;
}

int options_vcpu_enable(struct vcpu *v, const struct kvm_enable_cap *cap)
{
	if (cap->cap != KVM_CAP_ENFORCE_PV_FEATURE_CPUID)
		return -EINVAL;
	v->arch.options.pv_enforced = cap->args[0];
	return 0;
}

/* ---- what the hypervisor watches for us ---- */

static u32 watch_wanted(const struct vcpu *v)
{
	const struct vm_options *o = &v->vm->arch.options;
	u32 watch = 0;

	if (READ_ONCE(o->filter) || READ_ONCE(o->user_msr))
		watch |= STATE_DEBUG_MSRS;
	if (!options_quirk(v->vm, KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS) && !cpuid_has(v, 1, 2, 3))
		watch |= STATE_DEBUG_MWAIT;
	return watch;
}

int options_apply(struct vcpu *v)
{
	u32 watch = watch_wanted(v);

	if (watch == v->arch.options.watch)
		return 0;
	v->arch.options.watch = watch;
	return state_write_one(v, STATE_DEBUG, v->arch.debug_control | watch);
}

int options_noticed(struct vcpu *v)
{
	u32 serial = READ_ONCE(v->vm->arch.options.serial);

	if (likely(serial == v->arch.options.serial))
		return 0;
	v->arch.options.serial = serial;
	return options_apply(v);
}

/* ---- a vCPU's attributes, and the system's ---- */

/* Where the attribute's value is; its group and number are these, or -ENXIO. */
static long attr_place(unsigned long arg, u32 group, u64 number, u64 __user **place)
{
	struct kvm_device_attr attr;

	if (copy_from_user(&attr, (void __user *)arg, sizeof(attr)))
		return -EFAULT;
	*place = (u64 __user *)(unsigned long)attr.addr;
	return attr.group == group && attr.attr == number ? 0 : -ENXIO;
}

static long vcpu_place(unsigned long arg, u64 __user **place)
{
	return attr_place(arg, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, place);
}

long options_system_has_attr(void *object, unsigned long arg)
{
	u64 __user *place;

	return attr_place(arg, 0, KVM_X86_XCOMP_GUEST_SUPP, &place);
}

/* The extended states that a guest can have. */
long options_system_get_attr(void *object, unsigned long arg)
{
	u64 __user *place;
	long rc = attr_place(arg, 0, KVM_X86_XCOMP_GUEST_SUPP, &place);

	return rc ? rc : put_user(cpuid_xcr0_offered(), place);
}

long options_has_attr(void *object, unsigned long arg)
{
	u64 __user *place;

	return vcpu_place(arg, &place);
}

long options_get_attr(void *object, unsigned long arg)
{
	struct vcpu *v = object;
	u64 __user *place;
	long rc = vcpu_place(arg, &place);

	return rc ? rc : put_user(v->arch.tsc_offset, place);
}

long options_set_attr(void *object, unsigned long arg)
{
	struct vcpu *v = object;
	u64 __user *place;
	u64 offset;
	long rc = vcpu_place(arg, &place);

	if (rc)
		return rc;
	if (get_user(offset, place))
		return -EFAULT;
	WRITE_ONCE(v->vm->arch.tsc_offset, offset);
	WRITE_ONCE(v->vm->arch.tsc_offset_khz, v->arch.tsc_khz);
	return state_set_tsc_offset(v, offset);
}
