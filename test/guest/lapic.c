/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lapic.c - a driver that writes anything into the LAPIC page and its half of
 * the exit page, before each run and, from the second CPU, while the vCPU runs.
 * The hypervisor answers each run with an exit, writes nowhere else, and the
 * next VM's local APIC stays as it was.
 *
 * The guest is 64-bit code of random pieces that use an x2APIC: interrupts
 * are delivered, ended, masked by CR8, sent to itself.
 * Options: seed=, guests=, exits= (of each guest), seconds=.
 */
#include "tenon.h"

#define TIMER 1000000		/* bus clocks: ends guests that loop */
#define COUNTER (LONG_GDT + 0xff8)	/* interrupts that the guest has seen */
#define GUARD 0xa5

/* Whatever is written beside the pages shows. */
static struct {
	u8 before[PAGE_SIZE];
	union apic_pages victim;
	u8 between[PAGE_SIZE];
	union apic_pages other;
	u8 after[PAGE_SIZE];
} p __attribute__((aligned(4096)));

static u8 code[PAGE_SIZE] __attribute__((aligned(4096))), memory[LONG_PAGES * PAGE_SIZE] __attribute__((aligned(4096)));
static u8 other_code[PAGE_SIZE] __attribute__((aligned(4096))), other_memory[LONG_PAGES * PAGE_SIZE] __attribute__((aligned(4096)));
static u64 exits_by_reason[STAT_COUNT];
static volatile u32 second_stops;

/* ---- the guest ---- */

/* A byte 0xee is replaced by a random one. */
static const struct { u8 length; const char *bytes; } pieces[] = {
	{ 1, "\xfb" },						/* sti */
	{ 1, "\xfb" },
	{ 1, "\xfa" },						/* cli */
	{ 1, "\x90" },
	{ 2, "\xfb\xf4" },					/* sti; hlt */
	{ 11, "\xb9\x0b\x08\x00\x00\x31\xc0\x31\xd2\x0f\x30" },	/* EOI */
	{ 14, "\xb9\x3f\x08\x00\x00\xb8\xee\x00\x00\x00\x31\xd2\x0f\x30" },	/* SELF IPI */
	{ 14, "\xb9\x3f\x08\x00\x00\xb8\xee\x00\x00\x00\x31\xd2\x0f\x30" },
	{ 14, "\xb9\x30\x08\x00\x00\xb8\xee\x00\x00\x00\x31\xd2\x0f\x30" },	/* ICR */
	{ 14, "\xb9\xee\x08\x00\x00\xb8\xee\x00\x00\x00\x31\xd2\x0f\x30" },	/* a register */
	{ 7, "\xb9\xee\x08\x00\x00\x0f\x32" },
	{ 11, "\xb8\xee\x00\x00\x00\x24\x0f\x44\x0f\x22\xc0" },	/* CR8, from */
	{ 4, "\x44\x0f\x20\xc0" },				/* and to RAX */
	{ 4, "\x31\xc0\x0f\xa2" },				/* CPUID */
	{ 2, "\xe6\x80" },					/* OUT */
	{ 4, "\x8c\xd0\x8e\xd0" },				/* mov %ss, %eax; mov %eax, %ss */
	{ 2, "\xcd\x40" },					/* INT */
	{ 2, "\x9c\x9d" },					/* PUSHF, POPF */
};

/* incq COUNTER; push %rax, %rcx, %rdx; EOI; pop; iretq */
static const u8 handler[] = "\x48\xff\x04\x25\xf8\x4f\x01\x00\x50\x51\x52\xb9\x0b\x08\x00\x00\x31\xc0\x31\xd2\x0f\x30\x5a\x59\x58\x48\xcf";
_Static_assert(COUNTER == 0x14ff8, "the handler's counter");

static void code_fill(struct random *r, u8 *to)
{
	u32 at = 0, which, i;

	while (at < PAGE_SIZE - 32) {
		which = (u32)random_below(r, ARRAY_SIZE(pieces));
		for (i = 0; i < pieces[which].length; i++)
			to[at + i] = (u8)pieces[which].bytes[i] == 0xee ? (u8)random_next(r) : (u8)pieces[which].bytes[i];
		at += pieces[which].length;
	}
	to[at] = 0xe9;
	*(u32 *)(to + at + 1) = 0 - (at + 5);
}

