/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trap.c - descriptor tables of the hypervisor, and what is printed when it
 * has to stop: registers, back-trace with symbols, the log's last lines.
 *
 * No TSS, no IST: TR belongs to whichever guest ran last. The GDT has the code
 * segment that VMRUN's host state and the IDT name.
 */
#include "log.h"
#include "cpu.h"
#include "percpu.h"
#include "console.h"
#include "trap.h"
#include "symbols.h"

#define SELECTOR_CODE 0x10

struct gate {
	u16 offset0, selector;
	u8 ist, type;
	u16 offset1;
	u32 offset2, reserved;
};

struct table_register {
	u16 limit;
	u64 base;
} __attribute__((packed));

struct frame {
	u64 rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

static u64 gdt[3] = { 0, 0, 0x00af9b000000ffffull };
static struct gate idt[256];

extern u8 trap_stubs[], trap_nmi[], trap_sx[], trap_gp[], trap_stray[];
void trap(const struct frame *f);

INIT void trap_gate(u32 vector, const void *handler)
{
	u64 a = (u64)handler;

	idt[vector] = (struct gate) { (u16)a, SELECTOR_CODE, 0, 0x8e, (u16)(a >> 16), (u32)(a >> 32), 0 };
}

INIT void trap_init(void)
{
	u32 i;

	for (i = 0; i < 32; i++)
		trap_gate(i, trap_stubs + 16 * i);
	for (; i < 256; i++)
		trap_gate(i, trap_stray);
	trap_gate(VECTOR_NMI, trap_nmi);
	trap_gate(VECTOR_SX, trap_sx);
	trap_gate(VECTOR_GP, trap_gp);
}

void trap_load(void)
{
	struct table_register g = { sizeof(gdt) - 1, (u64)gdt }, i = { sizeof(idt) - 1, (u64)idt };

	asm volatile("lgdt %0; lidt %1" : : "m"(g), "m"(i));
}

static void print_address(u64 address)
{
	u64 offset = 0;
	const char *name = symbol_find(address, &offset);

	log_print("  %p %s+%lx\n", (void *)address, name, (unsigned long)offset);
}

/* The log's last lines, which say why; where it was; and no further. */
static NORETURN void stop(u64 rip, u64 rbp)
{
	u64 base = (u64)cpu_this();
	u32 i;

	console_take();
	log_tail();
	if (rip)
		print_address(rip);
	for (i = 0; i < 16 && rbp >= base && rbp < base + CPU_BLOCK_BYTES - 16 && !(rbp & 7); i++) {
		print_address(((u64 *)rbp)[1]);
		rbp = *(u64 *)rbp;
	}
	for (;;)
		asm volatile("cli; hlt");
}

void machine_stop(void)
{
	stop(0, (u64)__builtin_frame_address(0));
}

void trap(const struct frame *f)
{
	static const char names[15][4] = {
		"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8 ", "r9 ", "r10", "r11", "r12", "r13", "r14", "r15",
	};
	u64 cr2;
	u32 i;

	asm("mov %%cr2, %0" : "=r"(cr2));
	log_print("tenon: PANIC: exception %lu error %lx cr2 %p on CPU %u\n", (unsigned long)f->vector,
		  (unsigned long)f->error, (void *)cr2, cpu_this()->index);
	log_print("rip %p rsp %p rflags %lx\n", (void *)f->rip, (void *)f->rsp, (unsigned long)f->rflags);
	for (i = 0; i < ARRAY_SIZE(names); i++)
		log_print("%s %p%s", names[i], (void *)(&f->rax)[i], i % 3 == 2 ? "\n" : " ");
	stop(f->rip, f->rbp);
}
