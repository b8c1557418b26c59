/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz.c - usage: fuzz [TEST]: guests made of random instructions, then random and
 * nearly valid ioctls from two threads on one VM with a GIC; an ITS with random
 * registers, commands and tables, to which another thread sends messages.
 *
 * Invariant under test: a guest's nonsense ends in an exit, in an exception of its
 * own or in nothing; an ioctl's in an errno or success; and the machine goes on: a
 * sound guest works afterwards. FUZZ_SEED= chooses another run.
 * Called by: hand or the test table, in a Linux with /dev/kvm.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>
#include "vmm.h"

#define GUESTS 60u
#define CALLS 15000u
#define SLICE_US 20000
#define AREA_BYTES 0x400000ull
#define ARGUMENT_BYTES 0x2000u

#define next random_next
#define below random_below

static struct random random_begin(uint64_t salt)
{
	const char *seed = getenv("FUZZ_SEED");

	return (struct random){ 0x9e3779b97f4a7c15ull * (salt + 1 + (seed ? strtoull(seed, NULL, 0) : 0)) };
}

static void nothing(int signal)
{
	(void)signal;
}

/* Ends a KVM_RUN that would not end by itself. */
static void slices(int on)
{
	struct itimerval t = { { 0, on ? SLICE_US : 0 }, { 0, on ? SLICE_US : 0 } };
	struct sigaction a = { .sa_handler = nothing };

	sigaction(SIGALRM, &a, NULL);
	setitimer(ITIMER_REAL, &t, NULL);
}

static int gic_try(struct vm *vm)
{
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
	uint64_t dist = 0x08000000, redist = 0x080a0000;
	struct kvm_device_attr attrs[] = {
		{ 0, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, (uintptr_t)&dist },
		{ 0, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, (uintptr_t)&redist },
		{ 0, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0 },
	};
	unsigned int i;

	if (ioctl_try(vm->fd, KVM_CREATE_DEVICE, &device))
		return -1;
	for (i = 0; i < 3; i++)
		ioctl_try((int)device.fd, KVM_SET_DEVICE_ATTR, &attrs[i]);
	return (int)device.fd;
}

/* ---- guests ---- */

/* System registers, barriers, maintenance, exceptions, the GIC, the timer, loads and stores all over. */
static const uint32_t spices[] = {
	0xd4000002, 0xd4000003, 0xd4000001, 0xd4200000, 0xd503207f, 0xd503205f, 0xd69f03e0, 0xd5033fdf, 0xd5033f9f,
	0xd508871f, 0xd5087e52, 0xd508751f, 0xd50b7420, 0xd50b7e20, 0xd5087800, 0xd5184000, 0xd5184020, 0xd5181000, 0xd5381000,
	0xd5182000, 0xd5182040, 0xd518c000, 0xd5380400, 0xd5380700, 0xd51be220, 0xd51be320, 0xd51be300, 0xd53be040, 0xd53be020,
	0xd538cc00, 0xd518cc20, 0xd518cba0, 0xd5184600, 0xd518cce0, 0xd538cca0, 0xd5301480, 0xd5100540, 0xd53c1100, 0xd51e1100,
	0xf9400020, 0xf9000020, 0xb9400041, 0x39000041, 0xa9400841, 0xc85ffc20, 0x4c007000, 0x3dc00020, 0xd2a10000, 0xd2a20013,
	0xd2a10141, 0x14000000, 0x17fffff0, 0xd65f03c0, 0xd61f0000, 0xd5034fff, 0xd50342df, 0xd50041bf, 0xd51b4220,
};

static void guest_fill(struct vm *vm, struct random *r)
{
	volatile uint32_t *to = (volatile uint32_t *)vm->memory;
	uint32_t i;

	for (i = 0; i < 0x4000 / 4; i++)
		to[i] = below(r, 3) ? spices[below(r, sizeof(spices) / sizeof(spices[0]))] : (uint32_t)next(r);
}

