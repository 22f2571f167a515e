/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "proto/alert.h"

#include <string.h>

#include "core/json.h"
#include "core/str.h"
#include "proto/event.h"
#include "tests/lib/cmocka_all.h"

static json_t *parse(const char *text)
{
	struct yg_err err = {0};
	json_t *value = NULL;
	if (yg_json_parse(yg_bytes_of(text), 1u << 20, &value, &err) < 0)
		fail_msg("%s: %s", text, err.msg);
	return value;
}

static const struct {
	const char *kind;
	enum yg_lang lang;
	const char *params, *text, *remedy;
} rows[] = {
	{"update_failed", YG_LANG_EN,
		"{\"computer\":\"web1\",\"cause\":\"net.dns\",\"failures\":3,\"since\":\"2026-11-21T22:47:43Z\"}",
		"The security update of computer web1 keeps failing (3 times) since 2026-11-21 22:47:43 UTC. The "
		"host name cannot be resolved.",
		NULL},
	/* without a cause nothing dangles */
	{"update_failed", YG_LANG_EN, "{\"computer\":\"web1\"}",
		"The security update of computer web1 keeps failing.", ""},
	{"expiry", YG_LANG_EN,
		"{\"what\":\"licence\",\"name\":\"am-wr\",\"ends\":\"2026-12-21T00:00:00Z\",\"days\":30}",
		"The licence am-wr expires at 2026-12-21 00:00:00 UTC (within 30 days).",
		"Renew it before that day; 'yagura expiry' lists everything that expires and who renews it."},
	{"expired", YG_LANG_JA,
		"{\"what\":\"licence\",\"name\":\"am-wr\",\"ends\":\"2026-12-21T00:00:00Z\"}",
		"ライセンス am-wrの有効期限は2026-12-21 00:00:00 UTCに切れました。",
		"更新してください。更新方法は「yagura expiry」で確認できます。"},
	{"relay_group_empty", YG_LANG_EN, "{\"group\":\"tokyo\",\"count\":0}",
		"There is no relay in the relay group tokyo.",
		"Add a relay to the group, or give its computers another group."},
};

static void texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_EVENT_TEXT_MAX + 1);
		json_t *params YG_AUTO(yg_json) = parse(rows[i].params);
		const struct yg_alert *alert = yg_alert_find(rows[i].kind);
		assert_non_null(alert);
		assert_int_equal(yg_alert_check(alert, params, &err), 0);
		assert_int_equal(yg_alert_render(alert, params, rows[i].lang, &text, &err), 0);
		assert_int_equal(yg_buf_add(&text, "", 1, &err), 0);
		assert_string_equal((const char *)text.data, rows[i].text);
		if (rows[i].remedy)
			assert_string_equal(yg_alert_remedy(alert, params, rows[i].lang),
				rows[i].remedy);
		else /* the cause's own */
			assert_true(yg_alert_remedy(alert, params, rows[i].lang)[0] != '\0');
	}
}

static void catalogue(void **state)
{
	(void)state;
	assert_null(yg_alert_find("nothing"));
	assert_null(yg_alert_find(NULL));
	for (size_t i = 0; i < yg_alert_count(); i++) {
		const struct yg_alert *alert = yg_alert_at(i);
		assert_ptr_equal(yg_alert_find(yg_alert_kind(alert)), alert);
		assert_true(yg_alert_level(alert) != YG_EVENT_INFO);
		for (int lang = YG_LANG_EN; lang <= YG_LANG_JA; lang++) {
			assert_true(*yg_alert_name(alert, (enum yg_lang)lang));
			assert_true(*yg_alert_template(alert, (enum yg_lang)lang));
		}
	}
}

static void bad(void **state)
{
	(void)state;
	struct yg_err err = {0};
	json_t *params YG_AUTO(yg_json) = parse("{\"computer\":1,\"since\":\"yesterday\"}");
	assert_int_equal(yg_alert_check(yg_alert_find("computer_offline"), params, &err), -1);
	assert_int_equal(err.code, YG_EFORMAT);
	assert_string_equal(err.msg,
		"alert computer_offline: computer: want a string, have a whole number");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(texts), cmocka_unit_test(catalogue),
		cmocka_unit_test(bad)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
