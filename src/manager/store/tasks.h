/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/err.h"

/* Scheduled tasks: what the Manager does by itself at certain times. */

struct store;

/* Run what is due. */
int store_tasks_tick(struct store *store, struct yg_err *err) YG_MUST_CHECK;
