// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * vgic.c - KVM_DEV_TYPE_ARM_VGIC_V3: the device's descriptor and attributes, and
 * KVM_IRQ_LINE of a VM that has one.
 *
 * Called by: ioctl.c and Linux through the descriptor. Calls: models/gic.c.
 * Concurrency: vm.lock for set-up.
 * See: Documentation/virt/kvm/devices/arm-vgic-v3.rst, api.rst 4.25 and 4.79.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/nospec.h>

#include "gic.h"

#define ATTR_MPIDR_SHIFT 32
#define LEVEL_INTID_MASK 0x3ffu
#define LEVEL_INFO_SHIFT 10

/* ---- attributes; vm.lock held. 0, a value, or -errno ---- */

struct attr_access {
	struct vm *vm;
	u64 attr;
	void __user *user;
	bool write;
};

static int copy_value(const struct attr_access *a, void *value, size_t bytes)
{
	if (a->write)
		return copy_from_user(value, a->user, bytes) ? -EFAULT : 0;
	return copy_to_user(a->user, value, bytes) ? -EFAULT : 0;
}

static int attr_addr(const struct attr_access *a)
{
	bool redist = a->attr == KVM_VGIC_V3_ADDR_TYPE_REDIST;
	u64 base = 0;

	if (!redist && a->attr != KVM_VGIC_V3_ADDR_TYPE_DIST)
		return -ENODEV;
	if (a->write)
		return copy_value(a, &base, sizeof(base)) ? : gic_set_base(a->vm, redist, base);
	base = gic_get_base(a->vm, redist);
	return copy_value(a, &base, sizeof(base));
}

static int attr_count(const struct attr_access *a)
{
	u32 count = gic_get_count(a->vm);
	int rc = copy_value(a, &count, sizeof(count));

	return rc || !a->write ? rc : gic_set_count(a->vm, count);
}

/* KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, while no vCPU is in an ioctl. */
static int save_pending(struct vm *vm)
{
	u64 locked;
	int rc = vcpus_lock(vm, &locked);

	if (rc)
		return rc;
	rc = gic_lpi_save(vm->arch.gic);
	vcpus_unlock(vm, locked);
	return rc;
}

static int attr_ctrl(const struct attr_access *a)
{
	if (a->write && a->attr == KVM_DEV_ARM_VGIC_CTRL_INIT)
		return gic_init(a->vm);
	return a->write && a->attr == KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES ? save_pending(a->vm) : -ENXIO;
}

/* The vCPU of an attribute's upper half, packed as 8 bits of affinity each. */
static struct vcpu *attr_vcpu(const struct attr_access *a)
{
	u64 packed = a->attr >> ATTR_MPIDR_SHIFT;

	return vcpu_by_affinity(a->vm, (packed >> 24) << 32 | (packed & 0xffffff));
}

static int attr_regs(const struct attr_access *a, bool redist)
{
	struct vcpu *v = redist ? attr_vcpu(a) : NULL;
	u32 value = 0;
	int rc;

	if (redist && !v)
		return -EINVAL;
	if (!gic_initialized(a->vm))
		return -EBUSY;
	rc = a->write ? copy_value(a, &value, sizeof(value)) : 0;
	if (!rc)
		rc = gic_user_access(a->vm, v, (u32)a->attr, a->write, &value);
	return rc || a->write ? rc : copy_value(a, &value, sizeof(value));
}

static int attr_dist_regs(const struct attr_access *a)
{
	return attr_regs(a, false);
}

static int attr_redist_regs(const struct attr_access *a)
{
	return attr_regs(a, true);
}