static struct vcpu *random_guest(struct random *r)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu;
	uint64_t i;

	guest_fill(vm, r);
	vcpu = vcpu_create(vm, 0, 0);
	if (below(r, 4))
		gic_try(vm);
	for (i = 0; i < 31; i++)
		reg_try(vcpu, CORE(regs.regs[0]) + 2 * i, below(r, 2) ? below(r, GUEST_MEMORY) : below(r, 2) ? MMIO_BASE : next(r));
	reg_try(vcpu, CORE(regs.pc), below(r, 0x1000) * 4);
	reg_try(vcpu, CORE(regs.pstate), below(r, 2) ? next(r) : 0x3c5);
	for (i = 0; i < 20; i++)
		reg_try(vcpu, KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM64_SYSREG | below(r, 65536), next(r));
	return vcpu;
}

TEST_LIMIT(guests, 300)
{
	struct random r = random_begin(7);
	unsigned int g, exits, slice;
	int rc;

	for (g = 0; g < GUESTS; g++) {
		struct vcpu *vcpu = random_guest(&r);

		slices(1);	/* not before: KVM_CREATE_VM can be interrupted */
		for (exits = slice = 0; exits < 3000 && slice < 8; exits++) {
			rc = run_try(vcpu);
			slice += rc == -EINTR;
			if (rc && rc != -EINTR && rc != -EAGAIN) {
				EXPECT(rc == -EFAULT || rc == -ENOSYS || rc == -ENOEXEC || rc == -ENOMEM, "guest %u: KVM_RUN: %s", g, strerror(-rc));
				break;
			}
			if (!rc && vcpu->run->exit_reason == KVM_EXIT_MMIO && !vcpu->run->mmio.is_write)
				memset(vcpu->run->mmio.data, (int)next(&r), 8);
		}
		slices(0);
		munmap(vcpu->run, (size_t)vcpu->vm->run_bytes);
		munmap(vcpu->vm->memory, GUEST_MEMORY);
		close(vcpu->fd);
		close(vcpu->vm->fd);
		close(vcpu->vm->sys);
	}
}

/* ---- ioctls ---- */

enum { VM, VCPU, DEVICE, SYSTEM };
static const struct { int kind; unsigned long number; unsigned int bytes; } numbers[] = {
	{ SYSTEM, KVM_CHECK_EXTENSION, 0 }, { SYSTEM, KVM_GET_VCPU_MMAP_SIZE, 0 }, { SYSTEM, KVM_CREATE_VM, 0 },
	{ VM, KVM_CREATE_VCPU, 0 }, { VM, KVM_CHECK_EXTENSION, 0 }, { VM, KVM_IRQ_LINE, 8 }, { VM, KVM_IRQ_LINE, 8 },
	{ VM, KVM_SET_USER_MEMORY_REGION, sizeof(struct kvm_userspace_memory_region) }, { VM, KVM_GET_DIRTY_LOG, 16 },
	{ VM, KVM_IOEVENTFD, sizeof(struct kvm_ioeventfd) }, { VM, KVM_ENABLE_CAP, sizeof(struct kvm_enable_cap) },
	{ VM, KVM_CREATE_DEVICE, sizeof(struct kvm_create_device) }, { VM, KVM_ARM_PREFERRED_TARGET, 64 },
	{ VM, KVM_SIGNAL_MSI, sizeof(struct kvm_msi) }, { VM, KVM_SET_GSI_ROUTING, 64 }, { VM, KVM_IRQFD, sizeof(struct kvm_irqfd) },
	{ DEVICE, KVM_SET_DEVICE_ATTR, 24 }, { DEVICE, KVM_GET_DEVICE_ATTR, 24 }, { DEVICE, KVM_HAS_DEVICE_ATTR, 24 },
	{ DEVICE, KVM_SET_DEVICE_ATTR, 24 }, { DEVICE, KVM_GET_DEVICE_ATTR, 24 },
	{ VCPU, KVM_RUN, 0 }, { VCPU, KVM_RUN, 0 }, { VCPU, KVM_ARM_VCPU_INIT, sizeof(struct kvm_vcpu_init) },
	{ VCPU, KVM_GET_ONE_REG, 16 }, { VCPU, KVM_SET_ONE_REG, 16 }, { VCPU, KVM_SET_ONE_REG, 16 }, { VCPU, KVM_GET_REG_LIST, 4096 },
	{ VCPU, KVM_GET_MP_STATE, 4 }, { VCPU, KVM_SET_MP_STATE, 4 }, { VCPU, KVM_GET_VCPU_EVENTS, 64 }, { VCPU, KVM_SET_VCPU_EVENTS, 64 },
	{ VCPU, KVM_SET_DEVICE_ATTR, 24 }, { VCPU, KVM_SET_SIGNAL_MASK, 16 }, { VCPU, KVM_SET_GUEST_DEBUG, sizeof(struct kvm_guest_debug) },
};

