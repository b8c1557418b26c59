/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lapic.c - the fast half of a vCPU's local APIC: vectors from the LAPIC page
 * into the guest, and the two x2APIC registers that interrupts write. All else
 * is the driver's.
 *
 * Invariant: the page is the service VM's and may hold anything: a vector read
 * from it is below 256 by its making, and nothing else of it is trusted.
 * Called by: event.c before an entry, the backends' WRMSR exit. Concurrency: the vCPU is this CPU's.
 * See: abi/x86_64/lapic.h; SDM vol. 3, 11.8 (handling interrupts), 11.12 (x2APIC).
 */
#include "vcpu_arch.h"
#include "vm.h"

#define BIT(vector) (1u << ((vector) & 31))
#define MSR_EOI_REG (LAPIC_MSR + LAPIC_EOI / 16)
#define MSR_SELF_IPI (LAPIC_MSR + LAPIC_SELF_IPI / 16)
#define VECTOR_FIRST 16u	/* those below are the processor's */

/* The word of a bank (IRR, ISR, TMR) that holds a vector. */
static u32 *word(struct lapic_page *p, u32 bank, u32 vector)
{
	return &LAPIC_REG(p, bank + vector / 32 * 16);
}

/* The highest vector of a bank; 0: none that could count. */
static u32 highest(struct lapic_page *p, u32 bank)
{
	u32 vector, bits;

	for (vector = 256; vector; vector -= 32) {
		bits = READ_ONCE(*word(p, bank, vector - 32));
		if (bits)
			return vector - 1 - (u32)__builtin_clz(bits);
	}
	return 0;
}

static void take_posted(struct lapic_page *p)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(p->pir); i++)
		if (READ_ONCE(p->pir[i]))
			*word(p, LAPIC_IRR, i * 32) |= __atomic_exchange_n(&p->pir[i], 0, __ATOMIC_ACQUIRE);
}

u32 lapic_next(struct vcpu *v, u32 cr8, u32 *windows)
{
	struct lapic_page *p = v->arch.lapic;
	u32 vector;

	if (!p || !(READ_ONCE(p->mode) & LAPIC_MODE_ON))
		return 0;
	if (READ_ONCE(p->pir_on) && __atomic_exchange_n(&p->pir_on, 0, __ATOMIC_SEQ_CST))
		take_posted(p);
	vector = highest(p, LAPIC_IRR);
	if (v->arch.apicv) {
		backend->apic_status(vector | highest(p, LAPIC_ISR) << 8);
		return 0;
	}
	if (vector / 16 <= highest(p, LAPIC_ISR) / 16)
		return 0;
	if (vector / 16 <= cr8) {
		*windows |= WINDOW_TPR(vector / 16);
		return 0;
	}
	return vector;
}

void lapic_accept(struct vcpu *v, u32 vector)
{
	*word(v->arch.lapic, LAPIC_IRR, vector) &= ~BIT(vector);
	*word(v->arch.lapic, LAPIC_ISR, vector) |= BIT(vector);
}

static u32 end_of_interrupt(struct vcpu *v, struct lapic_page *p)
{
	u32 vector = highest(p, LAPIC_ISR);

	if (!vector)
		return EXIT_NONE;
	*word(p, LAPIC_ISR, vector) &= ~BIT(vector);
	v->arch.work = 1;
	if (!(READ_ONCE(p->eoi_exit[vector / 32]) & BIT(vector)))
		return EXIT_NONE;
	v->page->out.data = vector;
	return EXIT_EOI;
}

u32 lapic_wrmsr(struct vcpu *v, u32 msr, u64 value)
{
	struct lapic_page *p = v->arch.lapic;

	if (!p || !(READ_ONCE(p->mode) & LAPIC_MODE_X2))
		return EXIT_MSR;
	if (msr == MSR_EOI_REG && !value)
		return end_of_interrupt(v, p);
	if (msr != MSR_SELF_IPI || value < VECTOR_FIRST || value > 255 || !(READ_ONCE(LAPIC_REG(p, LAPIC_SVR)) & LAPIC_SVR_ON))
		return EXIT_MSR;
	/* The driver changes TMR meanwhile, for what others send. */
	__atomic_fetch_and(word(p, LAPIC_TMR, (u32)value), ~BIT(value), __ATOMIC_RELAXED);
	*word(p, LAPIC_IRR, (u32)value) |= BIT(value);
	v->arch.work = 1;
	return EXIT_NONE;
}
