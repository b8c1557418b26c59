/* SPDX-License-Identifier: BSD-2-Clause */
/* ring.h - hypercalls of the service VM and its rings (abi/ring.h). */
#ifndef KERNEL_RING_H
#define KERNEL_RING_H

#include "percpu.h"

/* One hypercall from ring 0 of the service VM. Result for its RAX; -ENOSYS for an unknown number. */
s64 hypercall(struct cpu *cpu, u64 number, u64 arg);

/*
 * Does one operation. payload is service VM memory with room for `room` bytes,
 * of which *length are given; *length becomes what was written.
 * -ENOTTY: no such operation; -EINVAL: lengths; -ENOENT: handle; -EBUSY: another CPU's vCPU.
 */
s64 dispatch(struct cpu *cpu, u32 op, u32 handle, u64 arg, u8 *payload, u32 room, u32 *length);

#endif
