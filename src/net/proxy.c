/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/proxy.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/str.h"
#include "net/url.h"

static const struct {
	const char *scheme;
	bool http, https, names;
} kinds[] = {
	{"http", true, false, true},
	{"https", true, true, true},
	{"socks5", false, false, false},
	{"socks5h", false, false, true},
};

static inline void curlu_free_at(CURLU **at)
{
	curl_url_cleanup(*at);
}

static inline void part_free_at(char **at)
{
	curl_free(*at);
}

/* Never with the text itself: it may hold a password. */
static int bad(const char *why, struct yg_err *err)
{
	return yg_fail_cause(err, YG_EFORMAT, "proxy.url", "address of the proxy: %s", why);
}

static char *part(CURLU *url, CURLUPart what, unsigned flags)
{
	char *out = NULL;
	return curl_url_get(url, what, &out, flags) == CURLUE_OK ? out : NULL;
}

static int fill(CURLU *url, struct yg_proxy_at *out, struct yg_err *err)
{
	char *scheme YG_AUTO(part) = part(url, CURLUPART_SCHEME, 0);
	char *host YG_AUTO(part) = part(url, CURLUPART_HOST, 0);
	char *port YG_AUTO(part) = part(url, CURLUPART_PORT, 0);
	char *user YG_AUTO(part) = part(url, CURLUPART_USER, CURLU_URLDECODE);
	char *password YG_AUTO(part) = part(url, CURLUPART_PASSWORD, CURLU_URLDECODE);
	uint64_t number = 0;
	size_t i = 0;
	while (scheme && i < YG_COUNT(kinds) && strcmp(kinds[i].scheme, scheme) != 0)
		i++;
	if (!scheme || i == YG_COUNT(kinds))
		return bad("want http://, https://, socks5:// or socks5h://", err);
	if (!port || yg_str_u64(port, 65535, &number, err) < 0 || number == 0)
		return bad("want its port, as in http://proxy.example.com:3128", err);
	out->port = (uint16_t)number;
	out->http = kinds[i].http;
	out->https = kinds[i].https;
	out->names = kinds[i].names;
	size_t len = host ? strlen(host) : 0;
	bool brackets = len > 2 && host[0] == '[' && host[len - 1] == ']';
	if (len != 0 && strspn(host, YG_URL_HOST_CHARS) != len)
		return bad("the host has a character that host names do not have", err);
	if (len == 0 ||
		!yg_str_put(out->host, sizeof(out->host), "%.*s", (int)(brackets ? len - 2 : len),
			brackets ? host + 1 : host) ||
		!yg_str_put(out->url, sizeof(out->url), "%s://%s:%u", scheme, host, out->port))
		return bad("want a host name of at most 255 bytes", err);
	if ((user && !yg_str_put(out->user, sizeof(out->user), "%s", user)) ||
		(password && !yg_str_put(out->password, sizeof(out->password), "%s", password)))
		return bad("want a user and password of at most 255 bytes", err);
	return 0;
}

int yg_proxy_parse(const char *text, struct yg_proxy_at *out, struct yg_err *err)
{
	CURLU *url YG_AUTO(curlu) = curl_url();
	struct yg_proxy_at parsed = {0};
	if (!url)
		return yg_fail(err, YG_ESYSTEM, "address of the proxy: out of memory");
	for (const char *at = text; *at; at++)
		if (*at <= ' ' || *at > '~')
			return bad("want no spaces, control or non-ASCII characters", err);
	const char *authority = strstr(text, "://") ? strstr(text, "://") + 3 : text;
	const size_t len = strcspn(authority, "/?#");
	const char *host = memrchr(authority, '@', len);
	host = host ? host + 1 : authority;
	if (memchr(host, '%', len - (size_t)(host - authority)))
		return bad("want no '%' in the host", err);
	CURLUcode code = curl_url_set(url, CURLUPART_URL, text,
		CURLU_NON_SUPPORT_SCHEME | CURLU_DEFAULT_SCHEME);
	if (code != CURLUE_OK)
		return bad(curl_url_strerror(code), err);
	if (!strstr(text, "://")) /* curl's idea of a scheme that is left out is https */
		(void)curl_url_set(url, CURLUPART_SCHEME, "http", 0);
	int rc = fill(url, &parsed, err);
	if (rc == 0)
		*out = parsed;
	explicit_bzero(parsed.password, sizeof(parsed.password));
	return rc;
}
