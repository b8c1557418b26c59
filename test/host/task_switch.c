// SPDX-License-Identifier: BSD-2-Clause
/*
 * task_switch.c - unit tests of driver/models/task.c: the four kinds of switch
 * between TSSs of both sizes, what each check refuses and in whose name, double
 * faults, and random memory, after which the state must be one to enter.
 */
#include <string.h>
#include "check.h"
#include "../../driver/models/task.h"

#define MEMORY 0x10000u
#define GDT 0x1000u
#define LDT 0x2000u
#define OLD 0x3000u
#define NEW 0x4000u
#define STACK 0x8000u

/* Selectors. */
enum { CODE = 0x08, DATA = 0x10, USER_CODE = 0x1b, USER_DATA = 0x23, TSS_OLD = 0x28, TSS_NEW = 0x30, TSS_NEW16 = 0x38,
	LDT_SELECTOR = 0x40, ABSENT_DATA = 0x48, ABSENT_CODE = 0x50, READONLY = 0x58, CONFORMING = 0x63, OUTSIDE = 0x68 };

static u8 memory[MEMORY];
static struct task_state state;
static u32 bad_page, user_accesses;	/* an access to bad_page is #PF; 0: none */
static u64 cr3_now;
static bool cr3_good;

static int test_access(void *ctx, u64 linear, void *buf, u32 len, unsigned int access, struct decode_fault *fault)
{
	(void)ctx;
	CHECK(linear <= 0xffffffff);
	user_accesses += !!(access & TASK_USER);
	if (bad_page && linear / 4096 <= bad_page && (linear + len - 1) / 4096 >= bad_page) {
		*fault = (struct decode_fault){ .vector = 14, .has_error = 1, .error = access & DECODE_WRITE, .cr2 = linear };
		return DECODE_FAULT;
	}
	if (linear >= MEMORY || linear + len > MEMORY)
		return DECODE_UNKNOWN;
	if (buf && access & DECODE_WRITE)
		memcpy(memory + linear, buf, len);
	else if (buf)
		memcpy(buf, memory + linear, len);
	return DECODE_DONE;
}

static bool test_cr3_valid(void *ctx, u64 cr3)
{
	(void)ctx, (void)cr3;
	return cr3_good;
}

static void test_cr3_set(void *ctx, u64 cr3)
{
	(void)ctx;
	cr3_now = cr3;
}

static const struct task_ops ops = { test_access, test_cr3_valid, test_cr3_set };

static void put32(u32 at, u32 value) { memcpy(memory + at, &value, 4); }
static void put16(u32 at, u32 value) { memcpy(memory + at, &value, 2); }
static u32 get32(u32 at) { u32 v; memcpy(&v, memory + at, 4); return v; }
static u32 get16(u32 at) { u16 v; memcpy(&v, memory + at, 2); return v; }

static void descriptor(u32 selector, u32 base, u32 limit, u32 attr)
{
	u64 d = (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)(attr & 0xff) << 40 |
		(u64)(limit >> 16 & 0xf) << 48 | (u64)(attr & 0xf00) << 44 | (u64)(base >> 24) << 56;

	memcpy(memory + GDT + (selector & 0xfff8), &d, 8);
}

static u32 type_of(u32 selector)
{
	return memory[GDT + (selector & 0xfff8) + 5] & 0xf;
}

static void segment(u32 seg, u32 selector, u32 base, u32 limit, u32 attr)
{
	state.seg[seg] = (struct state_segment){ .selector = selector, .attr = attr, .limit = limit, .base = base };
}

/* A TSS whose word n of the loaded part is distinct. */
static void tss32(u32 at, u32 cs, u32 data)
{
	u32 i;

	put32(at + 0x1c, 0xabc000);
	put32(at + 0x20, 0x12345);
	put32(at + 0x24, 0x202);
	for (i = 0; i < 8; i++)
		put32(at + 0x28 + 4 * i, 0x100 + i);
	put32(at + 0x38, STACK);
	for (i = 0; i < 6; i++)
		put32(at + 0x48 + 4 * i, i == SEG_CS ? cs : data);
	put32(at + 0x60, 0);
}

static void tss16(u32 at)
{
	u32 i;

	put16(at + 14, 0x1234);
	put16(at + 16, 0x2);
	for (i = 0; i < 8; i++)
		put16(at + 18 + 2 * i, 0x200 + i);
	put16(at + 26, STACK - 0x100);
	for (i = 0; i < 4; i++)
		put16(at + 34 + 2 * i, i == SEG_CS ? CODE : DATA);
	put16(at + 42, 0);
}

