// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * cpuid.c - CPUID tables: what a VMM may offer (KVM_GET_SUPPORTED_CPUID), the
 * table that it sets, and questions about that.
 *
 * Owns: vcpu.arch.cpuid, the VMM's table, and the slots of the exit page from
 * which the hypervisor answers most of it.
 * The rows say which bits of the machine's own answer a guest can use; what has
 * no row is not offered.
 * Called by: main.c, vcpu.c through the tables of ioctl.c. Concurrency: v->lock.
 * See: APM volume 3, appendix E; SDM volume 2A, CPUID.
 */
#include <linux/slab.h>
#include <asm/processor.h>

#include "tenon.h"

#define ALL 0xffffffffu
#define B(n) (1u << (n))
/* XCR0 bits that the hypervisor switches: x87, SSE, AVX, AVX-512, PKRU. */
#define XCR0_SWITCHED 0x2e7ull
#define PHYSADDR_LEAF 0x80000008u
#define PHYSADDR_DEFAULT 36u
#define SIGNATURE_DEFAULT 0x600u

struct regs4 { u32 eax, ebx, ecx, edx; };

/* ECX of leaf 1: SSE3 PCLMUL SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND */
#define LEAF1_ECX (B(0) | B(1) | B(9) | B(12) | B(13) | B(17) | B(19) | B(20) | B(22) | \
		   B(23) | B(25) | B(26) | B(28) | B(29) | B(30))
/* EDX: all but PSN, DS, ACPI, HTT, TM, PBE */
#define LEAF1_EDX 0x0f8bfbffu
/* EBX of leaf 7: FSGSBASE BMI1 AVX2 FDP SMEP BMI2 ERMS INVPCID FCS AVX512F/DQ RDSEED ADX SMAP IFMA CLFLUSHOPT CLWB PF ER CD SHA BW VL */
#define LEAF7_EBX (B(0) | B(3) | B(5) | B(6) | B(7) | B(8) | B(9) | B(10) | B(13) | B(16) | \
		   B(17) | B(18) | B(19) | B(20) | B(21) | B(23) | B(24) | B(26) | B(27) | \
		   B(28) | B(29) | B(30) | B(31))
/* ECX: AVX512VBMI UMIP PKU VBMI2 GFNI VAES VPCLMUL VNNI BITALG VPOPCNTDQ RDPID CLDEMOTE MOVDIRI MOVDIR64B */
#define LEAF7_ECX (B(1) | B(2) | B(3) | B(6) | B(8) | B(9) | B(10) | B(11) | B(12) | B(14) | \
		   B(22) | B(25) | B(27) | B(28))
/* EDX: 4VNNIW 4FMAPS FSRM VP2INTERSECT SERIALIZE */
#define LEAF7_EDX (B(2) | B(3) | B(4) | B(8) | B(14))
/* ECX of 0x80000001: LAHF CMP_LEGACY CR8 ABM SSE4A MISALIGN PREFETCH OSVW XOP FMA4 TBM TOPOEXT */
#define EXT1_ECX (B(0) | B(1) | B(4) | B(5) | B(6) | B(7) | B(8) | B(9) | B(11) | B(16) | \
		  B(21) | B(22))
