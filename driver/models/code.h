/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * code.h - the bytes of the instruction that a vCPU's exit is about, read from
 * its memory for the short way of plain moves.
 *
 * Owns: struct code_page, CODE_PAGES of them per vCPU, the caller's.
 * Called by: emulate.c.
 */
#ifndef DRIVER_MODELS_CODE_H
#define DRIVER_MODELS_CODE_H

#include "walk.h"

struct vcpu;

#define CODE_BYTES 16u

/*
 * A page of code whose translation was walked before, in long mode: the table
 * entries on the way, and what they were. When they still are, so is the result.
 */
#define CODE_PAGES 8u

struct code_page {
	u64 linear;		/* ~0: none */
	u64 cr0, cr3, cr4, efer;
	u64 serial;		/* of the memory slots */
	u32 cpl;
	u32 levels;
	u64 entry[WALK_LEVELS];
	const u64 __user *at[WALK_LEVELS];
	unsigned long hva;	/* of the page itself */
};

void code_init(struct code_page *pages);

/*
 * CODE_BYTES from RIP on. False: they do not lie in one page of memory, or the
 * fetch would fault. w: its callbacks and maxphyaddr are set.
 * vm.srcu held, in the VMM's mm; may sleep.
 */
bool code_fetch(struct vcpu *v, struct walk *w, struct code_page *pages, u64 *bytes);

#endif