static s64 guest_open(struct vm *vm, u8 *its_code, u8 *its_memory, union apic_pages *pages)
{
	s64 err = vm_open_with(vm, its_code, &pages->exit, VCPU_LAPIC);

	if (err)
		return err;
	long_tables(its_memory);
	memcpy(its_memory + (LONG_TRAP - LONG_GPA), "\xf4\xeb\xfd", 3);
	memcpy(its_memory + (LONG_INTERRUPT - LONG_GPA), handler, sizeof(handler) - 1);
	err = vm_map(vm->handle, LONG_GPA, (u64)its_memory, LONG_PAGES, MAP_WRITE) != 1;
	return err ? err : long_reset(vm->vcpu, CODE_GPA);
}

/* ---- the driver ---- */

static u32 some_bits(struct random *r)
{
	switch (random_below(r, 4)) {
	case 0: return 0;
	case 1: return ~0u;
	case 2: return 1u << random_below(r, 32);
	default: return (u32)random_next(r);
	}
}

static void scribble(struct random *r, struct lapic_page *l)
{
	static const u32 banks[] = { LAPIC_ISR, LAPIC_TMR, LAPIC_IRR };
	u32 i = (u32)random_below(r, 8);

	switch (random_below(r, 8)) {
	case 0: WRITE_ONCE(((u32 *)l)[random_below(r, PAGE_SIZE / 4)], some_bits(r)); break;
	case 1: WRITE_ONCE(LAPIC_REG(l, banks[random_below(r, 3)] + 16 * i), some_bits(r)); break;
	case 2: WRITE_ONCE(LAPIC_REG(l, LAPIC_ISR + 16 * i), 0); break;
	case 3: WRITE_ONCE(l->pir[i], some_bits(r)); break;
	case 4: WRITE_ONCE(l->mode, random_below(r, 4) ? LAPIC_MODE_ON | LAPIC_MODE_X2 : some_bits(r)); break;
	case 5: WRITE_ONCE(l->eoi_exit[i], some_bits(r)); break;
	case 6: WRITE_ONCE(LAPIC_REG(l, random_below(r, 64) * 16), some_bits(r)); break;
	}
	WRITE_ONCE(l->pir_on, random_below(r, 8) ? 1 : some_bits(r));
}

/* Its registers stay 0, so that RFLAGS.VM is never set: QEMU would keep it in the host. */
static void scribble_resume(struct random *r, struct exit_resume *in)
{
	WRITE_ONCE(in->flags, random_below(r, 4) ? 0 : (u32)random_next(r) & ~(random_below(r, 64) ? RESUME_INJECT | RESUME_REGS | RESUME_RIP : 0));
	WRITE_ONCE(in->request_window, some_bits(r));
	WRITE_ONCE(in->cr8, random_below(r, 2) ? random_below(r, 16) : random_next(r));
	WRITE_ONCE(in->interrupt, (u32)random_next(r));
	WRITE_ONCE(in->inject_vector, (u32)random_next(r));
	WRITE_ONCE(in->inject_has_error, some_bits(r));
}

static void second_scribbles(u64 seed)
{
	struct random r = { seed | 1 };

	while (!second_stops) {
		scribble(&r, &p.victim.lapic);
		if (!random_below(&r, 16))
			scribble_resume(&r, &p.victim.exit.in);
	}
}

/* Keeps the guest going where it can. */
static s64 after(struct random *r, const struct vm *vm)
{
	struct exit_page *x = vm->page;
	u32 reason = x->out.reason;
	u64 rip = x->out.next_rip;

	memset(&x->in, 0, sizeof(x->in));
	switch (reason) {
	case EXIT_EMULATE:	/* MOV to CR8, or an invalid instruction */
		rip = x->out.rip + 4;
		x->in.cr8 = random_below(r, 16);
		x->in.flags = RESUME_CR8;
		/* fall through */
	case EXIT_IO:
	case EXIT_MSR:
	case EXIT_CPUID:
		x->in.flags |= RESUME_RIP;
		x->in.rip = rip;
		return 0;
	case EXIT_INTR:
		irq_window();
		return 0;
	case EXIT_HLT:
	case EXIT_EOI:
	case EXIT_IRQ_WINDOW:
		if (!random_below(r, 4))
			scribble_resume(r, &x->in);
		return 0;
	}
	return long_reset(vm->vcpu, CODE_GPA);
}

