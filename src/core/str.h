/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/attr.h"
#include "core/buf.h"
#include "core/err.h"

/* A new string made by printf's rules, the caller's to free; NULL when memory is out. */
char *yg_str_format(const char *fmt, ...) YG_PRINTF(1, 2) YG_MUST_CHECK;

/* printf into a fixed array. Returns false, and leaves an empty string, when it does not fit. */
bool yg_str_put(char *out, size_t size, const char *fmt, ...) YG_PRINTF(3, 4) YG_MUST_CHECK;

/* Decimal digits only: no sign, space or prefix.
 * errors  YG_EFORMAT not digits; YG_ELIMIT above max
 */
int yg_str_u64(const char *text, uint64_t max, uint64_t *out, struct yg_err *err) YG_MUST_CHECK;

/* Bytes to 2*len lower-case hex digits and a terminator. */
void yg_str_hex(const uint8_t *bytes, size_t len, char *out);

/* Exactly 2*len lower-case hex digits to len bytes. `what` names the value in the error.
 * errors  YG_EFORMAT
 */
int yg_str_unhex(const char *what, const char *hex, uint8_t *out, size_t len, struct yg_err *err)
	YG_MUST_CHECK;

/* True for 1..max bytes, all in `allowed`, not starting with '.': safe as one path component. */
bool yg_str_name_ok(const char *name, size_t max, const char *allowed);
#define YG_STR_NAME_CHARS "abcdefghijklmnopqrstuvwxyz0123456789._-"
#define YG_STR_FILE_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZ" YG_STR_NAME_CHARS "+@=,"

/* True for a relative path of 1..max bytes whose every component passes yg_str_name_ok with
 * YG_STR_FILE_CHARS: no "..", no "//", no leading or trailing '/'.
 */
bool yg_str_path_ok(const char *path, size_t max);

/* True when the bytes are well-formed UTF-8 without NUL. source  RFC 3629 */
bool yg_str_utf8_ok(const char *text, size_t len);

/* True when here begins a control character of two bytes, U+0080 to U+009F: terminals take U+009B for ESC [. */
static inline bool yg_str_is_c1(const char *at)
{
	return (unsigned char)at[0] == 0xc2 && (unsigned char)at[1] >= 0x80 &&
		(unsigned char)at[1] <= 0x9f;
}

/* Add formatted text to a buffer. errors  YG_ELIMIT, YG_ESYSTEM */
int yg_str_addf(struct yg_buf *buf, struct yg_err *err, const char *fmt, ...) YG_PRINTF(3, 4)
	YG_MUST_CHECK;
