/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * decode.h - one x86 instruction, decoded and executed for a vCPU that met
 * MMIO or string I/O.
 *
 * Owns: nothing. The state belongs to the caller, one per vCPU; it is too big
 * for a kernel stack. Memory and ports are reached by the caller's callbacks
 * alone, so that the file needs neither KVM nor Linux.
 * Called by: the driver's vCPU loop, for EXIT_FAULT without RAM and
 * EXIT_EMULATE; by the host unit tests.
 * Context: any in which the callbacks may run; uses no FP or SSE register.
 * See: AMD APM volume 3, chapters 1 to 3; Intel SDM volume 2.
 */
#ifndef DRIVER_MODELS_DECODE_H
#define DRIVER_MODELS_DECODE_H

#include "../../abi/x86_64/exit.h"

/* What decode_emulate() and the callbacks answer. */
enum {
	DECODE_DONE = 0,
	DECODE_MMIO_WAIT = 1,	/* an answer of the VMM is missing: ask it, then run the instruction again */
	DECODE_FAULT = 2,	/* an exception for the guest, in struct decode_fault */
	DECODE_UNKNOWN = 3,	/* not an instruction for this decoder: KVM's emulation failure */
};

/* Kinds of access, as flags. */
#define DECODE_READ 1u
#define DECODE_WRITE 2u
#define DECODE_FETCH 4u

struct decode_fault {
	u32 vector;
	u32 has_error;
	u64 error;
	u64 cr2;	/* vector 14 only */
};

/*
 * The callbacks. `linear` has passed the segment checks; the callback does the
 * page walk and finds RAM or MMIO. It answers 0, DECODE_FAULT (fault filled)
 * or DECODE_UNKNOWN; any other answer but DECODE_MMIO_WAIT counts as UNKNOWN.
 * An access may cross one page boundary; the callback splits it.
 *
 * read_mem: access is one of
 *   DECODE_READ                 a read.
 *   DECODE_READ | DECODE_WRITE  the read of a read-modify-write: also fault
 *                               where the write would.
 *   DECODE_WRITE                no read: fault where a write would. buf is NULL.
 *                               MMIO answers 0.
 *   DECODE_FETCH                instruction bytes, 1 to 15, never across a page.
 * It may answer DECODE_MMIO_WAIT for MMIO that the VMM has not answered yet.
 * The whole instruction runs again later, with the same reads in the same
 * order, and finds the answers. When it hands out an answer within a REP
 * instruction it sets s->stop.
 *
 * write_mem: 0 when RAM is written or the MMIO write is queued; the registers
 * are committed before the VMM sees it, as KVM does. It sets s->stop when it
 * has queued a write that needs the VMM.
 *
 * len is at most 8, but for INS and OUTS: there at most 4096 and within a page;
 * and for SSE stores: 16. Such data stay in s->io_data.
 *
 * io: `count` elements of `size` bytes at data; write: 1 for OUTS. Answers 0
 * (INS: data filled, OUTS: data taken), or DECODE_MMIO_WAIT for INS without an
 * answer yet. Called at most once in a decode_emulate().
 *
 * The others may be NULL: instructions that need them are then unknown.
 * get_special, set_special: CR and DR registers by DECODE_CR() and DECODE_DR().
 * The decoder has checked privilege, and that the register exists; set_special
 * judges the value, and comes last in its instruction.
 * xmm: the 16 bytes of XMM n. write: 1 to set them; comes last, too.
 */
struct decode_ops {
	int (*read_mem)(void *ctx, u64 linear, void *buf, unsigned int len, unsigned int access,
			struct decode_fault *fault);
	int (*write_mem)(void *ctx, u64 linear, const void *buf, unsigned int len,
			 struct decode_fault *fault);
	int (*io)(void *ctx, u16 port, unsigned int size, unsigned int write, void *data,
		  unsigned int count);
	int (*get_special)(void *ctx, unsigned int which, u64 *v, struct decode_fault *fault);
	int (*set_special)(void *ctx, unsigned int which, u64 v, struct decode_fault *fault);
	int (*xmm)(void *ctx, unsigned int n, u64 v[2], unsigned int write);
};

