/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/ring.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/str.h"

#define TEXT_BYTES (YG_RING_BYTES - sizeof(struct head))

static const char magic[8] = {'Y', 'G', 'R', 'I', 'N', 'G', '1', '\n'};

struct head {
	char magic[8];
	_Atomic uint64_t written; /* bytes since the file was made; the last of them are there */
	uint8_t spare[48];
};

struct file {
	struct head head;
	char text[TEXT_BYTES];
};

_Static_assert(sizeof(struct file) == YG_RING_BYTES, "the ring's file has no holes");

struct yg_ring {
	struct file *file; /* mapped */
	atomic_flag busy;  /* one line at a time */
};

/* ---- making and writing ---- */

static int put_right(int fd, struct yg_err *err)
{
	struct head head = {0};
	struct stat st;
	if (fstat(fd, &st) < 0)
		return yg_fail_sys(err, errno, "reading the head");
	if (st.st_size == YG_RING_BYTES &&
		pread(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
		memcmp(head.magic, magic, sizeof(magic)) == 0)
		return 0;
	head = (struct head){0};
	memcpy(head.magic, magic, sizeof(magic));
	if (ftruncate(fd, 0) < 0)
		return yg_fail_sys(err, errno, "emptying it");
	/* A hole would be filled when a line is written, and there may be no block for it then. */
	int sys = posix_fallocate(fd, 0, YG_RING_BYTES);
	if (sys)
		return yg_fail_sys(err, sys, "taking %u bytes", YG_RING_BYTES);
	if (pwrite(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head))
		return yg_fail_sys(err, errno, "writing the head");
	return 0;
}

int yg_ring_file(int dir, const char *name, struct yg_err *err)
{
	int fd YG_AUTO(fd) = yg_fs_open_flags(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, err);
	if (fd < 0)
		return -1;
	if (put_right(fd, err) < 0)
		return yg_wrap(err, "'%s'", name);
	return yg_take_fd(fd);
}

struct yg_ring *yg_ring_map(int fd, struct yg_err *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || st.st_size != YG_RING_BYTES) {
		(void)yg_fail(err, YG_EFORMAT, "not a ring file");
		return NULL;
	}
	struct yg_ring *ring = calloc(1, sizeof(*ring));
	if (!ring) {
		(void)yg_fail_sys(err, ENOMEM, "mapping the ring");
		return NULL;
	}
	ring->file = mmap(NULL, YG_RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring->file == MAP_FAILED) {
		(void)yg_fail_sys(err, errno, "mapping the ring");
		free(ring);
		return NULL;
	}
	return ring;
}

void yg_ring_free(struct yg_ring *ring)
{
	if (!ring)
		return;
	(void)munmap(ring->file, YG_RING_BYTES);
	free(ring);
}

void yg_ring_add(struct yg_ring *ring, const char *line, size_t len)
{
	struct file *file = ring->file;
	size_t n = len > YG_RING_LINE_MAX ? YG_RING_LINE_MAX : len;
	while (atomic_flag_test_and_set_explicit(&ring->busy, memory_order_acquire))
		;
	uint64_t written = atomic_load_explicit(&file->head.written, memory_order_relaxed);
	size_t at = (size_t)(written % TEXT_BYTES);
	size_t first = n > TEXT_BYTES - at ? TEXT_BYTES - at : n;
	memcpy(file->text + at, line, first);
	memcpy(file->text, line + first, n - first);
	if (n > 0 && n < len)
		file->text[(at + n - 1) % TEXT_BYTES] = '\n';
	atomic_store_explicit(&file->head.written, written + n, memory_order_release);
	atomic_flag_clear_explicit(&ring->busy, memory_order_release);
}

/* ---- reading ---- */

static int read_written(int fd, uint64_t *out, struct yg_err *err)
{
	struct head head;
	if (pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
		memcmp(head.magic, magic, sizeof(magic)) != 0)
		return yg_fail(err, YG_EFORMAT, "not a ring file");
	*out = atomic_load_explicit(&head.written, memory_order_relaxed);
	return 0;
}

