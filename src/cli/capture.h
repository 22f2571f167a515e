/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/buf.h"
#include "core/err.h"

/* Run a program and take what it writes to stdout, up to out->max; the rest is dropped. What hangs or crashes
 * in it does so there.
 * in      argv     ends with NULL; argv[0] is a path, or a name that is looked for in /usr/bin and /bin
 *         seconds  then it is killed
 * out     *status  its exit status, or 128 and the signal
 * errors  YG_EABSENT there is no such program; YG_EAGAIN it was killed for its time; YG_ESYSTEM. What came until
 *         then is in `out`
 */
int capture_run(const char *const *argv, int seconds, struct yg_buf *out, int *status,
	struct yg_err *err) YG_MUST_CHECK;
