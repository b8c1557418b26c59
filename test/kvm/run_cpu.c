// SPDX-License-Identifier: BSD-2-Clause
/*
 * run_cpu.c - instructions that the hypervisor answers: CPUID, hypercalls,
 * control registers, mode switches; and those that a guest may not use.
 *
 * Owns: nothing. Each expectation is what stock KVM gives.
 * See: AMD APM volume 2, chapters 3 (control registers) and 15 (SVM); Intel SDM volume 3, chapter 26.
 */
#include <stdlib.h>
#include <string.h>

#include "guest.h"

/* RAX, RBX, RCX, RDX of CPUID, leaf and subleaf given by the VMM in RAX and RCX. */
GUEST(cpuid, 64,
	"1: mov %esi, %eax\n mov %edi, %ecx\n cpuid\n out %eax, $0xe0\n mov %ebx, %eax\n out %eax, $0xe0\n"
	"mov %ecx, %eax\n out %eax, $0xe0\n mov %edx, %eax\n out %eax, $0xe0\n hlt\n jmp 1b\n");

static void cpuid_ask(struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf, uint32_t answer[4])
{
	struct kvm_regs regs;

	regs_get(vcpu, &regs);
	regs.rsi = leaf;
	regs.rdi = subleaf;
	regs.rip = GUEST_CODE;
	regs_set(vcpu, &regs);
	for (unsigned int i = 0; i < 4; i++)
		answer[i] = guest_report(vcpu);
	run_until(vcpu, KVM_EXIT_HLT);
}

static struct kvm_cpuid_entry2 *cpuid_append(struct kvm_cpuid2 *table, uint32_t leaf, uint32_t subleaf, uint32_t flags)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(table, leaf, subleaf);

	if (!e)
		e = &table->entries[table->nent++];
	*e = (struct kvm_cpuid_entry2) { .function = leaf, .index = subleaf, .flags = flags };
	return e;
}

static void cpuid_wanted(struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf, const uint32_t wanted[4])
{
	uint32_t answer[4];

	cpuid_ask(vcpu, leaf, subleaf, answer);
	EXPECT(!memcmp(answer, wanted, sizeof(answer)), "leaf %#x.%u: %#x %#x %#x %#x, wanted %#x %#x %#x %#x", leaf, subleaf,
	       answer[0], answer[1], answer[2], answer[3], wanted[0], wanted[1], wanted[2], wanted[3]);
}