#define DECODE_CR(n) (n)
#define DECODE_DR(n) (16 + (n))

#define DECODE_INSN_MAX 15u	/* longer ones raise #GP on every processor */
#define DECODE_IO_BYTES 4096u	/* one piece of a REP INS or OUTS */
#define DECODE_IO_COUNT 1024u
#define DECODE_BATCH 256u	/* iterations of a REP string instruction in one call */

/* The instruction under work; private to decode.c. */
struct decode_insn {
	const struct decode_ops *ops;
	void *ctx;
	u8 byte[16];
	u8 have;	/* bytes in byte[] */
	u8 pos;		/* next byte to take; in the end the instruction's length */
	u8 mode64;
	u8 rex;
	u8 prefix66;
	u8 prefix67;
	u8 rep;		/* 0, 0xf2 or 0xf3 */
	u8 lock;
	u8 opcode;	/* the last opcode byte */
	u8 opsize;	/* bytes: 1, 2, 4, 8 */
	u8 adsize;	/* bytes: 2, 4, 8 */
	u8 mod, reg, rm;	/* reg and rm with their REX bits */
	u8 seg;		/* enum exit_seg of the memory operand */
	u8 seg_override;	/* 0 or 1 + enum exit_seg */
	u8 again;	/* REP: iterations are left, RIP stays */
	u64 ea;		/* offset of the memory operand within its segment */
	u64 imm;	/* sign-extended */
};

/*
 * in: regs, seg, cr0, cr3, cr4, efer, cpl, insn, insn_len (all as in struct
 * exit_state). The decoder itself does not use cr3; it is there for the
 * caller's page walk.
 */
struct decode_state {
	struct abi_regs regs;
	struct state_segment seg[6];
	u64 cr0, cr3, cr4, efer;
	u32 cpl;
	u8 no_io;		/* not from an I/O instruction's exit: the processor has not looked whether that is allowed */
	u32 shadow_sti;		/* out: the instruction opened an interrupt shadow */
	u8 insn[EXIT_INSN_BYTES];
	u8 insn_len;		/* bytes known from hardware; the others come by DECODE_FETCH */
	u8 stop;		/* set by a callback: end a REP batch after this iteration */
	struct decode_fault fault;	/* out, with DECODE_FAULT */
	struct decode_insn d;
	u8 io_data[DECODE_IO_BYTES];
};

/*
 * Execute the instruction at s->regs.rip.
 *
 * DECODE_DONE: s->regs hold the result. RIP is past the instruction, or still
 * on it when a REP string instruction has iterations left (enter the guest, or
 * call again).
 * Any other answer: RIP is on the instruction, and s->regs hold what has
 * happened for good: nothing, except the finished iterations of a REP string
 * instruction. So the caller writes s->regs back whatever the answer is.
 *
 * RFLAGS.RF is cleared by a finished instruction. TF is the caller's to honour.
 * A LOCK prefix is accepted where the processor does, but the read and the
 * write are two callbacks: MMIO knows no atomic access.
 */
int decode_emulate(struct decode_state *s, const struct decode_ops *ops, void *ctx);

/* The third bytes of VMCALL and VMMCALL, after 0F 01. */
#define DECODE_VMCALL 0xc1u
#define DECODE_VMMCALL 0xd9u

/*
 * The instruction at s->regs.rip raised #UD. The other vendor's hypercall is
 * rewritten in memory as `native`, for the guest to execute again: DECODE_DONE,
 * RIP stays. Everything else: DECODE_FAULT, mostly with the #UD itself.
 */
int decode_undefined(struct decode_state *s, const struct decode_ops *ops, void *ctx, u8 native);

#endif
