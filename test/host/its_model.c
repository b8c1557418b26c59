// SPDX-License-Identifier: BSD-2-Clause
/*
 * its_model.c - unit tests of driver/models/its.c and idtree.c: registers, commands,
 * what is refused, limits, save and restore, and random commands and tables, with a
 * surrounding that watches the lock and counts what is held.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "check.h"
#include "../../driver/models/its.h"

/* ---- the surroundings ---- */

#define RAM 0x40000000ull
#define RAM_BYTES 0x400000u
#define QUEUE (RAM + 0x000000)		/* 64 KiB at most, but for one test */
#define DEVICES (RAM + 0x100000)	/* 64 KiB: 8,192 devices */
#define COLLECTIONS (RAM + 0x110000)
#define ITT (RAM + 0x200000)
#define TARGETS 4u

struct gic_lpi {
	u32 id, target, refs;
	bool pending;
	u32 reloads;
};

static u8 ram[RAM_BYTES];
static struct gic_lpi lpis[ITS_LPIS_END];
static u32 held, allocated, lpi_refs, lpi_limit = ITS_LPIS_END, reload_cost, moves[2];
static bool lpis_on = true, out_of_memory, lpi_fails, rest;

static bool in_ram(u64 gpa, u64 bytes)
{
	return gpa >= RAM && bytes <= RAM_BYTES && gpa - RAM <= RAM_BYTES - bytes;
}

int its_host_read(struct its *its, u64 gpa, void *data, u32 bytes)
{
	CHECK(!held);
	if (!in_ram(gpa, bytes))
		return -EFAULT;
	memcpy(data, ram + (gpa - RAM), bytes);
	return 0;
}

int its_host_write(struct its *its, u64 gpa, const void *data, u32 bytes)
{
	CHECK(!held);
	if (!in_ram(gpa, bytes))
		return -EFAULT;
	memcpy(ram + (gpa - RAM), data, bytes);
	return 0;
}

bool its_host_visible(struct its *its, u64 gpa)
{
	CHECK(!held);
	return in_ram(gpa, 1);
}

void *its_host_alloc(u32 bytes)
{
	CHECK(!held);
	if (out_of_memory)
		return NULL;
	allocated++;
	return calloc(1, bytes);
}

void its_host_free(void *object)
{
	allocated -= !!object;
	free(object);
}

bool its_host_rest(void)
{
	CHECK(!held);
	return rest;
}

void its_host_lock(struct its *its)
{
	CHECK(!held);
	held = 1;
}

void its_host_unlock(struct its *its)
{
	CHECK(held);
	held = 0;
}

u32 its_host_targets(struct its *its) { return TARGETS; }
u32 its_host_lpi_limit(struct its *its) { return lpi_limit; }
bool its_host_lpis_on(const struct its *its, u32 target) { return lpis_on && target < TARGETS; }

int its_host_lpi_get(struct its *its, u32 id, u32 target, struct gic_lpi **lpi)
{
	CHECK(!held);
	CHECK(id >= ITS_LPI_FIRST && id < ITS_LPIS_END);
	if (lpi_fails)
		return -EFAULT;
	*lpi = &lpis[id];
	if (!lpis[id].refs++)
		lpis[id] = (struct gic_lpi){ .id = id, .target = target, .refs = 1 };
	lpi_refs++;
	return 0;
}

void its_host_lpi_put(struct its *its, struct gic_lpi *lpi)
{
	CHECK(held && lpi->refs);
	lpi->refs--;
	lpi_refs--;
}

void its_host_lpi_move(struct its *its, struct gic_lpi *lpi, u32 target)
{
	CHECK(held && lpi->refs);
	lpi->target = target;
}

void its_host_lpi_pend(struct its *its, struct gic_lpi *lpi, bool pending)
{
	CHECK(held && lpi->refs);
	lpi->pending = pending;
}

void its_host_lpi_reload(struct its *its, u32 id)
{
	CHECK(!held && lpis[id].refs);
	lpis[id].reloads++;
}

