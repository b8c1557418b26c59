/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * move.h - the short way of the decoder: plain moves between a register, or a
 * constant, and memory, which is what drivers do to devices. Only for an access
 * whose fault has told where it went, so that the processor itself has checked
 * the operand's segment, page and rights.
 *
 * Owns: nothing. Called by: emulate.c, before decode.c; by the host unit tests.
 */
#ifndef DRIVER_MODELS_MOVE_H
#define DRIVER_MODELS_MOVE_H

#include "../../abi/x86_64/exit.h"

#define MOVE_BYTES 16u	/* what move_decode() may look at */

struct move {
	u64 linear;	/* of the memory operand */
	u64 value;	/* a store's; the bytes above `size` are 0 */
	u8 write;
	u8 size;	/* of the memory operand */
	u8 length;	/* of the instruction */
	u8 mode64;	/* in 64-bit code */
	/* A load's register: its place in struct abi_regs as an array, bytes written, lowest bit. */
	u8 reg, reg_size, shift;
	u8 sign;	/* extended with the sign */
};

/* Is it one? All else, rare prefixes and addressing forms included, is decode.c's. */
int move_decode(const struct exit_state *x, const u8 *byte, struct move *m);

/* The register's new value after a load of `data`. */
u64 move_merge(const struct move *m, u64 old, u64 data);

#endif
