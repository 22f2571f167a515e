/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* A licence file, read by a Manager that knows the key of the corpus' good ones; and the same text as a key. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "core/json.h"
#include "manager/store/licence.h"

#define PUBLIC "2599d6426361170b55212de1d3867b1d6fe7eba5569494cc19e83eacb662f362"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yg_err err = {0};
	struct licence licence = {0};
	char signer[65];
	json_t *key YG_AUTO(yg_json) = NULL;
	json_t *keys YG_AUTO(yg_json) = json_pack("[{s:s, s:s, s:{s:s}}]", "keytype", "ed25519",
		"scheme", "ed25519", "keyval", "public", PUBLIC);
	if (licence_read((struct yg_bytes){data, size}, keys, &licence, signer, &err) < 0)
		assert(err.code != YG_OK && err.msg[0] != '\0' && licence.id[0] == '\0');
	else
		assert(licence.id[0] != '\0' && licence_group(0));
	err = (struct yg_err){0};
	if (yg_json_parse((struct yg_bytes){data, size}, LICENCE_FILE_MAX, &key, &err) == 0)
		(void)!licence_key_check(key, signer, &err);
	return 0;
}
