// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * ring.c - one ring per CPU, and the doorbell.
 *
 * Owns: the rings, the table of operations, the count of entries by operation, and which vCPU is which CPU's.
 * Invariant: a CPU that runs tasks has a registered ring, and outside
 * ring_begin()..ring_end() its submit equals its complete.
 * Called by: every file that needs the hypervisor; nothing else calls it.
 * Concurrency: a ring is its CPU's; preemption (for KVM_RUN, interrupts) off.
 * See: abi/ring.h.
 */
#include <linux/cpuhotplug.h>
#include <linux/gfp.h>
#include <linux/percpu.h>
#include <linux/smp.h>

#include "tenon.h"

#define OP_ROW(kind_, number_, name_, in_, out_) \
	[OPX_##name_] = { .number = number_, .kind = OP_KIND_##kind_, .in = in_, .out = out_, .name = #name_ },

const struct op_row op_rows[OPX_COUNT] = { ABI_OPS(OP_ROW) };

/* The list's numbers are <linux/kvm.h>'s and Tenon's own, and all payloads fit. */
#define OP_CHECK(kind, number, name, in, out) \
	static_assert((number) == (name)); \
	static_assert((in) <= RING_OP_BYTES && (out) <= RING_OP_BYTES);
ABI_OPS(OP_CHECK)

static_assert(sizeof(struct ring) == RING_BYTES);

static DEFINE_PER_CPU(struct ring *, cpu_ring);
DEFINE_PER_CPU(u64[OPX_COUNT], ring_counts);
static enum cpuhp_state ring_hotplug;
static bool ring_kept;	/* the module stays: rings survive their CPU going offline */

/* Fill the free entry and ring; the caller set the payload. */
static __always_inline s64 ring_serve(struct ring *ring, enum op_index op, u32 handle, u64 arg,
				      u32 length)
{
	u32 n = ring->submit;
	struct ring_entry *e = &ring->entry[n % RING_ENTRIES];
	s64 rc;

	e->op = op_rows[op].number;
	e->handle = handle;
	e->offset = 0;
	e->length = length;
	e->arg = arg;
	WRITE_ONCE(ring->submit, n + 1);
	__this_cpu_inc(ring_counts[op]);
	rc = arch_hypercall(HC_DOORBELL, 0);
	if (unlikely(rc)) {
		WRITE_ONCE(ring->submit, n);
		return rc;
	}
	return e->result;
}

void *ring_begin(void)
{
	preempt_disable();
	return __this_cpu_read(cpu_ring)->payload;
}

s64 ring_submit(enum op_index op, u32 handle, u64 arg, u32 length, u32 *out_length)
{
	struct ring *ring = __this_cpu_read(cpu_ring);
	u32 n = ring->submit;
	s64 rc = ring_serve(ring, op, handle, arg, length);

	if (out_length)
		*out_length = min_t(u32, ring->entry[n % RING_ENTRIES].length, RING_OP_BYTES);
	return rc;
}

void ring_end(void)
{
	preempt_enable();
}

s64 ring_call(enum op_index op, u32 handle, u64 arg, const void *in, u32 in_length, void *out)
{
	void *payload = ring_begin();
	u32 length;
	s64 rc;

	if (in_length)
		memcpy(payload, in, in_length);
	rc = ring_submit(op, handle, arg, in_length, &length);
	if (rc >= 0 && out)
		memcpy(out, payload, min_t(u32, length, op_rows[op].out));
	ring_end();
	return rc;
}

/* ---- whose a vCPU is ---- */

static void unbind_here(void *unused)
{
	arch_hypercall(HC_BIND, 0);
}

void ring_unbind_all(void)
{
	on_each_cpu(unbind_here, NULL, 1);
}

int vcpu_bind(struct vcpu *v)
{
	int cpu = smp_processor_id();
	s64 rc;

	if (v->cpu == cpu)
		return 0;
	rc = arch_hypercall(HC_BIND, v->handle);
	if (rc == -EBUSY) {
		/* One that is offline gave it up then. */
		smp_call_function_single(v->cpu, unbind_here, NULL, 1);
		rc = arch_hypercall(HC_BIND, v->handle);
	}
	if (!rc)
		WRITE_ONCE(v->cpu, cpu);
	return rc;
}

s64 vcpu_call(struct vcpu *v, enum op_index op, const void *in, u32 in_length, void *out)
{
	s64 rc;

	preempt_disable();
	rc = vcpu_bind(v);
	if (!rc)
		rc = ring_call(op, v->handle, 0, in, in_length, out);
	preempt_enable();
	return rc;
}

u64 ring_count(enum op_index op)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu(ring_counts, cpu)[op];
	return sum;
}

/*
 * Hotplug callbacks, on the CPU itself. A ring stays registered while its CPU is
 * offline: kernel threads bound to the CPU may still end a VM there after
 * ring_offline(), and the hypervisor's half begins anew with each registration.
 */
static int ring_online(unsigned int cpu)
{
	struct ring *ring = __this_cpu_read(cpu_ring);
	s64 rc;

	if (!ring)
		ring = (void *)__get_free_pages(GFP_KERNEL, get_order(RING_BYTES));
	if (!ring)
		return -ENOMEM;
	memset(ring, 0, RING_BYTES);
	rc = arch_hypercall(HC_RING_REGISTER, virt_to_phys(ring));
	if (rc) {
		pr_err("CPU %u: the hypervisor refuses the ring (%lld)\n", cpu, rc);
		if (!__this_cpu_read(cpu_ring))
			free_pages((unsigned long)ring, get_order(RING_BYTES));
		return rc;
	}
	__this_cpu_write(cpu_ring, ring);
	return 0;
}

static int ring_offline(unsigned int cpu)
{
	struct ring *ring = __this_cpu_read(cpu_ring);

	unbind_here(NULL);
	if (!ring || READ_ONCE(ring_kept))
		return 0;
	__this_cpu_write(cpu_ring, NULL);
	/* Memory that the hypervisor would still write must never be reused. */
	if (!WARN_ON(arch_hypercall(HC_RING_REGISTER, 0)))
		free_pages((unsigned long)ring, get_order(RING_BYTES));
	return 0;
}

/* Ring for every CPU, now and when more come online. 0 or -errno. */
int ring_init(void)
{
	int rc = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "tenon:online", ring_online, ring_offline);

	if (rc < 0)
		return rc;
	ring_hotplug = rc;
	WRITE_ONCE(ring_kept, true);
	return 0;
}

/* The ring of a CPU that is offline now is left to the hypervisor, with its memory. */
void ring_exit(void)
{
	WRITE_ONCE(ring_kept, false);
	cpuhp_remove_state(ring_hotplug);
}
