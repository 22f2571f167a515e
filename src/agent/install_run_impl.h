/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "agent/install_impl.h"
#include "agent/install_run_pipe.h"

/* The parts of one update run among themselves. install_run_ask.c: requests. install_run.c: results, failures.
 * install_run_helper.c: its processes. install_run_plan.c, install_run_tuf.c, install_run_fetch.c,
 * install_run_verify.c, install_run_switch.c: what the states of src/update/run.h do on this computer. Everything
 * that comes from outside goes fetch -> a pipe (install_run_pipe.c) -> a file -> verify -> an object, and is hashed
 * here before it is believed.
 */

#define INSTALL_RUN_PATH 256 /* bytes */
#define INSTALL_RUN_ALSO INSTALL_MIRROR_ALSO

struct install_run_helper {
	struct install_run *run;
	const char *role;
	struct yg_ipc *ipc;
};

struct install_run_item {
	const char *component;      /* points into the set, or is of a static table */
	const struct yg_file *file; /* points into the set, or is one of run->lost */
	const struct yg_form *form; /* of that file: what is fetched */
	bool again; /* what was here of it was of no use: it is fetched from its start */
	bool spare; /* only the set before needs it: the run goes on without */
};

struct install_run {
	struct install *in;
	struct yg_run run;
	struct install_waiter *waiters;
	json_t *body; /* of the first request */
	bool relay, scheduled;
	const char *job, *aim; /* point into body */
	json_t *sources;       /* borrowed from body */
	int64_t timeout_s, connect_s, limit_s;

	char tag[48]; /* of the helpers */
	struct install_run_helper fetch, verify;
	bool spawning, begun;
	struct yg_timer *pause, *watchdog, *limit;

	struct yg_set *from;                   /* live before; NULL: none */
	struct yg_set *set;                    /* the plan's */
	struct yg_set *also[INSTALL_RUN_ALSO]; /* of a relay: what others get; NULL: no more */
	struct install_run_item *items;
	size_t count, at;
	json_t *planned; /* {SHA-256: true} of the items: of the transfer at a relay, else of the file */
	struct yg_file **
		lost; /* copies: files that sets on this disk have lost, and the new one does not name */
	size_t lost_count;
	uint64_t done_bytes, of_bytes;
	int64_t told_ms;
	int transfer, plain; /* the object under way, as it comes and decoded; -1 */
	uint64_t had;        /* bytes of `transfer` that were there before it was asked for */
	struct install_run_pipe *pipe; /* from fetch, while something is fetched */
	yg_ipc_done *got;              /* of what is fetched */
	json_t *useless; /* {transfer SHA-256: true}: deltas that did not lead to their file */
	uint64_t fetched_bytes; /* of objects, in this run */
	size_t deltas, failed_deltas;
	size_t spares;   /* files fetched for the set before */
	bool roll_lost;  /* it has files that could not be had */
	uint32_t tuf_id; /* verify's tuf.fetch under way */
	int tuf_fd;
	char tuf_path[INSTALL_RUN_PATH];
	struct install_engine *engine; /* being tried */
	struct yg_store_report report;
	int64_t root_next, root_last; /* of a relay: versions that agents may need */
	bool told_relay, told_source;

	/* For who asks later how it went. */
	json_t *tried; /* [{url, cause, detail}]: what each source said last that could not help */
	int64_t began_ms, fetch_ms; /* monotonic: the run, and its present FETCH */
	int64_t requests;           /* to sources */
	uint64_t came_bytes;        /* from them */

	/* What verify said of the repository; install_run_known.c. */
	json_t *manifests; /* {sha256: true}: asked for in this run */
	json_t *notes;     /* components that are not at their newest, and why */
	char newest
		[YG_SHA256_TEXT]; /* what the repository has, whatever of it is for this computer */
	struct yg_err expired;    /* code not 0: nothing fresh was to be had */
	int64_t behind;           /* seconds, of this computer's clock */
	bool kept;        /* asked for what is trusted already: nothing fresh was to be had */
	bool answered;    /* verify.refresh succeeded */
	int bundle;       /* instead of a source; -1: none */
	bool tried_again; /* the engine of the new set ended once */
};

/* ---- install_run.c ---- */

struct install_run_wish { /* what a request asks for; points into its body */
	const char *job, *aim, *kind;
	bool scheduled;
	int64_t tries, timeout_s, connect_s, retry_s, wait_s, limit_s;
	json_t *sources;
};

int install_run_wish(const json_t *body, struct install_run_wish *wish, struct yg_err *err);
/* Begin a run, or refuse it; there is none. Takes the waiter over. */
void install_run_start(struct install *in, struct install_waiter *waiter);
void install_run_free(struct install_run *r);

/* ---- install_run_ask.c ---- */

void install_run_ask_next(struct install *in); /* the run is over: those that wait for their turn */
/* Answered with a failure; taken over. */
void install_run_ask_refuse(struct install *in, struct install_waiter *waiter,
	const struct yg_err *err);
void install_run_ask_forget(struct install_waiter *waiter); /* free */

/* ---- the same, of a run under way ---- */

enum yg_logs_file install_run_log(const struct install_run *r);
const json_t *install_run_source(const struct install_run *r);
const char *install_run_source_url(const struct install_run *r);

