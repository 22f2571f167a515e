/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>

#include "core/err.h"

/* `fetch.probe` (docs/processes.md): tests of connections, one after another, for two minutes at most.
 * in      body  {targets:[{what, source}], tls (for relays and the Manager)}
 * out     *out  {targets:[…]} of net/probe.h
 * errors  YG_EFORMAT, YG_ELIMIT the message; YG_ESYSTEM
 */
int fetch_probe(const json_t *body, json_t **out, struct yg_err *err) YG_MUST_CHECK;
