/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "engine/am/am.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/mem.h"
#include "engine/engine.h"
#include "tests/lib/cmocka_all.h"

/* Content of our own: two words that mean malware here, and a rule. */
#define WORD_1    "yagura-test-sample-one"
#define WORD_2    "yagura-test-sample-two"
#define WORD_YARA "yagura-test-sample-yara"
#define NDB_1     "Yagura.Test.One:0:*:7961677572612d746573742d73616d706c652d6f6e65\n"
#define NDB_2     "Yagura.Test.Two:0:*:7961677572612d746573742d73616d706c652d74776f\n"
#define YARA      "rule yagura_yara { strings: $a = \"" WORD_YARA "\" condition: $a }\n"

struct place {
	char path[64];
	int root, set, tmp;
	void *am;
};

static void put(int dir, const char *path, const void *bytes, size_t len)
{
	struct yg_err err = {0};
	assert_int_equal(yg_fs_replace(dir, path, (struct yg_bytes){bytes, len}, 0644, &err), 0);
}

static void put_text(int dir, const char *path, const char *text)
{
	put(dir, path, text, strlen(text));
}

static int make_dir(int root, const char *name)
{
	struct yg_err err = {0};
	assert_int_equal(yg_fs_mkdirs(root, name, 0755, &err), 0);
	int fd = yg_fs_open_dir(root, name, &err);
	assert_true(fd >= 0);
	return fd;
}

static int set_up(void **state)
{
	struct yg_err err = {0};
	struct place *p = calloc(1, sizeof(*p));
	assert_non_null(p);
	(void)snprintf(p->path, sizeof(p->path), "/tmp/yagura-am-test-XXXXXX");
	assert_non_null(mkdtemp(p->path));
	p->root = yg_fs_open_dir(AT_FDCWD, p->path, &err);
	assert_true(p->root >= 0);
	p->tmp = make_dir(p->root, "tmp");
	p->set = make_dir(p->root, "set");
	put_text(p->root, "tmp/left-behind", "by a crash");
	assert_int_equal(mkdirat(p->root, "set/am-pattern", 0755), 0);
	assert_int_equal(mkdirat(p->root, "set/am-yara", 0755), 0);
	assert_int_equal(mkdirat(p->root, "set/am-pattern/samples", 0755), 0);
	put_text(p->root, "set/am-pattern/a.ndb", NDB_1);
	put_text(p->root, "set/am-yara/a.yara", YARA);
	put_text(p->root, "set/am-pattern/samples/b.ndb", NDB_2); /* is not content */
	put_text(p->root, "set/am-pattern/README", "neither is this");
	assert_int_equal(yg_am_engine.start(p->tmp, &p->am, &err), 0);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	struct yg_err err = {0};
	yg_am_engine.stop(p->am);
	(void)close(p->set);
	(void)close(p->tmp);
	(void)close(p->root);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(yg_fs_remove(AT_FDCWD, p->path, &err), 0);
	free(p);
	return 0;
}

