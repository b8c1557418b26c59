// SPDX-License-Identifier: BSD-2-Clause
/*
 * decode_driver.c - the decoder's contract with the driver: what the callbacks
 * are asked, in which order, and how often; instructions that wait for the
 * VMM's answer and run again; batches of REP; pieces of INS and OUTS; the
 * instruction fetch. A small driver model stands in: RAM below 1 MiB, MMIO
 * above, answers of a device that remembers what it was asked.
 */
#include <stdio.h>
#include <stdlib.h>
#include "decode_test.h"

#define RAM_BYTES 0x100000u
#define MMIO 0x100000u
#define CODE 0x8000u
#define MAX_EVENTS 4096

struct event {
	char kind;	/* r, w: MMIO; p: check of a write; i, o: ports; f: fetch */
	u64 at;
	unsigned int len;
	u64 data;
	unsigned int access;
};

static u8 ram[RAM_BYTES];
static struct event events[MAX_EVENTS];
static unsigned int event_count, answers, consumed, waits, ram_accesses;
static u64 fault_from = ~0ull;	/* RAM from here on faults */
static int fault_writes_only;
static u8 port_data[DECODE_IO_BYTES];
static int port_ready;
static struct decode_state state;

static void event(char kind, u64 at, unsigned int len, u64 data, unsigned int access)
{
	if (event_count < MAX_EVENTS)
		events[event_count++] = (struct event){ kind, at, len, data, access };
}

/* What the device at an MMIO address reads as. */
static u64 device_value(u64 at)
{
	return at * 0x0101010101010101ull;
}

static int page_fault(u64 linear, struct decode_fault *fault)
{
	fault->vector = 14;
	fault->cr2 = linear;
	return DECODE_FAULT;
}

/* The driver's rule: answers are handed out in order; a missing one makes the instruction wait. */
static int mmio_read(u64 linear, void *buf, unsigned int len, unsigned int access)
{
	u64 v = device_value(linear);

	CHECK(len <= 8);
	if (consumed == answers) {
		event('r', linear, len, 0, access);
		waits++;
		return DECODE_MMIO_WAIT;
	}
	consumed++;
	state.stop = 1;
	memcpy(buf, &v, len);
	return 0;
}

static int driver_read(void *ctx, u64 linear, void *buf, unsigned int len, unsigned int access,
		       struct decode_fault *fault)
{
	(void)ctx;
	if (access == DECODE_FETCH)
		event('f', linear, len, 0, access);
	if (linear < RAM_BYTES && linear + len > fault_from &&
	    (!fault_writes_only || (access & DECODE_WRITE)) && access != DECODE_FETCH)
		return page_fault(fault_from, fault);
	if (access == DECODE_WRITE) {
		CHECK(!buf);
		event('p', linear, len, 0, access);
		return 0;
	}
	if (linear >= MMIO && access == DECODE_FETCH)
		return DECODE_MMIO_WAIT;
	if (linear >= MMIO)
		return mmio_read(linear, buf, len, access);
	ram_accesses++;
	memcpy(buf, ram + linear, len);
	return 0;
}

static int driver_write(void *ctx, u64 linear, const void *buf, unsigned int len, struct decode_fault *fault)
{
	u64 v = 0;

	(void)ctx;
	if (linear < RAM_BYTES && linear + len > fault_from)
		return page_fault(fault_from, fault);
	if (linear < MMIO) {
		ram_accesses++;
		memcpy(ram + linear, buf, len);
		return 0;
	}
	CHECK(len <= 8);
	memcpy(&v, buf, len);
	event('w', linear, len, v, DECODE_WRITE);
	state.stop = 1;
	return 0;
}

static int driver_io(void *ctx, u16 port, unsigned int size, unsigned int write, void *data, unsigned int count)
{
	(void)ctx;
	event(write ? 'o' : 'i', port, size, count, 0);
	CHECK(count >= 1 && count <= DECODE_IO_COUNT && count * size <= DECODE_IO_BYTES);
	if (write) {
		memcpy(port_data, data, size * count);
		return 0;
	}
	if (!port_ready)
		return DECODE_MMIO_WAIT;
	port_ready = 0;
	memcpy(data, port_data, size * count);
	return 0;
}

