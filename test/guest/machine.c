/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.c - what the loader tells (memory map, command line, ACPI), free
 * memory in 2 MiB blocks, the second CPU and the end.
 *
 * The second CPU waits in ACPI's wakeup mailbox, if the MADT names one (ACPI
 * 6.4, 5.2.12.19), else for INIT and start-up IPIs; once here it waits for jobs.
 */
#include "guest.h"

#define DEBUG_EXIT_PORT 0xf4	/* QEMU's isa-debug-exit: the status is 2 * code + 1 */
#define MAX_BLOCKS 512
#define MADT_LAPIC 0
#define MADT_WAKEUP 16

struct mailbox {
	u16 command, reserved;
	u32 apic_id;
	u64 vector;
};

u64 tsc_per_ms = 1000000;	/* QEMU's counter; on silicon waits are shorter by a few times */
const struct e820_entry *e820;
u32 e820_count;
static const char *cmdline = "";
static u64 rsdp;
static u64 blocks[MAX_BLOCKS];
static u32 block_count;
static u32 second_alive;

extern u8 image_end[], second_entry[], startup_code[], startup_cr3[], startup_end[];
void second_main(void);

static void blocks_find(void)
{
	u64 pa, end, least = ((u64)image_end + BLOCK_SIZE - 1) & ~(BLOCK_SIZE - 1);
	u32 i;

	for (i = 0; i < e820_count; i++) {
		if (e820[i].type != E820_RAM || e820[i].base >= 1ull << 32)
			continue;
		pa = (e820[i].base + BLOCK_SIZE - 1) & ~(BLOCK_SIZE - 1);
		end = e820[i].base + e820[i].size;
		for (pa = pa < least ? least : pa; pa + BLOCK_SIZE <= end && block_count < MAX_BLOCKS; pa += BLOCK_SIZE)
			blocks[block_count++] = pa;
	}
}

void machine_init(const u8 *boot_params)
{
	e820 = (const struct e820_entry *)(boot_params + 0x2d0);
	e820_count = boot_params[0x1e8];
	rsdp = *(const u64 *)(boot_params + 0x70);
	if (cpuid(0, 0).ebx == 0x756e6547)
		tsc_per_ms = 20000;	/* Bochs counts instructions, at ips=20000000 */
	cmdline = (const char *)(u64)*(const u32 *)(boot_params + 0x228);
	blocks_find();
	/* The firmware's timer would be pending for ever. */
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}

const char *machine_cmdline(void)
{
	return cmdline;
}

u64 ram_top(void)
{
	u64 end, top = 0;
	u32 i;

	for (i = 0; i < e820_count; i++) {
		end = e820[i].base + e820[i].size;
		if (e820[i].type == E820_RAM && end <= 1ull << 32 && end > top)
			top = end;
	}
	return top;
}

u64 block_take(void)
{
	return block_count ? blocks[--block_count] : 0;
}

void block_give(u64 pa)
{
	blocks[block_count++] = pa;
}

/* ---- ACPI ---- */

static const u8 *madt_find(void)
{
	const u8 *p = (const u8 *)rsdp;
	u64 xsdt = p[15] >= 2 ? *(const u64 *)(p + 24) : 0;
	const u8 *table = (const u8 *)(xsdt ? xsdt : *(const u32 *)(p + 16));
	u32 width = xsdt ? 8 : 4, at;
	u64 pa;

	for (at = 36; at + width <= *(const u32 *)(table + 4); at += width) {
		pa = 0;
		memcpy(&pa, table + at, width);
		if (!memcmp((const void *)pa, "APIC", 4))
			return (const u8 *)pa;
	}
	return NULL;
}

/* The mailbox or NULL, and the id of a CPU that is not this one. 0: there is none. */
static int second_find(struct mailbox **box, u32 *apic_id)
{
	const u8 *madt = madt_find();
	int found = 0;
	u32 at;

	*box = NULL;

	for (at = 44; madt && at < *(const u32 *)(madt + 4) && madt[at + 1]; at += madt[at + 1]) {
		if (madt[at] == MADT_WAKEUP)
			*box = (struct mailbox *)*(const u64 *)(madt + at + 8);
		if (madt[at] == MADT_LAPIC && (madt[at + 4] & 1) && madt[at + 3] != cpu[0].apic_id && !found++)
			*apic_id = madt[at + 3];
	}
	return found;
}

/* ---- the second CPU ---- */

void delay_ms(u64 ms)
{
	u64 end = rdtsc() + ms * tsc_per_ms;

	while (rdtsc() < end)
		relax();
}

/* As Linux does (SDM vol. 3, 9.4.4). The second start-up IPI finds the CPU running, and is nothing to it. */
static void startup_send(u32 id)
{
	u64 cr3;

	asm("mov %%cr3, %0" : "=r"(cr3));
	memcpy((void *)STARTUP_PAGE, startup_code, (u64)(startup_end - startup_code));
	*(u32 *)(STARTUP_PAGE + (u64)(startup_cr3 - startup_code)) = (u32)cr3;
	ipi_send(id, IPI_INIT | IPI_LEVEL | IPI_ASSERT);
	ipi_send(id, IPI_INIT | IPI_LEVEL);
	delay_ms(10);
	ipi_send(id, IPI_STARTUP | IPI_ASSERT | STARTUP_PAGE >> 12);
	delay_ms(1);
	ipi_send(id, IPI_STARTUP | IPI_ASSERT | STARTUP_PAGE >> 12);
}

int second_mailbox(void)
{
	struct mailbox *box;
	u32 id;

	second_find(&box, &id);
	return box != NULL;
}

int second_start(void)
{
	struct mailbox *box;
	u32 id = 0, i;

	if (second_alive)
		return 0;
	if (!second_find(&box, &id))
		return 1;
	if (box) {
		box->apic_id = id;
		box->vector = (u64)second_entry;
		__atomic_store_n(&box->command, 1, __ATOMIC_RELEASE);
	} else {
		startup_send(id);
	}
	for (i = 0; i < SECOND_MS && !READ_ONCE(second_alive); i++)
		delay_ms(1);
	return !READ_ONCE(second_alive);
}

void second_main(void)
{
	cpu[1].job = NULL;
	cpu_init(1);
	__atomic_store_n(&second_alive, 1, __ATOMIC_RELEASE);
	for (;;) {
		if (cpu[1].job) {
			cpu[1].job(cpu[1].job_arg);
			__atomic_store_n(&cpu[1].job, NULL, __ATOMIC_RELEASE);
		}
		relax();
	}
}

void second_run(void (*fn)(u64), u64 arg)
{
	cpu[1].job_arg = arg;
	__atomic_store_n(&cpu[1].job, fn, __ATOMIC_RELEASE);
}

int second_wait(u64 ms)
{
	while (cpu[1].job && ms--)
		delay_ms(1);
	return cpu[1].job != NULL;
}

void second_lost(void)
{
	WRITE_ONCE(second_alive, 0);
}

int second_gone(u64 ms)
{
	while (READ_ONCE(second_alive) && ms--)
		delay_ms(1);
	return READ_ONCE(second_alive) != 0;
}

void power_off(u32 code)
{
	outl(DEBUG_EXIT_PORT, code);
	print("guest: no power switch, halted\n");
	for (;;)
		asm volatile("cli; hlt");
}
