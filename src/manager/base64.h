/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/buf.h"

/* Bytes in JSON. source  RFC 4648, 4: the plain alphabet, padded, one line */

/* The text, the caller's to free; NULL when memory is out. */
char *base64_encode(struct yg_bytes bytes) YG_MUST_CHECK;

/* Append the bytes. errors  YG_EFORMAT; YG_ELIMIT, YG_ESYSTEM of the buffer */
int base64_decode(const char *text, struct yg_buf *out, struct yg_err *err) YG_MUST_CHECK;
