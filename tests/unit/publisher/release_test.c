/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/attr.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "publisher/history.h"
#include "publisher/init.h"
#include "publisher/jobs.h"
#include "publisher/release.h"
#include "publisher/wave.h"
#include "publisher/withdraw.h"
#include "tests/lib/cmocka_all.h"

#define NOW 1800000000 /* 2027-01-15T08:00:00Z */

struct place {
	char dir[64], repo[96], from[96], keys[96];
	struct command command;
};

static void write_file(const struct place *place, const char *name, const char *text)
{
	struct yg_err err = {0};
	char path[256];
	assert_true(yg_str_put(path, sizeof(path), "%s/%s", place->from, name));
	assert_int_equal(yg_fs_replace(AT_FDCWD, path, yg_bytes_of(text), 0644, &err), 0);
}

static int setup(void **state)
{
	struct yg_err err = {0};
	struct place *place = calloc(1, sizeof(*place));
	assert_non_null(place);
	assert_true(yg_str_put(place->dir, sizeof(place->dir), "/tmp/yg-release-XXXXXX"));
	assert_non_null(mkdtemp(place->dir));
	assert_true(yg_str_put(place->repo, sizeof(place->repo), "%s/repo", place->dir));
	assert_true(yg_str_put(place->from, sizeof(place->from), "%s/from", place->dir));
	assert_true(yg_str_put(place->keys, sizeof(place->keys), "%s/keys", place->dir));
	assert_int_equal(yg_fs_mkdirs(AT_FDCWD, place->from, 0755, &err), 0);
	write_file(place, "a.hdb", "44d88612fea8a8f36de82e1278abb02f:68:Test.A\n");
	place->command = (struct command){.repo = place->repo,
		.component = "am-pattern",
		.operands = {place->repo, "am-pattern", "1"},
		.operand_count = 3,
		.keys = place->keys,
		.from = {place->from},
		.from_count = 1,
		.reason = "bad",
		.now = NOW,
		.abi_min = 150,
		.abi_max = 999,
		.root_keys = 1,
		.threshold = 1,
		.level = 1,
		.keep = 30,
		.deltas = 30,
		.days = {365, 90, 14, 7}};
	json_t *out YG_AUTO(yg_json) = NULL;
	assert_int_equal(init_run(&place->command, &out, &err), 0);
	*state = place;
	return 0;
}

static int teardown(void **state)
{
	struct yg_err err = {0};
	struct place *place = *state;
	assert_int_equal(yg_fs_remove(AT_FDCWD, place->dir, &err), 0);
	free(place);
	return 0;
}

static int64_t released(const struct command *command)
{
	struct yg_err err = {0};
	json_t *out YG_AUTO(yg_json) = NULL;
	if (release_run(command, &out, &err) < 0)
		fail_msg("release: %s", err.msg);
	return json_integer_value(json_object_get(out, "version"));
}

/* ---- waves ---- */

static void waves(void **state)
{
	static const struct {
		const char *text;
		int64_t at; /* after NOW */
		unsigned percent;
		bool good;
	} rows[] = {
		{"+0:1", 0, 1, true},
		{"+30m:50", 1800, 50, true},
		{"+4h:0", 14400, 0, true},
		{"+2d:100", 172800, 100, true},
		{"2027-01-15T09:00:00Z:5", 3600, 5, true},
		{"", 0, 0, false},
		{"5", 0, 0, false},
		{":5", 0, 0, false},
		{"+:5", 0, 0, false},
		{"+4:5", 0, 0, false},
		{"+4w:5", 0, 0, false},
		{"+-4h:5", 0, 0, false},
		{"+9999999999h:5", 0, 0, false},
		{"+4h:", 0, 0, false},
		{"+4h:101", 0, 0, false},
		{"+4h:-1", 0, 0, false},
		{"2027-01-15:5", 0, 0, false},
	};
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		struct yg_wave out[YG_ROLLOUT_WAVES_MAX];
		size_t count = 0;
		struct command *command YG_AUTO(mem) = calloc(1, sizeof(*command));
		assert_non_null(command);
		command->now = NOW;
		command->wave[0] = rows[i].text;
		command->wave_count = 1;
		int bad = wave_parse(command, out, &count, &err);
		if ((bad == 0) != rows[i].good)
			print_error("'%s'\n", rows[i].text);
		assert_int_equal(bad == 0, rows[i].good);
		if (!rows[i].good) {
			assert_non_null(strstr(err.msg, "--wave: want TIME:PERCENT"));
			continue;
		}
		assert_int_equal(count, 1);
		assert_int_equal(out[0].at, NOW + rows[i].at);
		assert_int_equal(out[0].percent, rows[i].percent);
	}
}

