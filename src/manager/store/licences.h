/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "core/err.h"

/* Licences by group (U5). Without a file a group's licence is perpetual. Their state travels in the heartbeat. */

struct store;

/* [{"group","state":"valid"|"expired","ends":TIME|null}] of all groups; a new reference. */
int store_licences_for_agent(struct store *store, json_t **out, struct yg_err *err) YG_MUST_CHECK;

/* By the clock: one that has ended is an event, and agents are told. */
int store_licences_tick(struct store *store, struct yg_err *err) YG_MUST_CHECK;
