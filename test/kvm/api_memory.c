// SPDX-License-Identifier: BSD-2-Clause
/*
 * api_memory.c - KVM_SET_USER_MEMORY_REGION, the dirty log, and the addresses
 * that only old processors need.
 */
#include <errno.h>
#include <string.h>

#include "calls.h"

#define SLOT(want, what, ...) CALL(ON_VM, KVM_SET_USER_MEMORY_REGION, want, what, struct kvm_userspace_memory_region, __VA_ARGS__)
#define GPA 0x10000000ull

/* In order: later rows use the slots that earlier ones made. */
static const struct call slot_rows[] = {
	SLOT(0, "plain", .slot = 1, .guest_phys_addr = GPA, .memory_size = 0x4000, .userspace_addr = AREA),
	SLOT(0, "the same again", .slot = 1, .guest_phys_addr = GPA, .memory_size = 0x4000, .userspace_addr = AREA),
	SLOT(-EINVAL, "unknown flag", .slot = 2, .flags = 4, .guest_phys_addr = 0x20000000, .memory_size = 0x1000, .userspace_addr = AREA),
	SLOT(-EINVAL, "flag 31", .slot = 2, .flags = 1u << 31, .guest_phys_addr = 0x20000000, .memory_size = 0x1000, .userspace_addr = AREA),
	SLOT(-EINVAL, "size not of pages", .slot = 2, .guest_phys_addr = 0x20000000, .memory_size = 0x1001, .userspace_addr = AREA),
	SLOT(-EINVAL, "guest address not of a page", .slot = 2, .guest_phys_addr = 0x20000800, .memory_size = 0x1000, .userspace_addr = AREA),
	SLOT(-EINVAL, "user address not of a page", .slot = 2, .guest_phys_addr = 0x20000000, .memory_size = 0x1000, .userspace_addr = AREA + 8),
	SLOT(-EINVAL, "kernel address", .slot = 2, .guest_phys_addr = 0x20000000, .memory_size = 0x1000, .userspace_addr = 0xffff800000000000ull),
	SLOT(-EINVAL, "runs into kernel addresses", .slot = 2, .guest_phys_addr = 0x20000000, .memory_size = 0x10000, .userspace_addr = 0xffffffffff8000ull),
	SLOT(-EINVAL, "address space 2", .slot = 2u << 16 | 2, .guest_phys_addr = 0x20000000, .memory_size = 0x1000, .userspace_addr = AREA),
	SLOT(-EINVAL, "slot 0xffff", .slot = 0xffff, .guest_phys_addr = 0x20000000, .memory_size = 0x1000, .userspace_addr = AREA),
	SLOT(-EINVAL, "guest address wraps", .slot = 2, .guest_phys_addr = 0xfffffffffffff000ull, .memory_size = 0x2000, .userspace_addr = AREA),
	SLOT(-EINVAL, "2^31 pages", .slot = 2, .guest_phys_addr = 0x20000000, .memory_size = 1ull << 43, .userspace_addr = AREA),
	SLOT(-EINVAL, "beyond any guest address", .slot = 2, .guest_phys_addr = 1ull << 52, .memory_size = 0x1000, .userspace_addr = AREA),
	SLOT(-EINVAL, "delete what is not there", .slot = 2, .guest_phys_addr = 0x20000000, .memory_size = 0),
	SLOT(-EINVAL, "other size", .slot = 1, .guest_phys_addr = GPA, .memory_size = 0x2000, .userspace_addr = AREA),
	SLOT(-EINVAL, "other user address", .slot = 1, .guest_phys_addr = GPA, .memory_size = 0x4000, .userspace_addr = AREA + 0x1000),
	SLOT(-EINVAL, "read-only toggled", .slot = 1, .flags = KVM_MEM_READONLY, .guest_phys_addr = GPA, .memory_size = 0x4000, .userspace_addr = AREA),
	SLOT(-EEXIST, "overlaps the last page", .slot = 2, .guest_phys_addr = GPA + 0x3000, .memory_size = 0x2000, .userspace_addr = AREA),
	SLOT(-EEXIST, "overlaps the first page", .slot = 2, .guest_phys_addr = GPA - 0x1000, .memory_size = 0x2000, .userspace_addr = AREA),
	SLOT(-EEXIST, "around the whole", .slot = 2, .guest_phys_addr = GPA - 0x1000, .memory_size = 0x6000, .userspace_addr = AREA),
	SLOT(0, "right behind", .slot = 2, .guest_phys_addr = GPA + 0x4000, .memory_size = 0x2000, .userspace_addr = AREA),
	SLOT(0, "right before", .slot = 3, .guest_phys_addr = GPA - 0x1000, .memory_size = 0x1000, .userspace_addr = AREA),
	SLOT(-EEXIST, "moved onto another", .slot = 2, .guest_phys_addr = GPA, .memory_size = 0x2000, .userspace_addr = AREA),
	SLOT(0, "moved, overlapping itself", .slot = 2, .guest_phys_addr = GPA + 0x5000, .memory_size = 0x2000, .userspace_addr = AREA),
	SLOT(0, "dirty log on", .slot = 1, .flags = KVM_MEM_LOG_DIRTY_PAGES, .guest_phys_addr = GPA, .memory_size = 0x4000, .userspace_addr = AREA),
	SLOT(0, "dirty log off", .slot = 1, .guest_phys_addr = GPA, .memory_size = 0x4000, .userspace_addr = AREA),
	SLOT(0, "memory that is not mapped", .slot = 4, .guest_phys_addr = 0x20000000, .memory_size = 0x1000, .userspace_addr = 0x300000000000ull),
	SLOT(0, "delete", .slot = 1, .guest_phys_addr = GPA, .memory_size = 0, .userspace_addr = AREA),
	SLOT(-EINVAL, "delete twice", .slot = 1, .guest_phys_addr = GPA, .memory_size = 0, .userspace_addr = AREA),
	SLOT(0, "another size after deleting", .slot = 1, .guest_phys_addr = GPA, .memory_size = 0x2000, .userspace_addr = AREA),
};

