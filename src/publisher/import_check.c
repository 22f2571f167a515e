/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/import_check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "content/manifest.h"
#include "content/sample.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "engine/am/am.h"
#include "engine/am/cvd.h"
#include "publisher/feed/feed.h"
#include "publisher/import_child.h"
#include "publisher/import_tool.h"

#define ENGINE_S 1800 /* seconds that loading and trying samples may take */
#define TOOL_S   600
#define SAID_MAX 65536u /* bytes of what a program says */

/* What libclamav and what it brings along read when they are set up. */
static const char *const system_paths[] = {"/usr", "/lib", "/etc", "/proc"};
#define SYSTEM_COUNT YG_COUNT(system_paths)

struct system {
	int fds[SYSTEM_COUNT]; /* owned */
	struct yg_sandbox_path paths[SYSTEM_COUNT + 2];
	uint32_t count;
};

static void system_free_at(struct system *system)
{
	for (size_t i = 0; i < SYSTEM_COUNT; i++)
		fd_free_at(&system->fds[i]);
}

static void system_open(struct system *system)
{
	for (size_t i = 0; i < SYSTEM_COUNT; i++) {
		system->fds[i] = open(system_paths[i], O_PATH | O_CLOEXEC);
		if (system->fds[i] >= 0)
			system->paths[system->count++] = (struct yg_sandbox_path){
				.fd = system->fds[i]};
	}
}

/* ---- a .cvd ---- */

static int verify_work(void *ctx, json_t **out, struct yg_err *err)
{
	(void)out;
	return yg_am_cvd_verify(ctx, err);
}

int import_check_cvd(const char *path, const struct scratch *scratch, struct yg_err *err)
{
	struct system system YG_AUTO(system) = {.count = 0};
	json_t *nothing YG_AUTO(yg_json) = NULL;
	struct yg_err why = {0};
	char link[320];
	char *real YG_AUTO(mem) = realpath(path, NULL);
	int fd YG_AUTO(fd) = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0 || !real)
		return yg_fail_sys(err, errno, "'%.200s'", path);
	/* One from an archive has a number for a name; libclamav goes by ".cvd". */
	if (!yg_str_put(link, sizeof(link), "%s/verify.cvd", scratch->path))
		return yg_fail(err, YG_ELIMIT, "path too long");
	if (yg_fs_symlink(scratch->dir, real, "verify.cvd", err) < 0)
		return -1;
	system_open(&system);
	system.paths[system.count++] = (struct yg_sandbox_path){.fd = fd};
	system.paths[system.count++] = (struct yg_sandbox_path){.fd = scratch->dir, .write = true};
	const struct import_child child = {.what = "verifying a signature",
		.work = verify_work,
		.ctx = link,
		.paths = system.paths,
		.path_count = system.count,
		.seconds = TOOL_S};
	if (import_child_run(&child, &nothing, &why) == 0)
		return 0;
	return yg_fail_cause(err, why.code, "feed.untrusted", "%s", why.msg);
}

/* ---- the engine ---- */

struct engine_job {
	int set, tmp, certs;
	const struct command *command;
	const char **names; /* of samples */
	int *fds;           /* the same */
};

/* A sample as engines want it: in its container. */
static int contained(const char *path, struct yg_err *err)
{
	struct yg_buf given YG_AUTO(yg_buf) = YG_BUF(YG_SAMPLE_SIZE_MAX + 8);
	struct yg_buf other YG_AUTO(yg_buf) = YG_BUF(YG_SAMPLE_SIZE_MAX + 8);
	struct yg_err why = {0};
	if (yg_fs_read(AT_FDCWD, path, &given, err) < 0)
		return -1;
	if (yg_sample_decode(yg_buf_bytes(&given), &other, &why) == 0)
		return yg_fs_memfd("sample", yg_buf_bytes(&given), err);
	other.len = 0;
	if (yg_sample_encode(yg_buf_bytes(&given), &other, err) < 0)
		return -1;
	return yg_fs_memfd("sample", yg_buf_bytes(&other), err);
}

static void instance_free_at(void **at)
{
	yg_am_engine.stop(*at);
}

static int engine_work(void *ctx, json_t **out, struct yg_err *err)
{
	const struct engine_job *job = ctx;
	const struct yg_sandbox_path paths[] = {{.fd = job->tmp, .write = true}, {.fd = job->set},
		{.fd = job->certs}};
	struct yg_engine_loaded loaded = {0};
	void *engine YG_AUTO(instance) = NULL;
	size_t find = job->command->find_count, count = find + job->command->pass_count;
	if (yg_am_engine.start(job->tmp, &engine, err) < 0 ||
		yg_sandbox_narrow(paths, job->certs < 0 ? 2 : 3, err) < 0 ||
		yg_am_engine.load(engine, job->set, &loaded, err) < 0 ||
		yg_engine_trial(&yg_am_engine, engine, job->names, job->fds, count, find, err) < 0)
		return -1;
	*out = json_integer((json_int_t)loaded.signatures);
	return 0;
}

