/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "proto/status.h"

#include "tests/lib/cmocka_all.h"

static const struct {
	const char *cause;
	bool relay;
	const char *text;
} rows[] = {
	{NULL, false, "IAU_STATUS_SUCCESS[0(0,0,0)]"},
	{"", true, "IAURELAY_STATUS_SUCCESS(0)"},
	/* the two that the articles show */
	{"store.exists", false, "IAU_STATUS_FILE_EXISTS[-1073610747(3,2,5)]"},
	{"store.object_damaged", true, "IAURELAY_STATUS_NOT_AVAILABLE(-18)"},
	{"tuf.expired", true, "IAURELAY_STATUS_DIGITAL_SIGNATURE_CERT_EXPIRE(-24)"},
	{"net.timeout", false, "IAU_STATUS_TIMEOUT[-1073545214(3,3,2)]"},
	{"net.refused", false, "IAU_STATUS_CONNECT[-1073545215(3,3,1)]"},
	{"net.anything", false, "IAU_STATUS_CONNECT[-1073545215(3,3,1)]"},
	{"no.such", false, "IAU_STATUS_FAILED[-1073676288(3,1,0)]"},
	{"no.such", true, "IAURELAY_STATUS_FAILED(-1)"},
};

static void of_causes(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		char text[YG_STATUS_TEXT_MAX] = "";
		yg_status_format(yg_status_of(rows[i].cause, rows[i].relay), text);
		assert_string_equal(text, rows[i].text);
	}
}

static void finds(void **state)
{
	(void)state;
	size_t count = 0;
	const struct yg_status *all = yg_status_all(&count);
	for (size_t i = 0; i < count; i++) {
		assert_ptr_equal(yg_status_find(all[i].name), &all[i]);
		assert_ptr_equal(yg_status_by_number(all[i].number, all[i].relay), &all[i]);
	}
	assert_null(yg_status_find("IAU_STATUS_NOTHING"));
	assert_null(yg_status_by_number(12345, false));
	assert_int_equal(yg_status_find("IAU_STATUS_FILE_EXISTS")->number, -1073610747);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_causes),
		cmocka_unit_test(finds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
