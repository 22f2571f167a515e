/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/verify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/verify_object.h"
#include "content/rollout.h"
#include "content/set.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/sandbox.h"
#include "core/str.h"
#include "tuf/tuf.h"

#define MEMORY_MAX   (512ull << 20) /* bytes of address space: metadata, and one zstd window */
#define FDS_MAX      6              /* sets in an answer: the one that was asked for, and others */
#define METADATA_MAX (8u << 20)     /* bytes; above every limit of tuf/ */

struct verify {
	struct yg_role_env *env;
	struct yg_ipc *asker;
	int64_t now;
	bool begun;
	json_t *names; /* {name: true}: of metadata that was loaded or saved in this refresh */
};

/* ---- what the client of The Update Framework asks for, install brings ---- */

/* in  reply_fd  from a call; read and closed */
static int read_reply(int reply_fd, const char *what, size_t max, struct yg_buf *buf,
	struct yg_err *err)
{
	int fd YG_AUTO(fd) = reply_fd;
	if (fd < 0)
		return yg_fail(err, YG_EFORMAT, "%s: the reply has no descriptor", what);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(max);
	if (yg_fs_read_fd(fd, &text, err) < 0)
		return yg_wrap(err, "%s", what);
	return yg_buf_add(buf, text.data, text.len, err);
}

static int ask_fetch(void *ctx, const char *path, size_t max, struct yg_buf *buf,
	struct yg_err *err)
{
	struct verify *verify = ctx;
	json_t *reply YG_AUTO(yg_json) = NULL;
	int fd = -1;
	json_t *body = json_pack("{s:s, s:I}", "path", path, "max", (json_int_t)max);
	if (yg_ipc_call(verify->asker, "tuf.fetch", body, NULL, 0, &reply, &fd, err) < 0)
		return -1;
	return read_reply(fd, path, max, buf, err);
}

static int ask_load(void *ctx, const char *name, struct yg_buf *buf, struct yg_err *err)
{
	struct verify *verify = ctx;
	json_t *reply YG_AUTO(yg_json) = NULL;
	int fd = -1;
	(void)json_object_set_new(verify->names, name, json_true());
	if (yg_ipc_call(verify->asker, "tuf.load", json_pack("{s:s}", "name", name), NULL, 0,
		    &reply, &fd, err) < 0)
		return -1;
	return read_reply(fd, name, METADATA_MAX, buf, err);
}

static int ask_save(void *ctx, const char *name, struct yg_bytes bytes, struct yg_err *err)
{
	struct verify *verify = ctx;
	json_t *reply YG_AUTO(yg_json) = NULL;
	int fd YG_AUTO(fd) = yg_fs_memfd(name, bytes, err);
	if (fd < 0)
		return -1;
	(void)json_object_set_new(verify->names, name, json_true());
	return yg_ipc_call(verify->asker, "tuf.save", json_pack("{s:s}", "name", name), &fd, 1,
		&reply, NULL, err);
}

static const struct yg_tuf_ops tuf_ops = {ask_fetch, ask_load, ask_save};

/* The root of the installation, if one came with it; else one must be kept from before. */
static int trust(struct verify *verify, struct yg_tuf *tuf, struct yg_err *err)
{
	struct yg_err why = {0};
	struct yg_buf root YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	if (ask_load(verify, "installed.json", &root, &why) < 0) {
		if (why.code == YG_EABSENT)
			return 0;
		*err = why;
		return -1;
	}
	return yg_tuf_trust(tuf, yg_buf_bytes(&root), err);
}

/* ---- verify.begin, verify.refresh ---- */

static void on_begin(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct verify *verify = ctx;
	struct yg_err err = {0};
	if (yg_json_int(msg->body, "now", 0, INT64_MAX, &verify->now, &err) < 0) {
		yg_ipc_reply_err(ipc, msg->id, &err);
		return;
	}
	verify->begun = true;
	yg_ipc_reply(ipc, msg->id, NULL, NULL, 0);
}

struct question { /* what verify.refresh asks */
	struct yg_set_want want;
	struct yg_set *have; /* owned */
	bool kept;           /* ask nobody: what is trusted already will do */
	bool others; /* also what computers get that are the last in every wave: a relay's question */
	const json_t *serve; /* and those that were asked to take others; array or NULL */
};

