// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * timer.c - the interrupts that belong to the user VMs: the virtual timer's and
 * the list registers' maintenance. They must be enabled on every CPU, and have an
 * owner, so that they end a guest.
 *
 * Owns: these per-CPU interrupts. Invariant: enabled on every online CPU.
 * Called by: main.c. See: arch/arm64/vgic/timer.c in the hypervisor.
 */
#include <linux/cpuhotplug.h>
#include <linux/interrupt.h>
#include <linux/of.h>
#include <linux/of_irq.h>
#include <linux/percpu.h>
#include <asm/arch_timer.h>

#include "route.h"
#include "trace.h"

/* The private interrupts that end a guest for its own sake: place in a node's interrupts, Linux's number. */
static struct guest_irq {
	const char *node;
	int index;
	const char *name;
	unsigned int irq;
} guest_irqs[] = {
	{ "arm,armv8-timer", 2, "tenon guest timer" },
	{ "arm,gic-v3", 0, "tenon guest gic" },		/* maintenance of list registers */
};

static enum cpuhp_state timer_hotplug;
static DEFINE_PER_CPU(int, timer_cookie);

/* The exit that it caused told all: nothing is left to do. */
static irqreturn_t guest_interrupt(int irq, void *cookie)
{
	return IRQ_HANDLED;
}

static int timer_online(unsigned int cpu)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(guest_irqs); i++)
		enable_percpu_irq(guest_irqs[i].irq, IRQ_TYPE_NONE);
	return 0;
}

static int timer_offline(unsigned int cpu)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(guest_irqs); i++)
		disable_percpu_irq(guest_irqs[i].irq);
	return 0;
}

static int guest_irq_request(struct guest_irq *g)
{
	struct device_node *node = of_find_compatible_node(NULL, NULL, g->node);
	int rc;

	g->irq = node ? irq_of_parse_and_map(node, g->index) : 0;
	of_node_put(node);
	if (!g->irq) {
		pr_err("the device tree names no interrupt %d of %s; not loading\n", g->index, g->node);
		return -ENODEV;
	}
	rc = request_percpu_irq(g->irq, guest_interrupt, g->name, &timer_cookie);
	if (rc)
		pr_err("the interrupt of the %s is not free (%d)\n", g->name, rc);
	return rc;
}

static void guest_irqs_free(u32 end)
{
	while (end--)
		free_percpu_irq(guest_irqs[end].irq, &timer_cookie);
}

int arch_init(void)
{
	int rc = irqfd_init();
	u32 i;

	if (rc)
		return rc;
	trace_init();
	for (i = 0; i < ARRAY_SIZE(guest_irqs); i++) {
		rc = guest_irq_request(&guest_irqs[i]);
		if (rc)
			goto no_irqs;
	}
	rc = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "tenon:timer", timer_online, timer_offline);
	if (rc < 0)
		goto no_irqs;
	timer_hotplug = rc;
	return 0;

no_irqs:
	guest_irqs_free(i);
	irqfd_exit();
	return rc;
}

void arch_exit(void)
{
	cpuhp_remove_state(timer_hotplug);
	guest_irqs_free(ARRAY_SIZE(guest_irqs));
	irqfd_exit();
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
