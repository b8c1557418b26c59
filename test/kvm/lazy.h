/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lazy.h - guest memory whose pages come late: a userfaultfd, and a thread that
 * hears of each page that is missed.
 *
 * Owns: the memory and the thread. Invariant: page n begins with LAZY_WORD(n),
 * and is given once: by the thread, some time after it was missed, or by
 * lazy_give(). Called by: async_pf*.c.
 */
#ifndef LAZY_H
#define LAZY_H

#include "vmm.h"

#define LAZY_PAGE 0x1000ull
#define LAZY_PAGES 128u
#define LAZY_WORD(page) (0xa0000000u + (page))

struct lazy;

/*
 * A slot of LAZY_PAGES pages. The thread gives pages from `first` on, delay_us
 * after they were missed; those below wait for lazy_give(). Skips without userfaultfd.
 */
struct lazy *lazy_create(struct vm *vm, uint32_t slot, uint64_t gpa, unsigned int first, unsigned int delay_us);
void lazy_give(struct lazy *l, unsigned int page);
int lazy_missed(const struct lazy *l, unsigned int page);
int lazy_given(const struct lazy *l, unsigned int page);
/* Returns once pages 0 .. count - 1 were missed; some seconds at most. */
void lazy_await(const struct lazy *l, unsigned int count);

#endif
