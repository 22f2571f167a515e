/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "db/db.h"

/* What a kind of database has to offer. Private to src/db. */

struct yg_db_backend {
	int (*exec)(void *self, const char *sql, const struct yg_db_value *args, size_t count,
		int64_t *changed, struct yg_err *err);
	int (*query)(void *self, const char *sql, const struct yg_db_value *args, size_t count,
		void **cursor, struct yg_err *err);
	int (*script)(void *self, const char *sql, struct yg_err *err); /* several statements */
	int (*next)(void *cursor, struct yg_err *err);
	bool (*null)(const void *cursor, int column);
	int64_t (*number)(const void *cursor, int column);
	struct yg_bytes (*bytes)(const void *cursor, int column); /* text is terminated besides */
	void (*cursor_free)(void *cursor);
	int (*ready)(void *self, struct yg_err *err); /* before a begin: connected, or again so */
	const char *begin;
	const char *lazy_before, *lazy_inside,
		*lazy_after; /* around a lazy transaction; may be NULL */
	void (*free)(void *self);
};

int yg_db_sqlite_open(const char *path, void **self, struct yg_err *err) YG_MUST_CHECK;
int yg_db_pg_prepare(struct yg_err *err) YG_MUST_CHECK;
int yg_db_pg_open(const char *url, void **self, struct yg_err *err) YG_MUST_CHECK;
extern const struct yg_db_backend yg_db_sqlite;
extern const struct yg_db_backend yg_db_pg;
