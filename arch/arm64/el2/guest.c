/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest.c - a user VM on this CPU: one stay, and what ended it, by exception
 * class. A class without a row is an undefined instruction to the guest.
 *
 * Handlers: 0 = answered here, enter again; 1 = the exit page is filled.
 * Called by: guest/run.c. See: Arm ARM D17.2.37 (ESR_EL2), D8.14 (HPFAR_EL2).
 */
#include "vcpu_arch.h"
#include "vm.h"

#define WFX_IS_WFE 1ull
#define PAR_FAILED 1ull
#define PAR_ADDRESS 0x0000fffffffff000ull

typedef int (*guest_fn)(struct cpu *cpu, struct vcpu *v, u64 esr);

static int leave(struct vcpu *v, u32 reason)
{
	v->page->out.reason = reason;
	return 1;
}

static void step_over(struct vcpu *v)
{
	v->arch.regs.pc += 4;
}

static int guest_undefined(struct cpu *cpu, struct vcpu *v, u64 esr)
{
	(void)cpu;
	guest_el1_get(v);
	inject_exception(v, esr & ESR_IL);
	guest_el1_put(v);
	return 0;
}

/* WFI waits in the driver, unless something is there already. */
static int guest_wfx(struct cpu *cpu, struct vcpu *v, u64 esr)
{
	u64 ctl = read_sysreg(cntv_ctl_el0);

	(void)cpu;
	step_over(v);
	if ((esr & WFX_IS_WFE) || (read_sysreg(hcr_el2) & (HCR_VI | HCR_VF | HCR_VSE)))
		return 0;
	v->page->out.data = (ctl & (CNTV_ENABLE | CNTV_IMASK)) == CNTV_ENABLE ?
		read_sysreg(cntv_cval_el0) + v->vm->arch.cntvoff : 0;
	return leave(v, EXIT_WFI);
}

static int guest_fp_trap(struct cpu *cpu, struct vcpu *v, u64 esr)
{
	(void)esr;
	guest_fp(cpu, v);
	return 0;
}

static int guest_hvc(struct cpu *cpu, struct vcpu *v, u64 esr)
{
	(void)cpu;
	(void)esr;
	return guest_smccc(v) ? leave(v, EXIT_SMCCC) : 0;
}

/* KVM's guests have no EL3: SMC answers "not supported". A trapped SMC's ELR is on it. */
static int guest_smc(struct cpu *cpu, struct vcpu *v, u64 esr)
{
	(void)cpu;
	(void)esr;
	v->arch.regs.x[0] = ~0ull;
	step_over(v);
	return 0;
}

static int guest_sysreg(struct cpu *cpu, struct vcpu *v, u64 esr)
{
	int what = sysreg_trap(v, esr);

	if (what == SYSREG_UNDEFINED)
		return guest_undefined(cpu, v, ESR_IL);
	step_over(v);
	return what == SYSREG_SGI ? leave(v, EXIT_SGI) : 0;
}

/*
 * HPFAR_EL2 holds no address after a permission fault of the access itself
 * (D17.2.62): the guest's own tables tell. They may have changed: then 0, again.
 */
static int fault_ipa(u64 esr, u64 far, u64 *ipa)
{
	u64 par, kept;

	if (!FSC_PERMISSION(ISS_FSC(esr)) || (esr & ISS_S1PTW)) {
		*ipa = (read_sysreg(hpfar_el2) & ~0xfull) << 8;
		return 1;
	}
	kept = read_sysreg(par_el1);
	asm volatile("at s1e1r, %0" : : "r"(far));
	isb();
	par = read_sysreg(par_el1);
	write_sysreg(par_el1, kept);
	*ipa = par & PAR_ADDRESS;
	return !(par & PAR_FAILED);
}

static int big_endian(const struct vcpu *v)
{
	u64 bit = v->arch.regs.pstate & 0xc ? SCTLR_EE : SCTLR_E0E;

	return !!(read_sysreg(sctlr_el1) & bit);
}

/* Bad memory, or a bus: as KVM without firmware's help the guest gets a virtual SError, and tries again. */
static int guest_bad_memory(struct vcpu *v)
{
	v->page->exits[EXIT_SERROR]++;
	v->arch.vsesr = SERROR_IMPDEF;
	write_sysreg(hcr_el2, read_sysreg(hcr_el2) | HCR_VSE);
	return leave(v, EXIT_SERROR);
}

/* Memory to map, or MMIO: the driver has the slots. */
static int guest_abort(struct cpu *cpu, struct vcpu *v, u64 esr)
{
	struct exit_state *out = &v->page->out;
	u32 reg = (u32)(esr >> 16) & 31;
	u64 far = read_sysreg(far_el2), ipa;

	(void)cpu;
	if (unlikely(FSC_ERROR(ISS_FSC(esr))))
		return guest_bad_memory(v);
	if (!fault_ipa(esr, far, &ipa))
		return 0;
	v->arch.far = far;
	out->gpa = ipa | (far & (PAGE_SIZE - 1));
	out->far = far;
	out->esr = esr;
	out->data = reg < 31 ? v->arch.regs.x[reg] : 0;
	out->big_endian = (u32)big_endian(v);
	return leave(v, EXIT_FAULT);
}

static const struct {
	guest_fn fn;
	u32 stat;
} rows[64] = {
	[EC_WFX] = { guest_wfx, EXIT_WFI },
	[EC_FP] = { guest_fp_trap, EXIT_FP },
	[EC_HVC64] = { guest_hvc, EXIT_HYPERCALL },
	[EC_SMC64] = { guest_smc, EXIT_SMC },
	[EC_SYS64] = { guest_sysreg, EXIT_SYSREG },
	[EC_IABT_LOW] = { guest_abort, EXIT_FAULT },
	[EC_DABT_LOW] = { guest_abort, EXIT_FAULT },
};

static int guest_sync(struct cpu *cpu, struct vcpu *v)
{
	u64 esr = read_sysreg(esr_el2);
	u32 ec = ESR_EC(esr);

	if (unlikely(!rows[ec].fn)) {
		v->page->exits[EXIT_OTHER]++;
		return guest_undefined(cpu, v, esr);
	}
	v->page->exits[rows[ec].stat]++;
	return rows[ec].fn(cpu, v, esr);
}

static int guest_serror(struct cpu *cpu, struct vcpu *v)
{
	service_serror(cpu, read_sysreg(esr_el2));
	v->page->exits[EXIT_SERROR]++;
	return leave(v, EXIT_SERROR);
}

static u64 __attribute__((noinline)) branches_forget(u64 kind)
{
	smc(SMCCC_WORKAROUND_1, 0, 0, 0);
	return kind;
}

int guest_enter(struct cpu *cpu, struct vcpu *v)
{
	u64 kind = el2_enter(&v->arch.regs);

	if (unlikely(cpu->fix_branch))
		kind = branches_forget(kind);
	if (likely(kind == EXIT_KIND_SYNC))
		return guest_sync(cpu, v);
	if (kind == EXIT_KIND_SERROR)
		return guest_serror(cpu, v);
	v->page->exits[EXIT_INTR]++;
	return leave(v, EXIT_INTR);
}
