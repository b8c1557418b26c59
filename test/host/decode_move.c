// SPDX-License-Identifier: BSD-2-Clause
/*
 * decode_move.c - the short way of plain moves against the decoder: what
 * move_decode() accepts must make the same access, and leave the same
 * registers, as decode_emulate() does. Random bytes, most of them near a move.
 */
#include <stdio.h>
#include "decode_test.h"
#include "../../driver/models/move.h"

#define ANSWER 0xf1e2d3c4b5a69788ull

/* What the decoder did. */
static struct access {
	unsigned int count, len, write;
	u64 linear, data;
} seen;

static u8 code[MOVE_BYTES];
static struct decode_state state;
static struct exit_state exit_state;

static int seen_read(void *ctx, u64 linear, void *buf, unsigned int len, unsigned int access,
		     struct decode_fault *fault)
{
	u64 v = ANSWER;

	(void)ctx, (void)fault;
	if (access == DECODE_FETCH) {
		memcpy(buf, code + (linear - state.regs.rip), len);
		return 0;
	}
	seen = (struct access){ seen.count + 1, len, 0, linear, 0 };
	memcpy(buf, &v, len);
	return 0;
}

static int seen_write(void *ctx, u64 linear, const void *buf, unsigned int len, struct decode_fault *fault)
{
	(void)ctx, (void)fault;
	seen = (struct access){ seen.count + 1, len, 1, linear, 0 };
	memcpy(&seen.data, buf, len);
	return 0;
}

static const struct decode_ops seen_ops = { .read_mem = seen_read, .write_mem = seen_write };

static void random_move(void)
{
	static const u8 opcodes[] = { 0x88, 0x89, 0x8a, 0x8b, 0xa0, 0xa1, 0xa2, 0xa3, 0xc6, 0xc7, 0x0f };
	unsigned int i, n = 0;

	for (i = 0; i < sizeof(code); i++)
		code[i] = test_random();
	if (!test_below(4))
		code[n++] = 0x66;
	if (!test_below(2))
		code[n++] = 0x40 | test_below(16);
	if (test_below(8))
		code[n] = opcodes[test_below(COUNT(opcodes))];
	if (code[n] == 0x0f)
		code[n + 1] = 0xb6 | test_below(2) | test_below(2) << 3;
}

/* 32-bit and 64-bit code; values that stay canonical, so that the decoder takes them too. */
static void random_registers(void)
{
	unsigned int i;

	state_init(&state, test_below(3) ? MODE_64 : test_below(4) ? MODE_32 : MODE_16);
	for (i = 0; i < 16; i++)
		((u64 *)&state.regs)[i] = test_random() >> (20 + test_below(44));
	state.regs.rip = 0x8000;
	for (i = 0; i < 6; i++)
		if (i != SEG_CS)
			state.seg[i].base = test_random() & 0xfffff;
	exit_state.regs = state.regs;
	memcpy(exit_state.seg, state.seg, sizeof(state.seg));
	exit_state.cr0 = state.cr0;
	exit_state.efer = state.efer;
}

static void check_equal(const struct move *m)
{
	struct abi_regs want = exit_state.regs;
	u64 *reg = &((u64 *)&want)[m->reg];

	memset(&seen, 0, sizeof(seen));
	if (decode_emulate(&state, &seen_ops, NULL) == DECODE_FAULT)
		return;		/* an address that no access could have reached */
	CHECK_EQ(seen.count, 1);
	CHECK_EQ(seen.linear, m->linear);
	CHECK_EQ(seen.len, m->size);
	CHECK_EQ(seen.write, !!m->write);
	if (m->write)
		CHECK_EQ(seen.data, m->value);
	else
		*reg = move_merge(m, *reg, ANSWER);
	want.rip += m->length;
	CHECK(!memcmp(&want, &state.regs, sizeof(want)));
}

static void print_code(void)
{
	unsigned int i;

	printf("  bytes:");
	for (i = 0; i < sizeof(code); i++)
		printf(" %02x", code[i]);
	printf("\n");
}

TEST(decode_move_equals_decoder)
{
	unsigned int i, accepted = 0, failures = test_failures();
	struct move m;

	for (i = 0; i < 400000; i++) {
		random_move();
		random_registers();
		if (!move_decode(&exit_state, code, &m))
			continue;
		accepted++;
		check_equal(&m);
		if (test_failures() != failures) {
			print_code();
			break;
		}
	}
	CHECK(accepted > 50000);
	printf("  %u moves compared\n", accepted);
}
