/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "content/manifest.h"
#include "core/attr.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/str.h"
#include "publisher/init.h"
#include "publisher/release.h"
#include "publisher/resign.h"
#include "publisher/show.h"

/* yagura-publish: makes, signs and maintains an update repository. It has no daemon and talks to nobody:
 * it reads files that the content engineer names, and writes a tree that any web server can show.
 */

#define EXIT_USAGE 2

/* Options: which commands know each, as bits of enum verb. */
enum verb { INIT, RELEASE, RESIGN, SHOW, VERIFY, TRUST };
#define ON(verb) (1u << (verb))
#define WRITERS  (ON(INIT) | ON(RELEASE) | ON(RESIGN))
#define ALL      (WRITERS | ON(SHOW) | ON(VERIFY) | ON(TRUST))

struct option_row {
	const char *name;
	const char *value; /* what stands for the value in the help; NULL: none */
	unsigned verbs;
	const char *help;
};

static const struct option_row options[] = {
	{"keys", "DIR", WRITERS, "key folder (preset: REPO.keys)"},
	{"passphrase-file", "FILE", WRITERS, "first line encrypts the keys"},
	{"key-type", "TYPE", ON(INIT), "ed25519 (preset), ecdsa or rsa"},
	{"root-keys", "N", ON(INIT), "keys of the root role, 1..32 (preset: 1)"},
	{"threshold", "M", ON(INIT), "how many of them must sign (preset: 1)"},
	{"from", "DIR", ON(RELEASE),
		"every file of this folder; repeatable, a later one's files win"},
	{"add", "FILE", ON(RELEASE), "one more file; may be repeated"},
	{"version", "N", ON(RELEASE), "version of the component (preset: the next)"},
	{"description", "TEXT", ON(RELEASE), "for people, <= 200 bytes"},
	{"sample-find", "FILE", ON(RELEASE),
		"an engine must find it before this goes live; repeatable"},
	{"sample-pass", "FILE", ON(RELEASE), "an engine must not flag it; repeatable"},
	{"abi-min", "N", ON(RELEASE), "lowest content format level of engines (preset: 150)"},
	{"abi-max", "N", ON(RELEASE), "highest content format level of engines (preset: 999)"},
	{"level", "N", ON(RELEASE), "zstd level, 1..19 (preset: 9)"},
	{"role", "ROLE", ON(RESIGN),
		"sign this role anew; repeatable (preset: snapshot, timestamp)"},
	{"root", "FILE", ON(VERIFY), "trust this root.json (preset: the repository's 1.root.json)"},
	{"out", "FILE", ON(TRUST), "where to write it"},
	{"root-days", "N", WRITERS, "expiry of a new root (preset: 365)"},
	{"targets-days", "N", WRITERS, "of targets and component classes (preset: 90)"},
	{"snapshot-days", "N", WRITERS, "of snapshot (preset: 14)"},
	{"timestamp-days", "N", WRITERS, "of timestamp (preset: 7)"},
	{"now", "TIME", WRITERS | ON(VERIFY), "take this for the time: 2026-11-21T00:00:00Z"},
	{"json", NULL, ALL, "say what was done as JSON"},
	{"help", NULL, ALL, "this text"},
};

static const struct verb_row {
	const char *name, *operands, *help;
	int (*run)(const struct command *command, json_t **out, struct yg_err *err);
} verbs[] = {
	[INIT] = {"init", "REPO", "make keys and an empty repository", init_run},
	[RELEASE] = {"release", "REPO COMPONENT", "publish a new version of a component",
		release_run},
	[RESIGN] = {"resign", "REPO", "new signatures, before the old ones expire", resign_run},
	[SHOW] = {"show", "REPO", "what it holds", show_run},
	[VERIFY] = {"verify", "REPO", "check it as an agent does, and every object", show_verify},
	[TRUST] = {"trust", "REPO", "write the root.json that agents are installed with",
		show_trust},
};

static void help(FILE *out)
{
	(void)fprintf(out, "yagura-publish: make, sign and maintain an update repository\n\n");
	for (size_t v = 0; v < YG_COUNT(verbs); v++) {
		(void)fprintf(out, "yagura-publish %s %s [options]\n    %s\n", verbs[v].name,
			verbs[v].operands, verbs[v].help);
		for (size_t i = 0; i < YG_COUNT(options); i++) {
			if (!(options[i].verbs & 1u << v) || strcmp(options[i].name, "help") == 0 ||
				strcmp(options[i].name, "json") == 0)
				continue;
			(void)fprintf(out, "    --%s %-*s %s\n", options[i].name,
				(int)(22 - strlen(options[i].name)),
				options[i].value ? options[i].value : "", options[i].help);
		}
		(void)fputc('\n', out);
	}
	(void)fprintf(out,
		"Everywhere: --json, --help, --version (alone).\n"
		"Exit status: 0 done, 1 failed, 2 wrong usage.\n");
}

/* ---- the command line ---- */

