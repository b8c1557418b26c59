/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * call.h - one ring operation on its way to its handler. The payload has been
 * copied: buf is this CPU's own scratch memory of RING_OP_BYTES.
 */
#ifndef CALL_H
#define CALL_H

#include "types.h"
#include "abi/ops.h"

struct cpu;
struct vm;
struct vcpu;

struct call {
	struct cpu *cpu;
	struct vm *vm;		/* VM operations: locked */
	struct vcpu *vcpu;	/* vCPU operations: in use by this CPU alone */
	u64 arg;
	u8 *buf;
	u32 length;		/* payload bytes given, at least the row's `in` */
	u32 out;		/* set by the handler: payload bytes to give back, at most the row's `out` */
};

typedef s64 (*op_fn)(struct call *c);

/* Every operation of the list has a handler of its name. */
#define X(kind, number, name, in, out) s64 op_##name(struct call *c);
ABI_OPS(X)
#undef X

#endif
