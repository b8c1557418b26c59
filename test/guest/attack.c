/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * attack.c - ring 0 of the service VM against the hypervisor: its memory, the
 * registers that could move or expose it, SVM's and VMX's own instructions, its calls,
 * and signals between CPUs.
 *
 * What is refused must end in #GP or #UD here, and change nothing. What a
 * device could do by DMA is not tested: that is the IOMMU's part.
 */
#include "tenon.h"

#define MAX_RANGES 16

/* ---- the hypervisor's memory: reserved ranges below the end of RAM that fault ---- */

static struct { u64 base, pages; } ranges[MAX_RANGES];
static u32 range_count;
static u64 hidden_pages;

static void do_read(u64 va)
{
	(void)*(volatile u64 *)va;
}

static void do_write(u64 va)
{
	*(volatile u64 *)va = 0x6b6f6f72;
}

static void do_execute(u64 va)
{
	asm volatile("call *%0" : : "r"(va) : "memory", "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11");
}

static void range_add(u64 pa)
{
	if (range_count && ranges[range_count - 1].base + ranges[range_count - 1].pages * PAGE_SIZE == pa) {
		ranges[range_count - 1].pages++;
	} else if (range_count < MAX_RANGES) {
		ranges[range_count].base = pa;
		ranges[range_count++].pages = 1;
	}
	hidden_pages++;
}

static void ranges_find(void)
{
	u64 pa, top = ram_top() + 64 * BLOCK_SIZE;
	u32 i;

	if (range_count)
		return;
	for (i = 0; i < e820_count; i++)
		for (pa = e820[i].base & ~(PAGE_SIZE - 1); e820[i].type == E820_RESERVED && pa < top &&
		     pa < e820[i].base + e820[i].size; pa += PAGE_SIZE)
			if (try_call(do_read, pa) == GP)
				range_add(pa);
	for (i = 0; i < range_count; i++)
		print("guest: hidden: %llx, %llu pages\n", ranges[i].base, ranges[i].pages);
}

/* Every hidden page, or with a step some of them. */
static void each_hidden(void (*fn)(u64 pa), u64 step)
{
	u64 k;
	u32 i;

	for (i = 0; i < range_count; i++)
		for (k = 0; k < ranges[i].pages; k += step)
			fn(ranges[i].base + k * PAGE_SIZE);
}

static u64 some_hidden(void)
{
	ranges_find();
	return range_count ? ranges[range_count - 1].base : 0;
}

TEST(memory_found)
{
	struct mem_stats m;

	ranges_find();
	REQUIRE(!ring_setup(), "no ring");
	REQUIRE(!mem_stats(&m), "no OP_MEM_STATS");
	EXPECT(hidden_pages == m.total_pages, "%llu pages are hidden, total_pages is %llu", hidden_pages, m.total_pages);
	EXPECT(m.cpus == 2, "%llu CPUs", m.cpus);
}

static void touch(u64 va, u64 pa, const char *how)
{
	static const struct { const char *name; void (*fn)(u64); } ways[] = {
		{ "read", do_read }, { "write", do_write }, { "execute", do_execute },
	};
	u32 i;

	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		int trap = try_call(ways[i].fn, va);

		EXPECT(trap == GP, "%s of %llx in %s: %d", ways[i].name, pa, how, trap);
	}
}

static void touch_4k(u64 pa)
{
	touch(window_4k(pa), pa, "4 KiB");
}

static void touch_2m(u64 pa)
{
	touch(window_2m(pa), pa, "2 MiB");
}

TEST(memory_4k)
{
	REQUIRE(some_hidden(), "no memory of the hypervisor found");
	each_hidden(touch_4k, 1);
}

TEST(memory_2m)
{
	REQUIRE(some_hidden(), "no memory of the hypervisor found");
	each_hidden(touch_2m, 1);
}

/* ---- other ways to make the processor touch memory ---- */

static u64 hidden_va;	/* of the page under attack, the page before it is ours */
static u8 own[2 * PAGE_SIZE] __attribute__((aligned(4096)));

static void do_push(u64 va)
{
	asm volatile("mov %%rsp, %%r12; mov %0, %%rsp; push %%rax; mov %%r12, %%rsp" : : "r"(va + 64) : "r12", "memory");
}

static void do_xadd(u64 va)
{
	asm volatile("lock xaddq %%rax, (%0)" : : "r"(va) : "rax", "memory");
}

static void do_cmpxchg16b(u64 va)
{
	asm volatile("lock cmpxchg16b (%0)" : : "r"(va) : "rax", "rbx", "rcx", "rdx", "memory");
}

