/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * service.c - second-stage geometry, and the service VM's one-to-one tables.
 *
 * Invariant: no page whose owner is the hypervisor or a user VM is reachable
 * through them. All of it is Normal write-back in stage 2: the service VM's own
 * stage 1 decides (a Device here would forbid its write-combining).
 * Concurrency: service_lock for the tables; flushes are broadcast (TLBI ..IS).
 * See: Arm ARM D8.2 (geometry), D8.3 (descriptors), D8.14.1 (break before make).
 */
#include <string.h>
#include "service.h"
#include "cpu.h"
#include "errno.h"
#include "lock.h"
#include "log.h"
#include "machine.h"
#include "memory.h"
#include "phys.h"
#include "vm.h"

#define S2_VALID 0x1ull
#define S2_PAGE 0x2ull
#define S2_NORMAL (0xfull << 2)
#define S2_READ (1ull << 6)
#define S2_WRITE (1ull << 7)
#define S2_INNER (3ull << 8)
#define S2_AF (1ull << 10)
#define S2_LARGE (1ull << 55)		/* software's bit: a block, for the walker */
#define S2_LEAF (S2_VALID | S2_NORMAL | S2_READ | S2_INNER | S2_AF)

#define VTCR_BASE 0x80003500ull		/* RES1, inner shareable, write-back walks, 4 KiB */
#define VTCR_SL0_LEVEL1 (1ull << 6)
#define VTCR_SL0_LEVEL0 (2ull << 6)
#define LEVEL0_PARANGE 4u		/* from 44 bits on a walk may start at level 0 */
#define GUEST_BITS 40u			/* KVM's default size */

static void flush_all(void)
{
	dsb(ishst);
	tlbi_done(alle1is);
	isb();
}

static const struct pt_format stage2_format = {
	.present = S2_VALID, .large = S2_LARGE, .page = S2_PAGE, .table = S2_VALID | S2_PAGE,
	.address = 0x0000fffffffff000ull, .flush = flush_all,
};

struct machine_guest machine_guest;
u64 service_vttbr, stage2_vtcr;
static u32 bits;			/* of an intermediate physical address */
static int from_level0;
static struct pt service_pt;
static struct lock service_lock;
static u64 ram_top;

u64 stage2_top(void)
{
	return 1ull << bits;
}

INIT void stage2_init(void)
{
	static const u8 sizes[] = { 32, 36, 40, 42, 44, 48 };
	u32 range = (u32)read_sysreg(id_aa64mmfr0_el1) & 0xf;

	if (range > 5)
		range = 5;
	from_level0 = range >= LEVEL0_PARANGE;
	bits = sizes[range];
	if (!from_level0 && bits > 40)
		bits = 40;
	machine_guest = (struct machine_guest) { &stage2_format, S2_LEAF, S2_WRITE, 1ull << (bits < GUEST_BITS ? bits : GUEST_BITS), 0 };
	stage2_vtcr = VTCR_BASE | (u64)range << 16 | (64 - bits) | (from_level0 ? VTCR_SL0_LEVEL0 : VTCR_SL0_LEVEL1);
}

/* Below 44 bits a walk starts at level 1, in two tables side by side that also hang below the walker's top. */
u64 stage2_base(struct pt *pt)
{
	u64 *top = phys_to_virt(pt->root), pair;

	if (from_level0)
		return pt->root;
	pair = pool_alloc_pages(pt->pool, 3);
	if (!pair)
		return 0;
	pair = align_up(pair, 2 * PAGE_SIZE);
	top[0] = pair | stage2_format.table;
	top[1] = (pair + PAGE_SIZE) | stage2_format.table;
	return pair;
}

int service_owns(u64 pa)
{
	u32 owner = memory_owner(pa);

	return owner == OWNER_NONE || owner == OWNER_SERVICE;
}

static int map(u64 pa, u64 pages)
{
	return pt_map(&service_pt, pa, pa, pages, S2_LEAF | S2_WRITE, NULL, NULL) == pages ? 0 : -ENOMEM;
}

