// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * its.c - KVM_DEV_TYPE_ARM_VGIC_ITS: the device's descriptor and attributes, the
 * guest's accesses, messages to it; and what models/its.c asks of its surroundings.
 *
 * Owns: vm.arch.its. Invariant: an ITS stays until the VM's end, with its base once
 * it has one; without a GIC nothing of it is touched.
 * Called by: exits.c, routing.c, vgic.c, Linux through the descriptor.
 * Concurrency: its own mutex for registers and commands, inside vcpu.lock and
 * vm.lock; gic.lock for what a message is looked up in, so that one can come in
 * any context.
 * See: Documentation/virt/kvm/devices/arm-vgic-its.rst.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "gic_state.h"
#include "models/its.h"

struct vits {
	struct its its;
	struct vm *vm;
	struct mutex lock;
	u64 base;		/* GIC_UNSET at first */
	unsigned long flags;	/* of its_host_lock() */
};

static struct vits *vits(const struct its *its)
{
	return container_of(its, struct vits, its);
}

static struct gic *gic_of(const struct its *its)
{
	return vits(its)->vm->arch.gic;
}

/* ---- for the model ---- */

int its_host_read(struct its *its, u64 gpa, void *data, u32 bytes)
{
	return guest_read(vits(its)->vm, gpa, data, bytes);
}

int its_host_write(struct its *its, u64 gpa, const void *data, u32 bytes)
{
	return guest_write(vits(its)->vm, gpa, data, bytes);
}

bool its_host_visible(struct its *its, u64 gpa)
{
	return guest_visible(vits(its)->vm, gpa);
}

void *its_host_alloc(u32 bytes)
{
	return kzalloc(bytes, GFP_KERNEL_ACCOUNT);
}

void its_host_free(void *object)
{
	kfree(object);
}

bool its_host_rest(void)
{
	cond_resched();
	return fatal_signal_pending(current);
}

void its_host_lock(struct its *its)
{
	unsigned long flags;

	gic_lock(gic_of(its), &flags);
	vits(its)->flags = flags;
}

void its_host_unlock(struct its *its)
{
	gic_unlock(gic_of(its), vits(its)->flags);
}

u32 its_host_targets(struct its *its)
{
	return gic_targets(gic_of(its));
}

u32 its_host_lpi_limit(struct its *its)
{
	return gic_lpi_limit(gic_of(its));
}

bool its_host_lpis_on(const struct its *its, u32 target)
{
	return gic_lpis_on(gic_of(its), target);
}

/* ITS_NO_TARGET, as any number that is none: NULL. */
static struct vcpu *target_vcpu(const struct its *its, u32 target)
{
	return target < ABI_MAX_VCPUS ? gic_redist(gic_of(its), target) : NULL;
}

int its_host_lpi_get(struct its *its, u32 id, u32 target, struct gic_lpi **lpi)
{
	return gic_lpi_get(gic_of(its), id, target_vcpu(its, target), lpi);
}

void its_host_lpi_put(struct its *its, struct gic_lpi *lpi)
{
	gic_lpi_put(gic_of(its), lpi);
}

void its_host_lpi_move(struct its *its, struct gic_lpi *lpi, u32 target)
{
	gic_lpi_move(gic_of(its), lpi, target_vcpu(its, target));
}

void its_host_lpi_pend(struct its *its, struct gic_lpi *lpi, bool pending)
{
	gic_lpi_pend(gic_of(its), lpi, pending);
}

void its_host_lpi_reload(struct its *its, u32 id)
{
	gic_lpi_reload(gic_of(its), id);
}

u32 its_host_reload_all(struct its *its, u32 target)
{
	return gic_lpi_reload_all(gic_of(its), target_vcpu(its, target));
}

u32 its_host_move_all(struct its *its, u32 from, u32 to)
{
	return gic_lpi_move_all(gic_of(its), target_vcpu(its, from), target_vcpu(its, to));
}

/* ---- the guest's accesses, messages ---- */

/* The ITS whose frames hold gpa, or NULL. */
static struct vits *its_at(struct vm *vm, u64 gpa)
{
	u32 count = smp_load_acquire(&vm->arch.its_count), i;

	if (!smp_load_acquire(&vm->arch.gic))
		return NULL;
	for (i = 0; i < count; i++) {
		u64 base = READ_ONCE(vm->arch.its[i]->base);

		if (base != GIC_UNSET && gpa - base < ITS_BYTES)
			return vm->arch.its[i];
	}
	return NULL;
}

