/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "tuf/meta.h"

#include "core/attr.h"
#include "core/json.h"
#include "core/str.h"
#include "tests/lib/cmocka_all.h"

#define HEAD(type)                                                                                 \
	"\"_type\":\"" type                                                                        \
	"\",\"spec_version\":\"1.0\",\"version\":1,\"expires\":\"2027-01-01T00:00:00Z\""
#define DOC(body)     "{\"signatures\":[],\"signed\":{" body "}}"
#define TARGETS(more) DOC(HEAD("targets") ",\"targets\":{}" more)
#define ROLE(more)    TARGETS(",\"delegations\":{\"keys\":{},\"roles\":[{" more "}]}")
#define BINS(more)                                                                                      \
	TARGETS(",\"delegations\":{\"keys\":{},\"succinct_roles\":{\"keyids\":[],\"threshold\":1," more \
		"}}")
#define ROOT(roles) DOC(HEAD("root") ",\"keys\":{},\"roles\":{" roles "}")
#define SLOT(name)  "\"" name "\":{\"keyids\":[],\"threshold\":1}"

static const struct {
	enum yg_meta_type type;
	const char *text;
	const char *error; /* NULL: accepted */
} rows[] = {
	{YG_META_TARGETS, TARGETS(""), NULL},
	{YG_META_TARGETS, TARGETS(",\"x-more\":[1]"), NULL},
	{YG_META_TARGETS, "", "JSON: "},
	{YG_META_TARGETS, "[]", "want an object, have an array"},
	{YG_META_TARGETS, "{\"signatures\":[]}", "signed: want an object, have nothing"},
	{YG_META_TARGETS, "{\"signed\":{}}", "signatures: want an array, have nothing"},
	{YG_META_TARGETS, "{\"signatures\":[{\"keyid\":1,\"sig\":\"\"}],\"signed\":{}}",
		"signatures: 1: keyid: want a string, have a whole number"},
	{YG_META_TARGETS, "{\"signatures\":[],\"signed\":{},\"signed\":{}}", "JSON: "},
	{YG_META_TARGETS, DOC("\"_type\":\"root\""), "_type: want 'targets', have 'root'"},
	{YG_META_TARGETS, DOC("\"_type\":\"targets\",\"spec_version\":\"11.0\""),
		"spec_version: want 1.x, have '11.0'"},
	{YG_META_TARGETS,
		DOC("\"_type\":\"targets\",\"spec_version\":\"1\",\"version\":0,\"expires\":\"\""),
		"version: want 1..9223372036854775806, have 0"},
	{YG_META_TARGETS,
		DOC("\"_type\":\"targets\",\"spec_version\":\"1\",\"version\":1,\"expires\":\"soon\""),
		"expires: "},
	{YG_META_TARGETS, DOC(HEAD("targets")), "targets: want an object, have nothing"},
	{YG_META_TARGETS, DOC(HEAD("targets") ",\"targets\":{\"a\":{\"length\":-1}}"),
		"targets: 'a': length: want 0..9223372036854775807, have -1"},
	{YG_META_TARGETS, DOC(HEAD("targets") ",\"targets\":{\"a\":{\"length\":1,\"hashes\":{}}}"),
		"targets: 'a': hashes: want sha256 or sha512, have none"},
	{YG_META_TARGETS,
		DOC(HEAD(
			"targets") ",\"targets\":{\"a\":{\"length\":1,\"hashes\":{\"sha256\":\"00\"}}}"),
		"targets: 'a': hashes: sha256: want 64 digits, have 2"},
	{YG_META_TARGETS, BINS("\"bit_length\":8,\"name_prefix\":\"bin\""), NULL},
	{YG_META_TARGETS, BINS("\"bit_length\":0,\"name_prefix\":\"bin\""),
		"delegations: succinct_roles: bit_length: want 1..32, have 0"},
	{YG_META_TARGETS, BINS("\"bit_length\":33,\"name_prefix\":\"bin\""),
		"delegations: succinct_roles: bit_length: want 1..32, have 33"},
	{YG_META_TARGETS, BINS("\"bit_length\":8"),
		"delegations: succinct_roles: name_prefix: want a string, have nothing"},
	{YG_META_TARGETS, BINS("\"bit_length\":8,\"name_prefix\":\"\""),
		"delegations: succinct_roles: name_prefix: want one, have an empty text"},
	{YG_META_TARGETS,
		TARGETS(",\"delegations\":{\"keys\":{},\"roles\":[],\"succinct_roles\":{}}"),
		"delegations: want either roles or succinct_roles, have both"},
	{YG_META_TARGETS,
		"{\"signatures\":[{\"keyid\":\"k\",\"sig\":\"\"},{\"keyid\":\"k\",\"sig\":\"\"}],"
		"\"signed\":{}}",
		"signatures: keyid 'k' is there twice"},
	{YG_META_TARGETS, TARGETS(",\"delegations\":{\"roles\":[]}"),
		"delegations: keys: want an object, have nothing"},
	{YG_META_TARGETS, ROLE("\"name\":\"\""),
		"delegations: role 1: name: want one, have an empty text"},
	{YG_META_TARGETS, ROLE("\"name\":\"snapshot\""),
		"delegations: role 1: name: 'snapshot' is a top-level role"},
	{YG_META_TARGETS, ROLE("\"name\":\"a\",\"keyids\":[],\"threshold\":1"),
		"delegations: role 1: 'a': want either paths or path_hash_prefixes, have neither"},
	{YG_META_TARGETS,
		ROLE("\"name\":\"a\",\"paths\":[],\"path_hash_prefixes\":[],\"keyids\":[],\"threshold\":1"),
		"delegations: role 1: 'a': want either paths or path_hash_prefixes, have both"},
	{YG_META_TARGETS, ROLE("\"name\":\"a\",\"paths\":[1],\"keyids\":[],\"threshold\":1"),
		"delegations: role 1: 'a': paths: want strings, have a whole number"},
	{YG_META_TARGETS, ROLE("\"name\":\"a\",\"paths\":[],\"keyids\":[],\"threshold\":0"),
		"delegations: role 1: 'a': threshold: want 1..256, have 0"},
	{YG_META_TARGETS,
		ROLE("\"name\":\"a\",\"paths\":[],\"keyids\":[\"k\",\"k\"],\"threshold\":1"),
		"delegations: role 1: 'a': keyids: 'k' is there twice"},
	{YG_META_ROOT,
		ROOT(SLOT("root") "," SLOT("timestamp") "," SLOT("snapshot") "," SLOT("targets")),
		NULL},
	{YG_META_ROOT, ROOT(SLOT("root")), "roles: timestamp: want an object, have nothing"},
	{YG_META_ROOT, DOC(HEAD("root") ",\"keys\":{\"k\":{\"keytype\":\"ed25519\"}},\"roles\":{}"),
		"keys: 'k': scheme: want a string, have nothing"},
	{YG_META_TIMESTAMP, DOC(HEAD("timestamp") ",\"meta\":{}"),
		"meta: want 'snapshot.json', have nothing"},
	{YG_META_TIMESTAMP, DOC(HEAD("timestamp") ",\"meta\":{\"snapshot.json\":{\"version\":0}}"),
		"meta: 'snapshot.json': version: want 1..9223372036854775806, have 0"},
	{YG_META_SNAPSHOT, DOC(HEAD("snapshot") ",\"meta\":{\"targets.json\":{\"version\":1}}"),
		NULL},
	{YG_META_SNAPSHOT, DOC(HEAD("snapshot") ",\"meta\":{\"am.json\":{\"version\":1}}"),
		"meta: want 'targets.json', have nothing"},
};

