/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * types.h - the integer names that abi/ uses, equal to Linux's own typedefs so
 * that the driver can include both.
 */
#ifndef ABI_TYPES_H
#define ABI_TYPES_H

typedef unsigned char u8;
typedef signed char s8;
typedef unsigned short u16;
typedef short s16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;

#endif