static void load_ok(struct place *p, uint64_t signatures)
{
	struct yg_err err = {0};
	struct yg_engine_loaded loaded = {0};
	if (yg_am_engine.load(p->am, p->set, &loaded, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(loaded.signatures, signatures);
	assert_true(loaded.memory_bytes > 1 << 20);
}

static int memory_file(const void *bytes, size_t len)
{
	struct yg_err err = {0};
	int fd = yg_fs_memfd("test", (struct yg_bytes){bytes, len}, &err);
	assert_true(fd >= 0);
	return fd;
}

static void judge(struct place *p, const void *bytes, size_t len, const char *want)
{
	struct yg_finding f = {0};
	char have[300];
	int fd YG_AUTO(fd) = memory_file(bytes, len);
	yg_am_engine.judge(p->am, fd, "test", &f);
	(void)snprintf(have, sizeof(have), "%s %s%s", yg_engine_verdict_name(f.verdict),
		f.signature, yg_engine_unjudged_name(f.why));
	assert_string_equal(have, want);
}

static void judge_text(struct place *p, const char *text, const char *want)
{
	judge(p, text, strlen(text), want);
}

static int configure(struct place *p, const char *json, struct yg_err *err)
{
	json_t *config YG_AUTO(yg_json) = NULL;
	assert_int_equal(yg_json_parse(yg_bytes_of(json), 4096, &config, err), 0);
	return yg_am_engine.configure(p->am, config, err);
}

/* ---- a zip archive of stored files, as simple as it can be ---- */

struct zip {
	uint8_t bytes[8192];
	size_t len;
	uint8_t directory[2048];
	size_t directory_len;
	uint16_t count;
};

static uint32_t crc32_of(const uint8_t *bytes, size_t len)
{
	uint32_t crc = ~0u;
	for (size_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0u);
	}
	return ~crc;
}

static void le(uint8_t **at, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		*(*at)++ = (uint8_t)(i < 8 ? value >> 8 * i : 0);
}

/* source  APPNOTE.TXT 4.3.7 and 4.3.12; flags bit 0: encrypted */
static void zip_add(struct zip *zip, const char *name, const void *bytes, size_t len,
	uint16_t flags)
{
	size_t offset = zip->len;
	uint8_t *at = zip->bytes + zip->len;
	uint8_t *d = zip->directory + zip->directory_len;
	uint32_t crc = crc32_of(bytes, len);
	le(&at, 0x04034b50, 4);
	le(&d, 0x02014b50, 4);
	le(&d, 20, 2);
	for (uint8_t **p = &at;; p = &d) {
		le(p, 20, 2);
		le(p, flags, 2);
		le(p, 0, 2 + 4); /* stored; no time */
		le(p, crc, 4);
		le(p, len, 4);
		le(p, len, 4);
		le(p, strlen(name), 2);
		le(p, 0, 2);
		if (p == &d)
			break;
	}
	le(&d, 0, 2 + 2 + 2 + 4); /* comment, disk, attributes */
	le(&d, offset, 4);
	memcpy(d, name, strlen(name));
	zip->directory_len = (size_t)(d - zip->directory) + strlen(name);
	memcpy(at, name, strlen(name));
	memcpy(at + strlen(name), bytes, len);
	zip->len = (size_t)(at - zip->bytes) + strlen(name) + len;
	zip->count++;
}

static void zip_end(struct zip *zip)
{
	uint8_t *at = zip->bytes + zip->len;
	size_t offset = zip->len;
	memcpy(at, zip->directory, zip->directory_len);
	at += zip->directory_len;
	le(&at, 0x06054b50, 4);
	le(&at, 0, 4);
	le(&at, zip->count, 2);
	le(&at, zip->count, 2);
	le(&at, zip->directory_len, 4);
	le(&at, offset, 4);
	le(&at, 0, 2);
	zip->len = (size_t)(at - zip->bytes);
}

/* ---- tests ---- */

static void starts_with_an_empty_temporary_directory(void **state)
{
	struct place *p = *state;
	assert_int_equal(faccessat(p->tmp, "left-behind", F_OK, 0), -1);
}

static void judges_by_its_content(void **state)
{
	struct place *p = *state;
	judge_text(p, WORD_1, "unjudged engine"); /* nothing is loaded yet */
	load_ok(p, 2);
	judge_text(p, "before " WORD_1 " after", "malicious Yagura.Test.One");
	judge_text(p, "before " WORD_YARA " after", "malicious YARA.yagura_yara");
	judge_text(p, WORD_2, "clean "); /* its signature lies in samples/ */
	judge_text(p, "", "clean ");
	judge_text(p, "harmless", "clean ");

	struct yg_finding f = {0};
	yg_am_engine.judge(p->am, p->root, "a directory", &f);
	assert_int_equal(f.verdict, YG_UNJUDGED);
	assert_int_equal(f.why, YG_UNJUDGED_READ);
}

static void judges_what_is_in_archives(void **state)
{
	struct place *p = *state;
	struct zip inner = {0}, outer = {0}, harmless = {0}, locked = {0};
	load_ok(p, 2);
	zip_add(&inner, "a.txt", "nothing", 7, 0);
	zip_add(&inner, "b.txt", WORD_1, strlen(WORD_1), 0);
	zip_end(&inner);
	judge(p, inner.bytes, inner.len, "malicious Yagura.Test.One");
	zip_add(&outer, "inner.zip", inner.bytes, inner.len, 0);
	zip_end(&outer);
	judge(p, outer.bytes, outer.len, "malicious Yagura.Test.One");
	zip_add(&harmless, "a.txt", "nothing", 7, 0);
	zip_end(&harmless);
	judge(p, harmless.bytes, harmless.len, "clean ");
	zip_add(&locked, "a.txt", "123456789012 the rest is noise", 30, 1);
	zip_end(&locked);
	judge(p, locked.bytes, locked.len, "unjudged encrypted");
}

static void limits_leave_files_unjudged(void **state)
{
	struct place *p = *state;
	struct yg_err err = {0};
	struct zip many = {0};
	char large[3000];
	memset(large, 'x', sizeof(large));
	load_ok(p, 2);

	assert_int_equal(configure(p, "{\"max_file_bytes\":2000}", &err), 0);
	judge(p, large, sizeof(large), "unjudged too_large");
	judge(p, large, 2000, "clean ");

	for (int i = 0; i < 5; i++)
		zip_add(&many, "x.txt", large, 500, 0);
	zip_add(&many, "y.txt", WORD_1, strlen(WORD_1), 0);
	zip_end(&many);
	assert_int_equal(configure(p, "{}", &err), 0);
	judge(p, many.bytes, many.len, "malicious Yagura.Test.One");

	struct zip nested = {0};
	zip_add(&nested, "a.txt", "nothing", 7, 0);
	zip_end(&nested);
	for (int i = 0; i < 4; i++) {
		struct zip around = {0};
		zip_add(&around, "in.zip", nested.bytes, nested.len, 0);
		zip_end(&around);
		nested = around;
	}
	judge(p, nested.bytes, nested.len, "clean ");
	assert_int_equal(configure(p, "{\"max_recursion\":3}", &err), 0);
	judge(p, nested.bytes, nested.len, "unjudged limit");

	struct zip quiet = {0};
	for (int i = 0; i < 5; i++)
		zip_add(&quiet, "x.txt", large, (size_t)(500 + i), 0);
	zip_end(&quiet);
	assert_int_equal(configure(p, "{\"max_files\":3}", &err), 0);
	judge(p, quiet.bytes, quiet.len, "unjudged limit");
	assert_int_equal(configure(p, "{\"max_scan_bytes\":3000}", &err), 0);
	judge(p, quiet.bytes, quiet.len, "unjudged limit");
	/* Limits are no heuristics. */
	assert_int_equal(configure(p, "{\"max_scan_bytes\":3000,\"heuristics\":false}", &err), 0);
	judge(p, quiet.bytes, quiet.len, "unjudged limit");
	assert_int_equal(configure(p, "{}", &err), 0);
	judge(p, quiet.bytes, quiet.len, "clean ");
}

static void refuses_a_configuration_as_a_whole(void **state)
{
	static const struct {
		const char *config, *error;
		uint32_t code;
	} rows[] = {
		{"[]", "SET_CONFIG ffffd8ed: want an object, have an array", YG_ENGINE_CODE_TYPE},
		{"{\"max_file_bytes\":10,\"color\":1}",
			"SET_CONFIG ffffd8ee: 'color': no such member", YG_ENGINE_CODE_UNKNOWN},
		{"{\"max_file_bytes\":10,\"max_files\":0}",
			"SET_CONFIG ffffd8ec: max_files: want 1..1000000, have 0",
			YG_ENGINE_CODE_RANGE},
		{"{\"heuristics\":1}",
			"SET_CONFIG ffffd8ed: heuristics: want true or false, have a whole number",
			YG_ENGINE_CODE_TYPE},
		{"{\"threads\":\"2\"}",
			"SET_CONFIG ffffd8ed: threads: want a whole number, have a string",
			YG_ENGINE_CODE_TYPE},
		{"{\"max_file_bytes\":10,\"threads\":2,\"memory_max_mb\":16}", NULL,
			YG_ENGINE_CODE_MEMORY},
	};
	struct place *p = *state;
	load_ok(p, 2);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct yg_err err = {0};
		uint32_t code = 0;
		assert_int_equal(configure(p, rows[i].config, &err), -1);
		if (rows[i].error)
			assert_string_equal(err.msg, rows[i].error);
		assert_true(yg_engine_code(err.msg, "SET_CONFIG", &code));
		assert_int_equal(code, rows[i].code);
		/* max_file_bytes = 10 did not come into force */
		judge_text(p, "before " WORD_1 " after", "malicious Yagura.Test.One");
	}
	struct yg_err err = {0};
	assert_int_equal(configure(p, "{\"max_file_bytes\":10,\"threads\":5}", &err), 0);
	assert_int_equal(yg_am_threads(p->am), 5);
	judge_text(p, "before " WORD_1 " after", "unjudged too_large");
}

