/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/control.h"
#include "cli/diagnose.h"
#include "cli/text.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/str.h"
#include "diagnose/agent.h"

/* `yagura diagnose`: the agent on this computer, and the relay in it. */

/* yagura-agent beside this program, or where it is installed. A new string; NULL: not found. */
static char *find_program(void)
{
	char self[PATH_MAX] = "";
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash = len > 0 ? strrchr(self, '/') : NULL;
	static const char *const folders[] = {"/usr/sbin", "/usr/local/sbin", "/usr/bin"};
	if (slash) {
		*slash = 0;
		char *beside YG_AUTO(mem) = yg_str_format("%s/yagura-agent", self);
		if (beside && access(beside, X_OK) == 0)
			return yg_take(beside);
	}
	for (size_t i = 0; i < YG_COUNT(folders); i++) {
		char *path YG_AUTO(mem) = yg_str_format("%s/yagura-agent", folders[i]);
		if (path && access(path, X_OK) == 0)
			return yg_take(path);
	}
	return NULL;
}

#define STATUS_S 10  /* seconds for what it knows anyway */
#define TEST_S   120 /* for connections that it tries, each of which has its own limits */

static int ask(const struct cli *cli, int seconds, json_t *question, json_t **answer,
	struct yg_err *err)
{
	json_t *owned YG_AUTO(yg_json) = question;
	return control_call_within(cli->root, seconds, owned, answer, err);
}

/* Everything that it connects to, tried step by step; NULL when it cannot do that. */
static json_t *ask_targets(const struct cli *cli)
{
	static const char *const kinds[] = {"manager", "relays", "source"};
	json_t *all YG_AUTO(yg_json) = json_array();
	bool some = false;
	for (size_t i = 0; i < YG_COUNT(kinds); i++) {
		json_t *answer YG_AUTO(yg_json) = NULL;
		struct yg_err err = {0};
		cli_progress(cli, cli_say(cli, "trying connections: %s", "接続を確認中: %s"),
			kinds[i]);
		if (ask(cli, TEST_S, json_pack("{s:s, s:s}", "do", "test", "what", kinds[i]),
			    &answer, &err) < 0)
			continue;
		some = true;
		(void)json_array_extend(all, json_object_get(answer, "targets"));
	}
	return some ? yg_take(all) : NULL;
}

int diagnose_agent(struct cli *cli)
{
	struct yg_err err = {0}, why = {0};
	json_t *status YG_AUTO(yg_json) = NULL, *targets YG_AUTO(yg_json) = NULL;
	char *program YG_AUTO(mem) = find_program();
	struct yg_diagnosis *diagnosis YG_AUTO(yg_diagnosis) = yg_diagnosis_new(cli->lang, &err);
	size_t standing = 0;
	if (!diagnosis)
		return (void)cli_fail(cli, &err), ARGS_USAGE;
	if (ask(cli, STATUS_S, json_pack("{s:s}", "do", "status"), &status, &why) < 0 &&
		strcmp(why.cause, "auth.denied") == 0)
		return (void)cli_fail(cli, &why), ARGS_USAGE;
	if (status)
		targets = ask_targets(cli);
	const struct yg_diagnose_agent given = {.root = cli->root,
		.status = status,
		.offline = why.msg,
		.offline_cause = why.cause,
		.targets = targets,
		.program = program,
		.now_s = yg_clock_now_s()};
	yg_diagnose_agent(diagnosis, &given);
	if (diagnosis->failed.code)
		return (void)cli_fail(cli, &diagnosis->failed), ARGS_USAGE;
	json_t *result YG_AUTO(yg_json) = yg_diagnosis_result(diagnosis, &standing);
	json_t *identity YG_AUTO(yg_json) = yg_diagnose_identity(cli->root);
	const char *name = json_string_value(json_object_get(status ? status : identity, "name"));
	char here[256] = "";
	(void)gethostname(here, sizeof(here) - 1);
	(void)json_object_set_new(result, "computer", json_string(name && *name ? name : here));
	(void)json_object_set(result, "id", json_object_get(identity, "id"));
	(void)json_object_set(result, "version", json_object_get(status, "version"));
	return diagnose_done(cli, result, standing);
}
