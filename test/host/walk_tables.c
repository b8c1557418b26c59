// SPDX-License-Identifier: BSD-2-Clause
/*
 * walk_tables.c - unit tests of driver/models/walk.c: each paging mode over
 * tables built in a small array of guest memory, each right, each reserved
 * bit, and the error code and CR2 that the processor would report.
 */
#include <string.h>
#include "check.h"
#include "../../driver/models/walk.h"

#define PG (1ull << 31)
#define WP (1ull << 16)
#define PSE (1ull << 4)
#define PAE (1ull << 5)
#define LA57 (1ull << 12)
#define SMEP (1ull << 20)
#define SMAP (1ull << 21)
#define LMA (1ull << 10)
#define NXE (1ull << 11)
#define AC (1ull << 18)
#define NX (1ull << 63)
#define R DECODE_READ
#define W DECODE_WRITE
#define X DECODE_FETCH

/* Entry bits in short: present, writable, user, accessed, dirty, large. */
enum { P = 1, RW = 2, US = 4, A = 0x20, D = 0x40, PS = 0x80 };
#define ALL (P | RW | US)

#define RAM_BYTES 0x8000
static u8 ram[RAM_BYTES];
static unsigned int reads, exchanges, lost_races;

static int ram_read(void *ctx, u64 gpa, void *buf, unsigned int len)
{
	(void)ctx;
	reads++;
	if (gpa >= RAM_BYTES || gpa % len)
		return 1;
	memcpy(buf, ram + gpa, len);
	return 0;
}

static int ram_cmpxchg(void *ctx, u64 gpa, u64 old, u64 new, unsigned int len)
{
	u64 now = 0;

	(void)ctx;
	exchanges++;
	memcpy(&now, ram + gpa, len);
	if (lost_races) {
		lost_races--;
		return 1;
	}
	if (now != old)
		return 1;
	memcpy(ram + gpa, &new, len);
	return 0;
}

static int rom_cmpxchg(void *ctx, u64 gpa, u64 old, u64 new, unsigned int len)
{
	(void)ctx, (void)gpa, (void)old, (void)new, (void)len;
	return -1;
}

static void put(u64 gpa, u64 v, unsigned int len)
{
	memcpy(ram + gpa, &v, len);
}

static u64 get(u64 gpa, unsigned int len)
{
	u64 v = 0;

	memcpy(&v, ram + gpa, len);
	return v;
}

static struct walk walk_of(u64 cr0, u64 cr4, u64 efer)
{
	struct walk w = {
		.cr0 = cr0, .cr3 = 0x1000, .cr4 = cr4, .efer = efer, .maxphyaddr = 40,
		.read_gpa = ram_read, .cmpxchg_gpa = ram_cmpxchg,
	};

	memset(ram, 0, sizeof(ram));
	reads = exchanges = lost_races = 0;
	return w;
}

/* Four levels for linear 0x8080604xxx..: indexes 1, 2, 3, 4; the leaf maps 0xabcde000. */
#define LINEAR ((1ull << 39) | (2ull << 30) | (3ull << 21) | (4ull << 12))
#define PML4E 0x1008
#define PDPTE 0x2010
#define PDE 0x3018
#define PTE 0x4020

static struct walk walk_long(void)
{
	struct walk w = walk_of(PG | WP, PAE | SMEP | SMAP, LMA | NXE);

	put(PML4E, 0x2000 | ALL, 8);
	put(PDPTE, 0x3000 | ALL, 8);
	put(PDE, 0x4000 | ALL, 8);
	put(PTE, 0xabcde000 | ALL, 8);
	return w;
}

static void expect_gpa(struct walk *w, u64 linear, unsigned int access, u64 want)
{
	struct decode_fault fault = { 0, 0, 0, 0 };
	u64 gpa = 1;

	CHECK_EQ(walk_translate(w, linear, access, &gpa, &fault), 0);
	CHECK_EQ(gpa, want);
}

static void expect_pf(struct walk *w, u64 linear, unsigned int access, u64 error)
{
	struct decode_fault fault = { 0, 0, 0, 0 };
	u64 gpa;

	CHECK_EQ(walk_translate(w, linear, access, &gpa, &fault), DECODE_FAULT);
	CHECK_EQ(fault.vector, 14);
	CHECK_EQ(fault.has_error, 1);
	CHECK_EQ(fault.error, error);
	CHECK_EQ(fault.cr2, linear);
}

