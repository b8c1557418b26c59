/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm.c - life of user VMs and vCPUs, their handles and their memory.
 *
 * Owns: the handle tables. Invariant: a slot's pointer is followed only with
 * the slot's lock (VM) or in state BUSY (vCPU); a VM's blocks are owned by it
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

enum vcpu_state { VCPU_FREE, VCPU_IDLE, VCPU_BUSY };

struct vm_slot {
	struct lock lock;
	struct vm *vm;
};

struct vcpu_slot {
	u32 state;
	struct vcpu *vcpu;
};

/* Free handles are linked through `next`; 0 ends the list. */
struct handles {
	u32 *next;
	u32 free, used;
};

/* Handle = index; slot 0 is never given out. */
static struct vm_slot vms[ABI_MAX_VMS + 1];
static struct vcpu_slot vcpus[MAX_VCPU_HANDLES + 1];
static u32 vm_next[ABI_MAX_VMS + 1], vcpu_next[MAX_VCPU_HANDLES + 1];
static struct handles vm_handles = { vm_next, 0, 0 }, vcpu_handles = { vcpu_next, 0, 0 };
static u64 donated;	/* pages */
static struct lock handle_lock;

_Static_assert(sizeof(struct vm) <= PAGE_SIZE, "a VM is one page");

static void handle_free(struct handles *h, u32 handle)
{
	lock_acquire(&handle_lock);
	h->next[handle] = h->free;
	h->free = handle;
	h->used--;
	lock_release(&handle_lock);
}

static u32 handle_take(struct handles *h)
{
	u32 handle;

	lock_acquire(&handle_lock);
	handle = h->free;
	if (handle) {
		h->free = h->next[handle];
		h->used++;
	}
	lock_release(&handle_lock);
	return handle;
}

