/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fpu.c - FP, SSE, AVX, PKRU: all extended state is switched at each change
 * between service VM and user VM, never lazily.
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

static inline void save(void *area, u64 mask)
{
	if (likely(mask))
		asm volatile("xsave64 (%0)" : : "r"(area), "a"(-1), "d"(-1) : "memory");
	else
		asm volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

static inline void restore(const void *area, u64 mask)
{
	if (likely(mask))
		asm volatile("xrstor64 (%0)" : : "r"(area), "a"(-1), "d"(-1) : "memory");
	else
		asm volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

static inline void xcr0_change(u64 from, u64 to)
{
	if (from != to)
		xsetbv(to);
}

/*
 * The service VM's XCR0 is its own affair: XSETBV does not exit there, so it
 * is read here each time. CR4.OSXSAVE is set in the hypervisor; CR0.TS and EM
 * are the hypervisor's, clear.
 */
void fpu_load(struct cpu *cpu, struct vcpu *v)
{
	u64 mask = fpu_mask;

	if (likely(mask)) {
		cpu->xcr0 = xgetbv();
		xcr0_change(cpu->xcr0, mask);
	}
	if (unlikely(cpu->xss))
		wrmsr(MSR_XSS, 0);
	save(cpu->fpu, mask);
	restore(v->arch.fpu, mask);
	if (likely(mask))
		xcr0_change(mask, v->arch.xcr0);
}

/* QEMU 7.2 does not intercept XSETBV: the guest's XCR0 is read too. */
void fpu_unload(struct cpu *cpu, struct vcpu *v)
{
	u64 mask = fpu_mask;

	if (likely(mask)) {
		v->arch.xcr0 = xgetbv();
		xcr0_change(v->arch.xcr0, mask);
	}
	save(v->arch.fpu, mask);
	restore(cpu->fpu, mask);
	if (unlikely(cpu->xss))
		wrmsr(MSR_XSS, cpu->xss);
	if (likely(mask))
		xcr0_change(mask, cpu->xcr0);
}
