/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/attr.h"
#include "db/backend.h"

#define CACHE_MAX 128 /* prepared statements; the store has fewer kinds of questions */

struct cached {
	sqlite3_stmt *stmt;
	const char *sql; /* a literal: compared by address first */
	bool busy;       /* a cursor is open on it */
};

struct lite {
	sqlite3 *db;
	struct cached cache[CACHE_MAX];
	size_t cached;
};

struct cursor {
	sqlite3_stmt *stmt;
	struct lite *lite;
	struct cached *slot; /* NULL: the statement is the cursor's own */
};

/* SQLite says "disk I/O error" of a file system that has become read-only. */
static int fail_disk(int code, int sys, const char *doing, const char *text, struct yg_err *err)
{
	const char *cause = NULL;
	int kind = code & 0xff;
	/* SQLite keeps what the system said of an earlier failure. */
	if (kind != SQLITE_IOERR && kind != SQLITE_CANTOPEN)
		sys = 0;
	if (kind == SQLITE_FULL)
		sys = ENOSPC;
	if (sys == ENOSPC || sys == EDQUOT)
		cause = "store.disk_full";
	else if (kind == SQLITE_READONLY || (sys == EROFS && kind != SQLITE_CANTOPEN))
		cause = "store.read_only";
	else if (kind == SQLITE_IOERR)
		cause = "store.io";
	if (cause)
		(void)yg_fail_cause(err, YG_ESYSTEM, cause, "%s: %s", doing, text);
	else
		(void)yg_fail(err, YG_ESYSTEM, "%s: %s", doing, text);
	err->sys = sys;
	return -1;
}

static int fail(struct lite *lite, const char *doing, struct yg_err *err)
{
	int code = lite->db ? sqlite3_extended_errcode(lite->db) : SQLITE_NOMEM;
	const char *text = lite->db ? sqlite3_errmsg(lite->db) : "out of memory";
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return yg_fail_cause(err, YG_EAGAIN, "db.busy", "%s: %s", doing, text);
	case SQLITE_CONSTRAINT:
		return yg_fail_cause(err, YG_EFORMAT, "conflict", "%s: %s", doing, text);
	case SQLITE_TOOBIG:
		return yg_fail(err, YG_ELIMIT, "%s: %s", doing, text);
	default:
		return fail_disk(code, sqlite3_system_errno(lite->db), doing, text, err);
	}
}

static void lite_free(void *self)
{
	struct lite *lite = self;
	for (size_t i = 0; i < lite->cached; i++)
		sqlite3_finalize(lite->cache[i].stmt);
	sqlite3_close(lite->db);
	free(lite);
}

/* Durable before acknowledged, small in memory, and no SQL in the file that we did not put there. */
static const char setup[] = "PRAGMA journal_mode = WAL;"
			    "PRAGMA synchronous = FULL;"
			    "PRAGMA foreign_keys = ON;"
			    "PRAGMA trusted_schema = OFF;"
			    "PRAGMA cell_size_check = ON;"
			    "PRAGMA temp_store = MEMORY;"
			    "PRAGMA cache_size = -1024;"
			    "PRAGMA journal_size_limit = 8388608;";

