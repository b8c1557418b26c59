// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * its.c - an interrupt translation service, see its.h.
 *
 * Invariant: what its_translate() reads changes with the lock held; nothing of the
 * guest's is believed twice, as a command is copied before it is looked at. A
 * command that makes no sense does nothing, as with KVM, and the next one follows.
 * See: GIC specification (IHI 0069) 5.3 (commands), 12.19 (registers).
 */
#include "its.h"
#ifdef __KERNEL__
#include <linux/errno.h>
#else
#include <errno.h>
#endif

#define BITS(value, shift, bits) ((value) >> (shift) & (~0ull >> (64 - (bits))))

#define CTLR 0x0u
#define IIDR 0x4u
#define TYPER 0x8u
#define CBASER 0x80u
#define CWRITER 0x88u
#define CREADR 0x90u
#define BASER 0x100u
#define BASERS_END 0x140u
#define IDREGS 0xffd0u
#define IDREGS_END 0x10000u

#define CTLR_ENABLED 0x1u
#define CTLR_QUIESCENT 0x80000000u
#define IIDR_KVM 0x4b00043bu		/* KVM's, table format 0 */
#define IIDR_REVISION(value) BITS(value, 12, 4)
/* Physical LPIs; entries of 8 bytes; 16 bits of event, 16 of device. */
#define TYPER_VALUE (1ull | 7ull << 4 | 15ull << 8 | 15ull << 13)

#define VALID (1ull << 63)
#define INDIRECT (1ull << 62)
#define ENTRY_BYTES 8u
#define TABLE_PAGE 0x10000u
#define QUEUE_PAGE 0x1000u
#define COMMAND_BYTES 32u
#define ADDRESS_52 0xffffffffff000ull
#define WORK_MAX 1024u			/* in one stay outside the guest */

#define BASER_TYPE_SHIFT 56
#define BASER_FIXED(type) ((u64)(type) << BASER_TYPE_SHIFT | (u64)(ENTRY_BYTES - 1) << 48 | 2ull << 8)
#define BASER_KEPT (~(0x7ull << BASER_TYPE_SHIFT | 0x1full << 48 | 3ull << 8))
#define BASER_RESET (3ull << 59 | 1ull << 10)		/* write-back, inner shareable */
enum { TYPE_DEVICE = 1, TYPE_COLLECTION = 4 };

struct its_collection {
	struct idtree_node node;
	u32 target;
};

struct its_device {
	struct idtree_node node;
	struct idtree events;
	u64 table;
	u32 event_bits;
};

struct its_event {
	struct idtree_node node;
	struct its_collection *collection;	/* NULL: it was unmapped */
	struct gic_lpi *lpi;
	u32 lpi_id;
};

static struct its_device *device_find(const struct its *its, u32 id)
{
	return idtree_entry(idtree_find(&its->devices, id), struct its_device, node);
}

static struct its_device *device_next(const struct its *its, u32 id)
{
	return idtree_entry(idtree_next(&its->devices, id), struct its_device, node);
}

static struct its_collection *collection_find(const struct its *its, u32 id)
{
	return idtree_entry(idtree_find(&its->collections, id), struct its_collection, node);
}

static struct its_collection *collection_next(const struct its *its, u32 id)
{
	return idtree_entry(idtree_next(&its->collections, id), struct its_collection, node);
}

static struct its_event *event_next(const struct its_device *device, u32 id)
{
	return idtree_entry(idtree_next(&device->events, id), struct its_event, node);
}

static struct its_event *event_find(const struct its *its, u32 device_id, u32 id)
{
	struct its_device *device = device_find(its, device_id);

	return device ? idtree_entry(idtree_find(&device->events, id), struct its_event, node) : NULL;
}

static bool mapped(const struct its_collection *collection)
{
	return collection && collection->target != ITS_NO_TARGET;
}