static void do_stos(u64 va)
{
	asm volatile("rep stosb" : : "D"(va), "c"(4096), "a"(0) : "memory");
}

static void do_movs(u64 va)
{
	asm volatile("rep movsb" : : "S"(va), "D"(own), "c"(64) : "memory");
}

static void do_fxsave(u64 va)
{
	asm volatile("fxsave64 (%0)" : : "r"(va) : "memory");
}

static void do_fxrstor(u64 va)
{
	asm volatile("fxrstor64 (%0)" : : "r"(va) : "memory");
}

static void do_sgdt(u64 va)
{
	asm volatile("sgdt (%0)" : : "r"(va) : "memory");
}

static void do_lidt(u64 va)
{
	asm volatile("lidt (%0)" : : "r"(va) : "memory");
}

static void do_outs(u64 va)
{
	asm volatile("outsb" : : "S"(va), "d"(0x80) : "memory");
}

static void do_ins(u64 va)
{
	asm volatile("insb" : : "D"(va), "d"(0x80) : "memory");
}

static void do_ldt(u64 va)
{
	struct { u16 limit; u64 base; } __attribute__((packed)) g;
	u64 *gdt = cpu_this()->gdt;

	(void)g;
	gdt[SEL_LDT / 8] = 0x0000820000000fffull | (va & 0xffffff) << 16 | (va >> 24 & 0xff) << 56;
	gdt[SEL_LDT / 8 + 1] = va >> 32;
	asm volatile("lldt %w0; mov %1, %%fs" : : "r"(SEL_LDT), "r"(4));
}

static const struct { const char *name; void (*fn)(u64); } ways[] = {
	{ "push", do_push }, { "xadd", do_xadd }, { "cmpxchg16b", do_cmpxchg16b }, { "stos", do_stos },
	{ "movs", do_movs }, { "fxsave", do_fxsave }, { "fxrstor", do_fxrstor }, { "sgdt", do_sgdt },
	{ "lidt", do_lidt }, { "outs", do_outs }, { "ins", do_ins }, { "a descriptor of the LDT", do_ldt },
};

TEST(memory_by_instruction)
{
	u64 cr4;
	u32 i;

	REQUIRE(some_hidden(), "no memory of the hypervisor found");
	asm volatile("mov %%cr4, %0; or $0x200, %0; mov %0, %%cr4" : "=r"(cr4));
	hidden_va = window_4k(some_hidden());
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		int trap = try_call(ways[i].fn, hidden_va);

		EXPECT(trap == GP, "%s: %d", ways[i].name, trap);
	}
	asm volatile("lldt %w0; mov %0, %%fs" : : "r"(0));
}

/* The access that lies half here and half there. */
TEST(memory_across_the_border)
{
	u32 i;

	REQUIRE(some_hidden(), "no memory of the hypervisor found");
	for (i = 0; i < range_count; i++) {
		u64 va = window_2m(ranges[i].base);

		if (ranges[i].base % BLOCK_SIZE == 0)
			continue;
		EXPECT(try_call(do_read, va - 4) == GP, "read across the start of %llx", ranges[i].base);
		EXPECT(try_call(do_write, va - 4) == GP, "write across the start of %llx", ranges[i].base);
	}
}

/* Page tables in the hypervisor's memory: the walk itself faults. */
static void walk_at(u64 pa)
{
	int level;

	for (level = 0; level < 3; level++) {
		u64 va = window_walk(pa, level);

		EXPECT(try_call(do_read, va) == GP, "read through a table of level %d at %llx", level, pa);
		EXPECT(try_call(do_write, va) == GP, "write through a table of level %d at %llx", level, pa);
	}
}

TEST(tables_in_hidden_memory)
{
	REQUIRE(some_hidden(), "no memory of the hypervisor found");
	each_hidden(walk_at, 61);
}

/* The exception's own stack lies there: what comes is #DF. (A #DF that cannot be delivered resets the machine.) */
TEST(stack_in_hidden_memory)
{
	u64 *ist1 = (u64 *)(cpu_this()->tss + 0x24), good = *ist1;
	u32 i;
	int trap;

	REQUIRE(some_hidden(), "no memory of the hypervisor found");
	for (i = 0; i < 3; i++) {
		*ist1 = window_4k(some_hidden()) + PAGE_SIZE;
		trap = try_call(do_read, some_hidden());
		*ist1 = good;
		EXPECT(trap == DF, "it ends in %d", trap);
	}
	EXPECT(try_call(do_read, some_hidden()) == GP, "no #GP any more");
}

