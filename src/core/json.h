/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"

/* JSON of strangers: parsed with limits, read with typed getters that say what was wanted and what
 * was found. A json_t is reference counted: "borrowed" below means no reference is passed on.
 *
 *     json_t *root YG_AUTO(yg_json) = NULL;
 */

#define YG_JSON_DEPTH_MAX 64 /* levels; jansson's own limit is 2048, far more than any of ours */

static inline void yg_json_free_at(json_t **at)
{
	json_decref(*at);
}

/* Parse one value; duplicate members, invalid UTF-8 and trailing bytes are refused.
 * in      max     most bytes accepted
 * out     *out    a new reference; untouched on failure
 * errors  YG_EFORMAT, YG_ELIMIT longer than max or deeper than YG_JSON_DEPTH_MAX
 */
int yg_json_parse(struct yg_bytes text, size_t max, json_t **out, struct yg_err *err) YG_MUST_CHECK;

/* The same from a file that is open for reading, from its start. errors also YG_ESYSTEM */
int yg_json_read(int fd, size_t max, json_t **out, struct yg_err *err) YG_MUST_CHECK;

/* As compact text with sorted members (one value, one text), appended to the buffer.
 * errors  YG_ELIMIT, YG_ESYSTEM
 */
int yg_json_dump(const json_t *value, struct yg_buf *out, struct yg_err *err) YG_MUST_CHECK;

/* As yg_json_dump, as a string that the caller frees; NULL when memory is out. */
char *yg_json_text(const json_t *value) YG_MUST_CHECK;

/* Members. Errors read "NAME: want a string, have a number". Values are borrowed from `object`.
 * errors  YG_EFORMAT not there, or another type; YG_ELIMIT out of the stated range
 */
int yg_json_str(const json_t *object, const char *name, size_t max_bytes, const char **out,
	struct yg_err *err) YG_MUST_CHECK;
int yg_json_int(const json_t *object, const char *name, int64_t min, int64_t max, int64_t *out,
	struct yg_err *err) YG_MUST_CHECK;
int yg_json_bool(const json_t *object, const char *name, bool *out, struct yg_err *err)
	YG_MUST_CHECK;
int yg_json_object(const json_t *object, const char *name, json_t **out, struct yg_err *err)
	YG_MUST_CHECK;
int yg_json_array(const json_t *object, const char *name, size_t max_items, json_t **out,
	struct yg_err *err) YG_MUST_CHECK;

/* As above, but a member that is absent or null gives `preset`; a wrong type is still an error. */
int yg_json_str_or(const json_t *object, const char *name, size_t max_bytes, const char *preset,
	const char **out, struct yg_err *err) YG_MUST_CHECK;
int yg_json_int_or(const json_t *object, const char *name, int64_t min, int64_t max, int64_t preset,
	int64_t *out, struct yg_err *err) YG_MUST_CHECK;
int yg_json_bool_or(const json_t *object, const char *name, bool preset, bool *out,
	struct yg_err *err) YG_MUST_CHECK;

/* "a string", "an object", … for messages. */
const char *yg_json_kind(const json_t *value);
