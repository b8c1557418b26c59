/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.c - KVM's ioctls on a vCPU's state: init, registers, pending events.
 * The vCPU is not running, so its registers are in memory.
 *
 * Invariant: PSTATE names an exception level of the guest, EL0 or EL1, whatever
 * was asked for: an ERET to EL2 with a guest's PC would be the end.
 * See: Linux Documentation/virt/kvm/api.rst, 4.68 (ids), 4.82, 4.31.
 */
#include <string.h>
#include "call.h"
#include "errno.h"
#include "vcpu_arch.h"
#include "vm.h"

#define PSTATE_KEPT 0xf1c003cfull	/* flags, DIT, UAO, PAN, DAIF, M */

/* Runs of registers in KVM's struct kvm_regs: index in 32-bit words, and where they are here. */
#define CORE(first, count, words, field) { first, count, words, offsetof(struct vcpu_arch, field) }
static const struct core {
	u16 first, count, words, offset;
} cores[] = {
	CORE(0, 31, 2, regs.x),
	CORE(62, 1, 2, el1[EL1_SP_EL0]),
	CORE(64, 1, 2, regs.pc),
	CORE(66, 1, 2, regs.pstate),
	CORE(68, 1, 2, el1[EL1_SP_EL1]),
	CORE(70, 1, 2, el1[EL1_ELR_EL1]),
	CORE(72, 1, 2, el1[EL1_SPSR_EL1]),
	CORE(74, 4, 2, abi_spsr),
	CORE(84, 32, 4, fp.v),
	CORE(212, 1, 1, fp.fpsr),
	CORE(213, 1, 1, fp.fpcr),
};
#define CORE_PSTATE 66u

static u64 size_bits(u32 words)
{
	return words == 1 ? ABI_REG_U32 : words == 2 ? ABI_REG_U64 : ABI_REG_U128;
}

/* The register's place, or NULL with *err: no such index, or its size is another. */
static void *core_find(struct vcpu *v, u64 id, u32 *bytes, int *err)
{
	u32 at = (u32)id & 0xffff, i;

	*err = -ENOENT;
	for (i = 0; i < ARRAY_SIZE(cores); i++) {
		const struct core *c = &cores[i];

		if (at < c->first || at >= c->first + (u32)c->count * c->words)
			continue;
		*err = -EINVAL;
		if ((at - c->first) % c->words || (id & ABI_REG_SIZE_MASK) != size_bits(c->words))
			return NULL;
		*bytes = c->words * 4;
		return (u8 *)&v->arch + c->offset + (at - c->first) * 4;
	}
	return NULL;
}

static int core_get(struct vcpu *v, u64 id, u64 *value)
{
	u32 bytes;
	int err;
	void *at = core_find(v, id, &bytes, &err);

	if (!at)
		return err;
	memcpy(value, at, bytes);
	return 0;
}

/* EL0 or EL1 of a 64-bit guest, or its 32-bit EL0 where the processor has that. */
static int pstate_valid(u64 pstate)
{
	u64 mode = pstate & 0x1f;

	if (mode == 0x10)
		return id_field(read_sysreg(id_aa64pfr0_el1), 0) == 2;
	return mode == 0 || mode == PSTATE_EL1T || mode == PSTATE_EL1H;
}

static int core_set(struct vcpu *v, u64 id, const u64 *value)
{
	u32 bytes;
	int err;
	void *at = core_find(v, id, &bytes, &err);

	if (!at)
		return err;
	if (((u32)id & 0xffff) == CORE_PSTATE) {
		if (!pstate_valid(*value))
			return -EINVAL;
		v->arch.regs.pstate = *value & (PSTATE_KEPT | PSTATE_NRW);
		return 0;
	}
	memcpy(at, value, bytes);
	return 0;
}

s64 op_KVM_GET_ONE_REG(struct call *c)
{
	struct abi_one_reg *r = (struct abi_one_reg *)c->buf;
	u64 class = r->id & ABI_REG_CLASS_MASK;

	r->value[0] = r->value[1] = 0;
	c->out = sizeof(*r);
	if ((r->id & ABI_REG_ARCH_MASK) != ABI_REG_ARM64)
		return -EINVAL;
	if (class == ABI_REG_CORE)
		return core_get(c->vcpu, r->id, r->value);
	if (class == ABI_REG_SYSREG && (r->id & ABI_REG_SIZE_MASK) == ABI_REG_U64)
		return sysreg_get(c->vcpu, r->id, r->value);
	return -ENOENT;
}

