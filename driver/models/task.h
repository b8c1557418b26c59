/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * task.h - a hardware task switch, done in software for a processor that exits
 * at each one (VMX).
 *
 * Owns: nothing. Memory is reached by the caller's callbacks, so that the file
 * needs neither KVM nor Linux.
 * Called by: the driver, for EXIT_TASK; by the host unit tests.
 * See: Intel SDM volume 3, 8.2 (task structures), 8.3 (task switching), 26.4.2 (what the processor checks
 * before the exit); APM volume 2, chapter 12.
 */
#ifndef DRIVER_MODELS_TASK_H
#define DRIVER_MODELS_TASK_H

#include "model.h"
#include "decode.h"

/* Bits 31:30 of VMX's exit qualification. */
enum task_source { TASK_CALL, TASK_IRET, TASK_JMP, TASK_GATE };

/* The event whose delivery went through a task gate, as both manuals encode it; its error code is above. */
#define TASK_EVENT_VALID 0x80000000ull
#define TASK_EVENT_ERROR 0x800ull
#define TASK_EVENT_TYPE(e) ((u32)(e) >> 8 & 7)
enum { TASK_EVENT_INTR = 0, TASK_EVENT_NMI = 2, TASK_EVENT_EXCEPTION = 3 };	/* above: the guest's own INT, INT3, INTO */

#define TASK_USER 0x80u		/* with an access: by the rights of ring 3 */

struct task_ops {
	/*
	 * len bytes at a linear address. access: DECODE_READ, or DECODE_WRITE, where buf may be NULL: only fault
	 * where the write would. By the rights of ring 0 but for TASK_USER. DECODE_DONE, DECODE_FAULT (fault
	 * filled) or DECODE_UNKNOWN.
	 */
	int (*access)(void *ctx, u64 linear, void *buf, u32 len, unsigned int access, struct decode_fault *fault);
	/* May CR3 have this value? */
	bool (*cr3_valid)(void *ctx, u64 cr3);
	/* Accesses from here on go by it. */
	void (*cr3_set)(void *ctx, u64 cr3);
};

struct task_state {
	struct abi_regs regs;
	struct state_segment seg[SEG_COUNT];
	u64 cr0, cr3, dr7;
};

struct task_switch {
	u16 selector;		/* of the new task's TSS */
	u8 source;		/* enum task_source */
	u64 event;		/* TASK_GATE: what was delivered */
	u64 next_rip;		/* behind the instruction, where there is one */
	struct task_state *s;
	const struct task_ops *ops;
	void *ctx;
	/* out */
	bool committed;		/* *s is the new task's; else it is as it was */
	bool shutdown;		/* with DECODE_FAULT: a third fault */
	struct decode_fault fault;
};

/*
 * DECODE_DONE: *s is the new task's state. DECODE_FAULT: an exception for the
 * task that s describes. DECODE_UNKNOWN: a table lies in no RAM.
 */
int task_switch(struct task_switch *t);

#endif