/* What the presets say, clients take; each ends with all computers. */
static void presets(void **state)
{
	(void)state;
	for (int preset = 1; preset <= 4; preset++) {
		struct yg_err err = {0};
		struct yg_wave out[YG_ROLLOUT_WAVES_MAX];
		size_t count = 0;
		struct command *command YG_AUTO(mem) = calloc(1, sizeof(*command));
		assert_non_null(command);
		command->now = NOW;
		command->waves = preset;
		assert_int_equal(wave_parse(command, out, &count, &err), 0);
		assert_int_equal(out[count - 1].percent, 100);
		struct yg_rollout said = {.version = 1, .waves = out, .wave_count = count};
		json_t *custom YG_AUTO(yg_json) = yg_rollout_json(&said);
		struct yg_rollout *back YG_AUTO(yg_rollout) = yg_rollout_parse(custom, &err);
		assert_non_null(back);
		assert_int_equal(back->wave_count, count);
		assert_int_equal(wave_open(back, NOW - 1), 0);
		assert_int_equal(wave_open(back, out[count - 1].at), 100);
	}
}

/* ---- versions ---- */

static void versions_are_given_once(void **state)
{
	struct place *place = *state;
	struct yg_err err = {0};
	struct command *command = &place->command;
	assert_int_equal(released(command), 1);
	command->version = 40;
	assert_int_equal(released(command), 40);
	command->version = 0;
	assert_int_equal(released(command), 41);
	json_t *out YG_AUTO(yg_json) = NULL;
	command->operands[2] = "41";
	assert_int_equal(withdraw_run(command, &out, &err), 0);
	assert_int_equal(json_integer_value(json_object_get(out, "version")), 40);
	json_t *none = NULL;
	command->version = 41;
	assert_int_equal(release_run(command, &none, &err), -1);
	assert_non_null(strstr(err.msg, "--version: want > 41, which is published, have 41"));
	command->version = INT64_MAX;
	assert_int_equal(released(command), INT64_MAX);
	command->version = 0;
	assert_int_equal(release_run(command, &none, &err), -1);
	assert_int_equal(err.code, YG_ELIMIT);
}

/* The newest manifest is gone: a new release goes on from what is known of it. */
static void lost_manifests(void **state)
{
	struct place *place = *state;
	struct yg_err err = {0};
	struct command *command = &place->command;
	char line[256];
	assert_int_equal(released(command), 1);
	assert_int_equal(released(command), 2);
	assert_true(
		yg_str_put(line, sizeof(line), "rm %s/targets/am/*.am-pattern.json", place->repo));
	assert_int_equal(system(line), 0);
	json_t *out = NULL;
	command->all = true;
	assert_int_equal(wave_run(command, &out, &err), -1);
	assert_string_equal(err.msg, "am-pattern: no release that can be read");
	assert_int_equal(released(command), 3);
	struct repo repo YG_AUTO(repo) = {.dir = -1, .lock = -1};
	assert_int_equal(repo_open(&repo, place->repo, false, &err), 0);
	struct history *history YG_AUTO(history) = history_load(&repo, "am-pattern", &err);
	assert_non_null(history);
	assert_int_equal(history->count, 2);
	assert_int_equal(history->lost_count, 0);
	assert_int_equal(history->releases[0].manifest->version, 3);
	assert_int_equal(history->releases[1].manifest->version, 1);
	assert_int_equal(history->highest, 3);
}

