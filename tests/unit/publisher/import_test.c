/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/sandbox.h"
#include "core/str.h"
#include "publisher/diff_compare.h"
#include "publisher/import_child.h"
#include "publisher/import_tool.h"
#include "publisher/scratch.h"
#include "tests/lib/cmocka_all.h"

/* ---- work in a process of its own ---- */

static int fine(void *ctx, json_t **out, struct yg_err *err)
{
	(void)err;
	*out = json_pack("{s:s}", "said", (const char *)ctx);
	return 0;
}

static int fails(void *ctx, json_t **out, struct yg_err *err)
{
	(void)ctx;
	(void)out;
	return yg_fail_cause(err, YG_ELIMIT, "feed.engine",
		"a\xff"
		"b\n\033[1m");
}

static int dies(void *ctx, json_t **out, struct yg_err *err)
{
	(void)ctx;
	(void)out;
	(void)err;
	(void)raise(SIGKILL);
	return 0;
}

static int sleeps(void *ctx, json_t **out, struct yg_err *err)
{
	(void)ctx;
	(void)out;
	(void)err;
	while (getppid() > 0)
		(void)usleep(10000);
	return 0;
}

/* What the sandbox leaves: nothing outside of the folder, no network. Says what it could do. */
static int tries(void *ctx, json_t **out, struct yg_err *err)
{
	const struct scratch *scratch = ctx;
	int in = openat(scratch->dir, "x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	int passwd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	int net = socket(AF_INET, SOCK_STREAM, 0);
	(void)err;
	*out = json_pack("{s:b, s:b, s:b}", "own", in >= 0, "passwd", passwd >= 0, "net", net >= 0);
	return 0;
}

static int run(int (*work)(void *, json_t **, struct yg_err *), void *ctx, unsigned seconds,
	const struct scratch *scratch, json_t **out, struct yg_err *err)
{
	const struct yg_sandbox_path path = {.fd = scratch ? scratch->dir : -1, .write = true};
	const struct import_child child = {.what = "testing",
		.work = work,
		.ctx = ctx,
		.paths = &path,
		.path_count = scratch ? 1 : 0,
		.seconds = seconds};
	return import_child_run(&child, out, err);
}

static void child(void **state)
{
	struct yg_err err = {0};
	json_t *out YG_AUTO(yg_json) = NULL;
	char text[] = "hello";
	(void)state;
	if (run(fine, text, 30, NULL, &out, &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(json_string_value(json_object_get(out, "said")), "hello");
	assert_int_equal(run(fails, NULL, 30, NULL, &out, &err), -1);
	assert_int_equal(err.code, YG_ELIMIT);
	assert_string_equal(err.cause, "feed.engine");
	assert_string_equal(err.msg, "a?b??[1m");
	assert_int_equal(run(dies, NULL, 30, NULL, &out, &err), -1);
	assert_true(strstr(err.msg, "testing: ended by signal 9") == err.msg);
	assert_int_equal(run(sleeps, NULL, 1, NULL, &out, &err), -1);
	assert_string_equal(err.msg, "testing: want an end within 1 s, had none");
}

static void walls(void **state)
{
	struct yg_err err = {0};
	struct scratch scratch YG_AUTO(scratch) = {.dir = -1};
	json_t *out YG_AUTO(yg_json) = NULL;
	(void)state;
	assert_int_equal(scratch_open(&scratch, &err), 0);
	if (run(tries, &scratch, 30, &scratch, &out, &err) < 0)
		fail_msg("%s", err.msg);
	assert_true(json_is_true(json_object_get(out, "own")));
	if (!yg_sandbox_walls())
		return;
	assert_true(json_is_false(json_object_get(out, "passwd")));
	assert_true(json_is_false(json_object_get(out, "net")));
}

/* ---- the folder of one command ---- */

static void scratch(void **state)
{
	struct yg_err err = {0};
	char base[] = "/tmp/yg-scratch-XXXXXX", path[256];
	struct stat at;
	(void)state;
	assert_non_null(mkdtemp(base));
	char *before YG_AUTO(mem) = getenv("TMPDIR") ? strdup(getenv("TMPDIR")) : NULL;
	assert_int_equal(setenv("TMPDIR", base, 1), 0);
	struct scratch one = {.dir = -1}, two = {.dir = -1};
	assert_int_equal(scratch_open(&one, &err), 0);
	assert_int_equal(scratch_open(&two, &err), 0);
	assert_string_not_equal(one.path, two.path);
	assert_int_equal(yg_fs_mkdirs(one.dir, "a/b", 0700, &err), 0);
	assert_true(yg_str_put(path, sizeof(path), "%s", one.path));
	scratch_close(&one);
	assert_int_equal(stat(path, &at), -1);
	assert_int_equal(stat(two.path, &at), 0); /* somebody works there */
	scratch_close(&two);
	assert_int_equal(rmdir(base), 0);
	assert_int_equal(setenv("TMPDIR", "/nonexistent/folder", 1), 0);
	assert_int_equal(scratch_open(&one, &err), -1);
	assert_true(strstr(err.msg, "making a folder in '/nonexistent/folder'") == err.msg);
	assert_int_equal(before ? setenv("TMPDIR", before, 1) : unsetenv("TMPDIR"), 0);
}

/* ---- programs ---- */

static void tool(void **state)
{
	struct yg_err err = {0};
	char path[256], sh[] = "sh", c[] = "-c",
			script[] = "echo out; echo err >&2; env | wc -l; exit 3",
			hang[] = "exec sleep 1000";
	char *argv[] = {sh, c, script, NULL};
	struct yg_buf said YG_AUTO(yg_buf) = YG_BUF(4096);
	int status = -1;
	(void)state;
	assert_true(import_tool_find("sh", path, sizeof(path)));
	assert_false(import_tool_find("no-such-program-here", path, sizeof(path)));
	assert_true(import_tool_find("sh", path, sizeof(path)));
	int work YG_AUTO(fd) = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (import_tool_run(path, argv, work, 60, &said, &status, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(status, 3);
	assert_true(said.len > 8 && memcmp(said.data, "out\nerr\n", 8) == 0);
	/* What reads a stranger's rules reaches neither keys nor the network. */
	char reach[] = "cat /etc/passwd >/dev/null 2>&1 && exit 1; ls / >/dev/null 2>&1 && exit 2;"
		       " touch /var/tmp/yagura-import-test 2>/dev/null && exit 3; exit 0";
	argv[2] = reach;
	assert_int_equal(import_tool_run(path, argv, work, 60, &said, &status, &err), 0);
	if (yg_sandbox_walls())
		assert_int_equal(status, 0);
	argv[2] = hang;
	assert_int_equal(import_tool_run(path, argv, work, 1, &said, &status, &err), -1);
	assert_string_equal(err.msg, "sh: want an end within 1 s, had none");
}

/* ---- comparing ---- */

struct row {
	const char *name, *a, *b; /* NULL: not there */
	int before, after, added, removed, changed;
};

static void put_side(struct diff_side *side, const struct scratch *scratch, const char *name,
	const char *text, const char *file)
{
	struct yg_err err = {0};
	char path[512];
	if (!text)
		return;
	assert_int_equal(yg_fs_replace(scratch->dir, file, yg_bytes_of(text), 0600, &err), 0);
	assert_true(yg_str_put(path, sizeof(path), "%s/%s", scratch->path, file));
	assert_int_equal(diff_compare_add(side, name, path, &err), 0);
}

static int number(const json_t *object, const char *name)
{
	return (int)json_integer_value(json_object_get(object, name));
}

static void compare(void **state)
{
	static const struct row rows[] = {
		{"a.ndb", "A:0:*:41\nB:0:*:42\n", "# x\nB:0:*:42\nA:0:*:41\n", 2, 2, 0, 0, 0},
		{"a.ndb", "A:0:*:41\nB:0:*:42\n", "A:0:*:43\nC:0:*:42\n", 2, 2, 1, 1, 1},
		{"a.hdb", "x:1:N\ny:1:N\nz:1:N\n", "x:1:N\nv:1:N\n", 3, 2, 0, 1, 1},
		{"a.ndb", "A:0:*:41\nA:0:*:41\n", "A:0:*:41\n", 2, 1, 0, 1, 0},
		{"a.ndb", NULL, "A:0:*:41\n", 0, 1, 1, 0, 0},
		{"a.ndb", "A:0:*:41\n", NULL, 1, 0, 0, 1, 0},
		{"a.ndb", "", NULL, 0, 0, 0, 0, 0},
		{"a.list", "a.example\nb.example\n", "b.example\nc.example\n", 2, 2, 1, 1, 0},
		{"a.yar", "rule A { condition: true }", "rule A { condition: false }", 1, 1, 0, 0,
			1},
		{"samples/find/x", "a\nb\n", "a\nc\n", 1, 1, 0, 0, 1},
		{"broken.yar", "rule A {", "rule A {\nx", 1, 2, 1, 0, 0},
	};
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		struct scratch scratch YG_AUTO(scratch) = {.dir = -1};
		struct diff_compare job YG_AUTO(diff_compare) = {.limit = 5};
		json_t *out YG_AUTO(yg_json) = NULL;
		assert_int_equal(scratch_open(&scratch, &err), 0);
		put_side(&job.a, &scratch, rows[i].name, rows[i].a, "a");
		put_side(&job.b, &scratch, rows[i].name, rows[i].b, "b");
		if (diff_compare_work(&job, &out, &err) < 0)
			fail_msg("%s", err.msg);
		assert_int_equal(number(out, "before"), rows[i].before);
		assert_int_equal(number(out, "after"), rows[i].after);
		assert_int_equal(number(out, "added"), rows[i].added);
		assert_int_equal(number(out, "removed"), rows[i].removed);
		assert_int_equal(number(out, "changed"), rows[i].changed);
		bool differs = rows[i].added + rows[i].removed + rows[i].changed > 0 ||
			!rows[i].a || !rows[i].b;
		assert_int_equal(json_array_size(json_object_get(out, "files")), differs ? 1 : 0);
	}
}

/* Names that are on both sides are listed once, and no more than asked for. */
static void names(void **state)
{
	struct yg_err err = {0};
	struct scratch scratch YG_AUTO(scratch) = {.dir = -1};
	struct diff_compare job YG_AUTO(diff_compare) = {.limit = 2};
	json_t *out YG_AUTO(yg_json) = NULL;
	(void)state;
	assert_int_equal(scratch_open(&scratch, &err), 0);
	put_side(&job.a, &scratch, "a.ndb", "A:0:*:41\nB:0:*:42\nC:0:*:43\nD:0:*:44\n", "a");
	put_side(&job.b, &scratch, "a.ndb", "A:0:*:51\nE\x01:0:*:42\n", "b");
	assert_int_equal(diff_compare_work(&job, &out, &err), 0);
	json_t *file = json_array_get(json_object_get(out, "files"), 0);
	char *text YG_AUTO(mem) = yg_json_text(file);
	assert_string_equal(text,
		"{\"added\":1,\"added_names\":[\"E?\"],\"after\":2,\"before\":4,\"changed\":1,"
		"\"changed_names\":[\"A\"],\"file\":\"a.ndb\",\"removed\":3,"
		"\"removed_names\":[\"B\",\"C\"]}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(child), cmocka_unit_test(walls),
		cmocka_unit_test(scratch), cmocka_unit_test(tool), cmocka_unit_test(compare),
		cmocka_unit_test(names)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
