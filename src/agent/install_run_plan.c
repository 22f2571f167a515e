/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stdlib.h>
#include <string.h>

#include "agent/install_run_impl.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"

/* PLAN: what the source has, as far as verify believes it, and which of it is not here. */

#define ROOTS_MAX 10000 /* versions: a new root each day for 27 years; verify is not trusted */
#define ROOT_MAX  (512u << 10) /* bytes */
#define PLAN_MS   900000       /* after that, verify or fetch hangs */

static void add_item(struct install_run *r, const struct yg_file *file, const struct yg_form *form)
{
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->items[i].form->sha256, form->sha256) == 0)
			return;
	struct install_run_item *grown = reallocarray(r->items, r->count + 1, sizeof(*grown));
	if (!grown)
		abort(); /* the parent starts us again */
	r->items = grown;
	r->items[r->count++] = (struct install_run_item){file, form};
	r->of_bytes += form->size;
}

/* Of a component that stays as it is, because nothing good is to be had, there are no forms. */
static void add_missing(struct install_run *r, const struct yg_file *file)
{
	const struct yg_form *form = yg_file_form(file);
	if (form)
		add_item(r, file, form);
	else
		YG_LOGS(r->in->logs, install_run_log(r), YG_LOGS_ERR, "Plan",
			"'%s' is missing, and nobody vouches for it any more", file->path);
}

static void find_missing(struct install_run *r)
{
	r->count = 0;
	r->at = 0;
	r->done_bytes = 0;
	r->of_bytes = 0;
	for (size_t i = 0; i < r->set->count; i++) {
		for (size_t j = 0; j < r->set->components[i]->file_count; j++) {
			const struct yg_file *file = &r->set->components[i]->files[j];
			if (!r->relay) {
				if (!yg_store_object_has(r->in->store, file->sha256, file->size))
					add_missing(r, file);
				continue;
			}
			for (size_t k = 0; k < file->form_count; k++)
				if (!install_mirror_has(r->in->mirror, &file->forms[k]))
					add_item(r, file, &file->forms[k]);
		}
	}
}

static uint64_t bytes_needed(const struct install_run *r)
{
	uint64_t need = 0;
	uint64_t largest = 0;
	for (size_t i = 0; i < r->count; i++) {
		need += r->relay ? r->items[i].form->size : r->items[i].file->size;
		if (r->items[i].form->size > largest)
			largest = r->items[i].form->size;
	}
	return need + largest;
}

/* T11: what was damaged is named, once it is whole again. */
void install_run_plan_healed(struct install_run *r)
{
	uint32_t count = r->report.relinked + r->report.dropped + r->report.missing;
	if (r->relay || count == 0 || !r->report.first[0])
		return;
	char path[sizeof(r->report.first)];
	memcpy(path, r->report.first, sizeof(path));
	char *space = strrchr(path, ' ');
	if (space)
		*space = 0;
	install_event(r->in, 20105,
		json_pack("{s:s, s:s, s:I}", "path", path, "object", space ? space + 1 : "",
			"count", (json_int_t)count));
	YG_LOGS(r->in->logs, YG_LOGS_IAU, YG_LOGS_APP, "Repair",
		"%u damaged or missing files, first %s: fetched or linked again", count,
		r->report.first);
	memset(&r->report, 0, sizeof(r->report));
}

/* T14: a disk that is too small is told before anything is fetched. Ends the run when it is. */
static bool has_room(struct install_run *r)
{
	struct yg_err why = {0};
	uint64_t need = bytes_needed(r);
	if (yg_store_room(r->in->store, need, &why) == 0)
		return true;
	install_event(r->in, 6012,
		json_pack("{s:s, s:I}", "path", r->relay ? "relay" : "iaurepo", "needed",
			(json_int_t)need));
	install_run_fail_here(r, &why);
	return false;
}