bool its_access(struct vcpu *v, u64 gpa, u32 size, bool write, u64 *data, bool *done)
{
	struct vits *s = its_at(v->vm, gpa);
	u64 pc = v->exit->out.pc;
	bool again = v->arch.its_gpa == gpa && v->arch.its_pc == pc;

	if (!s)
		return false;
	mutex_lock(&s->lock);
	/* A store that comes again has been done: others may have written there since. */
	if (write)
		*done = again ? its_continue(&s->its) : its_write(&s->its, gpa - s->base, size, *data);
	else
		*data = its_read(&s->its, gpa - s->base, size);
	mutex_unlock(&s->lock);
	v->arch.its_gpa = *done ? 0 : gpa;
	v->arch.its_pc = pc;
	return true;
}

/* In KVM's order. 1: pending; 0: the guest has not mapped it. */
int its_msi(struct vm *vm, const struct kvm_msi *msi)
{
	unsigned long flags;
	struct gic_lpi *lpi;
	struct vits *s;
	int rc;

	if (!smp_load_acquire(&vm->arch.its_count) || !smp_load_acquire(&vm->arch.gic))
		return -ENODEV;
	if (!(msi->flags & KVM_MSI_VALID_DEVID))
		return -EINVAL;
	s = its_at(vm, (u64)msi->address_hi << 32 | msi->address_lo);
	if (!s)
		return -EINVAL;
	gic_lock(vm->arch.gic, &flags);
	rc = its_translate(&s->its, msi->devid, msi->data, &lpi);
	if (!rc)
		gic_lpi_pend(vm->arch.gic, lpi, true);
	gic_unlock(vm->arch.gic, flags);
	return rc < 0 ? rc : !rc;
}

/* ---- attributes ---- */

/* KVM's errno for an address; vm.lock held. */
static int set_base(struct vits *s, u64 base)
{
	u64 top = (arch_max_gfn() + 1) << PAGE_SHIFT;

	if (s->base != GIC_UNSET)
		return -EEXIST;
	if (base & 0xffff || base + ITS_BYTES < base)
		return -EINVAL;
	if (base >= top || ITS_BYTES > top - base)
		return -E2BIG;
	WRITE_ONCE(s->base, base);
	gic_span(s->vm, base, ITS_BYTES);
	return 0;
}

static long attr_addr(struct vits *s, const struct kvm_device_attr *attr, bool write)
{
	u64 __user *user = (u64 __user *)(unsigned long)attr->addr;
	u64 base = s->base;
	int rc;

	if (attr->attr != KVM_VGIC_ITS_ADDR_TYPE)
		return -ENODEV;
	if (!write)
		return copy_to_user(user, &base, sizeof(base)) ? -EFAULT : 0;
	if (copy_from_user(&base, user, sizeof(base)))
		return -EFAULT;
	mutex_lock(&s->vm->lock);
	rc = set_base(s, base);
	mutex_unlock(&s->vm->lock);
	return rc;
}

static int ctrl(struct its *its, u64 attr)
{
	switch (attr) {
	case KVM_DEV_ARM_ITS_CTRL_RESET:
		its_reset(its);
		return 0;
	case KVM_DEV_ARM_ITS_SAVE_TABLES:
		return its_save(its);
	case KVM_DEV_ARM_ITS_RESTORE_TABLES:
		return its_restore(its);
	default:
		return 0;	/* KVM's answer, too */
	}
}

/* Registers and tables, while no vCPU is in an ioctl. */
static long frozen(struct vits *s, int (*call)(struct vits *s, u64 attr, bool write, u64 *value), u64 attr, bool write, u64 *value)
{
	struct vm *vm = s->vm;
	u64 locked;
	long rc;

	mutex_lock(&vm->lock);
	rc = vcpus_lock(vm, &locked);
	if (!rc) {
		mutex_lock(&s->lock);
		rc = vm->arch.gic ? call(s, attr, write, value) : -ENXIO;
		mutex_unlock(&s->lock);
		vcpus_unlock(vm, locked);
	}
	mutex_unlock(&vm->lock);
	return rc;
}

static int frozen_ctrl(struct vits *s, u64 attr, bool write, u64 *value)
{
	return ctrl(&s->its, attr);
}

/* The VMM waits until the commands are done. */
static int frozen_reg(struct vits *s, u64 attr, bool write, u64 *value)
{
	int rc;

	if (s->base == GIC_UNSET)
		return -ENXIO;
	do
		rc = its_user_access(&s->its, attr, write, value);
	while (rc > 0 && !its_host_rest());
	return rc > 0 ? -EINTR : rc;
}

static long attr_reg(struct vits *s, const struct kvm_device_attr *attr, bool write)
{
	u64 __user *user = (u64 __user *)(unsigned long)attr->addr;
	u64 value = 0;
	long rc;

	if (write && copy_from_user(&value, user, sizeof(value)))
		return -EFAULT;
	/* A number that is none is looked at only once the vCPUs are out. */
	rc = its_user_check(attr->attr);
	if (rc != -EINVAL)
		rc = frozen(s, frozen_reg, attr->attr, write, &value);
	return rc || write ? rc : copy_to_user(user, &value, sizeof(value)) ? -EFAULT : 0;
}

