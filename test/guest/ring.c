/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring.c - the hypervisor's interface as a driver sees it: every operation's
 * plain use, every refusal by rule, the life of VMs and vCPUs, and what two
 * CPUs do to each other.
 */
#include "tenon.h"

#define GIB (1ull << 30)
#define OUT_COM "\xba\x34\x12\xee"	/* mov $0x1234, %dx; out %al, %dx */

static u8 code[PAGE_SIZE] __attribute__((aligned(4096)));
static u8 data[LONG_PAGES * PAGE_SIZE] __attribute__((aligned(4096)));
static struct exit_page page __attribute__((aligned(4096))), page2 __attribute__((aligned(4096)));

/* A page of the hypervisor: where the memory map's last hole below the end of RAM is. */
static void do_read(u64 va)
{
	(void)*(volatile u64 *)va;
}

static u64 hidden_page(void)
{
	u64 pa;
	u32 i;

	for (i = 0; i < e820_count; i++)
		for (pa = e820[i].base; e820[i].type == E820_RESERVED && pa < ram_top() + 64 * BLOCK_SIZE &&
		     pa < e820[i].base + e820[i].size; pa += BLOCK_SIZE)
			if (!(pa & (BLOCK_SIZE - 1)) && try_call(do_read, pa) == GP)
				return pa;
	return 0;
}

/* ---- the ring itself ---- */

TEST(register_rules)
{
	struct mem_stats m;

	hypercall(HC_RING_REGISTER, 0);
	EXPECT(hypercall(HC_DOORBELL, 0) == -EINVAL, "a doorbell without a ring");
	EXPECT(hypercall(HC_RING_REGISTER, (u64)&rings[0] + PAGE_SIZE) == -EINVAL, "a ring at an odd page");
	EXPECT(hypercall(HC_RING_REGISTER, (u64)&rings[0] + 1) == -EINVAL, "a ring at an odd byte");
	EXPECT(hypercall(HC_RING_REGISTER, hidden_page()) == -EPERM, "a ring in the hypervisor's memory");
	EXPECT(hypercall(HC_RING_REGISTER, 0xf0000000) == -EPERM, "a ring in no RAM");
	EXPECT(hypercall(HC_RING_REGISTER, 1ull << 60) == -EPERM, "a ring beyond all memory");
	EXPECT(hypercall(HC_RING_REGISTER, 0 - (u64)RING_BYTES) == -EPERM, "a ring at the end of the address space");
	EXPECT(hypercall(HC_DOORBELL, 0) == -EINVAL, "a refused ring is in use");
	REQUIRE(!ring_setup(), "the ring is refused");
	REQUIRE(!mem_stats(&m), "OP_MEM_STATS");
	EXPECT(m.shared_pages == RING_BYTES / PAGE_SIZE, "%llu pages are shared", m.shared_pages);
	REQUIRE(!ring_setup(), "the ring is refused the second time");
	mem_stats_same(&m, "after registering again");
}

TEST(submit_rules)
{
	struct ring *r = ring_mine();
	u32 i;

	REQUIRE(!ring_setup(), "no ring");
	EXPECT(!hypercall(HC_DOORBELL, 0), "an empty ring");
	r->submit = RING_ENTRIES + 1;
	EXPECT(hypercall(HC_DOORBELL, 0) == -EINVAL && r->complete == 0, "33 ahead");
	r->submit = 0xffffffff;
	EXPECT(hypercall(HC_DOORBELL, 0) == -EINVAL && r->complete == 0, "one behind");
	r->submit = 0;
	for (i = 0; i < RING_ENTRIES; i++)
		ring_add(N_OP_MEM_STATS, 0, 0, 0, 0);
	EXPECT(!ring_ring() && r->complete == RING_ENTRIES, "32 at once: complete is %u", r->complete);
	for (i = 0; i < RING_ENTRIES; i++)
		EXPECT(r->entry[i].result == 0 && r->entry[i].length == sizeof(struct mem_stats), "entry %u", i);
	/* The hypervisor's own count decides, whatever is written here. */
	r->complete = 7;
	ring_add(0xdead, 0, 0, 0, 0);
	EXPECT(!ring_ring() && r->complete == RING_ENTRIES + 1, "a false complete is believed");
	EXPECT(r->entry[0].result == -ENOTTY, "the entry after a false complete");
}

/* ---- refusals by rule: no VM is needed for these ---- */

static const struct refusal {
	const char *what;
	u32 op, handle;
	u64 arg;
	u32 offset, length;
	s64 want;
} refusals[] = {
	{ "operation 0", 0, 0, 0, 0, 0, -ENOTTY },
	{ "an unknown operation", 0xdeadbeef, 0, 0, 0, 0, -ENOTTY },
	{ "a number with another size", 0x8091ae81, 1, 0, 0, 0, -ENOTTY },
	{ "a number of KVM's that is the driver's", 0xae00, 0, 0, 0, 0, -ENOTTY },
	{ "VM 0", N_OP_UNMAP, 0, 0, 0, 0, -ENOENT },
	{ "VM 255", N_OP_UNMAP, 255, 0, 0, 0, -ENOENT },
	{ "VM 256", N_OP_UNMAP, 256, 0, 0, 0, -ENOENT },
	{ "VM -1", N_OP_VM_DESTROY, 0xffffffff, 0, 0, 0, -ENOENT },
	{ "vCPU 0", N_KVM_RUN, 0, 0, 0, 0, -ENOENT },
	{ "vCPU 1024", N_KVM_GET_REGS, 1024, 0, 0, 0, -ENOENT },
	{ "vCPU 1025", N_KVM_GET_REGS, 1025, 0, 0, 0, -ENOENT },
	{ "vCPU -1", N_OP_STATE_GET, 0xffffffff, 0, 0, 0, -ENOENT },
	{ "a payload too short", N_KVM_SET_REGS, 1, 0, 0, sizeof(struct abi_regs) - 1, -EINVAL },
	{ "a payload too long", N_OP_MEM_STATS, 0, 0, 0, RING_OP_BYTES + 1, -EINVAL },
	{ "a payload beyond the area", N_OP_MEM_STATS, 0, 0, 8, RING_PAYLOAD_BYTES, -EINVAL },
	{ "an offset of 4", N_OP_MEM_STATS, 0, 0, 4, 0, -EINVAL },
	{ "an offset past the area", N_OP_MEM_STATS, 0, 0, RING_PAYLOAD_BYTES + 8, 0, -EINVAL },
	{ "an offset and a length that wrap", N_OP_MEM_STATS, 0, 0, 8, 0xfffffff8, -EINVAL },
	{ "an offset of -8", N_OP_MEM_STATS, 0, 0, 0xfffffff8, 8, -EINVAL },
	{ "no room for the answer", N_OP_MEM_STATS, 0, 0, RING_PAYLOAD_BYTES - 8, 0, -EINVAL },
	{ "no room at all", N_OP_CPU_STATS, 0, 0, RING_PAYLOAD_BYTES, 0, -EINVAL },
	{ "a CPU too many", N_OP_CPU_STATS, 0, 2, 0, 0, -ENOENT },
	{ "CPU -1", N_OP_CPU_STATS, 0, ~0ull, 0, 0, -ENOENT },
	{ "a block at an odd page", N_KVM_CREATE_VM, 0, 0x8001000, 0, 0, -EINVAL },
	{ "a block that is no RAM", N_KVM_CREATE_VM, 0, 0xfee00000, 0, 0, -EPERM },
	{ "a block beyond all memory", N_KVM_CREATE_VM, 0, 1ull << 46, 0, 0, -EPERM },
	{ "a block at the end of the address space", N_KVM_CREATE_VM, 0, 0 - BLOCK_SIZE, 0, 0, -EPERM },
	{ "a block with firmware's memory", N_KVM_CREATE_VM, 0, 0, 0, 0, -EPERM },
	{ "a vCPU without a VM", N_KVM_CREATE_VCPU, 77, 0, 0, sizeof(struct vcpu_create), -ENOENT },
};

