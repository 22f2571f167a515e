/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* `yagura agent diagnostic-package`: what is on this computer, read from its files, so that it also works when
 * the agent does not run, or hangs. What the agent itself has to say is asked for by another process of this
 * program, which may take its time, and no more. In the order of what helps most: see archive/package.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "archive/package.h"
#include "cli/capture.h"
#include "cli/cli.h"
#include "cli/package.h"
#include "cli/text.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/host.h"
#include "core/json.h"
#include "core/ring.h"
#include "core/scrub.h"
#include "core/str.h"

#define STATE         "var/opt/yagura/agent"
#define CONF          YG_SYSCONFDIR "/agent.conf"
#define ASK_S         20
#define DIAGNOSE_S    120
#define OLD_LOGS_MAX  99
#define LISTING_MAX   (2u << 20)
#define LISTING_DEPTH 8
#define JOURNAL_LINES "20000"

struct work {
	struct cli *cli;
	struct yg_package *package; /* owned */
	int root, state;            /* folders; -1: not there */
	bool failed;                /* the package cannot be written: err says why */
	struct yg_err err;
};

static void work_free_at(struct work *w)
{
	yg_package_free(w->package);
	if (w->root >= 0)
		(void)close(w->root);
	if (w->state >= 0)
		(void)close(w->state);
}

/* ---- secrets that this computer knows ---- */

/* Each "password" of a JSON document, however deep. */
static void learn_json(const json_t *value)
{
	const char *name;
	json_t *part;
	size_t i;
	json_object_foreach((json_t *)(uintptr_t)value, name, part)
	{
		if (strstr(name, "password") || strstr(name, "secret") || strstr(name, "token"))
			(void)yg_scrub_add(json_string_value(part));
		learn_json(part);
	}
	json_array_foreach(value, i, part)
	{
		learn_json(part);
	}
}

/* A line "relay_password = …": the value may then stand anywhere else. */
static void learn_line(const char *line, size_t len)
{
	const char *equals = memchr(line, '=', len);
	if (!equals || !memmem(line, (size_t)(equals - line), "password", 8))
		return;
	const char *value = equals + 1 + strspn(equals + 1, " \t");
	const char *end = line + len;
	while (end > value && strchr(" \t\r", end[-1]))
		end--;
	char *own YG_AUTO(mem) = end > value ? strndup(value, (size_t)(end - value)) : NULL;
	(void)yg_scrub_add(own);
}

static void learn(const struct work *w)
{
	struct yg_err ignored = {0};
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(1u << 20);
	json_t *settings YG_AUTO(yg_json) = NULL;
	int fd YG_AUTO(fd) = w->state < 0
		? -1
		: yg_fs_open(w->state, "state/session/settings.json", &ignored);
	if (fd >= 0 && yg_json_read(fd, 4u << 20, &settings, &ignored) == 0)
		learn_json(settings);
	if (yg_fs_read(w->root, &CONF[1], &text, &ignored) < 0 ||
		yg_buf_add(&text, "", 1, &ignored) < 0)
		return;
	for (const char *at = (const char *)text.data; *at;) {
		size_t len = strcspn(at, "\n");
		learn_line(at, len);
		at += len + (at[len] == '\n');
	}
}

/* ---- pieces ---- */

static void add_text(struct work *w, const char *name, struct yg_bytes text)
{
	if (!w->failed)
		w->failed = yg_package_text(w->package, name, text, &w->err) < 0;
}

static void add_file(struct work *w, const char *name, int dir, const char *path)
{
	if (!w->failed && dir >= 0)
		w->failed = yg_package_file(w->package, name, dir, path, &w->err) < 0;
}

/* What a program says; why it says nothing is in the list of contents. */
static void add_output(struct work *w, const char *name, const char *const *argv, int seconds)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_PACKAGE_FILE_BYTES);
	struct yg_err err = {0};
	int status = 0;
	int rc = capture_run(argv, seconds, &text, &status, &err);
	if (text.len > 0)
		add_text(w, name, yg_buf_bytes(&text));
	if (rc < 0)
		yg_package_absent(w->package, name, err.msg);
	else if (text.len == 0)
		yg_package_absent(w->package, name,
			status ? "it failed, and says nothing" : "it says nothing");
}

static void add_answer(struct work *w, const char *name, const char *one, const char *two,
	int seconds)
{
	const char *const argv[] = {"/proc/self/exe", "--lang", "en", "--json", "--root",
		*w->cli->root ? w->cli->root : "/", one, two, NULL};
	add_output(w, name, argv, seconds);
}