static void refuses_broken_content_as_a_whole(void **state)
{
	static const struct {
		const char *path, *text, *error;
	} rows[] = {
		{"set/am-pattern/b.ndb", NDB_2 "# a comment\nYagura.Broken:0:*:zz\n",
			"am-pattern: b.ndb: line 3: "},
		{"set/am-pattern/b.hsb", "123:456:Yagura.Broken\n",
			"am-pattern: b.hsb: line 1: invalid hash 123"},
		{"set/am-yara/b.yara", "rule x { condition: what }\n",
			"am-yara: b.yara: line 1: undefined identifier \"what\""},
		{"set/am-pattern/b.ldb", "Yagura.Broken;Engine:81-255\n",
			"am-pattern: b.ldb: line 1: "},
		{"set/am-pattern/b.cvd", "not a cvd", "am-pattern: b.cvd: "},
		{"set/set.json",
			"{\"components\":[{\"name\":\"am-pattern\",\"abi\":{\"engine\":\"clamav\","
			"\"min\":1,\"max\":2}}]}",
			"set.json: am-pattern: abi: made for format 1..2, this engine has "},
		{"set/set.json",
			"{\"components\":[{\"name\":\"am-pattern\",\"abi\":{\"engine\":\"x\","
			"\"min\":1,\"max\":999}}]}",
			"set.json: am-pattern: abi: want engine 'clamav', have 'x'"},
		{"set/set.json", "{}", "set.json: components: "},
	};
	struct place *p = *state;
	load_ok(p, 2);
	put_text(p->root, "set/am-pattern/a.ndb", NDB_2); /* would be good */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct yg_err err = {0};
		struct yg_engine_loaded loaded = {0};
		put_text(p->root, rows[i].path, rows[i].text);
		assert_int_equal(yg_am_engine.load(p->am, p->set, &loaded, &err), -1);
		if (strncmp(err.msg, rows[i].error, strlen(rows[i].error)) != 0)
			assert_string_equal(err.msg, rows[i].error);
		assert_int_equal(unlinkat(p->root, rows[i].path, 0), 0);
		judge_text(p, WORD_1, "malicious Yagura.Test.One");
		judge_text(p, WORD_2, "clean ");
	}
	load_ok(p, 2);
	judge_text(p, WORD_1, "clean ");
	judge_text(p, WORD_2, "malicious Yagura.Test.Two");
}