static const struct decode_ops driver_ops = { .read_mem = driver_read, .write_mem = driver_write, .io = driver_io };

static void begin(enum mode mode, const void *code, unsigned int len)
{
	unsigned int i;

	for (i = 0; i < RAM_BYTES; i++)
		ram[i] = i * 7 + (i >> 8);
	memset(ram + CODE, 0xf4, 32);
	memcpy(ram + CODE, code, len);
	state_init(&state, mode);
	state.regs.rip = CODE;
	event_count = answers = consumed = waits = ram_accesses = port_ready = fault_writes_only = 0;
	fault_from = ~0ull;
}

#define BEGIN(mode, code) begin(mode, code, sizeof(code) - 1)

static int emulate(void)
{
	return decode_emulate(&state, &driver_ops, NULL);
}

/* As the driver's loop: answer waits until the instruction is over; rounds, or 0. */
static unsigned int complete(void)
{
	unsigned int rounds;
	int rc;

	for (rounds = 1; rounds < 5000; rounds++) {
		consumed = 0;
		rc = emulate();
		if (rc == DECODE_MMIO_WAIT) {
			answers++;
			continue;
		}
		answers = 0;
		if (rc || state.regs.rip != CODE)
			return rc ? 0 : rounds;
	}
	return 0;
}

/* The n-th event that is no fetch. */
static const struct event *nth(unsigned int n)
{
	static const struct event none = { '-', 0, 0, 0, 0 };
	unsigned int i;

	for (i = 0; i < event_count; i++)
		if (events[i].kind != 'f' && !n--)
			return &events[i];
	return &none;
}

TEST(decode_driver_read_waits)
{
	struct abi_regs before;

	BEGIN(MODE_64, "\x48\x03\x03");	/* add rax, [rbx] */
	state.regs.rbx = MMIO + 8;
	state.regs.rax = 1;
	before = state.regs;
	CHECK_EQ(emulate(), DECODE_MMIO_WAIT);
	CHECK(!memcmp(&before, &state.regs, sizeof(before)));
	CHECK_EQ(nth(0)->kind, 'r');
	CHECK_EQ(nth(0)->access, DECODE_READ);
	answers = 1;
	CHECK_EQ(emulate(), DECODE_DONE);
	CHECK_EQ(state.regs.rax, device_value(MMIO + 8) + 1);
	CHECK_EQ(state.regs.rip, CODE + 3);
}

TEST(decode_driver_read_modify_write)
{
	BEGIN(MODE_32, "\x0f\xba\x2b\x05");	/* bts dword [ebx], 5 */
	state.regs.rbx = MMIO;
	CHECK_EQ(emulate(), DECODE_MMIO_WAIT);
	CHECK_EQ(nth(0)->access, DECODE_READ | DECODE_WRITE);
	answers = 1;
	CHECK_EQ(emulate(), DECODE_DONE);
	CHECK_EQ(nth(1)->kind, 'w');
	CHECK_EQ(nth(1)->len, 4);
	CHECK_EQ(nth(1)->data, (u32)device_value(MMIO) | 0x20);
	CHECK_EQ(nth(2)->kind, '-');
}

/* Each read-modify-write says so when it reads: read-only memory faults then. */
TEST(decode_driver_modifies_say_so)
{
	static const char *const code[] = {
		"\x01\x03", "\x80\x03\x01", "\xf6\x13", "\xf6\x1b", "\xff\x03", "\xff\x0b", "\xd1\x03",
		"\x87\x03", "\x0f\xc1\x03", "\x0f\xb1\x03", "\x0f\xc7\x0b", "\x0f\xb3\x03", "\x0f\xba\x3b\x01",
	};
	unsigned int i;

	for (i = 0; i < COUNT(code); i++) {
		BEGIN(MODE_32, "\xf4");
		memcpy(ram + CODE, code[i], 3);
		state.regs.rbx = MMIO;
		CHECK_EQ(emulate(), DECODE_MMIO_WAIT);
		CHECK_EQ(nth(0)->access, DECODE_READ | DECODE_WRITE);
	}
}

