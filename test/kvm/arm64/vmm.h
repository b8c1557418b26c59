/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm.h - the smallest arm64 machine monitor: a VM with memory at 0, vCPUs that
 * start at GUEST_CODE with the MMU off, and guests of a few instructions.
 *
 * Owns: nothing beyond the objects it hands out; they end with the process.
 * Invariant: everything a test asks for works or ends the test.
 * Called by: the programs here, which know nothing of Tenon and pass on stock KVM.
 */
#ifndef ARM64_VMM_H
#define ARM64_VMM_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include "../test.h"

#define GUEST_CODE 0x1000ull
#define GUEST_VECTORS 0x2000ull
#define GUEST_STACK 0x8000ull
#define GUEST_DATA 0x8000ull
#define GUEST_MEMORY 0x200000ull
#define MMIO_BASE 0x10000000ull		/* no memory: every access is the VMM's */

/* Guest code as data; it starts at GUEST_CODE. */
#define GUEST(id, code)								\
	extern const uint8_t code_##id[], code_##id##_end[];			\
	asm(".pushsection .rodata.guest,\"a\"\n.balign 8\n"			\
	    "code_" #id ":\n" code "\ncode_" #id "_end:\n.balign 8\n.popsection")
#define LOAD(vm, gpa, id) vm_load(vm, gpa, code_##id, (size_t)(code_##id##_end - code_##id))

struct vm {
	int sys, fd, gic;
	uint8_t *memory;
	long run_bytes;
};

struct vcpu {
	struct vm *vm;
	int fd;
	struct kvm_run *run;
};

struct vm *vm_create(void);
void vm_load(struct vm *vm, uint64_t gpa, const void *code, size_t bytes);
/* features: of KVM_ARM_VCPU_INIT, beside PSCI. */
struct vcpu *vcpu_create(struct vm *vm, int id, uint32_t features);
int ioctl_try(int fd, unsigned long number, const void *argument);	/* 0 or more, or -errno */
int run_try(struct vcpu *vcpu);
void run_until(struct vcpu *vcpu, uint32_t reason);
/* The guest's next access is this store or load; returns what it stored. */
uint64_t expect_store(struct vcpu *vcpu, uint64_t gpa, unsigned int size);
void expect_load(struct vcpu *vcpu, uint64_t gpa, unsigned int size, uint64_t value);
uint64_t reg_get(struct vcpu *vcpu, uint64_t id);
int reg_try(struct vcpu *vcpu, uint64_t id, uint64_t value);
void irq_line(struct vm *vm, int id, int level);
/* KVM_SET_DEVICE_ATTR and its like on a device's descriptor: 0 or -errno. */
int device_attr(int fd, unsigned long how, uint32_t group, uint64_t attr, void *value);
#define SET(fd, group, attr, value) device_attr(fd, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_##group, attr, value)
#define GET(fd, group, attr, value) device_attr(fd, KVM_GET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_##group, attr, value)
#define HAS(fd, group, attr) device_attr(fd, KVM_HAS_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_##group, attr, NULL)

#define CORE(name) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(name))

#endif
