// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * exits.c - from the hypervisor's exit page to KVM's exits in kvm_run, and back
 * at the next entry.
 *
 * Owns: the table of exits; a port access that waits for the VMM.
 * Invariant: kvm_run belongs to the VMM too, so nothing is taken back from it
 * but what KVM takes (request_interrupt_window, cr8, the data of a read).
 * Called by: run.c. Calls: map.c, eventfd.c, emulate.c.
 * Concurrency: v->lock.
 * See: abi/x86_64/exit.h; Documentation/virt/kvm/api.rst section 5.
 */
#include "irqchip.h"
#include "models/decode.h"
#include "trace.h"
#include "x86_64/iodev.h"

#define PORT_QUIRK 0x7e		/* VMMs of old rely on RIP past an OUT to it at the exit */

/* ---- exceptions ---- */

int exit_raise(struct vcpu *v, const struct decode_fault *fault)
{
	struct exit_resume *in = &v->exit->in;

	in->inject_vector = fault->vector;
	in->inject_has_error = fault->has_error;
	in->inject_error = fault->error;
	in->inject_cr2 = fault->cr2;
	in->flags |= RESUME_INJECT;
	trace_kvm_inj_exception(fault->vector, fault->has_error, fault->error);
	return 1;
}

/* ---- port access ---- */

/* Tell the VMM of a port access; an OUT's data are in the port page already. */
void run_exit_io(struct vcpu *v, bool out, u16 port, u32 size, u32 count)
{
	struct kvm_run *run = v->run;

	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = out ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN;
	run->io.size = size;
	run->io.port = port;
	run->io.count = count;
	run->io.data_offset = KVM_PIO_PAGE_OFFSET * PAGE_SIZE;
}

static void resume_rip(struct vcpu *v, u64 rip)
{
	v->exit->in.rip = rip;
	v->exit->in.flags |= RESUME_RIP;
}

/* What an IN gives, 4 bytes whatever its size: below 4 it merges into RAX, at 4 it clears the upper half. */
static void resume_in(struct vcpu *v, u64 rax, u32 size, u64 value)
{
	u64 mask = size < 4 ? (1ull << (8 * size)) - 1 : ~0ull;

	v->exit->in.rax = (rax & ~mask) | (value & mask);
	v->exit->in.flags |= RESUME_RAX;
}

/* The VMM has answered an IN. Apart and last, so that nothing is kept for it. */
static noinline int in_traced(const struct vcpu *v)
{
	const struct exit_state *out = &v->exit->out;

	trace_kvm_pio(KVM_EXIT_IO_IN, out->port, out->size, 1, v->pio);
	return 1;
}

/*
 * The VMM has dealt with the port. If it moved RIP meanwhile (a reset does), the
 * instruction counts as never executed.
 */
static int io_complete(struct vcpu *v)
{
	const struct exit_state *out = &v->exit->out;

	if (v->arch.rip + v->arch.cs_base != v->arch.io_linear)
		return 1;
	resume_rip(v, out->next_rip);
	if (out->write)
		return 1;
	resume_in(v, v->arch.rax, out->size, *(u32 *)v->pio);
	return trace_kvm_pio_enabled() ? in_traced(v) : 1;
}

/* A port where a device of the kernel may be: true when it took the access. */
static noinline bool io_device(struct vcpu *v)
{
	const struct exit_state *out = &v->exit->out;
	u32 data = out->data;

	if (iodev_access(v, IO_PIO, out->port, out->size, &data, out->write))
		return false;
	if (!out->write) {
		trace_kvm_pio(KVM_EXIT_IO_IN, out->port, out->size, 1, &data);
		resume_in(v, out->data, out->size, data);
	}
	resume_rip(v, out->next_rip);
	return true;
}

static int exit_io(struct vcpu *v)
{
	const struct exit_state *out = &v->exit->out;
	u32 size = out->size, write = out->write;
	u64 rip, cs_base;

	v->counters.io_exits++;
	if (trace_kvm_pio_enabled() && write)
		trace_kvm_pio(KVM_EXIT_IO_OUT, out->port, size, 1, &out->data);
	if (unlikely(iodev_port(out->port)) && io_device(v))
		return 1;
	if (write && io_write(v->vm, IO_PIO, out->port, size, &out->data)) {
		resume_rip(v, out->next_rip);
		return 1;
	}
	rip = out->rip;
	cs_base = out->cs_base;
	v->arch.rip = rip;
	v->arch.cs_base = cs_base;
	v->arch.rax = out->data;
	v->arch.io_linear = rip + cs_base;
	*(u32 *)v->pio = write ? out->data : 0;
	run_exit_io(v, write, out->port, size, 1);
	if (write && out->port == PORT_QUIRK && options_quirk(v->vm, KVM_X86_QUIRK_OUT_7E_INC_RIP))
		resume_rip(v, out->next_rip);
	else
		v->complete = io_complete;
	return 0;
}

