// SPDX-License-Identifier: BSD-2-Clause
/*
 * api_system.c - the device itself: version, capabilities, lists, creating VMs
 * and vCPUs.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"

TEST(api_version)
{
	int sys = kvm_open();

	REQUIRE(IOCTL(sys, KVM_GET_API_VERSION, 0) == 12, "not 12");
}

TEST(run_size)
{
	int bytes = IOCTL(kvm_open(), KVM_GET_VCPU_MMAP_SIZE, 0);

	REQUIRE(bytes >= 8192 && bytes % 4096 == 0, "%d bytes", bytes);
}

/* What every VMM asks for and cannot do without. */
TEST(capabilities)
{
	static const struct { int capability; const char *name; } needed[] = {
		{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
		{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "KVM_CAP_DESTROY_MEMORY_REGION_WORKS" },
		{ KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, "KVM_CAP_JOIN_MEMORY_REGIONS_WORKS" },
		{ KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR" },
		{ KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID" },
		{ KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE" },
		{ KVM_CAP_HLT, "KVM_CAP_HLT" },
		{ KVM_CAP_NR_VCPUS, "KVM_CAP_NR_VCPUS" },
		{ KVM_CAP_MAX_VCPUS, "KVM_CAP_MAX_VCPUS" },
		{ KVM_CAP_NR_MEMSLOTS, "KVM_CAP_NR_MEMSLOTS" },
	};
	struct vm *vm = vm_create(0);

	for (unsigned int i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		EXPECT(kvm_capability(vm->sys, needed[i].capability) > 0, "%s reads 0", needed[i].name);
	EXPECT(kvm_capability(vm->sys, 10000) == 0, "an unknown capability is not 0");
	if (kvm_capability(vm->sys, KVM_CAP_CHECK_EXTENSION_VM))
		EXPECT(kvm_capability(vm->fd, KVM_CAP_USER_MEMORY) > 0, "the VM's own answer differs");
}

TEST(system_refusals)
{
	const struct call rows[] = {
		NUMBER(ON_SYSTEM, KVM_GET_API_VERSION, -EINVAL, "KVM_GET_API_VERSION with an argument", 1),
		NUMBER(ON_SYSTEM, KVM_GET_VCPU_MMAP_SIZE, -EINVAL, "KVM_GET_VCPU_MMAP_SIZE with an argument", 1),
		NUMBER(ON_SYSTEM, KVM_CREATE_VM, -EINVAL, "KVM_CREATE_VM of type 1", 1),
		NUMBER(ON_SYSTEM, KVM_CREATE_VM, -EINVAL, "KVM_CREATE_VM of type 2^40", 1ull << 40),
		CALL(ON_SYSTEM, KVM_GET_MSR_INDEX_LIST, -E2BIG, "KVM_GET_MSR_INDEX_LIST, no room", struct kvm_msr_list, .nmsrs = 0),
		CALL(ON_SYSTEM, KVM_GET_SUPPORTED_CPUID, -E2BIG, "KVM_GET_SUPPORTED_CPUID, no room", struct kvm_cpuid2, .nent = 0),
		CALL(ON_SYSTEM, KVM_SET_DEVICE_ATTR, -EINVAL, "KVM_SET_DEVICE_ATTR", struct kvm_device_attr, .attr = 0),
	};
	struct scene scene = scene_create();

	PLAY(&scene, rows);
}

/* Too little room: the number needed is written back. */
TEST(msr_list_size)
{
	struct { struct kvm_msr_list head; uint32_t index[1024]; } list = { .head.nmsrs = 1 };
	int sys = kvm_open(), result;

	result = ioctl_try(sys, KVM_GET_MSR_INDEX_LIST, &list);
	REQUIRE(result == -E2BIG && list.head.nmsrs > 10 && list.head.nmsrs < 1024, "%d, %u MSRs", result, list.head.nmsrs);
	REQUIRE(!ioctl_try(sys, KVM_GET_MSR_INDEX_LIST, &list), "refused with just enough room");
}

TEST(msr_features)
{
	struct { struct kvm_msr_list head; uint32_t index[256]; } list = { .head.nmsrs = 0 };
	struct { struct kvm_msrs head; struct kvm_msr_entry entry[2]; } msrs = { .head.nmsrs = 1 };
	int sys = kvm_open(), result;

	NEED(sys, KVM_CAP_GET_MSR_FEATURES);
	result = ioctl_try(sys, KVM_GET_MSR_FEATURE_INDEX_LIST, &list);
	REQUIRE(result == -E2BIG || !list.head.nmsrs, "no room: %d", result);
	list.head.nmsrs = 256;
	IOCTL(sys, KVM_GET_MSR_FEATURE_INDEX_LIST, &list);
	for (uint32_t i = 0; i < list.head.nmsrs; i++) {
		msrs.entry[0].index = list.head.indices[i];
		EXPECT(IOCTL(sys, KVM_GET_MSRS, &msrs) == 1, "%#x is listed and cannot be read", msrs.entry[0].index);
	}
	msrs.entry[0].index = 0x4711;
	EXPECT(IOCTL(sys, KVM_GET_MSRS, &msrs) == 0, "an unknown MSR is counted");
	msrs.head.nmsrs = 256;
	EXPECT(ioctl_try(sys, KVM_GET_MSRS, &msrs) == -E2BIG, "256 MSRs");
}

TEST(supported_cpuid)
{
	int sys = kvm_open(), result;
	struct kvm_cpuid2 *table = cpuid_supported(sys), *small;
	uint32_t needed = table->nent;

	REQUIRE(needed > 5 && needed < 256, "%u entries", needed);
	REQUIRE(cpuid_find(table, 0, 0) && cpuid_find(table, 1, 0) && cpuid_find(table, 0x80000001, 0), "leaves are missing");
	REQUIRE(cpuid_find(table, 0x80000001, 0)->edx & 1u << 29, "no long mode");
	small = cpuid_supported(sys);
	small->nent = needed - 1;
	result = ioctl_try(sys, KVM_GET_SUPPORTED_CPUID, small);
	REQUIRE(result == -E2BIG && small->nent == needed - 1, "one too few: %d, nent %u", result, small->nent);
	small->nent = 1000000;	/* only 256 have room in the struct: more must not be written */
	REQUIRE(!ioctl_try(sys, KVM_GET_SUPPORTED_CPUID, small) && small->nent == needed, "a large nent");
}

TEST(vcpu_ids)
{
	struct vm *vm = vm_create(0);
	int ids = kvm_capability(vm->fd, KVM_CAP_MAX_VCPU_ID), result;

	if (!ids)
		ids = kvm_capability(vm->fd, KVM_CAP_MAX_VCPUS);
	REQUIRE(ids > 0, "no limit is told");
	vcpu_create(vm, 0);
	vcpu_create(vm, 3);
	vcpu_create(vm, ids - 1);
	result = ioctl_try(vm->fd, KVM_CREATE_VCPU, (void *)0);
	EXPECT(result == -EEXIST, "id 0 again: %d", result);
	result = ioctl_try(vm->fd, KVM_CREATE_VCPU, (void *)(long)ids);
	EXPECT(result == -EINVAL, "the first id past the limit: %d", result);
	result = ioctl_try(vm->fd, KVM_CREATE_VCPU, (void *)-1l);
	EXPECT(result == -EINVAL, "id -1: %d", result);
}

/* Made and thrown away, with vCPUs: nothing runs out. */
TEST(many_vms)
{
	for (unsigned int i = 0; i < 100; i++) {
		int sys = kvm_open(), vm = IOCTL(sys, KVM_CREATE_VM, 0), vcpu = IOCTL(vm, KVM_CREATE_VCPU, 0);

		close(i & 1 ? vm : vcpu);
		close(i & 1 ? vcpu : vm);
		close(sys);
	}
}

TEST(vms_at_once)
{
	for (unsigned int i = 0; i < 16; i++)
		for (int id = 0; id < 2; id++)
			vcpu_create(vm_create(0), id);
}

TEST(tsc_khz)
{
	struct scene scene = scene_create();

	NEED(scene.vm->fd, KVM_CAP_GET_TSC_KHZ);
	REQUIRE(IOCTL(scene.vcpu->fd, KVM_GET_TSC_KHZ, 0) > 1000, "less than 1 MHz");
}
