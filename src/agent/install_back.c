/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/install_impl.h"
#include "core/log.h"

struct install_back {
	char left[YG_SHA256_TEXT]; /* the set that is live now, "" if none */
	char to[YG_SHA256_TEXT];
	char reason[32];
	bool again; /* the engine ended once while it loaded */
	void (*done)(void *ctx, const struct yg_err *err);
	void *ctx;
};

static void finish(struct install *in, const struct yg_err *err)
{
	struct install_back *back = in->back;
	in->back = NULL;
	if (err->code)
		install_event(in, 9112,
			json_pack("{s:s, s:s}", "cause", err->cause, "detail", err->msg));
	back->done(back->ctx, err);
	free(back);
}

static json_t *components(struct install *in, const struct install_back *back)
{
	struct yg_err err = {0};
	struct yg_set *left YG_AUTO(yg_set) = yg_store_set(in->store, back->left, &err);
	struct yg_set *to YG_AUTO(yg_set) = yg_store_set(in->store, back->to, &err);
	return install_run_updated(left, to);
}

/* The hold first: between the two a scheduled run must not find a free way back. */
static int go_back(struct install *in, const struct install_back *back, struct yg_err *err)
{
	if (back->left[0] && yg_store_hold_set(in->store, back->left, back->reason, err) < 0)
		return -1;
	if (yg_store_rollback(in->store, err) < 0) {
		struct yg_err why = {0};
		if (yg_store_hold_clear(in->store, &why) < 0)
			yg_log_err(YG_LOG_WARN, "store.hold", &why);
		return -1;
	}
	install_event(in, 9111,
		json_pack("{s:o, s:s}", "components", components(in, back), "set", back->to));
	if (back->left[0])
		install_event(in, 20103,
			json_pack("{s:s, s:s}", "set", back->left, "reason", back->reason));
	YG_LOGS(in->logs, YG_LOGS_IAU, YG_LOGS_APP, "Rollback",
		"Rolled back to %s (%s), %s is held", back->to, back->reason, back->left);
	return 0;
}

static void down(void *ctx, struct install_engine *engine)
{
	(void)ctx;
	(void)engine; /* replaced by live's as soon as it is up */
}

static void up(void *ctx, struct install_engine *engine, const struct yg_err *why)
{
	struct install *in = ctx;
	struct yg_err err = *why;
	if (strcmp(err.cause, "engine.crash") == 0 && !in->back->again) {
		/* One that ended once may have been ended by somebody; twice, it was the content. */
		in->back->again = true;
		(void)install_engine_new(in, in->back->to, up, down, in);
		return;
	}
	if (err.code) {
		finish(in, &err);
		return;
	}
	if (go_back(in, in->back, &err) < 0) {
		install_engine_end(engine);
		finish(in, &err);
		return;
	}
	install_live_take(in, engine);
	finish(in, &err);
}

static int prepare(struct install *in, struct install_back *back, struct yg_err *err)
{
	struct yg_store_report report = {0};
	struct yg_err why = {0};
	yg_store_link(in->store, YG_STORE_LIB, back->left);
	yg_store_link(in->store, YG_STORE_ROLL, back->to);
	if (!back->to[0])
		return yg_fail_cause(err, YG_EABSENT, "store.no_rollback",
			"'li_roll': there is no set to go back to");
	if (yg_store_check(in->store, back->to, &why) == 0)
		return 0;
	if (yg_store_mend(in->store, &report, err) < 0)
		return -1;
	return yg_store_check(in->store, back->to, err);
}

void install_back_start(struct install *in, const char *reason,
	void (*done)(void *ctx, const struct yg_err *err), void *ctx)
{
	struct yg_err err = {0};
	if (in->back || in->run) {
		(void)yg_fail_cause(&err, YG_EAGAIN, "update.busy",
			in->run ? "an update is running: roll back when it has ended"
				: "a rollback is running already");
		done(ctx, &err);
		return;
	}
	struct install_back *back = calloc(1, sizeof(*back));
	if (!back)
		abort(); /* the parent starts us again */
	back->done = done;
	back->ctx = ctx;
	(void)strncpy(back->reason, reason, sizeof(back->reason) - 1);
	in->back = back;
	if (prepare(in, back, &err) < 0) {
		finish(in, &err);
		return;
	}
	struct yg_set *to YG_AUTO(yg_set) = yg_store_set(in->store, back->to, &err);
	if (!to) {
		finish(in, &err);
		return;
	}
	if (install_live_wants(to)) {
		(void)install_engine_new(in, back->to, up, down, in);
		return;
	}
	(void)go_back(in, back, &err);
	finish(in, &err);
	install_live_ensure(in);
}

void install_back_free(struct install *in)
{
	free(in->back);
	in->back = NULL;
}
