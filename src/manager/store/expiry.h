/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/err.h"

/* One calendar of everything that expires: licences, certificates, CAs, the update repository's metadata. What a
 * person has to renew is warned of 90, 30 and 7 days ahead; what renews itself, only when that is overdue.
 */

struct store;

/* Alerts of kinds expiry and expired, as the calendar is now. Looks every few minutes. */
int store_expiry_tick(struct store *store, struct yg_err *err) YG_MUST_CHECK;
