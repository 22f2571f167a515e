/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <string.h>

#include "agent/install_run_impl.h"
#include "core/log.h"

/* STAGE, TRY, SWITCH: what was fetched becomes a set, is judged by an engine of its own, and goes live. */

/* What was missing is linked into all sets that have it, not only the new one, by mending. */
static int stage(struct install_run *r, struct yg_err *err)
{
	struct yg_store_report report = {0};
	if ((r->spares > 0 || r->report.missing > 0) &&
		yg_store_mend(r->in->store, &report, err) < 0)
		return -1;
	return yg_store_stage(r->in->store, r->set, err);
}

void install_run_switch_stage(void *ctx)
{
	struct install_run *r = ctx;
	struct yg_err err = {0};
	int rc = r->relay ? install_mirror_stage(r->in->mirror, &err) : stage(r, &err);
	if (rc == 0)
		install_run_step(r, YG_RUN_OK);
	else if (err.code == YG_EABSENT)
		install_run_step(r, YG_RUN_LACKING);
	else
		install_run_fail_here(r, &err);
}

static void refuse_content(struct install_run *r, const struct yg_err *why)
{
	struct yg_err err = *why;
	/* An engine that ended once may have been ended by somebody; twice, it was the content. */
	if (strcmp(err.cause, "engine.crash") == 0 && !r->tried_again) {
		r->tried_again = true;
		YG_LOGS(r->in->logs, YG_LOGS_IAU, YG_LOGS_ERR, "Trial", "%s, trying again",
			err.msg);
		install_engine_end(yg_take(r->engine));
		install_run_switch_trial(r);
		return;
	}
	if (!err.cause[0])
		(void)yg_fail_cause(&err, why->code, "engine.trial", "%s", why->msg);
	install_event(r->in, 9017,
		json_pack("{s:o, s:s, s:s, s:s}", "components",
			install_run_updated(r->from, r->set), "set", r->set->digest, "cause",
			err.cause, "detail", err.msg));
	install_run_fail_here(r, &err);
}

static void tried(void *ctx, const struct yg_err *err)
{
	struct install_run *r = ctx;
	if (err->code)
		refuse_content(r, err);
	else
		install_run_step(r, YG_RUN_OK);
}

static void engine_up(void *ctx, struct install_engine *engine, const struct yg_err *err)
{
	struct install_run *r = ctx;
	if (err->code) {
		r->engine = NULL; /* freed by who calls */
		refuse_content(r, err);
		return;
	}
	install_engine_try(engine, r->set, tried, r);
}

static void engine_down(void *ctx, struct install_engine *engine)
{
	struct install_run *r = ctx;
	if (r->engine == engine)
		r->engine = NULL;
}

void install_run_switch_trial(void *ctx)
{
	struct install_run *r = ctx;
	const struct install_engine *live = r->in->live.engine;
	if (r->relay || !install_live_wants(r->set) ||
		(live && strcmp(live->set, r->set->digest) == 0)) {
		install_run_step(r, YG_RUN_OK);
		return;
	}
	struct install_engine *coming = install_engine_find(r->in, r->set->digest);
	if (coming) /* of the live set, which is being healed: it starts again after this */
		install_engine_end(coming);
	r->engine = install_engine_new(r->in, r->set->digest, engine_up, engine_down, r);
	install_live_tell(r->in);
}

/* A newer set, or a person's own command, ends a hold. */
static void end_hold(struct install_run *r)
{
	struct yg_err err = {0};
	struct yg_store_hold hold;
	yg_store_hold(r->in->store, &hold);
	if (!hold.set[0])
		return;
	if (yg_store_hold_clear(r->in->store, &err) < 0) {
		yg_log_err(YG_LOG_WARN, "store.hold", &err);
		return;
	}
	install_event(r->in, 20104,
		json_pack("{s:s, s:s}", "set", hold.set, "reason",
			strcmp(hold.set, r->set->digest) == 0 ? "command" : "newer"));
}

static int swap_agent(struct install_run *r, struct yg_err *err)
{
	char lib[YG_SHA256_TEXT];
	yg_store_link(r->in->store, YG_STORE_LIB, lib);
	if (yg_store_check(r->in->store, r->set->digest, err) < 0)
		return -1;
	if (r->engine == NULL && install_live_wants(r->set) && strcmp(lib, r->set->digest) != 0 &&
		!(r->in->live.engine && strcmp(r->in->live.engine->set, r->set->digest) == 0))
		return yg_fail_cause(err, YG_EAGAIN, "engine.crash",
			"the engine ended after it had judged the samples");
	if (yg_store_switch(r->in->store, r->set->digest, err) < 0)
		return -1;
	end_hold(r);
	return 0;
}

/* T11: what was damaged at the relay is named, once it is whole again. */
static void tell_mirror(struct install_run *r)
{
	const struct install_mirror_damage found = install_mirror_object_damage(r->in->mirror);
	if (found.count == 0)
		return;
	install_event(r->in, 20105,
		json_pack("{s:s, s:s, s:I}", "path", found.path, "object", found.object, "count",
			(json_int_t)found.count));
	YG_LOGS(r->in->logs, YG_LOGS_RELAY, YG_LOGS_APP, "Repair",
		"%u damaged files, first %s: fetched again", found.count, found.path);
}

void install_run_switch(void *ctx)
{
	struct install_run *r = ctx;
	struct yg_err err = {0};
	if (r->relay) {
		if (install_mirror_switch(r->in->mirror, r->set, &err) < 0) {
			install_run_fail_here(r, &err);
			return;
		}
		tell_mirror(r);
		install_changed(r->in);
		install_run_step(r, YG_RUN_OK);
		return;
	}
	if (swap_agent(r, &err) < 0) {
		install_run_fail_here(r, &err);
		return;
	}
	struct install_engine *engine = yg_take(r->engine);
	if (engine) {
		install_event(r->in, 9016,
			json_pack("{s:o, s:I, s:I}", "components",
				install_run_updated(r->from, r->set), "signatures",
				(json_int_t)engine->signatures, "seconds",
				(json_int_t)(engine->seconds + 0.5)));
		install_live_take(r->in, engine);
	} else {
		install_live_ensure(r->in);
	}
	install_run_plan_healed(r);
	install_changed(r->in);
	install_run_step(r, YG_RUN_OK);
}
