// SPDX-License-Identifier: BSD-2-Clause
/*
 * run_state.c - states that a VMM sets by KVM_SET_SREGS, and what an entry makes
 * of them: PAE paging, whose four pointers the processor may load from memory
 * or be given, and a state that it refuses.
 *
 * See: AMD APM volume 2, 5.2.3 and 15.5.1; Intel SDM volume 3, 27.3.1 and 27.3.2.4.
 */
#include <stdlib.h>
#include <string.h>

#include "guest.h"

#define POINTERS GUEST_FREE			/* two sets of four */
#define DIRECTORY(i) (GUEST_FREE + 0x1000 * (1 + (i)))
#define GIB 0x40000000u
#define CR0_PG 0x80000000u
#define CR4_PAE 0x20u
#define ENTRY_FAILED_STATE 0x80000021u		/* VMX: "VM-entry failure due to invalid guest state" */
#define INTEL 0x756e6547u

/* The second GiB is the set's own: 2 MiB at its start are the first or the second 2 MiB of memory. */
static void pae_tables(uint8_t *memory)
{
	for (unsigned int set = 0; set < 2; set++) {
		uint64_t *pointers = (uint64_t *)(memory + POINTERS + 32 * set);

		pointers[0] = DIRECTORY(0) | 1;
		pointers[1] = DIRECTORY(1 + set) | 1;
		*(uint64_t *)(memory + DIRECTORY(1 + set)) = ((uint64_t)set << 21) | 0x83;
	}
	*(uint64_t *)(memory + DIRECTORY(0)) = 0x83;
}

GUEST(pae, 32,
	"1: mov 0x40009000, %eax\n out %eax, $0xe0\n"	/* what the VMM's set shows */
	"mov %cr3, %eax\n xor $0x20, %eax\n mov %eax, %cr3\n mov 0x40009000, %eax\n out %eax, $0xe0\n"	/* the other one */
	"mov %cr4, %eax\n or $0x80, %eax\n mov %eax, %cr4\n mov 0x40009000, %eax\n out %eax, $0xe0\n jmp 1b\n");
/* QEMU's TCG marks the pointers as accessed, a bit that is reserved in them: stock KVM gives #GP at the next load. */
static void pae_marked(const uint8_t *memory)
{
	const uint64_t *pointers = (const uint64_t *)(memory + POINTERS);
	const char *hypervisor = getenv("HYPERVISOR");

	if (pointers[1] & 0x20 && hypervisor && !strcmp(hypervisor, "kvm"))
		test_skip("QEMU's TCG sets a reserved bit of PAE's pointers, which stock KVM refuses");
}

static int on_intel(struct vm *vm)
{
	return cpuid_find(cpuid_supported(vm->sys), 0, 0)->ebx == INTEL;
}

static struct vcpu *pae_guest(void)
{
	struct vm *vm = vm_create(2 * GUEST_MEMORY);
	struct vcpu *vcpu = vcpu_create(vm, 0);

	cpuid_set(vcpu, cpuid_supported(vm->sys));
	vcpu_mode(vcpu, 32);
	LOAD(vm, GUEST_CODE, pae);
	pae_tables(vm->memory);
	bytes_put(vm->memory + 0x9000, 4, 0x1111);
	bytes_put(vm->memory + 0x209000, 4, 0x2222);
	return vcpu;
}

TEST(pae_paging)
{
	struct vcpu *vcpu = pae_guest();
	struct kvm_sregs sregs;

	IOCTL(vcpu->fd, KVM_GET_SREGS, &sregs);
	sregs.cr0 |= CR0_PG;
	sregs.cr4 |= CR4_PAE;
	sregs.cr3 = POINTERS;
	IOCTL(vcpu->fd, KVM_SET_SREGS, &sregs);
	guest_expect(vcpu, 0x1111, "the first set");
	pae_marked(vcpu->vm->memory);
	guest_expect(vcpu, 0x2222, "the second set, by MOV to CR3");
	guest_expect(vcpu, 0x2222, "the second set, after MOV to CR4");
	guest_expect(vcpu, 0x2222, "round again");
	IOCTL(vcpu->fd, KVM_GET_SREGS, &sregs);
	sregs.cr3 = POINTERS + 32;
	IOCTL(vcpu->fd, KVM_SET_SREGS, &sregs);
	guest_expect(vcpu, 0x1111, "the first set, by MOV from the VMM's second");
	guest_expect(vcpu, 0x1111, "the first set, after MOV to CR4");
}