static void add_answers(struct work *w)
{
	add_answer(w, "status.json", "agent", "status", ASK_S);
	add_answer(w, "diagnose.json", "diagnose", NULL, DIAGNOSE_S);
	add_answer(w, "components.json", "agent", "components", ASK_S);
	const char *const events[] = {"/proc/self/exe", "--lang", "en", "--json", "--root",
		*w->cli->root ? w->cli->root : "/", "agent", "events", "--limit", "500", NULL};
	add_output(w, "events.json", events, ASK_S);
}

static void add_state(struct work *w)
{
	static const char *const files[] = {"state/session/last-run.json", "state/alarms.json",
		"state/session/jobs.json", "state/session/settings.json", "state/policy.json",
		"state/hold.json", "state/relay.json", "state/relay-set.json",
		"state/session/spool"};
	add_file(w, "agent.conf", w->root, &CONF[1]);
	for (size_t i = 0; i < YG_COUNT(files); i++)
		add_file(w, files[i], w->state, files[i]);
	add_file(w, "lib/set.json", w->state, "lib/set.json");
	add_file(w, "li_roll/set.json", w->state, "li_roll/set.json");
}

/* Newest first: of all logs the present file, then of all the one before. */
static void add_logs(struct work *w)
{
	static const char *const names[] = {"TmuDump.txt", "iau.log", "iaurelay.log"};
	for (int age = 0; age <= OLD_LOGS_MAX; age++) {
		for (size_t i = 0; i < YG_COUNT(names); i++) {
			char path[64];
			char old[16] = "";
			if ((age > 0 && !yg_str_put(old, sizeof(old), ".%d", age)) ||
				!yg_str_put(path, sizeof(path), "iaulogs/%s%s", names[i], old))
				continue;
			add_file(w, path, w->state, path);
		}
	}
}

static void add_ring(void *ctx, const char *name, struct yg_bytes text)
{
	char path[300];
	if (yg_str_put(path, sizeof(path), "ring/%.250s.log", name))
		add_text(ctx, path, text);
}

static void add_rings(struct work *w)
{
	struct yg_err err = {0};
	int dir YG_AUTO(fd) = yg_fs_open_dir(w->root, "run/yagura/ring", &err);
	if (dir < 0 || yg_ring_all(dir, add_ring, w, &err) < 0)
		yg_package_absent(w->package, "ring", err.msg);
}

static void add_host(struct work *w)
{
	json_t *facts YG_AUTO(yg_json) = yg_host_facts();
	size_t i;
	json_t *fact;
	json_array_foreach(facts, i, fact)
	{
		char path[128];
		const char *name = json_string_value(json_object_get(fact, "name"));
		const char *text = json_string_value(json_object_get(fact, "text"));
		if (yg_str_put(path, sizeof(path), "host/%s", name))
			add_text(w, path, yg_bytes_of(text));
	}
}

/* Of a service of this system, not of an agent with a root of its own. */
static void add_journal(struct work *w)
{
	static const char *const argv[] = {"journalctl", "--no-pager", "--quiet", "--output",
		"short-iso-precise", "--lines", JOURNAL_LINES, "--unit", "yagura-agent.service",
		"--unit", "yagura-manager.service", NULL};
	if (!*w->cli->root || strcmp(w->cli->root, "/") == 0)
		add_output(w, "journal.txt", argv, DIAGNOSE_S);
}

/* ---- what is on the disk: names, sizes, times, never contents ---- */

static int list_folder(struct yg_buf *out, int dir, const char *path, int depth,
	struct yg_err *err);

static int list_entry(struct yg_buf *out, int dir, const char *path, const char *name, int depth,
	struct yg_err *err)
{
	struct stat st;
	char when[YG_CLOCK_TEXT];
	char to[512] = "";
	char below[4096];
	struct yg_err ignored = {0};
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* gone since */
	yg_clock_format(st.st_mtime, when);
	if (S_ISLNK(st.st_mode) && yg_fs_readlink(dir, name, to, sizeof(to), &ignored) < 0)
		to[0] = 0;
	if (yg_str_addf(out, err, "%06o %u:%u %lu %lld %s %s/%s%s%s\n", (unsigned)st.st_mode,
		    (unsigned)st.st_uid, (unsigned)st.st_gid, (unsigned long)st.st_nlink,
		    (long long)st.st_size, when, path, name, to[0] ? " -> " : "", to) < 0)
		return -1;
	if (!S_ISDIR(st.st_mode) || depth == LISTING_DEPTH ||
		!yg_str_put(below, sizeof(below), "%s/%s", path, name))
		return 0;
	int folder YG_AUTO(fd) = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return folder < 0 ? 0 : list_folder(out, folder, below, depth + 1, err);
}