static void set_up(void)
{
	u32 i;

	memset(memory, 0, sizeof(memory));
	memset(&state, 0, sizeof(state));
	descriptor(CODE, 0, 0xfffff, 0xc9a);
	descriptor(DATA, 0, 0xfffff, 0xc92);
	descriptor(USER_CODE, 0, 0xfffff, 0xcfa);
	descriptor(USER_DATA, 0, 0xfffff, 0xcf2);
	descriptor(TSS_OLD, OLD, 103, 0x8b);
	descriptor(TSS_NEW, NEW, 103, 0x89);
	descriptor(TSS_NEW16, NEW, 43, 0x81);
	descriptor(LDT_SELECTOR, LDT, 0xff, 0x82);
	descriptor(ABSENT_DATA, 0, 0xfffff, 0xc12);
	descriptor(ABSENT_CODE, 0, 0xfffff, 0xc1a);
	descriptor(READONLY, 0, 0xfffff, 0xc90);
	descriptor(CONFORMING, 0, 0xfffff, 0xc9e);
	for (i = 0; i < 6; i++)
		segment(i, i == SEG_CS ? CODE : DATA, 0, 0xffffffff, i == SEG_CS ? 0xc9b : 0xc93);
	segment(SEG_GDTR, 0, GDT, OUTSIDE - 1, 0);
	segment(SEG_LDTR, 0, 0, 0, 0);
	segment(SEG_TR, TSS_OLD, OLD, 103, 0x8b);
	state.cr0 = 0x80000011;
	state.cr3 = 0x777000;
	state.dr7 = 0x7ff;
	for (i = 0; i < 16; i++)
		(&state.regs.rax)[i] = 0x1000 + i;
	state.regs.rip = 0x500;
	state.regs.rflags = 0x4046;	/* with NT */
	tss32(NEW, CODE, DATA);
	bad_page = user_accesses = 0;
	cr3_now = 0;
	cr3_good = true;
}

static struct task_switch switching(enum task_source source, u32 selector, u64 event)
{
	return (struct task_switch){ .selector = selector, .source = source, .event = event, .next_rip = 0x507, .s = &state, .ops = &ops };
}

static struct task_switch done(enum task_source source, u32 selector, u64 event)
{
	struct task_switch t = switching(source, selector, event);

	CHECK_EQ(task_switch(&t), DECODE_DONE);
	CHECK(t.committed);
	return t;
}

/* The fault, and whose it is. */
static void faults(struct task_switch t, bool committed, u32 vector, u32 error)
{
	struct task_state before = state;

	CHECK_EQ(task_switch(&t), DECODE_FAULT);
	CHECK_EQ(t.committed, committed);
	CHECK_EQ(t.fault.vector, vector);
	CHECK_EQ(t.fault.error, error);
	CHECK(!t.shutdown);
	if (!committed)
		CHECK(!memcmp(&before, &state, sizeof(state)));
}

#define EVENT(type, vector) (TASK_EVENT_VALID | (type) << 8 | (vector))
#define EXCEPTION(vector, error) (EVENT(3, vector) | TASK_EVENT_ERROR | (u64)(error) << 32)

TEST(jmp_saves_and_loads)
{
	u32 i;

	set_up();
	done(TASK_JMP, TSS_NEW, 0);
	CHECK_EQ(get32(OLD + 0x20), 0x507);
	CHECK_EQ(get32(OLD + 0x24), 0x4046);
	CHECK_EQ(get32(OLD + 0x28), 0x1000);		/* EAX */
	CHECK_EQ(get32(OLD + 0x2c), 0x1002);		/* ECX */
	CHECK_EQ(get32(OLD + 0x38), 0x1006);		/* ESP */
	CHECK_EQ(get32(OLD + 0x4c), CODE);
	CHECK_EQ(get32(OLD + 0x1c), 0);			/* CR3 is not saved */
	CHECK_EQ(get32(NEW), 0);			/* no link */
	CHECK_EQ(type_of(TSS_OLD), 9);
	CHECK_EQ(type_of(TSS_NEW), 11);
	CHECK_EQ(state.regs.rip, 0x12345);
	CHECK_EQ(state.regs.rflags, 0x202);
	CHECK_EQ(state.regs.rax, 0x100);
	CHECK_EQ(state.regs.rbx, 0x103);
	CHECK_EQ(state.regs.rsp, STACK);
	CHECK_EQ(state.regs.rdi, 0x107);
	CHECK_EQ(state.cr3, 0xabc000);
	CHECK_EQ(cr3_now, 0xabc000);
	CHECK_EQ(state.cr0, 0x80000019);
	CHECK_EQ(state.dr7, 0x7ff & ~0x155);
	CHECK_EQ(state.seg[SEG_TR].selector, TSS_NEW);
	CHECK_EQ(state.seg[SEG_TR].attr, 0x8b);
	CHECK_EQ(state.seg[SEG_TR].base, NEW);
	for (i = 0; i < 6; i++)
		CHECK_EQ(state.seg[i].attr, i == SEG_CS ? 0xc9b : 0xc93);
	CHECK_EQ(type_of(CODE), 0xb);			/* marked in memory, too */
	CHECK_EQ(type_of(DATA), 3);
	CHECK_EQ(state.seg[SEG_LDTR].attr & 0x80, 0);
}