u32 its_host_reload_all(struct its *its, u32 target)
{
	CHECK(!held && target < TARGETS);
	return reload_cost;
}

u32 its_host_move_all(struct its *its, u32 from, u32 to)
{
	CHECK(!held && from < TARGETS && to < TARGETS && from != to);
	moves[0] = from;
	moves[1] = to;
	return 1;
}

/* ---- commands ---- */

enum { MOVI = 1, INT = 3, CLEAR = 4, SYNC = 5, MAPD = 8, MAPC, MAPTI, MAPI, INV, INVALL, MOVALL, DISCARD };
#define VALID (1ull << 63)
#define CTLR 0x0
#define CBASER 0x80
#define CWRITER 0x88
#define CREADR 0x90
#define BASER 0x100

static struct its *start(u64 devices)
{
	struct its *its = malloc(sizeof(*its));

	memset(ram, 0, sizeof(ram));
	memset(lpis, 0, sizeof(lpis));
	lpis_on = true;
	lpi_limit = ITS_LPIS_END;
	its_init(its);
	its_write(its, CBASER, 8, VALID | QUEUE | 0xf);
	its_write(its, BASER, 8, VALID | devices);
	its_write(its, BASER + 8, 8, VALID | COLLECTIONS);
	its_write(its, CTLR, 4, 1);
	CHECK(its->enabled);
	return its;
}

static void end(struct its *its)
{
	its_free(its);
	free(its);
	CHECK_EQ(allocated, 0);
	CHECK_EQ(lpi_refs, 0);
	CHECK_EQ(held, 0);
}

static void command(struct its *its, u64 w0, u64 w1, u64 w2, u64 w3)
{
	u64 word[4] = { w0, w1, w2, w3 }, next = (its->cwriter + 32) % 0x10000;

	memcpy(ram + (QUEUE - RAM) + its->cwriter, word, sizeof(word));
	while (!its_write(its, CWRITER, 8, next))
		;
	CHECK_EQ(its_read(its, CREADR, 8), next);
}

static void mapd(struct its *its, u32 device, u64 itt, u32 bits) { command(its, MAPD | (u64)device << 32, bits - 1, VALID | itt, 0); }
static void mapc(struct its *its, u32 collection, u32 target) { command(its, MAPC, 0, VALID | (u64)target << 16 | collection, 0); }
static void mapti(struct its *its, u32 device, u32 event, u32 lpi, u32 collection)
{
	command(its, MAPTI | (u64)device << 32, event | (u64)lpi << 32, collection, 0);
}
static void on_event(struct its *its, u32 what, u32 device, u32 event, u32 collection)
{
	command(its, what | (u64)device << 32, event, collection, 0);
}

/* The LPI that a message means; 0: none, 1: -EBUSY. */
static u32 lpi_of(struct its *its, u32 device, u32 event)
{
	struct gic_lpi *lpi = NULL;
	int rc;

	its_host_lock(its);
	rc = its_translate(its, device, event, &lpi);
	its_host_unlock(its);
	return rc == -EBUSY ? 1 : rc ? 0 : lpi->id;
}

/* ---- numbers ---- */

TEST(idtree_against_a_table)
{
	static struct idtree_node node[IDTREE_IDS];
	static bool there[IDTREE_IDS];
	struct idtree t = { 0 };
	struct idtree_node *n;
	u32 i, id, want, count = 0;

	memset(there, 0, sizeof(there));
	for (i = 0; i < 200000; i++) {
		/* Close neighbours and far ones. */
		id = i % 3 ? test_below(IDTREE_IDS) : test_below(64) << 6;
		n = idtree_find(&t, id);
		CHECK_EQ(n == &node[id], there[id]);
		if (there[id] && (i & 1 || count > 3000)) {
			idtree_remove(&t, n);
			count--;
		} else if (!there[id]) {
			node[id].id = id;
			idtree_add(&t, &node[id]);
			count++;
		} else {
			continue;
		}
		there[id] = !there[id];
		if (i % 16)
			continue;
		for (want = id = test_below(IDTREE_IDS); want < IDTREE_IDS && !there[want]; want++)
			;
		n = idtree_next(&t, id);
		CHECK_EQ(n ? n->id : IDTREE_IDS, want);
	}
	for (i = 0; (n = idtree_next(&t, i)); i = n->id + 1)
		count--;
	CHECK_EQ(count, 0);
	t.root = NULL;
	node[IDTREE_IDS - 1].id = IDTREE_IDS - 1;
	idtree_add(&t, &node[IDTREE_IDS - 1]);
	CHECK(idtree_next(&t, 0) == &node[IDTREE_IDS - 1]);
	CHECK(!idtree_next(&t, IDTREE_IDS));
	CHECK(!idtree_find(&t, IDTREE_IDS));
	CHECK(!idtree_find(&t, ~0u));
}

