/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * layout.h - the hypervisor's address space on arm64 (EL2 stage 1, 48 bits).
 * Also for assembly.
 *
 *   PHYS_BASE + pa   all RAM, read-write, not executable, without the image, so
 *                    that no second name defeats its rights; the UART and the
 *                    GIC, Device-nGnRE
 *   IMAGE_VMA        the image: text r-x, rodata r--, data rw-
 *   the image's text once more one-to-one, r-x: a CPU switches its MMU on there
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#define IMAGE_VMA 0x400000000000
#define PHYS_BASE 0x800000000000

/* One block per CPU: struct cpu at its start, the stack growing down from its end. */
#define CPU_BLOCK_BYTES 16384

/* TCR_EL2 but PS, and MAIR_EL2 (Arm ARM D17.2): attribute 0 Normal write-back, 1 Device-nGnRE. */
#define TCR_EL2_VALUE 0x80803510	/* RES1, 4 KiB, inner shareable, write-back, T0SZ 16 */
#define TCR_EL2_PS_SHIFT 16
#define MAIR_VALUE 0x04ff
/* RES1 bits and I, SA, C, M; an EL1 that was entered by mistake takes the same. */
#define SCTLR_EL2_VALUE 0x30c5183d

/* struct gprs */
#define GPRS_PC 248

#endif