TEST(call_and_iret_back)
{
	set_up();
	done(TASK_CALL, TSS_NEW, 0);
	CHECK_EQ(get32(NEW), TSS_OLD);
	CHECK_EQ(state.regs.rflags, 0x4202);
	CHECK_EQ(type_of(TSS_OLD), 11);
	CHECK_EQ(type_of(TSS_NEW), 11);
	put32(OLD + 0x1c, 0x777000);
	state.regs.rip = 0x900;
	done(TASK_IRET, TSS_OLD, 0);
	CHECK_EQ(state.regs.rip, 0x507);
	CHECK_EQ(state.regs.rbx, 0x1001);
	CHECK_EQ(state.regs.rflags, 0x4046);
	CHECK_EQ(state.cr3, 0x777000);
	CHECK_EQ(state.seg[SEG_TR].base, OLD);
	CHECK_EQ(type_of(TSS_OLD), 11);
	CHECK_EQ(type_of(TSS_NEW), 9);
	CHECK_EQ(get32(NEW + 0x24), 0x202);		/* without NT */
}

TEST(gate_with_error_code)
{
	set_up();
	done(TASK_GATE, TSS_NEW, EXCEPTION(8, 0x55));
	CHECK_EQ(get32(OLD + 0x20), 0x500);		/* the instruction that met it */
	CHECK_EQ(state.regs.rsp, STACK - 4);
	CHECK_EQ(get32(STACK - 4), 0x55);
	CHECK_EQ(get32(NEW), TSS_OLD);
	CHECK_EQ(state.regs.rflags, 0x4202);
	CHECK_EQ(user_accesses, 0);
}

TEST(gate_of_interrupts)
{
	set_up();
	done(TASK_GATE, TSS_NEW, EVENT(0, 0x40));
	CHECK_EQ(get32(OLD + 0x20), 0x500);
	CHECK_EQ(state.regs.rsp, STACK);
	set_up();
	done(TASK_GATE, TSS_NEW, EVENT(4, 0x80));	/* INT n: RIP is behind it */
	CHECK_EQ(get32(OLD + 0x20), 0x507);
	set_up();
	done(TASK_GATE, TSS_NEW, EVENT(6, 3));
	CHECK_EQ(get32(OLD + 0x20), 0x507);
}

TEST(gate_to_ring_3)
{
	set_up();
	tss32(NEW, USER_CODE, USER_DATA);
	done(TASK_GATE, TSS_NEW, EXCEPTION(13, 0x8));
	CHECK_EQ(user_accesses, 1);
	CHECK_EQ(get32(STACK - 4), 8);
	CHECK_EQ(state.seg[SEG_SS].attr, 0xcf3);
}

TEST(to_16_bits_and_back)
{
	set_up();
	tss16(NEW);
	done(TASK_CALL, TSS_NEW16, 0);
	CHECK_EQ(state.regs.rip, 0x1234);
	CHECK_EQ(state.regs.rflags, 0x4002);
	CHECK_EQ(state.regs.rbx, 0x203);
	CHECK_EQ(state.regs.rsp, STACK - 0x100);
	CHECK_EQ(state.cr3, 0x777000);
	CHECK_EQ(state.seg[SEG_FS].selector, DATA);
	CHECK_EQ(state.seg[SEG_FS].attr, 0xc93);
	CHECK_EQ(state.seg[SEG_TR].attr, 0x83);
	CHECK_EQ(get16(NEW), TSS_OLD);
	CHECK_EQ(get32(OLD + 0x20), 0x507);		/* by the old TSS's own size */
	state.regs.rip = 0x1260;
	state.seg[SEG_CS].selector = CODE;
	{
		struct task_switch t = switching(TASK_IRET, TSS_OLD, 0);

		t.next_rip = 0x1261;
		CHECK_EQ(task_switch(&t), DECODE_DONE);
	}
	CHECK_EQ(get16(NEW + 14), 0x1261);
	CHECK_EQ(get16(NEW + 16), 2);
	CHECK_EQ(get16(NEW + 36), CODE);
	CHECK_EQ(get16(NEW + 42), 0);
	CHECK_EQ(state.regs.rip, 0x507);
}