/* ---- registers ---- */

TEST(its_registers)
{
	struct its *its = malloc(sizeof(*its));
	u64 value;

	its_init(its);
	CHECK_EQ(its_read(its, 0x8, 8), 1 | 7 << 4 | 15 << 8 | 15 << 13);
	CHECK_EQ(its_read(its, 0xc, 4), 0);
	CHECK_EQ(its_read(its, 0x4, 4), 0x4b00043b);
	CHECK_EQ(its_read(its, 0xffe8, 4), 0x3b);
	CHECK_EQ(its_read(its, 0x0, 4), 0x80000000);
	CHECK_EQ(its_read(its, 0x0, 8), 0);
	CHECK_EQ(its_read(its, 0x8, 1), 0);
	CHECK_EQ(its_read(its, 0x10040, 4), 0);
	CHECK_EQ(its_read(its, BASER, 8), 0x1907000000000600);
	CHECK_EQ(its_read(its, BASER + 8, 8), 0x1c07000000000600);
	/* Nothing is on without queue and tables. */
	its_write(its, CTLR, 4, 1);
	CHECK_EQ(its_read(its, CTLR, 4) & 1, 0);
	/* Attributes that there are not become those that there are; halves keep the other. */
	its_write(its, CBASER, 8, ~0ull);
	CHECK_EQ(its_read(its, CBASER, 8), ~0ull & ~0xf000ull & ~(7ull << 53));
	its_write(its, CBASER + 4, 4, 0);
	CHECK_EQ(its_read(its, CBASER, 8), 0x18000000ffff0fffull);
	its_write(its, CBASER, 8, VALID | QUEUE | 2 << 10);
	CHECK_EQ(its_read(its, CBASER, 8), VALID | QUEUE | 1 << 10 | 3ull << 59);
	its_write(its, BASER, 8, ~0ull);
	value = its_read(its, BASER, 8);
	CHECK_EQ(value >> 56 & 7, 1);
	CHECK_EQ(value >> 48 & 31, 7);
	CHECK_EQ(value >> 62 & 1, 1);
	its_write(its, BASER + 8, 8, ~0ull);
	value = its_read(its, BASER + 8, 8);
	CHECK_EQ(value >> 56 & 7, 4);
	CHECK_EQ(value >> 62 & 1, 0);
	CHECK_EQ(value >> 8 & 3, 2);
	its_write(its, BASER + 16, 8, ~0ull);
	CHECK_EQ(its_read(its, BASER + 16, 8), 0);
	/* A queue of 4 KiB: offsets end there; CREADR is the VMM's to set. */
	its_write(its, CWRITER, 8, 0x1000);
	CHECK_EQ(its_read(its, CWRITER, 8), 0);
	its_write(its, CWRITER, 8, 0xfff);
	CHECK_EQ(its_read(its, CWRITER, 8), 0xfe0);
	CHECK_EQ(its_read(its, CTLR, 4), 0);
	its_write(its, CREADR, 8, 0xfe0);
	CHECK_EQ(its_read(its, CREADR, 8), 0);
	value = 0x1000;
	CHECK_EQ(its_user_access(its, CREADR, true, &value), -EINVAL);
	value = 0xfe0;
	CHECK_EQ(its_user_access(its, CREADR, true, &value), 0);
	CHECK_EQ(its_read(its, CREADR, 8), 0xfe0);
	value = 1 << 12;
	CHECK_EQ(its_user_access(its, 0x4, true, &value), -EINVAL);
	CHECK_EQ(its_user_check(0x4), 0);
	CHECK_EQ(its_user_check(0x84), -EINVAL);
	CHECK_EQ(its_user_check(0x2), -EINVAL);
	CHECK_EQ(its_user_check(0x200), -ENXIO);
	CHECK_EQ(its_user_check(0xffe4), 0);
	its_write(its, CTLR, 4, 1);
	CHECK(its->enabled);
	CHECK_EQ(its_user_access(its, CREADR, true, &value), -EBUSY);
	its_write(its, CBASER, 8, 0);
	CHECK(its_read(its, CBASER, 8) & VALID);
	end(its);
}