static int parse_families(const json_t *body, unsigned *out, struct yg_err *err)
{
	json_t *list = NULL;
	unsigned families = 0;
	if (yg_json_array(body, "families", 8, &list, err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));
		for (unsigned f = YG_FAMILY_PATTERN; f <= YG_FAMILY_RULE; f++)
			if (name && strcmp(name, yg_family_name((enum yg_family)f)) == 0)
				families |= 1u << f;
	}
	*out = families;
	return 0;
}

/* {mode, pins}; a mode that nobody knows is the latest. */
static void parse_content(const json_t *content, struct yg_set_want *want)
{
	const char *mode = json_string_value(json_object_get(content, "mode"));
	want->take = mode && strcmp(mode, "previous") == 0 ? YG_TAKE_PREVIOUS
		: mode && strcmp(mode, "pinned") == 0      ? YG_TAKE_PINNED
							   : YG_TAKE_LATEST;
	want->pins = json_object_get(content, "pins");
}

static int parse_have(const struct yg_ipc_msg *msg, struct yg_set **out, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_SET_SIZE_MAX);
	if (msg->fd_count == 0)
		return 0;
	if (yg_fs_read_fd(msg->fds[0], &text, err) < 0)
		return -1;
	*out = yg_set_parse(yg_buf_bytes(&text), err);
	return *out ? 0 : yg_wrap(err, "the set that is in use");
}

static int parse_question(const struct verify *verify, const struct yg_ipc_msg *msg,
	struct question *out, struct yg_err *err)
{
	json_t *abi = NULL;
	int64_t seat = 0;
	if (!verify->begun)
		return yg_fail(err, YG_EFORMAT, "verify.refresh came before verify.begin");
	out->want.now = verify->now;
	if (yg_json_object(msg->body, "abi", &abi, err) < 0 ||
		yg_json_int_or(abi, "clamav", 0, INT32_MAX, 0, &out->want.clamav, err) < 0 ||
		yg_json_int_or(msg->body, "seat", 0, YG_ROLLOUT_SEATS - 1, 0, &seat, err) < 0 ||
		yg_json_bool_or(msg->body, "every", false, &out->want.every, err) < 0 ||
		yg_json_bool_or(msg->body, "kept", false, &out->kept, err) < 0 ||
		yg_json_bool_or(msg->body, "others", false, &out->others, err) < 0 ||
		parse_families(msg->body, &out->want.families, err) < 0 ||
		parse_have(msg, &out->have, err) < 0)
		return yg_wrap(err, "verify.refresh");
	parse_content(json_object_get(msg->body, "content"), &out->want);
	out->serve = json_object_get(msg->body, "serve");
	out->want.seat = (unsigned)seat;
	out->want.have = out->have;
	return 0;
}

/* What the repository has for everybody, whatever this computer takes of it: what jobs aim at. */
static void newest_of(struct yg_tuf *tuf, const struct question *question, const struct yg_set *set,
	const struct yg_set_notes *notes, char out[YG_SHA256_TEXT])
{
	struct yg_set_want want = question->want;
	struct yg_set_notes ignored;
	struct yg_err why = {0};
	memcpy(out, set->digest, YG_SHA256_TEXT);
	if (notes->count == 0 || question->kept)
		return;
	want.every = true;
	want.clamav = 0;
	want.families = YG_FAMILIES_ALL;
	want.take = YG_TAKE_LATEST;
	struct yg_set *all YG_AUTO(yg_set) = yg_set_collect(tuf, &want, &ignored, &why);
	if (all)
		memcpy(out, all->digest, YG_SHA256_TEXT);
}

static json_t *notes_json(const struct yg_set_notes *notes)
{
	json_t *list = json_array();
	for (size_t i = 0; i < notes->count; i++) {
		const struct yg_set_note *note = &notes->list[i];
		(void)json_array_append_new(list,
			json_pack("{s:s, s:I, s:I, s:I, s:s, s:s}", "component", note->component,
				"newest", (json_int_t)note->newest, "taken",
				(json_int_t)note->taken, "opens", (json_int_t)note->opens, "cause",
				note->why.code ? note->why.cause : "", "message",
				note->why.code ? note->why.msg : ""));
	}
	return list;
}