TEST(to_virtual_8086)
{
	u32 i;

	set_up();
	tss32(NEW, 0x1230, 0x4560);
	put32(NEW + 0x24, 0x23202);
	done(TASK_JMP, TSS_NEW, 0);
	for (i = 0; i < 6; i++) {
		CHECK_EQ(state.seg[i].attr, 0xf3);
		CHECK_EQ(state.seg[i].limit, 0xffff);
		CHECK_EQ(state.seg[i].base, i == SEG_CS ? 0x12300 : 0x45600);
	}
}

TEST(an_ldt)
{
	u64 d;

	set_up();
	memcpy(&d, memory + GDT + CODE, 8);
	memcpy(memory + LDT + 8, &d, 8);
	tss32(NEW, 0xc, DATA);
	put32(NEW + 0x60, LDT_SELECTOR);
	done(TASK_JMP, TSS_NEW, 0);
	CHECK_EQ(state.seg[SEG_LDTR].base, LDT);
	CHECK_EQ(state.seg[SEG_LDTR].attr, 0x82);
	CHECK_EQ(state.seg[SEG_CS].selector, 0xc);
	CHECK_EQ(memory[LDT + 13] & 0xf, 0xb);
}

/* What is wrong with the new TSS is the old task's fault. */
TEST(bad_tss)
{
	set_up();
	descriptor(TSS_NEW, NEW, 102, 0x89);
	faults(switching(TASK_JMP, TSS_NEW, 0), false, 10, TSS_NEW);
	set_up();
	descriptor(TSS_NEW, NEW, 103, 0x09);
	faults(switching(TASK_JMP, TSS_NEW, 0), false, 10, TSS_NEW);
	set_up();
	faults(switching(TASK_JMP, DATA, 0), false, 10, DATA);
	set_up();
	faults(switching(TASK_JMP, OUTSIDE, 0), false, 10, OUTSIDE);
	set_up();
	faults(switching(TASK_JMP, TSS_NEW | 4, 0), false, 10, TSS_NEW | 4);
	set_up();
	faults(switching(TASK_GATE, OUTSIDE, EVENT(0, 0x40)), false, 10, OUTSIDE | 1);
	set_up();
	cr3_good = false;
	faults(switching(TASK_JMP, TSS_NEW, 0), false, 13, 0);
	set_up();
	bad_page = NEW / 4096;
	faults(switching(TASK_CALL, TSS_NEW, 0), false, 14, 0);
	set_up();
	bad_page = OLD / 4096;
	faults(switching(TASK_CALL, TSS_NEW, 0), false, 14, DECODE_WRITE);
}

/* What is wrong with the new task's segments is its own. */
TEST(bad_segments)
{
	static const struct { u32 seg, selector, vector, error; } rows[] = {
		{ SEG_CS, 0, 10, 0 }, { SEG_CS, DATA, 10, DATA }, { SEG_CS, OUTSIDE, 10, OUTSIDE },
		{ SEG_CS, ABSENT_CODE, 11, ABSENT_CODE }, { SEG_CS, CODE | 1, 10, CODE },
		{ SEG_CS, TSS_OLD, 10, TSS_OLD }, { SEG_CS, 0xc, 10, 0xc },
		{ SEG_SS, 0, 10, 0 }, { SEG_SS, CODE, 10, CODE }, { SEG_SS, READONLY, 10, READONLY },
		{ SEG_SS, USER_DATA, 10, USER_DATA & ~3 }, { SEG_SS, ABSENT_DATA, 12, ABSENT_DATA },
		{ SEG_DS, TSS_OLD, 10, TSS_OLD }, { SEG_ES, ABSENT_DATA, 11, ABSENT_DATA },
		{ SEG_FS, OUTSIDE, 10, OUTSIDE }, { SEG_GS, ABSENT_CODE, 11, ABSENT_CODE }, { SEG_GS, DATA | 3, 10, DATA },
	};
	u32 i;

	for (i = 0; i < COUNT(rows); i++) {
		set_up();
		put32(NEW + 0x48 + 4 * rows[i].seg, rows[i].selector);
		faults(switching(TASK_CALL, TSS_NEW, 0), true, rows[i].vector, rows[i].error);
		CHECK_EQ(state.seg[SEG_TR].selector, TSS_NEW);
		CHECK_EQ(state.regs.rip, 0x12345);
		CHECK_EQ(state.seg[rows[i].seg].selector, rows[i].selector);
	}
	set_up();
	put32(NEW + 0x60, DATA);
	faults(switching(TASK_CALL, TSS_NEW, 0), true, 10, DATA);
	set_up();
	tss32(NEW, CONFORMING, USER_DATA);
	done(TASK_CALL, TSS_NEW, 0);
	set_up();
	put32(NEW + 0x38, 2);
	descriptor(DATA, 0, 0xffff, 0x492);
	faults(switching(TASK_GATE, TSS_NEW, EXCEPTION(13, 0)), true, 8, 0);
}

