/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/api.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/str.h"
#include "routes.inc"

#define VALUE_MAX 4096 /* bytes of one decoded query value */

/* printf into a fixed array, cut where it is full: names of a stranger's choosing may be long, and
 * what does not fit says nothing more. Never cut inside a character.
 */
static void YG_PRINTF(3, 4) cut(char *out, size_t size, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(out, size, fmt, args);
	va_end(args);
	if (n < 0)
		out[0] = '\0';
	for (size_t len = strlen(out); (size_t)n >= size && len > 0 && !yg_str_utf8_ok(out, len);)
		out[--len] = '\0';
}

static int refuse(struct api_refusal *refusal, int status, const char *code, const char *field)
{
	*refusal = (struct api_refusal){.status = status, .code = code};
	cut(refusal->field, sizeof(refusal->field), "%s", field);
	return -1;
}

/* How a path fits a pattern with at most one "{id}" in it. */
static bool fits(const char *pattern, const char *path, char id[API_ID_MAX + 1])
{
	id[0] = '\0';
	const char *brace = strchr(pattern, '{');
	if (!brace)
		return strcmp(pattern, path) == 0;
	size_t before = (size_t)(brace - pattern);
	if (strncmp(pattern, path, before) != 0)
		return false;
	const char *start = path + before;
	size_t len = strcspn(start, "/");
	if (len == 0 || len > API_ID_MAX || strcmp(start + len, strchr(brace, '}') + 1) != 0)
		return false;
	return yg_str_put(id, API_ID_MAX + 1, "%.*s", (int)len, start);
}

int api_find(const char *method, const char *path, const struct api_route **route,
	char id[API_ID_MAX + 1], char allow[64], struct api_refusal *refusal, struct yg_err *err)
{
	const struct api_route *found = NULL;
	allow[0] = '\0';
	for (size_t i = 0; i < YG_COUNT(routes); i++) {
		char at[API_ID_MAX + 1];
		if (!fits(routes[i].path, path, at))
			continue;
		/* "/events/catalogue" must not be taken for an id; all methods of the exact path count. */
		if (found && strcmp(found->path, routes[i].path) != 0)
			continue;
		size_t used = strlen(allow);
		cut(allow + used, 64 - used, "%s%s", used ? ", " : "", routes[i].method);
		if (!found || strcmp(routes[i].method, method) == 0) {
			found = &routes[i];
			cut(id, API_ID_MAX + 1, "%s", at);
		}
	}
	if (!found) {
		(void)yg_fail(err, YG_EABSENT, "there is no '%.200s' here", path);
		return refuse(refusal, 404, "not_found", "");
	}
	if (strcmp(found->method, method) != 0) {
		(void)yg_fail(err, YG_EFORMAT, "%s: want %s, have %.20s", found->path, allow,
			method);
		return refuse(refusal, 405, "method_not_allowed", "");
	}
	*route = found;
	return 0;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One part of a query, decoded. */
static int decode(const char *from, size_t len, char *out, size_t size, struct yg_err *err)
{
	size_t used = 0;
	for (size_t i = 0; i < len; i++) {
		char c = from[i] == '+' ? ' ' : from[i];
		if (c == '%') {
			if (len - i < 3 || hex(from[i + 1]) < 0 || hex(from[i + 2]) < 0)
				return yg_fail(err, YG_EFORMAT,
					"'%%' without two hex digits in the query");
			c = (char)(hex(from[i + 1]) * 16 + hex(from[i + 2]));
			i += 2;
		}
		if (used + 1 >= size)
			return yg_fail(err, YG_ELIMIT,
				"a query value: want <= %zu bytes, have more", size - 1);
		out[used++] = c;
	}
	out[used] = '\0';
	if (!yg_str_utf8_ok(out, used))
		return yg_fail(err, YG_EFORMAT, "a query value: want UTF-8 without NUL");
	return 0;
}

static void kinds_text(unsigned kinds, char out[96])
{
	static const struct {
		unsigned kind;
		const char *text;
	} names[] = {{API_STRING, "a string"}, {API_INTEGER, "a whole number"},
		{API_BOOLEAN, "true or false"}, {API_ARRAY, "an array"}, {API_OBJECT, "an object"},
		{API_NULL, "null"}};
	out[0] = '\0';
	for (size_t i = 0; i < YG_COUNT(names); i++) {
		size_t used = strlen(out);
		if (kinds & names[i].kind)
			cut(out + used, 96 - used, "%s%s", used ? " or " : "", names[i].text);
	}
}

static unsigned kind_of(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_STRING:
		return API_STRING;
	case JSON_INTEGER:
		return API_INTEGER;
	case JSON_TRUE:
	case JSON_FALSE:
		return API_BOOLEAN;
	case JSON_ARRAY:
		return API_ARRAY;
	case JSON_OBJECT:
		return API_OBJECT;
	case JSON_NULL:
		return API_NULL;
	case JSON_REAL:
		break;
	}
	return 0;
}

