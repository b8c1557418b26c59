// SPDX-License-Identifier: BSD-2-Clause
/*
 * api_state.c - a vCPU's state: what is set is read back, what is impossible is
 * refused and changes nothing.
 *
 * Rows change fields of a fresh vCPU's state. See: AMD APM volume 2, chapter 3
 * and 14.1 for the reset values.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"

static const struct state_calls sregs_calls = { KVM_GET_SREGS, KVM_SET_SREGS, sizeof(struct kvm_sregs) };
static const struct state_calls events_calls = { KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, sizeof(struct kvm_vcpu_events) };
static const struct state_calls debug_calls = { KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, sizeof(struct kvm_debugregs) };
static const struct state_calls xsave_calls = { KVM_GET_XSAVE, KVM_SET_XSAVE, sizeof(struct kvm_xsave) };
static const struct state_calls xcrs_calls = { KVM_GET_XCRS, KVM_SET_XCRS, sizeof(struct kvm_xcrs) };
static const struct state_calls mp_calls = { KVM_GET_MP_STATE, KVM_SET_MP_STATE, sizeof(struct kvm_mp_state) };

TEST(reset_state)
{
	struct scene scene = scene_create();
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	regs_get(scene.vcpu, &regs);
	IOCTL(scene.vcpu->fd, KVM_GET_SREGS, &sregs);
	EXPECT(regs.rip == 0xfff0 && regs.rflags == 2, "rip %#llx rflags %#llx", regs.rip, regs.rflags);
	EXPECT(!regs.rax && !regs.rbx && !regs.rsp && !regs.r15, "general registers are not 0");
	EXPECT(sregs.cs.selector == 0xf000 && sregs.cs.base == 0xffff0000 && sregs.cs.limit == 0xffff, "CS %#x %#llx",
	       sregs.cs.selector, sregs.cs.base);
	EXPECT(sregs.cr0 == 0x60000010 && !sregs.cr3 && !sregs.cr4 && !sregs.efer, "CR0 %#llx CR4 %#llx EFER %#llx", sregs.cr0,
	       sregs.cr4, sregs.efer);
	EXPECT(sregs.gdt.limit == 0xffff && sregs.idt.limit == 0xffff, "table limits");
}

TEST(regs_round_trip)
{
	struct scene scene = scene_create();
	struct kvm_regs set = { .rflags = 0 }, got;
	uint64_t *r = (uint64_t *)&set;

	for (unsigned int i = 0; i < 17; i++)
		r[i] = 0x1122334455667700ull + i;
	regs_set(scene.vcpu, &set);
	regs_get(scene.vcpu, &got);
	set.rflags = 2;		/* that bit is always one */
	REQUIRE(!memcmp(&set, &got, sizeof(set)), "read back differently");
}

TEST(sregs_round_trip)
{
	struct scene scene = scene_create();
	struct kvm_sregs set, got;

	vcpu_mode(scene.vcpu, 64);
	IOCTL(scene.vcpu->fd, KVM_GET_SREGS, &set);
	set.fs.base = 0x7f0000001000;
	set.gs.base = 0xffff888000000000;
	set.tr.base = 0x123000;
	set.tr.selector = 0x40;
	set.ldt.base = 0x5000;
	set.gdt.limit = 0x7f;
	set.cr2 = 0xdead000;
	set.cr8 = 5;
	set.cs.dpl = 0;
	IOCTL(scene.vcpu->fd, KVM_SET_SREGS, &set);
	IOCTL(scene.vcpu->fd, KVM_GET_SREGS, &got);
	EXPECT(got.fs.base == set.fs.base && got.gs.base == set.gs.base, "FS, GS bases");
	EXPECT(got.tr.base == set.tr.base && got.tr.selector == 0x40 && got.ldt.base == set.ldt.base, "TR, LDT");
	EXPECT(got.gdt.limit == 0x7f && got.gdt.base == set.gdt.base && got.idt.base == set.idt.base, "GDT, IDT");
	EXPECT(got.cr2 == set.cr2 && got.cr3 == set.cr3 && got.cr4 == set.cr4 && got.cr8 == 5, "CRs");
	EXPECT(got.efer == set.efer && got.cr0 == set.cr0, "EFER %#llx CR0 %#llx", got.efer, got.cr0);
	EXPECT(!memcmp(&got.cs, &set.cs, sizeof(set.cs)) && !memcmp(&got.ss, &set.ss, sizeof(set.ss)), "CS, SS");
}

