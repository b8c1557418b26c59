/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmx_setup.c - what the VMX backend says of a machine that lacks something:
 * arch/x86_64/vmx/setup.c with capability MSRs that a table sets. Bochs has no
 * machine whose firmware has locked VT-x off.
 *
 * Invariant: a register that the machine has not got is never read (#GP there).
 */
#include <string.h>
#include "check.h"
#define rdmsr cpu_rdmsr
#include "cpu.h"
#undef rdmsr

static u64 rdmsr(u32 msr);
#include "arch/x86_64/vmx/setup.c"

/* ---- the machine: FIRST to LAST of the capability registers, and FEATURE_CONTROL */

#define FIRST 0x480u
#define LAST 0x491u
#define ALL 0xffffffffull << 32		/* any bit may be set, none must */

static u64 capability[LAST - FIRST + 1], feature_control;

static u64 rdmsr(u32 msr)
{
	if (msr == MSR_FEATURE_CONTROL)
		return feature_control;
	if (msr < FIRST || msr > LAST || (msr >= MSR_VMX_TRUE_PIN && !(capability[0] & BASIC_TRUE_CONTROLS)))
		test_fail(__FILE__, __LINE__, "MSR %#x is read, which this machine has not got", msr);
	return msr >= FIRST && msr <= LAST ? capability[msr - FIRST] : 0;
}

/* One that has everything; firmware has locked VT-x on. */
static void machine_whole(void)
{
	u32 i;

	feature_control = FEATURE_LOCKED | FEATURE_VMX;
	for (i = 0; i < COUNT(capability); i++)
		capability[i] = ALL;
	capability[0] = BASIC_TRUE_CONTROLS;
	capability[MSR_VMX_EPT_VPID - FIRST] = EPT_VPID_NEEDED;
	capability[MSR_VMX_MISC - FIRST] = MISC_WAIT_SIPI;
}

static const struct lack {
	const char *what;
	u32 msr;
	u64 value;
	const char *says;	/* NULL: it starts */
} lacks[] = {
	{ "nothing", 0, 0, NULL },
	{ "firmware's lock, which we set", MSR_FEATURE_CONTROL, 0, NULL },
	{ "firmware's lock, VT-x on", MSR_FEATURE_CONTROL, 4, NULL },
	{ "VT-x: locked off", MSR_FEATURE_CONTROL, 1, "switch on \"Intel Virtualization Technology\"" },
	{ "VT-x outside SMX", MSR_FEATURE_CONTROL, 3, "switch on \"Intel Virtualization Technology\"" },
	{ "the true controls", MSR_VMX_BASIC, 0, "EPT" },
	{ "secondary controls", MSR_VMX_TRUE_PROC, ALL & ~((u64)PROC_SECONDARY << 32), "EPT" },
	{ "EPT", MSR_VMX_PROC2, ALL & ~((u64)PROC2_EPT << 32), "no extended page tables (EPT)" },
	{ "unrestricted guest", MSR_VMX_PROC2, ALL & ~((u64)PROC2_UNRESTRICTED << 32), "no \"unrestricted guest\"" },
	{ "VPIDs", MSR_VMX_PROC2, ALL & ~((u64)PROC2_VPID << 32), "no VPIDs" },
	{ "2 MiB pages in EPT", MSR_VMX_EPT_VPID, EPT_VPID_NEEDED & ~(1ull << 16), "a part of EPT and VPID" },
	{ "write-back tables", MSR_VMX_EPT_VPID, EPT_VPID_NEEDED & ~(1ull << 14), "a part of EPT and VPID" },
	{ "INVEPT of one", MSR_VMX_EPT_VPID, EPT_VPID_NEEDED & ~(1ull << 25), "a part of EPT and VPID" },
	{ "INVVPID of all", MSR_VMX_EPT_VPID, EPT_VPID_NEEDED & ~(1ull << 42), "a part of EPT and VPID" },
	{ "the state wait-for-SIPI", MSR_VMX_MISC, ~MISC_WAIT_SIPI, "start-up IPIs" },
	{ "virtual NMIs", MSR_VMX_TRUE_PIN, ALL & ~((u64)PIN_VIRTUAL_NMI << 32), "lacks a control" },
	{ "the TPR shadow", MSR_VMX_TRUE_PROC, ALL & ~((u64)PROC_TPR_SHADOW << 32), "lacks a control" },
	{ "loading of EFER", MSR_VMX_TRUE_ENTRY, ALL & ~((u64)ENTRY_LOAD_EFER << 32), "lacks a control" },
	{ "saving of PAT", MSR_VMX_TRUE_EXIT, ALL & ~((u64)EXIT_SAVE_PAT << 32), "lacks a control" },
	{ "the preemption timer, which is not needed", MSR_VMX_TRUE_PIN, ALL & ~((u64)PIN_TIMER << 32), NULL },
};

TEST(vmx_says_what_is_missing)
{
	const struct lack *l;
	const char *says;

	for (l = lacks; l < lacks + COUNT(lacks); l++) {
		machine_whole();
		if (l->msr == MSR_FEATURE_CONTROL)
			feature_control = l->value;
		else if (l->msr)
			capability[l->msr - FIRST] = l->value;
		says = vmx_backend.missing();
		if (l->says ? !says || !strstr(says, l->says) : !!says)
			test_fail(__FILE__, __LINE__, "without %s: %s", l->what, says ? says : "(nothing)");
	}
}

/* Bits that must be 1 are; nothing is set that the machine does not allow. */
TEST(vmx_controls_are_allowed)
{
	const struct control *c;
	u32 must = 0x16;	/* as every machine's default1 bits of the pin controls */

	machine_whole();
	capability[MSR_VMX_TRUE_PIN - FIRST] = (0x7full << 32) | must;
	capability[MSR_VMX_PROC2 - FIRST] = (u64)PROC2_NEEDED << 32;
	CHECK(!vmx_backend.missing());
	CHECK_EQ(vmx_service_controls.pin & must, must);
	CHECK_EQ(vmx_guest_controls.pin & must, must);
	CHECK_EQ(vmx_guest_controls.proc2, PROC2_NEEDED);
	CHECK_EQ(vmx_service_controls.proc2, PROC2_NEEDED);
	for (c = controls; c < controls + COUNT(controls); c++)
		CHECK(!(*c->value & ~(u32)(rdmsr(c->msr) >> 32) & ~must));
}
