// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * walk.c - the guest's page tables, see walk.h.
 *
 * Geometry is data: a row per paging mode. One loop goes down and collects
 * the rights; the rights are checked once, at the leaf; only then are accessed
 * and dirty bits set, from the leaf's entry up, each by compare-and-exchange.
 * Invariant: nothing is written unless the access is allowed.
 * Protection keys are not looked at: the driver does not know PKRU.
 */
#include "walk.h"
#ifdef __KERNEL__
#include <linux/kernel.h>
#include <linux/string.h>
#endif

#define CR0_WP (1ull << 16)
#define CR0_PG (1ull << 31)
#define CR4_PSE (1ull << 4)
#define CR4_PAE (1ull << 5)
#define CR4_LA57 (1ull << 12)
#define CR4_SMEP (1ull << 20)
#define CR4_SMAP (1ull << 21)
#define EFER_LMA (1ull << 10)
#define EFER_NXE (1ull << 11)
#define RFLAGS_AC (1ull << 18)

#define PTE_P (1ull << 0)
#define PTE_RW (1ull << 1)
#define PTE_US (1ull << 2)
#define PTE_A (1ull << 5)
#define PTE_D (1ull << 6)
#define PTE_PS (1ull << 7)
#define PTE_NX (1ull << 63)
#define PTE_ADDRESS 0x000ffffffffff000ull

#define PF_PRESENT 1u
#define PF_WRITE 2u
#define PF_USER 4u
#define PF_RESERVED 8u
#define PF_FETCH 16u

#define MAX_LEVELS 5
#define MAX_RETRIES 16	/* of a guest that changes its tables under our feet */

/* What an entry of one level may be. */
#define LEVEL_LARGE 1u	/* bit 7 set makes it a leaf */
#define LEVEL_IGNORE_PS 2u	/* bit 7 means nothing (a 4 KiB entry's PAT bit, 32-bit paging without PSE) */
#define LEVEL_PDPTE 4u	/* PAE's four: no rights, no accessed bit */

struct level {
	u8 shift;	/* of the linear address */
	u8 flags;
	u16 index_mask;
	u64 reserved_large;	/* reserved bits of a large leaf, below maxphyaddr */
};

struct format {
	u8 levels;
	u8 entry_bytes;
	u64 root_mask;	/* of CR3 */
	u64 reserved;	/* in every entry, whatever maxphyaddr */
	struct level level[MAX_LEVELS];
};

#define LEVEL_4K { 12, LEVEL_IGNORE_PS, 511, 0 }
#define LEVEL_2M { 21, LEVEL_LARGE, 511, 0x1fe000ull }
#define LEVEL_1G { 30, LEVEL_LARGE, 511, 0x3fffe000ull }

enum { FORMAT_32, FORMAT_32_PSE, FORMAT_PAE, FORMAT_64, FORMAT_64_LA57 };

static const struct format formats[] = {
	[FORMAT_32] = { 2, 4, 0xfffff000ull, 0, {
		{ 22, LEVEL_IGNORE_PS, 1023, 0 }, { 12, LEVEL_IGNORE_PS, 1023, 0 } } },
	/* A 4 MiB leaf holds address bits 35:32 in its bits 16:13. */
	[FORMAT_32_PSE] = { 2, 4, 0xfffff000ull, 0, {
		{ 22, LEVEL_LARGE, 1023, 0x3e0000ull }, { 12, LEVEL_IGNORE_PS, 1023, 0 } } },
	[FORMAT_PAE] = { 3, 8, 0xffffffe0ull, 0x7ff0000000000000ull, {
		{ 30, LEVEL_PDPTE, 3, 0 }, LEVEL_2M, LEVEL_4K } },
	[FORMAT_64] = { 4, 8, PTE_ADDRESS, 0, {
		{ 39, 0, 511, 0 }, LEVEL_1G, LEVEL_2M, LEVEL_4K } },
	[FORMAT_64_LA57] = { 5, 8, PTE_ADDRESS, 0, {
		{ 48, 0, 511, 0 }, { 39, 0, 511, 0 }, LEVEL_1G, LEVEL_2M, LEVEL_4K } },
};

/* The way down: what was read and where, for the accessed bits. */
struct path {
	unsigned int depth;	/* index of the leaf's level */
	u64 rights;	/* RW and US of all levels and-ed; NX or-ed */
	u64 gpa[MAX_LEVELS];
	u64 entry[MAX_LEVELS];
};

static const struct format *format_of(const struct walk *w)
{
	if (w->efer & EFER_LMA)
		return &formats[w->cr4 & CR4_LA57 ? FORMAT_64_LA57 : FORMAT_64];
	if (w->cr4 & CR4_PAE)
		return &formats[FORMAT_PAE];
	return &formats[w->cr4 & CR4_PSE ? FORMAT_32_PSE : FORMAT_32];
}

static int page_fault(const struct walk *w, u64 linear, unsigned int access, unsigned int error,
		      struct decode_fault *fault)
{
	int fetch_told = (w->cr4 & CR4_SMEP) || ((w->efer & EFER_NXE) && (w->cr4 & CR4_PAE));

	if (access & DECODE_WRITE)
		error |= PF_WRITE;
	if (access && w->cpl == 3)
		error |= PF_USER;
	if ((access & DECODE_FETCH) && fetch_told)
		error |= PF_FETCH;
	fault->vector = 14;
	fault->has_error = 1;
	fault->error = error;
	fault->cr2 = linear;
	return DECODE_FAULT;
}

