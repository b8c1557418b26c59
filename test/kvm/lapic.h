/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lapic.h - a guest that does single accesses to its local APIC on request, so
 * that a test of it is a table.
 *
 * Owns: the requests. Invariant: handlers report their vector and return,
 * without an EOI: that is an access like any other.
 * Called by: lapic*.c.
 */
#ifndef LAPIC_H
#define LAPIC_H

#include "calls.h"
#include "guest.h"

enum act_kind {
	ACT_END,
	ACT_WRMSR, ACT_WRMSR_GP,	/* the value must be taken, or be #GP */
	ACT_RDMSR, ACT_RDMSR_GP,	/* must read this */
	ACT_STORE, ACT_LOAD,		/* 32 bits at `where` */
	ACT_CR8, ACT_READ_CR8,
	ACT_TAKE,			/* open interrupts: exactly these vectors come, in this order */
	ACT_HALT,			/* the same, in a HLT that the first of them ends */
	ACT_CPUID,			/* leaf 1 EDX's APIC bit */
	ACT_CLOSED,			/* some milliseconds with interrupts off: nothing comes */
};

struct act {
	enum act_kind kind;
	uint32_t where;
	uint64_t value;		/* vectors: bytes, the first one lowest */
};

#define WR(msr, value) { ACT_WRMSR, msr, value }
#define WR_GP(msr, value) { ACT_WRMSR_GP, msr, value }
#define RD(msr, value) { ACT_RDMSR, msr, value }
#define RD_GP(msr) { ACT_RDMSR_GP, msr }
#define ST(offset, value) { ACT_STORE, 0xfee00000 + (offset), value }
#define LD(offset, value) { ACT_LOAD, 0xfee00000 + (offset), value }
#define CR8(value) { ACT_CR8, 0, value }
#define CR8_IS(value) { ACT_READ_CR8, 0, value }
#define TAKE(vectors) { ACT_TAKE, 0, vectors }
#define HALT(vectors) { ACT_HALT, 0, vectors }
#define NOTHING { ACT_TAKE, 0, 0 }
#define APIC_BIT(value) { ACT_CPUID, 0, value }
#define CLOSED { ACT_CLOSED, 2000000, 0 }

/* x2APIC, and SVR with the LAPIC on */
#define TO_X2 WR(0x1b, 0xfee00d00), WR(0x80f, 0x1ff)
#define EOI_X2 WR(0x80b, 0)
#define ON ST(0xf0, 0x1ff)
#define EOI ST(0xb0, 0)

/* A VM with in-kernel interrupt controllers; vCPU `id` of it, ready for acts. */
struct vm *lapic_vm(int split);
struct vcpu *lapic_vcpu(struct vm *vm, int id);
void acts_play(struct vcpu *vcpu, const struct act *acts);
#define ACTS(vcpu, ...) acts_play(vcpu, (const struct act[]){ __VA_ARGS__, { ACT_END } })

/* A vCPU in a thread of its own, that halts and says what wakes it. */
struct runner;
struct runner *runner_start(struct vcpu *vcpu);
/* The next report, or a failure after some seconds. */
uint32_t runner_report(struct runner *r);

uint32_t mp_state(struct vcpu *vcpu);
void mp_state_set(struct vcpu *vcpu, uint32_t state);
struct kvm_lapic_state lapic_get(struct vcpu *vcpu);
uint32_t lapic_reg(struct vcpu *vcpu, uint32_t offset);

#define TOOK(vector) (0x100u + (vector))

#endif
