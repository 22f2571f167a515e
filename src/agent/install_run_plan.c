/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/install_run_impl.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/str.h"

/* PLAN: what the source has, as far as verify believes it, and which of it is not here. */

#define ROOTS_MAX 10000 /* versions: a new root each day for 27 years; verify is not trusted */
#define ROOT_MAX  (512u << 10) /* bytes */
#define PLAN_MS   900000       /* after that, verify or fetch hangs */

/* ---- what is cheapest ---- */

bool install_run_plan_is_here(void *ctx, const char *sha256)
{
	const struct install_run *r = ctx;
	char path[INSTALL_RUN_PATH];
	struct stat st;
	return yg_str_put(path, sizeof(path), "iaurepo/objects/%s", sha256) &&
		fstatat(r->in->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

/* Bytes that an earlier try left of a transfer. */
static uint64_t bytes_here(const struct install_run *r, const struct yg_form *form)
{
	char path[INSTALL_RUN_PATH];
	struct stat st;
	if (form->size < INSTALL_RUN_PART_MIN ||
		!yg_str_put(path, sizeof(path), "iaurepo/part/%s", form->sha256) ||
		fstatat(r->in->root, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
		(uint64_t)st.st_size > form->size)
		return 0;
	return (uint64_t)st.st_size;
}

static bool is_usable(struct install_run *r, const struct yg_form *form)
{
	return form->encoding != YG_ENCODING_DELTA ||
		(!json_object_get(r->useless, form->sha256) &&
			install_run_plan_is_here(r, form->from));
}

/* The form with the fewest bytes still to come; a whole one where that is the same. NULL: none. */
static const struct yg_form *choose(struct install_run *r, const struct yg_file *file)
{
	const struct yg_form *best = yg_file_form(file);
	uint64_t cost = best ? best->size - bytes_here(r, best) : UINT64_MAX;
	for (size_t i = 0; i < file->form_count; i++) {
		const struct yg_form *form = &file->forms[i];
		uint64_t more = form->size - bytes_here(r, form);
		if (more < cost && is_usable(r, form)) {
			best = form;
			cost = more;
		}
	}
	return best;
}

/* ---- what is missing ---- */

static void add_item(struct install_run *r, const char *component, const struct yg_file *file,
	const struct yg_form *form, bool spare)
{
	const char *name = r->relay ? form->sha256 : file->sha256;
	if (json_object_get(r->planned, name))
		return;
	(void)json_object_set_new(r->planned, name, json_true());
	struct install_run_item *grown = reallocarray(r->items, r->count + 1, sizeof(*grown));
	if (!grown)
		abort(); /* the parent starts us again */
	r->items = grown;
	r->items[r->count++] = (struct install_run_item){.component = component,
		.file = file,
		.form = form,
		.spare = spare};
	r->of_bytes += form->size;
}

/* Of a component that stays as it is, because nothing good is to be had, there are no forms. */
static void add_missing(struct install_run *r, const char *component, const struct yg_file *file,
	bool spare)
{
	const struct yg_form *form = choose(r, file);
	r->roll_lost |= spare && !form;
	if (form)
		add_item(r, component, file, form, spare);
	else
		YG_LOGS(r->in->logs, install_run_log(r), YG_LOGS_ERR, "Plan",
			"'%s' is missing, and nobody vouches for it any more", file->path);
}

static struct yg_file *copy_file(const struct yg_file *file)
{
	struct yg_file *copy = calloc(1, sizeof(*copy));
	struct yg_err err = {0};
	if (!copy)
		abort(); /* the parent starts us again */
	*copy = (struct yg_file){.path = strdup(file->path), .size = file->size};
	memcpy(copy->sha256, file->sha256, sizeof(copy->sha256));
	for (size_t i = 0; i < file->form_count; i++)
		if (yg_file_add_form(copy, &file->forms[i], &err) < 0)
			abort();
	if (!copy->path)
		abort();
	return copy;
}

void install_run_plan_forget(struct install_run *r)
{
	for (size_t i = 0; i < r->lost_count; i++) {
		free(r->lost[i]->path);
		free(r->lost[i]->forms);
		free(r->lost[i]);
	}
	free(r->lost);
	r->lost = NULL;
	r->lost_count = 0;
}

/* The table's own copy of a component's name; NULL: it has none. */
static const char *known_name(const char *component)
{
	const char *name = NULL;
	for (size_t i = 0; (name = yg_component_name(i)) && strcmp(name, component) != 0; i++)
		;
	return name;
}

/* A file that a set on this disk has lost, and perhaps nobody else has. */
static int add_lost(void *ctx, const struct yg_store_lost *lost, struct yg_err *err)
{
	(void)err;
	struct install_run *r = ctx;
	if (json_object_get(r->planned, lost->file->sha256))
		return 0;
	struct yg_file **grown = reallocarray(r->lost, r->lost_count + 1, sizeof(*grown));
	if (!grown)
		abort(); /* the parent starts us again */
	r->lost = grown;
	r->lost[r->lost_count] = copy_file(lost->file);
	add_missing(r, known_name(lost->component), r->lost[r->lost_count++], true);
	return 0;
}

/* A relay has every form of every file, for computers that have any version. */
static void add_forms(struct install_run *r, const struct yg_set *set)
{
	for (size_t i = 0; set && i < set->count; i++)
		for (size_t j = 0; j < set->components[i]->file_count; j++) {
			const struct yg_file *file = &set->components[i]->files[j];
			for (size_t k = 0; k < file->form_count; k++)
				if (!install_mirror_object_has(r->in->mirror, &file->forms[k]))
					add_item(r, set->components[i]->component, file,
						&file->forms[k], false);
		}
}

static void find_missing(struct install_run *r)
{
	struct yg_err why = {0};
	install_run_plan_forget(r);
	(void)json_object_clear(r->planned);
	r->count = 0;
	r->at = 0;
	r->done_bytes = 0;
	r->of_bytes = 0;
	r->roll_lost = false;
	if (r->relay) {
		add_forms(r, r->set);
		for (size_t i = 0; i < YG_COUNT(r->also); i++)
			add_forms(r, r->also[i]);
		return;
	}
	for (size_t i = 0; i < r->set->count; i++)
		for (size_t j = 0; j < r->set->components[i]->file_count; j++) {
			const struct yg_file *file = &r->set->components[i]->files[j];
			if (!yg_store_object_has(r->in->store, file->sha256, file->size))
				add_missing(r, r->set->components[i]->component, file, false);
		}
	if (yg_store_missing(r->in->store, add_lost, r, &why) < 0)
		YG_LOGS_FAILURE(r->in->logs, install_run_log(r), "Plan", &why, "%s",
			"Looking for lost files");
}

/* What is on the disk at the same time: every file, and the largest transfer, which goes when its file is there. */
static uint64_t bytes_needed(const struct install_run *r)
{
	uint64_t need = 0;
	uint64_t largest = 0;
	for (size_t i = 0; i < r->count; i++) {
		const struct yg_form *form = r->items[i].form;
		uint64_t transfer = form->size - bytes_here(r, form);
		need += r->relay ? form->size : r->items[i].file->size;
		if (transfer > largest)
			largest = transfer;
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

/* A set that cannot be made whole again is nothing to go back to: better said now than when somebody wants to. */
void install_run_plan_drop(struct install_run *r)
{
	char roll[YG_SHA256_TEXT];
	char path[YG_FILE_PATH_MAX + 1] = "";
	struct yg_err why = {0};
	yg_store_link(r->in->store, YG_STORE_ROLL, roll);
	if (!r->roll_lost || r->bundle >= 0 || !roll[0] || yg_store_whole(r->in->store, roll))
		return;
	for (size_t i = 0; i < r->lost_count && !*path; i++)
		if (!install_run_plan_is_here(r, r->lost[i]->sha256))
			(void)!yg_str_put(path, sizeof(path), "%s", r->lost[i]->path);
	if (yg_fs_remove(r->in->root, "li_roll", &why) < 0 ||
		yg_fs_sync_dir(r->in->root, ".", &why) < 0) {
		yg_log_err(YG_LOG_WARN, "store.roll", &why);
		return;
	}
	install_event(r->in, 20117, json_pack("{s:s, s:s}", "set", roll, "path", path));
	YG_LOGS(r->in->logs, YG_LOGS_IAU, YG_LOGS_ERR, "Repair",
		"The set before, %s, has lost '%s' for good: it cannot be gone back to", roll,
		path);
}

/* T14: a disk that is too small is told before anything is fetched. Ends the run when it is. */
static bool has_room(struct install_run *r)
{
	struct yg_err why = {0};
	uint64_t need = bytes_needed(r);
	if (need == 0 || yg_store_reserve(r->in->store, need, &why) == 0)
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
	return *r->aim && yg_run_at_relay(&r->run) && strcmp(r->aim, r->set->digest) != 0 &&
		strcmp(r->aim, r->newest) != 0 && strcmp(r->aim, lib) != 0 &&
		strcmp(r->aim, roll) != 0;
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
	r->root_next = why.code == YG_ESYSTEM ? r->root_last + 1 : r->root_next + 1;
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
		if (!install_run_known_root(r, r->root_next, path) &&
			!install_mirror_knows(r->in->mirror, path))
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
	install_run_helper_get(r, install_run_fetch_body(r, path, ROOT_MAX), r->transfer,
		root_fetched);
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

static struct yg_set *read_set(int fd, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_SET_SIZE_MAX);
	return yg_fs_read_fd(fd, &text, err) < 0 ? NULL : yg_set_parse(yg_buf_bytes(&text), err);
}

static int read_plan(struct install_run *r, const struct yg_ipc_msg *reply, struct yg_err *err)
{
	const char *digest = NULL;
	if (yg_json_str(reply->body, "set", YG_SHA256_TEXT - 1, &digest, err) < 0)
		return -1;
	if (reply->fd_count < 1 || reply->fd_count > 1 + INSTALL_RUN_ALSO)
		return yg_fail(err, YG_EFORMAT, "verify.refresh: want 1..%d descriptors, have %zu",
			1 + INSTALL_RUN_ALSO, reply->fd_count);
	struct yg_set *set YG_AUTO(yg_set) = read_set(reply->fds[0], err);
	if (!set)
		return -1;
	if (strcmp(set->digest, digest) != 0)
		return yg_fail(err, YG_EFORMAT, "verify.refresh: want set %s, have %s", digest,
			set->digest);
	yg_set_free(r->set);
	r->set = yg_take(set);
	for (size_t i = 0; i < INSTALL_RUN_ALSO; i++) {
		yg_set_free(yg_take(r->also[i]));
		if (i + 1 < reply->fd_count && !(r->also[i] = read_set(reply->fds[i + 1], err)))
			return -1;
	}
	if (r->relay)
		install_mirror_also(r->in->mirror, r->also);
	return install_run_known_answered(r, reply->body, err);
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

/* A relay that has nothing yet is behind, as one with an old set is. So is one whose metadata is older than what
 * this computer has seen elsewhere (T14: nothing older is ever believed): no attack, as long as it is a relay's.
 */
static bool is_behind(const struct install_run *r, struct yg_err *err)
{
	if (!yg_run_at_relay(&r->run))
		return false;
	if (strcmp(err->cause, "tuf.rollback") == 0) {
		struct yg_err older = *err;
		(void)yg_fail_cause(err, YG_EAGAIN, "update.relay_behind",
			"the relay has older content than this computer has seen: %s", older.msg);
		return *r->aim != 0;
	}
	return *r->aim &&
		(strcmp(err->cause, "http.busy") == 0 ||
			strcmp(err->cause, "http.maintenance") == 0);
}

static void planned(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct install_run *r = ctx;
	struct yg_err why = *err;
	enum yg_run_event event = YG_RUN_OK;
	if (why.code && is_behind(r, &why)) {
		install_run_not_yet(r, &why);
		return;
	}
	if (strcmp(why.cause, "tuf.expired") == 0 && !r->kept) {
		/* No reason to stop: what was trusted before can still heal what is damaged here. */
		r->expired = why;
		yg_timer_set(r->watchdog, PLAN_MS);
		install_run_known_refresh(r, true, planned);
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
	install_run_cache_collect(r);
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
	if (event == YG_RUN_NOT_YET) {
		(void)yg_fail_cause(&why, YG_EAGAIN, "update.relay_behind",
			"the relay has set %.12s, this update aims at %.12s", r->set->digest,
			r->aim);
		install_run_not_yet(r, &why);
		return;
	}
	install_run_step(r, event);
}

static void refresh(struct install_run *r)
{
	yg_timer_set(r->watchdog, PLAN_MS);
	install_run_known_refresh(r, false, planned);
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
