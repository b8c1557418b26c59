// SPDX-License-Identifier: BSD-2-Clause
/*
 * run_task.c - hardware task switches: JMP, CALL and IRET between TSSs of both
 * sizes, task gates for exceptions (with error codes: what Linux on i386 does
 * for #DF), for INT n and for interrupts.
 *
 * Owns: two TSSs and their descriptors. The second task's code is loaded at
 * TASK_CODE, below 64 KiB, so that a 16-bit TSS can name it.
 * See: APM volume 2, chapter 12.
 */
#include <string.h>

#include "guest.h"

#define TSS_A 0x9000u		/* what the guest starts in, after its LTR */
#define TSS_B 0x9100u
#define DIRECTORY_A 0xa000u	/* 4 MiB one to one */
#define DIRECTORY_B 0xb000u
#define TASK_CODE 0xc000u
#define TASK_STACK 0xf000u
#define SELECTOR_A "0x28"
#define SELECTOR_B "0x30"
#define BUSY(vcpu, selector) ((vcpu)->vm->memory[GUEST_GDT + (selector) + 5] >> 1 & 1)

struct tss {
	uint32_t link, stacks[6], cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi;
	uint32_t es, cs, ss, ds, fs, gs, ldt, map;
};

static struct tss *tss(struct vcpu *vcpu, uint32_t at)
{
	return (struct tss *)(vcpu->vm->memory + at);
}

static void tss_descriptor(struct vcpu *vcpu, uint32_t selector, uint32_t at, uint32_t type, uint32_t limit)
{
	uint64_t d = limit | (uint64_t)at << 16 | (uint64_t)(0x80 | type) << 40;

	memcpy(vcpu->vm->memory + GUEST_GDT + selector, &d, 8);
}

static void task_gate(struct vcpu *vcpu, uint32_t vector)
{
	uint64_t gate = 0x300000ull | 0x8500ull << 32;

	memcpy(vcpu->vm->memory + GUEST_IDT + 8 * vector, &gate, 8);
}

/* A 32-bit guest, with the second task ready to be switched to. */
static struct vcpu *task_create(const uint8_t *code, size_t bytes, const uint8_t *task, size_t task_bytes)
{
	struct vcpu *vcpu = guest_create(32, code, bytes);
	uint32_t directory = 0x83;
	struct kvm_sregs sregs;

	vm_load(vcpu->vm, TASK_CODE, task, task_bytes);
	tss_descriptor(vcpu, 0x28, TSS_A, 9, 103);
	tss_descriptor(vcpu, 0x30, TSS_B, 9, 103);
	tss(vcpu, TSS_A)->cr3 = DIRECTORY_A;
	*tss(vcpu, TSS_B) = (struct tss){
		.cr3 = DIRECTORY_B, .eip = TASK_CODE, .eflags = 2, .ebx = 0x11223344, .esp = TASK_STACK, .edi = 0x55667788,
		.es = DS_SELECTOR, .cs = CS_SELECTOR, .ss = DS_SELECTOR, .ds = DS_SELECTOR, .fs = DS_SELECTOR, .gs = DS_SELECTOR,
	};
	memcpy(vcpu->vm->memory + DIRECTORY_A, &directory, 4);
	memcpy(vcpu->vm->memory + DIRECTORY_B, &directory, 4);
	IOCTL(vcpu->fd, KVM_GET_SREGS, &sregs);
	sregs.gdt.limit = 0x37;
	IOCTL(vcpu->fd, KVM_SET_SREGS, &sregs);
	return vcpu;
}
#define TASK_CREATE(id, task) task_create(code_##id, (size_t)(code_##id##_end - code_##id), \
	code_##task, (size_t)(code_##task##_end - code_##task))

/*
 * All pages are there before the switch: QEMU's TCG does it itself, also on stock KVM, and cannot begin it anew after
 * a nested fault in its middle; and an exception that is injected anew makes no double fault there.
 */
#define LTR "xor %ecx, %ecx\n 9: lock orb $0, (%ecx)\n add $0x1000, %ecx\n cmp $0x10000, %ecx\n jb 9b\n" \
	"mov $" SELECTOR_A ", %eax\n ltr %ax\n"
#define TELL "out %eax, $0xe0\n"

