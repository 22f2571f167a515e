/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/ipc.h"
#include "core/json.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yg_err err = {0}, why = {0};
	json_t *root YG_AUTO(yg_json) = NULL;
	struct yg_ipc_msg msg;
	uint32_t re;
	if (yg_ipc_parse((struct yg_bytes){data, size}, &root, &msg, &re, &why, &err) < 0)
		return 0;
	return 0;
}
