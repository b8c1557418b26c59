// SPDX-License-Identifier: BSD-2-Clause
/*
 * abi_test.c - abi/ against the installed <linux/kvm.h>, and the invariants
 * that ring.h, exit.h and ops.h promise: sizes, alignment, numbers that are
 * KVM's own, no number twice for one kind, payloads that fit the ring.
 */
#include <stddef.h>
#include <linux/kvm.h>
#include "check.h"
#include "../../abi/hypercall.h"
#include "../../abi/ops.h"
#include "../../abi/ring.h"
#include "../../abi/x86_64/check.h"
#include "../../abi/x86_64/exit.h"
#include "../../abi/x86_64/kvm.h"

#define SAME_SIZE(ours, kvm) CHECK_EQ(sizeof(struct ours), sizeof(struct kvm));
#define SAME_FIELD(ours, kvm, our_field, kvm_field) \
	CHECK_EQ(offsetof(struct ours, our_field), offsetof(struct kvm, kvm_field)); \
	CHECK_EQ(sizeof(((struct ours *)0)->our_field), sizeof(((struct kvm *)0)->kvm_field));

TEST(abi_structs_are_kvm_s)
{
	ABI_STRUCTS(SAME_SIZE)
	ABI_FIELDS(SAME_FIELD)
}

TEST(abi_flags_are_kvm_s)
{
	CHECK_EQ(ABI_CPUID_SIGNIFICANT_INDEX, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
	CHECK_EQ(ABI_EVENT_NMI_PENDING, KVM_VCPUEVENT_VALID_NMI_PENDING);
	CHECK_EQ(ABI_EVENT_SIPI_VECTOR, KVM_VCPUEVENT_VALID_SIPI_VECTOR);
	CHECK_EQ(ABI_EVENT_SHADOW, KVM_VCPUEVENT_VALID_SHADOW);
	CHECK_EQ(ABI_EVENT_SMM, KVM_VCPUEVENT_VALID_SMM);
	CHECK_EQ(ABI_EVENT_PAYLOAD, KVM_VCPUEVENT_VALID_PAYLOAD);
	CHECK_EQ(ABI_EVENT_TRIPLE_FAULT, KVM_VCPUEVENT_VALID_TRIPLE_FAULT);
	CHECK_EQ(ABI_SHADOW_MOV_SS, KVM_X86_SHADOW_INT_MOV_SS);
	CHECK_EQ(ABI_SHADOW_STI, KVM_X86_SHADOW_INT_STI);
	CHECK_EQ(ABI_DEBUG_ENABLE, KVM_GUESTDBG_ENABLE);
	CHECK_EQ(ABI_DEBUG_SINGLESTEP, KVM_GUESTDBG_SINGLESTEP);
	CHECK_EQ(ABI_DEBUG_USE_SW_BP, KVM_GUESTDBG_USE_SW_BP);
	CHECK_EQ(ABI_DEBUG_USE_HW_BP, KVM_GUESTDBG_USE_HW_BP);
	CHECK_EQ(ABI_DEBUG_INJECT_DB, KVM_GUESTDBG_INJECT_DB);
	CHECK_EQ(ABI_DEBUG_INJECT_BP, KVM_GUESTDBG_INJECT_BP);
	CHECK_EQ(ABI_DEBUG_BLOCKIRQ, KVM_GUESTDBG_BLOCKIRQ);
}

struct op {
	const char *name;
	int kind;
	unsigned int number;
	int is_kvm;
	unsigned int kvm_number;
	unsigned long in, out;
};

enum { SYSTEM, VM, VCPU };

/* A row named KVM_* has the header's number; OP_* are macros of ops.h too. */
#define OP_ROW(kind, number, name, in, out) \
	{ #name, kind, number, #name[0] == 'K', (unsigned int)(name), in, out },
static const struct op ops[] = { ABI_OPS(OP_ROW) };

TEST(abi_operations_have_their_numbers)
{
	unsigned int i;

	for (i = 0; i < COUNT(ops); i++)
		if (ops[i].number != ops[i].kvm_number)
			test_fail(__FILE__, __LINE__, "%s is %#x, not %#x", ops[i].name, ops[i].number,
				  ops[i].kvm_number);
}

/* An entry's number alone tells the kind of its handle, so it is unique across kinds. */
TEST(abi_operations_are_unique)
{
	unsigned int i, j;

	for (i = 0; i < COUNT(ops); i++)
		for (j = 0; j < i; j++)
			if (ops[i].number == ops[j].number)
				test_fail(__FILE__, __LINE__, "%s and %s", ops[i].name, ops[j].name);
}

TEST(abi_payloads_fit)
{
	unsigned int i;

	for (i = 0; i < COUNT(ops); i++)
		if (ops[i].in > RING_OP_BYTES || ops[i].out > RING_OP_BYTES)
			test_fail(__FILE__, __LINE__, "%s", ops[i].name);
	CHECK(RING_OP_BYTES <= RING_PAYLOAD_BYTES);
	CHECK(RING_PAYLOAD_BYTES >= 16384);
}

TEST(abi_ring_layout)
{
	CHECK_EQ(sizeof(struct ring), RING_BYTES);
	CHECK_EQ(RING_BYTES & (RING_BYTES - 1), 0);
	CHECK_EQ(offsetof(struct ring, payload), RING_PAYLOAD_OFFSET);
	CHECK_EQ(RING_PAYLOAD_OFFSET % 4096, 0);
	CHECK_EQ(sizeof(struct ring_entry), 32);
	/* submit and complete have a cache line each, the entries their own */
	CHECK_EQ(offsetof(struct ring, submit), 0);
	CHECK_EQ(offsetof(struct ring, complete), 64);
	CHECK_EQ(offsetof(struct ring, entry), 128);
	/* indexes that run through 2^32 need a power of two */
	CHECK_EQ(RING_ENTRIES & (RING_ENTRIES - 1), 0);
}

TEST(abi_exit_page_layout)
{
	CHECK(sizeof(struct exit_state) <= EXIT_RESUME_OFFSET);
	CHECK_EQ(offsetof(struct exit_page, in), EXIT_RESUME_OFFSET);
	CHECK(sizeof(struct exit_page) <= 4096);
	CHECK_EQ(sizeof(struct state_segment), 16);
	CHECK(EXIT_EOI < STAT_COUNT);
	/* no padding that one side would leave unwritten */
	CHECK_EQ(offsetof(struct exit_state, regs) % 8, 0);
	CHECK_EQ(offsetof(struct exit_state, seg), offsetof(struct exit_state, shadow) + 4);
	CHECK_EQ(sizeof(struct vcpu_create), 16);
	CHECK_EQ(sizeof(struct map_range), 32);
	CHECK_EQ(sizeof(struct log_chunk), 16 + LOG_CHUNK_BYTES);
}

TEST(abi_signature)
{
	CHECK_EQ(sizeof(ABI_SIGNATURE), 13);
	CHECK(ABI_CPUID_BASE == 0x40000000u);
}
