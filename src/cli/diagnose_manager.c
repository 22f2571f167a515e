/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cli/api.h"
#include "cli/cli.h"
#include "cli/diagnose.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "diagnose/diagnosis.h"
#include "diagnose/plan.h"

/* `yagura diagnose --manager` and `… --network-plan`: what the Manager says over its API. */

#define PLAN_MAX (16u << 20) /* bytes */

static const char *member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

static int ask(struct cli *cli, const char *what, json_t **answer, struct yg_err *err)
{
	char *path YG_AUTO(
		mem) = api_query(yg_str_format("%s", what), "lang", yg_lang_name(cli->lang));
	return api_call(cli, "GET", path, NULL, answer, err);
}

/* It does not answer: why not is what is wrong. */
static int unanswered(struct cli *cli, const struct yg_err *why)
{
	struct yg_err err = {0};
	size_t standing = 0;
	struct yg_diagnosis *d YG_AUTO(yg_diagnosis) = yg_diagnosis_new(cli->lang, &err);
	if (!d || !why->cause[0] || strncmp(why->cause, "auth.", 5) == 0)
		return (void)cli_fail(cli, why), ARGS_USAGE;
	yg_diagnosis_bad(d, "manager", why->cause, "%s", why->msg);
	json_t *result YG_AUTO(yg_json) = yg_diagnosis_result(d, &standing);
	return diagnose_done(cli, result, standing);
}

int diagnose_manager(struct cli *cli)
{
	struct yg_err err = {0};
	json_t *result YG_AUTO(yg_json) = NULL;
	if (ask(cli, "diagnosis", &result, &err) < 0)
		return unanswered(cli, &err);
	/* It is the Manager's version, not an agent's. */
	(void)json_object_set(result, "manager_version", json_object_get(result, "version"));
	(void)json_object_del(result, "version");
	(void)json_object_set_new(result, "computer", json_string("Manager"));
	return diagnose_done(cli, result,
		(size_t)json_integer_value(json_object_get(result, "standing")));
}

/* --format says, else the name of the file that is written. */
static int form_of(const struct cli *cli, enum yg_plan_form *out, struct yg_err *err)
{
	const char *format = args_get(&cli->args, "--format"),
		   *path = args_get(&cli->args, "--out");
	size_t len = path ? strlen(path) : 0;
	if (!format)
		format = len > 4 && strcmp(path + len - 4, ".csv") == 0 ? "csv" : "md";
	*out = strcmp(format, "csv") == 0 ? YG_PLAN_CSV : YG_PLAN_MARKDOWN;
	if (strcmp(format, "csv") == 0 || strcmp(format, "md") == 0)
		return 0;
	return yg_fail(err, YG_EFORMAT,
		cli_say(cli, "--format: want md or csv, have '%s'",
			"--format: mdまたはcsvを指定してください ('%s')"),
		format);
}

int diagnose_plan(struct cli *cli)
{
	struct yg_err err = {0};
	enum yg_plan_form form = YG_PLAN_MARKDOWN;
	json_t *result YG_AUTO(yg_json) = NULL;
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(PLAN_MAX);
	const char *path = args_get(&cli->args, "--out");
	if (form_of(cli, &form, &err) < 0 || ask(cli, "network-plan", &result, &err) < 0)
		return (void)cli_fail(cli, &err), ARGS_USAGE;
	if (cli->json)
		return cli_json(result);
	if (yg_plan_text(json_object_get(result, "items"), form, cli->lang, member(result, "time"),
		    &text, &err) < 0)
		return (void)cli_fail(cli, &err), ARGS_USAGE;
	if (path && yg_fs_replace(AT_FDCWD, path, yg_buf_bytes(&text), 0644, &err) < 0)
		return (void)cli_fail(cli, &err), ARGS_USAGE;
	if (!path)
		(void)fwrite(text.data, 1, text.len, stdout);
	return ARGS_DONE;
}