/* ---- memory ---- */

#define LOG_DISTURBS 2	/* not to be told to anybody */

/*
 * With a log of writes a walk of the guest's page tables counts as one: those in a
 * read-only slot are for walks without (KVM executes each instruction in its emulator then).
 */
static bool log_disturbs(const struct vcpu *v, const struct slot *slot)
{
	return slot && arch_log_on(v) && v->exit->out.error & FAULT_TABLE;
}

/* RAM that the guest lacks, or an access for the decoder. vm.srcu held. */
static int fault(struct vcpu *v)
{
	const struct exit_state *out = &v->exit->out;
	bool write = out->error & FAULT_WRITE;
	u64 gfn = out->gpa >> PAGE_SHIFT;
	struct slot *slot = slot_find(v->vm, gfn);
	int rc;

	v->counters.pf_taken++;
	if (!slot || (write && slot->flags & KVM_MEM_READONLY))
		return log_disturbs(v, slot) ? LOG_DISTURBS : emulate_exit(v);
	v->counters.pf_fixed++;
	rc = map_fault(v, slot, gfn, write);
	return rc ? rc : 1;
}

static int exit_fault(struct vcpu *v)
{
	int idx, rc;

	trace_kvm_page_fault(v);
	idx = srcu_read_lock(&v->vm->srcu);
	rc = fault(v);
	srcu_read_unlock(&v->vm->srcu, idx);
	if (likely(rc != LOG_DISTURBS))
		return rc;
	log_refuse(v->vm);
	return 1;
}

static int exit_emulate(struct vcpu *v)
{
	int idx = srcu_read_lock(&v->vm->srcu);
	int rc = emulate_exit(v);

	srcu_read_unlock(&v->vm->srcu, idx);
	return rc;
}

/* ---- the others ---- */

/* A physical interrupt: taken when interrupts were opened. */
static int exit_interrupt(struct vcpu *v)
{
	v->counters.irq_exits++;
	if (unlikely(v->exit->in.deadline))
		apic_timer_look(v);
	pvclock_check(v);
	return 1;
}

/* The log's entries are taken already. */
static int exit_log(struct vcpu *v)
{
	return 1;
}

/* arch_run_again() sees the open window. */
static int exit_window(struct vcpu *v)
{
	v->counters.irq_window_exits++;
	return 1;
}

static int exit_hlt(struct vcpu *v)
{
	v->counters.halt_exits++;
	if (vcpu_has_lapic(v))
		return mp_halt(v);
	v->run->exit_reason = KVM_EXIT_HLT;
	return 0;
}

/* After AMD's shutdown the state is undefined. As KVM, which resets it there. */
static int exit_shutdown(struct vcpu *v)
{
	int rc = arch_is_amd() ? state_reset(v) : 0;

	if (arch_is_amd())
		mp_reset_paravirtual(v);
	if (rc)
		return rc;
	v->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return 0;
}

static int exit_fail_entry(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	run->fail_entry.hardware_entry_failure_reason = v->exit->out.data;
	run->fail_entry.cpu = v->cpu;
	return 0;
}

static int exit_debug(struct vcpu *v)
{
	const struct exit_state *out = &v->exit->out;
	struct kvm_run *run = v->run;

	run->exit_reason = KVM_EXIT_DEBUG;
	run->debug.arch.exception = out->data;
	run->debug.arch.pc = out->cs_base + out->rip;
	run->debug.arch.dr6 = out->qual[0];
	run->debug.arch.dr7 = out->qual[1];
	return 0;
}

static int exit_internal(struct vcpu *v)
{
	const struct exit_state *out = &v->exit->out;
	struct kvm_run *run = v->run;
	u32 i;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = out->data;
	run->internal.ndata = min_t(u32, out->qual_count, ARRAY_SIZE(out->qual));
	for (i = 0; i < run->internal.ndata && i < ARRAY_SIZE(out->qual); i++)
		run->internal.data[i] = out->qual[i];
	return 0;
}

