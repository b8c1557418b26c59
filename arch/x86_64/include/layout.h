/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * layout.h - the hypervisor's address space on x86-64. Also for assembly.
 *
 *   PHYS_BASE + pa   all RAM, read-write, not executable; the image itself is
 *                    left out, so that no second name defeats its rights
 *   APIC_VA          this machine's local APIC page, uncached
 *   IMAGE_VMA        the image: text r-x, rodata r--, data rw-
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#define IMAGE_VMA 0xffffffff80000000
#define PHYS_BASE 0xffff800000000000
#define APIC_VA   0xffffffffc0000000

/* One block per CPU: struct cpu at its start, the stack growing down from its
 * end. Aligned to its size, so that the stack pointer finds the block. */
#define CPU_BLOCK_BYTES 16384

#endif