/* EDX: the basic ones, SYSCALL NX MMXEXT FXSR_OPT GBPAGES RDTSCP LM 3DNOWEXT 3DNOW */
#define EXT1_EDX (0x0183f3ffu | B(11) | B(20) | B(22) | B(23) | B(24) | B(25) | B(26) | B(27) | \
		  B(29) | B(30) | B(31))

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
	/* CLOCKSOURCE NOP_IO_DELAY CLOCKSOURCE2 ASYNC_PF STEAL_TIME ASYNC_PF_VMEXIT (of nested guests: there are none) ASYNC_PF_INT
	   CLOCKSOURCE_STABLE_BIT */
	{ 0x40000001, FIXED, B(0) | B(1) | B(3) | B(4) | B(5) | B(10) | B(14) | B(24), 0, 0, 0 },
	{ 0x80000000, PLAIN, ALL, ALL, ALL, ALL },
	{ 0x80000001, PLAIN, ALL, ALL, EXT1_ECX, EXT1_EDX },
	{ 0x80000002, PLAIN, ALL, ALL, ALL, ALL },
	{ 0x80000003, PLAIN, ALL, ALL, ALL, ALL },
	{ 0x80000004, PLAIN, ALL, ALL, ALL, ALL },
	{ 0x80000005, PLAIN, ALL, ALL, ALL, ALL },
	{ 0x80000006, PLAIN, ALL, ALL, ALL, ALL },
	{ 0x80000007, PLAIN, 0, 0, 0, B(8) },	/* constant TSC */
	{ 0x80000008, PLAIN, 0xffff, B(0) | B(2) | B(9), 0, 0 },	/* CLZERO XSAVEERPTR WBNOINVD */
	{ 0x80000019, PLAIN, ALL, ALL, 0, 0 },
	{ 0x8000001a, PLAIN, ALL, 0, 0, 0 },
	{ 0x8000001d, INDEXED, 0x3fff, ALL, ALL, ALL },
	{ 0x8000001f, FIXED, 0, 0, 0, 0 },
	{ 0x80000021, PLAIN, B(0) | B(2) | B(6), 0, 0, 0 },
};

#define BASIC_MAX 0xdu
#define EXT_MAX 0x80000021u
#define INDEXED_MAX 8u

static struct regs4 ask(u32 leaf, u32 index)
{
	struct regs4 r;

	cpuid_count(leaf, index, &r.eax, &r.ebx, &r.ecx, &r.edx);
	return r;
}

/* ---- what a VMM may offer ---- */

bool cpuid_offers(u32 leaf, u32 reg, u32 bit)
{
	struct regs4 machine = ask(leaf, 0);
	u32 i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].leaf == leaf)
			return (&rows[i].eax)[reg] & (&machine.eax)[reg] & B(bit);
	}
	return false;
}

u64 cpuid_xcr0_offered(void)
{
	struct regs4 c = ask(0xd, 0);
	u64 mask = (c.eax | (u64)c.edx << 32) & XCR0_SWITCHED;

	if (!(ask(1, 0).ecx & B(26)))
		return 0;
	return ask(7, 0).ecx & B(3) ? mask : mask & ~0x200ull;
}

/* Bytes of an XSAVE area for these components, standard format. */
static u32 xstate_size(u64 mask)
{
	u32 size = 576, i;

	for (i = 2; i < 63; i++) {
		struct regs4 c;

		if (!(mask >> i & 1))
			continue;
		c = ask(0xd, i);
		size = max(size, c.eax + c.ebx);
	}
	return size;
}

static bool host_has(u32 leaf)
{
	return leaf >> 16 == 0x4000 || ask(leaf & 0x80000000, 0).eax >= leaf;
}

static void put(struct abi_cpuid2 *list, u32 room, u32 leaf, u32 index, u32 flags, struct regs4 c)
{
	if (list->nent < room)
		list->entries[list->nent] = (struct abi_cpuid_entry2) {
			leaf, index, flags, c.eax, c.ebx, c.ecx, c.edx, { 0 }
		};
	list->nent++;
}

static void put_xstate(struct abi_cpuid2 *list, u32 room)
{
	u64 mask = cpuid_xcr0_offered();
	u32 size = xstate_size(mask), i;
	struct regs4 c = { (u32)mask, size, size, (u32)(mask >> 32) };

	if (!mask)
		return;
	put(list, room, 0xd, 0, ABI_CPUID_SIGNIFICANT_INDEX, c);
	c = ask(0xd, 1);
	/* XSAVEOPT, XSAVEC and XGETBV with ECX = 1; no XSAVES: no supervisor components */
	put(list, room, 0xd, 1, ABI_CPUID_SIGNIFICANT_INDEX, (struct regs4) { c.eax & 7, 0, 0, 0 });
	for (i = 2; i < 63; i++) {
		if (!(mask >> i & 1))
			continue;
		c = ask(0xd, i);
		c.ecx &= ~1u;
		c.edx = 0;
		put(list, room, 0xd, i, ABI_CPUID_SIGNIFICANT_INDEX, c);
	}
}