static int list_folder(struct yg_buf *out, int dir, const char *path, int depth, struct yg_err *err)
{
	struct dirent **names = NULL;
	int count = scandirat(dir, ".", &names, NULL, alphasort);
	int rc = 0;
	for (int i = 0; i < count; i++) {
		const char *name = names[i]->d_name;
		if (rc == 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
			rc = list_entry(out, dir, path, name, depth, err);
		free(names[i]);
	}
	free(names);
	return rc;
}

static void add_listing(struct work *w)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(LISTING_MAX);
	struct yg_err full = {0};
	if (w->state < 0)
		return;
	/* A full list says so by its end. */
	(void)list_folder(&text, w->state, STATE, 0, &full);
	add_text(w, "store.txt", yg_buf_bytes(&text));
	if (full.code)
		yg_package_absent(w->package, "store.txt", "the rest of it: too long");
}

/* ---- the whole ---- */

static void add_all(struct work *w)
{
	if (w->state < 0)
		yg_package_absent(w->package, STATE, "not there, or not to be read");
	add_answers(w);
	add_state(w);
	add_rings(w);
	add_logs(w);
	add_listing(w);
	add_host(w);
	add_journal(w);
}

/* "yagura-agent-web01-20261122T063939Z.zip" */
static char *usual_name(void)
{
	char host[65] = "";
	char when[32] = "";
	struct tm tm;
	time_t now = (time_t)yg_clock_now_s();
	if (gethostname(host, sizeof(host) - 1) < 0 ||
		!yg_str_name_ok(host, sizeof(host), YG_STR_FILE_CHARS))
		(void)!yg_str_put(host, sizeof(host), "host");
	if (gmtime_r(&now, &tm))
		(void)strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
	return yg_str_format("yagura-agent-%s-%s.zip", host, when);
}

int package_done(struct cli *cli, const char *path, json_t *contents)
{
	static const char *const headings[][2] = {{"File", "ファイル"}, {"Size", "サイズ"},
		{"Note", "備考"}};
	(void)json_object_set_new(contents, "file", json_string(path));
	if (cli->json)
		return cli_json(contents);
	struct text_table *table YG_AUTO(text_table) = cli_table(cli, 3, headings);
	size_t i;
	json_t *file;
	json_array_foreach(json_object_get(contents, "files"), i, file)
	{
		const char *absent = json_string_value(json_object_get(file, "absent"));
		json_int_t secrets = json_integer_value(json_object_get(file, "secrets"));
		char *bytes YG_AUTO(
			mem) = text_bytes(json_integer_value(json_object_get(file, "bytes")),
			cli->lang);
		text_table_add(table, json_string_value(json_object_get(file, "name")));
		text_table_add(table, absent ? "" : bytes);
		if (absent)
			text_table_addf(table, cli_say(cli, "left out: %s", "対象外: %s"), absent);
		else if (json_object_get(file, "of"))
			text_table_add(table, cli_say(cli, "only the newest part", "最新部分のみ"));
		else if (secrets > 0)
			text_table_addf(table,
				cli_say(cli, "secrets taken out: %lld", "機密情報を除去: %lld件"),
				(long long)secrets);
		else
			text_table_add(table, "");
	}
	text_table_print(table, stdout);
	(void)printf(cli_say(cli, "\nWritten: %s. Passwords, keys and tokens were taken out.\n",
			     "\n%s に保存しました。パスワード、鍵、トークンは除去されています。\n"),
		path);
	return ARGS_DONE;
}

int package_agent(struct cli *cli)
{
	const char *given = args_get(&cli->args, "--out");
	char *path YG_AUTO(mem) = given ? strdup(given) : usual_name();
	struct work w YG_AUTO(work) = {.cli = cli, .root = -1, .state = -1};
	json_t *contents YG_AUTO(yg_json) = NULL;
	struct yg_err ignored = {0};
	w.root = yg_fs_open_dir(AT_FDCWD, *cli->root ? cli->root : "/", &w.err);
	if (w.root < 0 || !path)
		return cli_fail(cli, &w.err);
	w.state = yg_fs_open_dir(w.root, STATE, &ignored);
	/* Never over something else: it is often made by root. */
	int out YG_AUTO(
		fd) = yg_fs_open_flags(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0600, &w.err);
	if (out < 0)
		return cli_fail(cli, &w.err);
	w.package = yg_package_new(out, "agent", &w.err);
	if (w.package) {
		learn(&w);
		add_all(&w);
	}
	if (!w.package || w.failed || yg_package_close(w.package, &contents, &w.err) < 0) {
		(void)unlink(path);
		return cli_fail(cli, &w.err);
	}
	return package_done(cli, path, contents);
}
