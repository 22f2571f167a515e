/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* What the values of settings may be. Messages begin with the setting's name and never repeat what may hold a
 * password.
 */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/str.h"
#include "crypto/x509.h"
#include "manager/store/settings.h"
#include "manager/store/store.h"

#define CA_MAX    64 /* certificates */
#define PEM_BEGIN "-----BEGIN "
#define PEM_END   "-----END "

struct url {
	char scheme[12];
	char host[256];
	uint16_t port;    /* 0: none was given */
	const char *path; /* what follows, in the text */
};

static int bad(const char *name, const char *want, const char *text, struct yg_err *err)
{
	/* Before an '@' stands a password, more often than not. */
	if (strchr(text, '@'))
		return yg_fail_cause(err, YG_EFORMAT, "net.url",
			"%s: want %s, have one with a user or password in it", name, want);
	return yg_fail_cause(err, YG_EFORMAT, "net.url", "%s: want %s, have '%.100s'", name, want,
		text);
}

static bool host_ok(const char *host, bool six)
{
	return host[0] != '\0' &&
		strspn(host,
			six ? "0123456789abcdefABCDEF:."
			    : "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._") ==
		strlen(host);
}

/* HOST, HOST:PORT, [IPV6], [IPV6]:PORT; where it ends in *rest. */
static bool split_host(const char *at, struct url *out)
{
	struct yg_err ignored = {0};
	bool six = at[0] == '[';
	size_t len = six ? strcspn(++at, "]") : strcspn(at, ":/?#");
	if (!yg_str_put(out->host, sizeof(out->host), "%.*s", (int)len, at) ||
		!host_ok(out->host, six) || (six && at[len] != ']'))
		return false;
	at += len + (six ? 1 : 0);
	if (*at == ':') {
		char digits[8];
		uint64_t port = 0;
		len = strcspn(++at, "/?#");
		if (!yg_str_put(digits, sizeof(digits), "%.*s", (int)len, at) ||
			yg_str_u64(digits, 65535, &port, &ignored) < 0 || port == 0)
			return false;
		out->port = (uint16_t)port;
		at += len;
	}
	out->path = at;
	return true;
}

static bool split(const char *text, struct url *out)
{
	*out = (struct url){0};
	const char *colon = strstr(text, "://");
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (*c <= ' ' || *c == 0x7f || *c == '@')
			return false;
	return colon &&
		yg_str_put(out->scheme, sizeof(out->scheme), "%.*s", (int)(colon - text), text) &&
		split_host(colon + 3, out);
}

static bool scheme_in(const struct url *url, const char *const *schemes)
{
	for (; *schemes; schemes++)
		if (strcmp(url->scheme, *schemes) == 0)
			return true;
	return false;
}

int settings_check_source(const char *name, const char *text, struct yg_err *err)
{
	static const char *const schemes[] = {"http", "https", NULL};
	struct url url;
	if (text[0] == '\0')
		return 0;
	if (!split(text, &url) || !scheme_in(&url, schemes) || strpbrk(url.path, "?#"))
		return bad(name, "http://HOST/… or https://HOST/…", text, err);
	return 0;
}

int settings_check_proxy(const char *name, const char *text, struct yg_err *err)
{
	static const char *const schemes[] = {"http", "https", "socks5", "socks5h", NULL};
	struct url url;
	if (text[0] == '\0')
		return 0;
	if (strchr(text, '@'))
		return yg_fail_cause(err, YG_EFORMAT, "net.url",
			"%s: want no user and no password in it: they are settings of their own",
			name);
	if (!split(text, &url) || !scheme_in(&url, schemes) || url.port == 0 ||
		(url.path[0] != '\0' && strcmp(url.path, "/") != 0))
		return bad(name, "http://, https://, socks5:// or socks5h:// with HOST:PORT", text,
			err);
	return 0;
}

int settings_check_relay(const char *name, const char *text, struct yg_err *err)
{
	static const char *const schemes[] = {"https", NULL};
	struct url url;
	if (!split(text, &url) || !scheme_in(&url, schemes) || url.port == 0 ||
		(url.path[0] != '\0' && strcmp(url.path, "/") != 0) || strlen(text) > 300)
		return bad(name, "https://HOST:PORT", text, err);
	return 0;
}

