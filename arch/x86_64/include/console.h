/* SPDX-License-Identifier: BSD-2-Clause */
/* console.h - the boot console of a PC. */
#ifndef CONSOLE_H
#define CONSOLE_H

#include "types.h"

struct boot_framebuffer;

void console_init(void);
/* Uses the loader's screen, if it is one that we can write on. */
void console_screen(const struct boot_framebuffer *fb);
u64 console_screen_bytes(const struct boot_framebuffer *fb);	/* to be mapped, 0: none */
void console_take(void);	/* for a panic, after console_release() */

#endif
