/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "core/err.h"

/* Where an update run may fetch from, in order (U11): relays in an order of this agent's own, so that a
 * group shares the load; then the update source, where that is allowed.
 */

struct sources_ask {
	const char *agent_id;    /* "" without identity */
	const json_t *settings;  /* of the Manager; NULL: none yet */
	const char *source, *ca; /* of the configuration file; "" when it has none */
	const json_t
		*proxy; /* {"relay":…,"source":…} of the configuration, each an object or null */
	bool for_relay;   /* the run of a relay: from the source only */
	bool with_relays; /* the job includes the relays: then never past them */
};

/* A new array for `update.run`. errors  YG_EFORMAT cause update.no_source */
int sources_list(const struct sources_ask *ask, json_t **out, struct yg_err *err) YG_MUST_CHECK;