/* CMP, TEST, BT and CMOV read for reading only: read-only memory is no fault. */
TEST(decode_driver_reads_only_to_read)
{
	static const char *const code[] = {
		"\x39\x03", "\x80\x3b\x01", "\x85\x03", "\xf6\x03\x01", "\x0f\xa3\x03", "\x0f\xba\x23\x01",
		"\x0f\x44\x03", "\x3b\x03", "\x0f\xb6\x03", "\xff\x33",
	};
	unsigned int i;

	for (i = 0; i < COUNT(code); i++) {
		BEGIN(MODE_32, "\xf4");
		memcpy(ram + CODE, code[i], 3);
		state.regs.rbx = MMIO;
		CHECK_EQ(emulate(), DECODE_MMIO_WAIT);
		CHECK_EQ(nth(0)->access, DECODE_READ);
	}
}

TEST(decode_driver_rep_movs_to_mmio)
{
	unsigned int i;

	BEGIN(MODE_64, "\xf3\x48\xa5");
	state.regs.rsi = 0x1000;
	state.regs.rdi = MMIO;
	state.regs.rcx = 5;
	for (i = 0; i < 5; i++) {
		CHECK_EQ(state.regs.rip, CODE);
		CHECK_EQ(state.regs.rcx, 5 - i);
		CHECK_EQ(emulate(), DECODE_DONE);
		CHECK_EQ(nth(i)->at, MMIO + 8 * i);
		CHECK(!memcmp(&nth(i)->data, ram + 0x1000 + 8 * i, 8));
		CHECK_EQ(nth(i + 1)->kind, '-');
	}
	CHECK_EQ(state.regs.rip, CODE + 3);
	CHECK_EQ(state.regs.rcx, 0);
	CHECK_EQ(state.regs.rsi, 0x1028);
}

TEST(decode_driver_rep_movs_from_mmio)
{
	u32 v;
	unsigned int i;

	BEGIN(MODE_32, "\xf3\xa5");
	state.regs.rsi = MMIO;
	state.regs.rdi = 0x1000;
	state.regs.rcx = 6;
	CHECK_EQ(complete(), 12);
	CHECK_EQ(waits, 6);
	for (i = 0; i < 6; i++) {
		memcpy(&v, ram + 0x1000 + 4 * i, 4);
		CHECK_EQ(v, (u32)device_value(MMIO + 4 * i));
	}
}

/* RAM first, then across into MMIO: what RAM gave is not copied again. */
TEST(decode_driver_rep_movs_into_mmio_halfway)
{
	BEGIN(MODE_64, "\xf3\xa4");
	state.regs.rsi = MMIO - 3;
	state.regs.rdi = 0x1000;
	state.regs.rcx = 5;
	CHECK_EQ(emulate(), DECODE_MMIO_WAIT);
	CHECK_EQ(state.regs.rcx, 2);
	CHECK_EQ(state.regs.rsi, MMIO);
	CHECK_EQ(state.regs.rip, CODE);
	answers = 1;
	CHECK_EQ(complete(), 3);
	CHECK_EQ(state.regs.rcx, 0);
	CHECK_EQ(ram[0x1003], (u8)device_value(MMIO));
	CHECK_EQ(ram[0x1004], (u8)device_value(MMIO + 1));
}

TEST(decode_driver_rep_movs_faults_halfway)
{
	BEGIN(MODE_64, "\xf3\xa4");
	state.regs.rsi = 0x1000;
	state.regs.rdi = 0x2ffe;
	state.regs.rcx = 9;
	fault_from = 0x3000;
	CHECK_EQ(emulate(), DECODE_FAULT);
	CHECK_EQ(state.fault.cr2, 0x3000);
	CHECK_EQ(state.regs.rcx, 7);
	CHECK_EQ(state.regs.rsi, 0x1002);
	CHECK_EQ(state.regs.rdi, 0x3000);
	CHECK_EQ(state.regs.rip, CODE);
}

