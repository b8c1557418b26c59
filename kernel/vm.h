/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm.h - user VMs and their vCPUs, and the handles by which the driver names
 * them.
 *
 * A VM lives in the blocks that were donated to it: struct vm in its first
 * page, then tables, vCPUs. What decides whether a pointer into that memory
 * may be followed (locks, busy marks) is in the static handle tables instead, so
 * that no race with OP_VM_DESTROY can follow a pointer into memory that the
 * service VM has got back.
 */
#ifndef VM_H
#define VM_H

#include "types.h"
#include "errno.h"
#include "lock.h"
#include "pool.h"
#include "pt.h"
#include "abi/ops.h"
#include "vcpu_arch.h"

#define VM_MAX_BLOCKS 256u
#define VCPU_HANDLE(vm_slot, id) ((vm_slot) * ABI_MAX_VCPUS + (id))
#define VCPU_HANDLES VCPU_HANDLE(ABI_MAX_VMS + 1, 0)

struct vcpu {
	struct vcpu_arch arch;		/* first: assembly and hot fields */
	struct vm *vm;
	struct exit_page *page;
	u64 page_pa;
	u32 flags;			/* VCPU_* of its creation */
	u32 id;
	u32 in_guest;			/* 1 while its VM's tables may be in use by a CPU */
	u32 cpu;			/* which one */
	u64 seen;			/* vm->generation that this vCPU's TLB entries know */
};

struct vm {
	struct vm_arch arch;
	struct pool pool;
	struct pt pt;			/* second-stage tables */
	u64 generation;			/* counts every change that needs a flush */
	u32 slot;
	u32 block_count;
	u64 blocks[VM_MAX_BLOCKS];
};

/* Takes the VM's lock. NULL when the handle names none; otherwise vm_put(handle) ends it. */
struct vm *vm_get(u32 handle);
void vm_put(u32 handle);

/*
 * Makes the vCPU this CPU's, as cpu->vcpu: 0, -ENOENT, or -EBUSY while it is another CPU's. It stays so until the CPU takes
 * another one, or none (0): what the processor keeps of it (VMX: the VMCS) need not go after each run. Never waits.
 */
int vcpu_take(struct cpu *cpu, u64 handle);
static inline int vcpu_bind(struct cpu *cpu, u64 handle)
{
	if (unlikely(!handle))
		return -ENOENT;
	return likely(handle == cpu->bound) ? 0 : vcpu_take(cpu, handle);
}

void vm_counts(struct mem_stats *out);

#endif
