/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <dlfcn.h>
#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/str.h"
#include "db/backend.h"

/* libpq is loaded when the first PostgreSQL database is opened: it brings two dozen libraries that an
 * installation with SQLite does not use (docs/decisions/0005-libpq-is-loaded-on-use.md). The
 * functions are typed by libpq's own header.
 */
#define FUNCTIONS(X)                                                                               \
	X(PQconnectdbParams)                                                                       \
	X(PQclear)                                                                                 \
	X(PQcmdTuples)                                                                             \
	X(PQerrorMessage)                                                                          \
	X(PQexec)                                                                                  \
	X(PQexecPrepared)                                                                          \
	X(PQfinish)                                                                                \
	X(PQfreemem)                                                                               \
	X(PQgetisnull)                                                                             \
	X(PQgetlength)                                                                             \
	X(PQgetvalue)                                                                              \
	X(PQftype)                                                                                 \
	X(PQnfields)                                                                               \
	X(PQntuples)                                                                               \
	X(PQprepare)                                                                               \
	X(PQresultErrorField)                                                                      \
	X(PQresultErrorMessage)                                                                    \
	X(PQresultStatus)                                                                          \
	X(PQsetNoticeProcessor)                                                                    \
	X(PQstatus)                                                                                \
	X(PQunescapeBytea)

struct api {
#define X(name) __typeof__(name) *name;
	FUNCTIONS(X)
#undef X
};

#define LIBRARY   "libpq.so.5"
#define CACHE_MAX 128
#define OID_BYTEA 17
#define OID_INT8  20
#define OID_TEXT  25

struct prepared {
	char *sql; /* owned */
};

struct pg {
	struct api api;
	void *library;
	PGconn *conn; /* NULL: never connected */
	char *url;    /* owned; may hold a password: never logged */
	struct prepared cache[CACHE_MAX];
	size_t cached;
	int64_t again_ms; /* not before this moment of the steady clock */
	int64_t wait_ms;  /* what the next failure adds */
};

struct cursor {
	const struct api *api;
	PGresult *result;
	int row, rows, fields;
	uint8_t **decoded; /* per column of this row; bytea comes as text */
	size_t *decoded_len;
};

/* libpq's messages end in a newline and can have several lines: the first says it. */
static void first_line(const char *text, char *out, size_t size)
{
	size_t len = strcspn(text ? text : "", "\n");
	if (len >= size)
		len = size - 1;
	memcpy(out, text ? text : "", len);
	out[len] = '\0';
}

static int unreachable(struct pg *pg, const char *why, struct yg_err *err)
{
	char line[256];
	first_line(why, line, sizeof(line));
	pg->wait_ms = pg->wait_ms == 0 ? 100 : pg->wait_ms * 2 > 10000 ? 10000 : pg->wait_ms * 2;
	pg->again_ms = yg_clock_mono_ms() + pg->wait_ms;
	return yg_fail_cause(err, YG_EAGAIN, "db.unreachable", "database server: %s", line);
}

/* Failure of a statement, by its SQLSTATE. source  PostgreSQL manual, appendix A */
static int fail(struct pg *pg, const PGresult *result, struct yg_err *err)
{
	const struct api *api = &pg->api;
	const char *state = result ? api->PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
	const char *text = result ? api->PQresultErrorMessage(result)
				  : api->PQerrorMessage(pg->conn);
	if (api->PQstatus(pg->conn) != CONNECTION_OK || !state || strncmp(state, "57P", 3) == 0 ||
		strncmp(state, "08", 2) == 0)
		return unreachable(pg, text, err);

	char line[256];
	first_line(text, line, sizeof(line));
	if (strncmp(state, "40", 2) == 0 || strncmp(state, "55P03", 5) == 0 ||
		strncmp(state, "57014", 5) == 0)
		return yg_fail_cause(err, YG_EAGAIN, "db.busy", "database: %s", line);
	if (strncmp(state, "23", 2) == 0)
		return yg_fail_cause(err, YG_EFORMAT, "conflict", "database: %s", line);
	if (strcmp(state, "53100") == 0) {
		(void)yg_fail_cause(err, YG_ESYSTEM, "store.disk_full", "database: %s", line);
		err->sys = ENOSPC;
		return -1;
	}
	return yg_fail(err, YG_ESYSTEM, "database: %s (%s)", line, state);
}

static void quiet(void *ctx, const char *message)
{
	(void)ctx;
	char line[256];
	first_line(message, line, sizeof(line));
	yg_log(YG_LOG_DEBUG, "db.notice", "%s", line);
}

