/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest.h - guests of a few instructions, and the exits they must cause.
 *
 * Owns: the macros that put guest code into the program and the steps that
 * describe its exits. A script is a mode, some code and a table of steps.
 * Invariant: guest code is position independent and starts at GUEST_CODE.
 * Called by: run_*.c.
 */
#ifndef GUEST_H
#define GUEST_H

#include "test.h"
#include "vmm.h"

/* Guest code as data: code_NAME .. code_NAME_end, assembled for 16, 32 or 64 bits. */
#define GUEST(id, bits, code)							\
	extern const uint8_t code_##id[], code_##id##_end[];			\
	asm(".pushsection .rodata.guest,\"a\"\n.code" #bits "\n"		\
	    "code_" #id ":\n" code "\ncode_" #id "_end:\n"			\
	    ".code64\n.popsection")
#define LOAD(vm, gpa, id) vm_load(vm, gpa, code_##id, (size_t)(code_##id##_end - code_##id))

/* Where guests report: `out %eax, $0xe0`. */
#define REPORT_PORT 0xe0
/* 4 GiB are mapped, the memory ends far below: accesses here are MMIO. */
#define MMIO_BASE 0x10000000ull

enum step_kind { STEP_END, STEP_OUT, STEP_IN, STEP_WRITE, STEP_READ, STEP_HLT, STEP_TRAP, STEP_SHUTDOWN };

struct step {
	enum step_kind kind;
	unsigned int size;	/* of an access; STEP_TRAP: bytes to skip */
	uint64_t address;	/* port, GPA or vector */
	uint64_t value;		/* expected, or to give */
};

#define OUT(port, size, value) { STEP_OUT, size, port, value }
#define IN(port, size, value) { STEP_IN, size, port, value }
#define WRITE(gpa, size, value) { STEP_WRITE, size, gpa, value }
#define READ(gpa, size, value) { STEP_READ, size, gpa, value }
#define REPORT(value) { STEP_OUT, 4, REPORT_PORT, value }
#define HLT { STEP_HLT }
#define SHUTDOWN { STEP_SHUTDOWN }
/* Exception `vector`; the guest goes on `skip` bytes after the faulting address. */
#define TRAP(vector, skip) { STEP_TRAP, skip, vector }

/* A VM with one vCPU in this mode, with the CPUID that KVM supports. */
struct vcpu *guest_create(int bits, const void *code, size_t bytes);
#define GUEST_CREATE(id, bits) guest_create(bits, code_##id, (size_t)(code_##id##_end - code_##id))

/* Runs the steps in order; the first wrong exit ends the test, naming the step. */
void guest_steps(struct vcpu *vcpu, const struct step *steps);
/* Runs to the next REPORT and gives its value. */
uint32_t guest_report(struct vcpu *vcpu);
/* Runs to the next REPORT, which must be this value. */
void guest_expect(struct vcpu *vcpu, uint32_t value, const char *what);
/* Runs to an exception handler; gives its vector. */
unsigned int guest_trap(struct vcpu *vcpu);
/* After guest_trap: drop the error code, move the return address, so that the handler's IRET goes on. */
void guest_trap_skip(struct vcpu *vcpu, unsigned int vector, int64_t skip);

#define SCRIPT(id, bits, code, ...)						\
	GUEST(id, bits, code);							\
	static const struct step steps_##id[] = { __VA_ARGS__, { STEP_END } };	\
	TEST(id)								\
	{									\
		guest_steps(GUEST_CREATE(id, bits), steps_##id);		\
	}

#endif