/* ---- MSRs ---- */

#define EFER 0xc0000080
#define MTRR_VALID 0x800ull

/* Reads as `value` (ANY: whatever), each write that changes it faults, the same value may be written where `same`. */
#define ANY (~0ull)
struct fixed { const char *name; u32 first, last; u64 value; int same; };
static const struct fixed fixed_amd[] = {
	{ "VM_CR", 0xc0010114, 0xc0010114, 0x18, 0 },
	{ "VM_HSAVE_PA", 0xc0010117, 0xc0010117, 0, 0 },
	{ "GHCB, SEV status", 0xc0010130, 0xc0010131, 0, 0 },
	{ "SYSCFG", 0xc0010010, 0xc0010010, ANY, 1 },
	{ "IORRs, TOP_MEM", 0xc0010016, 0xc001001a, ANY, 1 },
	{ "TOP_MEM2", 0xc001001d, 0xc001001d, ANY, 1 },
	{ "MMIO configuration base", 0xc0010058, 0xc0010058, ANY, 1 },
	{ "SMM_BASE, SMM_ADDR, SMM_MASK", 0xc0010111, 0xc0010113, ANY, 1 },
	{ "SMM_CTL", 0xc0010116, 0xc0010116, ANY, 0 },
	{ "outside of the permission map", 0x40000000, 0x40000003, 0, 0 },
	{ NULL, 0, 0, 0, 0 },
};
static const struct fixed fixed_intel[] = {
	{ "TEST_CTRL", 0x33, 0x33, ANY, 0 },
	{ "PEBS", 0x3f1, 0x3f1, ANY, 0 },
	{ "debug store area", 0x600, 0x600, ANY, 0 },
	{ "hardware feedback", 0x17d0, 0x17d1, ANY, 0 },
	{ "FEATURE_CONTROL", 0x3a, 0x3a, 1, 0 },
	{ "VMX capabilities", 0x480, 0x493, 0, 0 },
	{ "Processor Trace output", 0x560, 0x561, 0, 0 },
	{ "Processor Trace", 0x570, 0x571, 0, 0 },
	{ "outside of the MSR bitmap", 0x40000000, 0x40000003, 0, 0 },
	{ "outside of the MSR bitmap", 0xc0002000, 0xc0002001, 0, 0 },
	{ NULL, 0, 0, 0, 0 },
};

static void fixed_msr(const char *name, u32 msr, u64 want, int same, u64 evil)
{
	u64 before, after;
	int trap = msr_try_read(msr, &before);

	if (trap == GP && !same)
		before = want;
	else
		EXPECT(trap == NO_TRAP && (want == ANY || before == want), "%s (%x): read ends in %d, %llx", name, msr, trap, before);
	EXPECT(msr_try_write(msr, before ^ evil) == GP, "%s (%x): a write of %llx", name, msr, before ^ evil);
	if (same)
		EXPECT(msr_try_write(msr, before) == NO_TRAP, "%s (%x): its own value is refused", name, msr);
	if (msr_try_read(msr, &after) == NO_TRAP)
		EXPECT(after == before, "%s (%x): was %llx, is %llx", name, msr, before, after);
}

TEST(msr_fixed)
{
	u64 hidden = some_hidden();
	const struct fixed *f;
	u32 msr, bit;

	for (f = vendor_intel ? fixed_intel : fixed_amd; f->name; f++)
		for (msr = f->first; msr <= f->last; msr++) {
			for (bit = 0; bit < 64; bit += 3)
				fixed_msr(f->name, msr, f->value, f->same, 1ull << bit);
			fixed_msr(f->name, msr, f->value, f->same, hidden ? hidden : 1);
		}
}

TEST(msr_patch_loader)
{
	EXPECT(msr_try_write(vendor_intel ? 0x79 : 0xc0010020, some_hidden()) == NO_TRAP, "the patch loader's write is to be ignored");
}

TEST(msr_efer)
{
	u64 efer, now;
	u32 bit;

	REQUIRE(msr_try_read(EFER, &efer) == NO_TRAP, "EFER cannot be read");
	EXPECT(!(efer & 0x1000), "SVME shows: %llx", efer);
	EXPECT(msr_try_write(EFER, efer | 0x1000) == GP, "SVME can be written");
	EXPECT(msr_try_write(EFER, efer & ~0x100ull) == GP, "LME can be cleared in long mode");
	for (bit = 15; bit < 64; bit++)
		EXPECT((bit == 21 && (cpuid(0x80000021, 0).eax & 0x100)) ||	/* AutoIBRS */
		       msr_try_write(EFER, efer | 1ull << bit) == GP, "reserved bit %u", bit);
	EXPECT(msr_try_write(EFER, efer | 1) == NO_TRAP, "SCE cannot be set");
	EXPECT(msr_try_write(EFER, efer) == NO_TRAP, "EFER's own value is refused");
	msr_try_read(EFER, &now);
	EXPECT(now == efer, "EFER was %llx, is %llx", efer, now);
}