/* The guest sees the table that was set, entry by entry. */
TEST(cpuid_as_set)
{
	struct vm *vm = vm_create(GUEST_MEMORY);
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct kvm_cpuid2 *table = cpuid_supported(vm->sys);
	struct kvm_cpuid_entry2 *e = cpuid_append(table, 0x40000005, 0, 0);

	e->eax = 0x11111111, e->ebx = 0x22222222, e->ecx = 0x33333333, e->edx = 0x44444444;
	e = cpuid_append(table, 0x40000006, 3, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
	e->eax = 5;
	/* A leaf above the class's last is answered by Intel's rule, with the last basic leaf. */
	e = cpuid_append(table, 0x40000000, 0, 0);
	e->eax = 0x40000006;
	cpuid_set(vcpu, table);
	vcpu_mode(vcpu, 64);
	LOAD(vm, GUEST_CODE, cpuid);
	cpuid_wanted(vcpu, 0x40000005, 0, (uint32_t[4]) { 0x11111111, 0x22222222, 0x33333333, 0x44444444 });
	cpuid_wanted(vcpu, 0x40000005, 9, (uint32_t[4]) { 0x11111111, 0x22222222, 0x33333333, 0x44444444 });
	cpuid_wanted(vcpu, 0x40000006, 3, (uint32_t[4]) { 5 });
	cpuid_wanted(vcpu, 0x40000006, 2, (uint32_t[4]) { 0 });
	for (e = table->entries; e < table->entries + table->nent; e++) {
		/* Leaves with bits that follow CR4, MSRs or the APIC have tests of their own. */
		if (e->function == 1 || e->function == 7 || e->function == 0xd || e->function == 0x80000001)
			continue;
		cpuid_wanted(vcpu, e->function, e->index, (uint32_t[4]) { e->eax, e->ebx, e->ecx, e->edx });
	}
}

/* No entry: an AMD CPUID reads as zeros, another one as its last basic leaf. */
TEST(cpuid_missing_leaf)
{
	struct vcpu *vcpu = GUEST_CREATE(cpuid, 64);
	struct kvm_cpuid2 *table = cpuid_supported(vcpu->vm->sys);
	struct kvm_cpuid_entry2 *e = cpuid_find(table, 0, 0);
	uint32_t wanted[4] = { 0 };

	if (e->ebx != 0x68747541)	/* "Auth" */
		cpuid_ask(vcpu, e->eax, 0, wanted);
	cpuid_wanted(vcpu, 0x3fffffff, 0, wanted);
	cpuid_wanted(vcpu, 0x8fffffff, 0, wanted);
	cpuid_wanted(vcpu, 0xc0000000, 0, wanted);
}

/* OSXSAVE in leaf 1 is the guest's CR4.OSXSAVE, not the host's. */
SCRIPT(cpuid_osxsave, 64,
	"mov $1, %eax\n cpuid\n bt $26, %ecx\n jnc 1f\n shr $27, %ecx\n and $1, %ecx\n mov %ecx, %eax\n out %eax, $0xe0\n"
	"mov %cr4, %rax\n or $0x40000, %eax\n mov %rax, %cr4\n mov $1, %eax\n cpuid\n shr $27, %ecx\n and $1, %ecx\n"
	"mov %ecx, %eax\n out %eax, $0xe0\n hlt\n"
	"1: xor %eax, %eax\n out %eax, $0xe0\n inc %eax\n out %eax, $0xe0\n hlt\n",
	REPORT(0), REPORT(1), HLT)

/* CPUID keeps the upper halves of no register: all four are zero-extended. */
SCRIPT(cpuid_clears_upper_halves, 64,
	"mov $-1, %rax\n mov $-1, %rbx\n mov $-1, %rcx\n mov $-1, %rdx\n mov $0x40000000, %eax\n cpuid\n"
	"shr $32, %rax\n shr $32, %rbx\n shr $32, %rcx\n shr $32, %rdx\n or %rbx, %rax\n or %rcx, %rax\n or %rdx, %rax\n"
	"out %eax, $0xe0\n",
	REPORT(0))

/* An unknown hypercall gives -KVM_ENOSYS (1000), 32 bits of it outside long mode. */
SCRIPT(hypercall_unknown, 64,
	"mov $0x7777, %eax\n mov $-1, %rbx\n vmmcall\n out %eax, $0xe0\n shr $32, %rax\n out %eax, $0xe0\n mov %ebx, %eax\n out %eax, $0xe0\n",
	REPORT(0xfffffc18), REPORT(0xffffffff), REPORT(0xffffffff))
SCRIPT(hypercall_protected, 32, "mov $0x7777, %eax\n vmmcall\n out %eax, $0xe0\n", REPORT(0xfffffc18))
/* The other vendor's instruction works, too: guests are moved between machines. */
SCRIPT(hypercall_other_vendor, 64, "mov $0x7777, %eax\n vmcall\n out %eax, $0xe0\n", REPORT(0xfffffc18))

/* Control registers keep what is written, and refuse what the manual reserves. */
SCRIPT(cr0, 64,
	"mov %cr0, %rax\n bts $16, %rax\n mov %rax, %cr0\n mov %cr0, %rax\n shr $16, %eax\n and $1, %eax\n out %eax, $0xe0\n"
	"mov %cr0, %rax\n btr $16, %rax\n bts $3, %rax\n mov %rax, %cr0\n mov %cr0, %rax\n and $0x10008, %eax\n out %eax, $0xe0\n"
	"clts\n mov %cr0, %rax\n and $0x8, %eax\n out %eax, $0xe0\n smsw %eax\n and $0x3f, %eax\n out %eax, $0xe0\n"
	"",
	REPORT(1), REPORT(8), REPORT(0), REPORT(0x31))

GUEST(cr0_reserved, 64,
	"mov %cr0, %rax\n bts $32, %rax\n mov %rax, %cr0\n"		/* reserved: #GP */
	"mov %cr0, %rax\n bts $29, %rax\n mov %rax, %cr0\n"		/* NW without CD: #GP */
	"mov %cr0, %rax\n btr $0, %rax\n mov %rax, %cr0\n"		/* PG without PE: #GP */
	"mov $1, %eax\n out %eax, $0xe0\n");
TEST(cr0_reserved)
{
	need_silicon();
	guest_steps(GUEST_CREATE(cr0_reserved, 64),
		    (const struct step[]) { TRAP(13, 3), TRAP(13, 3), TRAP(13, 3), REPORT(1), {} });
}

SCRIPT(cr0_cache_disable, 64,
	"mov %cr0, %rax\n bts $30, %rax\n mov %rax, %cr0\n mov %cr0, %rax\n shr $30, %eax\n and $1, %eax\n out %eax, $0xe0\n wbinvd\n"
	"mov %cr0, %rax\n btr $30, %rax\n mov %rax, %cr0\n mov %cr0, %rax\n shr $30, %eax\n and $1, %eax\n out %eax, $0xe0\n",
	REPORT(1), REPORT(0))

SCRIPT(cr4, 64,
	"mov %cr4, %rax\n bts $7, %rax\n bts $2, %rax\n mov %rax, %cr4\n mov %cr4, %rax\n and $0x84, %eax\n out %eax, $0xe0\n"
	"mov %cr4, %rax\n btr $7, %rax\n btr $2, %rax\n mov %rax, %cr4\n mov %cr4, %rax\n and $0x84, %eax\n out %eax, $0xe0\n"
	"mov %cr4, %rax\n bts $31, %rax\n mov %rax, %cr4\n"		/* reserved: #GP */
	"mov %cr4, %rax\n btr $5, %rax\n mov %rax, %cr4\n"		/* long mode needs PAE: #GP */
	"mov $1, %eax\n out %eax, $0xe0\n",
	REPORT(0x84), REPORT(0), TRAP(13, 3), TRAP(13, 3), REPORT(1))

SCRIPT(cr2_cr3, 64,
	"mov $0x1234567890, %rax\n mov %rax, %cr2\n mov %cr2, %rax\n out %eax, $0xe0\n"
	"mov %cr3, %rax\n mov %rax, %cr3\n out %eax, $0xe0\n invlpg (%rax)\n",
	REPORT(0x34567890), REPORT(GUEST_TABLES))

/* A page fault stays in the guest: vector, CR2 and error code are its own. */
SCRIPT(page_fault, 64,
	"mov $0x100000000, %rbx\n movl $1, (%rbx)\n mov %cr2, %rax\n shr $32, %rax\n out %eax, $0xe0\n",
	TRAP(14, 6), REPORT(1))

SCRIPT(exceptions, 64,
	"xor %ecx, %ecx\n div %ecx\n"			/* #DE */
	"ud2\n"						/* #UD */
	"int3\n"					/* #BP: the return address is past it */
	"int $0x77\n"
	"mov $0x8000000000000000, %rax\n mov (%rax), %eax\n"	/* not canonical: #GP */
	"mov $1, %eax\n out %eax, $0xe0\n",
	TRAP(0, 2), TRAP(6, 2), TRAP(3, 0), TRAP(0x77, 0), TRAP(13, 2), REPORT(1))

/*
 * #UD on what SVM would add: EFER.SVME is 0 for the guest. (STGI and CLGI are
 * left out: a processor with virtual GIF runs them under KVM.)
 */
SCRIPT(svm_instructions, 64,
	"xor %eax, %eax\n vmrun\n vmload\n vmsave\n mov $1, %eax\n out %eax, $0xe0\n",
	TRAP(6, 3), TRAP(6, 3), TRAP(6, 3), REPORT(1))
SCRIPT(svm_instructions_real, 16, "vmrun\n mov $1, %eax\n out %eax, $0xe0\n", TRAP(6, 3), REPORT(1))

SCRIPT(rsm_outside_smm, 64, "rsm\n mov $1, %eax\n out %eax, $0xe0\n", TRAP(6, 2), REPORT(1))

/* An exception that cannot be delivered, three deep, is a shutdown. */
SCRIPT(triple_fault, 64,
	"push $0\n push $0\n lidt (%rsp)\n int3\n", SHUTDOWN)
SCRIPT(triple_fault_real, 16,
	"mov $0x8000, %bx\n movl $0, (%bx)\n movl $0, 4(%bx)\n lidt (%bx)\n int3\n", SHUTDOWN)

/* The VMM's CR8 is the guest's; lowering it below exits, raising does not. */
GUEST(cr8, 64,
	"mov %cr8, %rax\n out %eax, $0xe0\n mov $9, %eax\n mov %rax, %cr8\n mov $3, %eax\n mov %rax, %cr8\n"
	"mov %cr8, %rax\n out %eax, $0xe0\n mov $16, %eax\n mov %rax, %cr8\n out %eax, $0xe0\n");
TEST(cr8)
{
	static const struct step steps[] = { REPORT(3), TRAP(13, 4), REPORT(16), {} };
	struct vcpu *vcpu = GUEST_CREATE(cr8, 64);

	vcpu->run->cr8 = 7;
	guest_expect(vcpu, 7, "CR8 given by the VMM");
	REQUIRE(vcpu->run->cr8 == 7, "run->cr8 %llu", vcpu->run->cr8);
	run_until(vcpu, KVM_EXIT_SET_TPR);
	REQUIRE(vcpu->run->cr8 == 3, "run->cr8 %llu after the exit", vcpu->run->cr8);
	guest_steps(vcpu, steps);
}

/*
 * The guest's own way from reset to long mode: the switches that every
 * operating system does, with this VM's tables already in memory.
 */
GUEST(mode_switch, 16,
	"cli\n mov $1, %eax\n out %eax, $0xe0\n"
	"lgdtl gdtr - code_mode_switch + 0x1000\n"
	"mov %cr0, %eax\n or $1, %al\n mov %eax, %cr0\n ljmp $0x18, $(1f - code_mode_switch + 0x1000)\n"
	".code32\n 1: mov $0x10, %ax\n mov %ax, %ds\n mov %ax, %ss\n mov %ax, %es\n mov $2, %eax\n out %eax, $0xe0\n"
	"mov %cr4, %eax\n or $0x20, %eax\n mov %eax, %cr4\n mov $0x10000, %eax\n mov %eax, %cr3\n"
	"mov $0xc0000080, %ecx\n rdmsr\n or $0x100, %eax\n wrmsr\n mov %cr0, %eax\n or $0x80000000, %eax\n mov %eax, %cr0\n"
	"rdmsr\n and $0x500, %eax\n out %eax, $0xe0\n ljmp $0x8, $(2f - code_mode_switch + 0x1000)\n"
	".code64\n 2: mov $3, %eax\n out %eax, $0xe0\n mov $0x123456789abcdef0, %rax\n shr $32, %rax\n out %eax, $0xe0\n"
	"push $0x18\n push $(3f - code_mode_switch + 0x1000)\n lretq\n"		/* compatibility mode */
	".code32\n 3: mov $4, %eax\n out %eax, $0xe0\n mov %cr0, %eax\n and $0x7fffffff, %eax\n mov %eax, %cr0\n"
	"rdmsr\n and $0x500, %eax\n out %eax, $0xe0\n ljmp $0x20, $(4f - code_mode_switch + 0x1000)\n"
	".code16\n 4: mov %cr0, %eax\n and $0xfe, %al\n mov %eax, %cr0\n ljmp $0, $(5f - code_mode_switch + 0x1000)\n"
	"5: mov $5, %eax\n out %eax, $0xe0\n hlt\n"
	".balign 8\n gdtr: .word 39\n .long gdt - code_mode_switch + 0x1000\n .balign 8\n"
	"gdt: .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff, 0x00009b000000ffff\n");
TEST(mode_switch)
{
	static const struct step steps[] = {
		REPORT(1), REPORT(2), REPORT(0x500), REPORT(3), REPORT(0x12345678), REPORT(4), REPORT(0x100), REPORT(5), HLT, {}
	};

	guest_steps(GUEST_CREATE(mode_switch, 16), steps);
}

/* A fresh vCPU is at the reset vector: the firmware's first jump is at the top of 4 GiB. */
TEST(reset_vector)
{
	static const uint8_t jump[] = { 0xb0, 0x5a, 0xe6, 0xe0, 0xf4 };	/* mov $0x5a,%al; out %al,$0xe0; hlt */
	struct vm *vm = vm_create(GUEST_MEMORY);
	struct vcpu *vcpu = vcpu_create(vm, 0);
	uint8_t *rom = map_pages(0x10000);

	slot_set(vm, 1, 0xffff0000, 0x10000, rom, 0);
	memcpy(rom + 0xfff0, jump, sizeof(jump));
	guest_steps(vcpu, (const struct step[]) { OUT(REPORT_PORT, 1, 0x5a), HLT, {} });
}

/*
 * CR0.CD and NW: the guest reads what it wrote, also after a while and beside other changes of CR0, and the VMM does. Each
 * report: bits 30 and 29, TS.
 */
#define CACHE_BITS "mov %cr0, %eax\n mov %eax, %ecx\n shr $29, %eax\n and $3, %eax\n and $8, %ecx\n or %ecx, %eax\n out %eax, $0xe0\n"
GUEST(cache_bits, 32,
	CACHE_BITS "mov %cr0, %eax\n or $0x60000000, %eax\n mov %eax, %cr0\n" CACHE_BITS
	"mov $30000000, %ecx\n 1: dec %ecx\n jnz 1b\n" CACHE_BITS
	"mov %cr0, %eax\n or $8, %eax\n mov %eax, %cr0\n" CACHE_BITS "clts\n" CACHE_BITS
	"smsw %ax\n or $8, %eax\n lmsw %ax\n" CACHE_BITS
	"mov %cr0, %eax\n and $0xdfffffff, %eax\n mov %eax, %cr0\n" CACHE_BITS
	"mov %cr0, %eax\n and $0xbffffff7, %eax\n mov %eax, %cr0\n" CACHE_BITS);
TEST(cache_bits)
{
	static const uint32_t bits[] = { 0, 3, 3, 3 | 8, 3, 3 | 8, 2 | 8, 0 };
	struct vcpu *vcpu = GUEST_CREATE(cache_bits, 32);
	struct kvm_sregs sregs;

	for (unsigned int i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		uint32_t got = guest_report(vcpu);

		REQUIRE(got == bits[i], "report %u: %#x", i, got);
		IOCTL(vcpu->fd, KVM_GET_SREGS, &sregs);
		REQUIRE((sregs.cr0 >> 29 & 3) == (bits[i] & 3), "report %u: CR0 %#llx", i, sregs.cr0);
		IOCTL(vcpu->fd, KVM_SET_SREGS, &sregs);
	}
}

/* Outside 64-bit mode the instruction behind the last one of 4 GiB is at 0, whoever executed that one. */
static void wraps(const char *what, const uint8_t *code, size_t bytes, struct step first)
{
	static const uint8_t go[] = { 0xbb, 0, 0, 0, 0x10, 0xff, 0xe2 };		/* mov $MMIO_BASE, %ebx; jmp *%edx */
	static const uint8_t end[] = { 0xb0, 0x77, 0xe6, 0xe1, 0xf4 };			/* mov $0x77, %al; out %al, $0xe1; hlt */
	struct vm *vm = vm_create(GUEST_MEMORY);
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct kvm_regs regs;
	uint8_t *top = map_pages(0x1000);

	cpuid_set(vcpu, cpuid_supported(vm->sys));
	vcpu_mode(vcpu, 32);
	slot_set(vm, 1, 0xfffff000, 0x1000, top, 0);
	memcpy(top + 0x1000 - bytes, code, bytes);
	vm_load(vm, GUEST_CODE, go, sizeof(go));
	vm_load(vm, 0, end, sizeof(end));
	regs_get(vcpu, &regs);
	regs.rdx = 0x100000000ull - bytes;
	regs.rcx = 0x1b;		/* APIC_BASE: what needs no exit Bochs gets wrong there, by itself */
	regs_set(vcpu, &regs);
	if (first.kind != STEP_END)
		guest_steps(vcpu, (const struct step[]) { first, OUT(0xe1, 1, 0x77), HLT, {} });
	else
		guest_steps(vcpu, (const struct step[]) { OUT(0xe1, 1, 0x77), HLT, {} });
	regs_get(vcpu, &regs);
	REQUIRE(regs.rip == sizeof(end), "%s: RIP %#llx", what, regs.rip);
	vm_destroy(vcpu);
}
#define WRAPS(what, first, ...) wraps(what, (const uint8_t[]) { __VA_ARGS__ }, sizeof((const uint8_t[]) { __VA_ARGS__ }), \
				      (struct step) first)

