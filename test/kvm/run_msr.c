// SPDX-License-Identifier: BSD-2-Clause
/*
 * run_msr.c - model-specific registers, from the guest and from the VMM.
 *
 * Owns: the table of registers and what a write to each must do. Invariant:
 * what the guest wrote the VMM reads, and the other way round.
 * See: AMD APM volume 2, appendix A.
 */
#include <string.h>

#include "guest.h"

/* RSI: 0 read, 1 write. RCX the number, RAX and RDX the value; the end is a HLT. */
GUEST(msr, 64,
	"test %esi, %esi\n jnz 1f\n rdmsr\n hlt\n 1: wrmsr\n hlt\n");
#define RDMSR_AT (GUEST_CODE + 4)
#define WRMSR_AT (GUEST_CODE + 7)

#define MSR_ASYNC_PF_INT 0x4b564d06

enum { DONE, FAULTED };

/* One RDMSR or WRMSR in the guest: DONE, or FAULTED with #GP. */
static int guest_msr(struct vcpu *vcpu, uint32_t index, int write, uint64_t *value)
{
	struct kvm_regs regs = { .rip = GUEST_CODE, .rsp = GUEST_STACK, .rflags = 2, .rsi = write, .rcx = index };
	uint64_t stub;

	regs.rax = (uint32_t)*value;
	regs.rdx = *value >> 32;
	regs_set(vcpu, &regs);
	run_until(vcpu, KVM_EXIT_HLT);
	regs_get(vcpu, &regs);
	*value = (uint32_t)regs.rax | regs.rdx << 32;
	stub = regs.rip - STUB_HALTED - GUEST_STUBS;
	if (stub >= 256 * STUB_BYTES)
		return DONE;
	REQUIRE(stub == 13 * STUB_BYTES, "MSR %#x: exception %lu", index, stub / STUB_BYTES);
	return FAULTED;
}

struct msr_row {
	uint32_t index;
	uint64_t value;		/* written, and read back */
	int faults;		/* the write */
	const char *name;
};

static const struct msr_row written[] = {
	{ 0xc0000080, 0xd01, DONE, "EFER with NXE and SCE" },
	{ 0xc0000080, 0x500, DONE, "EFER back" },
	{ 0xc0000080, 0x400, FAULTED, "EFER.LME off with paging on" },
	{ 0xc0000080, 1ull << 40, FAULTED, "EFER reserved bit" },
	{ 0xc0000081, 0x0023001000000000, DONE, "STAR" },
	{ 0xc0000082, 0xffffffff81000000, DONE, "LSTAR" },
	{ 0xc0000083, 0x7fffffffffff, DONE, "CSTAR" },
	{ 0xc0000084, 0x47700, DONE, "SFMASK" },
	{ 0xc0000100, 0x7f0000001000, DONE, "FS_BASE" },
	{ 0xc0000101, 0xffff888000001000, DONE, "GS_BASE" },
	{ 0xc0000102, 0xffff888000002000, DONE, "KERNEL_GS_BASE" },
	{ 0x174, 0x10, DONE, "SYSENTER_CS" },
	{ 0x175, 0x8000, DONE, "SYSENTER_ESP" },
	{ 0x176, 0x1000, DONE, "SYSENTER_EIP" },
	{ 0x277, 0x0007040600070406, DONE, "PAT reset value" },
	{ 0x277, 0x0007010600070106, DONE, "PAT as Linux sets it" },
	{ 0x277, 0x0000000000000002, FAULTED, "PAT with a reserved type" },
	{ 0x2ff, 0xc00, DONE, "MTRR default type" },
	{ 0x2ff, 0x1000, FAULTED, "MTRR default type, reserved bit" },
	{ 0x200, 0x6, DONE, "MTRR base 0" },
	{ 0x200, 0x2, FAULTED, "MTRR base 0, reserved type" },
	{ 0x250, 0x0606060606060606, DONE, "MTRR fixed 64K" },
	{ 0x26f, 0x0505050505050505, DONE, "MTRR fixed 4K" },
	{ 0xfe, 0x508, FAULTED, "MTRR capabilities are read only" },
	{ 0xdeadbeef, 0, FAULTED, "no such MSR" },
	{ 0x4711, 1, FAULTED, "no such MSR" },
};

TEST(msr_write)
{
	struct vcpu *vcpu = GUEST_CREATE(msr, 64);

	for (const struct msr_row *row = written; row < written + sizeof(written) / sizeof(*written); row++) {
		uint64_t value = row->value;
		int result = guest_msr(vcpu, row->index, 1, &value);

		EXPECT(result == row->faults, "%s: the write %s", row->name, result ? "faults" : "does not fault");
		if (row->faults || result)
			continue;
		value = 0;
		EXPECT(guest_msr(vcpu, row->index, 0, &value) == DONE && value == row->value,
		       "%s: reads %#lx, wanted %#lx", row->name, value, row->value);
		value = 0;
		EXPECT(msr_get(vcpu, row->index, &value) && value == row->value,
		       "%s: KVM_GET_MSRS gives %#lx, wanted %#lx", row->name, value, row->value);
	}
}

