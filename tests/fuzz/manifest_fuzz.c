/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <assert.h>
#include <string.h>

#include "content/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What parses is written and parsed again, to the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yg_err err = {0};
	struct yg_manifest *one YG_AUTO(
		yg_manifest) = yg_manifest_parse((struct yg_bytes){data, size}, &err);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(8u << 20);
	if (!one || yg_manifest_format(one, &text, &err) < 0)
		return 0;
	struct yg_manifest *two YG_AUTO(yg_manifest) = yg_manifest_parse(yg_buf_bytes(&text), &err);
	assert(two && two->file_count == one->file_count && two->version == one->version);
	assert(strcmp(two->component, one->component) == 0);
	return 0;
}
