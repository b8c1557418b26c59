// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * trace.c - defines the trace events that the headers declare.
 *
 * Owns: no code of its own; the kernel's macros make it here, once, out of
 * trace.h and the architecture's trace_arch.h.
 */
#include "tenon.h"

#define CREATE_TRACE_POINTS
#include "trace.h"
#include "trace_arch.h"
