/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stdlib.h>
#include <string.h>

#include "content/rollout.h"
#include "content/set_impl.h"
#include "core/attr.h"
#include "core/str.h"

/* Which release of each component somebody gets. */

#define TARGET_MAX 160 /* bytes of "am/am-pattern@41.json" */

struct collection {
	struct yg_tuf *tuf;
	const struct yg_set_want *want;
	struct yg_set *set;
	struct yg_set_notes *notes;
};

/* What becomes of one component. */
struct choice {
	const char *component, *role;
	struct yg_tuf_target newest;
	struct yg_rollout *rollout;
	struct yg_manifest *taken; /* NULL: none yet */
	bool unwanted;             /* of a family that is not asked for */
	bool chosen;               /* another one than the newest was asked for */
	struct yg_err why;         /* why not the newest; code 0: it waits for its wave */
};

static void choice_free_at(struct choice *choice)
{
	yg_rollout_free(choice->rollout);
	yg_manifest_free(choice->taken);
}

static int check_abi(const struct yg_manifest *manifest, int64_t clamav, struct yg_err *err)
{
	const struct yg_abi *abi = &manifest->abi;
	if (clamav == 0 || strcmp(abi->engine, "clamav") != 0 ||
		(clamav >= abi->min && clamav <= abi->max))
		return 0;
	return yg_fail_cause(err, YG_ELIMIT, "content.abi",
		"%s version %lld is for engines with content format level %lld..%lld, this one has %lld",
		manifest->component, (long long)manifest->version, (long long)abi->min,
		(long long)abi->max, (long long)clamav);
}

static struct yg_manifest *get(const struct collection *to, const char *component,
	const char *target, int64_t version, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_MANIFEST_SIZE_MAX);
	if (yg_tuf_get(to->tuf, target, &text, err) < 0)
		return NULL;
	struct yg_manifest *manifest YG_AUTO(
		yg_manifest) = yg_manifest_parse(yg_buf_bytes(&text), err);
	if (!manifest) {
		(void)yg_wrap(err, "manifest '%s'", target);
		return NULL;
	}
	if (strcmp(manifest->component, component) != 0) {
		(void)yg_fail_cause(err, YG_EFORMAT, "content.format",
			"manifest '%s': component: want '%s', have '%s'", target, component,
			manifest->component);
		return NULL;
	}
	if (version > 0 && manifest->version != version) {
		(void)yg_fail_cause(err, YG_EFORMAT, "content.format",
			"manifest '%s': version: want %lld, have %lld", target, (long long)version,
			(long long)manifest->version);
		return NULL;
	}
	return yg_take(manifest);
}

/* Failures that the publisher signed, or that lie with this engine: the same from every source. */
static bool is_for_good(const struct yg_err *why)
{
	static const char *const causes[] = {"content.abi", "content.format", "content.limit",
		"content.newer", "content.pin", "tuf.expired", "tuf.format", "tuf.signature",
		"tuf.threshold"};
	for (size_t i = 0; i < YG_COUNT(causes); i++)
		if (strcmp(causes[i], why->cause) == 0)
			return true;
	return false;
}

/* Keep the first reason; what another source may mend ends the collection. */
static int excuse(struct choice *choice, const struct yg_err *why, struct yg_err *err)
{
	if (!is_for_good(why)) {
		*err = *why;
		return -1;
	}
	if (!choice->why.code)
		choice->why = *why;
	return 0;
}

/* Try one release. returns 1 it is taken, or its family is not wanted; 0 it is not for us; -1 */
static int try(const struct collection *to, struct choice *choice, const char *target,
	int64_t version, struct yg_err *err)
{
	struct yg_err why = {0};
	struct yg_manifest *manifest YG_AUTO(
		yg_manifest) = get(to, choice->component, target, version, &why);
	if (manifest && !(to->want->families & 1u << manifest->family)) {
		choice->unwanted = true;
		return 1;
	}
	if (!manifest || check_abi(manifest, to->want->clamav, &why) < 0)
		return excuse(choice, &why, err);
	choice->taken = yg_take(manifest);
	return 1;
}

static int try_newest(const struct collection *to, struct choice *choice, struct yg_err *err)
{
	char target[TARGET_MAX];
	if (!yg_str_put(target, sizeof(target), "%s/%s.json", choice->role, choice->component))
		return yg_fail(err, YG_ELIMIT, "component '%s': name too long", choice->component);
	return try(to, choice, target, choice->rollout->version, err);
}