static void parsing(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		struct yg_meta *meta YG_AUTO(yg_meta) = yg_meta_parse(rows[i].type,
			yg_bytes_of(rows[i].text), 4096, &err);
		const char *error = rows[i].error ? rows[i].error : "";
		if ((meta == NULL) != (rows[i].error != NULL) ||
			strncmp(err.msg, error, strlen(error)) != 0)
			fail_msg("%zu: '%s', want '%s'", i, err.msg, error);
		if (meta)
			continue;
		assert_int_equal(err.code, YG_EFORMAT);
		assert_string_equal(err.cause, "tuf.format");
	}
}

static void too_long(void **state)
{
	(void)state;
	struct yg_err err = {0};
	assert_null(yg_meta_parse(YG_META_ROOT, yg_bytes_of("0123456789"), 9, &err));
	assert_string_equal(err.msg, "want <= 9 bytes, have 10");
	assert_string_equal(err.cause, "tuf.size");
}

static const struct {
	const char *pattern, *path;
	bool match;
} matches[] = {
	{"am/*", "am/am-pattern.json", true},
	{"am/*", "am/", true},
	{"am/*", "am", false},
	{"am/*", "am/x/y", false},
	{"*", "a/b", false},
	{"*/*", "a/b", true},
	{"*/*", "a/b/c", false},
	{"?", "/", false},
	{"a?c", "abc", true},
	{"a?c", "ac", false},
	{"*.json", "x.json", true},
	{"*a*b*c", "xaybzbc", true},
	{"*a*b*c", "xaybzb", false},
	{"a*/b", "aaa/c/b", false},
	{"A", "a", false},
	{"[a]", "a", true},
	{"[a]", "[a]", false},
	{"[a-c]x", "bx", true},
	{"[a-c]x", "dx", false},
	{"[!a-c]x", "dx", true},
	{"[!a-c]x", "bx", false},
	{"[!a]", "/", false},
	{"[]]", "]", true},
	{"[!]]", "a", true},
	{"[a-]", "-", true},
	{"[a", "[a", true},
	{"[", "[", true},
	{"[!", "[!", true},
	{"[/]", "/", false},
	{"[/]", "[/]", true},
	{"*[0-9]", "ab7", true},
	{"", "", true},
	{"", "a", false},
	{"**", "abc", true},
};

