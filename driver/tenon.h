/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * tenon.h - the driver's objects and what its files offer each other.
 *
 * Locks, outermost first: vcpu.lock (one ioctl at a time on a vCPU),
 * vm.slots_lock (changes of slots and I/O tables), vm.lock (vCPU creation,
 * donations), vm.mmu_lock (spin; a mapping is made and an invalidation begins
 * and ends under it). Readers of slots hold vm.srcu, readers of I/O tables RCU.
 * The ring needs no lock: it is this CPU's, used with preemption off.
 */
#ifndef DRIVER_TENON_H
#define DRIVER_TENON_H

/* Evaluated where a message is printed, so it may come after Linux's headers. */
#undef pr_fmt
#define pr_fmt(fmt) "tenon: " fmt

#include <linux/io.h>
#include <linux/jump_label.h>
#include <linux/kvm.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "counters.h"
#include "hypercall.h"
#include "ops.h"
#include "ring.h"
#include "objects.h"

struct dentry;
struct vcpu;
struct vm;

/* ---- ring.c: calls of the hypervisor ---- */

enum op_kind { OP_KIND_SYSTEM, OP_KIND_VM, OP_KIND_VCPU };

/* One index per row of ABI_OPS, in its order: OPX_KVM_RUN, OPX_OP_MAP ... */
enum op_index {
#define ABI_OP_INDEX(kind, number, name, in, out) OPX_##name,
	ABI_OPS(ABI_OP_INDEX)
#undef ABI_OP_INDEX
	OPX_COUNT
};

struct op_row {
	u32 number;
	u8 kind;
	u16 in;
	u16 out;
	const char *name;
};

extern const struct op_row op_rows[OPX_COUNT];

int ring_init(void);
void ring_exit(void);

/*
 * Begin an operation: preemption off, returns the payload area (RING_OP_BYTES
 * of it usable). ring_submit() performs it, as often as wanted; its payload stays
 * readable until ring_end(). Nothing else between begin and end may call the ring.
 */
void *ring_begin(void);
s64 ring_submit(enum op_index op, u32 handle, u64 arg, u32 length, u32 *out_length);
void ring_end(void);

/*
 * One whole operation with kernel buffers. At most row.out bytes are copied to
 * `out`. Returns the hypervisor's result: 0 or more, or -errno.
 */
s64 ring_call(enum op_index op, u32 handle, u64 arg, const void *in, u32 in_length, void *out);
/* The same for an operation on a vCPU. v->lock held. */
s64 vcpu_call(struct vcpu *v, enum op_index op, const void *in, u32 in_length, void *out);
/*
 * In the hypervisor a vCPU is the CPU's that used it last, until that one uses another. Makes it this CPU's, and v->cpu so: 0
 * or -errno. Preemption off, interrupts on, v->lock held.
 */
int vcpu_bind(struct vcpu *v);
void ring_unbind_all(void);	/* no vCPU is any CPU's */

/* Calls of each operation by this CPU; of one, summed over all CPUs. KVM_RUN (run.c) needs no ring. */
DECLARE_PER_CPU(u64[OPX_COUNT], ring_counts);
u64 ring_count(enum op_index op);

/* ---- ioctl tables ---- */

struct ioctl_row {
	u32 number;
	long (*call)(void *object, unsigned long arg);	/* NULL: the row answers `fixed` */
	long fixed;
	u32 copy;	/* with `fixed`: bytes that must be readable first, else -EFAULT */
};

/* The row for `number` in a table that a zero row ends, or NULL. */
const struct ioctl_row *ioctl_find(const struct ioctl_row *rows, u32 number);
long ioctl_answer(const struct ioctl_row *row, void *object, unsigned long arg);

/* ---- memslot.c ---- */

/* What KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 can be enabled with. */
#define DIRTY_MANUAL_CAPS (KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET)

struct slot {
	u64 gfn;
	u64 pages;
	unsigned long hva;
	u32 id;
	u32 flags;		/* KVM_MEM_* */
	bool gone;		/* it is being deleted or moved: Linux's alone, guests have it no more */
	unsigned long *dirty;	/* one bit per page while KVM_MEM_LOG_DIRTY_PAGES; whose is not set is not writable, or log.c hears of a write */
	unsigned long *mapped;	/* one bit per page that the guest surely has; map.c's */
	unsigned long *large;	/* one bit per 2 MiB that it has in one piece; map.c's */
	unsigned long *idle;	/* one bit per page that Linux found unused: mapped by its own fault alone; map.c's */
};

