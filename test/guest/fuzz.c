/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz.c - random calls from two CPUs at once, random register states, random
 * guests. The hypervisor answers each with a result or -errno, keeps its
 * counts, and works afterwards as before.
 *
 * Invariant: only the arena (blocks of free memory) is ever offered as memory,
 * beside what must be refused, so that no guest can write to this program.
 * Options: seed=, entries= (of each CPU), guests=, exits= (of each guest),
 * seconds= (for the random guests).
 */
#include "tenon.h"

#define ARENA_BLOCKS 24
#define BATCH 18
#define TIMER 1000000		/* bus clocks: ends guests that loop */

struct fuzzer {
	struct random random;
	u64 done;		/* entries served */
	u64 good;		/* with a result of 0 or more */
	u64 by_errno[64];
	u64 odd;		/* results that are no -errno, doorbells that fail */
	u64 odd_op, odd_result;
};

static struct fuzzer fuzzers[2];
static u64 arena[ARENA_BLOCKS];
static u64 hidden;
static struct exit_page pages[9] __attribute__((aligned(4096)));

static const u32 numbers[] = {
#define X(kind, number, name, in, out) number,
	ABI_OPS(X)
#undef X
};

static const u32 lengths[] = {
#define X(kind, number, name, in, out) in,
	ABI_OPS(X)
#undef X
};

/* Numbers that are wrong by a bit, a page, a sign. */
static const u64 edges[] = {
	0, 1, 2, 7, 8, 255, 256, 1023, 1024, 1025, 4095, 4096, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
	0x7fffffffffffffff, 0x8000000000000000, 0xfffffffffffff000, 0xffffffffffffffff,
};

static void arena_fill(void)
{
	u32 i;

	for (i = 0; i < ARENA_BLOCKS; i++)
		if (!arena[i])
			arena[i] = block_take();
}

static void do_read(u64 va)
{
	(void)*(volatile u64 *)va;
}

static void hidden_find(void)
{
	u64 pa;
	u32 i;

	for (i = 0; i < e820_count && !hidden; i++)
		for (pa = e820[i].base; e820[i].type == E820_RESERVED && pa >= 1 << 20 && pa < ram_top() + 64 * BLOCK_SIZE &&
		     pa < e820[i].base + e820[i].size; pa += BLOCK_SIZE)
			if (!(pa & (BLOCK_SIZE - 1)) && try_call(do_read, pa) == GP)
				hidden = pa;
}

/* ---- near-valid values ---- */

static u64 some_edge(struct random *r)
{
	return edges[random_below(r, ARRAY_SIZE(edges))];
}

/* Memory: mostly the arena's, else what must be refused. */
static u64 some_pa(struct random *r)
{
	u64 pa = arena[random_below(r, ARENA_BLOCKS)];

	switch (random_below(r, 16)) {
	case 0: return hidden + random_below(r, 512) * PAGE_SIZE;
	case 1: return 0xfe000000 + random_below(r, 4096) * PAGE_SIZE;
	case 2: return (1ull << 33) + (random_next(r) & 0xffffffffff000ull);
	case 3: return pa + random_below(r, PAGE_SIZE);
	case 4: return (1ull << 63) | (random_next(r) & ~0xfffull);
	case 5 ... 9: return pa;
	default: return pa + random_below(r, 512) * PAGE_SIZE;
	}
}

static u32 some_handle(struct random *r)
{
	u64 roll = random_below(r, 16);

	/* A VM's, or that of its first vCPU. */
	return (u32)(roll == 0 ? random_next(r) : roll == 1 ? some_edge(r) : random_below(r, 10) * (roll & 1 ? ABI_MAX_VCPUS : 1));
}

static void some_ranges(struct random *r, struct map_range *range, u32 count)
{
	u32 i;

	for (i = 0; i < count; i++) {
		range[i].gpa = random_below(r, 8) ? random_below(r, 1 << 14) * PAGE_SIZE : some_edge(r);
		range[i].pa = some_pa(r);
		range[i].pages = random_below(r, 8) ? random_below(r, 64) : some_edge(r);
		range[i].flags = random_below(r, 16) ? random_below(r, 4) & random_below(r, 4) : random_next(r);
	}
}

