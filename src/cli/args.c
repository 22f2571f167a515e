/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/args.h"

#include <stdio.h>
#include <string.h>

#include "cli/text.h"
#include "core/str.h"

const struct args_option args_global[] = {
	{"--json", NULL, {"print JSON, with the same fields", "JSON形式で出力する"}},
	{"--lang", "en|ja",
		{"language; else from LC_ALL, LC_MESSAGES, LANG",
			"表示言語 (指定しない場合はLC_ALL、LC_MESSAGES、LANGに従う)"}},
	{"--root", "DIR",
		{"agent: the folder that it runs under; /",
			"agent: Agentのルートフォルダ (初期値 /)"}},
	{"--url", "URL", {"the Manager; YAGURA_URL", "ManagerのURL (環境変数 YAGURA_URL)"}},
	{"--key", "KEY",
		{"API key; YAGURA_KEY is better, others can see arguments",
			"APIキー (引数は他のユーザから見えるため、環境変数 YAGURA_KEY を推奨)"}},
	{"--ca", "FILE",
		{"CA of the Manager, PEM; YAGURA_CA",
			"ManagerのCA証明書 (PEM、環境変数 YAGURA_CA)"}},
	{"--config", "FILE",
		{"instead of ~/.config/yagura/cli.conf",
			"設定ファイル (初期値 ~/.config/yagura/cli.conf)"}},
	{"--help", NULL,
		{"this text, or that of a command",
			"このヘルプ、またはコマンドのヘルプを表示する"}},
	{"--version", NULL, {"the version", "バージョンを表示する"}},
	{0},
};

__attribute__((format_arg(2), format_arg(3))) static const char *pick(enum yg_lang lang,
	const char *en, const char *ja)
{
	return lang == YG_LANG_JA ? ja : en;
}

/* The command whose name's words come first; the one with more of them wins. */
static const struct args_command *find(const struct args_command *commands,
	const char *const *words, size_t count, size_t *used)
{
	const struct args_command *best = NULL;
	*used = 0;
	for (const struct args_command *c = commands; c->name; c++) {
		size_t first = strcspn(c->name, " ");
		size_t need = c->name[first] ? 2 : 1;
		if (need > count || need <= *used || strlen(words[0]) != first ||
			strncmp(words[0], c->name, first) != 0)
			continue;
		if (need == 2 && strcmp(words[1], c->name + first + 1) != 0)
			continue;
		best = c;
		*used = need;
	}
	return best;
}

static const struct args_option *lookup(const struct args_option *options, const char *name,
	size_t len)
{
	for (; options && options->name; options++)
		if (strlen(options->name) == len && strncmp(options->name, name, len) == 0)
			return options;
	return NULL;
}

/* One option at argv[*at]; moves on over its value. */
static int option(const struct args_command *commands, int argc, char **argv, int *at,
	enum yg_lang lang, struct args *out, struct yg_err *err)
{
	const char *text = argv[*at];
	size_t len = strcspn(text, "="), used = 0;
	const struct args_command *command = find(commands, out->words, out->word_count, &used);
	const struct args_option *found = lookup(args_global, text, len);
	if (!found && command)
		found = lookup(command->options, text, len);
	if (!found)
		return yg_fail(err, YG_EFORMAT,
			pick(lang, "unknown option '%.*s'; see 'yagura --help'",
				"不明なオプション '%.*s' です。「yagura --help」を参照してください"),
			(int)len, text);
	if (!found->value && text[len])
		return yg_fail(err, YG_EFORMAT,
			pick(lang, "option %s takes no value",
				"オプション %s に値は指定できません"),
			found->name);
	if (found->value && !text[len] && *at + 1 >= argc)
		return yg_fail(err, YG_EFORMAT,
			pick(lang, "option %s: want %s, have nothing",
				"オプション %s には %s の指定が必要です"),
			found->name, found->value);
	if (out->option_count == ARGS_OPTIONS_MAX)
		return yg_fail(err, YG_ELIMIT,
			pick(lang, "too many options", "オプションが多すぎます"));
	out->options[out->option_count].name = found->name;
	out->options[out->option_count].value = !found->value ? ""
		: text[len]                                   ? text + len + 1
							      : argv[*at + 1];
	out->option_count++;
	*at += found->value && !text[len] ? 1 : 0;
	return 0;
}

