/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* A command that cannot be kept is not begun: whoever dies in the middle of one that is not written down would
 * not know of it. Its result goes to the Manager at once, and is not kept either: the disk that has no room for a
 * command has none for that.
 */
#include <errno.h>
#include <string.h>

#include "agent/session_impl.h"
#include "core/clock.h"
#include "core/log.h"

static const char *cause_of(int sys)
{
	if (sys == ENOSPC || sys == EDQUOT)
		return "store.disk_full";
	return sys == EROFS ? "store.read_only" : "store.io";
}

void session_refuse(struct session *s, const char *name, const char *job, const struct yg_err *kept)
{
	char now[YG_CLOCK_TEXT];
	struct yg_err why = {0};
	bool relay = strcmp(name, "update.relay") == 0;
	(void)yg_fail_cause(&why, YG_ESYSTEM, kept->cause[0] ? kept->cause : cause_of(kept->sys),
		"the command cannot be kept: %s", kept->msg);
	yg_log_err(YG_LOG_ERROR, "session.jobs", &why);
	if (relay || strcmp(name, "update") == 0)
		session_last_keep(s, relay, "failed", why.cause, why.msg, NULL);
	yg_clock_format(yg_clock_now_s(), now);
	json_t *entry = json_pack("{s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:{}}", "seq", 0, "kind", "result",
		"job", job, "time", now, "outcome", "failed", "cause", why.cause, "sentence",
		why.msg, "detail");
	if (entry && s->manager)
		manager_unkept(s->manager, entry);
	else
		json_decref(entry);
}
