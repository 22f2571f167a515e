/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "core/attr.h"
#include "core/str.h"
#include "tests/lib/cmocka_all.h"

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B64 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C64 "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define HEAD                                                                                       \
	"\"format\":1,\"component\":\"am-pattern\",\"family\":\"pattern\",\"version\":2,"          \
	"\"released\":\"2026-11-21T22:47:43Z\""
#define FORM  "{\"encoding\":\"zstd\",\"sha256\":\"" B64 "\",\"size\":4}"
#define DELTA "{\"encoding\":\"delta\",\"from\":\"" C64 "\",\"sha256\":\"" A64 "\",\"size\":2}"
#define ENTRY(path, forms)                                                                         \
	"{\"path\":\"" path "\",\"sha256\":\"" A64 "\",\"size\":9,\"forms\":[" forms "]}"
#define WITH(files) "{" HEAD ",\"files\":[" files "]}"

static const char whole[] =
	"{\"abi\":{\"engine\":\"clamav\",\"max\":999,\"min\":150},\"component\":\"am-pattern\","
	"\"description\":\"a day\",\"family\":\"pattern\",\"files\":[{\"forms\":[" FORM
	"],\"path\":\"daily.hsb\",\"sha256\":\"" A64 "\",\"size\":9},{\"forms\":["
	"{\"encoding\":\"plain\",\"sha256\":\"" A64 "\",\"size\":9}],\"path\":\"samples/find/one\","
	"\"sha256\":\"" A64 "\",\"size\":9}],\"format\":1,\"released\":\"2026-11-21T22:47:43Z\","
	"\"trial\":{\"find\":[\"samples/find/one\"],\"pass\":[]},\"version\":2}";

static void round_trip(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(8192);
	struct yg_manifest *manifest YG_AUTO(
		yg_manifest) = yg_manifest_parse(yg_bytes_of(whole), &err);
	assert_non_null(manifest);
	assert_string_equal(manifest->component, "am-pattern");
	assert_int_equal(manifest->version, 2);
	assert_int_equal(manifest->abi.min, 150);
	assert_string_equal(manifest->description, "a day");
	assert_int_equal(manifest->file_count, 2);
	assert_int_equal(manifest->find_count, 1);
	assert_int_equal(manifest->pass_count, 0);
	assert_non_null(yg_manifest_file(manifest, "daily.hsb"));
	assert_null(yg_manifest_file(manifest, "daily.hsc"));
	assert_int_equal(yg_manifest_format(manifest, &out, &err), 0);
	assert_int_equal(out.len, strlen(whole));
	assert_memory_equal(out.data, whole, out.len);
	char path[YG_OBJECT_PATH];
	yg_form_path(yg_file_form(&manifest->files[0]), path);
	assert_string_equal(path, "objects/bb/" B64);
}

static const struct {
	const char *text, *error; /* NULL: accepted */
} rows[] = {
	{WITH(""), NULL},
	{WITH(ENTRY("a", FORM)), NULL},
	{WITH(ENTRY("a", FORM) "," ENTRY("b/a", FORM)), NULL},
	{WITH(ENTRY("a", "{\"encoding\":\"braid\"}," FORM)), NULL},
	{WITH(ENTRY("a", DELTA "," FORM)), NULL},
	{WITH(ENTRY("a", DELTA)),
		"files: 1: 'a': forms: want one that gives the whole file and that we can decode"},
	{WITH(ENTRY("a", "{\"encoding\":\"delta\",\"sha256\":\"" A64 "\",\"size\":2}," FORM)),
		"files: 1: 'a': forms: 1: from: want a string, have nothing"},
	{WITH(ENTRY("1/2/3/4/5/6/7/8", FORM)), NULL},
	{"{" HEAD ",\"files\":[],\"x-new\":{}}", NULL},
	{"", "JSON: "},
	{"7", "want an object, have a whole number"},
	{"{}", "format: want a whole number, have nothing"},
	{"{\"format\":2}", "format: want 1, have 2: a newer Yagura reads it"},
	{"{" HEAD "}", "files: want an array, have nothing"},
	{"{\"format\":1,\"released\":\"yesterday\"}", "released: "},
	{"{\"format\":1,\"released\":\"2026-11-21T22:47:43Z\",\"component\":\"../x\"}",
		"component: want 1..64 of a-z 0-9 . _ - and no leading dot, have '../x'"},
	{"{\"format\":1,\"released\":\"2026-11-21T22:47:43Z\",\"component\":\"x\",\"version\":0}",
		"version: want 1..9223372036854775807, have 0"},
	{"{\"format\":1,\"released\":\"2026-11-21T22:47:43Z\",\"component\":\"x\",\"version\":1,"
	 "\"family\":\"game\"}",
		"family: want 'pattern' or 'rule', have 'game'"},
	{"{" HEAD ",\"files\":[],\"abi\":{\"engine\":\"clamav\",\"min\":5,\"max\":4}}",
		"abi: max: want 5..9223372036854775807, have 4"},
	{WITH("1"), "files: 1: want an object, have a whole number"},
	{WITH("{}"), "files: 1: path: want a string, have nothing"},
	{WITH(ENTRY("../a", FORM)), "files: 1: path: want a relative path of <= 200 bytes of "},
	{WITH(ENTRY("/a", FORM)), "files: 1: path: want a relative path of <= 200 bytes of "},
	{WITH(ENTRY(".a", FORM)), "files: 1: path: want a relative path of <= 200 bytes of "},
	{WITH(ENTRY("a//b", FORM)), "files: 1: path: want a relative path of <= 200 bytes of "},
	{WITH(ENTRY("a b", FORM)), "files: 1: path: want a relative path of <= 200 bytes of "},
	{WITH("{\"path\":\"a\",\"sha256\":\"AA\",\"size\":9}"),
		"files: 1: 'a': sha256: want 64 digits, have 2"},
	{WITH("{\"path\":\"a\",\"sha256\":\"" A64 "\",\"size\":-1}"),
		"files: 1: 'a': size: want 0..4294967296, have -1"},
	{WITH("{\"path\":\"a\",\"sha256\":\"" A64 "\",\"size\":9}"),
		"files: 1: 'a': forms: want an array, have nothing"},
	{WITH(ENTRY("a", "")),
		"files: 1: 'a': forms: want one that gives the whole file and that we can decode"},
	{WITH(ENTRY("a", "{\"encoding\":\"braid\"}")),
		"files: 1: 'a': forms: want one that gives the whole file and that we can decode"},
	{WITH(ENTRY("a", "{\"encoding\":\"plain\",\"sha256\":\"" B64 "\",\"size\":9}")),
		"files: 1: 'a': forms: 1: plain: want sha256 and size of the file itself"},
	{WITH(ENTRY("a", FORM) "," ENTRY("a", FORM)), "files: 'a' is there twice"},
	{WITH(ENTRY("a/b", FORM) "," ENTRY("a.x", FORM) "," ENTRY("a", FORM)),
		"files: 'a' is a file and a folder"},
	{WITH(ENTRY("1/2/3/4/5/6/7/8/9", FORM)),
		"files: '1/2/3/4/5/6/7/8/9': want at most 8 levels, have more"},
	{"{" HEAD ",\"files\":[],\"trial\":{\"find\":[\"samples/x\"]}}",
		"trial: find: 'samples/x' is not among the files"},
	{"{" HEAD ",\"files\":[],\"trial\":{\"pass\":[\"/etc/passwd\"]}}",
		"trial: pass: 1: want a relative path of <= 200 bytes of "},
};