TEST(refusals_by_rule)
{
	struct mem_stats before;
	const struct refusal *r;
	struct ring_entry *e;
	s64 err;

	REQUIRE(!ring_setup() && !mem_stats(&before), "no ring");
	for (r = refusals; r < refusals + ARRAY_SIZE(refusals); r++) {
		e = ring_add(r->op, r->handle, r->arg, r->offset, r->length);
		err = ring_ring();
		EXPECT(!err && e->result == r->want && !e->length, "%s: %d, length %u", r->what, (int)e->result, e->length);
	}
	EXPECT(ring_op(N_KVM_CREATE_VM, 0, hidden_page(), NULL, 0) == -EPERM, "a block of the hypervisor's");
	EXPECT(ring_op(N_KVM_CREATE_VM, 0, (u64)&rings[0] & ~(BLOCK_SIZE - 1), NULL, 0) == -EPERM, "the block of the ring");
	mem_stats_same(&before, "after refusals");
}

/* ---- plain use ---- */

TEST(log_and_statistics)
{
	struct log_chunk *chunk = ring_payload();
	struct exit_stats *stats = ring_payload();
	u64 calls;

	REQUIRE(!ring_setup(), "no ring");
	REQUIRE(!ring_op(N_OP_LOG_READ, 0, 0, NULL, 0), "OP_LOG_READ");
	EXPECT(chunk->first == 0 && chunk->length > 20 && !memcmp(chunk->text, "tenon:", 6), "the log starts at %llu, %llu bytes",
	       chunk->first, chunk->length);
	REQUIRE(!ring_op(N_OP_LOG_READ, 0, ~0ull, NULL, 0), "OP_LOG_READ far behind the end");
	EXPECT(chunk->length == 0, "%llu bytes behind the end", chunk->length);
	REQUIRE(!ring_op(N_OP_CPU_STATS, 0, 0, NULL, 0), "OP_CPU_STATS");
	calls = stats->exits[EXIT_HYPERCALL];
	REQUIRE(!ring_op(N_OP_CPU_STATS, 0, 0, NULL, 0), "OP_CPU_STATS");
	EXPECT(stats->exits[EXIT_HYPERCALL] == calls + 1, "hypercalls: %llu, then %llu", calls, stats->exits[EXIT_HYPERCALL]);
	REQUIRE(!ring_op(N_OP_MEM_STATS, 0, 0, NULL, 0), "OP_MEM_STATS");
	EXPECT(*(u32 *)ring_payload() > 5, "%u MSRs", *(u32 *)ring_payload());
}

/* Guests of a few instructions. */
#define AMD 1
#define INTEL 2
static const struct guest_code {
	const char *name;
	const char *bytes;
	u32 length;
	s64 reason;
	u64 rip;	/* exit_state.rip, relative to the code */
	u32 vendor;	/* 0: both, else where it is tried */
} guest_codes[] = {
	{ "OUT", "\xb0\x42" OUT_COM, 6, EXIT_IO, 5, 0 },
	{ "IN", "\xe4\x60", 2, EXIT_IO, 0, 0 },
	{ "HLT", "\xf4", 1, EXIT_HLT, 1, 0 },
	{ "a store to unmapped memory", "\x67\xa2\x00\x00\x40\x00", 6, EXIT_FAULT, 0, 0 },
	{ "a jump to unmapped memory", "\xea\x00\x00\x00\x90", 5, EXIT_FAULT, 0, 0 },
	{ "CPUID, then HLT", "\x0f\xa2\xf4", 3, EXIT_HLT, 3, 0 },
	{ "CPUID of a leaf that the table has not", "\xb0\x05\x0f\xa2", 4, EXIT_CPUID, 2, 0 },
	{ "VMRUN", "\x0f\x01\xd8", 3, EXIT_EMULATE, 0, 0 },
	{ "VMMCALL, then HLT", "\x0f\x01\xd9\xf4", 4, EXIT_HLT, 4, AMD },
	{ "VMCALL, then HLT", "\x0f\x01\xc1\xf4", 4, EXIT_HLT, 4, INTEL },
	{ "WBINVD, INVD, then HLT", "\x0f\x09\x0f\x08\xf4", 5, EXIT_HLT, 5, 0 },
	{ "OUTSB: a string", "\xfc\x6e", 2, EXIT_EMULATE, 1, 0 },
};

TEST(guest_exits)
{
	const struct guest_code *g;
	struct mem_stats before;
	struct vm vm;
	s64 result;

	REQUIRE(!ring_setup() && !mem_stats(&before), "no ring");
	result = vm_open(&vm, code, &page);
	REQUIRE(!result, "no VM: %d", (int)result);
	for (g = guest_codes; g < guest_codes + ARRAY_SIZE(guest_codes); g++) {
		if (g->vendor && g->vendor != (vendor_intel ? INTEL : AMD))
			continue;
		result = vm_code(&vm, g->bytes, g->length);
		EXPECT(result == g->reason, "%s: exit %d at %llx", g->name, (int)result, page.out.rip);
		if (g->reason == EXIT_FAULT)
			continue;
		EXPECT(page.out.rip == CODE_GPA + g->rip, "%s: rip %llx", g->name, page.out.rip);
	}
	EXPECT(vm_code(&vm, guest_codes[0].bytes, guest_codes[0].length) == EXIT_IO, "OUT");
	EXPECT(page.out.port == 0x1234 && page.out.size == 1 && page.out.write && (page.out.data & 0xff) == 0x42 &&
	       page.out.next_rip == CODE_GPA + 6, "OUT: port %x, data %llx, next %llx", page.out.port, page.out.data, page.out.next_rip);
	EXPECT(vm_code(&vm, guest_codes[3].bytes, guest_codes[3].length) == EXIT_FAULT && page.out.gpa == 0x400000 &&
	       page.out.error & FAULT_WRITE, "fault at %llx, error %llx", page.out.gpa, page.out.error);
	EXPECT(vm.page->exits[EXIT_IO] == 4, "%llu I/O exits", vm.page->exits[EXIT_IO]);
	EXPECT(!vm_close(&vm), "OP_VM_DESTROY");
	mem_stats_same(&before, "after the VM");
}

