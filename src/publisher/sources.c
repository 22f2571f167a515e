/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/sources.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "content/codec.h"
#include "content/sample.h"
#include "core/attr.h"
#include "core/fs.h"
#include "core/str.h"
#include "crypto/hash.h"

/* The EICAR test string is never stored, in whatever dress: engines make it at run time. */
#define EICAR_SHA256 "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f"

/* What an engine of a component reads. source  libclamav, CLI_DBEXT; docs/repository.md */
static const char clamav_ext[] =
	" cat cbc cdb cfg crb crtdb cud cvd cld db fp ftm gdb hdb hdu hsb hsu idb ign ign2 imp info ioc"
	" ldb ldu mdb mdu msb msu ndb ndu pdb pwdb rmd sdb sfp wdb yar yara zmd ";

static const struct sources_kind {
	const char *component, *extensions;
	enum yg_family family;
} kinds[] = {
	{"am-pattern", clamav_ext, YG_FAMILY_PATTERN},
	{"am-yara", " yar yara ", YG_FAMILY_PATTERN},
	{"am-hash", " fp hdb hdu hsb hsu mdb mdu msb msu sfp ", YG_FAMILY_PATTERN},
	{"wr-list", " csv json list txt ", YG_FAMILY_PATTERN},
	{"fw-list", " csv json list txt ", YG_FAMILY_RULE},
	{"ips-rules", " conf config list map rules txt yaml ", YG_FAMILY_RULE},
	{"im-rules", " conf json rules txt xml yaml ", YG_FAMILY_RULE},
	{"li-rules", " conf json rules txt xml yaml ", YG_FAMILY_RULE},
};

/* ---- which files ---- */

static const struct sources_kind *find_kind(const char *component)
{
	for (size_t i = 0; i < YG_COUNT(kinds); i++) {
		if (strcmp(kinds[i].component, component) == 0)
			return &kinds[i];
	}
	return NULL;
}

static int begin(struct sources *sources, const struct command *command, struct yg_err *err)
{
	sources->kind = find_kind(command->component);
	if (sources->kind)
		return 0;
	return yg_fail(err, YG_EFORMAT,
		"component: want am-pattern, am-yara, am-hash, wr-list, fw-list, ips-rules, im-rules or "
		"li-rules, have '%.64s'",
		command->component);
}

enum yg_family sources_family(const char *component)
{
	return find_kind(component)->family;
}

static bool extension_ok(const char *extensions, const char *name)
{
	char word[16];
	const char *dot = strrchr(name, '.');
	return dot && dot != name && !strchr(dot, ' ') &&
		yg_str_put(word, sizeof(word), " %s ", dot + 1) && strstr(extensions, word);
}

static int add_source(struct sources *sources, char *path, char *name, enum source_kind kind,
	size_t folder, struct yg_err *err)
{
	char *path_owned YG_AUTO(mem) = path, *name_owned YG_AUTO(mem) = name;
	if (!path || !name)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (!yg_str_path_ok(name, YG_FILE_PATH_MAX))
		return yg_fail(err, YG_EFORMAT,
			"'%.200s': want a name of A-Z a-z 0-9 . _ + @ = , - without a leading dot",
			path);
	if (sources->count == YG_MANIFEST_FILES_MAX)
		return yg_fail(err, YG_ELIMIT, "want <= %u files, have more",
			YG_MANIFEST_FILES_MAX);
	if (sources->count == sources->cap) {
		size_t cap = sources->cap ? 2 * sources->cap : 32;
		struct source *grown = reallocarray(sources->list, cap, sizeof(*grown));
		if (!grown)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		sources->list = grown;
		sources->cap = cap;
	}
	sources->list[sources->count++] = (struct source){yg_take(path_owned), yg_take(name_owned),
		kind, folder};
	return 0;
}

/* Where the file's own name begins. */
static size_t base_at(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? (size_t)(slash - path) + 1 : 0;
}

static int check_kind(const struct sources *sources, const char *path, const char *name,
	struct yg_err *err)
{
	const struct sources_kind *kind = sources->kind;
	if (extension_ok(kind->extensions, name))
		return 0;
	return yg_fail(err, YG_EFORMAT, "'%.200s': %s has no files of this kind; want one of:%s",
		path, kind->component, kind->extensions);
}

static int add_content(struct sources *sources, const char *path, size_t folder, struct yg_err *err)
{
	const char *base = path + base_at(path);
	size_t len = strlen(base);
	bool zstd = len > 4 && strcmp(base + len - 4, ".zst") == 0;
	char *name YG_AUTO(mem) = strndup(base, zstd ? len - 4 : len);
	if (name && check_kind(sources, path, name, err) < 0)
		return -1;
	return add_source(sources, strdup(path), yg_take(name), zstd ? SOURCE_ZSTD : SOURCE_PLAIN,
		folder, err);
}

static int add_sample(struct sources *sources, const char *path, const char *kind,
	struct yg_err *err)
{
	return add_source(sources, strdup(path),
		yg_str_format("samples/%s/%s", kind, path + base_at(path)), SOURCE_SAMPLE, 0, err);
}

static void dir_free_at(DIR **at)
{
	if (*at)
		(void)closedir(*at);
}

