/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "content/manifest_json.h"
#include "core/attr.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/str.h"
#include "crypto/hash.h"

static const char *const families[] = {[YG_FAMILY_PATTERN] = "pattern", [YG_FAMILY_RULE] = "rule"};
static const char *const encodings[] =
	{[YG_ENCODING_PLAIN] = "plain", [YG_ENCODING_ZSTD] = "zstd", [YG_ENCODING_DELTA] = "delta"};

/* docs/repository.md, "Metadata" */
static const struct {
	const char *component, *role;
} roles[] = {
	{"am-pattern", "am"},
	{"am-yara", "am"},
	{"am-hash", "am"},
	{"wr-list", "wr"},
	{"fw-list", "fw"},
	{"ips-rules", "ips"},
	{"im-rules", "im"},
	{"li-rules", "li"},
};

const char *yg_family_name(enum yg_family family)
{
	return families[family];
}

const char *yg_encoding_name(enum yg_encoding encoding)
{
	return encodings[encoding];
}

int yg_encoding_parse(const char *name, enum yg_encoding *out, struct yg_err *err)
{
	for (size_t i = 0; i < YG_COUNT(encodings); i++) {
		if (strcmp(encodings[i], name) == 0) {
			*out = (enum yg_encoding)i;
			return 0;
		}
	}
	return yg_fail(err, YG_EFORMAT, "encoding: want 'plain', 'zstd' or 'delta', have '%.32s'",
		name);
}

const char *yg_component_role(const char *component)
{
	for (size_t i = 0; i < YG_COUNT(roles); i++) {
		if (strcmp(roles[i].component, component) == 0)
			return roles[i].role;
	}
	return NULL;
}

const char *yg_component_name(size_t index)
{
	return index < YG_COUNT(roles) ? roles[index].component : NULL;
}

/* ---- parsing ---- */

static int parse_name(const json_t *object, char out[YG_COMPONENT_NAME_MAX + 1], const char *member,
	struct yg_err *err)
{
	const char *name;
	if (yg_json_str(object, member, YG_COMPONENT_NAME_MAX, &name, err) < 0)
		return -1;
	if (!yg_str_name_ok(name, YG_COMPONENT_NAME_MAX, YG_STR_NAME_CHARS) ||
		!yg_str_put(out, YG_COMPONENT_NAME_MAX + 1, "%s", name))
		return yg_fail(err, YG_EFORMAT,
			"%s: want 1..%u of a-z 0-9 . _ - and no leading dot, have '%.64s'", member,
			YG_COMPONENT_NAME_MAX, name);
	return 0;
}

static int parse_family(const json_t *object, enum yg_family *out, struct yg_err *err)
{
	const char *name;
	if (yg_json_str(object, "family", 32, &name, err) < 0)
		return -1;
	for (size_t i = 0; i < YG_COUNT(families); i++) {
		if (strcmp(families[i], name) == 0) {
			*out = (enum yg_family)i;
			return 0;
		}
	}
	return yg_fail(err, YG_EFORMAT, "family: want 'pattern' or 'rule', have '%.32s'", name);
}

static int parse_digest(const json_t *object, const char *member, char out[YG_SHA256_TEXT],
	struct yg_err *err)
{
	const char *hex;
	uint8_t raw[YG_HASH_SIZE];
	if (yg_json_str(object, member, 1024, &hex, err) < 0 ||
		yg_str_unhex(member, hex, raw, sizeof(raw), err) < 0)
		return -1;
	memcpy(out, hex, YG_SHA256_TEXT);
	return 0;
}

static int parse_size(const json_t *object, uint64_t max, uint64_t *out, struct yg_err *err)
{
	int64_t size;
	if (yg_json_int(object, "size", 0, (int64_t)max, &size, err) < 0)
		return -1;
	*out = (uint64_t)size;
	return 0;
}

