// SPDX-License-Identifier: BSD-2-Clause
/*
 * lazy.c - the helper of lazy.h: a userfaultfd and its thread.
 *
 * See: Documentation/admin-guide/mm/userfaultfd.rst in Linux.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lazy.h"
#include "test.h"

#define PATIENCE_MS 20000

struct lazy {
	int fd;
	uint8_t *memory;
	unsigned int first, delay_us;
	volatile uint8_t missed[LAZY_PAGES], given[LAZY_PAGES];
};

void lazy_give(struct lazy *l, unsigned int page)
{
	static __thread uint32_t content[LAZY_PAGE / 4] __attribute__((aligned(4096)));
	struct uffdio_copy copy = {
		.dst = (uintptr_t)l->memory + page * LAZY_PAGE, .src = (uintptr_t)content, .len = LAZY_PAGE,
	};

	content[0] = LAZY_WORD(page);
	l->given[page] = 1;
	while (ioctl(l->fd, UFFDIO_COPY, &copy) && errno == EAGAIN)
		copy.copy = 0;
}

static void *lazy_thread(void *argument)
{
	struct lazy *l = argument;
	struct uffd_msg msg;

	while (read(l->fd, &msg, sizeof(msg)) == sizeof(msg)) {
		unsigned int page = (msg.arg.pagefault.address - (uintptr_t)l->memory) / LAZY_PAGE;

		if (msg.event != UFFD_EVENT_PAGEFAULT || page >= LAZY_PAGES)
			continue;
		l->missed[page] = 1;
		if (page < l->first)
			continue;
		usleep(l->delay_us);
		lazy_give(l, page);
	}
	return NULL;
}

static int lazy_open(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api))
		test_skip("userfaultfd: %s", strerror(errno));
	return fd;
}

struct lazy *lazy_create(struct vm *vm, uint32_t slot, uint64_t gpa, unsigned int first, unsigned int delay_us)
{
	struct lazy *l = calloc(1, sizeof(*l));
	struct uffdio_register area = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	pthread_t thread;

	l->fd = lazy_open();
	l->memory = map_pages(LAZY_PAGES * LAZY_PAGE);
	l->first = first;
	l->delay_us = delay_us;
	area.range.start = (uintptr_t)l->memory;
	area.range.len = LAZY_PAGES * LAZY_PAGE;
	IOCTL(l->fd, UFFDIO_REGISTER, &area);
	slot_set(vm, slot, gpa, LAZY_PAGES * LAZY_PAGE, l->memory, 0);
	REQUIRE(!pthread_create(&thread, NULL, lazy_thread, l), "a thread");
	return l;
}

int lazy_missed(const struct lazy *l, unsigned int page)
{
	return l->missed[page];
}

int lazy_given(const struct lazy *l, unsigned int page)
{
	return l->given[page];
}

void lazy_await(const struct lazy *l, unsigned int count)
{
	unsigned int page = 0, ms = 0;

	for (; page < count && ms < PATIENCE_MS; ms++) {
		while (page < count && l->missed[page])
			page++;
		if (page < count)
			usleep(1000);
	}
	REQUIRE(page >= count, "nobody asked for page %u", page);
}
