/* SPDX-License-Identifier: BSD-2-Clause */
/* gic.h - the physical GIC, as far as it is kept from the service VM. */
#ifndef GIC_H
#define GIC_H

#include "percpu.h"
#include "boot/arm64/boot.h"

/* Boot, before the service VM's tables: finds each CPU's redistributor, hides the control pages. 0 or -EINVAL. */
int gic_init(const struct machine_info *m);

/* The service VM touched ipa: does the access if that is a control page. 0 or -EINVAL. */
int gic_access(struct cpu *cpu, u64 esr, u64 ipa);

#endif
