/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * walk.h - a guest's own page tables, walked in software: linear address to
 * guest physical address, with the access checks and the page-fault error code
 * of the processor.
 *
 * Owns: nothing; reads and marks table entries by the caller's callbacks.
 * Called by: the driver, for the decoder's memory accesses and for
 * KVM_TRANSLATE; by the host unit tests.
 * Context: any in which the callbacks may run.
 * See: AMD APM volume 2, chapter 5; Intel SDM volume 3A, chapter 4.
 */
#ifndef DRIVER_MODELS_WALK_H
#define DRIVER_MODELS_WALK_H

#include "decode.h"

#define WALK_LEVELS 5

/* The way down: what was read and where. */
struct walk_path {
	unsigned int depth;	/* index of the leaf's level */
	u64 rights;		/* RW, US and A of all levels and-ed; NX or-ed */
	u64 gpa[WALK_LEVELS];
	u64 entry[WALK_LEVELS];
};

struct walk {
	u64 cr0, cr3, cr4, efer;
	u32 cpl;
	u64 rflags;		/* AC matters to SMAP */
	u32 maxphyaddr;		/* the guest's CPUID 0x80000008, 36 where it has none */
	/* 0, or anything else when there is no RAM at gpa; len is 4 or 8, aligned. */
	int (*read_gpa)(void *ctx, u64 gpa, void *buf, unsigned int len);
	/*
	 * Replace old by new in a table entry. 0: done. Above 0: the entry is
	 * no longer old. Below 0: it cannot be written (read-only memory);
	 * the bit stays clear, as in KVM. NULL: leave the bits alone.
	 */
	int (*cmpxchg_gpa)(void *ctx, u64 gpa, u64 old, u64 new, unsigned int len);
	void *ctx;
	struct walk_path path;	/* out, where paging is on */
};

/* The registers of an exit with full state. */
void walk_load(struct walk *w, const struct exit_state *x);

/*
 * Translate one address for `access` (DECODE_READ, DECODE_WRITE and
 * DECODE_FETCH as flags; 0 = only look: nothing is marked).
 * 0 with *gpa, or DECODE_FAULT with *fault: #PF with its error code and CR2,
 * or #GP(0) for an address that is not canonical. On success the accessed bits
 * are set, and the dirty bit for a write. Good for the page of `linear` alone.
 */
int walk_translate(struct walk *w, u64 linear, unsigned int access, u64 *gpa,
		   struct decode_fault *fault);

#endif