static void refuses_a_set_without_signatures(void **state)
{
	struct place *p = *state;
	struct yg_err err = {0};
	struct yg_engine_loaded loaded = {0};
	assert_int_equal(unlinkat(p->root, "set/am-pattern/a.ndb", 0), 0);
	assert_int_equal(unlinkat(p->root, "set/am-yara/a.yara", 0), 0);
	assert_int_equal(yg_am_engine.load(p->am, p->set, &loaded, &err), -1);
	assert_string_equal(err.msg, "no signatures in am-pattern, am-yara or am-hash");
	assert_int_equal(err.code, YG_EABSENT);
}

static void takes_a_set_whose_description_fits(void **state)
{
	struct place *p = *state;
	char text[300];
	(void)snprintf(text, sizeof(text),
		"{\"components\":[{\"name\":\"wr-list\"},{\"name\":\"am-hash\",\"abi\":{\"engine\":\"\"}},{\"name\":\"am-pattern\",\"abi\":{\"engine\":"
		"\"clamav\",\"min\":1,\"max\":%u}}]}",
		yg_am_engine.abi());
	put_text(p->root, "set/set.json", text);
	load_ok(p, 2);
}

int main(void)
{
#define ROW(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(starts_with_an_empty_temporary_directory),
		ROW(judges_by_its_content),
		ROW(judges_what_is_in_archives),
		ROW(limits_leave_files_unjudged),
		ROW(refuses_a_configuration_as_a_whole),
		ROW(refuses_broken_content_as_a_whole),
		ROW(refuses_a_set_without_signatures),
		ROW(takes_a_set_whose_description_fits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