s64 op_KVM_SET_ONE_REG(struct call *c)
{
	const struct abi_one_reg *r = (const struct abi_one_reg *)c->buf;
	u64 class = r->id & ABI_REG_CLASS_MASK;

	if ((r->id & ABI_REG_ARCH_MASK) != ABI_REG_ARM64)
		return -EINVAL;
	if (class == ABI_REG_CORE)
		return core_set(c->vcpu, r->id, r->value);
	if (class == ABI_REG_SYSREG && (r->id & ABI_REG_SIZE_MASK) == ABI_REG_U64)
		return sysreg_set(c->vcpu, r->id, r->value[0]);
	return -ENOENT;
}

s64 op_KVM_GET_REG_LIST(struct call *c)
{
	struct abi_reg_list *l = (struct abi_reg_list *)c->buf;
	u32 i, k;

	l->n = 0;
	for (i = 0; i < ARRAY_SIZE(cores); i++)
		for (k = 0; k < cores[i].count; k++)
			l->reg[l->n++] = ABI_REG_ARM64 | size_bits(cores[i].words) | ABI_REG_CORE |
				(cores[i].first + k * cores[i].words);
	l->n += sysreg_list(&l->reg[l->n]);
	c->out = (u32)(sizeof(*l) + l->n * 8);
	return 0;
}

/* As after a cold reset. The driver has checked target and features. */
s64 op_KVM_ARM_VCPU_INIT(struct call *c)
{
	struct vcpu_arch *a = &c->vcpu->arch;

	memset(&a->regs, 0, sizeof(a->regs));
	memset(a->el1, 0, sizeof(a->el1));
	memset(&a->fp, 0, sizeof(a->fp));
	memset(a->abi_spsr, 0, sizeof(a->abi_spsr));
	a->regs.pstate = PSTATE_EL1H | PSTATE_DAIF;
	a->hcr = 0;
	a->vsesr = 0;
	sysreg_reset(c->vcpu);
	a->ready = 1;
	return 0;
}

/* ---- events ---- */

s64 op_KVM_GET_VCPU_EVENTS(struct call *c)
{
	struct abi_vcpu_events *x = (struct abi_vcpu_events *)c->buf;
	const struct vcpu_arch *a = &c->vcpu->arch;

	memset(x, 0, sizeof(*x));
	x->exception.serror_pending = !!(a->hcr & HCR_VSE);
	x->exception.serror_has_esr = (u8)cpu_has_ras;
	if (x->exception.serror_pending && cpu_has_ras)
		x->exception.serror_esr = a->vsesr;
	c->out = sizeof(*x);
	return 0;
}

static int events_reserved(const struct abi_vcpu_events *x)
{
	static const struct abi_vcpu_events zero;

	return memcmp(x->reserved, zero.reserved, sizeof(x->reserved)) ||
		memcmp(x->exception.pad, zero.exception.pad, sizeof(x->exception.pad));
}

/* A pending SError cannot be taken back; its syndrome is an ISS alone, and needs RAS (VSESR_EL2). */
s64 op_KVM_SET_VCPU_EVENTS(struct call *c)
{
	const struct abi_vcpu_events *x = (const struct abi_vcpu_events *)c->buf;
	struct vcpu_arch *a = &c->vcpu->arch;

	if (events_reserved(x))
		return -EINVAL;
	if (x->exception.serror_pending && x->exception.serror_has_esr) {
		if (!cpu_has_ras || (x->exception.serror_esr & ~ESR_ISS))
			return -EINVAL;
		a->vsesr = x->exception.serror_esr;
		a->hcr |= HCR_VSE;
	} else if (x->exception.serror_pending) {
		a->vsesr = SERROR_IMPDEF;
		a->hcr |= HCR_VSE;
	}
	if (x->exception.ext_dabt_pending)
		inject_abort(c->vcpu, 0, a->far);
	return 0;
}
