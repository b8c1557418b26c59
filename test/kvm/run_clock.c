// SPDX-License-Identifier: BSD-2-Clause
/*
 * run_clock.c - KVM's paravirtual clock: the registers, what a guest reads, and
 * KVM_GET_CLOCK, KVM_SET_CLOCK and KVM_KVMCLOCK_CTRL beside it.
 *
 * Nothing here waits for a time to pass: the guest's clock must lie between two
 * readings of the VMM's. See: Documentation/virt/kvm/x86/msr.rst in Linux.
 */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define MSR_TSC 0x10
#define MSR_WALL_OLD 0x11
#define MSR_SYSTEM_OLD 0x12
#define MSR_WALL 0x4b564d00
#define MSR_SYSTEM 0x4b564d01
#define SLACK 1000000ll		/* ns: a machine without a TSC that Linux trusts */
#define SECOND 1000000000ll
#define STOPPED 2

struct time_info {
	uint32_t version, pad;
	uint64_t tsc, ns;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad2[2];
};

struct wall_clock {
	uint32_t version, sec, nsec;
};

/* The guest's clock at a value of its TSC. */
static int64_t page_time(const struct time_info *t, uint64_t tsc)
{
	uint64_t delta = tsc - t->tsc;

	delta = t->shift < 0 ? delta >> -t->shift : delta << t->shift;
	return t->ns + (uint64_t)((unsigned __int128)delta * t->mul >> 32);
}

static int64_t vmm_time(struct vcpu *vcpu)
{
	struct kvm_clock_data data;

	memset(&data, 0xff, sizeof(data));
	IOCTL(vcpu->vm->fd, KVM_GET_CLOCK, &data);
	return data.clock;
}

/* The page must be whole, and its time what the VMM's clock says. */
static struct time_info page_check(struct vcpu *vcpu, uint64_t gpa, const char *what)
{
	int64_t before, after, now;
	struct time_info t;
	uint64_t tsc;

	memcpy(&t, vcpu->vm->memory + gpa, sizeof(t));
	REQUIRE(t.version && !(t.version & 1), "%s: version %u", what, t.version);
	EXPECT(t.mul >> 31 && !t.pad && !t.pad2[0] && !t.pad2[1], "%s: mul %#x, or padding", what, t.mul);
	before = vmm_time(vcpu);
	REQUIRE(msr_get(vcpu, MSR_TSC, &tsc), "%s: no TSC", what);
	after = vmm_time(vcpu);
	now = page_time(&t, tsc);
	EXPECT(now >= before - SLACK && now <= after + SLACK, "%s: %ld is not between %ld and %ld", what, now, before, after);
	return t;
}

GUEST(clock_on, 64, "mov $0x9001, %eax\n xor %edx, %edx\n mov $0x4b564d01, %ecx\n wrmsr\n rdmsr\n out %eax, $0xe0\n"
      "1: mov $1, %eax\n out %eax, $0xe0\n jmp 1b\n");
TEST(kvmclock)
{
	struct vcpu *vcpu = GUEST_CREATE(clock_on, 64);
	struct kvm_clock_data set = { .clock = 5 * SECOND };
	struct time_info first, second;
	uint64_t value;
	int64_t now;

	NEED(vcpu->vm->fd, KVM_CAP_CLOCKSOURCE);
	guest_expect(vcpu, 0x9001, "reads as written");
	guest_expect(vcpu, 1, "goes on");
	first = page_check(vcpu, 0x9000, "set by the guest");
	EXPECT(!(first.flags & STOPPED), "flags %#x", first.flags);
	REQUIRE(msr_get(vcpu, MSR_SYSTEM_OLD, &value) && value == 0x9001, "the old number reads %#lx", value);
	/* The VM's clock is set: the page follows at the next entry. */
	IOCTL(vcpu->vm->fd, KVM_SET_CLOCK, &set);
	guest_expect(vcpu, 1, "goes on");
	second = page_check(vcpu, 0x9000, "KVM_SET_CLOCK");
	EXPECT(second.version > first.version, "version %u, then %u", first.version, second.version);
	now = vmm_time(vcpu);
	EXPECT(now >= 5 * SECOND && now < 500 * SECOND, "set to 5 s, and now %ld", now);
	/* Another place, from the VMM; then off: nothing is written any more. */
	REQUIRE(msr_set(vcpu, MSR_SYSTEM, 0xa041), "another place");
	guest_expect(vcpu, 1, "goes on");
	page_check(vcpu, 0xa040, "set by the VMM");
	REQUIRE(msr_set(vcpu, MSR_SYSTEM, 0), "off");
	memset(vcpu->vm->memory + 0xa000, 0, 4096);
	IOCTL(vcpu->vm->fd, KVM_SET_CLOCK, &set);
	guest_expect(vcpu, 1, "goes on");
	EXPECT(!vcpu->vm->memory[0xa040], "written after it was switched off");
}

