// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * vm.c - a virtual machine: its descriptor, its life, the memory that it lends
 * the hypervisor.
 *
 * Owns: struct vm. Invariant: a donated block is on vm.blocks from before the
 * hypervisor knows it until after OP_VM_DESTROY gave it back.
 * Called by: main.c, and Linux through the descriptor.
 * Concurrency: vm.lock for vCPU creation and donations.
 * See: abi/ops.h; Documentation/virt/kvm/api.rst, VM ioctls.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/slab.h>

#include "tenon.h"

#define BLOCK_ORDER (21 - PAGE_SHIFT)
#define SPARE_DELAY (HZ / 50)	/* a VM's start has better things to do first */
#define DONATE_TRIES 16		/* 32 MiB for one operation: more is a defect somewhere */

/*
 * One block is kept at hand: Linux clears 2 MiB for each allocation, and a VM's
 * creation need not wait for that.
 */
static struct page *spare;

static void spare_fill(struct work_struct *work)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, BLOCK_ORDER);

	page = page ? xchg(&spare, page) : NULL;
	if (page)
		__free_pages(page, BLOCK_ORDER);
}
static DECLARE_DELAYED_WORK(spare_work, spare_fill);

void vm_init(void)
{
	spare_fill(NULL);
}

void vm_exit(void)
{
	cancel_delayed_work_sync(&spare_work);
	if (spare)
		__free_pages(spare, BLOCK_ORDER);
}

/* A 2 MiB block on vm.blocks, or NULL. */
static struct page *block_alloc(struct vm *vm)
{
	struct page *page = xchg(&spare, NULL);

	if (page)
		schedule_delayed_work(&spare_work, SPARE_DELAY);
	else
		page = alloc_pages(GFP_KERNEL_ACCOUNT | __GFP_NOWARN, BLOCK_ORDER);
	if (page)
		list_add(&page->lru, &vm->blocks);
	return page;
}

/* The hypervisor cleared what was used of it, so it can be the next VM's. */
static void block_free(struct page *page)
{
	list_del(&page->lru);
	if (cmpxchg(&spare, NULL, page))
		__free_pages(page, BLOCK_ORDER);
}

int vm_donate(struct vm *vm)
{
	struct page *page;
	s64 rc;

	mutex_lock(&vm->lock);
	page = block_alloc(vm);
	rc = page ? ring_call(OPX_OP_VM_DONATE, vm->handle, page_to_phys(page), NULL, 0, NULL) : -ENOMEM;
	if (page && rc)
		block_free(page);
	mutex_unlock(&vm->lock);
	return rc;
}

s64 vm_call(struct vm *vm, enum op_index op, u32 handle, u64 arg, const void *in, u32 in_length,
	    void *out)
{
	int tries = DONATE_TRIES;
	s64 rc;

	for (;;) {
		rc = ring_call(op, handle, arg, in, in_length, out);
		if (rc != -ENOMEM || !tries--)
			return rc;
		if (vm_donate(vm))
			return -ENOMEM;
	}
}

void vm_get(struct vm *vm)
{
	refcount_inc(&vm->users);
}

/* Everything that needs no word with the hypervisor. */
static void vm_free(struct vm *vm)
{
	struct page *page, *next;
	u32 i;

	for (i = 0; i < ABI_MAX_VCPUS; i++) {
		if (vm->vcpu[i])
			vcpu_free(vm->vcpu[i]);
	}
	list_for_each_entry_safe(page, next, &vm->blocks, lru)
		block_free(page);
	io_free(vm);
	slots_free(vm);
	log_free(vm);
	arch_vm_free(vm);
	free_page((unsigned long)vm->coalesced);
	cleanup_srcu_struct(&vm->srcu);
	mmdrop(vm->mm);
	kfree(vm);
}

void vm_put(struct vm *vm)
{
	s64 rc;

	if (!refcount_dec_and_test(&vm->users))
		return;
	stats_remove_vm(vm);
	counters_remove_vm(vm);
	arch_vm_stop(vm);
	mmu_notifier_unregister(&vm->notifier, vm->mm);
	rc = ring_call(OPX_OP_VM_DESTROY, vm->handle, 0, NULL, 0, NULL);
	if (rc == -EBUSY) {
		ring_unbind_all();
		rc = ring_call(OPX_OP_VM_DESTROY, vm->handle, 0, NULL, 0, NULL);
	}
	if (rc) {
		/* The hypervisor still uses that memory: lose it rather than share it. */
		pr_err("VM %u does not end (%lld); its memory is lost\n", vm->handle, rc);
		mmdrop(vm->mm);
		return;
	}
	vm_free(vm);
}

static int vm_release(struct inode *inode, struct file *file)
{
	arch_vm_close(file->private_data);
	vm_put(file->private_data);
	return 0;
}

static long vm_create_device(void *object, unsigned long arg)
{
	struct kvm_create_device device;

	/* No in-kernel device exists here, so every type is an unknown one. */
	if (copy_from_user(&device, (void __user *)arg, sizeof(device)))
		return -EFAULT;
	return -ENODEV;
}

