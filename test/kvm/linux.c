// SPDX-License-Identifier: BSD-2-Clause
/*
 * linux.c - usage: linux [TEST...]: boots the bzImage of this disk with
 * nothing but memory and machine.c's devices, and waits for the line with which
 * this repository's guests end: a Linux guest where QEMU would take minutes. Once
 * with interrupts by KVM_INTERRUPT, once with KVM's own controllers and timer.
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
#define MEMORY (96ull << 20)
#define TICK_NS 4000000
#define HEADER 0x1f1u
#define BOOTED "guest: Linux "
#define ENDED "guest: power-off"

static const char kernel_path[] = "/usr/lib/tenon/vmlinuz", initrd_path[] = "/usr/lib/tenon/initrd";
static struct kvm_run *running;
static int booted, ended, vm_fd;

#define ALONE "acpi=off nolapic noapic nohz=off highres=off tsc=reliable"

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

static void params_fill(struct vm *vm, const uint8_t *header, uint64_t initrd, size_t initrd_bytes, const char *words, int tsc_khz)
{
	uint8_t *params = vm->memory + BOOT_PARAMS;

	memcpy(params + HEADER, header, 0x11 + header[0x10]);
	snprintf((char *)vm->memory + COMMAND_LINE, 512, "console=ttyS0 quiet panic=-1 reboot=k pci=off cryptomgr.notests "
		 "tsc_early_khz=%d run=guest check=none end=reboot %s", tsc_khz, words);
	params[0x210] = 0xff;			/* a loader without a number */
	put(params, 0x218, initrd, 4);
	put(params, 0x21c, initrd_bytes, 4);
	put(params, 0x228, COMMAND_LINE, 4);
	memory_entry(params, 0, 0, 0x9f000);
	memory_entry(params, 1, 0x100000, vm->bytes - 0x100000);
}

/* ---- ACPI, as little as names one CPU and one I/O APIC (ACPI 6.4, 5.2.5 to 5.2.12) */

#define RSDP 0xe0000ull
#define XSDT (RSDP + 64)
#define MADT (RSDP + 128)
#define TABLE_HEADER 36u

static void checksum(uint8_t *from, size_t bytes, size_t at)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < bytes; i++)
		sum += from[i];
	from[at] = (uint8_t)(from[at] - sum);
}

static void table_put(uint8_t *table, const char *name, const void *body, size_t bytes)
{
	memcpy(table, name, 4);
	bytes_put(table + 4, 4, TABLE_HEADER + bytes);
	memcpy(table + TABLE_HEADER, body, bytes);
	checksum(table, TABLE_HEADER + bytes, 9);
}

static void acpi_tables(uint8_t *memory)
{
	static const uint8_t madt[] = {
		0, 0, 0xe0, 0xfe, 1, 0, 0, 0,			/* local APICs at 0xfee00000; there are PICs, too */
		0, 8, 0, 0, 1, 0, 0, 0,				/* one is CPU 0's */
		1, 12, 1, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0,	/* I/O APIC 1 at 0xfec00000; KVM's own routes: the timer is its line 0 */
	};
	const uint64_t tables[] = { MADT };
	uint8_t *rsdp = memory + RSDP;

	memcpy(rsdp, "RSD PTR ", 8);
	rsdp[15] = 2;
	bytes_put(rsdp + 20, 4, 36);
	bytes_put(rsdp + 24, 8, XSDT);
	checksum(rsdp, 20, 8);
	checksum(rsdp, 36, 32);
	table_put(memory + XSDT, "XSDT", tables, sizeof(tables));
	table_put(memory + MADT, "APIC", madt, sizeof(madt));
}

/* Everything in place, the vCPU at the kernel's 64-bit entry. */
static struct vcpu *load(const char *words, int irqchip)
{
	struct vm *vm = vm_create(MEMORY);
	struct kvm_pit_config pit = { 0 };
	struct vcpu *vcpu;
	uint64_t initrd = vm->bytes - (16 << 20);
	size_t setup, initrd_bytes;
	struct kvm_regs regs;
	uint8_t header[128];

	if (irqchip) {
		IOCTL(vm->fd, KVM_CREATE_IRQCHIP, 0);
		IOCTL(vm->fd, KVM_CREATE_PIT2, &pit);
		acpi_tables(vm->memory);
	}
	vm_fd = vm->fd;
	vcpu = vcpu_create(vm, 0);
	file_load(vm, kernel_path, KERNEL, 0);
	memcpy(header, vm->memory + KERNEL + HEADER, sizeof(header));
	REQUIRE(!memcmp(header + 0x11, "HdrS", 4) && header[0x45] & 1, "%s is no bzImage with a 64-bit entry", kernel_path);
	setup = (size_t)(header[0] + 1) * 512;
	file_load(vm, kernel_path, KERNEL, setup);
	initrd_bytes = file_load(vm, initrd_path, initrd, 0);
	cpuid_set(vcpu, cpuid_supported(vm->sys));
	vcpu_mode(vcpu, 64);
	params_fill(vm, header, initrd, initrd_bytes, words, ioctl_try(vcpu->fd, KVM_GET_TSC_KHZ, NULL));
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

static int step(struct vcpu *vcpu, int irqchip)
{
	struct kvm_run *run = vcpu->run;
	int result;

	if (!irqchip)
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

static void run(struct vcpu *vcpu, int irqchip)
{
	serial_line = line_seen;
	while (step(vcpu, irqchip))
		;
	REQUIRE(booted, "the guest has not come up");
	REQUIRE(ended, "the guest has not come to its end");
}

TEST_LIMIT(boots, 900)
{
	struct vcpu *vcpu = load(ALONE, 0);

	running = vcpu->run;
	ticks_start();
	run(vcpu, 0);
}

static void line_to_kvm(unsigned int line, int level)
{
	struct kvm_irq_level irq = { .irq = line, .level = (uint32_t)level };

	IOCTL(vm_fd, KVM_IRQ_LINE, &irq);
}

/* The timer is the local APIC's then: x2APIC, where Linux finds itself on KVM. */
TEST_LIMIT(boots_with_irqchip, 900)
{
	NEED(kvm_open(), KVM_CAP_IRQCHIP);
	serial_interrupt = line_to_kvm;
	run(load("", 1), 1);
}

int main(int argc, char **argv)
{
	return test_main("linux", argc, argv);
}
