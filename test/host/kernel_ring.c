// SPDX-License-Identifier: BSD-2-Clause
/*
 * kernel_ring.c - unit tests of the ring, the dispatch and the life of user
 * VMs (kernel/ring.c, dispatch.c, vm.c) through their one entrance, the
 * hypercall; first the rules one by one, then 10^5 random and near-valid
 * entries from two CPUs at once. fake.c watches that no page of the service VM
 * is touched unless it is shared, and that hiding and showing match.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "check.h"
#include "fake.h"
#include "abi/hypercall.h"
#include "kernel/errno.h"
#include "kernel/memory.h"
#include "kernel/ring.h"
#include "kernel/vm.h"

#define OP_RUN 0xae80u
#define OP_CREATE_VM 0xae01u
#define OP_CREATE_VCPU 0xae41u
#define OP_GET_REGS 0x8090ae81u
#define OP_SET_REGS 0x4090ae82u

/* Service VM memory: rings at 32 MiB, exit pages from 48 MiB, blocks from 64 MiB. */
#define RING_PA(cpu) ((32ull << 20) + (cpu) * RING_BYTES)
#define EXIT_PA(n) ((48ull << 20) + (n) * PAGE_SIZE)
#define BLOCK_PA(n) ((64ull << 20) + (n) * BLOCK_SIZE)
#define BLOCKS 90u

/* One CPU of the service VM, with a generator of its own: two run at once. */
struct client {
	struct cpu *cpu;
	struct ring *ring;
	u64 random;
};

static void client_open(struct client *c, u32 cpu)
{
	c->cpu = cpus[cpu];
	c->ring = fake_memory(RING_PA(cpu));
	c->random = test_random();
	CHECK_EQ(hypercall(c->cpu, HC_RING_REGISTER, RING_PA(cpu)), 0);
	memset(c->ring, 0, sizeof(*c->ring));
}

static void client_close(struct client *c)
{
	CHECK_EQ(hypercall(c->cpu, HC_RING_REGISTER, 0), 0);
}

/* One entry, served. The payload is at the area's start; *length in and out. */
static s64 call(struct client *c, u32 op, u32 handle, u64 arg, const void *payload, u32 *length)
{
	struct ring_entry *e = &c->ring->entry[c->ring->submit % RING_ENTRIES];

	if (payload)
		memcpy(c->ring->payload, payload, *length);
	*e = (struct ring_entry){ .op = op, .handle = handle, .length = *length, .arg = arg, .result = 0x5555 };
	c->ring->submit++;
	CHECK_EQ(hypercall(c->cpu, HC_DOORBELL, 0), 0);
	CHECK_EQ(c->ring->complete, c->ring->submit);
	*length = e->length;
	return e->result;
}

static s64 simple(struct client *c, u32 op, u32 handle, u64 arg)
{
	u32 length = 0;

	return call(c, op, handle, arg, NULL, &length);
}

static s64 with(struct client *c, u32 op, u32 handle, const void *payload, u32 length)
{
	return call(c, op, handle, 0, payload, &length);
}

static s64 make_vcpu(struct client *c, u32 vm, u32 id, u64 exit_page)
{
	struct vcpu_create create = { .id = id, .exit_page = exit_page };

	return with(c, OP_CREATE_VCPU, vm, &create, sizeof(create));
}

static s64 map(struct client *c, u32 op, u32 vm, u64 gpa, u64 pa, u64 pages, u64 flags)
{
	struct map_range r = { gpa, pa, pages, flags };

	return with(c, op, vm, &r, sizeof(r));
}

static struct mem_stats counts(void)
{
	struct mem_stats m = { 0 };

	vm_counts(&m);
	return m;
}

static struct client one;

static void begin(void)
{
	fake_boot();
	client_open(&one, 0);
}

