/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "tuf/look.h"

#include <string.h>

#include "../../lib/cmocka_all.h"
#include "core/attr.h"

#define NOW 1795219200 /* 2026-11-21T00:00:00Z */
#define TIMESTAMP(expires)                                                                                  \
	"{\"signatures\":[],\"signed\":{\"_type\":\"timestamp\",\"spec_version\":\"1.0.0\",\"version\":12," \
	"\"expires\":\"" expires "\",\"meta\":{\"snapshot.json\":{\"version\":3}}}}"

static void test_rows(void **state)
{
	(void)state;
	static const struct {
		const char *text, *seen, *cause, *msg;
	} rows[] = {
		{TIMESTAMP("2026-11-28T00:00:00Z"), "timestamp 12, expires 2026-11-28T00:00:00Z",
			"", ""},
		{TIMESTAMP("2026-11-20T00:00:00Z"), "timestamp 12, expires 2026-11-20T00:00:00Z",
			"tuf.expired", "timestamp.json: expired on 2026-11-20T00:00:00Z"},
		{"{\"signed\":{}}", "", "tuf.format", "timestamp.json: "},
		{"<html>", "", "tuf.format", "timestamp.json: "},
		{"", "", "tuf.format", "timestamp.json: "},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		char seen[100] = "";
		int rc = yg_look_timestamp(yg_bytes_of(rows[i].text), NOW, seen, sizeof(seen),
			&err);
		assert_int_equal(rc, rows[i].cause[0] ? -1 : 0);
		assert_string_equal(seen, rows[i].seen);
		assert_string_equal(err.cause, rows[i].cause);
		if (!strstr(err.msg, rows[i].msg))
			fail_msg("row %zu: %s", i, err.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
