/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/bundle_list.h"

#include <stdlib.h>
#include <string.h>

#include "core/attr.h"
#include "core/str.h"

enum { RANK_OBJECT, RANK_MANIFEST, RANK_ROOT, RANK_ROLE, RANK_SNAPSHOT, RANK_TIMESTAMP };

void bundle_list_free_at(struct bundle_list *list)
{
	for (size_t i = 0; i < list->choice_count; i++)
		history_free(list->choices[i].history);
	for (size_t i = 0; i < list->count; i++)
		free(list->entries[i].path);
	free(list->entries);
}

static int add(struct bundle_list *list, int rank, const char *path, const struct yg_form *form,
	struct yg_err *err)
{
	if (list->count == list->cap) {
		size_t cap = list->cap ? 2 * list->cap : 64;
		struct bundle_entry *grown = reallocarray(list->entries, cap, sizeof(*grown));
		if (!grown)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		list->entries = grown;
		list->cap = cap;
	}
	char *copy = strdup(path);
	if (!copy)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	list->entries[list->count++] = (struct bundle_entry){rank, copy, form};
	return 0;
}

static int in_order(const void *a, const void *b)
{
	const struct bundle_entry *one = a, *two = b;
	return one->rank != two->rank ? one->rank - two->rank : strcmp(one->path, two->path);
}

static void sort(struct bundle_list *list)
{
	size_t kept = 0;
	if (list->count > 0)
		qsort(list->entries, list->count, sizeof(*list->entries), in_order);
	for (size_t i = 0; i < list->count; i++) {
		struct bundle_entry at = list->entries[i];
		if (kept > 0 && strcmp(list->entries[kept - 1].path, at.path) == 0) {
			free(at.path);
			continue;
		}
		list->entries[kept++] = at;
		list->objects += at.rank == RANK_OBJECT;
	}
	list->count = kept;
}

/* ---- what was asked for ---- */

static struct bundle_choice *choice_of(struct bundle_list *list, const char *name, size_t len)
{
	for (size_t i = 0; i < list->choice_count; i++) {
		const char *have = list->choices[i].history->component;
		if (strlen(have) == len && strncmp(have, name, len) == 0)
			return &list->choices[i];
	}
	return NULL;
}

static int load_choices(struct bundle_list *list, const struct repo *repo, struct yg_err *err)
{
	const char *component;
	for (size_t i = 0; (component = yg_component_name(i)); i++) {
		if (list->choice_count == YG_COUNT(list->choices))
			return yg_fail(err, YG_ELIMIT, "want <= %zu components, have more",
				YG_COUNT(list->choices));
		struct history *history YG_AUTO(history) = history_load(repo, component, err);
		if (!history)
			return -1;
		if (history->newest_lost)
			return yg_fail(err, YG_EABSENT, "%s: the newest release cannot be read",
				component);
		if (history->count > 0)
			list->choices[list->choice_count++].history = yg_take(history);
	}
	return 0;
}

static int choose_components(struct bundle_list *list, const struct command *command,
	struct yg_err *err)
{
	for (size_t i = 0; i < list->choice_count; i++)
		list->choices[i].wanted = command->only_count == 0;
	for (size_t i = 0; i < command->only_count; i++) {
		const char *name = command->only[i];
		struct bundle_choice *choice = choice_of(list, name, strlen(name));
		if (!choice)
			return yg_fail(err, YG_EABSENT,
				"--component: '%.64s': the repository has no release of it", name);
		choice->wanted = true;
	}
	return 0;
}

static void add_from(struct bundle_choice *choice, int64_t version)
{
	for (size_t i = 0; i < choice->from_count; i++) {
		if (choice->from[i] == version)
			return;
	}
	if (choice->from_count < YG_COUNT(choice->from))
		choice->from[choice->from_count++] = version;
}

static int choose_from(struct bundle_list *list, const struct command *command, struct yg_err *err)
{
	for (size_t i = 0; i < command->from_count; i++) {
		const char *text = command->from[i], *sign = strchr(text, '=');
		uint64_t version = 0;
		struct yg_err why = {0};
		if (!sign || yg_str_u64(sign + 1, INT64_MAX, &version, &why) < 0)
			return yg_fail(err, YG_EFORMAT,
				"--from: want COMPONENT=VERSION, have '%.64s'", text);
		struct bundle_choice *choice = choice_of(list, text, (size_t)(sign - text));
		if (!choice || !choice->wanted ||
			!history_find(choice->history, (int64_t)version, NULL))
			return yg_fail(err, YG_EABSENT,
				"--from: '%.64s': not among the releases that are signed and wanted",
				text);
		add_from(choice, (int64_t)version);
	}
	return 0;
}

/* The newest of that time, and all that came after it. When nothing is left of that time, computers may have
 * anything: the component is there whole.
 */
static void choose_since(struct bundle_list *list, int64_t since)
{
	for (size_t i = 0; i < list->choice_count; i++) {
		struct bundle_choice *choice = &list->choices[i];
		const struct history *history = choice->history;
		size_t last = 0;
		while (last < history->count && history->releases[last].manifest->released > since)
			last++;
		for (size_t k = 0; last < history->count && k <= last; k++)
			add_from(choice, history->releases[k].manifest->version);
	}
}