int its_translate(const struct its *its, u32 device, u32 event, struct gic_lpi **lpi)
{
	const struct its_event *e;

	if (!its->enabled)
		return -EBUSY;
	e = event_find(its, device, event);
	if (!e || !mapped(e->collection))
		return 1;
	if (!its_host_lpis_on(its, e->collection->target))
		return -EBUSY;
	*lpi = e->lpi;
	return 0;
}

/* ---- the guest's tables ---- */

static u64 table_base(u64 baser)
{
	return (baser & 0xffffffff0000ull) | BITS(baser, 12, 4) << 48;
}

static u32 table_bytes(u64 baser)
{
	return (u32)(BITS(baser, 0, 8) + 1) * TABLE_PAGE;
}

/* Where a table's entry for a number is; false: nowhere in the guest's memory. */
static bool table_entry(struct its *its, u64 baser, u32 id, u64 *gpa)
{
	u32 in_page = TABLE_PAGE / ENTRY_BYTES;
	u64 level1;

	if (id >= ITS_IDS)
		return false;
	if (!(baser & INDIRECT)) {
		*gpa = table_base(baser) + (u64)id * ENTRY_BYTES;
		return id < table_bytes(baser) / ENTRY_BYTES && its_host_visible(its, *gpa);
	}
	if (id / in_page >= table_bytes(baser) / sizeof(level1) ||
	    its_host_read(its, table_base(baser) + id / in_page * sizeof(level1), &level1, sizeof(level1)) || !(level1 & VALID))
		return false;
	*gpa = (level1 & ADDRESS_52 & ~(u64)(TABLE_PAGE - 1)) + (u64)(id % in_page) * ENTRY_BYTES;
	return its_host_visible(its, *gpa);
}

static u64 event_entry(const struct its_device *device, u32 id)
{
	return device->table + (u64)id * ENTRY_BYTES;
}

static bool event_fits(struct its *its, const struct its_device *device, u32 id)
{
	return id < 1u << device->event_bits && its_host_visible(its, event_entry(device, id));
}

/* The format is little endian, as is every machine that has it. */
static int entry_write(struct its *its, u64 gpa, u64 value)
{
	return its_host_write(its, gpa, &value, sizeof(value));
}

/* ---- mappings ---- */

static void event_remove(struct its *its, struct its_device *device, struct its_event *e)
{
	its_host_lock(its);
	idtree_remove(&device->events, &e->node);
	its_host_lpi_put(its, e->lpi);
	its_host_unlock(its);
	its_host_free(e);
	its_host_rest();
	its->events--;
	its->work++;
}

static void device_remove(struct its *its, struct its_device *device)
{
	struct its_event *e;

	while ((e = event_next(device, 0)))
		event_remove(its, device, e);
	its_host_lock(its);
	idtree_remove(&its->devices, &device->node);
	its_host_unlock(its);
	its_host_free(device);
	its_host_rest();
	its->work++;
}

static struct its_device *device_add(struct its *its, u32 id, u64 table, u32 event_bits)
{
	struct its_device *device = its_host_alloc(sizeof(*device));

	if (!device)
		return NULL;
	device->node.id = id;
	device->table = table;
	device->event_bits = event_bits;
	its_host_lock(its);
	idtree_add(&its->devices, &device->node);
	its_host_unlock(its);
	return device;
}

static struct its_collection *collection_add(struct its *its, u32 id, u32 target)
{
	struct its_collection *collection = its_host_alloc(sizeof(*collection));

	if (!collection)
		return NULL;
	collection->node.id = id;
	collection->target = target;
	its_host_lock(its);
	idtree_add(&its->collections, &collection->node);
	its_host_unlock(its);
	return collection;
}

/* Each event of a collection, and what is to be done with it, lock held. */
static void collection_walk(struct its *its, struct its_collection *collection,
			    void (*call)(struct its *its, struct its_event *e, struct its_collection *collection))
{
	struct its_device *device;
	struct its_event *e;

	for (device = device_next(its, 0); device; device = device_next(its, device->node.id + 1)) {
		for (e = event_next(device, 0); e; e = event_next(device, e->node.id + 1)) {
			its->work++;
			its_host_rest();
			if (e->collection != collection)
				continue;
			its_host_lock(its);
			call(its, e, collection);
			its_host_unlock(its);
		}
		its->work++;
	}
}

