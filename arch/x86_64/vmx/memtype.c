/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memtype.c - memory types for the service VM's EPT, which MTRRs do not reach
 * (SDM vol. 3, 29.3.7.2).
 *
 * Owns: a copy of the MTRRs as firmware left them; Linux changes none that
 * matters (mtrr_write() in service.c).
 * Called by: setup.c at boot, service.c by way of the backend.
 */
#include "vmx.h"
#include "cpu.h"

#define MSR_MTRR_CAP 0xfe
#define MSR_MTRR_DEF 0x2ff
#define MTRR_ENABLE 0x800ull
#define MTRR_FIXED 0x400ull
#define MTRR_UC 0u
#define MTRR_WT 4u
#define MTRR_WB 6u
#define MTRR_RANGES 16u

static struct { u64 base, end; u32 type; } mtrr[MTRR_RANGES];
static u32 mtrr_count;
static u64 mtrr_default;	/* MTRRdefType of the boot CPU */

/* A mask with holes counts as its lowest block. */
INIT void vmx_memtype_init(void)
{
	u32 count = (u32)min_u64(rdmsr(MSR_MTRR_CAP) & 0xff, MTRR_RANGES), i;
	u64 top = 1ull << (cpuid(0x80000008, 0).eax & 0xff);

	mtrr_default = rdmsr(MSR_MTRR_DEF);
	for (i = 0; i < count; i++) {
		u64 base = rdmsr(0x200 + 2 * i), mask = rdmsr(0x201 + 2 * i), bits = mask & ~0xfffull & (top - 1);

		if (!(mask & 0x800) || !bits)
			continue;
		mtrr[mtrr_count].base = base & bits;
		mtrr[mtrr_count].end = (base & bits) + (bits & -bits);
		mtrr[mtrr_count++].type = base & 0xff;
	}
}

/* Of the first MiB: 64 KiB, 16 KiB, 4 KiB to a byte (SDM vol. 3, table 12-9). */
static u32 mtrr_fixed(u64 pa)
{
	u32 i = pa < 0x80000 ? (u32)(pa >> 16) : pa < 0xc0000 ? (u32)(pa >> 14) & 15 : (u32)(pa >> 12) & 63;
	u32 msr = pa < 0x80000 ? 0x250 : pa < 0xc0000 ? 0x258 : 0x268;

	return rdmsr(msr + i / 8) >> (i % 8 * 8) & 0xff;
}

/* Overlap: UC wins, WT wins over WB (SDM vol. 3, 12.11.4.1). *end: lowered to where the answer ends. */
static u32 mtrr_type(u64 pa, u64 *end)
{
	u32 type = ~0u, i;

	if (!(mtrr_default & MTRR_ENABLE))
		return MTRR_UC;
	if (pa < 0x100000 && (mtrr_default & MTRR_FIXED)) {
		*end = min_u64(*end, pa + PAGE_SIZE);
		return mtrr_fixed(pa);
	}
	for (i = 0; i < mtrr_count; i++) {
		if (pa < mtrr[i].base)
			*end = min_u64(*end, mtrr[i].base);
		if (pa < mtrr[i].base || pa >= mtrr[i].end)
			continue;
		*end = min_u64(*end, mtrr[i].end);
		if (type == ~0u || mtrr[i].type == MTRR_UC || (mtrr[i].type == MTRR_WT && type == MTRR_WB))
			type = mtrr[i].type;
	}
	return type == ~0u ? mtrr_default & 0xff : type;
}

u64 vmx_leaf_type(u64 pa, u64 *end)
{
	return (u64)mtrr_type(pa, end) << 3;
}