static void some_payload(struct random *r, u32 op, u8 *to, u32 length)
{
	struct vcpu_create *create = (struct vcpu_create *)to;
	u32 i;

	random_fill(r, to, length < 512 ? length : 512);
	if (op == N_OP_MAP || op == N_OP_UNMAP) {
		some_ranges(r, (struct map_range *)to, length / sizeof(struct map_range));
	} else if (op == N_KVM_CREATE_VCPU && length >= sizeof(*create)) {
		*create = (struct vcpu_create) { (u32)random_below(r, 66), random_below(r, 32) ? 0 : (u32)random_below(r, 4), (u64)&pages[random_below(r, 7)] };
		if (!random_below(r, 6))
			create->exit_page = hidden + random_below(r, 512) * PAGE_SIZE;
	} else if (random_below(r, 2)) {
		/* Small numbers where counts and flags are. */
		for (i = 0; i < length && i < 64; i += 8)
			*(u64 *)(to + i) = random_below(r, 4) ? random_below(r, 20) : some_edge(r);
	}
}

/*
 * QEMU's #VMEXIT loads CR0 before CR4, and a load that switches paging on with
 * the guest's EFER.LME and without its CR4.PAE is dropped there: the host would
 * go on without paging. And an x87 error with CR0.NE clear raises IRQ 13 there
 * from the wrong thread, which ends the emulator. And RFLAGS.VM of a guest stays
 * set in the host. No such state is set here, for QEMU's sake.
 */
#define CR0_NE (1ull << 5)
#define CR0_PG (1ull << 31)
#define CR4_PAE (1ull << 5)
#define RFLAGS_TAME 0x47fd5ull	/* the flags up to NT, and AC */
#define EFER_LME (1ull << 8)

static void tame_state(struct state_fields *s)
{
	s->fields |= 1ull << STATE_CR0 | 1ull << STATE_CR4 | 1ull << STATE_EFER;
	s->value[STATE_CR0] |= CR0_NE;
	if ((s->value[STATE_EFER] & EFER_LME) && !(s->value[STATE_CR0] & CR0_PG))
		s->value[STATE_CR4] |= CR4_PAE;
}

static void tame_regs(struct abi_regs *r)
{
	r->rflags &= RFLAGS_TAME;
}

/* ---- ring entries ---- */

static u32 some_length(struct random *r, u32 which)
{
	u64 roll = random_below(r, 16);

	if (roll == 0)
		return (u32)some_edge(r);
	if (roll == 1)
		return (u32)random_below(r, RING_OP_BYTES + 64);
	if (numbers[which] == N_OP_MAP || numbers[which] == N_OP_UNMAP)
		return (u32)(sizeof(struct map_range) * (1 + random_below(r, 6)));
	return lengths[which] + (roll == 2 ? (u32)random_below(r, 3) - 1 : roll == 3 ? 8 * (u32)random_below(r, 40) : 0);
}

/* Entries of a batch overwrite each other's payload, as a hostile driver may; but tame ones have a place of their own. */
#define SHARED_BYTES 4096u
#define TAME_OFFSET (SHARED_BYTES + RING_OP_BYTES)
#define TAME_BYTES 440u
_Static_assert(TAME_OFFSET + BATCH * TAME_BYTES <= RING_PAYLOAD_BYTES && sizeof(struct state_fields) <= TAME_BYTES, "a place for each");

static void add_tame(struct random *r, u32 op, u32 slot)
{
	u32 offset = TAME_OFFSET + slot * TAME_BYTES;
	u32 length = op == N_OP_STATE_SET ? sizeof(struct state_fields) : sizeof(struct abi_regs);

	some_payload(r, op, ring_mine()->payload + offset, length);
	if (op == N_OP_STATE_SET)
		tame_state((struct state_fields *)(ring_mine()->payload + offset));
	else
		tame_regs((struct abi_regs *)(ring_mine()->payload + offset));
	ring_add(op, some_handle(r), 0, offset, length);
}

