/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm.c - life of user VMs and vCPUs, their handles and their memory.
 *
 * Owns: the handle tables. Invariant: a pointer there is followed only with
 * the VM's lock, or by the CPU that the vCPU is bound to (VCPU_BUSY); a VM's blocks are owned by it
 * in memory.c's table and hidden from the service VM.
 * Called by: dispatch.c. Calls: memory.c, pt.c, pool.c, the machine.
 */
#include <string.h>
#include "vm.h"
#include "call.h"
#include "memory.h"
#include "machine.h"
#include "errno.h"
#include "phys.h"

struct vm_slot {
	struct lock lock;
	u32 taken;		/* from before the VM is there until after it is gone */
	struct vm *vm;
};

#define VCPU_BUSY 1ull
#define LEAF_MAX 1	/* 2 MiB: the unit in which the driver finds contiguous memory */

/* Handle = index. A VM's slot 0 is never given out, so no vCPU has a handle below ABI_MAX_VCPUS. */
static struct vm_slot vms[ABI_MAX_VMS + 1];
static u64 vcpus[VCPU_HANDLES];	/* struct vcpu *, VCPU_BUSY while it is bound to a CPU; 0: none */
static u64 donated;		/* pages */

_Static_assert(sizeof(struct vm) <= PAGE_SIZE, "a VM is one page");

/* A slot for a new VM, or 0. */
static u32 slot_take(void)
{
	u32 slot;

	for (slot = 1; slot <= ABI_MAX_VMS; slot++)
		if (!__atomic_exchange_n(&vms[slot].taken, 1, __ATOMIC_ACQUIRE))
			return slot;
	return 0;
}

static void slot_free(u32 slot)
{
	__atomic_store_n(&vms[slot].taken, 0, __ATOMIC_RELEASE);
}

struct vm *vm_get(u32 handle)
{
	if (handle == 0 || handle > ABI_MAX_VMS)
		return NULL;
	lock_acquire(&vms[handle].lock);
	if (vms[handle].vm)
		return vms[handle].vm;
	lock_release(&vms[handle].lock);
	return NULL;
}

void vm_put(u32 handle)
{
	lock_release(&vms[handle].lock);
}

