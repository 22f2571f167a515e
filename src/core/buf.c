/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int grow(struct yg_buf *buf, size_t need, struct yg_err *err)
{
	size_t cap = buf->cap ? buf->cap : 256;
	while (cap < need)
		cap = cap > buf->max / 2 ? buf->max : cap * 2;

	uint8_t *data = realloc(buf->data, cap);
	if (!data)
		return yg_fail_sys(err, ENOMEM, "growing a buffer to %zu bytes", cap);

	buf->data = data;
	buf->cap = cap;
	return 0;
}

int yg_buf_add(struct yg_buf *buf, const void *data, size_t len, struct yg_err *err)
{
	if (len == 0)
		return 0;
	if (len > buf->max - buf->len)
		return yg_fail(err, YG_ELIMIT, "more than %zu bytes", buf->max);
	if (buf->len + len > buf->cap && grow(buf, buf->len + len, err) < 0)
		return -1;

	memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	return 0;
}

void yg_buf_free(struct yg_buf *buf)
{
	free(buf->data);
	*buf = (struct yg_buf){.max = buf->max};
}
