/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * setup.c - VMX: does this CPU have what we need, switching it on, the MSR
 * bitmaps that all guests share, and the service VM's first state.
 *
 * Owns: the values of the controls, computed once from what the processor
 * allows (all CPUs of a machine allow the same).
 * See: SDM vol. 3, 24.7 (enabling), 25.6 (controls), 27.2 and 27.3 (checks), appendix A (capability MSRs).
 */
#include <string.h>
#include "vmx.h"
#include "machine.h"
#include "phys.h"
#include "service.h"
#include "trap.h"
#include "log.h"
#include "abi/hypercall.h"

#define MSR_FEATURE_CONTROL 0x3a
#define FEATURE_LOCKED 0x1u
#define FEATURE_VMX 0x4u
#define MSR_ARCH_CAPABILITIES 0x10a
#define MSR_VMX_BASIC 0x480
#define MSR_VMX_MISC 0x485
#define MSR_VMX_CR0_FIXED0 0x486
#define MSR_VMX_CR4_FIXED0 0x488
#define MSR_VMX_PROC2 0x48b
#define MSR_VMX_EPT_VPID 0x48c
#define MSR_VMX_TRUE_PIN 0x48d
#define MSR_VMX_TRUE_PROC 0x48e
#define MSR_VMX_TRUE_EXIT 0x48f
#define MSR_VMX_TRUE_ENTRY 0x490

#define BASIC_TRUE_CONTROLS (1ull << 55)
#define MISC_WAIT_SIPI (1ull << 8)
/* Four levels, write-back tables, 2 MiB leaves; INVEPT of one and of all; INVVPID of all. */
#define EPT_VPID_NEEDED (1ull << 6 | 1ull << 14 | 1ull << 16 | 1ull << 20 | 1ull << 25 | 1ull << 26 | \
			 1ull << 32 | 1ull << 42)
#define EPT_1G (1ull << 17)
#define EPT_FLAGS (1ull << 21)

struct vmx_controls vmx_service_controls, vmx_guest_controls;
u32 vmx_timer_ticks, vmx_timer_shift, vmx_flushes;
u64 vmx_guest_msr_bitmap_pa, vmx_apicv_msr_bitmap_pa;
u32 vmx_apicv;
static u64 service_msr_bitmap_pa;

#define EXIT_NEEDED (EXIT_SAVE_DEBUG | EXIT_HOST_64 | EXIT_SAVE_PAT | EXIT_LOAD_PAT | EXIT_SAVE_EFER | EXIT_LOAD_EFER)
#define ENTRY_NEEDED (ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER)
#define PROC2_NEEDED (PROC2_EPT | PROC2_VPID | PROC2_WBINVD | PROC2_UNRESTRICTED)

static const struct control {
	u32 msr;
	u32 *value;
	u32 needed, wanted;
} controls[] = {
	{ MSR_VMX_TRUE_PIN, &vmx_service_controls.pin, PIN_NMI | PIN_VIRTUAL_NMI, 0 },
	{ MSR_VMX_TRUE_PROC, &vmx_service_controls.proc, PROC_MSR_BITMAP | PROC_SECONDARY, 0 },
	{ MSR_VMX_PROC2, &vmx_service_controls.proc2, PROC2_NEEDED,
	  PROC2_RDTSCP | PROC2_INVPCID | PROC2_XSAVES | PROC2_USER_WAIT },
	{ MSR_VMX_TRUE_EXIT, &vmx_service_controls.exit, EXIT_NEEDED, 0 },
	{ MSR_VMX_TRUE_ENTRY, &vmx_service_controls.entry, ENTRY_NEEDED, 0 },
	{ MSR_VMX_TRUE_PIN, &vmx_guest_controls.pin, PIN_INTR | PIN_NMI | PIN_VIRTUAL_NMI, PIN_TIMER },
	{ MSR_VMX_TRUE_PROC, &vmx_guest_controls.proc, PROC_TSC_OFFSET | PROC_HLT | PROC_MWAIT | PROC_RDPMC |
	  PROC_CR8_LOAD | PROC_TPR_SHADOW | PROC_MOV_DR | PROC_IO | PROC_MSR_BITMAP | PROC_MONITOR | PROC_SECONDARY, 0 },
	{ MSR_VMX_PROC2, &vmx_guest_controls.proc2, PROC2_NEEDED, PROC2_RDTSCP | PROC2_INVPCID | PROC2_TSC_SCALING },
	{ MSR_VMX_TRUE_EXIT, &vmx_guest_controls.exit, EXIT_NEEDED, 0 },
	{ MSR_VMX_TRUE_ENTRY, &vmx_guest_controls.entry, ENTRY_NEEDED, 0 },
};

