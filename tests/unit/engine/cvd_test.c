/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "engine/am/cvd.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "core/mem.h"
#include "core/str.h"
#include "tests/lib/cmocka_all.h"

#define GOOD "ClamAV-VDB:15 Dec 2024 10-30 -0500:27488:2066000:90:" MD5 ":dsig:builder:1734276600"
#define MD5  "00000000000000000000000000000000"

static void head(void **state)
{
	static const struct {
		const char *text;
		const char *want; /* NULL: fine */
	} rows[] = {
		{GOOD, NULL},
		{"ClamAV-VDB:15 Dec 2024 10-30 -0500:27488:2066000:90:" MD5 ":dsig:builder", NULL},
		{"ClamAV-VDB:", "want the header of a ClamAV database, have another"},
		{"ClamAV-VDB:15 Dec 2024:x:1:90:" MD5 ":d:b:1",
			"want the header of a ClamAV database, have another"},
		{"ClamAV-VDB:15 Dec 2024:0:1:90:" MD5 ":d:b:1",
			"want the header of a ClamAV database, have another"},
		{"ClamAV-Diff:1", "want 'ClamAV-VDB:' at the beginning, have none"},
		{"", "want 'ClamAV-VDB:' at the beginning, have none"},
	};
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		struct yg_am_cvd cvd = {0};
		int r = yg_am_cvd_parse(yg_bytes_of(rows[i].text), &cvd, &err);
		assert_string_equal(r < 0 ? err.msg : "", rows[i].want ? rows[i].want : "");
		if (r < 0)
			continue;
		assert_int_equal(cvd.version, 27488);
		assert_int_equal(cvd.signatures, 2066000);
		assert_int_equal(cvd.level, 90);
		assert_string_equal(cvd.time, "15 Dec 2024 10-30 -0500");
		assert_string_equal(cvd.builder, "builder");
	}
}

static void forged(void **state)
{
	struct yg_err err = {0};
	char dir[] = "/tmp/yg-cvd-XXXXXX", path[64], text[YG_AM_CVD_HEAD + 1];
	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_true(yg_str_put(path, sizeof(path), "%s/daily.cvd", dir));
	(void)snprintf(text, sizeof(text), "%-512s", GOOD);
	assert_int_equal(yg_fs_replace(AT_FDCWD, path, yg_bytes_of(text), 0600, &err), 0);
	assert_int_equal(yg_am_cvd_verify(path, &err), -1);
	assert_int_equal(err.code, YG_EUNTRUSTED);
	assert_true(strstr(err.msg, "its signature is not good: ") == err.msg);
	assert_int_equal(yg_am_cvd_verify("/tmp/daily.cld", &err), -1);
	assert_string_equal(err.msg, "want a name that ends in .cvd");
	assert_int_equal(yg_fs_remove(AT_FDCWD, dir, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(head), cmocka_unit_test(forged)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
