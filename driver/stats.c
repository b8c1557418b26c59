// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * stats.c - what can be read under /sys/kernel/debug/tenon: the hypervisor's
 * log and memory, exits of each CPU's service VM side and of each VM, ring
 * entries by operation.
 *
 * Owns: the debugfs directory. Invariant: a VM's file is gone before its VM is.
 * Called by: main.c, vm.c; Linux when a file is read.
 * Concurrency: debugfs waits for readers when a file is removed.
 * See: abi/ops.h, OP_*_STATS and OP_LOG_READ.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "tenon.h"

static struct dentry *stats_root;

static const char *const exit_names[STAT_COUNT] = {
	ARCH_EXIT_NAMES
};

static void show_exits(struct seq_file *m, const u64 *exits)
{
	u32 i;

	for (i = 0; i < STAT_COUNT; i++) {
		if (exit_names[i])
			seq_printf(m, "%s %llu\n", exit_names[i], exits[i]);
	}
}

/* One file per VM: its exits. */
static int vm_show(struct seq_file *m, void *unused)
{
	struct vm *vm = m->private;
	u64 sum[STAT_COUNT] = {}, entries = 0, logged = 0;
	struct vcpu *v;
	u32 i, k;

	/* A vCPU that is there stays as long as the VM, which outlives this file. */
	mutex_lock(&vm->lock);
	for (i = 0; i < ABI_MAX_VCPUS; i++) {
		v = vm->vcpu[i];
		if (!v)
			continue;
		entries += READ_ONCE(v->counters.exits);
		logged += READ_ONCE(v->logged);
		for (k = 0; k < STAT_COUNT; k++)
			sum[k] += READ_ONCE(v->exit->exits[k]);
	}
	mutex_unlock(&vm->lock);
	show_exits(m, sum);
	seq_printf(m, "entries %llu\nlogged %llu\n", entries, logged);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vm);

/* Exits of the service VM, CPU by CPU. */
static int cpus_show(struct seq_file *m, void *unused)
{
	struct exit_stats stats;
	u32 cpu;

	for (cpu = 0; cpu < NR_CPUS; cpu++) {
		memset(&stats, 0, sizeof(stats));
		if (ring_call(OPX_OP_CPU_STATS, 0, cpu, NULL, 0, &stats) < 0)
			break;
		seq_printf(m, "cpu %u\n", cpu);
		show_exits(m, stats.exits);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(cpus);

static int memory_show(struct seq_file *m, void *unused)
{
	struct mem_stats s = {};
	s64 rc = ring_call(OPX_OP_MEM_STATS, 0, 0, NULL, 0, &s);

	if (rc < 0)
		return rc;
	seq_printf(m, "pool_pages %llu\npool_free %llu\nvms %llu\nvcpus %llu\n"
		   "donated_pages %llu\nshared_pages %llu\ncpus %llu\ntotal_pages %llu\n",
		   s.pool_pages, s.pool_free, s.vms, s.vcpus,
		   s.donated_pages, s.shared_pages, s.cpus, s.total_pages);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(memory);

static int ring_show(struct seq_file *m, void *unused)
{
	enum op_index op;

	for (op = 0; op < OPX_COUNT; op++)
		seq_printf(m, "%s 0x%x %llu\n", op_rows[op].name, op_rows[op].number, ring_count(op));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(ring);

/* The file position is the log's own stream position. */
static ssize_t log_read(struct file *file, char __user *user, size_t size, loff_t *pos)
{
	struct log_chunk *chunk = kzalloc(sizeof(*chunk), GFP_KERNEL);
	ssize_t rc;

	if (!chunk)
		return -ENOMEM;
	rc = ring_call(OPX_OP_LOG_READ, 0, *pos, NULL, 0, chunk);
	if (rc >= 0) {
		rc = min_t(size_t, size, min_t(u64, chunk->length, LOG_CHUNK_BYTES));
		if (copy_to_user(user, chunk->text, rc))
			rc = -EFAULT;
		else
			*pos = chunk->first + rc;
	}
	kfree(chunk);
	return rc;
}

static const struct file_operations log_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = log_read,
	.llseek = default_llseek,
};

void stats_add_vm(struct vm *vm)
{
	char name[16];

	snprintf(name, sizeof(name), "vm-%u", vm->handle);
	vm->stats = debugfs_create_file(name, 0400, stats_root, vm, &vm_fops);
}

void stats_remove_vm(struct vm *vm)
{
	debugfs_remove(vm->stats);
}

void stats_init(void)
{
	stats_root = debugfs_create_dir("tenon", NULL);
	debugfs_create_file("log", 0400, stats_root, NULL, &log_fops);
	debugfs_create_file("cpus", 0400, stats_root, NULL, &cpus_fops);
	debugfs_create_file("memory", 0400, stats_root, NULL, &memory_fops);
	debugfs_create_file("ring", 0400, stats_root, NULL, &ring_fops);
}

void stats_exit(void)
{
	debugfs_remove(stats_root);
}