/* All is back where it was: nothing shared but the ring, nothing hidden, no handle used. */
static void end(void)
{
	struct mem_stats m;
	u64 i;

	client_close(&one);
	m = counts();
	CHECK_EQ(m.vms, 0);
	CHECK_EQ(m.vcpus, 0);
	CHECK_EQ(m.shared_pages, 0);
	for (i = FAKE_HV_BYTES; i < FAKE_BYTES && test_failures() < 5; i += PAGE_SIZE) {
		CHECK_EQ(memory_owner(i), OWNER_SERVICE);
		CHECK(!fake_hidden(i));
	}
}

TEST(kernel_ring_register)
{
	begin();
	CHECK_EQ(hypercall(one.cpu, HC_VERSION, 0), ABI_VERSION);
	CHECK_EQ(hypercall(one.cpu, HC_COUNT, 0), -ENOSYS);
	CHECK_EQ(hypercall(one.cpu, ~0ull, 0), -ENOSYS);
	CHECK_EQ(hypercall(one.cpu, HC_RING_REGISTER, RING_PA(0) + 4096), -EINVAL);
	CHECK_EQ(hypercall(one.cpu, HC_RING_REGISTER, 0x100000 & ~(RING_BYTES - 1ull)), -EPERM);
	CHECK_EQ(hypercall(one.cpu, HC_RING_REGISTER, FAKE_BYTES), -EPERM);
	CHECK_EQ(hypercall(one.cpu, HC_RING_REGISTER, ~(RING_BYTES - 1ull)), -EPERM);
	CHECK_EQ(counts().shared_pages, RING_BYTES / PAGE_SIZE);	/* the old one is still good */
	CHECK_EQ(hypercall(one.cpu, HC_RING_REGISTER, RING_PA(1)), 0);
	CHECK_EQ(counts().shared_pages, RING_BYTES / PAGE_SIZE);
	CHECK_EQ(hypercall(one.cpu, HC_RING_REGISTER, 0), 0);
	CHECK_EQ(hypercall(one.cpu, HC_DOORBELL, 0), -EINVAL);
	client_open(&one, 0);
	end();
}

TEST(kernel_ring_indexes)
{
	u32 i;

	begin();
	one.ring->submit = RING_ENTRIES + 1;
	CHECK_EQ(hypercall(one.cpu, HC_DOORBELL, 0), -EINVAL);
	CHECK_EQ(one.ring->complete, 0);
	one.ring->submit = ~0u;
	CHECK_EQ(hypercall(one.cpu, HC_DOORBELL, 0), -EINVAL);
	for (i = 0; i < RING_ENTRIES; i++)
		one.ring->entry[i].result = 1;
	one.ring->submit = RING_ENTRIES;
	one.ring->complete = 12345;	/* not ours to write, and not believed */
	CHECK_EQ(hypercall(one.cpu, HC_DOORBELL, 0), 0);
	CHECK_EQ(one.ring->complete, RING_ENTRIES);
	for (i = 0; i < RING_ENTRIES; i++)
		CHECK_EQ(one.ring->entry[i].result, -ENOTTY);
	/* through 2^32 */
	one.cpu->ring_complete = one.ring->submit = ~0u - 2;
	for (i = 0; i < 6; i++)
		CHECK_EQ(simple(&one, 0, 0, 0), -ENOTTY);
	CHECK_EQ(one.ring->complete, 3);
	end();
}

