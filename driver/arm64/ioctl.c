// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * ioctl.c - the ioctls of arm64 that the driver answers itself, and those whose
 * argument points further.
 *
 * Owns: vcpu.arch's target, features and interrupt inputs.
 * Called by: main.c, vm.c, vcpu.c through the tables at the end.
 * Concurrency: VM rows none or vm.lock; vCPU rows v->lock.
 * See: Documentation/virt/kvm/api.rst; docs/abi.md.
 */
#include <linux/slab.h>

#include "gic.h"
#include "route.h"
#include "trace.h"

#define FEATURES_KNOWN 7u	/* KVM's list ends there: -ENOENT beyond */
#define FEATURES_OFFERED (ABI_FEATURE_POWER_OFF | ABI_FEATURE_PSCI_0_2)

/* ---- VM ---- */

static long vm_preferred_target(void *object, unsigned long arg)
{
	struct kvm_vcpu_init init = { .target = arch_target() };

	return copy_to_user((void __user *)arg, &init, sizeof(init)) ? -EFAULT : 0;
}

/* With a GIC an input of it; without, the IRQ and FIQ inputs of one vCPU. */
static long vm_irq_line(void *object, unsigned long arg)
{
	struct vm *vm = object;
	struct kvm_irq_level level;
	struct vcpu *v;
	u32 type, id, line;

	if (copy_from_user(&level, (void __user *)arg, sizeof(level)))
		return -EFAULT;
	type = level.irq >> KVM_ARM_IRQ_TYPE_SHIFT & KVM_ARM_IRQ_TYPE_MASK;
	id = (level.irq >> KVM_ARM_IRQ_VCPU_SHIFT & KVM_ARM_IRQ_VCPU_MASK) +
	     (level.irq >> KVM_ARM_IRQ_VCPU2_SHIFT & KVM_ARM_IRQ_VCPU2_MASK) * (KVM_ARM_IRQ_VCPU_MASK + 1);
	line = level.irq >> KVM_ARM_IRQ_NUM_SHIFT & KVM_ARM_IRQ_NUM_MASK;
	v = id < ABI_MAX_VCPUS ? READ_ONCE(vm->vcpu[id]) : NULL;
	if (type != KVM_ARM_IRQ_TYPE_CPU && type != KVM_ARM_IRQ_TYPE_SPI && type != KVM_ARM_IRQ_TYPE_PPI)
		return -EINVAL;
	trace_kvm_irq_line(type, id, line, level.level);
	if (READ_ONCE(vm->arch.gic))
		return vgic_irq_line(vm, v, type, line, level.level);
	if (type != KVM_ARM_IRQ_TYPE_CPU)
		return -ENXIO;
	if (!v || line > KVM_ARM_IRQ_CPU_FIQ)
		return -EINVAL;
	if (!!level.level == test_bit(line, &v->arch.lines))
		return 0;
	change_bit(line, &v->arch.lines);
	vcpu_kick(v);
	return 0;
}

void arch_vm_init(struct vm *vm)
{
}

void arch_vm_close(struct vm *vm)
{
	irqfd_release(vm);
}

void arch_vm_free(struct vm *vm)
{
	its_free_all(vm);
	route_free(vm);
	gic_free(vm);
}

/* As KVM: a GIC in use gets no more redistributors. */
int arch_vcpu_precreate(struct vm *vm, u32 id)
{
	return gic_initialized(vm) ? -EBUSY : 0;
}

/* ---- one register ---- */

int vcpu_set_reg(struct vcpu *v, u64 id, u64 value)
{
	struct abi_one_reg reg = { .id = id, .value = { value } };

	return vcpu_call(v, OPX_KVM_SET_ONE_REG, &reg, sizeof(reg), NULL);
}

int vcpu_get_reg(struct vcpu *v, u64 id, u64 *value)
{
	struct abi_one_reg reg = { .id = id };
	int rc = vcpu_call(v, OPX_KVM_GET_ONE_REG, &reg, sizeof(reg.id), &reg);

	*value = reg.value[0];
	return rc;
}

