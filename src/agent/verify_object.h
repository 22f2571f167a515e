/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/ipc.h"

/* verify.object: what was transferred, to the bytes of a file. What lies outside of this process is not
 * touched: every file comes as a descriptor. `ctx` is not used.
 */
void verify_object(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg);

/* The work itself, for its test. `fds`: the transfer, at its start; where the bytes go; for a delta the
 * file that it changes.
 * errors  YG_EFORMAT a request that makes no sense; those of yg_codec_decode and yg_delta_decode
 */
int verify_object_decode(const json_t *body, const int *fds, size_t fd_count, struct yg_err *err)
	YG_MUST_CHECK;
