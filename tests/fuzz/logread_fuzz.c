/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stddef.h>
#include <stdint.h>

#include "core/json.h"
#include "diagnose/logread.h"

/* Logs of strangers: whatever the bytes, an answer comes, and it is JSON. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yg_err err = {0};
	size_t standing = 0;
	struct yg_logread *logread YG_AUTO(
		yg_logread) = yg_logread_new(size % 2 ? YG_LANG_JA : YG_LANG_EN, &err);
	if (!logread)
		return 0;
	if (yg_logread_bytes(logread, "a.log", data, size, &err) < 0)
		return 0;
	json_t *result YG_AUTO(yg_json) = yg_logread_result(logread, &standing);
	char *text YG_AUTO(mem) = yg_json_text(result);
	if (!result || !text)
		__builtin_trap();
	return 0;
}
