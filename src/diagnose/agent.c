/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "diagnose/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "crypto/x509.h"
#include "diagnose/files.h"
#include "diagnose/signature.h"
#include "proto/cause.h"

#define STATE    "var/opt/yagura/agent"
#define FILE_MAX (1u << 20) /* bytes of a file of the agent that is read */
#define CLOCK_S  300        /* seconds that a clock may be wrong without harm */

static const char *member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

/* A JSON file of the agent; NULL when it is not there or broken (which the agent says of itself). */
static json_t *read_json(int dir, const char *path)
{
	json_t *value = NULL;
	struct yg_err ignored = {0};
	int fd YG_AUTO(fd) = dir < 0 ? -1 : yg_fs_open(dir, path, &ignored);
	if (fd < 0 || yg_json_read(fd, FILE_MAX, &value, &ignored) < 0)
		return NULL;
	return value;
}

json_t *yg_diagnose_identity(const char *root)
{
	char path[8192];
	if (!yg_str_put(path, sizeof(path), "%s/" STATE, root))
		return json_object();
	int dir YG_AUTO(fd) = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	json_t *identity YG_AUTO(yg_json) = read_json(dir, "state/identity/identity.json");
	return json_pack("{s:s, s:s, s:s}", "name", member(identity, "name"), "id",
		member(identity, "agent_id"), "manager", member(identity, "manager_url"));
}

/* ---- the program and its configuration ---- */