static INIT int vmx_present(void)
{
	return !!(cpuid(1, 0).ecx & (1u << 5));
}

/* What must be 1 is in the low half of the MSR, what may be 1 in the high one (appendix A.3). */
static INIT int controls_missing(void)
{
	const struct control *c;
	u64 allowed;

	for (c = controls; c < controls + ARRAY_SIZE(controls); c++) {
		allowed = rdmsr(c->msr);
		if (c->needed & ~(u32)(allowed >> 32))
			return 1;
		*c->value = c->needed | (c->wanted & (u32)(allowed >> 32)) | (u32)allowed;
	}
	return 0;
}

static INIT const char *vmx_missing(void)
{
	u64 feature = rdmsr(MSR_FEATURE_CONTROL);
	u32 proc2;

	if ((feature & FEATURE_LOCKED) && !(feature & FEATURE_VMX))
		return "VT-x is switched off by the firmware: switch on \"Intel Virtualization Technology\" in its set-up";
	if (!(rdmsr(MSR_VMX_BASIC) & BASIC_TRUE_CONTROLS) || !(rdmsr(MSR_VMX_TRUE_PROC) >> 32 & PROC_SECONDARY))
		return "this CPU has VT-x but no extended page tables (EPT)";
	proc2 = (u32)(rdmsr(MSR_VMX_PROC2) >> 32);
	if (!(proc2 & PROC2_EPT))
		return "this CPU has VT-x but no extended page tables (EPT)";
	if (!(proc2 & PROC2_UNRESTRICTED))
		return "this CPU has VT-x and EPT but no \"unrestricted guest\"";
	if (!(proc2 & PROC2_VPID) || (rdmsr(MSR_VMX_EPT_VPID) & EPT_VPID_NEEDED) != EPT_VPID_NEEDED)
		return "this CPU's VT-x has no VPIDs, or lacks a part of EPT and VPID that is needed";
	if (!(rdmsr(MSR_VMX_MISC) & MISC_WAIT_SIPI))
		return "this CPU's VT-x cannot wait for start-up IPIs (nested in KVM: it takes Linux 5.11 or later there)";
	if (controls_missing())
		return "this CPU's VT-x lacks a control that is needed";
	return NULL;
}

/* All three, or the local APIC stays software's. */
#define APICV (PROC2_X2APIC | PROC2_APIC_REGISTERS | PROC2_VIRTUAL_INTERRUPTS)

static INIT int vmx_leaf_max(void)
{
	return rdmsr(MSR_VMX_EPT_VPID) & EPT_1G ? 2 : 1;
}

/* The two bits of an MSR: 0 = read, 1 = write (25.6.9). Others than these two ranges always exit. */
static void msr_bitmap_set(u8 *map, u32 msr, u32 bits, int intercept)
{
	u32 low = msr & 0x1fff, range = msr < 0x2000 ? 0 : 1024, k;

	if (msr >= 0x2000 && msr - 0xc0000000 >= 0x2000)
		return;
	for (k = 0; k < 2; k++) {
		u8 *at = map + k * 2048 + range + low / 8, mask = (u8)(1u << (low & 7));

		if (!(bits >> k & 1))
			continue;
		*at = intercept ? *at | mask : *at & (u8)~mask;
	}
}

