/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "proto/event.h"

#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/str.h"
#include "proto/cause.h"
#include "tests/lib/cmocka_all.h"

#define DIGEST "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static json_t *parse(const char *text)
{
	struct yg_err err = {0};
	json_t *value = NULL;
	if (yg_json_parse(yg_bytes_of(text), 1u << 20, &value, &err) < 0)
		fail_msg("%s: %s", text, err.msg);
	return value;
}

static char *render(uint32_t id, const json_t *params, enum yg_lang lang)
{
	struct yg_err err = {0};
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_EVENT_TEXT_MAX + 1);
	assert_int_equal(yg_event_render(id, params, lang, &text, &err), 0);
	assert_int_equal(yg_buf_add(&text, "", 1, &err), 0);
	assert_true(yg_str_utf8_ok((const char *)text.data, text.len - 1));
	return strdup((const char *)text.data);
}

static const struct {
	uint32_t id;
	enum yg_lang lang;
	const char *params, *text;
} render_rows[] = {
	{100, YG_LANG_EN, "{\"version\":\"0.1.0\"}", "The Manager started, version 0.1.0."},
	{100, YG_LANG_JA, "{\"version\":\"0.1.0\"}", "Managerが起動しました (バージョン 0.1.0)。"},
	/* the seed's own text */
	{1001, YG_LANG_JA,
		"{\"command\":\"SET_CONFIG\",\"code\":4294957295,\"error\":\"unknown error ffffd8ef\"}",
		"次のエラーにより、エンジンコマンドコードSET_CONFIGは失敗しました: ffffd8ef (unknown error ffffd8ef)。"},
	{1001, YG_LANG_EN,
		"{\"command\":\"SET_CONFIG\",\"code\":4294957295,\"error\":\"unknown error ffffd8ef\"}",
		"The engine command SET_CONFIG failed with this error: ffffd8ef (unknown error ffffd8ef)."},
	{190, YG_LANG_EN,
		"{\"alert\":{\"kind\":\"update_failed\",\"params\":{\"computer\":\"web1\",\"cause\":\"net.dns\","
		"\"failures\":3,\"since\":\"2026-11-21T22:47:43Z\"}}}",
		"Security Update Keeps Failing: The security update of computer web1 keeps failing (3 times) since "
		"2026-11-21 22:47:43 UTC. The host name cannot be resolved."},
	{192, YG_LANG_JA,
		"{\"alert\":{\"kind\":\"engine_offline\"},\"computer\":\"web1\",\"reason\":\"protected\"}",
		"不正プログラム対策エンジンがオフライン (web1): 自動的に終了しました (理由: 保護が回復したため)。"},
	{190, YG_LANG_EN, "{\"alert\":{\"kind\":\"new_kind\",\"params\":{}}}", "new_kind"},
	{9103, YG_LANG_JA, "{}", "Relay Webサーバが無効になっています。"},
	{785, YG_LANG_EN,
		"{\"computer\":\"web1\",\"cause\":\"net.refused\",\"detail\":\"10.0.0.5 port 4122\"}",
		"The security update of computer web1 failed. The connection was refused: nothing listens at "
		"this address and port. (10.0.0.5 port 4122)"},
	{785, YG_LANG_JA, "{\"computer\":\"web1\",\"cause\":\"net.refused\"}",
		"コンピュータweb1のセキュリティアップデートに失敗しました。接続が拒否されました。このアドレスとポートで待ち受けているサービスがありません。"},
	/* parts without their parameter vanish, and with them the space before */
	{785, YG_LANG_EN, "{\"computer\":\"web1\"}",
		"The security update of computer web1 failed."},
	{785, YG_LANG_EN, "{\"computer\":\"web1\",\"cause\":\"\",\"detail\":\"\"}",
		"The security update of computer web1 failed."},
	{785, YG_LANG_EN, "{\"computer\":\"web1\",\"cause\":\"new.cause\"}",
		"The security update of computer web1 failed. new.cause"},
	{784, YG_LANG_EN,
		"{\"computer\":\"web1\",\"components\":[{\"name\":\"am-pattern\",\"from\":1,\"to\":2},"
		"{\"name\":\"am-yara\",\"from\":0,\"to\":7}]}",
		"The security update of computer web1 is complete: am-pattern 1 → 2, am-yara 7."},
	{784, YG_LANG_EN, "{\"computer\":\"web1\",\"components\":[]}",
		"The security update of computer web1 is complete."},
	{2205, YG_LANG_EN,
		"{\"failed\":2,\"computers\":9,\"failures\":[{\"computer\":\"a\",\"cause\":\"net.dns\","
		"\"sentence\":\"relay.example\"},{\"computer\":\"b\",\"cause\":\"\",\"sentence\":\"odd\"}]}",
		"The pattern update failed on 2 of 9 computers: a: The host name cannot be resolved. "
		"(relay.example); b: odd"},
	{2205, YG_LANG_JA,
		"{\"failed\":7,\"computers\":9,\"failures\":[{\"computer\":\"a\"},{\"computer\":\"b\"},"
		"{\"computer\":\"c\"},{\"computer\":\"d\"},{\"computer\":\"e\"},{\"computer\":\"f\"},"
		"{\"computer\":\"g\"}]}",
		"9台中7台のコンピュータでパターンファイルのアップデートに失敗しました: a: 、b: 、c: 、d: 、e:  他2台"},
	{9002, YG_LANG_EN, "{\"files\":1234,\"found\":3,\"bytes\":1610612736,\"seconds\":65}",
		"A malware scan ended: 1234 files (1.5 GiB), 3 with malware, in 1 min 5 s."},
	{9002, YG_LANG_JA, "{\"files\":1,\"found\":0,\"unjudged\":2,\"bytes\":68,\"seconds\":7200}",
		"不正プログラムの検索が完了しました: 1ファイル (68バイト)、検出0件、判定不能2件、所要時間 2時間。"},
	{9002, YG_LANG_EN, "{\"files\":0,\"found\":0,\"unjudged\":0,\"bytes\":0,\"seconds\":0}",
		"A malware scan ended: 0 files (0 bytes), 0 with malware."},
	{730, YG_LANG_EN, "{\"computer\":\"db\",\"since\":\"2026-11-21T22:47:43Z\"}",
		"Computer db does not report; the last time was 2026-11-21 22:47:43 UTC."},
	{20103, YG_LANG_EN, "{\"set\":\"" DIGEST "\"}",
		"Scheduled updates will not take the components aaaaaaaaaaaa until newer ones exist or the "
		"hold is released."},
	/* what is missing or of another type does not stop anything */
	{784, YG_LANG_EN, "{\"computer\":7}", "The security update of computer ? is complete."},
	{784, YG_LANG_EN, "null", "The security update of computer ? is complete."},
	{20100, YG_LANG_EN, "{\"path\":\"/a\\u001b[31m\\nb\",\"signature\":\"X\"}",
		"/a [31m b is malware: X."},
	{65000, YG_LANG_EN, "{\"b\":1,\"a\":\"x\"}", "Event 65000: {\"a\":\"x\",\"b\":1}"},
	{65000, YG_LANG_JA, "{}", "イベント65000: {}"},
};

