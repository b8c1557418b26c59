# SPDX-License-Identifier: BSD-2-Clause
# boot.mk - the host tests of boot/: `make -f test/host/boot.mk` from the top
# directory builds and runs them all; O= names the build directory.
O ?= build/host
BOOT_TESTS := boot_memmap boot_mbi boot_acpi boot_linux
BOOT_CFLAGS := -std=gnu11 -O1 -g -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=all \
	-iquote test/host/boot_fake -iquote kernel -iquote .

boot-tests: $(BOOT_TESTS:%=$(O)/%.passed)

$(O)/boot_acpi $(O)/boot_linux $(O)/boot_mbi: BOOT_EXTRA = boot/memmap.c

$(O)/boot_%: test/host/boot_%.c test/host/boot_test.h test/host/boot_fake/phys.h $(wildcard boot/*.[ch])
	@mkdir -p $(O)
	$(CC) $(BOOT_CFLAGS) -o $@ $< $(BOOT_EXTRA)

$(O)/boot_%.passed: $(O)/boot_%
	$<
	@touch $@

.PHONY: boot-tests