void vm_init(void)
{
	u32 i;

	for (i = ABI_MAX_VMS; i; i--)
		handle_free(&vm_handles, i);
	for (i = MAX_VCPU_HANDLES; i; i--)
		handle_free(&vcpu_handles, i);
	vm_handles.used = vcpu_handles.used = 0;
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

struct vcpu *vcpu_get(u32 handle, int *err)
{
	u32 state = VCPU_IDLE;

	*err = -ENOENT;
	if (handle == 0 || handle > MAX_VCPU_HANDLES)
		return NULL;
	if (__atomic_compare_exchange_n(&vcpus[handle].state, &state, VCPU_BUSY, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return vcpus[handle].vcpu;
	if (state == VCPU_BUSY)
		*err = -EBUSY;
	return NULL;
}

void vcpu_put(u32 handle)
{
	__atomic_store_n(&vcpus[handle].state, VCPU_IDLE, __ATOMIC_RELEASE);
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
	u32 slot = handle_take(&vm_handles);
	struct pool pool = { 0 };
	struct vm *vm;
	int err;

	if (!slot)
		return -ENOSPC;
	err = block_take(block, slot);
	if (err) {
		handle_free(&vm_handles, slot);
		return err;
	}
	pool_add(&pool, block, BLOCK_SIZE);
	vm = phys_to_virt(pool_alloc(&pool));
	vm->pool = pool;
	vm->slot = slot;
	vm->blocks[vm->block_count++] = block;
	vm->pt = (struct pt) { machine_guest_format, &vm->pool, pool_alloc(&vm->pool), machine_guest_leaf_max() };
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
		v = vm->vcpus[i];
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

static int range_bad(const struct map_range *r)
{
	u64 bytes = r->pages * PAGE_SIZE;

	return !r->pages || r->pages > MAP_MAX_PAGES || ((r->gpa | r->pa) & (PAGE_SIZE - 1)) ||
		r->gpa >= machine_guest_top() || bytes > machine_guest_top() - r->gpa;
}

/* One range. 0, -EINVAL, -EPERM, -ENOMEM (then a part may be mapped). */
static int map_one(struct vm *vm, const struct map_range *r, struct gone *g)
{
	u64 done;
	int err;

	if (range_bad(r) || (r->flags & ~MAP_WRITE))
		return -EINVAL;
	err = memory_share(r->pa, r->pages);
	if (err)
		return err;
	machine_guest_mapped(r->pa, r->pages);
	done = pt_map(&vm->pt, r->gpa, r->pa, r->pages, machine_guest_attr(!!(r->flags & MAP_WRITE)), gone_add, g);
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
	int err = count ? 0 : -EINVAL;

	for (i = 0; i < count && !err; i++) {
		if (range_bad(&r[i]))
			err = -EINVAL;
		else
			pt_unmap(&c->vm->pt, r[i].gpa, r[i].pages, gone_add, &g);
	}
	gone_finish(&g);
	return err;
}

/* ---- vCPUs ---- */

/* The vCPU's pages come last: what fails before uses nothing up. */
static struct vcpu *vcpu_alloc(struct vm *vm, const struct vcpu_create *c, u32 slot)
{
	struct pool before = vm->pool;
	u64 pa = pool_alloc_pages(&vm->pool, (sizeof(struct vcpu) + PAGE_SIZE - 1) / PAGE_SIZE);
	struct vcpu *v = pa ? phys_to_virt(pa) : NULL;

	if (!v)
		return NULL;
	v->vm = vm;
	v->id = c->id;
	v->handle = slot;
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
	return flags & VCPU_LAPIC ? 2 : 1;
}

s64 op_KVM_CREATE_VCPU(struct call *call)
{
	const struct vcpu_create *c = (const struct vcpu_create *)call->buf;
	struct vm *vm = call->vm;
	struct vcpu *v;
	u32 slot;
	int err;

	if (c->id >= ABI_MAX_VCPUS || (c->flags & ~MACHINE_VCPU_FLAGS) || (c->exit_page & (PAGE_SIZE - 1)))
		return -EINVAL;
	if (vm->vcpus[c->id])
		return -EEXIST;
	slot = handle_take(&vcpu_handles);
	if (!slot)
		return -ENOSPC;
	err = memory_share(c->exit_page, shared_pages(c->flags));
	if (err)
		goto free_slot;
	v = vcpu_alloc(vm, c, slot);
	err = -ENOMEM;
	if (!v)
		goto unshare;
	vm->vcpus[c->id] = v;
	vcpus[slot].vcpu = v;
	vcpu_put(slot);
	return slot;
unshare:
	memory_unshare(c->exit_page, shared_pages(c->flags));
free_slot:
	handle_free(&vcpu_handles, slot);
	return err;
}

static void vcpu_free_one(struct vcpu *v)
{
	u32 slot = v->handle;

	memory_unshare(v->page_pa, shared_pages(v->flags));
	vcpus[slot].vcpu = NULL;
	__atomic_store_n(&vcpus[slot].state, VCPU_FREE, __ATOMIC_RELEASE);
	handle_free(&vcpu_handles, slot);
}

/* Takes all vCPUs out of use, or none. */
static int vcpus_stop(struct vm *vm)
{
	u32 i, err_at;
	int err;

	for (i = 0; i < ABI_MAX_VCPUS; i++)
		if (vm->vcpus[i] && !vcpu_get(vm->vcpus[i]->handle, &err))
			goto undo;
	return 0;
undo:
	for (err_at = i, i = 0; i < err_at; i++)
		if (vm->vcpus[i])
			vcpu_put(vm->vcpus[i]->handle);
	return -EBUSY;
}

s64 op_OP_VM_DESTROY(struct call *c)
{
	struct vm *vm = c->vm;
	struct gone g = { .vm = vm };
	u32 slot = vm->slot, count = vm->block_count, i;
	u64 blocks[VM_MAX_BLOCKS];
	u64 used_end = vm->pool.next;

	if (vcpus_stop(vm))
		return -EBUSY;
	pt_unmap(&vm->pt, 0, machine_guest_top() / PAGE_SIZE, gone_add, &g);
	gone_finish(&g);
	for (i = 0; i < ABI_MAX_VCPUS; i++)
		if (vm->vcpus[i])
			vcpu_free_one(vm->vcpus[i]);
	memcpy(blocks, vm->blocks, count * sizeof(blocks[0]));
	vms[slot].vm = NULL;
	/* All blocks but the newest were used up (pool_add links what was left of them). */
	for (i = 0; i < count; i++)
		block_return(blocks[i], i + 1 < count ? blocks[i] + BLOCK_SIZE : used_end, slot);
	handle_free(&vm_handles, slot);
	return 0;
}

s64 op_OP_VM_STATS(struct call *c)
{
	struct exit_stats *out = (struct exit_stats *)c->buf;
	u32 i, k;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < ABI_MAX_VCPUS; i++)
		for (k = 0; c->vm->vcpus[i] && k < STAT_COUNT; k++)
			out->exits[k] += c->vm->vcpus[i]->exits[k];
	c->out = sizeof(*out);
	return 0;
}

void vm_counts(struct mem_stats *out)
{
	out->vms = READ_ONCE(vm_handles.used);
	out->vcpus = READ_ONCE(vcpu_handles.used);
	out->shared_pages = memory_shares();
	out->donated_pages = READ_ONCE(donated);
}