/* What a guest may touch without an exit: fields of the VMCS, or switched with the vCPU. */
static const struct { u32 msr, bits; } guest_direct[] = {
	{ MSR_FS_BASE, 3 }, { MSR_GS_BASE, 3 }, { MSR_KERNEL_GS_BASE, 3 },
	{ MSR_SYSENTER_CS, 3 }, { MSR_SYSENTER_ESP, 3 }, { MSR_SYSENTER_EIP, 3 },
	/* Written once in a guest's life: their values are known, so that switching needs no RDMSR. */
	{ MSR_STAR, 1 }, { MSR_LSTAR, 1 }, { MSR_CSTAR, 1 }, { MSR_SFMASK, 1 },
};

/* Where the processor has the x2APIC: TPR; EOI, but for vectors of the EOI bitmap; what is only read. */
static const struct { u32 msr, bits; } apicv_direct[] = {
	{ 0x808, 3 }, { 0x80b, 2 }, { 0x802, 1 }, { 0x80a, 1 }, { 0x80f, 1 },
};

/*
 * The backstop of a stay in a guest, in about 10 ms: reads of a port on the
 * slow bus take about a microsecond each. The timer counts the TSC shifted (25.5.1).
 */
static INIT u32 timer_ticks(void)
{
	u64 start = rdtsc(), i;

	for (i = 0; i < 1000; i++)
		inb(0x80);
	vmx_timer_shift = rdmsr(MSR_VMX_MISC) & 31;
	return (u32)min_u64((rdtsc() - start) * 10 >> vmx_timer_shift, 0xffffffff);
}

/*
 * L1TF and MDS: where the CPU has the means and does not say that it needs none
 * (SDM vol. 4, IA32_ARCH_CAPABILITIES: RDCL_NO, SKIP_L1DFL_VMENTRY, MDS_NO, TAA_NO; RFDS_CLEAR says that it does).
 */
static INIT u32 flushes(void)
{
	struct cpuid c = cpuid(0, 0).eax >= 7 ? cpuid(7, 0) : (struct cpuid) { 0 };
	u64 immune = c.edx & (1u << 29) ? rdmsr(MSR_ARCH_CAPABILITIES) : 0;
	int taa = (c.ebx & (1u << 11)) && !(immune & 0x100), rfds = !!(immune & (1u << 28));

	return ((c.edx & (1u << 28)) && !(immune & 0x9) ? FLUSH_L1D : 0) |
		(((c.edx & (1u << 10)) && (!(immune & 0x20) || taa)) || rfds ? FLUSH_BUFFERS : 0);
}

INIT void vmx_maps_init(struct pool *pool)
{
	const struct service_msr *m;
	u32 i;
	u8 *map;

	vmx_guest_msr_bitmap_pa = pool_alloc(pool);
	vmx_apicv_msr_bitmap_pa = pool_alloc(pool);
	service_msr_bitmap_pa = pool_alloc(pool);
	if (!vmx_guest_msr_bitmap_pa || !vmx_apicv_msr_bitmap_pa || !service_msr_bitmap_pa)
		panic("no memory for the MSR bitmaps\n");
	map = phys_to_virt(vmx_guest_msr_bitmap_pa);
	memset(map, 0xff, PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(guest_direct); i++)
		msr_bitmap_set(map, guest_direct[i].msr, guest_direct[i].bits, 0);
	memcpy(phys_to_virt(vmx_apicv_msr_bitmap_pa), map, PAGE_SIZE);
	map = phys_to_virt(vmx_apicv_msr_bitmap_pa);
	for (i = 0; i < ARRAY_SIZE(apicv_direct); i++)
		msr_bitmap_set(map, apicv_direct[i].msr, apicv_direct[i].bits, 0);
	if ((rdmsr(MSR_VMX_PROC2) >> 32 & APICV) == APICV)
		vmx_apicv = APICV;
	map = phys_to_virt(service_msr_bitmap_pa);
	for (m = vmx_service_msrs; m->last; m++)
		for (i = m->first; i <= m->last; i++)
			msr_bitmap_set(map, i, m->intercept, 1);
	for (i = MSR_STAR; i <= MSR_SFMASK; i++)
		msr_bitmap_set(map, i, 2, 1);
	vmx_timer_ticks = timer_ticks();
	abi_features |= (vmx_guest_controls.pin & PIN_TIMER ? ABI_FEATURE_DEADLINE : 0) |
		((rdmsr(MSR_VMX_PROC2) >> 32 & PROC2_PML) && (rdmsr(MSR_VMX_EPT_VPID) & EPT_FLAGS) ? ABI_FEATURE_LOG : 0);
	tsc_ratio_max = vmx_guest_controls.proc2 & PROC2_TSC_SCALING ? ~0ull : 0;
	vmx_flushes = flushes();
	vmx_memtype_init();
	trap_gate(VECTOR_NMI, vmx_trap_nmi);
}