/* Two reads in one iteration: both answers are kept for the re-run. */
TEST(decode_driver_cmps_of_two_devices)
{
	BEGIN(MODE_64, "\xf3\xa7");	/* repe cmpsd */
	state.regs.rsi = state.regs.rdi = MMIO + 0x10;
	state.regs.rcx = 3;
	CHECK_EQ(complete(), 9);
	CHECK_EQ(waits, 6);
	CHECK_EQ(state.regs.rcx, 0);
	CHECK(state.regs.rflags & FLAG_Z);
}

TEST(decode_driver_batch_is_bounded)
{
	BEGIN(MODE_64, "\xf3\xaa");
	state.regs.rdi = 0x10000;
	state.regs.rcx = DECODE_BATCH * 3;
	CHECK_EQ(emulate(), DECODE_DONE);
	CHECK_EQ(state.regs.rcx, DECODE_BATCH * 2);
	CHECK_EQ(state.regs.rip, CODE);
	CHECK_EQ(complete(), 2);
	CHECK_EQ(ram_accesses, DECODE_BATCH * 3 + 3);
	CHECK_EQ(state.regs.rip, CODE + 2);
}

TEST(decode_driver_cmpxchg_always_writes)
{
	BEGIN(MODE_32, "\xf0\x0f\xb1\x0b");
	state.regs.rbx = MMIO;
	state.regs.rax = 12345;
	state.regs.rcx = 7;
	CHECK_EQ(complete(), 2);
	CHECK_EQ(nth(1)->kind, 'w');
	CHECK_EQ(nth(1)->data, (u32)device_value(MMIO));
	CHECK_EQ(state.regs.rax, (u32)device_value(MMIO));
	CHECK(!(state.regs.rflags & FLAG_Z));
}

TEST(decode_driver_bit_offset_reaches_far)
{
	BEGIN(MODE_64, "\x48\x0f\xab\x03");	/* bts [rbx], rax */
	state.regs.rbx = MMIO + 0x100;
	state.regs.rax = (u64)-65;
	CHECK_EQ(complete(), 2);
	CHECK_EQ(nth(1)->at, MMIO + 0x100 - 16);
	CHECK_EQ(nth(1)->data, device_value(MMIO + 0xf0) | 1ull << 63);
}

TEST(decode_driver_outs_in_pieces)
{
	BEGIN(MODE_32, "\xf3\x66\x6f");	/* rep outsw */
	state.regs.rsi = 0x1ff0;
	state.regs.rdx = 0xffff01f0;
	state.regs.rcx = 20;
	CHECK_EQ(emulate(), DECODE_DONE);
	CHECK_EQ(nth(0)->kind, 'o');
	CHECK_EQ(nth(0)->at, 0x1f0);
	CHECK_EQ(nth(0)->len, 2);
	CHECK_EQ(nth(0)->data, 8);	/* up to the page's end */
	CHECK(!memcmp(port_data, ram + 0x1ff0, 16));
	CHECK_EQ(state.regs.rcx, 12);
	CHECK_EQ(state.regs.rsi, 0x2000);
	CHECK_EQ(state.regs.rip, CODE);
	CHECK_EQ(emulate(), DECODE_DONE);
	CHECK_EQ(nth(1)->data, 12);
	CHECK_EQ(state.regs.rip, CODE + 3);
	CHECK_EQ(state.regs.rcx, 0);
}

/* One that the processor has not let through to its ports: the code has changed since the exit. */
TEST(decode_driver_outs_without_its_exit)
{
	BEGIN(MODE_32, "\x6e");
	state.no_io = 1;
	CHECK_EQ(emulate(), DECODE_UNKNOWN);
	CHECK_EQ(state.regs.rip, CODE);
	state.no_io = 0;
	CHECK_EQ(emulate(), DECODE_DONE);
}

