// SPDX-License-Identifier: BSD-2-Clause
/* fake.c - see fake.h. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/mman.h>
#include "check.h"
#include "fake.h"
#include "kernel/call.h"
#include "kernel/errno.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/memory.h"
#include "kernel/ring.h"
#include "kernel/vm.h"
#include "phys.h"

struct cpu *cpus[MAX_CPUS];
u32 cpu_count;
unsigned int fake_hide_fails;
unsigned long fake_ops_done;
int fake_strict;

static u8 *memory;
static u32 *records;
static u8 hidden[FAKE_PAGES];
static struct pool pool;

/* ---- memory ---- */

void *fake_memory(u64 pa)
{
	return memory + pa;
}

int fake_hidden(u64 pa)
{
	return hidden[pa / PAGE_SIZE];
}

struct pool *fake_pool(void)
{
	return &pool;
}

/* The service VM's page, and nobody shares it: the record word is the owner alone. */
static int off_limits(u64 pa)
{
	return records[pa / PAGE_SIZE] == OWNER_SERVICE;
}

void *phys_to_virt(u64 pa)
{
	if (pa >= FAKE_BYTES) {
		test_fail(__FILE__, __LINE__, "physical address %#llx", pa);
		abort();
	}
	if (fake_strict && off_limits(pa))
		test_fail(__FILE__, __LINE__, "the service VM's own page %#llx is touched", pa);
	return memory + pa;
}

u64 virt_to_phys(const void *va)
{
	return (const u8 *)va - memory;
}

/* ---- the machine's side ---- */

void cpu_poll(void)
{
	sched_yield();
}

void cpu_kick(struct cpu *cpu, u32 polls)
{
	(void)cpu, (void)polls;
}

int service_hide(u64 pa, u64 pages)
{
	u64 i;

	if (fake_hide_fails && !test_below(fake_hide_fails))
		return -ENOMEM;
	for (i = pa / PAGE_SIZE; i < pa / PAGE_SIZE + pages; i++)
		hidden[i]++;
	return 0;
}

void service_show(u64 pa, u64 pages)
{
	u64 i;

	for (i = pa / PAGE_SIZE; i < pa / PAGE_SIZE + pages; i++) {
		if (hidden[i] != 1)
			test_fail(__FILE__, __LINE__, "page %#llx hidden %u times", i * PAGE_SIZE, hidden[i]);
		hidden[i]--;
	}
}

static const struct pt_format guest_format = {
	.present = 1, .large = 0x80, .table = 7, .address = 0x000ffffffffff000ull,
};
struct machine_guest machine_guest = { &guest_format, 5, 2, 1ull << 40, 0x40 };

void machine_vm_init(struct vm *vm)
{
	(void)vm;
}

/* A page is mapped only while it is shared: its owner can be nobody else. */
void machine_guest_mapped(u64 pa, u64 pages)
{
	CHECK(!off_limits(pa) && !off_limits(pa + (pages - 1) * PAGE_SIZE));
}

void machine_vm_flush(struct vm *vm)
{
	CHECK(vm->generation > 1);
}

/* As the backends do: a state block and an FPU area from the VM's pool. */
int machine_vcpu_init(struct vcpu *v)
{
	v->arch.vmcb_pa = pool_alloc(&v->vm->pool);
	if (!v->arch.vmcb_pa)
		return -ENOMEM;
	v->arch.fpu = (void *)(unsigned long)pool_alloc_pages(&v->vm->pool, 3);
	return v->arch.fpu ? 0 : -ENOMEM;
}

/* Opened and closed in turn, given up closed. */
void machine_vcpu_hold(struct vcpu *v, enum vcpu_hold hold)
{
	u32 *open = &v->arch.work;	/* nothing here uses it */

	CHECK_EQ(*open, hold == VCPU_CLOSED);
	*open = hold == VCPU_OPEN;
}

int machine_vcpu_run(struct cpu *cpu, struct vcpu *v)
{
	CHECK(v->in_guest == 0);
	v->page->out.reason = EXIT_INTR;
	v->page->exits[EXIT_INTR]++;
	cpu->exits[EXIT_INTR]++;
	__atomic_fetch_add(&fake_ops_done, 1, __ATOMIC_RELAXED);
	return 0;
}

void machine_counts(struct mem_stats *out)
{
	out->total_pages = FAKE_PAGES;
}

void console_write(const char *text, u64 length)
{
	(void)text, (void)length;
}

void console_release(void)
{
}

void machine_stop(void)
{
	test_fail(__FILE__, __LINE__, "panic");
	abort();
}

/* Operations of the architecture: right kind of object, payload within its row, random answer. */
static s64 fake_op(struct call *c, int kind, u32 in, u32 out)
{
	CHECK(c->length >= in && c->length <= RING_OP_BYTES);
	CHECK(!c->vm);
	CHECK(!c->vcpu == (kind == 0));
	if (c->vcpu)
		CHECK(c->vcpu->vm != NULL);
	__atomic_fetch_add(&fake_ops_done, 1, __ATOMIC_RELAXED);
	if (out && c->length % 3) {
		memset(c->buf, 0x42, out);
		c->out = out;
	}
	return c->arg & 1 ? -EINVAL : 0;
}

#define SYSTEM 0
#define VM 1
#define VCPU 2
#define X(kind, number, name, in, out) \
	s64 op_##name(struct call *c) { return fake_op(c, kind, in, out); }
ABI_OPS_ARCH(X)
#undef X

/* ---- boot ---- */

static void cpus_make(void)
{
	u32 i;

	for (i = 0; i < FAKE_CPUS; i++) {
		cpus[i] = calloc(1, sizeof(struct cpu));
		cpus[i]->index = i;
		/* to the byte, so that the sanitizer sees one too many */
		cpus[i]->scratch = malloc(RING_OP_BYTES);
	}
	cpu_count = FAKE_CPUS;
}

/* What a failed test left behind must not fail the next one. */
static void vms_end(void)
{
	struct vm *vm;
	u32 i;

	for (i = 0; i < FAKE_CPUS; i++)
		vcpu_take(cpus[i], 0);
	for (i = 1; i <= ABI_MAX_VMS; i++) {
		vm = vm_get(i);
		if (!vm)
			continue;
		op_OP_VM_DESTROY(&(struct call){ .cpu = cpus[0], .vm = vm });
		vm_put(i);
	}
}

void fake_boot(void)
{
	if (!memory) {
		memory = mmap(NULL, FAKE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (memory == MAP_FAILED)
			abort();
		records = calloc(FAKE_PAGES, sizeof(*records));
		memory_init(records, FAKE_PAGES);
		cpus_make();
	}
	fake_strict = 0;
	vms_end();
	memset(hidden, 0, sizeof(hidden));
	madvise(memory, FAKE_BYTES, MADV_DONTNEED);
	memory_assign(0, FAKE_PAGES, OWNER_SERVICE);
	memory_assign(0, FAKE_HV_BYTES / PAGE_SIZE, OWNER_HYPERVISOR);
	memset(&pool, 0, sizeof(pool));
	pool_add(&pool, PAGE_SIZE, FAKE_HV_BYTES - PAGE_SIZE);
	fake_hide_fails = 0;
	fake_strict = 1;
}