TEST(guest_resumes)
{
	struct vm vm;

	REQUIRE(!ring_setup() && !vm_open(&vm, code, &page), "no VM");
	EXPECT(vm_code(&vm, "\xe4\x60\x04\x01\xe6\x61\xf4", 7) == EXIT_IO && !page.out.write, "IN");
	page.in.flags = RESUME_RAX | RESUME_RIP;
	page.in.rax = 0x41;
	page.in.rip = page.out.next_rip;
	EXPECT(vcpu_run(&vm) == EXIT_IO && page.out.write && (page.out.data & 0xff) == 0x42, "OUT of IN's value: %llx", page.out.data);
	page.in.flags = RESUME_RIP;
	page.in.rip = page.out.next_rip;
	EXPECT(vcpu_run(&vm) == EXIT_HLT, "HLT");
	/* An exception for a guest without a table of handlers: memory it has not got. */
	page.in.flags = RESUME_INJECT;
	page.in.inject_vector = 13;
	EXPECT(vcpu_run(&vm) == EXIT_FAULT, "an injected exception");
	page.in.flags = 0;
	EXPECT(!vm_close(&vm), "OP_VM_DESTROY");
}

/* ---- a local APIC in the kernel ---- */

#define X2_EOI "\x66\xb9\x0b\x08\x00\x00\x66\x31\xc0\x66\x31\xd2\x0f\x30"	/* wrmsr of 0 to 0x80b */
#define IN_SERVICE 0x31

static union apic_pages apic_pages;

static u64 msr_exits(const struct vm *vm)
{
	return vm->page->exits[EXIT_MSR];
}

/* The guest ends interrupt 0x31. */
static s64 end_interrupt(const struct vm *vm, u32 told)
{
	struct lapic_page *p = &apic_pages.lapic;

	LAPIC_REG(p, LAPIC_ISR + IN_SERVICE / 32 * 16) = 1u << IN_SERVICE % 32;
	p->eoi_exit[IN_SERVICE / 32] = told ? 1u << IN_SERVICE % 32 : 0;
	p->mode = LAPIC_MODE_ON | LAPIC_MODE_X2;
	p->pir_on = 1;
	return vm_code(vm, X2_EOI "\xf4", 15);
}

/* apicv=1: this processor does it without an exit; apicv=0: it cannot. */
TEST(eoi_of_an_x2apic)
{
	u32 *in_service = &LAPIC_REG(&apic_pages.lapic, LAPIC_ISR + IN_SERVICE / 32 * 16);
	u64 before, exits, apicv = option("apicv", 2);
	struct vm vm;

	REQUIRE(!ring_setup(), "no ring");
	memset(&apic_pages, 0, sizeof(apic_pages));
	LAPIC_REG(&apic_pages.lapic, LAPIC_SVR) = LAPIC_SVR_ON | 0xff;
	REQUIRE(!vm_open_with(&vm, code, &apic_pages.exit, VCPU_LAPIC), "no VM");
	before = msr_exits(&vm);
	EXPECT(end_interrupt(&vm, 0) == EXIT_HLT && !*in_service, "exit %u, in service %x", apic_pages.exit.out.reason, *in_service);
	exits = msr_exits(&vm) - before;
	print("note: an EOI cost %llu exits\n", exits);
	EXPECT(apicv > 1 || exits == !apicv, "%llu exits for an EOI", exits);
	EXPECT(end_interrupt(&vm, 1) == EXIT_EOI && apic_pages.exit.out.data == IN_SERVICE && !*in_service, "exit %u, vector %llx, in service %x",
	       apic_pages.exit.out.reason, apic_pages.exit.out.data, *in_service);
	EXPECT(apic_pages.exit.out.rip == CODE_GPA + 14, "rip %llx", apic_pages.exit.out.rip);
	EXPECT(!vm_close(&vm), "OP_VM_DESTROY");
}

/* ---- the log of writes ---- */

#define LOGGED_GPA 0x400000u
#define LOGGED_PAGES 600u	/* more than the log holds */
#define STACK_GPA 0x2000u

static union {
	struct exit_page exit;
	struct { u8 first[PAGE_SIZE]; u64 entry[LOG_ENTRIES]; };
} log_pages __attribute__((aligned(4096)));
static u64 log_seen[2 * LOGGED_PAGES];
static u32 log_total, log_full;

/* Runs until something other than an interrupt or a full log ends it; the entries in the order in which they were made. */
static u32 log_run(const struct vm *vm, u32 on)
{
	struct exit_state *out = &log_pages.exit.out;
	u32 i;

	log_total = log_full = 0;
	log_pages.exit.in.log = on;
	do {
		out->logged = 0;
		if (hypercall(HC_RUN, vm->vcpu))
			return EXIT_NONE;
		irq_window();
		for (i = 0; i < out->logged && log_total < ARRAY_SIZE(log_seen); i++)
			log_seen[log_total++] = log_pages.entry[LOG_ENTRIES - 1 - i] & ~0xfffull;
		log_full += out->reason == EXIT_LOG;
	} while (out->reason == EXIT_INTR || out->reason == EXIT_LOG);
	return out->reason;
}

/* A store to each of these pages; then, with SP at the end of another one, a division by zero. */
static u32 log_stores(const struct vm *vm, u32 pages, u32 on)
{
	static const u8 start[] = "\x66\xbb\x00\x00\x40\x00\x67\xc6\x03\x01\x66\x81\xc3\x00\x10\x00\x00\x66\x81\xfb";
	static const u8 end[] = "\x72\xec\xbc\x00\x30\x31\xc9\xf7\xf1";
	u32 last = LOGGED_GPA + pages * PAGE_SIZE;

	vcpu_reset(vm->vcpu, CODE_GPA);
	memcpy(vm->code, start, sizeof(start) - 1);
	memcpy(vm->code + sizeof(start) - 1, &last, 4);
	memcpy(vm->code + sizeof(start) + 3, end, sizeof(end) - 1);
	/* NOP, HLT: Bochs 3.0 and 3.1 with two CPUs give an exit of a handler's first instruction the RIP before the exception. */
	vm->code[0x100] = 0x90;
	vm->code[0x101] = 0xf4;
	return log_run(vm, on);
}

/* The vector of a division by zero; the pages of the log and the stack, all one page of memory. */
static int log_open(struct vm *vm)
{
	u32 i;

	if (ring_setup() || vm_open_with(vm, code, &log_pages.exit, VCPU_LOG))
		return 0;
	memset(data, 0, sizeof(data));
	*(u32 *)(data + PAGE_SIZE) = CODE_GPA + 0x100;
	for (i = 0; i < LOGGED_PAGES; i++)
		if (vm_map(vm->handle, LOGGED_GPA + i * PAGE_SIZE, (u64)data, 1, MAP_WRITE | MAP_LOG) != 1)
			return 0;
	return vm_map(vm->handle, 0, (u64)data + PAGE_SIZE, 1, 0) == 1 &&
		vm_map(vm->handle, STACK_GPA, (u64)data + 2 * PAGE_SIZE, 1, MAP_WRITE) == 1;
}

static void log_in_order(u32 pages, const char *when)
{
	u32 i;

	EXPECT(log_total == pages, "%s: %u pages", when, log_total);
	for (i = 0; i < pages && i < log_total; i++)
		if (log_seen[i] != LOGGED_GPA + i * PAGE_SIZE) {
			EXPECT(0, "%s: entry %u is %llx", when, i, log_seen[i]);
			return;
		}
}

static s64 log_again(const struct vm *vm, u64 gpa, u64 pages)
{
	struct map_range r = { gpa, 0, pages, MAP_LOG };

	return ring_op(N_OP_UNMAP, vm->handle, 0, &r, sizeof(r));
}

