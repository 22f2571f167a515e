/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/fs.h"
#include "db/db.h"
#include "pg_server.h"

/* Every test runs against both kinds of database; those of PostgreSQL are skipped, with the reason,
 * where there is no server to start.
 */

static const char *pg_url;
static const char *pg_why = "not started";
static char dir[] = "/tmp/yagura-db-XXXXXX";
static unsigned files;

/* A new, empty database. */
static struct yg_db *fresh(void **state, char where[256])
{
	struct yg_err err = {0};
	bool pg = *state != NULL;
	if (pg && !pg_url) {
		print_message("skipped: %s\n", pg_why);
		skip();
	}
	if (pg)
		(void)snprintf(where, 256, "%s", pg_url);
	else
		(void)snprintf(where, 256, "sqlite:%s/%u.db", dir, ++files);
	struct yg_db *db = yg_db_open(where, &err);
	if (!db)
		fail_msg("%s", err.msg);
	if (pg) {
		assert_int_equal(yg_db_exec(db, "DROP SCHEMA public CASCADE", YG_DB_NO_ARGS, NULL,
					 &err),
			0);
		assert_int_equal(yg_db_exec(db, "CREATE SCHEMA public", YG_DB_NO_ARGS, NULL, &err),
			0);
	}
	return db;
}

static void run(struct yg_db *db, const char *sql)
{
	struct yg_err err = {0};
	if (yg_db_exec(db, sql, YG_DB_NO_ARGS, NULL, &err) < 0)
		fail_msg("%s: %s", sql, err.msg);
}

static int64_t number(struct yg_db *db, const char *sql)
{
	struct yg_err err = {0};
	int64_t out = -1;
	if (yg_db_number(db, sql, YG_DB_NO_ARGS, &out, &err) < 0)
		fail_msg("%s: %s", sql, err.msg);
	return out;
}

static void values(void **state)
{
	char where[256];
	struct yg_err err = {0};
	struct yg_db *db YG_AUTO(yg_db) = fresh(state, where);
	bool lite = yg_db_kind(db) == YG_DB_SQLITE;
	run(db,
		lite ? "CREATE TABLE t (n INTEGER, s TEXT, b BLOB) STRICT"
		     : "CREATE TABLE t (n BIGINT, s TEXT, b BYTEA)");

	static const struct {
		int64_t n;
		const char *s;
		const char *b;
		size_t len;
	} rows[] = {
		{0, "", "", 0},
		{-1, "a'b\"c", "\0\1\377", 3},
		{INT64_MAX, "櫓", "x", 1},
		{-INT64_MAX, NULL, "\\x41", 4},
	};
	for (size_t i = 0; i < 4; i++) {
		int64_t changed = 0;
		struct yg_bytes bytes = {(const uint8_t *)rows[i].b, rows[i].len};
		/* The parameters stand in another order than their numbers. */
		if (yg_db_exec(db, "INSERT INTO t (s, b, n) VALUES ($2, $3, $1)",
			    YG_DB_ARGS(yg_db_int(rows[i].n), yg_db_text(rows[i].s),
				    yg_db_bytes(bytes)),
			    &changed, &err) < 0)
			fail_msg("%s", err.msg);
		assert_int_equal(changed, 1);
		struct yg_rows *got YG_AUTO(yg_rows) = NULL;
		assert_int_equal(yg_db_query(db, "SELECT n, s, b FROM t WHERE n = $1",
					 YG_DB_ARGS(yg_db_int(rows[i].n)), &got, &err),
			0);
		assert_int_equal(yg_rows_next(got, &err), 1);
		assert_true(yg_rows_int(got, 0) == rows[i].n);
		if (rows[i].s)
			assert_string_equal(yg_rows_text(got, 1), rows[i].s);
		else
			assert_null(yg_rows_text(got, 1));
		assert_int_equal(yg_rows_bytes(got, 2).len, rows[i].len);
		assert_memory_equal(yg_rows_bytes(got, 2).ptr ? yg_rows_bytes(got, 2).ptr
							      : (const uint8_t *)"",
			rows[i].b, rows[i].len);
		assert_int_equal(yg_rows_next(got, &err), 0);
	}
	assert_int_equal(number(db, "SELECT count(*) FROM t"), 4);
	assert_int_equal(number(db, "SELECT sum(n) FROM t WHERE n > -5 AND n < 5"), -1);
	assert_int_equal(yg_db_number(db, "SELECT n FROM t WHERE s = 'none'", YG_DB_NO_ARGS,
				 &(int64_t){0}, &err),
		-1);
	assert_int_equal(err.code, YG_EABSENT);
}

