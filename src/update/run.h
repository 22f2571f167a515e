/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "proto/job.h"

/* One update run: the order of things, and nothing else. Each state starts work through `ops` and
 * returns; the outcome comes as an event (yg_run_step), from the loop or from inside the op itself.
 * An agent's run and a relay's are the same; what staging, trying and switching mean differs by ops.
 *
 * Sources are numbered: first the relays, then the sources that may be used when no relay answers (U11).
 * Which is asked next:
 *
 *     failed             the next one at once, over the relays in turn, `tries` in all; then over the sources in
 *                        the same way. One that was asked already: after a pause that doubles
 *     behind (NOT_YET)   the next relay at once; when none has the set, all again after poll_ms, until wait_ms
 *                        are over. Then the sources, or failure
 *     "not before"       (Retry-After) one that said so is passed over until then. When nobody else is left
 *                        it is waited for, unless that is longer than patience_ms, or than the rest of wait_ms
 *
 * The failure of a run that tried several is the one of the source that got furthest (yg_run_rank): a relay
 * that is switched off hides nothing of what the source said. Of equals, the last one.
 */

enum yg_run_state {
	YG_RUN_IDLE,
	YG_RUN_LICENCE,  /* which families may be updated (U5) */
	YG_RUN_SNAPSHOT, /* keep what is live (U6) */
	YG_RUN_PLAN,    /* metadata from the present source: what is newest, what is missing here */
	YG_RUN_WAITING, /* the relay has not got the set that is aimed at (U4) */
	YG_RUN_CHOOSING, /* a source failed: take the next one, after a pause */
	YG_RUN_FETCH,    /* bring the next missing object */
	YG_RUN_VERIFY,   /* decode it and check its hash */
	YG_RUN_STAGE,    /* build the set */
	YG_RUN_TRY,      /* load it beside the live one and try it (T15) */
	YG_RUN_SWITCH,   /* make it live (U9) */
	YG_RUN_CLOSING,  /* forget the snapshot, end the helpers */
	YG_RUN_DONE,
};
#define YG_RUN_STATES (YG_RUN_DONE + 1)

enum yg_run_event {
	YG_RUN_START,
	YG_RUN_OK,            /* the work of this state succeeded */
	YG_RUN_SAME,          /* PLAN: nothing is newer, nothing is missing */
	YG_RUN_NOT_YET,       /* PLAN: not the set that is aimed at */
	YG_RUN_HELD,          /* PLAN: the set is held, and this run may not take it (U13) */
	YG_RUN_COMPLETE,      /* FETCH: no object is missing any more */
	YG_RUN_LACKING,       /* STAGE: an object is gone again: plan anew, from what is here now */
	YG_RUN_DUE,           /* a pause is over */
	YG_RUN_SOURCE_FAILED, /* the source could not, or what it gave is not right: try another */
	YG_RUN_FAILED,        /* something here failed: no other source would help */
	YG_RUN_CANCEL,        /* nobody wants it any more; not once it goes live */
};
#define YG_RUN_EVENTS      (YG_RUN_CANCEL + 1)
#define YG_RUN_SOURCES_MAX 64

struct yg_run_ops {
	void (*licence)(void *ctx);
	void (*snapshot)(void *ctx);
	void (*plan)(void *ctx); /* from source yg_run.source */
	void (*fetch)(void *ctx);
	void (*verify)(void *ctx);
	void (*stage)(void *ctx);
	void (*trial)(void *ctx);
	void (*swap)(void *ctx);
	void (*close)(void *ctx);
	void (*pause)(void *ctx, int64_t ms); /* then YG_RUN_DUE; 0: at once, but from the loop */
	void (*done)(void *ctx);              /* outcome and err are final; the run may be freed */
	void (*phase)(void *ctx, const char *phase); /* it changed; may be NULL */
	int64_t (*now_ms)(void *ctx);                /* monotonic */
	/* A back-off that others do not have too; NULL: as it is. */
	int64_t (*jitter)(void *ctx, int64_t ms);
};

struct yg_run_limits {
	size_t relays, sources; /* how many of each */
	uint32_t tries;         /* in all over the relays, then in all over the sources; 1.. */
	int64_t backoff_ms;  /* first pause before a source is asked again; doubles, to a minute */
	int64_t wait_ms;     /* how long the aim is waited for */
	int64_t poll_ms;     /* between two looks meanwhile */
	int64_t patience_ms; /* longest wait for a source that said "not before" */
};

struct yg_run {
	enum yg_run_state state;
	size_t source; /* present one: 0 .. relays + sources - 1 */
	enum yg_job_outcome outcome;
	bool changed;      /* something became live */
	struct yg_err err; /* why not success; also of a cancelled run */

	struct yg_run_limits limits;
	const struct yg_run_ops *ops;
	void *ctx;
	uint32_t tried;  /* attempts over the present list that failed */
	uint32_t behind; /* relays in a row that are behind */
	int rank;        /* of err, as long as it is a source's */
	bool begun;      /* a source was chosen */
	int64_t later_ms
		[YG_RUN_SOURCES_MAX]; /* not before, monotonic; who starts the run may set them */
	char later_cause[YG_RUN_SOURCES_MAX][YG_ERR_CAUSE_MAX]; /* and why: "": http.maintenance */
	uint32_t replanned;  /* times that objects were gone again */
	int64_t deadline_ms; /* of waiting; 0: did not wait yet */
	bool inside;         /* an op is being started */
	bool has_next;       /* it has already said how it ended */
	const char *phase;   /* as in progress messages; static */
};

/* in place; ops and ctx are borrowed. Then yg_run_step(run, YG_RUN_START, NULL). */
void yg_run_init(struct yg_run *run, const struct yg_run_limits *limits,
	const struct yg_run_ops *ops, void *ctx);

/* Take one event. `why` must be given with SOURCE_FAILED, FAILED and CANCEL, and may be with NOT_YET; its
 * retry_s counts. Returns false, and changes nothing, when the event makes no sense in this state (a late
 * answer).
 */
bool yg_run_step(struct yg_run *run, enum yg_run_event event, const struct yg_err *why);

/* How far an attempt got that failed with this cause: 0 unknown, 1 names, 2 the connection, 3 a proxy, 4 TLS, 5 HTTP,
 * 6 metadata, 7 content.
 */
int yg_run_rank(enum yg_run_state state, const char *cause);

/* True while the present source is a relay. */
bool yg_run_at_relay(const struct yg_run *run);

const char *yg_run_state_name(enum yg_run_state state);
const char *yg_run_event_name(enum yg_run_event event);

/* Where an event leads from a state; false when nowhere. For tests, and the drawing of the machine. */
bool yg_run_rule(enum yg_run_state from, enum yg_run_event event, enum yg_run_state *to);
