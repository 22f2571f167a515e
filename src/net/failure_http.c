/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "net/failure_impl.h"

/* What the server itself says, in brackets of its kind: its message, else the title of its page. */
static const char *own_words(const struct yg_failure *seen)
{
	return seen->detail[0] ? seen->detail : seen->title;
}

int failure_http_page(const struct yg_failure *seen, struct yg_err *err)
{
	bool titled = seen->title[0] != 0;
	const char *before = titled ? ", titled '" : "";
	const char *after = titled ? "'," : "";
	if (seen->moved && seen->other_host[0])
		return FAILURE_SAY(seen, err, YG_EAGAIN, "http.portal",
			"sent to %.60s, where a web page%s%.100s%s came instead of content",
			seen->other_host, before, seen->title, after);
	return FAILURE_SAY(seen, err, YG_EFORMAT, "http.block_page",
		"a web page (text/html)%s%.100s%s came where content was expected", before,
		seen->title, after);
}

int failure_http_redirect(const struct yg_failure *seen, struct yg_err *err)
{
	const char *to = seen->other_host[0] ? " to " : "";
	if (seen->curl == CURLE_TOO_MANY_REDIRECTS)
		return FAILURE_SAY(seen, err, YG_EFORMAT, "http.redirect",
			"redirects without end%s%.100s (status %ld)", to, seen->other_host,
			seen->status);
	return FAILURE_SAY(seen, err, YG_EFORMAT, "http.redirect",
		"a redirect that is not followed%s%.100s (status %ld)", to, seen->other_host,
		seen->status);
}

/* Pages of web servers about a status have its number in their title, and mean the status. Those of filters have
 * another.
 */
static bool is_block_page(const struct yg_failure *seen)
{
	char number[8];
	(void)snprintf(number, sizeof(number), "%ld", seen->status);
	return seen->content && seen->page && seen->title[0] && !strstr(seen->title, number) &&
		!strcasestr(seen->title, "forbidden") && !strcasestr(seen->title, "not found");
}

static int say_closed(const struct yg_failure *seen, struct yg_err *err)
{
	const char *said = own_words(seen);
	bool busy = seen->busy && !seen->maintenance;
	return FAILURE_SAY(seen, err, YG_EAGAIN, busy ? "http.busy" : "http.maintenance",
		"not available now (status 503)%s%.160s", said[0] ? ": " : "", said);
}

static int say_other(const struct yg_failure *seen, struct yg_err *err)
{
	const char *said = own_words(seen);
	bool passes = seen->status >= 500 || seen->status == 408 || seen->status == 425;
	return FAILURE_SAY(seen, err, passes ? YG_EAGAIN : YG_EFORMAT, "http.status",
		"status %ld%s%.160s", seen->status, said[0] ? ": " : "", said);
}

int failure_http_status(const struct yg_failure *seen, struct yg_err *err)
{
	if (seen->status == 407)
		return failure_proxy_auth(seen, err);
	if (failure_proxy_squid(seen, err))
		return -1;
	const char *said = own_words(seen);
	switch (seen->status) {
	case 401:
	case 403:
	case 451:
		if (is_block_page(seen))
			return failure_http_page(seen, err);
		return FAILURE_SAY(seen, err, YG_EFORMAT, "http.forbidden",
			"access refused (status %ld)%s%.160s", seen->status, said[0] ? ": " : "",
			said);
	case 404:
	case 410:
		return FAILURE_SAY(seen, err, YG_EABSENT, "http.not_found",
			"not there (status %ld)", seen->status);
	case 429:
		return failure_say(seen,
			(struct failure_words){YG_EAGAIN, "http.busy",
				"too many requests (status 429)"},
			err);
	case 503:
		return say_closed(seen, err);
	case 511:
		return failure_say(seen,
			(struct failure_words){YG_EAGAIN, "http.portal",
				"the network wants a login first (status 511)"},
			err);
	default:
		return say_other(seen, err);
	}
}
