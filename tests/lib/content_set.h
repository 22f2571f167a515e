/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "content/codec.h"
#include "content/store.h"
#include "core/fs.h"
#include "core/mem.h"
#include "core/str.h"
#include "tests/lib/cmocka_all.h"

/* Small sets for tests of the store, and a root folder of its own for each test. */

struct world {
	char path[128];
	int root;
	struct yg_store *store; /* open, or NULL */
};

static inline bool world_open_in(struct world *w, const char *parent)
{
	assert_true(yg_str_put(w->path, sizeof(w->path), "%s/yagura-store-XXXXXX", parent));
	if (!mkdtemp(w->path))
		return false;
	w->root = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(w->root >= 0);
	return true;
}

static inline void world_open(struct world *w)
{
	/* In memory when that can be had: nobody pulls the plug here, so fsync proves nothing. */
	assert_true(world_open_in(w, "/dev/shm") || world_open_in(w, "/tmp"));
}

static inline void world_close(struct world *w)
{
	struct yg_err err = {0};
	yg_store_free(w->store);
	w->store = NULL;
	(void)close(w->root);
	assert_int_equal(yg_fs_remove(AT_FDCWD, w->path, &err), 0);
}

static int world_helping; /* above 0 while the calls are the test's own, not the store's */

static inline void world_sha(const char *text, char out[YG_SHA256_TEXT])
{
	struct yg_err err = {0};
	uint64_t size = 0;
	world_helping++;
	int fd YG_AUTO(fd) = yg_fs_memfd("plain", yg_bytes_of(text), &err);
	assert_true(fd >= 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(yg_codec_hash(fd, out, &size, &err), 0);
	world_helping--;
}

/* Component "am-pattern" in a version, with file "a.hsb" (shared by all versions), "b.hsb" and a
 * sample that differ.
 */
#define WORLD_FILES 3
static inline void world_texts(int version, char texts[WORLD_FILES][64])
{
	(void)snprintf(texts[0], 64, "the same in every version");
	(void)snprintf(texts[1], 64, "b of version %d", version);
	(void)snprintf(texts[2], 64, "sample of version %d", version);
}

static inline struct yg_set *world_set(int version)
{
	static const char *const paths[WORLD_FILES] = {"a.hsb", "b.hsb", "samples/find/s1"};
	struct yg_err err = {0};
	char texts[WORLD_FILES][64];
	struct yg_buf json YG_AUTO(yg_buf) = YG_BUF(65536);
	char zero[YG_SHA256_TEXT];
	world_sha("manifest", zero);
	world_texts(version, texts);
	assert_int_equal(
		yg_str_addf(&json, &err,
			"{\"components\":[{\"name\":\"am-pattern\",\"version\":%d,"
			"\"manifest\":\"%s\",\"family\":\"pattern\","
			"\"abi\":{\"engine\":\"clamav\",\"min\":1,\"max\":999},\"files\":[",
			version, zero),
		0);
	for (size_t i = 0; i < WORLD_FILES; i++) {
		char sha[YG_SHA256_TEXT];
		world_sha(texts[i], sha);
		assert_int_equal(yg_str_addf(&json, &err,
					 "%s{\"path\":\"%s\",\"sha256\":\"%s\",\"size\":%zu}",
					 i ? "," : "", paths[i], sha, strlen(texts[i])),
			0);
	}
	assert_int_equal(yg_str_addf(&json, &err,
				 "],\"trial\":{\"find\":[\"samples/find/s1\"],\"pass\":[]}}]}"),
		0);
	struct yg_set *set = yg_set_parse(yg_buf_bytes(&json), &err);
	if (!set)
		fail_msg("%s", err.msg);
	return set;
}

static inline int world_add(struct yg_store *store, int version, struct yg_err *err)
{
	char texts[WORLD_FILES][64];
	world_texts(version, texts);
	for (size_t i = 0; i < WORLD_FILES; i++) {
		char sha[YG_SHA256_TEXT];
		world_sha(texts[i], sha);
		if (yg_store_object_has(store, sha, strlen(texts[i])))
			continue;
		int fd YG_AUTO(fd) = yg_store_object_new(store, err);
		if (fd < 0)
			return -1;
		world_helping++; /* verify writes it */
		int rc = yg_fs_write_all(fd, texts[i], strlen(texts[i]), err);
		world_helping--;
		if (rc < 0)
			return yg_store_named(err);
		if (yg_store_object_add(store, fd, sha, strlen(texts[i]), err) < 0)
			return -1;
	}
	return 0;
}

/* A whole update, as a run does it. */
static inline int world_update(struct yg_store *store, int version, struct yg_err *err)
{
	uint32_t removed = 0;
	struct yg_set *set YG_AUTO(yg_set) = world_set(version);
	if (yg_store_snapshot(store, err) < 0 || world_add(store, version, err) < 0 ||
		yg_store_stage(store, set, err) < 0 ||
		yg_store_check(store, set->digest, err) < 0 ||
		yg_store_switch(store, set->digest, err) < 0 ||
		yg_store_drop_snapshot(store, err) < 0)
		return -1;
	return yg_store_collect(store, &removed, err);
}

static inline void world_start(struct world *w)
{
	struct yg_err err = {0};
	struct yg_store_report report = {0};
	yg_store_free(w->store);
	w->store = yg_store_open(w->root, &err);
	if (!w->store || yg_store_recover(w->store, &report, &err) < 0)
		fail_msg("%s", err.msg);
}

static inline void world_digest(int version, char out[YG_SHA256_TEXT])
{
	struct yg_set *set YG_AUTO(yg_set) = world_set(version);
	memcpy(out, set->digest, YG_SHA256_TEXT);
}

/* Which version a link leads to: 1.. , 0 for none. */
static inline int world_version(const struct world *w, enum yg_store_link link)
{
	char have[YG_SHA256_TEXT];
	char want[YG_SHA256_TEXT];
	yg_store_link(w->store, link, have);
	for (int version = 1; have[0] && version < 10; version++) {
		world_digest(version, want);
		if (strcmp(have, want) == 0)
			return version;
	}
	return 0;
}

static inline size_t world_count(const struct world *w, const char *path)
{
	char name[128];
	size_t count = 0;
	assert_true(yg_str_put(name, sizeof(name), "%s/%s", w->path, path));
	DIR *dir = opendir(name);
	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	(void)closedir(dir);
	return count;
}