static u32 some_offset(struct random *r)
{
	switch (random_below(r, 16)) {
	case 0: return (u32)some_edge(r) | 4;
	case 1: return RING_PAYLOAD_BYTES + 8 * (u32)random_below(r, 64);
	case 2: return (u32)random_below(r, SHARED_BYTES) & ~7u;
	default: return 0;
	}
}

static void add_entry(struct random *r, u32 slot)
{
	u32 which = (u32)random_below(r, ARRAY_SIZE(numbers)), op = numbers[which];
	u32 length = some_length(r, which), offset = some_offset(r);
	u64 arg = op == N_KVM_CREATE_VM || op == N_OP_VM_DONATE ? some_pa(r) : random_below(r, 4) ? random_below(r, 4) : some_edge(r);

	if (op == N_OP_STATE_SET || op == N_KVM_SET_REGS) {
		add_tame(r, op, slot);
		return;
	}
	if (op == N_OP_VM_DESTROY && random_below(r, 6))
		op = N_KVM_RUN;		/* or no VM lives long */
	if (!random_below(r, 24))
		op ^= 1u << random_below(r, 32);
	if (offset <= SHARED_BYTES && length <= RING_OP_BYTES)
		some_payload(r, op, ring_mine()->payload + offset, length);
	ring_add(op, some_handle(r), arg, offset, length);
}

static void note_result(struct fuzzer *f, u32 op, s64 result)
{
	f->done++;
	if (result >= 0) {
		f->good++;
	} else if (result > -64) {
		f->by_errno[-result]++;
	} else {
		f->odd++;
		f->odd_op = op;
		f->odd_result = (u64)result;
	}
}

static void some_hypercall(struct fuzzer *f)
{
	struct random *r = &f->random;
	u64 arg = random_below(r, 4) ? random_below(r, 24) : some_edge(r);

	/* Without the second kind a vCPU would stay where it is until that CPU uses another one. */
	note_result(f, HC_RUN, hypercall(random_below(r, 4) ? HC_RUN : HC_COUNT + random_below(r, 1000), arg));
	note_result(f, HC_BIND, hypercall(HC_BIND, random_below(r, 2) ? arg : 0));
}

static void fuzz_entries(u64 count)
{
	struct fuzzer *f = &fuzzers[cpu_this()->index];
	u32 i, first;

	timer_start(TIMER);
	while (f->done < count) {
		first = ring_mine()->submit;
		for (i = 0; i < BATCH; i++)
			add_entry(&f->random, i);
		if (ring_ring()) {
			f->odd++;
			break;
		}
		for (i = first; i != first + BATCH; i++)
			note_result(f, ring_mine()->entry[i % RING_ENTRIES].op, ring_mine()->entry[i % RING_ENTRIES].result);
		some_hypercall(f);
		irq_window();
	}
	timer_start(0);
	irq_window();
}

/* On the second CPU, with a ring of its own. */
static void second_entries(u64 count)
{
	if (ring_setup())
		fuzzers[1].odd++;
	fuzz_entries(count);
	hypercall(HC_BIND, 0);
	hypercall(HC_RING_REGISTER, 0);
}

static void print_results(const struct fuzzer *f, u32 index)
{
	u32 i;

	print("note: CPU %u: %llu calls, %llu succeeded", index, f->done, f->good);
	for (i = 1; i < 64; i++)
		if (f->by_errno[i])
			print(", %llu -%u", f->by_errno[i], i);
	print("\n");
	EXPECT(!f->odd, "CPU %u: %llu odd results, the last of %llx: %llx", index, f->odd, f->odd_op, f->odd_result);
}

static void all_destroyed(void)
{
	u32 i;

	for (i = 1; i <= ABI_MAX_VMS; i++)
		ring_op(N_OP_VM_DESTROY, i, 0, NULL, 0);
}

