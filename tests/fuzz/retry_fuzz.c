/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <assert.h>
#include <stdint.h>

#include "net/retry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	assert(yg_retry_after((const char *)data, size, 784111777) <= YG_RETRY_MAX_S);
	assert(yg_retry_date((const char *)data, size) >= -1);
	return 0;
}