/* Addresses without memory, and across a page: accepted, and never written. */
TEST(kvmclock_nowhere)
{
	struct vcpu *vcpu = GUEST_CREATE(clock_on, 64);

	NEED(vcpu->vm->fd, KVM_CAP_CLOCKSOURCE);
	guest_expect(vcpu, 0x9001, "on");
	EXPECT(msr_set(vcpu, MSR_SYSTEM, 0x10000001), "no memory");
	guest_expect(vcpu, 1, "goes on");
	EXPECT(msr_set(vcpu, MSR_WALL, 0x10000000), "no memory for the wall clock");
	EXPECT(msr_set(vcpu, MSR_SYSTEM, ~0ull), "past all addresses");
	guest_expect(vcpu, 1, "goes on");
}

TEST(kvmclock_stopped)
{
	struct vcpu *vcpu = GUEST_CREATE(clock_on, 64);
	struct time_info t;

	NEED(vcpu->vm->fd, KVM_CAP_KVMCLOCK_CTRL);
	EXPECT(ioctl_try(vcpu->fd, KVM_KVMCLOCK_CTRL, NULL) == -22, "accepted without a clock");
	guest_expect(vcpu, 0x9001, "on");
	guest_expect(vcpu, 1, "goes on");
	IOCTL(vcpu->fd, KVM_KVMCLOCK_CTRL, 0);
	guest_expect(vcpu, 1, "goes on");
	t = page_check(vcpu, 0x9000, "stopped");
	EXPECT(t.flags & STOPPED, "flags %#x", t.flags);
}

GUEST(wall_on, 64, "mov $0x9000, %eax\n xor %edx, %edx\n mov $0x4b564d00, %ecx\n wrmsr\n"
      "mov $0xa001, %eax\n mov $0x4b564d01, %ecx\n wrmsr\n 1: mov $1, %eax\n out %eax, $0xe0\n jmp 1b\n");
TEST(kvmclock_wall)
{
	struct vcpu *vcpu = GUEST_CREATE(wall_on, 64);
	struct wall_clock wall;
	int64_t guest;

	NEED(vcpu->vm->fd, KVM_CAP_CLOCKSOURCE);
	guest_expect(vcpu, 1, "on");
	memcpy(&wall, vcpu->vm->memory + 0x9000, sizeof(wall));
	EXPECT(wall.version && !(wall.version & 1), "version %u", wall.version);
	EXPECT(wall.nsec < SECOND, "%u ns", wall.nsec);
	guest = wall.sec * SECOND + wall.nsec + vmm_time(vcpu);
	EXPECT(guest / SECOND - time(NULL) < 100 && time(NULL) - guest / SECOND < 100, "the guest's date is %lld s, ours %ld",
	       guest / SECOND, (long)time(NULL));
}

/* One clock for all vCPUs of a VM. */
TEST(kvmclock_two)
{
	struct vcpu *one = GUEST_CREATE(clock_on, 64), *two;
	struct time_info a, b;

	NEED(one->vm->fd, KVM_CAP_CLOCKSOURCE);
	two = vcpu_create(one->vm, 1);
	cpuid_set(two, cpuid_supported(one->vm->sys));
	vcpu_mode(two, 64);
	guest_expect(one, 0x9001, "on");
	guest_expect(one, 1, "goes on");
	a = page_check(one, 0x9000, "first");
	guest_expect(two, 0x9001, "on");
	guest_expect(two, 1, "goes on");
	b = page_check(two, 0x9000, "second");
	EXPECT(a.mul == b.mul && a.shift == b.shift, "two rates");
}

/* ---- a TSC of another rate ---- */

GUEST(counting, 64, "1: rdtsc\n shl $32, %rdx\n or %rdx, %rax\n mov %rax, %rbx\n out %eax, $0xe0\n jmp 1b\n");

struct reading {
	uint64_t before, tsc, after;	/* the machine's own counts around it */
};

/* As the VMM sees the guest's TSC, and as the guest does. */
static struct reading tsc_read(struct vcpu *vcpu, int by_guest)
{
	struct reading r = { .before = __builtin_ia32_rdtsc() };
	struct kvm_regs regs;

	if (by_guest) {
		guest_report(vcpu);
		regs_get(vcpu, &regs);
		r.tsc = regs.rbx;
	} else {
		REQUIRE(msr_get(vcpu, MSR_TSC, &r.tsc), "no TSC");
	}
	r.after = __builtin_ia32_rdtsc();
	return r;
}

