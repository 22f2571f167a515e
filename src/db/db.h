/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"

/* One interface over SQLite and PostgreSQL. Calls block: only a role that may block uses them.
 *
 * SQL is written once, in what both understand: parameters are $1, $2, …; upserts are "ON CONFLICT";
 * truth values are 0 and 1. Results carry whole numbers, text (UTF-8) and bytes.
 *
 *     struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
 *     if (yg_db_query(db, "SELECT name FROM computers WHERE id = $1", YG_DB_ARGS(yg_db_text(id)),
 *             &rows, err) < 0)
 *             return -1;
 *     int more;
 *     while ((more = yg_rows_next(rows, err)) > 0)
 *             puts(yg_rows_text(rows, 0));
 *     return more;
 *
 * Failures: YG_EAGAIN with cause "db.busy" (somebody else holds it, or two transactions crossed: do
 * the transaction again) or "db.unreachable" (the server is away: tried again with back-off by the
 * next call outside a transaction); YG_EFORMAT with cause "conflict" (a UNIQUE or FOREIGN KEY rule
 * was about to be broken); YG_ESYSTEM (with the causes "store.disk_full", "store.read_only"
 * and "store.io"; without one: damaged file, wrong SQL).
 */

struct yg_db;
struct yg_rows;

#define YG_DB_TEXT_MAX (16u << 20) /* bytes of one value */

enum yg_db_kind { YG_DB_SQLITE, YG_DB_POSTGRESQL };

/* Load the libraries that this database needs, before a sandbox closes the folders they lie in.
 * errors  YG_EABSENT libpq is not installed
 */
int yg_db_prepare(const char *where, struct yg_err *err) YG_MUST_CHECK;

/* "sqlite:PATH" (made if absent, mode 0600) or a libpq URL "postgresql://…". libpq is loaded only
 * for the latter. A PostgreSQL server that is away now is a failure here, not later.
 */
struct yg_db *yg_db_open(const char *where, struct yg_err *err) YG_MUST_CHECK;
void yg_db_free(struct yg_db *db);
YG_DEFINE_AUTO(yg_db);
enum yg_db_kind yg_db_kind(const struct yg_db *db);

struct yg_db_value {
	enum { YG_DB_NULL, YG_DB_INT, YG_DB_TEXT, YG_DB_BYTES } type;
	int64_t number;
	struct yg_bytes bytes; /* of text too */
};

static inline struct yg_db_value yg_db_int(int64_t number)
{
	return (struct yg_db_value){.type = YG_DB_INT, .number = number};
}

/* NULL gives SQL's NULL. Borrowed until the call returns. */
static inline struct yg_db_value yg_db_text(const char *text)
{
	if (!text)
		return (struct yg_db_value){.type = YG_DB_NULL};
	return (struct yg_db_value){.type = YG_DB_TEXT, .bytes = yg_bytes_of(text)};
}

static inline struct yg_db_value yg_db_bytes(struct yg_bytes bytes)
{
	return (struct yg_db_value){.type = YG_DB_BYTES, .bytes = bytes};
}

/* A number, or NULL when `set` is false. */
static inline struct yg_db_value yg_db_int_or_null(bool set, int64_t number)
{
	return (struct yg_db_value){.type = set ? YG_DB_INT : YG_DB_NULL, .number = number};
}

#define YG_DB_ARGS_MAX 32
#define YG_DB_NO_ARGS  NULL, 0
#define YG_DB_ARGS(...)                                                                            \
	((const struct yg_db_value[]){__VA_ARGS__}),                                               \
		(sizeof((const struct yg_db_value[]){__VA_ARGS__}) / sizeof(struct yg_db_value))

/* Run a statement that gives no rows. *changed (may be NULL) is the number of rows touched. */
int yg_db_exec(struct yg_db *db, const char *sql, const struct yg_db_value *args, size_t count,
	int64_t *changed, struct yg_err *err) YG_MUST_CHECK;

/* Run a query. `sql` is a literal: prepared statements are kept by it. */
int yg_db_query(struct yg_db *db, const char *sql, const struct yg_db_value *args, size_t count,
	struct yg_rows **out, struct yg_err *err) YG_MUST_CHECK;

/* The one number that a query gives in its first row and column.
 * errors  YG_EABSENT no row, or NULL
 */
int yg_db_number(struct yg_db *db, const char *sql, const struct yg_db_value *args, size_t count,
	int64_t *out, struct yg_err *err) YG_MUST_CHECK;

/* Step: 1 a row, 0 no more, -1 failure. Values are valid until the next step. */
int yg_rows_next(struct yg_rows *rows, struct yg_err *err) YG_MUST_CHECK;
bool yg_rows_null(const struct yg_rows *rows, int column);
int64_t yg_rows_int(const struct yg_rows *rows, int column);      /* 0 for NULL */
const char *yg_rows_text(const struct yg_rows *rows, int column); /* NULL for NULL */
struct yg_bytes yg_rows_bytes(const struct yg_rows *rows, int column);
void yg_rows_free(struct yg_rows *rows);
YG_DEFINE_AUTO(yg_rows);

/* A transaction: what is committed survives a power cut (PostgreSQL: serializable). A begin while
 * one is open is our bug: assert. Rollback never fails, and is fine when nothing is open.
 */
int yg_db_begin(struct yg_db *db, struct yg_err *err) YG_MUST_CHECK;
/* The same for what nobody was promised (a heartbeat): it does not wait for the disk. After a power cut
 * the last of these may be gone, each as a whole; the next ordinary commit makes them safe too.
 */
int yg_db_begin_lazy(struct yg_db *db, struct yg_err *err) YG_MUST_CHECK;
int yg_db_commit(struct yg_db *db, struct yg_err *err) YG_MUST_CHECK;
void yg_db_rollback(struct yg_db *db);
bool yg_db_in_transaction(const struct yg_db *db);

/* One step of the schema. Steps are numbered 1, 2, 3 … without gaps; `sqlite` and `postgresql` may
 * be the same text. The hashes are of these texts.
 */
struct yg_db_step {
	int number;
	const char *name;
	const char *sqlite, *sqlite_sha256;
	const char *postgresql, *postgresql_sha256;
};

/* The Manager's schema, from src/db/migrations. */
extern const struct yg_db_step yg_db_steps[];
extern const size_t yg_db_steps_count;

/* Bring the schema up to the last step, each in a transaction of its own. Forward only.
 * out     *at     number of the last step (may be NULL)
 * errors  YG_EFORMAT "migration 3 was changed after it was applied", or the database is newer than
 *         this program; and those above
 */
int yg_db_migrate(struct yg_db *db, const struct yg_db_step *steps, size_t count, int *at,
	struct yg_err *err) YG_MUST_CHECK;
