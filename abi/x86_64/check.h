/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/check.h - which struct of kvm.h stands for which of <linux/kvm.h>, and
 * field for field: for the assertions of the driver and of the unit test.
 */
#ifndef ABI_X86_64_CHECK_H
#define ABI_X86_64_CHECK_H

/* X(our struct, KVM's struct): sizes equal. */
#define ABI_STRUCTS(X) \
	X(abi_regs, kvm_regs) X(abi_segment, kvm_segment) X(abi_dtable, kvm_dtable) \
	X(abi_sregs, kvm_sregs) X(abi_interrupt, kvm_interrupt) \
	X(abi_msr_entry, kvm_msr_entry) X(abi_msrs, kvm_msrs) X(abi_msr_list, kvm_msr_list) \
	X(abi_fpu, kvm_fpu) X(abi_cpuid_entry2, kvm_cpuid_entry2) X(abi_cpuid2, kvm_cpuid2) \
	X(abi_vcpu_events, kvm_vcpu_events) X(abi_debugregs, kvm_debugregs) \
	X(abi_guest_debug, kvm_guest_debug) X(abi_xsave, kvm_xsave) X(abi_xcr, kvm_xcr) X(abi_xcrs, kvm_xcrs)

/* X(our struct, KVM's struct, our field, KVM's field): offsets and sizes equal. */
#define ABI_FIELDS(X) \
	X(abi_regs, kvm_regs, rax, rax) X(abi_regs, kvm_regs, rsi, rsi) X(abi_regs, kvm_regs, rsp, rsp) \
	X(abi_regs, kvm_regs, r8, r8) X(abi_regs, kvm_regs, r15, r15) \
	X(abi_regs, kvm_regs, rip, rip) X(abi_regs, kvm_regs, rflags, rflags) \
	X(abi_segment, kvm_segment, limit, limit) X(abi_segment, kvm_segment, selector, selector) \
	X(abi_segment, kvm_segment, type, type) X(abi_segment, kvm_segment, present, present) \
	X(abi_segment, kvm_segment, dpl, dpl) X(abi_segment, kvm_segment, db, db) X(abi_segment, kvm_segment, s, s) \
	X(abi_segment, kvm_segment, l, l) X(abi_segment, kvm_segment, g, g) X(abi_segment, kvm_segment, avl, avl) \
	X(abi_segment, kvm_segment, unusable, unusable) X(abi_dtable, kvm_dtable, limit, limit) \
	X(abi_sregs, kvm_sregs, cs, cs) X(abi_sregs, kvm_sregs, ss, ss) X(abi_sregs, kvm_sregs, tr, tr) \
	X(abi_sregs, kvm_sregs, ldt, ldt) X(abi_sregs, kvm_sregs, gdt, gdt) X(abi_sregs, kvm_sregs, idt, idt) \
	X(abi_sregs, kvm_sregs, cr0, cr0) X(abi_sregs, kvm_sregs, cr8, cr8) X(abi_sregs, kvm_sregs, efer, efer) \
	X(abi_sregs, kvm_sregs, apic_base, apic_base) X(abi_sregs, kvm_sregs, interrupt_bitmap, interrupt_bitmap) \
	X(abi_interrupt, kvm_interrupt, irq, irq) \
	X(abi_msr_entry, kvm_msr_entry, index, index) X(abi_msr_entry, kvm_msr_entry, data, data) \
	X(abi_msrs, kvm_msrs, nmsrs, nmsrs) X(abi_msr_list, kvm_msr_list, nmsrs, nmsrs) \
	X(abi_fpu, kvm_fpu, fcw, fcw) X(abi_fpu, kvm_fpu, ftwx, ftwx) X(abi_fpu, kvm_fpu, last_ip, last_ip) \
	X(abi_fpu, kvm_fpu, xmm, xmm) X(abi_fpu, kvm_fpu, mxcsr, mxcsr) \
	X(abi_cpuid_entry2, kvm_cpuid_entry2, function, function) X(abi_cpuid_entry2, kvm_cpuid_entry2, index, index) \
	X(abi_cpuid_entry2, kvm_cpuid_entry2, flags, flags) X(abi_cpuid_entry2, kvm_cpuid_entry2, eax, eax) \
	X(abi_cpuid_entry2, kvm_cpuid_entry2, edx, edx) X(abi_cpuid2, kvm_cpuid2, nent, nent) \
	X(abi_vcpu_events, kvm_vcpu_events, exception, exception) X(abi_vcpu_events, kvm_vcpu_events, interrupt, interrupt) \
	X(abi_vcpu_events, kvm_vcpu_events, nmi, nmi) X(abi_vcpu_events, kvm_vcpu_events, sipi_vector, sipi_vector) \
	X(abi_vcpu_events, kvm_vcpu_events, flags, flags) X(abi_vcpu_events, kvm_vcpu_events, smi, smi) \
	X(abi_vcpu_events, kvm_vcpu_events, exception_has_payload, exception_has_payload) \
	X(abi_vcpu_events, kvm_vcpu_events, exception_payload, exception_payload) \
	X(abi_debugregs, kvm_debugregs, dr6, dr6) X(abi_debugregs, kvm_debugregs, flags, flags) \
	X(abi_guest_debug, kvm_guest_debug, control, control) X(abi_guest_debug, kvm_guest_debug, debugreg, arch.debugreg) \
	X(abi_xsave, kvm_xsave, region, region) X(abi_xcr, kvm_xcr, value, value) \
	X(abi_xcrs, kvm_xcrs, nr_xcrs, nr_xcrs) X(abi_xcrs, kvm_xcrs, flags, flags) X(abi_xcrs, kvm_xcrs, xcrs, xcrs)

#endif
