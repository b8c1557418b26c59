// SPDX-License-Identifier: BSD-2-Clause
/*
 * lapic.c - the program `lapic`: local APICs in the kernel. Here their ioctls, run
 * states, and several of them; what one looks like to its guest is in lapic_guest.c.
 *
 * See: Documentation/virt/kvm/api.rst in Linux.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lapic.h"

#define BSP_STACK GUEST_STACK
#define AP_STACK (GUEST_STACK - 0x1000)
#define SIPI_VECTOR 9
#define SIPI_CODE (SIPI_VECTOR << 12)

uint32_t mp_state(struct vcpu *vcpu)
{
	struct kvm_mp_state state = { 0 };

	IOCTL(vcpu->fd, KVM_GET_MP_STATE, &state);
	return state.mp_state;
}

void mp_state_set(struct vcpu *vcpu, uint32_t value)
{
	struct kvm_mp_state state = { value };

	IOCTL(vcpu->fd, KVM_SET_MP_STATE, &state);
}

struct kvm_lapic_state lapic_get(struct vcpu *vcpu)
{
	struct kvm_lapic_state state = { 0 };

	IOCTL(vcpu->fd, KVM_GET_LAPIC, &state);
	return state;
}

uint32_t lapic_reg(struct vcpu *vcpu, uint32_t offset)
{
	struct kvm_lapic_state state = lapic_get(vcpu);

	return bytes_get(state.regs + offset, 4);
}

/* ---- without one */

TEST(none)
{
	struct scene scene = scene_create();
	static const struct kvm_lapic_state state;
	const struct call rows[] = {
		{ "KVM_GET_LAPIC", ON_VCPU, KVM_GET_LAPIC, &state, sizeof(state), 0, -EINVAL },
		{ "KVM_SET_LAPIC", ON_VCPU, KVM_SET_LAPIC, &state, sizeof(state), 0, -EINVAL },
		CALL(ON_VCPU, KVM_SET_VAPIC_ADDR, -EINVAL, "no LAPIC", struct kvm_vapic_addr, .vapic_addr = 0),
		CALL(ON_VCPU, KVM_SET_MP_STATE, 0, "runnable", struct kvm_mp_state, KVM_MP_STATE_RUNNABLE),
		CALL(ON_VCPU, KVM_SET_MP_STATE, -EINVAL, "halted", struct kvm_mp_state, KVM_MP_STATE_HALTED),
		CALL(ON_VCPU, KVM_SET_MP_STATE, -EINVAL, "uninitialized", struct kvm_mp_state, KVM_MP_STATE_UNINITIALIZED),
		CALL(ON_VCPU, KVM_INTERRUPT, -EINVAL, "vector 256", struct kvm_interrupt, 256),
		CALL(ON_VM, KVM_ENABLE_CAP, -EEXIST, "split after a vCPU", struct kvm_enable_cap, .cap = KVM_CAP_SPLIT_IRQCHIP,
			.args = { 24 }),
		NUMBER(ON_VM, KVM_CREATE_IRQCHIP, -EINVAL, "after a vCPU", 0),
		NUMBER(ON_VM, KVM_SET_BOOT_CPU_ID, -EBUSY, "after a vCPU", 1),
	};

	PLAY(&scene, rows);
	EXPECT(mp_state(scene.vcpu) == KVM_MP_STATE_RUNNABLE, "state %u", mp_state(scene.vcpu));
}

/* ---- ioctls */

