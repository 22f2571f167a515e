/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/install_run_impl.h"
#include "content/rollout.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"

/* What verify says of the repository besides the set: what is newest, what stays behind and why, how this computer's
 * clock is, and what of it somebody has to be told.
 */

#define NAME_BYTES   128
#define ROOT_MAX     (512u << 10) /* bytes */
#define ALARM        "component:"
#define LICENCE      "update.licence"
#define BEHIND_MAX_S 300 /* of a clock that is not worth an alarm */

/* ---- a relay's metadata ---- */

/* What verify found good without fetching it, the relay serves as well: from what is kept, which was just checked. */
static int note_kept(struct install_run *r, const char *path, const char *name, struct yg_err *err)
{
	char kept[INSTALL_RUN_PATH];
	if (install_mirror_noted(r->in->mirror, path))
		return 0;
	if (install_run_cache_path(r, name, kept, err) < 0)
		return -1;
	int fd YG_AUTO(fd) = yg_fs_open(r->in->root, kept, err);
	return fd < 0 ? -1 : install_mirror_note(r->in->mirror, path, fd, err);
}

static bool same_bytes(int root, const char *a, const char *b)
{
	struct yg_err why = {0};
	struct yg_buf one YG_AUTO(yg_buf) = YG_BUF(ROOT_MAX);
	struct yg_buf two YG_AUTO(yg_buf) = YG_BUF(ROOT_MAX);
	return yg_fs_read(root, a, &one, &why) == 0 && yg_fs_read(root, b, &two, &why) == 0 &&
		one.len == two.len && (one.len == 0 || memcmp(one.data, two.data, one.len) == 0);
}

/* A root that is kept was verified in this refresh: what the mirror has of it is put right by it. */
bool install_run_known_root(struct install_run *r, int64_t version, const char *path)
{
	char name[64], kept[INSTALL_RUN_PATH], served[INSTALL_RUN_PATH];
	struct stat st;
	struct yg_err why = {0};
	if (!yg_str_put(name, sizeof(name), "root@%lld.json", (long long)version) ||
		!yg_str_put(served, sizeof(served), "relay/%s", path) ||
		install_run_cache_path(r, name, kept, &why) < 0 ||
		fstatat(r->in->root, kept, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return false;
	return same_bytes(r->in->root, kept, served) || note_kept(r, path, name, &why) == 0;
}

static int note_metadata(struct install_run *r, const json_t *reply, struct yg_err *err)
{
	json_t *list = NULL;
	if (!r->relay)
		return 0;
	if (yg_json_array(reply, "metadata", 64, &list, err) < 0)
		return yg_wrap(err, "verify.refresh");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);
		const char *path = NULL;
		const char *name = NULL;
		if (yg_json_str(item, "path", INSTALL_RUN_PATH - 1, &path, err) < 0 ||
			yg_json_str(item, "name", NAME_BYTES, &name, err) < 0 ||
			note_kept(r, path, name, err) < 0)
			return yg_wrap(err, "verify.refresh: metadata[%zu]", i);
	}
	return 0;
}

/* ---- verify.refresh ---- */

/* The description of what is in use, for components of which nothing good is to be had; -1. */
static int have_fd(struct install_run *r)
{
	char lib[YG_SHA256_TEXT];
	struct yg_err why = {0};
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_SET_SIZE_MAX);
	struct yg_set *set YG_AUTO(yg_set) = NULL;
	if (r->relay)
		return install_mirror_description(r->in->mirror);
	yg_store_link(r->in->store, YG_STORE_LIB, lib);
	set = lib[0] ? yg_store_set(r->in->store, lib, &why) : NULL;
	if (!set || yg_set_format(set, false, &text, &why) < 0)
		return -1;
	return yg_fs_memfd("set", yg_buf_bytes(&text), &why);
}