static void put_row(struct abi_cpuid2 *list, u32 room, const struct row *r)
{
	struct regs4 c;
	u32 i;

	if (r->kind == XSTATE) {
		put_xstate(list, room);
		return;
	}
	for (i = 0; i < (r->kind == INDEXED ? INDEXED_MAX : 1); i++) {
		if (r->kind == FIXED)
			c = (struct regs4) { r->eax, r->ebx, r->ecx, r->edx };
		else
			c = ask(r->leaf, i);
		if (r->kind != FIXED)
			c = (struct regs4) { c.eax & r->eax, c.ebx & r->ebx, c.ecx & r->ecx, c.edx & r->edx };
		if (r->leaf == 0 && c.eax > BASIC_MAX)
			c.eax = BASIC_MAX;
		if (r->leaf == 1)
			c.ecx |= B(21) | B(31);	/* x2APIC is ours; a hypervisor is there, as KVM says */
		if (r->leaf == 7 && i == 0)
			c.ebx |= B(1);	/* TSC_ADJUST is ours */
		if (r->leaf == 0x80000000 && c.eax > EXT_MAX)
			c.eax = EXT_MAX;
		put(list, room, r->leaf, i, r->kind == INDEXED ? ABI_CPUID_SIGNIFICANT_INDEX : 0, c);
		/* Cache leaves end with type 0; leaf 7 has one subleaf here. */
		if (r->kind == INDEXED && (r->leaf == 7 || !(c.eax & 0x1f)))
			break;
	}
}


/* ---- the ioctls ---- */

static struct abi_cpuid2 *cpuid_alloc(void)
{
	return kvzalloc(ABI_CPUID_BYTES, GFP_KERNEL_ACCOUNT);
}

static long list_to_user(struct kvm_cpuid2 __user *user, const struct abi_cpuid2 *list)
{
	u32 room;

	if (get_user(room, &user->nent))
		return -EFAULT;
	if (room < list->nent)
		return -E2BIG;
	return copy_to_user(user, list, struct_size(list, entries, list->nent)) ? -EFAULT : 0;
}

long cpuid_supported(void *object, unsigned long arg)
{
	struct abi_cpuid2 *list = cpuid_alloc();
	long rc;
	u32 i;

	if (!list)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (host_has(rows[i].leaf))
			put_row(list, ABI_MAX_CPUID_ENTRIES, &rows[i]);
	}
	rc = list_to_user((void __user *)arg, list);
	kvfree(list);
	return rc;
}

/* The bits that follow CR4 and IA32_APIC_BASE. */
static void follow(struct abi_cpuid_entry2 *e, const struct vcpu *v, u64 cr4)
{
	if (e->function == 1) {
		e->ecx = (e->ecx & ~B(27)) | (cr4 & X86_CR4_OSXSAVE ? B(27) : 0);
		if (!lapic_on(&v->arch.lapic))
			e->edx &= ~B(9);
	} else if (e->function == 7 && !e->index) {
		e->ecx = (e->ecx & ~B(4)) | (cr4 & X86_CR4_PKE ? B(4) : 0);
	}
}

/* The bits that follow the guest's own state, as the guest would read them now. */
static void runtime_fill(struct abi_cpuid_entry2 *e, const struct vcpu *v, const struct state_fields *s)
{
	follow(e, v, s->value[STATE_CR4]);
	if (e->function == 0xd && !e->index && boot_cpu_has(X86_FEATURE_XSAVE))
		e->ebx = xstate_size(s->value[STATE_XCR0]);
}

