/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* A delta made and applied, with each allocation, read and write failing once: it fails whole, by what the
 * system said, and leaks nothing (under a sanitizer); and short reads and writes do no harm.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "content/delta.h"
#include "core/fs.h"
#include "crypto/hash.h"
#include "tests/lib/cmocka_all.h"

static unsigned long left; /* calls until one fails; 0: none does */
static bool shorten;       /* reads and writes do a part of what they are asked for */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
ssize_t __real_pread(int fd, void *data, size_t len, off_t at);
ssize_t __real_read(int fd, void *data, size_t len);
ssize_t __real_write(int fd, const void *data, size_t len);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
ssize_t __wrap_pread(int fd, void *data, size_t len, off_t at);
ssize_t __wrap_read(int fd, void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);

static bool fails(int error)
{
	if (left == 0 || --left > 0)
		return false;
	errno = error;
	return true;
}

static size_t part(size_t len)
{
	return shorten && len > 1 ? len / 2 : len;
}

void *__wrap_malloc(size_t size)
{
	return fails(ENOMEM) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails(ENOMEM) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails(ENOMEM) ? NULL : __real_realloc(old, size);
}

ssize_t __wrap_pread(int fd, void *data, size_t len, off_t at)
{
	return fails(EIO) ? -1 : __real_pread(fd, data, part(len), at);
}

ssize_t __wrap_read(int fd, void *data, size_t len)
{
	return fails(EIO) ? -1 : __real_read(fd, data, part(len));
}

ssize_t __wrap_write(int fd, const void *data, size_t len)
{
	return fails(ENOSPC) ? -1 : __real_write(fd, data, part(len));
}

#define SIZE 40000u

struct site {
	int old, new, delta;
	struct yg_form form;
	char sha256[YG_SHA256_TEXT];
};

/* Text that is new, so that both ways are tried; and changes. */
static void begin(struct site *site)
{
	struct yg_err err = {0};
	uint8_t *data YG_AUTO(mem) = malloc(2 * (size_t)SIZE);
	uint32_t x = 1;
	assert_non_null(data);
	for (size_t i = 0; i < SIZE; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		data[i] = (uint8_t)x;
		data[SIZE + i] = (uint8_t)(i % 50 ? x : x + 4);
		if (i < 8000)
			data[SIZE + i] = (uint8_t)("0123456789abcdef"[x >> 28]);
	}
	site->old = yg_fs_memfd("old", (struct yg_bytes){data, SIZE}, &err);
	site->new = yg_fs_memfd("new", (struct yg_bytes){data + SIZE, SIZE}, &err);
	site->delta = memfd_create("delta", MFD_CLOEXEC);
	assert_true(site->old >= 0 && site->new >= 0 && site->delta >= 0);
	assert_int_equal(yg_hash_text((struct yg_bytes){data + SIZE, SIZE}, site->sha256, &err), 0);
}

static void end(struct site *site)
{
	close(site->old);
	close(site->new);
	close(site->delta);
}

static int encode(struct site *site, struct yg_err *err)
{
	assert_int_equal(ftruncate(site->delta, 0), 0);
	assert_int_equal(lseek(site->delta, 0, SEEK_SET), 0);
	return yg_delta_encode(site->old, site->new, site->delta, SIZE, &site->form, err);
}

static int decode(struct site *site, struct yg_err *err)
{
	int out YG_AUTO(fd) = memfd_create("out", MFD_CLOEXEC);
	assert_int_equal(lseek(site->delta, 0, SEEK_SET), 0);
	return yg_delta_decode(site->old, site->delta, out, &site->form, site->sha256, SIZE, err);
}

/* Until nothing fails any more. returns how many calls there were */
static unsigned long each(struct site *site, int (*what)(struct site *site, struct yg_err *err))
{
	for (unsigned long n = 1;; n++) {
		struct yg_err err = {0};
		left = n;
		int bad = what(site, &err);
		bool hit = left == 0;
		left = 0;
		if (!hit) {
			assert_int_equal(bad, 0);
			return n;
		}
		assert_int_equal(bad, -1);
		assert_int_equal(err.code, YG_ESYSTEM);
		assert_string_not_equal(err.msg, "");
	}
}

static void made(void **state)
{
	(void)state;
	struct site site = {0};
	struct yg_err err = {0};
	begin(&site);
	assert_int_equal(encode(&site, &err), 0);
	struct yg_form form = site.form;
	assert_true(form.size > 4096 && form.size < 6000);
	assert_true(each(&site, encode) > 50);
	assert_string_equal(site.form.sha256, form.sha256);
	shorten = true;
	assert_int_equal(encode(&site, &err), 0);
	shorten = false;
	assert_string_equal(site.form.sha256, form.sha256);
	end(&site);
}

static void applied(void **state)
{
	(void)state;
	struct site site = {0};
	struct yg_err err = {0};
	begin(&site);
	assert_int_equal(encode(&site, &err), 0);
	assert_true(each(&site, decode) > 10);
	shorten = true;
	assert_int_equal(decode(&site, &err), 0);
	shorten = false;
	end(&site);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(made),
		cmocka_unit_test(applied),
	};
	return cmocka_run_group_tests_name("fault/delta", tests, NULL, NULL);
}
