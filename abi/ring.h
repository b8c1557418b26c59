/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring.h - the shared memory between the driver and the hypervisor: one ring
 * per CPU, RING_BYTES of physically contiguous service VM memory, aligned to
 * its size, registered by HC_RING_REGISTER on the CPU that will use it.
 *
 * Single producer (the driver, on this CPU, preemption off), single consumer
 * (the hypervisor, on the same CPU, inside HC_DOORBELL). So nothing is
 * concurrent; but the memory is the service VM's, and the hypervisor reads
 * each entry and each payload once, into a copy of its own.
 *
 * An entry's life:
 *   FREE       index >= submit. The driver fills the entry and its payload,
 *              then advances submit (its last write).
 *   SUBMITTED  complete <= index < submit. The driver calls HC_DOORBELL. The
 *              hypervisor copies the entry, does the operation, writes the
 *              payload, result and length, then advances complete (its last write).
 *   DONE       index < complete. The driver takes the result.
 * submit and complete run freely through 2^32; the entry is entry[index %
 * RING_ENTRIES]. A submit more than RING_ENTRIES ahead of complete makes the
 * doorbell return -EINVAL and serve nothing.
 */
#ifndef ABI_RING_H
#define ABI_RING_H

#include "types.h"

#define RING_BYTES 32768u
#define RING_ENTRIES 32u
#define RING_PAYLOAD_OFFSET 4096u
#define RING_PAYLOAD_BYTES (RING_BYTES - RING_PAYLOAD_OFFSET)
/* The most that one operation can take or give. */
#define RING_OP_BYTES 16384u

struct ring_entry {
	u32 op;		/* the full KVM ioctl number, or one of OP_* (ops.h) */
	u32 handle;	/* VM or vCPU handle; 0 for the system's operations */
	u32 offset;	/* of the payload, from the payload area's start, multiple of 8 */
	u32 length;	/* in: payload bytes given. out: payload bytes written */
	u64 arg;	/* the ioctl's argument where it is a number */
	s64 result;	/* 0 or more, or -errno */
};

struct ring {
	u32 submit;	/* written by the driver alone */
	u32 pad0[15];
	u32 complete;	/* written by the hypervisor alone */
	u32 pad1[15];
	struct ring_entry entry[RING_ENTRIES];
	u8 pad2[RING_PAYLOAD_OFFSET - 128 - RING_ENTRIES * sizeof(struct ring_entry)];
	u8 payload[RING_PAYLOAD_BYTES];
};

#endif