static void leave(struct its *its, struct its_event *e, struct its_collection *collection)
{
	e->collection = NULL;
}

static void follow(struct its *its, struct its_event *e, struct its_collection *collection)
{
	its_host_lpi_move(its, e->lpi, collection->target);
}

static void collection_remove(struct its *its, struct its_collection *collection)
{
	collection_walk(its, collection, leave);
	its_host_lock(its);
	idtree_remove(&its->collections, &collection->node);
	its_host_unlock(its);
	its_host_free(collection);
	its->work++;
}

/* 0, -ENOMEM, or why the LPI could not be had. */
static int event_add(struct its *its, struct its_device *device, u32 id, struct its_collection *collection, u32 lpi_id)
{
	struct its_event *e;
	int rc;

	if (its->events >= ITS_EVENTS)
		return -ENOMEM;
	e = its_host_alloc(sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->node.id = id;
	e->collection = collection;
	e->lpi_id = lpi_id;
	rc = its_host_lpi_get(its, lpi_id, collection->target, &e->lpi);
	if (rc) {
		its_host_free(e);
		return rc;
	}
	its_host_lock(its);
	idtree_add(&device->events, &e->node);
	its_host_unlock(its);
	its->events++;
	return 0;
}

static void devices_free(struct its *its)
{
	struct its_device *device;

	while ((device = device_next(its, 0)))
		device_remove(its, device);
}

/* No event is walked for each: they all lose theirs. */
static void collections_free(struct its *its)
{
	struct its_collection *collection;
	struct its_device *device;
	struct its_event *e;

	for (device = device_next(its, 0); device; device = device_next(its, device->node.id + 1)) {
		for (e = event_next(device, 0); e; e = event_next(device, e->node.id + 1)) {
			its_host_lock(its);
			e->collection = NULL;
			its_host_unlock(its);
			its_host_rest();
		}
	}
	while ((collection = collection_next(its, 0))) {
		its_host_lock(its);
		idtree_remove(&its->collections, &collection->node);
		its_host_unlock(its);
		its_host_free(collection);
		its_host_rest();
	}
}

/* ---- commands ---- */

struct command {
	u32 number, device, event, lpi;
	u32 collection;
	u32 event_bits;
	u32 target, target2;
	u64 table;
	bool valid;
};

static void map_device(struct its *its, const struct command *c)
{
	struct its_device *device;
	u64 gpa;

	if (!table_entry(its, its->baser[0], c->device, &gpa) || (c->valid && c->event_bits > 16))
		return;
	/* A device that is mapped anew has none of its old events. */
	device = device_find(its, c->device);
	if (device)
		device_remove(its, device);
	if (c->valid)
		device_add(its, c->device, c->table, c->event_bits);
	else
		entry_write(its, gpa, 0);
}

static void map_collection(struct its *its, const struct command *c)
{
	struct its_collection *collection = collection_find(its, c->collection);
	u64 gpa;

	if (c->target >= its_host_targets(its))
		return;
	if (!c->valid) {
		if (collection)
			collection_remove(its, collection);
	} else if (collection) {
		its_host_lock(its);
		collection->target = c->target;
		its_host_unlock(its);
		collection_walk(its, collection, follow);
	} else if (table_entry(its, its->baser[1], c->collection, &gpa)) {
		collection_add(its, c->collection, c->target);
	}
}

/* MAPTI; MAPI's LPI is the event's number. */
static void map_event(struct its *its, const struct command *c)
{
	struct its_device *device = device_find(its, c->device);
	struct its_collection *collection, *fresh = NULL;
	u64 gpa;

	if (!device || !event_fits(its, device, c->event) || c->lpi < ITS_LPI_FIRST || c->lpi >= its_host_lpi_limit(its) ||
	    event_find(its, c->device, c->event))
		return;
	collection = collection_find(its, c->collection);
	if (!collection && table_entry(its, its->baser[1], c->collection, &gpa))
		collection = fresh = collection_add(its, c->collection, ITS_NO_TARGET);
	if (collection && event_add(its, device, c->event, collection, c->lpi) && fresh)
		collection_remove(its, fresh);
}

static void map_event_itself(struct its *its, const struct command *c)
{
	struct command same = *c;

	same.lpi = c->event;
	map_event(its, &same);
}

static void move_event(struct its *its, const struct command *c)
{
	struct its_event *e = event_find(its, c->device, c->event);
	struct its_collection *collection = collection_find(its, c->collection);

	if (!e || !mapped(e->collection) || !mapped(collection))
		return;
	its_host_lock(its);
	e->collection = collection;
	its_host_lpi_move(its, e->lpi, collection->target);
	its_host_unlock(its);
}

static void move_all(struct its *its, const struct command *c)
{
	u32 targets = its_host_targets(its);

	if (c->target < targets && c->target2 < targets && c->target != c->target2)
		its->work += its_host_move_all(its, c->target, c->target2);
}

static void discard(struct its *its, const struct command *c)
{
	struct its_device *device = device_find(its, c->device);
	struct its_event *e = event_find(its, c->device, c->event);
	u64 gpa;

	if (!e || !mapped(e->collection))
		return;
	gpa = event_entry(device, c->event);
	event_remove(its, device, e);
	entry_write(its, gpa, 0);
}

static void pend(struct its *its, const struct command *c)
{
	struct gic_lpi *lpi;

	its_host_lock(its);
	if (!its_translate(its, c->device, c->event, &lpi))
		its_host_lpi_pend(its, lpi, true);
	its_host_unlock(its);
}

static void clear(struct its *its, const struct command *c)
{
	struct its_event *e = event_find(its, c->device, c->event);

	if (!e)
		return;
	its_host_lock(its);
	its_host_lpi_pend(its, e->lpi, false);
	its_host_unlock(its);
}

static void reload(struct its *its, const struct command *c)
{
	struct its_event *e = event_find(its, c->device, c->event);

	if (e)
		its_host_lpi_reload(its, e->lpi_id);
}

static void reload_all(struct its *its, const struct command *c)
{
	struct its_collection *collection = collection_find(its, c->collection);

	if (mapped(collection))
		its->work += its_host_reload_all(its, collection->target);
}

/* SYNC (5) waits for what is done already. */
static void (*const commands[])(struct its *its, const struct command *c) = {
	[0x01] = move_event,
	[0x03] = pend,
	[0x04] = clear,
	[0x08] = map_device,
	[0x09] = map_collection,
	[0x0a] = map_event,
	[0x0b] = map_event_itself,
	[0x0c] = reload,
	[0x0d] = reload_all,
	[0x0e] = move_all,
	[0x0f] = discard,
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static struct command command_decode(const u64 word[4])
{
	return (struct command){
		.number = BITS(word[0], 0, 8),
		.device = BITS(word[0], 32, 32),
		.event = BITS(word[1], 0, 32),
		.lpi = BITS(word[1], 32, 32),
		.event_bits = BITS(word[1], 0, 5) + 1,
		.collection = BITS(word[2], 0, 16),
		.target = BITS(word[2], 16, 32),
		.target2 = BITS(word[3], 16, 32),
		.table = BITS(word[2], 8, 44) << 8,
		.valid = word[2] & VALID,
	};
}

static u32 queue_bytes(const struct its *its)
{
	return (u32)(BITS(its->cbaser, 0, 8) + 1) * QUEUE_PAGE;
}

static void command_do(struct its *its)
{
	u64 gpa = (its->cbaser & ADDRESS_52) + its->creadr, word[4];
	struct command c;

	its->work++;
	its_host_rest();
	if (its_host_read(its, gpa, word, sizeof(word)))
		return;
	c = command_decode(word);
	if (c.number < COMMANDS && commands[model_index(c.number, COMMANDS)])
		commands[model_index(c.number, COMMANDS)](its, &c);
}

/* True: the queue is empty, or the ITS off. */
static bool process(struct its *its)
{
	its->work = 0;
	while (its->enabled && its->cwriter != its->creadr) {
		if (its->work >= WORK_MAX)
			return false;
		command_do(its);
		its->creadr += COMMAND_BYTES;
		if (its->creadr == queue_bytes(its))
			its->creadr = 0;
	}
	return true;
}

/* ---- registers ---- */

/* Outer shareable is inner; what is not cached is; the outer attribute is the inner one. */
static u64 attributes(u64 reg)
{
	if (BITS(reg, 10, 2) == 2)
		reg ^= 3ull << 10;
	if (BITS(reg, 59, 3) < 2)
		reg = (reg & ~(7ull << 59)) | 3ull << 59;
	return BITS(reg, 53, 3) < 2 ? reg : reg & ~(7ull << 53);
}

static u64 ctlr_read(struct its *its, u32 offset)
{
	return (its->enabled ? CTLR_ENABLED : 0) | (its->creadr == its->cwriter ? CTLR_QUIESCENT : 0);
}

static bool ctlr_write(struct its *its, u32 offset, u64 value)
{
	bool on = value & CTLR_ENABLED;

	if (on && !its->enabled && !(its->baser[0] & its->baser[1] & its->cbaser & VALID))
		return true;
	its_host_lock(its);
	its->enabled = on;
	its_host_unlock(its);
	return process(its);
}

static u64 iidr_read(struct its *its, u32 offset) { return IIDR_KVM; }
static u64 typer_read(struct its *its, u32 offset) { return TYPER_VALUE; }
static u64 cbaser_read(struct its *its, u32 offset) { return its->cbaser; }
static u64 cwriter_read(struct its *its, u32 offset) { return its->cwriter; }
static u64 creadr_read(struct its *its, u32 offset) { return its->creadr; }

static bool cbaser_write(struct its *its, u32 offset, u64 value)
{
	if (its->enabled)
		return true;
	its->cbaser = attributes(value) & ~0xf000ull;
	its->creadr = its->cwriter = 0;
	return true;
}

static u32 queue_offset(u64 value)
{
	return value & 0xfffe0;
}

static bool cwriter_write(struct its *its, u32 offset, u64 value)
{
	if (queue_offset(value) >= queue_bytes(its))
		return true;
	its->cwriter = queue_offset(value);
	return process(its);
}

static u64 baser_read(struct its *its, u32 offset)
{
	return offset < BASER + sizeof(its->baser) ? its->baser[model_index((offset - BASER) / 8, 2)] : 0;
}

static bool baser_write(struct its *its, u32 offset, u64 value)
{
	u32 n = (offset - BASER) / 8;

	if (its->enabled || n > 1)
		return true;
	n = model_index(n, 2);
	value &= BASER_KEPT & ~(n ? INDIRECT : 0);
	its->baser[n] = attributes(value) | BASER_FIXED(n ? TYPE_COLLECTION : TYPE_DEVICE);
	if (value & VALID)
		return true;
	if (n)
		collections_free(its);
	else
		devices_free(its);
	return true;
}

bool its_continue(struct its *its)
{
	return process(its);
}

/* PIDR and CIDR: a GICv3 of Arm's with 64 KiB pages. */
static u64 id_read(struct its *its, u32 offset)
{
	switch (offset & ~3u) {
	case 0xffd0: return 0x40;
	case 0xffe0: return 0x92;
	case 0xffe4: return 0xb4;
	case 0xffe8: return 0x3b;
	case 0xfff0: return 0x0d;
	case 0xfff4: return 0xf0;
	case 0xfff8: return 0x05;
	case 0xfffc: return 0xb1;
	}
	return 0;
}

static int iidr_set(struct its *its, u64 value)
{
	return IIDR_REVISION(value) ? -EINVAL : 0;
}

static int creadr_set(struct its *its, u64 value)
{
	if (its->enabled)
		return -EBUSY;
	if (queue_offset(value) >= queue_bytes(its))
		return -EINVAL;
	its->creadr = queue_offset(value);
	return 0;
}

static const struct reg {
	u32 offset, end;
	u32 bytes;		/* 8: halves can be had, too */
	u64 (*read)(struct its *its, u32 offset);
	bool (*write)(struct its *its, u32 offset, u64 value);		/* NULL: ignored */
	int (*set)(struct its *its, u64 value);				/* the VMM's, where that differs */
} regs[] = {
	{ CTLR, CTLR + 4, 4, ctlr_read, ctlr_write, NULL },
	{ IIDR, IIDR + 4, 4, iidr_read, NULL, iidr_set },
	{ TYPER, TYPER + 8, 8, typer_read, NULL, NULL },
	{ CBASER, CBASER + 8, 8, cbaser_read, cbaser_write, NULL },
	{ CWRITER, CWRITER + 8, 8, cwriter_read, cwriter_write, NULL },
	{ CREADR, CREADR + 8, 8, creadr_read, NULL, creadr_set },
	{ BASER, BASERS_END, 8, baser_read, baser_write, NULL },
	{ IDREGS, IDREGS_END, 4, id_read, NULL, NULL },
};

static const struct reg *reg_find(u32 offset)
{
	u32 i;

	for (i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
		if (offset >= regs[i].offset && offset < regs[i].end)
			return &regs[i];
	}
	return NULL;
}

static const struct reg *reg_access(u32 offset, u32 size)
{
	const struct reg *reg = reg_find(offset);

	return reg && !(offset & (size - 1)) && (size == 4 || (size == 8 && reg->bytes == 8)) ? reg : NULL;
}

u64 its_read(struct its *its, u32 offset, u32 size)
{
	const struct reg *reg = reg_access(offset, size);
	u64 value = reg ? reg->read(its, offset) : 0;

	if (reg && reg->bytes == 8 && offset & 4)
		value >>= 32;
	return size == 4 ? (u32)value : value;
}

bool its_write(struct its *its, u32 offset, u32 size, u64 value)
{
	const struct reg *reg = reg_access(offset, size);
	u32 shift = offset & 4 ? 32 : 0;

	if (!reg || !reg->write)
		return true;
	if (reg->bytes == 8 && size == 4)
		value = (reg->read(its, offset) & ~(0xffffffffull << shift)) | (value & 0xffffffff) << shift;
	return reg->write(its, offset, value);
}

int its_user_check(u64 offset)
{
	if (offset & (offset < TYPER || offset >= IDREGS ? 3 : 7))
		return -EINVAL;
	return reg_find((u32)offset) ? 0 : -ENXIO;
}

int its_user_access(struct its *its, u64 offset, bool write, u64 *value)
{
	const struct reg *reg = reg_find((u32)offset);

	if (!reg)
		return -ENXIO;
	if (!write) {
		*value = its_read(its, (u32)offset, reg->bytes);
		return 0;
	}
	if (reg->set)
		return reg->set(its, *value);
	return its_write(its, (u32)offset, reg->bytes, *value) ? 0 : 1;
}

/* ---- save and restore; table format 0 ---- */

#define DTE_NEXT_SHIFT 49
#define DTE_NEXT_BITS 14
#define DTE_TABLE_SHIFT 5
#define DTE_TABLE_BITS 44
#define DTE_SIZE_BITS 5
#define ITE_NEXT_SHIFT 48
#define ITE_NEXT_BITS 16
#define ITE_LPI_SHIFT 16
#define CTE_TARGET_SHIFT 16

/* How far the next one is: 0, this is the last. */
static u64 distance(u32 id, const struct idtree_node *next, u32 bits)
{
	u32 most = (1u << bits) - 1;

	if (!next)
		return 0;
	return next->id - id < most ? next->id - id : most;
}

static int save_events(struct its *its, struct its_device *device)
{
	struct its_event *e;
	u64 value;
	int rc;

	for (e = event_next(device, 0); e; e = event_next(device, e->node.id + 1)) {
		value = 0;
		if (e->collection)
			value = distance(e->node.id, idtree_next(&device->events, e->node.id + 1), ITE_NEXT_BITS) << ITE_NEXT_SHIFT |
				(u64)e->lpi_id << ITE_LPI_SHIFT | e->collection->node.id;
		rc = entry_write(its, event_entry(device, e->node.id), value);
		if (rc)
			return rc;
		if (its_host_rest())
			return -EINTR;
	}
	return 0;
}

static int save_devices(struct its *its)
{
	struct its_device *device;
	u64 gpa, value;
	int rc;

	if (!(its->baser[0] & VALID))
		return 0;
	for (device = device_next(its, 0); device; device = device_next(its, device->node.id + 1)) {
		if (!table_entry(its, its->baser[0], device->node.id, &gpa))
			return -EINVAL;
		rc = save_events(its, device);
		if (rc)
			return rc;
		value = VALID | distance(device->node.id, idtree_next(&its->devices, device->node.id + 1), DTE_NEXT_BITS) << DTE_NEXT_SHIFT |
			device->table >> 8 << DTE_TABLE_SHIFT | (device->event_bits - 1);
		rc = entry_write(its, gpa, value);
		if (rc)
			return rc;
		if (its_host_rest())
			return -EINTR;
	}
	return 0;
}

/* One behind the other, and an invalid one behind the last. */
static int save_collections(struct its *its)
{
	u64 gpa = table_base(its->baser[1]), end = gpa + table_bytes(its->baser[1]);
	struct its_collection *c;
	int rc;

	if (!(its->baser[1] & VALID))
		return 0;
	for (c = collection_next(its, 0); c; c = collection_next(its, c->node.id + 1), gpa += ENTRY_BYTES) {
		rc = entry_write(its, gpa, VALID | (u64)c->target << CTE_TARGET_SHIFT | c->node.id);
		if (rc)
			return rc;
	}
	return gpa == end ? 0 : entry_write(its, gpa, 0);
}

int its_save(struct its *its)
{
	return save_devices(its) ? : save_collections(its);
}

/*
 * Entries of a table from number `id` on: each one says how far the next is.
 * 0: that was the last; 1: the table ended; or -errno.
 */
static int scan(struct its *its, u64 gpa, u64 bytes, u32 id, int (*call)(struct its *its, u32 id, u64 entry, void *arg), void *arg)
{
	u64 entry, step;
	int next;

	for (;;) {
		if (its_host_rest())
			return -EINTR;
		if (its_host_read(its, gpa, &entry, sizeof(entry)))
			return -EFAULT;
		next = call(its, id, entry, arg);
		if (next <= 0)
			return next;
		step = (u64)next * ENTRY_BYTES;
		if (step >= bytes)
			return 1;
		id += next;
		gpa += step;
		bytes -= step;
	}
}

static int restore_event(struct its *its, u32 id, u64 entry, void *arg)
{
	u32 lpi = BITS(entry, ITE_LPI_SHIFT, 32), next = BITS(entry, ITE_NEXT_SHIFT, ITE_NEXT_BITS);
	struct its_collection *collection = collection_find(its, BITS(entry, 0, 16));
	struct its_device *device = arg;
	int rc;

	if (!lpi)
		return 1;
	if (lpi < ITS_LPI_FIRST || lpi >= ITS_LPIS_END || id + next >= 1u << device->event_bits || !collection ||
	    !event_fits(its, device, id))
		return -EINVAL;
	rc = event_add(its, device, id, collection, lpi);
	return rc ? : (int)next;
}

static int restore_device(struct its *its, u32 id, u64 entry, void *arg)
{
	u32 event_bits = BITS(entry, 0, DTE_SIZE_BITS) + 1;
	struct its_device *device;
	u64 gpa;
	int rc;

	if (!(entry & VALID))
		return 1;
	if (event_bits > 16 || !table_entry(its, its->baser[0], id, &gpa) || device_find(its, id))
		return -EINVAL;
	device = device_add(its, id, BITS(entry, DTE_TABLE_SHIFT, DTE_TABLE_BITS) << 8, event_bits);
	if (!device)
		return -ENOMEM;
	rc = scan(its, device->table, (u64)ENTRY_BYTES << event_bits, 0, restore_event, device);
	if (rc < 0) {
		device_remove(its, device);
		return rc;
	}
	return BITS(entry, DTE_NEXT_SHIFT, DTE_NEXT_BITS);
}

/* An entry of the first level. */
static int restore_page(struct its *its, u32 id, u64 entry, void *arg)
{
	u32 in_page = TABLE_PAGE / ENTRY_BYTES;

	if (!(entry & VALID))
		return 1;
	return scan(its, entry & ADDRESS_52 & ~(u64)(TABLE_PAGE - 1), TABLE_PAGE, id * in_page, restore_device, NULL);
}

static int restore_devices(struct its *its)
{
	u64 baser = its->baser[0];
	u32 bytes = baser & INDIRECT ? ITS_IDS / (TABLE_PAGE / ENTRY_BYTES) * sizeof(u64) : ITS_IDS * ENTRY_BYTES;
	int rc;

	if (!(baser & VALID))
		return 0;
	/* What a device's number reaches, and no more. */
	bytes = table_bytes(baser) < bytes ? table_bytes(baser) : bytes;
	rc = scan(its, table_base(baser), bytes, 0, baser & INDIRECT ? restore_page : restore_device, NULL);
	if (rc < 0)
		devices_free(its);
	return rc < 0 ? rc : 0;
}

/* 1: it was valid; 0: it was not; or -errno. */
static int restore_collection(struct its *its, u64 gpa)
{
	u32 target, id;
	u64 entry, at;

	if (its_host_rest())
		return -EINTR;
	if (its_host_read(its, gpa, &entry, sizeof(entry)))
		return -EFAULT;
	if (!(entry & VALID))
		return 0;
	target = (u32)(entry >> CTE_TARGET_SHIFT);
	id = BITS(entry, 0, 16);
	if (target != ITS_NO_TARGET && target >= its_host_targets(its))
		return -EINVAL;
	if (collection_find(its, id))
		return -EEXIST;
	if (!table_entry(its, its->baser[1], id, &at))
		return -EINVAL;
	return collection_add(its, id, target) ? 1 : -ENOMEM;
}

static int restore_collections(struct its *its)
{
	u64 gpa = table_base(its->baser[1]), end = gpa + table_bytes(its->baser[1]);
	int rc = 0;

	if (!(its->baser[1] & VALID))
		return 0;
	for (; gpa < end; gpa += ENTRY_BYTES) {
		rc = restore_collection(its, gpa);
		if (rc <= 0)
			break;
	}
	if (rc < 0)
		collections_free(its);
	return rc < 0 ? rc : 0;
}

int its_restore(struct its *its)
{
	int rc = restore_collections(its);

	if (rc)
		return rc;
	rc = restore_devices(its);
	if (rc)
		collections_free(its);
	return rc;
}

/* ---- life ---- */

void its_init(struct its *its)
{
	*its = (struct its){
		.baser = { BASER_RESET | BASER_FIXED(TYPE_DEVICE), BASER_RESET | BASER_FIXED(TYPE_COLLECTION) },
	};
}

void its_free(struct its *its)
{
	devices_free(its);
	collections_free(its);
}

void its_reset(struct its *its)
{
	its_host_lock(its);
	its->enabled = false;
	its_host_unlock(its);
	its->baser[0] &= ~VALID;
	its->baser[1] &= ~VALID;
	its->cbaser = 0;
	its->creadr = its->cwriter = 0;
	its_free(its);
}
