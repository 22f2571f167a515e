/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "net/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A normal form is its own normal form. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text YG_AUTO(mem) = strndup((const char *)data, size);
	struct yg_url url, again;
	struct yg_err err = {0};
	if (!text)
		return 0;
	if (yg_url_parse(text, &url, &err) < 0) {
		assert((err.code == YG_EFORMAT || err.code == YG_ELIMIT) && err.msg[0]);
		return 0;
	}
	assert(url.port > 0 && url.host[0]);
	if (yg_url_parse(url.base, &again, &err) == 0)
		assert(strcmp(url.base, again.base) == 0 && !again.unchecked);
	return 0;
}
