// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * ioctl.c - the ioctls of x86-64 that the driver answers itself, and those
 * whose payload has a variable tail.
 *
 * Owns: vm.arch, and vcpu.arch's copies of what KVM_RUN reports. Invariant:
 * `ready` is never 1 when it could be stale: a VMM that believed it would
 * overwrite an interrupt not yet delivered.
 * Called by: main.c, vm.c, vcpu.c through the tables at the end.
 * Concurrency: system and VM rows none or vm.lock; vCPU rows v->lock.
 * See: Documentation/virt/kvm/api.rst; docs/abi.md.
 */
#include <linux/slab.h>
#include <asm/msr-index.h>
#include <asm/tsc.h>

#include "x86_64/chips.h"
#include "x86_64/pit_timer.h"

#define TSS_MAX_ADDR 0xffffd000ul	/* three pages below 4 GiB */
#define IDENTITY_MAP_DEFAULT 0xfffbc000ull
#define MMU_PAGES_MIN 64ull
#define MMU_PAGES_SHARE 50		/* a page of tables for so many of memory */

static bool has_log;

/* ---- payloads with a tail ---- */

/* A kernel buffer as big as one operation's payload; free with kvfree(). */
static void *payload_alloc(void)
{
	return kvzalloc(RING_OP_BYTES, GFP_KERNEL_ACCOUNT);
}

static long msr_list(struct kvm_msr_list __user *user, bool features)
{
	struct abi_msr_list *list;
	u32 room;
	long rc;

	if (get_user(room, &user->nmsrs))
		return -EFAULT;
	list = payload_alloc();
	if (!list)
		return -ENOMEM;
	list->nmsrs = features ? msr_list_features(list->indices) : msr_list_all(list->indices);
	rc = -EFAULT;
	if (put_user(list->nmsrs, &user->nmsrs))
		goto out;
	rc = -E2BIG;
	if (room < list->nmsrs)
		goto out;
	rc = copy_to_user(user->indices, list->indices, list->nmsrs * sizeof(u32)) ? -EFAULT : 0;
out:
	kvfree(list);
	return rc;
}

static long system_msr_list(void *object, unsigned long arg)
{
	return msr_list((void __user *)arg, false);
}

static long system_feature_list(void *object, unsigned long arg)
{
	return msr_list((void __user *)arg, true);
}

static int msr_one(struct vcpu *v, bool write, struct abi_msr_entry *e)
{
	if (!v)
		return msr_feature(e->index, &e->data);
	return write ? msr_write(v, e->index, e->data, true) : msr_read(v, e->index, &e->data, true);
}

/* KVM_GET_MSRS and KVM_SET_MSRS, and with no vCPU the former of /dev/kvm: the result is the number of entries done. */
static long msr_io(struct vcpu *v, struct kvm_msrs __user *user, bool write_back)
{
	struct abi_msrs *msrs = payload_alloc();
	long rc = -EFAULT;
	u32 bytes;

	if (!msrs)
		return -ENOMEM;
	if (copy_from_user(msrs, user, sizeof(*msrs)))
		goto out;
	rc = -E2BIG;
	if (msrs->nmsrs >= ABI_MAX_MSR_ENTRIES)
		goto out;
	rc = -EFAULT;
	bytes = msrs->nmsrs * sizeof(msrs->entries[0]);
	if (copy_from_user(msrs->entries, user->entries, bytes))
		goto out;
	for (rc = 0; rc < msrs->nmsrs && !msr_one(v, !write_back, &msrs->entries[rc]); rc++)
		;
	if (v)
		v->arch.ready = 0;
	if (write_back && copy_to_user(user->entries, msrs->entries, bytes))
		rc = -EFAULT;
out:
	kvfree(msrs);
	return rc;
}

static long system_get_msrs(void *object, unsigned long arg)
{
	return msr_io(NULL, (void __user *)arg, true);
}

static long vcpu_get_msrs(void *object, unsigned long arg)
{
	return msr_io(object, (void __user *)arg, true);
}

static long vcpu_set_msrs(void *object, unsigned long arg)
{
	return msr_io(object, (void __user *)arg, false);
}

/* ---- VM ---- */

/* Needed by a guest in real mode on old Intel processors; there it is checked, no more. */
static long vm_set_tss_addr(void *object, unsigned long arg)
{
	return arg > TSS_MAX_ADDR ? -EINVAL : 0;
}