static void renders(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(render_rows); i++) {
		json_t *params YG_AUTO(yg_json) = parse(render_rows[i].params);
		char *text YG_AUTO(mem) = render(render_rows[i].id, params, render_rows[i].lang);
		assert_string_equal(text, render_rows[i].text);
	}
}

static void render_cuts_long_text(void **state)
{
	(void)state;
	json_t *list YG_AUTO(yg_json) = json_array();
	for (int i = 0; i < 4000; i++)
		(void)json_array_append_new(list,
			json_pack("{s:s, s:i}", "name", "am-pattern", "to", i));
	json_t *params YG_AUTO(
		yg_json) = json_pack("{s:s, s:O}", "computer", "櫓", "components", list);
	char *text YG_AUTO(mem) = render(784, params, YG_LANG_JA);
	assert_in_range(strlen(text), YG_EVENT_TEXT_MAX - 8, YG_EVENT_TEXT_MAX);
	assert_string_equal(text + strlen(text) - 3, "…");
}

static void render_needs_room(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(4);
	assert_int_equal(yg_event_render(117, NULL, YG_LANG_EN, &text, &err), -1);
	assert_int_equal(err.code, YG_ELIMIT);
	assert_int_equal(text.len, 0);
}

/* The names that people know from the articles. */
static const struct {
	uint32_t id;
	const char *ja;
} name_rows[] = {
	{1600, "Relayグループのアップデートの要求"},
	{1601, "Relayグループのアップデートの成功"},
	{273, "セキュリティアップデートの要求"},
	{276, "セキュリティアップデートのダウンロード"},
	{784, "セキュリティアップデート成功"},
	{785, "セキュリティアップデート:セキュリティアップデートの確認とダウンロード失敗"},
	{2205, "セキュリティアップデート:Agent/Appliance でのパターンファイルのアップデート失敗"},
	{9103, "Relay Webサーバの無効化"},
	{1001, "エンジンコマンドの失敗"},
	{20101, "不正プログラム対策エンジンがオフライン"},
	{65000, "不明なイベント"},
};

