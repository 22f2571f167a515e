/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/json.h"
#include "core/mem.h"
#include "db/db.h"
#include "proto/lang.h"

/* The Manager's rules, over one database. Everything that happens is an operation of ops.c, in one
 * transaction. The subjects (computers.c, jobs_*.c …) call each other through this header.
 */

/* Who sends operations: the other end of the channel. */
enum store_caller {
	STORE_WEB = 1 << 0,
	STORE_SESSION = 1 << 1,
	STORE_CA = 1 << 2,
	STORE_CONTENT = 1 << 3,
	STORE_PARENT = 1 << 4
};

/* On whose behalf. */
enum store_kind { STORE_KEY = 1 << 0, STORE_AGENT = 1 << 1, STORE_SYSTEM = 1 << 2 };

struct store_asker {
	enum store_caller caller;
	enum store_kind kind;
	char id[40];    /* of the key or the computer; "" for system */
	char name[208]; /* for texts: a key's or a computer's, "system", "schedule" */
	bool full;      /* the key may change things */
	enum yg_lang lang;
};

/* Send a notice to a role. Returns false when that role is not there. `body` is taken over. */
typedef bool store_notify(void *ctx, const char *peer, const char *name, json_t *body);

/* Ask the parent for {"rings":[{"name","text"}],"host":[the same]}: a new reference. */
typedef int store_outside(void *ctx, json_t **out, struct yg_err *err);

#define STORE_CLOCK_S 60 /* so much a clock may go back without anything being done */

struct yg_seal;

struct store {
	struct yg_db *db;
	store_notify *notify;
	void *notify_ctx;
	store_outside *outside; /* the parent's knowledge, for a diagnostic package; NULL: none */
	void *outside_ctx;
	struct yg_seal *seal; /* of settings that are secret, owned; NULL: they cannot be set */
	bool told_seal;       /* said once that a secret cannot be opened */
	int state_fd;         /* the folder of the Manager, borrowed; 0: not known */
	json_t *site; /* names, ports and database of this Manager (diagnose/plan.h), owned; NULL: not known */
	int64_t clock_s; /* of this operation; a test may set now_s */
	int64_t now_s;   /* 0: the system's clock */
	int migration;
	char manager_id[40];
	json_t *wake;          /* agents with new commands in this transaction: {"id": true} */
	int64_t started_s;     /* this process began */
	bool has_content;      /* the content role is there */
	bool running;          /* jobs run: the clock matters more */
	int64_t refused_s[4];  /* when somebody turned away was last an event, by kind */
	bool check_content;    /* ask the content role after this transaction */
	json_t *tests;         /* what else it is asked then: [{id, what}]; NULL: nothing */
	json_t *keys_used;     /* {API key's id: when}, until it is written; owned; NULL: none */
	int64_t last_tick_s;   /* when store_tick last found the clock right; 0: not yet */
	int64_t next_clean_s;  /* when old events are looked for next */
	int64_t next_alerts_s; /* when computers are looked at for alerts next */
	int64_t next_expiry_s; /* when the calendar of what expires is looked at next */
};

/* Open and migrate the database, make what every Manager has (id, default policy).
 * errors  those of db/
 */
int store_open(struct store **out, const char *database, struct yg_err *err) YG_MUST_CHECK;
void store_free(struct store *store);
YG_DEFINE_AUTO(store);

/* One operation. `call` is the body of store.call: {op, args, who, lang}.
 * out     *result  a new object
 * errors  docs/store-ops.md
 */
int store_call(struct store *store, enum store_caller caller, const json_t *call, json_t **result,
	struct yg_err *err) YG_MUST_CHECK;

/* What happens by the clock: computers that went silent, deadlines, schedules, old events. Call every
 * few seconds.
 */
void store_tick(struct store *store);

/* ops.c: the table, for the test that holds the documentation against it. */
struct store_op {
	const char *name; /* the table ends with NULL */
	unsigned callers; /* enum store_caller */
	unsigned kinds;   /* enum store_kind */
	bool full;        /* wants a key with the role "full" */
	int (*run)(struct store *store, const struct store_asker *asker, const json_t *args,
		json_t **out, struct yg_err *err);
	bool lazy; /* nobody is promised that it survives a power cut: the agent says it again */
};
extern const struct store_op store_ops[];

/* --- help for the subjects ---------------------------------------------------------------- */

/* `made` is a value of json_pack, NULL when memory was out. Takes it over into *out. */
int store_give(json_t *made, json_t **out, struct yg_err *err) YG_MUST_CHECK;

/* Append to an array; takes `made` over. */
int store_add(json_t *array, json_t *made, struct yg_err *err) YG_MUST_CHECK;

/* The texts in a query's first column, collected before the caller changes what they came from. *out is
 * a new array. SQL's NULL is an error.
 */
int store_texts(struct store *store, const char *sql, const struct yg_db_value *args, size_t count,
	json_t **out, struct yg_err *err) YG_MUST_CHECK;

