/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * model.h - what a device model takes from its surroundings: integer names,
 * KVM's structs, memset. From Linux in the driver, from the C library in the
 * host's unit tests.
 * Included by: the models that keep no Linux object.
 */
#ifndef DRIVER_MODELS_MODEL_H
#define DRIVER_MODELS_MODEL_H

#ifdef __KERNEL__
#include <linux/nospec.h>
#include <linux/string.h>
#include <linux/types.h>
/* An index below `n` that somebody else chose: speculation does not pass the check before it. */
#define model_index(i, n) array_index_nospec(i, n)
#else
#define model_index(i, n) (i)
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#endif
#include <linux/kvm.h>

#include "../../abi/types.h"

#endif