/* ---- commands ---- */

TEST(its_maps)
{
	struct its *its = start(DEVICES);

	CHECK_EQ(lpi_of(its, 7, 3), 0);
	mapd(its, 7, ITT, 5);
	mapc(its, 2, 1);
	mapti(its, 7, 3, 8200, 2);
	CHECK_EQ(lpi_of(its, 7, 3), 8200);
	CHECK_EQ(lpis[8200].target, 1);
	CHECK_EQ(lpi_of(its, 7, 4), 0);
	CHECK_EQ(lpi_of(its, 8, 3), 0);
	lpis_on = false;
	CHECK_EQ(lpi_of(its, 7, 3), 1);
	lpis_on = true;
	on_event(its, INT, 7, 3, 0);
	CHECK(lpis[8200].pending);
	on_event(its, CLEAR, 7, 3, 0);
	CHECK(!lpis[8200].pending);
	on_event(its, INV, 7, 3, 0);
	CHECK_EQ(lpis[8200].reloads, 1);
	mapc(its, 3, 2);
	on_event(its, MOVI, 7, 3, 3);
	CHECK_EQ(lpis[8200].target, 2);
	on_event(its, MOVI, 7, 3, 9);
	CHECK_EQ(lpis[8200].target, 2);
	mapc(its, 3, 0);
	CHECK_EQ(lpis[8200].target, 0);
	command(its, MOVALL, 0, 0 << 16, 3 << 16);
	CHECK(moves[0] == 0 && moves[1] == 3);
	/* One that is mapped stays as it is. */
	mapti(its, 7, 3, 8300, 2);
	CHECK_EQ(lpi_of(its, 7, 3), 8200);
	/* MAPI; a collection that is not there yet. */
	mapd(its, 9, ITT + 0x1000, 16);
	command(its, MAPI | 9ull << 32, 9000, 5, 0);
	CHECK_EQ(lpi_of(its, 9, 9000), 0);
	mapc(its, 5, 3);
	CHECK_EQ(lpi_of(its, 9, 9000), 9000);
	CHECK_EQ(lpis[9000].target, 3);
	/* Without its collection an event means nothing, and cannot be discarded. */
	command(its, MAPC, 0, 5, 0);
	CHECK_EQ(lpi_of(its, 9, 9000), 0);
	on_event(its, DISCARD, 9, 9000, 0);
	CHECK_EQ(lpis[9000].refs, 1);
	on_event(its, DISCARD, 7, 3, 0);
	CHECK_EQ(lpi_of(its, 7, 3), 0);
	CHECK_EQ(lpis[8200].refs, 0);
	/* A device that goes, or comes again, has no events. */
	mapti(its, 7, 1, 8201, 2);
	mapd(its, 7, ITT, 5);
	CHECK_EQ(lpi_of(its, 7, 1), 0);
	mapti(its, 7, 1, 8201, 2);
	command(its, MAPD | 7ull << 32, 0, 0, 0);
	CHECK_EQ(lpi_of(its, 7, 1), 0);
	mapti(its, 7, 1, 8201, 2);
	CHECK_EQ(lpi_of(its, 7, 1), 0);
	/* Off, and on again: mappings stay. Tables that are no more valid take theirs along. */
	mapd(its, 7, ITT, 5);
	mapti(its, 7, 1, 8201, 2);
	its_write(its, CTLR, 4, 0);
	CHECK_EQ(lpi_of(its, 7, 1), 1);
	its_write(its, CTLR, 4, 1);
	CHECK_EQ(lpi_of(its, 7, 1), 8201);
	its_write(its, CTLR, 4, 0);
	its_write(its, BASER + 8, 8, COLLECTIONS);
	its_write(its, BASER + 8, 8, VALID | COLLECTIONS);
	its_write(its, CTLR, 4, 1);
	CHECK_EQ(lpi_of(its, 7, 1), 0);
	end(its);
}

