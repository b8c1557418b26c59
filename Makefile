# SPDX-License-Identifier: BSD-2-Clause
#
# Tenon. Everything that is made goes into build/.
#
#   make          the hypervisor (build/x86_64/tenon.elf) and the driver
#   make run      boot it in an emulator; settings are listed in scripts/run
#   make test     the quick tests; FULL=1 all of them; ONLY="id ..." some
#   make bench    instruction counts beside Linux KVM's
#   make size     trusted lines and bytes, against their gates
#   make check    style
#   make images   what `make run` boots, without booting it

ARCH ?= x86_64
KERNEL ?= $(if $(filter arm64,$(ARCH)),arm64,$(if $(filter vmx,$(BACKEND)),cloud,amd64))

ifeq ($(filter $(ARCH),x86_64 arm64),)
$(error ARCH=$(ARCH) is unknown; x86_64 and arm64 are there)
endif
CROSS := $(if $(filter arm64,$(ARCH)),aarch64-linux-gnu-)

OUT := build/$(ARCH)
ELF := $(OUT)/tenon.elf
MAKEFLAGS += --no-builtin-rules

# Names that also mean something to scripts/run reach it through the environment.
export BACKEND ACCEL ARCH KERNEL HYPERVISOR CPU EXPECT LOG FIRMWARE CPUS MEM ICOUNT HEADLESS SHARE JOB TIMEOUT CMDLINE QEMU QEMU_ARGS

all: $(if $(filter arm64,$(ARCH)),$(OUT)/tenon.img,$(ELF)) driver

# ---- the hypervisor -------------------------------------------------------

CFLAGS_x86_64 := -mcmodel=kernel -mno-red-zone -fcf-protection=none
# The last: Cortex-A53 multiplies wrongly, and computes wrong addresses by ADRP, in certain places (835769, 843419).
CFLAGS_arm64 := -mstrict-align -mno-outline-atomics -mbranch-protection=none -mfix-cortex-a53-835769
LDFLAGS_arm64 := --fix-cortex-a53-843419
CFLAGS := -std=gnu11 -O2 -g -ffreestanding -fno-pic -fno-pie $(CFLAGS_$(ARCH)) \
	-mgeneral-regs-only -fno-stack-protector \
	-fno-asynchronous-unwind-tables -ffunction-sections \
	-fdata-sections -fno-strict-aliasing -fno-omit-frame-pointer -Wall -Wextra -Wno-unused-parameter -Werror -Wundef \
	-Wmissing-prototypes -Wstrict-prototypes
CPPFLAGS := -Iarch/$(ARCH)/include -Ikernel -I. -isystem build/newlib/include
LDFLAGS := -n -static --gc-sections -z noexecstack -z max-page-size=4096 --fatal-warnings \
	-T linker/$(ARCH).ld $(LDFLAGS_$(ARCH))

# What boots an x86-64 machine lies in boot/ itself, beside the memory map that all share.
BOOT_x86_64 := boot/*.c boot/*.S
BOOT_arm64 := boot/memmap.c boot/arm64/*.[cS]
SOURCES := $(sort $(wildcard $(BOOT_$(ARCH)) kernel/*.c arch/$(ARCH)/*.[cS] \
	arch/$(ARCH)/*/*.[cS]))
OBJECTS := $(patsubst %,$(OUT)/%.o,$(basename $(SOURCES)))

LINK = $(CROSS)ld $(LDFLAGS) -Map $(OUT)/tenon.map

# Three links: without the panic's symbol table, with one of the right size, and
# with the right one.
$(ELF): $(OBJECTS) $(OUT)/libc.a linker/$(ARCH).ld scripts/symbols
	@$(LINK) -o $(OUT)/first.elf $(OBJECTS) $(OUT)/libc.a
	@scripts/symbols $(OUT)/first.elf >$(OUT)/symbols.S
	@$(CROSS)gcc -c -o $(OUT)/symbols.o $(OUT)/symbols.S
	@$(LINK) -o $(OUT)/second.elf $(OBJECTS) $(OUT)/symbols.o $(OUT)/libc.a
	@scripts/symbols $(OUT)/second.elf >$(OUT)/symbols.S
	@$(CROSS)gcc -c -o $(OUT)/symbols.o $(OUT)/symbols.S
	@$(LINK) -o $@ $(OBJECTS) $(OUT)/symbols.o $(OUT)/libc.a
	@scripts/symbols $@ | cmp -s - $(OUT)/symbols.S || { echo "$@: symbol table is off"; rm -f $@; exit 1; }
	@rm -f $(OUT)/first.elf $(OUT)/second.elf
	@echo "  LINK    $@"

$(OUT)/%.o: %.c build/newlib/unpacked Makefile
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CROSS)gcc $(CFLAGS) $(CPPFLAGS) -MMD -MP -c -o $@ $<

$(OUT)/%.o: %.S build/newlib/unpacked Makefile
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CROSS)gcc $(CFLAGS) $(CPPFLAGS) -MMD -MP -c -o $@ $<

# The boot screen's glyphs, from one of Debian's console fonts.
$(OUT)/arch/x86_64/font.o: build/font.bin
build/font.bin: scripts/font
	@mkdir -p build
	scripts/font $@

-include $(OBJECTS:.o=.d)

# arm64's loaders take a raw Image; the service VM's kernel lies behind it.
$(OUT)/tenon.img: $(ELF) build/kernel/arm64/release scripts/arm64/bundle
	@scripts/arm64/bundle $(ELF) build/kernel/arm64/vmlinuz $@
	@echo "  BUNDLE  $@"