static void refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		struct yg_manifest *manifest YG_AUTO(
			yg_manifest) = yg_manifest_parse(yg_bytes_of(rows[i].text), &err);
		const char *error = rows[i].error ? rows[i].error : "";
		if ((manifest == NULL) != (rows[i].error != NULL) ||
			strncmp(err.msg, error, strlen(error)) != 0)
			fail_msg("%zu: '%s', want '%s'", i, err.msg, error);
		/* Whatever is wrong has a name that people are told. */
		const char *cause = !rows[i].error      ? ""
			: strstr(error, "newer Yagura") ? "content.newer"
			: err.code == YG_ELIMIT         ? "content.limit"
							: "content.format";
		assert_string_equal(err.cause, cause);
	}
}

static bool has_c(void *ctx, const char *sha256)
{
	unsigned *asked = ctx;
	++*asked;
	return strcmp(sha256, C64) == 0;
}

static void add(struct yg_file *file, enum yg_encoding encoding, const char *from, uint64_t size)
{
	struct yg_err err = {0};
	struct yg_form form = {.encoding = encoding, .size = size};
	memcpy(form.from, from, strlen(from) + 1);
	assert_int_equal(yg_file_add_form(file, &form, &err), 0);
}

static void the_cheapest_form(void **state)
{
	(void)state;
	unsigned asked = 0;
	struct yg_err err = {0};
	struct yg_file file = {.size = 1000};
	add(&file, YG_ENCODING_DELTA, C64, 400);
	assert_null(yg_file_form(&file));
	add(&file, YG_ENCODING_PLAIN, "", 1000);
	add(&file, YG_ENCODING_ZSTD, "", 300);
	assert_int_equal(yg_file_form(&file)->size, 300);
	/* A delta that is dearer than the whole, or from what is not here, is none. */
	assert_null(yg_file_delta(&file, has_c, &asked));
	assert_int_equal(asked, 0);
	add(&file, YG_ENCODING_DELTA, A64, 10);
	assert_null(yg_file_delta(&file, has_c, &asked));
	add(&file, YG_ENCODING_DELTA, C64, 90);
	add(&file, YG_ENCODING_DELTA, C64, 80);
	assert_int_equal(yg_file_delta(&file, has_c, &asked)->size, 80);
	while (file.form_count < YG_MANIFEST_FORMS_MAX)
		add(&file, YG_ENCODING_DELTA, B64, 1);
	assert_int_equal(yg_file_add_form(&file, &file.forms[0], &err), -1);
	assert_string_equal(err.msg, "forms: want <= 64, have more");
	free(file.forms);
}

static void roles(void **state)
{
	(void)state;
	assert_string_equal(yg_component_role("am-pattern"), "am");
	assert_string_equal(yg_component_role("li-rules"), "li");
	assert_null(yg_component_role("am"));
	enum yg_encoding encoding;
	struct yg_err err = {0};
	assert_int_equal(yg_encoding_parse("zstd", &encoding, &err), 0);
	assert_int_equal(encoding, YG_ENCODING_ZSTD);
	assert_int_equal(yg_encoding_parse("lzma", &encoding, &err), -1);
	assert_string_equal(err.msg, "encoding: want 'plain', 'zstd' or 'delta', have 'lzma'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(refusals),
		cmocka_unit_test(the_cheapest_form),
		cmocka_unit_test(roles),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