TEST(its_refused)
{
	struct its *its = start(DEVICES);
	u32 i;

	mapd(its, 1, ITT, 4);
	mapc(its, 0, 0);
	mapd(its, 0x2000, ITT, 4);		/* behind its table */
	mapti(its, 0x2000, 0, 8192, 0);
	mapd(its, 2, ITT, 17);
	mapti(its, 2, 0, 8192, 0);
	mapd(its, 0x10001, ITT, 4);
	mapti(its, 0x10001, 0, 8192, 0);
	mapti(its, 1, 16, 8192, 0);		/* 4 bits of event */
	mapti(its, 1, 0, 8191, 0);
	mapti(its, 1, 0, 0x10000, 0);
	mapti(its, 1, 0, 0xffffffff, 0);
	lpi_limit = 9000;
	mapti(its, 1, 0, 9000, 0);
	mapti(its, 1, 0, 8192, 0x2000);		/* behind the collections' table */
	mapd(its, 3, RAM + RAM_BYTES, 4);	/* no memory there */
	mapti(its, 3, 0, 8192, 0);
	lpi_fails = true;
	mapti(its, 1, 0, 8192, 77);
	lpi_fails = false;
	CHECK_EQ(lpi_refs, 0);
	CHECK_EQ(its->events, 0);
	mapc(its, 78, TARGETS);
	mapc(its, 78, ~0u);
	mapti(its, 1, 0, 8192, 78);
	CHECK_EQ(lpi_of(its, 1, 0), 0);
	for (i = 0; i < 256; i++) {
		if (i > DISCARD || i == 0 || i == 2 || i == SYNC || i == 6 || i == 7)
			command(its, i, ~0ull, ~0ull, ~0ull);
	}
	on_event(its, MOVI, 1, 5, 0);
	on_event(its, INT, 99, 5, 0);
	on_event(its, INVALL, 0, 0, 99);
	on_event(its, DISCARD, 99, 5, 0);
	out_of_memory = true;
	mapd(its, 5, ITT, 4);
	mapc(its, 5, 1);
	mapti(its, 1, 1, 8193, 0);
	out_of_memory = false;
	CHECK_EQ(lpi_of(its, 1, 1), 0);
	mapti(its, 1, 1, 8193, 0);
	CHECK_EQ(lpi_of(its, 1, 1), 8193);
	end(its);
}

/* A queue that lies nowhere, or half, is gone through all the same. */
TEST(its_queue_without_memory)
{
	struct its *its = start(DEVICES);

	its_write(its, CTLR, 4, 0);
	its_write(its, CBASER, 8, VALID | 0xff);
	its_write(its, CTLR, 4, 1);
	while (!its_write(its, CWRITER, 8, 0xfffe0))
		;
	CHECK_EQ(its_read(its, CREADR, 8), 0xfffe0);
	end(its);
}

