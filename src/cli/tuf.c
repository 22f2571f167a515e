/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* yagura-tuf: a client of The Update Framework for the command line, over the same src/tuf that agents use.
 * It asks a repository for exactly what the workflow needs, and keeps what it trusts in a folder, byte for
 * byte. Its command line is the one of the public conformance tests of TUF clients.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "core/attr.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/str.h"
#include "net/client.h"
#include "net/url.h"
#include "proto/lang.h"
#include "tuf/meta.h"
#include "tuf/tuf.h"

#define EXIT_USAGE  2
#define TARGETS_MAX 1024          /* --target-name */
#define TARGET_MAX  (1024u << 20) /* bytes of one, which is held in memory until its hash is known */
#define URL_SIZE    (YG_URL_MAX + YG_TUF_URL_MAX)
#define NAME_SIZE   256 /* bytes of a file name, with the terminator */

struct tool {
	const char *metadata_dir, *metadata_url, *target_url, *target_dir;
	const char *targets[TARGETS_MAX];
	size_t target_count;
	const char *operand;
	enum yg_lang lang;
	bool help, version;

	int metadata_fd, target_fd;
	struct yg_url metadata, content;
	struct yg_client *client;
};

/* ---- the repository and the folder, as src/tuf asks for them ---- */

static int op_fetch(void *ctx, const char *path, size_t max, struct yg_buf *buf, struct yg_err *err)
{
	struct tool *tool = ctx;
	char url[URL_SIZE];
	bool target = strncmp(path, "targets/", strlen("targets/")) == 0;
	const struct yg_url *base = target ? &tool->content : &tool->metadata;
	if (!yg_str_put(url, sizeof(url), "%s/%s", base->base, strchr(path, '/') + 1))
		return yg_fail(err, YG_ELIMIT, "URL too long");
	const struct yg_client_request request = {.url = url, .max = max, .content = !target};
	struct yg_client_reply reply;
	return yg_client_text(tool->client, &request, buf, &reply, err);
}

/* The folder holds the newest root as "root.json"; earlier ones are not kept beside it, since trust begins
 * with that file. The floor is no metadata, and has no name that looks so. NULL: not kept.
 */
static const char *file_of(const char *name)
{
	if (strcmp(name, "floor.json") == 0)
		return "floor";
	return strncmp(name, "root@", strlen("root@")) == 0 ? NULL : name;
}

static int op_load(void *ctx, const char *name, struct yg_buf *buf, struct yg_err *err)
{
	const struct tool *tool = ctx;
	const char *file = file_of(name);
	if (!file)
		return yg_fail(err, YG_EABSENT, "'%s': not kept", name);
	return yg_fs_read(tool->metadata_fd, file, buf, err);
}

static int op_save(void *ctx, const char *name, struct yg_bytes bytes, struct yg_err *err)
{
	const struct tool *tool = ctx;
	const char *file = file_of(name);
	if (!file)
		return 0;
	if (bytes.len == 0)
		return yg_fs_remove(tool->metadata_fd, file, err);
	return yg_fs_replace(tool->metadata_fd, file, bytes, 0644, err);
}

static const struct yg_tuf_ops ops = {op_fetch, op_load, op_save};

/* ---- commands ---- */

static int open_metadata(struct tool *tool, struct yg_err *err)
{
	if (!tool->metadata_dir)
		return yg_fail(err, YG_EFORMAT, "want --metadata-dir");
	if (yg_fs_mkdirs(AT_FDCWD, tool->metadata_dir, 0755, err) < 0)
		return -1;
	tool->metadata_fd = yg_fs_open_dir(AT_FDCWD, tool->metadata_dir, err);
	if (tool->metadata_fd < 0)
		return -1;
	/* Two clients on one folder take turns. */
	if (flock(tool->metadata_fd, LOCK_EX) < 0)
		return yg_fail_sys(err, errno, "'%s': locking", tool->metadata_dir);
	return 0;
}

static int init(struct tool *tool, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	if (open_metadata(tool, err) < 0 || yg_fs_read(AT_FDCWD, tool->operand, &text, err) < 0)
		return -1;
	struct yg_meta *root YG_AUTO(
		yg_meta) = yg_meta_parse(YG_META_ROOT, yg_buf_bytes(&text), YG_TUF_ROOT_MAX, err);
	if (!root || yg_meta_verify(root, "root", root, err) < 0)
		return yg_wrap(err, "'%s'", tool->operand);
	return yg_fs_replace(tool->metadata_fd, "root.json", yg_buf_bytes(&text), 0644, err);
}

