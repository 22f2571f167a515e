/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/verify_object.h"

#include <string.h>

#include "content/codec.h"
#include "content/delta.h"
#include "core/json.h"

struct wish {
	struct yg_form form;
	char sha256[YG_SHA256_TEXT]; /* of the plain bytes */
	int64_t size;
};

static int digest(const json_t *body, const char *key, char out[YG_SHA256_TEXT], struct yg_err *err)
{
	const char *text = NULL;
	if (yg_json_str(body, key, YG_SHA256_TEXT - 1, &text, err) < 0)
		return -1;
	size_t len = strlen(text);
	if (len != YG_SHA256_TEXT - 1)
		return yg_fail(err, YG_EFORMAT, "%s: want %d digits, have %zu", key,
			YG_SHA256_TEXT - 1, len);
	memcpy(out, text, YG_SHA256_TEXT);
	return 0;
}

static int parse(const json_t *body, struct wish *wish, struct yg_err *err)
{
	const char *encoding = NULL;
	int64_t size = 0;
	if (yg_json_str(body, "encoding", 16, &encoding, err) < 0 ||
		yg_encoding_parse(encoding, &wish->form.encoding, err) < 0 ||
		digest(body, "sha256", wish->form.sha256, err) < 0 ||
		digest(body, "plain_sha256", wish->sha256, err) < 0 ||
		yg_json_int(body, "size", 0, INT64_MAX, &size, err) < 0 ||
		yg_json_int(body, "plain_size", 0, (int64_t)YG_FILE_SIZE_MAX, &wish->size, err) < 0)
		return -1;
	wish->form.size = (uint64_t)size;
	return 0;
}

int verify_object_decode(const json_t *body, const int *fds, size_t fd_count, struct yg_err *err)
{
	struct wish wish = {0};
	if (parse(body, &wish, err) < 0)
		return yg_wrap(err, "verify.object");
	bool delta = wish.form.encoding == YG_ENCODING_DELTA;
	size_t want = delta ? 3 : 2;
	if (fd_count != want)
		return yg_fail(err, YG_EFORMAT, "verify.object: want %zu descriptors, have %zu",
			want, fd_count);
	if (delta)
		return yg_delta_decode(fds[2], fds[0], fds[1], &wish.form, wish.sha256,
			(uint64_t)wish.size, err);
	return yg_codec_decode(fds[0], fds[1], &wish.form, wish.sha256, (uint64_t)wish.size, err);
}

void verify_object(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ctx;
	struct yg_err err = {0};
	if (verify_object_decode(msg->body, msg->fds, msg->fd_count, &err) < 0)
		yg_ipc_reply_err(ipc, msg->id, &err);
	else
		yg_ipc_reply(ipc, msg->id, NULL, NULL, 0);
}
