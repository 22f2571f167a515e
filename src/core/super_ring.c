/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/super_ring.h"

#include <string.h>

#include "core/fs.h"
#include "core/host.h"
#include "core/json.h"
#include "core/log.h"
#include "core/ring.h"
#include "core/str.h"
#include "core/super.h"

#define RINGS_MAX (4u << 20) /* bytes of all of them as JSON, with what the computer is like */

int super_ring_open(int folder, const char *role, int slot)
{
	char name[64];
	struct yg_err err = {0};
	int fd = -1;
	bool put = slot < 0 ? yg_str_put(name, sizeof(name), "%s" YG_RING_SUFFIX, role)
			    : yg_str_put(name, sizeof(name), "%s-%d" YG_RING_SUFFIX, role, slot);
	if (put)
		fd = yg_ring_file(folder, name, &err);
	if (fd < 0)
		yg_log_err(YG_LOG_WARN, "super.ring", &err);
	return fd;
}

void super_ring_last(int ring, const char *label)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_RING_BYTES);
	struct yg_err ignored = {0};
	if (ring < 0 || yg_ring_read(ring, &text, &ignored) < 0 || text.len == 0)
		return;
	const char *all = (const char *)text.data;
	const char *from = memrchr(all, '\n', text.len - 1);
	size_t skip = from ? (size_t)(from + 1 - all) : 0;
	yg_log(YG_LOG_NOTICE, "super.last", "%s said last: %.*s", label, (int)(text.len - 1 - skip),
		all + skip);
}

int yg_super_ring_folder(int dir, const char *path)
{
	struct yg_err err = {0};
	int folder YG_AUTO(fd) = -1;
	if (yg_fs_mkdirs(dir, path, 0700, &err) == 0)
		folder = yg_fs_open_dir(dir, path, &err);
	int ring YG_AUTO(fd) = folder < 0 ? -1
					  : yg_ring_file(folder, "parent" YG_RING_SUFFIX, &err);
	if (ring < 0 || yg_log_ring(ring, &err) < 0)
		yg_log(YG_LOG_WARN, "super.ring", "the last lines are not kept: '%s': %s", path,
			err.msg);
	return yg_take_fd(folder);
}

static void add(void *ctx, const char *name, struct yg_bytes text)
{
	(void)json_array_append_new(ctx,
		json_pack("{s:s,s:s%}", "name", name, "text", (const char *)text.ptr, text.len));
}

int super_ring_pack(int folder, struct yg_err *err)
{
	json_t *list = json_array();
	json_t *all YG_AUTO(
		yg_json) = json_pack("{s:o,s:o}", "rings", list, "host", yg_host_facts());
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(RINGS_MAX);
	if ((folder >= 0 && yg_ring_all(folder, add, list, err) < 0) ||
		yg_json_dump(all, &text, err) < 0)
		return -1;
	return yg_fs_memfd("rings", yg_buf_bytes(&text), err);
}
