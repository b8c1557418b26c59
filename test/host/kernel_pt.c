// SPDX-License-Identifier: BSD-2-Clause
/*
 * kernel_pt.c - unit tests of kernel/pt.c against a page-by-page model.
 *
 * The file under test is included, with its one way to store an entry
 * replaced: after every store the whole translation of a set of probe pages is
 * read by a walker of this file's own. Outside the range of the operation
 * nothing may ever differ; inside, a page has its old translation, its new one,
 * or (where something is taken away) none. So a CPU that walks meanwhile never
 * sees anything else.
 */
#include <stdlib.h>
#include <string.h>
#include "check.h"
#include "fake.h"
#include "kernel/errno.h"

static void store(u64 *entry, u64 value);
#undef WRITE_ONCE
#define WRITE_ONCE(x, v) store(&(x), v)
/* Under names of this file's own: the other tests use the plain one. */
#define pt_map watched_pt_map
#define pt_clear watched_pt_clear
#define pt_split watched_pt_split
#define pt_lookup watched_pt_lookup
#include "kernel/pt.c"

#define ATTR_MASK 0x7full
#define LARGE 0x80ull

static void flush(void);

static const struct pt_format format = {
	.present = 1, .large = LARGE, .table = 7, .address = 0x000ffffffffff000ull,
};
/* The same, of a processor that wants break before make. */
static const struct pt_format format_break = {
	.present = 1, .large = LARGE, .table = 7, .address = 0x000ffffffffff000ull, .flush = flush,
};

static struct pool pool;
static struct pt pt;

/* ---- a walker of the test's own: page -> address and rights, 0: nothing ---- */

static u64 translate(u64 va)
{
	u64 table = pt.root, entry, size = 512 * 512 * 512 * PAGE_SIZE;
	int level;

	for (level = 3;; level--, size /= 512) {
		entry = ((u64 *)fake_memory(table))[va / size % 512];
		if (!(entry & 1))
			return 0;
		if (!level || (entry & LARGE)) {
			CHECK(level < 3);
			CHECK(!level == !(entry & LARGE));
			CHECK_EQ(entry & format.address & (size - 1), 0);
			return (entry & format.address) + (va & (size - 1) & ~0xfffull) + (entry & ATTR_MASK);
		}
		table = entry & format.address;
		CHECK(table && table < FAKE_HV_BYTES);
		if (test_failures())
			return 0;
	}
}

/* ---- every store is looked at ---- */

#define PROBES 48

static struct probe {
	u64 va, before, after;
} probes[PROBES];
static unsigned int probe_count;
static unsigned long stores;
static int watching;
static u64 *broken;	/* an entry that was taken away and not flushed yet */

static void check_probes(const char *when)
{
	unsigned int i;
	u64 now;

	for (i = 0; i < probe_count; i++) {
		now = translate(probes[i].va);
		if (!now && pt.format->flush)
			continue;	/* who faults meanwhile tries again */
		if (now != probes[i].before && now != probes[i].after)
			test_fail(__FILE__, __LINE__, "%s: page %#llx is %#llx; before %#llx, after %#llx", when,
				  probes[i].va, now, probes[i].before, probes[i].after);
	}
}

static void flush(void)
{
	broken = NULL;
}

/* Break before make: present to present never in one step, nor without a flush between the two. */
static void check_break(u64 *entry, u64 value)
{
	if ((*entry & 1) && (value & 1))
		test_fail(__FILE__, __LINE__, "%#llx became %#llx in one step", *entry, value);
	if ((value & 1) && broken == entry)
		test_fail(__FILE__, __LINE__, "%#llx without a flush", value);
	if (*entry & 1)
		broken = entry;
}

static void store(u64 *entry, u64 value)
{
	if (pt.format->flush)
		check_break(entry, value);
	*entry = value;
	stores++;
	if (watching && !test_failures())
		check_probes("after a store");
}

/* ---- the model: one word per page, and how often each physical page is mapped ---- */

#define VA_BASE 0x7fc0000000ull	/* the last GiB of one 512 GiB, and what follows */
#define MODEL_PAGES (3u << 18)
#define PA_PAGES (1u << 20)

static u64 *model;
static s32 *mapped;

static u64 va_of(unsigned int page)
{
	return VA_BASE + page * PAGE_SIZE;
}

static void gone(void *ctx, u64 pa, u64 pages)
{
	u64 i;

	CHECK(ctx == &pt);
	for (i = pa / PAGE_SIZE; i < pa / PAGE_SIZE + pages; i++)
		if (mapped[i]-- <= 0)
			test_fail(__FILE__, __LINE__, "page %#llx went once too often", i * PAGE_SIZE);
}

