/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "manager/store/store.h"

/* The Manager's rules, asked as the other roles ask: by operation. Every story runs on SQLite and on a real
 * PostgreSQL; the latter is skipped, with the reason, where there is no server to start.
 */

#define DIGEST_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DIGEST_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define EPOCH_1  "11111111-2222-4333-8444-555555555555"
#define EPOCH_2  "21111111-2222-4333-8444-555555555555"
#define SPKI     "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

struct world {
	struct store *store;
	char where[256];
	char admin[128]; /* key */
	unsigned certificates;
	json_t *notices; /* [[peer, name, body]] */
};

struct agent {
	char id[40], serial[24];
	const char *hostname, *set;
	bool relay;
	int version; /* of am-pattern; 0: nothing yet */
	char fingerprint[65];
};

/* takes args and who over */
int call(struct world *world, enum store_caller caller, const char *op, json_t *args, json_t *who,
	const char *lang, json_t **out, struct yg_err *err);
json_t *as_admin(struct world *world);
json_t *as_system(void);
json_t *person_in(struct world *world, const char *lang, const char *op, json_t *args);
json_t *person(struct world *world, const char *op, json_t *args);
void person_fails(struct world *world, const char *op, json_t *args, enum yg_code code,
	const char *message);
json_t *role(struct world *world, enum store_caller caller, const char *op, json_t *args);
int agent_try(struct world *world, const struct agent *agent, const char *op, json_t *args,
	json_t **out, struct yg_err *err);
json_t *agent_does(struct world *world, const struct agent *agent, const char *op, json_t *args);
const char *text(const json_t *object, const char *name);
json_int_t number(const json_t *object, const char *name);
json_t *hello(const struct agent *agent);
json_t *status(const struct agent *agent);
json_t *heartbeat(struct world *world, struct agent *agent);
void beat(struct world *world, struct agent *agent);
void certify(struct world *world, struct agent *agent);
int activate_with(struct world *world, const char *token, const char *csr, struct agent *agent,
	struct yg_err *err);
void activate(struct world *world, struct agent *agent, const char *hostname, bool relay);
json_t *commands(struct world *world, const struct agent *agent);
void command_job(struct world *world, const struct agent *agent, const char *name, char out[40]);
json_int_t report(struct world *world, const struct agent *agent, json_t *entries);
void result(struct world *world, const struct agent *agent, int seq, const char *job,
	const char *outcome, const char *cause, json_t *detail);
void history(struct world *world, json_int_t since, char *out, size_t size);
json_int_t now_seq(struct world *world);
void want_history(struct world *world, json_int_t since, const char *want);
json_t *job_get(struct world *world, const char *id);
void want_job(struct world *world, const char *id, const char *state, const char *outcome);
void newest(struct world *world, const char *set, int version);
void sql(struct world *world, const char *statement); /* a literal */
/* `count` more computers, "c1" and so on, each like the one of this host name. */
void copies(struct world *world, const char *hostname, int count);
void open_world(void **state, struct world *world);
void world_free_at(struct world *world);

#define WORLD(name)                                                                                \
	struct world name __attribute__((cleanup(world_free_at)));                                 \
	open_world(state, &name)

void world_empty(const char *url); /* a PostgreSQL database */
int world_setup(void **state);
int world_teardown(void **state);

#define PG ((void *)(uintptr_t)1)
#define BOTH(test)                                                                                 \
	{#test ", sqlite", test, NULL, NULL, NULL},                                                \
	{                                                                                          \
#		test ", postgresql", test, NULL, NULL, PG                                         \
	}