static int runtime_update(struct vcpu *v, struct abi_cpuid2 *list)
{
	struct state_fields s;
	int rc = state_read(v, &s);
	u32 i;

	for (i = 0; !rc && i < list->nent; i++)
		runtime_fill(&list->entries[i], v, &s);
	return rc;
}

/* A copy of the table as the guest would read it now; free with kvfree(). */
static struct abi_cpuid2 *cpuid_now(struct vcpu *v)
{
	struct abi_cpuid2 *list = cpuid_alloc();
	int rc;

	if (!list)
		return ERR_PTR(-ENOMEM);
	memcpy(list, v->arch.cpuid, struct_size(list, entries, v->arch.cpuid->nent));
	rc = runtime_update(v, list);
	if (!rc)
		return list;
	kvfree(list);
	return ERR_PTR(rc);
}

long cpuid_get2(void *object, unsigned long arg)
{
	struct abi_cpuid2 *list = cpuid_now(object);
	long rc;

	if (IS_ERR(list))
		return PTR_ERR(list);
	rc = list_to_user((void __user *)arg, list);
	kvfree(list);
	return rc;
}

static const struct abi_cpuid_entry2 *find(const struct abi_cpuid2 *list, u32 leaf)
{
	u32 i;

	for (i = 0; i < list->nent; i++) {
		if (list->entries[i].function == leaf && !list->entries[i].index)
			return &list->entries[i];
	}
	return NULL;
}

bool cpuid_has(const struct vcpu *v, u32 leaf, u32 reg, u32 bit)
{
	const struct abi_cpuid_entry2 *e = find(v->arch.cpuid, leaf);

	return e && (&e->eax)[reg] >> bit & 1;
}

/* ---- what the hypervisor does not answer ---- */

static const struct abi_cpuid_entry2 *find_exact(const struct abi_cpuid2 *list, u32 leaf, u32 index)
{
	u32 i;

	for (i = 0; i < list->nent; i++) {
		const struct abi_cpuid_entry2 *e = &list->entries[i];

		if (e->function == leaf && (!(e->flags & ABI_CPUID_SIGNIFICANT_INDEX) || e->index == index))
			return e;
	}
	return NULL;
}

/* Beyond the highest basic leaf Intel answers with that leaf, AMD with zeros. */
static const struct abi_cpuid_entry2 *out_of_range(const struct abi_cpuid2 *list, u32 leaf, u32 index)
{
	const struct abi_cpuid_entry2 *zero = find_exact(list, 0, 0), *top;

	if (!zero || (zero->ecx == 0x444d4163 && zero->ebx == 0x68747541))	/* "AuthenticAMD" */
		return NULL;
	top = find_exact(list, leaf & 0xc0000000, 0);
	if (top && leaf <= top->eax)
		return NULL;
	return find_exact(list, zero->eax, index);
}

/* The area's size as XCR0 is now: the one leaf that the hypervisor is not given. */
static bool is_xstate_size(const struct abi_cpuid_entry2 *e)
{
	return e->function == 0xd && !e->index;
}

int cpuid_exit(struct vcpu *v)
{
	const struct exit_state *out = &v->exit->out;
	u32 leaf = out->regs.rax, index = out->regs.rcx;
	const struct abi_cpuid_entry2 *e = find_exact(v->arch.cpuid, leaf, index);
	struct exit_resume *in = &v->exit->in;
	u64 xcr0;

	if (!e)
		e = out_of_range(v->arch.cpuid, leaf, index);
	in->regs = out->regs;
	in->regs.rip = out->next_rip;
	in->regs.rax = e ? e->eax : 0;
	in->regs.rbx = e ? e->ebx : 0;
	in->regs.rcx = e ? e->ecx : 0;
	in->regs.rdx = e ? e->edx : 0;
	if (e && is_xstate_size(e) && boot_cpu_has(X86_FEATURE_XSAVE) && !state_read_one(v, STATE_XCR0, &xcr0))
		in->regs.rbx = xstate_size(xcr0);
	/* What follows CR4, when the answer is that of leaf 7 or 1 for one out of range. */
	if (e && e->function == 7 && !index)
		in->regs.rcx = (in->regs.rcx & ~(u64)B(4)) | (out->cr4 & X86_CR4_PKE ? B(4) : 0);
	if (e && e->function == 1)
		in->regs.rcx = (in->regs.rcx & ~(u64)B(27)) | (out->cr4 & X86_CR4_OSXSAVE ? B(27) : 0);
	in->flags |= RESUME_REGS;
	return 1;
}