static int check_canonical(const struct format *f, u64 linear, struct decode_fault *fault)
{
	unsigned int unused = 64 - (f->levels * 9 + 12);

	if ((u64)((s64)(linear << unused) >> unused) == linear)
		return 0;
	fault->vector = 13;
	fault->has_error = 1;
	fault->error = 0;
	fault->cr2 = 0;
	return DECODE_FAULT;
}

static u64 reserved_bits(const struct walk *w, const struct format *f, const struct level *l,
			 u64 entry)
{
	u64 reserved = f->reserved;

	if (f->entry_bytes == 8) {
		if (w->maxphyaddr < 52)
			reserved |= PTE_ADDRESS & ~0ull << w->maxphyaddr;
		if (!(w->efer & EFER_NXE) || (l->flags & LEVEL_PDPTE))
			reserved |= PTE_NX;
	}
	if (l->flags & LEVEL_PDPTE)
		return reserved | 0x1e6;
	if (!(l->flags & LEVEL_IGNORE_PS) && (entry & PTE_PS))
		reserved |= l->flags & LEVEL_LARGE ? l->reserved_large : PTE_PS;
	return reserved;
}

static int read_entry(const struct walk *w, const struct format *f, u64 gpa, u64 *entry)
{
	u32 half;

	if (f->entry_bytes == 8)
		return w->read_gpa(w->ctx, gpa, entry, 8);
	if (w->read_gpa(w->ctx, gpa, &half, 4))
		return 1;
	*entry = half;
	return 0;
}

/* Down to the leaf. 0, or 1 with the error code so far. */
static int descend(const struct walk *w, const struct format *f, u64 linear, struct path *path,
		   unsigned int *error)
{
	u64 table = w->cr3 & f->root_mask;
	u64 any = 0, all = PTE_RW | PTE_US;
	unsigned int i;

	for (i = 0; ; i++) {
		const struct level *l = &f->level[i];
		u64 gpa = table + ((linear >> l->shift) & l->index_mask) * f->entry_bytes;
		u64 entry;

		*error = 0;
		if (read_entry(w, f, gpa, &entry) || !(entry & PTE_P))
			return 1;
		*error = PF_PRESENT | PF_RESERVED;
		if (entry & reserved_bits(w, f, l, entry))
			return 1;
		path->gpa[i] = gpa;
		path->entry[i] = entry;
		if (!(l->flags & LEVEL_PDPTE)) {
			any |= entry;
			all &= entry;
		}
		if (i == f->levels - 1u || ((l->flags & LEVEL_LARGE) && (entry & PTE_PS)))
			break;
		table = entry & PTE_ADDRESS;
	}
	path->depth = i;
	path->rights = all | (any & PTE_NX);
	return 0;
}

static int allowed(const struct walk *w, u64 rights, unsigned int access)
{
	int user = w->cpl == 3;

	if (!access)
		return 1;
	if (user && !(rights & PTE_US))
		return 0;
	if ((access & DECODE_WRITE) && !(rights & PTE_RW) && (user || (w->cr0 & CR0_WP)))
		return 0;
	if (access & DECODE_FETCH)
		return !(rights & PTE_NX) &&
		       (user || !(rights & PTE_US) || !(w->cr4 & CR4_SMEP));
	return user || !(rights & PTE_US) || !(w->cr4 & CR4_SMAP) || (w->rflags & RFLAGS_AC);
}

/* 0, or 1 when an entry changed since it was read. */
static int mark(const struct walk *w, const struct format *f, const struct path *path,
		unsigned int access)
{
	u64 bits = PTE_A | (access & DECODE_WRITE ? PTE_D : 0);
	int i;

	for (i = path->depth; i >= 0; i--, bits = PTE_A) {
		u64 entry = path->entry[i];

		if ((entry & bits) == bits || (f->level[i].flags & LEVEL_PDPTE))
			continue;
		if (w->cmpxchg_gpa(w->ctx, path->gpa[i], entry, entry | bits, f->entry_bytes) > 0)
			return 1;
	}
	return 0;
}

static u64 leaf_address(const struct format *f, const struct path *path, u64 linear)
{
	u64 entry = path->entry[path->depth];
	u64 offset = (1ull << f->level[path->depth].shift) - 1;
	u64 base = entry & PTE_ADDRESS & ~offset;

	if (f->entry_bytes == 4 && offset > 0xfff)
		base |= (entry & 0x1e000) << 19;
	return base | (linear & offset);
}

int walk_translate(struct walk *w, u64 linear, unsigned int access, u64 *gpa,
		   struct decode_fault *fault)
{
	const struct format *f = format_of(w);
	struct path path;
	unsigned int error, tries;

	if (!(w->efer & EFER_LMA))
		linear = (u32)linear;
	if (!(w->cr0 & CR0_PG)) {
		*gpa = linear;
		return 0;
	}
	if (f->levels > 3 && check_canonical(f, linear, fault))
		return DECODE_FAULT;
	for (tries = 0; tries < MAX_RETRIES; tries++) {
		if (descend(w, f, linear, &path, &error))
			return page_fault(w, linear, access, error, fault);
		if (!allowed(w, path.rights, access))
			return page_fault(w, linear, access, PF_PRESENT, fault);
		if (!access || !w->cmpxchg_gpa || !mark(w, f, &path, access))
			break;
	}
	*gpa = leaf_address(f, &path, linear);
	return 0;
}