/* Sorted by gfn, never changed once published. */
#define SLOTS_FIRST 1		/* the serial of a VM that has had no slot yet */
struct slots {
	u64 serial;		/* another one with each change */
	u32 count;
	struct slot *slot[];
};

static inline unsigned long slot_hva(const struct slot *slot, u64 gfn)
{
	return slot->hva + ((gfn - slot->gfn) << PAGE_SHIFT);
}

/* The slot that holds gfn, or NULL. vm.srcu held. */
struct slot *slot_find(struct vm *vm, u64 gfn);
struct slot *slot_find_any(struct vm *vm, u64 gfn);	/* one that is `gone`, too */
/* Empty set of slots for a new VM; -ENOMEM. */
int slots_init(struct vm *vm);
void slots_free(struct vm *vm);
/* KVM_SET_USER_MEMORY_REGION and the dirty log: KVM's checks and errnos. */
long slots_set(void *object, unsigned long arg);
long slots_get_dirty_log(void *object, unsigned long arg);
long slots_clear_dirty_log(void *object, unsigned long arg);
/* A slot's memory, within one page; 0, or -EFAULT. vm.srcu held, in the VMM's mm. */
int slot_read(const struct slot *slot, u64 gpa, void *buf, unsigned int len);
int slot_write(struct slot *slot, u64 gpa, const void *buf, unsigned int len);
/* Note a write to gfn that the driver made itself. */
void slot_mark_dirty(struct slot *slot, u64 gfn);

/* ---- map.c ---- */

#define WINDOW_PAGES 512u	/* a fault maps within its aligned 2 MiB */

/* Aligned 2 MiB that a slot has a part of. */
static inline u64 slot_windows(const struct slot *slot)
{
	return (slot->gfn + slot->pages - 1) / WINDOW_PAGES - slot->gfn / WINDOW_PAGES + 1;
}

extern const struct mmu_notifier_ops map_notifier_ops;

/*
 * Give the guest the page of a fault and its neighbours. vm.srcu held, in the
 * VMM's mm, may sleep. 0: enter the guest again; -errno ends KVM_RUN.
 */
int map_fault(struct vcpu *v, struct slot *slot, u64 gfn, bool write);
/* Take guest pages away; when it returns no CPU uses them. Any context but hard interrupts. */
void map_remove(struct vm *vm, struct slot *slot, u64 gfn, u64 pages);

/* A write to these pages of a logged slot is to be heard of again: from gfn on, by a bitmap of DIRTY_WORDS words at most. mmu_lock held. */
#define DIRTY_WORDS 16u
void map_protect(struct vm *vm, struct slot *slot, u64 gfn, const unsigned long *bits, u32 words);

/* Bring vm.counters.pages_* up to date. */
void map_count_pages(struct vm *vm);

/* ---- log.c: the processor's own log of writes ---- */

/* Some VM has the log on: others need not look. */
DECLARE_STATIC_KEY_FALSE(log_key);
/* The first slot with a dirty log is about to be there, the last one is gone. slots_lock held; may wait as log_sync(). */
void log_begin(struct vm *vm);
void log_end(struct vm *vm);
/* No vCPU is left. */
void log_free(struct vm *vm);
/* What guests wrote before this call is in the slots' bitmaps behind it. May wait for a vCPU to leave its guest. */
void log_sync(struct vm *vm);
/* This VM does without from now on. May sleep, vm.srcu not held. */
void log_refuse(struct vm *vm);
/* The guest came back from a stay with a log. Interrupts off. */
void log_drain(struct vcpu *v);

/* ---- eventfd.c ---- */

/* virtio-ccw is s390's: its bus takes rows, as KVM's does, and has no writer. */
enum io_bus { IO_MMIO, IO_PIO, IO_CCW, IO_BUSES };

struct io_table;

/* True when an ioeventfd or a coalescing zone took the write. */
bool io_write(struct vm *vm, enum io_bus bus, u64 addr, u32 len, const void *data);
long io_set_eventfd(void *object, unsigned long arg);
long io_add_zone(void *object, unsigned long arg);
long io_remove_zones(void *object, unsigned long arg);
void io_free(struct vm *vm);