void vmx_failed(const char *what, u64 operand)
{
	panic("%s of %lx failed: error %lu\n", what, (unsigned long)operand, (unsigned long)vmread(VMCS_INSTRUCTION_ERROR));
}

/* CR0 and CR4 bits that VMX insists on (24.8); FEATURE_CONTROL is locked by us where firmware left it open. */
static INIT void vmx_cpu_enable(struct cpu *cpu)
{
	u64 feature = rdmsr(MSR_FEATURE_CONTROL);
	u8 failed;

	if (!(feature & FEATURE_LOCKED))
		wrmsr(MSR_FEATURE_CONTROL, feature | FEATURE_LOCKED | FEATURE_VMX);
	write_cr0((read_cr0() | rdmsr(MSR_VMX_CR0_FIXED0)) & rdmsr(MSR_VMX_CR0_FIXED0 + 1));
	write_cr4((read_cr4() | rdmsr(MSR_VMX_CR4_FIXED0)) & rdmsr(MSR_VMX_CR4_FIXED0 + 1));
	*(u32 *)phys_to_virt(cpu->hsave_pa) = (u32)rdmsr(MSR_VMX_BASIC) & 0x7fffffff;
	asm volatile("vmxon %1; setna %0" : "=qm"(failed) : "m"(cpu->hsave_pa) : "cc", "memory");
	if (failed)
		panic("VMXON failed on CPU %u\n", cpu->index);
	/* Whatever ran before us may have left translations (29.4.3.4). */
	invept(INVALIDATE_ALL, 0);
	invvpid_all();
	cpu->asid_next = ASID_SERVICE + 1;
	cpu->asid_max = 0xffff;
	cpu->asid_generation = 1;
	cpu->attention = 0;
}

/* Every field that is used must be written once: VMCLEAR promises no value (25.11.3). */
static const u16 zero_fields[] = {
	0x0c00, 0x0c04, 0x0c06, 0x0c08, 0x0c0a,			/* host ES, SS, DS, FS, GS */
	0x6c06, 0x6c08, 0x6c0a, 0x4c00, 0x6c10, 0x6c12,		/* host FS, GS and TR bases, SYSENTER */
	0x4006, 0x4008, 0x400a, 0x400e, 0x4010, 0x4014,		/* page-fault filter, CR3 targets, MSR lists */
	VMCS_EXCEPTIONS, VMCS_ENTRY_EVENT, VMCS_CR4_SHADOW, VMCS_GUEST_DEBUGCTL, VMCS_GUEST_INTERRUPTIBILITY,
	VMCS_GUEST_ACTIVITY, VMCS_GUEST_PENDING_DEBUG, VMCS_GUEST_SYSENTER_CS, VMCS_GUEST_SYSENTER_ESP,
	VMCS_GUEST_SYSENTER_EIP, VMCS_GUEST_GDTR_BASE, VMCS_GUEST_IDTR_BASE, VMCS_GUEST_RSP, VMCS_GUEST_RIP, VMCS_GUEST_RFLAGS,
};

