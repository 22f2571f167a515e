/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "content/store.h"
#include "core/role.h"
#include "update/logs.h"
#include "update/run.h"

/* The parts of the install role among themselves. install.c: links and messages. install_engine.c: one
 * engine process. install_live.c: the engine of the live set, and moving over to another. install_run*.c: one
 * update run. install_mirror.c: the files that a relay serves. install_policy.c: SET_CONFIG.
 */

struct install;

/* ---- one engine process (install_engine.c) ---- */

struct install_engine {
	struct install_engine *next; /* in install->engines */
	struct install *in;
	char set[YG_SHA256_TEXT]; /* also its tag */
	struct yg_ipc *ipc;       /* NULL: not linked yet */
	bool ready;               /* loaded */
	bool retired;             /* does not count any more; ends when its scans have */
	bool bare;                /* loads without the policy, which it refused */
	bool revived;             /* was retired, and is wanted again */
	bool adopted;             /* it ran already when the parent was asked for it */
	int64_t signatures, memory_bytes;
	double seconds;
	struct yg_timer *timer; /* while starting: its deadline; when retired: its end */

	/* Called once, loaded or not (then the engine is freed when it returns); later `down` when a
	 * loaded one ends by itself (freed as well).
	 */
	void (*up)(void *ctx, struct install_engine *engine, const struct yg_err *err);
	void (*down)(void *ctx, struct install_engine *engine);
	void *ctx;
	void (*tried)(void *ctx, const struct yg_err *err); /* of a trial under way */
	struct install_trial *trial;                        /* owned */
};

/* Start, or take over, the engine of a set that is on the disk. */
struct install_engine *install_engine_new(struct install *in, const char *set,
	void (*up)(void *ctx, struct install_engine *engine, const struct yg_err *err),
	void (*down)(void *ctx, struct install_engine *engine), void *ctx);
void install_engine_link(struct install_engine *engine, int fd);
struct install_engine *install_engine_find(struct install *in, const char *set);

/* Let it judge the set's samples; `done` once, perhaps from inside. `set` is borrowed until then. */
void install_engine_try(struct install_engine *engine, const struct yg_set *set,
	void (*done)(void *ctx, const struct yg_err *err), void *ctx);

/* Let it go: at once, or (retire) when the scans that it has are done. */
void install_engine_end(struct install_engine *engine);
void install_engine_retire(struct install_engine *engine);
void install_engine_free_all(struct install *in);

/* ---- the engine of the live set (install_live.c) ---- */

#define INSTALL_CRASHES_MAX 3 /* ends of the live engine within INSTALL_CRASH_MS: a crash loop */
#define INSTALL_CRASH_MS    60000

struct install_live {
	struct install_engine *engine; /* of the live set; NULL: none, or being started */
	struct yg_timer *again;        /* back-off */
	bool pending;                  /* `again` is set */
	int64_t backoff_ms;
	int64_t crashes[INSTALL_CRASHES_MAX]; /* when; 0: not */
	bool offline;                         /* event 20101 was sent */
	int64_t offline_ms, since_ms;         /* when it went, when it came */
	struct yg_err why;                    /* of no engine */
	struct yg_timer *watch;               /* asks it now and then */
	int64_t asked_ms;                     /* since when it owes an answer; 0: it does not */
	int64_t silence_ms;                   /* after so long it hangs; 0: never */
};

void install_live_init(struct install *in);
void install_live_done(struct install *in);
/* Whether there is something for an engine in it. */
bool install_live_wants(const struct yg_set *set);
/* Have an engine for what `lib` leads to, unless there is one. */
void install_live_ensure(struct install *in);
/* `engine` (loaded; taken over) is the live one from now on: walk is joined to it, the old one retires. */
void install_live_take(struct install *in, struct install_engine *engine);
/* walk came (again): join it to the engine. */
void install_live_join(struct install *in);
/* Tell walk whether there is an engine, or one comes. */
void install_live_tell(struct install *in);
json_t *install_live_status(struct install *in); /* {state, reason, signatures, memory_bytes} */