static void plan_relay(struct install_run *r)
{
	find_missing(r);
	if (r->count == 0 && install_mirror_same(r->in->mirror, r->set)) {
		install_run_step(r, YG_RUN_SAME);
		return;
	}
	if (has_room(r))
		install_run_step(r, YG_RUN_OK);
}

/* The relay has another set than the aim: behind, unless the aim is what this agent has or has left, for
 * what comes now was signed later.
 */
static bool not_yet(const struct install_run *r, const char *lib)
{
	char roll[YG_SHA256_TEXT];
	yg_store_link(r->in->store, YG_STORE_ROLL, roll);
	return *r->aim && r->all_families && yg_run_at_relay(&r->run) &&
		strcmp(r->aim, r->set->digest) != 0 && strcmp(r->aim, r->newest) != 0 &&
		strcmp(r->aim, lib) != 0 && strcmp(r->aim, roll) != 0;
}

static void fetch_roots(struct install_run *r);

static void root_fetched(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct install_run *r = ctx;
	struct yg_err why = *err;
	int fd YG_AUTO(fd) = yg_take_fd(r->transfer);
	char path[INSTALL_RUN_PATH];
	(void)!yg_str_put(path, sizeof(path), "metadata/%lld.root.json", (long long)r->root_next);
	install_run_fetch_log(r, path, err, reply->body);
	if (why.code || install_mirror_note(r->in->mirror, path, fd, &why) < 0)
		YG_LOGS(r->in->logs, YG_LOGS_RELAY, YG_LOGS_APP, "Roots", "%s: %s", path, why.msg);
	r->root_next++;
	fetch_roots(r);
}

/* Root versions from before the one this relay was installed with: agents that are older need each of
 * them, and believe none that is not signed by the one before. One that the source lacks is no failure.
 */
static void fetch_roots(struct install_run *r)
{
	struct yg_err err = {0};
	char path[INSTALL_RUN_PATH];
	for (; r->root_next <= r->root_last; r->root_next++) {
		(void)!yg_str_put(path, sizeof(path), "metadata/%lld.root.json",
			(long long)r->root_next);
		if (!install_mirror_knows(r->in->mirror, path))
			break;
	}
	if (r->root_next > r->root_last || !r->fetch.ipc) {
		plan_relay(r);
		return;
	}
	r->transfer = install_run_fetch_file(r, &err);
	if (r->transfer < 0) {
		install_run_fail_here(r, &err);
		return;
	}
	yg_timer_set(r->watchdog, PLAN_MS);
	yg_ipc_request(r->fetch.ipc, "fetch.get", install_run_fetch_body(r, path, ROOT_MAX),
		&r->transfer, 1, root_fetched, r);
}

static int plan_agent(struct install_run *r, enum yg_run_event *event, struct yg_err *err)
{
	char lib[YG_SHA256_TEXT];
	struct yg_store_hold hold;
	yg_store_link(r->in->store, YG_STORE_LIB, lib);
	yg_store_hold(r->in->store, &hold);
	if (not_yet(r, lib)) {
		*event = YG_RUN_NOT_YET;
		return 0;
	}
	if (r->scheduled && strcmp(hold.set, r->set->digest) == 0) {
		*event = YG_RUN_HELD;
		return 0;
	}
	if (yg_store_mend(r->in->store, &r->report, err) < 0)
		return -1;
	find_missing(r);
	*event = YG_RUN_OK;
	if (strcmp(lib, r->set->digest) == 0 && r->count == 0) {
		install_run_plan_healed(r);
		*event = YG_RUN_SAME;
	}
	return 0;
}