/* However much the commands cost, one stay does so much and no more. */
TEST(its_work_is_cut)
{
	struct its *its = start(DEVICES);
	u64 word[4] = { INVALL };
	u32 i, stays = 1;

	mapc(its, 0, 0);
	reload_cost = 5000;
	for (i = 0; i < 2048; i++)
		memcpy(ram + (QUEUE - RAM) + i * 32, word, 32);
	its_write(its, CWRITER, 8, 32 * 2);
	while (!its_write(its, CWRITER, 8, 32 * 1)) {
		CHECK(its->work < 5000 + 1024 + 1);
		CHECK_EQ(its_read(its, CTLR, 4), 1);
		stays++;
	}
	CHECK(stays > 2040);
	reload_cost = 0;
	end(its);
}

TEST(its_events_end)
{
	struct its *its = start(DEVICES);
	u32 device, event;

	mapc(its, 0, 0);
	for (device = 0; device < 33; device++) {
		mapd(its, device, ITT, 11);
		for (event = 0; event < 2048; event++)
			mapti(its, device, event, ITS_LPI_FIRST + event, 0);
	}
	CHECK_EQ(its->events, ITS_EVENTS);
	CHECK_EQ(lpi_of(its, 31, 2047), ITS_LPI_FIRST + 2047);
	CHECK_EQ(lpi_of(its, 32, 0), 0);
	on_event(its, DISCARD, 0, 0, 0);
	mapti(its, 32, 0, 9999, 0);
	CHECK_EQ(lpi_of(its, 32, 0), 9999);
	end(its);
}

/* ---- save and restore ---- */

static void round_trip(u64 devices)
{
	struct its *its = start(devices);
	u32 device[20], event[20][8], lpi = ITS_LPI_FIRST, i, n;
	u64 level1 = VALID | (RAM + 0x120000);

	if (devices & 1ull << 62)
		memcpy(ram + (DEVICES - RAM), &level1, sizeof(level1));
	for (i = 0; i < 6; i++)
		mapc(its, i * 100, i % TARGETS);
	for (i = 0; i < 20; i++) {
		device[i] = i * 400 + test_below(400);
		mapd(its, device[i], ITT + i * 0x1000, 9);
		for (n = 0; n < 8; n++) {
			event[i][n] = n * 64 + test_below(64);
			mapti(its, device[i], event[i][n], lpi++, test_below(6) * 100);
		}
	}
	CHECK_EQ(its_save(its), 0);
	its_reset(its);
	CHECK_EQ(its->events, 0);
	CHECK_EQ(lpi_refs, 0);
	CHECK_EQ(its_restore(its), 0);			/* tables that are not valid hold nothing */
	CHECK_EQ(its->events, 0);
	its_write(its, CBASER, 8, VALID | QUEUE | 0xf);
	its_write(its, BASER, 8, VALID | devices);
	its_write(its, BASER + 8, 8, VALID | COLLECTIONS);
	CHECK_EQ(its_restore(its), 0);
	its_write(its, CTLR, 4, 1);
	CHECK_EQ(its->events, 160);
	lpi = ITS_LPI_FIRST;
	for (i = 0; i < 20; i++) {
		for (n = 0; n < 8; n++)
			CHECK_EQ(lpi_of(its, device[i], event[i][n]), lpi++);
	}
	CHECK_EQ(its_restore(its), -EEXIST);
	end(its);
}

TEST(its_round_trip) { round_trip(DEVICES); }
TEST(its_round_trip_two_levels) { round_trip(DEVICES | 1ull << 62); }