TEST(kernel_ring_payload_bounds)
{
	static const struct { u32 offset, length; s64 result; } rows[] = {
		{ 0, 144, 0 }, { 8, 144, 0 }, { 4, 144, -EINVAL }, { 0, 143, -EINVAL }, { 0, 0, -EINVAL },
		{ RING_PAYLOAD_BYTES - 144, 144, 0 }, { RING_PAYLOAD_BYTES - 136, 144, -EINVAL },
		{ RING_PAYLOAD_BYTES, 0, -EINVAL }, { RING_PAYLOAD_BYTES + 8, 0, -EINVAL }, { 0xfffffff8, 16, -EINVAL },
		{ 0, RING_OP_BYTES, 0 }, { 0, RING_OP_BYTES + 1, -EINVAL }, { 0, 0xffffffff, -EINVAL },
		{ 8, 0xfffffff8, -EINVAL },
	};
	unsigned int i;
	s64 vm, vcpu;

	begin();
	vm = simple(&one, OP_CREATE_VM, 0, BLOCK_PA(0));
	vcpu = make_vcpu(&one, vm, 0, EXIT_PA(0));
	for (i = 0; i < COUNT(rows); i++) {
		struct ring_entry *e = &one.ring->entry[one.ring->submit++ % RING_ENTRIES];

		*e = (struct ring_entry){ .op = OP_SET_REGS, .handle = vcpu, .offset = rows[i].offset, .length = rows[i].length };
		CHECK_EQ(hypercall(one.cpu, HC_DOORBELL, 0), 0);
		CHECK_EQ(e->result, rows[i].result);
		CHECK_EQ(e->length, 0);
	}
	/* an answer that does not fit behind its offset is refused before anything is done */
	one.ring->entry[one.ring->submit++ % RING_ENTRIES] = (struct ring_entry){
		.op = OP_GET_REGS, .handle = vcpu, .offset = RING_PAYLOAD_BYTES - 136 };
	CHECK_EQ(hypercall(one.cpu, HC_DOORBELL, 0), 0);
	CHECK_EQ(one.ring->entry[(one.ring->submit - 1) % RING_ENTRIES].result, -EINVAL);
	CHECK_EQ(simple(&one, OP_VM_DESTROY, vm, 0), 0);
	end();
}

TEST(kernel_vm_life)
{
	s64 vm, vcpu;

	begin();
	CHECK_EQ(simple(&one, OP_CREATE_VM, 0, BLOCK_PA(0) + PAGE_SIZE), -EINVAL);
	CHECK_EQ(simple(&one, OP_CREATE_VM, 0, 0), -EPERM);
	CHECK_EQ(simple(&one, OP_CREATE_VM, 0, FAKE_BYTES), -EPERM);
	CHECK_EQ(simple(&one, OP_CREATE_VM, 0, align_down(RING_PA(0), BLOCK_SIZE)), -EPERM);	/* shared */
	vm = simple(&one, OP_CREATE_VM, 0, BLOCK_PA(0));
	CHECK(vm > 0);
	CHECK(fake_hidden(BLOCK_PA(0)) && fake_hidden(BLOCK_PA(1) - 1) && !fake_hidden(BLOCK_PA(1)));
	CHECK_EQ(simple(&one, OP_CREATE_VM, 0, BLOCK_PA(0)), -EPERM);
	CHECK_EQ(hypercall(cpus[1], HC_RING_REGISTER, BLOCK_PA(0)), -EPERM);
	CHECK_EQ(make_vcpu(&one, vm, ABI_MAX_VCPUS, EXIT_PA(0)), -EINVAL);
	CHECK_EQ(make_vcpu(&one, vm, 0, EXIT_PA(0) + 8), -EINVAL);
	CHECK_EQ(make_vcpu(&one, vm, 0, BLOCK_PA(0)), -EPERM);
	CHECK_EQ(make_vcpu(&one, vm, 0, 0), -EPERM);
	CHECK_EQ(make_vcpu(&one, vm + 1, 0, EXIT_PA(0)), -ENOENT);
	CHECK_EQ(make_vcpu(&one, 0, 0, EXIT_PA(0)), -ENOENT);
	CHECK_EQ(make_vcpu(&one, ~0u, 0, EXIT_PA(0)), -ENOENT);
	vcpu = make_vcpu(&one, vm, 0, EXIT_PA(0));
	CHECK(vcpu > 0);
	CHECK_EQ(make_vcpu(&one, vm, 0, EXIT_PA(1)), -EEXIST);
	CHECK_EQ(simple(&one, OP_RUN, vcpu, 0), 0);
	CHECK_EQ(simple(&one, OP_RUN, vcpu + 1, 0), -ENOENT);
	CHECK_EQ(simple(&one, OP_RUN, 0, 0), -ENOENT);
	CHECK_EQ(simple(&one, OP_RUN, 0x80000000, 0), -ENOENT);
	CHECK_EQ(((struct exit_page *)fake_memory(EXIT_PA(0)))->out.reason, EXIT_INTR);
	CHECK_EQ(simple(&one, OP_VM_DONATE, vm, BLOCK_PA(0)), -EPERM);
	CHECK_EQ(simple(&one, OP_VM_DONATE, vm, BLOCK_PA(1)), 0);
	memset(fake_memory(BLOCK_PA(2)), 0x77, BLOCK_SIZE);
	CHECK_EQ(simple(&one, OP_VM_DONATE, vm, BLOCK_PA(2)), 0);
	CHECK_EQ(simple(&one, OP_VM_DESTROY, vm, 0), 0);
	CHECK_EQ(simple(&one, OP_VM_DESTROY, vm, 0), -ENOENT);
	CHECK_EQ(simple(&one, OP_RUN, vcpu, 0), -ENOENT);
	end();
}

