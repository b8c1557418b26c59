// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * trace.c - defines the trace events that trace.h declares.
 *
 * Owns: no code of its own; the kernel's macros make it here, once.
 */
#include "tenon.h"

#define CREATE_TRACE_POINTS
#include "trace.h"
