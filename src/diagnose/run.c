/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <string.h>

#include "core/clock.h"
#include "core/json.h"
#include "diagnose/agent.h"

/* What `test` and the last run say: both name causes themselves. */

static const char *member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

static void look_at(struct yg_diagnosis *d, const json_t *target)
{
	const char *proxy = member(target, "proxy");
	const json_t *steps = json_object_get(target, "steps");
	const char *last = "";
	size_t i;
	json_t *step;
	json_array_foreach(steps, i, step)
	{
		if (json_is_true(json_object_get(step, "ok"))) {
			last = member(step, "seen");
			continue;
		}
		const char *seen = member(step, "seen");
		yg_diagnosis_bad(d, member(target, "what"), member(step, "cause"),
			"%s: %s: %s%s%s%s", member(target, "url"), member(step, "step"),
			member(step, "detail"), *seen ? " (" : "", seen, *seen ? ")" : "");
		return;
	}
	if (json_array_size(steps) > 0)
		yg_diagnosis_good(d, member(target, "what"), "%s%s%s: %s", member(target, "url"),
			*proxy ? " through " : "", proxy, last);
}

void yg_diagnose_targets(struct yg_diagnosis *d, const json_t *targets)
{
	size_t i;
	json_t *target;
	json_array_foreach(targets, i, target)
	{
		look_at(d, target);
	}
}

/* These say that it did not work, and `tried` says why. */
static enum yg_find_weight weight_of(const char *cause)
{
	static const char *const vague[] = {"update.failed", "update.timeout", "update.interrupted",
		"update.relay_behind"};
	for (size_t i = 0; i < YG_COUNT(vague); i++)
		if (strcmp(vague[i], cause) == 0)
			return YG_FIND_FAILED;
	return YG_FIND_NAMES;
}

void yg_diagnose_run(struct yg_diagnosis *d, const char *check, const json_t *run)
{
	int64_t at_s = 0;
	struct yg_err ignored = {0};
	const char *cause = member(run, "cause"), *outcome = member(run, "outcome");
	if (!json_is_object(run) || !*outcome)
		return;
	(void)!yg_clock_parse(member(run, "time"), &at_s, &ignored);
	if (strcmp(outcome, "failed") != 0) {
		yg_diagnosis_good(d, check, "%s: %s%s%s", member(run, "time"), outcome,
			*cause ? ", " : "", cause);
		return;
	}
	struct yg_found found = {.cause = *cause ? cause : "update.failed",
		.how = YG_FIND_RUN,
		.weight = weight_of(cause),
		.at_s = at_s};
	yg_diagnosis_find(d, check, &found, "%s: %s", member(run, "time"), member(run, "detail"));
	size_t i;
	json_t *tried;
	json_array_foreach(json_object_get(run, "tried"), i, tried)
	{
		found.cause = member(tried, "cause");
		found.weight = weight_of(found.cause);
		if (*found.cause && strcmp(found.cause, cause) != 0)
			yg_diagnosis_find(d, check, &found, "%s: %s", member(tried, "url"),
				member(tried, "detail"));
	}
}
