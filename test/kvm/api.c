// SPDX-License-Identifier: BSD-2-Clause
/*
 * api.c - the program `api`: each ioctl's plain use and its refusals.
 *
 * Owns: main, and what holds for every kind of descriptor: unknown numbers,
 * bad pointers, other processes. See: Documentation/virt/kvm/api.rst in Linux.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"

/* A number is known by all its 32 bits; each kind of descriptor refuses in its own way. */
TEST(unknown_numbers)
{
	const struct call rows[] = {
		NUMBER(ON_SYSTEM, 0xaeff, -EINVAL, "system: no such number", 0),
		NUMBER(ON_SYSTEM, KVM_RUN, -EINVAL, "system: KVM_RUN", 0),
		NUMBER(ON_SYSTEM, KVM_CREATE_VCPU, -EINVAL, "system: KVM_CREATE_VCPU", 0),
		NUMBER(ON_SYSTEM, 0x4020ae46, -EINVAL, "system: KVM_SET_USER_MEMORY_REGION", 0),
		NUMBER(ON_SYSTEM, 0xc00cae02, -EINVAL, "system: KVM_GET_MSR_INDEX_LIST of another size", 0),
		NUMBER(ON_SYSTEM, 0x5401, -EINVAL, "system: another type", 0),
		NUMBER(ON_VM, 0xaeff, -ENOTTY, "VM: no such number", 0),
		NUMBER(ON_VM, KVM_RUN, -ENOTTY, "VM: KVM_RUN", 0),
		NUMBER(ON_VM, KVM_GET_API_VERSION, -ENOTTY, "VM: KVM_GET_API_VERSION", 0),
		NUMBER(ON_VM, 0x4018ae46, -ENOTTY, "VM: KVM_SET_USER_MEMORY_REGION of another size", 0),
		NUMBER(ON_VM, 0x4018ae40, -ENOTTY, "VM: the old KVM_SET_MEMORY_REGION", 0),
		NUMBER(ON_VM, 0x5402, -ENOTTY, "VM: another type", 0),
		NUMBER(ON_VCPU, 0xaeff, -EINVAL, "vCPU: no such number", 0),
		NUMBER(ON_VCPU, KVM_CREATE_VCPU, -EINVAL, "vCPU: KVM_CREATE_VCPU", 0),
		NUMBER(ON_VCPU, 0x8091ae81, -EINVAL, "vCPU: KVM_GET_REGS of another size", 0),
		NUMBER(ON_VCPU, 0x5403, -EINVAL, "vCPU: another type", 0),
		NUMBER(ON_VCPU, 0x8080aeab, -EINVAL, "vCPU: number 0xab of another size", 0),
	};
	struct scene scene = scene_create();

	PLAY(&scene, rows);
}

TEST(bad_pointers)
{
	const struct call rows[] = {
		BAD_POINTER(ON_SYSTEM, KVM_GET_MSR_INDEX_LIST),
		BAD_POINTER(ON_SYSTEM, KVM_GET_SUPPORTED_CPUID),
		BAD_POINTER(ON_VM, KVM_SET_USER_MEMORY_REGION),
		BAD_POINTER(ON_VM, KVM_GET_DIRTY_LOG),
		BAD_POINTER(ON_VM, KVM_IOEVENTFD),
		BAD_POINTER(ON_VM, KVM_REGISTER_COALESCED_MMIO),
		BAD_POINTER(ON_VM, KVM_UNREGISTER_COALESCED_MMIO),
		BAD_POINTER(ON_VM, KVM_ENABLE_CAP),
		BAD_POINTER(ON_VCPU, KVM_GET_REGS),
		BAD_POINTER(ON_VCPU, KVM_SET_REGS),
		BAD_POINTER(ON_VCPU, KVM_GET_SREGS),
		BAD_POINTER(ON_VCPU, KVM_SET_SREGS),
		BAD_POINTER(ON_VCPU, KVM_GET_FPU),
		BAD_POINTER(ON_VCPU, KVM_SET_FPU),
		BAD_POINTER(ON_VCPU, KVM_GET_MSRS),
		BAD_POINTER(ON_VCPU, KVM_SET_MSRS),
		BAD_POINTER(ON_VCPU, KVM_SET_CPUID2),
		BAD_POINTER(ON_VCPU, KVM_GET_CPUID2),
		BAD_POINTER(ON_VCPU, KVM_GET_MP_STATE),
		BAD_POINTER(ON_VCPU, KVM_SET_MP_STATE),
		BAD_POINTER(ON_VCPU, KVM_GET_VCPU_EVENTS),
		BAD_POINTER(ON_VCPU, KVM_SET_VCPU_EVENTS),
		BAD_POINTER(ON_VCPU, KVM_GET_DEBUGREGS),
		BAD_POINTER(ON_VCPU, KVM_SET_DEBUGREGS),
		BAD_POINTER(ON_VCPU, KVM_GET_XSAVE),
		BAD_POINTER(ON_VCPU, KVM_SET_XSAVE),
		BAD_POINTER(ON_VCPU, KVM_GET_XCRS),
		BAD_POINTER(ON_VCPU, KVM_SET_XCRS),
		BAD_POINTER(ON_VCPU, KVM_INTERRUPT),
		BAD_POINTER(ON_VCPU, KVM_SET_SIGNAL_MASK),
		BAD_POINTER(ON_VCPU, KVM_SET_GUEST_DEBUG),
	};
	struct scene scene = scene_create();

	PLAY(&scene, rows);
}

