// SPDX-License-Identifier: BSD-2-Clause
/*
 * async_pf_msr.c - the registers of asynchronous page faults: what VMM and guest
 * may write, what INIT leaves, which CPUID bits they need.
 *
 * See: Documentation/virt/kvm/x86/msr.rst, cpuid.rst in Linux.
 */
#include <stdlib.h>
#include <string.h>

#include "async_pf.h"

#define MSR_SYSTEM_TIME 0x4b564d01u
#define MSR_STEAL_TIME 0x4b564d03u
#define PV_LEAF 0x40000001u
#define BIT_ASYNC_PF 0x10u
#define BIT_ASYNC_PF_VMEXIT 0x400u
#define BIT_ASYNC_PF_INT 0x4000u

struct row {
	uint32_t msr;
	uint64_t value;
	int taken;
	uint64_t reads;		/* afterwards */
};

/* In this order: what was refused may have left its value all the same. */
static const struct row rows[] = {
	{ MSR_ASYNC_EN, 0, 1, 0 },
	{ MSR_ASYNC_EN, 0x10, 0, 0 },
	{ MSR_ASYNC_EN, 0x20, 0, 0 },
	{ MSR_ASYNC_EN, 0x8039, 0, 0 },
	{ MSR_ASYNC_EN, 0x8001, 1, 0x8001 },		/* by exception alone: nothing is ever told */
	{ MSR_ASYNC_EN, 0x8009, 1, 0x8009 },
	{ MSR_ASYNC_EN, 0x800f, 1, 0x800f },
	{ MSR_ASYNC_EN, 0x80c9, 1, 0x80c9 },
	{ MSR_ASYNC_EN, 0x80d9, 0, 0x80c9 },
	{ MSR_ASYNC_EN, 0x50000009, 0, 0x50000009 },	/* no memory there */
	{ MSR_ASYNC_EN, 0x8000000000008009, 0, 0x8000000000008009 },
	{ MSR_ASYNC_EN, 0x50000008, 1, 0x50000008 },	/* not on: not looked at */
	{ MSR_ASYNC_EN, 0, 1, 0 },
	{ MSR_ASYNC_INT, 0x100, 0, 0 },
	{ MSR_ASYNC_INT, 0xec, 1, 0xec },
	{ MSR_ASYNC_INT, 0x8000000000000000, 0, 0xec },
	{ MSR_ASYNC_INT, 0, 1, 0 },
	{ MSR_ASYNC_INT, 0xff, 1, 0xff },
	{ MSR_ASYNC_ACK, 0, 1, 0 },
	{ MSR_ASYNC_ACK, 1, 1, 0 },
	{ MSR_ASYNC_ACK, ~0ull, 1, 0 },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void reads(struct vcpu *vcpu, const struct row *row)
{
	uint64_t value = 0;

	EXPECT(msr_get(vcpu, row->msr, &value) == 1 && value == row->reads, "%#x reads %#lx after %#lx, wanted %#lx",
	       row->msr, value, row->value, row->reads);
}

GUEST(none, 64, "hlt\n");
TEST(vmm_writes)
{
	struct vcpu *vcpu = ASYNC_GUEST(none);

	for (const struct row *row = rows; row < rows + ROWS; row++) {
		EXPECT(msr_set(vcpu, row->msr, row->value) == row->taken, "%#x = %#lx", row->msr, row->value);
		reads(vcpu, row);
	}
}

/* %ecx, %edx:%eax come by registers; #GP is said by its handler. */
GUEST(wrmsr, 64, "wrmsr\n" SAY(1));
TEST(guest_writes)
{
	struct vcpu *vcpu = ASYNC_GUEST(wrmsr);

	for (const struct row *row = rows; row < rows + ROWS; row++) {
		struct kvm_regs regs = {
			.rip = GUEST_CODE, .rsp = GUEST_STACK, .rflags = 2,
			.rcx = row->msr, .rax = (uint32_t)row->value, .rdx = row->value >> 32,
		};

		test_step = row - rows;
		regs_set(vcpu, &regs);
		if (!row->taken)
			say_must(vcpu, SAYS_GP, 0, "#GP(0)");
		guest_expect(vcpu, 1, "behind it");
		reads(vcpu, row);
	}
}

/* Without a LAPIC in the kernel there is nothing to be told by. */
TEST(without_lapic)
{
	struct vcpu *vcpu = GUEST_CREATE(none, 64);
	uint64_t value = 1;

	NEED(vcpu->vm->fd, KVM_CAP_ASYNC_PF_INT);
	EXPECT(msr_set(vcpu, MSR_ASYNC_EN, 0) == 1, "0");
	EXPECT(!msr_set(vcpu, MSR_ASYNC_EN, 0x8009), "a place");
	EXPECT(!msr_set(vcpu, MSR_ASYNC_INT, 0), "a vector of 0");
	EXPECT(msr_set(vcpu, MSR_ASYNC_ACK, 1) == 1, "ACK");
	EXPECT(msr_get(vcpu, MSR_ASYNC_EN, &value) == 1 && !value, "reads %#lx", value);
}

/* KVM_SET_MSRS stops at the first bad value, KVM_GET_MSR_INDEX_LIST names all three. */
TEST(lists)
{
	struct vcpu *vcpu = ASYNC_GUEST(none);
	struct kvm_msrs *msrs = calloc(1, sizeof(*msrs) + 3 * sizeof(msrs->entries[0]));
	struct kvm_msr_list *list = calloc(1, sizeof(*list) + 512 * sizeof(uint32_t));
	unsigned int found = 0;

	msrs->nmsrs = 3;
	msrs->entries[0] = (struct kvm_msr_entry){ .index = MSR_ASYNC_EN, .data = 0x8009 };
	msrs->entries[1] = (struct kvm_msr_entry){ .index = MSR_ASYNC_INT, .data = 0x1ec };
	msrs->entries[2] = (struct kvm_msr_entry){ .index = MSR_ASYNC_ACK, .data = 1 };
	EXPECT(IOCTL(vcpu->fd, KVM_SET_MSRS, msrs) == 1, "the list goes on behind a bad value");
	list->nmsrs = 512;
	IOCTL(vcpu->vm->sys, KVM_GET_MSR_INDEX_LIST, list);
	for (unsigned int i = 0; i < list->nmsrs; i++)
		found += list->indices[i] == MSR_ASYNC_EN || list->indices[i] == MSR_ASYNC_INT || list->indices[i] == MSR_ASYNC_ACK;
	EXPECT(found == 3, "%u of 3 in the list", found);
}

/* A guest that was moved to this VM gets the broadcast, whatever it waits for. */
GUEST(moved, 64, "sti\n 1: hlt\n jmp 1b\n");
TEST(moved_here)
{
	struct vcpu *vcpu = ASYNC_GUEST(moved);
	struct kvm_lapic_state lapic;
	uint32_t svr = 0x1ff;

	IOCTL(vcpu->fd, KVM_GET_LAPIC, &lapic);
	REQUIRE(msr_set(vcpu, MSR_ASYNC_EN, 0x800b) == 1 && msr_set(vcpu, MSR_ASYNC_INT, ASYNC_VECTOR) == 1, "the registers");
	/* Told once the LAPIC is on, and its state is the last that a VMM sets. */
	memcpy(lapic.regs + 0xf0, &svr, sizeof(svr));
	IOCTL(vcpu->fd, KVM_SET_LAPIC, &lapic);
	say_must(vcpu, SAYS_READY, ~0u, "the broadcast");
}

/* ---- CPUID */

static void bits(struct vcpu *vcpu, uint32_t set)
{
	const uint32_t all = BIT_ASYNC_PF | BIT_ASYNC_PF_VMEXIT | BIT_ASYNC_PF_INT;
	struct kvm_cpuid2 *table = cpuid_supported(vcpu->vm->sys);
	struct kvm_cpuid_entry2 *leaf = cpuid_find(table, PV_LEAF, 0);

	REQUIRE(leaf && (leaf->eax & all) == all, "KVM_GET_SUPPORTED_CPUID offers %#x", leaf ? leaf->eax : 0);
	leaf->eax = (leaf->eax & ~all) | set;
	cpuid_set(vcpu, table);
	free(table);
}

TEST(bits_not_enforced)
{
	struct vcpu *vcpu = ASYNC_GUEST(none);

	bits(vcpu, 0);
	EXPECT(msr_set(vcpu, MSR_ASYNC_EN, 0x800f) == 1 && msr_set(vcpu, MSR_ASYNC_INT, 0xec) == 1, "refused");
}

TEST(bits_enforced)
{
	static const struct { uint32_t bits, msr; uint64_t value; int taken; } cases[] = {
		{ 0, MSR_ASYNC_EN, 0, 0 },
		{ 0, MSR_ASYNC_INT, 0xec, 0 },
		{ 0, MSR_ASYNC_ACK, 1, 0 },
		{ BIT_ASYNC_PF, MSR_ASYNC_EN, 0x8001, 1 },
		{ BIT_ASYNC_PF, MSR_ASYNC_EN, 0x8009, 0 },
		{ BIT_ASYNC_PF, MSR_ASYNC_EN, 0x8005, 0 },
		{ BIT_ASYNC_PF, MSR_ASYNC_INT, 0xec, 0 },
		{ BIT_ASYNC_PF_INT, MSR_ASYNC_EN, 0x8009, 0 },
		{ BIT_ASYNC_PF_INT, MSR_ASYNC_INT, 0xec, 1 },
		{ BIT_ASYNC_PF_INT, MSR_ASYNC_ACK, 1, 1 },
		{ BIT_ASYNC_PF | BIT_ASYNC_PF_INT, MSR_ASYNC_EN, 0x8009, 1 },
		{ BIT_ASYNC_PF | BIT_ASYNC_PF_VMEXIT, MSR_ASYNC_EN, 0x8005, 1 },
	};
	struct kvm_enable_cap cap = { .cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID, .args = { 1 } };
	struct vcpu *vcpu = ASYNC_GUEST(none);
	uint64_t value;

	NEED(vcpu->vm->fd, KVM_CAP_ENFORCE_PV_FEATURE_CPUID);
	IOCTL(vcpu->fd, KVM_ENABLE_CAP, &cap);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bits(vcpu, cases[i].bits);
		EXPECT(msr_set(vcpu, cases[i].msr, cases[i].value) == cases[i].taken, "case %u", i);
	}
	bits(vcpu, BIT_ASYNC_PF_INT);
	EXPECT(!msr_get(vcpu, MSR_ASYNC_EN, &value), "EN can be read");
	EXPECT(msr_get(vcpu, MSR_ASYNC_INT, &value) == 1, "INT cannot be read");
}

