/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/probe.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/control.h"
#include "cli/text.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/str.h"
#include "proto/cause.h"
#include "proto/word.h"

#define ASK_MS  500    /* between two looks at a test that goes on */
#define WAIT_MS 330000 /* what a test may take, and a little more */

static const char *const whats[] = {"source", "relays", "manager"};

static const struct {
	const char *step, *title[2];
} steps[] = {
	{"resolve", {"name", "名前解決"}},
	{"connect", {"connection", "接続"}},
	{"proxy", {"proxy", "プロキシ"}},
	{"tls", {"TLS", "TLS"}},
	{"http", {"HTTP", "HTTP"}},
	{"metadata", {"metadata", "メタデータ"}},
};

static const char *title_of(const struct cli *cli, const char *step)
{
	for (size_t i = 0; i < YG_COUNT(steps); i++)
		if (strcmp(steps[i].step, step) == 0)
			return steps[i].title[cli->lang];
	return step;
}

/* ---- showing ---- */

/* "  name         ok         3 ms  relay: 10.0.0.5": two columns of words that may be wide. */
static void show_step(const struct cli *cli, const json_t *step)
{
	const char *title = title_of(cli, ask_member(step, "step"));
	const bool ok = json_is_true(json_object_get(step, "ok"));
	const char *how = ok ? cli_say(cli, "ok", "成功") : cli_say(cli, "FAILED", "失敗");
	const size_t title_width = text_width(title);
	const size_t how_width = text_width(how);
	(void)printf("  %s%*s%s%*s%6lld ms  ", title,
		(int)(title_width < 12 ? 12 - title_width : 1), "", how,
		(int)(how_width < 7 ? 7 - how_width : 1), "",
		json_integer_value(json_object_get(step, "ms")));
	text_put(ask_member(step, "seen"), stdout);
	(void)putchar('\n');
}

/* Only what a person can do: nothing happens by itself after a test. */
static void show_failure(const struct cli *cli, const char *id, const char *detail)
{
	const struct yg_cause *cause = yg_cause_find(id);
	const char *remedy = cause ? yg_cause_remedy(cause, cli->lang) : "";
	char *line YG_AUTO(mem) = cli_sentence(cli, id, detail, false);
	(void)fputs("    ", stdout);
	text_put(line, stdout);
	(void)printf(" [%s]\n", id);
	if (*remedy)
		(void)printf("    %s\n", remedy);
}

/* What was tested, its steps, and of the one that failed what it means. Returns false when one did. */
static bool show_target(const struct cli *cli, const json_t *target)
{
	const char *proxy = ask_member(target, "proxy");
	const json_t *list = json_object_get(target, "steps");
	bool good = true;
	size_t i;
	json_t *step;
	const char *what = ask_member(target, "what");
	const bool relay = strcmp(what, "relay") == 0;
	text_put(yg_word(relay ? YG_WORDS_KIND : YG_WORDS_CHECK, what, cli->lang), stdout);
	(void)putchar(' ');
	text_put(ask_member(target, "url"), stdout);
	if (*proxy) {
		(void)fputs(cli_say(cli, ", through the proxy ", "、プロキシ "), stdout);
		text_put(proxy, stdout);
	}
	(void)putchar('\n');
	json_array_foreach(list, i, step)
	{
		show_step(cli, step);
		if (json_is_true(json_object_get(step, "ok")))
			continue;
		show_failure(cli, ask_member(step, "cause"), ask_member(step, "detail"));
		good = false;
	}
	return good;
}

static int show(struct cli *cli, const json_t *answer)
{
	const json_t *targets = json_object_get(answer, "targets");
	bool good = true;
	size_t i;
	json_t *target;
	if (cli->json)
		(void)cli_json(answer);
	json_array_foreach(targets, i, target)
	{
		const json_t *list = json_object_get(target, "steps");
		size_t count = json_array_size(list);
		const json_t *last = json_array_get(list, count ? count - 1 : 0);
		good = good && json_is_true(json_object_get(last, "ok"));
		if (!cli->json)
			good = show_target(cli, target) && good;
	}
	return good ? ARGS_DONE : ARGS_FAILED;
}

/* ---- asking ---- */

/* The first word, checked; NULL and a usage error otherwise. */
static const char *what_of(struct cli *cli, const char *preset)
{
	struct yg_err err = {0};
	const char *word = cli->args.word_count ? cli->args.words[0] : preset;
	for (size_t i = 0; i < YG_COUNT(whats); i++)
		if (strcmp(whats[i], word) == 0)
			return word;
	(void)yg_fail(&err, YG_EFORMAT,
		cli_say(cli, "'%s': want source, relays or manager",
			"「%s」: source、relays、managerのいずれかを指定してください"),
		word);
	(void)ask_misuse(cli, &err);
	return NULL;
}

int probe_agent(struct cli *cli)
{
	struct yg_err err = {0};
	json_t *answer YG_AUTO(yg_json) = NULL;
	const char *what = what_of(cli, "relays");
	if (!what)
		return ARGS_USAGE;
	json_t *ask YG_AUTO(yg_json) = json_pack("{s:s, s:s}", "do", "test", "what", what);
	if (control_call(cli->root, ask, -1, NULL, NULL, &answer, &err) < 0)
		return cli_fail(cli, &err);
	return show(cli, answer);
}

/* Until it is done. in  *test  replaced by each newer answer */
static int wait_for(struct cli *cli, json_t **test)
{
	const struct timespec pause = {.tv_nsec = ASK_MS * 1000000L};
	const int64_t until_ms = yg_clock_mono_ms() + WAIT_MS;
	while (strcmp(ask_member(*test, "state"), "done") != 0) {
		json_t *newer = NULL;
		struct yg_err err = {0};
		if (yg_clock_mono_ms() > until_ms) {
			(void)yg_fail_cause(&err, YG_EAGAIN, "job.timeout", "%s",
				ask_member(*test, "id"));
			return cli_fail(cli, &err);
		}
		cli_progress(cli, "%s",
			cli_say(cli, "the test goes on", "接続テストを実行しています"));
		(void)nanosleep(&pause, NULL);
		int code = ask_manager(cli, "GET", ask_path("tests", ask_member(*test, "id")), NULL,
			&newer);
		if (code != ARGS_DONE)
			return code;
		json_decref(*test);
		*test = newer;
	}
	return ARGS_DONE;
}

int probe_manager(struct cli *cli)
{
	const char *from = args_get(&cli->args, "--from");
	const bool own = !from || strcmp(from, "manager") == 0;
	struct yg_err err = {0};
	char *id YG_AUTO(mem) = NULL;
	json_t *test YG_AUTO(yg_json) = NULL;
	const char *what = what_of(cli, own ? "source" : "relays");
	if (!what)
		return ARGS_USAGE;
	if (!own && ask_resolve(cli, "computers", from, &id, &err) < 0)
		return cli_fail(cli, &err);
	int code = ask_manager(cli, "POST", yg_str_format("tests"),
		json_pack("{s:s, s:s}", "from", own ? "manager" : id, "what", what), &test);
	if (code == ARGS_DONE)
		code = wait_for(cli, &test);
	if (code != ARGS_DONE)
		return code;
	if (json_array_size(json_object_get(test, "targets")) > 0)
		return show(cli, test);
	if (cli->json)
		(void)cli_json(test);
	(void)yg_fail_cause(&err, YG_EFORMAT, ask_member(test, "cause"), "%s",
		ask_member(test, "sentence"));
	return cli->json ? ARGS_FAILED : cli_fail(cli, &err);
}
