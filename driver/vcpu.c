// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * vcpu.c - a virtual CPU: its descriptor, its shared pages, the ioctls that go
 * to the hypervisor unchanged.
 *
 * Owns: struct vcpu. Invariant: the hypervisor's half of a vCPU lives as long
 * as its VM, so struct vcpu and its pages do too, whatever descriptors close.
 * Called by: vm.c and Linux; calls run.c for KVM_RUN.
 * Concurrency: v->lock, one ioctl at a time.
 * See: Documentation/virt/kvm/api.rst, vCPU ioctls.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/slab.h>

#include "tenon.h"

static vm_fault_t vcpu_fault(struct vm_fault *vmf)
{
	struct vcpu *v = vmf->vma->vm_file->private_data;
	void *page;

	if (vmf->pgoff == 0)
		page = v->run;
	else if (vmf->pgoff == ARCH_PIO_PAGE)
		page = v->pio;
	else if (vmf->pgoff == ARCH_COALESCED_PAGE)
		page = v->vm->coalesced;
	else
		return VM_FAULT_SIGBUS;
	vmf->page = virt_to_page(page);
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct vcpu_vm_ops = {
	.fault = vcpu_fault,
};

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &vcpu_vm_ops;
	return 0;
}

static int vcpu_release(struct inode *inode, struct file *file)
{
	struct vcpu *v = file->private_data;

	if (v)
		vm_put(v->vm);
	return 0;
}

/*
 * An operation whose struct is the ioctl's own, of fixed size: in, across, out.
 */
static long vcpu_forward(struct vcpu *v, enum op_index op, void __user *user)
{
	const struct op_row *row = &op_rows[op];
	u32 size = max(row->in, row->out);
	void *buf = size ? kzalloc(size, GFP_KERNEL_ACCOUNT) : NULL;
	long rc = 0;

	if (size && !buf)
		return -ENOMEM;
	if (row->in && copy_from_user(buf, user, row->in))
		rc = -EFAULT;
	if (!rc)
		rc = vcpu_call(v, op, buf, row->in, buf);
	if (rc >= 0) {
		arch_vcpu_forwarded(v, op, buf);
		if (row->out && copy_to_user(user, buf, row->out))
			rc = -EFAULT;
	}
	kfree(buf);
	return rc;
}

static long vcpu_forward_number(struct vcpu *v, u32 number, unsigned long arg)
{
	enum op_index op;

	for (op = 0; op < OPX_COUNT; op++) {
		if (op_rows[op].kind == OP_KIND_VCPU && op_rows[op].number == number)
			return vcpu_forward(v, op, (void __user *)arg);
	}
	return -EINVAL;
}

/* KVM_SET_SIGNAL_MASK: signals to block inside KVM_RUN alone. */
static long vcpu_signal_mask(void *object, unsigned long arg)
{
	struct kvm_signal_mask __user *user = (void __user *)arg;
	struct kvm_signal_mask mask;
	struct vcpu *v = object;
	sigset_t set;

	v->sigset_active = v->sigset_active && user;
	if (!user)
		return 0;
	if (copy_from_user(&mask, user, sizeof(mask)))
		return -EFAULT;
	if (mask.len != sizeof(set))
		return -EINVAL;
	if (copy_from_user(&set, user->sigset, sizeof(set)))
		return -EFAULT;
	sigdelsetmask(&set, sigmask(SIGKILL) | sigmask(SIGSTOP));
	v->sigset = set;
	v->sigset_active = true;
	return 0;
}

static long vcpu_enable_cap(void *object, unsigned long arg)
{
	struct kvm_enable_cap cap;

	if (copy_from_user(&cap, (void __user *)arg, sizeof(cap)))
		return -EFAULT;
	return cap.flags ? -EINVAL : arch_vcpu_enable_cap(object, &cap);
}

static const struct ioctl_row vcpu_ioctls[] = {
	{ KVM_SET_SIGNAL_MASK, vcpu_signal_mask },
	{ KVM_ENABLE_CAP, vcpu_enable_cap },
	{ }
};

/* Not within vcpu_ioctl_locked(): KVM_RUN, which is all that counts, saves the registers that this needs. */
static noinline long vcpu_ioctl_other(struct vcpu *v, u32 number, unsigned long arg)
{
	const struct ioctl_row *row;
	int rc = arch_vcpu_flush(v);

	if (rc)
		return rc;
	row = ioctl_find(vcpu_ioctls, number);
	if (!row)
		row = ioctl_find(arch_vcpu_ioctls, number);
	return row ? ioctl_answer(row, v, arg) : vcpu_forward_number(v, number, arg);
}

static long vcpu_ioctl_locked(struct vcpu *v, u32 number, unsigned long arg)
{
	if (unlikely(number != KVM_RUN))
		return vcpu_ioctl_other(v, number, arg);
	return arg ? -EINVAL : run_vcpu(v);
}