static int read_text(int fd, char *out, struct yg_err *err)
{
	for (size_t have = 0; have < TEXT_BYTES;) {
		ssize_t n = pread(fd, out + have, TEXT_BYTES - have,
			(off_t)(sizeof(struct head) + have));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return yg_fail_sys(err, errno, "reading a ring");
		if (n == 0)
			return yg_fail(err, YG_EFORMAT, "a ring file that is cut short");
		have += (size_t)n;
	}
	return 0;
}

/* A process that went wrong may have left anything. */
static void tame_line(char *text, size_t len)
{
	bool utf8 = yg_str_utf8_ok(text, len);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8))
			text[i] = '?';
		else if (i + 1 < len && yg_str_is_c1(text + i))
			text[i] = text[i + 1] = '?';
	}
}

static void tame(char *text, size_t len)
{
	for (size_t at = 0; at < len;) {
		const char *end = memchr(text + at, '\n', len - at);
		size_t line = end ? (size_t)(end - text) - at : len - at;
		tame_line(text + at, line);
		at += line + 1;
	}
}

int yg_ring_read(int fd, struct yg_buf *out, struct yg_err *err)
{
	uint64_t before = 0, after = 0;
	char *raw YG_AUTO(mem) = malloc(TEXT_BYTES);
	char *text YG_AUTO(mem) = malloc(TEXT_BYTES);
	if (!raw || !text)
		return yg_fail_sys(err, ENOMEM, "reading a ring");
	if (read_written(fd, &before, err) < 0 || read_text(fd, raw, err) < 0 ||
		read_written(fd, &after, err) < 0)
		return -1;
	/* Where a line was being written meanwhile, or half of one was when its process ended. */
	uint64_t from = 0;
	if (after + YG_RING_LINE_MAX > TEXT_BYTES)
		from = after + YG_RING_LINE_MAX - TEXT_BYTES;
	if (from >= before || before - from > TEXT_BYTES)
		return 0;
	size_t len = (size_t)(before - from);
	size_t at = (size_t)(from % TEXT_BYTES);
	size_t first = len > TEXT_BYTES - at ? TEXT_BYTES - at : len;
	memcpy(text, raw + at, first);
	memcpy(text + first, raw, len - first);
	size_t skip = 0;
	if (from > 0) {
		const char *line = memchr(text, '\n', len);
		skip = line ? (size_t)(line + 1 - text) : len;
	}
	tame(text + skip, len - skip);
	return yg_buf_add(out, text + skip, len - skip, err);
}

static int is_ring(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);
	return len > strlen(YG_RING_SUFFIX) && entry->d_name[0] != '.' &&
		strcmp(entry->d_name + len - strlen(YG_RING_SUFFIX), YG_RING_SUFFIX) == 0;
}

static void read_one(int dir, char *name, struct yg_buf *text,
	void (*each)(void *ctx, const char *name, struct yg_bytes text), void *ctx)
{
	struct yg_err ignored = {0}; /* one that cannot be read says nothing about the others */
	int fd YG_AUTO(fd) = yg_fs_open(dir, name, &ignored);
	text->len = 0;
	if (fd < 0 || yg_ring_read(fd, text, &ignored) < 0 || yg_buf_add(text, "", 1, &ignored) < 0)
		return;
	name[strlen(name) - strlen(YG_RING_SUFFIX)] = 0;
	each(ctx, name, (struct yg_bytes){text->data, text->len - 1});
}

int yg_ring_all(int dir, void (*each)(void *ctx, const char *name, struct yg_bytes text), void *ctx,
	struct yg_err *err)
{
	struct dirent **list = NULL;
	int count = scandirat(dir, ".", &list, is_ring, alphasort);
	if (count < 0)
		return yg_fail_sys(err, errno, "reading the folder of rings");
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_RING_BYTES + 1);
	for (int i = 0; i < count; i++) {
		read_one(dir, list[i]->d_name, &text, each, ctx);
		free(list[i]);
	}
	free(list);
	return 0;
}
