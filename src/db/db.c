/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "db/db.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "db/backend.h"

struct yg_db {
	const struct yg_db_backend *backend;
	void *self;
	enum yg_db_kind kind;
	bool open; /* a transaction is */
	bool lazy; /* and it is one of those */
};

struct yg_rows {
	const struct yg_db_backend *backend;
	void *cursor;
};

int yg_db_prepare(const char *where, struct yg_err *err)
{
	return strncmp(where, "postgresql://", 13) == 0 ? yg_db_pg_prepare(err) : 0;
}

struct yg_db *yg_db_open(const char *where, struct yg_err *err)
{
	struct yg_db *db YG_AUTO(mem) = calloc(1, sizeof(*db));
	if (!db) {
		yg_fail(err, YG_ESYSTEM, "opening the database: out of memory");
		return NULL;
	}
	if (strncmp(where, "sqlite:", 7) == 0 && where[7] != '\0') {
		db->kind = YG_DB_SQLITE;
		db->backend = &yg_db_sqlite;
		if (yg_db_sqlite_open(where + 7, &db->self, err) < 0)
			return NULL;
	} else if (strncmp(where, "postgresql://", 13) == 0) {
		db->kind = YG_DB_POSTGRESQL;
		db->backend = &yg_db_pg;
		if (yg_db_pg_open(where, &db->self, err) < 0)
			return NULL;
	} else {
		/* The address may hold a password: it is not repeated. */
		yg_fail(err, YG_EFORMAT, "database: want 'sqlite:PATH' or 'postgresql://…'");
		return NULL;
	}
	return yg_take(db);
}

void yg_db_free(struct yg_db *db)
{
	if (!db)
		return;
	yg_db_rollback(db);
	db->backend->free(db->self);
	free(db);
}

enum yg_db_kind yg_db_kind(const struct yg_db *db)
{
	return db->kind;
}

int yg_db_exec(struct yg_db *db, const char *sql, const struct yg_db_value *args, size_t count,
	int64_t *changed, struct yg_err *err)
{
	assert(count <= YG_DB_ARGS_MAX);
	if (!db->open && db->backend->ready(db->self, err) < 0)
		return -1;
	int64_t ignored;
	return db->backend->exec(db->self, sql, args, count, changed ? changed : &ignored, err);
}

int yg_db_query(struct yg_db *db, const char *sql, const struct yg_db_value *args, size_t count,
	struct yg_rows **out, struct yg_err *err)
{
	assert(count <= YG_DB_ARGS_MAX);
	if (!db->open && db->backend->ready(db->self, err) < 0)
		return -1;
	struct yg_rows *rows YG_AUTO(mem) = calloc(1, sizeof(*rows));
	if (!rows)
		return yg_fail(err, YG_ESYSTEM, "database: out of memory");
	rows->backend = db->backend;
	if (db->backend->query(db->self, sql, args, count, &rows->cursor, err) < 0)
		return -1;
	*out = yg_take(rows);
	return 0;
}

int yg_db_number(struct yg_db *db, const char *sql, const struct yg_db_value *args, size_t count,
	int64_t *out, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(db, sql, args, count, &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0 || yg_rows_null(rows, 0))
		return yg_fail(err, YG_EABSENT, "database: no such row");
	*out = yg_rows_int(rows, 0);
	return 0;
}

int yg_rows_next(struct yg_rows *rows, struct yg_err *err)
{
	return rows->backend->next(rows->cursor, err);
}

bool yg_rows_null(const struct yg_rows *rows, int column)
{
	return rows->backend->null(rows->cursor, column);
}

int64_t yg_rows_int(const struct yg_rows *rows, int column)
{
	return rows->backend->number(rows->cursor, column);
}

const char *yg_rows_text(const struct yg_rows *rows, int column)
{
	if (yg_rows_null(rows, column))
		return NULL;
	return (const char *)rows->backend->bytes(rows->cursor, column).ptr;
}

struct yg_bytes yg_rows_bytes(const struct yg_rows *rows, int column)
{
	return rows->backend->bytes(rows->cursor, column);
}

void yg_rows_free(struct yg_rows *rows)
{
	if (!rows)
		return;
	rows->backend->cursor_free(rows->cursor);
	free(rows);
}

/* The next transaction is an ordinary one again. */
static void ended(struct yg_db *db)
{
	struct yg_err err = {0};
	db->open = false;
	if (db->lazy && db->backend->lazy_after &&
		db->backend->script(db->self, db->backend->lazy_after, &err) < 0)
		abort(); /* a setting in memory; without it, later promises would be false */
	db->lazy = false;
}

int yg_db_begin(struct yg_db *db, struct yg_err *err)
{
	assert(!db->open);
	if (db->backend->ready(db->self, err) < 0)
		return -1;
	int64_t ignored;
	if (db->backend->exec(db->self, db->backend->begin, NULL, 0, &ignored, err) < 0)
		return -1;
	db->open = true;
	return 0;
}

