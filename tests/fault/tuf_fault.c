/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* A client's run, with each allocation and each operation failing once: it fails whole or succeeds, it
 * leaks nothing (under a sanitizer), and the next run goes on.
 */
#include <stdlib.h>

#include "content/set.h"
#include "tests/unit/tuf/sim.h"

/* Allocations until one fails; 0: none does. */
static unsigned long left;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *text);

static int fails(void)
{
	return left > 0 && --left == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
	return fails() ? NULL : __real_reallocarray(old, count, size);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

#define HASH "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
static const char manifest[] =
	"{\"format\":1,\"component\":\"am-pattern\",\"family\":\"pattern\",\"version\":1,"
	"\"released\":\"2026-11-21T22:47:43Z\",\"files\":[{\"path\":\"z.hdb\",\"sha256\":\"" HASH
	"\",\"size\":9,\"forms\":[{\"encoding\":\"zstd\",\"sha256\":\"" HASH
	"\",\"size\":4}]}],\"trial\":{\"find\":[\"z.hdb\"],\"pass\":[]}}";

static int run(struct sim *sim, char digest[YG_SHA256_TEXT], struct yg_err *err)
{
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&sim_ops, sim, sim->now, err);
	if (!tuf || yg_tuf_trust(tuf, yg_bytes_of(json_string_value(sim->root_doc)), err) < 0)
		return -1;
	struct yg_set *set YG_AUTO(yg_set) = yg_set_collect(tuf,
		&(struct yg_set_want){.families = YG_FAMILIES_ALL, .every = true}, NULL, err);
	if (!set)
		return -1;
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(65536);
	if (yg_set_format(set, true, &text, err) < 0)
		return -1;
	struct yg_set *again YG_AUTO(yg_set) = yg_set_parse(yg_buf_bytes(&text), err);
	if (!again)
		return -1;
	memcpy(digest, again->digest, YG_SHA256_TEXT);
	return 0;
}

static void start(struct sim *sim)
{
	sim_init(sim);
	(void)json_object_clear(json_object_get(sim->am, "targets"));
	sim_target(sim, sim->am, "am/am-pattern.json", manifest);
	sim_publish(sim);
	/* A second root, so that the chain is walked too. */
	sim_bump(sim->root);
	sim_write(sim, sim->root, "root", "root", NULL);
}

static void allocations(void **state)
{
	(void)state;
	struct sim sim;
	struct yg_err err = {0};
	char want[YG_SHA256_TEXT], have[YG_SHA256_TEXT];
	start(&sim);
	assert_int_equal(run(&sim, want, &err), 0);
	unsigned long n = 0;
	for (bool through = false; !through;) {
		(void)json_object_clear(sim.cache);
		err = (struct yg_err){0};
		left = ++n;
		int r = run(&sim, have, &err);
		through = left > 0; /* the run did not need that many */
		left = 0;
		if (r == 0 && strcmp(have, want) != 0)
			fail_msg("allocation %lu: another set", n);
		if (r != 0 && err.msg[0] == 0)
			fail_msg("allocation %lu: failed without a word", n);
		err = (struct yg_err){0};
		if (run(&sim, have, &err) != 0)
			fail_msg("after allocation %lu: %s", n, err.msg);
		assert_string_equal(have, want);
	}
	assert_true(n > 100);
	sim_done(&sim);
}

/* A floor, an emptied cache and a source that hands out what is older: no failure on the way makes the client
 * take it, or forget the floor.
 */
static void floor_holds(void **state)
{
	(void)state;
	struct sim sim;
	struct yg_err err = {0};
	char digest[YG_SHA256_TEXT];
	start(&sim);
	json_t *older = json_deep_copy(sim.remote);
	(void)json_object_set_new(sim.timestamp, "signed_at", json_string("2027-01-15T07:00:00Z"));
	sim_next(&sim);
	sim_publish(&sim);
	assert_int_equal(run(&sim, digest, &err), 0);
	json_t *floor = json_incref(json_object_get(sim.cache, "floor.json"));
	json_decref(sim.remote);
	sim.remote = older;
	unsigned long n = 0;
	for (bool through = false; !through;) {
		(void)json_object_clear(sim.cache);
		(void)json_object_set(sim.cache, "floor.json", floor);
		err = (struct yg_err){0};
		left = ++n;
		int r = run(&sim, digest, &err);
		through = left > 0;
		left = 0;
		if (r == 0)
			fail_msg("allocation %lu: took what is older", n);
		if (!json_equal(json_object_get(sim.cache, "floor.json"), floor))
			fail_msg("allocation %lu: another floor", n);
	}
	assert_string_equal(err.cause, "tuf.rollback");
	json_decref(floor);
	sim_done(&sim);
}

static int look_up(struct sim *sim, struct yg_err *err)
{
	struct yg_tuf_target target;
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&sim_ops, sim, sim->now, err);
	if (!tuf || yg_tuf_trust(tuf, yg_bytes_of(json_string_value(sim->root_doc)), err) < 0 ||
		yg_tuf_use_kept(tuf, err) < 0)
		return -1;
	return yg_tuf_find(tuf, "bin/x", &target, err);
}

