/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "manager/store/store.h"

/* Tests of connections: at a computer they are jobs of the kind "test", at the Manager the content role does them.
 * Of the Manager's own the last few are remembered. docs/store-ops.md: *test*.
 */

int op_tests_create(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err);
int op_tests_get(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err);

/* What the content role has found: {id, targets} or {id, cause, sentence}. */
int op_tests_put(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err);
