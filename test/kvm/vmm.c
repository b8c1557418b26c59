// SPDX-License-Identifier: BSD-2-Clause
/*
 * vmm.c - the helpers of vmm.h: plain calls of the KVM interface.
 *
 * Owns: the layout of a guest's tables. Invariant: nothing here depends on who
 * implements /dev/kvm. Called by the programs; calls only the kernel and test.h.
 * See: AMD APM volume 2, chapters 4 and 5 (segments, paging) for the tables.
 */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"
#include "vmm.h"

#define CPUID_ROOM 256
#define PTE_PRESENT_WRITE 0x7ull	/* for user mode too */
#define PTE_LARGE 0x80ull
#define CR0_PE 0x1ull
#define CR0_RESET 0x30ull		/* ET and NE */
#define CR0_PG 0x80000000ull
#define CR4_PAE 0x20ull
#define CR4_OSFXSR 0x600ull		/* OSFXSR and OSXMMEXCPT */
#define EFER_LONG 0x500ull		/* LME and LMA */

int ioctl_try(int fd, unsigned long number, const void *argument)
{
	int result = ioctl(fd, number, argument);

	return result < 0 ? -errno : result;
}

int must_ioctl(int fd, unsigned long number, const void *argument, const char *what)
{
	int result = ioctl_try(fd, number, argument);

	REQUIRE(result >= 0, "%s: %s", what, strerror(-result));
	return result;
}

int kvm_open(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		test_skip("/dev/kvm: %s", strerror(errno));
	return fd;
}

int kvm_capability(int fd, int capability)
{
	return IOCTL(fd, KVM_CHECK_EXTENSION, capability);
}

void need_capability(int fd, int capability, const char *name)
{
	if (!kvm_capability(fd, capability))
		test_skip("%s reads 0", name);
}

void need_silicon(void)
{
	uint32_t brand[4];

	__cpuid(0x80000002, brand[0], brand[1], brand[2], brand[3]);
	if (!memcmp(brand, "QEMU TCG", 8))
		test_skip("QEMU's TCG does not check what this needs");
}

void *map_pages(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	REQUIRE(at != MAP_FAILED, "mmap of %zu bytes: %s", bytes, strerror(errno));
	return at;
}

struct vm *vm_create(size_t bytes)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	vm->sys = kvm_open();
	vm->fd = IOCTL(vm->sys, KVM_CREATE_VM, 0);
	vm->run_bytes = IOCTL(vm->sys, KVM_GET_VCPU_MMAP_SIZE, 0);
	vm->bytes = bytes;
	if (bytes) {
		vm->memory = map_pages(bytes);
		slot_set(vm, 0, 0, bytes, vm->memory, 0);
	}
	return vm;
}

struct vcpu *vcpu_create(struct vm *vm, int id)
{
	struct vcpu *vcpu = calloc(1, sizeof(*vcpu));

	vcpu->vm = vm;
	vcpu->fd = IOCTL(vm->fd, KVM_CREATE_VCPU, id);
	vcpu->run = mmap(NULL, vm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	REQUIRE(vcpu->run != MAP_FAILED, "mmap of the run page: %s", strerror(errno));
	return vcpu;
}

void vm_destroy(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;

	munmap(vcpu->run, vm->run_bytes);
	close(vcpu->fd);
	close(vm->fd);
	close(vm->sys);
	if (vm->memory)
		munmap(vm->memory, vm->bytes);
	free(vcpu);
	free(vm);
}

int slot_try(struct vm *vm, uint32_t slot, uint64_t gpa, uint64_t bytes, void *memory, uint32_t flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa,
		.memory_size = bytes, .userspace_addr = (uintptr_t)memory,
	};