/* *known is false, and nothing is checked, for an encoding that came after us. */
static int parse_form(const json_t *object, const struct yg_file *file, struct yg_form *form,
	bool *known, struct yg_err *err)
{
	const char *encoding;
	struct yg_err why = {0};
	if (yg_json_str(object, "encoding", 32, &encoding, err) < 0)
		return -1;
	*known = yg_encoding_parse(encoding, &form->encoding, &why) == 0;
	if (!*known)
		return 0;
	if (parse_digest(object, "sha256", form->sha256, err) < 0 ||
		parse_size(object, YG_FILE_SIZE_MAX, &form->size, err) < 0)
		return -1;
	if (form->encoding == YG_ENCODING_DELTA &&
		parse_digest(object, "from", form->from, err) < 0)
		return -1;
	if (form->encoding == YG_ENCODING_PLAIN &&
		(form->size != file->size || strcmp(form->sha256, file->sha256) != 0))
		return yg_fail(err, YG_EFORMAT, "plain: want sha256 and size of the file itself");
	return 0;
}

static int parse_forms(const json_t *object, struct yg_file *file, struct yg_err *err)
{
	json_t *forms;
	if (yg_json_array(object, "forms", YG_MANIFEST_FORMS_MAX, &forms, err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(forms); i++) {
		bool known = false;
		struct yg_form form = {0};
		if (parse_form(json_array_get(forms, i), file, &form, &known, err) < 0)
			return yg_wrap(err, "forms: %zu", i + 1);
		if (known && yg_file_add_form(file, &form, err) < 0)
			return -1;
	}
	if (!yg_file_form(file))
		return yg_fail(err, YG_EFORMAT,
			"forms: want one that gives the whole file and that we can decode, have none");
	return 0;
}

static int parse_path(const json_t *value, char **out, struct yg_err *err)
{
	const char *path = json_string_value(value);
	if (!path)
		return yg_fail(err, YG_EFORMAT, "want a string, have %s", yg_json_kind(value));
	if (!yg_str_path_ok(path, YG_FILE_PATH_MAX))
		return yg_fail(err, YG_EFORMAT,
			"want a relative path of <= %u bytes of A-Z a-z 0-9 . _ + @ = , -, have '%.64s'",
			YG_FILE_PATH_MAX, path);
	*out = strdup(path);
	return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

static int parse_file(const json_t *object, unsigned what, struct yg_file *file, struct yg_err *err)
{
	if (!json_is_object(object))
		return yg_fail(err, YG_EFORMAT, "want an object, have %s", yg_json_kind(object));
	if (parse_path(json_object_get(object, "path"), &file->path, err) < 0)
		return yg_wrap(err, "path");
	if (parse_digest(object, "sha256", file->sha256, err) < 0 ||
		parse_size(object, YG_FILE_SIZE_MAX, &file->size, err) < 0)
		return yg_wrap(err, "'%s'", file->path);
	bool forms = (what & MANIFEST_FORMS) || json_object_get(object, "forms");
	if (forms && parse_forms(object, file, err) < 0)
		return yg_wrap(err, "'%s'", file->path);
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct yg_file *)a)->path, ((const struct yg_file *)b)->path);
}

/* In a folder a path cannot be a file and a folder: files are sorted, so "a" and "a/b" may have others
 * between them ("a.x"); every prefix is looked up. No path is deeper than what staging and removing go
 * down: a set that cannot be removed would stand in the way of every start.
 */
static int check_paths(const struct yg_manifest *manifest, struct yg_err *err)
{
	for (size_t i = 0; i < manifest->file_count; i++) {
		const char *path = manifest->files[i].path;
		if (i > 0 && strcmp(manifest->files[i - 1].path, path) == 0)
			return yg_fail(err, YG_EFORMAT, "files: '%s' is there twice", path);
		char folder[YG_FILE_PATH_MAX + 1];
		unsigned levels = 1;
		for (const char *at = strchr(path, '/'); at; at = strchr(at + 1, '/')) {
			if (++levels > YG_FILE_LEVELS_MAX)
				return yg_fail(err, YG_ELIMIT,
					"files: '%.64s': want at most %u levels, have more", path,
					YG_FILE_LEVELS_MAX);
			if (!yg_str_put(folder, sizeof(folder), "%.*s", (int)(at - path), path))
				return yg_fail(err, YG_ELIMIT, "files: '%.64s': too long", path);
			if (yg_manifest_file(manifest, folder))
				return yg_fail(err, YG_EFORMAT,
					"files: '%s' is a file and a folder", folder);
		}
	}
	return 0;
}

