/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gic.c - the registers by which the service VM tells the GIC where its tables
 * are. The GIC reads and writes these tables by itself, past stage 2: so the
 * control page of each redistributor and each ITS is kept from the service VM,
 * and its accesses are done here, tables checked. All else of the GIC is its own.
 *
 * Invariant: memory that a register names is the service VM's, and shared (so it
 * cannot become anybody else's) until the register names another.
 * Called by: service.c (faults), main.c (boot). Concurrency: gic_lock.
 * See: GIC specification (IHI 0069) 12.11 (GICR_*), 12.19 (GITS_*), 5.2 (ITS tables).
 */
#include "gic.h"
#include "cpu.h"
#include "errno.h"
#include "lock.h"
#include "log.h"
#include "memory.h"
#include "phys.h"

#define FRAME_BYTES 0x10000ull
#define FRAMES_MAX (2 * MAX_CPUS + 8)
#define GICD_TYPER 0x4u
#define GICR_TYPER 0x8u
#define GICR_TYPER_VLPIS (1ull << 1)
#define GICR_TYPER_LAST (1ull << 4)
#define LPI_FIRST 8192u
#define VALID (1ull << 63)
#define BASER_INDIRECT (1ull << 62)
#define ADDRESS_4K 0x000ffffffffff000ull
#define ADDRESS_64K 0x000fffffffff0000ull

enum kind { REDIST, REDIST_VIRTUAL, ITS };

struct table {
	u64 pa, pages;
};
#define TABLES 9u			/* of one frame: GITS_CBASER and eight GITS_BASER<n> */

static struct frame {
	u64 pa;
	u32 kind;
	struct table tables[TABLES];
} frames[FRAMES_MAX];
static u32 frame_count;
static u32 id_bits;			/* of an INTID in this machine */
static struct lock gic_lock;

/* ---- what a register's value names: address, and bytes (0: nothing) ---- */

static u64 table_propbaser(u64 value, u64 *pa)
{
	u32 bits = (u32)(value & 0x1f) + 1;

	*pa = value & ADDRESS_4K;
	if (bits > id_bits)
		bits = id_bits;
	return 1ull << bits > LPI_FIRST ? (1ull << bits) - LPI_FIRST : 0;
}

static u64 table_pendbaser(u64 value, u64 *pa)
{
	*pa = value & ADDRESS_64K;
	return (1ull << id_bits) / 8;
}

static u64 table_cbaser(u64 value, u64 *pa)
{
	*pa = value & ADDRESS_4K;
	return value & VALID ? ((value & 0xff) + 1) * PAGE_SIZE : 0;
}

/* With 64 KiB pages bits 15:12 are the address's bits 51:48. */
static u64 table_baser(u64 value, u64 *pa)
{
	u32 shift = 12 + 2 * (u32)(value >> 8 & 3);

	*pa = value & 0x0000fffffffff000ull;
	if (shift >= 16)
		*pa = (value & 0x0000ffffffff0000ull) | (value >> 12 & 0xf) << 48;
	return value & VALID ? ((value & 0xff) + 1) << (shift > 16 ? 16 : shift) : 0;
}

/* GICv4's tables of virtual interrupts: nobody has use for them here, so they are never valid. */
static u64 table_never(u64 value, u64 *pa)
{
	(void)value;
	*pa = 1;
	return 1;
}

/*
 * Registers first to last, of 64 bits. They may change while the bits `off` of
 * control are 0 and those of `on` 1: before that the GIC may use the old tables,
 * and a change is unpredictable.
 */
static const struct rule {
	u32 kind, first, last;
	u32 off, on;
	u64 keep;		/* bits that can be set */
	u64 (*table)(u64 value, u64 *pa);
} rules[] = {
	{ REDIST, 0x70, 0x70, 1 | 1 << 3, 0, ~0ull, table_propbaser },	/* EnableLPIs, RWP */
	{ REDIST, 0x78, 0x78, 1 | 1 << 3, 0, ~0ull, table_pendbaser },
	{ REDIST_VIRTUAL, 0x70, 0x78, 0, 0, 0, table_never },
	{ ITS, 0x80, 0x80, 1, 1u << 31, ~0ull, table_cbaser },		/* Enabled, Quiescent */
	{ ITS, 0x100, 0x138, 1, 1u << 31, ~BASER_INDIRECT, table_baser },	/* level 2 would be out of our sight */
};

static const struct rule *rule_find(u32 kind, u32 reg)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].kind == kind && reg >= rules[i].first && reg <= rules[i].last)
			return &rules[i];
	return NULL;
}

static struct table *table_of(struct frame *f, u32 reg)
{
	return &f->tables[f->kind == ITS ? (reg < 0x100 ? 8 : (reg & 0x3f) / 8) : (reg & 8) / 8];
}

