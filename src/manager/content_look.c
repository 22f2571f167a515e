/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "content/set.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/str.h"
#include "manager/content_impl.h"
#include "net/url.h"

#define CACHE        "cache" /* in the TUF folder: what can be had again */
#define PATH_BYTES   256
#define BEHIND_MAX_S 300  /* of a clock that is not worth a line */
#define LIMIT_S      1800 /* for all of one look, where the settings say nothing */

/* One check. */
struct run {
	struct content *content;
	struct yg_client *client;
	struct yg_url url;
	uint32_t timeout_s, connect_ms;
	int64_t until_ms; /* for all of it */
};

/* ---- the repository and the trusted state, as src/tuf asks for them ---- */

static int run_fetch(void *ctx, const char *path, size_t max, struct yg_buf *buf,
	struct yg_err *err)
{
	struct run *run = ctx;
	char url[YG_URL_MAX];
	if (yg_url_join(&run->url, path, url, err) < 0)
		return -1;
	const int64_t left_ms = run->until_ms - yg_clock_mono_ms();
	if (left_ms <= 0)
		return yg_fail_cause(err, YG_EAGAIN, "update.timeout",
			"%s: the time for this look is over", path);
	const struct yg_client_request request = {
		.url = url,
		.max = max,
		.content = true,
		.connect_ms = run->connect_ms,
		.idle_s = run->timeout_s,
		.deadline_ms = (uint32_t)left_ms,
	};
	struct yg_client_reply reply;
	return yg_client_text(run->client, &request, buf, &reply, err);
}

/* floor.json is no part of the cache: who empties that does not open the door to an old repository. */
static int path_of(const char *name, char out[PATH_BYTES], struct yg_err *err)
{
	const char *folder = strcmp(name, "floor.json") == 0 ? "" : CACHE "/";
	return yg_str_put(out, PATH_BYTES, "%s%s", folder, name)
		? 0
		: yg_fail(err, YG_ELIMIT, "'%s': name too long", name);
}

static int run_load(void *ctx, const char *name, struct yg_buf *buf, struct yg_err *err)
{
	char path[PATH_BYTES];
	int dir = ((struct run *)ctx)->content->tuf_fd;
	if (path_of(name, path, err) < 0)
		return -1;
	if (yg_fs_read(dir, path, buf, err) == 0)
		return 0;
	if (err->code != YG_EFORMAT && err->sys != ELOOP)
		return -1;
	/* A folder or a link, in place of something that can be had again. */
	*err = (struct yg_err){0};
	return yg_fs_remove(dir, path, err) < 0
		? -1
		: yg_fail(err, YG_EABSENT, "'%s' was no file", path);
}

static int run_save(void *ctx, const char *name, struct yg_bytes bytes, struct yg_err *err)
{
	char path[PATH_BYTES];
	int dir = ((struct run *)ctx)->content->tuf_fd;
	if (path_of(name, path, err) < 0)
		return -1;
	if (bytes.len == 0)
		return yg_fs_remove(dir, path, err);
	if (yg_fs_mkdirs(dir, CACHE, 0700, err) < 0)
		return -1;
	return yg_fs_replace(dir, path, bytes, 0600, err);
}

static const struct yg_tuf_ops run_ops = {run_fetch, run_load, run_save};

/* ---- one check ---- */

static json_t *described(const struct yg_set *set)
{
	json_t *components = json_array();
	for (size_t i = 0; i < set->count; i++) {
		const struct yg_manifest *manifest = set->components[i];
		(void)json_array_append_new(components,
			json_pack("{s:s, s:I, s:s, s:s}", "name", manifest->component, "version",
				(json_int_t)manifest->version, "family",
				yg_family_name(manifest->family), "manifest", manifest->sha256));
	}
	return json_pack("{s:s, s:o}", "set", set->digest, "components", components);
}

/* When the publisher has to sign again, for the calendar of what expires. */
static json_t *expiries(const struct yg_tuf *tuf)
{
	static const char *const roles[] = {"root", "targets", "snapshot", "timestamp", "am", "wr",
		"fw", "ips", "im", "li"};
	json_t *out = json_object();
	for (size_t i = 0; i < YG_COUNT(roles); i++) {
		char when[YG_CLOCK_TEXT];
		int64_t at = yg_tuf_expires(tuf, roles[i]);
		if (at <= 0)
			continue;
		yg_clock_format(at, when);
		(void)json_object_set_new(out, roles[i], json_string(when));
	}
	return out;
}