static int read_plan(struct install_run *r, const struct yg_ipc_msg *reply, struct yg_err *err)
{
	const char *digest = NULL;
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_SET_SIZE_MAX);
	if (yg_json_str(reply->body, "set", YG_SHA256_TEXT - 1, &digest, err) < 0)
		return -1;
	if (reply->fd_count != 1)
		return yg_fail(err, YG_EFORMAT, "verify.refresh: want 1 descriptor, have %zu",
			reply->fd_count);
	if (yg_fs_read_fd(reply->fds[0], &text, err) < 0)
		return -1;
	struct yg_set *set = yg_set_parse(yg_buf_bytes(&text), err);
	if (!set)
		return -1;
	yg_set_free(r->set);
	r->set = set;
	if (strcmp(set->digest, digest) != 0)
		return yg_fail(err, YG_EFORMAT, "verify.refresh: want set %s, have %s", digest,
			set->digest);
	return install_run_tuf_answered(r, reply->body, err);
}

/* Expired metadata changes nothing here, but says what the set in use consists of. True when some of it is
 * missing.
 */
static bool heals(struct install_run *r)
{
	char lib[YG_SHA256_TEXT];
	struct yg_err why = {0};
	yg_store_link(r->in->store, YG_STORE_LIB, lib);
	if (r->relay || strcmp(lib, r->set->digest) != 0 ||
		yg_store_mend(r->in->store, &r->report, &why) < 0)
		return false;
	find_missing(r);
	if (r->count == 0)
		install_run_plan_healed(r);
	return r->count > 0;
}

/* A relay that has nothing yet is behind, as one with an old set is. */
static bool is_behind(const struct install_run *r, const struct yg_err *err)
{
	return *r->aim && yg_run_at_relay(&r->run) &&
		(strcmp(err->cause, "http.busy") == 0 ||
			strcmp(err->cause, "http.maintenance") == 0);
}

static void planned(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct install_run *r = ctx;
	struct yg_err why = *err;
	enum yg_run_event event = YG_RUN_OK;
	if (why.code && is_behind(r, &why)) {
		install_run_step(r, YG_RUN_NOT_YET);
		return;
	}
	if (strcmp(why.cause, "tuf.expired") == 0 && !r->kept) {
		/* No reason to stop: what was trusted before can still heal what is damaged here. */
		r->expired = why;
		yg_timer_set(r->watchdog, PLAN_MS);
		install_run_tuf_refresh(r, true, planned);
		return;
	}
	if (why.code && r->kept)
		why = r->expired;
	if (why.code || read_plan(r, reply, &why) < 0) {
		if (why.code == YG_EAGAIN && !why.cause[0])
			(void)yg_fail_cause(&why, YG_EAGAIN, "update.interrupted", "%s", err->msg);
		install_run_fail(r, &why);
		return;
	}
	install_run_tuf_collect(r);
	if (r->kept && !heals(r)) {
		install_run_fail(r, &r->expired);
		return;
	}
	if (r->relay) {
		r->root_next = 2; /* the first is what everybody is installed with */
		if (yg_json_int_or(reply->body, "root", 1, ROOTS_MAX, 1, &r->root_last, &why) < 0) {
			install_run_fail(r, &why);
			return;
		}
		fetch_roots(r);
		return;
	}
	if (plan_agent(r, &event, &why) < 0) {
		install_run_fail_here(r, &why);
		return;
	}
	if (event == YG_RUN_OK && !has_room(r))
		return;
	YG_LOGS(r->in->logs, install_run_log(r), YG_LOGS_DBG, "Plan",
		"set %s, %zu objects missing, %s", r->set->digest, r->count,
		yg_run_event_name(event));
	install_run_step(r, event);
}

static void refresh(struct install_run *r)
{
	yg_timer_set(r->watchdog, PLAN_MS);
	install_run_tuf_refresh(r, false, planned);
}

void install_run_plan_begun(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	(void)reply;
	struct install_run *r = ctx;
	if (err->code) {
		install_run_fail(r, err);
		return;
	}
	r->begun = true;
	refresh(r);
}

void install_run_plan(void *ctx)
{
	struct install_run *r = ctx;
	yg_timer_set(r->watchdog, PLAN_MS);
	if (r->fetch.ipc && r->verify.ipc && r->begun) {
		refresh(r);
		return;
	}
	install_run_helper_end(r);
	install_run_helper_spawn(r); /* goes on when both are linked */
}