static struct yg_tuf *open_client(struct tool *tool, struct yg_err *err)
{
	if (open_metadata(tool, err) < 0)
		return NULL;
	if (!tool->metadata_url) {
		(void)yg_fail(err, YG_EFORMAT, "want --metadata-url");
		return NULL;
	}
	if (yg_url_parse(tool->metadata_url, &tool->metadata, err) < 0)
		return NULL;
	tool->client = yg_client_new(NULL, NULL, NULL, err);
	return tool->client ? yg_tuf_new(&ops, tool, yg_clock_now_s(), err) : NULL;
}

static int refresh(struct tool *tool, struct yg_err *err)
{
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = open_client(tool, err);
	return tuf ? yg_tuf_refresh(tuf, err) : -1;
}

/* The file for a target: its whole path as one name, so that nothing lands outside of the folder. */
static int name_of(const char *path, char out[NAME_SIZE], struct yg_err *err)
{
	char name[YG_META_URL_MAX];
	if (yg_meta_url(path, "", name) &&
		yg_str_put(out, NAME_SIZE, "%s%s", name[0] == '.' ? "%2E" : "",
			name + (name[0] == '.')))
		return 0;
	return yg_fail(err, YG_ELIMIT, "target '%.128s…': the name of its file would be too long",
		path);
}

static bool is_there(const struct tool *tool, const char *name, const struct yg_tuf_target *target)
{
	struct yg_err why = {0};
	struct yg_buf have YG_AUTO(yg_buf) = YG_BUF((size_t)target->length);
	return yg_fs_read(tool->target_fd, name, &have, &why) == 0 &&
		yg_tuf_target_check(target, yg_buf_bytes(&have), &why) == 0;
}

static int download_one(struct tool *tool, struct yg_tuf *tuf, const char *path, struct yg_err *err)
{
	char name[NAME_SIZE];
	struct yg_tuf_target target;
	struct yg_buf bytes YG_AUTO(yg_buf) = YG_BUF(TARGET_MAX);
	if (yg_tuf_find(tuf, path, &target, err) < 0 || name_of(path, name, err) < 0)
		return -1;
	if (is_there(tool, name, &target))
		return 0;
	if (yg_tuf_get(tuf, path, &bytes, err) < 0)
		return -1;
	return yg_fs_replace(tool->target_fd, name, yg_buf_bytes(&bytes), 0644, err);
}

static int download(struct tool *tool, struct yg_err *err)
{
	if (tool->target_count == 0 || !tool->target_url || !tool->target_dir)
		return yg_fail(err, YG_EFORMAT,
			"want --target-name, --target-base-url and --target-dir");
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = open_client(tool, err);
	if (!tuf || yg_url_parse(tool->target_url, &tool->content, err) < 0 ||
		yg_fs_mkdirs(AT_FDCWD, tool->target_dir, 0755, err) < 0)
		return -1;
	tool->target_fd = yg_fs_open_dir(AT_FDCWD, tool->target_dir, err);
	if (tool->target_fd < 0 || yg_tuf_refresh(tuf, err) < 0)
		return -1;
	for (size_t i = 0; i < tool->target_count; i++)
		if (download_one(tool, tuf, tool->targets[i], err) < 0)
			return -1;
	return 0;
}

/* ---- the command line ---- */

static const struct command {
	const char *name;
	bool operand;
	int (*run)(struct tool *tool, struct yg_err *err);
} commands[] = {{"init", true, init}, {"refresh", false, refresh}, {"download", false, download}};

static const char *const usages[] = {
	[YG_LANG_EN] =
		"usage: yagura-tuf --metadata-dir DIR init ROOT.json\n"
		"       yagura-tuf --metadata-dir DIR --metadata-url URL refresh\n"
		"       yagura-tuf --metadata-dir DIR --metadata-url URL --target-name PATH...\n"
		"                  --target-base-url URL --target-dir DIR download\n"
		"\n"
		"A client of The Update Framework, for any repository.\n"
		"\n"
		"  --metadata-dir DIR     where trusted metadata is kept\n"
		"  --metadata-url URL     where the repository's metadata lies\n"
		"  --target-name PATH     a target to download; may be repeated\n"
		"  --target-base-url URL  where its targets lie\n"
		"  --target-dir DIR       where they go\n"
		"  --lang en|ja           language; else from LC_ALL, LC_MESSAGES, LANG\n"
		"  --help, --version\n",
	[YG_LANG_JA] =
		"使用方法: yagura-tuf --metadata-dir DIR init ROOT.json\n"
		"          yagura-tuf --metadata-dir DIR --metadata-url URL refresh\n"
		"          yagura-tuf --metadata-dir DIR --metadata-url URL --target-name PATH...\n"
		"                     --target-base-url URL --target-dir DIR download\n"
		"\n"
		"The Update Frameworkのクライアント。任意のリポジトリに使用できます。\n"
		"\n"
		"  --metadata-dir DIR     信頼済みメタデータの保存先フォルダ\n"
		"  --metadata-url URL     リポジトリのメタデータのURL\n"
		"  --target-name PATH     ダウンロードするターゲット (複数指定可)\n"
		"  --target-base-url URL  ターゲットのURL\n"
		"  --target-dir DIR       ターゲットの保存先フォルダ\n"
		"  --lang en|ja           表示言語 (指定しない場合はLC_ALL、LC_MESSAGES、LANGに従う)\n"
		"  --help, --version\n",
};