/* Makes the VMCS at pa current, with the controls c and the host state, the same on all CPUs (27.2.3). */
void vmx_vmcs_init(u64 pa, const struct vmx_controls *c)
{
	struct { u16 limit; u64 base; } __attribute__((packed)) gdtr, idtr;
	u32 i;

	*(u32 *)phys_to_virt(pa) = (u32)rdmsr(MSR_VMX_BASIC) & 0x7fffffff;
	vmclear(pa);
	vmptrld(pa);
	asm volatile("sgdt %0; sidt %1" : "=m"(gdtr), "=m"(idtr));
	for (i = 0; i < ARRAY_SIZE(zero_fields); i++)
		vmwrite(zero_fields[i], 0);
	if (c->proc2 & PROC2_XSAVES)
		vmwrite(VMCS_XSS_BITMAP, 0);
	vmwrite(VMCS_PIN, c->pin);
	vmwrite(VMCS_PROC, c->proc);
	vmwrite(VMCS_PROC2, c->proc2);
	vmwrite(VMCS_EXIT, c->exit);
	vmwrite(VMCS_ENTRY, c->entry);
	vmwrite(VMCS_HOST_CS, 0x10);
	vmwrite(VMCS_HOST_TR, 0x8);	/* may not be null; no IST and no other ring: the TSS is never read */
	vmwrite(VMCS_HOST_GDTR, gdtr.base);
	vmwrite(VMCS_HOST_IDTR, idtr.base);
	vmwrite(VMCS_HOST_CR0, read_cr0());
	vmwrite(VMCS_HOST_CR3, read_cr3());
	vmwrite(VMCS_HOST_CR4, read_cr4());
	vmwrite(VMCS_HOST_EFER, rdmsr(MSR_EFER));
	vmwrite(VMCS_HOST_PAT, PAT_RESET);
	vmwrite(VMCS_HOST_RIP, (u64)vmx_exit);
	vmwrite(VMCS_LINK, ~0ull);
}

static void segment_set(enum vmcs_segment s, u32 selector, u32 rights, u32 limit)
{
	vmwrite(VMCS_GUEST_SELECTOR + 2 * s, selector);
	vmwrite(VMCS_GUEST_RIGHTS + 2 * s, rights);
	vmwrite(VMCS_GUEST_LIMIT + 2 * s, limit);
	vmwrite(VMCS_GUEST_BASE + 2 * s, 0);
}

/* What INIT makes 0, beside segment bases; MSRs keep their values, but for EFER (10.1.1, table 10-1). */
static const u16 init_fields[] = {
	VMCS_ENTRY_EVENT, VMCS_CR0_SHADOW, VMCS_GUEST_INTERRUPTIBILITY, VMCS_GUEST_PENDING_DEBUG, VMCS_GUEST_GDTR_BASE,
	VMCS_GUEST_IDTR_BASE, VMCS_GUEST_RSP, VMCS_GUEST_RIP, VMCS_GUEST_CR3, VMCS_GUEST_EFER,
};

/* The state after INIT, in real mode (unrestricted guest), asleep until a SIPI. CR0.CD and NW stay as they are (27.3.2.1). */
void vmx_service_init_state(struct cpu *cpu)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(init_fields); i++)
		vmwrite(init_fields[i], 0);
	for (i = VSEG_ES; i <= VSEG_GS; i++)
		segment_set(i, 0, 0x93, 0xffff);
	segment_set(VSEG_LDTR, 0, 0x82, 0xffff);
	segment_set(VSEG_TR, 0, 0x8b, 0xffff);
	vmwrite(VMCS_GUEST_GDTR_LIMIT, 0xffff);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, 0xffff);
	vmwrite(VMCS_PROC, vmx_service_controls.proc);
	vmwrite(VMCS_ENTRY, vmx_service_controls.entry);
	vmwrite(VMCS_GUEST_CR0, CR0_ET | CR0_NE);
	vmwrite(VMCS_GUEST_CR4, CR4_VMXE);
	vmwrite(VMCS_GUEST_DR7, 0x400);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED);
	vmwrite(VMCS_GUEST_ACTIVITY, ACTIVITY_WAIT_SIPI);
	memset(&cpu->regs, 0, sizeof(cpu->regs));
	cpu->regs.rdx = cpuid(1, 0).eax;
}