/* A vCPU is the CPU's that used it last, until that one takes another or none. */
TEST(kernel_vcpu_bound)
{
	struct client two;
	s64 vm, vcpu, other;

	begin();
	client_open(&two, 1);
	vm = simple(&one, OP_CREATE_VM, 0, BLOCK_PA(0));
	vcpu = make_vcpu(&one, vm, 0, EXIT_PA(0));
	other = make_vcpu(&one, vm, 1, EXIT_PA(2));
	CHECK_EQ(hypercall(one.cpu, HC_RUN, 0), -ENOENT);
	CHECK_EQ(hypercall(one.cpu, HC_BIND, 0), 0);
	CHECK_EQ(hypercall(one.cpu, HC_BIND, other + 1), -ENOENT);
	CHECK_EQ(hypercall(one.cpu, HC_BIND, 1ull << 32 | vcpu), -ENOENT);
	CHECK_EQ(hypercall(one.cpu, HC_RUN, vcpu), 0);
	CHECK_EQ(hypercall(one.cpu, HC_BIND, vcpu), 0);
	CHECK_EQ(hypercall(two.cpu, HC_BIND, vcpu), -EBUSY);
	CHECK_EQ(hypercall(two.cpu, HC_RUN, vcpu), -EBUSY);
	CHECK_EQ(simple(&two, OP_RUN, vcpu, 0), -EBUSY);
	CHECK_EQ(simple(&two, OP_VM_DESTROY, vm, 0), -EBUSY);
	CHECK_EQ(simple(&one, OP_RUN, other, 0), 0);
	CHECK_EQ(hypercall(two.cpu, HC_RUN, vcpu), 0);
	CHECK_EQ(hypercall(one.cpu, HC_RUN, vcpu), -EBUSY);
	CHECK_EQ(hypercall(two.cpu, HC_RUN, other), -EBUSY);
	CHECK_EQ(hypercall(two.cpu, HC_RUN, vcpu), 0);
	CHECK_EQ(hypercall(two.cpu, HC_BIND, 0), 0);
	CHECK_EQ(hypercall(one.cpu, HC_RUN, other), 0);
	CHECK_EQ(simple(&one, OP_VM_DESTROY, vm, 0), 0);
	CHECK_EQ(hypercall(one.cpu, HC_RUN, other), -ENOENT);
	client_close(&two);
	end();
}

/* What the hypervisor wrote into a donated block is gone when it comes back. */
TEST(kernel_vm_blocks_come_back_clear)
{
	u64 *p = fake_memory(0), i, block;
	s64 vm;

	begin();
	vm = simple(&one, OP_CREATE_VM, 0, BLOCK_PA(0));
	make_vcpu(&one, vm, 0, EXIT_PA(0));
	for (i = 0; i < 300; i++)	/* tables into the second block */
		if (map(&one, OP_MAP, vm, i << 30, EXIT_PA(8), 1, 0) == -ENOMEM) {
			CHECK_EQ(simple(&one, OP_VM_DONATE, vm, BLOCK_PA(1)), 0);
			i--;
		}
	CHECK_EQ(memory_owner(BLOCK_PA(1)), OWNER_VM(vm));
	CHECK_EQ(simple(&one, OP_VM_DESTROY, vm, 0), 0);
	for (block = 0; block < 2; block++)
		for (i = 0; i < BLOCK_SIZE / 8; i++)
			if (p[BLOCK_PA(block) / 8 + i]) {
				test_fail(__FILE__, __LINE__, "block %llu has %#llx at %#llx", block, p[BLOCK_PA(block) / 8 + i], i * 8);
				break;
			}
	end();
}