static void names(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(name_rows); i++)
		assert_string_equal(yg_event_name(name_rows[i].id, YG_LANG_JA), name_rows[i].ja);
	assert_string_equal(yg_event_name(1600, YG_LANG_EN), "Relay Group Update Requested");
	assert_null(yg_event_template(65000, YG_LANG_EN));
}

/* A value that fits a type. */
static json_t *sample(enum yg_event_type type)
{
	switch (type) {
	case YG_EVENT_TEXT:
	case YG_EVENT_REASON:
	case YG_EVENT_PHASE:
	case YG_EVENT_WHO:
	case YG_EVENT_KIND:
	case YG_EVENT_COMPUTER:
		return json_string("sample");
	case YG_EVENT_CAUSE:
		return json_string("net.dns");
	case YG_EVENT_SET:
		return json_string(DIGEST);
	case YG_EVENT_TIME:
		return json_string("2026-11-21T22:47:43Z");
	case YG_EVENT_INT:
	case YG_EVENT_BYTES:
	case YG_EVENT_DURATION:
	case YG_EVENT_CODE:
		return json_integer(42);
	case YG_EVENT_ALERT:
		return json_pack("{s:s, s:{s:s, s:s}}", "kind", "computer_offline", "params",
			"computer", "sample", "since", "2026-11-21T22:47:43Z");
	case YG_EVENT_COMPONENTS:
		return json_pack("[{s:s, s:i, s:i}]", "name", "am-pattern", "from", 1, "to", 2);
	case YG_EVENT_COMPUTERS:
		return json_pack("[s]", "sample");
	case YG_EVENT_FAILURES:
		return json_pack("[{s:s, s:s, s:s}]", "computer", "sample", "cause", "net.dns",
			"sentence", "sample");
	}
	return NULL;
}

/* Every event of the catalogue: full and with what must be there only, in both languages, no parameter
 * is left as it stands in the template, and nothing reads "?".
 */
static void whole_catalogue(void **state)
{
	(void)state;
	size_t count = 0;
	const struct yg_event *events = yg_event_all(&count);
	assert_true(count > 60);
	for (size_t i = 0; i < count; i++) {
		struct yg_err err = {0};
		json_t *full YG_AUTO(yg_json) = json_object(),
			     *least YG_AUTO(yg_json) = json_object();
		for (size_t p = 0; p < events[i].param_count; p++) {
			struct yg_event_param param = yg_event_param(&events[i], p);
			(void)json_object_set_new(full, param.name, sample(param.type));
			if (!param.optional)
				(void)json_object_set_new(least, param.name, sample(param.type));
			assert_string_not_equal(yg_event_type_name(param.type), "");
		}
		assert_ptr_equal(yg_event_find(events[i].id), &events[i]);
		assert_int_equal(yg_event_check(events[i].id, full, &err), 0);
		assert_int_equal(yg_event_check(events[i].id, least, &err), 0);
		for (int lang = YG_LANG_EN; lang <= YG_LANG_JA; lang++) {
			char *a YG_AUTO(mem) = render(events[i].id, full, (enum yg_lang)lang);
			char *b YG_AUTO(mem) = render(events[i].id, least, (enum yg_lang)lang);
			assert_null(strpbrk(a, "{}[]?"));
			assert_null(strpbrk(b, "{}[]?"));
			assert_true(*a && *b);
			assert_true(*yg_event_name(events[i].id, (enum yg_lang)lang));
		}
	}
}

