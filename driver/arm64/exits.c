// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * exits.c - from the hypervisor's exit page to KVM's exits in kvm_run, and back
 * at the next entry.
 *
 * Owns: the table of exits; an MMIO access that waits for the VMM; the waits of
 * WFI and of vCPUs that are off.
 * Invariant: kvm_run belongs to the VMM too, so nothing is taken back from it
 * but the data of a read and the level of the timer's line that it was told.
 * Called by: run.c. Calls: map.c, eventfd.c, psci.c.
 * Concurrency: v->lock.
 * See: abi/arm64/exit.h; Documentation/virt/kvm/api.rst section 5.
 */
#include <asm/esr.h>

#include "gic_state.h"
#include "trace.h"

/* ---- memory ---- */

static u32 mmio_size(u64 esr)
{
	return 1u << ((esr & ESR_ELx_SAS) >> ESR_ELx_SAS_SHIFT);
}

/* The lowest `size` bytes, swapped. */
static noinline u64 mmio_swab(u64 value, u32 size)
{
	switch (size) {
	case 2: return swab16(value);
	case 4: return swab32(value);
	case 8: return swab64(value);
	}
	return value & 0xff;
}

/* `size` bytes of a register in the guest's byte order, or back; what lies above them is dropped. */
static __always_inline u64 mmio_order(u64 value, u32 size, bool big_endian)
{
	if (unlikely(big_endian))
		return mmio_swab(value, size);
	return value & (~0ull >> (64 - 8 * size));
}

/* What a load leaves in its register: sign and width as its syndrome says. */
static __always_inline u64 load_value(u64 esr, u64 value, bool big_endian)
{
	u32 size = mmio_size(esr);

	value = mmio_order(value, size, big_endian);
	if (esr & ESR_ELx_SSE)
		value = sign_extend64(value, 8 * size - 1);
	return esr & ESR_ELx_SF ? value : (u32)value;
}

/* The access is done: a load's register, and the next instruction. */
static __always_inline int mmio_done(struct vcpu *v, u64 esr, u64 value)
{
	struct exit_page *page = v->exit;
	u32 flags = page->in.flags | RESUME_SKIP;

	if (!(esr & ESR_ELx_WNR)) {
		page->in.reg = (esr & ESR_ELx_SRT_MASK) >> ESR_ELx_SRT_SHIFT;
		page->in.value = load_value(esr, value, page->out.big_endian);
		flags |= RESUME_REG;
	}
	page->in.flags = flags;
	return 1;
}

static int mmio_complete(struct vcpu *v)
{
	u64 value;

	memcpy(&value, v->run->mmio.data, sizeof(value));
	if (!(v->arch.mmio_esr & ESR_ELx_WNR))
		trace_kvm_mmio(TRACE_MMIO_READ, mmio_size(v->arch.mmio_esr), v->exit->out.gpa, value);
	return mmio_done(v, v->arch.mmio_esr, value);
}

/* An access that the driver ends: the GIC, ioeventfds, zones. Apart from exit_mmio(), so that the VMM's pay for none of it. */
static noinline bool mmio_take(struct vcpu *v, u64 esr, u64 gpa, u64 data)
{
	bool write = esr & ESR_ELx_WNR, done = true;
	u32 size = mmio_size(esr);

	if (!(gic_covers(v->vm, gpa) &&
	      (gic_access(v, gpa, size, write, &data) || its_access(v, gpa, size, write, &data, &done))) &&
	    !(write && io_write(v->vm, IO_MMIO, gpa, size, &data)))
		return false;
	/* The guest's instruction comes again, and goes on with it; signals and others have their turn before. */
	if (!done)
		return true;
	trace_kvm_mmio(write ? TRACE_MMIO_WRITE : TRACE_MMIO_READ, size, gpa, data);
	mmio_done(v, esr, data);
	return true;
}

/* Does it look as if mmio_take() had something for it? */
static __always_inline bool mmio_ours(struct vcpu *v, u64 gpa, bool write)
{
	return gic_covers(v->vm, gpa) || (write && rcu_access_pointer(v->vm->io[IO_MMIO]));
}

