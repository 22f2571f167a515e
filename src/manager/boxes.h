/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/sandbox.h"

/* What each role of the Manager keeps, in one place, for the roles and for the test that tries what
 * is denied. The store's is its own (manager/store).
 */
extern const struct yg_sandbox boxes_edge;    /* web, session: open descriptors, accepting */
extern const struct yg_sandbox boxes_ca;      /* open descriptors */
extern const struct yg_sandbox boxes_content; /* outgoing network; its caller adds the paths */
