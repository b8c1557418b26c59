/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring.c - random ring entries and hypercalls from two CPUs at once, sensible
 * and senseless ones, with random guests behind them. At the end all VMs end,
 * and the hypervisor's counters are as before.
 */
#include "guest.h"

#define BLOCKS 6u		/* of each CPU, to donate */
#define ARENA_PAGES 64u		/* guests' memory, exit pages */
#define GUEST_TICKS 20000u

struct random { u64 state; };

static struct worker {
	struct random random;
	u64 blocks[BLOCKS];
	u64 calls, runs, refused;
} workers[2];
static u8 arena[2][ARENA_PAGES][PAGE_SIZE] __attribute__((aligned(4096)));
static volatile u32 arrived, left;

static u64 next(struct random *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * 0x2545f4914f6cdd1dull;
}

static u64 below(struct random *r, u64 n)
{
	return (next(r) >> 16) % n;
}

#define X(kind, number, name, in, out) { number, in },
static const struct { u32 number, in; } ops[] = { ABI_OPS(X) };
#undef X

/* Addresses: our own, the hypervisor's, devices, none. */
static u64 some_address(u32 cpu)
{
	struct worker *w = &workers[cpu];
	struct random *r = &w->random;

	switch (below(r, 8)) {
	case 0:
		return next(r);
	case 1:
		return RAM_BASE + below(r, RAM_BYTES / PAGE_SIZE) * PAGE_SIZE;
	case 2:
		return GICR + below(r, 64) * PAGE_SIZE;
	case 3:
	case 4:
		return w->blocks[below(r, BLOCKS)];
	default:
		return (u64)arena[cpu][below(r, ARENA_PAGES)];
	}
}

static u64 some_number(struct random *r)
{
	return below(r, 2) ? below(r, 8) : below(r, 2) ? next(r) : 1ull << below(r, 64);
}

static u64 some_register(struct random *r)
{
	static const u64 bases[] = {
		ABI_REG_ARM64 | ABI_REG_U64 | ABI_REG_CORE, ABI_REG_ARM64 | ABI_REG_U128 | ABI_REG_CORE,
		ABI_REG_ARM64 | ABI_REG_U32 | ABI_REG_CORE, ABI_REG_ARM64 | ABI_REG_U64 | ABI_REG_SYSREG,
	};

	return below(r, 8) ? bases[below(r, ARRAY_SIZE(bases))] | below(r, below(r, 2) ? 240 : 65536) : next(r);
}

/* Payload that has a chance; else as it fell. */
static u32 fill(u32 cpu, u32 op, u8 *at, u32 need)
{
	struct random *r = &workers[cpu].random;
	u32 i, length = need + (below(r, 8) ? 0 : (u32)below(r, 64));

	for (i = 0; i < 256; i += 8)
		*(u64 *)(at + i) = some_number(r);
	if (op == N_OP_MAP || op == N_OP_UNMAP) {
		struct map_range *m = (void *)at;

		*m = (struct map_range) { below(r, 64) * PAGE_SIZE, below(r, 8) ? (u64)arena[cpu][below(r, ARENA_PAGES - 8)] : some_address(cpu),
			below(r, 16) ? 1 + below(r, 8) : some_number(r), below(r, 16) ? MAP_WRITE : some_number(r) };
		return below(r, 16) ? sizeof(*m) : (u32)below(r, 200);
	}
	if (op == N_KVM_CREATE_VCPU && below(r, 8))
		*(struct vcpu_create *)at = (struct vcpu_create) { (u32)below(r, 4), 0, (u64)arena[cpu][ARENA_PAGES - 1 - below(r, 8)] };
	if (op == N_KVM_GET_ONE_REG || op == N_KVM_SET_ONE_REG)
		*(u64 *)at = some_register(r);
	return length;
}

/* Code, and whatever else a guest may find there. */
static void scribble(u32 cpu)
{
	static const u32 some[] = {
		0xd503207f, 0xd4000002, 0xd4000003, 0xd69f03e0, 0xd5384240, 0xd5184240, 0xd53bd040, 0xd51be322, 0xd50b7420,
		0x14000000, 0x17fffff0, 0xd65f03c0, 0xd5381000, 0xd5181000, 0xd4200000, 0xd503203f, 0xf9400020, 0xf9000020,
		0xd538cc00, 0xd518cc20, 0xd518cba0, 0x4c007000, 0xd508871f, 0xd5087e52, 0xd503309f, 0xd5033fdf,
	};
	struct random *r = &workers[cpu].random;
	u32 *page = (u32 *)arena[cpu][below(r, ARENA_PAGES - 8)], i;

	for (i = 0; i < PAGE_SIZE / 4; i++)
		page[i] = below(r, 3) ? some[below(r, ARRAY_SIZE(some))] : (u32)next(r);
}