json_t *store_time(int64_t s);                                      /* "2026-…Z" */
json_t *store_time_or_null(const struct yg_rows *rows, int column); /* of a column */
json_t *store_parse(const char *text); /* JSON that we wrote; null when NULL or damaged */

/* limit and cursor of a list. errors  YG_EFORMAT, YG_ELIMIT */
struct store_page {
	int64_t limit;
	const char *cursor; /* "" at the start */
};
int store_page(const json_t *args, struct store_page *page, struct yg_err *err) YG_MUST_CHECK;

/* {"items", "next"}; takes items over. next  the last item's cursor, or NULL when that was all */
int store_list(json_t *items, const char *next, json_t **out, struct yg_err *err) YG_MUST_CHECK;

/* "%text%" in lower case with LIKE's signs escaped by '!'; the caller's to free. */
char *store_like(const char *text);

/* Facts by name (facts table). *out is the caller's to free. errors  YG_EABSENT */
int store_fact_get(struct store *store, const char *name, char **out, struct yg_err *err)
	YG_MUST_CHECK;
int store_fact_put(struct store *store, const char *name, const char *value, struct yg_err *err)
	YG_MUST_CHECK;

/* settings.c */
int store_setting_int(struct store *store, const char *name, int64_t *out, struct yg_err *err)
	YG_MUST_CHECK;
int store_setting_bool(struct store *store, const char *name, bool *out, struct yg_err *err)
	YG_MUST_CHECK;
int store_setting_text(struct store *store, const char *name, char **out, struct yg_err *err)
	YG_MUST_CHECK; /* *out is the caller's to free */
/* What the heartbeat's answer gives that computer (docs/wire.md, settings). in  relay  it is one now */
int store_settings_for_agent(struct store *store, const char *computer, bool relay, json_t **out,
	struct yg_err *err) YG_MUST_CHECK;

/* events.c: one of the Manager's own. params is taken over; computer and job may be NULL. */
int store_event(struct store *store, uint32_t id, const char *computer, const char *job,
	json_t *params, struct yg_err *err) YG_MUST_CHECK;
int store_events_clean(struct store *store, struct yg_err *err) YG_MUST_CHECK;

/* commands.c: queue a command (body without seq, taken over) and wake the session. */
int store_command(struct store *store, const char *computer, const char *job, json_t *body,
	struct yg_err *err) YG_MUST_CHECK;
/* With it: how often a command without a job waits already. A test looks at its plan. */
extern const char store_command_same_sql[];
/* A command without a job to all activated computers, or those of a policy ("" for all). */
int store_command_all(struct store *store, const char *command, const char *policy,
	struct yg_err *err) YG_MUST_CHECK;
int store_command_relays(struct store *store, const char *command, struct yg_err *err)
	YG_MUST_CHECK;
/* The session asks for this computer's commands again: who may not have any more hears so. */
int store_command_wake(struct store *store, const char *computer, struct yg_err *err) YG_MUST_CHECK;

#define STORE_RELAY_PORT 4122 /* of relays that do not say another */

/* computers.c */
int store_computer_name(struct store *store, const char *id, char out[208], struct yg_err *err)
	YG_MUST_CHECK; /* errors YG_EABSENT */
/* As computers.get shows it. errors  YG_EABSENT */
int store_computer_get(struct store *store, const char *id, json_t **out, struct yg_err *err)
	YG_MUST_CHECK;
/* The state that people see ("Managed (Online)" …), after what it follows from has changed. */
int store_agent_restate(struct store *store, const char *id, struct yg_err *err) YG_MUST_CHECK;
int store_agent_auth(struct store *store, const char *id, const char *serial,
	struct store_asker *asker, struct yg_err *err) YG_MUST_CHECK;
int store_agent_offline(struct store *store, struct yg_err *err) YG_MUST_CHECK;
/* Components that differ from the newest, as 276 and 784 show them, or NULL when none. */
json_t *store_computer_difference(const json_t *have, const json_t *newest);

/* components.c: {set, components, checked} or JSON null; a new reference, never NULL but on failure. */
json_t *store_component_newest(struct store *store, struct yg_err *err);

/* Has the Manager taken that set for the newest before, and another one since? */
int store_component_was_newest(struct store *store, const char *set, bool *out, struct yg_err *err)
	YG_MUST_CHECK;

/* keys.c */
int store_key_auth(struct store *store, const char *text, struct store_asker *asker,
	struct yg_err *err) YG_MUST_CHECK;

/* Write when keys were used last. errors  those of db/ */
int store_keys_tick(struct store *store, struct yg_err *err) YG_MUST_CHECK;

/* policies.c */
int store_policy_default(struct store *store, char out[40], struct yg_err *err) YG_MUST_CHECK;
int store_policy_ensure(struct store *store, struct yg_err *err) YG_MUST_CHECK;
int store_policy_fingerprint(struct store *store, const char *computer, char out[65],
	struct yg_err *err) YG_MUST_CHECK;

