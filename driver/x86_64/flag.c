// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * flag.c - the word "svm" or "vmx" in /proc/cpuinfo: people's tools look there
 * for a machine that can run KVM's guests (virt-host-validate among them), and
 * with this driver it can.
 *
 * Owns: that bit of each CPU's cpuinfo while the driver is loaded. Invariant:
 * boot_cpu_data, which the kernel itself asks, never has it, so Debian's own KVM
 * modules go on refusing.
 * Called by: ioctl.c's arch_init(). Concurrency: CPU hotplug's.
 */
#include <linux/cpuhotplug.h>
#include <asm/processor.h>

#include "tenon.h"

static enum cpuhp_state flag_state;

/* A CPU that comes on line gets its cpuinfo anew. */
static int flag_show(unsigned int cpu)
{
	set_cpu_cap(&cpu_data(cpu), arch_is_amd() ? X86_FEATURE_SVM : X86_FEATURE_VMX);
	return 0;
}

static int flag_hide(unsigned int cpu)
{
	struct cpuinfo_x86 *c = &cpu_data(cpu);

	/* Not clear_cpu_cap(), which would clear it for the kernel and for good. */
	clear_bit(arch_is_amd() ? X86_FEATURE_SVM : X86_FEATURE_VMX, (unsigned long *)c->x86_capability);
	return 0;
}

/* Without it the driver works all the same. */
void flag_init(void)
{
	int state = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "tenon:flag", flag_show, flag_hide);

	flag_state = state > 0 ? state : 0;
}

void flag_exit(void)
{
	if (flag_state)
		cpuhp_remove_state(flag_state);
}