static void rate_check(struct vcpu *vcpu, uint64_t times, uint64_t by, const char *what)
{
	for (int by_guest = 0; by_guest < 2; by_guest++) {
		struct reading a = tsc_read(vcpu, by_guest), b;
		uint64_t least, most;

		usleep(20000);
		b = tsc_read(vcpu, by_guest);
		least = (b.before - a.after) * times / by;
		most = (b.after - a.before) * times / by;
		EXPECT(b.tsc - a.tsc + 2 >= least && b.tsc - a.tsc <= most + 2, "%s, %s: %lu is not between %lu and %lu", what,
		       by_guest ? "RDTSC" : "KVM_GET_MSRS", b.tsc - a.tsc, least, most);
	}
}

TEST(tsc_scaled)
{
	struct vcpu *vcpu = GUEST_CREATE(counting, 64);
	uint64_t own, start;

	NEED(vcpu->vm->sys, KVM_CAP_TSC_CONTROL);
	own = IOCTL(vcpu->fd, KVM_GET_TSC_KHZ, 0);
	rate_check(vcpu, 1, 1, "its own rate");
	IOCTL(vcpu->fd, KVM_SET_TSC_KHZ, own * 2);
	EXPECT((uint64_t)IOCTL(vcpu->fd, KVM_GET_TSC_KHZ, 0) == own * 2, "not as set");
	rate_check(vcpu, 2, 1, "twice as fast");
	IOCTL(vcpu->fd, KVM_SET_TSC_KHZ, own / 4);
	rate_check(vcpu, own / 4, own, "a fourth");
	REQUIRE(msr_set(vcpu, MSR_TSC, 1000), "KVM_SET_MSRS");
	REQUIRE(msr_get(vcpu, MSR_TSC, &start) && start >= 1000 && start < 1000 + own * 10000, "set to 1000, reads %lu", start);
	rate_check(vcpu, own / 4, own, "a fourth, from 1000");
	EXPECT(ioctl_try(vcpu->fd, KVM_SET_TSC_KHZ, (void *)0x7ffffffful) == -22, "too fast");
	EXPECT(ioctl_try(vcpu->fd, KVM_SET_TSC_KHZ, (void *)0xfffffffful) == -22, "much too fast");
	EXPECT((uint64_t)IOCTL(vcpu->fd, KVM_GET_TSC_KHZ, 0) == own / 4, "not as it was");
	IOCTL(vcpu->fd, KVM_SET_TSC_KHZ, 0);
	EXPECT((uint64_t)IOCTL(vcpu->fd, KVM_GET_TSC_KHZ, 0) == own, "0 is not its own rate");
	rate_check(vcpu, 1, 1, "its own rate again");
}

TEST(tsc_scaled_clock)
{
	struct vcpu *vcpu = GUEST_CREATE(clock_on, 64);

	NEED(vcpu->vm->sys, KVM_CAP_TSC_CONTROL);
	IOCTL(vcpu->fd, KVM_SET_TSC_KHZ, IOCTL(vcpu->fd, KVM_GET_TSC_KHZ, 0) * 3l);
	guest_expect(vcpu, 0x9001, "reads as written");
	guest_expect(vcpu, 1, "goes on");
	page_check(vcpu, 0x9000, "three times as fast");
	usleep(50000);
	page_check(vcpu, 0x9000, "later");
}

/* The VM's rate is that of vCPUs made from then on. */
TEST(tsc_scaled_vm)
{
	struct vm *vm = vm_create(GUEST_MEMORY);
	struct vcpu *one, *two;
	uint64_t own, tsc;

	NEED(vm->fd, KVM_CAP_VM_TSC_CONTROL);
	own = IOCTL(vm->fd, KVM_GET_TSC_KHZ, 0);
	EXPECT(ioctl_try(vm->fd, KVM_SET_TSC_KHZ, (void *)0x7ffffffful) == -22, "too fast");
	IOCTL(vm->fd, KVM_SET_TSC_KHZ, own * 5);
	one = vcpu_create(vm, 0);
	EXPECT((uint64_t)IOCTL(one->fd, KVM_GET_TSC_KHZ, 0) == own * 5, "the vCPU's rate");
	REQUIRE(msr_get(one, MSR_TSC, &tsc) && tsc < own * 5 * 100000, "a new vCPU's TSC is %lu", tsc);
	IOCTL(vm->fd, KVM_SET_TSC_KHZ, 0);
	two = vcpu_create(vm, 1);
	EXPECT((uint64_t)IOCTL(two->fd, KVM_GET_TSC_KHZ, 0) == own, "the second vCPU's rate");
	EXPECT((uint64_t)IOCTL(one->fd, KVM_GET_TSC_KHZ, 0) == own * 5, "the first vCPU's rate");
}