static int attr_levels(const struct attr_access *a)
{
	u32 first = a->attr & LEVEL_INTID_MASK, value = 0;
	struct vcpu *v = attr_vcpu(a);
	int rc;

	if (!v || first % 32 || ((u32)a->attr >> LEVEL_INFO_SHIFT) != VGIC_LEVEL_INFO_LINE_LEVEL)
		return -EINVAL;
	if (!gic_initialized(a->vm))
		return -EBUSY;
	rc = a->write ? copy_value(a, &value, sizeof(value)) : 0;
	if (rc)
		return rc;
	gic_user_levels(a->vm, v, first, a->write, &value);
	return a->write ? 0 : copy_value(a, &value, sizeof(value));
}

/* ---- the CPU interface: ICH_VMCR_EL2's fields under the names of ICC_* registers ---- */

#define SYSREG(op1, crn, crm, op2) (3 << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))
#define INSTR_CTLR SYSREG(0, 12, 12, 4)
#define INSTR_SRE SYSREG(0, 12, 12, 5)
#define INSTR_AP0R0 SYSREG(0, 12, 8, 4)
#define INSTR_AP1R0 SYSREG(0, 12, 9, 0)
#define CTLR_FIXED 0x400u	/* 5 bits of priority, 16 of INTID */
#define VMCR_CBPR 0x10u
#define VMCR_EOIM 0x200u
#define SRE_FIXED 7u

static const struct cpu_reg {
	u16 instr;
	u8 shift, bits;		/* in VMCR */
} cpu_regs[] = {
	{ SYSREG(0, 4, 6, 0), 24, 8 },		/* ICC_PMR_EL1 */
	{ SYSREG(0, 12, 8, 3), 21, 3 },		/* ICC_BPR0_EL1 */
	{ SYSREG(0, 12, 12, 3), 18, 3 },	/* ICC_BPR1_EL1 */
	{ SYSREG(0, 12, 12, 6), 0, 1 },		/* ICC_IGRPEN0_EL1 */
	{ SYSREG(0, 12, 12, 7), 1, 1 },		/* ICC_IGRPEN1_EL1 */
};

static u64 ctlr_get(u32 vmcr)
{
	return CTLR_FIXED | (vmcr & VMCR_CBPR ? 1 : 0) | (vmcr & VMCR_EOIM ? 2 : 0);
}

static void ctlr_set(u32 *vmcr, u64 value)
{
	*vmcr = (*vmcr & ~(VMCR_CBPR | VMCR_EOIM)) | (value & 1 ? VMCR_CBPR : 0) | (value & 2 ? VMCR_EOIM : 0);
}

/* The word of an active priorities register, or NULL. */
static u32 *active_priorities(struct exit_gic *g, u32 instr)
{
	if (instr - INSTR_AP0R0 < ARRAY_SIZE(g->ap0r))
		return &g->ap0r[instr - INSTR_AP0R0];
	return instr - INSTR_AP1R0 < ARRAY_SIZE(g->ap1r) ? &g->ap1r[instr - INSTR_AP1R0] : NULL;
}

static int cpu_reg_access(struct exit_gic *g, u32 instr, bool write, u64 *value)
{
	u32 *active = active_priorities(g, instr), i, mask;

	if (instr == INSTR_SRE) {
		if (write)
			return *value == SRE_FIXED ? 0 : -EINVAL;
		*value = SRE_FIXED;
		return 0;
	}
	if (instr == INSTR_CTLR) {
		if (write)
			ctlr_set(&g->vmcr, *value);
		else
			*value = ctlr_get(g->vmcr);
		return 0;
	}
	if (active) {
		*active = write ? *value : *active;
		*value = *active;
		return 0;
	}
	for (i = 0; i < ARRAY_SIZE(cpu_regs); i++) {
		if (cpu_regs[i].instr != instr)
			continue;
		mask = ((1u << cpu_regs[i].bits) - 1) << cpu_regs[i].shift;
		if (write)
			g->vmcr = (g->vmcr & ~mask) | (*value << cpu_regs[i].shift & mask);
		else
			*value = (g->vmcr & mask) >> cpu_regs[i].shift;
		return 0;
	}
	return -ENXIO;
}