/* ---- vm.c ---- */

struct vm {
	u32 handle;
	refcount_t users;	/* the VM's descriptor and each vCPU's */
	struct mm_struct *mm;
	struct mutex lock;
	struct mutex slots_lock;
	spinlock_t mmu_lock;
	struct srcu_struct srcu;
	struct slots __rcu *slots;
	u64 slots_serial;	/* theirs, for who looks without vm.srcu whether they are others now */
	struct mmu_notifier notifier;
	/* Under mmu_lock, as in KVM: a mapping found outside it holds if none of this moved. */
	unsigned long invalidate_seq;
	unsigned long invalidate_count;
	unsigned long invalidate_start, invalidate_end;
	struct io_table __rcu *io[IO_BUSES];
	spinlock_t coalesced_lock;
	struct kvm_coalesced_mmio_ring *coalesced;
	struct list_head blocks;	/* donated 2 MiB blocks, by page->lru */
	u32 vcpu_count;
	DECLARE_BITMAP(vcpu_ids, ABI_MAX_VCPUS);	/* taken, from before the vCPU is there */
	struct vcpu *vcpu[ABI_MAX_VCPUS];
	u32 dirty_manual;		/* KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 as enabled */
	bool log;			/* stays begin with the processor's log on */
	bool log_refused;		/* nothing is mapped for it any more */
	struct dentry *stats;
	struct vm_counters counters;
	struct list_head counted;	/* counters.c */
	struct dentry *counter_dir;
	void *counter_files;
	pid_t pid;			/* who made it, for names */
	struct arch_vm arch;
};

/* Module load and unload. */
void vm_init(void);
void vm_exit(void);
/* KVM_CREATE_VM: a descriptor, or -errno. */
long vm_create(unsigned long type);
void vm_get(struct vm *vm);
/* Drop a reference; the last one ends the VM and gives everything back. */
void vm_put(struct vm *vm);
/* Give the hypervisor 2 MiB more for this VM; -ENOMEM. May sleep. */
int vm_donate(struct vm *vm);
/* ring_call() that donates and repeats while the hypervisor answers -ENOMEM. */
s64 vm_call(struct vm *vm, enum op_index op, u32 handle, u64 arg, const void *in, u32 in_length,
	    void *out);

/* ---- vcpu.c ---- */

struct exit_page;
struct emulation;

struct vcpu {
	struct vm *vm;
	u32 handle;
	u32 id;
	struct kvm_run *run;	/* shared with the VMM: read each field once */
	void *pio;		/* page 1 of the mapping */
	struct exit_page *exit;
	int (*complete)(struct vcpu *v);	/* finishes the last exit at the next KVM_RUN */
	struct page **pages;	/* map.c's window, low pointer bit = writable */
	struct mutex lock;
	u32 cpu;		/* whose it is in the hypervisor, unless that CPU took another one since */
	u32 in_guest;		/* from the last look before an entry to the exit */
	u32 stays;		/* those with the log on */
	u64 logged;		/* entries of its log so far */
	bool entered;		/* the guest ran in this KVM_RUN */
	struct vcpu_counters counters;
	bool sigset_active;
	sigset_t sigset;
	struct arch_vcpu arch;
};

/* KVM_CREATE_VCPU: a descriptor, or -errno. */
long vcpu_create(void *object, unsigned long id);
void vcpu_free(struct vcpu *v);

/* ---- run.c ---- */

/* KVM_RUN. v->lock held, in the VMM's mm. */
long run_vcpu(struct vcpu *v);

/* ---- stats.c ---- */

void stats_init(void);
void stats_exit(void);
void stats_add_vm(struct vm *vm);
void stats_remove_vm(struct vm *vm);

/* ---- kexec.c ---- */

/* Be told when another kernel is to start; and no longer. */
void kexec_watch(void);
void kexec_unwatch(void);
extern bool kexec_begun;	/* no VM may be created any more */

/* ---- main.c ---- */

/* KVM_CHECK_EXTENSION, on /dev/kvm and on a VM alike. */
long caps_check(void *object, unsigned long cap);

#include "arch.h"

#endif