static long attr_set(struct vits *s, const struct kvm_device_attr *attr)
{
	switch (attr->group) {
	case KVM_DEV_ARM_VGIC_GRP_ADDR:
		return attr_addr(s, attr, true);
	case KVM_DEV_ARM_VGIC_GRP_CTRL:
		return attr->attr == KVM_DEV_ARM_VGIC_CTRL_INIT ? 0 : frozen(s, frozen_ctrl, attr->attr, true, NULL);
	case KVM_DEV_ARM_VGIC_GRP_ITS_REGS:
		return attr_reg(s, attr, true);
	default:
		return -ENXIO;
	}
}

static long attr_get(struct vits *s, const struct kvm_device_attr *attr)
{
	switch (attr->group) {
	case KVM_DEV_ARM_VGIC_GRP_ADDR:
		return attr_addr(s, attr, false);
	case KVM_DEV_ARM_VGIC_GRP_ITS_REGS:
		return attr_reg(s, attr, false);
	default:
		return -ENXIO;
	}
}

static long attr_has(const struct kvm_device_attr *attr)
{
	switch (attr->group) {
	case KVM_DEV_ARM_VGIC_GRP_ADDR:
		return attr->attr == KVM_VGIC_ITS_ADDR_TYPE ? 0 : -ENXIO;
	case KVM_DEV_ARM_VGIC_GRP_CTRL:
		return attr->attr == KVM_DEV_ARM_VGIC_CTRL_INIT || attr->attr == KVM_DEV_ARM_ITS_CTRL_RESET ||
		       attr->attr == KVM_DEV_ARM_ITS_SAVE_TABLES || attr->attr == KVM_DEV_ARM_ITS_RESTORE_TABLES ? 0 : -ENXIO;
	case KVM_DEV_ARM_VGIC_GRP_ITS_REGS:
		return its_user_check(attr->attr);
	default:
		return -ENXIO;
	}
}

/* ---- the descriptor ---- */

static long its_ioctl(struct file *file, unsigned int number, unsigned long arg)
{
	struct vits *s = file->private_data;
	struct kvm_device_attr attr;

	if (s->vm->mm != current->mm)
		return -EIO;
	if (number != KVM_SET_DEVICE_ATTR && number != KVM_GET_DEVICE_ATTR && number != KVM_HAS_DEVICE_ATTR)
		return -ENOTTY;
	if (copy_from_user(&attr, (void __user *)arg, sizeof(attr)))
		return -EFAULT;
	if (number == KVM_HAS_DEVICE_ATTR)
		return attr_has(&attr);
	return number == KVM_SET_DEVICE_ATTR ? attr_set(s, &attr) : attr_get(s, &attr);
}

static int its_release(struct inode *inode, struct file *file)
{
	vm_put(((struct vits *)file->private_data)->vm);
	return 0;
}

static const struct file_operations its_fops = {
	.owner = THIS_MODULE,
	.release = its_release,
	.unlocked_ioctl = its_ioctl,
	.llseek = noop_llseek,
};

/* It is the VM's for good; vm.lock held. */
static struct vits *its_new(struct vm *vm)
{
	u32 n = vm->arch.its_count;
	struct vits *s;

	if (n == ITS_MAX)
		return ERR_PTR(-ENOSPC);
	s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	if (!s)
		return ERR_PTR(-ENOMEM);
	its_init(&s->its);
	mutex_init(&s->lock);
	s->vm = vm;
	s->base = GIC_UNSET;
	vm->arch.its[n] = s;
	gic_lpis_offer(vm);
	/* Pairs with its_at(). */
	smp_store_release(&vm->arch.its_count, n + 1);
	return s;
}

int its_install(struct vm *vm)
{
	struct file *file;
	struct vits *s;
	int fd;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	mutex_lock(&vm->lock);
	s = its_new(vm);
	mutex_unlock(&vm->lock);
	file = IS_ERR(s) ? ERR_CAST(s) : anon_inode_getfile("kvm-arm-vgic-its", &its_fops, s, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	vm_get(vm);
	fd_install(fd, file);
	return fd;
}

/* Nothing runs any more, but a mapping's end takes the GIC's lock: the ITSs go before it. */
void its_free_all(struct vm *vm)
{
	u32 i;

	for (i = 0; i < vm->arch.its_count; i++) {
		if (vm->arch.gic)
			its_free(&vm->arch.its[i]->its);
		kfree(vm->arch.its[i]);
	}
}
