/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "content/set.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/str.h"
#include "publisher/deep.h"
#include "publisher/show.h"

#define TEXT_MAX 512

static void verify_free_at(struct verify *verify)
{
	for (size_t i = 0; i < verify->release_count; i++)
		yg_manifest_free(verify->releases[i].manifest);
	free(verify->releases);
	yg_tuf_free(verify->tuf);
	json_decref(verify->problems);
	json_decref(verify->warnings);
	json_decref(verify->unreferenced);
	view_free_at(&verify->view);
}

/* ---- notes ---- */

YG_PRINTF(4, 0)
static int note(json_t *list, const char *kind, const char *file, const char *fmt, va_list ap,
	struct yg_err *err)
{
	char text[TEXT_MAX];
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	/* A text that was cut within a character is none for JSON. */
	json_t *item = json_pack("{s:s, s:s}", "file", file, kind, text);
	if (!item)
		item = json_pack("{s:s, s:s}", "file", file, kind, "(cannot be shown)");
	return json_array_append_new(list, item) < 0 ? yg_fail(err, YG_ESYSTEM, "out of memory")
						     : 0;
}

int verify_problem(struct verify *verify, const char *file, struct yg_err *err, const char *fmt,
	...)
{
	va_list ap;
	va_start(ap, fmt);
	int bad = note(verify->problems, "problem", file, fmt, ap, err);
	va_end(ap);
	return bad;
}

int verify_warning(struct verify *verify, const char *file, struct yg_err *err, const char *fmt,
	...)
{
	va_list ap;
	va_start(ap, fmt);
	int bad = note(verify->warnings, "warning", file, fmt, ap, err);
	va_end(ap);
	return bad;
}

/* ---- expiry ---- */

static int check_expiry(struct verify *verify, const char *role, struct yg_err *err)
{
	char at[YG_CLOCK_TEXT];
	int64_t expires = yg_tuf_expires(verify->tuf, role);
	const struct command *command = verify->command;
	if (expires == 0 || expires > command->now + command->warn * REPO_DAY)
		return 0;
	yg_clock_format(expires, at);
	return verify_warning(verify, role, err, "runs out at %s: resign it", at);
}

