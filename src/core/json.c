/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"

static int too_deep(const json_t *value, int left)
{
	if (left == 0)
		return 1;
	if (json_is_object(value)) {
		const char *key;
		json_t *item;
		json_object_foreach((json_t *)(uintptr_t)value, key,
			item) if (too_deep(item, left - 1)) return 1;
	} else if (json_is_array(value)) {
		size_t i;
		json_t *item;
		json_array_foreach(value, i, item) if (too_deep(item, left - 1)) return 1;
	}
	return 0;
}

/* When memory is out, jansson 2.14 may drop characters of a number or a string and say that all is
 * well. So its allocator tells on itself.
 */
static _Thread_local bool starved;

static void *alloc(size_t size)
{
	void *memory = malloc(size);
	if (!memory)
		starved = true;
	return memory;
}

int yg_json_parse(struct yg_bytes text, size_t max, json_t **out, struct yg_err *err)
{
	if (text.len > max)
		return yg_fail(err, YG_ELIMIT, "JSON: want <= %zu bytes, have %zu", max, text.len);

	json_error_t why;
	json_set_alloc_funcs(alloc, free);
	starved = false;
	json_t *root YG_AUTO(yg_json) = json_loadb(text.ptr ? (const char *)text.ptr : "", text.len,
		JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
	if (starved)
		return yg_fail(err, YG_ESYSTEM, "JSON: out of memory");
	if (!root)
		return yg_fail(err, YG_EFORMAT, "JSON: line %d: %s", why.line, why.text);
	if (too_deep(root, YG_JSON_DEPTH_MAX))
		return yg_fail(err, YG_ELIMIT, "JSON: more than %d levels", YG_JSON_DEPTH_MAX);
	*out = yg_take(root);
	return 0;
}

int yg_json_read(int fd, size_t max, json_t **out, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(max);
	if (yg_fs_read_fd(fd, &text, err) < 0)
		return -1;
	return yg_json_parse(yg_buf_bytes(&text), max, out, err);
}

struct collection {
	struct yg_buf *out;
	struct yg_err why;
};

static int collect(const char *text, size_t len, void *ctx)
{
	struct collection *to = ctx;
	if (to->why.code != YG_OK)
		return -1;
	return yg_buf_add(to->out, text, len, &to->why);
}

int yg_json_dump(const json_t *value, struct yg_buf *out, struct yg_err *err)
{
	struct collection to = {.out = out};
	size_t before = out->len;
	int bad = json_dump_callback(value, collect, &to,
		JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	/* jansson 2.14 goes on, and succeeds, after a failure to write a member's name. */
	if (bad == 0 && to.why.code == YG_OK)
		return 0;
	out->len = before;
	if (to.why.code == YG_OK)
		return yg_fail(err, YG_ESYSTEM, "writing JSON");
	*err = to.why;
	return -1;
}

char *yg_json_text(const json_t *value)
{
	json_set_alloc_funcs(alloc, free);
	starved = false;
	char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	if (!starved)
		return text;
	free(text);
	return NULL;
}

const char *yg_json_kind(const json_t *value)
{
	if (!value)
		return "nothing";
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "a whole number";
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "true or false";
	case JSON_NULL:
		return "null";
	}
	return "something else";
}

static int wrong(const char *name, const char *want, const json_t *have, struct yg_err *err)
{
	return yg_fail(err, YG_EFORMAT, "%s: want %s, have %s", name, want, yg_json_kind(have));
}

int yg_json_str(const json_t *object, const char *name, size_t max_bytes, const char **out,
	struct yg_err *err)
{
	json_t *value = json_object_get(object, name);
	if (!json_is_string(value))
		return wrong(name, "a string", value, err);
	if (json_string_length(value) > max_bytes)
		return yg_fail(err, YG_ELIMIT, "%s: want <= %zu bytes, have %zu", name, max_bytes,
			json_string_length(value));
	*out = json_string_value(value);
	return 0;
}

int yg_json_int(const json_t *object, const char *name, int64_t min, int64_t max, int64_t *out,
	struct yg_err *err)
{
	json_t *value = json_object_get(object, name);
	if (!json_is_integer(value))
		return wrong(name, "a whole number", value, err);
	json_int_t n = json_integer_value(value);
	if (n < min || n > max)
		return yg_fail(err, YG_ELIMIT, "%s: want %lld..%lld, have %lld", name,
			(long long)min, (long long)max, (long long)n);
	*out = n;
	return 0;
}

int yg_json_bool(const json_t *object, const char *name, bool *out, struct yg_err *err)
{
	json_t *value = json_object_get(object, name);
	if (!json_is_boolean(value))
		return wrong(name, "true or false", value, err);
	*out = json_is_true(value);
	return 0;
}

int yg_json_object(const json_t *object, const char *name, json_t **out, struct yg_err *err)
{
	json_t *value = json_object_get(object, name);
	if (!json_is_object(value))
		return wrong(name, "an object", value, err);
	*out = value;
	return 0;
}

int yg_json_array(const json_t *object, const char *name, size_t max_items, json_t **out,
	struct yg_err *err)
{
	json_t *value = json_object_get(object, name);
	if (!json_is_array(value))
		return wrong(name, "an array", value, err);
	if (json_array_size(value) > max_items)
		return yg_fail(err, YG_ELIMIT, "%s: want <= %zu items, have %zu", name, max_items,
			json_array_size(value));
	*out = value;
	return 0;
}

static bool absent(const json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);
	return !value || json_is_null(value);
}

int yg_json_str_or(const json_t *object, const char *name, size_t max_bytes, const char *preset,
	const char **out, struct yg_err *err)
{
	if (absent(object, name)) {
		*out = preset;
		return 0;
	}
	return yg_json_str(object, name, max_bytes, out, err);
}

int yg_json_int_or(const json_t *object, const char *name, int64_t min, int64_t max, int64_t preset,
	int64_t *out, struct yg_err *err)
{
	if (absent(object, name)) {
		*out = preset;
		return 0;
	}
	return yg_json_int(object, name, min, max, out, err);
}

int yg_json_bool_or(const json_t *object, const char *name, bool preset, bool *out,
	struct yg_err *err)
{
	if (absent(object, name)) {
		*out = preset;
		return 0;
	}
	return yg_json_bool(object, name, out, err);
}
