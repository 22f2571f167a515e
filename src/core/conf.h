/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"

/* Configuration files: "[section]" lines, "key = value" lines, "#" comments. A program has one table
 * of options; parser, --check-config, --help and the manual page's table come from it. An unknown
 * key, a key twice and a bad value are errors that name file and line.
 */

/* A path is a text; what a relative one is relative to is said in its help. */
enum yg_opt_type { YG_OPT_BOOL, YG_OPT_INT, YG_OPT_TEXT, YG_OPT_PATH };

struct yg_opt {
	const char *section; /* "manager"; the table ends with NULL */
	const char *name;    /* "port" */
	enum yg_opt_type type;
	int64_t min, max;   /* of a number; of the length of a text, in bytes */
	const char *preset; /* as it would stand in a file; NULL: none */
	const char *help;   /* one line; units named */
};

struct yg_conf;

#define YG_CONF_SIZE_MAX (256u << 10) /* bytes of one file */

/* All presets. errors  YG_ESYSTEM */
struct yg_conf *yg_conf_new(const struct yg_opt *opts, struct yg_err *err) YG_MUST_CHECK;

/* Read a file over it. errors  YG_EABSENT; YG_EFORMAT "FILE:LINE: …"; YG_ELIMIT; YG_ESYSTEM */
int yg_conf_load(struct yg_conf *conf, const char *path, struct yg_err *err) YG_MUST_CHECK;

/* The same from text; `name` stands for the file in errors. The fuzz target's entry. */
int yg_conf_parse(struct yg_conf *conf, const char *name, struct yg_bytes text, struct yg_err *err)
	YG_MUST_CHECK;

/* Values. A name the table lacks is our bug: assert. Texts live as long as conf; NULL if unset. */
int64_t yg_conf_int(const struct yg_conf *conf, const char *section, const char *name);
bool yg_conf_bool(const struct yg_conf *conf, const char *section, const char *name);
const char *yg_conf_text(const struct yg_conf *conf, const char *section, const char *name);

void yg_conf_help(const struct yg_opt *opts, FILE *out); /* the table, for --help-config */
void yg_conf_free(struct yg_conf *conf);
YG_DEFINE_AUTO(yg_conf);