TEST(msr_apic_base)
{
	u64 base, now, hidden = some_hidden();
	u32 i;
	const u64 to[] = { hidden, hidden + PAGE_SIZE, 0, 0x1000, 0xfec00000, 1ull << 40 };

	REQUIRE(msr_try_read(0x1b, &base) == NO_TRAP, "APIC_BASE cannot be read");
	for (i = 0; i < ARRAY_SIZE(to); i++)
		EXPECT(msr_try_write(0x1b, to[i] | (base & 0xfff)) == GP, "moved to %llx", to[i]);
	EXPECT(msr_try_write(0x1b, base ^ 0x100) == GP, "the boot CPU's bit can be changed");
	/* What the processor refuses: x2APIC mode without the APIC, a reserved bit. QEMU 7.2 refuses nothing. */
	if (vendor_intel) {
		EXPECT(msr_try_write(0x1b, (base & ~0x800ull) | 0x400) == GP, "x2APIC mode of a CPU without an APIC");
		EXPECT(msr_try_write(0x1b, base | 1) == GP, "a reserved bit");
	}
	EXPECT(msr_try_write(0x1b, base) == NO_TRAP, "its own value is refused");
	msr_try_read(0x1b, &now);
	EXPECT(now == base, "was %llx, is %llx", base, now);
}

/* A variable range over the hypervisor: neither the base nor the mask written last makes it valid. */
TEST(msr_mtrr)
{
	u64 hidden = some_hidden(), base, mask, now, size_mask = 0xffffe00000ull, def;
	u32 msr = 0x20e;

	REQUIRE(hidden, "no memory of the hypervisor found");
	msr_try_read(msr, &base);
	msr_try_read(msr + 1, &mask);
	EXPECT(msr_try_write(msr + 1, 0) == NO_TRAP, "a range cannot be switched off");
	EXPECT(msr_try_write(msr, hidden & size_mask) == NO_TRAP, "the base of a range that is off");
	EXPECT(msr_try_write(msr + 1, size_mask | MTRR_VALID) == GP, "valid over the hypervisor, mask last");
	EXPECT(msr_try_write(msr + 1, MTRR_VALID) == GP, "valid over everything");
	msr_try_write(msr, hidden & size_mask & ~(1ull << 30));
	EXPECT(msr_try_write(msr + 1, (size_mask & ~(1ull << 30)) | MTRR_VALID) == GP, "valid over two blocks, the lower elsewhere");
	if (vendor_intel) {	/* QEMU 7.2 takes any value */
		EXPECT(msr_try_write(0x21e, 0) == GP, "a range that is not there");
		EXPECT(msr_try_write(msr, 2) == GP, "a reserved type");
		EXPECT(msr_try_write(msr + 1, 1) == GP, "a reserved bit");
		EXPECT(msr_try_write(msr, 1ull << 60) == GP, "an address that no processor has");
	}
	msr_try_read(msr + 1, &now);
	EXPECT(now == 0, "the refused mask is there: %llx", now);
	EXPECT(msr_try_write(msr, 0xd0000000) == NO_TRAP, "a base elsewhere");
	EXPECT(msr_try_write(msr + 1, size_mask | MTRR_VALID) == NO_TRAP, "valid over other addresses");
	EXPECT(msr_try_write(msr, hidden & size_mask) == GP, "moved over the hypervisor, base last");
	msr_try_read(msr, &now);
	EXPECT(now == 0xd0000000, "the refused base is there: %llx", now);
	msr_try_write(msr + 1, 0);
	msr_try_write(msr, base);
	EXPECT(msr_try_write(msr + 1, mask) == NO_TRAP, "the first value is refused");
	REQUIRE(msr_try_read(0x2ff, &def) == NO_TRAP, "no default type");
	EXPECT(msr_try_write(0x2ff, (def ^ 6) | MTRR_VALID) == GP, "another default type");
	EXPECT(msr_try_write(0x2ff, def & ~MTRR_VALID) == NO_TRAP, "switching off is to be dropped in silence");
	msr_try_read(0x2ff, &now);
	EXPECT(now == def, "the default type was %llx, is %llx", def, now);
}

