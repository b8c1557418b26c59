/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * calls.h - ioctls as data: rows of a call and the result it must have, played
 * in order on a VM and a vCPU.
 *
 * Owns: the row types. Invariant: each argument is put right before a page that
 * cannot be touched, so a kernel that reads or writes past the struct fails.
 * Rows that must succeed set the scene for the rows after them.
 * Called by: api*.c. The errnos are those of Linux 6.1.
 */
#ifndef CALLS_H
#define CALLS_H

#include "test.h"
#include "vmm.h"

enum target { ON_SYSTEM, ON_VM, ON_VCPU };

struct call {
	const char *what;
	enum target on;
	unsigned long number;
	const void *data;	/* argument by pointer, or NULL: `value` is it */
	uint32_t bytes;
	uint64_t value;
	int want;		/* 0: success; else -errno */
};

#define CALL(on, number, want, what, type, ...) \
	{ what, on, number, &(const type) { __VA_ARGS__ }, sizeof(type), 0, want }
#define NUMBER(on, number, want, what, argument) { what, on, number, NULL, 0, argument, want }
#define BAD_POINTER(on, number) { #number, on, number, NULL, 0, 16, -EFAULT }

struct scene {
	struct vm *vm;
	struct vcpu *vcpu;	/* may be NULL */
};

/* A VM with one page-table-less memory slot, and a vCPU with the supported CPUID. */
struct scene scene_create(void);
void calls_play(const struct scene *scene, const struct call *rows, unsigned int count);
#define PLAY(scene, rows) calls_play(scene, rows, sizeof(rows) / sizeof((rows)[0]))
/* A copy of `data` that ends where memory ends. */
void *guarded_copy(const void *data, uint32_t bytes);

/*
 * Fields to change in a fresh vCPU's state, and what the SET must then say.
 * A refused SET must have changed nothing.
 */
struct poke {
	uint32_t offset, size;
	uint64_t value;
};
struct mutation {
	const char *what;
	struct poke poke[4];	/* size 0: no more */
	int want;
};
struct state_calls {
	unsigned long get, set;
	uint32_t bytes;
};
#define POKE(type, field, value) { offsetof(type, field), sizeof(((type *)0)->field), value }

void mutations_play(const struct scene *scene, const struct state_calls *calls, const struct mutation *rows, unsigned int count);
#define MUTATE(scene, calls, rows) mutations_play(scene, calls, rows, sizeof(rows) / sizeof((rows)[0]))

/* Fixed addresses that rows can name: some memory, descriptors. */
#define AREA 0x20000000ul
#define AREA_BYTES 0x10000ul
#define EVENT_FD 100
#define OTHER_FD 101
#define CLOSED_FD 99
void area_create(void);

#endif