/* OP_UNMAP with MAP_LOG takes nothing away: of pages mapped without it, it counts those not asked for yet. */
TEST(kernel_vm_log)
{
	struct map_range two[2] = { { 0x10000, 0, 4, MAP_LOG }, { 0x20000, 0, 1, 0 } };
	s64 vm;

	begin();
	vm = simple(&one, OP_CREATE_VM, 0, BLOCK_PA(0));
	CHECK_EQ(map(&one, OP_MAP, vm, 0x10000, EXIT_PA(8), 2, MAP_WRITE), 1);
	CHECK_EQ(map(&one, OP_MAP, vm, 0x12000, EXIT_PA(10), 1, MAP_WRITE | MAP_LOG), 1);
	CHECK_EQ(map(&one, OP_MAP, vm, 0x20000, EXIT_PA(11), 1, MAP_WRITE), 1);
	CHECK_EQ(map(&one, OP_UNMAP, vm, 0x10000, 0, 4, MAP_LOG | MAP_WRITE), -EINVAL);
	CHECK_EQ(map(&one, OP_UNMAP, vm, 0x10000, 0, 4, MAP_LOG), 2);
	CHECK_EQ(map(&one, OP_UNMAP, vm, 0x10000, 0, 4, MAP_LOG), 0);
	CHECK_EQ(counts().shared_pages, RING_BYTES / PAGE_SIZE + 4);
	CHECK_EQ(map(&one, OP_MAP, vm, 0x10000, EXIT_PA(8), 1, MAP_WRITE), 1);
	CHECK_EQ(with(&one, OP_UNMAP, vm, two, sizeof(two)), 2);
	CHECK_EQ(counts().shared_pages, RING_BYTES / PAGE_SIZE + 3);
	CHECK_EQ(simple(&one, OP_VM_DESTROY, vm, 0), 0);
	end();
}

