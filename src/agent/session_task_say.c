/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* How far the work is that was asked of this computer: what its roles say meanwhile, to who asked. */
#include <string.h>

#include "agent/session_task_impl.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"
#include "core/str.h"

#define PROGRESS_MS   500
#define EVENT_MALWARE 20100

/* `more`: members that only some phases have; or NULL. */
static void say(struct task *task, const char *phase, json_int_t done, json_int_t of,
	const json_t *more)
{
	struct session *s = task->session;
	bool changed = strcmp(task->phase, phase) != 0;
	int64_t now = yg_clock_mono_ms();
	if (!changed && now - task->said_ms < PROGRESS_MS)
		return;
	task->said_ms = now;
	(void)!yg_str_put(task->phase, sizeof(task->phase), "%.31s", phase);
	if (task->remote && s->manager) {
		json_t *entry = json_pack("{s:i,s:s,s:s,s:s,s:I,s:I}", "seq", 0, "kind", "progress",
			"job", task->job, "phase", task->phase, "done", done, "of", of);
		if (more)
			(void)json_object_update_missing(entry, (json_t *)(uintptr_t)more);
		manager_progress(s->manager, entry);
	}
	if (changed)
		session_changed(s);
}

void session_task_say_phase(struct session *s, const json_t *body)
{
	static const char *const members[] = {"what", "bytes", "bytes_of", "left_s"};
	const char *job = NULL;
	const char *phase = NULL;
	int64_t done = 0;
	int64_t of = 0;
	struct yg_err err = {0};
	if (yg_json_str(body, "job", 36, &job, &err) < 0 ||
		yg_json_str(body, "phase", 31, &phase, &err) < 0 ||
		yg_json_int_or(body, "done", 0, INT64_MAX, 0, &done, &err) < 0 ||
		yg_json_int_or(body, "of", 0, INT64_MAX, 0, &of, &err) < 0) {
		yg_log_err(YG_LOG_WARN, "session.progress", &err);
		return;
	}
	struct task *task = session_task_find(s, job);
	if (!task)
		return;
	json_t *more YG_AUTO(yg_json) = json_object();
	for (size_t i = 0; i < YG_COUNT(members); i++)
		if (json_object_get(body, members[i]))
			(void)json_object_set(more, members[i], json_object_get(body, members[i]));
	if (task->call) {
		json_t *said = json_pack("{s:s,s:I,s:I}", "phase", phase, "done", (json_int_t)done,
			"of", (json_int_t)of);
		(void)json_object_update(said, more);
		control_progress(task->call, said);
	}
	say(task, phase, done, of, more);
}

/* Told, and not left to wonder: another run is under way, and its result is this one's too (T5). */
void session_task_say_joined(struct session *s, const json_t *body)
{
	const char *job = json_string_value(json_object_get(body, "job"));
	struct task *task = job ? session_task_find(s, job) : NULL;
	json_t *with = json_object_get(body, "with");
	if (task && task->call && json_is_object(with))
		control_progress(task->call, json_pack("{s:O}", "joined", with));
}

void session_task_say_scan(struct session *s, const char *name, const json_t *body)
{
	const char *job = json_string_value(json_object_get(body, "job"));
	const char *path = json_string_value(json_object_get(body, "path"));
	const char *signature = json_string_value(json_object_get(body, "signature"));
	struct task *task = job ? session_task_find(s, job) : NULL;
	if (!task)
		return;
	if (strcmp(name, "scan.found") == 0 && path && signature) {
		session_event(s, EVENT_MALWARE,
			json_pack("{s:s,s:s,s:s}", "path", path, "signature", signature, "job",
				task->job));
		if (task->call)
			control_progress(task->call,
				json_pack("{s:{s:s,s:s}}", "found", "path", path, "signature",
					signature));
	} else if (strcmp(name, "scan.unjudged") == 0 && path) {
		if (task->call)
			control_progress(task->call,
				json_pack("{s:{s:s,s:s?}}", "unjudged", "path", path, "reason",
					json_string_value(json_object_get(body, "reason"))));
	} else if (strcmp(name, "scan.progress") == 0) {
		if (task->call)
			control_progress(task->call, json_deep_copy(body));
		say(task, "scan", json_integer_value(json_object_get(body, "files")), 0, NULL);
	}
}

json_t *session_task_say_update(const struct session *s)
{
	for (const struct task *task = s->tasks; task; task = task->next)
		if (session_task_is_update(task) && !task->result)
			return json_pack("{s:s,s:s}", "job", task->job, "phase", task->phase);
	return json_null();
}
