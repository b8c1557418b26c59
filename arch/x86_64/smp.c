/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * smp.c - the other CPUs: starting them by INIT and SIPI, and NMIs between
 * them. The local APICs are the service VM's; we borrow the command register.
 *
 * See: SDM vol. 3, 9.4 (MP initialisation), 11.6 (inter-processor interrupts);
 * APM vol. 2, 16.5.
 */
#include <string.h>
#include "percpu.h"
#include "cpu.h"
#include "machine.h"
#include "phys.h"
#include "smp.h"
#include "log.h"

#define APIC_ICR_LOW 0x300
#define APIC_ICR_HIGH 0x310
#define APIC_ID 0x20
#define ICR_NMI 0x400u
#define ICR_INIT 0x500u
#define ICR_STARTUP 0x600u
#define ICR_ASSERT 0x4000u
#define ICR_PENDING 0x1000u

struct cpu *cpus[MAX_CPUS];
u32 cpu_count;

static volatile u32 *apic(u32 reg)
{
	return (volatile u32 *)(APIC_VA + reg);
}

static int x2apic(void)
{
	return !!(rdmsr(MSR_APIC_BASE) & APIC_BASE_X2APIC);
}

static void icr_idle(void)
{
	u32 i;

	for (i = 0; i < 100000 && (*apic(APIC_ICR_LOW) & ICR_PENDING); i++)
		cpu_relax();
}

/* The service VM may be between its two writes of the register pair: the high half is put back. */
static void icr_send(u32 apic_id, u32 command)
{
	u32 high;

	if (x2apic()) {
		wrmsr(MSR_X2APIC_ICR, (u64)apic_id << 32 | command);
		return;
	}
	icr_idle();
	high = *apic(APIC_ICR_HIGH);
	*apic(APIC_ICR_HIGH) = apic_id << 24;
	*apic(APIC_ICR_LOW) = command;
	icr_idle();
	*apic(APIC_ICR_HIGH) = high;
}

u32 smp_apic_id(void)
{
	return x2apic() ? (u32)rdmsr(0x802) : *apic(APIC_ID) >> 24;
}

#define KICK_AGAIN 0x1000000u	/* polls; a power of two */

/*
 * Once, and again after a long time: an NMI that QEMU 7.2 loses (its VMRUN with
 * V_IRQ changes the CPU's word of requests without the lock) must hang nobody.
 */
void cpu_kick(struct cpu *cpu, u32 polls)
{
	if (!(polls % KICK_AGAIN) && (!__atomic_exchange_n(&cpu->kicked, 1, __ATOMIC_ACQ_REL) || polls))
		icr_send(cpu->apic_id, ICR_NMI | ICR_ASSERT);
}

/* Nothing is pending for a CPU in the hypervisor: flushes are done before each guest entry. */
void cpu_poll(void)
{
	cpu_relax();
}

/* About a microsecond each: a read of a port on the slow bus. */
static INIT void delay(u32 us)
{
	while (us--)
		inb(0x80);
}

/* boot/start.S, trampoline_words. */
struct trampoline_words {
	u32 cr3;
	u32 entry32;
	u16 code;
	u16 gdt_limit;
	u32 gdt;
	u64 stack;
	u64 entry;
} __attribute__((packed));

extern u8 trampoline[], trampoline_words[], trampoline_end[], early_pml4[], early_gdt[];

INIT u32 smp_start(u64 page, void (*entry)(void))
{
	static u8 saved[4096];
	u8 *at = phys_to_virt(page);
	struct trampoline_words *w = (struct trampoline_words *)(at + (trampoline_words - trampoline));
	u32 i, k, up = 1;

	memcpy(saved, at, sizeof(saved));
	for (i = 1; i < cpu_count; i++) {
		memcpy(at, trampoline, (u64)(trampoline_end - trampoline));
		w->cr3 = (u32)virt_to_phys(early_pml4);
		w->entry32 += (u32)page;
		w->gdt = (u32)virt_to_phys(early_gdt);
		w->stack = (u64)cpus[i] + CPU_BLOCK_BYTES;
		w->entry = (u64)entry;
		icr_send(cpus[i]->apic_id, ICR_INIT | ICR_ASSERT);
		delay(10000);
		for (k = 0; k < 2 && READ_ONCE(cpus[i]->state) == CPU_ABSENT; k++) {
			icr_send(cpus[i]->apic_id, ICR_STARTUP | ICR_ASSERT | (u32)(page >> 12));
			delay(k ? 200000 : 1000);
		}
		for (k = 0; k < 2000 && READ_ONCE(cpus[i]->state) == CPU_ABSENT; k++)	/* 20 s: an emulated CPU may be late */
			delay(10000);
		if (READ_ONCE(cpus[i]->state) != CPU_ABSENT)
			up++;
		else
			panic("the CPU with APIC id %u does not start\n", cpus[i]->apic_id);
	}
	memcpy(at, saved, sizeof(saved));
	return up;
}
