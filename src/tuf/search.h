/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/err.h"
#include "tuf/meta.h"
#include "tuf/tuf.h"

/* Private to tuf/: 5.6.7. */

/* returns 1 found, 0 look on, -1 */
typedef int tuf_search_look(void *ctx, const char *role, const struct yg_meta *meta,
	struct yg_err *err);

/* Call `look` for "targets" and then for each delegated role in pre-order, each once, until it returns 1 or -1.
 * With a path only the roles that may vouch for it. returns 1, 0 nobody knew, -1
 */
int tuf_search_roles(struct yg_tuf *tuf, const char *path, tuf_search_look *look, void *ctx,
	struct yg_err *err) YG_MUST_CHECK;