	return ioctl_try(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

void slot_set(struct vm *vm, uint32_t slot, uint64_t gpa, uint64_t bytes, void *memory, uint32_t flags)
{
	int result = slot_try(vm, slot, gpa, bytes, memory, flags);

	REQUIRE(!result, "slot %u at %#lx: %s", slot, gpa, strerror(-result));
}

void vm_load(struct vm *vm, uint64_t gpa, const void *code, size_t bytes)
{
	REQUIRE(gpa + bytes <= vm->bytes, "%zu bytes don't fit at %#lx", bytes, gpa);
	memcpy(vm->memory + gpa, code, bytes);
}

struct kvm_cpuid2 *cpuid_supported(int sys)
{
	struct kvm_cpuid2 *table = calloc(1, sizeof(*table) + CPUID_ROOM * sizeof(table->entries[0]));

	table->nent = CPUID_ROOM;
	IOCTL(sys, KVM_GET_SUPPORTED_CPUID, table);
	return table;
}

struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *table, uint32_t function, uint32_t index)
{
	for (struct kvm_cpuid_entry2 *e = table->entries; e < table->entries + table->nent; e++)
		if (e->function == function && (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == index))
			return e;
	return NULL;
}

void cpuid_set(struct vcpu *vcpu, const struct kvm_cpuid2 *table)
{
	IOCTL(vcpu->fd, KVM_SET_CPUID2, table);
}

/* One handler per vector: HLT tells the VMM which by its address, IRET goes back. */
static void write_stubs(uint8_t *memory, int bits)
{
	static const uint8_t wide[STUB_BYTES] = { 0x90, 0xf4, 0x48, 0xcf };
	static const uint8_t plain[STUB_BYTES] = { 0x90, 0xf4, 0xcf, 0x90 };

	for (unsigned int vector = 0; vector < 256; vector++)
		memcpy(memory + GUEST_STUBS + vector * STUB_BYTES, bits == 64 ? wide : plain, STUB_BYTES);
}

/* Real mode: four bytes, offset and segment. Else interrupt gates of 8 or 16 bytes. */
static void write_vectors(uint8_t *memory, int bits)
{
	for (uint64_t vector = 0; vector < 256; vector++) {
		uint64_t stub = GUEST_STUBS + vector * STUB_BYTES;
		uint64_t gate = stub | (uint64_t)CS_SELECTOR << 16 | 0x8e00ull << 32;

		if (bits == 16)
			memcpy(memory + vector * 4, &stub, 4);
		else
			memcpy(memory + GUEST_IDT + vector * (bits / 4), &gate, 8);
	}
}

/* Flat segments; the code segment is 64 bit or 32 bit. */
static void write_gdt(uint8_t *memory, int bits)
{
	uint64_t gdt[] = { 0, bits == 64 ? 0x00af9b000000ffffull : 0x00cf9b000000ffffull, 0x00cf93000000ffffull };

	memcpy(memory + GUEST_GDT, gdt, sizeof(gdt));
}

/* 4 GiB one to one in 2 MiB pages. */
static void write_tables(uint8_t *memory)
{
	uint64_t *top = (uint64_t *)(memory + GUEST_TABLES);
	uint64_t *middle = top + 512, *leaf = top + 1024;

	top[0] = (GUEST_TABLES + 0x1000) | PTE_PRESENT_WRITE;
	for (uint64_t i = 0; i < 4; i++)
		middle[i] = (GUEST_TABLES + 0x2000 + i * 0x1000) | PTE_PRESENT_WRITE;
	for (uint64_t i = 0; i < 2048; i++)
		leaf[i] = i << 21 | PTE_LARGE | PTE_PRESENT_WRITE;
}

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type, int wide)
{
	return (struct kvm_segment) {
		.base = 0, .limit = 0xffffffff, .selector = selector, .type = type,
		.present = 1, .s = 1, .g = 1, .l = wide, .db = !wide,
	};
}

static void real_sregs(struct kvm_sregs *sregs)
{
	struct kvm_segment *data[] = { &sregs->ds, &sregs->es, &sregs->fs, &sregs->gs, &sregs->ss };

	sregs->cs.base = 0;
	sregs->cs.selector = 0;
	for (unsigned int i = 0; i < 5; i++) {
		data[i]->base = 0;
		data[i]->selector = 0;
	}
	sregs->idt.base = 0;
	sregs->idt.limit = 0x3ff;
}

static void flat_sregs(struct kvm_sregs *sregs, int bits)
{
	struct kvm_segment data = flat_segment(DS_SELECTOR, 3, 0);

	sregs->cs = flat_segment(CS_SELECTOR, 11, bits == 64);
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
	sregs->gdt.base = GUEST_GDT;
	sregs->gdt.limit = 23;
	sregs->idt.base = GUEST_IDT;
	sregs->idt.limit = 256 * (bits / 4) - 1;
	sregs->cr0 = CR0_PE | CR0_RESET;
	sregs->cr4 = CR4_OSFXSR;
	if (bits != 64)
		return;
	sregs->cr0 |= CR0_PG;
	sregs->cr3 = GUEST_TABLES;
	sregs->cr4 |= CR4_PAE;
	sregs->efer = EFER_LONG;
}

void vcpu_mode(struct vcpu *vcpu, int bits)
{
	struct kvm_regs regs = { .rip = GUEST_CODE, .rsp = GUEST_STACK, .rflags = 2 };
	uint8_t *memory = vcpu->vm->memory;
	struct kvm_sregs sregs;

	vcpu->bits = bits;
	write_stubs(memory, bits);
	write_vectors(memory, bits);
	write_gdt(memory, bits);
	write_tables(memory);
	IOCTL(vcpu->fd, KVM_GET_SREGS, &sregs);
	if (bits == 16)
		real_sregs(&sregs);
	else
		flat_sregs(&sregs, bits);
	IOCTL(vcpu->fd, KVM_SET_SREGS, &sregs);
	regs_set(vcpu, &regs);
}

void regs_get(struct vcpu *vcpu, struct kvm_regs *regs)
{
	IOCTL(vcpu->fd, KVM_GET_REGS, regs);
}

void regs_set(struct vcpu *vcpu, const struct kvm_regs *regs)
{
	IOCTL(vcpu->fd, KVM_SET_REGS, regs);
}

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