/* Another component of the same role keeps what is said of it. */
static void neighbours(void **state)
{
	struct place *place = *state;
	struct yg_err err = {0};
	struct command other = place->command;
	other.component = "am-hash";
	assert_int_equal(released(&place->command), 1);
	assert_int_equal(released(&other), 1);
	assert_int_equal(released(&place->command), 2);
	struct repo repo YG_AUTO(repo) = {.dir = -1, .lock = -1};
	assert_int_equal(repo_open(&repo, place->repo, false, &err), 0);
	struct history *history YG_AUTO(history) = history_load(&repo, "am-hash", &err);
	assert_non_null(history);
	assert_int_equal(history->count, 1);
	assert_int_equal(history->rollout->version, 1);
}

/* ---- files that somebody else made ready ---- */

static void given_files(void **state)
{
	struct place *place = *state;
	struct yg_err err = {0};
	char path[256];
	json_t *out YG_AUTO(yg_json) = NULL, *none = NULL;
	assert_true(yg_str_put(path, sizeof(path), "%s/a.hdb", place->from));
	const struct release_file files[] = {{path, "deep/er/one.hdb"}, {path, "two.hdb"}};
	assert_int_equal(release_files(&place->command, files, 2, &out, &err), 0);
	assert_int_equal(json_integer_value(json_object_get(out, "files")), 2);
	const struct release_file bad[] = {{path, "../one.hdb"}, {path, "one.exe"}};
	assert_int_equal(release_files(&place->command, bad, 1, &none, &err), -1);
	assert_non_null(strstr(err.msg, "want a name of"));
	assert_int_equal(release_files(&place->command, bad + 1, 1, &none, &err), -1);
	assert_non_null(strstr(err.msg, "has no files of this kind"));
	assert_int_equal(release_files(&place->command, files, 0, &none, &err), -1);
}

/* ---- processes ---- */

struct sum {
	uint64_t total;
	size_t die, fail;
};

static void add(void *ctx, size_t index, int out, struct jobs_result *result)
{
	const struct sum *sum = ctx;
	struct yg_err err = {0};
	if (index == sum->die)
		_exit(3);
	result->size = index;
	result->good = yg_fs_write_all(out, "x", 1, &err) == 0;
}

static int added(void *ctx, size_t index, int out, const struct jobs_result *result,
	struct yg_err *err)
{
	struct sum *sum = ctx;
	assert_int_equal(result->size, index);
	assert_true(result->good);
	assert_int_equal(lseek(out, 0, SEEK_CUR), 1);
	sum->total += result->size;
	return index == sum->fail ? yg_fail(err, YG_EFORMAT, "enough") : 0;
}

static void jobs(void **state)
{
	struct place *place = *state;
	struct yg_err err = {0};
	size_t begun = 0;
	int dir YG_AUTO(fd) = yg_fs_open_dir(AT_FDCWD, place->dir, &err);
	struct sum sum = {.die = SIZE_MAX, .fail = SIZE_MAX};
	struct jobs jobs = {.ctx = &sum,
		.count = 100,
		.what = "adding",
		.dir = dir,
		.lock = -1,
		.work = add,
		.done = added};
	assert_int_equal(jobs_run(&jobs, &begun, &err), 0);
	assert_int_equal(begun, 100);
	assert_int_equal(sum.total, 4950);
	sum = (struct sum){.die = 50, .fail = SIZE_MAX};
	assert_int_equal(jobs_run(&jobs, NULL, &err), -1);
	assert_string_equal(err.msg, "a child process died");
	sum = (struct sum){.die = SIZE_MAX, .fail = 20};
	assert_int_equal(jobs_run(&jobs, NULL, &err), -1);
	assert_string_equal(err.msg, "enough");
	jobs.until_ms = 1; /* long ago */
	assert_int_equal(jobs_run(&jobs, &begun, &err), 0);
	assert_int_equal(begun, 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody was left */
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(waves), cmocka_unit_test(presets),
		cmocka_unit_test_setup_teardown(versions_are_given_once, setup, teardown),
		cmocka_unit_test_setup_teardown(lost_manifests, setup, teardown),
		cmocka_unit_test_setup_teardown(neighbours, setup, teardown),
		cmocka_unit_test_setup_teardown(given_files, setup, teardown),
		cmocka_unit_test_setup_teardown(jobs, setup, teardown)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