/* Supervisor state of XSAVES, where there is any. */
TEST(msr_xss)
{
	int has = cpuid(0, 0).eax >= 0xd && (cpuid(0xd, 1).eax & 8);

	if (!vendor_intel) {
		test_skip("QEMU's TCG refuses no value");
		return;
	}
	EXPECT(msr_try_write(0xda0, 0) == (has ? NO_TRAP : GP), "a write of 0");
	EXPECT(msr_try_write(0xda0, ~0ull) == GP, "all bits");
}

/* ---- instructions ---- */

/*
 * Compatibility mode: RIP behind an instruction at the end of 4 GiB is 0 (any process can do that, here ring 0 does). At 0
 * there is a far jump back.
 */
static __attribute__((noinline)) void do_wrap(u64 rip)
{
	asm volatile("pushq %0; pushq %1; lretq; wrap_back:" : : "r"((u64)SEL_LDT), "r"(rip) : "rax", "rbx", "rcx", "rdx", "memory");
}

TEST(cpuid_at_the_end_of_4_gib)
{
	extern u8 wrap_back[];
	volatile u8 *zero = (u8 *)0;
	u8 jump[7] = { 0xea, 0, 0, 0, 0, SEL_CODE, 0 }, saved[sizeof(jump)];
	u64 back = (u64)wrap_back;
	u32 i;

	asm volatile("" : "+r"(zero));
	memcpy(jump + 1, &back, 4);
	for (i = 0; i < sizeof(jump); i++) {
		saved[i] = zero[i];
		zero[i] = jump[i];
	}
	own[PAGE_SIZE - 2] = 0x0f;
	own[PAGE_SIZE - 1] = 0xa2;
	window_top((u64)own);
	cpu_this()->gdt[SEL_LDT / 8] = 0x00cf9b000000ffffull;	/* 32-bit code */
	for (i = 0; i < 3; i++)
		EXPECT(try_call(do_wrap, 0xfffffffe) == NO_TRAP, "it does not come back");
	for (i = 0; i < sizeof(jump); i++)
		zero[i] = saved[i];
}

static void do_vmrun(u64 pa) { asm volatile("vmrun" : : "a"(pa) : "memory"); }
static void do_vmload(u64 pa) { asm volatile("vmload" : : "a"(pa) : "memory"); }
static void do_vmsave(u64 pa) { asm volatile("vmsave" : : "a"(pa) : "memory"); }
static void do_stgi(u64 pa) { (void)pa; asm volatile("stgi" : : : "memory"); }
static void do_clgi(u64 pa) { (void)pa; asm volatile("clgi" : : : "memory"); }
static void do_skinit(u64 pa) { asm volatile("skinit" : : "a"((u32)pa) : "memory"); }
static void do_invlpga(u64 pa) { asm volatile("invlpga" : : "a"(pa), "c"(0) : "memory"); }

static void do_vmxon(u64 pa) { asm volatile("vmxon %0" : : "m"(pa) : "cc", "memory"); }
static void do_vmclear(u64 pa) { asm volatile("vmclear %0" : : "m"(pa) : "cc", "memory"); }
static void do_vmptrld(u64 pa) { asm volatile("vmptrld %0" : : "m"(pa) : "cc", "memory"); }
static void do_vmptrst(u64 pa) { asm volatile("vmptrst %0" : "=m"(pa) : : "cc", "memory"); }
static void do_vmlaunch(u64 pa) { (void)pa; asm volatile("vmlaunch" : : : "cc", "memory"); }
static void do_vmresume(u64 pa) { (void)pa; asm volatile("vmresume" : : : "cc", "memory"); }
static void do_vmread(u64 pa) { asm volatile("vmread %0, %0" : : "r"(pa) : "cc", "memory"); }
static void do_vmwrite(u64 pa) { asm volatile("vmwrite %0, %0" : : "r"(pa) : "cc", "memory"); }
static void do_vmxoff(u64 pa) { (void)pa; asm volatile("vmxoff" : : : "cc", "memory"); }
static void do_invept(u64 pa) { u64 d[2] = { pa, 0 }; asm volatile("invept %0, %1" : : "m"(d), "r"(2ull) : "cc", "memory"); }
static void do_invvpid(u64 pa) { u64 d[2] = { 0, pa }; asm volatile("invvpid %0, %1" : : "m"(d), "r"(2ull) : "cc", "memory"); }
static void do_vmfunc(u64 pa) { asm volatile("vmfunc" : : "a"(0), "c"(pa) : "memory"); }
static void do_getsec(u64 pa) { asm volatile(".byte 0x0f, 0x37" : : "a"(0), "b"(pa) : "memory"); }

