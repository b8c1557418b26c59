/* SPDX-License-Identifier: BSD-2-Clause */
/* phys.h - physical addresses as the hypervisor's pointers (layout.h). */
#ifndef PHYS_H
#define PHYS_H

#include "types.h"
#include "layout.h"

extern u64 image_pa;	/* where the loader put the image */

static inline void *phys_to_virt(u64 pa)
{
	return (void *)(PHYS_BASE + pa);
}

/* For addresses that phys_to_virt gave, and for the image's own symbols. */
static inline u64 virt_to_phys(const void *va)
{
	u64 a = (u64)va;

	return a >= PHYS_BASE ? a - PHYS_BASE : a - IMAGE_VMA + image_pa;
}

#endif