static int add_folder(struct sources *sources, const char *folder, size_t index, struct yg_err *err)
{
	DIR *dir YG_AUTO(dir) = opendir(folder);
	if (!dir)
		return yg_fail_sys(err, errno, "'%.200s'", folder);
	for (;;) {
		errno = 0;
		const struct dirent *at = readdir(dir);
		if (!at && errno != 0)
			return yg_fail_sys(err, errno, "'%.200s'", folder);
		if (!at)
			return 0;
		if (strcmp(at->d_name, ".") == 0 || strcmp(at->d_name, "..") == 0)
			continue;
		char *path YG_AUTO(mem) = yg_str_format("%s/%s", folder, at->d_name);
		if (!path)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		if (add_content(sources, path, index, err) < 0)
			return -1;
	}
}

static int by_name(const void *a, const void *b)
{
	const struct source *one = a, *two = b;
	int order = strcmp(one->name, two->name);
	return order != 0 ? order : (one->folder > two->folder) - (one->folder < two->folder);
}

/* Sorted, and of one name in several folders the last one's. Everything is moved by swapping, so that
 * each source is in the list exactly once, also when this fails.
 */
static int sort_sources(struct sources *sources, struct yg_err *err)
{
	size_t kept = 0;
	qsort(sources->list, sources->count, sizeof(*sources->list), by_name);
	for (size_t i = 0; i < sources->count; i++) {
		struct source *last = kept > 0 ? &sources->list[kept - 1] : NULL;
		struct source at = sources->list[i];
		if (!last || strcmp(last->name, at.name) != 0) {
			sources->list[i] = sources->list[kept];
			sources->list[kept++] = at;
			continue;
		}
		if (last->folder == at.folder || last->folder == 0)
			return yg_fail(err, YG_EFORMAT, "'%.100s' and '%.100s' have one name, '%s'",
				last->path, at.path, at.name);
		sources->list[i] = *last;
		*last = at;
	}
	for (size_t i = kept; i < sources->count; i++) {
		free(sources->list[i].path);
		free(sources->list[i].name);
	}
	sources->count = kept;
	return 0;
}

static int add_samples(struct sources *sources, const struct command *command, struct yg_err *err)
{
	if (sources->count == 0)
		return yg_fail(err, YG_EFORMAT, "want files (--from, --add), have none");
	for (size_t i = 0; i < command->find_count; i++) {
		if (add_sample(sources, command->find[i], "find", err) < 0)
			return -1;
	}
	for (size_t i = 0; i < command->pass_count; i++) {
		if (add_sample(sources, command->pass[i], "pass", err) < 0)
			return -1;
	}
	return sort_sources(sources, err);
}

int sources_find(struct sources *sources, const struct command *command, struct yg_err *err)
{
	if (begin(sources, command, err) < 0)
		return -1;
	for (size_t i = 0; i < command->from_count; i++) {
		if (add_folder(sources, command->from[i], i + 1, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < command->add_count; i++) {
		if (add_content(sources, command->add[i], 0, err) < 0)
			return -1;
	}
	return add_samples(sources, command, err);
}

int sources_take(struct sources *sources, const struct command *command,
	const struct release_file *files, size_t count, struct yg_err *err)
{
	if (begin(sources, command, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (check_kind(sources, files[i].path, files[i].name, err) < 0 ||
			add_source(sources, strdup(files[i].path), strdup(files[i].name),
				SOURCE_PLAIN, 0, err) < 0)
			return -1;
	}
	return add_samples(sources, command, err);
}

void sources_free_at(struct sources *sources)
{
	for (size_t i = 0; i < sources->count; i++) {
		free(sources->list[i].path);
		free(sources->list[i].name);
	}
	free(sources->list);
}

/* ---- their bytes ---- */

/* Write a sample's container; one that comes as a container already is taken as it is. */
static int contain(int fd, int out, struct yg_err *err)
{
	struct yg_buf given YG_AUTO(yg_buf) = YG_BUF(YG_SAMPLE_SIZE_MAX + 8);
	struct yg_buf plain YG_AUTO(yg_buf) = YG_BUF(YG_SAMPLE_SIZE_MAX + 8);
	struct yg_buf stored YG_AUTO(yg_buf) = YG_BUF(YG_SAMPLE_SIZE_MAX + 8);
	struct yg_err why = {0};
	char hash[YG_HASH_TEXT];
	if (yg_fs_read_fd(fd, &given, err) < 0)
		return -1;
	if (yg_sample_decode(yg_buf_bytes(&given), &plain, &why) < 0 &&
		yg_buf_add(&plain, given.data, given.len, err) < 0)
		return -1;
	if (yg_hash_text(yg_buf_bytes(&plain), hash, err) < 0)
		return -1;
	if (strcmp(hash, EICAR_SHA256) == 0)
		return yg_fail(err, YG_EFORMAT,
			"the EICAR test file is never stored: engines try it without a sample");
	if (yg_sample_encode(yg_buf_bytes(&plain), &stored, err) < 0)
		return -1;
	return yg_fs_write_all(out, stored.data, stored.len, err);
}

int sources_open(const struct source *source, int dir, struct yg_err *err)
{
	int in YG_AUTO(fd) = yg_fs_open(AT_FDCWD, source->path, err);
	if (in < 0)
		return -1;
	if (source->kind == SOURCE_PLAIN)
		return yg_take_fd(in);
	int out YG_AUTO(fd) = yg_fs_tmpfile(dir, err);
	if (out < 0)
		return -1;
	int bad = source->kind == SOURCE_ZSTD ? yg_codec_unzstd(in, out, YG_FILE_SIZE_MAX, err)
					      : contain(in, out, err);
	if (bad < 0)
		return -1;
	if (lseek(out, 0, SEEK_SET) < 0)
		return yg_fail_sys(err, errno, "rewinding");
	return yg_take_fd(out);
}
