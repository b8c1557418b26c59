/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * count.c - a plugin of QEMU's translator: how many instructions the machine has
 * executed, printed at its end. It declares what it uses of QEMU's plugin
 * interface itself, version 1 (QEMU's package has no header).
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef uint64_t plugin_id;
struct tb;
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*cb)(plugin_id id, struct tb *tb));
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct tb *tb, int op, void *at, uint64_t add);
extern void qemu_plugin_register_atexit_cb(plugin_id id, void (*cb)(plugin_id id, void *arg), void *arg);
extern size_t qemu_plugin_tb_n_insns(const struct tb *tb);
extern void qemu_plugin_outs(const char *text);
__attribute__((visibility("default"))) int qemu_plugin_version = 1;
__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);

static uint64_t count;

static void translated(plugin_id id, struct tb *tb)
{
	(void)id;
	qemu_plugin_register_vcpu_tb_exec_inline(tb, 0, &count, qemu_plugin_tb_n_insns(tb));
}

static void end(plugin_id id, void *arg)
{
	char text[64];

	(void)id;
	(void)arg;
	snprintf(text, sizeof(text), "instructions %llu\n", (unsigned long long)count);
	qemu_plugin_outs(text);
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
	(void)info;
	(void)argc;
	(void)argv;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, end, NULL);
	return 0;
}