int msr_get(struct vcpu *vcpu, uint32_t index, uint64_t *value)
{
	struct one_msr msr = { .head.nmsrs = 1, .entry.index = index };
	int done = IOCTL(vcpu->fd, KVM_GET_MSRS, &msr);

	*value = msr.entry.data;
	return done;
}

int msr_set(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct one_msr msr = { .head.nmsrs = 1, .entry.index = index, .entry.data = value };

	return IOCTL(vcpu->fd, KVM_SET_MSRS, &msr);
}

int run_try(struct vcpu *vcpu)
{
	return ioctl_try(vcpu->fd, KVM_RUN, NULL);
}

/* One line of what a wrong exit was, for the reader of a failure. */
static void describe_exit(struct kvm_run *run, char *text, size_t bytes)
{
	if (run->exit_reason == KVM_EXIT_IO)
		snprintf(text, bytes, " port %#x size %u count %u %s", run->io.port, run->io.size, run->io.count,
			 run->io.direction ? "out" : "in");
	else if (run->exit_reason == KVM_EXIT_MMIO)
		snprintf(text, bytes, " at %#llx size %u %s", run->mmio.phys_addr, run->mmio.len,
			 run->mmio.is_write ? "write" : "read");
	else if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		snprintf(text, bytes, " suberror %u", run->internal.suberror);
	else if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		snprintf(text, bytes, " hardware reason %#llx", run->fail_entry.hardware_entry_failure_reason);
	else
		text[0] = 0;
}

void run_until(struct vcpu *vcpu, uint32_t reason)
{
	int result = run_try(vcpu);
	struct kvm_regs regs;
	char text[96];

	REQUIRE(!result, "KVM_RUN: %s, wanted exit %s", strerror(-result), exit_name(reason));
	if (vcpu->run->exit_reason == reason)
		return;
	regs_get(vcpu, &regs);
	describe_exit(vcpu->run, text, sizeof(text));
	test_fail("exit %s%s at rip %#llx, wanted %s", exit_name(vcpu->run->exit_reason), text, regs.rip, exit_name(reason));
}

static void nothing(int signal)
{
	(void)signal;
}

static void *endless_loop(void *argument)
{
	struct endless *e = argument;

	while (!e->stop) {
		e->result = run_try(e->vcpu);
		e->reason = e->vcpu->run->exit_reason;
		if (e->result && e->result != -EINTR)
			break;
		if (!e->result && e->reason != KVM_EXIT_MMIO && e->reason != KVM_EXIT_IO)
			break;
		e->devices += !e->result;
	}
	return NULL;
}

void endless_start(struct endless *e, struct vcpu *vcpu)
{
	struct sigaction action = { .sa_handler = nothing };

	sigaction(SIGUSR1, &action, NULL);
	*e = (struct endless) { .vcpu = vcpu };
	REQUIRE(!pthread_create(&e->thread, NULL, endless_loop, e), "pthread_create");
}

/* A signal may come before the thread is in KVM_RUN: immediate_exit covers that. */
void endless_stop(struct endless *e)
{
	e->stop = 1;
	e->vcpu->run->immediate_exit = 1;
	pthread_kill(e->thread, SIGUSR1);
	pthread_join(e->thread, NULL);
	REQUIRE(!e->result || e->result == -EINTR, "the running vCPU ended with %s", strerror(-e->result));
	REQUIRE(e->result || e->reason == KVM_EXIT_MMIO || e->reason == KVM_EXIT_IO, "the running vCPU ended with exit %s",
		exit_name(e->reason));
}

const char *exit_name(uint32_t reason)
{
	static const char *const names[] = {
		[KVM_EXIT_UNKNOWN] = "UNKNOWN", [KVM_EXIT_EXCEPTION] = "EXCEPTION", [KVM_EXIT_IO] = "IO",
		[KVM_EXIT_HYPERCALL] = "HYPERCALL", [KVM_EXIT_DEBUG] = "DEBUG", [KVM_EXIT_HLT] = "HLT",
		[KVM_EXIT_MMIO] = "MMIO", [KVM_EXIT_IRQ_WINDOW_OPEN] = "IRQ_WINDOW_OPEN",
		[KVM_EXIT_SHUTDOWN] = "SHUTDOWN", [KVM_EXIT_FAIL_ENTRY] = "FAIL_ENTRY", [KVM_EXIT_INTR] = "INTR",
		[KVM_EXIT_SET_TPR] = "SET_TPR", [KVM_EXIT_INTERNAL_ERROR] = "INTERNAL_ERROR",
	};

	return reason < sizeof(names) / sizeof(names[0]) && names[reason] ? names[reason] : "of another kind";
}

uint64_t bytes_get(const void *from, unsigned int size)
{
	uint64_t value = 0;

	memcpy(&value, from, size);
	return value;
}

void bytes_put(void *to, unsigned int size, uint64_t value)
{
	memcpy(to, &value, size);
}