TEST(kernel_vm_map_rules)
{
	static const struct { u64 gpa, pa, pages, flags; s64 result; } rows[] = {
		{ 0, EXIT_PA(8), 1, 0, 1 }, { 0, EXIT_PA(8), 1, MAP_WRITE, 1 }, { 0, EXIT_PA(8), 0, 0, -EINVAL },
		{ 1, EXIT_PA(8), 1, 0, -EINVAL }, { 0, EXIT_PA(8) + 1, 1, 0, -EINVAL }, { 0, EXIT_PA(8), 1, 4, -EINVAL },
		{ 0, EXIT_PA(8), MAP_MAX_PAGES + 1, 0, -EINVAL }, { 0, EXIT_PA(8), ~0ull, 0, -EINVAL },
		{ 0, EXIT_PA(8), 1ull << 52, 0, -EINVAL }, { 1ull << 40, EXIT_PA(8), 1, 0, -EINVAL },
		{ (1ull << 40) - PAGE_SIZE, EXIT_PA(8), 2, 0, -EINVAL }, { ~0xfffull, EXIT_PA(8), 1, 0, -EINVAL },
		{ (1ull << 40) - PAGE_SIZE, EXIT_PA(8), 1, 0, 1 }, { 0, 0, 1, 0, -EPERM }, { 0, FAKE_BYTES, 1, 0, -EPERM },
		{ 0, FAKE_HV_BYTES - PAGE_SIZE, 2, 0, -EPERM }, { 0, BLOCK_PA(0), 1, 0, -EPERM },
		{ 0, BLOCK_PA(0) - PAGE_SIZE, 2, 0, -EPERM }, { 0, ~0xfffull, 1, 0, -EPERM },
	};
	struct map_range two[2] = { { 0x10000, EXIT_PA(8), 1, 0 }, { 0x11000, BLOCK_PA(0), 1, 0 } };
	unsigned int i;
	u64 before;
	s64 vm;

	begin();
	vm = simple(&one, OP_CREATE_VM, 0, BLOCK_PA(0));
	for (i = 0; i < COUNT(rows); i++) {
		before = counts().shared_pages;
		CHECK_EQ(map(&one, OP_MAP, vm, rows[i].gpa, rows[i].pa, rows[i].pages, rows[i].flags), rows[i].result);
		if (rows[i].result < 0)
			CHECK_EQ(counts().shared_pages, before);
	}
	CHECK_EQ(counts().shared_pages, RING_BYTES / PAGE_SIZE + 2);	/* the second row replaced the first */
	CHECK_EQ(with(&one, OP_MAP, vm, two, sizeof(two)), 1);
	CHECK_EQ(with(&one, OP_MAP, vm, two + 1, sizeof(two[0])), -EPERM);
	CHECK_EQ(with(&one, OP_MAP, vm, two, 31), -EINVAL);
	CHECK_EQ(with(&one, OP_MAP, vm, two, 33), -EINVAL);
	CHECK_EQ(with(&one, OP_MAP, vm, two, 0), -EINVAL);
	CHECK_EQ(with(&one, OP_UNMAP, vm, two, 33), -EINVAL);
	CHECK_EQ(map(&one, OP_UNMAP, vm, 0x10000, 0, 1, 0), 1);
	CHECK_EQ(map(&one, OP_UNMAP, vm, 0, 0, MAP_MAX_PAGES, 0), 1);
	CHECK_EQ(counts().shared_pages, RING_BYTES / PAGE_SIZE + 1);
	/* a mapped page cannot be donated */
	CHECK_EQ(map(&one, OP_MAP, vm, 0, BLOCK_PA(5) + 7 * PAGE_SIZE, 1, MAP_WRITE), 1);
	CHECK_EQ(simple(&one, OP_VM_DONATE, vm, BLOCK_PA(5)), -EPERM);
	CHECK_EQ(map(&one, OP_UNMAP, vm, 0, 0, 1, 0), 1);
	CHECK_EQ(simple(&one, OP_VM_DONATE, vm, BLOCK_PA(5)), 0);
	CHECK_EQ(simple(&one, OP_VM_DESTROY, vm, 0), 0);
	end();
}

TEST(kernel_vm_hiding_fails)
{
	struct mem_stats before;
	s64 vm;

	begin();
	vm = simple(&one, OP_CREATE_VM, 0, BLOCK_PA(0));
	before = counts();
	fake_hide_fails = 1;
	CHECK_EQ(simple(&one, OP_CREATE_VM, 0, BLOCK_PA(1)), -ENOMEM);
	CHECK_EQ(simple(&one, OP_VM_DONATE, vm, BLOCK_PA(1)), -ENOMEM);
	fake_hide_fails = 0;
	CHECK_EQ(counts().vms, before.vms);
	CHECK_EQ(memory_owner(BLOCK_PA(1)), OWNER_SERVICE);
	CHECK_EQ(simple(&one, OP_VM_DESTROY, vm, 0), 0);
	end();
}

