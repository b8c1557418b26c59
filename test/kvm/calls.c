// SPDX-License-Identifier: BSD-2-Clause
/*
 * calls.c - plays rows of calls.h and says which differ.
 *
 * Invariant: a bad row is noted and the next is played, so that one run shows
 * all of them. Called by api*.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "calls.h"

#define GUARDED_BYTES 0x10000ul

struct scene scene_create(void)
{
	struct scene scene = { vm_create(GUEST_MEMORY), NULL };

	scene.vcpu = vcpu_create(scene.vm, 0);
	cpuid_set(scene.vcpu, cpuid_supported(scene.vm->sys));
	return scene;
}

void *guarded_copy(const void *data, uint32_t bytes)
{
	static uint8_t *room;
	uint8_t *at;

	if (!room) {
		room = map_pages(GUARDED_BYTES + 4096);
		mprotect(room + GUARDED_BYTES, 4096, PROT_NONE);
	}
	at = room + GUARDED_BYTES - bytes;
	memcpy(at, data, bytes);
	return at;
}

static int target_fd(const struct scene *scene, enum target on)
{
	if (on == ON_SYSTEM)
		return scene->vm->sys;
	return on == ON_VM ? scene->vm->fd : scene->vcpu->fd;
}

static const char *result_name(int result)
{
	return result < 0 ? strerrorname_np(-result) : "success";
}

static void call_play(const struct scene *scene, const struct call *row)
{
	void *argument = row->data ? guarded_copy(row->data, row->bytes) : (void *)row->value;
	int result = ioctl_try(target_fd(scene, row->on), row->number, argument);

	EXPECT(row->want ? result == row->want : result >= 0, "%s: %s, wanted %s", row->what, result_name(result),
	       result_name(row->want));
}

void calls_play(const struct scene *scene, const struct call *rows, unsigned int count)
{
	for (const struct call *row = rows; row < rows + count; row++)
		call_play(scene, row);
}

static void mutation_play(const struct scene *scene, const struct state_calls *calls, const struct mutation *row)
{
	uint8_t *before = calloc(1, calls->bytes), *state = calloc(1, calls->bytes), *after = calloc(1, calls->bytes);
	int result, fd = scene->vcpu->fd;

	IOCTL(fd, calls->get, before);
	memcpy(state, before, calls->bytes);
	for (const struct poke *poke = row->poke; poke < row->poke + 4 && poke->size; poke++)
		bytes_put(state + poke->offset, poke->size, poke->value);
	result = ioctl_try(fd, calls->set, guarded_copy(state, calls->bytes));
	EXPECT(result == row->want, "%s: %s, wanted %s", row->what, result_name(result), result_name(row->want));
	IOCTL(fd, calls->get, after);
	if (result)
		EXPECT(!memcmp(before, after, calls->bytes), "%s: refused, and yet it changed something", row->what);
	else
		IOCTL(fd, calls->set, before);
	free(before);
	free(state);
	free(after);
}

void mutations_play(const struct scene *scene, const struct state_calls *calls, const struct mutation *rows, unsigned int count)
{
	for (const struct mutation *row = rows; row < rows + count; row++)
		mutation_play(scene, calls, row);
}

void area_create(void)
{
	void *at = mmap((void *)AREA, AREA_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	REQUIRE(at == (void *)AREA, "no memory at %#lx", AREA);
	REQUIRE(dup2(eventfd(0, EFD_NONBLOCK), EVENT_FD) == EVENT_FD, "eventfd");
	REQUIRE(dup2(open("/dev/null", O_RDWR), OTHER_FD) == OTHER_FD, "/dev/null");
	close(CLOSED_FD);
}
