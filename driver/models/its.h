/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * its.h - a GICv3 interrupt translation service: from a device's message to an LPI
 * and the redistributor that it goes to, by what the guest's commands said.
 *
 * Owns: struct its. What is mapped is kept here, not in the guest's tables, which
 * are written and read for the VMM's save and restore alone (KVM's table format 0).
 * Invariant: at most ITS_EVENTS events, and ITS_IDS devices and collections; a
 * look-up takes two ways of 17 steps.
 * Called by: the driver's arm64/its.c; the host unit tests. Calls its surroundings
 * by its_host_*().
 * Concurrency: one caller at a time (a mutex, as guest memory is read), but for
 * its_translate(), which is called with the lock of its_host_lock().
 * See: GIC specification (IHI 0069) chapters 5 and 12.19; Linux's
 * Documentation/virt/kvm/devices/arm-vgic-its.rst.
 */
#ifndef DRIVER_MODELS_ITS_H
#define DRIVER_MODELS_ITS_H

#include "idtree.h"

#define ITS_BYTES 0x20000ull		/* control frame, translation frame */
#define ITS_IDS IDTREE_IDS		/* of devices, of a device's events, of collections */
#define ITS_EVENTS 0x10000u		/* mapped at once */
#define ITS_LPI_FIRST 8192u
#define ITS_LPIS_END 0x10000u		/* 16 bits of INTID */
#define ITS_NO_TARGET (~0u)

/* The surroundings' LPI. */
struct gic_lpi;

struct its {
	bool enabled;
	u64 cbaser;
	u32 creadr, cwriter;
	u64 baser[2];			/* devices, collections */
	struct idtree devices, collections;
	u32 events;
	u32 work;			/* since the last look at it: commands, and what they visited */
};

void its_init(struct its *its);
/* Nothing is mapped any more. */
void its_free(struct its *its);

/* The guest's access; what is no register reads as 0 and ignores writes. */
u64 its_read(struct its *its, u32 offset, u32 size);
/* False: commands are left, for its_continue(), which may answer the same. */
bool its_write(struct its *its, u32 offset, u32 size, u64 value);
bool its_continue(struct its *its);

/* The VMM's: -EINVAL, -ENXIO where KVM has them; 1: as false above. */
int its_user_check(u64 offset);
int its_user_access(struct its *its, u64 offset, bool write, u64 *value);

/* What a device's message means; lock held. 0, -EBUSY: off; above 0: not mapped. */
int its_translate(const struct its *its, u32 device, u32 event, struct gic_lpi **lpi);

/* Into the guest's tables, out of them; all mappings gone and the registers as at first. 0 or KVM's errno. */
int its_save(struct its *its);
int its_restore(struct its *its);
void its_reset(struct its *its);

/* ---- the surroundings offer ---- */

/* Guest memory: 0 or -EFAULT. Not with the lock held. */
int its_host_read(struct its *its, u64 gpa, void *data, u32 bytes);
int its_host_write(struct its *its, u64 gpa, const void *data, u32 bytes);
bool its_host_visible(struct its *its, u64 gpa);
/* Cleared memory, or NULL. */
void *its_host_alloc(u32 bytes);
void its_host_free(void *object);
/* A long walk lets others have the processor; true: nobody waits for its end. */
bool its_host_rest(void);
/* What its_translate() follows changes between these. */
void its_host_lock(struct its *its);
void its_host_unlock(struct its *its);

/* Redistributors: targets of a collection are below this; INTIDs of LPIs below that (GICR_PROPBASER). */
u32 its_host_targets(struct its *its);
u32 its_host_lpi_limit(struct its *its);
bool its_host_lpis_on(const struct its *its, u32 target);

/* An LPI for one more event, made for `target` if it was in none; configuration and pending state are read. 0 or -errno. */
int its_host_lpi_get(struct its *its, u32 id, u32 target, struct gic_lpi **lpi);
/* With the lock: the event is gone; another redistributor's; pending or not. */
void its_host_lpi_put(struct its *its, struct gic_lpi *lpi);
void its_host_lpi_move(struct its *its, struct gic_lpi *lpi, u32 target);
void its_host_lpi_pend(struct its *its, struct gic_lpi *lpi, bool pending);
/* Without: its configuration from memory; that of all of a redistributor; all of one to another. The LPIs looked at. */
void its_host_lpi_reload(struct its *its, u32 id);
u32 its_host_reload_all(struct its *its, u32 target);
u32 its_host_move_all(struct its *its, u32 from, u32 to);

#endif