static int parse_files(const json_t *object, unsigned what, struct yg_manifest *manifest,
	struct yg_err *err)
{
	json_t *files;
	if (yg_json_array(object, "files", YG_MANIFEST_FILES_MAX, &files, err) < 0)
		return -1;
	manifest->files = calloc(json_array_size(files) + 1, sizeof(*manifest->files));
	if (!manifest->files)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (size_t i = 0; i < json_array_size(files); i++) {
		manifest->file_count = i + 1;
		if (parse_file(json_array_get(files, i), what, &manifest->files[i], err) < 0)
			return yg_wrap(err, "files: %zu", i + 1);
	}
	qsort(manifest->files, manifest->file_count, sizeof(*manifest->files), by_path);
	return check_paths(manifest, err);
}

static int parse_samples(const json_t *trial, const char *member,
	const struct yg_manifest *manifest, char ***out, size_t *count, struct yg_err *err)
{
	json_t *list;
	if (!json_object_get(trial, member))
		return 0;
	if (yg_json_array(trial, member, YG_MANIFEST_TRIAL_MAX, &list, err) < 0)
		return -1;
	*out = calloc(json_array_size(list) + 1, sizeof(**out));
	if (!*out)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (parse_path(json_array_get(list, i), &(*out)[i], err) < 0)
			return yg_wrap(err, "%s: %zu", member, i + 1);
		*count = i + 1;
		if (!yg_manifest_file(manifest, (*out)[i]))
			return yg_fail(err, YG_EFORMAT, "%s: '%s' is not among the files", member,
				(*out)[i]);
	}
	return 0;
}

static int parse_trial(const json_t *object, struct yg_manifest *manifest, struct yg_err *err)
{
	json_t *trial;
	if (!json_object_get(object, "trial"))
		return 0;
	if (yg_json_object(object, "trial", &trial, err) < 0)
		return -1;
	if (parse_samples(trial, "find", manifest, &manifest->find, &manifest->find_count, err) <
			0 ||
		parse_samples(trial, "pass", manifest, &manifest->pass, &manifest->pass_count,
			err) < 0)
		return yg_wrap(err, "trial");
	return 0;
}

static int parse_abi(const json_t *object, struct yg_abi *abi, struct yg_err *err)
{
	const char *engine;
	json_t *at;
	*abi = (struct yg_abi){.max = INT64_MAX};
	if (!json_object_get(object, "abi"))
		return 0;
	if (yg_json_object(object, "abi", &at, err) < 0)
		return -1;
	if (yg_json_str(at, "engine", sizeof(abi->engine) - 1, &engine, err) < 0 ||
		yg_json_int(at, "min", 0, INT64_MAX, &abi->min, err) < 0 ||
		yg_json_int(at, "max", abi->min, INT64_MAX, &abi->max, err) < 0)
		return yg_wrap(err, "abi");
	if ((*engine && !yg_str_name_ok(engine, sizeof(abi->engine) - 1, YG_STR_NAME_CHARS)) ||
		!yg_str_put(abi->engine, sizeof(abi->engine), "%s", engine))
		return yg_fail(err, YG_EFORMAT, "abi: engine: '%.32s' is not a name", engine);
	return 0;
}

int manifest_json_parse(const json_t *object, unsigned what, struct yg_manifest *manifest,
	struct yg_err *err)
{
	if (!json_is_object(object))
		return yg_fail(err, YG_EFORMAT, "want an object, have %s", yg_json_kind(object));
	if (parse_name(object, manifest->component, what & MANIFEST_SET ? "name" : "component",
		    err) < 0 ||
		yg_json_int(object, "version", 1, INT64_MAX, &manifest->version, err) < 0 ||
		parse_family(object, &manifest->family, err) < 0 ||
		parse_abi(object, &manifest->abi, err) < 0 ||
		parse_files(object, what, manifest, err) < 0)
		return -1;
	if ((what & MANIFEST_SET) && parse_digest(object, "manifest", manifest->sha256, err) < 0)
		return -1;
	return parse_trial(object, manifest, err);
}