/* log=1: this processor has it; log=0: it has not, and nothing comes of asking for it. */
TEST(log_of_writes)
{
	u32 has = !!(cpuid(ABI_CPUID_BASE + 1, 0).ebx & ABI_FEATURE_LOG);
	struct mem_stats before;
	struct vm vm;

	EXPECT(option("log", 2) > 1 || option("log", 2) == has, "the feature bit is %u", has);
	REQUIRE(!ring_setup() && !mem_stats(&before) && log_open(&vm), "no VM");
	EXPECT(log_stores(&vm, LOGGED_PAGES, 1) == EXIT_HLT, "exit %u", log_pages.exit.out.reason);
	log_in_order(has ? LOGGED_PAGES : 0, "the first stores");
	EXPECT(log_full == has, "full %u times", log_full);
	EXPECT(log_stores(&vm, LOGGED_PAGES, 1) == EXIT_HLT && !log_total, "the second stores: %u", log_total);
	EXPECT(log_again(&vm, LOGGED_GPA, LOGGED_PAGES) == has * LOGGED_PAGES, "asked for again");
	EXPECT(log_stores(&vm, LOGGED_PAGES, 0) == EXIT_HLT && !log_total, "the log is off: %u", log_total);
	EXPECT(log_stores(&vm, LOGGED_PAGES, 1) == EXIT_HLT, "exit %u", log_pages.exit.out.reason);
	log_in_order(has ? LOGGED_PAGES : 0, "the log is on again");
	EXPECT(log_again(&vm, LOGGED_GPA + PAGE_SIZE, 2) == 2 * has, "two of them");
	EXPECT(log_stores(&vm, LOGGED_PAGES, 1) == EXIT_HLT && log_total == 2 * has, "two of them: %u", log_total);
	EXPECT(!vm_close(&vm), "OP_VM_DESTROY");
	mem_stats_same(&before, "at the end");
}

/* The log is full when an exception's frame is to be written: it is delivered later, once. */
TEST(log_full_in_a_delivery)
{
	const u16 *frame = (const u16 *)(data + 2 * PAGE_SIZE + 0xffa);
	u32 has = !!(cpuid(ABI_CPUID_BASE + 1, 0).ebx & ABI_FEATURE_LOG);
	struct vm vm;

	REQUIRE(log_open(&vm), "no VM");
	log_again(&vm, STACK_GPA, 1);
	EXPECT(log_stores(&vm, LOG_ENTRIES, 1) == EXIT_HLT, "exit %u", log_pages.exit.out.reason);
	EXPECT(log_full == has && log_total == has * (LOG_ENTRIES + 1), "full %u times, %u entries", log_full, log_total);
	EXPECT(!has || log_seen[LOG_ENTRIES] == STACK_GPA, "the last entry is %llx", log_seen[LOG_ENTRIES]);
	EXPECT(log_pages.exit.out.rip == CODE_GPA + 0x102 && frame[0] == CODE_GPA + 31 && !frame[1] && !*(u16 *)(data + 2 * PAGE_SIZE + 0xff4),
	       "rip %llx, frame %x %x", log_pages.exit.out.rip, frame[0], frame[1]);
	EXPECT(!vm_close(&vm), "OP_VM_DESTROY");
}

/*
 * The log is full when an NMI's handler executes IRET (Bochs looks at each walk of the tables, so the handler loads CR3
 * before the last store): the next NMI comes behind that IRET, not before it.
 */
TEST(log_full_at_an_iret)
{
	static const u8 handler[] = "\x89\xe5\x8b\x46\x00\x89\x05\x83\xc7\x02\x66\xbb\x00\x00\x40\x00"
		"\x67\xc6\x03\x01\x66\x81\xc3\x00\x10\x00\x00\x66\x81\xfb\x00\xf0\x5f\x00\x72\xec"
		"\x0f\x20\xd8\x0f\x22\xd8\x67\xc6\x03\x01\xcf";
	struct abi_regs regs = { .rip = CODE_GPA, .rflags = 2, .rsp = STACK_GPA + PAGE_SIZE, .rdi = STACK_GPA };
	struct state_fields two = { .fields = 1ull << STATE_NMI, .value[STATE_NMI] = 2 };
	u32 has = !!(cpuid(ABI_CPUID_BASE + 1, 0).ebx & ABI_FEATURE_LOG);
	const u16 *came_from = (const u16 *)(data + 2 * PAGE_SIZE);
	struct vm vm;

	REQUIRE(log_open(&vm), "no VM");
	*(u32 *)(data + PAGE_SIZE + 4 * 2) = CODE_GPA + 0x100;
	memcpy(code + 0x100, handler, sizeof(handler));
	code[0] = 0xf4;
	EXPECT(!vcpu_reset(vm.vcpu, CODE_GPA) && !ring_op(N_KVM_SET_REGS, vm.vcpu, 0, &regs, sizeof(regs)), "SET_REGS");
	EXPECT(!ring_op(N_OP_STATE_SET, vm.vcpu, 0, &two, sizeof(two)), "two NMIs");
	EXPECT(log_run(&vm, 1) == EXIT_HLT && log_total == has * LOG_ENTRIES, "exit %u, %u entries", log_pages.exit.out.reason, log_total);
	EXPECT(came_from[0] == CODE_GPA && came_from[1] == CODE_GPA && !came_from[2], "NMIs at %x %x %x", came_from[0], came_from[1], came_from[2]);
	print("note: the log was full %u times\n", log_full);
	EXPECT(!vm_close(&vm), "OP_VM_DESTROY");
}

/* MSRs, FPU and the rest: what was set comes back. */
TEST(state_round_trips)
{
	static const struct { const char *name; u32 get, set, bytes; } pairs[] = {
		{ "REGS", N_KVM_GET_REGS, N_KVM_SET_REGS, sizeof(struct abi_regs) },
		{ "STATE", N_OP_STATE_GET, N_OP_STATE_SET, sizeof(struct state_fields) },
		{ "XSAVE", N_KVM_GET_XSAVE, N_KVM_SET_XSAVE, sizeof(struct abi_xsave) },
	};
	static u8 first[RING_OP_BYTES];
	struct state_fields some = { .fields = 1ull << STATE_LSTAR | 1ull << STATE_SYSENTER_CS };
	struct state_fields bad = { .fields = 1ull << STATE_SYSENTER_CS | 1ull << STATE_LSTAR };
	struct state_fields *got = ring_payload();
	struct vm vm;
	u32 i;

	REQUIRE(!ring_setup() && !vm_open(&vm, code, &page), "no VM");
	for (i = 0; i < ARRAY_SIZE(pairs); i++) {
		EXPECT(!ring_op(pairs[i].get, vm.vcpu, 0, NULL, 0), "GET_%s", pairs[i].name);
		memcpy(first, ring_payload(), pairs[i].bytes);
		EXPECT(!ring_op(pairs[i].set, vm.vcpu, 0, first, pairs[i].bytes), "SET_%s", pairs[i].name);
		EXPECT(!ring_op(pairs[i].get, vm.vcpu, 0, NULL, 0), "GET_%s again", pairs[i].name);
		EXPECT(!memcmp(first, ring_payload(), pairs[i].bytes), "%s differs", pairs[i].name);
	}
	some.value[STATE_LSTAR] = 0xffff800012345678;
	some.value[STATE_SYSENTER_CS] = 0x10;
	bad.value[STATE_LSTAR] = 0x8000000000000000;
	EXPECT(!ring_op(N_OP_STATE_SET, vm.vcpu, 0, &some, sizeof(some)), "OP_STATE_SET");
	EXPECT(ring_op(N_OP_STATE_SET, vm.vcpu, 0, &bad, sizeof(bad)) == -EINVAL, "LSTAR is not canonical");
	EXPECT(!ring_op(N_OP_STATE_GET, vm.vcpu, 0, NULL, 0), "OP_STATE_GET");
	EXPECT(got->value[STATE_LSTAR] == 0xffff800012345678 && got->value[STATE_SYSENTER_CS] == 0x10, "fields: %llx %llx",
	       got->value[STATE_LSTAR], got->value[STATE_SYSENTER_CS]);
	EXPECT(!vm_close(&vm), "OP_VM_DESTROY");
}