/* jobs_*.c */
int store_job_make(struct store *store, const struct store_asker *asker, const json_t *args,
	char out[40], struct yg_err *err) YG_MUST_CHECK;

/* A job as people see it.
 * in  max  parts that are shown at most, those that did not succeed first; 0: all, and they can be fifty thousand
 */
int store_job_show(struct store *store, const char *id, enum yg_lang lang, int64_t max,
	json_t **out, struct yg_err *err) YG_MUST_CHECK;
int store_job_result(struct store *store, const char *computer, const json_t *entry,
	struct yg_err *err) YG_MUST_CHECK;
int store_job_progress(struct store *store, const char *computer, const json_t *entry,
	struct yg_err *err) YG_MUST_CHECK;
/* The agent reports this policy in force: ends policy jobs. */
int store_job_policy(struct store *store, const char *computer, const char *fingerprint,
	struct yg_err *err) YG_MUST_CHECK;
/* An engine refused its configuration (event 1001). */
int store_job_policy_failed(struct store *store, const char *computer, const char *detail,
	struct yg_err *err) YG_MUST_CHECK;
int store_job_sent(struct store *store, const char *computer, const char *job, struct yg_err *err)
	YG_MUST_CHECK;
/* The computer is deleted: its open parts end. */
int store_job_forget(struct store *store, const char *computer, struct yg_err *err) YG_MUST_CHECK;
/* It is a relay no more: its parts as one end, and jobs go on without it. */
int store_job_no_relay(struct store *store, const char *computer, struct yg_err *err) YG_MUST_CHECK;
/* The content role has reported: nobody waits for it any more. */
int store_job_checked(struct store *store, struct yg_err *err) YG_MUST_CHECK;
int store_jobs_tick(struct store *store, struct yg_err *err) YG_MUST_CHECK;

/* The clock went back, or may have while this process was not there (clock_back.c). */
int store_clock_back(struct store *store, struct yg_err *err) YG_MUST_CHECK;
/* Drop jobs that ended before that moment, a few at a time. *more becomes true when others may be left. */
int store_jobs_clean(struct store *store, int64_t before, bool *more, struct yg_err *err)
	YG_MUST_CHECK;

/* Operations, by file. */
#define STORE_OP(name)                                                                             \
	int name(struct store *store, const struct store_asker *asker, const json_t *args,         \
		json_t **out, struct yg_err *err)
STORE_OP(op_status_get);
STORE_OP(op_manager_get);
STORE_OP(op_computers_list);
STORE_OP(op_computers_get);
STORE_OP(op_computers_update);
STORE_OP(op_computers_delete);
STORE_OP(op_computers_components);
STORE_OP(op_computers_policy);
STORE_OP(op_agents_activate);
STORE_OP(op_agents_certificate);
STORE_OP(op_agents_renew);
STORE_OP(op_agents_heartbeat);
STORE_OP(op_agents_commands);
STORE_OP(op_agents_policy);
STORE_OP(op_agents_ca);
STORE_OP(op_jobs_list);
STORE_OP(op_jobs_get);
STORE_OP(op_jobs_create);
STORE_OP(op_jobs_cancel);
STORE_OP(op_alerts_list);
STORE_OP(op_alerts_catalogue);
STORE_OP(op_expiry_list);
STORE_OP(op_ca_issued);
STORE_OP(op_licences_list);
STORE_OP(op_licences_add);
STORE_OP(op_licences_key);
STORE_OP(op_licences_delete);
STORE_OP(op_tasks_list);
STORE_OP(op_tasks_get);
STORE_OP(op_tasks_create);
STORE_OP(op_tasks_update);
STORE_OP(op_tasks_delete);
STORE_OP(op_tasks_run);
STORE_OP(op_events_add);
STORE_OP(op_events_search);
STORE_OP(op_events_catalogue);
STORE_OP(op_components_list);
STORE_OP(op_components_newest_put);
STORE_OP(op_components_check_failed);
STORE_OP(op_content_settings);
STORE_OP(op_relay_groups_list);
STORE_OP(op_relay_groups_get);
STORE_OP(op_relay_groups_create);
STORE_OP(op_relay_groups_update);
STORE_OP(op_relay_groups_delete);
STORE_OP(op_settings_get);
STORE_OP(op_settings_update);
STORE_OP(op_tokens_list);
STORE_OP(op_tokens_create);
STORE_OP(op_tokens_delete);
STORE_OP(op_keys_list);
STORE_OP(op_keys_create);
STORE_OP(op_keys_delete);
STORE_OP(op_keys_check);
STORE_OP(op_keys_first);
STORE_OP(op_policies_list);
STORE_OP(op_policies_get);
STORE_OP(op_policies_create);
STORE_OP(op_policies_update);
STORE_OP(op_policies_delete);
STORE_OP(op_secrets_get);
STORE_OP(op_secrets_put);
STORE_OP(op_ca_put);
STORE_OP(op_ca_get);
