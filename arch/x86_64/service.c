/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * service.c - the service VM's memory and MSR policy, for both backends, and
 * the wakeup mailbox, for one that cannot intercept start-up IPIs.
 *
 * Owns: the one-to-one second-stage tables. Invariant: no page whose owner is
 * the hypervisor or a user VM is reachable through them.
 * Concurrency: service_lock for the tables. See: docs/abi.md, "What the service
 * VM may not do"; ACPI 6.4, 5.2.12.19 (wakeup mailbox).
 */
#include <string.h>
#include "service.h"
#include "boot/boot.h"
#include "memory.h"
#include "machine.h"
#include "errno.h"
#include "phys.h"
#include "lock.h"
#include "pt.h"
#include "log.h"

struct machine_guest machine_guest;
u64 service_generation = 1;
u64 service_identity_cr3, service_mailbox_pa;

static struct pt service_pt;
static struct lock service_lock;
static u64 mtrr_default;	/* MTRRdefType of the boot CPU */

u64 service_pt_root(void)
{
	return service_pt.root;
}

/* ---- memory ---- */

static int hidden(u64 pa)
{
	u32 owner = memory_owner(pa);

	return owner != OWNER_NONE && owner != OWNER_SERVICE;
}

/* In pieces of one memory type, where the tables must say it. */
static int map(u64 pa, u64 pages)
{
	u64 end = pa + pages * PAGE_SIZE, next, count, type;

	for (; pa < end; pa = next) {
		next = end;
		type = backend->leaf_type ? backend->leaf_type(pa, &next) : 0;
		count = (next - pa) / PAGE_SIZE;
		if (pt_map(&service_pt, pa, pa, count, backend->leaf | backend->leaf_write | type, NULL, NULL) != count)
			return -ENOMEM;
	}
	return 0;
}

INIT void service_memory_init(const struct boot_info *info, struct pool *pool)
{
	u64 top = align_up(memmap_ram_top(info), 1ull << 30);
	u32 bits = cpuid(0x80000008, 0).eax & 0xff;

	mtrr_default = rdmsr(0x2ff);
	machine_guest = (struct machine_guest) {
		backend->format, backend->leaf | backend->leaf_guest, backend->leaf_write, 1ull << (bits < 48 ? bits : 48), backend->leaf_written,
	};
	service_pt = (struct pt) { backend->format, pool, pool_alloc(pool), backend->leaf_max() };
	if (top < 1ull << 32)
		top = 1ull << 32;
	if (map(0, top / PAGE_SIZE))
		panic("no memory for the service VM's tables\n");
}

/*
 * Every CPU flushes before it enters the service VM again; those in it now are
 * kicked and waited for. Pairs with the backends' service_enter().
 */
static void shootdown(void)
{
	u64 generation = __atomic_add_fetch(&service_generation, 1, __ATOMIC_SEQ_CST);
	struct cpu *c;
	u32 i, polls;

	for (i = 0; i < cpu_count; i++) {
		c = cpus[i];
		if (c == cpu_this() || !__atomic_load_n(&c->in_service, __ATOMIC_SEQ_CST))
			continue;
		for (polls = 0; READ_ONCE(c->in_service) && READ_ONCE(c->service_seen) < generation; polls++) {
			cpu_kick(c, polls);
			cpu_poll();
		}
	}
}

int service_hide(u64 pa, u64 pages)
{
	int err;

	lock_acquire(&service_lock);
	err = pt_split(&service_pt, pa, pages);
	if (!err) {
		pt_unmap(&service_pt, pa, pages, NULL, NULL);
		shootdown();
	}
	lock_release(&service_lock);
	return err;
}

/* From not present to present: no flush (APM vol. 2, 5.5.3; SDM vol. 3, 29.4.3.1). A table for it is there since service_hide(). */
void service_show(u64 pa, u64 pages)
{
	lock_acquire(&service_lock);
	if (map(pa, pages))
		log_print("tenon: no memory to give back %lx\n", (unsigned long)pa);
	lock_release(&service_lock);
}

/* As a large leaf where all of it has one owner. What another CPU mapped meanwhile is mapped again, the same. */
int service_fault(u64 gpa)
{
	u64 block = align_down(gpa, BLOCK_SIZE);
	int err = 1;

	if (gpa >= machine_guest.top)
		return 1;
	lock_acquire(&service_lock);
	if (!hidden(gpa) && memory_run(block, block + BLOCK_SIZE) == block + BLOCK_SIZE)
		err = map(block, BLOCK_SIZE / PAGE_SIZE);
	else if (!hidden(gpa))
		err = map(align_down(gpa, PAGE_SIZE), 1);
	lock_release(&service_lock);
	return err;
}

/* ---- MSRs ---- */

#define MTRR_ENABLE 0x800ull

static const struct service_msr *msr_find(u32 msr)
{
	const struct service_msr *m;

	for (m = backend->msrs; m->last; m++)
		if (msr >= m->first && msr <= m->last)
			return m;
	return NULL;
}

int service_msr_read(struct cpu *cpu, u32 msr, u64 *value, u64 efer)
{
	const struct service_msr *m = msr_find(msr);

	if (!m)
		return 1;
	switch (m->kind) {
	case SMSR_EFER:
		*value = efer & ~EFER_SVME;
		return 0;
	case SMSR_HIDDEN:
		/* VM_CR: SVMDIS and LOCK; FEATURE_CONTROL: locked, VMX off */
		*value = msr == 0xc0010114 ? 0x18 : msr == 0x3a;
		return 0;
	case SMSR_DENIED:
		return 1;
	default:
		return msr_try_read(msr, value);
	}
}

