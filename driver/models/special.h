/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * special.h - the registers that an emulated instruction reaches beside the
 * general ones: control, debug and XMM registers. All but what the exit page
 * has is read and written by ring operations: a slow path, for rare instructions.
 *
 * Called by: emulate.c, for the decoder (get_special, set_special, xmm).
 */
#ifndef DRIVER_MODELS_SPECIAL_H
#define DRIVER_MODELS_SPECIAL_H

#include "decode.h"

struct vcpu;
struct abi_sregs;
struct state_fields;

/* By DECODE_CR() and DECODE_DR(). DECODE_DONE, or DECODE_UNKNOWN. */
int special_get(struct vcpu *v, unsigned int which, u64 *value);
/*
 * CR8 is the caller's. DECODE_DONE; DECODE_FAULT with #GP for a value that KVM
 * would refuse; DECODE_UNKNOWN.
 */
int special_set(struct vcpu *v, unsigned int which, u64 value, struct decode_fault *fault);
/* The page-directory pointers that go with these registers, where PAE paging has some. */
void special_put_pdptes(struct vcpu *v, const struct abi_sregs *s, struct state_fields *f);
/* May the guest load this CR3, as the other registers are? */
bool special_cr3_allowed(struct vcpu *v, const struct abi_sregs *s, u64 cr3);
int special_xmm(struct vcpu *v, unsigned int n, u64 value[2], unsigned int write);

#endif
