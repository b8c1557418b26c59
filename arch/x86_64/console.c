/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * console.c - the first serial line (16550 at 0x3f8, 115200 8N1) and the
 * screen, VGA text or a framebuffer, while booting and for a panic.
 *
 * Polled, with a bound: a line that is not there costs little. The screen does
 * not scroll: behind its last line it begins again at the first, and the line
 * after the newest is blank. When Linux starts, both belong to the service VM.
 */
#include "boot/boot.h"
#include "log.h"
#include "cpu.h"
#include "phys.h"
#include "console.h"

#define COM1 0x3f8
#define LSR_EMPTY 0x20
#define VGA_ATTR 0x0700
#define GLYPH_WIDTH 8u
#define GLYPH_HEIGHT 16u
#define FB_MAX_BYTES (64ull << 20)

static int released;
static int serial;

static struct {
	u8 *base;	/* NULL: no screen */
	u32 pitch;	/* bytes per line of pixels or of text */
	u32 pixel;	/* bytes of a pixel; 0: VGA text */
	u32 columns, rows;
	u32 row, column;
} screen;

extern const u8 font_glyphs[95][GLYPH_HEIGHT];

INIT void console_init(void)
{
	/* Register, value. LCR (3) is said in full: some emulated UARTs start with five data bits. */
	static const u8 steps[][2] = { { 1, 0 }, { 3, 0x80 }, { 0, 1 }, { 1, 0 }, { 3, 0x03 }, { 2, 0x07 }, { 4, 0x03 }, { 7, 0x5a } };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(steps); i++)
		outb(COM1 + steps[i][0], steps[i][1]);
	serial = inb(COM1 + 7) == 0x5a;
}

static void glyph_put(u32 row, u32 column, char c)
{
	const u8 *glyph = font_glyphs[c >= 32 && c < 127 ? c - 32 : 0];
	u32 x, y, k;
	u8 *at;

	for (y = 0; y < GLYPH_HEIGHT; y++) {
		at = screen.base + (u64)(row * GLYPH_HEIGHT + y) * screen.pitch + column * GLYPH_WIDTH * screen.pixel;
		for (x = 0; x < GLYPH_WIDTH; x++)
			for (k = 0; k < screen.pixel; k++)
				*at++ = glyph[y] & (0x80 >> x) ? 0xaa : 0;
	}
}

static void cell_put(u32 row, u32 column, char c)
{
	if (screen.pixel)
		glyph_put(row, column, c);
	else
		((u16 *)(screen.base + row * screen.pitch))[column] = VGA_ATTR | (u8)c;
}

static void row_clear(u32 row)
{
	u32 i;

	for (i = 0; i < screen.columns; i++)
		cell_put(row, i, ' ');
}

static void screen_put(char c)
{
	if (c == '\n' || screen.column == screen.columns) {
		screen.column = 0;
		screen.row = (screen.row + 1) % screen.rows;
		row_clear((screen.row + 1) % screen.rows);
	}
	if (c != '\n')
		cell_put(screen.row, screen.column++, c);
}

/* What the loader set up, while the early tables know the first 4 GiB; true colour only. */
INIT void console_screen(const struct boot_framebuffer *fb)
{
	u64 bytes = (u64)fb->pitch * fb->height;
	u32 i;

	if (fb->type == FB_TEXT) {
		screen.pixel = 0;
		screen.columns = fb->width;
		screen.rows = fb->height;
		bytes = PAGE_SIZE;
	} else if (fb->type == FB_RGB && (fb->bpp == 24 || fb->bpp == 32)) {
		screen.pixel = fb->bpp / 8;
		screen.columns = fb->width / GLYPH_WIDTH;
		screen.rows = fb->height / GLYPH_HEIGHT;
	}
	if (!screen.rows || !screen.columns || bytes > FB_MAX_BYTES || fb->pa + bytes > 1ull << 32 ||
	    (u64)screen.columns * (screen.pixel ? GLYPH_WIDTH * screen.pixel : 2) > fb->pitch)
		return;
	screen.pitch = fb->pitch;
	screen.base = phys_to_virt(fb->pa);
	for (i = 0; i < screen.rows; i++)
		row_clear(i);
}

INIT u64 console_screen_bytes(const struct boot_framebuffer *fb)
{
	return !screen.base ? 0 : screen.pixel ? (u64)fb->pitch * fb->height : PAGE_SIZE;
}

static void serial_put(char c)
{
	u32 i;

	for (i = 0; i < 100000 && !(inb(COM1 + 5) & LSR_EMPTY); i++)
		cpu_relax();
	outb(COM1, (u8)c);
}

void console_write(const char *text, u64 length)
{
	for (; !released && length; length--, text++) {
		if (serial && *text == '\n')
			serial_put('\r');
		if (serial)
			serial_put(*text);
		if (screen.base)
			screen_put(*text);
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
