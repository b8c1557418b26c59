// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * mcheck.c - a vCPU's machine-check banks, and errors that the VMM puts into them.
 *
 * Owns: vcpu.arch.mcg_cap and vcpu.arch.mcheck. No error of the machine itself ever
 * comes here: those are Linux's.
 * Called by: msr.c, ioctl.c. Concurrency: v->lock.
 * See: SDM volume 3, chapter 16; APM volume 2, chapter 9;
 * Documentation/virt/kvm/api.rst 4.104 ff.
 */
#include <linux/nospec.h>
#include <linux/slab.h>
#include <asm/mce.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "tenon.h"

#define BANKS 32u
#define BANK_CTL2 0x280u
#define BANK_FIRST 0x400u
#define CAP_OFFERED (MCG_CTL_P | MCG_SER_P)
#define CAP_COUNTS 0xff00ffull		/* banks, and extended registers: any number of those */
#define CAP_AMD 0x1ffull
#define HWCR_MSR 0xc0010015u
#define HWCR_STATUS_WRITE 0x40000ull
#define VECTOR_MC 18u

/* A bank's registers. */
enum { CTL, STATUS, ADDR, MISC, BANK_REGS };

struct mcheck {
	u64 status, ctl;
	u64 bank[BANKS][BANK_REGS];
};

static u32 banks(const struct vcpu *v)
{
	return v->arch.mcg_cap & 0xff;
}

int mcheck_create(struct vcpu *v)
{
	v->arch.mcg_cap = BANKS;
	v->arch.mcheck = kzalloc(sizeof(*v->arch.mcheck), GFP_KERNEL_ACCOUNT);
	return v->arch.mcheck ? 0 : -ENOMEM;
}

void mcheck_free(struct vcpu *v)
{
	kfree(v->arch.mcheck);
}

/* ---- registers ---- */

/* MCG_CTL and the banks' CTL2 are there for the VMM alone while MCG_CAP does not have them. */
static bool ctl_there(const struct vcpu *v)
{
	return v->arch.mcg_cap & MCG_CTL_P;
}

/* A bank's register, NULL past the last bank. */
static u64 *bank_register(struct vcpu *v, u32 msr)
{
	u32 i = msr - BANK_FIRST;

	if (i >= banks(v) * BANK_REGS)
		return NULL;
	i = array_index_nospec(i, BANKS * BANK_REGS);
	return &v->arch.mcheck->bank[0][0] + i;
}

static bool is_ctl2(const struct vcpu *v, u32 msr)
{
	return msr - BANK_CTL2 < banks(v);
}

int mcheck_read(struct vcpu *v, u32 msr, u64 *value, bool host)
{
	u64 *bank;

	*value = 0;
	switch (msr) {
	case MSR_IA32_MCG_CAP: *value = v->arch.mcg_cap; return 0;
	case MSR_IA32_MCG_STATUS: *value = v->arch.mcheck->status; return 0;
	case MSR_IA32_MCG_CTL:
		*value = v->arch.mcheck->ctl;
		return ctl_there(v) || host ? 0 : MSR_BAD;
	}
	if (msr < BANK_FIRST)
		return is_ctl2(v, msr) && host ? 0 : MSR_BAD;
	bank = bank_register(v, msr);
	if (bank)
		*value = *bank;
	return bank ? 0 : MSR_BAD;
}

static int write_ctl(struct vcpu *v, u64 value, bool host)
{
	if (!ctl_there(v) && (value || !host))
		return MSR_BAD;
	if (value && ~value)
		return MSR_BAD;
	v->arch.mcheck->ctl = value;
	return 0;
}

/* CTL is nothing or all; two bits may miss, as guests leave them out for old machines' sake. */
static bool bank_valid(struct vcpu *v, u32 msr, u64 value, bool host)
{
	u64 hwcr = 0;

	switch (msr % BANK_REGS) {
	case CTL:
		return !value || !~(value | 1 << 10 | 1);
	case STATUS:
		if (!value || host)
			return true;
		msr_read(v, HWCR_MSR, &hwcr, true);
		return arch_is_amd() && hwcr & HWCR_STATUS_WRITE;
	default:
		return true;
	}
}

