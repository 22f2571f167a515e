/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "diagnose/diagnosis.h"

/* The diagnosis of an agent (and of the relay in it) on this computer: what it says of itself, when it runs; what lies on
 * the disk; the configuration; names; its clock. It needs no answer of the agent: a dead one is the first thing that is
 * found, and the rest is looked at all the same.
 */

struct yg_diagnose_agent {
	const char *root;     /* of the installation; "" for / */
	const json_t *status; /* of the control socket; NULL: it does not run */
	const char *offline;  /* why not: the message of who asked; "" */
	const char *
		offline_cause; /* agent.silent: it runs, but does not answer; NULL or another: agent.offline */
	const json_t *
		targets; /* of the control socket's `test`, all that were asked for; NULL: not known */
	const char *program; /* path of yagura-agent, to check the configuration; NULL */
	int64_t now_s;       /* this computer's clock */
};

void yg_diagnose_agent(struct yg_diagnosis *diagnosis, const struct yg_diagnose_agent *given);

/* Who it is: {name, id, manager} as its identity says; empty without one. A new reference. */
json_t *yg_diagnose_identity(const char *root);

/* ---- for agent.c's other half ---- */

/* What `test` saw: [{what, url, proxy, steps:[{step, ok, ms, seen, cause, detail}]}] */
void yg_diagnose_targets(struct yg_diagnosis *diagnosis, const json_t *targets);

/* How an update ended: {time, outcome, cause, detail, source, tried:[{url, cause, detail}]} */
void yg_diagnose_run(struct yg_diagnosis *diagnosis, const char *check, const json_t *run);

/* The names of what the agent speaks to.
 * in  settings  those of the Manager; NULL
 *     local     the agent's configuration: {"update.source", "proxy.manager", …: texts}
 *     manager   URL; NULL or ""
 */
void yg_diagnose_names(struct yg_diagnosis *diagnosis, const json_t *settings, const json_t *local,
	const char *manager);

/* A configuration file as {"section.key": text}. What cannot be read is left out: whether the file is right is for the
 * program to say that it belongs to. A new reference.
 */
json_t *yg_diagnose_config(const char *path);