/* Paging on, so that the new task's CR3 counts. */
GUEST(jumper, 32, LTR
	"mov %cr4, %eax\n or $0x10, %eax\n mov %eax, %cr4\n mov $0xa000, %eax\n mov %eax, %cr3\n"
	"mov %cr0, %eax\n or $0x80000000, %eax\n mov %eax, %cr0\n"
	"mov $0x99, %ebx\n mov $0xff, %eax\n mov %eax, %dr7\n"
	"ljmp $" SELECTOR_B ", $0\n"
	"mov %ebx, %eax\n" TELL "mov %cr3, %eax\n" TELL "hlt\n");
GUEST(jumped, 32,
	"mov %ebx, %eax\n" TELL "mov %edi, %eax\n" TELL "xor %eax, %eax\n str %ax\n" TELL "mov %cr3, %eax\n" TELL
	"mov %cr0, %eax\n and $8, %eax\n" TELL "mov %dr7, %eax\n and $0xff, %eax\n" TELL "pushf\n pop %eax\n and $0x4000, %eax\n" TELL
	"ljmp $" SELECTOR_A ", $0\n");
TEST(task_jmp)
{
	struct vcpu *vcpu = TASK_CREATE(jumper, jumped);

	cpu_keep();
	guest_expect(vcpu, 0x11223344, "EBX");
	REQUIRE(!BUSY(vcpu, 0x28) && BUSY(vcpu, 0x30), "busy: %u, %u", BUSY(vcpu, 0x28), BUSY(vcpu, 0x30));
	REQUIRE(tss(vcpu, TSS_A)->ebx == 0x99, "the old task's EBX: %#x", tss(vcpu, TSS_A)->ebx);
	REQUIRE(tss(vcpu, TSS_A)->cs == CS_SELECTOR && tss(vcpu, TSS_A)->esp == GUEST_STACK, "its CS %#x ESP %#x",
		tss(vcpu, TSS_A)->cs, tss(vcpu, TSS_A)->esp);
	guest_expect(vcpu, 0x55667788, "EDI");
	guest_expect(vcpu, 0x30, "TR");
	guest_expect(vcpu, DIRECTORY_B, "CR3");
	guest_expect(vcpu, 8, "CR0.TS");
	guest_expect(vcpu, 0xaa, "DR7: only what is global");
	guest_expect(vcpu, 0, "NT");
	guest_expect(vcpu, 0x99, "EBX of the first task");
	guest_expect(vcpu, DIRECTORY_A, "its CR3");
	run_until(vcpu, KVM_EXIT_HLT);
	REQUIRE(BUSY(vcpu, 0x28) && !BUSY(vcpu, 0x30), "back, busy: %u, %u", BUSY(vcpu, 0x28), BUSY(vcpu, 0x30));
}

GUEST(caller, 32, LTR "1: lcall $" SELECTOR_B ", $0\n" "pushf\n pop %eax\n and $0x4000, %eax\n or $1, %eax\n" TELL "jmp 1b\n");
GUEST(called, 32, "1: pushf\n pop %eax\n and $0x4000, %eax\n" TELL "iret\n jmp 1b\n");
TEST(task_call_iret)
{
	struct vcpu *vcpu = TASK_CREATE(caller, called);

	for (unsigned int i = 0; i < 3; i++) {
		guest_expect(vcpu, 0x4000, "NT in the called task");
		REQUIRE(tss(vcpu, TSS_B)->link == 0x28, "link %#x", tss(vcpu, TSS_B)->link);
		REQUIRE(BUSY(vcpu, 0x28) && BUSY(vcpu, 0x30), "busy: %u, %u", BUSY(vcpu, 0x28), BUSY(vcpu, 0x30));
		guest_expect(vcpu, 1, "NT after the return");
		REQUIRE(BUSY(vcpu, 0x28) && !BUSY(vcpu, 0x30), "back, busy: %u, %u", BUSY(vcpu, 0x28), BUSY(vcpu, 0x30));
		REQUIRE(!(tss(vcpu, TSS_B)->eflags & 0x4000), "its saved NT");
	}
}

/* #GP goes through a task gate; the handler reports its error code, and goes back two bytes on. */
GUEST(faulter, 32, LTR "mov $0xf8, %eax\n" "fault_at: 1: mov %eax, %ds\n" "mov $2, %eax\n" TELL "jmp 1b - 5\n");
extern const uint8_t fault_at[];
#define FAULT_AT (GUEST_CODE + (uint32_t)(fault_at - code_faulter))
GUEST(handler, 32, "1: pop %eax\n" TELL "mov 0x9020, %eax\n" TELL "addl $2, 0x9020\n iret\n jmp 1b\n");
TEST(task_gate_error_code)
{
	struct vcpu *vcpu = TASK_CREATE(faulter, handler);

	task_gate(vcpu, 13);
	guest_expect(vcpu, 0xf8, "error code");
	guest_expect(vcpu, FAULT_AT, "the faulting instruction");
	guest_expect(vcpu, 2, "after it");
}

