/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm.h - the smallest virtual machine monitor: a VM with some memory, vCPUs,
 * and the three processor modes a test guest starts in.
 *
 * Owns: nothing beyond the objects it hands out; they end with the process.
 * Invariant: a function named must_* or vm_, vcpu_ without "try" ends the test
 * when the kernel refuses; the *_try forms give 0 or more, or -errno.
 * Called by: every program here. See: Documentation/virt/kvm/api.rst in Linux.
 */
#ifndef VMM_H
#define VMM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A guest's first memory: slot 0 at address 0. Page tables map 4 GiB one to
 * one, so that addresses past the memory are MMIO in long mode.
 */
#define GUEST_CODE 0x1000ull
#define GUEST_IDT 0x3000ull	/* real mode: its vectors are at 0 */
#define GUEST_GDT 0x4000ull
#define GUEST_STUBS 0x5000ull	/* 256 handlers of STUB_BYTES: NOP, HLT, IRET */
#define GUEST_STACK 0x8000ull	/* grows down */
#define GUEST_DATA 0x8000ull	/* the test's own, to 0x10000 */
#define GUEST_TABLES 0x10000ull	/* six pages */
#define GUEST_FREE 0x20000ull
#define GUEST_MEMORY 0x200000ull
#define STUB_BYTES 4u
/*
 * RIP behind a handler's HLT. The NOP is for Bochs 3.0 and 3.1: with two CPUs they give an exit of a handler's first
 * instruction the RIP before the exception.
 */
#define STUB_HALTED 2u

#define CS_SELECTOR 0x8
#define DS_SELECTOR 0x10

struct vm {
	int sys;		/* /dev/kvm */
	int fd;
	uint8_t *memory;	/* slot 0 */
	size_t bytes;
	long run_bytes;		/* KVM_GET_VCPU_MMAP_SIZE */
};

struct vcpu {
	struct vm *vm;
	int fd;
	int bits;		/* 16, 32, 64: the mode it was set to */
	struct kvm_run *run;
};

/* ioctl: 0 or more, or -errno. */
int ioctl_try(int fd, unsigned long number, const void *argument);
/* The same, but a failure ends the test. */
int must_ioctl(int fd, unsigned long number, const void *argument, const char *what);
#define IOCTL(fd, number, argument) must_ioctl(fd, number, (const void *)(unsigned long)(argument), #number)

/* Opens /dev/kvm, or skips: a machine without the device tests nothing. */
int kvm_open(void);
/* KVM_CHECK_EXTENSION on a VM or on the device. */
int kvm_capability(int fd, int capability);
/* Skips the test, naming the capability, when it reads 0. */
void need_capability(int fd, int capability, const char *name);
#define NEED(fd, capability) need_capability(fd, capability, #capability)

/* Skips on QEMU's TCG: it lets pass, unseen by any hypervisor, what a processor refuses. */
void need_silicon(void);

/* Anonymous memory, page aligned. */
void *map_pages(size_t bytes);

/* A VM with `bytes` of memory in slot 0 (0: none). */
struct vm *vm_create(size_t bytes);
/* Closes and unmaps a VM and this vCPU, for programs that make thousands. */
void vm_destroy(struct vcpu *vcpu);
struct vcpu *vcpu_create(struct vm *vm, int id);
int slot_try(struct vm *vm, uint32_t slot, uint64_t gpa, uint64_t bytes, void *memory, uint32_t flags);
void slot_set(struct vm *vm, uint32_t slot, uint64_t gpa, uint64_t bytes, void *memory, uint32_t flags);
void vm_load(struct vm *vm, uint64_t gpa, const void *code, size_t bytes);

/* What KVM offers, in room for 256 entries; the caller may edit it. */
struct kvm_cpuid2 *cpuid_supported(int sys);
struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *table, uint32_t function, uint32_t index);
void cpuid_set(struct vcpu *vcpu, const struct kvm_cpuid2 *table);

/*
 * Put the vCPU at GUEST_CODE in real, protected (flat, paging off) or long
 * mode, interrupts off, stack and handlers as above. Registers else are 0.
 */
void vcpu_mode(struct vcpu *vcpu, int bits);

void regs_get(struct vcpu *vcpu, struct kvm_regs *regs);
void regs_set(struct vcpu *vcpu, const struct kvm_regs *regs);
/* One MSR: 1 when KVM took or gave it, else 0. */
int msr_get(struct vcpu *vcpu, uint32_t index, uint64_t *value);
int msr_set(struct vcpu *vcpu, uint32_t index, uint64_t value);

/* KVM_RUN: 0 or -errno. */
int run_try(struct vcpu *vcpu);
/* KVM_RUN must end with this exit. */
void run_until(struct vcpu *vcpu, uint32_t reason);

/* A vCPU that a thread runs until it is stopped: any exit but a device's (answered with nothing) fails the test. */
struct endless {
	struct vcpu *vcpu;
	pthread_t thread;
	volatile int stop;
	volatile unsigned long devices;		/* exits of that kind */
	volatile int result;
	volatile uint32_t reason;
};
void endless_start(struct endless *e, struct vcpu *vcpu);
void endless_stop(struct endless *e);
const char *exit_name(uint32_t reason);

/* A port exit's data. */
static inline void *io_data(struct kvm_run *run) { return (uint8_t *)run + run->io.data_offset; }
/* Little endian bytes to a number and back. */
uint64_t bytes_get(const void *from, unsigned int size);
void bytes_put(void *to, unsigned int size, uint64_t value);

#endif
