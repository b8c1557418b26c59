/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpuid.c - CPUID: what the service VM sees, what a VMM may offer
 * (KVM_GET_SUPPORTED_CPUID), and what a guest gets (KVM_SET_CPUID2).
 *
 * The table says which bits of the machine's own answer a guest can use; what
 * has no row is not offered. A VMM may set anything: the answers are only
 * data, nothing in the hypervisor trusts them.
 * See: APM vol. 3, appendix E; SDM vol. 2A, CPUID.
 */
#include <string.h>
#include "vcpu_arch.h"
#include "vm.h"
#include "call.h"
#include "errno.h"
#include "abi/hypercall.h"

#define ALL 0xffffffffu
#define BIT(n) (1u << (n))

#define LEAF1_ECX_OSXSAVE BIT(27)
#define LEAF1_EDX_APIC BIT(9)
#define LEAF7_ECX_OSPKE BIT(4)

/* ECX of leaf 1: SSE3 PCLMUL SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND */
#define LEAF1_ECX (BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(17) | BIT(19) | BIT(20) | BIT(22) | \
		   BIT(23) | BIT(25) | BIT(26) | BIT(28) | BIT(29) | BIT(30))
/* EDX: all but PSN, DS, ACPI, HTT, TM, PBE */
#define LEAF1_EDX 0x0f8bfbffu
/* EBX of leaf 7: FSGSBASE BMI1 AVX2 FDP SMEP BMI2 ERMS INVPCID FCS AVX512F/DQ RDSEED ADX SMAP IFMA CLFLUSHOPT CLWB PF ER CD SHA BW VL */
#define LEAF7_EBX (BIT(0) | BIT(3) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(9) | BIT(10) | BIT(13) | BIT(16) | \
		   BIT(17) | BIT(18) | BIT(19) | BIT(20) | BIT(21) | BIT(23) | BIT(24) | BIT(26) | BIT(27) | \
		   BIT(28) | BIT(29) | BIT(30) | BIT(31))
/* ECX: AVX512VBMI UMIP PKU VBMI2 GFNI VAES VPCLMUL VNNI BITALG VPOPCNTDQ RDPID CLDEMOTE MOVDIRI MOVDIR64B */
#define LEAF7_ECX (BIT(1) | BIT(2) | BIT(3) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | BIT(14) | \
		   BIT(22) | BIT(25) | BIT(27) | BIT(28))
/* EDX: 4VNNIW 4FMAPS FSRM VP2INTERSECT SERIALIZE */
#define LEAF7_EDX (BIT(2) | BIT(3) | BIT(4) | BIT(8) | BIT(14))
/* ECX of 0x80000001: LAHF CMP_LEGACY CR8 ABM SSE4A MISALIGN PREFETCH OSVW XOP FMA4 TBM TOPOEXT */
#define EXT1_ECX (BIT(0) | BIT(1) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(9) | BIT(11) | BIT(16) | \
		  BIT(21) | BIT(22))
/* EDX: the basic ones, SYSCALL NX MMXEXT FXSR_OPT GBPAGES RDTSCP LM 3DNOWEXT 3DNOW */
#define EXT1_EDX (0x0183f3ffu | BIT(11) | BIT(20) | BIT(22) | BIT(23) | BIT(24) | BIT(25) | BIT(26) | BIT(27) | \
		  BIT(29) | BIT(30) | BIT(31))

enum { PLAIN, INDEXED, XSTATE, FIXED };

static const struct row {
	u32 leaf;
	u32 kind;
	u32 eax, ebx, ecx, edx;	/* masks; FIXED: values */
} rows[] = {
	{ 0x00000000, PLAIN, ALL, ALL, ALL, ALL },
	{ 0x00000001, PLAIN, ALL, ALL, LEAF1_ECX, LEAF1_EDX },
	{ 0x00000002, PLAIN, ALL, ALL, ALL, ALL },
	{ 0x00000004, INDEXED, 0x3fff, ALL, ALL, ALL },
	{ 0x00000006, FIXED, 4, 0, 0, 0 },	/* ARAT */
	{ 0x00000007, INDEXED, 0, LEAF7_EBX, LEAF7_ECX, LEAF7_EDX },
	{ 0x0000000d, XSTATE, ALL, ALL, ALL, ALL },
	{ 0x40000000, FIXED, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d },	/* "KVMKVMKVM" */
	{ 0x40000001, FIXED, 0, 0, 0, 0 },	/* paravirtual features: none yet */
	{ 0x80000000, PLAIN, ALL, ALL, ALL, ALL },
	{ 0x80000001, PLAIN, ALL, ALL, EXT1_ECX, EXT1_EDX },
	{ 0x80000002, PLAIN, ALL, ALL, ALL, ALL },
	{ 0x80000003, PLAIN, ALL, ALL, ALL, ALL },
	{ 0x80000004, PLAIN, ALL, ALL, ALL, ALL },
	{ 0x80000005, PLAIN, ALL, ALL, ALL, ALL },
	{ 0x80000006, PLAIN, ALL, ALL, ALL, ALL },
	{ 0x80000007, PLAIN, 0, 0, 0, BIT(8) },	/* constant TSC */
	{ 0x80000008, PLAIN, 0xffff, BIT(0) | BIT(2) | BIT(9), 0, 0 },	/* CLZERO XSAVEERPTR WBNOINVD */
	{ 0x80000019, PLAIN, ALL, ALL, 0, 0 },
	{ 0x8000001a, PLAIN, ALL, 0, 0, 0 },
	{ 0x8000001d, INDEXED, 0x3fff, ALL, ALL, ALL },
	{ 0x8000001f, FIXED, 0, 0, 0, 0 },
	{ 0x80000021, PLAIN, BIT(0) | BIT(2) | BIT(6), 0, 0, 0 },
};