TEST(decode_driver_outs_of_a_misaligned_page_end)
{
	BEGIN(MODE_32, "\xf3\x6f");
	state.regs.rsi = 0x1ffe;
	state.regs.rcx = 2;
	CHECK_EQ(complete(), 2);
	CHECK_EQ(nth(0)->data, 1);
	CHECK_EQ(nth(1)->data, 1);
}

TEST(decode_driver_outs_largest_piece)
{
	BEGIN(MODE_64, "\xf3\x6e");
	state.regs.rsi = 0x2000;
	state.regs.rcx = 5000;
	CHECK_EQ(emulate(), DECODE_DONE);
	CHECK_EQ(nth(0)->data, DECODE_IO_COUNT);
	BEGIN(MODE_64, "\xf3\x6f");
	state.regs.rsi = 0x2000;
	state.regs.rcx = 5000;
	CHECK_EQ(emulate(), DECODE_DONE);
	CHECK_EQ(nth(0)->data, DECODE_IO_COUNT);
	CHECK_EQ(state.regs.rsi, 0x3000);
}

TEST(decode_driver_ins_waits)
{
	struct abi_regs before;

	BEGIN(MODE_32, "\xf3\x66\x6d");	/* rep insw */
	state.regs.rdi = 0x3000;
	state.regs.rdx = 0x1f0;
	state.regs.rcx = 256;
	before = state.regs;
	CHECK_EQ(emulate(), DECODE_MMIO_WAIT);
	CHECK(!memcmp(&before, &state.regs, sizeof(before)));
	CHECK_EQ(nth(0)->kind, 'p');
	CHECK_EQ(nth(0)->len, 512);
	CHECK_EQ(nth(1)->kind, 'i');
	CHECK_EQ(nth(1)->data, 256);
	memset(port_data, 0xa5, sizeof(port_data));
	port_ready = 1;
	CHECK_EQ(emulate(), DECODE_DONE);
	CHECK_EQ(ram[0x3000], 0xa5);
	CHECK_EQ(ram[0x31ff], 0xa5);
	CHECK(ram[0x3200] != 0xa5);
	CHECK_EQ(state.regs.rdi, 0x3200);
	CHECK_EQ(state.regs.rip, CODE + 3);
}

/* A destination that faults is found before the device is read. */
TEST(decode_driver_ins_faults_first)
{
	BEGIN(MODE_32, "\xf3\x6c");
	state.regs.rdi = 0x3000;
	state.regs.rcx = 16;
	fault_from = 0x3008;
	fault_writes_only = 1;
	CHECK_EQ(emulate(), DECODE_FAULT);
	CHECK_EQ(event_count, 1);	/* the fetch */
	CHECK_EQ(state.regs.rcx, 16);
}

TEST(decode_driver_ins_down_and_single)
{
	BEGIN(MODE_32, "\xf3\x6c");
	state.regs.rdi = 0x3000;
	state.regs.rcx = 2;
	state.regs.rflags |= FLAG_D;
	port_ready = 1;
	CHECK_EQ(emulate(), DECODE_DONE);
	CHECK_EQ(nth(1)->data, 1);
	CHECK_EQ(state.regs.rdi, 0x2fff);
	CHECK_EQ(state.regs.rcx, 1);
	BEGIN(MODE_64, "\x48\x6d");	/* REX.W: still 32 bits */
	state.regs.rdi = 0x3000;
	state.regs.rcx = 77;
	port_ready = 1;
	CHECK_EQ(emulate(), DECODE_DONE);
	CHECK_EQ(nth(1)->len, 4);
	CHECK_EQ(state.regs.rcx, 77);
	CHECK_EQ(state.regs.rdi, 0x3004);
	BEGIN(MODE_32, "\xf3\x6c");
	CHECK_EQ(emulate(), DECODE_DONE);	/* count 0 */
	CHECK_EQ(event_count, 1);
	CHECK_EQ(state.regs.rip, CODE + 2);
}

