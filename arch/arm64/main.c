/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - the order in which the hypervisor comes up on arm64.
 *
 * boot_main() is the table of contents: read the device tree, see that the
 * machine has all we need, take memory, prepare the service VM's tables and
 * device tree, build our own tables, go. Every failure that a person can meet
 * ends in one clear line and a halt. Other CPUs come later, by the service VM's
 * PSCI CPU_ON, through secondary_main().
 */
#include <string.h>
#include "boot/arm64/boot.h"
#include "console.h"
#include "cpu.h"
#include "errno.h"
#include "gic.h"
#include "log.h"
#include "machine.h"
#include "memory.h"
#include "phys.h"
#include "pool.h"
#include "pt.h"
#include "ring.h"
#include "service.h"
#include "vcpu_arch.h"
#include "vm.h"
#include "abi/hypercall.h"

#define GIB (1ull << 30)
#define POOL_FIXED (1ull << 20)
#define POOL_PER_CPU (64ull << 10)
#define POOL_PER_GIB (32ull << 10)

/* Stage 1 of EL2 (Arm ARM D8.3): one privilege level, so AP[1] is RES1. */
#define S1_NORMAL 0x741ull		/* valid, AP[1], inner shareable, AF, attribute 0 */
#define S1_DEVICE 0x445ull		/* attribute 1 */
#define S1_READ_ONLY (1ull << 7)
#define S1_XN (1ull << 54)
#define S1_LARGE (1ull << 55)		/* software's bit: a block, for the walker */

#define IMAGE_MAGIC 0x644d5241u
#define IMAGE_HEADER_BYTES 64u

/* What this hypervisor needs of a Linux Image header. */
struct image_header {
	u32 code[2];
	u64 text_offset;
	u64 image_size;
	u64 flags;
	u64 reserved[3];
	u32 magic;
	u32 pe;
};

static const struct pt_format host_format = {
	.present = 0x1, .large = S1_LARGE, .page = 0x2, .table = 0x3, .address = 0x0000fffffffff000ull,
};

u64 image_pa;
u64 host_root;				/* read by header.S with the MMU off */
struct cpu *cpus[MAX_CPUS];
u32 cpu_count;
static struct pool pool;
static struct pt host_pt;
static u64 region_pa, region_bytes;	/* pool and page records */
static u64 records_top;			/* what the records cover: all RAM, ours too, and the GIC's pages */

extern u8 image_start[], text_end[], rodata_end[], init_start[], init_end[], data_start[], image_end[], payload_start[];
extern u8 head[], mmu_switch_off[];
u8 boot_block[CPU_BLOCK_BYTES] __attribute__((aligned(CPU_BLOCK_BYTES)));
void boot_main(u64 dtb_pa, u64 image, u64 el);
void secondary_main(struct cpu *cpu);
void mmu_switch(u64 root, u64 pa);

static void die(const char *what) __attribute__((noinline, noreturn));
static void die(const char *what)
{
	if (what)
		log_print("tenon: cannot start: %s\n", what);
	log_print("tenon: the machine is halted; nothing was changed\n");
	for (;;)
		asm volatile("wfi");
}

/* The image, and what fills its last 2 MiB block: the payload begins behind that. */
static u64 image_room(void)
{
	return (u64)(payload_start - image_start);
}

/* ---- memory ---- */

/* Before any of the RAM is reserved: the map would not count that. */
static INIT void records_size(const struct machine_info *m)
{
	u32 i;

	records_top = memmap_ram_top(&m->memory);
	for (i = 0; i < m->gicr_count; i++)
		if (m->gicr[i].base + m->gicr[i].size > records_top)
			records_top = align_up(m->gicr[i].base + m->gicr[i].size, PAGE_SIZE);
	for (i = 0; i < m->its_count; i++)
		if (m->its[i] + PAGE_SIZE > records_top)
			records_top = align_up(m->its[i] + PAGE_SIZE, PAGE_SIZE);
}

static INIT void take_memory(struct machine_info *m)
{
	struct boot_info *b = &m->memory;
	u64 pages = records_top / PAGE_SIZE;
	u64 need = POOL_FIXED + m->cpu_count * POOL_PER_CPU + pages * PAGE_SIZE / GIB * POOL_PER_GIB;

	region_bytes = align_up(need + pages * sizeof(u32), BLOCK_SIZE);
	if (memmap_reserve(b, image_pa, image_room(), REGION_RESERVED))
		die(NULL);
	region_pa = memmap_find(b, region_bytes, BLOCK_SIZE, 0, ~0ull);
	if (!region_pa || memmap_reserve(b, region_pa, region_bytes, REGION_RESERVED) ||
	    early_map(region_pa, region_bytes, 0))
		die("too little memory: no room for the hypervisor itself");
}

