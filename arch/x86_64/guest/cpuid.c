/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpuid.c - CPUID: what the service VM sees, and what a guest gets: the answers
 * that the driver left in the exit page. They are only data, nothing in the
 * hypervisor trusts them. What is not there, the driver answers (EXIT_CPUID).
 * See: APM vol. 3, appendix E; SDM vol. 2A, CPUID.
 */
#include <string.h>
#include "vcpu_arch.h"
#include "vm.h"
#include "abi/hypercall.h"

#define BIT(n) (1u << (n))

#define LEAF1_ECX_OSXSAVE BIT(27)
#define LEAF7_ECX_OSPKE BIT(4)

int cpu_has_ibpb, cpu_has_tsc_aux;
u64 tsc_ratio_max, abi_features;

/* ---- the service VM ---- */

static struct cpuid service_own(u32 leaf)
{
	static const char signature[] = ABI_SIGNATURE;
	struct cpuid c = { ABI_CPUID_BASE + 1, 0, 0, 0 };

	if (leaf != ABI_CPUID_BASE)
		return (struct cpuid) { ABI_VERSION, (u32)abi_features | (tsc_ratio_max ? ABI_FEATURE_TSC_RATIO : 0), 0, 0 };
	memcpy(&c.ebx, signature, 4);
	memcpy(&c.ecx, signature + 4, 4);
	memcpy(&c.edx, signature + 8, 4);
	return c;
}

struct cpuid cpuid_service(u32 leaf, u32 subleaf, u64 cr4)
{
	struct cpuid c;

	if (leaf - ABI_CPUID_BASE < 2)
		return service_own(leaf);
	c = cpuid(leaf, subleaf);
	switch (leaf) {
	case 1:
		c.ecx &= ~(BIT(2) | BIT(5) | BIT(6) | LEAF1_ECX_OSXSAVE);	/* 64-bit debug store, VMX, SMX */
		c.edx &= ~BIT(21);	/* debug store */
		c.ecx |= cr4 & CR4_OSXSAVE ? LEAF1_ECX_OSXSAVE : 0;
		break;
	case 6:
		c.eax &= ~(BIT(19) | BIT(23));	/* hardware feedback, thread director */
		break;
	case 7:
		if (subleaf)
			break;
		c.ebx &= ~BIT(25);	/* Processor Trace */
		c.ecx = (c.ecx & ~LEAF7_ECX_OSPKE) | (cr4 & CR4_PKE ? LEAF7_ECX_OSPKE : 0);
		break;
	case 0x80000001:
		c.ecx &= ~(BIT(2) | BIT(12));	/* SVM, SKINIT */
		break;
	case 0x80000007:
		c.ebx &= ~BIT(3);	/* scalable MCA: its MSRs are in no permission map */
		break;
	case 0x80000008:
		c.ebx &= ~BIT(3);	/* INVLPGB: #UD in a guest without a VMCB bit of its own */
		break;
	case 0x8000000a:
	case 0x8000001f:			/* SVM's and SEV's details */
		return (struct cpuid) { 0 };
	}
	return c;
}

/* ---- a guest's own ---- */

int cpuid_guest(struct vcpu *v)
{
	struct gprs *r = &v->arch.regs;
	u32 leaf = (u32)r->rax, index = (u32)r->rcx;
	const struct cpuid_slot *slots = v->page->in.cpuid, *s = &slots[CPUID_SLOT(leaf, 0)];

	if (READ_ONCE(s->index) == CPUID_ANY)
		index = CPUID_ANY;
	else
		s = &slots[CPUID_SLOT(leaf, index)];
	if (unlikely(READ_ONCE(s->leaf) != leaf || READ_ONCE(s->index) != index))
		return 0;
	r->rax = READ_ONCE(s->eax);
	r->rbx = READ_ONCE(s->ebx);
	r->rcx = READ_ONCE(s->ecx);
	r->rdx = READ_ONCE(s->edx);
	return 1;
}