/* Looking up in what is kept, through bins. */
static void kept(void **state)
{
	(void)state;
	struct sim sim;
	struct yg_err err = {0};
	sim_init(&sim);
	json_t *bins = sim_body("targets"), *bin = sim_body("targets");
	(void)json_object_set_new(bins, "targets", json_object());
	(void)json_object_set_new(bins, "delegations",
		json_pack("{s:{}, s:{s:[s], s:i, s:i, s:s}}", "keys", "succinct_roles", "keyids",
			"bin", "threshold", 1, "bit_length", 1, "name_prefix", "bin"));
	sim_add_key(&sim, json_object_get(bins, "delegations"), "bin", "bin");
	(void)json_object_set_new(bin, "targets", json_object());
	sim_target(&sim, bin, "bin/x", "text");
	sim_delegate(&sim, sim.targets, "bins", "bin/*", false);
	sim_write(&sim, bins, "bins", "bins", sim.snapshot);
	sim_write(&sim, bin, "bin-0", "bin", sim.snapshot);
	sim_write(&sim, bin, "bin-1", "bin", sim.snapshot);
	sim_publish(&sim);
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(64);
	assert_int_equal(sim_run(&sim, "bin/x", &out, &err), 0);
	assert_int_equal(look_up(&sim, &err), 0);
	unsigned long n = 0;
	for (bool through = false; !through;) {
		err = (struct yg_err){0};
		left = ++n;
		int r = look_up(&sim, &err);
		through = left > 0;
		left = 0;
		if (r != 0 && err.msg[0] == 0)
			fail_msg("allocation %lu: failed without a word", n);
		if (through && r != 0)
			fail_msg("%s", err.msg);
	}
	assert_true(n > 100);
	json_decref(bins);
	json_decref(bin);
	sim_done(&sim);
}

/* ---- operations ---- */

static unsigned long ops_left;

static int op_fails(struct yg_err *err)
{
	if (ops_left == 0 || --ops_left > 0)
		return 0;
	return yg_fail(err, YG_ESYSTEM, "the disk is on fire");
}

static int bad_fetch(void *ctx, const char *path, size_t max, struct yg_buf *buf,
	struct yg_err *err)
{
	return op_fails(err) < 0 ? -1 : sim_fetch(ctx, path, max, buf, err);
}

static int bad_load(void *ctx, const char *name, struct yg_buf *buf, struct yg_err *err)
{
	return op_fails(err) < 0 ? -1 : sim_load(ctx, name, buf, err);
}

static int bad_save(void *ctx, const char *name, struct yg_bytes bytes, struct yg_err *err)
{
	return op_fails(err) < 0 ? -1 : sim_save(ctx, name, bytes, err);
}

static const struct yg_tuf_ops bad_ops = {bad_fetch, bad_load, bad_save};

static int run_ops(struct sim *sim, struct yg_err *err)
{
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(65536);
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&bad_ops, sim, sim->now, err);
	if (!tuf || yg_tuf_trust(tuf, yg_bytes_of(json_string_value(sim->root_doc)), err) < 0)
		return -1;
	return yg_tuf_get(tuf, "am/am-pattern.json", &out, err);
}

/* Whatever fails, the next run gets there: with what is kept then, and with the floor alone. */
static void go_on(struct sim *sim, unsigned long n)
{
	struct yg_err err = {0};
	json_t *before = json_deep_copy(sim->cache);
	if (run_ops(sim, &err) != 0)
		fail_msg("after operation %lu: %s", n, err.msg);
	json_decref(sim->cache);
	sim->cache = json_object();
	json_t *floor = json_object_get(before, "floor.json");
	if (floor)
		(void)json_object_set(sim->cache, "floor.json", floor);
	json_decref(before);
	if (run_ops(sim, &err) != 0)
		fail_msg("after operation %lu, with the floor alone: %s", n, err.msg);
}

/* From an old cache, with keys rotated in between. */
static void operations(void **state)
{
	(void)state;
	unsigned long n = 0;
	for (bool through = false; !through;) {
		struct sim sim;
		struct yg_err err = {0};
		start(&sim);
		assert_int_equal(run_ops(&sim, &err), 0);
		sim_add_key(&sim, sim.root, "timestamp", "timestamp2");
		sim_role(sim.root, "timestamp", "timestamp", 1);
		sim_bump(sim.root);
		sim_write(&sim, sim.root, "root", "root", NULL);
		sim_next(&sim);
		sim_publish(&sim);
		sim_write(&sim, sim.timestamp, "timestamp", "timestamp=timestamp2", NULL);
		ops_left = ++n;
		int r = run_ops(&sim, &err);
		through = ops_left > 0;
		ops_left = 0;
		if (r != 0)
			assert_non_null(strstr(err.msg, "the disk is on fire"));
		go_on(&sim, n);
		sim_done(&sim);
	}
	assert_true(n > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allocations),
		cmocka_unit_test(floor_holds),
		cmocka_unit_test(kept),
		cmocka_unit_test(operations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