/* e: 64-bit mode, flat segments, interrupts off, what Linux's entry wants; NULL: a CPU that waits for its start. */
void vmx_service_init(struct cpu *cpu, const struct service_entry *e)
{
	u32 i;

	vmx_vmcs_init(cpu->vmcb_pa, &vmx_service_controls);
	cpu->launched = 0;
	vmwrite(VMCS_VPID, ASID_SERVICE);
	vmwrite(VMCS_EPTP, vmx_eptp(service_pt_root()));
	vmwrite(VMCS_MSR_BITMAP, service_msr_bitmap_pa);
	vmwrite(VMCS_CR0_MASK, CR0_NE);
	vmwrite(VMCS_CR4_MASK, CR4_VMXE);
	vmwrite(VMCS_GUEST_PAT, PAT_RESET);
	for (i = 0; i < ARRAY_SIZE(cpu->syscall_msr); i++)
		cpu->syscall_msr[i] = rdmsr(MSR_STAR + i);
	vmx_service_init_state(cpu);
	if (!e)
		return;
	for (i = VSEG_ES; i <= VSEG_GS; i++)
		segment_set(i, 0x18, 0xc093, 0xffffffff);
	segment_set(VSEG_CS, 0x10, 0xa09b, 0xffffffff);
	vmwrite(VMCS_ENTRY, vmx_service_controls.entry | ENTRY_IA32E);
	vmwrite(VMCS_CR0_SHADOW, CR0_NE);
	vmwrite(VMCS_GUEST_EFER, EFER_LME | EFER_LMA | EFER_NXE);
	vmwrite(VMCS_GUEST_CR0, CR0_PG | CR0_PE | CR0_ET | CR0_NE | CR0_WP);
	vmwrite(VMCS_GUEST_CR3, e->cr3);
	vmwrite(VMCS_GUEST_CR4, CR4_PAE | CR4_VMXE);
	vmwrite(VMCS_GUEST_RIP, e->rip);
	vmwrite(VMCS_GUEST_ACTIVITY, 0);
	cpu->regs.rsi = e->rsi;
}

/* ---- user VMs: the table of operations; the functions are in guest.c ---- */

/* Readable and executable always; memory type in bits 5:3, "ignore PAT" 6 (29.3.2). */
static const struct pt_format ept_format = {
	.present = 0x7, .large = 0x80, .table = 0x7, .address = 0x000ffffffffff000ull,
};

const struct backend vmx_backend = {
	.name = "VMX",
	.msrs = vmx_service_msrs,
	.format = &ept_format,
	.leaf = 0x5,
	.leaf_write = 0x2,
	.leaf_written = 0x200,	/* the dirty flag (29.3.5) */
	.leaf_type = vmx_leaf_type,
	.leaf_guest = 0x40 | 6 << 3,	/* write-back, whatever the guest's PAT says: Linux has the page so */
	.leaf_max = vmx_leaf_max,
	.present = vmx_present,
	.missing = vmx_missing,
	.maps_init = vmx_maps_init,
	.cpu_enable = vmx_cpu_enable,
	.service_init = vmx_service_init,
	.service_wait = vmx_service_wait,
	.service_loop = vmx_service_loop,
	.vcpu_init = vmx_vcpu_init,
	.run = vmx_run,
	.hold = vmx_hold,
	.state_get = vmx_state_get,
	.state_set = vmx_state_set,
	.get_regs = vmx_get_regs,
	.set_regs = vmx_set_regs,
	.refresh = vmx_refresh,
	.apic_status = vmx_apic_status,
	.event_inject = vmx_event_inject,
	.event_blocked = vmx_event_blocked,
	.event_windows = vmx_event_windows,
	.event_step = vmx_event_step,
};
