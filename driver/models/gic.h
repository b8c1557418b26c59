/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * gic.h - a GICv3 as guests see it: distributor, redistributors, and what goes
 * into the list registers. The hypervisor has the CPU interfaces.
 * LPIs are made by an ITS (arm64/its.c, by models/its.c), and kept here.
 * Included by: the files of driver/arm64 and gic*.c.
 */
#ifndef DRIVER_GIC_H
#define DRIVER_GIC_H

#include "tenon.h"

#define GIC_PRIVATE 32u			/* SGIs and PPIs, of each vCPU */
#define GIC_IRQS_MAX 1020u
#define GIC_LPI_FIRST 8192u
#define GIC_TIMER_IRQ 27u		/* the virtual timer's PPI */
#define GIC_UNSET (~0ull)
#define GIC_DIST_BYTES 0x10000ull
#define GIC_REDIST_BYTES 0x20000ull

/* A VM's GIC; created with vm.lock held, and freed with the VM. */
struct gic;
/* A vCPU's part; there from its creation on, GIC or not. */
struct gic_cpu;

/* vm.lock held: 0, -EEXIST or -ENOMEM. */
int gic_create(struct vm *vm);
void gic_free(struct vm *vm);
int gic_cpu_create(struct vcpu *v);
void gic_cpu_free(struct vcpu *v);

/* Set-up by the VMM (KVM_SET_DEVICE_ATTR); vm.lock held. KVM's errno. */
int gic_set_count(struct vm *vm, u32 irqs);
u32 gic_get_count(const struct vm *vm);
int gic_set_base(struct vm *vm, bool redist, u64 base);
u64 gic_get_base(const struct vm *vm, bool redist);
int gic_init(struct vm *vm);
bool gic_initialized(const struct vm *vm);
/* Before a first KVM_RUN: 0, or why this GIC cannot be used. */
int gic_ready(const struct vm *vm);

/* An input's level: a vCPU's PPI or (v NULL) an SPI. Any context. -EINVAL: no such interrupt. */
int gic_line(struct vm *vm, struct vcpu *v, u32 irq, bool level);
/* The guest's access to [gpa, + size): true if a register of the GIC was there. May sleep. */
bool gic_access(struct vcpu *v, u64 gpa, u32 size, bool write, u64 *data);
/* The same for KVM_SET/GET_DEVICE_ATTR: 32 bits of the distributor (v NULL) or a redistributor. -ENXIO: no register. */
int gic_user_access(struct vm *vm, struct vcpu *v, u32 offset, bool write, u32 *value);
/* [base, + bytes) has registers of it, or of an ITS: see gic_covers(). vm.lock held. */
void gic_span(struct vm *vm, u64 base, u64 bytes);
/* KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO: the lines of 32 interrupts. */
void gic_user_levels(struct vm *vm, struct vcpu *v, u32 first, bool write, u32 *value);
/* An SGI register was written; op2 tells which (5: ICC_SGI1R_EL1). */
void gic_sgi(struct vcpu *v, u32 op2, u64 value);

/* Around a stay with interrupts for it: fill the list registers (interrupts off), take them back; see gic_state.h. */
void gic_fill(struct vcpu *v);
void gic_fold(struct vcpu *v);
/* Would an interrupt end a WFI? */
bool gic_wakes(struct vcpu *v);

/* ---- LPIs, for an ITS. Targets are numbers of redistributors, those of GICR_TYPER ---- */

struct gic_lpi;

void gic_lock(struct gic *gic, unsigned long *flags);
void gic_unlock(struct gic *gic, unsigned long flags);
/* From now on there are LPIs; vm.lock held. */
void gic_lpis_offer(struct vm *vm);
u32 gic_targets(const struct gic *gic);
/* INTIDs end there. */
u32 gic_lpi_limit(const struct gic *gic);
bool gic_lpis_on(const struct gic *gic, u32 target);
/* One more event names this LPI: 0, or -errno. May sleep. */
int gic_lpi_get(struct gic *gic, u32 id, struct vcpu *target, struct gic_lpi **lpi);
/* With gic_lock(). */
void gic_lpi_put(struct gic *gic, struct gic_lpi *lpi);
void gic_lpi_move(struct gic *gic, struct gic_lpi *lpi, struct vcpu *target);
void gic_lpi_pend(struct gic *gic, struct gic_lpi *lpi, bool pending);
/* Its configuration from guest memory; of all of a vCPU's. All of one's become another's. The LPIs looked at. May sleep. */
int gic_lpi_reload(struct gic *gic, u32 id);
u32 gic_lpi_reload_all(struct gic *gic, struct vcpu *v);
u32 gic_lpi_move_all(struct gic *gic, struct vcpu *from, struct vcpu *to);
/* KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES: 0 or -errno. */
int gic_lpi_save(struct gic *gic);

#endif
