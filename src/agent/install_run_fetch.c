/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/install_run_impl.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"

/* FETCH: one object at a time, from the present source into a file. A large one goes into the store's part for
 * it, so that the next try goes on where this one was cut off: with another relay, after a restart, tomorrow.
 */

#define FETCH_MS    4000000 /* fetch itself gives up before */
#define PROGRESS_MS 500     /* between two progress messages of one phase */

/* One line for each conversation, as the old log had it; a maintenance has its own words (T3). */
void install_run_fetch_log(struct install_run *r, const char *path, const struct yg_err *err,
	const json_t *reply)
{
	struct yg_logs *logs = r->in->logs;
	/* One slash, however many the source's URL ends in: two would say that it is not checked. */
	const char *base = install_run_source_url(r);
	size_t len = strlen(base);
	while (len > 0 && base[len - 1] == '/')
		len--;
	char *url YG_AUTO(mem) = yg_str_format("%.*s/%s", (int)len, base, path);
	const char *what = url ? url : path;
	if (err->code == 0) {
		yg_logs_tmu(logs, false, "HttpsConnection", "%s: HTTP %lld, %lld bytes", what,
			(long long)json_integer_value(json_object_get(reply, "status")),
			(long long)json_integer_value(json_object_get(reply, "size")));
		return;
	}
	if (err->code == YG_EABSENT && strstr(path, ".root.json")) {
		yg_logs_tmu(logs, false, "HttpsConnection", "%s: HTTP 404, no newer root", what);
		return;
	}
	yg_logs_tmu_failure(logs, what, err);
}

int install_run_fetch_file(struct install_run *r, struct yg_err *err)
{
	if (yg_fs_mkdirs(r->in->root, "iaurepo/tmp", 0755, err) < 0)
		return -1;
	int dir YG_AUTO(fd) = yg_fs_open_dir(r->in->root, "iaurepo/tmp", err);
	return dir < 0 ? -1 : yg_fs_tmpfile(dir, err);
}

json_t *install_run_fetch_body(const struct install_run *r, const char *path, uint64_t max)
{
	json_t *from = json_copy((json_t *)(uintptr_t)install_run_source(r));
	json_t *tls = json_object_get(r->body, "tls");
	if (tls && yg_run_at_relay(&r->run))
		(void)json_object_set(from, "tls", tls);
	return json_pack("{s:o, s:s, s:I, s:I, s:I}", "source", from, "path", path, "max",
		(json_int_t)max, "timeout_s", (json_int_t)r->timeout_s, "connect_s",
		(json_int_t)r->connect_s);
}

/* At the pace so far; -1: not known yet. */
static int64_t seconds_left(const struct install_run *r, uint64_t bytes, int64_t now)
{
	int64_t spent = now - r->fetch_ms;
	if (spent < 1000 || bytes == 0 || bytes > r->of_bytes)
		return -1;
	return (int64_t)((double)(r->of_bytes - bytes) / (double)bytes * (double)spent / 1000);
}

void install_run_fetch_progress(void *ctx)
{
	struct install_run *r = ctx;
	int64_t now = yg_clock_mono_ms();
	if (r->run.state != YG_RUN_FETCH || (now - r->told_ms < PROGRESS_MS && r->at < r->count))
		return;
	r->told_ms = now;
	uint64_t bytes = r->done_bytes + (r->pipe ? r->had + install_run_pipe_bytes(r->pipe) : 0);
	json_t *more YG_AUTO(yg_json) = json_pack("{s:I, s:I}", "bytes", (json_int_t)bytes,
		"bytes_of", (json_int_t)r->of_bytes);
	int64_t left = seconds_left(r, bytes, now);
	if (r->at < r->count && r->items[r->at].component)
		(void)json_object_set_new(more, "what", json_string(r->items[r->at].component));
	if (left >= 0)
		(void)json_object_set_new(more, "left_s", json_integer((json_int_t)left));
	install_run_progress(r, "fetch", (int64_t)bytes, (int64_t)r->of_bytes, more);
}

/* ---- the object under way ---- */

static struct install_run_item *item_of(struct install_run *r)
{
	return &r->items[r->at];
}

static bool is_part(const struct yg_form *form)
{
	return form->size >= INSTALL_RUN_PART_MIN;
}

void install_run_fetch_drop(struct install_run *r)
{
	struct yg_err why = {0};
	if (r->transfer >= 0)
		(void)close(yg_take_fd(r->transfer));
	if (is_part(item_of(r)->form) &&
		yg_store_part_drop(r->in->store, item_of(r)->form->sha256, &why) < 0)
		YG_LOGS(r->in->logs, install_run_log(r), YG_LOGS_ERR, "Update", "%s", why.msg);
	r->had = 0;
}

