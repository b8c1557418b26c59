/* SPDX-License-Identifier: BSD-2-Clause */
/* phys.h - physical memory of the host tests: a buffer (fake.c) in place of the architecture's map. */
#ifndef PHYS_H
#define PHYS_H

#include "types.h"

/* Fails the test for an address that the hypervisor has no business with. */
void *phys_to_virt(u64 pa);
u64 virt_to_phys(const void *va);

#endif