# ---- newlib ---------------------------------------------------------------
# Its portable C string functions only: the assembly ones use vector registers,
# which belong to the guests.

NEWLIB := build/newlib/source/newlib/libc
LIBC := memchr memcmp memcpy memmove memset strchr strcmp strlcpy strlen \
	strncmp strnlen strrchr

build/newlib/unpacked:
	@rm -rf build/newlib && mkdir -p build/newlib/source build/newlib/include
	@echo "  newlib"
	@tar -xf $(lastword $(sort $(wildcard /usr/src/newlib/newlib-*.tar.xz))) -C build/newlib/source \
		--strip-components=1 --wildcards '*/newlib/libc/string' '*/newlib/libc/ctype' '*/newlib/libc/locale' '*/newlib/libc/include' '*/COPYING.NEWLIB'
	@cp -r $(NEWLIB)/include/. build/newlib/include/
	@touch build/newlib/include/newlib.h build/newlib/include/_newlib_version.h $@

$(OUT)/libc/%.o: build/newlib/unpacked
	@mkdir -p $(@D)
	@$(CROSS)gcc $(filter-out -W%,$(CFLAGS)) -fno-builtin -fno-tree-loop-distribute-patterns \
		-isystem build/newlib/include -I$(NEWLIB)/string -c -o $@ $(NEWLIB)/string/$*.c

$(OUT)/libc.a: $(LIBC:%=$(OUT)/libc/%.o)
	@rm -f $@
	@$(CROSS)ar rcs $@ $^

# ---- the driver and the service VM ----------------------------------------
# One build directory per kernel, so that both can be there. The rules name their
# targets in full: what only patterns name would not be made again when missing.

DRIVER_SOURCES := $(wildcard driver/Makefile driver/*.[ch] driver/*/*.[ch] abi/*.h abi/*/*.h)
FLAVOUR = $(if $(filter cloud,$*),cloud-amd64,amd64)

driver: build/driver/$(KERNEL)/tenon.ko

build/driver/amd64/tenon.ko build/driver/cloud/tenon.ko: build/driver/%/tenon.ko: $(DRIVER_SOURCES)
	@mkdir -p $(@D)
	@tar -cf - $(DRIVER_SOURCES) | tar -xf - -C $(@D)
	$(MAKE) --no-print-directory -C $(@D)/driver KDIR=$$(ls -dv /usr/src/linux-headers-*[0-9]-$(FLAVOUR) | tail -n 1)
	@cp $(@D)/driver/tenon.ko $@

# arm64: Debian's packages are unpacked, never installed.
build/kernel/arm64/release: scripts/arm64/fetch
	scripts/arm64/fetch
	@touch $@

build/driver/arm64/tenon.ko: $(DRIVER_SOURCES) build/kernel/arm64/release
	@mkdir -p $(@D)
	@tar -cf - $(DRIVER_SOURCES) | tar -xf - -C $(@D)
	$(MAKE) --no-print-directory -C build/kernel/arm64/headers/usr/src/linux-headers-$$(cat build/kernel/arm64/release) \
		M=$(CURDIR)/$(@D)/driver CROSS_COMPILE=$(CROSS) modules
	@cp $(@D)/driver/tenon.ko $@

build/img/arm64/initrd: build/kernel/arm64/release build/driver/arm64/tenon.ko scripts/arm64/image scripts/arm64/init $(wildcard test/kvm/arm64/*)
	$(MAKE) -C test/kvm/arm64
	scripts/arm64/image

# Debian's QEMU and a guest for it, for SHARE=.
build/img/arm64/guest: build/img/arm64/initrd scripts/arm64/guest
	scripts/arm64/guest
	@touch $@

build/kernel/amd64/release build/kernel/cloud/release: build/kernel/%/release: scripts/kernel
	scripts/kernel $*
	@touch $@

# The driver is part of the disk once it compiles; Debian's KVM needs none.
IMAGE_DRIVER = $(if $(filter kvm,$(HYPERVISOR)),,build/driver/%/tenon.ko)
build/img/amd64/initrd build/img/cloud/initrd: build/img/%/initrd: build/kernel/%/release scripts/image $(wildcard scripts/initrd/* scripts/vm/*) $(IMAGE_DRIVER)
	scripts/image $*

# What only the rows of kind "qemu" need.
build/img/extra.iso: scripts/extra scripts/qemu10 test/vm/guest $(wildcard test/vm/*.c) build/img/amd64/initrd
	scripts/extra

images: $(if $(filter kvm,$(HYPERVISOR)),,$(if $(filter arm64,$(ARCH)),$(OUT)/tenon.img,$(ELF))) build/img/$(KERNEL)/initrd

# ---- what people call -----------------------------------------------------

deps:
	@scripts/deps

# Each of these starts with the packages that are missing, in a make of its own
# because the lists above are made from what is installed.
run test bench: deps
	@$(MAKE) --no-print-directory $@-ready

run-ready: images
	@$(if $(filter arm64,$(ARCH)),scripts/arm64/run,scripts/run)

test-ready:
	@FULL=$(FULL) ONLY="$(ONLY)" test/run

bench-ready: images
	@$(if $(filter arm64,$(ARCH)),test/bench/arm64/run,test/bench/run)

size: $(ELF)
	@scripts/size

check: deps
	@scripts/check

clean:
	rm -rf build

.PHONY: all driver images deps run test bench run-ready test-ready bench-ready size check clean
.DELETE_ON_ERROR:
