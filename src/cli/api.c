/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/api.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "net/url.h"

static int read_ca(struct cli *cli, struct yg_err *err)
{
	cli->ca_text = YG_BUF(1u << 20);
	int fd YG_AUTO(fd) = yg_fs_open(AT_FDCWD, cli->ca, err);
	if (fd < 0 || yg_fs_read_fd(fd, &cli->ca_text, err) < 0 ||
		yg_buf_add(&cli->ca_text, "", 1, err) < 0)
		return yg_wrap(err, "--ca");
	return 0;
}

static int ready(struct cli *cli, struct yg_err *err)
{
	struct yg_url url = {0};
	if (cli->client)
		return 0;
	if (!cli->url || !*cli->url)
		return yg_fail(err, YG_EFORMAT, "%s",
			cli_say(cli,
				"no Manager is named: want --url, YAGURA_URL or url in cli.conf",
				"Managerが指定されていません。--url、YAGURA_URL、またはcli.confのurlで指定してください"));
	if (!cli->key || !*cli->key)
		return yg_fail(err, YG_EFORMAT, "%s",
			cli_say(cli, "no API key: want YAGURA_KEY, --key or key in cli.conf",
				"APIキーがありません。YAGURA_KEY、--key、またはcli.confのkeyで指定してください"));
	if (yg_url_parse(cli->url, &url, err) < 0)
		return -1;
	/* The key would be open to everybody on the way. */
	if (!url.https || url.unchecked)
		return yg_fail(err, YG_EFORMAT,
			"--url: want https and a checked certificate, have '%s'", cli->url);
	if (cli->ca && *cli->ca && read_ca(cli, err) < 0)
		return -1;
	struct yg_tls tls = {
		.cas = cli->ca_text.len ? (const char *)cli->ca_text.data : NULL,
		.system_cas = cli->ca_text.len == 0,
	};
	cli->client = yg_client_new(NULL, &tls, NULL, err);
	return cli->client ? 0 : -1;
}

/* The Manager's messages about what was asked are in English: what kind they are of, in Japanese. */
static const char *kind_of(const struct cli *cli, const json_t *error)
{
	static const struct {
		const char *code, *ja;
	} kinds[] = {{"bad_request", "指定内容に誤りがあります: "},
		{"not_found", "見つかりません: "}, {"conflict", "現在の状態では実行できません: "}};
	const char *code = json_string_value(json_object_get(error, "code"));
	for (size_t i = 0; code && i < YG_COUNT(kinds); i++)
		if (strcmp(kinds[i].code, code) == 0)
			return cli_say(cli, "", kinds[i].ja);
	return "";
}

static int said(const struct cli *cli, const struct yg_client_reply *reply, const json_t *answer,
	struct yg_err *err)
{
	const json_t *error = json_object_get(answer, "error");
	const char *message = json_string_value(json_object_get(error, "message"));
	const char *field = json_string_value(json_object_get(error, "field"));
	if (reply->status == 401)
		return yg_fail_cause(err, YG_EUNTRUSTED, "auth.key", "%s",
			message ? message : "401");
	if (reply->status == 403)
		return yg_fail_cause(err, YG_EUNTRUSTED, "auth.denied", "%s",
			message ? message : "403");
	if (!message)
		return yg_fail(err, YG_EFORMAT, "%s %d",
			cli_say(cli, "the Manager answered with HTTP status",
				"ManagerがHTTPステータスを返しました:"),
			reply->status);
	const char *cause = json_string_value(json_object_get(error, "cause"));
	if (reply->status >= 500 && cause)
		return yg_fail_cause(err, YG_EAGAIN, cause, "%s", message);
	/* Most messages begin with the member that they are about. */
	const char *kind = kind_of(cli, error);
	if (!field || !*field || strstr(message, field))
		return yg_fail(err, YG_EFORMAT, "%s%s", kind, message);
	return yg_fail(err, YG_EFORMAT, "%s%s: %s", kind, field, message);
}

/* in  text  the body, JSON; NULL: none */
static int transfer(struct cli *cli, const char *method, const char *path, const char *text,
	struct yg_buf *got, struct yg_client_reply *reply, struct yg_err *err)
{
	struct yg_url base = {0};
	if (ready(cli, err) < 0 || yg_url_parse(cli->url, &base, err) < 0)
		return -1;
	char *url YG_AUTO(mem) = yg_str_format("%s/api/v1/%s", base.base, path);
	if (!url)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	struct yg_client_request request = {
		.method = method,
		.url = url,
		.body = text,
		.bearer = cli->key,
		.max = API_ANSWER_MAX,
		.any_status = true,
		.deadline_ms = 60000,
	};
	return yg_client_text(cli->client, &request, got, reply, err);
}

static int parse(const struct yg_buf *got, const struct yg_client_reply *reply, const char *path,
	json_t **value, struct yg_err *err)
{
	if (got->len && yg_json_parse(yg_buf_bytes(got), API_ANSWER_MAX, value, err) < 0)
		return yg_wrap(err, "%s: HTTP %d", path, reply->status);
	return 0;
}

int api_call(struct cli *cli, const char *method, const char *path, json_t *body, json_t **answer,
	struct yg_err *err)
{
	json_t *own YG_AUTO(yg_json) = body;
	char *text YG_AUTO(mem) = own ? yg_json_text(own) : NULL;
	struct yg_buf got YG_AUTO(yg_buf) = YG_BUF(API_ANSWER_MAX);
	struct yg_client_reply reply = {0};
	json_t *value YG_AUTO(yg_json) = NULL;
	if (transfer(cli, method, path, text, &got, &reply, err) < 0 ||
		parse(&got, &reply, path, &value, err) < 0)
		return -1;
	if (reply.status >= 400)
		return said(cli, &reply, value, err);
	*answer = value ? yg_take(value) : json_null();
	return 0;
}

int api_bytes(struct cli *cli, const char *method, const char *path, struct yg_buf *out,
	struct yg_err *err)
{
	struct yg_client_reply reply = {0};
	json_t *value YG_AUTO(yg_json) = NULL;
	if (transfer(cli, method, path, NULL, out, &reply, err) < 0)
		return -1;
	if (reply.status < 400)
		return 0;
	if (parse(out, &reply, path, &value, err) < 0)
		return -1;
	return said(cli, &reply, value, err);
}

char *api_query(char *path, const char *name, const char *value)
{
	static const char safe[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	if (!value)
		return path;
	size_t len = strlen(path) + strlen(name) + 3 * strlen(value) + 3, at = 0;
	char *out = malloc(len);
	if (!out)
		abort();
	at = (size_t)snprintf(out, len, "%s%c%s=", path, strchr(path, '?') ? '&' : '?', name);
	for (; *value; value++) {
		if (strchr(safe, *value))
			out[at++] = *value;
		else
			at += (size_t)snprintf(out + at, len - at, "%%%02X",
				(unsigned)(unsigned char)*value);
	}
	out[at] = 0;
	free(path);
	return out;
}