static void transactions(void **state)
{
	char where[256];
	struct yg_err err = {0};
	struct yg_db *db YG_AUTO(yg_db) = fresh(state, where);
	run(db, "CREATE TABLE t (n INTEGER PRIMARY KEY)");

	assert_int_equal(yg_db_begin(db, &err), 0);
	run(db, "INSERT INTO t (n) VALUES (1)");
	yg_db_rollback(db);
	assert_int_equal(number(db, "SELECT count(*) FROM t"), 0);

	assert_int_equal(yg_db_begin(db, &err), 0);
	run(db, "INSERT INTO t (n) VALUES (1)");
	assert_int_equal(yg_db_commit(db, &err), 0);

	/* A rule broken inside: the error says so, and nothing of the transaction stays. */
	assert_int_equal(yg_db_begin(db, &err), 0);
	run(db, "INSERT INTO t (n) VALUES (2)");
	assert_int_equal(yg_db_exec(db, "INSERT INTO t (n) VALUES (1)", YG_DB_NO_ARGS, NULL, &err),
		-1);
	assert_int_equal(err.code, YG_EFORMAT);
	assert_string_equal(err.cause, "conflict");
	yg_db_rollback(db);
	yg_db_rollback(db);
	assert_int_equal(number(db, "SELECT count(*) FROM t"), 1);

	/* A lazy one is a transaction like any other, and the next is not lazy any more. */
	assert_int_equal(yg_db_begin_lazy(db, &err), 0);
	run(db, "INSERT INTO t (n) VALUES (3)");
	yg_db_rollback(db);
	assert_int_equal(yg_db_begin_lazy(db, &err), 0);
	run(db, "DELETE FROM t WHERE n = 3");
	assert_int_equal(yg_db_commit(db, &err), 0);
	assert_int_equal(number(db, "SELECT count(*) FROM t"), 1);
	if (yg_db_kind(db) == YG_DB_SQLITE)
		assert_int_equal(number(db, "SELECT synchronous FROM pragma_synchronous"), 2);

	/* Wrong SQL is our mistake and says which. */
	assert_int_equal(yg_db_exec(db, "SELEC 1", YG_DB_NO_ARGS, NULL, &err), -1);
	assert_int_equal(err.code, YG_ESYSTEM);
	assert_non_null(strstr(err.msg, "syntax error"));

	/* Committed before: there after opening again. */
	struct yg_db *again YG_AUTO(yg_db) = yg_db_open(where, &err);
	assert_non_null(again);
	assert_int_equal(number(again, "SELECT count(*) FROM t"), 1);
}

static void same_query_twice(void **state)
{
	char where[256];
	struct yg_err err = {0};
	struct yg_db *db YG_AUTO(yg_db) = fresh(state, where);
	run(db, "CREATE TABLE t (n INTEGER PRIMARY KEY)");
	run(db, "INSERT INTO t (n) VALUES (1), (2), (3)");

	static const char sql[] = "SELECT n FROM t ORDER BY n";
	int64_t pairs = 0;
	struct yg_rows *outer YG_AUTO(yg_rows) = NULL;
	assert_int_equal(yg_db_query(db, sql, YG_DB_NO_ARGS, &outer, &err), 0);
	while (yg_rows_next(outer, &err) > 0) {
		struct yg_rows *inner YG_AUTO(yg_rows) = NULL;
		assert_int_equal(yg_db_query(db, sql, YG_DB_NO_ARGS, &inner, &err), 0);
		while (yg_rows_next(inner, &err) > 0)
			pairs += yg_rows_int(outer, 0) * yg_rows_int(inner, 0);
	}
	assert_int_equal(pairs, 36);
}

