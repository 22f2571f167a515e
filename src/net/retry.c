/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/retry.h"

#include <ctype.h>
#include <curl/curl.h>
#include <string.h>

#define DATE_BYTES 40 /* "Wednesday, 09-Nov-94 08:49:37 GMT" has 33 */

int64_t yg_retry_date(const char *text, size_t len)
{
	char date[DATE_BYTES];
	if (len >= sizeof(date) || memchr(text, 0, len) || !memchr(text, ':', len))
		return -1;
	memcpy(date, text, len);
	date[len] = 0;
	time_t at = curl_getdate(date, NULL);
	return at < 0 ? -1 : (int64_t)at;
}

uint32_t yg_retry_after(const char *text, size_t len, int64_t now_s)
{
	uint32_t seconds = 0;
	size_t digits = 0;
	for (; digits < len && isdigit((unsigned char)text[digits]); digits++)
		if (seconds <= YG_RETRY_MAX_S)
			seconds = seconds * 10 + (uint32_t)(text[digits] - '0');
	if (digits > 0 && digits == len)
		return seconds < YG_RETRY_MAX_S ? seconds : YG_RETRY_MAX_S;
	int64_t at = yg_retry_date(text, len);
	if (at <= now_s)
		return 0;
	return at - now_s < YG_RETRY_MAX_S ? (uint32_t)(at - now_s) : YG_RETRY_MAX_S;
}