/* Metadata is a stranger's text: no control characters of it reach a terminal, it stays one line, and a
 * character that was cut in half is none.
 */
static void complain(const char *command, const struct yg_err *err)
{
	char text[YG_ERR_MSG_MAX];
	size_t n = 0;
	bool utf8 = yg_str_utf8_ok(err->msg, strlen(err->msg));
	for (; err->msg[n] && n + 1 < sizeof(text); n++) {
		unsigned char byte = (unsigned char)err->msg[n];
		bool c1 = byte == 0xc2 && (unsigned char)err->msg[n + 1] < 0xa0;
		text[n] = iscntrl(byte) || c1 || (byte >= 0x80 && !utf8) ? '?' : err->msg[n];
		if (c1 && utf8)
			text[++n] = '?';
	}
	text[n] = 0;
	(void)fprintf(stderr, "yagura-tuf: %s: %s\n", command, text);
}

static const struct option options[] = {
	{"metadata-dir", required_argument, NULL, 'm'},
	{"metadata-url", required_argument, NULL, 'u'},
	{"target-name", required_argument, NULL, 'n'},
	{"target-base-url", required_argument, NULL, 'b'},
	{"target-dir", required_argument, NULL, 'd'},
	{"lang", required_argument, NULL, 'l'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'v'},
	{0},
};

/* False: say how it is used. */
static bool take_option(struct tool *tool, int option, const char *value)
{
	switch (option) {
	case 'm':
		tool->metadata_dir = value;
		return true;
	case 'u':
		tool->metadata_url = value;
		return true;
	case 'n':
		if (tool->target_count == TARGETS_MAX)
			return false;
		tool->targets[tool->target_count++] = value;
		return true;
	case 'b':
		tool->target_url = value;
		return true;
	case 'd':
		tool->target_dir = value;
		return true;
	case 'l':
		tool->lang = yg_lang_of(value);
		if (strcmp(value, yg_lang_name(tool->lang)) == 0)
			return true;
		(void)fprintf(stderr, "yagura-tuf: --lang: want en or ja, have '%s'\n", value);
		return false;
	case 'h':
		tool->help = true;
		return true;
	case 'v':
		tool->version = true;
		return true;
	default:
		return false;
	}
}

static bool take_options(struct tool *tool, int argc, char *argv[])
{
	for (;;) {
		int option = getopt_long(argc, argv, "", options, NULL);
		if (option == -1)
			return true;
		if (!take_option(tool, option, optarg))
			return false;
	}
}

static int run(struct tool *tool, int argc, char *const argv[])
{
	const struct command *command = NULL;
	for (size_t i = 0; i < YG_COUNT(commands); i++)
		if (argc > 0 && strcmp(commands[i].name, argv[0]) == 0)
			command = &commands[i];
	if (!command || argc != (command->operand ? 2 : 1)) {
		(void)fputs(usages[tool->lang], stderr);
		return EXIT_USAGE;
	}
	struct yg_err err = {0};
	tool->operand = argv[1];
	if (command->run(tool, &err) == 0)
		return EXIT_SUCCESS;
	complain(command->name, &err);
	return EXIT_FAILURE;
}

int main(int argc, char *argv[])
{
	static struct tool tool = {.metadata_fd = -1, .target_fd = -1};
	tool.lang = yg_lang_environment();
	if (!take_options(&tool, argc, argv)) {
		(void)fputs(usages[tool.lang], stderr);
		return EXIT_USAGE;
	}
	if (tool.help) {
		(void)fputs(usages[tool.lang], stdout);
		return EXIT_SUCCESS;
	}
	if (tool.version) {
		(void)printf("yagura-tuf %s\n", YG_VERSION);
		return EXIT_SUCCESS;
	}
	int status = run(&tool, argc - optind, argv + optind);
	yg_client_free(tool.client);
	return status;
}
