/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "crypto/sign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* First byte: the scheme; then the public key's text, a zero byte, the signature. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct yg_public schemes[] = {{"ed25519", "ed25519", NULL},
		{"ecdsa", "ecdsa-sha2-nistp256", NULL}, {"rsa", "rsassa-pss-sha256", NULL}};
	if (size < 1)
		return 0;
	struct yg_public key = schemes[data[0] % YG_COUNT(schemes)];
	char *text YG_AUTO(mem) = strndup((const char *)data + 1, size - 1);
	if (!text)
		return 0;
	key.text = text;
	size_t used = strlen(text) + 2 < size ? strlen(text) + 2 : size;
	struct yg_bytes signature = {data + used, size - used};
	struct yg_err err = {0};
	if (yg_sign_verify(&key, yg_bytes_of("text"), signature, &err) < 0)
		assert(err.code != YG_OK && err.msg[0]);
	return 0;
}
