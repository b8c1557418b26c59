/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * async_pf.h - a guest that can be told of missing pages, and what its handlers
 * say.
 *
 * Owns: the ports. Invariant: HLT makes no exit in such a VM; each handler
 * speaks by a port of its own. Called by: async_pf*.c.
 */
#ifndef ASYNC_PF_H
#define ASYNC_PF_H

#include "guest.h"

#define MSR_ASYNC_EN 0x4b564d02u
#define MSR_ASYNC_INT 0x4b564d06u
#define MSR_ASYNC_ACK 0x4b564d07u
#define ASYNC_VECTOR 0xecu
#define ASYNC_PLACE GUEST_DATA	/* the shared words; behind them the handlers' own */

/* `out` of a handler: #PF's token, then flags | error code << 16; the token of "page ready"; a message; #GP. */
#define SAYS_FAULT 0xe1u
#define SAYS_FLAGS 0xe2u
#define SAYS_READY 0xe3u
#define SAYS_MESSAGE 0xe4u
#define SAYS_GP 0xe5u

#define SAY(value) "mov $" #value ", %eax\n out %eax, $0xe0\n"
/* Guest code: LAPIC on, vector, place and flags (a number without its prefix 0x8000), interrupts open. */
#define ASYNC_ENABLE(flags)							\
	"mov $0xfee000f0, %edx\n movl $0x1ff, (%rdx)\n xor %edx, %edx\n"	\
	"mov $0x4b564d06, %ecx\n mov $0xec, %eax\n wrmsr\n"			\
	"mov $0x4b564d02, %ecx\n mov $0x8000 + " #flags ", %eax\n wrmsr\n sti\n"

/* One vCPU in long mode, with in-kernel interrupt controllers and the handlers. Skips without the capability. */
struct vcpu *async_guest(const void *code, size_t bytes);
#define ASYNC_GUEST(id) async_guest(code_##id, (size_t)(code_##id##_end - code_##id))

/* The next exit must be an `out` to this port: its value. */
uint32_t said(struct vcpu *vcpu, unsigned int port);
void say_must(struct vcpu *vcpu, unsigned int port, uint32_t wanted, const char *what);

#endif