/* What was newest before: of a component whose role is broken it still is. */
static struct yg_set *load_set(struct content *content)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_SET_SIZE_MAX);
	struct yg_err why = {0};
	if (yg_fs_read(content->tuf_fd, CACHE "/set.text", &text, &why) < 0)
		return NULL;
	return yg_set_parse(yg_buf_bytes(&text), &why);
}

static void save_set(struct content *content, const struct yg_set *set)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_SET_SIZE_MAX);
	struct yg_err why = {0};
	if (yg_set_format(set, false, &text, &why) < 0 ||
		yg_fs_mkdirs(content->tuf_fd, CACHE, 0700, &why) < 0 ||
		yg_fs_replace(content->tuf_fd, CACHE "/set.text", yg_buf_bytes(&text), 0600, &why) <
			0)
		yg_log_err(YG_LOG_WARN, "content.set", &why);
}

static void log_notes(const struct yg_set_notes *notes)
{
	for (size_t i = 0; i < notes->count; i++)
		if (notes->list[i].why.code && notes->list[i].taken > 0)
			yg_log(YG_LOG_WARN, "content.component", "%s stays at version %lld: %s",
				notes->list[i].component, (long long)notes->list[i].taken,
				notes->list[i].why.msg);
}

static int look(struct run *run, json_t **newest, struct yg_err *err)
{
	struct content *content = run->content;
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&run_ops, run, yg_clock_now_s(), err);
	if (!tuf || yg_tuf_trust(tuf, yg_buf_bytes(&content->root), err) < 0 ||
		yg_tuf_refresh(tuf, err) < 0)
		return -1;
	if (yg_tuf_known_time(tuf) > content->known_s)
		content->known_s = yg_tuf_known_time(tuf);
	if (yg_tuf_clock_behind(tuf) > BEHIND_MAX_S)
		yg_log(YG_LOG_WARN, "content.clock",
			"the clock is at least %lld s behind what the repository has signed",
			(long long)yg_tuf_clock_behind(tuf));
	struct yg_set_notes *notes YG_AUTO(mem) = calloc(1, sizeof(*notes));
	struct yg_set *before YG_AUTO(yg_set) = load_set(content);
	if (!notes)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	/* Which engines can load it is each computer's question: 0. */
	struct yg_set *set YG_AUTO(yg_set) = yg_set_collect(tuf,
		&(struct yg_set_want){.families = YG_FAMILIES_ALL, .every = true, .have = before},
		notes, err);
	if (!set)
		return -1;
	log_notes(notes);
	save_set(content, set);
	*newest = described(set);
	(void)json_object_set_new(*newest, "expires", expiries(tuf));
	return *newest ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

static int take_limits(const json_t *settings, struct run *run, struct yg_err *err)
{
	const json_t *update = json_object_get(settings, "update");
	int64_t timeout_s = 0, connect_s = 0, limit_s = 0;
	if (yg_json_int_or(update, "timeout_s", 1, 3600, 60, &timeout_s, err) < 0 ||
		yg_json_int_or(update, "connect_s", 1, 3600, 10, &connect_s, err) < 0 ||
		yg_json_int_or(update, "limit_s", 1, 7 * 86400, LIMIT_S, &limit_s, err) < 0)
		return yg_wrap(err, "update");
	run->timeout_s = (uint32_t)timeout_s;
	run->connect_ms = (uint32_t)(connect_s * 1000);
	/* Metadata and manifests are small; what an agent may take for objects is too long for them. */
	run->until_ms = yg_clock_mono_ms() + (limit_s < LIMIT_S ? limit_s : LIMIT_S) * 1000;
	return 0;
}

int content_look(struct content *content, const struct content_place *place,
	const struct content_identity *identity, json_t **newest, struct yg_err *err)
{
	struct run run = {.content = content};
	const struct yg_tls tls = content_where_tls(content, place, identity);
	if (yg_url_parse(place->url, &run.url, err) < 0 ||
		take_limits(content->settings, &run, err) < 0)
		return -1;
	struct yg_client *client YG_AUTO(yg_client) = yg_client_new(NULL, &tls, &place->proxy, err);
	if (!client)
		return -1;
	run.client = client;
	return look(&run, newest, err);
}
