/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The header Retry-After. source  RFC 9110, 10.2.3 */

#define YG_RETRY_MAX_S 86400 /* a server that asks for more gets a day */

/* Seconds to wait, from its value: "120", or a date in any of the three forms of HTTP.
 * in      now_s  what the time is for who wrote the date: its own Date header; else our clock's
 * returns 0 for the past and for what is neither; at most YG_RETRY_MAX_S
 */
uint32_t yg_retry_after(const char *text, size_t len, int64_t now_s);

/* A date of HTTP as seconds since the epoch; -1 when it is none. */
int64_t yg_retry_date(const char *text, size_t len);