TEST(wraps_at_4_gib)
{
	WRAPS("CPUID", {}, 0x0f, 0xa2);
	WRAPS("a port", OUT(0x10, 1, 0), 0xe6, 0x10);
	WRAPS("RDMSR", {}, 0x0f, 0x32);
	WRAPS("a store", WRITE(MMIO_BASE, 1, 0), 0x88, 0x03);
	WRAPS("a load", READ(MMIO_BASE, 4, 5), 0x8b, 0x03);
	WRAPS("HLT", HLT, 0xf4);
}

/* Every general register survives an exit, and the VMM's changes arrive. */
GUEST(registers, 64, "1: out %al, $0x10\n jmp 1b\n");
TEST(registers)
{
	struct vcpu *vcpu = GUEST_CREATE(registers, 64);
	struct kvm_regs set = { .rip = GUEST_CODE, .rflags = 0x8d7 & ~0x100ull }, got;
	uint64_t *r = (uint64_t *)&set;

	for (unsigned int i = 0; i < 16; i++)
		r[i] = 0x0101010101010101ull * (i + 1);
	regs_set(vcpu, &set);
	run_until(vcpu, KVM_EXIT_IO);
	regs_get(vcpu, &got);
	for (unsigned int i = 0; i < 16; i++)
		EXPECT(((uint64_t *)&got)[i] == r[i], "register %u: %#lx", i, ((uint64_t *)&got)[i]);
	EXPECT((got.rflags & 0xfff) == (set.rflags & 0xfff), "rflags %#llx, wanted %#llx", got.rflags, set.rflags);
	run_until(vcpu, KVM_EXIT_IO);
}

