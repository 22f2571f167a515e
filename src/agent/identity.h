/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/mem.h"
#include "crypto/x509.h"

/* Who this agent is to its Manager: one file, identity.json, mode 0600, old or new as a whole. */

struct identity {
	char *agent_id, *manager_id, *manager_url, *name; /* owned, as all here; name may be "" */
	char *key;                                        /* PEM */
	char *cert;                                       /* PEM */
	char *cas;                                        /* PEM: the Manager's CAs */
	int64_t not_before_s, not_after_s;                /* of the certificate */
	bool relay; /* the certificate says that it is one of a relay */
};

/* errors  YG_EABSENT not activated; YG_EFORMAT; YG_ESYSTEM */
int identity_load(int dir, struct identity **out, struct yg_err *err) YG_MUST_CHECK;

/* Check and store; texts are copied.
 * errors  YG_EFORMAT the certificate does not parse; YG_EUNTRUSTED it is not for this agent id; YG_ESYSTEM
 */
int identity_save(int dir, const struct identity *identity, struct yg_err *err) YG_MUST_CHECK;
int identity_forget(int dir, struct yg_err *err) YG_MUST_CHECK;
void identity_free(struct identity *identity);
YG_DEFINE_AUTO(identity);

/* When two thirds of its life are over, Unix seconds. */
int64_t identity_renew_at(const struct identity *identity);