static void setup(u64 pool_pages)
{
	fake_boot();
	memset(&pool, 0, sizeof(pool));
	pool_add(&pool, PAGE_SIZE, pool_pages * PAGE_SIZE);
	pt = (struct pt){ &format, &pool, pool_alloc(&pool), 2 };
	free(model);
	free(mapped);
	model = calloc(MODEL_PAGES, sizeof(*model));
	mapped = calloc(PA_PAGES, sizeof(*mapped));
	watching = 0;
	probe_count = 0;
}

static void probe(unsigned int page, u64 after)
{
	if (page < MODEL_PAGES && probe_count < PROBES)
		probes[probe_count++] = (struct probe){ va_of(page), model[page], after };
}

/* Probes at the edges of [first, + count) and anywhere; after(page) says what is to come. */
static void probes_place(unsigned int first, unsigned int count, u64 (*after)(unsigned int page))
{
	unsigned int i, page;
	static const int steps[] = { 0, 1, 511, 512, 513, 0x3ffff, 0x40000 };

	probe_count = 0;
	for (i = 0; i < COUNT(steps); i++) {
		probe(first + steps[i], after(first + steps[i]));
		probe(first - steps[i], after(first - steps[i]));
		probe(first + count - 1 + steps[i], after(first + count - 1 + steps[i]));
		probe(first + count - 1 - steps[i], after(first + count - 1 - steps[i]));
	}
	while (probe_count < PROBES) {
		page = test_below(2) ? test_below(MODEL_PAGES) : first + test_below(count);
		if (page < MODEL_PAGES)
			probe(page, after(page));
	}
	watching = 1;
	broken = NULL;	/* the caller of the last operation has flushed */
}

/* ---- operations, on the table and on the model ---- */

static unsigned int op_first, op_count;
static u64 op_pa, op_attr;

static int in_op(unsigned int page)
{
	return page >= op_first && page - op_first < op_count;
}

static u64 after_map(unsigned int page)
{
	if (!in_op(page))
		return page < MODEL_PAGES ? model[page] : 0;
	return op_pa + (page - op_first) * PAGE_SIZE + op_attr;
}

static u64 do_map(unsigned int first, unsigned int count, u64 pa, u64 attr)
{
	u64 done, i;

	op_first = first, op_count = count, op_pa = pa, op_attr = attr;
	probes_place(first, count, after_map);
	for (i = 0; i < count; i++)	/* the caller's shares, taken before */
		mapped[pa / PAGE_SIZE + i]++;
	done = pt_map(&pt, va_of(first), pa, count, attr, gone, &pt);
	CHECK(done <= count);
	for (i = done; i < count; i++)
		mapped[pa / PAGE_SIZE + i]--;
	for (i = 0; i < done; i++)
		model[first + i] = pa + i * PAGE_SIZE + attr;
	watching = 0;
	return done;
}

/* An unmap takes whole leaves: the model learns their size from the table. */
static u64 after_unmap(unsigned int page)
{
	int level;
	u64 va, start;

	if (page >= MODEL_PAGES)
		return 0;
	if (in_op(page) || page + (1u << 18) < op_first || page >= op_first + op_count + (1u << 18))
		return in_op(page) ? 0 : model[page];
	if (!pt_lookup(&pt, va_of(page), &level))
		return 0;
	va = align_down(va_of(page), level_size(level));
	start = va_of(op_first);
	if (va < start + op_count * PAGE_SIZE && start < va + level_size(level))
		return 0;
	return model[page];
}

static void do_unmap(unsigned int first, unsigned int count)
{
	static u8 taken[MODEL_PAGES];
	unsigned int i;

	op_first = first, op_count = count;
	for (i = 0; i < MODEL_PAGES; i++)
		taken[i] = model[i] && !after_unmap(i);
	probes_place(first, count, after_unmap);
	pt_unmap(&pt, va_of(first), count, gone, &pt);
	for (i = 0; i < MODEL_PAGES; i++)
		if (taken[i])
			model[i] = 0;
	watching = 0;
}

#define WRITTEN 2ull	/* an attribute that goes, as a dirty flag does */

/* Leaves that touch the range lose it as a whole, as they go in after_unmap(). */
static u64 after_clear(unsigned int page)
{
	return page < MODEL_PAGES && model[page] && !after_unmap(page) ? model[page] & ~WRITTEN : page < MODEL_PAGES ? model[page] : 0;
}

static unsigned int told;

static void tell(void *ctx, u64 pa, u64 pages)
{
	CHECK(ctx == &pt);
	told++;
}