/* What `yagura-agent --check-config` prints when it is not content; "" when it is, or cannot be asked. */
static void check_config(const struct yg_diagnose_agent *given, char out[512])
{
	char root[4096];
	char program[4096];
	static char flag[] = "--check-config", option[] = "--root";
	int status = 0;
	pid_t child = 0;
	posix_spawn_file_actions_t actions;
	out[0] = 0;
	int answer YG_AUTO(fd) = memfd_create("answer", MFD_CLOEXEC);
	if (answer < 0 || !given->program ||
		!yg_str_put(root, sizeof(root), "%s", *given->root ? given->root : "/") ||
		!yg_str_put(program, sizeof(program), "%s", given->program))
		return;
	char *const argv[] = {program, flag, option, root, NULL};
	if (posix_spawn_file_actions_init(&actions) != 0)
		return;
	int rc = posix_spawn_file_actions_adddup2(&actions, answer, STDERR_FILENO) ||
		posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY,
			0) ||
		posix_spawn(&child, program, &actions, NULL, argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	while (rc == 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (rc != 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 1)
		return;
	ssize_t n = pread(answer, out, 511, 0);
	out[n > 0 ? n : 0] = 0;
	out[strcspn(out, "\n")] = 0;
}

static void look_at_program(struct yg_diagnosis *d, const struct yg_diagnose_agent *given)
{
	char wrong[512];
	check_config(given, wrong);
	if (*wrong)
		yg_diagnosis_bad(d, "config", "agent.config", "%s", wrong);
	else if (given->program)
		yg_diagnosis_good(d, "config",
			yg_diagnosis_say(d, "it is right", "誤りはありません"));
	if (!given->status) {
		bool silent = given->offline_cause &&
			strcmp(given->offline_cause, "agent.silent") == 0;
		yg_diagnosis_bad(d, "program", silent ? "agent.silent" : "agent.offline", "%s",
			given->offline);
		return;
	}
	static const char *const wanted[] = {"session", "install", "walk"};
	const json_t *roles = json_object_get(given->status, "roles");
	for (size_t i = 0; json_is_array(roles) && i < YG_COUNT(wanted); i++) {
		size_t k;
		json_t *role;
		bool runs = false;
		json_array_foreach(roles, k, role)
		{
			runs |= strcmp(member(role, "role"), wanted[i]) == 0;
		}
		if (!runs)
			yg_diagnosis_bad(d, "program", "agent.role", "%s", wanted[i]);
	}
	yg_diagnosis_good(d, "program",
		yg_diagnosis_say(d, "version %s, %zu processes", "バージョン %s、プロセス%zu個"),
		member(given->status, "version"), json_array_size(roles));
	if (strcmp(member(given->status, "version"), YG_VERSION) != 0)
		yg_diagnosis_bad(d, "versions", "agent.version",
			yg_diagnosis_say(d, "%s runs, %s is installed",
				"動作中 %s、インストール済み %s"),
			member(given->status, "version"), YG_VERSION);
}

/* ---- the clock ---- */

/* Against what was signed, by whom it may be: times that cannot lie in the future, certificates that run. */
static void look_at_clock(struct yg_diagnosis *d, const struct yg_diagnose_agent *given, int dir,
	const json_t *identity)
{
	char now[YG_CLOCK_TEXT], then[YG_CLOCK_TEXT];
	struct yg_x509_info info;
	struct yg_err ignored = {0};
	int64_t signed_s = 0;
	json_t *floor YG_AUTO(yg_json) = read_json(dir, "state/floor.json");
	const char *pem = member(identity, "certificate");
	yg_clock_format(given->now_s, now);
	if (*member(floor, "time") &&
		yg_clock_parse(member(floor, "time"), &signed_s, &ignored) == 0 &&
		given->now_s + CLOCK_S < signed_s) {
		yg_diagnosis_bad(d, "clock", "clock.behind",
			yg_diagnosis_say(d, "%s here, signed %s",
				"このコンピュータ %s、署名時刻 %s"),
			now, member(floor, "time"));
		return;
	}
	if (!*pem || yg_x509_read(yg_bytes_of(pem), &info, &ignored) < 0) {
		yg_diagnosis_good(d, "clock", "%s%s%s", now, signed_s ? ", signed " : "",
			member(floor, "time"));
		return;
	}
	if (given->now_s + CLOCK_S < info.not_before_s) {
		yg_clock_format(info.not_before_s, then);
		yg_diagnosis_bad(d, "clock", "clock.behind",
			yg_diagnosis_say(d, "%s here, this computer's certificate is of %s",
				"このコンピュータ %s、証明書の発行 %s"),
			now, then);
		return;
	}
	yg_clock_format(info.not_after_s, then);
	if (given->now_s > info.not_after_s)
		yg_diagnosis_bad(d, "certificate", "auth.expired",
			yg_diagnosis_say(d, "%s here, valid until %s",
				"このコンピュータ %s、有効期限 %s"),
			now, then);
	else
		yg_diagnosis_good(d, "certificate",
			yg_diagnosis_say(d, "valid until %s", "有効期限 %s"), then);
	yg_diagnosis_good(d, "clock", "%s%s%s", now, signed_s ? ", signed " : "",
		member(floor, "time"));
}

/* Certificates of different issuers do not expire in one moment: when they all seem to have, it is the clock. */
static void suspect_clock(struct yg_diagnosis *d, const struct yg_diagnose_agent *given)
{
	const char *cause = NULL;
	char now[YG_CLOCK_TEXT];
	size_t count[2] = {0, 0}, good = 0;
	size_t i;
	json_t *target;
	json_array_foreach(given->targets, i, target)
	{
		const json_t *steps = json_object_get(target, "steps");
		const json_t *last = json_array_get(steps, json_array_size(steps) - 1);
		count[0] += strcmp(member(last, "cause"), "tls.expired") == 0;
		count[1] += strcmp(member(last, "cause"), "tls.not_yet") == 0;
		good += json_is_true(json_object_get(last, "ok")) &&
			strncmp(member(target, "url"), "https", 5) == 0;
	}
	if (count[0] > 1 && good == 0)
		cause = "clock.ahead";
	else if (count[1] > 1 && good == 0)
		cause = "clock.behind";
	yg_clock_format(given->now_s, now);
	if (cause)
		yg_diagnosis_bad(d, "clock", cause,
			"%s here; to it the certificates of %zu servers %s", now,
			count[0] + count[1], count[0] > 1 ? "have expired" : "are not valid yet");
}

/* ---- what the agent says of itself ---- */

static void look_at_engine(struct yg_diagnosis *d, const json_t *status)
{
	const json_t *engine = json_object_get(status, "engine");
	const char *state = member(engine, "state"), *reason = member(engine, "reason");
	if (strcmp(state, "online") == 0) {
		yg_diagnosis_good(d, "engine",
			yg_diagnosis_say(d, "%lld signatures", "シグネチャ%lld件"),
			(long long)json_integer_value(json_object_get(engine, "signatures")));
		return;
	}
	/* The reason is a cause; without one it is on its way. */
	if (strcmp(state, "offline") == 0 && !*reason) {
		yg_diagnosis_unknown(d, "engine",
			yg_diagnosis_say(d, "it is starting", "開始中です"));
		return;
	}
	const char *cause = yg_cause_find(reason) ? reason
		: strcmp(state, "none") == 0      ? "engine.absent"
						  : "engine.offline";
	yg_diagnosis_bad(d, "engine", cause, "%s%s%s", state, *reason ? ": " : "", reason);
}

static void look_at_relay(struct yg_diagnosis *d, const json_t *status)
{
	const json_t *relay = json_object_get(status, "relay");
	if (!json_is_object(relay))
		return;
	if (strcmp(member(relay, "state"), "on") != 0)
		yg_diagnosis_bad(d, "relay_role", "relay.off", "state '%s'",
			member(relay, "state"));
	else if (!*member(relay, "set"))
		yg_diagnosis_bad(d, "relay_role", "relay.empty",
			yg_diagnosis_say(d, "it has no content set",
				"配布できるコンテンツがありません"));
	else
		yg_diagnosis_good(d, "relay_role", "set %.12s", member(relay, "set"));
}

static void look_at_manager(struct yg_diagnosis *d, const struct yg_diagnose_agent *given)
{
	const char *url = member(given->status, "manager"),
		   *why = member(given->status, "manager_error");
	if (!json_is_true(json_object_get(given->status, "activated"))) {
		yg_diagnosis_unknown(d, "manager",
			yg_diagnosis_say(d, "not activated", "有効化されていません"));
		return;
	}
	if (strcmp(member(given->status, "manager_state"), "online") == 0) {
		yg_diagnosis_good(d, "manager",
			yg_diagnosis_say(d, "%s, last contact %s", "%s、最後の通信 %s"), url,
			member(given->status, "last_contact"));
		return;
	}
	const char *named = member(given->status, "manager_cause");
	const struct yg_signature *row = yg_signature_find(why, true);
	struct yg_found found = {.cause = yg_cause_find(named) ? named
			: row && row->cause                    ? row->cause
							       : "net.failed",
		.weight = yg_cause_find(named) || row ? YG_FIND_NAMES : YG_FIND_KIND};
	yg_diagnosis_find(d, "manager", &found, "%s: %s", url, *why ? why : "no contact yet");
}

static void look_at_alarms(struct yg_diagnosis *d, const json_t *alarms)
{
	size_t i;
	json_t *alarm;
	json_array_foreach(alarms, i, alarm)
	{
		struct yg_found found = {.cause = member(alarm, "cause"), .how = YG_FIND_RUN};
		if (*found.cause)
			yg_diagnosis_find(d, "alarms", &found, "%s since %s: %s",
				member(alarm, "name"), member(alarm, "since"),
				member(alarm, "detail"));
	}
}

static void look_at_licences(struct yg_diagnosis *d, const json_t *settings)
{
	size_t i;
	json_t *licence;
	json_array_foreach(json_object_get(settings, "licences"), i, licence)
	{
		const char *ends = member(licence, "ends");
		if (strcmp(member(licence, "state"), "expired") == 0)
			yg_diagnosis_bad(d, "licences", "update.licence", "%s: ended %s",
				member(licence, "group"), ends);
		else
			yg_diagnosis_good(d, "licences", "%s: %s%s%s", member(licence, "group"),
				member(licence, "state"), *ends ? " until " : "", ends);
	}
}

/* ---- all of it ---- */

/* Who else may own what is secret: the user of the configuration. Where that is not to be found, whoever owns the
 * identity.
 */
static int64_t other_user(const json_t *local, int dir)
{
	struct stat st;
	if (json_object_size(local) == 0)
		return fstatat(dir, "state/identity", &st, AT_SYMLINK_NOFOLLOW) < 0
			? -1
			: (int64_t)st.st_uid;
	struct passwd pw;
	struct passwd *found = NULL;
	char text[4096];
	const char *user = member(local, "agent.user");
	if (!*user || getpwnam_r(user, &pw, text, sizeof(text), &found) != 0 || !found)
		return -1;
	return pw.pw_uid;
}

static void look_at_root(struct yg_diagnosis *d, const struct yg_diagnose_agent *given,
	const json_t *local)
{
	char path[8192];
	const char *named = member(local, "content.root");
	if (!*named)
		named = "etc/yagura/root.json";
	if (!yg_str_put(path, sizeof(path), "%s/%s", *named == '/' ? "" : given->root, named))
		return;
	if (access(path, R_OK) < 0)
		yg_diagnosis_bad(d, "root", errno == ENOENT ? "tuf.root" : "store.permission",
			"%s: %s", path, strerror(errno));
	else
		yg_diagnosis_good(d, "root", "%s", path);
}

static void look_at_files(struct yg_diagnosis *d, const struct yg_diagnose_agent *given, int dir,
	const char *path, const json_t *local)
{
	yg_files_disk(d, dir, path);
	yg_files_owners(d, dir, path, other_user(local, dir));
	yg_files_store(d, dir);
	look_at_root(d, given, local);
}

void yg_diagnose_agent(struct yg_diagnosis *d, const struct yg_diagnose_agent *given)
{
	char path[8192], conf[8192];
	if (!yg_str_put(path, sizeof(path), "%s/" STATE, given->root) ||
		!yg_str_put(conf, sizeof(conf), "%s" YG_SYSCONFDIR "/agent.conf", given->root))
		return;
	json_t *local YG_AUTO(yg_json) = yg_diagnose_config(conf);
	int dir YG_AUTO(fd) = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	look_at_program(d, given);
	if (dir >= 0)
		look_at_files(d, given, dir, path, local);
	else if (given->status || errno != ENOENT)
		yg_diagnosis_bad(d, "disk", errno == ENOENT ? "store.missing" : "store.permission",
			"%s: %s", path, strerror(errno));
	json_t *identity YG_AUTO(yg_json) = read_json(dir, "state/identity/identity.json");
	json_t *kept YG_AUTO(yg_json) = read_json(dir, "state/session/settings.json");
	json_t *last YG_AUTO(yg_json) = read_json(dir, "state/session/last-run.json");
	const json_t *settings = json_object_get(kept, "settings");
	look_at_clock(d, given, dir, identity);
	look_at_licences(d, settings);
	if (given->targets) {
		suspect_clock(d, given);
		yg_diagnose_targets(d, given->targets);
	} else {
		yg_diagnose_names(d, settings, local, member(identity, "manager_url"));
	}
	if (given->status) {
		look_at_manager(d, given);
		look_at_engine(d, given->status);
		look_at_relay(d, given->status);
		look_at_alarms(d, json_object_get(given->status, "alarms"));
	}
	const json_t *from = given->status;
	yg_diagnose_run(d, "last_update",
		from ? json_object_get(from, "last_update") : json_object_get(last, "update"));
	yg_diagnose_run(d, "last_relay_update",
		from ? json_object_get(from, "last_relay_update")
		     : json_object_get(last, "relay_update"));
}
