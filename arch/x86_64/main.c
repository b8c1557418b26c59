/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - the order in which the hypervisor comes up on x86-64.
 *
 * boot_main() is the table of contents: parse what the loader left, see that
 * the machine has all we need, take memory, build our own page tables, prepare
 * the service VM, start the other CPUs, go. Every failure that a person can
 * meet ends in one clear line and a halt, before anything half-works.
 */
#include <string.h>
#include "boot/boot.h"
#include "console.h"
#include "cpu.h"
#include "errno.h"
#include "log.h"
#include "machine.h"
#include "memory.h"
#include "percpu.h"
#include "phys.h"
#include "pool.h"
#include "pt.h"
#include "ring.h"
#include "service.h"
#include "smp.h"
#include "trap.h"
#include "vcpu_arch.h"
#include "vm.h"
#include "abi/hypercall.h"

#define GIB (1ull << 30)
#define POOL_FIXED (4ull << 20)
#define POOL_PER_CPU (128ull << 10)
#define POOL_PER_GIB (32ull << 10)
#define HANDOFF_BYTES (HANDOFF_SCRATCH + LINUX_SCRATCH_BYTES)

#define PTE_PRESENT 0x1ull
#define PTE_WRITE 0x2ull
#define PTE_UNCACHED 0x18ull
#define PTE_NX (1ull << 63)

static const struct pt_format host_format = {
	.present = PTE_PRESENT, .large = 0x80, .table = 0x3, .address = 0x000ffffffffff000ull,
};

u64 image_pa;
const struct backend *backend;
static struct pool pool;
static struct pt host_pt;
static u64 region_pa, region_bytes;	/* pool and page records */
static u64 handoff_pa;			/* what Linux gets from us, and keeps reserved */

extern u8 image_start[], text_end[], rodata_end[], init_start[], init_end[], data_start[], image_end[];
u8 boot_block[CPU_BLOCK_BYTES] __attribute__((aligned(CPU_BLOCK_BYTES)));
void boot_main(u32 magic, u32 mbi);

static NOINLINE NORETURN void die(const char *what)
{
	if (what)
		log_print("tenon: cannot start: %s\n", what);
	log_print("tenon: the machine is halted; nothing was changed\n");
	for (;;)
		asm volatile("cli; hlt");
}

static u64 image_bytes(void)
{
	return (u64)(image_end - image_start);
}

static INIT void choose_backend(void)
{
	backend = svm_backend.present() ? &svm_backend : vmx_backend.present() ? &vmx_backend : NULL;
	if (!backend)
		die("this CPU has neither SVM (AMD-V) nor VMX (Intel VT-x), or the firmware hides it");
	if (backend->missing())
		die(backend->missing());
}

/* ---- memory ---- */

static INIT void take_memory(struct boot_info *info, u32 cpus_found)
{
	u64 pages = memmap_ram_top(info) / PAGE_SIZE;
	u64 need = POOL_FIXED + cpus_found * POOL_PER_CPU + pages * PAGE_SIZE / GIB * POOL_PER_GIB;

	region_bytes = align_up(need + pages * sizeof(u32), BLOCK_SIZE);
	if (memmap_reserve(info, image_pa, image_bytes(), REGION_RESERVED))
		die(NULL);
	region_pa = memmap_find(info, region_bytes, BLOCK_SIZE, 0x100000, 1ull << 32);
	if (!region_pa || memmap_reserve(info, region_pa, region_bytes, REGION_RESERVED))
		die("too little memory: no room for the hypervisor itself");
}

static INIT void host_map(u64 va, u64 pa, u64 bytes, u64 attr)
{
	if (pt_map(&host_pt, va, pa, align_up(bytes, PAGE_SIZE) / PAGE_SIZE, PTE_PRESENT | attr, NULL, NULL) !=
	    align_up(bytes, PAGE_SIZE) / PAGE_SIZE)
		die("too little memory for the hypervisor's page tables");
}

static INIT void host_map_image(u8 *from, u8 *to, u64 attr)
{
	if (to > from)
		host_map((u64)from, virt_to_phys(from), (u64)(to - from), attr);
}

