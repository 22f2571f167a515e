/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <assert.h>

#include "crypto/x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yg_err err = {0};
	struct yg_bytes bytes = {data, size};
	struct yg_x509_info info;
	if (yg_x509_read(bytes, &info, &err) < 0) {
		assert(err.code != YG_OK && err.msg[0]);
	} else {
		assert(info.uri_count <= YG_X509_URIS);
		for (size_t i = 0; i < info.uri_count; i++)
			assert(yg_x509_has_uri(&info, info.uris[i]));
	}
	size_t count = 0;
	if (yg_x509_count(bytes, &count, &err) < 0)
		assert(err.code != YG_OK && err.msg[0]);
	return 0;
}
