/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* How the last update of this computer, and of its relay, ended: what people look for first when something is
 * wrong. The file last-run.json.
 */
#include <string.h>

#include "agent/session_impl.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "proto/cause.h"

#define FILE_NAME "last-run.json"
#define FILE_MAX  (256u << 10) /* bytes */

static const char *name_of(bool relay)
{
	return relay ? "relay_update" : "update";
}

void session_last_load(struct session *s)
{
	struct yg_err err = {0};
	s->last = json_object();
	int fd YG_AUTO(fd) = yg_fs_open(s->state_dir, FILE_NAME, &err);
	if (fd < 0 && err.code == YG_EABSENT)
		return;
	json_t *kept = NULL;
	if (fd < 0 || yg_json_read(fd, FILE_MAX, &kept, &err) < 0) {
		yg_log(YG_LOG_WARN, "session.last", "the next update writes it anew: %s", err.msg);
		return;
	}
	json_decref(s->last);
	s->last = kept;
}

void session_last_keep(struct session *s, bool relay, const char *outcome, const char *cause,
	const char *detail, const json_t *result)
{
	static const char *const members[] = {"source", "seconds", "bytes", "requests", "tried"};
	char now[YG_CLOCK_TEXT];
	struct yg_err err = {0};
	yg_clock_format(yg_clock_now_s(), now);
	const struct yg_cause *known = yg_cause_find(cause);
	json_t *text = json_string(detail);
	json_t *run = json_pack("{s:s,s:s,s:s,s:o,s:s,s:s,s:i,s:i,s:i,s:[]}", "time", now,
		"outcome", outcome, "cause", cause, "detail", text ? text : json_string(""),
		"sentence", known ? yg_cause_text(known, YG_LANG_EN) : "", "source", "", "seconds",
		0, "bytes", 0, "requests", 0, "tried");
	for (size_t i = 0; i < YG_COUNT(members); i++)
		if (json_object_get(result, members[i]))
			(void)json_object_set(run, members[i], json_object_get(result, members[i]));
	(void)json_object_set_new(s->last, name_of(relay), run);
	char *file YG_AUTO(mem) = yg_json_text(s->last);
	if (file && yg_fs_replace(s->state_dir, FILE_NAME, yg_bytes_of(file), 0600, &err) < 0)
		yg_log_err(YG_LOG_WARN, "session.last", &err);
}

json_t *session_last(const struct session *s, bool relay)
{
	json_t *run = json_object_get(s->last, name_of(relay));
	return json_is_object(run) ? json_incref(run) : json_null();
}
