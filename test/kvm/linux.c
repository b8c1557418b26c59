// SPDX-License-Identifier: BSD-2-Clause
/*
 * linux.c - usage: linux [VMLINUZ [INITRD [MEGABYTES]]]: boots a bzImage with
 * nothing but memory and machine.c's devices, and waits for the line with which
 * this repository's guests end. Interrupts go in by KVM_INTERRUPT, so KVM needs
 * no irqchip: a Linux guest where QEMU would take minutes.
 *
 * See: Documentation/arch/x86/boot.rst in Linux (64-bit boot protocol).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"
#include "test.h"
#include "vmm.h"

#define BOOT_PARAMS 0x20000ull
#define COMMAND_LINE 0x30000ull
#define KERNEL 0x1000000ull
#define TICK_NS 4000000
#define HEADER 0x1f1u
#define BOOTED "guest: Linux "
#define ENDED "guest: power-off"

static const char *kernel_path = "/usr/lib/tenon/vmlinuz", *initrd_path = "/usr/lib/tenon/initrd";
static uint64_t megabytes = 96;
static struct kvm_run *running;
static int booted, ended;

static void line_seen(const char *line)
{
	printf("| %s\n", line);
	fflush(stdout);
	booted |= !strncmp(line, BOOTED, strlen(BOOTED));
	ended |= !strncmp(line, ENDED, strlen(ENDED));
}

/* ---- the loader */

static size_t file_load(struct vm *vm, const char *path, uint64_t gpa, size_t skip)
{
	int fd = open(path, O_RDONLY);
	struct stat info;
	size_t bytes;

	REQUIRE(fd >= 0 && !fstat(fd, &info), "%s: %s", path, strerror(errno));
	bytes = (size_t)info.st_size - skip;
	REQUIRE(gpa + bytes <= vm->bytes, "%s does not fit", path);
	for (size_t done = 0; done < bytes;) {
		ssize_t got = pread(fd, vm->memory + gpa + done, bytes - done, (off_t)(skip + done));

		REQUIRE(got > 0, "%s: %s", path, strerror(errno));
		done += (size_t)got;
	}
	close(fd);
	return bytes;
}

static void put(uint8_t *params, unsigned int at, uint64_t value, unsigned int size)
{
	bytes_put(params + at, size, value);
}

static void memory_entry(uint8_t *params, unsigned int index, uint64_t base, uint64_t size)
{
	unsigned int at = 0x2d0 + 20 * index;

	put(params, at, base, 8);
	put(params, at + 8, size, 8);
	put(params, at + 16, 1, 4);
	params[0x1e8] = (uint8_t)(index + 1);
}

static void params_fill(struct vm *vm, const uint8_t *header, uint64_t initrd, size_t initrd_bytes, int tsc_khz)
{
	uint8_t *params = vm->memory + BOOT_PARAMS;

	memcpy(params + HEADER, header, 0x11 + header[0x10]);
	snprintf((char *)vm->memory + COMMAND_LINE, 512, "console=ttyS0 quiet panic=-1 reboot=k acpi=off pci=off nolapic noapic nohz=off "
		 "highres=off cryptomgr.notests tsc=reliable tsc_early_khz=%d run=guest check=none end=reboot", tsc_khz);
	params[0x210] = 0xff;			/* a loader without a number */
	put(params, 0x218, initrd, 4);
	put(params, 0x21c, initrd_bytes, 4);
	put(params, 0x228, COMMAND_LINE, 4);
	memory_entry(params, 0, 0, 0x9f000);
	memory_entry(params, 1, 0x100000, vm->bytes - 0x100000);
}

/* Everything in place, the vCPU at the kernel's 64-bit entry. */
static struct vcpu *load(void)
{
	struct vm *vm = vm_create(megabytes << 20);
	struct vcpu *vcpu = vcpu_create(vm, 0);
	uint64_t initrd = vm->bytes - (16 << 20);
	size_t setup, initrd_bytes;
	struct kvm_regs regs;
	uint8_t header[128];