static void exit_pages(u32 cpu)
{
	struct random *r = &workers[cpu].random;
	struct exit_page *p = (void *)arena[cpu][ARENA_PAGES - 1 - below(r, 8)];
	u64 *words = (u64 *)&p->in;
	u32 i;

	for (i = 0; i < sizeof(p->in) / 8; i++)
		words[i] = below(r, 4) ? some_number(r) : next(r);
	p->in.gic.on = (u32)below(r, 2);
}

static void one_call(u32 cpu)
{
	struct worker *w = &workers[cpu];
	struct random *r = &w->random;
	struct ring *ring = &rings[cpu];
	u32 i = (u32)below(r, ARRAY_SIZE(ops)), op = below(r, 32) ? ops[i].number : (u32)next(r), length;
	struct ring_entry *e = &ring->entry[ring->submit % RING_ENTRIES];

	length = fill(cpu, op, ring->payload, ops[i].in);
	*e = (struct ring_entry) { op, (u32)some_number(r), 0, length, below(r, 4) ? some_address(cpu) : some_number(r), 0 };
	if (!below(r, 32))
		e->offset = (u32)some_number(r);
	if (!below(r, 32))
		e->length = (u32)some_number(r);
	ring->submit++;
	if (hypercall(HC_DOORBELL, 0)) {
		if (!failures++)
			print("FAIL the doorbell is refused\n");
		return;
	}
	w->calls++;
	w->refused += e->result < 0;
}

static void work(u32 cpu)
{
	struct worker *w = &workers[cpu];
	struct random *r = &w->random;

	timer_on(cpu, GUEST_TICKS);
	if (!below(r, 16))
		scribble(cpu);
	if (!below(r, 4))
		exit_pages(cpu);
	if (below(r, 3))
		one_call(cpu);
	else if (!hypercall(HC_RUN, below(r, 16) ? 1 + below(r, 4) : some_number(r)))
		w->runs++;
	if (!below(r, 1000))
		hypercall(some_number(r) | 8, some_address(cpu));
	if (!below(r, 50) && ring_setup(cpu)) {
		if (!failures++)
			print("FAIL the ring is refused\n");
	}
	timer_off();
}

static void meet(volatile u32 *at)
{
	__atomic_fetch_add(at, 1, __ATOMIC_SEQ_CST);
	while (*at < 2)
		;
}

static void end(void)
{
	struct mem_stats before = stats;
	u32 i;

	for (i = 1; i <= ABI_MAX_VMS; i++)
		ring_op(0, N_OP_VM_DESTROY, i, 0, NULL, 0);
	/* The other CPU's ring is gone by now. */
	stats_read();
	EXPECT(!memcmp(&before, &stats, sizeof(stats)), "counters: vms %llu vcpus %llu donated %llu shared %llu (%llu) pool %llu (%llu)", stats.vms,
	       stats.vcpus, stats.donated_pages, stats.shared_pages, before.shared_pages, stats.pool_free, before.pool_free);
	for (i = 0; i < 2; i++)
		print("note: CPU %u: %llu calls, %llu of them refused, %llu runs\n", i, workers[i].calls, workers[i].refused, workers[i].runs);
	for (i = 0; i < RAM_BYTES / PAGE_SIZE; i += 97)
		hidden(RAM_BASE + i * PAGE_SIZE);
}

void ring_random(u32 cpu, u32 seconds)
{
	struct worker *w = &workers[cpu];
	u64 stop;
	u32 i;

	if (!cpu)
		stats_read();
	w->random.state = 0x9e3779b97f4a7c15ull * (cpu + 1);
	for (i = 0; i < BLOCKS; i++)
		w->blocks[i] = block_at(2 + cpu * BLOCKS + i);
	meet(&arrived);
	if (ring_setup(cpu))
		print("FAIL no ring\n");
	stop = read_sysreg(cntpct_el0) + seconds * read_sysreg(cntfrq_el0);
	while (read_sysreg(cntpct_el0) < stop)
		work(cpu);
	if (cpu)
		hypercall(HC_RING_REGISTER, 0);
	meet(&left);
	if (!cpu && !ring_setup(cpu))
		end();
}