/* The files of the repository that hold what was trusted, and under which name each is kept: a relay
 * serves them, and did not fetch those that it had.
 */
static json_t *metadata_json(const struct verify *verify, const struct yg_tuf *tuf)
{
	json_t *list = json_array();
	const char *name;
	json_t *unused;
	json_object_foreach(verify->names, name, unused)
	{
		char role[YG_TUF_ROLE_MAX];
		char path[YG_TUF_NAME_MAX + 40];
		size_t len = strlen(name);
		if (len <= 5 || strpbrk(name, "%@") ||
			!yg_str_put(role, sizeof(role), "%.*s", (int)(len - 5), name))
			continue;
		int64_t version = yg_tuf_version(tuf, role);
		if (version == 0 || strcmp(role, "root") == 0 || strcmp(role, "timestamp") == 0 ||
			!yg_str_put(path, sizeof(path), "metadata/%lld.%s", (long long)version,
				name))
			continue;
		(void)json_array_append_new(list,
			json_pack("{s:s, s:s}", "path", path, "name", name));
	}
	return list;
}

/* Seconds since the last of the roles that everything hangs on has expired; 0 when one has not. One role that
 * expires was forgotten; all of them, the offline ones too, is more likely a wrong clock.
 */
static int64_t all_expired(const struct yg_tuf *tuf, int64_t now)
{
	static const char *const roles[] = {"root", "targets", "snapshot", "timestamp"};
	int64_t last = 0;
	for (size_t i = 0; i < YG_COUNT(roles); i++)
		if (yg_tuf_expires(tuf, roles[i]) > last)
			last = yg_tuf_expires(tuf, roles[i]);
	return last > 0 && now > last ? now - last : 0;
}

static json_t *answer(const struct verify *verify, const struct yg_tuf *tuf,
	const struct yg_set *set, const char *newest, const struct yg_set_notes *notes)
{
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "set", set->digest,
		"newest", newest, "root", (json_int_t)yg_tuf_version(tuf, "root"), "timestamp",
		(json_int_t)yg_tuf_version(tuf, "timestamp"), "expires",
		(json_int_t)yg_tuf_expires(tuf, "timestamp"), "known",
		(json_int_t)yg_tuf_known_time(tuf), "behind", (json_int_t)yg_tuf_clock_behind(tuf),
		"all_expired", (json_int_t)all_expired(tuf, verify->now), "notes",
		notes_json(notes), "metadata", metadata_json(verify, tuf));
}

static int describe(const struct yg_set *set, int *fd, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_SET_SIZE_MAX);
	if (yg_set_format(set, true, &text, err) < 0)
		return -1;
	*fd = yg_fs_memfd("set", yg_buf_bytes(&text), err);
	return *fd < 0 ? -1 : 0;
}

/* Sets that differ from those before; most often there are none. */
struct others {
	char digests[FDS_MAX][YG_SHA256_TEXT];
	int fds[FDS_MAX]; /* the first is the one that was asked for */
	size_t count;
};

static int add_other(struct others *to, const struct yg_set *set, struct yg_err *err)
{
	for (size_t i = 0; i < to->count; i++)
		if (strcmp(to->digests[i], set->digest) == 0)
			return 0;
	if (to->count == FDS_MAX)
		return 0;
	memcpy(to->digests[to->count], set->digest, YG_SHA256_TEXT);
	to->fds[to->count] = -1;
	return describe(set, &to->fds[to->count++], err);
}

static int collect_other(struct yg_tuf *tuf, const struct yg_set_want *want, struct others *to,
	struct yg_err *err)
{
	struct yg_set_notes *notes YG_AUTO(mem) = calloc(1, sizeof(*notes));
	if (!notes)
		return yg_fail_sys(err, ENOMEM, "verify.refresh");
	struct yg_set *set YG_AUTO(yg_set) = yg_set_collect(tuf, want, notes, err);
	return set ? add_other(to, set, err) : -1;
}