	file_load(vm, kernel_path, KERNEL, 0);
	memcpy(header, vm->memory + KERNEL + HEADER, sizeof(header));
	REQUIRE(!memcmp(header + 0x11, "HdrS", 4) && header[0x45] & 1, "%s is no bzImage with a 64-bit entry", kernel_path);
	setup = (size_t)(header[0] + 1) * 512;
	file_load(vm, kernel_path, KERNEL, setup);
	initrd_bytes = file_load(vm, initrd_path, initrd, 0);
	cpuid_set(vcpu, cpuid_supported(vm->sys));
	vcpu_mode(vcpu, 64);
	params_fill(vm, header, initrd, initrd_bytes, ioctl_try(vcpu->fd, KVM_GET_TSC_KHZ, NULL));
	regs_get(vcpu, &regs);
	regs.rip = KERNEL + 0x200;
	regs.rsi = BOOT_PARAMS;
	regs_set(vcpu, &regs);
	return vcpu;
}

/* ---- the run */

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Ends the guest, or keeps it from being entered: no tick is lost between the look at the clock and KVM_RUN. */
static void on_tick(int signal)
{
	(void)signal;
	running->immediate_exit = 1;
}

static void ticks_start(void)
{
	struct itimerspec every = { { 0, TICK_NS }, { 0, TICK_NS } };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	timer_t timer;

	signal(SIGUSR1, on_tick);
	REQUIRE(!timer_create(CLOCK_MONOTONIC, &event, &timer) && !timer_settime(timer, 0, &every, NULL), "no timer");
}

static void interrupt_give(struct vcpu *vcpu)
{
	struct kvm_interrupt interrupt;

	vcpu->run->immediate_exit = 0;
	timer_advance(now());
	if (interrupt_pending() && vcpu->run->ready_for_interrupt_injection) {
		interrupt.irq = interrupt_take();
		IOCTL(vcpu->fd, KVM_INTERRUPT, &interrupt);
	}
	vcpu->run->request_interrupt_window = (uint8_t)interrupt_pending();
}

static void port_exit(struct kvm_run *run)
{
	uint8_t *data = io_data(run);

	for (unsigned int i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			port_write(run->io.port, (uint32_t)bytes_get(data, run->io.size));
		else
			bytes_put(data, run->io.size, port_read(run->io.port));
	}
}

/* Waits for what ends a HLT: the next tick. */
static void halt_exit(struct kvm_run *run)
{
	while (!interrupt_pending() && !run->immediate_exit) {
		usleep(TICK_NS / 1000);
		timer_advance(now());
	}
}

static int step(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	int result;

	interrupt_give(vcpu);
	result = run_try(vcpu);
	REQUIRE(!result || result == -EINTR, "KVM_RUN: %s", strerror(-result));
	if (result)
		return !reset_wanted;
	switch (run->exit_reason) {
	case KVM_EXIT_IO: port_exit(run); break;
	case KVM_EXIT_HLT: halt_exit(run); break;
	case KVM_EXIT_MMIO: memset(run->mmio.data, 0xff, 8); break;	/* nothing is there */
	case KVM_EXIT_IRQ_WINDOW_OPEN: case KVM_EXIT_INTR: break;
	case KVM_EXIT_SHUTDOWN: return 0;
	default: test_fail("exit %s", exit_name(run->exit_reason));
	}
	return !reset_wanted;
}

TEST_LIMIT(boots, 600)
{
	struct vcpu *vcpu = load();

	serial_line = line_seen;
	running = vcpu->run;
	ticks_start();
	while (step(vcpu))
		;
	REQUIRE(booted, "the guest has not come up");
	REQUIRE(ended, "the guest has not come to its end");
}

int main(int argc, char **argv)
{
	kernel_path = argc > 1 ? argv[1] : kernel_path;
	initrd_path = argc > 2 ? argv[2] : initrd_path;
	megabytes = test_argument(argc, argv, 3, megabytes);
	return test_main("linux", 1, argv);
}
