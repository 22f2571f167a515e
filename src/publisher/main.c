/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/json.h"
#include "core/str.h"
#include "proto/cause.h"
#include "publisher/options.h"
#include "publisher/progress.h"
#include "publisher/say.h"

/* yagura-publish: makes, signs and maintains an update repository. It has no daemon and talks to nobody:
 * it reads files that the content engineer names, and writes a tree that any web server can show.
 * The commands are in verbs.c, the options in options.c.
 */

#define EXIT_USAGE 2

/* ---- what is said ---- */

/* {"cause", "message"}; NULL when memory is out. */
static json_t *error_json(const struct yg_err *err)
{
	return json_pack("{s:s, s:s}", "cause", err->cause, "message", err->msg);
}

/* For people a sentence in their language where the catalogue has one; for programs JSON. */
static void complain(const struct command *command, const char *verb, const struct yg_err *err)
{
	struct yg_buf line YG_AUTO(yg_buf) = YG_BUF(4096);
	struct yg_err why = {0};
	bool whole = yg_cause_sentence(err->cause, err->msg, command->lang, &line, &why) == 0 &&
		yg_buf_add(&line, "", 1, &why) == 0;
	(void)fprintf(stderr, "yagura-publish: %s%s%s\n", verb ? verb : "", verb ? ": " : "",
		whole ? (const char *)line.data : err->msg);
}

/* What a command found is said also when it fails for that (verify). */
static int run(const struct command *command, const struct verb_row *row)
{
	struct yg_err err = {0};
	json_t *result YG_AUTO(yg_json) = NULL;
	progress_json(command->json);
	bool failed = row->run(command, &result, &err) < 0;
	if (failed && command->json) {
		if (!result)
			result = json_object();
		(void)json_object_set_new(result, "error", error_json(&err));
	}
	char *text YG_AUTO(mem) = command->json ? yg_json_text(result) : NULL;
	if (command->json)
		(void)printf("%s\n", text ? text : "{\"error\":{}}");
	else if (result)
		say_result(result, command->lang, stdout);
	bool written = fflush(stdout) == 0;
	if (failed)
		complain(command, row->name, &err);
	return failed || !written ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int answer(const char *asked, const struct command *command, const struct verb_row *row)
{
	if (strcmp(asked, "version") == 0) {
		(void)printf("yagura-publish %s\n", YG_VERSION);
	} else if (command->json) {
		json_t *tables YG_AUTO(yg_json) = options_json(command->lang);
		char *text YG_AUTO(mem) = tables ? yg_json_text(tables) : NULL;
		(void)printf("%s\n", text ? text : "{}");
	} else {
		options_help(row, command->lang);
	}
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	static struct command command; /* its lists are long */
	const struct verb_row *row = NULL;
	const char *asked = NULL;
	struct yg_err err = {0};
	(void)umask(022);
	options_preset(&command);
	command.ask = isatty(STDIN_FILENO) == 1;
	if (options_parse(argc, argv, &command, &row, &asked, &err) < 0) {
		json_t *what YG_AUTO(yg_json) = json_pack("{s:o}", "error", error_json(&err));
		char *text YG_AUTO(mem) = command.json && what ? yg_json_text(what) : NULL;
		if (text)
			(void)printf("%s\n", text);
		complain(&command, NULL, &err);
		(void)fprintf(stderr, "%s\n",
			OPTIONS_SAY(command.lang, "yagura-publish: --help says more",
				"yagura-publish: 詳しくは --help を参照してください"));
		(void)fflush(stdout);
		return EXIT_USAGE;
	}
	return asked ? answer(asked, &command, row) : run(&command, row);
}