int yg_db_begin_lazy(struct yg_db *db, struct yg_err *err)
{
	assert(!db->open);
	const struct yg_db_backend *backend = db->backend;
	db->lazy = true;
	if ((backend->lazy_before &&
		    (backend->ready(db->self, err) < 0 ||
			    backend->script(db->self, backend->lazy_before, err) < 0)) ||
		yg_db_begin(db, err) < 0) {
		ended(db);
		return -1;
	}
	if (backend->lazy_inside && backend->script(db->self, backend->lazy_inside, err) < 0) {
		yg_db_rollback(db);
		return -1;
	}
	return 0;
}

int yg_db_commit(struct yg_db *db, struct yg_err *err)
{
	assert(db->open);
	int64_t ignored;
	if (db->backend->exec(db->self, "COMMIT", NULL, 0, &ignored, err) < 0) {
		yg_db_rollback(db);
		return -1;
	}
	ended(db);
	return 0;
}

void yg_db_rollback(struct yg_db *db)
{
	if (!db->open)
		return;
	/* Where this fails the connection is gone or the engine has rolled back by itself. */
	struct yg_err ignored = {0};
	int64_t changed;
	(void)db->backend->exec(db->self, "ROLLBACK", NULL, 0, &changed, &ignored);
	ended(db);
}

bool yg_db_in_transaction(const struct yg_db *db)
{
	return db->open;
}

static int apply(struct yg_db *db, const struct yg_db_step *step, const char *sql,
	const char *sha256, struct yg_err *err)
{
	if (yg_db_begin(db, err) < 0)
		return -1;
	if (db->backend->script(db->self, sql, err) < 0 ||
		yg_db_exec(db,
			"INSERT INTO migrations (number, name, sha256, applied) VALUES ($1, $2, $3, $4)",
			YG_DB_ARGS(yg_db_int(step->number), yg_db_text(step->name),
				yg_db_text(sha256), yg_db_int(yg_clock_now_s())),
			NULL, err) < 0) {
		yg_db_rollback(db);
		return -1;
	}
	return yg_db_commit(db, err);
}

/* Compare what was applied with what we have. *at gets the number of the last one applied. */
static int check_applied(struct yg_db *db, const struct yg_db_step *steps, size_t count, size_t *at,
	struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(db, "SELECT number, sha256 FROM migrations ORDER BY number", YG_DB_NO_ARGS,
		    &rows, err) < 0)
		return -1;
	int more;
	size_t have = 0;
	while ((more = yg_rows_next(rows, err)) > 0) {
		int64_t number = yg_rows_int(rows, 0);
		if (number != (int64_t)have + 1)
			return yg_fail(err, YG_EFORMAT,
				"migration %zu: want it applied before %lld, is missing", have + 1,
				(long long)number);
		if (have == count)
			return yg_fail(err, YG_EFORMAT,
				"the database is newer than this program: it has migration %lld, we know %zu",
				(long long)number, count);
		const char *sha256 = db->kind == YG_DB_SQLITE ? steps[have].sqlite_sha256
							      : steps[have].postgresql_sha256;
		const char *found = yg_rows_text(rows, 1);
		if (!found || strcmp(found, sha256) != 0)
			return yg_fail(err, YG_EFORMAT,
				"migration %lld was changed after it was applied",
				(long long)number);
		have++;
	}
	*at = have;
	return more;
}

int yg_db_migrate(struct yg_db *db, const struct yg_db_step *steps, size_t count, int *at,
	struct yg_err *err)
{
	for (size_t i = 0; i < count; i++)
		assert(steps[i].number == (int)i + 1);

	const char *table = db->kind == YG_DB_SQLITE
		? "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, "
		  "sha256 TEXT NOT NULL, applied INTEGER NOT NULL) STRICT"
		: "CREATE TABLE IF NOT EXISTS migrations (number BIGINT PRIMARY KEY, name TEXT NOT NULL, "
		  "sha256 TEXT NOT NULL, applied BIGINT NOT NULL)";
	if (yg_db_exec(db, table, YG_DB_NO_ARGS, NULL, err) < 0)
		return yg_wrap(err, "migrations");

	size_t have = 0;
	if (check_applied(db, steps, count, &have, err) < 0)
		return -1;
	for (; have < count; have++) {
		const struct yg_db_step *step = &steps[have];
		bool lite = db->kind == YG_DB_SQLITE;
		if (apply(db, step, lite ? step->sqlite : step->postgresql,
			    lite ? step->sqlite_sha256 : step->postgresql_sha256, err) < 0)
			return yg_wrap(err, "migration %d (%s)", step->number, step->name);
	}
	if (at)
		*at = (int)have;
	return 0;
}
