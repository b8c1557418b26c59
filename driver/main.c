// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * main.c - the module, /dev/kvm and its ioctls.
 *
 * Owns: the misc device. Invariant: /dev/kvm exists only while every CPU has a
 * ring registered with a hypervisor of this driver's ABI version.
 * Called by: Linux. Calls: vm.c for KVM_CREATE_VM, the architecture's tables.
 * Concurrency: none of its own.
 * See: docs/abi.md; Documentation/virt/kvm/api.rst, system ioctls.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "tenon.h"

/* The driver forwards KVM's structs unchanged, so they must be KVM's. */
#define STRUCT_CHECK(ours, theirs) static_assert(sizeof(struct ours) == sizeof(struct theirs));
#define FIELD_CHECK(ours, theirs, field, their_field) \
	static_assert(offsetof(struct ours, field) == offsetof(struct theirs, their_field)); \
	static_assert(sizeof_field(struct ours, field) == sizeof_field(struct theirs, their_field));
ABI_STRUCTS(STRUCT_CHECK)
ABI_FIELDS(FIELD_CHECK)

const struct ioctl_row *ioctl_find(const struct ioctl_row *rows, u32 number)
{
	for (; rows->number; rows++) {
		if (rows->number == number)
			return rows;
	}
	return NULL;
}

/* Do what a row says: call it, or refuse as KVM does, after KVM's copy of the argument. */
long ioctl_answer(const struct ioctl_row *row, void *object, unsigned long arg)
{
	u8 byte[128];

	if (row->call)
		return row->call(object, arg);
	if (row->copy && copy_from_user(byte, (void __user *)arg, min_t(u32, row->copy, sizeof(byte))))
		return -EFAULT;
	return row->fixed;
}

static long system_api_version(void *object, unsigned long arg)
{
	return arg ? -EINVAL : KVM_API_VERSION;
}

static long system_mmap_size(void *object, unsigned long arg)
{
	return arg ? -EINVAL : ARCH_MMAP_PAGES * PAGE_SIZE;
}

static long system_create_vm(void *object, unsigned long arg)
{
	return vm_create(arg);
}

static const struct ioctl_row system_ioctls[] = {
	{ KVM_GET_API_VERSION, system_api_version },
	{ KVM_CREATE_VM, system_create_vm },
	{ KVM_CHECK_EXTENSION, caps_check },
	{ KVM_GET_VCPU_MMAP_SIZE, system_mmap_size },
	{ KVM_TRACE_ENABLE, .fixed = -EOPNOTSUPP },
	{ KVM_TRACE_PAUSE, .fixed = -EOPNOTSUPP },
	{ KVM_TRACE_DISABLE, .fixed = -EOPNOTSUPP },
	{ }
};

long caps_check(void *object, unsigned long cap)
{
	return cap > U32_MAX ? 0 : arch_cap(object, cap);
}

static long system_ioctl(struct file *file, unsigned int number, unsigned long arg)
{
	const struct ioctl_row *row = ioctl_find(system_ioctls, number);

	if (!row)
		row = ioctl_find(arch_system_ioctls, number);
	return row ? ioctl_answer(row, NULL, arg) : -EINVAL;
}

static const struct file_operations system_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = system_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice system_device = {
	.minor = KVM_MINOR,
	.name = "kvm",
	.fops = &system_fops,
};

/* Is there a hypervisor that this driver can talk to? Says so if not. */
static int detect(void)
{
	s64 version;

	if (!arch_detect()) {
		pr_err("this machine does not run under the Tenon hypervisor; not loading\n");
		return -ENODEV;
	}
	version = arch_hypercall(HC_VERSION, 0);
	if (version != ABI_VERSION) {
		pr_err("the hypervisor speaks ABI version %lld, this driver %u; not loading\n",
		       version, ABI_VERSION);
		return -ENODEV;
	}
	return 0;
}

static int __init tenon_init(void)
{
	int rc = detect();

	if (rc)
		return rc;
	rc = ring_init();
	if (rc)
		return rc;
	rc = arch_init();
	if (rc)
		goto no_arch;
	rc = misc_register(&system_device);
	if (rc) {
		pr_err("cannot register /dev/kvm (%d); is another KVM loaded?\n", rc);
		goto no_device;
	}
	vm_init();
	stats_init();
	counters_init();
	kexec_watch();
	pr_info("/dev/kvm is served by Tenon, ABI version %u\n", ABI_VERSION);
	return 0;

no_device:
	arch_exit();
no_arch:
	ring_exit();
	return rc;
}

static void __exit tenon_exit(void)
{
	kexec_unwatch();
	counters_exit();
	stats_exit();
	vm_exit();
	misc_deregister(&system_device);
	arch_exit();
	ring_exit();
}

module_init(tenon_init);
module_exit(tenon_exit);
MODULE_LICENSE("Dual BSD/GPL");
MODULE_DESCRIPTION("KVM's user interface on the Tenon hypervisor");
MODULE_ALIAS_MISCDEV(KVM_MINOR);
MODULE_ALIAS("devname:kvm");
