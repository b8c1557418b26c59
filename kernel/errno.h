/* SPDX-License-Identifier: BSD-2-Clause */
/* errno.h - Linux's error numbers: what a ring entry's result carries, negated. */
#ifndef ERRNO_H
#define ERRNO_H

#define EPERM 1
#define ENOENT 2
#define E2BIG 7
#define EAGAIN 11
#define ENOMEM 12
#define EBUSY 16
#define EEXIST 17
#define EINVAL 22
#define ENOTTY 25
#define ENOSPC 28
#define ENOSYS 38

#endif
