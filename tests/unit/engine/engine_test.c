/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "engine/engine.h"

#include <string.h>
#include <unistd.h>

#include "content/sample.h"
#include "core/attr.h"
#include "core/fs.h"
#include "core/mem.h"
#include "tests/lib/cmocka_all.h"

/* An engine that judges by the first byte. */
static void judge(void *self, int fd, const char *name, struct yg_finding *out)
{
	(void)self;
	(void)name;
	char c = 0;
	(void)!pread(fd, &c, 1, 0);
	*out = (struct yg_finding){.verdict = YG_CLEAN};
	if (c == 'X') { /* as EICAR does */
		out->verdict = YG_MALICIOUS;
		memcpy(out->signature, "Some.Name", sizeof("Some.Name"));
	}
	if (c == 'U') {
		out->verdict = YG_UNJUDGED;
		out->why = YG_UNJUDGED_ENCRYPTED;
	}
}

static const struct yg_engine engine = {.name = "test", .judge = judge};

static int sample(const char *text)
{
	struct yg_err err = {0};
	struct yg_buf stored YG_AUTO(yg_buf) = YG_BUF(4096);
	assert_int_equal(yg_sample_encode(yg_bytes_of(text), &stored, &err), 0);
	int fd = yg_fs_memfd("sample", yg_buf_bytes(&stored), &err);
	assert_true(fd >= 0);
	return fd;
}

static void trials(void **state)
{
	(void)state;
	static const struct {
		const char *find,
			*pass; /* first bytes of samples; 'E': EICAR, which begins with X */
		const char *error, *cause;
	} rows[] = {
		{"", "", NULL, NULL}, {"XXE", "CC", NULL, NULL},
		{"XC", "C", "sample 'C': want malicious, have clean", "engine.trial_miss"},
		{"U", "", "sample 'U': want malicious, have unjudged: encrypted",
			"engine.trial_miss"},
		{"X", "CX", "sample 'X': want clean, have Some.Name", "engine.trial_flag"},
		{"", "E", "sample 'eicar': want clean, have Some.Name", "engine.trial_flag"},
		{"", "U", NULL, NULL}, /* not flagged: that is all that is asked */
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		char names[8][2] = {0};
		const char *list[8];
		int fds[8];
		size_t find = strlen(rows[i].find), count = find + strlen(rows[i].pass);
		for (size_t n = 0; n < count; n++) {
			names[n][0] = n < find ? rows[i].find[n] : rows[i].pass[n - find];
			list[n] = names[n][0] == 'E' ? YG_ENGINE_EICAR : names[n];
			fds[n] = names[n][0] == 'E' ? -1 : sample(names[n]);
		}
		int r = yg_engine_trial(&engine, NULL, list, fds, count, find, &err);
		for (size_t n = 0; n < count; n++)
			if (fds[n] >= 0)
				(void)close(fds[n]);
		assert_int_equal(r, rows[i].error ? -1 : 0);
		if (rows[i].error) {
			assert_string_equal(err.msg, rows[i].error);
			assert_string_equal(err.cause, rows[i].cause);
		}
	}
}

static void a_sample_must_be_a_container(void **state)
{
	(void)state;
	struct yg_err err = {0};
	const char *const names[] = {"samples/a"};
	int fd YG_AUTO(fd) = yg_fs_memfd("sample", yg_bytes_of("X in the clear"), &err);
	assert_int_equal(yg_engine_trial(&engine, NULL, names, &fd, 1, 1, &err), -1);
	assert_memory_equal(err.msg, "sample 'samples/a': ", 20);
	assert_int_equal(err.code, YG_EFORMAT);
	assert_string_equal(err.cause, "engine.trial");
}

static void codes_are_found_in_messages(void **state)
{
	(void)state;
	static const struct {
		const char *message;
		bool there;
		uint32_t code;
	} rows[] = {
		{"SET_CONFIG ffffd8ef: x", true, 0xffffd8ef},
		{"policy: am: SET_CONFIG 0000000a: x", true, 10},
		{"SET_CONFIG", false, 0},
		{"SET_CONFIG ", false, 0},
		{"SET_CONFIG ffffd8e", false, 0},
		{"SET_CONFIG ffffd8ef", false, 0},
		{"SET_CONFIG: ffffd8ef: x", false, 0},
		{"SET_CONFIG ffffg8ef: x", false, 0},
		{"GET_CONFIG ffffd8ef: x", false, 0},
		{"", false, 0},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		uint32_t code = 0;
		assert_int_equal(yg_engine_code(rows[i].message, "SET_CONFIG", &code),
			rows[i].there);
		assert_int_equal(code, rows[i].code);
	}
	struct yg_err err = {0};
	uint32_t code = 0;
	assert_int_equal(yg_engine_refuse(&err, YG_ELIMIT, YG_ENGINE_CODE_MEMORY, "SET_CONFIG",
				 "want %d", 5),
		-1);
	assert_string_equal(err.msg, "SET_CONFIG ffffd8ef: want 5");
	assert_string_equal(err.cause, "engine.memory");
	assert_true(yg_engine_code(err.msg, "SET_CONFIG", &code));
	assert_int_equal(code, YG_ENGINE_CODE_MEMORY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trials),
		cmocka_unit_test(a_sample_must_be_a_container),
		cmocka_unit_test(codes_are_found_in_messages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
