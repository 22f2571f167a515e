/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* yagura: the command line for people and scripts. Two kinds of commands: "yagura agent …" speaks
 * to the agent on this computer (control.c, agent.c), all others to the Manager's REST API (api.c,
 * manager.c). The table of commands is in commands.c; texts are in two languages beside each other.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/str.h"

static const struct yg_opt opts[] = {
	{"manager", "url", YG_OPT_TEXT, 0, 1000, NULL, "https://manager:4119"},
	{"manager", "key", YG_OPT_TEXT, 0, 200, NULL, "API key; keep the file's mode at 0600"},
	{"manager", "ca", YG_OPT_PATH, 0, 4000, NULL, "PEM file with the Manager's CA; system CAs"},
	{"cli", "lang", YG_OPT_TEXT, 0, 5, NULL, "en or ja; else from the environment"},
	{0},
};

static enum yg_lang language(const char *given)
{
	return given ? yg_lang_of(given) : yg_lang_environment();
}

static const char *choose(const char *option, const char *variable, const char *file)
{
	const char *value = getenv(variable);
	if (option)
		return option;
	return value && *value ? value : file;
}

/* A file that is not there is an error only when somebody named it. */
static int configure(struct cli *cli, struct yg_err *err)
{
	const char *named = args_get(&cli->args, "--config"), *home = getenv("HOME");
	const char *base = getenv("XDG_CONFIG_HOME");
	char *path YG_AUTO(mem) = named ? yg_str_format("%s", named)
		: base && *base         ? yg_str_format("%s/yagura/cli.conf", base)
				: yg_str_format("%s/.config/yagura/cli.conf", home ? home : "");
	cli->conf = yg_conf_new(opts, err);
	if (!cli->conf || !path)
		return -1;
	struct yg_err why = {0};
	if (yg_conf_load(cli->conf, path, &why) < 0 && (named || why.code != YG_EABSENT)) {
		*err = why;
		return -1;
	}
	cli->url = choose(args_get(&cli->args, "--url"), "YAGURA_URL",
		yg_conf_text(cli->conf, "manager", "url"));
	cli->key = choose(args_get(&cli->args, "--key"), "YAGURA_KEY",
		yg_conf_text(cli->conf, "manager", "key"));
	cli->ca = choose(args_get(&cli->args, "--ca"), "YAGURA_CA",
		yg_conf_text(cli->conf, "manager", "ca"));
	const char *lang = yg_conf_text(cli->conf, "cli", "lang");
	if (lang && *lang && !args_get(&cli->args, "--lang"))
		cli->lang = yg_lang_of(lang);
	return 0;
}

static void finish(struct cli *cli)
{
	yg_client_free(cli->client);
	yg_conf_free(cli->conf);
	yg_buf_free(&cli->ca_text);
}

static int run(struct cli *cli)
{
	struct yg_err err = {0};
	const char *lang = args_get(&cli->args, "--lang"), *root = args_get(&cli->args, "--root");
	cli->lang = language(lang);
	cli->json = args_get(&cli->args, "--json") != NULL;
	cli->root = root ? root : "";
	if (args_get(&cli->args, "--version")) {
		(void)printf("yagura %s\n", YG_VERSION);
		return ARGS_DONE;
	}
	if (args_get(&cli->args, "--help") && cli->json) {
		json_t *tables YG_AUTO(yg_json) = args_json(cli_commands, cli->lang);
		return cli_json(tables);
	}
	if (args_get(&cli->args, "--help")) {
		args_help(cli_commands, cli->args.command, cli->lang);
		return ARGS_DONE;
	}
	if (lang && strcmp(lang, "en") != 0 && strcmp(lang, "ja") != 0) {
		(void)fprintf(stderr, "yagura: --lang: want en or ja, have '%s'\n", lang);
		return ARGS_USAGE;
	}
	if (!cli->args.command) {
		(void)fputs(
			cli_say(cli, "yagura: want a command; see 'yagura --help'\n",
				"yagura: コマンドを指定してください。「yagura --help」を参照してください\n"),
			stderr);
		return ARGS_USAGE;
	}
	if (configure(cli, &err) < 0)
		return (void)cli_fail(cli, &err), ARGS_USAGE;
	return cli->args.command->run(cli);
}

/* --lang counts for the errors of the command line itself, wherever it stands. */
static const char *early_language(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], "--lang") == 0)
			return argv[i + 1];
	return NULL;
}

int main(int argc, char **argv)
{
	struct cli cli = {.started_ms = yg_clock_mono_ms()};
	struct yg_err err = {0};
	(void)signal(SIGPIPE, SIG_IGN);
	cli.lang = language(early_language(argc, argv));
	if (args_parse(cli_commands, argc, argv, cli.lang, &cli.args, &err) < 0) {
		(void)fprintf(stderr, "yagura: %s\n", err.msg);
		return ARGS_USAGE;
	}
	int code = run(&cli);
	finish(&cli);
	if (fflush(stdout) != 0 && code == ARGS_DONE)
		code = ARGS_FAILED;
	return code;
}