/* Time never goes back. */
GUEST(tsc, 64, "1: rdtsc\n shl $32, %rdx\n or %rdx, %rax\n mov %rax, %rbx\n out %eax, $0xe0\n jmp 1b\n");

static uint64_t guest_tsc(struct vcpu *vcpu)
{
	struct kvm_regs regs;

	guest_report(vcpu);
	regs_get(vcpu, &regs);
	return regs.rbx;
}

TEST(tsc_monotone)
{
	struct vcpu *vcpu = GUEST_CREATE(tsc, 64);
	uint64_t last = 0, now;

	for (unsigned int i = 0; i < 2000; i++, last = now) {
		now = guest_tsc(vcpu);
		REQUIRE(now > last, "round %u: %#lx after %#lx", i, now, last);
	}
}

/* Nor from one vCPU to the other, where the machine's own clocks agree. */
TEST(tsc_two_vcpus)
{
	struct vcpu *one = GUEST_CREATE(tsc, 64);
	struct vcpu *two = vcpu_create(one->vm, 1);
	uint64_t last = 0, now;

	if (system("grep -qx tsc /sys/devices/system/clocksource/clocksource0/current_clocksource"))
		test_skip("Linux here does not trust the TSC");
	cpuid_set(two, cpuid_supported(one->vm->sys));
	vcpu_mode(two, 64);
	for (unsigned int i = 0; i < 2000; i++, last = now) {
		now = guest_tsc(i & 1 ? two : one);
		REQUIRE(now > last, "round %u: %#lx after %#lx", i, now, last);
	}
}