/* Reading these is what an operating system does early; a fault there is fatal to it. */
static const struct msr_row readable[] = {
	{ 0x10, 0, DONE, "TSC" },
	{ 0x1b, 0, DONE, "APIC_BASE" },
	{ 0x8b, 0, DONE, "PATCH_LEVEL" },
	{ 0xfe, 0, DONE, "MTRRcap" },
	{ 0x179, 0, DONE, "MCG_CAP" },
	{ 0x17a, 0, DONE, "MCG_STATUS" },
	{ 0x1d9, 0, DONE, "DEBUGCTL" },
	{ 0x2ff, 0, DONE, "MTRRdefType" },
	{ 0xc0010010, 0, DONE, "SYSCFG" },
	{ 0xc0010015, 0, DONE, "HWCR" },
	{ 0xc001001f, 0, DONE, "NB_CFG" },
	{ 0xc0010112, 0, DONE, "TSEG base" },
	{ 0xc0010113, 0, DONE, "TSEG mask" },
	{ 0xc0010055, 0, DONE, "interrupt pending message" },
	{ 0xc001102a, 0, DONE, "BU_CFG2" },
	{ 0xc0011022, 0, DONE, "DC_CFG" },
	{ 0xdeadbeef, 0, FAULTED, "no such MSR" },
	{ 0x4711, 0, FAULTED, "no such MSR" },
	{ 0xc0000079, 0, FAULTED, "no such MSR" },
	{ 0x40000000, 0, FAULTED, "Hyper-V's, which the CPUID does not offer" },
};

TEST(msr_read)
{
	struct vcpu *vcpu = GUEST_CREATE(msr, 64);

	for (const struct msr_row *row = readable; row < readable + sizeof(readable) / sizeof(*readable); row++) {
		uint64_t value = 0;
		int result = guest_msr(vcpu, row->index, 0, &value);

		EXPECT(result == row->faults, "%#x %s: the read %s", row->index, row->name, result ? "faults" : "does not fault");
	}
}

/* Addresses that are not canonical, for processors with five levels of page tables neither. */
TEST(msr_canonical)
{
	static const uint32_t rows[] = { 0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101, 0xc0000102, 0x175, 0x176 };
	struct vcpu *vcpu = GUEST_CREATE(msr, 64);

	need_silicon();
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t value = 0x8000000000000000;

		EXPECT(guest_msr(vcpu, rows[i], 1, &value) == FAULTED, "%#x: the write does not fault", rows[i]);
	}
}

/* What the VMM sets the guest reads. */
TEST(msr_from_vmm)
{
	static const struct msr_row rows[] = {
		{ 0xc0000081, 0x1234567800000000 }, { 0xc0000082, 0xffffffff80001234 }, { 0xc0000084, 0x200 },
		{ 0xc0000102, 0xffff800000001000 }, { 0xc0000101, 0x1000 }, { 0x174, 8 }, { 0x277, 0x0606060606060606 },
	};
	struct vcpu *vcpu = GUEST_CREATE(msr, 64);

	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t value = 0;

		EXPECT(msr_set(vcpu, rows[i].index, rows[i].value), "%#x: KVM_SET_MSRS refuses", rows[i].index);
		EXPECT(guest_msr(vcpu, rows[i].index, 0, &value) == DONE && value == rows[i].value,
		       "%#x: the guest reads %#lx", rows[i].index, value);
	}
}

/* KVM_SET_MSRS of the TSC moves the guest's clock. */
TEST(msr_tsc)
{
	struct vcpu *vcpu = GUEST_CREATE(msr, 64);
	uint64_t value = 0, far = 1ull << 50;

	REQUIRE(msr_set(vcpu, 0x10, far), "KVM_SET_MSRS refuses the TSC");
	guest_msr(vcpu, 0x10, 0, &value);
	REQUIRE(value >= far && value < far + (1ull << 40), "the guest reads %#lx", value);
	value = 2 * far;
	REQUIRE(guest_msr(vcpu, 0x10, 1, &value) == DONE, "the guest's write faults");
	REQUIRE(msr_get(vcpu, 0x10, &value) && value >= 2 * far && value < 2 * far + (1ull << 40), "KVM_GET_MSRS gives %#lx", value);
}

/* EFER.SVME is refused where CPUID has no SVM. */
TEST(msr_no_svm)
{
	struct vm *vm = vm_create(GUEST_MEMORY);
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct kvm_cpuid2 *table = cpuid_supported(vm->sys);
	struct kvm_cpuid_entry2 *e = cpuid_find(table, 0x80000001, 0);
	uint64_t value = 0x1500;

	e->ecx &= ~4u;
	cpuid_set(vcpu, table);
	vcpu_mode(vcpu, 64);
	LOAD(vm, GUEST_CODE, msr);
	REQUIRE(guest_msr(vcpu, 0xc0000080, 1, &value) == FAULTED, "SVME can be set");
	value = 0;
	REQUIRE(guest_msr(vcpu, 0xc0000080, 0, &value) == DONE && value == 0x500, "EFER %#lx", value);
}

/* The list that KVM offers for saving can be saved, and put back. */
TEST(msr_index_list)
{
	struct { struct kvm_msr_list head; uint32_t index[512]; } list = { .head.nmsrs = 512 };
	struct vcpu *vcpu = GUEST_CREATE(msr, 64);
	uint64_t value;

	IOCTL(vcpu->vm->sys, KVM_GET_MSR_INDEX_LIST, &list);
	REQUIRE(list.head.nmsrs > 10, "%u MSRs", list.head.nmsrs);
	for (uint32_t i = 0; i < list.head.nmsrs; i++) {
		if (list.head.indices[i] == MSR_ASYNC_PF_INT)
			continue;	/* KVM takes it with an in-kernel LAPIC only */
		if (!msr_get(vcpu, list.head.indices[i], &value))
			continue;	/* listed, but not with this CPUID */
		EXPECT(msr_set(vcpu, list.head.indices[i], value), "%#x: read %#lx, not taken back", list.head.indices[i], value);
	}
}
