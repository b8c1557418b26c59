/* SPDX-License-Identifier: BSD-2-Clause */
/* console.h - the boot console of a PC. */
#ifndef CONSOLE_H
#define CONSOLE_H

#include "types.h"

void console_init(void);
void console_text(u64 pa);	/* VGA text memory, mapped by then */
void console_take(void);	/* for a panic, after console_release() */

#endif