static int try_earlier(const struct collection *to, struct choice *choice, struct yg_err *err)
{
	for (size_t i = 0; i < choice->rollout->earlier_count; i++) {
		char target[TARGET_MAX];
		int64_t version = choice->rollout->earlier[i];
		if (!yg_str_put(target, sizeof(target), "%s/%s@%lld.json", choice->role,
			    choice->component, (long long)version))
			return yg_fail(err, YG_ELIMIT, "component '%s': name too long",
				choice->component);
		int got = try(to, choice, target, version, err);
		/* Listed and gone: the publisher's pruning was under way. */
		if (got < 0 && strcmp(err->cause, "tuf.not_delegated") == 0) {
			*err = (struct yg_err){0};
			continue;
		}
		if (got != 0)
			return got;
	}
	return 0;
}

static int try_newest_of(const struct collection *to, struct choice *choice, int64_t version,
	struct yg_err *err)
{
	if (choice->rollout->version == version)
		return try_newest(to, choice, err);
	char target[TARGET_MAX];
	bool listed = false;
	for (size_t i = 0; i < choice->rollout->earlier_count; i++)
		listed |= choice->rollout->earlier[i] == version;
	if (!listed)
		return 0;
	if (!yg_str_put(target, sizeof(target), "%s/%s@%lld.json", choice->role, choice->component,
		    (long long)version))
		return yg_fail(err, YG_ELIMIT, "component '%s': name too long", choice->component);
	int got = try(to, choice, target, version, err);
	if (got < 0 && strcmp(err->cause, "tuf.not_delegated") == 0) {
		*err = (struct yg_err){0};
		return 0;
	}
	return got;
}

/* No other release is a pinned one's stand-in: who pinned it had a reason. */
static int try_pinned(const struct collection *to, struct choice *choice, int64_t version,
	struct yg_err *err)
{
	struct yg_err why = {0};
	choice->chosen = true;
	int got = try_newest_of(to, choice, version, err);
	if (got != 0 || choice->why.code)
		return got;
	(void)yg_fail_cause(&why, YG_EABSENT, "content.pin",
		"%s is pinned to version %lld, which is not offered: the newest is %lld%s",
		choice->component, (long long)version, (long long)choice->rollout->version,
		choice->rollout->earlier_count ? ", and some before it are" : "");
	return excuse(choice, &why, err);
}

static int choose(const struct collection *to, struct choice *choice, struct yg_err *err)
{
	struct yg_err why = {0};
	choice->rollout = yg_rollout_parse(choice->newest.custom, &why);
	if (!choice->rollout) {
		(void)yg_wrap(&why, "target '%s/%s.json': custom", choice->role, choice->component);
		return excuse(choice, &why, err);
	}
	const json_t *pin = to->want->take == YG_TAKE_PINNED
		? json_object_get(to->want->pins, choice->component)
		: NULL;
	if (json_is_integer(pin))
		return try_pinned(to, choice, json_integer_value(pin), err) < 0 ? -1 : 0;
	bool previous = to->want->take == YG_TAKE_PREVIOUS;
	choice->chosen = previous;
	bool waits = !previous && !to->want->every &&
		yg_rollout_opens(choice->rollout, to->want->seat) > to->want->now;
	int got = waits || previous ? 0 : try_newest(to, choice, err);
	if (got == 0)
		got = try_earlier(to, choice, err);
	/* Somebody who has none does not wait. */
	if (got == 0 && (waits || previous))
		got = try_newest(to, choice, err);
	return got < 0 ? -1 : 0;
}

/* The manifest that somebody has, as the repository still offers it; NULL: it does not, or not now. */
static struct yg_manifest *find_again(const struct collection *to, const char *role,
	const struct yg_manifest *have)
{
	char target[TARGET_MAX];
	struct yg_tuf_target at;
	struct yg_err why = {0};
	for (int i = 0; i < 2; i++) {
		bool put = i == 0
			? yg_str_put(target, sizeof(target), "%s/%s.json", role, have->component)
			: yg_str_put(target, sizeof(target), "%s/%s@%lld.json", role,
				  have->component, (long long)have->version);
		if (put && yg_tuf_find(to->tuf, target, &at, &why) == 0 &&
			strcmp(at.sha256, have->sha256) == 0)
			return get(to, have->component, target, 0, &why);
	}
	return NULL;
}