TEST(walk_without_paging)
{
	struct walk w = walk_of(0, 0, 0);

	expect_gpa(&w, 0x12345678, W, 0x12345678);
	expect_gpa(&w, 0xffffffff12345678, W, 0x12345678);
	CHECK_EQ(reads, 0);
}

TEST(walk_32bit)
{
	struct walk w = walk_of(PG | WP, 0, 0);

	put(0x1004, 0x2000 | ALL | PS, 4);	/* without PSE bit 7 means nothing */
	put(0x2008, 0xabcde000 | ALL | PS, 4);	/* PAT */
	w.cpl = 3;
	expect_gpa(&w, 0x402123, R, 0xabcde123);
	CHECK_EQ(get(0x1004, 4), 0x2000 | ALL | PS | A);
	CHECK_EQ(get(0x2008, 4), 0xabcde000ull | ALL | PS | A);
	CHECK_EQ(get(0x200c, 4), 0);
	expect_gpa(&w, 0x402123, W, 0xabcde123);
	CHECK_EQ(get(0x1004, 4), 0x2000 | ALL | PS | A);
	CHECK_EQ(get(0x2008, 4), 0xabcde000ull | ALL | PS | A | D);
	expect_pf(&w, 0x403000, W, 6);
	expect_pf(&w, 0x803000, R, 4);
	expect_pf(&w, 0x803000, X, 4);	/* neither NX nor SMEP: no fetch bit */
}

TEST(walk_32bit_pse)
{
	struct walk w = walk_of(PG, PSE, 0);

	put(0x1004, 0x40400000 | P | RW | PS | (9 << 13), 4);
	expect_gpa(&w, 0x512345, W, 0x940512345);
	CHECK_EQ(get(0x1004, 4), 0x40400000u | P | RW | PS | (9 << 13) | A | D);
	CHECK_EQ(reads, 1);
	put(0x1004, 0x40400000 | P | RW | PS | (1 << 21), 4);
	expect_pf(&w, 0x512345, W, 0xb);
	put(0x1004, 0x40400000 | P | RW | PS | (1 << 17), 4);
	expect_pf(&w, 0x512345, R, 9);
	put(0x1004, 0x2000 | P | RW, 4);	/* no large page: a table */
	put(0x2000 + 0x112 * 4, 0x7000 | P, 4);
	expect_gpa(&w, 0x512345, R, 0x7345);
}

TEST(walk_pae)
{
	struct walk w = walk_of(PG | WP, PAE, NXE);

	w.cr3 = 0x1fe0;	/* 32-byte aligned */
	put(0x1fe0 + 8, 0x3000 | P, 8);
	put(0x3000 + 8 * 5, 0x4000 | ALL, 8);
	put(0x4000 + 8 * 6, 0x123456000 | ALL, 8);
	put(0x3000 + 8 * 7, 0x987600000 | ALL | PS, 8);
	w.cpl = 3;
	expect_gpa(&w, 0x40a06789, W, 0x123456789);
	CHECK_EQ(get(0x1fe8, 8), 0x3000 | P);	/* no accessed bit there */
	CHECK_EQ(get(0x3028, 8), 0x4000 | ALL | A);
	CHECK_EQ(get(0x4030, 8), 0x123456000 | ALL | A | D);
	expect_gpa(&w, 0x40ffffff, W, 0x9877fffff);
	put(0x4030, 0x123456000 | ALL | (1ull << 52), 8);
	expect_pf(&w, 0x40a06789, R, 0xd);
	put(0x4030, 0x123456000 | ALL | NX, 8);
	expect_pf(&w, 0x40a06789, X, 0x15);
	w.efer = 0;	/* NX is reserved now, and the fetch bit not told */
	expect_pf(&w, 0x40a06789, X, 0xd);
	put(0x1fe8, 0x3000 | P | RW, 8);	/* reserved in a PDPTE */
	expect_pf(&w, 0x40a06789, R, 0xd);
	expect_pf(&w, 0x80000000, R, 4);
}

TEST(walk_long_sizes)
{
	struct walk w = walk_long();

	expect_gpa(&w, LINEAR | 0xfff, 0, 0xabcdefff);
	CHECK_EQ(exchanges, 0);
	w.rflags = AC;
	expect_gpa(&w, LINEAR | 0xfff, W, 0xabcdefff);
	CHECK_EQ(reads, 8);
	CHECK_EQ(exchanges, 4);
	CHECK_EQ(get(PML4E, 8), 0x2000 | ALL | A);
	CHECK_EQ(get(PTE, 8), 0xabcde000 | ALL | A | D);
	expect_gpa(&w, LINEAR | 1, W, 0xabcde001);
	CHECK_EQ(exchanges, 4);
	put(PDE, 0x12200000 | ALL | PS | A | D, 8);
	expect_gpa(&w, LINEAR | 1, W, 0x12204001);
	put(PDPTE, 0xc0000000 | ALL | PS | A | D, 8);
	expect_gpa(&w, LINEAR | 1, W, 0xc0604001);
	CHECK_EQ(exchanges, 4);
}