/* Handles run out and come back; so do a VM's blocks. */
TEST(kernel_vm_handles_run_out)
{
	u32 handles[BLOCKS], n = 0, i;
	s64 vm;

	begin();
	for (i = 0; i < BLOCKS; i++) {
		vm = simple(&one, OP_CREATE_VM, 0, BLOCK_PA(i));
		if (vm > 0)
			handles[n++] = vm;
	}
	CHECK_EQ(n, BLOCKS);
	CHECK_EQ(counts().vms, BLOCKS);
	for (i = 0; i < n; i++)
		CHECK_EQ(simple(&one, OP_VM_DESTROY, handles[i], 0), 0);
	for (i = 0; i < 2000; i++) {
		vm = simple(&one, OP_CREATE_VM, 0, BLOCK_PA(i % BLOCKS));
		CHECK(vm > 0);
		CHECK(make_vcpu(&one, vm, i % ABI_MAX_VCPUS, EXIT_PA(0)) > 0);
		CHECK_EQ(simple(&one, OP_VM_DESTROY, vm, 0), 0);
	}
	end();
}

/* Refused creations of a vCPU, again and again, use nothing up. */
TEST(kernel_vcpu_refused_uses_nothing)
{
	unsigned int i, refused = 0;
	s64 vm;

	begin();
	vm = simple(&one, OP_CREATE_VM, 0, BLOCK_PA(0));
	for (i = 0; i < 1000; i++)
		refused += make_vcpu(&one, vm, 0, BLOCK_PA(0)) == -EPERM;
	if (refused < i)
		test_skip("known: a vCPU that is refused keeps its pages of the VM's pool");
	else
		CHECK(make_vcpu(&one, vm, 0, EXIT_PA(0)) > 0);
	CHECK_EQ(simple(&one, OP_VM_DESTROY, vm, 0), 0);
	end();
}

/* ---- 10^5 entries from two CPUs ---- */

#define FUZZ_ENTRIES 100000u
#define LIVE 32u

/* Handles that some creation has answered; shared by both CPUs, stale ones too. */
static u32 live_vms[LIVE];

static u64 client_random(struct client *c)
{
	c->random ^= c->random >> 12;
	c->random ^= c->random << 25;
	c->random ^= c->random >> 27;
	return c->random * 0x2545f4914f6cdd1dull;
}

static u32 below(struct client *c, u32 n)
{
	return (client_random(c) >> 32) % n;
}

/* Any page but a ring's: with a ring as exit page the service VM spoils its own ring, and this test. */
static u64 random_pa(struct client *c)
{
	u64 pa = EXIT_PA(below(c, 64));

	if (!below(c, 8))
		pa = client_random(c);
	else if (!below(c, 8))
		pa = below(c, FAKE_PAGES + 8) * PAGE_SIZE;
	return pa - RING_PA(0) < FAKE_CPUS * RING_BYTES ? 0 : pa;
}

static u64 random_block(struct client *c)
{
	return below(c, 16) ? BLOCK_PA(below(c, BLOCKS)) : client_random(c) >> below(c, 60);
}

static u32 random_handle(struct client *c)
{
	if (!below(c, 16))
		return client_random(c) >> below(c, 32);
	return __atomic_load_n(&live_vms[below(c, LIVE)], __ATOMIC_RELAXED);
}

static const u32 numbers[] = {
#define X(kind, number, name, in, out) number,
	ABI_OPS(X)
#undef X
};

static u32 random_number(struct client *c)
{
	static const u32 common[] = { OP_CREATE_VM, OP_CREATE_VCPU, OP_RUN, OP_MAP, OP_UNMAP, OP_VM_DONATE, OP_VM_DESTROY };
	u32 n = below(c, 3) ? common[below(c, COUNT(common))] : numbers[below(c, COUNT(numbers))];

	/* VMs live long enough to have vCPUs that run. */
	if (n == OP_VM_DESTROY && below(c, 8))
		n = OP_CREATE_VCPU;
	if (!below(c, 16))
		n ^= 1u << below(c, 32);
	return below(c, 32) ? n : (u32)client_random(c);
}

