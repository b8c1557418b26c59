/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * next_kernel.c - starts another kernel in this one's place (kexec), with all
 * processes still there. For test/vm/kexec.
 *
 * usage: next_kernel KERNEL INITRD COMMAND-LINE
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int kernel, initrd;

	if (argc != 4)
		return 2;
	kernel = open(argv[1], O_RDONLY);
	initrd = open(argv[2], O_RDONLY);
	if (syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[3]) + 1, argv[3], 0)) {
		printf("next_kernel: cannot load %s, %s: %s\n", argv[1], argv[2], strerror(errno));
		return 1;
	}
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
	printf("next_kernel: %s\n", strerror(errno));
	return 1;
}
