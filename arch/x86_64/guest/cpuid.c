/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpuid.c - CPUID: what the service VM sees, and what a guest gets
 * (KVM_SET_CPUID2). A VMM may set anything: the answers are only data, nothing
 * in the hypervisor trusts them. What it may offer is the driver's list; what is
 * not in the table, the driver answers (EXIT_CPUID).
 * See: APM vol. 3, appendix E; SDM vol. 2A, CPUID.
 */
#include <string.h>
#include "vcpu_arch.h"
#include "vm.h"
#include "call.h"
#include "errno.h"
#include "abi/hypercall.h"

#define BIT(n) (1u << (n))

#define LEAF1_ECX_OSXSAVE BIT(27)
#define LEAF7_ECX_OSPKE BIT(4)

int cpu_has_ibpb, cpu_has_tsc_aux;

/* ECX of the leaves with a bit that follows CR4. */
#define RUNTIME_LEAVES (1u << 1 | 1u << 7)

static NOINLINE u32 runtime_ecx(u32 leaf, u32 subleaf, u64 cr4, u32 ecx)
{
	if (leaf == 1)
		return (ecx & ~LEAF1_ECX_OSXSAVE) | (cr4 & CR4_OSXSAVE ? LEAF1_ECX_OSXSAVE : 0);
	if (leaf == 7 && subleaf == 0)
		return (ecx & ~LEAF7_ECX_OSPKE) | (cr4 & CR4_PKE ? LEAF7_ECX_OSPKE : 0);
	return ecx;
}

/* ---- the service VM ---- */

static struct cpuid service_own(u32 leaf)
{
	static const char signature[] = ABI_SIGNATURE;
	struct cpuid c = { ABI_CPUID_BASE + 1, 0, 0, 0 };

	if (leaf != ABI_CPUID_BASE)
		return (struct cpuid) { ABI_VERSION, ABI_FEATURES, 0, 0 };
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
	c.ecx = runtime_ecx(leaf, subleaf, cr4, c.ecx);
	switch (leaf) {
	case 1:
		c.ecx &= ~(BIT(5) | BIT(6));	/* VMX, SMX */
		break;
	case 7:
		if (subleaf == 0)
			c.ebx &= ~BIT(25);	/* Processor Trace */
		break;
	case 0x80000001:
		c.ecx &= ~(BIT(2) | BIT(12));	/* SVM, SKINIT */
		break;
	case 0x8000000a:
	case 0x8000001f:			/* SVM's and SEV's details */
		return (struct cpuid) { 0 };
	}
	return c;
}

/* ---- a guest's own ---- */

static u16 *first_of(struct vcpu_arch *a, u32 leaf)
{
	u32 range = leaf >> 30;		/* 0, 0x4..., 0x8... */

	return range < 3 && (leaf & 0x3fffffff) < CPUID_INDEX ? &a->cpuid_first[range][leaf & 0x3fffffff] : NULL;
}

static void build_index(struct vcpu_arch *a)
{
	u16 *first;
	u32 i;

	memset(a->cpuid_first, 0, sizeof(a->cpuid_first));
	for (i = a->cpuid_count; i > 0; i--) {
		first = first_of(a, a->cpuid[i - 1].function);
		if (first)
			*first = (u16)i;
	}
}

static const struct abi_cpuid_entry2 *find(struct vcpu_arch *a, u32 leaf, u32 subleaf)
{
	const struct abi_cpuid_entry2 *e;
	const u16 *first = first_of(a, leaf);
	u32 i = first ? *first : 1;

	for (; i && i <= a->cpuid_count; i++) {
		e = &a->cpuid[i - 1];
		if (e->function == leaf && (!(e->flags & ABI_CPUID_SIGNIFICANT_INDEX) || e->index == subleaf))
			return e;
	}
	return NULL;
}

int cpuid_guest(struct vcpu *v, u64 cr4)
{
	struct gprs *r = &v->arch.regs;
	u32 leaf = (u32)r->rax, subleaf = (u32)r->rcx;
	const struct abi_cpuid_entry2 *e = find(&v->arch, leaf, subleaf);

	if (unlikely(!e))
		return 0;
	r->rax = e->eax;
	r->rbx = e->ebx;
	r->rcx = e->ecx;
	r->rdx = e->edx;
	if (leaf < 32 && (RUNTIME_LEAVES >> leaf & 1))
		r->rcx = runtime_ecx(leaf, subleaf, cr4, e->ecx);
	return 1;
}

s64 op_KVM_SET_CPUID2(struct call *c)
{
	const struct abi_cpuid2 *list = (const struct abi_cpuid2 *)c->buf;
	struct vcpu_arch *a = &c->vcpu->arch;
	u32 n = list->nent;

	if (n > ABI_MAX_CPUID_ENTRIES || c->length < sizeof(*list) + n * sizeof(list->entries[0]))
		return -EINVAL;
	memcpy(a->cpuid, list->entries, n * sizeof(list->entries[0]));
	a->cpuid_count = n;
	build_index(a);
	return 0;
}
