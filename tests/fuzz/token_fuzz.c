/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "crypto/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text YG_AUTO(mem) = strndup((const char *)data, size);
	struct yg_err err = {0};
	struct yg_token token;
	if (!text)
		return 0;
	if (yg_token_parse(text, &token, &err) < 0)
		assert(err.code == YG_EFORMAT && err.msg[0]);
	else
		assert(strlen(token.secret) == YG_TOKEN_SECRET - 1 &&
			strlen(text) == YG_TOKEN_TEXT - 1);
	return 0;
}