TEST(memory_slots)
{
	struct scene scene = scene_create();

	area_create();
	PLAY(&scene, slot_rows);
}

TEST(memory_slot_numbers)
{
	struct vm *vm = vm_create(0);
	int slots = kvm_capability(vm->fd, KVM_CAP_NR_MEMSLOTS), result;
	void *page = map_pages(4096);

	REQUIRE(slots >= 32, "%d slots", slots);
	slot_set(vm, slots - 1, GPA, 0x1000, page, 0);
	result = slot_try(vm, slots, GPA + 0x1000, 0x1000, page, 0);
	REQUIRE(result == -EINVAL, "slot %d: %d", slots, result);
}

TEST(memory_many_slots)
{
	struct vm *vm = vm_create(0);
	uint8_t *memory = map_pages(256 * 4096);

	for (uint32_t i = 0; i < 256; i++)
		slot_set(vm, i, GPA + (uint64_t)(i * 37 % 256) * 0x2000, 0x1000, memory + i * 4096, 0);
	for (uint32_t i = 0; i < 256; i += 2)
		slot_set(vm, i, GPA, 0, NULL, 0);
	for (uint32_t i = 0; i < 256; i += 2)
		slot_set(vm, i, GPA + (uint64_t)i * 0x2000 + 0x1000, 0x1000, memory + i * 4096, 0);
}

TEST(memory_read_only_slot)
{
	const struct call rows[] = {
		SLOT(0, "read-only", .slot = 1, .flags = KVM_MEM_READONLY, .guest_phys_addr = GPA, .memory_size = 0x1000, .userspace_addr = AREA),
		SLOT(-EINVAL, "made writable", .slot = 1, .guest_phys_addr = GPA, .memory_size = 0x1000, .userspace_addr = AREA),
		SLOT(0, "deleted", .slot = 1, .guest_phys_addr = GPA, .memory_size = 0),
	};
	struct scene scene = scene_create();

	NEED(scene.vm->fd, KVM_CAP_READONLY_MEM);
	area_create();
	PLAY(&scene, rows);
}

#define LOG(want, what, ...) CALL(ON_VM, KVM_GET_DIRTY_LOG, want, what, struct kvm_dirty_log, __VA_ARGS__)
#define CLEAR(want, what, ...) CALL(ON_VM, KVM_CLEAR_DIRTY_LOG, want, what, struct kvm_clear_dirty_log, __VA_ARGS__)
#define BITMAP (void *)(AREA + 0x8000)

TEST(dirty_log_refusals)
{
	const struct call rows[] = {
		SLOT(0, "a logged slot", .slot = 1, .flags = KVM_MEM_LOG_DIRTY_PAGES, .guest_phys_addr = GPA, .memory_size = 0x4000, .userspace_addr = AREA),
		LOG(0, "plain", .slot = 1, .dirty_bitmap = BITMAP),
		LOG(-ENOENT, "no such slot", .slot = 7, .dirty_bitmap = BITMAP),
		LOG(-ENOENT, "a slot without a log", .slot = 0, .dirty_bitmap = BITMAP),
		LOG(-EINVAL, "slot 0xffff", .slot = 0xffff, .dirty_bitmap = BITMAP),
		LOG(-EINVAL, "address space 2", .slot = 2u << 16 | 1, .dirty_bitmap = BITMAP),
		LOG(-EFAULT, "bad bitmap", .slot = 1, .dirty_bitmap = (void *)16),
	};
	struct scene scene = scene_create();

	area_create();
	PLAY(&scene, rows);
}

