// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * timer.c - the virtual timer's interrupt. CNTV is the user VMs'; its interrupt
 * must be enabled on every CPU, and have an owner, so that it ends a guest.
 *
 * Owns: the per-CPU interrupt. Invariant: enabled on every online CPU.
 * Called by: main.c. See: arch/arm64/vgic/timer.c in the hypervisor.
 */
#include <linux/cpuhotplug.h>
#include <linux/interrupt.h>
#include <linux/of.h>
#include <linux/of_irq.h>
#include <linux/percpu.h>
#include <asm/arch_timer.h>

#include "tenon.h"

#define TIMER_VIRT_INDEX 2	/* in the timer node's interrupts */

static unsigned int timer_irq;
static enum cpuhp_state timer_hotplug;
static DEFINE_PER_CPU(int, timer_cookie);

/* Guests are told of their timers' level at each exit: nothing is left to do. */
static irqreturn_t timer_interrupt(int irq, void *cookie)
{
	return IRQ_HANDLED;
}

static int timer_online(unsigned int cpu)
{
	enable_percpu_irq(timer_irq, IRQ_TYPE_NONE);
	return 0;
}

static int timer_offline(unsigned int cpu)
{
	disable_percpu_irq(timer_irq);
	return 0;
}

int arch_init(void)
{
	struct device_node *node = of_find_compatible_node(NULL, NULL, "arm,armv8-timer");
	int rc;

	timer_irq = node ? irq_of_parse_and_map(node, TIMER_VIRT_INDEX) : 0;
	of_node_put(node);
	if (!timer_irq) {
		pr_err("the device tree names no virtual timer interrupt; not loading\n");
		return -ENODEV;
	}
	rc = request_percpu_irq(timer_irq, timer_interrupt, "tenon guest timer", &timer_cookie);
	if (rc) {
		pr_err("the virtual timer's interrupt is not free (%d)\n", rc);
		return rc;
	}
	rc = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "tenon:timer", timer_online, timer_offline);
	if (rc < 0) {
		free_percpu_irq(timer_irq, &timer_cookie);
		return rc;
	}
	timer_hotplug = rc;
	return 0;
}

void arch_exit(void)
{
	cpuhp_remove_state(timer_hotplug);
	free_percpu_irq(timer_irq, &timer_cookie);
}

ktime_t timer_delay(u64 deadline)
{
	u64 now, frequency = read_sysreg(cntfrq_el0);

	isb();
	now = read_sysreg(cntpct_el0);
	if (deadline <= now)
		return 0;
	/* As far as a ktime reaches: nobody waits longer. */
	return min_t(u64, mul_u64_u64_div_u64(deadline - now, NSEC_PER_SEC, frequency), KTIME_MAX / 2);
}