struct samples {
	const char **names; /* owned, the array */
	int *fds;           /* owned */
	size_t count;
};

static void samples_free_at(const struct samples *samples)
{
	for (size_t i = 0; i < samples->count; i++)
		fd_free_at(&samples->fds[i]);
	free(samples->fds);
	free(samples->names);
}

static int open_samples(struct samples *samples, const struct command *command, struct yg_err *err)
{
	size_t count = command->find_count + command->pass_count;
	samples->names = calloc(count + 1, sizeof(*samples->names));
	samples->fds = calloc(count + 1, sizeof(*samples->fds));
	if (!samples->names || !samples->fds)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (size_t i = 0; i < count; i++) {
		const char *path = i < command->find_count ? command->find[i]
							   : command->pass[i - command->find_count];
		int fd = contained(path, err);
		if (fd < 0)
			return yg_wrap(err, "sample '%.200s'", path);
		samples->names[i] = path;
		samples->fds[samples->count++] = fd;
	}
	return 0;
}

/* "am-pattern: daily.ndb: line 17: …": of the file as it would be published, where remarks are left out.
 * Say what is called so there.
 */
static void name_line(const struct command *command, const struct scratch *scratch,
	struct yg_err *err)
{
	char path[768], file[256];
	size_t skip = strlen(command->component) + 2;
	const char *at = strstr(err->msg, ": line ");
	if (strlen(err->msg) < skip || !at || at < err->msg + skip ||
		!yg_str_put(file, sizeof(file), "%.*s", (int)(at - (err->msg + skip)),
			err->msg + skip) ||
		strchr(file, '/') ||
		!yg_str_put(path, sizeof(path), "%s/set/%s/%s", scratch->path, command->component,
			file))
		return;
	FILE *in = fopen(path, "re");
	char *line YG_AUTO(mem) = NULL;
	size_t cap = 0;
	uint64_t want = 0;
	struct yg_bytes digits = yg_bytes_of(at + strlen(": line "));
	digits.len = strspn((const char *)digits.ptr, "0123456789");
	if (in && feed_number(digits, UINT32_MAX, &want)) {
		ssize_t len = -1;
		for (uint64_t i = 0; i < want && (len = getline(&line, &cap, in)) >= 0; i++)
			continue;
		if (len > 0)
			(void)yg_wrap(err, "'%.60s'", strtok_r(line, "\r\n", &(char *){NULL}));
	}
	if (in)
		(void)fclose(in);
}

static int try_engine(const struct command *command, const struct scratch *scratch, int64_t *loaded,
	struct yg_err *err)
{
	struct system system YG_AUTO(system) = {.count = 0};
	struct samples samples YG_AUTO(samples) = {0};
	struct yg_err why = {0};
	json_t *count YG_AUTO(yg_json) = NULL;
	int set YG_AUTO(fd) = yg_fs_open_dir(scratch->dir, "set", err);
	int tmp YG_AUTO(fd) = set < 0 ? -1 : yg_fs_open_dir(scratch->dir, "tmp", err);
	int certs YG_AUTO(fd) = open(YG_AM_NO_CERTS, O_PATH | O_CLOEXEC);
	if (tmp < 0 || open_samples(&samples, command, err) < 0)
		return -1;
	system_open(&system);
	system.paths[system.count++] = (struct yg_sandbox_path){.fd = scratch->dir, .write = true};
	struct engine_job job = {set, tmp, certs, command, samples.names, samples.fds};
	const struct import_child child = {.what = "trying it in the engine",
		.work = engine_work,
		.ctx = &job,
		.paths = system.paths,
		.path_count = system.count,
		.seconds = ENGINE_S};
	if (import_child_run(&child, &count, &why) == 0) {
		*loaded = json_integer_value(count);
		return 0;
	}
	if (why.code == YG_ESYSTEM) {
		*err = why;
		return -1;
	}
	(void)yg_fail_cause(err, why.code, "feed.engine", "%s", why.msg);
	if (strcmp(why.cause, "engine.load") == 0)
		name_line(command, scratch, err);
	return -1;
}

/* ---- programs ---- */

/* The first line that says what is wrong, without the folder that nobody knows. */
static void first_error(const struct yg_buf *said, const char *folder, char out[256])
{
	struct feed_text lines = {yg_buf_bytes(said), 0};
	struct yg_bytes line, first = {NULL, 0};
	while (feed_text_next(&lines, &line)) {
		if (line.len == 0)
			continue;
		if (first.len == 0)
			first = line;
		if (memmem(line.ptr, line.len, "rror", 4)) {
			first = line;
			break;
		}
	}
	size_t len = first.len < 255 ? first.len : 255;
	for (size_t i = 0; i < len; i++)
		out[i] = (char)(first.ptr[i] < 0x20 || first.ptr[i] > 0x7e ? '?' : first.ptr[i]);
	out[len] = 0;
	size_t skip = strlen(folder);
	for (char *at; (at = strstr(out, folder)) && at[skip] == '/';)
		memmove(at, at + skip + 1, strlen(at + skip + 1) + 1);
}