static void still_works(const struct mem_stats *before)
{
	static u8 code[PAGE_SIZE] __attribute__((aligned(4096)));
	static struct exit_page page __attribute__((aligned(4096)));
	struct vm vm;
	u32 i;

	mem_stats_same(before, "afterwards");
	for (i = 0; i < ARENA_BLOCKS; i++)
		EXPECT(try_call(do_read, arena[i]) == NO_TRAP, "block %u has not come back", i);
	EXPECT(!vm_open(&vm, code, &page), "no VM any more");
	EXPECT(vm_code(&vm, "\x0f\xa2\xf4", 3) == EXIT_HLT && page.out.rip == CODE_GPA + 3, "a guest does not halt");
	EXPECT(!vm_close(&vm), "OP_VM_DESTROY");
}

static void seeds(u64 salt)
{
	u64 seed = option("seed", rdtsc() | 1);
	u32 i;

	memset(fuzzers, 0, sizeof(fuzzers));
	for (i = 0; i < 2; i++)
		fuzzers[i].random.state = (seed + salt + i) * 0x9e3779b97f4a7c15ull | 1;
	print("note: seed=0x%llx\n", seed);
}

TEST(entries_from_two_cpus)
{
	u64 count = option("entries", 50000);
	struct mem_stats before;
	int alone;

	REQUIRE(!ring_setup() && !mem_stats(&before), "no ring");
	arena_fill();
	hidden_find();
	REQUIRE(hidden && arena[ARENA_BLOCKS - 1], "no memory to play with");
	alone = second_start();
	EXPECT(!alone, "the second CPU does not start");
	seeds(0);
	if (!alone)
		second_run(second_entries, count);
	fuzz_entries(count);
	EXPECT(alone || !second_wait(4 * SECOND_MS), "the second CPU does not end");
	print_results(&fuzzers[0], 0);
	print_results(&fuzzers[1], 1);
	REQUIRE(!ring_setup(), "no ring any more");
	all_destroyed();
	still_works(&before);
}

/* ---- random states and random guests ---- */

#define GUEST_PAGES 16ull

static const u32 setters[] = {
	N_KVM_SET_REGS, N_OP_STATE_SET, N_KVM_SET_XSAVE,
};
static const u32 getters[] = { N_KVM_GET_REGS, N_OP_STATE_GET, N_KVM_GET_XSAVE };

static u32 in_of(u32 number)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		if (numbers[i] == number)
			return lengths[i];
	return 0;
}

/* What is there with some bytes changed: most of it stays valid. */
static s64 set_near(struct random *r, const struct vm *vm)
{
	u32 i, n, which = (u32)random_below(r, 2);	/* REGS, STATE */
	static const u32 set[] = { N_KVM_SET_REGS, N_OP_STATE_SET };
	u32 length = in_of(set[which]);
	s64 err = ring_op(getters[which], vm->vcpu, 0, NULL, 0);

	if (err)
		return err;
	for (i = 0, n = (u32)random_below(r, 6); i < n; i++)
		((u8 *)ring_payload())[random_below(r, length)] ^= (u8)(1u << random_below(r, 8));
	if (set[which] == N_OP_STATE_SET)
		tame_state(ring_payload());
	if (set[which] == N_KVM_SET_REGS)
		tame_regs(ring_payload());
	return ring_op(set[which], vm->vcpu, 0, NULL, length);
}

static s64 set_random(struct random *r, const struct vm *vm)
{
	u32 op = setters[random_below(r, ARRAY_SIZE(setters))], length = in_of(op);

	random_fill(r, ring_payload(), length < 1024 ? length : 1024);
	if (op == N_OP_STATE_SET)
		tame_state(ring_payload());
	if (op == N_KVM_SET_REGS)
		tame_regs(ring_payload());
	return ring_op(op, vm->vcpu, 0, NULL, length);
}

static int bad_result(s64 result)
{
	return result > 65536 || result <= -64;
}

/* The guest's few pages are everywhere in its first MiB; one that it writes to, its own code perhaps, becomes writable. */
static int map_page(struct random *r, const struct vm *vm, u64 gpa, u8 *memory)
{
	u64 flags = (vm->page->out.error & FAULT_WRITE) || random_below(r, 2) ? MAP_WRITE : 0;

	return vm_map(vm->handle, gpa, (u64)memory + gpa % (GUEST_PAGES * PAGE_SIZE), 1, flags) == 1;
}

