/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * irqchip.h - VMs with interrupt controllers in the kernel, and guests that take
 * their interrupts.
 *
 * Owns: the guest handlers' place. Invariant: HLT makes no exit in such a VM, so
 * handlers report by the port and return.
 * Called by: irqchip*.c.
 */
#ifndef IRQCHIP_H
#define IRQCHIP_H

#include "calls.h"
#include "guest.h"

#define HANDLER_BYTES 32u
#define HANDLERS_LAPIC (GUEST_FREE + 0x00000)	/* 256 handlers that end with the LAPIC's EOI */
#define HANDLERS_PIC (GUEST_FREE + 0x10000)	/* and with the PICs' */
/* What a handler reports: its vector, marked. */
#define TOOK(vector) (0x100u + (vector))

/* A VM with KVM_CREATE_IRQCHIP, and no vCPU yet. Skips without KVM_CAP_IRQCHIP. */
struct vm *irqchip_vm(void);
/* The same with one vCPU, as a scene of calls. */
struct scene irqchip_scene(void);
/* A guest in long mode whose vectors are `handlers`. */
struct vcpu *irqchip_guest(const void *code, size_t bytes, uint64_t handlers);
#define IRQCHIP_GUEST(id, handlers) irqchip_guest(code_##id, (size_t)(code_##id##_end - code_##id), handlers)
/* Gates for a vCPU of a VM that was set up otherwise. */
void irqchip_handlers(struct vm *vm, uint64_t handlers);

/* KVM_IRQ_LINE_STATUS's answer. */
int line_status(struct vm *vm, uint32_t gsi, int level);
void line_set(struct vm *vm, uint32_t gsi, int level);
struct kvm_irqchip chip_get(struct vm *vm, uint32_t id);
void chip_set(struct vm *vm, const struct kvm_irqchip *chip);
/* One MSI route beside the default ones: physical destination 0, edge. */
void route_msi(struct vm *vm, uint32_t gsi, uint8_t vector);

/* Guest code: registers for the accesses below, LAPIC on, all of the PIC masked. */
#define CHIPS_BEGIN							\
	"mov $0xfee00000, %ebx\n mov $0xfec00000, %esi\n"		\
	"movl $0x1ff, 0xf0(%rbx)\n"					\
	"mov $0xff, %al\n out %al, $0x21\n out %al, $0xa1\n"
#define IOAPIC_SET(reg, value) "movl $" #reg ", (%rsi)\n movl $" #value ", 0x10(%rsi)\n"
/* Both PICs: vectors 0x20 and 0x28, all masked but `mask` and `mask2`. */
#define PIC_BEGIN(mask, mask2)						\
	"mov $0x11, %al\n out %al, $0x20\n out %al, $0xa0\n"		\
	"mov $0x20, %al\n out %al, $0x21\n mov $0x28, %al\n out %al, $0xa1\n"	\
	"mov $4, %al\n out %al, $0x21\n mov $2, %al\n out %al, $0xa1\n"	\
	"mov $1, %al\n out %al, $0x21\n out %al, $0xa1\n"		\
	"mov $" #mask ", %al\n out %al, $0x21\n mov $" #mask2 ", %al\n out %al, $0xa1\n"
#define SAY(value) "mov $" #value ", %eax\n out %eax, $0xe0\n"
#define WAIT_FOR_EVER "sti\n 9: hlt\n jmp 9b\n"

#endif
