/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/err.h"

/* Bytes that belong to someone else. Valid only as long as the owner says. */
struct yg_bytes {
	const uint8_t *ptr;
	size_t len;
};

/* The bytes of a C string, without its terminator. */
static inline struct yg_bytes yg_bytes_of(const char *text)
{
	return (struct yg_bytes){(const uint8_t *)text, strlen(text)};
}

/* Bytes we own, which grow up to `max` and no further. */
struct yg_buf {
	uint8_t *data; /* owned; NULL while cap is 0 */
	size_t len;    /* bytes in use */
	size_t cap;    /* bytes allocated */
	size_t max;    /* bytes allowed; a limit from the specification, never SIZE_MAX */
};

#define YG_BUF(limit) ((struct yg_buf){.max = (limit)})

/* Append. On failure the buffer is as it was.
 * errors  YG_ELIMIT len would pass max; YG_ESYSTEM out of memory
 */
int yg_buf_add(struct yg_buf *buf, const void *data, size_t len, struct yg_err *err) YG_MUST_CHECK;

void yg_buf_free(struct yg_buf *buf);

/* struct yg_buf json YG_AUTO(yg_buf) = YG_BUF(4096); */
static inline void yg_buf_free_at(struct yg_buf *buf)
{
	yg_buf_free(buf);
}

static inline struct yg_bytes yg_buf_bytes(const struct yg_buf *buf)
{
	return (struct yg_bytes){buf->data, buf->len};
}
