/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/root.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A pending root comes from another machine, on somebody's medium. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct root_pending pending = {0};
	struct yg_err err = {0};
	if (root_parse((struct yg_bytes){data, size}, &pending, &err) == 0)
		root_free(&pending);
	return 0;
}
