/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/jobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"

#define FILE_NAME      "jobs.json"
#define SIZE_MAX_BYTES (4u << 20)

struct jobs {
	int dir;
	json_t *list; /* [{"id","command"}], oldest first; "command" is null when it is done */
};

static int save(const struct jobs *jobs, struct yg_err *err)
{
	char *text YG_AUTO(mem) = yg_json_text(jobs->list);
	if (!text)
		return yg_fail_sys(err, ENOMEM, FILE_NAME);
	return yg_fs_replace(jobs->dir, FILE_NAME, yg_bytes_of(text), 0600, err);
}

static json_t *find(const struct jobs *jobs, const char *id)
{
	size_t i;
	json_t *job;
	json_array_foreach(jobs->list, i, job)
	{
		const char *have = json_string_value(json_object_get(job, "id"));
		if (have && strcmp(have, id) == 0)
			return job;
	}
	return NULL;
}

struct jobs *jobs_open(int dir, struct yg_err *err)
{
	struct jobs *jobs YG_AUTO(jobs) = calloc(1, sizeof(*jobs));
	if (!jobs) {
		(void)yg_fail_sys(err, ENOMEM, FILE_NAME);
		return NULL;
	}
	jobs->dir = dir;
	int fd YG_AUTO(fd) = yg_fs_open(dir, FILE_NAME, err);
	if (fd >= 0 && yg_json_read(fd, SIZE_MAX_BYTES, &jobs->list, err) == 0 &&
		json_is_array(jobs->list))
		return yg_take(jobs);
	if (err->code == YG_ESYSTEM)
		return NULL;
	if (fd >= 0)
		yg_log(YG_LOG_ERROR, "jobs.broken", FILE_NAME " is begun anew: %s", err->msg);
	*err = (struct yg_err){0};
	json_decref(jobs->list);
	jobs->list = json_array();
	return yg_take(jobs);
}

void jobs_free(struct jobs *jobs)
{
	if (!jobs)
		return;
	json_decref(jobs->list);
	free(jobs);
}

bool jobs_known(const struct jobs *jobs, const char *id)
{
	return find(jobs, id) != NULL;
}

/* The oldest that is done goes first; running ones stay. */
static void forget_one(struct jobs *jobs)
{
	size_t i;
	json_t *job;
	json_array_foreach(jobs->list, i, job)
	{
		if (json_is_null(json_object_get(job, "command"))) {
			(void)json_array_remove(jobs->list, i);
			return;
		}
	}
}

int jobs_begin(struct jobs *jobs, const char *id, const json_t *command, struct yg_err *err)
{
	json_t *copy = json_deep_copy(command);
	(void)json_object_set_new(copy, "begun_s", json_integer(yg_clock_now_s()));
	if (json_array_size(jobs->list) >= JOBS_MAX)
		forget_one(jobs);
	if (json_array_append_new(jobs->list, json_pack("{s:s,s:o}", "id", id, "command", copy)) <
		0)
		return yg_fail_sys(err, ENOMEM, FILE_NAME);
	if (save(jobs, err) < 0) {
		(void)json_array_remove(jobs->list, json_array_size(jobs->list) - 1);
		return -1;
	}
	return 0;
}

int jobs_end(struct jobs *jobs, const char *id, struct yg_err *err)
{
	json_t *job = find(jobs, id);
	if (!job)
		return 0;
	(void)json_object_set_new(job, "command", json_null());
	return save(jobs, err);
}

int jobs_cancel(struct jobs *jobs, const char *id, struct yg_err *err)
{
	json_t *command = json_object_get(find(jobs, id), "command");
	if (!json_is_object(command))
		return 0;
	(void)json_object_set_new(command, "cancelled", json_true());
	return save(jobs, err);
}

json_t *jobs_running(const struct jobs *jobs)
{
	json_t *running = json_array();
	size_t i;
	json_t *job;
	json_array_foreach(jobs->list, i, job) if (json_is_object(json_object_get(job, "command")))(
		void) json_array_append(running, json_object_get(job, "command"));
	return running;
}