int yg_db_sqlite_open(const char *path, void **self, struct yg_err *err)
{
	/* Made by us first, so that nobody else can read it: SQLite gives its other files this mode. */
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return yg_fail_sys(err, errno, "database '%s'", path);
	(void)close(fd);

	struct lite *lite = calloc(1, sizeof(*lite));
	if (!lite)
		return yg_fail(err, YG_ESYSTEM, "database '%s': out of memory", path);
	if (sqlite3_open_v2(path, &lite->db,
		    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
		    NULL) != SQLITE_OK ||
		sqlite3_busy_timeout(lite->db, 5000) != SQLITE_OK ||
		sqlite3_db_config(lite->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK ||
		sqlite3_exec(lite->db, setup, NULL, NULL, NULL) != SQLITE_OK) {
		char doing[256];
		(void)snprintf(doing, sizeof(doing), "database '%s'", path);
		fail(lite, doing, err);
		lite_free(lite);
		return -1;
	}
	sqlite3_limit(lite->db, SQLITE_LIMIT_LENGTH, (int)YG_DB_TEXT_MAX);
	sqlite3_limit(lite->db, SQLITE_LIMIT_ATTACHED, 0);
	*self = lite;
	return 0;
}

static int lite_ready(void *self, struct yg_err *err)
{
	(void)self;
	(void)err;
	return 0;
}

/* A prepared statement for this text: one that is kept, or, when that is in use, one more. */
static sqlite3_stmt *prepare(struct lite *lite, const char *sql, struct cached **slot,
	struct yg_err *err)
{
	*slot = NULL;
	bool known = false;
	for (size_t i = 0; i < lite->cached; i++) {
		struct cached *at = &lite->cache[i];
		if (at->sql != sql && strcmp(at->sql, sql) != 0)
			continue;
		known = true;
		if (at->busy)
			break;
		at->busy = true;
		*slot = at;
		return at->stmt;
	}
	sqlite3_stmt *stmt = NULL;
	bool keep = !known && lite->cached < CACHE_MAX;
	if (sqlite3_prepare_v3(lite->db, sql, -1, keep ? SQLITE_PREPARE_PERSISTENT : 0, &stmt,
		    NULL) != SQLITE_OK) {
		fail(lite, sql, err);
		return NULL;
	}
	if (keep) {
		*slot = &lite->cache[lite->cached++];
		**slot = (struct cached){.stmt = stmt, .sql = sqlite3_sql(stmt), .busy = true};
	}
	return stmt;
}

static void release(sqlite3_stmt *stmt, struct cached *slot)
{
	if (!slot) {
		sqlite3_finalize(stmt);
		return;
	}
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	slot->busy = false;
}

static int bind_one(sqlite3_stmt *stmt, int at, const struct yg_db_value *value)
{
	/* Values outlive the step only for cursors, hence the copies. */
	switch (value->type) {
	case YG_DB_INT:
		return sqlite3_bind_int64(stmt, at, value->number);
	case YG_DB_TEXT:
		return sqlite3_bind_text64(stmt, at, (const char *)value->bytes.ptr,
			value->bytes.len, SQLITE_TRANSIENT, SQLITE_UTF8);
	case YG_DB_BYTES:
		if (value->bytes.len == 0)
			return sqlite3_bind_zeroblob(stmt, at, 0);
		return sqlite3_bind_blob64(stmt, at, value->bytes.ptr, value->bytes.len,
			SQLITE_TRANSIENT);
	case YG_DB_NULL:
		break;
	}
	return sqlite3_bind_null(stmt, at);
}

static int bind_all(struct lite *lite, sqlite3_stmt *stmt, const struct yg_db_value *args,
	size_t count, struct yg_err *err)
{
	for (size_t i = 0; i < count; i++) {
		char name[24];
		(void)snprintf(name, sizeof(name), "$%zu", i + 1);
		/* $2 may stand before $1: SQLite counts by first appearance, we by number. */
		int at = sqlite3_bind_parameter_index(stmt, name);
		if (at != 0 && bind_one(stmt, at, &args[i]) != SQLITE_OK)
			return fail(lite, name, err);
	}
	return 0;
}

static int lite_exec(void *self, const char *sql, const struct yg_db_value *args, size_t count,
	int64_t *changed, struct yg_err *err)
{
	struct lite *lite = self;
	struct cached *slot;
	sqlite3_stmt *stmt = prepare(lite, sql, &slot, err);
	if (!stmt)
		return -1;
	int rc = bind_all(lite, stmt, args, count, err);
	if (rc == 0) {
		int step;
		while ((step = sqlite3_step(stmt)) == SQLITE_ROW)
			;
		if (step != SQLITE_DONE)
			rc = fail(lite, "database", err);
		else
			*changed = sqlite3_changes64(lite->db);
	}
	release(stmt, slot);
	return rc;
}

static int lite_query(void *self, const char *sql, const struct yg_db_value *args, size_t count,
	void **out, struct yg_err *err)
{
	struct lite *lite = self;
	struct cursor *cursor = calloc(1, sizeof(*cursor));
	if (!cursor)
		return yg_fail(err, YG_ESYSTEM, "database: out of memory");
	cursor->lite = lite;
	cursor->stmt = prepare(lite, sql, &cursor->slot, err);
	if (!cursor->stmt) {
		free(cursor);
		return -1;
	}
	if (bind_all(lite, cursor->stmt, args, count, err) < 0) {
		release(cursor->stmt, cursor->slot);
		free(cursor);
		return -1;
	}
	*out = cursor;
	return 0;
}

static int lite_script(void *self, const char *sql, struct yg_err *err)
{
	struct lite *lite = self;
	if (sqlite3_exec(lite->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return fail(lite, "database", err);
	return 0;
}

static int lite_next(void *self, struct yg_err *err)
{
	struct cursor *cursor = self;
	switch (sqlite3_step(cursor->stmt)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		return 0;
	default:
		return fail(cursor->lite, "database", err);
	}
}

static bool lite_null(const void *self, int column)
{
	const struct cursor *cursor = self;
	return sqlite3_column_type(cursor->stmt, column) == SQLITE_NULL;
}

static int64_t lite_number(const void *self, int column)
{
	const struct cursor *cursor = self;
	return sqlite3_column_int64(cursor->stmt, column);
}

static struct yg_bytes lite_bytes(const void *self, int column)
{
	const struct cursor *cursor = self;
	const uint8_t *ptr = sqlite3_column_type(cursor->stmt, column) == SQLITE_BLOB
		? sqlite3_column_blob(cursor->stmt, column)
		: sqlite3_column_text(cursor->stmt, column);
	int len = sqlite3_column_bytes(cursor->stmt, column);
	return (struct yg_bytes){ptr, len > 0 ? (size_t)len : 0};
}

static void lite_cursor_free(void *self)
{
	struct cursor *cursor = self;
	release(cursor->stmt, cursor->slot);
	free(cursor);
}

const struct yg_db_backend yg_db_sqlite = {
	.exec = lite_exec,
	.query = lite_query,
	.script = lite_script,
	.next = lite_next,
	.null = lite_null,
	.number = lite_number,
	.bytes = lite_bytes,
	.cursor_free = lite_cursor_free,
	.ready = lite_ready,
	/* IMMEDIATE: a reader that later writes could find that it may not. */
	.begin = "BEGIN IMMEDIATE",
	.lazy_before = "PRAGMA synchronous = NORMAL",
	.lazy_after = "PRAGMA synchronous = FULL",
	.free = lite_free,
};