/* #GP, whose gate is not present: #NP, so #DF, and that has the task. */
TEST(task_gate_double_fault)
{
	struct vcpu *vcpu = TASK_CREATE(faulter, handler);

	task_gate(vcpu, 8);
	vcpu->vm->memory[GUEST_IDT + 8 * 13 + 5] = 0x0e;
	guest_expect(vcpu, 0, "error code");
	guest_expect(vcpu, FAULT_AT, "the faulting instruction");
	guest_expect(vcpu, 2, "after it");
}

GUEST(software, 32, LTR "int $0x40\n mov $3, %eax\n" TELL "int3\n mov $4, %eax\n" TELL "sti\n nop\n 1: mov $5, %eax\n" TELL "jmp 1b\n");
GUEST(counter, 32, "1: mov $0x77, %eax\n" TELL "iret\n jmp 1b\n");
TEST(task_gate_interrupts)
{
	struct vcpu *vcpu = TASK_CREATE(software, counter);
	struct kvm_interrupt interrupt = { .irq = 0x41 };

	task_gate(vcpu, 0x40);
	task_gate(vcpu, 3);
	task_gate(vcpu, 0x41);
	guest_expect(vcpu, 0x77, "INT n");
	guest_expect(vcpu, 3, "behind it");
	guest_expect(vcpu, 0x77, "INT3");
	guest_expect(vcpu, 4, "behind it");
	guest_expect(vcpu, 5, "interrupts on");
	IOCTL(vcpu->fd, KVM_INTERRUPT, &interrupt);
	guest_expect(vcpu, 0x77, "an interrupt");
	REQUIRE(!vcpu->run->if_flag && !vcpu->run->ready_for_interrupt_injection, "ready in the handler's task");
	guest_expect(vcpu, 5, "behind it");
	REQUIRE(vcpu->run->if_flag, "IF is lost");
}

/* The new task's TSS may lie in memory that nobody has touched yet. */
GUEST(fresh, 32, LTR "lcall $" SELECTOR_B ", $0\n mov $6, %eax\n" TELL);
TEST(task_fresh_tss)
{
	struct vcpu *vcpu = TASK_CREATE(fresh, counter);
	uint8_t *page = map_pages(0x2000);

	memcpy(page + 0xfd0, tss(vcpu, TSS_B), sizeof(struct tss));	/* across two pages */
	slot_set(vcpu->vm, 1, 0x400000, 0x2000, page, 0);
	tss_descriptor(vcpu, 0x30, 0x400fd0, 9, 103);
	vcpu->vm->memory[GUEST_GDT + 0x30 + 4] = 0x40;
	guest_expect(vcpu, 0x77, "the task");
	guest_expect(vcpu, 6, "back");
	REQUIRE(*(uint16_t *)(page + 0xfd0) == 0x28, "link %#x", *(uint16_t *)(page + 0xfd0));
}

/* Words of a 16-bit TSS: link, six of stacks, then IP. */
GUEST(jumper16, 32, LTR "mov $0x1199, %ebx\n ljmp $" SELECTOR_B ", $0\n mov %ebx, %eax\n" TELL);
GUEST(jumped16, 32, "movzx %bx, %eax\n" TELL "ljmp $" SELECTOR_A ", $0\n");
TEST(task_16_bits)
{
	struct vcpu *vcpu = TASK_CREATE(jumper16, jumped16);
	uint16_t *new = (uint16_t *)(vcpu->vm->memory + TSS_B), *old = (uint16_t *)(vcpu->vm->memory + TSS_A);

	tss_descriptor(vcpu, 0x28, TSS_A, 1, 43);
	tss_descriptor(vcpu, 0x30, TSS_B, 1, 43);
	memset(new, 0, sizeof(struct tss));
	memset(old, 0, sizeof(struct tss));
	new[7] = TASK_CODE;
	new[8] = 2;
	new[12] = 0x4321;
	new[13] = TASK_STACK;
	new[17] = new[19] = new[20] = DS_SELECTOR;
	new[18] = CS_SELECTOR;
	guest_expect(vcpu, 0x4321, "BX");
	REQUIRE(old[12] == 0x1199 && old[18] == CS_SELECTOR, "saved BX %#x, CS %#x", old[12], old[18]);
	guest_expect(vcpu, 0x1199, "BX of the first task");
}
