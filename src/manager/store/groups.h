/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/err.h"
#include "core/json.h"

/* Relay groups: a tree. A relay belongs to a group and takes from the relays of the group above; an agent takes
 * from the relays of its group. A group without a relay is served by the nearest one above that has some; when
 * there is none up to the top, by the update source.
 */

struct store;

#define GROUPS_DEPTH_MAX 8

enum groups_decided { GROUPS_OWN, GROUPS_ON, GROUPS_OFF };

/* Where a computer stands. */
struct groups_place {
	char group[40];   /* id of its own */
	char name[208];   /* of its own */
	char parent[40];  /* id; "" at the top */
	char serving[40]; /* id of the group whose relays an agent of it asks; "" for none */
	enum groups_decided
		decided; /* whether it is a relay: by the Manager, or its own configuration */
};

/* The group, or the nearest one above it, that has a relay; "" when there is none up to the top, or no group. */
int groups_serving(struct store *store, const char *group, char out[40], struct yg_err *err)
	YG_MUST_CHECK;

/* errors  YG_EABSENT no such computer */
int groups_place(struct store *store, const char *computer, struct groups_place *out,
	struct yg_err *err) YG_MUST_CHECK;

/* Relays of a group that are on: [{id, urls}], at most so many and so long that a heartbeat holds them. Of more
 * than that each computer gets others.
 * in      group     id; "" for no relays, NULL for those of all groups
 *         computer  who asks
 */
int groups_relays(struct store *store, const char *group, const char *computer, json_t **out,
	struct yg_err *err) YG_MUST_CHECK;

/* Whether there is such a group, and its name. errors  YG_EABSENT */
int groups_find(struct store *store, const char *id, char out[40], char name[208],
	struct yg_err *err) YG_MUST_CHECK;

/* The group that computers join when nobody says another. */
int groups_default(struct store *store, char id[40], struct yg_err *err) YG_MUST_CHECK;

/* Addresses of a relay from its row: what a person has set, else what it says of itself, best first.
 * in      fixed, hello  JSON texts or NULL;  seen  the address it comes from, or ""
 */
json_t *groups_urls(const char *fixed, const char *hello, const char *seen, int64_t port);

/* By the clock: groups that have computers and no relay become an alert, and stop being one. */
int groups_tick(struct store *store, struct yg_err *err) YG_MUST_CHECK;
/* With it: groups without a relay, [id, name, empty_since, computers]. A test looks at its plan. */
extern const char groups_lacking_sql[];
