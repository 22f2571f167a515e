/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "content/rollout.h"
#include "publisher/command.h"

/* Change the waves of the newest release of a component; manifest and set stay as they are. */
int wave_run(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;

/* The waves that --waves and --wave name, for a release at `now`.
 * errors  YG_EFORMAT "--wave: …"; YG_ELIMIT more than YG_ROLLOUT_WAVES_MAX
 */
int wave_parse(const struct command *command, struct yg_wave out[YG_ROLLOUT_WAVES_MAX],
	size_t *count, struct yg_err *err) YG_MUST_CHECK;

/* Percent of the computers that may take a release at a time. */
unsigned wave_open(const struct yg_rollout *rollout, int64_t now);

/* [{"at", "percent"}]; NULL when memory is out. */
json_t *wave_json(const struct yg_rollout *rollout) YG_MUST_CHECK;