/* AutoIBRS where it is (CPUID 0x80000021 EAX[8]). The backend looks at LME. */
static int efer_write(u64 value, u64 *efer)
{
	if (value & ~(EFER_KNOWN | (u64)(cpuid(0x80000021, 0).eax >> 8 & 1) << 21))
		return 1;
	*efer = (value & ~EFER_LMA) | (*efer & EFER_LMA) | EFER_SVME;
	return 0;
}

/* Mode switches only: off to on, xAPIC to x2APIC. The page stays where it is. */
static int apic_base_write(u64 value)
{
	if ((value ^ rdmsr(MSR_APIC_BASE)) & ~(APIC_BASE_ENABLE | APIC_BASE_X2APIC))
		return 1;
	return msr_try_write(MSR_APIC_BASE, value);
}

/* Does the pair, with this value of that register, type our memory? A mask with holes may do so anywhere. */
static int mtrr_covers(u32 msr, u64 value)
{
	u64 base = (msr & 1 ? rdmsr(msr - 1) : value) & ~0xfffull;
	u64 mask = msr & 1 ? value : rdmsr(msr + 1), bits = mask & ~0xfffull;

	return (mask & 0x800) && ((u32)(bits | (bits - 1)) != ~0u || service_covers_hypervisor(base, bits));
}

/*
 * Firmware's memory types stay as they are where the hypervisor lives: a
 * variable range may change when it covers our memory neither before nor
 * afterwards (SDM vol. 3, 12.11.2.3). The default type stays.
 */
static int mtrr_write(u32 msr, u64 value)
{
	u64 old;

	if (msr_try_read(msr, &old))
		return 1;
	if (value == old)
		return 0;
	if (msr == 0x2ff) {
		/* Linux switches MTRRs off while it changes them: that is dropped. On, they are as firmware left them. */
		if (value & MTRR_ENABLE && value != mtrr_default)
			return 1;
		return value & MTRR_ENABLE ? msr_try_write(msr, value) : 0;
	}
	return mtrr_covers(msr, old) || mtrr_covers(msr, value) || msr_try_write(msr, value);
}

int service_msr_write(struct cpu *cpu, u32 msr, u64 value, u64 *efer)
{
	const struct service_msr *m = msr_find(msr);
	u64 old;

	if (!m)
		return 1;
	switch (m->kind) {
	case SMSR_EFER:
		return efer_write(value, efer);
	case SMSR_APIC_BASE:
		return apic_base_write(value);
	case SMSR_MTRR:
		return mtrr_write(msr, value);
	case SMSR_IGNORED:
		return 0;
	case SMSR_TSC_AUX:
		if (msr_try_write(msr, value))
			return 1;
		cpu->tsc_aux = value;
		return 0;
	case SMSR_XSS:
		if (msr_try_write(msr, value))
			return 1;
		cpu->xss = value;
		return 0;
	case SMSR_XD:
		return (value >> 34 & 1) || msr_try_write(msr, value);
	case SMSR_FIXED:
		return msr_try_read(msr, &old) || value != old;
	default:
		return 1;
	}
}

/* ---- CPU wake-up ---- */

struct mailbox {
	u16 command;		/* 1: wake up */
	u16 reserved;
	u32 apic_id;
	u64 vector;
};

#define IDENTITY_TABLE 0x7ull
#define IDENTITY_LEAF 0xe7ull

/* Identity of the first 4 GiB in 2 MiB pages, in Linux's reserved memory: the wakeup code starts on it. */
INIT void service_handoff_init(u64 pa)
{
	u64 *pml4 = phys_to_virt(pa + HANDOFF_TABLES), *pdpt = pml4 + PT_ENTRIES, *pd = pdpt + PT_ENTRIES;
	u32 i;

	memset(phys_to_virt(pa), 0, HANDOFF_ACPI);
	service_mailbox_pa = backend->service_wait == mailbox_wait ? pa + HANDOFF_MAILBOX : 0;
	service_identity_cr3 = virt_to_phys(pml4);
	pml4[0] = virt_to_phys(pdpt) | IDENTITY_TABLE;
	for (i = 0; i < 4; i++)
		pdpt[i] = virt_to_phys(pd + i * PT_ENTRIES) | IDENTITY_TABLE;
	for (i = 0; i < 4 * PT_ENTRIES; i++)
		pd[i] = (u64)i * BLOCK_SIZE | IDENTITY_LEAF;
}

void mailbox_wait(struct cpu *cpu)
{
	struct mailbox *box = phys_to_virt(service_mailbox_pa);
	struct service_entry entry = { .cr3 = service_identity_cr3 };

	WRITE_ONCE(cpu->state, CPU_WAITING);
	while (READ_ONCE(box->command) != 1 || READ_ONCE(box->apic_id) != cpu->apic_id)
		cpu_poll();
	entry.rip = READ_ONCE(box->vector);
	WRITE_ONCE(cpu->state, CPU_SERVICE);
	backend->service_init(cpu, &entry);
	__atomic_store_n(&box->command, 0, __ATOMIC_RELEASE);
}
