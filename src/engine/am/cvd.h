/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdint.h>

#include "core/attr.h"
#include "core/buf.h"
#include "core/err.h"

/* ClamAV's own containers: a header of 512 bytes, then a tar (.cld) or a tar.gz (.cvd). A .cvd is signed by who
 * made it; a .cld was put together by freshclam, and nobody can sign that.
 */

#define YG_AM_CVD_HEAD 512 /* bytes */

struct yg_am_cvd {
	uint32_t version;
	uint32_t signatures;
	uint32_t level; /* functionality level of engines that it was made for */
	char time[48];  /* "15 Dec 2024 10-30 -0500", as its maker wrote it */
	char builder[64];
};

/* What the header says; nobody vouches for that. errors  YG_EFORMAT not such a header */
int yg_am_cvd_parse(struct yg_bytes head, struct yg_am_cvd *out, struct yg_err *err) YG_MUST_CHECK;

/* Check the signature of a .cvd, with the key that libclamav has in it (since 1.5: or the certificates of its
 * folder). The path must end in ".cvd". Changes nothing; in a process of its own, since it reads a stranger's file.
 * errors  YG_EUNTRUSTED; YG_EFORMAT the path; YG_ESYSTEM
 */
int yg_am_cvd_verify(const char *path, struct yg_err *err) YG_MUST_CHECK;