static int parse_head(const json_t *root, struct yg_manifest *manifest, struct yg_err *err)
{
	int64_t format;
	const char *text;
	if (yg_json_int(root, "format", 1, INT64_MAX, &format, err) < 0)
		return -1;
	if (format != 1)
		return yg_fail_cause(err, YG_EFORMAT, "content.newer",
			"format: want 1, have %lld: a newer Yagura reads it", (long long)format);
	if (yg_json_str(root, "released", 64, &text, err) < 0)
		return -1;
	if (yg_clock_parse(text, &manifest->released, err) < 0)
		return yg_wrap(err, "released");
	if (yg_json_str_or(root, "description", YG_DESCRIPTION_MAX, "", &text, err) < 0)
		return -1;
	if (!yg_str_put(manifest->description, sizeof(manifest->description), "%s", text))
		return yg_fail(err, YG_ELIMIT, "description: too long");
	return 0;
}

static int parse(struct yg_bytes text, struct yg_manifest *manifest, struct yg_err *err)
{
	json_t *root YG_AUTO(yg_json) = NULL;
	if (yg_json_parse(text, YG_MANIFEST_SIZE_MAX, &root, err) < 0)
		return -1;
	if (!json_is_object(root))
		return yg_fail(err, YG_EFORMAT, "want an object, have %s", yg_json_kind(root));
	if (parse_head(root, manifest, err) < 0 ||
		manifest_json_parse(root, MANIFEST_FORMS, manifest, err) < 0)
		return -1;
	return yg_hash_text(text, manifest->sha256, err);
}

struct yg_manifest *yg_manifest_parse(struct yg_bytes text, struct yg_err *err)
{
	struct yg_manifest *manifest YG_AUTO(yg_manifest) = calloc(1, sizeof(*manifest));
	if (!manifest) {
		(void)yg_fail(err, YG_ESYSTEM, "out of memory");
		return NULL;
	}
	if (parse(text, manifest, err) < 0) {
		const struct yg_err why = *err;
		if (why.code != YG_ESYSTEM)
			(void)yg_fail_cause(err, why.code,
				why.cause[0]                    ? why.cause
					: why.code == YG_ELIMIT ? "content.limit"
								: "content.format",
				"%s", why.msg);
		return NULL;
	}
	return yg_take(manifest);
}

/* ---- writing ---- */

static json_t *form_json(const struct yg_form *form)
{
	return json_pack("{s:s, s:s, s:I, s:s*}", "encoding", encodings[form->encoding], "sha256",
		form->sha256, "size", (json_int_t)form->size, "from",
		form->encoding == YG_ENCODING_DELTA ? form->from : NULL);
}

