/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/err.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int yg_fail(struct yg_err *err, enum yg_code code, const char *fmt, ...)
{
	assert(code != YG_OK);

	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);

	err->code = code;
	err->sys = 0;
	err->retry_s = 0;
	err->cause[0] = 0;
	return -1;
}

int yg_fail_cause(struct yg_err *err, enum yg_code code, const char *cause, const char *fmt, ...)
{
	assert(code != YG_OK && strlen(cause) < sizeof(err->cause));

	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);

	err->code = code;
	err->sys = 0;
	err->retry_s = 0;
	memcpy(err->cause, cause, strlen(cause) + 1);
	return -1;
}

int yg_fail_sys(struct yg_err *err, int sys, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);

	size_t used = strlen(err->msg);
	(void)snprintf(err->msg + used, sizeof(err->msg) - used, ": %s", strerrordesc_np(sys));
	err->code = YG_ESYSTEM;
	err->sys = sys;
	err->retry_s = 0;
	err->cause[0] = 0;
	return -1;
}

int yg_wrap(struct yg_err *err, const char *fmt, ...)
{
	assert(err->code != YG_OK);

	char cause[sizeof(err->msg)];
	memcpy(cause, err->msg, sizeof(cause));

	/* The cause is worth more than the context: when both do not fit, shorten the context. */
	size_t room = sizeof(err->msg) - strlen(cause);
	size_t context = room > sizeof(": ") ? room - sizeof(": ") : 0;

	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(err->msg, context + 1, fmt, ap);
	va_end(ap);

	size_t used = strlen(err->msg);
	(void)snprintf(err->msg + used, sizeof(err->msg) - used, "%s%s", used ? ": " : "", cause);
	return -1;
}
