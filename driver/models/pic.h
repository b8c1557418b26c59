/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * pic.h - two cascaded 8259 interrupt controllers and their edge/level
 * registers.
 *
 * Owns: struct pic, whose chips have KVM_GET_IRQCHIP's own form. Knows neither
 * locks nor processors: what a call leaves to be told lies in `acked` and
 * `output`, and the caller tells it.
 * Called by: x86_64/irqchip.c under the chips' lock; the host unit tests.
 * See: Intel 8259A data sheet; 82371AB data sheet for ELCR.
 */
#ifndef DRIVER_MODELS_PIC_H
#define DRIVER_MODELS_PIC_H

#include "model.h"

#define PIC_PINS 16u
#define PIC_CHIP_PINS 8u
#define PIC_SPURIOUS 7u

struct pic {
	struct kvm_pic_state chip[2];
	u64 lines[PIC_PINS];	/* who holds each line up, a bit per source */
	u16 acked;		/* pins whose service ended: the caller notifies and clears */
	u16 dropped;		/* pending edges that ICW1 threw away: the same, if anybody listens */
	u8 unmasked;		/* pins 0 to 7 whose mask went away: the same */
	u8 output;		/* INTR to the processors */
};

void pic_reset(struct pic *p);

/*
 * A source moves its line. 1: the pin will ask for service, 0: it asked already,
 * -1: it is masked. pic_update() is not needed behind it.
 */
int pic_set(struct pic *p, unsigned int pin, unsigned int source, bool level);

/*
 * INTA: the vector of the best pin, which is in service now. A spurious one when
 * nothing asks any more. The caller notifies `acked`, then calls pic_update().
 */
u8 pic_take(struct pic *p);

/* Byte access to a port; true when the port is one of ours. Then as with pic_take(). */
bool pic_port(u16 port);
void pic_write(struct pic *p, u16 port, u8 value);
u8 pic_read(struct pic *p, u16 port);

/* Carry the slave's wish to the master, and set `output`. */
void pic_update(struct pic *p);

#endif
