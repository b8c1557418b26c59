// SPDX-License-Identifier: BSD-2-Clause
/*
 * decode_fuzz.c - the decoder under random bytes, modes, segments, registers
 * and answers of the callbacks. It must stay within its own state (the
 * sanitizers see to that), ask only what decode.h allows, end after a bounded
 * number of callbacks, and leave RIP alone unless the instruction is done.
 */
#include <stdlib.h>
#include "decode_test.h"

static struct decode_state *state;
static unsigned int calls, fetched, io_calls;
static u8 code[32];
static unsigned int code_pos;

static int random_answer(void)
{
	unsigned int n = test_below(64);

	return n < 4 ? (int)n : n == 4 ? -14 : n == 5 ? 99 : 0;
}

static void fill(u8 *buf, unsigned int len)
{
	while (len--)
		*buf++ = test_random();
}

static int fuzz_read(void *ctx, u64 linear, void *buf, unsigned int len, unsigned int access,
		     struct decode_fault *fault)
{
	(void)ctx, (void)linear;
	calls++;
	fault->vector = 14;
	CHECK(len >= 1 && len <= 4096);
	if (access == DECODE_FETCH) {
		CHECK(len <= 15 && (linear & 0xfff) + len <= 0x1000);
		fetched += len;
		memcpy(buf, code + code_pos, len);
		code_pos += len;
		return test_below(64) ? 0 : random_answer();
	}
	CHECK(access >= 1 && access <= 3);
	CHECK(!buf == (access == DECODE_WRITE));
	if (!test_below(16))
		state->stop = 1;
	if (buf)
		fill(buf, len);
	return random_answer();
}

static int fuzz_write(void *ctx, u64 linear, const void *buf, unsigned int len, struct decode_fault *fault)
{
	static volatile u8 sum;
	unsigned int i;

	(void)ctx, (void)linear;
	calls++;
	fault->vector = 14;
	CHECK(len >= 1 && len <= 4096);
	for (i = 0; i < len; i++)
		sum += ((const u8 *)buf)[i];
	return random_answer();
}

/* Port and XMM accesses have no exception to tell of. */
static int random_answer_but_fault(void)
{
	int rc = random_answer();

	return rc == DECODE_FAULT ? DECODE_MMIO_WAIT : rc;
}

static int fuzz_io(void *ctx, u16 port, unsigned int size, unsigned int write, void *data, unsigned int count)
{
	(void)ctx, (void)port;
	io_calls++;
	CHECK(size == 1 || size == 2 || size == 4);
	CHECK(count >= 1 && count <= DECODE_IO_COUNT && count * size <= DECODE_IO_BYTES);
	if (!write)
		fill(data, count * size);
	return random_answer_but_fault();
}

static int fuzz_get_special(void *ctx, unsigned int which, u64 *v, struct decode_fault *fault)
{
	(void)ctx;
	CHECK(which < 24);
	*v = test_random();
	fault->vector = 13;
	return random_answer();
}

static int fuzz_set_special(void *ctx, unsigned int which, u64 v, struct decode_fault *fault)
{
	(void)ctx, (void)v;
	CHECK(which < 24);
	fault->vector = 13;
	return random_answer();
}

static int fuzz_xmm(void *ctx, unsigned int n, u64 v[2], unsigned int write)
{
	(void)ctx;
	CHECK(n < 16);
	if (!write)
		fill((u8 *)v, 16);
	return random_answer_but_fault();
}

static const struct decode_ops fuzz_ops = {
	fuzz_read, fuzz_write, fuzz_io, fuzz_get_special, fuzz_set_special, fuzz_xmm,
};

static void random_code(void)
{
	static const u8 prefixes[] = { 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x48, 0x41 };
	unsigned int n = test_below(4), i;

	fill(code, sizeof(code));
	for (i = 0; i < n; i++)
		code[i] = prefixes[test_below(COUNT(prefixes))];
	if (!test_below(3))
		code[n] = 0x0f;
	if (!test_below(6))
		code[n] = 0x6c + test_below(4);	/* strings are worth more tries */
	else if (!test_below(6))
		code[n] = 0xa4 + test_below(12);
	code_pos = 0;
}

static void random_state(void)
{
	unsigned int i;

	if (test_below(2)) {
		state_init(state, test_below(MODE_COUNT));
	} else {
		fill((u8 *)state, sizeof(*state));
		fill((u8 *)&state->d, sizeof(state->d));
	}
	for (i = 0; i < 17; i++)
		((u64 *)&state->regs)[i] = test_random() >> test_below(64);
	state->fault.vector = 14;	/* what a callback that says FAULT would have filled in */
	state->insn_len = 0;
	if (!test_below(3)) {
		memcpy(state->insn, code, sizeof(state->insn));
		state->insn_len = test_below(2) ? test_below(17) : test_random();
		code_pos = state->insn_len < 15 ? state->insn_len : 15;
	}
}

static void run_one(void)
{
	u64 rip, shown;
	int rc;

	random_code();
	random_state();
	calls = fetched = io_calls = 0;
	rip = state->regs.rip;
	shown = state->insn_len < 15 ? state->insn_len : 15;
	rc = decode_emulate(state, &fuzz_ops, NULL);
	CHECK(rc >= DECODE_DONE && rc <= DECODE_UNKNOWN);
	CHECK(fetched + shown <= 15);
	CHECK(io_calls <= 1);
	CHECK(calls <= 15 + 2 * DECODE_BATCH + 2);
	if (rc != DECODE_DONE)
		CHECK_EQ(state->regs.rip, rip);
	else if (state->d.mode64 && state->d.opcode != 0xff)	/* CALL, JMP */
		CHECK(state->regs.rip - rip <= 15);
	if (rc == DECODE_FAULT)
		CHECK(1u << state->fault.vector & 0x70c3);
}

TEST(decode_fuzz_random_bytes)
{
	unsigned int i;

	state = malloc(sizeof(*state));	/* its own redzones */
	for (i = 0; i < 300000 && test_failures() < 5; i++)
		run_one();
	free(state);
}