static long vcpu_ioctl(struct file *file, unsigned int number, unsigned long arg)
{
	struct vcpu *v = file->private_data;
	long rc;

	if (v->vm->mm != current->mm)
		return -EIO;
	if (_IOC_TYPE(number) != KVMIO)
		return -EINVAL;
	if (mutex_lock_killable(&v->lock))
		return -EINTR;
	rc = vcpu_ioctl_locked(v, number, arg);
	mutex_unlock(&v->lock);
	return rc;
}

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.release = vcpu_release,
	.unlocked_ioctl = vcpu_ioctl,
	.mmap = vcpu_mmap,
	.llseek = noop_llseek,
};

/* Also for a half-made one. */
void vcpu_free(struct vcpu *v)
{
	arch_vcpu_free(v);
	kfree(v->pages);
	if (v->exit)
		free_pages_exact(v->exit, EXIT_PAGES * PAGE_SIZE);
	free_page((unsigned long)v->pio);
	free_page((unsigned long)v->run);
	kfree(v);
}

static struct vcpu *vcpu_alloc(struct vm *vm, u32 id)
{
	struct vcpu *v = kzalloc(sizeof(*v), GFP_KERNEL_ACCOUNT);

	if (!v)
		return NULL;
	mutex_init(&v->lock);
	v->vm = vm;
	v->id = id;
	v->run = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	v->pio = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	v->exit = alloc_pages_exact(EXIT_PAGES * PAGE_SIZE, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	v->pages = kmalloc_array(WINDOW_PAGES, sizeof(*v->pages), GFP_KERNEL_ACCOUNT);
	if (v->run && v->pio && v->exit && v->pages && !arch_vcpu_alloc(v))
		return v;
	vcpu_free(v);
	return NULL;
}

/*
 * Enter it in the hypervisor, and in the VM's table only when it is there: who
 * walks that table holds no lock, so nothing ever leaves it.
 */
static int vcpu_register(struct vcpu *v)
{
	struct vm *vm = v->vm;
	struct vcpu_create create = { .id = v->id, .exit_page = virt_to_phys(v->exit) };
	s64 rc;

	mutex_lock(&vm->lock);
	rc = test_and_set_bit(v->id, vm->vcpu_ids) ? -EEXIST : 0;
	create.flags = arch_vcpu_flags(vm);
	mutex_unlock(&vm->lock);
	if (rc)
		return rc;
	/* Outside the lock: this may have to donate memory, which takes it. */
	rc = vm_call(vm, OPX_KVM_CREATE_VCPU, vm->handle, 0, &create, sizeof(create), NULL);
	if (rc > 0) {
		v->handle = rc;
		/* Who holds the lock sees the same vCPUs all the while. */
		mutex_lock(&vm->lock);
		smp_store_release(&vm->vcpu[v->id], v);
		mutex_unlock(&vm->lock);
		/* From here on the vCPU is the VM's, and is freed with it. */
		rc = arch_vcpu_init(v);
		if (!rc)
			arch_vcpu_publish(v);
		return rc;
	}
	clear_bit(v->id, vm->vcpu_ids);
	return rc ? rc : -EIO;
}

static int vcpu_install(struct vm *vm, u32 id, int fd)
{
	struct vcpu *v = vcpu_alloc(vm, id);
	struct file *file;
	char name[24];
	int rc;

	if (!v)
		return -ENOMEM;
	snprintf(name, sizeof(name), "kvm-vcpu:%u", id);
	file = anon_inode_getfile(name, &vcpu_fops, v, O_RDWR);
	if (IS_ERR(file)) {
		vcpu_free(v);
		return PTR_ERR(file);
	}
	rc = vcpu_register(v);
	if (rc) {
		/* The release comes later and must find nothing. */
		file->private_data = NULL;
		fput(file);
		if (!v->handle)
			vcpu_free(v);
		return rc;
	}
	vm_get(vm);
	fd_install(fd, file);
	return 0;
}

long vcpu_create(void *object, unsigned long id)
{
	struct vm *vm = object;
	int rc, fd;

	if (id >= ABI_MAX_VCPUS)
		return -EINVAL;
	rc = arch_vcpu_precreate(vm, id);
	if (rc)
		return rc;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	/* Counted first: what may not change once there is a vCPU does not change from here on. */
	mutex_lock(&vm->lock);
	vm->vcpu_count++;
	mutex_unlock(&vm->lock);
	rc = vcpu_install(vm, id, fd);
	if (!rc)
		return fd;
	mutex_lock(&vm->lock);
	vm->vcpu_count--;
	mutex_unlock(&vm->lock);
	put_unused_fd(fd);
	return rc;
}
