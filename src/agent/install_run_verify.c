/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/install_run_impl.h"
#include "core/fs.h"
#include "core/str.h"

/* VERIFY: what was fetched becomes an object, or a reason to fetch something else. */

#define VERIFY_MS 900000

/* Whether the fault lies in the bytes. */
static bool is_content(const struct yg_err *why)
{
	return strncmp(why->cause, "content.", 8) == 0;
}

/* What can still be done about bytes that are wrong: what an earlier try left of them may have been; a delta is
 * not the only way; and what only the set before needs is not worth a failed run.
 */
static bool helps_itself(struct install_run *r, const struct yg_err *why)
{
	struct install_run_item *item = &r->items[r->at];
	if (r->had > 0 && !item->again) {
		YG_LOGS(r->in->logs, install_run_log(r), YG_LOGS_ERR, "Update",
			"'%s': %llu bytes of an earlier try were no use (%s): fetched from the start",
			item->file->path, (unsigned long long)r->had, why->msg);
		item->again = true;
		install_run_fetch_drop(r);
		return true;
	}
	return install_run_fetch_whole(r, why) || install_run_fetch_spare(r, why);
}

static void refuse(struct install_run *r, struct yg_err *why)
{
	if (is_content(why)) {
		if (helps_itself(r, why)) {
			install_run_step(r, YG_RUN_OK);
			return;
		}
		install_run_fetch_drop(r);
	}
	(void)yg_wrap(why, "'%s'", r->items[r->at].file->path);
	install_run_fail(r, why);
}

static void decoded(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	(void)reply;
	struct install_run *r = ctx;
	struct yg_err why = *err;
	const struct yg_file *file = r->items[r->at].file;
	int out YG_AUTO(fd) = yg_take_fd(r->plain);
	if (why.code == YG_EAGAIN && !why.cause[0])
		(void)yg_fail_cause(&why, YG_EAGAIN, "update.interrupted", "%s", err->msg);
	/* Out of room looks to verify like any other failed write. */
	if (why.code == YG_ESYSTEM && !why.cause[0])
		(void)!yg_str_put(why.cause, sizeof(why.cause), "%s",
			why.sys == ENOSPC || why.sys == EDQUOT ? "store.disk_full" : "store.io");
	if (!why.code)
		(void)!yg_store_object_add(r->in->store, out, file->sha256, file->size, &why);
	if (why.code)
		refuse(r, &why);
	else
		install_run_fetch_done(r);
}

/* The file that a delta changes: from the objects, or from a set that has it. */
static int open_base(struct install_run *r, const char *sha256, struct yg_err *err)
{
	static const enum yg_store_link links[] = {YG_STORE_LIB, YG_STORE_ROLL};
	char path[INSTALL_RUN_PATH];
	struct yg_err why = {0};
	(void)!yg_str_put(path, sizeof(path), "iaurepo/objects/%s", sha256);
	int fd = yg_fs_open(r->in->root, path, &why);
	for (size_t i = 0; i < YG_COUNT(links) && fd < 0; i++) {
		char digest[YG_SHA256_TEXT];
		yg_store_link(r->in->store, links[i], digest);
		struct yg_set *set YG_AUTO(
			yg_set) = digest[0] ? yg_store_set(r->in->store, digest, &why) : NULL;
		for (size_t j = 0; set && j < set->count && fd < 0; j++) {
			const struct yg_manifest *part = set->components[j];
			for (size_t k = 0; k < part->file_count && fd < 0; k++)
				if (strcmp(part->files[k].sha256, sha256) == 0)
					fd = yg_store_open_file(r->in->store, digest,
						part->component, part->files[k].path, &why);
		}
	}
	if (fd < 0)
		return yg_fail_cause(err, YG_EABSENT, "content.base",
			"the file %.12s is not here any more", sha256);
	return fd;
}

static int prepare(struct install_run *r, struct yg_err *err)
{
	if (r->plain >= 0)
		(void)close(yg_take_fd(r->plain));
	r->plain = yg_store_object_new(r->in->store, err);
	if (r->plain < 0 ||
		yg_store_allot(r->in->store, r->plain, r->items[r->at].file->size, err) < 0)
		return -1;
	if (lseek(r->transfer, 0, SEEK_SET) < 0)
		return yg_fail_cause(err, YG_ESYSTEM, "store.io", "seeking in a transfer: %s",
			strerror(errno));
	return 0;
}

static void add_to_mirror(struct install_run *r)
{
	struct yg_err err = {0};
	if (install_mirror_object_add(r->in->mirror, r->transfer, r->items[r->at].form, &err) < 0)
		refuse(r, &err);
	else
		install_run_fetch_done(r);
}

void install_run_verify(void *ctx)
{
	struct install_run *r = ctx;
	struct yg_err err = {0};
	const struct install_run_item *item = &r->items[r->at];
	if (r->relay) {
		add_to_mirror(r);
		return;
	}
	if (!r->verify.ipc) {
		(void)yg_fail_cause(&err, YG_EAGAIN, "update.interrupted",
			"the verify process ended unexpectedly");
		install_run_fail(r, &err);
		return;
	}
	if (prepare(r, &err) < 0) {
		install_run_fail_here(r, &err);
		return;
	}
	bool delta = item->form->encoding == YG_ENCODING_DELTA;
	int base YG_AUTO(fd) = delta ? open_base(r, item->form->from, &err) : -1;
	if (err.code) {
		refuse(r, &err);
		return;
	}
	const int fds[] = {r->transfer, r->plain, base};
	yg_timer_set(r->watchdog, VERIFY_MS);
	yg_ipc_request(r->verify.ipc, "verify.object",
		json_pack("{s:s, s:s, s:I, s:s, s:I}", "encoding",
			yg_encoding_name(item->form->encoding), "sha256", item->form->sha256,
			"size", (json_int_t)item->form->size, "plain_sha256", item->file->sha256,
			"plain_size", (json_int_t)item->file->size),
		fds, delta ? 3 : 2, decoded, r);
}
