// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * counters.c - KVM's statistics where KVM has them: binary files of a VM and of
 * a vCPU (KVM_GET_STATS_FD), and text files under /sys/kernel/debug/kvm, which
 * kvm_stat reads: sums over all VMs, and a directory for each VM.
 *
 * Owns: the list of VMs for the sums. Invariant: a binary file is header, name,
 * descriptors and values, in this order, and only the values change.
 * Called by: vm.c, vcpu.c, main.c; Linux when a file is read.
 * Concurrency: list_lock; counters are read as they are.
 * See: Documentation/virt/kvm/api.rst 4.133.
 */
#include <linux/anon_inodes.h>
#include <linux/debugfs.h>
#include <linux/file.h>
#include <linux/slab.h>

#include "tenon.h"

#define NAME_BYTES 48u		/* KVM_STATS_NAME_SIZE */

struct counter {
	u32 flags;
	s16 exponent;
	u16 offset;
	bool vcpu;		/* of each vCPU */
	const char *name;
};

#define FLAGS(type, unit) (KVM_STATS_TYPE_##type | KVM_STATS_UNIT_##unit | KVM_STATS_BASE_POW10)
#define VM_ROW(name, type, unit, exponent) \
	{ FLAGS(type, unit), exponent, offsetof(struct vm_counters, name), false, #name },
#define VCPU_ROW(name, type, unit, exponent) \
	{ FLAGS(type, unit), exponent, offsetof(struct vcpu_counters, name), true, #name },

static const struct counter counters[] = {
	VM_COUNTERS(VM_ROW)
	VCPU_COUNTERS(VCPU_ROW)
};
#define VM_ROWS (sizeof(struct vm_counters) / sizeof(u64))
#define VCPU_ROWS (sizeof(struct vcpu_counters) / sizeof(u64))

static LIST_HEAD(list);
static DEFINE_MUTEX(list_lock);
static struct dentry *directory;

/* ---- values ---- */

static u64 *value_at(void *counted, const struct counter *c)
{
	return counted + c->offset;
}

/* A counter of a VM, or the sum of its vCPUs'. */
static u64 vm_value(struct vm *vm, const struct counter *c)
{
	u64 sum = 0;
	u32 i;

	if (!c->vcpu) {
		map_count_pages(vm);
		return *value_at(&vm->counters, c);
	}
	for (i = 0; i < ABI_MAX_VCPUS; i++) {
		struct vcpu *v = READ_ONCE(vm->vcpu[i]);

		sum += v ? *value_at(&v->counters, c) : 0;
	}
	return sum;
}

static void vm_clear(struct vm *vm, const struct counter *c)
{
	u32 i;

	if (!c->vcpu)
		*value_at(&vm->counters, c) = 0;
	for (i = 0; c->vcpu && i < ABI_MAX_VCPUS; i++) {
		struct vcpu *v = READ_ONCE(vm->vcpu[i]);

		if (v)
			*value_at(&v->counters, c) = 0;
	}
}

/* ---- text files ---- */

/* What a VM's file stands for. */
struct vm_file {
	struct vm *vm;
	const struct counter *counter;
};

static int vm_file_get(void *data, u64 *value)
{
	struct vm_file *f = data;

	*value = vm_value(f->vm, f->counter);
	return 0;
}

/* Only clearing is possible, as in KVM. */
static int vm_file_set(void *data, u64 value)
{
	struct vm_file *f = data;

	if (value)
		return -EINVAL;
	vm_clear(f->vm, f->counter);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(vm_file_fops, vm_file_get, vm_file_set, "%llu\n");

static int sum_get(void *data, u64 *value)
{
	struct vm *vm;

	*value = 0;
	mutex_lock(&list_lock);
	list_for_each_entry(vm, &list, counted)
		*value += vm_value(vm, data);
	mutex_unlock(&list_lock);
	return 0;
}

static int sum_set(void *data, u64 value)
{
	struct vm *vm;

	if (value)
		return -EINVAL;
	mutex_lock(&list_lock);
	list_for_each_entry(vm, &list, counted)
		vm_clear(vm, data);
	mutex_unlock(&list_lock);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(sum_fops, sum_get, sum_set, "%llu\n");

static umode_t file_mode(const struct counter *c)
{
	return (c->flags & KVM_STATS_TYPE_MASK) == KVM_STATS_TYPE_INSTANT ? 0444 : 0644;
}

void counters_add_vm(struct vm *vm, int fd)
{
	struct vm_file *files;
	struct dentry *same;
	char name[32];
	u32 i;

	mutex_lock(&list_lock);
	list_add(&vm->counted, &list);
	mutex_unlock(&list_lock);
	/* As KVM: one whose descriptor is closed lives on while its vCPUs' are open, under the same name. */
	snprintf(name, sizeof(name), "%d-%d", task_pid_nr(current), fd);
	same = debugfs_lookup(name, directory);
	if (same) {
		pr_warn_ratelimited("debugfs: there is a VM %s already\n", name);
		dput(same);
		return;
	}
	/* Statistics are no reason to refuse a VM. */
	files = kcalloc(ARRAY_SIZE(counters), sizeof(*files), GFP_KERNEL_ACCOUNT);
	if (!files)
		return;
	vm->counter_files = files;
	vm->counter_dir = debugfs_create_dir(name, directory);
	for (i = 0; i < ARRAY_SIZE(counters); i++) {
		files[i] = (struct vm_file){ vm, &counters[i] };
		debugfs_create_file(counters[i].name, file_mode(&counters[i]), vm->counter_dir, &files[i], &vm_file_fops);
	}
}

void counters_remove_vm(struct vm *vm)
{
	debugfs_remove(vm->counter_dir);
	kfree(vm->counter_files);
	mutex_lock(&list_lock);
	list_del(&vm->counted);
	mutex_unlock(&list_lock);
}

void counters_each_vm(void (*fn)(struct vm *vm))
{
	struct vm *vm;

	mutex_lock(&list_lock);
	list_for_each_entry(vm, &list, counted)
		fn(vm);
	mutex_unlock(&list_lock);
}

void counters_init(void)
{
	u32 i;

	directory = debugfs_create_dir("kvm", NULL);
	for (i = 0; i < ARRAY_SIZE(counters); i++)
		debugfs_create_file(counters[i].name, file_mode(&counters[i]), directory, (void *)&counters[i], &sum_fops);
}

void counters_exit(void)
{
	debugfs_remove(directory);
}

/* ---- binary files ---- */

struct descriptor {
	struct kvm_stats_desc d;
	char name[NAME_BYTES];
};

/* A VM's or a vCPU's file as it was at the last read. */
struct image {
	struct vm *vm;		/* held */
	const void *counted;
	u32 rows;
	u32 bytes;
	struct {
		struct kvm_stats_header header;
		char id[NAME_BYTES];
		struct descriptor descriptors[];	/* and behind them the values */
	} content;
};

static void *image_values(struct image *m)
{
	return &m->content.descriptors[m->rows];
}

static ssize_t image_read(struct file *file, char __user *user, size_t size, loff_t *pos)
{
	struct image *m = file->private_data;

	if (m->counted == &m->vm->counters)
		map_count_pages(m->vm);
	/* A read beside this one may copy a value twice, each time one that was true. */
	memcpy(image_values(m), m->counted, m->rows * sizeof(u64));
	return simple_read_from_buffer(user, size, pos, &m->content, m->bytes);
}

static int image_release(struct inode *inode, struct file *file)
{
	struct image *m = file->private_data;

	vm_put(m->vm);
	kfree(m);
	return 0;
}

static const struct file_operations image_fops = {
	.owner = THIS_MODULE,
	.read = image_read,
	.release = image_release,
	.llseek = noop_llseek,
};

static void image_describe(struct image *m, const struct counter *c)
{
	struct kvm_stats_header *h = &m->content.header;
	u32 i;

	h->name_size = NAME_BYTES;
	h->num_desc = m->rows;
	h->id_offset = offsetof(typeof(m->content), id);
	h->desc_offset = offsetof(typeof(m->content), descriptors);
	h->data_offset = h->desc_offset + m->rows * sizeof(struct descriptor);
	m->bytes = h->data_offset + m->rows * sizeof(u64);
	for (i = 0; i < m->rows; i++) {
		struct descriptor *to = &m->content.descriptors[i];

		to->d.flags = c[i].flags;
		to->d.exponent = c[i].exponent;
		to->d.size = 1;
		to->d.offset = c[i].offset;
		strscpy(to->name, c[i].name, sizeof(to->name));
	}
}

static struct image *image_new(const struct counter *rows, u32 count, const void *counted)
{
	size_t bytes = sizeof(struct image) + count * (sizeof(struct descriptor) + sizeof(u64));
	struct image *m = kzalloc(bytes, GFP_KERNEL_ACCOUNT);

	if (!m)
		return NULL;
	m->counted = counted;
	m->rows = count;
	image_describe(m, rows);
	return m;
}

/* A descriptor for an image; takes it, and a reference of the VM. */
static long image_install(struct image *m, struct vm *vm, const char *name)
{
	struct file *file;
	int fd = m ? get_unused_fd_flags(O_CLOEXEC) : -ENOMEM;

	if (fd < 0)
		goto no_fd;
	file = anon_inode_getfile(name, &image_fops, m, O_RDONLY);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		fd = PTR_ERR(file);
		goto no_fd;
	}
	file->f_mode |= FMODE_PREAD;
	m->vm = vm;
	vm_get(vm);
	fd_install(fd, file);
	return fd;

no_fd:
	kfree(m);
	return fd;
}

long counters_vm_fd(void *object, unsigned long arg)
{
	struct vm *vm = object;
	struct image *m = image_new(counters, VM_ROWS, &vm->counters);

	if (m)
		snprintf(m->content.id, NAME_BYTES, "kvm-%d", vm->pid);
	return image_install(m, vm, "kvm-vm-stats");
}

long counters_vcpu_fd(void *object, unsigned long arg)
{
	struct vcpu *v = object;
	struct image *m = image_new(counters + VM_ROWS, VCPU_ROWS, &v->counters);
	char name[32];

	if (m)
		snprintf(m->content.id, NAME_BYTES, "kvm-%d/vcpu-%u", task_pid_nr(current), v->id);
	snprintf(name, sizeof(name), "kvm-vcpu-stats:%u", v->id);
	return image_install(m, v->vm, name);
}