/* KVM_GET_ONE_REG and KVM_SET_ONE_REG: the value lies behind a pointer, its size is in the id. */
static long one_reg(struct vcpu *v, unsigned long arg, bool set)
{
	struct kvm_one_reg user;
	struct abi_one_reg reg = {};
	void __user *addr;
	u64 size;
	long rc;

	if (!v->arch.initialized)
		return -ENOEXEC;
	if (copy_from_user(&user, (void __user *)arg, sizeof(user)))
		return -EFAULT;
	addr = (void __user *)(unsigned long)user.addr;
	size = KVM_REG_SIZE(user.id);
	reg.id = user.id;
	if (set && size <= sizeof(reg.value) && copy_from_user(reg.value, addr, size))
		return -EFAULT;
	rc = set ? vcpu_call(v, OPX_KVM_SET_ONE_REG, &reg, sizeof(reg), NULL) :
		   vcpu_call(v, OPX_KVM_GET_ONE_REG, &reg, sizeof(reg.id), &reg);
	if (!rc && !set && copy_to_user(addr, reg.value, size))
		rc = -EFAULT;
	return rc;
}

static long vcpu_get_one_reg(void *object, unsigned long arg)
{
	return one_reg(object, arg, false);
}

static long vcpu_set_one_reg(void *object, unsigned long arg)
{
	return one_reg(object, arg, true);
}

static long vcpu_reg_list(void *object, unsigned long arg)
{
	struct kvm_reg_list __user *user = (void __user *)arg;
	struct vcpu *v = object;
	struct abi_reg_list *list;
	u64 room;
	long rc;

	if (!v->arch.initialized)
		return -ENOEXEC;
	if (copy_from_user(&room, &user->n, sizeof(room)))
		return -EFAULT;
	list = kvzalloc(RING_OP_BYTES, GFP_KERNEL_ACCOUNT);
	if (!list)
		return -ENOMEM;
	rc = vcpu_call(v, OPX_KVM_GET_REG_LIST, NULL, 0, list);
	if (!rc && copy_to_user(&user->n, &list->n, sizeof(list->n)))
		rc = -EFAULT;
	if (!rc && room < list->n)
		rc = -E2BIG;
	if (!rc && copy_to_user(user->reg, list->reg, list->n * sizeof(u64)))
		rc = -EFAULT;
	kvfree(list);
	return rc;
}

/* ---- vCPU ---- */

int vcpu_reset(struct vcpu *v)
{
	struct abi_vcpu_init init = { v->arch.target, { v->arch.features } };

	if (v->vm->arch.gic)
		gic_line(v->vm, v, GIC_TIMER_IRQ, false);	/* the reset switches it off */
	return vcpu_call(v, OPX_KVM_ARM_VCPU_INIT, &init, sizeof(init), NULL);
}

/* KVM's checks: an unknown feature is -ENOENT, one that is not offered -EINVAL; a second init must be like the first. */
static long init_check(const struct vcpu *v, const struct kvm_vcpu_init *init)
{
	u32 changed = v->arch.initialized ? init->features[0] ^ v->arch.features : 0, i;

	if (init->target != arch_target())
		return -EINVAL;
	/* In KVM's order: bit by bit. */
	if (changed & (BIT(FEATURES_KNOWN) - 1))
		return -EINVAL;
	if (init->features[0] >> FEATURES_KNOWN)
		return -ENOENT;
	for (i = 1; i < ARRAY_SIZE(init->features); i++) {
		if (init->features[i])
			return -ENOENT;
	}
	return init->features[0] & ~FEATURES_OFFERED ? -EINVAL : 0;
}

static long vcpu_arm_init(void *object, unsigned long arg)
{
	struct kvm_vcpu_init init;
	struct vcpu *v = object;
	long rc;

	if (copy_from_user(&init, (void __user *)arg, sizeof(init)))
		return -EFAULT;
	rc = init_check(v, &init);
	if (rc)
		return rc;
	v->arch.target = init.target;
	v->arch.features = init.features[0];
	rc = vcpu_reset(v);
	if (rc)
		return rc;
	v->complete = NULL;
	v->exit->in.flags = 0;
	v->arch.on_pending = false;
	WRITE_ONCE(v->arch.power_off, !!(v->arch.features & ABI_FEATURE_POWER_OFF));
	v->arch.initialized = true;
	return 0;
}