/* After an exit the driver would do its part: here, something that keeps the guest going. */
static void keep_going(struct random *r, const struct vm *vm, u8 *memory)
{
	struct exit_page *x = vm->page;
	u64 gpa = x->out.gpa & ~(PAGE_SIZE - 1);

	memset(&x->in, 0, sizeof(x->in));
	switch (x->out.reason) {
	case EXIT_FAULT:
		if (gpa < 256 * PAGE_SIZE && map_page(r, vm, gpa, memory))
			return;
		break;
	case EXIT_IO:
	case EXIT_MSR:
	case EXIT_CPUID:
		x->in.flags = RESUME_RAX | RESUME_RDX | RESUME_RIP;
		x->in.rip = x->out.next_rip;
		x->in.rax = random_next(r);
		return;
	case EXIT_SHUTDOWN:
	case EXIT_FAIL_ENTRY:
	case EXIT_INTERNAL:
		vcpu_reset(vm->vcpu, random_below(r, GUEST_PAGES * PAGE_SIZE));
		return;
	case EXIT_INTR:
		irq_window();
		if (random_below(r, 4))
			return;
	}
	if (!random_below(r, 16)) {
		x->in.flags = RESUME_INJECT;
		x->in.inject_vector = (u32)random_next(r);
		x->in.inject_has_error = (u32)random_below(r, 2);
		return;
	}
	x->in.flags = RESUME_REGS;
	random_fill(r, &x->in.regs, sizeof(x->in.regs));
	tame_regs(&x->in.regs);
	x->in.regs.rip = random_below(r, GUEST_PAGES * PAGE_SIZE);
}

static u64 exits_by_reason[STAT_COUNT];

/* One guest. The number of its exits; a bad answer fails the test. */
static u64 random_guest(struct random *r, u32 which, u64 limit, u64 end)
{
	static struct exit_page page __attribute__((aligned(4096)));
	u8 *memory = (u8 *)arena[0];
	struct vm vm;
	s64 result;
	u64 n;

	random_fill(r, memory, GUEST_PAGES * PAGE_SIZE);
	result = vm_open(&vm, memory, &page);
	if (result) {
		test_fail("guest %u: no VM: %d", which, (int)result);
		return 0;
	}
	vm_unmap(vm.handle, CODE_GPA, 1);
	for (n = 0; n < limit && rdtsc() < end; n++) {
		if (!random_below(r, 12)) {
			result = random_below(r, 3) ? set_near(r, &vm) : set_random(r, &vm);
			if (bad_result(result))
				test_fail("guest %u: a state is answered by %llx", which, (u64)result);
			if (!random_below(r, 4))
				ring_op(getters[random_below(r, ARRAY_SIZE(getters))], vm.vcpu, 0, NULL, 0);
		}
		page.out.reason = EXIT_NONE;
		result = hypercall(HC_RUN, vm.vcpu);
		if (result || !page.out.reason || page.out.reason > EXIT_CPUID) {
			test_fail("guest %u: HC_RUN: %d, exit %u", which, (int)result, page.out.reason);
			break;
		}
		exits_by_reason[page.out.reason]++;
		keep_going(r, &vm, memory);
	}
	if (vm_close(&vm))
		test_fail("guest %u: OP_VM_DESTROY", which);
	return n;
}

TEST(random_guests)
{
	u64 count = option("guests", 100), limit = option("exits", 10000), seconds = option("seconds", 30);
	u64 sum = 0, start = rdtsc();
	struct mem_stats before;
	u32 i;

	REQUIRE(!ring_setup() && !mem_stats(&before), "no ring");
	arena_fill();
	hidden_find();
	seeds(100);
	timer_start(TIMER);
	for (i = 0; i < count && !test_failures(); i++)
		/* Each gets an equal part of the time. */
		sum += random_guest(&fuzzers[0].random, i, limit, start + (i + 1) * seconds * 1000 * tsc_per_ms / count);
	timer_start(0);
	irq_window();
	print("note: %u guests, %llu exits:", i, sum);
	for (i = 0; i < STAT_COUNT; i++)
		if (exits_by_reason[i])
			print(" %u:%llu", i, exits_by_reason[i]);
	print("\n");
	still_works(&before);
}
