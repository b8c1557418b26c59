/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fpu.c - FP, SSE, AVX, PKRU: which components there are, and what a guest may
 * set. switch.h switches them at each change between service VM and user VM,
 * never lazily.
 *
 * Owns: which components there are. Invariant: XSAVE and XRSTOR run with XCR0
 * = all components that a guest may have, so that none stays behind.
 * The area is in the standard format (SDM vol. 1, 13.4), the one of KVM_GET_XSAVE.
 * Supervisor components (IA32_XSS) are never given to a guest.
 */
#include <string.h>
#include "vcpu_arch.h"
#include "vm.h"

#define XCR0_X87 FPU_XCR0_RESET
#define XCR0_SSE 0x2ull
#define XCR0_AVX 0x4ull
#define XCR0_MPX 0x18ull
#define XCR0_AVX512 0xe0ull
#define XCR0_AMX 0x60000ull
#define XCR0_PKRU 0x200ull
#define XCR0_KNOWN (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU)

#define XSAVE_HEADER 512

u64 fpu_mask;
u32 fpu_pointers_stay;
static u32 mxcsr_mask = 0xffbf;
u32 fpu_bytes = 576;

INIT void fpu_init(void)
{
	static u8 area[512] __attribute__((aligned(16)));
	struct cpuid c;

	asm volatile("fxsave64 %0" : "=m"(area));
	if (*(u32 *)(area + 28))
		mxcsr_mask = *(u32 *)(area + 28);
	if (!(cpuid(1, 0).ecx & (1u << 26)))
		return;
	c = cpuid(0xd, 0);
	fpu_mask = (c.eax | (u64)c.edx << 32) & XCR0_KNOWN;
	if (!(cpuid(7, 0).ecx & 0x8))
		fpu_mask &= ~XCR0_PKRU;
	xsetbv(fpu_mask);
	fpu_bytes = cpuid(0xd, 0).ebx;	/* for the components enabled now */
	xsetbv(XCR0_X87);
}

/* Some components come together or not at all. */
static int all_or_none(u64 x, u64 group)
{
	return !(x & group) || (x & group) == group;
}

/* As XSETBV checks (SDM vol. 1, 13.3). */
int fpu_xcr0_valid(u64 x, u64 allowed)
{
	if (!(x & XCR0_X87) || (x & ~allowed))
		return 0;
	if ((x & XCR0_AVX) && !(x & XCR0_SSE))
		return 0;
	if ((x & XCR0_AVX512) && !(x & XCR0_AVX))
		return 0;
	return all_or_none(x, XCR0_AVX512) && all_or_none(x, XCR0_MPX) && all_or_none(x, XCR0_AMX);
}

/*
 * The VMM's image: a header or MXCSR that XRSTOR would fault on is refused
 * (SDM vol. 1, 13.6). MXCSR beyond the machine's mask is refused too, as KVM.
 */
int fpu_set(struct vcpu *v, const u8 *image)
{
	const u64 *header = (const u64 *)(image + XSAVE_HEADER);
	u32 i;

	if (*(const u32 *)(image + 24) & ~mxcsr_mask)
		return 1;
	if (fpu_mask && header[0] & ~fpu_mask)
		return 1;
	for (i = 1; fpu_mask && i < 8; i++)
		if (header[i])
			return 1;
	memcpy(v->arch.fpu, image, fpu_bytes);
	return 0;
}