static void do_clear(unsigned int first, unsigned int count)
{
	static u64 after[MODEL_PAGES];
	unsigned int i;
	u64 had;

	op_first = first, op_count = count;
	for (i = 0; i < MODEL_PAGES; i++)
		after[i] = after_clear(i);
	probes_place(first, count, after_clear);
	told = 0;
	had = pt_clear(&pt, va_of(first), count, WRITTEN, tell, &pt);
	CHECK_EQ(had, told);
	watching = 0;
	memcpy(model, after, sizeof(after));
	CHECK_EQ(pt_clear(&pt, va_of(first), count, WRITTEN, tell, &pt), 0);	/* nothing is left to be cleared */
}

static u64 after_split(unsigned int page)
{
	return page < MODEL_PAGES ? model[page] : 0;
}

static int straddles(unsigned int page)
{
	int level;

	return pt_lookup(&pt, va_of(page), &level) && (va_of(page) & (level_size(level) - 1));
}

static int do_split(unsigned int first, unsigned int count)
{
	int err;

	probes_place(first, count, after_split);
	err = pt_split(&pt, va_of(first), count);
	watching = 0;
	if (!err) {
		CHECK(!straddles(first));
		CHECK(first + count >= MODEL_PAGES || !straddles(first + count));
	}
	return err;
}

/* Every page, or in long runs a random part of them. */
static void check_pages(unsigned int stride)
{
	unsigned int i;
	int level;
	u64 leaf;

	for (i = 0; i < MODEL_PAGES && !test_failures(); i += 1 + test_below(stride)) {
		CHECK_EQ(translate(va_of(i)), model[i]);
		leaf = pt_lookup(&pt, va_of(i), &level);
		CHECK_EQ(!leaf, !model[i]);
	}
}

static void check_all(void)
{
	check_pages(1);
}

static void check_mapped(void)
{
	s32 *want = calloc(PA_PAGES, sizeof(*want));
	unsigned int i;

	for (i = 0; i < MODEL_PAGES; i++)
		if (model[i])
			want[(model[i] & format.address) / PAGE_SIZE]++;
	for (i = 0; i < PA_PAGES && !test_failures(); i++)
		CHECK_EQ(mapped[i], want[i]);
	free(want);
}

TEST(kernel_pt_leaf_sizes)
{
	int level;

	setup(100);
	CHECK_EQ(pt_lookup(&pt, va_of(0), &level), 0);
	CHECK_EQ(do_map(0, 1u << 18, 0x40000000, 3), 1u << 18);
	CHECK_EQ(pt_lookup(&pt, va_of(5), &level), 0x40000083);
	CHECK_EQ(level, 2);
	CHECK_EQ(do_map(1u << 18, 1024, 0x80200000, 1), 1024);
	CHECK_EQ(pt_lookup(&pt, va_of(1u << 18 | 600), &level), 0x80400081);
	CHECK_EQ(level, 1);
	CHECK_EQ(do_map((1u << 18) + 1024, 512, 0x80201000, 1), 512);	/* not congruent: small pages */
	pt_lookup(&pt, va_of((1u << 18) + 1024), &level);
	CHECK_EQ(level, 0);
	pt.leaf_max = 0;
	CHECK_EQ(do_map(2u << 18, 512, 0x80200000, 1), 512);
	pt_lookup(&pt, va_of(2u << 18), &level);
	CHECK_EQ(level, 0);
	check_all();
	check_mapped();
}

/* One small page in a GiB: two splits, each invisible. */
TEST(kernel_pt_split_of_large_pages)
{
	int level;

	setup(100);
	do_map(0, 1u << 18, 0x40000000, 3);
	stores = 0;
	CHECK_EQ(do_map(1000, 1, 0x1000, 1), 1);
	CHECK_EQ(stores, 3);
	CHECK_EQ(pt_lookup(&pt, va_of(1001), &level), 0x40000000 + 1001 * PAGE_SIZE + 3);
	CHECK_EQ(pt_lookup(&pt, va_of(5000), &level), align_down(0x40000000 + 5000 * PAGE_SIZE, BLOCK_SIZE) + 0x83);
	check_all();
	check_mapped();
	CHECK_EQ(do_split(70000, 3), 0);
	check_all();
	do_unmap(70000, 3);
	CHECK_EQ(translate(va_of(69999)), 0x40000000 + 69999 * PAGE_SIZE + 3);
	CHECK_EQ(translate(va_of(70000)), 0);
	CHECK_EQ(translate(va_of(70003)), 0x40000000 + 70003 * PAGE_SIZE + 3);
	do_unmap(200000, 1);	/* no split before: the whole leaf goes */
	CHECK_EQ(translate(va_of(200001)), 0);
	check_all();
	check_mapped();
}