/* Split the words into command and arguments. */
static int settle(const struct args_command *commands, enum yg_lang lang, struct args *out,
	struct yg_err *err)
{
	size_t used = 0;
	if (out->word_count == 0)
		return 0;
	out->command = find(commands, out->words, out->word_count, &used);
	if (!out->command)
		return yg_fail(err, YG_EFORMAT,
			pick(lang, "unknown command '%s%s%s'; see 'yagura --help'",
				"不明なコマンド '%s%s%s' です。「yagura --help」を参照してください"),
			out->words[0], out->word_count > 1 ? " " : "",
			out->word_count > 1 ? out->words[1] : "");
	out->word_count -= used;
	memmove(out->words, out->words + used, out->word_count * sizeof(*out->words));
	if (args_get(out, "--help"))
		return 0;
	if (out->word_count < out->command->words_min || out->word_count > out->command->words_max)
		return yg_fail(err, YG_EFORMAT,
			pick(lang, "usage: yagura %s%s%s", "使用方法: yagura %s%s%s"),
			out->command->name, *out->command->words ? " " : "", out->command->words);
	return 0;
}

int args_parse(const struct args_command *commands, int argc, char **argv, enum yg_lang lang,
	struct args *out, struct yg_err *err)
{
	bool options = true;
	*out = (struct args){0};
	for (int at = 1; at < argc; at++) {
		if (options && strcmp(argv[at], "--") == 0) {
			options = false;
			continue;
		}
		if (options && argv[at][0] == '-' && argv[at][1]) {
			if (option(commands, argc, argv, &at, lang, out, err) < 0)
				return -1;
			continue;
		}
		if (out->word_count == ARGS_WORDS_MAX)
			return yg_fail(err, YG_ELIMIT,
				pick(lang, "want <= %d arguments", "引数は%d個までです"),
				ARGS_WORDS_MAX);
		out->words[out->word_count++] = argv[at];
	}
	return settle(commands, lang, out, err);
}

const char *args_get(const struct args *args, const char *name)
{
	const char *value = NULL;
	for (size_t i = 0; i < args->option_count; i++)
		if (strcmp(args->options[i].name, name) == 0)
			value = args->options[i].value;
	return value;
}

static void options_table(const struct args_option *options, enum yg_lang lang)
{
	struct text_table *table YG_AUTO(text_table) = text_table_new(2);
	for (; options && options->name; options++) {
		text_table_addf(table, "  %s%s%s", options->name, options->value ? " " : "",
			options->value ? options->value : "");
		text_table_add(table, options->help[lang]);
	}
	text_table_print(table, stdout);
}

void args_help(const struct args_command *commands, const struct args_command *one,
	enum yg_lang lang)
{
	if (one) {
		(void)printf("%s yagura %s %s\n%s\n", pick(lang, "Usage:", "使用方法:"), one->name,
			one->words, one->help[lang]);
		options_table(one->options, lang);
		return;
	}
	(void)printf("%s\n\n",
		pick(lang, "Usage: yagura [OPTION]... COMMAND [ARGUMENT]...",
			"使用方法: yagura [オプション]... コマンド [引数]..."));
	struct text_table *table YG_AUTO(text_table) = text_table_new(2);
	for (const struct args_command *c = commands; c->name; c++) {
		text_table_addf(table, "  %s%s%s", c->name, *c->words ? " " : "", c->words);
		text_table_add(table, c->help[lang]);
	}
	text_table_print(table, stdout);
	(void)printf("\n%s\n", pick(lang, "Options:", "オプション:"));
	options_table(args_global, lang);
	(void)printf("\n%s\n",
		pick(lang,
			"'yagura COMMAND --help' lists a command's own options. Exit status: 0 done, 1 failed (or\n"
			"malware was found), 2 wrong usage, 3 the agent or the Manager cannot be reached.",
			"コマンド固有のオプションは「yagura コマンド --help」で表示されます。終了ステータス: 0 成功、\n"
			"1 失敗 (または不正プログラムを検出)、2 使用方法の誤り、3 AgentまたはManagerに接続できない。"));
}

static json_t *options_json(const struct args_option *options, enum yg_lang lang)
{
	json_t *list = json_array();
	for (; options && options->name; options++)
		(void)json_array_append_new(list,
			json_pack("{s:s, s:s?, s:s}", "name", options->name, "value",
				options->value, "help", options->help[lang]));
	return list;
}

json_t *args_json(const struct args_command *commands, enum yg_lang lang)
{
	json_t *list = json_array();
	for (const struct args_command *c = commands; c->name; c++)
		(void)json_array_append_new(list,
			json_pack("{s:s, s:s, s:o, s:s}", "name", c->name, "words", c->words,
				"options", options_json(c->options, lang), "help", c->help[lang]));
	return json_pack("{s:o, s:o}", "options", options_json(args_global, lang), "commands",
		list);
}