static INIT void host_map(u64 va, u64 pa, u64 bytes, u64 attr)
{
	u64 pages = align_up(bytes, PAGE_SIZE) / PAGE_SIZE;

	if (pt_map(&host_pt, va, pa, pages, attr, NULL, NULL) != pages)
		die("too little memory for the hypervisor's page tables");
}

static INIT void host_map_image(u8 *from, u8 *to, u64 attr)
{
	if (to > from)
		host_map((u64)from, virt_to_phys(from), (u64)(to - from), S1_NORMAL | attr);
}

/* All RAM but the image, which has one name only (and the entry code one more, one-to-one). */
static INIT void build_host_tables(const struct machine_info *m)
{
	u32 i;

	host_pt = (struct pt) { &host_format, &pool, pool_alloc(&pool), 2 };
	for (i = 0; i < m->memory.region_count; i++) {
		const struct boot_region *r = &m->memory.regions[i];

		if (r->type == REGION_RAM)
			host_map(PHYS_BASE + r->base, r->base, r->size, S1_NORMAL | S1_XN);
	}
	host_map(PHYS_BASE + region_pa, region_pa, region_bytes, S1_NORMAL | S1_XN);
	if (m->uart_pa)
		host_map(PHYS_BASE + m->uart_pa, m->uart_pa, PAGE_SIZE, S1_DEVICE | S1_XN);
	for (i = 0; i < m->gicr_count; i++)
		host_map(PHYS_BASE + m->gicr[i].base, m->gicr[i].base, m->gicr[i].size, S1_DEVICE | S1_XN);
	for (i = 0; i < m->its_count; i++)
		host_map(PHYS_BASE + m->its[i], m->its[i], PAGE_SIZE, S1_DEVICE | S1_XN);
	host_map(PHYS_BASE + m->gicd_pa, m->gicd_pa, PAGE_SIZE, S1_DEVICE | S1_XN);
	host_map_image(image_start, text_end, S1_READ_ONLY);
	host_map_image(text_end, rodata_end, S1_READ_ONLY | S1_XN);
	host_map_image(init_start, init_end, 0);
	host_map_image(data_start, image_end, S1_XN);
	host_map(image_pa, image_pa, PAGE_SIZE, S1_NORMAL | S1_READ_ONLY);
}

static INIT void assign_owners(const struct machine_info *m)
{
	u64 pages = records_top / PAGE_SIZE, pool_bytes = region_bytes - align_up(pages * sizeof(u32), PAGE_SIZE);
	u32 *table = phys_to_virt(region_pa + pool_bytes);
	u32 i;

	memset(table, 0, pages * sizeof(u32));
	memory_init(table, pages);
	for (i = 0; i < m->memory.region_count; i++)
		if (m->memory.regions[i].type == REGION_RAM)
			memory_assign(m->memory.regions[i].base, m->memory.regions[i].size / PAGE_SIZE, OWNER_SERVICE);
	memory_assign(image_pa, image_room() / PAGE_SIZE, OWNER_HYPERVISOR);
	memory_assign(region_pa, region_bytes / PAGE_SIZE, OWNER_HYPERVISOR);
	pool_add(&pool, region_pa, pool_bytes);
}

void machine_counts(struct mem_stats *out)
{
	out->pool_pages = pool.pages_total;
	out->pool_free = pool.pages_free;
	out->total_pages = (region_bytes + image_room()) / PAGE_SIZE;
}

/* ---- CPUs ---- */

static INIT void cpu_alloc(u32 index, u64 mpidr)
{
	u64 pa = index ? pool_alloc_pages(&pool, CPU_BLOCK_BYTES / PAGE_SIZE) : 0;
	struct cpu *c = index ? phys_to_virt(pa) : (struct cpu *)boot_block;

	if (index && !pa)
		die("too little memory for all CPUs");
	c->index = index;
	c->mpidr = mpidr;
	c->fp = phys_to_virt(pool_alloc(&pool));
	c->sve = phys_to_virt(pool_alloc_pages(&pool, 2));
	c->scratch = phys_to_virt(pool_alloc_pages(&pool, RING_OP_BYTES / PAGE_SIZE));
	cpus[index] = c;
}

/* The boot CPU is cpus[0] whatever the tree's order. */
static INIT void cpus_alloc(const struct machine_info *m)
{
	u64 boot = read_sysreg(mpidr_el1) & MPIDR_AFFINITY;
	u32 i;

	cpu_count = 1;
	cpu_alloc(0, boot);
	for (i = 0; i < m->cpu_count; i++)
		if (m->mpidr[i] != boot)
			cpu_alloc(cpu_count++, m->mpidr[i]);
}

