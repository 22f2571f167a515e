/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <assert.h>

#include "core/json.h"
#include "engine/am/config.h"
#include "engine/engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *value YG_AUTO(yg_json) = NULL;
	struct yg_err err = {0};
	struct yg_am_config config;
	uint32_t code = 0;
	if (yg_json_parse((struct yg_bytes){data, size}, 65536, &value, &err) < 0)
		return 0;
	if (yg_am_config_parse(value, &config, &err) < 0)
		assert(yg_engine_code(err.msg, "SET_CONFIG", &code));
	return 0;
}