/* Maps runs of what the service VM owns; the rest is left out. */
INIT void service_memory_init(u64 top, struct pool *pool)
{
	u64 pa, end;

	ram_top = align_up(top < 1ull << 32 ? 1ull << 32 : top, 1ull << 30);
	service_pt = (struct pt) { &stage2_format, pool, pool_alloc(pool), 2 };
	service_vttbr = stage2_base(&service_pt);
	for (pa = 0; pa < ram_top; pa = end) {
		end = memory_run(pa, ram_top);
		if (service_owns(pa) && map(pa, (end - pa) / PAGE_SIZE))
			panic("no memory for the service VM's tables\n");
	}
}

static void service_flush(void)
{
	/* Called for the service VM, whose VMID this CPU has loaded. */
	dsb(ishst);
	tlbi_done(vmalls12e1is);
	isb();
}

int service_hide(u64 pa, u64 pages)
{
	int err;

	lock_acquire(&service_lock);
	err = pt_split(&service_pt, pa, pages);
	if (!err) {
		pt_unmap(&service_pt, pa, pages, NULL, NULL);
		service_flush();
	}
	lock_release(&service_lock);
	return err;
}

void service_show(u64 pa, u64 pages)
{
	lock_acquire(&service_lock);
	/* The tables that held a guest's state were cleared through a cached mapping, as Linux will read them. */
	if (map(pa, pages))
		log_print("tenon: no memory to give back %lx\n", (unsigned long)pa);
	dsb(ishst);
	lock_release(&service_lock);
}

/* The largest leaf around ipa that holds nothing hidden: 1 GiB where no RAM is. */
static u64 leaf_bytes(u64 ipa)
{
	u64 base = align_down(ipa, BLOCK_SIZE), pa;

	if (ipa >= ram_top)
		return 1ull << 30;
	for (pa = base; pa < base + BLOCK_SIZE; pa += PAGE_SIZE)
		if (!service_owns(pa))
			return PAGE_SIZE;
	return BLOCK_SIZE;
}

int service_fault(u64 ipa)
{
	int err = 0, level;
	u64 bytes;

	if (ipa >= stage2_top())
		return 1;
	lock_acquire(&service_lock);
	bytes = leaf_bytes(ipa);
	if (!service_owns(ipa))
		err = 1;
	else if (!pt_lookup(&service_pt, ipa, &level))	/* else another CPU was quicker, or broke before it made */
		err = map(align_down(ipa, bytes), bytes / PAGE_SIZE);
	dsb(ishst);
	lock_release(&service_lock);
	return err;
}

/* ---- user VMs ---- */

void machine_vm_init(struct vm *vm)
{
	/* The VM's own pool: its first block has room. */
	vm->arch.vttbr = stage2_base(&vm->pt) | (u64)vm->slot << 48;
	vm->arch.cntvoff = read_sysreg(cntpct_el0);
	/* An earlier VM had this VMID: walks of its tables may still be cached. */
	machine_vm_flush(vm);
}

/* Guests start with caches off and fetch what the VMM wrote: data to memory, no stale instructions (D7.5). */
void machine_guest_mapped(u64 pa, u64 pages)
{
	cache_clean(phys_to_virt(pa), pages * PAGE_SIZE);
	asm volatile("ic ialluis" : : : "memory");
	dsb(ish);
	isb();
}

/* TLBI VMALLS12E1IS means the VMID in VTTBR_EL2 (D8.13). */
void machine_vm_flush(struct vm *vm)
{
	u64 tcr = read_sysreg(tcr_el1);

	/* No walk of the service VM's stage 1 meanwhile (world_set_special()). */
	write_sysreg(tcr_el1, tcr | TCR_EPD);
	isb();
	dsb(ishst);
	write_sysreg(vttbr_el2, vm->arch.vttbr);
	isb();
	service_flush();
	write_sysreg(vttbr_el2, service_vttbr);
	isb();
	write_sysreg(tcr_el1, tcr);
}

void cpu_poll(void)
{
	asm volatile("yield");
}

/* Flushes are broadcast, so nobody needs another CPU's attention. */
void cpu_kick(struct cpu *cpu, u32 polls)
{
	(void)cpu, (void)polls;
}