TEST(dirty_log_clear_refusals)
{
	const struct call rows[] = {
		SLOT(0, "a logged slot", .slot = 1, .flags = KVM_MEM_LOG_DIRTY_PAGES, .guest_phys_addr = GPA, .memory_size = 0x4000, .userspace_addr = AREA),
		CLEAR(0, "the whole slot", .slot = 1, .num_pages = 4, .dirty_bitmap = BITMAP),
		CLEAR(-EINVAL, "an odd start", .slot = 1, .first_page = 1, .num_pages = 3, .dirty_bitmap = BITMAP),
		CLEAR(-EINVAL, "an odd length", .slot = 1, .num_pages = 3, .dirty_bitmap = BITMAP),
		CLEAR(-EINVAL, "past the end", .slot = 1, .num_pages = 64, .dirty_bitmap = BITMAP),
		CLEAR(-EINVAL, "starts past the end", .slot = 1, .first_page = 64, .num_pages = 64, .dirty_bitmap = BITMAP),
		CLEAR(-ENOENT, "no such slot", .slot = 7, .num_pages = 64, .dirty_bitmap = BITMAP),
		CLEAR(-ENOENT, "no log", .slot = 0, .num_pages = 64, .dirty_bitmap = BITMAP),
		CLEAR(-EFAULT, "bad bitmap", .slot = 1, .num_pages = 4, .dirty_bitmap = (void *)16),
	};
	struct scene scene = scene_create();

	NEED(scene.vm->fd, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
	area_create();
	PLAY(&scene, rows);
}

/* No limit before the first slot, then a share of the memory, then what the VMM has set. */
TEST(mmu_pages)
{
	struct vm *vm = vm_create(0);
	int of_memory;

	NEED(vm->fd, KVM_CAP_MMU_SHADOW_CACHE_CONTROL);
	EXPECT(ioctl_try(vm->fd, KVM_GET_NR_MMU_PAGES, NULL) == 0, "a limit before the first slot");
	slot_set(vm, 0, 0, 0x4000000, (void *)AREA, 0);
	of_memory = ioctl_try(vm->fd, KVM_GET_NR_MMU_PAGES, NULL);
	EXPECT(of_memory == 0x4000 / 50, "%d for 64 MiB", of_memory);
	EXPECT(ioctl_try(vm->fd, KVM_SET_NR_MMU_PAGES, (void *)63) == -EINVAL, "63 pages");
	EXPECT(ioctl_try(vm->fd, KVM_SET_NR_MMU_PAGES, (void *)64) == 0, "64 pages");
	EXPECT(ioctl_try(vm->fd, KVM_GET_NR_MMU_PAGES, NULL) == 64, "not what was set");
}

TEST(tss_address)
{
	const struct call rows[] = {
		NUMBER(ON_VM, KVM_SET_TSS_ADDR, 0, "as QEMU sets it", 0xfeffd000),
		NUMBER(ON_VM, KVM_SET_TSS_ADDR, 0, "the last place", 0xffffd000),
		NUMBER(ON_VM, KVM_SET_TSS_ADDR, -EINVAL, "past the last place", 0xffffe000),
	};
	struct scene scene = { vm_create(0), NULL };

	NEED(scene.vm->fd, KVM_CAP_SET_TSS_ADDR);
	PLAY(&scene, rows);
}

TEST(identity_map_address)
{
	const struct call rows[] = { CALL(ON_VM, KVM_SET_IDENTITY_MAP_ADDR, 0, "before vCPUs", uint64_t, 0xfeffc000) };
	const struct call late[] = {
		CALL(ON_VM, KVM_SET_IDENTITY_MAP_ADDR, -EINVAL, "after a vCPU", uint64_t, 0xfeffc000),
		NUMBER(ON_VM, KVM_SET_IDENTITY_MAP_ADDR, -EINVAL, "after a vCPU, bad pointer", 16),
	};
	struct scene scene = { vm_create(0), NULL };

	NEED(scene.vm->fd, KVM_CAP_SET_IDENTITY_MAP_ADDR);
	PLAY(&scene, rows);
	vcpu_create(scene.vm, 0);
	PLAY(&scene, late);
}
