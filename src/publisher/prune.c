/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/prune.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "publisher/history.h"
#include "publisher/marks.h"

/* The order makes it harmless to be killed at any moment: first what is signed gets shorter, then files go that
 * neither the present metadata names nor any that was in force within the days of grace; metadata before
 * manifests before objects, so that nothing is left that names what is gone.
 */

struct sweep {
	const struct repo *repo;
	struct marks present, needed;
	int64_t since; /* younger files stay */
	bool dry;
	uint64_t freed, later; /* bytes: now, and after the days of grace */
	size_t files;
};

static void sweep_free_at(struct sweep *sweep)
{
	marks_free_at(&sweep->present);
	marks_free_at(&sweep->needed);
}

/* ---- what is signed ---- */

/* returns the number of releases that are, or would be, signed no more; or -1 */
static int trim(const struct command *command, struct repo *repo, const char *component,
	struct yg_err *err)
{
	struct history *history YG_AUTO(history) = history_load(repo, component, err);
	if (!history)
		return -1;
	if (history->newest_lost)
		return yg_fail(err, YG_EABSENT,
			"%s: the newest release cannot be read: release or withdraw first",
			component);
	if (history->count == 0)
		return 0;
	size_t removed = history_trim(history, (size_t)command->keep) + history->lost_count;
	if (removed > 0 && !command->dry_run && history_stage(history, repo, err) < 0)
		return -1;
	return (int)removed;
}

static int trim_all(const struct command *command, struct repo *repo, int64_t *releases,
	struct yg_err *err)
{
	const char *component;
	for (size_t i = 0; (component = yg_component_name(i)); i++) {
		int removed = trim(command, repo, component, err);
		if (removed < 0)
			return -1;
		*releases += removed;
	}
	return *releases > 0 && !command->dry_run ? repo_publish(repo, true, err) : 0;
}

/* ---- files ---- */

static int visit(void *ctx, const char *path, uint64_t size, int64_t mtime, struct yg_err *err)
{
	struct sweep *sweep = ctx;
	if (marks_has(&sweep->present, path))
		return 0;
	if (marks_has(&sweep->needed, path) || mtime > sweep->since) {
		sweep->later += size;
		return 0;
	}
	sweep->freed += size;
	sweep->files++;
	return sweep->dry ? 0 : yg_fs_remove(sweep->repo->dir, path, err);
}

int prune_run(const struct command *command, json_t **out, struct yg_err *err)
{
	struct keys keys YG_AUTO(keys) = {.dir = -1};
	struct repo repo YG_AUTO(repo) = {.dir = -1, .lock = -1};
	int64_t releases = 0;
	if (command_open(command, &repo, &keys, err) < 0 ||
		trim_all(command, &repo, &releases, err) < 0)
		return -1;
	struct sweep sweep YG_AUTO(sweep) = {.repo = &repo,
		.since = command->now - command->grace * REPO_DAY,
		.dry = command->dry_run};
	if (marks_collect(&sweep.present, &repo, MARKS_PRESENT, err) < 0 ||
		marks_collect(&sweep.needed, &repo, sweep.since, err) < 0 ||
		marks_walk(repo.dir, visit, &sweep, err) < 0)
		return -1;
	*out = json_pack("{s:s, s:b, s:I, s:I, s:I, s:I}", "repository", command->repo, "dry_run",
		(int)command->dry_run, "releases", (json_int_t)releases, "files",
		(json_int_t)sweep.files, "freed_bytes", (json_int_t)sweep.freed, "later_bytes",
		(json_int_t)sweep.later);
	return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}
