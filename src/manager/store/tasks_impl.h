/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "manager/store/store.h"

/* Scheduled tasks, between their two files. */

#define TASK_WINDOW_MAX 86400

/* The task as people see it. errors  YG_EABSENT */
int task_load(struct store *store, const char *id, json_t **out, struct yg_err *err) YG_MUST_CHECK;

/* Do it now, on behalf of somebody. The row keeps when, and with which job.
 * out     job     of what was begun; "" when there is none (the Manager's own look)
 * errors  YG_EFORMAT with cause conflict: there is no computer to ask
 */
int task_run(struct store *store, const struct store_asker *asker, const json_t *task, char job[40],
	struct yg_err *err) YG_MUST_CHECK;
