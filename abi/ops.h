/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ops.h - the one list of ring operations, from which both sides build their
 * tables. A KVM operation has the ioctl's own number and the ioctl's own
 * struct as payload; OP_* are Tenon's own.
 *
 * A row: X(kind, number, name, in, out)
 *   kind    what the handle names: SYSTEM (0), VM, VCPU
 *   in      payload bytes required; for rows of AT_LEAST kind see below
 *   out     payload bytes written at most
 * Dispatch is by (kind, full number): one number means two things. The size
 * and direction bits of a number say nothing (they lie for several ioctls).
 * An operation whose payload has a variable tail (MSRs, CPUID, ranges) gives
 * its fixed part as `in`; the tail is checked against the entry's length.
 */
#ifndef ABI_OPS_H
#define ABI_OPS_H

#include "types.h"

/* Tenon's own numbers: type 'T', no size, no direction. */
#define OP_VM_DESTROY 0x5401u	/* VM. No vCPU another CPU's (HC_BIND), or -EBUSY. Donated blocks go back to the service VM, cleared where used */
#define OP_VM_DONATE 0x5402u	/* VM. arg = physical address of a 2 MiB block that becomes the VM's */
#define OP_MAP 0x5403u		/* VM. payload: struct map_range[]. result: ranges done (fewer than given: -ENOMEM comes next, or the entry's MAP_MAX_PAGES in all are reached) */
#define OP_UNMAP 0x5404u	/* VM. payload: struct map_range[] (pa ignored). Returns when no CPU can use the old mapping: how many pages, small and large, it was.
				 * A range with MAP_LOG stays mapped: its next writes are logged again */
#define OP_CPU_STATS 0x5406u	/* SYSTEM. arg = hypervisor CPU number: exits of the service VM on it; -ENOENT past the last */
#define OP_LOG_READ 0x5407u	/* SYSTEM. arg = first byte wanted of the log's stream. payload out: struct log_chunk */
#define OP_MEM_STATS 0x5408u	/* SYSTEM. payload out: struct mem_stats */

/*
 * KVM_CREATE_VM here: arg = physical address of a 2 MiB block (owned by the
 * service VM, shared with nobody), which becomes the VM's first memory.
 * Result: the VM's handle, 1 or more.
 * KVM_CREATE_VCPU here: payload struct vcpu_create. Result: the vCPU's handle.
 * KVM_CREATE_VM: -ENOSPC when ABI_MAX_VMS are there. KVM_CREATE_VCPU: -ENOMEM
 * when a donated block is needed (OP_VM_DONATE, then again).
 */
struct vcpu_create {
	u32 id;			/* KVM's vcpu_id, 0 .. ABI_MAX_VCPUS - 1 */
	u32 flags;		/* VCPU_* */
	u64 exit_page;		/* physical address of its struct exit_page, in service VM memory */
};
#define VCPU_LAPIC 1u		/* x86-64: the page behind the exit page is its struct lapic_page */
#define VCPU_LOG 2u		/* x86-64, ABI_FEATURE_LOG: the page behind those is its log of writes (exit_resume.log) */

#define ABI_MAX_VMS 255u	/* arm64 names VMs by 8 bits in the TLB, and 0 is the service VM */
#define ABI_MAX_VCPUS 64u	/* in one VM */

struct map_range {
	u64 gpa;	/* page aligned */
	u64 pa;		/* page aligned; pages owned by the service VM */
	u64 pages;	/* 1 .. MAP_MAX_PAGES */
	u64 flags;	/* MAP_* */
};
#define MAP_MAX_PAGES 0x40000ull	/* 1 GiB: bounded work in one range, and in one OP_MAP entry */
#define MAP_WRITE 1ull			/* the guest may write; it may always read and execute */
#define MAP_LOG 2ull			/* ABI_FEATURE_LOG: the first write is logged; in leaves of 2 MiB, for all of it */

/* Exits of the service VM by kind (enum exit_reason); a vCPU's are in its exit page. */
#define STAT_COUNT 32u
struct exit_stats {
	u64 exits[STAT_COUNT];
};

struct mem_stats {
	u64 pool_pages;		/* the hypervisor's own pool */
	u64 pool_free;
	u64 vms;		/* handles in use */
	u64 vcpus;
	u64 donated_pages;	/* pages that belong to user VMs now */
	u64 shared_pages;	/* mappings of service VM pages in user VMs */
	u64 cpus;		/* CPUs under the hypervisor */
	u64 total_pages;
};

#define LOG_CHUNK_BYTES 8192u
struct log_chunk {
	u64 first;	/* stream position of text[0]: later than asked when it was overwritten */
	u64 length;
	char text[LOG_CHUNK_BYTES];
};

#if defined(__x86_64__)
#include "x86_64/ops.h"
#elif defined(__aarch64__)
#include "arm64/ops.h"
#endif

/* Operations that every architecture has. */
#define ABI_OPS_COMMON(X) \
	X(SYSTEM, 0xae01, KVM_CREATE_VM,	0, 0) \
	X(SYSTEM, 0x5406, OP_CPU_STATS,		0, sizeof(struct exit_stats)) \
	X(SYSTEM, 0x5407, OP_LOG_READ,		0, sizeof(struct log_chunk)) \
	X(SYSTEM, 0x5408, OP_MEM_STATS,		0, sizeof(struct mem_stats)) \
	X(VM, 0xae41, KVM_CREATE_VCPU,		sizeof(struct vcpu_create), 0) \
	X(VM, 0x5401, OP_VM_DESTROY,		0, 0) \
	X(VM, 0x5402, OP_VM_DONATE,		0, 0) \
	X(VM, 0x5403, OP_MAP,			0, 0) \
	X(VM, 0x5404, OP_UNMAP,			0, 0) \
	X(VCPU, 0xae80, KVM_RUN,		0, 0)

#define ABI_OPS(X) ABI_OPS_COMMON(X) ABI_OPS_ARCH(X)

#endif
