/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dtb.c - reads the device tree, and writes the one that the service VM gets.
 *
 * Invariant: the tree is hostile input: no read goes past dtb_bytes, which is
 * at most DTB_BYTES_MAX; depth and counts have limits. A tree that breaks a rule
 * ends in one line. Addresses are taken as the root bus has them.
 * Called by: arch/arm64/main.c. See: Devicetree Specification 0.4, chapter 5.
 */
#include <string.h>
#include "boot/arm64/boot.h"
#include "errno.h"
#include "log.h"
#include "phys.h"

#define FDT_MAGIC 0xd00dfeedu
#define FDT_BEGIN_NODE 1u
#define FDT_END_NODE 2u
#define FDT_PROP 3u
#define FDT_NOP 4u
#define FDT_END 9u
#define HEADER_BYTES 40u
#define DEPTH_MAX 16
#define UART_GUESS_BYTES 0x10000u
#define TIMER_NAMES "sec-phys\0phys\0no-virt\0hyp-phys"

enum { H_MAGIC, H_TOTAL, H_STRUCT, H_STRINGS, H_RESERVE, H_VERSION, H_COMPATIBLE, H_CPU, H_STRINGS_BYTES, H_STRUCT_BYTES };

struct tree {
	const u8 *base;
	u32 at, end;		/* the structure block: next token, its end */
	u32 strings, strings_bytes;
};

struct token {
	u32 kind;
	u32 at;			/* of the token, and where the next one is */
	u32 next;
	const char *name;	/* of a node or a property */
	const u8 *data;
	u32 length;
};

struct prop {
	const u8 *data;
	u32 length;
};

/* What matters of a node; properties come before its children. */
struct node {
	const char *name;
	struct prop compatible, reg, type, status, initrd_start, initrd_end;
	u32 address_cells, size_cells;	/* for its children */
};

static u32 be32(const u8 *p)
{
	return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
}

static void put_be32(u8 *p, u32 v)
{
	p[0] = (u8)(v >> 24);
	p[1] = (u8)(v >> 16);
	p[2] = (u8)(v >> 8);
	p[3] = (u8)v;
}

static u64 cells(const u8 *p, u32 count)
{
	u64 v = 0;

	while (count--) {
		v = v << 32 | be32(p);
		p += 4;
	}
	return v;
}

/* The string at `at` that must end before `end`; NULL if it does not. */
static const char *string_at(const u8 *base, u32 at, u32 end)
{
	return at < end && memchr(base + at, 0, end - at) ? (const char *)base + at : NULL;
}

static int next_prop(const struct tree *t, struct token *k)
{
	u32 name;

	if (t->end - k->next < 8)
		return -EINVAL;
	k->length = be32(t->base + k->next);
	name = be32(t->base + k->next + 4);
	k->next += 8;
	if (k->length > t->end - k->next || name >= t->strings_bytes)
		return -EINVAL;
	k->name = string_at(t->base, t->strings + name, t->strings + t->strings_bytes);
	k->data = t->base + k->next;
	k->next += (k->length + 3) & ~3u;
	return k->name && k->next <= t->end ? 0 : -EINVAL;
}

/* The token at t->at. 0 or -EINVAL. */
static int next_token(struct tree *t, struct token *k)
{
	if (t->end - t->at < 4 || t->at > t->end)
		return -EINVAL;
	k->at = t->at;
	k->kind = be32(t->base + t->at);
	k->next = t->at + 4;
	k->name = NULL;
	if (k->kind == FDT_BEGIN_NODE) {
		k->name = string_at(t->base, k->next, t->end);
		if (!k->name)
			return -EINVAL;
		k->next += ((u32)strlen(k->name) + 4) & ~3u;
	} else if (k->kind == FDT_PROP) {
		if (next_prop(t, k))
			return -EINVAL;
	} else if (k->kind != FDT_END_NODE && k->kind != FDT_NOP && k->kind != FDT_END) {
		return -EINVAL;
	}
	t->at = k->next;
	return k->next <= t->end ? 0 : -EINVAL;
}