#define BASIC_MAX 0xdu
#define EXT_MAX 0x80000021u
#define INDEXED_MAX 8u

int cpu_has_ibpb;

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
	switch (leaf) {
	case 1:
		c.ecx &= ~(BIT(5) | BIT(6));	/* VMX, SMX */
		c.ecx = (c.ecx & ~LEAF1_ECX_OSXSAVE) | (cr4 & CR4_OSXSAVE ? LEAF1_ECX_OSXSAVE : 0);
		break;
	case 7:
		if (subleaf == 0)
			c.ebx &= ~BIT(25);	/* Processor Trace */
		if (subleaf == 0)
			c.ecx = (c.ecx & ~LEAF7_ECX_OSPKE) | (cr4 & CR4_PKE ? LEAF7_ECX_OSPKE : 0);
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

/* ---- what a VMM may offer ---- */

static int host_has(u32 leaf)
{
	return leaf >> 16 == 0x4000 || cpuid(leaf & 0x80000000, 0).eax >= leaf;
}

static void put(struct abi_cpuid2 *list, u32 room, u32 leaf, u32 index, u32 flags, struct cpuid c)
{
	if (list->nent < room)
		list->entries[list->nent] = (struct abi_cpuid_entry2) {
			leaf, index, flags, c.eax, c.ebx, c.ecx, c.edx, { 0 }
		};
	list->nent++;
}

static void put_xstate(struct abi_cpuid2 *list, u32 room)
{
	struct cpuid c = { (u32)fpu_mask, fpu_bytes, fpu_bytes, (u32)(fpu_mask >> 32) };
	u32 i;

	if (!fpu_mask)
		return;
	put(list, room, 0xd, 0, ABI_CPUID_SIGNIFICANT_INDEX, c);
	c = cpuid(0xd, 1);
	/* XSAVEOPT, XSAVEC and XGETBV with ECX = 1; no XSAVES: no supervisor components */
	put(list, room, 0xd, 1, ABI_CPUID_SIGNIFICANT_INDEX, (struct cpuid) { c.eax & 7, 0, 0, 0 });
	for (i = 2; i < 63; i++) {
		if (!(fpu_mask >> i & 1))
			continue;
		c = cpuid(0xd, i);
		c.ecx &= ~1u;
		c.edx = 0;
		put(list, room, 0xd, i, ABI_CPUID_SIGNIFICANT_INDEX, c);
	}
}

static void put_row(struct abi_cpuid2 *list, u32 room, const struct row *r)
{
	struct cpuid c;
	u32 i;

	if (r->kind == XSTATE) {
		put_xstate(list, room);
		return;
	}
	for (i = 0; i < (r->kind == INDEXED ? INDEXED_MAX : 1); i++) {
		if (r->kind == FIXED)
			c = (struct cpuid) { r->eax, r->ebx, r->ecx, r->edx };
		else
			c = cpuid(r->leaf, i);
		if (r->kind != FIXED)
			c = (struct cpuid) { c.eax & r->eax, c.ebx & r->ebx, c.ecx & r->ecx, c.edx & r->edx };
		if (r->leaf == 0 && c.eax > BASIC_MAX)
			c.eax = BASIC_MAX;
		if (r->leaf == 1)
			c.ecx |= BIT(31);	/* a hypervisor is there, as KVM says */
		if (r->leaf == 7 && i == 0)
			c.ebx |= BIT(1);	/* TSC_ADJUST is ours */
		if (r->leaf == 0x80000000 && c.eax > EXT_MAX)
			c.eax = EXT_MAX;
		put(list, room, r->leaf, i, r->kind == INDEXED ? ABI_CPUID_SIGNIFICANT_INDEX : 0, c);
		/* Cache leaves end with type 0; leaf 7 has one subleaf here. */
		if (r->kind == INDEXED && (r->leaf == 7 || !(c.eax & 0x1f)))
			break;
	}
}

s64 op_KVM_GET_SUPPORTED_CPUID(struct call *c)
{
	struct abi_cpuid2 *list = (struct abi_cpuid2 *)c->buf;
	u32 room = list->nent, i;

	if (room > ABI_MAX_CPUID_ENTRIES)
		room = ABI_MAX_CPUID_ENTRIES;
	list->nent = 0;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (host_has(rows[i].leaf))
			put_row(list, room, &rows[i]);
	if (list->nent > room)
		return -E2BIG;
	c->out = sizeof(*list) + list->nent * sizeof(list->entries[0]);
	return 0;
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

int cpuid_has(const struct vcpu *v, u32 leaf, int reg, u32 bit)
{
	const struct abi_cpuid_entry2 *e = find((struct vcpu_arch *)&v->arch, leaf, 0);

	return e && (&e->eax)[reg] >> bit & 1;
}

/* Beyond the highest basic leaf Intel answers with that leaf, AMD with zeros. */
static const struct abi_cpuid_entry2 *out_of_range(struct vcpu_arch *a, u32 leaf, u32 subleaf)
{
	const struct abi_cpuid_entry2 *zero = find(a, 0, 0), *top;

	if (!zero || (zero->ecx == 0x444d4163 && zero->ebx == 0x68747541))	/* "AuthenticAMD" */
		return NULL;
	top = find(a, leaf & 0xc0000000, 0);
	if (top && leaf <= top->eax)
		return NULL;
	return find(a, zero->eax, subleaf);
}

/* Size of the XSAVE area for xcr0, standard format. */
static u32 xstate_size(u64 xcr0)
{
	u32 size = 576, i;

	for (i = 2; i < 63 && xcr0 >> i; i++)
		if (xcr0 >> i & 1) {
			struct cpuid c = cpuid(0xd, i);
			if (c.eax + c.ebx > size)
				size = c.eax + c.ebx;
		}
	return size;
}

void cpuid_guest(struct vcpu *v, u64 cr4)
{
	struct gprs *r = &v->arch.regs;
	u32 leaf = (u32)r->rax, subleaf = (u32)r->rcx;
	const struct abi_cpuid_entry2 *e = find(&v->arch, leaf, subleaf);
	struct cpuid c = { 0 };

	if (!e)
		e = out_of_range(&v->arch, leaf, subleaf);
	if (e)
		c = (struct cpuid) { e->eax, e->ebx, e->ecx, e->edx };
	/* The bits that follow the guest's own state. */
	if (leaf == 1) {
		c.ecx &= ~LEAF1_ECX_OSXSAVE;
		c.ecx |= cr4 & CR4_OSXSAVE ? LEAF1_ECX_OSXSAVE : 0;
		if (!(v->arch.apic_base & APIC_BASE_ENABLE))
			c.edx &= ~LEAF1_EDX_APIC;
	} else if (leaf == 7 && subleaf == 0) {
		c.ecx &= ~LEAF7_ECX_OSPKE;
		c.ecx |= cr4 & CR4_PKE ? LEAF7_ECX_OSPKE : 0;
	} else if (leaf == 0xd && subleaf == 0 && e && fpu_mask) {
		c.ebx = xstate_size(xgetbv());
	}
	r->rax = c.eax;
	r->rbx = c.ebx;
	r->rcx = c.ecx;
	r->rdx = c.edx;
}

/* After the first run the same table is accepted, any other is refused (as KVM). */
static int table_same(const struct vcpu_arch *a, const struct abi_cpuid2 *list)
{
	return list->nent == a->cpuid_count &&
		!memcmp(a->cpuid, list->entries, list->nent * sizeof(list->entries[0]));
}

s64 op_KVM_SET_CPUID2(struct call *c)
{
	const struct abi_cpuid2 *list = (const struct abi_cpuid2 *)c->buf;
	struct vcpu_arch *a = &c->vcpu->arch;
	u32 n = list->nent;

	if (n > ABI_MAX_CPUID_ENTRIES)
		return -E2BIG;
	if (c->length < sizeof(*list) + n * sizeof(list->entries[0]))
		return -EINVAL;
	if (c->vcpu->exits[EXIT_ENTRIES])
		return table_same(a, list) ? 0 : -EINVAL;
	memcpy(a->cpuid, list->entries, n * sizeof(list->entries[0]));
	a->cpuid_count = n;
	build_index(a);
	return 0;
}

s64 op_KVM_GET_CPUID2(struct call *c)
{
	struct abi_cpuid2 *list = (struct abi_cpuid2 *)c->buf;
	const struct vcpu_arch *a = &c->vcpu->arch;

	if (list->nent < a->cpuid_count)
		return -E2BIG;
	list->nent = a->cpuid_count;
	memcpy(list->entries, a->cpuid, a->cpuid_count * sizeof(list->entries[0]));
	c->out = sizeof(*list) + a->cpuid_count * sizeof(list->entries[0]);
	return 0;
}