static bool balancer(const char *text, struct url *url)
{
	if (strstr(text, "://"))
		return split(text, url) && strcmp(url->scheme, "https") == 0 &&
			(url->path[0] == '\0' || strcmp(url->path, "/") == 0);
	*url = (struct url){0};
	return split_host(text, url) && url->path[0] == '\0';
}

int settings_check_balancer(const char *name, const char *text, struct yg_err *err)
{
	struct url url;
	if (text[0] != '\0' && !balancer(text, &url))
		return bad(name, "HOST, HOST:PORT or https://HOST:PORT", text, err);
	return 0;
}

void settings_balancer_url(const char *text, char out[320])
{
	struct url url;
	out[0] = '\0';
	if (text[0] == '\0' || !balancer(text, &url))
		return;
	bool six = strchr(url.host, ':') != NULL;
	(void)snprintf(out, 320, "https://%s%s%s:%d", six ? "[" : "", url.host, six ? "]" : "",
		url.port ? url.port : STORE_RELAY_PORT);
}

bool settings_unchecked(const char *url)
{
	size_t len = strlen(url);
	return strncmp(url, "https://", 8) == 0 && len > 10 && strcmp(url + len - 2, "//") == 0;
}

/* The next block of a PEM text: its length, from *at on; 0 when there is none. */
static size_t next_block(const char **at)
{
	const char *begin = strstr(*at, PEM_BEGIN);
	if (!begin)
		return 0;
	*at = begin;
	const char *end = strstr(begin, PEM_END);
	if (!end)
		return strlen(begin);
	end += strlen(PEM_END);
	return (size_t)(end - begin) + strcspn(end, "\n");
}

int settings_check_ca(const char *name, const char *text, struct yg_err *err)
{
	unsigned count = 0;
	size_t len;
	if (strspn(text, " \t\r\n") == strlen(text))
		return 0;
	for (const char *at = text; (len = next_block(&at)) > 0; at += len) {
		struct yg_x509_info info;
		if (strncmp(at, PEM_BEGIN "CERTIFICATE-----",
			    strlen(PEM_BEGIN "CERTIFICATE-----")) != 0)
			return yg_fail(err, YG_EFORMAT,
				"%s: want certificates only, have a block '%.*s'", name,
				(int)strcspn(at + strlen(PEM_BEGIN), "-"), at + strlen(PEM_BEGIN));
		if (++count > CA_MAX)
			return yg_fail(err, YG_ELIMIT,
				"%s: want at most %d certificates, have more", name, CA_MAX);
		if (yg_x509_read((struct yg_bytes){(const uint8_t *)at, len}, &info, err) < 0)
			return yg_wrap(err, "%s: certificate %u", name, count);
	}
	if (count == 0)
		return yg_fail(err, YG_EFORMAT,
			"%s: want PEM certificates (-----BEGIN CERTIFICATE-----), have none", name);
	return 0;
}

json_t *settings_certificates(const char *pem)
{
	json_t *list = json_array();
	size_t len;
	for (const char *at = pem; list && (len = next_block(&at)) > 0; at += len) {
		struct yg_err ignored = {0};
		struct yg_x509_info info;
		if (yg_x509_read((struct yg_bytes){(const uint8_t *)at, len}, &info, &ignored) < 0)
			continue;
		if (json_array_append_new(list,
			    json_pack("{s:s, s:o}", "subject", info.subject, "not_after",
				    store_time(info.not_after_s))) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

int settings_check_language(const char *name, const char *text, struct yg_err *err)
{
	if (strcmp(text, "en") != 0 && strcmp(text, "ja") != 0)
		return yg_fail(err, YG_EFORMAT, "%s: want en or ja, have '%s'", name, text);
	return 0;
}

int settings_check_level(const char *name, const char *text, struct yg_err *err)
{
	enum yg_level level;
	if (text[0] != '\0' && yg_log_level_parse(text, &level, err) < 0)
		return yg_wrap(err, "%s", name);
	return 0;
}

int settings_check_secret(const char *name, const char *text, struct yg_err *err)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (*c < ' ' || *c == 0x7f)
			return yg_fail(err, YG_EFORMAT,
				"%s: want no line ends or other control characters", name);
	return 0;
}

int settings_check_user(const char *name, const char *text, struct yg_err *err)
{
	if (strchr(text, ':'))
		return yg_fail(err, YG_EFORMAT, "%s: want no ':' in it: that ends a user's name",
			name);
	return settings_check_secret(name, text, err);
}
