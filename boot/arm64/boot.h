/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * boot.h - what an arm64 machine's device tree says, and the boot steps.
 * Everything here runs once, on the boot CPU, before any guest. Functions
 * return 0 or -errno after one log line that says what is wrong.
 */
#ifndef BOOT_ARM64_BOOT_H
#define BOOT_ARM64_BOOT_H

#include "boot/boot.h"
#include "percpu.h"

#define DTB_BYTES_MAX 0x200000u		/* the boot protocol's limit */
#define DTB_GICR_MAX 8u
#define DTB_ITS_MAX 8u

struct range {
	u64 base, size;
};

struct machine_info {
	struct boot_info memory;	/* regions: RAM and what is reserved; modules: initrd, kernel, tree */
	u64 dtb_pa;
	u32 dtb_bytes;			/* used ones, not what totalsize claims */
	u64 uart_pa;			/* 0: no PL011 */
	u64 gicd_pa;			/* 0: no GICv3 */
	struct range gicr[DTB_GICR_MAX];
	u32 gicr_count;
	u64 its[DTB_ITS_MAX];
	u32 its_count;
	u32 has_timer;
	u32 has_psci;
	u64 mpidr[MAX_CPUS];
	u32 cpu_count;
};

/* early.c: maps [pa, + bytes) at PHYS_BASE + pa until the final tables are there. 0 or -1. */
u64 early_tables(u64 image, u64 dtb);
int early_map(u64 pa, u64 bytes, int device);

/* dtb.c: reads the tree at dtb_pa (mapped, DTB_BYTES_MAX) into info. 0 or -EINVAL. */
int dtb_parse(u64 dtb_pa, struct machine_info *info);

/* dtb.c: bytes that dtb_write() may need. */
u64 dtb_room(const struct machine_info *info);

/*
 * dtb.c: the tree for the service VM, at dest_pa: holes are cut out of the
 * memory nodes, and the timer's interrupts get names without the virtual one,
 * so that Linux takes the physical timer. 0, or -ENOSPC.
 */
int dtb_write(const struct machine_info *info, u64 dest_pa, u64 room, const struct range *holes, u32 count);

#endif
