/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "tuf/search.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/str.h"
#include "tuf/meta.h"
#include "tuf/role.h"
#include "tuf/state.h"

/* The place of a role in tuf->roles, made when it is new; NULL: too many, or no memory. */
static struct tuf_role *place(struct yg_tuf *tuf, const char *name, struct yg_err *err)
{
	for (size_t i = 0; i < tuf->role_count; i++)
		if (strcmp(tuf->roles[i].name, name) == 0)
			return &tuf->roles[i];
	if (tuf->role_count == TUF_ROLES_MAX) {
		(void)yg_fail_cause(err, YG_ELIMIT, "tuf.size", "more than %u delegated roles",
			TUF_ROLES_MAX);
		return NULL;
	}
	if (tuf->role_count == tuf->role_cap) {
		size_t cap = tuf->role_cap ? 2 * tuf->role_cap : 16;
		struct tuf_role *grown = reallocarray(tuf->roles, cap, sizeof(*grown));
		if (!grown) {
			(void)yg_fail(err, YG_ESYSTEM, "out of memory");
			return NULL;
		}
		tuf->roles = grown;
		tuf->role_cap = cap;
	}
	struct tuf_role *role = &tuf->roles[tuf->role_count];
	*role = (struct tuf_role){0};
	bool fits = yg_str_put(role->name, sizeof(role->name), "%s", name);
	assert(fits); /* meta_shape.c saw to it */
	(void)fits;
	return role;
}

/* The metadata of a delegated role, once a run; borrowed from tuf. A role that several delegate is
 * checked again for each: who trusts it through one must not be given what only the other trusts.
 */
static const struct yg_meta *get_role(struct yg_tuf *tuf, const char *name,
	const struct yg_meta *by, struct yg_err *err)
{
	struct tuf_role *role = place(tuf, name, err);
	if (!role)
		return NULL;
	if (!role->meta) {
		role->meta = tuf_role_targets(tuf, name, by, err);
		if (!role->meta)
			return NULL;
		tuf->role_count++;
	} else if (role->by != by && yg_meta_verify(by, name, role->meta, err) < 0) {
		(void)yg_wrap(err, "role '%s'", name);
		return NULL;
	}
	role->by = by;
	return role->meta;
}

/* A role still to be looked at, and who delegated to it. */
struct visit {
	char role[YG_META_ROLE_MAX];
	const struct yg_meta *by;
};

/* Roles to look at, the next one last. */
struct search {
	struct visit *stack;
	size_t count, cap;
	json_t *seen; /* names of roles that were looked at */
};

static int push(struct search *search, const char *role, const struct yg_meta *by,
	struct yg_err *err)
{
	if (search->count == search->cap) {
		size_t cap = search->cap ? 2 * search->cap : 16;
		struct visit *grown = reallocarray(search->stack, cap, sizeof(*grown));
		if (!grown)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		search->stack = grown;
		search->cap = cap;
	}
	struct visit *visit = &search->stack[search->count++];
	memcpy(visit->role, role, sizeof(visit->role));
	visit->by = by;
	return 0;
}

/* Put the delegations for `path` (all, when NULL) on the stack so that the first is looked at next.
 * A terminating one for this path ends the search below all others.
 */
static int push_delegations(struct search *search, const struct yg_meta *meta, const char *path,
	struct yg_err *err)
{
	struct yg_meta_delegation at;
	size_t end = 0;
	bool terminated = false;
	if (!path && yg_meta_delegations(meta) > TUF_ROLES_MAX)
		return yg_fail_cause(err, YG_ELIMIT, "tuf.size",
			"want <= %u bins to list targets of, have %llu", TUF_ROLES_MAX,
			(unsigned long long)yg_meta_delegations(meta));
	while (!terminated && yg_meta_delegation(meta, end, path, &at)) {
		end++;
		terminated = path && at.covers && at.terminating;
	}
	if (terminated)
		search->count = 0;
	for (size_t i = end; i-- > 0;) {
		bool there = yg_meta_delegation(meta, i, path, &at);
		assert(there);
		if (path && !at.covers)
			continue;
		if (push(search, at.role, meta, err) < 0)
			return -1;
	}
	return 0;
}

static void search_free_at(struct search *search)
{
	free(search->stack);
	json_decref(search->seen);
}

/* One role off the stack. returns 1 found, 0 not here, -1 */
static int visit_next(struct yg_tuf *tuf, struct search *search, const char *path,
	tuf_search_look *look, void *ctx, struct yg_err *err)
{
	const unsigned max = path ? YG_TUF_DELEGATIONS_MAX : TUF_ROLES_MAX;
	const struct visit at = search->stack[--search->count];
	if (json_object_get(search->seen, at.role))
		return 0;
	if (json_object_size(search->seen) == max)
		return yg_fail_cause(err, YG_ELIMIT, "tuf.size",
			"want a target in at most %u roles, have more", max);
	if (json_object_set_new(search->seen, at.role, json_true()) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	const struct yg_meta *meta = get_role(tuf, at.role, at.by, err);
	if (!meta)
		return -1;
	int found = look(ctx, at.role, meta, err);
	if (found != 0)
		return found;
	return push_delegations(search, meta, path, err);
}

int tuf_search_roles(struct yg_tuf *tuf, const char *path, tuf_search_look *look, void *ctx,
	struct yg_err *err)
{
	struct search search YG_AUTO(search) = {.seen = json_object()};
	if (!search.seen)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	int found = look(ctx, "targets", tuf->targets, err);
	if (found == 0)
		found = push_delegations(&search, tuf->targets, path, err);
	while (found == 0 && search.count > 0)
		found = visit_next(tuf, &search, path, look, ctx, err);
	return found;
}