void install_run_known_refresh(struct install_run *r, bool kept, yg_ipc_done *done)
{
	json_t *families = json_object_get(r->body, "families");
	families = families ? json_incref(families) : json_pack("[s,s]", "pattern", "rule");
	int have YG_AUTO(fd) = have_fd(r);
	r->kept = kept;
	if (r->relay && r->in->mirror)
		install_mirror_forget(r->in->mirror);
	/* A relay serves agents with other engines than ours, and in other waves. */
	json_t *body = json_pack("{s:{s:I}, s:o, s:i, s:b, s:b, s:b}", "abi", "clamav",
		(json_int_t)(r->relay ? 0 : r->in->abi), "families", families, "seat",
		(int)install_seat(r->in), "every", r->relay || !r->scheduled, "kept", kept,
		"others", r->relay);
	const char *which = r->relay ? "serve" : "content";
	json_t *content = json_object_get(r->body, which);
	if (content)
		(void)json_object_set(body, which, content);
	yg_ipc_request(r->verify.ipc, "verify.refresh", body, &have, have < 0 ? 0 : 1, done, r);
}

/* One role that expired was forgotten by who publishes; all of them at once, those that live for years too, is
 * this computer's clock.
 */
static void judge_clock(struct install_run *r, int64_t all_expired)
{
	char was[YG_ERR_MSG_MAX];
	if (!r->expired.code || all_expired <= 0)
		return;
	memcpy(was, r->expired.msg, sizeof(was));
	(void)yg_fail_cause(&r->expired, YG_EUNTRUSTED, "clock.ahead",
		"everything that was signed has expired, the last of it %lld days ago: %s",
		(long long)(all_expired / 86400), was);
}

int install_run_known_answered(struct install_run *r, const json_t *reply, struct yg_err *err)
{
	const char *newest = NULL;
	json_t *notes = NULL;
	int64_t all_expired = 0;
	if (yg_json_str(reply, "newest", YG_SHA256_TEXT - 1, &newest, err) < 0 ||
		yg_json_int(reply, "behind", 0, INT64_MAX, &r->behind, err) < 0 ||
		yg_json_int(reply, "all_expired", 0, INT64_MAX, &all_expired, err) < 0 ||
		yg_json_array(reply, "notes", YG_SET_COMPONENTS_MAX, &notes, err) < 0)
		return yg_wrap(err, "verify.refresh");
	(void)!yg_str_put(r->newest, sizeof(r->newest), "%s", newest);
	json_decref(r->notes);
	r->notes = json_incref(notes);
	r->answered = true;
	if (r->kept)
		judge_clock(r, all_expired);
	else
		r->expired = (struct yg_err){0};
	return note_metadata(r, reply, err);
}

/* ---- the end of a run ---- */

static const char *text_of(const json_t *note, const char *name)
{
	const char *text = json_string_value(json_object_get(note, name));
	return text ? text : "";
}

/* A component that stays behind for another reason than its wave. */
static void tell_component(struct install_run *r, const json_t *note, struct yg_err *partial)
{
	char key[YG_COMPONENT_NAME_MAX + 16];
	const char *name = text_of(note, "component");
	const char *cause = text_of(note, "cause");
	json_int_t taken = json_integer_value(json_object_get(note, "taken"));
	bool exists = taken > 0 || json_integer_value(json_object_get(note, "newest")) > 0;
	if (!*cause || !exists || strcmp(cause, LICENCE) == 0 ||
		!yg_str_put(key, sizeof(key), ALARM "%.64s", name))
		return;
	install_alarm_begin(r->in, key, cause, text_of(note, "message"), 20115,
		json_pack("{s:s, s:I, s:s, s:s}", "component", name, "version", taken, "cause",
			cause, "detail", text_of(note, "message")));
	/* Neither an engine or an agent that is too old nor a pin is a fault of what was published. */
	bool own = strcmp(cause, "content.abi") == 0 || strcmp(cause, "content.newer") == 0 ||
		strcmp(cause, "content.pin") == 0;
	enum yg_code code = own ? YG_ELIMIT : YG_EUNTRUSTED;
	if (partial->code == YG_EUNTRUSTED || partial->code == code)
		return; /* the first of the worse kind is the one that is said */
	if (taken > 0)
		(void)yg_fail_cause(partial, code, "update.partial", "%s stays at version %lld: %s",
			name, (long long)taken, text_of(note, "message"));
	else
		(void)yg_fail_cause(partial, code, "update.partial", "%s is not used: %s", name,
			text_of(note, "message"));
}