/* KVM knows 48 and 57 bits of linear address, and takes 0 for "not said". */
static bool linear_bits_ok(const struct abi_cpuid2 *list)
{
	const struct abi_cpuid_entry2 *e = find(list, PHYSADDR_LEAF);
	u8 bits = e ? e->eax >> 8 : 0;

	return !bits || bits == 48 || bits == 57;
}

static void physaddr_note(struct vcpu *v)
{
	const struct abi_cpuid_entry2 *e = find(v->arch.cpuid, PHYSADDR_LEAF);

	v->arch.maxphyaddr = e && (u8)e->eax ? min_t(u8, e->eax, 52) : PHYSADDR_DEFAULT;
}

/* ---- what the hypervisor answers ---- */

/* A slot that answers nothing: its leaf belongs elsewhere. */
static void slots_clear(struct cpuid_slot *slots)
{
	u32 i;

	for (i = 0; i < CPUID_SLOTS; i++)
		slots[i] = (struct cpuid_slot) { .leaf = i ^ 1 };
}

/* Is it the answer for its leaf and index, or for its leaf with any? */
static bool answers(const struct abi_cpuid2 *list, const struct abi_cpuid_entry2 *e)
{
	const struct abi_cpuid_entry2 *first = list->entries;

	if (e->flags & ABI_CPUID_SIGNIFICANT_INDEX)
		return find_exact(list, e->function, e->index) == e;
	while (first->function != e->function)
		first++;
	return first == e;
}

static void slot_fill(struct vcpu *v, const struct abi_cpuid_entry2 *entry)
{
	bool indexed = entry->flags & ABI_CPUID_SIGNIFICANT_INDEX;
	u32 place = CPUID_SLOT(entry->function, indexed ? entry->index : 0);
	struct cpuid_slot *s = &v->exit->in.cpuid[place];
	struct abi_cpuid_entry2 e = *entry;

	if (s->leaf != (place ^ 1) || s->index)
		return;		/* taken: cpuid_exit() answers */
	follow(&e, v, v->arch.cpuid_cr4);
	*s = (struct cpuid_slot) { e.function, indexed ? e.index : CPUID_ANY, e.eax, e.ebx, e.ecx, e.edx };
}

/* All but the leaf that follows XCR0. First those with one answer, which are asked for most. */
void cpuid_push(struct vcpu *v)
{
	const struct abi_cpuid2 *list = v->arch.cpuid;
	u32 pass, i;

	slots_clear(v->exit->in.cpuid);
	for (pass = 0; pass < 2; pass++) {
		for (i = 0; i < list->nent; i++) {
			const struct abi_cpuid_entry2 *e = &list->entries[i];

			if (pass == (e->flags & ABI_CPUID_SIGNIFICANT_INDEX) && !is_xstate_size(e) && answers(list, e))
				slot_fill(v, e);
		}
	}
}

#define CR4_FOLLOWED (X86_CR4_OSXSAVE | X86_CR4_PKE)

void cpuid_follow_cr4(struct vcpu *v, u64 cr4)
{
	u64 changed = v->arch.cpuid_cr4 ^ cr4;

	v->arch.cpuid_cr4 = cr4;
	if (v->arch.cpuid && changed & CR4_FOLLOWED)
		cpuid_push(v);
}