/* Either vendor's: the other one's are unknown to the processor itself. */
static const struct { const char *name; void (*fn)(u64); } own_instructions[] = {
	{ "VMRUN", do_vmrun }, { "VMLOAD", do_vmload }, { "VMSAVE", do_vmsave }, { "STGI", do_stgi },
	{ "CLGI", do_clgi }, { "SKINIT", do_skinit }, { "INVLPGA", do_invlpga },
	{ "VMXON", do_vmxon }, { "VMCLEAR", do_vmclear }, { "VMPTRLD", do_vmptrld }, { "VMPTRST", do_vmptrst },
	{ "VMLAUNCH", do_vmlaunch }, { "VMRESUME", do_vmresume }, { "VMREAD", do_vmread }, { "VMWRITE", do_vmwrite },
	{ "VMXOFF", do_vmxoff }, { "INVEPT", do_invept }, { "INVVPID", do_invvpid }, { "VMFUNC", do_vmfunc },
	{ "GETSEC", do_getsec },
};

TEST(virtualisation_instructions)
{
	const u64 at[] = { (u64)own, some_hidden(), 0xfee00000, 1ull << 50, 12345 };
	u32 i, k;

	for (i = 0; i < ARRAY_SIZE(own_instructions); i++)
		for (k = 0; k < ARRAY_SIZE(at); k++) {
			int trap = try_call(own_instructions[i].fn, at[k]);

			/* Before the intercept the processor checks RAX: #GP is the other lawful end of a bad address. */
			EXPECT(trap == UD || (trap == GP && k > 1), "%s of %llx: %d", own_instructions[i].name, at[k], trap);
		}
}

/* Beyond the last extended leaf an Intel processor answers with the last basic one. */
TEST(cpuid_hides_virtualisation)
{
	struct cpuid c = cpuid(0x80000001, 0);
	char signature[13] = { 0 };

	EXPECT(!(c.ecx & 0x1004), "leaf 0x80000001 ECX: %x", c.ecx);
	c = cpuid(1, 0);
	EXPECT(!(c.ecx & 0x60), "leaf 1 ECX: %x", c.ecx);
	c = cpuid(7, 0);
	EXPECT(!vendor_intel || !(c.ebx & 1u << 25), "leaf 7 EBX: %x", c.ebx);
	c = cpuid(0x8000000a, 0);
	EXPECT(vendor_intel || !(c.eax | c.ebx | c.ecx | c.edx), "leaf 0x8000000a: %x %x %x %x", c.eax, c.ebx, c.ecx, c.edx);
	c = cpuid(ABI_CPUID_BASE, 0);
	memcpy(signature, &c.ebx, 12);
	EXPECT(c.eax == ABI_CPUID_BASE + 1 && !memcmp(signature, ABI_SIGNATURE, 12), "signature %s", signature);
	c = cpuid(ABI_CPUID_BASE + 1, 0);
	EXPECT(c.eax == ABI_VERSION && !(c.ebx & ~(ABI_FEATURE_TSC_RATIO | ABI_FEATURE_LOG | ABI_FEATURE_DEADLINE)) && !c.ecx && !c.edx, "version %u features %x", c.eax, c.ebx);
}

TEST(cpuid_follows_cr4)
{
	u64 cr4;

	asm volatile("mov %%cr4, %0" : "=r"(cr4));
	asm volatile("mov %0, %%cr4" : : "r"(cr4 | 1ull << 18));
	EXPECT(cpuid(1, 0).ecx >> 27 & 1, "OSXSAVE is missing");
	asm volatile("mov %0, %%cr4" : : "r"(cr4 & ~(1ull << 18)));
	EXPECT(!(cpuid(1, 0).ecx >> 27 & 1), "OSXSAVE stays");
	asm volatile("mov %0, %%cr4" : : "r"(cr4));
}

static void user_vmmcall(void)
{
	asm volatile("vmmcall; int3");
}

static void user_vmcall(void)
{
	asm volatile("vmcall; int3");
}

static void do_user(u64 fn)
{
	user_call(fn);
}

