/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>

#include "core/buf.h"
#include "core/err.h"

struct cli;

#define API_ANSWER_MAX (64u << 20) /* bytes */

/* One request to the Manager's REST API, under /api/v1. in  body  taken over; NULL: none
 * out     *answer  a new reference; null for 204
 * errors  the transfer's, with its cause; YG_EFORMAT what the Manager says in its error
 */
int api_call(struct cli *cli, const char *method, const char *path, json_t *body, json_t **answer,
	struct yg_err *err) YG_MUST_CHECK;

/* The same for an answer that is no JSON: its bytes go into `out`. errors  as above */
int api_bytes(struct cli *cli, const char *method, const char *path, struct yg_buf *out,
	struct yg_err *err) YG_MUST_CHECK;

/* A query: "?" or "&", name, "=", value with everything unusual as %XX; nothing when value is NULL.
 * Returns a new string that begins with `path`, which is freed. Ends the program when memory is
 * out.
 */
char *api_query(char *path, const char *name, const char *value);
