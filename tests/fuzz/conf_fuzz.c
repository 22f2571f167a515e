/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <assert.h>

#include "core/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct yg_opt opts[] = {
	{"a", "int", YG_OPT_INT, -10, 65535, "1", "a number"},
	{"a", "text", YG_OPT_TEXT, 0, 32, NULL, "a text"},
	{"b", "on", YG_OPT_BOOL, 0, 0, "off", "a switch"},
	{"b", "path", YG_OPT_PATH, 1, 64, "/x", "a path"},
	{0},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yg_err err = {0};
	struct yg_conf *conf YG_AUTO(yg_conf) = yg_conf_new(opts, &err);
	if (!conf)
		return 0;
	if (yg_conf_parse(conf, "f", (struct yg_bytes){data, size}, &err) < 0)
		assert(err.code != YG_OK && err.msg[0]);
	int64_t n = yg_conf_int(conf, "a", "int");
	assert(n >= -10 && n <= 65535);
	const char *path = yg_conf_text(conf, "b", "path");
	assert(path && path[0]);
	return 0;
}
