// SPDX-License-Identifier: BSD-2-Clause
/*
 * api_stats.c - statistics: the binary files of KVM_GET_STATS_FD, and the text
 * files of debugfs where that is mounted.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "calls.h"

#define FILE_MAX 0x10000

/* A whole binary file. */
struct binary {
	uint8_t *bytes;
	size_t length;
	const struct kvm_stats_header *header;
};

static void binary_read(struct binary *b, int fd)
{
	ssize_t n;

	b->bytes = calloc(1, FILE_MAX);
	n = pread(fd, b->bytes, FILE_MAX, 0);
	REQUIRE(n > (ssize_t)sizeof(*b->header), "%zd bytes: %s", n, strerror(errno));
	b->length = n;
	b->header = (const void *)b->bytes;
}

static const struct kvm_stats_desc *binary_row(const struct binary *b, uint32_t i)
{
	return (const void *)(b->bytes + b->header->desc_offset + i * (sizeof(struct kvm_stats_desc) + b->header->name_size));
}

/* A value by its name; ~0 when there is none. */
static uint64_t binary_value(const struct binary *b, const char *name)
{
	for (uint32_t i = 0; i < b->header->num_desc; i++) {
		const struct kvm_stats_desc *d = binary_row(b, i);

		if (!strcmp(d->name, name))
			return bytes_get(b->bytes + b->header->data_offset + d->offset, 8);
	}
	return ~0ull;
}

static void binary_check(const struct binary *b, const char *id)
{
	const struct kvm_stats_header *h = b->header;
	size_t end = h->data_offset;

	EXPECT(!h->flags && h->name_size == 48 && h->num_desc, "flags %u, name %u, rows %u", h->flags, h->name_size, h->num_desc);
	REQUIRE(h->id_offset == sizeof(*h) && h->desc_offset == h->id_offset + 48 && h->data_offset <= b->length,
		"offsets %u %u %u of %zu", h->id_offset, h->desc_offset, h->data_offset, b->length);
	EXPECT(!strncmp((const char *)b->bytes + h->id_offset, id, strlen(id)), "called %s", b->bytes + h->id_offset);
	for (uint32_t i = 0; i < h->num_desc; i++) {
		const struct kvm_stats_desc *d = binary_row(b, i);

		EXPECT(d->name[0] && strnlen(d->name, 48) < 48, "row %u has no name", i);
		EXPECT((d->flags & KVM_STATS_TYPE_MASK) <= KVM_STATS_TYPE_MAX, "%s: type", d->name);
		EXPECT((d->flags & KVM_STATS_UNIT_MASK) <= KVM_STATS_UNIT_MAX, "%s: unit", d->name);
		EXPECT(d->size && h->data_offset + d->offset + d->size * 8 <= b->length, "%s: past the end", d->name);
		end += d->size * 8;
	}
	EXPECT(end == b->length, "%zu bytes, and %zu are described", b->length, end);
}

TEST(stats_files)
{
	struct scene scene = scene_create();
	struct binary vm, vcpu;
	int fd;

	NEED(scene.vm->fd, KVM_CAP_BINARY_STATS_FD);
	fd = IOCTL(scene.vm->fd, KVM_GET_STATS_FD, 0);
	binary_read(&vm, fd);
	binary_check(&vm, "kvm-");
	EXPECT(fcntl(fd, F_GETFD) == FD_CLOEXEC, "not closed on exec");
	EXPECT(write(fd, "x", 1) < 0 && errno == EBADF, "it can be written");
	fd = IOCTL(scene.vcpu->fd, KVM_GET_STATS_FD, 0);
	binary_read(&vcpu, fd);
	binary_check(&vcpu, "kvm-");
	EXPECT(strstr((const char *)vcpu.bytes + vcpu.header->id_offset, "/vcpu-0"), "called %s", vcpu.bytes + vcpu.header->id_offset);
	/* It outlives the other descriptors. */
	close(scene.vcpu->fd);
	close(scene.vm->fd);
	binary_read(&vcpu, fd);
	binary_check(&vcpu, "kvm-");
}

TEST(stats_count)
{
	static const uint8_t loop[] = { 0xe6, 0x10, 0xeb, 0xfc };	/* 1: out %al, $0x10; jmp 1b */
	struct scene scene = scene_create();
	struct binary before, after;
	int fd;

	NEED(scene.vm->fd, KVM_CAP_BINARY_STATS_FD);
	fd = IOCTL(scene.vcpu->fd, KVM_GET_STATS_FD, 0);
	vcpu_mode(scene.vcpu, 16);
	vm_load(scene.vm, GUEST_CODE, loop, sizeof(loop));
	run_until(scene.vcpu, KVM_EXIT_IO);
	binary_read(&before, fd);
	for (unsigned int i = 0; i < 100; i++)
		run_until(scene.vcpu, KVM_EXIT_IO);
	binary_read(&after, fd);
	EXPECT(binary_value(&after, "io_exits") - binary_value(&before, "io_exits") == 100, "io_exits: %lu, then %lu",
	       binary_value(&before, "io_exits"), binary_value(&after, "io_exits"));
	EXPECT(binary_value(&after, "exits") - binary_value(&before, "exits") >= 100, "exits: %lu, then %lu",
	       binary_value(&before, "exits"), binary_value(&after, "exits"));
}

static long text_value(const char *directory, const char *name)
{
	char path[512];
	long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	f = fopen(path, "r");
	if (!f)
		return -errno;
	if (fscanf(f, "%ld", &value) != 1)
		value = -1;
	fclose(f);
	return value;
}

#define DEBUGFS "/sys/kernel/debug/kvm"

TEST(stats_debugfs)
{
	struct scene scene;
	char own[64];
	struct stat s;

	if (stat(DEBUGFS, &s))
		test_skip(DEBUGFS ": %s", strerror(errno));
	scene = scene_create();
	snprintf(own, sizeof(own), DEBUGFS "/%d-%d", getpid(), scene.vm->fd);
	REQUIRE(!stat(own, &s), "%s: %s", own, strerror(errno));
	EXPECT(text_value(own, "exits") >= 0, "exits: %ld", text_value(own, "exits"));
	EXPECT(text_value(DEBUGFS, "exits") >= 0, "the sum of exits: %ld", text_value(DEBUGFS, "exits"));
	EXPECT(text_value(own, "io_exits") >= 0 && text_value(own, "halt_exits") >= 0 && text_value(own, "remote_tlb_flush") >= 0,
	       "a file is missing");
	vm_destroy(scene.vcpu);
	EXPECT(stat(own, &s) && errno == ENOENT, "the directory outlives its VM");
}
