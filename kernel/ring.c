/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring.c - the service VM's hypercalls: registering a ring, ringing it.
 *
 * Invariant: every word of the ring is read once into a local; the completion
 * count is our own, never read back from shared memory. A registered ring's
 * pages are shared, so they cannot be donated under our feet.
 * Called by: the backends' hypercall exits. Calls: dispatch.c.
 */
#include "ring.h"
#include "call.h"
#include "machine.h"
#include "memory.h"
#include "vm.h"
#include "errno.h"
#include "phys.h"
#include "abi/hypercall.h"

static NOINLINE int ring_register(struct cpu *cpu, u64 pa)
{
	if (pa & (RING_BYTES - 1))
		return -EINVAL;
	if (pa && memory_share(pa, RING_BYTES / PAGE_SIZE))
		return -EPERM;
	if (cpu->ring)
		memory_unshare(cpu->ring_pa, RING_BYTES / PAGE_SIZE);
	cpu->ring = pa ? phys_to_virt(pa) : NULL;
	cpu->ring_pa = pa;
	cpu->ring_complete = 0;
	return 0;
}

static void serve_entry(struct cpu *cpu, struct ring *ring, struct ring_entry *entry)
{
	u32 op = READ_ONCE(entry->op), handle = READ_ONCE(entry->handle);
	u32 offset = READ_ONCE(entry->offset), length = READ_ONCE(entry->length);
	u64 arg = READ_ONCE(entry->arg);
	s64 result = -EINVAL;

	if (offset % 8 == 0 && offset <= RING_PAYLOAD_BYTES && length <= RING_PAYLOAD_BYTES - offset)
		result = dispatch(cpu, op, handle, arg, ring->payload + offset, RING_PAYLOAD_BYTES - offset, &length);
	else
		length = 0;
	entry->length = length;
	entry->result = result;
}

static NOINLINE s64 ring_serve(struct cpu *cpu)
{
	struct ring *ring = cpu->ring;
	u32 submit;

	if (!ring)
		return -EINVAL;
	submit = READ_ONCE(ring->submit);
	if (submit - cpu->ring_complete > RING_ENTRIES)
		return -EINVAL;
	while (cpu->ring_complete != submit) {
		serve_entry(cpu, ring, &ring->entry[cpu->ring_complete % RING_ENTRIES]);
		cpu->ring_complete++;
		__atomic_store_n(&ring->complete, cpu->ring_complete, __ATOMIC_RELEASE);
	}
	return 0;
}

static s64 run(struct cpu *cpu, u64 handle)
{
	int err = vcpu_bind(cpu, handle);

	return err ? err : machine_vcpu_run(cpu, cpu->vcpu);
}

s64 hypercall(struct cpu *cpu, u64 number, u64 arg)
{
	if (likely(number == HC_RUN))
		return run(cpu, arg);
	switch (number) {
	case HC_DOORBELL:
		return ring_serve(cpu);
	case HC_VERSION:
		return ABI_VERSION;
	case HC_RING_REGISTER:
		return ring_register(cpu, arg);
	case HC_BIND:
		return arg ? vcpu_bind(cpu, arg) : vcpu_take(cpu, 0);
	default:
		return -ENOSYS;
	}
}