/* Device 5 with one event, as the format has it. */
TEST(its_format)
{
	struct its *its = start(DEVICES);
	u64 word;

	mapc(its, 3, 2);
	mapd(its, 5, ITT + 0x100, 4);
	mapti(its, 5, 2, 8777, 3);
	mapti(its, 5, 9, 8778, 3);
	CHECK_EQ(its_save(its), 0);
	memcpy(&word, ram + (DEVICES - RAM) + 5 * 8, 8);
	CHECK_EQ(word, VALID | (ITT + 0x100) >> 8 << 5 | 3);
	memcpy(&word, ram + (ITT + 0x100 - RAM) + 2 * 8, 8);
	CHECK_EQ(word, 7ull << 48 | 8777ull << 16 | 3);
	memcpy(&word, ram + (ITT + 0x100 - RAM) + 9 * 8, 8);
	CHECK_EQ(word, 8778ull << 16 | 3);
	memcpy(&word, ram + (COLLECTIONS - RAM), 8);
	CHECK_EQ(word, VALID | 2 << 16 | 3);
	/* What is wrong in it is refused, and nothing stays. */
	its_free(its);
	word = VALID | 99 << 16 | 3;
	memcpy(ram + (COLLECTIONS - RAM), &word, 8);
	CHECK_EQ(its_restore(its), -EINVAL);
	CHECK_EQ(allocated, 0);
	word = VALID | 2 << 16 | 4;
	memcpy(ram + (COLLECTIONS - RAM), &word, 8);
	CHECK_EQ(its_restore(its), -EINVAL);		/* the events' collection is not there */
	CHECK_EQ(allocated, 0);
	word = VALID | 2 << 16 | 3;
	memcpy(ram + (COLLECTIONS - RAM), &word, 8);
	CHECK_EQ(its_restore(its), 0);
	CHECK_EQ(its->events, 2);
	its_free(its);
	rest = true;
	CHECK_EQ(its_restore(its), -EINTR);
	rest = false;
	CHECK_EQ(allocated, 0);
	end(its);
}

/* ---- random ---- */

TEST(its_random_commands)
{
	struct its *its = start(DEVICES | (test_below(2) ? 1ull << 62 : 0));
	u64 word[4];
	u32 i, n;

	for (i = 0; i < 0x120000; i += 8) {
		word[0] = test_below(4) ? 0 : VALID | (RAM + 0x10000 * test_below(64));
		memcpy(ram + i, word, 8);
	}
	for (i = 0; i < 60000; i++) {
		for (n = 0; n < 4; n++)
			word[n] = test_random();
		if (test_below(16)) {
			word[0] = test_below(18) | (u64)test_below(6) << 32;
			word[1] = test_below(test_below(2) ? 40 : 9000) | (u64)(8192 + test_below(40)) << 32;
			word[2] = (test_below(2) ? VALID : 0) | test_below(6) | (u64)test_below(5) << 16;
			if ((word[0] & 0xff) == MAPD)
				word[2] = (word[2] & VALID) | (RAM + test_below(RAM_BYTES + 0x10000)) % (1ull << 52);
			word[3] = test_below(5) << 16;
		}
		command(its, word[0], word[1], word[2], word[3]);
		lpi_of(its, test_below(8), test_below(40));
		lpi_fails = !test_below(50);
		out_of_memory = !test_below(50);
		if (!test_below(2000)) {
			its_write(its, CTLR, 4, 0);
			its_write(its, BASER + 8 * test_below(2), 8, test_below(2) ? 0 : VALID | DEVICES);
			its_write(its, BASER, 8, VALID | DEVICES);
			its_write(its, BASER + 8, 8, VALID | COLLECTIONS);
			its_write(its, CTLR, 4, 1);
		}
	}
	lpi_fails = out_of_memory = false;
	end(its);
}

TEST(its_random_tables)
{
	struct its *its;
	u64 word;
	u32 i, n;

	for (n = 0; n < 40; n++) {
		its = start(DEVICES | (n & 1 ? 1ull << 62 : 0));
		for (i = 0; i < RAM_BYTES; i += 8) {
			word = test_random() & test_random();
			if (i < 0x110000)
				word = VALID | (u64)test_below(4) << 49 | (ITT + test_below(0x10000) * 0x20) >> 8 << 5 | test_below(18);
			else if (i < 0x120000)
				word = test_below(20) || i < 0x110100 ? VALID | (u64)test_below(TARGETS) << 16 | (i / 8 & 0xff) : 0;
			else if (test_below(3))
				word = (u64)test_below(3) << 48 | (u64)(8192 + test_below(50000)) << 16 | test_below(32);
			memcpy(ram + i, &word, 8);
		}
		its_restore(its);
		CHECK(its->events <= ITS_EVENTS);
		its_save(its);
		end(its);
	}
}