/* ---- INIT */

/* INIT to itself, by x2APIC's ICR; the reset vector says 7. */
GUEST(init, 64,
	"xor %edx, %edx\n mov $0x1b, %ecx\n mov $0xfee00d00, %eax\n wrmsr\n"
	"mov $0x80f, %ecx\n mov $0x1ff, %eax\n wrmsr\n mov $0x830, %ecx\n mov $0x4500, %eax\n wrmsr\n"
	"1: pause\n jmp 1b\n");
TEST(after_init)
{
	struct vcpu *vcpu = ASYNC_GUEST(init);
	uint8_t *rom = map_pages(0x1000);
	uint64_t control, vector, clock, steal;

	memcpy(rom + 0xff0, "\x66\xb8\x07\x00\x00\x00\x66\xe7\xe0\xf4", 10);	/* mov $7, %eax; out %eax, $0xe0; hlt */
	slot_set(vcpu->vm, 1, 0xfffff000, 0x1000, rom, 0);
	REQUIRE(msr_set(vcpu, MSR_ASYNC_EN, 0x8009) == 1 && msr_set(vcpu, MSR_ASYNC_INT, 0xec) == 1, "the registers");
	REQUIRE(msr_set(vcpu, MSR_SYSTEM_TIME, 0x9001) == 1 && msr_set(vcpu, MSR_STEAL_TIME, 0xa001) == 1, "the other two");
	guest_expect(vcpu, 7, "at the reset vector");
	msr_get(vcpu, MSR_ASYNC_EN, &control);
	msr_get(vcpu, MSR_ASYNC_INT, &vector);
	msr_get(vcpu, MSR_SYSTEM_TIME, &clock);
	msr_get(vcpu, MSR_STEAL_TIME, &steal);
	EXPECT(!control && !vector && !clock && !steal, "EN %#lx, INT %#lx, clock %#lx, steal time %#lx", control, vector, clock, steal);
}