TEST(bad_inputs)
{
	struct vm *vm = lapic_vm(0);
	struct scene scene = { vm, lapic_vcpu(vm, 0) };
	const struct call rows[] = {
		CALL(ON_VM, KVM_ENABLE_CAP, -EEXIST, "split after the other", struct kvm_enable_cap, .cap = KVM_CAP_SPLIT_IRQCHIP),
		CALL(ON_VM, KVM_ENABLE_CAP, -EINVAL, "X2APIC_API bit 2", struct kvm_enable_cap, .cap = KVM_CAP_X2APIC_API,
			.args = { 4 }),
		CALL(ON_VM, KVM_ENABLE_CAP, -EINVAL, "X2APIC_API flags", struct kvm_enable_cap, .cap = KVM_CAP_X2APIC_API,
			.flags = 1),
		NUMBER(ON_VM, KVM_CREATE_IRQCHIP, -EEXIST, "again", 0),
		BAD_POINTER(ON_VCPU, KVM_GET_LAPIC), BAD_POINTER(ON_VCPU, KVM_SET_LAPIC), BAD_POINTER(ON_VCPU, KVM_GET_MP_STATE),
		BAD_POINTER(ON_VCPU, KVM_SET_MP_STATE), BAD_POINTER(ON_VCPU, KVM_INTERRUPT),
		BAD_POINTER(ON_VCPU, KVM_SET_VAPIC_ADDR), BAD_POINTER(ON_VCPU, KVM_TPR_ACCESS_REPORTING),
		CALL(ON_VCPU, KVM_INTERRUPT, -ENXIO, "with a PIC", struct kvm_interrupt, 32),
		CALL(ON_VCPU, KVM_INTERRUPT, -EINVAL, "vector 256", struct kvm_interrupt, 256),
		CALL(ON_VCPU, KVM_SET_MP_STATE, -EINVAL, "5", struct kvm_mp_state, 5),
		CALL(ON_VCPU, KVM_SET_MP_STATE, -EINVAL, "8", struct kvm_mp_state, 8),
		CALL(ON_VCPU, KVM_SET_MP_STATE, -EINVAL, "10", struct kvm_mp_state, 10),
		CALL(ON_VCPU, KVM_SET_VAPIC_ADDR, -EINVAL, "no memory", struct kvm_vapic_addr, .vapic_addr = 0x10000000),
		CALL(ON_VCPU, KVM_SET_VAPIC_ADDR, 0, "off", struct kvm_vapic_addr, .vapic_addr = 0),
		CALL(ON_VCPU, KVM_TPR_ACCESS_REPORTING, -EINVAL, "flags", struct kvm_tpr_access_ctl, .flags = 1),
		CALL(ON_VCPU, KVM_TPR_ACCESS_REPORTING, 0, "off", struct kvm_tpr_access_ctl, .enabled = 0),
		NUMBER(ON_VM, KVM_SET_BOOT_CPU_ID, -EBUSY, "late", 1),
	};

	PLAY(&scene, rows);
}

TEST(split_inputs)
{
	struct vm *vm = vm_create(GUEST_MEMORY);
	struct scene scene = { vm, NULL };
	const struct call before[] = {
		CALL(ON_VM, KVM_ENABLE_CAP, -EINVAL, "4097 pins", struct kvm_enable_cap, .cap = KVM_CAP_SPLIT_IRQCHIP,
			.args = { 4097 }),
		CALL(ON_VM, KVM_ENABLE_CAP, 0, "24 pins", struct kvm_enable_cap, .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 }),
		CALL(ON_VM, KVM_ENABLE_CAP, -EEXIST, "again", struct kvm_enable_cap, .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 }),
		NUMBER(ON_VM, KVM_CREATE_IRQCHIP, -EEXIST, "after split", 0),
		CALL(ON_VM, KVM_GET_IRQCHIP, -ENXIO, "none", struct kvm_irqchip, .chip_id = 0),
	}, after[] = {
		CALL(ON_VCPU, KVM_INTERRUPT, 0, "first", struct kvm_interrupt, 32),
		CALL(ON_VCPU, KVM_INTERRUPT, -EEXIST, "second", struct kvm_interrupt, 33),
	};

	NEED(vm->fd, KVM_CAP_SPLIT_IRQCHIP);
	PLAY(&scene, before);
	scene.vcpu = lapic_vcpu(vm, 0);
	PLAY(&scene, after);
}

TEST(state_round_trip)
{
	struct vcpu *from = lapic_vcpu(lapic_vm(0), 0), *to = lapic_vcpu(lapic_vm(0), 0);
	struct kvm_lapic_state state, again;
	struct kvm_sregs sregs;

	ACTS(from, TO_X2, WR(0x83f, 0x61), WR(0x83f, 0x72), TAKE(0x72), WR(0x808, 0x50));
	state = lapic_get(from);
	IOCTL(from->fd, KVM_GET_SREGS, &sregs);
	EXPECT(sregs.cr8 == 5 && sregs.apic_base == 0xfee00d00, "cr8 %llu base %#llx", sregs.cr8, sregs.apic_base);
	IOCTL(to->fd, KVM_SET_SREGS, &sregs);
	IOCTL(to->fd, KVM_SET_LAPIC, &state);
	again = lapic_get(to);
	/* PPR follows from TPR and ISR; KVM may show the last one that it needed. */
	for (unsigned int i = 0; i < sizeof(state.regs); i += 4)
		EXPECT(i == 0xa0 || !memcmp(state.regs + i, again.regs + i, 4), "offset %#x: %#lx, then %#lx", i,
			bytes_get(state.regs + i, 4), bytes_get(again.regs + i, 4));
	ACTS(to, CR8_IS(5), RD(0x813, 0x40000), NOTHING, EOI_X2, TAKE(0x61), EOI_X2, NOTHING);
}