static int check_all_expiry(struct verify *verify, struct yg_err *err)
{
	for (const char *const *role =
			(const char *const[]){"root", "timestamp", "snapshot", "targets", NULL};
		*role; role++) {
		if (check_expiry(verify, *role, err) < 0)
			return -1;
	}
	for (const struct repo_class *at = repo_classes; at->role; at++) {
		if (check_expiry(verify, at->role, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- releases ---- */

/* A release that cannot be read is a problem, and the others are looked at all the same. */
static int read_release(struct verify *verify, const char *component, const char *target,
	int64_t version, struct verify_release release, struct yg_err *err)
{
	struct yg_err why = {0};
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_MANIFEST_SIZE_MAX);
	struct yg_manifest *manifest YG_AUTO(
		yg_manifest) = yg_tuf_get(verify->tuf, target, &text, &why) < 0
		? NULL
		: yg_manifest_parse(yg_buf_bytes(&text), &why);
	if (!manifest)
		return verify_problem(verify, target, err, "%s", why.msg);
	if (strcmp(manifest->component, component) != 0 ||
		(version > 0 && manifest->version != version))
		return verify_problem(verify, target, err,
			"want the manifest of %s version %lld, have %s version %lld", component,
			(long long)version, manifest->component, (long long)manifest->version);
	if (verify->release_count == verify->release_cap) {
		size_t cap = verify->release_cap ? 2 * verify->release_cap : 16;
		struct verify_release *grown = reallocarray(verify->releases, cap, sizeof(*grown));
		if (!grown)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		verify->releases = grown;
		verify->release_cap = cap;
	}
	release.manifest = yg_take(manifest);
	verify->releases[verify->release_count++] = release;
	return 0;
}

static int check_rollout(struct verify *verify, const char *target,
	const struct yg_rollout *rollout, struct yg_err *err)
{
	unsigned last = rollout->wave_count > 0 ? rollout->waves[rollout->wave_count - 1].percent
						: 100;
	if (last < 100 &&
		verify_warning(verify, target, err,
			"its waves end at %u%%: the other computers do not get version %lld", last,
			(long long)rollout->version) < 0)
		return -1;
	for (size_t i = 0; i < rollout->withdrawn_count; i++) {
		int64_t version = rollout->withdrawn[i].version;
		bool listed = version == rollout->version;
		for (size_t k = 0; k < rollout->earlier_count; k++)
			listed = listed || rollout->earlier[k] == version;
		if (listed &&
			verify_problem(verify, target, err,
				"version %lld is withdrawn and offered at once",
				(long long)version) < 0)
			return -1;
	}
	return 0;
}

/* Is this earlier release among what a bundle's computers have? */
static bool is_base(const struct verify *verify, const char *component, int64_t version)
{
	json_t *list = json_object_get(yg_bundle_info(verify->view.bundle), "components");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i), *from = json_object_get(item, "from");
		if (strcmp(json_string_value(json_object_get(item, "name")), component) != 0)
			continue;
		for (size_t k = 0; k < json_array_size(from); k++) {
			if (json_integer_value(json_array_get(from, k)) == version)
				return true;
		}
	}
	return false;
}

static int read_earlier(struct verify *verify, const char *component,
	const struct yg_rollout *rollout, struct yg_err *err)
{
	bool bundle = verify->view.bundle != NULL;
	for (size_t i = 0; i < rollout->earlier_count; i++) {
		char target[160];
		int64_t version = rollout->earlier[i];
		if (bundle ? !is_base(verify, component, version) : !verify->command->deep)
			continue;
		if (!yg_str_put(target, sizeof(target), "%s/%s@%lld.json",
			    yg_component_role(component), component, (long long)version))
			return yg_fail(err, YG_ELIMIT, "component: name too long");
		if (read_release(verify, component, target, version,
			    (struct verify_release){.base_only = bundle}, err) < 0)
			return -1;
	}
	return 0;
}

static int check_component(struct verify *verify, const char *component, struct yg_err *err)
{
	char target[160];
	struct yg_tuf_target newest;
	struct yg_err why = {0};
	if (!yg_str_put(target, sizeof(target), "%s/%s.json", yg_component_role(component),
		    component))
		return yg_fail(err, YG_ELIMIT, "component: name too long");
	if (yg_tuf_find(verify->tuf, target, &newest, &why) < 0) {
		if (strcmp(why.cause, "tuf.not_delegated") == 0)
			return 0; /* there is none */
		return verify_problem(verify, target, err, "%s", why.msg);
	}
	struct yg_rollout *rollout YG_AUTO(yg_rollout) = yg_rollout_parse(newest.custom, &why);
	if (!rollout)
		return verify_problem(verify, target, err, "custom: %s", why.msg);
	if (read_release(verify, component, target, rollout->version,
		    (struct verify_release){.newest = true}, err) < 0 ||
		check_rollout(verify, target, rollout, err) < 0)
		return -1;
	return read_earlier(verify, component, rollout, err);
}

/* ---- whole ---- */

static int open_all(struct verify *verify, struct yg_err *err)
{
	const struct command *command = verify->command;
	verify->problems = json_array();
	verify->warnings = json_array();
	verify->unreferenced = json_array();
	if (!verify->problems || !verify->warnings || !verify->unreferenced)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (view_open(&verify->view, command->repo, err) < 0)
		return -1;
	verify->tuf = view_client(&verify->view, command->root, command->now, err);
	return verify->tuf ? 0 : -1;
}

static int check_all(struct verify *verify, struct yg_err *err)
{
	bool bundle = verify->view.bundle != NULL, deep = verify->command->deep;
	const char *component;
	for (size_t i = 0; (component = yg_component_name(i)); i++) {
		if (check_component(verify, component, err) < 0)
			return -1;
	}
	if (check_all_expiry(verify, err) < 0 || deep_objects(verify, deep || bundle, err) < 0)
		return -1;
	if (bundle)
		return deep_complete(verify, err);
	return deep ? deep_loose(verify, err) : 0;
}

/* The set, for what is said; without one, why is among the problems. */
static int report(struct verify *verify, json_t **out, struct yg_err *err)
{
	struct yg_err why = {0};
	const struct yg_set_want want = {.families = YG_FAMILIES_ALL,
		.every = true,
		.now = verify->command->now};
	struct yg_set *set YG_AUTO(yg_set) = yg_set_collect(verify->tuf, &want, NULL, &why);
	if (!set && json_array_size(verify->problems) == 0 &&
		verify_problem(verify, "set", err, "%s", why.msg) < 0)
		return -1;
	if (show_describe(verify->tuf, set, verify->command->repo, out, err) < 0)
		return -1;
	if (json_object_set(*out, "problems", verify->problems) < 0 ||
		json_object_set(*out, "warnings", verify->warnings) < 0 ||
		json_object_set_new(*out, "objects", json_integer((json_int_t)verify->objects)) <
			0 ||
		json_object_set_new(*out, "deltas", json_integer((json_int_t)verify->deltas)) < 0 ||
		json_object_set_new(*out, "deltas_not_applied",
			json_integer((json_int_t)verify->unproved)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (verify->command->deep && !verify->view.bundle &&
		(json_object_set(*out, "unreferenced", verify->unreferenced) < 0 ||
			json_object_set_new(*out, "unreferenced_files",
				json_integer((json_int_t)verify->loose)) < 0 ||
			json_object_set_new(*out, "unreferenced_bytes",
				json_integer((json_int_t)verify->loose_bytes)) < 0))
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (verify->view.bundle) {
		char made[YG_CLOCK_TEXT];
		yg_clock_format(yg_bundle_made(verify->view.bundle), made);
		if (json_object_set_new(*out, "made", json_string(made)) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	return 0;
}

int verify_run(const struct command *command, json_t **out, struct yg_err *err)
{
	struct verify verify YG_AUTO(verify) = {.command = command, .view = VIEW_NONE};
	if (open_all(&verify, err) < 0 || check_all(&verify, err) < 0 ||
		report(&verify, out, err) < 0)
		return -1;
	size_t problems = json_array_size(verify.problems);
	if (problems == 0)
		return 0;
	const json_t *first = json_array_get(verify.problems, 0);
	return yg_fail(err, YG_EUNTRUSTED, "%zu problem%s; %s: %s", problems,
		problems == 1 ? "" : "s", json_string_value(json_object_get(first, "file")),
		json_string_value(json_object_get(first, "problem")));
}
