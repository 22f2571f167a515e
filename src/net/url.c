/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/url.h"

#include <curl/curl.h>
#include <string.h>

#include "core/mem.h"
#include "core/scrub.h"
#include "core/str.h"

static inline void curlu_free_at(CURLU **at)
{
	curl_url_cleanup(*at);
}

static inline void part_free_at(char **at)
{
	curl_free(*at);
}

/* Without a password that is in it. */
static int bad(const char *text, const char *why, struct yg_err *err)
{
	char said[YG_URL_MAX];
	(void)!yg_str_put(said, sizeof(said), "%s", text);
	said[yg_scrub(said, strlen(said), NULL)] = 0;
	return yg_fail_cause(err, YG_EFORMAT, "net.url", "URL '%.200s': %s", said, why);
}

static char *part(CURLU *url, CURLUPart what, unsigned flags)
{
	char *out = NULL;
	return curl_url_get(url, what, &out, flags) == CURLUE_OK ? out : NULL;
}

static int fill(CURLU *parsed, const char *text, struct yg_url *out, struct yg_err *err)
{
	char *scheme YG_AUTO(part) = part(parsed, CURLUPART_SCHEME, 0);
	char *host YG_AUTO(part) = part(parsed, CURLUPART_HOST, 0);
	char *port YG_AUTO(part) = part(parsed, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	char *path YG_AUTO(part) = part(parsed, CURLUPART_PATH, 0);
	char *query YG_AUTO(part) = part(parsed, CURLUPART_QUERY, 0);
	char *fragment YG_AUTO(part) = part(parsed, CURLUPART_FRAGMENT, 0);
	if (!scheme || !host || !port || !path)
		return bad(text, "want http://host or https://host", err);
	if (query || fragment)
		return bad(text, "want no '?' and no '#'", err);
	out->https = strcmp(scheme, "https") == 0;
	if (!out->https && strcmp(scheme, "http") != 0)
		return bad(text, "want http or https", err);
	uint64_t number = 0;
	if (yg_str_u64(port, 65535, &number, err) < 0 || number == 0)
		return bad(text, "want a port from 1 to 65535", err);
	out->port = (uint16_t)number;
	size_t len = strlen(path);
	while (len > 0 && path[len - 1] == '/')
		path[--len] = 0;
	if (!yg_str_put(out->base, sizeof(out->base), "%s://%s:%u%s", scheme, host, out->port,
		    path))
		return bad(text, "too long", err);
	size_t host_len = strlen(host);
	bool brackets = host[0] == '[' && host[host_len - 1] == ']';
	if (strspn(host, YG_URL_HOST_CHARS) != host_len)
		return bad(text, "the host has a character that host names do not have", err);
	if (!yg_str_put(out->host, sizeof(out->host), "%.*s",
		    (int)(brackets ? host_len - 2 : host_len), brackets ? host + 1 : host))
		return bad(text, "the host name is too long", err);
	return 0;
}

int yg_url_parse(const char *text, struct yg_url *out, struct yg_err *err)
{
	size_t len = strnlen(text, YG_URL_MAX);
	if (len >= YG_URL_MAX)
		return yg_fail_cause(err, YG_ELIMIT, "net.url", "URL: want at most %d bytes",
			YG_URL_MAX - 1);
	if (strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0)
		return bad(text, "want http:// or https:// at its start", err);
	for (const char *at = text; *at; at++)
		if (*at <= ' ' || *at > '~')
			return bad(text, "want no spaces, control or non-ASCII characters", err);
	const char *authority = strstr(text, "://") + 3;
	if (memchr(authority, '%', strcspn(authority, "/?#")))
		return bad(text, "want no '%' in the host", err);
	CURLU *parsed YG_AUTO(curlu) = curl_url();
	if (!parsed)
		return yg_fail(err, YG_ESYSTEM, "URL: out of memory");
	CURLUcode code = curl_url_set(parsed, CURLUPART_URL, text, CURLU_DISALLOW_USER);
	if (code != CURLUE_OK)
		return bad(text, curl_url_strerror(code), err);
	struct yg_url url = {.unchecked = len > 9 && strcmp(text + len - 2, "//") == 0};
	if (fill(parsed, text, &url, err) < 0)
		return -1;
	*out = url;
	return 0;
}

int yg_url_join(const struct yg_url *url, const char *path, char out[YG_URL_MAX],
	struct yg_err *err)
{
	if (!yg_str_path_ok(path, YG_URL_MAX))
		return yg_fail_cause(err, YG_EFORMAT, "net.url",
			"path '%.200s': not a plain relative path", path);
	if (!yg_str_put(out, YG_URL_MAX, "%s/%s", url->base, path))
		return yg_fail_cause(err, YG_ELIMIT, "net.url", "URL: want at most %d bytes",
			YG_URL_MAX - 1);
	return 0;
}