static long vm_set_identity_map(void *object, unsigned long arg)
{
	struct vm *vm = object;
	long rc = 0;
	u64 addr;

	mutex_lock(&vm->lock);
	if (vm->vcpu_count)
		rc = -EINVAL;
	else if (copy_from_user(&addr, (void __user *)arg, sizeof(addr)))
		rc = -EFAULT;
	else
		vm->arch.identity_map = addr ? addr : IDENTITY_MAP_DEFAULT;
	mutex_unlock(&vm->lock);
	return rc;
}

/*
 * KVM's limit on pages for shadow tables. Here no guest has shadow tables, as
 * none has on KVM with its TDP MMU: the number is kept, and limits nothing.
 */
static long vm_set_nr_mmu_pages(void *object, unsigned long arg)
{
	struct vm *vm = object;

	if (arg < MMU_PAGES_MIN)
		return -EINVAL;
	WRITE_ONCE(vm->arch.mmu_pages, arg);
	return 0;
}

/* Without a limit of the VMM's, KVM's own: a share of the guest's memory, from the first slot on. */
static long vm_get_nr_mmu_pages(void *object, unsigned long arg)
{
	struct vm *vm = object;
	unsigned long limit = READ_ONCE(vm->arch.mmu_pages);
	struct slots *slots;
	u64 pages = 0;
	u32 i;
	int idx;

	if (limit)
		return (int)limit;
	idx = srcu_read_lock(&vm->srcu);
	slots = srcu_dereference(vm->slots, &vm->srcu);
	for (i = 0; i < slots->count; i++)
		pages += slots->slot[i]->pages;
	limit = slots->serial > SLOTS_FIRST ? max(pages / MMU_PAGES_SHARE, MMU_PAGES_MIN) : 0;
	srcu_read_unlock(&vm->srcu, idx);
	return (int)limit;
}

int arch_vcpu_enable_cap(struct vcpu *v, const struct kvm_enable_cap *cap)
{
	return options_vcpu_enable(v, cap);
}

int arch_vcpu_precreate(struct vm *vm, u32 id)
{
	u32 limit = READ_ONCE(vm->arch.options.max_vcpu_id);

	return limit && id >= limit ? -EINVAL : 0;
}

void arch_vm_close(struct vm *vm)
{
	irqfd_release(vm);
}

void arch_vm_stop(struct vm *vm)
{
	u32 i;

	chips_stop(vm);
	pit_free(vm);
	/* Faults under way are of vCPUs with a LAPIC alone. */
	for (i = 0; i < vm->arch.lapic_count; i++) {
		if (vm->arch.lapics[i])
			apf_reset(vm->arch.lapics[i]);
	}
}

void arch_vm_free(struct vm *vm)
{
	route_free(vm);
	chips_free(vm);
	options_free(vm);
}

int arch_init(void)
{
	int rc = irqfd_init();

	if (rc)
		return rc;
	state_offers();
	tsc_offers();
	has_log = cpuid_ebx(ABI_CPUID_BASE + 1) & ABI_FEATURE_LOG;
	apic_offers();
	rc = pvclock_init();
	if (rc)
		goto no_clock;
	rc = apf_init();
	if (rc)
		goto no_apf;
	flag_init();
	return 0;

no_apf:
	pvclock_exit();
no_clock:
	irqfd_exit();
	return rc;
}

void arch_exit(void)
{
	flag_exit();
	apf_exit();
	pvclock_exit();
	irqfd_exit();
}

void arch_vm_init(struct vm *vm)
{
	pvclock_init_vm(vm);
	vm->arch.identity_map = IDENTITY_MAP_DEFAULT;
	/* All vCPUs count from the VM's creation (KVM starts them within a second of each other). */
	tsc_start(vm, tsc_khz, rdtsc());
}

/* ---- vCPU ---- */

static long vcpu_translate(void *object, unsigned long arg)
{
	struct kvm_translation translation;
	struct vcpu *v = object;
	struct abi_sregs sregs;
	long rc;

	if (copy_from_user(&translation, (void __user *)arg, sizeof(translation)))
		return -EFAULT;
	rc = state_get_sregs(v, &sregs);
	if (!rc)
		rc = emulate_translate(v, &translation, &sregs);
	if (!rc && copy_to_user((void __user *)arg, &translation, sizeof(translation)))
		rc = -EFAULT;
	return rc;
}

bool arch_has_log(void)
{
	return has_log;
}

int arch_vcpu_init(struct vcpu *v)
{
	apf_init_vcpu(v);
	return apic_init(v) ?: msr_init(v) ?: mcheck_create(v) ?: cpuid_init(v) ?: emulate_init(v) ?:
		state_init(v) ?: mp_init(v);
}

void arch_vcpu_publish(struct vcpu *v)
{
	apic_publish(v);
}

