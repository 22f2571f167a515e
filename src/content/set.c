/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/set.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "content/manifest_json.h"
#include "core/json.h"
#include "core/str.h"
#include "crypto/hash.h"

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct yg_manifest *const *)a)->component,
		(*(struct yg_manifest *const *)b)->component);
}

/* Sort, look for doubles, compute the digest. */
static int finish(struct yg_set *set, struct yg_err *err)
{
	if (set->count > 1)
		qsort(set->components, set->count, sizeof(struct yg_manifest *), by_name);
	for (size_t i = 0; i < set->count; i++) {
		const char *name = set->components[i]->component;
		if (i > 0 && strcmp(set->components[i - 1]->component, name) == 0)
			return yg_fail(err, YG_EFORMAT, "component '%s' is there twice", name);
		/* What stands beside the components in a set's folder; see content/store.h. */
		if (strcmp(name, "set.json") == 0 || strcmp(name, "iaulogs") == 0)
			return yg_fail(err, YG_EFORMAT,
				"component '%s': the name is taken in a set's folder", name);
	}
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_SET_SIZE_MAX);
	if (yg_set_format(set, false, &text, err) < 0)
		return -1;
	return yg_hash_text(yg_buf_bytes(&text), set->digest, err);
}

static struct yg_set *empty(struct yg_err *err)
{
	struct yg_set *set YG_AUTO(yg_set) = calloc(1, sizeof(*set));
	if (set)
		set->components = calloc(YG_SET_COMPONENTS_MAX, sizeof(struct yg_manifest *));
	if (!set || !set->components) {
		(void)yg_fail(err, YG_ESYSTEM, "out of memory");
		return NULL;
	}
	return yg_take(set);
}

/* Takes the manifest over, also on failure. */
static int put(struct yg_set *set, struct yg_manifest *manifest, struct yg_err *err)
{
	if (set->count == YG_SET_COMPONENTS_MAX) {
		yg_manifest_free(manifest);
		return yg_fail(err, YG_ELIMIT, "want <= %u components, have more",
			YG_SET_COMPONENTS_MAX);
	}
	set->components[set->count++] = manifest;
	return 0;
}

struct yg_set *yg_set_new(struct yg_manifest **manifests, size_t count, struct yg_err *err)
{
	struct yg_set *set YG_AUTO(yg_set) = empty(err);
	int bad = set ? 0 : -1;
	for (size_t i = 0; i < count; i++) {
		struct yg_manifest *manifest = yg_take(manifests[i]);
		if (bad != 0)
			yg_manifest_free(manifest);
		else
			bad = put(set, manifest, err);
	}
	if (bad != 0 || finish(set, err) < 0)
		return NULL;
	return yg_take(set);
}

/* ---- from the repository ---- */

struct collection {
	struct yg_tuf *tuf;
	struct yg_set *set;
	int64_t clamav;
	unsigned families;
};

/* "am/am-pattern.json" to "am-pattern"; false for anything else than a known component's manifest in
 * the folder of the role that signs it.
 */
static bool component_of(const char *path, char out[YG_COMPONENT_NAME_MAX + 1])
{
	const char *slash = strchr(path, '/');
	size_t len = strlen(path);
	if (!slash || len < 6 || strcmp(path + len - 5, ".json") != 0)
		return false;
	int name = (int)(path + len - 5 - (slash + 1)), folder = (int)(slash - path);
	if (name <= 0 || !yg_str_put(out, YG_COMPONENT_NAME_MAX + 1, "%.*s", name, slash + 1))
		return false;
	const char *role = yg_component_role(out);
	return role && strlen(role) == (size_t)folder && strncmp(role, path, strlen(role)) == 0;
}

static int check_abi(const struct yg_manifest *manifest, int64_t clamav, struct yg_err *err)
{
	const struct yg_abi *abi = &manifest->abi;
	if (clamav == 0 || strcmp(abi->engine, "clamav") != 0 ||
		(clamav >= abi->min && clamav <= abi->max))
		return 0;
	return yg_fail_cause(err, YG_ELIMIT, "content.abi",
		"%s version %lld is for engines with content format level %lld..%lld, this one has %lld",
		manifest->component, (long long)manifest->version, (long long)abi->min,
		(long long)abi->max, (long long)clamav);
}

