/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/recover.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "core/fs.h"
#include "core/mem.h"
#include "tests/lib/cmocka_all.h"

#define PAGE "docs/recovery.md"

static void says_what_to_do_for_every_state(void **state)
{
	(void)state;
	static const struct {
		enum yg_recover_lib lib;
		enum yg_recover_copy copy;
		enum yg_recover_roll roll;
		enum yg_recover_action want;
	} cases[] = {
		{YG_LIB_WHOLE, YG_COPY_NONE, YG_ROLL_WHOLE, YG_RECOVER_NOTHING},
		{YG_LIB_WHOLE, YG_COPY_NONE, YG_ROLL_DAMAGED, YG_RECOVER_NOTHING},
		{YG_LIB_WHOLE, YG_COPY_SAME, YG_ROLL_NONE, YG_RECOVER_DROP_COPY},
		{YG_LIB_WHOLE, YG_COPY_WHOLE, YG_ROLL_WHOLE, YG_RECOVER_COPY_TO_ROLL},
		{YG_LIB_WHOLE, YG_COPY_DAMAGED, YG_ROLL_WHOLE, YG_RECOVER_DROP_COPY},
		{YG_LIB_DAMAGED, YG_COPY_WHOLE, YG_ROLL_WHOLE, YG_RECOVER_COPY_TO_LIB},
		{YG_LIB_DAMAGED, YG_COPY_SAME, YG_ROLL_WHOLE, YG_RECOVER_ROLL_TO_LIB},
		{YG_LIB_DAMAGED, YG_COPY_NONE, YG_ROLL_WHOLE, YG_RECOVER_ROLL_TO_LIB},
		{YG_LIB_DAMAGED, YG_COPY_SAME, YG_ROLL_NONE, YG_RECOVER_KEEP_DAMAGED},
		{YG_LIB_DAMAGED, YG_COPY_DAMAGED, YG_ROLL_DAMAGED, YG_RECOVER_KEEP_DAMAGED},
		{YG_LIB_NONE, YG_COPY_NONE, YG_ROLL_NONE, YG_RECOVER_NOTHING},
		{YG_LIB_NONE, YG_COPY_WHOLE, YG_ROLL_NONE, YG_RECOVER_COPY_TO_LIB},
		{YG_LIB_NONE, YG_COPY_NONE, YG_ROLL_WHOLE, YG_RECOVER_ROLL_TO_LIB},
		{YG_LIB_NONE, YG_COPY_DAMAGED, YG_ROLL_NONE, YG_RECOVER_COPY_TO_LIB},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct yg_recover_step have = yg_recover_plan(cases[i].lib, cases[i].copy,
			cases[i].roll);
		if (have.action != cases[i].want)
			fail_msg("case %zu: want '%s', have '%s'", i,
				yg_recover_action_name(cases[i].want),
				yg_recover_action_name(have.action));
		assert_non_null(have.why);
	}
}

/* A whole set is never given up for a damaged one, whatever the state. */
static void never_leaves_a_whole_set_for_less(void **state)
{
	(void)state;
	for (int lib = YG_LIB_NONE; lib <= YG_LIB_WHOLE; lib++)
		for (int copy = YG_COPY_NONE; copy <= YG_COPY_WHOLE; copy++)
			for (int roll = YG_ROLL_NONE; roll <= YG_ROLL_WHOLE; roll++) {
				enum yg_recover_action action = yg_recover_plan(
					(enum yg_recover_lib)lib, (enum yg_recover_copy)copy,
					(enum yg_recover_roll)roll)
									.action;
				bool takes_copy = action == YG_RECOVER_COPY_TO_LIB;
				bool takes_roll = action == YG_RECOVER_ROLL_TO_LIB;
				if (lib == YG_LIB_WHOLE)
					assert_false(takes_copy || takes_roll);
				else if (copy == YG_COPY_WHOLE)
					assert_true(takes_copy);
				else if (roll == YG_ROLL_WHOLE)
					assert_true(takes_roll);
			}
}

static void page_shows_the_table(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_buf page YG_AUTO(yg_buf) = YG_BUF(65536);
	if (yg_fs_read(AT_FDCWD, YG_SOURCE_ROOT "/" PAGE, &page, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(yg_buf_add(&page, "", 1, &err), 0);
	size_t count = 0;
	for (const char *row; (row = yg_recover_row(count)); count++)
		if (!strstr((const char *)page.data, row))
			fail_msg(PAGE ": want the row: | %s |", row);
	assert_true(count > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_to_do_for_every_state),
		cmocka_unit_test(never_leaves_a_whole_set_for_less),
		cmocka_unit_test(page_shows_the_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