static int (*const exit_table[])(struct vcpu *v) = {
	[EXIT_INTR] = exit_interrupt,
	[EXIT_IO] = exit_io,
	[EXIT_HLT] = exit_hlt,
	[EXIT_FAULT] = exit_fault,
	[EXIT_EMULATE] = exit_emulate,
	[EXIT_IRQ_WINDOW] = exit_window,
	[EXIT_SHUTDOWN] = exit_shutdown,
	[EXIT_FAIL_ENTRY] = exit_fail_entry,
	[EXIT_DEBUG] = exit_debug,
	[EXIT_TASK] = taskswitch_exit,
	[EXIT_INTERNAL] = exit_internal,
	[EXIT_MSR] = msr_exit,
	[EXIT_EOI] = apic_exit_eoi,
	[EXIT_LOG] = exit_log,
	[EXIT_CPUID] = cpuid_exit,
};

/* What the guest's stay tells the LAPIC: CR8 is TPR, and there may be something to look after. */
static noinline void lapic_exit(struct vcpu *v)
{
	lapic_set_cr8(&v->arch.lapic, v->exit->out.cr8);
	if (v->arch.watch)
		apic_watch(v);
}

static bool lapic_concerned(const struct vcpu *v)
{
	return vcpu_has_lapic(v) &&
		(apic_cr8(v) != v->exit->out.cr8 || v->arch.watch);
}

static inline int exit_dispatch(struct vcpu *v)
{
	u32 reason = v->exit->out.reason;

	/* The most frequent one without an indirect call, which retpolines make dear. */
	if (reason == EXIT_IO)
		return exit_io(v);
	if (likely(reason < ARRAY_SIZE(exit_table) && exit_table[reason]))
		return exit_table[reason](v);
	v->run->exit_reason = KVM_EXIT_UNKNOWN;
	v->run->hw.hardware_exit_reason = reason;
	return 0;
}

/* Apart, so that the usual way has no call to save registers for. */
static noinline int exit_lapic(struct vcpu *v)
{
	lapic_exit(v);
	return exit_dispatch(v);
}

int arch_run_exit(struct vcpu *v)
{
	v->exit->in.flags = 0;
	return unlikely(lapic_concerned(v)) ? exit_lapic(v) : exit_dispatch(v);
}

/* ---- around an entry ---- */

static int options_look(struct vcpu *v)
{
	return likely(READ_ONCE(v->vm->arch.options.serial) == v->arch.options.serial) ? 0 : options_noticed(v);
}

int arch_run_begin(struct vcpu *v)
{
	u64 cr8 = READ_ONCE(v->run->cr8);
	int rc = options_look(v);

	if (unlikely(v->arch.steal.msr))
		steal_update(v);
	if (rc || vcpu_has_lapic(v))
		return rc;
	if (cr8 > CR8_MAX)
		return -EINVAL;
	v->arch.cr8 = cr8;
	v->exit->in.cr8 = cr8;
	v->exit->in.flags |= RESUME_CR8;
	return 0;
}

/* The VMM's PIC, or all its interrupt controllers, wait for the guest to take an interrupt. */
bool arch_wants_window(struct vcpu *v)
{
	return !vcpu_has_lapic(v) || apic_takes_interrupt(v);
}

static bool vmm_wants_window(struct vcpu *v)
{
	return unlikely(READ_ONCE(v->run->request_interrupt_window)) && arch_wants_window(v);
}

int arch_run_again(struct vcpu *v)
{
	int rc = options_look(v);

	if (unlikely(rc))
		return rc;
	if (unlikely(v->arch.steal.msr))
		steal_check(v);
	if (likely(!vmm_wants_window(v)))
		return 1;
	/* An exception that waits for the entry comes before any interrupt. */
	if (!v->entered || !v->exit->out.ready || v->exit->in.flags & RESUME_INJECT)
		return 1;
	v->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
	v->counters.request_irq_exits++;
	return 0;
}

/* Without a LAPIC CR8 is the VMM's. An emulated MOV to it waits for the next entry. */
static void cr8_end(struct vcpu *v)
{
	const struct exit_page *page = v->exit;

	if (v->entered)
		v->arch.cr8 = page->in.flags & RESUME_CR8 ? page->in.cr8 : page->out.cr8;
	v->run->cr8 = v->arch.cr8;
}

void arch_run_end(struct vcpu *v)
{
	const struct exit_state *out = &v->exit->out;
	struct kvm_run *run = v->run;

	if (likely(v->entered)) {
		v->arch.ran = true;
		v->arch.pdptes_kept = false;
		v->arch.if_flag = out->if_flag;
		v->arch.ready = out->ready;
	}
	run->if_flag = v->arch.if_flag;
	run->apic_base = v->arch.lapic.base;
	if (vcpu_has_lapic(v)) {
		run->ready_for_interrupt_injection = apic_ready(v);
		run->cr8 = apic_cr8(v);
	} else {
		run->ready_for_interrupt_injection = v->arch.ready;
		cr8_end(v);
	}
}