static void matching(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(matches); i++) {
		if (yg_meta_match(matches[i].pattern, matches[i].path) != matches[i].match)
			fail_msg("'%s' and '%s'", matches[i].pattern, matches[i].path);
	}
}

static const struct {
	const char *role, *name; /* NULL: does not fit */
} names[] = {
	{"am", "am.json"},
	{"registry.npm", "registry.npm.json"},
	{"..", "%2E..json"},
	{"../x", "%2E.%2Fx.json"},
	{"/a?b#c", "%2Fa%3Fb%23c.json"},
	{"%41", "%2541.json"},
	{"\xe6\xab\x93", "%E6%AB%93.json"},
	{"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456"
	 "789012345678901234567890123456789",
		NULL},
};

static void naming(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(names); i++) {
		char name[YG_META_NAME_MAX];
		assert_int_equal(yg_meta_name(names[i].role, name), names[i].name != NULL);
		if (names[i].name)
			assert_string_equal(name, names[i].name);
	}
}

/* Roles may be given by the first digits of a path's SHA-256. */
static void prefixes(void **state)
{
	(void)state;
	struct yg_err err = {0};
	/* The empty prefix is every path, "zz" is none. */
	static const char text[] = ROLE(
		"\"name\":\"a\",\"path_hash_prefixes\":[\"\"],\"keyids\":[],\"threshold\":1");
	struct yg_meta *meta YG_AUTO(
		yg_meta) = yg_meta_parse(YG_META_TARGETS, yg_bytes_of(text), 4096, &err);
	struct yg_meta_delegation at;
	assert_non_null(meta);
	assert_true(yg_meta_delegation(meta, 0, "am/x", &at));
	assert_true(at.covers);
	json_t *role = json_array_get(json_object_get(json_object_get(meta->body, "delegations"),
					      "roles"),
		0);
	(void)json_object_set_new(role, "path_hash_prefixes", json_pack("[s]", "zz"));
	assert_true(yg_meta_delegation(meta, 0, "am/x", &at));
	assert_false(at.covers);
	assert_false(yg_meta_delegation(meta, 1, "am/x", &at));
}

/* ---- bins (TAP 15) ---- */

static const struct {
	int bits;
	const char *path, *bin; /* sha256 of "x": 2d711642… */
	uint64_t count;
} bins[] = {
	{1, "x", "bin-0", 2},
	{3, "x", "bin-1", 8},
	{4, "x", "bin-2", 16},
	{5, "x", "bin-05", 32},
	{8, "x", "bin-2d", 256},
	{14, "x", "bin-0b5c", 16384},
	{16, "x", "bin-2d71", 65536},
	{32, "x", "bin-2d711642", 1ull << 32},
};