static int block_ok(u32 at, u32 bytes, u32 total)
{
	return at >= HEADER_BYTES && !(at & 3) && at <= total && bytes <= total - at;
}

/* Checks the header; t then walks the structure. Returns the used bytes, 0: no tree. */
static u32 tree_open(struct tree *t, u64 pa)
{
	const u8 *base = phys_to_virt(pa);
	u32 h[10], i, used;

	if (pa & 7)
		return 0;
	for (i = 0; i < 10; i++)
		h[i] = be32(base + 4 * i);
	if (h[H_MAGIC] != FDT_MAGIC || h[H_TOTAL] > DTB_BYTES_MAX || h[H_VERSION] < 17 || h[H_COMPATIBLE] > 17)
		return 0;
	if (!block_ok(h[H_STRUCT], h[H_STRUCT_BYTES], h[H_TOTAL]) || !block_ok(h[H_RESERVE], 16, h[H_TOTAL]) ||
	    !block_ok(h[H_STRINGS] & ~3u, h[H_STRINGS_BYTES] + (h[H_STRINGS] & 3), h[H_TOTAL]))
		return 0;
	*t = (struct tree){ base, h[H_STRUCT], h[H_STRUCT] + h[H_STRUCT_BYTES], h[H_STRINGS], h[H_STRINGS_BYTES] };
	used = t->end > t->strings + t->strings_bytes ? t->end : t->strings + t->strings_bytes;
	return used;
}

static int is(const struct prop *p, const char *word)
{
	u32 at = 0, n = (u32)strlen(word) + 1;

	for (; p->length - at >= n && at < p->length; at++) {
		if ((at == 0 || !p->data[at - 1]) && !memcmp(p->data + at, word, n))
			return 1;
	}
	return 0;
}

/* The i-th (base, size) of reg, in the parent's cells. 0: there is none. */
static int reg_at(const struct node *n, const struct node *parent, u32 i, struct range *r)
{
	u32 a = parent->address_cells, s = parent->size_cells, bytes = 4 * (a + s);

	if (a > 2 || s > 2 || !bytes || n->reg.length / bytes <= i)
		return 0;
	r->base = cells(n->reg.data + i * bytes, a);
	r->size = cells(n->reg.data + i * bytes + 4 * a, s);
	return r->base + r->size >= r->base;
}

/* ---- reading ---- */

static int add_memory(struct machine_info *m, const struct node *n, const struct node *parent)
{
	struct range r;
	u32 i;

	for (i = 0; reg_at(n, parent, i, &r); i++)
		if (r.size && memmap_reserve(&m->memory, r.base, r.size, REGION_RAM))
			return -EINVAL;
	return 0;
}

static int add_gic(struct machine_info *m, const struct node *n, const struct node *parent)
{
	struct range r;

	if (!reg_at(n, parent, 0, &r))
		return -EINVAL;
	m->gicd_pa = r.base;
	while (m->gicr_count < DTB_GICR_MAX && reg_at(n, parent, 1 + m->gicr_count, &r) && r.size >= 0x20000)
		m->gicr[m->gicr_count++] = r;
	/* What follows the redistributors are GICC, GICH and GICV of old, smaller than one frame pair. */
	return m->gicr_count ? 0 : -EINVAL;
}

static int add_its(struct machine_info *m, const struct node *n, const struct node *parent)
{
	struct range r;

	if (m->its_count == DTB_ITS_MAX || !reg_at(n, parent, 0, &r))
		return -EINVAL;
	m->its[m->its_count++] = r.base;
	return 0;
}

static int add_uart(struct machine_info *m, const struct node *n, const struct node *parent)
{
	struct range r;

	if (!m->uart_pa && reg_at(n, parent, 0, &r) && !is(&n->status, "disabled"))
		m->uart_pa = r.base;
	return 0;
}

