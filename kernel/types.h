/* SPDX-License-Identifier: BSD-2-Clause */
/* types.h - integer names and the few compiler words that every file uses. */
#ifndef TYPES_H
#define TYPES_H

#include <stddef.h>
#include "abi/types.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PAGE_SIZE 4096ull
#define PAGE_SHIFT 12
#define BLOCK_SIZE (2ull << 20)		/* the unit of donation: one large page */
#define NORETURN __attribute__((noreturn))
#define NOINLINE __attribute__((noinline))
#define PRINTF_LIKE(a, b) __attribute__((format(printf, a, b)))
/* Boot-only code: its pages go to the pool when the service VM starts. */
#define INIT __attribute__((section(".init.text"), cold))
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

static inline u64 align_down(u64 v, u64 a) { return v & ~(a - 1); }
static inline u64 align_up(u64 v, u64 a) { return (v + a - 1) & ~(a - 1); }
static inline u64 min_u64(u64 a, u64 b) { return a < b ? a : b; }

#endif