/* Segment attributes, field by field. */
TEST(sregs_segments)
{
	struct scene scene = scene_create();
	struct kvm_sregs set, got;
	struct kvm_segment segment = { .base = 0x1234, .limit = 0xfffff, .selector = 0x2b, .type = 3, .present = 1, .dpl = 3,
				       .db = 1, .s = 1, .avl = 1 };

	IOCTL(scene.vcpu->fd, KVM_GET_SREGS, &set);
	set.ds = set.es = set.fs = segment;
	set.gs = (struct kvm_segment) { .unusable = 1 };
	IOCTL(scene.vcpu->fd, KVM_SET_SREGS, &set);
	IOCTL(scene.vcpu->fd, KVM_GET_SREGS, &got);
	EXPECT(!memcmp(&got.ds, &segment, sizeof(segment)), "DS: type %u dpl %u db %u avl %u g %u limit %#x", got.ds.type,
	       got.ds.dpl, got.ds.db, got.ds.avl, got.ds.g, got.ds.limit);
	EXPECT(!memcmp(&got.es, &segment, sizeof(segment)), "ES");
	EXPECT(got.gs.unusable && !got.gs.present, "GS unusable %u present %u", got.gs.unusable, got.gs.present);
}

#define S(field, value) POKE(struct kvm_sregs, field, value)
TEST(sregs_refusals)
{
	static const struct mutation rows[] = {
		{ "long mode without PAE", { S(cr0, 0x80000011), S(efer, 0x500) }, -EINVAL },
		{ "long mode without LMA", { S(cr0, 0x80000011), S(cr4, 0x20), S(efer, 0x100) }, -EINVAL },
		{ "long mode, CR3 too high", { S(cr0, 0x80000011), S(cr4, 0x20), S(efer, 0x500), S(cr3, 1ull << 60) }, -EINVAL },
		{ "LMA without paging", { S(efer, 0x500) }, -EINVAL },
		{ "CS.L without long mode", { S(cs.l, 1) }, -EINVAL },
		{ "CR4 reserved bit 31", { S(cr4, 1u << 31) }, -EINVAL },
		{ "CR4 reserved bit 63", { S(cr4, 1ull << 63) }, -EINVAL },
		{ "CR0 bit 32", { S(cr0, 1ull << 32 | 0x10) }, -EINVAL },
		{ "CR0 NW without CD", { S(cr0, 0x20000010) }, -EINVAL },
		{ "CR0 PG without PE", { S(cr0, 0x80000010) }, -EINVAL },
		{ "CR4.PAE and PGE", { S(cr4, 0xa0) }, 0 },
		{ "EFER.NXE", { S(efer, 0x800) }, 0 },
		{ "CR8", { S(cr8, 15) }, 0 },
		{ "protected mode", { S(cr0, 0x11) }, 0 },
	};
	static const struct mutation vmxe[] = { { "CR4.VMXE", { S(cr4, 1u << 13) }, -EINVAL } };
	struct scene scene = scene_create();

	MUTATE(&scene, &sregs_calls, rows);
	if (!(cpuid_find(cpuid_supported(scene.vm->sys), 1, 0)->ecx & 1u << 5))
		MUTATE(&scene, &sregs_calls, vmxe);
}

#define E(field, value) POKE(struct kvm_vcpu_events, field, value)
TEST(events_refusals)
{
	static const struct mutation rows[] = {
		{ "nothing", { E(flags, 0) }, 0 },
		{ "unknown flag", { E(flags, 0x40) }, -EINVAL },
		{ "flag 31", { E(flags, 1u << 31) }, -EINVAL },
		{ "exception 32", { E(flags, 0), E(exception.injected, 1), E(exception.nr, 32) }, -EINVAL },
		{ "exception 2 is the NMI", { E(flags, 0), E(exception.injected, 1), E(exception.nr, 2) }, -EINVAL },
		{ "payload without its capability", { E(flags, 0x8 | 0x10) }, -EINVAL },
	};
	struct scene scene = scene_create();

	NEED(scene.vm->fd, KVM_CAP_VCPU_EVENTS);
	MUTATE(&scene, &events_calls, rows);
}

