/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "core/buf.h"
#include "core/err.h"
#include "proto/lang.h"

/* The network plan: who connects to whom, at which port, why; for this installation, as it is set up now. It is the sheet that
 * those ask for who run the firewalls and proxies.
 */

/* The rows for an installation.
 * in      site  {manager:{names:[text], web_port, agent_port}, database:{host, port} or absent, source:{url}, direct:
 *         bool, load_balancer: "" or URL, proxies:{relay_source, agent_relay, agent_source, manager: "" or URL},
 *         groups:[{id, name, parent: id or "", computers: N, relays:[{name, urls:[URL]}]}]}
 * out     *rows  [{from, to, port, protocol, why, note}], texts in the language; a new reference
 * errors  YG_EFORMAT a URL that is none; YG_ESYSTEM
 */
int yg_plan_make(const json_t *site, enum yg_lang lang, json_t **rows, struct yg_err *err)
	YG_MUST_CHECK;

enum yg_plan_form { YG_PLAN_MARKDOWN, YG_PLAN_CSV };

/* As a table: Markdown, or CSV as spreadsheets of any language read it (UTF-8 with a mark, CRLF, RFC 4180; a cell that
 * begins as a formula gets an apostrophe).
 * in      time  when it was made, for the heading
 * errors  YG_ELIMIT, YG_ESYSTEM
 */
int yg_plan_text(const json_t *rows, enum yg_plan_form form, enum yg_lang lang, const char *time,
	struct yg_buf *out, struct yg_err *err) YG_MUST_CHECK;
