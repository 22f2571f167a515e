/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "tuf/look.h"

#include <stdio.h>

#include "core/clock.h"
#include "tuf/meta.h"
#include "tuf/tuf.h"

int yg_look_timestamp(struct yg_bytes text, int64_t now_s, char *seen, size_t size,
	struct yg_err *err)
{
	char expires[YG_CLOCK_TEXT];
	struct yg_meta *meta YG_AUTO(
		yg_meta) = yg_meta_parse(YG_META_TIMESTAMP, text, YG_TUF_TIMESTAMP_MAX, err);
	if (!meta)
		return yg_wrap(err, "timestamp.json");
	yg_clock_format(meta->expires, expires);
	(void)snprintf(seen, size, "timestamp %lld, expires %s", (long long)meta->version, expires);
	if (meta->expires <= now_s)
		return yg_fail_cause(err, YG_EUNTRUSTED, "tuf.expired",
			"timestamp.json: expired on %s", expires);
	return 0;
}
