/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* What a computer should run: the newest, or what its policy says instead. */
#include <string.h>

#include "manager/store/store.h"

int store_content_old(struct store *store, size_t names_max, json_t *names, int64_t *count,
	struct yg_err *err)
{
	json_t *newest YG_AUTO(yg_json) = store_component_newest(store, err);
	const char *set = json_string_value(json_object_get(newest, "set"));
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	*count = 0;
	if (!newest)
		return -1;
	if (!set)
		return 0;
	if (yg_db_query(store->db,
		    "SELECT name, components FROM computers WHERE deleted = 0 AND online = 1 AND set_has <> $1 "
		    "ORDER BY name, id",
		    YG_DB_ARGS(yg_db_text(set)), &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		json_t *have YG_AUTO(yg_json) = store_parse(yg_rows_text(rows, 1));
		json_t *what YG_AUTO(yg_json) = store_computer_difference(have,
			json_object_get(newest, "components"));
		if (!what)
			continue;
		(*count)++;
		if (json_array_size(names) < names_max &&
			store_add(names, json_string(yg_rows_text(rows, 0)), err) < 0)
			return -1;
	}
	return more;
}