static void forget(struct pg *pg)
{
	for (size_t i = 0; i < pg->cached; i++)
		free(pg->cache[i].sql);
	pg->cached = 0;
}

static int dial(struct pg *pg, struct yg_err *err)
{
	const struct api *api = &pg->api;
	forget(pg);
	if (pg->conn)
		api->PQfinish(pg->conn);

	/* Given before the URL, so that the URL can say otherwise. Kerberos only costs time and memory. */
	const char *names[] = {"application_name", "connect_timeout", "tcp_user_timeout",
		"gssencmode", "client_encoding", "options", "dbname", NULL};
	const char *values[] = {"yagura-manager", "5", "10000", "disable", "UTF8",
		"-c default_transaction_isolation=serializable -c statement_timeout=60000 "
		"-c lock_timeout=5000 -c idle_in_transaction_session_timeout=120000 "
		"-c bytea_output=hex -c standard_conforming_strings=on",
		pg->url, NULL};
	pg->conn = api->PQconnectdbParams(names, values, 1);
	if (!pg->conn)
		return yg_fail(err, YG_ESYSTEM, "database server: out of memory");
	if (api->PQstatus(pg->conn) != CONNECTION_OK)
		return unreachable(pg, api->PQerrorMessage(pg->conn), err);
	api->PQsetNoticeProcessor(pg->conn, quiet, NULL);
	pg->wait_ms = 0;
	return 0;
}

static int pg_ready(void *self, struct yg_err *err)
{
	struct pg *pg = self;
	if (pg->conn && pg->api.PQstatus(pg->conn) == CONNECTION_OK)
		return 0;
	if (yg_clock_mono_ms() < pg->again_ms)
		return yg_fail_cause(err, YG_EAGAIN, "db.unreachable",
			"database server: connection lost, next try within %lld ms",
			(long long)pg->wait_ms);
	return dial(pg, err);
}

static void pg_free(void *self)
{
	struct pg *pg = self;
	forget(pg);
	if (pg->conn)
		pg->api.PQfinish(pg->conn);
	if (pg->library)
		(void)dlclose(pg->library);
	free(pg->url);
	free(pg);
}

int yg_db_pg_prepare(struct yg_err *err)
{
	/* Stays loaded: opening it again by this name needs no file. */
	if (!dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE))
		return yg_fail(err, YG_EABSENT,
			"PostgreSQL: " LIBRARY " is not installed (package libpq5)");
	return 0;
}

static int load(struct pg *pg, struct yg_err *err)
{
	pg->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!pg->library)
		return yg_fail(err, YG_EABSENT,
			"PostgreSQL: " LIBRARY " is not installed (package libpq5)");