static int number(const char *name, const char *text, uint64_t min, uint64_t max, int64_t *out,
	struct yg_err *err)
{
	uint64_t value = 0;
	if (yg_str_u64(text, max, &value, err) < 0)
		return yg_wrap(err, "--%s", name);
	if (value < min)
		return yg_fail(err, YG_ELIMIT, "--%s: want >= %llu, have %llu", name,
			(unsigned long long)min, (unsigned long long)value);
	*out = (int64_t)value;
	return 0;
}

static int append(const char *name, const char *value, const char **list, size_t *count,
	struct yg_err *err)
{
	if (*count == COMMAND_LIST_MAX)
		return yg_fail(err, YG_ELIMIT, "--%s: want <= %u times", name, COMMAND_LIST_MAX);
	list[(*count)++] = value;
	return 0;
}

static int set_key_type(const char *text, enum yg_key_type *out, struct yg_err *err)
{
	const struct {
		const char *name;
		enum yg_key_type type;
	} types[] = {{"ed25519", YG_KEY_ED25519}, {"ecdsa", YG_KEY_ECDSA_P256},
		{"rsa", YG_KEY_RSA_PSS}};
	for (size_t i = 0; i < YG_COUNT(types); i++) {
		if (strcmp(types[i].name, text) == 0) {
			*out = types[i].type;
			return 0;
		}
	}
	return yg_fail(err, YG_EFORMAT, "--key-type: want ed25519, ecdsa or rsa, have '%.32s'",
		text);
}

/* Options whose value is a text: where it goes, or NULL. */
static const char **text_of(struct command *to, const char *name)
{
	const struct {
		const char *name;
		const char **at;
	} texts[] = {{"keys", &to->keys}, {"passphrase-file", &to->passphrase},
		{"description", &to->description}, {"root", &to->root}, {"out", &to->out}};
	for (size_t i = 0; i < YG_COUNT(texts); i++) {
		if (strcmp(texts[i].name, name) == 0)
			return texts[i].at;
	}
	return NULL;
}

static int set_number(struct command *to, const char *name, const char *value, struct yg_err *err)
{
	int64_t level = to->level;
	const struct {
		const char *name;
		uint64_t min, max;
		int64_t *at;
	} numbers[] = {
		{"root-keys", 1, 32, &to->root_keys},
		{"threshold", 1, 32, &to->threshold},
		{"version", 1, INT64_MAX, &to->version},
		{"abi-min", 0, INT32_MAX, &to->abi_min},
		{"abi-max", 0, INT32_MAX, &to->abi_max},
		{"level", 1, 19, &level},
		{"root-days", 1, 36500, &to->days.root},
		{"targets-days", 1, 36500, &to->days.targets},
		{"snapshot-days", 1, 36500, &to->days.snapshot},
		{"timestamp-days", 1, 36500, &to->days.timestamp},
	};
	for (size_t i = 0; i < YG_COUNT(numbers); i++) {
		if (strcmp(numbers[i].name, name) != 0)
			continue;
		int bad = number(name, value, numbers[i].min, numbers[i].max, numbers[i].at, err);
		to->level = (int)level;
		return bad;
	}
	return yg_fail(err, YG_EFORMAT, "--%s: unknown", name);
}

static int set_option(struct command *to, const char *name, const char *value, struct yg_err *err)
{
	const char **text = text_of(to, name);
	if (text) {
		*text = value;
		return 0;
	}
	if (strcmp(name, "json") == 0) {
		to->json = true;
		return 0;
	}
	if (strcmp(name, "now") == 0)
		return yg_clock_parse(value, &to->now, err) < 0 ? yg_wrap(err, "--now") : 0;
	if (strcmp(name, "key-type") == 0)
		return set_key_type(value, &to->key_type, err);
	if (strcmp(name, "from") == 0)
		return append(name, value, to->from, &to->from_count, err);
	if (strcmp(name, "add") == 0)
		return append(name, value, to->add, &to->add_count, err);
	if (strcmp(name, "sample-find") == 0)
		return append(name, value, to->find, &to->find_count, err);
	if (strcmp(name, "sample-pass") == 0)
		return append(name, value, to->pass, &to->pass_count, err);
	if (strcmp(name, "role") == 0)
		return append(name, value, to->roles, &to->role_count, err);
	return set_number(to, name, value, err);
}

static int check(const struct command *command, enum verb verb, struct yg_err *err)
{
	if (command->threshold > command->root_keys)
		return yg_fail(err, YG_EFORMAT, "--threshold: want <= --root-keys %lld, have %lld",
			(long long)command->root_keys, (long long)command->threshold);
	if (command->abi_min > command->abi_max)
		return yg_fail(err, YG_EFORMAT, "--abi-min: want <= --abi-max %lld, have %lld",
			(long long)command->abi_max, (long long)command->abi_min);
	if (verb == TRUST && !command->out)
		return yg_fail(err, YG_EFORMAT, "trust: want --out FILE");
	return 0;
}

