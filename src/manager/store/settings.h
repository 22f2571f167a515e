/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/json.h"

/* Shared by settings*.c: what a setting is, and what its value may be. */

struct store;

enum settings_type { SETTINGS_BOOL, SETTINGS_INT, SETTINGS_TEXT, SETTINGS_SECRET };

/* Whether a text may be the value. errors  YG_EFORMAT, "NAME: …" */
typedef int settings_check(const char *name, const char *text, struct yg_err *err);

settings_check settings_check_source; /* "" or http(s) URL, may end in "//" */
settings_check settings_check_ca;     /* "" or PEM certificates, and nothing secret */
settings_check settings_check_proxy; /* "" or URL of http, https, socks5, socks5h, without a user */
settings_check settings_check_balancer; /* "", HOST, HOST:PORT or https URL */
settings_check settings_check_language;
settings_check settings_check_level;  /* of logs */
settings_check settings_check_user;   /* of a proxy: no control characters, no colon */
settings_check settings_check_secret; /* no control characters */

/* URLs as people enter them for a relay: https, host, port. errors  YG_EFORMAT, "NAME: …" */
settings_check settings_check_relay;

/* "https://HOST:PORT" of a relay.load_balancer that was checked; "" stays "". */
void settings_balancer_url(const char *text, char out[320]);

/* True when certificates of this source are not checked: its URL ends in "//" (T13). */
bool settings_unchecked(const char *url);

/* The certificates of a PEM text: [{subject, not_after (time)}]. NULL: out of memory */
json_t *settings_certificates(const char *pem);

/* Everything that was changed, {name: text}, for those who need many of them; the two below know the presets.
 * errors  those of db/
 */
int settings_read(struct store *store, json_t **out, struct yg_err *err) YG_MUST_CHECK;
const char *settings_text(const json_t *all, const char *name); /* borrowed */
int64_t settings_number(const json_t *all, const char *name);   /* and truth values: 0, 1 */

/* A password of the table, opened. One that cannot be opened (another master key) counts as none, and is logged
 * once.
 * out     *out  the caller's, for yg_secret_free; "" when there is none
 */
int settings_secret(struct store *store, const json_t *all, const char *name, char **out,
	struct yg_err *err) YG_MUST_CHECK;
