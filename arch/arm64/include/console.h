/* SPDX-License-Identifier: BSD-2-Clause */
/* console.h - the boot console: a PL011, mapped at uart by the caller. */
#ifndef CONSOLE_H
#define CONSOLE_H

void console_init(volatile void *uart);

#endif