TEST(hypercall_of_ring_3)
{
	EXPECT(try_call(do_user, (u64)user_vmmcall) == UD, "VMMCALL got through");
	EXPECT(try_call(do_user, (u64)user_vmcall) == UD, "VMCALL got through");
	EXPECT(hypercall(HC_VERSION, 0) == ABI_VERSION, "ring 0 gets no answer any more");
}

TEST(hypercall_keeps_registers)
{
	u64 in[12], out[12];
	u32 i;

	for (i = 0; i < 12; i++)
		in[i] = out[i] = 0x0123456789abcdefull * (i + 3);
	extern s64 hypercall_all(u64 number, u64 arg, u64 *others);
	EXPECT(hypercall_all(HC_VERSION, ~0ull, out) == ABI_VERSION, "HC_VERSION");
	for (i = 0; i < 12; i++)
		EXPECT(in[i] == out[i], "register %u: %llx is %llx", i, in[i], out[i]);
}

TEST(hypercall_unknown)
{
	static const u64 numbers[] = {
		HC_COUNT, HC_COUNT + 1, 100, 0xffffffff, 1ull << 32, (1ull << 32) | HC_RUN, (1ull << 63) | HC_DOORBELL, ~0ull,
	};
	u32 i;

	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		EXPECT(hypercall(numbers[i], 0) == -ENOSYS, "number %llx: %llx", numbers[i], (u64)hypercall(numbers[i], 0));
}

TEST(cache_instructions)
{
	u32 i;

	for (i = 0; i < 64; i++) {
		own[i] = (u8)(i * 7);
		asm volatile("invd; wbinvd" : : : "memory");
		EXPECT(own[i] == (u8)(i * 7), "what was written is lost at %u", i);
	}
	EXPECT(hypercall(HC_VERSION, 0) == ABI_VERSION, "no answer any more");
}

/* ---- between CPUs ---- */

static u32 nmi_wait(const struct cpu *c, u32 want)
{
	u32 i;

	for (i = 0; i < 2000 && READ_ONCE(c->nmis) != want; i++)
		delay_ms(1);
	delay_ms(20);
	return READ_ONCE(c->nmis);
}

static void nmi_rounds(struct cpu *c)
{
	u32 i, before = READ_ONCE(c->nmis), got;

	for (i = 1; i <= 20; i++) {
		nmi_send(c->apic_id);
		got = nmi_wait(c, before + i);
		REQUIRE(got == before + i, "after %u NMIs to CPU %u it has seen %u", i, c->index, got - before);
	}
}

TEST(nmi_to_itself)
{
	nmi_rounds(&cpu[0]);
}

TEST(nmi_to_the_other)
{
	REQUIRE(!second_start(), "the second CPU does not start");
	nmi_rounds(&cpu[1]);
	EXPECT(cpu[1].apic_id != cpu[0].apic_id, "both CPUs have id %u", cpu[0].apic_id);
}

/* What the second CPU may touch. */
static void second_touches(u64 arg)
{
	(void)arg;
	each_hidden(touch_4k, 17);
	touch_2m(some_hidden());
}

TEST(memory_from_the_other)
{
	REQUIRE(some_hidden() && !second_start(), "no memory of the hypervisor, or no second CPU");
	second_run(second_touches, 0);
	EXPECT(!second_wait(SECOND_MS), "the second CPU does not come back");
}

/* Off line as Linux does it, and on line by the same mailbox. */
static void second_off(u64 arg)
{
	(void)arg;
	second_lost();
	asm volatile("wbinvd; cli; hlt");
	test_fail("the second CPU went on after HLT");
}

TEST(second_cpu_off_and_on)
{
	u32 i;

	REQUIRE(!second_start(), "the second CPU does not start");
	for (i = 0; i < 5; i++) {
		second_run(second_off, 0);
		REQUIRE(!second_gone(SECOND_MS), "it does not leave in round %u", i);
		delay_ms(50);
		REQUIRE(!second_start(), "it does not come back in round %u", i);
		REQUIRE(!second_wait(SECOND_MS), "it takes no jobs in round %u", i);
	}
	nmi_rounds(&cpu[1]);
}

/* QEMU's configuration device tells where we are: its INIT takes a CPU out of SVM whatever the hypervisor does. */
static int machine_is_qemu(void)
{
	static const char name[] = "QEMU";
	u32 i;

	outw(0x510, 0);
	for (i = 0; i < 4; i++)
		if (inb(0x511) != (u8)name[i])
			return 0;
	return 1;
}

