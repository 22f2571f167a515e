/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/set.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "content/manifest_json.h"
#include "content/set_impl.h"
#include "core/json.h"
#include "core/str.h"
#include "crypto/hash.h"

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct yg_manifest *const *)a)->component,
		(*(struct yg_manifest *const *)b)->component);
}

/* Sort, look for doubles, compute the digest. */
int set_finish(struct yg_set *set, struct yg_err *err)
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

struct yg_set *set_empty(struct yg_err *err)
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
int set_put(struct yg_set *set, struct yg_manifest *manifest, struct yg_err *err)
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
	struct yg_set *set YG_AUTO(yg_set) = set_empty(err);
	int bad = set ? 0 : -1;
	for (size_t i = 0; i < count; i++) {
		struct yg_manifest *manifest = yg_take(manifests[i]);
		if (bad != 0)
			yg_manifest_free(manifest);
		else
			bad = set_put(set, manifest, err);
	}
	if (bad != 0 || set_finish(set, err) < 0)
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
	return set_put(set, yg_take(manifest), err);
}

struct yg_set *yg_set_parse(struct yg_bytes text, struct yg_err *err)
{
	json_t *root YG_AUTO(yg_json) = NULL;
	json_t *list;
	struct yg_set *set YG_AUTO(yg_set) = set_empty(err);
	if (!set || yg_json_parse(text, YG_SET_SIZE_MAX, &root, err) < 0 ||
		yg_json_array(root, "components", YG_SET_COMPONENTS_MAX, &list, err) < 0)
		return NULL;
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (parse_component(set, json_array_get(list, i), err) < 0) {
			(void)yg_wrap(err, "components: %zu", i + 1);
			return NULL;
		}
	}
	if (set_finish(set, err) < 0)
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
