/* SPDX-License-Identifier: BSD-2-Clause */
/* vmm.c - see vmm.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include "vmm.h"

int ioctl_try(int fd, unsigned long number, const void *argument)
{
	int rc = ioctl(fd, number, argument);

	return rc < 0 ? -errno : rc;
}

static int must(int rc, const char *what)
{
	REQUIRE(rc >= 0, "%s: %s", what, strerror(-rc));
	return rc;
}

struct vm *vm_create(void)
{
	struct kvm_userspace_memory_region region = { .memory_size = GUEST_MEMORY };
	struct vm *vm = calloc(1, sizeof(*vm));

	vm->sys = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->sys < 0)
		test_skip("no /dev/kvm: %s", strerror(errno));
	vm->fd = must(ioctl_try(vm->sys, KVM_CREATE_VM, NULL), "KVM_CREATE_VM");
	vm->run_bytes = must(ioctl_try(vm->sys, KVM_GET_VCPU_MMAP_SIZE, NULL), "KVM_GET_VCPU_MMAP_SIZE");
	vm->memory = mmap(NULL, GUEST_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(vm->memory != MAP_FAILED, "mmap: %s", strerror(errno));
	region.userspace_addr = (uintptr_t)vm->memory;
	must(ioctl_try(vm->fd, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
	return vm;
}

void vm_load(struct vm *vm, uint64_t gpa, const void *code, size_t bytes)
{
	volatile uint8_t *to = vm->memory + gpa;
	const uint8_t *from = code;

	/* No SVE here: QEMU 7.2 translates code anew only where the first byte of an SVE store lies. */
	while (bytes--)
		*to++ = *from++;
}

struct vcpu *vcpu_create(struct vm *vm, int id, uint32_t features)
{
	struct vcpu *vcpu = calloc(1, sizeof(*vcpu));
	struct kvm_vcpu_init init;

	vcpu->vm = vm;
	vcpu->fd = must(ioctl_try(vm->fd, KVM_CREATE_VCPU, (void *)(long)id), "KVM_CREATE_VCPU");
	vcpu->run = mmap(NULL, (size_t)vm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	REQUIRE(vcpu->run != MAP_FAILED, "mmap: %s", strerror(errno));
	must(ioctl_try(vm->fd, KVM_ARM_PREFERRED_TARGET, &init), "KVM_ARM_PREFERRED_TARGET");
	init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2 | features;
	must(ioctl_try(vcpu->fd, KVM_ARM_VCPU_INIT, &init), "KVM_ARM_VCPU_INIT");
	must(reg_try(vcpu, CORE(regs.pc), GUEST_CODE), "PC");
	must(reg_try(vcpu, CORE(sp_el1), GUEST_STACK), "SP_EL1");
	return vcpu;
}

int run_try(struct vcpu *vcpu)
{
	return ioctl_try(vcpu->fd, KVM_RUN, NULL);
}

void run_until(struct vcpu *vcpu, uint32_t reason)
{
	int rc;

	do
		rc = run_try(vcpu);
	while (rc == -EINTR || rc == -EAGAIN);
	REQUIRE(!rc, "KVM_RUN: %s", strerror(-rc));
	REQUIRE(vcpu->run->exit_reason == reason, "exit %u where %u was expected (pc %llx, gpa %llx)", vcpu->run->exit_reason,
		reason, (unsigned long long)reg_get(vcpu, CORE(regs.pc)), (unsigned long long)vcpu->run->mmio.phys_addr);
}

static void expect_mmio(struct vcpu *vcpu, uint64_t gpa, unsigned int size, int write)
{
	struct kvm_run *run = vcpu->run;

	run_until(vcpu, KVM_EXIT_MMIO);
	REQUIRE(run->mmio.is_write == write && run->mmio.len == size && run->mmio.phys_addr == gpa,
		"%s of %u at %llx where %s of %u at %llx was expected", run->mmio.is_write ? "store" : "load", run->mmio.len,
		(unsigned long long)run->mmio.phys_addr, write ? "store" : "load", size, (unsigned long long)gpa);
}

uint64_t expect_store(struct vcpu *vcpu, uint64_t gpa, unsigned int size)
{
	uint64_t value = 0;

	expect_mmio(vcpu, gpa, size, 1);
	memcpy(&value, vcpu->run->mmio.data, size);
	return value;
}

void expect_load(struct vcpu *vcpu, uint64_t gpa, unsigned int size, uint64_t value)
{
	expect_mmio(vcpu, gpa, size, 0);
	memcpy(vcpu->run->mmio.data, &value, size);
}

uint64_t reg_get(struct vcpu *vcpu, uint64_t id)
{
	uint64_t value = 0;
	struct kvm_one_reg reg = { id, (uintptr_t)&value };

	must(ioctl_try(vcpu->fd, KVM_GET_ONE_REG, &reg), "KVM_GET_ONE_REG");
	return value;
}

int reg_try(struct vcpu *vcpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = { id, (uintptr_t)&value };

	return ioctl_try(vcpu->fd, KVM_SET_ONE_REG, &reg);
}

int device_attr(int fd, unsigned long how, uint32_t group, uint64_t attr, void *value)
{
	struct kvm_device_attr a = { .group = group, .attr = attr, .addr = (uintptr_t)value };

	return ioctl_try(fd, how, &a);
}

void irq_line(struct vm *vm, int id, int level)
{
	struct kvm_irq_level line = { .level = (uint32_t)level };

	line.irq = KVM_ARM_IRQ_TYPE_CPU << KVM_ARM_IRQ_TYPE_SHIFT | (uint32_t)id << KVM_ARM_IRQ_VCPU_SHIFT | KVM_ARM_IRQ_CPU_IRQ;
	must(ioctl_try(vm->fd, KVM_IRQ_LINE, &line), "KVM_IRQ_LINE");
}