static int add_cpu(struct machine_info *m, const struct node *n, const struct node *parent)
{
	u32 a = parent->address_cells;

	if (a < 1 || a > 2 || n->reg.length < 4 * a)
		return -EINVAL;
	if (m->cpu_count < MAX_CPUS && !is(&n->status, "disabled"))
		m->mpidr[m->cpu_count++] = cells(n->reg.data, a);
	return 0;
}

static int add_psci(struct machine_info *m, const struct node *n, const struct node *parent)
{
	(void)n;
	(void)parent;
	m->has_psci = 1;
	return 0;
}

static int add_timer(struct machine_info *m, const struct node *n, const struct node *parent)
{
	(void)n;
	(void)parent;
	m->has_timer = 1;
	return 0;
}

/* A node matches a row by its compatible or its device_type. */
static const struct {
	const char *word;
	int (*fn)(struct machine_info *m, const struct node *n, const struct node *parent);
} node_rows[] = {
	{ "memory", add_memory },
	{ "cpu", add_cpu },
	{ "arm,pl011", add_uart },
	{ "arm,gic-v3", add_gic },
	{ "arm,gic-v3-its", add_its },
	{ "arm,psci-0.2", add_psci },
	{ "arm,psci-1.0", add_psci },
	{ "arm,armv8-timer", add_timer },
};

/* Where the loader put the initrd: that memory is taken. */
static void add_initrd(struct machine_info *m, const struct node *n)
{
	u64 start = cells(n->initrd_start.data, n->initrd_start.length / 4);
	u64 end = cells(n->initrd_end.data, n->initrd_end.length / 4);
	struct boot_info *b = &m->memory;

	if (end > start && b->module_count < BOOT_MAX_MODULES) {
		b->modules[b->module_count].pa = start;
		b->modules[b->module_count++].size = end - start;
	}
}

static int node_end(struct machine_info *m, const struct node *n, const struct node *parent)
{
	int err = 0;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(node_rows) && !err; i++)
		if (is(&n->compatible, node_rows[i].word) || is(&n->type, node_rows[i].word))
			err = node_rows[i].fn(m, n, parent);
	if (n->initrd_start.data && n->initrd_end.data && !strcmp(n->name, "chosen"))
		add_initrd(m, n);
	return err;
}

static void node_prop(struct node *n, const struct token *k)
{
	static const struct { const char *name; u32 offset; } rows[] = {
		{ "compatible", offsetof(struct node, compatible) },
		{ "reg", offsetof(struct node, reg) },
		{ "device_type", offsetof(struct node, type) },
		{ "status", offsetof(struct node, status) },
		{ "linux,initrd-start", offsetof(struct node, initrd_start) },
		{ "linux,initrd-end", offsetof(struct node, initrd_end) },
	};
	u32 i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (!strcmp(k->name, rows[i].name))
			*(struct prop *)((u8 *)n + rows[i].offset) = (struct prop){ k->data, k->length };
	if (!strcmp(k->name, "#address-cells") && k->length == 4)
		n->address_cells = be32(k->data);
	if (!strcmp(k->name, "#size-cells") && k->length == 4)
		n->size_cells = be32(k->data);
}

/* Second walk, when all memory is known: what /reserved-memory keeps for others. */
static int node_reserve(struct machine_info *m, const struct node *n, const struct node *parent)
{
	struct range r;
	u32 i;

	for (i = 0; !strcmp(parent->name, "reserved-memory") && reg_at(n, parent, i, &r); i++)
		if (r.size && memmap_reserve(&m->memory, r.base, r.size, REGION_RESERVED))
			return -EINVAL;
	return 0;
}

