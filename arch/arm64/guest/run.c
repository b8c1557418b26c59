/* SPDX-License-Identifier: BSD-2-Clause */
/* run.c - KVM_RUN. No user VMs yet: creating a vCPU is refused. */
#include "vcpu_arch.h"
#include "vm.h"
#include "machine.h"
#include "errno.h"

int machine_vcpu_init(struct vcpu *v)
{
	(void)v;
	return -ENOSYS;
}

int machine_vcpu_run(struct cpu *cpu, struct vcpu *v)
{
	(void)cpu;
	(void)v;
	return -ENOSYS;
}
