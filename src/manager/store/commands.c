/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Commands wait here, per computer and numbered, until the agent says that it has them. */
#include <string.h>

#include "manager/store/store.h"
#include "proto/wire.h"

int store_command_wake(struct store *store, const char *computer, struct yg_err *err)
{
	if (!store->wake)
		store->wake = json_object();
	if (!store->wake || json_object_set_new(store->wake, computer, json_true()) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

const char store_command_same_sql[] =
	"SELECT count(*) FROM commands WHERE computer = $1 AND job IS NULL AND body = $2";

int store_command(struct store *store, const char *computer, const char *job, json_t *body,
	struct yg_err *err)
{
	json_t *owned YG_AUTO(yg_json) = body;
	char *text YG_AUTO(mem) = owned ? yg_json_text(owned) : NULL;
	if (!text)
		return yg_fail(err, YG_ESYSTEM, "out of memory");

	/* "Look at your settings" says no more the second time. */
	if (!job) {
		int64_t same = 0;
		if (yg_db_number(store->db, store_command_same_sql,
			    YG_DB_ARGS(yg_db_text(computer), yg_db_text(text)), &same, err) < 0)
			return -1;
		if (same > 0)
			return store_command_wake(store, computer, err);
	}
	if (yg_db_exec(store->db, "UPDATE computers SET last_seq = last_seq + 1 WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(computer)), NULL, err) < 0)
		return -1;
	if (yg_db_exec(store->db,
		    "INSERT INTO commands (computer, seq, job, body) SELECT id, last_seq, $2, $3 FROM computers "
		    "WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(computer), yg_db_text(job), yg_db_text(text)), NULL,
		    err) < 0)
		return -1;
	return store_command_wake(store, computer, err);
}

/* To each computer of a query's rows. */
static int command_rows(struct store *store, const char *command, struct yg_rows *rows,
	struct yg_err *err)
{
	int more;
	while ((more = yg_rows_next(rows, err)) > 0)
		if (store_command(store, yg_rows_text(rows, 0), NULL,
			    json_pack("{s:s}", "command", command), err) < 0)
			return -1;
	return more;
}

int store_command_all(struct store *store, const char *command, const char *policy,
	struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT id FROM computers WHERE deleted = 0 AND activated IS NOT NULL AND "
		    "($1 = '' OR policy = $1)",
		    YG_DB_ARGS(yg_db_text(policy)), &rows, err) < 0)
		return -1;
	return command_rows(store, command, rows, err);
}

int store_command_relays(struct store *store, const char *command, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT id FROM computers WHERE relay = 1 AND deleted = 0 AND activated IS NOT NULL",
		    YG_DB_NO_ARGS, &rows, err) < 0)
		return -1;
	return command_rows(store, command, rows, err);
}

/* The agent has seen numbers that we have not given: our database is older than its memory (it was
 * restored). What waits gets numbers above that, or the agent would take it for old.
 */
static int jump(struct store *store, const char *computer, int64_t by, struct yg_err *err)
{
	return yg_db_exec(store->db, "UPDATE commands SET seq = seq + $2 WHERE computer = $1",
		       YG_DB_ARGS(yg_db_text(computer), yg_db_int(by)), NULL, err) < 0 ||
			yg_db_exec(store->db,
				"UPDATE computers SET last_seq = last_seq + $2 WHERE id = $1",
				YG_DB_ARGS(yg_db_text(computer), yg_db_int(by)), NULL, err) < 0
		? -1
		: 0;
}

int op_agents_commands(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	int64_t after;
	int64_t last = 0;
	if (yg_json_int_or(args, "after", 0, INT64_MAX / 4, 0, &after, err) < 0 ||
		yg_db_number(store->db, "SELECT last_seq FROM computers WHERE id = $1",
			YG_DB_ARGS(yg_db_text(asker->id)), &last, err) < 0)
		return -1;
	if (after > last) {
		if (jump(store, asker->id, after, err) < 0)
			return -1;
	} else if (yg_db_exec(store->db, "DELETE FROM commands WHERE computer = $1 AND seq <= $2",
			   YG_DB_ARGS(yg_db_text(asker->id), yg_db_int(after)), NULL, err) < 0) {
		return -1;
	}

	json_t *commands YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT seq, job, body FROM commands WHERE computer = $1 ORDER BY seq LIMIT $2",
		    YG_DB_ARGS(yg_db_text(asker->id), yg_db_int(YG_WIRE_COMMANDS_MAX)), &rows,
		    err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		const char *job = yg_rows_text(rows, 1);
		if (job && store_job_sent(store, asker->id, job, err) < 0)
			return -1;
		json_t *command = store_parse(yg_rows_text(rows, 2));
		(void)json_object_set_new(command, "seq", json_integer(yg_rows_int(rows, 0)));
		if (store_add(commands, command, err) < 0)
			return -1;
	}
	if (more < 0)
		return -1;
	return store_give(json_pack("{s:O}", "commands", commands), out, err);
}