TEST(x2_format)
{
	struct vm *vm = lapic_vm(0);
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X2APIC_API, .args = { KVM_X2APIC_API_USE_32BIT_IDS } };
	struct kvm_lapic_state state = { 0 };
	struct vcpu *vcpu;

	NEED(vm->fd, KVM_CAP_X2APIC_API);
	vcpu = lapic_vcpu(vm, 3);
	mp_state_set(vcpu, KVM_MP_STATE_RUNNABLE);
	EXPECT(lapic_reg(vcpu, 0x20) == 3u << 24, "xAPIC ID %#x", lapic_reg(vcpu, 0x20));
	ACTS(vcpu, WR(0x1b, 0xfee00c00));
	EXPECT(lapic_reg(vcpu, 0x20) == 3u << 24, "old form %#x", lapic_reg(vcpu, 0x20));
	IOCTL(vm->fd, KVM_ENABLE_CAP, &cap);
	EXPECT(lapic_reg(vcpu, 0x20) == 3, "new form %#x", lapic_reg(vcpu, 0x20));
	state = lapic_get(vcpu);
	bytes_put(state.regs + 0x20, 4, 4);
	EXPECT(ioctl_try(vcpu->fd, KVM_SET_LAPIC, &state) == -EINVAL, "another ID is taken");
	bytes_put(state.regs + 0x20, 4, 3);
	EXPECT(ioctl_try(vcpu->fd, KVM_SET_LAPIC, &state) == 0, "its own is not");
}

/* ---- run states */

TEST(mp_states)
{
	static const uint32_t states[] = { KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_UNINITIALIZED, KVM_MP_STATE_INIT_RECEIVED,
		KVM_MP_STATE_HALTED, KVM_MP_STATE_AP_RESET_HOLD };
	struct vm *vm = lapic_vm(0);
	struct vcpu *bsp = lapic_vcpu(vm, 0), *ap = lapic_vcpu(vm, 1);

	EXPECT(mp_state(bsp) == KVM_MP_STATE_RUNNABLE, "BSP %u", mp_state(bsp));
	EXPECT(mp_state(ap) == KVM_MP_STATE_UNINITIALIZED, "AP %u", mp_state(ap));
	for (unsigned int i = 0; i < 5; i++) {
		mp_state_set(ap, states[i]);
		EXPECT(mp_state(ap) == states[i], "state %u reads %u", states[i], mp_state(ap));
	}
	mp_state_set(ap, KVM_MP_STATE_SIPI_RECEIVED);
	EXPECT(mp_state(ap) == KVM_MP_STATE_RUNNABLE, "a SIPI that was received: %u", mp_state(ap));
	mp_state_set(ap, KVM_MP_STATE_UNINITIALIZED);
	ap->run->immediate_exit = 1;
	EXPECT(run_try(ap) == -EINTR, "immediate exit");
}

TEST(boot_cpu_id)
{
	struct vm *vm = lapic_vm(0);
	struct vcpu *zero, *one;

	NEED(vm->fd, KVM_CAP_SET_BOOT_CPU_ID);
	IOCTL(vm->fd, KVM_SET_BOOT_CPU_ID, 1);
	zero = lapic_vcpu(vm, 0);
	one = lapic_vcpu(vm, 1);
	EXPECT(mp_state(zero) == KVM_MP_STATE_UNINITIALIZED, "vCPU 0: %u", mp_state(zero));
	EXPECT(mp_state(one) == KVM_MP_STATE_RUNNABLE, "vCPU 1: %u", mp_state(one));
	ACTS(one, RD(0x1b, 0xfee00900));
}

/* A halted vCPU that another ioctl makes runnable goes on behind its HLT. */
TEST(halted_by_the_vmm)
{
	struct vcpu *vcpu = lapic_vcpu(lapic_vm(0), 0);

	ACTS(vcpu, ON, ST(0x300, 0x44055));
	mp_state_set(vcpu, KVM_MP_STATE_HALTED);
	IOCTL(vcpu->fd, KVM_NMI, 0);
	ACTS(vcpu, HALT(0x5502), EOI);
	EXPECT(mp_state(vcpu) == KVM_MP_STATE_RUNNABLE, "state %u", mp_state(vcpu));
}

/* ---- two of them */

GUEST(ap_halts, 64, "1: sti\n hlt\n jmp 1b\n");

/* A second vCPU, in long mode, that halts for ever in a thread. */
static struct runner *second(struct vm *vm, struct vcpu **ap)
{
	struct kvm_regs regs = { .rip = GUEST_FREE + 0x10000, .rflags = 2, .rsp = AP_STACK };