/*
 * An entry that the processor refuses leaves nothing behind: afterwards an interrupt of ours still ends a guest that
 * has switched its own off. (QEMU 7.2 writes the VMCB's int_control at such an exit, before it has read it.)
 */
static const struct { const char *what; u32 field; u64 bit; } refused[] = {
	{ "CR0", STATE_CR0, 1ull << 40 }, { "CR4", STATE_CR4, 1ull << 40 }, { "EFER", STATE_EFER, 1ull << 40 },
};

/* How often the guest comes out until a tick of the timer is seen; 0: there is none. */
static u32 exits_to_tick(const struct vm *vm)
{
	u32 i, ticks = cpu_this()->ticks;

	timer_start(1000000);
	for (i = 0; i < 200000 && cpu_this()->ticks == ticks; i++) {
		if (hypercall(HC_RUN, vm->vcpu) || page.out.reason != EXIT_INTR)
			break;
		irq_window();
	}
	timer_start(0);
	return cpu_this()->ticks == ticks ? 0 : i + 1;
}

TEST(refused_state)
{
	struct state_fields s;
	struct vm vm;
	u32 i;

	REQUIRE(!ring_setup() && !vm_open(&vm, code, &page), "no VM");
	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		EXPECT(vm_code(&vm, "\xf4", 1) == EXIT_HLT, "%s: HLT", refused[i].what);
		REQUIRE(!ring_op(N_OP_STATE_GET, vm.vcpu, 0, NULL, 0), "OP_STATE_GET");
		memcpy(&s, ring_payload(), sizeof(s));
		s.fields = 1ull << refused[i].field;
		s.value[refused[i].field] |= refused[i].bit;
		EXPECT(!ring_op(N_OP_STATE_SET, vm.vcpu, 0, &s, sizeof(s)), "%s: OP_STATE_SET", refused[i].what);
		EXPECT(vcpu_run(&vm) == EXIT_FAIL_ENTRY, "%s: exit %u", refused[i].what, page.out.reason);
		memcpy(code, "\xeb\xfe", 2);
		EXPECT(!vcpu_reset(vm.vcpu, CODE_GPA), "%s: reset", refused[i].what);
		EXPECT(exits_to_tick(&vm), "%s: exit %u, no tick", refused[i].what, page.out.reason);
	}
	EXPECT(!vm_close(&vm), "OP_VM_DESTROY");
}

/*
 * A #DB whose delivery meets a data breakpoint, again and again: the handler's stack (IST) is watched. Real processors
 * take the next #DB before an interrupt, so a hypervisor that gives it back at once would stay for ever (CVE-2015-8104).
 */
#define WATCHED (LONG_STACK - 8)

static s64 watch(u32 vcpu)
{
	struct state_fields s = { .fields = 15ull << STATE_DR0 | 1ull << STATE_DR6 | 1ull << STATE_DR7 };

	s.value[STATE_DR0] = WATCHED;
	s.value[STATE_DR6] = 0xffff0ff0;
	s.value[STATE_DR7] = 0x90403;	/* 8 bytes, writes */
	return ring_op(N_OP_STATE_SET, vcpu, 0, &s, sizeof(s));
}

TEST(debug_exception_in_its_delivery)
{
	/* mov %rax, WATCHED; jmp . */
	static const u8 store[] = "\x48\x89\x04\x25\xf8\x5f\x01\x00\xeb\xfe";
	struct vm vm;

	_Static_assert(WATCHED == 0x15ff8, "the store's address");
	REQUIRE(!ring_setup() && !vm_open(&vm, code, &page), "no VM");
	REQUIRE(vm_map(vm.handle, LONG_GPA, (u64)data, LONG_PAGES, MAP_WRITE) == 1, "OP_MAP");
	long_tables(data);
	memcpy(data + (LONG_TRAP - LONG_GPA), "\xeb\xfe", 2);
	memcpy(code, store, sizeof(store));
	REQUIRE(!long_reset(vm.vcpu, CODE_GPA) && !watch(vm.vcpu), "no state");
	EXPECT(exits_to_tick(&vm), "exit %u at %llx, gpa %llx", page.out.reason, page.out.rip, page.out.gpa);
	EXPECT(!vm_close(&vm), "OP_VM_DESTROY");
}

/* ---- life and memory of VMs ---- */

TEST(vcpu_rules)
{
	struct vcpu_create c = { 1, 0, (u64)&page2 };
	struct mem_stats before;
	struct vm vm;
	s64 handle;

	REQUIRE(!ring_setup() && !mem_stats(&before) && !vm_open(&vm, code, &page), "no VM");
	c.id = ABI_MAX_VCPUS;
	EXPECT(ring_op(N_KVM_CREATE_VCPU, vm.handle, 0, &c, sizeof(c)) == -EINVAL, "id 64");
	c.id = 0;
	EXPECT(ring_op(N_KVM_CREATE_VCPU, vm.handle, 0, &c, sizeof(c)) == -EEXIST, "an id in use");
	c = (struct vcpu_create) { 1, 4, (u64)&page2 };
	EXPECT(ring_op(N_KVM_CREATE_VCPU, vm.handle, 0, &c, sizeof(c)) == -EINVAL, "an unknown flag");
	c = (struct vcpu_create) { 1, 0, (u64)&page2 + 8 };
	EXPECT(ring_op(N_KVM_CREATE_VCPU, vm.handle, 0, &c, sizeof(c)) == -EINVAL, "an odd exit page");
	c.exit_page = hidden_page();
	EXPECT(ring_op(N_KVM_CREATE_VCPU, vm.handle, 0, &c, sizeof(c)) == -EPERM, "an exit page of the hypervisor's");
	c.exit_page = vm.block;
	EXPECT(ring_op(N_KVM_CREATE_VCPU, vm.handle, 0, &c, sizeof(c)) == -EPERM, "an exit page that was donated");
	c.exit_page = (u64)&page2;
	handle = ring_op(N_KVM_CREATE_VCPU, vm.handle, 0, &c, sizeof(c));
	EXPECT(handle > 0 && handle != vm.vcpu, "a second vCPU: %d", (int)handle);
	EXPECT(ring_op(N_KVM_CREATE_VM, 0, vm.block, NULL, 0) == -EPERM, "a block of a VM's");
	EXPECT(ring_op(N_OP_VM_DONATE, vm.handle, vm.block, NULL, 0) == -EPERM, "a block of its own");
	EXPECT(ring_op(N_OP_VM_DONATE, vm.handle, (u64)&page & ~(BLOCK_SIZE - 1), NULL, 0) == -EPERM, "the block of its exit page");
	EXPECT(!vm_close(&vm), "OP_VM_DESTROY");
	EXPECT(hypercall(HC_RUN, vm.vcpu) == -ENOENT && hypercall(HC_RUN, (u64)handle) == -ENOENT, "vCPUs outlive their VM");
	EXPECT(ring_op(N_OP_VM_DESTROY, vm.handle, 0, NULL, 0) == -ENOENT, "destroyed twice");
	EXPECT(hypercall(HC_RUN, 0x100000000ull | vm.vcpu) == -ENOENT, "a handle's upper half is not looked at");
	mem_stats_same(&before, "after the VM");
}

