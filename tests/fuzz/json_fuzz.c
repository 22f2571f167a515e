/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yg_err err = {0};
	json_t *root YG_AUTO(yg_json) = NULL;
	if (yg_json_parse((struct yg_bytes){data, size}, 1 << 20, &root, &err) < 0)
		return 0;
	return 0;
}