void install_run_fetch_done(struct install_run *r)
{
	const struct install_run_item *item = item_of(r);
	install_run_fetch_drop(r);
	r->done_bytes += item->form->size;
	r->deltas += item->form->encoding == YG_ENCODING_DELTA;
	r->spares += item->spare;
	r->at++;
	install_run_step(r, YG_RUN_OK);
}

bool install_run_fetch_whole(struct install_run *r, const struct yg_err *why)
{
	struct install_run_item *item = item_of(r);
	const struct yg_form *whole = yg_file_form(item->file);
	if (r->relay || item->form->encoding != YG_ENCODING_DELTA || !whole)
		return false;
	YG_LOGS(r->in->logs, install_run_log(r), YG_LOGS_ERR, "Delta",
		"'%s': the delta from %.12s does not do (%s): the whole file is fetched",
		item->file->path, item->form->from, why->msg);
	install_run_fetch_drop(r);
	(void)json_object_set_new(r->useless, item->form->sha256, json_true());
	r->failed_deltas++;
	r->of_bytes -= item->form->size;
	item->form = whole;
	item->again = false;
	r->of_bytes += item->form->size;
	return true;
}

bool install_run_fetch_spare(struct install_run *r, const struct yg_err *why)
{
	struct install_run_item *item = item_of(r);
	if (!item->spare)
		return false;
	YG_LOGS(r->in->logs, install_run_log(r), YG_LOGS_ERR, "Repair",
		"'%s' of the set before cannot be had: %s", item->file->path, why->msg);
	install_run_fetch_drop(r);
	r->roll_lost = true;
	r->at++;
	return true;
}

/* An answer that says what the object is not, as long as there may be a better one here: everything but a
 * line that was cut, a server that is away, and a disk.
 */
static bool is_wrong(const struct yg_err *why)
{
	return why->code == YG_EABSENT || why->code == YG_EFORMAT || why->code == YG_ELIMIT ||
		why->code == YG_EUNTRUSTED;
}

static void fetched(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct install_run *r = ctx;
	struct install_run_item *item = item_of(r);
	char path[YG_OBJECT_PATH];
	yg_form_path(item->form, path);
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
	/* A bundle has the deltas that some computers need, no others: a relay goes without them. */
	if (r->relay && r->bundle >= 0 && why.code == YG_EABSENT &&
		item->form->encoding == YG_ENCODING_DELTA) {
		install_run_fetch_drop(r);
		r->at++;
		install_run_fetch(r);
		return;
	}
	bool tried_rest = r->had > 0 && why.code != YG_EABSENT && !item->again;
	if (is_wrong(&why) && tried_rest) {
		item->again = true;
		install_run_fetch_drop(r);
		install_run_fetch(r);
		return;
	}
	if (is_wrong(&why)) {
		if (install_run_fetch_whole(r, &why) || install_run_fetch_spare(r, &why)) {
			install_run_fetch(r);
			return;
		}
		install_run_fetch_drop(r);
	}
	(void)yg_wrap(&why, "'%s'", item->file->path);
	install_run_fail(r, &why);
}

/* The file that the object comes into, at its end. */
static int open_transfer(struct install_run *r, const struct yg_form *form, struct yg_err *err)
{
	if (r->transfer >= 0)
		(void)close(yg_take_fd(r->transfer));
	r->had = 0;
	r->transfer = is_part(form) ? yg_store_part_open(r->in->store, form->sha256, &r->had, err)
				    : install_run_fetch_file(r, err);
	if (r->transfer < 0)
		return -1;
	if (r->had > form->size) {
		if (ftruncate(r->transfer, 0) < 0)
			return yg_fail_cause(err, YG_ESYSTEM, "store.io", "emptying a transfer: %s",
				strerror(errno));
		r->had = 0;
	}
	if (lseek(r->transfer, (off_t)r->had, SEEK_SET) < 0)
		return yg_fail_cause(err, YG_ESYSTEM, "store.io", "seeking in a transfer: %s",
			strerror(errno));
	return yg_store_allot(r->in->store, r->transfer, form->size, err);
}

void install_run_fetch(void *ctx)
{
	struct install_run *r = ctx;
	struct yg_err err = {0};
	if (r->at == 0)
		r->fetch_ms = yg_clock_mono_ms();
	install_run_fetch_progress(r);
	if (r->at == r->count) {
		install_run_step(r, YG_RUN_COMPLETE);
		return;
	}
	const struct yg_form *form = item_of(r)->form;
	char path[YG_OBJECT_PATH];
	yg_form_path(form, path);
	if (open_transfer(r, form, &err) < 0) {
		install_run_fail_here(r, &err);
		return;
	}
	if (r->had == form->size && form->size > 0) {
		install_run_step(r, YG_RUN_OK);
		return;
	}
	yg_timer_set(r->watchdog, FETCH_MS);
	json_t *body = install_run_fetch_body(r, path, form->size);
	(void)json_object_set_new(body, "offset", json_integer((json_int_t)r->had));
	install_run_helper_get(r, body, r->transfer, fetched);
}
