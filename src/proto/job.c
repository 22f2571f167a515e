/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "proto/job.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static const char *const kinds[YG_JOB_KINDS] = {"update", "scan", "rollback", "policy",
	"release_hold", "test"};
static const char *const outcomes[YG_JOB_OUTCOMES] = {"success", "failed", "cancelled"};

static int find(const char *name, const char *const *words, size_t count)
{
	for (size_t i = 0; name && i < count; i++)
		if (strcmp(name, words[i]) == 0)
			return (int)i;
	return -1;
}

const char *yg_job_kind_name(enum yg_job_kind kind)
{
	assert((unsigned)kind < YG_JOB_KINDS);
	return kinds[kind];
}

int yg_job_kind_parse(const char *name, enum yg_job_kind *out, struct yg_err *err)
{
	int at = find(name, kinds, YG_JOB_KINDS);
	if (at < 0)
		return yg_fail(err, YG_EFORMAT,
			"kind: want update, scan, rollback, policy, release_hold or test, have '%.64s'",
			name ? name : "");
	*out = (enum yg_job_kind)at;
	return 0;
}

const char *yg_job_outcome_name(enum yg_job_outcome outcome)
{
	assert((unsigned)outcome < YG_JOB_OUTCOMES);
	return outcomes[outcome];
}

int yg_job_outcome_parse(const char *name, enum yg_job_outcome *out, struct yg_err *err)
{
	int at = find(name, outcomes, YG_JOB_OUTCOMES);
	if (at < 0)
		return yg_fail(err, YG_EFORMAT,
			"outcome: want success, failed or cancelled, have '%.64s'",
			name ? name : "");
	*out = (enum yg_job_outcome)at;
	return 0;
}