static __always_inline int exit_mmio(struct vcpu *v)
{
	const struct exit_state *out = &v->exit->out;
	u64 esr = out->esr, gpa = out->gpa, data = 0;
	bool write = esr & ESR_ELx_WNR;
	struct kvm_run *run = v->run;
	u32 size = mmio_size(esr);

	if (unlikely(!(esr & ESR_ELx_ISV)))
		return -ENOSYS;
	if (write)
		data = mmio_order(out->data, size, out->big_endian);
	if (mmio_ours(v, gpa, write) && mmio_take(v, esr, gpa, data))
		return 1;
	v->arch.mmio_esr = esr;
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = gpa;
	run->mmio.len = size;
	run->mmio.is_write = write;
	memcpy(run->mmio.data, &data, sizeof(data));
	v->complete = mmio_complete;
	return 0;
}

static int abort_guest(struct vcpu *v, bool fetch)
{
	v->exit->in.far = v->exit->out.far;
	v->exit->in.flags |= fetch ? RESUME_FETCH_ABORT : RESUME_ABORT;
	return 1;
}

/* Nothing is mapped there: instructions and page tables cannot be devices, cache maintenance has nothing to do. */
static int exit_no_slot(struct vcpu *v)
{
	u64 esr = v->exit->out.esr;

	if (ESR_ELx_EC(esr) == ESR_ELx_EC_IABT_LOW)
		return abort_guest(v, true);
	if (esr & ESR_ELx_S1PTW)
		return abort_guest(v, false);
	if (esr & ESR_ELx_CM) {
		v->exit->in.flags |= RESUME_SKIP;
		return 1;
	}
	return exit_mmio(v);
}

/* The table walk of a processor that sets access flags writes; it says so by a permission fault. */
static bool fault_is_write(u64 esr)
{
	if (ESR_ELx_EC(esr) == ESR_ELx_EC_IABT_LOW)
		return false;
	if (esr & ESR_ELx_S1PTW)
		return (esr & ESR_ELx_FSC_TYPE) == ESR_ELx_FSC_PERM;
	return esr & ESR_ELx_WNR;
}

/* The page of the last access that was nobody's: it is one still, unless the slots have changed. */
static __always_inline bool hole_known(const struct vcpu *v, u64 gfn)
{
	return v->arch.hole_gfn == gfn && v->arch.hole_serial == READ_ONCE(v->vm->slots_serial);
}

/* vm.srcu held; `serial` was read before the look-up, so that it is never newer than the slots that were searched. */
static struct slot *slot_or_hole(struct vcpu *v, u64 gfn)
{
	u64 serial = srcu_dereference(v->vm->slots, &v->vm->srcu)->serial;
	struct slot *slot = slot_find(v->vm, gfn);

	if (!slot) {
		v->arch.hole_gfn = gfn;
		v->arch.hole_serial = serial;
	}
	return slot;
}

static int fault(struct vcpu *v)
{
	const struct exit_state *out = &v->exit->out;
	u64 type = out->esr & ESR_ELx_FSC_TYPE, gfn = out->gpa >> PAGE_SHIFT;
	bool write = fault_is_write(out->esr), ram;
	struct vm *vm = v->vm;
	struct slot *slot;
	int rc = 0, idx;

	if (type != ESR_ELx_FSC_FAULT && type != ESR_ELx_FSC_PERM && type != ESR_ELx_FSC_ACCESS)
		return -EFAULT;
	if (hole_known(v, gfn))
		return exit_no_slot(v);
	idx = srcu_read_lock(&vm->srcu);
	slot = slot_or_hole(v, gfn);
	ram = slot && !(write && slot->flags & KVM_MEM_READONLY);
	if (ram)
		rc = map_fault(v, slot, gfn, write);
	srcu_read_unlock(&vm->srcu, idx);
	if (ram)
		return rc ? rc : 1;
	return exit_no_slot(v);
}

static int exit_fault(struct vcpu *v)
{
	trace_kvm_guest_fault(v);
	return fault(v);
}

/* ---- waiting ---- */

static bool lines_up(struct vcpu *v)
{
	return v->vm->arch.gic ? gic_wakes(v) : READ_ONCE(v->arch.lines) & (LINE_IRQ | LINE_FIQ);
}

static void timer_line(struct vcpu *v)
{
	if (v->vm->arch.gic)
		gic_line(v->vm, v, GIC_TIMER_IRQ, true);
}

/* 0, or -ETIME after that time, or a signal's errno. */
static int sleep(struct vcpu *v, ktime_t delay)
{
	ktime_t from = ktime_get();
	int rc = wait_event_interruptible_hrtimeout(v->arch.wait, lines_up(v) || READ_ONCE(v->arch.power_off), delay);

	trace_kvm_vcpu_wakeup(ktime_get() - from);
	return rc;
}