TEST(walk_la57)
{
	struct walk w = walk_of(PG, PAE | LA57, LMA);

	put(0x1008, 0x2000 | ALL, 8);
	put(0x2010, 0x3000 | ALL, 8);
	put(0x3018, 0x80000000 | ALL | PS, 8);
	expect_gpa(&w, (1ull << 48) | (2ull << 39) | (3ull << 30) | 0x123, R, 0x80000123);
	expect_pf(&w, 0xff00000000000000, R, 0);
}

TEST(walk_canonical)
{
	struct walk w = walk_long();
	struct decode_fault fault;
	u64 gpa;

	CHECK_EQ(walk_translate(&w, 0x800000000000, R, &gpa, &fault), DECODE_FAULT);
	CHECK_EQ(fault.vector, 13);
	CHECK_EQ(fault.has_error, 1);
	CHECK_EQ(fault.error, 0);
	CHECK_EQ(reads, 0);
	expect_pf(&w, 0xffff800000000000, R, 0);
	expect_pf(&w, 0x7fffffffffff, W, 2);
}

/* Rights: bits taken from one level's entry, the access, the outcome. */
struct rights {
	const char *what;
	u64 entry, clear, set;
	u64 cr0, cr4, rflags;	/* cr4: bits taken away */
	unsigned int cpl, access;
	int error;	/* -1: allowed */
};

static const struct rights rights[] = {
	{ "user reads user", PTE, 0, 0, WP, 0, 0, 3, R, -1 },
	{ "user writes user", PTE, 0, 0, WP, 0, 0, 3, W, -1 },
	{ "user fetches user", PTE, 0, 0, WP, 0, 0, 3, X, -1 },
	{ "user reads supervisor leaf", PTE, US, 0, WP, 0, 0, 3, R, 5 },
	{ "user writes supervisor table", PDE, US, 0, WP, 0, 0, 3, W, 7 },
	{ "user fetches supervisor", PML4E, US, 0, WP, 0, 0, 3, X, 0x15 },
	{ "user writes read-only leaf", PTE, RW, 0, WP, 0, 0, 3, W, 7 },
	{ "user writes read-only without WP", PTE, RW, 0, 0, 0, 0, 3, W, 7 },
	{ "user writes read-only table", PDPTE, RW, 0, WP, 0, 0, 3, W, 7 },
	{ "read for write of read-only", PTE, RW, 0, WP, 0, 0, 3, R | W, 7 },
	{ "supervisor writes read-only", PTE, RW | US, 0, WP, 0, 0, 0, W, 3 },
	{ "supervisor writes read-only without WP", PTE, RW | US, 0, 0, 0, 0, 0, W, -1 },
	{ "CPL 2 is supervisor", PTE, RW | US, 0, WP, 0, 0, 2, W, 3 },
	{ "user fetches NX leaf", PTE, 0, NX, WP, 0, 0, 3, X, 0x15 },
	{ "user fetches NX table", PDE, 0, NX, WP, 0, 0, 3, X, 0x15 },
	{ "user reads NX", PTE, 0, NX, WP, 0, 0, 3, R, -1 },
	{ "SMEP", PTE, 0, 0, WP, 0, 0, 0, X, 0x11 },
	{ "no SMEP", PTE, 0, 0, WP, SMEP, 0, 0, X, -1 },
	{ "SMEP and AC", PTE, 0, 0, WP, 0, AC, 0, X, 0x11 },
	{ "supervisor fetches supervisor", PDE, US, 0, WP, 0, 0, 0, X, -1 },
	{ "SMAP read", PTE, 0, 0, WP, 0, 0, 0, R, 1 },
	{ "SMAP write", PTE, 0, 0, WP, 0, 0, 0, W, 3 },
	{ "SMAP and AC", PTE, 0, 0, WP, 0, AC, 0, W, -1 },
	{ "no SMAP", PTE, 0, 0, WP, SMAP, 0, 0, W, -1 },
	{ "not present leaf", PTE, P, NX, WP, 0, 0, 3, W, 6 },
	{ "not present table, fetch", PDPTE, P, 0, WP, 0, 0, 3, X, 0x14 },
	{ "reserved address bit", PTE, 0, 1ull << 40, WP, 0, 0, 3, R, 0xd },
	{ "highest address bit", PTE, 0, 1ull << 51, WP, 0, 0, 3, W, 0xf },
	{ "bits above the address are free", PTE, 0, 0x7ffull << 52, WP, 0, 0, 3, R, -1 },
	{ "large PML4E", PML4E, 0, PS, WP, 0, 0, 3, R, 0xd },
	{ "2M page with bit 13", PDE, 0, PS | 0x2000, WP, 0, 0, 3, R, 0xd },
	{ "2M page with the PAT bit", PDE, 0x4000, PS | 0x1000, WP, 0, 0, 3, R, -1 },
	{ "1G page with bit 21", PDPTE, 0, PS | 0x200000, WP, 0, 0, 3, R, 0xd },
	{ "reserved wins over rights", PTE, US | RW, 1ull << 45, WP, 0, 0, 3, W, 0xf },
};

