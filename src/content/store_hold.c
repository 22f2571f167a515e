/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/store_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"

#define HOLD     "state/hold.json"
#define HOLD_MAX 4096 /* bytes */

int store_hold_read(struct yg_store *store, struct yg_store_hold *out, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(HOLD_MAX);
	json_t *hold YG_AUTO(yg_json) = NULL;
	const char *set = NULL;
	const char *since = NULL;
	const char *reason = NULL;
	if (yg_fs_read(store->root, HOLD, &text, err) < 0 ||
		yg_json_parse(yg_buf_bytes(&text), HOLD_MAX, &hold, err) < 0 ||
		yg_json_str(hold, "set", 64, &set, err) < 0 ||
		yg_json_str(hold, "since", sizeof(out->since) - 1, &since, err) < 0 ||
		yg_json_str_or(hold, "reason", sizeof(out->reason) - 1, "rollback", &reason, err) <
			0)
		return -1;
	if (!store_disk_digest_ok(set))
		return yg_fail(err, YG_EFORMAT, "'" HOLD "': set: not a digest");
	STORE_PUT(out->set, sizeof(out->set), "%s", set);
	STORE_PUT(out->since, sizeof(out->since), "%s", since);
	STORE_PUT(out->reason, sizeof(out->reason), "%s", reason);
	return 0;
}

void yg_store_hold(struct yg_store *store, struct yg_store_hold *out)
{
	struct yg_err why = {0};
	struct yg_store_hold hold = {0};
	if (store_hold_read(store, &hold, &why) < 0)
		hold = (struct yg_store_hold){0};
	*out = hold;
}

int yg_store_hold_set(struct yg_store *store, const char *digest, const char *reason,
	struct yg_err *err)
{
	char now[YG_CLOCK_TEXT];
	yg_clock_format(yg_clock_now_s(), now);
	json_t *hold YG_AUTO(yg_json) = json_pack("{s:s, s:s, s:s}", "set", digest, "since", now,
		"reason", reason);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(HOLD_MAX);
	if (!hold)
		return yg_fail_sys(err, ENOMEM, "holding a set");
	struct stat st;
	if (fstatat(store->root, HOLD, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
		store_disk_clear(store, HOLD, err) < 0)
		return yg_store_named(err);
	if (yg_json_dump(hold, &text, err) < 0 ||
		yg_fs_replace(store->root, HOLD, yg_buf_bytes(&text), 0644, err) < 0)
		return yg_store_named(err);
	return 0;
}

int yg_store_hold_clear(struct yg_store *store, struct yg_err *err)
{
	if (yg_fs_remove(store->root, HOLD, err) < 0 ||
		yg_fs_sync_dir(store->root, "state", err) < 0)
		return yg_store_named(err);
	return 0;
}