#define X(name)                                                                                    \
	pg->api.name = (__typeof__(pg->api.name))dlsym(pg->library, #name);                        \
	if (!pg->api.name)                                                                         \
		return yg_fail(err, YG_EFORMAT, "PostgreSQL: " LIBRARY " has no " #name);
	FUNCTIONS(X)
#undef X
	return 0;
}

/* libpq would take servers, passwords and CAs from the environment: ours come from settings only. */
static void drop_environment(void)
{
	for (size_t i = 0; environ && environ[i];) {
		const char *end = strchr(environ[i], '=');
		char name[64];
		size_t len = end ? (size_t)(end - environ[i]) : 0;
		if (strncmp(environ[i], "PG", 2) == 0 && len > 0 && len < sizeof(name)) {
			memcpy(name, environ[i], len);
			name[len] = '\0';
			if (unsetenv(name) == 0)
				continue; /* the next one has moved here */
		}
		i++;
	}
}

int yg_db_pg_open(const char *url, void **self, struct yg_err *err)
{
	struct pg *pg = calloc(1, sizeof(*pg));
	if (pg)
		pg->url = strdup(url);
	if (!pg || !pg->url) {
		free(pg);
		return yg_fail(err, YG_ESYSTEM, "database: out of memory");
	}
	drop_environment();
	if (load(pg, err) < 0 || dial(pg, err) < 0) {
		pg_free(pg);
		return -1;
	}
	*self = pg;
	return 0;
}

/* The name under which this text is prepared on this connection; "" is for one use. */
static int prepare(struct pg *pg, const char *sql, const struct yg_db_value *args, size_t count,
	char name[32], struct yg_err *err)
{
	for (size_t i = 0; i < pg->cached; i++) {
		if (strcmp(pg->cache[i].sql, sql) != 0)
			continue;
		(void)snprintf(name, 32, "y%zu", i);
		return 0;
	}

	Oid types[YG_DB_ARGS_MAX] = {0};
	for (size_t i = 0; i < count; i++)
		types[i] = args[i].type == YG_DB_INT ? OID_INT8
			: args[i].type == YG_DB_TEXT ? OID_TEXT
			: args[i].type == YG_DB_BYTES
			? OID_BYTEA
			: 0; /* NULL: the server infers the type from the place */
	bool keep = pg->cached < CACHE_MAX;
	for (size_t i = 0; i < count; i++)
		if (args[i].type == YG_DB_NULL)
			keep = false; /* the next call may bring another type */
	char *copy YG_AUTO(mem) = keep ? strdup(sql) : NULL;
	if (copy)
		(void)snprintf(name, 32, "y%zu", pg->cached);
	else
		name[0] = '\0';
	PGresult *result = pg->api.PQprepare(pg->conn, name, sql, (int)count, types);
	int rc = 0;
	if (pg->api.PQresultStatus(result) != PGRES_COMMAND_OK)
		rc = fail(pg, result, err);
	else if (copy)
		pg->cache[pg->cached++].sql = yg_take(copy);
	pg->api.PQclear(result);
	return rc;
}

static int run(struct pg *pg, const char *sql, const struct yg_db_value *args, size_t count,
	PGresult **out, struct yg_err *err)
{
	char name[32];
	if (prepare(pg, sql, args, count, name, err) < 0)
		return -1;

	const char *values[YG_DB_ARGS_MAX] = {0};
	int lengths[YG_DB_ARGS_MAX] = {0};
	int formats[YG_DB_ARGS_MAX] = {0};
	char numbers[YG_DB_ARGS_MAX][24];
	for (size_t i = 0; i < count; i++) {
		switch (args[i].type) {
		case YG_DB_INT:
			(void)snprintf(numbers[i], sizeof(numbers[i]), "%lld",
				(long long)args[i].number);
			values[i] = numbers[i];
			break;
		case YG_DB_TEXT:
			values[i] = (const char *)args[i].bytes.ptr;
			break;
		case YG_DB_BYTES:
			if (args[i].bytes.len > YG_DB_TEXT_MAX)
				return yg_fail(err, YG_ELIMIT,
					"database: value of %zu bytes, want <= %u",
					args[i].bytes.len, YG_DB_TEXT_MAX);
			values[i] = args[i].bytes.ptr ? (const char *)args[i].bytes.ptr : "";
			lengths[i] = (int)args[i].bytes.len;
			formats[i] = 1;
			break;
		case YG_DB_NULL:
			break;
		}
	}
	PGresult *result = pg->api.PQexecPrepared(pg->conn, name, (int)count, values, lengths,
		formats, 0);
	ExecStatusType status = pg->api.PQresultStatus(result);
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
		int rc = fail(pg, result, err);
		pg->api.PQclear(result);
		return rc;
	}
	*out = result;
	return 0;
}

static int pg_exec(void *self, const char *sql, const struct yg_db_value *args, size_t count,
	int64_t *changed, struct yg_err *err)
{
	struct pg *pg = self;
	PGresult *result = NULL;
	/* These take no parameters and gain nothing from being prepared; a failed transaction refuses
	 * to prepare a ROLLBACK.
	 */
	if (strcmp(sql, "COMMIT") == 0 || strcmp(sql, "ROLLBACK") == 0 ||
		strcmp(sql, "BEGIN") == 0) {
		result = pg->api.PQexec(pg->conn, sql);
		int rc = pg->api.PQresultStatus(result) == PGRES_COMMAND_OK ? 0
									    : fail(pg, result, err);
		pg->api.PQclear(result);
		*changed = 0;
		return rc;
	}
	if (run(pg, sql, args, count, &result, err) < 0)
		return -1;
	uint64_t rows = 0;
	struct yg_err none = {0};
	const char *tuples = pg->api.PQcmdTuples(result);
	if (tuples[0] != '\0' && yg_str_u64(tuples, INT64_MAX, &rows, &none) < 0)
		rows = 0;
	*changed = (int64_t)rows;
	pg->api.PQclear(result);
	return 0;
}

