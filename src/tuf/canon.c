/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "tuf/canon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/attr.h"
#include "core/mem.h"

static int add(struct yg_buf *out, const char *text, struct yg_err *err)
{
	return yg_buf_add(out, text, strlen(text), err);
}

static int add_string(const char *text, size_t len, struct yg_buf *out, struct yg_err *err)
{
	if (add(out, "\"", err) < 0)
		return -1;
	size_t from = 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] != '"' && text[i] != '\\')
			continue;
		if (yg_buf_add(out, text + from, i - from, err) < 0 || add(out, "\\", err) < 0)
			return -1;
		from = i;
	}
	if (yg_buf_add(out, text + from, len - from, err) < 0)
		return -1;
	return add(out, "\"", err);
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int add_object(const json_t *object, struct yg_buf *out, struct yg_err *err)
{
	size_t count = json_object_size(object), n = 0;
	const char **names YG_AUTO(mem) = calloc(count + 1, sizeof(*names));
	if (!names)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	json_t *at = (json_t *)(uintptr_t)object; /* jansson's iterators want it writable */
	for (void *i = json_object_iter(at); i; i = json_object_iter_next(at, i))
		names[n++] = json_object_iter_key(i);
	qsort(names, n, sizeof(*names), by_bytes);
	if (add(out, "{", err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if ((i > 0 && add(out, ",", err) < 0) ||
			add_string(names[i], strlen(names[i]), out, err) < 0 ||
			add(out, ":", err) < 0 ||
			yg_canon(json_object_get(object, names[i]), out, err) < 0)
			return -1;
	}
	return add(out, "}", err);
}

static int add_array(const json_t *array, struct yg_buf *out, struct yg_err *err)
{
	if (add(out, "[", err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(array); i++) {
		if ((i > 0 && add(out, ",", err) < 0) ||
			yg_canon(json_array_get(array, i), out, err) < 0)
			return -1;
	}
	return add(out, "]", err);
}

int yg_canon(const json_t *value, struct yg_buf *out, struct yg_err *err)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return add_object(value, out, err);
	case JSON_ARRAY:
		return add_array(value, out, err);
	case JSON_STRING:
		return add_string(json_string_value(value), json_string_length(value), out, err);
	case JSON_INTEGER: {
		char text[32];
		(void)snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(value));
		return add(out, text, err);
	}
	case JSON_REAL:
		return yg_fail(err, YG_EFORMAT, "canonical JSON: want whole numbers, have %.17g",
			json_real_value(value));
	case JSON_TRUE:
		return add(out, "true", err);
	case JSON_FALSE:
		return add(out, "false", err);
	case JSON_NULL:
		return add(out, "null", err);
	}
	return yg_fail(err, YG_EFORMAT, "canonical JSON: unknown kind of value");
}
