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

#define MAX_RETRIES 16	/* of a guest that changes its tables under our feet */

struct level {
	u8 shift;	/* of the linear address, to get an offset in the table */
	u16 mask;	/* of that offset */
	u32 page;	/* bytes that a leaf maps, less 1 */
	u64 leaf;	/* an entry with one of these bits is a leaf */
	u64 reserved;	/* bits that must be 0 in every entry */
	u64 reserved_ps;	/* and where bit 7 is set */
	u64 grant;	/* rights that the entry cannot withhold */
};

struct format {
	u8 levels;
	u8 entry_bytes;
	u64 root_mask;	/* of CR3 */
	u64 reserved;	/* in every entry, whatever maxphyaddr */
	struct level level[WALK_LEVELS];
};

#define ENTRY8(bit) (bit) - 3, 511 << 3
#define ENTRY4(bit) (bit) - 2, 1023 << 2

/* Bit 7 of a 4 KiB leaf is its PAT bit; P is set in all that is looked at. */
#define LEVEL_4K { ENTRY8(12), 0xfff, PTE_P, 0, 0, 0 }
#define LEVEL_2M { ENTRY8(21), 0x1fffff, PTE_PS, 0, 0x1fe000ull, 0 }
#define LEVEL_1G { ENTRY8(30), 0x3fffffff, PTE_PS, 0, 0x3fffe000ull, 0 }
#define LEVEL_TABLE(bit) { ENTRY8(bit), 0, 0, 0, PTE_PS, 0 }
/* PAE's four: neither rights nor an accessed bit. (QEMU's TCG sets that all the same: it counts as free.) */
#define LEVEL_PDPTE { 30 - 3, 3 << 3, 0, 0, PTE_NX | 0x1c6, 0, PTE_RW | PTE_US | PTE_A }
#define LEVEL_4K_32 { ENTRY4(12), 0xfff, PTE_P, 0, 0, 0 }
/* Without PSE bit 7 means nothing; with it a leaf has address bits 35:32 in 16:13. */
#define LEVEL_4M_NOPSE { ENTRY4(22), 0, 0, 0, 0, 0 }
#define LEVEL_4M { ENTRY4(22), 0x3fffff, PTE_PS, 0, 0x3e0000ull, 0 }

enum { FORMAT_32, FORMAT_32_PSE, FORMAT_PAE, FORMAT_64, FORMAT_64_LA57 };

static const struct format formats[] = {
	[FORMAT_32] = { 2, 4, 0xfffff000ull, 0, { LEVEL_4M_NOPSE, LEVEL_4K_32 } },
	[FORMAT_32_PSE] = { 2, 4, 0xfffff000ull, 0, { LEVEL_4M, LEVEL_4K_32 } },
	[FORMAT_PAE] = { 3, 8, 0xffffffe0ull, 0x7ff0000000000000ull, {
		LEVEL_PDPTE, LEVEL_2M, LEVEL_4K } },
	[FORMAT_64] = { 4, 8, PTE_ADDRESS, 0, {
		LEVEL_TABLE(39), LEVEL_1G, LEVEL_2M, LEVEL_4K } },
	[FORMAT_64_LA57] = { 5, 8, PTE_ADDRESS, 0, {
		LEVEL_TABLE(48), LEVEL_TABLE(39), LEVEL_1G, LEVEL_2M, LEVEL_4K } },
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

/* The reserved bits that all levels share. */
static u64 reserved_bits(const struct walk *w, const struct format *f)
{
	u64 reserved = f->reserved;

	if (f->entry_bytes == 4)
		return 0;
	if (w->maxphyaddr < 52)
		reserved |= PTE_ADDRESS & ~0ull << w->maxphyaddr;
	if (!(w->efer & EFER_NXE))
		reserved |= PTE_NX;
	return reserved;
}

/* Down to the leaf. 0, or a negative value for no entry, above 0 for a reserved bit. */
static int descend(const struct walk *w, const struct format *f, u64 linear, struct walk_path *path)
{
	u64 table = w->cr3 & f->root_mask, reserved = reserved_bits(w, f);
	u64 any = 0, all = PTE_RW | PTE_US | PTE_A, entry;
	const struct level *l = f->level;
	unsigned int i, len = f->entry_bytes;

	for (i = 0; ; i++, l++) {
		u64 gpa = table + (linear >> l->shift & l->mask);

		entry = 0;	/* little-endian: 4 bytes fill the lower half */
		if (w->read_gpa(w->ctx, gpa, &entry, len) || !(entry & PTE_P))
			return -1;
		if (entry & (reserved | l->reserved))
			return 1;
		if ((entry & PTE_PS) && (entry & l->reserved_ps))
			return 1;
		path->gpa[i] = gpa;
		path->entry[i] = entry;
		any |= entry;
		all &= entry | l->grant;
		if (entry & l->leaf)
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

/* All the bits are set already: so nearly always. */
static int is_marked(const struct walk_path *path, unsigned int access)
{
	return (path->rights & PTE_A) &&
	       (!(access & DECODE_WRITE) || (path->entry[path->depth] & PTE_D));
}

/* 0, or 1 when an entry changed since it was read. */
static int mark(const struct walk *w, const struct format *f, const struct walk_path *path,
		unsigned int access)
{
	u64 bits = PTE_A | (access & DECODE_WRITE ? PTE_D : 0);
	int i;

	for (i = path->depth; i >= 0; i--, bits = PTE_A) {
		u64 entry = path->entry[i];

		if (((entry | f->level[i].grant) & bits) == bits)
			continue;
		if (w->cmpxchg_gpa(w->ctx, path->gpa[i], entry, entry | bits, f->entry_bytes) > 0)
			return 1;
	}
	return 0;
}

static u64 leaf_address(const struct format *f, const struct walk_path *path, u64 linear)
{
	u64 entry = path->entry[path->depth];
	u64 offset = f->level[path->depth].page;
	u64 base = entry & PTE_ADDRESS & ~offset;

	if (f->entry_bytes == 4 && offset > 0xfff)
		base |= (entry & 0x1e000) << 19;
	return base | (linear & offset);
}

void walk_load(struct walk *w, const struct exit_state *x)
{
	w->cr0 = x->cr0;
	w->cr3 = x->cr3;
	w->cr4 = x->cr4;
	w->efer = x->efer;
	w->cpl = x->cpl;
	w->rflags = x->regs.rflags;
}

int walk_translate(struct walk *w, u64 linear, unsigned int access, u64 *gpa,
		   struct decode_fault *fault)
{
	const struct format *f = format_of(w);
	struct walk_path *path = &w->path;
	unsigned int tries;
	int rc;

	if (!(w->efer & EFER_LMA))
		linear = (u32)linear;
	if (!(w->cr0 & CR0_PG)) {
		*gpa = linear;
		return 0;
	}
	if (f->levels > 3 && check_canonical(f, linear, fault))
		return DECODE_FAULT;
	for (tries = 0; tries < MAX_RETRIES; tries++) {
		rc = descend(w, f, linear, path);
		if (rc)
			return page_fault(w, linear, access, rc < 0 ? 0 : PF_PRESENT | PF_RESERVED, fault);
		if (!allowed(w, path->rights, access))
			return page_fault(w, linear, access, PF_PRESENT, fault);
		if (!access || is_marked(path, access) || !w->cmpxchg_gpa ||
		    !mark(w, f, path, access))
			break;
	}
	*gpa = leaf_address(f, path, linear);
	return 0;
}
