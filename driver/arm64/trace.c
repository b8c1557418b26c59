// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * trace.c - tells the events of trace.h: finds the kernel's tracepoints by name,
 * and calls who listens to them with KVM's arguments.
 *
 * Owns: trace_points. Invariant: each is there from the start, as one that is
 * never on until it is found; a kernel without KVM leaves it so.
 * Called by: trace.h's inline functions. Concurrency: v->lock; any context.
 * See: arch/arm64/kvm/trace_arm.h and include/trace/events/kvm.h of Linux 6.1,
 * whose prototypes these are; abi/arm64/exit.h; Arm ARM, ESR_EL2.
 */
#include <linux/tracepoint.h>
#include <asm/esr.h>

#include "trace.h"

#define REG_PC (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(regs.pc))
#define INSTRUCTION_BYTES 4u	/* of a 64-bit guest, and there are no others */

/* kvm_exit's ret: KVM's ARM_EXCEPTION_*. */
enum { RET_IRQ = 0, RET_SERROR = 1, RET_TRAP = 2, RET_ILLEGAL = 3 };

static struct tracepoint never;

struct tracepoint *trace_points[TRACE_POINT_COUNT] = { [0 ... TRACE_POINT_COUNT - 1] = &never };

static const char *const names[] = {
#define TRACE_POINT(name) #name,
	TRACE_POINTS(TRACE_POINT)
#undef TRACE_POINT
};

static void find(struct tracepoint *tp, void *unused)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(tp->name, names[i]))
			trace_points[i] = tp;
	}
}

void trace_init(void)
{
	for_each_kernel_tracepoint(find, NULL);
}

/* Everybody who listens: the kernel's iterator over a tracepoint's probes, with its arguments' types. */
#define TELL(name, types, ...) do { \
	preempt_disable_notrace(); \
	((int (*)types)trace_points[TRACE_##name]->iterator)(NULL, __VA_ARGS__); \
	preempt_enable_notrace(); \
} while (0)

/* Where the guest goes on; of an abort that it is to take, the PC that it comes from. */
static u64 entry_pc(struct vcpu *v)
{
	u64 pc = v->exit->out.pc;

	/* In a KVM_RUN's first entry the VMM may have set it since the last exit. */
	if (!v->entered && vcpu_get_reg(v, REG_PC, &pc) < 0)
		return 0;
	return v->exit->in.flags & RESUME_SKIP ? pc + INSTRUCTION_BYTES : pc;
}

noinline void trace_tell_entry(struct vcpu *v)
{
	TELL(kvm_entry, (void *, unsigned long), entry_pc(v));
}

/* A trap's class, or ~0. */
static u32 trap_class(const struct exit_state *out)
{
	switch (out->reason) {
	case EXIT_WFI: return ESR_ELx_EC_WFx;
	case EXIT_FAULT: case EXIT_SGI: return ESR_ELx_EC(out->esr);
	case EXIT_SMCCC: return ESR_ELx_EC_HVC64;
	default: return ~0u;
	}
}

noinline void trace_tell_exit(const struct vcpu *v)
{
	const struct exit_state *out = &v->exit->out;
	u32 class = trap_class(out);
	int ret = RET_TRAP;

	if (class == ~0u) {
		class = 0;
		ret = out->reason == EXIT_SERROR ? RET_SERROR : out->reason == EXIT_FAIL_ENTRY ? RET_ILLEGAL : RET_IRQ;
	}
	TELL(kvm_exit, (void *, int, unsigned int, unsigned long), ret, class, out->pc);
}

noinline void trace_tell_fault(const struct vcpu *v)
{
	const struct exit_state *out = &v->exit->out;

	TELL(kvm_guest_fault, (void *, unsigned long, unsigned long, unsigned long, unsigned long long),
	     out->pc, out->esr, out->far, out->gpa);
}

noinline void trace_tell_line(u32 type, int vcpu, int irq, int level)
{
	TELL(kvm_irq_line, (void *, unsigned int, int, int, int), type, vcpu, irq, level);
}

noinline void trace_tell_set(u32 gsi, int level, int source)
{
	TELL(kvm_set_irq, (void *, unsigned int, int, int), gsi, level, source);
}

noinline void trace_tell_ack(u32 chip, u32 pin)
{
	TELL(kvm_ack_irq, (void *, unsigned int, unsigned int), chip, pin);
}

noinline void trace_tell_mmio(int type, int len, u64 gpa, u64 value)
{
	TELL(kvm_mmio, (void *, int, int, u64, void *), type, len, gpa, type == TRACE_MMIO_ASK ? NULL : &value);
}

/* kvm_run belongs to the VMM too: what it says by now is shown. */
noinline void trace_tell_return(const struct vcpu *v, int rc)
{
	const struct kvm_run *run = v->run;
	bool write = run->mmio.is_write;

	if (trace_on(TRACE_kvm_mmio) && !rc && run->exit_reason == KVM_EXIT_MMIO)
		trace_tell_mmio(write ? TRACE_MMIO_WRITE : TRACE_MMIO_ASK, run->mmio.len, run->mmio.phys_addr, *(u64 *)run->mmio.data);
	if (trace_on(TRACE_kvm_userspace_exit))
		TELL(kvm_userspace_exit, (void *, u32, int), run->exit_reason, rc);
}

/* It has slept, and nothing polls. */
noinline void trace_tell_wakeup(u64 ns)
{
	TELL(kvm_vcpu_wakeup, (void *, u64, bool, bool), ns, true, true);
}