/* Shares the memory that value names, and lets go of what the register named before. 0 or -errno. */
static int claim(struct frame *f, const struct rule *r, u32 reg, u64 value)
{
	struct table *t = table_of(f, reg);
	u32 control = *(volatile u32 *)phys_to_virt(f->pa);	/* GICR_CTLR, GITS_CTLR */
	u64 pa, bytes = r->table(value, &pa), pages = align_up(bytes, PAGE_SIZE) / PAGE_SIZE;

	if ((control & r->off) || ~control & r->on)
		return -EBUSY;
	if (pages && memory_share(pa, pages))
		return -EPERM;
	if (t->pages)
		memory_unshare(t->pa, t->pages);
	*t = (struct table){ pa, pages };
	return 0;
}

/* A store of 4 or 8 bytes; half a register is put together with its other half. */
static void store(struct frame *f, u32 offset, u32 size, u64 value)
{
	u32 reg = offset & ~7u, shift = (offset & 4) * 8;
	u64 pa;
	volatile u64 *at = phys_to_virt(f->pa + reg);
	const struct rule *r = rule_find(f->kind, reg);

	if (!r) {
		if (size == 8)
			*at = value;
		else
			*(volatile u32 *)phys_to_virt(f->pa + offset) = (u32)value;
		return;
	}
	if (size == 4)
		value = (*at & ~(0xffffffffull << shift)) | (value & 0xffffffff) << shift;
	value &= r->keep;
	if (!claim(f, r, reg, value)) {
		*at = value;
		/* Page_Size and IDbits may be read-only (12.19, 12.11): what counts is what the GIC made of it. */
		if (r->table(*at, &pa) <= table_of(f, reg)->pages * PAGE_SIZE || !claim(f, r, reg, *at))
			return;
		*at = 0;
		claim(f, r, reg, 0);
	}
	log_print("tenon: the service VM gives the GIC memory that is not its own: register %x, %lx\n", reg, (unsigned long)value);
}

static struct frame *frame_find(u64 ipa)
{
	u32 i;

	for (i = 0; i < frame_count; i++)
		if (frames[i].pa == align_down(ipa, PAGE_SIZE))
			return &frames[i];
	return NULL;
}

int gic_access(struct cpu *cpu, u64 esr, u64 ipa)
{
	struct frame *f = frame_find(ipa);
	u32 size = 1u << (esr >> 22 & 3), reg = (u32)(esr >> 16) & 31, offset = (u32)ipa & (PAGE_SIZE - 1);
	u64 value = reg < 31 ? cpu->regs.x[reg] : 0;

	if (!f || !(esr & ISS_ISV) || size < 4 || offset % size)
		return -EINVAL;
	lock_acquire(&gic_lock);
	if (esr & ISS_WNR)
		store(f, offset, size, value);
	else if (size == 8)
		value = *(volatile u64 *)phys_to_virt(f->pa + offset);
	else
		value = *(volatile u32 *)phys_to_virt(f->pa + offset);
	lock_release(&gic_lock);
	if (!(esr & ISS_WNR) && reg < 31)
		cpu->regs.x[reg] = value;
	cpu->regs.pc += 4;
	return 0;
}

/* ---- boot ---- */

static INIT int frame_add(u64 pa, u32 kind)
{
	if (frame_count == FRAMES_MAX || memory_owner(pa) != OWNER_NONE)
		return -EINVAL;
	memory_assign(pa, 1, OWNER_HYPERVISOR);
	if (memory_owner(pa) != OWNER_HYPERVISOR)
		return -EINVAL;
	frames[frame_count].pa = pa;
	frames[frame_count++].kind = kind;
	return 0;
}

/* A redistributor knows its CPU: GICR_TYPER's upper half is the affinity (12.11). */
static INIT void redist_note(u64 pa, u64 typer)
{
	u64 mpidr = (typer >> 32 & 0xffffff) | (typer >> 56) << 32;
	u32 i;

	for (i = 0; i < cpu_count; i++)
		if (cpus[i]->mpidr == mpidr)
			cpus[i]->gicr = (u64)phys_to_virt(pa + FRAME_BYTES);
}

static INIT int redists_add(const struct range *r)
{
	u64 at, stride, typer;

	for (at = 0; at + 2 * FRAME_BYTES <= r->size; at += stride) {
		typer = *(volatile u64 *)phys_to_virt(r->base + at + GICR_TYPER);
		stride = typer & GICR_TYPER_VLPIS ? 4 * FRAME_BYTES : 2 * FRAME_BYTES;
		if (frame_add(r->base + at, REDIST))
			return -EINVAL;
		if (typer & GICR_TYPER_VLPIS && frame_add(r->base + at + 2 * FRAME_BYTES, REDIST_VIRTUAL))
			return -EINVAL;
		redist_note(r->base + at, typer);
		if (typer & GICR_TYPER_LAST)
			break;
	}
	return 0;
}

INIT int gic_init(const struct machine_info *m)
{
	u32 i;

	id_bits = (*(volatile u32 *)phys_to_virt(m->gicd_pa + GICD_TYPER) >> 19 & 0x1f) + 1;
	for (i = 0; i < m->gicr_count; i++)
		if (redists_add(&m->gicr[i]))
			return -EINVAL;
	for (i = 0; i < m->its_count; i++)
		if (frame_add(m->its[i], ITS))
			return -EINVAL;
	return 0;
}