static int walk(struct tree *t, struct machine_info *m,
		int (*end)(struct machine_info *m, const struct node *n, const struct node *parent))
{
	struct node nodes[DEPTH_MAX];
	struct token k;
	int depth = -1;

	for (;;) {
		if (next_token(t, &k))
			return -EINVAL;
		if (k.kind == FDT_END)
			return depth == -1 ? 0 : -EINVAL;
		if (k.kind == FDT_BEGIN_NODE) {
			if (++depth == DEPTH_MAX)
				return -EINVAL;
			nodes[depth] = (struct node){ .name = k.name, .address_cells = 2, .size_cells = 1 };
		} else if (k.kind == FDT_PROP && depth >= 0) {
			node_prop(&nodes[depth], &k);
		} else if (k.kind == FDT_END_NODE) {
			if (depth < 0 || (depth && end(m, &nodes[depth], &nodes[depth - 1])))
				return -EINVAL;
			depth--;
		}
	}
}

/* Memory that the loader or firmware wants left alone: never ours, still Linux's to know. */
static int reserve_block(const struct tree *t, struct machine_info *m, u32 total)
{
	u32 at = be32(t->base + 4 * H_RESERVE);
	u64 base, size;

	for (; at <= total - 16; at += 16) {
		base = cells(t->base + at, 2);
		size = cells(t->base + at + 8, 2);
		if (!base && !size)
			return 0;
		if (size && memmap_reserve(&m->memory, base, size, REGION_RESERVED))
			return -EINVAL;
	}
	return -EINVAL;
}

/* A tree that cannot be read may still show where to say so: the unit address of a node's name. */
static u64 uart_guess(u64 dtb_pa)
{
	const u8 *at = phys_to_virt(dtb_pa), *end = at + min_u64(be32(at + 4 * H_TOTAL), UART_GUESS_BYTES);
	u64 pa = 0;

	for (; end - at > 6 && memcmp(at, "pl011@", 6); at++)
		;
	for (at += 6; at < end && ((*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'f')); at++)
		pa = pa << 4 | (u64)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
	return pa & (PAGE_SIZE - 1) ? 0 : pa;
}

int dtb_parse(u64 dtb_pa, struct machine_info *m)
{
	struct boot_info *b = &m->memory;
	struct tree t;

	m->dtb_pa = dtb_pa;
	m->dtb_bytes = tree_open(&t, dtb_pa);
	if (!m->dtb_bytes) {
		m->uart_pa = uart_guess(dtb_pa);
		log_print("tenon: the loader gave no device tree, or a broken one\n");
		return -EINVAL;
	}
	if (walk(&t, m, node_end) || !tree_open(&t, dtb_pa) || walk(&t, m, node_reserve) || reserve_block(&t, m, be32(t.base + 4 * H_TOTAL))) {
		if (!m->uart_pa)
			m->uart_pa = uart_guess(dtb_pa);
		log_print("tenon: the device tree is broken at byte %u\n", t.at);
		return -EINVAL;
	}
	b->modules[b->module_count].pa = dtb_pa;
	b->modules[b->module_count++].size = m->dtb_bytes;
	return 0;
}

/* ---- writing ---- */

struct writer {
	u8 *base;
	u32 at, room;
	int full;
};

static void put(struct writer *w, const void *data, u32 bytes)
{
	if (w->full || bytes > w->room - w->at) {
		w->full = 1;
		return;
	}
	memcpy(w->base + w->at, data, bytes);
	w->at += bytes;
	while (w->at & 3 && w->at < w->room)
		w->base[w->at++] = 0;
}

static void put_word(struct writer *w, u32 v)
{
	u8 b[4];

	put_be32(b, v);
	put(w, b, 4);
}

static void put_cells(struct writer *w, u64 v, u32 count)
{
	if (count == 2)
		put_word(w, (u32)(v >> 32));
	put_word(w, (u32)v);
}

/* One range without the holes from hole `i` on. */
static void put_pieces(struct writer *w, u64 base, u64 end, const struct node *parent, const struct range *holes, u32 count)
{
	for (; count; holes++, count--) {
		if (holes->base >= end || holes->base + holes->size <= base)
			continue;
		put_pieces(w, base, holes->base, parent, holes + 1, count - 1);
		base = holes->base + holes->size;
	}
	if (base < end) {
		put_cells(w, base, parent->address_cells);
		put_cells(w, end - base, parent->size_cells);
	}
}

