// SPDX-License-Identifier: BSD-2-Clause
/*
 * guest.c - plays a script: runs the guest and compares each exit.
 *
 * Owns: the meaning of a step. Invariant: an access may come in any split that
 * the interface allows: a string port exit carries count elements, which are
 * taken one by one from as many steps.
 * Called by run_*.c. See: AMD APM volume 2, 8.9 for the interrupt frames.
 */
#include <string.h>

#include "guest.h"

struct player {
	struct vcpu *vcpu;
	const struct step *step;
};

struct vcpu *guest_create(int bits, const void *code, size_t bytes)
{
	struct vm *vm = vm_create(GUEST_MEMORY);
	struct vcpu *vcpu = vcpu_create(vm, 0);

	cpuid_set(vcpu, cpuid_supported(vm->sys));
	vcpu_mode(vcpu, bits);
	vm_load(vm, GUEST_CODE, code, bytes);
	return vcpu;
}

static void step_port(struct player *p)
{
	struct kvm_run *run = p->vcpu->run;
	uint8_t *data;

	run_until(p->vcpu, KVM_EXIT_IO);
	data = io_data(run);
	for (uint32_t i = 0; i < run->io.count; i++, p->step++, data += run->io.size) {
		const struct step *s = p->step;
		uint64_t value = bytes_get(data, run->io.size);

		REQUIRE(s->kind == (run->io.direction ? STEP_OUT : STEP_IN), "element %u: wrong direction", i);
		REQUIRE(run->io.port == s->address && run->io.size == s->size, "port %#x size %u, wanted %#lx size %u",
			run->io.port, run->io.size, s->address, s->size);
		if (s->kind == STEP_IN)
			bytes_put(data, s->size, s->value);
		else
			REQUIRE(value == s->value, "port %#x: %#lx, wanted %#lx", run->io.port, value, s->value);
	}
}

static void step_mmio(struct player *p)
{
	const struct step *s = p->step++;
	struct kvm_run *run = p->vcpu->run;
	int write = s->kind == STEP_WRITE;
	uint64_t value;

	run_until(p->vcpu, KVM_EXIT_MMIO);
	REQUIRE(run->mmio.phys_addr == s->address && run->mmio.len == s->size && run->mmio.is_write == write,
		"%s at %#llx size %u, wanted %s at %#lx size %u", run->mmio.is_write ? "write" : "read",
		run->mmio.phys_addr, run->mmio.len, write ? "write" : "read", s->address, s->size);
	value = bytes_get(run->mmio.data, s->size);
	if (!write)
		bytes_put(run->mmio.data, s->size, s->value);
	else
		REQUIRE(value == s->value, "write of %#lx, wanted %#lx", value, s->value);
}

static int pushes_error(unsigned int vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

unsigned int guest_trap(struct vcpu *vcpu)
{
	struct kvm_regs regs;
	uint64_t offset;

	run_until(vcpu, KVM_EXIT_HLT);
	regs_get(vcpu, &regs);
	offset = regs.rip - STUB_HALTED - GUEST_STUBS;
	REQUIRE(offset < 256 * STUB_BYTES && offset % STUB_BYTES == 0, "HLT before rip %#llx, not in a handler", regs.rip);
	return offset / STUB_BYTES;
}

void guest_trap_skip(struct vcpu *vcpu, unsigned int vector, int64_t skip)
{
	unsigned int width = vcpu->bits / 8;
	struct kvm_regs regs;
	uint8_t *frame;

	regs_get(vcpu, &regs);
	if (pushes_error(vector) && vcpu->bits != 16) {
		regs.rsp += width;
		regs_set(vcpu, &regs);
	}
	frame = vcpu->vm->memory + regs.rsp;
	bytes_put(frame, width, bytes_get(frame, width) + skip);
}

static void step_trap(struct player *p)
{
	const struct step *s = p->step++;
	unsigned int vector = guest_trap(p->vcpu);

	REQUIRE(vector == s->address, "exception %u, wanted %lu", vector, s->address);
	guest_trap_skip(p->vcpu, vector, s->size);
}

static void step_halt(struct player *p)
{
	p->step++;
	run_until(p->vcpu, KVM_EXIT_HLT);
}

static void step_shutdown(struct player *p)
{
	p->step++;
	run_until(p->vcpu, KVM_EXIT_SHUTDOWN);
}

void guest_steps(struct vcpu *vcpu, const struct step *steps)
{
	static void (*const play[])(struct player *) = {
		[STEP_OUT] = step_port, [STEP_IN] = step_port, [STEP_WRITE] = step_mmio, [STEP_READ] = step_mmio,
		[STEP_HLT] = step_halt, [STEP_TRAP] = step_trap, [STEP_SHUTDOWN] = step_shutdown,
	};
	struct player player = { vcpu, steps };

	while (player.step->kind != STEP_END) {
		test_step = player.step - steps;
		play[player.step->kind](&player);
	}
	test_step = -1;
}

uint32_t guest_report(struct vcpu *vcpu)
{
	run_until(vcpu, KVM_EXIT_IO);
	REQUIRE(vcpu->run->io.port == REPORT_PORT && vcpu->run->io.direction, "port %#x instead of a report",
		vcpu->run->io.port);
	return bytes_get(io_data(vcpu->run), vcpu->run->io.size);
}

void guest_expect(struct vcpu *vcpu, uint32_t value, const char *what)
{
	uint32_t got = guest_report(vcpu);

	REQUIRE(got == value, "%s: %#x, wanted %#x", what, got, value);
}
