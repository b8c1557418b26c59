/* SPDX-License-Identifier: BSD-2-Clause */
/* phys.h - stands in for the hypervisor's: physical memory is a test's buffer. */
#ifndef BOOT_FAKE_PHYS_H
#define BOOT_FAKE_PHYS_H

#include "types.h"

void *phys_to_virt(u64 pa);
u64 virt_to_phys(const void *va);

#endif
