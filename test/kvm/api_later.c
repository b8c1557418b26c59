// SPDX-License-Identifier: BSD-2-Clause
/*
 * api_later.c - what KVM got later: registers in the run page, KVM_GET_SREGS2,
 * KVM_GET_XSAVE2, machine checks that the VMM puts into a guest, exceptions with
 * a payload, a pending triple fault, attributes of /dev/kvm.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "guest.h"

#define REGS KVM_SYNC_X86_REGS
#define SREGS KVM_SYNC_X86_SREGS
#define EVENTS KVM_SYNC_X86_EVENTS

static struct scene sync_scene(void)
{
	struct scene scene = scene_create();

	NEED(scene.vm->fd, KVM_CAP_SYNC_REGS);
	EXPECT(kvm_capability(scene.vm->fd, KVM_CAP_SYNC_REGS) == (REGS | SREGS | EVENTS), "the capability's value");
	vcpu_mode(scene.vcpu, 16);
	vm_load(scene.vm, GUEST_CODE, "\x40\xe6\x10\xeb\xfb", 5);	/* 1: inc %ax; out %al, $0x10; jmp 1b */
	return scene;
}

/* The run page shows what the calls show. */
TEST(sync_shows)
{
	struct scene scene = sync_scene();
	struct kvm_run *run = scene.vcpu->run;
	struct kvm_vcpu_events events;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	run->kvm_valid_regs = REGS | SREGS | EVENTS;
	for (unsigned int i = 1; i < 4; i++) {
		run_until(scene.vcpu, KVM_EXIT_IO);
		regs_get(scene.vcpu, &regs);
		IOCTL(scene.vcpu->fd, KVM_GET_SREGS, &sregs);
		IOCTL(scene.vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
		EXPECT(regs.rax == i && !memcmp(&regs, &run->s.regs.regs, sizeof(regs)), "round %u: registers", i);
		EXPECT(!memcmp(&sregs, &run->s.regs.sregs, sizeof(sregs)), "round %u: special registers", i);
		EXPECT(!memcmp(&events, &run->s.regs.events, sizeof(events)), "round %u: events", i);
	}
	/* Only what is asked for. */
	run->kvm_valid_regs = 0;
	run->s.regs.regs.rax = 0x1234;
	run_until(scene.vcpu, KVM_EXIT_IO);
	EXPECT(run->s.regs.regs.rax == 0x1234, "written unasked");
}

TEST(sync_sets)
{
	struct scene scene = sync_scene();
	struct kvm_run *run = scene.vcpu->run;

	run->kvm_valid_regs = REGS | SREGS | EVENTS;
	run_until(scene.vcpu, KVM_EXIT_IO);
	run->s.regs.regs.rax = 0x40;
	run->s.regs.sregs.fs.base = 0x5000;
	run->kvm_dirty_regs = REGS | SREGS;
	run_until(scene.vcpu, KVM_EXIT_IO);
	EXPECT(!run->kvm_dirty_regs, "dirty bits stay: %#llx", run->kvm_dirty_regs);
	EXPECT(run->s.regs.regs.rax == 0x41 && run->s.regs.sregs.fs.base == 0x5000, "rax %#llx, FS %#llx",
	       run->s.regs.regs.rax, run->s.regs.sregs.fs.base);
	/* What is not marked is not taken. */
	run->s.regs.regs.rax = 0x90;
	run_until(scene.vcpu, KVM_EXIT_IO);
	EXPECT(run->s.regs.regs.rax == 0x42, "taken unasked: %#llx", run->s.regs.regs.rax);
}

TEST(sync_refusals)
{
	struct scene scene = sync_scene();
	struct kvm_run *run = scene.vcpu->run;

	run->kvm_valid_regs = REGS | SREGS | EVENTS;
	run_until(scene.vcpu, KVM_EXIT_IO);
	run->kvm_valid_regs = 8;
	EXPECT(run_try(scene.vcpu) == -EINVAL, "unknown kvm_valid_regs");
	run->kvm_valid_regs = REGS | SREGS | EVENTS;
	run->kvm_dirty_regs = 8;
	EXPECT(run_try(scene.vcpu) == -EINVAL, "unknown kvm_dirty_regs");
	/* Impossible special registers: the general ones were taken already. */
	run->kvm_dirty_regs = REGS | SREGS;
	run->s.regs.regs.rax = 0x60;
	run->s.regs.sregs.cr0 |= 1ull << 40;
	EXPECT(run_try(scene.vcpu) == -EINVAL, "impossible CR0");
	EXPECT(run->kvm_dirty_regs == SREGS, "dirty bits %#llx", run->kvm_dirty_regs);
	EXPECT(run->s.regs.regs.rax == 0x60 && !(run->s.regs.sregs.cr0 >> 32), "what is shown after it");
	run->kvm_dirty_regs = EVENTS;
	run->s.regs.events.flags = 0x80000000;
	EXPECT(run_try(scene.vcpu) == -EINVAL, "unknown flags of events");
	run->kvm_dirty_regs = 0;
	run_until(scene.vcpu, KVM_EXIT_IO);
	EXPECT(run->s.regs.regs.rax == 0x61, "rax %#llx", run->s.regs.regs.rax);
}

/* ---- KVM_GET_SREGS2, KVM_SET_SREGS2 */

TEST(sregs2)
{
	static const struct state_calls calls = { KVM_GET_SREGS2, KVM_SET_SREGS2, sizeof(struct kvm_sregs2) };
	static const struct mutation rows[] = {
		{ "nothing", { }, 0 },
		{ "FS base", { POKE(struct kvm_sregs2, fs.base, 0x7000) }, 0 },
		{ "an unknown flag", { POKE(struct kvm_sregs2, flags, 2) }, -EINVAL },
		{ "PDPTEs in long mode", { POKE(struct kvm_sregs2, flags, 1) }, -EINVAL },
		{ "CR0 above 32 bits", { POKE(struct kvm_sregs2, cr0, 1ull << 32) }, -EINVAL },
		{ "paging without protection", { POKE(struct kvm_sregs2, cr0, 0x80000010) }, -EINVAL },
		{ "CR4 reserved", { POKE(struct kvm_sregs2, cr4, 1ull << 40) }, -EINVAL },
		{ "APIC base reserved", { POKE(struct kvm_sregs2, apic_base, 0xfee00901) }, -EINVAL },
	};
	struct scene scene = scene_create();
	struct kvm_sregs2 two;
	struct kvm_sregs one;

	NEED(scene.vm->fd, KVM_CAP_SREGS2);
	vcpu_mode(scene.vcpu, 64);
	memset(&two, 0xff, sizeof(two));
	IOCTL(scene.vcpu->fd, KVM_GET_SREGS2, &two);
	IOCTL(scene.vcpu->fd, KVM_GET_SREGS, &one);
	EXPECT(!memcmp(&one, &two, offsetof(struct kvm_sregs2, flags)), "the common part differs");
	EXPECT(!two.flags && !two.pdptrs[0] && !two.pdptrs[3], "flags %#llx in long mode", two.flags);
	MUTATE(&scene, &calls, rows);
}

/* With PAE paging the four entries are part of the state. */
TEST(sregs2_pae)
{
	struct scene scene = scene_create();
	uint64_t *table = (uint64_t *)(scene.vm->memory + GUEST_DATA);
	struct kvm_sregs2 s;

	NEED(scene.vm->fd, KVM_CAP_SREGS2);
	vcpu_mode(scene.vcpu, 32);
	for (unsigned int i = 0; i < 4; i++)
		table[i] = (GUEST_TABLES + 0x2000 + i * 0x1000) | 1;
	IOCTL(scene.vcpu->fd, KVM_GET_SREGS2, &s);
	s.cr3 = GUEST_DATA;
	s.cr4 |= 0x20;
	s.cr0 |= 0x80000000;
	s.flags = 1;
	memcpy(s.pdptrs, table, sizeof(s.pdptrs));
	IOCTL(scene.vcpu->fd, KVM_SET_SREGS2, &s);
	memset(&s, 0, sizeof(s));
	IOCTL(scene.vcpu->fd, KVM_GET_SREGS2, &s);
	EXPECT(s.flags == 1 && !memcmp(s.pdptrs, table, sizeof(s.pdptrs)), "flags %#llx, first entry %#llx", s.flags, s.pdptrs[0]);
	/* Others than those in memory: what was set is read back. */
	s.pdptrs[3] = table[0];
	IOCTL(scene.vcpu->fd, KVM_SET_SREGS2, &s);
	memset(&s, 0, sizeof(s));
	IOCTL(scene.vcpu->fd, KVM_GET_SREGS2, &s);
	EXPECT(s.flags == 1 && s.pdptrs[3] == table[0], "flags %#llx, last entry %#llx", s.flags, s.pdptrs[3]);
	/* Without them those in memory are loaded. */
	s.flags = 0;
	IOCTL(scene.vcpu->fd, KVM_SET_SREGS2, &s);
	IOCTL(scene.vcpu->fd, KVM_GET_SREGS2, &s);
	EXPECT(s.flags == 1 && s.pdptrs[3] == table[3], "flags %#llx, last entry %#llx of memory's", s.flags, s.pdptrs[3]);
	vm_load(scene.vm, GUEST_CODE, "\xe6\x10", 2);
	run_until(scene.vcpu, KVM_EXIT_IO);
}

TEST(xsave2)
{
	struct scene scene = scene_create();
	int size = kvm_capability(scene.vm->fd, KVM_CAP_XSAVE2);
	uint8_t *one, *two;

	NEED(scene.vm->fd, KVM_CAP_XSAVE2);
	REQUIRE(size >= 4096 && size <= 65536, "%d bytes", size);
	one = calloc(1, 4096);
	two = calloc(1, size + 64);
	memset(two + size, 0xa5, 64);
	IOCTL(scene.vcpu->fd, KVM_GET_XSAVE, one);
	IOCTL(scene.vcpu->fd, KVM_GET_XSAVE2, two);
	EXPECT(!memcmp(one, two, 4096), "both forms differ");
	EXPECT(two[size] == 0xa5 && two[size + 63] == 0xa5, "written past its size");
	EXPECT(ioctl_try(scene.vcpu->fd, KVM_GET_XSAVE2, (void *)16) == -EFAULT, "a bad pointer");
}

/* ---- machine checks */

#define CTL_P (1ull << 8)
#define SER_P (1ull << 24)
#define VAL (1ull << 63)
#define UC (1ull << 61)
#define PCC (1ull << 57)

static uint64_t bank(struct vcpu *vcpu, unsigned int n, unsigned int reg)
{
	uint64_t value = 0;

	EXPECT(msr_get(vcpu, 0x400 + 4 * n + reg, &value), "bank %u has no register %u", n, reg);
	return value;
}

#define SETUP(want, what, cap) CALL(ON_VCPU, KVM_X86_SETUP_MCE, want, what, uint64_t, cap)
#define ERROR(want, what, ...) CALL(ON_VCPU, KVM_X86_SET_MCE, want, what, struct kvm_x86_mce, __VA_ARGS__)

TEST(mce_refusals)
{
	const struct call rows[] = {
		SETUP(-EINVAL, "no bank", 0), SETUP(-EINVAL, "33 banks", 33), SETUP(-EINVAL, "unknown bits", 10 | 1ull << 60),
		ERROR(-EINVAL, "not valid", .bank = 0), ERROR(-EINVAL, "bank 32", .bank = 32, .status = VAL),
		SETUP(0, "ten banks", 10 | CTL_P | SER_P),
		ERROR(-EINVAL, "bank 10", .bank = 10, .status = VAL),
		ERROR(0, "bank 9", .bank = 9, .status = VAL),
		BAD_POINTER(ON_VCPU, KVM_X86_SETUP_MCE), BAD_POINTER(ON_VCPU, KVM_X86_SET_MCE),
		BAD_POINTER(ON_SYSTEM, KVM_X86_GET_MCE_CAP_SUPPORTED),
	};
	struct scene scene = scene_create();
	uint64_t cap = 0, value;

	NEED(scene.vm->fd, KVM_CAP_MCE);
	EXPECT(kvm_capability(scene.vm->fd, KVM_CAP_MCE) == 32, "%d banks", kvm_capability(scene.vm->fd, KVM_CAP_MCE));
	IOCTL(scene.vm->sys, KVM_X86_GET_MCE_CAP_SUPPORTED, &cap);
	EXPECT(cap & CTL_P && cap & SER_P, "supported: %#lx", cap);
	EXPECT(msr_get(scene.vcpu, 0x179, &value) && value == 32, "MCG_CAP %#lx", value);
	PLAY(&scene, rows);
	/* AMD's have no more than the count and MCG_CTL. */
	EXPECT(msr_get(scene.vcpu, 0x179, &value) && (value & ~SER_P) == (10 | CTL_P), "MCG_CAP %#lx", value);
	EXPECT(msr_get(scene.vcpu, 0x17b, &value) && value == ~0ull, "MCG_CTL %#lx", value);
	EXPECT(bank(scene.vcpu, 9, 0) == ~0ull && bank(scene.vcpu, 9, 1) == VAL, "bank 9");
	EXPECT(!msr_get(scene.vcpu, 0x400 + 40, &value), "bank 10 is there");
	EXPECT(!msr_set(scene.vcpu, 0x179, 5), "MCG_CAP can be written");
	EXPECT(!msr_set(scene.vcpu, 0x400, 5) && msr_set(scene.vcpu, 0x400, 0) && msr_set(scene.vcpu, 0x400, ~0ull), "MC0_CTL");
	EXPECT(!msr_set(scene.vcpu, 0x17b, 5) && msr_set(scene.vcpu, 0x17b, 0), "MCG_CTL");
}

/* Corrected errors stay in the bank; a second one marks the loss. */
TEST(mce_corrected)
{
	struct scene scene = scene_create();
	struct kvm_x86_mce e = { .bank = 3, .status = VAL | 0x11, .addr = 0x1000, .misc = 0x8c };
	uint64_t cap = 10 | CTL_P;

	NEED(scene.vm->fd, KVM_CAP_MCE);
	IOCTL(scene.vcpu->fd, KVM_X86_SETUP_MCE, &cap);
	IOCTL(scene.vcpu->fd, KVM_X86_SET_MCE, &e);
	EXPECT(bank(scene.vcpu, 3, 1) == e.status && bank(scene.vcpu, 3, 2) == 0x1000 && bank(scene.vcpu, 3, 3) == 0x8c, "bank 3");
	e.addr = 0x2000;
	IOCTL(scene.vcpu->fd, KVM_X86_SET_MCE, &e);
	EXPECT(bank(scene.vcpu, 3, 1) == (e.status | 1ull << 62) && bank(scene.vcpu, 3, 2) == 0x2000, "overflow: %#lx",
	       bank(scene.vcpu, 3, 1));
}

/* An uncorrected one is #MC, or the end of a guest that does not take it. */
TEST(mce_uncorrected)
{
	struct scene scene = scene_create();
	struct kvm_x86_mce e = { .bank = 1, .status = VAL | UC | PCC, .addr = 0x3000, .mcg_status = 5 };
	uint64_t cap = 10 | CTL_P | SER_P, value;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	NEED(scene.vm->fd, KVM_CAP_MCE);
	IOCTL(scene.vcpu->fd, KVM_X86_SETUP_MCE, &cap);
	vcpu_mode(scene.vcpu, 64);
	vm_load(scene.vm, GUEST_CODE, "\xe6\x10\xeb\xfc", 4);
	IOCTL(scene.vcpu->fd, KVM_GET_SREGS, &sregs);
	sregs.cr4 |= 0x40;
	IOCTL(scene.vcpu->fd, KVM_SET_SREGS, &sregs);
	run_until(scene.vcpu, KVM_EXIT_IO);
	IOCTL(scene.vcpu->fd, KVM_X86_SET_MCE, &e);
	EXPECT(bank(scene.vcpu, 1, 1) == e.status && bank(scene.vcpu, 1, 2) == 0x3000, "bank 1");
	EXPECT(msr_get(scene.vcpu, 0x17a, &value) && value == 5, "MCG_STATUS %#lx", value);
	run_until(scene.vcpu, KVM_EXIT_HLT);
	regs_get(scene.vcpu, &regs);
	EXPECT((regs.rip - STUB_HALTED - GUEST_STUBS) / STUB_BYTES == 18, "handler at %#llx", regs.rip);
	/* Another while the first is in progress. */
	IOCTL(scene.vcpu->fd, KVM_X86_SET_MCE, &e);
	run_until(scene.vcpu, KVM_EXIT_SHUTDOWN);
}

/* ---- pending events ---- */

static void enable(const struct scene *scene, uint32_t number)
{
	struct kvm_enable_cap cap = { .cap = number, .args = { 1 } };

	NEED(scene->vm->fd, number);
	IOCTL(scene->vm->fd, KVM_ENABLE_CAP, &cap);
}

static struct scene event_scene(uint32_t capability)
{
	struct scene scene = scene_create();

	enable(&scene, capability);
	vcpu_mode(scene.vcpu, 64);
	vm_load(scene.vm, GUEST_CODE, "\xe6\x10\xeb\xfc", 4);
	run_until(scene.vcpu, KVM_EXIT_IO);
	return scene;
}

static uint64_t cr2_get(struct vcpu *vcpu)
{
	struct kvm_sregs sregs = { 0 };

	IOCTL(vcpu->fd, KVM_GET_SREGS, &sregs);
	return sregs.cr2;
}

static uint64_t dr6_get(struct vcpu *vcpu)
{
	struct kvm_debugregs regs = { 0 };

	IOCTL(vcpu->fd, KVM_GET_DEBUGREGS, &regs);
	return regs.dr6;
}

/* What is pending is read back as it was given, changes nothing yet, and survives a KVM_RUN that does not enter. */
static void payload_pending(struct vcpu *vcpu, uint8_t vector, uint64_t payload)
{
	struct kvm_vcpu_events e = { 0 }, got = { 0 };

	IOCTL(vcpu->fd, KVM_GET_VCPU_EVENTS, &e);
	EXPECT(e.flags & KVM_VCPUEVENT_VALID_PAYLOAD && !e.exception.pending && !e.exception.injected, "flags %#x", e.flags);
	e.exception.pending = e.exception_has_payload = 1;
	e.exception.injected = 1;
	e.exception.nr = vector;
	e.exception.has_error_code = vector == 14;
	e.exception.error_code = 0;
	e.exception_payload = payload;
	IOCTL(vcpu->fd, KVM_SET_VCPU_EVENTS, &e);
	vcpu->run->immediate_exit = 1;
	EXPECT(ioctl_try(vcpu->fd, KVM_RUN, NULL) == -EINTR, "KVM_RUN with immediate_exit");
	vcpu->run->immediate_exit = 0;
	IOCTL(vcpu->fd, KVM_GET_VCPU_EVENTS, &got);
	EXPECT(got.exception.pending && !got.exception.injected && got.exception.nr == vector, "vector %u: pending %u injected %u nr %u",
	       vector, got.exception.pending, got.exception.injected, got.exception.nr);
	EXPECT(got.exception_has_payload && got.exception_payload == payload, "payload %#llx", got.exception_payload);
}

TEST(exception_payload)
{
	struct scene scene = event_scene(KVM_CAP_EXCEPTION_PAYLOAD);
	struct vcpu *vcpu = scene.vcpu;
	struct kvm_vcpu_events e = { 0 };

	payload_pending(vcpu, 14, 0x123456);
	EXPECT(cr2_get(vcpu) == 0, "CR2 %#lx before the delivery", cr2_get(vcpu));
	EXPECT(guest_trap(vcpu) == 14, "no #PF");
	EXPECT(cr2_get(vcpu) == 0x123456, "CR2 %#lx", cr2_get(vcpu));
	guest_trap_skip(vcpu, 14, 0);
	run_until(vcpu, KVM_EXIT_IO);
	payload_pending(vcpu, 1, 0x4002);
	EXPECT(dr6_get(vcpu) == 0xffff0ff0, "DR6 %#lx before the delivery", dr6_get(vcpu));
	EXPECT(guest_trap(vcpu) == 1, "no #DB");
	EXPECT(dr6_get(vcpu) == 0xffff4ff2, "DR6 %#lx", dr6_get(vcpu));
	IOCTL(vcpu->fd, KVM_GET_VCPU_EVENTS, &e);
	EXPECT(!e.exception.pending && !e.exception.injected && !e.exception_has_payload, "still there after its delivery");
	/* Without the flag nothing is pending. */
	e.flags &= ~KVM_VCPUEVENT_VALID_PAYLOAD;
	e.exception.pending = 1;
	e.exception.nr = 99;
	IOCTL(vcpu->fd, KVM_SET_VCPU_EVENTS, &e);
	e.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	EXPECT(ioctl_try(vcpu->fd, KVM_SET_VCPU_EVENTS, &e) == -EINVAL, "vector 99 pending");
}

TEST(triple_fault_event)
{
	struct scene scene = event_scene(KVM_CAP_X86_TRIPLE_FAULT_EVENT);
	struct kvm_vcpu_events e = { 0 };
	unsigned int i;

	for (i = 0; i < 2; i++) {
		IOCTL(scene.vcpu->fd, KVM_GET_VCPU_EVENTS, &e);
		EXPECT(e.flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT && !e.triple_fault.pending, "flags %#x", e.flags);
		e.triple_fault.pending = 1;
		IOCTL(scene.vcpu->fd, KVM_SET_VCPU_EVENTS, &e);
		IOCTL(scene.vcpu->fd, KVM_GET_VCPU_EVENTS, &e);
		EXPECT(e.triple_fault.pending, "not pending");
		if (i)
			break;
		run_until(scene.vcpu, KVM_EXIT_SHUTDOWN);
	}
	/* Taken back. */
	e.triple_fault.pending = 0;
	IOCTL(scene.vcpu->fd, KVM_SET_VCPU_EVENTS, &e);
	run_until(scene.vcpu, KVM_EXIT_IO);
}

TEST(triple_fault_event_needs_its_capability)
{
	struct scene scene = scene_create();
	struct kvm_vcpu_events e = { 0 };

	IOCTL(scene.vcpu->fd, KVM_GET_VCPU_EVENTS, &e);
	EXPECT(!(e.flags & (KVM_VCPUEVENT_VALID_TRIPLE_FAULT | KVM_VCPUEVENT_VALID_PAYLOAD)), "flags %#x", e.flags);
	e.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	EXPECT(ioctl_try(scene.vcpu->fd, KVM_SET_VCPU_EVENTS, &e) == -EINVAL, "accepted");
}

TEST(system_attributes)
{
	const struct call rows[] = {
		CALL(ON_SYSTEM, KVM_HAS_DEVICE_ATTR, 0, "has", struct kvm_device_attr, .attr = KVM_X86_XCOMP_GUEST_SUPP),
		CALL(ON_SYSTEM, KVM_HAS_DEVICE_ATTR, -ENXIO, "has: group 1", struct kvm_device_attr, .group = 1),
		CALL(ON_SYSTEM, KVM_HAS_DEVICE_ATTR, -ENXIO, "has: attribute 1", struct kvm_device_attr, .attr = 1),
		CALL(ON_SYSTEM, KVM_GET_DEVICE_ATTR, -EFAULT, "get: address", struct kvm_device_attr, .addr = 16),
		CALL(ON_SYSTEM, KVM_GET_DEVICE_ATTR, -ENXIO, "get: attribute 1", struct kvm_device_attr, .attr = 1, .addr = 16),
		CALL(ON_SYSTEM, KVM_SET_DEVICE_ATTR, -EINVAL, "set", struct kvm_device_attr, .attr = KVM_X86_XCOMP_GUEST_SUPP),
		BAD_POINTER(ON_SYSTEM, KVM_HAS_DEVICE_ATTR),
		BAD_POINTER(ON_SYSTEM, KVM_GET_DEVICE_ATTR),
	};
	struct scene scene = scene_create();
	uint64_t xcr0 = 0;
	struct kvm_device_attr attr = { .attr = KVM_X86_XCOMP_GUEST_SUPP, .addr = (uintptr_t)&xcr0 };
	const struct kvm_cpuid_entry2 *leaf = cpuid_find(cpuid_supported(scene.vm->sys), 13, 0);

	NEED(scene.vm->sys, KVM_CAP_SYS_ATTRIBUTES);
	PLAY(&scene, rows);
	IOCTL(scene.vm->sys, KVM_GET_DEVICE_ATTR, &attr);
	EXPECT(leaf && xcr0 == (leaf->eax | (uint64_t)leaf->edx << 32), "XCR0 %#lx", xcr0);
}