/* Runs on every CPU that firmware started or woke: EL1 begins where the service VM said. */
static void service_begin(struct cpu *cpu) NORETURN;
static void service_begin(struct cpu *cpu)
{
	el2_enable(cpu);
	memset(&cpu->regs, 0, sizeof(cpu->regs));
	cpu->regs.x[0] = cpu->context;
	cpu->regs.pc = cpu->entry;
	cpu->regs.pstate = PSTATE_EL1H | PSTATE_DAIF;
	__atomic_store_n(&cpu->state, CPU_SERVICE, __ATOMIC_RELEASE);
	service_loop(cpu);
}

void secondary_main(struct cpu *cpu)
{
	service_begin(cpu);
}

/* ---- the service VM ---- */

/* The kernel behind our image in the bundle: run where it lies. */
static INIT u64 find_service(struct boot_info *b)
{
	u64 pa = image_pa + image_room(), ours;
	const struct image_header *h = phys_to_virt(pa);
	struct boot_module *module = &b->modules[b->module_count];

	ours = ((const struct image_header *)head)->image_size;
	if (ours < image_room() + IMAGE_HEADER_BYTES || early_map(pa, IMAGE_HEADER_BYTES, 0) || h->magic != IMAGE_MAGIC)
		die("no service VM: this image is not a bundle with a Linux Image");
	if (h->text_offset & (BLOCK_SIZE - 1) || !h->image_size || h->image_size > ours - image_room())
		die("the service VM's Linux Image is not one that Tenon can start");
	module->pa = pa;
	module->size = h->image_size;
	b->module_count++;
	return pa;
}

static INIT u64 write_tree(struct machine_info *m)
{
	struct range holes[] = { { image_pa, image_room() }, { region_pa, region_bytes } };
	u64 room = dtb_room(m), pa = memmap_find(&m->memory, room, BLOCK_SIZE, 0, ~0ull);

	if (!pa || early_map(pa, room, 0) || dtb_write(m, pa, room, holes, ARRAY_SIZE(holes)))
		die("no room for the service VM's device tree");
	return pa;
}

/* Boot code and data: out of the image's mapping, into the pool under their PHYS_BASE name. */
static void release_init(void)
{
	u64 pa = virt_to_phys(init_start), pages = (u64)(init_end - init_start) / PAGE_SIZE;

	pt_unmap(&host_pt, (u64)init_start, pages, NULL, NULL);
	dsb(ishst);
	tlbi(alle2is);
	dsb(ish);
	isb();
	if (pt_map(&host_pt, PHYS_BASE + pa, pa, pages, S1_NORMAL | S1_XN, NULL, NULL) != pages)
		return;
	dsb(ishst);
	pool_add(&pool, pa, pages * PAGE_SIZE);
}

static void start_service(void) __attribute__((noinline, noreturn));
static void start_service(void)
{
	release_init();
	log_print("tenon: starting the service VM\n");
	console_release();
	service_begin(cpus[0]);
}

static struct machine_info machine __attribute__((section(".init.data")));

static INIT const char *missing(const struct machine_info *m)
{
	if (!m->gicd_pa)
		return "the device tree has no GICv3";
	if (!m->has_psci)
		return "the device tree has no PSCI 0.2 or later";
	if (!m->has_timer)
		return "the device tree has no armv8 timer";
	return el2_missing();
}

INIT void boot_main(u64 dtb_pa, u64 image, u64 el)
{
	struct machine_info *m = &machine;
	int err;

	image_pa = image;
	err = dtb_parse(dtb_pa, m);
	if (m->uart_pa && !early_map(m->uart_pa, PAGE_SIZE, 1))
		console_init(phys_to_virt(m->uart_pa));
	log_print("tenon: microhypervisor, ABI %u\n", ABI_VERSION);
	if (el != 2)
		die("entered at EL1; Tenon needs EL2 (QEMU: -M virt,virtualization=on)");
	if (err)
		die("the device tree that the loader gave cannot be used");
	if (missing(m))
		die(missing(m));
	cpus[0] = (struct cpu *)boot_block;
	cpus[0]->entry = find_service(&m->memory);
	records_size(m);
	take_memory(m);
	cpus[0]->context = write_tree(m);
	assign_owners(m);
	stage2_init();
	sysreg_init();
	lr_init();
	cpus_alloc(m);
	build_host_tables(m);
	host_root = host_pt.root;
	cache_clean(&host_root, sizeof(host_root));
	mmu_switch(host_root, virt_to_phys(mmu_switch_off));
	if (gic_init(m))
		die("the device tree places the GIC where it cannot be");
	service_memory_init(records_top, &pool);
	log_print("tenon: EL2, %u CPUs, %lu MiB of RAM, %lu KiB of it ours\n", cpu_count,
		  (unsigned long)(memmap_ram_pages(&m->memory) >> 8), (unsigned long)((region_bytes + image_room()) >> 10));
	start_service();
}
