/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/install_run_impl.h"
#include "core/log.h"

/* Who asks for a run, and waits for its result: one begins, joins the one that runs, or waits for its turn. */

void install_run_ask_forget(struct install_waiter *waiter)
{
	if (waiter->bundle >= 0)
		(void)close(waiter->bundle);
	json_decref(waiter->body);
	free(waiter->prefix);
	free(waiter);
}

void install_run_ask_refuse(struct install *in, struct install_waiter *waiter,
	const struct yg_err *err)
{
	char lib[YG_SHA256_TEXT];
	yg_store_link(in->store, YG_STORE_LIB, lib);
	if (waiter->id && in->session)
		yg_ipc_reply(in->session, waiter->id,
			json_pack("{s:s, s:s, s:[], s:s, s:s}", "outcome",
				strcmp(err->cause, "job.cancelled") == 0 ? "cancelled" : "failed",
				"set", lib, "updated", "cause", err->cause, "sentence", err->msg),
			NULL, 0);
	install_run_ask_forget(waiter);
}

void install_run_ask_next(struct install *in)
{
	while (in->queue && !in->run) {
		struct install_waiter *waiter = in->queue;
		in->queue = waiter->next;
		install_run_start(in, waiter);
	}
}

/* The same kind, and nothing newer than what runs aims at: its result is this one's too. */
static bool joins(const struct install_run *r, const struct install_run_wish *wish)
{
	return r->relay == (strcmp(wish->kind, "relay") == 0) &&
		(!*wish->aim || strcmp(wish->aim, r->aim) == 0 ||
			(r->set && strcmp(wish->aim, r->set->digest) == 0)) &&
		(!r->scheduled || wish->scheduled);
}

/* Which one runs, who started it, where it stands (T5). */
static void tell_joined(struct install_run *r, const char *job)
{
	struct yg_err err = {0};
	const char *by = json_string_value(json_object_get(r->body, "by"));
	if (r->in->session &&
		yg_ipc_send(r->in->session, "update.joined",
			json_pack("{s:s, s:{s:s, s:s, s:s}}", "job", job, "with", "job", r->job,
				"by", by ? by : "here", "phase",
				r->run.phase ? r->run.phase : "waiting"),
			NULL, 0, &err) < 0)
		yg_log_err(YG_LOG_WARN, "install.joined", &err);
}

void install_run_ask(struct install *in, struct install_waiter *waiter)
{
	struct yg_err err = {0};
	struct install_run_wish wish = {0};
	if (install_run_wish(waiter->body, &wish, &err) < 0) {
		install_run_ask_refuse(in, waiter, &err);
		return;
	}
	if (in->back) {
		(void)yg_fail_cause(&err, YG_EAGAIN, "update.busy", "a rollback is running");
		install_run_ask_refuse(in, waiter, &err);
		return;
	}
	if (!in->run) {
		install_run_start(in, waiter);
		return;
	}
	YG_LOGS(in->logs, install_run_log(in->run), YG_LOGS_APP, "Update", YG_LOGS_BUSY);
	if (waiter->bundle < 0 && in->run->bundle < 0 && joins(in->run, &wish)) {
		yg_log(YG_LOG_INFO, "update.joined", "job %s joins job %s, which is at '%s'",
			wish.job, in->run->job, yg_run_state_name(in->run->run.state));
		waiter->next = in->run->waiters;
		in->run->waiters = waiter;
		tell_joined(in->run, wish.job);
		return;
	}
	struct install_waiter **at = &in->queue;
	while (*at)
		at = &(*at)->next;
	waiter->next = NULL;
	*at = waiter;
}

static struct install_waiter *take_waiter(struct install_waiter **at, const char *job)
{
	for (; *at; at = &(*at)->next) {
		struct install_waiter *waiter = *at;
		const char *its = json_string_value(json_object_get(waiter->body, "job"));
		if (!its || strcmp(its, job) != 0)
			continue;
		*at = waiter->next;
		return waiter;
	}
	return NULL;
}

/* By another job whose session has not gone: that asks anew. */
static bool is_wanted(const struct install_run *r, const char *job)
{
	for (const struct install_waiter *waiter = r->waiters; waiter; waiter = waiter->next) {
		const char *its = json_string_value(json_object_get(waiter->body, "job"));
		if (waiter->id && !(its && strcmp(its, job) == 0))
			return true;
	}
	return false;
}

void install_run_ask_cancel(struct install *in, const char *job)
{
	struct yg_err why = {0};
	(void)yg_fail_cause(&why, YG_EAGAIN, "job.cancelled", "it was cancelled by command");
	struct install_waiter *waiter = take_waiter(&in->queue, job);
	if (waiter) {
		install_run_ask_refuse(in, waiter, &why);
		return;
	}
	struct install_run *r = in->run;
	waiter = r ? take_waiter(&r->waiters, job) : NULL;
	if (!waiter)
		return;
	if (is_wanted(r, job)) {
		install_run_ask_refuse(in, waiter, &why);
		return;
	}
	waiter->next = r->waiters;
	r->waiters = waiter;
	yg_timer_stop(r->pause);
	yg_timer_stop(r->watchdog);
	(void)yg_run_step(&r->run, YG_RUN_CANCEL, &why); /* helpers and engine end when it closes */
}

void install_run_ask_gone(struct install *in)
{
	for (struct install_waiter *waiter = in->run ? in->run->waiters : NULL; waiter;
		waiter = waiter->next)
		waiter->id = 0;
	for (struct install_waiter *waiter = in->queue; waiter; waiter = waiter->next)
		waiter->id = 0;
	/* The next session counts its requests anew: this answer would be taken for that of another one. */
	for (struct install_asked *asked = in->asked; asked; asked = asked->next)
		asked->id = 0;
}

void install_run_ask_free(struct install *in)
{
	if (in->run)
		install_run_free(yg_take(in->run));
	while (in->queue) {
		struct install_waiter *waiter = in->queue;
		in->queue = waiter->next;
		install_run_ask_forget(waiter);
	}
}
