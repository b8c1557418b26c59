/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * service_exits.h - exits of the service VM that both backends handle alike.
 * Each one's service.c defines the accessors and includes this file, as exit.c
 * does with exits.h. The accessors:
 *   service_rax                where the guest's RAX is
 *   service_cr4, service_rflags, service_cpl   what their names say
 *   service_skip               RIP behind an instruction of that length
 *   service_inject             an event of its own at the next entry; error code 0
 *   service_gp                 #GP, as the guest's mode has it
 *   service_sleep              HLT exits, or not
 */
#ifndef SERVICE_EXITS_H
#define SERVICE_EXITS_H

#include "console.h"
#include "log.h"
#include "ring.h"
#include "service.h"

typedef void (*service_fn)(struct cpu *cpu);

struct service_row {
	service_fn fn;
	u32 stat;
};

static void service_undefined(struct cpu *cpu)
{
	service_inject(cpu, VECTOR_UD, EVENT_EXCEPTION, 0);
}

static void service_cpuid(struct cpu *cpu)
{
	u64 *rax = service_rax(cpu);
	struct cpuid c = cpuid_service((u32)*rax, (u32)cpu->regs.rcx, service_cr4(cpu));

	*rax = c.eax;
	cpu->regs.rbx = c.ebx;
	cpu->regs.rcx = c.ecx;
	cpu->regs.rdx = c.edx;
	service_skip(cpu, 2);
}

/*
 * VMCALL and VMMCALL exit from ring 3 too: only ring 0 may call. RIP is done
 * first: another VMCS may be current under the call.
 */
static void service_hypercall(struct cpu *cpu)
{
	u64 *rax = service_rax(cpu);

	if (service_cpl(cpu)) {
		service_undefined(cpu);
		return;
	}
	service_skip(cpu, 3);
	*rax = (u64)hypercall(cpu, *rax, cpu->regs.rdi);
}

/* What a PC answers a triple fault or an INIT of its boot CPU with, which is also Linux's last way to restart. */
static void service_reset(struct cpu *cpu)
{
	console_take();
	log_print("tenon: CPU %u: the service VM ended in a triple fault or an INIT: reset\n", cpu->index);
	for (;;) {
		outb(0xcf9, 2);
		outb(0xcf9, 6);
		outb(0x64, 0xfe);
	}
}

/*
 * A page that no table has. Our memory is #GP; where the processor looked while
 * it delivered an exception (page tables, IDT, stack), as a second exception
 * (APM vol. 2, 8.2.9): #DF, and on top of that a shutdown. event: what was being delivered.
 */
static void service_touch(struct cpu *cpu, u64 gpa, u64 event)
{
	if (!service_fault(gpa))
		return;
	if (!(event & EVENT_VALID) || EVENT_TYPE(event) != EVENT_EXCEPTION)
		service_gp(cpu);
	else if (EVENT_VECTOR(event) != VECTOR_DF)
		service_inject(cpu, VECTOR_DF, EVENT_EXCEPTION, 1);
	else
		service_reset(cpu);
}

/*
 * Linux takes a CPU off line by WBINVD and then HLT for ever (MWAIT on Intel's),
 * both with interrupts off. It never arms the wakeup mailbox again, and nothing
 * wakes such a CPU but its start: it waits for that. WBINVD with IF = 0 makes HLT exit.
 */
static void service_wbinvd(struct cpu *cpu)
{
	asm volatile("wbinvd" : : : "memory");
	if (!(service_rflags(cpu) & RFLAGS_IF))
		service_sleep(cpu, 1);
	service_skip(cpu, 2);
}

static void service_hlt(struct cpu *cpu)
{
	service_sleep(cpu, 0);
	if (service_rflags(cpu) & RFLAGS_IF)
		return;			/* an ordinary idle HLT: executed again, without us */
	backend->service_wait(cpu);
}

/* INVD would drop our own dirty lines: WBINVD does what it is for, safely. */
static void service_invd(struct cpu *cpu)
{
	asm volatile("wbinvd" : : : "memory");
	service_skip(cpu, 2);
}

/*
 * Before an entry. 1: it must flush first. Pairs with service_hide(): in_service
 * is set before the generation is read, and a hider writes the tables and the
 * generation before it reads in_service.
 */
static inline int service_begin(struct cpu *cpu)
{
	u64 generation;

	__atomic_exchange_n(&cpu->in_service, 1, __ATOMIC_SEQ_CST);
	generation = __atomic_load_n(&service_generation, __ATOMIC_SEQ_CST);
	if (likely(cpu->service_seen == generation))
		return 0;
	WRITE_ONCE(cpu->service_seen, generation);
	return 1;
}

#endif
