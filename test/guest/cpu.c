/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpu.c - descriptor tables, exceptions that a test expects, page tables and
 * the local APIC of a micro guest.
 *
 * Exceptions, NMIs and interrupts have stacks of their own (IST 1 to 3, #DF
 * with the last), so that one is caught wherever the stack pointer points.
 * See: AMD64 APM vol. 2, chapters 5 (paging), 8 (exceptions), 16 (APIC).
 */
#include "guest.h"

#define MSR_GS_BASE 0xc0000101
#define PTE 0x7ull			/* present, writable, user */
#define PTE_LARGE 0x80ull
#define PTE_UNCACHED 0x18ull
#define GIB (1ull << 30)
#define WINDOW (512 * GIB)		/* entry 1 of the top table */
#define APIC 0xfee00000ull
#define APIC_EOI 0xb0
#define APIC_SPURIOUS 0xf0
#define APIC_LVT_TIMER 0x320
#define APIC_TIMER_INITIAL 0x380
#define APIC_TIMER_DIVIDE 0x3e0
#define VECTORS 80
#define TIMER_VECTOR 0x40

struct frame {
	u64 rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

struct gate {
	u16 offset0, selector;
	u8 ist, type;
	u16 offset1;
	u32 offset2, reserved;
};

struct table_register { u16 limit; u64 base; } __attribute__((packed));

extern u8 trap_stubs[], try_resume[];
void trap(struct frame *f);

struct cpu cpu[2];
static struct gate idt[VECTORS];
static u64 root[512] __attribute__((aligned(4096)));
static u64 low[512] __attribute__((aligned(4096))), directories[4][512] __attribute__((aligned(4096)));
/* Each CPU has a window: third-level table, directory, page table. */
static u64 window_third[512] __attribute__((aligned(4096)));
static u64 window_directory[2][512] __attribute__((aligned(4096)));
static u64 window_table[2][512] __attribute__((aligned(4096)));
u64 *page_root = root;
u32 vendor_intel;

static volatile u32 *apic(u32 reg)
{
	return (volatile u32 *)(APIC + reg);
}

/* ---- exceptions ---- */

static void unexpected(const struct frame *f, u64 cr2)
{
	print("FAIL: CPU %u: exception %llu error %llx at %llx, rsp %llx, cr2 %llx\n", cpu_this()->index,
	      f->vector, f->error, f->rip, f->rsp, cr2);
	power_off(0x11);
}

void trap(struct frame *f)
{
	struct cpu *c = cpu_this();

	if (f->vector == 2) {
		__atomic_fetch_add(&c->nmis, 1, __ATOMIC_RELAXED);
		return;
	}
	if (f->vector >= 32) {
		c->ticks++;
		*apic(APIC_EOI) = 0;
		return;
	}
	asm volatile("mov %%cr2, %0" : "=r"(c->cr2));
	if (!c->recover)
		unexpected(f, c->cr2);
	c->error = f->error;
	c->rip = f->rip;
	f->rax = f->vector;
	f->rip = (u64)try_resume;
	f->rsp = c->recover;
	f->cs = SEL_CODE;
	f->ss = SEL_DATA;
	f->rflags = 2;
}

static void idt_fill(void)
{
	u32 i;

	for (i = 0; i < VECTORS; i++) {
		u64 a = (u64)trap_stubs + 16 * i;
		u8 ist = i == 2 ? 2 : i == DF || i >= 32 ? 3 : 1;

		idt[i] = (struct gate) { (u16)a, SEL_CODE, ist, 0x8e, (u16)(a >> 16), (u32)(a >> 32), 0 };
	}
}

/* ---- page tables: the first 4 GiB one to one, the window ---- */

static void tables_fill(void)
{
	u64 pa;
	u32 i;

	root[0] = (u64)low | PTE;
	root[1] = (u64)window_third | PTE;
	for (i = 0; i < 4; i++)
		low[i] = (u64)directories[i] | PTE;
	for (pa = 0; pa < 4 * GIB; pa += BLOCK_SIZE)
		directories[0][pa / BLOCK_SIZE] = pa | PTE | PTE_LARGE | (pa >= 3 * GIB ? PTE_UNCACHED : 0);
	for (i = 0; i < 2; i++) {
		window_third[2 * i] = (u64)window_directory[i] | PTE;
		window_directory[i][0] = (u64)window_table[i] | PTE;
	}
}

static u64 window_base(void)
{
	return WINDOW + 2 * GIB * cpu_this()->index;
}

static void flush(void)
{
	asm volatile("mov %0, %%cr3" : : "r"((u64)root) : "memory");
}

u64 window_4k(u64 pa)
{
	window_table[cpu_this()->index][0] = pa | PTE;
	flush();
	return window_base();
}

u64 window_2m(u64 pa)
{
	window_directory[cpu_this()->index][1] = (pa & ~(BLOCK_SIZE - 1)) | PTE | PTE_LARGE;
	flush();
	return window_base() + BLOCK_SIZE + (pa & (BLOCK_SIZE - 1));
}

void window_top(u64 pa)
{
	static u64 table[512] __attribute__((aligned(4096)));

	table[511] = pa | PTE;
	directories[3][511] = (u64)table | PTE;
	flush();
}

u64 window_walk(u64 pa, int level)
{
	u32 index = cpu_this()->index;

	if (level == 0)
		window_directory[index][2] = pa | PTE;
	else if (level == 1)
		window_third[2 * index + 1] = pa | PTE;
	else
		root[2 + index] = pa | PTE;
	flush();
	return level == 0 ? window_base() + 2 * BLOCK_SIZE : level == 1 ? window_base() + GIB : WINDOW * (2 + index);
}

/* ---- set-up ---- */

static void gdt_fill(struct cpu *c)
{
	u64 tss = (u64)c->tss;
	u32 i;

	c->gdt[SEL_CODE / 8] = 0x00af9b000000ffffull;
	c->gdt[SEL_DATA / 8] = 0x00cf93000000ffffull;
	c->gdt[SEL_USER_DATA / 8] = 0x00cff3000000ffffull;
	c->gdt[SEL_USER_CODE / 8] = 0x00affb000000ffffull;
	c->gdt[SEL_TSS / 8] = 0x0000890000000067ull | (tss & 0xffffff) << 16 | (tss >> 24 & 0xff) << 56;
	c->gdt[SEL_TSS / 8 + 1] = tss >> 32;
	for (i = 0; i < 3; i++)
		*(u64 *)(c->tss + 0x24 + 8 * i) = (u64)(c->ist[i] + sizeof(c->ist[i]));
	*(u64 *)(c->tss + 4) = (u64)(c->ist[0] + sizeof(c->ist[0]));
}

static void wrmsr(u32 msr, u64 value)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

void cpu_init(u32 index)
{
	struct cpu *c = &cpu[index];
	struct table_register g = { sizeof(c->gdt) - 1, (u64)c->gdt }, i = { sizeof(idt) - 1, (u64)idt };

	if (!index) {
		vendor_intel = cpuid(0, 0).ebx == 0x756e6547;
		idt_fill();
		tables_fill();
	}
	gdt_fill(c);
	asm volatile("lgdt %0; lidt %1" : : "m"(g), "m"(i));
	asm volatile("pushq %0; leaq 1f(%%rip), %%rax; pushq %%rax; lretq; 1:" : : "i"(SEL_CODE) : "rax", "memory");
	asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss; mov %1, %%fs; mov %1, %%gs" : : "r"(SEL_DATA), "r"(0));
	asm volatile("ltr %w0" : : "r"(SEL_TSS));
	c->self = c;
	c->index = index;
	wrmsr(MSR_GS_BASE, (u64)c);
	flush();
	c->apic_id = *apic(0x20) >> 24;
	*apic(APIC_SPURIOUS) = 0x100 | (VECTORS - 1);
}

void irq_window(void)
{
	asm volatile("sti; nop; nop; cli" : : : "memory");
}

void timer_start(u32 count)
{
	*apic(APIC_TIMER_DIVIDE) = 0xb;
	*apic(APIC_LVT_TIMER) = count ? 0x20000 | TIMER_VECTOR : 0x10000;
	*apic(APIC_TIMER_INITIAL) = count;
}

void ipi_send(u32 apic_id, u32 command)
{
	while (*apic(0x300) & 0x1000)
		relax();
	*apic(0x310) = apic_id << 24;
	*apic(0x300) = command;
}

void nmi_send(u32 apic_id)
{
	ipi_send(apic_id, 0x4400);
}

/* ---- MSRs ---- */

struct msr_access { u32 msr; u64 value; };

static void do_rdmsr(u64 arg)
{
	struct msr_access *a = (struct msr_access *)arg;
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(a->msr));
	a->value = (u64)hi << 32 | lo;
}

static void do_wrmsr(u64 arg)
{
	struct msr_access *a = (struct msr_access *)arg;

	wrmsr(a->msr, a->value);
}

int msr_try_read(u32 msr, u64 *value)
{
	struct msr_access a = { msr, 0 };
	int trap = try_call(do_rdmsr, (u64)&a);

	*value = a.value;
	return trap;
}

int msr_try_write(u32 msr, u64 value)
{
	struct msr_access a = { msr, value };

	return try_call(do_wrmsr, (u64)&a);
}