/* MWAIT's bit comes and goes with MISC_ENABLE's. */
int cpuid_set_mwait(struct vcpu *v, bool on)
{
	struct abi_cpuid_entry2 *e = (struct abi_cpuid_entry2 *)find(v->arch.cpuid, 1);

	if (!e)
		return 0;
	e->ecx = on ? e->ecx | B(3) : e->ecx & ~B(3);
	cpuid_push(v);
	return options_apply(v);
}

/* Is the table the vCPU's own, but for the bits that follow the guest's state? Else -EINVAL. */
static long cpuid_same(struct vcpu *v, struct abi_cpuid2 *list)
{
	struct abi_cpuid2 *own = cpuid_now(v);
	long rc;

	if (IS_ERR(own))
		return PTR_ERR(own);
	rc = runtime_update(v, list);
	if (!rc && (list->nent != own->nent || memcmp(list->entries, own->entries, list->nent * sizeof(list->entries[0]))))
		rc = -EINVAL;
	kvfree(own);
	return rc;
}

/* Hand a table over; it stays the driver's as well. After the first run only the same one is taken. */
static long cpuid_set(struct vcpu *v, struct abi_cpuid2 *list)
{
	size_t bytes = struct_size(list, entries, list->nent);

	if (v->arch.ran)
		return cpuid_same(v, list);
	if (!linear_bits_ok(list))
		return -EINVAL;
	memcpy(v->arch.cpuid, list, bytes);
	v->arch.cpuid_set = true;
	physaddr_note(v);
	apic_cpuid(v);
	cpuid_push(v);
	return options_apply(v);
}

u32 cpuid_signature(const struct vcpu *v)
{
	const struct abi_cpuid_entry2 *e = find(v->arch.cpuid, 1);

	return e ? e->eax : SIGNATURE_DEFAULT;
}

int cpuid_init(struct vcpu *v)
{
	v->arch.maxphyaddr = PHYSADDR_DEFAULT;
	v->arch.cpuid = cpuid_alloc();
	if (!v->arch.cpuid)
		return -ENOMEM;
	cpuid_push(v);
	return 0;
}

long cpuid_set2(void *object, unsigned long arg)
{
	struct kvm_cpuid2 __user *user = (void __user *)arg;
	struct abi_cpuid2 *cpuid = cpuid_alloc();
	long rc = -EFAULT;

	if (!cpuid)
		return -ENOMEM;
	if (copy_from_user(cpuid, user, sizeof(*cpuid)))
		goto out;
	rc = -E2BIG;
	if (cpuid->nent > ABI_MAX_CPUID_ENTRIES)
		goto out;
	rc = -EFAULT;
	if (copy_from_user(cpuid->entries, user->entries, cpuid->nent * sizeof(cpuid->entries[0])))
		goto out;
	rc = cpuid_set(object, cpuid);
out:
	kvfree(cpuid);
	return rc;
}

/* The old form: a table without index and flags. */
long cpuid_set_old(void *object, unsigned long arg)
{
	struct kvm_cpuid __user *user = (void __user *)arg;
	struct abi_cpuid2 *cpuid;
	struct kvm_cpuid_entry old;
	long rc = 0;
	u32 nent, i;

	if (get_user(nent, &user->nent))
		return -EFAULT;
	if (nent > ABI_MAX_CPUID_ENTRIES)
		return -E2BIG;
	cpuid = cpuid_alloc();
	if (!cpuid)
		return -ENOMEM;
	cpuid->nent = nent;
	for (i = 0; i < nent && !rc; i++) {
		if (copy_from_user(&old, &user->entries[i], sizeof(old)))
			rc = -EFAULT;
		else
			cpuid->entries[i] = (struct abi_cpuid_entry2){
				.function = old.function, .eax = old.eax, .ebx = old.ebx,
				.ecx = old.ecx, .edx = old.edx,
			};
	}
	if (!rc)
		rc = cpuid_set(object, cpuid);
	kvfree(cpuid);
	return rc;
}
