/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dispatch.c - from (kind of handle, operation number) to the handler, and the
 * handlers of the operations that every architecture has.
 *
 * Owns: the table, built from ABI_OPS.
 * Invariant: a payload is copied to scratch before the handler sees it, and
 * the handler's result is copied back only where the handler said how much.
 */
#include <string.h>
#include "ring.h"
#include "call.h"
#include "vm.h"
#include "log.h"
#include "memory.h"
#include "machine.h"
#include "errno.h"

enum op_kind { SYSTEM, VM, VCPU };

struct op {
	u32 number;
	u16 kind;
	u16 in;
	u32 out;
	op_fn fn;
};

#define X(kind, number, name, in, out) { number, kind, in, out, op_##name },
static const struct op ops[] = { ABI_OPS(X) };
#undef X

/* Each answer fits into the scratch memory that it is made in. */
#define X(kind, number, name, in, out) _Static_assert((out) <= RING_OP_BYTES, #name);
ABI_OPS(X)
#undef X

/* VMs and vCPUs have numbers of their own, so the number tells the kind. */
static const struct op *find(u32 number)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(ops); i++)
		if (ops[i].number == number)
			return &ops[i];
	return NULL;
}

static s64 call_vcpu(const struct op *op, struct call *c, u32 handle)
{
	s64 result = vcpu_bind(c->cpu, handle);

	if (result)
		return result;
	c->vcpu = c->cpu->vcpu;
	machine_vcpu_hold(c->vcpu, VCPU_OPEN);
	result = op->fn(c);
	machine_vcpu_hold(c->vcpu, VCPU_CLOSED);
	return result;
}

static s64 call_vm(const struct op *op, struct call *c, u32 handle)
{
	s64 result;

	c->vm = vm_get(handle);
	if (!c->vm)
		return -ENOENT;
	result = op->fn(c);
	vm_put(handle);
	return result;
}

s64 dispatch(struct cpu *cpu, u32 number, u32 handle, u64 arg, u8 *payload, u32 room, u32 *length)
{
	const struct op *op = find(number);
	struct call c = { .cpu = cpu, .arg = arg, .buf = cpu->scratch, .length = *length };
	s64 result;

	*length = 0;
	if (!op)
		return -ENOTTY;
	if (c.length < op->in || c.length > RING_OP_BYTES || room < op->out)
		return -EINVAL;
	memcpy(c.buf, payload, c.length);
	if (op->kind == VCPU)
		result = call_vcpu(op, &c, handle);
	else if (op->kind == VM)
		result = call_vm(op, &c, handle);
	else
		result = op->fn(&c);
	if (c.out) {
		memcpy(payload, c.buf, c.out);
		*length = c.out;
	}
	return result;
}

/* ---- the handlers that every architecture has; those of VMs are vm.c's ---- */

s64 op_KVM_RUN(struct call *c)
{
	return machine_vcpu_run(c->cpu, c->vcpu);
}

s64 op_OP_CPU_STATS(struct call *c)
{
	if (c->arg >= cpu_count)
		return -ENOENT;
	memcpy(c->buf, cpus[c->arg]->exits, sizeof(struct exit_stats));
	c->out = sizeof(struct exit_stats);
	return 0;
}

s64 op_OP_LOG_READ(struct call *c)
{
	struct log_chunk *chunk = (struct log_chunk *)c->buf;

	log_read(c->arg, chunk);
	c->out = sizeof(*chunk);
	return 0;
}

s64 op_OP_MEM_STATS(struct call *c)
{
	struct mem_stats *m = (struct mem_stats *)c->buf;

	memset(m, 0, sizeof(*m));
	vm_counts(m);
	machine_counts(m);
	m->cpus = cpu_count;
	c->out = sizeof(*m);
	return 0;
}