#define STEP(n, text, hash)                                                                        \
	{                                                                                          \
		.number = (n), .name = "step", .sqlite = (text), .sqlite_sha256 = (hash),          \
		.postgresql = (text), .postgresql_sha256 = (hash)                                  \
	}

static void migrations(void **state)
{
	char where[256];
	struct yg_db *db YG_AUTO(yg_db) = fresh(state, where);
	static const struct yg_db_step one[] = {
		STEP(1, "CREATE TABLE a (n INTEGER); CREATE TABLE b (n INTEGER);", "h1")};
	static const struct yg_db_step two[] = {
		STEP(1, "CREATE TABLE a (n INTEGER); CREATE TABLE b (n INTEGER);", "h1"),
		STEP(2, "INSERT INTO a (n) VALUES (7);", "h2")};
	static const struct yg_db_step changed[] = {STEP(1, "CREATE TABLE a (n INTEGER);", "other"),
		STEP(2, "INSERT INTO a (n) VALUES (7);", "h2")};
	static const struct yg_db_step broken[] = {
		STEP(1, "CREATE TABLE a (n INTEGER); CREATE TABLE b (n INTEGER);", "h1"),
		STEP(2, "INSERT INTO a (n) VALUES (7);", "h2"),
		STEP(3, "INSERT INTO a (n) VALUES (8); INSERT INTO nowhere (n) VALUES (8);", "h3")};

	static const struct {
		const char *label;
		const struct yg_db_step *steps;
		size_t count;
		int at; /* -1: fails */
		const char *error;
	} rows[] = {
		{"first step", one, 1, 1, NULL},
		{"the same again", one, 1, 1, NULL},
		{"one more", two, 2, 2, NULL},
		{"all there", two, 2, 2, NULL},
		{"a step was changed", changed, 2, -1,
			"migration 1 was changed after it was applied"},
		{"an older program", one, 1, -1,
			"the database is newer than this program: it has migration 2, we know 1"},
		{"a step fails in its middle", broken, 3, -1, "migration 3 (step): "},
		{"and leaves nothing", two, 2, 2, NULL},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct yg_err err = {0};
		int at = -1;
		int rc = yg_db_migrate(db, rows[i].steps, rows[i].count, &at, &err);
		if (at != rows[i].at || (rc == 0) != (rows[i].error == NULL))
			fail_msg("%s: want %d, have %d: %s", rows[i].label, rows[i].at, at,
				err.msg);
		if (rows[i].error && strncmp(err.msg, rows[i].error, strlen(rows[i].error)) != 0)
			fail_msg("%s: want '%s', have '%s'", rows[i].label, rows[i].error, err.msg);
	}
	assert_int_equal(number(db, "SELECT count(*) FROM a"), 1);
}

