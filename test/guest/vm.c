/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm.c - user VMs as small as they can be: one block, one vCPU, one page of
 * code in real mode.
 */
#include "tenon.h"

s64 vm_map(u32 vm, u64 gpa, u64 pa, u64 pages, u64 flags)
{
	struct map_range r = { gpa, pa, pages, flags };

	return ring_op(N_OP_MAP, vm, 0, &r, sizeof(r));
}

s64 vm_unmap(u32 vm, u64 gpa, u64 pages)
{
	struct map_range r = { gpa, 0, pages, 0 };

	return ring_op(N_OP_UNMAP, vm, 0, &r, sizeof(r));
}

static s64 reset_state(u32 vcpu)
{
	/* G: the data segments reach 4 GiB, for addresses that 16-bit code gives with a prefix. */
	static const u16 attr[SEG_COUNT] = { 0x893, 0x9b, 0x893, 0x893, 0x893, 0x893, [SEG_LDTR] = 0x82, [SEG_TR] = 0x8b };
	struct state_fields s = { .fields = (1ull << (STATE_EFER + 1)) - 1 };
	u32 i;

	for (i = 0; i < SEG_COUNT; i++)
		s.value[2 * i] = (u64)attr[i] << 16 | (attr[i] & 0x800 ? 0xffffffffull : 0xffffull) << 32;
	s.value[STATE_CR0] = 0x60000030;	/* NE: an emulator has no x87 error line that works */
	s.fields |= 1ull << STATE_INTERRUPT | 1ull << STATE_DR6 | 1ull << STATE_DR7 | 1ull << STATE_PAT;
	s.value[STATE_DR6] = 0xffff0ff0;
	s.value[STATE_DR7] = 0x400;
	s.value[STATE_PAT] = 0x0007040600070406;
	return ring_op(N_OP_STATE_SET, vcpu, 0, &s, sizeof(s));
}

s64 vcpu_reset(u32 vcpu, u64 rip)
{
	struct abi_regs r = { .rip = rip, .rflags = 2 };
	s64 err = reset_state(vcpu);

	return err ? err : ring_op(N_KVM_SET_REGS, vcpu, 0, &r, sizeof(r));
}

/* ---- 64-bit mode ---- */

void long_tables(u8 *pages)
{
	u64 *table = (u64 *)pages, *idt = (u64 *)(pages + (LONG_IDT - LONG_GPA));
	u64 handler;
	u32 i;

	memset(pages, 0, LONG_PAGES * PAGE_SIZE);
	table[0] = (LONG_GPA + PAGE_SIZE) | 3;
	table[512] = (LONG_GPA + 2 * PAGE_SIZE) | 3;
	table[1024] = 0x83;
	for (i = 0; i < 256; i++) {
		handler = i < 32 ? LONG_TRAP : LONG_INTERRUPT;
		idt[2 * i] = (handler & 0xffff) | 0x10 << 16 | (i < 32 ? 0x8e01ull : 0x8e00ull) << 32 | (handler >> 16) << 48;
	}
	*(u64 *)(pages + (LONG_GDT - LONG_GPA) + 0x10) = 0x00af9b000000ffff;
	*(u64 *)(pages + (LONG_TSS - LONG_GPA) + 0x24) = LONG_STACK;
}

s64 long_reset(u32 vcpu, u64 rip)
{
	static const u16 attr[SEG_COUNT] = { 0xc93, 0xa9b, 0xc93, 0xc93, 0xc93, 0xc93, [SEG_LDTR] = 0x82, [SEG_TR] = 0x8b };
	struct abi_regs r = { .rip = rip, .rflags = 2, .rsp = LONG_STACK };
	struct state_fields s = { .fields = (1ull << (STATE_EFER + 1)) - 1 };
	s64 err = vcpu_reset(vcpu, rip);
	u32 i;

	for (i = 0; i < SEG_COUNT; i++)
		s.value[2 * i] = (u64)attr[i] << 16 | (attr[i] & 0x800 ? 0xffffffffull : 0xfffull) << 32;
	s.value[2 * SEG_CS] |= 0x10;
	s.value[2 * SEG_GDTR + 1] = LONG_GDT;
	s.value[2 * SEG_IDTR + 1] = LONG_IDT;
	s.value[2 * SEG_TR + 1] = LONG_TSS;
	s.value[STATE_CR0] = 0x80000031;
	s.value[STATE_CR3] = LONG_GPA;
	s.value[STATE_CR4] = 0x20;
	s.value[STATE_EFER] = 0x500;
	err = err ? err : ring_op(N_OP_STATE_SET, vcpu, 0, &s, sizeof(s));
	return err ? err : ring_op(N_KVM_SET_REGS, vcpu, 0, &r, sizeof(r));
}

/* One leaf, so that a CPUID of leaf 0 is answered in the hypervisor. */
static void give_cpuid(struct exit_page *page)
{
	page->in.cpuid[CPUID_SLOT(0, 0)] = (struct cpuid_slot) { .index = CPUID_ANY, .eax = 1 };
}

s64 vm_open_with(struct vm *vm, void *code_page, struct exit_page *page, u32 flags)
{
	struct vcpu_create c = { 0, flags, (u64)page };
	s64 result;

	*vm = (struct vm) { .block = block_take(), .code = code_page, .page = page };
	if (!vm->block)
		return -ENOMEM;
	memset(page, 0, sizeof(*page));
	result = ring_op(N_KVM_CREATE_VM, 0, vm->block, NULL, 0);
	if (result <= 0)
		return result ? result : -EINVAL;
	vm->handle = (u32)result;
	result = ring_op(N_KVM_CREATE_VCPU, vm->handle, 0, &c, sizeof(c));
	if (result <= 0)
		return result ? result : -EINVAL;
	vm->vcpu = (u32)result;
	give_cpuid(page);
	result = vm_map(vm->handle, CODE_GPA, (u64)code_page, 1, MAP_WRITE);
	if (result != 1)
		return result ? result : -EINVAL;
	return vcpu_reset(vm->vcpu, CODE_GPA);
}

s64 vm_open(struct vm *vm, void *code_page, struct exit_page *page)
{
	return vm_open_with(vm, code_page, page, 0);
}

s64 vm_close(struct vm *vm)
{
	s64 err = ring_op(N_OP_VM_DESTROY, vm->handle, 0, NULL, 0);

	if (!err)
		block_give(vm->block);
	return err;
}

s64 vcpu_run(const struct vm *vm)
{
	s64 err;
	u32 i;

	for (i = 0; i < 1000; i++) {
		vm->page->out.reason = EXIT_NONE;
		err = hypercall(HC_RUN, vm->vcpu);
		if (err)
			return err;
		if (vm->page->out.reason != EXIT_INTR)
			return vm->page->out.reason;
		irq_window();
	}
	return EXIT_INTR;
}

s64 vm_code(const struct vm *vm, const void *code, u32 bytes)
{
	s64 err = vcpu_reset(vm->vcpu, CODE_GPA);

	memcpy(vm->code, code, bytes);
	memset(&vm->page->in, 0, sizeof(vm->page->in));
	give_cpuid(vm->page);
	return err ? err : vcpu_run(vm);
}
