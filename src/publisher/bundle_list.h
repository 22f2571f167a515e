/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "publisher/command.h"
#include "publisher/history.h"

/* Which files of a repository a bundle has: all metadata that is in force and all roots, the newest manifest of
 * every component and those of the releases that its computers have, and of the components asked for the
 * objects that those computers lack.
 */

struct bundle_choice {           /* one component */
	struct history *history; /* owned */
	bool wanted;             /* its objects too */
	int64_t from[HISTORY_EARLIER_MAX +
		2]; /* versions that computers have; none: it is there whole */
	size_t from_count;
};

struct bundle_entry {
	int rank; /* place in the publishing order */
	char *path;
	const struct yg_form *form; /* of an object; points into a manifest */
};

struct bundle_list {
	struct bundle_choice choices[32];
	size_t choice_count;
	struct bundle_entry *entries; /* owned; in publishing order, each path once */
	size_t count, cap, objects;
};

/* By --component, --from and --since. Free it in any case.
 * errors  YG_EFORMAT "--from: …"; YG_EABSENT a component or version that is not signed
 */
int bundle_list_make(struct bundle_list *list, const struct command *command,
	const struct repo *repo, struct yg_err *err) YG_MUST_CHECK;
void bundle_list_free_at(struct bundle_list *list);
