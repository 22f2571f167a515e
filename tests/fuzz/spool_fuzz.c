/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* A spool's file as a power cut or a stranger left it: it opens, and what is in it can be read,
 * added to and acknowledged. Each line of the input without its checksum: the target puts that
 * before it, unless the line begins with '!'.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/spool.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *folder;

static uint32_t crc32_of(const uint8_t *at, size_t len)
{
	uint32_t crc = ~0u;
	for (; len > 0; at++, len--) {
		crc ^= *at;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

static void remove_folder(void)
{
	struct yg_err err = {0};
	(void)!yg_fs_remove(AT_FDCWD, folder, &err);
}

static void begin(void)
{
	static char path[] = "/dev/shm/yagura-spool-fuzz-XXXXXX"; /* nothing waits for a disk */
	yg_log_init("spool_fuzz", YG_LOG_ERROR);
	folder = mkdtemp(path);
	assert(folder);
	(void)atexit(remove_folder);
}

static void put(int dir, const uint8_t *data, size_t size)
{
	int fd = openat(dir, "spool", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert(fd >= 0);
	while (size > 0) {
		const uint8_t *end = memchr(data, '\n', size);
		size_t len = end ? (size_t)(end - data) + 1 : size;
		size_t text = end ? len - 1 : len;
		if (data[0] == '!')
			(void)!write(fd, data + 1, len - 1);
		else
			(void)!dprintf(fd, "%08x %.*s%s", crc32_of(data, text), (int)text,
				(const char *)data, end ? "\n" : "");
		data += len;
		size -= len;
	}
	(void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yg_err err = {0};
	if (!folder)
		begin();
	int dir = yg_fs_open_dir(AT_FDCWD, folder, &err);
	assert(dir >= 0);
	put(dir, data, size);
	const struct spool_limits limits = {.bytes = 4096, .entries = 16};
	struct spool *spool = spool_open(dir, &limits, &err);
	assert(spool && strlen(spool_epoch(spool)) == SPOOL_EPOCH_TEXT - 1);
	size_t before = spool_count(spool);
	json_t *batch = NULL;
	err = (struct yg_err){0};
	if (spool_batch(spool, 8, 4096, &batch, &err) == 0) {
		assert(json_array_size(batch) <= before);
		int64_t last = json_integer_value(
			json_object_get(json_array_get(batch, json_array_size(batch) - 1), "seq"));
		if (last > 0)
			assert(spool_ack(spool, (uint64_t)last, &err) == 0);
	}
	json_decref(batch);
	err = (struct yg_err){0};
	if (spool_add(spool, json_pack("{s:s,s:i,s:{}}", "kind", "event", "id", 1001, "params"),
		    &err) < 0)
		assert(err.code != YG_OK && err.msg[0] != '\0');
	size_t count = spool_count(spool);
	spool_free(spool);
	/* What was there is there again; what was acknowledged may be. */
	err = (struct yg_err){0};
	spool = spool_open(dir, &limits, &err);
	assert(spool && spool_count(spool) >= count);
	spool_free(spool);
	(void)close(dir);
	return 0;
}