static int describe_others(struct yg_tuf *tuf, const struct question *question, struct others *to,
	struct yg_err *err)
{
	struct yg_set_want want = question->want;
	if (!question->others)
		return 0;
	want.every = false;
	want.seat = YG_ROLLOUT_SEATS - 1;
	if (collect_other(tuf, &want, to, err) < 0)
		return -1;
	size_t i;
	json_t *content;
	want.every = true;
	json_array_foreach(question->serve, i, content)
	{
		parse_content(content, &want);
		if (i + 1 < FDS_MAX && collect_other(tuf, &want, to, err) < 0)
			return -1;
	}
	return 0;
}

/* out  sets  the set; what others get */
static int refresh(struct verify *verify, const struct question *question, json_t **reply,
	struct others *sets, struct yg_err *err)
{
	char newest[YG_SHA256_TEXT];
	json_decref(verify->names);
	verify->names = json_object();
	struct yg_set_notes *notes YG_AUTO(mem) = calloc(1, sizeof(*notes));
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&tuf_ops, verify, verify->now, err);
	if (!notes || !verify->names)
		return yg_fail_sys(err, ENOMEM, "verify.refresh");
	if (!tuf || trust(verify, tuf, err) < 0 ||
		(question->kept ? yg_tuf_use_kept(tuf, err) : yg_tuf_refresh(tuf, err)) < 0)
		return -1;
	struct yg_set *set YG_AUTO(yg_set) = yg_set_collect(tuf, &question->want, notes, err);
	if (!set)
		return -1;
	newest_of(tuf, question, set, notes, newest);
	if (add_other(sets, set, err) < 0 || describe_others(tuf, question, sets, err) < 0)
		return -1;
	*reply = answer(verify, tuf, set, newest, notes);
	return *reply ? 0 : yg_fail_sys(err, ENOMEM, "answering");
}

static void on_refresh(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct yg_err err = {0};
	struct question question = {0};
	json_t *reply = NULL;
	struct others sets = {.count = 0};
	if (parse_question(ctx, msg, &question, &err) < 0 ||
		refresh(ctx, &question, &reply, &sets, &err) < 0)
		yg_ipc_reply_err(ipc, msg->id, &err);
	else
		yg_ipc_reply(ipc, msg->id, reply, sets.fds, sets.count);
	for (size_t i = 0; i < sets.count; i++)
		if (sets.fds[i] >= 0)
			(void)close(sets.fds[i]);
	yg_set_free(question.have);
}

static const struct yg_ipc_handler handlers[] = {
	{"verify.begin", on_begin},
	{"verify.refresh", on_refresh},
	{"verify.object", verify_object},
	{0},
};

/* ---- the role ---- */

int verify_confine(const char *user, struct yg_err *err)
{
	return yg_sandbox_enter(&(struct yg_sandbox){.user = user && *user ? user : NULL,
					.memory_max = MEMORY_MAX,
					.files_max = 64},
		err);
}

int verify_start(struct yg_role_env *env, void **self, struct yg_err *err)
{
	const char *user = NULL;
	if (yg_json_str_or(env->config, "user", 64, "", &user, err) < 0)
		return -1;
	struct verify *verify = calloc(1, sizeof(*verify));
	if (!verify)
		return yg_fail_sys(err, ENOMEM, "starting");
	verify->env = env;
	*self = verify;
	if (yg_sandbox_enter(&(struct yg_sandbox){.memory_max = MEMORY_MAX, .files_max = 64}, err) <
		0)
		return -1;
	yg_role_ready(env);
	return 0;
}

static void asker_gone(void *ctx, struct yg_ipc *ipc)
{
	struct verify *verify = ctx;
	yg_ipc_free(ipc);
	verify->asker = NULL;
	yg_loop_stop(verify->env->loop); /* nobody is left to work for */
}

void verify_link(void *self, const char *peer, const char *tag, int fd)
{
	(void)tag;
	struct verify *verify = self;
	struct yg_err err = {0};
	yg_ipc_free(verify->asker);
	verify->asker = yg_ipc_new(verify->env->loop, fd, peer, handlers, asker_gone, verify, &err);
}

void verify_stop(void *self)
{
	struct verify *verify = self;
	if (!verify)
		return;
	yg_ipc_free(verify->asker);
	json_decref(verify->names);
	free(verify);
}