static long vcpu_get_mp_state(void *object, unsigned long arg)
{
	struct vcpu *v = object;
	struct kvm_mp_state state = { v->arch.power_off ? KVM_MP_STATE_STOPPED : KVM_MP_STATE_RUNNABLE };

	return copy_to_user((void __user *)arg, &state, sizeof(state)) ? -EFAULT : 0;
}

static long vcpu_set_mp_state(void *object, unsigned long arg)
{
	struct kvm_mp_state state;
	struct vcpu *v = object;

	if (copy_from_user(&state, (void __user *)arg, sizeof(state)))
		return -EFAULT;
	if (state.mp_state != KVM_MP_STATE_RUNNABLE && state.mp_state != KVM_MP_STATE_STOPPED)
		return -EINVAL;
	WRITE_ONCE(v->arch.power_off, state.mp_state == KVM_MP_STATE_STOPPED);
	return 0;
}

int arch_vcpu_alloc(struct vcpu *v)
{
	init_waitqueue_head(&v->arch.wait);
	return gic_cpu_create(v);
}

int arch_vcpu_init(struct vcpu *v)
{
	v->arch.lrs = v->exit->out.gic.lr_count;
	return 0;
}

void arch_vcpu_free(struct vcpu *v)
{
	gic_cpu_free(v);
}

/* An abort that the VMM injects takes the place of the access that waits for it. */
void arch_vcpu_forwarded(struct vcpu *v, enum op_index op, const void *payload)
{
	const struct abi_vcpu_events *events = payload;

	if (op == OPX_KVM_SET_VCPU_EVENTS && events->exception.ext_dabt_pending)
		v->complete = NULL;
}

/* What the next entry would have taken over is done now, so that the VMM reads and sets true registers. */
int arch_vcpu_flush(struct vcpu *v)
{
	struct exit_resume *in = &v->exit->in;
	int rc = 0;
	u64 pc;

	if (likely(!(in->flags & (RESUME_REG | RESUME_SKIP))))
		return 0;
	if (in->flags & RESUME_REG && in->reg < 31)
		rc = vcpu_set_reg(v, REG_CORE(regs.regs[0]) + 2 * in->reg, in->value);
	if (!rc && in->flags & RESUME_SKIP) {
		rc = vcpu_get_reg(v, REG_CORE(regs.pc), &pc);
		if (!rc)
			rc = vcpu_set_reg(v, REG_CORE(regs.pc), pc + 4);
	}
	if (!rc)
		in->flags &= ~(RESUME_REG | RESUME_SKIP);
	return rc;
}

/* ---- tables ---- */

const struct ioctl_row arch_system_ioctls[] = {
	{ }
};

const struct ioctl_row arch_vm_ioctls[] = {
	{ KVM_ARM_PREFERRED_TARGET, vm_preferred_target },
	{ KVM_IRQ_LINE, vm_irq_line },
	{ KVM_SIGNAL_MSI, route_signal_msi },
	{ KVM_SET_GSI_ROUTING, route_set_table },
	{ KVM_IRQFD, irqfd_ioctl },
	{ KVM_CREATE_DEVICE, vgic_create },
	{ KVM_CREATE_IRQCHIP, .fixed = -ENODEV },	/* a GICv2 */
	{ }
};

const struct ioctl_row arch_vcpu_ioctls[] = {
	{ KVM_ARM_VCPU_INIT, vcpu_arm_init },
	{ KVM_GET_ONE_REG, vcpu_get_one_reg },
	{ KVM_SET_ONE_REG, vcpu_set_one_reg },
	{ KVM_GET_REG_LIST, vcpu_reg_list },
	{ KVM_GET_MP_STATE, vcpu_get_mp_state },
	{ KVM_SET_MP_STATE, vcpu_set_mp_state },
	{ }
};