TEST(double_faults)
{
	struct task_switch t;

	set_up();
	put32(NEW + 0x4c, 0);
	faults(switching(TASK_GATE, TSS_NEW, EXCEPTION(13, 0)), true, 8, 0);
	set_up();
	put32(NEW + 0x4c, 0);
	faults(switching(TASK_GATE, TSS_NEW, EXCEPTION(14, 0)), true, 8, 0);
	set_up();
	bad_page = NEW / 4096;
	faults(switching(TASK_GATE, TSS_NEW, EXCEPTION(13, 0)), false, 14, 0);
	set_up();
	put32(NEW + 0x4c, 0);
	faults(switching(TASK_GATE, TSS_NEW, EVENT(3, 1)), true, 10, 1);
	set_up();
	put32(NEW + 0x4c, 0);
	t = switching(TASK_GATE, TSS_NEW, EXCEPTION(8, 0));
	CHECK_EQ(task_switch(&t), DECODE_FAULT);
	CHECK(t.shutdown);
}

TEST(no_memory)
{
	struct task_switch t;

	set_up();
	descriptor(TSS_NEW, MEMORY, 103, 0x89);
	t = switching(TASK_JMP, TSS_NEW, 0);
	CHECK_EQ(task_switch(&t), DECODE_UNKNOWN);
	CHECK(!t.committed);
}

/* What an entry checks of the segments (SDM volume 3, 27.3.1.2), with unrestricted guest. */
static void enterable(void)
{
	u32 cs = state.seg[SEG_CS].attr, ss = state.seg[SEG_SS].attr, i;

	if (state.regs.rflags & 0x20000) {
		for (i = 0; i < 6; i++)
			CHECK(state.seg[i].attr == 0xf3 && state.seg[i].limit == 0xffff && state.seg[i].base == state.seg[i].selector * 16u);
		return;
	}
	CHECK((cs & 0x98) == 0x98);
	CHECK(cs & 4 ? (cs >> 5 & 3) <= (ss >> 5 & 3) : (cs >> 5 & 3) == (ss >> 5 & 3));
	CHECK(!(ss & 0x80) || (ss & 0x1b) == 0x13);
	for (i = 0; i < 6; i++)
		CHECK(!(state.seg[i].attr & 0x80) || (state.seg[i].attr & 0x11) == 0x11);
	CHECK(!(state.seg[SEG_LDTR].attr & 0x80) || (state.seg[SEG_LDTR].attr & 0x1f) == 2);
	CHECK((state.seg[SEG_TR].attr & 0x97) == 0x83);
	CHECK_EQ(state.regs.rflags & ~0x3f7fd7ull, 0);
}

TEST(random_tasks)
{
	u32 round, i;

	for (round = 0; round < 200000; round++) {
		struct task_switch t;

		set_up();
		for (i = test_below(6); i; i--)
			memory[GDT + test_below(OUTSIDE)] ^= 1 << test_below(8);
		for (i = test_below(4); i; i--)
			memory[NEW + test_below(104)] = (u8)test_random();
		for (i = test_below(3); i; i--)
			put32(NEW + 0x48 + 4 * test_below(7), test_below(OUTSIDE + 8));
		bad_page = test_below(4) ? 0 : test_below(12);
		t = switching(test_below(4), 8 * test_below(14), test_below(2) ? EXCEPTION(test_below(32), 0) : EVENT(test_below(7), 64));
		CHECK(task_switch(&t) <= DECODE_UNKNOWN);
		if (t.committed)
			enterable();
		if (test_failures())
			break;
	}
}