static int attr_cpu_regs(const struct attr_access *a)
{
	struct vcpu *v = attr_vcpu(a);
	u64 value = 0;
	int rc;

	if (!v)
		return -EINVAL;
	if (!gic_initialized(a->vm))
		return -EBUSY;
	rc = a->write ? copy_value(a, &value, sizeof(value)) : 0;
	if (!rc)
		rc = cpu_reg_access(&v->exit->in.gic, (u16)a->attr, a->write, &value);
	return rc || a->write ? rc : copy_value(a, &value, sizeof(value));
}

static int (*const groups[])(const struct attr_access *a) = {
	[KVM_DEV_ARM_VGIC_GRP_ADDR] = attr_addr,
	[KVM_DEV_ARM_VGIC_GRP_DIST_REGS] = attr_dist_regs,
	[KVM_DEV_ARM_VGIC_GRP_NR_IRQS] = attr_count,
	[KVM_DEV_ARM_VGIC_GRP_CTRL] = attr_ctrl,
	[KVM_DEV_ARM_VGIC_GRP_REDIST_REGS] = attr_redist_regs,
	[KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS] = attr_cpu_regs,
	[KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO] = attr_levels,
};

/* Registers are read and written while no vCPU is in an ioctl: -EBUSY else, as KVM. */
static bool group_runs(u32 group)
{
	return group == KVM_DEV_ARM_VGIC_GRP_DIST_REGS || group == KVM_DEV_ARM_VGIC_GRP_REDIST_REGS ||
	       group == KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS || group == KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO;
}

void vcpus_unlock(struct vm *vm, u64 locked)
{
	unsigned long bits = locked;
	u32 i;

	for_each_set_bit(i, &bits, ABI_MAX_VCPUS)
		mutex_unlock(&vm->vcpu[i]->lock);
}

static_assert(ABI_MAX_VCPUS <= 64);

/* Of those that are there now: one may come meanwhile, and be locked by others. */
int vcpus_lock(struct vm *vm, u64 *locked)
{
	u32 i;

	*locked = 0;
	for (i = 0; i < ABI_MAX_VCPUS; i++) {
		struct vcpu *v = smp_load_acquire(&vm->vcpu[i]);

		if (!v)
			continue;
		if (!mutex_trylock(&v->lock)) {
			vcpus_unlock(vm, *locked);
			return -EBUSY;
		}
		*locked |= 1ull << i;
	}
	return 0;
}

static long attr_do(struct vm *vm, const struct kvm_device_attr *attr, bool write)
{
	struct attr_access a = { vm, attr->attr, (void __user *)(unsigned long)attr->addr, write };
	u32 group = attr->group;
	u64 locked;
	long rc;

	if (group >= ARRAY_SIZE(groups) || !groups[array_index_nospec(group, ARRAY_SIZE(groups))])
		return -ENXIO;
	mutex_lock(&vm->lock);
	rc = group_runs(group) ? vcpus_lock(vm, &locked) : 0;
	if (!rc) {
		rc = groups[group](&a);
		if (group_runs(group))
			vcpus_unlock(vm, locked);
	}
	mutex_unlock(&vm->lock);
	return rc;
}

static long attr_has(const struct kvm_device_attr *attr)
{
	struct exit_gic scratch = {};
	u64 value;

	switch (attr->group) {
	case KVM_DEV_ARM_VGIC_GRP_ADDR:
		return attr->attr == KVM_VGIC_V3_ADDR_TYPE_DIST || attr->attr == KVM_VGIC_V3_ADDR_TYPE_REDIST ? 0 : -ENXIO;
	case KVM_DEV_ARM_VGIC_GRP_NR_IRQS:
		return 0;
	case KVM_DEV_ARM_VGIC_GRP_CTRL:
		return attr->attr == KVM_DEV_ARM_VGIC_CTRL_INIT || attr->attr == KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES ? 0 : -ENXIO;
	case KVM_DEV_ARM_VGIC_GRP_DIST_REGS:
		return (u32)attr->attr < GIC_DIST_BYTES && !(attr->attr & 3) ? 0 : -ENXIO;
	case KVM_DEV_ARM_VGIC_GRP_REDIST_REGS:
		return (u32)attr->attr < GIC_REDIST_BYTES && !(attr->attr & 3) ? 0 : -ENXIO;
	case KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS:
		return cpu_reg_access(&scratch, (u16)attr->attr, false, &value);
	case KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO:
		return (u32)attr->attr >> LEVEL_INFO_SHIFT == VGIC_LEVEL_INFO_LINE_LEVEL ? 0 : -ENXIO;
	default:
		return -ENXIO;
	}
}