static int visit(void *ctx, const char *path, const struct yg_tuf_target *target,
	struct yg_err *err)
{
	struct collection *to = ctx;
	char component[YG_COMPONENT_NAME_MAX + 1];
	(void)target;
	if (!component_of(path, component))
		return 0;
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_MANIFEST_SIZE_MAX);
	if (yg_tuf_get(to->tuf, path, &text, err) < 0)
		return -1;
	struct yg_manifest *manifest YG_AUTO(
		yg_manifest) = yg_manifest_parse(yg_buf_bytes(&text), err);
	if (!manifest)
		return yg_wrap(err, "manifest '%s'", path);
	if (strcmp(manifest->component, component) != 0)
		return yg_fail_cause(err, YG_EFORMAT, "content.format",
			"manifest '%s': component: want '%s', have '%s'", path, component,
			manifest->component);
	if (!(to->families & 1u << manifest->family))
		return 0;
	if (check_abi(manifest, to->clamav, err) < 0)
		return -1;
	return put(to->set, yg_take(manifest), err);
}

struct yg_set *yg_set_collect(struct yg_tuf *tuf, int64_t clamav, unsigned wanted,
	struct yg_err *err)
{
	struct yg_set *set YG_AUTO(yg_set) = empty(err);
	struct collection to = {tuf, set, clamav, wanted};
	if (!set || yg_tuf_each(tuf, visit, &to, err) != 0 || finish(set, err) < 0)
		return NULL;
	return yg_take(set);
}

/* ---- text ---- */

static json_t *component_json(const struct yg_manifest *manifest, bool forms)
{
	json_t *object = manifest_json_make(manifest, forms);
	if (json_object_set_new(object, "name", json_string(manifest->component)) == 0 &&
		json_object_set_new(object, "manifest", json_string(manifest->sha256)) == 0)
		return object;
	json_decref(object);
	return NULL;
}

int yg_set_format(const struct yg_set *set, bool forms, struct yg_buf *out, struct yg_err *err)
{
	json_t *list = json_array();
	json_t *root YG_AUTO(yg_json) = json_pack("{s:o}", "components", list);
	if (!root)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (size_t i = 0; i < set->count; i++) {
		if (json_array_append_new(list, component_json(set->components[i], forms)) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	return yg_json_dump(root, out, err);
}

static int parse_component(struct yg_set *set, const json_t *object, struct yg_err *err)
{
	struct yg_manifest *manifest YG_AUTO(yg_manifest) = calloc(1, sizeof(*manifest));
	if (!manifest)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (manifest_json_parse(object, MANIFEST_SET, manifest, err) < 0)
		return -1;
	return put(set, yg_take(manifest), err);
}

struct yg_set *yg_set_parse(struct yg_bytes text, struct yg_err *err)
{
	json_t *root YG_AUTO(yg_json) = NULL;
	json_t *list;
	struct yg_set *set YG_AUTO(yg_set) = empty(err);
	if (!set || yg_json_parse(text, YG_SET_SIZE_MAX, &root, err) < 0 ||
		yg_json_array(root, "components", YG_SET_COMPONENTS_MAX, &list, err) < 0)
		return NULL;
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (parse_component(set, json_array_get(list, i), err) < 0) {
			(void)yg_wrap(err, "components: %zu", i + 1);
			return NULL;
		}
	}
	if (finish(set, err) < 0)
		return NULL;
	return yg_take(set);
}

void yg_set_free(struct yg_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->count; i++)
		yg_manifest_free(set->components[i]);
	free(set->components);
	free(set);
}

const struct yg_manifest *yg_set_component(const struct yg_set *set, const char *name)
{
	for (size_t i = 0; i < set->count; i++) {
		if (strcmp(set->components[i]->component, name) == 0)
			return set->components[i];
	}
	return NULL;
}