/* What is run now stays: with the forms in which it is offered, or a copy of it, with the forms that it has (a
 * relay's have some).
 */
static struct yg_manifest *keep(const struct collection *to, const char *component,
	const char *role, struct yg_err *err)
{
	const struct yg_manifest *now = yg_set_component(to->want->have, component);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_SET_SIZE_MAX);
	struct yg_manifest *offered = now ? find_again(to, role, now) : NULL;
	if (offered || !now)
		return offered;
	if (yg_set_format(to->want->have, true, &text, err) < 0)
		return NULL;
	struct yg_set *again YG_AUTO(yg_set) = yg_set_parse(yg_buf_bytes(&text), err);
	for (size_t i = 0; again && i < again->count; i++) {
		if (strcmp(again->components[i]->component, component) == 0)
			return yg_take(again->components[i]);
	}
	return NULL;
}

static void note(const struct collection *to, const struct choice *choice)
{
	if (!to->notes || to->notes->count == YG_COUNT(to->notes->list))
		return;
	struct yg_set_note *at = &to->notes->list[to->notes->count++];
	*at = (struct yg_set_note){.why = choice->why,
		.newest = choice->rollout ? choice->rollout->version : 0,
		.taken = choice->taken ? choice->taken->version : 0};
	(void)!yg_str_put(at->component, sizeof(at->component), "%s", choice->component);
	if (!choice->why.code && !choice->chosen)
		at->opens = yg_rollout_opens(choice->rollout, to->want->seat);
}

static bool is_newest(const struct choice *choice)
{
	return choice->taken && !choice->why.code &&
		strcmp(choice->taken->sha256, choice->newest.sha256) == 0;
}

static int collect(const struct collection *to, struct choice *choice, struct yg_err *err)
{
	char target[TARGET_MAX];
	struct yg_err why = {0};
	if (!yg_str_put(target, sizeof(target), "%s/%s.json", choice->role, choice->component))
		return yg_fail(err, YG_ELIMIT, "component '%s': name too long", choice->component);
	if (yg_tuf_find(to->tuf, target, &choice->newest, &why) < 0) {
		if (strcmp(why.cause, "tuf.not_delegated") == 0)
			return 0; /* the repository has none */
		if (excuse(choice, &why, err) < 0)
			return -1;
	} else if (choose(to, choice, err) < 0) {
		return -1;
	}
	if (choice->unwanted)
		(void)yg_fail_cause(&choice->why, YG_EUNTRUSTED, "update.licence",
			"the licence for %s has expired", choice->component);
	if (is_newest(choice) || (choice->unwanted && !to->notes))
		return choice->taken ? set_put(to->set, yg_take(choice->taken), err) : 0;
	if (!choice->taken && !to->notes) {
		*err = choice->why;
		return -1;
	}
	if (!choice->taken && to->want->have)
		choice->taken = keep(to, choice->component, choice->role, err);
	if (err->code)
		return -1;
	/* What it may not have is what it has already. */
	bool same = choice->unwanted && choice->taken &&
		strcmp(choice->taken->sha256, choice->newest.sha256) == 0;
	if (!same)
		note(to, choice);
	return choice->taken ? set_put(to->set, yg_take(choice->taken), err) : 0;
}

struct yg_set *yg_set_collect(struct yg_tuf *tuf, const struct yg_set_want *want,
	struct yg_set_notes *notes, struct yg_err *err)
{
	struct yg_set *set YG_AUTO(yg_set) = set_empty(err);
	struct collection to = {tuf, want, set, notes};
	if (notes)
		notes->count = 0;
	if (!set)
		return NULL;
	*err = (struct yg_err){0};
	const char *component;
	for (size_t i = 0; (component = yg_component_name(i)); i++) {
		struct choice choice YG_AUTO(
			choice) = {.component = component, .role = yg_component_role(component)};
		if (collect(&to, &choice, err) < 0)
			return NULL;
	}
	/* Nothing at all is no protection. */
	for (size_t i = 0; notes && set->count == 0 && i < notes->count; i++) {
		if (notes->list[i].why.code) {
			*err = notes->list[i].why;
			return NULL;
		}
	}
	if (set_finish(set, err) < 0)
		return NULL;
	return yg_take(set);
}
