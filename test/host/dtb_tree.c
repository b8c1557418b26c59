// SPDX-License-Identifier: BSD-2-Clause
/*
 * dtb_tree.c - boot/arm64/dtb.c: a machine's tree read and written anew, and
 * thousands of broken ones. Each tree lies in a heap block of exactly its size,
 * so that the sanitizer sees a read past it.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "../../boot/memmap.c"
#include "../../boot/arm64/dtb.c"

#define ROUNDS 20000

static u8 *memory;	/* "physical" address 0 */
static unsigned int lines;

void *phys_to_virt(u64 pa)
{
	return memory + pa;
}

void log_print(const char *fmt, ...)
{
	(void)fmt;
	lines++;
}

/* ---- a tree as QEMU's virt machine gives it, in small ---- */

static u8 text[4096], names[512];
static u32 text_at, names_at;

static void word(u32 v)
{
	put_be32(text + text_at, v);
	text_at += 4;
}

static void bytes(const void *data, u32 n)
{
	memcpy(text + text_at, data, n);
	text_at = (text_at + n + 3) & ~3u;
}

static void begin(const char *name)
{
	word(FDT_BEGIN_NODE);
	bytes(name, (u32)strlen(name) + 1);
}

static void end_node(void)
{
	word(FDT_END_NODE);
}

static void prop_head(const char *name, u32 n)
{
	word(FDT_PROP);
	word(n);
	word(names_at);
	names_at += (u32)strlen(strcpy((char *)names + names_at, name)) + 1;
}

static void prop_words(const char *name, u32 count, const u32 *v)
{
	prop_head(name, 4 * count);
	while (count--)
		word(*v++);
}

static void prop_string(const char *name, const char *s)
{
	prop_head(name, (u32)strlen(s) + 1);
	bytes(s, (u32)strlen(s) + 1);
}

#define WORDS(name, ...) prop_words(name, sizeof((u32[]){ __VA_ARGS__ }) / 4, (u32[]){ __VA_ARGS__ })

static void node(const char *name, const char *compatible, u64 base, u32 size)
{
	begin(name);
	if (compatible)
		prop_string("compatible", compatible);
	if (size)
		WORDS("reg", (u32)(base >> 32), (u32)base, 0, size, 0, (u32)base + 0x10000, 0, 0xf60000);
	end_node();
}

static void tree_words(void)
{
	text_at = names_at = 0;
	begin("");
	WORDS("#address-cells", 2);
	WORDS("#size-cells", 2);
	begin("memory@40000000");
	prop_string("device_type", "memory");
	WORDS("reg", 0, 0x40000000, 0, 0x40000000);
	end_node();
	begin("cpus");
	WORDS("#address-cells", 1);
	WORDS("#size-cells", 0);
	begin("cpu@0");
	prop_string("device_type", "cpu");
	WORDS("reg", 0);
	end_node();
	begin("cpu@1");
	prop_string("device_type", "cpu");
	WORDS("reg", 1);
	end_node();
	end_node();
	begin("reserved-memory");
	WORDS("#address-cells", 2);
	WORDS("#size-cells", 2);
	begin("firmware@7f000000");
	WORDS("reg", 0, 0x7f000000, 0, 0x100000);
	end_node();
	end_node();
	node("intc@8000000", "arm,gic-v3", 0x8000000, 0x10000);
	node("pl011@9000000", "arm,pl011", 0x9000000, 0x1000);
	node("psci", "arm,psci-1.0", 0, 0);
	node("timer", "arm,armv8-timer", 0, 0);
	begin("chosen");
	WORDS("linux,initrd-start", 0x48000000);
	WORDS("linux,initrd-end", 0x48100000);
	end_node();
	end_node();
	word(FDT_END);
}

/* The whole tree in a block of its own; *total is its size. */
static u8 *tree_make(u32 *total)
{
	u32 strings = HEADER_BYTES + 16 + text_at, i;
	u8 *t;

	*total = strings + names_at;
	t = calloc(1, *total);
	for (i = 0; i < 10; i++) {
		u32 h[] = { FDT_MAGIC, *total, HEADER_BYTES + 16, strings, HEADER_BYTES, 17, 16, 0, names_at, text_at };

		put_be32(t + 4 * i, h[i]);
	}
	memcpy(t + HEADER_BYTES + 16, text, text_at);
	memcpy(t + strings, names, names_at);
	return t;
}

static const struct range holes[] = { { 0x40200000, 0x200000 }, { 0x7fe00000, 0x200000 } };

/* Parses what is at `memory`, and writes it anew; the new tree, or NULL. */
static u8 *rewrite(struct machine_info *m)
{
	u64 room;
	u8 *out;

	memset(m, 0, sizeof(*m));
	lines = 0;
	if (dtb_parse(0, m)) {
		CHECK_EQ(lines, 1);
		return NULL;
	}
	room = dtb_room(m);
	out = malloc(room);
	if (!dtb_write(m, (u64)(out - memory), room, holes, COUNT(holes)))
		return out;
	free(out);
	return NULL;
}

static struct machine_info first, second;

TEST(dtb_good)
{
	u32 total;
	u8 *out;
	u64 end;

	tree_words();
	memory = tree_make(&total);
	out = rewrite(&first);
	CHECK(out);
	CHECK_EQ(first.cpu_count, 2);
	CHECK_EQ(first.mpidr[1], 1);
	CHECK_EQ(first.uart_pa, 0x9000000);
	CHECK_EQ(first.gicd_pa, 0x8000000);
	CHECK_EQ(first.gicr_count, 1);
	CHECK(first.has_psci && first.has_timer);
	CHECK_EQ(first.memory.modules[0].pa, 0x48000000);
	CHECK_EQ(memmap_type(&first.memory, 0x7f000000, &end), REGION_RESERVED);
	free(memory);
	/* What was written says the same, but has no memory in the holes. */
	memory = out;
	out = rewrite(&second);
	CHECK(out);
	CHECK_EQ(second.cpu_count, 2);
	CHECK_EQ(memmap_type(&second.memory, 0x40200000, &end), 0);
	CHECK_EQ(end, 0x40400000);
	CHECK_EQ(memmap_type(&second.memory, 0x7fe00000, &end), 0);
	CHECK_EQ(memmap_type(&second.memory, 0x40000000, &end), REGION_RAM);
	free(memory);
	free(out);
}

TEST(dtb_random)
{
	u32 total, i, k;

	tree_words();
	for (i = 0; i < ROUNDS; i++) {
		memory = tree_make(&total);
		for (k = 1 + test_below(5); k; k--) {
			u32 at = test_below(total & ~3u);

			/* The total is the test's own promise: a loader that lies about it lies about all. */
			if (at / 4 == H_TOTAL)
				continue;
			if (test_below(2))
				memory[at] = (u8)test_random();
			else
				put_be32(memory + (at & ~3u), test_below(2) ? test_below(12) : (u32)test_random());
		}
		free(rewrite(&first));
		free(memory);
	}
}
