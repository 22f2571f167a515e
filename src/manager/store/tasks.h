/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/err.h"

/* Scheduled tasks: what the Manager does by itself at certain times. */

struct store;

/* None waits for longer than its schedule says, counted from now: the clock was ahead. */
int store_tasks_replan(struct store *store, struct yg_err *err) YG_MUST_CHECK;

/* Run what is due. */
int store_tasks_tick(struct store *store, struct yg_err *err) YG_MUST_CHECK;