int wait_for_interrupt(struct vcpu *v, u64 deadline)
{
	ktime_t delay = deadline ? timer_delay(deadline) : KTIME_MAX;

	/* A timer that expired before and that the guest masks in its GIC wakes nobody. */
	if (v->vm->arch.gic && v->exit->out.timer_level)
		delay = KTIME_MAX;
	if (delay && sleep(v, delay) == -ETIME)
		timer_line(v);
	return 1;
}

/* KVM_RUN of a vCPU that is off: until PSCI turns it on, or a signal. */
int wait_for_power(struct vcpu *v)
{
	if (likely(!smp_load_acquire(&v->arch.power_off)))
		return 1;
	if (!wait_event_interruptible(v->arch.wait, !smp_load_acquire(&v->arch.power_off)))
		return 1;
	v->run->exit_reason = KVM_EXIT_INTR;
	return -EINTR;
}

void vcpu_kick(struct vcpu *v)
{
	struct task_struct *task;

	wake_up(&v->arch.wait);
	rcu_read_lock();
	task = READ_ONCE(v->arch.task);
	if (task)
		kick_process(task);
	rcu_read_unlock();
}

/* ---- the others ---- */

static int exit_again(struct vcpu *v)
{
	return 1;
}

static int exit_wfi(struct vcpu *v)
{
	return wait_for_interrupt(v, v->exit->out.data);
}

static int exit_sgi(struct vcpu *v)
{
	if (v->vm->arch.gic)
		gic_sgi(v, v->exit->out.esr >> 17 & 7, v->exit->out.data);
	return 1;
}

static int (*const exit_table[])(struct vcpu *v) = {
	[EXIT_INTR] = exit_again,	/* taken when interrupts were opened */
	[EXIT_WFI] = exit_wfi,
	[EXIT_FAULT] = exit_fault,
	[EXIT_SMCCC] = psci_exit,
	[EXIT_SGI] = exit_sgi,
	[EXIT_SERROR] = exit_again,	/* likewise */
};

int arch_run_exit(struct vcpu *v)
{
	u32 reason = v->exit->out.reason;

	v->exit->in.flags = 0;
	if (v->exit->in.gic.on)
		gic_exit(v);
	if (likely(reason < ARRAY_SIZE(exit_table) && exit_table[reason]))
		return exit_table[reason](v);
	v->run->exit_reason = KVM_EXIT_UNKNOWN;
	v->run->hw.hardware_exit_reason = reason;
	return 0;
}

/* ---- around an entry ---- */

/* From now on the VM keeps its GIC, or has none. */
int arch_run_first(struct vcpu *v)
{
	struct vm *vm = v->vm;
	int rc;

	mutex_lock(&vm->lock);
	rc = vm->arch.gic ? gic_ready(vm) : 0;
	if (!rc)
		v->arch.ran = true;
	mutex_unlock(&vm->lock);
	v->exit->in.gic.on = vm->arch.gic != NULL;
	return rc;
}

/* Lines are read with interrupts off: a change that comes later brings its kick. */
void arch_run_enter(struct vcpu *v)
{
	v->exit->in.lines = READ_ONCE(v->arch.lines);
	if (v->exit->in.gic.on) {
		v->exit->in.timer_level = v->exit->out.timer_level;
		gic_enter(v);
	} else {
		v->exit->in.timer_level = !!(v->run->s.regs.device_irq_level & KVM_ARM_DEV_EL1_VTIMER);
	}
}

int arch_run_ready(struct vcpu *v)
{
	int rc = likely(!smp_load_acquire(&v->arch.power_off)) ? 1 : wait_for_power(v);

	if (unlikely(rc > 0 && READ_ONCE(v->arch.on_pending)))
		rc = psci_begin(v) ? : 1;
	return rc;
}

/* The VMM hears of a change of the timer's line by a return with -EINTR, as from KVM. */
int arch_run_again(struct vcpu *v)
{
	bool told = v->run->s.regs.device_irq_level & KVM_ARM_DEV_EL1_VTIMER;
	int rc = arch_run_ready(v);

	if (rc > 0 && v->entered && !v->exit->in.gic.on && !!v->exit->out.timer_level != told) {
		v->run->exit_reason = KVM_EXIT_INTR;
		return -EINTR;
	}
	return rc;
}