	*ap = lapic_vcpu(vm, 1);
	LOAD(vm, GUEST_FREE + 0x10000, ap_halts);
	mp_state_set(*ap, KVM_MP_STATE_RUNNABLE);
	ACTS(*ap, WR(0x1b, 0xfee00c00), WR(0x80f, 0x1ff));
	regs_set(*ap, &regs);
	return runner_start(*ap);
}

/* Its handlers make no EOI: each vector is of a higher class than the one before. */
TEST(ipi_between_two)
{
	struct vm *vm = lapic_vm(0);
	struct vcpu *bsp = lapic_vcpu(vm, 0), *ap;
	struct runner *r = second(vm, &ap);

	ACTS(bsp, TO_X2, WR(0x830, 1ull << 32 | 0x4031));
	EXPECT(runner_report(r) == TOOK(0x31), "physical");
	ACTS(bsp, WR(0x830, 2ull << 32 | 0x4841));
	EXPECT(runner_report(r) == TOOK(0x41), "logical");
	ACTS(bsp, WR(0x830, 0xc4051), NOTHING);
	EXPECT(runner_report(r) == TOOK(0x51), "others");
	ACTS(bsp, WR(0x830, 0x84061), TAKE(0x61), EOI_X2);
	EXPECT(runner_report(r) == TOOK(0x61), "all");
	ACTS(bsp, WR(0x830, 0xffffffffull << 32 | 0x4071), TAKE(0x71), EOI_X2);
	EXPECT(runner_report(r) == TOOK(0x71), "broadcast");
	ACTS(bsp, WR(0x830, 1ull << 32 | 0x4400));
	EXPECT(runner_report(r) == TOOK(2), "NMI");
	for (unsigned int i = 0; i < 100; i++) {
		ACTS(bsp, WR(0x830, 1ull << 32 | 0x4400));
		EXPECT(runner_report(r) == TOOK(2), "NMI %u", i);
	}
}

/* Real-mode code of an application processor: says where it is, then halts. */
GUEST(ap_start, 16, "mov %cs, %ax\n movzx %ax, %eax\n out %eax, $0xe0\n 1: hlt\n jmp 1b\n");

TEST(init_and_sipi)
{
	struct vm *vm = lapic_vm(0);
	struct vcpu *bsp = lapic_vcpu(vm, 0), *ap = lapic_vcpu(vm, 1);
	struct runner *r;

	LOAD(vm, SIPI_CODE, ap_start);
	LOAD(vm, SIPI_CODE + 0x1000, ap_start);
	r = runner_start(ap);
	/* A SIPI without an INIT does nothing. */
	ACTS(bsp, TO_X2, WR(0x830, 1ull << 32 | 0x4600 | SIPI_VECTOR), WR(0x830, 1ull << 32 | 0x4500),
		WR(0x830, 1ull << 32 | 0x4600 | SIPI_VECTOR));
	EXPECT(runner_report(r) == SIPI_VECTOR << 8, "the first start");
	ACTS(bsp, WR(0x830, 1ull << 32 | 0x4600 | (SIPI_VECTOR + 1)));	/* it runs: ignored */
	usleep(50000);
	for (unsigned int i = 0; i < 20; i++) {
		ACTS(bsp, WR(0x830, 0xc4500), WR(0x830, 0xc4600 | (SIPI_VECTOR + (i & 1))));
		EXPECT(runner_report(r) == (SIPI_VECTOR + (i & 1)) << 8, "start %u", i);
	}
}

/* INIT to itself is the boot CPU's way to begin anew, at the reset vector. */
TEST(init_of_the_boot_cpu)
{
	struct vm *vm = lapic_vm(0);
	struct vcpu *bsp = lapic_vcpu(vm, 0);
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	uint8_t *rom = map_pages(0x1000);

	memcpy(rom + 0xff0, "\x66\xb8\x07\x00\x00\x00\x66\xe7\xe0\xf4", 10);	/* mov $7, %eax; out %eax, $0xe0; hlt */
	slot_set(vm, 1, 0xfffff000, 0x1000, rom, 0);
	ACTS(bsp, TO_X2, WR(0x808, 0x20));
	regs = (struct kvm_regs){ .rip = GUEST_CODE, .rflags = 2, .rsp = BSP_STACK, .rcx = 0x830, .rax = 0x4500, .rdx = 0 };
	regs_set(bsp, &regs);
	guest_expect(bsp, 7, "at the reset vector");
	IOCTL(bsp->fd, KVM_GET_SREGS, &sregs);
	EXPECT(sregs.cs.selector == 0xf000 && !(sregs.cr0 & 1) && !sregs.efer && !sregs.cr4 && !sregs.cr8,
		"cs %#x cr0 %#llx efer %#llx", sregs.cs.selector, sregs.cr0, sregs.efer);
	EXPECT(sregs.apic_base == 0xfee00d00, "base %#llx", sregs.apic_base);
	EXPECT(lapic_reg(bsp, 0xf0) == 0xff, "SVR %#x", lapic_reg(bsp, 0xf0));
}

