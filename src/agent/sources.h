/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "core/err.h"

/* Where an update run may fetch from, in order (U11): relays in an order of this agent's own, so that a
 * group shares the load; then the update source, where that is allowed. One address of each relay comes before
 * the second address of any: another relay is more likely to answer than another way to the same one.
 *
 * A relay's own run asks the relays of the parent group, and nobody past them; at the top the source.
 */

struct sources_ask {
	const char *agent_id; /* "" without identity */
	const json_t
		*settings; /* of the Manager; NULL: none yet. What is malformed in it is left out */
	const char *source, *ca; /* of the configuration file; "" when it has none */
	/* {"relay":…,"source":…} of the configuration, each an object or null; the Manager's go first */
	const json_t *proxy;
	bool for_relay;   /* the run of a relay */
	bool with_relays; /* the job includes the relays: then never past them */
};

/* A new array for `update.run`. errors  YG_EFORMAT cause update.no_source */
int sources_list(const struct sources_ask *ask, json_t **out, struct yg_err *err) YG_MUST_CHECK;
