/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "crypto/secret.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

bool yg_secret_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

bool yg_secret_equal_text(const char *a, const char *b)
{
	size_t len = strlen(a);
	return len == strlen(b) && yg_secret_equal(a, b, len);
}

void yg_secret_wipe(void *data, size_t len)
{
	OPENSSL_cleanse(data, len);
}

void yg_secret_free(char *text)
{
	if (!text)
		return;
	yg_secret_wipe(text, strlen(text));
	free(text);
}