static const struct {
	uint32_t id;
	const char *params;
	enum yg_code code;
	const char *msg;
} check_rows[] = {
	{785, "{\"computer\":\"a\"}", YG_OK, ""},
	{785, "{\"computer\":\"a\",\"more\":[]}", YG_OK, ""},
	{785, "{\"computer\":\"a\",\"cause\":null}", YG_OK, ""},
	{65000, "{}", YG_EABSENT, "event 65000 is not in the catalogue"},
	{785, "[]", YG_EFORMAT, "event 785: params: want an object, have an array"},
	{785, "{}", YG_EFORMAT, "event 785: computer: want a string, have nothing"},
	{785, "{\"computer\":1}", YG_EFORMAT,
		"event 785: computer: want a string, have a whole number"},
	{785, "{\"computer\":\"a\",\"cause\":1}", YG_EFORMAT,
		"event 785: cause: want a string, have a whole number"},
	{9002, "{\"files\":1,\"found\":0,\"bytes\":-1}", YG_ELIMIT,
		"event 9002: bytes: want 0..9223372036854775807, have -1"},
	{1001, "{\"command\":\"x\",\"code\":4294967296,\"error\":\"\"}", YG_ELIMIT,
		"event 1001: code: want 0..4294967295, have 4294967296"},
	{20103, "{\"set\":\"abc\"}", YG_EFORMAT,
		"event 20103: set: want 64 hex digits, have 'abc'"},
	{784, "{\"computer\":\"a\",\"components\":[{\"name\":\"x\",\"to\":1},{\"name\":\"x\"}]}",
		YG_EFORMAT, "event 784: components[1]: to: want a whole number, have nothing"},
	{784, "{\"computer\":\"a\",\"components\":[1]}", YG_EFORMAT,
		"event 784: components[0]: want an object, have a whole number"},
	{2205, "{\"failed\":1,\"computers\":1,\"failures\":[{}]}", YG_EFORMAT,
		"event 2205: failures[0]: computer: want a string, have nothing"},
};

static void checks(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(check_rows); i++) {
		struct yg_err err = {0};
		json_t *params YG_AUTO(yg_json) = parse(check_rows[i].params);
		int r = yg_event_check(check_rows[i].id, params, &err);
		assert_string_equal(err.msg, check_rows[i].msg);
		assert_int_equal(err.code, check_rows[i].code);
		assert_int_equal(r, check_rows[i].code == YG_OK ? 0 : -1);
	}
}

static void check_time(void **state)
{
	(void)state;
	struct yg_err err = {0};
	json_t *params YG_AUTO(yg_json) = parse("{\"computer\":\"a\",\"since\":\"yesterday\"}");
	assert_int_equal(yg_event_check(730, params, &err), -1);
	assert_int_equal(strncmp(err.msg, "event 730: since: ", 18), 0);
}

static void words(void **state)
{
	(void)state;
	assert_string_equal(yg_event_level_name(YG_EVENT_WARNING), "warning");
	assert_string_equal(yg_event_origin_name(YG_EVENT_AGENT), "agent");
	assert_int_equal(yg_event_find(785)->level, YG_EVENT_WARNING);
	assert_int_equal(yg_event_find(1001)->origin, YG_EVENT_AGENT);
	assert_null(yg_event_find(0));
	assert_null(yg_event_find(UINT32_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(renders),
		cmocka_unit_test(render_cuts_long_text),
		cmocka_unit_test(render_needs_room),
		cmocka_unit_test(names),
		cmocka_unit_test(whole_catalogue),
		cmocka_unit_test(checks),
		cmocka_unit_test(check_time),
		cmocka_unit_test(words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