/* ---- going back (install_back.c) ---- */

/* Back to li_roll, which is checked and loaded first; the set that is left is held for `reason`. `done` gets
 * the failure, or none. One at a time (YG_EAGAIN update.busy).
 */
void install_back_start(struct install *in, const char *reason,
	void (*done)(void *ctx, const struct yg_err *err), void *ctx);
void install_back_free(struct install *in);

/* ---- one update run (install_run.c) ---- */

struct install_run;

/* A request that waits for a run's result. */
struct install_waiter {
	struct install_waiter *next;
	uint32_t id; /* of the request at the session link; 0: the link was replaced meanwhile */
	json_t *body;
	int bundle;   /* a file to update from; -1: none */
	char *prefix; /* put before the sentence (what repair did); NULL */
};

/* Takes the waiter over: joins the run under way, or starts one, or waits for its turn. */
void install_run_ask(struct install *in, struct install_waiter *waiter);
void install_run_helper_link(struct install *in, const char *peer, const char *tag, int fd);
/* Nobody wants the result of this job any more: its run ends, unless others wait for it, or it is about to go
 * live. The result says how it ended.
 */
void install_run_ask_cancel(struct install *in, const char *job);
void install_run_ask_gone(struct install *in);
void install_run_ask_free(struct install *in);
json_t *install_run_updated(const struct yg_set *from, const struct yg_set *to);

/* ---- what a relay serves (install_mirror.c) ---- */

struct install_mirror;

struct install_mirror *install_mirror_new(int root, struct yg_err *err) YG_MUST_CHECK;
void install_mirror_free(struct install_mirror *mirror);
YG_DEFINE_AUTO(install_mirror);

/* The set that it holds whole, "" if none. */
const char *install_mirror_set(const struct install_mirror *mirror);

/* A metadata file or manifest as it came; kept in memory until install_mirror_stage. errors  YG_ELIMIT, YG_EFORMAT */
int install_mirror_note(struct install_mirror *mirror, const char *path, int fd, struct yg_err *err)
	YG_MUST_CHECK;
void install_mirror_forget(struct install_mirror *mirror);
#define INSTALL_MIRROR_ALSO 5
/* Their files are kept, too, when the next set is switched to; borrowed until install_mirror_forget; each may be
 * NULL.
 */
void install_mirror_also(struct install_mirror *mirror,
	struct yg_set *const sets[INSTALL_MIRROR_ALSO]);
bool install_mirror_noted(const struct install_mirror *mirror, const char *path);
/* A descriptor of the description, with forms, of the set that is served; -1: none. */
int install_mirror_description(const struct install_mirror *mirror);
/* Whether a file of metadata was noted, or is there. */
bool install_mirror_knows(struct install_mirror *mirror, const char *path);

/* What was found damaged. */
struct install_mirror_damage {
	uint32_t checked; /* by install_mirror_object_check */
	uint32_t count;
	char path[128]; /* the first: "relay/objects/ab/abcd…" */
	char object[YG_SHA256_TEXT];
};

/* Since this was asked last. */
struct install_mirror_damage install_mirror_object_damage(struct install_mirror *mirror);
/* Read every object now, and remove those that are damaged: nobody gets them, the next run fetches them. */
void install_mirror_object_check(struct install_mirror *mirror);

/* Whether a transfer form is there and good: hashed, unless that was done within a day and nobody touched the
 * file since.
 */
bool install_mirror_object_has(struct install_mirror *mirror, const struct yg_form *form);
int install_mirror_object_add(struct install_mirror *mirror, int fd, const struct yg_form *form,
	struct yg_err *err) YG_MUST_CHECK;