/* ---- the VMM's own PIC and IOAPIC */

TEST(split_extint)
{
	struct vm *vm = lapic_vm(1);
	struct vcpu *vcpu = lapic_vcpu(vm, 0);
	struct kvm_interrupt irq = { 0x33 };

	/* LINT0 is in ExtINT mode from the start. */
	ACTS(vcpu, NOTHING);
	for (unsigned int i = 0; i < 10; i++) {
		IOCTL(vcpu->fd, KVM_INTERRUPT, &irq);
		EXPECT(ioctl_try(vcpu->fd, KVM_INTERRUPT, &irq) == -EEXIST, "a second one");
		ACTS(vcpu, TAKE(0x33));
		IOCTL(vcpu->fd, KVM_INTERRUPT, &irq);
		ACTS(vcpu, HALT(0x33));
	}
	ACTS(vcpu, ON, ST(0x350, 0x10700));
	IOCTL(vcpu->fd, KVM_INTERRUPT, &irq);
	ACTS(vcpu, NOTHING, ST(0x350, 0x700), TAKE(0x33), ST(0x300, 0x44041), TAKE(0x41), EOI);
}

TEST(split_eoi_exit)
{
	struct vm *vm = lapic_vm(1);
	struct vcpu *vcpu = lapic_vcpu(vm, 0);
	struct kvm_irq_routing *table = calloc(1, sizeof(*table) + 2 * sizeof(table->entries[0]));
	struct kvm_irq_level line = { .irq = 5, .level = 1 };
	struct kvm_regs regs = { .rip = GUEST_CODE, .rflags = 2, .rsp = BSP_STACK, .rcx = 0x80b };

	table->nr = 2;
	table->entries[0] = (struct kvm_irq_routing_entry) {
		.gsi = 5, .type = KVM_IRQ_ROUTING_MSI, .u.msi = { .address_lo = 0xfee00000, .data = 0xc041 } };
	table->entries[1] = (struct kvm_irq_routing_entry) {
		.gsi = 6, .type = KVM_IRQ_ROUTING_MSI, .u.msi = { .address_lo = 0xfee00000, .data = 0x52 } };
	IOCTL(vm->fd, KVM_SET_GSI_ROUTING, table);
	ACTS(vcpu, TO_X2);
	for (unsigned int i = 0; i < 5; i++) {
		IOCTL(vm->fd, KVM_IRQ_LINE, &line);
		ACTS(vcpu, TAKE(0x41));
		regs_set(vcpu, &regs);
		run_until(vcpu, KVM_EXIT_IOAPIC_EOI);
		EXPECT(vcpu->run->eoi.vector == 0x41, "EOI of %#x", vcpu->run->eoi.vector);
		guest_expect(vcpu, 1, "behind the EOI");
	}
	line.irq = 6;
	IOCTL(vm->fd, KVM_IRQ_LINE, &line);
	ACTS(vcpu, TAKE(0x52), EOI_X2);		/* an edge: no exit */
}

/* ---- what the VMM is told of TPR */

TEST(tpr_reports)
{
	struct vcpu *vcpu = lapic_vcpu(lapic_vm(0), 0);
	struct kvm_tpr_access_ctl ctl = { .enabled = 1 };
	struct kvm_regs regs = { .rip = GUEST_CODE + 64, .rflags = 2, .rsp = BSP_STACK, .rbx = 0xfee00080, .rax = 0x30 };

	NEED(vcpu->vm->fd, KVM_CAP_VAPIC);
	IOCTL(vcpu->fd, KVM_TPR_ACCESS_REPORTING, &ctl);
	regs_set(vcpu, &regs);
	run_until(vcpu, KVM_EXIT_TPR_ACCESS);
	EXPECT(vcpu->run->tpr_access.is_write, "not a write");
	guest_expect(vcpu, 1, "behind the store");
	EXPECT(lapic_reg(vcpu, 0x80) == 0x30, "TPR %#x", lapic_reg(vcpu, 0x80));
}

int main(int argc, char **argv)
{
	return test_main("lapic", argc, argv);
}
