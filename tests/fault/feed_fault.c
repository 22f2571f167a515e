/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Memory runs out at each allocation of a feed's reading, of its staging and of a comparison, once: each
 * time that is an error with a message, and nothing is left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "publisher/diff_compare.h"
#include "publisher/feed/feed.h"
#include "publisher/import_stage.h"
#include "publisher/import_unpack.h"
#include "publisher/scratch.h"
#include "tests/lib/cmocka_all.h"

static long left = -1; /* allocations that still succeed; -1: all */

static bool out_of_memory(void)
{
	if (left < 0)
		return false;
	if (left > 0) {
		left--;
		return false;
	}
	errno = ENOMEM;
	return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *at, size_t size);
void *__real_reallocarray(void *at, size_t count, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *at, size_t size);
void *__wrap_reallocarray(void *at, size_t count, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
	return out_of_memory() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return out_of_memory() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *at, size_t size)
{
	return out_of_memory() ? NULL : __real_realloc(at, size);
}

void *__wrap_reallocarray(void *at, size_t count, size_t size)
{
	return out_of_memory() ? NULL : __real_reallocarray(at, count, size);
}

char *__wrap_strdup(const char *text)
{
	return out_of_memory() ? NULL : __real_strdup(text);
}

static const struct {
	const char *component, *name, *text;
} feeds[] = {
	{"am-pattern", "a.ndb", "A:0:*:41\nB:0:*:42\nA:0:*:41\n"},
	{"am-yara", "a.yar", "rule A { condition: true }\n"},
	{"am-hash", "a.txt", "d41d8cd98f00b204e9800998ecf8427e\n"},
	{"am-hash", "a.csv", "x,\"d41d8cd98f00b204e9800998ecf8427e\"\n"},
	{"wr-list", "a.csv", "1,a.example\n2,\"b.example\"\n"},
	{"ips-rules", "a.rules", "alert ip any any -> any any \\\n (sid:1; rev:1;)\n"},
	{"li-rules", "a.xml", "<rule id=\"1\" level=\"1\"/>\n"},
};

static int once(const struct scratch *scratch, size_t i, struct yg_err *err)
{
	char source[512], inbox[512], out[512];
	const char *sources[] = {source};
	assert_true(yg_str_put(source, sizeof(source), "%s/%s", scratch->path, feeds[i].name));
	assert_true(yg_str_put(inbox, sizeof(inbox), "%s/inbox", scratch->path));
	assert_true(yg_str_put(out, sizeof(out), "%s/out", scratch->path));
	struct import_unpack unpack = {.component = feeds[i].component,
		.sources = sources,
		.source_count = 1,
		.inbox = inbox};
	struct diff_compare compare YG_AUTO(diff_compare) = {.limit = 5};
	json_t *unpacked YG_AUTO(yg_json) = NULL, *staged YG_AUTO(yg_json) = NULL,
			 *differs YG_AUTO(yg_json) = NULL;
	if (import_unpack_work(&unpack, &unpacked, err) < 0)
		return -1;
	struct import_stage stage = {.component = feeds[i].component,
		.files = json_object_get(unpacked, "files"),
		.out = out};
	if (import_stage_work(&stage, &staged, err) < 0 ||
		diff_compare_add(&compare.a, feeds[i].name, source, err) < 0)
		return -1;
	return diff_compare_work(&compare, &differs, err);
}

static void memory(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(feeds); i++) {
		bool done = false;
		for (long n = 0; !done; n++) {
			struct yg_err err = {0};
			struct scratch scratch YG_AUTO(scratch) = {.dir = -1};
			assert_int_equal(scratch_open(&scratch, &err), 0);
			assert_int_equal(yg_fs_mkdirs(scratch.dir, "inbox", 0700, &err), 0);
			assert_int_equal(yg_fs_mkdirs(scratch.dir, "out", 0700, &err), 0);
			assert_int_equal(yg_fs_replace(scratch.dir, feeds[i].name,
						 yg_bytes_of(feeds[i].text), 0600, &err),
				0);
			left = n;
			int r = once(&scratch, i, &err);
			done = left > 0;
			left = -1;
			if (r < 0)
				assert_true(err.msg[0] != 0);
			if (done && r < 0)
				fail_msg("%s: %s", feeds[i].name, err.msg);
			assert_true(n < 10000);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(memory)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