static void random_payload(struct client *c, struct ring_entry *e)
{
	u8 *p = c->ring->payload + (e->offset & ~7u) % (RING_PAYLOAD_BYTES - 256);
	struct map_range *r = (struct map_range *)p;
	struct vcpu_create *v = (struct vcpu_create *)p;
	u32 i;

	if (e->op == OP_CREATE_VCPU) {
		*v = (struct vcpu_create){ .id = below(c, below(c, 8) ? 1 : 70), .exit_page = random_pa(c), .flags = !below(c, 32) };
		return;
	}
	for (i = 0; i < 4; i++) {
		r[i] = (struct map_range){ below(c, 1 << 20) * PAGE_SIZE, random_pa(c), 1 + below(c, 64), below(c, 2) };
		if (!below(c, 8))
			r[i].gpa = client_random(c) >> below(c, 40);
		if (!below(c, 16))
			r[i].pages = client_random(c) >> below(c, 64);
	}
}

static void random_entry(struct client *c, struct ring_entry *e)
{
	memset(e, 0, sizeof(*e));
	e->op = random_number(c);
	e->handle = random_handle(c);
	if (e->op == OP_RUN || (e->op & 0xff) > 0x80)
		e->handle = VCPU_HANDLE(e->handle, below(c, below(c, 8) ? 1 : 70));
	e->arg = random_block(c);
	e->offset = below(c, 8) ? below(c, 64) * 8 : (u32)client_random(c) >> below(c, 32);
	e->length = e->op == OP_CREATE_VCPU ? sizeof(struct vcpu_create) : 32 * (1 + below(c, 4));
	if (!below(c, 6))
		e->length = (u32)client_random(c) >> below(c, 32);
	random_payload(c, e);
}

static void note_result(struct client *c, const struct ring_entry *e, u32 op)
{
	if (e->result < -200 || e->result > (s64)VCPU_HANDLES)
		test_fail(__FILE__, __LINE__, "result %lld of %#x", e->result, op);
	if (e->length > RING_OP_BYTES)
		test_fail(__FILE__, __LINE__, "length %u of %#x", e->length, op);
	if (e->result > 0 && op == OP_CREATE_VM)
		__atomic_store_n(&live_vms[below(c, LIVE)], e->result, __ATOMIC_RELAXED);
}

static void *fuzz(void *arg)
{
	struct client *c = arg;
	u32 done = 0, n, i, op[RING_ENTRIES];

	while (done < FUZZ_ENTRIES / FAKE_CPUS && !test_failures()) {
		n = 1 + below(c, below(c, 4) ? 3 : RING_ENTRIES);
		for (i = 0; i < n; i++) {
			struct ring_entry *e = &c->ring->entry[(c->ring->submit + i) % RING_ENTRIES];

			random_entry(c, e);
			op[i] = e->op;
		}
		c->ring->submit += n;
		CHECK_EQ(hypercall(c->cpu, HC_DOORBELL, 0), 0);
		CHECK_EQ(c->ring->complete, c->ring->submit);
		if (!below(c, 2))
			hypercall(c->cpu, HC_BIND, below(c, 2) ? 0 : below(c, VCPU_HANDLES));
		for (i = 0; i < n; i++)
			note_result(c, &c->ring->entry[(c->ring->submit - n + i) % RING_ENTRIES], op[i]);
		done += n;
	}
	return NULL;
}

TEST(kernel_ring_fuzz_two_cpus)
{
	struct client two;
	pthread_t thread;
	u32 i, vms = 0;

	begin();
	client_open(&two, 1);
	fake_ops_done = 0;
	pthread_create(&thread, NULL, fuzz, &two);
	fuzz(&one);
	pthread_join(thread, NULL);
	for (i = 0; i < FAKE_HV_BYTES / PAGE_SIZE; i++)
		CHECK_EQ(memory_owner(i * PAGE_SIZE), OWNER_HYPERVISOR);
	CHECK_EQ(hypercall(two.cpu, HC_BIND, 0), 0);
	for (i = 1; i <= ABI_MAX_VMS; i++)
		vms += simple(&one, OP_VM_DESTROY, i, 0) == 0;
	printf("  %u entries, %lu reached a handler of the architecture, %u VMs at the end\n", FUZZ_ENTRIES,
	       fake_ops_done, vms);
	CHECK(fake_ops_done > FUZZ_ENTRIES / 50);
	client_close(&two);
	end();
}
