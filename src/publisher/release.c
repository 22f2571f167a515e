/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/release.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "content/codec.h"
#include "content/manifest.h"
#include "content/sample.h"
#include "content/set.h"
#include "core/attr.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "crypto/hash.h"
#include "publisher/progress.h"

/* The EICAR test string is never stored, in whatever dress: engines make it at run time. */
#define EICAR_SHA256 "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f"

/* What an engine of a component reads. source  libclamav, CLI_DBEXT; docs/repository.md */
static const char clamav_ext[] =
	" cat cbc cdb cfg crb crtdb cud cvd cld db fp ftm gdb hdb hdu hsb hsu idb ign ign2 imp info ioc"
	" ldb ldu mdb mdu msb msu ndb ndu pdb pwdb rmd sdb sfp wdb yar yara zmd ";

static const struct {
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

enum source_kind { SOURCE_PLAIN, SOURCE_ZSTD, SOURCE_SAMPLE };

struct source {
	char *path; /* owned; where it lies, from the working directory */
	char *name; /* owned; its path in the component */
	enum source_kind kind;
	size_t folder; /* from which --from it is, for those that replace another; 0: named itself */
};

struct work {
	const struct command *command;
	struct repo repo;
	struct keys keys;
	size_t index; /* of kinds */
	struct source *sources;
	size_t count, cap;
	struct yg_manifest *manifest;
	int objects;              /* objects/, open */
	uint64_t plain, transfer; /* bytes, all files */
};

static void work_free_at(struct work *work)
{
	for (size_t i = 0; i < work->count; i++) {
		free(work->sources[i].path);
		free(work->sources[i].name);
	}
	free(work->sources);
	yg_manifest_free(work->manifest);
	fd_free_at(&work->objects);
	repo_close(&work->repo);
	keys_close(&work->keys);
}

/* ---- which files ---- */

static int find_kind(const char *component, size_t *out, struct yg_err *err)
{
	for (size_t i = 0; i < YG_COUNT(kinds); i++) {
		if (strcmp(kinds[i].component, component) == 0) {
			*out = i;
			return 0;
		}
	}
	return yg_fail(err, YG_EFORMAT,
		"component: want am-pattern, am-yara, am-hash, wr-list, fw-list, ips-rules, im-rules or "
		"li-rules, have '%.64s'",
		component);
}

static bool extension_ok(const char *extensions, const char *name)
{
	char word[16];
	const char *dot = strrchr(name, '.');
	return dot && dot != name && !strchr(dot, ' ') &&
		yg_str_put(word, sizeof(word), " %s ", dot + 1) && strstr(extensions, word);
}

static int add_source(struct work *work, char *path, char *name, enum source_kind kind,
	size_t folder, struct yg_err *err)
{
	char *path_owned YG_AUTO(mem) = path, *name_owned YG_AUTO(mem) = name;
	if (!path || !name)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (!yg_str_path_ok(name, YG_FILE_PATH_MAX))
		return yg_fail(err, YG_EFORMAT,
			"'%.200s': want a name of A-Z a-z 0-9 . _ + @ = , - without a leading dot",
			path);
	if (work->count == YG_MANIFEST_FILES_MAX)
		return yg_fail(err, YG_ELIMIT, "want <= %u files, have more",
			YG_MANIFEST_FILES_MAX);
	if (work->count == work->cap) {
		size_t cap = work->cap ? 2 * work->cap : 32;
		struct source *grown = reallocarray(work->sources, cap, sizeof(*grown));
		if (!grown)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		work->sources = grown;
		work->cap = cap;
	}
	work->sources[work->count++] = (struct source){yg_take(path_owned), yg_take(name_owned),
		kind, folder};
	return 0;
}

/* Where the file's own name begins. */
static size_t base_at(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? (size_t)(slash - path) + 1 : 0;
}

static int add_content(struct work *work, const char *path, size_t folder, struct yg_err *err)
{
	const char *base = path + base_at(path);
	size_t len = strlen(base);
	bool zstd = len > 4 && strcmp(base + len - 4, ".zst") == 0;
	char *name = strndup(base, zstd ? len - 4 : len);
	if (name && !extension_ok(kinds[work->index].extensions, name)) {
		free(name);
		return yg_fail(err, YG_EFORMAT,
			"'%.200s': %s has no files of this kind; want one of:%s", path,
			kinds[work->index].component, kinds[work->index].extensions);
	}
	return add_source(work, strdup(path), name, zstd ? SOURCE_ZSTD : SOURCE_PLAIN, folder, err);
}

static int add_sample(struct work *work, const char *path, const char *kind, struct yg_err *err)
{
	return add_source(work, strdup(path),
		yg_str_format("samples/%s/%s", kind, path + base_at(path)), SOURCE_SAMPLE, 0, err);
}

static void dir_free_at(DIR **at)
{
	if (*at)
		(void)closedir(*at);
}

static int add_folder(struct work *work, const char *folder, size_t index, struct yg_err *err)
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
		if (add_content(work, path, index, err) < 0)
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
static int sort_sources(struct work *work, struct yg_err *err)
{
	size_t kept = 0;
	qsort(work->sources, work->count, sizeof(*work->sources), by_name);
	for (size_t i = 0; i < work->count; i++) {
		struct source *last = kept > 0 ? &work->sources[kept - 1] : NULL;
		struct source at = work->sources[i];
		if (!last || strcmp(last->name, at.name) != 0) {
			work->sources[i] = work->sources[kept];
			work->sources[kept++] = at;
			continue;
		}
		if (last->folder == at.folder || last->folder == 0)
			return yg_fail(err, YG_EFORMAT, "'%.100s' and '%.100s' have one name, '%s'",
				last->path, at.path, at.name);
		work->sources[i] = *last;
		*last = at;
	}
	for (size_t i = kept; i < work->count; i++) {
		free(work->sources[i].path);
		free(work->sources[i].name);
	}
	work->count = kept;
	return 0;
}

static int list_sources(struct work *work, struct yg_err *err)
{
	const struct command *command = work->command;
	for (size_t i = 0; i < command->from_count; i++) {
		if (add_folder(work, command->from[i], i + 1, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < command->add_count; i++) {
		if (add_content(work, command->add[i], 0, err) < 0)
			return -1;
	}
	if (work->count == 0)
		return yg_fail(err, YG_EFORMAT, "want files (--from, --add), have none");
	for (size_t i = 0; i < command->find_count; i++) {
		if (add_sample(work, command->find[i], "find", err) < 0)
			return -1;
	}
	for (size_t i = 0; i < command->pass_count; i++) {
		if (add_sample(work, command->pass[i], "pass", err) < 0)
			return -1;
	}
	return sort_sources(work, err);
}

/* ---- objects ---- */

static bool object_good(const struct work *work, const char *path, const struct yg_form *form)
{
	char have[YG_SHA256_TEXT];
	uint64_t size = 0;
	struct yg_err why = {0};
	int fd YG_AUTO(fd) = yg_fs_open(work->repo.dir, path, &why);
	return fd >= 0 && yg_codec_hash(fd, have, &size, &why) == 0 && size == form->size &&
		strcmp(have, form->sha256) == 0;
}

/* An object that lies there already is read before it is relied on: linking would leave a damaged one. */
static int keep_object(struct work *work, int fd, const struct yg_form *form, struct yg_err *err)
{
	char path[YG_OBJECT_PATH], folder[3] = {form->sha256[0], form->sha256[1], 0};
	yg_form_path(form, path);
	if (object_good(work, path, form))
		return 0;
	if (yg_fs_mkdirs(work->objects, folder, 0755, err) < 0 ||
		yg_fs_remove(work->repo.dir, path, err) < 0)
		return -1;
	return yg_fs_link_tmpfile(fd, work->repo.dir, path, 0444, err);
}

static int rewind_fd(int fd, struct yg_err *err)
{
	return lseek(fd, 0, SEEK_SET) < 0 ? yg_fail_sys(err, errno, "rewinding") : 0;
}

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

/* The bytes as they will lie with an engine: `fd` itself, or a nameless file with what it decodes to.
 * returns a descriptor at its start, or -1
 */
static int plain_of(struct work *work, const struct source *source, int fd, struct yg_err *err)
{
	int out YG_AUTO(fd) = yg_fs_tmpfile(work->objects, err);
	if (out < 0)
		return -1;
	if (source->kind == SOURCE_ZSTD) {
		if (yg_codec_unzstd(fd, out, YG_FILE_SIZE_MAX, err) < 0)
			return -1;
	} else if (contain(fd, out, err) < 0) {
		return -1;
	}
	if (rewind_fd(out, err) < 0)
		return -1;
	return yg_take_fd(out);
}

/* Store `in` compressed, or as it is where that is not larger. */
static int store(struct work *work, int in, struct yg_file *file, struct yg_err *err)
{
	int out YG_AUTO(fd) = yg_fs_tmpfile(work->objects, err);
	struct yg_form form = {0};
	if (out < 0 ||
		yg_codec_encode(in, out, YG_ENCODING_ZSTD, work->command->level, &form,
			file->sha256, &file->size, err) < 0)
		return -1;
	if (form.size >= file->size) {
		fd_free_at(&out);
		out = yg_fs_tmpfile(work->objects, err);
		if (out < 0 || rewind_fd(in, err) < 0 ||
			yg_codec_encode(in, out, YG_ENCODING_PLAIN, 0, &form, file->sha256,
				&file->size, err) < 0)
			return -1;
	}
	work->plain += file->size;
	work->transfer += form.size;
	if (yg_file_add_form(file, &form, err) < 0)
		return -1;
	return keep_object(work, out, &form, err);
}

static int add_file(struct work *work, const struct source *source, struct yg_err *err)
{
	struct stat at;
	int fd YG_AUTO(fd) = yg_fs_open(AT_FDCWD, source->path, err);
	if (fd < 0)
		return -1;
	if (source->kind != SOURCE_PLAIN) {
		int plain = plain_of(work, source, fd, err);
		if (plain < 0)
			return -1;
		fd_free_at(&fd);
		fd = plain;
	}
	if (fstat(fd, &at) < 0)
		return yg_fail_sys(err, errno, "fstat");
	char what[128];
	struct yg_file *file = &work->manifest->files[work->manifest->file_count];
	file->path = strdup(source->name);
	if (!file->path)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	work->manifest->file_count++;
	if (!yg_str_put(what, sizeof(what), "compressing %.100s", source->name))
		return yg_fail(err, YG_ELIMIT, "name too long");
	progress_begin(what, fd, (uint64_t)at.st_size);
	int bad = store(work, fd, file, err);
	progress_end();
	return bad;
}

/* ---- the manifest ---- */

static int add_trial(struct yg_manifest *manifest, const char *folder, char ***list, size_t *count,
	struct yg_err *err)
{
	*list = calloc(YG_MANIFEST_TRIAL_MAX, sizeof(**list));
	if (!*list)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (size_t i = 0; i < manifest->file_count; i++) {
		const char *path = manifest->files[i].path;
		if (strncmp(path, folder, strlen(folder)) != 0)
			continue;
		if (*count == YG_MANIFEST_TRIAL_MAX)
			return yg_fail(err, YG_ELIMIT, "want <= %u samples of a kind, have more",
				YG_MANIFEST_TRIAL_MAX);
		(*list)[*count] = strdup(path);
		if (!(*list)[*count])
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		++*count;
	}
	return 0;
}

/* The version of the present release, from its manifest; 0 when there is none. */
static int present_version(struct work *work, const char *target, int64_t *out, struct yg_err *err)
{
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = repo_client(&work->repo, 0, err);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_MANIFEST_SIZE_MAX);
	*out = 0;
	if (!tuf || yg_tuf_refresh(tuf, err) < 0)
		return -1;
	struct yg_err why = {0};
	if (yg_tuf_get(tuf, target, &text, &why) < 0) {
		if (why.code == YG_EABSENT && strcmp(why.cause, "tuf.not_delegated") == 0)
			return 0;
		*err = why;
		return -1;
	}
	struct yg_manifest *manifest YG_AUTO(
		yg_manifest) = yg_manifest_parse(yg_buf_bytes(&text), err);
	if (!manifest)
		return -1;
	*out = manifest->version;
	return 0;
}

static int make_manifest(struct work *work, const char *target, struct yg_err *err)
{
	const struct command *command = work->command;
	int64_t present = 0;
	struct yg_manifest *manifest = calloc(1, sizeof(*manifest));
	work->manifest = manifest;
	if (manifest)
		manifest->files = calloc(work->count, sizeof(*manifest->files));
	if (!manifest || !manifest->files)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (present_version(work, target, &present, err) < 0)
		return -1;
	manifest->version = command->version ? command->version : present + 1;
	if (manifest->version <= present)
		return yg_fail(err, YG_EFORMAT,
			"--version: want > %lld, which is published, have %lld", (long long)present,
			(long long)manifest->version);
	manifest->family = kinds[work->index].family;
	manifest->released = command->now;
	manifest->abi = (struct yg_abi){.min = command->abi_min, .max = command->abi_max};
	bool clamav = strcmp(yg_component_role(command->component), "am") == 0;
	if (!yg_str_put(manifest->component, sizeof(manifest->component), "%s",
		    command->component) ||
		!yg_str_put(manifest->abi.engine, sizeof(manifest->abi.engine), "%s",
			clamav ? "clamav" : "") ||
		!yg_str_put(manifest->description, sizeof(manifest->description), "%s",
			command->description ? command->description : ""))
		return yg_fail(err, YG_ELIMIT, "--description: want <= %u bytes",
			YG_DESCRIPTION_MAX);
	for (size_t i = 0; i < work->count; i++) {
		if (add_file(work, &work->sources[i], err) < 0)
			return yg_wrap(err, "'%s'", work->sources[i].path);
	}
	if (add_trial(manifest, "samples/find/", &manifest->find, &manifest->find_count, err) < 0)
		return -1;
	return add_trial(manifest, "samples/pass/", &manifest->pass, &manifest->pass_count, err);
}

/* Write the manifest under its hashed name and enter it in its role. */
static int publish(struct work *work, const char *role, const char *target, struct yg_err *err)
{
	char path[512];
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_MANIFEST_SIZE_MAX);
	if (yg_manifest_format(work->manifest, &text, err) < 0 ||
		yg_hash_text(yg_buf_bytes(&text), work->manifest->sha256, err) < 0)
		return -1;
	/* Nobody should get what their own parser refuses. */
	struct yg_manifest *again YG_AUTO(
		yg_manifest) = yg_manifest_parse(yg_buf_bytes(&text), err);
	if (!again)
		return yg_wrap(err, "new manifest");
	if (!yg_str_put(path, sizeof(path), "targets/%s", role) ||
		yg_fs_mkdirs(work->repo.dir, path, 0755, err) < 0)
		return -1;
	if (!yg_str_put(path, sizeof(path), "targets/%s/%s.%s.json", role, work->manifest->sha256,
		    work->manifest->component))
		return yg_fail(err, YG_ELIMIT, "path of the manifest: too long");
	if (yg_fs_replace(work->repo.dir, path, yg_buf_bytes(&text), 0644, err) < 0)
		return -1;
	struct yg_meta *meta YG_AUTO(yg_meta) = repo_role(&work->repo, role, err);
	if (!meta)
		return -1;
	if (json_object_set_new(json_object_get(meta->body, "targets"), target,
		    json_pack("{s:I, s:{s:s}}", "length", (json_int_t)text.len, "hashes", "sha256",
			    work->manifest->sha256)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (repo_stage(&work->repo, role, work->repo.targets, meta->body, meta->version + 1, err) <
		0)
		return -1;
	return repo_publish(&work->repo, true, err);
}

/* The digest of the whole set, as agents that take every component compute it. */
static int report(struct work *work, json_t **out, struct yg_err *err)
{
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = repo_client(&work->repo, work->command->now, err);
	struct yg_set *set YG_AUTO(yg_set) = tuf && yg_tuf_refresh(tuf, err) == 0
		? yg_set_collect(tuf,
			  &(struct yg_set_want){.families = YG_FAMILIES_ALL, .every = true}, NULL,
			  err)
		: NULL;
	if (!set)
		return yg_wrap(err, "published, but not as it should be");
	*out = json_pack("{s:s, s:I, s:I, s:I, s:I, s:s, s:s}", "component",
		work->manifest->component, "version", (json_int_t)work->manifest->version, "files",
		(json_int_t)work->manifest->file_count, "bytes", (json_int_t)work->plain,
		"transfer_bytes", (json_int_t)work->transfer, "manifest", work->manifest->sha256,
		"set", set->digest);
	return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

int release_run(const struct command *command, json_t **out, struct yg_err *err)
{
	struct work work YG_AUTO(work) = {.command = command,
		.repo = {.dir = -1, .lock = -1},
		.keys = {.dir = -1},
		.objects = -1};
	char target[128];
	if (find_kind(command->component, &work.index, err) < 0 || list_sources(&work, err) < 0 ||
		command_open(command, &work.repo, &work.keys, err) < 0)
		return -1;
	const char *role = yg_component_role(command->component);
	if (!yg_str_put(target, sizeof(target), "%s/%s.json", role, command->component))
		return yg_fail(err, YG_ELIMIT, "component: name too long");
	work.objects = yg_fs_open_dir(work.repo.dir, "objects", err);
	if (work.objects < 0 || make_manifest(&work, target, err) < 0 ||
		publish(&work, role, target, err) < 0)
		return -1;
	return report(&work, out, err);
}