/* DI wraps at 64K, and the limit ends a piece before it. */
TEST(decode_driver_ins_at_the_segment_end)
{
	BEGIN(MODE_REAL, "\xf3\x6d");
	state.regs.rdi = 0xfffc;
	state.regs.rcx = 4;
	port_ready = 1;
	CHECK_EQ(emulate(), DECODE_DONE);
	CHECK_EQ(nth(1)->data, 2);
	CHECK_EQ(state.regs.rdi, 0);
	BEGIN(MODE_32, "\xf3\x6f");
	state.seg[SEG_DS].limit = 0x1007;
	state.regs.rsi = 0x1000;
	state.regs.rcx = 4;
	CHECK_EQ(emulate(), DECODE_DONE);
	CHECK_EQ(emulate(), DECODE_DONE);
	CHECK_EQ(nth(0)->data, 1);
	CHECK_EQ(emulate(), DECODE_FAULT);
	CHECK_EQ(state.fault.vector, 13);
	CHECK_EQ(state.regs.rcx, 2);
}

TEST(decode_driver_fetch)
{
	BEGIN(MODE_64, "\x8b\x03");
	state.regs.rbx = 0x123;
	CHECK_EQ(emulate(), DECODE_DONE);
	CHECK_EQ(event_count, 1);
	CHECK_EQ(events[0].at, CODE);
	CHECK_EQ(events[0].len, 15);
	/* all bytes known: none is fetched */
	BEGIN(MODE_64, "\xf4");
	memcpy(state.insn, "\x8b\x03\xf4", 3);
	state.insn_len = 3;
	CHECK_EQ(emulate(), DECODE_DONE);
	CHECK_EQ(event_count, 0);
	/* some known: the others come from behind them */
	BEGIN(MODE_64, "\x8b\x83\x20\x01\x00\x00");
	memcpy(state.insn, ram + CODE, 3);
	state.insn_len = 3;
	CHECK_EQ(emulate(), DECODE_DONE);
	CHECK_EQ(event_count, 1);
	CHECK_EQ(events[0].at, CODE + 3);
	CHECK_EQ(events[0].len, 12);
}

TEST(decode_driver_fetch_at_page_end)
{
	BEGIN(MODE_64, "\xf4");
	memcpy(ram + 0x8ffe, "\x8b\x03\x90", 3);
	state.regs.rip = 0x8ffe;
	CHECK_EQ(emulate(), DECODE_DONE);
	CHECK_EQ(event_count, 1);	/* the next page is not touched */
	CHECK_EQ(events[0].len, 2);
	BEGIN(MODE_64, "\xf4");
	memcpy(ram + 0x8ffe, "\x8b\x43\x10", 3);
	state.regs.rip = 0x8ffe;
	CHECK_EQ(emulate(), DECODE_DONE);
	CHECK_EQ(event_count, 2);
	CHECK_EQ(events[1].at, 0x9000);
	CHECK_EQ(events[1].len, 13);
	CHECK_EQ(state.regs.rip, 0x9001);
}

TEST(decode_driver_fetch_limits)
{
	BEGIN(MODE_32, "\x8b\x03");
	state.seg[SEG_CS].limit = CODE + 1;
	CHECK_EQ(emulate(), DECODE_DONE);
	CHECK_EQ(events[0].len, 2);
	BEGIN(MODE_32, "\x8b\x43\x10");
	state.seg[SEG_CS].limit = CODE + 1;
	CHECK_EQ(emulate(), DECODE_FAULT);
	CHECK_EQ(state.fault.vector, 13);
	BEGIN(MODE_32, "\xf4");
	state.regs.rip = MMIO;	/* code in MMIO */
	CHECK_EQ(emulate(), DECODE_UNKNOWN);
	BEGIN(MODE_64, "\xf4");
	state.regs.rip = 0x800000000000;
	CHECK_EQ(emulate(), DECODE_FAULT);
	CHECK_EQ(state.fault.vector, 13);
}