static int pg_script(void *self, const char *sql, struct yg_err *err)
{
	struct pg *pg = self;
	PGresult *result = pg->api.PQexec(pg->conn, sql);
	ExecStatusType status = pg->api.PQresultStatus(result);
	int rc = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? 0
									 : fail(pg, result, err);
	pg->api.PQclear(result);
	return rc;
}

static void drop_decoded(struct cursor *cursor)
{
	for (int i = 0; cursor->decoded && i < cursor->fields; i++) {
		if (cursor->decoded[i])
			cursor->api->PQfreemem(cursor->decoded[i]);
		cursor->decoded[i] = NULL;
	}
}

static void pg_cursor_free(void *self)
{
	struct cursor *cursor = self;
	drop_decoded(cursor);
	free(cursor->decoded);
	free(cursor->decoded_len);
	cursor->api->PQclear(cursor->result);
	free(cursor);
}

static int pg_query(void *self, const char *sql, const struct yg_db_value *args, size_t count,
	void **out, struct yg_err *err)
{
	struct pg *pg = self;
	struct cursor *cursor = calloc(1, sizeof(*cursor));
	if (!cursor)
		return yg_fail(err, YG_ESYSTEM, "database: out of memory");
	cursor->api = &pg->api;
	if (run(pg, sql, args, count, &cursor->result, err) < 0) {
		free(cursor);
		return -1;
	}
	cursor->row = -1;
	cursor->rows = pg->api.PQntuples(cursor->result);
	cursor->fields = pg->api.PQnfields(cursor->result);
	size_t columns = (size_t)cursor->fields + 1;
	cursor->decoded = calloc(columns, sizeof(*cursor->decoded));
	cursor->decoded_len = calloc(columns, sizeof(*cursor->decoded_len));
	if (!cursor->decoded || !cursor->decoded_len) {
		pg_cursor_free(cursor);
		return yg_fail(err, YG_ESYSTEM, "database: out of memory");
	}
	*out = cursor;
	return 0;
}

static int pg_next(void *self, struct yg_err *err)
{
	struct cursor *cursor = self;
	drop_decoded(cursor);
	if (++cursor->row >= cursor->rows)
		return 0;
	for (int i = 0; i < cursor->fields; i++) {
		if (cursor->api->PQftype(cursor->result, i) != OID_BYTEA ||
			cursor->api->PQgetisnull(cursor->result, cursor->row, i))
			continue;
		const char *text = cursor->api->PQgetvalue(cursor->result, cursor->row, i);
		cursor->decoded[i] = cursor->api->PQunescapeBytea((const unsigned char *)text,
			&cursor->decoded_len[i]);
		if (!cursor->decoded[i])
			return yg_fail(err, YG_ESYSTEM, "database: out of memory");
	}
	return 1;
}

static bool pg_null(const void *self, int column)
{
	const struct cursor *cursor = self;
	return cursor->api->PQgetisnull(cursor->result, cursor->row, column) != 0;
}

static int64_t pg_number(const void *self, int column)
{
	const struct cursor *cursor = self;
	if (pg_null(self, column))
		return 0;
	const char *text = cursor->api->PQgetvalue(cursor->result, cursor->row, column);
	bool minus = text[0] == '-';
	uint64_t value = 0;
	struct yg_err none = {0};
	/* Only asked of columns that hold whole numbers; sum() over bigint gives "numeric" without digits
	 * after a point.
	 */
	if (yg_str_u64(text + (minus ? 1 : 0), INT64_MAX, &value, &none) < 0)
		return 0;
	return minus ? -(int64_t)value : (int64_t)value;
}

static struct yg_bytes pg_bytes(const void *self, int column)
{
	const struct cursor *cursor = self;
	if (cursor->decoded[column])
		return (struct yg_bytes){cursor->decoded[column], cursor->decoded_len[column]};
	if (pg_null(self, column))
		return (struct yg_bytes){NULL, 0};
	return (struct yg_bytes){(const uint8_t *)cursor->api->PQgetvalue(cursor->result,
					 cursor->row, column),
		(size_t)cursor->api->PQgetlength(cursor->result, cursor->row, column)};
}

const struct yg_db_backend yg_db_pg = {
	.exec = pg_exec,
	.query = pg_query,
	.script = pg_script,
	.next = pg_next,
	.null = pg_null,
	.number = pg_number,
	.bytes = pg_bytes,
	.cursor_free = pg_cursor_free,
	.ready = pg_ready,
	.begin = "BEGIN",
	.lazy_inside = "SET LOCAL synchronous_commit = off",
	.free = pg_free,
};