/* Where we are in a body, for "field": "computers[3]", "source.url". */
struct place {
	char text[API_FIELD_MAX];
};

static struct place below(const struct place *at, const char *name)
{
	struct place to = {""};
	cut(to.text, sizeof(to.text), "%s%s%s", at->text, at->text[0] ? "." : "", name);
	return to;
}

static struct place item(const struct place *at, size_t i)
{
	struct place to = {""};
	cut(to.text, sizeof(to.text), "%s[%zu]", at->text, i);
	return to;
}

static int check(const struct place *at, const struct api_value *want, const json_t *have,
	struct api_refusal *refusal, struct yg_err *err);

static int check_text(const struct place *at, const struct api_value *want, const json_t *have,
	struct api_refusal *refusal, struct yg_err *err)
{
	const char *text = json_string_value(have);
	size_t len = json_string_length(have);
	if (want->words) {
		for (size_t i = 0; want->words[i]; i++)
			if (strcmp(want->words[i], text) == 0)
				return 0;
		char all[256] = "";
		for (size_t i = 0; want->words[i]; i++) {
			size_t used = strlen(all);
			cut(all + used, sizeof(all) - used, "%s\"%s\"", i ? " or " : "",
				want->words[i]);
		}
		(void)yg_fail(err, YG_EFORMAT, "%s: want %s, have \"%.40s\"", at->text, all, text);
		return refuse(refusal, 400, "bad_request", at->text);
	}
	if ((int64_t)len < want->min || (int64_t)len > want->max) {
		(void)yg_fail(err, YG_ELIMIT, "%s: want %lld..%lld bytes, have %zu", at->text,
			(long long)want->min, (long long)want->max, len);
		return refuse(refusal, 400, "bad_request", at->text);
	}
	if (strlen(text) != len) {
		(void)yg_fail(err, YG_EFORMAT, "%s: want a text without NUL, have one", at->text);
		return refuse(refusal, 400, "bad_request", at->text);
	}
	int64_t s = 0;
	if (want->date && yg_clock_parse(text, &s, err) < 0) {
		(void)yg_wrap(err, "%s", at->text);
		return refuse(refusal, 400, "bad_request", at->text);
	}
	return 0;
}

static int check_array(const struct place *at, const struct api_value *want, const json_t *have,
	struct api_refusal *refusal, struct yg_err *err)
{
	size_t count = json_array_size(have);
	if (count < want->items_min || count > want->items_max) {
		(void)yg_fail(err, YG_ELIMIT, "%s: want %zu..%zu items, have %zu", at->text,
			want->items_min, want->items_max, count);
		return refuse(refusal, 400, "bad_request", at->text);
	}
	for (size_t i = 0; i < count; i++) {
		struct place in = item(at, i);
		if (check(&in, want->item, json_array_get(have, i), refusal, err) < 0)
			return -1;
	}
	return 0;
}

static const struct api_member *member(const struct api_member *members, const char *name)
{
	for (; members->name; members++)
		if (strcmp(members->name, name) == 0)
			return members;
	return NULL;
}

static int check_object(const struct place *at, const struct api_value *want, const json_t *have,
	struct api_refusal *refusal, struct yg_err *err)
{
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)have, name, value)
	{
		struct place in = below(at, name);
		const struct api_member *known = member(want->members, name);
		if (!known && want->free)
			continue;
		if (!known) {
			(void)yg_fail(err, YG_EFORMAT, "%s: no such member is known here", in.text);
			return refuse(refusal, 400, "bad_request", in.text);
		}
		if (check(&in, known->value, value, refusal, err) < 0)
			return -1;
	}
	for (const struct api_member *m = want->members; m->name; m++) {
		if (!m->required || json_object_get(have, m->name))
			continue;
		struct place in = below(at, m->name);
		char kinds[96];
		kinds_text(m->value->kinds, kinds);
		(void)yg_fail(err, YG_EFORMAT, "%s: want %s, have nothing", in.text, kinds);
		return refuse(refusal, 400, "bad_request", in.text);
	}
	return 0;
}