static struct vm *shared;
static struct vcpu *vcpus[2];
static uint8_t *area;
static volatile unsigned int succeeded[2];

static uint64_t some_value(struct random *r)
{
	static const uint64_t values[] = {
		0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 27, 31, 32, 40, 64, 255, 0x1000, 0x2000, 0x10000, 0x08000000, 0x080a0000, 0x10000000,
		0x01000028, 0x0200001b, 0xffffffff, 1ull << 40, 1ull << 63, ~0ull,
		KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE, KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM64_SYSREG | 0xc080,
	};
	uint64_t value = values[below(r, sizeof(values) / sizeof(values[0]))];

	switch (below(r, 4)) {
	case 0:
		return next(r);
	case 1:
		return (uintptr_t)area + below(r, AREA_BYTES / 8) * 8;
	default:
		return below(r, 3) ? value : value + below(r, 80);
	}
}

/* What a VM may write must not be this program's memory. */
static void tame(unsigned long number, uint64_t *argument)
{
	struct kvm_userspace_memory_region *region = (void *)argument;

	if (number == KVM_SET_USER_MEMORY_REGION) {
		region->userspace_addr = (uintptr_t)area + region->userspace_addr % AREA_BYTES;
		region->memory_size %= AREA_BYTES;
	}
	if (number == KVM_GET_DIRTY_LOG)
		argument[1] = (uintptr_t)area;
	if (number == KVM_GET_ONE_REG)
		argument[1] = (uintptr_t)area + argument[1] % (AREA_BYTES - 64);
	if (number == KVM_GET_DEVICE_ATTR)
		argument[2] = (uintptr_t)area + argument[2] % (AREA_BYTES - 64);
	if (number == KVM_SET_SIGNAL_MASK)
		memset(argument, 0, 16);
}