/* ---- the descriptor ---- */

static long vgic_ioctl(struct file *file, unsigned int number, unsigned long arg)
{
	struct vm *vm = file->private_data;
	struct kvm_device_attr attr;

	if (vm->mm != current->mm)
		return -EIO;
	if (number != KVM_SET_DEVICE_ATTR && number != KVM_GET_DEVICE_ATTR && number != KVM_HAS_DEVICE_ATTR)
		return -ENOTTY;
	if (copy_from_user(&attr, (void __user *)arg, sizeof(attr)))
		return -EFAULT;
	return number == KVM_HAS_DEVICE_ATTR ? attr_has(&attr) : attr_do(vm, &attr, number == KVM_SET_DEVICE_ATTR);
}

static int vgic_release(struct inode *inode, struct file *file)
{
	vm_put(file->private_data);
	return 0;
}

static const struct file_operations vgic_fops = {
	.owner = THIS_MODULE,
	.release = vgic_release,
	.unlocked_ioctl = vgic_ioctl,
	.llseek = noop_llseek,
};

/* As KVM: one GIC, and before any vCPU has run. */
static int vgic_new(struct vm *vm)
{
	u32 i;

	for (i = 0; i < ABI_MAX_VCPUS; i++) {
		if (vm->vcpu[i] && vm->vcpu[i]->arch.ran)
			return -EBUSY;
	}
	return gic_create(vm);
}

static int vgic_install(struct vm *vm)
{
	struct file *file;
	int fd, rc;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = anon_inode_getfile("kvm-arm-vgic-v3", &vgic_fops, vm, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	vm_get(vm);
	mutex_lock(&vm->lock);
	rc = vgic_new(vm);
	mutex_unlock(&vm->lock);
	if (rc) {
		put_unused_fd(fd);
		fput(file);
		return rc;
	}
	fd_install(fd, file);
	return fd;
}

long vgic_create(void *object, unsigned long arg)
{
	struct kvm_create_device device;
	int fd;

	if (copy_from_user(&device, (void __user *)arg, sizeof(device)))
		return -EFAULT;
	if (device.type != KVM_DEV_TYPE_ARM_VGIC_V3 && device.type != KVM_DEV_TYPE_ARM_VGIC_ITS)
		return -ENODEV;
	if (device.flags & KVM_CREATE_DEVICE_TEST)
		return 0;
	fd = device.type == KVM_DEV_TYPE_ARM_VGIC_ITS ? its_install(object) : vgic_install(object);
	if (fd < 0)
		return fd;
	device.fd = fd;
	return copy_to_user((void __user *)arg, &device, sizeof(device)) ? -EFAULT : 0;
}

int vgic_irq_line(struct vm *vm, struct vcpu *v, u32 type, u32 irq, bool level)
{
	switch (type) {
	case KVM_ARM_IRQ_TYPE_PPI:
		return !v || irq < 16 || irq >= GIC_PRIVATE ? -EINVAL : gic_line(vm, v, irq, level);
	case KVM_ARM_IRQ_TYPE_SPI:
		return irq < GIC_PRIVATE ? -EINVAL : gic_line(vm, NULL, irq, level);
	default:
		return -ENXIO;
	}
}
