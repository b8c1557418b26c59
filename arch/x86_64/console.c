/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * console.c - the first serial line (16550 at 0x3f8, 115200 8N1) and the VGA
 * text screen, while booting and for a panic.
 *
 * Polled, with a bound: a line that is not there costs little. When Linux
 * starts, both belong to the service VM.
 */
#include "log.h"
#include "cpu.h"
#include "phys.h"
#include "console.h"

#define COM1 0x3f8
#define LSR_EMPTY 0x20
#define VGA_COLUMNS 80u
#define VGA_ROWS 25u
#define VGA_ATTR 0x0700

static int released;
static int serial;
static u16 *vga;
static u32 vga_row, vga_column;

INIT void console_init(void)
{
	/* LCR is said in full: some emulated UARTs start with five data bits. */
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 0x80);
	outb(COM1 + 0, 1);
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 0x03);
	outb(COM1 + 2, 0x07);
	outb(COM1 + 4, 0x03);
	outb(COM1 + 7, 0x5a);
	serial = inb(COM1 + 7) == 0x5a;
}

INIT void console_text(u64 pa)
{
	u32 i;

	vga = phys_to_virt(pa);
	for (i = 0; i < VGA_COLUMNS * VGA_ROWS; i++)
		vga[i] = VGA_ATTR | ' ';
}

static void serial_put(char c)
{
	u32 i;

	for (i = 0; i < 100000 && !(inb(COM1 + 5) & LSR_EMPTY); i++)
		cpu_relax();
	outb(COM1, (u8)c);
}

static void vga_scroll(void)
{
	u32 i;

	for (i = 0; i < VGA_COLUMNS * (VGA_ROWS - 1); i++)
		vga[i] = vga[i + VGA_COLUMNS];
	for (; i < VGA_COLUMNS * VGA_ROWS; i++)
		vga[i] = VGA_ATTR | ' ';
	vga_row = VGA_ROWS - 1;
}

static void vga_put(char c)
{
	if (c == '\n' || vga_column == VGA_COLUMNS) {
		vga_column = 0;
		if (++vga_row == VGA_ROWS)
			vga_scroll();
	}
	if (c != '\n')
		vga[vga_row * VGA_COLUMNS + vga_column++] = VGA_ATTR | (u8)c;
}

void console_write(const char *text, u64 length)
{
	for (; !released && length; length--, text++) {
		if (serial && *text == '\n')
			serial_put('\r');
		if (serial)
			serial_put(*text);
		if (vga)
			vga_put(*text);
	}
}

void console_release(void)
{
	released = 1;
}

void console_take(void)
{
	released = 0;
}