/* The VMM's pointers take the place of those that CR3 points to, where the processor has registers for them: Intel's. */
TEST(pae_pointers_set)
{
	struct vcpu *vcpu = pae_guest();
	uint64_t *pointers = (uint64_t *)(vcpu->vm->memory + POINTERS);
	uint64_t want = pointers[on_intel(vcpu->vm) ? 5 : 1];
	struct kvm_sregs2 s = { };

	NEED(vcpu->vm->fd, KVM_CAP_SREGS2);
	IOCTL(vcpu->fd, KVM_GET_SREGS2, &s);
	s.cr0 |= CR0_PG;
	s.cr4 |= CR4_PAE;
	s.cr3 = POINTERS;
	s.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	memcpy(s.pdptrs, pointers + 4, sizeof(s.pdptrs));
	IOCTL(vcpu->fd, KVM_SET_SREGS2, &s);
	guest_expect(vcpu, on_intel(vcpu->vm) ? 0x2222 : 0x1111, "the set that counts");
	/* QEMU's TCG sets a bit that is reserved in them, and KVM reads none that are bad. */
	for (unsigned int i = 0; i < 4; i++)
		pointers[i] &= ~0x20ull;
	IOCTL(vcpu->fd, KVM_GET_SREGS2, &s);
	EXPECT(s.pdptrs[1] == want, "pointer %#llx instead of %#llx after a run", s.pdptrs[1], (unsigned long long)want);
}

/* CR4 bits that this guest's CPUID has not got are #GP; FSGSBASE, where it is there, is not. */
GUEST(cr4_feature, 64,
	"mov %cr4, %rax\n bts $16, %rax\n mov %rax, %cr4\n mov %cr4, %rax\n shr $16, %eax\n and $1, %eax\n out %eax, $0xe0\n");
static struct vcpu *cr4_guest(int feature)
{
	struct vm *vm = vm_create(GUEST_MEMORY);
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct kvm_cpuid2 *table = cpuid_supported(vm->sys);
	struct kvm_cpuid_entry2 *e = cpuid_find(table, 7, 0);

	if (!e || !(e->ebx & 1))
		test_skip("no FSGSBASE here");
	e->ebx &= feature ? ~0u : ~1u;
	cpuid_set(vcpu, table);
	vcpu_mode(vcpu, 64);
	LOAD(vm, GUEST_CODE, cr4_feature);
	return vcpu;
}

TEST(cr4_by_cpuid)
{
	guest_steps(cr4_guest(1), (const struct step[]) { REPORT(1), {} });
	guest_steps(cr4_guest(0), (const struct step[]) { TRAP(13, 3), REPORT(0), {} });
}

/* 64-bit code of 32 bits: the processor refuses it, the VMM hears why, and may set it right. */
GUEST(refused, 64, "mov $7, %eax\n out %eax, $0xe0\n");
TEST(entry_refused)
{
	struct vcpu *vcpu = GUEST_CREATE(refused, 64);
	int intel = on_intel(vcpu->vm);
	struct kvm_sregs sregs;
	uint64_t reason;

	need_silicon();
	IOCTL(vcpu->fd, KVM_GET_SREGS, &sregs);
	sregs.cs.db = 1;
	IOCTL(vcpu->fd, KVM_SET_SREGS, &sregs);
	for (unsigned int i = 0; i < 3; i++) {
		run_until(vcpu, KVM_EXIT_FAIL_ENTRY);
		reason = vcpu->run->fail_entry.hardware_entry_failure_reason;
		REQUIRE(intel ? reason == ENTRY_FAILED_STATE : (uint32_t)reason == ~0u, "reason %#lx", reason);
	}
	sregs.cs.db = 0;
	IOCTL(vcpu->fd, KVM_SET_SREGS, &sregs);
	guest_expect(vcpu, 7, "with a state as it should be");
}