int mcheck_write(struct vcpu *v, u32 msr, u64 value, bool host)
{
	u64 *bank;

	switch (msr) {
	case MSR_IA32_MCG_CAP: return MSR_BAD;
	case MSR_IA32_MCG_STATUS: v->arch.mcheck->status = value; return 0;
	case MSR_IA32_MCG_CTL: return write_ctl(v, value, host);
	}
	if (msr < BANK_FIRST)
		return is_ctl2(v, msr) && host && !value ? 0 : MSR_BAD;
	bank = bank_register(v, msr);
	if (!bank || !bank_valid(v, msr, value, host))
		return MSR_BAD;
	*bank = value;
	return 0;
}

/* ---- ioctls ---- */

long mcheck_supported(void *object, unsigned long arg)
{
	return put_user((u64)CAP_OFFERED, (u64 __user *)arg);
}

long mcheck_setup(void *object, unsigned long arg)
{
	struct vcpu *v = object;
	u32 i;
	u64 cap;

	if (get_user(cap, (u64 __user *)arg))
		return -EFAULT;
	if (!(cap & 0xff) || (cap & 0xff) > BANKS || cap & ~(CAP_OFFERED | CAP_COUNTS))
		return -EINVAL;
	/* On AMD's processors the bits above are reserved: KVM drops what it has accepted. */
	v->arch.mcg_cap = arch_is_amd() ? cap & CAP_AMD : cap;
	if (ctl_there(v))
		v->arch.mcheck->ctl = ~0ull;
	for (i = 0; i < banks(v); i++)
		v->arch.mcheck->bank[i][CTL] = ~0ull;
	return 0;
}

static void bank_fill(u64 *bank, const struct kvm_x86_mce *e)
{
	bank[STATUS] = e->status | (bank[STATUS] & MCI_STATUS_VAL ? MCI_STATUS_OVER : 0);
	bank[ADDR] = e->addr;
	bank[MISC] = e->misc;
}

/* An uncorrected error that needs nobody: noted, no exception. */
static bool needs_no_action(const struct kvm_x86_mce *e)
{
	u64 bits = MCI_STATUS_VAL | MCI_STATUS_UC | MCI_STATUS_PCC | MCI_STATUS_S | MCI_STATUS_AR;

	return !e->mcg_status && (e->status & bits) == (MCI_STATUS_VAL | MCI_STATUS_UC);
}

/* #MC, or a shutdown where the guest cannot take one. */
static int raise(struct vcpu *v, u64 *bank, const struct kvm_x86_mce *e)
{
	struct state_fields s = {};
	u64 cr4;
	int rc = state_read_one(v, STATE_CR4, &cr4);

	if (rc)
		return rc;
	if (v->arch.mcheck->status & MCG_STATUS_MCIP || !(cr4 & X86_CR4_MCE)) {
		vcpu_request(v, REQUEST_SHUTDOWN);
		return 0;
	}
	bank_fill(bank, e);
	v->arch.mcheck->status = e->mcg_status;
	v->arch.events_unknown = true;
	state_put_exception(&s, VECTOR_MC, false, 0);
	return state_write(v, &s);
}

static int error_set(struct vcpu *v, const struct kvm_x86_mce *e)
{
	u64 *bank = v->arch.mcheck->bank[array_index_nospec(e->bank, BANKS)];

	if (needs_no_action(e)) {
		bank[STATUS] = e->status;
		bank[ADDR] = e->addr;
		bank[MISC] = e->misc;
		v->arch.mcheck->status = e->mcg_status;
		return 0;
	}
	if (e->status & MCI_STATUS_UC) {
		/* Reporting is switched off, for all banks or for this one. */
		if ((ctl_there(v) && ~v->arch.mcheck->ctl) || ~bank[CTL])
			return 0;
		return raise(v, bank, e);
	}
	if (bank[STATUS] & MCI_STATUS_VAL && bank[STATUS] & MCI_STATUS_UC)
		bank[STATUS] |= MCI_STATUS_OVER;
	else
		bank_fill(bank, e);
	return 0;
}

long mcheck_set(void *object, unsigned long arg)
{
	struct kvm_x86_mce e;
	struct vcpu *v = object;

	if (copy_from_user(&e, (void __user *)arg, sizeof(e)))
		return -EFAULT;
	if (e.bank >= banks(v) || !(e.status & MCI_STATUS_VAL))
		return -EINVAL;
	return error_set(v, &e);
}