static void *calls(void *arg)
{
	unsigned int me = (unsigned int)(uintptr_t)arg, i, k;
	struct random r = random_begin(me);
	uint64_t *argument = mmap(NULL, ARGUMENT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (i = 0; i < CALLS; i++) {
		unsigned int n = (unsigned int)below(&r, sizeof(numbers) / sizeof(numbers[0]));
		const int fds[] = { shared->fd, vcpus[below(&r, 2)]->fd, shared->gic, shared->sys };
		unsigned long number = numbers[n].number, value;
		int rc;

		for (k = 0; k < numbers[n].bytes / 8 + 1 && k < ARGUMENT_BYTES / 8; k++)
			argument[k] = below(&r, 4) ? some_value(&r) & (below(&r, 2) ? ~0ull : 0xff000000ff) : below(&r, 8);
		tame(number, argument);
		value = numbers[n].bytes && below(&r, 32) ? (unsigned long)argument : numbers[n].bytes ? 0x1000 : below(&r, 4);
		rc = ioctl(fds[below(&r, 64) ? (unsigned int)numbers[n].kind : below(&r, 4)], number, value);
		succeeded[me] += rc >= 0;
		if (rc >= 0 && (number == KVM_CREATE_VM || number == KVM_CREATE_VCPU))
			close(rc);
		if (rc >= 0 && number == KVM_CREATE_DEVICE && value == (unsigned long)argument)
			close((int)((struct kvm_create_device *)argument)->fd);
		if (!below(&r, 64))
			madvise(area + below(&r, AREA_BYTES / 4096) * 4096, 4096 * (1 + below(&r, 16)), MADV_DONTNEED);
	}
	return NULL;
}

TEST_LIMIT(ioctls, 300)
{
	struct random r = random_begin(9);
	pthread_t threads[2];
	unsigned int i, ended = 0;

	area = mmap(NULL, AREA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shared = vm_create();
	guest_fill(shared, &r);
	vcpus[0] = vcpu_create(shared, 0, 0);
	vcpus[1] = vcpu_create(shared, 1, 0);
	shared->gic = gic_try(shared);
	signal(SIGUSR1, nothing);
	for (i = 0; i < 2; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, calls, (void *)(uintptr_t)i), "pthread_create");
	/* Both out of KVM_RUN again and again: one may wait for a vCPU that the other runs. */
	while (ended != 3) {
		usleep(SLICE_US);
		for (i = 0; i < 2; i++) {
			if (ended & 1 << i)
				continue;
			pthread_kill(threads[i], SIGUSR1);
			if (!pthread_tryjoin_np(threads[i], NULL))
				ended |= 1 << i;
		}
	}
	printf("note: %u and %u of %u calls have succeeded\n", succeeded[0], succeeded[1], CALLS);
	EXPECT(succeeded[0] > CALLS / 50, "hardly a call succeeds");
}

/* ---- an ITS ---- */

#define ITS_BASE 0x08080000ull
#define ITS_ROUNDS 20000u
#define ITS_QUEUE 0x10000u		/* with its tables behind it, 64 KiB each, to 0x80000 */
#define ITS_COMMANDS 64u

static int its_fd;
static volatile int its_end;

static int attr_try(int fd, uint32_t group, uint64_t attr, uint64_t value)
{
	struct kvm_device_attr a = { .group = group, .attr = attr, .addr = (uintptr_t)&value };

	return ioctl_try(fd, KVM_SET_DEVICE_ATTR, &a);
}

/* Small numbers, so that one command may mean what another has mapped. */
static void its_fill(struct random *r)
{
	uint64_t word[4], entry;
	uint32_t i;

	for (i = 0; i < ITS_COMMANDS; i++) {
		word[0] = below(r, 17) | below(r, 4) << 32;
		word[1] = below(r, 24) | (8192 + below(r, 40)) << 32;
		word[2] = (next(r) & 1ull << 63) | below(r, 4) | below(r, 3) << 16;
		if ((word[0] & 0xff) == 8)
			word[2] = (word[2] & 1ull << 63) | (0x70000 + below(r, 0x200) * 0x100);
		word[3] = below(r, 3) << 16;
		if (!below(r, 10))
			word[below(r, 4)] = next(r);
		memcpy(shared->memory + ITS_QUEUE + i * 32, word, 32);
	}
	for (i = 0; i < 64; i++) {
		entry = (next(r) & 3ull << 62) | below(r, 3) << 49 | (0x70000 + below(r, 0x200) * 0x100) >> 8 << 5 | below(r, 8);
		memcpy(shared->memory + 0x20000 + below(r, 16) * 8, &entry, 8);
		entry = (next(r) & 1ull << 63) | below(r, 3) << 16 | below(r, 6);
		memcpy(shared->memory + 0x30000 + below(r, 16) * 8, &entry, 8);
		entry = below(r, 3) << 48 | (8192 + below(r, 40)) << 16 | below(r, 6);
		memcpy(shared->memory + 0x70000 + below(r, 64) * 8, &entry, 8);
		shared->memory[0x40000 + below(r, 64)] = (uint8_t)next(r);
		shared->memory[0x50000 + 1024 + below(r, 8)] = (uint8_t)next(r);
	}
}

/* All on, as a sound guest has it. */
static void its_sound(void)
{
	static const struct { uint32_t reg; uint64_t value; } regs[] = {
		{ 0x0, 0 }, { 0x80, 1ull << 63 | ITS_QUEUE }, { 0x100, 1ull << 63 | 0x20000 }, { 0x108, 1ull << 63 | 0x30000 }, { 0x0, 1 },
	};
	unsigned int i;

	for (i = 0; i < 2; i++) {
		attr_try(shared->gic, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, (uint64_t)i << 32 | 0x70, 0x4000f);
		attr_try(shared->gic, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, (uint64_t)i << 32 | 0x78, 0x50000);
		attr_try(shared->gic, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, (uint64_t)i << 32, 1);
	}
	for (i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
		attr_try(its_fd, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, regs[i].reg, regs[i].value);
}

static void its_step(struct random *r)
{
	static const uint32_t redist[] = { 0x0, 0x70, 0x74, 0x78, 0x7c, 0xa0, 0xb0 };
	uint64_t value = below(r, 8) ? 0 : next(r);
	uint32_t reg;

	switch (below(r, 8)) {
	case 0:
		attr_try(its_fd, KVM_DEV_ARM_VGIC_GRP_CTRL, below(r, 6), 0);
		return;
	case 1:
		attr_try(shared->gic, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, 0);
		return;
	case 2:
		reg = redist[below(r, sizeof(redist) / sizeof(redist[0]))];
		value |= reg == 0x70 ? 0x4000f : reg == 0x78 ? 0x50000 : below(r, 4) ? 1 : 8192 + below(r, 40);
		attr_try(shared->gic, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, below(r, 2) << 32 | reg, value);
		return;
	case 3:
		attr_try(its_fd, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, 0, below(r, 4) != 0);
		return;
	case 4:
		value &= ~0xffull;
		reg = 0x100 + 8 * (uint32_t)below(r, 3);
		attr_try(its_fd, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, reg, value | (below(r, 8) ? 1ull << 63 : 0) | 0x10000 * (reg / 8 - 30));
		return;
	case 5:
		attr_try(its_fd, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, 0x80, (value & ~0xffull) | (below(r, 8) ? 1ull << 63 : 0) | ITS_QUEUE);
		return;
	default:
		attr_try(its_fd, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, below(r, 8) ? 0x88 : 0x90, below(r, ITS_COMMANDS) * 32);
	}
}

/* Messages, and the vCPU that gets them. */
static void *its_messages(void *arg)
{
	struct random r = random_begin(21);

	(void)arg;
	while (!its_end) {
		struct kvm_msi msi = { .address_lo = ITS_BASE + 0x40, .data = (uint32_t)below(&r, 24), .flags = 1, .devid = (uint32_t)below(&r, 4) };

		succeeded[1] += ioctl_try(shared->fd, KVM_SIGNAL_MSI, &msi) >= 0;
		if (!below(&r, 16))
			run_try(vcpus[0]);
	}
	return NULL;
}

GUEST(its_guest, "mov x19, #0x10000000\nmov x10, #0x08000000\nmov w1, #2\nstr w1, [x10]\nmov x1, #0xf0\nmsr icc_pmr_el1, x1\n"
      "mov x1, #1\nmsr icc_igrpen1_el1, x1\nisb\n1: mrs x1, icc_iar1_el1\nmsr icc_eoir1_el1, x1\nstr x1, [x19]\nb 1b\n");
TEST_LIMIT(its, 300)
{
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_ARM_VGIC_ITS };
	struct random r = random_begin(20);
	pthread_t thread;
	unsigned int i;

	shared = vm_create();
	LOAD(shared, GUEST_CODE, its_guest);
	vcpus[0] = vcpu_create(shared, 0, 0);
	vcpus[1] = vcpu_create(shared, 1, 0);
	shared->gic = gic_try(shared);
	if (ioctl_try(shared->fd, KVM_CREATE_DEVICE, &device))
		test_skip("no ITS here");
	its_fd = (int)device.fd;
	REQUIRE(!attr_try(its_fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE, ITS_BASE), "the ITS's address");
	REQUIRE(!pthread_create(&thread, NULL, its_messages, NULL), "pthread_create");
	for (i = 0; i < ITS_ROUNDS; i++) {
		if (!(i % 16))
			its_fill(&r);
		if (!(i % 64))
			its_sound();
		its_step(&r);
	}
	its_end = 1;
	pthread_join(thread, NULL);
	printf("note: %u messages were taken\n", succeeded[1]);
}

/* After all that. */
GUEST(sound, "mov x19, #0x10000000\nmov x1, #77\nstr x1, [x19]\n");
TEST(sound)
{
	struct vm *vm = vm_create();

	LOAD(vm, GUEST_CODE, sound);
	EXPECT(expect_store(vcpu_create(vm, 0, 0), MMIO_BASE, 8) == 77, "a sound guest");
}

int main(int argc, char **argv)
{
	return test_main("arm64-fuzz", argc, argv);
}