static bool is_told(const struct install_run *r, const char *component)
{
	for (size_t i = 0; i < json_array_size(r->notes); i++) {
		const json_t *note = json_array_get(r->notes, i);
		const char *cause = text_of(note, "cause");
		if (strcmp(text_of(note, "component"), component) == 0 && *cause &&
			strcmp(cause, LICENCE) != 0)
			return true;
	}
	return false;
}

/* Alarms of components that are at their newest again, or gone from the repository. */
static void end_components(struct install_run *r)
{
	json_t *alarms YG_AUTO(yg_json) = install_alarm_status(r->in);
	for (size_t i = 0; i < json_array_size(alarms); i++) {
		const char *name = text_of(json_array_get(alarms, i), "name");
		if (strncmp(name, ALARM, strlen(ALARM)) == 0 && !is_told(r, name + strlen(ALARM)))
			install_alarm_end(r->in, name, 20116,
				json_pack("{s:s}", "component", name + strlen(ALARM)));
	}
}

/* U5: what the licence does not cover stays as it is; the run has done what it may. */
static void say_licence(struct install_run *r)
{
	for (size_t i = 0; i < json_array_size(r->notes) && !r->run.err.code; i++) {
		const json_t *note = json_array_get(r->notes, i);
		json_int_t taken = json_integer_value(json_object_get(note, "taken"));
		if (strcmp(text_of(note, "cause"), LICENCE) != 0)
			continue;
		if (taken > 0)
			(void)yg_fail_cause(&r->run.err, YG_EAGAIN, LICENCE,
				"%s stays at version %lld", text_of(note, "component"),
				(long long)taken);
		else
			(void)yg_fail_cause(&r->run.err, YG_EAGAIN, LICENCE, "%s is not used",
				text_of(note, "component"));
	}
}

/* What waits for its wave is no failure either, and said for whoever wonders why it is not newer. */
static void say_wave(struct install_run *r)
{
	for (size_t i = 0; i < json_array_size(r->notes) && !r->run.err.code; i++) {
		const json_t *note = json_array_get(r->notes, i);
		json_int_t opens = json_integer_value(json_object_get(note, "opens"));
		char when[YG_CLOCK_TEXT] = "";
		if (opens > 0 && opens != YG_ROLLOUT_NEVER)
			yg_clock_format(opens, when);
		if (opens > 0)
			(void)yg_fail_cause(&r->run.err, YG_EAGAIN, "update.wave",
				"%s version %lld: %s%s", text_of(note, "component"),
				(long long)json_integer_value(json_object_get(note, "newest")),
				*when ? "opens at " : "paused", when);
	}
}

static void tell_components(struct install_run *r)
{
	struct yg_err partial = {0};
	size_t i;
	json_t *note;
	json_array_foreach(r->notes, i, note) tell_component(r, note, &partial);
	end_components(r);
	if (!partial.code) {
		say_licence(r);
		say_wave(r);
		return;
	}
	/* That this engine is too old for the newest, or an old pin, is no fault of the run. */
	if (partial.code != YG_ELIMIT)
		r->run.outcome = YG_JOB_FAILED;
	r->run.err = partial;
}

void install_run_known_ended(struct install_run *r)
{
	if (!r->answered && !r->expired.code)
		return;
	if (r->expired.code) {
		if (r->run.outcome == YG_JOB_SUCCESS) { /* it healed what was damaged, no more */
			r->run.outcome = YG_JOB_FAILED;
			r->run.err = r->expired;
		}
		install_alarm_begin(r->in, "expired", r->expired.cause, r->expired.msg, 20111,
			json_pack("{s:s, s:s}", "cause", r->expired.cause, "detail",
				r->expired.msg));
	} else {
		install_alarm_end(r->in, "expired", 20112, json_object());
	}
	if (!r->answered)
		return;
	if (r->behind > BEHIND_MAX_S) {
		char text[96];
		(void)!yg_str_put(text, sizeof(text), "at least %lld seconds",
			(long long)r->behind);
		install_alarm_begin(r->in, "clock", "clock.behind", text, 20113,
			json_pack("{s:I}", "seconds", (json_int_t)r->behind));
	} else {
		install_alarm_end(r->in, "clock", 20114, json_object());
	}
	if (!r->relay && r->run.outcome == YG_JOB_SUCCESS && !r->expired.code)
		tell_components(r);
}
