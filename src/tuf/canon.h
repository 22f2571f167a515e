/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>

#include "core/buf.h"
#include "core/err.h"

/* Append the one text of a JSON value that signatures are made over: members in byte order of name, no
 * white space, only '"' and '\' escaped, whole numbers only.
 * source  OLPC, "Canonical JSON"
 * errors  YG_EFORMAT a number with a fraction; YG_ELIMIT; YG_ESYSTEM
 */
int yg_canon(const json_t *value, struct yg_buf *out, struct yg_err *err) YG_MUST_CHECK;