u32 arch_vcpu_flags(const struct vm *vm)
{
	return (irqchip_in_kernel(vm) ? VCPU_LAPIC : 0) | (arch_has_log() ? VCPU_LOG : 0);
}

int arch_vm_enable_cap(struct vm *vm, const struct kvm_enable_cap *cap)
{
	switch (cap->cap) {
	case KVM_CAP_SPLIT_IRQCHIP:
		return chips_split(vm, cap->args[0]);
	case KVM_CAP_X2APIC_API:
		return apic_enable_x2apic_api(vm, cap->args[0]);
	default:
		return options_vm_enable(vm, cap);
	}
}

void arch_vcpu_free(struct vcpu *v)
{
	apic_free(v);
	mp_free(v);
	kfree(v->arch.msr);
	mcheck_free(v);
	kvfree(v->arch.cpuid);
	emulate_free(v);
}

static void regs_changed(struct vcpu *v, const struct abi_regs *regs)
{
	v->arch.rip = regs->rip;
	v->arch.rax = regs->rax;
	v->arch.if_flag = !!(regs->rflags & X86_EFLAGS_IF);
	emulate_set_regs(v, regs);
	/* The VMM's registers are not those that the exception came from. */
	state_write_one(v, STATE_EXCEPTION, 0);
}

void arch_vcpu_forwarded(struct vcpu *v, enum op_index op, const void *payload)
{
	if (op == OPX_KVM_SET_REGS)
		regs_changed(v, payload);
	/* Any input may close the window for interrupts. */
	if (op_rows[op].in)
		v->arch.ready = 0;
}

/* ---- what a KVM_RUN that did not enter left in the exit page ---- */

static int flush_regs(struct vcpu *v, const struct exit_resume *in)
{
	struct abi_regs regs;
	int rc = vcpu_call(v, OPX_KVM_GET_REGS, NULL, 0, &regs);

	if (rc)
		return rc;
	if (in->flags & RESUME_REGS)
		regs = in->regs;
	if (in->flags & RESUME_RAX)
		regs.rax = in->rax;
	if (in->flags & RESUME_RDX)
		regs.rdx = in->rdx;
	if (in->flags & RESUME_RIP)
		regs.rip = in->rip;
	rc = vcpu_call(v, OPX_KVM_SET_REGS, &regs, sizeof(regs), NULL);
	if (rc || !(in->flags & (RESUME_REGS | RESUME_RIP)))
		return rc;
	return state_write_one(v, STATE_SHADOW, !!(in->flags & RESUME_SHADOW_STI));
}

static int flush_exception(struct vcpu *v, const struct exit_resume *in)
{
	struct state_fields s = {};

	state_put_exception(&s, in->inject_vector, in->inject_has_error, in->inject_error);
	if (in->inject_vector == 14)
		state_put(&s, STATE_CR2, in->inject_cr2);
	return state_write(v, &s);
}

/*
 * CR8 stays pending: the next KVM_RUN sets it anew from kvm_run, and what the
 * VMM reads of it meanwhile is kvm_run's. So does the timer's deadline.
 */
#define RESUME_STAYS (RESUME_CR8 | RESUME_DEADLINE)

int arch_vcpu_flush(struct vcpu *v)
{
	struct exit_resume *in = &v->exit->in;
	int rc = 0;

	if (unlikely(v->arch.requests & BIT(REQUEST_NMI)))
		rc = mp_deliver_nmi(v);
	if (likely(!(in->flags & ~RESUME_STAYS)) || rc)
		return rc;
	if (in->flags & (RESUME_REGS | RESUME_RAX | RESUME_RDX | RESUME_RIP))
		rc = flush_regs(v, in);
	if (!rc && in->flags & RESUME_INJECT)
		rc = flush_exception(v, in);
	if (!rc && in->flags & RESUME_INTERRUPT)
		rc = state_write_one(v, STATE_INTERRUPT, STATE_EVENT | in->interrupt);
	if (!rc)
		in->flags &= RESUME_STAYS;
	return rc;
}

/* ---- tables ---- */

const struct ioctl_row arch_system_ioctls[] = {
	{ KVM_GET_MSR_INDEX_LIST, system_msr_list },
	{ KVM_GET_MSR_FEATURE_INDEX_LIST, system_feature_list },
	{ KVM_GET_MSRS, system_get_msrs },
	{ KVM_GET_SUPPORTED_CPUID, cpuid_supported },
	{ KVM_X86_GET_MCE_CAP_SUPPORTED, mcheck_supported },
	{ KVM_HAS_DEVICE_ATTR, options_system_has_attr },
	{ KVM_GET_DEVICE_ATTR, options_system_get_attr },
	{ }
};

