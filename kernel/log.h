/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log.h - the log: to the serial line and the screen while booting, and always
 * to a memory ring that the service VM reads by OP_LOG_READ.
 */
#ifndef LOG_H
#define LOG_H

#include "types.h"
#include "abi/ops.h"

/*
 * Formats: %s %c %d %u %x with width, zero fill and the sizes l and ll; %p.
 * Any context; lines of several CPUs do not mix. One line a call, '\n' included.
 */
void log_print(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Copies the stream from byte `first` on (or the oldest kept) into chunk. */
void log_read(u64 first, struct log_chunk *chunk);

/* The last kept bytes once more, for a panic. */
void log_tail(void);

/* Prints where it happened and stops this CPU, never returns. For broken invariants of our own. */
void panic(const char *fmt, ...) PRINTF_LIKE(1, 2) NORETURN;

/* Each architecture has it: writes to the machine's consoles (polled, bounded). */
void console_write(const char *text, u64 length);
/* After this the serial line and the screen belong to the service VM: only a panic still writes there. */
void console_release(void);
/* Registers and back-trace of the caller, then halts. */
void machine_stop(void) NORETURN;

#endif