/* The pages of a leaf share its bits; who lacks the bit is not counted. */
TEST(kernel_pt_clear)
{
	setup(100);
	do_map(0, 512, 0x40000000, 3);
	do_map(512, 4, 0x1000, 3);
	do_map(516, 4, 0x5000, 1);
	stores = 0;
	CHECK_EQ(pt_clear(&pt, va_of(511), 9, WRITTEN, NULL, NULL), 5);
	CHECK_EQ(stores, 5);
	CHECK_EQ(translate(va_of(0)), 0x40000001);
	CHECK_EQ(translate(va_of(513)), 0x2001);
	CHECK_EQ(translate(va_of(516)), 0x5001);
	CHECK_EQ(pt_clear(&pt, va_of(0), 1024, 0, NULL, NULL), 0);
}

TEST(kernel_pt_without_memory)
{
	unsigned int i;

	setup(3);	/* the root and two tables */
	CHECK_EQ(do_map(0, 600, 0x1000, 3), 0);
	setup(4);
	CHECK_EQ(do_map(0, 600, 0x1000, 3), 512);
	CHECK_EQ(do_map(0, 512, 0x80000000, 1), 512);
	check_all();
	check_mapped();
	setup(3);
	CHECK_EQ(do_map(0, 1u << 18, 0x40000000, 3), 1u << 18);
	CHECK_EQ(do_split(100, 1), -ENOMEM);
	check_all();
	for (i = 0; i < 3; i++)
		CHECK_EQ(do_map(1000 + i, 1, 0x1000, 1), 0);
	check_all();
	check_mapped();
}

static unsigned int random_pages(unsigned int first, u64 pa)
{
	static const unsigned int sizes[] = { 1, 2, 7, 511, 512, 513, 1024, 1500, 5000, 1u << 18, (1u << 18) + 513 };
	unsigned int n = sizes[test_below(COUNT(sizes))];

	if (n > MODEL_PAGES - first)
		n = MODEL_PAGES - first;
	if (n > PA_PAGES - pa / PAGE_SIZE)
		n = PA_PAGES - pa / PAGE_SIZE;
	return n;
}

static unsigned int random_page(unsigned int limit)
{
	unsigned int page = test_below(limit);

	switch (test_below(4)) {
	case 0:
		return page & ~0x3ffffu;
	case 1:
		return page & ~511u;
	case 2:
		return (page & ~511u) + test_below(3);
	default:
		return page;
	}
}

static void random_op(void)
{
	unsigned int first = random_page(MODEL_PAGES), count;
	u64 pa = random_page(PA_PAGES) * PAGE_SIZE;

	if (test_below(3) == 0)
		pa = align_down(pa, 1ull << 30) + first % (1u << 18) * PAGE_SIZE;	/* congruent */
	count = random_pages(first, pa);
	switch (test_below(6)) {
	case 0:
		do_unmap(first, count);
		break;
	case 2:		/* no format that wants break before make has such a bit */
		if (!pt.format->flush)
			do_clear(first, count);
		break;
	case 1:
		do_split(first, count);
		break;
	default:
		do_map(first, count, pa, test_below(2) ? 3 : 1);
		break;
	}
}

static void random_ops(const struct pt_format *f, u64 pool_pages, unsigned int rounds)
{
	unsigned int i;

	setup(pool_pages);
	pt.format = f;
	for (i = 0; i < rounds && !test_failures(); i++) {
		random_op();
		if (i % 50 == 49) {
			check_pages(64);
			check_mapped();
		}
	}
	do_unmap(0, MODEL_PAGES);
	check_pages(8);
	check_mapped();
}

TEST(kernel_pt_random)
{
	random_ops(&format, 3500, 300);
}

TEST(kernel_pt_random_break_before_make)
{
	random_ops(&format_break, 2000, 100);
}

TEST(kernel_pt_random_with_little_memory)
{
	unsigned int i;

	for (i = 0; i < 6; i++)
		random_ops(i % 2 ? &format : &format_break, 4 + test_below(40), 60);
}

/* Everything goes: the walk over empty tables is bounded by the tables there are. */
TEST(kernel_pt_unmap_of_everything)
{
	setup(200);
	do_map(3, 1000, 0x1000, 3);
	CHECK_EQ(pt_unmap(&pt, 0, 1ull << 36, NULL, NULL), 1000);
	CHECK_EQ(translate(va_of(3)), 0);
	CHECK_EQ(translate(va_of(1002)), 0);
}
