/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* `yagura diagnostic-package`: the Manager makes it; here it is kept, and what it holds is shown. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "archive/archive.h"
#include "archive/package.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/package.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"

static int want_contents(void *ctx, const char *path, int *out, struct yg_err *err)
{
	(void)err;
	*out = strcmp(path, "contents.json") == 0 ? *(int *)ctx : -1;
	return 0;
}

static int read_contents(int zip, json_t **out, struct yg_err *err)
{
	static const struct yg_archive_limits limits = {
		.entries = 4096,
		.file_bytes = YG_PACKAGE_FILE_BYTES,
		.bytes = 2ull * YG_PACKAGE_BYTES,
		.ratio = 2000,
	};
	int contents YG_AUTO(fd) = memfd_create("contents", MFD_CLOEXEC);
	if (contents < 0)
		return yg_fail_sys(err, errno, "reading the package");
	if (lseek(zip, 0, SEEK_SET) < 0)
		return yg_fail_sys(err, errno, "reading the package");
	if (yg_archive_unpack(zip, false, &limits, want_contents, &contents, err) < 0)
		return yg_wrap(err, "the Manager's answer");
	return yg_json_read(contents, YG_PACKAGE_FILE_BYTES, out, err);
}

static char *usual_name(void)
{
	char when[32] = "";
	struct tm tm;
	time_t now = (time_t)yg_clock_now_s();
	if (gmtime_r(&now, &tm))
		(void)strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
	return yg_str_format("yagura-manager-%s.zip", when);
}

int package_manager_make(struct cli *cli)
{
	const char *given = args_get(&cli->args, "--out");
	char *path YG_AUTO(mem) = given ? strdup(given) : usual_name();
	json_t *contents YG_AUTO(yg_json) = NULL;
	struct yg_buf zip YG_AUTO(yg_buf) = YG_BUF(API_ANSWER_MAX);
	struct yg_err err = {0};
	int out YG_AUTO(fd) = path
		? yg_fs_open_flags(AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL, 0600, &err)
		: -1;
	if (out < 0)
		return cli_fail(cli, &err);
	if (api_bytes(cli, "POST", "diagnostic-package", &zip, &err) < 0 ||
		yg_fs_write_all(out, zip.data, zip.len, &err) < 0 ||
		read_contents(out, &contents, &err) < 0) {
		(void)unlink(path);
		return cli_fail(cli, &err);
	}
	return package_done(cli, path, contents);
}