static const struct { const char *what; struct map_range r; s64 want; } bad_ranges[] = {
	{ "no pages", { 0, 0x4000000, 0, 0 }, -EINVAL },
	{ "too many pages", { 0, 0x4000000, MAP_MAX_PAGES + 1, 0 }, -EINVAL },
	{ "2^52 pages", { 0, 0x4000000, 1ull << 52, 0 }, -EINVAL },
	{ "an odd guest address", { 8, 0x4000000, 1, 0 }, -EINVAL },
	{ "an odd address", { 0, 0x4000008, 1, 0 }, -EINVAL },
	{ "an unknown flag", { 0, 0x4000000, 1, 4 }, -EINVAL },
	{ "a guest address beyond all", { 1ull << 60, 0x4000000, 1, 0 }, -EINVAL },
	{ "a range that wraps", { 0 - PAGE_SIZE, 0x4000000, 2, 0 }, -EINVAL },
	{ "no RAM", { 0, 0xfee00000, 1, 0 }, -EPERM },
	{ "an address beyond all", { 0, 1ull << 52, 1, 0 }, -EPERM },
	{ "an address at the end", { 0, 0 - PAGE_SIZE, 1, 0 }, -EPERM },
	{ "more than there is", { 0, 0x4000000, MAP_MAX_PAGES, 0 }, -EPERM },
};

TEST(map_rules)
{
	struct map_range two[2] = { { GIB, (u64)data, 1, MAP_WRITE }, { GIB + PAGE_SIZE, 0, 0, 0 } };
	struct mem_stats before;
	struct vm vm;
	u32 i;

	REQUIRE(!ring_setup() && !vm_open(&vm, code, &page) && !mem_stats(&before), "no VM");
	for (i = 0; i < ARRAY_SIZE(bad_ranges); i++) {
		s64 got = ring_op(N_OP_MAP, vm.handle, 0, &bad_ranges[i].r, sizeof(bad_ranges[i].r));

		EXPECT(got == bad_ranges[i].want, "%s: %d", bad_ranges[i].what, (int)got);
	}
	EXPECT(ring_op(N_OP_MAP, vm.handle, 0, NULL, 0) == -EINVAL, "no range");
	EXPECT(ring_op(N_OP_MAP, vm.handle, 0, two, sizeof(two[0]) + 8) == -EINVAL, "a part of a range");
	EXPECT(vm_map(vm.handle, GIB, hidden_page(), 1, 0) == -EPERM, "the hypervisor's memory");
	EXPECT(vm_map(vm.handle, GIB, hidden_page() - PAGE_SIZE, 2, 0) == -EPERM, "memory that ends in the hypervisor's");
	EXPECT(vm_map(vm.handle, GIB, vm.block, 1, 0) == -EPERM, "donated memory");
	EXPECT(vm_unmap(vm.handle, GIB + 1, 1) == -EINVAL, "unmap at an odd address");
	EXPECT(vm_unmap(vm.handle, 5 * GIB, MAP_MAX_PAGES) == 0, "unmap what is not there");
	mem_stats_same(&before, "after refused mappings");
	EXPECT(ring_op(N_OP_MAP, vm.handle, 0, two, sizeof(two)) == 1, "the good one of two");
	EXPECT(ring_op(N_OP_VM_DONATE, vm.handle, (u64)data & ~(BLOCK_SIZE - 1), NULL, 0) == -EPERM, "a mapped page's block");
	EXPECT(vm_unmap(vm.handle, GIB, 1) == 1, "OP_UNMAP");
	mem_stats_same(&before, "after map and unmap");
	EXPECT(!vm_close(&vm), "OP_VM_DESTROY");
}

/* One page at two places, counted twice; read-only faults on a write. */
TEST(map_shares)
{
	struct mem_stats before, now;
	struct vm vm;

	REQUIRE(!ring_setup() && !vm_open(&vm, code, &page) && !mem_stats(&before), "no VM");
	EXPECT(vm_map(vm.handle, 0x400000, (u64)data, 1, 0) == 1, "read-only");
	EXPECT(vm_map(vm.handle, 0x500000, (u64)data, 4, MAP_WRITE) == 1, "writable");
	REQUIRE(!mem_stats(&now), "OP_MEM_STATS");
	EXPECT(now.shared_pages == before.shared_pages + 5, "%llu more shares", now.shared_pages - before.shared_pages);
	EXPECT(vm_code(&vm, guest_codes[3].bytes, 6) == EXIT_FAULT, "a store to a read-only page");
	EXPECT(vm_map(vm.handle, 0x400000, (u64)data, 1, MAP_WRITE) == 1, "read-only becomes writable");
	data[0] = 0x11;
	EXPECT(vm_code(&vm, "\x67\xa2\x00\x00\x40\x00\xf4", 7) == EXIT_HLT && data[0] == 0, "the store: %x", data[0]);
	EXPECT(vm_map(vm.handle, 0x400000, (u64)data + PAGE_SIZE, 1, MAP_WRITE) == 1, "another page there");
	data[PAGE_SIZE] = 0x22;
	EXPECT(vm_code(&vm, "\x67\xa2\x00\x00\x40\x00\xf4", 7) == EXIT_HLT && data[PAGE_SIZE] == 0, "the store after that");
	EXPECT(vm_unmap(vm.handle, 0x400000, 0x200) > 0, "OP_UNMAP");
	EXPECT(vm_code(&vm, guest_codes[3].bytes, 6) == EXIT_FAULT, "a store after unmap");
	mem_stats_same(&before, "after map and unmap");
	EXPECT(!vm_close(&vm), "OP_VM_DESTROY");
}

/* A VM's block runs out of tables: -ENOMEM, a block more, and on. All comes back cleared where it was used. */
#define PATTERN 0x7465737470617474ull

static void fill(u64 block)
{
	u64 i;

	for (i = 0; i < BLOCK_SIZE; i += 8)
		*(u64 *)(block + i) = PATTERN;
}

static u64 dirty_words(u64 block)
{
	u64 i, n = 0;

	for (i = 0; i < BLOCK_SIZE; i += 8)
		n += *(volatile u64 *)(block + i) != PATTERN && *(volatile u64 *)(block + i) != 0;
	return n;
}