static u64 one_guest(struct random *r, u32 which, u64 limit, u64 end)
{
	struct vm vm;
	s64 err;
	u64 n;

	memset(&p.victim, 0, sizeof(p.victim));
	code_fill(r, code);
	err = guest_open(&vm, code, memory, &p.victim);
	if (err) {
		test_fail("guest %u: %d", which, (int)err);
		return 0;
	}
	LAPIC_REG(&p.victim.lapic, LAPIC_SVR) = LAPIC_SVR_ON | 0xff;
	p.victim.lapic.mode = LAPIC_MODE_ON | LAPIC_MODE_X2;
	for (n = 0; n < limit && rdtsc() < end && !err; n++) {
		u64 i, count = random_below(r, 4);

		for (i = 0; i < count; i++)
			scribble(r, &p.victim.lapic);
		p.victim.exit.out.reason = EXIT_NONE;
		err = hypercall(HC_RUN, vm.vcpu);
		if (err || !p.victim.exit.out.reason || p.victim.exit.out.reason > EXIT_EOI)
			test_fail("guest %u: HC_RUN: %d, exit %u", which, (int)err, p.victim.exit.out.reason);
		else
			exits_by_reason[p.victim.exit.out.reason]++;
		err = err ? err : after(r, &vm);
	}
	EXPECT(!err, "guest %u: %d", which, (int)err);
	EXPECT(!vm_close(&vm), "guest %u: OP_VM_DESTROY", which);
	return n;
}

/* ---- what must not change ---- */

static int all_guard(const u8 *at)
{
	u32 i;

	for (i = 0; i < PAGE_SIZE && at[i] == GUARD; i++)
		;
	return i == PAGE_SIZE;
}

static void results(u64 guests, u64 sum, u64 interrupts)
{
	u32 i;

	print("note: %llu guests, %llu interrupts in them, %llu exits:", guests, interrupts, sum);
	for (i = 0; i < STAT_COUNT; i++)
		if (exits_by_reason[i])
			print(" %u:%llu", i, exits_by_reason[i]);
	print("\n");
	EXPECT(interrupts && exits_by_reason[EXIT_EOI] && exits_by_reason[EXIT_HLT], "the guests do not do what they are for");
}

static u64 seed;

static void all_guests(void)
{
	u64 count = option("guests", 50), limit = option("exits", 20000), seconds = option("seconds", 15), start = rdtsc(), sum = 0;
	struct random r = { (seed * 0x9e3779b97f4a7c15ull) | 1 };
	u64 interrupts = 0, i;

	timer_start(TIMER);
	for (i = 0; i < count && !test_failures(); i++) {
		sum += one_guest(&r, (u32)i, limit, start + (i + 1) * seconds * 1000 * tsc_per_ms / count);
		interrupts += *(u64 *)(memory + (COUNTER - LONG_GPA));
	}
	timer_start(0);
	irq_window();
	results(i, sum, interrupts);
}

TEST(anything_in_the_lapic_page)
{
	static union apic_pages seen;
	struct mem_stats before;
	struct vm other;
	int alone;

	seed = option("seed", rdtsc());
	print("note: seed=0x%llx\n", seed);
	REQUIRE(!ring_setup(), "no ring");
	memset(&p, GUARD, sizeof(p));
	memset(other_code, 0x90, sizeof(other_code));
	other_code[0] = 0xf4;
	REQUIRE(!guest_open(&other, other_code, other_memory, &p.other), "no VM");
	REQUIRE(vcpu_run(&other) == EXIT_HLT, "the other VM: exit %u", p.other.exit.out.reason);
	random_fill(&(struct random) { seed | 1 }, &p.other.lapic, PAGE_SIZE);
	seen = p.other;
	REQUIRE(!mem_stats(&before), "OP_MEM_STATS");
	alone = second_start();
	if (!alone)
		second_run(second_scribbles, seed ^ 0x5a5a5a5a);
	all_guests();
	second_stops = 1;
	EXPECT(alone || !second_wait(SECOND_MS), "the second CPU does not end");
	mem_stats_same(&before, "afterwards");
	EXPECT(all_guard(p.before) && all_guard(p.between) && all_guard(p.after), "something was written beside the pages");
	EXPECT(!memcmp(&seen, &p.other, sizeof(seen)), "the other VM's pages have changed");
	memset(&p.other.lapic, 0, PAGE_SIZE);
	EXPECT(vm_code(&other, "\xf4", 1) == EXIT_HLT && p.other.exit.out.rip == CODE_GPA + 1, "the other VM does not halt");
	EXPECT(!vm_close(&other), "OP_VM_DESTROY");
}
