/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/conf.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "core/str.h"

#define NAME_MAX_BYTES  64   /* of a section or a key */
#define VALUE_MAX_BYTES 4096 /* of a text whose option names no maximum */

struct value {
	char *text; /* owned; NULL: unset */
	int line;   /* where the file being read sets it; 0: it does not */
};

struct yg_conf {
	const struct yg_opt *opts;
	size_t count;
	struct value *values;
};

/* Where the parser stands, for errors. */
struct place {
	const char *name;
	int line;
};

static size_t count_of(const struct yg_opt *opts)
{
	size_t n = 0;
	while (opts[n].section)
		n++;
	return n;
}

static int bool_of(const char *text, bool *out)
{
	static const char *const yes[] = {"on", "yes", "true"};
	static const char *const no[] = {"off", "no", "false"};
	for (size_t i = 0; i < YG_COUNT(yes); i++) {
		if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
			*out = strcmp(text, yes[i]) == 0;
			return 0;
		}
	}
	return -1;
}

static int int_of(const char *text, int64_t *out)
{
	bool negative = text[0] == '-';
	uint64_t n = 0;
	struct yg_err ignored;
	if (yg_str_u64(text + negative, INT64_MAX, &n, &ignored) < 0)
		return -1;
	*out = negative ? -(int64_t)n : (int64_t)n;
	return 0;
}

static int check_int(const struct yg_opt *opt, const char *text, struct yg_err *err)
{
	int64_t n = 0;
	if (int_of(text, &n) < 0)
		return yg_fail(err, YG_EFORMAT, "%s: want a whole number, have '%.64s'", opt->name,
			text);
	if (n < opt->min || n > opt->max)
		return yg_fail(err, YG_EFORMAT, "%s: want %" PRId64 "..%" PRId64 ", have %" PRId64,
			opt->name, opt->min, opt->max, n);
	return 0;
}

static int check_text(const struct yg_opt *opt, const char *text, struct yg_err *err)
{
	int64_t len = (int64_t)strlen(text);
	int64_t max = opt->max ? opt->max : VALUE_MAX_BYTES;
	if (len < opt->min || len > max)
		return yg_fail(err, YG_EFORMAT,
			"%s: want %" PRId64 "..%" PRId64 " bytes, have %" PRId64, opt->name,
			opt->min, max, len);
	return 0;
}

static int check(const struct yg_opt *opt, const char *text, struct yg_err *err)
{
	bool ignored = false;
	switch (opt->type) {
	case YG_OPT_BOOL:
		if (bool_of(text, &ignored) < 0)
			return yg_fail(err, YG_EFORMAT, "%s: want on or off, have '%.64s'",
				opt->name, text);
		return 0;
	case YG_OPT_INT:
		return check_int(opt, text, err);
	case YG_OPT_TEXT:
	case YG_OPT_PATH:
		return check_text(opt, text, err);
	}
	return 0;
}

struct yg_conf *yg_conf_new(const struct yg_opt *opts, struct yg_err *err)
{
	struct yg_conf *conf YG_AUTO(yg_conf) = calloc(1, sizeof(*conf));
	if (!conf) {
		(void)yg_fail_sys(err, ENOMEM, "making a configuration");
		return NULL;
	}
	conf->opts = opts;
	conf->count = count_of(opts);
	conf->values = calloc(conf->count + 1, sizeof(*conf->values));
	if (!conf->values) {
		(void)yg_fail_sys(err, ENOMEM, "making a configuration");
		return NULL;
	}
	for (size_t i = 0; i < conf->count; i++) {
		if (!opts[i].preset)
			continue;
		struct yg_err why;
		assert(check(&opts[i], opts[i].preset, &why) == 0);
		(void)why;
		conf->values[i].text = strdup(opts[i].preset);
		if (!conf->values[i].text) {
			(void)yg_fail_sys(err, ENOMEM, "making a configuration");
			return NULL;
		}
	}
	return yg_take(conf);
}

void yg_conf_free(struct yg_conf *conf)
{
	if (!conf)
		return;
	for (size_t i = 0; conf->values && i < conf->count; i++)
		free(conf->values[i].text);
	free(conf->values);
	free(conf);
}

/* The index of an option, or count. */
static size_t find(const struct yg_conf *conf, const char *section, const char *name)
{
	for (size_t i = 0; i < conf->count; i++)
		if (strcmp(conf->opts[i].section, section) == 0 &&
			strcmp(conf->opts[i].name, name) == 0)
			return i;
	return conf->count;
}

static bool has_section(const struct yg_conf *conf, const char *section)
{
	for (size_t i = 0; i < conf->count; i++)
		if (strcmp(conf->opts[i].section, section) == 0)
			return true;
	return false;
}

/* Blanks at both ends off; the text changes in place. */
static char *trim(char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	size_t len = strlen(text);
	while (len > 0 && isspace((unsigned char)text[len - 1]))
		text[--len] = 0;
	return text;
}

static int take_section(const struct yg_conf *conf, char *line, char section[NAME_MAX_BYTES],
	const struct place *at, struct yg_err *err)
{
	size_t len = strlen(line);
	if (len < 3 || line[len - 1] != ']')
		return yg_fail(err, YG_EFORMAT, "%s:%d: want [section], have '%.64s'", at->name,
			at->line, line);
	line[len - 1] = 0;
	const char *name = trim(line + 1);
	if (!has_section(conf, name) || !yg_str_put(section, NAME_MAX_BYTES, "%s", name))
		return yg_fail(err, YG_EFORMAT, "%s:%d: unknown section [%.64s]", at->name,
			at->line, name);
	return 0;
}