/* How far it is, to all who wait for it. */
void install_run_progress(struct install_run *r, const char *phase, int64_t done, int64_t of,
	const json_t *more);
/* The present source could not help: remembered for the result. */
void install_run_note(struct install_run *r, const struct yg_err *why);
/* The relay is behind: another one, or later. */
void install_run_not_yet(struct install_run *r, const struct yg_err *why);
/* Another source may help, unless the fault is this computer's. May free the run. */
void install_run_fail(struct install_run *r, const struct yg_err *why);
/* No other source helps. May free the run. */
void install_run_fail_here(struct install_run *r, const struct yg_err *why);
/* May free the run. */
void install_run_step(struct install_run *r, enum yg_run_event event);

/* ---- install_run_helper.c ---- */

void install_run_helper_spawn(struct install_run *r); /* ends in install_run_plan_begun */
void install_run_helper_end(struct install_run *r);
void install_run_helper_late(void *ctx); /* the watchdog; ctx: the run */
/* fetch.get, into `fd` (borrowed until `done`), at its position; the body is that of install_run_fetch_body,
 * perhaps with "offset", and taken over. One at a time; `done` gets the run, perhaps from inside. What the
 * helpers' end cuts off is forgotten.
 */
void install_run_helper_get(struct install_run *r, json_t *body, int fd, yg_ipc_done *done);

/* ---- install_run_tuf.c ---- */

extern const struct yg_ipc_handler install_run_tuf_asks[]; /* ctx: the helper */

/* ---- install_run_cache.c ---- */

/* Where metadata is kept by the name that src/tuf gives it. errors  YG_EFORMAT, YG_ELIMIT */
int install_run_cache_path(const struct install_run *r, const char *name,
	char out[INSTALL_RUN_PATH], struct yg_err *err);
/* Replace a file, or whatever was put where it belongs, durably. errors  YG_ESYSTEM */
int install_run_cache_keep(struct install_run *r, const char *path, struct yg_bytes bytes,
	struct yg_err *err);
/* The descriptor of a file of the repository that is here and whole: a manifest; or -1. */
int install_run_cache_find(struct install_run *r, const char *path);
/* A new reference to the entity tag on condition of which a file is asked for; or NULL. */
json_t *install_run_cache_etag(struct install_run *r, const char *path);
/* What came is kept, if that saves something. *fd is replaced by the kept file when nothing came because it
 * did not change.
 */
int install_run_cache_came(struct install_run *r, const char *path, const json_t *reply, int *fd,
	struct yg_err *err);
/* Manifests that were not asked for in this run go. */
void install_run_cache_collect(struct install_run *r);

/* ---- install_run_known.c ---- */

/* Have the mirror serve a root that is kept here, at its path in the repository. False: none of that version is. */
bool install_run_known_root(struct install_run *r, int64_t version, const char *path);

/* Ask verify what is newest, with `done` as the reply: from the source, or (kept) from what is trusted. */
void install_run_known_refresh(struct install_run *r, bool kept, yg_ipc_done *done);
/* What the reply says besides the set. */
int install_run_known_answered(struct install_run *r, const json_t *reply, struct yg_err *err);
/* The run is over: the outcome is made to say what was missing, alarms begin and end. */
void install_run_known_ended(struct install_run *r);

/* ---- install_run_fetch.c ---- */

#define INSTALL_RUN_PART_MIN (16u << 10) /* bytes: smaller transfers are not worth going on with */

/* A nameless file on the store's disk. */
int install_run_fetch_file(struct install_run *r, struct yg_err *err);
/* The body of fetch.get, to the source that is asked now. */
json_t *install_run_fetch_body(const struct install_run *r, const char *path, uint64_t max);
/* How far FETCH is; ctx: the run. */
void install_run_fetch_progress(void *ctx);
/* One line for each conversation. */
void install_run_fetch_log(struct install_run *r, const char *path, const struct yg_err *err,
	const json_t *reply);
void install_run_fetch(void *ctx); /* FETCH */
/* Begin with the item's next try: what is here of its transfer was of no use. */
void install_run_fetch_drop(struct install_run *r);
void install_run_fetch_done(struct install_run *r); /* the item is there */
/* A delta that leads nowhere: the whole file is fetched in its place, from the same source. False when it was
 * none.
 */
bool install_run_fetch_whole(struct install_run *r, const struct yg_err *why);
/* Go on without a file that only the set before needs. False when this one is needed. */
bool install_run_fetch_spare(struct install_run *r, const struct yg_err *why);

/* ---- install_run_verify.c ---- */

void install_run_verify(void *ctx); /* VERIFY */

/* ---- install_run_plan.c ---- */

void install_run_plan(void *ctx); /* PLAN */
/* The reply of verify.begin. */
void install_run_plan_begun(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err);
/* Whether the object of these plain bytes is in the store (ctx: the run). */
bool install_run_plan_is_here(void *ctx, const char *sha256);
void install_run_plan_forget(struct install_run *r); /* free run->lost */
/* Let go of the set before, when files of it cannot be had any more; event 20117. */
void install_run_plan_drop(struct install_run *r);
/* Tell what was damaged and is whole again. */
void install_run_plan_healed(struct install_run *r);

/* ---- install_run_switch.c ---- */

void install_run_switch_stage(void *ctx);
void install_run_switch_trial(void *ctx);
void install_run_switch(void *ctx);
