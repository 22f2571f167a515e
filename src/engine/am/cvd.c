/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "engine/am/cvd.h"

#include <clamav.h>
#include <string.h>

#include "core/mem.h"
#include "core/str.h"

static void cvd_free_at(struct cl_cvd **at)
{
	if (*at)
		cl_cvdfree(*at);
}

/* libclamav writes to stderr what it thinks of a file; who called us says it once. */
static void quiet(enum cl_msg severity, const char *full, const char *text, void *ctx)
{
	(void)severity;
	(void)full;
	(void)text;
	(void)ctx;
}

int yg_am_cvd_parse(struct yg_bytes head, struct yg_am_cvd *out, struct yg_err *err)
{
	char text[YG_AM_CVD_HEAD + 1] = {0};
	static const char magic[] = "ClamAV-VDB:";
	if (head.len < sizeof(magic) - 1 || memcmp(head.ptr, magic, sizeof(magic) - 1) != 0)
		return yg_fail(err, YG_EFORMAT, "want 'ClamAV-VDB:' at the beginning, have none");
	memcpy(text, head.ptr, head.len < YG_AM_CVD_HEAD ? head.len : YG_AM_CVD_HEAD);
	cl_set_clcb_msg(quiet);
	struct cl_cvd *cvd YG_AUTO(cvd) = cl_cvdparse(text);
	struct yg_am_cvd found = {0};
	if (!cvd || !cvd->time || !cvd->builder || cvd->version == 0 ||
		!yg_str_put(found.time, sizeof(found.time), "%s", cvd->time) ||
		!yg_str_put(found.builder, sizeof(found.builder), "%s", cvd->builder))
		return yg_fail(err, YG_EFORMAT,
			"want the header of a ClamAV database, have another");
	found.version = cvd->version;
	found.signatures = cvd->sigs;
	found.level = cvd->fl;
	*out = found;
	return 0;
}

int yg_am_cvd_verify(const char *path, struct yg_err *err)
{
	/* libclamav tells by the name if there is a signature to check. */
	size_t len = strlen(path);
	if (len < 4 || strcmp(path + len - 4, ".cvd") != 0)
		return yg_fail(err, YG_EFORMAT, "want a name that ends in .cvd");
	cl_set_clcb_msg(quiet);
	cl_error_t r = cl_init(CL_INIT_DEFAULT);
	if (r != CL_SUCCESS)
		return yg_fail(err, YG_ESYSTEM, "libclamav: %s", cl_strerror(r));
	r = cl_cvdverify(path);
	if (r != CL_SUCCESS)
		return yg_fail(err, YG_EUNTRUSTED, "its signature is not good: %s", cl_strerror(r));
	return 0;
}
