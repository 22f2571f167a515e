/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <assert.h>
#include <string.h>

#include "core/mem.h"
#include "net/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is taken is taken the same way again, and what is shown has no credentials. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text YG_AUTO(mem) = strndup((const char *)data, size);
	struct yg_err err = {0};
	struct yg_proxy_at at, again;
	if (!text || yg_proxy_parse(text, &at, &err) < 0)
		return 0;
	assert(!strchr(at.url, '@') && at.port != 0 && at.host[0]);
	assert(yg_proxy_parse(at.url, &again, &err) == 0);
	assert(strcmp(at.url, again.url) == 0 && !again.user[0] && !again.password[0]);
	return 0;
}