/* The Manager's own schema: it applies, and the rules in it hold. */
static void schema(void **state)
{
	char where[256];
	struct yg_err err = {0};
	struct yg_db *db YG_AUTO(yg_db) = fresh(state, where);
	int at = 0;
	if (yg_db_migrate(db, yg_db_steps, yg_db_steps_count, &at, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(at, yg_db_steps_count);
	assert_int_equal(yg_db_migrate(db, yg_db_steps, yg_db_steps_count, &at, &err), 0);

	static const char sql[] =
		"INSERT INTO commands (computer, seq, body) VALUES ('nobody', 1, '{}')";
	assert_int_equal(yg_db_exec(db, sql, YG_DB_NO_ARGS, NULL, &err), -1);
	assert_string_equal(err.cause, "conflict");
}

static void addresses(void **state)
{
	(void)state;
	static const struct {
		const char *where;
		const char *error;
	} rows[] = {
		{"", "database: want 'sqlite:PATH' or 'postgresql://…'"},
		{"sqlite:", "database: want 'sqlite:PATH' or 'postgresql://…'"},
		{"mysql://root:secret@x/", "database: want 'sqlite:PATH' or 'postgresql://…'"},
		{"sqlite:/nowhere/x.db", "database '/nowhere/x.db': No such file or directory"},
		{"postgresql://u:secret@/x?host=/nowhere", "database server: connection to server"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct yg_err err = {0};
		struct yg_db *db YG_AUTO(yg_db) = yg_db_open(rows[i].where, &err);
		assert_null(db);
		if (strncmp(err.msg, rows[i].error, strlen(rows[i].error)) != 0)
			fail_msg("%s: want '%s', have '%s'", rows[i].where, rows[i].error, err.msg);
		assert_null(strstr(err.msg, "secret"));
	}
}

static void sqlite_file(void **state)
{
	(void)state;
	struct yg_err err = {0};
	char path[128];
	char where[160];
	(void)snprintf(path, sizeof(path), "%s/mode.db", dir);
	(void)snprintf(where, sizeof(where), "sqlite:%s", path);
	struct yg_db *db YG_AUTO(yg_db) = yg_db_open(where, &err);
	assert_non_null(db);
	run(db, "CREATE TABLE t (n INTEGER) STRICT");
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(
		number(db, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'"),
		1);
	assert_int_equal(number(db, "SELECT synchronous FROM pragma_synchronous"), 2);
	assert_int_equal(number(db, "SELECT foreign_keys FROM pragma_foreign_keys"), 1);

	/* Not a database: one clear line, and the file stays as it is. */
	char bad[128];
	(void)snprintf(bad, sizeof(bad), "%s/bad.db", dir);
	int fd YG_AUTO(fd) = open(bad, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	char junk[4096];
	memset(junk, 'x', sizeof(junk));
	assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
	(void)snprintf(where, sizeof(where), "sqlite:%s", bad);
	struct yg_db *none YG_AUTO(yg_db) = yg_db_open(where, &err);
	assert_null(none);
	assert_non_null(strstr(err.msg, "file is not a database"));
}

/* What the system said of a write that failed is nothing about the failures that follow. */
static void sqlite_system_error(void **state)
{
	char where[256];
	struct yg_err err = {0};
	struct rlimit before;
	struct yg_db *db YG_AUTO(yg_db) = fresh(state, where);
	run(db, "CREATE TABLE t (b BLOB) STRICT");
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	const struct rlimit small = {65536, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	int rc = yg_db_exec(db, "INSERT INTO t (b) VALUES (zeroblob(1000000))", YG_DB_NO_ARGS, NULL,
		&err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(rc, -1);
	assert_string_equal(err.cause, "store.io");
	assert_int_equal(err.sys, EFBIG);

	err = (struct yg_err){0};
	assert_int_equal(yg_db_exec(db, "INSERT INTO none VALUES (1)", YG_DB_NO_ARGS, NULL, &err),
		-1);
	assert_string_equal(err.cause, "");
	assert_int_equal(err.sys, 0);
}

/* Two that write at once: the second waits or is told to come again; never an error of another kind. */
static void serializable(void **state)
{
	char where[256];
	struct yg_err err = {0};
	struct yg_db *db YG_AUTO(yg_db) = fresh(state, where);
	if (yg_db_kind(db) != YG_DB_POSTGRESQL)
		return; /* SQLite has one writer, and the second would wait for our own first */
	run(db, "CREATE TABLE t (n BIGINT)");
	run(db, "INSERT INTO t (n) VALUES (1)");
	struct yg_db *other YG_AUTO(yg_db) = yg_db_open(where, &err);
	assert_non_null(other);
	assert_int_equal(yg_db_begin(db, &err), 0);
	assert_int_equal(yg_db_begin(other, &err), 0);
	assert_int_equal(number(db, "SELECT n FROM t"), 1);
	assert_int_equal(number(other, "SELECT n FROM t"), 1);
	run(db, "UPDATE t SET n = n + 1");
	assert_int_equal(yg_db_commit(db, &err), 0);
	assert_int_equal(yg_db_exec(other, "UPDATE t SET n = n + 1", YG_DB_NO_ARGS, NULL, &err),
		-1);
	assert_int_equal(err.code, YG_EAGAIN);
	assert_string_equal(err.cause, "db.busy");
	yg_db_rollback(other);
	assert_int_equal(number(other, "SELECT n FROM t"), 2);
}

/* The server restarts under us: failures are "not now", and it works again without our doing. */
static void server_restarts(void **state)
{
	char where[256];
	struct yg_db *db YG_AUTO(yg_db) = fresh(state, where);
	run(db, "CREATE TABLE t (n BIGINT)");
	run(db, "INSERT INTO t (n) VALUES (1)");
	assert_true(pg_server_crash(false));
	struct yg_err err = {0};
	int64_t have = 0;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(yg_db_number(db, "SELECT n FROM t", YG_DB_NO_ARGS, &have, &err),
			-1);
		assert_int_equal(err.code, YG_EAGAIN);
		assert_string_equal(err.cause, "db.unreachable");
	}
	assert_true(pg_server_crash(true));
	int64_t until = yg_clock_mono_ms() + 20000;
	while (yg_db_number(db, "SELECT n FROM t", YG_DB_NO_ARGS, &have, &err) < 0) {
		if (yg_clock_mono_ms() > until)
			fail_msg("still away: %s", err.msg);
		(void)usleep(20000);
	}
	assert_int_equal(have, 1);

	/* In the middle of a transaction: it is lost as a whole. */
	assert_int_equal(yg_db_begin(db, &err), 0);
	run(db, "INSERT INTO t (n) VALUES (2)");
	assert_true(pg_server_crash(true));
	assert_int_equal(yg_db_commit(db, &err), -1);
	assert_string_equal(err.cause, "db.unreachable");
	assert_false(yg_db_in_transaction(db));
	while (yg_db_number(db, "SELECT count(*) FROM t", YG_DB_NO_ARGS, &have, &err) < 0)
		(void)usleep(20000);
	assert_int_equal(have, 1);
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	pg_url = pg_server_start(&pg_why);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	struct yg_err err = {0};
	pg_server_stop();
	return yg_fs_remove(AT_FDCWD, dir, &err);
}

#define PG ((void *)(uintptr_t)1)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(sqlite_file),
		cmocka_unit_test(sqlite_system_error),
		{"values, sqlite", values, NULL, NULL, NULL},
		{"values, postgresql", values, NULL, NULL, PG},
		{"transactions, sqlite", transactions, NULL, NULL, NULL},
		{"transactions, postgresql", transactions, NULL, NULL, PG},
		{"same query twice, sqlite", same_query_twice, NULL, NULL, NULL},
		{"same query twice, postgresql", same_query_twice, NULL, NULL, PG},
		{"migrations, sqlite", migrations, NULL, NULL, NULL},
		{"migrations, postgresql", migrations, NULL, NULL, PG},
		{"schema, sqlite", schema, NULL, NULL, NULL},
		{"schema, postgresql", schema, NULL, NULL, PG},
		{"serializable, sqlite", serializable, NULL, NULL, NULL},
		{"serializable, postgresql", serializable, NULL, NULL, PG},
		{"server restarts, postgresql", server_restarts, NULL, NULL, PG},
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