static int vcpu_get(u64 handle)
{
	u64 word = handle < VCPU_HANDLES ? READ_ONCE(vcpus[handle]) : 0;

	if (!word)
		return -ENOENT;
	if ((word & VCPU_BUSY) ||
	    !__atomic_compare_exchange_n(&vcpus[handle], &word, word | VCPU_BUSY, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return -EBUSY;
	return 0;
}

int vcpu_take(struct cpu *cpu, u64 handle)
{
	int err = handle ? vcpu_get(handle) : 0;

	if (err)
		return err;
	if (cpu->bound) {
		machine_vcpu_hold(cpu->vcpu, VCPU_FREE);
		__atomic_store_n(&vcpus[cpu->bound], vcpus[cpu->bound] & ~VCPU_BUSY, __ATOMIC_RELEASE);
	}
	cpu->bound = handle;
	cpu->vcpu = (struct vcpu *)(vcpus[handle] & ~VCPU_BUSY);
	return 0;
}

/* The VM's vCPU of that number, busy or not; NULL: none. */
static struct vcpu *vcpu_of(const struct vm *vm, u32 id)
{
	return (struct vcpu *)(READ_ONCE(vcpus[VCPU_HANDLE(vm->slot, id)]) & ~VCPU_BUSY);
}

/* The block leaves the service VM: owner first, so that nothing maps it again, then its tables and TLBs. */
static int block_take(u64 block, u32 slot)
{
	u64 pages = BLOCK_SIZE / PAGE_SIZE;
	int err;

	if (block & (BLOCK_SIZE - 1))
		return -EINVAL;
	if (memory_move(block, pages, OWNER_SERVICE, OWNER_VM(slot)))
		return -EPERM;
	err = service_hide(block, pages);
	if (err)
		memory_move(block, pages, OWNER_VM(slot), OWNER_SERVICE);
	else
		__atomic_fetch_add(&donated, pages, __ATOMIC_RELAXED);
	return err;
}

/* Back to the service VM. Pages that held tables or state are cleared first. */
static void block_return(u64 block, u64 used_end, u32 slot)
{
	u64 pages = BLOCK_SIZE / PAGE_SIZE;

	memset(phys_to_virt(block), 0, used_end - block);
	__atomic_fetch_sub(&donated, pages, __ATOMIC_RELAXED);
	/* Shown first: as soon as the service VM owns it, another CPU may take it away again. */
	service_show(block, pages);
	memory_move(block, pages, OWNER_VM(slot), OWNER_SERVICE);
}

s64 op_KVM_CREATE_VM(struct call *c)
{
	u64 block = c->arg;
	u32 slot = slot_take();
	struct pool pool = { 0 };
	struct vm *vm;
	int err;

	if (!slot)
		return -ENOSPC;
	err = block_take(block, slot);
	if (err) {
		slot_free(slot);
		return err;
	}
	pool_add(&pool, block, BLOCK_SIZE);
	vm = phys_to_virt(pool_alloc(&pool));
	vm->pool = pool;
	vm->slot = slot;
	vm->blocks[vm->block_count++] = block;
	vm->pt = (struct pt) { machine_guest.format, &vm->pool, pool_alloc(&vm->pool), LEAF_MAX };
	vm->generation = 1;
	machine_vm_init(vm);
	lock_acquire(&vms[slot].lock);
	vms[slot].vm = vm;
	lock_release(&vms[slot].lock);
	return slot;
}

s64 op_OP_VM_DONATE(struct call *c)
{
	struct vm *vm = c->vm;
	int err;

	if (vm->block_count == VM_MAX_BLOCKS)
		return -ENOSPC;
	err = block_take(c->arg, vm->slot);
	if (err)
		return err;
	vm->blocks[vm->block_count++] = c->arg;
	pool_add(&vm->pool, c->arg, BLOCK_SIZE);
	return 0;
}

/* ---- memory ---- */

/*
 * After the tables changed: every vCPU flushes before it enters again; one that
 * is in the guest now is kicked, and waited for. Pairs with vcpu_enter_begin():
 * tables and generation are written before in_guest is read.
 */
static void vm_flush(struct vm *vm)
{
	struct vcpu *v;
	u64 generation = __atomic_add_fetch(&vm->generation, 1, __ATOMIC_SEQ_CST);
	u32 i, polls;

	machine_vm_flush(vm);
	for (i = 0; i < ABI_MAX_VCPUS; i++) {
		v = vcpu_of(vm, i);
		if (!v || !__atomic_load_n(&v->in_guest, __ATOMIC_SEQ_CST))
			continue;
		for (polls = 0; READ_ONCE(v->in_guest) && READ_ONCE(v->seen) < generation; polls++) {
			cpu_kick(cpus[v->cpu], polls);
			cpu_poll();
		}
	}
}

/*
 * Leaves that were taken away stay shared until no TLB knows them: only then
 * may the page become somebody else's.
 */
#define GONE_BATCH 64

struct gone {
	struct vm *vm;
	u32 count;
	struct { u64 pa, pages; } leaf[GONE_BATCH];
};

static void gone_finish(struct gone *g)
{
	u32 i;

	if (!g->count)
		return;
	vm_flush(g->vm);
	for (i = 0; i < g->count; i++)
		memory_unshare(g->leaf[i].pa, g->leaf[i].pages);
	g->count = 0;
}

static void gone_add(void *ctx, u64 pa, u64 pages)
{
	struct gone *g = ctx;

	if (g->count == GONE_BATCH)
		gone_finish(g);
	g->leaf[g->count].pa = pa;
	g->leaf[g->count++].pages = pages;
}

static int range_bad(const struct map_range *r, u64 flags)
{
	u64 bytes = r->pages * PAGE_SIZE;

	return !r->pages || r->pages > MAP_MAX_PAGES || ((r->gpa | r->pa) & (PAGE_SIZE - 1)) || (r->flags & ~flags) ||
		r->gpa >= machine_guest.top || bytes > machine_guest.top - r->gpa;
}

/* One range. 0, -EINVAL, -EPERM, -ENOMEM (then a part may be mapped). */
static int map_one(struct vm *vm, const struct map_range *r, struct gone *g)
{
	u64 done, attr;
	int err;

	if (range_bad(r, MAP_WRITE | MAP_LOG))
		return -EINVAL;
	err = memory_share(r->pa, r->pages);
	if (err)
		return err;
	machine_guest_mapped(r->pa, r->pages);
	attr = machine_guest.leaf | (r->flags & MAP_WRITE ? machine_guest.leaf_write : 0) | (r->flags & MAP_LOG ? 0 : machine_guest.leaf_written);
	done = pt_map(&vm->pt, r->gpa, r->pa, r->pages, attr, gone_add, g);
	if (done == r->pages)
		return 0;
	memory_unshare(r->pa + done * PAGE_SIZE, r->pages - done);
	return -ENOMEM;
}

/* 0: the payload is not a list of ranges. */
static u32 range_count(const struct call *c)
{
	return c->length % sizeof(struct map_range) ? 0 : c->length / sizeof(struct map_range);
}

s64 op_OP_MAP(struct call *c)
{
	const struct map_range *r = (const struct map_range *)c->buf;
	struct gone g = { .vm = c->vm };
	u32 i, count = range_count(c);
	int err = -EINVAL;
	u64 pages = 0;

	for (i = 0; i < count; i++) {
		pages += r[i].pages;
		err = i && pages > MAP_MAX_PAGES ? -EAGAIN : map_one(c->vm, &r[i], &g);
		if (err)
			break;
	}
	gone_finish(&g);
	return i ? (s64)i : err;
}

s64 op_OP_UNMAP(struct call *c)
{
	const struct map_range *r = (const struct map_range *)c->buf;
	struct gone g = { .vm = c->vm };
	u32 i, count = range_count(c);
	s64 leaves = count ? 0 : -EINVAL;
	u64 logged = 0;

	for (i = 0; i < count && leaves >= 0; i++) {
		if (range_bad(&r[i], MAP_LOG))
			leaves = -EINVAL;
		else if (r[i].flags & MAP_LOG)
			logged += pt_clear(&c->vm->pt, r[i].gpa, r[i].pages, machine_guest.leaf_written, NULL, NULL);
		else
			leaves += (s64)pt_unmap(&c->vm->pt, r[i].gpa, r[i].pages, gone_add, &g);
	}
	gone_finish(&g);
	if (logged)
		vm_flush(c->vm);
	return leaves < 0 ? leaves : leaves + (s64)logged;
}

/* ---- vCPUs ---- */

/* The vCPU's pages come last: what fails before uses nothing up. */
static struct vcpu *vcpu_alloc(struct vm *vm, const struct vcpu_create *c)
{
	struct pool before = vm->pool;
	u64 pa = pool_alloc_pages(&vm->pool, (sizeof(struct vcpu) + PAGE_SIZE - 1) / PAGE_SIZE);
	struct vcpu *v = pa ? phys_to_virt(pa) : NULL;

	if (!v)
		return NULL;
	v->vm = vm;
	v->id = c->id;
	v->flags = c->flags;
	v->page_pa = c->exit_page;
	v->page = phys_to_virt(c->exit_page);
	if (!machine_vcpu_init(v))
		return v;
	/* Nothing points at what it took: all from the never used pages (pool_alloc_pages). */
	vm->pool = before;
	return NULL;
}

/* Of the service VM, shared with the vCPU. */
static u64 shared_pages(u32 flags)
{
	return 1 + !!(flags & VCPU_LAPIC) + !!(flags & VCPU_LOG);
}

s64 op_KVM_CREATE_VCPU(struct call *call)
{
	const struct vcpu_create *c = (const struct vcpu_create *)call->buf;
	struct vm *vm = call->vm;
	struct vcpu *v;
	u32 handle;
	int err;

	if (c->id >= ABI_MAX_VCPUS || (c->flags & ~MACHINE_VCPU_FLAGS) || (c->exit_page & (PAGE_SIZE - 1)))
		return -EINVAL;
	if (vcpu_of(vm, c->id))
		return -EEXIST;
	err = memory_share(c->exit_page, shared_pages(c->flags));
	if (err)
		return err;
	v = vcpu_alloc(vm, c);
	if (!v) {
		memory_unshare(c->exit_page, shared_pages(c->flags));
		return -ENOMEM;
	}
	handle = VCPU_HANDLE(vm->slot, c->id);
	__atomic_store_n(&vcpus[handle], (u64)v, __ATOMIC_RELEASE);
	return handle;
}

/* -EBUSY at a vCPU that is another CPU's: those before it have ended. */
static int vcpus_end(struct vm *vm)
{
	struct vcpu *v;
	u32 i;

	for (i = 0; i < ABI_MAX_VCPUS; i++) {
		if (vcpu_get(VCPU_HANDLE(vm->slot, i)) == -EBUSY)
			return -EBUSY;
		v = vcpu_of(vm, i);
		if (v)
			memory_unshare(v->page_pa, shared_pages(v->flags));
		__atomic_store_n(&vcpus[VCPU_HANDLE(vm->slot, i)], 0, __ATOMIC_RELEASE);
	}
	return 0;
}

s64 op_OP_VM_DESTROY(struct call *c)
{
	struct vm *vm = c->vm;
	struct gone g = { .vm = vm };
	u32 slot = vm->slot, count = vm->block_count, i;
	u64 blocks[VM_MAX_BLOCKS];
	u64 used_end = vm->pool.next;

	vcpu_take(c->cpu, 0);
	if (vcpus_end(vm))
		return -EBUSY;
	pt_unmap(&vm->pt, 0, machine_guest.top / PAGE_SIZE, gone_add, &g);
	gone_finish(&g);
	memcpy(blocks, vm->blocks, count * sizeof(blocks[0]));
	vms[slot].vm = NULL;
	/* All blocks but the newest were used up (pool_add links what was left of them). */
	for (i = 0; i < count; i++)
		block_return(blocks[i], i + 1 < count ? blocks[i] + BLOCK_SIZE : used_end, slot);
	slot_free(slot);
	return 0;
}

void vm_counts(struct mem_stats *out)
{
	u32 i;

	for (i = 0; i <= ABI_MAX_VMS; i++)
		out->vms += READ_ONCE(vms[i].taken);
	for (i = 0; i < VCPU_HANDLES; i++)
		out->vcpus += !!READ_ONCE(vcpus[i]);
	out->shared_pages = memory_shares();
	out->donated_pages = READ_ONCE(donated);
}