static int check(const struct place *at, const struct api_value *want, const json_t *have,
	struct api_refusal *refusal, struct yg_err *err)
{
	unsigned kind = kind_of(have);
	if (!(kind & want->kinds)) {
		char kinds[96];
		kinds_text(want->kinds, kinds);
		(void)yg_fail(err, YG_EFORMAT, "%s: want %s, have %s",
			at->text[0] ? at->text : "body", kinds, yg_json_kind(have));
		return refuse(refusal, 400, "bad_request", at->text);
	}
	if (kind == API_STRING)
		return check_text(at, want, have, refusal, err);
	if (kind == API_ARRAY)
		return check_array(at, want, have, refusal, err);
	if (kind == API_OBJECT)
		return check_object(at, want, have, refusal, err);
	if (kind == API_INTEGER) {
		json_int_t n = json_integer_value(have);
		if (n < want->min || n > want->max) {
			(void)yg_fail(err, YG_ELIMIT, "%s: want %lld..%lld, have %lld", at->text,
				(long long)want->min, (long long)want->max, (long long)n);
			return refuse(refusal, 400, "bad_request", at->text);
		}
	}
	return 0;
}

/* A query value as the type its parameter has; what cannot be becomes a text, which check refuses. */
static json_t *typed(const struct api_value *want, const char *text)
{
	if (want->kinds & API_INTEGER) {
		struct yg_err ignored = {0};
		uint64_t n = 0;
		if (yg_str_u64(text, INT64_MAX, &n, &ignored) == 0)
			return json_integer((json_int_t)n);
	}
	if (want->kinds & API_BOOLEAN) {
		if (strcmp(text, "true") == 0)
			return json_true();
		if (strcmp(text, "false") == 0)
			return json_false();
	}
	return json_string(text);
}

static int one_parameter(const struct api_route *route, const char *pair, size_t len, json_t *args,
	struct api_refusal *refusal, struct yg_err *err)
{
	char name[API_FIELD_MAX];
	char text[VALUE_MAX];
	const char *equals = memchr(pair, '=', len);
	size_t name_len = equals ? (size_t)(equals - pair) : len;
	if (decode(pair, name_len, name, sizeof(name), err) < 0)
		return refuse(refusal, 400, "bad_request", "");
	const struct api_member *known = member(route->query, name);
	if (!known) {
		(void)yg_fail(err, YG_EFORMAT, "%s: no such parameter is known here", name);
		return refuse(refusal, 400, "bad_request", name);
	}
	text[0] = '\0';
	if (equals && decode(equals + 1, len - name_len - 1, text, sizeof(text), err) < 0) {
		(void)yg_wrap(err, "%s", name);
		return refuse(refusal, 400, "bad_request", name);
	}
	if (json_object_get(args, name)) {
		(void)yg_fail(err, YG_EFORMAT, "%s: given twice", name);
		return refuse(refusal, 400, "bad_request", name);
	}
	json_t *value YG_AUTO(yg_json) = typed(known->value, text);
	struct place at = {""};
	at = below(&at, name);
	if (check(&at, known->value, value, refusal, err) < 0)
		return -1;
	(void)json_object_set(args, name, value);
	return 0;
}

int api_query(const struct api_route *route, const char *query, json_t *args,
	struct api_refusal *refusal, struct yg_err *err)
{
	if (query && strlen(query) > API_QUERY_MAX) {
		(void)yg_fail(err, YG_ELIMIT, "query: want <= %d bytes, have more", API_QUERY_MAX);
		return refuse(refusal, 400, "bad_request", "");
	}
	for (const char *at = query ? query : ""; *at;) {
		size_t len = strcspn(at, "&");
		if (len && one_parameter(route, at, len, args, refusal, err) < 0)
			return -1;
		at += len + (at[len] == '&');
	}
	return 0;
}

int api_body(const struct api_route *route, struct yg_bytes text, json_t **out,
	struct api_refusal *refusal, struct yg_err *err)
{
	static const struct api_value none = {.kinds = API_OBJECT, .members = nothing};
	json_t *body YG_AUTO(yg_json) = NULL;
	if (text.len == 0)
		body = json_object();
	else if (yg_json_parse(text, API_BODY_MAX, &body, err) < 0)
		return refuse(refusal, 400, "bad_request", "");
	struct place at = {""};
	if (check(&at, route->body ? route->body : &none, body, refusal, err) < 0)
		return -1;
	*out = yg_take(body);
	return 0;
}

struct yg_bytes api_document(void)
{
	return (struct yg_bytes){(const uint8_t *)document, sizeof(document) - 1};
}

const struct api_route *api_routes(size_t *count)
{
	*count = YG_COUNT(routes);
	return routes;
}
