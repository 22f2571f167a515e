/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

/* Base URLs of sources, relays and Managers: http or https, no credentials, query or fragment. */

#define YG_URL_MAX 1024 /* bytes, with the terminator */

/* Of names and of addresses. */
#define YG_URL_HOST_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:[]"

struct yg_url {
	bool https;
	bool unchecked; /* it ended with "//": certificates of this one are not checked */
	char host[256]; /* name, IPv4, or IPv6 without brackets */
	uint16_t port;
	char base[YG_URL_MAX]; /* normal form, without a slash at the end */
};

/* errors  YG_EFORMAT "URL '…': …", YG_ELIMIT */
int yg_url_parse(const char *text, struct yg_url *out, struct yg_err *err) YG_MUST_CHECK;

/* base + "/" + path ("metadata/timestamp.json"; yg_str_path_ok). errors  YG_EFORMAT, YG_ELIMIT */
int yg_url_join(const struct yg_url *url, const char *path, char out[YG_URL_MAX],
	struct yg_err *err) YG_MUST_CHECK;
