/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * setup.c - SVM: does this CPU have what we need, switching it on, and the
 * permission maps that all guests share.
 *
 * Owns: the I/O permission map (everything intercepted) and the two MSR maps.
 * See: APM vol. 2, 15.4 (enabling), 15.10 (I/O), 15.11 (MSR), 15.30 (MSRs).
 */
#include <string.h>
#include "svm.h"
#include "machine.h"
#include "phys.h"
#include "service.h"
#include "log.h"

#define MSR_VM_CR 0xc0010114
#define MSR_VM_HSAVE_PA 0xc0010117
#define VM_CR_R_INIT 0x2u
#define VM_CR_LOCK 0x8u
#define VM_CR_SVMDIS 0x10u

#define MSRPM_PAGES 2
#define IOPM_PAGES 3

u32 svm_features, svm_shadow_lost;
u64 svm_iopm_pa, svm_guest_msrpm_pa;
static u32 svm_asids;

static INIT int svm_present(void)
{
	return cpuid(0x80000000, 0).eax >= 0x8000000a && (cpuid(0x80000001, 0).ecx & 0x4);
}

static INIT const char *svm_missing(void)
{
	if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS)
		return "SVM (AMD-V) is switched off by the firmware: switch on \"SVM Mode\" in its set-up";
	svm_features = cpuid(0x8000000a, 0).edx;
	svm_asids = cpuid(0x8000000a, 0).ebx;
	tsc_ratio_max = svm_features & SVM_TSC_RATIO ? 0xffffffffffull : 0;	/* 15.30.5 */
	if (!(svm_features & SVM_NP))
		return "this CPU has SVM but no nested paging";
	if (svm_asids < 4)
		return "this CPU has too few address space identifiers";
	return NULL;
}

static INIT int svm_leaf_max(void)
{
	return cpuid(0x80000001, 0).edx & (1u << 26) ? 2 : 1;
}

/* The two bits of an MSR: 0 = read, 1 = write (15.11). */
static void msrpm_set(u8 *map, u32 msr, u32 bits, int intercept)
{
	u32 range = msr < 0x2000 ? 0 : msr - 0xc0000000 < 0x2000 ? 1 : 2;
	u32 index = (msr & 0x1fff) * 2 + range * 0x4000;
	u8 mask = (u8)(bits << (index & 7));

	if (intercept)
		map[index / 8] |= mask;
	else
		map[index / 8] &= (u8)~mask;
}

/* What a guest may touch without an exit: all of it is switched with VMLOAD and VMSAVE. */
static const u32 guest_direct[] = {
	MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK,
	MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
};

static u64 service_msrpm_pa;

INIT void svm_maps_init(struct pool *pool)
{
	const struct service_msr *m;
	u8 *map;
	u32 i;

	svm_iopm_pa = pool_alloc_pages(pool, IOPM_PAGES);
	svm_guest_msrpm_pa = pool_alloc_pages(pool, MSRPM_PAGES);
	service_msrpm_pa = pool_alloc_pages(pool, MSRPM_PAGES);
	fpu_pointers_stay = !(cpuid(0x80000008, 0).ebx & 4);	/* XSAVEERPTR */
	svm_shadow_lost = cpuid(0x40000000, 0).ebx == 0x54474354;	/* "TCGT" */
	if (!svm_iopm_pa || !svm_guest_msrpm_pa || !service_msrpm_pa)
		panic("no memory for the permission maps\n");
	memset(phys_to_virt(svm_iopm_pa), 0xff, IOPM_PAGES * PAGE_SIZE);
	map = phys_to_virt(svm_guest_msrpm_pa);
	memset(map, 0xff, MSRPM_PAGES * PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(guest_direct); i++)
		msrpm_set(map, guest_direct[i], 3, 0);
	map = phys_to_virt(service_msrpm_pa);
	for (m = svm_service_msrs; m->last; m++)
		for (i = m->first; i <= m->last; i++)
			msrpm_set(map, i, m->intercept, 1);
}

