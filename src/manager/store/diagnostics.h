/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "manager/store/store.h"

/* What goes into the Manager's diagnostic package, from the database; the rest, which this role cannot see (the
 * last lines of all roles, the computer), is asked of the parent by way of store->outside.
 */
int op_diagnostics_collect(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err);