TEST(events_round_trip)
{
	struct scene scene = scene_create();
	struct kvm_vcpu_events events;

	NEED(scene.vm->fd, KVM_CAP_VCPU_EVENTS);
	IOCTL(scene.vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	EXPECT(!events.exception.injected && !events.interrupt.injected && !events.nmi.injected, "a fresh vCPU has events");
	EXPECT((events.flags & 0x5) == 0x5, "flags %#x", events.flags);
	events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	events.exception.injected = 1;
	events.exception.nr = 14;
	events.exception.has_error_code = 1;
	events.exception.error_code = 6;
	events.nmi.pending = 1;
	events.nmi.masked = 1;
	events.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	IOCTL(scene.vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
	memset(&events, 0, sizeof(events));
	IOCTL(scene.vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	EXPECT(events.exception.injected && events.exception.nr == 14 && events.exception.error_code == 6, "exception %u",
	       events.exception.nr);
	EXPECT(events.nmi.masked == 1 && events.nmi.pending == 1, "NMI masked %u pending %u", events.nmi.masked, events.nmi.pending);
	EXPECT(events.interrupt.shadow != 0, "no shadow");
}

#define D(field, value) POKE(struct kvm_debugregs, field, value)
TEST(debugregs)
{
	static const struct mutation rows[] = {
		{ "flags", { D(flags, 1) }, -EINVAL },
		{ "DR6 high", { D(dr6, 1ull << 32) }, -EINVAL },
		{ "DR7 high", { D(dr7, 1ull << 32) }, -EINVAL },
		{ "DR0 anything", { D(db[0], 0xffffffffffffffff) }, 0 },
		{ "reserved field", { D(reserved[3], 1) }, 0 },
	};
	struct scene scene = scene_create();
	struct kvm_debugregs regs, got;

	NEED(scene.vm->fd, KVM_CAP_DEBUGREGS);
	MUTATE(&scene, &debug_calls, rows);
	IOCTL(scene.vcpu->fd, KVM_GET_DEBUGREGS, &regs);
	EXPECT(regs.dr6 == 0xffff0ff0 && regs.dr7 == 0x400, "reset: DR6 %#llx DR7 %#llx", regs.dr6, regs.dr7);
	for (unsigned int i = 0; i < 4; i++)
		regs.db[i] = 0x1000 * (i + 1);
	regs.dr7 = 0x4aa;
	IOCTL(scene.vcpu->fd, KVM_SET_DEBUGREGS, &regs);
	IOCTL(scene.vcpu->fd, KVM_GET_DEBUGREGS, &got);
	EXPECT(!memcmp(&regs, &got, sizeof(regs)), "read back differently");
}

TEST(xcrs)
{
	static const struct mutation rows[] = {
		{ "17 entries", { POKE(struct kvm_xcrs, nr_xcrs, 17) }, -EINVAL },
		{ "flags", { POKE(struct kvm_xcrs, flags, 1) }, -EINVAL },
		{ "XCR0 0", { POKE(struct kvm_xcrs, xcrs[0].value, 0) }, -EINVAL },
		{ "XCR0 without x87", { POKE(struct kvm_xcrs, xcrs[0].value, 2) }, -EINVAL },
		{ "AVX without SSE", { POKE(struct kvm_xcrs, xcrs[0].value, 5) }, -EINVAL },
		{ "bit 62", { POKE(struct kvm_xcrs, xcrs[0].value, 1ull << 62 | 3) }, -EINVAL },
		{ "x87 and SSE", { POKE(struct kvm_xcrs, xcrs[0].value, 3) }, 0 },
		{ "no XCR0 at all", { POKE(struct kvm_xcrs, xcrs[0].xcr, 1), POKE(struct kvm_xcrs, xcrs[0].value, 99) }, 0 },
	};
	struct scene scene = scene_create();
	struct kvm_xcrs xcrs;

	NEED(scene.vm->fd, KVM_CAP_XCRS);
	IOCTL(scene.vcpu->fd, KVM_GET_XCRS, &xcrs);
	EXPECT(xcrs.nr_xcrs == 1 && xcrs.xcrs[0].xcr == 0 && xcrs.xcrs[0].value == 1, "reset: %u, XCR0 %#llx", xcrs.nr_xcrs,
	       xcrs.xcrs[0].value);
	MUTATE(&scene, &xcrs_calls, rows);
}

/* Byte 24 is MXCSR, byte 512 is XSTATE_BV. */
TEST(xsave)
{
	static const struct mutation rows[] = {
		{ "the same", { { 0, 0, 0 } }, 0 },
		{ "an unknown component", { { 512, 8, 1ull << 62 } }, -EINVAL },
		{ "MXCSR reserved bits", { { 24, 4, 0xffff0000 }, { 512, 8, 3 } }, -EINVAL },
	};
	struct scene scene = scene_create();
	uint8_t *area = map_pages(4096), *got = map_pages(4096);

	NEED(scene.vm->fd, KVM_CAP_XSAVE);
	IOCTL(scene.vcpu->fd, KVM_GET_XSAVE, area);
	EXPECT(bytes_get(area, 2) == 0x37f && bytes_get(area + 24, 4) == 0x1f80, "reset: FCW %#lx MXCSR %#lx", bytes_get(area, 2),
	       bytes_get(area + 24, 4));
	MUTATE(&scene, &xsave_calls, rows);
	memset(area + 160, 0x5a, 256);
	bytes_put(area + 512, 8, bytes_get(area + 512, 8) | 3);
	IOCTL(scene.vcpu->fd, KVM_SET_XSAVE, area);
	IOCTL(scene.vcpu->fd, KVM_GET_XSAVE, got);
	EXPECT(!memcmp(area + 160, got + 160, 256), "XMM registers differ");
}

TEST(fpu_round_trip)
{
	struct scene scene = scene_create();
	struct kvm_fpu set, got;

	IOCTL(scene.vcpu->fd, KVM_GET_FPU, &set);
	EXPECT(set.fcw == 0x37f, "reset: FCW %#x", set.fcw);
	memset(set.xmm, 0x77, sizeof(set.xmm));
	memset(set.fpr, 0x11, 8 * 10);
	set.fcw = 0x27f;
	set.fsw = 0x3800;
	set.ftwx = 0xff;
	set.last_opcode = 0x123;
	IOCTL(scene.vcpu->fd, KVM_SET_FPU, &set);
	IOCTL(scene.vcpu->fd, KVM_GET_FPU, &got);
	EXPECT(!memcmp(set.xmm, got.xmm, sizeof(set.xmm)), "XMM");
	EXPECT(!memcmp(set.fpr, got.fpr, sizeof(set.fpr)), "x87 registers");
	EXPECT(got.fcw == 0x27f && got.fsw == 0x3800 && got.ftwx == 0xff && got.last_opcode == 0x123, "x87 control");
}

TEST(mp_state)
{
	static const struct mutation rows[] = {
		{ "runnable", { POKE(struct kvm_mp_state, mp_state, KVM_MP_STATE_RUNNABLE) }, 0 },
		{ "halted, no LAPIC", { POKE(struct kvm_mp_state, mp_state, KVM_MP_STATE_HALTED) }, -EINVAL },
		{ "uninitialized, no LAPIC", { POKE(struct kvm_mp_state, mp_state, KVM_MP_STATE_UNINITIALIZED) }, -EINVAL },
		{ "SIPI received, no LAPIC", { POKE(struct kvm_mp_state, mp_state, KVM_MP_STATE_SIPI_RECEIVED) }, -EINVAL },
		{ "stopped is arm64's", { POKE(struct kvm_mp_state, mp_state, KVM_MP_STATE_STOPPED) }, -EINVAL },
		{ "99", { POKE(struct kvm_mp_state, mp_state, 99) }, -EINVAL },
	};
	struct scene scene = scene_create();
	struct kvm_mp_state state;

	IOCTL(scene.vcpu->fd, KVM_GET_MP_STATE, &state);
	REQUIRE(state.mp_state == KVM_MP_STATE_RUNNABLE, "%u", state.mp_state);
	MUTATE(&scene, &mp_calls, rows);
}

/* The result counts the entries done; a bad one is no errno. */
TEST(msrs)
{
	struct { struct kvm_msrs head; struct kvm_msr_entry entry[300]; } msrs = {
		.head.nmsrs = 4,
		.entry = { { .index = 0xc0000081, .data = 0x10 }, { .index = 0xc0000082, .data = 0x20 }, { .index = 0x4711 },
			   { .index = 0xc0000084, .data = 0x30 } },
	};
	struct scene scene = scene_create();
	int fd = scene.vcpu->fd, result;

	result = IOCTL(fd, KVM_SET_MSRS, &msrs);
	EXPECT(result == 2, "KVM_SET_MSRS: %d", result);
	msrs.entry[0].data = msrs.entry[1].data = 0;
	result = IOCTL(fd, KVM_GET_MSRS, &msrs);
	EXPECT(result == 2 && msrs.entry[0].data == 0x10 && msrs.entry[1].data == 0x20, "KVM_GET_MSRS: %d", result);
	msrs.head.nmsrs = 0;
	EXPECT(IOCTL(fd, KVM_GET_MSRS, &msrs) == 0, "no entries");
	msrs.head.nmsrs = 256;
	EXPECT(ioctl_try(fd, KVM_GET_MSRS, &msrs) == -E2BIG, "256 entries");
	EXPECT(ioctl_try(fd, KVM_SET_MSRS, &msrs) == -E2BIG, "256 entries to set");
	msrs.head.nmsrs = 255;
	for (unsigned int i = 0; i < 255; i++)
		msrs.entry[i].index = 0xc0000081;
	EXPECT(IOCTL(fd, KVM_GET_MSRS, &msrs) == 255, "255 entries");
}

/* Values that no processor takes. */
TEST(msr_values)
{
	static const struct { uint32_t index; uint64_t value; int taken; } rows[] = {
		{ 0xc0000082, 0x8000000000000000, 0 }, { 0xc0000083, 0x1234000000000000, 0 }, { 0xc0000102, 1ull << 48, 0 },
		{ 0x277, 2, 0 }, { 0x277, 0x0007040600070406, 1 }, { 0xc0000080, 1ull << 40, 0 }, { 0xc0000080, 0x801, 1 },
		{ 0x2ff, 1ull << 20, 0 }, { 0x200, 2, 0 }, { 0x201, 0x800, 1 },
	};
	struct scene scene = scene_create();

	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		EXPECT(msr_set(scene.vcpu, rows[i].index, rows[i].value) == rows[i].taken, "%#x = %#lx is %s", rows[i].index,
		       rows[i].value, rows[i].taken ? "refused" : "taken");
}

TEST(cpuid)
{
	struct vm *vm = vm_create(GUEST_MEMORY);
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct kvm_cpuid2 *table = cpuid_supported(vm->sys), *got = cpuid_supported(vm->sys);
	struct kvm_cpuid_entry2 *e;

	cpuid_set(vcpu, table);
	got->nent = table->nent - 1;
	EXPECT(ioctl_try(vcpu->fd, KVM_GET_CPUID2, got) == -E2BIG, "one too few");
	got->nent = 256;
	IOCTL(vcpu->fd, KVM_GET_CPUID2, got);
	for (uint32_t i = 0; i < table->nent; i++)	/* nent itself is not written back by 6.1 */
		EXPECT(got->entries[i].function == table->entries[i].function && got->entries[i].ecx == table->entries[i].ecx,
		       "entry %u is another", i);
	got->nent = 257;
	EXPECT(ioctl_try(vcpu->fd, KVM_SET_CPUID2, got) == -E2BIG, "257 entries");
	e = cpuid_find(table, 0x80000008, 0);
	if (e) {
		uint32_t eax = e->eax;

		e->eax = (eax & ~0xff00u) | 40 << 8;
		EXPECT(ioctl_try(vcpu->fd, KVM_SET_CPUID2, table) == -EINVAL, "40 virtual address bits");
		e->eax = eax;
	}
	table->nent = 0;
	EXPECT(ioctl_try(vcpu->fd, KVM_SET_CPUID2, table) == 0, "no entries");
}

/* After the first entry into the guest only the same table is taken. */
TEST(cpuid_after_run)
{
	struct scene scene = scene_create();
	struct kvm_cpuid2 *table = cpuid_supported(scene.vm->sys);

	vcpu_mode(scene.vcpu, 16);
	vm_load(scene.vm, GUEST_CODE, "\xf4", 1);
	run_until(scene.vcpu, KVM_EXIT_HLT);
	EXPECT(ioctl_try(scene.vcpu->fd, KVM_SET_CPUID2, table) == 0, "the same table");
	cpuid_find(table, 0x80000002, 0)->eax ^= 1;
	EXPECT(ioctl_try(scene.vcpu->fd, KVM_SET_CPUID2, table) == -EINVAL, "another value");
	cpuid_find(table, 0x80000002, 0)->eax ^= 1;
	table->nent--;
	EXPECT(ioctl_try(scene.vcpu->fd, KVM_SET_CPUID2, table) == -EINVAL, "another length");
}

TEST(vcpu_refusals)
{
	const struct call rows[] = {
		NUMBER(ON_VCPU, KVM_RUN, -EINVAL, "KVM_RUN with an argument", 1),
		CALL(ON_VCPU, KVM_INTERRUPT, -EINVAL, "KVM_INTERRUPT 256", struct kvm_interrupt, .irq = 256),
		CALL(ON_VCPU, KVM_INTERRUPT, 0, "KVM_INTERRUPT 255", struct kvm_interrupt, .irq = 255),
		CALL(ON_VCPU, KVM_SET_SIGNAL_MASK, -EINVAL, "signal mask of 4 bytes", uint64_t, 4),
		CALL(ON_VCPU, KVM_SET_SIGNAL_MASK, -EINVAL, "signal mask of 128 bytes", uint64_t, 128),
		NUMBER(ON_VCPU, KVM_SET_SIGNAL_MASK, 0, "no signal mask", 0),
		CALL(ON_VCPU, KVM_SET_GUEST_DEBUG, 0, "debugging off", struct kvm_guest_debug, .control = 0),
		CALL(ON_VCPU, KVM_SET_GUEST_DEBUG, 0, "unknown debug bits", struct kvm_guest_debug, .control = 1u << 30),
	};
	struct scene scene = scene_create();

	NEED(scene.vm->fd, KVM_CAP_SET_GUEST_DEBUG);
	PLAY(&scene, rows);
}

/* The run page is input, too. */
TEST(run_page_refusals)
{
	struct scene scene = scene_create();
	int result;

	vcpu_mode(scene.vcpu, 16);
	vm_load(scene.vm, GUEST_CODE, "\xf4", 1);
	scene.vcpu->run->cr8 = 16;
	result = run_try(scene.vcpu);
	EXPECT(result == -EINVAL, "CR8 16: %d", result);
	scene.vcpu->run->cr8 = 0;
	scene.vcpu->run->kvm_valid_regs = 1ull << 40;
	result = run_try(scene.vcpu);
	EXPECT(result == -EINVAL, "unknown kvm_valid_regs: %d", result);
	scene.vcpu->run->kvm_valid_regs = 0;
	scene.vcpu->run->kvm_dirty_regs = 1ull << 40;
	result = run_try(scene.vcpu);
	EXPECT(result == -EINVAL, "unknown kvm_dirty_regs: %d", result);
	scene.vcpu->run->kvm_dirty_regs = 0;
	run_until(scene.vcpu, KVM_EXIT_HLT);
}

/* Registers by the run page instead of by calls. */
TEST(sync_regs)
{
	struct scene scene = scene_create();
	struct kvm_run *run = scene.vcpu->run;

	NEED(scene.vm->fd, KVM_CAP_SYNC_REGS);
	vcpu_mode(scene.vcpu, 16);
	vm_load(scene.vm, GUEST_CODE, "\x40\xf4\xeb\xfc", 4);	/* 1: inc %ax; hlt; jmp 1b */
	run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	run_until(scene.vcpu, KVM_EXIT_HLT);
	EXPECT(run->s.regs.regs.rax == 1 && run->s.regs.regs.rip == GUEST_CODE + 2, "rax %#llx rip %#llx",
	       run->s.regs.regs.rax, run->s.regs.regs.rip);
	EXPECT(run->s.regs.sregs.cr0 != 0, "no special registers");
	run->s.regs.regs.rax = 0x40;
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	run_until(scene.vcpu, KVM_EXIT_HLT);
	EXPECT(run->s.regs.regs.rax == 0x41, "rax %#llx", run->s.regs.regs.rax);
}