/* RAM and firmware's tables; our own region is RAM that was reserved. The image has one name only. */
static INIT void build_host_tables(const struct boot_info *info)
{
	u32 i;

	host_pt = (struct pt) { &host_format, &pool, pool_alloc(&pool), cpuid(0x80000001, 0).edx & (1u << 26) ? 2 : 1 };
	for (i = 0; i < info->region_count; i++) {
		const struct boot_region *r = &info->regions[i];
		u64 base = align_up(r->base, PAGE_SIZE), end = align_down(r->base + r->size, PAGE_SIZE);

		if ((r->type == REGION_RAM || r->type == REGION_ACPI) && end > base)
			host_map(PHYS_BASE + base, base, end - base, PTE_WRITE | PTE_NX);
	}
	host_map(PHYS_BASE + region_pa, region_pa, region_bytes, PTE_WRITE | PTE_NX);
	host_map(PHYS_BASE + handoff_pa, handoff_pa, HANDOFF_BYTES, PTE_WRITE | PTE_NX);
	if (console_screen_bytes(&info->fb))
		host_map(PHYS_BASE + align_down(info->fb.pa, PAGE_SIZE), align_down(info->fb.pa, PAGE_SIZE),
			 console_screen_bytes(&info->fb) + PAGE_SIZE, PTE_WRITE | PTE_NX | PTE_UNCACHED);
	host_map(APIC_VA, APIC_BASE_RESET, PAGE_SIZE, PTE_WRITE | PTE_NX | PTE_UNCACHED);
	host_map_image(image_start, text_end, 0);
	host_map_image(text_end, rodata_end, PTE_NX);
	host_map_image(init_start, init_end, PTE_WRITE);
	host_map_image(data_start, image_end, PTE_WRITE | PTE_NX);
}

static INIT void assign_owners(const struct boot_info *info)
{
	u64 pages = memmap_ram_top(info) / PAGE_SIZE, pool_bytes = region_bytes - align_up(pages * sizeof(u32), PAGE_SIZE);
	u32 *table = phys_to_virt(region_pa + pool_bytes);
	u32 i;

	memset(table, 0, pages * sizeof(u32));
	memory_init(table, pages);
	for (i = 0; i < info->region_count; i++) {
		const struct boot_region *r = &info->regions[i];
		u64 base = align_up(r->base, PAGE_SIZE), end = align_down(r->base + r->size, PAGE_SIZE);

		if (r->type == REGION_RAM && end > base)
			memory_assign(base, (end - base) / PAGE_SIZE, OWNER_SERVICE);
	}
	memory_assign(image_pa, align_up(image_bytes(), PAGE_SIZE) / PAGE_SIZE, OWNER_HYPERVISOR);
	memory_assign(region_pa, region_bytes / PAGE_SIZE, OWNER_HYPERVISOR);
	pool_add(&pool, region_pa, pool_bytes);
}

/* The power-of-two block of a variable range: addresses a with (a & mask) == (base & mask). */
int service_covers_hypervisor(u64 base, u64 mask)
{
	u64 size = (mask & -mask), start = base & mask;

	if (!mask)
		return 1;
	return (start < region_pa + region_bytes && start + size > region_pa) ||
		(start < image_pa + image_bytes() && start + size > image_pa);
}

void machine_counts(struct mem_stats *out)
{
	out->pool_pages = pool.pages_total;
	out->pool_free = pool.pages_free;
	out->total_pages = (region_bytes + image_bytes()) / PAGE_SIZE;
}

/* ---- CPUs ---- */

static INIT void cpu_alloc(u32 index, u32 apic_id)
{
	u64 pa = index ? pool_alloc_pages(&pool, 2 * CPU_BLOCK_BYTES / PAGE_SIZE) : 0;
	struct cpu *c = index ? phys_to_virt(align_up(pa, CPU_BLOCK_BYTES)) : (struct cpu *)boot_block;

	if (index && !pa)
		die("too little memory for all CPUs");
	c->index = index;
	c->apic_id = apic_id;
	c->vmcb_pa = pool_alloc(&pool);
	c->vmcb = phys_to_virt(c->vmcb_pa);
	c->hsave_pa = pool_alloc(&pool);
	c->fpu = phys_to_virt(pool_alloc_pages(&pool, (fpu_bytes + PAGE_SIZE - 1) / PAGE_SIZE));
	c->scratch = phys_to_virt(pool_alloc_pages(&pool, RING_OP_BYTES / PAGE_SIZE));
	cpus[index] = c;
}

/* The boot CPU is cpus[0] whatever the MADT's order. */
static INIT void cpus_alloc(const u32 *apic_ids, u32 found)
{
	u32 boot_id = smp_apic_id(), i;

	cpu_count = 1;
	cpu_alloc(0, boot_id);
	for (i = 0; i < found; i++)
		if (apic_ids[i] != boot_id)
			cpu_alloc(cpu_count++, apic_ids[i]);
}

static void cpu_set_up(struct cpu *cpu)
{
	trap_load();
	write_cr3(host_pt.root);
	write_cr4(CR4_PAE | CR4_PGE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT | (fpu_mask ? CR4_OSXSAVE : 0));
	write_cr0(CR0_PG | CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_MP);
	backend->cpu_enable(cpu);
}

static void ap_main(void)
{
	struct cpu *cpu = cpu_this();

	cpu_set_up(cpu);
	backend->service_wait(cpu);
	backend->service_loop(cpu);
}