static json_t *file_json(const struct yg_file *file, bool forms)
{
	json_t *object = json_pack("{s:s, s:s, s:I}", "path", file->path, "sha256", file->sha256,
		"size", (json_int_t)file->size);
	if (!object || !forms || file->form_count == 0)
		return object;
	json_t *list = json_array();
	for (size_t i = 0; i < file->form_count; i++) {
		if (json_array_append_new(list, form_json(&file->forms[i])) < 0)
			break;
	}
	bool whole = json_array_size(list) == file->form_count;
	if (json_object_set_new(object, "forms", list) < 0 || !whole) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static json_t *strings_json(char *const *list, size_t count)
{
	json_t *array = json_array();
	for (size_t i = 0; i < count; i++) {
		if (json_array_append_new(array, json_string(list[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *files_json(const struct yg_manifest *manifest, bool forms)
{
	json_t *array = json_array();
	for (size_t i = 0; i < manifest->file_count; i++) {
		if (json_array_append_new(array, file_json(&manifest->files[i], forms)) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

/* What manifests and sets have in common. NULL when memory is out. */
json_t *manifest_json_make(const struct yg_manifest *manifest, bool forms)
{
	return json_pack("{s:I, s:s, s:{s:s, s:I, s:I}, s:o, s:{s:o, s:o}}", "version",
		(json_int_t)manifest->version, "family", families[manifest->family], "abi",
		"engine", manifest->abi.engine, "min", (json_int_t)manifest->abi.min, "max",
		(json_int_t)manifest->abi.max, "files", files_json(manifest, forms), "trial",
		"find", strings_json(manifest->find, manifest->find_count), "pass",
		strings_json(manifest->pass, manifest->pass_count));
}

int yg_manifest_format(struct yg_manifest *manifest, struct yg_buf *out, struct yg_err *err)
{
	char released[YG_CLOCK_TEXT];
	if (manifest->file_count > 1)
		qsort(manifest->files, manifest->file_count, sizeof(*manifest->files), by_path);
	if (check_paths(manifest, err) < 0)
		return -1;
	yg_clock_format(manifest->released, released);
	json_t *root YG_AUTO(yg_json) = manifest_json_make(manifest, true);
	if (!root || json_object_set_new(root, "format", json_integer(1)) < 0 ||
		json_object_set_new(root, "component", json_string(manifest->component)) < 0 ||
		json_object_set_new(root, "released", json_string(released)) < 0 ||
		json_object_set_new(root, "description", json_string(manifest->description)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return yg_json_dump(root, out, err);
}

/* ---- use ---- */

static void free_strings(char **list, size_t count)
{
	for (size_t i = 0; list && i < count; i++)
		free(list[i]);
	free(list);
}

void yg_manifest_free(struct yg_manifest *manifest)
{
	if (!manifest)
		return;
	for (size_t i = 0; i < manifest->file_count; i++) {
		free(manifest->files[i].path);
		free(manifest->files[i].forms);
	}
	free(manifest->files);
	free_strings(manifest->find, manifest->find_count);
	free_strings(manifest->pass, manifest->pass_count);
	free(manifest);
}

const struct yg_file *yg_manifest_file(const struct yg_manifest *manifest, const char *path)
{
	size_t low = 0, high = manifest->file_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(path, manifest->files[middle].path);
		if (order == 0)
			return &manifest->files[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct yg_form *yg_file_form(const struct yg_file *file)
{
	const struct yg_form *best = NULL;
	for (size_t i = 0; i < file->form_count; i++) {
		if (file->forms[i].encoding != YG_ENCODING_DELTA &&
			(!best || file->forms[i].size < best->size))
			best = &file->forms[i];
	}
	return best;
}

const struct yg_form *yg_file_delta(const struct yg_file *file,
	bool (*has)(void *ctx, const char *sha256), void *ctx)
{
	const struct yg_form *best = NULL, *whole = yg_file_form(file);
	for (size_t i = 0; i < file->form_count; i++) {
		const struct yg_form *form = &file->forms[i];
		if (form->encoding == YG_ENCODING_DELTA && (!whole || form->size < whole->size) &&
			(!best || form->size < best->size) && has(ctx, form->from))
			best = form;
	}
	return best;
}

int yg_file_add_form(struct yg_file *file, const struct yg_form *form, struct yg_err *err)
{
	if (file->form_count == YG_MANIFEST_FORMS_MAX)
		return yg_fail(err, YG_ELIMIT, "forms: want <= %u, have more",
			YG_MANIFEST_FORMS_MAX);
	struct yg_form *grown = reallocarray(file->forms, file->form_count + 1, sizeof(*grown));
	if (!grown)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	file->forms = grown;
	file->forms[file->form_count++] = *form;
	return 0;
}

void yg_form_path(const struct yg_form *form, char out[YG_OBJECT_PATH])
{
	memcpy(out, "objects/", 8);
	memcpy(out + 8, form->sha256, 2);
	out[10] = '/';
	memcpy(out + 11, form->sha256, YG_SHA256_TEXT);
}