TEST(donate_and_clear)
{
	u64 block = block_take(), more = block_take(), gpa;
	struct mem_stats before;
	struct vm vm;
	s64 got = 1;

	REQUIRE(block && more, "no memory");
	fill(block);
	fill(more);
	block_give(block);	/* vm_open() takes it */
	REQUIRE(!ring_setup() && !mem_stats(&before) && !vm_open(&vm, code, &page), "no VM");
	EXPECT(vm.block == block, "another block");
	EXPECT(try_call(do_read, block) == GP && try_call(do_read, block + BLOCK_SIZE - 8) == GP, "the donated block can be read");
	for (gpa = GIB; gpa < 600 * GIB && got == 1; gpa += GIB)
		got = vm_map(vm.handle, gpa, (u64)data, 1, 0);
	EXPECT(got == -ENOMEM, "after %llu mappings: %d", gpa / GIB, (int)got);
	gpa -= GIB;
	EXPECT(ring_op(N_OP_VM_DONATE, vm.handle, more + PAGE_SIZE, NULL, 0) == -EINVAL, "an odd block");
	EXPECT(ring_op(N_OP_VM_DONATE, vm.handle, more, NULL, 0) == 0, "OP_VM_DONATE");
	EXPECT(vm_map(vm.handle, gpa, (u64)data, 1, 0) == 1, "the mapping with the second block");
	EXPECT(!vm_close(&vm), "OP_VM_DESTROY");
	EXPECT(try_call(do_read, block) == NO_TRAP && try_call(do_read, more) == NO_TRAP, "a block does not come back");
	EXPECT(!dirty_words(block), "%llu words are left in the first block", dirty_words(block));
	EXPECT(!dirty_words(more), "%llu words are left in the second block", dirty_words(more));
	block_give(more);
	mem_stats_same(&before, "after the VM");
}

TEST(handles_end)
{
	static u64 used[ABI_MAX_VMS + 2];
	struct mem_stats before;
	u32 n, made = 0;
	s64 got = 0;

	REQUIRE(!ring_setup() && !mem_stats(&before), "no ring");
	for (n = 0; n < ARRAY_SIZE(used) && (used[n] = block_take()); n++) {
		got = ring_op(N_KVM_CREATE_VM, 0, used[n], NULL, 0);
		if (got <= 0)
			break;
		made++;
	}
	EXPECT(!used[n] || (got == -ENOSPC && made == ABI_MAX_VMS), "after %u VMs: %d", made, (int)got);
	EXPECT(made > 100, "%u VMs only", made);
	for (n = 1; n <= ABI_MAX_VMS; n++)
		ring_op(N_OP_VM_DESTROY, n, 0, NULL, 0);
	for (n = 0; n < ARRAY_SIZE(used) && used[n]; n++)
		block_give(used[n]);
	mem_stats_same(&before, "after all VMs");
	print("note: %u VMs at once\n", made);
}

TEST(thousand_rounds)
{
	struct mem_stats before;
	u64 start, least = ~0ull, ticks;
	struct vm vm;
	u32 i;

	REQUIRE(!ring_setup() && !mem_stats(&before), "no ring");
	for (i = 0; i < 1000; i++) {
		REQUIRE(!vm_open(&vm, code, &page), "round %u: no VM", i);
		REQUIRE(i % 10 || vm_code(&vm, "\xf4", 1) == EXIT_HLT, "round %u: no HLT", i);
		REQUIRE(!vm_close(&vm), "round %u: OP_VM_DESTROY", i);
	}
	mem_stats_same(&before, "after 1,000 rounds");
	for (i = 0; i < 20; i++) {
		u64 block = block_take();
		s64 handle;

		start = rdtsc();
		handle = ring_op(N_KVM_CREATE_VM, 0, block, NULL, 0);
		ticks = rdtsc() - start;
		least = ticks < least ? ticks : least;
		EXPECT(handle > 0 && !ring_op(N_OP_VM_DESTROY, (u32)handle, 0, NULL, 0), "KVM_CREATE_VM");
		block_give(block);
	}
	print("note: KVM_CREATE_VM, doorbell included: %llu ticks at least, of 20\n", least);
}

/* ---- two CPUs ---- */

static struct vm shared;
static volatile s64 second_result;

/* Until something other than an interrupt ends it (on VMX a timer does, now and then), or an NMI comes. */
static void second_runs(u64 vcpu)
{
	u32 nmis = cpu[1].nmis;

	do
		second_result = hypercall(HC_RUN, vcpu);
	while (!second_result && page.out.reason == EXIT_INTR && READ_ONCE(cpu[1].nmis) == nmis);
	hypercall(HC_BIND, 0);
}

static void second_runs_once(u64 vcpu) { second_result = hypercall(HC_RUN, vcpu); }
static void second_binds(u64 vcpu) { second_result = hypercall(HC_BIND, vcpu); }

static s64 on_second(void (*fn)(u64), u64 arg)
{
	second_run(fn, arg);
	return second_wait(SECOND_MS) ? -1000 : second_result;
}

/* A guest that never ends; only the second CPU may run it. */
static s64 spin_open(void)
{
	s64 err = ring_setup();

	err = err ? err : vm_open(&shared, code, &page);
	memcpy(code, "\xfe\x06\x00\x20\xeb\xfa", 6);	/* 1: incb 0x2000; jmp 1b */
	return err || vm_map(shared.handle, 0x2000, (u64)data, 1, MAP_WRITE) != 1 || hypercall(HC_BIND, 0);
}

TEST(busy_and_kick)
{
	volatile u8 *counter = data;
	u8 seen;
	u32 i;

	REQUIRE(!second_start(), "the second CPU does not start");
	REQUIRE(!spin_open(), "no VM");
	second_run(second_runs, shared.vcpu);
	seen = *counter;
	for (i = 0; i < 2000 && *counter == seen; i++)
		delay_ms(1);
	REQUIRE(*counter != seen, "the guest does not run on the second CPU");
	EXPECT(hypercall(HC_RUN, shared.vcpu) == -EBUSY, "two CPUs run one vCPU");
	EXPECT(ring_op(N_KVM_GET_REGS, shared.vcpu, 0, NULL, 0) == -EBUSY, "its registers can be read meanwhile");
	EXPECT(ring_op(N_OP_VM_DESTROY, shared.handle, 0, NULL, 0) == -EBUSY, "its VM can be destroyed meanwhile");
	EXPECT(cpu[1].job != NULL, "the guest has ended");
	EXPECT(vm_unmap(shared.handle, 0x2000, 1) == 1, "OP_UNMAP");
	seen = *counter;
	EXPECT(!second_wait(SECOND_MS), "the guest runs on without its page");
	EXPECT(second_result == 0 && page.out.reason == EXIT_FAULT && page.out.gpa == 0x2000, "exit %u at %llx", page.out.reason, page.out.gpa);
	EXPECT(*counter == seen, "the page was written after OP_UNMAP");
	EXPECT(!vm_close(&shared), "OP_VM_DESTROY");
}

