# SPDX-License-Identifier: BSD-2-Clause
#
# boot.mk - the host tests of boot/, one program. Included by Makefile before
# it makes its list of programs. Each test file includes the file under test,
# to reach its inner functions, so the group's objects are its test files alone.

GROUPS += boot
boot_OBJS := boot_phys.o boot_memmap.o boot_mbi.o boot_acpi.o boot_linux.o
# phys.h is the one header that the tests replace.
boot_FLAGS := -iquote boot_fake -iquote $(ROOT)/kernel -iquote $(ROOT)
boot_phys_CFLAGS := $(boot_FLAGS)
boot_memmap_CFLAGS := $(boot_FLAGS)
boot_mbi_CFLAGS := $(boot_FLAGS)
boot_acpi_CFLAGS := $(boot_FLAGS)
boot_linux_CFLAGS := $(boot_FLAGS) -DREAL_IMAGE='"$(ROOT)/build/kernel/amd64/vmlinuz"'

# The device tree's parser, which brings a memory map of its own.
GROUPS += dtb
dtb_OBJS := dtb_tree.o
dtb_tree_CFLAGS := $(boot_FLAGS)
