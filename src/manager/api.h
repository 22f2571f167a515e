/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

/* What people may ask of the Manager: the tables made from openapi.yaml, and the checks of a request
 * against them. No sockets here: text in, arguments or a refusal out.
 */

#define API_STRING  (1u << 0)
#define API_INTEGER (1u << 1)
#define API_BOOLEAN (1u << 2)
#define API_ARRAY   (1u << 3)
#define API_OBJECT  (1u << 4)
#define API_NULL    (1u << 5)

#define API_FIELD_MAX 128        /* bytes of a member's name in an error, with the terminator */
#define API_ID_MAX    64         /* bytes of {id} in a path */
#define API_QUERY_MAX 8192       /* bytes of a query */
#define API_BODY_MAX  (4u << 20) /* bytes of a body; 50,000 ids fit */

struct api_member;

/* What a value may be. */
struct api_value {
	unsigned kinds;                   /* API_*, any of them */
	bool date;                        /* a text is a time, "2026-11-21T22:47:43Z" */
	bool free;                        /* an object may have any members */
	int64_t min, max;                 /* of a number; of a text, in bytes */
	size_t items_min, items_max;      /* of an array */
	const char *const *words;         /* the only texts allowed; ends with NULL; NULL: any */
	const struct api_value *item;     /* of an array */
	const struct api_member *members; /* of an object; ends with a NULL name */
};

struct api_member {
	const char *name;
	bool required;
	const struct api_value *value;
};

struct api_route {
	const char *method;
	const char *path; /* "/api/v1/computers/{id}" */
	const char *op;   /* the store's operation; "" for the document itself */
	int status;       /* of a success */
	bool open;        /* needs no key */
	bool lang;        /* the answer has texts for people */
	bool zip;         /* the store's {"files"} become a diagnostic package */
	const struct api_member *query;
	const struct api_value *body; /* NULL: none is taken */
};

/* A refusal, as people see it: {"error":{code,message,field}}. */
struct api_refusal {
	int status;
	const char *code;          /* a literal: "bad_request" */
	char field[API_FIELD_MAX]; /* "computers[3]"; empty when it is not about one */
};

/* The route of a request; `id` gets {id} of its path, or "".
 * errors  -1 with a refusal of 404 or 405 (then `allow` lists the methods that there are)
 */
int api_find(const char *method, const char *path, const struct api_route **route,
	char id[API_ID_MAX + 1], char allow[64], struct api_refusal *refusal, struct yg_err *err)
	YG_MUST_CHECK;

/* Query parameters into `args` ("a=1&b=x%20y"; NULL or "" for none), checked and typed.
 * errors  -1 with a refusal of 400 that names the parameter
 */
int api_query(const struct api_route *route, const char *query, json_t *args,
	struct api_refusal *refusal, struct yg_err *err) YG_MUST_CHECK;

/* The body, checked, into *out (a new reference). A route without body takes an empty one or {}.
 * errors  -1 with a refusal of 400 that names the member
 */
int api_body(const struct api_route *route, struct yg_bytes text, json_t **out,
	struct api_refusal *refusal, struct yg_err *err) YG_MUST_CHECK;

/* openapi.yaml as JSON. */
struct yg_bytes api_document(void);

/* All routes, for tests. */
const struct api_route *api_routes(size_t *count);
