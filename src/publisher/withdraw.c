/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/withdraw.h"

#include <string.h>

#include "core/json.h"
#include "core/str.h"
#include "publisher/history.h"

/* The newest may have a manifest that nobody can read any more: its number is known all the same. */
static int remove_release(struct history *history, int64_t version, struct yg_err *err)
{
	size_t index = 0;
	if (history->newest_lost && version == history->rollout->version)
		return history->count > 0
			? 0
			: yg_fail(err, YG_EFORMAT,
				  "%s: no earlier release is left: release a new version instead",
				  history->component);
	if (!history_find(history, version, &index))
		return yg_fail(err, YG_EABSENT, "%s: version %lld: not among the releases",
			history->component, (long long)version);
	if (history->newest_lost)
		return yg_fail(err, YG_EFORMAT,
			"%s: the newest release cannot be read: withdraw that one first, or release a new version",
			history->component);
	if (index == 0 && history->count == 1)
		return yg_fail(err, YG_EFORMAT,
			"%s: version %lld is the only release: release a new version instead",
			history->component, (long long)version);
	history_remove(history, index);
	/* Every computer may go back at once. */
	return index == 0 ? history_set_waves(history, NULL, 0, err) : 0;
}

int withdraw_run(const struct command *command, json_t **out, struct yg_err *err)
{
	struct keys keys YG_AUTO(keys) = {.dir = -1};
	struct repo repo YG_AUTO(repo) = {.dir = -1, .lock = -1};
	uint64_t version = 0;
	struct yg_err why = {0};
	if (yg_str_u64(command->operands[2], INT64_MAX, &version, &why) < 0 || version == 0)
		return yg_fail(err, YG_EFORMAT, "version: want a number, have '%.32s'",
			command->operands[2]);
	if (command_open(command, &repo, &keys, err) < 0)
		return -1;
	struct history *history YG_AUTO(history) = history_load(&repo, command->component, err);
	if (!history || remove_release(history, (int64_t)version, err) < 0 ||
		history_withdraw(history, (int64_t)version, command->reason, err) < 0 ||
		history_stage(history, &repo, err) < 0 || repo_publish(&repo, true, err) < 0)
		return -1;
	*out = json_pack("{s:s, s:I, s:s, s:I}", "component", command->component, "withdrawn",
		(json_int_t)version, "reason", command->reason, "version",
		(json_int_t)history->rollout->version);
	return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}