/* A header that can be read before a tail that cannot. */
TEST(bad_tails)
{
	const struct call rows[] = {
		CALL(ON_VCPU, KVM_GET_MSRS, -EFAULT, "KVM_GET_MSRS", struct kvm_msrs, .nmsrs = 2),
		CALL(ON_VCPU, KVM_SET_MSRS, -EFAULT, "KVM_SET_MSRS", struct kvm_msrs, .nmsrs = 2),
		CALL(ON_VCPU, KVM_SET_CPUID2, -EFAULT, "KVM_SET_CPUID2", struct kvm_cpuid2, .nent = 2),
		CALL(ON_SYSTEM, KVM_GET_SUPPORTED_CPUID, -EFAULT, "KVM_GET_SUPPORTED_CPUID", struct kvm_cpuid2, .nent = 256),
		CALL(ON_SYSTEM, KVM_GET_MSR_INDEX_LIST, -EFAULT, "KVM_GET_MSR_INDEX_LIST", struct kvm_msr_list, .nmsrs = 1000),
		CALL(ON_VCPU, KVM_SET_SIGNAL_MASK, -EFAULT, "KVM_SET_SIGNAL_MASK", struct kvm_signal_mask, .len = 8),
	};
	struct scene scene = scene_create();

	PLAY(&scene, rows);
}

/* A VM belongs to the process that made it. */
TEST(other_process)
{
	struct scene scene = scene_create();
	struct kvm_regs regs;
	int status;
	pid_t pid = fork();

	if (!pid) {
		EXPECT(ioctl_try(scene.vm->fd, KVM_CREATE_VCPU, (void *)1) == -EIO, "VM: not EIO");
		EXPECT(ioctl_try(scene.vcpu->fd, KVM_GET_REGS, &regs) == -EIO, "vCPU: KVM_GET_REGS is not EIO");
		EXPECT(run_try(scene.vcpu) == -EIO, "vCPU: KVM_RUN is not EIO");
		EXPECT(ioctl_try(scene.vm->sys, KVM_GET_API_VERSION, NULL) == KVM_API_VERSION, "the device itself");
		_exit(test_notes() ? 1 : 0);
	}
	waitpid(pid, &status, 0);
	REQUIRE(!status, "status %#x", status);
}

/* A vCPU keeps its VM alive: the order in which descriptors are closed is free. */
TEST(close_order)
{
	struct vm *vm = vm_create(GUEST_MEMORY);
	struct vcpu *vcpu = vcpu_create(vm, 0);

	vcpu_mode(vcpu, 16);
	vm_load(vm, GUEST_CODE, "\xf4", 1);
	close(vm->fd);
	close(vm->sys);
	run_until(vcpu, KVM_EXIT_HLT);
	close(vcpu->fd);
	/* The mapping of the run page outlives the descriptor, too. */
	REQUIRE(vcpu->run->exit_reason == KVM_EXIT_HLT, "the run page changed");
}

TEST(no_descriptor_left)
{
	struct vm *vm = vm_create(0);
	struct rlimit limit = { 3, 3 };
	int result;

	REQUIRE(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
	result = ioctl_try(vm->sys, KVM_CREATE_VM, NULL);
	EXPECT(result == -EMFILE, "KVM_CREATE_VM: %s", strerror(-result));
	result = ioctl_try(vm->fd, KVM_CREATE_VCPU, NULL);
	EXPECT(result == -EMFILE, "KVM_CREATE_VCPU: %s", strerror(-result));
}

/* The run page, the port page, and the ring: nothing behind them. */
TEST(mmap_run)
{
	struct scene scene = scene_create();
	uint8_t *run = (uint8_t *)scene.vcpu->run, *more;
	int status;
	pid_t pid;

	for (long at = 0; at < scene.vm->run_bytes; at += 4096)
		run[at] = run[at];
	more = mmap(NULL, scene.vm->run_bytes + 4096, PROT_READ | PROT_WRITE, MAP_SHARED, scene.vcpu->fd, 0);
	REQUIRE(more != MAP_FAILED && !memcmp(more, run, 4096), "a second mapping differs");
	pid = fork();
	if (!pid) {
		more[scene.vm->run_bytes] = 1;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS, "status %#x", status);
}

int main(int argc, char **argv)
{
	return test_main("api", argc, argv);
}