static int ascending(const void *a, const void *b)
{
	const int64_t *one = a, *two = b;
	return (*one > *two) - (*one < *two);
}

static int choose(struct bundle_list *list, const struct command *command, struct yg_err *err)
{
	if (choose_components(list, command, err) < 0 || choose_from(list, command, err) < 0)
		return -1;
	if (command->since > 0)
		choose_since(list, command->since);
	for (size_t i = 0; i < list->choice_count; i++)
		qsort(list->choices[i].from, list->choices[i].from_count, sizeof(int64_t),
			ascending);
	return 0;
}

/* ---- files ---- */

/* What gives the file to a computer with the old release: nothing, when it has it; a delta, or the whole. */
static const struct yg_form *cheapest(const struct yg_manifest *old, const struct yg_file *file,
	bool *has)
{
	const struct yg_form *best = yg_file_form(file);
	*has = false;
	for (size_t i = 0; i < old->file_count; i++) {
		const char *have = old->files[i].sha256;
		*has = *has || strcmp(have, file->sha256) == 0;
		for (size_t n = 0; n < file->form_count; n++) {
			const struct yg_form *form = &file->forms[n];
			if (form->encoding == YG_ENCODING_DELTA && strcmp(form->from, have) == 0 &&
				form->size < best->size)
				best = form;
		}
	}
	return best;
}

static int add_object(struct bundle_list *list, const struct yg_form *form, struct yg_err *err)
{
	char path[YG_OBJECT_PATH];
	yg_form_path(form, path);
	return add(list, RANK_OBJECT, path, form, err);
}

static int add_objects(struct bundle_list *list, const struct bundle_choice *choice,
	struct yg_err *err)
{
	const struct yg_manifest *newest = choice->history->releases[0].manifest;
	for (size_t k = 0; k < newest->file_count; k++) {
		const struct yg_file *file = &newest->files[k];
		if (choice->from_count == 0 && add_object(list, yg_file_form(file), err) < 0)
			return -1;
		for (size_t i = 0; i < choice->from_count; i++) {
			bool has = false;
			const struct history_release *old = history_find(choice->history,
				choice->from[i], NULL);
			const struct yg_form *form = cheapest(old->manifest, file, &has);
			if (!has && add_object(list, form, err) < 0)
				return -1;
		}
	}
	return 0;
}

static int add_manifest(struct bundle_list *list, const struct history *history, size_t index,
	struct yg_err *err)
{
	char target[160], path[320];
	if (history_target(history, index, target, err) < 0 ||
		history_path(target, history->releases[index].manifest->sha256, path, err) < 0)
		return -1;
	return add(list, RANK_MANIFEST, path, NULL, err);
}

static int add_choice(struct bundle_list *list, const struct bundle_choice *choice,
	struct yg_err *err)
{
	if (add_manifest(list, choice->history, 0, err) < 0)
		return -1;
	for (size_t i = 0; i < choice->from_count; i++) {
		size_t index = 0;
		if (history_find(choice->history, choice->from[i], &index) &&
			add_manifest(list, choice->history, index, err) < 0)
			return -1;
	}
	return choice->wanted ? add_objects(list, choice, err) : 0;
}

static int add_meta(struct bundle_list *list, int rank, int64_t version, const char *name,
	struct yg_err *err)
{
	char path[320];
	if (!yg_str_put(path, sizeof(path), "metadata/%lld.%s", (long long)version, name))
		return yg_fail(err, YG_ELIMIT, "metadata: name too long");
	return add(list, rank, path, NULL, err);
}

static int add_metadata(struct bundle_list *list, const struct repo *repo, struct yg_err *err)
{
	const char *name;
	json_t *entry;
	for (int64_t version = 1; version <= repo->root->version; version++) {
		if (add_meta(list, RANK_ROOT, version, "root.json", err) < 0)
			return -1;
	}
	json_object_foreach(json_object_get(repo->snapshot->body, "meta"), name, entry)
	{
		struct yg_meta_file file = {0};
		if (yg_meta_file(repo->snapshot, name, &file) &&
			add_meta(list, RANK_ROLE, file.version, name, err) < 0)
			return -1;
	}
	if (add_meta(list, RANK_SNAPSHOT, repo->snapshot->version, "snapshot.json", err) < 0)
		return -1;
	return add(list, RANK_TIMESTAMP, "metadata/timestamp.json", NULL, err);
}

int bundle_list_make(struct bundle_list *list, const struct command *command,
	const struct repo *repo, struct yg_err *err)
{
	if (load_choices(list, repo, err) < 0 || choose(list, command, err) < 0)
		return -1;
	for (size_t i = 0; i < list->choice_count; i++) {
		if (add_choice(list, &list->choices[i], err) < 0)
			return -1;
	}
	if (add_metadata(list, repo, err) < 0)
		return -1;
	sort(list);
	return 0;
}
