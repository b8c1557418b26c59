/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hypercall.h - how the service VM finds Tenon and calls it.
 *
 * Owns: the CPUID signature, the ABI version, the hypercall numbers and their
 * registers. Only ring 0 of the service VM may call; anybody else gets #UD.
 * Everything but these few calls goes through the ring (ring.h).
 */
#ifndef ABI_HYPERCALL_H
#define ABI_HYPERCALL_H

/*
 * CPUID leaf ABI_CPUID_BASE in the service VM: EAX = ABI_CPUID_BASE + 1,
 * EBX, ECX, EDX = the twelve bytes "TenonMicroHV".
 * Leaf ABI_CPUID_BASE + 1: EAX = ABI_VERSION, EBX = ABI_FEATURE_*, ECX = 0, EDX = 0.
 * The leaf answers whatever CPUID.1:ECX[31] says: Tenon leaves that bit as the
 * hardware has it.
 */
#define ABI_CPUID_BASE 0x40000000u
#define ABI_SIGNATURE "TenonMicroHV"

/* A driver refuses to load unless the hypervisor's version equals its own. */
#define ABI_VERSION 4u
#define ABI_FEATURE_TSC_RATIO 1u	/* x86: STATE_TSC_RATIO may be other than 0 */
#define ABI_FEATURE_LOG 2u		/* x86: the processor logs a guest's writes: VCPU_LOG, MAP_LOG */
#define ABI_FEATURE_DEADLINE 4u		/* x86: the processor ends a stay in a guest at exit_resume.deadline */

/*
 * x86: VMMCALL on AMD's processors, VMCALL on Intel's, with RAX = number, RDI = first argument; RAX = result (0 or
 * more, or -errno). All other registers are kept.
 */
#define HC_VERSION 0u		/* returns ABI_VERSION; also the null call that the bench times */
#define HC_RING_REGISTER 1u	/* RDI = physical address of this CPU's struct ring, 0 = none */
#define HC_DOORBELL 2u		/* serve this CPU's ring until complete == submit; returns 0 */
#define HC_RUN 3u		/* RDI = vCPU handle: KVM_RUN without the ring, the hot path. 0, -ENOENT, -EBUSY */
/*
 * RDI = vCPU handle: makes it this CPU's, as every operation on a vCPU does. It stays so until the CPU gets another one, or
 * none (0); for other CPUs it is busy, its VM's end included. 0, -ENOENT, -EBUSY.
 */
#define HC_BIND 4u
#define HC_COUNT 5u

#endif