static int ask(const char *name, const char *path, char *const argv[], int work, const char *folder,
	const char *file, struct yg_err *err)
{
	struct yg_buf said YG_AUTO(yg_buf) = YG_BUF(SAID_MAX);
	char line[256];
	int status = 0;
	if (import_tool_run(path, argv, work, TOOL_S, &said, &status, err) < 0)
		return -1;
	if (status == 0)
		return 0;
	first_error(&said, folder, line);
	return yg_fail_cause(err, YG_EFORMAT, "feed.engine", "%s refuses %s: %s", name, file, line);
}

/* All rules in one file: "-S" takes one, and then only that. */
static int join_rules(const char *folder, const char *to, struct yg_err *err)
{
	struct dirent **list = NULL;
	int out YG_AUTO(fd) = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int count = out < 0 ? -1 : scandir(folder, &list, NULL, alphasort);
	int dir YG_AUTO(fd) = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int bad = count < 0 ? yg_fail_sys(err, errno, "'%.200s'", folder) : 0;
	for (int i = 0; i < count; i++) {
		struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(1u << 30);
		if (bad == 0 && feed_ext(list[i]->d_name, " rules ") &&
			(yg_fs_read(dir, list[i]->d_name, &text, err) < 0 ||
				yg_fs_write_all(out, text.data, text.len, err) < 0))
			bad = -1;
		free(list[i]);
	}
	free(list);
	return bad;
}

#define ARG(text) ((char *)(uintptr_t)(text))

static int try_suricata(const char *folder, const struct scratch *scratch, const char *tool,
	struct yg_err *err)
{
	char rules[320], logs[320], classes[1024];
	char *argv[12] = {ARG("suricata"), ARG("-T"), ARG("-S"), rules, ARG("-l"), logs};
	size_t n = 6;
	if (!yg_str_put(rules, sizeof(rules), "%s/tmp/all.rules", scratch->path) ||
		!yg_str_put(logs, sizeof(logs), "%s/tmp", scratch->path) ||
		!yg_str_put(classes, sizeof(classes),
			"classification-file=%s/classification.config", folder))
		return yg_fail(err, YG_ELIMIT, "path too long");
	if (join_rules(folder, rules, err) < 0)
		return -1;
	if (access(strchr(classes, '=') + 1, R_OK) == 0) {
		argv[n++] = ARG("--set");
		argv[n++] = classes;
	}
	return ask("suricata", tool, argv, scratch->dir, logs, "the rules", err);
}

/* *asked: there were rules. */
static int try_yarac(const char *folder, const struct scratch *scratch, const char *tool,
	bool *asked, struct yg_err *err)
{
	struct dirent **list = NULL;
	int count = scandir(folder, &list, NULL, alphasort);
	int bad = count < 0 ? yg_fail_sys(err, errno, "'%.200s'", folder) : 0;
	for (int i = 0; i < count; i++) {
		char path[1024];
		char *argv[] = {ARG("yarac"), path, ARG("/dev/null"), NULL};
		if (bad == 0 && feed_ext(list[i]->d_name, " yar yara ") &&
			yg_str_put(path, sizeof(path), "%s/%s", folder, list[i]->d_name)) {
			*asked = true;
			bad = ask("yarac", tool, argv, scratch->dir, folder, list[i]->d_name, err);
		}
		free(list[i]);
	}
	free(list);
	return bad;
}

static int note(json_t *by, const char *name, struct yg_err *err)
{
	return json_array_append_new(by, json_string(name)) < 0
		? yg_fail(err, YG_ESYSTEM, "out of memory")
		: 0;
}

int import_check_content(const struct command *command, const struct scratch *scratch, json_t **by,
	int64_t *loaded, struct yg_err *err)
{
	char tool[512], folder[512];
	const char *role = yg_component_role(command->component);
	json_t *list YG_AUTO(yg_json) = json_array();
	*loaded = -1;
	if (!role || !list ||
		!yg_str_put(folder, sizeof(folder), "%s/set/%s", scratch->path, command->component))
		return yg_fail(err, YG_ELIMIT, "path too long");
	bool rules = false;
	if (strcmp(role, "am") == 0 && import_tool_find("yarac", tool, sizeof(tool)) &&
		(try_yarac(folder, scratch, tool, &rules, err) < 0 ||
			(rules && note(list, "yarac", err) < 0)))
		return -1;
	if (strcmp(role, "am") == 0 &&
		(note(list, "libclamav", err) < 0 || try_engine(command, scratch, loaded, err) < 0))
		return -1;
	if (strcmp(command->component, "ips-rules") == 0 &&
		import_tool_find("suricata", tool, sizeof(tool)) &&
		(note(list, "suricata", err) < 0 || try_suricata(folder, scratch, tool, err) < 0))
		return -1;
	*by = yg_take(list);
	return 0;
}