static void check_rights(const struct rights *r)
{
	struct walk w = walk_long();
	struct decode_fault fault;
	unsigned int before;
	u64 gpa;
	int rc;

	w.cr0 = PG | r->cr0;
	w.cr4 &= ~r->cr4;
	w.rflags = r->rflags;
	w.cpl = r->cpl;
	put(r->entry, (get(r->entry, 8) & ~r->clear) | r->set, 8);
	before = test_failures();
	rc = walk_translate(&w, LINEAR, r->access, &gpa, &fault);
	CHECK_EQ(rc, r->error < 0 ? 0 : DECODE_FAULT);
	if (rc && r->error >= 0)
		CHECK_EQ(fault.error, r->error);
	if (rc)
		CHECK_EQ(exchanges, 0);	/* a refused access marks nothing */
	if (test_failures() != before)
		test_fail(__FILE__, __LINE__, "row: %s", r->what);
}

TEST(walk_rights)
{
	unsigned int i;

	for (i = 0; i < COUNT(rights); i++)
		check_rights(&rights[i]);
}

TEST(walk_without_nxe)
{
	struct walk w = walk_long();

	w.efer &= ~NXE;
	w.cpl = 3;
	put(PTE, 0x5000 | ALL | NX, 8);
	expect_pf(&w, LINEAR, R, 0xd);
}

TEST(walk_tables_outside_memory)
{
	struct walk w = walk_long();

	w.cpl = 3;
	put(PDPTE, 0x100000 | ALL, 8);
	expect_pf(&w, LINEAR, W, 6);
}

TEST(walk_rom_tables)
{
	struct walk w = walk_long();

	w.cmpxchg_gpa = rom_cmpxchg;
	w.cpl = 3;
	expect_gpa(&w, LINEAR, W, 0xabcde000);
	CHECK_EQ(get(PTE, 8), 0xabcde000 | ALL);
	w.cmpxchg_gpa = NULL;
	expect_gpa(&w, LINEAR, W, 0xabcde000);
}

TEST(walk_races)
{
	struct walk w = walk_long();

	w.cpl = 3;
	lost_races = 3;
	expect_gpa(&w, LINEAR, W, 0xabcde000);
	CHECK_EQ(get(PTE, 8), 0xabcde000 | ALL | A | D);
	put(PTE, 0xabcde000 | ALL, 8);
	reads = 0;
	lost_races = 1000000;	/* a guest that never leaves them alone */
	expect_gpa(&w, LINEAR, W, 0xabcde000);
	CHECK(reads <= 64);
}

/* Whatever the state says, no read outside the contract and a bounded number of them. */
TEST(walk_fuzz)
{
	unsigned int i, j;

	for (i = 0; i < 200000; i++) {
		struct walk w = walk_of(test_random(), test_random(), test_random());
		struct decode_fault fault;
		u64 gpa;

		w.cr3 = test_below(4) ? test_random() & 0x7fff : test_random();
		w.cpl = test_below(4);
		w.rflags = test_random();
		w.maxphyaddr = test_below(4) ? 36 + test_below(17) : test_random();
		for (j = 0; j < 64; j++)
			put(test_below(RAM_BYTES / 8) * 8, test_random() & (test_below(2) ? 0x7fff : ~0ull), 8);
		for (j = 0; j < RAM_BYTES && test_below(2) && i < 20000; j += 8)
			put(j, (test_random() & 0x70ff) | 7, 8);
		walk_translate(&w, test_random() >> test_below(33), test_below(8), &gpa, &fault);
		CHECK(reads <= 5 * 16);
	}
}