/* A page of RAM below 640 KiB for the trampoline; its contents are kept, so it may be anybody's. */
static INIT u64 low_page(const struct boot_info *info)
{
	u64 page, end;

	for (page = 0x9f000; page; page -= PAGE_SIZE)
		if (memmap_type(info, page, &end) == REGION_RAM && end - page >= PAGE_SIZE)
			return page;
	die("no RAM below 640 KiB to start the other CPUs from");
}

/* ---- the service VM ---- */

static INIT void handoff_take(struct boot_info *info)
{
	handoff_pa = memmap_find(info, HANDOFF_BYTES, PAGE_SIZE, 0x100000, 1ull << 32);
	if (!handoff_pa || memmap_reserve(info, handoff_pa, HANDOFF_BYTES, REGION_RESERVED))
		die("too little memory below 4 GiB");
}

static INIT void load_service(const struct boot_info *info, u64 *entry)
{
	if (info->module_count == 0)
		die("no service VM: the boot menu entry needs a line `module2 /path/to/vmlinuz ...` behind `multiboot2`");
	if (linux_load(info, handoff_pa + HANDOFF_ACPI, handoff_pa + HANDOFF_SCRATCH, entry))
		die(NULL);
}

/* Boot code and data: out of the image's mapping, into the pool under their PHYS_BASE name. */
static void release_init(void)
{
	u64 pa = virt_to_phys(init_start), bytes = (u64)(init_end - init_start);

	pt_split(&host_pt, (u64)init_start, bytes / PAGE_SIZE);
	pt_unmap(&host_pt, (u64)init_start, bytes / PAGE_SIZE, NULL, NULL);
	if (pt_map(&host_pt, PHYS_BASE + pa, pa, bytes / PAGE_SIZE, PTE_PRESENT | PTE_WRITE | PTE_NX, NULL, NULL) !=
	    bytes / PAGE_SIZE)
		return;
	write_cr3(host_pt.root);
	pool_add(&pool, pa, bytes);
}

/* Not boot code itself: it takes boot code away. */
static NOINLINE NORETURN void start_service(struct cpu *cpu, u64 entry)
{
	struct service_entry e = { entry, handoff_pa + HANDOFF_SCRATCH, service_identity_cr3 };

	release_init();
	log_print("tenon: starting the service VM\n");
	console_release();
	cpu->state = CPU_SERVICE;
	backend->service_init(cpu, &e);
	backend->service_loop(cpu);
}

static struct boot_info info __attribute__((section(".init.data")));

INIT void boot_main(u32 magic, u32 mbi)
{
	u32 apic_ids[MAX_CPUS];
	u64 entry;
	int found;

	console_init();
	trap_init();
	trap_load();
	if (multiboot2_parse(magic, mbi, &info))
		die(NULL);
	console_screen(&info.fb);
	log_print("tenon: microhypervisor, ABI %u\n", ABI_VERSION);
	choose_backend();
	found = acpi_cpus(&info, apic_ids, MAX_CPUS);
	if (found < 0)
		die(NULL);
	take_memory(&info, (u32)found);
	handoff_take(&info);
	/* With the early tables, which know all of the first 4 GiB: firmware's tables lie anywhere in it. */
	service_handoff_init(handoff_pa);
	if (acpi_build_wakeup(&info, handoff_pa + HANDOFF_ACPI, HANDOFF_ACPI_BYTES, service_mailbox_pa))
		die(NULL);
	load_service(&info, &entry);
	assign_owners(&info);
	build_host_tables(&info);
	write_cr3(host_pt.root);
	write_cr4(read_cr4() | CR4_OSFXSR | (cpuid(1, 0).ecx & (1u << 26) ? CR4_OSXSAVE : 0));
	fpu_init();
	cpu_has_ibpb = (cpuid(0x80000000, 0).eax >= 0x80000008 && (cpuid(0x80000008, 0).ebx >> 12 & 1)) ||
		(cpuid(0, 0).eax >= 7 && (cpuid(7, 0).edx >> 26 & 1));
	cpu_has_tsc_aux = cpuid(0x80000001, 0).edx >> 27 & 1;
	backend->maps_init(&pool);
	cpus_alloc(apic_ids, (u32)found);
	service_memory_init(&info, &pool);
	if (service_hide(image_pa, align_up(image_bytes(), PAGE_SIZE) / PAGE_SIZE) ||
	    service_hide(region_pa, region_bytes / PAGE_SIZE))
		die("too little memory for the service VM's page tables");
	log_print("tenon: %s, %lu MiB of RAM, %lu KiB of it ours\n", backend->name,
		  (unsigned long)(memmap_ram_pages(&info) >> 8), (unsigned long)((region_bytes + image_bytes()) >> 10));
	log_print("tenon: %u of %u CPUs up\n", smp_start(low_page(&info), ap_main), cpu_count);
	cpu_set_up(cpus[0]);
	start_service(cpus[0], entry);
}