static long vm_enable_cap(void *object, unsigned long arg)
{
	struct vm *vm = object;
	struct kvm_enable_cap cap;

	if (copy_from_user(&cap, (void __user *)arg, sizeof(cap)))
		return -EFAULT;
	if (cap.flags)
		return -EINVAL;
	if (cap.cap != KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)
		return arch_vm_enable_cap(vm, &cap);
	/* INITIALLY_SET means nothing without ENABLE. */
	if (cap.args[0] & ~(u64)DIRTY_MANUAL_CAPS || cap.args[0] == KVM_DIRTY_LOG_INITIALLY_SET)
		return -EINVAL;
	vm->dirty_manual = cap.args[0];
	return 0;
}

static const struct ioctl_row vm_ioctls[] = {
	{ KVM_CREATE_VCPU, vcpu_create },
	{ KVM_SET_USER_MEMORY_REGION, slots_set },
	{ KVM_GET_DIRTY_LOG, slots_get_dirty_log },
	{ KVM_CLEAR_DIRTY_LOG, slots_clear_dirty_log },
	{ KVM_IOEVENTFD, io_set_eventfd },
	{ KVM_REGISTER_COALESCED_MMIO, io_add_zone },
	{ KVM_UNREGISTER_COALESCED_MMIO, io_remove_zones },
	{ KVM_CHECK_EXTENSION, caps_check },
	{ KVM_ENABLE_CAP, vm_enable_cap },
	{ KVM_CREATE_DEVICE, vm_create_device },
	/* What KVM answers while no in-kernel irqchip exists. */
	{ KVM_SET_GSI_ROUTING, .fixed = -EINVAL, .copy = sizeof(struct kvm_irq_routing) },
	{ KVM_SIGNAL_MSI, .fixed = -EINVAL, .copy = sizeof(struct kvm_msi) },
	{ KVM_IRQFD, .fixed = -EINVAL, .copy = sizeof(struct kvm_irqfd) },
	{ KVM_IRQ_LINE, .fixed = -ENXIO, .copy = sizeof(struct kvm_irq_level) },
	{ KVM_IRQ_LINE_STATUS, .fixed = -ENXIO, .copy = sizeof(struct kvm_irq_level) },
	{ KVM_RESET_DIRTY_RINGS, .fixed = -EINVAL },
	{ }
};

static long vm_ioctl(struct file *file, unsigned int number, unsigned long arg)
{
	struct vm *vm = file->private_data;
	const struct ioctl_row *row;

	if (vm->mm != current->mm)
		return -EIO;
	/* The architecture's rows first: it may have an answer of its own. */
	row = ioctl_find(arch_vm_ioctls, number);
	if (!row)
		row = ioctl_find(vm_ioctls, number);
	return row ? ioctl_answer(row, vm, arg) : ARCH_VM_NO_IOCTL;
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.release = vm_release,
	.unlocked_ioctl = vm_ioctl,
	.llseek = noop_llseek,
};

/* The VM's Linux half, without a handle yet. */
static struct vm *vm_alloc(void)
{
	struct vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);

	if (!vm)
		return NULL;
	vm->coalesced = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vm->coalesced)
		goto no_page;
	if (init_srcu_struct(&vm->srcu))
		goto no_srcu;
	if (slots_init(vm))
		goto no_slots;
	refcount_set(&vm->users, 1);
	mutex_init(&vm->lock);
	mutex_init(&vm->slots_lock);
	spin_lock_init(&vm->mmu_lock);
	spin_lock_init(&vm->coalesced_lock);
	INIT_LIST_HEAD(&vm->blocks);
	vm->mm = current->mm;
	mmgrab(vm->mm);
	vm->pid = task_pid_nr(current);
	INIT_LIST_HEAD(&vm->counted);
	vm->notifier.ops = &map_notifier_ops;
	arch_vm_init(vm);
	return vm;

no_slots:
	cleanup_srcu_struct(&vm->srcu);
no_srcu:
	free_page((unsigned long)vm->coalesced);
no_page:
	kfree(vm);
	return NULL;
}

/* A whole VM: known to the hypervisor, watching its process's memory. */
static struct vm *vm_new(void)
{
	struct vm *vm = vm_alloc();
	struct page *block;
	s64 rc = -ENOMEM;

	if (!vm)
		return ERR_PTR(-ENOMEM);
	block = block_alloc(vm);
	if (!block)
		goto fail;
	rc = ring_call(OPX_KVM_CREATE_VM, 0, page_to_phys(block), NULL, 0, NULL);
	if (rc < 0)
		goto fail;
	vm->handle = rc;
	rc = mmu_notifier_register(&vm->notifier, vm->mm);
	if (!rc)
		return vm;
	if (WARN_ON(ring_call(OPX_OP_VM_DESTROY, vm->handle, 0, NULL, 0, NULL)))
		return ERR_PTR(rc);
fail:
	vm_free(vm);
	return ERR_PTR(rc);
}

long vm_create(unsigned long type)
{
	struct file *file;
	struct vm *vm;
	int fd;

	if (type)
		return -EINVAL;
	if (READ_ONCE(kexec_begun))
		return -ENODEV;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	vm = vm_new();
	if (IS_ERR(vm)) {
		put_unused_fd(fd);
		return PTR_ERR(vm);
	}
	file = anon_inode_getfile("kvm-vm", &vm_fops, vm, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		vm_put(vm);
		return PTR_ERR(file);
	}
	stats_add_vm(vm);
	counters_add_vm(vm, fd);
	fd_install(fd, file);
	return fd;
}
