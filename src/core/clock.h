/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define YG_CLOCK_TEXT 21 /* bytes of "2026-11-21T22:47:43Z" with the terminator */

int64_t yg_clock_now_s(void);   /* seconds since the Unix epoch, UTC */
int64_t yg_clock_mono_ms(void); /* milliseconds since some fixed moment; never goes back */

/* Seconds to "2026-11-21T22:47:43Z". source  RFC 3339, always UTC and whole seconds */
void yg_clock_format(int64_t s, char out[YG_CLOCK_TEXT]);

/* The same text back to seconds; only this one form is accepted.
 * errors  YG_EFORMAT
 */
int yg_clock_parse(const char *text, int64_t *s, struct yg_err *err) YG_MUST_CHECK;
