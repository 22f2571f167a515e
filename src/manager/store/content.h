/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

/* What a computer should run: the newest, the versions before those, or pinned ones. A policy says it in its
 * document as "update": {"content": {"mode": "latest"|"previous"|"pinned", "pins": {"am-pattern": 12}}}, and one computer
 * may be told otherwise. In the database it is the text of that object, '' for the newest: policies.content, and
 * computers.content, which is NULL where the policy counts.
 */

struct store;

#define CONTENT_PINS_MAX   64
#define CONTENT_SERVED_MAX 4 /* as many as a relay takes (docs/wire.md) */

/* SQL: what counts for computer c with policy p. */
#define CONTENT_OF "coalesce(c.content, p.content)"

/* The object of a policy or of a person, as the database keeps it. The caller's to free.
 * errors  YG_EFORMAT, YG_ELIMIT; they name the member
 */
int content_text(const json_t *content, char **out, struct yg_err *err) YG_MUST_CHECK;

/* The same of a policy's document; "" when it says nothing. */
int content_of_document(const json_t *document, char **out, struct yg_err *err) YG_MUST_CHECK;

/* Back: {"mode","pins"}; a new reference. */
json_t *content_json(const char *text);

/* Components that are not what they should be, as store_computer_difference, or NULL when none.
 * in      text    of the database
 *         newest  its components
 */
json_t *content_difference(const char *text, const json_t *have, const json_t *newest);

/* What the heartbeat tells a computer. */
int store_content_for_agent(struct store *store, const char *computer, json_t **out,
	struct yg_err *err) YG_MUST_CHECK;

/* What relays hold beside the newest: the distinct ones that computers have, at most CONTENT_SERVED_MAX. */
int store_content_served(struct store *store, json_t **out, struct yg_err *err) YG_MUST_CHECK;

/* How many computers, online or not, are not as they should be. in  newest: store_component_newest */
int store_content_out_of_date(struct store *store, const json_t *newest, int64_t *count,
	struct yg_err *err) YG_MUST_CHECK;

/* Computers that are online and do not run what they should. Adds names (at most `names_max`) to the array
 * `names`, and all of them to *count.
 */
int store_content_old(struct store *store, size_t names_max, json_t *names, int64_t *count,
	struct yg_err *err) YG_MUST_CHECK;