const struct ioctl_row arch_vm_ioctls[] = {
	{ KVM_SET_TSS_ADDR, vm_set_tss_addr },
	{ KVM_SET_IDENTITY_MAP_ADDR, vm_set_identity_map },
	{ KVM_SET_NR_MMU_PAGES, vm_set_nr_mmu_pages },
	{ KVM_GET_NR_MMU_PAGES, vm_get_nr_mmu_pages },
	{ KVM_SET_BOOT_CPU_ID, apic_set_boot_cpu },
	{ KVM_GET_CLOCK, pvclock_get },
	{ KVM_SET_CLOCK, pvclock_set },
	{ KVM_GET_TSC_KHZ, tsc_vm_get_khz },
	{ KVM_SET_TSC_KHZ, tsc_vm_set_khz },
	{ KVM_GET_IRQCHIP, chips_get },
	{ KVM_SET_IRQCHIP, chips_set },
	{ KVM_CREATE_IRQCHIP, chips_create },
	{ KVM_CREATE_PIT, pit_create },
	{ KVM_CREATE_PIT2, pit_create2 },
	{ KVM_GET_PIT, pit_get },
	{ KVM_SET_PIT, pit_set },
	{ KVM_GET_PIT2, pit_get2 },
	{ KVM_SET_PIT2, pit_set2 },
	{ KVM_REINJECT_CONTROL, pit_reinject },
	{ KVM_SET_GSI_ROUTING, route_set_table },
	{ KVM_SIGNAL_MSI, route_signal_msi },
	{ KVM_IRQ_LINE, route_line },
	{ KVM_IRQ_LINE_STATUS, route_line_status },
	{ KVM_IRQFD, irqfd_ioctl },
	{ KVM_GET_STATS_FD, counters_vm_fd },
	{ KVM_X86_SET_MSR_FILTER, options_set_msr_filter },
	{ }
};

const struct ioctl_row arch_vcpu_ioctls[] = {
	{ KVM_GET_SREGS, ioctl_get_sregs },
	{ KVM_SET_SREGS, ioctl_set_sregs },
	{ KVM_INTERRUPT, ioctl_interrupt },
	{ KVM_NMI, apic_nmi },
	{ KVM_GET_VCPU_EVENTS, ioctl_get_events },
	{ KVM_SET_VCPU_EVENTS, ioctl_set_events },
	{ KVM_GET_DEBUGREGS, ioctl_get_debugregs },
	{ KVM_SET_DEBUGREGS, ioctl_set_debugregs },
	{ KVM_SET_GUEST_DEBUG, ioctl_set_guest_debug },
	{ KVM_GET_XCRS, ioctl_get_xcrs },
	{ KVM_SET_XCRS, ioctl_set_xcrs },
	{ KVM_GET_FPU, ioctl_get_fpu },
	{ KVM_SET_FPU, ioctl_set_fpu },
	{ KVM_GET_MSRS, vcpu_get_msrs },
	{ KVM_SET_MSRS, vcpu_set_msrs },
	{ KVM_SET_CPUID, cpuid_set_old },
	{ KVM_SET_CPUID2, cpuid_set2 },
	{ KVM_GET_CPUID2, cpuid_get2 },
	{ KVM_GET_MP_STATE, mp_get_state },
	{ KVM_SET_MP_STATE, mp_set_state },
	{ KVM_GET_LAPIC, apic_get_state },
	{ KVM_SET_LAPIC, apic_set_state },
	{ KVM_SET_VAPIC_ADDR, apic_vapic_addr },
	{ KVM_TPR_ACCESS_REPORTING, apic_tpr_reporting },
	{ KVM_GET_TSC_KHZ, tsc_get_khz },
	{ KVM_SET_TSC_KHZ, tsc_set_khz },
	{ KVM_TRANSLATE, vcpu_translate },
	{ KVM_KVMCLOCK_CTRL, pvclock_stopped },
	{ KVM_GET_SREGS2, sync_get_sregs2 },
	{ KVM_SET_SREGS2, sync_set_sregs2 },
	{ KVM_GET_XSAVE2, sync_get_xsave2 },
	{ KVM_X86_SETUP_MCE, mcheck_setup },
	{ KVM_X86_SET_MCE, mcheck_set },
	{ KVM_GET_STATS_FD, counters_vcpu_fd },
	{ KVM_HAS_DEVICE_ATTR, options_has_attr },
	{ KVM_GET_DEVICE_ATTR, options_get_attr },
	{ KVM_SET_DEVICE_ATTR, options_set_attr },
	{ }
};
