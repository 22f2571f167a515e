/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/install_run_impl.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/str.h"

/* FETCH and VERIFY: one object at a time, from fetch into a nameless file, from there through verify. */

#define FETCH_MS    4000000 /* fetch itself gives up before */
#define VERIFY_MS   900000
#define PROGRESS_MS 500 /* between two progress messages of one phase */

/* One line for each conversation, as the old log had it; a maintenance has its own words (T3). */
void install_run_fetch_log(struct install_run *r, const char *path, const struct yg_err *err,
	const json_t *reply)
{
	struct yg_logs *logs = r->in->logs;
	if (err->code == 0) {
		yg_logs_tmu(logs, false, "HttpsConnection", "%s/%s: HTTP %lld, %lld bytes",
			install_run_source_url(r), path,
			(long long)json_integer_value(json_object_get(reply, "status")),
			(long long)json_integer_value(json_object_get(reply, "size")));
		return;
	}
	if (strcmp(err->cause, "http.maintenance") == 0 || strcmp(err->cause, "http.busy") == 0) {
		yg_logs_tmu(logs, true, "HttpsConnection",
			"Server Error: HTTP 503 Service Unavailable");
		yg_logs_tmu(logs, true, "TmDownloader", YG_LOGS_MAINTENANCE);
		return;
	}
	bool expected = err->code == YG_EABSENT && strstr(path, ".root.json");
	yg_logs_tmu(logs, !expected, "HttpsConnection", "%s/%s: %s", install_run_source_url(r),
		path, expected ? "HTTP 404, no newer root" : err->msg);
}

json_t *install_run_fetch_body(const struct install_run *r, const char *path, uint64_t max)
{
	json_t *from = json_copy((json_t *)(uintptr_t)install_run_source(r));
	json_t *tls = json_object_get(r->body, "tls");
	if (tls && yg_run_at_relay(&r->run))
		(void)json_object_set(from, "tls", tls);
	return json_pack("{s:o, s:s, s:I, s:I}", "source", from, "path", path, "max",
		(json_int_t)max, "timeout_s", (json_int_t)r->timeout_s);
}

int install_run_fetch_file(struct install_run *r, struct yg_err *err)
{
	if (yg_fs_mkdirs(r->in->root, "iaurepo/tmp", 0755, err) < 0)
		return -1;
	int dir YG_AUTO(fd) = yg_fs_open_dir(r->in->root, "iaurepo/tmp", err);
	return dir < 0 ? -1 : yg_fs_tmpfile(dir, err);
}

static void tell_progress(struct install_run *r)
{
	int64_t now = yg_clock_mono_ms();
	if (now - r->told_ms < PROGRESS_MS && r->at < r->count)
		return;
	r->told_ms = now;
	install_progress(r->in, r->job, "fetch", (int64_t)r->done_bytes, (int64_t)r->of_bytes);
}

static void fetched(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct install_run *r = ctx;
	char path[YG_OBJECT_PATH];
	yg_form_path(r->items[r->at].form, path);
	install_run_fetch_log(r, path, err, reply->body);
	if (!err->code) {
		install_run_step(r, YG_RUN_OK);
		return;
	}
	struct yg_err why = *err;
	if (why.code == YG_EABSENT)
		(void)yg_fail_cause(&why, YG_EABSENT, "content.missing", "%s", err->msg);
	else if (why.code == YG_EAGAIN && !why.cause[0])
		(void)yg_fail_cause(&why, YG_EAGAIN, "update.interrupted", "%s", err->msg);
	install_run_fail(r, &why);
}

void install_run_fetch(void *ctx)
{
	struct install_run *r = ctx;
	struct yg_err err = {0};
	tell_progress(r);
	if (r->at == r->count) {
		install_run_step(r, YG_RUN_COMPLETE);
		return;
	}
	const struct yg_form *form = r->items[r->at].form;
	char path[YG_OBJECT_PATH];
	yg_form_path(form, path);
	if (r->transfer >= 0)
		(void)close(yg_take_fd(r->transfer));
	r->transfer = r->relay ? install_mirror_new_object(r->in->mirror, &err)
			       : install_run_fetch_file(r, &err);
	if (r->transfer < 0) {
		install_run_fail_here(r, &err);
		return;
	}
	if (!r->fetch.ipc) {
		(void)yg_fail_cause(&err, YG_EAGAIN, "update.interrupted",
			"the fetch process ended unexpectedly");
		install_run_fail(r, &err);
		return;
	}
	yg_timer_set(r->watchdog, FETCH_MS);
	yg_ipc_request(r->fetch.ipc, "fetch.get", install_run_fetch_body(r, path, form->size),
		&r->transfer, 1, fetched, r);
}

static void object_done(struct install_run *r)
{
	r->done_bytes += r->items[r->at].form->size;
	r->at++;
	(void)close(yg_take_fd(r->transfer));
	install_run_step(r, YG_RUN_OK);
}

static void decoded(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	(void)reply;
	struct install_run *r = ctx;
	struct yg_err why = *err;
	const struct yg_file *file = r->items[r->at].file;
	int out YG_AUTO(fd) = yg_take_fd(r->plain);
	if (why.code == YG_EAGAIN && !why.cause[0])
		(void)yg_fail_cause(&why, YG_EAGAIN, "update.interrupted", "%s", err->msg);
	/* Out of room looks to verify like any other failed write. */
	if (why.code == YG_ESYSTEM && !why.cause[0])
		(void)!yg_str_put(why.cause, sizeof(why.cause), "%s",
			why.sys == ENOSPC || why.sys == EDQUOT ? "store.disk_full" : "store.io");
	if (!why.code)
		(void)!yg_store_object_add(r->in->store, out, file->sha256, file->size, &why);
	if (why.code) {
		(void)yg_wrap(&why, "'%s'", file->path);
		install_run_fail(r, &why);
		return;
	}
	object_done(r);
}

void install_run_fetch_verify(void *ctx)
{
	struct install_run *r = ctx;
	struct yg_err err = {0};
	const struct install_run_item *item = &r->items[r->at];
	if (r->relay) {
		if (install_mirror_add(r->in->mirror, r->transfer, item->form, &err) < 0)
			install_run_fail(r, &err);
		else
			object_done(r);
		return;
	}
	if (!r->verify.ipc) {
		(void)yg_fail_cause(&err, YG_EAGAIN, "update.interrupted",
			"the verify process ended unexpectedly");
		install_run_fail(r, &err);
		return;
	}
	if (r->plain >= 0)
		(void)close(yg_take_fd(r->plain));
	r->plain = yg_store_object_new(r->in->store, &err);
	if (r->plain < 0 || lseek(r->transfer, 0, SEEK_SET) < 0) {
		if (!err.code)
			(void)yg_fail_cause(&err, YG_ESYSTEM, "store.io", "seeking in a transfer");
		install_run_fail_here(r, &err);
		return;
	}
	const int fds[] = {r->transfer, r->plain};
	yg_timer_set(r->watchdog, VERIFY_MS);
	yg_ipc_request(r->verify.ipc, "verify.object",
		json_pack("{s:s, s:s, s:I, s:s, s:I}", "encoding",
			yg_encoding_name(item->form->encoding), "sha256", item->form->sha256,
			"size", (json_int_t)item->form->size, "plain_sha256", item->file->sha256,
			"plain_size", (json_int_t)item->file->size),
		fds, 2, decoded, r);
}