static struct yg_meta *parse_bins(int bits, struct yg_err *err)
{
	char text[400];
	assert_true(yg_str_put(text, sizeof(text),
		"{\"signatures\":[],\"signed\":{" HEAD("targets") ",\"targets\":{},\"delegations\":"
								  "{\"keys\":{},\"succinct_roles\":"
								  "{\"keyids\":[],\"threshold\":1,"
								  "\"bit_length\":%d,"
								  "\"name_prefix\":\"bin\"}}}}",
		bits));
	return yg_meta_parse(YG_META_TARGETS, yg_bytes_of(text), sizeof(text), err);
}

static void finding_bins(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(bins); i++) {
		struct yg_err err = {0};
		struct yg_meta_delegation at;
		struct yg_meta *meta YG_AUTO(yg_meta) = parse_bins(bins[i].bits, &err);
		assert_non_null(meta);
		assert_true(yg_meta_delegation(meta, 0, bins[i].path, &at));
		assert_string_equal(at.role, bins[i].bin);
		assert_true(at.covers && at.terminating);
		assert_false(yg_meta_delegation(meta, 1, bins[i].path, &at));
		assert_true(yg_meta_delegations(meta) == bins[i].count);
		assert_true(yg_meta_knows(meta, bins[i].bin));
	}
}

static void knowing_bins(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_meta_delegation at;
	struct yg_meta *meta YG_AUTO(yg_meta) = parse_bins(5, &err);
	assert_non_null(meta);
	assert_true(yg_meta_delegation(meta, 31, NULL, &at));
	assert_string_equal(at.role, "bin-1f");
	assert_false(yg_meta_delegation(meta, 32, NULL, &at));
	static const struct {
		const char *role;
		bool known;
	} roles[] = {
		{"bin-00", true},
		{"bin-1f", true},
		{"bin-20", false},
		{"bin-ff", false},
		{"bin-1F", false},
		{"bin-1", false},
		{"bin-001", false},
		{"bin-0g", false},
		{"bin-", false},
		{"bin", false},
		{"bin1f", false},
		{"bon-1f", false},
		{"", false},
	};
	for (size_t i = 0; i < YG_COUNT(roles); i++)
		if (yg_meta_knows(meta, roles[i].role) != roles[i].known)
			fail_msg("%s", roles[i].role);
}

/* ---- names ---- */

static void kept_names(void **state)
{
	(void)state;
	struct yg_err err = {0};
	char name[YG_META_NAME_MAX], long_role[YG_META_ROLE_MAX];
	static const char *const taken[] = {"floor", "installed"};
	assert_int_equal(yg_meta_kept_name("am", name, &err), 0);
	assert_string_equal(name, "am.json");
	for (size_t i = 0; i < YG_COUNT(taken); i++) {
		assert_int_equal(yg_meta_kept_name(taken[i], name, &err), 0);
		assert_int_equal(strncmp(name, "role@", 5), 0);
		assert_int_equal(strlen(name), 5 + 64 + 5);
	}
	memset(long_role, 'r', sizeof(long_role) - 1);
	long_role[sizeof(long_role) - 1] = 0;
	assert_false(yg_meta_name(long_role, name));
	assert_int_equal(yg_meta_kept_name(long_role, name, &err), 0);
	assert_int_equal(strncmp(name, "role@", 5), 0);
	long_role[YG_META_NAME_MAX - sizeof(".json")] = 0;
	assert_int_equal(yg_meta_kept_name(long_role, name, &err), 0);
	assert_int_equal(strlen(name), YG_META_NAME_MAX - 1);
	assert_int_equal(name[0], 'r');
	assert_null(strchr(name, '@'));
}

static void urls(void **state)
{
	(void)state;
	char url[YG_META_URL_MAX];
	assert_true(yg_meta_url("aZ09-._~/+ %", "/", url));
	assert_string_equal(url, "aZ09-._~/%2B%20%25");
	char text[YG_META_URL_MAX + 1];
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	assert_false(yg_meta_url(text, "", url));
	text[YG_META_URL_MAX - 1] = 0;
	assert_true(yg_meta_url(text, "", url));
	text[YG_META_URL_MAX - 2] = '?';
	assert_false(yg_meta_url(text, "", url));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parsing),
		cmocka_unit_test(too_long),
		cmocka_unit_test(matching),
		cmocka_unit_test(naming),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(finding_bins),
		cmocka_unit_test(knowing_bins),
		cmocka_unit_test(kept_names),
		cmocka_unit_test(urls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