/* 16-bit code for a start-up IPI's page: tells that it ran, and halts. */
static const u8 startup_code[] = {
	0x31, 0xc0,			/* xor %ax, %ax */
	0x8e, 0xd8,			/* mov %ax, %ds */
	0xc6, 0x06, 0xf0, 0x7f, 0x01,	/* movb $1, 0x7ff0 */
	0xf4, 0xeb, 0xfd,		/* hlt, for ever */
};

static void second_counts(u64 arg)
{
	volatile u32 *count = (volatile u32 *)arg;
	u64 end = rdtsc() + 200000000ull;

	while (rdtsc() < end)
		(*count)++;
}

static void second_spins(u64 arg)
{
	for (;;)
		(*(volatile u32 *)arg)++;
}

/* Where start-up IPIs are intercepted, INIT stops the CPU and the IPI starts it, again under the hypervisor. */
static void init_restarts(void)
{
	static volatile u32 count;
	u32 i, seen;

	REQUIRE(!second_start(), "the second CPU does not start");
	for (i = 0; i < 5; i++) {
		seen = count;
		second_run(second_spins, (u64)&count);
		delay_ms(5);
		EXPECT(count != seen, "round %u: it does not run", i);
		second_lost();
		REQUIRE(!second_start(), "round %u: it does not start again", i);
		seen = count;
		delay_ms(5);
		EXPECT(count == seen, "round %u: it runs its loop still", i);
		second_run(second_touches, 0);
		REQUIRE(!second_wait(SECOND_MS), "round %u: it does not come back from the hypervisor's memory", i);
	}
	nmi_rounds(&cpu[1]);
}

/*
 * A CPU that gets INIT and start-up IPIs from the service VM stays under the
 * hypervisor. Where it starts by the mailbox, it goes on where it was, and runs nothing from the IPI's page.
 */
TEST(init_and_sipi)
{
	volatile u8 *ran = (volatile u8 *)0x7ff0;
	static volatile u32 count;

	if (machine_is_qemu()) {
		test_skip("QEMU takes a CPU out of SVM at INIT whatever the hypervisor does; nothing to be seen here");
		return;
	}
	if (!second_mailbox()) {
		init_restarts();
		return;
	}
	REQUIRE(!second_start(), "the second CPU does not start");
	memcpy((void *)0x7000, startup_code, sizeof(startup_code));
	*ran = 0;
	second_run(second_counts, (u64)&count);
	ipi_send(cpu[1].apic_id, IPI_INIT | IPI_LEVEL | IPI_ASSERT);
	ipi_send(cpu[1].apic_id, IPI_INIT | IPI_LEVEL);
	delay_ms(10);
	ipi_send(cpu[1].apic_id, IPI_STARTUP | IPI_ASSERT | 7);
	ipi_send(cpu[1].apic_id, IPI_STARTUP | IPI_ASSERT | 7);
	EXPECT(!second_wait(SECOND_MS), "the second CPU has left its loop");
	EXPECT(count && !*ran, "it counted to %u, and the start-up page %s", count, *ran ? "ran" : "did not run");
	nmi_rounds(&cpu[1]);
}

/* ---- what resets the machine: run by name, and the hypervisor's log says why ---- */

TEST(reset_by_init)
{
	u32 id = cpuid(1, 0).ebx >> 24;

	ipi_send(id, IPI_INIT | IPI_LEVEL | IPI_ASSERT);
	delay_ms(1000);
	EXPECT(0, "an INIT of the boot CPU changes nothing");
}

/*
 * Real mode with its interrupt table in the hypervisor's memory: #UD finds none, nor does the #DF of that, without an error code
 * as it is in real mode.
 */
TEST(reset_by_exceptions_in_real_mode)
{
	static const u8 code[] = {
		0x66, 0x2e, 0x0f, 0x01, 0x1e, 0x10, 0x00,	/* lidtl %cs:0x10 */
		0x0f, 0x0b,					/* ud2 */
	};
	u8 *page = (u8 *)STARTUP_PAGE;
	u32 hidden = (u32)some_hidden(), id;

	REQUIRE(hidden && !second_mailbox() && !second_start(), "no memory of the hypervisor, or no CPU that starts in real mode");
	id = cpu[1].apic_id;
	second_lost();
	memcpy(page, code, sizeof(code));
	page[16] = 0xff;
	page[17] = 0x03;
	memcpy(page + 18, &hidden, 4);
	ipi_send(id, IPI_INIT | IPI_LEVEL | IPI_ASSERT);
	delay_ms(10);
	ipi_send(id, IPI_STARTUP | IPI_ASSERT | STARTUP_PAGE >> 12);
	delay_ms(1000);
	EXPECT(0, "the CPU lives");
}