/* True when what was noted and the set are just what is served already. */
bool install_mirror_same(struct install_mirror *mirror, const struct yg_set *set);
/* Everything but timestamp.json; then timestamp.json; then what nobody needs any more goes. */
int install_mirror_stage(struct install_mirror *mirror, struct yg_err *err) YG_MUST_CHECK;
int install_mirror_switch(struct install_mirror *mirror, const struct yg_set *set,
	struct yg_err *err) YG_MUST_CHECK;

/* ---- what lasts longer than a run (install_alarm.c) ---- */

/* Something that is wrong, by a name of its own: event `id` once, until it is over, also across restarts.
 * `params` is taken over.
 */
void install_alarm_begin(struct install *in, const char *name, const char *cause,
	const char *detail, int id, json_t *params);
/* It is over: event `id`, if it had begun. */
void install_alarm_end(struct install *in, const char *name, int id, json_t *params);
json_t *install_alarm_status(struct install *in); /* [{name, since, cause, detail}] */

/* This computer's place in staged rollouts, 0..9999: drawn once, and kept (install_seat.c). */
unsigned install_seat(struct install *in);

/* ---- policy (install_policy.c) ---- */

struct install_policy {
	json_t *engine;        /* the last good configuration of the engine; NULL: none */
	char fingerprint[129]; /* of the policy it came with */

	/* Until an engine has taken it: the one before, to which a refusal leads back (K3). */
	bool unproven;
	json_t *before;
	char before_fingerprint[129];
	char refused
		[129]; /* the last one that an engine refused when it started with it, "" if none */
};

void install_policy_load(struct install *in);
void install_policy_apply(struct install *in, uint32_t id, const json_t *body);
void install_policy_proven(struct install *in); /* an engine started with it */
void install_policy_refused(struct install *in, const struct yg_err *why); /* event 1001 */

/* ---- what was asked, and is not answered yet (install_asked.c) ---- */

/* One request to another role: of whose channel it is, and whom its answer is for. */
struct install_asked {
	struct install_asked *next; /* in install->asked */
	struct install *in;
	const struct yg_ipc *of, *session; /* compared, never used */
	uint32_t id;                       /* of the request at session; 0: none */
	char name[129];                    /* a tag, a set, a fingerprint */
	json_t *body;                      /* owned */
};

struct install_asked *install_asked_new(struct install *in, const struct yg_ipc *of);
void install_asked_free(struct install_asked *asked);
/* A channel is about to be freed (NULL: all of them): what was asked over it is answered to session with YG_EAGAIN,
 * and forgotten.
 */
void install_asked_lost(struct install *in, const struct yg_ipc *of);

/* ---- the role (install.c) ---- */

struct install {
	struct yg_role_env *env;
	int root;
	int installed_root; /* descriptor of the root.json of the installation; -1 */
	struct yg_store *store;
	struct yg_logs *logs;
	struct yg_ipc *session, *walk, *relay;

	struct install_engine *engines;
	struct install_asked *asked; /* install_asked.c */
	struct install_live live;
	struct install_policy policy;
	struct install_mirror
		*mirror; /* made at the first run of kind relay, or when there is one */
	int64_t abi;     /* content format level of the engine; 0: not known yet */

	struct install_run *run;
	struct install_waiter *queue; /* runs that wait for their turn */
	struct install_back *back;
	json_t *events; /* for session, while it is not there */
	json_t *alarms; /* {name: {since, cause, detail}}; NULL: not read yet */
	json_t *later;  /* {url: {at (monotonic ms), cause}}: sources that said "not before" */
	unsigned serial;
};

/* Tell session. Events wait for a session that is not there (a few); it gets the status when it comes.
 * `params` is taken over.
 */
void install_event(struct install *in, int id, json_t *params);
void install_changed(struct install *in);
/* `more` (members besides; borrowed) or NULL */
void install_progress(struct install *in, const char *job, const char *phase, int64_t done,
	int64_t of, const json_t *more);
json_t *install_status(struct install *in);
json_t *install_components(struct install *in, const char *set); /* [{name, version}] */