static void put_memory(struct writer *w, const struct token *k, const struct node *n, const struct node *parent,
		       const struct range *holes, u32 count, const u8 *from)
{
	u32 start, i;
	struct range r;

	put(w, from + k->at, 12);
	start = w->at;
	for (i = 0; reg_at(n, parent, i, &r); i++)
		put_pieces(w, r.base, r.base + r.size, parent, holes, count);
	if (!w->full)
		put_be32(w->base + start - 8, w->at - start);
}

/* Copies the structure with its changes; *names is where the added property name will be. */
static int copy(struct tree *t, struct writer *w, u32 names, const struct range *holes, u32 count)
{
	struct node nodes[DEPTH_MAX];
	struct token k;
	int depth = -1;

	do {
		if (next_token(t, &k))
			return -EINVAL;
		if (k.kind == FDT_BEGIN_NODE && ++depth < DEPTH_MAX)
			nodes[depth] = (struct node){ .name = k.name, .address_cells = 2, .size_cells = 1 };
		if (depth == DEPTH_MAX)
			return -EINVAL;
		if (k.kind == FDT_PROP && depth >= 0)
			node_prop(&nodes[depth], &k);
		if (k.kind == FDT_PROP && depth == 1 && !strcmp(k.name, "reg") && !strncmp(nodes[1].name, "memory", 6)) {
			put_memory(w, &k, &nodes[1], &nodes[0], holes, count, t->base);
			continue;
		}
		if (k.kind == FDT_PROP && !strcmp(k.name, "interrupt-names") && depth == 1 && !strncmp(nodes[1].name, "timer", 5))
			continue;
		put(w, t->base + k.at, k.next - k.at);
		if (k.kind == FDT_BEGIN_NODE && depth == 1 && !strcmp(k.name, "timer")) {
			put_word(w, FDT_PROP);
			put_word(w, sizeof(TIMER_NAMES));
			put_word(w, names);
			put(w, TIMER_NAMES, sizeof(TIMER_NAMES));
		}
		if (k.kind == FDT_END_NODE)
			depth--;
	} while (k.kind != FDT_END);
	return 0;
}

static void put_header(struct writer *w, const u32 *words)
{
	u32 i;

	for (i = 0; i < HEADER_BYTES / 4; i++)
		put_be32(w->base + 4 * i, words[i]);
}

u64 dtb_room(const struct machine_info *m)
{
	return align_up(m->dtb_bytes + 4096, PAGE_SIZE);
}

int dtb_write(const struct machine_info *m, u64 dest_pa, u64 room, const struct range *holes, u32 count)
{
	struct writer w = { phys_to_virt(dest_pa), 0, (u32)room, 0 };
	u32 start, strings, reserve, total;
	struct tree t;

	if (!tree_open(&t, m->dtb_pa))
		return -EINVAL;
	total = be32(t.base + 4 * H_TOTAL);
	put(&w, t.base, HEADER_BYTES);
	for (reserve = be32(t.base + 4 * H_RESERVE); reserve <= total - 16; reserve += 16) {
		put(&w, t.base + reserve, 16);
		if (!cells(t.base + reserve, 2) && !cells(t.base + reserve + 8, 2))
			break;
	}
	start = w.at;
	if (copy(&t, &w, t.strings_bytes, holes, count))
		return -EINVAL;
	strings = w.at;
	put(&w, t.base + t.strings, t.strings_bytes);
	w.at = strings + t.strings_bytes;
	put(&w, "interrupt-names", 16);
	if (w.full)
		return -ENOSPC;
	put_header(&w, (const u32[]){ FDT_MAGIC, w.at, start, strings, HEADER_BYTES, 17, 16, be32(t.base + 4 * H_CPU),
		   t.strings_bytes + 16, strings - start });
	return 0;
}