static INIT void svm_cpu_enable(struct cpu *cpu)
{
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	/* An INIT while the hypervisor runs becomes #SX, which we drop (15.28). Without effect in QEMU 7.2. */
	if (!(rdmsr(MSR_VM_CR) & VM_CR_LOCK))
		wrmsr(MSR_VM_CR, rdmsr(MSR_VM_CR) | VM_CR_R_INIT);
	wrmsr(MSR_VM_HSAVE_PA, cpu->hsave_pa);
	cpu->asid_next = ASID_SERVICE + 1;
	cpu->asid_max = svm_asids - 1;
	cpu->asid_generation = 1;
	/* From here on the hypervisor runs with GIF = 0, and IF = 1 for VMRUN's sake (entry.S). */
	asm volatile("clgi; sti");
}

/* 64-bit mode, flat segments, interrupts off: what both Linux's entry and its wakeup vector want. */
void svm_service_init(struct cpu *cpu, const struct service_entry *e)
{
	static const struct state_segment data = { 0x18, 0xc93, 0xffffffff, 0 };
	struct vmcb *b = cpu->vmcb;

	memset(b, 0, sizeof(*b));
	svm_service_intercepts(b);
	b->iopm_pa = svm_iopm_pa;
	b->msrpm_pa = service_msrpm_pa;
	b->asid = ASID_SERVICE;
	b->tlb_control = TLB_FLUSH_ALL;
	b->np_enable = 1;
	b->ncr3 = service_pt_root();
	b->seg[SEG_ES] = b->seg[SEG_SS] = b->seg[SEG_DS] = b->seg[SEG_FS] = b->seg[SEG_GS] = data;
	b->seg[SEG_CS] = (struct state_segment) { 0x10, 0xa9b, 0xffffffff, 0 };
	b->seg[SEG_GDTR].limit = b->seg[SEG_IDTR].limit = 0xffff;
	b->seg[SEG_LDTR] = (struct state_segment) { 0, 0x82, 0xffff, 0 };
	b->seg[SEG_TR] = (struct state_segment) { 0, 0x8b, 0xffff, 0 };
	b->efer = EFER_SVME | EFER_LME | EFER_LMA | EFER_NXE;
	b->cr0 = CR0_PG | CR0_PE | CR0_ET | CR0_NE | CR0_WP;
	b->cr3 = e->cr3;
	b->cr4 = CR4_PAE;
	b->dr6 = 0xffff0ff0;
	b->dr7 = 0x400;
	b->rflags = RFLAGS_FIXED;
	b->rip = e->rip;
	b->g_pat = 0x0007040600070406ull;
	memset(&cpu->regs, 0, sizeof(cpu->regs));
	cpu->regs.rsi = e->rsi;
	/* What VMRUN does not load comes from VMLOAD (15.5.2): FS, GS, TR, LDTR, SYSCALL and SYSENTER MSRs. */
	vmload(cpu->vmcb_pa);
}

/* ---- user VMs: the table of operations; the functions are in guest.c ---- */

/* NPT entries have the form of long-mode ones; every access counts as a user's (APM vol. 2, 15.25.5). */
static const struct pt_format npt_format = {
	.present = 0x1, .large = 0x80, .table = 0x7, .address = 0x000ffffffffff000ull,
};

const struct backend svm_backend = {
	.name = "SVM",
	.msrs = svm_service_msrs,
	.format = &npt_format,
	.leaf = 0x65,		/* present, user, accessed, dirty */
	.leaf_write = 0x2,
	.leaf_max = svm_leaf_max,
	.present = svm_present,
	.missing = svm_missing,
	.maps_init = svm_maps_init,
	.cpu_enable = svm_cpu_enable,
	.service_init = svm_service_init,
	.service_wait = mailbox_wait,
	.service_loop = svm_service_loop,
	.vcpu_init = svm_vcpu_init,
	.run = svm_run,
	.hold = svm_hold,
	.state_get = svm_state_get,
	.state_set = svm_state_set,
	.get_regs = svm_get_regs,
	.set_regs = svm_set_regs,
	.refresh = svm_refresh,
	.event_inject = svm_event_inject,
	.event_blocked = svm_event_blocked,
	.event_windows = svm_event_windows,
	.event_step = svm_event_step,
};