static int take_value(struct yg_conf *conf, char *line, const char *section, const struct place *at,
	struct yg_err *err)
{
	char *equals = strchr(line, '=');
	if (!equals)
		return yg_fail(err, YG_EFORMAT, "%s:%d: want key = value, have '%.64s'", at->name,
			at->line, line);
	*equals = 0;
	const char *name = trim(line);
	const char *text = trim(equals + 1);
	if (!section[0])
		return yg_fail(err, YG_EFORMAT, "%s:%d: '%.64s' stands before any [section]",
			at->name, at->line, name);

	size_t i = find(conf, section, name);
	if (i == conf->count)
		return yg_fail(err, YG_EFORMAT, "%s:%d: unknown key '%.64s' in [%s]", at->name,
			at->line, name, section);
	struct value *value = &conf->values[i];
	if (value->line)
		return yg_fail(err, YG_EFORMAT, "%s:%d: '%s' is set already in line %d", at->name,
			at->line, name, value->line);
	if (check(&conf->opts[i], text, err) < 0)
		return yg_wrap(err, "%s:%d", at->name, at->line);

	char *copy = strdup(text);
	if (!copy)
		return yg_fail_sys(err, ENOMEM, "%s:%d", at->name, at->line);
	free(value->text);
	value->text = copy;
	value->line = at->line;
	return 0;
}

int yg_conf_parse(struct yg_conf *conf, const char *name, struct yg_bytes text, struct yg_err *err)
{
	struct place at = {.name = name};
	if (text.len > YG_CONF_SIZE_MAX)
		return yg_fail(err, YG_ELIMIT, "%s: want <= %u bytes, have %zu", name,
			YG_CONF_SIZE_MAX, text.len);
	if (text.len > 0 && !yg_str_utf8_ok((const char *)text.ptr, text.len))
		return yg_fail(err, YG_EFORMAT, "%s: not UTF-8 text", name);

	char *copy YG_AUTO(mem) = calloc(1, text.len + 1);
	if (!copy)
		return yg_fail_sys(err, ENOMEM, "%s", name);
	if (text.len > 0)
		memcpy(copy, text.ptr, text.len);
	for (size_t i = 0; i < conf->count; i++)
		conf->values[i].line = 0;

	char section[NAME_MAX_BYTES] = "";
	for (char *rest = copy; rest;) {
		char *line = trim(strsep(&rest, "\n"));
		at.line++;
		if (!*line || *line == '#')
			continue;
		int done = *line == '[' ? take_section(conf, line, section, &at, err)
					: take_value(conf, line, section, &at, err);
		if (done < 0)
			return -1;
	}
	return 0;
}

int yg_conf_load(struct yg_conf *conf, const char *path, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_CONF_SIZE_MAX);
	/* Links are followed: administrators keep configuration elsewhere and link it. */
	int fd YG_AUTO(fd) = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return yg_fail(err, YG_EABSENT, "'%s': no such file", path);
	if (fd < 0)
		return yg_fail_sys(err, errno, "opening '%s'", path);
	if (yg_fs_read_fd(fd, &text, err) < 0)
		return yg_wrap(err, "'%s'", path);
	return yg_conf_parse(conf, path, yg_buf_bytes(&text), err);
}

static const char *text_of(const struct yg_conf *conf, const char *section, const char *name)
{
	size_t i = find(conf, section, name);
	assert(i < conf->count);
	return conf->values[i].text;
}

int64_t yg_conf_int(const struct yg_conf *conf, const char *section, const char *name)
{
	const char *text = text_of(conf, section, name);
	int64_t n = 0;
	if (text)
		(void)int_of(text, &n);
	return n;
}

bool yg_conf_bool(const struct yg_conf *conf, const char *section, const char *name)
{
	const char *text = text_of(conf, section, name);
	bool on = false;
	if (text)
		(void)bool_of(text, &on);
	return on;
}

const char *yg_conf_text(const struct yg_conf *conf, const char *section, const char *name)
{
	return text_of(conf, section, name);
}

static void print_range(const struct yg_opt *opt, FILE *out)
{
	switch (opt->type) {
	case YG_OPT_BOOL:
		(void)fputs("on or off", out);
		return;
	case YG_OPT_INT:
		(void)fprintf(out, "%" PRId64 "..%" PRId64, opt->min, opt->max);
		return;
	case YG_OPT_TEXT:
		(void)fputs("text", out);
		return;
	case YG_OPT_PATH:
		(void)fputs("path", out);
		return;
	}
}

void yg_conf_help(const struct yg_opt *opts, FILE *out)
{
	const char *section = "";
	for (const struct yg_opt *opt = opts; opt->section; opt++) {
		if (strcmp(section, opt->section) != 0)
			(void)fprintf(out, "%s[%s]\n", *section ? "\n" : "", opt->section);
		section = opt->section;
		(void)fprintf(out, "# %s (", opt->help);
		print_range(opt, out);
		(void)fprintf(out, ")\n%s%s = %s\n", opt->preset ? "" : "# ", opt->name,
			opt->preset ? opt->preset : "");
	}
}
