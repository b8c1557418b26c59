/* SPDX-License-Identifier: BSD-2-Clause */
/* layout.h - a micro guest's addresses and selectors, for C, assembly and the linker script. */
#ifndef GUEST_LAYOUT_H
#define GUEST_LAYOUT_H

#define GUEST_BASE 0x4000000
#define STARTUP_PAGE 0x8000	/* where a start-up IPI sends the second CPU */
#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define SEL_USER_DATA 0x18
#define SEL_USER_CODE 0x20
#define SEL_TSS 0x28
#define SEL_LDT 0x38
/* In struct cpu, by GS. */
#define CPU_RECOVER 8

#endif
