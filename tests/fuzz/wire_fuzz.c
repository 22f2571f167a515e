/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stdlib.h>

#include "core/json.h"
#include "proto/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte chooses the message. What passes has to be readable by the typed views. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yg_err err = {0};
	json_t *value YG_AUTO(yg_json) = NULL;
	if (size == 0)
		return 0;
	enum yg_wire kind = (enum yg_wire)(data[0] % YG_WIRE_KINDS);
	if (yg_wire_parse(kind, (struct yg_bytes){data + 1, size - 1}, &value, &err) < 0)
		return 0;
	struct yg_wire_hello hello = {0};
	struct yg_wire_command command = {0};
	if (kind == YG_WIRE_HELLO && yg_wire_hello(value, &hello, &err) == 0 && !hello.hostname[0])
		abort();
	if (kind == YG_WIRE_COMMAND && yg_wire_command(value, &command, &err) < 0)
		abort();
	return 0;
}