/* Everything after the verb. *asked: only help was wanted. */
static int parse(int argc, char **argv, enum verb verb, struct command *to, bool *asked,
	struct yg_err *err)
{
	struct option longs[YG_COUNT(options) + 1] = {0};
	for (size_t i = 0; i < YG_COUNT(options); i++)
		longs[i] = (struct option){options[i].name,
			options[i].value ? required_argument : no_argument, NULL, 256 + (int)i};
	opterr = 0;
	for (int got; (got = getopt_long(argc, argv, ":", longs, NULL)) != -1;) {
		if (got == ':' || got < 256)
			return yg_fail(err, YG_EFORMAT, "%s: %s", argv[optind - 1],
				got == ':' ? "want a value, have none" : "no such option");
		const struct option_row *row = &options[got - 256];
		if (!(row->verbs & 1u << verb))
			return yg_fail(err, YG_EFORMAT, "--%s: not an option of %s", row->name,
				verbs[verb].name);
		*asked = *asked || strcmp(row->name, "help") == 0;
		if (!*asked && set_option(to, row->name, optarg, err) < 0)
			return -1;
	}
	if (*asked)
		return 0;
	int want = verb == RELEASE ? 2 : 1;
	if (argc - optind != want)
		return yg_fail(err, YG_EFORMAT, "%s: want %s, have %d operands", verbs[verb].name,
			verbs[verb].operands, argc - optind);
	to->repo = argv[optind];
	to->component = verb == RELEASE ? argv[optind + 1] : NULL;
	return check(to, verb, err);
}

/* ---- what is said ---- */

static void say_value(const char *name, const json_t *value)
{
	if (json_is_string(value))
		(void)printf("%s: %s\n", name, json_string_value(value));
	else if (json_is_integer(value))
		(void)printf("%s: %lld\n", name, (long long)json_integer_value(value));
	else if (json_is_boolean(value))
		(void)printf("%s: %s\n", name, json_is_true(value) ? "yes" : "no");
}

static void say_list(const char *name, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *item = json_array_get(list, i);
		(void)printf("%s", i == 0 ? "" : "\n");
		for (void *at = json_object_iter(item); at; at = json_object_iter_next(item, at))
			say_value(json_object_iter_key(at), json_object_iter_value(at));
	}
	(void)name;
}

static void say(json_t *result)
{
	for (void *at = json_object_iter(result); at; at = json_object_iter_next(result, at)) {
		if (!json_is_array(json_object_iter_value(at)))
			say_value(json_object_iter_key(at), json_object_iter_value(at));
	}
	for (void *at = json_object_iter(result); at; at = json_object_iter_next(result, at)) {
		if (!json_is_array(json_object_iter_value(at)))
			continue;
		(void)printf("\n%s:\n\n", json_object_iter_key(at));
		say_list(json_object_iter_key(at), json_object_iter_value(at));
	}
}

static int fail(const struct command *command, const char *verb, const struct yg_err *err)
{
	(void)fprintf(stderr, "yagura-publish: %s: %s\n", verb, err->msg);
	if (!command->json)
		return EXIT_FAILURE;
	json_t *what YG_AUTO(yg_json) = json_pack("{s:{s:s, s:s}}", "error", "cause", err->cause,
		"message", err->msg);
	char *text YG_AUTO(mem) = yg_json_text(what);
	(void)printf("%s\n", text ? text : "{\"error\":{}}");
	return EXIT_FAILURE;
}

static int run(const struct command *command, enum verb verb)
{
	struct yg_err err = {0};
	json_t *result YG_AUTO(yg_json) = NULL;
	if (verbs[verb].run(command, &result, &err) < 0)
		return fail(command, verbs[verb].name, &err);
	char *text YG_AUTO(mem) = command->json ? yg_json_text(result) : NULL;
	if (text)
		(void)printf("%s\n", text);
	else
		say(result);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int usage(const char *why)
{
	(void)fprintf(stderr, "yagura-publish: %s\nyagura-publish: --help says more\n", why);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct command command = {.now = yg_clock_now_s(),
		.abi_min = 150,
		.abi_max = 999,
		.root_keys = 1,
		.threshold = 1,
		.level = 9,
		.days = {.root = 365, .targets = 90, .snapshot = 14, .timestamp = 7}};
	struct yg_err err = {0};
	bool asked = false;
	(void)umask(022);
	if (argc < 2)
		return usage("want a command");
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		help(stdout);
		return EXIT_SUCCESS;
	}
	if (strcmp(argv[1], "--version") == 0) {
		(void)printf("yagura-publish %s\n", YG_VERSION);
		return EXIT_SUCCESS;
	}
	for (size_t v = 0; v < YG_COUNT(verbs); v++) {
		if (strcmp(verbs[v].name, argv[1]) != 0)
			continue;
		if (parse(argc - 1, argv + 1, (enum verb)v, &command, &asked, &err) < 0)
			return usage(err.msg);
		if (asked) {
			help(stdout);
			return EXIT_SUCCESS;
		}
		return run(&command, (enum verb)v);
	}
	(void)yg_fail(&err, YG_EFORMAT, "'%.32s': no such command", argv[1]);
	return usage(err.msg);
}
