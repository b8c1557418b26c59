// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * kexec.c - what is to be done before another kernel starts in this one's place:
 * that one takes all memory for its own, and starts all CPUs anew.
 *
 * Invariant: nothing of Linux's memory is donated any more, and each CPU but the
 * last is off line in the orderly way, from where it can be started.
 * Called by: Linux, with VMMs still there; what they ask for fails from now on.
 * See: kernel_kexec() of Linux; docs/boot.md.
 */
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/reboot.h>

#include "counters.h"
#include "tenon.h"

bool kexec_begun;

#define END_TRIES 100	/* of 10 ms */

/* No vCPU runs: this is the only CPU. The struct stays, as its VMM does. */
static void end_vm(struct vm *vm)
{
	ring_call(OPX_OP_VM_DESTROY, vm->handle, 0, NULL, 0, NULL);
}

/* Pages of Linux's that VMs hold. */
static u64 donated(void)
{
	struct mem_stats s = {};

	ring_call(OPX_OP_MEM_STATS, 0, 0, NULL, 0, &s);
	return s.donated_pages;
}

static int on_reboot(struct notifier_block *block, unsigned long action, void *command)
{
	unsigned int cpu;
	int rc, tries;

	/* kernel_kexec()'s; its kexec_in_progress is not exported. */
	if (action != SYS_RESTART || !command || strcmp(command, "kexec reboot"))
		return NOTIFY_DONE;
	WRITE_ONCE(kexec_begun, true);
	for_each_present_cpu(cpu) {
		if (cpu == cpumask_first(cpu_online_mask) || !cpu_online(cpu))
			continue;
		rc = remove_cpu(cpu);
		if (rc)
			pr_err("CPU %u does not go off line (%d); the next kernel may not get it\n", cpu, rc);
	}
	/* One whose VMM was about to end it may take a moment. */
	for (tries = 0; tries < END_TRIES && donated(); tries++) {
		counters_each_vm(end_vm);
		msleep(10);
	}
	if (donated())
		pr_err("VMs keep %llu pages: the next kernel will not survive a touch of them\n", donated());
	return NOTIFY_DONE;
}

static struct notifier_block reboot_block = { .notifier_call = on_reboot };

void kexec_watch(void)
{
	/* Cannot fail. */
	register_reboot_notifier(&reboot_block);
}

void kexec_unwatch(void)
{
	unregister_reboot_notifier(&reboot_block);
}
