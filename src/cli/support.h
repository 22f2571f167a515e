/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>

struct cli;

/* Failures in the form for support (diagnose/support.h), out of answers of the Manager: the same lines as
 * `yagura diagnose --support` has. Return ARGS_DONE.
 */

/* The parts of a job that failed. */
int support_job(struct cli *cli, const json_t *job);

/* Events that have a cause. in  items  those of the API */
int support_events(struct cli *cli, const json_t *items);