/* A vCPU goes to and fro with all its state; each CPU keeps it until it gives it up. */
TEST(bound_to_a_cpu)
{
	volatile u8 *counter = data;
	u32 i;

	REQUIRE(!second_start() && !ring_setup() && !vm_open(&shared, code, &page), "no second CPU, or no VM");
	REQUIRE(vm_map(shared.handle, 0x2000, (u64)data, 1, MAP_WRITE) == 1, "OP_MAP");
	memcpy(code, "\xfe\x06\x00\x20\xf4\xeb\xf9", 7);	/* 1: incb 0x2000; hlt; jmp 1b */
	*counter = 0;
	EXPECT(hypercall(HC_RUN, 0) == -ENOENT && hypercall(HC_BIND, 0xffffffff) == -ENOENT, "no vCPU's handle");
	for (i = 0; i < 100; i++) {
		REQUIRE(vcpu_run(&shared) == EXIT_HLT && *counter == 2 * i + 1, "round %u: exit %u, %u", i, page.out.reason, *counter);
		REQUIRE(!hypercall(HC_BIND, shared.vcpu), "HC_BIND of its own");
		REQUIRE(on_second(second_runs_once, shared.vcpu) == -EBUSY, "another CPU runs it: %d", (int)second_result);
		REQUIRE(on_second(second_binds, shared.vcpu) == -EBUSY, "another CPU takes it: %d", (int)second_result);
		REQUIRE(!hypercall(HC_BIND, 0), "HC_BIND of none");
		do {
			page.out.reason = EXIT_NONE;
			REQUIRE(!on_second(second_runs_once, shared.vcpu), "the other CPU: %d", (int)second_result);
		} while (page.out.reason == EXIT_INTR);
		REQUIRE(page.out.reason == EXIT_HLT && *counter == 2 * i + 2, "round %u: exit %u, %u", i, page.out.reason, *counter);
		REQUIRE(hypercall(HC_RUN, shared.vcpu) == -EBUSY, "the first CPU runs it");
		REQUIRE(ring_op(N_KVM_GET_REGS, shared.vcpu, 0, NULL, 0) == -EBUSY, "the first CPU reads it");
		REQUIRE(ring_op(N_OP_VM_DESTROY, shared.handle, 0, NULL, 0) == -EBUSY, "its VM ends");
		REQUIRE(!on_second(second_binds, 0), "HC_BIND of none: %d", (int)second_result);
	}
	EXPECT(!vm_close(&shared), "OP_VM_DESTROY");
}

TEST(nmi_ends_a_run)
{
	u32 before;

	REQUIRE(!second_start(), "the second CPU does not start");
	REQUIRE(!spin_open(), "no VM");
	before = cpu[1].nmis;
	second_run(second_runs, shared.vcpu);
	delay_ms(50);
	EXPECT(cpu[1].job != NULL, "the guest ended by itself: exit %u", page.out.reason);
	nmi_send(cpu[1].apic_id);
	REQUIRE(!second_wait(SECOND_MS), "the guest keeps the CPU");
	EXPECT(second_result == 0 && page.out.reason == EXIT_INTR, "exit %u", page.out.reason);
	delay_ms(20);
	EXPECT(cpu[1].nmis == before + 1, "%u NMIs have arrived", cpu[1].nmis - before);
	EXPECT(!vm_close(&shared), "OP_VM_DESTROY");
}

/* INIT takes the CPU away from the user VM, whose vCPU goes on elsewhere. */
TEST(init_ends_a_run)
{
	u32 i;

	if (second_mailbox()) {
		test_skip("CPUs start by the mailbox here: an INIT is dropped");
		return;
	}
	for (i = 0; i < 5; i++) {
		REQUIRE(!second_start(), "the second CPU does not start");
		REQUIRE(!spin_open(), "no VM");
		second_run(second_runs, shared.vcpu);
		delay_ms(20);
		EXPECT(hypercall(HC_RUN, shared.vcpu) == -EBUSY, "the guest ended by itself: exit %u", page.out.reason);
		second_lost();
		REQUIRE(!second_start(), "the second CPU does not come back");
		EXPECT(page.out.reason == EXIT_INTR, "exit %u", page.out.reason);
		EXPECT(vm_unmap(shared.handle, 0x2000, 1) == 1, "OP_UNMAP");
		page.in.flags = 0;
		EXPECT(vcpu_run(&shared) == EXIT_FAULT && page.out.gpa == 0x2000, "exit %u at %llx", page.out.reason, page.out.gpa);
		EXPECT(!vm_close(&shared), "OP_VM_DESTROY");
	}
}

/* A page that the other CPU has in its TLB is gone there too when the donation returns. */
static volatile u32 reading;
static volatile u64 reads;

static void second_reads(u64 pa)
{
	second_result = NO_TRAP;
	reading = 1;
	while (reading) {
		second_result = try_call(do_read, pa);
		if (second_result != NO_TRAP)
			break;
		reads++;
	}
}

TEST(donation_reaches_other_cpus)
{
	u64 block, k;
	s64 handle;
	u32 i;

	REQUIRE(!second_start() && !ring_setup(), "no second CPU");
	for (i = 0; i < 50; i++) {
		block = block_take();
		reads = 0;
		second_run(second_reads, block + 0x5000);
		for (k = 0; k < 20000 && reads < 10; k++)
			relax();
		handle = ring_op(N_KVM_CREATE_VM, 0, block, NULL, 0);
		REQUIRE(handle > 0, "KVM_CREATE_VM: %d", (int)handle);
		k = reads;
		delay_ms(2);
		EXPECT(reads <= k + 1, "round %u: %llu reads after the donation", i, reads - k);
		EXPECT(!second_wait(SECOND_MS) && second_result == GP, "round %u: the read ends in %d", i, (int)second_result);
		reading = 0;
		second_wait(SECOND_MS);
		EXPECT(!ring_op(N_OP_VM_DESTROY, (u32)handle, 0, NULL, 0), "OP_VM_DESTROY");
		block_give(block);
	}
}

/* VMs come and go on both CPUs; each CPU's own work is right. */
static u8 second_code[PAGE_SIZE] __attribute__((aligned(4096)));
static struct exit_page second_page __attribute__((aligned(4096)));
static volatile u64 churn_bad;
static u64 churn_blocks[2];

static s64 churn_once(u64 block, u8 *where, struct exit_page *x)
{
	struct vcpu_create c = { 0, 0, (u64)x };
	struct vm vm = { 0, 0, block, where, x };
	s64 got = ring_op(N_KVM_CREATE_VM, 0, block, NULL, 0);

	if (got <= 0)
		return 1;
	vm.handle = (u32)got;
	got = ring_op(N_KVM_CREATE_VCPU, vm.handle, 0, &c, sizeof(c));
	vm.vcpu = (u32)got;
	if (got <= 0 || vm_map(vm.handle, CODE_GPA, (u64)where, 1, MAP_WRITE) != 1 || vcpu_reset(vm.vcpu, CODE_GPA))
		return 2;
	where[0] = 0xf4;
	x->in.flags = 0;
	if (vcpu_run(&vm) != EXIT_HLT)
		return 3;
	return ring_op(N_OP_VM_DESTROY, vm.handle, 0, NULL, 0) ? 4 : 0;
}

static void second_churns(u64 rounds)
{
	u64 i;

	if (ring_setup())
		churn_bad |= 1;
	for (i = 0; i < rounds; i++)
		churn_bad |= (u64)churn_once(churn_blocks[1], second_code, &second_page) << 8;
	hypercall(HC_RING_REGISTER, 0);
}

TEST(both_cpus_at_once)
{
	struct mem_stats before;
	u32 i;

	REQUIRE(!second_start() && !ring_setup() && !mem_stats(&before), "no second CPU");
	churn_blocks[0] = block_take();
	churn_blocks[1] = block_take();
	churn_bad = 0;
	second_run(second_churns, 300);
	for (i = 0; i < 300; i++) {
		s64 bad = churn_once(churn_blocks[0], code, &page);

		REQUIRE(!bad, "round %u: step %d", i, (int)bad);
	}
	EXPECT(!second_wait(3 * SECOND_MS), "the second CPU does not end");
	EXPECT(!churn_bad, "steps of the second CPU failed: %llx", churn_bad);
	block_give(churn_blocks[0]);
	block_give(churn_blocks[1]);
	mem_stats_same(&before, "after both");
}
